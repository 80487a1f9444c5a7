"""Prompt styles: what is said to a model beside the image. 'official' is the benchmark's own wording, the only one
whose results stand beside published ones. The others need no kit and show how much of a score is due to the wording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from medqbench_vlmeval.benchmark import OPTION_LETTERS, Task
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.prompts import official
from medqbench_vlmeval.types import Sample

STYLES = ("official", "letter", "reasoning", "confidence")
DEFAULT_STYLE = "official"

# By style the wording of a multiple-choice question, by task that of the style 'reasoning'.
_TEMPLATES = json.loads(Path(__file__).with_name("templates.json").read_text(encoding="utf-8"))
_OWN_TEMPLATES: Mapping[str, str] = _TEMPLATES["questions"]
_REASONING_TASKS: Mapping[Task, str] = {Task(name): text for name, text in _TEMPLATES["tasks"].items()}
_WORDS = {"letter": "an option's letter", "confidence": "an option and a confidence"}
_OPTION_LINE = "({letter}) {text}"


def check_style(style: str) -> str:
    """The style's name, if there is such a style. Raises BadInput where there is none; the message lists all."""
    if style in STYLES:
        return style
    raise BadInput(f"'{style}' is not a prompt style.{did_you_mean(style, STYLES)} Known styles: {', '.join(STYLES)}.")


def build_text(sample: Sample, style: str = DEFAULT_STYLE) -> str:
    """The text that goes to the model with a sample's images. Under 'official' a reasoning sample's own question wins
    over the task's text, as in the kit. Raises BadInput for a style that is unknown or does not suit the sample, or a
    sample without question; MissingDependency for 'official' without an installed kit."""
    check_style(style)
    if not sample.task.is_choice:
        if style == "official" and sample.question is not None and sample.question.strip():
            return sample.question
        return _task_text(sample.task, style)
    if sample.question is None:
        raise BadInput(f"The {sample.task.value} sample {sample.index} has no question.")
    if style == "official":
        text = official.official_question(sample.task)
        if beyond := sample.options.keys() - {*text.letters}:
            what = f"the option {min(beyond)}, which the kit's prompt does not show ({', '.join(text.letters)} alone)"
            raise BadInput(f"The {sample.task.value} sample {sample.index} has {what}; use another prompt style.")
        return text.prompt(sample.question, sample.options)
    letters = [letter for letter in OPTION_LETTERS if sample.options.get(letter, "").strip()]
    # str.format leaves braces inside the values alone, so that texts may hold any.
    options = "\n".join(_OPTION_LINE.format(letter=letter, text=sample.options[letter].strip()) for letter in letters)
    listed = " or ".join(filter(None, (", ".join(letters[:-1]), *letters[-1:])))
    return _OWN_TEMPLATES[style].format(question=sample.question.strip(), options=options, letters=listed)


def style_hash(style: str, task: Task) -> str:
    """The sha256 of a style's wording for a task (of both reasoning tasks: of the two hashes); errors as above."""
    check_style(style)
    if task is Task.REASONING:
        return sha256_text(json.dumps([style_hash(style, part) for part in task.parts]))
    if not task.is_choice:
        return sha256_text(_task_text(task, style))
    if style == "official":
        return official.official_question(task).sha256()
    return sha256_text(json.dumps([_OWN_TEMPLATES[style], _OPTION_LINE]))


def _task_text(task: Task, style: str) -> str:
    if style == "official":
        return official.official_text(task)
    if style in _WORDS:
        raise BadInput(
            f"The prompt style '{style}' asks for {_WORDS[style]} and does not suit the {task.value} task; use "
            "'official' or 'reasoning'."
        )
    return _REASONING_TASKS[task]
