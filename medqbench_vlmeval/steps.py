"""How far long work is: rooms say it, and a command shows it. And work in a thread that holds no process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_T = TypeVar("_T")
Listener = Callable[[str, int, int | None, str], None]
_listeners: list[Listener] = []


def step(what: str, done: int = 0, total: int | None = None, more: str = "") -> None:
    """Say what is being done, how much of it is ``done`` of ``total`` (None: not known), and more in words."""
    for listen in _listeners:
        listen(what, done, total, more)


def counted(what: str, items: Iterable[_T], total: int | None = None) -> Iterator[_T]:
    """Yield the items, and say before each how many are done."""
    for done, item in enumerate(items):
        step(what, done, total)
        yield item


@contextmanager
def heard_by(listen: Listener) -> Iterator[None]:
    """Have ``listen`` told of every step for a while."""
    _listeners.append(listen)
    try:
        yield
    finally:
        _listeners.remove(listen)


def in_thread(work: Callable[[], _T]) -> Future[_T]:
    """What ``work`` gives or raises, from a thread that does not keep the process alive, however long it takes."""
    import threading
    from concurrent.futures import Future

    future: Future[_T] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  # raised where it is waited for
                future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
