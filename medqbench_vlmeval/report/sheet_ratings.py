"""The sheet that people rate on: texts without a trace of whose they are, cells for the ratings, and a guide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from medqbench_vlmeval.judge.rubric import criteria
from medqbench_vlmeval.report.cells import BOLD, TEXT, TITLE, WRAPPED, Book, Item, Sheet, Style, area, lines_of
from medqbench_vlmeval.report.runs import TASK_TITLES
from medqbench_vlmeval.report.text import cell_text
from medqbench_vlmeval.tasks import DIMENSION_TITLES, DIMENSIONS, Task, dimension_scores

RATINGS = "Ratings"
GUIDE = "Guide"

_TEXT_WIDTH = 62
_WIDTHS = (14, 15, _TEXT_WIDTH, _TEXT_WIDTH, 14, 14, 14, 14, 30)
_FIRST_RATING = 5  # column, from 1
_LINE_HEIGHT, _MAX_HEIGHT = 15.0, 409.0  # points; the format allows no higher row
_TO_FILL = Style(fill="own", wrap=True)
_HOW = (
    "Each row of the sheet 'Ratings' has two texts: a reference, written by an expert, and an answer. Rate the answer "
    "against the reference on four dimensions. Whose answer it is, is not said, and the order is random.",
    "Fill the four coloured cells of a row with 0, 1 or 2 (in a comparison, Quality Accuracy is 0 or 2). Leave a cell "
    "empty where you cannot decide. Rate each dimension for itself. The comment is free.",
    "Change nothing else: the rating id connects a row to its answer. Sorting and colouring do no harm. Rate alone, "
    "each rater in a copy of this file, and do not look rows up elsewhere.",
)


@dataclass(frozen=True)
class RatingRow:
    """One answer to be rated, under an id that says nothing."""

    rating_id: str
    task: Task
    reference: str
    answer: str


def fits_cell(text: str) -> bool:
    """Whether a cell can hold the whole text: half an answer is not to be rated."""
    return cell_text(text, "a") == cell_text(text, "b")


def write_rating_sheet(path: Path, rows: Sequence[RatingRow], id_name: str) -> None:
    """Write an empty rating sheet and its guide, whole or not at all.

    Args:
        path: an .xlsx file.
        rows: in the order in which they are to be rated; every text must fit a cell.
        id_name: the head of the first column.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in="")
    _add_ratings(book, rows, id_name)
    _add_guide(book, [task for task in Task if any(row.task is task for row in rows)])
    book.save(path)


def _add_ratings(book: Book, rows: Sequence[RatingRow], id_name: str) -> None:
    sheet = book.add_fixed(RATINGS)
    sheet.widths(_WIDTHS)
    sheet.header([id_name, "task", "reference", "answer", *DIMENSION_TITLES.values(), "comment"], lines=2)
    lined = _border()
    for row in rows:
        texts = [Item(row.rating_id, TEXT), Item(row.task.value, TEXT), Item(row.reference, WRAPPED)]
        empty = [Item(None, _TO_FILL) for _ in DIMENSIONS]
        at = sheet.append([*texts, Item(row.answer, WRAPPED), *empty, Item(None, WRAPPED)])
        lines = max(_lines(row.reference), _lines(row.answer))
        sheet.worksheet.row_dimensions[at].height = min(_LINE_HEIGHT * lines, _MAX_HEIGHT)
        for cell in sheet.worksheet[at]:
            cell.border = lined
    _validate(sheet, rows)
    sheet.table(1, len(_WIDTHS))
    sheet.finish(freeze="B2", repeat_row=1)


def _border() -> Any:
    """Thin lines, so that a row is followed across the sheet."""
    from openpyxl.styles import Border, Side

    thin = Side(style="thin", color="BFBFBF")
    return Border(left=thin, right=thin, top=thin, bottom=thin)


def _validate(sheet: Sheet, rows: Sequence[RatingRow]) -> None:
    """Let each rating cell take its task's marks alone, one rule a set of marks."""
    from openpyxl.worksheet.datavalidation import DataValidation

    rules: dict[tuple[int, ...], Any] = {}
    for column, dimension in enumerate(DIMENSIONS, start=_FIRST_RATING):
        first = 2
        for marks, block in groupby(dimension_scores(row.task, dimension) for row in rows):
            last = first + len(list(block)) - 1
            if marks not in rules:
                named = " or ".join((", ".join(str(mark) for mark in marks[:-1]), str(marks[-1])))
                rules[marks] = DataValidation(
                    type="list",
                    formula1=f'"{",".join(str(mark) for mark in marks)}"',
                    allow_blank=True,
                    showErrorMessage=True,
                    errorTitle="No rating",
                    error=f"{named}, or nothing.",
                )
            rules[marks].add(area(column, first, column, last))
            first = last + 1
    for rule in rules.values():
        sheet.worksheet.add_data_validation(rule)


def _add_guide(book: Book, tasks: Sequence[Task]) -> None:
    sheet = book.add_fixed(GUIDE)
    sheet.widths([20, 8, 110])
    sheet.append([Item("How to rate", TITLE)], lines=2)
    for sentence in _HOW:
        _wide(sheet, sentence)
    for task in tasks:
        sheet.append()
        sheet.append([Item(f"{TASK_TITLES[task]} (task '{task.value}')", TITLE)], lines=2)
        for dimension, title in DIMENSION_TITLES.items():
            question, marks = criteria(task, dimension)
            sheet.append()
            sheet.append(
                [Item(title, BOLD), Item(None), Item(_of_rater(question), WRAPPED)], lines=lines_of(question, 105)
            )
            for mark, meaning in _by_mark(marks):
                sheet.append([Item(None), Item(mark, BOLD), Item(_of_rater(meaning), WRAPPED)])
    sheet.finish()


def _wide(sheet: Sheet, text: str) -> None:
    at = sheet.append([Item(text, WRAPPED)], lines=lines_of(text, 130))
    sheet.worksheet.merge_cells(area(1, at, 3, at))


def _of_rater(text: str) -> str:
    """The criteria call the text that is rated the candidate, the sheet calls it the answer."""
    return text.replace("candidate", "answer")


def _by_mark(marks: Mapping[int, str]) -> list[tuple[int, str]]:
    return sorted(marks.items(), reverse=True)


def _lines(text: str) -> int:
    """Lines of a wrapped text in its column; a row must show all of it."""
    return sum(max(1, math.ceil(len(line) / (_TEXT_WIDTH - 4))) for line in text.split("\n"))
