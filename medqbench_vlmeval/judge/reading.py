"""A judge's reply to one call -> the scores that it gives, dimension by dimension."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medqbench_vlmeval.judge.calls import Call
from medqbench_vlmeval.judge.choice import CHOICE, number_of, shown
from medqbench_vlmeval.judge.choice_reply import parse_choice
from medqbench_vlmeval.judge.verdict import parse_score
from medqbench_vlmeval.judge.verdict_text import without_thoughts
from medqbench_vlmeval.tasks import DIMENSIONS

NO_COMPLETION = "the server's reply is no chat completion"
EMPTY = "the judge's reply is empty"
NO_VERDICT = "no verdict in the judge's reply"
EMPTY_EXTRACTION = "the extractor's reply is empty"
NO_LETTER = "no valid last line in the extractor's reply"

# Objects are looked for at so many opening braces of a kind, the last ones of a reply: each may take a look at the
# whole rest of it.
_MOST_OBJECTS = 50
_BRACE = re.compile(r"\{")
# Inside of a JSON string a quote is escaped: no sentence of a judge's, whatever it quotes, holds this.
_SPEAKING_BRACE = re.compile(rf'\{{\s{{0,50}}"\s{{0,5}}(?:{"|".join(DIMENSIONS).replace("_", "[ _]")})', re.IGNORECASE)
# Keys behind an object are those of another one, which was not closed around it or not understood.
_GOES_ON = re.compile(rf'"(?:score|{"|".join(DIMENSIONS).replace("_", "[ _]")})"\s{{0,5}}:', re.IGNORECASE)
_REASON = re.compile(r'"reason"\s{0,5}:\s{0,5}"', re.IGNORECASE)
_SCORE_KEY = re.compile(r'"score"\s{0,5}:', re.IGNORECASE)
_SCORE_TEXT = re.compile(r"\s*([012])(?:\.0{1,20})?\s*")
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Reading:
    """Allowed scores by dimension, the judge's sentences on them, and why some are missing (None: all are there)."""

    scores: Mapping[str, int] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def read_reply(reply: str | None, call: Call) -> Reading:
    """Read a reply; None stands for a server's answer that was no reply at all."""
    if reply is None:
        return Reading(reason=NO_COMPLETION)
    if not reply.strip():
        return Reading(reason=EMPTY_EXTRACTION if CHOICE in call.allowed else EMPTY)
    if call.structured:
        return _read_object(reply, call.allowed)
    ((dimension, allowed),) = call.allowed.items()
    if dimension == CHOICE:
        return _read_choice(reply, allowed)
    score = parse_score(reply)
    if score is None:
        return Reading(reason=NO_VERDICT)
    if score not in allowed:
        return Reading(reason=_not_allowed(score, allowed))
    return Reading({dimension: score})


def _read_choice(reply: str, allowed: Sequence[int]) -> Reading:
    said = parse_choice(reply)
    if said is None:
        return Reading(reason=NO_LETTER)
    number = number_of(said)
    if number not in allowed:
        return Reading(reason=f"the extractor's answer {said} is not one of {shown(allowed)}")
    return Reading({CHOICE: number})


def _read_object(reply: str, allowed: Mapping[str, Sequence[int]]) -> Reading:
    """The last JSON object of a reply that speaks of any of the dimensions.

    None counts where that one stands inside of a line and another, at the beginning of one, says something else; nor
    where it stands inside of a sentence of an object that is broken or cut off.
    """
    text = _spoken(reply)
    speaking = ((start, end, said) for start, end, said in _objects(text) if set(said) & set(allowed))
    start, end, said = next(speaking, (0, 0, {}))
    if not said or _GOES_ON.search(text, end) or _in_sentence(text, start):
        return Reading(reason=NO_VERDICT)
    reading = _read_entries(said, allowed)
    if not _begins_line(text, start):
        own = next((said for at, _, said in speaking if _begins_line(text, at)), said)
        if _read_entries(own, allowed).scores != reading.scores:
            return Reading(reason=NO_VERDICT)
    return reading


def _read_entries(said: Mapping[str, Any], allowed: Mapping[str, Sequence[int]]) -> Reading:
    scores, explanations, wrong = {}, {}, []
    for dimension, values in allowed.items():
        entry = said.get(dimension)
        score = _number(entry.get("score") if isinstance(entry, dict) else entry)
        if isinstance(entry, dict) and isinstance(entry.get("reason"), str):
            explanations[dimension] = _sendable(entry["reason"])
        if score is None:
            wrong.append(f"no verdict on {dimension}")
        elif score not in values:
            wrong.append(f"{dimension}: {_not_allowed(score, values)}")
        else:
            scores[dimension] = score
    return Reading(scores, explanations, "; ".join(wrong) or None)


def _in_sentence(text: str, at: int) -> bool:
    """Whether the last reason that begins before a place has not ended there: no score has followed it."""
    begun = max((found.end() for found in _REASON.finditer(text, 0, at)), default=None)
    return begun is not None and not _SCORE_KEY.search(text, begun, at)


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip(" \t`json")


def _spoken(reply: str) -> str:
    """The reply without what was thought aloud. An object that is all of the reply has no thoughts around it, and
    a tag in one of its sentences is only spoken about."""
    body = re.sub(r"^```[a-zA-Z]{0,10}", "", reply.strip()).removesuffix("```").strip()
    try:
        if isinstance(json.loads(body), dict):
            return body
    except (ValueError, RecursionError):
        pass
    return without_thoughts(reply) or ""


def _number(value: Any) -> int | None:
    """A whole number, also written as 2.0 or '2'; true and false are none."""
    if isinstance(value, str) and (written := _SCORE_TEXT.fullmatch(value)):
        return int(written[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _objects(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """JSON objects in a text with their places, keys as names of dimensions are written, the last first; one inside
    another comes after it."""
    decoder = json.JSONDecoder()
    kinds = (_BRACE, _SPEAKING_BRACE)
    starts = {at for brace in kinds for at in deque((found.start() for found in brace.finditer(text)), _MOST_OBJECTS)}
    ends: list[tuple[int, int, dict[str, Any]]] = []
    for start in starts:
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            ends.append((end, -start, found))
    for end, before, found in sorted(ends, key=lambda one: one[:2], reverse=True):
        yield -before, end, {_name(key): value for key, value in found.items()}


def _name(key: str) -> str:
    return key.strip().lower().replace(" ", "_")


def _sendable(text: str) -> str:
    """Lone surrogates, which no file can hold, become question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _not_allowed(score: int, allowed: Sequence[int]) -> str:
    shown = str(score) if abs(score) < 10**_LONGEST_NUMBER else f"of more than {_LONGEST_NUMBER} digits"
    return f"the judge's verdict {shown} is not one of {', '.join(map(str, allowed))}"
