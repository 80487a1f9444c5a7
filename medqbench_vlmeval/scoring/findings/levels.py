"""Levels taken for other levels: in How questions whose options are levels, and in stated conclusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from medqbench_vlmeval.data.values import read_severity, words
from medqbench_vlmeval.records import Extraction, Sample
from medqbench_vlmeval.scoring.findings.finding import Finding, NotFound
from medqbench_vlmeval.scoring.findings.shares import share, share_finding, share_words
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import QUALITY_LEVELS, SEVERITIES

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


def level_choice(sample: Sample, extraction: Extraction) -> LevelChoice | None:
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
