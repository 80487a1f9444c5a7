"""One number of a result with what it rests on: for figures, matrices, charts and cards, as in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.report.runs import OVERALL, RunPart, ends_of, is_few, mapping, number, whole
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import DIMENSION_TITLES, MAX_VERDICT, Task


@dataclass(frozen=True)
class Point:
    """One number: ``ends`` is its interval and ``n`` what it rests on, in the task's unit; None where there is none."""

    value: float | None
    ends: tuple[float, float] | None = None
    n: int | None = None
    few: bool = False

    @property
    def low(self) -> float | None:
        return None if self.ends is None else self.ends[0]

    @property
    def high(self) -> float | None:
        return None if self.ends is None else self.ends[1]


NOTHING = Point(None)


def cell_point(task: Task, cell: Mapping[str, Any], measure: str = OVERALL) -> Point:
    """A measure of a group's cell as the result file has it; of perception its accuracy."""
    if task is Task.PERCEPTION:
        ends = ends_of((cell.get("low"), cell.get("high")))
        return Point(number(cell.get("accuracy")), ends, whole(cell.get("n")), is_few(task, cell))
    ends = ends_of(mapping(cell.get("intervals")).get(measure))
    return Point(number(cell.get(measure)), ends, whole(cell.get("n_scored")), is_few(task, cell))


def measure_point(part: RunPart, measure: str = OVERALL) -> Point:
    """One of a run's headline numbers."""
    n = part.measure_n(measure)
    return Point(part.values.get(measure), part.intervals.get(measure), n, n is not None and n < FEW)


def top_of(task: Task, name: str = OVERALL) -> float:
    """The end of a measure's scale: 100 (percent), 2 (a dimension) or 8 (Overall, also of any group)."""
    if task is Task.PERCEPTION:
        return 100.0
    single = name in DIMENSION_TITLES.values()
    return float(MAX_VERDICT if single else MAX_VERDICT * len(DIMENSION_TITLES))
