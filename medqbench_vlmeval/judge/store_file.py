"""The SQLite file behind the judge's cache: opening it, saving what is left of a damaged one, keeping it small."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

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
