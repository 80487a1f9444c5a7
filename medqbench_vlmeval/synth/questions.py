"""Multiple-choice questions whose right answer is known because the degradation was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medqbench_vlmeval.synth.catalogue import Degradation
from medqbench_vlmeval.synth.wording import WORDING

NOTHING = "No visible degradation"
RATINGS = {"none": "Good", "mild": "Usable", "severe": "Reject"}
AMOUNTS = {"none": "None", "mild": "Mild", "severe": "Severe"}


@dataclass(frozen=True)
class Question:
    """``options`` in display order; ``right`` is the text of the right one."""

    text: str
    options: tuple[str, ...]
    right: str
    scope: str


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def yes_or_no(noun: str, present: bool, asked: Degradation, yes_first: bool) -> Question:
    """'Does this <noun> show <degradation>?' for a picture that has it (``present``) or not."""
    options = ("Yes", "No") if yes_first else ("No", "Yes")
    text = f"Does this {noun} show {WORDING[asked.key].asked}?"
    return Question(text, options, "Yes" if present else "No", asked.scope)


def is_degraded(noun: str, degraded: bool, yes_first: bool) -> Question:
    """'Is this <noun> free of visible degradation?'."""
    options = ("Yes", "No") if yes_first else ("No", "Yes")
    return Question(f"Is this {noun} free of visible degradation?", options, "No" if degraded else "Yes", "general")


def _arrange(right: str, others: Sequence[str], place: int) -> tuple[str, ...]:
    options = list(others)
    options.insert(place, right)
    return tuple(options)


def which(
    noun: str,
    present: Degradation | None,
    all_known: Sequence[Degradation],
    options: int,
    place: int,
    rng: np.random.Generator,
) -> Question:
    """'Which degradation is most prominent in this <noun>?' with the right answer at position ``place``.

    Distractors are other degradations of the same modality; 'No visible degradation' is among the options of
    every four-option question. ``options`` is 3 or 4.
    """
    others = [_title(d.name) for d in all_known if d is not present]
    drawn = [others[int(i)] for i in rng.permutation(len(others))]
    if present is None:
        right, wrong, scope = NOTHING, drawn[: options - 1], "general"
    else:
        right, wrong, scope = _title(present.name), drawn[: options - 1], present.scope
        if options == 4:
            wrong[int(rng.integers(3))] = NOTHING
    return Question(f"Which degradation is most prominent in this {noun}?", _arrange(right, wrong, place), right, scope)


def how_good(noun: str, severity: str, place: int, rng: np.random.Generator) -> Question:
    """'How would you rate the overall quality of this <noun>?' with Good, Usable and Reject."""
    right = RATINGS[severity]
    others = [text for text in RATINGS.values() if text != right]
    mixed = [others[int(i)] for i in rng.permutation(2)]
    text = f"How would you rate the overall quality of this {noun}?"
    return Question(text, _arrange(right, mixed, place), right, "general")


def how_severe(noun: str, severity: str, asked: Degradation, place: int, rng: np.random.Generator) -> Question:
    """'How severe is the <degradation> in this <noun>?' with None, Mild and Severe."""
    wording = WORDING[asked.key]
    right = AMOUNTS[severity]
    others = [text for text in AMOUNTS.values() if text != right]
    mixed = [others[int(i)] for i in rng.permutation(2)]
    text = f"How severe {'are' if wording.plural else 'is'} the {wording.amount} in this {noun}?"
    return Question(text, _arrange(right, mixed, place), right, asked.scope)
