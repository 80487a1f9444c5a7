"""Verdicts that outlive a run.

Each verdict that was paid for is appended to a file, flushed to the disk, before it counts; a run that was
killed, and every later run with the same judge, takes it from there. A line carries its own checksum: one that
was cut by a crash or edited by hand is passed over and asked again. Only verdicts with a score are kept. A
journal that cannot be written warns once and never stops a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medqbench_vlmeval.records import Verdict

logger = logging.getLogger(__name__)

FILE_NAME = "judge_journal.jsonl"


class Journal:
    """An append-only file of verdicts, shared by all runs of a work folder.

    A verdict is found again by ``scope`` (judge, protocol and parameters, as in the settings of a result; where
    the judge is served is left out) and by the hash of its whole prompt, which holds template, answer and
    reference.
    """

    def __init__(self, path: Path, scope: Mapping[str, Any]) -> None:
        self.path = path
        self._scope = hashlib.sha256(json.dumps(scope, sort_keys=True).encode()).hexdigest()
        self._writable = True
        self.damaged = 0
        self.reused = 0
        self._known = self._read()

    def known(self, prompt_sha256: str) -> Verdict | None:
        """The verdict that an earlier run got for this prompt, if there is one."""
        found = self._known.get(prompt_sha256)
        self.reused += found is not None
        return found

    def add(self, verdict: Verdict) -> None:
        """Make a verdict durable. Failed ones, and those that came from here, are not written."""
        if verdict.score is None or verdict.prompt_sha256 in self._known:
            return
        self._known[verdict.prompt_sha256] = verdict
        if not self._writable:
            return
        body = json.dumps({"scope": self._scope, "verdict": asdict(verdict)}, sort_keys=True)
        try:
            self._append(f"{_checksum(body)} {body}\n".encode())
        except OSError as error:
            self._writable = False
            logger.warning("%s cannot be written (%s): a broken run would be judged again.", self.path, error.strerror)

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One write on a descriptor opened for appending: lines of several processes do not mix.
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + line if cut else line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, Verdict]:
        found: dict[str, Verdict] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return found
        except OSError as error:
            logger.warning("%s cannot be read (%s): verdicts in it are asked for again.", self.path, error.strerror)
            return found
        for line in lines:
            checksum, _, body = line.decode("utf-8", errors="replace").partition(" ")
            if checksum != _checksum(body):
                self.damaged += bool(line)
                continue
            entry = json.loads(body)
            if entry["scope"] == self._scope:
                found[entry["verdict"]["prompt_sha256"]] = Verdict(**entry["verdict"])
        if self.damaged:
            logger.warning("%s: %d damaged lines are passed over.", self.path, self.damaged)
        return found


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
