"""MedQ-Classical: answers from classical image statistics (no network, no weights, no look at names or tables).

It measures the picture (:mod:`statistics`), compares it with the reference model (:mod:`reference`, which says on what
it was fitted) and reads the question by its words (:mod:`words`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medqbench_vlmeval.baselines.message import Prompt, read_message
from medqbench_vlmeval.baselines.reference import reference
from medqbench_vlmeval.baselines.statistics import is_grey, measure, read_pixels
from medqbench_vlmeval.baselines.words import FAULTS, asks_absence, faults_in, level_of, modality_in, says_clean

_LEVEL_WORDS = ("good", "usable", "reject")
_GRADE_WORDS = ("no", "mild", "severe")
_DETAIL = {
    "CT": "tissue contrast and edges",
    "MRI": "tissue contrast and edges",
    "Histopathology": "nuclei and tissue structure",
    "Endoscopy": "folds and vessels",
    "Fundus": "vessels and the optic disc",
}


@dataclass(frozen=True)
class Finding:
    """What the statistics say of one picture. ``grades`` maps each degradation to the probabilities of (mild,
    severe); ``clean`` is the probability that there is none."""

    modality: str
    clean: float
    grades: Mapping[str, tuple[float, float]]

    def levels(self) -> tuple[float, float, float]:
        """Probabilities of none, mild and severe, over all degradations."""
        mild = sum(grade[0] for grade in self.grades.values())
        return self.clean, mild, sum(grade[1] for grade in self.grades.values())

    def badness(self) -> float:
        """Expected place between 0 (undegraded) and 2 (severe)."""
        _, mild, severe = self.levels()
        return mild + 2.0 * severe

    def has(self, key: str) -> float:
        """Probability that one degradation is there, at either severity."""
        return sum(self.grades[key])

    def likeliest(self) -> str:
        """The degradation that is likeliest if there is one."""
        return max(self.grades, key=self.has)


@lru_cache(maxsize=1024)
def _measured(path: str, _size: int, _changed: int) -> tuple[dict[str, float], bool]:
    pixels = read_pixels(path)
    return measure(pixels), is_grey(pixels)


def examine(path: str, modality: str | None = None) -> Finding:
    """Measure one picture and compare it with the reference of ``modality`` (guessed from the pixels if None).

    Raises:
        BadInput: the file is missing or not an image.
    """
    file = Path(path)
    # A path may get other bytes later; size and time of change tell the cache.
    stat = file.stat() if file.is_file() else None
    measured, grey = _measured(path, stat.st_size if stat else -1, stat.st_mtime_ns if stat else -1)
    model = reference()
    kind = modality or model.modality(measured, grey)
    found = model.faults[kind].posterior(measured)
    keys = [key for key in FAULTS if f"{key} mild" in found]
    return Finding(kind, found["none"], {key: (found[f"{key} mild"], found[f"{key} severe"]) for key in keys})


def _level_letter(prompt: Prompt, levels: Mapping[str, float], finding: Finding) -> str:
    asked = faults_in(prompt.question, list(finding.grades))
    if asked:
        mild = max(finding.grades[key][0] for key in asked)
        severe = max(finding.grades[key][1] for key in asked)
        chances = (1.0 - mild - severe, mild, severe)
    else:
        chances = finding.levels()
    # The option nearest to a level inherits its probability: scales need not have just three steps.
    scores = dict.fromkeys(levels, 0.0)
    for place, chance in enumerate(chances):
        nearest = min(abs(level - place) for level in levels.values())
        for letter, level in levels.items():
            if abs(level - place) == nearest:
                scores[letter] += chance
    return max(scores, key=lambda letter: scores[letter])


def _yes_or_no(prompt: Prompt, finding: Finding) -> str:
    yes = next(letter for letter, text in prompt.options.items() if text.strip().lower().startswith("yes"))
    no = next(letter for letter in prompt.options if letter != yes)
    asked = faults_in(prompt.question, list(finding.grades))
    present = max((finding.has(key) for key in asked), default=1.0 - finding.clean) > 0.5
    return yes if present != asks_absence(prompt.question) else no


def _which(prompt: Prompt, finding: Finding) -> str:
    scores: dict[str, float] = {}
    for letter, text in prompt.options.items():
        named = faults_in(text, list(finding.grades))
        scores[letter] = max((finding.has(key) for key in named), default=0.0)
        if says_clean(text):
            scores[letter] = finding.clean
    return max(scores, key=lambda letter: scores[letter])


def choose(prompt: Prompt, finding: Finding) -> str:
    """The letter of the option that fits the finding best."""
    texts = [text.strip().lower().rstrip(".") for text in prompt.options.values()]
    if len(texts) == 2 and sum(text.startswith("yes") for text in texts) == 1:
        return _yes_or_no(prompt, finding)
    levels = {letter: level_of(text) for letter, text in prompt.options.items()}
    known = {letter: level for letter, level in levels.items() if level is not None}
    named = any(faults_in(text, list(finding.grades)) for text in prompt.options.values())
    if len(known) == len(levels) and not named:
        return _level_letter(prompt, known, finding)
    return _which(prompt, finding)


def _stage(finding: Finding) -> int:
    levels = finding.levels()
    return max(range(3), key=lambda place: levels[place])


def _sentence(finding: Finding, subject: str) -> str:
    stage = _stage(finding)
    if stage == 0:
        return f"{subject} shows no visible degradation: noise is low, edges are sharp and contrast is adequate."
    fault = FAULTS[finding.likeliest()]
    return f"{subject} shows {_GRADE_WORDS[stage]} {fault.says}: {fault.seen}."


def describe(finding: Finding) -> str:
    """Three sentences that end with the quality level."""
    stage = _stage(finding)
    detail = _DETAIL[finding.modality]
    effect = (
        f"The {detail} can be assessed well.",
        f"Fine detail is slightly impaired, while {detail} can still be assessed.",
        f"As a result {detail} can hardly be assessed.",
    )[stage]
    level = _LEVEL_WORDS[stage]
    name = {"CT": "CT slice", "MRI": "MRI slice", "Fundus": "fundus photograph"}.get(
        finding.modality, f"{finding.modality.lower()} image"
    )
    return f"{_sentence(finding, f'The {name}')} {effect} Overall, the quality of this image is {level}."


def compare(first: Finding, second: Finding) -> str:
    """Three or four sentences that end with the better image; the first wins an exact tie."""
    better = "first" if first.badness() <= second.badness() else "second"
    worse = "second" if better == "first" else "first"
    return (
        f"{_sentence(first, 'The first image')} {_sentence(second, 'The second image')} "
        f"The degradation impairs {_DETAIL[first.modality]} more in the {worse} image. "
        f"Overall, the {better} image is of higher quality."
    )


def reply(message: Sequence[Mapping[str, str]]) -> str:
    """A letter where the prompt lists options, else a description (one image) or a comparison (two or more).

    Raises:
        BadInput: an image cannot be read.
    """
    prompt = read_message(message)
    modality = modality_in(prompt.question)
    findings = [examine(path, modality) for path in prompt.images[:2]]
    if not findings:
        return next(iter(prompt.options), "There is no image to describe.")
    if prompt.options:
        return choose(prompt, findings[0])
    return describe(findings[0]) if len(findings) == 1 else compare(findings[0], findings[1])
