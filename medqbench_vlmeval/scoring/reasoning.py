"""Means of the four judge dimensions, overall and along every axis that the data has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from medqbench_vlmeval.judge import usage_of
from medqbench_vlmeval.records import JudgedSample, Prediction, PredictionStatus, Sample, Verdict
from medqbench_vlmeval.scoring.axes import broken_down, ranked
from medqbench_vlmeval.scoring.conclusions import score_conclusions
from medqbench_vlmeval.scoring.intervals import (
    CLUSTER_ROBUST,
    FEW,
    LEVEL,
    Interval,
    clipped,
    means_and_sum_intervals,
)
from medqbench_vlmeval.scoring.reliability import between_judges, between_rounds
from medqbench_vlmeval.scoring.resampling import METHOD
from medqbench_vlmeval.scoring.shared_images import shared_images
from medqbench_vlmeval.scoring.sum_of_means import SumOfMeans
from medqbench_vlmeval.scoring.verdicts import scores_of
from medqbench_vlmeval.tasks import DIMENSION_TITLES, DIMENSIONS, MAX_VERDICT

_AXES = ("modality", "severity", "difficulty", "source", "degradation")
_CROSSED = (("modality", "severity"), ("modality", "difficulty"))


def unscored_reason(judged: JudgedSample) -> str | None:
    """Why a sample lacks a score on some dimension, or None when all four are there."""
    if judged.unscored is not None:
        return judged.unscored
    missing = [dimension for dimension in DIMENSIONS if judged.verdicts[dimension].score is None]
    return f"{missing[0]}: {judged.verdicts[missing[0]].reason}" if missing else None


def score_reasoning(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[JudgedSample]
) -> dict[str, Any]:
    """Mean of each dimension (0-2) and ``Overall``, their sum (0-8); the three sequences are parallel.

    Overall is the sum of the four means, which reproduces every published row to 0.001. A verdict that is
    missing is left out of its dimension's mean and its sample is counted in ``n_unscored``; a dimension
    without any verdict is None, and then so is Overall.

    The intervals of the means, and those of every group's means and sum, are in closed form with samples that share
    an image taken together (:func:`~.intervals.means_and_sum_intervals`), cut to the scale; that of the whole run's
    Overall is a percentile bootstrap over the same clusters. A cell has them under ``intervals`` by title, with
    ``n_clusters`` and ``few``, which marks cells with fewer than ten samples that are scored on all dimensions.

    ``conclusions``, ``between_rounds`` and ``between_judges`` are there where the run has something to say on them
    (see :mod:`.conclusions` and :mod:`.reliability`).
    """
    scores = {dimension: scores_of(judged, dimension) for dimension in DIMENSIONS}
    reasons = [unscored_reason(one) for one in judged]

    def values(dimension: str, positions: Sequence[int]) -> list[float]:
        return [score for i in positions if (score := scores[dimension][i]) is not None]

    shared = shared_images(samples)

    def intervals(positions: Sequence[int]) -> dict[str, list[float] | None]:
        columns = [[scores[dimension][i] for i in positions] for dimension in DIMENSIONS]
        singles, total = means_and_sum_intervals(columns, [shared.clusters[i] for i in positions])
        return {
            **{
                DIMENSION_TITLES[dimension]: _as_list(clipped(found, 0, MAX_VERDICT))
                for dimension, found in zip(DIMENSIONS, singles, strict=True)
            },
            "Overall": _as_list(clipped(total, 0, MAX_VERDICT * len(DIMENSIONS))),
        }

    def cell(positions: Sequence[int]) -> dict[str, Any]:
        means = {
            title: fmean(found) if (found := values(dimension, positions)) else None
            for dimension, title in DIMENSION_TITLES.items()
        }
        known = [mean for mean in means.values() if mean is not None]
        n_unscored = sum(reasons[i] is not None for i in positions)
        return {
            **means,
            "Overall": math.fsum(known) if len(known) == len(DIMENSIONS) else None,
            "n": len(positions),
            "n_scored": len(positions) - n_unscored,
            "n_unscored": n_unscored,
            "n_clusters": shared.count(positions),
            "few": len(positions) - n_unscored < FEW,
            "intervals": intervals(positions),
        }

    everything = range(len(samples))
    status = Counter(prediction.status for prediction in predictions)
    groups = broken_down(samples, _AXES, _CROSSED, cell)
    whole = cell(everything)
    # Where a dimension has no verdict at all there is no sum, and nothing to draw.
    drawn = SumOfMeans(list(scores.values()), shared.clusters).interval() if whole["Overall"] is not None else None
    checks = {
        "conclusions": score_conclusions(samples, predictions, judged),
        "between_rounds": between_rounds(judged),
        "between_judges": between_judges(judged),
    }
    return {
        **whole,
        "n_inference_failed": status[PredictionStatus.INFERENCE_FAILED],
        "n_missing": status[PredictionStatus.MISSING],
        "n_cut": sum(prediction.cut for prediction in predictions),
        "unscored_reasons": ranked(Counter(reason for reason in reasons if reason is not None)),
        "intervals": {
            "level": LEVEL,
            "method": f"{CLUSTER_ROBUST}; of the whole run's Overall {METHOD}; {shared.words}; "
            "none where there is no spread between clusters",
            **whole["intervals"],
            "Overall": _as_list(drawn),
        },
        "frequencies": {
            title: {str(score): singles.count(score) for score in (0, 1, 2)}
            for dimension, title in DIMENSION_TITLES.items()
            for singles in [_single_scores(judged, dimension)]
        },
        "counts": {title: len(values(dimension, everything)) for dimension, title in DIMENSION_TITLES.items()},
        "groups": groups,
        **{name: block for name, block in checks.items() if block is not None},
        "usage": {**asdict(usage_of(judged)), "this_run": asdict(usage_of(judged, this_run=True))},
    }


def _single_scores(judged: Sequence[JudgedSample], dimension: str) -> list[float]:
    """The verdicts as judges gave them: of rounds and panels each one for itself."""

    def singles(verdict: Verdict) -> list[float]:
        if verdict.parts:
            return [score for part in verdict.parts.values() for score in singles(part)]
        return [] if verdict.score is None else [verdict.score]

    return [score for one in judged if dimension in one.verdicts for score in singles(one.verdicts[dimension])]


def _as_list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
