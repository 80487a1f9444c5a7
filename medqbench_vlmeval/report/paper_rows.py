"""The lines of a paper's table: own runs beside published rows, which of their numbers are best, and the notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from medqbench_vlmeval.data.published import HUMAN
from medqbench_vlmeval.report import render
from medqbench_vlmeval.report.board_entries import category_of, entry_of
from medqbench_vlmeval.report.board_rows import board_rows
from medqbench_vlmeval.report.labels import one_line, run_labels
from medqbench_vlmeval.report.rows import BASELINE, PUBLISHED, Row
from medqbench_vlmeval.report.runs import MEASURES, parts_of
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

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
