"""Questions whose right answer is known because the degradation was made, and reference texts: what a careful reader
would write about each degradation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medqbench_vlmeval.benchmark import QUALITY_LEVELS
from medqbench_vlmeval.synth.catalogue import STRUCTURES, Degradation, Planned

NOTHING = "No visible degradation"
_LEVELS = dict(zip(("severe", "mild", "none"), QUALITY_LEVELS, strict=True))
_RATINGS = {"none": "Good", "mild": "Usable", "severe": "Reject"}
_AMOUNTS = {"none": "None", "mild": "Mild", "severe": "Severe"}
_RANK = {"none": 0, "mild": 1, "severe": 2}
_ADVERB = {"mild": "mildly", "severe": "severely"}


@dataclass(frozen=True)
class Question:
    """``options`` in display order; ``right`` is the text of the right one."""

    text: str
    options: tuple[str, ...]
    right: str
    scope: str = "general"


def yes_or_no(noun: str, yes: bool, fault: Degradation | None, yes_first: bool) -> Question:
    """'Does this <noun> show <degradation>?', without ``fault`` 'Is this <noun> free of visible degradation?'."""
    text, scope = f"Is this {noun} free of visible degradation?", "general"
    if fault is not None:
        text, scope = f"Does this {noun} show {fault.asked}?", fault.scope
    return Question(text, ("Yes", "No") if yes_first else ("No", "Yes"), "Yes" if yes else "No", scope)


def which(
    noun: str, present: Degradation | None, known: Sequence[Degradation], n: int, place: int, rng: np.random.Generator
) -> Question:
    """'Which degradation is most prominent in this <noun>?' with the right answer at position ``place``. Distractors
    are other degradations of the same modality; 'No visible degradation' is among the options of every four-option
    question. ``n`` is the number of options, 3 or 4."""
    others = [_title(d.name) for d in known if d is not present]
    wrong = [others[int(i)] for i in rng.permutation(len(others))][: n - 1]
    if present is not None and n == 4:
        wrong[int(rng.integers(3))] = NOTHING
    right, scope = (_title(present.name), present.scope) if present else (NOTHING, "general")
    options = (*wrong[:place], right, *wrong[place:])
    return Question(f"Which degradation is most prominent in this {noun}?", options, right, scope)


def how(noun: str, severity: str, fault: Degradation | None, place: int, rng: np.random.Generator) -> Question:
    """'How severe is the <degradation> in this <noun>?' with None, Mild and Severe. Without ``fault`` 'How would you
    rate the overall quality of this <noun>?' with Good, Usable and Reject. The right option is at ``place``, the others
    are in random order."""
    text, scale, scope = f"How would you rate the overall quality of this {noun}?", _RATINGS, "general"
    if fault is not None:
        text, scale, scope = f"How severe {fault.amount} in this {noun}?", _AMOUNTS, fault.scope
    others = [option for grade, option in scale.items() if grade != severity]
    options = [others[int(i)] for i in rng.permutation(2)]
    options.insert(place, scale[severity])
    return Question(text, tuple(options), scale[severity], scope)


def _title(text: str) -> str:
    return text[0].upper() + text[1:]


def describe(picture: Planned) -> str:
    """Four sentences on one picture that end with its quality level."""
    noun, structures = picture.source.noun, STRUCTURES[picture.source.modality]
    fine, coarse = structures.fine, structures.coarse
    last = f"Overall, the quality of this image is {_LEVELS[picture.severity]}."
    if picture.degradation is None:
        detail = f"Both {fine} and {coarse} can be assessed without restriction, and no artifact is present."
        return f"The {noun} shows no visible degradation. {structures.clean}. {detail} {last}"
    effect = f"This slightly impairs {fine}, while {coarse} can still be assessed"
    if picture.severity == "severe":
        verb = "are" if " and " in coarse or coarse.endswith("s") else "is"
        effect = f"As a result {fine} can no longer be assessed, and even {coarse} {verb} hard to judge"
    signs = picture.degradation.signs[picture.severity]
    return f"The {noun} {_degraded(picture)}. {signs}. {effect}; no other degradation stands out. {last}"


def _degraded(picture: Planned) -> str:
    return f"is {_ADVERB[picture.severity]} degraded by {picture.fault}"


def compare(first: Planned, second: Planned) -> str:
    """Four or five sentences on two pictures of one scene that end with the better one. ValueError where both have
    the same severity, so that neither is better."""
    steps = _RANK[second.severity] - _RANK[first.severity]
    if not steps:
        raise ValueError("a pair needs two different severities")
    better, worse = ("first", "second") if steps > 0 else ("second", "first")
    noun, structures = first.source.noun, STRUCTURES[first.source.modality]
    article = "an" if noun[0].lower() in "aeiou" or noun.startswith("MRI") else "a"
    difference = f"lies mainly in how well {structures.fine} can be seen, which is better in the {better} image"
    if abs(steps) > 1:
        difference = f"is large: in the {worse} image {structures.fine} and {structures.coarse} are hard to assess"
    parts = [f"Both images show the same scene, {article} {noun}."]
    for place, picture in (("first", first), ("second", second)):
        text, state = structures.clean, "is free of visible degradation"
        if picture.degradation is not None:
            text, state = picture.degradation.signs[picture.severity], _degraded(picture)
        parts.append(f"The {place} image {state}: {text[0].lower()}{text[1:]}.")
    return " ".join([*parts, f"The difference {difference}. Overall, the {better} image is of higher quality."])
