"""What a cell of an image column holds: base64, a path, a list of either, or another row's index."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.image_store import ImageStore, content_name, is_content_name
from medqbench_vlmeval.data.table import shown
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import Sample

ALIAS_LENGTH = 64
"""A cell of the ``image`` column up to this length may be another row's index, whose image it stands for."""

_WHITESPACE = b" \t\r\n\v\f"
_DATA_URI = re.compile(rb"data:[\w.+/-]*(?:;[\w=.+-]+)*,", re.IGNORECASE)
_BYTES_LITERAL = re.compile(rb"""b(['"])([A-Za-z0-9+/=_-]*)\1""")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_SNAPSHOT = re.compile(r"[0-9a-f]{40}")


def split_list(cell: bytes, where: str) -> list[bytes]:
    """The items of a cell: of a JSON or Python list of strings, else the cell itself.

    Raises:
        BadInput: the cell stands in brackets and is not a list of strings.
    """
    plain = cell.strip()
    if not (plain.startswith(b"[") and plain.endswith(b"]")):
        return [plain] if plain else []
    items: object = None
    try:
        text = plain.decode("utf-8")
        try:
            items = json.loads(text)
        except ValueError:
            # A list as Python prints it, with single quotes; literal_eval runs nothing.
            items = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        items = None
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise BadInput(f"{where}: the cell stands in brackets but is not a list of texts.")
    return [item.strip().encode("utf-8", errors="surrogatepass") for item in items]


def decode_base64(cell: bytes, where: str) -> bytes:
    """The bytes of one base64 text; a data URI's head, white space and absent padding are accepted.

    Raises:
        BadInput: it is not base64.
    """
    try:
        return base64.b64decode(cell, validate=True)
    except binascii.Error:
        pass
    literal = _BYTES_LITERAL.fullmatch(cell)
    if literal:
        cell = literal.group(2)
    head = _DATA_URI.match(cell)
    if head:
        if b";base64" not in head.group().lower():
            raise BadInput(f"{where}: the image is a data URI without base64.")
        cell = cell[head.end() :]
    cell = cell.translate(_URL_ALPHABET, _WHITESPACE).rstrip(b"=")
    try:
        return base64.b64decode(cell + b"=" * (-len(cell) % 4), validate=True)
    except binascii.Error:
        start = cell[:24].decode("ascii", errors="replace")
        raise BadInput(
            f"{where}: the image is not base64 (it starts with '{start}', {len(cell)} characters)."
        ) from None


def plain_path(text: str, where: str) -> PurePosixPath:
    """A path of a data file, checked to be relative and without '..'.

    Raises:
        BadInput: it could leave the folder.
    """
    windows = PureWindowsPath(text)
    if text.startswith(("/", "\\", "~")) or windows.drive or ".." in windows.parts or not windows.parts:
        raise BadInput(
            f"{where}: the image path '{text[:200]}' must be relative to the data file's folder and stay inside it."
        )
    return PurePosixPath(text)


def path_inside(root: Path, text: str, where: str, trusted: bool) -> Path:
    """The file that a path of a data file names.

    Args:
        root: the data file's folder.
        text: the path as the cell has it.
        where: names file and row in errors.
        trusted: the folder was laid out by this package or by the hub's client, whose links lead outside.

    Raises:
        BadInput: the path leaves the folder, also by a link, or there is no such file.
    """
    path = root / plain_path(text, where)
    try:
        present = path.is_file()
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{where}: the image path '{text[:200]}' cannot be read: {error}.") from None
    if not present:
        raise BadInput(f"{where}: the image {path} does not exist.")
    if not trusted and not any(real.is_relative_to(allowed) for allowed in _allowed_roots(root)):
        raise BadInput(f"{where}: the image path '{text[:200]}' is a link that leads out of the folder {root}.")
    return path.absolute()


def _allowed_roots(root: Path) -> tuple[Path, ...]:
    inside = root.resolve()
    # A snapshot of the hub's cache holds links to its own blobs folder.
    if _SNAPSHOT.fullmatch(inside.name) and inside.parent.name == "snapshots":
        return (inside, inside.parent.parent / "blobs")
    return (inside,)


# Which images a file's rows name, read from their cells without opening anything.
#
# Samples that share an image are not independent, and a result has to know them also where it is made from texts
# alone: a data file that is read without its images, or a prediction file that repeats their paths. A cell is text of
# somebody else's: it is compared and shown, never a path to follow.


_LONGEST_PATH = 4096
_NOTHING = frozenset({"", ".", "nan", "none", "null", "n/a"})
_PAIRS = (("image_a", "image_b"), ("image_path_a", "image_path_b"))


class ImageRefs:
    """Collects what one file's rows say about their images; :meth:`add` every row, then ask for :meth:`by_index`."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, ...]] = {}
        self._aliases: dict[str, tuple[str, Mapping[str, bytes]]] = {}

    def add(self, index: str, cells: Mapping[str, bytes]) -> None:
        """Take a row's image cells, by meaning; what cannot be read is no error here and names no image."""
        alias = cells.get("image", b"").strip()
        if 0 < len(alias) <= ALIAS_LENGTH:
            # The row that the cell names may come later in the file.
            self._aliases[index] = (alias.decode("utf-8", errors="replace"), dict(cells))
        else:
            self._found[index] = _refs(cells)

    def by_index(self) -> dict[str, tuple[str, ...]]:
        """Every row's images in their order: base64 as the name that the image store gives it, a path as it stands."""
        borrowed = {index: self._found.get(alias) or _refs(cells) for index, (alias, cells) in self._aliases.items()}
        return {**self._found, **borrowed}


def image_names(sample: Sample) -> tuple[str, ...]:
    """The names of a sample's images without their folders, in the order in which a model sees them."""
    return tuple(path.name for path in sample.images) or tuple(map(_name, sample.image_refs))


def image_keys(sample: Sample) -> tuple[str, ...]:
    """What tells a sample's images from others: the name where it is made from the content, else the whole path.

    Two folders may hold different images of one name; a content's name is the same on every machine.
    """
    refs = tuple(map(str, sample.images)) or sample.image_refs
    return tuple(name if is_content_name(name := _name(ref)) else ref for ref in refs)


def _name(ref: str) -> str:
    # A POSIX path may have backslashes in its names; one without any slash is more likely a Windows path.
    return ref.rpartition("/" if "/" in ref else "\\")[2]


def _refs(cells: Mapping[str, bytes]) -> tuple[str, ...]:
    for names in _PAIRS:
        pair = [cells.get(name, b"").strip() for name in names]
        if all(pair):
            return _known(pair)
    # As where images are loaded: base64 goes before a path.
    return _known(_items(cells.get("image", b""))) or _known(_items(cells.get("image_path", b"")))


def _items(cell: bytes) -> Sequence[bytes]:
    try:
        return split_list(cell, "")
    except BadInput:
        return ()


def _known(cells: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(ref for cell in cells if (ref := _ref(cell)))


def _ref(cell: bytes) -> str:
    # Base64 has no dot; most paths have one near their end and need no attempt.
    if len(cell) > ALIAS_LENGTH and b"." not in cell[-8:]:
        try:
            return content_name(decode_base64(cell, ""), "")
        except BadInput:
            pass
    text = cell.decode("utf-8", errors="replace") if len(cell) <= _LONGEST_PATH else ""
    if text.casefold() in _NOTHING:
        return ""
    # 'a//b.png', './a/b.png' and 'a/b.png' are one file; few paths need that work.
    return str(PurePosixPath(text)) if "//" in text or "./" in text or text.endswith("/") else text


# The images of a file's rows: found, checked and stored while the file is being read.
#
# Base64 leaves memory as soon as its image is stored: at most a few rows are in work at a time, however large the
# file is.


_MAX_WORKERS = 8
_IMAGES_OF = {Task.NO_REFERENCE: 1, Task.COMPARATIVE: 2}


class RowImages:
    """Collects the images of one file's rows.

    Args:
        task: decides how many images a row must have (one, a pair, or any number from one).
        store: where decoded base64 goes.
        root: the folder that image paths are relative to.
        trusted: whether links under ``root`` may lead outside of it.
        fetch: brings a path of the repository to this machine; None where paths are local files.

    Use it as a context manager: :meth:`add` every row, then ask for :meth:`paths`.
    """

    def __init__(
        self,
        task: Task,
        store: ImageStore,
        root: Path,
        trusted: bool = False,
        fetch: Callable[[str], Path] | None = None,
    ) -> None:
        self._task = task
        self._store = store
        self._root = root
        self._trusted = trusted
        self._fetch = fetch
        # Two more than there are cores: a worker decodes while another waits for the disk (measured: 1.5 times as fast
        # as one worker on two cores).
        workers = min(_MAX_WORKERS, (os.cpu_count() or 1) + 2)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="medqbench-images")
        self._limit = 2 * workers
        self._waiting: deque[tuple[str, Future[tuple[Path, ...]]]] = deque()
        self._done: dict[str, tuple[Path, ...]] = {}
        self._aliases: dict[str, tuple[str, str, Mapping[str, bytes]]] = {}

    def __enter__(self) -> RowImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, index: str, cells: Mapping[str, bytes], where: str) -> None:
        """Take a row's image cells, by meaning.

        Raises:
            BadInput: this row's or an earlier row's images cannot be used.
        """
        alias = cells.get("image", b"").strip()
        if 0 < len(alias) <= ALIAS_LENGTH:
            # The row that the cell names may come later in the file.
            self._aliases[index] = (alias.decode("utf-8", errors="replace"), where, cells)
            return
        self._waiting.append((index, self._pool.submit(self._store_row, dict(cells), where)))
        while len(self._waiting) >= self._limit:
            self._collect()

    def paths(self) -> Mapping[str, tuple[Path, ...]]:
        """The absolute paths of every row's images, by index.

        Raises:
            BadInput: some row's images cannot be used.
        """
        while self._waiting:
            self._collect()
        borrowed = {}
        for index, (alias, where, cells) in self._aliases.items():
            if alias in self._done:
                borrowed[index] = self._done[alias]
                continue
            if alias in self._aliases:
                raise BadInput(
                    f"{where}: the image cell names the row {shown(alias)}, which has no image of its own either."
                )
            try:
                borrowed[index] = self._store_row(cells, where)
            except BadInput as error:
                raise BadInput(
                    f"{error} The short image cell {shown(alias)} is not another row's index either."
                ) from None
        return {**self._done, **borrowed}

    def _collect(self) -> None:
        index, future = self._waiting.popleft()
        self._done[index] = future.result()

    def _store_row(self, cells: Mapping[str, bytes], where: str) -> tuple[Path, ...]:
        paths = self._paths_of(cells, where)
        wanted = _IMAGES_OF.get(self._task)
        if not paths:
            raise BadInput(f"{where}: no image; the row has neither base64 nor an image path.")
        if wanted is not None and len(paths) != wanted:
            raise BadInput(f"{where}: {len(paths)} images, but the {self._task.value} task needs {wanted}.")
        return paths

    def _paths_of(self, cells: Mapping[str, bytes], where: str) -> tuple[Path, ...]:
        for first, second in (("image_a", "image_b"), ("image_path_a", "image_path_b")):
            pair = [cells.get(first, b"").strip(), cells.get(second, b"").strip()]
            if all(pair):
                return self._stored(pair, where) if first == "image_a" else self._local(pair, where)
            if any(pair):
                empty = second if pair[0] else first
                raise BadInput(f"{where}: one image of the pair is missing ({empty} is empty).")
        encoded = split_list(cells.get("image", b""), where)
        if encoded:
            return self._stored(encoded, where)
        return self._local(split_list(cells.get("image_path", b""), where), where)

    def _stored(self, encoded: Sequence[bytes], where: str) -> tuple[Path, ...]:
        return tuple(self._store.put(decode_base64(cell, where), where) for cell in encoded)

    def _local(self, cells: Sequence[bytes], where: str) -> tuple[Path, ...]:
        return tuple(self._store.check_file(self._locate(cell, where), where) for cell in cells)

    def _locate(self, cell: bytes, where: str) -> Path:
        try:
            text = cell.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{where}: the image path is not UTF-8 text.") from None
        if self._fetch is None:
            return path_inside(self._root, text, where, self._trusted)
        return self._fetch(plain_path(text, where).as_posix())
