"""The first sheet of an .xlsx file, as texts.

openpyxl cannot be used here: the PyPI kit writes a reply that starts with '=' as a formula whose text is not
escaped, and one control character in it makes the workbook ill-formed XML, which openpyxl refuses as a whole: one
reply would cost a run. It also drops 'x005F_' from any text (3.1). What a prediction file needs is small, so its
two XML parts are read as they are.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from medqbench_vlmeval.errors import BadInput

CELL_LIMIT = 32_767
"""A cell holds no more characters than this; writers cut longer texts to it."""

MAX_PART_BYTES = 1 << 31
"""A part of the archive that unpacks to more than this (2 GiB) is no prediction file."""

_CHUNK = 1 << 20
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]+")
_FIRST_SHEET = re.compile(r"<(?:\w+:)?sheet\s[^>]*?\br?:?id=\"([^\"]+)\"")
_RELATION = re.compile(r"<(?:\w+:)?Relationship\s[^>]*>")
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")

# A formula cell's text is written into the XML unescaped (xlsxwriter 3.2): control characters there are illegal, and
# no parser accepts them. They pass the parser as private characters.
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PRIVATE = 0xE000
_PRIVATE_TO_CONTROL = {_PRIVATE + code: code for code in range(32)}


def read_xlsx(path: Path) -> list[list[str]]:
    """All rows of the first sheet, the header included; absent cells are ''.

    Numbers come as their shortest text (7, not 7.0), booleans as True and False, formulas as '=' and their text.

    Raises:
        BadInput: the file is not a whole .xlsx file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            strings: list[str] = []
            if "xl/sharedStrings.xml" in names:
                table = _Strings()
                table.feed(_pieces(archive, "xl/sharedStrings.xml"))
                strings = table.strings
            sheet = _Sheet(strings)
            sheet.feed(_pieces(archive, _first_sheet(archive)))
            return sheet.rows
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise BadInput(f"{path} is not a whole .xlsx file: it was cut short or is of another kind.") from None
    except expat.ExpatError as error:
        raise BadInput(f"{path}: its XML is damaged ({error}); write the prediction file again.") from None
    except (KeyError, IndexError, ValueError, RuntimeError, NotImplementedError) as error:
        raise BadInput(f"{path} is not an .xlsx file that can be read ({error}); write it again.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    left = MAX_PART_BYTES
    with archive.open(name) as part:
        while piece := part.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                raise ValueError(f"{name} unpacks to more than {MAX_PART_BYTES >> 30} GiB")
            yield _ILLEGAL.sub(_as_private, piece) if _ILLEGAL.search(piece) else piece


def _as_private(found: re.Match[bytes]) -> bytes:
    return chr(_PRIVATE + found.group()[0]).encode("utf-8")


def _first_sheet(archive: zipfile.ZipFile) -> str:
    found = _FIRST_SHEET.search(archive.read("xl/workbook.xml").decode("utf-8", errors="replace"))
    if found:
        relations = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", errors="replace")
        for relation in _RELATION.findall(relations):
            attributes = dict(_ATTRIBUTE.findall(relation))
            if attributes.get("Id") == found.group(1):
                target = attributes["Target"]
                return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return "xl/worksheets/sheet1.xml"


def unescape(text: str) -> str:
    """Give back the control characters that a spreadsheet spells as ``_x000B_``."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


class _Part(ABC):
    """Feeds one XML part to its handlers; element names come without their namespace."""

    def feed(self, pieces: Iterator[bytes]) -> None:
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, attributes: self.start(name.rpartition("}")[2], attributes)
        parser.EndElementHandler = lambda name: self.end(name.rpartition("}")[2])
        parser.CharacterDataHandler = self.text
        # No writer of spreadsheets declares entities; refusing them refuses entity bombs.
        parser.EntityDeclHandler = _no_entities
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    @abstractmethod
    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element opens."""

    @abstractmethod
    def end(self, name: str) -> None:
        """An element closes."""

    @abstractmethod
    def text(self, text: str) -> None:
        """Text inside the innermost element."""


def _no_entities(*_: object) -> None:
    raise ValueError("its XML declares entities")


class _Strings(_Part):
    """The table of shared strings; phonetic runs (rPh) are no part of a text."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._pieces: list[str] = []
        self._in_text = False
        self._phonetic = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if name == "si":
            self._pieces = []
        elif name == "rPh":
            self._phonetic = True
        elif name == "t":
            self._in_text = not self._phonetic

    def end(self, name: str) -> None:
        if name == "si":
            self.strings.append(unescape("".join(self._pieces)))
        elif name == "rPh":
            self._phonetic = False
        elif name == "t":
            self._in_text = False

    def text(self, text: str) -> None:
        if self._in_text:
            self._pieces.append(text)


@dataclass
class _Sheet(_Part):
    """The cells of a worksheet."""

    strings: list[str]
    rows: list[list[str]] = field(default_factory=list)
    _row: list[str] = field(default_factory=list)
    _column: int = 0
    _kind: str = ""
    _reading: str | None = None
    _array: bool = False
    _dynamic: bool = False
    _parts: dict[str, list[str]] = field(default_factory=dict)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            number = attributes.get("r", "")
            if number.isdigit():
                # Empty rows are left out of the file; a table that skips a million of them is no table.
                missing = int(number) - 1 - len(self.rows)
                if not 0 <= missing <= 1_048_576:
                    raise ValueError(f"row number {number} is out of order")
                self.rows.extend([] for _ in range(missing))
            self._row = []
        elif name == "c":
            found = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column = _column_number(found.group(1)) if found else len(self._row)
            self._kind = attributes.get("t", "n")
            self._parts = {}
            self._array = False
            # Mark of a formula that spills over; its text stands without braces.
            self._dynamic = "cm" in attributes
        elif name in {"v", "f", "t"}:
            self._reading = name
            self._parts.setdefault(name, [])
            self._array = self._array or (attributes.get("t") == "array" and not self._dynamic)

    def end(self, name: str) -> None:
        if name == "row":
            self.rows.append(self._row)
        elif name == "c":
            self._row.extend([""] * (self._column + 1 - len(self._row)))
            self._row[self._column] = self._cell()
        elif name == self._reading:
            self._reading = None

    def text(self, text: str) -> None:
        if self._reading is not None:
            self._parts[self._reading].append(text)

    def _cell(self) -> str:
        parts = {name: "".join(pieces) for name, pieces in self._parts.items()}
        if "f" in parts:
            formula = parts["f"]
            # xlsxwriter escapes the text of an array formula, not that of a plain one.
            return f"{{={unescape(formula)}}}" if self._array else f"={formula.translate(_PRIVATE_TO_CONTROL)}"
        value = parts.get("v", "")
        if self._kind == "s":
            return self.strings[int(value)]
        if self._kind == "inlineStr":
            return unescape(parts.get("t", ""))
        if self._kind == "b":
            return "True" if value == "1" else "False"
        return number_text(value) if self._kind == "n" else unescape(value)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    if number > 16_384:
        raise ValueError(f"column {letters} is out of range")
    return number - 1


def number_text(value: str) -> str:
    """A number's shortest text: '7' for '7.0', everything else as it is."""
    whole, point, rest = value.partition(".")
    return whole if point and not rest.strip("0") and whole.lstrip("-").isdigit() else value
