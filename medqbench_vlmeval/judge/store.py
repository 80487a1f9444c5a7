"""Verdicts that outlive a run: an SQLite file that all runs of a user share.

An answer is committed, and flushed to the disk, before it counts; a process that dies at any moment loses the
calls in flight and nothing else. SQLite's write-ahead log lets several runs read and write at once. A row holds
its own checksum: one that was damaged is passed over and asked again, and a file that SQLite cannot read any
more is set aside, never deleted, with what can be saved of it taken over. The file is bounded: when it is over
its limit the answers that were used longest ago go. A file or folder that cannot be written (a full disk, another
process's lock, a file that was deleted or moved away) costs a warning and never a run: what came meanwhile waits in
memory, and is written as soon as that can be done, or when the store is closed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import store_file
from medqbench_vlmeval.judge.calls import Judgement
from medqbench_vlmeval.judge.protocol import asked_by
from medqbench_vlmeval.judge.store_place import FILE_NAME, LIMIT_VARIABLE, default_folder, size_limit

logger = logging.getLogger(__name__)

__all__ = ["FILE_NAME", "CacheInfo", "Entry", "Judgement", "VerdictStore", "default_folder", "size_limit"]

# A run must not stand still for a file that could not be written a moment ago.
_TRY_AGAIN_AFTER = 5.0


@dataclass(frozen=True)
class Entry:
    """An answer to keep, with the protocol and the judge that ``cache info`` lists it under."""

    key: str
    protocol: str
    judge: str
    judgement: Judgement


@dataclass(frozen=True)
class CacheInfo:
    """What the file holds: bytes, answers, and their number and tokens by protocol and judge."""

    path: Path
    bytes: int
    limit_bytes: int
    n: int
    groups: tuple[tuple[str, str, int, int, int], ...]


class VerdictStore:
    """The answers of all runs, found by key. Its methods may be called from several threads.

    Args:
        folder: where the file is; None for :func:`default_folder`.
        limit: the most bytes of the file; None for :func:`size_limit`.
        patience: how many seconds another process's lock is waited for.
    """

    def __init__(
        self, folder: Path | None = None, limit: int | None = None, patience: float = store_file.BUSY_SECONDS
    ) -> None:
        self.path = (folder if folder is not None else default_folder()) / FILE_NAME
        self.limit = limit if limit is not None else size_limit()
        self.damaged = 0
        self._patience = patience
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._waiting: list[store_file.Row] = []
        self._connection: sqlite3.Connection | None = None
        # The file that the connection writes to; None where it only reads.
        self._file: tuple[int, int] | None = None
        self._failed_at: float | None = None
        self._read_failed = False
        try:
            self._connection = self._opened(patience)
        except (OSError, sqlite3.Error) as error:
            self._read_what_is_there()
            self._failed(error)

    def __enter__(self) -> VerdictStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> Judgement | None:
        """The answer that is kept under a key, if there is a whole one."""
        with self._lock:
            if self._connection is None:
                return None
            row = self._read(key)
            if row is None:
                return None
            found = _judgement(key, *row)
            if found is None:
                self.damaged += 1
            else:
                self._used.add(key)
            return found

    def add(self, entries: Iterable[Entry]) -> None:
        """Make answers durable in one transaction; an older answer of the same key is replaced."""
        now = time.time()
        rows = []
        for entry in entries:
            body = json.dumps(asdict(entry.judgement), sort_keys=True)
            checksum = _checksum(entry.key, body)
            rows.append((entry.key, entry.protocol, _storable(entry.judge), body, checksum, now, now))
        with self._lock:
            self._waiting += rows
            if self._failed_at is None:
                self._write(self._patience)
            elif time.monotonic() - self._failed_at > _TRY_AGAIN_AFTER:
                self._write(0.0)

    def close(self) -> None:
        """Write what still waits, note which answers were used, keep the file within its limit and close it."""
        with self._lock:
            self._write(self._patience)
            if self._waiting:
                logger.warning("%d answers could not be kept in the judge's cache %s.", len(self._waiting), self.path)
                self._waiting.clear()
            if self._connection is None:
                return
            if self._file is not None and self._failed_at is None:
                # Nothing is lost where this fails: it concerns the order of later removals alone.
                with contextlib.suppress(sqlite3.Error):
                    self._note_use()
                    self._keep_within_limit()
            self._connection.close()
            self._connection = None

    def info(self) -> CacheInfo:
        """What the file holds.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        with self._lock:
            rows = (
                []
                if self._connection is None
                else self._connection.execute(
                    # A damaged row counts as an answer without tokens.
                    "SELECT protocol, judge, COUNT(*), SUM(json_extract(whole, '$.prompt_tokens')), "
                    "SUM(json_extract(whole, '$.completion_tokens')) FROM (SELECT protocol, judge, "
                    "CASE WHEN json_valid(body) THEN body ELSE '{}' END AS whole FROM judgements) "
                    "GROUP BY 1, 2 ORDER BY 1, 2"
                ).fetchall()
            )
        groups = tuple((protocol, judge, n, int(read or 0), int(said or 0)) for protocol, judge, n, read, said in rows)
        return CacheInfo(self.path, self._bytes(), self.limit, sum(group[2] for group in groups), groups)

    def clear(self, judge: str | None = None, protocol: str | None = None) -> int:
        """Delete answers, of one judge or protocol where named, and give the space back.

        Args:
            judge: the name that :meth:`info` lists it under.
            protocol: see :func:`~.protocol.asked_by`.

        Returns:
            How many were deleted.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        with self._lock:
            if self._connection is None:
                return 0
            with self._connection:
                known = self._connection.execute("SELECT DISTINCT protocol FROM judgements").fetchall()
                n = sum(
                    self._connection.execute(
                        "DELETE FROM judgements WHERE judge = coalesce(?, judge) AND protocol = ?", (judge, name)
                    ).rowcount
                    for (name,) in known
                    if asked_by(name, protocol)
                )
            # The answers are gone, whatever becomes of their space.
            with contextlib.suppress(sqlite3.Error):
                store_file.give_space_back(self._connection)
            return n

    def _opened(self, patience: float) -> sqlite3.Connection | None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = store_file.open_file(self.path, patience)
        except sqlite3.DatabaseError as error:
            if not store_file.is_damage(error):
                raise
            connection = store_file.rescued(self.path, error, _is_whole)
        self._file = store_file.identity(self.path)
        return connection

    def _read(self, key: str) -> tuple[str, str] | None:
        for attempt in (1, 2):
            if self._connection is None:
                return None
            try:
                query = self._connection.execute("SELECT body, checksum FROM judgements WHERE key = ?", (key,))
                found: tuple[str, str] | None = query.fetchone()
            except sqlite3.Error as error:
                if attempt == 1 and self._file is not None and store_file.is_damage(error):
                    self._rescue(error)
                    continue
                if not self._read_failed:
                    self._read_failed = True
                    logger.warning("%s cannot be read (%s): answers in it are asked for again.", self.path, error)
                return None
            return found
        return None

    def _write(self, patience: float) -> None:
        """Write the rows that wait; where that cannot be done now, they wait on. ``patience`` is in seconds."""
        if not self._waiting:
            return
        try:
            self._make_ready(patience)
            self._insert(patience)
        except sqlite3.Error as error:
            if not store_file.is_damage(error):
                self._failed(error)
                return
            self._rescue(error)
            if self._file is None:
                return
            try:
                self._insert(patience)
            except sqlite3.Error as other:
                self._failed(other)
                return
        except OSError as error:
            self._failed(error)
            return
        if self._failed_at is not None:
            logger.warning("%s can be written again: %d answers that waited are kept.", self.path, len(self._waiting))
            self._failed_at = None
        self._used.update(row[0] for row in self._waiting)
        self._waiting.clear()

    def _make_ready(self, patience: float) -> None:
        """Open the file for writing where it is not, or is no longer the one that other runs will find."""
        if self._connection is not None and self._file is not None:
            if self._file == store_file.identity(self.path):
                return
            logger.warning("%s was deleted or moved: this run's answers are kept in a new file.", self.path)
            with contextlib.suppress(sqlite3.Error):
                # What this run used or paid for goes along; the rest was taken away by somebody.
                self._waiting[:0] = store_file.rows_of(self._connection, sorted(self._used))
            self._connection.close()
            self._connection = self._file = None
            store_file.remove_leftovers(self.path)
        reading = self._connection
        self._connection = self._opened(patience)
        if reading is not None:
            reading.close()

    def _insert(self, patience: float) -> None:
        if self._connection is not None:
            store_file.be_patient(self._connection, patience)
            store_file.insert(self._connection, self._waiting)

    def _rescue(self, error: sqlite3.Error) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._file = None
        try:
            self._connection = store_file.rescued(self.path, error, _is_whole)
            self._file = store_file.identity(self.path)
        except (OSError, sqlite3.Error) as other:
            self._read_what_is_there()
            self._failed(other)

    def _read_what_is_there(self) -> None:
        """Answers in a folder that may only be read are still worth their money."""
        with contextlib.suppress(sqlite3.Error):
            self._connection = store_file.open_to_read(self.path, immutable=True)

    def _failed(self, error: Exception) -> None:
        if self._failed_at is None:
            logger.warning(
                "The judge's cache %s cannot be written (%s): the run goes on, and answers are lost if it is killed "
                "before that heals.",
                self.path,
                error,
            )
        self._failed_at = time.monotonic()

    def _note_use(self) -> None:
        assert self._connection is not None  # noqa: S101
        now = time.time()
        with self._connection:
            self._connection.executemany(
                "UPDATE judgements SET used = ? WHERE key = ?", [(now, key) for key in sorted(self._used)]
            )
        self._used.clear()

    def _keep_within_limit(self) -> None:
        assert self._connection is not None  # noqa: S101
        removed, n = store_file.keep_within(self._connection, self.limit)
        if removed:
            logger.warning(
                "The judge's cache %s was over its limit (%s): of %d answers the %d used longest ago were removed.",
                self.path,
                LIMIT_VARIABLE,
                n,
                removed,
            )

    def _bytes(self) -> int:
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())


def _judgement(key: str, body: str, checksum: str) -> Judgement | None:
    if not isinstance(body, str) or checksum != _checksum(key, body):
        return None
    try:
        return Judgement(**json.loads(body))
    except TypeError:
        # A later version's answer, with fields that this one does not know.
        return None


def _storable(name: str) -> str:
    """SQLite takes no lone surrogates, which a command line may hold."""
    return name.encode("utf-8", errors="replace").decode("utf-8")


def _checksum(key: str, body: str) -> str:
    return sha256_text(f"{key}\0{body}")[:16]


def _is_whole(row: store_file.Row) -> bool:
    return _judgement(row[0], row[3], row[4]) is not None
