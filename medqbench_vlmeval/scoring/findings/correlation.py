"""Spearman's rank correlation with an interval that minds shared images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.scoring.intervals import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

METHOD = "Fisher's z with a standard error from influence values, added up by image"


def rank_correlation(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int]
) -> tuple[float, tuple[float, float] | None] | None:
    """Spearman's correlation (Pearson's of the midranks) with its 95% interval; None where one side is constant.

    With ``F`` and ``G`` the sides' distribution functions (half of each jump taken at a tie) and ``a = F(x) - 1/2``,
    ``b = G(y) - 1/2``, the correlation is ``S_ab / sqrt(S_aa S_bb)`` with ``S_ab = mean(ab)``. The influence of a
    sample on ``S_ab`` is ``ab + A + B - 3 S_ab``, where ``A`` is the mean of ``b`` over the samples whose ``x`` is
    higher (ties half) and ``B`` likewise: a sample moves the ranks of all others as well (C. Croux and C. Dehon,
    Stat. Methods Appl. 19, 2010, p. 497). Influences are added up by cluster; their sum of squares gives the standard
    error, and the interval is made on the scale of ``artanh``. None in place of an interval where it cannot be made:
    one cluster, a correlation of -1 or 1, or influences that are all 0.
    """
    import numpy as np

    n = len(first)
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    # Sums are made in the order of the values, so that the order of rows changes no digit.
    order = np.lexsort((second, first))
    a, above_a = _ranked(np.asarray(first, dtype=float)[order])
    b, above_b = _ranked(np.asarray(second, dtype=float)[order])
    s_ab, s_aa, s_bb = (_mean(product) for product in (a * b, a * a, b * b))
    found = s_ab / math.sqrt(s_aa * s_bb)

    on_ab = a * b + above_a(b) + above_b(a) - 3 * s_ab
    on_aa = a * a + 2 * above_a(a) - 3 * s_aa
    on_bb = b * b + 2 * above_b(b) - 3 * s_bb
    influence = on_ab / math.sqrt(s_aa * s_bb) - found / 2 * (on_aa / s_aa + on_bb / s_bb)
    _, group = np.unique(np.asarray(clusters)[order], return_inverse=True)
    by_cluster = np.bincount(group, weights=influence)
    k = len(by_cluster)
    if k < 2 or abs(found) > 1 - 1e-12:
        return max(-1.0, min(1.0, found)), None
    error = math.sqrt(k / (k - 1) * math.fsum(by_cluster**2)) / n
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * error / (1 - found * found)
    if half < 1e-12:
        return found, None
    centre = math.atanh(found)
    return found, (math.tanh(centre - half), math.tanh(centre + half))


def _ranked(values: Array) -> tuple[Array, Any]:
    """``F(x) - 1/2`` of each sample, and a function to the mean of something over samples with higher values."""
    import numpy as np

    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    n = len(values)

    def above(other: Array) -> Array:
        sums = np.bincount(at, weights=other, minlength=len(counts))
        return np.asarray((sums.sum() - np.cumsum(sums) + sums / 2)[at] / n)

    return ((np.cumsum(counts) - counts / 2) / n - 0.5)[at], above


def _mean(values: Array) -> float:
    return math.fsum(values) / len(values)
