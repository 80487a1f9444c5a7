"""What a dataset holds, in numbers; the hash that names its content; a subset that stands for the whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    PUBLISHED_QUESTIONS,
    PUBLISHED_SIZES,
    QUESTION_TYPES,
    Split,
    Task,
    own_index,
)
from medqbench_vlmeval.data.columns import axes_of
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.provenance import SourceFile
from medqbench_vlmeval.types import Sample, SampleSet

_TEST_NAMES = {text for text, name in ALL_DATASET_NAMES.items() if name.split is Split.TEST}
_UNKNOWN = "(unknown)"
# From the coarsest to the finest; an axis that a data file does not give makes one stratum.
_STRATA = ("task", "modality", "question_type", "severity", "difficulty")

_encoded = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_WHOLE = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")


def canonical_index(index: str) -> str:
    """One spelling for '7', '07' and '7.0', which spreadsheets and tables make of each other."""
    number = _WHOLE.fullmatch(index.strip())
    if not number:
        return index.strip()
    sign = "-" if number.group(1) == "-" and number.group(2) != "0" else ""
    return sign + number.group(2)


def index_key(sample: Sample) -> str:
    """A sample's index in its own dataset, in one spelling; a combined set's prefix is left out."""
    return canonical_index(own_index(sample.index, sample.task))


def samples_sha256(samples: Iterable[Sample]) -> str:
    """A hash of what is asked and what is right, whatever file, order or spelling it came in.

    It covers index, question, options, answer and description, so that it can also be computed from the
    columns of a prediction file. A combined set's prefixes are left out: a part hashes like its own dataset.
    """
    lines = []
    for sample in samples:
        options = {letter: _text(text) for letter, text in sorted(sample.options.items())}
        answers = (sample.answer, _text(sample.description))
        lines.append(_encoded([sample.task.value, index_key(sample), _text(sample.question), options, *answers]))
    return hashlib.sha256("\n".join(sorted(lines)).encode("ascii")).hexdigest()


def _text(text: str | None) -> str | None:
    return text and text.replace("\r\n", "\n").replace("\r", "\n").strip()


@dataclass(frozen=True)
class PublishedCounts:
    """The published test split's counts beside a dataset's: of 'n', and for perception of each question type."""

    published: Mapping[str, int]
    present: Mapping[str, int]
    same: bool


@dataclass(frozen=True)
class PartInfo:
    """What a dataset holds of one task.

    ``images`` counts distinct files (None where they were not looked at); ``counts`` are by axis and value, rows
    without a value under ``'(unknown)'``, axes without any value left out; ``published`` is None but for the test
    split.
    """

    n: int
    images: int | None
    counts: Mapping[str, Mapping[str, int]]
    source: SourceFile
    samples_sha256: str
    published: PublishedCounts | None

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON types."""
        fields = {**asdict(self.source), "path": str(self.source.path), "samples_sha256": self.samples_sha256}
        order = ("path", "sha256", "samples_sha256", "revision", "origin", "columns")
        source, counts = {name: fields[name] for name in order}, self.published
        published = counts and {"expected": counts.published, "found": counts.present, "same": counts.same}
        return {"n": self.n, "images": self.images, "counts": self.counts, "source": source, "published": published}


@dataclass(frozen=True)
class DataInfo:
    """What a dataset holds: all in all, and a part for every single task."""

    name: str
    task: Task
    n: int
    images: int | None
    parts: Mapping[Task, PartInfo]

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON types, for ``data info --json``."""
        parts = {task.value: part.to_json() for task, part in self.parts.items()}
        return {"name": self.name, "task": self.task.value, "n": self.n, "images": self.images, "parts": parts}


def describe(sample_set: SampleSet) -> DataInfo:
    """Count what a dataset holds, and compare a test split with the published one."""
    parts = {}
    for task, source in sample_set.sources.items():
        samples = [sample for sample in sample_set.samples if sample.task is task]
        published = (
            published_counts(task, samples) if sample_set.name in _TEST_NAMES and task in PUBLISHED_SIZES else None
        )
        values = {axis: Counter(getattr(sample, axis) or _UNKNOWN for sample in samples) for axis in axes_of(task)}
        counts = {axis: dict(of.most_common()) for axis, of in values.items() if set(of) != {_UNKNOWN}}
        digest = samples_sha256(samples)
        parts[task] = PartInfo(len(samples), _image_count(samples), counts, source, digest, published)
    whole = sample_set.samples
    return DataInfo(sample_set.name, sample_set.task, len(whole), _image_count(whole), parts)


def published_counts(task: Task, samples: Sequence[Sample]) -> PublishedCounts | None:
    """Compare samples with the published test split by what follows from the published figures; None where there are
    none."""
    if task not in PUBLISHED_SIZES:
        return None
    published, present = {"n": PUBLISHED_SIZES[task]}, {"n": len(samples)}
    if task is Task.PERCEPTION:
        published |= PUBLISHED_QUESTIONS
        present |= {kind: sum(sample.question_type == kind for sample in samples) for kind in QUESTION_TYPES}
    return PublishedCounts(published, present, published == present)


def _image_count(samples: Iterable[Sample]) -> int | None:
    return len({path for sample in samples for path in sample.images}) or None


def stratified(samples: Sequence[Sample], n: int, seed: int = 0) -> frozenset[str]:
    """The indexes of ``n`` samples in the proportions of all, the same for every model.

    The subset depends on the samples' indexes and axes, ``n`` and ``seed`` alone, not on their order; a smaller one is
    part of every larger one. In it each task has its share of all samples to within less than one sample, each
    modality its share of its task, and so on through question type, severity and difficulty. What a combined
    dataset's subset has of one task is a subset of that task's own dataset, too. BadInput for less than 1.
    """
    if n < 1:
        raise BadInput(f"The limit is {n}; it must be 1 sample or more.")
    return frozenset(sample.index for sample in _ordered(samples, _STRATA, seed)[:n])


def _ordered(samples: Sequence[Sample], axes: Sequence[str], seed: int) -> list[Sample]:
    """The samples in an order whose every beginning has the proportions of the whole."""
    if not axes:
        return sorted(samples, key=lambda sample: sha256_text(f"{seed}:{index_key(sample)}"))
    strata: dict[str, list[Sample]] = {}
    for sample in samples:
        strata.setdefault(str(getattr(sample, axes[0])), []).append(sample)
    names = sorted(strata, key=lambda name: sha256_text(f"{seed}:{axes[0]}={name}"))
    return _merged([_ordered(strata[name], axes[1:], seed) for name in names])


def _merged(orders: Sequence[list[Sample]]) -> list[Sample]:
    """Orders woven into one whose every beginning holds each order's share, to within less than one sample.

    This is the quota method of apportionment (Balinski and Young, 1975): the next sample is of the order whose next
    one is due first, among those that have less than their share.
    """
    total = sum(map(len, orders))
    used = [0] * len(orders)
    merged: list[Sample] = []
    for step in range(1, total + 1):
        behind = [i for i, order in enumerate(orders) if used[i] * total < len(order) * step]
        first = min(behind, key=lambda i: ((used[i] + 1) / len(orders[i]), i))
        merged.append(orders[first][used[first]])
        used[first] += 1
    return merged
