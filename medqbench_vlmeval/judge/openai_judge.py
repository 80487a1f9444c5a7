"""The judge behind an OpenAI-compatible endpoint.

One call a sample and dimension, ``nproc`` of them in flight. A reply without a verdict that the dimension
allows is asked about again in the same conversation, at most twice; what is still unclear stays unscored with
its reason. What cannot heal (a refused key, an unknown model, no server) stops the run with a JudgeError;
other failures, after the SDK's retries with backoff, leave their one verdict unscored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import failures
from medqbench_vlmeval.judge.background import emitted
from medqbench_vlmeval.judge.interface import Known, OnProgress, OnVerdict, texts_to_judge
from medqbench_vlmeval.judge.options import JudgeOptions, shown_extra, shown_url
from medqbench_vlmeval.judge.protocol import Protocol
from medqbench_vlmeval.judge.verdict import parse_score
from medqbench_vlmeval.records import JudgedSample, Prediction, Sample, Verdict
from medqbench_vlmeval.tasks import DIMENSIONS, Task, dimension_scores

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_ASKS = 3
_REPEATED_REPLY = 4000
_LOGGERS = ("httpx", "httpx2", "openai")


@dataclass(frozen=True)
class _Call:
    """One question for the judge."""

    index: str
    dimension: str
    prompt: str
    allowed: tuple[int, ...]


@dataclass(frozen=True)
class _Answer:
    """One reply of the server; ``reply`` is None where it was no chat completion."""

    reply: str | None
    served_as: str
    prompt_tokens: int
    completion_tokens: int


class _Unanswered(Exception):
    """A call failed for good; its text is the reason."""


class OpenAIJudge:
    """A model behind an OpenAI-compatible endpoint, asked by a protocol."""

    def __init__(self, options: JudgeOptions, protocol: Protocol) -> None:
        self.options = options
        self._protocol = protocol
        self._served_as: set[str] = set()

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def protocol(self) -> str:
        return self._protocol.name

    def describe(self, task: Task) -> dict[str, Any]:  # noqa: ARG002  # one protocol covers all tasks
        """The settings of a result. ``served_as`` is what the server called itself, None before the first call."""
        options = self.options
        return {
            "protocol": {
                "name": self._protocol.name,
                "version": self._protocol.version,
                "sha256": self._protocol.sha256,
            },
            "judge": {
                "name": options.name,
                "served_as": ", ".join(sorted(self._served_as)) or None,
                "base_url": shown_url(options.endpoint()),
                "parameters": {
                    "temperature": options.temperature,
                    "max_tokens": options.max_tokens,
                    **({"extra": shown_extra(options.extra)} if options.extra else {}),
                },
            },
        }

    def judge(
        self,
        samples: Sequence[Sample],
        predictions: Sequence[Prediction],
        on_verdict: OnVerdict | None = None,
        on_progress: OnProgress | None = None,
        known: Known | None = None,
    ) -> list[JudgedSample]:
        """Judge each sample's prediction (see ``interface.Judge.judge``).

        Raises:
            JudgeError: no key, no server, or a server that refuses; verdicts that came before went to
                ``on_verdict``.
            KeyboardInterrupt: calls in flight are cancelled first.
        """
        texts, reasons = texts_to_judge(samples, predictions)
        total = len(texts) * len(DIMENSIONS)
        verdicts: dict[str, dict[str, Verdict]] = {sample.index: {} for sample, _ in texts}
        # Equal prompts (a model that always says the same) are asked about once, for all of their samples.
        groups: dict[tuple[str, tuple[int, ...]], list[_Call]] = {}
        for call in self._calls(texts):
            earlier = known(sha256_text(call.prompt)) if known else None
            if earlier is not None and earlier.score in call.allowed:
                self._served_as.add(earlier.judge)
                verdicts[call.index][call.dimension] = replace(earlier, dimension=call.dimension)
            else:
                groups.setdefault((call.prompt, call.allowed), []).append(call)
        if groups:
            asked = {(group[0].index, group[0].dimension): group for group in groups.values()}
            run = _Run(self.options, [group[0] for group in groups.values()])
            left_over = (lambda found: on_verdict(*found)) if on_verdict else None
            with _quiet_loggers(), closing(emitted(run.work, left_over)) as finished:
                done = total - sum(map(len, groups.values()))
                for index, verdict in finished:
                    group = asked[index, verdict.dimension]
                    unpaid = replace(verdict, asks=0, prompt_tokens=0, completion_tokens=0)
                    for twin in group[1:]:
                        verdicts[twin.index][twin.dimension] = replace(unpaid, dimension=twin.dimension)
                    done += len(group)
                    if verdict.reply:
                        self._served_as.add(verdict.judge)
                    verdicts[index][verdict.dimension] = verdict
                    if on_verdict:
                        on_verdict(index, verdict)
                    if on_progress:
                        on_progress(done, total)
        return [
            JudgedSample(sample.index, {}, reasons[sample.index])
            if sample.index in reasons
            else JudgedSample(sample.index, {name: verdicts[sample.index][name] for name in DIMENSIONS})
            for sample in samples
        ]

    def _calls(self, texts: Sequence[tuple[Sample, str]]) -> Iterator[_Call]:
        for sample, text in texts:
            for dimension in DIMENSIONS:
                prompt = self._protocol.prompt(sample.task, dimension, text, sample.description or "")
                yield _Call(sample.index, dimension, prompt, dimension_scores(sample.task, dimension))


class _Run:
    """The calls of one ``judge``: ``nproc`` workers that take from one iterator."""

    def __init__(self, options: JudgeOptions, calls: Sequence[_Call]) -> None:
        self._options = options
        self._calls = iter(calls)
        self._key = options.secret()
        self._workers = min(options.nproc, len(calls))
        self._answered = False
        self._failed_connections = 0

    async def work(self, emit: Callable[[tuple[str, Verdict]], None]) -> None:
        from openai import AsyncOpenAI

        options = self._options
        async with AsyncOpenAI(
            api_key=self._key, base_url=options.endpoint(), max_retries=options.retry, timeout=options.timeout
        ) as client:
            workers = [asyncio.create_task(self._worker(client, emit)) for _ in range(self._workers)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _worker(self, client: AsyncOpenAI, emit: Callable[[tuple[str, Verdict]], None]) -> None:
        # The iterator is shared: next() and await never overlap within one loop.
        for call in self._calls:
            emit((call.index, await self._verdict(client, call)))

    async def _verdict(self, client: AsyncOpenAI, call: _Call) -> Verdict:
        answers: list[_Answer] = []
        messages = [{"role": "user", "content": call.prompt}]
        score, reason, asks = None, None, 0
        while score is None and asks < MAX_ASKS:
            asks += 1
            try:
                answers.append(await self._ask(client, messages))
            except _Unanswered as failure:
                reason = str(failure)
                break
            score, reason = _read(answers[-1].reply, call.allowed)
            messages = _asked_again(call, answers[-1].reply)
        if score is None and asks == MAX_ASKS:
            reason = f"{reason} after {MAX_ASKS} asks"
        return Verdict(
            call.dimension,
            score,
            None if score is not None else reason,
            reply=next((answer.reply for answer in reversed(answers) if answer.reply is not None), ""),
            prompt_sha256=sha256_text(call.prompt),
            judge=answers[-1].served_as if answers else self._options.name,
            asks=asks,
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
        )

    async def _ask(self, client: AsyncOpenAI, messages: list[dict[str, str]]) -> _Answer:
        """Put one question.

        Raises:
            JudgeError: the server refuses every call, or there is none.
            _Unanswered: this call failed.
        """
        import openai

        options = self._options
        settings = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        body = {
            "model": options.name,
            "messages": messages,
            **{name: value for name, value in settings.items() if value is not None},
            **options.extra,
        }
        try:
            reply = await client.post("/chat/completions", body=body, cast_to=object)
        except openai.APIStatusError as error:
            self._failed_connections = 0
            words = failures.server_words(error, self._key)
            if failures.is_hopeless(error, words, self._answered):
                raise failures.refused(options, error, words) from None
            raise _Unanswered(f"{type(error).__name__} ({error.status_code}): {words}") from None
        except openai.APIConnectionError as error:
            self._failed_connections += 1
            if self._failed_connections >= self._workers * (failures.GONE_AFTER if self._answered else 1):
                raise failures.unreachable(options) from None
            raise _Unanswered(f"{type(error).__name__}: {failures.server_words(error, self._key)}") from None
        except ValueError:
            # A server that says JSON and sends something else: the SDK passes the decoder's error on.
            reply = None
        self._answered = True
        self._failed_connections = 0
        return _answer(reply, options.name)


def _answer(reply: Any, name: str) -> _Answer:
    """What a chat completion holds, read with distrust: many servers are only nearly compatible."""
    completion = reply if isinstance(reply, dict) else {}
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = completion.get("model")
    tokens = [usage.get(field) for field in ("prompt_tokens", "completion_tokens")]
    prompt_tokens, completion_tokens = (count if isinstance(count, int) else 0 for count in tokens)
    text: str | None = None
    choices = completion.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        content = message.get("content") or message.get("refusal") or "" if isinstance(message, dict) else None
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        text = content if isinstance(content, str) else None
    return _Answer(text, model if isinstance(model, str) and model else name, prompt_tokens, completion_tokens)


def _read(reply: str | None, allowed: Sequence[int]) -> tuple[int | None, str | None]:
    if reply is None:
        return None, "the server's reply is no chat completion"
    if not reply.strip():
        return None, "the judge's reply is empty"
    score = parse_score(reply)
    if score is None:
        return None, "no verdict in the judge's reply"
    if score not in allowed:
        return None, f"the judge's verdict {score} is not one of {', '.join(map(str, allowed))}"
    return score, None


def _asked_again(call: _Call, reply: str | None) -> list[dict[str, str]]:
    *first, last = map(str, call.allowed)
    request = f"Give only your verdict now, in one line 'Score: N', where N is {', '.join(first)} or {last}."
    if reply is None:
        return [{"role": "user", "content": call.prompt}]
    if not reply.strip():
        # Servers refuse empty assistant turns.
        return [{"role": "user", "content": f"{call.prompt}\n\n{request}"}]
    return [
        {"role": "user", "content": call.prompt},
        {"role": "assistant", "content": reply[-_REPEATED_REPLY:]},
        {"role": "user", "content": request},
    ]


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """The HTTP client tells each request at INFO; thousands of them would bury the run's own lines."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        if logger.getEffectiveLevel() == logging.INFO:
            logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
