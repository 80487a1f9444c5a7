"""Files that are whole or absent, and read within limits. What a user paid for must survive a crash at any moment: each
writer fills a temporary file in the same folder, flushes it to the disk and renames it over the target, so that a
reader sees the old bytes or the new ones. What is read was written by somebody else: a file is opened once, what the
system says then is the error, and none takes more memory than the limits here allow."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from medqbench_vlmeval.errors import BadInput, RunFailed

_CHUNK = 1 << 20
REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")
# json.dumps makes an encoder a call, which is a third of its time on a short object.
_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path, which replaces ``path`` on a clean exit, else is removed. What is not ``durable`` may be
    lost, or empty, after a power cut. Raises OSError where the folder cannot be written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:100]}.{uuid.uuid4().hex}.tmp"
    # Unlike mkstemp's files, which are private, this one gets the rights that any file of the user's gets.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, advice: str = "choose another --out") -> Iterator[None]:
    """Raise RunFailed, which names ``path`` and ends with ``advice``, for an ``OSError`` in the block."""
    try:
        yield
    except OSError as error:
        raise RunFailed(f"{path} cannot be written ({error.strerror or error}); {advice}.") from error


MAX_FILE_BYTES = 1 << 29  # of an image file
MAX_TEXT_BYTES = 1 << 28  # of a JSON file or a table that is kept as a whole: as texts they may take four times that
MAX_LINE_BYTES = 1 << 26  # of a line of JSON Lines
MAX_LINES = 1 << 20  # of JSON Lines, and rows of a table: as many as a spreadsheet has
MAX_VALUES = 5_000_000  # of a JSON text, and cells of a table of texts

# A string that is not closed goes on to the end, so that nothing is looked at twice.
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
_JSON_MARKS = "[{,"


class MissingFile(BadInput):
    """There is no such file."""


@contextmanager
def opened(path: Path, buffer: int = -1, most: int | None = None) -> Iterator[IO[bytes]]:
    """Open an ordinary file to read its bytes, ``buffer`` at once (-1: the system's choice). Raises MissingFile where
    there is none; BadInput where it is no file, of more than ``most`` bytes, or cannot be read."""
    with reading(path):
        try:
            # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
            number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(f"{path} does not exist.") from None
        except ValueError:
            raise BadInput(f"{str(path)!r} cannot be read: its name holds a NUL character.") from None
        mode, size = os.fstat(number).st_mode, os.fstat(number).st_size
        if not stat.S_ISREG(mode):
            os.close(number)
            folder = "is a folder; name the file itself"
            other = "is no ordinary file (a pipe or a device); save its content to a file"
            raise BadInput(f"{path} {folder if stat.S_ISDIR(mode) else other}.")
        with os.fdopen(number, "rb", buffer) as source:
            if most is not None and size > most:
                raise BadInput(f"{path} is larger than {most >> 20} MiB, which is the most that is read; split it.")
            yield source


def read_bytes(path: Path, most: int = MAX_TEXT_BYTES) -> bytes:
    """All bytes of an ordinary file. Raises BadInput as :func:`opened`, or where it holds more than ``most`` bytes."""
    with opened(path, most=most) as source:
        return source.read(most)


def read_lines(source: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """Lines of open JSON Lines but blank ones, numbered from 1. BadInput for other than UTF-8, or beyond a limit."""
    number = 0
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise BadInput(f"{path}, line {number} is longer than {MAX_LINE_BYTES >> 20} MiB: not one JSON object.")
        if number > MAX_LINES:
            raise BadInput(f"{path} has more than {MAX_LINES:,} lines, which is the most that is read; split it.")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            where = f"{path}, line {number}"
            raise BadInput(f"{where} is not UTF-8 text (byte {error.start}); write it as UTF-8.") from None
        if text.strip():
            check_json(text, f"{path}, line {number}")
            yield number, text


def check_json(text: str, where: object) -> None:
    """Raise BadInput for a JSON text of more than ``MAX_VALUES`` values, before memory is taken for them."""
    if len(text) > MAX_VALUES and sum(map(text.count, _JSON_MARKS)) > MAX_VALUES:
        bare = _JSON_STRING.sub("", text)
        if (n := sum(map(bare.count, _JSON_MARKS))) > MAX_VALUES:
            raise BadInput(f"{where} holds {n:,} values; at most {MAX_VALUES:,} are read. Split it, or leave some out.")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise BadInput, which names ``path``, for an ``OSError`` in the block."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, all or nothing; for ``durable`` see :func:`replacing`."""
    with replacing(path, durable) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8; lone surrogates in model replies are written as ``?``."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by strict JSON (no NaN). Raises ValueError where ``value`` holds NaN or an infinity."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace ``path`` by one JSON object a line."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as out:
        for row in rows:
            out.write(f"{_line(row)}\n")


def read_json(path: Path, parse: Callable[[str], Any] = json.loads) -> Any:
    """The value in a JSON file. Raises BadInput as :func:`read_bytes` and :func:`check_json` do; ValueError for what is
    no JSON in UTF-8."""
    text = read_bytes(path).decode("utf-8-sig")
    check_json(text, path)
    try:
        return parse(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no such file or none that holds one."""
    try:
        value = read_json(path)
    except (BadInput, ValueError):
        return None
    return value if isinstance(value, dict) else None


def is_any_of(path: Path, files: Iterable[Path]) -> bool:
    """Whether a file that is there is one of these files, under whatever name."""
    return path.exists() and any(file.exists() and path.samefile(file) for file in files)


def sha256_of(path: Path) -> str:
    """The hex sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as source:
        return sha256_of_rest(source)


def sha256_of_rest(source: IO[bytes]) -> str:
    """The hex sha256 of the rest of an open file."""
    digest = hashlib.sha256()
    while piece := source.read(_CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def sha256_text(text: str) -> str:
    """The hex sha256 of a text in UTF-8 (lone surrogates kept, so that different texts differ)."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def storable(text: str) -> str:
    """``text`` as a UTF-8 file gives it back: lone surrogates become U+FFFD."""
    return _SURROGATE.sub(REPLACEMENT, text)


_LEAST_FREE = 1 << 20  # bytes


def check_room(paths: Iterable[Path], advice: str) -> None:
    """Raise RunFailed where files cannot be written, before anything is paid for their content; nothing is made."""
    for path in paths:
        with writing(path, advice):
            nearest = next(place for place in path.absolute().parents if place.exists())
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            for part in path.absolute().relative_to(nearest).parts:
                with suppress(FileNotFoundError):
                    (nearest / part).lstat()  # says where a name is too long
            if not nearest.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, f"{nearest} is no folder")
            if not os.access(nearest, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, f"{nearest} may not be written to")
            if shutil.disk_usage(nearest).free < _LEAST_FREE:
                raise OSError(errno.ENOSPC, "the disk is full")


def as_file_name(name: str) -> str:
    """``name`` as a part of a file's or folder's name, the same where it can be: at most 120 bytes, no hidden file."""
    shown = "".join(character if character.isprintable() else "_" for character in storable(name))
    safe = shown.replace("/", "--").replace("\\", "--").encode()[:120].decode(errors="ignore")
    return f"_{safe[1:]}" if safe.startswith(".") else safe or "_"


LOCK_TIMEOUT = 60.0  # seconds
_BOARD_ADVICE = "the run's own results are not touched; make the leaderboard writable or choose another"


@contextmanager
def locked(lock: Path, board: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold ``board`` (a file or a folder) by the file ``lock`` against other processes and threads. Raises RunFailed
    where what the block writes cannot be written, or another process held the lock for ``timeout`` seconds."""
    with writing(board, _BOARD_ADVICE), ExitStack() as stack:
        try:
            stack.enter_context(held(lock, timeout))
        except TimeoutError as error:
            raise RunFailed(
                f"Another process has held the leaderboard's lock {lock} for {timeout:g} s. The run's own results are "
                "written; add it to the board again when that process is done."
            ) from error
        yield


@contextmanager
def held(lock: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold a lock file, made where it is absent; a process that is killed holds none any longer. Raises OSError where
    there can be no lock; TimeoutError where another process or thread held it for ``timeout`` seconds."""
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    # filelock waits where a folder takes no file at all, as it does for a lock that another process holds.
    os.close(os.open(lock, os.O_CREAT | os.O_RDWR, 0o644))
    try:
        # A lock of its own for each call, so that threads wait for each other too.
        own = FileLock(lock).acquire(timeout=timeout)
    except NotImplementedError as error:  # a file system without locks
        raise OSError(str(error)) from error
    with own:
        yield


def check_writable(path: Path, advice: str = _BOARD_ADVICE) -> None:
    """Raise RunFailed for a file that its owner made read-only, although its folder would let it be replaced."""
    # The bits and not os.access: a superuser may write everything, and means a read-only file all the same.
    writers = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    with writing(path, advice), suppress(FileNotFoundError):
        if not path.stat().st_mode & writers:
            raise PermissionError(13, "it is read-only")
