"""The workbook of a comparison of runs: summary, every group, the samples on which they differ, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.cells import (
    BOLD,
    COUNT,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    Item,
    Sheet,
    Style,
    lines_of,
)
from medqbench_vlmeval.report.compare_words import (
    cells_of,
    headline_of,
    is_perception,
    part_notes,
    places_of,
    test_of,
    title_of,
)
from medqbench_vlmeval.report.runs import mapping, number, text, whole
from medqbench_vlmeval.report.sheet_samples import MAX_ROWS, Column, score_item, write_table
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

SUMMARY, BY_GROUP, DISAGREEMENTS, SETTINGS = "Summary", "By group", "Disagreements", "Settings"

_P = '[<0.0001]"<0.0001";0.0000'
_BANNER = 7  # columns
_LINE = 110  # characters that stand on one line over so many columns
_VALUE = 40  # the width of a column of settings
_GROUP_HEADS = (
    "Task", "a", "b", "Axis", "Group", "n", "Clusters", "Value a", "Value b", "a - b", "95% low", "95% high",
    "Test", "p", "p over images", "p Holm", "Can show", "Only a right", "Only b right", "Differ", "Few",
)  # fmt: skip
_SETTINGS = (
    "dataset", "task", "n", "file", "baseline", "comparable", "prompt_style", "protocol", "protocol_version",
    "protocol_sha256", "judge", "judge_served_as", "medqbench_vlmeval", "kit", "created",
)  # fmt: skip


def write_compare(path: Path, result: Mapping[str, Any], disagreements: Sequence[Mapping[str, Any]]) -> None:
    """Write the content of ``compare.json`` as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    comparable = all(one["comparable"] for run in result["runs"] for one in run["results"])
    book = Book(whole_text_in="compare.json", mark="" if comparable else "NOT COMPARABLE with published scores")
    _add_summary(book, result)
    _add_groups(book, result)
    _add_disagreements(book, result, disagreements)
    _add_settings(book, result)
    book.save(path)


def _add_summary(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(SUMMARY)
    sheet.widths([30, 30, *[13] * 12])
    sheet.append([Item("Paired comparison of runs on the same samples", TITLE)], lines=2)
    for part in result["parts"]:
        sheet.append()
        sheet.append([Item(title_of(part), BOLD)])
        for warning in part["warnings"]:
            _sentence(sheet, warning, Style(fill="bad", bold=True, wrap=True))
        if len(part["pairs"]) == 1:
            (pair,) = part["pairs"]
            _sentence(sheet, f"a = {pair['a']}")
            _sentence(sheet, f"b = {pair['b']}")
            _sentence(sheet, headline_of(part, pair))
        else:
            _ranking(sheet, part)
        for note in part_notes(part):
            _sentence(sheet, note)
    for sentence in result["not_compared"]:
        _sentence(sheet, f"not compared: {sentence}")
    sheet.finish()


def _sentence(sheet: Sheet, words: str, style: Style = WRAPPED) -> None:
    """A text over the page's width, as high as it needs; a name in it cannot reorder the words around it."""
    words = terminal_text(words)
    row = sheet.append([Item(words, style), *[Item(None, style)] * (_BANNER - 1)], lines=lines_of(words, _LINE))
    sheet.worksheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=_BANNER)


def _ranking(sheet: Sheet, part: Mapping[str, Any]) -> None:
    unit = Style(_unit(part))
    sheet.header(["Run", "Not told apart from place", "Place", "Overall", "95% low", "95% high", "n"], lines=2)
    for place, row in enumerate(part["ranking"], 1):
        numbers = [Item(number(row.get(name)), unit) for name in ("value", "low", "high")]
        count = Item(whole(row.get("n")), Style(COUNT))
        sheet.append([Item(str(row["run"])), Item(places_of(part, row)), Item(place), *numbers, count])


def _add_groups(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(BY_GROUP)
    sheet.widths([24, 26, 26, 16, 20, *[11] * (len(_GROUP_HEADS) - 5)])
    sheet.header(_GROUP_HEADS, lines=2)
    for part in result["parts"]:
        for pair in part["pairs"]:
            for axis, group, cell in cells_of(pair):
                sheet.append(_group_items(part, pair, axis, group, cell))
    sheet.table(1, len(_GROUP_HEADS))
    sheet.finish(freeze="F2", repeat_row=1)


def _group_items(
    part: Mapping[str, Any], pair: Mapping[str, Any], axis: str, group: str, cell: Mapping[str, Any]
) -> list[Item]:
    unit, difference = Style(_unit(part)), Style(f"+{_unit(part)};-{_unit(part)};{_unit(part)}")
    labels = [title_of(part), str(pair["a"]), str(pair["b"]), axis or None, group]

    def counts(*names: str) -> list[Item]:
        return [Item(whole(cell.get(name)), Style(COUNT)) for name in names]

    def numbers(style: Style, *names: str) -> list[Item]:
        return [Item(number(cell.get(name)), style) for name in names]

    return [
        *(Item(label, TEXT if axis else BOLD) for label in labels),
        *counts("n", "n_clusters"),
        *numbers(unit, "a", "b"),
        *numbers(difference, "difference", "low", "high"),
        Item(test_of(part)),
        *numbers(Style(_P), "p", "p_clustered", "p_holm"),
        *numbers(unit, "detectable"),
        *counts("only_a", "only_b", "n_differ"),
        Item("few" if cell.get("few") else None, Style(fill="warn") if cell.get("few") else TEXT),
    ]


def _add_disagreements(book: Book, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    sheet = book.add_fixed(DISAGREEMENTS)
    labels = [str(run["label"]) for run in result["runs"]]
    write_table(sheet, _columns(labels, rows), rows, MAX_ROWS)
    sheet.finish(freeze="B2", repeat_row=1)


def _columns(labels: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    columns = [
        Column("index", 16, _read("index")),
        Column("task", 14, _read("task")),
        Column("modality", 15, _read("modality"), optional=True),
        Column("question_type", 14, _read("question_type"), optional=True),
        Column("severity", 12, _read("severity"), optional=True),
        Column("question", 44, _read("question", True), optional=True, wraps=True),
        Column("options", 30, _options, optional=True, wraps=True),
        Column("answer", 9, _read("answer"), optional=True),
        Column("reference", 60, _read("reference", True), optional=True, wraps=True),
    ]
    heads = {label: terminal_text(label) for label in labels}
    for label, head in heads.items():
        columns.append(Column(f"{head}: right", 14, _right(label), optional=True))
        columns.append(Column(f"{head}: read as", 12, _inner("extracted", label), optional=True))
        columns.append(Column(f"{head}: sum", 12, _score("scores", label), optional=True))
        columns += [
            Column(f"{head}: {title}", 14, _verdict(label, name), optional=True)
            for name, title in DIMENSION_TITLES.items()
        ]
    if any(row.get("replies") for row in rows):
        columns += [
            Column(f"{head}: reply", 70, _inner("replies", label, True), optional=True, wraps=True)
            for label, head in heads.items()
        ]
    return columns


def _read(name: str, wraps: bool = False) -> Any:
    return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)


def _inner(name: str, label: str, wraps: bool = False) -> Any:
    return lambda row: Item(text(mapping(row.get(name)).get(label)), WRAPPED if wraps else TEXT)


def _right(label: str) -> Any:
    def read(row: Mapping[str, Any]) -> Item:
        found = mapping(row.get("correct")).get(label)
        return Item(found, Style(fill="good" if found else "human")) if isinstance(found, bool) else Item(None)

    return read


def _score(name: str, label: str) -> Any:
    return lambda row: score_item(mapping(row.get(name)).get(label))


def _verdict(label: str, dimension: str) -> Any:
    return lambda row: score_item(mapping(mapping(row.get("verdicts")).get(label)).get(dimension))


def _options(row: Mapping[str, Any]) -> Item:
    options = mapping(row.get("options"))
    return Item("\n".join(f"{letter}. {option}" for letter, option in options.items()) or None, WRAPPED)


def _add_settings(book: Book, result: Mapping[str, Any]) -> None:
    """What the runs were made from and with, a column a result file, and how the figures were made."""
    sheet = book.add_fixed(SETTINGS)
    results = [(run, mapping(one)) for run in result["runs"] for one in run["results"]]
    sheet.widths([34, *[_VALUE] * max(1, len(results))])
    labels = [str(run["label"]) for run, _ in results]
    sheet.header(["Setting", *labels], lines=max((lines_of(label, _VALUE) for label in labels), default=1))
    for name in _SETTINGS:
        _settings_row(sheet, name, [_plain(one.get(name)) for _, one in results])
    for task in (task.value for task in Task):
        for name in ("sha256", "samples_sha256", "revision"):
            values = [text(mapping(mapping(one.get("data")).get(task)).get(name)) for _, one in results]
            if any(values):
                _settings_row(sheet, f"data.{task}.{name}", values)
    sheet.append()
    for name in ("seed", "level", "alpha", "power"):
        sheet.append([Item(name), Item(number(result[name]))])
    for name, words in mapping(result["methods"]).items():
        if isinstance(words, Mapping):
            for inner, found in words.items():
                sheet.append([Item(f"{name}, {inner}"), Item(str(found))])
        else:
            sheet.append([Item(str(name)), Item(str(words))])
    sheet.finish(freeze="B2", repeat_row=1)


def _settings_row(sheet: Sheet, name: str, values: Sequence[str | float | None]) -> None:
    lines = max((lines_of(value, _VALUE) for value in values if isinstance(value, str)), default=1)
    sheet.append([Item(name), *(Item(value, WRAPPED) for value in values)], lines=lines)


def _plain(value: object) -> str | float | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, (int, float)) else text(value)


def _unit(part: Mapping[str, Any]) -> str:
    return PERCENT if is_perception(part) else SCORE
