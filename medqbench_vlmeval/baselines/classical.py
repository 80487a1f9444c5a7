"""MedQ-Classical: answers from classical image statistics (no network, no weights, no look at names or tables).

It measures the picture (:mod:`image_statistics`), compares it with the reference model and reads the question by its
words.

The reference model says how the statistics of clean and degraded pictures are distributed. ``reference.json`` holds,
for each modality, the mean vector of every class ('none', or a degradation with 'mild' or 'severe') and the shared
within-class covariance as a whitening matrix: a linear discriminant model (Fisher 1936; Hastie, Tibshirani & Friedman,
*The Elements of Statistical Learning*, 2nd ed., section 4.3). Each severity is equally likely beforehand, and each
degradation within it. Another such model tells the modality.

The table is fitted by ``scripts/calibrate_classical.py`` on pictures that this package's simulator makes from other
slices, crops, scenes, seeds and strengths than the embedded set's; none of the embedded pictures took part. They share
the simulator and, except for endoscopy, the few openly licensed originals (other crops, mirrored, other slices of the
same brain), so the embedded set flatters this baseline. Cross-validated on the calibration pictures, the exact class
(13 a modality) is found in 80-100% with scenes left out, but only in 26% (CT) and 27% (MRI) with whole originals left
out, and the severity in 46% and 49%: expect that, not more, on pictures from elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from medqbench_vlmeval.baselines.chance import Prompt, read_message
from medqbench_vlmeval.baselines.image_statistics import Array, is_grey, measure, read_pixels


@dataclass(frozen=True)
class Discriminant:
    """Gaussian classes with one covariance: ``centre`` and ``whiten`` (features x kept axes) map a vector into the
    space where it is the identity; ``means`` maps class names to points there, ``priors`` to probabilities."""

    names: tuple[str, ...]
    centre: Array
    whiten: Array
    means: Mapping[str, Array]
    priors: Mapping[str, float]

    def posterior(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Class probabilities of one picture's statistics; they sum to 1."""
        point = (np.array([measured[name] for name in self.names]) - self.centre) @ self.whiten
        classes = list(self.means)
        distance = np.array([float(((point - self.means[name]) ** 2).sum()) for name in classes])
        score = np.log([self.priors[name] for name in classes]) - 0.5 * distance
        weight = np.exp(score - score.max())
        return dict(zip(classes, (weight / weight.sum()).tolist(), strict=True))


def prior(name: str, degradations: int) -> float:
    """1/3 for 'none', 1/3 for each grade shared by the degradations."""
    return 1.0 / 3.0 if name == "none" else 1.0 / (3.0 * degradations)


@lru_cache(maxsize=1)
def reference() -> dict[str, dict[str, Discriminant]]:
    """The fitted models: ``kinds`` tells the modality of grey and of colour pictures, ``faults`` has one a modality."""
    table = json.loads((files(__package__) / "reference.json").read_text(encoding="utf-8"))
    models: dict[str, dict[str, Discriminant]] = {"kinds": {}, "faults": {}}
    for kind, of_kind in models.items():
        for key, part in table[kind].items():
            means = {name: np.array(values) for name, values in part["means"].items()}
            faults = (len(means) - 1) // 2
            priors = {name: 1.0 / len(means) if kind == "kinds" else prior(name, faults) for name in means}
            centre, whiten = np.array(part["centre"]), np.array(part["whiten"])
            of_kind[key] = Discriminant(tuple(part["statistics"]), centre, whiten, means, priors)
    return models


@dataclass(frozen=True)
class Fault:
    """One degradation the reference model knows: ``pattern`` finds it in a text, ``name`` are the words for a
    description, ``sign`` what is seen of it."""

    pattern: re.Pattern[str]
    name: str
    sign: str


# A line has key, pattern, words and sign of a degradation.
_FAULT_LINES = (files(__package__) / "faults.txt").read_text(encoding="utf-8").splitlines()
FAULTS: Mapping[str, Fault] = {
    key: Fault(re.compile(pattern, re.IGNORECASE), name, sign)
    for key, pattern, name, sign in (line.split(" :: ") for line in _FAULT_LINES)
}

_MODALITIES = {
    "CT": re.compile(r"\b(CT|computed tomograph)", re.IGNORECASE),
    "MRI": re.compile(r"\b(MRI?|magnetic resonance)\b", re.IGNORECASE),
    "Histopathology": re.compile(r"histo|patholog(y|ical) (image|slide)|microscop|tissue section", re.IGNORECASE),
    "Endoscopy": re.compile(r"endoscop|colonoscop", re.IGNORECASE),
    "Fundus": re.compile(r"fundus|retina", re.IGNORECASE),
}

_CLEAN = re.compile(
    r"\b(no|none|free of|without|absen\w+|normal|undegraded)\b"
    r".*(degrad|artifact|artefact|distort|problem|issue|defect|visible)"
    r"|^\s*(none|normal|no)\s*\.?\s*$",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(free (of|from)|without|lacks?|absen(t|ce)|unaffected)\b", re.IGNORECASE)
_PRAISE = re.compile(
    r"\b(good|adequate|sufficient|acceptable|clear|sharp|well|uniform|even|homogeneous|diagnostic|high.quality|properly)\b",
    re.IGNORECASE,
)

# Places on the scale from undegraded (0) to useless (2); the first pattern that matches counts.
_LEVELS: Sequence[tuple[float, re.Pattern[str]]] = tuple(
    (level, re.compile(pattern, re.IGNORECASE))
    for level, pattern in (
        (2.0, r"\b(reject|severe|poor|bad|unusable|heav\w+|strong\w*|extreme\w*|unacceptable|very (low|dark))\b"),
        (1.0, r"\b(usable|mild|moderate\w*|slight\w*|fair|acceptable|medium|average|minor|some)\b"),
        (0.0, r"\b(good|excellent|none|no|not|absent|normal|perfect|clear|high|sharp)\b"),
    )
)


def modality_in(text: str) -> str | None:
    """The one modality that a text names, or None (none named, or several)."""
    named = [name for name, pattern in _MODALITIES.items() if pattern.search(text)]
    return named[0] if len(named) == 1 else None


def faults_in(text: str, keys: Iterable[str]) -> list[str]:
    """Which of the known degradations ``keys`` a text names."""
    return [key for key in keys if FAULTS[key].pattern.search(text)]


def level_of(text: str) -> float | None:
    """0 undegraded, 1 mild or usable, 2 severe or reject; None where the text names no level."""
    return next((level for level, pattern in _LEVELS if pattern.search(text)), None)


_LEVEL_WORDS = ("good", "usable", "reject")
_GRADE_WORDS = ("no", "mild", "severe")
# What a picture is called, and what is looked for in it.
_NOUNS = {
    "CT": ("CT slice", "tissue contrast and edges"),
    "MRI": ("MRI slice", "tissue contrast and edges"),
    "Histopathology": ("histopathology image", "nuclei and tissue structure"),
    "Endoscopy": ("endoscopy image", "folds and vessels"),
    "Fundus": ("fundus photograph", "vessels and the optic disc"),
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


@lru_cache(maxsize=1024)
def _measured(path: str, _size: int, _changed: int) -> tuple[dict[str, float], bool]:
    pixels = read_pixels(path)
    return measure(pixels), is_grey(pixels)


def examine(path: str, modality: str | None = None) -> Finding:
    """Measure one picture and compare it with the reference of ``modality`` (guessed from the pixels if None). Raises
    BadInput where the file is missing or not an image."""
    # A path may get other bytes later; size and time of change tell the cache.
    stat = Path(path).stat() if Path(path).is_file() else None
    measured, grey = _measured(path, stat.st_size if stat else -1, stat.st_mtime_ns if stat else -1)
    model = reference()
    # A picture without colour is CT or MRI.
    kinds = model["kinds"]["grey" if grey else "colour"].posterior(measured)
    kind = modality or max(kinds, key=lambda name: kinds[name])
    chances = model["faults"][kind].posterior(measured)
    keys = [key for key in FAULTS if f"{key} mild" in chances]
    return Finding(kind, chances["none"], {key: (chances[f"{key} mild"], chances[f"{key} severe"]) for key in keys})


def _level_letter(prompt: Prompt, levels: Mapping[str, float], finding: Finding) -> str:
    chances = finding.levels()
    if named := faults_in(prompt.question, finding.grades):
        mild, severe = (max(finding.grades[key][place] for key in named) for place in (0, 1))
        chances = (1.0 - mild - severe, mild, severe)
    # The option nearest to a level inherits its probability: scales need not have just three steps.
    scores = dict.fromkeys(levels, 0.0)
    for place, chance in enumerate(chances):
        nearest = min(abs(level - place) for level in levels.values())
        for letter, level in levels.items():
            scores[letter] += chance if abs(level - place) == nearest else 0.0
    return max(scores, key=lambda letter: scores[letter])


def _yes_or_no(prompt: Prompt, finding: Finding) -> str:
    yes = next(letter for letter, text in prompt.options.items() if text.strip().lower().startswith("yes"))
    no = next(letter for letter in prompt.options if letter != yes)
    present = max(map(finding.has, faults_in(prompt.question, finding.grades)), default=1.0 - finding.clean) > 0.5
    # 'Yes' to a question such as 'Is it sharp?' means that the degradation is absent.
    asks_absence = bool(_NEGATED.search(prompt.question) or _PRAISE.search(prompt.question))
    return yes if present != asks_absence else no


def _which(prompt: Prompt, finding: Finding) -> str:
    scores: dict[str, float] = {}
    for letter, text in prompt.options.items():
        scores[letter] = max(map(finding.has, faults_in(text, finding.grades)), default=0.0)
        if _CLEAN.search(text):  # nothing is wrong
            scores[letter] = finding.clean
    return max(scores, key=lambda letter: scores[letter])


def choose(prompt: Prompt, finding: Finding) -> str:
    """The letter of the option that fits the finding best."""
    texts = [text.strip().lower().rstrip(".") for text in prompt.options.values()]
    if len(texts) == 2 and sum(text.startswith("yes") for text in texts) == 1:
        return _yes_or_no(prompt, finding)
    levels = {letter: level_of(text) for letter, text in prompt.options.items()}
    known = {letter: level for letter, level in levels.items() if level is not None}
    named = any(faults_in(text, finding.grades) for text in prompt.options.values())
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
    fault = FAULTS[max(finding.grades, key=finding.has)]
    return f"{subject} shows {_GRADE_WORDS[stage]} {fault.name}: {fault.sign}."


def describe(finding: Finding) -> str:
    """Three sentences that end with the quality level."""
    stage = _stage(finding)
    noun, detail = _NOUNS[finding.modality]
    effect = (
        f"The {detail} can be assessed well.",
        f"Fine detail is slightly impaired, while {detail} can still be assessed.",
        f"As a result {detail} can hardly be assessed.",
    )[stage]
    return f"{_sentence(finding, f'The {noun}')} {effect} Overall, the quality of this image is {_LEVEL_WORDS[stage]}."


def compare(first: Finding, second: Finding) -> str:
    """Three or four sentences that end with the better image; the first wins an exact tie."""
    better, worse = ("first", "second") if first.badness() <= second.badness() else ("second", "first")
    return (
        f"{_sentence(first, 'The first image')} {_sentence(second, 'The second image')} "
        f"The degradation impairs {_NOUNS[first.modality][1]} more in the {worse} image. "
        f"Overall, the {better} image is of higher quality."
    )


def reply(message: Sequence[Mapping[str, str]]) -> str:
    """A letter where the prompt lists options, else a description (one image) or a comparison (two or more). Raises
    BadInput where an image cannot be read."""
    prompt = read_message(message)
    modality = modality_in(prompt.question)
    findings = [examine(path, modality) for path in prompt.images[:2]]
    if not findings:
        return next(iter(prompt.options), "There is no image to describe.")
    if prompt.options:
        return choose(prompt, findings[0])
    return describe(findings[0]) if len(findings) == 1 else compare(findings[0], findings[1])
