"""A model's reply to a call -> what it says: a score in words (:mod:`.verdict`), scores of several dimensions in one
JSON object, or the letter in an extractor's last line."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medqbench_vlmeval.answers.plain import plain_verdict, spoken_text, without_quotations, without_thoughts
from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.judge.protocols import CHOICE, choices, number_of
from medqbench_vlmeval.judge.verdict import parse_score, whole_number, whole_object

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
    text, whole = whole_object(reply)
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
        score = whole_number(entry.get("score") if isinstance(entry, dict) else entry)
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
