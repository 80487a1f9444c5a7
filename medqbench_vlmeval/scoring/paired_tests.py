"""Tests of two models on the same samples: exact McNemar, signed ranks, and Holm's adjustment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less
# Units times the sum of their weights; signed ranks are counted exactly up to 125 samples that differ.
_EXACT_COST = 2_000_000


@dataclass(frozen=True)
class Tested:
    """A two-sided p-value in 0-1 and how it was found: ``exact`` or ``normal`` (an approximation for many units).

    ``n`` is the number of units that differ; those that do not say nothing on which side is better.
    """

    p: float
    method: str
    n: int


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: 1 where no sample is right on one side alone.

    Given ``n = only_first + only_second`` samples that one side alone has right, the smaller of the two counts is
    binomial with n and 1/2 where neither is better; ``p = min(1, 2 P(X <= smaller))`` (Q. McNemar, Psychometrika 12,
    1947, p. 153, in its exact form: A. Agresti, Categorical Data Analysis, 2013, ch. 11.1). Samples count as
    independent. Whole numbers throughout, so that no tail is lost to rounding.

    Raises:
        ValueError: a count is negative.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"mcnemar needs counts, not {only_first} and {only_second}")
    n = only_first + only_second
    term = total = 1
    for k in range(min(only_first, only_second)):
        term = term * (n - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**n) if n else 1.0


def sign_flip(differences: Sequence[int]) -> Tested:
    """Two-sided sign-flipping test of a sum of whole numbers, one a unit (a sample, or all samples of an image).

    Where neither side is better, exchanging the two sides within a unit changes nothing, so every unit's difference
    is as likely positive as negative; p is the share of the ``2^n`` choices of signs whose sum is at least as far
    from 0 (R. A. Fisher, The Design of Experiments, 1935, § 21). With differences of 1 and -1 this is McNemar's exact
    test. The distribution is built unit by unit; where that would take too long, the normal one with its variance
    ``Σ d²`` stands in.
    """
    import numpy as np

    weights = sorted(abs(one) for one in differences if one)
    total = abs(sum(differences))
    if not weights:
        return Tested(1.0, "exact", 0)
    most = sum(weights)
    if len(weights) * most > _EXACT_COST:
        z = total / math.sqrt(sum(one * one for one in weights))
        return Tested(2 * NormalDist().cdf(-z), "normal", len(weights))
    # Chances of the sum of the weights with a positive sign; the signed sum is twice that less all weights.
    chances = np.zeros(most + 1)
    chances[0] = 1.0
    reached = 0
    for weight in weights:
        chances[: reached + weight + 1] *= 0.5
        chances[weight : reached + weight + 1] += chances[: reached + 1].copy()
        reached += weight
    tail = chances[(most + total + 1) // 2 :].sum()
    return Tested(min(1.0, float(2 * tail)) if total else 1.0, "exact", len(weights))


def signed_rank(differences: Sequence[float]) -> Tested:
    """Wilcoxon's signed-rank test, two-sided (F. Wilcoxon, Biometrics Bull. 1, 1945, p. 80).

    Zero differences are left out, as Wilcoxon did; equal sizes share the mean of their ranks. The ranks' signs are
    flipped as in :func:`sign_flip`, which is exact with ties too, for up to 125 differences; beyond, the normal
    approximation has the usual correction for ties and none for continuity. Samples count as independent, and
    differences as symmetric around their middle.
    """
    known = [rounded for one in differences if (rounded := round(one, _DIGITS))]
    counts = Counter(abs(one) for one in known)
    below, doubled = 0, {}
    for size in sorted(counts):
        doubled[size] = 2 * below + counts[size] + 1  # twice the midrank, a whole number
        below += counts[size]
    return sign_flip([doubled[abs(one)] if one > 0 else -doubled[abs(one)] for one in known])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values of one family, in the order given; None stays None and is not counted.

    The smallest of m is multiplied by m, the next by m - 1 and so on, each at least the one before and at most 1
    (S. Holm, Scand. J. Statist. 6, 1979, p. 65). It holds whatever the dependence between the tests.
    """
    order = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, position) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[position] = highest
    return adjusted
