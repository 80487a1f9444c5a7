"""Many judge calls at once, each kept before it counts. ``nproc`` workers take calls from one iterator, and the next
one when the last one's answer is on the disk: a process that dies loses at most ``nproc`` answers. A call is taken from
the store, or asked with retries (exponential backoff with jitter; all workers keep a wait that the server asks for),
and a reply without a verdict that its dimensions allow is asked about again in the same conversation, at most twice.
The run stops after ``stop_after`` failed calls in a row, or where of twice as many most failed. A prompt that the
server refuses leaves its sample unscored; only where those of different samples are refused and none is answered does
the run stop."""

from __future__ import annotations

import asyncio
import queue
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from typing import Any, TypeVar

from medqbench_vlmeval.errors import JudgeError, MissingDependency
from medqbench_vlmeval.judge.cache import ReplyCache, Row
from medqbench_vlmeval.judge.calls import (
    MAX_ASKS,
    Call,
    OnProgress,
    Progress,
    Reply,
    is_complete,
    kept_verdicts,
    plan_calls,
    prompt_cut,
    verdicts_of,
)
from medqbench_vlmeval.judge.client import JudgeClient, KitClient, Messages, OpenAIClient, Unanswered
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.protocols import CHOICE, Protocol
from medqbench_vlmeval.judge.secrets import shown_url
from medqbench_vlmeval.provenance import JudgeSettings
from medqbench_vlmeval.types import Sample, Verdict

_T = TypeVar("_T")
_MINUTE = 60.0
# Of an unknown model's tokens no more than an estimate is needed: 4 bytes a token is usual for English, and not far
# off where a character takes three of them.
_BYTES_A_TOKEN = 4
_REPLY_TOKENS = 150
# A start that the loop's clock makes late is made up for within this time, and the rate is lower by as much.
_LATE = 0.02
# A server that asks for a longer wait has no more to give today.
LONGEST_WAIT = 600.0
# Before anything was answered, a connection that fails is a wrong address rather than a bad moment.
_FIRST_CONNECTIONS = 3
_FIRST_WAIT, _LONGEST_BACKOFF = 0.5, 60.0
_REPEATED_REPLY = 4000
_QUOTED = 160
# The share of failed calls above which a run stops.
_MOST_FAILED = 0.75
# A filter may refuse all questions about one sample; a wrong option is refused for every one.
_REFUSED_SAMPLES = 3
NOT_ASKED = "no verdict in the cache, and no call was wanted (--no-calls)"


class Pace:
    """Evenly spread starts, in the order in which calls came, and one pause for all. In no minute do more than ``rpm``
    calls start, nor more than ``tpm`` tokens, as estimated from their length, as long as no call holds more than a
    second's share. To be used inside one event loop."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._seconds_a_call = (_MINUTE + _LATE) / rpm if rpm else 0.0
        # The burst of a second that a call may be is taken off what flows in over the rest of the minute.
        self._seconds_a_token = (_MINUTE + _LATE) / (tpm * (1 - 1 / _MINUTE)) if tpm else 0.0
        self._next_call = self._next_token = self._resume = 0.0
        self._turn = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Let no call start for so long."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    async def start(self, length: int) -> None:
        """Wait until a call with a prompt of so many bytes may start."""
        async with self._turn:
            # A pause may come, or become longer, while this call waits.
            while (wait := max(self._resume, self._next_call, self._next_token) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            earliest = time.monotonic() - _LATE
            tokens = length / _BYTES_A_TOKEN + _REPLY_TOKENS
            self._next_call = max(self._next_call, earliest) + self._seconds_a_call
            self._next_token = max(self._next_token, earliest) + tokens * self._seconds_a_token


ByDimension = Mapping[str, Verdict]
Judgement = tuple[Call, ByDimension]
Emit = Callable[[Judgement], None]


class Engine:
    """One run of calls against one client."""

    def __init__(
        self,
        options: JudgeOptions,
        client: JudgeClient,
        store: ReplyCache | None,
        protocol: str,
        has_answered: bool = False,
    ) -> None:
        """``has_answered`` says that an earlier run had answers of the same judge with the same options."""
        self._options = options
        self._client = client
        self._store = store
        self._protocol = protocol
        self._named = f"{options.role} '{options.name}'"
        self._pace = Pace(options.rpm, options.tpm)
        self._answered = False
        self._failed_in_a_row = self._failed = self._ended = 0
        self._takes_prompts = has_answered
        self._refused: dict[str, JudgeError] = {}
        self._over = False
        self._rows: list[Row] = []
        self._committing = asyncio.Lock()

    async def work(self, calls: Sequence[Call], emit: Emit) -> None:
        """Ask all calls and emit each one's verdicts; errors are those of :meth:`CachedModel.verdicts`."""
        self._workers = min(self._options.nproc, len(calls))
        todo = iter(calls)
        # The store has one thread of its own; leaving it waits for what is being written.
        with ThreadPoolExecutor(1, thread_name_prefix="medqbench-store") as self._disk:
            async with self._client:
                workers = [asyncio.create_task(self._worker(todo, emit)) for _ in range(self._workers)]
                try:
                    # gather() would wait for every worker when it is cancelled, also for one that took no notice.
                    ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                    for worker in ended:
                        worker.result()
                    if self._refused and not (self._takes_prompts or self._ended):
                        raise next(iter(self._refused.values()))
                finally:
                    self._over = True
                    # Again and again: before Python 3.12 a wait that ends at that moment takes no notice.
                    while running := [worker for worker in workers if not worker.done()]:
                        for worker in running:
                            worker.cancel()
                        await asyncio.wait(running, timeout=0.05)
                    # Taken note of: asyncio complains of errors that nobody asked for.
                    await asyncio.gather(*workers, return_exceptions=True)
                    await self._commit()

    async def _worker(self, todo: Iterator[Call], emit: Emit) -> None:
        # The iterator is shared: next() and await never overlap within one loop.
        for call in todo:
            # A cancellation that went unnoticed must not buy another reply.
            if self._over:
                return
            store = None if self._options.fresh else self._store
            reply = None if store is None else await self._on_disk(store.get, call.key)
            if verdicts := kept_verdicts(call, reply):
                emit((call, verdicts))
            else:
                await self._converse(call, emit)

    async def _converse(self, call: Call, emit: Emit) -> None:
        """Ask a call until it has all of its scores, keep what was said, and emit the verdicts."""
        reply = Reply()
        failure: Unanswered | None = None
        messages: Messages = [{"role": "user", "content": call.prompt}]
        while True:
            try:
                reply = reply.and_then(await self._answer(messages, call))
            except Unanswered as error:
                failure = error
            verdicts = verdicts_of(call, reply, str(failure) if failure else None)
            if failure or is_complete(verdicts) or len(reply.texts) >= MAX_ASKS or prompt_cut(call, reply):
                break
            messages = _asked_again(call, reply.texts[-1])
        if any(reply.texts):
            await self._keep((call.key, self._protocol, self._options.name, reply))
        emit((call, verdicts))
        if failure is not None and failure.refused and not self._takes_prompts:
            self._refused[call.index] = failure.refused
            if len(self._refused) >= _REFUSED_SAMPLES:
                raise failure.refused
        elif failure is None or failure.concerns_server:
            self._count(verdicts)

    async def _keep(self, row: Row) -> None:
        """Return when a row is on the disk; rows that come while the disk is busy share the next commit."""
        self._rows.append(row)
        async with self._committing:
            if row in self._rows:
                await self._commit()

    async def _commit(self) -> None:
        rows, self._rows = self._rows, []
        if rows and self._store is not None:
            await self._on_disk(self._store.add, rows)

    async def _on_disk(self, use: Callable[[Any], _T], what: Any) -> _T:
        """Use the store in its thread; cancelling the wait does not cancel that."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._disk, use, what))

    async def _answer(self, messages: Messages, call: Call) -> Reply:
        """One reply, after as many attempts as the options allow."""
        length = sum(len(message["content"].encode("utf-8", errors="replace")) for message in messages)
        attempt = 0
        while True:
            attempt += 1
            await self._pace.start(length)
            try:
                reply = await self._client.ask(messages, call.schema)
            except Unanswered as failure:
                wait = self._wait(failure, attempt) if failure.may_heal else None
                attempts = self._options.retry + 1
                if failure.no_connection and not self._answered:
                    attempts = min(attempts, _FIRST_CONNECTIONS)
                if wait is not None and attempt < attempts:
                    await asyncio.sleep(wait)
                    continue
                # How many failed calls in a row stop the run: fewer where nothing was answered yet.
                patience = self._options.stop_after if self._answered else min(self._workers, self._options.stop_after)
                if failure.no_connection and self._failed_in_a_row + 1 >= patience:
                    raise failure.no_connection from None
                raise
            self._answered = self._takes_prompts = True
            return reply

    def _wait(self, failure: Unanswered, attempt: int) -> float:
        """Seconds until a call is tried again: exponential backoff with jitter, or longer where the server says so."""
        jitter = random.SystemRandom().uniform(0.0, _FIRST_WAIT)
        backoff = min(_FIRST_WAIT * 2.0 ** (attempt - 1) + jitter, _LONGEST_BACKOFF)
        if failure.retry_after is None:
            return backoff
        if failure.retry_after > LONGEST_WAIT:
            raise JudgeError(
                f"The {self._named} asks to wait {failure.retry_after:.0f} s ({failure}). Run again later: what was "
                "answered is kept."
            )
        self._pace.pause(failure.retry_after)
        # Calls that were turned away together would come back together, and 0 s would use up all attempts at once.
        return max(failure.retry_after, backoff)

    def _count(self, verdicts: ByDimension) -> None:
        self._ended += 1
        if any(verdict.score is not None for verdict in verdicts.values()):
            self._failed_in_a_row = 0
            return
        self._failed_in_a_row += 1
        self._failed += 1
        if self._failed_in_a_row >= self._options.stop_after:
            which = f"{self._failed_in_a_row} calls in a row of the {self._named} failed"
        elif self._ended >= 2 * self._options.stop_after and self._failed > _MOST_FAILED * self._ended:
            which = f"{self._failed} of the first {self._ended} calls of the {self._named} failed"
        else:
            return
        verdict = next(iter(verdicts.values()))
        what = f"{which}, the last with: {verdict.reason}"
        if reply := " ".join(verdict.reply.split()):
            what += f"; it said '{reply if len(reply) <= _QUOTED else reply[:_QUOTED] + '...'}'"
        what += ". The run was stopped so that the rest is not paid for nothing; what was answered is kept"
        if verdict.asks < MAX_ASKS:
            raise JudgeError(f"{what}, and the same command goes on from there.")
        raise JudgeError(
            f"{what}. Going on cannot help: this model gives no verdict in the form that the protocol "
            f"'{self._protocol}' asks for; name a stronger one."
        )


def _asked_again(call: Call, reply: str | None) -> Messages:
    """The conversation that asks for the verdict alone, after a reply without one."""
    # Weak models repeat what they are asked for: nothing in it could be read as a verdict.
    if reply is None:
        return [{"role": "user", "content": call.prompt}]
    if call.schema:
        request = "Give only the JSON object now, with all four scores, each one of those that its question lists."
    elif CHOICE in call.allowed:
        request = "Give only the last line now: the word Answer, a colon, and one letter, or the word for no answer."
    else:
        words = "the word Score, a colon, and one of the scores listed above"
        request = f"Give only your verdict now, in one line: {words}."
    if not reply.strip():
        # Servers refuse empty assistant turns.
        return [{"role": "user", "content": f"{call.prompt}\n\n{request}"}]
    return [
        {"role": "user", "content": call.prompt},
        {"role": "assistant", "content": reply[-_REPEATED_REPLY:]},
        {"role": "user", "content": request},
    ]


def _judgements(engine: Engine, calls: Sequence[Call]) -> Generator[Judgement, None, None]:
    """Yield what the engine emits in a thread with its own event loop; ended early, it is cancelled and awaited."""
    items: queue.SimpleQueue[Judgement | None] = queue.SimpleQueue()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = Future()

    async def main() -> None:
        running.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        await engine.work(calls, items.put)

    with ThreadPoolExecutor(1, thread_name_prefix="medqbench-judge") as pool:
        done = pool.submit(lambda: asyncio.run(main()))
        done.add_done_callback(lambda _: items.put(None))
        try:
            while True:
                # Ctrl-C interrupts a wait without limit on Linux only.
                with suppress(queue.Empty):
                    item = items.get(timeout=0.5)
                    if item is None:
                        break
                    yield item
        finally:
            if not done.done():
                loop, task = running.result()
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)
            wait([done])
        done.result()


class CachedModel:
    """A model asked by a protocol (see ``judges.build_judge``); its client is made only where something is to ask."""

    def __init__(
        self, options: JudgeOptions, protocol: Protocol, store: ReplyCache | None, kit_client: KitClient | None
    ) -> None:
        self.options = options
        self.name = options.name
        self.protocol = protocol.name
        self._protocol = protocol
        self._store = store
        self._client: KitClient = OpenAIClient
        if options.of_kit:
            if kit_client is None:
                raise MissingDependency(
                    f"The {options.role} '{options.name}' is a model of the kit's, and no VLMEvalKit is installed."
                )
            self._client = kit_client
        elif not options.no_calls:
            options.secret()
        self._served_as: set[str] = set()

    def calls_for(self, texts: Sequence[tuple[Sample, str]]) -> list[Call]:
        """All calls for some samples' replies (see :func:`.calls.plan_calls`)."""
        return plan_calls(self._protocol, self.options, texts)

    def pending(self, calls: Sequence[Call]) -> tuple[dict[str, ByDimension], list[Call]]:
        """The verdicts that the cache holds for these calls, by key and dimension, and the others, each key once."""
        store = None if self.options.fresh else self._store
        unique = {call.key: call for call in calls}
        verdicts: dict[str, ByDimension] = {
            key: by_dimension
            for key, call in unique.items()
            if (by_dimension := kept_verdicts(call, store.get(key) if store else None))
        }
        return verdicts, [call for key, call in unique.items() if key not in verdicts]

    def verdicts(self, calls: Sequence[Call], on_progress: OnProgress | None = None) -> dict[str, ByDimension]:
        """The verdicts on all calls, by key and dimension: from the cache, else asked for now. Raises JudgeError for
        no key, no server, a refusal, or too many failures in a row. Then and at a KeyboardInterrupt calls in flight are
        cancelled, and what was answered is in the cache."""
        verdicts, missing = self.pending(calls)
        if self.options.no_calls:
            verdicts |= {call.key: verdicts_of(call, Reply(), NOT_ASKED) for call in missing}
        elif missing:
            self._ask(calls, missing, verdicts, on_progress)
        of_calls = (verdict for by_dimension in verdicts.values() for verdict in by_dimension.values())
        self._served_as |= {verdict.judge for verdict in of_calls if verdict.judge}
        return verdicts

    def describe(self) -> JudgeSettings:
        """The model's settings with its protocol; ``served_as`` is None where no reply of the server names it."""
        options = self.options
        return JudgeSettings(
            options.name,
            ", ".join(sorted(self._served_as)) or None,
            None if options.of_kit else shown_url(options.endpoint()),
            options.parameters,
            protocol=self._protocol.record,
        )

    def _ask(
        self, calls: Sequence[Call], todo: list[Call], verdicts: dict[str, ByDimension], on_progress: OnProgress | None
    ) -> None:
        # Equal prompts (a model that always says the same) are asked about once, for all of their samples.
        wanted = Counter(call.key for call in calls)
        total, done = len(calls), sum(wanted[key] for key in verdicts)
        n_asked, prompt_tokens, completion_tokens, failed = 0, 0, 0, 0
        engine = Engine(self.options, self._client(self.options), self._store, self._protocol.name, bool(verdicts))
        # Two runs of the same judge at once would ask the same calls at the same moment, were their orders the same.
        random.SystemRandom().shuffle(todo)
        with closing(_judgements(engine, todo)) as finished:
            for call, by_dimension in finished:
                verdicts[call.key] = by_dimension
                done += wanted[call.key]
                # Every verdict on a call says what the whole call took.
                verdict = next(iter(by_dimension.values()))
                if not verdict.from_cache:
                    n_asked += verdict.asks
                    prompt_tokens += verdict.prompt_tokens
                    completion_tokens += verdict.completion_tokens
                failed += wanted[call.key] * (verdict.reason is not None)
                if on_progress:
                    tokens = prompt_tokens, completion_tokens
                    on_progress(Progress(done, total, n_asked, *tokens, self.options.name, failed))
