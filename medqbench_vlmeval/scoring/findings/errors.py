"""Findings on errors: confused levels, and kinds of error that letters, verdicts and conclusions show. Levels are
compared in How questions whose options are levels, and in the conclusions that descriptions state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.benchmark import QUALITY_LEVELS, SEVERITIES, Task
from medqbench_vlmeval.data.columns import read_severity, words
from medqbench_vlmeval.judge.delimit import speaks_to_grader
from medqbench_vlmeval.scoring.agreement import read_conclusion
from medqbench_vlmeval.scoring.findings.finding import on_one_line, share, share_finding, share_words
from medqbench_vlmeval.scoring.summary import is_right, ranked
from medqbench_vlmeval.types import (
    FEW,
    Answer,
    Conclusion,
    Details,
    Finding,
    Judged,
    Mistake,
    Prediction,
    PredictionStatus,
    Sample,
)

SEVERITY, QUALITY = "severity", "quality"
# From the best to the worst.
SCALES: Mapping[str, tuple[str, ...]] = {SEVERITY: SEVERITIES, QUALITY: tuple(reversed(QUALITY_LEVELS))}
_MOST_LISTED = 50
ADJACENT, OPPOSITE = "adjacent level", "opposite level"

_QUALITY_WORDS = {**{level: level for level in QUALITY_LEVELS}, "rejected": "reject", "useable": "usable"}
_NEGATIONS = {"not", "no", "non", "un", "less", "than", "or", "more", "without", "neither", "barely"}
_LOW_DIMENSION = {
    "completeness": "incomplete description",
    "preciseness": "imprecise description",
    "consistency": "inconsistent",
}


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
        return 0 if self.chosen is None else self.offered.index(self.chosen) - self.offered.index(self.right)

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
    in_text = words(text)
    levels = {_QUALITY_WORDS[word] for word in in_text if word in _QUALITY_WORDS}
    return levels.pop() if len(levels) == 1 and not _NEGATIONS.intersection(in_text) else None


def level_choice(sample: Sample, extraction: Answer) -> LevelChoice | None:
    """The level chosen in a How question; None for any other question."""
    if sample.question_type != "How" or sample.answer is None:
        return None
    read = _levels(tuple(sample.options.items()))
    if read is None or sample.answer not in read[1]:
        return None
    scale, levels, offered = read
    chosen = None if extraction.letter is None else levels.get(extraction.letter)
    return LevelChoice(scale, levels[sample.answer], chosen, offered)


def stated_choice(conclusion: Conclusion) -> LevelChoice:
    """The level that a description concludes on, beside its reference's."""
    stated = None if conclusion.stated is None else str(conclusion.stated)
    return LevelChoice(QUALITY, str(conclusion.reference), stated, SCALES[QUALITY])


def level_confusion(choices: Sequence[LevelChoice], what: str) -> Finding | str:
    """How often another level than the right one was chosen, and which for which; ``what`` names the ``choices``."""
    chosen = [choice for choice in choices if choice.chosen is not None]
    if len(chosen) < FEW:
        return f"fewer than {FEW} {what}"
    confused = Counter((choice.scale, choice.right, str(choice.chosen)) for choice in chosen if choice.steps)
    answered = Counter((choice.scale, choice.right) for choice in chosen)
    mistakes = tuple(
        Mistake(scale, right, wrong, share(count, answered[scale, right]))
        for (scale, right, wrong), count in sorted(confused.items(), key=lambda item: (-item[1], item[0]))
    )
    n, n_confused = len(chosen), sum(confused.values())
    rate = share(n_confused, n)
    statement = f"Of {n} {what}, {n_confused} ({share_words(rate)}) took one level for another"
    if mistakes:
        most = mistakes[0]
        statement += f", most often {most.right} for {most.chosen}: {most.share.counts['count']} of {most.share.n}"
    details = Details(
        scales=_matrices(choices),
        mistakes=mistakes,
        kinds={
            **{kind: share(sum(choice.kind == kind for choice in chosen), n) for kind in (ADJACENT, OPPOSITE)},
            "worse than right": share(sum(choice.steps > 0 for choice in chosen), n),
            "better than right": share(sum(choice.steps < 0 for choice in chosen), n),
        },
        facts={"n_without_level": len(choices) - n},
    )
    return share_finding("Confused levels", f"{statement}.", rate, details)


def _matrices(choices: Sequence[LevelChoice]) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by scale, right level and chosen level; levels that never occur are left out."""
    matrices = {}
    for scale, levels in SCALES.items():
        counts = Counter((choice.right, choice.chosen) for choice in choices if choice.scale == scale)
        rights, columns = {right for right, _ in counts}, [level for level in levels if level in set().union(*counts)]
        if columns:
            matrices[scale] = {
                right: {chosen: counts[right, chosen] for chosen in columns} for right in columns if right in rights
            }
    return matrices


def perception_error_kinds(sample: Sample, prediction: Prediction, extraction: Answer) -> list[str]:
    """One of 'no reply', 'no answer', 'adjacent level', 'opposite level' or 'wrong answer'; none of a right answer."""
    if prediction.status is not PredictionStatus.OK:
        return ["no reply"]
    if extraction.letter is None:
        return ["no answer"]
    if is_right(sample, extraction.letter):
        return []
    choice = level_choice(sample, extraction)
    return [(choice.kind if choice is not None else None) or "wrong answer"]


def reasoning_error_kinds(
    sample: Sample, prediction: Prediction, judged: Judged, conclusion: Conclusion | None = None
) -> list[str]:
    """The kinds of error in one described sample; several may hold, and none where nothing is wrong. 'no reply'; from
    the stated conclusions 'no conclusion', 'adjacent level', 'opposite level' or 'wrong preference'; from the verdicts
    'incomplete description', 'imprecise description' and 'inconsistent', for a score of 0.5 or less (docs/results.md
    says when). ``conclusion`` is what was read of it before, where that is known."""
    if prediction.status is not PredictionStatus.OK:
        return ["no reply"]
    scores = {kind: judged.score_on(dimension) for dimension, kind in _LOW_DIMENSION.items()}
    kinds = [kind for kind, score in scores.items() if score is not None and score <= 0.5]
    conclusion = conclusion or read_conclusion(sample, prediction)
    if conclusion.reference is None or conclusion.stated == conclusion.reference:
        return kinds
    if conclusion.stated is None:
        return ["no conclusion", *kinds]
    if sample.task is Task.COMPARATIVE:
        return ["wrong preference", *kinds]
    kind = stated_choice(conclusion).kind
    return [kind, *kinds] if kind else kinds


def to_grader(predictions: Sequence[Prediction]) -> Finding | str:
    """How many replies talk to whoever grades them, with their samples; their scores stay as they are."""
    replies = [prediction for prediction in predictions if prediction.status is PredictionStatus.OK]
    said = {prediction.index: words for prediction in replies if (words := speaks_to_grader(prediction.text))}
    if not said:
        return "no reply speaks to the grader"
    rate = share(len(said), len(replies))
    listed = [f"{on_one_line(index)} ('{words}')" for index, words in said.items()]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return share_finding(
        "Replies that speak to the grader",
        f"{len(said)} of {len(replies)} replies ({share_words(rate)}) name or order a score, or talk to whoever grades "
        "them; read these before the scores are used, which are as the judge gave them.",
        rate,
        Details(facts={"samples": f"{', '.join(listed[:_MOST_LISTED])}{more}"}),
    )


def error_kinds(kinds: Sequence[Sequence[str]]) -> Finding | str:
    """How many samples show each kind of error; ``kinds`` has the kinds of each sample."""
    n = len(kinds)
    if n < FEW:
        return f"fewer than {FEW} samples"
    counts = ranked(Counter(kind for of_sample in kinds for kind in of_sample))
    count = sum(bool(of_sample) for of_sample in kinds)
    rate = share(count, n)
    listed = f": {', '.join(f'{kind} {times}' for kind, times in counts.items())}" if counts else ""
    verb = "shows" if count == 1 else "show"
    not_told = "Gaps in medical knowledge cannot be told from letters, verdicts and conclusions, and are never given."
    return share_finding(
        "Kinds of error",
        f"{count} of {n} samples ({share_words(rate)}) {verb} an error that can be told{listed}.",
        rate,
        Details(kinds={kind: share(times, n) for kind, times in counts.items()}, facts={"not_told": not_told}),
    )
