"""Judge calls: which ones some predictions take, under which key a reply is kept, and which verdicts it holds.

All of it is pure: nothing here asks a judge or keeps anything. Verdicts are read from raw replies each time, whether
they have just come or were kept long ago.
"""

from __future__ import annotations

import json
import math
import re
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from medqbench_vlmeval.answers.plain import plain_verdict, spoken_text, without_quotations, without_thoughts
from medqbench_vlmeval.benchmark import DIMENSIONS, dimension_scores
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.protocols import (
    CHOICE,
    JOINT,
    Protocol,
    Schema,
    allowed_numbers,
    joint_schema,
    number_of,
    options_text,
    shown,
)
from medqbench_vlmeval.judge.verdict import parse_score
from medqbench_vlmeval.types import Judged, JudgeSettings, Prediction, PredictionStatus, Sample, Verdict

KEY_LENGTH = 40
# How often a call is asked until its reply holds a verdict.
MAX_ASKS = 3

INFERENCE_FAILED = "inference failed"
PREDICTION_MISSING = "prediction missing"
NO_REFERENCE_TEXT = "the sample has no reference text"
NO_COMPLETION = "the server's reply is no chat completion"
EMPTY = "the judge's reply is empty"
NO_VERDICT = "no verdict in the judge's reply"
EMPTY_EXTRACTION = "the extractor's reply is empty"
NO_LETTER = "no valid last line in the extractor's reply"

# The line that ends an extractor's reply.
_LABELLED = re.compile(
    r"[\s:(#-]{0,8}(?:(?:my|the) )?(?:final )?answer\s?(?:is\b|:)[\s:]{0,8}(?P<said>.*)", re.IGNORECASE
)
# As they look without markup: '<|im_end|>' has become '<:im_end:>'.
_TOKENS = r"(?:</[a-z]{1,10}>\s?|<:\w{1,40}:>\s?|<(?:eos|im_end|end_of_turn)>\s?){0,3}"
_SAID = re.compile(
    rf"\s?(?:boxed: )?[\s:(]{{0,4}}(?:option )?(?P<said>[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}", re.IGNORECASE | re.ASCII
)
_QUOTED_LINES = re.compile(r'"[^"]*"|“[^”]*”|```[^`]*```')
_BARE = re.compile(rf"\s?(?:boxed: )?[\s:(]{{0,4}}(?:[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}")

# Objects are looked for at so many opening braces of a kind, the last ones of a reply: each may take a look at the
# whole rest of it.
_MOST_OBJECTS = 50
_BRACE = re.compile(r"\{")
# Inside of a JSON string a quote is escaped: no sentence of a judge's, whatever it quotes, holds this.
_SPEAKING_BRACE = re.compile(rf'\{{\s{{0,50}}"\s{{0,5}}(?:{"|".join(DIMENSIONS).replace("_", "[ _]")})', re.IGNORECASE)
# Keys behind an object are those of another one, which was not closed around it or not understood.
_GOES_ON = re.compile(rf'"(?:score|{"|".join(DIMENSIONS).replace("_", "[ _]")})"\s{{0,5}}:', re.IGNORECASE)
_REASON = re.compile(r'"reason"\s{0,5}:\s{0,5}"', re.IGNORECASE)
_SCORE_KEY = re.compile(r'"score"\s{0,5}:', re.IGNORECASE)
_SCORE_TEXT = re.compile(r"\s*([012])(?:\.0{1,20})?\s*")
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Call:
    """One question for a judge.

    ``key`` is the hash of all that decides the reply (see :func:`plan_calls`); calls of one key are asked once.
    ``allowed`` maps the dimensions that the reply is to score to the scores that they may have. ``note`` says what
    was changed in the answer.
    """

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
    """What a judge said to one call: what the cache keeps.

    ``texts`` are its replies in their order, several where it was asked again; None stands for a server's answer that
    was no chat completion. ``served_as`` is the model's name as the server gave it. Tokens are what the server counted
    over all asks, 0 where it did not say.
    """

    texts: tuple[str | None, ...] = ()
    served_as: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def and_then(self, later: Reply) -> Reply:
        """This reply and what was said after it."""
        return Reply(
            self.texts + later.texts,
            later.served_as,
            self.prompt_tokens + later.prompt_tokens,
            self.completion_tokens + later.completion_tokens,
        )


@dataclass(frozen=True)
class Progress:
    """How far a judge is: calls ``done`` (answered, failed or found in the cache) of ``total``, how many of them
    were put to ``model`` in this run, and the tokens that the server counted for these."""

    done: int
    total: int
    asked: int
    prompt_tokens: int
    completion_tokens: int
    model: str


OnProgress = Callable[[Progress], None]


class Judge(typing.Protocol):
    """Scores reasoning predictions against their references, four verdicts a sample."""

    @property
    def name(self) -> str:
        """The judge as the user named it."""

    @property
    def protocol(self) -> str:
        """The name of the protocol it follows."""

    def n_calls(self, samples: Sequence[Sample], predictions: Sequence[Prediction]) -> int:
        """How many calls, or embedded verdicts, judging these takes: the total that progress counts up to."""

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_progress: OnProgress | None = None,
    ) -> list[Judged]:
        """Judge each sample's prediction.

        Args:
            samples: reasoning samples with unique indexes.
            predictions: joined to the samples by index, in any order.
            on_progress: told how far the judge is, in the caller's thread.

        Returns:
            One record a sample, in the samples' order. Empty replies are judged; failed and missing ones are not.

        Raises:
            JudgeError: the judge cannot be asked at all.
        """

    def describe(self) -> JudgeSettings:
        """The judge with its protocol as a result names them; what its server called itself is known after the first
        reply."""


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
        elif sample.description is None or not sample.description.strip():
            reasons[sample.index] = NO_REFERENCE_TEXT
        else:
            texts.append((sample, prediction.text))
    return texts, reasons


def plan_calls(
    protocol: Protocol, options: JudgeOptions, texts: Sequence[tuple[Sample, str]], notes: Mapping[str, str]
) -> list[Call]:
    """All calls for some answers, sample by sample, a round's questions together.

    The protocol's family (rounds left out, so that 'official' and 'official-5' share their first), its version and
    the hash of its templates, the judge's name and parameters, dimensions, prompt and round decide a call's key; where
    the judge is served, how fast it is asked and with which key do not.

    Args:
        protocol: whose questions are asked.
        options: the judge that is asked.
        texts: samples with the answers as the judge is to see them.
        notes: by sample index, what was changed in an answer.
    """
    judge = {"name": options.asked_as, "parameters": options.parameters}
    whose = [protocol.family, protocol.version, protocol.sha256, judge]
    calls = []
    for sample, text in texts:
        for round_ in range(1, protocol.rounds + 1):
            for question in protocol.templates[sample.task]:
                reference, allowed = _asked_about(sample, question)
                prompt = protocol.prompt(sample.task, question, text, reference)
                parts = [*whose, sorted(allowed), sha256_text(prompt), round_]
                key = sha256_text(json.dumps(parts, sort_keys=True))[:KEY_LENGTH]
                calls.append(Call(key, sample.index, prompt, allowed, round_, notes.get(sample.index)))
    return calls


def _asked_about(sample: Sample, question: str) -> tuple[str, dict[str, tuple[int, ...]]]:
    """What a question holds an answer against, and the scores that its dimensions may have."""
    if question == CHOICE:
        return options_text(sample.options), {CHOICE: allowed_numbers(sample.options)}
    dimensions = DIMENSIONS if question == JOINT else (question,)
    return sample.description or "", {name: dimension_scores(sample.task, name) for name in dimensions}


def verdicts_of(
    call: Call, reply: Reply, failure: str | None = None, *, from_cache: bool = False
) -> dict[str, Verdict]:
    """The verdict on each dimension of a call.

    Texts are read in their order until every dimension has a score that it may have: what one leaves open, a later one
    may give.

    Args:
        call: what was asked.
        reply: all that was said to it.
        failure: why nothing more was said.
        from_cache: nothing was paid for it in this run.
    """
    scores: dict[str, int] = {}
    explanations: dict[str, str] = {}
    reason: str | None = None
    for text in reply.texts:
        reading = _read_text(text, call)
        scores |= reading.scores
        explanations |= reading.explanations
        reason = reading.reason
        if len(scores) == len(call.allowed):
            break
    if failure is None and len(reply.texts) >= MAX_ASKS:
        reason = f"{reason} after {len(reply.texts)} asks"
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
    """The verdicts of calls with the calls' notes; what a call took is in the first verdict of its key alone.

    Args:
        calls: in the order wanted.
        verdicts: by call key and dimension.
    """
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
    """The samples with their verdicts, in their order; of several rounds the mean.

    Args:
        samples: in the order wanted.
        reasons: why a sample was not put to the judge, by index.
        calls: all calls of the samples.
        verdicts: by call key and dimension.
    """
    rounds: dict[str, dict[str, dict[str, Verdict]]] = {}
    for call, verdict in counted_once(calls, verdicts):
        rounds.setdefault(call.index, {}).setdefault(verdict.dimension, {})[str(call.round)] = verdict
    return [
        Judged(sample.index, {}, reasons[sample.index])
        if sample.index in reasons
        else Judged(sample.index, {name: combine(rounds[sample.index][name], fmean, "round ") for name in DIMENSIONS})
        for sample in samples
    ]


def combine(parts: Mapping[str, Verdict], average: Callable[[Sequence[float]], float], each: str = "") -> Verdict:
    """The verdict over several verdicts on one dimension, of which one alone stands as it is.

    It has a score where each part has one: the average over those that happened to succeed would be another measure.
    What the parts took is summed.

    Args:
        parts: by the round's number or the judge's name.
        average: of their scores.
        each: what a reason says before that number or name.
    """
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


@dataclass(frozen=True)
class _Reading:
    """What one text says: allowed scores by dimension, sentences on them, and why some are missing."""

    scores: Mapping[str, int] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def _read_text(text: str | None, call: Call) -> _Reading:
    if text is None:
        return _Reading(reason=NO_COMPLETION)
    if not text.strip():
        return _Reading(reason=EMPTY_EXTRACTION if CHOICE in call.allowed else EMPTY)
    if len(call.allowed) > 1:
        return _read_object(text, call.allowed)
    ((dimension, allowed),) = call.allowed.items()
    if dimension == CHOICE:
        return _read_choice(text, allowed)
    score = parse_score(text)
    if score is None:
        return _Reading(reason=NO_VERDICT)
    if score not in allowed:
        return _Reading(reason=_not_allowed(score, allowed))
    return _Reading({dimension: score})


def _not_allowed(score: int, allowed: Sequence[int]) -> str:
    shown_score = str(score) if abs(score) < 10**_LONGEST_NUMBER else f"of more than {_LONGEST_NUMBER} digits"
    return f"the judge's verdict {shown_score} is not one of {', '.join(map(str, allowed))}"


def _read_choice(reply: str, allowed: Sequence[int]) -> _Reading:
    said = parse_choice(reply)
    if said is None:
        return _Reading(reason=NO_LETTER)
    number = number_of(said)
    if number not in allowed:
        return _Reading(reason=f"the extractor's answer {said} is not one of {shown(allowed)}")
    return _Reading({CHOICE: number})


def _read_object(reply: str, allowed: Mapping[str, Sequence[int]]) -> _Reading:
    """The last JSON object of a reply that speaks of any of the dimensions.

    None counts where that one stands inside of a line and another, at the beginning of one, says something else; nor
    where it stands inside of a sentence of an object that is broken or cut off.
    """
    text = _spoken(reply)
    speaking = ((start, end, said) for start, end, said in _objects(text) if set(said) & set(allowed))
    start, end, said = next(speaking, (0, 0, {}))
    if not said or _GOES_ON.search(text, end) or _in_sentence(text, start):
        return _Reading(reason=NO_VERDICT)
    reading = _read_entries(said, allowed)
    if not _begins_line(text, start):
        own = next((said for at, _, said in speaking if _begins_line(text, at)), said)
        if _read_entries(own, allowed).scores != reading.scores:
            return _Reading(reason=NO_VERDICT)
    return reading


def _read_entries(said: Mapping[str, Any], allowed: Mapping[str, Sequence[int]]) -> _Reading:
    scores, explanations, wrong = {}, {}, []
    for dimension, values in allowed.items():
        entry = said.get(dimension)
        score = _number(entry.get("score") if isinstance(entry, dict) else entry)
        if isinstance(entry, dict) and isinstance(entry.get("reason"), str):
            explanations[dimension] = _sendable(entry["reason"])
        if score is None:
            wrong.append(f"no verdict on {dimension}")
        elif score not in values:
            wrong.append(f"{dimension}: {_not_allowed(score, values)}")
        else:
            scores[dimension] = score
    return _Reading(scores, explanations, "; ".join(wrong) or None)


def _in_sentence(text: str, at: int) -> bool:
    """Whether the last reason that begins before a place has not ended there: no score has followed it."""
    begun = max((found.end() for found in _REASON.finditer(text, 0, at)), default=None)
    return begun is not None and not _SCORE_KEY.search(text, begun, at)


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip(" \t`json")


def _spoken(reply: str) -> str:
    """The reply without what was thought aloud. An object that is all of the reply has no thoughts around it, and
    a tag in one of its sentences is only spoken about."""
    body = re.sub(r"^```[a-zA-Z]{0,10}", "", reply.strip()).removesuffix("```").strip()
    try:
        if isinstance(json.loads(body), dict):
            return body
    except (ValueError, RecursionError):
        pass
    return without_thoughts(reply) or ""


def _number(value: Any) -> int | None:
    """A whole number, also written as 2.0 or '2'; true and false are none."""
    if isinstance(value, str) and (written := _SCORE_TEXT.fullmatch(value)):
        return int(written[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _objects(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """JSON objects in a text with their places, keys as names of dimensions are written, the last first; one inside
    another comes after it."""
    decoder = json.JSONDecoder()
    kinds = (_BRACE, _SPEAKING_BRACE)
    starts = {at for brace in kinds for at in deque((found.start() for found in brace.finditer(text)), _MOST_OBJECTS)}
    ends: list[tuple[int, int, dict[str, Any]]] = []
    for start in starts:
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            ends.append((end, -start, found))
    for end, before, found in sorted(ends, key=lambda one: one[:2], reverse=True):
        yield -before, end, {_name(key): value for key, value in found.items()}


def _name(key: str) -> str:
    return key.strip().lower().replace(" ", "_")


def _sendable(text: str) -> str:
    """Lone surrogates, which no file can hold, become question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def parse_choice(reply: str) -> str | None:
    """The letter that a reply names in its last line, in upper case, or 'NONE'; None where there is no valid one.

    Args:
        reply: the extractor's reply, of any length.
    """
    spoken = spoken_text(reply)
    if spoken is None:
        return None
    said = _last(plain_verdict(spoken))
    if said is None:
        return None
    # What a quotation says last is the words of somebody else where the extractor's own are others.
    own = _last(plain_verdict(_QUOTED_LINES.sub(" ", without_quotations(spoken))))
    found = _valid(said)
    return found if own is None or not re.search(r"\w", own) or _valid(own) == found else None


def _last(text: str) -> str | None:
    """What the last answer line holds behind its label, None where there is no such line."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return None
    if _BARE.fullmatch(lines[-1]):
        return lines[-1]
    labelled = next((found for line in reversed(lines) if (found := _LABELLED.fullmatch(line))), None)
    return labelled["said"] if labelled else None


def _valid(said: str) -> str | None:
    found = _SAID.fullmatch(said)
    return found["said"].upper() if found else None
