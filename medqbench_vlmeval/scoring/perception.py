"""Accuracy of the multiple-choice task, overall and along every axis that the data has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.records import Extraction, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.scoring.axes import positions_by
from medqbench_vlmeval.scoring.intervals import LEVEL, wilson
from medqbench_vlmeval.tasks import QUESTION_TYPES

_AXES = ("question_type", "modality", "severity", "scope", "source", "degradation")


def score_perception(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Extraction]
) -> dict[str, Any]:
    """Accuracies in percent (0-100) with counts and Wilson intervals; the three sequences are parallel.

    ``Overall`` is the micro-average over all questions, as in the published table (459 + 156 + 285 of
    1,305 is GPT-5's 68.97). A question without an answer counts as wrong and is counted apart, and so does a
    failed or missing inference. Where a cell has no question its accuracy is None, never 0.
    """
    correct = [
        extraction.letter is not None and extraction.letter == sample.answer
        for sample, extraction in zip(samples, extractions, strict=True)
    ]
    unanswered = [extraction.letter is None for extraction in extractions]

    def cell(positions: Sequence[int]) -> dict[str, Any]:
        n = len(positions)
        n_correct = sum(correct[i] for i in positions)
        low, high = (100 * end for end in wilson(n_correct, n)) if n else (None, None)
        return {
            "accuracy": 100 * n_correct / n if n else None,
            "low": low,
            "high": high,
            "n": n,
            "n_correct": n_correct,
            "n_unanswered": sum(unanswered[i] for i in positions),
        }

    by_axis = {axis: positions_by(axis, samples) for axis in _AXES}
    groups: dict[str, Any] = {
        axis: {name: cell(positions) for name, positions in found.items()} for axis, found in by_axis.items() if found
    }
    if by_axis["modality"] and by_axis["question_type"]:
        groups["modality_x_question_type"] = {
            modality: {
                kind: cell(sorted(set(in_modality) & set(of_kind)))
                for kind, of_kind in by_axis["question_type"].items()
                if set(in_modality) & set(of_kind)
            }
            for modality, in_modality in by_axis["modality"].items()
        }
    overall = cell(range(len(samples)))
    headline = {kind: groups.get("question_type", {}).get(kind, cell([])) for kind in QUESTION_TYPES}
    status = Counter(prediction.status for prediction in predictions)
    return {
        "Overall": overall["accuracy"],
        **{kind: found["accuracy"] for kind, found in headline.items()},
        "n": overall["n"],
        "n_correct": overall["n_correct"],
        "n_unanswered": overall["n_unanswered"],
        "n_inference_failed": status[PredictionStatus.INFERENCE_FAILED],
        "n_missing": status[PredictionStatus.MISSING],
        "n_cut": sum(prediction.cut for prediction in predictions),
        "intervals": {
            "level": LEVEL,
            "method": "Wilson score",
            "Overall": [overall["low"], overall["high"]],
            **{kind: [found["low"], found["high"]] for kind, found in headline.items()},
        },
        "groups": groups,
        "rules": dict(Counter(extraction.rule for extraction in extractions).most_common()),
    }
