"""Findings on one run: gaps between groups, biases, confusions and kinds of error, each with n and an interval.

A finding is there where the data supports it and else absent with the reason. All are pure functions of the samples
and of what was found on them, whatever the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.scoring.agreement import read_conclusion
from medqbench_vlmeval.scoring.findings import biases as choices
from medqbench_vlmeval.scoring.findings import biases as lengths
from medqbench_vlmeval.scoring.findings import biases as pairs
from medqbench_vlmeval.scoring.findings import biases as replies
from medqbench_vlmeval.scoring.findings import errors, groups
from medqbench_vlmeval.scoring.findings import errors as levels
from medqbench_vlmeval.scoring.findings import groups as dimensions
from medqbench_vlmeval.scoring.findings.errors import perception_error_kinds, reasoning_error_kinds
from medqbench_vlmeval.scoring.findings.finding import Finding, NotFound, accuracy_measure, assembled, overall_measure
from medqbench_vlmeval.scoring.intervals import shared_images
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample

__all__ = ["perception_error_kinds", "perception_findings", "reasoning_error_kinds", "reasoning_findings"]


def perception_findings(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Answer],
    clusters: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The findings of a multiple-choice run by name; the sequences are parallel.

    Args:
        clusters: numbers of the clusters of samples that are not independent; by default samples that share an image.

    Returns:
        Each finding with ``title``, ``statement``, ``value``, ``unit``, ``low``, ``high`` (95%), ``n``, ``few``,
        ``method`` and ``details``; and ``not_found``, which has the reason for each that the data does not support.
    """
    if not samples:
        return assembled({})
    measure = accuracy_measure(samples, extractions)
    clusters = shared_images(samples).clusters if clusters is None else clusters
    data = groups.Data(samples, measure, clusters)
    chosen = [
        choice
        for sample, extraction in zip(samples, extractions, strict=True)
        if (choice := levels.level_choice(sample, extraction)) is not None
    ]
    return assembled(
        {
            "gap_to_human": groups.gap_to_human(data),
            "severity_profile": groups.severity_profile(data),
            "level_confusion": levels.level_confusion(chosen, "answered How questions on a level"),
            "modality_gap": groups.modality_gap(data),
            "general_vs_specific": groups.general_vs_specific(data),
            "image_source": groups.image_source(data),
            "letter_bias": choices.letter_bias(samples, extractions, clusters),
            "yes_bias": choices.yes_bias(samples, extractions, clusters),
            "no_answer": replies.no_answer(predictions, extractions),
            "length_against_score": lengths.length_against_score(predictions, measure, clusters),
            "error_kinds": errors.perception_errors(samples, predictions, extractions),
        }
    )


def reasoning_findings(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    judged: Sequence[Judged],
    clusters: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The findings of a judged run by name; the sequences are parallel. See :func:`perception_findings`."""
    if not samples:
        return assembled({})
    measure = overall_measure(judged)
    clusters = shared_images(samples).clusters if clusters is None else clusters
    data = groups.Data(samples, measure, clusters)
    conclusions = [read_conclusion(*one) for one in zip(samples, predictions, strict=True)]
    of_pairs = [i for i, sample in enumerate(samples) if sample.task is Task.COMPARATIVE]
    described = [i for i, sample in enumerate(samples) if sample.task is not Task.COMPARATIVE]

    confusion: Finding | NotFound | None = None
    if described:
        chosen = [
            levels.stated_choice(str(one.reference), None if one.stated is None else str(one.stated))
            for i in described
            if (one := conclusions[i]).reference is not None and predictions[i].status is PredictionStatus.OK
        ]
        confusion = levels.level_confusion(chosen, "descriptions with a stated level")
    position, difficulty = None, None
    if of_pairs:
        position = pairs.position_bias([conclusions[i] for i in of_pairs], [clusters[i] for i in of_pairs])
        difficulty = groups.coarse_vs_fine(data)
    return assembled(
        {
            "gap_to_human": groups.gap_to_human(data),
            "severity_profile": groups.severity_profile(data),
            "level_confusion": confusion,
            "modality_gap": groups.modality_gap(data),
            "weakest_dimension": dimensions.weakest_dimension(samples, judged, clusters),
            "image_source": groups.image_source(data),
            "coarse_vs_fine": difficulty,
            "position_bias": position,
            "no_answer": replies.no_conclusion(predictions, conclusions),
            "length_against_score": lengths.length_against_score(predictions, measure, clusters),
            "error_kinds": errors.reasoning_errors(samples, predictions, judged, conclusions),
        }
    )
