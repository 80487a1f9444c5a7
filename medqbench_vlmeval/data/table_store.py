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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval import files
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.columns import IMAGE_MEANINGS, Columns
from medqbench_vlmeval.data.image_cells import KeptImages, RowImages
from medqbench_vlmeval.data.image_store import FileState, ImageStore, StoredImage
from medqbench_vlmeval.data.table import Row
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.types import ImageForm

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = 6
"""Raise it when tables hold something else, or when images are checked or converted in another way."""
LEAST_BYTES = 1 << 23
"""Files that hold less, with their images, are read anew each time: importing pyarrow takes as long."""

# What is younger than the clock of a file system can tell may change without a trace.
_SETTLED = 2_000_000_000  # ns
_PATIENCE = 600.0  # seconds
_MARK = b"medqbench"


@dataclass(frozen=True)
class StoredTable:
    """What a converted file holds: the sha256 of its source, its rows and their images."""

    sha256: str
    images: Sequence[StoredImage]
    table: pa.Table

    def rows(self) -> Iterator[Row]:
        """The rows as the source has them; their image cells hold the numbers of images."""
        batches = (batch.columns for batch in self.table.to_batches(max_chunksize=1024))
        rows = chain.from_iterable(zip(*(column.to_pylist() for column in columns), strict=True) for columns in batches)
        yield from (Row(number, list(cells)) for number, cells in enumerate(rows, start=1))

    def row_images(self) -> RowImages[StoredImage]:
        """What collects the images of :meth:`rows`."""
        return _MappedImages(lambda cells, _: tuple(self.images[at] for at in json.loads(b"".join(cells.values()))))


class _MappedImages(RowImages[StoredImage]):
    def add(self, index: str, cells: Mapping[str, bytes], where: str = "") -> None:
        # A short cell is numbers here, and no other row's index.
        self._done[index] = self._read(cells, where)


class TableStore:
    """The table of one opened data file as one task reads it; it is made where there is a store to put images in."""

    def __init__(self, source: Path, task: Task, columns: Columns, images: ImageStore | KeptImages | None) -> None:
        self._source, self._is_made_here = source, isinstance(images, ImageStore)
        self._images = images if isinstance(images, ImageStore) else ImageStore.default(make=False)
        with files.reading(source):
            self._state = FileState.of(source)
        self._is_settled = time.time_ns() - max(self._state.modified, self._state.changed) > _SETTLED
        pictures = {meaning: name for meaning, name in columns.names.items() if meaning in IMAGE_MEANINGS}
        self._pictures = [columns.positions[meaning] for meaning in pictures]
        self._takes_long = self._state.size >= LEAST_BYTES or any("path" in meaning for meaning in pictures)
        # A cell may name the row whose image it stands for.
        told = [LAYOUT, str(source.absolute()), task.value, pictures, columns.names.get("index"), self._images.window]
        key = files.sha256_text(json.dumps(told))[:32]
        self._path = self._images.root / "tables" / f"{files.as_file_name(source.stem)[:60]}-{key}.arrow"
        self._rows: list[list[bytes]] = []
        self._size = 0

    @contextmanager
    def found(self) -> Iterator[StoredTable | None]:
        """The table of the file as it is now, None where the file has to be read; other processes that would read it
        too wait then. Where there can be no lock, or who has it does not come to an end, both read it: it costs time.
        """
        table = self._find()
        with ExitStack() as stack:
            if table is None and self._is_made_here and self._takes_long:
                step(f"reading {self._source.name}, or waiting for another process that does")
                with suppress(OSError):
                    stack.enter_context(files.held(self._path.with_suffix(".lock"), _PATIENCE))
                table = self._find()
            yield table

    def _find(self) -> StoredTable | None:
        if not self._path.is_file():
            return None
        import pyarrow as pa

        try:
            with pa.memory_map(str(self._path)) as mapped:
                whole = mapped.read_buffer()
            # The file begins with the sha256 of the rest.
            digest, body = whole.slice(0, 32), whole.slice(32)
            if hashlib.sha256(body).digest() != digest.to_pybytes():
                return None
            table = pa.ipc.open_file(pa.BufferReader(body)).read_all()
            about = json.loads(table.schema.metadata[_MARK])
            # Most images are of a few forms, and a path's text is compared for a tenth of what comparing paths takes.
            form_of = cache(lambda *values: ImageForm(*values))
            folders = tuple(f"{folder}{os.sep}" for folder in (self._images.root, self._source.absolute().parent))
            images = []
            for text, form, ref, size in about["images"]:
                path = Path(text)
                if not text.startswith(folders) or ".." in path.parts or path.stat().st_size != size:
                    return None
                images.append(StoredImage(path, form_of(*form), ref))
            if any(FileState.of(Path(path)) != (path, *state) for path, *state in about["files"]):
                return None
            state = FileState(*about["state"])
            if (state, about["settled"]) != (self._state, True):
                if state.size != self._state.size or files.sha256_of(self._source) != about["sha256"]:
                    return None
                with suppress(OSError):
                    self._write(table, {**about, "state": self._state, "settled": self._is_settled})
            table.validate(full=True)  # who can write here can write a right sha256
            if any(column.type != pa.large_binary() or column.null_count for column in table.columns):
                return None
            pictures = (table.column(at).to_pylist() for at in self._pictures)
            for cells in zip(*pictures, strict=True):
                [images[n] for n in json.loads(b"".join(cells))]
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError):
            return None  # damaged, or of somebody else
        return StoredTable(about["sha256"], images, table)

    def remembering(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The source's rows, whose texts are remembered for :meth:`keep`."""
        for row in rows:
            if self._is_made_here and self._size <= files.MAX_TEXT_BYTES:
                self._rows.append([b"" if at in self._pictures else cell for at, cell in enumerate(row.cells)])
                self._size += sum(map(len, self._rows[-1]))
            yield row

    def keep(self, header: Sequence[str], sha256: str, images: Sequence[tuple[StoredImage, ...]]) -> None:
        """Write the table of a source that was read to its end; ``images`` are its rows'. Where the folder takes none,
        there is none: everything is read all the same."""
        numbers = {image: at for at, image in enumerate(dict.fromkeys(chain.from_iterable(images)))}
        with suppress(OSError, ValueError):  # a column may have a name that no text file takes
            outside = {image.source for image in numbers if image.source is not None}
            size = self._state.size + sum(state.size for state in outside)
            if size < LEAST_BYTES or self._size > files.MAX_TEXT_BYTES:
                return
            import pyarrow as pa

            cells = [*map(list, zip(*self._rows, strict=True))]
            cells[self._pictures[0]] = [json.dumps([numbers[each] for each in of_row]).encode() for of_row in images]
            columns = [pa.array(column, pa.large_binary()) for column in cells]
            about = {"sha256": sha256, "state": self._state, "settled": self._is_settled, "files": sorted(outside)}
            records = [(str(each.path), astuple(each.form), each.ref, each.path.stat().st_size) for each in numbers]
            self._write(pa.Table.from_arrays(columns, names=list(header)), {**about, "images": records})

    def _write(self, table: pa.Table, about: Mapping[str, Any]) -> None:
        import pyarrow as pa

        table, out = table.replace_schema_metadata({_MARK: json.dumps(about)}), pa.BufferOutputStream()
        with pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
        body = out.getvalue()
        files.write_bytes(self._path, hashlib.sha256(body).digest() + body)
