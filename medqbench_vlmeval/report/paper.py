"""Tables for papers, in the layout of the published ones: own runs beside published rows, as LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from medqbench_vlmeval.benchmark import HUMAN, MEASURES, Comparable, Task, title_of
from medqbench_vlmeval.files import write_text, writing
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, board_rows, entry_of
from medqbench_vlmeval.report.standings import BASELINE, COMPARABLE_MARKS, OWN, PUBLISHED, Row, names_by, run_labels
from medqbench_vlmeval.report.table import Column, Item, Kind, Table, task_kind, value_words
from medqbench_vlmeval.report.table import Row as TableRow
from medqbench_vlmeval.report.text import LABELS, latex, markdown, one_line
from medqbench_vlmeval.types import Cell, Result, TaskRun

_HEADINGS = LABELS["headings"]
_LONGEST_NAME = 60
_PUBLISHED_MARK = "‡"


@dataclass(frozen=True)
class _Line:
    """One line: a board's row with the name to show, and the run behind it where it is an own one."""

    row: Row
    name: str
    run: TaskRun | None = None

    @property
    def heading(self) -> str:
        return _HEADINGS.get(self.row.category or OWN, _HEADINGS[OWN])

    @property
    def is_ranked(self) -> bool:
        """Whether the line may hold the best number: a model's, not people's or a baseline's, that is comparable."""
        return self.row.comparable is Comparable.YES and self.row.category != HUMAN and self.row.kind != BASELINE

    def model(self) -> Item:
        is_published = self.row.kind == PUBLISHED
        return Item(self.name, mark=_PUBLISHED_MARK if is_published else COMPARABLE_MARKS[self.row.comparable])


def paper_table(results: Iterable[Result], task: Task, published: bool = True, intervals: bool = False) -> Table:
    """One task's table of the runs that have it, by heading, best first, what is not comparable last; the best number
    of a column is bold, the second best underlined, among comparable models. ``published`` puts the published rows
    beside the runs, ``intervals`` the 95% intervals beside own numbers."""
    lines = _lines([run for result in results for run in result.tasks if run.task is task], task, published)
    kind, interval = task_kind(task), "" if intervals else None
    columns = [Column("Model"), *(Column(name, kind, interval=interval, inline=True) for name in MEASURES[task])]
    numbers = zip(*(_numbers(lines, measure, kind) for measure in MEASURES[task]), strict=True)
    rows: list[TableRow] = []
    for heading, members in groupby(zip(lines, numbers, strict=True), key=lambda pair: pair[0].heading):
        rows.append(TableRow([heading], "heading"))
        rows += [TableRow([line.model(), *items]) for line, items in members]
    unit = "percent of questions" if task.is_choice else "means of 0-2, Overall their sum, 0-8"
    return Table(f"{title_of(task)} ({unit})", columns, rows, _notes(lines, intervals))


def write_tables(
    results: Sequence[Result], folder: Path, published: bool = True, intervals: bool = False
) -> list[Path]:
    """Write ``{task}.tex`` and ``.md`` of each task that has runs (see :func:`paper_table`); return the written files.
    Raises RunFailed where the folder cannot be written to."""
    written: list[Path] = []
    for task in BOARD_TASKS:
        if any(task in result.parts for result in results):
            whole = paper_table(results, task, published, intervals)
            texts = {"tex": latex(whole, f"tab:medqbench-{task.value}"), "md": markdown(whole)}
            for ending, text in texts.items():
                path = folder / f"{task.value}.{ending}"
                with writing(path):
                    write_text(path, text)
                written.append(path)
    return written


def _lines(runs: Sequence[TaskRun], task: Task, published: bool) -> list[_Line]:
    labels = run_labels(runs, _LONGEST_NAME)
    lines = []
    for row, place in board_rows([entry_of(run) for run in runs], task):
        if place is not None:
            lines.append(_Line(row, labels[place], runs[place]))
        elif published:
            lines.append(_Line(row, row.model))
    headings = list(_HEADINGS.values())
    return sorted(lines, key=lambda line: headings.index(line.heading))


def _numbers(lines: Sequence[_Line], measure: str, kind: Kind) -> list[Item]:
    """A number a line. Of two or more comparable models the two best stand out, equal ones as they are printed."""
    cells = [line.run.result.measures[measure] if line.run else Cell(line.row.values.get(measure)) for line in lines]
    printed = [
        value_words(cell.value, kind) if line.is_ranked and cell.value is not None else None
        for line, cell in zip(lines, cells, strict=True)
    ]
    ranked = [text for text in printed if text]
    best = sorted(set(ranked), key=float, reverse=True)[:2] if len(ranked) > 1 else []
    ranks = [best.index(text) if text in best else None for text in printed]
    return [Item(cell, bold=rank == 0, underlined=rank == 1) for cell, rank in zip(cells, ranks, strict=True)]


def _notes(lines: Sequence[_Line], intervals: bool) -> list[str]:
    notes = []
    if sum(line.is_ranked for line in lines) > 1:
        notes.append(
            "Best bold, second underlined or in italics, among comparable models (people and baselines aside)."
        )
    if sources := ", ".join(dict.fromkeys(line.row.source for line in lines if line.row.source)):
        notes.append(f"{_PUBLISHED_MARK} Published, for reference ({sources}); without intervals.")
    for value, mark in COMPARABLE_MARKS.items():
        reasons = names_by(
            ("; ".join(map(one_line, line.row.not_comparable_because)) or "the result does not say why", line.name)
            for line in lines
            if mark and line.row.comparable is value
        )
        words = f"{mark} {value.words.capitalize()} with the published rows"
        notes += [f"{words}: {names}: {because}." for because, names in reasons.items()]
    own = [line for line in lines if line.run is not None]
    settings = names_by((_settings(line.row), line.name) for line in own)
    for facts, names in settings.items():
        notes.append(f"{'All own runs' if len(settings) == 1 < len(own) else names}: {facts}.")
    if intervals and settings:
        notes.append("With own numbers: 95% intervals, where one could be made.")
    return notes


def _settings(row: Row) -> str:
    facts = [f"n = {row.n:,}", row.dataset]
    if row.judge:
        facts += [f"judge {row.judge}", f"protocol {row.protocol}"]
    return ", ".join(one_line(fact) for fact in facts if fact)
