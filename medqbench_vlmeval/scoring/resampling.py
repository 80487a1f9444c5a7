"""The bootstrap behind every interval that has no closed form: sums, gaps, differences and ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.scoring.drawing import drawn_sums
from medqbench_vlmeval.scoring.intervals import LEVEL, NO_WIDTH, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

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
    return [_interval(column, level) for column in columns]


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


def _interval(values: Array, level: float) -> Resampled:
    import numpy as np

    known = values[np.isfinite(values)]
    undefined = len(values) - len(known)
    if len(known) <= len(values) / 2:
        return Resampled(None, None, undefined)
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return Resampled(float(low), float(high), undefined)
