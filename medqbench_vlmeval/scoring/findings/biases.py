"""Whether some letters, or 'yes', are chosen more often than they are right."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.data.columns import words
from medqbench_vlmeval.scoring.agreement import Conclusion
from medqbench_vlmeval.scoring.findings.finding import (
    CORRELATION,
    POINTS,
    Finding,
    Gap,
    Measure,
    NotFound,
    amount,
    gap_finding,
    interval_words,
    is_apart,
    share,
    share_finding,
    share_words,
    shares_apart,
    unproven,
)
from medqbench_vlmeval.scoring.intervals import FEW, LEVEL
from medqbench_vlmeval.types import Answer, Prediction, PredictionStatus, Sample

_YES, _NO = "yes", "no"


def letter_bias(
    samples: Sequence[Sample], extractions: Sequence[Answer], clusters: Sequence[int]
) -> Finding | NotFound:
    """The letter whose share of the answers lies furthest from its share of the right answers.

    Questions with two, three and four options are looked at separately, unanswered ones not at all. A letter's
    interval is widened for the number of letters looked at.
    """
    by_letters: dict[tuple[str, ...], list[int]] = {}
    for position, (sample, extraction) in enumerate(zip(samples, extractions, strict=True)):
        if extraction.letter is not None and sample.answer is not None and extraction.letter in sample.options:
            by_letters.setdefault(tuple(sorted(sample.options)), []).append(position)
    large = {letters: at for letters, at in sorted(by_letters.items()) if len(at) >= FEW and len(letters) > 1}
    if not large:
        return NotFound(f"fewer than {FEW} answered questions with the same letters")
    # Of two letters one mirrors the other.
    looked_at = sum(1 if len(letters) == 2 else len(letters) for letters in large)
    tables: dict[str, Any] = {}
    gaps: list[tuple[str, tuple[str, ...], Gap]] = []
    for letters, at in large.items():
        chosen = [extractions[i].letter for i in at]
        right = [samples[i].answer for i in at]
        of_group = [clusters[i] for i in at]
        rows = {}
        for letter in letters:
            sides = [one == letter for one in chosen], [one == letter for one in right]
            gap = shares_apart(*sides, of_group, looked_at, "letter")
            gaps.append((letter, letters, gap))
            rows[letter] = {
                "chosen": 100 * chosen.count(letter) / len(at),
                "right": 100 * right.count(letter) / len(at),
                "difference": gap.value,
                "low": gap.low,
                "high": gap.high,
            }
        tables["".join(letters)] = {
            "n": len(at),
            "few": len(at) < FEW,
            "distance": sum(abs(row["difference"] or 0) for row in rows.values()) / 2,
            "letters": rows,
        }
    # What is told apart from chance goes before what only looks large in few answers.
    letter, letters, furthest = max(
        gaps,
        key=lambda one: (is_apart(one[2].low, one[2].high), round(abs(one[2].value), 9), one[2].value > 0, one[:2]),
    )
    row = tables["".join(letters)]["letters"][letter]
    n = tables["".join(letters)]["n"]
    ends = furthest.words(POINTS)
    ends += f", widened for {looked_at} letters" if looked_at > 1 and furthest.low is not None else ""
    about = f"{letter} is chosen in {row['chosen']:.2f}% and right in {row['right']:.2f}%"
    if is_apart(furthest.low, furthest.high):
        said = f"Of {n} answers to questions with {len(letters)} options, {about} (difference: {ends})."
    else:
        said = (
            f"{unproven(furthest.value, furthest.low)} a letter is preferred; furthest apart, {about} of {n} answers "
            f"to questions with {len(letters)} options (difference: {ends})."
        )
    details = {"letter": letter, "options": "".join(letters), "by_options": tables}
    return gap_finding("Letter bias", said, furthest, POINTS, n, details)


def yes_bias(samples: Sequence[Sample], extractions: Sequence[Answer], clusters: Sequence[int]) -> Finding | NotFound:
    """How much oftener 'yes' is said than it is right, in the questions whose two options are Yes and No."""
    said_yes, is_yes, of_group = [], [], []
    for sample, extraction, cluster in zip(samples, extractions, clusters, strict=True):
        yes = _yes_letter(tuple(sample.options.items()))
        if yes is not None and extraction.letter in sample.options and sample.answer is not None:
            said_yes.append(extraction.letter == yes)
            is_yes.append(sample.answer == yes)
            of_group.append(cluster)
    n = len(said_yes)
    if n < FEW:
        return NotFound(f"fewer than {FEW} answered questions whose options are Yes and No")
    gap = shares_apart(said_yes, is_yes, of_group)
    both = list(zip(said_yes, is_yes, strict=True))
    about = f"'yes' is said in {100 * sum(said_yes) / n:.2f}% and right in {100 * sum(is_yes) / n:.2f}% of {n} answers"
    ends = gap.words(POINTS)
    if is_apart(gap.low, gap.high):
        side = "too often" if gap.value > 0 else "too seldom"
        statement = f"'Yes' is said {side}: {about}, a difference of {amount(gap.value, POINTS)} ({ends})."
    else:
        begin = unproven(gap.value, gap.low)
        statement = f"{begin} 'yes' is said too often or too seldom: {about} (difference: {ends})."
    return gap_finding(
        "Bias to yes",
        statement,
        gap,
        POINTS,
        n,
        {
            "said_yes": share(sum(said_yes), n),
            "is_yes": share(sum(is_yes), n),
            "right_where_yes": share(both.count((True, True)), sum(is_yes)),
            "right_where_no": share(both.count((False, False)), n - sum(is_yes)),
        },
    )


@lru_cache(maxsize=4096)
def _yes_letter(options: tuple[tuple[str, str], ...]) -> str | None:
    said = {" ".join(words(text)): letter for letter, text in options}
    return said[_YES] if len(options) == 2 and set(said) == {_YES, _NO} else None


# Whether comparisons prefer the first image more often than their references do.


_FIRST, _SECOND = 1, 2


def position_bias(conclusions: Sequence[Conclusion], clusters: Sequence[int]) -> Finding | NotFound:
    """The share of answers that prefer the first image, less the share of references that do.

    It is taken over the pairs in which both prefer one of the two images; the two sequences are parallel.
    """
    images = (_FIRST, _SECOND)
    taken = [i for i, one in enumerate(conclusions) if one.stated in images and one.reference in images]
    n = len(taken)
    if n < FEW:
        return NotFound(f"fewer than {FEW} pairs in which answer and reference prefer one of the two images")
    stated = [conclusions[i].stated == _FIRST for i in taken]
    reference = [conclusions[i].reference == _FIRST for i in taken]
    gap = shares_apart(stated, reference, [clusters[i] for i in taken])
    answers = list(zip(stated, reference, strict=True))
    ends = gap.words(POINTS)
    about = (
        f"of {n} pairs the answers prefer the first image in {100 * sum(stated) / n:.2f}%, the references in "
        f"{100 * sum(reference) / n:.2f}%"
    )
    if is_apart(gap.low, gap.high):
        place = "first" if gap.value > 0 else "second"
        said = f"The {place} image is preferred too often: {about}, {amount(gap.value, POINTS)} apart ({ends})."
    else:
        said = f"{unproven(gap.value, gap.low)} an image is preferred for its place: {about} (difference: {ends})."
    return gap_finding(
        "Position bias in pairs",
        said,
        gap,
        POINTS,
        n,
        {
            "first_stated": share(sum(stated), n),
            "first_in_reference": share(sum(reference), n),
            "right_where_first_is_better": share(answers.count((True, True)), sum(reference)),
            "right_where_second_is_better": share(answers.count((False, False)), n - sum(reference)),
            "n_first_for_second": answers.count((True, False)),
            "n_second_for_first": answers.count((False, True)),
            "n_left_out": len(conclusions) - n,
        },
    )


# Spearman's rank correlation with an interval that minds shared images.


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

METHOD = "Fisher's z with a standard error from influence values, added up by image"


def rank_correlation(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int]
) -> tuple[float, tuple[float, float] | None] | None:
    """Spearman's correlation (Pearson's of the midranks) with its 95% interval; None where one side is constant.

    With ``F`` and ``G`` the sides' distribution functions (half of each jump taken at a tie) and ``a = F(x) - 1/2``,
    ``b = G(y) - 1/2``, the correlation is ``S_ab / sqrt(S_aa S_bb)`` with ``S_ab = mean(ab)``. The influence of a
    sample on ``S_ab`` is ``ab + A + B - 3 S_ab``, where ``A`` is the mean of ``b`` over the samples whose ``x`` is
    higher (ties half) and ``B`` likewise: a sample moves the ranks of all others as well (C. Croux and C. Dehon,
    Stat. Methods Appl. 19, 2010, p. 497). Influences are added up by cluster; their sum of squares gives the standard
    error, and the interval is made on the scale of ``artanh``. None in place of an interval where it cannot be made:
    one cluster, a correlation of -1 or 1, or influences that are all 0.
    """
    import numpy as np

    n = len(first)
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    # Sums are made in the order of the values, so that the order of rows changes no digit.
    order = np.lexsort((second, first))
    a, above_a = _ranked(np.asarray(first, dtype=float)[order])
    b, above_b = _ranked(np.asarray(second, dtype=float)[order])
    s_ab, s_aa, s_bb = (_mean(product) for product in (a * b, a * a, b * b))
    found = s_ab / math.sqrt(s_aa * s_bb)

    on_ab = a * b + above_a(b) + above_b(a) - 3 * s_ab
    on_aa = a * a + 2 * above_a(a) - 3 * s_aa
    on_bb = b * b + 2 * above_b(b) - 3 * s_bb
    influence = on_ab / math.sqrt(s_aa * s_bb) - found / 2 * (on_aa / s_aa + on_bb / s_bb)
    _, group = np.unique(np.asarray(clusters)[order], return_inverse=True)
    by_cluster = np.bincount(group, weights=influence)
    k = len(by_cluster)
    if k < 2 or abs(found) > 1 - 1e-12:
        return max(-1.0, min(1.0, found)), None
    error = math.sqrt(k / (k - 1) * math.fsum(by_cluster**2)) / n
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * error / (1 - found * found)
    if half < 1e-12:
        return found, None
    centre = math.atanh(found)
    return found, (math.tanh(centre - half), math.tanh(centre + half))


def _ranked(values: Array) -> tuple[Array, Any]:
    """``F(x) - 1/2`` of each sample, and a function to the mean of something over samples with higher values."""
    import numpy as np

    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    n = len(values)

    def above(other: Array) -> Array:
        sums = np.bincount(at, weights=other, minlength=len(counts))
        return np.asarray((sums.sum() - np.cumsum(sums) + sums / 2)[at] / n)

    return ((np.cumsum(counts) - counts / 2) / n - 0.5)[at], above


def _mean(values: Array) -> float:
    return math.fsum(values) / len(values)


# Whether longer replies score higher.


_DIGITS = 9
_NO_INTERVAL = "the independent samples are too few or the correlation is perfect"


def length_against_score(
    predictions: Sequence[Prediction], measure: Measure, clusters: Sequence[int]
) -> Finding | NotFound:
    """Spearman's correlation of a reply's length (characters without blanks at its ends) with its score.

    Of perception the score is right or wrong, of reasoning the sum of the four dimensions; replies that lack a score
    are left out, as are failed and missing ones.
    """
    replied = [i for i, prediction in enumerate(predictions) if prediction.status is PredictionStatus.OK]
    taken = measure.complete(replied)
    n = len(taken)
    if n < FEW:
        return NotFound(f"fewer than {FEW} replies with a score")
    lengths = [len(predictions[i].text.strip()) for i in taken]
    # Equal sums of means of rounds are ties, however they come about: 1/3 + 2/3 and 1.
    scores = [round(math.fsum(column[i] or 0.0 for column in measure.columns), _DIGITS) for i in taken]
    if len(set(lengths)) < 2:
        return NotFound("all replies are of the same length")
    found = rank_correlation(lengths, scores, [clusters[i] for i in taken])
    if found is None:
        return NotFound("all replies have the same score")
    value, ends = found
    low, high = ends or (None, None)
    middle = median(lengths)
    ends_said = interval_words(low, high, CORRELATION, why=_NO_INTERVAL)
    about = f"Spearman's correlation {amount(value, CORRELATION)}, {ends_said}"
    if is_apart(low, high):
        said = f"Longer replies score {'higher' if value > 0 else 'lower'}: {about}, over {n} replies."
    else:
        said = f"{unproven(value, low)} the length of a reply goes with its score: {about}, over {n} replies."
    return Finding(
        "Length against score",
        said,
        value,
        CORRELATION,
        low,
        high,
        n,
        METHOD if ends else f"none: {_NO_INTERVAL}",
        {"characters": {"min": min(lengths), "median": middle, "max": max(lengths)}},
        units=len({clusters[i] for i in taken}),
    )


# Replies without an answer and why, and replies that never came.


EMPTY, REFUSAL, NO_CONCLUSION = "empty", "refusal", "description without a conclusion"

# A refusal says so at its start; further on, 'cannot be assessed' is about a structure.
_START = 300
_DECLINES = re.compile(
    r"\b(?:sorry|apologi[sz]e)\b|\bas an ai\b|\bi(?: am|'m) an ai\b"
    r"|\b(?:i|we)(?: am| are|'m|'re)?\s(?:can't|cannot|can not|unable to|not able to|won't|will not|do not|don't)\s"
    r"(?:\w+\s){0,2}(?:assist|help|provide|answer|analy[sz]e|view|see|interpret|evaluate|assess|determine|comment|compare"
    r"|describe|process)\b"
    r"|\bno images? (?:was|were|is|are|has been|have been) (?:provided|attached|included)",
    re.IGNORECASE,
)


def no_answer(predictions: Sequence[Prediction], extractions: Sequence[Answer]) -> Finding | NotFound:
    """Replies from which no letter can be read, by the rule that says why. Failed inferences are counted apart."""
    reasons = [
        None if extraction.letter is not None else extraction.rule
        for prediction, extraction in zip(predictions, extractions, strict=True)
        if prediction.status is PredictionStatus.OK
    ]
    return _rate(predictions, reasons, ("gives", "give"), "no answer that can be read")


def no_conclusion(predictions: Sequence[Prediction], conclusions: Sequence[Conclusion]) -> Finding | NotFound:
    """Replies that state no conclusion that can be read: empty ones, refusals, and descriptions without one."""
    reasons = [
        None if conclusion.stated is not None else _why(prediction.text)
        for prediction, conclusion in zip(predictions, conclusions, strict=True)
        if prediction.status is PredictionStatus.OK
    ]
    return _rate(predictions, reasons, ("states", "state"), "no conclusion that can be read")


def _why(text: str) -> str:
    if not text.strip():
        return EMPTY
    return REFUSAL if _DECLINES.search(text.lstrip()[:_START].replace("’", "'")) else NO_CONCLUSION


def _rate(
    predictions: Sequence[Prediction], reasons: Sequence[str | None], verbs: tuple[str, str], what: str
) -> Finding | NotFound:
    n = len(reasons)
    if n < FEW:
        return NotFound(f"fewer than {FEW} replies")
    status = Counter(prediction.status for prediction in predictions)
    found = Counter(reason for reason in reasons if reason is not None)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    rate = share(sum(found.values()), n)
    why = f": {', '.join(f'{reason} {count}' for reason, count in ranked)}" if ranked else ""
    lost = status[PredictionStatus.INFERENCE_FAILED] + status[PredictionStatus.MISSING]
    apart = f" Without a reply (inference failed or prediction missing): {lost} of {len(predictions)}." if lost else ""
    details: dict[str, Any] = {
        "reasons": {reason: share(count, n) for reason, count in ranked},
        "refusal": share(found[REFUSAL], n),
        "inference_failed": share(status[PredictionStatus.INFERENCE_FAILED], len(predictions)),
        "missing": share(status[PredictionStatus.MISSING], len(predictions)),
    }
    verb = verbs[rate["count"] != 1]
    statement = f"{rate['count']} of {n} replies ({share_words(rate)}) {verb} {what}{why}.{apart}"
    return share_finding("No answer", statement, rate, details)
