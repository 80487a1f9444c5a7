"""Two runs on the same samples: paired differences, their intervals, tests, and what so many samples can show.

A difference is always that of the first run less that of the second: above 0 the first is better. Perception is in
percent (0-100) and percentage points, a reasoning dimension in points of 0-2, and the sum of the four in points of
0-8. The numbers of a pair are over the samples that both have, and differ from each run's own where the runs do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.scoring.intervals import FEW, LEVEL, METHOD, bootstrap, mean_variance, totals_by_cluster
from medqbench_vlmeval.scoring.summary import positions_by
from medqbench_vlmeval.types import Sample

# Tests of two models on the same samples: exact McNemar, signed ranks, and Holm's adjustment.


# 1.2 - 0.7 is 0.5 and not a little less
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


# The smallest difference between two models that a number of samples can show.


POWER = 0.8
MDE_METHOD = f"two-sided {1 - LEVEL:.0%} test with {POWER:.0%} power, from the differences seen in these samples"

_Z_LEVEL = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)
_STEPS = 60  # halvings; far below what a double can tell apart


def detectable_share(n: float, discordant: float) -> float | None:
    """The smallest difference of two accuracies, as a share (0-1), that McNemar's test shows with 80% power.

    It solves ``sqrt(n) d = z_level sqrt(q) + z_power sqrt(q - d²)`` for d, with ``q = discordant`` the share of
    samples that one side alone has right (R. J. Connor, Biometrics 43, 1987, p. 207). A difference cannot be
    greater than q: where that is what comes out (few samples, or hardly any discordant ones), the least discordance
    that goes with a difference is taken, ``q = d``. The exact test needs slightly more.

    Args:
        n: samples; of samples in clusters their number over the design effect.
        discordant: 0-1.

    Returns:
        None where not even a difference of 1 would show.
    """
    if n <= 0:
        return None
    room = n - _Z_LEVEL**2 + _Z_POWER**2
    if room >= 0:
        found = math.sqrt(discordant) * (_Z_LEVEL * math.sqrt(n) + _Z_POWER * math.sqrt(room)) / (n + _Z_POWER**2)
        if 0 < found <= discordant:
            return found

    def shows(share: float) -> bool:
        return math.sqrt(n * share) >= _Z_LEVEL + _Z_POWER * math.sqrt(1 - share)

    if not shows(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def detectable_mean(standard_error: float | None) -> float | None:
    """The smallest difference of two means that is shown with 80% power: ``(z_level + z_power) SE``.

    ``SE`` is that of the mean paired difference (J. Cohen, Statistical Power Analysis, 1988, ch. 2, with the normal
    distribution in place of t). None where it is unknown or 0: differences that are all equal say nothing of others.
    """
    return (_Z_LEVEL + _Z_POWER) * standard_error if standard_error else None


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

AXES = ("modality", "question_type", "severity")
DIMENSION = "dimension"
ALPHA = 0.05
INTERVAL_METHOD = f"{METHOD}, the percentiles widened for few clusters (Hesterberg 2015)"

_PERCENT = 100.0
_DIGITS = 9
_SHOWN = 8


@dataclass(frozen=True)
class Paired:
    """Two runs on the same samples; all sequences are parallel.

    ``first`` and ``second`` hold a sample's values: 0 or 1 (right) for perception, the four verdicts (0-2) in the
    order of the dimensions for reasoning. ``clusters`` numbers the samples that share an image alike.
    """

    task: Task
    samples: Sequence[Sample]
    first: Sequence[Sequence[float]]
    second: Sequence[Sequence[float]]
    clusters: Sequence[int]


def compare_pair(paired: Paired, seed: int = 0) -> dict[str, Any]:
    """The difference of two runs overall and by group.

    Returns:
        ``overall``, a cell, and ``axes``: axis -> group -> cell, for modality, question type and severity where the
        samples have them, and for the dimensions of reasoning. A cell has ``n`` samples and ``n_clusters``; ``a`` and
        ``b``, the values of the first and the second run; ``difference`` with ``low`` and ``high``, its 95% bootstrap
        interval over clusters (see :func:`interval_level`; both None where ``no_interval`` says why); ``p``, of
        McNemar's exact or Wilcoxon's signed-rank test over samples; ``p_clustered``, of the same kind of test over
        clusters, None where every sample is its own; ``p_holm``, adjusted within the axis (of the clustered p where
        there is one), None overall; ``detectable``, the smallest difference that so many samples show with 80% power,
        None where none would; ``few``, whether n is below 10. Perception adds ``only_a``, ``only_b``, ``both`` and
        ``neither``, counts of samples that are right; reasoning adds ``n_differ``, ``method`` of the test and ``sd``
        of the differences.

    Raises:
        ValueError: there are no samples.
    """
    import numpy as np

    if not paired.samples:
        raise ValueError("a comparison of no samples")
    first, second = (np.array(side, dtype=float) for side in (paired.first, paired.second))
    clusters = np.array(paired.clusters)
    make = _perception_cell if paired.task is Task.PERCEPTION else _reasoning_cell

    def cell(positions: Sequence[int] | slice, columns: slice) -> dict[str, Any]:
        ours, theirs = (side[positions, columns].sum(axis=1) for side in (first, second))
        return make(ours, theirs, clusters[positions], seed)

    everything, every_column = slice(None), slice(None)
    axes: dict[str, dict[str, Any]] = {}
    if paired.task is not Task.PERCEPTION:
        axes[DIMENSION] = {
            title: cell(everything, slice(column, column + 1)) for column, title in enumerate(DIMENSION_TITLES.values())
        }
    for axis in AXES:
        groups = positions_by(axis, paired.samples)
        if groups:
            axes[axis] = {name: cell(positions, every_column) for name, positions in groups.items()}
    for cells in axes.values():
        adjust(list(cells.values()))
    return {"overall": {**cell(everything, every_column), "p_holm": None}, "axes": axes}


def adjust(cells: Sequence[dict[str, Any]]) -> None:
    """Set ``p_holm`` of the cells of one family."""
    for cell, adjusted in zip(cells, holm([decisive_p(cell) for cell in cells]), strict=True):
        cell["p_holm"] = adjusted


def decisive_p(cell: Mapping[str, Any]) -> float:
    """The p-value that counts: over clusters where samples share images."""
    found = cell["p"] if cell["p_clustered"] is None else cell["p_clustered"]
    return float(found)


def _perception_cell(first: Array, second: Array, clusters: Any, seed: int) -> dict[str, Any]:
    n = len(first)
    only_first, only_second = int((first > second).sum()), int((first < second).sum())
    both = int((first * second).sum())
    totals = _totals(first - second, clusters)
    shared = len(totals) < n
    design = _design_effect(totals, first - second) if shared else 1.0
    detectable = detectable_share(n / design, (only_first + only_second) / n)
    return {
        **_common(first, second, totals, seed, _PERCENT),
        "p": mcnemar(only_first, only_second),
        "p_clustered": sign_flip([int(one) for one in totals[:, 0]]).p if shared else None,
        "detectable": None if detectable is None else _PERCENT * detectable,
        "only_a": only_first,
        "only_b": only_second,
        "both": both,
        "neither": n - only_first - only_second - both,
    }


def _reasoning_cell(first: Array, second: Array, clusters: Any, seed: int) -> dict[str, Any]:
    differences = first - second
    totals = _totals(differences, clusters)
    tested = signed_rank(differences.tolist())
    shared = len(totals) < len(first)
    return {
        **_common(first, second, totals, seed, 1.0),
        "p": tested.p,
        "p_clustered": signed_rank(totals[:, 0].tolist()).p if shared else None,
        "detectable": detectable_mean(_root(mean_variance(totals.tolist()))),
        "n_differ": tested.n,
        "method": tested.method,
        # Of a mean of n independent values the variance is that of one of them, divided by n.
        "sd": _root(_independent_variance(differences), len(differences)),
    }


def _common(first: Array, second: Array, totals: Array, seed: int, scale: float) -> dict[str, Any]:
    n = len(first)
    low, high, why = _interval(totals, _mean, seed)
    return {
        "n": n,
        "n_clusters": len(totals),
        "a": scale * math.fsum(first) / n,
        "b": scale * math.fsum(second) / n,
        "difference": scale * math.fsum([*first, *-second]) / n,
        "low": scaled(low, scale),
        "high": scaled(high, scale),
        **({"no_interval": why} if why else {}),
        "few": n < FEW,
    }


def interval_of_mean(values: Sequence[float], clusters: Sequence[int], seed: int = 0) -> tuple[float, float] | None:
    """The 95% percentile bootstrap interval of a mean over clusters; None where there is no spread to know it from."""
    import numpy as np

    low, high, _ = _interval(_totals(np.array(values, dtype=float), np.array(clusters)), _mean, seed)
    return None if low is None or high is None else (low, high)


def scaled(end: float | None, scale: float) -> float | None:
    """An end of an interval in its unit, without the noise of sums of thirds: 0 is 0 and not 1e-10."""
    return None if end is None else round(scale * end, _SHOWN) + 0.0


def interval_level(clusters: int) -> float:
    """The level of the percentiles that make a 95% interval from so many clusters: ``1 - 2 Φ(-sqrt(C/(C-1)) t)``.

    ``t`` is Student's 97.5% quantile with C - 1 degrees of freedom. Plain percentiles are too narrow for few clusters,
    by this much for a mean (T. Hesterberg, Am. Stat. 69, 2015, p. 371, expanded percentile interval).
    """
    from scipy.special import ndtr, stdtrit

    quantile = stdtrit(clusters - 1, 0.5 + LEVEL / 2)
    return float(1 - 2 * ndtr(-math.sqrt(clusters / (clusters - 1)) * quantile))


def _interval(
    totals: Array, statistic: Callable[[Array], Array], seed: int
) -> tuple[float | None, float | None, str | None]:
    """Both ends, or why there are none: resamples of equal differences can only repeat them."""
    if len(totals) < 2:
        return None, None, "a single sample or image"
    means = totals[:, 0] / totals[:, 1]
    if means.max() - means.min() < 10**-_DIGITS:
        return None, None, "all differences are equal"
    mirrored = totals * (-1.0, 1.0)
    turn = _compared(totals, mirrored)
    (found,) = bootstrap(mirrored if turn < 0 else totals, statistic, seed, interval_level(len(totals)))
    if found is None:
        return None, None, "too few resamples"
    if turn:
        return (*found, None) if turn > 0 else (-found[1], -found[0], None)
    half = (found[1] - found[0]) / 2
    return -half, half, None


def _compared(totals: Array, mirrored: Array) -> int:
    """Which of the two is drawn from, 1 or -1, so that the interval of b - a mirrors that of a - b to the last digit.

    It is the one with the greater sum, else with the greater clusters; 0 where the differences are symmetric around 0.
    """
    total = round(math.fsum(totals[:, 0]), _SHOWN)
    if total:
        return 1 if total > 0 else -1
    ours, theirs = (sorted(map(tuple, rows.tolist())) for rows in (totals, mirrored))
    return (ours > theirs) - (ours < theirs)


def _mean(sums: Array) -> Array:
    return sums[:, 0] / sums[:, 1]


def _totals(values: Array, clusters: Any) -> Array:
    """(clusters x 2): a cluster's sum and its number of samples."""
    import numpy as np

    totals = totals_by_cluster(clusters, np.column_stack([values, np.ones(len(values))]))
    return np.round(totals, _DIGITS)


def _root(variance: float | None, times: int = 1) -> float | None:
    return None if variance is None else math.sqrt(times * variance)


def _independent_variance(differences: Array) -> float | None:
    """Of the mean, with every sample as a cluster of its own."""
    return mean_variance((one, 1) for one in differences.tolist())


def _design_effect(totals: Array, differences: Array) -> float:
    """How many times the variance grows by shared images (L. Kish, Survey Sampling, 1965, ch. 8.2); at least 1."""
    clustered, independent = mean_variance(totals.tolist()), _independent_variance(differences)
    return max(1.0, clustered / independent) if clustered is not None and independent else 1.0


# Several runs on the samples that all of them have: a ranking, and which of them cannot be told apart.


def rank_runs(
    values: Mapping[str, Sequence[float]], clusters: Sequence[int], scale: float = 1.0, seed: int = 0
) -> list[dict[str, Any]]:
    """The runs' means over common samples, best first, equal ones in the order given.

    Args:
        values: a run's label -> its value a sample; all parallel to ``clusters``.
        clusters: the samples that share an image have one number.
        scale: what a mean is multiplied by: 100 turns shares of right answers into percent.
        seed: of the bootstrap.

    Returns:
        One object a run: ``run``, ``value``, ``low`` and ``high`` (95% percentile bootstrap over clusters; None where
        all values are equal) and ``n``.
    """
    found = []
    for run, column in values.items():
        n = len(column)
        low, high = interval_of_mean(column, clusters, seed) or (None, None)
        found.append(
            {
                "run": run,
                "value": scale * math.fsum(column) / n if n else None,
                "low": scaled(low, scale),
                "high": scaled(high, scale),
                "n": n,
            }
        )
    return sorted(found, key=lambda one: -(one["value"] or 0.0))


def mark_distinct(pairs: Sequence[dict[str, Any]]) -> None:
    """Adjust the overall p-values of all pairs as one family, and set each pair's ``distinct``: adjusted p < 0.05."""
    adjust([pair["overall"] for pair in pairs])
    for pair in pairs:
        pair["distinct"] = pair["overall"]["p_holm"] < ALPHA


def not_distinct(run: str, ranking: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The runs that ``run`` cannot be told apart from, in the ranking's order."""
    like = {
        other
        for pair in pairs
        if not pair["distinct"]
        for one, other in ((pair["a"], pair["b"]), (pair["b"], pair["a"]))
        if one == run
    }
    return [str(row["run"]) for row in ranking if row["run"] in like]
