"""The scores that a judge gave, as columns."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.records import JudgedSample


def scores_of(judged: Sequence[JudgedSample], dimension: str) -> list[float | None]:
    """The scores of one dimension, parallel to ``judged``; None where there is none."""
    return [one.verdicts[dimension].score if dimension in one.verdicts else None for one in judged]
