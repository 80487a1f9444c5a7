"""The breakdowns: a row a modality, and a row a group along every other axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import COUNT, PERCENT, SCORE, TEXT, Book, Item, Sheet, Style
from medqbench_vlmeval.report.runs import (
    MEASURES,
    MODALITY,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    RunPart,
    mapping,
    number,
    whole,
)
from medqbench_vlmeval.tasks import DIMENSION_TITLES, OTHER_QUESTION_TYPE, QUESTION_TYPES, Task

BY_MODALITY = "By modality"
BY_GROUP = "By group"
ALL = "All"

_PERCEPTION_HEADS = ("Accuracy", "Low", "High", "n", "Correct", "Unanswered")
_REASONING_HEADS = (*DIMENSION_TITLES.values(), OVERALL, "n", "Scored", "Unscored")
_TOP = {Task.PERCEPTION: 100.0, Task.NO_REFERENCE: 8.0, Task.COMPARATIVE: 8.0}
_CHART_HEIGHT = 7.5  # cm


def cell_heads(task: Task) -> tuple[str, ...]:
    """The columns of one group's cell."""
    return _PERCEPTION_HEADS if task is Task.PERCEPTION else _REASONING_HEADS


def cell_items(task: Task, cell: Mapping[str, Any], bold: bool = False) -> list[Item]:
    """One group's cell under :func:`cell_heads`; what was not measured stays empty."""
    numbers: tuple[str, ...]
    if task is Task.PERCEPTION:
        numbers, counts = ("accuracy", "low", "high"), ("n", "n_correct", "n_unanswered")
        style = Style(PERCENT, bold=bold)
    else:
        numbers, counts = (*DIMENSION_TITLES.values(), OVERALL), ("n", "n_scored", "n_unscored")
        style = Style(SCORE, bold=bold)
    return [
        *(Item(number(cell.get(name)), style) for name in numbers),
        *(Item(whole(cell.get(name)), Style(COUNT, bold=bold)) for name in counts),
    ]


def add_by_modality(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the modality table (one flat table with heads in its first row) and a bar chart a task below it."""
    sheet = book.add_fixed(BY_MODALITY)
    perception = parts[0].task is Task.PERCEPTION
    heads = _perception_heads(parts[0]) if perception else ["Task", "Modality", *_REASONING_HEADS]
    heads = [*heads, "Run", "Comparable with published"]
    sheet.header(heads, lines=2)
    spans = []
    for part in parts:
        first = sheet.row + 1
        for name, cell in mapping(part.groups.get(MODALITY)).items():
            sheet.append(_modality_items(part, str(name), mapping(cell)))
        spans.append((part, first, sheet.row))
        sheet.append(_modality_items(part, ALL, _whole_cell(part), bold=True))
    labels = 1 if perception else 2
    sheet.widths(
        [26 if perception else 24, *([18] if labels == 2 else []), *[11.5] * (len(heads) - labels - 2), 11, 15]
    )
    _colour(sheet, heads, perception)
    sheet.table(1, len(heads))
    overall = heads.index(OVERALL) + 1
    top_row = sheet.row + 2
    for part, first, last in spans:
        if last >= first:
            _add_chart(sheet, part, labels, overall, (first, last), top_row)
            top_row += 17
    sheet.finish(freeze="B2" if perception else "C2", repeat_row=1)


def add_by_group(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the table of all axes but modality; no sheet where the data has none."""
    found = [(part, axis, name, cell) for part in parts for axis, name, cell in _groups(part)]
    if not found:
        return
    sheet = book.add_fixed(BY_GROUP)
    heads = ["Task", "Axis", "Group", *cell_heads(parts[0].task), "Run", "Comparable with published"]
    sheet.widths([24, 18, 26, *[12] * (len(heads) - 5), 11, 15])
    sheet.header(heads, lines=2)
    for part, axis, name, cell in found:
        labels = [Item(TASK_TITLES[part.task]), Item(axis.replace("_", " ")), Item(name)]
        sheet.append([*labels, *cell_items(part.task, cell), *_marks(part)])
    _colour(sheet, heads, parts[0].task is Task.PERCEPTION)
    sheet.table(1, len(heads))
    sheet.finish(freeze="D2", repeat_row=1)


def _groups(part: RunPart) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for axis, groups in part.groups.items():
        if axis in (MODALITY, TYPE_BY_MODALITY):
            continue
        for name, cell in groups.items():
            if "n" in mapping(cell):
                yield axis, str(name), cell
            else:
                for inner, inner_cell in mapping(cell).items():
                    yield axis, f"{name} / {inner}", mapping(inner_cell)


def _question_types(part: RunPart) -> list[str]:
    found = [str(name) for name in mapping(part.groups.get("question_type"))]
    others = [name for name in found if name not in (*QUESTION_TYPES, OTHER_QUESTION_TYPE)]
    return [*QUESTION_TYPES, *others, *([OTHER_QUESTION_TYPE] if OTHER_QUESTION_TYPE in found else [])]


def _perception_heads(part: RunPart) -> list[str]:
    names = [OVERALL, *_question_types(part)]
    return ["Modality", *(head for name in names for head in (name, f"{name} low", f"{name} high", f"{name} n"))]


def _modality_items(part: RunPart, name: str, cell: Mapping[str, Any], bold: bool = False) -> list[Item]:
    label = Style(bold=bold)
    if part.task is not Task.PERCEPTION:
        return [
            Item(TASK_TITLES[part.task], label),
            Item(name, label),
            *cell_items(part.task, cell, bold),
            *_marks(part),
        ]
    by_type = mapping(
        part.groups.get("question_type") if bold else mapping(part.groups.get(TYPE_BY_MODALITY)).get(name)
    )
    cells = [cell, *(mapping(by_type.get(kind)) for kind in _question_types(part))]
    return [Item(name, label), *(item for one in cells for item in cell_items(part.task, one, bold)[:4]), *_marks(part)]


def _whole_cell(part: RunPart) -> Mapping[str, Any]:
    low, high = part.intervals.get(OVERALL, (None, None))
    return {**part.values, "accuracy": part.values[OVERALL], "low": low, "high": high, **part.counts}


def _marks(part: RunPart) -> list[Item]:
    return [
        Item("baseline" if part.baseline else "own", Style(fill="warn") if part.baseline else TEXT),
        Item("yes" if part.comparable else "no", TEXT if part.comparable else Style(fill="bad", bold=True)),
    ]


def _colour(sheet: Sheet, heads: Sequence[str], perception: bool) -> None:
    for column, head in enumerate(heads, 1):
        if perception and (head in (OVERALL, "Accuracy") or f"{head} low" in heads):
            sheet.colour_scale(column, 2, sheet.row, 100)
        elif not perception and head in MEASURES[Task.NO_REFERENCE]:
            sheet.colour_scale(column, 2, sheet.row, 8 if head == OVERALL else 2)


def _add_chart(sheet: Sheet, part: RunPart, label: int, value: int, rows: tuple[int, int], top_row: int) -> None:
    from openpyxl.chart import BarChart, Reference
    from openpyxl.chart.data_source import AxDataSource, StrRef

    chart: Any = BarChart()
    chart.type = "bar"
    chart.style = 10
    mark = "" if part.comparable else " (not comparable with published)"
    chart.title = f"{TASK_TITLES[part.task]}: Overall by modality{mark}"
    chart.title.overlay = False  # unset, current Excel draws the title over the bars
    chart.legend = None
    chart.height, chart.width = _CHART_HEIGHT, 17
    chart.gapWidth = 60
    first, last = rows
    chart.add_data(Reference(sheet.worksheet, min_col=value, min_row=first, max_row=last), titles_from_data=False)
    names = Reference(sheet.worksheet, min_col=label, min_row=first, max_row=last)
    # set_categories would declare the names to be numbers.
    chart.series[0].cat = AxDataSource(strRef=StrRef(f=str(names)))
    chart.y_axis.scaling.min, chart.y_axis.scaling.max = 0, _TOP[part.task]
    chart.y_axis.number_format = "0"
    chart.y_axis.crosses = "max"  # with the first row on top, this is the bottom
    chart.x_axis.scaling.orientation = "maxMin"  # first row on top, as in the table
    # openpyxl's default leaves both axes out in current Excel.
    chart.x_axis.delete = chart.y_axis.delete = False
    sheet.worksheet.add_chart(chart, f"B{top_row}")
