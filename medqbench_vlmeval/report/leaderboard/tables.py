"""A board as text for other places: CSV for a spreadsheet, Markdown and HTML for a README.

Model names, reasons and settings are data: no spreadsheet may run them, and no renderer may take them for markup.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence

from medqbench_vlmeval.benchmark import Task, column_name
from medqbench_vlmeval.report.standings import PUBLISHED, Row
from medqbench_vlmeval.report.text import csv_text, markdown_text, one_line
from medqbench_vlmeval.runs.result import MEASURES, OVERALL, TASK_TITLES

Boards = Mapping[Task, Sequence[Row]]

_NONE = "–"
_HASH = 8  # characters of a data hash that are shown


def csv_table(boards: Boards) -> str:
    """One row a line; with more than one task, a column names it and has all tasks' measures beside it."""
    measures = list(dict.fromkeys(column_name(measure) for task in boards for measure in MEASURES[task]))
    several = len(boards) > 1
    heads = [*(["task"] if several else []), "kind", "model", "category", "dataset", *measures]
    heads += ["overall_low", "overall_high", "n", "comparable", "not_comparable_because", "judge", "protocol"]
    heads += ["prompt_style", "data_sha256", "created", "source"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    for task, rows in boards.items():
        for row in rows:
            values = {column_name(measure): row.values[measure] for measure in MEASURES[task]}
            low, high = row.interval or (None, None)
            names = (row.kind, row.model, row.category, row.dataset)
            settings = (row.judge, row.protocol, row.prompt_style, row.data_sha256, row.created, row.source)
            writer.writerow(
                [
                    *([task.value] if several else []),
                    *(csv_text(cell or "") for cell in names),
                    *(_number(value, task, "") for value in (*(values.get(name) for name in measures), low, high)),
                    "" if row.n is None else row.n,
                    "yes" if row.comparable else "no",
                    *(csv_text(cell or "") for cell in ("; ".join(row.not_comparable_because), *settings)),
                ]
            )
    return out.getvalue()


def markdown_tables(boards: Boards) -> str:
    """A heading and a GitHub-flavoured table a task; what is not comparable is not ranked and says why below."""
    blocks = []
    for task, rows in boards.items():
        heads, lines = _lines(task, rows)
        marks = ["---:" if number else "---" for number in _numeric(task)]
        table = [_markdown_row(heads), f"| {' | '.join(marks)} |", *(_markdown_row(line) for line in lines)]
        notes = [f"- {markdown_text(note)}" for note in _notes(task, rows)]
        blocks.append("\n".join([f"### MedQ-Bench {TASK_TITLES[task]}", "", *table, "", *notes]).rstrip())
    return "\n\n".join(blocks) + "\n"


def html_tables(boards: Boards) -> str:
    """A ``<table>`` and its notes a task, without styles or scripts, which a README may not have."""
    blocks = []
    for task, rows in boards.items():
        heads, lines = _lines(task, rows)
        numeric = _numeric(task)
        block = ["<table>", f"<caption>MedQ-Bench {_html(TASK_TITLES[task])}</caption>", "<thead>", "<tr>"]
        block += [f"<th{_right(number)}>{_html(head)}</th>" for head, number in zip(heads, numeric, strict=True)]
        block += ["</tr>", "</thead>", "<tbody>"]
        for line in lines:
            cells = (f"<td{_right(number)}>{_html(cell)}</td>" for cell, number in zip(line, numeric, strict=True))
            block.append(f"<tr>{''.join(cells)}</tr>")
        block += ["</tbody>", "</table>", "<ul>", *(f"<li>{_html(note)}</li>" for note in _notes(task, rows)), "</ul>"]
        blocks.append("\n".join(block))
    return "\n".join(blocks) + "\n"


def _lines(task: Task, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    measures = [OVERALL, *(measure for measure in MEASURES[task] if measure != OVERALL)]
    heads = ["#", "Model", "Category", *measures, "95% interval", "n", "Row", "Judge", "Protocol", "Data"]
    lines = []
    for place, row in enumerate(rows, 1):
        low, high = row.interval or (None, None)
        interval = _NONE if low is None else f"{_number(low, task)} to {_number(high, task)}"
        kind = row.kind if row.kind == PUBLISHED or row.comparable else f"{row.kind}, not comparable"
        data = (row.data_sha256 or _NONE).removeprefix("samples:")[:_HASH]
        numbers = [_number(row.values[measure], task) for measure in measures]
        count = _NONE if row.n is None else str(row.n)
        settings = [row.judge or _NONE, row.protocol or _NONE, data]
        rank = str(place) if row.comparable else _NONE
        lines.append([rank, row.model, row.category or _NONE, *numbers, interval, count, kind, *settings])
    return heads, lines


def _numeric(task: Task) -> list[bool]:
    return [True, False, False, *[True] * len(MEASURES[task]), True, True, False, False, False, False]


def _notes(task: Task, rows: Sequence[Row]) -> list[str]:
    unit = "percent of questions" if task is Task.PERCEPTION else "means of 0-2 a dimension, Overall their sum (0-8)"
    sources = ", ".join(dict.fromkeys(row.source for row in rows if row.source))
    notes = [f"{unit}; published rows: {sources or 'none'}"]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row.comparable:
            because = "; ".join(row.not_comparable_because) or "no reason given"
            reasons.setdefault(because, []).append(row.model)
    return notes + [
        f"not comparable: {', '.join(dict.fromkeys(models))}: {because}" for because, models in reasons.items()
    ]


def _number(value: float | None, task: Task, absent: str = _NONE) -> str:
    return absent if value is None else f"{value:.{2 if task is Task.PERCEPTION else 3}f}"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"


def _html(cell: str) -> str:
    return html.escape(one_line(cell))


def _right(number: bool) -> str:
    return ' align="right"' if number else ""
