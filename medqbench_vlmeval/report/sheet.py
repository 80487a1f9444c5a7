"""Tables on the sheets of a workbook, written with XlsxWriter.

Text is written as text whatever it looks like: no formula, no address, no error value is made of it. Numbers have the
format of their kind. A format is made once a workbook and shared by every cell that looks alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from medqbench_vlmeval.files import replacing, writing
from medqbench_vlmeval.report.table import Column, Entry, Fill, Item, Kind, Look, Table, as_item, flat
from medqbench_vlmeval.report.text import FORMULA_STARTS, cell_text, sheet_name

_CREATOR = "medqbench-vlmeval"
LINK_LIMIT = 65_530  # of one sheet: spreadsheets take a file with more links for a damaged one
MAX_LINES = 6
_LINE = 15.0  # points of one line in the default font

_FORMATS: Mapping[Kind, str] = {
    "count": "#,##0", "percent": "0.00", "share": "0.0", "score": "0.000", "p": '[<0.0001]"<0.0001";0.0000',
    "points": "+0.00;-0.00;0.00", "score_points": "+0.000;-0.000;0.000",
}  # fmt: skip
_FILLS: Mapping[Fill, str] = {
    "head": "1F3864", "bad": "9C0006", "warn": "FFE699", "good": "E2EFDA", "own": "DDEBF7", "human": "FCE4D6",
}  # fmt: skip
_WHITE = frozenset({"head", "bad"})
_LOOK_FILLS: Mapping[Look, Fill] = {"own": "own", "baseline": "own", "human": "human"}
_BOLD: frozenset[Look] = frozenset({"bold", "own", "baseline", "heading"})


class _Style(NamedTuple):
    """What makes two cells look alike."""

    number: str = "General"
    fill: Fill | None = None
    bold: bool = False
    faint: bool = False
    link: bool = False
    quoted: bool = False
    large: bool = False
    wrap: bool = False
    lined: bool = False


class Book:
    """A workbook whose sheets are written from the top, one after the other.

    ``whole_text_in`` names the file that has cut texts whole, ``reserved`` the sheet names that :meth:`add` keeps free
    for :meth:`add_fixed`, ``mark`` the line that is printed below every page.
    """

    def __init__(self, whole_text_in: str, reserved: Sequence[str] = (), mark: str = "") -> None:
        from xlsxwriter import Workbook

        self._content = BytesIO()
        self.workbook: Any = Workbook(self._content, {"in_memory": True})
        self.workbook.set_properties({"author": _CREATOR})
        self.whole_text_in = whole_text_in
        self.reserved = tuple(reserved)
        self.mark = mark
        self.look = cache(self._look)

    def add(self, wanted: str) -> Sheet:
        """A new sheet under a legal, free name near ``wanted``."""
        return self.add_fixed(sheet_name(wanted, [*self.reserved, *self.workbook.sheetnames]))

    def add_fixed(self, name: str) -> Sheet:
        """A new sheet under exactly this name."""
        return Sheet(self, self.workbook.add_worksheet(name))

    def add_tables(
        self,
        name: str,
        tables: Iterable[Table],
        title: str = "",
        lines: Iterable[str] = (),
        freeze: str = "",
        filters: bool = False,
    ) -> None:
        """Write a sheet of tables, one below the other under a title and lines of text; without rows no sheet."""
        filled = [table for table in tables if table.rows]
        if not filled:
            return
        sheet = self.add_fixed(name)
        if title:
            sheet.title(title)
        for line in lines:
            sheet.append([line])
        for table in filled:
            if sheet.row:
                sheet.append()
            sheet.add_table(table, filters=filters)
        sheet.finish(freeze, repeat_row=1 if freeze else None)

    def save(self, path: Path) -> None:
        """Write the workbook, whole or not at all.

        Raises:
            RunFailed: the file cannot be written.
        """
        self.workbook.close()
        with writing(path, "close it if it is open elsewhere, or choose another folder"), replacing(path) as temporary:
            temporary.write_bytes(self._content.getvalue())

    def _look(self, style: _Style) -> Any:
        """XlsxWriter's form of a style, made once."""
        ink = "FFFFFF" if style.fill in _WHITE else "595959" if style.faint else "0563C1" if style.link else "000000"
        head = style.fill == "head"
        form = {
            "num_format": style.number,
            # Heads keep to the middle of their row, texts to the top, where reading starts.
            "valign": "vcenter" if head else "top",
            "text_wrap": style.wrap,
            "bold": style.bold,
            "italic": style.faint,
            "underline": int(style.link),
            "font_size": 14 if style.large else 11,
            "font_color": f"#{ink}",
            # A text that looks like a formula stays a text when somebody edits it.
            "quote_prefix": style.quoted,
        }
        form |= {"align": "center"} if head else {}
        form |= {"bg_color": f"#{_FILLS[style.fill]}"} if style.fill else {}
        form |= {"border": 1, "border_color": "#BFBFBF"} if style.lined else {}
        return self.workbook.add_format(form)


class Sheet:
    """One sheet, filled from the top. Rows and columns are counted from 1."""

    def __init__(self, book: Book, worksheet: Any) -> None:
        self.book = book
        self.worksheet = worksheet
        self.row = 0
        self._links = 0
        self._widths: dict[int, float] = {}
        self._are_set = False

    def append(self, entries: Iterable[Entry] = (), look: Look = "", *, lines: int = 1, **style: bool) -> int:
        """Write a row of texts and plain numbers and return its number; ``lines`` is its height, six at most.

        Its texts may be ``large`` or ``wrap``, and its cells have lines around them (``lined``).
        """
        self.row += 1
        for column, entry in enumerate(entries, 1):
            kind: Kind = "count" if isinstance(entry, int) else "number"
            self._put(column, as_item(entry, kind), look, **style)
        return self._height(lines)

    def title(self, text: str) -> None:
        """Write a line in large, bold letters."""
        self.append([text], "bold", lines=2, large=True)

    def banner(self, text: str, fill: Fill, columns: int) -> None:
        """Write a line that is coloured over ``columns`` columns."""
        self.append([Item(text, fill=fill), *[Item(fill=fill)] * (columns - 1)], "bold")

    def sentence(self, text: str, columns: int, *, fill: Fill | None = None, width: float = 110) -> None:
        """Write a text that wraps over ``columns`` columns, ``width`` characters in all, as high as it needs."""
        self.row += 1
        self.span(text, 1, columns, fill=fill)
        self._height(lines_of(text, width))

    def span(self, text: str, first: int, last: int, fill: Fill | None = None) -> None:
        """Write a text over some columns of the last row, which become one cell."""
        if last > first:
            style = _Style(fill=fill, bold=fill is not None, wrap=True)
            self.worksheet.merge_range(self.row - 1, first - 1, self.row - 1, last - 1, "", self.book.look(style))
        self._put(first, Item(text, fill=fill), "bold" if fill else "", wrap=True)

    def header(self, names: Iterable[str], lines: int = 1) -> int:
        """Write a row of column heads."""
        return self.append([Item(name, fill="head") for name in names], "bold", lines=lines, wrap=True)

    def add_table(self, table: Table, *, titled: bool = True, filters: bool = False) -> int:
        """Write a table with its title and notes, and return the row of its heads.

        Args:
            titled: whether the title stands above.
            filters: whether the heads get an autofilter; a sheet has one at most.
        """
        cells = flat(table, for_text=False)
        columns = cells.columns
        if table.title and titled:
            self.append([table.title], "bold")
        if not self._are_set:
            self._widths |= {at: max(c.width, self._widths.get(at, 0)) for at, c in enumerate(columns, 1)}
        # Filter buttons take two characters of a head.
        heights = [lines_of(column.head, self._widths.get(at, 8) - 2) for at, column in enumerate(columns, 1)]
        head = self.header([column.head for column in columns], max(heights))
        for look, items in cells.rows:
            self.row += 1
            lines = 1
            for at, (column, item) in enumerate(zip(columns, items, strict=False), 1):
                self._put(at, item, look, wrap=column.wrap)
                if column.wrap and isinstance(item.value, str):
                    lines = max(lines, lines_of(item.value, self._widths.get(at, 8)))
            self._height(lines)
        if filters:
            self.worksheet.autofilter(head - 1, 0, self.row - 1, len(columns) - 1)
        self._colour(columns, head + 1)
        for note in table.notes:
            self.append([note])
        return head

    def widths(self, widths: Sequence[float]) -> None:
        """Set the columns' widths from the first on, in characters, whatever the tables want."""
        self._widths, self._are_set = dict(enumerate(widths, 1)), True

    def choices(self, column: int, first: int, last: int, values: Sequence[int], error: str) -> None:
        """Let the cells of a column take some whole numbers alone, or nothing."""
        rule = {"validate": "list", "source": list(values), "error_title": "No rating", "error_message": error}
        self.worksheet.data_validation(first - 1, column - 1, last - 1, column - 1, rule)

    def finish(self, freeze: str = "", repeat_row: int | None = None, pages: int = 1, repeat_columns: int = 0) -> None:
        """Freeze panes at a cell, and set up the print: landscape, ``pages`` wide, mark and page number below.

        ``repeat_row`` and the first ``repeat_columns`` columns are printed on every page.
        """
        sheet = self.worksheet
        for column, width in self._widths.items():
            sheet.set_column(column - 1, column - 1, width)
        if freeze:
            sheet.freeze_panes(freeze)
        if repeat_row:
            sheet.repeat_rows(repeat_row - 1)
        if repeat_columns:
            sheet.repeat_columns(0, repeat_columns - 1)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(pages, 0)
        if self.book.mark:
            sheet.set_tab_color(f"#{_FILLS['bad']}")
        sheet.set_footer(f"&L{self.book.mark.replace('&', '&&')}&R&A, page &P of &N")

    def _height(self, lines: int) -> int:
        if lines > 1:
            self.worksheet.set_row(self.row - 1, _LINE * min(lines, MAX_LINES))
        return self.row

    def _colour(self, columns: Sequence[Column], first: int) -> None:
        """Colour neighbouring columns with one scale from 0 to its top.

        Orange over white to violet also differ for the colour-blind.
        """
        at = 0
        for top, alike in groupby(columns if first <= self.row else (), lambda column: column.top):
            start, at = at, at + len(list(alike))
            if top is not None:
                ends = zip(("min", "mid", "max"), (0, top / 2, top), ("FDB863", "F7F7F7", "B2ABD2"), strict=True)
                rule: dict[str, Any] = {"type": "3_color_scale"}
                for end, value, colour in ends:
                    rule |= {f"{end}_type": "num", f"{end}_value": value, f"{end}_color": f"#{colour}"}
                self.worksheet.conditional_format(first - 1, start, self.row - 1, at - 1, rule)

    def _put(self, column: int, item: Item, look: Look, **style: bool) -> None:
        value = item.value
        if isinstance(value, bool):
            # LibreOffice reads a cell of the format's own truth values as the formula '=TRUE()'.
            value = "yes" if value else "no"
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)
        number = _FORMATS.get(item.kind or "text", "General")
        if item.kind == "mark" and isinstance(value, (int, float)):
            # The mean of rounds and the median of judges may lie between the marks, and must look so.
            number = "#,##0" if value == int(value) else "0.00"
        quoted, fill = isinstance(value, str) and value.startswith(FORMULA_STARTS), item.fill or _LOOK_FILLS.get(look)
        bold, faint = item.bold or look in _BOLD, item.few or look == "faint"
        form = self.book.look(_Style(number, fill, bold, faint, item.link is not None, quoted, **style))
        at, sheet = (self.row - 1, column - 1), self.worksheet
        if value is None or value == "":
            if fill or style.get("lined"):
                sheet.write_blank(*at, None, form)
        elif not isinstance(value, str):
            sheet.write_number(*at, value, form)
        else:
            text = cell_text(value, self.book.whole_text_in)
            if text.startswith("<r>") and text.endswith("</r>"):
                text += " "  # XlsxWriter takes such a text for its own markup and writes it as it is
            if item.link is None or self._links >= LINK_LIMIT:
                sheet.write_string(*at, text, form)
                return
            from xlsxwriter.url import Url

            self._links += 1
            url = Url(f"external:{item.link}")
            url.text = text
            url._relationship_link = item.link  # it would write backslashes, which are no separators elsewhere
            sheet.write_url(*at, url, form)


def made_here(path: Path) -> bool:
    """Whether a file is a workbook that this package made, also where somebody has saved it again since."""
    try:
        with ZipFile(path) as parts:
            return f">{_CREATOR}<".encode() in parts.read("docProps/core.xml")
    except (BadZipFile, KeyError):
        return False


def lines_of(text: str, width: float) -> int:
    """How many lines a wrapped text takes in a column ``width`` characters wide, six at most."""
    width = max(width, 1)
    lines = text[: int(width) * MAX_LINES].splitlines()
    return min(max(1, sum(max(1, math.ceil(len(line) / width)) for line in lines)), MAX_LINES)
