"""How well a judge's scores agree with people's, with bootstrap intervals.

Scores lie on the scale 0-2. They may lie between its marks: the mean of a judge's rounds, the median of a panel or
of several raters. For whole numbers every statistic here is the usual one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.scoring.intervals import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MARKS = (0, 1, 2)
RESAMPLES = 2000
_NEAR = 0.5
_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less


def is_same(one: float, other: float) -> bool:
    """Whether two scores differ by less than 0.5; whole scores: whether they are equal."""
    return round(abs(one - other), _DIGITS) < _NEAR


def share_same(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of samples, in percent, whose two scores are the same (:func:`is_same`).

    Raises:
        ValueError: there are no samples.
    """
    if not first:
        raise ValueError("a share of no samples")
    return 100 * sum(is_same(one, other) for one, other in zip(first, second, strict=True)) / len(first)


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Quadratic weighted kappa, at most 1; None where one side gives every sample the same score.

    ``1 - mean((x - y)²) / (mean x² + mean y² - 2 mean x mean y)``: one less the mean squared difference over the
    one that is expected of independent ratings with these margins. For whole scores this is Cohen's kappa with
    quadratic weights (J. Cohen, Psychol. Bull. 70, 1968, p. 213); this form needs no table of marks, so it holds
    for means and medians too. Of a constant side the formula says 0 whatever the agreement, and 0/0 of two equal
    ones: neither is a finding.
    """
    if _is_constant(first) or _is_constant(second):
        return None
    apart = fmean((x - y) ** 2 for x, y in zip(first, second, strict=True))
    by_chance = fmean(x * x for x in first) + fmean(y * y for y in second) - 2 * fmean(first) * fmean(second)
    return 1 - apart / by_chance


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, Pearson's of the midranks (ties share the mean of their ranks), -1 to 1.

    None where one side gives every sample the same score.
    """
    if _is_constant(first) or _is_constant(second):
        return None
    ranks = [_midranks(values) for values in (first, second)]
    middle = (len(first) + 1) / 2
    one, other = ([rank - middle for rank in of_side] for of_side in ranks)
    product = math.fsum(x * y for x, y in zip(one, other, strict=True))
    return product / math.sqrt(math.fsum(x * x for x in one) * math.fsum(y * y for y in other))


def measure_agreement(judge: Sequence[float], human: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """A judge against people on the same samples; the two sequences are parallel.

    Returns:
        ``n``; ``accuracy`` in percent (:func:`share_same`), ``kappa`` and ``spearman``, None where undefined;
        ``bias``, the judge's mean less the people's; ``confusion``, counts by the people's mark and then by the
        judge's (scores between two marks go to the nearest, halves to the upper); ``intervals``, 95% percentile
        bootstrap over samples (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13) from
        2,000 resamples with a fixed seed; ``n_undefined``, how many resamples left a statistic undefined and were
        left out of its interval.
    """
    if not judge:
        return {"n": 0, "accuracy": None, "kappa": None, "spearman": None, "bias": None}
    intervals, undefined = _bootstrap(judge, human, seed)
    return {
        "n": len(judge),
        "accuracy": share_same(judge, human),
        "kappa": weighted_kappa(judge, human),
        "spearman": spearman(judge, human),
        "bias": fmean(judge) - fmean(human),
        "intervals": {"level": LEVEL, "method": f"percentile bootstrap, {RESAMPLES} resamples", **intervals},
        "n_undefined": undefined,
        "confusion": confusion(judge, human),
    }


def confusion(judge: Sequence[float], human: Sequence[float]) -> dict[str, dict[str, int]]:
    """Counts by the people's mark (outer key) and the judge's (inner key)."""
    found = Counter((_mark(theirs), _mark(its)) for its, theirs in zip(judge, human, strict=True))
    return {str(row): {str(column): found[row, column] for column in MARKS} for row in MARKS}


def _bootstrap(
    first: Sequence[float], second: Sequence[float], seed: int
) -> tuple[dict[str, list[float] | None], dict[str, int]]:
    """Intervals by statistic, and how many resamples left each one undefined.

    Drawing n samples with replacement is drawing a table of counts over the pairs of scores that occur: few, however
    many samples there are.
    """
    import numpy as np

    cells = sorted(Counter(zip(first, second, strict=True)).items())
    x = np.array([pair[0] for pair, _ in cells], dtype=float)
    y = np.array([pair[1] for pair, _ in cells], dtype=float)
    n = len(first)
    shares = np.array([count for _, count in cells]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES).astype(float)

    (x_ranks, x_varies), (y_ranks, y_varies) = _rank_draws(x, draws), _rank_draws(y, draws)
    defined = x_varies & y_varies
    near = np.array([is_same(one, other) for (one, other), _ in cells], dtype=float)
    apart = draws @ (x - y) ** 2
    by_chance = draws @ x**2 + draws @ y**2 - 2 * (draws @ x) * (draws @ y) / n
    products = (draws * x_ranks * y_ranks).sum(axis=1)
    spread = np.sqrt((draws * x_ranks**2).sum(axis=1) * (draws * y_ranks**2).sum(axis=1))
    found = {
        "accuracy": 100 * (draws @ near) / n,
        "kappa": 1 - apart[defined] / by_chance[defined],
        "spearman": products[defined] / spread[defined],
    }
    ends = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    intervals = {
        name: [float(end) for end in np.percentile(values, ends)] if len(values) else None
        for name, values in found.items()
    }
    return intervals, {name: RESAMPLES - len(values) for name, values in found.items()}


def _rank_draws(values: Array, draws: Array) -> tuple[Array, Any]:
    """Midranks of a side's values in each draw, less their mean, (draws, cells); and which draws hold two values."""
    import numpy as np

    levels, at = np.unique(values, return_inverse=True)
    per_level = draws @ (at[:, None] == np.arange(len(levels))).astype(float)
    ranks = per_level.cumsum(axis=1) - per_level / 2 + 0.5
    middle = (draws.sum(axis=1, keepdims=True) + 1) / 2
    return ranks[:, at] - middle, (per_level > 0).sum(axis=1) > 1


def _midranks(values: Sequence[float]) -> list[float]:
    counts: Mapping[float, int] = Counter(values)
    before = 0
    ranks: dict[float, float] = {}
    for value in sorted(counts):
        ranks[value] = before + (counts[value] + 1) / 2
        before += counts[value]
    return [ranks[value] for value in values]


def _is_constant(values: Sequence[float]) -> bool:
    return len(set(values)) < 2


def _mark(score: float) -> int:
    return math.floor(round(score, _DIGITS) + _NEAR)
