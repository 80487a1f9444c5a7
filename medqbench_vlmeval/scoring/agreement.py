"""How well scores on the same samples agree: a judge with people, its rounds, judges of a panel, stated conclusions.
Scores are 0-2, means and medians between the marks too; for whole numbers every statistic here is the usual one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from statistics import fmean

import numpy as np

from medqbench_vlmeval.answers.conclusion import conclusion_of, steps_apart
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, MAX_VERDICT, OVERALL, Task
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.scoring.intervals import (
    RESAMPLES,
    Array,
    bootstrap,
    generator,
    interval_cell,
    means_and_sum,
    totals_by_cluster,
)
from medqbench_vlmeval.types import (
    LEVEL,
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
)

MARKS = (0, 1, 2)
METHOD = f"percentile bootstrap over clusters of answers on common images, {RESAMPLES} resamples"
_DIGITS = 9  # 1.2 - 0.7 is 0.5 and not a little less

Scores = Sequence[float | None]


def is_same(first: float, second: float) -> bool:
    """Whether two scores differ by less than 0.5; whole scores: whether they are equal."""
    return round(abs(first - second), _DIGITS) < 0.5


def share_same(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of samples (one or more), in percent, whose two scores are the same (:func:`is_same`)."""
    return 100 * sum(is_same(x, y) for x, y in zip(first, second, strict=True)) / len(first)


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Quadratic weighted kappa, at most 1; None where one side gives every sample the same score. ``1 - mean((x - y)²)
    / (mean x² + mean y² - 2 mean x mean y)``, which holds for means and medians too (J. Cohen, Psychol. Bull. 70, 1968,
    p. 213, without a table of marks)."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    apart = fmean((x - y) ** 2 for x, y in zip(first, second, strict=True))
    by_chance = fmean(x * x for x in first) + fmean(y * y for y in second) - 2 * fmean(first) * fmean(second)
    return 1 - apart / by_chance


@dataclass(frozen=True)
class HumanAgreement:
    """A judge against people on the same ``n`` samples. ``accuracy`` (percent, see :func:`share_same`), ``kappa`` and
    ``spearman`` are None where one side gives every sample the same score, with 95% percentile bootstrap intervals over
    clusters; ``n_undefined`` counts, by statistic, the resamples that left it undefined. ``bias`` is the judge's mean
    less the people's. ``confusion`` counts by the people's nearest mark and then by the judge's (halves go up)."""

    n: int
    accuracy: Cell
    kappa: Cell
    spearman: Cell
    bias: float | None = None
    n_undefined: Mapping[str, int] | None = None
    confusion: Mapping[str, Mapping[str, int]] | None = None


@dataclass(frozen=True)
class VerdictFile:
    """A file of verdicts that were compared; None is what only a result beside it would tell."""

    file: str
    model: str
    dataset: str | None
    judge: str | None
    protocol: str | None
    n: int


@dataclass(frozen=True)
class DimensionAgreement:
    """The agreement on one dimension, over the answers with a verdict and a rating, and how many lack one. Of the
    answers ``n_between_marks`` have a median rating that is no whole number, so that no whole verdict is the same."""

    agreement: HumanAgreement
    n_between_marks: int
    n_unscored: int
    n_not_rated: int


@dataclass(frozen=True)
class RaterAgreement:
    """How raters agree on one dimension. ``kappa`` is the quadratic weighted kappa of two raters, of more its mean over
    the pairs that have one (R. J. Light, Psychol. Bull. 76, 1971, p. 365); ``with_judge`` the same over the judge's
    pairs with each rater. ``alpha`` is Krippendorff's for squared differences, over the ``alpha.n`` answers that two
    raters or more rated. Each with a 95% percentile bootstrap interval over clusters."""

    kappa: Cell
    with_judge: Cell
    alpha: Cell


@dataclass(frozen=True)
class RatingDisagreement:
    """Scores of one answer that differ; ``rated`` is the median, ``ratings`` and ``comments`` are by rater."""

    model: str
    row: SampleRow
    dimension: str
    judge: float | None
    rated: float | None
    ratings: Mapping[str, float | None]
    comments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RatingComparison:
    """Verdicts against ratings of the same ``n`` answers; ``by_judge`` says that another judge rated, no people.
    ``dimensions``, ``by_rater`` (the judge and each rater) and ``between_raters`` are by the dimension's title at last,
    ``groups`` by axis, value and title. ``n_unrated`` verdicts have no rating, ``n_elsewhere`` ratings are of the runs
    ``elsewhere``, which were not given. ``among_raters`` (by title) is empty for a single rater, ``n_partly`` counts a
    rater's answers that are partly rated, ``references`` are the ways in which raters saw the reference."""

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
    among_raters: Mapping[str, RaterAgreement] = field(default_factory=dict)
    rater_disagreements: Sequence[RatingDisagreement] = ()
    n_partly: Mapping[str, int] = field(default_factory=dict)
    references: Sequence[str] = ()


PUBLISHED_OF = "GPT-4o against three radiologists on 200 cases"
PUBLISHED: Mapping[str, tuple[float, float]] = {"accuracy": (83.3, 90.5), "kappa": (0.774, 0.985)}
"""The published validation of a judge, as ranges over the dimensions; accuracy in percent."""


def measure_agreement(
    judge: Sequence[float], human: Sequence[float], seed: int = 0, clusters: Sequence[int] | None = None
) -> HumanAgreement:
    """Compare a judge's scores with people's on the same samples; the sequences are parallel. Whole clusters are drawn
    with replacement, single samples without ``clusters``, as counts of the few pairs of scores that occur."""
    n = len(judge)
    if not n:
        return HumanAgreement(0, Cell(None, n=0), Cell(None, n=0), Cell(None, n=0))
    scores = np.array([judge, human], dtype=float).T
    pairs, at, counts = np.unique(scores, axis=0, return_inverse=True, return_counts=True)
    of_clusters = totals_by_cluster(range(n) if clusters is None else clusters, np.eye(len(pairs))[at.ravel()])
    kinds, times = (of[::-1] for of in np.unique(of_clusters, axis=0, return_counts=True))
    draws = generator(seed).multinomial(len(of_clusters), times / len(of_clusters), size=RESAMPLES).astype(float)
    cells, undefined = {}, {}
    for name, values in _statistics(pairs, np.vstack([counts, draws @ kinds])).items():
        observed, resampled = float(values[0]), values[1:][~np.isnan(values[1:])]
        undefined[name], level = RESAMPLES - len(resampled), [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
        ends = np.percentile(resampled, level).round(_DIGITS).tolist() if len(resampled) else None
        cells[name] = interval_cell(None if math.isnan(observed) else observed, ends, n)
    marks = Counter(zip(map(_mark, human), map(_mark, judge), strict=True))
    confusion = {str(row): {str(column): marks[row, column] for column in MARKS} for row in MARKS}
    return HumanAgreement(n, **cells, bias=fmean(judge) - fmean(human), n_undefined=undefined, confusion=confusion)


def measure_raters(raters: Sequence[Scores], judge: Scores, clusters: Sequence[int], seed: int = 0) -> RaterAgreement:
    """Compare two raters or more with each other and the judge; all sequences are parallel, None is not rated. Alpha is
    ``1 - (n - 1) Σ_u (m_u Σx² - (Σx)²) / (m_u - 1) / (n Σx² - (Σx)²)`` with ``m_u`` ratings of answer ``u`` and ``n``
    of all answers with two or more (K. Krippendorff, Content Analysis, 4th ed. 2019, ch. 12, interval metric)."""
    scores = np.array([judge, *raters], dtype=float)  # None becomes nan
    known = ~np.isnan(scores)
    values, terms, n_judged = np.where(known, scores, 0), [], len(raters)  # the judge's pairs are the first
    for first, second in combinations(range(len(scores)), 2):
        both = known[first] & known[second]
        x, y = values[first] * both, values[second] * both
        terms += [both, x, y, x * x, y * y, (x - y) ** 2]
    m, total, squares = known[1:].sum(axis=0), values[1:].sum(axis=0), (values[1:] ** 2).sum(axis=0)
    apart = (m * squares - total**2) / np.maximum(m - 1, 1)
    terms += [term * (m > 1) for term in (m, total, squares, apart)]

    def statistics(sums: Array) -> Array:
        n, x, y, xx, yy, squared = np.moveaxis(sums[:, :-4].reshape(len(sums), -1, 6), -1, 0)
        kappas = _kappa(n, x, y, xx, yy, squared)
        sides = kappas[:, n_judged:], kappas[:, :n_judged]
        means = [np.nansum(side, axis=1) / (~np.isnan(side)).sum(axis=1) for side in sides]
        n_ratings, total, squares, apart = sums[:, -4:].T
        by_chance = n_ratings * squares - total * total
        alpha = np.where(by_chance > 10**-_DIGITS, 1 - (n_ratings - 1) * apart / by_chance, np.nan)
        return np.stack([*means, alpha], axis=1)

    totals = totals_by_cluster(clusters, np.array(terms, dtype=float).T)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = statistics(totals.sum(axis=0, keepdims=True))[0].tolist()
    twice, with_judge = int((m > 1).sum()), int((known[0] & (m > 0)).sum())
    figures = [value if math.isfinite(value) else None for value in observed]
    return RaterAgreement(*map(interval_cell, figures, bootstrap(totals, statistics, seed), (twice, with_judge, twice)))


def _kappa(n: Array, x: Array, y: Array, xx: Array, yy: Array, apart: Array) -> Array:
    """:func:`weighted_kappa` from sums over samples: of scores, their squares and squared differences; else nan."""
    vary = np.minimum(n * xx - x * x, n * yy - y * y) > 10**-_DIGITS
    return np.where(vary, 1 - n * apart / (n * xx + n * yy - 2 * x * y), np.nan)


def _statistics(pairs: Array, draws: Array) -> dict[str, Array]:
    """Accuracy, kappa and Spearman's correlation of each draw (draws x pairs), nan where undefined."""
    x, y = pairs.T
    n = draws.sum(axis=1)
    x_ranks, y_ranks = _midranks(x, draws), _midranks(y, draws)
    near = np.array([is_same(*pair) for pair in pairs.tolist()], dtype=float)
    spread = np.sqrt((draws * x_ranks**2).sum(axis=1) * (draws * y_ranks**2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = _kappa(n, *(draws @ term for term in (x, y, x**2, y**2, (x - y) ** 2)))
        spearman = (draws * x_ranks * y_ranks).sum(axis=1) / spread
    return {"accuracy": 100 * (draws @ near) / n, "kappa": kappa, "spearman": np.where(spread > 0, spearman, np.nan)}


def _midranks(values: Array, draws: Array) -> Array:
    """The midrank of each pair's value on one side in each draw (draws x pairs), less their mean."""
    levels, at = np.unique(values, return_inverse=True)
    per_level = draws @ (at[:, None] == np.arange(len(levels))).astype(float)
    ranks = per_level.cumsum(axis=1) - per_level / 2 + 0.5
    return np.asarray(ranks[:, at] - (draws.sum(axis=1, keepdims=True) + 1) / 2)


def _mark(score: float) -> int:
    return math.floor(round(score, _DIGITS) + 0.5)


def compare_scores(first: Scores, second: Scores) -> Agreement:
    """The agreement of two scorers on the samples that both scored; the two sequences are parallel."""
    both = [(x, y) for x, y in zip(first, second, strict=True) if x is not None and y is not None]
    if not both:
        return Agreement(0, None, None)
    x_scores, y_scores = zip(*both, strict=True)
    return Agreement(len(both), share_same(x_scores, y_scores), weighted_kappa(x_scores, y_scores))


def pairwise(scores: Mapping[str, Mapping[str, Scores]]) -> dict[str, dict[str, dict[str, Agreement]]]:
    """First name -> second name -> dimension -> agreement, of ``scores`` by name and dimension, parallel by sample."""
    pairs: dict[str, dict[str, dict[str, Agreement]]] = {}
    for first, second in combinations(scores, 2):
        pairs.setdefault(first, {})[second] = {
            dimension: compare_scores(column, scores[second][dimension]) for dimension, column in scores[first].items()
        }
    return pairs


def between_rounds(judged: Sequence[Judged]) -> dict[str, Agreement] | None:
    """The same judge on the same sample in two rounds, by dimension's title; None where nothing was asked twice. Every
    pair of rounds counts (of three rounds three, of a panel each judge's), of ``kappa`` in both orders."""
    agreements: dict[str, Agreement] = {}
    for dimension, title in DIMENSION_TITLES.items():
        verdicts = [sample.verdicts[dimension] for sample in judged if dimension in sample.verdicts]
        pairs = [pair for verdict in verdicts for rounds in _rounds(verdict) for pair in combinations(rounds, 2)]
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
    scores, means = scores_by_judge(judged), {}
    for name, columns in scores.items():
        by_dimension, total = means_and_sum(columns.values())
        means[name] = dict(zip(columns, by_dimension, strict=True)) | {OVERALL: total}
    return PanelCheck(means, pairwise(scores)) if scores else None


def scores_by_judge(judged: Sequence[Judged]) -> dict[str, dict[str, Scores]]:
    """Each judge's scores, parallel to ``judged``, by the titles of dimensions; empty where there was no panel."""
    verdicts = [verdict for sample in judged for verdict in sample.verdicts.values()]
    names = dict.fromkeys(name for verdict in verdicts if not _are_rounds(verdict.parts) for name in verdict.parts)
    scores: dict[str, dict[str, Scores]] = {}
    for name in names:
        own = [
            {d: verdict.parts[name].score for d, verdict in sample.verdicts.items() if name in verdict.parts}
            for sample in judged
        ]
        scores[name] = {title: [of_sample.get(d) for of_sample in own] for d, title in DIMENSION_TITLES.items()}
    return scores


def _rounds(verdict: Verdict) -> Iterator[list[float]]:
    parts = verdict.parts.values()
    if parts and _are_rounds(verdict.parts):
        yield [part.score for part in parts if part.score is not None]
    else:
        for part in parts:
            yield from _rounds(part)


def _are_rounds(parts: Iterable[str]) -> bool:
    """Rounds are numbered from 1; judges have names."""
    return all(name == str(number) for number, name in enumerate(parts, start=1))


# Cached, as the summary, the findings and the sample's row all ask: a long answer takes a millisecond or two.
_read = lru_cache(maxsize=8192)(conclusion_of)


def read_conclusion(sample: Sample, prediction: Prediction) -> Conclusion:
    """Read what an answer and its reference conclude, a level (reject, usable, good) or one of two images, and apply
    the published rule: the same level scores 2, the next 1, the opposite or none 0; the same preference 2, else 0."""
    replied = prediction.status is PredictionStatus.OK
    reference, stated = _read(sample.task, sample.description or ""), _read(sample.task, prediction.text)
    if reference is None or not replied:
        return Conclusion(stated if replied else None, reference, None)
    return Conclusion(stated, reference, quality_of(sample.task, stated, reference))


def quality_of(task: Task, stated: str | int | None, reference: str | int) -> int:
    """The published rule for a stated conclusion beside its reference's: 0, 1 or 2."""
    return 0 if stated is None else MAX_VERDICT - steps_apart(task, stated, reference)


def score_conclusions(
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[Judged]
) -> ConclusionCheck | None:
    """Compute quality accuracy from the stated conclusions, over the answers whose reference's can be read, beside the
    judge's over those of them that it scored. The sequences are parallel. None where no conclusion can be compared, and
    for the embedded judge, whose own quality accuracy is this one."""
    if all(verdict.judge == RULES for sample in judged for verdict in sample.verdicts.values()):
        return None
    compared = [
        (float(conclusion.quality_accuracy), conclusion.stated, verdicts.score_on("quality_accuracy"))
        for sample, prediction, verdicts in zip(samples, predictions, judged, strict=True)
        if (conclusion := read_conclusion(sample, prediction)).quality_accuracy is not None
    ]
    if not compared:
        return None
    computed, stated, scores = zip(*compared, strict=True)
    both = [(own, score) for own, score in zip(computed, scores, strict=True) if score is not None]
    return ConclusionCheck(
        n=len(compared),
        n_stated=sum(conclusion is not None for conclusion in stated),
        computed=fmean(computed),
        judge=fmean(score for _, score in both) if both else None,
        agreement=compare_scores(computed, scores),
        n_disagreements=sum(not is_same(*pair) for pair in both),
    )
