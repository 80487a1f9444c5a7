"""Confidence intervals in closed form: for shares, and for means of samples of which several may share an image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.data.image_cells import image_keys
from medqbench_vlmeval.types import Sample

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


# Samples that share an image are not independent: they are taken together as one cluster.


def clusters_of(images: Sequence[Sequence[str]]) -> list[int]:
    """The cluster of each sample: two samples are in one where a chain of shared images leads from one to the other.

    Args:
        images: one sequence a sample, with the names of the images that it shows (a pair has two); a sample without
            names is a cluster of its own.

    Returns:
        Cluster numbers parallel to ``images``; a cluster's number is the position of its first sample.
    """
    parent = list(range(len(images)))

    def root(sample: int) -> int:
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    first_with: dict[str, int] = {}
    for position, names in enumerate(images):
        for name in names:
            one, other = root(first_with.setdefault(name, position)), root(position)
            parent[max(one, other)] = min(one, other)
    return [root(position) for position in range(len(images))]


# Which samples of a run share an image, and in words what was known of that.


@dataclass(frozen=True)
class SharedImages:
    """``clusters`` has a number a sample (see ``clusters_of``); ``words`` say what the clusters are."""

    clusters: Sequence[int]
    words: str

    def count(self, positions: Sequence[int]) -> int:
        """How many clusters the samples at some positions lie in."""
        return len({self.clusters[position] for position in positions})


def shared_images(samples: Sequence[Sample]) -> SharedImages:
    """The clusters of ``samples``; one that names no image is a cluster of its own."""
    keys = [image_keys(sample) for sample in samples]
    unnamed = sum(not found for found in keys)
    words = "clusters are samples that share an image"
    if unnamed == len(samples):
        words = "no image is named, so that samples were taken as independent"
    elif unnamed:
        words += f"; {unnamed} of {len(samples)} samples name no image and were taken as independent"
    return SharedImages(clusters_of(keys), words)


# Drawing clusters with replacement, and their sums where there are too many clusters to draw each.


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MANY_KINDS = 3000
"""From so many kinds of clusters on their sums are drawn from a normal distribution."""

# A sum this skewed, |Σ(x - m)³| / (Σ(x - m)²)^1.5, is not drawn as normal: it moves the ends of a 95% interval by
# skewness · (z² - 1)/6, 2% of a standard error, a third of what 2,000 resamples leave open.
_MOST_SKEWED = 0.05
# Bounds the memory of the draws: 2,000 resamples of 3,000 kinds would be 48 MB at once.
_CELLS_AT_ONCE = 2_000_000
_ROUNDING = 1e-18


def drawn_sums(
    kinds: Array, counts: NDArray[np.int_], resamples: int, generator: np.random.Generator
) -> Iterator[Array]:
    """Sums over clusters that are drawn with replacement, as many as there are, in chunks of (draws x terms).

    Up to 3,000 kinds the number of each is drawn (a multinomial distribution). Of more, those are drawn so that add to
    a term which few clusters decide, such as the samples of a rare group; how many of the others come is drawn with
    them, and their sums from the normal distribution with the mean and the covariance that so many draws have (the
    central limit theorem for resampled sums: A. van der Vaart, Asymptotic Statistics, 1998, ch. 23). The time then
    grows with the kinds and no longer with the kinds times the resamples.

    Args:
        kinds: (kinds x terms), what a cluster of each kind adds to each sum.
        counts: how many clusters are of each kind.
    """
    import numpy as np

    n = int(counts.sum())
    exact = np.ones(len(kinds), dtype=bool)
    if len(kinds) > MANY_KINDS:
        exact = _decided_by_few(kinds, counts)
        if len(kinds) - exact.sum() <= MANY_KINDS:
            exact[:] = True
    shares, alone, rest = counts[exact] / n, kinds[exact], None
    if not exact.all():
        # All others together are one more kind, the last; its mean is what one of them adds.
        mean, rest = _moments(kinds[~exact], counts[~exact])
        shares, alone = np.append(shares, counts[~exact].sum() / n), np.vstack([alone, mean])
    left, at_once = resamples, max(1, _CELLS_AT_ONCE // len(shares))
    while left:
        draws = generator.multinomial(n, shares, size=min(left, at_once)).astype(float)
        left -= len(draws)
        sums = draws @ alone
        if rest is not None:
            sums += np.sqrt(draws[:, -1:]) * (generator.standard_normal(sums.shape) @ rest)
        yield sums


def _decided_by_few(kinds: Array, counts: NDArray[np.int_]) -> Any:
    """Which kinds add anything to a term whose sum is too skewed for a normal distribution."""
    import numpy as np

    apart = kinds - counts @ kinds / counts.sum()
    spread = counts @ apart**2
    # What is the same for all clusters spreads by rounding alone.
    varies = spread > _ROUNDING * (counts @ kinds**2)
    skewed = varies & (np.abs(counts @ apart**3) > _MOST_SKEWED * spread**1.5)
    return (kinds[:, skewed] != 0).any(axis=1)


def _moments(kinds: Array, counts: NDArray[np.int_]) -> tuple[Array, Array]:
    """The mean of one draw, (terms), and a root ``R`` of its covariance ``R'R``, (terms x terms)."""
    import numpy as np

    n = counts.sum()
    mean = counts @ kinds / n
    apart = kinds - mean
    values, vectors = np.linalg.eigh((apart * counts[:, None]).T @ apart / n)
    return mean, np.sqrt(np.maximum(values, 0))[:, None] * vectors.T


# The bootstrap behind every interval that has no closed form: sums, gaps, differences and ratios.


RESAMPLES = 2000
METHOD = f"percentile bootstrap over clusters, {RESAMPLES} resamples"
_DIGITS = 9


@dataclass(frozen=True)
class Resampled:
    """A percentile interval; ``n_undefined`` resamples left the statistic undefined and were left out of it.

    ``low`` and ``high`` are None where more than half of the resamples did so.
    """

    low: float | None
    high: float | None
    n_undefined: int


def totals_by_cluster(clusters: Sequence[int], terms: Array) -> Array:
    """Add the rows of ``terms`` (samples x terms) up by cluster: (clusters x terms)."""
    import numpy as np

    _, at = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.zeros((int(at.max()) + 1 if len(at) else 0, terms.shape[1]))
    np.add.at(totals, at, terms)
    return totals


def bootstrap(
    totals: Array, statistic: Callable[[Array], Array], seed: int = 0, level: float = LEVEL
) -> list[Resampled]:
    """Percentile intervals of statistics that depend on the data through sums over clusters.

    Whole clusters are drawn with replacement (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993,
    ch. 13; clusters as the unit: A. Davison and D. Hinkley, Bootstrap Methods and their Application, 1997, ch. 3.8).
    Clusters with equal sums are drawn as one kind, which gives the same distribution and does not depend on order; of
    more than 3,000 kinds sums are drawn in place of clusters (see :func:`~.drawing.drawn_sums`).

    Args:
        totals: (clusters x terms), what each cluster adds to each sum: of an accuracy its right answers and its
            questions, of a mean its scores' sum and their number.
        statistic: from (draws x terms) sums to (draws) or (draws x statistics) values, nan where undefined.
        seed: of the draws.
        level: of the intervals, in 0-1.

    Returns:
        One interval a statistic.
    """
    import numpy as np

    # Sums that differ by the order of their addition alone are one kind.
    kinds, counts = np.unique(np.round(totals, _DIGITS), axis=0, return_counts=True)
    found: list[Any] = []
    for sums in drawn_sums(kinds, counts, RESAMPLES, np.random.default_rng(seed)):
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(statistic(sums), dtype=float)
        found.append(values.reshape(len(sums), -1))
    columns = np.concatenate(found).T
    return [_resampling_interval(column, level) for column in columns]


def interval_of(
    totals: Array, statistic: Callable[[Array], Array], level: float = LEVEL, seed: int = 0
) -> Interval | None:
    """The bootstrap's interval of one statistic (see :func:`bootstrap`).

    None where there are fewer than two clusters, where most resamples leave the statistic undefined, and where all
    give the same value: samples without spread are no certainty.
    """
    if len(totals) < 2:
        return None
    (found,) = bootstrap(totals, statistic, seed, level)
    if found.low is None or found.high is None or found.high - found.low < NO_WIDTH:
        return None
    return found.low, found.high


def _resampling_interval(values: Array, level: float) -> Resampled:
    import numpy as np

    known = values[np.isfinite(values)]
    undefined = len(values) - len(known)
    if len(known) <= len(values) / 2:
        return Resampled(None, None, undefined)
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return Resampled(float(low), float(high), undefined)


# Bootstrap intervals of a sum of means, and of the difference of two groups' sums.


class SumOfMeans:
    """The sum of the columns' means, over samples that lie in clusters.

    Args:
        columns: parallel; None is left out of its column's mean. An accuracy in percent is one column of 0 and 100.
        clusters: the cluster of each sample.
    """

    def __init__(self, columns: Sequence[Column], clusters: Sequence[int]) -> None:
        import numpy as np

        values = np.array(columns, dtype=float).T  # None becomes nan
        known = ~np.isnan(values)
        # (samples x columns x 2): a value and whether it is there.
        self._terms: Array = np.stack([np.where(known, values, 0), known.astype(float)], axis=2)
        self._clusters = clusters

    def interval(self, level: float = LEVEL, seed: int = 0) -> Interval | None:
        """Of all samples; None where :func:`~.resampling.interval_of` has none."""
        import numpy as np

        def total(sums: Array) -> Array:
            half = sums.shape[1] // 2
            return np.asarray((sums[:, :half] / sums[:, half:]).sum(axis=1))

        terms = self._terms.swapaxes(1, 2).reshape(len(self._terms), -1)
        return interval_of(totals_by_cluster(self._clusters, terms), total, level, seed)

    def gap_interval(
        self, one: Sequence[int], other: Sequence[int], level: float = LEVEL, seed: int = 0
    ) -> Interval | None:
        """Of the samples at the positions ``one`` less those at ``other``, which have no position in common.

        The clusters of the two are drawn together, so that one which has samples in both counts in both.
        """
        import numpy as np

        both = np.array([*one, *other], dtype=int)
        columns = self._terms.shape[1]
        terms = np.zeros((len(both), columns, 2, 2))
        terms[: len(one), :, 0] = self._terms[both[: len(one)]]
        terms[len(one) :, :, 1] = self._terms[both[len(one) :]]
        totals = totals_by_cluster([self._clusters[position] for position in both], terms.reshape(len(both), -1))

        def difference(sums: Array) -> Array:
            by_side = sums.reshape(-1, columns, 2, 2)
            found = (by_side[..., 0] / by_side[..., 1]).sum(axis=1)
            return np.asarray(found[:, 0] - found[:, 1])

        return interval_of(totals, difference, level, seed)
