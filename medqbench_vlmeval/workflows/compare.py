"""``medqbench compare``: two runs or more on the same samples, task by task."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, DIMENSIONS, Task
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import read_object, write_json
from medqbench_vlmeval.report.sheet import made_here
from medqbench_vlmeval.runs.files import ScoredPart, ScoredRun, find_runs, read_run, refuse_twice
from medqbench_vlmeval.runs.result import SCORE_ENDING, mapping, number, text, whole
from medqbench_vlmeval.scoring import compare as detectable
from medqbench_vlmeval.scoring.compare import (
    ALPHA,
    INTERVAL_METHOD,
    Difference,
    Paired,
    PairedComparison,
    adjust_pairs,
    compare_pair,
    rank_runs,
)
from medqbench_vlmeval.scoring.intervals import LEVEL, clusters_of
from medqbench_vlmeval.types import Sample

# Which samples two runs have in common: the same index with the same content, scored on both sides.


Content = tuple[object, ...]
_CONTENT = ("question", "options", "answer", "reference", "image")


@dataclass(frozen=True)
class Entry:
    """One sample of one run: ``values`` is (0 or 1,) for perception, the four verdicts for reasoning, None where the
    sample is unscored; ``images`` are the names of its images, ``content`` tells it from another of its index."""

    sample: Sample
    images: tuple[str, ...]
    content: Content
    values: tuple[float, ...] | None
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Common:
    """What two or more runs have in common, and what not; indexes are in their order.

    ``indexes`` are the samples that are compared; ``missing`` has, a run, those that it lacks and another has;
    ``changed`` those whose content differs, with the names of what differs; ``unscored`` those with the same content
    that some run has no whole score of.
    """

    indexes: tuple[str, ...]
    missing: tuple[tuple[str, ...], ...]
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()


def entries_of(part: ScoredPart) -> dict[str, Entry]:
    """The samples of a run's task by index, in one order whatever the file's."""
    return {index: _entry(part.task, index, part.rows[index]) for index in sorted(part.rows, key=_order)}


def in_common(runs: Sequence[Mapping[str, Entry]]) -> Common:
    """Hold the samples of two or more runs against each other (see :class:`Common`)."""
    union = sorted({index for entries in runs for index in entries}, key=_order)
    same, changed, unscored = [], {}, []
    for index in union:
        if not all(index in entries for entries in runs):
            continue
        differing = _differences([entries[index] for entries in runs])
        if differing:
            changed[index] = tuple(differing)
        elif any(entries[index].values is None for entries in runs):
            unscored.append(index)
        else:
            same.append(index)
    missing = tuple(tuple(index for index in union if index not in entries) for entries in runs)
    return Common(tuple(same), missing, changed, tuple(unscored))


def paired(task: Task, first: Mapping[str, Entry], second: Mapping[str, Entry], indexes: Sequence[str]) -> Paired:
    """Two runs' values on the samples that they have in common."""
    return Paired(
        task,
        [_merged(first[index].sample, second[index].sample) for index in indexes],
        [first[index].values or () for index in indexes],
        [second[index].values or () for index in indexes],
        common_clusters([first, second], indexes),
    )


def common_clusters(runs: Sequence[Mapping[str, Entry]], indexes: Iterable[str]) -> list[int]:
    """The samples that share an image alike, by the first run that names a sample's images."""
    return clusters_of(
        [next((entries[index].images for entries in runs if entries[index].images), ()) for index in indexes]
    )


def _entry(task: Task, index: str, row: Mapping[str, Any]) -> Entry:
    found = row.get("images")
    images = tuple(str(name) for name in found) if isinstance(found, list) else ()
    sample = Sample(
        index,
        task,
        _plain(row.get("question")),
        {str(letter): _plain(option) or "" for letter, option in mapping(row.get("options")).items()},
        text(row.get("answer")),
        _plain(row.get("description")),
        modality=text(row.get("modality")),
        question_type=text(row.get("question_type")),
        severity=text(row.get("severity")),
    )
    return Entry(sample, images, _content(sample, images), _values(task, row), row)


def _values(task: Task, row: Mapping[str, Any]) -> tuple[float, ...] | None:
    if task is Task.PERCEPTION:
        return (1.0 if row["correct"] else 0.0,)
    found = [number(mapping(row["verdicts"].get(dimension)).get("score")) for dimension in DIMENSIONS]
    known = tuple(score for score in found if score is not None)
    return known if len(known) == len(found) else None


def _content(sample: Sample, images: tuple[str, ...]) -> Content:
    """What tells a sample from another of the same index, None for what a run does not record; see ``_CONTENT``."""
    options = tuple(sorted(sample.options.items())) or None
    named = images if _from_content(images) else None
    return sample.question, options, sample.answer, sample.description, named


def _differences(entries: Sequence[Entry]) -> list[str]:
    """What shows that samples of one index are not the same; what a run does not record shows nothing."""
    contents = [entry.content for entry in entries]
    if all(content == contents[0] for content in contents):
        return []
    columns = zip(_CONTENT, zip(*contents, strict=True), strict=True)
    return [name for name, values in columns if len({value for value in values if value is not None}) > 1]


def _from_content(images: Sequence[str]) -> bool:
    """Whether all names are made from the images' bytes: two such names that differ are two images."""
    return bool(images) and all(is_content_name(PurePath(name).name) for name in images)


def _merged(one: Sample, other: Sample) -> Sample:
    """The sample with the axes of either run: a data file may have them where a prediction file has not."""
    if one.modality and one.question_type and one.severity:
        return one
    return Sample(
        one.index,
        one.task,
        one.question,
        modality=one.modality or other.modality,
        question_type=one.question_type or other.question_type,
        severity=one.severity or other.severity,
    )


def _plain(value: object) -> str | None:
    """A text whose spaces at the ends and line ends do not matter."""
    found = text(value)
    return None if found is None else found.replace("\r\n", "\n").replace("\r", "\n").strip()


def _order(index: str) -> tuple[int, int, str]:
    """Numbers by their size, before all other indexes."""
    return (0, len(index), index) if index.isascii() and index.isdigit() else (1, 0, index)


# What is put side by side: one contender for each run or folder that a user names, task by task.


@dataclass(frozen=True)
class Contender:
    """One model's run, or its runs of several datasets from one folder. ``label`` is unlike all others' labels."""

    label: str
    model: str
    runs: tuple[ScoredRun, ...]


@dataclass(frozen=True)
class Side:
    """One contender in one task."""

    label: str
    run: ScoredRun
    part: ScoredPart

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The samples by index, in an order that does not depend on the file's."""
        return entries_of(self.part)


@dataclass(frozen=True)
class Match:
    """A task with the contenders that have it, two at least; ``dataset`` is None where one task needs no name."""

    task: Task
    dataset: str | None
    sides: tuple[Side, ...]


def read_contenders(places: Sequence[Path]) -> list[Contender]:
    """Read what the user named: a run each, or a folder with one model's runs of several datasets.

    Raises:
        BadInput: fewer than two are named, a place holds no whole run, or several of one dataset or of several models.
    """
    if len(places) < 2:
        raise BadInput("A comparison needs two runs or more: name their '*_score.json', prediction files or folders.")
    by_place = [find_runs(place) for place in places]
    refuse_twice([paths for found in by_place for paths in found])
    runs_of = [[read_run(paths) for paths in found] for found in by_place]
    for place, runs in zip(places, runs_of, strict=True):
        _one_of_each(place, runs)
    models = [runs[0].model for runs in runs_of]
    return [
        Contender(label, model, tuple(runs))
        for label, model, runs in zip(_labels(models), models, runs_of, strict=True)
    ]


def match_tasks(contenders: Sequence[Contender]) -> tuple[list[Match], list[str]]:
    """The tasks that two contenders or more have, and what only one of them has, a sentence each.

    A task that a contender has in several datasets is matched by the dataset's name, else by the task alone.

    Raises:
        BadInput: there is no such task.
    """
    sides: dict[tuple[Task, str | None], list[Side]] = {}
    several = {
        task
        for contender in contenders
        for task, count in Counter(part for run in contender.runs for part in run.parts).items()
        if count > 1
    }
    for contender in contenders:
        for run in contender.runs:
            for task, part in run.parts.items():
                key = (task, run.dataset if task in several else None)
                sides.setdefault(key, []).append(Side(contender.label, run, part))
    order = list(Task)
    keys = sorted(sides, key=lambda key: (order.index(key[0]), key[1] or ""))
    matches = [Match(*key, tuple(sides[key])) for key in keys if len(sides[key]) > 1]
    alone = [f"{one.label} alone has {one.run.dataset} ({key[0].value})" for key in keys for one in _lonely(sides[key])]
    if not matches:
        raise BadInput(f"These runs have no task in common: {'; '.join(alone)}.")
    return matches, alone


def _lonely(sides: Sequence[Side]) -> Sequence[Side]:
    return sides if len(sides) == 1 else ()


def _one_of_each(place: Path, runs: Sequence[ScoredRun]) -> None:
    models = list(dict.fromkeys(run.model for run in runs))
    if len(models) > 1:
        raise BadInput(f"{place} holds runs of several models ({', '.join(models[:5])}); name the runs one by one.")
    datasets = Counter(run.dataset for run in runs)
    for dataset, count in datasets.items():
        if count > 1:
            names = ", ".join(run.paths.score.name for run in runs if run.dataset == dataset)
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


def described(contender: Contender) -> dict[str, Any]:
    """A contender as the result names it: its runs with what they were made from and with."""
    return {
        "label": contender.label,
        "model": contender.model,
        "results": [_described(run) for run in contender.runs],
    }


def _described(run: ScoredRun) -> dict[str, Any]:
    settings = run.settings
    prompt, protocol, judge = (mapping(settings.get(name)) for name in ("prompt", "protocol", "judge"))
    data: Mapping[str, Any] = mapping(settings.get("data"))
    versions = mapping(settings.get("versions"))
    return {
        "file": run.paths.score.name,
        "folder": str(run.paths.score.parent),
        "dataset": run.dataset,
        "task": run.task.value,
        "n": len(run.rows),
        "baseline": bool(run.score.get("baseline")),
        "comparable": run.score.get("comparable") is True,
        "prompt_style": text(prompt.get("style")),
        "protocol": text(protocol.get("name")),
        "protocol_version": text(protocol.get("version")),
        "protocol_sha256": text(protocol.get("sha256")),
        "judge": text(judge.get("name")),
        "judge_served_as": text(judge.get("served_as")),
        "data": {
            str(task): {name: text(mapping(found).get(name)) for name in ("sha256", "revision", "samples_sha256")}
            for task, found in data.items()
        },
        "medqbench_vlmeval": text(versions.get("medqbench_vlmeval")),
        "kit": text(versions.get("kit")),
        "created": text(settings.get("created")),
    }


# What a reader must know before believing a difference between runs, one sentence each.


_JUDGE = ("name", "served_as", "parameters")
_PROTOCOL = ("name", "version", "sha256", "rounds")


def warnings_of(task: Task, sides: Sequence[Side]) -> list[str]:
    """Why a difference may not be one of the models: judges, prompts or data differ as well."""
    notes = []
    if _differ(sides, _judged_by):
        what = "answers were read differently" if task is Task.PERCEPTION else "judged differently"
        mixed = "models and ways of reading" if task is Task.PERCEPTION else "models and judges"
        notes.append(f"{what}: the difference mixes {mixed} ({_each(sides, _judge_name)})")
    if _differ(sides, lambda side: mapping(side.run.settings.get("prompt"))):
        notes.append(f"asked differently: the difference mixes models and prompts ({_each(sides, _style)})")
    splits = {side.label: _split(side) for side in sides}
    if len({split for split in splits.values() if split}) > 1:
        named = _each(sides, lambda side: side.run.dataset)
        notes.append(f"different splits: an index may stand for another sample in each ({named})")
    if _differ(sides, lambda side: {"samples": _data(side).get("samples_sha256")}):
        notes.append("the runs' data differ (hash of the samples): samples that differ are left out")
    elif _differ(sides, lambda side: {"file": _data(side).get("sha256")}):
        notes.append("the runs' data files differ and hold the same texts; the images may differ")
    return notes


def notes_of(task: Task, sides: Sequence[Side], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What else belongs to one task's numbers."""
    return [*_about_runs(task, sides), *_about_samples(task, sides, pairs)]


def _about_runs(task: Task, sides: Sequence[Side]) -> list[str]:
    notes = [
        f"{side.label} is a baseline: a model without weights, no competitor"
        for side in sides
        if side.run.score.get("baseline")
    ]
    apart = [side.label for side in sides if not _is_comparable(side)]
    if apart:
        notes.append(f"not comparable with the published rows: {', '.join(apart)}")
    replies: dict[str, list[str]] = {}
    for side in sides:
        found = text(mapping(side.run.settings.get("prediction_file")).get("content_sha256"))
        if found:
            replies.setdefault(found, []).append(side.label)
    notes += [f"the same replies, every one: {', '.join(labels)}" for labels in replies.values() if len(labels) > 1]
    counted = [("n_missing", "predictions are missing"), ("n_inference_failed", "samples failed in inference")]
    if task is Task.PERCEPTION:
        counted.append(("n_unanswered", "answers could not be read"))
    for name, what in counted:
        counts = {side.label: whole(side.part.score.get(name)) or 0 for side in sides}
        if any(counts.values()):
            meaning = "count as wrong" if task is Task.PERCEPTION else "are left out"
            notes.append(f"{what} and {meaning}: {', '.join(f'{label} {n}' for label, n in counts.items() if n)}")
    return notes


def _about_samples(task: Task, sides: Sequence[Side], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    cells = [pair["overall"] for pair in pairs]
    if any(cell["n_clusters"] < cell["n"] for cell in cells):
        test = "McNemar" if task is Task.PERCEPTION else "Wilcoxon"
        notes.append(
            f"samples share images: {test} takes them as independent; the interval, the p over images and Holm's do not"
        )
    elif not any(entry.images for side in sides for entry in side.entries.values()):
        notes.append(
            "the results name no images, so samples count as independent; where questions share images the intervals "
            "are too narrow"
        )
    few = {cell["n"] for cell in cells if cell.get("few")}
    if few:
        notes.append(f"only {min(few)} samples: no test can show much here")
    return notes


def _differ(sides: Sequence[Side], read: Callable[[Side], Mapping[str, Any]]) -> bool:
    """Whether two sides say different things of one name; what a run does not say shows nothing."""
    said = [read(side) for side in sides]
    names = dict.fromkeys(name for one in said for name in one)
    return any(len({_spelled(one[name]) for one in said if one.get(name) is not None}) > 1 for name in names)


def _spelled(value: object) -> str:
    """A value in one spelling, whatever the order of its names."""
    return json.dumps(value, sort_keys=True, default=str)


def _judged_by(side: Side) -> dict[str, Any]:
    judge, protocol = (mapping(side.run.settings.get(name)) for name in ("judge", "protocol"))
    found = {f"judge {name}": judge.get(name) for name in _JUDGE} | {
        f"protocol {name}": protocol.get(name) for name in _PROTOCOL
    }
    # None where rules alone read the answers, which differs from a model that was asked.
    return found | {"asked": judge.get("name") is not None}


def _judge_name(side: Side) -> str:
    judge, protocol = (mapping(side.run.settings.get(name)) for name in ("judge", "protocol"))
    named = " / ".join(
        str(found) for found in (judge.get("name"), protocol.get("name"), protocol.get("version")) if found is not None
    )
    return named or "unknown"


def _style(side: Side) -> str:
    return text(mapping(side.run.settings.get("prompt")).get("style")) or "unknown"


def _split(side: Side) -> str | None:
    known = ALL_DATASET_NAMES.get(side.run.dataset)
    return known.split.value if known else None


def _is_comparable(side: Side) -> bool:
    return side.part.score.get("comparable", side.run.score.get("comparable")) is True


def _data(side: Side) -> Mapping[str, Any]:
    return mapping(mapping(side.run.settings.get("data")).get(side.part.task.value))


def _each(sides: Sequence[Side], read: Callable[[Side], str]) -> str:
    return "; ".join(f"{side.label}: {read(side)}" for side in sides)


METHODS = {
    "difference": "a less b: above 0 a is better",
    "interval": INTERVAL_METHOD,
    "p": {
        "perception": "McNemar's exact test, two-sided",
        "reasoning": "Wilcoxon's signed-rank test, two-sided, zero differences left out, ties exact up to 125 samples",
    },
    "p_clustered": "the same kind of test with the samples that share an image as one unit, by flipping signs",
    "p_holm": "Holm's adjustment within one axis; over all pairs for the overall differences of more than two runs",
    "detectable": detectable.MDE_METHOD,
}
_NAMED = 10  # indexes that are listed of samples which are not compared


@dataclass(frozen=True)
class RunComparison:
    """``result`` is the content of ``compare.json`` but for ``disagreements``, a row a sample on which runs differ;
    ``sources`` are the files that were read."""

    result: dict[str, Any]
    disagreements: list[dict[str, Any]]
    sources: tuple[Path, ...]


def compare_runs(places: Sequence[Path], seed: int = 0) -> RunComparison:
    """Compare runs on the samples that they have in common.

    Args:
        places: two runs or more: result files, prediction files with the results beside them, or folders.
        seed: of the bootstrap.

    Raises:
        BadInput: a run cannot be read, is named twice, or has no task or no sample in common with another.
    """
    contenders = read_contenders(places)
    matches, alone = match_tasks(contenders)
    compared = [_compare(match, seed) for match in matches]
    result = {
        "runs": [described(contender) for contender in contenders],
        "seed": seed,
        "level": LEVEL,
        "alpha": ALPHA,
        "power": detectable.POWER,
        "methods": METHODS,
        "not_compared": alone,
        "parts": [part for part, _ in compared],
    }
    return RunComparison(result, [row for _, rows in compared for row in rows], _sources(contenders))


def write_comparison(comparison: RunComparison, out: Path) -> tuple[Path, Path]:
    """Write ``compare.json`` and ``compare.xlsx`` into a folder and return their paths.

    Raises:
        BadInput: a file would replace a file of a run, or one that is no comparison.
        RunFailed: a file cannot be written.
    """
    from medqbench_vlmeval.report.compare_tables import write_compare

    paths = out / "compare.json", out / "compare.xlsx"
    try:
        for path in paths:
            _refuse_to_replace(path, comparison.sources)
        write_json(paths[0], {**comparison.result, "disagreements": comparison.disagreements})
    except OSError as error:
        raise RunFailed(f"{paths[0]} cannot be written ({error.strerror or error}); choose another --out.") from error
    write_compare(paths[1], comparison.result, comparison.disagreements)
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


def _compare(match: Match, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One task: every pair, the ranking of more than two, and the samples on which they differ."""
    sides = list(combinations(match.sides, 2))
    in_pairs = [_in_common(match.task, a, b) for a, b in sides]
    compared = [
        compare_pair(paired(match.task, a.entries, b.entries, common.indexes), seed)
        for (a, b), common in zip(sides, in_pairs, strict=True)
    ]
    common = in_common([side.entries for side in match.sides])
    part: dict[str, Any] = {
        "task": match.task.value,
        "dataset": match.dataset,
        "unit": "percent" if match.task is Task.PERCEPTION else "mean verdict (0-2), sum of four (0-8)",
        "runs": [side.label for side in match.sides],
    }
    several = len(match.sides) > 2
    if several:
        compared = adjust_pairs(compared)
        by_name = {(a.label, b.label): pair for (a, b), pair in zip(sides, compared, strict=True)}
        part["ranking"] = _ranking(match, common, by_name, seed)
    pairs = [
        {
            "a": a.label,
            "b": b.label,
            **_pair_json(pair),
            "left_out": _left_out(in_pair),
            **({"distinct": pair.is_distinct} if several else {}),
        }
        for (a, b), pair, in_pair in zip(sides, compared, in_pairs, strict=True)
    ]
    part |= {
        "pairs": pairs,
        "warnings": warnings_of(match.task, match.sides),
        "notes": notes_of(match.task, match.sides, pairs),
    }
    rows = list(_disagreements(match, common))
    part["n_disagreements"] = len(rows)
    return part, rows


def _in_common(task: Task, a: Side, b: Side) -> Common:
    common = in_common([a.entries, b.entries])
    if not common.indexes:
        raise BadInput(
            f"{a.run.paths.samples} and {b.run.paths.samples} have no {task.value} sample in common that both scored "
            f"({len(a.entries)} and {len(b.entries)} samples, {len(common.changed)} of one index with other content, "
            f"{len(common.unscored)} unscored)."
        )
    return common


def _left_out(common: Common) -> dict[str, Any]:
    lacking_a, lacking_b = common.missing
    return {
        "only_in_a": _named(lacking_b),
        "only_in_b": _named(lacking_a),
        "changed": {
            **_named(tuple(common.changed)),
            "differing": sorted({name for names in common.changed.values() for name in names}),
        },
        "unscored": _named(common.unscored),
    }


def _pair_json(pair: PairedComparison) -> dict[str, Any]:
    axes = {axis: {name: _difference_json(one) for name, one in groups.items()} for axis, groups in pair.axes.items()}
    return {"overall": _difference_json(pair.overall), "axes": axes}


def _difference_json(one: Difference) -> dict[str, Any]:
    optional = {"no_interval": one.no_interval, "method": one.method}
    return {
        "n": one.cell.n,
        "n_clusters": one.cell.n_clusters,
        "a": one.a,
        "b": one.b,
        "difference": one.cell.value,
        "low": one.cell.low,
        "high": one.cell.high,
        "few": one.cell.few,
        "p": one.p,
        "p_clustered": one.p_clustered,
        "detectable": one.detectable,
        **one.cell.counts,
        "p_holm": one.p_holm,
        **{name: value for name, value in optional.items() if value is not None},
        **({"sd": one.sd} if one.method else {}),
    }


def _named(indexes: Sequence[str]) -> dict[str, Any]:
    return {"n": len(indexes), "first": list(indexes[:_NAMED])}


def _ranking(
    match: Match, common: Common, pairs: Mapping[tuple[str, str], PairedComparison], seed: int
) -> list[dict[str, Any]]:
    entries = [side.entries for side in match.sides]
    values = {
        side.label: [math.fsum(side.entries[index].values or ()) for index in common.indexes] for side in match.sides
    }
    scale = 100.0 if match.task is Task.PERCEPTION else 1.0
    return [
        {
            "run": row.run,
            **{name: getattr(row.cell, name) for name in ("value", "low", "high", "n")},
            "not_distinct_from": list(row.not_distinct_from),
        }
        for row in rank_runs(values, common_clusters(entries, common.indexes), pairs, scale, seed)
    ]


def _disagreements(match: Match, common: Common) -> Iterator[dict[str, Any]]:
    """The samples on which runs differ: of two with both replies, the largest difference first."""
    two = len(match.sides) == 2
    found = []
    for index in common.indexes:
        entries = {side.label: side.entries[index] for side in match.sides}
        scores = {label: math.fsum(entry.values or ()) for label, entry in entries.items()}
        if len({round(score, 9) for score in scores.values()}) > 1:
            found.append(_disagreement(match.task, index, entries, scores, two))
    if two and match.task is not Task.PERCEPTION:
        found.sort(key=lambda row: -max(row["scores"].values()) + min(row["scores"].values()))
    yield from found


def _disagreement(
    task: Task, index: str, entries: dict[str, Entry], scores: dict[str, float], with_replies: bool
) -> dict[str, Any]:
    samples = [entry.sample for entry in entries.values()]
    sample = samples[0]
    row: dict[str, Any] = {"task": task.value, "index": index}
    for name in ("modality", "question_type", "severity"):
        row[name] = next((value for one in samples if (value := getattr(one, name))), None)
    if task is Task.PERCEPTION:
        row |= {
            "correct": {label: bool(score) for label, score in scores.items()},
            "answer": sample.answer,
            "extracted": {label: text(entry.row.get("extracted")) for label, entry in entries.items()},
        }
    else:
        row["scores"] = scores
        if with_replies:
            row["verdicts"] = {
                label: dict(zip(DIMENSIONS, entry.values or (), strict=True)) for label, entry in entries.items()
            }
    if with_replies:
        row |= {
            "question": sample.question,
            "options": dict(sample.options),
            "reference": sample.description,
            "replies": {label: text(entry.row.get("prediction")) for label, entry in entries.items()},
        }
    return row


def _sources(contenders: Sequence[Contender]) -> tuple[Path, ...]:
    """The runs' result files, and what may be their prediction files: a run can be called 'compare'."""
    found: list[Path] = []
    for paths in (run.paths for contender in contenders for run in contender.runs):
        stem = paths.score.name.removesuffix(SCORE_ENDING)
        found += [paths.score, paths.samples, paths.report]
        found += [paths.score.with_name(f"{stem}{ending}") for ending in (".json", ".xlsx")]
    return tuple(found)
