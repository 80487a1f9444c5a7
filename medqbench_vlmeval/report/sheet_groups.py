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
    ends_of,
    is_few,
    mapping,
    number,
    whole,
)
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import DIMENSION_TITLES, OTHER_QUESTION_TYPE, QUESTION_TYPES, Task

BY_MODALITY = "By modality"
BY_GROUP = "By group"
ALL = "All"

FEW_HEAD = "Few"
FEW_MARK = f"n < {FEW}"
_OVERALL_ENDS = (f"{OVERALL} low", f"{OVERALL} high")
_PERCEPTION_HEADS = ("Accuracy", "Low", "High", "n", "Correct", "Unanswered", FEW_HEAD)
_REASONING_HEADS = (*DIMENSION_TITLES.values(), OVERALL, *_OVERALL_ENDS, "n", "Scored", "Unscored", FEW_HEAD)


def cell_heads(task: Task) -> tuple[str, ...]:
    """The columns of one group's cell."""
    return _PERCEPTION_HEADS if task is Task.PERCEPTION else _REASONING_HEADS


def cell_items(task: Task, cell: Mapping[str, Any], bold: bool = False) -> list[Item]:
    """One group's cell under :func:`cell_heads`; what was not measured stays empty, few samples make it grey."""
    few = is_few(task, cell)
    counts: tuple[str, ...]
    if task is Task.PERCEPTION:
        numbers, counts = [cell.get(name) for name in ("accuracy", "low", "high")], ("n", "n_correct", "n_unanswered")
    else:
        numbers = [cell.get(name) for name in (*DIMENSION_TITLES.values(), OVERALL)]
        numbers += ends_of(mapping(cell.get("intervals")).get(OVERALL)) or (None, None)
        counts = ("n", "n_scored", "n_unscored")
    style = Style(PERCENT if task is Task.PERCEPTION else SCORE, bold=bold, faint=few)
    return [
        *(Item(number(value), style) for value in numbers),
        *(Item(whole(cell.get(name)), Style(COUNT, bold=bold, faint=few)) for name in counts),
        Item(FEW_MARK if few else None, Style(faint=True)),
    ]


def add_by_modality(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the modality table: one flat table with heads in its first row."""
    sheet = book.add_fixed(BY_MODALITY)
    perception = parts[0].task is Task.PERCEPTION
    heads = [*_perception_heads(parts[0]), FEW_HEAD] if perception else ["Task", "Modality", *_REASONING_HEADS]
    heads = [*heads, "Run", "Comparable with published"]
    sheet.header(heads, lines=2)
    for part in parts:
        for name, cell in mapping(part.groups.get(MODALITY)).items():
            sheet.append(_modality_items(part, str(name), mapping(cell)))
        sheet.append(_modality_items(part, ALL, _whole_cell(part), bold=True))
    labels = 1 if perception else 2
    first, others, few = ([26], 11.5, 24) if perception else ([24, 18], 14, 9)
    sheet.widths([*first, *[others] * (len(heads) - labels - 3), few, 11, 15])
    _colour(sheet, heads, perception)
    sheet.table(1, len(heads))
    sheet.finish(freeze="B2" if perception else "C2", repeat_row=1)


def add_by_group(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the table of all axes but modality; no sheet where the data has none."""
    found = [(part, axis, name, cell) for part in parts for axis, name, cell in _groups(part)]
    if not found:
        return
    sheet = book.add_fixed(BY_GROUP)
    heads = ["Task", "Axis", "Group", *cell_heads(parts[0].task), "Run", "Comparable with published"]
    sheet.widths([24, 24, 26, *[13] * (len(heads) - 6), 9, 11, 15])
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
            if whole(mapping(cell).get("n")) is not None:
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
    few = [kind for kind, one in zip((OVERALL, *_question_types(part)), cells, strict=True) if is_few(part.task, one)]
    return [
        Item(name, label),
        *(item for one in cells for item in cell_items(part.task, one, bold)[:4]),
        Item(f"{FEW_MARK}: {', '.join(few)}" if few else None, Style(faint=True)),
        *_marks(part),
    ]


def _whole_cell(part: RunPart) -> Mapping[str, Any]:
    low, high = part.intervals.get(OVERALL, (None, None))
    ends = {"low": low, "high": high, "intervals": {OVERALL: [low, high]}}
    return {**part.values, "accuracy": part.values[OVERALL], **ends, **part.counts}


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
