"""A judge's reply -> its verdicts: by words a score (0, 1, 2 or None), in a JSON object one for each dimension, and
the letter in an extractor's last line.

In words two kinds of statement are looked for, the clearer first; within a kind the last one wins, because judges
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
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medqbench_vlmeval.answers.plain import plain_verdict, spoken_text, without_quotations, without_thoughts
from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.judge.protocols import CHOICE, choices, number_of


def _ahead(name: str, pattern: str) -> str:
    """A pattern that takes nothing and sets the group ``name`` where ``pattern`` follows."""
    return rf"(?:(?={pattern})(?P<{name}>)|)"


_NUMBER = re.compile(
    r"\(?(?P<sign>[-+]?)(?P<whole>\d+)(?:[.,](?P<part>\d+))?"
    r"(?:\s?(?P<points>分|点|점|p(?:oin)?ts?\b|puntos?\b|pontos?\b|punkte?\b|балл\w{0,3})"
    r"|(?=(?-i:[A-Z][a-z]))(?P<sentence>)|(?=(?-i:[A-Za-z_]))(?P<glued>)|)"
    r"(?:\)?\s?(?:/|(?:out )?of (?:a )?(?:possible |maximum )?)\s?\(?(?P<out_of>\d+(?:[.,]\d+)?)|)"
    # '1 or 2', '0-2', '2+'
    + _ahead(
        "several",
        r"\)?\s?(?:[,/:&~-]|\bor\b|\bto\b|\band\b|\.\.+|…)[\s,:]{0,3}(?:or |and )?\(?(?:score )?[-+]?\d"
        r"|\)?\s?(?:or (?:higher|lower|more|less|above|below)\b|[%+°]|percent\b)|\.\d",
    )
    # '2 for completely ...'
    + r"(?:(?=\)?\s?(?P<criterion>for|if|when|is for|means?|indicates?|would|requires?|represents?|corresponds?"
    r"|denotes?)\b)|)"
    + _ahead("heading", r"\)?\s?(?::|-\s|\()")
    # The statement ends behind the number, or is given reasons.
    + _ahead(
        "settled",
        r"\)?\s?(?:$|[\n.,;:!?)(]|-\s|\b(?:because|since|as|for|due|based|given|on|here|in|overall|points?)\b)",
    ),
    re.IGNORECASE,
)
_WORD = re.compile(r"(?P<word>zero|one|two)\b(?=\)?\s?(?:$|[\n.;,!(]|out of|points?\b))", re.IGNORECASE)
_WORDS = ("zero", "one", "two")
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


def _read_number(text: str, at: int, labelled: bool) -> _Number | None:
    """The number, or the bracket before it, at a position of plain text. Behind 'Score:' (``labelled``) a glued
    'Score: 2The ...' and words are understood."""
    match = _NUMBER.match(text, at)
    if match is None:
        word = _WORD.match(text, at) if labelled else None
        return _Number(_WORDS.index(word["word"].lower()), word.end(), settled=True) if word else None
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
    """Whether the number opens a list of criteria ('2 for all, 1 for some, 0 for none').

    A legend in brackets behind a verdict ('2 (0: none, 1: some, 2: all)') makes no list of it.
    """
    if not (number.criterion or number.heading) or _LEGEND.match(text, number.end):
        return False
    paragraph = text[number.end : number.end + _CRITERIA_REACH].split("\n\n", 1)[0]
    return any(int(other["other"]) != number.score for other in _OTHER_CRITERION.finditer(paragraph))


_LABEL = re.compile(
    r"(?i)(?P<strong>(?<![^\W_])(?:scores|scored?|ratings?|verdict|grade|boxed)(?![^\W_])|评分|得分|分数|打分|スコア|点数|점수|평점"
    r"|puntuación|puntaje|pontuação|punteggio|bewertung|punktzahl|wertung|оценка|балл(?!\w)|النتيجة|الدرجة)"
    r"|\b(?P<weak>answer|result|judge?ment|evaluation|assessment|conclusion|completeness|preciseness|precision"
    r"|consistency|quality[ _]accuracy|accuracy)\b"
)
_DIMENSION = re.compile(r"completeness|precis|consistency|accuracy", re.IGNORECASE)
# 'Score (0-2): 1', 'Score (Completeness): 2', 'Score (out of 2) 1'
_ASIDE = re.compile(r"\s?\([^()\n]{1,100}\)(?=\s?(?::|-\s|is\b|are\b)|\s\d)")
_LINK = re.compile(
    r"(?i)\)?\s?(?:(?P<sign>:[\s:]*|-\s?)|(?P<word>is|are|was|of|as|at|to be|(?:would|should|will|must) be|为|是|は|는"
    r"|은)(?![a-z])\s?:?\s?(?:an? |the )?|(?P<below>\n\s*)|\s)"
)
_FILLER = re.compile(
    r"(?i)(?P<words>(?: [a-z_'()]{1,20}){1,7}?)(?:(?P<sign>\s?:)|(?: (?:is|be|as|at|to|of|with|an?)){0,2})\s?(?=\(?\d)"
)
_TURNS_SENSE = re.compile(
    r"(?i)\b(?:not|cannot|never|from|ranges?|scale|between|if|for each|whether|either|only|criteri\w*|means"
    r"|system)\b|n't"
)
_SCALE_BEFORE = re.compile(r"\b(?:max(?:imum)?|min(?:imum)?|possible|highest|lowest|full|top|perfect|best)[ _]\Z")
_SCALE_AFTER = re.compile(r"[\s_](?:range|scale|scheme|system|criteri|rubric|guide|definition|option|level|between)")
_NEGATED = re.compile(
    r"(?:\b(?:not|cannot|never|without|rather than|instead of|neither|nor|avoid|if|between)\b|n't|n’t)[^.!?\n:;]{0,40}$"
)
_ASKED = re.compile(r"\b(?:please|must|only|format|provide|respond with|reply with|output)\b[^.!?\n]{0,60}$|\brate $")
_NO_VALUE = re.compile(
    r"(?i)\(?(?:[<>≥≤≈~]|(?:n/?a|none|null|nan|unknown|undefined|undetermined|unable|cannot"
    r"|not (?:applicable|available|given|sure)|between|at least|at most|less than|more than|around|approximately|about"
    r"|nearly|almost|three|four|five|ten)\b)"
)
_LIST_ITEM = re.compile(r"\s*\d+[.)][ \t]\S")
_CRITERION_HEADINGS = re.compile(r"\bscore (\d)\)?\s?(?::|-\s|\()", re.IGNORECASE)
_VERB = re.compile(
    r"(?i)\b(?:giv(?:e|en|es|ing)|gave|rat(?:e|ed|es|ing)|assign(?:ed|s|ing)?|award(?:ed|s|ing)?|deserv(?:e|es|ed|ing)"
    r"|earn(?:s|ed)?|merits?|warrants?|receiv(?:e|es|ed)|gets?|choose|select|mark(?:ed)?)"
    r"(?: (?!not\b|never\b|between\b|from\b)[a-z'’]{1,20}){0,5}?\s?:? (?:an? )?(?=\(?\d)"
)
_FRACTION = re.compile(r"(?<![\w./])(?=\d{1,20}(?:[.,]\d{1,20})?\s?(?:/|(?:points? )?out of)\s?2(?![\w/]|[.,]\d))")
_OPENING = re.compile(r"\(?(?P<score>[012])\)?\s?(?::|-(?!\d)|\(|,(?!\s?\d))\s?(?=[A-Za-z])")
_NUMBERED_LINE = re.compile(r"^\W{0,6}\d+\s?[-:.),(]", re.MULTILINE)
_SCORE_KEYS = ("score", "final_score", "finalscore", "rating", "verdict", "grade", "result", "answer")
_DIMENSION_KEYS = ("completeness", "preciseness", "precision", "consistency", "quality_accuracy", "accuracy")
_WINDOW = 80
_LONGEST_BARE = 60


class _Statement(NamedTuple):
    """A statement of a score (None: there, but no valid verdict), and the dimension that it names."""

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
    if len({statement.score for statement in vague if statement.dimension}) > 1:
        return None
    last = _last_statement(vague)
    return last.score if last else None


def _last_clear(text: str) -> _Statement | None:
    return _last_statement([*_labelled(text, weak=False), *_bare_lines(text)])


def _last_statement(statements: Sequence[_Statement]) -> _Statement | None:
    return max(statements, key=lambda statement: statement.start, default=None)


def _from_json(text: str) -> tuple[bool, int | None]:
    """Whether the whole reply is one JSON object that names a score, and that score."""
    _, value = _whole_object(text)
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
    number = _number(value)
    return number if number in (0, 1, 2) else None


def _labelled(text: str, weak: bool) -> Iterator[_Statement]:
    for label in _LABEL.finditer(text):
        if (label["weak"] is not None) is not weak:
            continue
        before = text[max(0, label.start() - _WINDOW) : label.start()].lower()
        if _SCALE_BEFORE.search(before) or _SCALE_AFTER.match(text, label.end()):
            continue
        aside = _ASIDE.match(text, label.end())
        number = _value(text, aside.end() if aside else label.end(), before, weak)
        if number:
            dimension = label.group().lower() if _DIMENSION.match(label.group()) else ""
            yield _Statement(label.start(), number.score, dimension)


def _value(text: str, at: int, before: str, weak: bool) -> _Number | None:
    """The number that a label leads to, None where the label leads nowhere or the words are a rubric's."""
    link = _LINK.match(text, at)
    if link is None:
        return None
    explicit = bool(link["sign"])
    number = _read_number(text, link.end(), labelled=explicit)
    if number is None:
        if explicit and not weak and _NO_VALUE.match(text, link.end()):
            return _Number(None, link.end())
        return None if weak else _value_after_words(text, at, before)
    # 'Score -1' is a negative number, 'Score - 1' and 'Score-1' are not.
    if link["sign"] == "-" and text[at : at + 1].isspace():
        number = _Number(None, number.end)
    if "\n" in link.group() and (_LIST_ITEM.match(text, link.end() - 1) or not (explicit or _ends_line(text, number))):
        return None
    if explicit:
        return None if _is_enumerated(text, number) or (weak and not number.settled) else number
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
        headings = zip(range(20), _CRITERION_HEADINGS.finditer(text), strict=False)
        return len({heading[1] for _, heading in headings}) > 1
    return False


def _bare_lines(text: str) -> Iterator[_Statement]:
    """The first and the last line with words or digits, where such a line holds a verdict and nothing else."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return
    last = _bare(lines[-1])
    if last:
        yield _Statement(text.rfind(lines[-1]), last.score)
    # '1.' at the top may open a list; '10' at the top is no verdict of this kind.
    first = _bare(lines[0]) if len(lines) > 1 else None
    if first and first.score is not None and not lines[0].rstrip().endswith("."):
        yield _Statement(text.find(lines[0]), first.score)


def _bare(line: str) -> _Number | None:
    inside = line.strip(" ()~:'\t\r")
    number = _read_number(inside, 0, labelled=False) if len(inside) <= _LONGEST_BARE else None
    return None if number is None or number.several or inside[number.end :].strip(" ).!。:~") else number


def _in_sentences(text: str) -> Iterator[_Statement]:
    for pattern in (_VERB, _FRACTION):
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - _WINDOW) : match.start()].lower()
            number = _read_number(text, match.end(), labelled=False)
            if number is None or not number.settled or _NEGATED.search(before) or _ASKED.search(before):
                continue
            if not _is_enumerated(text, number):
                yield _Statement(match.start(), number.score)


def _opening(text: str) -> Iterator[_Statement]:
    """'2 - fully covered' opens a reply; a numbered list opens with the same signs, but goes on."""
    text = text.lstrip()
    opening = _OPENING.match(text)
    if opening and sum(1 for _ in zip(range(2), _NUMBERED_LINE.finditer(text), strict=False)) < 2:
        number = _read_number(text, 0, labelled=False)
        if number and not _is_enumerated(text, number):
            yield _Statement(0, int(opening["score"]))


NO_COMPLETION = "the server's reply is no chat completion"
EMPTY = "the judge's reply is empty"
NO_VERDICT = "no verdict in the judge's reply"
EMPTY_EXTRACTION = "the extractor's reply is empty"
NO_LETTER = "no valid last line in the extractor's reply"

# The line that ends an extractor's reply.
_LABELLED = re.compile(
    r"[\s:(#-]{0,8}(?:(?:my|the) )?(?:final )?answer\s?(?:is\b|:)[\s:]{0,8}(?P<answer>.*)", re.IGNORECASE
)
# As they look without markup: '<|im_end|>' has become '<:im_end:>'.
_TOKENS = r"(?:</[a-z]{1,10}>\s?|<:\w{1,40}:>\s?|<(?:eos|im_end|end_of_turn)>\s?){0,3}"
_OPENED = r"\s?(?:boxed: )?[\s:(]{0,4}"
_CHOICE = rf"(?P<choice>[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}"
_BARE = re.compile(_OPENED + _CHOICE)
_ANSWER = re.compile(f"{_OPENED}(?:option )?{_CHOICE}", re.IGNORECASE | re.ASCII)
_QUOTED_LINES = re.compile(r'"[^"]*"|“[^”]*”|```[^`]*```')

# Objects are looked for at so many opening braces of a kind, the last ones of a reply: each may take a look at the
# whole rest of it.
_MOST_OBJECTS = 50
_BRACE = re.compile(r"\{")
# Inside of a JSON string a quote is escaped: no sentence of a judge's, whatever it quotes, holds this.
_NAMES = "|".join(DIMENSIONS).replace("_", "[ _]")
_SPEAKING_BRACE = re.compile(rf'\{{\s{{0,50}}"\s{{0,5}}(?:{_NAMES})', re.IGNORECASE)
# Keys behind an object are those of another one, which was not closed around it or not understood.
_GOES_ON = re.compile(rf'"(?:score|{_NAMES})"\s{{0,5}}:', re.IGNORECASE)
_REASON = re.compile(r'"reason"\s{0,5}:\s{0,5}"', re.IGNORECASE)
_SCORE_KEY = re.compile(r'"score"\s{0,5}:', re.IGNORECASE)
_SCORE_TEXT = re.compile(r"\s*([012])(?:\.0{1,20})?\s*")
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Reading:
    """What one text says: allowed scores by dimension, sentences on them, and why some are missing."""

    scores: Mapping[str, int] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def read_reply(text: str | None, allowed: Mapping[str, Sequence[int]]) -> Reading:
    """The verdicts in a reply to one call.

    Args:
        text: the reply, of any length; None where the server sent no chat completion.
        allowed: by dimension, the scores that it may have; of several the reply is to be one JSON object.
    """
    if text is None:
        return Reading(reason=NO_COMPLETION)
    if not text.strip():
        return Reading(reason=EMPTY_EXTRACTION if CHOICE in allowed else EMPTY)
    if len(allowed) > 1:
        return _read_object(text, allowed)
    ((dimension, scores),) = allowed.items()
    if dimension == CHOICE:
        return _read_choice(text, scores)
    score = parse_score(text)
    if score is None:
        return Reading(reason=NO_VERDICT)
    if score not in scores:
        return Reading(reason=_not_allowed(score, scores))
    return Reading({dimension: score})


def _not_allowed(score: int, allowed: Sequence[int]) -> str:
    number = str(score) if abs(score) < 10**_LONGEST_NUMBER else f"of more than {_LONGEST_NUMBER} digits"
    return f"the judge's verdict {number} is not one of {', '.join(map(str, allowed))}"


def _read_choice(reply: str, allowed: Sequence[int]) -> Reading:
    letter = parse_choice(reply)
    if letter is None:
        return Reading(reason=NO_LETTER)
    if (number := number_of(letter)) not in allowed:
        return Reading(reason=f"the extractor's answer {letter} is not one of {choices(allowed)}")
    return Reading({CHOICE: number})


def _read_object(reply: str, allowed: Mapping[str, Sequence[int]]) -> Reading:
    """The last JSON object of a reply that speaks of any of the dimensions.

    None counts where that one stands inside of a line and another, at the beginning of one, says something else; nor
    where it stands inside of a sentence of an object that is broken or cut off.
    """
    text, whole = _whole_object(reply)
    # An object that is all of the reply has no thoughts around it; a tag in its sentences is only spoken about.
    if whole is None:
        text = without_thoughts(reply) or ""
    speaking = [entry for entry in _objects(text) if set(entry[2]) & set(allowed)]
    if not speaking:
        return Reading(reason=NO_VERDICT)
    start, end, last = speaking[0]
    reading = _read_entries(last, allowed)
    # A sentence goes on where no score has followed the last reason that began before the object.
    reason = max((reason.end() for reason in _REASON.finditer(text, 0, start)), default=None)
    in_sentence = reason is not None and not _SCORE_KEY.search(text, reason, start)
    if in_sentence or _GOES_ON.search(text, end):
        return Reading(reason=NO_VERDICT)
    if not _begins_line(text, start):
        own = next((entries for at, _, entries in speaking[1:] if _begins_line(text, at)), last)
        if _read_entries(own, allowed).scores != reading.scores:
            return Reading(reason=NO_VERDICT)
    return reading


def _read_entries(entries: Mapping[str, Any], allowed: Mapping[str, Sequence[int]]) -> Reading:
    scores, explanations, wrong = {}, {}, []
    for dimension, values in allowed.items():
        entry = entries.get(dimension)
        score = _number(entry.get("score") if isinstance(entry, dict) else entry)
        if isinstance(entry, dict) and isinstance(reason := entry.get("reason"), str):
            # Lone surrogates, which no file can hold, become question marks.
            explanations[dimension] = reason.encode("utf-8", errors="replace").decode("utf-8")
        if score is None:
            wrong.append(f"no verdict on {dimension}")
        elif score not in values:
            wrong.append(f"{dimension}: {_not_allowed(score, values)}")
        else:
            scores[dimension] = score
    return Reading(scores, explanations, "; ".join(wrong) or None)


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip(" \t`json")


def _whole_object(text: str) -> tuple[str, dict[str, Any] | None]:
    """A reply without the fence around it, and the JSON object that it is, if it is one."""
    body = re.sub(r"^```[a-zA-Z]{0,10}", "", text.strip()).removesuffix("```").strip()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body, None
    return body, value if isinstance(value, dict) else None


def _number(value: Any) -> int | None:
    """A whole number, also written as 2.0 or '2'; true and false are none."""
    if isinstance(value, str) and (written := _SCORE_TEXT.fullmatch(value)):
        return int(written[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _objects(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    """JSON objects in a text with their places, keys as names of dimensions are written, the last first; one inside
    another comes after it."""
    decoder = json.JSONDecoder()
    braces = [brace for kind in (_BRACE, _SPEAKING_BRACE) for brace in deque(kind.finditer(text), _MOST_OBJECTS)]
    objects = []
    for start in {brace.start() for brace in braces}:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            objects.append((start, end, {key.strip().lower().replace(" ", "_"): value[key] for key in value}))
    return sorted(objects, key=lambda entry: (entry[1], -entry[0]), reverse=True)


def parse_choice(reply: str) -> str | None:
    """The letter that a reply names in its last line, in upper case, or 'NONE'; None where there is no valid one.

    Args:
        reply: the extractor's reply, of any length.
    """
    spoken = spoken_text(reply)
    last = None if spoken is None else _last(plain_verdict(spoken))
    if spoken is None or last is None:
        return None
    # What a quotation says last is the words of somebody else where the extractor's own are others.
    own = _last(plain_verdict(_QUOTED_LINES.sub(" ", without_quotations(spoken))))
    choice = _choice(last)
    return choice if own is None or not re.search(r"\w", own) or _choice(own) == choice else None


def _last(text: str) -> str | None:
    """What the last answer line holds behind its label, None where there is no such line."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return None
    if _BARE.fullmatch(lines[-1]):
        return lines[-1]
    labelled = next((match for line in reversed(lines) if (match := _LABELLED.fullmatch(line))), None)
    return labelled["answer"] if labelled else None


def _choice(answer: str) -> str | None:
    match = _ANSWER.fullmatch(answer)
    return match["choice"].upper() if match else None
