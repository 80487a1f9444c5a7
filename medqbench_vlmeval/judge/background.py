"""A coroutine run beside the caller, whatever loop the caller may already be in."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

_Item = TypeVar("_Item")
# Ctrl-C interrupts a wait without limit on Linux only.
_POLL_SECONDS = 0.5


def emitted(
    work: Callable[[Callable[[_Item], None]], Coroutine[Any, Any, None]],
) -> Generator[_Item, None, None]:
    """Run ``work(emit)`` in a thread with its own event loop and yield in the caller's thread what it emits.

    What was emitted is yielded before an exception of the work is raised. When the caller closes the generator
    early, or Ctrl-C interrupts its wait, the work is cancelled and awaited first.
    """
    items: queue.SimpleQueue[tuple[_Item] | None] = queue.SimpleQueue()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = Future()

    async def main() -> None:
        running.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        await work(lambda item: items.put((item,)))

    with ThreadPoolExecutor(1, thread_name_prefix="medqbench-judge") as pool:
        done = pool.submit(lambda: asyncio.run(main()))
        done.add_done_callback(lambda _: items.put(None))
        try:
            while (item := _next(items)) is not None:
                yield item[0]
        finally:
            if not done.done():
                loop, task = running.result()
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)
            wait([done])
        done.result()


def _next(items: queue.SimpleQueue[tuple[_Item] | None]) -> tuple[_Item] | None:
    while True:
        try:
            return items.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
