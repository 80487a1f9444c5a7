"""A comparison of runs as tables: ranking or differences from a baseline, all pairs, groups, and samples x models.

Each table is defined once; the terminal, workbooks and the Markdown summary show it.
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
from medqbench_vlmeval.report.text import markdown, markdown_text, terminal_text
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
        elif task.baseline is not None:
            yield _against(task)
        else:
            yield _ranking(task)
            yield _all_pairs(task)
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
    add_matrices(book, comparison)
    if cases := [case for task in comparison.parts if len(task.runs) == 2 for case in task.disagreements]:
        sheet = book.add_fixed("Disagreements")
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
            sheet.add_table(_ranking(task) if task.baseline is None else _against(task), titled=False)
        for sentence in sentences:
            sheet.sentence(terminal_text(sentence))
    for sentence in comparison.not_compared:
        sheet.sentence(terminal_text(f"not compared: {sentence}"))
    sheet.finish()


def add_matrices(book: Book, comparison: RunComparison) -> None:
    """Write the differences and the agreement of each two runs as matrices, and a sheet of samples x models a task."""
    of_many = [task for task in comparison.parts if task.ranking]
    lines = [
        "Row less column; bold: significant (Holm over all pairs). Kappa: of right and wrong, of reasoning of sums."
    ]
    matrices = [matrix for task in of_many for matrix in (_ranking(task), *_matrices(task))]
    book.add_tables("Models x models", matrices, "Each two models on the samples that both have", lines, freeze="C2")
    for task in comparison.parts:
        sheet = book.add(f"Samples, {task.task.value}")
        add_rows(sheet, _sample_columns(task), task.samples)
        sheet.finish(freeze="B2", repeat_row=1)


def in_order(task: ComparedTask) -> list[str]:
    """The runs, best first."""
    if task.ranking:
        return [row.run for row in task.ranking]
    values = {label: value for pair in task.pairs for label, value in pair.values.items()}
    return sorted(task.runs, key=lambda label: -values[label])


def _matrices(task: ComparedTask) -> Iterator[Table]:
    order = in_order(task)
    known = {(pair.a, pair.b): pair for pair in task.pairs}

    def difference(pair: ComparedPair, sign: int) -> Item:
        value = sign * (pair.overall.cell.value or 0.0)
        return Item(value, bold=bool(pair.distinct), fill=("good" if value > 0 else "bad") if pair.distinct else None)

    reads: list[tuple[str, Kind, Callable[[ComparedPair, int], Entry]]] = [
        (f"difference of {OVERALL}, points", _points(task), difference),
        ("the same answer, %", "share", lambda pair, _: pair.agreement.same),
        ("kappa", "percent", lambda pair, _: pair.agreement.kappa),
    ]
    for title, kind, read in reads:
        rows = []
        for number, a in enumerate(order, 1):
            pairs = [(known.get((a, b)), 1) if (a, b) in known else (known.get((b, a)), -1) for b in order]
            rows.append((number, a, *(read(pair, sign) if pair else None for pair, sign in pairs)))
        heads = [
            Column("#", "count"),
            Column("Run"),
            *(Column(str(number), kind) for number in range(1, len(order) + 1)),
        ]
        yield table(f"{_title(task)}: {title}", heads, rows)


def _sample_columns(task: ComparedTask) -> list[Read[SharedSample]]:
    """What is shown of every sample: what it is, how many runs fail, and a column a run to filter by."""
    perception = task.task is Task.PERCEPTION

    def alone(is_right: bool) -> Callable[[SharedSample], Entry]:
        def read(case: SharedSample) -> Entry:
            found = [label for label, score in case.scores.items() if bool(score) is is_right]
            return found[0] if len(found) == 1 else None

        return read

    def result(case: SharedSample, label: str) -> Entry:
        row = case.rows[label]
        if not perception:
            return Item(case.scores[label], "mark")
        return Item(f"{row.extracted or 'none'} {'✓' if row.correct else '✗'}", fill=None if row.correct else "bad")

    reads: list[Read[SharedSample]] = [
        (Column("index"), lambda case: case.index),
        *((Column(axis, optional=1), partial(SharedSample.on_axis, axis=axis)) for axis in AXES),
        (Column("question", optional=1, width=44, wrap=True), lambda case: case.row.sample.question),
        (Column("answer", optional=1), lambda case: case.row.sample.answer),
    ]
    if perception:
        reads.append((Column("runs wrong", "count"), lambda case: sum(not score for score in case.scores.values())))
        reads += [(Column("only wrong"), alone(False)), (Column("only right"), alone(True))]
    else:
        reads += [
            (Column("lowest", "mark"), lambda case: min(case.scores.values())),
            (Column("highest", "mark"), lambda case: max(case.scores.values())),
        ]
    return reads + [
        (Column(terminal_text(label), "text" if perception else "mark"), partial(result, label=label))
        for label in in_order(task)
    ]


MARKDOWN_MARK = "<!-- medqbench compare -->"


def compare_markdown(comparison: RunComparison, verdicts: Sequence[str] = ()) -> str:
    """A summary in GitHub's Markdown, for a step's summary or a comment; ``verdicts`` stand above all."""
    blocks = [MARKDOWN_MARK, "## MedQ-Bench: models compared", *map(markdown_text, verdicts)]
    for run_set in comparison.run_sets:
        if run_set.label != run_set.model:
            files = ", ".join(str(run.paths.score) for run in run_set.runs)
            blocks.append(markdown_text(f"{run_set.label}: {files}"))
    for task in comparison.parts:
        first = _against(task) if task.baseline is not None or len(task.pairs) == 1 else _ranking(task)
        notes = [*(f"Warning: {warning}" for warning in task.warnings), *_notes(task)]
        blocks.append(markdown(replace(first, notes=(*first.notes, *notes))))
        if task.ranking:
            pairs = _all_pairs(task)
            blocks += [f"<details><summary>{markdown_text(pairs.title)}</summary>", markdown(replace(pairs, title=""))]
            blocks.append("</details>")
    blocks += [markdown_text(f"Not compared: {sentence}") for sentence in comparison.not_compared]
    return "\n\n".join(block.strip() for block in blocks) + "\n"


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
        f"{clustered}. Minimum detectable effect ({_EFFECT}): {effect}. {_alike(pair)}."
    )


def _alike(pair: ComparedPair) -> str:
    same, kappa = pair.agreement.same, pair.agreement.kappa
    words = "undefined" if kappa is None else value_words(kappa, "percent")
    return f"The same answer on {value_words(same or 0.0, 'share')}%, kappa {words}"


def _verdict(difference: Difference) -> str:
    """A difference in a word or three."""
    if not difference.is_significant:
        return "no difference shown"
    return "better" if (difference.cell.value or 0.0) > 0 else "worse"


def _against(task: ComparedTask) -> Table:
    """The differences of all runs from the baseline, else that of the one pair."""
    kind, several = task_kind(task.task), len(task.pairs) > 1
    columns = (
        Column("Run"),
        Column(OVERALL, kind),
        Column("Baseline", kind, optional=2),
        Column("Difference", _points(task), interval="95%"),
        Column("n", "count", optional=1),
        Column("p", "p", optional=3 if several else 0),
        *([Column("p Holm", "p")] if several else []),
        Column(f"MDE ({_EFFECT})", kind, optional=4),
        Column("Verdict"),
    )
    rows = []
    for pair in task.pairs:
        of = pair.overall
        p_values = (of.decisive_p, of.p_holm) if several else (of.decisive_p,)
        entries = (pair.a, of.a, of.b, Item(of.cell), of.cell.n, *p_values, of.detectable, _verdict(of))
        rows.append(Row(entries, "bold" if of.is_significant else ""))
    family = f" (Holm over {len(task.pairs)})" if several else ""
    return Table(f"{_title(task)}: differences from {task.pairs[0].b}{family}", columns, rows)


def _all_pairs(task: ComparedTask) -> Table:
    """Every pair, the largest difference first."""
    pairs = sorted(task.pairs, key=lambda pair: -abs(pair.overall.cell.value or 0.0))
    lines = [_Line(task, pair, "", OVERALL, pair.overall) for pair in pairs]
    return _differences(f"All pairs (Holm over {len(pairs)})", lines, of_pairs=True)


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
    places = {row.run: row.place for row in task.ranking}
    columns = (
        Column("#", "count"),
        Column("Run"),
        Column(OVERALL, task_kind(task.task), interval="95%"),
        Column("# 95%"),
        Column("n", "count", only="sheet"),
        Column("Not significantly different from #"),
    )
    rows = [
        (row.place, row.run, row.cell, "-".join(map(str, dict.fromkeys(row.places))), row.cell.n, _spans(row, places))
        for row in task.ranking
    ]
    n = task.ranking[0].cell.n
    return table(f"{_title(task)}: {len(rows)} runs on the {n} samples that all of them have", columns, rows)


def _spans(row: RankedRun, places: Mapping[str, int]) -> str | None:
    """The places of the runs that a run does not differ from significantly: '2-4, 7'."""
    others = enumerate(sorted({places[name] for name in row.not_distinct_from}))
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
    """What is shown of samples on which two runs differ: texts, and what each run has of them."""
    reads: list[Read[SharedSample]] = [
        (Column("index"), lambda case: case.index),
        (Column("task"), lambda case: case.row.sample.task.value),
        *((Column(axis, optional=1), partial(SharedSample.on_axis, axis=axis)) for axis in AXES),
        _read(Column("question", width=44, wrap=True), lambda row: row.sample.question),
        _read(Column("options", width=30, wrap=True), lambda row: options_text(row.sample.options)),
        _read(Column("answer"), lambda row: row.sample.answer),
        _read(Column("reference", width=60, wrap=True), lambda row: row.sample.description),
    ]
    for label in labels:
        reads += [
            _read(Column("right"), lambda row: mark_entry(row.correct), label),
            _read(Column("read as"), lambda row: row.extracted, label),
            _read(Column("sum", "mark"), lambda row: row.score, label),
        ]
        for dimension, title in DIMENSION_TITLES.items():
            reads.append(_read(Column(title, "mark"), partial(SampleRow.score_on, dimension=dimension), label))
    reply = Column("reply", width=70, wrap=True)
    return reads + [_read(reply, lambda row: row.prediction.text or None, label) for label in labels]


def _read(column: Column, of_row: Callable[[SampleRow], Entry], label: str = "") -> Read[SharedSample]:
    """A column of one run's rows, else of the first run's."""

    def read(case: SharedSample) -> Entry:
        row = case.rows.get(label) if label else case.row
        return None if row is None else of_row(row)

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
