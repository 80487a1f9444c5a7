"""Two runs on the same samples: paired differences, their intervals, tests, and what so many samples can show.

A difference is always that of the first run less that of the second: above 0 the first is better. Perception is in
percent (0-100) and percentage points, a reasoning dimension in points of 0-2, and the sum of the four in points of
0-8. The numbers of a pair are over the samples that both have, and differ from each run's own where the runs do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.scoring.axes import positions_by
from medqbench_vlmeval.scoring.detectable import detectable_mean, detectable_share
from medqbench_vlmeval.scoring.intervals import FEW, LEVEL, mean_variance
from medqbench_vlmeval.scoring.paired_tests import holm, mcnemar, sign_flip, signed_rank
from medqbench_vlmeval.scoring.resampling import METHOD, bootstrap, totals_by_cluster
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

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
    if found.low is None or found.high is None:
        return None, None, "too few resamples"
    if turn:
        return (found.low, found.high, None) if turn > 0 else (-found.high, -found.low, None)
    half = (found.high - found.low) / 2
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
