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
from medqbench_vlmeval.scoring.axes import positions_by
from medqbench_vlmeval.scoring.conclusions import score_conclusions
from medqbench_vlmeval.scoring.intervals import LEVEL, clipped, mean_interval, sum_of_means_interval
from medqbench_vlmeval.scoring.reliability import between_judges, between_rounds
from medqbench_vlmeval.tasks import DIMENSION_TITLES, DIMENSIONS

MAX_SCORE = 2
_AXES = ("modality", "severity", "difficulty", "source", "degradation")


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
    without any verdict is None, and then so is Overall. Intervals are normal intervals of the mean, cut to the
    scale; the one of Overall is that of a sum of means (see ``intervals``).

    ``conclusions``, ``between_rounds`` and ``between_judges`` are there where the run has something to say on them
    (see :mod:`.conclusions` and :mod:`.reliability`).
    """
    scores: dict[str, list[float | None]] = {
        dimension: [one.verdicts[dimension].score if dimension in one.verdicts else None for one in judged]
        for dimension in DIMENSIONS
    }
    reasons = [unscored_reason(one) for one in judged]

    def values(dimension: str, positions: Sequence[int]) -> list[float]:
        return [score for i in positions if (score := scores[dimension][i]) is not None]

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
        }

    everything = range(len(samples))
    columns = [scores[dimension] for dimension in DIMENSIONS]
    status = Counter(prediction.status for prediction in predictions)
    groups = {
        axis: {name: cell(positions) for name, positions in found.items()}
        for axis in _AXES
        if (found := positions_by(axis, samples))
    }
    checks = {
        "conclusions": score_conclusions(samples, predictions, judged),
        "between_rounds": between_rounds(judged),
        "between_judges": between_judges(judged),
    }
    return {
        **cell(everything),
        "n_inference_failed": status[PredictionStatus.INFERENCE_FAILED],
        "n_missing": status[PredictionStatus.MISSING],
        "n_cut": sum(prediction.cut for prediction in predictions),
        "unscored_reasons": dict(Counter(reason for reason in reasons if reason is not None).most_common()),
        "intervals": {
            "level": LEVEL,
            "method": "normal, samples independent",
            **{
                title: _as_list(clipped(mean_interval(values(dimension, everything)), 0, MAX_SCORE))
                for dimension, title in DIMENSION_TITLES.items()
            },
            "Overall": _as_list(clipped(sum_of_means_interval(columns), 0, MAX_SCORE * len(DIMENSIONS))),
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


def _as_list(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
