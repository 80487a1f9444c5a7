"""One sheet a modality: its numbers by question type, severity and difficulty, then its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, TEXT, TITLE, Book, Item
from medqbench_vlmeval.report.image_links import ImageLinks
from medqbench_vlmeval.report.runs import (
    MODALITY,
    OVERALL,
    TASK_TITLES,
    RunPart,
    mapping,
)
from medqbench_vlmeval.report.sheet_groups import ALL, cell_heads, cell_items
from medqbench_vlmeval.report.sheet_overview import BASELINE_NOTE, not_comparable
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS_BY_MODALITY, columns_for, sample_score, write_table
from medqbench_vlmeval.scoring.accuracy import accuracy_cell
from medqbench_vlmeval.scoring.axes import UNKNOWN
from medqbench_vlmeval.scoring.clusters import clusters_of
from medqbench_vlmeval.scoring.intervals import clipped, sum_of_means_interval
from medqbench_vlmeval.tasks import DIMENSION_TITLES, MAX_VERDICT, Task

# A column that was taken for the modality by mistake may have a value a row; a workbook of 1,300 sheets helps nobody.
MAX_SHEETS = 40
OTHERS = "Other modalities"
_AXES = ("severity", "difficulty")

Rows = Sequence[Mapping[str, Any]]


def add_modalities(book: Book, parts: Sequence[RunPart], rows: Rows, links: ImageLinks) -> None:
    """Write the sheets in the order of the results; modalities past the fortieth share the last sheet."""
    by_modality: dict[str, list[Mapping[str, Any]]] = {
        str(name): [] for part in parts for name in mapping(part.groups.get(MODALITY))
    }
    for row in rows:
        by_modality.setdefault(str(row.get("modality") or UNKNOWN), []).append(row)
    names = list(by_modality)
    own, rest = (names, []) if len(names) <= MAX_SHEETS else (names[: MAX_SHEETS - 1], names[MAX_SHEETS - 1 :])
    for name in own:
        _add_modality(book, parts, name, by_modality[name], links)
    if rest:
        _add_modality(book, parts, OTHERS, [row for name in rest for row in by_modality[name]], links)


def _add_modality(book: Book, parts: Sequence[RunPart], name: str, rows: Rows, links: ImageLinks) -> None:
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
        sheet.header(["Axis", "Group", *cell_heads(part.task)], lines=1 if part.task is Task.PERCEPTION else 2)
        for axis, group, cell in cells:
            bold = group == ALL
            labels = [Item(label, BOLD if bold else TEXT) for label in (axis, group)]
            sheet.append([*labels, *cell_items(part.task, cell, bold)])
    sheet.append()
    if rows:
        head = write_table(sheet, columns_for(parts, links, brief=True), rows, MAX_ROWS_BY_MODALITY)
    else:
        sheet.widths([16] * width)
        head = 1
    sheet.finish(freeze="A2", repeat_row=head)


def _cells(part: RunPart, modality: str, rows: Rows) -> list[tuple[str, str, Mapping[str, Any]]]:
    given = mapping(mapping(part.groups.get(MODALITY)).get(modality))
    if not given and not rows:
        return []
    cells: list[tuple[str, str, Mapping[str, Any]]] = [("All samples", ALL, given or _count(part.task, rows))]
    for axis in (*(["question_type"] if part.task is Task.PERCEPTION else []), *_AXES):
        title = axis.replace("_", " ").capitalize()
        crossed = mapping(mapping(part.groups.get(f"{MODALITY}_x_{axis}")).get(modality))
        found = {str(name): mapping(cell) for name, cell in crossed.items()} or _by_axis(part.task, axis, rows)
        cells += [(title, name, cell) for name, cell in found.items()]
    return cells


def _by_axis(task: Task, axis: str, rows: Rows) -> dict[str, Mapping[str, Any]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row.get(axis) or UNKNOWN), []).append(row)
    if set(groups) <= {UNKNOWN}:
        return {}
    return {name: _count(task, found) for name, found in sorted(groups.items())}


def _count(task: Task, rows: Rows) -> dict[str, Any]:
    """A cell of the result file's shape, counted from sample rows: of modalities that share a sheet there is none."""
    n = len(rows)
    if task is Task.PERCEPTION:
        n_correct = sum(row.get("correct") is True for row in rows)
        return accuracy_cell(n, n_correct, sum(row.get("extracted") is None for row in rows))
    means: dict[str, float | None] = {}
    columns = [[sample_score(row, dimension) for row in rows] for dimension in DIMENSION_TITLES]
    for title, column in zip(DIMENSION_TITLES.values(), columns, strict=True):
        scores = [score for score in column if score is not None]
        means[title] = fmean(scores) if scores else None
    images = [row.get("images") for row in rows]
    clusters = clusters_of([[str(name) for name in found] if isinstance(found, list) else [] for found in images])
    interval = clipped(sum_of_means_interval(columns, clusters), 0, MAX_VERDICT * len(columns))
    known = [mean for mean in means.values() if mean is not None]
    unscored = sum(row.get("score") is None for row in rows)
    return {
        **means,
        OVERALL: math.fsum(known) if len(known) == len(means) else None,
        "n": n,
        "n_scored": n - unscored,
        "n_unscored": unscored,
        "intervals": {OVERALL: interval},
    }
