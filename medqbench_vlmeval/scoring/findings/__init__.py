"""Findings on one run: gaps between groups, biases, confusions and kinds of error, each with n and an interval where
the data supports it, else absent with the reason, and the same whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.scoring.agreement import read_conclusion
from medqbench_vlmeval.scoring.findings import biases, degradation, errors, groups
from medqbench_vlmeval.scoring.findings.errors import perception_error_kinds, reasoning_error_kinds
from medqbench_vlmeval.scoring.findings.failures import failure_groups
from medqbench_vlmeval.scoring.findings.finding import PERCENT, SCORE, Findings, Measure
from medqbench_vlmeval.scoring.intervals import shared_images
from medqbench_vlmeval.scoring.summary import is_right
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample

__all__ = ["Findings", "perception_error_kinds", "perception_findings", "reasoning_error_kinds", "reasoning_findings"]


def perception_findings(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Answer],
    confidences: Sequence[float | None] = (),
) -> Findings:
    """Find what a multiple-choice run shows; the sequences are parallel. Confidences that are stated are 0-100."""
    if not samples:
        return Findings({}, {})
    clusters = shared_images(samples).clusters
    answers = list(zip(samples, predictions, extractions, strict=True))
    # No answer is a wrong one.
    right = [100.0 * is_right(sample, extraction.letter) for sample, _, extraction in answers]
    data = Measure([right], PERCENT, clusters, samples)
    levels = [errors.level_choice(sample, extraction) for sample, _, extraction in answers]
    kinds = [perception_error_kinds(*answer) for answer in answers]
    level_questions = [choice for choice in levels if choice is not None]
    deg = samples[0].task is Task.DEGRADATION
    drops, of_drops = degradation.drops(samples, right) if deg else ({}, {})
    calibrated, calibration = degradation.calibration(samples, right, confidences)
    found = Findings.of(
        {
            **of_drops,
            "calibration": calibration,
            "gap_to_human": None if deg else groups.gap_to_human(data),
            "severity_profile": None if deg else groups.severity_profile(data),
            "level_confusion": errors.level_confusion(level_questions, "answered How questions on a level"),
            "modality_gap": groups.compared(data, "modality_gap"),
            "general_vs_specific": None if deg else groups.compared(data, "general_vs_specific"),
            "image_source": groups.compared(data, "image_source"),
            "letter_bias": biases.letter_bias(samples, extractions, clusters),
            "yes_bias": biases.yes_bias(samples, extractions, clusters),
            "no_answer": biases.no_answer(predictions, extractions),
            "length_against_score": biases.length_against_score(predictions, data),
            "error_kinds": errors.error_kinds(kinds),
            "failure_groups": failure_groups(samples, [bool(of_sample) for of_sample in kinds], clusters),
        }
    )
    return replace(found, drops=drops, calibration=calibrated)


def reasoning_findings(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
) -> Findings:
    """Find what a judged run of one task shows; the sequences are parallel. See :func:`perception_findings`."""
    if not samples:
        return Findings({}, {})
    clusters = shared_images(samples).clusters
    scores = [[verdicts.score_on(dimension) for verdicts in judged] for dimension in DIMENSIONS]
    data = Measure(scores, SCORE, clusters, samples)
    conclusions = [read_conclusion(*pair) for pair in zip(samples, predictions, strict=True)]
    pairs = samples[0].task is Task.COMPARATIVE
    stated = [
        errors.stated_choice(conclusion)
        for conclusion, prediction in zip(conclusions, predictions, strict=True)
        if not pairs and conclusion.reference is not None and prediction.status is PredictionStatus.OK
    ]
    kinds = [reasoning_error_kinds(*row) for row in zip(samples, predictions, judged, conclusions, strict=True)]
    return Findings.of(
        {
            "gap_to_human": groups.gap_to_human(data),
            "severity_profile": groups.severity_profile(data),
            "level_confusion": None if pairs else errors.level_confusion(stated, "descriptions with a stated level"),
            "modality_gap": groups.compared(data, "modality_gap"),
            "weakest_dimension": groups.weakest_dimension(data),
            "image_source": groups.compared(data, "image_source"),
            "coarse_vs_fine": groups.compared(data, "coarse_vs_fine") if pairs else None,
            "position_bias": biases.position_bias(conclusions, clusters) if pairs else None,
            "no_answer": biases.no_conclusion(predictions, conclusions),
            "length_against_score": biases.length_against_score(predictions, data),
            "error_kinds": errors.error_kinds(kinds),
            "failure_groups": failure_groups(samples, [bool(of_sample) for of_sample in kinds], clusters),
            "speaks_to_grader": errors.to_grader(predictions),
            "same_scores": biases.same_scores(judged, clusters),
        }
    )
