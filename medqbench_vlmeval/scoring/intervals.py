"""Confidence intervals in closed form: for shares, and for means of samples of which several may share an image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist, fmean

LEVEL = 0.95
WILSON = "Wilson score"
CLUSTER_ROBUST = "cluster-robust (CR1) with Student's t"
"""The names of :func:`wilson` and :func:`mean_interval` in results."""

FEW = 10
"""Cells that rest on fewer samples than this are marked wherever they are shown."""

NO_WIDTH = 1e-9
"""An interval shorter than this is none: its ends differ by rounding alone."""

Interval = tuple[float, float]
Column = Sequence[float | None]
# What one cluster adds to each column: the sum of its values and how many there are.
_Totals = tuple[tuple[float, float], ...]


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion, both ends in 0-1.

    Centre ``(p + z²/2n) / (1 + z²/n)``, half width ``z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n)`` with ``p`` the
    observed share and ``z`` the normal quantile of ``level`` (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927,
    p. 209). It stays inside 0-1 and keeps its coverage for small ``n`` and shares near 0 and 1. The ``n`` trials are
    taken as independent.

    Raises:
        ValueError: ``n`` is not positive or ``successes`` is not in 0..n.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"wilson needs 0 <= successes <= n and n > 0, not {successes} of {n}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the exact bound is 0 or 1; the two terms only cancel up to rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def wilson_percent(successes: int, n: int) -> Interval | None:
    """Wilson's 95% interval in percent (0-100); None where there is no trial."""
    if n == 0:
        return None
    low, high = wilson(successes, n)
    return 100 * low, 100 * high


def clipped(interval: Interval | None, low: float, high: float) -> Interval | None:
    """An interval cut to a scale: a mean of verdicts from 0 to 2 cannot lie outside them."""
    return None if interval is None else (max(low, interval[0]), min(high, interval[1]))


def mean_interval(values: Column, clusters: Sequence[int] | None = None, level: float = LEVEL) -> Interval | None:
    """Interval of a mean, ``m ± t·sqrt(V)`` with ``V = G/(G-1) Σ_g (Σ_{i in g} (x_i - m))² / n²``.

    ``V`` is the cluster-robust ("sandwich") variance (K.-Y. Liang and S. L. Zeger, Biometrika 73, 1986, p. 13) with
    the factor ``G/(G-1)`` that is known as CR1; ``t`` is Student's quantile with ``G-1`` degrees of freedom, ``G`` the
    number of clusters (A. C. Cameron and D. L. Miller, J. Hum. Resour. 50, 2015, p. 317, section VI). The normal
    quantile is too short for the small cells of a breakdown: in a simulation of 8 images with 3 questions each, whose
    scores hang together (0.4 between two of an image), this interval held the true mean in 94.9% of 4,000 draws, with
    the normal quantile in 90.8% and without clusters in 86.9%; of 60 images with 4 questions in 95.1%, 94.6% and
    84.0%. Where each value is a cluster of its own ``V`` is ``s²/n`` and this is Student's interval of a mean.

    Args:
        values: None is left out, also from the clusters.
        clusters: the cluster of each value; None takes the values as independent.

    Returns:
        None where the values lie in fewer than two clusters, so that no spread can be known, and where the clusters
        show none: ten verdicts of 2 are no certainty, and an interval without width would call them one.
    """
    return sum_of_means_interval([values], clusters, level)


def sum_of_means_interval(
    columns: Sequence[Column], clusters: Sequence[int] | None = None, level: float = LEVEL
) -> Interval | None:
    """Interval of a sum of column means, where rows may lack values in some columns and may share clusters.

    The columns are parallel. A row's influence on the sum is ``u = Σ_d (x_d - m_d) / n_d`` over the columns ``d`` in
    which it has a value, with ``m_d`` and ``n_d`` the column's mean and count; the variance is ``G/(G-1) Σ_g U_g²``
    with ``U_g`` the sum of the influences in a cluster, over the ``G`` clusters that have any value (the delta method
    with the sandwich of :func:`mean_interval`, whose case of one column this is). None where a column is empty,
    fewer than two clusters have values or these show no spread.
    """
    return means_and_sum_intervals(columns, clusters, level)[1]


def means_and_sum_intervals(
    columns: Sequence[Column], clusters: Sequence[int] | None = None, level: float = LEVEL
) -> tuple[list[Interval | None], Interval | None]:
    """The interval of each column's mean (:func:`mean_interval`) and of their sum (:func:`sum_of_means_interval`).

    Every sum is rounded once, so that no order of rows and no numbering of clusters changes a digit.
    """
    known = [[value for value in column if value is not None] for column in columns]
    centres = [(fmean(values), len(values)) if values else None for values in known]
    kinds = _kinds(columns, clusters)
    singles = [_interval(kinds, (place,), centres, level) for place in range(len(columns))]
    return singles, singles[0] if len(columns) == 1 else _interval(kinds, range(len(columns)), centres, level)


def mean_variance(totals: Iterable[tuple[float, float]]) -> float | None:
    """The variance ``V`` of a mean (see :func:`mean_interval`), from each cluster's sum and number of values.

    For clusters of different size it is the linearised variance of a ratio of totals (W. Cochran, Sampling Techniques,
    1977, ch. 9A). None for fewer than two clusters.
    """
    kinds: Counter[_Totals] = Counter(((total, count),) for total, count in totals)
    n = sum(times * count for ((_, count),), times in kinds.items())
    mean = math.fsum(times * total for ((total, _),), times in kinds.items()) / n if n else 0.0
    return _variance(kinds, [(0, mean, n)])


def _kinds(columns: Sequence[Column], clusters: Sequence[int] | None) -> Counter[_Totals]:
    """How many clusters add the same to each column: verdicts are few numbers, so kinds are few however long a run."""
    rows = zip(*columns, strict=True)
    by_cluster: dict[int, list[tuple[float | None, ...]]] = {}
    for cluster, row in enumerate(rows) if clusters is None else zip(clusters, rows, strict=True):
        by_cluster.setdefault(cluster, []).append(row)
    contents = Counter(map(tuple, by_cluster.values()))
    kinds: Counter[_Totals] = Counter()
    for content, times in contents.items():
        kinds[tuple(map(_total, zip(*content, strict=True)))] += times
    return kinds


def _total(values: Column) -> tuple[float, int]:
    known = [value for value in values if value is not None]
    return math.fsum(known), len(known)


def _interval(
    kinds: Counter[_Totals], places: Sequence[int], centres: Sequence[tuple[float, int] | None], level: float
) -> Interval | None:
    used = {kind: times for kind, times in kinds.items() if any(kind[place][1] for place in places)}
    n_clusters = sum(used.values())
    chosen = [(place, *found) for place in places if (found := centres[place]) is not None]
    variance = _variance(used, chosen)
    if len(chosen) < len(places) or variance is None:
        return None
    half = _t_quantile(n_clusters - 1, level) * math.sqrt(variance)
    if half < NO_WIDTH:
        return None
    centre = math.fsum(mean for _, mean, _ in chosen)
    return centre - half, centre + half


def _variance(kinds: Mapping[_Totals, int], chosen: Sequence[tuple[int, float, float]]) -> float | None:
    """Of the sum of the means that are ``chosen``: the column's place, its mean and its count."""
    n_clusters = sum(kinds.values())
    if n_clusters < 2:
        return None
    squares = math.fsum(
        times * math.fsum((kind[place][0] - mean * kind[place][1]) / n for place, mean, n in chosen) ** 2
        for kind, times in kinds.items()
    )
    return n_clusters / (n_clusters - 1) * squares


@lru_cache(maxsize=1024)
def _t_quantile(degrees: int, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))
