"""What a finding is: one sentence with the figure behind it, its interval and its count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, MAX_VERDICT
from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.intervals import (
    FEW,
    LEVEL,
    METHOD,
    Column,
    Interval,
    SumOfMeans,
    clipped,
    sum_of_means_interval,
    wilson_percent,
)
from medqbench_vlmeval.scoring.summary import is_right
from medqbench_vlmeval.types import Answer, Judged, Sample, scores_of

PERCENT = "percent"
POINTS = "points"
SCORE = "score"
CORRELATION = "correlation"

ALIKE = "the samples do not vary"
"""Why most intervals that are missing are missing."""

_NAME_LIMIT = 60
_NOUGHT = 1e-9


@dataclass(frozen=True)
class Finding:
    """One finding on one run.

    ``value``, ``low`` and ``high`` are in ``unit``: 'percent' (0-100), 'points' (a difference of percentages), 'score'
    (judge's scale: means 0-2, sums 0-8, and their differences) or 'correlation' (-1 to 1). ``low`` and ``high`` are
    None where no interval can be given. ``n`` is how many samples the value rests on and ``units`` how many of them
    are independent (clusters of samples that share an image), None where the interval takes all for independent.
    ``statement`` claims a difference only where the interval leaves out 0.
    """

    title: str
    statement: str
    value: float
    unit: str
    low: float | None
    high: float | None
    n: int
    method: str
    details: Mapping[str, Any] = field(default_factory=dict)
    units: int | None = None


@dataclass(frozen=True)
class NotFound:
    """Why the data does not support a finding."""

    reason: str


def assembled(found: Mapping[str, Finding | NotFound | None]) -> dict[str, Any]:
    """Findings as plain JSON by name, and the reasons for those that are absent under ``not_found``.

    None stands for what a task has no such thing as and is left out.
    """
    absent = {name: one.reason for name, one in found.items() if isinstance(one, NotFound)}
    return {**{name: _as_json(one) for name, one in found.items() if isinstance(one, Finding)}, "not_found": absent}


def shown(name: str) -> str:
    """A group's name for use in a sentence: on one line, 60 characters at most."""
    line = " ".join(name.split())
    return line if len(line) <= _NAME_LIMIT else f"{line[: _NAME_LIMIT - 1]}…"


def amount(value: float, unit: str) -> str:
    """A figure with its unit: '56.04%', '13.50 points', '1.234', '-0.12'."""
    return _figure(value, unit) + {PERCENT: "%", POINTS: " points"}.get(unit, "")


def interval_words(low: float | None, high: float | None, unit: str, widened_for: int = 1, why: str = ALIKE) -> str:
    """'95% interval 1.20 to 3.40'; ``widened_for`` is the number of pairs among which the compared one was chosen.

    ``why`` there is no interval, where there is none.
    """
    if low is None or high is None:
        return f"no interval, as {why}"
    ends = f"95% interval {_figure(low, unit)} to {_figure(high, unit)}"
    return ends if widened_for == 1 else f"{ends}, widened for the choice among {widened_for} pairs"


def is_apart(low: float | None, high: float | None) -> bool:
    """Whether an interval of a difference leaves out 0."""
    return low is not None and high is not None and (low > 0 or high < 0)


def unproven(value: float, low: float | None) -> str:
    """How a sentence begins that claims no difference; one without an interval may be more than chance, or not."""
    return "No evidence that" if low is not None or abs(value) < _NOUGHT else "It cannot be told whether"


def _figure(value: float, unit: str) -> str:
    """Two decimals, three on the judge's scale; more where nothing but noughts would be left."""
    shortened = f"{value:.{3 if unit == SCORE else 2}f}"
    if float(shortened) != 0:
        return shortened
    return shortened.removeprefix("-") if abs(value) < _NOUGHT else f"{value:.1g}"


def _as_json(found: Finding) -> dict[str, Any]:
    return {
        "title": found.title,
        "statement": found.statement,
        "value": found.value,
        "unit": found.unit,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "few": min(found.n, found.n if found.units is None else found.units) < FEW,
        "method": found.method,
        "details": dict(found.details),
    }


# The figure that findings compare between groups.


@dataclass(frozen=True)
class Measure:
    """Values of samples, one column a dimension and parallel over samples, None where a sample has none.

    A group's figure is the sum of its columns' means: of perception the accuracy in percent (one column of 0 and
    100), of reasoning Overall (four columns of 0-2).
    """

    columns: tuple[tuple[float | None, ...], ...]
    unit: str

    @property
    def gap_unit(self) -> str:
        return POINTS if self.unit == PERCENT else SCORE

    def of(self, positions: Sequence[int]) -> float | None:
        """The figure of the samples at ``positions``, None where a column has no value there."""
        means = []
        for column in self.columns:
            known = [value for i in positions if (value := column[i]) is not None]
            if not known:
                return None
            means.append(fmean(known))
        return math.fsum(means)

    def complete(self, positions: Sequence[int]) -> list[int]:
        """Those of ``positions`` that have a value in every column."""
        left = list(positions)
        for column in self.columns:
            left = [i for i in left if column[i] is not None]
        return left


def accuracy_measure(samples: Sequence[Sample], extractions: Sequence[Answer]) -> Measure:
    """Right answers in percent; no answer is a wrong one."""
    right = tuple(100.0 * is_right(sample, one.letter) for sample, one in zip(samples, extractions, strict=True))
    return Measure((right,), PERCENT)


def overall_measure(judged: Sequence[Judged]) -> Measure:
    """Overall, the sum of the four dimensions' means."""
    return Measure(tuple(tuple(scores_of(judged, dimension)) for dimension in DIMENSIONS), SCORE)


def cell(measure: Measure, positions: Sequence[int], clusters: Sequence[int]) -> dict[str, Any]:
    """A group's figure with its own 95% interval: as in the tables of groups."""
    whole = measure.complete(positions)
    value = measure.of(positions)
    if measure.unit == PERCENT:
        right = sum(measure.columns[0][i] == 100 for i in whole)
        ends = wilson_percent(right, len(whole))
    else:
        columns = [[column[i] for i in positions] for column in measure.columns]
        ends = clipped(sum_of_means_interval(columns, [clusters[i] for i in positions]), 0, MAX_VERDICT * len(columns))
    low_end, high_end = ends or (None, None)
    return {"value": value, "low": low_end, "high": high_end, "n": len(whole), "few": len(whole) < FEW}


# Differences of two figures with their bootstrap interval, and the findings that are one.


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


# Shares in percent, and the findings that are one.


WILSON = f"{intervals.WILSON}, samples taken as independent"


def share(count: int, n: int) -> dict[str, Any]:
    """A share in percent with Wilson's interval."""
    low, high = wilson_percent(count, n) or (None, None)
    return {
        "count": count,
        "of": n,
        "share": 100 * count / n if n else None,
        "low": low,
        "high": high,
        "few": n < FEW,
    }


def share_words(found: Mapping[str, Any]) -> str:
    """A share of something with its interval: '12.50%, 95% interval 5.46 to 26.11'."""
    return f"{amount(found['share'], PERCENT)}, {interval_words(found['low'], found['high'], PERCENT)}"


def share_finding(title: str, statement: str, found: Mapping[str, Any], details: Mapping[str, Any]) -> Finding:
    """The finding whose value is a share of something."""
    value, low, high = (found[name] for name in ("share", "low", "high"))
    return Finding(title, statement, value, PERCENT, low, high, found["of"], WILSON, details)
