"""What judges said, kept across runs: one SQLite file that all runs of a user share. Raw replies are kept and never
scores, so that a better reader reaches replies that were paid for long ago. A reply is committed, and flushed to the
disk, before it counts; a process that dies loses the calls in flight and nothing else. A write-ahead log lets several
runs read and write at once. A file that SQLite cannot read, or of another schema, is set aside whole, never deleted.
One that cannot be written (a full disk, another process's lock, a missing right) costs a warning and never a run."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.protocols import asked_by

FILE_NAME = "judge_verdicts.sqlite3"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, protocol TEXT NOT NULL, judge TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL
);
"""
# It goes up with the table; files of before it was counted have 0.
_SCHEMA_VERSION = 1
_COLUMNS = ("key", "protocol", "judge", "body", "created")
_INSERT = "INSERT OR REPLACE INTO replies (key, protocol, judge, body, created) VALUES (?,?,?,?,?)"
# Earlier versions had another table; :func:`_reply` reads both forms of a row.
_HAS_EARLIER = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'judgements'"
_EARLIER_ROWS = "SELECT key, protocol, judge, body, created FROM judgements"
# A damaged row counts as a reply without tokens.
_GROUPS = """
SELECT protocol, judge, COUNT(*), CAST(TOTAL(json_extract(whole, '$.prompt_tokens')) AS INTEGER),
    CAST(TOTAL(json_extract(whole, '$.completion_tokens')) AS INTEGER)
FROM (SELECT protocol, judge, CASE WHEN json_valid(body) THEN body ELSE '{}' END AS whole FROM replies)
GROUP BY 1, 2 ORDER BY 1, 2
"""
_CLEAR = "DELETE FROM replies WHERE judge = coalesce(?, judge) AND asked_by(protocol, ?)"

_T = TypeVar("_T")
logger = logging.getLogger(__name__)

Row = tuple[str, str, str, Reply]
"""A call's key, the protocol and the judge that ``cache info`` lists the reply under, and the reply."""


class _OtherSchema(sqlite3.DatabaseError):
    """A file of SQLite's that this version cannot keep replies in."""


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
    from platformdirs import user_cache_path

    named = os.environ.get("MEDQBENCH_JUDGE_CACHE", "").strip()
    return Path(named).expanduser() if named else user_cache_path("medqbench", appauthor=False)


class ReplyCache(contextlib.AbstractContextManager["ReplyCache"]):
    """The replies of all runs, found by key, for several threads, in ``folder`` (None: :func:`default_folder`). Another
    process's lock is waited for ``patience`` seconds. ``read_only`` writes and sets aside nothing, and takes an
    unreadable file for an empty one. BadInput where a folder, a pipe or a device is in the file's place."""

    def __init__(self, folder: Path | None = None, patience: float = 30.0, *, read_only: bool = False) -> None:
        self.path = (folder if folder is not None else default_folder()) / FILE_NAME
        self._patience = patience
        self._writable = not read_only
        self._warned = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        # Asked once: another run may be setting the file aside.
        try:
            mode = self.path.stat().st_mode
        except OSError:
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):  # a pipe would be waited for without end
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
            raise BadInput(
                f"{self.path} is {kind} and no file: move it, or name another folder for the judge's cache in "
                "MEDQBENCH_JUDGE_CACHE."
            )
        if read_only:
            # Another run's replies may still stand in its journal; without one SQLite need make none to read.
            journal = self.path.with_name(f"{self.path.name}-wal")
            self._open_to_read(immutable=not (journal.exists() and journal.stat().st_size))
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._turn():
                try:
                    self._connection = self._open_to_write()
                except sqlite3.DatabaseError as error:
                    self._set_aside(error)
        except (OSError, sqlite3.Error) as error:
            self._writable = False
            self._warn("written (%s): the run goes on, and its replies are kept nowhere else", error)
            # Replies in a folder that may only be read are still worth their money.
            self._open_to_read(immutable=True)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def get(self, key: str) -> Reply | None:
        """The reply that is kept under a key."""
        query = "SELECT body FROM replies WHERE key = ?"
        consequence = "read (%s): replies in it are asked for again"
        row = self._use(lambda connection: connection.execute(query, (key,)).fetchone(), consequence)
        return _reply(row[0]) if row else None

    def add(self, rows: Iterable[Row]) -> None:
        """Make replies durable in one transaction; an older reply of the same key is replaced."""
        now = time.time()
        records = [
            (key, protocol, judge.encode("utf-8", errors="replace").decode("utf-8"), json.dumps(asdict(reply)), now)
            for key, protocol, judge, reply in rows
        ]

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(_INSERT, records)

        if self._writable:
            self._use(insert, "written (%s): the run goes on, and replies are lost to later runs")

    def info(self) -> CacheInfo:
        """What the file holds; RunFailed where it cannot be read."""
        try:
            with self._lock:
                rows = self._connection.execute(_GROUPS).fetchall() if self._connection is not None else []
        except sqlite3.Error as error:
            raise RunFailed(
                f"{self.path} cannot be read to its end ({error}); the next run that meets the damage sets the file "
                "aside and begins a new one."
            ) from error
        groups = tuple(map(CacheGroup._make, rows))
        parts = (self.path.with_name(self.path.name + ending) for ending in ("", "-wal"))
        n_bytes = sum(part.stat().st_size for part in parts if part.exists())
        return CacheInfo(self.path, n_bytes, sum(group.n for group in groups), groups)

    def clear(self, judge: str | None = None, protocol: str | None = None) -> int:
        """Delete the replies that :meth:`info` lists under ``judge`` and for which ``protocols.asked_by`` holds, give
        the space back and say how many it were. Raises RunFailed where the file cannot be written."""
        with self._lock:
            if self._connection is None:
                return 0
            try:
                with self._connection:
                    self._connection.create_function("asked_by", 2, asked_by)
                    n = self._connection.execute(_CLEAR, (judge, protocol)).rowcount
            except sqlite3.Error as error:
                raise RunFailed(f"{self.path} cannot be written ({error}); nothing was deleted.") from error
            # The replies are gone, whatever becomes of their space.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return n

    def _use(self, work: Callable[[sqlite3.Connection], _T], consequence: str) -> _T | None:
        """What ``work`` gives, in a new file where it meets damage; None, with a warning, where nothing helps."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                try:
                    return work(self._connection)
                except sqlite3.DatabaseError as error:
                    return work(self._begin_anew(error))
            except (OSError, sqlite3.Error) as error:
                self._warn(consequence, error)
            if self._connection is not None:
                # A lock that lasted once must not hold up every call.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA busy_timeout = 0")
            return None

    def _open_to_write(self) -> sqlite3.Connection:
        # The change to a write-ahead log needs the file for itself, and SQLite does not wait for that.
        deadline = time.monotonic() + self._patience
        while True:
            connection = sqlite3.connect(self.path, timeout=self._patience, check_same_thread=False)
            try:
                return _prepared(connection)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _open_to_read(self, *, immutable: bool) -> None:
        uri = f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        try:
            if self.path.is_file():
                self._connection = _prepared(sqlite3.connect(uri, uri=True, check_same_thread=False), read_only=True)
        except sqlite3.Error as error:
            self._warn("read (%s): it is taken to be empty", error)

    def _begin_anew(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Set a damaged file aside and open a new one; of several runs that meet the same damage one does it."""
        # A lock, a full disk or a missing right.
        if not self._writable or isinstance(error, sqlite3.OperationalError):
            raise error
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with self._turn():
            return self._set_aside(error)

    def _turn(self) -> contextlib.AbstractContextManager[object]:
        """One run at a time opens the file or sets it aside: another could meet it half made, and lose its replies."""
        from filelock import FileLock

        return FileLock(self.path.with_name(f"{self.path.name}.lock"))

    def _set_aside(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        if isinstance(error, sqlite3.OperationalError):
            raise error
        with contextlib.suppress(sqlite3.DatabaseError):
            connection = self._open_to_write()
            with contextlib.suppress(sqlite3.DatabaseError):
                if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    self._connection = connection
                    return connection
            connection.close()
        is_other = isinstance(error, _OtherSchema)
        kind = "other-schema" if is_other else "damaged"
        aside = self.path.with_name(f"{self.path.stem}.{kind}-{time.time_ns()}.sqlite3")
        # The file goes last: what stays of it where the process ends in between is still damaged.
        for ending in ("-wal", "-shm", ""):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
        self._connection = self._open_to_write()
        what = "is of another version of this package" if is_other else "is damaged"
        logger.warning(
            f"%s {what} (%s): it is kept as %s, and replies in it are asked for again.", self.path, error, aside.name
        )
        return self._connection

    def _warn(self, consequence: str, error: Exception) -> None:
        """Say once that the file cannot be used."""
        if not self._warned:
            self._warned = True
            logger.warning(f"The judge's cache %s cannot be {consequence}.", self.path, error)


def _prepared(connection: sqlite3.Connection, *, read_only: bool = False) -> sqlite3.Connection:
    """The connection, ready to be used; it is closed where that fails."""
    try:
        version = _version(connection)
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            # Each commit reaches the disk: what was paid for survives a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        has_earlier = connection.execute(_HAS_EARLIER).fetchone()
        if has_earlier and read_only:
            connection.execute(f"CREATE TEMP VIEW replies AS {_EARLIER_ROWS}")
        elif has_earlier:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                # Another process may have done it meanwhile.
                if connection.execute(_HAS_EARLIER).fetchone():
                    connection.execute(f"INSERT OR IGNORE INTO replies {_EARLIER_ROWS}")
                    connection.execute("DROP TABLE judgements")
        if not (has_earlier and read_only):
            _check_columns(connection)
        connection.execute("SELECT key FROM replies LIMIT 1").fetchone()
        if not (read_only or version):
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    """The file's schema, 0 where it was not counted yet."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, _SCHEMA_VERSION):
        raise _OtherSchema(f"schema {version} and not {_SCHEMA_VERSION}")
    return version


def _check_columns(connection: sqlite3.Connection) -> None:
    """Raise _OtherSchema where the table is not one that our rows can be written to and found in."""
    columns = connection.execute("PRAGMA table_info(replies)").fetchall()
    known = {name: is_key for _, name, _, _, _, is_key in columns}
    wanting = [name for name in _COLUMNS if name not in known]
    filled = [name for _, name, _, not_null, default, _ in columns if not_null and default is None]
    if columns and (wanting or not known["key"] or {*filled} - {*_COLUMNS}):
        raise _OtherSchema(f"its table has the columns {', '.join(known)}")


def _reply(body: object) -> Reply | None:
    """The reply in a row; None for one that was damaged or that a later version wrote."""
    try:
        fields = json.loads(body) if isinstance(body, str) else {}
        if "scores" in fields:
            return _reply_of_earlier(fields)
        texts = tuple(fields["texts"])
        counts = [fields.get(name, 0) for name in ("prompt_tokens", "completion_tokens")]
        if not (
            all(text is None or isinstance(text, str) for text in texts)
            and all(type(count) is int and count >= 0 for count in counts)
            and isinstance(fields.get("served_as", ""), str)
        ):
            return None
        return Reply(**{**fields, "texts": texts, "endings": tuple(map(str, fields.get("endings", ())))})
    except (ValueError, TypeError, KeyError):
        return None


def _reply_of_earlier(fields: dict[str, Any]) -> Reply:
    """A row of the versions that kept scores and the last reply: these scores stand in the place of the first reply."""
    texts: list[str | None] = [None] * (fields["asks"] - 1) + [fields["reply"]]
    if len(texts) > 1 and len(fields["scores"]) > 1:
        reasons = fields.get("explanations", {})
        entries = {name: {"score": score, "reason": reasons.get(name)} for name, score in fields["scores"].items()}
        texts[0] = json.dumps(entries)
    return Reply(tuple(texts), fields["judge"], fields["prompt_tokens"], fields["completion_tokens"])
