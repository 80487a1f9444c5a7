"""Whether longer replies score higher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from medqbench_vlmeval.records import Prediction, PredictionStatus
from medqbench_vlmeval.scoring.findings.correlation import METHOD, rank_correlation
from medqbench_vlmeval.scoring.findings.finding import (
    CORRELATION,
    Finding,
    NotFound,
    amount,
    interval_words,
    is_apart,
    unproven,
)
from medqbench_vlmeval.scoring.findings.measures import Measure
from medqbench_vlmeval.scoring.intervals import FEW

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
