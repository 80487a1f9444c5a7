"""Confidence intervals for proportions and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion, both ends in 0-1.

    Centre ``(p + z²/2n) / (1 + z²/n)``, half width ``z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n)`` with ``p`` the
    observed share and ``z`` the normal quantile of ``level`` (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927,
    p. 209). It stays inside 0-1 and keeps its coverage for small ``n`` and shares near 0 and 1.

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


def clipped(interval: tuple[float, float] | None, low: float, high: float) -> tuple[float, float] | None:
    """An interval cut to a scale: a mean of verdicts from 0 to 2 cannot lie outside them."""
    return None if interval is None else (max(low, interval[0]), min(high, interval[1]))


def sum_of_means_interval(
    columns: Sequence[Sequence[float | None]], level: float = LEVEL
) -> tuple[float, float] | None:
    """Normal interval of a sum of column means, where rows may lack values in some columns.

    The columns are parallel. A row's influence on the sum is ``u = Σ_d (x_d - m_d) / n_d`` over the columns ``d`` in
    which it has a value, with ``m_d`` and ``n_d`` the column's mean and count; the variance is ``n/(n-1) Σ u²`` over
    the ``n`` rows that have any value (the delta method with the usual small-sample factor; P. J. Huber, Proc. Fifth
    Berkeley Symp. 1, 1967, p. 221). Without gaps this is the interval of the mean of the row sums. None where a
    column is empty or fewer than two rows have values.
    """
    means = [fmean(known) if (known := [x for x in column if x is not None]) else None for column in columns]
    counts = [sum(x is not None for x in column) for column in columns]
    rows = [row for row in zip(*columns, strict=True) if any(x is not None for x in row)]
    if any(mean is None for mean in means) or len(rows) < 2:
        return None
    centre = sum(mean for mean in means if mean is not None)
    influence = [
        sum((x - mean) / n for x, mean, n in zip(row, means, counts, strict=True) if x is not None and mean is not None)
        for row in rows
    ]
    variance = len(rows) / (len(rows) - 1) * sum(u * u for u in influence)
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(variance)
    return centre - half, centre + half


def mean_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Normal interval of a mean, ``mean ± z·s/sqrt(n)`` with the sample standard deviation ``s`` (n-1).

    Samples are taken as independent. None for fewer than two values, where no spread can be known.
    """
    if len(values) < 2:
        return None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    half = z * stdev(values) / math.sqrt(len(values))
    centre = fmean(values)
    return centre - half, centre + half
