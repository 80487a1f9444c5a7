"""A judge's reply -> its verdict: 0, 1, 2 or None.

Two kinds of statement are looked for, the clearer first; within a kind the last one wins, because judges
correct themselves further down the page:

1. a labelled score ('Score: 2', '| **Score** | 2 |', '"score": 2', a box or a tag), or a first or last line
   that holds nothing but the verdict;
2. a score in a sentence ('I would rate it 1', '2 out of 2') or under another label ('Completeness: 2').

A verdict that is there but is not 0, 1 or 2 ('Score: 10', '1 or 2', '2.9') gives None and is never replaced by an
earlier one. None it is too where the last clear one stands in a quotation and another one outside of it. What is
thought aloud in a closed ``<think>`` block is no verdict; an unclosed one means that the reply never came. Text that
repeats the question's criteria ('2 for completely ...') is no verdict either. All patterns are bounded, so that time is
linear in the reply's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.answers.plain import plain_verdict, spoken_text, without_quotations

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


_LABEL = re.compile(
    r"(?P<strong>(?<![^\W_])(?:scores|scored?|ratings?|verdict|grade|boxed)(?![^\W_])|评分|得分|分数|打分|スコア|点数|점수|평점"
    r"|puntuación|puntaje|pontuação|punteggio|bewertung|punktzahl|wertung|оценка|балл(?!\w)|النتيجة|الدرجة)"
    r"|\b(?P<weak>answer|result|judge?ment|evaluation|assessment|conclusion|completeness|preciseness|precision"
    r"|consistency|quality[ _]accuracy|accuracy)\b",
    re.IGNORECASE,
)
_DIMENSION = re.compile(r"completeness|precis|consistency|accuracy", re.IGNORECASE)
# 'Score (0-2): 1', 'Score (Completeness): 2', 'Score (out of 2) 1'
_ASIDE = re.compile(r"\s?\([^()\n]{1,100}\)(?=\s?(?::|-\s|is\b|are\b)|\s\d)")
_LINK = re.compile(
    r"\)?\s?(?:(?P<sign>:[\s:]*|-\s?)|(?P<word>is|are|was|of|as|at|to be|(?:would|should|will|must) be|为|是|は|는|은)"
    r"(?![a-z])\s?:?\s?(?:an? |the )?|(?P<below>\n\s*)|\s)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?P<words>(?: [a-z_'()]{1,20}){1,7}?)(?:(?P<sign>\s?:)|(?: (?:is|be|as|at|to|of|with|an?)){0,2})\s?(?=\(?\d)",
    re.IGNORECASE,
)
_TURNS_SENSE = re.compile(
    r"\b(?:not|cannot|never|from|ranges?|scale|between|if|for each|whether|either|only|criteri\w*|means|system)\b|n't",
    re.IGNORECASE,
)
_SCALE_BEFORE = re.compile(r"\b(?:max(?:imum)?|min(?:imum)?|possible|highest|lowest|full|top|perfect|best)[ _]\Z")
_SCALE_AFTER = re.compile(r"[\s_](?:range|scale|scheme|system|criteri|rubric|guide|definition|option|level|between)")
_NEGATED = re.compile(
    r"(?:\b(?:not|cannot|never|without|rather than|instead of|neither|nor|avoid|if|between)\b|n't|n’t)[^.!?\n:;]{0,40}$"
)
_ASKED = re.compile(r"\b(?:please|must|only|format|provide|respond with|reply with|output)\b[^.!?\n]{0,60}$|\brate $")
_NO_VALUE = re.compile(
    r"\(?(?:[<>≥≤≈~]|(?:n/?a|none|null|nan|unknown|undefined|undetermined|unable|cannot"
    r"|not (?:applicable|available|given|sure)|between|at least|at most|less than|more than|around|approximately|about"
    r"|nearly|almost|three|four|five|ten)\b)",
    re.IGNORECASE,
)
_LIST_ITEM = re.compile(r"\s*\d+[.)][ \t]\S")
_CRITERION_HEADINGS = re.compile(r"\bscore (\d)\)?\s?(?::|-\s|\()", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:giv(?:e|en|es|ing)|gave|rat(?:e|ed|es|ing)|assign(?:ed|s|ing)?|award(?:ed|s|ing)?|deserv(?:e|es|ed|ing)"
    r"|earn(?:s|ed)?|merits?|warrants?|receiv(?:e|es|ed)|gets?|choose|select|mark(?:ed)?)"
    r"(?: (?!not\b|never\b|between\b|from\b)[a-z'’]{1,20}){0,5}?\s?:? (?:an? )?(?=\(?\d)",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?<![\w./])(?=\d{1,20}(?:[.,]\d{1,20})?\s?(?:/|(?:points? )?out of)\s?2(?![\w/]|[.,]\d))")
_OPENING = re.compile(r"\(?(?P<score>[012])\)?\s?(?::|-(?!\d)|\(|,(?!\s?\d))\s?(?=[A-Za-z])")
_NUMBERED_LINE = re.compile(r"^\W{0,6}\d+\s?[-:.),(]", re.MULTILINE)
_SCORE_KEYS = ("score", "final_score", "finalscore", "rating", "verdict", "grade", "result", "answer")
_DIMENSION_KEYS = ("completeness", "preciseness", "precision", "consistency", "quality_accuracy", "accuracy")
_WINDOW = 80
_LONGEST_BARE = 60


@dataclass(frozen=True)
class _Found:
    """A statement: where it stands, its score (None: there, but no valid verdict) and the dimension it names."""

    start: int
    score: int | None
    dimension: str = ""


def parse_score(reply: str) -> int | None:
    """The verdict that a careful reader would take from a judge's reply.

    Args:
        reply: the judge's reply, of any length.

    Returns:
        0, 1 or 2; None where there is no verdict, an unclear one, or one outside 0, 1, 2.
    """
    spoken = spoken_text(reply)
    if spoken is None or not spoken.strip():
        return None
    names_score, score = _from_json(spoken)
    if names_score:
        return score
    text = plain_verdict(spoken)
    clear = _last_clear(text)
    if clear:
        own = _last_clear(plain_verdict(without_quotations(spoken)))
        return clear.score if own is None or own.score == clear.score else None
    vague = [*_labelled(text, weak=True), *_in_sentences(text), *_opening(text)]
    # A reply that scores several dimensions answers a question that was not asked.
    if not vague or len({found.score for found in vague if found.dimension}) > 1:
        return None
    return max(vague, key=lambda found: found.start).score


def _last_clear(text: str) -> _Found | None:
    clear = [*_labelled(text, weak=False), *_bare_lines(text)]
    return max(clear, key=lambda found: found.start, default=None)


def _from_json(text: str) -> tuple[bool, int | None]:
    """Whether the whole reply is one JSON object that names a score, and that score."""
    body = re.sub(r"^```[a-zA-Z]{0,10}", "", text.strip()).removesuffix("```").strip()
    if not (body.startswith("{") and body.endswith("}")):
        return False, None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False, None
    keys = {re.sub(r"[\s-]", "_", str(key).strip().lower()): key for key in value}
    for name in _SCORE_KEYS:
        if name in keys:
            return True, _json_score(value[keys[name]])
    scores = {_json_score(value[keys[name]]) for name in _DIMENSION_KEYS if name in keys}
    return bool(scores), scores.pop() if len(scores) == 1 else None


def _json_score(value: Any) -> int | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("score")
    if isinstance(value, str):
        return parse_score(value) if len(value) <= _LONGEST_BARE else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value in (0, 1, 2) else None


def _labelled(text: str, weak: bool) -> Iterator[_Found]:
    for label in _LABEL.finditer(text):
        if (label["weak"] is not None) is not weak:
            continue
        before = text[max(0, label.start() - _WINDOW) : label.start()].lower()
        if _SCALE_BEFORE.search(before) or _SCALE_AFTER.match(text, label.end()):
            continue
        aside = _ASIDE.match(text, label.end())
        found = _value(text, aside.end() if aside else label.end(), before, weak)
        if found:
            dimension = label.group().lower() if _DIMENSION.match(label.group()) else ""
            yield _Found(label.start(), found.score, dimension)


def _value(text: str, at: int, before: str, weak: bool) -> Number | None:
    """The number that a label leads to, None where the label leads nowhere or the words are a rubric's."""
    link = _LINK.match(text, at)
    if link is None:
        return None
    explicit = bool(link["sign"])
    number = read_number(text, link.end(), labelled=explicit)
    if number is None:
        if explicit and not weak and _NO_VALUE.match(text, link.end()):
            return Number(None, link.end())
        return None if weak else _value_after_words(text, at, before)
    # 'Score -1' is a negative number, 'Score - 1' and 'Score-1' are not.
    if link["sign"] == "-" and text[at : at + 1].isspace():
        number = Number(None, number.end)
    if "\n" in link.group() and (_LIST_ITEM.match(text, link.end() - 1) or not (explicit or _ends_line(text, number))):
        return None
    if explicit:
        if is_enumerated(text, number) or (weak and not number.settled):
            return None
        return number
    if number.several and not link["word"]:
        return None
    return None if _NEGATED.search(before) or _is_rubric(text, number, link["word"], before) else number


def _value_after_words(text: str, at: int, before: str) -> Number | None:
    """'score this a 2', 'score for completeness: 1': the words between may not turn the sense around."""
    filler = _FILLER.match(text, at)
    if filler is None or _TURNS_SENSE.search(filler["words"]) or _NEGATED.search(before):
        return None
    number = read_number(text, filler.end(), labelled=bool(filler["sign"]))
    if number is None or number.several or number.signed:
        return None
    if not (filler["sign"] or number.settled) or _is_rubric(text, number, "of", before):
        return None
    return number


def _ends_line(text: str, number: Number) -> bool:
    return not text[number.end : number.end + _WINDOW].split("\n", 1)[0].strip(" ).!:")


def _is_rubric(text: str, number: Number, word: str | None, before: str) -> bool:
    """'score 2 for completely ...', 'a score of 2 means ...': the criteria speak, not the judge."""
    if number.criterion:
        if number.criterion != "for" or _ASKED.search(before):
            return True
        return is_enumerated(text, number) or not (word or number.out_of)
    if not word and number.heading:
        headings = zip(range(20), _CRITERION_HEADINGS.finditer(text), strict=False)
        return len({heading[1] for _, heading in headings}) > 1
    return False


def _bare_lines(text: str) -> Iterator[_Found]:
    """The first and the last line with words or digits, where such a line holds a verdict and nothing else."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return
    last = _bare(lines[-1])
    if last:
        yield _Found(text.rfind(lines[-1]), last.score)
    # '1.' at the top may open a list; '10' at the top is no verdict of this kind.
    first = _bare(lines[0]) if len(lines) > 1 else None
    if first and first.score is not None and not lines[0].rstrip().endswith("."):
        yield _Found(text.find(lines[0]), first.score)


def _bare(line: str) -> Number | None:
    inside = line.strip(" ()~:'\t\r")
    if len(inside) > _LONGEST_BARE:
        return None
    number = read_number(inside, 0, labelled=False)
    if number is None or number.several or inside[number.end :].strip(" ).!。:~"):
        return None
    return number


def _in_sentences(text: str) -> Iterator[_Found]:
    for pattern in (_VERB, _FRACTION):
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _WINDOW) : match.start()].lower()
            number = read_number(text, match.end(), labelled=False)
            if number is None or not number.settled or _NEGATED.search(before) or _ASKED.search(before):
                continue
            if not is_enumerated(text, number):
                yield _Found(match.start(), number.score)


def _opening(text: str) -> Iterator[_Found]:
    """'2 - fully covered' opens a reply; a numbered list opens with the same signs, but goes on."""
    opening = _OPENING.match(text.lstrip())
    if opening and sum(1 for _ in zip(range(2), _NUMBERED_LINE.finditer(text), strict=False)) < 2:
        number = read_number(text.lstrip(), 0, labelled=False)
        if number and not is_enumerated(text.lstrip(), number):
            yield _Found(0, int(opening["score"]))
