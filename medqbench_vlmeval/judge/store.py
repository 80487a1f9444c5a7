"""Verdicts that outlive a run: an SQLite file that all runs of a user share.

An answer is committed, and flushed to the disk, before it counts; a process that dies at any moment loses the
calls in flight and nothing else. SQLite's write-ahead log lets several runs read and write at once. A row holds
its own checksum: one that was damaged is passed over and asked again, and a file that SQLite cannot read any
more is set aside, never deleted, with what can be saved of it taken over. The file is bounded: when it is over
its limit the answers that were used longest ago go. A file or folder that cannot be written costs a warning and
never a run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import store_file
from medqbench_vlmeval.judge.calls import Judgement

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "MEDQBENCH_JUDGE_CACHE"
LIMIT_VARIABLE = "MEDQBENCH_JUDGE_CACHE_MB"
FILE_NAME = "judge_verdicts.sqlite3"
DEFAULT_LIMIT_MB = 2048


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


def default_folder() -> Path:
    """``$MEDQBENCH_JUDGE_CACHE``, else the user's cache folder (``~/.cache/medqbench`` on Linux)."""
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("medqbench", appauthor=False)


def size_limit() -> int:
    """The file's limit in bytes: ``$MEDQBENCH_JUDGE_CACHE_MB`` MiB, 2,048 MiB by default.

    Raises:
        BadInput: the variable is not a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip() or str(DEFAULT_LIMIT_MB)
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise BadInput(f"{LIMIT_VARIABLE} is '{text}'; it must be a positive number of MiB.")
    return int(limit * 2**20)


class VerdictStore:
    """The answers of all runs, found by key. Its methods may be called from several threads."""

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.path = (folder if folder is not None else default_folder()) / FILE_NAME
        self.limit = limit if limit is not None else size_limit()
        self.damaged = 0
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._writable = True
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._opened()
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

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
            if self._connection is None or not self._writable or not rows:
                return
            try:
                self._insert(rows)
            except sqlite3.Error as error:
                if not store_file.is_damage(error):
                    self._give_up(error)
                    return
                self._rescue(error)
                with contextlib.suppress(sqlite3.Error):
                    self._insert(rows)
            self._used.update(row[0] for row in rows)

    def close(self) -> None:
        """Note which answers were used, keep the file within its limit and close it."""
        with self._lock:
            if self._connection is None:
                return
            if self._writable:
                # Nothing is lost where this fails: it concerns the order of later removals alone.
                with contextlib.suppress(sqlite3.Error):
                    self._note_use()
                    self._keep_within_limit()
            self._connection.close()
            self._connection = None

    def info(self) -> CacheInfo:
        """What the file holds."""
        with self._lock:
            rows = (
                []
                if self._connection is None
                else self._connection.execute(
                    "SELECT protocol, judge, COUNT(*), SUM(json_extract(body, '$.prompt_tokens')), "
                    "SUM(json_extract(body, '$.completion_tokens')) FROM judgements GROUP BY 1, 2 ORDER BY 1, 2"
                ).fetchall()
            )
        groups = tuple((protocol, judge, n, int(read), int(said)) for protocol, judge, n, read, said in rows)
        return CacheInfo(self.path, self._bytes(), self.limit, sum(group[2] for group in groups), groups)

    def clear(self, judge: str | None = None, protocol: str | None = None) -> int:
        """Delete answers, of one judge or protocol where named, and give the space back.

        Returns:
            How many were deleted.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        with self._lock:
            if self._connection is None:
                return 0
            with self._connection:
                n = self._connection.execute(
                    "DELETE FROM judgements WHERE judge = coalesce(?, judge) AND protocol = coalesce(?, protocol)",
                    (judge, protocol),
                ).rowcount
            store_file.give_space_back(self._connection)
            return n

    def _opened(self) -> sqlite3.Connection | None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return store_file.open_file(self.path)
        except sqlite3.DatabaseError as error:
            if not store_file.is_damage(error):
                raise
            return store_file.rescued(self.path, error, _is_whole)

    def _read(self, key: str) -> tuple[str, str] | None:
        for attempt in (1, 2):
            if self._connection is None:
                return None
            try:
                query = self._connection.execute("SELECT body, checksum FROM judgements WHERE key = ?", (key,))
                found: tuple[str, str] | None = query.fetchone()
            except sqlite3.Error as error:
                if attempt == 1 and self._writable and store_file.is_damage(error):
                    self._rescue(error)
                    continue
                logger.warning("%s cannot be read (%s): answers in it are asked for again.", self.path, error)
                return None
            return found
        return None

    def _insert(self, rows: Sequence[store_file.Row]) -> None:
        if self._connection is not None:
            store_file.insert(self._connection, rows)

    def _rescue(self, error: sqlite3.Error) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            self._connection = store_file.rescued(self.path, error, _is_whole)
        except (OSError, sqlite3.Error) as other:
            self._give_up(other)

    def _give_up(self, error: Exception) -> None:
        self._writable = False
        if self._connection is None:
            with contextlib.suppress(sqlite3.Error):
                # Answers in a folder that may only be read are still worth their money.
                uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
                found = sqlite3.connect(uri, uri=True, check_same_thread=False)
                found.execute("SELECT key FROM judgements LIMIT 1").fetchone()
                self._connection = found
        logger.warning(
            "The judge's cache %s cannot be written (%s): the run goes on without keeping answers.",
            self.path,
            error,
        )

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
    return Judgement(**json.loads(body))


def _storable(name: str) -> str:
    """SQLite takes no lone surrogates, which a command line may hold."""
    return name.encode("utf-8", errors="replace").decode("utf-8")


def _checksum(key: str, body: str) -> str:
    return sha256_text(f"{key}\0{body}")[:16]


def _is_whole(row: store_file.Row) -> bool:
    return _judgement(row[0], row[3], row[4]) is not None
