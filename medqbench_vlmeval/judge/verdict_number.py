"""Reading the number of a verdict: what it says and what the words behind it make of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"\(?(?P<sign>[-+]?)(?P<whole>\d+)(?:[.,](?P<part>\d+))?")
_WORD = re.compile(r"(?P<word>zero|one|two)\b(?=\)?\s?(?:$|[\n.;,!(]|out of|points?\b))", re.IGNORECASE)
_WORDS = ("zero", "one", "two")
_POINTS = re.compile(r"\s?(?:分|点|점|p(?:oin)?ts?\b|puntos?\b|pontos?\b|punkte?\b|балл\w{0,3})", re.IGNORECASE)
_OUT_OF = re.compile(
    r"\)?\s?(?:/|(?:out )?of (?:a )?(?:possible |maximum )?)\s?\(?(?P<of>\d+(?:[.,]\d+)?)", re.IGNORECASE
)
_ANOTHER = re.compile(
    r"\)?\s?(?:[,/:&~-]|\bor\b|\bto\b|\band\b|\.\.+|…)[\s,:]{0,3}(?:or |and )?\(?(?:score )?[-+]?\d"
    r"|\)?\s?(?:or (?:higher|lower|more|less|above|below)\b|[%+°]|percent\b)|\.\d",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[A-Za-z_]")
_SENTENCE = re.compile(r"[A-Z][a-z]")
_CRITERION = re.compile(
    r"\)?\s?(?P<word>for|if|when|is for|means?|indicates?|would|requires?|represents?|corresponds?|denotes?)\b",
    re.IGNORECASE,
)
_HEADING = re.compile(r"\)?\s?(?::|-\s|\()")
_LEGEND = re.compile(r"\)?\s?\(")
_SETTLED = re.compile(
    r"\)?\s?(?:$|[\n.,;:!?)(]|-\s|\b(?:because|since|as|for|due|based|given|on|here|in|overall|points?)\b)",
    re.IGNORECASE,
)
_OTHER_CRITERION = re.compile(
    r"(?<![\w.])(?P<other>[012])\)?\s?(?:for|if|when|is for|means?|indicates?|:|-\s)", re.IGNORECASE
)
_CRITERIA_REACH = 400


@dataclass(frozen=True)
class Number:
    """A number in a reply.

    ``score`` is 0, 1 or 2, or None where it is something else ('10', '1 or 2', '1/10'); ``several`` is set for a
    list or a range; ``criterion`` is the word that makes it part of a rubric ('for', 'means') or '';
    ``heading`` says that an explanation follows as after a rubric's heading ('2: ...'); ``settled`` that the
    statement ends or is given reasons behind the number; ``signed`` that it has a sign, ``out_of`` that it has a
    denominator. ``end`` is the position behind the digits.
    """

    score: int | None
    end: int
    several: bool = False
    criterion: str = ""
    heading: bool = False
    settled: bool = False
    signed: bool = False
    out_of: bool = False


def read_number(text: str, at: int, labelled: bool) -> Number | None:
    """The number at a position of plain text, None where there is none.

    Args:
        text: a reply without markup.
        at: where the number, or the bracket before it, begins.
        labelled: whether 'Score:' stands before it; a glued 'Score: 2The ...' and words are then understood.
    """
    match = _NUMBER.match(text, at)
    if match is None:
        word = _WORD.match(text, at) if labelled else None
        return Number(_WORDS.index(word["word"].lower()), word.end(), settled=True) if word else None
    end = match.end()
    valid = match["whole"] in ("0", "1", "2") and match["sign"] != "-" and not (match["part"] or "").strip("0")
    points = _POINTS.match(text, end)
    if points:
        end = points.end()
    elif _LETTER.match(text, end) and not (labelled and _SENTENCE.match(text, end)):
        valid = False
    out_of = _OUT_OF.match(text, end)
    if out_of:
        valid = valid and re.fullmatch(r"2(?:[.,]0+)?", out_of["of"]) is not None
        end = out_of.end()
    several = _ANOTHER.match(text, end) is not None
    criterion = _CRITERION.match(text, end)
    return Number(
        int(match["whole"]) if valid and not several else None,
        end,
        several=several,
        criterion=criterion["word"].lower() if criterion else "",
        heading=_HEADING.match(text, end) is not None,
        settled=bool(points or out_of) or _SETTLED.match(text, end) is not None,
        signed=bool(match["sign"]),
        out_of=out_of is not None,
    )


def is_enumerated(text: str, number: Number) -> bool:
    """Whether the number opens a list of criteria ('2 for all, 1 for some, 0 for none').

    A legend in brackets behind a verdict ('2 (0: none, 1: some, 2: all)') makes no list of it.
    """
    if not (number.criterion or number.heading) or _LEGEND.match(text, number.end):
        return False
    paragraph = text[number.end : number.end + _CRITERIA_REACH].split("\n\n", 1)[0]
    return any(int(other["other"]) != number.score for other in _OTHER_CRITERION.finditer(paragraph))
