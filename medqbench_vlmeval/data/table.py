"""A streaming reader for delimited files with very large cells. It reads what the csv module reads (the tests hold it
against that module), but it works on bytes and yields a row as soon as it is complete: a file of base64 images is never
in memory as a whole, no text is made of cells that nobody asks for (a third of the csv module's time on such a file),
and the process-wide field limit of that module is left alone. A broken file is an error that names the place; nothing
is repaired."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from medqbench_vlmeval.errors import BadInput, tell
from medqbench_vlmeval.files import MAX_LINES, MAX_VALUES

MAX_ROW_BYTES = 1 << 27
"""A row larger than this (128 MiB) is a missing line break or an unclosed quote, not a row."""
MAX_COLUMNS = 1_000
_LONGEST_NAME = 1_000
MAX_ROWS, MAX_CELLS = MAX_LINES, MAX_VALUES

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_QUOTE = b'"'
# Lines longer than this go cell by cell: counting and splitting would copy an image that nobody may ask for.
_SHORT_LINE = 1 << 16


@dataclass(frozen=True)
class Row:
    """One data row: ``number`` counts from 1 without the header, ``cells`` are as many as the header has."""

    number: int
    cells: list[bytes]


class TableReader:
    """An open delimited file: its ``header``, then its :meth:`rows`, once. ``delimiter`` is else told by the path's
    suffix. ``sha256`` is of the file's bytes and complete when the last row has been read."""

    def __init__(self, path: Path, source: IO[bytes], delimiter: bytes | None = None) -> None:
        self.path = path
        self._digest = hashlib.sha256()
        self._delimiter = delimiter or (b"," if path.suffix.lower() == ".csv" else b"\t")
        self._ends_with_newline = True
        self._records = self._split(self._lines(source))
        cells = next(self._records, None)
        if cells is None or cells == [b""]:
            raise BadInput(f"{path} is empty: a header row with column names was expected.")
        try:
            self.header = tuple(cell.decode("utf-8").strip() for cell in cells)
        except UnicodeDecodeError:
            raise BadInput(f"{path}: the header row is not UTF-8 text; save the file as UTF-8.") from None
        check_header(self.header, path)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def rows(self) -> Iterator[Row]:
        """Yield the data rows without blank lines; BadInput where one has more or fewer cells than the header, or the
        file's bytes are broken."""
        width = len(self.header)
        number = 0
        for records, cells in enumerate(self._records, start=1):
            if records > MAX_ROWS:  # with blank lines, which take their time too
                check_size(self.path, records, 1)
            if cells == [b""] and width > 1:
                continue
            number += 1
            if len(cells) == width:
                yield Row(number, cells)
                continue
            cut = "" if self._ends_with_newline else " and the file ends without a line break: it was cut short"
            more, why = "", f"{cut}; get the file again"
            if len(cells) > width:
                name = "tab" if self._delimiter == b"\t" else "comma"
                more = " or more" if len(cells) > MAX_COLUMNS else ""
                why = f"; a cell with a {name} or a line break in it must stand in double quotes"
            many = f"{len(cells)}{more} cells, but the header names {width} columns"
            tell(BadInput(f"{self.path}, row {number}: {many}{why}."))

    def text(self, row: Row, position: int) -> str:
        """The text of one cell; BadInput where it is not UTF-8."""
        try:
            return row.cells[position].decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{self.path}, row {row.number}: column '{self.header[position]}' is not UTF-8 text "
                f"(byte {error.start} of the cell); save the file as UTF-8."
            ) from None

    def all_texts(self) -> list[list[str]]:
        """The header and the texts of all rows that were not read yet; BadInput as in :meth:`rows`, :meth:`text` and
        :func:`check_size`."""
        table = [list(self.header)]
        for row in self.rows():
            check_size(self.path, row.number, len(self.header))
            try:
                table.append(list(map(bytes.decode, row.cells)))
            except UnicodeDecodeError:
                table.append([self.text(row, position) for position in range(len(row.cells))])
        return table

    def _lines(self, source: IO[bytes]) -> Iterator[bytes]:
        number = 0
        while line := source.readline(MAX_ROW_BYTES):
            self._digest.update(line)
            number += 1
            if number == 1:
                if line.startswith(_UTF16_BOMS):
                    raise BadInput(f"{self.path} is UTF-16 text; save it as UTF-8.")
                line = line.removeprefix(_UTF8_BOM)
            if b"\0" in line:
                raise BadInput(
                    f"{self.path}, line {number}: a NUL byte, so this is not a text table; get the file again."
                )
            self._ends_with_newline = line.endswith(b"\n")
            if not self._ends_with_newline and len(line) >= MAX_ROW_BYTES:
                raise BadInput(
                    f"{self.path}, line {number} is longer than {MAX_ROW_BYTES >> 20} MiB: not a text table."
                )
            yield line

    def _split(self, lines: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Turn physical lines into records; ``quoted`` holds what was read of a quoted cell that is still open."""
        delimiter = self._delimiter
        between = _QUOTE + delimiter + _QUOTE
        cells: list[bytes] = []
        quoted: bytearray | None = None
        size = 0
        first, number = 1, 0
        for line in lines:
            number += 1
            end = len(line)
            if line.endswith(b"\n"):
                end -= 2 if line.endswith(b"\r\n") else 1
            if quoted is None:
                if _QUOTE not in line:
                    self._check_return(line, end, number)
                    yield line[:end].split(delimiter, MAX_COLUMNS)
                    continue
                if end <= _SHORT_LINE and (plain := _all_quoted(line[:end], between)) is not None:
                    yield plain
                    continue
                first = number
            size += len(line)
            if size > MAX_ROW_BYTES or number - first > MAX_LINES:
                raise BadInput(
                    f"{self.path}, line {first}: a double quote opens here and is not closed for {size:,} bytes."
                )
            at = 0
            while True:
                if quoted is None and line[at : at + 1] == _QUOTE:
                    quoted = bytearray()
                    at += 1
                if quoted is not None:
                    at = _read_quoted(line, at, quoted)
                    if at < 0:
                        break
                stop = line.find(delimiter, at, end)
                last = stop < 0 or len(cells) == MAX_COLUMNS
                value = line[at : end if last else stop]
                self._check_return(value, len(value), number)
                if quoted is not None:
                    quoted += value
                    value, quoted = bytes(quoted), None
                cells.append(value)
                if last:
                    yield cells
                    cells, size = [], 0
                    break
                at = stop + 1
        if quoted is not None:
            raise BadInput(
                f"{self.path}, line {first}: a double quote opens a cell and is never closed; the file was cut short."
            )

    def _check_return(self, line: bytes, end: int, number: int) -> None:
        """Refuse what some readers take for a line's end and others for a character."""
        if line.find(b"\r", 0, end) >= 0:
            raise BadInput(
                f"{self.path}, line {number}: a carriage return stands alone and outside of quotes; save the file with "
                "line feeds at its lines' ends."
            )


def _all_quoted(line: bytes, between: bytes) -> list[bytes] | None:
    """The cells of a line whose cells all stand in quotes and hold none; None where that is not sure."""
    if len(line) < 2 or line[:1] != _QUOTE or line[-1:] != _QUOTE:
        return None
    cells = line[1:-1].split(between)
    return cells if line.count(_QUOTE) == 2 * len(cells) else None


def _read_quoted(line: bytes, at: int, cell: bytearray) -> int:
    """Collect a quoted cell from ``at`` on; returns the place after its closing quote, or -1 if it goes on."""
    close = line.find(_QUOTE, at)
    while close >= 0 and line[close + 1 : close + 2] == _QUOTE:
        cell += line[at : close + 1]
        at = close + 2
        close = line.find(_QUOTE, at)
    if close < 0:
        cell += line[at:]
        return -1
    cell += line[at:close]
    return close + 1


def check_header(names: tuple[str, ...], path: Path) -> None:
    """Raise BadInput for a header that is wider than ``MAX_COLUMNS`` or names a column twice."""
    check_size(path, 1, len(names))
    if long := next((place for place, name in enumerate(names, start=1) if len(name) > _LONGEST_NAME), None):
        raise BadInput(
            f"{path}: the name of column {long} has {len(names[long - 1]):,} characters, and at most {_LONGEST_NAME:,} "
            "are read: no header."
        )
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise BadInput(f"{path}: the header names the column '{twice}' twice; rename or remove one of them.")


def check_size(path: Path, rows: int, columns: int) -> None:
    """Raise BadInput for a table of more than ``MAX_COLUMNS``, ``MAX_ROWS`` or ``MAX_CELLS``, before memory is taken
    for it: none of questions or replies is so large."""
    sizes = ((columns, MAX_COLUMNS, "columns"), (rows, MAX_ROWS, "rows"), (rows * columns, MAX_CELLS, "cells"))
    for found, most, what in sizes:
        if found > most:
            raise BadInput(
                f"{path} has {found:,} {what} or more, and at most {most:,} are read; leave out what no score needs, "
                "or split the file."
            )


def shown(text: str) -> str:
    """A text as an error message quotes it: one line, at most 60 characters."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
