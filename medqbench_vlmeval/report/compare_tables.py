"""A comparison of runs as tables: ranking or differences from a baseline, all pairs, groups, and samples x models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from medqbench_vlmeval.benchmark import OVERALL, TASK_TITLES, benchmarks
from medqbench_vlmeval.report.many_tables import add_many_settings
from medqbench_vlmeval.report.run_tables import sheet_mark
from medqbench_vlmeval.report.sample_tables import Read, add_rows
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import (
    FEW_HEAD,
    Column,
    Entry,
    Item,
    Kind,
    Place,
    Row,
    Table,
    columns,
    ends_words,
    few_item,
    table,
    task_kind,
    value_words,
)
from medqbench_vlmeval.report.text import INTROS, markdown, markdown_text, one_line, terminal_text
from medqbench_vlmeval.runs.comparison import ComparedPair, ComparedTask, RunComparison, SharedSample
from medqbench_vlmeval.scoring.compare import AXES, POWER, Difference
from medqbench_vlmeval.types import SampleRow

_EFFECT = f"{POWER:.0%} power"
_UNFOLDED = 30  # rows of a table in Markdown
_INDEX_LENGTH = 40  # characters of an index
_ON_A_PAGE = 20  # runs whose matrices can be read on one page
_LISTED = 10  # indexes that are named of samples which are not compared


def compare_tables(comparison: RunComparison, by_group: bool = True) -> Iterator[Table | str]:
    """What a terminal shows, a task: the differences of two runs, ``by_group`` or not, or of more the ranking and all
    pairs."""
    for run_set in comparison.run_sets:
        if run_set.label != run_set.model:
            yield f"{run_set.label}: {', '.join(str(run.paths.score) for run in run_set.runs)}"
    for task in comparison.parts:
        yield from (f"!! {warning}" for warning in task.warnings)
        if task.ranking:
            yield _ranking(task)
        if by_group and len(task.pairs) == 1:
            (pair,) = task.pairs
            yield _differences(f"{_title(task)}: a = {pair.a}, b = {pair.b}", list(_groups(task, pair)))
        else:
            yield _pairs(task)
        if len(task.pairs) == 1:
            yield _headline(task, task.pairs[0])
        yield from (f"! {note}" for note in _notes(task))
        yield ""
    yield from (f"! not compared: {sentence}" for sentence in comparison.not_compared)


MARKDOWN_MARK = "<!-- medqbench compare -->"


def compare_markdown(comparison: RunComparison, verdicts: Sequence[str] = ()) -> str:
    """A summary in GitHub's Markdown, for a job's page or a comment; ``verdicts`` stand above all."""
    head = f"## {benchmarks(part.task for part in comparison.parts) or 'MedQ-Bench'}: models compared"
    blocks = [MARKDOWN_MARK, head, *map(markdown_text, verdicts)]
    for part in compare_tables(comparison, by_group=False):
        if isinstance(part, str):
            blocks.append(f"- {markdown_text(part[2:])}" if part.startswith("! ") else markdown_text(part))
        elif len(part.rows) <= _UNFOLDED:
            blocks.append(markdown(part))
        else:
            head = f"<details><summary>{escape(one_line(part.title))}</summary>"
            blocks += [head, markdown(replace(part, title="")), "</details>"]
    return "\n\n".join(filter(None, map(str.strip, blocks))) + "\n"


def write_compare(path: Path, comparison: RunComparison) -> None:
    """Write a comparison as a workbook, whole or not at all. Raises RunFailed where the file cannot be written."""
    results = [run.result for run_set in comparison.run_sets for run in run_set.runs]
    book = Book(whole_text_in="compare.json", mark=sheet_mark(results, some=True))
    sheet = book.add_fixed("Summary")
    sheet.title("Paired comparison of runs on the same samples")
    for part in compare_tables(comparison, by_group=False):
        if isinstance(part, Table) and (len(part.rows) == 1 or comparison.baseline or part.columns[0].head == "#"):
            sheet.add_table(part)
        elif isinstance(part, str):  # A name in a sentence cannot reorder the words around it.
            sheet.sentence(terminal_text(part.lstrip("! ")), "bad" if part.startswith("!! ") else None)
    sheet.finish()
    groups = [line for task in comparison.parts for pair in task.pairs for line in _groups(task, pair)]
    book.add_tables("By group", [_differences("", groups)], filters=True, freeze="F2")
    add_matrices(book, comparison)
    add_many_settings(book, results)
    book.save(path)


def _item_tables(comparison: RunComparison) -> Iterator[Table]:
    """The item analysis of each task, in its order; of fewer than five runs no rows."""
    wide = partial(Column, wrap=True, width=44)
    for task in comparison.parts:
        perception, rows = task.task.is_choice, list[list[Entry]]()
        right = Column("Right, %" if perception else "Mean", task_kind(task.task), interval="95%", n="Runs")
        heads = [*columns("Index", *(axis.replace("_", " ").capitalize() for axis in AXES))]
        heads += [*map(wide, ("Question", "Key", "Stronger runs chose") if perception else ("Question",)), right]
        heads += [Column("Discrimination", "score", interval="95%"), Column("p (adjusted)", "p"), wide("Note")]
        for item in task.items:
            sample, named = item.sample, {letter: f"{letter}. {text}" for letter, text in item.sample.options.items()}
            chosen = ", ".join(f"{named.get(letter, letter)} ({count})" for letter, count in item.chosen.items())
            letters = [named.get(sample.answer or "", sample.answer), chosen] if perception else []
            numbers = (item.difficulty, item.discrimination, item.p, "; ".join(item.notes) or None)
            rows.append([sample.index, *(getattr(sample, axis) for axis in AXES), sample.question, *letters, *numbers])
        yield table(f"{_title(task)}: {len(task.runs)} runs on {len(rows)} samples", heads, rows)


def add_matrices(book: Book, comparison: RunComparison) -> None:
    """Write the differences and the agreement of each two runs as matrices, and a sheet of samples x models a task."""
    of_many = [task for task in comparison.parts if task.ranking]
    lines = [
        "Row less column; bold: significant (Holm over all pairs). Kappa: of right and wrong, of reasoning of sums."
    ]
    matrices = [matrix for task in of_many for matrix in (_ranking(task), *_matrices(task))]
    # A page a task, as long as that can be read.
    tall = len(of_many) if max((len(task.ranking) for task in of_many), default=0) <= _ON_A_PAGE else 0
    title = "Each two models on the samples that both have"
    book.add_tables("Models x models", matrices, title, lines, freeze="C2", tall=tall)
    for task in comparison.parts:
        sheet = book.add(f"Samples, {task.task.value}")
        add_rows(sheet, _sample_columns(task), task.samples)
        sheet.finish(freeze="B2", repeat_row=1)
    book.add_tables("Items", _item_tables(comparison), "Item analysis", [INTROS["items"]])


def in_order(task: ComparedTask) -> list[str]:
    """The runs, best first."""
    if task.ranking:
        return [row.run for row in task.ranking]
    values = {label: value for pair in task.pairs for label, value in pair.values.items()}
    return sorted(task.runs, key=lambda label: -values[label])


def _matrices(task: ComparedTask) -> Iterator[Table]:
    order = in_order(task)
    signed = {(pair.a, pair.b): (pair, 1) for pair in task.pairs} | {
        (pair.b, pair.a): (pair, -1) for pair in task.pairs
    }

    def difference(pair: ComparedPair, sign: int) -> Item:
        value = sign * (pair.overall.cell.value or 0.0)
        return Item(value, bold=bool(pair.distinct), fill=("good" if value > 0 else "bad") if pair.distinct else None)

    reads: list[tuple[str, Kind, Callable[[ComparedPair, int], Entry]]] = [
        (f"difference of {OVERALL}, points", _points(task), difference),
        ("the same answer, %", "share", lambda pair, _: pair.agreement.same),
        ("kappa", "percent", lambda pair, _: pair.agreement.kappa),
    ]
    for title, kind, read in reads:
        heads = [Column("#", "count"), Column("Run"), *(Column(str(number + 1), kind) for number in range(len(order)))]
        cells = [[read(*signed[a, b]) if (a, b) in signed else None for b in order] for a in order]
        rows = [(number, a, *row) for number, (a, row) in enumerate(zip(order, cells, strict=True), 1)]
        yield table(f"{_title(task)}: {title}", heads, rows)


def _sample_columns(task: ComparedTask) -> list[Read[SharedSample]]:
    """What is shown of every sample: what it is, how many runs fail, a column a run; of two runs replies that
    differ."""
    perception, order, of_two = task.task.is_choice, in_order(task), len(task.runs) == 2

    def result(case: SharedSample, label: str) -> Entry:
        row = case.rows[label]
        if not perception:
            return Item(case.scores[label], "mark")
        return Item(f"{row.extracted or 'none'} {'✓' if row.correct else '✗'}", fill=None if row.correct else "bad")

    def text(head: str, width: int, read: Callable[[SampleRow], Entry], label: str = "") -> Read[SharedSample]:
        column = Column(f"{terminal_text(label)}: {head}" if label else head, optional=1, width=width, wrap=True)
        return column, lambda case: read(case.rows[label or order[0]]) if case.differs or not label else None

    reads: list[Read[SharedSample]] = [
        (Column("index"), lambda case: case.index),
        *((Column(axis, optional=1), partial(SharedSample.on_axis, axis=axis)) for axis in AXES),
        text("question", 44, lambda row: row.sample.question),
        text("answer", 9, lambda row: row.sample.answer),
        text("reference", 60, lambda row: row.sample.description),
        (Column("differ"), lambda case: case.differs or None),
    ]
    if perception:
        reads += [
            (Column("runs wrong", "count"), lambda case: sum(not score for score in case.scores.values())),
            (Column("only wrong", optional=1), lambda case: _alone(case, 0.0)),
            (Column("only right", optional=1), lambda case: _alone(case, 1.0)),
        ]
    for label in order:
        reads.append((Column(terminal_text(label), "text" if perception else "mark"), partial(result, label=label)))
    return reads + [text("reply", 70, lambda row: row.prediction.text or None, label) for label in order if of_two]


def _alone(case: SharedSample, score: float) -> str | None:
    found = [label for label, of in case.scores.items() if of == score]
    return found[0] if len(found) == 1 else None


def _title(task: ComparedTask) -> str:
    """'Perception', with the dataset where a run has several of the task."""
    return f"{TASK_TITLES[task.task]} ({task.dataset})" if task.dataset else TASK_TITLES[task.task]


def _points(task: ComparedTask) -> Kind:
    return "points" if task.task.is_choice else "score_points"


def _test(task: ComparedTask) -> str:
    return "McNemar" if task.task.is_choice else "Wilcoxon"


def _headline(task: ComparedTask, pair: ComparedPair) -> str:
    """The overall difference of a pair in one sentence."""
    overall, kind, points = pair.overall, task_kind(task.task), _points(task)
    unit = "%" if task.task.is_choice else ""
    ends = ends_words(overall.cell, points)
    interval = f"95% {' to '.join(ends)}" if ends else f"no interval: {overall.no_interval or 'too few resamples'}"
    p = value_words(overall.decisive_p, "p")
    equals = f"< {p[1:]}" if p.startswith("<") else f"= {p}"
    clustered = "" if overall.p_clustered is None else " (clustered by image)"
    effect = "unknown" if overall.detectable is None else f"{value_words(overall.detectable, kind)} points"
    a, b = (f"{value_words(value, kind)}{unit}" for value in (overall.a, overall.b))
    kappa = "undefined" if pair.agreement.kappa is None else value_words(pair.agreement.kappa, "percent")
    return (
        f"{a} against {b} on {overall.cell.n} samples: difference "
        f"{value_words(overall.cell.value or 0.0, points)} points ({interval}), {_test(task)} p {equals}"
        f"{clustered}. Minimum detectable effect ({_EFFECT}): {effect}. The same answer "
        f"on {pair.agreement.same or 0.0:.1f}%, kappa {kappa}."
    )


def _verdict(difference: Difference) -> str:
    """A difference in a word or three."""
    if not difference.is_significant:
        return "no difference shown"
    return "better" if (difference.cell.value or 0.0) > 0 else "worse"


def _pairs(task: ComparedTask) -> Table:
    """The pairs, the largest difference first; those with a baseline in their order, the best first."""
    pairs = task.pairs
    if task.baseline is None:
        pairs = tuple(sorted(pairs, key=lambda pair: -abs(pair.overall.cell.value or 0.0)))
    what = f"{_title(task)}: all pairs" if task.baseline is None else f"{_title(task)}: all less {task.baseline}"
    lines = [_Line(task, pair, "", OVERALL, pair.overall) for pair in pairs]
    return _differences(f"{what} (Holm over {len(pairs)})" if len(pairs) > 1 else what, lines, of_pairs=True)


def _notes(task: ComparedTask) -> list[str]:
    """All notes on one task; of a single pair with the samples that were left out and the missing intervals."""
    notes, left_out = list(task.notes), [_left_out(pair) for pair in task.pairs]
    if len(left_out) > 1:
        if counts := [n for words in left_out if (n := sum(map(len, words.values())))]:
            notes.append(
                f"{len(counts)} of {len(left_out)} pairs leave samples out (up to {max(counts)}: see the JSON)"
            )
        return notes
    for words, indexes in left_out[0].items():
        if indexes:
            listed = ", ".join(index[:_INDEX_LENGTH] for index in islice(indexes, _LISTED))
            notes.append(f"not compared: {len(indexes)} samples {words}: {listed}{', ...' * (len(indexes) > _LISTED)}")
    without: dict[str, list[str]] = {}
    for line in _groups(task, task.pairs[0]):
        if line.difference.no_interval:
            without.setdefault(line.difference.no_interval, []).append(line.group)
    return [*notes, *(f"no interval, {reason}: {', '.join(groups)}" for reason, groups in without.items())]


def _left_out(pair: ComparedPair) -> dict[str, Collection[str]]:
    """The indexes of a pair's samples that were not compared, by the reason in words."""
    left_out = pair.left_out
    return {
        f"only in {pair.a}": left_out.only_in_a,
        f"only in {pair.b}": left_out.only_in_b,
        f"of one index are not the same sample in both (other {', '.join(left_out.differing)})": left_out.changed,
        "without a whole score in one run or both": left_out.unscored,
    }


def _ranking(task: ComparedTask) -> Table:
    """All runs by their overall value on the samples that all of them have."""
    heads = [*columns(("#", "count"), "Run", "Place, 95%"), Column(OVERALL, task_kind(task.task), interval="95%")]
    heads += [Column("n", "count", only="sheet")]
    rows = [
        (row.place, row.run, "-".join(map(str, dict.fromkeys(row.places))), row.cell, row.cell.n)
        for row in task.ranking
    ]
    n = task.ranking[0].cell.n
    return table(f"{_title(task)}: {len(rows)} runs on the {n} samples that all of them have", heads, rows)


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
    sheet, pairs, groups = (partial(Column, only=_only(at)) for at in (True, not of_pairs, of_pairs))
    perception = lines[0].task.task.is_choice
    count = partial(Column, kind="count", optional=4)
    only, differ = (partial(count, only=_only(of_pairs or at)) for at in (not perception, perception))
    columns = (
        sheet("Task"), pairs("Run a"), pairs("Run b"), groups("Axis"), groups("Group"), Column("n", "count"),
        sheet("Clusters", "count"), Column("a", "number"), Column("b", "number"),
        Column("a - b", "points", interval="95%"), sheet("Test"), Column("p", "p", optional=2),
        Column("p (clustered by image)", "p", only=_only(not is_clustered)), Column("p Holm", "p", optional=1),
        Column(f"MDE ({_EFFECT})", "number", optional=3), only("Only a"), only("Only b"), differ("Differ"),
        pairs("Verdict", optional=1), sheet(FEW_HEAD),
    )  # fmt: skip
    rows = []
    for task, pair, axis, group, difference in lines:
        cell, kind = difference.cell, task_kind(task.task)
        entries = (
            _title(task), pair.a, pair.b, axis, group, Item(cell.n, few=cell.few), cell.n_clusters,
            Item(difference.a, kind), Item(difference.b, kind), Item(cell, _points(task)), _test(task),
            difference.p, difference.p_clustered, difference.p_holm, Item(difference.detectable, kind),
            *map(cell.counts.get, ("only_a", "only_b", "n_differ")), _verdict(difference), few_item(cell.few),
        )  # fmt: skip
        rows.append(Row(entries, "bold" if (pair.distinct if of_pairs else not axis) else ""))
    return Table(title, columns, rows)


def _only(on_sheets: bool) -> Place | None:
    return "sheet" if on_sheets else None
