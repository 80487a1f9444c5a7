"""The first sheet of an .xlsx file, as texts.

openpyxl refuses what the kits write: the PyPI kit writes a reply that starts with '=' as a formula whose text is not
escaped, so that one control character in it makes the workbook ill-formed XML, and one reply would cost a run. With
such bytes mended it still takes twice the time of this reader. What a prediction file needs is small.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, iterparse

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import reading

CELL_LIMIT = 32_767  # A cell holds no more characters than this; writers cut longer texts to it.
_MAX_PART_BYTES = 1 << 31  # A part of the archive that unpacks to more than 2 GiB is no prediction file.
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
_WHOLE = re.compile(r"\A(-*\d+)\.0*\Z")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# Control characters are illegal in XML; they pass the parser as private characters.
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PRIVATE = 0xE000
_TO_CONTROL = {_PRIVATE + code: code for code in range(32)}


def read_xlsx(path: Path) -> list[list[str]]:
    """Read all rows of the first sheet, the header included; absent cells are ''.

    Numbers come as their shortest text (7, not 7.0), booleans as True and False, formulas as '=' and their text.

    Raises:
        BadInput: the file is not a whole .xlsx file.
    """
    try:
        with reading(path), zipfile.ZipFile(path) as archive:
            shared = "xl/sharedStrings.xml"
            items = _elements(archive, shared, "si") if shared in archive.namelist() else ()
            return _rows(_elements(archive, _first_sheet(archive), "row"), [_string(item) for item in items])
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise BadInput(f"{path} is not a whole .xlsx file: it was cut short or is of another kind.") from None
    except ParseError as error:
        raise BadInput(f"{path}: its XML is damaged ({error}); write the prediction file again.") from None
    except (KeyError, IndexError, ValueError, RuntimeError, NotImplementedError) as error:
        raise BadInput(f"{path} is not an .xlsx file that can be read ({error}); write it again.") from None


def _elements(archive: zipfile.ZipFile, name: str, tag: str) -> Iterator[Element]:
    if archive.getinfo(name).file_size > _MAX_PART_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MAX_PART_BYTES >> 30} GiB")
    data = _ILLEGAL.sub(lambda byte: chr(_PRIVATE + byte[0][0]).encode(), archive.read(name))
    # No writer of spreadsheets declares entities; refusing them refuses entity bombs.
    if b"<!ENTITY" in data:
        raise ValueError("its XML declares entities")
    for _, element in iterparse(io.BytesIO(data)):  # noqa: S314 - no entities are left to expand
        if _tag(element) == tag:
            yield element
            element.clear()


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheets = (sheet.attrib for sheet in _elements(archive, "xl/workbook.xml", "sheet"))
    wanted = next((value for name, value in next(sheets, {}).items() if name.endswith("}id")), None)
    for relation in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship"):
        if relation.get("Id") == wanted:
            target = relation.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return "xl/worksheets/sheet1.xml"


def _string(item: Element) -> str:
    """The text of a string, plain or in runs; phonetic runs (rPh) are no part of it."""
    runs = [item, *(child for child in item if _tag(child) == "r")]
    return unescaped("".join(part.text or "" for run in runs for part in run if _tag(part) == "t"))


def unescaped(text: str) -> str:
    """Give back the control characters that a spreadsheet spells as ``_x000B_``."""
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text) if "_x" in text else text


def _rows(elements: Iterable[Element], strings: Sequence[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in elements:
        missing = int(row.get("r", len(rows) + 1)) - 1 - len(rows)  # Empty rows are left out of the file.
        if not 0 <= missing <= _MOST_ROWS:
            raise ValueError(f"row number {row.get('r')} is out of order")
        cells: list[str] = []
        for cell in row:
            column = _column(cell.get("r", ""), len(cells))
            cells += [""] * (column + 1 - len(cells))
            cells[column] = _text(cell, strings)
        rows += [*([] for _ in range(missing)), cells]
    return rows


def _column(reference: str, default: int) -> int:
    letters = reference.rstrip("0123456789")
    number = reduce(lambda so_far, letter: 26 * so_far + ord(letter) - ord("A") + 1, letters, 0)
    if not 0 <= number <= _MOST_COLUMNS:
        raise ValueError(f"column {letters} is out of range")
    return number - 1 if number else default


def _text(cell: Element, strings: Sequence[str]) -> str:
    parts = {_tag(part): part for part in cell}
    formula, kind = parts.get("f"), cell.get("t", "n")
    if formula is not None:
        text = formula.text or ""
        # A text in braces is an array formula to the kit's writer, which escapes it; 'cm' marks another kind.
        if formula.get("t") == "array" and "cm" not in cell.attrib:
            return f"{{={unescaped(text)}}}"
        return f"={text.translate(_TO_CONTROL)}"
    if kind == "inlineStr":
        return _string(parts["is"]) if "is" in parts else ""
    value = (parts["v"].text if "v" in parts else "") or ""
    if kind == "s":
        return strings[int(value)]
    if kind == "b":
        return str(value == "1")
    return _WHOLE.sub(r"\1", value) if kind == "n" else unescaped(value)
