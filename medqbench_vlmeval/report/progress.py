"""What is seen of a judge at work: calls done, calls a second, cost so far and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medqbench_vlmeval.judge import OnProgress, Progress
    from medqbench_vlmeval.judge.prices import PriceTable

# Where there is no terminal, a line this often says that the run goes on.
LINE_SECONDS = 30.0
_UNKNOWN = "-"


@dataclass(frozen=True)
class Reading:
    """The texts of one moment; '-' stands for what is not known."""

    done: str
    rate: str
    cost: str
    left: str

    @property
    def line(self) -> str:
        """All of it on one line."""
        return f"judging {self.done}, {self.rate}, {self.cost} so far, {self.left} left"


class Meter:
    """Works out rate, cost and time left from what a judge tells.

    The rate is that of calls done since the first report; what the cache held before does not count.

    Args:
        prices: gives the price table; called with the first report.
        now: seconds on a clock that never goes back.
    """

    def __init__(self, prices: Callable[[], PriceTable], now: Callable[[], float] = time.monotonic) -> None:
        self._prices = prices
        self._now = now
        self._table: PriceTable | None = None
        self._started = 0.0
        self._before = self._done = 0
        self._costs: dict[str, float | None] = {}

    def read(self, progress: Progress) -> Reading:
        """The texts after one more report."""
        if self._table is None:
            self._table, self._started = self._prices(), self._now()
        if progress.model not in self._costs:
            # A judge's first report comes with all that the cache held for it.
            self._before += progress.done - self._done
        self._done = progress.done
        tokens = (progress.prompt_tokens, progress.completion_tokens)
        counted = any(tokens) or not progress.asked
        self._costs[progress.model] = self._table.cost(progress.model, *tokens) if counted else None
        seconds = self._now() - self._started
        rate = (progress.done - self._before) / seconds if seconds > 0 else 0.0
        known = [cost for cost in self._costs.values() if cost is not None]
        return Reading(
            f"{progress.done:,}/{progress.total:,}",
            f"{rate:.1f} calls/s" if rate else _UNKNOWN,
            dollars(sum(known) if len(known) == len(self._costs) else None),
            clock((progress.total - progress.done) / rate) if rate else _UNKNOWN,
        )


@contextmanager
def judge_progress(prices: Callable[[], PriceTable], now: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """Yield what shows on stderr how far a judge is: a bar on a terminal, else a plain line every 30 seconds.

    Args:
        prices: see :class:`Meter`.
        now: see :class:`Meter`.
    """
    meter = Meter(prices, now)
    if sys.stderr.isatty():
        with _bar(meter) as move:
            yield move
        return
    last = now()

    def told(progress: Progress) -> None:
        nonlocal last
        reading = meter.read(progress)
        if now() - last >= LINE_SECONDS:
            last = now()
            print(f"medqbench: {reading.line}", file=sys.stderr, flush=True)

    yield told


@contextmanager
def _bar(meter: Meter) -> Iterator[OnProgress]:
    from rich import progress as rich
    from rich.console import Console

    columns = ("judging", rich.BarColumn(), "{task.fields[shown]}")
    # What others print to stdout meanwhile may be on its way into a file.
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        row = bar.add_task("judging", total=None, shown="")

        def move(progress: Progress) -> None:
            found = meter.read(progress)
            shown = f"{found.done}  {found.rate}  {found.cost}  ETA {found.left}"
            bar.update(row, completed=progress.done, total=progress.total, shown=shown)

        yield move


def dollars(cost: float | None) -> str:
    """A cost in US dollars, cents shown from a dollar on and four decimals below; '-' for None."""
    if cost is None:
        return _UNKNOWN
    return f"${cost:,.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def clock(seconds: float) -> str:
    """A duration as H:MM:SS or M:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
