"""Judge protocols: named, versioned sets of prompts, one a task and dimension.

'official' is the published wording, read from the installed kit; 'rubric' is this package's own. Both are
filled in one pass, so that a marker inside an answer or a reference stays what it is: a word of that text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import rubric
from medqbench_vlmeval.prompts import official
from medqbench_vlmeval.tasks import REASONING_PREFIX, Task

PROTOCOLS = ("official", "rubric")
DEFAULT_PROTOCOL = "official"
RULES = "rules"

REASONING_TASKS = tuple(REASONING_PREFIX)


@dataclass(frozen=True)
class Protocol:
    """A set of judge prompts.

    ``templates`` holds a template per task and dimension with ``answer_marker`` and ``reference_marker`` in it;
    ``guard`` is applied to both texts before they are put in.
    """

    name: str
    version: str
    templates: Mapping[Task, Mapping[str, str]]
    answer_marker: str
    reference_marker: str
    guard: Callable[[str], str] = field(default=str, repr=False)

    def prompt(self, task: Task, dimension: str, prediction: str, reference: str) -> str:
        """The full text of one judge call.

        Lone surrogates, which no request can carry, become question marks.

        Args:
            task: a single reasoning task.
            dimension: one of ``tasks.DIMENSIONS``.
            prediction: the model's reply.
            reference: the sample's reference text.
        """
        values = {self.answer_marker: prediction, self.reference_marker: reference}
        markers = re.compile("|".join(re.escape(marker) for marker in values))
        template = self.templates[task][dimension]
        filled = markers.sub(lambda marker: self.guard(values[marker.group()]), template)
        return filled.encode("utf-8", errors="replace").decode("utf-8")

    @cached_property
    def sha256(self) -> str:
        """The hash of all templates."""
        named = {task.value: dict(templates) for task, templates in self.templates.items()}
        return sha256_text(json.dumps(named, sort_keys=True))


def load_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        BadInput: there is none of this name, or the kit's templates are not as expected.
        MissingDependency: 'official' without an installed kit; the message names 'rubric'.
    """
    if name == "official":
        templates = {task: official.judge_templates(task) for task in REASONING_TASKS}
        return Protocol(name, "1", templates, official.ANSWER_MARKER, official.REFERENCE_MARKER)
    if name == "rubric":
        own = {task: rubric.rubric_templates(task) for task in REASONING_TASKS}
        return Protocol(name, "1", own, rubric.ANSWER_MARKER, rubric.REFERENCE_MARKER, rubric.neutralised)
    known = f"Known protocols: {', '.join(PROTOCOLS)}."
    if name == RULES:
        raise BadInput(f"'rules' is a judge and no protocol: choose it with '--judge rules'. {known}")
    near = difflib.get_close_matches(name.lower(), PROTOCOLS, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise BadInput(f"'{name}' is not a judge protocol.{hint} {known}")
