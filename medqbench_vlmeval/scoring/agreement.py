"""How well scores on the same samples agree: a judge with people, its rounds, judges of a panel, stated conclusions.

Scores lie on the scale 0-2. They may lie between its marks: the mean of a judge's rounds, the median of a panel or
of several raters. For whole numbers every statistic here is the usual one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from medqbench_vlmeval.answers.conclusion import conclusion_of, steps_apart
from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.scoring.intervals import LEVEL, RESAMPLES
from medqbench_vlmeval.types import (
    Agreement,
    Cell,
    Conclusion,
    ConclusionCheck,
    Judged,
    PanelCheck,
    Prediction,
    PredictionStatus,
    Sample,
    SampleRow,
    Verdict,
    scores_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MARKS = (0, 1, 2)
METHOD = f"percentile bootstrap, {RESAMPLES} resamples"
_NEAR = 0.5
_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less
_QUALITY = "quality_accuracy"

Scores = Sequence[float | None]


def is_same(first: float, second: float) -> bool:
    """Whether two scores differ by less than 0.5; whole scores: whether they are equal."""
    return round(abs(first - second), _DIGITS) < _NEAR


def share_same(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of samples, in percent, whose two scores are the same (:func:`is_same`).

    Raises:
        ValueError: there are no samples.
    """
    if not first:
        raise ValueError("a share of no samples")
    return 100 * sum(is_same(x, y) for x, y in zip(first, second, strict=True)) / len(first)


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
    middle = (len(first) + 1) / 2
    x, y = ([rank - middle for rank in _midranks(values)] for values in (first, second))
    product = math.fsum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(math.fsum(rank * rank for rank in x) * math.fsum(rank * rank for rank in y))


@dataclass(frozen=True)
class HumanAgreement:
    """A judge against people on the same ``n`` samples.

    ``accuracy`` (percent, see :func:`share_same`), ``kappa`` and ``spearman`` are None where undefined, with 95%
    percentile bootstrap intervals over samples; ``n_undefined`` counts, by statistic, the resamples that left it
    undefined and were left out. ``bias`` is the judge's mean less the people's. ``confusion`` counts samples by the
    people's mark and then by the judge's (scores between two marks go to the nearest, halves to the upper).
    """

    n: int
    accuracy: Cell
    kappa: Cell
    spearman: Cell
    bias: float | None = None
    n_undefined: Mapping[str, int] | None = None
    confusion: Mapping[str, Mapping[str, int]] | None = None


@dataclass(frozen=True)
class VerdictFile:
    """A file of verdicts that were compared; ``judge``, ``protocol`` and ``dataset`` are None where it has no result
    beside it."""

    file: str
    model: str
    dataset: str | None
    judge: str | None
    protocol: str | None
    n: int


@dataclass(frozen=True)
class DimensionAgreement:
    """The agreement on one dimension, over the answers with a verdict and a rating, and how many lack one.

    ``n_between_marks`` of the answers have a rating that is no whole number: of two raters who differ by a point the
    median lies half a point from either mark, and no whole verdict is the same as it.
    """

    agreement: HumanAgreement
    n_between_marks: int
    n_unscored: int
    n_not_rated: int


@dataclass(frozen=True)
class RatingDisagreement:
    """A verdict that differs from the (median) rating of the same answer; ``ratings`` are by rater."""

    model: str
    row: SampleRow
    dimension: str
    judge: float
    rated: float
    ratings: Mapping[str, float | None]


@dataclass(frozen=True)
class RatingComparison:
    """Verdicts against ratings of the same ``n`` answers; ``by_judge`` says that another judge rated, no people.

    ``dimensions``, ``by_rater`` (the judge and each rater) and ``between_raters`` are by the dimension's title at last,
    ``groups`` by axis, value and title. ``n_unrated`` verdicts have no rating, ``n_elsewhere`` ratings are of the runs
    ``elsewhere``, which were not given.
    """

    by_judge: bool
    verdicts: Sequence[VerdictFile]
    raters: Sequence[str]
    n: int
    n_unrated: int
    n_elsewhere: int
    elsewhere: Sequence[str]
    dimensions: Mapping[str, DimensionAgreement]
    by_rater: Mapping[str, Mapping[str, Agreement]]
    between_raters: Mapping[str, Mapping[str, Mapping[str, Agreement]]]
    groups: Mapping[str, Mapping[str, Mapping[str, Agreement]]]
    disagreements: Sequence[RatingDisagreement]


@dataclass(frozen=True)
class PublishedAgreement:
    """The published validation of a judge, as ranges over the dimensions; accuracy in percent."""

    of: str
    accuracy: tuple[float, float]
    kappa: tuple[float, float]


PUBLISHED = PublishedAgreement("GPT-4o against three radiologists on 200 cases", (83.3, 90.5), (0.774, 0.985))


def measure_agreement(judge: Sequence[float], human: Sequence[float], seed: int = 0) -> HumanAgreement:
    """Compare a judge's scores with people's on the same samples; the two sequences are parallel.

    The intervals are from 2,000 resamples with a fixed seed (B. Efron and R. Tibshirani, An Introduction to the
    Bootstrap, 1993, ch. 13).
    """
    n = len(judge)
    if not n:
        nothing = Cell(None, n=0)
        return HumanAgreement(0, nothing, nothing, nothing)
    intervals, undefined = _bootstrap(judge, human, seed)
    values = share_same(judge, human), weighted_kappa(judge, human), spearman(judge, human)
    accuracy, kappa, rho = (Cell(value, *ends, n=n) for value, ends in zip(values, intervals, strict=True))
    return HumanAgreement(n, accuracy, kappa, rho, fmean(judge) - fmean(human), undefined, _confusion(judge, human))


def _confusion(judge: Sequence[float], human: Sequence[float]) -> dict[str, dict[str, int]]:
    counts = Counter((_mark(rating), _mark(score)) for score, rating in zip(judge, human, strict=True))
    return {str(row): {str(column): counts[row, column] for column in MARKS} for row in MARKS}


def _bootstrap(
    first: Sequence[float], second: Sequence[float], seed: int
) -> tuple[list[tuple[float | None, float | None]], dict[str, int]]:
    """Both ends for accuracy, kappa and Spearman, and how many resamples left each one undefined.

    Drawing n samples with replacement is drawing a table of counts over the pairs of scores that occur: few, however
    many samples there are.
    """
    import numpy as np

    pairs = sorted(Counter(zip(first, second, strict=True)).items())
    x = np.array([pair[0] for pair, _ in pairs], dtype=float)
    y = np.array([pair[1] for pair, _ in pairs], dtype=float)
    n = len(first)
    shares = np.array([count for _, count in pairs]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES).astype(float)

    (x_ranks, x_varies), (y_ranks, y_varies) = _rank_draws(x, draws), _rank_draws(y, draws)
    defined = x_varies & y_varies
    near = np.array([is_same(*pair) for pair, _ in pairs], dtype=float)
    apart = draws @ (x - y) ** 2
    by_chance = draws @ x**2 + draws @ y**2 - 2 * (draws @ x) * (draws @ y) / n
    products = (draws * x_ranks * y_ranks).sum(axis=1)
    spread = np.sqrt((draws * x_ranks**2).sum(axis=1) * (draws * y_ranks**2).sum(axis=1))
    by_statistic = {
        "accuracy": 100 * (draws @ near) / n,
        "kappa": 1 - apart[defined] / by_chance[defined],
        "spearman": products[defined] / spread[defined],
    }
    intervals: list[tuple[float | None, float | None]] = []
    for values in by_statistic.values():
        ends = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]) if len(values) else None
        intervals.append((None, None) if ends is None else (float(ends[0]), float(ends[1])))
    return intervals, {name: RESAMPLES - len(values) for name, values in by_statistic.items()}


def _rank_draws(values: Array, draws: Array) -> tuple[Array, NDArray[np.bool_]]:
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


def compare_scores(first: Scores, second: Scores) -> Agreement:
    """The agreement of two scorers on the samples that both scored; the two sequences are parallel."""
    both = [(x, y) for x, y in zip(first, second, strict=True) if x is not None and y is not None]
    if not both:
        return Agreement(0, None, None)
    x_scores, y_scores = zip(*both, strict=True)
    return Agreement(len(both), share_same(x_scores, y_scores), weighted_kappa(x_scores, y_scores))


def pairwise(scores: Mapping[str, Mapping[str, Scores]]) -> dict[str, dict[str, dict[str, Agreement]]]:
    """The agreement of each two scorers of the same samples: first name -> second name -> dimension -> agreement.

    Args:
        scores: scorer -> dimension -> scores, parallel over samples, None where a scorer gave none.
    """
    pairs: dict[str, dict[str, dict[str, Agreement]]] = {}
    for first, second in combinations(scores, 2):
        pairs.setdefault(first, {})[second] = {
            dimension: compare_scores(column, scores[second][dimension]) for dimension, column in scores[first].items()
        }
    return pairs


def between_rounds(judged: Sequence[Judged]) -> dict[str, Agreement] | None:
    """The same judge on the same sample in two rounds, by dimension's title; None where nothing was asked twice.

    Every pair of rounds of a sample counts (of three rounds three pairs). ``kappa`` takes every pair in both orders,
    so that it does not depend on which round came first; it is None where all scores are equal. Of a panel with
    rounds the pairs of all its judges are taken together, each within one judge.
    """
    agreements: dict[str, Agreement] = {}
    for dimension, title in DIMENSION_TITLES.items():
        pairs = [
            pair
            for sample in judged
            if dimension in sample.verdicts
            for rounds in _rounds(sample.verdicts[dimension])
            for pair in combinations([part.score for part in rounds if part.score is not None], 2)
        ]
        if pairs:
            first, second = zip(*pairs, strict=True)
            agreements[title] = Agreement(
                len(pairs),
                share_same(first, second),
                weighted_kappa([*first, *second], [*second, *first]),
                fmean(abs(x - y) for x, y in pairs),
            )
    return agreements or None


def between_judges(judged: Sequence[Judged]) -> PanelCheck | None:
    """Each judge's means over the samples that it scored and each pair's agreement; None where there was no panel."""
    verdicts = [verdict for sample in judged for verdict in sample.verdicts.values()]
    names = dict.fromkeys(name for one in verdicts if not _are_rounds(one.parts) for name in one.parts)
    if not names:
        return None
    scores = {
        name: {
            title: [_part_score(sample.verdicts.get(dimension), name) for sample in judged]
            for dimension, title in DIMENSION_TITLES.items()
        }
        for name in names
    }
    return PanelCheck({name: _means(columns) for name, columns in scores.items()}, pairwise(scores))


def _rounds(verdict: Verdict) -> Iterator[list[Verdict]]:
    if verdict.parts and _are_rounds(verdict.parts):
        yield list(verdict.parts.values())
        return
    for part in verdict.parts.values():
        yield from _rounds(part)


def _are_rounds(parts: Iterable[str]) -> bool:
    """Rounds are numbered from 1; judges have names."""
    return all(name == str(number) for number, name in enumerate(parts, start=1))


def _part_score(verdict: Verdict | None, name: str) -> float | None:
    part = verdict.parts.get(name) if verdict is not None else None
    return part.score if part is not None else None


def _means(columns: Mapping[str, Scores]) -> dict[str, float | None]:
    """Each column's mean and 'Overall', their sum."""
    means: dict[str, float | None] = {}
    for title, column in columns.items():
        known = [score for score in column if score is not None]
        means[title] = fmean(known) if known else None
    known = [mean for mean in means.values() if mean is not None]
    return {**means, "Overall": math.fsum(known) if len(known) == len(means) else None}


# Cached, as the summary, the findings and the sample's row all ask: a long answer takes a millisecond or two.
_read = lru_cache(maxsize=8192)(conclusion_of)


def read_conclusion(sample: Sample, prediction: Prediction) -> Conclusion:
    """Read what an answer and its reference conclude, and apply the published rule to it.

    An answer ends on a level (reject, usable, good) or prefers one of two images, and so does its reference: the same
    level scores 2, the next 1, the opposite or none 0; for a pair the same preference 2, else 0.
    """
    reference = _read(sample.task, sample.description or "")
    if prediction.status is not PredictionStatus.OK:
        return Conclusion(None, reference, None)
    stated = _read(sample.task, prediction.text)
    if reference is None:
        return Conclusion(stated, None, None)
    return Conclusion(stated, reference, 0 if stated is None else 2 - steps_apart(sample.task, stated, reference))


def score_conclusions(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
) -> ConclusionCheck | None:
    """Compute quality accuracy from the stated conclusions, without any model, as a second look at the judge's own.

    The three sequences are parallel. The computed mean is over the answers whose reference's conclusion can be read,
    the judge's over those of them that it scored. None where no conclusion can be compared, and for the embedded
    judge, whose own quality accuracy is this one.
    """
    if all(verdict.judge == RULES for sample in judged for verdict in sample.verdicts.values()):
        return None
    conclusions = [read_conclusion(*pair) for pair in zip(samples, predictions, strict=True)]
    scored = [
        (conclusion.quality_accuracy, conclusion.stated, score)
        for conclusion, score in zip(conclusions, scores_of(judged, _QUALITY), strict=True)
        if conclusion.quality_accuracy is not None
    ]
    if not scored:
        return None
    both = [(float(computed), score) for computed, _, score in scored if score is not None]
    return ConclusionCheck(
        n=len(scored),
        n_stated=sum(stated is not None for _, stated, _ in scored),
        computed=fmean(computed for computed, _, _ in scored),
        judge=fmean(score for _, score in both) if both else None,
        agreement=compare_scores([computed for computed, _ in both], [score for _, score in both]),
        n_disagreements=sum(not is_same(*pair) for pair in both),
    )
