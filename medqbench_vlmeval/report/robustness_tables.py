"""Two passes of a model compared (circular evaluation), as tables for the terminal and the workbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from medqbench_vlmeval.data.second_pass import permutation_text
from medqbench_vlmeval.report.sample_tables import Read, add_rows, mark_entry, options_text
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.table import Column, Item, Kind, Table, columns, flat, table
from medqbench_vlmeval.report.text import LABELS
from medqbench_vlmeval.scoring.robustness import ChoicePair, PassComparison, PreferencePair, turned
from medqbench_vlmeval.types import FEW, Cell

_MARK = "NOT A RESULT of the benchmark: two passes compared"
_PREFERENCES = LABELS["preferences"]
# The heads of columns: 'Same image %'.
_SHORT = {name: f"{label.partition(' in ')[0]} %" for name, label in _PREFERENCES.items() if "'Same'" not in label}

_Pair = TypeVar("_Pair", ChoicePair, PreferencePair)
_CHOICES: Sequence[Read[ChoicePair]] = (
    (Column("question", width=50, wrap=True), lambda pair: pair.sample.question),
    (Column("options, first pass", width=36, wrap=True), lambda pair: options_text(pair.sample.options)),
    (Column("second:first"), lambda pair: permutation_text(pair.permutation)),
    (Column("right option"), lambda pair: _option(pair, pair.sample.answer)),
    (Column("first"), lambda pair: _option(pair, pair.first)),
    (Column("second"), lambda pair: _option(pair, pair.second_in_first)),
    (Column("first right"), lambda pair: mark_entry(pair.right[0])),
    (Column("second right"), lambda pair: mark_entry(pair.right[1])),
    (Column("same option"), lambda pair: mark_entry(pair.consistent)),
)
_PREFERENCES_OF_PAIRS: Sequence[Read[PreferencePair]] = (
    (Column("better image"), lambda pair: _text(pair.reference)),
    (Column("first"), lambda pair: _text(pair.first)),
    (Column("second, as in first order"), lambda pair: _text(turned(pair.second))),
    (Column("kind"), lambda pair: pair.kind.replace("_", " ")),
)


def robustness_tables(comparison: PassComparison) -> Iterator[Table | str]:
    """What a terminal shows: every table of a comparison of two passes, and what to beware of."""
    yield from _tables(comparison)
    yield from (f"! {note}" for note in _notes(comparison))
    yield ""


def write_robustness(path: Path, comparison: PassComparison) -> None:
    """Write ``{stem}_consistency.xlsx``, whole or not at all. Raises RunFailed where the file cannot be written."""
    book = Book(whole_text_in=path.with_suffix(".jsonl").name, mark=_MARK)
    sheet = book.add_fixed("Robustness")
    tables = list(_tables(comparison))
    sheet.title(tables[0].title)
    sheet.sentence(_MARK, "bad")
    for note in _notes(comparison):
        sheet.sentence(note)
    if any(flat(every, for_text=False).has_few for every in tables):
        sheet.append([f"Grey italics: fewer than {FEW} samples."], "faint")
    for place, every in enumerate(tables):
        sheet.append()
        sheet.add_table(every, titled=place > 0)
    sheet.finish()
    sheet = book.add_fixed("Pairs")
    if comparison.choices:
        add_rows(sheet, _reads(_CHOICES), comparison.choices)
    else:
        add_rows(sheet, _reads(_PREFERENCES_OF_PAIRS), comparison.preferences)
    sheet.finish(freeze="B2", repeat_row=1)
    book.save(path)


def _notes(comparison: PassComparison) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = list(comparison.notes)
    if unanswered := comparison.whole.n_unanswered.get("either"):
        notes.append(f"{unanswered} questions without an answer that could be read in one pass or both; not consistent")
    if (chance := comparison.consistency_of_chance) is not None:
        notes.append(f"answers drawn anew each time are the same in {chance:.2f}%, answers by the letter alone in none")
    if failed := comparison.n_inference_failed:
        notes.append(f"{failed} pairs with a failed inference are unread and have no quality accuracy")
    if unread := comparison.n_reference_unread:
        notes.append(f"{unread} pairs whose reference states no preference have no quality accuracy")
    return notes


def _tables(comparison: PassComparison) -> Iterator[Table]:
    """The tables of questions, or of pairs of images; the first is titled 'M on D: 75 questions asked twice, ...'."""
    whole = comparison.whole
    compared = f"{comparison.model} on {comparison.dataset}: {whole.n}"
    if comparison.task.is_choice:
        accuracies = {
            "Accuracy, first pass": whole.first,
            "Accuracy, second pass": whole.second,
            "Debiased accuracy (mean of both)": whole.debiased,
            "Second less first, points": whole.difference,
            "Right in both orders": whole.right_in_both,
            "Same option in both orders": whole.consistency,
        }
        yield _labelled(f"{compared} questions asked twice, the options permuted", ("", "%"), accuracies.items())
        yield from _group_tables(comparison)
        title = "By letter: how often it was chosen, and the accuracy where it was the right one"
        heads = columns("Letter", ("Offered", "count"), ("Chosen first %", "percent"), ("Chosen second %", "percent"))
        heads += columns(("Right option first", "count"), ("Right option second", "count"))
        letters = [
            (letter, use.n_offered, use.first.value, use.second.value, *use.n_right.values(), use.right)
            for letter, use in comparison.places.items()
        ]
        yield table(title, [*heads, Column("Accuracy there %", "percent", interval="95%", n="n")], letters)
    else:
        shares = [(label, whole.preferences[name]) for name, label in _PREFERENCES.items()]
        yield _labelled(f"{compared} pairs shown twice, the images swapped", ("Preferred", "%"), shares)
        means = {
            "First pass": whole.first,
            "Second pass": whole.second,
            "Debiased (mean of both)": whole.debiased,
            "Second less first": whole.difference,
        }
        title = "Quality accuracy (0-2) of stated conclusions, no judge"
        yield _labelled(title, ("", "Mean"), means.items(), "score")
        title = "By place: how often it was preferred, and the right answers where the better image was"
        heads = columns("Preferred", ("First pass %", "percent"), ("Second pass %", "percent"))
        places = [(label, comparison.places[name]) for name, label in LABELS["places"].items()]
        uses = [(label, use.first.value, use.second.value, use.right) for label, use in places]
        yield table(title, [*heads, Column("Right where better %", "percent", interval="95%", n="n")], uses)
        yield from _group_tables(comparison)


def _labelled(
    title: str, heads: tuple[str, str], cells: Iterable[tuple[str, Cell | None]], kind: Kind = "percent"
) -> Table:
    return table(title, (Column(heads[0]), Column(heads[1], kind, interval="95%", n="n")), cells)


def _group_tables(comparison: PassComparison) -> Iterator[Table]:
    perception = comparison.task.is_choice
    if perception:
        shares = columns(("First %", "percent"), ("Second %", "percent"))
        debiased = Column("Debiased %", "percent", interval="95%")
        behind = columns(("Right in both %", "percent"), ("Same option %", "percent"))
    else:
        shares = [Column(head, "percent") for head in _SHORT.values()]
        debiased, behind = Column("Debiased (0-2)", "score", interval="95%"), []
    for axis, groups in comparison.groups.items():
        rows = []
        for name, group in groups.items():
            before = [group.first, group.second] if perception else [group.preferences[kind] for kind in _SHORT]
            after = [group.right_in_both, group.consistency] if perception else []
            # The debiased number alone is marked where it rests on few samples.
            first, last = ([None if cell is None else cell.value for cell in cells] for cells in (before, after))
            rows.append((name, Item(group.n, few=group.n < FEW), *first, group.debiased, *last))
        yield table(f"By {axis.replace('_', ' ')}", (*columns("", ("n", "count")), *shares, debiased, *behind), rows)


def _reads(reads: Sequence[Read[_Pair]]) -> list[Read[_Pair]]:
    """The columns of one kind of pairs between those that both have."""

    def axis(name: str) -> Read[_Pair]:
        return Column(name.replace("_", " "), optional=1), lambda pair: getattr(pair.sample, name)

    return [
        (Column("index"), lambda pair: pair.sample.index),
        *map(axis, ("modality", "question_type", "difficulty", "severity")),
        *reads,
        (Column("first reply", width=60, wrap=True), lambda pair: pair.replies[0]),
        (Column("second reply", width=60, wrap=True), lambda pair: pair.replies[1]),
    ]


def _option(pair: ChoicePair, letter: str | None) -> str | None:
    return pair.sample.options.get(letter or "")


def _text(preference: int | str | None) -> str | None:
    return None if preference is None else str(preference)
