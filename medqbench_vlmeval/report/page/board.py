"""The page's leaderboards: one a task that its runs measure, every run a row beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.report.board_entries import BOARD_TASKS, entry_of
from medqbench_vlmeval.report.board_rows import board_rows
from medqbench_vlmeval.report.page.runs import PageRun, unit
from medqbench_vlmeval.report.rows import PUBLISHED, Row, own_row
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, TASK_TITLES, RunPart
from medqbench_vlmeval.report.text import storable
from medqbench_vlmeval.tasks import Task

_SCALE = {"percent": 100, "score": 8}


def boards(runs: Sequence[PageRun]) -> list[dict[str, Any]]:
    """The boards in the tasks' order; unlike a board's file, which keeps the newest of two equal runs, all are rows."""
    found = []
    for task in BOARD_TASKS:
        parts = [(place, part) for place, run in enumerate(runs) for part in run.parts if part.task is task]
        if parts:
            found.append(_board(task, parts))
    return found


def _board(task: Task, parts: Sequence[tuple[int, RunPart]]) -> dict[str, Any]:
    measures = (OVERALL, *(measure for measure in MEASURES[task] if measure != OVERALL))
    waiting = list(parts)
    lines = []
    for row in board_rows([entry_of(part) for _, part in parts], task):
        line = _line(row, measures)
        if row.kind != PUBLISHED:
            place, part = waiting.pop(_place_of(row, [part for _, part in waiting]))
            line["run"] = place
            line["intervals"] = [part.intervals.get(measure) for measure in measures]
        lines.append(line)
    return {
        "task": task.value,
        "title": TASK_TITLES[task],
        "unit": unit(task),
        "scale": _SCALE[unit(task)],
        "measures": list(measures),
        "rows": lines,
    }


def _line(row: Row, measures: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "model": row.model,
        "category": row.category,
        "values": [row.values[measure] for measure in measures],
        "intervals": [None] * len(measures),
        "n": row.n,
        "comparable": row.comparable,
        "because": list(row.not_comparable_because),
        "dataset": row.dataset,
        "judge": row.judge,
        "protocol": row.protocol,
        "created": row.created,
        "source": row.source,
        "run": None,
    }


def _place_of(row: Row, parts: Sequence[RunPart]) -> int:
    """Which part a board's row is of: rows are sorted, and two of them may be equal to the last field."""

    def same(part: RunPart) -> bool:
        own = own_row(part)
        names = ((own.model, row.model), (own.dataset, row.dataset), (own.judge, row.judge))
        if any(storable(ours or "") != (theirs or "") for ours, theirs in names):
            return False
        settings = ("protocol", "prompt_style", "data_sha256", "created")
        return (
            own.n == row.n
            and own.values == row.values
            and all(storable(getattr(own, name) or "") == (getattr(row, name) or "") for name in settings)
        )

    return next(place for place, part in enumerate(parts) if same(part))
