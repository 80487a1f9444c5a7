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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.calls import Judgement

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "MEDQBENCH_JUDGE_CACHE"
LIMIT_VARIABLE = "MEDQBENCH_JUDGE_CACHE_MB"
FILE_NAME = "judge_verdicts.sqlite3"
DEFAULT_LIMIT_MB = 2048
_BUSY_SECONDS = 30.0
# One removal makes room for many answers to come.
_ROOM = 0.1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS judgements (
    key TEXT PRIMARY KEY, protocol TEXT NOT NULL, judge TEXT NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL,
    created REAL NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
"""


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
            try:
                row = self._connection.execute("SELECT body, checksum FROM judgements WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                logger.warning("%s cannot be read (%s): answers in it are asked for again.", self.path, error)
                return None
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
            rows.append((entry.key, entry.protocol, entry.judge, body, checksum, now, now))
        with self._lock:
            if self._connection is None or not self._writable or not rows:
                return
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO judgements VALUES (?,?,?,?,?,?,?)", rows)
                self._used.update(row[0] for row in rows)
            except sqlite3.Error as error:
                self._give_up(error)

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
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return n

    def _opened(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._connected()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or not self.path.exists():
                raise
            return self._rescued(error)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # Each commit reaches the disk: what was paid for survives a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            connection.execute("SELECT COUNT(*) FROM judgements").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _rescued(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Set a file aside that SQLite cannot read, and take over what can be saved of it."""
        aside = self.path.with_name(f"{self.path.stem}.damaged-{int(time.time())}-{os.getpid()}.sqlite3")
        for ending in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
        connection = self._connected()
        saved = 0
        for row in _readable_rows(aside):
            if _judgement(row[0], row[3], row[4]) is not None:
                with connection:
                    connection.execute("INSERT OR REPLACE INTO judgements VALUES (?,?,?,?,?,?,?)", row)
                saved += 1
        logger.warning("%s is damaged (%s): it is kept as %s, and %d answers of it were saved.",
                       self.path, error, aside.name, saved)  # fmt: skip
        return connection

    def _give_up(self, error: Exception) -> None:
        self._writable = False
        if self._connection is None:
            with contextlib.suppress(sqlite3.Error):
                # Answers in a folder that may only be read are still worth their money.
                uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
                found = sqlite3.connect(uri, uri=True, check_same_thread=False)
                found.execute("SELECT COUNT(*) FROM judgements").fetchone()
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
        query = "SELECT COALESCE(SUM(LENGTH(CAST(body AS BLOB)) + LENGTH(key) + 100), 0), COUNT(*) FROM judgements"
        size, n = self._connection.execute(query).fetchone()
        if size <= self.limit:
            return
        surplus, removed = size - self.limit * (1 - _ROOM), []
        for key, length in self._connection.execute(
            "SELECT key, LENGTH(CAST(body AS BLOB)) + LENGTH(key) + 100 FROM judgements ORDER BY used, created, key"
        ):
            if surplus <= 0:
                break
            removed.append((key,))
            surplus -= length
        with self._connection:
            self._connection.executemany("DELETE FROM judgements WHERE key = ?", removed)
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        logger.warning("The judge's cache %s was over its limit: the %d answers of %d that were used longest ago were "
                       "removed (%s sets the limit).", self.path, len(removed), n, LIMIT_VARIABLE)  # fmt: skip

    def _bytes(self) -> int:
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())


def _judgement(key: str, body: str, checksum: str) -> Judgement | None:
    if not isinstance(body, str) or checksum != _checksum(key, body):
        return None
    return Judgement(**json.loads(body))


def _checksum(key: str, body: str) -> str:
    return sha256_text(f"{key}\0{body}")[:16]


def _readable_rows(path: Path) -> Iterator[tuple[str, str, str, str, str, float, float]]:
    """Rows of a damaged file from both of its ends, each as far as SQLite gets."""
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            yield from connection.execute(f"SELECT * FROM judgements ORDER BY key {order}")  # noqa: S608
