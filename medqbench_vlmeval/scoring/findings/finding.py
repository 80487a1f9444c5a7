"""What a finding rests on: a measure of groups, gaps between groups, and shares, each with its interval in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from medqbench_vlmeval.benchmark import MAX_VERDICT, UNKNOWN
from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.summary import positions_by
from medqbench_vlmeval.types import FEW, LEVEL, WILSON, Cell, Contrasts, Details, Finding, Sample

PERCENT = "percent"
POINTS = "points"
SCORE = "score"
CORRELATION = "correlation"

_METHOD = f"{WILSON}, samples taken as independent"
ALIKE = "the samples do not vary"
TOO_FEW_IMAGES = "too few images are behind it"

_NAME_LIMIT = 60
_NOUGHT = 1e-9


@dataclass(frozen=True)
class Findings:
    """The findings of a task by name, and the reasons for those that its data does not support."""

    findings: Mapping[str, Finding]
    not_found: Mapping[str, str]
    drops: Contrasts = field(default_factory=dict)
    calibration: Contrasts = field(default_factory=dict)

    @classmethod
    def of(cls, by_name: Mapping[str, Finding | str | None]) -> Findings:
        """Sort findings and reasons; None stands for what a task has no such thing as and is left out."""
        return cls(
            {name: finding for name, finding in by_name.items() if isinstance(finding, Finding)},
            {name: reason for name, reason in by_name.items() if isinstance(reason, str)},
        )


def on_one_line(name: str) -> str:
    """A group's name for use in a sentence: on one line, 60 characters at most."""
    line = " ".join(name.split())
    return line if len(line) <= _NAME_LIMIT else f"{line[: _NAME_LIMIT - 1]}…"


def amount(value: float | None, unit: str) -> str:
    """A figure with its unit: '56.04%', '13.50 points', '1.234', '-0.12'."""
    return "no value" if value is None else _figure(value, unit) + {PERCENT: "%", POINTS: " points"}.get(unit, "")


def interval_words(interval: intervals.Interval | None, unit: str, why: str = ALIKE) -> str:
    """'95% interval 1.20 to 3.40', or ``why`` there is none."""
    if interval is None:
        return f"no interval, as {why}"
    return f"95% interval {_figure(interval[0], unit)} to {_figure(interval[1], unit)}"


def excludes_zero(interval: intervals.Interval | None) -> bool:
    """Whether an interval of a difference leaves out 0."""
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def no_claim(value: float, interval: intervals.Interval | None) -> str:
    """How a sentence begins that claims no difference; one without an interval may be more than chance, or not."""
    return "No evidence that" if interval or abs(value) < _NOUGHT else "It cannot be told whether"


def _figure(value: float, unit: str) -> str:
    """Two decimals, three on the judge's scale; more where nothing but noughts would be left."""
    shortened = f"{value:.{3 if unit == SCORE else 2}f}"
    if float(shortened) != 0:
        return shortened
    return shortened.removeprefix("-") if abs(value) < _NOUGHT else f"{value:.1g}"


@dataclass(frozen=True)
class Measure:
    """What findings compare between groups: values of samples, in columns that are parallel over samples. A group's
    figure is the sum of its columns' means: of perception the accuracy in percent (one column of 0 and 100), of pairs
    of rows a difference in points, of reasoning Overall (four columns of 0-2). A value is None where a sample has none.
    Samples that share an image have the same number in ``clusters``."""

    columns: Sequence[intervals.Column]
    unit: str
    clusters: Sequence[int]
    samples: Sequence[Sample] = ()

    def groups(self, axis: str) -> dict[str, list[int]] | str:
        """Positions by the value on an axis, without the samples that have none, or why there are no groups."""
        positions = positions_by(axis, self.samples)
        positions.pop(UNKNOWN, None)
        return positions or f"the data does not say the {axis}"

    def of(self, positions: Sequence[int]) -> float | None:
        """The figure of the samples at ``positions``, None where a column has no value there."""
        return intervals.means_and_sum([[column[i] for i in positions] for column in self.columns])[1]

    def complete(self, positions: Sequence[int]) -> list[int]:
        """Those of ``positions`` that have a value in every column."""
        return [i for i in positions if all(column[i] is not None for column in self.columns)]

    def cell(self, positions: Sequence[int]) -> Cell:
        """A group's figure with its own 95% interval, as in the tables of groups."""
        whole = self.complete(positions)
        if self.unit == PERCENT:
            return intervals.share_cell(sum(self.columns[0][i] == 100 for i in whole), len(whole))
        columns = [[column[i] for i in positions] for column in self.columns]
        interval = intervals.means_and_sum_intervals(columns, [self.clusters[i] for i in positions])[1]
        scale = (-100, 100) if self.unit == POINTS else (0, MAX_VERDICT * len(columns))
        return intervals.interval_cell(self.of(positions), intervals.clipped(interval, *scale), len(whole))

    def cells(self, groups: Mapping[str, Sequence[int]]) -> dict[str, Cell]:
        """The cell of each group."""
        return {name: self.cell(positions) for name, positions in groups.items()}

    def gap(self, first: Sequence[int], second: Sequence[int], choices: int = 1) -> Gap:
        """The figure of ``first`` less that of ``second``, two groups of positions without a common one."""
        minuend, subtrahend = self.of(first), self.of(second)
        if minuend is None or subtrahend is None:
            raise ValueError("a gap needs a value on both sides")
        interval = intervals.bootstrap_gap(self.columns, self.clusters, first, second, _level(choices))
        n_clusters = len({self.clusters[i] for i in (*first, *second)})
        return Gap(minuend - subtrahend, interval, SCORE if self.unit == SCORE else POINTS, n_clusters, choices)


@dataclass(frozen=True)
class Gap:
    """A difference of two figures with its percentile interval, from ``n_clusters`` clusters of samples, at the level
    of Bonferroni's correction where it was picked for its size among ``choices``; ``picked`` is the word for these."""

    value: float
    interval: intervals.Interval | None
    unit: str
    n_clusters: int
    choices: int = 1
    picked: str = "pair"

    @property
    def is_proven(self) -> bool:
        """Whether the interval leaves out 0."""
        return excludes_zero(self.interval)

    def claim(self, claim: str, doubt: str) -> str:
        """``claim`` where the gap is proven, else that there is no evidence of what ``doubt`` says."""
        return claim if self.is_proven else f"{no_claim(self.value, self.interval)} {doubt}"

    @property
    def size(self) -> str:
        """The difference without its sign, in words."""
        return amount(abs(self.value), self.unit)

    @property
    def words(self) -> str:
        """The interval in words."""
        words = interval_words(self.interval, self.unit, self._why)
        among = f"the choice among {self.choices} pairs" if self.picked == "pair" else f"{self.choices} {self.picked}s"
        return words if self.interval is None or self.choices == 1 else f"{words}, widened for {among}"

    @property
    def _why(self) -> str:
        """Why there is no interval, where there is none: clusters are few only where samples share images."""
        return TOO_FEW_IMAGES if self.n_clusters < FEW else ALIKE

    @property
    def method(self) -> str:
        """How the interval was made."""
        if self.interval is None:
            return f"none: {self._why}"
        level = f"level {100 * _level(self.choices):.2f}% as the {self.picked} is one of {self.choices} (Bonferroni)"
        return intervals.METHOD if self.choices == 1 else f"{intervals.METHOD}, {level}"

    def finding(self, title: str, statement: str, n: int, details: Details) -> Finding:
        """The finding whose value is this gap, over ``n`` samples."""
        cell = replace(intervals.interval_cell(self.value, self.interval, n), few=min(n, self.n_clusters) < FEW)
        return Finding(title, statement, self.unit, cell, self.method, replace(details, n_clusters=self.n_clusters))


def _level(choices: int) -> float:
    return 1 - (1 - LEVEL) / choices


def gap_of_shares(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[int], choices: int = 1, picked: str = "pair"
) -> Gap:
    """The share of ``first`` less that of ``second`` in the same samples, in points."""
    value = 100 * (sum(first) - sum(second)) / len(first)
    column = [100.0 * (x - y) for x, y in zip(first, second, strict=True)]
    interval = intervals.bootstrap_sum_of_means([column], clusters, _level(choices))
    return Gap(value, interval, POINTS, len(set(clusters)), choices, picked)


def share(count: int, n: int) -> Cell:
    """A share in percent with Wilson's interval."""
    return replace(intervals.share_cell(count, n), counts={"count": count})


def share_words(cell: Cell) -> str:
    """A share of something with its interval: '12.50%, 95% interval 5.46 to 26.11'."""
    return f"{amount(cell.value, PERCENT)}, {interval_words(cell.interval, PERCENT)}"


def share_finding(title: str, statement: str, cell: Cell, details: Details) -> Finding:
    """The finding whose value is a share of something."""
    return Finding(title, statement, PERCENT, replace(cell, counts={}), _METHOD, details)
