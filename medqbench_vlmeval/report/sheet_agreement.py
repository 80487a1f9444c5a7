"""The workbook of a comparison of verdicts with ratings: the statistics, and every answer on which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, COUNT, SCORE, TEXT, TITLE, WRAPPED, Book, Item, Style
from medqbench_vlmeval.report.render_agreement import PAIRS, headline, notes_of, pairs_of, published_line
from medqbench_vlmeval.report.runs import mapping, number, text, whole
from medqbench_vlmeval.report.sheet_reliability import add_shares
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS, Column, score_item, write_table
from medqbench_vlmeval.tasks import DIMENSION_TITLES

AGREEMENT = "Agreement"
DISAGREEMENTS = "Disagreements"

_PERCENT = "0.0"
_MARKS = ("0", "1", "2")
_STATISTICS = (("accuracy", "Same, %", _PERCENT), ("kappa", "Kappa", SCORE), ("spearman", "Spearman", SCORE))
_DIMENSION, _NUMBER = 26, 13


def write_agreement(path: Path, result: Mapping[str, Any], disagreements: Sequence[Mapping[str, Any]]) -> None:
    """Write the content of ``agreement.json`` as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in="agreement.json")
    _add_agreement(book, result)
    sheet = book.add_fixed(DISAGREEMENTS)
    several = len({row.get("model") for row in disagreements}) > 1
    write_table(sheet, _columns([str(rater) for rater in result["raters"]], several), disagreements, MAX_ROWS)
    sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _add_agreement(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(AGREEMENT)
    sheet.widths([_DIMENSION, *[_NUMBER] * 14])
    sheet.append([Item(headline(result), TITLE)], lines=2)
    if result["against"] == "people":
        sheet.append([Item(published_line(result))])
    for note in notes_of(result):
        sheet.append([Item(note)])
    sheet.append()
    heads = ["Dimension", "n"]
    for _, label, _ in _STATISTICS:
        heads += [label, "95% low", "95% high"]
    sheet.header([*heads, "Bias", "No verdict", "Not rated"])
    for title, cell in mapping(result["dimensions"]).items():
        sheet.append(_line(str(title), mapping(cell)))
    for title, cell in mapping(result["dimensions"]).items():
        table = mapping(mapping(cell).get("confusion"))
        if table:
            sheet.append()
            sheet.append([Item(f"{title}: rated (down) by judge (across)", BOLD)])
            sheet.header(["Rated", *(f"Judge {mark}" for mark in _MARKS)])
            for mark in _MARKS:
                counts = mapping(table.get(mark))
                sheet.append([Item(int(mark)), *(Item(whole(counts.get(its)), Style(COUNT)) for its in _MARKS)])
    for title, found in (
        (PAIRS, pairs_of(result)),
        *((f"By {axis}", mapping(found)) for axis, found in mapping(result["groups"]).items()),
    ):
        if found:
            sheet.append()
            sheet.append([Item(title, BOLD)])
            add_shares(sheet, "", found)
    sheet.finish()


def _line(title: str, cell: Mapping[str, Any]) -> list[Item]:
    items = [Item(title, BOLD), Item(whole(cell.get("n")), Style(COUNT))]
    for name, _, unit in _STATISTICS:
        ends = mapping(cell.get("intervals")).get(name)
        low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
        items += [Item(number(value), Style(unit)) for value in (cell.get(name), low, high)]
    items.append(Item(number(cell.get("bias")), Style("+0.000;-0.000;0.000")))
    return [*items, *(Item(whole(cell.get(name)), Style(COUNT)) for name in ("n_unscored", "n_not_rated"))]


def _columns(raters: Sequence[str], several_models: bool) -> list[Column]:
    def read(name: str, wraps: bool = False) -> Any:
        return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)

    def rating(rater: str) -> Any:
        return lambda row: score_item(mapping(row.get("ratings")).get(rater))

    return [
        Column("index", 26, read("index")),
        *([Column("model", 22, read("model"))] if several_models else []),
        Column("task", 14, read("task")),
        Column("modality", 15, read("modality"), optional=True),
        Column("dimension", 18, lambda row: Item(DIMENSION_TITLES.get(str(row.get("dimension"))), TEXT)),
        Column("judge", 10, lambda row: score_item(row.get("judge"))),
        Column("rated", 10, lambda row: score_item(row.get("rated"))),
        *([Column(rater, 12, rating(rater)) for rater in raters] if len(raters) > 1 else []),
        Column("judge said", 50, read("judge_said", True), wraps=True),
        Column("reference", 60, read("reference", True), wraps=True),
        Column("answer", 60, read("answer", True), wraps=True),
    ]
