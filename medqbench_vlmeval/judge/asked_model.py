"""A model that is put calls, with the cache in front of it: judges and the extractor are such."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from medqbench_vlmeval.judge.asking import Asker
from medqbench_vlmeval.judge.background import emitted
from medqbench_vlmeval.judge.calls import Call, Outcome
from medqbench_vlmeval.judge.engine import Engine
from medqbench_vlmeval.judge.interface import OnProgress, Progress
from medqbench_vlmeval.judge.options import JudgeOptions
from medqbench_vlmeval.judge.private import shown_extra, shown_url
from medqbench_vlmeval.judge.protocol import Protocol
from medqbench_vlmeval.judge.store import VerdictStore

NOT_ASKED = "no verdict in the cache, and no call was wanted (--no-calls)"
_LOGGERS = ("httpx", "httpx2", "openai")


class AskedModel:
    """A model asked by a protocol.

    ``store`` keeps answers across runs (None: nowhere). ``asker`` makes what puts the questions: an
    OpenAI-compatible endpoint, or a model of the kit's; it is not called where nothing is left to ask.
    """

    def __init__(
        self, options: JudgeOptions, protocol: Protocol, store: VerdictStore | None, asker: Callable[[], Asker]
    ) -> None:
        self.options = options
        self._protocol = protocol
        self._store = store
        self._asker = asker
        self._served_as: set[str] = set()

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def protocol(self) -> str:
        return self._protocol.name

    @property
    def protocol_family(self) -> str:
        """The protocol's name without the number of its rounds."""
        return self._protocol.family

    @property
    def asked_of(self) -> dict[str, Any]:
        """What of the model decides its answers, for the keys of calls."""
        return {"name": self.options.asked_as, "parameters": self._parameters()}

    def pending(self, calls: Sequence[Call]) -> tuple[dict[str, Outcome], list[Call]]:
        """What the store holds of these calls, by key, and the others, each key once."""
        found: dict[str, Outcome] = {}
        missing: dict[str, Call] = {}
        for call in calls:
            if call.key in found or call.key in missing:
                continue
            kept = self._store.get(call.key) if self._store is not None and not self.options.fresh else None
            if kept is not None and kept.answers(call):
                found[call.key] = Outcome(call, kept, from_cache=True)
            else:
                missing[call.key] = call
        return found, list(missing.values())

    def outcomes(self, calls: Sequence[Call], on_progress: OnProgress | None = None) -> dict[str, Outcome]:
        """How each call ended, by key: from the store, else asked now.

        Raises:
            JudgeError: no key, no server, a server that refuses, or too many failures in a row; what was answered
                before is in the store.
            KeyboardInterrupt: calls in flight are cancelled first, and what was answered is written.
        """
        outcomes, missing = self.pending(calls)
        if self.options.no_calls:
            outcomes |= {call.key: Outcome(call, None, NOT_ASKED) for call in missing}
        elif missing:
            self._ask(calls, missing, outcomes, on_progress)
        self._served_as |= {one.judgement.judge for one in outcomes.values() if one.judgement and one.judgement.reply}
        return outcomes

    def _described(self) -> dict[str, Any]:
        """The model's settings. ``served_as`` is what the server called itself, None before the first answer."""
        options = self.options
        return {
            "name": options.name,
            "served_as": ", ".join(sorted(self._served_as)) or None,
            "base_url": None if options.of_kit else shown_url(options.endpoint()),
            "parameters": self._parameters(),
        }

    def _ask(
        self,
        calls: Sequence[Call],
        missing: Sequence[Call],
        outcomes: dict[str, Outcome],
        on_progress: OnProgress | None,
    ) -> None:
        # Equal prompts (a model that always says the same) are asked about once, for all of their samples.
        wanted = Counter(call.key for call in calls)
        total, done = len(calls), sum(wanted[key] for key in outcomes)
        asked, read, said = 0, 0, 0
        engine = Engine(self.options, self._asker(), self._store, self._protocol.name)
        # Two runs of the same judge at once would ask the same calls at the same moment, were their orders the same.
        order = list(missing)
        random.SystemRandom().shuffle(order)
        with _quiet_loggers(), closing(_outcomes(engine, order)) as finished:
            for outcome in finished:
                outcomes[outcome.call.key] = outcome
                done += wanted[outcome.call.key]
                if outcome.judgement and not outcome.from_cache:
                    asked += outcome.judgement.asks
                    read += outcome.judgement.prompt_tokens
                    said += outcome.judgement.completion_tokens
                if on_progress:
                    on_progress(Progress(done, total, asked, read, said, self.options.name))

    def _parameters(self) -> dict[str, Any]:
        options = self.options
        return {
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            **({"extra": shown_extra(options.extra)} if options.extra else {}),
        }


def _outcomes(engine: Engine, calls: Sequence[Call]) -> Generator[Outcome, None, None]:
    async def work(emit: Callable[[Outcome], None]) -> None:
        await engine.work(calls, emit)

    return emitted(work)


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
