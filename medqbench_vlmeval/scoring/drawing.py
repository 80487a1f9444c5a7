"""Drawing clusters with replacement, and their sums where there are too many clusters to draw each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
