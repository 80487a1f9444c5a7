"""The findings of many runs: one row a finding and three columns a run, and the sentences below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.report.cells import (
    BOLD,
    COUNT,
    HEAD,
    PERCENT,
    SCORE,
    TITLE,
    WRAPPED,
    Book,
    Item,
    Sheet,
    Style,
    area,
    lines_of,
)
from medqbench_vlmeval.report.many_runs import TaskRuns
from medqbench_vlmeval.report.render_findings import absent_findings, findings_of, title_of, words_of
from medqbench_vlmeval.report.runs import number, text, whole
from medqbench_vlmeval.report.sheet_groups import FEW_HEAD, FEW_MARK
from medqbench_vlmeval.scoring.intervals import FEW

FINDINGS, SENTENCES = "Findings", "Findings in words"

_WHAT = (
    "One row a finding; a run's three columns are its value and the ends of its 95% interval. Of which groups a gap "
    f"is and why one is absent, the sheet '{SENTENCES}' says. Grey italics: fewer than {FEW} samples."
)
_COLUMNS = 3  # a run
_FIRST = 3  # the column of the first run
_RUNS_A_PAGE = 6
_SENTENCE_WIDTH = 100


def add_many_findings(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write both sheets where some run has findings; else none."""
    known = [found for found in tasks if _names(found)]
    if not known:
        return
    sheet = book.add_fixed(FINDINGS)
    sheet.widths([42, 12, *[10.5] * (_COLUMNS * max(len(found.runs) for found in known))])
    sheet.append([Item("Findings side by side", TITLE)], lines=2)
    sheet.append([Item(_WHAT)])
    for found in known:
        sheet.append()
        _side_by_side(sheet, found)
    pages = -(-max(len(found.runs) for found in known) // _RUNS_A_PAGE)
    sheet.finish(freeze="C2", repeat_row=1, pages=pages, repeat_columns=2)
    _sentences(book.add_fixed(SENTENCES), known)


def _names(found: TaskRuns) -> dict[str, tuple[str, str | None]]:
    """Title and unit by name of every finding that some run has, or has a reason for not having."""
    names: dict[str, tuple[str, str | None]] = {}
    for run in found.runs:
        names.update({name: (title_of(name, one), text(one.get("unit"))) for name, one in findings_of(run.part)})
    for run in found.runs:
        for name in absent_findings(run.part):
            names.setdefault(name, (words_of(name).capitalize(), None))
    return names


def _side_by_side(sheet: Sheet, found: TaskRuns) -> None:
    sheet.append([Item(found.title, BOLD)])
    runs = [(dict(findings_of(run.part)), absent_findings(run.part)) for run in found.runs]
    labels = [item for run in found.runs for item in (Item(run.label, HEAD), Item(None, HEAD), Item(None, HEAD))]
    top = sheet.append([Item(None, HEAD), Item(None, HEAD), *labels], lines=2)
    for at in range(len(runs)):
        left = _FIRST + at * _COLUMNS
        sheet.worksheet.merge_cells(area(left, top, left + _COLUMNS - 1, top))
    sheet.header(["Finding", "Unit", *["value", "95% low", "95% high"] * len(runs)])
    for name, (title, unit) in _names(found).items():
        items = [Item(title, BOLD), Item(unit)]
        for present, absent in runs:
            items += _figures(present.get(name), absent.get(name))
        sheet.append(items)


def _figures(found: Mapping[str, Any] | None, reason: str | None) -> list[Item]:
    if found is None:
        return [Item(None if reason is None else "absent", Style(faint=True)), Item(None), Item(None)]
    style = Style(
        PERCENT if text(found.get("unit")) in ("points", "percent") else SCORE, faint=found.get("few") is True
    )
    return [Item(number(found.get(key)), style) for key in ("value", "low", "high")]


def _sentences(sheet: Sheet, known: Sequence[TaskRuns]) -> None:
    sheet.widths([26, 40, 34, _SENTENCE_WIDTH, 10, 9])
    sheet.header(["Task", "Finding", "Run", "Statement", "n", FEW_HEAD])
    for found in known:
        runs = [(run.label, dict(findings_of(run.part)), absent_findings(run.part)) for run in found.runs]
        for name, (title, _) in _names(found).items():
            for label, present, absent in runs:
                if name not in present and name not in absent:
                    continue
                one = present.get(name, {})
                said = str(one["statement"]) if one else f"not found: {absent[name]}"
                few = one.get("few") is True
                sheet.append(
                    [
                        *(Item(words) for words in (found.title, title, label)),
                        Item(said, WRAPPED if one else Style(wrap=True, faint=True)),
                        Item(whole(one.get("n")), Style(COUNT, faint=few)),
                        Item(FEW_MARK if few else None, Style(faint=True)),
                    ],
                    lines=lines_of(said, _SENTENCE_WIDTH),
                )
    sheet.table(1, 6)
    sheet.finish(freeze="D2", repeat_row=1)
