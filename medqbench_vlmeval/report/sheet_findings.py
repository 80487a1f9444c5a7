"""The findings of a run: one line each, and below them the tables that they are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import (
    BOLD,
    COUNT,
    PERCENT,
    SCORE,
    TEXT,
    WRAPPED,
    Book,
    Item,
    Sheet,
    Style,
    lines_of,
)
from medqbench_vlmeval.report.render_findings import absent_findings, findings_of, title_of, words_of
from medqbench_vlmeval.report.runs import TASK_TITLES, RunPart, mapping, number, text, whole
from medqbench_vlmeval.report.sheet_groups import FEW_HEAD, FEW_MARK

FINDINGS = "Findings"

_WHAT = (
    "Each finding with its 95% interval; 'no evidence' is said where the interval of a difference includes 0. What the "
    "data does not support is listed with the reason."
)
_HEADS = ("Task", "Finding", "Statement", "Value", "Low", "High", "Unit", "n", FEW_HEAD, "Interval")
_STATEMENT_WIDTH = 68
_METHOD_WIDTH = 32
_WIDTHS = (23, 34, _STATEMENT_WIDTH, 11, 11, 11, 11, 9, 9, _METHOD_WIDTH)
_FIRST_TABLE_COLUMN = 2
_SHARES = {
    "kinds": "Kind",
    "reasons": "Reason",
    "first_stated": "Answers that prefer the first image",
    "first_in_reference": "References that prefer the first image",
    "right_where_first_is_better": "Right where the first image is better",
    "right_where_second_is_better": "Right where the second image is better",
    "said_yes": "Answers that say yes",
    "is_yes": "Questions whose answer is yes",
    "right_where_yes": "Right where it is yes",
    "right_where_no": "Right where it is no",
    "inference_failed": "Inference failed",
    "missing": "Prediction missing",
}


def add_findings(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the sheet where a result has findings; a result without them gets no sheet."""
    known = [part for part in parts if any(findings_of(part)) or absent_findings(part)]
    if not known:
        return
    sheet = book.add_fixed(FINDINGS)
    sheet.widths(_WIDTHS)
    sheet.append([Item(_WHAT)])
    head = sheet.header(_HEADS)
    for part in known:
        for name, found in findings_of(part):
            _line(sheet, part, name, found)
        for name, reason in absent_findings(part).items():
            grey = Style(faint=True)
            sheet.append(
                [Item(TASK_TITLES[part.task], grey), Item(words_of(name), grey), Item(f"not found: {reason}", grey)]
            )
    for part in known:
        for name, found in findings_of(part):
            _tables(sheet, part, name, found)
    sheet.finish(freeze=f"C{head + 1}", repeat_row=1)


def _line(sheet: Sheet, part: RunPart, name: str, found: Mapping[str, Any]) -> None:
    few = found.get("few") is True
    unit = text(found.get("unit"))
    figure = Style(SCORE if unit == "score" else PERCENT, faint=few)
    statement = str(found["statement"])
    sheet.append(
        [
            Item(TASK_TITLES[part.task]),
            Item(title_of(name, found), Style(bold=True, wrap=True)),
            Item(statement, WRAPPED),
            *(Item(number(found.get(key)), figure) for key in ("value", "low", "high")),
            Item(unit),
            Item(whole(found.get("n")), Style(COUNT, faint=few)),
            Item(FEW_MARK if few else None, Style(faint=True)),
            Item(text(found.get("method")), WRAPPED),
        ],
        lines=max(lines_of(statement, _STATEMENT_WIDTH), lines_of(text(found.get("method")) or "", _METHOD_WIDTH)),
    )


def _tables(sheet: Sheet, part: RunPart, name: str, found: Mapping[str, Any]) -> None:
    """The tables of one finding, under its name."""
    details = mapping(found.get("details"))
    shares = _share_rows(details)
    groups = mapping(details.get("groups"))
    scales = mapping(details.get("scales"))
    options = mapping(details.get("by_options"))
    if not (shares or groups or scales or options):
        return
    sheet.append()
    sheet.append([Item(TASK_TITLES[part.task], BOLD), Item(title_of(name, found), BOLD)])
    if groups:
        _groups(sheet, groups, text(found.get("unit")) == "points", details)
    for scale, matrix in scales.items():
        _matrix(sheet, str(scale), mapping(matrix))
    _mistakes(sheet, details.get("mistakes"))
    for letters, table in options.items():
        _letters(sheet, str(letters), mapping(table))
    if shares:
        _head(sheet, ["", "", "Share, %", "Low", "High", "Count", "of", FEW_HEAD])
        for label, share in shares:
            sheet.append([Item(None), Item(label), Item(None), *_share(share)])


def _groups(sheet: Sheet, groups: Mapping[str, Any], in_percent: bool, details: Mapping[str, Any]) -> None:
    sides = details.get("compared")
    compared = {str(name) for side in _list(sides) for name in _list(side)}
    _head(sheet, ["Group", "Compared", "Accuracy, %" if in_percent else "Mean", "Low", "High", "n", FEW_HEAD])
    for name, cell in groups.items():
        few = mapping(cell).get("few") is True
        figure = Style(PERCENT if in_percent else SCORE, faint=few)
        sheet.append(
            [
                Item(None),
                Item(str(name)),
                Item("compared" if str(name) in compared else None),
                *(Item(number(mapping(cell).get(key)), figure) for key in ("value", "low", "high")),
                Item(whole(mapping(cell).get("n")), Style(COUNT, faint=few)),
                Item(FEW_MARK if few else None, Style(faint=True)),
            ]
        )


def _matrix(sheet: Sheet, scale: str, matrix: Mapping[str, Any]) -> None:
    """Counts by the right level (rows) and the chosen one (columns), coloured up to the largest count."""
    columns = list(dict.fromkeys(str(level) for row in matrix.values() for level in mapping(row)))
    counts = {right: [whole(mapping(row).get(level)) for level in columns] for right, row in matrix.items()}
    _head(sheet, [f"Right level ({scale})", "Chosen:", *columns])
    first = sheet.row + 1
    for right, row in counts.items():
        sheet.append([Item(None), Item(str(right)), Item(None), *(Item(count, Style(COUNT)) for count in row)])
    top = max((count or 0 for row in counts.values() for count in row), default=0)
    for at in range(len(columns)):
        sheet.colour_scale(_FIRST_TABLE_COLUMN + 2 + at, first, sheet.row, max(top, 1))


def _mistakes(sheet: Sheet, mistakes: object) -> None:
    found = [mapping(one) for one in _list(mistakes)]
    if not found:
        return
    _head(sheet, ["Level taken for another", "", "Share, %", "Low", "High", "Count", "of", FEW_HEAD])
    for one in found:
        label = f"{one.get('right')} taken for {one.get('chosen')}"
        sheet.append([Item(None), Item(label), Item(None), *_share(one)])


def _letters(sheet: Sheet, letters: str, table: Mapping[str, Any]) -> None:
    note = f"{len(letters)} options, n = {whole(table.get('n'))}"
    _head(sheet, ["Letter", note, "Chosen, %", "Right, %", "Points apart", "Low", "High"])
    for letter, row in mapping(table.get("letters")).items():
        keys = ("chosen", "right", "difference", "low", "high")
        figures = (Item(number(mapping(row).get(key)), Style(PERCENT)) for key in keys)
        sheet.append([Item(None), Item(str(letter)), Item(None), *figures])
    distance = number(table.get("distance"))
    total = [Item("Total variation distance"), *[Item(None)] * 3, Item(distance, Style(PERCENT))]
    sheet.append([Item(None), *total])


def _share_rows(details: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for key, label in _SHARES.items():
        found = mapping(details.get(key))
        if "share" in found:
            rows.append((label, found))
        elif key in ("kinds", "reasons"):
            rows += [(str(name), mapping(share)) for name, share in found.items()]
    return rows


def _share(share: Mapping[str, Any]) -> list[Item]:
    few = share.get("few") is True
    return [
        *(Item(number(share.get(key)), Style(PERCENT, faint=few)) for key in ("share", "low", "high")),
        *(Item(whole(share.get(key)), Style(COUNT, faint=few)) for key in ("count", "of")),
        Item(FEW_MARK if few else None, Style(faint=True)),
    ]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else []


def _head(sheet: Sheet, names: Sequence[str]) -> None:
    """Heads over the second column and those from the third on."""
    sheet.append([Item(None, TEXT), *(Item(name, BOLD) for name in names)])
