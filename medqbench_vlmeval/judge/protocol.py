"""Judge protocols: named, versioned sets of questions with their templates.

'official' is the published wording, read from the installed kit, 'rubric' this package's own with one call a
dimension, 'rubric-joint' the same criteria in one call for all four. ``NAME-N`` asks each question in N rounds
and takes the mean ('official-5', after the five rounds of Q-Bench, H. Wu et al., ICLR 2024). Templates are
filled in one pass, so that a marker inside an answer or a reference stays what it is: a word of that text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import rubric
from medqbench_vlmeval.judge.neutral import neutralised
from medqbench_vlmeval.prompts import official
from medqbench_vlmeval.tasks import DIMENSIONS, REASONING_PREFIX, Task

PROTOCOLS = ("official", "official-5", "rubric", "rubric-joint")
DEFAULT_PROTOCOL = "official"
RULES = "rules"
JOINT = "joint"
MAX_ROUNDS = 20

REASONING_TASKS = tuple(REASONING_PREFIX)

_ROUNDS = re.compile(r"(?P<family>.+?)-(?P<rounds>\d{1,3})")
_CODE_LENGTH = 8
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopabcdef")


@dataclass(frozen=True)
class Question:
    """One call of a protocol: its name, the dimensions that it scores, and whether the reply is a JSON object."""

    name: str
    dimensions: tuple[str, ...]
    structured: bool


@dataclass(frozen=True)
class Protocol:
    """A set of judge questions.

    ``templates`` holds a template per task and question with ``answer_marker`` and ``reference_marker`` in it; a
    question is named after its dimension, or 'joint' where it scores all four. ``guard`` is applied to both
    texts before they are put in. ``code_marker`` stands where a code made from both texts goes, which neither of
    them can hold. ``rounds`` is how often each question is asked.
    """

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

    def questions(self, task: Task) -> tuple[Question, ...]:
        """The questions of one round, in the dimensions' order."""
        return tuple(
            Question(name, DIMENSIONS, True) if name == JOINT else Question(name, (name,), False)
            for name in self.templates[task]
        )

    def calls_per_sample(self, task: Task) -> int:
        """Calls without re-asks."""
        return self.rounds * len(self.templates[task])

    def prompt(self, task: Task, question: str, prediction: str, reference: str) -> str:
        """The full text of one judge call.

        Lone surrogates, which no request can carry, become question marks.

        Args:
            task: a single reasoning task.
            question: a name out of :meth:`questions`.
            prediction: the model's reply.
            reference: the sample's reference text.
        """
        values = {self.answer_marker: self.guard(prediction), self.reference_marker: self.guard(reference)}
        if self.code_marker:
            digest = sha256_text(f"{prediction}\0{reference}")
            values[self.code_marker] = digest[:_CODE_LENGTH].translate(_LETTERS)
        markers = re.compile("|".join(re.escape(marker) for marker in values))
        filled = markers.sub(lambda marker: values[marker.group()], self.templates[task][question])
        return filled.encode("utf-8", errors="replace").decode("utf-8")

    @cached_property
    def sha256(self) -> str:
        """The hash of all templates."""
        named = {task.value: dict(templates) for task, templates in self.templates.items()}
        return sha256_text(json.dumps(named, sort_keys=True))


def split_name(name: str) -> tuple[str, int | None]:
    """A protocol's name without its rounds, and their number where the name has one: 'official-5' is official, 5."""
    parts = _ROUNDS.fullmatch(name)
    return (parts["family"], int(parts["rounds"])) if parts else (name, None)


def asked_by(kept: str, wanted: str | None) -> bool:
    """Whether an answer kept under the protocol ``kept`` is one of ``wanted``'s; None is any.

    'official' stands for 'official-5' as well: their first rounds are the same calls.
    """
    return wanted is None or wanted in (kept, split_name(kept)[0])


def load_protocol(name: str, rounds: int | None = None) -> Protocol:
    """The protocol of this name.

    Args:
        name: 'official', 'rubric' or 'rubric-joint', each also as ``NAME-N`` for N rounds (2-20).
        rounds: another way to give N; 1 and None leave the name as it is.

    Raises:
        BadInput: there is none of this name, or the kit's templates are not as expected.
        MissingDependency: 'official' without an installed kit; the message names 'rubric'.
    """
    family, said = split_name(name)
    in_name = 1 if said is None else said
    if rounds is not None and rounds != 1 and in_name not in (1, rounds):
        raise BadInput(f"The protocol '{name}' has {in_name} rounds, and n_rounds asks for {rounds}; give one of them.")
    wanted = in_name if in_name > 1 else rounds or 1
    protocol = _family(family)
    if protocol is None or (said is not None and said < 2):
        raise _unknown(name)
    if wanted > MAX_ROUNDS:
        raise BadInput(f"The protocol '{name}' asks for {wanted} rounds; at most {MAX_ROUNDS} are taken.")
    return protocol if wanted == 1 else replace(protocol, name=f"{family}-{wanted}", rounds=wanted)


def _family(name: str) -> Protocol | None:
    if name == "official":
        templates = {task: official.judge_templates(task) for task in REASONING_TASKS}
        return Protocol(name, "1", templates, official.ANSWER_MARKER, official.REFERENCE_MARKER)
    makers = {"rubric": rubric.rubric_templates, "rubric-joint": rubric.joint_templates}
    if name not in makers:
        return None
    own = {task: makers[name](task) for task in REASONING_TASKS}
    markers = (rubric.ANSWER_MARKER, rubric.REFERENCE_MARKER)
    return Protocol(name, rubric.VERSION, own, *markers, neutralised, rubric.CODE_MARKER)


def _unknown(name: str) -> BadInput:
    known = f"Known protocols: {', '.join(PROTOCOLS)} (any of them with -N for N rounds)."
    if name == RULES:
        return BadInput(f"'rules' is a judge and no protocol: choose it with '--judge rules'. {known}")
    near = difflib.get_close_matches(name.lower(), PROTOCOLS, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return BadInput(f"'{name}' is not a judge protocol.{hint} {known}")
