"""Two passes of a model compared (circular evaluation), as tables for the terminal and the workbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.second_pass import permutation_text
from medqbench_vlmeval.report.sample_tables import Read, add_rows, mark_entry, options_text
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import Column, Entry, Item, Row, Table, flat
from medqbench_vlmeval.report.terminal import own_console, print_line, print_table
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.scoring.robustness import (
    CONSISTENT,
    POSITION,
    SAME_ONCE,
    SAME_TWICE,
    UNREAD,
    ChoicePair,
    PassComparison,
    PassGroup,
    PreferencePair,
    turned,
)
from medqbench_vlmeval.types import Cell

if TYPE_CHECKING:
    from rich.console import Console

ROBUSTNESS, PAIRS = "Robustness", "Pairs"
MARK = "NOT A RESULT of the benchmark: two passes compared"

_PREFERENCES = {
    CONSISTENT: "Same image in both orders",
    POSITION[1]: "First place in both orders",
    POSITION[2]: "Second place in both orders",
    SAME_TWICE: "'Same' in both orders",
    SAME_ONCE: "'Same' in one order",
    UNREAD: "Unread in one order or both",
}
_SHORT_PREFERENCES = {
    CONSISTENT: "Same image %",
    POSITION[1]: "First place %",
    POSITION[2]: "Second place %",
    UNREAD: "Unread %",
}
_PLACES = {"first": "First image", "second": "Second image", "same": "'Same'", UNREAD: "Unread"}
_AXES = {"question_type": "question type"}
_LABEL, _COLUMNS = 36, 10

_Pair = TypeVar("_Pair", ChoicePair, PreferencePair)


def robustness_tables(comparison: PassComparison, console: Console | None = None) -> None:
    """Print every table of a comparison of two passes, and what to beware of."""
    console = console or own_console()
    for table in _tables(comparison):
        print_table(table, console)
    for note in _notes(comparison):
        print_line(f"! {note}", console, "yellow")
    print_line("", console)


def write_robustness(path: Path, comparison: PassComparison) -> None:
    """Write ``{stem}_consistency.xlsx``, whole or not at all.

    Raises:
        RunFailed: the file cannot be written.
    """
    book = Book(whole_text_in=path.with_suffix(".jsonl").name, mark=MARK)
    sheet = book.add_fixed(ROBUSTNESS)
    sheet.widths((_LABEL, *[13] * _COLUMNS))
    sheet.title(_title(comparison))
    sheet.banner(MARK, "bad", _COLUMNS)
    for note in _notes(comparison):
        sheet.append([note])
    tables = list(_tables(comparison))
    if any(flat(table, for_text=False).has_few for table in tables):
        sheet.append([f"Grey italics: fewer than {FEW} samples."], "faint")
    for place, table in enumerate(tables):
        sheet.append()
        sheet.add_table(table, titled=place > 0)
    sheet.finish()
    sheet = book.add_fixed(PAIRS)
    if comparison.choices:
        add_rows(sheet, _columns(_CHOICES), comparison.choices)
    else:
        add_rows(sheet, _columns(_PREFERENCES_OF_PAIRS), comparison.preferences)
    sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _title(comparison: PassComparison) -> str:
    """What is compared: 'M on D: 75 questions asked twice, the options permuted'."""
    questions = comparison.task is Task.PERCEPTION
    what = "questions asked twice, the options permuted" if questions else "pairs shown twice, the images swapped"
    return f"{comparison.model} on {comparison.dataset}: {comparison.scores.whole.n} {what}"


def _notes(comparison: PassComparison) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    scores, notes = comparison.scores, list(comparison.notes)
    if unanswered := scores.whole.n_unanswered.get("either"):
        notes.append(f"{unanswered} questions without an answer that could be read in one pass or both; not consistent")
    if (chance := scores.consistency_of_chance) is not None:
        notes.append(f"answers drawn anew each time are the same in {chance:.2f}%, answers by the letter alone in none")
    if failed := scores.n_inference_failed:
        notes.append(f"{failed} pairs with a failed inference are unread and have no quality accuracy")
    if unread := scores.n_reference_unread:
        notes.append(f"{unread} pairs whose reference states no preference have no quality accuracy")
    return notes


def _tables(comparison: PassComparison) -> Iterator[Table]:
    if comparison.task is Task.PERCEPTION:
        yield _accuracies(comparison)
        yield from _group_tables(comparison)
        yield _letters(comparison)
    else:
        yield _preferences(comparison)
        yield _quality_accuracy(comparison.scores.whole)
        yield _places(comparison)
        yield from _group_tables(comparison)


def _accuracies(comparison: PassComparison) -> Table:
    whole = comparison.scores.whole
    cells = {
        "Accuracy, first pass": whole.first,
        "Accuracy, second pass": whole.second,
        "Debiased accuracy (mean of both)": whole.debiased,
        "Second less first, points": whole.difference,
        "Right in both orders": whole.right_in_both,
        "Same option in both orders": whole.consistency,
    }
    return _labelled(_title(comparison), "", "%", cells.items())


def _preferences(comparison: PassComparison) -> Table:
    shares = comparison.scores.whole.preferences
    cells = [(label, shares[name]) for name, label in _PREFERENCES.items()]
    return _labelled(_title(comparison), "Preferred", "%", cells)


def _quality_accuracy(whole: PassGroup) -> Table:
    cells = {
        "First pass": whole.first,
        "Second pass": whole.second,
        "Debiased (mean of both)": whole.debiased,
        "Second less first": whole.difference,
    }
    return _labelled("Quality accuracy (0-2) of stated conclusions, no judge", "", "Mean", cells.items())


def _labelled(title: str, head: str, value: str, cells: Iterable[tuple[str, Cell | None]]) -> Table:
    columns = (Column(head), Column(value, "percent" if value == "%" else "score", interval="95%", n="n"))
    return Table(title, columns, [Row(line) for line in cells])


def _letters(comparison: PassComparison) -> Table:
    columns = (
        Column("Letter"),
        Column("Offered", "count"),
        Column("Chosen first %", "percent"),
        Column("Chosen second %", "percent"),
        Column("Right option first", "count"),
        Column("Right option second", "count"),
        Column("Accuracy there %", "percent", interval="95%", n="n"),
    )
    rows = [
        Row((letter, use.n_offered, use.first.value, use.second.value, *use.n_right.values(), use.right))
        for letter, use in comparison.scores.places.items()
    ]
    return Table("By letter: how often it was chosen, and the accuracy where it was the right one", columns, rows)


def _places(comparison: PassComparison) -> Table:
    columns = (
        Column("Preferred"),
        Column("First pass %", "percent"),
        Column("Second pass %", "percent"),
        Column("Right where better %", "percent", interval="95%", n="n"),
    )
    uses = [(label, comparison.scores.places[name]) for name, label in _PLACES.items()]
    rows = [Row((label, use.first.value, use.second.value, use.right)) for label, use in uses]
    return Table(
        "By place: how often it was preferred, and the right answers where the better image was", columns, rows
    )


def _group_tables(comparison: PassComparison) -> Iterator[Table]:
    if comparison.task is Task.PERCEPTION:
        shares = [Column(head, "percent") for head in ("First %", "Second %")]
        debiased = [Column("Debiased %", "percent", interval="95%")]
        behind = [Column(head, "percent") for head in ("Right in both %", "Same option %")]
    else:
        shares = [Column(head, "percent") for head in _SHORT_PREFERENCES.values()]
        debiased, behind = [Column("Debiased (0-2)", "score", interval="95%")], []
    for axis, groups in comparison.scores.groups.items():
        rows = [Row((name, Item(group.n, few=group.n < FEW), *_group_entries(group))) for name, group in groups.items()]
        columns = (Column(""), Column("n", "count"), *shares, *debiased, *behind)
        yield Table(f"By {_AXES.get(axis, axis)}", columns, rows)


def _group_entries(group: PassGroup) -> tuple[Entry, ...]:
    """A group's numbers; the debiased one alone is marked where it rests on few samples."""
    if group.consistency is None:
        return (*(group.preferences[name].value for name in _SHORT_PREFERENCES), group.debiased)
    first, second, right, same = (
        cell.value for cell in (group.first, group.second, group.right_in_both, group.consistency)
    )
    return (first, second, group.debiased, right, same)


def _columns(reads: Sequence[Read[_Pair]]) -> list[Read[_Pair]]:
    """The columns of one kind of pairs between those that both have."""

    def axis(name: str, width: float) -> Read[_Pair]:
        return Column(_AXES.get(name, name), optional=1, width=width), lambda one: getattr(one.sample, name)

    return [
        (Column("index", width=20), lambda one: one.sample.index),
        axis("modality", 15),
        axis("question_type", 13),
        axis("difficulty", 15),
        axis("severity", 11),
        *reads,
        (Column("first reply", width=60, wrap=True), lambda one: one.replies[0]),
        (Column("second reply", width=60, wrap=True), lambda one: one.replies[1]),
    ]


def _option(pair: ChoicePair, letter: str | None) -> str | None:
    return pair.sample.options.get(letter or "")


_CHOICES: Sequence[Read[ChoicePair]] = (
    (Column("question", width=50, wrap=True), lambda one: one.sample.question),
    (Column("options, first pass", width=36, wrap=True), lambda one: options_text(dict(one.sample.options))),
    (Column("second:first", width=17), lambda one: permutation_text(one.permutation)),
    (Column("right option", width=28), lambda one: _option(one, one.sample.answer)),
    (Column("first", width=28), lambda one: _option(one, one.first)),
    (Column("second", width=28), lambda one: _option(one, one.second_in_first)),
    (Column("first right", width=9), lambda one: mark_entry(one.right[0])),
    (Column("second right", width=9), lambda one: mark_entry(one.right[1])),
    (Column("same option", width=9), lambda one: mark_entry(one.consistent)),
)
_PREFERENCES_OF_PAIRS: Sequence[Read[PreferencePair]] = (
    (Column("better image", width=9), lambda one: _text(one.reference)),
    (Column("first", width=9), lambda one: _text(one.first)),
    (Column("second, as in first order", width=12), lambda one: _text(turned(one.second))),
    (Column("kind", width=20), lambda one: one.kind.replace("_", " ")),
)


def _text(preference: int | str | None) -> str | None:
    return None if preference is None else str(preference)
