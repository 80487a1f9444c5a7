"""Agreement of a judge with people as tables: dimension by dimension, rater by rater, by group, and where they differ.
Each table is defined once; the terminal and the workbook ``agreement.xlsx`` show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.report.finding_tables import shares_table
from medqbench_vlmeval.report.sample_tables import Read, add_rows, judge_words
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import Column, Item, Table, columns, table, words
from medqbench_vlmeval.scoring.agreement import (
    MARKS,
    PUBLISHED,
    PUBLISHED_OF,
    RatingComparison,
    RatingDisagreement,
    VerdictFile,
)
from medqbench_vlmeval.types import Agreement

_NAMED = 5  # runs that are named of those whose ratings were left out


def agreement_tables(comparison: RatingComparison) -> Iterator[Table | str]:
    """What a terminal shows: one line a dimension, the raters among themselves, and what was left out."""
    yield _dimensions(comparison)
    yield from _published(comparison)
    if comparison.by_rater:
        yield _among_raters(comparison)
        yield _pairs(comparison)
    yield from (f"! {note}" for note in _notes(comparison))


def write_agreement(path: Path, comparison: RatingComparison) -> None:
    """Write a comparison with ratings as a workbook, whole or not at all. Raises RunFailed where the file cannot be
    written."""
    book = Book(whole_text_in="agreement.json")
    whole = _dimensions(comparison)
    tables = [replace(whole, title=""), *_confusions(comparison)]
    tables += [_among_raters(comparison), _pairs(comparison)] if comparison.by_rater else []
    tables += [shares_table(f"By {axis}", "", groups) for axis, groups in comparison.groups.items()]
    book.add_tables("Agreement", tables, whole.title, [*_published(comparison), *_notes(comparison)])
    lists = {"Disagreements": comparison.disagreements, "Among raters": comparison.rater_disagreements}
    for name, cases in lists.items():
        if cases or name == "Disagreements":
            sheet = book.add_fixed(name)
            add_rows(sheet, _disagreement_columns(comparison, cases), cases)
            sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _dimensions(comparison: RatingComparison) -> Table:
    """One line a dimension: accuracy, kappa and Spearman with their intervals, and the judge's bias."""
    heads = (
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
        agreement = dimension.agreement
        statistics = (agreement.accuracy, agreement.kappa, agreement.spearman)
        # Their n stands in the row; kappa of few answers has an interval that says enough.
        cells = [replace(cell, few=False) for cell in statistics]
        rows.append((title, agreement.n, *cells, agreement.bias, dimension.n_unscored, dimension.n_not_rated))
    # 'Judge J (PROTOCOL) on M against 3 raters (median), 200 answers'
    judges = ", ".join(dict.fromkeys(map(_judge, comparison.verdicts)))
    models = ", ".join(dict.fromkeys(file.model for file in comparison.verdicts))
    raters = comparison.raters
    others = f"{len(raters)} raters (median)" if len(raters) > 1 else raters[0]
    whom = f"{'judge ' * comparison.by_judge}{others}"
    return table(f"Judge {judges} on {models} against {whom}, {comparison.n} answers", heads, rows)


def _judge(file: VerdictFile) -> str:
    return f"{file.judge or 'unknown'} ({file.protocol})" if file.protocol else file.judge or "unknown"


def _published(comparison: RatingComparison) -> Iterator[str]:
    """The published validation, which was one with people."""
    if not comparison.by_judge:
        (low, high), (least, most) = PUBLISHED["accuracy"], PUBLISHED["kappa"]
        yield f"Published: {low}-{high}% and kappa {least}-{most} ({PUBLISHED_OF})."


def _notes(comparison: RatingComparison) -> Iterator[str]:
    """What a reader of the numbers must know, one sentence each."""
    if len(set(map(_judge, comparison.verdicts))) > 1:
        yield "the verdicts are of several judges or protocols, taken together"
    if comparison.by_judge:
        yield "bias is the mean of the first less that of the second"
    if comparison.n_elsewhere:
        runs = ", ".join(comparison.elsewhere[:_NAMED])
        yield f"{comparison.n_elsewhere} ratings are of runs that were not given: {runs}"
    dimensions = comparison.dimensions
    not_rated = {title: dimension.n_not_rated for title, dimension in dimensions.items()}
    unscored = {title: dimension.n_unscored for title, dimension in dimensions.items()}
    between_marks = {title: dimension.n_between_marks for title, dimension in dimensions.items()}
    undefined = {
        f"{title} {'same %' if name == 'accuracy' else name}": (dimension.agreement.n_undefined or {}).get(name, 0)
        for title, dimension in dimensions.items()
        for name in ("accuracy", "kappa", "spearman")
    }
    second, people = comparison.by_judge, not comparison.by_judge
    for applies, what, counts in (
        (second, "without a verdict of the second", not_rated),
        (second, "without a verdict of the first alone", unscored),
        (people, "not rated", not_rated),
        (people, "rated, but without a verdict", unscored),
        (people, "answers that a rater left without a rating on some dimension", comparison.n_partly),
        (people, "raters' median between two marks, which no whole verdict equals", between_marks),
        (True, "resamples without a value (one side constant), left out of the interval", undefined),
    ):
        if applies and any(counts.values()):
            yield f"{what}: {', '.join(f'{name} {n}' for name, n in counts.items() if n)}"
    if unseen := [name for name in comparison.references if name != "shown"]:
        yield f"the judge sees the reference; to raters it was {' or '.join(unseen)}"
    if any(dimension.agreement.n and dimension.agreement.kappa.value is None for dimension in dimensions.values()):
        yield "'-': one side gives every answer the same score, so kappa and Spearman say nothing"


def _confusions(comparison: RatingComparison) -> Iterator[Table]:
    heads = columns(("Rated", "count"), *((f"Judge {mark}", "count") for mark in MARKS))
    for title, dimension in comparison.dimensions.items():
        if counts := dimension.agreement.confusion:
            rows = [(rated, *(counts[str(rated)][str(judged)] for judged in MARKS)) for rated in MARKS]
            yield table(f"{title}: rated (down) by judge (across)", heads, rows)


def _among_raters(comparison: RatingComparison) -> Table:
    """One line a dimension: how raters agree with each other, beside how the judge agrees with one of them."""
    heads = [
        Column("Dimension"),
        Column("Rated twice", "count", optional=1),
        Column("Kappa", "score", interval="95%"),
        Column("Judge's kappa", "score", interval="95%"),
        Column("Alpha", "score", interval="95%", optional=2),
    ]
    rows = [
        (title, of.alpha.n, *(replace(cell, few=False) for cell in (of.kappa, of.with_judge, of.alpha)))
        for title, of in comparison.among_raters.items()
    ]
    note = "Kappa: mean over pairs of raters; the judge's: over its pairs with each rater; alpha: Krippendorff's."
    return table("Raters among themselves, and the judge as one of them", heads, rows, [note])


def _pairs(comparison: RatingComparison) -> Table:
    """The judge and each rater, then the raters two by two; share and kappa stand in one cell in text."""
    pairs = {f"the judge / {rater}": cells for rater, cells in comparison.by_rater.items()}
    for first, others in comparison.between_raters.items():
        pairs |= {f"{first} / {second}": cells for second, cells in others.items()}
    shares = shares_table("Judge and raters, two by two: same %, kappa", "Pair", pairs)
    label, *numbers = shares.columns
    titles = DIMENSION_TITLES.values()
    in_text = [Column(title, "number", only="text") for title in titles]
    rows = [
        (row.entries[0], *(_in_one_cell(cells[title]) for title in titles), *row.entries[1:])
        for row, cells in zip(shares.rows, pairs.values(), strict=True)
    ]
    return table(shares.title, [label, *in_text, *(replace(column, only="sheet") for column in numbers)], rows)


def _in_one_cell(agreement: Agreement) -> str | None:
    if agreement.same is None:
        return None
    return f"{words(Item(agreement.same, 'share'))}, {words(Item(agreement.kappa, 'score'))}"


def _disagreement_columns(
    comparison: RatingComparison, cases: Sequence[RatingDisagreement]
) -> list[Read[RatingDisagreement]]:
    several_models = len({case.model for case in cases}) > 1
    raters = comparison.raters if len(comparison.raters) > 1 else []
    return [
        (Column("index"), lambda case: case.row.sample.index),
        (Column("model", optional=1), lambda case: case.model if several_models else None),
        (Column("task"), lambda case: case.row.sample.task.value),
        (Column("modality", optional=1), lambda case: case.row.sample.modality),
        (Column("dimension"), lambda case: DIMENSION_TITLES[case.dimension]),
        (Column("judge", "mark"), lambda case: case.judge),
        (Column("rated", "mark"), lambda case: case.rated),
        *((Column(rater, "mark"), lambda case, rater=rater: case.ratings.get(rater)) for rater in raters),
        (
            Column("comments", optional=1, width=40, wrap=True),
            lambda case: "\n".join(f"{rater}: {text}" for rater, text in case.comments.items()) or None,
        ),
        (Column("judge said", width=50, wrap=True), lambda case: judge_words(case.row.verdicts.get(case.dimension))),
        (Column("reference", width=60, wrap=True), lambda case: case.row.sample.description),
        (Column("answer", width=60, wrap=True), lambda case: case.row.prediction.text),
    ]
