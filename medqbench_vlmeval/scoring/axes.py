"""The axes along which results are broken down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.tasks import (
    DIFFICULTIES,
    MODALITIES,
    OTHER_QUESTION_TYPE,
    QUESTION_TYPES,
    SCOPES,
    SEVERITIES,
)

_ORDER: dict[str, Sequence[str]] = {
    "question_type": (*QUESTION_TYPES, OTHER_QUESTION_TYPE),
    "modality": MODALITIES,
    "severity": SEVERITIES,
    "scope": SCOPES,
    "difficulty": DIFFICULTIES,
}

UNKNOWN = "unknown"


def positions_by(axis: str, samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Positions of ``samples`` by their value on ``axis``, in the vocabulary's order, then alphabetically.

    Samples without a value go under 'unknown'; an axis that no sample has a value on gives an empty dict.
    """
    found: dict[str, list[int]] = {}
    for position, sample in enumerate(samples):
        found.setdefault(getattr(sample, axis) or UNKNOWN, []).append(position)
    if set(found) <= {UNKNOWN}:
        return {}
    return {name: found[name] for name in _in_order(axis, found)}


def _in_order(axis: str, names: Iterable[str]) -> list[str]:
    known = list(_ORDER.get(axis, ()))
    return sorted(names, key=lambda name: (name == UNKNOWN, known.index(name) if name in known else len(known), name))
