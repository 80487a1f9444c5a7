"""One number of a result with what it rests on: for figures and cards, the same cells as in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.report.runs import OVERALL, RunPart, ends_of, is_few, mapping, number, whole
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task


@dataclass(frozen=True)
class Point:
    """One number: ``value``, its interval's ends and ``n``, in the task's unit; None where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None
    few: bool

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends of the interval; None where there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def cell_point(task: Task, cell: Mapping[str, Any]) -> Point:
    """A group's cell of the result as a point: its accuracy, or its sum of means."""
    if task is Task.PERCEPTION:
        value, n, ends = cell.get("accuracy"), cell.get("n"), ends_of([cell.get("low"), cell.get("high")])
    else:
        value, n, ends = cell.get(OVERALL), cell.get("n_scored"), ends_of(mapping(cell.get("intervals")).get(OVERALL))
    low, high = ends or (None, None)
    return Point(number(value), low, high, whole(n), is_few(task, cell))


def measure_point(part: RunPart, measure: str) -> Point:
    """One of a run's headline numbers."""
    n = part.measure_n(measure)
    low, high = part.intervals.get(measure, (None, None))
    return Point(part.values.get(measure), low, high, n, n is not None and n < FEW)
