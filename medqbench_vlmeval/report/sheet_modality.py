"""One sheet a modality: its numbers by question type, severity and difficulty, then its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, TEXT, TITLE, Book, Item
from medqbench_vlmeval.report.runs import (
    MODALITY,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    RunPart,
    mapping,
)
from medqbench_vlmeval.report.sheet_groups import ALL, cell_heads, cell_items
from medqbench_vlmeval.report.sheet_overview import BASELINE_NOTE, not_comparable
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS_BY_MODALITY, columns_for, sample_score, write_table
from medqbench_vlmeval.scoring.axes import UNKNOWN
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

# A column that was taken for the modality by mistake may have a value a row; a workbook of 1,300 sheets helps nobody.
MAX_SHEETS = 40
OTHERS = "Other modalities"
_AXES = ("severity", "difficulty")

Rows = Sequence[Mapping[str, Any]]


def add_modalities(book: Book, parts: Sequence[RunPart], rows: Rows) -> None:
    """Write the sheets in the order of the results; modalities past the fortieth share the last sheet."""
    by_modality: dict[str, list[Mapping[str, Any]]] = {
        str(name): [] for part in parts for name in mapping(part.groups.get(MODALITY))
    }
    for row in rows:
        by_modality.setdefault(str(row.get("modality") or UNKNOWN), []).append(row)
    names = list(by_modality)
    own, rest = (names, []) if len(names) <= MAX_SHEETS else (names[: MAX_SHEETS - 1], names[MAX_SHEETS - 1 :])
    for name in own:
        _add_modality(book, parts, name, by_modality[name])
    if rest:
        _add_modality(book, parts, OTHERS, [row for name in rest for row in by_modality[name]])


def _add_modality(book: Book, parts: Sequence[RunPart], name: str, rows: Rows) -> None:
    sheet = book.add(name)
    sheet.append([Item(f"{name}: {parts[0].model}", TITLE)], lines=2)
    width = len(cell_heads(parts[0].task)) + 2
    if any(part.baseline for part in parts):
        sheet.banner(BASELINE_NOTE, "warn", width)
    for line in dict.fromkeys(not_comparable(part) for part in parts if not part.comparable):
        sheet.banner(line, "bad", width)
    for part in parts:
        mine = [row for row in rows if len(parts) == 1 or row.get("task") == part.task.value]
        cells = _cells(part, name, mine)
        if not cells:
            continue
        sheet.append()
        sheet.append([Item(TASK_TITLES[part.task], BOLD)])
        sheet.header(["Axis", "Group", *cell_heads(part.task)])
        for axis, group, cell in cells:
            bold = group == ALL
            labels = [Item(axis, BOLD if bold else TEXT), Item(group, BOLD if bold else TEXT)]
            sheet.append([*labels, *cell_items(part.task, cell, bold)])
    sheet.append()
    if rows:
        write_table(sheet, columns_for(parts, brief=True), rows, MAX_ROWS_BY_MODALITY)
    else:
        sheet.widths([16] * width)
    sheet.finish(freeze="A2")


def _cells(part: RunPart, modality: str, rows: Rows) -> list[tuple[str, str, Mapping[str, Any]]]:
    given = mapping(mapping(part.groups.get(MODALITY)).get(modality))
    if not given and not rows:
        return []
    cells: list[tuple[str, str, Mapping[str, Any]]] = [("All samples", ALL, given or _count(part.task, rows))]
    if part.task is Task.PERCEPTION:
        by_type = mapping(mapping(part.groups.get(TYPE_BY_MODALITY)).get(modality))
        if by_type:
            cells += [("Question type", str(kind), mapping(cell)) for kind, cell in by_type.items()]
        else:
            cells += _by_axis(part.task, "question_type", rows)
    for axis in _AXES:
        cells += _by_axis(part.task, axis, rows)
    return cells


def _by_axis(task: Task, axis: str, rows: Rows) -> list[tuple[str, str, Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row.get(axis) or UNKNOWN), []).append(row)
    if set(groups) <= {UNKNOWN}:
        return []
    title = axis.replace("_", " ").capitalize()
    return [(title, name, _count(task, found)) for name, found in sorted(groups.items())]


def _count(task: Task, rows: Rows) -> dict[str, Any]:
    """A cell of the result file's shape, counted from sample rows: there is none for modality x severity."""
    n = len(rows)
    if task is Task.PERCEPTION:
        n_correct = sum(row.get("correct") is True for row in rows)
        low, high = wilson(n_correct, n)
        unanswered = sum(row.get("extracted") is None for row in rows)
        counts = {"n": n, "n_correct": n_correct, "n_unanswered": unanswered}
        return {"accuracy": 100 * n_correct / n, "low": 100 * low, "high": 100 * high, **counts}
    means: dict[str, float | None] = {}
    for dimension, title in DIMENSION_TITLES.items():
        scores = [score for row in rows if (score := sample_score(row, dimension)) is not None]
        means[title] = fmean(scores) if scores else None
    known = [mean for mean in means.values() if mean is not None]
    unscored = sum(row.get("score") is None for row in rows)
    return {
        **means,
        OVERALL: math.fsum(known) if len(known) == len(means) else None,
        "n": n,
        "n_scored": n - unscored,
        "n_unscored": unscored,
    }
