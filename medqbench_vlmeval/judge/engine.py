"""Many judge calls at once, each kept before it counts.

``nproc`` workers take calls from one iterator. A call that another run has had answered meanwhile is taken from the
store. Else it is asked, with retries (exponential backoff with jitter; a wait that the server asks for is kept
by all workers, and a call waits its backoff where that is longer), and a reply without a verdict that its dimensions
allow is asked about again in the same conversation, at most twice. A worker takes its next call when the last one's
answer is on the disk, so that a process that dies loses at most ``nproc`` answers. After ``stop_after`` calls in a
row that failed, the run stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge.asking import Answer, Asker, Messages, Unanswered
from medqbench_vlmeval.judge.calls import Call, Judgement, Outcome
from medqbench_vlmeval.judge.choice import CHOICE, shown
from medqbench_vlmeval.judge.limits import Pace
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.reading import read_reply
from medqbench_vlmeval.judge.rubric import joint_schema
from medqbench_vlmeval.judge.store import Entry, VerdictStore

MAX_ASKS = 3
# A server that asks for a longer wait has no more to give today.
LONGEST_WAIT = 600.0
# Before anything was answered, a connection that fails is a wrong address rather than a bad moment.
_FIRST_CONNECTIONS = 3
_FIRST_WAIT, _LONGEST_BACKOFF = 0.5, 60.0
_REPEATED_REPLY = 4000
_CANCEL_AGAIN = 0.05


class _TooSlow(Unanswered):
    """No whole answer came within the time that a call has."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s", connection=True)


class Engine:
    """One run of calls against one asker."""

    def __init__(self, options: JudgeOptions, asker: Asker, store: VerdictStore | None, protocol: str) -> None:
        self._options = options
        self._asker = asker
        self._store = store
        self._protocol = protocol
        self._named = f"{options.role} '{options.name}'"
        self._answered = False
        self._failed_in_a_row = 0
        self._over = False

    async def work(self, calls: Sequence[Call], emit: Callable[[Outcome], None]) -> None:
        """Ask all calls and emit each one's outcome.

        Raises:
            JudgeError: the judge cannot be asked, or too many calls in a row failed. What was answered until then
                was emitted and is in the store.
        """
        self._pace = Pace(self._options.rpm, self._options.tpm)
        self._workers = min(self._options.nproc, len(calls))
        todo = iter(calls)
        with ThreadPoolExecutor(1, thread_name_prefix="medqbench-store") as disk:
            writer = _Writer(self._store, disk)
            async with self._asker:
                workers = [asyncio.create_task(self._worker(todo, writer, emit)) for _ in range(self._workers)]
                try:
                    # gather() would wait for every worker when it is cancelled, also for one that took no notice.
                    ended, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                    for worker in ended:
                        worker.result()
                finally:
                    self._over = True
                    await _stopped(workers)
                    await writer.drained()

    async def _worker(self, todo: Iterator[Call], writer: _Writer, emit: Callable[[Outcome], None]) -> None:
        # The iterator is shared: next() and await never overlap within one loop.
        for call in todo:
            # A cancellation that went unnoticed must not buy another answer.
            if self._over:
                return
            kept = None if self._options.fresh else await writer.get(call.key)
            if kept is not None and kept.answers(call):
                emit(Outcome(call, kept, from_cache=True))
                continue
            outcome = await self._outcome(call)
            if outcome.judgement is not None and outcome.reason is None:
                await writer.add(Entry(call.key, self._protocol, self._options.name, outcome.judgement))
            emit(outcome)
            self._count(outcome)

    async def _outcome(self, call: Call) -> Outcome:
        answers: list[Answer] = []
        scores: dict[str, int] = {}
        explanations: dict[str, str] = {}
        messages: Messages = [{"role": "user", "content": call.prompt}]
        reason: str | None = None
        refused = False
        for asked in range(1, MAX_ASKS + 1):
            try:
                answers.append(await self._answer(messages, call))
            except Unanswered as failure:
                reason, refused = str(failure), not failure.concerns_server
                break
            reading = read_reply(answers[-1].text, call)
            scores |= reading.scores
            explanations |= reading.explanations
            if set(scores) == set(call.allowed):
                reason = None
                break
            reason = reading.reason if asked < MAX_ASKS else f"{reading.reason} after {MAX_ASKS} asks"
            messages = asked_again(call, answers[-1].text)
        if not answers:
            return Outcome(call, None, reason, prompt_refused=refused)
        reply = next((answer.text for answer in reversed(answers) if answer.text is not None), "")
        judgement = Judgement(
            scores,
            reply,
            answers[-1].served_as,
            asks=len(answers),
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            explanations=explanations,
        )
        return Outcome(call, judgement, reason, prompt_refused=refused)

    async def _answer(self, messages: Messages, call: Call) -> Answer:
        """One reply, after as many attempts as the options allow."""
        import tenacity

        backoff = tenacity.wait_exponential_jitter(_FIRST_WAIT, _LONGEST_BACKOFF, jitter=_FIRST_WAIT)

        def wait(state: tenacity.RetryCallState) -> float:
            failure = state.outcome.exception() if state.outcome else None
            asked_for = failure.retry_after if isinstance(failure, Unanswered) else None
            if asked_for is None:
                return backoff(state)
            if asked_for > LONGEST_WAIT:
                raise JudgeError(
                    f"The {self._named} asks to wait {asked_for:.0f} s ({failure}). Run again later: what was answered "
                    "is kept."
                )
            self._pace.pause(asked_for)
            # Calls that were turned away together would come back together, and a wait of 0 s would use up all
            # attempts at once.
            return max(asked_for, backoff(state))

        def may_heal(error: BaseException) -> bool:
            return isinstance(error, Unanswered) and error.may_heal

        def stop(state: tenacity.RetryCallState) -> bool:
            failure = state.outcome.exception() if state.outcome else None
            first = isinstance(failure, Unanswered) and failure.connection and not self._answered
            attempts = min(self._options.retry + 1, _FIRST_CONNECTIONS if first else self._options.retry + 1)
            return state.attempt_number >= attempts

        schema = joint_schema(call.task) if call.structured else None
        length = sum(len(message["content"].encode("utf-8", errors="replace")) for message in messages)
        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception(may_heal), wait=wait, stop=stop, reraise=True
            ):
                with attempt:
                    await self._pace.start(length)
                    answer = await self._asked(messages, schema)
        except Unanswered as failure:
            if failure.connection and self._failed_in_a_row + 1 >= self._patience():
                raise self._too_slow() if isinstance(failure, _TooSlow) else self._asker.gone() from None
            raise
        self._answered = True
        return answer

    async def _asked(self, messages: Messages, schema: Mapping[str, Any] | None) -> Answer:
        # The client's own limit is for each piece of an answer: one that drips in would take for ever. A model of
        # the kit's may have to wait for its turn in this process, and has the kit's limit.
        limit = None if self._options.of_kit else self._options.timeout
        try:
            return await asyncio.wait_for(self._asker.ask(messages, schema), limit)
        except asyncio.TimeoutError:
            raise _TooSlow(self._options.timeout) from None

    def _too_slow(self) -> JudgeError:
        return JudgeError(
            f"The {self._named} did not answer within {self._options.timeout:g} s, call after call. "
            "Allow more time with --judge-timeout, or have fewer calls in flight (--judge-nproc); what was answered is "
            "kept."
        )

    def _patience(self) -> int:
        """How many failed calls in a row stop the run: fewer where nothing was answered yet."""
        return self._options.stop_after if self._answered else min(self._workers, self._options.stop_after)

    def _count(self, outcome: Outcome) -> None:
        if outcome.prompt_refused:
            return
        if outcome.reason is None or (outcome.judgement is not None and outcome.judgement.scores):
            self._failed_in_a_row = 0
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self._options.stop_after:
            raise JudgeError(
                f"{self._failed_in_a_row} calls in a row of the {self._named} failed, the last with: "
                f"{outcome.reason}. The run was stopped so that the rest is not paid for nothing; what was answered is "
                "kept, and the same command goes on from there."
            )


async def _stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: before Python 3.12 a wait that ends at that moment takes no notice."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_AGAIN)
    # Taken note of: asyncio complains of errors that nobody asked for.
    await asyncio.gather(*tasks, return_exceptions=True)


def asked_again(call: Call, reply: str | None) -> Messages:
    """The conversation that asks for the verdict alone, after a reply without one."""
    if reply is None:
        return [{"role": "user", "content": call.prompt}]
    if call.structured:
        request = "Give only the JSON object now, with all four scores, each one of those that its question lists."
    elif CHOICE in call.allowed:
        request = f"Give only the last line now, 'Answer: X', where X is {shown(call.allowed[CHOICE])}."
    else:
        *first, last = map(str, next(iter(call.allowed.values())))
        request = f"Give only your verdict now, in one line 'Score: N', where N is {', '.join(first)} or {last}."
    if not reply.strip():
        # Servers refuse empty assistant turns.
        return [{"role": "user", "content": f"{call.prompt}\n\n{request}"}]
    return [
        {"role": "user", "content": call.prompt},
        {"role": "assistant", "content": reply[-_REPEATED_REPLY:]},
        {"role": "user", "content": request},
    ]


class _Writer:
    """The store in one thread of its own; answers that come while the disk is busy share the next commit."""

    def __init__(self, store: VerdictStore | None, disk: ThreadPoolExecutor) -> None:
        self._store = store
        self._disk = disk
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._committing: asyncio.Future[None] | None = None

    async def get(self, key: str) -> Judgement | None:
        if self._store is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._disk, self._store.get, key)

    async def add(self, entry: Entry) -> None:
        """Return when the entry is on the disk. Cancelling the wait does not cancel the write."""
        if self._store is None:
            return
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        self._commit()
        await asyncio.shield(written)

    async def drained(self) -> None:
        """Wait for what is being written when the workers are gone."""
        while self._committing is not None:
            await asyncio.wait([self._committing])

    def _commit(self) -> None:
        if self._store is None or self._committing is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        entries = [entry for entry, _ in batch]
        self._committing = asyncio.get_running_loop().run_in_executor(self._disk, self._store.add, entries)
        self._committing.add_done_callback(lambda done: self._committed(batch, done))

    def _committed(self, batch: Sequence[tuple[Entry, asyncio.Future[None]]], done: asyncio.Future[None]) -> None:
        self._committing = None
        error = done.exception()
        for _, written in batch:
            if not written.done():
                written.set_exception(error) if error else written.set_result(None)
        self._commit()
