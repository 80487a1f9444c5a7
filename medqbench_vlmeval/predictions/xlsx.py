"""The first sheet of an .xlsx file, as texts. openpyxl refuses what the kits write: the PyPI kit writes a reply that
starts with '=' as a formula that is not escaped, so that one control character in it would cost a run; with such bytes
mended it still takes twice the time of this reader. A file of a few kilobytes can claim millions of cells and unpack to
gigabytes: parts are read as streams, no tree is made of them, and what is kept is bounded."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from typing import IO, NamedTuple
from xml.parsers import expat

from medqbench_vlmeval.data.table import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, check_size
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import MAX_TEXT_BYTES

CELL_LIMIT = 32_767  # A cell holds no more characters than this; writers cut longer texts to it.
_CHUNK = 1 << 16
_MIB = 1 << 20
# Sheets of repeated texts pack to a hundredth; what packs better than this is made to unpack.
_MOST_BYTES, _SMALL_PART, _MOST_RATIO = MAX_TEXT_BYTES, 1 << 26, 200
_MOST_ITEM_BYTES = 1 << 24  # of a row or a shared text, and of what stands between two of them
_MOST_ELEMENTS = 6 * MAX_CELLS
_MOST_CHARACTERS = 1 << 30  # of all cells: one shared text may stand in each
_SHEET_COLUMNS = 16_384
_DIGITS = "0123456789"
_WHOLE = re.compile(r"\A(-*\d+)\.0*\Z")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# Control characters are illegal in XML; they pass the parser as private characters.
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PRIVATE = 0xE000
_TO_CONTROL = {_PRIVATE + code: code for code in range(32)}
# The elements whose texts are read: a value, a formula, a (run of a) text.
_FORMULA, _PHONETIC = "f", "rPh"
_TEXTS = frozenset({"v", _FORMULA, "t"})


class _Element(NamedTuple):
    """An element with its attributes, the texts inside it by their elements' names, and its formula's attributes."""

    tag: str
    attributes: Mapping[str, str]
    texts: Mapping[str, str]
    formula: Mapping[str, str] | None


def read_xlsx(path: Path, source: IO[bytes]) -> list[list[str]]:
    """Read all rows of the first sheet, the header included; absent cells are '' or left out at a row's end. Numbers
    come as their shortest text (7, not 7.0), booleans as True and False, formulas as '=' and their text. BadInput where
    the file is not a whole .xlsx file, or larger than a sheet of predictions is."""
    try:
        with zipfile.ZipFile(source) as archive:
            shared = "xl/sharedStrings.xml"
            strings: list[str] = []
            if shared in archive.namelist():
                for item in _elements(archive, shared, "si"):
                    strings.append(unescaped(item.texts.get("t", "")))
                    check_size(path, 1 + len(strings) // MAX_COLUMNS, MAX_COLUMNS)
            return _rows(_elements(archive, _first_sheet(archive), "c", "row"), strings, path)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise BadInput(f"{path} is not a whole .xlsx file: it was cut short or is of another kind.") from None
    except expat.ExpatError as error:
        raise BadInput(f"{path}: its XML is damaged ({error}); write the prediction file again.") from None
    except (KeyError, IndexError, ValueError, RuntimeError, NotImplementedError, OSError) as error:
        raise BadInput(f"{path} is not an .xlsx file that can be read ({error}); write it again.") from None


def _elements(archive: zipfile.ZipFile, name: str, *tags: str) -> Iterator[_Element]:
    """The elements of these names in one part, each when it ends; ValueError where one is larger than any real one."""
    part = archive.getinfo(name)
    most = min(_MOST_BYTES, max(_SMALL_PART, _MOST_RATIO * part.compress_size))
    if part.file_size > most:
        sizes = f"{part.file_size // _MIB:,} MiB from {part.compress_size / _MIB:,.1f}"
        raise ValueError(f"{name} unpacks to {sizes}, and at most {most // _MIB:,} MiB are read")
    ready: list[_Element] = []
    kept = {*tags, _FORMULA, _PHONETIC}
    inside: dict[str, Mapping[str, str]] = {}
    texts: dict[str, str] = {}
    pieces: list[str] = []
    runs: list[str] = []
    n_elements = 0

    # Called for every cell of a sheet, millions of times.
    def start(full: str, attributes: Mapping[str, str]) -> None:
        nonlocal n_elements
        n_elements += 1
        tag = full.rpartition(":")[2] if ":" in full else full
        if tag in kept:
            inside[tag] = attributes
        pieces.clear()

    def end(full: str) -> None:
        nonlocal texts
        tag = full.rpartition(":")[2] if ":" in full else full
        if tag in _TEXTS:
            text = pieces[0] if len(pieces) == 1 else "".join(pieces)
            if _PHONETIC in inside:
                pass
            elif tag in texts:
                runs.append(text)
            else:
                texts[tag] = text
        elif tag in tags:
            if runs:
                texts["t"] = "".join([texts.get("t", ""), *runs])
                runs.clear()
            ready.append(_Element(tag, inside.pop(tag), texts, inside.pop(_FORMULA, None)))
            texts = {}
        elif tag == _PHONETIC:
            del inside[tag]
        pieces.clear()

    def refuse(*_: object) -> None:
        raise ValueError("its XML declares entities")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, pieces.append
    # No writer of spreadsheets declares entities; refusing them refuses entity bombs.
    parser.EntityDeclHandler = refuse
    waiting = 0
    with archive.open(part) as packed:
        while chunk := packed.read(_CHUNK):
            parser.Parse(_ILLEGAL.sub(lambda byte: chr(_PRIVATE + byte[0][0]).encode(), chunk), False)
            waiting = 0 if ready else waiting + len(chunk)
            yield from ready
            ready.clear()
            if waiting > _MOST_ITEM_BYTES:
                raise ValueError(f"{name} has {_MOST_ITEM_BYTES // _MIB} MiB without the end of a row or text")
            if n_elements > _MOST_ELEMENTS:
                raise ValueError(f"{name} has {n_elements:,} XML elements, and at most {_MOST_ELEMENTS:,} are read")
    parser.Parse(b"", True)
    yield from ready


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheets = (sheet.attributes for sheet in _elements(archive, "xl/workbook.xml", "sheet"))
    wanted = next((value for name, value in next(sheets, {}).items() if name.endswith(":id")), None)
    for _, relation, *_ in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship"):
        if relation.get("Id") == wanted:
            target = relation.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return "xl/worksheets/sheet1.xml"


def unescaped(text: str) -> str:
    """Give back the control characters that a spreadsheet spells as ``_x000B_``."""
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text) if "_x" in text else text


def _rows(elements: Iterable[_Element], strings: Sequence[str], path: Path) -> list[list[str]]:
    rows: list[list[str]] = []
    cells: list[str] = []
    column = n_cells = n_characters = 0
    for element in elements:
        if element.tag == "c":
            column = _column(element.attributes.get("r", "").rstrip(_DIGITS)) or column + 1
            if text := _text(element, strings):
                if column > MAX_COLUMNS:
                    check_size(path, 1, column)
                cells += [""] * (column - len(cells))
                cells[column - 1] = text
                n_characters += len(text)
            continue
        n_cells += len(cells)
        missing = int(element.attributes.get("r", len(rows) + 1)) - 1 - len(rows)  # Empty rows are left out.
        if not 0 <= missing < MAX_ROWS - len(rows):
            raise ValueError(f"row number {len(rows) + missing + 1} is out of order or beyond {MAX_ROWS:,}")
        if n_cells > MAX_CELLS or n_characters > _MOST_CHARACTERS:
            raise ValueError(
                f"up to row {len(rows) + 1} it has {n_cells:,} cells with {n_characters:,} characters, and at most "
                f"{MAX_CELLS:,} and {_MOST_CHARACTERS:,} are read"
            )
        rows += [[]] * missing
        rows.append(cells)
        cells, column = [], 0
    return rows


@lru_cache(_SHEET_COLUMNS)
def _column(letters: str) -> int:
    """The number of a column, from 1; 0 for no letters."""
    number = reduce(lambda so_far, letter: 26 * so_far + ord(letter) - ord("A") + 1, letters[:4], 0)
    if not 0 <= number <= _SHEET_COLUMNS:
        raise ValueError(f"column {letters[:20]} is out of range")
    return number


def _text(cell: _Element, strings: Sequence[str]) -> str:
    _, attributes, texts, formula = cell
    kind = attributes.get("t", "n")
    if formula is not None:
        text = texts[_FORMULA]
        # A text in braces is an array formula to the kit's writer, which escapes it; 'cm' marks another kind.
        if formula.get("t") == "array" and "cm" not in attributes:
            return f"{{={unescaped(text)}}}"
        return f"={text.translate(_TO_CONTROL)}"
    if kind == "inlineStr":
        return unescaped(texts.get("t", ""))
    value = texts.get("v", "")
    if kind == "s":
        return strings[int(value)]
    if kind == "b":
        return str(value == "1")
    return _WHOLE.sub(r"\1", value) if kind == "n" else unescaped(value)
