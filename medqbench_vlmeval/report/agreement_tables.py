"""Agreement of a judge with people as tables: dimension by dimension, rater by rater, by group, and where they differ.

Each table is defined once; the terminal and the workbook ``agreement.xlsx`` show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.report.finding_tables import shares_table
from medqbench_vlmeval.report.sample_tables import Read, add_rows, judge_words
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import Column, Entry, Item, Row, Table, words
from medqbench_vlmeval.report.terminal import own_console, print_line, print_table
from medqbench_vlmeval.scoring.agreement import (
    MARKS,
    PUBLISHED,
    PUBLISHED_OF,
    DimensionAgreement,
    RatingComparison,
    RatingDisagreement,
    VerdictFile,
)
from medqbench_vlmeval.types import Agreement

if TYPE_CHECKING:
    from rich.console import Console

AGREEMENT, DISAGREEMENTS = "Agreement", "Disagreements"
PAIRS = "Judge and raters, two by two"

_STATISTICS = ("accuracy", "kappa", "spearman")
_NAMED = 5  # runs that are named of those whose ratings were left out


def agreement_tables(comparison: RatingComparison, console: Console | None = None) -> None:
    """Print one line a dimension, the raters among themselves, and what was left out."""
    console = console or own_console()
    print_table(_dimensions(comparison), console)
    if not comparison.by_judge:
        print_line(_published(), console)
    if comparison.by_rater:
        print_table(_pairs(comparison), console)
    for note in _notes(comparison):
        print_line(f"! {note}", console, "yellow")


def write_agreement(path: Path, comparison: RatingComparison) -> None:
    """Write a comparison with ratings as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in="agreement.json")
    sheet = book.add_fixed(AGREEMENT)
    sheet.widths((26, *[13] * 14))
    table = _dimensions(comparison)
    sheet.title(table.title)
    for sentence in ([] if comparison.by_judge else [_published()]) + _notes(comparison):
        sheet.append([sentence])
    sheet.append()
    sheet.add_table(table, titled=False)
    tables = [
        _confusion(title, dimension.agreement.confusion)
        for title, dimension in comparison.dimensions.items()
        if dimension.agreement.confusion
    ]
    tables += [_pairs(comparison)] if comparison.by_rater else []
    tables += [shares_table(f"By {axis}", "", groups) for axis, groups in comparison.groups.items()]
    for table in tables:
        sheet.append()
        sheet.add_table(table)
    sheet.finish()
    sheet = book.add_fixed(DISAGREEMENTS)
    add_rows(sheet, _disagreement_columns(comparison), comparison.disagreements)
    sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _dimensions(comparison: RatingComparison) -> Table:
    """One line a dimension: accuracy, kappa and Spearman with their intervals, and the judge's bias."""
    columns = (
        Column("Dimension"),
        Column("n", "count"),
        # Kappa stays longest where a terminal is narrow.
        Column("Same %", "share", interval="95%", optional=1),
        Column("Kappa", "score", interval="95%"),
        Column("Spearman", "score", interval="95%", optional=2),
        Column("Bias", "score_points"),
        Column("No verdict", "count", only="sheet"),
        Column("Not rated", "count", only="sheet"),
    )
    rows = []
    for title, dimension in comparison.dimensions.items():
        of_dimension = dimension.agreement
        statistics = (of_dimension.accuracy, of_dimension.kappa, of_dimension.spearman)
        # Their n stands in the row; kappa of few answers has an interval that says enough.
        cells = [replace(cell, few=False) for cell in statistics]
        counts = (dimension.n_unscored, dimension.n_not_rated)
        rows.append(Row((title, of_dimension.n, *cells, of_dimension.bias, *counts)))
    return Table(_headline(comparison), columns, rows)


def _headline(comparison: RatingComparison) -> str:
    """What is compared: 'Judge J (PROTOCOL) on M against 3 raters (median), 200 answers'."""
    judges = ", ".join(dict.fromkeys(_judge(file) for file in comparison.verdicts))
    models = ", ".join(dict.fromkeys(file.model for file in comparison.verdicts))
    raters = comparison.raters
    others = f"{len(raters)} raters (median)" if len(raters) > 1 else raters[0]
    return f"Judge {judges} on {models} against {'judge ' * comparison.by_judge}{others}, {comparison.n} answers"


def _judge(file: VerdictFile) -> str:
    return f"{file.judge or 'unknown'} ({file.protocol})" if file.protocol else file.judge or "unknown"


def _published() -> str:
    (low, high), (least, most) = PUBLISHED["accuracy"], PUBLISHED["kappa"]
    return f"Published: {low}-{high}% and kappa {least}-{most} ({PUBLISHED_OF})."


def _notes(comparison: RatingComparison) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = []
    if len({_judge(file) for file in comparison.verdicts}) > 1:
        notes.append("the verdicts are of several judges or protocols, taken together")
    if comparison.by_judge:
        notes.append("bias is the mean of the first less that of the second")
    if comparison.n_elsewhere:
        named = ", ".join(comparison.elsewhere[:_NAMED])
        notes.append(f"{comparison.n_elsewhere} ratings are of runs that were not given: {named}")
    counts: list[tuple[str, Callable[[DimensionAgreement], int]]]
    if comparison.by_judge:
        counts = [
            ("without a verdict of the second", lambda dimension: dimension.n_not_rated),
            ("without a verdict of the first alone", lambda dimension: dimension.n_unscored),
        ]
    else:
        counts = [
            ("not rated", lambda dimension: dimension.n_not_rated),
            ("rated, but without a verdict", lambda dimension: dimension.n_unscored),
            (
                "raters' median between two marks, which no whole verdict equals",
                lambda dimension: dimension.n_between_marks,
            ),
        ]
    dimensions = comparison.dimensions
    for what, count in counts:
        by_title = [f"{title} {n}" for title, dimension in dimensions.items() if (n := count(dimension))]
        if by_title:
            notes.append(f"{what}: {', '.join(by_title)}")
    undefined = [
        f"{title} {'same %' if name == 'accuracy' else name} {n_undefined}"
        for title, dimension in dimensions.items()
        for name in _STATISTICS
        if (n_undefined := (dimension.agreement.n_undefined or {}).get(name))
    ]
    if undefined:
        notes.append(f"resamples without a value (one side constant), left out of the interval: {', '.join(undefined)}")
    if any(dimension.agreement.n and dimension.agreement.kappa.value is None for dimension in dimensions.values()):
        notes.append("'-': one side gives every answer the same score, so kappa and Spearman say nothing")
    return notes


def _confusion(title: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    columns = (Column("Rated", "count"), *(Column(f"Judge {mark}", "count") for mark in MARKS))
    rows = [Row((rated, *(counts[str(rated)][str(judged)] for judged in MARKS))) for rated in MARKS]
    return Table(f"{title}: rated (down) by judge (across)", columns, rows)


def _pairs(comparison: RatingComparison) -> Table:
    """The judge and each rater, then the raters two by two; share and kappa stand in one cell in text."""
    pairs = {f"the judge / {rater}": cells for rater, cells in comparison.by_rater.items()}
    for first, others in comparison.between_raters.items():
        pairs |= {f"{first} / {second}": cells for second, cells in others.items()}
    shares = shares_table(f"{PAIRS}: same %, kappa", "Pair", pairs)
    label, *numbers = shares.columns
    titles = DIMENSION_TITLES.values()
    columns = [label, *(Column(title, "number", only="text") for title in titles)]
    columns += [replace(column, only="sheet") for column in numbers]
    rows = [
        Row((row.entries[0], *(_in_one_cell(cells[title]) for title in titles), *row.entries[1:]))
        for row, cells in zip(shares.rows, pairs.values(), strict=True)
    ]
    return Table(shares.title, columns, rows)


def _in_one_cell(agreement: Agreement) -> str | None:
    if agreement.same is None:
        return None
    return f"{words(Item(agreement.same, 'share'))}, {words(Item(agreement.kappa, 'score'))}"


def _disagreement_columns(comparison: RatingComparison) -> list[Read[RatingDisagreement]]:
    several_models = len({row.model for row in comparison.disagreements}) > 1
    raters = comparison.raters if len(comparison.raters) > 1 else []

    def rating(rater: str) -> Callable[[RatingDisagreement], Entry]:
        return lambda one: one.ratings.get(rater)

    return [
        (Column("index", width=26), lambda one: one.row.sample.index),
        *([(Column("model", width=22), _model)] if several_models else []),
        (Column("task"), lambda one: one.row.sample.task.value),
        (Column("modality", optional=1, width=15), lambda one: one.row.sample.modality),
        (Column("dimension", width=18), lambda one: DIMENSION_TITLES[one.dimension]),
        (Column("judge", "mark", width=10), lambda one: one.judge),
        (Column("rated", "mark", width=10), lambda one: one.rated),
        *((Column(rater, "mark", width=12), rating(rater)) for rater in raters),
        (Column("judge said", width=50, wrap=True), lambda one: judge_words(one.row.verdicts.get(one.dimension))),
        (Column("reference", width=60, wrap=True), lambda one: one.row.sample.description),
        (Column("answer", width=60, wrap=True), lambda one: one.row.prediction.text),
    ]


def _model(disagreement: RatingDisagreement) -> str:
    return disagreement.model
