"""The lines of a paper's table: own runs beside published rows, which of their numbers are best, and the notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import HUMAN, Task
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_text
from medqbench_vlmeval.report import terminal as render
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, board_rows, category_of, entry_of
from medqbench_vlmeval.report.standings import BASELINE, PUBLISHED, Row, run_labels
from medqbench_vlmeval.report.text import latex_text, markdown_text, one_line
from medqbench_vlmeval.runs.result import MEASURES, TASK_TITLES, parts_of
from medqbench_vlmeval.scoring.intervals import FEW

BEST, SECOND = 1, 2
IS_PUBLISHED, NOT_COMPARABLE, IS_FEW = "published", "not comparable", "few"
"""What a line or a number is marked for."""

_OWN = "own"
_HEADINGS = {
    HUMAN: "Human",
    "commercial": "Commercial",
    "open-source": "Open-source",
    "medical-specialized": "Medical-specialized",
    BASELINE: "Baselines",
    _OWN: "Own runs",
}
_LONGEST_NAME = 60


@dataclass(frozen=True)
class PaperRow:
    """One line: a board's row with the name to show; own rows also have n and interval of every measure."""

    row: Row
    name: str
    counts: Mapping[str, int | None] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """What the line stands under."""
        return _HEADINGS.get(self.row.category or _OWN, _HEADINGS[_OWN])

    @property
    def ranked(self) -> bool:
        """Whether the line may hold the best number: a model's, not people's or a baseline's, that is comparable."""
        return self.row.comparable and self.row.category != HUMAN and self.row.kind != BASELINE

    def is_few(self, measure: str) -> bool:
        """Whether a number rests on fewer than ten samples."""
        count = self.counts.get(measure)
        return count is not None and count < FEW and self.row.values.get(measure) is not None

    @property
    def mark(self) -> str | None:
        """What the whole line is marked for."""
        if self.row.kind == PUBLISHED:
            return IS_PUBLISHED
        return None if self.row.comparable else NOT_COMPARABLE


def paper_rows(scores: Iterable[Mapping[str, Any]], task: Task, published: bool = True) -> list[PaperRow]:
    """The lines of one task's table by heading, best first and those that are not comparable last.

    Runs that call themselves comparable and were measured on different data are set apart as on a board.

    Raises:
        BadInput: a score is not a result of this package.
    """
    parts = [part for score in scores for part in parts_of(score) if part.task is task]
    labels = run_labels(parts, _LONGEST_NAME)
    entries = []
    for at, part in enumerate(parts):
        entry = entry_of(part)
        # The board sorts its rows; this name finds the run again.
        entries.append({**entry, "category": category_of(entry), "model": str(at)})
    found: list[PaperRow] = []
    for row in board_rows(entries, task):
        if row.kind != PUBLISHED:
            part, label = parts[int(row.model)], labels[int(row.model)]
            counts = {measure: part.measure_n(measure) for measure in MEASURES[task]}
            found.append(PaperRow(replace(row, model=part.model), label, counts, part.intervals))
        elif published:
            found.append(PaperRow(row, row.model))
    headings = list(_HEADINGS.values())
    return sorted(found, key=lambda line: headings.index(line.heading))


def by_heading(rows: Iterable[PaperRow]) -> dict[str, list[PaperRow]]:
    """The lines by heading, in their order."""
    found: dict[str, list[PaperRow]] = {}
    for line in rows:
        found.setdefault(line.heading, []).append(line)
    return found


def ranks_of(task: Task, rows: Sequence[PaperRow]) -> list[dict[str, int]]:
    """Of each line the measures in which it is ``BEST`` or ``SECOND`` among comparable models.

    Numbers that are printed alike share a rank. With fewer than two numbers there is no best one.
    """
    found: list[dict[str, int]] = [{} for _ in rows]
    for measure in MEASURES[task]:
        printed = {
            at: float(value_text(task, line.row.values.get(measure)))
            for at, line in enumerate(rows)
            if line.ranked and line.row.values.get(measure) is not None
        }
        if len(printed) < 2:
            continue
        for rank, best in zip((BEST, SECOND), sorted(set(printed.values()), reverse=True), strict=False):
            for at, value in printed.items():
                if value == best:
                    found[at][measure] = rank
    return found


def value_text(task: Task, value: float | None) -> str:
    """A number as the published tables print it: percent with two digits, means with three."""
    return "–" if value is None else render.value_text(value, task)


def notes_of(rows: Sequence[PaperRow], second: str, intervals: bool) -> list[tuple[str | None, str]]:
    """What stands below the table: each note with what it explains the mark of, None for a note without a mark.

    Args:
        second: how the second best is marked, as the end of 'second ...'.
        intervals: whether the table has intervals.
    """
    notes: list[tuple[str | None, str]] = []
    if sum(line.ranked for line in rows) > 1:
        notes.append((None, f"Best bold, second {second}, among comparable models (people and baselines aside)."))
    sources = dict.fromkeys(line.row.source for line in rows if line.row.source)
    if sources:
        notes.append((IS_PUBLISHED, f"Published, for reference ({', '.join(sources)}); without intervals."))
    reasons: dict[str, list[str]] = {}
    for line in rows:
        if not line.row.comparable:
            because = "; ".join(map(one_line, line.row.not_comparable_because)) or "the result does not say why"
            reasons.setdefault(because, []).append(line.name)
    notes += [
        (NOT_COMPARABLE, f"Not comparable with the published rows: {', '.join(names)}: {because}.")
        for because, names in reasons.items()
    ]
    if any(line.is_few(measure) for line in rows for measure in line.counts):
        notes.append((IS_FEW, f"Fewer than {FEW} samples."))
    own = [line for line in rows if line.row.kind != PUBLISHED]
    settings: dict[str, list[str]] = {}
    for line in own:
        settings.setdefault(_settings(line.row), []).append(line.name)
    alike = len(settings) == 1 and len(own) > 1
    notes += [(None, f"{'All own runs' if alike else ', '.join(names)}: {known}.") for known, names in settings.items()]
    if intervals and own:
        notes.append((None, "Beside own numbers: 95% intervals, where one could be made."))
    return notes


def _settings(row: Row) -> str:
    facts = [f"n = {'unknown' if row.n is None else f'{row.n:,}'}", row.dataset]
    if row.judge:
        facts += [f"judge {row.judge}", f"protocol {row.protocol or 'unknown'}"]
    return ", ".join(one_line(fact) for fact in facts if fact)


# Tables for papers, in the layout of the published ones: LaTeX (booktabs) and Markdown.


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
