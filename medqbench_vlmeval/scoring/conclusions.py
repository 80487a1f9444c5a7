"""Quality accuracy from the conclusions that answers state, without any model: a second look at the judge's own.

An answer ends on a level (reject, usable, good) or prefers one of two images, and so does its reference. Read from the
text, the published rule can be applied to them directly: the same level 2, the next 1, the opposite or none 0; for a
pair the same preference 2, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.judge.conclusion import conclusion_of, steps_apart
from medqbench_vlmeval.records import JudgedSample, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.scoring.agreement import is_same, share_same, weighted_kappa
from medqbench_vlmeval.scoring.verdicts import scores_of
from medqbench_vlmeval.tasks import Task

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
    samples: Sequence[Sample], predictions: Sequence[Prediction], judged: Sequence[JudgedSample]
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
