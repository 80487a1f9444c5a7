"""What kind of error a sample shows, as far as letters, verdicts and stated conclusions tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from medqbench_vlmeval.benchmark import QUALITY_LEVELS, SEVERITIES, Task
from medqbench_vlmeval.data.columns import read_severity, words
from medqbench_vlmeval.scoring.agreement import Conclusion, read_conclusion
from medqbench_vlmeval.scoring.findings.finding import Finding, NotFound, share, share_finding, share_words
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.scoring.summary import is_right
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample

# Levels taken for other levels: in How questions whose options are levels, and in stated conclusions.


SEVERITY, QUALITY = "severity", "quality"
# From the best to the worst.
SCALES: Mapping[str, tuple[str, ...]] = {SEVERITY: SEVERITIES, QUALITY: tuple(reversed(QUALITY_LEVELS))}

ADJACENT, OPPOSITE = "adjacent level", "opposite level"
_HOW = "How"
_QUALITY_WORDS = {**{level: level for level in QUALITY_LEVELS}, "rejected": "reject", "useable": "usable"}
_NEGATIONS = {"not", "no", "non", "un", "less", "than", "or", "more", "without", "neither", "barely"}


@dataclass(frozen=True)
class LevelChoice:
    """A level that was right and the one that was chosen, of those of one question; ``chosen`` is None without one."""

    scale: str
    right: str
    chosen: str | None
    offered: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Steps from the right level to the chosen one among those offered; positive is worse than right."""
        if self.chosen is None:
            return 0
        return self.offered.index(self.chosen) - self.offered.index(self.right)

    @property
    def kind(self) -> str | None:
        """'adjacent level' for one step, 'opposite level' for more, None for the right one and for no answer."""
        return None if self.steps == 0 else ADJACENT if abs(self.steps) == 1 else OPPOSITE


@lru_cache(maxsize=4096)
def _levels(options: tuple[tuple[str, str], ...]) -> tuple[str, Mapping[str, str], tuple[str, ...]] | None:
    """The options' scale, the level of each letter and the levels in order; None where they are not of one scale."""
    for scale, read in ((SEVERITY, read_severity), (QUALITY, _read_quality)):
        levels = {letter: level for letter, text in options if (level := read(text)) is not None}
        if len(levels) == len(options) == len(set(levels.values())) >= 2:
            return scale, levels, tuple(level for level in SCALES[scale] if level in levels.values())
    return None


def _read_quality(text: str) -> str | None:
    said = words(text)
    named = {_QUALITY_WORDS[word] for word in said if word in _QUALITY_WORDS}
    return named.pop() if len(named) == 1 and not _NEGATIONS.intersection(said) else None


def level_choice(sample: Sample, extraction: Answer) -> LevelChoice | None:
    """The level chosen in a How question; None for any other question."""
    if sample.question_type != _HOW or sample.answer is None:
        return None
    found = _levels(tuple(sample.options.items()))
    if found is None or sample.answer not in found[1]:
        return None
    scale, levels, offered = found
    chosen = None if extraction.letter is None else levels.get(extraction.letter)
    return LevelChoice(scale, levels[sample.answer], chosen, offered)


def stated_choice(reference: str, stated: str | None) -> LevelChoice:
    """The level that a description concludes on, beside its reference's."""
    return LevelChoice(QUALITY, reference, stated, SCALES[QUALITY])


def level_confusion(choices: Sequence[LevelChoice], what: str) -> Finding | NotFound:
    """How often another level than the right one was chosen, and which for which.

    Args:
        choices: one a question or description whose right level is known.
        what: what chose the levels, for the sentence: 'How questions on a level'.
    """
    chosen = [choice for choice in choices if choice.chosen is not None]
    if len(chosen) < FEW:
        return NotFound(f"fewer than {FEW} {what}")
    mistaken = Counter((one.scale, one.right, str(one.chosen)) for one in chosen if one.steps)
    answered = Counter((one.scale, one.right) for one in chosen)
    mistakes = [
        {"scale": scale, "right": right, "chosen": wrong, **share(count, answered[scale, right])}
        for (scale, right, wrong), count in sorted(mistaken.items(), key=lambda item: (-item[1], item[0]))
    ]
    n, n_mistaken = len(chosen), sum(mistaken.values())
    found = share(n_mistaken, n)
    said = f"Of {n} {what}, {n_mistaken} ({share_words(found)}) took one level for another"
    if mistakes:
        most = mistakes[0]
        said += f", most often {most['right']} for {most['chosen']}: {most['count']} of {most['of']}"
    return share_finding(
        "Levels taken for others",
        f"{said}.",
        found,
        {
            "scales": _matrices(choices),
            "mistakes": mistakes,
            "kinds": {
                ADJACENT: share(sum(one.kind == ADJACENT for one in chosen), n),
                OPPOSITE: share(sum(one.kind == OPPOSITE for one in chosen), n),
                "worse than right": share(sum(one.steps > 0 for one in chosen), n),
                "better than right": share(sum(one.steps < 0 for one in chosen), n),
            },
            "n_without_level": len(choices) - n,
        },
    )


def _matrices(choices: Sequence[LevelChoice]) -> dict[str, Any]:
    """Counts by scale, right level and chosen level; levels that never occur are left out."""
    counts = Counter((one.scale, one.right, one.chosen) for one in choices)
    matrices: dict[str, Any] = {}
    for scale, levels in SCALES.items():
        used = {level for (of, *pair), n in counts.items() if of == scale and n for level in pair}
        shown = [level for level in levels if level in used]
        if shown:
            matrices[scale] = {
                right: {chosen: counts[scale, right, chosen] for chosen in shown}
                for right in shown
                if any(counts[scale, right, chosen] for chosen in (*shown, None))
            }
    return matrices


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


def perception_error_kinds(sample: Sample, prediction: Prediction, extraction: Answer) -> list[str]:
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


def reasoning_error_kinds(sample: Sample, prediction: Prediction, judged: Judged) -> list[str]:
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
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Answer]
) -> Finding | NotFound:
    """How many samples show each kind."""
    found = zip(samples, predictions, extractions, strict=True)
    return _counted([perception_error_kinds(*one) for one in found])


def reasoning_errors(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    judged: Sequence[Judged],
    conclusions: Sequence[Conclusion],
) -> Finding | NotFound:
    """How many samples show each kind."""
    found = zip(samples, predictions, judged, conclusions, strict=True)
    return _counted([_reasoning_kinds(*one) for one in found])


def _reasoning_kinds(sample: Sample, prediction: Prediction, judged: Judged, conclusion: Conclusion) -> list[str]:
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
