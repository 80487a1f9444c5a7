"""The published rows, as reference beside a user's own numbers. Own numbers never enter these files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medqbench_vlmeval.tasks import DIMENSION_TITLES, QUESTION_TYPES, Task

_FOLDER = Path(__file__).parent / "published"
_FILES = {
    Task.PERCEPTION: "perception_test.csv",
    Task.NO_REFERENCE: "no_reference_test.csv",
    Task.COMPARATIVE: "comparative_test.csv",
}
_OVERALL = "Overall"
HUMAN = "human"


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table: ``values`` by measure, None where the table has no number."""

    model: str
    category: str
    values: Mapping[str, float | None]
    source: str


@cache
def published_rows(task: Task) -> tuple[PublishedRow, ...]:
    """The published test results of one task, in the order of the table.

    Values are percent for perception (``Yes-or-No``, ``What``, ``How``, ``Overall``) and means for reasoning
    (four dimensions 0-2, ``Overall`` 0-8).

    Raises:
        ValueError: ``task`` is the combined one, which has no table of its own.
    """
    if task not in _FILES:
        raise ValueError(f"no published table for {task.value}: ask for one of its parts")
    measures = [*(QUESTION_TYPES if task is Task.PERCEPTION else DIMENSION_TITLES.values()), _OVERALL]
    with (_FOLDER / _FILES[task]).open(encoding="utf-8", newline="") as source:
        return tuple(
            PublishedRow(
                model=row["model"],
                category=row["category"],
                values={measure: _value(row[column_name(measure)]) for measure in measures},
                source=row["source"],
            )
            for row in csv.DictReader(source)
        )


def human_overall(task: Task) -> float | None:
    """The human experts' published Overall, in the task's unit; None where the table has no such row."""
    return next((row.values[_OVERALL] for row in published_rows(task) if row.category == HUMAN), None)


def column_name(measure: str) -> str:
    """A measure's column in the published files and in the board's: 'Quality Accuracy' -> 'quality_accuracy'."""
    return measure.lower().replace(" ", "_").replace("-", "_")


def _value(cell: str) -> float | None:
    return float(cell) if cell else None
