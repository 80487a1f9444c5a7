"""What the cells of image columns hold, and the one walk over them for images' names and for their files. A cell holds
base64, a path, a list of either, or the index of another row whose image it stands for; a pair has two columns or a
list of two. :func:`row_names` reads names without opening anything: samples that share an image are not independent,
and a result has to know them also where it is made from texts alone. :func:`row_files` finds, checks and stores the
images while the file is being read; base64 leaves memory as soon as its image is stored."""

from __future__ import annotations

import ast
import binascii
import contextlib
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

import pybase64

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.grey import WINDOW_VARIABLE
from medqbench_vlmeval.data.image_forms import content_name
from medqbench_vlmeval.data.image_paths import LONGEST_PATH, ImageFolder
from medqbench_vlmeval.data.image_store import ImageStore, StoredImage, is_content_name
from medqbench_vlmeval.data.table import shown
from medqbench_vlmeval.errors import BadInput, RunFailed, tell
from medqbench_vlmeval.types import ImageForm, Sample

# A cell of the 'image' column up to this length may be another row's index, whose image it stands for.
_ALIAS_LENGTH = 64
_WHITESPACE = b" \t\r\n\v\f"
_DATA_URI = re.compile(rb"data:[\w.+/-]*(?:;[\w=.+-]+)*,", re.IGNORECASE)
_BYTES_LITERAL = re.compile(rb"""b(['"])([A-Za-z0-9+/=_-]*)\1""")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")
_SUFFIX_LENGTH = 8
# Two more than there are cores: a worker decodes while another waits for the disk (measured: 1.5 times as fast as one
# worker on two cores).
_WORKERS = min(8, (os.cpu_count() or 1) + 2)
# A list of at most so many strings: JSON's and Python's parsers take 300 bytes of memory for one of three.
_STRINGS = re.compile(
    rb"""\[\s*(?:(?:"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')\s*(?:,\s*)?){0,100}\]""", re.DOTALL
)
_NO_NAME = frozenset({"", ".", "nan", "none", "null", "n/a"})
_IMAGES_OF = {Task.NO_REFERENCE: 1, Task.COMPARATIVE: 2}

Cells = Mapping[str, bytes]
_Image = TypeVar("_Image")


def _sources(cells: Cells, where: str) -> Iterator[tuple[bool, list[bytes], BadInput | None]]:
    """Yield the places where a row's images may be given: whether in base64, the cells, and why they cannot be used. By
    precedence: pairs of columns before one column, base64 before paths."""
    for encoded, first, second in ((True, "image_a", "image_b"), (False, "image_path_a", "image_path_b")):
        pair = [cells.get(first, b"").strip(), cells.get(second, b"").strip()]
        if all(pair):
            yield encoded, pair, None
        elif any(pair):
            empty = second if pair[0] else first
            yield encoded, [], BadInput(f"{where}: one image of the pair is missing ({empty} is empty).")
    for encoded, name in ((True, "image"), (False, "image_path")):
        try:
            yield encoded, split_list(cells.get(name, b""), where), None
        except BadInput as fault:
            yield encoded, [], fault


class RowImages(Generic[_Image]):
    """The images of one file's rows: :meth:`add` every row, then ask for :meth:`by_index`. ``read`` gives the images of
    a row's cells; its second argument names file and row in errors. So many ``workers`` (threads) read rows until
    :meth:`close`; 0 reads each row at once."""

    def __init__(self, read: Callable[[Cells, str], tuple[_Image, ...]], workers: int = 0) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="medqbench-images") if workers else None
        # At most a few rows are in work at a time, however large the file is.
        self._limit = 2 * workers
        self._waiting: deque[tuple[str, Future[tuple[_Image, ...]]]] = deque()
        self._done: dict[str, tuple[_Image, ...]] = {}
        self._aliases: dict[str, tuple[str, str, Cells]] = {}

    def close(self) -> None:
        """End the threads; rows that still wait are not read."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def add(self, index: str, cells: Cells, where: str = "") -> None:
        """Take a row's image cells, by meaning; BadInput where its or an earlier row's images cannot be used (never
        where names are read)."""
        alias = cells.get("image", b"").strip()
        if 0 < len(alias) <= _ALIAS_LENGTH:
            # The row that the cell names may come later in the file.
            self._aliases[index] = (alias.decode("utf-8", errors="replace"), where, dict(cells))
        elif self._pool is None:
            self._done[index] = self._read(cells, where)
        else:
            self._waiting.append((index, self._pool.submit(self._read, dict(cells), where)))
            self._collect(self._limit)

    def by_index(self) -> dict[str, tuple[_Image, ...]]:
        """Every row's images, in the order in which a model sees them; errors as in :meth:`add`."""
        self._collect(1)
        borrowed = {}
        for index, (alias, where, cells) in self._aliases.items():
            images = self._done.get(alias)
            try:
                borrowed[index] = images or self._read(cells, where)
            except BadInput as error:
                problem = f"{error} The short image cell {shown(alias)} is not another row's index either."
                if alias in self._aliases:
                    problem = f"{where}: the image cell names the row {shown(alias)}, which has no image of its own."
                tell(BadInput(problem))
        return {**self._done, **borrowed}

    def _collect(self, limit: int) -> None:
        while len(self._waiting) >= limit:
            index, future = self._waiting.popleft()
            try:
                self._done[index] = future.result()
            except BadInput as problem:
                tell(problem)


def row_names() -> RowImages[str]:
    """Collect what a file calls its rows' images: base64 by its name in the image store, a path as it is. A cell is
    somebody else's text: it is compared and shown, never followed, and none is an error."""
    return RowImages(_names)


@dataclass
class KeptImages:
    """What takes the images of files that are read for names alone: base64 is stored, a path names a file in place.
    ``places`` has them by the last part of their names and ``forms`` by their names, None where two images share it;
    what cannot be used is not there. ``fetch``: whether images that only the hub has are fetched."""

    fetch: bool = False
    places: dict[str, Path | None] = field(default_factory=dict)
    forms: dict[str, ImageForm | None] = field(default_factory=dict)

    def row_names(self, folder: ImageFolder) -> RowImages[str]:
        """As the function :func:`row_names`, taking the images on the way; ``folder`` has those that are paths."""
        store = ImageStore.default()

        def name_of(cell: bytes, window: str) -> str:
            with contextlib.suppress(BadInput):
                return self.add(store.put(_decoded(cell, ""), "", window))
            name = _name(cell, window)
            with contextlib.suppress(BadInput, RunFailed):
                self.add(replace(folder.image(store, cell, "", window, decode=False, fetch=self.fetch), ref=name))
            return name

        return RowImages(partial(_names, name_of=name_of), workers=_WORKERS)

    def add(self, image: StoredImage) -> str:
        """Take an image that is known to be whole; its name."""
        name = _last_part(image.ref)
        if self.places.setdefault(name, image.path) != image.path:
            self.places[name] = None
        if self.forms.setdefault(image.ref, image.form) != image.form:
            self.forms[image.ref] = None
        return image.ref

    def forms_of(self, names: tuple[str, ...]) -> tuple[ImageForm, ...]:
        """The forms of a row's images, one each; none where one is not known."""
        forms = [form for name in names if (form := self.forms.get(name)) is not None]
        return tuple(forms) if len(forms) == len(names) else ()


def row_files(task: Task, store: ImageStore, folder: ImageFolder) -> RowImages[StoredImage]:
    """Collect a file's images (as many a row as the task has), checked to be whole and made ready to be shown; their
    paths are absolute, and ``folder`` has those that are paths in the file."""

    def image(cell: bytes, encoded: bool, where: str, window: str) -> StoredImage:
        # Base64 has no dot.
        if encoded and (len(cell) > LONGEST_PATH or b"." not in cell[-_SUFFIX_LENGTH:]):
            return store.put(_decoded(cell, where), where, window)
        return replace(folder.image(store, cell, where, window), ref=_name(cell, window))

    def read(cells: Cells, where: str) -> tuple[StoredImage, ...]:
        window = _window(cells)
        for encoded, parts, fault in _sources(cells, where):
            if fault is not None:
                raise fault
            if parts:
                images = tuple(image(cell, encoded, where, window) for cell in parts)
                wanted = _IMAGES_OF.get(task, len(images))
                if len(images) != wanted:
                    raise BadInput(f"{where}: {len(images)} images, but the {task.value} task needs {wanted}.")
                return images
        raise BadInput(f"{where}: no image; the row has neither base64 nor an image path.")

    return RowImages(read, workers=_WORKERS)


def _window(cells: Cells) -> str:
    return cells.get("window", b"").decode("utf-8", errors="replace").strip()


def image_names(sample: Sample) -> tuple[str, ...]:
    """The names of a sample's images without their folders, in the order in which a model sees them."""
    return tuple(path.name for path in sample.images) or tuple(map(_last_part, sample.image_refs))


def names_in_file(sample: Sample) -> tuple[str, ...]:
    """The same as the data file has them: an image that was converted is stored under another name."""
    return tuple(map(_last_part, sample.image_refs)) or image_names(sample)


def image_keys(sample: Sample) -> tuple[str, ...]:
    """What tells a sample's images from others: the name where it is made from the content, else the whole path. Two
    folders may hold different images of one name; a content's name is the same on every machine."""
    refs = tuple(map(str, sample.images)) or sample.image_refs
    return tuple(name if is_content_name(name := _last_part(ref)) else ref for ref in refs)


def _last_part(ref: str) -> str:
    # A POSIX path may have backslashes in its names; one without any slash is more likely a Windows path.
    return ref.rpartition("/" if "/" in ref else "\\")[2]


def _names(cells: Cells, where: str, name_of: Callable[[bytes, str], str] | None = None) -> tuple[str, ...]:
    window = _window(cells)
    for _, parts, _ in _sources(cells, where):
        if names := tuple(name for cell in parts if (name := (name_of or _name)(cell, window))):
            return names
    return ()


def _name(cell: bytes, window: str) -> str:
    # Base64 has no dot; most paths have one near their end and need no attempt.
    if len(cell) > _ALIAS_LENGTH and b"." not in cell[-_SUFFIX_LENGTH:]:
        with contextlib.suppress(BadInput):
            return content_name(_decoded(cell, ""), "", window, os.environ.get(WINDOW_VARIABLE, ""))
    text = cell.decode("utf-8", errors="replace") if len(cell) <= LONGEST_PATH else ""
    if text.casefold() in _NO_NAME:
        return ""
    # 'a//b.png', './a/b.png' and 'a/b.png' are one file; few paths need that work.
    return str(PurePosixPath(text)) if "//" in text or "./" in text or text.endswith("/") else text


def split_list(cell: bytes, where: str) -> list[bytes]:
    """The items of a cell: of a JSON or Python list of strings, else the cell itself; BadInput for other brackets."""
    plain = cell.strip()
    if not (plain.startswith(b"[") and plain.endswith(b"]")):
        return [plain] if plain else []
    items: object = None
    # JSON, else a list as Python prints it, with single quotes; literal_eval runs nothing.
    for parse in (json.loads, ast.literal_eval) if _STRINGS.fullmatch(plain) else ():
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            items = parse(plain.decode("utf-8"))
            break
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise BadInput(f"{where}: the cell stands in brackets but is not a list of texts.")
    return [item.strip().encode("utf-8", errors="surrogatepass") for item in items]


def _decoded(cell: bytes, where: str) -> bytes:
    """The bytes of one base64 text; a data URI's head, white space and absent padding are accepted."""
    with contextlib.suppress(binascii.Error):
        return pybase64.b64decode(cell, validate=True)
    if literal := _BYTES_LITERAL.fullmatch(cell):
        cell = literal.group(2)
    if head := _DATA_URI.match(cell):
        if b";base64" not in head.group().lower():
            raise BadInput(f"{where}: the image is a data URI without base64.")
        cell = cell[head.end() :]
    cell = cell.translate(_URL_ALPHABET, _WHITESPACE).rstrip(b"=")
    try:
        return pybase64.b64decode(cell + b"=" * (-len(cell) % 4), validate=True)
    except binascii.Error:
        problem = f"it starts with '{cell[:24].decode('ascii', errors='replace')}', {len(cell)} characters"
        raise BadInput(f"{where}: the image is not base64 ({problem}).") from None
