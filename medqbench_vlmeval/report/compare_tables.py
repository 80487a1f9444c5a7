"""A comparison of runs as tables: the ranking, all pairs, every group, and the samples on which runs differ.

Each table is defined once; the terminal and the workbook ``compare.xlsx`` show it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES, Task
from medqbench_vlmeval.report.run_tables import SETTINGS, sheet_mark
from medqbench_vlmeval.report.sample_tables import Read, add_rows, mark_entry, options_text
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import (
    EXTRA,
    FEW_HEAD,
    Column,
    Entry,
    Item,
    Kind,
    Place,
    Row,
    Table,
    ends_words,
    few_item,
    table,
    task_kind,
    value_words,
)
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.runs.comparison import ComparedPair, ComparedTask, RunComparison, SharedSample
from medqbench_vlmeval.runs.result import OVERALL
from medqbench_vlmeval.scoring.compare import AXES, POWER, Difference, RankedRun
from medqbench_vlmeval.types import SampleRow

_EFFECT = f"{POWER:.0%} power"
ITEMS = "Items"
ITEMS_WHAT = (
    "Discrimination: the correlation of the runs' scores on a sample with their totals on all others, with few runs a "
    "wide interval. Worth a second look: most of the stronger runs chose one option, not the key, and weaker ones "
    "did better or none is right. The key may be wrong, or the question hard or unclear."
)
_INDEX_LENGTH = 40  # characters of an index
_LISTED = 10  # indexes that are named of samples which are not compared


def compare_tables(comparison: RunComparison) -> Iterator[Table | str]:
    """What a terminal shows, a task: the differences of two runs by group, or of more the ranking and all pairs."""
    for run_set in comparison.run_sets:
        if run_set.label != run_set.model:
            yield f"{run_set.label}: {', '.join(str(run.paths.score) for run in run_set.runs)}"
    for task in comparison.parts:
        yield from (f"!! {warning}" for warning in task.warnings)
        if len(task.pairs) == 1:
            (pair,) = task.pairs
            yield _differences(f"{_title(task)}: a = {pair.a}, b = {pair.b}", list(_groups(task, pair)))
            yield _headline(task, pair)
        else:
            yield _ranking(task)
            pairs = [_Line(task, pair, "", OVERALL, pair.overall) for pair in task.pairs]
            yield _differences(f"All pairs (Holm over {len(pairs)})", pairs, of_pairs=True)
        yield from (f"! {note}" for note in _notes(task))
        yield ""
    yield from (f"! not compared: {sentence}" for sentence in comparison.not_compared)


def write_compare(path: Path, comparison: RunComparison) -> None:
    """Write a comparison as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    mark = sheet_mark([run.result for run_set in comparison.run_sets for run in run_set.runs], some=True)
    book = Book(whole_text_in="compare.json", mark=mark)
    _add_summary(book, comparison)
    groups = [line for task in comparison.parts for pair in task.pairs for line in _groups(task, pair)]
    book.add_tables("By group", [_differences("", groups)], filters=True, freeze="F2")
    sheet = book.add_fixed("Disagreements")
    cases = [case for task in comparison.parts for case in task.disagreements]
    add_rows(sheet, _disagreement_columns([run_set.label for run_set in comparison.run_sets]), cases)
    sheet.finish(freeze="B2", repeat_row=1)
    book.add_tables(ITEMS, item_tables(comparison), "Item analysis", [ITEMS_WHAT])
    _add_settings(book, comparison)
    book.save(path)


def item_tables(comparison: RunComparison) -> Iterator[Table]:
    """The item analysis of each task, in its order; of fewer than five runs no rows."""
    for task in comparison.parts:
        perception = task.task is Task.PERCEPTION
        axes = [Column(axis.replace("_", " ").capitalize(), optional=EXTRA, width=15) for axis in AXES]
        letters = [Column("Key", width=26, wrap=True), Column("Stronger runs chose", width=40, wrap=True)]
        heads = [
            Column("Index", width=16), *axes, Column("Question", only="sheet", width=44, wrap=True),
            *(letters if perception else []),
            Column("Right, %" if perception else "Mean", task_kind(task.task), interval="95%", n="Runs"),
            Column("Discrimination", "score", interval="95%"), Column("p (adjusted)", "p"), Column("Note", width=40),
        ]  # fmt: skip
        rows: list[list[Entry]] = []
        for item in task.items:
            sample = item.sample
            named = {letter: f"{letter}. {text}" for letter, text in sample.options.items()}
            chosen = ", ".join(f"{named.get(letter, letter)} ({count})" for letter, count in item.chosen.items())
            choices = [named.get(sample.answer or "", sample.answer), chosen] if perception else []
            numbers = (item.difficulty, item.discrimination, item.p, "; ".join(item.notes) or None)
            rows.append([sample.index, *(getattr(sample, axis) for axis in AXES), sample.question, *choices, *numbers])
        yield table(f"{_title(task)}: {len(task.runs)} runs on {len(rows)} samples", heads, rows)


def _add_summary(book: Book, comparison: RunComparison) -> None:
    sheet = book.add_fixed("Summary")
    sheet.title("Paired comparison of runs on the same samples")
    # A name in a sentence cannot reorder the words around it.
    for task in comparison.parts:
        sheet.append()
        sheet.append([Item(_title(task), bold=True)])
        for warning in task.warnings:
            sheet.sentence(terminal_text(warning), "bad")
        sentences = _notes(task)
        if len(task.pairs) == 1:
            (pair,) = task.pairs
            sentences = [f"a = {pair.a}", f"b = {pair.b}", _headline(task, pair), *sentences]
        else:
            sheet.add_table(_ranking(task), titled=False)
        for sentence in sentences:
            sheet.sentence(terminal_text(sentence))
    for sentence in comparison.not_compared:
        sheet.sentence(terminal_text(f"not compared: {sentence}"))
    sheet.finish()


def _title(task: ComparedTask) -> str:
    """'Perception', with the dataset where a run has several of the task."""
    return f"{TASK_TITLES[task.task]} ({task.dataset})" if task.dataset else TASK_TITLES[task.task]


def _points(task: ComparedTask) -> Kind:
    return "points" if task.task is Task.PERCEPTION else "score_points"


def _test(task: ComparedTask) -> str:
    return "McNemar" if task.task is Task.PERCEPTION else "Wilcoxon"


def _headline(task: ComparedTask, pair: ComparedPair) -> str:
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
        f"{clustered}. Minimum detectable effect ({_EFFECT}): {effect}."
    )


def _notes(task: ComparedTask) -> list[str]:
    """All notes on one task; of a single pair with the samples that were left out and the missing intervals."""
    notes = list(task.notes)
    if len(task.pairs) > 1:
        counts = [sum(len(indexes) for indexes, _ in _left_out(pair)) for pair in task.pairs]
        if any(counts):
            notes.append(
                f"{sum(map(bool, counts))} of {len(counts)} pairs leave samples out (up to {max(counts)}: missing, "
                "changed or unscored); the JSON says which"
            )
        return notes
    (pair,) = task.pairs
    for indexes, words in _left_out(pair):
        if indexes:
            listed = ", ".join(index[:_INDEX_LENGTH] for index in islice(indexes, _LISTED))
            more = ", ..." if len(indexes) > _LISTED else ""
            notes.append(f"not compared: {len(indexes)} samples {words}: {listed}{more}")
    without: dict[str, list[str]] = {}
    for line in _groups(task, pair):
        if line.difference.no_interval:
            without.setdefault(line.difference.no_interval, []).append(line.group)
    return [*notes, *(f"no interval, {reason}: {', '.join(groups)}" for reason, groups in without.items())]


def _left_out(pair: ComparedPair) -> list[tuple[Collection[str], str]]:
    """The indexes of a pair's samples that were not compared, by the reason in words."""
    left_out = pair.left_out
    return [
        (left_out.only_in_a, f"only in {pair.a}"),
        (left_out.only_in_b, f"only in {pair.b}"),
        (left_out.changed, f"of one index are not the same sample in both (other {', '.join(left_out.differing)})"),
        (left_out.unscored, "without a whole score in one run or both"),
    ]


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
    rows = [(places[row.run], row.run, row.cell, row.cell.n, _spans(row, places)) for row in task.ranking]
    n = task.ranking[0].cell.n
    return table(f"{_title(task)}: {len(rows)} runs on the {n} samples that all of them have", columns, rows)


def _spans(row: RankedRun, places: Mapping[str, int]) -> str | None:
    """The places of the runs that a run does not differ from significantly: '2-4, 7'."""
    others = enumerate(sorted(places[name] for name in row.not_distinct_from))
    spans = [[place for _, place in span] for _, span in groupby(others, lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans) or None


class _Line(NamedTuple):
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
            yield _Line(task, pair, axis.replace("_", " "), group, difference)


def _differences(title: str, lines: Sequence[_Line], of_pairs: bool = False) -> Table:
    """A line a difference. A sheet shows every column, text those of the groups of one pair, or ``of_pairs``."""
    is_clustered = any(line.difference.p_clustered is not None for line in lines)
    pairs, groups = _only(not of_pairs), _only(of_pairs)
    perception = lines[0].task.task is Task.PERCEPTION
    columns = (
        Column("Task", only="sheet", width=24),
        Column("Run a", only=pairs, width=26),
        Column("Run b", only=pairs, width=26),
        Column("Axis", only=groups, width=16),
        Column("Group", only=groups, width=20),
        Column("n", "count", width=11),
        Column("Clusters", "count", only="sheet", width=11),
        Column("a", "number", optional=2, only=groups, width=11),
        Column("b", "number", optional=2, only=groups, width=11),
        Column("a - b", "points", interval="95%", width=11),
        Column("Test", only="sheet", width=11),
        Column("p", "p", optional=int(is_clustered), width=11),
        Column("p (clustered by image)", "p", only=_only(not is_clustered), width=13),
        Column("p Holm", "p", width=11),
        Column(f"MDE ({_EFFECT})", "number", optional=3, width=13),
        Column("Only a", "count", optional=4, only=_only(of_pairs or not perception), width=11),
        Column("Only b", "count", optional=4, only=_only(of_pairs or not perception), width=11),
        Column("Differ", "count", optional=4, only=_only(of_pairs or perception), width=11),
        Column(FEW_HEAD, only="sheet", width=9),
    )
    rows = []
    for task, pair, axis, group, difference in lines:
        cell, kind = difference.cell, task_kind(task.task)
        entries = (
            _title(task), pair.a, pair.b, axis, group, Item(cell.n, few=cell.few), cell.n_clusters,
            Item(difference.a, kind), Item(difference.b, kind), Item(cell, _points(task)), _test(task),
            difference.p, difference.p_clustered, difference.p_holm, Item(difference.detectable, kind),
            *map(cell.counts.get, ("only_a", "only_b", "n_differ")), few_item(cell.few),
        )  # fmt: skip
        rows.append(Row(entries, "bold" if (pair.distinct if of_pairs else not axis) else ""))
    return Table(title, columns, rows)


def _only(on_sheets: bool) -> Place | None:
    return "sheet" if on_sheets else None


def _disagreement_columns(labels: Sequence[str]) -> list[Read[SharedSample]]:
    """What is shown of samples on which runs differ; texts and single verdicts where two runs are compared."""

    def axis(name: str, width: float = 14) -> Read[SharedSample]:
        return Column(name, optional=1, width=width), lambda case: case.on_axis(name)

    reads: list[Read[SharedSample]] = [
        (Column("index", width=16), lambda case: case.index),
        (Column("task"), lambda case: case.row.sample.task.value),
        axis("modality", 15),
        axis("question_type"),
        axis("severity", 12),
        _read(Column("question", width=44, wrap=True), lambda row: row.sample.question, of_pairs=True),
        _read(Column("options", width=30, wrap=True), lambda row: options_text(row.sample.options), of_pairs=True),
        _read(Column("answer", width=9), lambda row: row.sample.answer),
        _read(Column("reference", width=60, wrap=True), lambda row: row.sample.description, of_pairs=True),
    ]
    for label in labels:
        reads += [
            _read(Column("right"), lambda row: mark_entry(row.correct), label),
            _read(Column("read as", width=12), lambda row: row.extracted, label),
            _read(Column("sum", "mark", width=12), lambda row: row.score, label),
        ]
        for dimension, title in DIMENSION_TITLES.items():
            score = partial(SampleRow.score_on, dimension=dimension)
            reads.append(_read(Column(title, "mark"), score, label, of_pairs=True))
    reply = Column("reply", width=70, wrap=True)
    return reads + [_read(reply, lambda row: row.prediction.text or None, label, of_pairs=True) for label in labels]


def _read(
    column: Column, of_row: Callable[[SampleRow], Entry], label: str = "", of_pairs: bool = False
) -> Read[SharedSample]:
    """A column of one run's rows, else of the first run's; one ``of_pairs`` is empty where more than two differ."""

    def read(case: SharedSample) -> Entry:
        row = case.rows.get(label) if label else case.row
        return of_row(row) if row is not None and (len(case.rows) == 2 or not of_pairs) else None

    head = f"{terminal_text(label)}: {column.head}" if label else column.head
    return replace(column, optional=1, head=head), read


def _add_settings(book: Book, comparison: RunComparison) -> None:
    """Write what the runs were made from and with, a column a result file, and how the figures were made."""
    sheet = book.add_fixed(SETTINGS)
    content = comparison.to_json()
    runs = [(run_set["label"], result) for run_set in content["runs"] for result in run_set["results"]]
    names = dict.fromkeys(["dataset", "task", "n", *runs[0][1]])
    rows = [(name, *(run[name] for _, run in runs)) for name in names if name not in ("folder", "data")]
    for task in Task:
        for name in ("sha256", "samples_sha256", "revision"):
            values = [run["data"].get(task.value, {}).get(name) for _, run in runs]
            if any(values):
                rows.append((f"data.{task.value}.{name}", *values))
    columns = [Column("Setting", width=34), *(Column(label, "number", width=40, wrap=True) for label, _ in runs)]
    sheet.add_table(table("", columns, rows))
    sheet.append()
    for name in ("seed", "level", "alpha", "power"):
        sheet.append([name, Item(content[name], "number")])
    for name, words in content["methods"].items():
        for inner, method in words.items() if isinstance(words, Mapping) else (("", words),):
            sheet.append([f"{name}, {inner}" if inner else name, method])
    sheet.finish(freeze="B2", repeat_row=1)
