"""The workbook of two passes compared: the tables, and every pair of replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data.permuted import permutation_text
from medqbench_vlmeval.report.cells import BOLD, COUNT, PERCENT, SCORE, TEXT, TITLE, WRAPPED, Book, Item, Style
from medqbench_vlmeval.report.robustness_tables import COUNT_DIGITS, MEAN_DIGITS, Value, notes_of, tables_of, title_of
from medqbench_vlmeval.report.runs import mapping, text
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS, Column, write_table
from medqbench_vlmeval.tasks import Task

ROBUSTNESS = "Robustness"
PAIRS = "Pairs"
MARK = "NOT A RESULT of the benchmark: two passes compared"

_LABEL, _NUMBER, _COLUMNS = 36, 13, 10
_FORMATS = {COUNT_DIGITS: COUNT, MEAN_DIGITS: SCORE}


def write_robustness(path: Path, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``{stem}_consistency.xlsx`` from the numbers and the pairs of a comparison, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in=path.with_suffix(".jsonl").name, mark=MARK)
    sheet = book.add_fixed(ROBUSTNESS)
    sheet.widths([_LABEL, *[_NUMBER] * _COLUMNS])
    sheet.append([Item(title_of(result), TITLE)], lines=2)
    sheet.banner(MARK, "bad", _COLUMNS)
    for note in notes_of(result):
        sheet.append([Item(note)])
    for table in tables_of(result):
        sheet.append()
        if table.title != title_of(result):
            sheet.append([Item(table.title, BOLD)])
        sheet.header(table.heads, lines=2)
        for label, values in table.rows:
            sheet.append([Item(label), *(_item(value) for value in values)])
    sheet.finish()
    pairs = book.add_fixed(PAIRS)
    questions = result["robustness_of"] == Task.PERCEPTION.value
    write_table(pairs, _CHOICES if questions else _PREFERENCES, rows, MAX_ROWS)
    pairs.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _item(value: Value) -> Item:
    return Item(value.value, Style(_FORMATS.get(value.digits, PERCENT), faint=value.few))


def _text(name: str, wraps: bool = False) -> Callable[[Mapping[str, Any]], Item]:
    return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)


def _letters(row: Mapping[str, Any]) -> Item:
    return Item("\n".join(f"{letter}. {option}" for letter, option in mapping(row.get("options")).items()), WRAPPED)


def _order(row: Mapping[str, Any]) -> Item:
    return Item(permutation_text(mapping(row.get("permutation"))))


def _yes(name: str) -> Callable[[Mapping[str, Any]], Item]:
    return lambda row: Item("yes" if row.get(name) else "no", Style(fill="good" if row.get(name) else "human"))


_AXES = (
    Column("modality", 15, _text("modality"), optional=True),
    Column("question type", 13, _text("question_type"), optional=True),
    Column("difficulty", 15, _text("difficulty"), optional=True),
    Column("severity", 11, _text("severity"), optional=True),
)
_REPLIES = (
    Column("first reply", 60, _text("first_prediction", True), wraps=True),
    Column("second reply", 60, _text("second_prediction", True), wraps=True),
)
_CHOICES = (
    Column("index", 20, _text("index")),
    *_AXES,
    Column("question", 50, _text("question", True), wraps=True),
    Column("options, first pass", 36, _letters, wraps=True),
    Column("second:first", 17, _order),
    Column("right option", 28, _text("right")),
    Column("first", 28, _text("first_text")),
    Column("second", 28, _text("second_text")),
    Column("first right", 9, _yes("first_right")),
    Column("second right", 9, _yes("second_right")),
    Column("same option", 9, _yes("consistent")),
    *_REPLIES,
)
_PREFERENCES = (
    Column("index", 20, _text("index")),
    *_AXES,
    Column("better image", 9, _text("right")),
    Column("first", 9, _text("first")),
    Column("second, as in first order", 12, _text("second_in_first_order")),
    Column("kind", 20, lambda row: Item(str(row.get("kind")).replace("_", " "))),
    *_REPLIES,
)
