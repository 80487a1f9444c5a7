"""A comparison of runs as tables: the ranking, all pairs, every group, and the samples on which runs differ.

Each table is defined once; the terminal and the workbook ``compare.xlsx`` show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES, Task
from medqbench_vlmeval.report.run_tables import SETTINGS, few_item
from medqbench_vlmeval.report.sample_tables import Read, add_rows, mark_entry, options_text
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import (
    FEW_HEAD,
    Column,
    Entry,
    Item,
    Kind,
    Row,
    Table,
    Value,
    ends_words,
    task_kind,
    value_words,
)
from medqbench_vlmeval.report.terminal import own_console, print_line, print_table
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.runs.comparison import METHODS, ComparedPair, ComparedTask, Disagreement, RunComparison
from medqbench_vlmeval.runs.result import OVERALL
from medqbench_vlmeval.scoring.compare import ALPHA, POWER, Difference, RankedRun
from medqbench_vlmeval.scoring.intervals import LEVEL
from medqbench_vlmeval.types import Run, SampleRow

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY, BY_GROUP, DISAGREEMENTS = "Summary", "By group", "Disagreements"
MDE = f"MDE ({POWER:.0%} power)"
P_CLUSTERED = "p (clustered by image)"

_AXES = {"question_type": "question type"}
_INDEX_LENGTH = 40  # characters of an index
_LISTED = 10  # indexes that are named of samples which are not compared
_SPAN, _LINE = 7, 110  # columns that a sentence stands over, and the characters of a line there
_VALUE = 40  # the width of a column of settings


def title_of(task: ComparedTask) -> str:
    """'Perception', with the dataset where a run has several of the task."""
    title = TASK_TITLES[task.task]
    return f"{title} ({task.dataset})" if task.dataset else title


def headline_of(task: ComparedTask, pair: ComparedPair) -> str:
    """The overall difference of a pair in one sentence."""
    overall, kind, points = pair.overall, task_kind(task.task), _points(task)
    unit = "%" if task.task is Task.PERCEPTION else ""
    ends = ends_words(overall.cell, points)
    interval = f"95% {' to '.join(ends)}" if ends else f"no interval: {overall.no_interval or 'too few resamples'}"
    p = value_words(overall.decisive_p, "p")
    equals = f"< {p[1:]}" if p.startswith("<") else f"= {p}"
    clustered = "" if overall.p_clustered is None else " (clustered by image)"
    effect = "unknown" if overall.detectable is None else f"{value_words(overall.detectable, kind)} points"
    a, b = (f"{value_words(value, kind)}{unit}" for value in (overall.a, overall.b))
    return (
        f"{a} against {b} on {overall.cell.n} samples: difference "
        f"{value_words(overall.cell.value or 0.0, points)} points ({interval}), {_test(task)} p {equals}"
        f"{clustered}. Minimum detectable effect ({POWER:.0%} power): {effect}."
    )


def compare_tables(comparison: RunComparison, console: Console | None = None) -> None:
    """Print, a task, the differences of two runs by group, or of more the ranking and all pairs; then the notes."""
    console = console or own_console()
    for run_set in comparison.run_sets:
        if run_set.label != run_set.model:
            print_line(f"{run_set.label}: {', '.join(str(run.paths.score) for run in run_set.runs)}", console)
    for task in comparison.parts:
        for warning in task.warnings:
            print_line(f"!! {warning}", console, "bold red")
        if len(task.pairs) == 1:
            (pair,) = task.pairs
            title = f"{title_of(task)}: a = {pair.a}, b = {pair.b}"
            print_table(_differences(title, list(_groups(task, pair)), "groups"), console)
            print_line(headline_of(task, pair), console)
        else:
            print_table(_ranking(task), console)
            pairs = [_Line(task, pair, "", OVERALL, pair.overall) for pair in task.pairs]
            print_table(_differences(f"All pairs (Holm over {len(pairs)})", pairs, "pairs"), console)
        for note in _notes(task):
            print_line(f"! {note}", console, "yellow")
        print_line("", console)
    for sentence in comparison.not_compared:
        print_line(f"! not compared: {sentence}", console, "yellow")


def write_compare(path: Path, comparison: RunComparison) -> None:
    """Write a comparison as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    comparable = all(run.result.comparable for run_set in comparison.run_sets for run in run_set.runs)
    book = Book(whole_text_in="compare.json", mark="" if comparable else "NOT COMPARABLE with published scores")
    _add_summary(book, comparison)
    sheet = book.add_fixed(BY_GROUP)
    groups = [line for task in comparison.parts for pair in task.pairs for line in _groups(task, pair)]
    sheet.add_table(_differences("", groups, "all"), filters=True)
    sheet.finish(freeze="F2", repeat_row=1)
    sheet = book.add_fixed(DISAGREEMENTS)
    rows = [row for task in comparison.parts for row in task.disagreements]
    add_rows(sheet, _disagreement_columns([run_set.label for run_set in comparison.run_sets]), rows)
    sheet.finish(freeze="B2", repeat_row=1)
    _add_settings(book, comparison)
    book.save(path)


def _add_summary(book: Book, comparison: RunComparison) -> None:
    sheet = book.add_fixed(SUMMARY)
    sheet.widths((8, 30, *[13] * 4, 30))
    sheet.title("Paired comparison of runs on the same samples")
    for task in comparison.parts:
        sheet.append()
        sheet.append([Item(title_of(task), bold=True)])
        for warning in task.warnings:
            sheet.sentence(terminal_text(warning), _SPAN, fill="bad", width=_LINE)
        sentences = _notes(task)
        if len(task.pairs) == 1:
            (pair,) = task.pairs
            sentences = [f"a = {pair.a}", f"b = {pair.b}", headline_of(task, pair), *sentences]
        else:
            sheet.add_table(_ranking(task), titled=False)
        for sentence in sentences:
            # A name in it cannot reorder the words around it.
            sheet.sentence(terminal_text(sentence), _SPAN, width=_LINE)
    for sentence in comparison.not_compared:
        sheet.sentence(terminal_text(f"not compared: {sentence}"), _SPAN, width=_LINE)
    sheet.finish()


def _ranking(task: ComparedTask) -> Table:
    """All runs by their overall value on the samples that all of them have."""
    places = {row.run: place for place, row in enumerate(task.ranking, 1)}
    columns = (
        Column("#", "count"),
        Column("Run"),
        Column(OVERALL, task_kind(task.task), interval="95%"),
        Column("n", "count", only="sheet"),
        Column("Not significantly different from #"),
    )
    rows = [Row((places[row.run], row.run, row.cell, row.cell.n, _spans(row, places))) for row in task.ranking]
    n = task.ranking[0].cell.n
    return Table(f"{title_of(task)}: {len(rows)} runs on the {n} samples that all of them have", columns, rows)


def _spans(row: RankedRun, places: dict[str, int]) -> str | None:
    """The places of the runs that one does not differ from significantly: '2-4, 7'."""
    spans: list[list[int]] = []
    for place in sorted(places[name] for name in row.not_distinct_from):
        if spans and place == spans[-1][1] + 1:
            spans[-1][1] = place
        else:
            spans.append([place, place])
    return ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in spans) or None


@dataclass(frozen=True)
class _Line:
    """One difference with what it is of."""

    task: ComparedTask
    pair: ComparedPair
    axis: str
    group: str
    difference: Difference


def _groups(task: ComparedTask, pair: ComparedPair) -> Iterator[_Line]:
    """The overall difference of a pair, then those of the groups, axis by axis."""
    yield _Line(task, pair, "", OVERALL, pair.overall)
    for axis, groups in pair.axes.items():
        for group, difference in groups.items():
            yield _Line(task, pair, _AXES.get(axis, axis), group, difference)


def _differences(title: str, lines: Sequence[_Line], view: Literal["groups", "pairs", "all"]) -> Table:
    """The groups of one pair, the overall differences of all pairs, or (on a sheet) the groups of all pairs."""
    everything, groups, pairs = view == "all", view != "pairs", view != "groups"
    clustered = everything or any(line.difference.p_clustered is not None for line in lines)
    perception = everything or lines[0].task.task is Task.PERCEPTION
    reasoning = everything or not perception
    wanted: list[tuple[bool, Column, Callable[[_Line], Entry]]] = [
        (everything, Column("Task", width=24), lambda line: title_of(line.task)),
        (pairs, Column("Run a", width=26), lambda line: line.pair.a),
        (pairs, Column("Run b", width=26), lambda line: line.pair.b),
        (groups, Column("Axis", width=16), lambda line: line.axis or ("" if view == "groups" else None)),
        (groups, Column("Group", width=20), lambda line: line.group),
        (True, Column("n", "count", width=11), lambda line: Item(line.difference.cell.n, few=line.difference.cell.few)),
        (everything, Column("Clusters", "count", width=11), lambda line: line.difference.cell.n_clusters),
        (groups, Column("a", optional=2, width=11, kind="number"), lambda line: _value(line, line.difference.a)),
        (groups, Column("b", optional=2, width=11, kind="number"), lambda line: _value(line, line.difference.b)),
        (
            True,
            Column("a - b", "points", interval="95%", width=11),
            lambda line: Item(line.difference.cell, _points(line.task)),
        ),
        (everything, Column("Test", width=11), lambda line: _test(line.task)),
        (True, Column("p", "p", optional=1 if clustered else 0, width=11), lambda line: line.difference.p),
        (clustered, Column(P_CLUSTERED, "p", width=13), lambda line: line.difference.p_clustered),
        (True, Column("p Holm", "p", width=11), lambda line: line.difference.p_holm),
        (True, Column(MDE, "number", optional=3, width=13), lambda line: _value(line, line.difference.detectable)),
        (groups and perception, Column("Only a", "count", optional=4, width=11), lambda line: _count(line, "only_a")),
        (groups and perception, Column("Only b", "count", optional=4, width=11), lambda line: _count(line, "only_b")),
        (groups and reasoning, Column("Differ", "count", optional=4, width=11), lambda line: _count(line, "n_differ")),
        (everything, Column(FEW_HEAD, width=9), lambda line: few_item(line.difference.cell.few)),
    ]
    reads = [(column, read) for is_wanted, column, read in wanted if is_wanted]
    rows = []
    for line in lines:
        bold = bool(line.pair.distinct) if view == "pairs" else not line.axis
        rows.append(Row([read(line) for _, read in reads], "bold" if bold else ""))
    return Table(title, [column for column, _ in reads], rows)


def _value(line: _Line, value: float | None) -> Item:
    return Item(value, task_kind(line.task.task))


def _count(line: _Line, name: str) -> int | None:
    return line.difference.cell.counts.get(name)


def _points(task: ComparedTask) -> Kind:
    return "points" if task.task is Task.PERCEPTION else "score_points"


def _test(task: ComparedTask) -> str:
    return "McNemar" if task.task is Task.PERCEPTION else "Wilcoxon"


def _notes(task: ComparedTask) -> list[str]:
    """All notes on one task; of a single pair with the samples that were left out and the missing intervals."""
    if len(task.pairs) > 1:
        return [*task.notes, *_left_out_of_many(task.pairs)]
    (pair,) = task.pairs
    without: dict[str, list[str]] = {}
    for line in _groups(task, pair):
        if line.difference.no_interval:
            without.setdefault(line.difference.no_interval, []).append(line.group)
    return [
        *task.notes,
        *_left_out_of(pair),
        *(f"no interval, {reason}: {', '.join(groups)}" for reason, groups in without.items()),
    ]


def _left_out_of(pair: ComparedPair) -> Iterator[str]:
    """The samples of a pair that were not compared, a sentence a reason."""
    left_out = pair.left_out
    for indexes, words in (
        (left_out.only_in_a, f"only in {pair.a}"),
        (left_out.only_in_b, f"only in {pair.b}"),
        (left_out.changed, f"of one index are not the same sample in both (other {', '.join(left_out.differing)})"),
        (left_out.unscored, "without a whole score in one run or both"),
    ):
        if indexes:
            listed = ", ".join(index[:_INDEX_LENGTH] for index in islice(indexes, _LISTED))
            more = ", ..." if len(indexes) > _LISTED else ""
            yield f"not compared: {len(indexes)} samples {words}: {listed}{more}"


def _left_out_of_many(pairs: Sequence[ComparedPair]) -> list[str]:
    left_out = [pair.left_out for pair in pairs]
    counts = [len(one.only_in_a) + len(one.only_in_b) + len(one.changed) + len(one.unscored) for one in left_out]
    counts = [count for count in counts if count]
    if not counts:
        return []
    return [
        f"{len(counts)} of {len(pairs)} pairs leave samples out (up to {max(counts)}: missing, changed or unscored); "
        "the JSON says which"
    ]


def _disagreement_columns(labels: Sequence[str]) -> list[Read[Disagreement]]:
    """What is shown of samples on which runs differ; texts and single verdicts where two runs are compared."""
    text: list[Read[Disagreement]] = [
        (Column("index", width=16), lambda one: one.index),
        (Column("task"), lambda one: one.row.sample.task.value),
        (Column("modality", optional=1, width=15), lambda one: one.on_axis("modality")),
        (Column("question_type", optional=1), lambda one: one.on_axis("question_type")),
        (Column("severity", optional=1, width=12), lambda one: one.on_axis("severity")),
        (_wrapped("question", 44), lambda one: one.row.sample.question if _is_pair(one) else None),
        (_wrapped("options", 30), lambda one: options_text(dict(one.row.sample.options)) if _is_pair(one) else None),
        (Column("answer", optional=1, width=9), lambda one: one.row.sample.answer),
        (_wrapped("reference", 60), lambda one: one.row.sample.description if _is_pair(one) else None),
    ]
    replies = [
        _read(label, _wrapped("reply", 70), lambda row: row.prediction.text or None, of_pairs=True) for label in labels
    ]
    return [*text, *(read for label in labels for read in _columns_of_run(label)), *replies]


def _is_pair(disagreement: Disagreement) -> bool:
    return len(disagreement.rows) == 2


def _columns_of_run(label: str) -> Iterator[Read[Disagreement]]:
    yield _read(label, Column("right", optional=1), lambda row: mark_entry(row.correct))
    yield _read(label, Column("read as", optional=1, width=12), lambda row: row.extracted)
    yield _read(label, Column("sum", "mark", optional=1, width=12), lambda row: row.score)
    for dimension, title in DIMENSION_TITLES.items():
        read = partial(SampleRow.score_on, dimension=dimension)
        yield _read(label, Column(title, "mark", optional=1), read, of_pairs=True)


def _read(
    label: str, column: Column, of_row: Callable[[SampleRow], Entry], of_pairs: bool = False
) -> Read[Disagreement]:
    """A column of one run."""

    def read(one: Disagreement) -> Entry:
        return of_row(one.rows[label]) if label in one.rows and (_is_pair(one) or not of_pairs) else None

    return replace(column, head=f"{terminal_text(label)}: {column.head}"), read


def _wrapped(head: str, width: float) -> Column:
    return Column(head, optional=1, width=width, wrap=True)


_SETTINGS: Mapping[str, Callable[[Run], Value]] = {
    "dataset": lambda run: run.result.dataset,
    "task": lambda run: run.result.task.value,
    "n": lambda run: len(run.rows),
    "file": lambda run: run.paths.score.name,
    "baseline": lambda run: run.result.baseline,
    "comparable": lambda run: run.result.comparable,
    "prompt_style": lambda run: run.result.settings.prompt_style,
    "protocol": lambda run: run.result.settings.protocol.name,
    "protocol_version": lambda run: run.result.settings.protocol.version,
    "protocol_sha256": lambda run: run.result.settings.protocol.sha256,
    "judge": lambda run: judge.name if (judge := run.result.settings.judge) else None,
    "judge_served_as": lambda run: judge.served_as if (judge := run.result.settings.judge) else None,
    "medqbench_vlmeval": lambda run: run.result.settings.versions.get("medqbench_vlmeval"),
    "kit": lambda run: run.result.settings.versions.get("kit"),
    "created": lambda run: run.result.settings.created,
}


def _add_settings(book: Book, comparison: RunComparison) -> None:
    """Write what the runs were made from and with, a column a result file, and how the figures were made."""
    sheet = book.add_fixed(SETTINGS)
    runs = [(run_set.label, run) for run_set in comparison.run_sets for run in run_set.runs]
    rows = [Row((name, *(read(run) for _, run in runs))) for name, read in _SETTINGS.items()]
    for task in Task:
        used = [run.result.settings.data.get(task.value) for _, run in runs]
        for name in ("sha256", "samples_sha256", "revision"):
            values = [getattr(data, name) if data else None for data in used]
            if any(values):
                rows.append(Row((f"data.{task.value}.{name}", *values)))
    columns = [Column("Setting", width=34), *(Column(label, "number", width=_VALUE, wrap=True) for label, _ in runs)]
    sheet.add_table(Table("", columns, rows))
    sheet.append()
    for name, value in (("seed", comparison.seed), ("level", LEVEL), ("alpha", ALPHA), ("power", POWER)):
        sheet.append([name, Item(value, "number")])
    for name, words in METHODS.items():
        for inner, method in words.items() if isinstance(words, Mapping) else (("", words),):
            sheet.append([f"{name}, {inner}" if inner else name, method])
    sheet.finish(freeze="B2", repeat_row=1)
