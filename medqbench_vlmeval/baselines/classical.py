"""MedQ-Classical: answers from classical image statistics (no network, no weights, no look at names or tables).

It measures the picture (:mod:`image_statistics`), compares it with the reference model and reads the question by its
words.

The reference model says how likely each class is ('none', or a degradation with 'mild' or 'severe') given the
statistics. ``reference.json`` holds its plain numbers: a linear model a modality, and two that tell the modality.
Each severity is equally likely beforehand, and each degradation within it.

``scripts/train_classical.py`` fits it with scikit-learn on simulated pictures of openly licensed originals, and prints
how often it is right on originals that took no part (docs/embedded.md has the figures). What the embedded set is made
of took no part either, but for drawn scenes; it shares the simulator with the training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from medqbench_vlmeval.baselines.chance import Prompt, read_message
from medqbench_vlmeval.baselines.image_statistics import Array, is_grey, measure, read_pixels


@dataclass(frozen=True)
class Classifier:
    """Class probabilities of a vector of statistics. These are standardised with ``centre`` and ``scale`` and kept
    within 5 deviations; each of ``members`` is a linear map (weights of statistics x classes, bias) with a softmax:
    multinomial logistic regression and linear discriminants (Hastie, Tibshirani & Friedman, *The Elements of
    Statistical Learning*, 2nd ed., sections 4.3 and 4.4). The probability is the members' mean."""

    statistics: tuple[str, ...]
    classes: tuple[str, ...]
    centre: Array
    scale: Array
    members: tuple[tuple[Array, Array], ...]

    def posterior(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Class probabilities of one picture's statistics; they sum to 1."""
        point = (np.array([measured[name] for name in self.statistics]) - self.centre) / self.scale
        total = np.zeros(len(self.classes))
        for weights, bias in self.members:
            scores = np.clip(point, -5.0, 5.0) @ weights + bias
            chances = np.exp(scores - scores.max())
            total += chances / chances.sum() / len(self.members)
        return dict(zip(self.classes, total.tolist(), strict=True))


def classifier_from_json(table: Mapping[str, Any]) -> Classifier:
    """A classifier from its plain numbers."""
    members = tuple((np.array(weights), np.array(bias)) for weights, bias in table["members"])
    names = tuple(table["statistics"]), tuple(table["classes"])
    return Classifier(*names, np.array(table["centre"]), np.array(table["scale"]), members)


@lru_cache(maxsize=1)
def reference() -> dict[str, dict[str, Classifier]]:
    """The fitted models: ``kinds`` tells the modality of grey and of colour pictures, ``faults`` has one a modality."""
    table = json.loads((files(__package__) / "reference.json").read_text(encoding="utf-8"))
    return {
        kind: {key: classifier_from_json(part) for key, part in table[kind].items()} for kind in ("kinds", "faults")
    }


@dataclass(frozen=True)
class Fault:
    """One degradation the reference model knows: ``pattern`` finds it in a text, ``loose`` in a text that names none by
    its own words ('blur'), ``name`` are the words for a description, ``sign`` what is seen of it."""

    pattern: re.Pattern[str]
    name: str
    sign: str
    loose: re.Pattern[str]


def _faults() -> dict[str, Fault]:
    """A line of the file has key, pattern, words, sign and loose pattern; '*-key' is one of each modality."""
    found: dict[str, Fault] = {}
    for line in (files(__package__) / "faults.txt").read_text(encoding="utf-8").splitlines():
        key, pattern, name, sign, loose = [*line.split(" :: "), "(?!)"][:5]
        shorts = ("ct", "mr", "hp", "en", "fu", "xr", "us") if key[0] == "*" else (key[:2],)
        fault = Fault(re.compile(pattern, re.IGNORECASE), name, sign, re.compile(loose, re.IGNORECASE))
        found |= {f"{short}{key.removeprefix('*').removeprefix(short)}": fault for short in shorts}
    return found


FAULTS: Mapping[str, Fault] = _faults()

# By modality the words that name it, what a picture is called and what is looked for in it; words of questions and
# options; places on the scale from undegraded (0) to useless (2), of which the first that a text names counts.
_WORDS = json.loads((files(__package__) / "words.json").read_text(encoding="utf-8"))
_MODALITIES = {name: re.compile(of["named"], re.IGNORECASE) for name, of in _WORDS["modalities"].items()}
_CLEAN, _NEGATED, _PRAISE = (
    re.compile(_WORDS[what], re.IGNORECASE) for what in ("says clean", "asks for absence", "praises")
)
_LEVELS = [(float(level), re.compile(words, re.IGNORECASE)) for level, words in _WORDS["levels"]]


def modality_in(text: str) -> str | None:
    """The one modality that a text names, or None (none named, or several)."""
    named = [name for name, pattern in _MODALITIES.items() if pattern.search(text)]
    return named[0] if len(named) == 1 else None


def faults_in(text: str, keys: Iterable[str]) -> list[str]:
    """Which of the known degradations ``keys`` a text names; loose words count where it has no others."""
    known = list(keys)
    named = [key for key in known if FAULTS[key].pattern.search(text)]
    return named or [key for key in known if FAULTS[key].loose.search(text)]


def level_of(text: str) -> float | None:
    """0 undegraded, 1 mild or usable, 2 severe or reject; None where the text names no level."""
    return next((level for level, pattern in _LEVELS if pattern.search(text)), None)


_LEVEL_WORDS = ("good", "usable", "reject")
_GRADE_WORDS = ("no", "mild", "severe")


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

    def odds(self, keys: Iterable[str]) -> float:
        """How many times likelier the picture makes it than it was beforehand that one of ``keys`` is there rather
        than not; without keys, that there is any degradation (Bayes factor). 1 where the picture says nothing."""
        named = list(keys)
        chance, before = (sum(map(self.has, named)), 2.0 * len(named) / (3.0 * len(self.grades)))
        if not named or before >= 0.66:
            chance, before = 1.0 - self.clean, 2.0 / 3.0
        return (chance + 1e-9) / (1.0 - chance + 1e-9) * (1.0 - before) / before


def finding(modality: str, chances: Mapping[str, float]) -> Finding:
    """The finding that class probabilities ('none', '<key> mild', '<key> severe') make."""
    keys = [key for key in FAULTS if f"{key} mild" in chances]
    return Finding(modality, chances["none"], {key: (chances[f"{key} mild"], chances[f"{key} severe"]) for key in keys})


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
    kinds = model["kinds"]["grey" if grey else "colour"].posterior(measured)
    kind = modality or max(kinds, key=lambda name: kinds[name])
    return finding(kind, model["faults"][kind].posterior(measured))


def _level_letter(prompt: Prompt, levels: Mapping[str, float], finding: Finding) -> str:
    chances = finding.levels()
    if named := faults_in(prompt.question, finding.grades):
        mild, severe = (max(finding.grades[key][place] for key in named) for place in (0, 1))
        # Who asks for the amount of one degradation makes each answer as likely as the others.
        before = 1.0 / (3.0 * len(finding.grades))
        chances = ((1.0 - mild - severe) / (1.0 - 2.0 * before), mild / before, severe / before)
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
    # A question that can be answered by yes or no is as likely to have either answer.
    present = finding.odds(faults_in(prompt.question, finding.grades)) > 1.0
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
    noun, detail = (_WORDS["modalities"][finding.modality][name] for name in ("noun", "detail"))
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
        f"The degradation impairs {_WORDS['modalities'][first.modality]['detail']} more in the {worse} image. "
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
