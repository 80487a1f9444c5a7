"""``medqbench compare``: two runs or more on the same samples, task by task."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path, PurePath

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, DIMENSIONS, Task
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import read_object, write_json
from medqbench_vlmeval.report.sheet import made_here
from medqbench_vlmeval.runs.comparison import (
    ComparedPair,
    ComparedTask,
    Disagreement,
    LeftOut,
    RunComparison,
    RunSet,
    disagreements_to_json,
    normalised,
)
from medqbench_vlmeval.runs.files import SCORE_ENDING, find_runs, read_runs, refuse_twice, same_index
from medqbench_vlmeval.scoring.compare import (
    AXES,
    Paired,
    RankedRun,
    adjust_pairs,
    compare_pair,
    rank_runs,
)
from medqbench_vlmeval.scoring.intervals import clusters_of
from medqbench_vlmeval.types import Run, Sample, SampleRow, TaskResult

Content = tuple[object, ...]
_CONTENT = ("question", "options", "answer", "reference", "image")


@dataclass(frozen=True)
class ComparedSample:
    """One sample of one run: ``values`` is (0 or 1,) for perception, the four verdicts for reasoning, None where the
    sample is unscored; ``content`` tells it from another sample of its index."""

    row: SampleRow
    content: Content
    values: tuple[float, ...] | None


@dataclass(frozen=True)
class ComparedRun:
    """One run in one task."""

    label: str
    run: Run
    part: TaskResult

    @cached_property
    def samples(self) -> dict[str, ComparedSample]:
        """The samples by index in one spelling, in an order that does not depend on the file's."""
        rows = {same_index(row): row for row in self.run.rows if row.sample.task is self.part.task}
        return {index: _compared_sample(rows[index]) for index in sorted(rows, key=_order)}


@dataclass(frozen=True)
class SharedTask:
    """A task with the runs that have it, two at least; ``dataset`` is None where one task needs no name."""

    task: Task
    dataset: str | None
    runs: tuple[ComparedRun, ...]


@dataclass(frozen=True)
class Common:
    """What runs have in common, and what not; indexes are in their order.

    ``indexes`` are the samples that are compared; ``missing`` has, a run, those that it lacks and another has;
    ``changed`` those whose content differs, with the names of what differs; ``unscored`` those with the same content
    that some run has no whole score of.
    """

    indexes: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...]
    changed: Mapping[str, tuple[str, ...]]
    unscored: tuple[str, ...]


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
    if sample.task is Task.PERCEPTION:
        return ComparedSample(row, content, (1.0 if row.correct else 0.0,))
    scores = [row.score_on(dimension) for dimension in DIMENSIONS]
    known = tuple(score for score in scores if score is not None)
    return ComparedSample(row, content, known if len(known) == len(scores) else None)


def _order(index: str) -> tuple[int, int, str]:
    """Numbers by their size, before all other indexes."""
    return (0, len(index), index) if index.isascii() and index.isdigit() else (1, 0, index)


def in_common(runs: Sequence[ComparedRun]) -> Common:
    """Hold the samples of two or more runs against each other (see :class:`Common`)."""
    union = sorted({index for run in runs for index in run.samples}, key=_order)
    same, changed, unscored = [], {}, []
    for index in union:
        if not all(index in run.samples for run in runs):
            continue
        samples = [run.samples[index] for run in runs]
        differing = _differences(samples)
        if differing:
            changed[index] = tuple(differing)
        elif any(sample.values is None for sample in samples):
            unscored.append(index)
        else:
            same.append(index)
    missing = tuple(tuple(index for index in union if index not in run.samples) for run in runs)
    return Common(tuple(same), missing, changed, tuple(unscored))


def _differences(samples: Sequence[ComparedSample]) -> list[str]:
    """What shows that samples of one index are not the same; what a run does not record shows nothing."""
    columns = zip(*(sample.content for sample in samples), strict=True)
    return [
        name
        for name, values in zip(_CONTENT, columns, strict=True)
        if len({value for value in values if value is not None}) > 1
    ]


def _clusters(runs: Sequence[ComparedRun], indexes: Iterable[str]) -> list[int]:
    """The samples that share an image alike, by the first run that names a sample's images."""
    of_index = ((run.samples[index].row.sample.image_refs for run in runs) for index in indexes)
    return clusters_of([next((images for images in of_runs if images), ()) for of_runs in of_index])


def _paired(task: Task, first: ComparedRun, second: ComparedRun, indexes: Sequence[str]) -> Paired:
    """Two runs' values on the samples that they have in common."""
    pairs = [(first.samples[index], second.samples[index]) for index in indexes]
    return Paired(
        task,
        [_with_axes(a.row.sample, b.row.sample) for a, b in pairs],
        [a.values or () for a, _ in pairs],
        [b.values or () for _, b in pairs],
        _clusters([first, second], indexes),
    )


def _with_axes(sample: Sample, other: Sample) -> Sample:
    """The sample with the axes of either run: a data file may have them where a prediction file has not."""
    if all(getattr(sample, axis) for axis in AXES):
        return sample
    return replace(sample, **{axis: getattr(sample, axis) or getattr(other, axis) for axis in AXES})


def read_run_sets(places: Sequence[Path]) -> list[RunSet]:
    """Read what the user named: a run each, or a folder with one model's runs of several datasets.

    Raises:
        BadInput: fewer than two are named, a place holds no whole run, or several of one dataset or of several models.
    """
    _refuse_fewer_than_two(places)
    for place in places:
        find_runs(place)  # all that cannot be read is said before anything is
    runs_of = [read_runs_at(place) for place in places]
    refuse_twice(run.paths.score for runs in runs_of for run in runs)
    return run_sets(runs_of)


def read_runs_at(place: Path) -> list[Run]:
    """One model's runs of different datasets at a place.

    Raises:
        BadInput: the place holds no whole run, or several of one dataset or of several models.
    """
    runs = read_runs([place])
    _refuse_several(place, runs)
    return runs


def run_sets(runs_of: Sequence[Sequence[Run]]) -> list[RunSet]:
    """Name what is compared: each item holds one model's runs of different datasets.

    Raises:
        BadInput: there are fewer than two.
    """
    _refuse_fewer_than_two(runs_of)
    models = [runs[0].result.model for runs in runs_of]
    named = zip(_labels(models), models, runs_of, strict=True)
    return [RunSet(label, model, tuple(runs)) for label, model, runs in named]


def shared_tasks(run_sets: Sequence[RunSet]) -> tuple[list[SharedTask], list[str]]:
    """The tasks that two run sets or more have, and what only one of them has, a sentence each.

    A task that a run set has in several datasets is matched by the dataset's name, else by the task alone.

    Raises:
        BadInput: there is no such task.
    """
    several: set[Task] = set()
    for run_set in run_sets:
        counts = Counter(task for run in run_set.runs for task in run.result.parts)
        several |= {task for task, count in counts.items() if count > 1}
    runs_of: dict[tuple[Task, str | None], list[ComparedRun]] = {}
    for run_set in run_sets:
        for run in run_set.runs:
            for task, part in run.result.parts.items():
                key = (task, run.result.dataset if task in several else None)
                runs_of.setdefault(key, []).append(ComparedRun(run_set.label, run, part))
    order = list(Task)
    keys = sorted(runs_of, key=lambda key: (order.index(key[0]), key[1] or ""))
    tasks = [SharedTask(*key, tuple(runs_of[key])) for key in keys if len(runs_of[key]) > 1]
    lonely = [runs_of[key][0] for key in keys if len(runs_of[key]) == 1]
    alone = [f"{one.label} alone has {one.run.result.dataset} ({one.part.task.value})" for one in lonely]
    if not tasks:
        raise BadInput(f"These runs have no task in common: {'; '.join(alone)}.")
    return tasks, alone


def _refuse_fewer_than_two(compared: Sequence[object]) -> None:
    if len(compared) < 2:
        raise BadInput("A comparison needs two runs or more: name their '*_score.json', prediction files or folders.")


def _refuse_several(place: Path, runs: Sequence[Run]) -> None:
    models = list(dict.fromkeys(run.result.model for run in runs))
    if len(models) > 1:
        raise BadInput(f"{place} holds runs of several models ({', '.join(models[:5])}); name the runs one by one.")
    datasets = Counter(run.result.dataset for run in runs)
    for dataset, count in datasets.items():
        if count > 1:
            names = ", ".join(run.paths.score.name for run in runs if run.result.dataset == dataset)
            raise BadInput(f"{place} holds {count} runs of {dataset} ({names}); name one of them.")


def _labels(models: Sequence[str]) -> list[str]:
    """The models' names, numbered in the order given where several are alike."""
    labels: list[str] = []
    for model in models:
        number, label = 1, model
        while models.count(model) > 1 or label in labels:
            label = f"{model} #{number}"
            number += 1
            if label not in labels and label not in models:
                break
        labels.append(label)
    return labels


def _warnings(task: Task, runs: Sequence[ComparedRun]) -> list[str]:
    """Why a difference may not be one of the models: judges, prompts or data differ as well."""
    notes = []
    if _differ(runs, _judged_by):
        what = "answers were read differently" if task is Task.PERCEPTION else "judged differently"
        mixed = "models and ways of reading" if task is Task.PERCEPTION else "models and judges"
        notes.append(f"{what}: the difference mixes {mixed} ({_each(runs, _judge_name)})")
    if _differ(runs, lambda one: (one.run.result.settings.prompt_style, one.run.result.settings.prompt_sha256)):
        styles = _each(runs, lambda one: one.run.result.settings.prompt_style or "unknown")
        notes.append(f"asked differently: the difference mixes models and prompts ({styles})")
    known = [ALL_DATASET_NAMES.get(one.run.result.dataset) for one in runs]
    if len({name.split for name in known if name}) > 1:
        named = _each(runs, lambda one: one.run.result.dataset)
        notes.append(f"different splits: an index may stand for another sample in each ({named})")
    if _differ(runs, lambda one: (one.run.result.settings.data[task.value].samples_sha256,)):
        notes.append("the runs' data differ (hash of the samples): samples that differ are left out")
    elif _differ(runs, lambda one: (one.run.result.settings.data[task.value].sha256,)):
        notes.append("the runs' data files differ and hold the same texts; the images may differ")
    return notes


def _notes(task: Task, runs: Sequence[ComparedRun], pairs: Sequence[ComparedPair]) -> list[str]:
    """What else belongs to one task's numbers."""
    return [*_notes_on_runs(task, runs), *_notes_on_samples(task, runs, pairs)]


def _notes_on_runs(task: Task, runs: Sequence[ComparedRun]) -> list[str]:
    notes = [
        f"{one.label} is a baseline: a model without weights, no competitor" for one in runs if one.run.result.baseline
    ]
    apart = [one.label for one in runs if not one.part.comparable]
    if apart:
        notes.append(f"not comparable with the published rows: {', '.join(apart)}")
    same_replies: dict[str, list[str]] = {}
    for one in runs:
        same_replies.setdefault(one.run.result.settings.prediction_file.content_sha256, []).append(one.label)
    of_several = [labels for labels in same_replies.values() if len(labels) > 1]
    notes += [f"the same replies, every one: {', '.join(labels)}" for labels in of_several]
    counted = [("n_missing", "predictions are missing"), ("n_inference_failed", "samples failed in inference")]
    if task is Task.PERCEPTION:
        counted.append(("n_unanswered", "answers could not be read"))
    for name, what in counted:
        counts = {one.label: one.part.counts[name] for one in runs if one.part.counts[name]}
        if counts:
            meaning = "count as wrong" if task is Task.PERCEPTION else "are left out"
            notes.append(f"{what} and {meaning}: {', '.join(f'{label} {n}' for label, n in counts.items())}")
    return notes


def _notes_on_samples(task: Task, runs: Sequence[ComparedRun], pairs: Sequence[ComparedPair]) -> list[str]:
    notes = []
    cells = [pair.overall.cell for pair in pairs]
    if any((cell.n_clusters or 0) < (cell.n or 0) for cell in cells):
        test = "McNemar" if task is Task.PERCEPTION else "Wilcoxon"
        notes.append(
            f"samples share images: {test} takes them as independent; the interval, the p over images and Holm's do not"
        )
    elif not any(sample.row.sample.image_refs for one in runs for sample in one.samples.values()):
        notes.append(
            "the results name no images, so samples count as independent; where questions share images the intervals "
            "are too narrow"
        )
    few = {cell.n or 0 for cell in cells if cell.few}
    if few:
        notes.append(f"only {min(few)} samples: no test can show much here")
    return notes


def _differ(runs: Sequence[ComparedRun], read: Callable[[ComparedRun], tuple[object, ...]]) -> bool:
    """Whether two runs differ in one of several values; what a run does not say (None) shows nothing."""
    columns = zip(*(read(one) for one in runs), strict=True)
    return any(len({_spelled(value) for value in values if value is not None}) > 1 for values in columns)


def _spelled(value: object) -> str:
    """A value in one spelling, whatever the order of its names."""
    return json.dumps(value, sort_keys=True, default=str)


def _judged_by(compared: ComparedRun) -> tuple[object, ...]:
    judge, protocol = compared.run.result.settings.judge, compared.run.result.settings.protocol
    asked = (judge.name, judge.served_as, dict(judge.parameters)) if judge else (None, None, None)
    # Rules alone reading the answers differs from a model that was asked.
    return (*asked, protocol.name, protocol.version, protocol.sha256, protocol.rounds, judge is not None)


def _judge_name(compared: ComparedRun) -> str:
    judge, protocol = compared.run.result.settings.judge, compared.run.result.settings.protocol
    return " / ".join((*([judge.name] if judge else []), protocol.name, protocol.version))


def _each(runs: Sequence[ComparedRun], read: Callable[[ComparedRun], str]) -> str:
    return "; ".join(f"{one.label}: {read(one)}" for one in runs)


def compare_runs(places: Sequence[Path], seed: int = 0) -> RunComparison:
    """Compare runs on the samples that they have in common.

    Args:
        places: two runs or more: result files, prediction files with the results beside them, or folders.
        seed: of the bootstrap.

    Raises:
        BadInput: a run cannot be read, is named twice, or has no task or no sample in common with another.
    """
    return compare_run_sets(read_run_sets(places), seed)


def compare_run_sets(run_sets: Sequence[RunSet], seed: int = 0) -> RunComparison:
    """Compare what was read before (see :func:`compare_runs`)."""
    tasks, alone = shared_tasks(run_sets)
    return RunComparison(tuple(run_sets), seed, tuple(_compare(shared, seed) for shared in tasks), tuple(alone))


def write_comparison(comparison: RunComparison, out: Path) -> tuple[Path, Path]:
    """Write ``compare.json`` and ``compare.xlsx`` into a folder and return their paths.

    Raises:
        BadInput: a file would replace a file of a run, or one that is no comparison.
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.compare_tables import write_compare

    paths, sources = (out / "compare.json", out / "compare.xlsx"), _sources(comparison.run_sets)
    try:
        for path in paths:
            _refuse_to_replace(path, sources)
        write_json(paths[0], {**comparison.to_json(), "disagreements": disagreements_to_json(comparison)})
    except OSError as error:
        raise RunFailed(f"{paths[0]} cannot be written ({error.strerror or error}); choose another --out.") from error
    write_compare(paths[1], comparison)
    return paths


def _refuse_to_replace(path: Path, sources: Sequence[Path]) -> None:
    if not path.is_file():
        return
    if any(source.exists() and path.samefile(source) for source in sources):
        raise BadInput(f"{path} would replace a file of a run; choose another --out.")
    if not (_is_comparison(path) if path.suffix == ".json" else made_here(path)):
        raise BadInput(f"{path} was not written by 'medqbench compare'; move it away or choose another --out.")


def _is_comparison(path: Path) -> bool:
    found = read_object(path)
    return found is not None and "parts" in found and "not_compared" in found


def _compare(shared: SharedTask, seed: int) -> ComparedTask:
    """One task: every pair, the ranking of more than two, and the samples on which they differ."""
    several = len(shared.runs) > 2
    runs_of_pairs = list(combinations(shared.runs, 2))
    in_pairs = [_pair_in_common(shared.task, a, b) for a, b in runs_of_pairs]
    compared = [
        compare_pair(_paired(shared.task, a, b, common.indexes), seed)
        for (a, b), common in zip(runs_of_pairs, in_pairs, strict=True)
    ]
    if several:
        compared = adjust_pairs(compared)
    pairs = tuple(
        ComparedPair(a.label, b.label, pair, _left_out(common), pair.is_distinct if several else None)
        for (a, b), pair, common in zip(runs_of_pairs, compared, in_pairs, strict=True)
    )
    common = in_common(shared.runs)
    return ComparedTask(
        shared.task,
        shared.dataset,
        tuple(one.label for one in shared.runs),
        pairs,
        _ranking(shared, common, pairs, seed) if several else (),
        tuple(_warnings(shared.task, shared.runs)),
        tuple(_notes(shared.task, shared.runs, pairs)),
        tuple(_disagreements(shared, common)),
    )


def _pair_in_common(task: Task, a: ComparedRun, b: ComparedRun) -> Common:
    common = in_common([a, b])
    if not common.indexes:
        raise BadInput(
            f"{a.run.paths.samples} and {b.run.paths.samples} have no {task.value} sample in common that both scored "
            f"({len(a.samples)} and {len(b.samples)} samples, {len(common.changed)} of one index with other content, "
            f"{len(common.unscored)} unscored)."
        )
    return common


def _left_out(common: Common) -> LeftOut:
    lacking_a, lacking_b = common.missing
    return LeftOut(lacking_b, lacking_a, common.changed, common.unscored)


def _ranking(shared: SharedTask, common: Common, pairs: Sequence[ComparedPair], seed: int) -> tuple[RankedRun, ...]:
    values = {
        one.label: [math.fsum(one.samples[index].values or ()) for index in common.indexes] for one in shared.runs
    }
    scale = 100.0 if shared.task is Task.PERCEPTION else 1.0
    by_labels = {(pair.a, pair.b): pair.comparison for pair in pairs}
    return tuple(rank_runs(values, _clusters(shared.runs, common.indexes), by_labels, scale, seed))


def _disagreements(shared: SharedTask, common: Common) -> list[Disagreement]:
    """The samples on which runs differ: of two with both replies, the largest difference first."""
    differing = []
    for index in common.indexes:
        samples = {one.label: one.samples[index] for one in shared.runs}
        scores = {label: math.fsum(sample.values or ()) for label, sample in samples.items()}
        if len({round(score, 9) for score in scores.values()}) > 1:
            rows = {label: sample.row for label, sample in samples.items()}
            differing.append(Disagreement(index, rows, scores))
    if len(shared.runs) == 2 and shared.task is not Task.PERCEPTION:
        differing.sort(key=lambda one: -max(one.scores.values()) + min(one.scores.values()))
    return differing


def _sources(run_sets: Sequence[RunSet]) -> tuple[Path, ...]:
    """The runs' result files, and what may be their prediction files: a run can be called 'compare'."""
    files: list[Path] = []
    for paths in (run.paths for run_set in run_sets for run in run_set.runs):
        stem = paths.score.name.removesuffix(SCORE_ENDING)
        files += [paths.score, paths.samples, paths.report]
        files += [paths.score.with_name(f"{stem}{ending}") for ending in (".json", ".xlsx")]
    return tuple(files)
