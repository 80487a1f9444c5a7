"""Converted data files: what was read and checked once is mapped from then on.

A file with images is read as a whole once: its images go to their places, and its texts, with those places in place of
the images, into an Arrow file in the folder ``tables`` of the image store. That table is written last, whole or not at
all, so that a reader who was killed leaves none. It is used as long as its checksum is right, its source is the file
that was read (size, times and inode, else the sha256 of its bytes), every stored image has its size, and every file
outside of the store that an image came from is as it was; else the source is read again. Samples are made from a table
as they are from its source. Nothing in the folder has to be kept: who deletes it loses time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval import files
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, Columns
from medqbench_vlmeval.data.image_cells import RowImage, RowImages
from medqbench_vlmeval.data.image_store import ImageStore, is_content_name
from medqbench_vlmeval.data.table import Row, TableReader
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import ImageForm

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = 2
"""Raise it when tables hold something else, or when images are checked or converted in another way."""
LEAST_BYTES = 1 << 23
"""Files that hold less, with their images, are read anew each time: importing pyarrow takes as long."""

# A file that is younger than the clock of its file system can tell may change without a trace.
_SETTLED = 2_000_000_000  # ns
_PATIENCE = 600.0  # seconds
_MARK = b"medqbench"
_BATCH = 1024
_DIGEST = 32

State = tuple[int, ...]


def state_of(path: Path) -> State:
    """What changes when a file does: its size, times in ns and inode; empty where it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class StoredTable(TableReader):
    """A converted file, which reads as its source does; the cells of its image columns are its own."""

    def __init__(self, path: Path, table: pa.Table, about: Mapping[str, Any], store: ImageStore) -> None:
        self.path, self.header = path, tuple(table.schema.names)
        self._table, self._sha256 = table, str(about["sha256"])
        self._images = {
            place: RowImage(store.place(place) if is_content_name(place) else Path(place), ref, form=ImageForm(**form))
            for place, (ref, _, form) in about["images"].items()
        }

    @property
    def sha256(self) -> str:
        return self._sha256

    def rows(self) -> Iterator[Row]:
        number = 0
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Row(number, list(cells))

    def row_images(self) -> RowImages[RowImage]:
        """The collector for the images of :meth:`rows`."""
        return RowImages(lambda cells, _: tuple(map(self._images.__getitem__, json.loads(b"".join(cells.values())))))


class Recorder(TableReader):
    """A table that remembers the texts of the rows that are read from it."""

    def __init__(self, table: TableReader, pictures: frozenset[int]) -> None:
        self.path, self.header, self._table, self._pictures = table.path, table.header, table, pictures
        self.columns: list[list[bytes]] = [[] for _ in table.header]

    @property
    def sha256(self) -> str:
        return self._table.sha256

    def rows(self) -> Iterator[Row]:
        for row in self._table.rows():
            for at, cell in enumerate(row.cells):
                self.columns[at].append(b"" if at in self._pictures else cell)
            yield row


class TableStore:
    """The table of one data file as one task reads it; ``state`` is the file's before it was opened."""

    def __init__(self, source: Path, state: State, task: Task, columns: Columns, store: ImageStore) -> None:
        self._source, self._state, self._images = source, state, store
        self._settled = time.time_ns() - max(state[1:3], default=0) > _SETTLED
        pictures = {meaning: name for meaning, name in columns.names.items() if meaning in IMAGE_MEANINGS}
        self._has_paths = any("path" in meaning for meaning in pictures)
        self._pictures = [columns.positions[meaning] for meaning in pictures]
        key = files.sha256_text(json.dumps([LAYOUT, str(source.absolute()), task.value, pictures, store.window]))
        self._path = store.root / "tables" / f"{files.as_file_name(source.stem)[:60]}-{key[:32]}.arrow"

    def find(self, images: bool) -> StoredTable | None:
        """The table of the file as it is now, None where the file has to be read; ``images``: whether they are wanted
        too."""
        if not self._path.is_file():
            return None
        import pyarrow as pa

        try:
            table = _mapped(self._path)
            about = json.loads(table.schema.metadata[_MARK])
            if images and not self._has_images(about):
                return None
            if (tuple(about["state"]), about["settled"]) != (self._state, True):
                if about["state"][:1] != [*self._state[:1]] or files.sha256_of(self._source) != about["sha256"]:
                    return None
                with suppress(OSError):
                    self._write(table, {**about, "state": self._state, "settled": self._settled})
            return StoredTable(self._source, table, about, self._images)
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, MemoryError):
            return None  # damaged, or of somebody else

    def _has_images(self, about: Mapping[str, Any]) -> bool:
        stored = ((place, size) for place, (_, size, _) in about["images"].items() if is_content_name(place))
        return all(self._images.place(place).stat().st_size == size for place, size in stored) and all(
            state_of(Path(path)) == tuple(state) for path, state in about["files"].items()
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from converting the same file meanwhile; where there can be no lock, or its holder does
        not come to an end, both do it, which costs time alone."""
        from filelock import FileLock

        if self._state[0] < LEAST_BYTES and not self._has_paths:
            yield
            return
        path = self._path.with_suffix(".lock")
        lock = FileLock(path)
        with suppress(OSError, NotImplementedError):  # filelock's Timeout is an OSError
            path.parent.mkdir(parents=True, exist_ok=True)
            # filelock waits where a folder takes no file at all.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o644))
            with suppress(TimeoutError):
                lock.acquire(timeout=0)
            if not lock.is_locked:
                step(f"waiting for another process that reads {self._source.name}")
                lock.acquire(timeout=_PATIENCE)
        try:
            yield
        finally:
            if lock.is_locked:
                path.unlink(missing_ok=True)
                lock.release()

    def recorder(self, table: TableReader) -> Recorder:
        """The opened source, whose rows are remembered for :meth:`keep`."""
        return Recorder(table, frozenset(self._pictures))

    def keep(self, read: Recorder, images: list[tuple[RowImage, ...]]) -> None:
        """Write the table of a source that was read to its end; ``images`` are its rows'. Where the folder takes none,
        there is none: everything is read all the same."""
        known = {image for of_row in images for image in of_row}
        outside = {str(image.source): state_of(image.source) for image in known if image.source is not None}
        if self._state[0] + sum(state[0] for state in outside.values() if state) < LEAST_BYTES:
            return
        import pyarrow as pa

        with suppress(OSError):
            records = {
                _place(each): (each.ref, each.path.stat().st_size, asdict(each.form)) for each in known if each.form
            }
            read.columns[self._pictures[0]] = [json.dumps([*map(_place, of_row)]).encode() for of_row in images]
            arrays = [pa.array(column, pa.large_binary()) for column in read.columns]
            about = {"sha256": read.sha256, "state": self._state, "settled": self._settled}
            table = pa.Table.from_arrays(arrays, names=list(read.header))
            self._write(table, {**about, "images": records, "files": outside})

    def _write(self, table: pa.Table, about: Mapping[str, Any]) -> None:
        import pyarrow as pa

        table = table.replace_schema_metadata({_MARK: json.dumps(about)})
        with files.replacing(self._path) as temporary:
            with pa.OSFile(str(temporary), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
                writer.write_table(table)
            digest = bytes.fromhex(files.sha256_of(temporary))
            with temporary.open("ab") as more:
                more.write(digest)


def _place(image: RowImage) -> str:
    """The name of an image in the store, else its path, which is absolute."""
    return str(image.path) if image.source == image.path else image.path.name


def _mapped(path: Path) -> pa.Table:
    """The table in a file whose last bytes are the sha256 of the others; ValueError where it is none."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        whole = mapped.read_buffer()
    body = whole.slice(0, max(0, whole.size - _DIGEST))
    if hashlib.sha256(body).digest() != whole.slice(body.size).to_pybytes():
        raise ValueError("damaged")
    table = pa.ipc.open_file(pa.BufferReader(body)).read_all()
    table.validate(full=True)
    if set(table.schema.types) != {pa.large_binary()}:
        raise ValueError("of another kind")
    return table
