"""Differences of two figures with their bootstrap interval, and the findings that are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from medqbench_vlmeval.scoring.findings.finding import ALIKE, Finding, interval_words
from medqbench_vlmeval.scoring.findings.measures import Measure
from medqbench_vlmeval.scoring.intervals import FEW, LEVEL, Column, Interval
from medqbench_vlmeval.scoring.resampling import METHOD
from medqbench_vlmeval.scoring.sum_of_means import SumOfMeans

TOO_FEW_IMAGES = "too few images are behind it"


@dataclass(frozen=True)
class Gap:
    """A difference with its percentile interval, ``units`` clusters behind it, chosen among ``choices``.

    ``chosen`` is the word for what was chosen.
    """

    value: float
    interval: Interval | None
    units: int
    choices: int = 1
    chosen: str = "pair"

    @property
    def low(self) -> float | None:
        return None if self.interval is None else self.interval[0]

    @property
    def high(self) -> float | None:
        return None if self.interval is None else self.interval[1]

    @property
    def why(self) -> str:
        """Why there is no interval, where there is none: clusters are few only where samples share images."""
        return TOO_FEW_IMAGES if self.units < FEW else ALIKE

    def words(self, unit: str, widened_for: int = 1) -> str:
        """The interval in words (see :func:`~.finding.interval_words`)."""
        return interval_words(self.low, self.high, unit, widened_for, self.why)

    @property
    def method(self) -> str:
        """How the interval was made; that of a chosen pair has the level of Bonferroni's correction."""
        if self.interval is None:
            return f"none: {self.why}"
        if self.choices == 1:
            return METHOD
        level = f"level {100 * _level(self.choices):.2f}%"
        return f"{METHOD}, {level} as the {self.chosen} is one of {self.choices} (Bonferroni)"


def gap_between(
    measure: Measure, first: Sequence[int], second: Sequence[int], clusters: Sequence[int], choices: int = 1
) -> Gap:
    """The figure of ``first`` less that of ``second``, two groups of positions without a common one."""
    one, other = measure.of(first), measure.of(second)
    if one is None or other is None:
        raise ValueError("a gap needs a value on both sides")
    interval = SumOfMeans(measure.columns, clusters).gap_interval(first, second, _level(choices))
    return Gap(one - other, interval, len({clusters[i] for i in (*first, *second)}), choices)


def shares_apart(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[int], choices: int = 1, chosen: str = "pair"
) -> Gap:
    """The share of ``first`` less that of ``second`` in the same samples, in points."""
    value = 100 * (sum(first) - sum(second)) / len(first)
    column = [100.0 * (one - other) for one, other in zip(first, second, strict=True)]
    interval = SumOfMeans([column], clusters).interval(_level(choices))
    return Gap(value, interval, len(set(clusters)), choices, chosen)


def means_apart(first: Column, second: Column, clusters: Sequence[int]) -> Gap:
    """The mean of ``first`` less that of ``second``, two columns of the same samples that both have values."""
    one, other = (fmean(value for value in column if value is not None) for column in (first, second))
    n = len(first)
    # One below the other they are two groups of one column, whose samples lie in the same clusters.
    interval = SumOfMeans([[*first, *second]], [*clusters, *clusters]).gap_interval(range(n), range(n, 2 * n))
    return Gap(one - other, interval, len(set(clusters)))


def gap_finding(title: str, statement: str, gap: Gap, unit: str, n: int, details: Mapping[str, Any]) -> Finding:
    """The finding whose value is a gap."""
    return Finding(
        title,
        statement,
        gap.value,
        unit,
        gap.low,
        gap.high,
        n,
        gap.method,
        {**details, "n_clusters": gap.units},
        units=gap.units,
    )


def _level(choices: int) -> float:
    """Bonferroni's, for one that was chosen, by its gap, among so many."""
    return 1 - (1 - LEVEL) / choices
