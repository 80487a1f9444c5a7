"""Judge calls: which ones some predictions take, under which key a reply is kept, and which verdicts it holds. All is
pure: nothing here asks a judge or keeps anything, and verdicts are read from raw replies each time."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import fmean

from medqbench_vlmeval.answers.plain import split_thoughts
from medqbench_vlmeval.benchmark import DIMENSIONS, dimension_scores
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.delimit import speaks_to_grader
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.protocols import CHOICE, JOINT, Protocol, Schema, joint_schema, number_of, options_text
from medqbench_vlmeval.judge.replies import Reading, read_reply
from medqbench_vlmeval.judge.tokens import cut_answer, fewest_tokens
from medqbench_vlmeval.provenance import JudgeSettings
from medqbench_vlmeval.types import Judged, Prediction, PredictionStatus, Sample, Verdict

KEY_LENGTH = 40
# How often a call is asked until its reply holds a verdict.
MAX_ASKS = 3

# A server that counts only what it did not have in its cache counts a few, or all but the common beginning of prompts
# (640 tokens at most): no such count lies above this and below half of the words.
_FEWEST_OF_A_CUT = 400

INFERENCE_FAILED = "inference failed"
PREDICTION_MISSING = "prediction missing"
NO_REFERENCE_TEXT = "the sample has no reference text"

# Endings of replies that no server has a word for.
REASONED = "reasoning only"
REFUSED = "refusal in the place of a reply"
_FILTERED = re.compile(r"filter|safe|recit|block|prohib|spii|sensitive|guard|language|refus|toxic", re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """One question for a judge. ``key`` is the hash of all that decides the reply (see :func:`plan_calls`); calls of
    one key are asked once. ``allowed`` maps the dimensions that the reply is to score to the scores that they may have.
    ``note`` says what was changed in the answer, and whether it speaks to the grader."""

    key: str
    index: str
    prompt: str
    allowed: Mapping[str, tuple[int, ...]]
    round: int = 1
    note: str | None = None

    @property
    def schema(self) -> Schema | None:
        """The JSON schema of a reply that scores several dimensions in one object, None for a reply in words."""
        return joint_schema(self.allowed) if len(self.allowed) > 1 else None


@dataclass(frozen=True)
class Reply:
    """What a judge said to one call: what the cache keeps. ``texts`` has a reply an ask, None for no chat completion;
    ``served_as`` is the server's name for the model or '', tokens its count over all asks or 0. ``endings`` are its
    words for how each text was cut off, '' for a whole one; whole ones at the end may be left out."""

    texts: tuple[str | None, ...] = ()
    served_as: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    endings: tuple[str, ...] = ()

    def and_then(self, later: Reply) -> Reply:
        """This reply and what was said after it."""
        before = len(self.texts) if later.endings else len(self.endings)
        return Reply(
            self.texts + later.texts,
            later.served_as,
            self.prompt_tokens + later.prompt_tokens,
            self.completion_tokens + later.completion_tokens,
            (*self.endings, *[""] * (before - len(self.endings)), *later.endings),
        )


@dataclass(frozen=True)
class Progress:
    """How far a judge is: calls ``done`` (answered, failed or in the cache) of ``total``, those put to ``model`` in
    this run with their tokens, and those without a verdict. ``cost_usd`` is of all models of this run, or None."""

    done: int
    total: int
    asked: int
    prompt_tokens: int
    completion_tokens: int
    model: str
    failed: int = 0
    cost_usd: float | None = None


OnProgress = Callable[[Progress], None]


class Judge(typing.Protocol):
    """Scores reasoning predictions against their references, four verdicts a sample."""

    name: str  # as the user named it
    protocol: str  # the name of the one that it follows

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """How many calls, or embedded verdicts, judging these takes: the total that progress counts up to."""

    def judge(
        self, samples: Sequence[Sample], predictions: Sequence[Prediction], on_progress: OnProgress | None = None
    ) -> list[Judged]:
        """Judge the predictions of reasoning samples with unique indexes, joined by index: a record a sample, in the
        samples' order. Empty replies are judged; failed and missing ones are not. ``on_progress`` is called in the
        caller's thread. Raises JudgeError where the judge cannot be asked at all."""

    def describe(self) -> JudgeSettings:
        """The judge with its protocol as a result names them; its server's name is known after the first reply."""


def texts_to_judge(
    samples: Sequence[Sample], predictions: Iterable[Prediction]
) -> tuple[list[tuple[Sample, str]], dict[str, str]]:
    """Which samples are put to a judge, with the model's reply, and why the others are not (by index)."""
    by_index = {prediction.index: prediction for prediction in predictions}
    texts: list[tuple[Sample, str]] = []
    reasons: dict[str, str] = {}
    for sample in samples:
        prediction = by_index.get(sample.index)
        if prediction is None or prediction.status is PredictionStatus.MISSING:
            reasons[sample.index] = PREDICTION_MISSING
        elif prediction.status is PredictionStatus.INFERENCE_FAILED:
            reasons[sample.index] = INFERENCE_FAILED
        elif not (sample.description or "").strip():
            reasons[sample.index] = NO_REFERENCE_TEXT
        else:
            texts.append((sample, prediction.text))
    return texts, reasons


def _answer_alone(sample: Sample, text: str, options: JudgeOptions) -> tuple[str, str | None]:
    """The answer that the judge reads, and a note on what was cut of it and whether it speaks to the grader."""
    # A thought that was never closed leaves what stood before it.
    answer, thoughts = split_thoughts(text)
    cut = None
    # An extractor may still find a letter at the end of thoughts that nothing follows.
    if thoughts is None or (sample.options and not answer.strip()):
        answer = text
    else:
        answer = answer.strip()
        cut = f"thoughts of {len(text) - len(answer):,} characters cut"
    # Never a reason for another score: a reader of the results decides.
    words = speaks_to_grader(answer)
    answer, shortened = cut_answer(answer, options.max_answer_tokens, options.name)
    notes = (cut, shortened, words and f"the answer speaks to the grader: '{words}'")
    return answer, "; ".join(filter(None, notes)) or None


def plan_calls(protocol: Protocol, options: JudgeOptions, texts: Sequence[tuple[Sample, str]]) -> list[Call]:
    """All calls for some replies, sample by sample, a round's questions together. A call's key hashes the protocol's
    family ('official-5' shares the first round of 'official'), version and templates, the judge's name and parameters,
    dimensions, prompt and round; not where the judge is served, how fast it is asked or with which key."""
    judge = {"name": options.asked_as, "parameters": options.keyed}
    shared = [protocol.family, protocol.version, protocol.sha256, judge]
    calls = []
    for sample, text in texts:
        answer, note = _answer_alone(sample, text, options)
        for round_ in range(1, protocol.rounds + 1):
            for question in protocol.questions(sample.task):
                reference, allowed = _asked_about(sample, question)
                prompt = protocol.prompt(sample.task, question, answer, reference)
                parts = [*shared, sorted(allowed), sha256_text(prompt), round_]
                key = sha256_text(json.dumps(parts, sort_keys=True))[:KEY_LENGTH]
                calls.append(Call(key, sample.index, prompt, allowed, round_, note))
    return calls


def _asked_about(sample: Sample, question: str) -> tuple[str, dict[str, tuple[int, ...]]]:
    """What a question holds an answer against, and the scores that its dimensions may have."""
    if question == CHOICE:
        return options_text(sample.options), {CHOICE: (0, *map(number_of, sample.options))}
    dimensions = DIMENSIONS if question == JOINT else (question,)
    return sample.description or "", {name: dimension_scores(sample.task, name) for name in dimensions}


def verdicts_of(
    call: Call, reply: Reply, failure: str | None = None, *, from_cache: bool = False
) -> dict[str, Verdict]:
    """The verdict on each dimension of a call. Texts are read in their order until every dimension has a score that it
    may have. Nothing is read from a text that was cut off, whose end might have said something else, nor where the
    server cut the prompt. ``failure`` is why nothing more was said."""
    scores: dict[str, int] = {}
    explanations: dict[str, str] = {}
    reason: str | None = None
    for text, ending in zip_longest(reply.texts, reply.endings[: len(reply.texts)]):
        cut_off = Reading(reason=_why_cut(ending, text or "")) if ending else None
        reading = cut_off or read_reply(text, call.allowed, call.prompt)
        scores |= reading.scores
        explanations |= reading.explanations
        reason = reading.reason
        if len(scores) == len(call.allowed):
            break
    if failure is None and len(reply.texts) >= MAX_ASKS:
        reason = f"{reason} after {len(reply.texts)} asks"
    if cut := prompt_cut(call, reply):
        scores, reason = {}, cut
    last = next((text for text in reversed(reply.texts) if text is not None), "")
    digest = sha256_text(call.prompt)
    return {
        dimension: Verdict(
            dimension,
            scores.get(dimension),
            None if dimension in scores else failure or reason,
            reply=last,
            prompt_sha256=digest,
            judge=reply.served_as,
            asks=len(reply.texts),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            explanation=explanations.get(dimension),
            note=call.note,
            from_cache=from_cache,
        )
        for dimension in call.allowed
    }


def prompt_cut(call: Call, reply: Reply) -> str | None:
    """That the server cut the prompt, as its count of the prompt's tokens tells; None where it does not tell that."""
    counted = reply.prompt_tokens // max(1, min(len(reply.texts), 2))
    # Half of the words are fewer than a quarter of the characters.
    if not _FEWEST_OF_A_CUT <= counted < len(call.prompt) / 4:
        return None
    fewest = fewest_tokens(call.prompt)
    if counted >= fewest / 2:
        return None
    return (
        f"the server read {counted:,} tokens of a prompt of {fewest:,} or more and cut the rest; raise its context "
        "(num_ctx, --ctx-size, --max-model-len), or lower max_answer_tokens with --judge-args"
    )


def _why_cut(ending: str, text: str) -> str:
    """Why nothing is read from a text that ended so, and what helps."""
    raise_it = "raise max_tokens with --judge-args"
    if ending == REFUSED:
        return f"the judge refused: '{' '.join(text.split())[:100]}'"
    if ending == REASONED:
        return f"the judge's reply is empty, all of its tokens went into reasoning; {raise_it}, or have it reason less"
    if _FILTERED.search(ending):
        return f"the server's filter cut the judge's reply off (finish_reason '{ending}'); another judge may not"
    return f"the judge's reply was cut off at its most tokens (finish_reason '{ending}'); {raise_it}"


def is_complete(verdicts: Mapping[str, Verdict]) -> bool:
    """Whether every dimension has a score."""
    return all(verdict.score is not None for verdict in verdicts.values())


def kept_verdicts(call: Call, reply: Reply | None) -> dict[str, Verdict]:
    """The verdicts in a reply that the cache keeps; none where one is missing."""
    verdicts = {} if reply is None else verdicts_of(call, reply, from_cache=True)
    return verdicts if is_complete(verdicts) else {}


def counted_once(
    calls: Iterable[Call], verdicts: Mapping[str, Mapping[str, Verdict]]
) -> Iterator[tuple[Call, Verdict]]:
    """The verdicts of calls (by call key and dimension) with the calls' notes; what a call took is in the first verdict
    of its key alone."""
    counted: set[str] = set()
    for call in calls:
        for verdict in verdicts[call.key].values():
            noted = replace(verdict, note=call.note)
            yield call, replace(noted, asks=0, prompt_tokens=0, completion_tokens=0) if call.key in counted else noted
            counted.add(call.key)


def assemble(
    samples: Sequence[Sample],
    reasons: Mapping[str, str],
    calls: Sequence[Call],
    verdicts: Mapping[str, Mapping[str, Verdict]],
) -> list[Judged]:
    """The samples with their verdicts (by call key and dimension), of rounds the mean, or the reason for none."""
    rounds: dict[str, dict[str, dict[str, Verdict]]] = {}
    for call, verdict in counted_once(calls, verdicts):
        rounds.setdefault(call.index, {}).setdefault(verdict.dimension, {})[str(call.round)] = verdict
    combined = {index: {name: combine(of[name], fmean, "round ") for name in of} for index, of in rounds.items()}
    return [Judged(sample.index, combined.get(sample.index, {}), reasons.get(sample.index)) for sample in samples]


def combine(parts: Mapping[str, Verdict], average: Callable[[Sequence[float]], float], each: str = "") -> Verdict:
    """The verdict over several on one dimension, by round or judge; one alone stands as it is. It has a score where
    each part has one: the average over those that happened to succeed would be another measure. What the parts took
    is summed. ``each`` stands before a part's name in a reason."""
    verdicts = list(parts.values())
    if len(verdicts) == 1:
        return verdicts[0]
    failed = (f"{each}{name}: {verdict.reason}" for name, verdict in parts.items() if verdict.score is None)
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    return Verdict(
        verdicts[0].dimension,
        average(scores) if len(scores) == len(parts) else None,
        next(failed, None),
        reply="",
        prompt_sha256=verdicts[0].prompt_sha256,
        judge=", ".join(dict.fromkeys(verdict.judge for verdict in verdicts)),
        asks=sum(verdict.asks for verdict in verdicts),
        prompt_tokens=sum(verdict.prompt_tokens for verdict in verdicts),
        completion_tokens=sum(verdict.completion_tokens for verdict in verdicts),
        note=next((verdict.note for verdict in verdicts if verdict.note), None),
        parts=dict(parts),
        from_cache=all(verdict.from_cache for verdict in verdicts),
    )
