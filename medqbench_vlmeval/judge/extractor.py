"""The second stage of reading multiple-choice replies: a model reads what the rules left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.answer_length import cut_answers
from medqbench_vlmeval.judge.asked_model import NOT_ASKED, AskedModel
from medqbench_vlmeval.judge.calls import Call, Outcome, call_key
from medqbench_vlmeval.judge.choice import CHOICE, allowed_numbers, letter_of, options_text
from medqbench_vlmeval.judge.interface import OnProgress
from medqbench_vlmeval.judge.options import KIT_PREFIX, JudgeOptions
from medqbench_vlmeval.judge.protocol import RULES
from medqbench_vlmeval.records import Choice, Sample
from medqbench_vlmeval.tasks import Task

# What belongs to a judge alone: the extractor has its own protocol, and is one model.
_OF_JUDGE = frozenset({"model", "panel", "protocol", "n_rounds"})


class Extractor(AskedModel):
    """A model that reads letters out of replies; it sees a question's options and the reply alone."""

    def calls(self, asked: Sequence[tuple[Sample, str]]) -> list[Call]:
        """The calls for some replies, one each, in their order.

        Args:
            asked: multiple-choice samples with the replies to read.
        """
        texts, notes = cut_answers(asked, self.options.max_answer_tokens, self.options.name)
        asked_of = self.asked_of
        calls = []
        for sample, reply in texts:
            prompt = self._protocol.prompt(Task.PERCEPTION, CHOICE, reply, options_text(sample.options))
            key = call_key(self._protocol, asked_of, (CHOICE,), sha256_text(prompt), 1)
            allowed = {CHOICE: allowed_numbers(sample.options)}
            calls.append(Call(key, sample.index, Task.PERCEPTION, prompt, allowed, note=notes.get(sample.index)))
        return calls

    def read(self, asked: Sequence[tuple[Sample, str]], on_progress: OnProgress | None = None) -> list[Choice]:
        """Read replies; those that were not asked about (``no_calls``) are left out.

        Equal prompts are asked about once, and what that took is counted in the first of them.

        Raises:
            JudgeError: see ``AskedModel.outcomes``.
            KeyboardInterrupt: see there.
        """
        calls = self.calls(asked)
        outcomes = self.outcomes(calls, on_progress)
        counted: set[str] = set()
        choices = []
        for call in calls:
            outcome = outcomes[call.key]
            if outcome.reason == NOT_ASKED:
                continue
            choices.append(_choice(call, outcome, counts=call.key not in counted))
            counted.add(call.key)
        return choices

    def describe(self) -> dict[str, Any]:
        """The extractor's settings, its protocol among them (see ``AskedModel``)."""
        protocol = self._protocol
        return {
            **self._described(),
            "protocol": {"name": protocol.name, "version": protocol.version, "sha256": protocol.sha256},
        }


def extractor_name(text: str, option: str = "--extractor") -> str:
    """The name of an extractor as it was given, without blanks around it; ``option`` is where it was given.

    Raises:
        BadInput: it names no model, the rules, or several models.
    """
    name = text.strip()
    if not name.removeprefix(KIT_PREFIX).strip():
        raise BadInput(f"{option} wants the name of a model, as its server knows it, or kit:NAME.")
    if name.lower() == RULES:
        raise BadInput(f"{option} names a model for the replies that the rules leave open; 'rules' is none.")
    if "," in name:
        raise BadInput(f"{option} takes one model and not several: '{name}'.")
    return name


def extractor_options(name: str, keywords: Mapping[str, Any]) -> JudgeOptions:
    """The options of an extractor: its server and limits are those of the judge, its protocol is its own.

    Args:
        name: what ``--extractor`` says.
        keywords: the judge keywords of a request.

    Raises:
        BadInput: see :func:`extractor_name`, or an option cannot be used.
    """
    shared = {key: value for key, value in keywords.items() if key not in _OF_JUDGE}
    return replace(JudgeOptions.from_kit_kwargs({**shared, "model": extractor_name(name)}), role="extractor")


def _choice(call: Call, outcome: Outcome, counts: bool) -> Choice:
    found = outcome.judgement
    number = found.scores.get(CHOICE) if found and outcome.reason is None else None
    return Choice(
        call.index,
        None if number is None else letter_of(number),
        outcome.reason,
        reply=found.reply if found else "",
        prompt_sha256=sha256_text(call.prompt),
        judge=found.judge if found else "",
        asks=found.asks if found and counts else 0,
        prompt_tokens=found.prompt_tokens if found and counts else 0,
        completion_tokens=found.completion_tokens if found and counts else 0,
        note=call.note,
        from_cache=outcome.from_cache,
    )
