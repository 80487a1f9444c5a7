"""Tables for papers, in the layout of the published ones: LaTeX (booktabs) and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_text
from medqbench_vlmeval.report.board_entries import BOARD_TASKS
from medqbench_vlmeval.report.markup import latex_text, markdown_text
from medqbench_vlmeval.report.paper_rows import (
    BEST,
    IS_FEW,
    IS_PUBLISHED,
    NOT_COMPARABLE,
    SECOND,
    PaperRow,
    by_heading,
    notes_of,
    paper_rows,
    ranks_of,
    value_text,
)
from medqbench_vlmeval.report.runs import MEASURES, TASK_TITLES, parts_of
from medqbench_vlmeval.tasks import Task


@dataclass(frozen=True)
class _Dialect:
    """How a kind of text writes a cell: ``%s`` in a template stands for what is already escaped."""

    escaped: Callable[[str], str]
    ranks: Mapping[int, str]
    second: str
    marks: Mapping[str, str]
    mark: str
    interval: str


_LATEX = _Dialect(
    latex_text,
    {BEST: r"\textbf{%s}", SECOND: r"\underline{%s}"},
    "underlined",
    {IS_PUBLISHED: r"\ddagger", NOT_COMPARABLE: r"\dagger", IS_FEW: "*"},
    "$^{%s}$",
    r" {\scriptsize {[}%s, %s{]}}",
)
# Markdown has no underline, and GitHub takes that of HTML away.
_MARKDOWN = _Dialect(
    markdown_text,
    {BEST: "**%s**", SECOND: "_%s_"},
    "in italics",
    {IS_PUBLISHED: "‡", NOT_COMPARABLE: "†", IS_FEW: r"\*"},
    "%s",
    " (%s to %s)",
)


def latex_table(task: Task, rows: Sequence[PaperRow], intervals: bool = False) -> str:
    """A ``table`` for a document with ``booktabs``: the best number bold, the second underlined.

    Args:
        rows: see :func:`.paper_rows.paper_rows`; without any the table is empty.
        intervals: whether own numbers have their 95% intervals beside them.
    """
    measures = MEASURES[task]
    beyond = not all(line.name.isascii() for line in rows)
    lines = [
        "% Needs \\usepackage{booktabs}"
        + ("; names beyond Latin letters take XeLaTeX or LuaLaTeX." if beyond else "."),
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{latex_text(_caption(task))}.}}",
        f"\\label{{tab:medqbench-{task.value}}}",
        f"\\begin{{tabular}}{{l{'r' * len(measures)}}}",
        "\\toprule",
        " & ".join(["Model", *map(latex_text, measures)]) + " \\\\",
    ]
    for heading, body in _bodies(task, rows, intervals, _LATEX):
        lines += ["\\midrule", f"\\multicolumn{{{len(measures) + 1}}}{{l}}{{\\textit{{{heading}}}}} \\\\"]
        lines += [" & ".join(cells) + " \\\\" for cells in body]
    lines += ["\\bottomrule", "\\end{tabular}"]
    notes = _notes(rows, intervals, _LATEX)
    if notes:
        lines += ["\\par\\smallskip", "\\parbox{\\linewidth}{\\footnotesize", " \\\\\n".join(notes), "}"]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def markdown_table(task: Task, rows: Sequence[PaperRow], intervals: bool = False) -> str:
    """A GitHub-flavoured table with its notes: the best number bold, the second in italics.

    See :func:`latex_table` for the arguments.
    """
    measures = MEASURES[task]
    lines = [f"**{markdown_text(_caption(task))}**", "", f"| Model | {' | '.join(measures)} |"]
    lines.append(f"| --- |{' ---: |' * len(measures)}")
    for heading, body in _bodies(task, rows, intervals, _MARKDOWN):
        lines.append(f"| *{heading}* |{'  |' * len(measures)}")
        lines += [f"| {' | '.join(cells)} |" for cells in body]
    lines += ["", *(f"- {note}" for note in _notes(rows, intervals, _MARKDOWN))]
    return "\n".join(lines).rstrip() + "\n"


def write_tables(
    scores: Sequence[Mapping[str, Any]], folder: Path, published: bool = True, intervals: bool = False
) -> list[Path]:
    """Write ``perception.tex`` and ``.md``, ``no_reference`` and ``comparative`` likewise, for tasks that have runs.

    Args:
        published: whether the published rows stand beside the runs, as reference.
        intervals: whether own numbers have their 95% intervals beside them.

    Returns:
        The written files.

    Raises:
        BadInput: a score is not a result of this package.
        RunFailed: the folder cannot be written to.
    """
    written: list[Path] = []
    with_runs = {part.task for score in scores for part in parts_of(score)}
    for task in BOARD_TASKS:
        if task not in with_runs:
            continue
        rows = paper_rows(scores, task, published)
        for ending, table in (("tex", latex_table), ("md", markdown_table)):
            path = folder / f"{task.value.replace('-', '_')}.{ending}"
            try:
                write_text(path, table(task, rows, intervals))
            except OSError as error:
                raise RunFailed(f"{path} cannot be written: {error.strerror or error}.") from error
            written.append(path)
    return written


def _bodies(
    task: Task, rows: Sequence[PaperRow], intervals: bool, dialect: _Dialect
) -> Iterator[tuple[str, list[list[str]]]]:
    """Each heading with the cells of its lines."""
    ranks = {id(line): found for line, found in zip(rows, ranks_of(task, rows), strict=True)}
    for heading, lines in by_heading(rows).items():
        body = []
        for line in lines:
            name = dialect.escaped(line.name) + (dialect.mark % dialect.marks[line.mark] if line.mark else "")
            numbers = (_cell(task, line, measure, ranks[id(line)], intervals, dialect) for measure in MEASURES[task])
            body.append([name, *numbers])
        yield dialect.escaped(heading), body


def _cell(
    task: Task, line: PaperRow, measure: str, ranks: Mapping[str, int], intervals: bool, dialect: _Dialect
) -> str:
    cell = dialect.escaped(value_text(task, line.row.values.get(measure)))
    if measure in ranks:
        cell = dialect.ranks[ranks[measure]] % cell
    if line.is_few(measure):
        cell += dialect.mark % dialect.marks[IS_FEW]
    if intervals and measure in line.intervals:
        cell += dialect.interval % tuple(value_text(task, end) for end in line.intervals[measure])
    return cell


def _notes(rows: Sequence[PaperRow], intervals: bool, dialect: _Dialect) -> list[str]:
    return [
        (f"{dialect.mark % dialect.marks[mark]} " if mark else "") + dialect.escaped(note)
        for mark, note in notes_of(rows, dialect.second, intervals)
    ]


def _caption(task: Task) -> str:
    unit = "percent of questions" if task is Task.PERCEPTION else "means of 0-2, Overall their sum, 0-8"
    return f"MedQ-Bench {TASK_TITLES[task]} ({unit})"
