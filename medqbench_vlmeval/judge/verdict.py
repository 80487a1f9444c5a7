"""A judge's reply in words -> its verdict: 0, 1, 2 or None.

In words three kinds of statement are looked for, the clearer first; within a kind the last one wins, because judges
correct themselves:

1. a score in the form that was asked for, at the start of a line or sentence ('Score: 2', '| **Score** | 2 |', a box
   or a tag), or a first or last line that holds nothing but the verdict; other scores ('to reach a score of 2, ...')
   do not count beside it;
2. a score called so in a sentence ('it deserves a score of 1');
3. another verdict in a sentence ('I would rate it 1', 'so 1 it is') or under another label ('Completeness: 2').

Of kinds 2 and 3 what another score would need, or what somebody else gave, does not count, and two that differ give
None unless the last one concludes or corrects. None it is, too, for a verdict that is not 0, 1 or 2 ('1 or 2', '2.9'),
and where the last one stands in a quotation and another one outside of it, unless that opens the reply. A closed
``<think>`` block is no verdict, an unclosed one means that the reply never came; text that repeats the question's
criteria is none either. All patterns are bounded: time is linear in the reply's length.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from medqbench_vlmeval.answers.plain import any_of, spoken_text


def _ahead(name: str, pattern: str) -> str:
    """A pattern that takes nothing and sets the group ``name`` where ``pattern`` follows."""
    return rf"(?:(?={pattern})(?P<{name}>)|)"


_NUMBER = re.compile(
    r"\(?(?P<sign>[-+]?)(?P<whole>\d+)(?:[.,](?P<part>\d+))?"
    r"(?:\s?(?P<points>分|点|점|p(?:oin)?ts?\b|puntos?\b|pontos?\b|punkte?\b|балл\w{0,3})"
    r"|(?=(?-i:[A-Z][a-z]))(?P<sentence>)|(?=(?-i:[A-Za-z_]))(?P<glued>)|)"
    r"(?:\)?\s?(?:/|(?:out )?of (?:a )?(?:possible |maximum )?)\s?\(?(?P<out_of>\d+(?:[.,]\d+)?)|)"
    + _ahead("several", any_of("verdict several"))  # '1 or 2', '0-2', '2+'
    # '2 for completely ...'
    + rf"(?:(?=\)?\s?(?P<criterion>{any_of('verdict criterion')})\b)|)"
    + _ahead("heading", r"\)?\s?(?::|-\s|\()")
    # The statement ends behind the number, or is given reasons.
    + _ahead("settled", rf"\)?\s?(?:{any_of('verdict settled')})"),
    re.IGNORECASE,
)
_WORD = re.compile(
    r"(?:(?P<word>zero|one|two)\b(?=\)?\s?(?:$|[\n.;,!(]|out of|points?\b|for\b|from\b|because|since|as\b|here))"
    r"|(?P<chinese>[零一二两])分)",
    re.IGNORECASE,
)
_WORDS = {"zero": 0, "one": 1, "two": 2, "零": 0, "一": 1, "二": 2, "两": 2}
_LEGEND = re.compile(r"\)?\s?\(")
_OTHER_CRITERION = re.compile(
    r"(?<![\w.])(?P<other>[012])\)?\s?(?:for|if|when|is for|means?|indicates?|:|-\s)", re.IGNORECASE
)
_CRITERIA_REACH = 400


@dataclass(frozen=True)
class _Number:
    """A number in a reply, up to ``end``; ``score`` is None where it is not 0, 1 or 2 ('10', '1 or 2', '1/10')."""

    score: int | None
    end: int
    several: bool = False
    criterion: str = ""  # the word that makes it part of a rubric
    heading: bool = False  # an explanation follows as after a rubric's heading: '2: ...'
    settled: bool = False
    signed: bool = False
    out_of: bool = False
    listed: bool = False  # one of a list of criteria


def _read_number(text: str, at: int, labelled: bool) -> _Number | None:
    """The number at a place of plain text; behind a label a glued 'Score: 2The ...' and words are understood."""
    match = _NUMBER.match(text, at)
    if match is None:
        word = _WORD.match(text, at) if labelled else None
        return _Number(_WORDS[(word["word"] or word["chinese"]).lower()], word.end(), settled=True) if word else None
    points, several, out_of = match["points"] is not None, match["several"] is not None, match["out_of"]
    valid = (
        match["whole"] in ("0", "1", "2")
        and match["sign"] != "-"
        and not (match["part"] or "").strip("0")
        and match["glued"] is None
        and (match["sentence"] is None or labelled)
        and (out_of is None or re.fullmatch(r"2(?:[.,]0+)?", out_of) is not None)
    )
    return _Number(
        int(match["whole"]) if valid and not several else None,
        match.end(),
        several,
        (match["criterion"] or "").lower(),
        match["heading"] is not None,
        points or out_of is not None or match["settled"] is not None,
        bool(match["sign"]),
        out_of is not None,
    )


def _is_enumerated(text: str, number: _Number) -> bool:
    """Whether the number opens a list of criteria ('2 for all, 1 for some, 0 for none')."""
    # A legend in brackets behind a verdict, '2 (0: none, 1: some, 2: all)', makes no list of it.
    if not (number.criterion or number.heading) or _LEGEND.match(text, number.end):
        return False
    if sorted(_headings(text)) == ["0", "1", "2"]:
        return True
    paragraph = text[number.end : number.end + _CRITERIA_REACH].split("\n\n", 1)[0]
    return any(int(other["other"]) != number.score for other in _OTHER_CRITERION.finditer(paragraph))


@lru_cache(maxsize=2)
def _headings(text: str) -> list[str]:
    """The scores that stand in front of an explanation: 'Score 2: all / Score 1: some / Score 0: none'."""
    return [heading[1] for heading in _CRITERION_HEADINGS.finditer(text)]


_LABEL = re.compile(
    rf"(?i)(?P<strong>(?<![^\W_])(?:{any_of('verdict stated')})(?![^\W_])|{any_of('verdict abroad')})"
    rf"|\b(?P<weak>{any_of('verdict loosely')})\b"
)
_RATED = re.compile(
    r"(?i)\b(?P<dimension>completeness|precis(?:eness|ion)|consistency|(?:quality[ _])?accuracy)\b"
    r"[\s:()-]{0,6}(?:score\b)?\s?[:-][\s:(-]{0,5}(?:boxed[\s:(]{1,4})?(?P<score>[012])\b"
)
_DIMENSION_LINE = re.compile(
    r"(?im)^[^\w\n]*(completeness|precis(?:eness|ion)|consistency|(?:quality )?accuracy)[^\w\n]*$"
)
# 'Score (0-2): 1', 'Score (Completeness): 2', 'Score (out of 2) 1'
_ASIDE = re.compile(r"\s?\([^()\n]{1,100}\)(?=\s?(?::|-\s|is\b|are\b)|\s\d)")
_LINK = re.compile(
    r"(?i)\)?\s?(?:(?P<sign>:[\s:]*(?:\) )?|-\s?)|(?P<word>is|are|was|of|as|at|to be|(?:would|should|will|must) be"
    r"|为|是|は|는|은)(?![a-z])\s?:?\s?(?:an? |the )?|(?P<below>\n\s*)|\s)"
)
_FILLER = re.compile(
    r"(?i)(?P<words>(?: [a-z_'()]{1,20}){1,7}?)(?:(?P<sign>\s?:)|(?: (?:is|be|as|at|to|of|with|an?)){0,2})\s?(?=\(?\d)"
)
_TURNS_SENSE = re.compile(rf"(?i)\b(?:{any_of('verdict turned')})\b|n't")
_SCALE_BEFORE = re.compile(r"\b(?:max(?:imum)?|min(?:imum)?|possible|highest|lowest|full|top|perfect|best)[ _]\Z")
_SCALE_AFTER = re.compile(r"[\s_](?:range|scale|scheme|system|criteri|rubric|guide|definition|option|level|between)")
_NEGATED = re.compile(
    r"(?:\b(?:not|cannot|never|without|rather than|instead of|neither|nor|avoid|if|between)\b|n't|n’t)[^.!?\n:;]{0,40}$"
)
_ASKED = re.compile(r"\b(?:please|must|only|format|provide|respond with|reply with|output)\b[^.!?\n]{0,60}$|\brate $")
_NO_VALUE = re.compile(rf"(?i)\(?(?:[<>≥≤≈~]|(?:{any_of('verdict none')})\b)")
_LIST_ITEM = re.compile(r"\s*\d+[.)][ \t]\S")
_CRITERION_HEADINGS = re.compile(r"\bscore\s?:?\s?(\d)\)?\s?(?::|-\s|\()", re.IGNORECASE)
_VERB = re.compile(
    rf"(?i)\b(?:{any_of('verdict given')})(?: (?!not\b|never\b|between\b|from\b)[a-z'’]{{1,20}}){{0,5}}?\s?:? "
    r"(?:an? |at |on |for )?(?=\(?\d|(?:zero|one|two)\b)|[给打评得](?:出|为|了)?\s?(?=\d|[零一二两])"
)
_FRACTION = re.compile(r"(?<![\w./])(?=\d{1,20}(?:[.,]\d{1,20})?\s?(?:/|(?:points? )?out of)\s?2(?![\w/]|[.,]\d))")
_OPENING = re.compile(r"\(?(?P<score>[012])\)?\s?(?::|-(?!\d)|\(|,(?!\s?\d))\s?(?=[A-Za-z])")
_NUMBERED_LINE = re.compile(r"^\W{0,6}\d+\s?[-:.),(]", re.MULTILINE)
_SCORE_KEYS = ("score", "final_score", "finalscore", "rating", "verdict", "grade", "result", "answer")
_DIMENSION_KEYS = ("completeness", "preciseness", "precision", "consistency", "quality_accuracy", "accuracy")
_WINDOW = 80
_LONGEST_BARE = 60

# Where a verdict in the asked form stands: at the start of a line or a sentence, behind words such as 'My final'.
_VERDICT_PLACE = re.compile(
    r"(?:\A|[\n.!?。;|]|[,:] (?=so |thus |hence |therefore )|\d (?=no |sorry|wait|oops)"
    r"|\d ?[:-] ?(?=revised|corrected|final|now))[\s>•#|*()\d.:-]*"
    rf"(?:(?:{any_of('verdict before')})[\s:,_()-]*){{0,5}}\Z"
)
# Before a score that is not given here: what it would need, what somebody else gave or asks for.
_OTHERS = re.compile(rf"(?i)\b(?:{any_of('verdict others')})\b")
_SUPPOSED = re.compile(
    r"(?i)\b(?:with|had|were|unless|once|when|should the)\b[^.!?\n]*\b(?:would|could|might) (?!give|rate|say)"
)
# Behind it: 'score 2 was not given', 'a score of 2 would need ...'.
_WOULD = re.compile(rf"(?i)[)'\"]?,?\s?(?:{any_of('verdict would')})\b")
_CORRECTED = re.compile(rf"(?i)\b(?:{any_of('verdict corrected')})\b")
_HEADING = re.compile(r"\)?\s{0,3}(?:-\s|:\s|\()")
_CONDITION = re.compile(r"(?i)\s?(?:points?\s)?(?:if|when|where|for (?:each|every|any))\b")
_CONCLUDES = re.compile(rf"(?i)\b(?:{any_of('verdict concludes')})\b")
# A verdict in words: 'so 1 it is', 'clearly a two', 'full marks'.
_SPOKEN = re.compile(
    r"(?i)\b(?:(?P<it>[012]|zero|one|two) it is\b"
    r"|(?:is|it['’]s|that['’]s|as|for)(?: \w+ly)? an? (?:\w+ )?(?P<article>zero|one|two)(?=[.!;,]|\Z)"
    r"|(?P<full>full marks|(?:receiv|get|deserv|earn|merit|award|giv|warrant)\w*(?: \w+){0,3}?"
    r" (?:maximum|full|top|highest|perfect) (?:score|marks|points|credit))\b"
    r"|(?P<none>no (?:points|marks|credit)(?: at all| here| on this \w+)?)(?=\s?(?:[.!;,\n]|\Z)))"
    r"|[;:,] (?P<last>zero|one|two)[.!]?\s*\Z|\A\W*(?P<first>zero|one|two)\s?[.,:;!-]"
    r"|\bit (?:should|must|has to) be an? (?P<must>[012]|zero|one|two)(?=[.!;,\n]|\Z)"
)
# 'Rate it 2 for ...' at the start of a sentence tells somebody what to do.
_TOLD = re.compile(r"(?i)(?:rate|give|assign|award|choose|select|mark|put)\b")
_FEW_WORDS = 8
_MOST_STATEMENTS = 100


class _Statement(NamedTuple):
    """A statement of a score (None: there, but no valid verdict)."""

    start: int
    score: int | None
    asked: bool = False  # in the form that the prompt asks for
    end: int = 0


def without_quotations(text: str) -> str:
    """Remove what stands in double quotes on one line, and lines that are marked as quoted."""
    return _QUOTATION.sub(" ", text)


_QUOTATION = re.compile(r'"[^"\n]*"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|^[ \t]{0,8}>[^\n]*$', re.MULTILINE)
_QUOTES_AND_UNDERSCORES = re.compile(r"['_]+")
# In this order: what carries meaning becomes a colon or a round bracket, the rest of the dress goes.
_VERDICT_MARKUP = [
    (re.compile(pattern), written)
    for pattern, written in json.loads(Path(__file__).with_name("verdict_markup.json").read_text(encoding="utf-8"))
]


def plain_verdict(text: str) -> str:
    """Remove markdown, LaTeX and quotes; equals signs, arrows and table bars become colons, all brackets round and
    all dashes hyphens, so that '| **Score** | [2] |' reads ' Score : (2) :'."""
    text = _QUOTES_AND_UNDERSCORES.sub(_kept_inside_word, text)
    for pattern, replacement in _VERDICT_MARKUP:
        text = pattern.sub(replacement, text)
    return text


def _kept_inside_word(run: re.Match[str]) -> str:
    """'max_score' and 'isn't' keep theirs; '_Score_' and quotes do not."""
    text = run.string
    inside = text[run.start() - 1 : run.start()].isalnum() and text[run.end() : run.end() + 1].isalnum()
    return run.group() if inside else ""


def parse_score(reply: str) -> int | None:
    """The verdict that a careful reader would take from a judge's reply of any length: 0, 1 or 2. None where there is
    no verdict, an unclear one, or one outside 0, 1, 2."""
    spoken = spoken_text(reply)
    if spoken is None or not spoken.strip():
        return None
    names_score, score = _from_json(spoken)
    if names_score:
        return score
    text = plain_verdict(spoken)
    strong = list(_labelled(text, weak=False))
    quoteless = plain_verdict(without_quotations(spoken))
    unquoted = strong if quoteless == text else list(_labelled(quoteless, weak=False))
    asked = _in_asked_form(text, strong)
    if _is_of_several_dimensions(text, asked) or {statement.score for statement in asked} >= {0, 1, 2}:
        return None
    if asked:
        own = _in_asked_form(quoteless, unquoted)
        corrected = _CORRECTED.search(quoteless, own[-1].end) if own else None
        if corrected and (later := [entry for entry in _vague(quoteless) if entry.start > corrected.start()]):
            return _agreed(quoteless, later)
        if not own or own[-1].score == asked[-1].score:
            return asked[-1].score
        first = own[0].start == 0 and len({statement.score for statement in own}) == 1
        return own[0].score if first else None
    statements = _own(text, strong)
    outside = _own(quoteless, unquoted)
    if not statements:
        statements = _vague(text)
        outside = statements if quoteless == text else _vague(quoteless)
    # What stands in quotations alone is somebody else's, unless the reply is nothing but a quotation.
    if not statements or (not outside and len(quoteless.split()) > _FEW_WORDS):
        return None
    return _agreed(text, statements) if not outside or outside[-1].score == statements[-1].score else None


def _in_asked_form(text: str, labelled: Sequence[_Statement]) -> list[_Statement]:
    """The verdicts in the form that was asked for, in order, without a list of what other scores take."""
    asked = [statement for statement in labelled if statement.asked and not _WOULD.match(text, statement.end)]
    listed = [at for at, statement in enumerate(asked) if _HEADING.match(text, statement.end)]
    listed = [at for at in listed if {at - 1, at + 1} & {*listed}] if len(asked) > len(listed) else []
    asked = [statement for at, statement in enumerate(asked) if at not in listed]
    return sorted([*asked, *_bare_lines(text)], key=lambda statement: statement.start)


def _is_of_several_dimensions(text: str, asked: Sequence[_Statement]) -> bool:
    """Whether a reply scores several dimensions differently and says no more: that was not asked."""
    rated = list(_RATED.finditer(text))
    if len({match["score"] for match in rated}) > 1 and (not asked or asked[-1].start < rated[-1].end()):
        return True
    return len({*_DIMENSION_LINE.findall(text)}) > 1 and len({statement.score for statement in asked}) > 1


def _vague(text: str) -> list[_Statement]:
    return _own(text, [*_labelled(text, weak=True), *_in_sentences(text), *_opening(text)])


def _own(text: str, statements: Iterable[_Statement]) -> list[_Statement]:
    """The statements that are the judge's own verdict on this answer, in order."""
    own = []
    for statement in sorted(statements, key=lambda statement: statement.start)[-_MOST_STATEMENTS:]:
        before = _sentence_before(text, statement.start)
        supposed = _SUPPOSED.search(before + text[statement.start : statement.end])
        if not (supposed or _OTHERS.search(before) or _WOULD.match(text, statement.end)):
            own.append(statement)
    return own


def _sentence_before(text: str, at: int) -> str:
    before = text[max(0, at - 2 * _WINDOW) : at]
    return re.split(r"(?i)[.!?\n;]|\b(?:so|therefore|thus|hence|but|however)\b", before)[-1]


def _agreed(text: str, statements: Sequence[_Statement]) -> int | None:
    """The score of all statements, or of the last one where it concludes or corrects; else None."""
    scores = {statement.score for statement in statements}
    if not scores or scores >= {0, 1, 2}:
        return None
    last = statements[-1]
    other = max((statement.start for statement in statements if statement.score != last.score), default=None)
    return last.score if other is None or _CONCLUDES.search(text, other, last.end) else None


def _from_json(text: str) -> tuple[bool, int | None]:
    """Whether the whole reply is one JSON object that names a score, and that score."""
    _, value = whole_object(text)
    if value is None:
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
    number = whole_number(value)
    return number if number in (0, 1, 2) else None


_SCORE_TEXT = re.compile(r"\s*([012])(?:\.0{1,20})?\s*")


def whole_object(text: str) -> tuple[str, dict[str, object] | None]:
    """A reply without the fence around it, and the JSON object that it is, if it is one."""
    body = re.sub(r"^```[a-zA-Z]{0,10}", "", text.strip()).removesuffix("```").strip()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body, None
    return body, value if isinstance(value, dict) else None


def whole_number(value: Any) -> int | None:
    """A whole number, also written as 2.0 or '2'; true and false are none."""
    if isinstance(value, str) and (written := _SCORE_TEXT.fullmatch(value)):
        return int(written[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _labelled(text: str, weak: bool) -> Iterator[_Statement]:
    listed = -1  # where the last criterion of a list ends: its heading alone does not tell the last one
    for label in _LABEL.finditer(text):
        if (label["weak"] is not None) is not weak:
            continue
        before = text[max(0, label.start() - _WINDOW) : label.start()].lower()
        if _SCALE_BEFORE.search(before) or _SCALE_AFTER.match(text, label.end()):
            continue
        aside = _ASIDE.match(text, label.end())
        number = _value(text, aside.end() if aside else label.end(), before, weak)
        goes_on = listed > 0 and "\n\n" not in text[listed : label.start()]
        if number and (number.listed or (goes_on and (number.heading or number.criterion))):
            listed = number.end
        elif number:
            signed = re.search("[:-]", text[label.end() : number.end]) is not None or _ends_line(text, number)
            asked = label["strong"] == "boxed" or (signed and _VERDICT_PLACE.search(before) is not None)
            yield _Statement(label.start(), number.score, asked, number.end)


def _value(text: str, at: int, before: str, weak: bool) -> _Number | None:
    """The number that a label leads to, None where the label leads nowhere or the words are a rubric's."""
    link = _LINK.match(text, at)
    if link is None:
        return None
    explicit = bool(link["sign"])
    number = _read_number(text, link.end(), labelled=explicit or text[link.end() : link.end() + 1].isalpha())
    if number is None:
        if explicit and not weak and _NO_VALUE.match(text, link.end()):
            return _Number(None, link.end())
        return None if weak else _value_after_words(text, at, before)
    # 'Score -1' is a negative number, 'Score - 1' and 'Score-1' are not.
    if link["sign"] == "-" and text[at : at + 1].isspace():
        number = _Number(None, number.end)
    if "\n" in link.group() and (_LIST_ITEM.match(text, link.end() - 1) or not (explicit or _ends_line(text, number))):
        return None
    if text[number.end : number.end + 3].lstrip()[:1] == "?":
        return _Number(None, number.end)
    if explicit and number.criterion not in ("", "for", "is for"):
        return replace(number, listed=True)
    if explicit:
        return None if weak and not number.settled else replace(number, listed=_is_enumerated(text, number))
    if (number.several and not link["word"]) or _NEGATED.search(before):
        return None
    return None if _is_rubric(text, number, link["word"], before) else number


def _value_after_words(text: str, at: int, before: str) -> _Number | None:
    """'score this a 2', 'score for completeness: 1': the words between may not turn the sense around."""
    filler = _FILLER.match(text, at)
    if filler is None or _TURNS_SENSE.search(filler["words"]) or _NEGATED.search(before):
        return None
    number = _read_number(text, filler.end(), labelled=bool(filler["sign"]))
    if number is None or number.several or number.signed or not (filler["sign"] or number.settled):
        return None
    return None if _is_rubric(text, number, "of", before) else number


def _ends_line(text: str, number: _Number) -> bool:
    return not text[number.end : number.end + _WINDOW].split("\n", 1)[0].strip(" ).!:")


def _is_rubric(text: str, number: _Number, word: str | None, before: str) -> bool:
    """'score 2 for completely ...', 'a score of 2 means ...': the criteria speak, not the judge."""
    if number.criterion:
        if number.criterion != "for" or _ASKED.search(before):
            return True
        return _is_enumerated(text, number) or not (word or number.out_of)
    if not word and number.heading:
        return len({*_headings(text)[:20]}) > 1
    return False


def _bare_lines(text: str) -> Iterator[_Statement]:
    """The first and the last line with words or digits, where such a line holds a verdict and nothing else."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return
    last = _bare(lines[-1])
    if last:
        yield _Statement(text.rfind(lines[-1]), last.score, True, len(text))
    # '1.' at the top may open a list; '10' at the top is no verdict of this kind.
    first = _bare(lines[0]) if len(lines) > 1 else None
    if first and first.score is not None and not lines[0].rstrip().endswith("."):
        start = text.find(lines[0])
        yield _Statement(start, first.score, True, start + len(lines[0]))


def _bare(line: str) -> _Number | None:
    inside = line.strip(" ()~:'\t\r")
    number = _read_number(inside, 0, labelled=not inside[:1].isdigit()) if len(inside) <= _LONGEST_BARE else None
    return None if number is None or number.several or inside[number.end :].strip(" ).!。:~") else number


def _in_sentences(text: str) -> Iterator[_Statement]:
    for pattern in (_VERB, _FRACTION):
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _WINDOW) : match.start()].lower()
            number = _read_number(text, match.end(), labelled=pattern is _VERB)
            if number is None or not number.settled or _NEGATED.search(before) or _ASKED.search(before):
                continue
            told = number.criterion and _TOLD.match(match.group()) and not _sentence_before(text, match.start()).strip()
            if not (told or _is_enumerated(text, number) or _CONDITION.match(text, number.end)):
                yield _Statement(match.start(), number.score, end=number.end)
    for match in _SPOKEN.finditer(text):
        if match["last"] or not _NEGATED.search(_sentence_before(text, match.start()).lower()):
            names = ("it", "article", "last", "first", "must")
            word = next((match[name] for name in names if match[name]), "").lower()
            score = _WORDS.get(word, int(word) if word.isdigit() else 2 if match["full"] else 0)
            yield _Statement(match.start(), score, end=match.end())


def _opening(text: str) -> Iterator[_Statement]:
    """'2 - fully covered' opens a reply; a numbered list opens with the same signs, but goes on."""
    text = text.lstrip()
    opening = _OPENING.match(text)
    if opening and sum(1 for _ in zip(range(2), _NUMBERED_LINE.finditer(text), strict=False)) < 2:
        number = _read_number(text, 0, labelled=False)
        if number and not _is_enumerated(text, number):
            yield _Statement(0, int(opening["score"]), end=opening.end())
