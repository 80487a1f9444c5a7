"""What kind of error a sample shows, as far as letters, verdicts and stated conclusions tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medqbench_vlmeval.records import Extraction, JudgedSample, Prediction, PredictionStatus, Sample
from medqbench_vlmeval.scoring.accuracy import is_right
from medqbench_vlmeval.scoring.conclusions import Conclusion, read_conclusion
from medqbench_vlmeval.scoring.findings.finding import Finding, NotFound
from medqbench_vlmeval.scoring.findings.levels import level_choice, stated_choice
from medqbench_vlmeval.scoring.findings.shares import share, share_finding, share_words
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

NO_REPLY = "no reply"
NO_ANSWER = "no answer"
WRONG = "wrong answer"
NO_CONCLUSION = "no conclusion"
WRONG_PREFERENCE = "wrong preference"
INCOMPLETE = "incomplete description"
IMPRECISE = "imprecise description"
INCONSISTENT = "inconsistent"

NOT_TOLD = "Gaps in medical knowledge cannot be told from letters, verdicts and conclusions, and are never given."

_LOW = 0.5
_OF_DIMENSION = {"completeness": INCOMPLETE, "preciseness": IMPRECISE, "consistency": INCONSISTENT}


def perception_error_kinds(sample: Sample, prediction: Prediction, extraction: Extraction) -> list[str]:
    """The kind of error in one multiple-choice sample, at most one; none where the answer is right.

    'no reply': inference failed or the prediction is missing. 'no answer': a reply from which no letter can be read.
    'adjacent level' and 'opposite level': in a How question whose options are levels (none, mild, moderate, severe;
    good, usable, reject) the level chosen is one step, or more than one, from the right one among those offered.
    'wrong answer': any other wrong letter.
    """
    if prediction.status is not PredictionStatus.OK:
        return [NO_REPLY]
    if extraction.letter is None:
        return [NO_ANSWER]
    if is_right(sample, extraction.letter):
        return []
    choice = level_choice(sample, extraction)
    return [(choice.kind if choice is not None else None) or WRONG]


def reasoning_error_kinds(sample: Sample, prediction: Prediction, judged: JudgedSample) -> list[str]:
    """The kinds of error in one described sample; several may hold, and none where nothing is wrong.

    'no reply': inference failed or the prediction is missing. From the stated conclusions, where the reference's can
    be read: 'no conclusion' (the reply's cannot), 'adjacent level' and 'opposite level' (it is one step, or two, from
    the reference's), 'wrong preference' (of a pair: another image, or a tie where the reference has none or the other
    way round). From the verdicts: 'incomplete description', 'imprecise description' and 'inconsistent', for a score
    of 0.5 or less on completeness, preciseness and consistency (0 where there is one verdict; means of rounds and
    medians of panels lie between). The score on quality accuracy gives no kind of its own: it is the conclusion's.
    """
    return _reasoning_kinds(sample, prediction, judged, read_conclusion(sample, prediction))


def perception_errors(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Extraction]
) -> Finding | NotFound:
    """How many samples show each kind."""
    found = zip(samples, predictions, extractions, strict=True)
    return _counted([perception_error_kinds(*one) for one in found])


def reasoning_errors(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    judged: Sequence[JudgedSample],
    conclusions: Sequence[Conclusion],
) -> Finding | NotFound:
    """How many samples show each kind."""
    found = zip(samples, predictions, judged, conclusions, strict=True)
    return _counted([_reasoning_kinds(*one) for one in found])


def _reasoning_kinds(sample: Sample, prediction: Prediction, judged: JudgedSample, conclusion: Conclusion) -> list[str]:
    if prediction.status is not PredictionStatus.OK:
        return [NO_REPLY]
    scores = {name: verdict.score for name, verdict in judged.verdicts.items() if verdict.score is not None}
    kinds = [kind for dimension, kind in _OF_DIMENSION.items() if dimension in scores and scores[dimension] <= _LOW]
    stated, reference = conclusion.stated, conclusion.reference
    if reference is None or stated == reference:
        return kinds
    if stated is None:
        return [NO_CONCLUSION, *kinds]
    if sample.task is Task.COMPARATIVE:
        return [WRONG_PREFERENCE, *kinds]
    kind = stated_choice(str(reference), str(stated)).kind
    return [*([kind] if kind else []), *kinds]


def _counted(kinds: Sequence[Sequence[str]]) -> Finding | NotFound:
    n = len(kinds)
    if n < FEW:
        return NotFound(f"fewer than {FEW} samples")
    counts = Counter(kind for of_sample in kinds for kind in of_sample)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    found = share(sum(bool(of_sample) for of_sample in kinds), n)
    verb = "shows" if found["count"] == 1 else "show"
    listed = f": {', '.join(f'{kind} {count}' for kind, count in ranked)}" if ranked else ""
    return share_finding(
        "Kinds of error",
        f"{found['count']} of {n} samples ({share_words(found)}) {verb} an error that can be told{listed}.",
        found,
        {"kinds": {kind: share(count, n) for kind, count in ranked}, "not_told": NOT_TOLD},
    )
