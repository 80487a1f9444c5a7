"""Bootstrap intervals of a sum of means, and of the difference of two groups' sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medqbench_vlmeval.scoring.intervals import LEVEL, Column, Interval
from medqbench_vlmeval.scoring.resampling import interval_of, totals_by_cluster

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


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
