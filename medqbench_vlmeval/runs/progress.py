"""How far a run is: a small file beside its predictions, ``{stem}_progress.json``, that the viewer reads.

It is replaced whole, at most once a second between two stages, and taken away when the results are there. Whatever
writes it may end at any moment, so a file may outlive its process: :func:`is_running` tells. A file that cannot be
written stops no run.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medqbench_vlmeval.errors import MedQBenchError
from medqbench_vlmeval.files import json_object
from medqbench_vlmeval.runs.result import adapter_of

if TYPE_CHECKING:
    from medqbench_vlmeval.judge import OnProgress, Progress
    from medqbench_vlmeval.judge.usage import PriceTable

PROGRESS_ENDING = "_progress.json"
_EVERY = 1.0  # seconds between two files
# What another process, or one on another machine, says of itself is believed for so long.
_FRESH, _LONGEST_SILENCE = 15.0, 900.0

Stage = Literal["loading", "inference", "replies complete", "judging", "failed", "stopped"]
_ENDED = ("replies complete", "failed", "stopped")


@dataclass(frozen=True)
class RunProgress:
    """How far one model is on one dataset.

    ``done`` samples (inference) or judge's calls (judging) of ``total``, ``failures`` of them without a reply or a
    verdict; ``rate`` is a second, of this process alone; ``cost_usd`` is None where no price or no token count is
    known. ``started`` (of the process's work on it) and ``updated`` are seconds since 1970. ``log`` is the log's path
    from the folder of the file. ``why`` says why it failed.
    """

    model: str
    dataset: str
    stage: Stage
    started: float
    updated: float
    pid: int
    host: str
    done: int = 0
    total: int | None = None
    failures: int = 0
    rate: float | None = None
    cost_usd: float | None = None
    log: str | None = None
    why: str = ""


def progress_path(folder: Path, stem: str) -> Path:
    """The progress file of the run whose files in ``folder`` begin with ``stem``."""
    return folder / f"{stem}{PROGRESS_ENDING}"


def read_progress(path: Path) -> RunProgress | None:
    """What a progress file says; None where there is none, or none that this package wrote."""
    try:
        known: RunProgress = adapter_of(RunProgress).validate_python(json_object(path))
    except ValueError:
        return None
    return known


def is_running(progress: RunProgress, now: float | None = None) -> bool:
    """Whether what wrote a progress file is still at work; of another machine that is known by its silence alone.

    ``now`` is in seconds since 1970, by default the clock's.
    """
    silence = (time.time() if now is None else now) - progress.updated
    if progress.stage in _ENDED or silence < _FRESH:
        return progress.stage not in _ENDED
    if progress.host != socket.gethostname() or os.name != "posix":
        return silence < _LONGEST_SILENCE
    try:
        os.kill(progress.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return silence < _LONGEST_SILENCE
    return progress.pid > 0


def kit_log() -> Path | None:
    """The file that the kit's log goes to in this process, None where there is none."""
    handlers = logging.getLogger("vlmeval").handlers
    return next((Path(each.baseFilename) for each in handlers if isinstance(each, logging.FileHandler)), None)


class ProgressFile:
    """Writes one run's progress; its methods may be called from many threads.

    Args:
        path: see :func:`progress_path`. Its folder is not made for it.
        model, dataset: whose progress it is.
    """

    def __init__(self, path: Path, model: str, dataset: str) -> None:
        log = kit_log()
        place = None if log is None else os.path.relpath(log, path.parent)
        now = time.time()
        host = socket.gethostname()
        self.path = path
        self._state = RunProgress(model, dataset, "loading", now, now, os.getpid(), host, log=place)
        self._lock = threading.RLock()
        self._written = self._began = time.monotonic()
        self._before = 0

    def enter(self, stage: Stage, total: int | None = None, before: int = 0, why: str = "") -> None:
        """Begin a stage, ``before`` of its ``total`` done by an earlier run; the last one keeps the numbers."""
        with self._lock:
            fresh: dict[str, int | float | None] = {}
            if stage not in _ENDED:
                self._began, self._before = time.monotonic(), before
                fresh = {"failures": 0, "cost_usd": None, "done": before, "total": total}
            self._state = replace(self._state, stage=stage, why=why, **fresh)  # type: ignore[arg-type]
            self._write()

    def answered(self, failed: bool) -> None:
        """Note one more sample with a reply, or without."""
        with self._lock:
            self.told(self._state.done + 1, self._state.failures + failed)

    def told(self, done: int, failures: int, cost_usd: float | None = None) -> None:
        """Note how many are done, without a result, and what they have cost."""
        with self._lock:
            self._state = replace(self._state, done=done, failures=failures, cost_usd=cost_usd)
            if time.monotonic() - self._written >= _EVERY:
                self._write()

    def stop(self) -> None:
        """Say that no more is coming, where the last stage was not its end."""
        if self._state.stage not in _ENDED:
            self.enter("stopped")

    def remove(self) -> None:
        """Take the file away: the results are there."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = time.monotonic()
        seconds = self._written - self._began
        new = self._state.done - self._before
        rate = new / seconds if new > 0 and seconds > 0 else None
        self._state = replace(self._state, updated=time.time(), rate=rate)
        temporary = self.path.with_name(f".{self.path.name[:100]}.{os.getpid()}.tmp")
        # No flush to the disk: nobody pays for what is in it, and a run is not to wait.
        with suppress(OSError):
            temporary.write_text(json.dumps(asdict(self._state)), encoding="utf-8", errors="replace")
            temporary.replace(self.path)


def judging(file: ProgressFile, prices: PriceTable, also: OnProgress | None = None) -> OnProgress:
    """What a judge tells how far it is: that is written, with its cost, and passed on to ``also``."""
    costs: dict[str, float | None] = {}
    failures: dict[str, int] = {}

    def tell(progress: Progress) -> None:
        if progress.model not in failures:
            # A judge's first report comes with all that the cache held for it.
            file.enter("judging", progress.total, progress.done - 1)
        tokens = (progress.prompt_tokens, progress.completion_tokens)
        counted = any(tokens) or not progress.asked
        costs[progress.model] = prices.cost(progress.model, *tokens) if counted else None
        failures[progress.model] = progress.failed
        known = [cost for cost in costs.values() if cost is not None]
        cost = sum(known) if len(known) == len(costs) else None
        file.told(progress.done, sum(failures.values()), cost)
        if also is not None:
            also(replace(progress, cost_usd=cost))

    return tell


@contextmanager
def written_progress(file: ProgressFile, ended: Stage | None = None) -> Iterator[None]:
    """Let a progress file say how the block ended; on a clean exit it enters the stage ``ended``, or is gone."""
    try:
        yield
    except BaseException as error:
        why = str(error) if isinstance(error, MedQBenchError) else type(error).__name__
        file.enter("stopped" if isinstance(error, KeyboardInterrupt) else "failed", why=why)
        raise
    if ended is None:
        file.remove()
    else:
        file.enter(ended)
