"""Findings on how a model answers (letters, 'yes', an image's place, replies without an answer, lengths of replies),
and on a judge that scores all answers alike."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import compress
from statistics import NormalDist, median

import numpy as np

from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.data.columns import words
from medqbench_vlmeval.scoring.agreement import scores_by_judge
from medqbench_vlmeval.scoring.findings.finding import (
    CORRELATION,
    PERCENT,
    POINTS,
    Gap,
    Measure,
    amount,
    excludes_zero,
    gap_of_shares,
    interval_words,
    no_claim,
    on_one_line,
    share,
    share_finding,
    share_words,
)
from medqbench_vlmeval.scoring.intervals import Array, Interval, interval_cell, known
from medqbench_vlmeval.scoring.summary import ranked
from medqbench_vlmeval.types import (
    FEW,
    LEVEL,
    Answer,
    Cell,
    Conclusion,
    Details,
    Finding,
    Judged,
    LetterBias,
    LetterUse,
    Prediction,
    PredictionStatus,
    Sample,
)

USUAL_SHARE = 0.8
"""The share of samples with the same scores that needs no explanation: in the published rows at most 78.2% can have
full marks on two dimensions (the second highest mean of GPT-5's pairs is 1.564 of 2)."""
SAME_METHOD = "exact binomial test against 80%, samples with a common image taken as one"
RANK_METHOD = "Fisher's z with a standard error from influence values, added up by image"
REFUSAL = "refusal"

_DIGITS = 9
# Below it a chance is only said to be small.
_LEAST_CHANCE = 1e-6
_NO_RANK_INTERVAL = "the independent samples are too few or the correlation is perfect"
_DECLINES = re.compile(
    r"\b(?:sorry|apologi[sz]e)\b|\bas an ai\b|\bi(?: am|'m) an ai\b"
    r"|\b(?:i|we)(?: am| are|'m|'re)?\s(?:can't|cannot|can not|unable to|not able to|won't|will not|do not|don't)\s"
    r"(?:\w+\s){0,2}(?:assist|help|provide|answer|analy[sz]e|view|see|interpret|evaluate|assess|determine|comment|compare"
    r"|describe|process)\b"
    r"|\bno images? (?:was|were|is|are|has been|have been) (?:provided|attached|included)",
    re.IGNORECASE,
)


def letter_bias(samples: Sequence[Sample], extractions: Sequence[Answer], clusters: Sequence[int]) -> Finding | str:
    """The letter whose share of the answers lies furthest from its share of the right ones. Questions with the same
    letters are taken together, unanswered ones left out; intervals are widened for the letters looked at."""
    by_letters: dict[str, list[int]] = {}
    for position, (sample, extraction) in enumerate(zip(samples, extractions, strict=True)):
        if sample.answer is not None and extraction.letter in sample.options:
            by_letters.setdefault("".join(sorted(sample.options)), []).append(position)
    large = {letters: at for letters, at in sorted(by_letters.items()) if len(at) >= FEW and len(letters) > 1}
    if not large:
        return f"fewer than {FEW} answered questions with the same letters"
    # Of two letters one mirrors the other.
    looked_at = sum(1 if len(letters) == 2 else len(letters) for letters in large)
    tables: dict[str, LetterBias] = {}
    gaps: dict[tuple[str, str], Gap] = {}
    for letters, at in large.items():
        of_answers, uses = [clusters[i] for i in at], {}
        for letter in letters:
            chosen, right = [extractions[i].letter == letter for i in at], [samples[i].answer == letter for i in at]
            gap = gaps[letter, letters] = gap_of_shares(chosen, right, of_answers, looked_at, "letter")
            shares = 100 * sum(chosen) / len(at), 100 * sum(right) / len(at)
            uses[letter] = LetterUse(*shares, gap.value, *(gap.interval or (None, None)))
        distance = math.fsum(abs(use.difference) for use in uses.values()) / 2
        tables[letters] = LetterBias(len(at), len(at) < FEW, distance, uses)
    # What is told apart from chance goes before what only looks large in few answers.
    letter, letters = max(
        gaps, key=lambda at: (gaps[at].is_proven, round(abs(gaps[at].value), _DIGITS), gaps[at].value > 0, *at)
    )
    gap, table = gaps[letter, letters], tables[letters]
    use = table.letters[letter]
    about = f"{letter} is chosen in {use.chosen:.2f}% and right in {use.right:.2f}%"
    options = f"questions with {len(letters)} options"
    statement = gap.claim(
        f"Of {table.n} answers to {options}, {about}",
        f"a letter is preferred; furthest apart, {about} of {table.n} answers to {options}",
    )
    details = Details(by_options=tables, facts={"letter": letter, "options": letters})
    return gap.finding("Letter bias", f"{statement} (difference: {gap.words}).", table.n, details)


def yes_bias(samples: Sequence[Sample], extractions: Sequence[Answer], clusters: Sequence[int]) -> Finding | str:
    """How much oftener 'yes' is said than it is right, in the questions whose two options are Yes and No."""
    # Whether 'yes' is said, whether it is right, and the cluster.
    rows = [
        (extraction.letter == yes, sample.answer == yes, cluster)
        for sample, extraction, cluster in zip(samples, extractions, clusters, strict=True)
        if (yes := _yes_letter(tuple(sample.options.items()))) and sample.answer and extraction.letter in sample.options
    ]
    n = len(rows)
    if n < FEW:
        return f"fewer than {FEW} answered questions whose options are Yes and No"
    yeses, right, of_answers = zip(*rows, strict=True)
    gap = gap_of_shares(yeses, right, of_answers)
    about = f"'yes' is said in {100 * sum(yeses) / n:.2f}% and right in {100 * sum(right) / n:.2f}% of {n} answers"
    side = "too often" if gap.value > 0 else "too seldom"
    statement = gap.claim(
        f"'Yes' is said {side}: {about}, a difference of {amount(gap.value, POINTS)} ({gap.words}).",
        f"'yes' is said too often or too seldom: {about} (difference: {gap.words}).",
    )
    shares = _shares(yeses, right, "said_yes", "is_yes", "right_where_yes", "right_where_no")
    return gap.finding("Bias to yes", statement, n, Details(shares=shares))


def _shares(chosen: Sequence[bool], right: Sequence[bool], *names: str) -> dict[str, Cell]:
    """How often one of two answers is chosen and is right, and how often the answer is right where it is and is not."""
    pairs, n, n_right = Counter(zip(chosen, right, strict=True)), len(chosen), sum(right)
    counts = sum(chosen), n_right, pairs[True, True], pairs[False, False]
    return {name: share(*pair) for name, *pair in zip(names, counts, (n, n, n_right, n - n_right), strict=True)}


@lru_cache(maxsize=4096)
def _yes_letter(options: tuple[tuple[str, str], ...]) -> str | None:
    letters = {" ".join(words(text)): letter for letter, text in options}
    return letters["yes"] if len(options) == 2 and set(letters) == {"yes", "no"} else None


def position_bias(conclusions: Sequence[Conclusion], clusters: Sequence[int]) -> Finding | str:
    """The share of answers that prefer the first image, less that of references, where both prefer one of the two."""
    rows = [
        (conclusion.stated == 1, conclusion.reference == 1, cluster)
        for conclusion, cluster in zip(conclusions, clusters, strict=True)
        if conclusion.stated in (1, 2) and conclusion.reference in (1, 2)
    ]
    n = len(rows)
    if n < FEW:
        return f"fewer than {FEW} pairs in which answer and reference prefer one of the two images"
    stated, reference, of_answers = zip(*rows, strict=True)
    gap = gap_of_shares(stated, reference, of_answers)
    about = (
        f"of {n} pairs the answers prefer the first image in {100 * sum(stated) / n:.2f}%, the references in "
        f"{100 * sum(reference) / n:.2f}%"
    )
    apart = f"{amount(gap.value, POINTS)} apart ({gap.words})"
    statement = gap.claim(
        f"The {'first' if gap.value > 0 else 'second'} image is preferred too often: {about}, {apart}.",
        f"an image is preferred for its place: {about} (difference: {gap.words}).",
    )
    names = "first_stated", "first_in_reference", "right_where_first_is_better", "right_where_second_is_better"
    mixed_up = Counter(zip(stated, reference, strict=True))
    facts = {"n_first_for_second": mixed_up[True, False], "n_second_for_first": mixed_up[False, True]}
    details = Details(shares=_shares(stated, reference, *names), facts={**facts, "n_left_out": len(conclusions) - n})
    return gap.finding("Position bias in pairs", statement, n, details)


def same_scores(judged: Sequence[Judged], clusters: Sequence[int]) -> Finding | str:
    """A judge that gives nearly all samples the same scores, with the chance of it were 80% alike. A sample is alike
    where each of its scores, two at least, is the most frequent one of its dimension; of samples that share
    images all have to be. Of a panel's judges the one with the smallest chance, times their number, is looked at."""
    by_judge = scores_by_judge(judged)
    by_judge = by_judge or {
        "": {title: [sample.score_on(name) for sample in judged] for name, title in DIMENSION_TITLES.items()}
    }
    tests = {name: found for name, columns in by_judge.items() if (found := _alike(columns, clusters))}
    if not tests:
        return f"fewer than {FEW} samples with scores on two dimensions"
    name = min(tests, key=lambda name: (tests[name][0], name))
    chance, n_alike, n, usual = tests[name]
    chance = min(1.0, chance * len(by_judge))
    if chance >= 1 - LEVEL:
        return "the samples' scores vary"
    rate = share(n_alike, n)
    scores = ", ".join(f"{title} {score:g}" for title, score in usual.items())
    by_chance = f"{100 * chance:.2g}%" if chance > _LEAST_CHANCE else f"less than {100 * _LEAST_CHANCE:g}%"
    statement = (
        f"{f'Judge {on_one_line(name)}' if name else 'The judge'} gives {n_alike} of {n} samples ({share_words(rate)}) "
        f"the same scores: {scores}. Were {100 * USUAL_SHARE:.0f}% of the samples so, as many or more would come with "
        f"a chance of {by_chance}. Either the answers are alike, or this judge does not tell them apart: read some of "
        "its replies before the scores are used."
    )
    facts = {"judge": name or None, "scores": scores, "chance": chance, "n_judges": len(by_judge)}
    method = SAME_METHOD if len(by_judge) == 1 else f"{SAME_METHOD}, the chance times the {len(by_judge)} judges"
    return Finding(
        "Same scores for nearly all", statement, PERCENT, replace(rate, counts={}), method, Details(facts=facts)
    )


def _alike(
    columns: Mapping[str, Sequence[float | None]], clusters: Sequence[int]
) -> tuple[float, int, int, dict[str, float]] | None:
    """The chance of so many samples alike, how many are, of how many, and each dimension's most frequent score."""
    from scipy.special import bdtrc

    # Equal means of rounds are equal, however they come about.
    rounded = {title: [None if x is None else round(x, _DIGITS) for x in column] for title, column in columns.items()}
    counts = {title: Counter(known(column)) for title, column in rounded.items()}
    usual = {title: max(of, key=lambda score: (of[score], score)) for title, of in counts.items() if of}
    alike: dict[int, list[bool]] = {}
    for at, cluster in enumerate(clusters):
        same = [score == usual[title] for title, column in rounded.items() if (score := column[at]) is not None]
        if len(same) > 1:
            alike.setdefault(cluster, []).append(all(same))
    n_alike, n = (sum(map(count, alike.values())) for count in (sum, len))
    if n < FEW:
        return None
    return float(bdtrc(sum(map(all, alike.values())) - 1, len(alike), USUAL_SHARE)), n_alike, n, usual


def no_answer(predictions: Sequence[Prediction], extractions: Sequence[Answer]) -> Finding | str:
    """Replies from which no letter can be read, by the rule that says why. Failed inferences are counted apart."""
    reasons = [None if extraction.letter is not None else extraction.rule for extraction in extractions]
    return _rate(predictions, reasons, ("gives", "give"), "no answer that can be read")


def no_conclusion(predictions: Sequence[Prediction], conclusions: Sequence[Conclusion]) -> Finding | str:
    """Replies that state no conclusion that can be read: empty ones, refusals, and descriptions without one."""
    pairs = zip(predictions, conclusions, strict=True)
    reasons = [None if conclusion.stated is not None else _reason(prediction.text) for prediction, conclusion in pairs]
    return _rate(predictions, reasons, ("states", "state"), "no conclusion that can be read")


def _reason(text: str) -> str:
    if not text.strip():
        return "empty"
    # A refusal says so at its start; further on, 'cannot be assessed' is about a structure.
    return REFUSAL if _DECLINES.search(text.lstrip()[:300].replace("’", "'")) else "description without a conclusion"


def _rate(
    predictions: Sequence[Prediction], reasons: Sequence[str | None], verbs: tuple[str, str], what: str
) -> Finding | str:
    status = Counter(prediction.status for prediction in predictions)
    n, failed, missing = (status[name] for name in PredictionStatus)
    if n < FEW:
        return f"fewer than {FEW} replies"
    replied = (prediction.status is PredictionStatus.OK for prediction in predictions)
    counts = ranked(Counter(reason for reason in compress(reasons, replied) if reason is not None))
    count, lost = sum(counts.values()), failed + missing
    rate = share(count, n)
    why = f": {', '.join(f'{reason} {times}' for reason, times in counts.items())}" if counts else ""
    apart = f" Without a reply (inference failed or prediction missing): {lost} of {len(predictions)}." if lost else ""
    details = Details(
        reasons={reason: share(times, n) for reason, times in counts.items()},
        shares={
            "refusal": share(counts.get(REFUSAL, 0), n),
            "inference_failed": share(failed, len(predictions)),
            "missing": share(missing, len(predictions)),
        },
    )
    statement = f"{count} of {n} replies ({share_words(rate)}) {verbs[count != 1]} {what}{why}.{apart}"
    return share_finding("No answer", statement, rate, details)


def length_against_score(predictions: Sequence[Prediction], measure: Measure) -> Finding | str:
    """Spearman's correlation of a reply's length (stripped, in characters) with its score; of reasoning the sum."""
    scored = measure.complete([i for i, reply in enumerate(predictions) if reply.status is PredictionStatus.OK])
    n = len(scored)
    if n < FEW:
        return f"fewer than {FEW} replies with a score"
    lengths = [len(predictions[i].text.strip()) for i in scored]
    # Equal sums of means of rounds are ties, however they come about: 1/3 + 2/3 and 1.
    scores = [round(math.fsum(column[i] or 0.0 for column in measure.columns), _DIGITS) for i in scored]
    clusters = [measure.clusters[i] for i in scored]
    correlation = rank_correlation(lengths, scores, clusters)
    if correlation is None:
        return f"all replies {'are of the same length' if len(set(lengths)) < 2 else 'have the same score'}"
    value, interval = correlation
    ends = interval_words(interval, CORRELATION, _NO_RANK_INTERVAL)
    about = f"Spearman's correlation {amount(value, CORRELATION)}, {ends}"
    if excludes_zero(interval):
        statement = f"Longer replies score {'higher' if value > 0 else 'lower'}: {about}, over {n} replies."
    else:
        statement = f"{no_claim(value, interval)} the length of a reply goes with its score: {about}, over {n} replies."
    return Finding(
        "Length against score",
        statement,
        CORRELATION,
        replace(interval_cell(value, interval, n), few=len(set(clusters)) < FEW),
        RANK_METHOD if interval else f"none: {_NO_RANK_INTERVAL}",
        Details(characters={"min": min(lengths), "median": median(lengths), "max": max(lengths)}),
    )


def rank_correlation(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int]
) -> tuple[float, Interval | None] | None:
    """Spearman's correlation (Pearson's of the midranks) with its 95% interval; None where one side is constant.

    With ``a = F(x) - 1/2`` and ``b = G(y) - 1/2`` of the sides' distribution functions (half of each jump taken at a
    tie) the correlation is ``S_ab / sqrt(S_aa S_bb)`` with ``S_ab = mean(ab)``. A sample's influence on ``S_ab`` is
    ``ab + A + B - 3 S_ab``, where ``A`` is the mean of ``b`` over the samples whose ``x`` is higher (ties half) and
    ``B`` likewise (C. Croux and C. Dehon, Stat. Methods Appl. 19, 2010, p. 497), added up by cluster. The interval is
    made on the scale of ``artanh``: None for one cluster, a correlation of -1 or 1, or influences that are all 0.
    """
    n = len(first)
    if min(len(set(first)), len(set(second))) < 2:
        return None
    # Sums are made in the order of the values, so that the order of rows changes no digit.
    order = np.lexsort((second, first))
    a, above_a = _ranks(np.asarray(first, dtype=float)[order])
    b, above_b = _ranks(np.asarray(second, dtype=float)[order])
    s_ab, s_aa, s_bb = (math.fsum(product) / n for product in (a * b, a * a, b * b))
    value = s_ab / math.sqrt(s_aa * s_bb)

    on_ab = a * b + above_a(b) + above_b(a) - 3 * s_ab
    on_aa = a * a + 2 * above_a(a) - 3 * s_aa
    on_bb = b * b + 2 * above_b(b) - 3 * s_bb
    influence = on_ab / math.sqrt(s_aa * s_bb) - value / 2 * (on_aa / s_aa + on_bb / s_bb)
    _, group = np.unique(np.asarray(clusters)[order], return_inverse=True)
    by_cluster = np.bincount(group, weights=influence)
    k = len(by_cluster)
    if k < 2 or abs(value) > 1 - 1e-12:
        return max(-1.0, min(1.0, value)), None
    error = math.sqrt(k / (k - 1) * math.fsum(by_cluster**2)) / n
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * error / (1 - value * value)
    if half < 1e-12:
        return value, None
    centre = math.atanh(value)
    return value, (math.tanh(centre - half), math.tanh(centre + half))


def _ranks(values: Array) -> tuple[Array, Callable[[Array], Array]]:
    """``F(x) - 1/2`` of each sample, and a function to the mean of something over samples with higher values."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    n = len(values)

    def above(other: Array) -> Array:
        sums = np.bincount(at, weights=other, minlength=len(counts))
        return np.asarray((sums.sum() - np.cumsum(sums) + sums / 2)[at] / n)

    return ((np.cumsum(counts) - counts / 2) / n - 0.5)[at], above
