"""Quality attributes of medical images and how free text speaks of them. Each attribute has words for its bad side
('noisy'), its good side ('sharp') and neutral nouns ('contrast'), which take their side from a quality word nearby
('poor contrast'). The attributes follow the degradations that the benchmark names for its five modalities."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medqbench_vlmeval.answers.conclusion import image_references
from medqbench_vlmeval.answers.plain import any_of, description_sentences, ends_of


@dataclass(frozen=True)
class Attribute:
    """Word patterns of one attribute; an empty pattern matches nothing."""

    name: str
    bad: str = ""
    good: str = ""
    neutral: str = ""


# How an attribute's words may go on: 'motion artifacts', where its pattern has ' ARTIFACT'.
_ARTIFACT = r"(?:[ -](?:artef|artif)acts?)?"
_WORDS = json.loads(Path(__file__).with_name("attributes.json").read_text(encoding="utf-8"))


def _pattern(words: list[str]) -> str:
    return "|".join(words).replace(" ARTIFACT", _ARTIFACT)


# Longer and more special expressions first: 'motion blur' is motion, 'ringing' no ring. The folds of a bowel are
# anatomy: 'mucosal folds'.
ATTRIBUTES = tuple(
    Attribute(row["name"], *(_pattern(row.get(side, [])) for side in ("bad", "good", "neutral")))
    for row in _WORDS["attributes"]
)
GOOD_WORDS, BAD_WORDS = _pattern(_WORDS["good words"]), _pattern(_WORDS["bad words"])
# Absence, in front of a word: 'no', 'free of'. What is negligible is as good as absent.
_ABSENCE = re.compile(rf"(?i)\b(?:{any_of('attributes absence')})\b")
_NEGATION = re.compile(r"(?i)\b(?:not|never|isn't|aren't|doesn't|don't|hardly|barely)\b(?! only)")
_LESS = re.compile(r"(?i)\b(?:less|fewer|lower|reduced|weaker|smaller|decreased)\b(?: [a-z]+){0,1} $")
_ABSENT_BEHIND = re.compile(
    r"(?i)^\W{0,3}(?:(?:artef|artif)acts? |levels? |effects? )?(?:is|are|was|were|remains?|appears?|seems?|being)? ?"
    rf"(?:largely |mostly |entirely |completely |well |virtually )?(?:{any_of('attributes absent behind')})\b"
    r"|^[ -]free\b|^ (?:levels? )?(?:is|are|remains?) (?:very )?low\b"
)
# What ends the reach of an absence: a verb or a turn of the sentence.
_BREAK = re.compile(rf"(?i)\b(?:{any_of('attributes break')})\b|[;:.]")
_TURN = re.compile(r"(?i)\b(?:but|however|though|although|yet|and|while|whereas)\b|[,;:.]")
_CLAUSE_END = re.compile(r"(?i)[,;:.()]|\b(?:but|however|while|whereas|although|though|and|with)\b")
_IN_IMAGE = re.compile(r"(?i)^\W{0,2}(?:[a-z]+ ){0,3}(?:in|of|within|on) (?:the )?$")
_OBJECT = re.compile(
    r"(?i)\b(?:than|compared (?:to|with)|relative to|unlike|versus|vs\.?)\s(?:the\s|that of\s|in\s|that in\s)*$"
)
_QUALITY_WORD = re.compile(rf"(?i)\b(?:(?P<bad>{BAD_WORDS})|(?P<good>{GOOD_WORDS}))\b")
# How much a degradation weighs: the burden that decides whether description and conclusion fit.
_STRENGTH_WORDS = [
    (weight, re.compile(rf"(?i)\b(?:{any_of(f'attributes strength {weight}')})\b")) for weight in (3, 1, 2)
]
_DEFAULT_STRENGTH = 2
_NEEDS_SIDE = "structures"  # Without a side it says nothing: every description speaks of structures.
_REACH = 60

Key = tuple[str, int | None]


@dataclass(frozen=True)
class Finding:
    """What is said of one attribute. ``sides`` are those named ('good', 'bad'; none where only the noun fell),
    ``strength`` is that of the bad side (1 mild, 2 moderate or unsaid, 3 severe; 0 for none)."""

    sides: frozenset[str]
    strength: int


def findings(text: str, comparative: bool) -> Mapping[Key, Finding]:
    """The findings of a description by attribute and image (1 or 2 in a comparison where it is told, else None)."""
    profile: dict[Key, Finding] = {}
    for sentence in description_sentences(ends_of(text)):
        references = image_references(sentence) if comparative else []
        for attribute, side, strength, match in _mentions(sentence):
            key = (attribute, _image_of(sentence, references, match.start(), match.end()))
            before = profile.get(key, Finding(frozenset(), 0))
            profile[key] = Finding(before.sides | ({side} if side else set()), max(before.strength, strength))
    return profile


@lru_cache(maxsize=1)
def _attributes() -> re.Pattern[str]:
    """One pattern for all attributes; the group's name is side and position ('bad3')."""
    alternatives = [
        rf"(?P<{side}{position}>\b(?:{words})\b)"
        for position, attribute in enumerate(ATTRIBUTES)
        for side in ("good", "bad", "neutral")
        if (words := getattr(attribute, side))
    ]
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _mentions(sentence: str) -> Iterator[tuple[str, str | None, int, re.Match[str]]]:
    """Mentions of attributes: (name, side, strength, match)."""
    for match in _attributes().finditer(sentence):
        group = str(match.lastgroup)
        word_side = group.rstrip("0123456789")
        name = ATTRIBUTES[int(group.removeprefix(word_side))].name
        before, after = sentence[max(0, match.start() - _REACH) : match.start()], sentence[match.end() :][:_REACH]
        # The words of the same clause.
        left = before[max((end.end() for end in _CLAUSE_END.finditer(before)), default=0) :]
        right = _CLAUSE_END.split(after, maxsplit=1)[0]
        side = _side_of_neutral(left, right) if word_side == "neutral" else word_side
        if side is None:
            if name != _NEEDS_SIDE:
                yield name, None, 0, match
            continue
        if _is_absent(before, after, word_side) or (word_side != "neutral" and _LESS.search(before)):
            side = "good" if side == "bad" else "bad"
        yield name, side, _strength(left, right) if side == "bad" else 0, match


def _side_of_neutral(left: str, right: str) -> str | None:
    """The side that the nearest quality word of the clause gives to a neutral noun; a word in front wins a tie."""
    words = [(len(left) - word.end(), word) for word in _QUALITY_WORD.finditer(left)]
    words += [(word.start() + 1, word) for word in _QUALITY_WORD.finditer(right)]
    if not words:
        return "good" if _ABSENCE.search(left) else None
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
        return _ABSENT_BEHIND.match(after) is not None
    negation = _NEGATION.search(_CLAUSE_END.split(after, maxsplit=1)[0])
    return negation is not None and _QUALITY_WORD.search(after[negation.end() :]) is not None


def _strength(left: str, right: str) -> int:
    """The weight of the nearest strength word of the clause."""
    near = [(len(left) - match.end(), weight) for weight, words in _STRENGTH_WORDS for match in words.finditer(left)]
    near += [(match.start() + 2, weight) for weight, words in _STRENGTH_WORDS for match in words.finditer(right)]
    return min(near)[1] if near else _DEFAULT_STRENGTH


def _image_of(sentence: str, references: list[tuple[int, int, int]], start: int, end: int) -> int | None:
    """The image a mention belongs to: 'in image 2' right behind it, else the last subject before it."""
    for at, _, image in references:
        if at >= end and _IN_IMAGE.match(sentence[end:at]):
            return image
    for at, _, image in reversed(references):
        if at < start and not _OBJECT.search(sentence[:at]):
            return image
    return None
