"""Which column of a file holds which meaning, and which spelling of a value stands for which. The published files'
columns are partly unknown, and users bring files of their own: a meaning is looked up in a table of accepted names,
without regard to case, blanks, dashes and underscores, unless the user names its column; what was read, what was absent
and what nobody claimed is kept for the results. Readers of values return None for what they do not understand. A
severity in particular is read only where a word says it: a number, or two words that disagree, stay unknown."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medqbench_vlmeval.benchmark import OPTION_LETTERS, OTHER_QUESTION_TYPE, QUESTION_TYPES, Task
from medqbench_vlmeval.errors import BadInput, did_you_mean

YES_OR_NO, WHAT, HOW = QUESTION_TYPES

# A column of a hundred thousand rows holds a handful of values.
_remembered = lru_cache(maxsize=1024)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")

_VALUES: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("values.json").read_text("utf-8"))
_YES_OR_NO = re.compile(_VALUES["patterns"]["yes or no"])
_TYPE_WORDS = {"what": WHAT, "which": WHAT, "whats": WHAT, "how": HOW}

_SEVERITY_WORDS = {word: value for value, spellings in _VALUES["severity"].items() for word in spellings.split()}
_DEGREE = re.compile(r"(?:(?:l|level|degree|severity)[\s_-]*)?([012])(?:\.0*)?")
_DEGREE_OF = {"none": "L0", "moderate": "L1", "severe": "L2"}
_NEGATIONS = {"not", "non", "without", "less", "more", "than", "or"}
_DEFECT_WORD = re.compile(_VALUES["patterns"]["defect"])

_GENERAL_WORDS = {"general", "generic", "common"}
_SPECIFIC_WORDS = {"specific", "specialized", "specialised"}
_SCOPE_FILLERS = {"modality", "medical", "domain", "question", "questions", "type", "scope", "task"}

# Patterns are tried on lower-case words joined by single blanks. More than one hit names no single modality.
_MODALITY_PATTERNS = {name: re.compile(pattern) for name, pattern in _VALUES["modality"].items()}
_OTHER_MODALITY = re.compile(_VALUES["patterns"]["other modality"])


def words(text: str) -> list[str]:
    """Split a value into lower-case words: 'YesOrNo', 'yes-or-no' and 'Yes / or_no' give the same."""
    return [part for part in _SEPARATORS.split(_CAMEL.sub(" ", text).casefold()) if part]


@_remembered
def read_modality(text: str) -> str:
    """The benchmark's name of a modality; a modality that it does not know is returned as it is written."""
    joined = " ".join(words(text))
    hits = [name for name, pattern in _MODALITY_PATTERNS.items() if pattern.search(joined)]
    return hits[0] if len(hits) == 1 and not _OTHER_MODALITY.search(joined) else text.strip()


@_remembered
def read_severity(text: str) -> str | None:
    """'none', 'mild', 'moderate' or 'severe' where the text says so in words, else None."""
    return _severity_of(words(text))


def _severity_of(spelled: list[str]) -> str | None:
    rest = [word for word in spelled if not _DEFECT_WORD.fullmatch(word)]
    if _NEGATIONS.intersection(spelled):
        return "none" if spelled[:1] == ["without"] and set(rest) <= {"without"} else None
    if "no" in spelled:
        # 'no degradation' is a severity; 'no blur' beside other words may be anything.
        return "none" if set(rest) <= {"no"} else None
    named = {_SEVERITY_WORDS[word] for word in spelled if word in _SEVERITY_WORDS}
    return named.pop() if len(named) == 1 else None


@_remembered
def read_degree(text: str) -> str | None:
    """MedQ-Deg's 'L0', 'L1' or 'L2' where the text is one of them, the number alone or a word for it, else None."""
    number = _DEGREE.fullmatch(text.strip().casefold())
    if number:
        return f"L{number[1]}"
    spelled = words(text)
    named = {word for word in spelled if re.fullmatch("l[012]", word)}
    rest = " ".join(word for word in spelled if word not in named)
    severity = "none" if rest in ("original", "original image") else _severity_of(rest.split())
    degrees = {word.upper() for word in named} | ({_DEGREE_OF.get(severity, "")} if severity else set())
    return (degrees.pop() or None) if len(degrees) == 1 else None


@_remembered
def read_category(degradation: str) -> str | None:
    """The category of a type of degradation, by MedQ-Deg's own families; None where they do not name the type."""
    return _CATEGORIES.get("".join(words(degradation)))


@_remembered
def read_scope(text: str) -> str:
    """'general' or 'modality-specific' where the text says so, else the text itself."""
    spelled = words(text)
    if {"non", "not", "nonspecific", "unspecific"} & set(spelled) and not _GENERAL_WORDS.intersection(spelled):
        return "general"
    return _scope_of(spelled) or text.strip()


def _scope_of(spelled: list[str]) -> str | None:
    general, specific = _GENERAL_WORDS.intersection(spelled), _SPECIFIC_WORDS.intersection(spelled)
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


@_remembered
def read_question_type(text: str) -> tuple[str | None, str | None, str | None]:
    """Question type, severity and scope: 'Yes/No', 'yes_or_no', 'WHAT', 'general_how_mild' and the like, as other axes
    may be folded into the type's column; the 'no' of yes-or-no is no severity."""
    rest, count = _YES_OR_NO.subn(" ", " ".join(words(text)))
    remaining = rest.split()
    types = {_TYPE_WORDS[word] for word in remaining if word in _TYPE_WORDS}
    if count:
        types.add(YES_OR_NO)
    others = [word for word in remaining if word not in _TYPE_WORDS]
    scope = _scope_of(others)
    known = _GENERAL_WORDS | _SPECIFIC_WORDS | _SCOPE_FILLERS
    severity = _severity_of([word for word in others if word not in known])
    return types.pop() if len(types) == 1 else None, severity, scope


def infer_question_type(question: str, options: Mapping[str, str]) -> str:
    """The type that options and wording show: options that are Yes and No, then the question's first what/which/how."""
    plain = sorted(" ".join(words(text)) for text in options.values())
    if plain == ["no", "yes"]:
        return YES_OR_NO
    return next((_TYPE_WORDS[word] for word in words(question) if word in _TYPE_WORDS), OTHER_QUESTION_TYPE)


# Names by priority: the first one that the file has is taken. Spelled without separators, in lower case.
_NAMES = json.loads(Path(__file__).with_name("columns.json").read_text(encoding="utf-8"))
ACCEPTED: Mapping[str, tuple[str, ...]] = {meaning: tuple(names.split()) for meaning, names in _NAMES.items()}

_TYPES = json.loads(Path(__file__).with_name("degradations.json").read_text(encoding="utf-8"))
_CATEGORIES = {name: category for category, names in _TYPES.items() for name in names.split()}

IMAGE_MEANINGS = ("image", "image_path", "image_a", "image_b", "image_path_a", "image_path_b", "window")
SHOWN_TO_MODELS = frozenset({"question", *OPTION_LETTERS, *IMAGE_MEANINGS})
AXES = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation")
DEGRADATION_AXES = ("modality", "severity", "category", "degradation", "source")


def axes_of(task: Task) -> tuple[str, ...]:
    """The meanings along which a task's results are broken down."""
    return DEGRADATION_AXES if task is Task.DEGRADATION else AXES


def readers_of(task: Task) -> Mapping[str, Callable[[str], str | None]]:
    """What reads the values of an axis; of the others they stand as they are."""
    if task is Task.DEGRADATION:
        return {"modality": read_modality, "severity": read_degree}
    read_others = {"scope": read_scope, "difficulty": read_difficulty}
    return {"modality": read_modality, "severity": read_severity, **read_others}


_OF_QUESTIONS = ("index", "question", *OPTION_LETTERS, "answer", "image", "image_path", "window")
_MEANINGS = {
    Task.PERCEPTION: (*_OF_QUESTIONS, *AXES),
    Task.DEGRADATION: (*_OF_QUESTIONS, "pair", *DEGRADATION_AXES),
    Task.NO_REFERENCE: ("index", "question", "description", "image", "image_path", "window", *AXES),
    Task.COMPARATIVE: ("index", "question", "description", *IMAGE_MEANINGS, *AXES),
}

COLUMNS_VARIABLE = "MEDQBENCH_COLUMNS"

Named = Mapping[str, str]
"""The columns that a user names, by their meanings."""


def read_named(text: str, where: str = "--columns") -> Named:
    """Read 'severity=grade,question=Frage'; an entry with a comma stands in double quotes, as in CSV. BadInput as in
    :func:`check_named`."""
    entries = [entry.partition("=") for line in csv.reader(text.splitlines()) for entry in line if entry.strip()]
    return check_named([(meaning.strip(), column) for meaning, _, column in entries], where)


def check_named(pairs: Iterable[tuple[object, object]], where: str) -> Named:
    """Columns by their meanings, in the table's own spelling; BadInput where something is no meaning or no column, or
    stands twice; ``where`` says who named them."""
    known = {"".join(words(meaning)): meaning for meaning in ACCEPTED}
    named: dict[str, str] = {}
    for said, column in pairs:
        if (meaning := known.get("".join(words(str(said))))) is None:
            hint = did_you_mean(str(said), ACCEPTED)
            raise BadInput(f"{where}: '{said}' is no meaning of a column.{hint} Meanings: {', '.join(ACCEPTED)}.")
        name = column.strip() if isinstance(column, str) else ""
        if not name or meaning in named or name in named.values():
            raise BadInput(f"{where}: name one column of its own for '{meaning}', as in 'severity=grade,answer=gold'.")
        named[meaning] = name
    return named


@dataclass(frozen=True)
class Columns:
    """``names`` maps a meaning to the column's name in the file, ``positions`` to its place in a row; ``named`` are the
    meanings whose column the user named."""

    names: Mapping[str, str]
    positions: Mapping[str, int]
    ignored: tuple[str, ...]
    named: tuple[str, ...] = ()


def find_columns(
    header: Sequence[str], meanings: Sequence[str], named: Named | None = None, path: Path | None = None
) -> Columns:
    """Resolve meanings, those that the user ``named`` first and the others by the table of accepted names; a column
    serves one meaning at most. BadInput where a named column is not there; it names ``path``."""
    keys: dict[str, int] = {}
    for position, name in enumerate(header):
        keys.setdefault("".join(words(name)), position)
    own = {meaning: (named or {})[meaning] for meaning in meanings if meaning in (named or {})}
    positions: dict[str, int] = {}
    for meaning, name in own.items():
        at = header.index(name) if name in header else keys.get("".join(words(name)) or name, -1)
        if at < 0 or at in positions.values():
            missing = f"is not there.{did_you_mean(name, header)} Columns there: {_listed(header)}"
            wrong = missing if at < 0 else "is named for another meaning too"
            raise BadInput(f"{path}: the column '{name}', named for '{meaning}', {wrong}.")
        positions[meaning] = at
    for meaning in meanings:
        free = [keys[key] for key in ACCEPTED[meaning] if key in keys and keys[key] not in positions.values()]
        if free and meaning not in positions:
            positions[meaning] = free[0]
    positions = {meaning: positions[meaning] for meaning in meanings if meaning in positions}
    names = {meaning: header[position] for meaning, position in positions.items()}
    ignored = (name for position, name in enumerate(header) if position not in positions.values())
    return Columns(names, positions, tuple(ignored), tuple(own))


def resolve_columns(header: Sequence[str], task: Task, path: Path, images: bool, named: Named | None = None) -> Columns:
    """The columns of one task's file, which must say where its images are if ``images`` are wanted; BadInput where a
    meaning that the task cannot do without has no column, or a ``named`` column is not there."""
    columns = find_columns(header, _MEANINGS[task], named, path)
    required = ("index", "question", "A", "B", "answer") if task.is_choice else ("index", "description")
    if missing := [meaning for meaning in required if meaning not in columns.names]:
        meaning, *others = missing
        more = f" (also missing: {', '.join(others)})" if others else ""
        raise BadInput(
            f"{path}: no column for the {task.value} task's '{meaning}'{more}. Accepted names, in any spelling: "
            f"{', '.join(ACCEPTED[meaning])}; columns there: {_listed(header)}."
        )
    if task is Task.NO_REFERENCE:
        pairs = find_columns(header, ("image_a", "image_b", "image_path_a", "image_path_b")).names
        if pairs:
            raise BadInput(
                f"{path}: the column '{next(iter(pairs.values()))}' belongs to pairs of images, but a file of "
                "the no-reference task was expected; give this file to the comparative task."
            )
    ways = (("image",), ("image_path",), ("image_a", "image_b"), ("image_path_a", "image_path_b"))
    if images and not any(set(way) <= columns.names.keys() for way in ways):
        pair = "'image_a' and 'image_b', " if task is Task.COMPARATIVE else ""
        raise BadInput(
            f"{path}: no column for the images. A column {pair}'image' or 'image_path' is needed; columns there: "
            f"{_listed(header)}."
        )
    return columns


def _listed(header: Sequence[str]) -> str:
    names = [name if len(name) <= 40 else f"{name[:40]}..." for name in header[:40]]
    return ", ".join(names) + (f" and {len(header) - 40} more" if len(header) > 40 else "")
