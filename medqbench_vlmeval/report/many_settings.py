"""What many runs were made from and with, a column a run; what differs between them is highlighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import BOLD, HEAD, TITLE, Book, Item, Sheet, Style, lines_of
from medqbench_vlmeval.report.labels import run_labels
from medqbench_vlmeval.report.runs import mapping, parts_of
from medqbench_vlmeval.report.sheet_settings import flat
from medqbench_vlmeval.tasks import Task

SETTINGS = "Settings"

_WHAT = (
    "Coloured: settings in which the runs of a table differ. Names, places, dates and hashes of what every run has of "
    "its own are not."
)
_OF_THE_RUN = ("model", "not_comparable_because", "created", "prediction_file.")
_SCALARS = ("model", "dataset", "n", "baseline", "comparable", "not_comparable_because")
_VALUE_WIDTH = 30
_LABEL_LIMIT = 60
_RUNS_A_PAGE = 4

Value = str | float | bool | None


def add_many_settings(book: Book, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write the sheet: one table for the multiple-choice runs, one for the judged ones."""
    sheet = book.add_fixed(SETTINGS)
    blocks: dict[str, list[Mapping[str, Any]]] = {"Perception": [], "Reasoning": []}
    for score in scores:
        blocks["Perception" if score.get("task") == Task.PERCEPTION.value else "Reasoning"].append(score)
    sheet.widths([46, 11, *[_VALUE_WIDTH] * max(len(block) for block in blocks.values())])
    sheet.append([Item("Settings by run", TITLE)], lines=2)
    sheet.append([Item(_WHAT)])
    for title, block in blocks.items():
        if block:
            sheet.append()
            sheet.append([Item(title, BOLD)])
            _table(sheet, block)
    pages = -(-max(len(block) for block in blocks.values()) // _RUNS_A_PAGE)
    sheet.finish(freeze="C2", repeat_row=1, pages=pages, repeat_columns=2)


def _table(sheet: Sheet, scores: Sequence[Mapping[str, Any]]) -> None:
    labels = run_labels([parts_of(score)[0] for score in scores], _LABEL_LIMIT)
    head = max(lines_of(label, _VALUE_WIDTH) for label in labels)
    sheet.append([Item(name, HEAD) for name in ("Setting", "Differs", *labels)], lines=head)
    columns = [_settings(score) for score in scores]
    # Every run's own order; a name that only later runs have comes last.
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [column.get(name) for column in columns]
        asked = [value for value, column in zip(values, columns, strict=True) if _concerns(name, column)]
        differs = not _is_own(name) and len({repr(value) for value in asked}) > 1
        style = Style(wrap=True, fill="warn" if differs else None)
        lines = max((lines_of(value, _VALUE_WIDTH) for value in values if isinstance(value, str)), default=1)
        items = [Item(name), Item("yes" if differs else None), *(Item(value, style) for value in values)]
        sheet.append(items, lines=lines)


def _settings(score: Mapping[str, Any]) -> dict[str, Value]:
    shown = {name: score[name] for name in _SCALARS if name in score}
    return dict(flat("", {**mapping(score.get("settings")), **shown}))


def _concerns(name: str, column: Mapping[str, Value]) -> bool:
    """Whether a run has what a setting is about: of a task that it was not scored on, it has no data file."""
    if not name.startswith("data."):
        return True
    section = ".".join(name.split(".")[:2])
    return any(one.startswith(f"{section}.") for one in column)


def _is_own(name: str) -> bool:
    return name.startswith(_OF_THE_RUN) or (name.startswith("data.") and name.endswith(".path"))
