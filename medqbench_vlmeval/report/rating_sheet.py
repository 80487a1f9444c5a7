"""The sheet that people rate on: texts without a trace of whose they are, cells for the ratings, and a guide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES, Task, dimension_scores
from medqbench_vlmeval.judge.protocols import criteria
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.table import Item
from medqbench_vlmeval.report.text import INTROS, cell_text

_WIDTHS = (14, 15, 62, 62, 14, 14, 14, 14, 30)
_FIRST_RATING = 5  # column, from 1


@dataclass(frozen=True)
class RatingRow:
    """One answer to be rated, under an id that says nothing; a page also shows question and images (None: not here)."""

    rating_id: str
    task: Task
    reference: str
    answer: str
    question: str = ""
    images: tuple[Path | None, ...] = ()


def fits_cell(text: str) -> bool:
    """Whether a cell can hold the whole text: half an answer is not to be rated."""
    return cell_text(text, "a") == cell_text(text, "b")


def write_rating_sheet(path: Path, rows: Sequence[RatingRow], id_name: str) -> None:
    """Write an empty rating sheet (.xlsx) and its guide, whole or not at all: ``rows`` in their order, each text short
    enough for a cell, under the ids' head ``id_name``. Raises RunFailed where the file cannot be written."""
    book = Book(whole_text_in="")
    sheet = book.add_fixed("Ratings")
    sheet.widths(_WIDTHS)
    sheet.header([id_name, "task", "reference", "answer", *DIMENSION_TITLES.values(), "comment"])
    to_fill = [Item(fill="own")] * len(DIMENSION_TITLES)
    for row in rows:
        texts = (row.rating_id, row.task.value, row.reference, row.answer)
        sheet.append([*texts, *to_fill, None], wrap=True, lined=True)
    for column, dimension in enumerate(DIMENSION_TITLES, start=_FIRST_RATING):
        first = 2
        for marks, block in groupby(dimension_scores(row.task, dimension) for row in rows):
            last = first + len(list(block)) - 1
            names = [str(mark) for mark in marks]
            sheet.choices(column, first, last, marks, f"{', '.join(names[:-1])} or {names[-1]}, or nothing.")
            first = last + 1
    sheet.worksheet.autofilter(0, 0, len(rows), len(_WIDTHS) - 1)
    sheet.finish(freeze="B2", repeat_row=1)
    _add_guide(book.add_fixed("Guide"), [task for task in Task if any(row.task is task for row in rows)])
    book.save(path)


def _add_guide(sheet: Sheet, tasks: Sequence[Task]) -> None:
    sheet.widths((20, 8, 110))
    sheet.title("How to rate")
    for sentence in INTROS["rating"].splitlines():
        sheet.sentence(sentence)
    for task in tasks:
        sheet.append()
        sheet.title(f"{TASK_TITLES[task]} (task '{task.value}')")
        for dimension, title in DIMENSION_TITLES.items():
            question, marks = criteria_of_answer(task, dimension)
            sheet.append()
            sheet.append([Item(title, bold=True), None, question], wrap=True)
            for mark, text in marks.items():
                sheet.append([None, Item(mark, bold=True), text], wrap=True)
    sheet.finish()


def criteria_of_answer(task: Task, dimension: str) -> tuple[str, dict[int, str]]:
    """A dimension's criteria, which call the text that is rated the candidate, in the raters' words."""
    question, marks = criteria(task, dimension)
    said = {mark: text.replace("candidate", "answer") for mark, text in marks.items()}
    return question.replace("candidate", "answer"), said
