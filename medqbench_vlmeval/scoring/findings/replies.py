"""Replies without an answer and why, and replies that never came."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.records import Extraction, Prediction, PredictionStatus
from medqbench_vlmeval.scoring.conclusions import Conclusion
from medqbench_vlmeval.scoring.findings.finding import Finding, NotFound
from medqbench_vlmeval.scoring.findings.shares import share, share_finding, share_words
from medqbench_vlmeval.scoring.intervals import FEW

EMPTY, REFUSAL, NO_CONCLUSION = "empty", "refusal", "description without a conclusion"

# A refusal says so at its start; further on, 'cannot be assessed' is about a structure.
_START = 300
_DECLINES = re.compile(
    r"\b(?:sorry|apologi[sz]e)\b|\bas an ai\b|\bi(?: am|'m) an ai\b"
    r"|\b(?:i|we)(?: am| are|'m|'re)?\s(?:can't|cannot|can not|unable to|not able to|won't|will not|do not|don't)\s"
    r"(?:\w+\s){0,2}(?:assist|help|provide|answer|analy[sz]e|view|see|interpret|evaluate|assess|determine|comment|compare"
    r"|describe|process)\b"
    r"|\bno images? (?:was|were|is|are|has been|have been) (?:provided|attached|included)",
    re.IGNORECASE,
)


def no_answer(predictions: Sequence[Prediction], extractions: Sequence[Extraction]) -> Finding | NotFound:
    """Replies from which no letter can be read, by the rule that says why. Failed inferences are counted apart."""
    reasons = [
        None if extraction.letter is not None else extraction.rule
        for prediction, extraction in zip(predictions, extractions, strict=True)
        if prediction.status is PredictionStatus.OK
    ]
    return _rate(predictions, reasons, ("gives", "give"), "no answer that can be read")


def no_conclusion(predictions: Sequence[Prediction], conclusions: Sequence[Conclusion]) -> Finding | NotFound:
    """Replies that state no conclusion that can be read: empty ones, refusals, and descriptions without one."""
    reasons = [
        None if conclusion.stated is not None else _why(prediction.text)
        for prediction, conclusion in zip(predictions, conclusions, strict=True)
        if prediction.status is PredictionStatus.OK
    ]
    return _rate(predictions, reasons, ("states", "state"), "no conclusion that can be read")


def _why(text: str) -> str:
    if not text.strip():
        return EMPTY
    return REFUSAL if _DECLINES.search(text.lstrip()[:_START].replace("’", "'")) else NO_CONCLUSION


def _rate(
    predictions: Sequence[Prediction], reasons: Sequence[str | None], verbs: tuple[str, str], what: str
) -> Finding | NotFound:
    n = len(reasons)
    if n < FEW:
        return NotFound(f"fewer than {FEW} replies")
    status = Counter(prediction.status for prediction in predictions)
    found = Counter(reason for reason in reasons if reason is not None)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    rate = share(sum(found.values()), n)
    why = f": {', '.join(f'{reason} {count}' for reason, count in ranked)}" if ranked else ""
    lost = status[PredictionStatus.INFERENCE_FAILED] + status[PredictionStatus.MISSING]
    apart = f" Without a reply (inference failed or prediction missing): {lost} of {len(predictions)}." if lost else ""
    details: dict[str, Any] = {
        "reasons": {reason: share(count, n) for reason, count in ranked},
        "refusal": share(found[REFUSAL], n),
        "inference_failed": share(status[PredictionStatus.INFERENCE_FAILED], len(predictions)),
        "missing": share(status[PredictionStatus.MISSING], len(predictions)),
    }
    verb = verbs[rate["count"] != 1]
    statement = f"{rate['count']} of {n} replies ({share_words(rate)}) {verb} {what}{why}.{apart}"
    return share_finding("No answer", statement, rate, details)
