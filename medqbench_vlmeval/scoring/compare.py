"""Compare runs on the samples that they share: paired differences (the first run less the second), intervals, tests, a
ranking, minimum detectable effects. Perception is in percent (0-100) and points, a reasoning dimension in 0-2, their
sum in 0-8."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeVar

import numpy as np

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.scoring.agreement import weighted_kappa
from medqbench_vlmeval.scoring.intervals import METHOD, Array, bootstrap, mean_variance, t_quantile, totals_by_cluster
from medqbench_vlmeval.scoring.summary import positions_by
from medqbench_vlmeval.types import FEW, LEVEL, Agreement, Cell, Sample

AXES = ("modality", "question_type", "severity", "category")
DIMENSION = "dimension"
ALPHA = 0.05
POWER = 0.8
INTERVAL_METHOD = f"{METHOD}, the percentiles widened for few clusters (Hesterberg 2015)"
MDE_METHOD = f"two-sided {1 - LEVEL:.0%} test with {POWER:.0%} power, from the differences seen in these samples"

_PERCENT = 100.0
_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less
_SHOWN = 8  # without the noise of sums of thirds: 0 is 0 and not 1e-10
# Units times the sum of their weights; signed ranks are counted exactly up to 125 samples that differ.
_EXACT_COST = 2_000_000
_Z_LEVEL = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)


@dataclass(frozen=True)
class Paired:
    """Two runs on the same samples; all sequences are parallel. ``first`` and ``second`` hold a sample's values: 0 or 1
    (right) for perception, the four verdicts (0-2) in the order of the dimensions for reasoning. ``clusters`` numbers
    the samples that share an image alike. ``same`` says where both gave one letter, of reasoning one sum."""

    task: Task
    samples: Sequence[Sample]
    first: Sequence[Sequence[float]]
    second: Sequence[Sequence[float]]
    clusters: Sequence[int]
    same: Sequence[bool] = ()


@dataclass(frozen=True)
class Difference:
    """The difference of two runs ``a`` and ``b`` on some samples, with tests of it. ``cell`` is ``a - b`` with its
    bootstrap interval over clusters (see :func:`interval_level`), or ``no_interval`` says why there is none. Its
    ``counts`` are the samples that ``only_a``, ``only_b``, ``both`` or ``neither`` has right, else ``n_differ``. ``p``
    is of McNemar's exact or Wilcoxon's signed-rank test over samples, ``p_clustered`` of the same kind of test over
    clusters, None where every sample is its own; ``p_holm`` is adjusted within the family of tests. ``detectable`` is
    the minimum detectable effect. Of reasoning, ``method`` says how ``p`` was found and ``sd`` is the standard
    deviation of the differences."""

    a: float
    b: float
    cell: Cell
    no_interval: str | None
    p: float
    p_clustered: float | None
    detectable: float | None
    p_holm: float | None = None
    method: str | None = None
    sd: float | None = None

    @property
    def decisive_p(self) -> float:
        """The p-value that counts: over clusters where samples share images."""
        return self.p if self.p_clustered is None else self.p_clustered

    @property
    def adjusted_p(self) -> float:
        """The p-value that decides: adjusted, where it is one of several."""
        return self.decisive_p if self.p_holm is None else self.p_holm

    @property
    def is_significant(self) -> bool:
        """Whether :attr:`adjusted_p` is below :data:`ALPHA`."""
        return self.adjusted_p < ALPHA


@dataclass(frozen=True)
class PairedComparison:
    """The difference of two runs overall and by group: axis -> group -> difference. ``agreement`` is the share of
    samples with one answer, and kappa of what is right and wrong (beyond that of independent runs of these accuracies:
    R. Geirhos et al., NeurIPS 2020, 'error consistency'), of reasoning quadratic weighted kappa of the sums."""

    overall: Difference
    axes: Mapping[str, Mapping[str, Difference]]
    agreement: Agreement

    @property
    def distinct(self) -> bool | None:
        """Whether the overall difference is significant among those of all pairs; None of two runs alone."""
        return None if self.overall.p_holm is None else self.overall.p_holm < ALPHA


_Pair = TypeVar("_Pair", bound=PairedComparison)


@dataclass(frozen=True)
class RankedRun:
    """A run's mean over the samples that all runs have, and its ``place``, which equal means share. ``places`` is its
    95% interval, for all runs at once: from one behind the significantly better runs to one before the significantly
    worse (D. Al Mohamad, J. Goeman, E. van Zwet, Biometrics 78, 2022, p. 1286)."""

    run: str
    cell: Cell
    place: int
    places: tuple[int, int]


@dataclass(frozen=True)
class TestResult:
    """A two-sided p-value in 0-1, how it was found (``exact`` or ``normal``), and how many units differ."""

    p: float
    method: str
    n: int


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: ``min(1, 2 P(X <= smaller))`` with X binomial of the counts' sum and 1/2
    (Q. McNemar, Psychometrika 12, 1947, p. 153; A. Agresti, Categorical Data Analysis, 2013, ch. 11.1)."""
    n = only_first + only_second
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1)) / (1 << n))


def sign_flip(differences: Sequence[int]) -> TestResult:
    """Two-sided sign-flipping test of a sum of whole numbers, one a unit (a sample, or all samples of an image): the
    share of the ``2^n`` choices of signs whose sum is at least as far from 0 (R. A. Fisher, The Design of Experiments,
    1935, § 21). Where that would take too long, the normal distribution with the variance ``Σ d²`` stands in."""
    weights = sorted(abs(difference) for difference in differences if difference)
    total, most = abs(sum(differences)), sum(weights)
    if len(weights) * most > _EXACT_COST:
        z = total / math.sqrt(sum(weight * weight for weight in weights))
        return TestResult(2 * NormalDist().cdf(-z), "normal", len(weights))
    # Chances of the sum of the weights with a positive sign; the signed sum is twice that less all weights.
    chances = np.zeros(most + 1)
    chances[0] = 1.0
    reached = 0
    for weight in weights:
        chances[: reached + weight + 1] *= 0.5
        chances[weight : reached + weight + 1] += chances[: reached + 1].copy()
        reached += weight
    tail = chances[(most + total + 1) // 2 :].sum()
    return TestResult(min(1.0, float(2 * tail)) if total else 1.0, "exact", len(weights))


def signed_rank(differences: Sequence[float]) -> TestResult:
    """Wilcoxon's signed-rank test, two-sided (F. Wilcoxon, Biometrics Bull. 1, 1945, p. 80). Zero differences are left
    out, as Wilcoxon did; equal sizes share the mean of their ranks, whose signs are flipped as in :func:`sign_flip`:
    exact, also with ties, for up to 125 differences; beyond, the normal approximation, corrected for ties only."""
    signed = np.array([rounded for difference in differences if (rounded := round(difference, _DIGITS))])
    _, at, counts = np.unique(np.abs(signed), return_inverse=True, return_counts=True)
    doubled = (2 * counts.cumsum() - counts + 1)[at]  # twice the midranks, whole numbers
    return sign_flip(np.where(signed > 0, doubled, -doubled).tolist())


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of one family, in the order given, whatever the dependence between the tests. The
    smallest of m is multiplied by m, the next by m - 1 and so on, each at least the one before and at most 1 (S. Holm,
    Scand. J. Statist. 6, 1979, p. 65)."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, np.arange(len(order), 0, -1) * np.array(p_values)[order]))
    return adjusted.tolist()


def detectable_share(n: float, discordant: float) -> float | None:
    """The smallest difference of two accuracies, as a share (0-1), that McNemar's test shows with 80% power.

    It solves ``sqrt(n) d = z_level sqrt(q) + z_power sqrt(q - d²)`` for d, with ``q = discordant`` the share of
    samples that one side alone has right (R. J. Connor, Biometrics 43, 1987, p. 207), or ``q = d`` where d would be
    greater than that. None where not even a difference of 1 would show. Of samples in clusters, ``n`` is their number
    over the design effect.
    """
    if n < _Z_LEVEL**2:
        return None
    # The equation is quadratic in d. Its root is that for q = 1 times sqrt(q); where q = d it is that root's square.
    root = (_Z_LEVEL * math.sqrt(n) + _Z_POWER * math.sqrt(n - _Z_LEVEL**2 + _Z_POWER**2)) / (n + _Z_POWER**2)
    return root * max(root, math.sqrt(discordant))


def interval_level(clusters: int) -> float:
    """The level of the percentiles that make a 95% interval of a mean from few clusters: ``1 - 2 Φ(-sqrt(C/(C-1)) t)``,
    ``t`` of C - 1 degrees of freedom (T. Hesterberg, Am. Stat. 69, 2015, p. 371, expanded percentile interval)."""
    return 1 - 2 * NormalDist().cdf(-math.sqrt(clusters / (clusters - 1)) * t_quantile(clusters - 1))


def compare_pair(paired: Paired, seed: int = 0, by_group: bool = True) -> PairedComparison:
    """Compare two runs on one sample or more, overall and by group, with Holm's adjustment within each axis. The axes
    are ``AXES`` where the samples have them, and the dimensions of reasoning; none where not ``by_group``."""
    first, second = (np.array(side, dtype=float) for side in (paired.first, paired.second))
    clusters = np.array(paired.clusters)
    perception = paired.task.is_choice

    def difference(positions: Sequence[int] | slice, columns: slice) -> Difference:
        a, b = (side[positions, columns].sum(axis=1) for side in (first, second))
        return _difference(a, b, clusters[positions], perception, seed)

    everything = slice(None)
    axes: dict[str, dict[str, Difference]] = {}
    if by_group and not perception:
        axes[DIMENSION] = {
            title: difference(everything, slice(column, column + 1))
            for column, title in enumerate(DIMENSION_TITLES.values())
        }
    for axis in AXES if by_group else ():
        if groups := positions_by(axis, paired.samples):
            axes[axis] = {name: difference(positions, everything) for name, positions in groups.items()}
    adjusted = {axis: dict(zip(groups, _adjusted(groups.values()), strict=True)) for axis, groups in axes.items()}
    share = _PERCENT * sum(paired.same) / len(paired.same) if paired.same else None
    kappa = weighted_kappa(*(side.sum(axis=1).tolist() for side in (first, second)))
    return PairedComparison(difference(everything, everything), adjusted, Agreement(len(first), share, kappa))


def adjust_pairs(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Adjust the overall p-values of all pairs as one family."""
    adjusted = _adjusted(pair.overall for pair in pairs)
    return [replace(pair, overall=overall) for pair, overall in zip(pairs, adjusted, strict=True)]


def _adjusted(family: Iterable[Difference]) -> list[Difference]:
    tests = list(family)
    return [replace(test, p_holm=p) for test, p in zip(tests, holm([test.decisive_p for test in tests]), strict=True)]


def rank_runs(
    values: Mapping[str, Sequence[float]],
    clusters: Sequence[int],
    pairs: Mapping[tuple[str, str], PairedComparison],
    scale: float = 1.0,
    seed: int = 0,
) -> list[RankedRun]:
    """Rank runs by their means over common samples, best first, equal ones in the order given. ``values`` has a run's
    value of each sample by label, parallel to ``clusters``; ``pairs`` the adjusted comparisons of each two runs (see
    :func:`adjust_pairs`). A ``scale`` of 100 turns shares of right answers into percent."""
    cells = {
        run: _mean_cell(column, _totals(np.array(column, dtype=float), np.array(clusters)), scale, seed)[0]
        for run, column in values.items()
    }
    values_of = {run: round(cell.value or 0.0, _DIGITS) for run, cell in cells.items()}
    better: dict[str, set[str]] = {run: set() for run in cells}
    for (a, b), pair in pairs.items():
        if pair.distinct:
            ahead, behind = (a, b) if (pair.overall.cell.value or 0.0) > 0 else (b, a)
            better[behind].add(ahead)
    ranked = []
    for run in sorted(cells, key=lambda run: -values_of[run]):
        place = 1 + sum(value > values_of[run] for value in values_of.values())
        last = len(cells) - sum(run in ahead for ahead in better.values())
        ranked.append(RankedRun(run, cells[run], place, (1 + len(better[run]), last)))
    return ranked


def _difference(first: Array, second: Array, clusters: Array, perception: bool, seed: int) -> Difference:
    n, differences = len(first), first - second
    totals = _totals(differences, clusters)
    shared = len(totals) < n
    variance, independent = mean_variance(totals.tolist()), mean_variance((value, 1) for value in differences.tolist())
    scale = _PERCENT if perception else 1.0
    cell, no_interval = _mean_cell([*first, *-second], totals, scale, seed)
    if perception:
        only_a, only_b, both = (int(hits.sum()) for hits in (first > second, first < second, first * second))
        counts = {"only_a": only_a, "only_b": only_b, "both": both, "neither": n - only_a - only_b - both}
        p, method, sd = mcnemar(only_a, only_b), None, None
        p_clustered = sign_flip(totals[:, 0].astype(int).tolist()).p if shared else None
        # How many times the variance grows by shared images, at least 1 (L. Kish, Survey Sampling, 1965, ch. 8.2).
        design = max(1.0, variance / independent) if shared and variance is not None and independent else 1.0
        detectable = detectable_share(n / design, (only_a + only_b) / n)
        detectable = None if detectable is None else _PERCENT * detectable
    else:
        test = signed_rank(differences.tolist())
        counts, p, method = {"n_differ": test.n}, test.p, test.method
        p_clustered = signed_rank(totals[:, 0].tolist()).p if shared else None
        # (z_level + z_power) SE (J. Cohen, Statistical Power Analysis, 1988, ch. 2, with the normal distribution in
        # place of t); differences that are all equal say nothing of others.
        detectable = (_Z_LEVEL + _Z_POWER) * math.sqrt(variance) if variance else None
        # Of a mean of n independent values the variance is that of one of them, divided by n.
        sd = None if independent is None else math.sqrt(n * independent)
    a, b = (scale * math.fsum(side) / n for side in (first, second))
    cell = replace(cell, counts=counts)
    return Difference(a, b, cell, no_interval, p, p_clustered, detectable, method=method, sd=sd)


def _totals(values: Array, clusters: Array) -> Array:
    """(clusters x 2): a cluster's sum and its number of samples."""
    return np.round(totals_by_cluster(clusters.tolist(), np.column_stack([values, np.ones(len(values))])), _DIGITS)


def _mean_cell(terms: Iterable[float], totals: Array, scale: float, seed: int) -> tuple[Cell, str | None]:
    """A mean, whose sum is of ``terms``, with its interval over clusters or why there is none."""
    n, n_clusters, sign = int(totals[:, 1].sum()), len(totals), 1.0
    interval, no_interval = None, None
    if n_clusters < 2:
        no_interval = "a single sample or image"
    elif float(np.ptp(totals[:, 0] / totals[:, 1])) < 10**-_DIGITS:
        no_interval = "all differences are equal"  # resamples can only repeat them
    else:
        # Always drawn with the side ahead as the first, so that the interval of b - a mirrors that of a - b.
        sign = -1.0 if round(math.fsum(totals[:, 0]), _SHOWN) < 0 else 1.0
        level = interval_level(n_clusters)
        (interval,) = bootstrap(totals * (sign, 1.0), lambda sums: sums[:, 0] / sums[:, 1], seed, level)
    ends = [] if interval is None else sorted(round(scale * sign * end, _SHOWN) + 0.0 for end in interval)
    low, high = ends or (None, None)
    return Cell(scale * math.fsum(terms) / n if n else None, low, high, n, n_clusters, n < FEW), no_interval
