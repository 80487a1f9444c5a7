"""Judge protocols: named, versioned sets of questions with their templates.

'official' is the published wording, read from the installed kit, 'rubric' this package's own with one call a dimension,
'rubric-joint' the same criteria in one call for all four. ``NAME-N`` asks each question in N rounds and takes the mean
('official-5', after the five rounds of Q-Bench, H. Wu et al., ICLR 2024). The extractor's is 'choice', worded by the
rule by which replies were labelled (tests/answers/README.md). In the ``templates/`` of this package delimiters carry a
code made from both texts, so that no text can forge them, each line of the texts begins with it, and what looks like a
delimiter inside a text is taken apart (``delimit``). Templates are filled in one pass: a marker inside an answer stays
a word of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from medqbench_vlmeval import provenance
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, REASONING_PREFIX, Task
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.delimit import escape_delimiters
from medqbench_vlmeval.judge.options import RULES
from medqbench_vlmeval.prompts import official

PROTOCOLS = ("official", "official-5", "rubric", "rubric-joint")
JOINT = "joint"
MAX_ROUNDS = 20
# Both go up with every change of a template's words.
VERSION = "4"
CHOICE_VERSION = "2"
# The dimension of an extractor's verdicts, whose scores are places in the alphabet, 0 for no answer.
CHOICE = "choice"
NONE = "NONE"

_TEMPLATES = Path(__file__).parent / "templates"
_ANSWER, _REFERENCE, _OPTIONS, _REPLY = "{{candidate}}", "{{reference}}", "{{options}}", "{{reply}}"
_CODE = "{{code}}"
_CODE_LENGTH = 8
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")
_ROUNDS = re.compile(r"(?P<family>.+?)-(?P<rounds>\d{1,3})")

Schema = Mapping[str, object]
"""A JSON schema."""


@dataclass(frozen=True)
class Protocol:
    """A set of judge questions, asked in so many ``rounds``: ``templates`` by task and question (a dimension, or
    'joint') with both markers in them. ``guard`` is applied to both texts before they are put in; ``code_marker``
    stands for a code made from both, which neither can hold and which marks their lines."""

    name: str
    version: str
    templates: Mapping[Task, Mapping[str, str]]
    answer_marker: str
    reference_marker: str
    guard: Callable[[str], str] = field(default=str, repr=False)
    code_marker: str | None = None
    rounds: int = 1

    @property
    def family(self) -> str:
        """The name without the number of rounds."""
        return split_name(self.name)[0]

    def questions(self, task: Task) -> Mapping[str, str]:
        """The templates of a task by question; all multiple-choice tasks share one."""
        return self.templates[Task.PERCEPTION if task.is_choice else task]

    def prompt(self, task: Task, question: str, prediction: str, reference: str) -> str:
        """The text of one judge call; lone surrogates, which no request can carry, become question marks."""
        values = {self.answer_marker: self.guard(prediction), self.reference_marker: self.guard(reference)}
        if self.code_marker:
            code = sha256_text(f"{prediction}\0{reference}")[:_CODE_LENGTH].translate(_LETTERS)
            lines = {marker: text.splitlines() or [""] for marker, text in values.items()}
            values = {marker: "\n".join(f"{code}| {line}" for line in of) for marker, of in lines.items()}
            values[self.code_marker] = code
        markers = re.compile("|".join(re.escape(marker) for marker in values))
        filled = markers.sub(lambda marker: values[marker.group()], self.questions(task)[question])
        return filled.encode("utf-8", errors="replace").decode("utf-8")

    @property
    def record(self) -> provenance.Protocol:
        """The protocol as results name it."""
        return provenance.Protocol(self.name, self.version, self.sha256, self.rounds)

    @cached_property
    def sha256(self) -> str:
        """The hash of all templates."""
        named = {task.value: dict(templates) for task, templates in self.templates.items()}
        return sha256_text(json.dumps(named, sort_keys=True))


def split_name(name: str) -> tuple[str, int | None]:
    """A protocol's name without its rounds, and their number where the name has one: 'official-5' is official, 5."""
    parts = _ROUNDS.fullmatch(name)
    return (parts["family"], int(parts["rounds"])) if parts else (name, None)


def asked_by(protocol: str, wanted: str | None) -> bool:
    """Whether a reply kept under a protocol's name is one of ``wanted``'s; None is any. 'official' stands for
    'official-5' as well: their first rounds are the same calls."""
    return wanted is None or wanted in (protocol, split_name(protocol)[0])


def load_protocol(name: str, rounds: int | None = None) -> Protocol:
    """The protocol of this name: 'official', 'rubric' or 'rubric-joint', each also as ``NAME-N`` for N rounds (2-20);
    ``rounds`` is another way to give N. Raises BadInput where there is none, or the kit's templates are not as
    expected, MissingDependency for 'official' without an installed kit."""
    family, named_rounds = split_name(name)
    in_name = 1 if named_rounds is None else named_rounds
    if rounds is not None and rounds != 1 and in_name not in (1, rounds):
        raise BadInput(f"The protocol '{name}' has {in_name} rounds, and n_rounds asks for {rounds}; give one of them.")
    wanted = in_name if in_name > 1 else rounds or 1
    protocol = _family(family)
    if protocol is None or (named_rounds is not None and named_rounds < 2):
        known = f"Known protocols: {', '.join(PROTOCOLS)} (any of them with -N for N rounds)."
        if name == RULES:
            raise BadInput(f"'rules' is a judge and no protocol: choose it with '--judge rules'. {known}")
        raise BadInput(f"'{name}' is not a judge protocol.{did_you_mean(name, PROTOCOLS)} {known}")
    if wanted > MAX_ROUNDS:
        raise BadInput(f"The protocol '{name}' asks for {wanted} rounds; at most {MAX_ROUNDS} are taken.")
    return protocol if wanted == 1 else replace(protocol, name=f"{family}-{wanted}", rounds=wanted)


def choice_protocol() -> Protocol:
    """The extractor's protocol with its one question."""
    templates = {Task.PERCEPTION: {CHOICE: _template("choice")}}
    return Protocol(CHOICE, CHOICE_VERSION, templates, _REPLY, _OPTIONS, escape_delimiters, _CODE)


def joint_schema(allowed: Mapping[str, Iterable[int]]) -> Schema:
    """The JSON schema of a joint reply, for servers that can be held to one; ``allowed``: scores by dimension."""
    entries = {
        dimension: {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "enum": list(scores)}},
            "required": ["reason", "score"],
            "additionalProperties": False,
        }
        for dimension, scores in allowed.items()
    }
    return {"type": "object", "properties": entries, "required": list(allowed), "additionalProperties": False}


def criteria(task: Task, dimension: str) -> tuple[str, dict[int, str]]:
    """A dimension's question and what each score means, for people who rate by hand."""
    entry = _criteria()[task.value]["questions"][dimension]
    return entry["question"], {score: entry[str(score)] for score in (2, 1, 0) if str(score) in entry}


def options_text(options: Mapping[str, str]) -> str:
    """The options, one a line; an option's own line breaks could pass for another option and become blanks."""
    return "\n".join(f"{letter}. {' '.join(text.split())}" for letter, text in options.items())


def number_of(letter: str) -> int:
    """The score that stands for a letter (A is 1), 0 for 'NONE'."""
    return 0 if letter == NONE else ord(letter) - ord("A") + 1


def letter_of(score: float | None) -> str | None:
    """The letter that a verdict on the dimension 'choice' stands for; None for 0 and where there is no score."""
    return chr(ord("A") + int(score) - 1) if score else None


def choices(numbers: Iterable[int]) -> str:
    """What a choice may be, in words: 'A, B or NONE'."""
    return either([*filter(None, map(letter_of, numbers)), NONE])


def either(values: Iterable[str]) -> str:
    """'0, 1 or 2'."""
    *first, last = values
    return f"{', '.join(first)} or {last}"


def _family(name: str) -> Protocol | None:
    if name == "official":
        templates = {task: official.official_templates(task) for task in REASONING_PREFIX}
        return Protocol(name, "1", templates, official.ANSWER_MARKER, official.REFERENCE_MARKER)
    if name not in ("rubric", "rubric-joint"):
        return None
    own = {task: _own_templates(name, task) for task in REASONING_PREFIX}
    return Protocol(name, VERSION, own, _ANSWER, _REFERENCE, escape_delimiters, _CODE)


def _own_templates(name: str, task: Task) -> dict[str, str]:
    """The templates of 'rubric' and 'rubric-joint' by question."""
    frame = _template(name).replace("{{setting}}", _criteria()[task.value]["setting"])
    templates, joint = {}, []
    for number, dimension in enumerate(DIMENSIONS, 1):
        question, meanings = criteria(task, dimension)
        question += "\n\nCriteria:\n" + "\n".join(f"- {score}: {words}" for score, words in meanings.items())
        joint.append(f"{number}. {DIMENSION_TITLES[dimension]} ({dimension}): {question}")
        filled = frame.replace("{{question}}", question)
        templates[dimension] = filled.replace("{{allowed}}", either(map(str, sorted(meanings))))
    return {JOINT: frame.replace("{{questions}}", "\n\n".join(joint))} if name == "rubric-joint" else templates


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n")


@cache
def _criteria() -> dict[str, Any]:
    """What each task sets and what each dimension asks, by the names of both."""
    return dict(json.loads((_TEMPLATES / "criteria.json").read_text(encoding="utf-8")))
