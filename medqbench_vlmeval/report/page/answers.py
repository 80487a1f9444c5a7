"""One run's answer to one sample, as the page's script reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.report.runs import mapping, number, text
from medqbench_vlmeval.tasks import DIMENSIONS, Task

RIGHT, WRONG, NO_ANSWER, NO_REPLY = "right", "wrong", "no answer", "no reply"
SOUND, FAULTY, UNSCORED = "no error found", "with errors", "unscored"
_LOW = 0.5  # a score that counts as an error where a result of an earlier version does not name errors


def answer_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Reply, what was read from it or how it was judged, and how it came out; what is absent is left out.

    ``outcome`` is one of the constants of this module, and ``bad`` says that it failed: a wrong letter or none, or a
    judged reply with an error that can be told.
    """
    perception = row.get("task") == Task.PERCEPTION.value
    named = row.get("error_kinds")
    kinds = list(dict.fromkeys(map(str, named))) if isinstance(named, (list, tuple)) else None
    told = {
        "reply": text(row.get("prediction")) or "",
        "cut": row.get("prediction_cut") is True or None,
        "unscored": text(row.get("unscored")),
        "kinds": kinds or None,
        **(_perception(row) if perception else _reasoning(row, kinds)),
    }
    return {name: value for name, value in told.items() if value is not None}


def _perception(row: Mapping[str, Any]) -> dict[str, Any]:
    right = row.get("correct") is True
    letter = text(row.get("extracted"))
    outcome = RIGHT if right else NO_REPLY if row.get("unscored") else NO_ANSWER if letter is None else WRONG
    asked = mapping(row.get("extractor"))
    return {
        "outcome": outcome,
        "bad": not right,
        "letter": letter,
        "rule": text(row.get("rule")),
        "extractor": {name: value for name in _EXTRACTOR if (value := text(asked.get(name)))} or None,
    }


def _reasoning(row: Mapping[str, Any], kinds: list[str] | None) -> dict[str, Any]:
    verdicts = mapping(row.get("verdicts"))
    scores = mapping(row.get("scores"))
    if kinds is None:
        low = [score for name in DIMENSIONS if (score := number(scores.get(name))) is not None and score <= _LOW]
        bad = bool(low)
    else:
        bad = bool(kinds)
    outcome = UNSCORED if row.get("unscored") else FAULTY if bad else SOUND
    conclusion = mapping(row.get("conclusion"))
    told = [_verdict(name, mapping(verdicts.get(name)), number(scores.get(name))) for name in DIMENSIONS]
    replies: dict[str, int] = {}
    for place, verdict in enumerate(told):
        # One reply on all four dimensions is held once.
        if (reply := verdict.get("reply")) is not None and replies.setdefault(reply, place) != place:
            verdict["same"] = replies[verdict.pop("reply")]
    return {
        "outcome": outcome,
        "bad": bad,
        "sum": number(row.get("score")),
        "verdicts": told,
        "stated": text(conclusion.get("stated")),
        "reference": text(conclusion.get("reference")),
    }


_EXTRACTOR = ("letter", "reason", "reply", "judge", "note")
_VERDICT = ("reason", "reply", "judge", "explanation", "note")


def _verdict(name: str, verdict: Mapping[str, Any], score: float | None) -> dict[str, Any]:
    told: dict[str, Any] = {"of": name}
    given = number(verdict.get("score"))
    if (value := given if given is not None else score) is not None:
        told["score"] = value
    told.update({key: words for key in _VERDICT if (words := text(verdict.get(key)))})
    parts = mapping(verdict.get("parts"))
    if parts:
        told["parts"] = [_verdict(str(part), mapping(found), None) for part, found in parts.items()]
    return told
