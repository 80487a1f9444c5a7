"""How far a run is: a small file beside its predictions, ``{stem}_progress.json``, that the viewer reads. It is
replaced whole, at most once a second between two stages, and taken away when the results are there; it may outlive its
process (:func:`is_running` tells). One that cannot be written stops no run."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medqbench_vlmeval.errors import MedQBenchError
from medqbench_vlmeval.files import json_object, write_bytes
from medqbench_vlmeval.runs.result import adapter_of
from medqbench_vlmeval.steps import heard_by

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.calls import OnProgress, Progress
    from medqbench_vlmeval.judge.usage import PriceTable

PROGRESS_ENDING = "_progress.json"
REPLIES_COMPLETE, FAILED = "replies complete", "failed"
_EVERY = 1.0  # seconds between two files of one stage
# What another process, or one on another machine, says of itself is believed for so long.
_FRESH, _LONGEST_SILENCE = 15.0, 900.0


@dataclass(frozen=True)
class RunProgress:
    """How far one model is on one dataset. ``stage`` is 'loading', 'inference', a step of the evaluation, or how it
    ended. ``done`` of ``total`` samples or judge's calls, ``before`` of them when the stage began; ``more`` says
    failures, cost, or why it failed. ``since`` (the stage's beginning) and ``updated`` are in seconds since 1970."""

    model: str
    dataset: str
    stage: str
    since: float
    updated: float
    pid: int
    host: str
    done: int = 0
    total: int | None = None
    before: int = 0
    more: str = ""
    log: str | None = None


def progress_path(folder: Path, stem: str) -> Path:
    """The progress file of the run whose files in ``folder`` begin with ``stem``."""
    return folder / f"{stem}{PROGRESS_ENDING}"


def read_progress(path: Path) -> RunProgress | None:
    """What a progress file says; None where there is none, or none that this package wrote."""
    try:
        known: RunProgress = adapter_of(RunProgress).validate_python(json_object(path))
    except ValueError:
        return None
    return known if math.isfinite(known.since) and math.isfinite(known.updated) else None


def is_running(progress: RunProgress, now: float) -> bool:
    """Whether, ``now`` seconds after 1970, what wrote a file is at work: its silence tells, and here its process."""
    silence = now - progress.updated
    if progress.stage in (REPLIES_COMPLETE, FAILED) or silence < _FRESH:
        return progress.stage not in (REPLIES_COMPLETE, FAILED)
    if progress.host == socket.gethostname() and Path("/proc/self").exists():
        return Path(f"/proc/{progress.pid}").exists()
    return silence < _LONGEST_SILENCE


class ProgressFile:
    """Writes the progress of one model on one dataset, from many threads, where the folder of its ``path`` is there. A
    file of that name that holds no progress is somebody's and stays: nothing is written then."""

    def __init__(self, path: Path, model: str, dataset: str) -> None:
        logs = (each for each in logging.getLogger("vlmeval").handlers if isinstance(each, logging.FileHandler))
        log = next((os.path.relpath(each.baseFilename, path.parent) for each in logs), None)
        self.path, self._lock, self._written = path, threading.Lock(), 0.0
        self._is_somebodys = os.path.lexists(path) and read_progress(path) is None
        self._state = RunProgress(model, dataset, "", 0, 0, os.getpid(), socket.gethostname(), log=log)

    def told(self, stage: str, done: int = 0, total: int | None = None, more: str = "") -> None:
        """Note how far it is: a new stage at once, else once a second; the numbers of one that is over stay."""
        with self._lock:
            if stage not in (REPLIES_COMPLETE, FAILED):
                self._state = replace(self._state, done=done, total=total)
            is_new = stage != self._state.stage
            if is_new:
                self._state = replace(self._state, stage=stage, since=time.time(), before=done)
            self._state = replace(self._state, more=more)
            if not self._is_somebodys and (is_new or time.monotonic() - self._written >= _EVERY):
                self._write()

    def _write(self) -> None:
        self._written, self._state = time.monotonic(), replace(self._state, updated=time.time())
        # No flush to the disk: nobody pays for what is in it, and a run is not to wait.
        with suppress(OSError):
            if self.path.parent.is_dir():
                write_bytes(self.path, json.dumps(asdict(self._state)).encode(), durable=False)

    def remove(self) -> None:
        """Take the file away: the results are there."""
        if not self._is_somebodys:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


def judging(prices: PriceTable, also: OnProgress | None) -> OnProgress:
    """What a judge tells how far it is: that is passed on with what all judges so far have cost and failed at."""
    last: dict[str, Progress] = {}

    def tell(progress: Progress) -> None:
        last[progress.model], costs = progress, []
        for each in last.values():
            tokens = each.prompt_tokens, each.completion_tokens
            costs.append(prices.cost(each.model, *tokens) if any(tokens) or not each.asked else None)
        known = [cost for cost in costs if cost is not None]
        cost, failed = sum(known) if len(known) == len(costs) else None, sum(each.failed for each in last.values())
        if also is not None:
            also(replace(progress, cost_usd=cost, failed=failed))

    return tell


@contextmanager
def written_progress(file: ProgressFile) -> Iterator[None]:
    """Write down the steps of the block (see :mod:`.steps`); then the file is gone, or says that it failed. Of what is
    interrupted, like of what is killed, the end of its process tells."""
    try:
        with heard_by(file.told):
            yield
    except Exception as error:
        if os.path.lexists(file.path):
            file.told(FAILED, more=str(error) if isinstance(error, MedQBenchError) else type(error).__name__)
        raise
    file.remove()
