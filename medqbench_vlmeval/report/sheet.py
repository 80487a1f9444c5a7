"""Cells and styles of the workbook.

A style is made once a workbook and shared by every cell that has it: styling is what makes openpyxl slow.
Text is written as text whatever it looks like, numbers as numbers with a format of their unit.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile

from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_store import is_content_name
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import replacing
from medqbench_vlmeval.report.text import cell_text, sheet_name, starts_like_formula
from medqbench_vlmeval.runs.result import RunPart

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet


_CREATOR = "medqbench-vlmeval"

PERCENT = "0.00"
SCORE = "0.000"
COUNT = "#,##0"

LINK_LIMIT = 65_530  # of one sheet: spreadsheets take a file with more links for a damaged one

_MONO_HEIGHT = 15.0  # points of one line in the default font
_MAX_LINES = 6

_FILLS = {"head": "1F3864", "bad": "9C0006", "warn": "FFE699", "good": "E2EFDA", "own": "DDEBF7", "human": "FCE4D6"}
_WHITE = frozenset({"head", "bad"})


@dataclass(frozen=True)
class Style:
    """How a cell looks: a number format, a fill by meaning, and switches (``faint``: grey italics, ``link``: blue)."""

    format: str = "General"
    fill: str | None = None
    bold: bool = False
    large: bool = False
    wrap: bool = False
    faint: bool = False
    link: bool = False


TEXT = Style()
WRAPPED = Style(wrap=True)
BOLD = Style(bold=True)
TITLE = Style(bold=True, large=True)
HEAD = Style(fill="head", bold=True, wrap=True)
LINK = Style(link=True)


@dataclass(frozen=True)
class Item:
    """A value with its style; None is an empty cell, True is 'yes'. ``link`` is an address, escaped, to be opened."""

    value: str | float | bool | None
    style: Style = TEXT
    link: str | None = None


class Book:
    """A workbook whose cells go through :class:`Sheet`.

    ``whole_text_in`` names the file that has cut texts whole, ``reserved`` the sheet names that :meth:`add`
    keeps free for :meth:`add_fixed`, ``mark`` the line that is printed below every page.
    """

    def __init__(self, whole_text_in: str, reserved: Sequence[str] = (), mark: str = "") -> None:
        from openpyxl import Workbook

        self.workbook: Workbook = Workbook()
        self.workbook.remove(self.workbook.worksheets[0])
        self.whole_text_in = whole_text_in
        self.reserved = tuple(reserved)
        self.mark = mark
        self._styles: dict[tuple[Style, bool], Any] = {}

    def add(self, wanted: str) -> Sheet:
        """A new sheet under a legal, free name near ``wanted``."""
        return self.add_fixed(sheet_name(wanted, [*self.reserved, *self.workbook.sheetnames]))

    def add_fixed(self, name: str) -> Sheet:
        """A new sheet under exactly this name."""
        return Sheet(self, self.workbook.create_sheet(name))

    def order(self, *first: str) -> None:
        """Put the named sheets first, in this order, where they are there; the others follow as they were added."""
        there = [name for name in first if name in self.workbook.sheetnames]
        for place, name in enumerate(there):
            self.workbook.move_sheet(name, offset=place - self.workbook.sheetnames.index(name))

    def save(self, path: Path) -> None:
        """Write the workbook, whole or not at all.

        Raises:
            RunFailed: the file cannot be written.
        """
        self.workbook.properties.creator = _CREATOR
        try:
            with replacing(path) as temporary:
                self.workbook.save(temporary)
        except OSError as error:
            raise RunFailed(
                f"{path} cannot be written ({error.strerror or error}); close it if it is open elsewhere, or choose "
                "another folder."
            ) from error

    def style_array(self, style: Style, quoted: bool, sheet: Worksheet) -> Any:
        """openpyxl's shared form of a style. ``quoted`` keeps a text that looks like a formula a text when edited."""
        key = (style, quoted)
        if key not in self._styles:
            self._styles[key] = _template(style, quoted, sheet)._style
        return self._styles[key]


class Sheet:
    """One sheet, filled from the top. Rows are counted from 1."""

    def __init__(self, book: Book, worksheet: Worksheet) -> None:
        from openpyxl.cell.cell import Cell

        self._make_cell: Any = Cell
        self.book = book
        self.worksheet = worksheet
        self.row = 0
        self._links = 0

    @property
    def title(self) -> str:
        return self.worksheet.title

    def append(self, items: Iterable[Item] = (), lines: int = 1) -> int:
        """Write a row and return its number; ``lines`` is the height that it needs, six at most."""
        self.row += 1
        self.worksheet.append([self._cell(item, column) for column, item in enumerate(items, 1)] or [None])
        if lines > 1:
            self.worksheet.row_dimensions[self.row].height = _MONO_HEIGHT * min(lines, _MAX_LINES)
        return self.row

    def header(self, names: Sequence[str], lines: int = 1) -> int:
        """Write a row of column heads."""
        return self.append([Item(name, HEAD) for name in names], lines=lines)

    def banner(self, text: str, fill: str, columns: int) -> int:
        """Write a line that is coloured over ``columns`` columns."""
        style = Style(fill=fill, bold=True)
        return self.append([Item(text, style), *[Item(None, style)] * (columns - 1)])

    def widths(self, widths: Sequence[float]) -> None:
        """Set the columns' widths from the first on, in characters."""
        from openpyxl.utils import get_column_letter

        for column, width in enumerate(widths, 1):
            self.worksheet.column_dimensions[get_column_letter(column)].width = width

    def table(self, first_row: int, columns: int) -> None:
        """Put an autofilter over the rows from ``first_row``, the heads, to the last one written."""
        self.worksheet.auto_filter.ref = area(1, first_row, columns, self.row)

    def colour_scale(
        self, column: int, first_row: int, last_row: int, top: float, last_column: int | None = None
    ) -> None:
        """Colour a column, or those to ``last_column``, from 0 to ``top``.

        Orange over white to violet also differ for the colour-blind.
        """
        if last_row < first_row:
            return
        from openpyxl.formatting.rule import ColorScaleRule

        make_rule: Any = ColorScaleRule  # untyped in openpyxl's stubs
        rule = make_rule(
            start_type="num",
            start_value=0,
            start_color="FDB863",
            mid_type="num",
            mid_value=top / 2,
            mid_color="F7F7F7",
            end_type="num",
            end_value=top,
            end_color="B2ABD2",
        )
        self.worksheet.conditional_formatting.add(area(column, first_row, last_column or column, last_row), rule)

    def finish(
        self, freeze: str | None = None, repeat_row: int | None = None, pages: int = 1, repeat_columns: int = 0
    ) -> None:
        """Freeze panes at a cell, and set up the print: landscape, ``pages`` wide, mark and page number below.

        ``repeat_row`` and the first ``repeat_columns`` columns are printed on every page.
        """
        sheet: Any = self.worksheet
        if freeze:
            sheet.freeze_panes = freeze
        if repeat_row:
            sheet.print_title_rows = f"{repeat_row}:{repeat_row}"
        if repeat_columns:
            sheet.print_title_cols = area(1, 1, repeat_columns, 1).replace("1", "")
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.paperSize = 9  # A4
        sheet.page_setup.fitToWidth = pages
        sheet.page_setup.fitToHeight = 0
        sheet.sheet_properties.pageSetUpPr.fitToPage = True
        sheet.oddFooter.left.text = self.book.mark
        if self.book.mark:
            sheet.sheet_properties.tabColor = _FILLS["bad"]
        sheet.oddFooter.right.text = "&A, page &P of &N"

    def _cell(self, item: Item, column: int) -> Any:
        value = item.value
        if isinstance(value, bool):
            # LibreOffice reads a cell of the format's own truth values as the formula '=TRUE()'.
            value = "yes" if value else "no"
        cell = self._make_cell(self.worksheet, self.row, column)
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)
        if isinstance(value, str):
            if value:
                # Past openpyxl's own setter, which would make '=1+1' a formula and '#N/A' an error.
                cell._value = cell_text(value, self.book.whole_text_in)
                cell.data_type = "s"
            quoted = starts_like_formula(value)
        else:
            cell.value = value
            quoted = False
        cell._style = self.book.style_array(item.style, quoted, self.worksheet)
        if item.link is not None and self._links < LINK_LIMIT:
            self._links += 1
            cell.hyperlink = item.link
        return cell


def made_here(path: Path) -> bool:
    """Whether a file is a workbook that this package made, also where somebody has saved it again since."""
    try:
        with ZipFile(path) as parts:
            return f">{_CREATOR}<".encode() in parts.read("docProps/core.xml")
    except (BadZipFile, KeyError):
        return False


def area(left: int, top: int, right: int, bottom: int) -> str:
    """A rectangle in A1 notation, columns and rows counted from 1."""
    from openpyxl.utils import get_column_letter

    return f"{get_column_letter(left)}{top}:{get_column_letter(right)}{bottom}"


def lines_of(text: str, width: float) -> int:
    """How many lines a wrapped text takes in a column ``width`` characters wide, six at most."""
    count = 0
    for line in text[: int(width) * _MAX_LINES].splitlines():
        count += max(1, math.ceil(len(line) / width))
    return min(max(count, 1), _MAX_LINES)


def _ink(style: Style) -> str:
    if style.fill in _WHITE:
        return "FFFFFF"
    return "595959" if style.faint else "0563C1" if style.link else "000000"


def _template(style: Style, quoted: bool, sheet: Worksheet) -> Any:
    from openpyxl.cell.cell import Cell
    from openpyxl.styles import Alignment, Font, PatternFill

    cell: Any = Cell(sheet, 1, 1)
    cell.number_format = style.format
    # Wrapped heads keep to the bottom of their row, texts to the top, where reading starts.
    head = style.fill == "head"
    # Numbers stand right and texts left; a centred head belongs to both.
    cell.alignment = Alignment(
        wrap_text=style.wrap, vertical="center" if head else "top", horizontal="center" if head else None
    )
    cell.font = Font(
        name="Calibri",
        size=14 if style.large else 11,
        bold=style.bold,
        italic=style.faint,
        underline="single" if style.link else None,
        color=_ink(style),
    )
    if style.fill:
        cell.fill = PatternFill("solid", fgColor=_FILLS[style.fill])
    cell.quotePrefix = quoted
    return cell


# Links from a workbook's samples to their images on this machine.
#
# A sample row names its images without their folders. The name is somebody else's text: it is looked up where this
# package keeps images, under a pattern that leaves no way out of that folder, and linked where such a file exists.


LONGEST_LINK = 2_000  # characters; spreadsheets take 2,079 at most

_EMBEDDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:png|jpg)")


class ImageLinks:
    """Finds the images of a run's samples, each file once.

    Args:
        parts: the run's tasks; the images of the embedded set are looked for where a task was scored on it.
        folder: where the workbook will lie; links are relative to it where that is possible.
    """

    def __init__(self, parts: Sequence[RunPart], folder: Path) -> None:
        self._store = ImageStore.default()
        self._embedded = embedded_folder() / "images"
        self._embedded_tasks = {part.task.value for part in parts if part.data.get("origin") == "embedded"}
        self._folder = folder.absolute()
        self._known: dict[tuple[str, bool], str | None] = {}

    def of(self, row: Mapping[str, Any], name: str) -> str | None:
        """The address of one image of a sample, percent-escaped, or None where there is no such file here."""
        embedded = str(row.get("task")) in self._embedded_tasks
        key = (name, embedded)
        if key not in self._known:
            self._known[key] = self._address(name, embedded)
        return self._known[key]

    def _address(self, name: str, embedded: bool) -> str | None:
        if is_content_name(name):
            path = self._store.place(name)
        elif embedded and _EMBEDDED.fullmatch(name):
            path = self._embedded / name
        else:
            return None
        try:
            if not path.is_file():
                return None
        except OSError:  # a folder that may not be looked into
            return None
        address = link_to(path, self._folder)
        return address if len(address) <= LONGEST_LINK else None


def link_to(path: Path, folder: Path) -> str:
    """The address of an absolute path for a file in ``folder``: relative, or absolute where they share no drive."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return path.as_uri()
    return quote(relative.replace(os.sep, "/"))
