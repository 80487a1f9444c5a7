"""A judge's reply to one call -> the scores that it gives, dimension by dimension."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medqbench_vlmeval.judge.calls import Call
from medqbench_vlmeval.judge.verdict import parse_score
from medqbench_vlmeval.judge.verdict_text import without_thoughts

NO_COMPLETION = "the server's reply is no chat completion"
EMPTY = "the judge's reply is empty"
NO_VERDICT = "no verdict in the judge's reply"

# Objects are looked for at these many opening braces, the last ones of a reply.
_MOST_OBJECTS = 50


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
        return Reading(reason=EMPTY)
    if call.structured:
        return _read_object(reply, call.allowed)
    ((dimension, allowed),) = call.allowed.items()
    score = parse_score(reply)
    if score is None:
        return Reading(reason=NO_VERDICT)
    if score not in allowed:
        return Reading(reason=_not_allowed(score, allowed))
    return Reading({dimension: score})


def _read_object(reply: str, allowed: Mapping[str, Sequence[int]]) -> Reading:
    """The last JSON object of a reply that speaks of any of the dimensions."""
    spoken = without_thoughts(reply)
    for found in _objects(spoken or ""):
        said = {_name(key): value for key, value in found.items()}
        if not set(said) & set(allowed):
            continue
        scores, explanations, wrong = {}, {}, []
        for dimension, values in allowed.items():
            entry = said.get(dimension)
            score = entry.get("score") if isinstance(entry, dict) else entry
            if isinstance(score, str) and score.strip() in ("0", "1", "2"):
                score = int(score)
            if isinstance(entry, dict) and isinstance(entry.get("reason"), str):
                explanations[dimension] = entry["reason"]
            if isinstance(score, bool) or not isinstance(score, int):
                wrong.append(f"no verdict on {dimension}")
            elif score not in values:
                wrong.append(f"{dimension}: {_not_allowed(score, values)}")
            else:
                scores[dimension] = score
        return Reading(scores, explanations, "; ".join(wrong) or None)
    return Reading(reason=NO_VERDICT)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, the last first; one inside another comes after it."""
    decoder = json.JSONDecoder()
    starts = [i for i, character in enumerate(text) if character == "{"][-_MOST_OBJECTS:]
    ends: list[tuple[int, int, dict[str, Any]]] = []
    for start in starts:
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            ends.append((end, -start, found))
    yield from (found for *_, found in sorted(ends, key=lambda one: one[:2], reverse=True))


def _name(key: str) -> str:
    return key.strip().lower().replace(" ", "_")


def _not_allowed(score: int, allowed: Sequence[int]) -> str:
    return f"the judge's verdict {score} is not one of {', '.join(map(str, allowed))}"
