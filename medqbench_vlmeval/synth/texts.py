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

# Ways to ask and to write the same. The first of each is the embedded set's.
_SHOWS = (
    "Does this {noun} show {asked}?",
    "Can {asked} be seen in this {noun}?",
    "Is there evidence of {asked} in this {noun}?",
)
_IS_FREE = ("Is this {noun} free of visible degradation?", "Is this {noun} without any visible degradation?")
_WHICH = (
    "Which degradation is most prominent in this {noun}?",
    "What is the main quality problem of this {noun}?",
    "What degrades the quality of this {noun} most?",
)
_WHICH_TWO = ("Which two degradations does this {noun} show?", "What are the two quality problems of this {noun}?")
_HOW_GOOD = (
    "How would you rate the overall quality of this {noun}?",
    "How good is the overall quality of this {noun}?",
    "How do you judge the diagnostic quality of this {noun}?",
)
_HOW_SEVERE = (
    "How severe {amount} in this {noun}?",
    "How strong {amount} in this {noun}?",
    "How pronounced {amount} in this {noun}?",
)
WORDINGS = 3
"""Different wordings of a question; fewer where there are not so many of its kind."""

_FREE = (
    "The {noun} shows no visible degradation.",
    "No visible degradation can be found in the {noun}.",
    "The {noun} is free of visible degradation.",
    "The {noun} is without any visible degradation.",
)
_DETAIL = (
    "Both {fine} and {coarse} can be assessed without restriction, and no artifact is present.",
    "No artifact is present, and both {fine} and {coarse} can be assessed without restriction.",
    "Nothing limits the assessment of {fine} or of {coarse}, and no artifact is present.",
    "One can judge {fine} as well as {coarse} with full confidence, and no artifact is present.",
)
_DEGRADED = ("is {put_on}", "has been {put_on}", "is, as one sees, {put_on}", "is, on reading, {put_on}")
_VERBS = ("degraded", "affected", "impaired")
_SEEN = ("{signs}.", "In detail: {signs}.", "What one sees: {signs}.", "The signs are plain: {signs}.")
_EFFECTS = {
    "mild": (
        "This slightly impairs {fine}, while {coarse} can still be assessed",
        "The assessment of {fine} is slightly limited by it, that of {coarse} is still possible",
        "One loses a little of {fine} to it, but {coarse} can still be assessed",
        "It costs a little of {fine}, yet the reading of {coarse} is still possible",
    ),
    "severe": (
        "As a result {fine} can no longer be assessed, and even {coarse} {verb} hard to judge",
        "The assessment of {fine} is no longer possible, and even that of {coarse} is hard",
        "This makes it impossible to assess {fine}, and hard to judge even {coarse}",
        "One can no longer assess {fine} because of it, and hardly judge {coarse}",
    ),
}
_NO_OTHER = (
    "; no other degradation stands out.",
    "; no further degradation stands out.",
    ". No other degradation stands out.",
)
_LAST = ("Overall,", "Taken together,", "In conclusion,", "All in all,", "In sum,")
_SCENE = (
    "Both images show the same scene, {article} {noun}.",
    "The two images are of one scene, {article} {noun}.",
    "One and the same scene, {article} {noun}, is shown by both images.",
)
_DIFFERENCE = {
    1: (
        "The difference lies mainly in how well {fine} can be seen, which is better in the {better} image.",
        "What differs is mainly how well {fine} can be seen, and that is better in the {better} image.",
        "The two differ mainly in how well {fine} can be seen, which is better in the {better} image.",
    ),
    2: (
        "The difference is large: in the {worse} image {fine} and {coarse} are hard to assess.",
        "The two are far apart: in the {worse} image {fine} and {coarse} are hard to assess.",
        "The difference is plain, as in the {worse} image {fine} and {coarse} are hard to assess.",
    ),
}


@dataclass(frozen=True)
class Question:
    """``options`` in display order; ``right`` is the text of the right one."""

    text: str
    options: tuple[str, ...]
    right: str
    scope: str = "general"


def _way(ways: Sequence[str], wording: int | np.random.Generator | None) -> str:
    """The way of that number, counted round; one at random; without a wording the first."""
    at = wording if isinstance(wording, int) else 0 if wording is None else int(wording.integers(len(ways)))
    return ways[at % len(ways)]


def yes_or_no(noun: str, yes: bool, fault: Degradation | None, yes_first: bool, wording: int = 0) -> Question:
    """'Does this <noun> show <degradation>?', without ``fault`` 'Is this <noun> free of visible degradation?'."""
    text, scope = _way(_IS_FREE, wording).format(noun=noun), "general"
    if fault is not None:
        text, scope = _way(_SHOWS, wording).format(noun=noun, asked=fault.asked), fault.scope
    return Question(text, ("Yes", "No") if yes_first else ("No", "Yes"), "Yes" if yes else "No", scope)


def which(
    noun: str, present: Degradation | None, known: Sequence[Degradation], n: int, place: int, rng: np.random.Generator
) -> Question:
    """'Which degradation is most prominent in this <noun>?' with the right answer at position ``place``. Distractors
    are other degradations of the same modality; 'No visible degradation' is among the options of every four-option
    question. ``n`` is the number of options, 3 or 4."""
    others = [title(d.name) for d in known if d is not present]
    wrong = [others[int(i)] for i in rng.permutation(len(others))][: n - 1]
    if present is not None and n == 4:
        wrong[int(rng.integers(3))] = NOTHING
    right = title(present.name) if present else NOTHING
    return which_of(noun, (present,) if present else (), (*wrong[:place], right, *wrong[place:]))


def which_of(noun: str, present: Sequence[Degradation], options: tuple[str, ...], wording: int = 0) -> Question:
    """The same question with given ``options``, which :func:`what_name` wrote; where one names two degradations, it
    asks which two there are. The right one names those that are ``present``."""
    ways, right = _WHICH_TWO if any(_BOTH in option for option in options) else _WHICH, what_name(present)
    specific = any(fault.scope != "general" for fault in present)
    scope = "modality-specific" if specific else "general"
    return Question(_way(ways, wording).format(noun=noun), options, right, scope)


_BOTH = " together with "


def what_name(present: Sequence[Degradation]) -> str:
    """The option that names one degradation, two, the same in either order, or none."""
    return title(_BOTH.join(sorted(fault.name for fault in present))) if present else NOTHING


def how(noun: str, severity: str, fault: Degradation | None, place: int, rng: np.random.Generator) -> Question:
    """'How severe is the <degradation> in this <noun>?' with None, Mild and Severe. Without ``fault`` 'How would you
    rate the overall quality of this <noun>?' with Good, Usable and Reject. The right option is at ``place``, the others
    are in random order."""
    others = [grade for grade in _RANK if grade != severity]
    order = [others[int(i)] for i in rng.permutation(2)]
    order.insert(place, severity)
    return how_of(noun, severity, fault, order)


def how_of(noun: str, severity: str, fault: Degradation | None, order: Sequence[str], wording: int = 0) -> Question:
    """The same question with its options in the ``order`` of their severities."""
    text, scale, scope = _way(_HOW_GOOD, wording).format(noun=noun), _RATINGS, "general"
    if fault is not None:
        text, scale, scope = _way(_HOW_SEVERE, wording).format(noun=noun, amount=fault.amount), _AMOUNTS, fault.scope
    return Question(text, tuple(scale[grade] for grade in order), scale[severity], scope)


def title(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def _inside(text: str) -> str:
    """A sentence's text as it stands inside another one: an abbreviation keeps its capitals."""
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def describe(picture: Planned, rng: np.random.Generator | None = None) -> str:
    """Three to five sentences on one picture that end with its quality level; ``rng`` chooses among hundreds of
    wordings, without it there is one."""
    structures = STRUCTURES[picture.source.modality]
    coarse = structures.coarse
    words = {"noun": picture.source.noun, "fine": structures.fine, "coarse": coarse}
    words["verb"] = "are" if " and " in coarse or coarse.endswith("s") else "is"
    if picture.degradation is None:
        parts = [_way(_FREE, rng).format(**words), f"{structures.clean}.", _way(_DETAIL, rng).format(**words)]
    else:
        seen = _way(_SEEN, rng)
        signs = _signs(picture) if seen.startswith("{") else _inside(_signs(picture))
        effect = _way(_EFFECTS[picture.severity], rng).format(**words)
        parts = [f"The {picture.source.noun} {_degraded(picture, rng)}.", seen.format(signs=signs)]
        parts.append(f"{effect}{_way(_NO_OTHER, rng)}")
    return " ".join([*parts, f"{_way(_LAST, rng)} the quality of this image is {_LEVELS[picture.severity]}."])


def _degraded(picture: Planned, rng: np.random.Generator | None) -> str:
    (fault, grade), *also = picture.put_on
    put_on = f"{_ADVERB[grade]} {_way(_VERBS, rng)} by {fault.name}"
    for second, other in also:
        put_on += f" and {'' if other == grade else f'{_ADVERB[other]} '}by {second.name}"
    return _way(_DEGRADED, rng).format(put_on=put_on)


def _signs(picture: Planned) -> str:
    first, *also = (fault.signs[grade] for fault, grade in picture.put_on)
    return "; ".join([first, *map(_inside, also)])


def compare(first: Planned, second: Planned, rng: np.random.Generator | None = None) -> str:
    """Four or five sentences on two pictures of one scene that end with the better one; ``rng`` chooses the wording.
    ValueError where both have the same severity, so that neither is better."""
    steps = _RANK[second.severity] - _RANK[first.severity]
    if not steps:
        raise ValueError("a pair needs two different severities")
    noun, structures = first.source.noun, STRUCTURES[first.source.modality]
    words = {"noun": noun, "fine": structures.fine, "coarse": structures.coarse}
    words["article"] = "an" if noun[0].lower() in "aeiou" or noun.startswith(("MR", "X-")) else "a"
    words["better"], words["worse"] = ("first", "second") if steps > 0 else ("second", "first")
    parts = [_way(_SCENE, rng).format(**words)]
    for place, picture in (("first", first), ("second", second)):
        text, state = structures.clean, "is free of visible degradation"
        if picture.degradation is not None:
            text, state = _signs(picture), _degraded(picture, rng)
        parts.append(f"The {place} image {state}: {_inside(text)}.")
    last = f"{_way(_LAST, rng)} the {words['better']} image is of higher quality."
    return " ".join([*parts, _way(_DIFFERENCE[abs(steps)], rng).format(**words), last])
