"""Which samples two runs have in common: the same index with the same content, scored on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from medqbench_vlmeval.data.images import is_content_name
from medqbench_vlmeval.evaluation.runs import ScoredPart
from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.report.runs import mapping, number, text
from medqbench_vlmeval.scoring.clusters import clusters_of
from medqbench_vlmeval.scoring.comparison import Paired
from medqbench_vlmeval.tasks import DIMENSIONS, Task

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
