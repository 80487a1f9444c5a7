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
import os
import shutil
import sqlite3
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge.calls import Judgement
from medqbench_vlmeval.judge.protocols import asked_by

# The SQLite file behind the judge's cache: opening it, saving what is left of a damaged one, keeping it small.


Row = tuple[str, str, str, str, str, float, float]
"""Key, protocol, judge, body, checksum, and when the row was made and last used (seconds of the epoch)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS judgements (
    key TEXT PRIMARY KEY, protocol TEXT NOT NULL, judge TEXT NOT NULL, body TEXT NOT NULL, checksum TEXT NOT NULL,
    created REAL NOT NULL, used REAL NOT NULL
);
"""
# How long another process's lock is waited for.
BUSY_SECONDS = 30.0
_TRY_AGAIN = 0.02
_PROBE = "SELECT key FROM judgements LIMIT 1"
# One removal makes room for many answers to come.
_ROOM = 0.1
_PARTS = ("", "-wal", "-shm")
# Page size and number of pages in the header (SQLite's file format, section 1.3).
_PAGE_SIZE_AT, _PAGES_AT, _HEADER = 16, 28, 100
# A header that is no header must not fill the disk.
_MOST_PADDING = 1 << 30


def open_file(path: Path, patience: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a file for reading and writing, made where it is not there; ``patience`` is for locks, in seconds.

    Raises:
        sqlite3.DatabaseError: it cannot be opened or is no such file (see :func:`is_damage`).
    """
    # The change to a write-ahead log needs the file for itself, and SQLite does not wait for that.
    deadline = time.monotonic() + patience
    while True:
        try:
            return _opened(path, patience)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_TRY_AGAIN)


def open_to_read(path: Path, *, immutable: bool) -> sqlite3.Connection:
    """Open a file that is there without making or writing anything.

    Args:
        path: the file.
        immutable: nobody writes to it meanwhile; SQLite then leaves its write-ahead log alone.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        connection.execute(_PROBE).fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write rows in one transaction; a row of the same key is replaced."""
    with connection:
        connection.executemany("INSERT OR REPLACE INTO judgements VALUES (?,?,?,?,?,?,?)", rows)


def be_patient(connection: sqlite3.Connection, seconds: float) -> None:
    """How long the connection waits for another process's lock from now on."""
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


def rows_of(connection: sqlite3.Connection, keys: Iterable[str]) -> Iterator[Row]:
    """The rows of these keys that are there."""
    for key in keys:
        yield from connection.execute("SELECT * FROM judgements WHERE key = ?", (key,))


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove_leftovers(path: Path) -> None:
    """Remove the journal of a file that is not there any more: SQLite cannot open a new file beside it."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            for ending in _PARTS:
                path.with_name(path.name + ending).unlink(missing_ok=True)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not a lock, a full disk or a missing right."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def rescued(path: Path, error: sqlite3.Error, is_whole: Callable[[Row], bool]) -> sqlite3.Connection:
    """Set a file aside that SQLite cannot read, and open a new one with what can be saved of it.

    Of several runs that meet the same damage one does it.

    Args:
        path: the damaged file, closed by this process.
        error: what SQLite said.
        is_whole: tells rows that are as they were written.

    Raises:
        OSError, sqlite3.Error: no new file can be made.
    """
    from filelock import FileLock

    with FileLock(path.with_name(f"{path.name}.lock")):
        return _mended_meanwhile(path) or _set_aside(path, error, is_whole)


def keep_within(connection: sqlite3.Connection, limit: int) -> tuple[int, int]:
    """Remove the rows used longest ago where the file has more bytes than ``limit``.

    Returns:
        How many rows were removed, and how many there were.
    """
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    size = (pages - free) * page
    if size <= limit:
        return 0, 0
    lengths = connection.execute(
        "SELECT key, LENGTH(CAST(body AS BLOB)) + LENGTH(protocol) + LENGTH(judge) FROM judgements "
        "ORDER BY used, created, key"
    ).fetchall()
    # What rows take beyond their texts is shared out evenly.
    overhead = max(0.0, size - sum(length for _, length in lengths)) / max(1, len(lengths))
    surplus, removed = size - limit * (1 - _ROOM), []
    for key, length in lengths:
        if surplus <= 0:
            break
        removed.append((key,))
        surplus -= length + overhead
    with connection:
        connection.executemany("DELETE FROM judgements WHERE key = ?", removed)
    give_space_back(connection)
    return len(removed), len(lengths)


def give_space_back(connection: sqlite3.Connection) -> None:
    """Make the file as small as its rows are."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _opened(path: Path, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Each commit reaches the disk: what was paid for survives a power cut too.
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        connection.execute(_PROBE).fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _mended_meanwhile(path: Path) -> sqlite3.Connection | None:
    try:
        connection = open_file(path)
    except sqlite3.DatabaseError:
        return None
    with contextlib.suppress(sqlite3.DatabaseError):
        if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
            return connection
    connection.close()
    return None


def _set_aside(path: Path, error: sqlite3.Error, is_whole: Callable[[Row], bool]) -> sqlite3.Connection:
    aside = path.with_name(f"{path.stem}.damaged-{time.time_ns()}.sqlite3")
    for ending in _PARTS:
        part = path.with_name(path.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    connection = open_file(path)
    saved = {row[0]: row for row in _readable_rows(aside) if is_whole(row)}
    insert(connection, list(saved.values()))
    logger.warning(
        "%s is damaged (%s): it is kept as %s, and %d answers of it were saved.", path, error, aside.name, len(saved)
    )
    return connection


def _readable_rows(path: Path) -> Iterator[Row]:
    """Rows of the table 'judgements' from both of its ends, each as far as SQLite gets.

    A row may come twice, and may be damaged itself. A file that was cut is padded to the length that its header
    names, in a copy, since SQLite refuses it otherwise; ``path`` stays as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for ending in ("", "-wal"):
            part = path.with_name(path.name + ending)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + ending))
        _pad(copy)
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(copy)) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
                yield from connection.execute(f"SELECT * FROM judgements ORDER BY rowid {order}")  # noqa: S608


def _pad(path: Path) -> None:
    with path.open("r+b") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            return
        (size,) = struct.unpack_from(">H", header, _PAGE_SIZE_AT)
        (pages,) = struct.unpack_from(">I", header, _PAGES_AT)
        length = (65536 if size == 1 else size) * pages
        if 0 < length - path.stat().st_size <= _MOST_PADDING:
            file.truncate(length)


# Where the judge's cache is, and how large it may be.


FOLDER_VARIABLE = "MEDQBENCH_JUDGE_CACHE"
LIMIT_VARIABLE = "MEDQBENCH_JUDGE_CACHE_MB"
FILE_NAME = "judge_verdicts.sqlite3"
DEFAULT_LIMIT_MB = 2048


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

    def __init__(self, folder: Path | None = None, limit: int | None = None, patience: float = BUSY_SECONDS) -> None:
        self.path = (folder if folder is not None else default_folder()) / FILE_NAME
        self.limit = limit if limit is not None else size_limit()
        self.damaged = 0
        self._patience = patience
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._waiting: list[Row] = []
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
                give_space_back(self._connection)
            return n

    def _opened(self, patience: float) -> sqlite3.Connection | None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = open_file(self.path, patience)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            connection = rescued(self.path, error, _is_whole)
        self._file = identity(self.path)
        return connection

    def _read(self, key: str) -> tuple[str, str] | None:
        for attempt in (1, 2):
            if self._connection is None:
                return None
            try:
                query = self._connection.execute("SELECT body, checksum FROM judgements WHERE key = ?", (key,))
                found: tuple[str, str] | None = query.fetchone()
            except sqlite3.Error as error:
                if attempt == 1 and self._file is not None and is_damage(error):
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
            if not is_damage(error):
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
            if self._file == identity(self.path):
                return
            logger.warning("%s was deleted or moved: this run's answers are kept in a new file.", self.path)
            with contextlib.suppress(sqlite3.Error):
                # What this run used or paid for goes along; the rest was taken away by somebody.
                self._waiting[:0] = rows_of(self._connection, sorted(self._used))
            self._connection.close()
            self._connection = self._file = None
            remove_leftovers(self.path)
        reading = self._connection
        self._connection = self._opened(patience)
        if reading is not None:
            reading.close()

    def _insert(self, patience: float) -> None:
        if self._connection is not None:
            be_patient(self._connection, patience)
            insert(self._connection, self._waiting)

    def _rescue(self, error: sqlite3.Error) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._file = None
        try:
            self._connection = rescued(self.path, error, _is_whole)
            self._file = identity(self.path)
        except (OSError, sqlite3.Error) as other:
            self._read_what_is_there()
            self._failed(other)

    def _read_what_is_there(self) -> None:
        """Answers in a folder that may only be read are still worth their money."""
        with contextlib.suppress(sqlite3.Error):
            self._connection = open_to_read(self.path, immutable=True)

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
        removed, n = keep_within(self._connection, self.limit)
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


def _is_whole(row: Row) -> bool:
    return _judgement(row[0], row[3], row[4]) is not None


# The cache for those who only look: nothing is made, written or set aside.


class VerdictStoreView(VerdictStore):
    """A store that is read and never written. Where there is no cache, or none that can be read, it is empty."""

    def _opened(self, patience: float) -> sqlite3.Connection | None:  # noqa: ARG002  # nothing is waited for
        if not self.path.is_file():
            return None
        journal = self.path.with_name(f"{self.path.name}-wal")
        # Another run's answers may still stand in its journal; without one the file does not change and SQLite need
        # not make a journal of its own to read it.
        in_use = journal.exists() and journal.stat().st_size > 0
        try:
            return open_to_read(self.path, immutable=not in_use)
        except sqlite3.Error as error:
            logger.warning("%s cannot be read (%s); it is taken to be empty.", self.path, error)
            return None
