"""The lines of ``_samples.jsonl``: everything that is known of one sample, as plain JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from medqbench_vlmeval.data.imagerefs import image_names
from medqbench_vlmeval.records import Choice, Extraction, JudgedSample, Prediction, PredictionStatus, Sample, Verdict
from medqbench_vlmeval.scoring.accuracy import is_right
from medqbench_vlmeval.scoring.conclusions import read_conclusion
from medqbench_vlmeval.scoring.findings import perception_error_kinds, reasoning_error_kinds
from medqbench_vlmeval.scoring.reasoning import unscored_reason

_NOT_READ = {
    PredictionStatus.INFERENCE_FAILED: "inference failed",
    PredictionStatus.MISSING: "prediction missing",
}


def not_read(prediction: Prediction) -> str | None:
    """Why there is no reply to read, or None when there is one."""
    return _NOT_READ.get(prediction.status)


def _common(sample: Sample, prediction: Prediction) -> dict[str, Any]:
    return {
        "index": sample.index,
        "task": sample.task.value,
        "modality": sample.modality,
        "question_type": sample.question_type,
        "severity": sample.severity,
        "scope": sample.scope,
        "source": sample.source,
        "difficulty": sample.difficulty,
        "degradation": sample.degradation,
        "images": list(image_names(sample)),
        "question": sample.question,
        "prediction": prediction.text,
        "prediction_cut": prediction.cut,
    }


def perception_row(
    sample: Sample, prediction: Prediction, extraction: Extraction, choice: Choice | None = None
) -> dict[str, Any]:
    """One multiple-choice sample. ``unscored`` is set where there was no reply; the sample counts as wrong.

    ``extractor`` is there where one was asked (``choice``) and changes nothing else.
    """
    return {
        **_common(sample, prediction),
        "options": dict(sample.options),
        "answer": sample.answer,
        "extracted": extraction.letter,
        "rule": extraction.rule,
        "correct": is_right(sample, extraction.letter),
        "error_kinds": perception_error_kinds(sample, prediction, extraction),
        "unscored": not_read(prediction),
        **({} if choice is None else {"extractor": _choice_row(choice)}),
    }


def _choice_row(choice: Choice) -> dict[str, Any]:
    names = ("letter", "reason", "reply", "prompt_sha256", "judge", "asks", "from_cache")
    return {**{name: getattr(choice, name) for name in names}, **({"note": choice.note} if choice.note else {})}


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    """One verdict; of several rounds or judges each one stands under 'parts' as well."""
    row: dict[str, Any] = {
        "score": verdict.score,
        "reason": verdict.reason,
        "reply": verdict.reply,
        "prompt_sha256": verdict.prompt_sha256,
        "judge": verdict.judge,
        "asks": verdict.asks,
        "from_cache": verdict.from_cache,
    }
    for name in ("explanation", "note"):
        if getattr(verdict, name):
            row[name] = getattr(verdict, name)
    if verdict.parts:
        row["parts"] = {name: _verdict_row(part) for name, part in verdict.parts.items()}
    return row


def reasoning_row(sample: Sample, prediction: Prediction, judged: JudgedSample) -> dict[str, Any]:
    """One judged sample; ``score`` is the sum of its four verdicts (0-8), None while one is missing."""
    verdicts = {dimension: _verdict_row(verdict) for dimension, verdict in judged.verdicts.items()}
    scores = {dimension: verdict.score for dimension, verdict in judged.verdicts.items() if verdict.score is not None}
    why = unscored_reason(judged)
    return {
        **_common(sample, prediction),
        "description": sample.description,
        "verdicts": verdicts,
        "scores": scores,
        "conclusion": asdict(read_conclusion(sample, prediction)),
        "error_kinds": reasoning_error_kinds(sample, prediction, judged),
        "score": math.fsum(scores.values()) if why is None else None,
        "unscored": why,
    }
