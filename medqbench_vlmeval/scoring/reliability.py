"""How far verdicts repeat: between the rounds of one judge (test-retest), between judges, between raters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from medqbench_vlmeval.records import JudgedSample, Verdict
from medqbench_vlmeval.scoring.agreement import share_same, weighted_kappa
from medqbench_vlmeval.tasks import DIMENSION_TITLES

Scores = Sequence[float | None]


def between_rounds(judged: Sequence[JudgedSample]) -> dict[str, Any] | None:
    """The same judge on the same sample in two rounds, by dimension's title; None where nothing was asked twice.

    Every pair of rounds of a sample counts (of three rounds three pairs). ``same`` is the percentage of pairs with
    the same score, ``mean_absolute_difference`` is on the scale 0-2. ``kappa`` is quadratic and takes every pair in
    both orders, so that it does not depend on which round came first; it is None where all scores are equal. Of a
    panel with rounds the pairs of all its judges are taken together, each within one judge.
    """
    found: dict[str, Any] = {}
    for dimension, title in DIMENSION_TITLES.items():
        pairs = [
            pair
            for one in judged
            if dimension in one.verdicts
            for rounds in _rounds(one.verdicts[dimension])
            for pair in combinations([part.score for part in rounds if part.score is not None], 2)
        ]
        if pairs:
            first, second = ([pair[side] for pair in pairs] for side in (0, 1))
            found[title] = {
                "n_pairs": len(pairs),
                "same": share_same(first, second),
                "kappa": weighted_kappa([*first, *second], [*second, *first]),
                "mean_absolute_difference": fmean(abs(one - other) for one, other in pairs),
            }
    return found or None


def between_judges(judged: Sequence[JudgedSample]) -> dict[str, Any] | None:
    """The members of a panel; None where there was none.

    ``means`` has each judge's mean by dimension's title, over the samples that it scored, and ``Overall``, their sum.
    ``pairs`` is as in :func:`pairwise`.
    """
    names: dict[str, None] = {}
    for one in judged:
        for verdict in one.verdicts.values():
            if verdict.parts and not _are_rounds(verdict.parts):
                names.update(dict.fromkeys(verdict.parts))
    if not names:
        return None
    scores = {
        name: {
            title: [_part_score(one.verdicts.get(dimension), name) for one in judged]
            for dimension, title in DIMENSION_TITLES.items()
        }
        for name in names
    }
    return {"means": {name: _means(of_judge) for name, of_judge in scores.items()}, "pairs": pairwise(scores)}


def pairwise(scores: Mapping[str, Mapping[str, Scores]]) -> dict[str, Any]:
    """Each two scorers of the same samples, as first name -> second name -> dimension -> :func:`compared`.

    Args:
        scores: scorer -> dimension -> scores, parallel over samples, None where a scorer gave none.
    """
    found: dict[str, Any] = {}
    for first, second in combinations(scores, 2):
        found.setdefault(first, {})[second] = {
            dimension: compared(scores[first][dimension], scores[second][dimension]) for dimension in scores[first]
        }
    return found


def compared(first: Scores, second: Scores) -> dict[str, Any]:
    """Two scorers: ``n`` samples with both scores, ``same`` in percent, quadratic ``kappa`` (None: undefined)."""
    both = [(x, y) for x, y in zip(first, second, strict=True) if x is not None and y is not None]
    if not both:
        return {"n": 0, "same": None, "kappa": None}
    one, other = ([scores[side] for scores in both] for side in (0, 1))
    return {"n": len(both), "same": share_same(one, other), "kappa": weighted_kappa(one, other)}


def _rounds(verdict: Verdict) -> Iterator[list[Verdict]]:
    if verdict.parts and _are_rounds(verdict.parts):
        yield list(verdict.parts.values())
        return
    for part in verdict.parts.values():
        yield from _rounds(part)


def _are_rounds(parts: Mapping[str, Verdict]) -> bool:
    """Rounds are numbered from 1; judges have names."""
    return list(parts) == [str(number) for number in range(1, len(parts) + 1)]


def _part_score(verdict: Verdict | None, name: str) -> float | None:
    part = verdict.parts.get(name) if verdict is not None else None
    return part.score if part is not None else None


def _means(scores: Mapping[str, Scores]) -> dict[str, float | None]:
    means = {
        title: fmean(known) if (known := [score for score in column if score is not None]) else None
        for title, column in scores.items()
    }
    known = [mean for mean in means.values() if mean is not None]
    return {**means, "Overall": math.fsum(known) if len(known) == len(means) else None}
