"""The axes along which results are broken down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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


def broken_down(
    samples: Sequence[Sample],
    axes: Sequence[str],
    crossings: Sequence[tuple[str, str]],
    cell: Callable[[Sequence[int]], Any],
) -> dict[str, Any]:
    """What ``cell`` says of the positions of each group: axis -> group -> cell, without axes that the data lacks.

    Of each pair of axes in ``crossings`` there is ``{outer}_x_{inner}`` -> outer group -> inner group -> cell.
    """
    by_axis = {axis: found for axis in axes if (found := positions_by(axis, samples))}
    groups: dict[str, Any] = {
        axis: {name: cell(positions) for name, positions in found.items()} for axis, found in by_axis.items()
    }
    for outer, inner in crossings:
        if outer in by_axis and inner in by_axis:
            groups[f"{outer}_x_{inner}"] = {
                name: {value: cell(positions) for value, positions in found.items()}
                for name, found in crossed(by_axis[outer], by_axis[inner]).items()
            }
    return groups


def crossed(outer: Mapping[str, Sequence[int]], inner: Mapping[str, Sequence[int]]) -> dict[str, dict[str, list[int]]]:
    """Positions by their groups on two axes (see :func:`positions_by`), without the pairs that no sample has."""
    group_of = {position: name for name, positions in inner.items() for position in positions}
    found: dict[str, dict[str, list[int]]] = {}
    for name, positions in outer.items():
        by_inner: dict[str, list[int]] = {group: [] for group in inner}
        for position in positions:
            by_inner[group_of[position]].append(position)
        found[name] = {group: among for group, among in by_inner.items() if among}
    return found


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, the highest first and ties by name, so that the order of rows decides nothing."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _in_order(axis: str, names: Iterable[str]) -> list[str]:
    known = list(_ORDER.get(axis, ()))
    return sorted(names, key=lambda name: (name == UNKNOWN, known.index(name) if name in known else len(known), name))
