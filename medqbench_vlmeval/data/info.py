"""What a dataset holds, in numbers, and the hash that names its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
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
from medqbench_vlmeval.data.columns import AXES
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.types import Sample, SampleSet

_TEST_NAMES = {name for name, found in ALL_DATASET_NAMES.items() if found.split is Split.TEST}

_encoded = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_WHOLE = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")


def canonical_index(index: str) -> str:
    """One spelling for '7', '07' and '7.0', which spreadsheets and tables make of each other."""
    plain = index.strip()
    if plain.isascii() and plain.isdigit() and plain[0] != "0":
        return plain
    found = _WHOLE.fullmatch(plain)
    if not found:
        return plain
    sign = "-" if found.group(1) == "-" and found.group(2) != "0" else ""
    return sign + found.group(2)


def samples_sha256(samples: Iterable[Sample]) -> str:
    """A hash of what is asked and what is right, whatever file, order or spelling it came in.

    It covers index, question, options, answer and description, so that it can also be computed from the
    columns of a prediction file. A combined set's prefixes are left out: a part hashes like its own dataset.
    """
    lines = []
    for sample in samples:
        options = {letter: _text(text) for letter, text in sorted(sample.options.items())}
        content = [
            sample.task.value,
            canonical_index(own_index(sample.index, sample.task)),
            _text(sample.question),
            options,
            sample.answer,
            _text(sample.description),
        ]
        lines.append(_encoded(content))
    return hashlib.sha256("\n".join(sorted(lines)).encode("ascii")).hexdigest()


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    return (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text).strip()


def describe(sample_set: SampleSet) -> dict[str, Any]:
    """Counts, columns and hashes of a dataset as plain JSON types.

    Returns:
        ``name``, ``task``, ``n``, ``images`` (distinct files, None where they were not looked at) and ``parts``: for
        every single task ``n``, ``images``, ``counts`` by axis and value (rows without a value under ``'(unknown)'``,
        axes without any value left out), ``source`` (path, sha256, samples_sha256, revision, origin, columns) and
        ``published``, which says for the test split whether the counts are those that follow from the published
        figures (None for other splits).
    """
    parts = {}
    for task, source in sample_set.sources.items():
        samples = [sample for sample in sample_set.samples if sample.task is task]
        parts[task.value] = {
            "n": len(samples),
            "images": _image_count(samples),
            "counts": _counts(samples),
            "source": {
                "path": str(source.path),
                "sha256": source.sha256,
                "samples_sha256": samples_sha256(samples),
                "revision": source.revision,
                "origin": source.origin,
                "columns": {
                    key: dict(value) if isinstance(value, dict) else list(value)
                    for key, value in asdict(source.columns).items()
                },
            },
            "published": published_counts(task, samples) if sample_set.name in _TEST_NAMES else None,
        }
    return {
        "name": sample_set.name,
        "task": sample_set.task.value,
        "n": len(sample_set.samples),
        "images": _image_count(sample_set.samples),
        "parts": parts,
    }


def _image_count(samples: Iterable[Sample]) -> int | None:
    """Distinct image files, None where the set was loaded without looking at its images."""
    return len({path for sample in samples for path in sample.images}) or None


def _counts(samples: list[Sample]) -> dict[str, dict[str, int]]:
    counts = {}
    for axis in AXES:
        values = Counter(getattr(sample, axis) or "(unknown)" for sample in samples)
        if set(values) != {"(unknown)"}:
            counts[axis] = dict(values.most_common())
    return counts


def published_counts(task: Task, samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare with the published test split; ``expected`` are its counts, ``found`` these, ``same`` whether they agree.

    Both count 'n', and for perception each question type.
    """
    expected: dict[str, int] = {"n": PUBLISHED_SIZES[task]}
    found: dict[str, int] = {"n": len(samples)}
    if task is Task.PERCEPTION:
        expected |= PUBLISHED_QUESTIONS
        found |= {kind: sum(sample.question_type == kind for sample in samples) for kind in QUESTION_TYPES}
    return {"expected": expected, "found": found, "same": found == expected}


# A subset of a dataset that stands for the whole, and is the same for every model.


# From the coarsest to the finest; an axis that a data file does not give makes one stratum.
_STRATA = ("task", "modality", "question_type", "severity", "difficulty")


def stratified(samples: Sequence[Sample], n: int, seed: int = 0) -> frozenset[str]:
    """The indexes of ``n`` samples in the proportions of all.

    The subset depends on the samples' indexes and axes, ``n`` and ``seed`` alone, not on their order; a smaller one is
    part of every larger one. In it each task has its share of all samples to within less than one sample, each
    modality its share of its task, and so on through question type, severity and difficulty. What a combined
    dataset's subset has of one task is a subset of that task's own dataset, too.

    Args:
        samples: of one dataset, with unique indexes.
        n: how many; as many as there are, or more, gives all.
        seed: another one gives another subset.

    Raises:
        BadInput: ``n`` is less than 1.
    """
    if n < 1:
        raise BadInput(f"The limit is {n}; it must be 1 sample or more.")
    return frozenset(sample.index for sample in _ordered(samples, _STRATA, seed)[:n])


def _ordered(samples: Sequence[Sample], axes: Sequence[str], seed: int) -> list[Sample]:
    """The samples in an order whose every beginning has the proportions of the whole."""
    if not axes:
        return sorted(samples, key=lambda sample: _hash(_own_index(sample), seed))
    strata: dict[str, list[Sample]] = {}
    for sample in samples:
        strata.setdefault(str(getattr(sample, axes[0])), []).append(sample)
    names = sorted(strata, key=lambda name: _hash(f"{axes[0]}={name}", seed))
    return _merged([_ordered(strata[name], axes[1:], seed) for name in names])


def _own_index(sample: Sample) -> str:
    """A combined set's prefixes left out: its parts have the order of their own datasets."""
    return canonical_index(own_index(sample.index, sample.task))


def _merged(orders: Sequence[list[Sample]]) -> list[Sample]:
    """Orders woven into one whose every beginning holds each order's share, to within less than one sample.

    This is the quota method of apportionment (Balinski and Young, 1975): the next sample is of the order whose next
    one is due first, among those that have less than their share.
    """
    total = sum(map(len, orders))
    taken = [0] * len(orders)
    merged: list[Sample] = []
    for step in range(1, total + 1):
        behind = [i for i, order in enumerate(orders) if taken[i] * total < len(order) * step]
        first = min(behind, key=lambda i: ((taken[i] + 1) / len(orders[i]), i))
        merged.append(orders[first][taken[first]])
        taken[first] += 1
    return merged


def _hash(text: str, seed: int) -> str:
    return sha256_text(f"{seed}:{text}")
