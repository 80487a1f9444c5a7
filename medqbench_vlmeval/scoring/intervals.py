"""Confidence intervals: for shares, for means of samples that may share an image, and by the bootstrap for the rest.
Samples that share an image are not independent: they are taken together as one cluster, whose sums count."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np
from numpy.typing import NDArray

from medqbench_vlmeval.data.image_cells import image_keys
from medqbench_vlmeval.types import FEW, LEVEL, Cell, Sample

RESAMPLES = 2000
CLUSTER_ROBUST = "cluster-robust (CR1) with Student's t"
METHOD = f"percentile bootstrap over clusters, {RESAMPLES} resamples"
"""The names of :func:`mean_interval` and :func:`bootstrap` in results."""

_NO_WIDTH = 1e-9  # an interval that is shorter is none: its ends differ by rounding alone

Array = NDArray[np.float64]
Interval = tuple[float, float]
Column = Sequence[float | None]
# What one cluster adds to each column: the sum of its values and how many there are.
_Totals = tuple[tuple[float, float], ...]

_DIGITS = 9
_DRAWN_AT_ONCE = 2_000_000  # numbers, which bounds the memory of the draws to 32 MB


def wilson(successes: float, n: float) -> Interval:
    """Wilson's 95% score interval of a proportion, both ends in 0-1 (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, p.
    209). Trials that are not independent count by their effective number. Raises ValueError unless 0 <= ``successes``
    <= ``n`` > 0."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"wilson needs 0 <= successes <= n and n > 0, not {successes} of {n}")
    z, share = NormalDist().inv_cdf(0.5 + LEVEL / 2), successes / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the exact bound is 0 or 1; the two terms only cancel up to rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def interval_cell(value: float | None, interval: Interval | None, n: int) -> Cell:
    """A number that rests on ``n`` samples, with its interval."""
    low, high = interval or (None, None)
    return Cell(value, low, high, n, few=n < FEW)


def share_cell(count: int, n: int, top: float = 100.0) -> Cell:
    """A share of ``top`` (percent, unless said otherwise) with Wilson's interval; no value where there is no trial."""
    if not n:
        return interval_cell(None, None, 0)
    low, high = wilson(count, n)
    return interval_cell(top * count / n, (top * low, top * high), n)


def newcombe(first: Cell, second: Cell) -> Interval:
    """Of ``first`` less ``second``, independent shares with Wilson's (R. G. Newcombe, Stat. Med. 17, 1998, p. 873)."""
    (x, low, high), (y, below, above) = ((of.value or 0.0, of.low or 0.0, of.high or 0.0) for of in (first, second))
    return x - y - math.hypot(x - low, above - y), x - y + math.hypot(high - x, y - below)


def clipped(interval: Interval | None, low: float, high: float) -> Interval | None:
    """An interval cut to a scale: a mean of verdicts from 0 to 2 cannot lie outside them."""
    return None if interval is None else (max(low, interval[0]), min(high, interval[1]))


def known(values: Iterable[float | None]) -> list[float]:
    """The values that are there."""
    return [value for value in values if value is not None]


def means_and_sum(columns: Iterable[Column]) -> tuple[list[float | None], float | None]:
    """The mean of each column's values, and the sum of the means, None where a column has no value."""
    means = [fmean(values) if (values := known(column)) else None for column in columns]
    return means, None if None in means else math.fsum(known(means))


def mean_interval(values: Column, clusters: Sequence[int] | None = None) -> Interval | None:
    """The 95% interval of a mean, ``m ± t·sqrt(V)`` with ``V = G/(G-1) Σ_g (Σ_{i in g} (x_i - m))² / n²``.

    ``V`` is the cluster-robust ("sandwich") variance (K.-Y. Liang and S. L. Zeger, Biometrika 73, 1986, p. 13) with
    the factor ``G/(G-1)`` that is known as CR1; ``t`` is Student's quantile with ``G-1`` degrees of freedom, ``G`` the
    number of clusters (A. C. Cameron and D. L. Miller, J. Hum. Resour. 50, 2015, p. 317, section VI). ``clusters`` are
    parallel to ``values``; without them every value is one. A value of None is left out. None where the values lie in
    fewer than two clusters or these show no spread: ten verdicts of 2 are no certainty.
    """
    return means_and_sum_intervals([values], clusters)[1]


def means_and_sum_intervals(
    columns: Sequence[Column], clusters: Sequence[int] | None = None
) -> tuple[list[Interval | None], Interval | None]:
    """The interval of each column's mean (:func:`mean_interval`) and of their sum, where rows may lack values.

    The columns are parallel. A row's influence on the sum is ``u = Σ_d (x_d - m_d) / n_d`` over the columns ``d`` in
    which it has a value, with ``m_d`` and ``n_d`` the column's mean and count; the variance is ``G/(G-1) Σ_g U_g²``
    with ``U_g`` the sum of the influences in a cluster, over the ``G`` clusters that have any value (the delta method).
    None where a column is empty too. Every sum is rounded once, so that no order of rows and clusters changes a digit.
    """
    centres = [(fmean(values), len(values)) if (values := known(column)) else None for column in columns]
    kinds = _kinds(columns, clusters)
    singles = [_interval(kinds, (place,), centres) for place in range(len(columns))]
    return singles, singles[0] if len(columns) == 1 else _interval(kinds, range(len(columns)), centres)


def mean_variance(totals: Iterable[tuple[float, float]]) -> float | None:
    """The variance ``V`` of a mean (see :func:`mean_interval`), from each cluster's sum and number of values; None for
    fewer than two clusters."""
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
        of_columns = map(known, zip(*content, strict=True))
        kinds[tuple((math.fsum(values), len(values)) for values in of_columns)] += times
    return kinds


def _interval(
    kinds: Counter[_Totals], places: Sequence[int], centres: Sequence[tuple[float, int] | None]
) -> Interval | None:
    with_values = {kind: times for kind, times in kinds.items() if any(kind[place][1] for place in places)}
    columns = [(place, *centre) for place in places if (centre := centres[place]) is not None]
    variance = _variance(with_values, columns)
    if len(columns) < len(places) or variance is None:
        return None
    half = t_quantile(sum(with_values.values()) - 1) * math.sqrt(variance)
    if half < _NO_WIDTH:
        return None
    total = math.fsum(mean for _, mean, _ in columns)
    return total - half, total + half


def _variance(kinds: Mapping[_Totals, int], columns: Sequence[tuple[int, float, float]]) -> float | None:
    """Of the sum of some columns' means; ``columns`` has each one's place, mean and count."""
    n_clusters = sum(kinds.values())
    if n_clusters < 2:
        return None
    squares = math.fsum(
        times * math.fsum((kind[place][0] - mean * kind[place][1]) / n for place, mean, n in columns) ** 2
        for kind, times in kinds.items()
    )
    return n_clusters / (n_clusters - 1) * squares


def t_quantile(degrees: int) -> float:
    """Student's t that 2.5% exceed."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + LEVEL / 2))


def clusters_of(images: Sequence[Sequence[str]]) -> list[int]:
    """The cluster of each sample, by the names of its images: a chain of shared images makes one cluster, whose number
    is its first sample's position. A sample without names is a cluster of its own."""
    parent = list(range(len(images)))

    def root(sample: int) -> int:
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    first_with: dict[str, int] = {}
    for position, names in enumerate(images):
        for name in names:
            earlier, later = sorted((root(first_with.setdefault(name, position)), root(position)))
            parent[later] = earlier
    return [root(position) for position in range(len(images))]


@dataclass(frozen=True)
class SharedImages:
    """``clusters`` has a number a sample (see :func:`clusters_of`); ``words`` say what is known of the images."""

    clusters: Sequence[int]
    words: str


def shared_images(samples: Sequence[Sample]) -> SharedImages:
    """The clusters of ``samples``; one that names no image, or what it is paired with, is a cluster of its own."""
    paired = any(of.pair for of in samples)
    keys = [(*image_keys(of), *([f"pair {of.pair or of.index}"] if paired else [])) for of in samples]
    unnamed, words = sum(not names for names in keys), "clusters are samples that share an image"
    words += " or their clean one" if paired else ""
    if unnamed == len(samples):
        words = "no image is named, so that samples were taken as independent"
    elif unnamed:
        words += f"; {unnamed} of {len(samples)} samples name no image and were taken as independent"
    return SharedImages(clusters_of(keys), words)


def totals_by_cluster(clusters: Sequence[int], terms: Array) -> Array:
    """Add the rows of ``terms`` (samples x terms) up by cluster: (clusters x terms)."""
    _, at = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.zeros((int(at.max()) + 1 if len(at) else 0, terms.shape[1]))
    np.add.at(totals, at, terms)
    return totals


def generator(seed: int) -> np.random.RandomState:
    """Draws that every numpy makes alike: RandomState is frozen (NEP 19), Generator.multinomial changed in 2.5."""
    return np.random.RandomState(np.random.PCG64(seed))


def bootstrap(
    totals: Array, statistic: Callable[[Array], Array], seed: int = 0, level: float = LEVEL
) -> list[Interval | None]:
    """Percentile intervals, at ``level`` (0-1), of statistics that depend on the data through sums over clusters.

    Whole clusters are drawn with replacement (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, ch.
    13; A. Davison and D. Hinkley, Bootstrap Methods and their Application, 1997, ch. 3.8), those with equal sums as one
    kind, so that no order counts. ``totals`` (clusters x terms) is what each cluster adds to each sum. ``statistic``
    makes (draws) or (draws x statistics) values of (draws x terms) sums, nan where undefined. One interval a statistic
    comes back, over the resamples that leave it defined; None where most do not, and where all give the same value.
    """
    # Sums that differ by the order of their addition alone are one kind.
    kinds, counts = np.unique(np.round(totals, _DIGITS), axis=0, return_counts=True)
    draw, at_once = generator(seed).multinomial, max(1, _DRAWN_AT_ONCE // len(kinds))
    chunks = []
    for start in range(0, RESAMPLES, at_once):
        draws = draw(len(totals), counts / len(totals), size=min(at_once, RESAMPLES - start))
        with np.errstate(divide="ignore", invalid="ignore"):
            chunks.append(np.asarray(statistic(draws.astype(float) @ kinds), dtype=float).reshape(len(draws), -1))
    intervals: list[Interval | None] = []
    for values in np.concatenate(chunks).T:
        defined, ends = values[np.isfinite(values)], (50 * (1 - level), 50 * (1 + level))
        # A product's last digits depend on the processor and on numpy's build.
        low, high = np.percentile(defined, ends).round(_DIGITS).tolist() if len(defined) > RESAMPLES / 2 else (0.0, 0.0)
        intervals.append(None if high - low < _NO_WIDTH else (low, high))
    return intervals


def bootstrap_sum_of_means(columns: Sequence[Column], clusters: Sequence[int], level: float = LEVEL) -> Interval | None:
    """The bootstrap's interval of the sum of the columns' means. The columns are parallel to ``clusters``; None is left
    out of its column's mean. An accuracy in percent is one column of 0 and 100."""

    def total(sums: Array) -> Array:
        half = sums.shape[1] // 2
        return np.asarray((sums[:, :half] / sums[:, half:]).sum(axis=1))

    terms = np.concatenate(_values_and_counts(columns), axis=1)
    return bootstrap(totals_by_cluster(clusters, terms), total, level=level)[0]


def bootstrap_gap(
    columns: Sequence[Column],
    clusters: Sequence[int],
    first: Sequence[int],
    second: Sequence[int],
    level: float = LEVEL,
) -> Interval | None:
    """The bootstrap's interval of a group's sum of means less another's; see :func:`bootstrap_sum_of_means`. ``first``
    and ``second`` are the groups' positions, without a common one. A cluster with samples in both counts in both."""
    both = np.array([*first, *second], dtype=int)
    by_sample = np.stack([part[both] for part in _values_and_counts(columns)], axis=2)
    terms = np.zeros((len(both), len(columns), 2, 2))  # (samples x columns x side x value and count)
    terms[: len(first), :, 0] = by_sample[: len(first)]
    terms[len(first) :, :, 1] = by_sample[len(first) :]

    def difference(sums: Array) -> Array:
        values, counts = np.moveaxis(sums.reshape(-1, len(columns), 2, 2), -1, 0)
        by_side = (values / counts).sum(axis=1)
        return np.asarray(by_side[:, 0] - by_side[:, 1])

    totals = totals_by_cluster([clusters[position] for position in both], terms.reshape(len(both), -1))
    return bootstrap(totals, difference, level=level)[0]


def _values_and_counts(columns: Sequence[Column]) -> tuple[Array, Array]:
    """Twice (samples x columns): the values with 0 where there is none, and whether there is one."""
    values = np.array(columns, dtype=float).T  # None becomes nan
    return np.nan_to_num(values), (~np.isnan(values)).astype(float)
