"""The lock that the writers of a leaderboard take in turn, and the rule for what may be written to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medqbench_vlmeval.errors import RunFailed

LOCK_TIMEOUT = 60.0  # seconds


@contextmanager
def locked(lock: Path, board: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold ``board`` (a file or a folder) against all other processes and threads; ``lock`` is the lock's file.

    The lock's folder is made where it is absent.

    Raises:
        RunFailed: the folder cannot be written to, or another process held the lock for ``timeout`` seconds.
    """
    from filelock import FileLock, Timeout

    # A lock of its own for each call, so that threads wait for each other too.
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        # filelock waits where a folder takes no file at all, as it does for a lock that another process holds.
        os.close(os.open(lock, os.O_CREAT | os.O_RDWR, 0o644))
        held.acquire(timeout=timeout)
    except Timeout as error:
        raise RunFailed(
            f"Another process has held the leaderboard's lock {lock} for {timeout:g} s. The run's own results are "
            "written; add it to the board again when that process is done."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise unwritable(board, error) from error
    try:
        yield
    finally:
        held.release()


def check_writable(path: Path) -> None:
    """Refuse to replace a file that its owner made read-only, although its folder would allow it.

    Raises:
        RunFailed: no one has the right to write ``path``.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    # The bits and not os.access: a superuser may write everything, and means a read-only file all the same.
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise unwritable(path, PermissionError(13, "it is read-only"))


def unwritable(board: Path, error: Exception) -> RunFailed:
    """The error for a board that cannot be written."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return RunFailed(
        f"The leaderboard {board} cannot be written ({why}). The run's own results are not touched; make it "
        "writable or choose another."
    )
