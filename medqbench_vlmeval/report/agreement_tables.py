"""Agreement of a judge with people in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, Task, dimension_scores
from medqbench_vlmeval.data.second_pass import permutation_text
from medqbench_vlmeval.judge.protocols import criteria
from medqbench_vlmeval.report.old import (
    BOLD,
    COUNT,
    MAX_ROWS,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    Column,
    Item,
    Sheet,
    Style,
    add_shares,
    area,
    lines_of,
    score_item,
    write_table,
)
from medqbench_vlmeval.report.terminal import Grid, own_console, print_grid, print_line
from medqbench_vlmeval.report.text import cell_text
from medqbench_vlmeval.runs.result import TASK_TITLES, mapping, number, text, whole
from medqbench_vlmeval.scoring.intervals import FEW

if TYPE_CHECKING:
    from rich.console import Console


_STATISTICS = (("accuracy", "Same %", 1), ("kappa", "Kappa", 3), ("spearman", "Spearman", 3))
_NONE = "-"
PAIRS = "Judge and raters, two by two"


def agreement_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print one line a dimension, the raters among themselves, and what was left out."""
    console = console or own_console()
    print_grid(_main(result), console)
    if result["against"] == "people":
        print_line(published_line(result), console)
    pairs = _pairs(result)
    if pairs.rows:
        print_grid(pairs, console)
    for note in notes_of(result):
        print_line(f"! {note}", console, "yellow")


def headline(result: Mapping[str, Any]) -> str:
    """What is compared: 'Judge J (PROTOCOL) on M against 3 raters (median), 200 answers'."""
    runs = [mapping(run) for run in result["verdicts"]]
    judges = ", ".join(dict.fromkeys(_judge(run) for run in runs))
    models = ", ".join(dict.fromkeys(str(run.get("model")) for run in runs))
    raters = [str(rater) for rater in result["raters"]]
    others = f"{len(raters)} raters (median)" if len(raters) > 1 else raters[0]
    kind = "judge" if result["against"] == "judge" else ""
    return f"Judge {judges} on {models} against {kind} {others}, {result['n']} answers".replace("  ", " ")


def _judge(run: Mapping[str, Any]) -> str:
    protocol = run.get("protocol")
    return f"{run.get('judge') or 'unknown'} ({protocol})" if protocol else str(run.get("judge") or "unknown")


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = []
    people = result["against"] == "people"
    if len({_judge(mapping(run)) for run in result["verdicts"]}) > 1:
        notes.append("the verdicts are of several judges or protocols, taken together")
    if not people:
        notes.append("bias is the mean of the first less that of the second")
    if result["n_ratings_of_other_runs"]:
        named = ", ".join(str(name) for name in result["other_runs"][:5])
        notes.append(f"{result['n_ratings_of_other_runs']} ratings are of runs that were not given: {named}")
    counted = [
        ("n_not_rated", "not rated" if people else "without a verdict of the second"),
        ("n_unscored", "rated, but without a verdict" if people else "without a verdict of the first alone"),
    ]
    if people:
        counted.append(("n_between_marks", "raters' median between two marks, which no whole verdict equals"))
    for name, what in counted:
        counts = {title: whole(mapping(cell).get(name)) for title, cell in mapping(result["dimensions"]).items()}
        if any(counts.values()):
            notes.append(f"{what}: {', '.join(f'{title} {count}' for title, count in counts.items() if count)}")
    undefined = [
        f"{title} {label.lower()} {count}"
        for title, cell in mapping(result["dimensions"]).items()
        for name, label, _ in _STATISTICS
        if (count := whole(mapping(mapping(cell).get("n_undefined")).get(name)))
    ]
    if undefined:
        notes.append(f"resamples without a value (one side constant), left out of the interval: {', '.join(undefined)}")
    if any(mapping(cell).get("n") and mapping(cell).get("kappa") is None for cell in result["dimensions"].values()):
        notes.append("'-': one side gives every answer the same score, so kappa and Spearman say nothing")
    return notes


def published_line(result: Mapping[str, Any]) -> str:
    """The published validation, to compare with."""
    found = mapping(result["published"])
    (low, high), (least, most) = found["accuracy"], found["kappa"]
    return f"Published: {low}-{high}% and kappa {least}-{most} ({found['of']})."


def _main(result: Mapping[str, Any]) -> Grid:
    heads = ["", "n"]
    for _, label, _ in _STATISTICS:
        heads += [label, "95% interval"]
    lines = []
    for title, cell in mapping(result["dimensions"]).items():
        line = [str(title), str(whole(mapping(cell).get("n")))]
        for name, _, digits in _STATISTICS:
            value = number(mapping(cell).get(name))
            line.append(_NONE if value is None else f"{value:.{digits}f}")
            line.append(_interval(mapping(mapping(cell).get("intervals")).get(name), digits))
        bias = number(mapping(cell).get("bias"))
        lines.append((*line, _NONE if bias is None else f"{bias:+.3f}"))
    # Kappa with its interval stays longest where a terminal is narrow.
    return Grid(headline(result), (*heads, "Bias"), tuple(lines), spare=(5, 2, 3, 6, 7))


def _interval(ends: Any, digits: int) -> str:
    if not isinstance(ends, list) or len(ends) != 2:
        return _NONE
    return " to ".join(f"{end:.{digits}f}" for end in ends)


def pairs_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The judge and each rater, then the raters two by two, by a label a pair; empty for a single rater."""
    found = {f"the judge / {rater}": mapping(cells) for rater, cells in mapping(result.get("by_rater")).items()}
    for first, others in mapping(result.get("between_raters")).items():
        found |= {f"{first} / {second}": mapping(cells) for second, cells in mapping(others).items()}
    return found


def _pairs(result: Mapping[str, Any]) -> Grid:
    titles = tuple(mapping(result["dimensions"]))
    lines = [
        (label, *(_cell(mapping(cells.get(title))) for title in titles)) for label, cells in pairs_of(result).items()
    ]
    return Grid(f"{PAIRS}: same %, kappa", ("", *titles), tuple(lines))


def _cell(cell: Mapping[str, Any]) -> str:
    same, kappa = number(cell.get("same")), number(cell.get("kappa"))
    if same is None:
        return _NONE
    return f"{same:.1f}, {_NONE if kappa is None else f'{kappa:.3f}'}"


# The workbook of a comparison of verdicts with ratings: the statistics, and every answer on which they differ.


AGREEMENT = "Agreement"
DISAGREEMENTS = "Disagreements"

_PERCENT = "0.0"
_MARKS = ("0", "1", "2")
_SHEET_AGREEMENT_STATISTICS = (
    ("accuracy", "Same, %", _PERCENT),
    ("kappa", "Kappa", SCORE),
    ("spearman", "Spearman", SCORE),
)
_DIMENSION, _NUMBER = 26, 13


def write_agreement(path: Path, result: Mapping[str, Any], disagreements: Sequence[Mapping[str, Any]]) -> None:
    """Write the content of ``agreement.json`` as a workbook, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in="agreement.json")
    _add_agreement(book, result)
    sheet = book.add_fixed(DISAGREEMENTS)
    several = len({row.get("model") for row in disagreements}) > 1
    write_table(sheet, _columns([str(rater) for rater in result["raters"]], several), disagreements, MAX_ROWS)
    sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _add_agreement(book: Book, result: Mapping[str, Any]) -> None:
    sheet = book.add_fixed(AGREEMENT)
    sheet.widths([_DIMENSION, *[_NUMBER] * 14])
    sheet.append([Item(headline(result), TITLE)], lines=2)
    if result["against"] == "people":
        sheet.append([Item(published_line(result))])
    for note in notes_of(result):
        sheet.append([Item(note)])
    sheet.append()
    heads = ["Dimension", "n"]
    for _, label, _ in _SHEET_AGREEMENT_STATISTICS:
        heads += [label, "95% low", "95% high"]
    sheet.header([*heads, "Bias", "No verdict", "Not rated"])
    for title, cell in mapping(result["dimensions"]).items():
        sheet.append(_line(str(title), mapping(cell)))
    for title, cell in mapping(result["dimensions"]).items():
        table = mapping(mapping(cell).get("confusion"))
        if table:
            sheet.append()
            sheet.append([Item(f"{title}: rated (down) by judge (across)", BOLD)])
            sheet.header(["Rated", *(f"Judge {mark}" for mark in _MARKS)])
            for mark in _MARKS:
                counts = mapping(table.get(mark))
                sheet.append([Item(int(mark)), *(Item(whole(counts.get(its)), Style(COUNT)) for its in _MARKS)])
    for title, found in (
        (PAIRS, pairs_of(result)),
        *((f"By {axis}", mapping(found)) for axis, found in mapping(result["groups"]).items()),
    ):
        if found:
            sheet.append()
            sheet.append([Item(title, BOLD)])
            add_shares(sheet, "", found)
    sheet.finish()


def _line(title: str, cell: Mapping[str, Any]) -> list[Item]:
    items = [Item(title, BOLD), Item(whole(cell.get("n")), Style(COUNT))]
    for name, _, unit in _SHEET_AGREEMENT_STATISTICS:
        ends = mapping(cell.get("intervals")).get(name)
        low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
        items += [Item(number(value), Style(unit)) for value in (cell.get(name), low, high)]
    items.append(Item(number(cell.get("bias")), Style("+0.000;-0.000;0.000")))
    return [*items, *(Item(whole(cell.get(name)), Style(COUNT)) for name in ("n_unscored", "n_not_rated"))]


def _columns(raters: Sequence[str], several_models: bool) -> list[Column]:
    def read(name: str, wraps: bool = False) -> Any:
        return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)

    def rating(rater: str) -> Any:
        return lambda row: score_item(mapping(row.get("ratings")).get(rater))

    return [
        Column("index", 26, read("index")),
        *([Column("model", 22, read("model"))] if several_models else []),
        Column("task", 14, read("task")),
        Column("modality", 15, read("modality"), optional=True),
        Column("dimension", 18, lambda row: Item(DIMENSION_TITLES.get(str(row.get("dimension"))), TEXT)),
        Column("judge", 10, lambda row: score_item(row.get("judge"))),
        Column("rated", 10, lambda row: score_item(row.get("rated"))),
        *([Column(rater, 12, rating(rater)) for rater in raters] if len(raters) > 1 else []),
        Column("judge said", 50, read("judge_said", True), wraps=True),
        Column("reference", 60, read("reference", True), wraps=True),
        Column("answer", 60, read("answer", True), wraps=True),
    ]


# The sheet that people rate on: texts without a trace of whose they are, cells for the ratings, and a guide.


RATINGS = "Ratings"
GUIDE = "Guide"

_TEXT_WIDTH = 62
_WIDTHS = (14, 15, _TEXT_WIDTH, _TEXT_WIDTH, 14, 14, 14, 14, 30)
_FIRST_RATING = 5  # column, from 1
_LINE_HEIGHT, _MAX_HEIGHT = 15.0, 409.0  # points; the format allows no higher row
_TO_FILL = Style(fill="own", wrap=True)
_HOW = (
    "Each row of the sheet 'Ratings' has two texts: a reference, written by an expert, and an answer. Rate the answer "
    "against the reference on four dimensions. Whose answer it is, is not said, and the order is random.",
    "Fill the four coloured cells of a row with 0, 1 or 2 (in a comparison, Quality Accuracy is 0 or 2). Leave a cell "
    "empty where you cannot decide. Rate each dimension for itself. The comment is free.",
    "Change nothing else: the rating id connects a row to its answer. Sorting and colouring do no harm. Rate alone, "
    "each rater in a copy of this file, and do not look rows up elsewhere.",
)


@dataclass(frozen=True)
class RatingRow:
    """One answer to be rated, under an id that says nothing."""

    rating_id: str
    task: Task
    reference: str
    answer: str


def fits_cell(text: str) -> bool:
    """Whether a cell can hold the whole text: half an answer is not to be rated."""
    return cell_text(text, "a") == cell_text(text, "b")


def write_rating_sheet(path: Path, rows: Sequence[RatingRow], id_name: str) -> None:
    """Write an empty rating sheet and its guide, whole or not at all.

    Args:
        path: an .xlsx file.
        rows: in the order in which they are to be rated; every text must fit a cell.
        id_name: the head of the first column.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in="")
    _add_ratings(book, rows, id_name)
    _add_guide(book, [task for task in Task if any(row.task is task for row in rows)])
    book.save(path)


def _add_ratings(book: Book, rows: Sequence[RatingRow], id_name: str) -> None:
    sheet = book.add_fixed(RATINGS)
    sheet.widths(_WIDTHS)
    sheet.header([id_name, "task", "reference", "answer", *DIMENSION_TITLES.values(), "comment"], lines=2)
    lined = _border()
    for row in rows:
        texts = [Item(row.rating_id, TEXT), Item(row.task.value, TEXT), Item(row.reference, WRAPPED)]
        empty = [Item(None, _TO_FILL) for _ in DIMENSIONS]
        at = sheet.append([*texts, Item(row.answer, WRAPPED), *empty, Item(None, WRAPPED)])
        lines = max(_lines(row.reference), _lines(row.answer))
        sheet.worksheet.row_dimensions[at].height = min(_LINE_HEIGHT * lines, _MAX_HEIGHT)
        for cell in sheet.worksheet[at]:
            cell.border = lined
    _validate(sheet, rows)
    sheet.table(1, len(_WIDTHS))
    sheet.finish(freeze="B2", repeat_row=1)


def _border() -> Any:
    """Thin lines, so that a row is followed across the sheet."""
    from openpyxl.styles import Border, Side

    thin = Side(style="thin", color="BFBFBF")
    return Border(left=thin, right=thin, top=thin, bottom=thin)


def _validate(sheet: Sheet, rows: Sequence[RatingRow]) -> None:
    """Let each rating cell take its task's marks alone, one rule a set of marks."""
    from openpyxl.worksheet.datavalidation import DataValidation

    rules: dict[tuple[int, ...], Any] = {}
    for column, dimension in enumerate(DIMENSIONS, start=_FIRST_RATING):
        first = 2
        for marks, block in groupby(dimension_scores(row.task, dimension) for row in rows):
            last = first + len(list(block)) - 1
            if marks not in rules:
                named = " or ".join((", ".join(str(mark) for mark in marks[:-1]), str(marks[-1])))
                rules[marks] = DataValidation(
                    type="list",
                    formula1=f'"{",".join(str(mark) for mark in marks)}"',
                    allow_blank=True,
                    showErrorMessage=True,
                    errorTitle="No rating",
                    error=f"{named}, or nothing.",
                )
            rules[marks].add(area(column, first, column, last))
            first = last + 1
    for rule in rules.values():
        sheet.worksheet.add_data_validation(rule)


def _add_guide(book: Book, tasks: Sequence[Task]) -> None:
    sheet = book.add_fixed(GUIDE)
    sheet.widths([20, 8, 110])
    sheet.append([Item("How to rate", TITLE)], lines=2)
    for sentence in _HOW:
        _wide(sheet, sentence)
    for task in tasks:
        sheet.append()
        sheet.append([Item(f"{TASK_TITLES[task]} (task '{task.value}')", TITLE)], lines=2)
        for dimension, title in DIMENSION_TITLES.items():
            question, marks = criteria(task, dimension)
            sheet.append()
            sheet.append(
                [Item(title, BOLD), Item(None), Item(_of_rater(question), WRAPPED)], lines=lines_of(question, 105)
            )
            for mark, meaning in _by_mark(marks):
                sheet.append([Item(None), Item(mark, BOLD), Item(_of_rater(meaning), WRAPPED)])
    sheet.finish()


def _wide(sheet: Sheet, text: str) -> None:
    at = sheet.append([Item(text, WRAPPED)], lines=lines_of(text, 130))
    sheet.worksheet.merge_cells(area(1, at, 3, at))


def _of_rater(text: str) -> str:
    """The criteria call the text that is rated the candidate, the sheet calls it the answer."""
    return text.replace("candidate", "answer")


def _by_mark(marks: Mapping[int, str]) -> list[tuple[int, str]]:
    return sorted(marks.items(), reverse=True)


def _lines(text: str) -> int:
    """Lines of a wrapped text in its column; a row must show all of it."""
    return sum(max(1, math.ceil(len(line) / (_TEXT_WIDTH - 4))) for line in text.split("\n"))


# The tables of a comparison of two passes, for the terminal and the workbook alike.


PERCENT_DIGITS, MEAN_DIGITS, COUNT_DIGITS = 2, 3, 0

_ROBUSTNESS_TABLES_PREFERENCES = {
    "consistent": "Same image in both orders",
    "first_place_twice": "First place in both orders",
    "second_place_twice": "Second place in both orders",
    "same_twice": "'Same' in both orders",
    "same_once": "'Same' in one order",
    "unread": "Unread in one order or both",
}
_ROBUSTNESS_TABLES_AXES = {
    "question_type": "question type",
    "modality": "modality",
    "severity": "severity",
    "difficulty": "difficulty",
}
FEW_MARK = "*"


@dataclass(frozen=True)
class Value:
    """A number with its digits behind the point, or None; ``few`` marks one that rests on few samples."""

    value: float | None
    digits: int = PERCENT_DIGITS
    few: bool = False


@dataclass(frozen=True)
class Table:
    """A table with one label and then numbers in each row; ``heads`` includes the label's."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Value, ...]], ...]


def tables_of(result: Mapping[str, Any]) -> list[Table]:
    """All tables that a result has."""
    if result["robustness_of"] == Task.PERCEPTION.value:
        return [_accuracies(result), *_choice_groups(result), _robustness_tables_letters(result)]
    return [_preferences(result), _quality(result), _places(result), *_preference_groups(result)]


def title_of(result: Mapping[str, Any]) -> str:
    """What is compared: 'M on D, 75 questions asked twice with the options in another order'."""
    questions = result["robustness_of"] == Task.PERCEPTION.value
    what = "questions asked twice, the options permuted" if questions else "pairs shown twice, the images swapped"
    return f"{text(result.get('model'))} on {text(result.get('dataset'))}: {result['n']} {what}"


def robustness_notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = [str(reason) for reason in result["not_comparable_because"]] + [str(note) for note in result["notes"]]
    unanswered = whole(mapping(result.get("n_unanswered")).get("either"))
    if unanswered:
        notes.append(f"{unanswered} questions without an answer that could be read in one pass or both; not consistent")
    chance = number(result.get("consistency_of_chance"))
    if chance is not None:
        notes.append(f"answers drawn anew each time are the same in {chance:.2f}%, answers by the letter alone in none")
    for name, words in (
        ("n_inference_failed", "pairs with a failed inference are unread and have no quality accuracy"),
        ("n_reference_unread", "pairs whose reference states no preference have no quality accuracy"),
    ):
        if count := whole(result.get(name)):
            notes.append(f"{count} {words}")
    if any(value.few for table in tables_of(result) for _, values in table.rows for value in values):
        notes.append(f"{FEW_MARK} fewer than {FEW} samples")
    return notes


def _interval_row(cell: Any, name: str = "percent", digits: int = PERCENT_DIGITS) -> tuple[Value, ...]:
    found = mapping(cell)
    few = found.get("few") is True
    ends = (Value(number(found.get(key)), digits) for key in (name, "low", "high"))
    return (*ends, Value(whole(found.get("n")), COUNT_DIGITS, few))


def _percent(cell: Any) -> Value:
    found = mapping(cell)
    return Value(number(found.get("percent")), PERCENT_DIGITS)


def _accuracies(result: Mapping[str, Any]) -> Table:
    rows = (
        ("Accuracy, first pass", _interval_row(result["first"])),
        ("Accuracy, second pass", _interval_row(result["second"])),
        ("Debiased accuracy (mean of both)", _interval_row(result["debiased"])),
        ("Second less first, points", _interval_row(result["difference"], "points")),
        ("Right in both orders", _interval_row(result["right_in_both"])),
        ("Same option in both orders", _interval_row(result["consistency"])),
    )
    return Table(title_of(result), ("", "%", "95% low", "95% high", "n"), rows)


def _choice_groups(result: Mapping[str, Any]) -> list[Table]:
    heads = ("n", "First %", "Second %", "Debiased %", "95% low", "95% high", "Right in both %", "Same option %")
    tables = []
    for axis, groups in mapping(result["groups"]).items():
        rows = []
        for name, cell in mapping(groups).items():
            debiased, low, high, n = _interval_row(cell["debiased"])
            first, second, both, same = (
                _percent(cell[key]) for key in ("first", "second", "right_in_both", "consistency")
            )
            rows.append((str(name), (n, first, second, debiased, low, high, both, same)))
        tables.append(Table(f"By {_ROBUSTNESS_TABLES_AXES.get(axis, axis)}", ("", *heads), tuple(rows)))
    return tables


def _robustness_tables_letters(result: Mapping[str, Any]) -> Table:
    heads = ("Letter", "Offered", "Chosen first %", "Chosen second %", "Right option first", "Right option second")
    rows = []
    for letter, cell in mapping(result["letters"]).items():
        right = mapping(cell["n_right_option"])
        counts = [Value(whole(right.get(which)), COUNT_DIGITS) for which in ("first", "second")]
        chosen = [_percent(mapping(cell["chosen"]).get(which)) for which in ("first", "second")]
        accuracy = _interval_row(cell["accuracy_where_right"])
        rows.append((str(letter), (Value(whole(cell["n_offered"]), COUNT_DIGITS), *chosen, *counts, *accuracy)))
    return Table(
        "By letter: how often it was chosen, and the accuracy where it was the right one",
        (*heads, "Accuracy there %", "95% low", "95% high", "n"),
        tuple(rows),
    )


def _preferences(result: Mapping[str, Any]) -> Table:
    shares = mapping(result["preferences"])
    rows = tuple((label, _interval_row(shares.get(kind))) for kind, label in _ROBUSTNESS_TABLES_PREFERENCES.items())
    return Table(title_of(result), ("Preferred", "%", "95% low", "95% high", "n"), rows)


def _quality(result: Mapping[str, Any]) -> Table:
    found = mapping(result["quality_accuracy"])
    rows = (
        ("First pass", _interval_row(found.get("first"), "mean", MEAN_DIGITS)),
        ("Second pass", _interval_row(found.get("second"), "mean", MEAN_DIGITS)),
        ("Debiased (mean of both)", _interval_row(found.get("debiased"), "mean", MEAN_DIGITS)),
        ("Second less first", _interval_row(found.get("difference"), "points", MEAN_DIGITS)),
    )
    title = "Quality accuracy (0-2) of stated conclusions, no judge"
    return Table(title, ("", "Mean", "95% low", "95% high", "n"), rows)


def _places(result: Mapping[str, Any]) -> Table:
    labels = {"first": "First image", "second": "Second image", "same": "'Same'", "unread": "Unread"}
    rows = []
    for name, label in labels.items():
        cell = mapping(mapping(result["places"]).get(name))
        chosen = [_percent(cell.get(which)) for which in ("first", "second")]
        rows.append((label, (*chosen, *_interval_row(cell.get("right_where_better")))))
    heads = ("Preferred", "First pass %", "Second pass %", "Right where better %", "95% low", "95% high", "n")
    return Table("By place: how often it was preferred, and the right answers where the better image was", heads,
                 tuple(rows))  # fmt: skip


def _preference_groups(result: Mapping[str, Any]) -> list[Table]:
    kinds = ("consistent", "first_place_twice", "second_place_twice", "unread")
    heads = (
        "n",
        "Same image %",
        "First place %",
        "Second place %",
        "Unread %",
        "Debiased (0-2)",
        "95% low",
        "95% high",
    )
    tables = []
    for axis, groups in mapping(result["groups"]).items():
        rows = []
        for name, cell in mapping(groups).items():
            shares = mapping(cell["preferences"])
            n = _interval_row(shares["consistent"])[-1]
            debiased = _interval_row(mapping(cell["quality_accuracy"]).get("debiased"), "mean", MEAN_DIGITS)
            rows.append((str(name), (n, *(_percent(shares[kind]) for kind in kinds), *debiased[:3])))
        tables.append(Table(f"By {_ROBUSTNESS_TABLES_AXES.get(axis, axis)}", ("", *heads), tuple(rows)))
    return tables


# The workbook of two passes compared: the tables, and every pair of replies.


ROBUSTNESS = "Robustness"
ROBUSTNESS_PAIRS = "Pairs"
MARK = "NOT A RESULT of the benchmark: two passes compared"

_LABEL, _SHEET_ROBUSTNESS_NUMBER, _COLUMNS = 36, 13, 10
_FORMATS = {COUNT_DIGITS: COUNT, MEAN_DIGITS: SCORE}


def write_robustness(path: Path, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``{stem}_consistency.xlsx`` from the numbers and the pairs of a comparison, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in=path.with_suffix(".jsonl").name, mark=MARK)
    sheet = book.add_fixed(ROBUSTNESS)
    sheet.widths([_LABEL, *[_SHEET_ROBUSTNESS_NUMBER] * _COLUMNS])
    sheet.append([Item(title_of(result), TITLE)], lines=2)
    sheet.banner(MARK, "bad", _COLUMNS)
    for note in robustness_notes(result):
        sheet.append([Item(note)])
    for table in tables_of(result):
        sheet.append()
        if table.title != title_of(result):
            sheet.append([Item(table.title, BOLD)])
        sheet.header(table.heads, lines=2)
        for label, values in table.rows:
            sheet.append([Item(label), *(_item(value) for value in values)])
    sheet.finish()
    pairs = book.add_fixed(ROBUSTNESS_PAIRS)
    questions = result["robustness_of"] == Task.PERCEPTION.value
    write_table(pairs, _CHOICES if questions else _PREFERENCES, rows, MAX_ROWS)
    pairs.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _item(value: Value) -> Item:
    return Item(value.value, Style(_FORMATS.get(value.digits, PERCENT), faint=value.few))


def _text(name: str, wraps: bool = False) -> Callable[[Mapping[str, Any]], Item]:
    return lambda row: Item(text(row.get(name)), WRAPPED if wraps else TEXT)


def _letters(row: Mapping[str, Any]) -> Item:
    return Item("\n".join(f"{letter}. {option}" for letter, option in mapping(row.get("options")).items()), WRAPPED)


def _order(row: Mapping[str, Any]) -> Item:
    return Item(permutation_text(mapping(row.get("permutation"))))


def _yes(name: str) -> Callable[[Mapping[str, Any]], Item]:
    return lambda row: Item("yes" if row.get(name) else "no", Style(fill="good" if row.get(name) else "human"))


_AXES = (
    Column("modality", 15, _text("modality"), optional=True),
    Column("question type", 13, _text("question_type"), optional=True),
    Column("difficulty", 15, _text("difficulty"), optional=True),
    Column("severity", 11, _text("severity"), optional=True),
)
_REPLIES = (
    Column("first reply", 60, _text("first_prediction", True), wraps=True),
    Column("second reply", 60, _text("second_prediction", True), wraps=True),
)
_CHOICES = (
    Column("index", 20, _text("index")),
    *_AXES,
    Column("question", 50, _text("question", True), wraps=True),
    Column("options, first pass", 36, _letters, wraps=True),
    Column("second:first", 17, _order),
    Column("right option", 28, _text("right")),
    Column("first", 28, _text("first_text")),
    Column("second", 28, _text("second_text")),
    Column("first right", 9, _yes("first_right")),
    Column("second right", 9, _yes("second_right")),
    Column("same option", 9, _yes("consistent")),
    *_REPLIES,
)
_PREFERENCES = (
    Column("index", 20, _text("index")),
    *_AXES,
    Column("better image", 9, _text("right")),
    Column("first", 9, _text("first")),
    Column("second, as in first order", 12, _text("second_in_first_order")),
    Column("kind", 20, lambda row: Item(str(row.get("kind")).replace("_", " "))),
    *_REPLIES,
)


# Two passes compared, in the terminal.


_INTERVAL = ("95% low", "95% high")


def robustness_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print every table of a ``_consistency.json``, and what to beware of."""
    console = console or own_console()
    for table in tables_of(result):
        print_grid(_grid(table), console)
    for note in robustness_notes(result):
        print_line(f"! {note}", console, "yellow")
    print_line("", console)


def _grid(table: Table) -> Grid:
    """The two ends of an interval in one column."""
    low = table.heads.index(_INTERVAL[0]) if _INTERVAL[0] in table.heads else None
    heads = tuple("95% interval" if head == _INTERVAL[0] else head for head in table.heads if head != _INTERVAL[1])
    rows = []
    for label, values in table.rows:
        cells = [_shown(value) for value in values]
        if low is not None:
            ends = cells[low - 1 : low + 1]
            cells[low - 1 : low + 1] = [_NONE if _NONE in ends else " to ".join(ends)]
        rows.append((label, *cells))
    return Grid(table.title, heads, tuple(rows))


def _shown(value: Value) -> str:
    if value.value is None:
        return _NONE
    return f"{FEW_MARK if value.few else ''}{value.value:.{value.digits}f}"
