"""Judge calls: what is asked, under which key an answer is kept, and how answers become verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.protocol import Protocol
from medqbench_vlmeval.records import JudgedSample, Sample, Verdict
from medqbench_vlmeval.tasks import DIMENSIONS, Task, dimension_scores

KEY_LENGTH = 40


@dataclass(frozen=True)
class Call:
    """One question for a judge.

    ``key`` is the hash of all that decides the answer (see :func:`call_key`); calls of one key are asked once.
    ``allowed`` maps the dimensions that the reply is to score to the scores that they may have. ``structured``
    says that the reply is a JSON object with all of them. ``note`` says what was changed in the answer.
    """

    key: str
    index: str
    task: Task
    prompt: str
    allowed: Mapping[str, tuple[int, ...]]
    round: int = 1
    structured: bool = False
    note: str | None = None


@dataclass(frozen=True)
class Judgement:
    """What a judge replied to one call: a score for each dimension that it gave one, and what that took."""

    scores: Mapping[str, int]
    reply: str
    judge: str
    asks: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    explanations: Mapping[str, str] = field(default_factory=dict)

    def answers(self, call: Call) -> bool:
        """Whether every dimension of the call has an allowed score."""
        return all(self.scores.get(dimension) in allowed for dimension, allowed in call.allowed.items())


@dataclass(frozen=True)
class Outcome:
    """How a call ended: ``judgement`` is None where nothing came, ``reason`` None where all is scored.

    ``prompt_refused`` says that the server refused this prompt and might well take another.
    """

    call: Call
    judgement: Judgement | None
    reason: str | None = None
    from_cache: bool = False
    prompt_refused: bool = False


def call_key(
    protocol: Protocol, judge: Mapping[str, Any], dimensions: Iterable[str], prompt_sha256: str, round_: int
) -> str:
    """The key of a call's answer: 40 hex digits.

    Protocol family (rounds left out, so that 'official' and 'official-5' share their first), its version and
    the hash of its templates, the judge's name and parameters, dimensions, prompt and round decide it; where
    the judge is served, how fast it is asked and with which key do not.
    """
    parts = [protocol.family, protocol.version, protocol.sha256, dict(judge), sorted(dimensions), prompt_sha256, round_]
    return sha256_text(json.dumps(parts, sort_keys=True))[:KEY_LENGTH]


def plan_calls(
    protocol: Protocol, judge: Mapping[str, Any], texts: Sequence[tuple[Sample, str]], notes: Mapping[str, str]
) -> list[Call]:
    """All calls for some answers, sample by sample, a round's four dimensions together.

    Args:
        protocol: whose questions are asked.
        judge: the judge's name and the parameters that its answers depend on.
        texts: samples with the answers as the judge is to see them.
        notes: by sample index, what was changed in an answer.
    """
    calls = []
    for sample, text in texts:
        for round_ in range(1, protocol.rounds + 1):
            for question in protocol.questions(sample.task):
                prompt = protocol.prompt(sample.task, question.name, text, sample.description or "")
                allowed = {name: dimension_scores(sample.task, name) for name in question.dimensions}
                key = call_key(protocol, judge, allowed, sha256_text(prompt), round_)
                note = notes.get(sample.index)
                calls.append(Call(key, sample.index, sample.task, prompt, allowed, round_, question.structured, note))
    return calls


def assembled(
    samples: Sequence[Sample], reasons: Mapping[str, str], calls: Sequence[Call], outcomes: Mapping[str, Outcome]
) -> list[JudgedSample]:
    """The samples with their verdicts, in their order.

    Of several rounds the mean counts, and only where every round gave a score: a mean over the rounds that
    happened to succeed would be another measure.

    Args:
        samples: in the order wanted.
        reasons: why a sample was not put to the judge, by index.
        calls: all calls of the samples.
        outcomes: by call key, one for every key.
    """
    counted: set[str] = set()
    rounds: dict[str, dict[str, dict[str, Verdict]]] = {}
    for call in calls:
        outcome = outcomes[call.key]
        for dimension in call.allowed:
            verdict = _verdict(call, dimension, outcome)
            if call.key in counted:
                verdict = replace(verdict, asks=0, prompt_tokens=0, completion_tokens=0)
            counted.add(call.key)
            rounds.setdefault(call.index, {}).setdefault(dimension, {})[str(call.round)] = verdict
    judged = []
    for sample in samples:
        if sample.index in reasons:
            judged.append(JudgedSample(sample.index, {}, reasons[sample.index]))
            continue
        of_sample = rounds[sample.index]
        judged.append(JudgedSample(sample.index, {name: _mean(of_sample[name]) for name in DIMENSIONS}))
    return judged


def combined(dimension: str, parts: Mapping[str, Verdict], score: float | None, reason: str | None) -> Verdict:
    """The verdict over several verdicts on one dimension; what they took is summed."""
    first = next(iter(parts.values()))
    return Verdict(
        dimension,
        score,
        reason,
        reply="",
        prompt_sha256=first.prompt_sha256,
        judge=", ".join(dict.fromkeys(part.judge for part in parts.values())),
        asks=sum(part.asks for part in parts.values()),
        prompt_tokens=sum(part.prompt_tokens for part in parts.values()),
        completion_tokens=sum(part.completion_tokens for part in parts.values()),
        note=next((part.note for part in parts.values() if part.note), None),
        parts=dict(parts),
        from_cache=all(part.from_cache for part in parts.values()),
    )


def _verdict(call: Call, dimension: str, outcome: Outcome) -> Verdict:
    found = outcome.judgement
    score = found.scores.get(dimension) if found else None
    if score not in call.allowed[dimension]:
        score = None
    return Verdict(
        dimension,
        score,
        None if score is not None else outcome.reason,
        reply=found.reply if found else "",
        prompt_sha256=sha256_text(call.prompt),
        judge=found.judge if found else "",
        asks=found.asks if found else 0,
        prompt_tokens=found.prompt_tokens if found else 0,
        completion_tokens=found.completion_tokens if found else 0,
        explanation=found.explanations.get(dimension) if found else None,
        note=call.note,
        from_cache=outcome.from_cache,
    )


def _mean(rounds: Mapping[str, Verdict]) -> Verdict:
    verdicts = list(rounds.values())
    if len(verdicts) == 1:
        return verdicts[0]
    failed = next(((number, one.reason) for number, one in rounds.items() if one.score is None), None)
    score = None if failed else fmean(one.score for one in verdicts if one.score is not None)
    return combined(verdicts[0].dimension, rounds, score, f"round {failed[0]}: {failed[1]}" if failed else None)
