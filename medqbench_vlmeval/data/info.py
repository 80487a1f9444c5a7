"""What a dataset holds, in numbers; the hash that names its content; a subset that stands for the whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    PUBLISHED_QUESTIONS,
    PUBLISHED_SIZES,
    QUESTION_TYPES,
    Split,
    Task,
    measure_axis,
    own_index,
)
from medqbench_vlmeval.data.columns import axes_of
from medqbench_vlmeval.data.image_cells import image_keys
from medqbench_vlmeval.data.repeats import Repeat, find_repeats
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.provenance import SourceFile
from medqbench_vlmeval.types import Sample, SampleSet

_TEST_NAMES = {text for text, name in ALL_DATASET_NAMES.items() if name.split is Split.TEST}
_UNKNOWN = "(unknown)"
IMAGE_FORM, IMAGE_SIZE = "image form", "image size"
# From the coarsest to the finest; an axis that a data file does not give makes one stratum.
_STRATA = ("task", "modality", "question_type", "severity", "difficulty", "category")

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
    """A sample's index in its own dataset, in one spelling: '7' for a combined set's 'NoReference:07' and for '7.0'."""
    return canonical_index(own_index(sample.index, sample.task))


def samples_sha256(samples: Iterable[Sample]) -> str:
    """A hash of what is asked and what is right, whatever file, order or spelling it came in. It covers index,
    question, options, answer and description, so that it can also be computed from the columns of a prediction file. A
    combined set's prefixes are left out: a part hashes like its own dataset."""
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

    expected: Mapping[str, int]
    found: Mapping[str, int]
    same: bool


@dataclass(frozen=True)
class PartInfo:
    """What a dataset holds of one task. ``images`` counts distinct images, by what the file calls them where they were
    not looked at; ``counts`` are by axis and value (of answers by letter, of loaded images by form and size), rows
    without a value under ``'(unknown)'``, axes without any value left out; ``published`` is None but for the test
    split. ``blind``: :func:`blind_scores`."""

    n: int
    images: int
    counts: Mapping[str, Mapping[str, int]]
    source: SourceFile
    samples_sha256: str
    published: PublishedCounts | None
    blind: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class DataInfo:
    """What a dataset holds: all in all, and a part for every single task; what stands twice in it and ``others``."""

    name: str
    task: Task
    n: int
    parts: Mapping[Task, PartInfo]
    repeats: Sequence[Repeat] = ()
    others: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON types, for ``data info --json``."""
        return dict(json.loads(json.dumps(asdict(self), default=str)))


def describe(sample_set: SampleSet, others: Sequence[SampleSet] = (), alike: bool = False) -> DataInfo:
    """Count what a dataset holds, compare a test split with the published one, and see what stands twice, also in
    ``others`` (see :func:`.repeats.find_repeats`)."""
    parts = {}
    for task, source in sample_set.sources.items():
        samples = [sample for sample in sample_set.samples if sample.task is task]
        published = published_counts(task, samples) if sample_set.name in _TEST_NAMES else None
        values = {axis: Counter(getattr(sample, axis) or _UNKNOWN for sample in samples) for axis in axes_of(task)}
        counts = {axis: dict(of.most_common()) for axis, of in values.items() if set(of) != {_UNKNOWN}}
        images = {key for sample in samples for key in image_keys(sample)}
        if forms := [form for sample in samples for form in sample.image_forms]:
            counts[IMAGE_FORM] = dict(Counter(form.in_words for form in forms).most_common())
            counts[IMAGE_SIZE] = dict(Counter(f"{form.width} x {form.height}" for form in forms).most_common())
        blind = {}
        if task.is_choice:
            counts["answer"] = dict(sorted(Counter(str(sample.answer) for sample in samples).items()))
            blind = blind_scores(samples, measure_axis(task))
        parts[task] = PartInfo(len(samples), len(images), counts, source, samples_sha256(samples), published, blind)
    repeats, names = find_repeats([sample_set, *others], alike), [other.name for other in others]
    return DataInfo(sample_set.name, sample_set.task, len(sample_set.samples), parts, repeats, names)


def blind_scores(samples: Sequence[Sample], axis: str) -> dict[str, dict[str, float]]:
    """What a model that looks at no image would score on multiple-choice questions, in percent (0-100), over 'all' and
    by the values of an axis: by always saying one letter, the letter that is right most often for the value, or the
    longest option (of several the first), and by chance."""
    groups: dict[str, list[Sample]] = {"all": list(samples)}
    for sample in samples:
        groups.setdefault(getattr(sample, axis) or _UNKNOWN, []).append(sample)
    rights = {value: Counter(sample.answer for sample in of).most_common(1)[0][0] for value, of in groups.items()}
    ways: dict[str, Callable[[Sample], float]] = {
        f"always {letter}": lambda sample, letter=letter: sample.answer == letter  # type: ignore[misc]
        for letter in sorted({letter for sample in samples for letter in sample.options})
    }
    most = f"the most frequent of its {axis.replace('_', ' ')}"
    ways[most] = lambda sample: sample.answer == rights[getattr(sample, axis) or _UNKNOWN]
    ways["the longest option"] = lambda of: of.answer == max(of.options, key=lambda letter: len(of.options[letter]))
    ways["chance"] = lambda sample: 1 / len(sample.options)
    return {way: {value: 100 * fmean(map(right, of)) for value, of in groups.items()} for way, right in ways.items()}


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


def stratified(samples: Sequence[Sample], n: int, seed: int = 0) -> frozenset[str]:
    """The indexes of ``n`` samples in the proportions of all, the same for every model. The subset depends on the
    samples' indexes and axes, ``n`` and ``seed`` alone, not on their order; a smaller one is part of every larger one.
    In it each task has its share of all samples to within less than one sample, each modality its share of its task,
    and so on through question type, severity, difficulty and category. What a combined dataset's subset has of one task
    is a subset of that task's own dataset, too. BadInput for less than 1."""
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
    """Orders woven into one whose every beginning holds each order's share, to within less than one sample. This is the
    quota method of apportionment (Balinski and Young, 1975): the next sample is of the order whose next one is due
    first, among those that have less than their share."""
    total = sum(map(len, orders))
    used = [0] * len(orders)
    merged: list[Sample] = []
    for step in range(1, total + 1):
        behind = [i for i, order in enumerate(orders) if used[i] * total < len(order) * step]
        first = min(behind, key=lambda i: ((used[i] + 1) / len(orders[i]), i))
        merged.append(orders[first][used[first]])
        used[first] += 1
    return merged
