"""The weakest of the judge's four dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from medqbench_vlmeval.records import JudgedSample, Sample
from medqbench_vlmeval.scoring.findings.finding import (
    SCORE,
    Finding,
    NotFound,
    amount,
    is_apart,
    unproven,
)
from medqbench_vlmeval.scoring.findings.gaps import gap_finding, means_apart
from medqbench_vlmeval.scoring.findings.measures import Measure, cell
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.scoring.verdicts import scores_of
from medqbench_vlmeval.tasks import DIMENSION_TITLES, DIMENSIONS, Task


def weakest_dimension(
    samples: Sequence[Sample], judged: Sequence[JudgedSample], clusters: Sequence[int]
) -> Finding | NotFound:
    """The dimension with the lowest mean, less the next lowest; both from the same answers.

    The interval needs no widening for the choice: of equally weak dimensions the two lowest lie closer together than
    two that were named beforehand.
    """
    scores = {dimension: scores_of(judged, dimension) for dimension in DIMENSIONS}
    known = {dimension: [score for score in found if score is not None] for dimension, found in scores.items()}
    if any(len(found) < FEW for found in known.values()):
        return NotFound(f"fewer than {FEW} scores on one of the four dimensions")
    means = {dimension: fmean(found) for dimension, found in known.items()}
    lowest, following = sorted(DIMENSIONS, key=lambda dimension: means[dimension])[:2]
    gap = means_apart(scores[lowest], scores[following], clusters)
    first, second = DIMENSION_TITLES[lowest], DIMENSION_TITLES[following]
    one, other = (amount(means[dimension], SCORE) for dimension in (lowest, following))
    ends = gap.words(SCORE)
    if is_apart(gap.low, gap.high):
        said = f"{first} is the weakest dimension: {one}, and {second} next with {other} (difference: {ends})."
    else:
        begin = unproven(gap.value, gap.low)
        doubt = "there is no evidence that" if begin.startswith("No") else "it cannot be told whether"
        said = (
            f"{first} has the lowest mean, {one}, but {doubt} it is lower than {second}, {other} (difference: {ends})."
        )
    everything = range(len(judged))
    details: dict[str, Any] = {
        "groups": {
            DIMENSION_TITLES[dimension]: cell(Measure((tuple(scores[dimension]),), SCORE), everything, clusters)
            for dimension in DIMENSIONS
        },
        "compared": [[first], [second]],
    }
    if any(sample.task is Task.COMPARATIVE for sample in samples):
        details["note"] = "Of pairs, Quality Accuracy is 0 or 2 only; the other dimensions have 1 as well."
    n = min(len(found) for found in known.values())
    return gap_finding("Weakest dimension", said, gap, SCORE, n, details)
