"""The tables of a comparison of two passes, for the terminal and the workbook alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.report.runs import mapping, number, text, whole
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

PERCENT_DIGITS, MEAN_DIGITS, COUNT_DIGITS = 2, 3, 0

_PREFERENCES = {
    "consistent": "Same image in both orders",
    "first_place_twice": "First place in both orders",
    "second_place_twice": "Second place in both orders",
    "same_twice": "'Same' in both orders",
    "same_once": "'Same' in one order",
    "unread": "Unread in one order or both",
}
_AXES = {
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
        return [_accuracies(result), *_choice_groups(result), _letters(result)]
    return [_preferences(result), _quality(result), _places(result), *_preference_groups(result)]


def title_of(result: Mapping[str, Any]) -> str:
    """What is compared: 'M on D, 75 questions asked twice with the options in another order'."""
    questions = result["robustness_of"] == Task.PERCEPTION.value
    what = "questions asked twice, the options permuted" if questions else "pairs shown twice, the images swapped"
    return f"{text(result.get('model'))} on {text(result.get('dataset'))}: {result['n']} {what}"


def notes_of(result: Mapping[str, Any]) -> list[str]:
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
        tables.append(Table(f"By {_AXES.get(axis, axis)}", ("", *heads), tuple(rows)))
    return tables


def _letters(result: Mapping[str, Any]) -> Table:
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
    rows = tuple((label, _interval_row(shares.get(kind))) for kind, label in _PREFERENCES.items())
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
        tables.append(Table(f"By {_AXES.get(axis, axis)}", ("", *heads), tuple(rows)))
    return tables
