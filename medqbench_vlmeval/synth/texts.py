"""Questions whose right answer is known because the degradation was made, and reference texts: what a careful reader
would write about each degradation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from medqbench_vlmeval.benchmark import QUALITY_LEVELS
from medqbench_vlmeval.synth.catalogue import STRUCTURES, Degradation, Planned

NOTHING = "No visible degradation"
_LEVELS = dict(zip(("severe", "mild", "none"), QUALITY_LEVELS, strict=True))
_RATINGS = {"none": "Good", "mild": "Usable", "severe": "Reject"}
_AMOUNTS = {"none": "None", "mild": "Mild", "severe": "Severe"}
_RANK = {"none": 0, "mild": 1, "severe": 2}
_ADVERB = {"mild": "mildly", "severe": "severely"}
_WAYS: Mapping[str, Sequence[str]] = json.loads((files(__package__) / "wordings.json").read_text(encoding="utf-8"))

WORDINGS = 3
"""Different wordings of a question; of some kinds there are fewer."""


@dataclass(frozen=True)
class Question:
    """``options`` in display order; ``right`` is the text of the right one."""

    text: str
    options: tuple[str, ...]
    right: str
    scope: str = "general"


def _way(name: str, wording: int | np.random.Generator | None) -> str:
    """One of the wordings of that name: by its number, counted round; at random; else the first."""
    ways = _WAYS[name]
    at = wording if isinstance(wording, int) else 0 if wording is None else int(wording.integers(len(ways)))
    return ways[at % len(ways)]


def yes_or_no(noun: str, yes: bool, fault: Degradation | None, yes_first: bool, wording: int = 0) -> Question:
    """'Does this <noun> show <degradation>?', without ``fault`` 'Is this <noun> free of visible degradation?'."""
    text, scope = _way("is_free", wording).format(noun=noun), "general"
    if fault is not None:
        text, scope = _way("shows", wording).format(noun=noun, asked=fault.asked), fault.scope
    return Question(text, ("Yes", "No") if yes_first else ("No", "Yes"), "Yes" if yes else "No", scope)


def which(noun: str, present: Sequence[Degradation], options: tuple[str, ...], wording: int = 0) -> Question:
    """'Which degradation is most prominent in this <noun>?' with ``options`` that :func:`what_name` wrote; where one
    names two degradations, it asks which two there are. The right one names those that are ``present``."""
    name = "which_two" if any(_BOTH in option for option in options) else "which"
    specific = any(fault.scope != "general" for fault in present)
    scope = "modality-specific" if specific else "general"
    return Question(_way(name, wording).format(noun=noun), options, what_name(present), scope)


_BOTH = " together with "


def what_name(present: Sequence[Degradation]) -> str:
    """The option that names one degradation, two, the same in either order, or none."""
    return title(_BOTH.join(sorted(fault.name for fault in present))) if present else NOTHING


def how(noun: str, severity: str, fault: Degradation | None, order: Sequence[str], wording: int = 0) -> Question:
    """'How severe is the <degradation> in this <noun>?' with None, Mild and Severe. Without ``fault`` 'How would you
    rate the overall quality of this <noun>?' with Good, Usable and Reject. Options stand in the ``order`` of their
    severities."""
    text, scale, scope = _way("how_good", wording).format(noun=noun), _RATINGS, "general"
    if fault is not None:
        text, scale, scope = _way("how_severe", wording).format(noun=noun, amount=fault.amount), _AMOUNTS, fault.scope
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
        parts = [_way("free", rng).format(**words), f"{structures.clean}.", _way("detail", rng).format(**words)]
    else:
        seen = _way("seen", rng)
        signs = _signs(picture) if seen.startswith("{") else _inside(_signs(picture))
        effect = _way(f"effects_{picture.severity}", rng).format(**words)
        parts = [f"The {picture.source.noun} {_degraded(picture, rng)}.", seen.format(signs=signs)]
        parts.append(f"{effect}{_way('no_other', rng)}")
    return " ".join([*parts, f"{_way('last', rng)} the quality of this image is {_LEVELS[picture.severity]}."])


def _degraded(picture: Planned, rng: np.random.Generator | None) -> str:
    (fault, grade), *also = picture.put_on
    put_on = f"{_ADVERB[grade]} {_way('verbs', rng)} by {fault.name}"
    for second, other in also:
        put_on += f" and {'' if other == grade else f'{_ADVERB[other]} '}by {second.name}"
    return _way("degraded", rng).format(put_on=put_on)


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
    parts = [_way("scene", rng).format(**words)]
    for place, picture in (("first", first), ("second", second)):
        text, state = structures.clean, "is free of visible degradation"
        if picture.degradation is not None:
            text, state = _signs(picture), _degraded(picture, rng)
        parts.append(f"The {place} image {state}: {_inside(text)}.")
    last = f"{_way('last', rng)} the {words['better']} image is of higher quality."
    return " ".join([*parts, _way(f"difference_{abs(steps)}", rng).format(**words), last])
