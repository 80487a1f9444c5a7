"""Several runs on the samples that all of them have: a ranking, and which of them cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.scoring.comparison import ALPHA, adjust, interval_of_mean, scaled


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
