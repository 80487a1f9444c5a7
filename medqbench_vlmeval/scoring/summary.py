"""Accuracy of the multiple-choice task, overall and along every axis that the data has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from medqbench_vlmeval.benchmark import (
    DIFFICULTIES,
    DIMENSION_TITLES,
    DIMENSIONS,
    MAX_VERDICT,
    MODALITIES,
    OTHER_QUESTION_TYPE,
    QUESTION_TYPES,
    SCOPES,
    SEVERITIES,
)
from medqbench_vlmeval.judge import usage_of
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.scoring.agreement import between_judges, between_rounds, score_conclusions
from medqbench_vlmeval.scoring.intervals import (
    CLUSTER_ROBUST,
    FEW,
    LEVEL,
    METHOD,
    WILSON,
    Interval,
    SumOfMeans,
    clipped,
    mean_interval,
    means_and_sum_intervals,
    shared_images,
    wilson_percent,
)
from medqbench_vlmeval.types import (
    Answer,
    Judged,
    Prediction,
    PredictionStatus,
    Sample,
    Verdict,
    scores_of,
)

# The axes along which results are broken down.


_ORDER: dict[str, Sequence[str]] = {
    "question_type": (*QUESTION_TYPES, OTHER_QUESTION_TYPE),
    "modality": MODALITIES,
    "severity": SEVERITIES,
    "scope": SCOPES,
    "difficulty": DIFFICULTIES,
}

UNKNOWN = "unknown"


def positions_by(axis: str, samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Positions of ``samples`` by their value on ``axis``, in the vocabulary's order, then alphabetically.

    Samples without a value go under 'unknown'; an axis that no sample has a value on gives an empty dict.
    """
    found: dict[str, list[int]] = {}
    for position, sample in enumerate(samples):
        found.setdefault(getattr(sample, axis) or UNKNOWN, []).append(position)
    if set(found) <= {UNKNOWN}:
        return {}
    return {name: found[name] for name in _in_order(axis, found)}


def broken_down(
    samples: Sequence[Sample],
    axes: Sequence[str],
    crossings: Sequence[tuple[str, str]],
    cell: Callable[[Sequence[int]], Any],
) -> dict[str, Any]:
    """What ``cell`` says of the positions of each group: axis -> group -> cell, without axes that the data lacks.

    Of each pair of axes in ``crossings`` there is ``{outer}_x_{inner}`` -> outer group -> inner group -> cell.
    """
    by_axis = {axis: found for axis in axes if (found := positions_by(axis, samples))}
    groups: dict[str, Any] = {
        axis: {name: cell(positions) for name, positions in found.items()} for axis, found in by_axis.items()
    }
    for outer, inner in crossings:
        if outer in by_axis and inner in by_axis:
            groups[f"{outer}_x_{inner}"] = {
                name: {value: cell(positions) for value, positions in found.items()}
                for name, found in crossed(by_axis[outer], by_axis[inner]).items()
            }
    return groups


def crossed(outer: Mapping[str, Sequence[int]], inner: Mapping[str, Sequence[int]]) -> dict[str, dict[str, list[int]]]:
    """Positions by their groups on two axes (see :func:`positions_by`), without the pairs that no sample has."""
    group_of = {position: name for name, positions in inner.items() for position in positions}
    found: dict[str, dict[str, list[int]]] = {}
    for name, positions in outer.items():
        by_inner: dict[str, list[int]] = {group: [] for group in inner}
        for position in positions:
            by_inner[group_of[position]].append(position)
        found[name] = {group: among for group, among in by_inner.items() if among}
    return found


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, the highest first and ties by name, so that the order of rows decides nothing."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _in_order(axis: str, names: Iterable[str]) -> list[str]:
    known = list(_ORDER.get(axis, ()))
    return sorted(names, key=lambda name: (name == UNKNOWN, known.index(name) if name in known else len(known), name))


# When an answer is right, and the accuracy of a group of questions.


def is_right(sample: Sample, letter: str | None) -> bool:
    """Whether ``letter`` answers a question; without a letter it is not answered."""
    return letter is not None and letter == sample.answer


def accuracy_cell(n: int, n_correct: int, n_unanswered: int) -> dict[str, Any]:
    """Accuracy in percent with Wilson's interval and the counts behind it; all three are None where there is no n."""
    low, high = wilson_percent(n_correct, n) or (None, None)
    return {
        "accuracy": 100 * n_correct / n if n else None,
        "low": low,
        "high": high,
        "n": n,
        "n_correct": n_correct,
        "n_unanswered": n_unanswered,
        "few": n < FEW,
    }


_AXES = ("question_type", "modality", "severity", "scope", "source", "degradation")
_CROSSED = (("modality", "question_type"), ("modality", "severity"), ("question_type", "severity"))


def score_perception(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Answer]
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


# Means of the four judge dimensions, overall and along every axis that the data has.


_REASONING_AXES = ("modality", "severity", "difficulty", "source", "degradation")
_REASONING_CROSSED = (("modality", "severity"), ("modality", "difficulty"))


def unscored_reason(judged: Judged) -> str | None:
    """Why a sample lacks a score on some dimension, or None when all four are there."""
    if judged.unscored is not None:
        return judged.unscored
    missing = [dimension for dimension in DIMENSIONS if judged.verdicts[dimension].score is None]
    return f"{missing[0]}: {judged.verdicts[missing[0]].reason}" if missing else None


def score_reasoning(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
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
    groups = broken_down(samples, _REASONING_AXES, _REASONING_CROSSED, cell)
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


def _single_scores(judged: Sequence[Judged], dimension: str) -> list[float]:
    """The verdicts as judges gave them: of rounds and panels each one for itself."""

    def singles(verdict: Verdict) -> list[float]:
        if verdict.parts:
            return [score for part in verdict.parts.values() for score in singles(part)]
        return [] if verdict.score is None else [verdict.score]

    return [score for one in judged if dimension in one.verdicts for score in singles(one.verdicts[dimension])]


def _as_list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


# Accuracy with and without an extractor, side by side.


OVERALL = "Overall"
_COUNTS = ("n", "n_correct", "n_unanswered", "few")


def score_extractor(
    samples: Sequence[Sample], extractions: Sequence[Answer], n_open: int, choices: Mapping[str, Verdict]
) -> dict[str, Any]:
    """Counts of what an extractor did, strict accuracy (the rules alone) and lenient accuracy (its letters too).

    Both are in percent (0-100) of the same questions, so that a question without a letter is wrong in both.

    Args:
        samples: multiple-choice samples.
        extractions: parallel to them, what the rules read.
        n_open: how many replies the rules left open that hold text.
        choices: what the extractor read, by sample index; only what it was asked about.
    """
    strict = [extraction.letter for extraction in extractions]
    lenient = [
        letter_of(choices[sample.index].score) if letter is None and sample.index in choices else letter
        for sample, letter in zip(samples, strict, strict=True)
    ]
    read = sum(letter_of(choice.score) is not None for choice in choices.values())
    failed = sum(choice.reason is not None for choice in choices.values())
    return {
        "n_open": n_open,
        "n_asked": len(choices),
        "n_read": read,
        "n_none": len(choices) - read - failed,
        "n_failed": failed,
        "strict": _accuracy(samples, strict),
        "lenient": _accuracy(samples, lenient),
    }


def _accuracy(samples: Sequence[Sample], letters: Sequence[str | None]) -> dict[str, Any]:
    def cell(kind: str | None) -> dict[str, Any]:
        of_kind = [
            (sample, letter)
            for sample, letter in zip(samples, letters, strict=True)
            if kind is None or sample.question_type == kind
        ]
        n_correct = sum(is_right(*one) for one in of_kind)
        return accuracy_cell(len(of_kind), n_correct, sum(letter is None for _, letter in of_kind))

    cells = {OVERALL: cell(None), **{kind: cell(kind) for kind in QUESTION_TYPES}}
    counts = {kind: {name: found[name] for name in _COUNTS} for kind, found in cells.items()}
    return {
        **{name: found["accuracy"] for name, found in cells.items()},
        **counts.pop(OVERALL),
        "intervals": {
            "level": LEVEL,
            "method": f"{WILSON}, questions taken as independent",
            **{name: [found["low"], found["high"]] for name, found in cells.items()},
        },
        "counts": counts,
    }
