"""How well a judge's scores agree with people's, with bootstrap intervals.

Scores lie on the scale 0-2. They may lie between its marks: the mean of a judge's rounds, the median of a panel or
of several raters. For whole numbers every statistic here is the usual one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.answers.conclusion import conclusion_of, steps_apart
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, Task
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.scoring.intervals import LEVEL
from medqbench_vlmeval.types import Judged, Prediction, PredictionStatus, Sample, Verdict, scores_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MARKS = (0, 1, 2)
RESAMPLES = 2000
_NEAR = 0.5
_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less


def is_same(one: float, other: float) -> bool:
    """Whether two scores differ by less than 0.5; whole scores: whether they are equal."""
    return round(abs(one - other), _DIGITS) < _NEAR


def share_same(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of samples, in percent, whose two scores are the same (:func:`is_same`).

    Raises:
        ValueError: there are no samples.
    """
    if not first:
        raise ValueError("a share of no samples")
    return 100 * sum(is_same(one, other) for one, other in zip(first, second, strict=True)) / len(first)


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Quadratic weighted kappa, at most 1; None where one side gives every sample the same score.

    ``1 - mean((x - y)²) / (mean x² + mean y² - 2 mean x mean y)``: one less the mean squared difference over the
    one that is expected of independent ratings with these margins. For whole scores this is Cohen's kappa with
    quadratic weights (J. Cohen, Psychol. Bull. 70, 1968, p. 213); this form needs no table of marks, so it holds
    for means and medians too. Of a constant side the formula says 0 whatever the agreement, and 0/0 of two equal
    ones: neither is a finding.
    """
    if _is_constant(first) or _is_constant(second):
        return None
    apart = fmean((x - y) ** 2 for x, y in zip(first, second, strict=True))
    by_chance = fmean(x * x for x in first) + fmean(y * y for y in second) - 2 * fmean(first) * fmean(second)
    return 1 - apart / by_chance


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, Pearson's of the midranks (ties share the mean of their ranks), -1 to 1.

    None where one side gives every sample the same score.
    """
    if _is_constant(first) or _is_constant(second):
        return None
    ranks = [_midranks(values) for values in (first, second)]
    middle = (len(first) + 1) / 2
    one, other = ([rank - middle for rank in of_side] for of_side in ranks)
    product = math.fsum(x * y for x, y in zip(one, other, strict=True))
    return product / math.sqrt(math.fsum(x * x for x in one) * math.fsum(y * y for y in other))


def measure_agreement(judge: Sequence[float], human: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """A judge against people on the same samples; the two sequences are parallel.

    Returns:
        ``n``; ``accuracy`` in percent (:func:`share_same`), ``kappa`` and ``spearman``, None where undefined;
        ``bias``, the judge's mean less the people's; ``confusion``, counts by the people's mark and then by the
        judge's (scores between two marks go to the nearest, halves to the upper); ``intervals``, 95% percentile
        bootstrap over samples (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13) from
        2,000 resamples with a fixed seed; ``n_undefined``, how many resamples left a statistic undefined and were
        left out of its interval.
    """
    if not judge:
        return {"n": 0, "accuracy": None, "kappa": None, "spearman": None, "bias": None}
    intervals, undefined = _bootstrap(judge, human, seed)
    return {
        "n": len(judge),
        "accuracy": share_same(judge, human),
        "kappa": weighted_kappa(judge, human),
        "spearman": spearman(judge, human),
        "bias": fmean(judge) - fmean(human),
        "intervals": {"level": LEVEL, "method": f"percentile bootstrap, {RESAMPLES} resamples", **intervals},
        "n_undefined": undefined,
        "confusion": confusion(judge, human),
    }


def confusion(judge: Sequence[float], human: Sequence[float]) -> dict[str, dict[str, int]]:
    """Counts by the people's mark (outer key) and the judge's (inner key)."""
    found = Counter((_mark(theirs), _mark(its)) for its, theirs in zip(judge, human, strict=True))
    return {str(row): {str(column): found[row, column] for column in MARKS} for row in MARKS}


def _bootstrap(
    first: Sequence[float], second: Sequence[float], seed: int
) -> tuple[dict[str, list[float] | None], dict[str, int]]:
    """Intervals by statistic, and how many resamples left each one undefined.

    Drawing n samples with replacement is drawing a table of counts over the pairs of scores that occur: few, however
    many samples there are.
    """
    import numpy as np

    cells = sorted(Counter(zip(first, second, strict=True)).items())
    x = np.array([pair[0] for pair, _ in cells], dtype=float)
    y = np.array([pair[1] for pair, _ in cells], dtype=float)
    n = len(first)
    shares = np.array([count for _, count in cells]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES).astype(float)

    (x_ranks, x_varies), (y_ranks, y_varies) = _rank_draws(x, draws), _rank_draws(y, draws)
    defined = x_varies & y_varies
    near = np.array([is_same(one, other) for (one, other), _ in cells], dtype=float)
    apart = draws @ (x - y) ** 2
    by_chance = draws @ x**2 + draws @ y**2 - 2 * (draws @ x) * (draws @ y) / n
    products = (draws * x_ranks * y_ranks).sum(axis=1)
    spread = np.sqrt((draws * x_ranks**2).sum(axis=1) * (draws * y_ranks**2).sum(axis=1))
    found = {
        "accuracy": 100 * (draws @ near) / n,
        "kappa": 1 - apart[defined] / by_chance[defined],
        "spearman": products[defined] / spread[defined],
    }
    ends = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    intervals = {
        name: [float(end) for end in np.percentile(values, ends)] if len(values) else None
        for name, values in found.items()
    }
    return intervals, {name: RESAMPLES - len(values) for name, values in found.items()}


def _rank_draws(values: Array, draws: Array) -> tuple[Array, Any]:
    """Midranks of a side's values in each draw, less their mean, (draws, cells); and which draws hold two values."""
    import numpy as np

    levels, at = np.unique(values, return_inverse=True)
    per_level = draws @ (at[:, None] == np.arange(len(levels))).astype(float)
    ranks = per_level.cumsum(axis=1) - per_level / 2 + 0.5
    middle = (draws.sum(axis=1, keepdims=True) + 1) / 2
    return ranks[:, at] - middle, (per_level > 0).sum(axis=1) > 1


def _midranks(values: Sequence[float]) -> list[float]:
    counts: Mapping[float, int] = Counter(values)
    before = 0
    ranks: dict[float, float] = {}
    for value in sorted(counts):
        ranks[value] = before + (counts[value] + 1) / 2
        before += counts[value]
    return [ranks[value] for value in values]


def _is_constant(values: Sequence[float]) -> bool:
    return len(set(values)) < 2


def _mark(score: float) -> int:
    return math.floor(round(score, _DIGITS) + _NEAR)


# How far verdicts repeat: between the rounds of one judge (test-retest), between judges, between raters.


Scores = Sequence[float | None]


def between_rounds(judged: Sequence[Judged]) -> dict[str, Any] | None:
    """The same judge on the same sample in two rounds, by dimension's title; None where nothing was asked twice.

    Every pair of rounds of a sample counts (of three rounds three pairs). ``same`` is the percentage of pairs with
    the same score, ``mean_absolute_difference`` is on the scale 0-2. ``kappa`` is quadratic and takes every pair in
    both orders, so that it does not depend on which round came first; it is None where all scores are equal. Of a
    panel with rounds the pairs of all its judges are taken together, each within one judge.
    """
    found: dict[str, Any] = {}
    for dimension, title in DIMENSION_TITLES.items():
        pairs = [
            pair
            for one in judged
            if dimension in one.verdicts
            for rounds in _rounds(one.verdicts[dimension])
            for pair in combinations([part.score for part in rounds if part.score is not None], 2)
        ]
        if pairs:
            first, second = ([pair[side] for pair in pairs] for side in (0, 1))
            found[title] = {
                "n_pairs": len(pairs),
                "same": share_same(first, second),
                "kappa": weighted_kappa([*first, *second], [*second, *first]),
                "mean_absolute_difference": fmean(abs(one - other) for one, other in pairs),
            }
    return found or None


def between_judges(judged: Sequence[Judged]) -> dict[str, Any] | None:
    """The members of a panel; None where there was none.

    ``means`` has each judge's mean by dimension's title, over the samples that it scored, and ``Overall``, their sum.
    ``pairs`` is as in :func:`pairwise`.
    """
    names: dict[str, None] = {}
    for one in judged:
        for verdict in one.verdicts.values():
            if verdict.parts and not _are_rounds(verdict.parts):
                names.update(dict.fromkeys(verdict.parts))
    if not names:
        return None
    scores = {
        name: {
            title: [_part_score(one.verdicts.get(dimension), name) for one in judged]
            for dimension, title in DIMENSION_TITLES.items()
        }
        for name in names
    }
    return {"means": {name: _means(of_judge) for name, of_judge in scores.items()}, "pairs": pairwise(scores)}


def pairwise(scores: Mapping[str, Mapping[str, Scores]]) -> dict[str, Any]:
    """Each two scorers of the same samples, as first name -> second name -> dimension -> :func:`compared`.

    Args:
        scores: scorer -> dimension -> scores, parallel over samples, None where a scorer gave none.
    """
    found: dict[str, Any] = {}
    for first, second in combinations(scores, 2):
        found.setdefault(first, {})[second] = {
            dimension: compared(scores[first][dimension], scores[second][dimension]) for dimension in scores[first]
        }
    return found


def compared(first: Scores, second: Scores) -> dict[str, Any]:
    """Two scorers: ``n`` samples with both scores, ``same`` in percent, quadratic ``kappa`` (None: undefined)."""
    both = [(x, y) for x, y in zip(first, second, strict=True) if x is not None and y is not None]
    if not both:
        return {"n": 0, "same": None, "kappa": None}
    one, other = ([scores[side] for scores in both] for side in (0, 1))
    return {"n": len(both), "same": share_same(one, other), "kappa": weighted_kappa(one, other)}


def _rounds(verdict: Verdict) -> Iterator[list[Verdict]]:
    if verdict.parts and _are_rounds(verdict.parts):
        yield list(verdict.parts.values())
        return
    for part in verdict.parts.values():
        yield from _rounds(part)


def _are_rounds(parts: Mapping[str, Verdict]) -> bool:
    """Rounds are numbered from 1; judges have names."""
    return list(parts) == [str(number) for number in range(1, len(parts) + 1)]


def _part_score(verdict: Verdict | None, name: str) -> float | None:
    part = verdict.parts.get(name) if verdict is not None else None
    return part.score if part is not None else None


def _means(scores: Mapping[str, Scores]) -> dict[str, float | None]:
    means = {
        title: fmean(known) if (known := [score for score in column if score is not None]) else None
        for title, column in scores.items()
    }
    known = [mean for mean in means.values() if mean is not None]
    return {**means, "Overall": math.fsum(known) if len(known) == len(means) else None}


# Quality accuracy from the conclusions that answers state, without any model: a second look at the judge's own.
#
# An answer ends on a level (reject, usable, good) or prefers one of two images, and so does its reference.
# Read from the
# text, the published rule can be applied to them directly: the same level 2, the next 1, the opposite or none
# 0; for a
# pair the same preference 2, else 0.


_QUALITY = "quality_accuracy"
_KEPT = 8192


@dataclass(frozen=True)
class Conclusion:
    """What an answer and its reference conclude: a level, an image (1 or 2), 'same', or None where none can be read.

    ``quality_accuracy`` is 0, 1 or 2, None where the reference's conclusion cannot be read or there is no answer.
    """

    stated: str | int | None
    reference: str | int | None
    quality_accuracy: int | None


def read_conclusion(sample: Sample, prediction: Prediction) -> Conclusion:
    """The conclusions of one reasoning sample."""
    reference = _read(sample.task, sample.description or "")
    if prediction.status is not PredictionStatus.OK:
        return Conclusion(None, reference, None)
    stated = _read(sample.task, prediction.text)
    return Conclusion(stated, reference, _score(sample.task, stated, reference))


def score_conclusions(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
) -> dict[str, Any] | None:
    """Quality accuracy as computed and as judged; the three sequences are parallel.

    None where no conclusion can be compared, and for the embedded judge, whose own quality accuracy is this one.

    Returns:
        ``n`` answers whose reference's conclusion can be read, ``n_stated`` of them with a conclusion of their own,
        ``Quality Accuracy`` computed (mean of 0-2 over ``n``); ``judge``, the judge's mean over those of the ``n`` that
        it scored; ``agreement`` of the two on these: ``n``, ``accuracy`` in percent and quadratic ``kappa`` (None:
        undefined); ``n_disagreements``, those where they differ by 0.5 or more.
    """
    if all(verdict.judge == RULES for one in judged for verdict in one.verdicts.values()):
        return None
    read = [read_conclusion(sample, prediction) for sample, prediction in zip(samples, predictions, strict=True)]
    computed = [one.quality_accuracy for one in read if one.quality_accuracy is not None]
    if not computed:
        return None
    both = [
        (float(one.quality_accuracy), score)
        for one, score in zip(read, scores_of(judged, _QUALITY), strict=True)
        if one.quality_accuracy is not None and score is not None
    ]
    ours, theirs = ([pair[side] for pair in both] for side in (0, 1))
    return {
        "n": len(computed),
        "n_stated": sum(one.stated is not None for one in read if one.quality_accuracy is not None),
        "Quality Accuracy": fmean(computed),
        "judge": fmean(theirs) if both else None,
        "agreement": {
            "n": len(both),
            "accuracy": share_same(ours, theirs) if both else None,
            "kappa": weighted_kappa(ours, theirs) if both else None,
        },
        "n_disagreements": sum(not is_same(*pair) for pair in both),
    }


# Read once, for the summary and for the sample's row: a long answer takes a millisecond or two.
_read = lru_cache(maxsize=_KEPT)(conclusion_of)


def _score(task: Task, stated: str | int | None, reference: str | int | None) -> int | None:
    if reference is None:
        return None
    if stated is None:
        return 0
    return 2 - steps_apart(task, stated, reference)
