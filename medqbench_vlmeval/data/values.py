"""Spellings of values, read into the canonical vocabulary.

Each reader returns None for what it does not understand. A severity in particular is read only where a word
says it: a number, or two words that disagree, stay unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.tasks import OTHER_QUESTION_TYPE, QUESTION_TYPES

YES_OR_NO, WHAT, HOW = QUESTION_TYPES

# A column of a hundred thousand rows holds a handful of values.
_remembered = lru_cache(maxsize=1024)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")

_YES_OR_NO = re.compile(
    r"(?<![a-z])(?:yes (?:or |and |vs )?no|yesorno|yesno|y (?:or )?n|yn|binary|polar|true (?:or )?false)(?![a-z])"
)
_TYPE_WORDS = {
    "what": WHAT,
    "which": WHAT,
    "whats": WHAT,
    "how": HOW,
}

_SEVERITY_WORDS = {
    "none": "none",
    "clean": "none",
    "pristine": "none",
    "undistorted": "none",
    "undegraded": "none",
    "mild": "mild",
    "mildly": "mild",
    "slight": "mild",
    "slightly": "mild",
    "minor": "mild",
    "moderate": "moderate",
    "moderately": "moderate",
    "severe": "severe",
    "severely": "severe",
    "heavy": "severe",
    "heavily": "severe",
    "serious": "severe",
    "seriously": "severe",
}
_NEGATIONS = {"not", "non", "without", "less", "more", "than", "or"}
_DEFECT_WORDS = {
    "degradation",
    "degradations",
    "distortion",
    "distortions",
    "artifact",
    "artifacts",
    "artefact",
    "artefacts",
    "degraded",
    "distorted",
    "visible",
    "severity",
    "level",
    "quality",
    "issue",
    "issues",
}

_GENERAL_WORDS = {"general", "generic", "common"}
_SPECIFIC_WORDS = {"specific", "specialized", "specialised"}
_SCOPE_FILLERS = {"modality", "medical", "domain", "question", "questions", "type", "scope", "task"}

# Patterns are tried on lower-case words joined by single blanks. More than one hit names no single modality.
_MODALITY_PATTERNS = {
    "CT": re.compile(r"\b(?:ct|cbct|ldct|computed tomography|computerized tomography|ct scans?)\b"),
    "MRI": re.compile(r"\b(?:mri|mr|magnetic resonance)\b"),
    "Histopathology": re.compile(r"\b(?:wsi|whole slide)\b|histo|patholog"),
    "Endoscopy": re.compile(r"(?:endo|colono|gastro|broncho|cysto)scop"),
    "Fundus": re.compile(r"\b(?:fundus|retina|retinal|cfp|fundoscop\w*)\b"),
}
_OTHER_MODALITY = re.compile(
    r"\b(?:pet|spect|oct|octa|optical coherence tomography|angiography|x ray|xray|cxr|ultrasound|us)\b"
)


def words(text: str) -> list[str]:
    """Lower-case words of a value: 'YesOrNo', 'yes-or-no' and 'Yes / or_no' give the same."""
    return [part for part in _SEPARATORS.split(_CAMEL.sub(" ", text).casefold()) if part]


@_remembered
def read_modality(text: str) -> str:
    """The benchmark's name of a modality; a modality that it does not know is returned as it is written."""
    joined = " ".join(words(text))
    hits = [name for name, pattern in _MODALITY_PATTERNS.items() if pattern.search(joined)]
    if len(hits) == 1 and not _OTHER_MODALITY.search(joined):
        return hits[0]
    return text.strip()


@_remembered
def read_severity(text: str) -> str | None:
    """'none', 'mild', 'moderate' or 'severe' where the text says so in words, else None."""
    return _severity_of(words(text))


def _severity_of(found: list[str]) -> str | None:
    if _NEGATIONS.intersection(found):
        rest = [word for word in found if word not in {"without", *_DEFECT_WORDS}]
        return "none" if found[:1] == ["without"] and not rest else None
    named = {_SEVERITY_WORDS[word] for word in found if word in _SEVERITY_WORDS}
    if "no" in found:
        # 'no degradation' is a severity; 'no blur' beside other words may be anything.
        rest = [word for word in found if word != "no" and word not in _DEFECT_WORDS]
        return None if rest else "none"
    return named.pop() if len(named) == 1 else None


@_remembered
def read_scope(text: str) -> str:
    """'general' or 'modality-specific' where the text says so, else the text itself."""
    found = words(text)
    if {"non", "not", "nonspecific", "unspecific"} & set(found) and not _GENERAL_WORDS.intersection(found):
        return "general"
    return _scope_of(found) or text.strip()


def _scope_of(found: list[str]) -> str | None:
    general, specific = _GENERAL_WORDS.intersection(found), _SPECIFIC_WORDS.intersection(found)
    if general and not specific:
        return "general"
    return "modality-specific" if specific and not general else None


@_remembered
def read_difficulty(text: str) -> str:
    """'coarse-grained' or 'fine-grained' where the text says so, else the text itself."""
    joined = " ".join(words(text))
    coarse, fine = "coarse" in joined, re.search(r"\bfine", joined) is not None
    if coarse != fine:
        return "coarse-grained" if coarse else "fine-grained"
    return text.strip()


@dataclass(frozen=True)
class QuestionTypeValue:
    """What a value of the question type's column says; other axes may be folded into it."""

    question_type: str | None
    severity: str | None
    scope: str | None


@_remembered
def read_question_type(text: str) -> QuestionTypeValue:
    """Read 'Yes/No', 'yes_or_no', 'WHAT', 'general_how_mild' and the like; the 'no' of yes-or-no is no severity."""
    joined = " ".join(words(text))
    rest, count = _YES_OR_NO.subn(" ", joined)
    remaining = rest.split()
    types = {_TYPE_WORDS[word] for word in remaining if word in _TYPE_WORDS}
    if count:
        types.add(YES_OR_NO)
    others = [word for word in remaining if word not in _TYPE_WORDS]
    scope = _scope_of(others)
    known = _GENERAL_WORDS | _SPECIFIC_WORDS | _SCOPE_FILLERS
    severity = _severity_of([word for word in others if word not in known])
    return QuestionTypeValue(types.pop() if len(types) == 1 else None, severity, scope)


def infer_question_type(question: str, options: Mapping[str, str]) -> str:
    """The type that options and wording show: options that are Yes and No, then the question's first what/which/how."""
    plain = sorted(" ".join(words(text)) for text in options.values())
    if plain == ["no", "yes"]:
        return YES_OR_NO
    for word in words(question):
        if word in _TYPE_WORDS:
            return _TYPE_WORDS[word]
    return OTHER_QUESTION_TYPE
