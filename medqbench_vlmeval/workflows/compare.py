"""``medqbench compare``: two runs or more on the same samples, task by task."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, count
from pathlib import Path, PurePath

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, DIMENSIONS, MAX_VERDICT, Comparable, Task
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.info import index_key
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import is_any_of, json_object, write_json, write_text, writing
from medqbench_vlmeval.provenance import Provenance
from medqbench_vlmeval.report.sheet import made_here
from medqbench_vlmeval.report.table import value_words
from medqbench_vlmeval.runs.comparison import (
    ComparedPair,
    ComparedTask,
    LeftOut,
    RunComparison,
    RunSet,
    SharedSample,
    disagreements_to_json,
    normalised,
)
from medqbench_vlmeval.runs.files import SCORE_ENDING, find_all, read_run
from medqbench_vlmeval.scoring.compare import AXES, Paired, RankedRun, adjust_pairs, compare_pair, rank_runs
from medqbench_vlmeval.scoring.intervals import shared_images
from medqbench_vlmeval.steps import counted, step
from medqbench_vlmeval.types import Run, Sample, SampleRow

_CONTENT = ("question", "options", "answer", "reference", "image")


def compare_runs(
    runs: Sequence[Run | Path], seed: int = 0, baseline: str | None = None, by_group: bool = True
) -> RunComparison:
    """Compare runs, or their places (see :func:`.runs.files.find_all`), on the samples that they have in common. The
    runs of one model make one set, of several datasets; a second run of one dataset is of another, numbered set.
    ``seed`` is the bootstrap's. ``baseline``, what alone all others are compared with, is a model's name, a label or
    the place of its runs. ``by_group`` compares groups, too. Raises BadInput where a run cannot be read, or no two have
    a task and a sample in common, or there is no such baseline."""
    read = _read(runs)
    run_sets = _run_sets(read.values())
    base = _named(baseline, run_sets) if baseline is not None else None
    if baseline is not None and base is None:
        try:
            of_base = _read([Path(baseline)])
        except BadInput as error:
            labels = ", ".join(run_set.label for run_set in run_sets)
            raise BadInput(f"--baseline {baseline} is none of the models ({labels}), and no place: {error}") from None
        run_sets = _run_sets({**read, **of_base}.values())
        base, *more = [each.label for each in run_sets if any(run in of_base.values() for run in each.runs)]
        if more:
            raise BadInput(f"--baseline {baseline} holds several: {', '.join([base, *more])}; name one of them.")
    if sum(len(run_set.runs) for run_set in run_sets) < 2:
        this = "".join(f", and this is one: {run.paths.score}" for run in read.values())
        raise BadInput(f"A comparison needs two runs or more{this}. Name runs, a folder above them or a glob.")
    tasks, alone = _shared_tasks(run_sets)
    parts = []
    for task, dataset, of_task in tasks:
        if base is None or base in [run.label for run in of_task]:
            parts.append(_compare(task, dataset, of_task, seed, base, by_group))
        else:
            alone.append(f"{base} has no {dataset or task.value}")
    if not parts:
        raise BadInput(f"No other run has a task of the baseline {base}: {'; '.join(alone)}.")
    return RunComparison(tuple(run_sets), seed, tuple(parts), tuple(alone), base)


def _read(runs: Sequence[Run | Path]) -> dict[object, Run]:
    """The runs by what tells them apart."""
    # All that cannot be found is said before anything is read.
    found = [run if isinstance(run, Run) else find_all([run]) for run in runs]
    read: dict[object, Run] = {}
    for one in found:
        if isinstance(one, Run):
            read[id(one)] = one
            continue
        for paths in one:
            if (score := paths.score.resolve()) not in read:
                read[score] = read_run(paths)
    return read


def _named(name: str, run_sets: Sequence[RunSet]) -> str | None:
    """The label of the set that a name means."""
    for attribute in ("label", "model"):
        labels = [run_set.label for run_set in run_sets if name == getattr(run_set, attribute)]
        if len(labels) > 1:
            raise BadInput(f"--baseline {name} is several runs: {', '.join(labels)}; name one of them.")
        if labels:
            return labels[0]
    return None


def _run_sets(runs: Iterable[Run]) -> list[RunSet]:
    """The runs by model: those of one folder stay together where the model has two runs of a dataset."""
    by_folder: dict[tuple[str, Path], list[Run]] = {}
    for run in runs:
        by_folder.setdefault((run.result.model, run.paths.score.parent), []).append(run)
    sets: dict[str, list[dict[str, Run]]] = {}  # by model and dataset
    for (model, _), of_folder in by_folder.items():
        of_model = sets.setdefault(model, [{}])
        if any(run.result.dataset in of_model[-1] for run in of_folder):
            of_model.append({})
        for run in of_folder:
            if run.result.dataset in of_model[-1]:
                of_model.append({})
            of_model[-1][run.result.dataset] = run
    named = [(model, of_set) for model, of_model in sets.items() for of_set in of_model]
    labels = _labels([model for model, _ in named])
    return [RunSet(label, model, tuple(of.values())) for label, (model, of) in zip(labels, named, strict=True)]


def _labels(models: Sequence[str]) -> list[str]:
    """The models' names, numbered in the order given where several are alike."""
    labels: list[str] = []
    for model in models:
        numbered = (f"{model} #{number}" for number in count(1))
        free = next(label for label in numbered if label not in labels and label not in models)
        labels.append(free if models.count(model) > 1 else model)
    return labels


def write_comparison(comparison: RunComparison, out: Path) -> tuple[Path, Path]:
    """Write ``compare.json`` and ``compare.xlsx`` into a folder and return their paths. Raises BadInput where a file
    would replace a file of a run, or one that is no comparison. Raises RunFailed where a file cannot be written."""
    from medqbench_vlmeval.report.compare_tables import write_compare

    as_json, as_xlsx = paths = (out / "compare.json", out / "compare.xlsx")
    sources = [path for run_set in comparison.run_sets for run in run_set.runs for path in _files_of(run)]
    with writing(as_json):
        for path in filter(Path.is_file, paths):
            if is_any_of(path, sources):
                raise BadInput(f"{path} would replace a file of a run; choose another --out.")
            is_ours = made_here(path) if path is as_xlsx else {"parts", "not_compared"} <= {*(json_object(path) or ())}
            if not is_ours:
                raise BadInput(f"{path} was not written by 'medqbench compare'; move it away or choose another --out.")
        write_json(as_json, {**comparison.to_json(), "disagreements": disagreements_to_json(comparison)})
    write_compare(as_xlsx, comparison)
    return paths


def falls_below(comparison: RunComparison, percent: float, strict: bool = False) -> list[str]:
    """Name the runs whose Overall is below the baseline's by more than ``percent``, a sentence each: percentage points
    of accuracy, of reasoning percent of the scale of sums (0-8), at most 0. A difference that is not significant counts
    where ``strict`` alone. Raises BadInput where there is no baseline, or ``percent`` is above 0."""
    if comparison.baseline is None or not percent <= 0:
        raise BadInput("--fail-under takes 0 or a number below it, such as -2, and a --baseline.")
    found = []
    for part in comparison.parts:
        limit = percent if part.task.is_choice else percent / 100 * MAX_VERDICT * len(DIMENSIONS)
        for pair in part.pairs:
            value, of = pair.overall.cell.value or 0.0, pair.overall
            if round(value - limit, 9) < 0 and (strict or of.is_significant):
                words = [value_words(number, "points") for number in (value, limit)] + [value_words(of.adjusted_p, "p")]
                found.append("{}: {} {} points, tolerated are {} (p {})".format(pair.a, part.task.value, *words))
    return found


def write_summary(path: Path, text: str) -> None:
    """Write a Markdown summary, over an earlier one alone. Raises BadInput where another file is there. Raises
    RunFailed where it cannot be written."""
    with writing(path, "choose another --markdown"):
        if path.is_file() and (known := path.read_bytes()) and known[:20] != text.encode()[:20]:
            raise BadInput(f"{path} is no summary of 'compare'; choose another file, or '--markdown - >> {path}'.")
        write_text(path, text)


def _files_of(run: Run) -> list[Path]:
    """A run's result files, and what may be its prediction file: a run can be called 'compare'."""
    stem = run.paths.score.name.removesuffix(SCORE_ENDING)
    return [*vars(run.paths).values(), *(run.paths.score.with_name(f"{stem}{ending}") for ending in (".json", ".xlsx"))]


@dataclass(frozen=True)
class ComparedSample:
    """One sample of one run: ``values`` is (0 or 1,) or the four verdicts, None where unscored; ``answer`` the letter,
    None for none, or the sum of the verdicts; ``content`` tells it from another sample of its index."""

    row: SampleRow
    content: tuple[object, ...]
    values: tuple[float, ...] | None
    answer: str | float | None

    @property
    def score(self) -> float:
        """The sum of the values."""
        return math.fsum(self.values or ())


@dataclass(frozen=True)
class ComparedRun:
    """One run in one task."""

    label: str
    run: Run
    task: Task

    @property
    def settings(self) -> Provenance:
        """What the run was made from and with."""
        return self.run.result.settings

    @cached_property
    def samples(self) -> dict[str, ComparedSample]:
        """The samples by index in one spelling, in an order that does not depend on the file's."""
        rows = {index_key(row.sample): row for row in self.run.rows if row.sample.task is self.task}
        # Numbers by their size, before all other indexes.
        order = {of: (0, len(of), of) if of.isascii() and of.isdigit() else (1, 0, of) for of in rows}
        return {index: _compared_sample(rows[index]) for index in sorted(rows, key=order.__getitem__)}


def _compared_sample(row: SampleRow) -> ComparedSample:
    sample = row.sample
    options = tuple(sorted((letter, normalised(text)) for letter, text in sample.options.items())) or None
    # Names made from the images' bytes differ where the images do; other names say nothing.
    from_content = sample.image_refs and all(is_content_name(PurePath(name).name) for name in sample.image_refs)
    content = (
        normalised(sample.question),
        options,
        sample.answer or None,
        normalised(sample.description),
        sample.image_refs if from_content else None,
    )
    if sample.task.is_choice:
        return ComparedSample(row, content, (1.0 if row.correct else 0.0,), row.extracted)
    scores = [row.score_on(dimension) for dimension in DIMENSIONS]
    known = tuple(score for score in scores if score is not None)
    whole = len(known) == len(scores)
    return ComparedSample(row, content, known if whole else None, round(math.fsum(known), 9) if whole else None)


def _shared_tasks(run_sets: Sequence[RunSet]) -> tuple[list[tuple[Task, str | None, list[ComparedRun]]], list[str]]:
    """The runs of each task (and dataset, where a set has several) that share samples, and what only one has, as
    sentences."""
    several: set[Task] = set()
    for run_set in run_sets:
        counts = Counter(task for run in run_set.runs for task in run.result.parts)
        several |= {task for task, n in counts.items() if n > 1}
    runs_of: dict[tuple[Task, str | None], list[ComparedRun]] = {}
    for run_set in run_sets:
        for run in run_set.runs:
            for task in run.result.parts:
                key = (task, run.result.dataset if task in several else None)
                runs_of.setdefault(key, []).append(ComparedRun(run_set.label, run, task))
    order = list(Task)
    keys = sorted(runs_of, key=lambda key: (order.index(key[0]), key[1] or ""))
    shared: list[tuple[Task, str | None, list[ComparedRun]]] = []
    alone = []
    for task, dataset in keys:
        runs = runs_of[task, dataset]
        groups: list[list[ComparedRun]] = []
        for one in runs:
            group = next((group for group in groups if _in_common([group[0], one])[0]), [])
            groups += [] if group else [group]
            group.append(one)
        groups = [runs] if len(groups) == len(runs) else groups  # where nobody shares a sample, the first pair says why
        for group in groups:
            if len(group) > 1:
                shared.append((task, group[0].run.result.dataset if len(groups) > 1 else dataset, group))
            else:
                does = "alone has" if len(runs) == 1 else "shares no sample with the others on"
                alone.append(f"{group[0].label} {does} {group[0].run.result.dataset} ({task.value})")
    if not shared and len(run_sets) == 1:
        raise BadInput(f"All these runs are of one model, {run_sets[0].label}; name those of another beside them.")
    if not shared:
        raise BadInput(f"These runs have no task in common: {'; '.join(alone)}.")
    return shared, alone


def _compare(
    task: Task, dataset: str | None, runs: Sequence[ComparedRun], seed: int, baseline: str | None, by_group: bool
) -> ComparedTask:
    """One task: every pair and the ranking of more than two, or the pairs with the baseline; and the samples."""
    both = [*combinations(runs, 2)]
    if baseline is not None:
        (base,) = (run for run in runs if run.label == baseline)
        both = [(run, base) for run in runs if run is not base]
    pairs = [_pair(a, b, seed, by_group) for a, b in counted("comparing pairs of runs", both, len(both))]
    indexes = _in_common(runs)[0]
    ranking: list[RankedRun] = []
    if len(runs) > 2:
        pairs = adjust_pairs(pairs)
    if baseline is not None:
        pairs.sort(key=lambda pair: -(pair.overall.cell.value or 0.0))
    elif len(runs) > 2:
        scores = {run.label: [run.samples[index].score for index in indexes] for run in runs}
        by_labels = {(pair.a, pair.b): pair for pair in pairs}
        scale = 100.0 if task.is_choice else 1.0
        step("ranking runs")
        ranking = rank_runs(scores, _clusters(runs, indexes), by_labels, scale, seed)
    return ComparedTask(
        task,
        dataset,
        tuple(run.label for run in runs),
        tuple(run.run.result.dataset for run in runs),
        tuple(pairs),
        tuple(ranking),
        tuple(_warnings(task, runs)),
        (*_notes_on_runs(task, runs), *_notes_on_samples(task, runs, pairs)),
        tuple(
            SharedSample(
                index,
                {run.label: run.samples[index].row for run in runs},
                {run.label: run.samples[index].score for run in runs},
            )
            for index in indexes
        ),
        baseline,
    )


def _pair(a: ComparedRun, b: ComparedRun, seed: int, by_group: bool) -> ComparedPair:
    """Two runs on the samples that they have in common."""
    indexes, changed, unscored = _in_common([a, b])
    if not indexes:
        raise BadInput(
            f"{a.run.paths.samples} and {b.run.paths.samples} have no {a.task.value} sample in common that both scored "
            f"({len(a.samples)} and {len(b.samples)} samples, {len(changed)} of one index with other content, "
            f"{len(unscored)} unscored)."
        )
    samples = [(a.samples[index], b.samples[index]) for index in indexes]
    paired = Paired(
        a.task,
        [_with_axes(first.row.sample, second.row.sample) for first, second in samples if by_group],
        [first.values or () for first, _ in samples],
        [second.values or () for _, second in samples],
        _clusters([a, b], indexes),
        [first.answer is not None and first.answer == second.answer for first, second in samples],
    )
    only_in_a, only_in_b = (
        tuple(index for index in run.samples if index not in other.samples) for run, other in ((a, b), (b, a))
    )
    left_out = LeftOut(only_in_a, only_in_b, changed, tuple(unscored))
    comparison = compare_pair(paired, seed, by_group)
    return ComparedPair(comparison.overall, comparison.axes, comparison.agreement, a.label, b.label, left_out)


def _in_common(runs: Sequence[ComparedRun]) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
    """Of the samples of all runs the indexes that can be compared, what differs in others' content, and the unscored
    ones."""
    same, changed, unscored = [], {}, []
    others = [run.samples for run in runs[1:]]
    for index, sample in runs[0].samples.items():
        samples = [sample, *(found for of_run in others if (found := of_run.get(index)) is not None)]
        if len(samples) < len(runs):
            continue
        if differing := _differing(samples):
            changed[index] = differing
        elif any(sample.values is None for sample in samples):
            unscored.append(index)
        else:
            same.append(index)
    return same, changed, unscored


def _differing(samples: Sequence[ComparedSample]) -> tuple[str, ...]:
    """What differs in the content of samples of one index; what a run does not record (None) shows nothing."""
    if all(sample.content == samples[0].content for sample in samples[1:]):
        return ()
    by_name = zip(_CONTENT, *(sample.content for sample in samples), strict=True)
    return tuple(name for name, *values in by_name if len(set(values) - {None}) > 1)


def _clusters(runs: Sequence[ComparedRun], indexes: Iterable[str]) -> list[int]:
    """The samples that share an image, or a clean one, alike, by the first run that names a sample's images."""
    of_index = ([run.samples[index].row.sample for run in runs] for index in indexes)
    samples = [next((of for of in of_runs if of.image_refs), of_runs[0]) for of_runs in of_index]
    return list(shared_images(samples).clusters)


def _with_axes(sample: Sample, other: Sample) -> Sample:
    """The sample with the axes of either run: a data file may have them where a prediction file has not."""
    missing = {axis: value for axis in AXES if not getattr(sample, axis) and (value := getattr(other, axis))}
    return replace(sample, **missing) if missing else sample


def _warnings(task: Task, runs: Sequence[ComparedRun]) -> list[str]:
    """Why a difference may not be one of the models: judges, prompts or data differ as well."""
    notes = []
    if _differ(runs, _judged_by):
        what = "answers were read differently" if task.is_choice else "judged differently"
        mixed = "models and ways of reading" if task.is_choice else "models and judges"
        notes.append(f"{what}: the difference mixes {mixed} ({_each(runs, _judge_name)})")
    if _differ(runs, lambda run: (run.settings.prompt_style, run.settings.prompt_sha256)):
        styles = _each(runs, lambda run: run.settings.prompt_style or "unknown")
        notes.append(f"asked differently: the difference mixes models and prompts ({styles})")
    names = [ALL_DATASET_NAMES.get(run.run.result.dataset) for run in runs]
    if len({name.split for name in names if name}) > 1:
        named = _each(runs, lambda run: run.run.result.dataset)
        notes.append(f"different splits: an index may stand for another sample in each ({named})")
    if _differ(runs, lambda run: (run.settings.data[task.value].samples_sha256,)):
        notes.append("the runs' data differ (hash of the samples): samples that differ are left out")
    elif _differ(runs, lambda run: (run.settings.data[task.value].sha256,)):
        notes.append("the runs' data files differ and hold the same texts; the images may differ")
    return notes


def _notes_on_runs(task: Task, runs: Sequence[ComparedRun]) -> list[str]:
    baselines = [run.label for run in runs if run.run.result.baseline]
    notes = [f"{label} is a baseline: a model without weights, for orientation only" for label in baselines]
    parts = {run.label: run.run.result.parts[task] for run in runs}
    for value in (Comparable.UNVERIFIED, Comparable.NO):
        if apart := [label for label, part in parts.items() if part.comparable is value]:
            notes.append(f"{value.words} with the published rows: {', '.join(apart)}")
    same_replies: dict[str, list[str]] = {}
    for run in runs:
        same_replies.setdefault(run.settings.prediction_file.content_sha256, []).append(run.label)
    of_several = [labels for labels in same_replies.values() if len(labels) > 1]
    notes += [f"the same replies, every one: {', '.join(labels)}" for labels in of_several]
    words = {"n_missing": "predictions are missing", "n_inference_failed": "samples failed in inference"}
    meaning = "are left out"
    if task.is_choice:
        words["n_unanswered"], meaning = "answers could not be read", "count as wrong"
    for name, what in words.items():
        if counts := [f"{label} {part.counts[name]}" for label, part in parts.items() if part.counts[name]]:
            notes.append(f"{what} and {meaning}: {', '.join(counts)}")
    return notes


def _notes_on_samples(task: Task, runs: Sequence[ComparedRun], pairs: Sequence[ComparedPair]) -> list[str]:
    notes = []
    cells = [pair.overall.cell for pair in pairs]
    if any((cell.n_clusters or 0) < (cell.n or 0) for cell in cells):
        test = "McNemar" if task.is_choice else "Wilcoxon"
        notes.append(
            f"samples share images: {test} takes them as independent; the interval, the p over images and Holm's do not"
        )
    elif not any(sample.row.sample.image_refs for run in runs for sample in run.samples.values()):
        notes.append(
            "the results name no images, so samples count as independent; where questions share images the intervals "
            "are too narrow"
        )
    if few := {cell.n or 0 for cell in cells if cell.few}:
        notes.append(f"only {min(few)} samples: no test can show much here")
    return notes


def _differ(runs: Sequence[ComparedRun], read: Callable[[ComparedRun], tuple[object, ...]]) -> bool:
    """Whether two runs differ in one of several values; what a run does not say (None) shows nothing."""
    columns = zip(*map(read, runs), strict=True)
    # As JSON, whatever the order of names in a mapping.
    spelled = ({json.dumps(value, sort_keys=True, default=str) for value in values} for values in columns)
    return any(len(values - {"null"}) > 1 for values in spelled)


def _judged_by(run: ComparedRun) -> tuple[object, ...]:
    judge, protocol = run.settings.judge, run.settings.protocol
    settings = (judge.name, judge.served_as, dict(judge.parameters)) if judge else (None, None, None)
    # Rules alone reading the answers differs from a model that was asked.
    return (*settings, protocol.name, protocol.version, protocol.sha256, protocol.rounds, judge is not None)


def _judge_name(run: ComparedRun) -> str:
    judge, protocol = run.settings.judge, run.settings.protocol
    return " / ".join((*([judge.name] if judge else []), protocol.name, protocol.version))


def _each(runs: Sequence[ComparedRun], read: Callable[[ComparedRun], str]) -> str:
    return "; ".join(f"{run.label}: {read(run)}" for run in runs)
