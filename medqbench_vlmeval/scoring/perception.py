"""Accuracy of the multiple-choice task, overall and along every axis that the data has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.records import Extraction, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.scoring.accuracy import accuracy_cell, is_right
from medqbench_vlmeval.scoring.axes import broken_down, ranked
from medqbench_vlmeval.scoring.intervals import CLUSTER_ROBUST, LEVEL, WILSON, clipped, mean_interval
from medqbench_vlmeval.scoring.shared_images import shared_images
from medqbench_vlmeval.tasks import QUESTION_TYPES

_AXES = ("question_type", "modality", "severity", "scope", "source", "degradation")
_CROSSED = (("modality", "question_type"), ("modality", "severity"), ("question_type", "severity"))


def score_perception(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Extraction]
) -> dict[str, Any]:
    """Accuracies in percent (0-100) with counts and intervals; the three sequences are parallel.

    ``Overall`` is the micro-average over all questions, as in the published table (459 + 156 + 285 of
    1,305 is GPT-5's 68.97). A question without an answer counts as wrong and is counted apart, and so does a
    failed or missing inference. Where a cell has no question its accuracy is None, never 0.

    Every cell has Wilson's interval, which takes questions as independent. Several questions share an image, so
    ``intervals`` has ``clustered`` beside it: Overall's interval with the questions of one image taken together
    (:func:`~.intervals.mean_interval`), and ``n_clusters``. ``few`` marks cells of fewer than ten questions.
    """
    correct = [is_right(sample, extraction.letter) for sample, extraction in zip(samples, extractions, strict=True)]
    unanswered = [extraction.letter is None for extraction in extractions]

    def cell(positions: Sequence[int]) -> dict[str, Any]:
        return accuracy_cell(len(positions), sum(correct[i] for i in positions), sum(unanswered[i] for i in positions))

    groups = broken_down(samples, _AXES, _CROSSED, cell)
    overall = cell(range(len(samples)))
    headline = {kind: groups.get("question_type", {}).get(kind, cell([])) for kind in QUESTION_TYPES}
    status = Counter(prediction.status for prediction in predictions)
    shared = shared_images(samples)
    clustered = clipped(mean_interval([float(one) for one in correct], shared.clusters), 0, 1)
    return {
        "Overall": overall["accuracy"],
        **{kind: found["accuracy"] for kind, found in headline.items()},
        "n": overall["n"],
        "n_correct": overall["n_correct"],
        "n_unanswered": overall["n_unanswered"],
        "n_inference_failed": status[PredictionStatus.INFERENCE_FAILED],
        "n_missing": status[PredictionStatus.MISSING],
        "n_cut": sum(prediction.cut for prediction in predictions),
        "few": overall["few"],
        "intervals": {
            "level": LEVEL,
            "method": f"{WILSON}; clustered: {CLUSTER_ROBUST}, {shared.words}",
            "Overall": [overall["low"], overall["high"]],
            **{kind: [found["low"], found["high"]] for kind, found in headline.items()},
            "clustered": {
                "Overall": None if clustered is None else [100 * end for end in clustered],
                "n_clusters": shared.count(range(len(samples))),
            },
        },
        "groups": groups,
        "rules": ranked(Counter(extraction.rule for extraction in extractions)),
    }
