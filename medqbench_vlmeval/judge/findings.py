"""What a description says of an image's quality attributes: a profile of findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.judge import lexicon
from medqbench_vlmeval.judge.plain import sentences
from medqbench_vlmeval.judge.references import image_references

_LEFT = 60
_RIGHT = 60
_CLAUSE_END = re.compile(r"[,;:.()]|\b(?:but|however|while|whereas|although|though|and|with)\b", re.IGNORECASE)
_IN_IMAGE = re.compile(r"^\W{0,2}(?:[a-z]+ ){0,3}(?:in|of|within|on) (?:the )?$", re.IGNORECASE)
_OBJECT = re.compile(
    r"\b(?:than|compared (?:to|with)|relative to|unlike|versus|vs\.?)\s(?:the\s|that of\s|in\s|that in\s)*$", re.I
)
_ABSENCE = re.compile(lexicon.ABSENCE, re.IGNORECASE)
_NEGATION = re.compile(lexicon.NEGATION, re.IGNORECASE)
_LESS = re.compile(rf"{lexicon.LESS}(?: [a-z]+){{0,1}} $", re.IGNORECASE)
_BREAK = re.compile(lexicon.BREAK, re.IGNORECASE)
_TURN = re.compile(r"\b(?:but|however|though|although|yet|and|while|whereas)\b|[,;:.]", re.IGNORECASE)
_ABSENT_BEHIND = re.compile(lexicon.ABSENT_BEHIND, re.IGNORECASE)
_QUALITY_WORD = re.compile(rf"\b(?:(?P<bad>{lexicon.BAD_WORDS})|(?P<good>{lexicon.GOOD_WORDS}))\b", re.IGNORECASE)
_STRENGTHS = tuple((weight, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for weight, words in lexicon.STRENGTHS)
# Without a side these say nothing: every description speaks of structures.
_NEEDS_SIDE = frozenset({"structures"})

Key = tuple[str, int | None]


@dataclass(frozen=True)
class Finding:
    """What is said of one attribute: the sides named ('good', 'bad'; none where only the noun fell) and how
    strong the bad side is (1 mild, 2 moderate or unsaid, 3 severe; 0 for none)."""

    sides: frozenset[str]
    strength: int


def findings(text: str, comparative: bool) -> Mapping[Key, Finding]:
    """The findings of a description by attribute and image (1 or 2 in a comparison where it is told, else None)."""
    found: dict[Key, Finding] = {}
    for sentence in sentences(text):
        references = image_references(sentence) if comparative else []
        for attribute, side, strength, start, end in _mentions(sentence):
            key = (attribute, _image_of(sentence, references, start, end))
            before = found.get(key, Finding(frozenset(), 0))
            sides = before.sides | ({side} if side else set())
            found[key] = Finding(frozenset(sides), max(before.strength, strength))
    return found


@lru_cache(maxsize=1)
def _attributes() -> re.Pattern[str]:
    return lexicon.attribute_pattern()


def _mentions(sentence: str) -> Iterator[tuple[str, str | None, int, int, int]]:
    """Mentions of attributes: (name, side, strength, start, end)."""
    for match in _attributes().finditer(sentence):
        group = str(match.lastgroup)
        side = group.rstrip("0123456789")
        name = lexicon.ATTRIBUTES[int(group.removeprefix(side))].name
        before, after = (
            sentence[max(0, match.start() - _LEFT) : match.start()],
            sentence[match.end() : match.end() + _RIGHT],
        )
        said = _side_of_neutral(before, after) if side == "neutral" else side
        if said is None:
            if name not in _NEEDS_SIDE:
                yield name, None, 0, match.start(), match.end()
            continue
        if _is_absent(before, after, side) or (side != "neutral" and _LESS.search(before)):
            said = "good" if said == "bad" else "bad"
        strength = _strength(before, after) if said == "bad" else 0
        yield name, said, strength, match.start(), match.end()


def _side_of_neutral(before: str, after: str) -> str | None:
    """The side that the nearest quality word of the clause gives to a neutral noun; a word in front wins a tie."""
    left = _last_clause(before)
    right = _CLAUSE_END.split(after, maxsplit=1)[0]
    words = [(len(left) - match.end(), match) for match in _QUALITY_WORD.finditer(left)]
    words += [(match.start() + 1, match) for match in _QUALITY_WORD.finditer(right)]
    if not words:
        absent = _ABSENCE.search(left)
        return "good" if absent else None
    return "bad" if min(words, key=lambda word: word[0])[1]["bad"] else "good"


def _is_absent(before: str, after: str, side: str) -> bool:
    """Whether words around a mention take it back."""
    absences = list(_ABSENCE.finditer(before))
    # 'no noise, blur or rings' is a list; 'no noise, sharp' and 'no noise, contrast is low' say something new.
    reach = _BREAK if side == "bad" else _TURN
    if absences and not reach.search(before[absences[-1].end() :]):
        return True
    negations = list(_NEGATION.finditer(before))
    if negations and not _TURN.search(before[negations[-1].end() :]):
        return True
    if side != "neutral":
        return bool(_ABSENT_BEHIND.match(after))
    negation = _NEGATION.search(_CLAUSE_END.split(after, maxsplit=1)[0])
    return negation is not None and bool(_QUALITY_WORD.search(after[negation.end() :]))


def _strength(before: str, after: str) -> int:
    """The weight of the nearest strength word of the clause."""
    left, right = _last_clause(before), _CLAUSE_END.split(after, maxsplit=1)[0]
    near = [(len(left) - match.end(), weight) for weight, words in _STRENGTHS for match in words.finditer(left)]
    near += [(match.start() + 2, weight) for weight, words in _STRENGTHS for match in words.finditer(right)]
    return min(near)[1] if near else lexicon.DEFAULT_STRENGTH


def _last_clause(text: str) -> str:
    ends = list(_CLAUSE_END.finditer(text))
    return text[ends[-1].end() :] if ends else text


def _image_of(sentence: str, references: list[tuple[int, int, int]], start: int, end: int) -> int | None:
    """The image a mention belongs to: 'in image 2' right behind it, else the last subject before it."""
    for at, _, image in references:
        if at >= end and _IN_IMAGE.match(sentence[end:at]):
            return image
    for at, _, image in reversed(references):
        if at < start and not _OBJECT.search(sentence[:at]):
            return image
    return None
