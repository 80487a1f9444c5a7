"""Parquet and JSON Lines, read as tables of cells like a TSV: images as base64, lists as JSON, what is absent as ''."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from medqbench_vlmeval.data.image_forms import is_image
from medqbench_vlmeval.data.table import MAX_ROW_BYTES, Row, TableReader, check_header, check_size
from medqbench_vlmeval.errors import BadInput, tell
from medqbench_vlmeval.files import opened, read_lines, sha256_of_rest

# A batch of Parquet holds a row, or so many bytes where whole groups of rows are smaller: one value of a group's
# dictionary may stand in each of its rows.
_BATCH_BYTES, _BATCH_ROWS = 1 << 26, 1024
_PARQUET_BUFFER = 1 << 20
# A line of half a megabyte is put together of so many pieces (measured: 0.5 s for 600 MiB with 8 KiB, 0.1 s with this).
_LINE_BUFFER = 1 << 21
# Repeated values take no room in a Parquet file; cells of more than this, and of so many times the file, are a bomb.
_MOST_BYTES, _MOST_TIMES, _MOST_PACKED = 1 << 30, 200, 50


@contextmanager
def open_data(path: Path) -> Iterator[TableReader]:
    """Open a data file by its suffix; BadInput where it is absent, of another kind, cannot be read or has no usable
    header."""
    suffix = path.suffix.lower()
    if suffix not in _READERS and not path.is_dir():
        raise BadInput(f"{path}: a data file ends in {', '.join(SUFFIXES)}, not '{suffix or 'no suffix'}'.")
    with opened(path, -1 if suffix == ".parquet" else _LINE_BUFFER) as source:
        yield _READERS[suffix](path, source)


def table_in(folder: Path, name: str) -> Path | None:
    """The data file of a published name in a folder, whatever its format; BadInput where there are two."""
    found = [path for suffix in SUFFIXES if (path := (folder / name).with_suffix(suffix)).is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found[:2])
        raise BadInput(f"the folder {folder} holds {names}; move one of them away, or name the file itself.")
    return found[0] if found else None


class _Records(TableReader):
    """A file whose rows are named values, each time that they are asked for; ``names`` are those of its columns."""

    def __init__(self, path: Path, source: IO[bytes], names: list[str], values: Callable[[], Iterator[Any]]) -> None:
        self.path, self.header, self._source, self._values = path, tuple(names), source, values
        check_header(self.header, path)
        if not names:
            raise BadInput(f"{path} is empty: rows with named columns were expected.")

    @property
    def sha256(self) -> str:
        return self._sha256

    def rows(self) -> Iterator[Row]:
        most, total = max(_MOST_BYTES, _MOST_TIMES * self._source.seek(0, 2)), 0
        for number, record in enumerate(self._values(), start=1):
            cells = []
            for name in self.header:
                try:
                    cells.append(_cell(record.get(name)))
                except (TypeError, RecursionError):
                    why = "holds a nested object, and texts, numbers, images and lists of these are read"
                    tell(BadInput(f"{self.path}, row {number}: column '{name[:60]}' {why}; flatten or remove it."))
                    cells.append(b"")
            size = sum(map(len, cells))
            total += size
            if size > MAX_ROW_BYTES or total > most:
                raise BadInput(
                    f"{self.path}, row {number}: the row has {size:,} bytes, the file up to here {total:,}, and at "
                    f"most {MAX_ROW_BYTES:,} and {most:,} are read."
                )
            yield Row(number, cells)
        self._source.seek(0)
        self._sha256 = sha256_of_rest(self._source)


def _json_table(path: Path, source: IO[bytes]) -> _Records:
    def records() -> Iterator[Any]:
        source.seek(0)
        for number, record in json_lines(path, source):
            if not isinstance(record, dict):
                raise BadInput(f"{path}, line {number}: {type(record).__name__} where an object was expected.")
            yield record

    names: dict[str, None] = {}
    for number, record in enumerate(records(), start=1):
        names.update(dict.fromkeys(record))
        check_size(path, number, len(names))
    return _Records(path, source, list(names), records)


def _parquet_table(path: Path, source: IO[bytes]) -> _Records:
    from pyarrow.parquet import ParquetFile

    def records() -> Iterator[Any]:
        with _whole(path):
            largest = max((about.row_group(at).total_byte_size for at in range(about.num_row_groups)), default=0)
            n = _BATCH_ROWS if largest * _BATCH_ROWS < _BATCH_BYTES else 1
            for batch in file.iter_batches(n, use_threads=False):  # threads take more time and memory here
                yield from batch.to_pylist()

    with _whole(path):
        file = ParquetFile(source, buffer_size=_PARQUET_BUFFER)
        about, names = file.metadata, list(file.schema_arrow.names)
        check_size(path, about.num_rows, about.num_columns)
        # A page is unpacked as a whole, several times its size; a file of 20 kB may say that it has a gigabyte.
        claimed = sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups))
        if claimed > max(_BATCH_BYTES, _MOST_PACKED * (size := source.seek(0, 2))):
            raise BadInput(f"{path} unpacks to {claimed >> 20:,} MiB from {size >> 10:,} KiB; write it in another way.")
    return _Records(path, source, names, records)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, MemoryError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:160].rstrip(".")
        raise BadInput(f"{path} cannot be read as Parquet ({why}); get or write the file again.") from None


_READERS: Mapping[str, Callable[[Path, IO[bytes]], TableReader]] = {
    ".tsv": TableReader,
    ".csv": TableReader,
    ".parquet": _parquet_table,
    ".jsonl": _json_table,
}
SUFFIXES = tuple(_READERS)
"""Those of data files, by precedence."""


def json_lines(path: Path, source: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """The values of an open file of JSON Lines by their lines' numbers; BadInput as :func:`.files.read_lines`, and
    where a line is not whole JSON or names something twice."""
    for number, line in read_lines(source, path):
        try:
            yield number, json.loads(line, object_pairs_hook=json_named_once)
        except (ValueError, RecursionError) as error:
            why = str(error) if error.args and not isinstance(error, json.JSONDecodeError) else "cut short or damaged"
            raise BadInput(f"{path}, line {number}: not a whole JSON object ({why}).") from None


def json_named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object by its pairs. Raises ValueError where a name stands twice: nobody knows which one is meant."""
    named = dict(pairs)
    if len(named) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name '{twice:.60}' stands twice")
    return named


def _cell(value: Any) -> bytes:
    """A value as a cell; TypeError for what is none."""
    if isinstance(value, bytes):
        return base64.b64encode(value) if is_image(value) else value
    if isinstance(value, dict):  # an image as ``datasets`` writes it
        if value.keys() - {"bytes", "path"}:
            raise TypeError
        return _cell(value.get("bytes") or value.get("path"))
    if isinstance(value, list):
        items = [_cell(item).decode("utf-8", errors="surrogateescape") for item in value]
        value = json.dumps(items, ensure_ascii=False) if items else ""
    return cell_text(value).encode("utf-8", errors="surrogatepass")


def cell_text(value: Any) -> str:
    """A value as the text of a cell: None and NaN are '', whole numbers have no '.0', lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
