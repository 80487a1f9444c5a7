"""The numbers of one task of one run: accuracy or the judge's means, overall and along every axis that the data has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from medqbench_vlmeval.benchmark import (
    DEGREES,
    DIFFICULTIES,
    DIMENSION_TITLES,
    DIMENSIONS,
    MAX_VERDICT,
    MEASURES,
    MODALITIES,
    OTHER_QUESTION_TYPE,
    OVERALL,
    QUESTION_TYPES,
    SCOPES,
    SEVERITIES,
    UNKNOWN,
    measure_axis,
)
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.predictions.files import UNKNOWN_REASON
from medqbench_vlmeval.provenance import JudgeSettings
from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.agreement import between_judges, between_rounds, score_conclusions
from medqbench_vlmeval.types import (
    FEW,
    LEVEL,
    WILSON,
    Answer,
    ExtractorResult,
    Group,
    Judged,
    JudgeUsage,
    Prediction,
    PredictionStatus,
    Sample,
    TaskResult,
    Verdict,
)

# What differs from one failure to the next: request ids, times, addresses.
_PASSING = re.compile(r"(?<![\w-])(?=[\w-]*\d)[\w-]{12,}|\d{5,}|0x[0-9a-f]+")
_MOST_REASONS = 20

_ORDER: Mapping[str, Sequence[str]] = {
    "question_type": (*QUESTION_TYPES, OTHER_QUESTION_TYPE),
    "modality": MODALITIES,
    "severity": (*SEVERITIES, *DEGREES),
    "scope": SCOPES,
    "difficulty": DIFFICULTIES,
}
_PERCEPTION_AXES = ("question_type", "modality", "severity", "scope", "source", "category", "degradation")
_WITH_SEVERITY = ("modality", "question_type", "category", "degradation")
_PERCEPTION_CROSSED = (("modality", "question_type"), *((axis, "severity") for axis in _WITH_SEVERITY))
_REASONING_AXES = ("modality", "severity", "difficulty", "source", "degradation")
_REASONING_CROSSED = (("modality", "severity"), ("modality", "difficulty"))


def positions_by(axis: str, samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Positions of ``samples`` by their value on ``axis`` ('unknown' without one), in the vocabulary's order, then
    alphabetically; empty where no sample has a value."""
    positions: dict[str, list[int]] = {}
    for position, sample in enumerate(samples):
        positions.setdefault(getattr(sample, axis) or UNKNOWN, []).append(position)
    if set(positions) <= {UNKNOWN}:
        return {}
    order = {name: place for place, name in enumerate(_ORDER.get(axis, ()))}
    names = sorted(positions, key=lambda name: (name == UNKNOWN, order.get(name, len(order)), name))
    return {name: positions[name] for name in names}


def _broken_down(
    samples: Sequence[Sample],
    axes: Sequence[str],
    crossings: Sequence[tuple[str, str]],
    group: Callable[[Sequence[int]], Group],
) -> tuple[dict[str, dict[str, Group]], dict[str, dict[str, dict[str, Group]]]]:
    """The groups along each axis that the data has, and along each pair of such axes without empty combinations."""
    by_axis = {axis: positions for axis in axes if (positions := positions_by(axis, samples))}
    groups = {axis: {name: group(there) for name, there in by_value.items()} for axis, by_value in by_axis.items()}
    crossed = {
        f"{outer}_x_{inner}": {
            name: {
                value: group(sorted(both))
                for value, positions in by_axis[inner].items()
                if (both := set(members).intersection(positions))
            }
            for name, members in by_axis[outer].items()
        }
        for outer, inner in crossings
        if outer in by_axis and inner in by_axis
    }
    return groups, crossed


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, the highest first and ties by name, so that the order of rows decides nothing."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def is_right(sample: Sample, letter: str | None) -> bool:
    """Whether ``letter`` answers a question; without a letter it is not answered."""
    return letter is not None and letter == sample.answer


def _accuracy(correct: Sequence[bool], letters: Sequence[str | None]) -> Callable[[Sequence[int]], Group]:
    """A function from positions to the accuracy in percent there; its value is None where there is no question."""

    def group(positions: Sequence[int]) -> Group:
        n, n_correct = len(positions), sum(correct[i] for i in positions)
        counts = {"n": n, "n_correct": n_correct, "n_unanswered": sum(letters[i] is None for i in positions)}
        return Group({OVERALL: intervals.share_cell(n_correct, n)}, counts, n < FEW)

    return group


def score_letters(samples: Sequence[Sample], letters: Sequence[str | None]) -> Group:
    """Accuracy of letters that were read by somebody else, None where none was; the sequences are parallel."""
    correct = [is_right(sample, letter) for sample, letter in zip(samples, letters, strict=True)]
    return _accuracy(correct, letters)(range(len(samples)))


def _by_measure(samples: Sequence[Sample], group: Callable[[Sequence[int]], Group]) -> dict[str, Group]:
    task = samples[0].task
    positions = positions_by(measure_axis(task), samples)
    return {
        **{kind: group(positions.get(kind, [])) for kind in MEASURES[task][:-1]},
        OVERALL: group(range(len(samples))),
    }


def score_questions(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Answer]
) -> TaskResult:
    """Compute accuracies in percent (0-100) with counts and intervals; the three sequences are parallel.

    Overall is the micro-average over all questions, as in the published table (459 + 156 + 285 of 1,305 is GPT-5's
    68.97). A question without an answer, also for a failed or missing inference, counts as wrong and is counted apart.
    Every accuracy has Wilson's interval, which takes questions as independent; ``clustered`` is Overall with its
    interval over images (:func:`~.intervals.mean_interval`).
    """
    letters = [extraction.letter for extraction in extractions]
    correct = [is_right(*answer) for answer in zip(samples, letters, strict=True)]
    group = _accuracy(correct, letters)
    groups, crossed = _broken_down(samples, _PERCEPTION_AXES, _PERCEPTION_CROSSED, group)
    by_measure = _by_measure(samples, group)
    whole = by_measure[OVERALL]
    images = intervals.shared_images(samples)
    ends = intervals.clipped(intervals.mean_interval([float(right) for right in correct], images.clusters), 0, 1)
    in_percent = None if ends is None else (100 * ends[0], 100 * ends[1])
    clustered = intervals.interval_cell(whole.overall.value, in_percent, len(samples))
    return TaskResult(
        task=samples[0].task,
        measures={name: of_type.overall for name, of_type in by_measure.items()},
        counts={**whole.counts, **_inference_counts(predictions)},
        few=whole.few,
        interval_level=LEVEL,
        interval_method=f"{WILSON}; clustered: {intervals.CLUSTER_ROBUST}, {images.words}",
        groups=groups,
        crossed=crossed,
        clustered=replace(clustered, n_clusters=len(set(images.clusters))),
        rules=ranked(Counter(extraction.rule for extraction in extractions)),
        inference_failures=failures_by_reason(predictions),
    )


def unscored_reason(judged: Judged) -> str | None:
    """Why a sample lacks a score on some dimension, or None when all four are there."""
    if judged.unscored is not None:
        return judged.unscored
    missing = [dimension for dimension in DIMENSIONS if judged.verdicts[dimension].score is None]
    return f"{missing[0]}: {judged.verdicts[missing[0]].reason}" if missing else None


def score_reasoning(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
) -> TaskResult:
    """Compute the mean of each dimension (0-2) and Overall, their sum (0-8); the three sequences are parallel.

    Overall is the sum of the four means, which reproduces every published row to 0.001. A verdict that is missing is
    left out of its dimension's mean and its sample is counted in ``n_unscored``; a dimension without any verdict is
    None, and then so is Overall. Intervals are :func:`~.intervals.means_and_sum_intervals`, cut to the scale; that of
    the whole run's Overall is a bootstrap over the same clusters. The samples are one or more, all of one task.
    """
    scores = {dimension: [verdicts.score_on(dimension) for verdicts in judged] for dimension in DIMENSIONS}
    reasons = [unscored_reason(verdicts) for verdicts in judged]
    images = intervals.shared_images(samples)

    def group(positions: Sequence[int]) -> Group:
        columns = [[column[i] for i in positions] for column in scores.values()]
        clusters = [images.clusters[i] for i in positions]
        singles, total = intervals.means_and_sum_intervals(columns, clusters)
        means, overall = intervals.means_and_sum(columns)
        n = sum(reasons[i] is None for i in positions)
        unscored = len(positions) - n
        counts = {"n": len(positions), "n_scored": n, "n_unscored": unscored, "n_clusters": len(set(clusters))}
        measures = {
            title: intervals.interval_cell(mean, intervals.clipped(ends, 0, MAX_VERDICT), n)
            for title, mean, ends in zip(DIMENSION_TITLES.values(), means, singles, strict=True)
        }
        total = intervals.clipped(total, 0, MAX_VERDICT * len(DIMENSIONS))
        measures[OVERALL] = intervals.interval_cell(overall, total, n)
        return Group(measures, counts, n < FEW)

    groups, crossed = _broken_down(samples, _REASONING_AXES, _REASONING_CROSSED, group)
    whole = group(range(len(samples)))
    sizes = [len(intervals.known(column)) for column in scores.values()]
    measures = {
        title: intervals.interval_cell(cell.value, cell.interval, n)
        for (title, cell), n in zip(whole.measures.items(), [*sizes, whole.counts["n_scored"]], strict=True)
    }
    # Where a dimension has no verdict at all there is no sum, and nothing to draw.
    if whole.overall.value is not None:
        interval = intervals.bootstrap_sum_of_means(list(scores.values()), images.clusters)
        measures[OVERALL] = intervals.interval_cell(whole.overall.value, interval, whole.counts["n_scored"])
    singles = Counter(
        (dimension, score)
        for verdicts in judged
        for dimension, verdict in verdicts.verdicts.items()
        for score in _single_scores(verdict)
    )
    return TaskResult(
        task=samples[0].task,
        measures=measures,
        counts={**whole.counts, **_inference_counts(predictions)},
        few=whole.few,
        interval_level=LEVEL,
        interval_method=f"{intervals.CLUSTER_ROBUST}; of the whole run's Overall {intervals.METHOD}; "
        f"{images.words}; none where there is no spread between clusters",
        groups=groups,
        crossed=crossed,
        unscored_reasons=ranked(Counter(reason for reason in reasons if reason is not None)),
        inference_failures=failures_by_reason(predictions),
        frequencies={
            title: {str(score): singles[dimension, score] for score in range(MAX_VERDICT + 1)}
            for dimension, title in DIMENSION_TITLES.items()
        },
        conclusions=score_conclusions(samples, predictions, judged),
        between_rounds=between_rounds(judged),
        between_judges=between_judges(judged),
    )


def _single_scores(verdict: Verdict) -> Iterator[float]:
    """The scores as judges gave them: of rounds and panels each one for itself."""
    for part in verdict.parts.values():
        yield from _single_scores(part)
    if not verdict.parts and verdict.score is not None:
        yield verdict.score


def _inference_counts(predictions: Sequence[Prediction]) -> dict[str, int]:
    status = Counter(prediction.status for prediction in predictions)
    return {
        "n_inference_failed": status[PredictionStatus.INFERENCE_FAILED],
        "n_missing": status[PredictionStatus.MISSING],
        "n_cut": sum(prediction.cut for prediction in predictions),
    }


def failures_by_reason(predictions: Iterable[Prediction]) -> dict[str, int]:
    """Failed inferences by reason, the most frequent twenty first; ids and long numbers make no other reason."""
    failed = (each for each in predictions if each.status is PredictionStatus.INFERENCE_FAILED)
    alike: dict[str, list[str]] = {}
    for reason in sorted(each.failure or UNKNOWN_REASON for each in failed):
        alike.setdefault(_PASSING.sub("", reason), []).append(reason)
    counts = list(ranked({reasons[0]: len(reasons) for reasons in alike.values()}).items())
    others = sum(count for _, count in counts[_MOST_REASONS:])
    return dict(counts[:_MOST_REASONS]) | ({"other reasons": others} if others else {})


def score_extractor(
    samples: Sequence[Sample],
    extractions: Sequence[Answer],
    n_open: int,
    choices: Mapping[str, Verdict],
    settings: JudgeSettings,
    usage: JudgeUsage,
) -> ExtractorResult:
    """Count what an extractor did, and compute strict accuracy (the rules alone) and lenient (its letters too), both in
    percent (0-100) of all questions. The rules read ``extractions``, parallel to the samples, and left ``n_open``
    replies with text open; ``choices`` is what the extractor read in those that it was asked about, by sample index.
    Raises ValueError where ``settings`` name no protocol."""
    if settings.protocol is None:
        raise ValueError("an extractor's settings name its protocol")
    by_rules = [extraction.letter for extraction in extractions]
    with_choices = [
        letter_of(choices[sample.index].score) if letter is None and sample.index in choices else letter
        for sample, letter in zip(samples, by_rules, strict=True)
    ]
    strict, lenient = (
        _by_measure(samples, _accuracy([is_right(*answer) for answer in zip(samples, letters, strict=True)], letters))
        for letters in (by_rules, with_choices)
    )
    n_read = sum(letter_of(choice.score) is not None for choice in choices.values())
    n_failed = sum(choice.reason is not None for choice in choices.values())
    return ExtractorResult(
        name=settings.name,
        served_as=settings.served_as,
        protocol=settings.protocol,
        n_open=n_open,
        n_asked=len(choices),
        n_read=n_read,
        n_none=len(choices) - n_read - n_failed,
        n_failed=n_failed,
        strict=strict,
        lenient=lenient,
        usage=usage,
    )
