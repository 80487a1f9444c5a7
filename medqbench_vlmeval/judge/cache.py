"""What judges said, kept across runs: one SQLite file that all runs of a user share.

Raw replies are kept and never scores: verdicts are read from them each time, so that a better reader reaches replies
that were paid for long ago. A reply is committed, and flushed to the disk, before it counts; a process that dies at any
moment loses the calls in flight and nothing else. SQLite's write-ahead log lets several runs read and write at once. A
file that SQLite cannot read is set aside whole, never deleted. A file or folder that cannot be written (a full disk,
another process's lock, a missing right) costs a warning and never a run.
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
from typing import Any, NamedTuple

from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.protocols import asked_by

FOLDER_VARIABLE = "MEDQBENCH_JUDGE_CACHE"
FILE_NAME = "judge_verdicts.sqlite3"
# How long another process's lock is waited for.
BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, protocol TEXT NOT NULL, judge TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL
);
"""
_COLUMNS = "key, protocol, judge, body, created"
# The table of earlier versions.
_EARLIER = "judgements"
_PROBE = "SELECT key FROM replies LIMIT 1"
_TRY_AGAIN = 0.02

logger = logging.getLogger(__name__)

Row = tuple[str, str, str, Reply]
"""A call's key, the protocol and the judge that ``cache info`` lists the reply under, and the reply."""


class CacheGroup(NamedTuple):
    """The replies of one protocol and judge: their number and the tokens that servers counted."""

    protocol: str
    judge: str
    n: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class CacheInfo:
    """What the file holds: bytes, and replies by protocol and judge."""

    path: Path
    bytes: int
    n: int
    groups: tuple[CacheGroup, ...]


def default_folder() -> Path:
    """``$MEDQBENCH_JUDGE_CACHE``, else the user's cache folder (``~/.cache/medqbench`` on Linux)."""
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("medqbench", appauthor=False)


class ReplyCache:
    """The replies of all runs, found by key. Its methods may be called from several threads.

    Args:
        folder: where the file is; None for :func:`default_folder`.
        patience: how many seconds another process's lock is waited for.
        read_only: make, write and set aside nothing; a file that is not there or cannot be read is taken to be empty.
    """

    def __init__(self, folder: Path | None = None, patience: float = BUSY_SECONDS, *, read_only: bool = False) -> None:
        self.path = (folder if folder is not None else default_folder()) / FILE_NAME
        self._patience = patience
        self._writable = not read_only
        self._warned = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if read_only:
            # Another run's replies may still stand in its journal; without one SQLite need make none to read.
            journal = self.path.with_name(f"{self.path.name}-wal")
            self._open_to_read(immutable=not (journal.exists() and journal.stat().st_size))
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._open_to_write()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._connection = self._begin_anew(error)
        except (OSError, sqlite3.Error) as error:
            self._writable = False
            self._warn("written (%s): the run goes on, and its replies are kept nowhere else", error)
            # Replies in a folder that may only be read are still worth their money.
            self._open_to_read(immutable=True)

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> Reply | None:
        """The reply that is kept under a key."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                row = self._connection.execute("SELECT body FROM replies WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                self._meet(error, "read (%s): replies in it are asked for again")
                return None
        return _reply(row[0]) if row else None

    def add(self, rows: Iterable[Row]) -> None:
        """Make replies durable in one transaction; an older reply of the same key is replaced."""
        now = time.time()
        records = [
            (key, protocol, judge.encode("utf-8", errors="replace").decode("utf-8"), json.dumps(asdict(reply)), now)
            for key, protocol, judge, reply in rows
        ]
        with self._lock:
            try:
                self._insert(records)
            except sqlite3.Error as error:
                if self._meet(error, "written (%s): the run goes on, and replies are lost to later runs"):
                    with contextlib.suppress(sqlite3.Error):
                        self._insert(records)

    def _insert(self, records: Sequence[tuple[str, str, str, str, float]]) -> None:
        if self._writable and self._connection is not None:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO replies VALUES (?,?,?,?,?)", records)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def info(self) -> CacheInfo:
        """What the file holds.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        # A damaged row counts as a reply without tokens.
        query = (
            "SELECT protocol, judge, COUNT(*), SUM(json_extract(whole, '$.prompt_tokens')), "
            "SUM(json_extract(whole, '$.completion_tokens')) FROM (SELECT protocol, judge, "
            "CASE WHEN json_valid(body) THEN body ELSE '{}' END AS whole FROM replies) GROUP BY 1, 2 ORDER BY 1, 2"
        )
        with self._lock:
            rows = self._connection.execute(query).fetchall() if self._connection is not None else []
        groups = tuple(
            CacheGroup(protocol, judge, n, int(read or 0), int(said or 0)) for protocol, judge, n, read, said in rows
        )
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        n_bytes = sum(part.stat().st_size for part in parts if part.exists())
        return CacheInfo(self.path, n_bytes, sum(group.n for group in groups), groups)

    def clear(self, judge: str | None = None, protocol: str | None = None) -> int:
        """Delete replies, of one judge or protocol where named, and give the space back.

        Args:
            judge: the name that :meth:`info` lists it under.
            protocol: see :func:`~.protocols.asked_by`.

        Returns:
            How many were deleted.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        with self._lock:
            if self._connection is None:
                return 0
            with self._connection:
                protocols = self._connection.execute("SELECT DISTINCT protocol FROM replies").fetchall()
                n = sum(
                    self._connection.execute(
                        "DELETE FROM replies WHERE judge = coalesce(?, judge) AND protocol = ?", (judge, name)
                    ).rowcount
                    for (name,) in protocols
                    if asked_by(name, protocol)
                )
            # The replies are gone, whatever becomes of their space.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return n

    def _open_to_write(self) -> sqlite3.Connection:
        # The change to a write-ahead log needs the file for itself, and SQLite does not wait for that.
        deadline = time.monotonic() + self._patience
        while True:
            connection = sqlite3.connect(self.path, timeout=self._patience, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # Each commit reaches the disk: what was paid for survives a power cut too.
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                connection.execute(_PROBE).fetchone()
                _take_over_earlier(connection)
            except sqlite3.OperationalError as error:
                connection.close()
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_TRY_AGAIN)
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def _open_to_read(self, *, immutable: bool) -> None:
        if not self.path.is_file():
            return
        uri = f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        try:
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            try:
                if _has_earlier(connection):
                    connection.execute(f"CREATE TEMP VIEW replies AS SELECT {_COLUMNS} FROM {_EARLIER}")  # noqa: S608
                connection.execute(_PROBE).fetchone()
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            self._warn("read (%s): it is taken to be empty", error)
            return
        self._connection = connection

    def _meet(self, error: sqlite3.Error, consequence: str) -> bool:
        """Begin a new file where the old one is damaged, else warn; whether the file can be used again."""
        if not self._writable or self._connection is None or not _is_damage(error):
            self._warn(consequence, error)
            # A lock that lasted once must not hold up every call.
            with contextlib.suppress(sqlite3.Error):
                if self._connection is not None:
                    self._connection.execute("PRAGMA busy_timeout = 0")
            return False
        self._connection.close()
        self._connection = None
        try:
            self._connection = self._begin_anew(error)
        except (OSError, sqlite3.Error) as other:
            self._warn(consequence, other)
        return self._connection is not None

    def _begin_anew(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Set a damaged file aside and open a new one; of several runs that meet the same damage one does it.

        Raises:
            OSError, sqlite3.Error: no new file can be made.
        """
        from filelock import FileLock

        with FileLock(self.path.with_name(f"{self.path.name}.lock")):
            with contextlib.suppress(sqlite3.DatabaseError):
                connection = self._open_to_write()
                with contextlib.suppress(sqlite3.DatabaseError):
                    if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                        return connection
                connection.close()
            aside = self.path.with_name(f"{self.path.stem}.damaged-{time.time_ns()}.sqlite3")
            for ending in ("", "-wal", "-shm"):
                part = self.path.with_name(self.path.name + ending)
                if part.exists():
                    part.replace(aside.with_name(aside.name + ending))
            connection = self._open_to_write()
        logger.warning(
            "%s is damaged (%s): it is kept as %s, and replies in it are asked for again.", self.path, error, aside.name
        )
        return connection

    def _warn(self, consequence: str, error: Exception) -> None:
        """Say once that the file cannot be used."""
        if not self._warned:
            self._warned = True
            logger.warning(f"The judge's cache %s cannot be {consequence}.", self.path, error)


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not a lock, a full disk or a missing right."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _has_earlier(connection: sqlite3.Connection) -> bool:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return (_EARLIER,) in names


def _take_over_earlier(connection: sqlite3.Connection) -> None:
    """Move the rows of earlier versions into the table of this one; :func:`_reply` reads both forms of a row."""
    if not _has_earlier(connection):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have done it meanwhile.
        if _has_earlier(connection):
            connection.execute(f"INSERT OR IGNORE INTO replies SELECT {_COLUMNS} FROM {_EARLIER}")  # noqa: S608
            connection.execute(f"DROP TABLE {_EARLIER}")


def _reply(body: object) -> Reply | None:
    """The reply in a row; None for one that was damaged or that a later version wrote."""
    try:
        kept = json.loads(body) if isinstance(body, str) else {}
        if "scores" in kept:
            return _reply_of_earlier(kept)
        return Reply(**{**kept, "texts": tuple(kept["texts"])})
    except (ValueError, TypeError, KeyError):
        return None


def _reply_of_earlier(kept: dict[str, Any]) -> Reply:
    """A row of the versions that kept the scores that they had read, and of several replies to a call the last alone.

    What these replies said together on several dimensions is put into the place of the first one.
    """
    texts: list[str | None] = [None] * (kept["asks"] - 1) + [kept["reply"]]
    if len(texts) > 1 and len(kept["scores"]) > 1:
        reasons = kept.get("explanations", {})
        entries = {
            dimension: {"score": score, **({"reason": reasons[dimension]} if dimension in reasons else {})}
            for dimension, score in kept["scores"].items()
        }
        texts[0] = json.dumps(entries)
    return Reply(tuple(texts), kept["judge"], kept["prompt_tokens"], kept["completion_tokens"])
