"""Tables on the sheets of a workbook, written with XlsxWriter. Text is written as text whatever it looks like. A format
is made once a workbook. Heads stand as their columns do, numbers to the right, intervals in grey; columns are as wide
as what they hold, rows as high as their wrapped texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from itertools import accumulate, groupby
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from medqbench_vlmeval.files import replacing, writing
from medqbench_vlmeval.report.table import Column, Entry, Fill, Item, Kind, Look, Table, as_item, flat
from medqbench_vlmeval.report.text import FORMULA_STARTS, cell_text, sheet_name

_CREATOR = "medqbench-vlmeval"
LINK_LIMIT = 65_530  # of one sheet: spreadsheets take a file with more links for a damaged one
_MAX_LINES = 6  # of a row among thousands; any other shows all of its text, as far as the format allows
_HIGHEST = 27  # lines; no row is higher than 409 points
_LINE = 15.0  # points of one line in the default font
_WIDEST, _NARROWEST, _NUMBER = 48, 6, 9  # characters of a column of texts that do not wrap, of any, and of numbers
_MOST = 80  # characters of any column, whatever a name or a head is
_PAGE = 120  # characters that a sentence may be wide
_PAD = 3  # characters beside a text
_BUTTON = 3  # characters that a filter's button hides
_MARK = 100  # characters; the format allows 255 for all that is printed above a page

_FORMATS: Mapping[Kind, str] = {
    "count": "#,##0", "percent": "0.00", "share": "0.0", "score": "0.000", "p": '[<0.0001]"<0.0001";0.0000',
    "points": "+0.00;-0.00;0.00", "score_points": "+0.000;-0.000;0.000",
}  # fmt: skip
_FILLS: Mapping[Fill, str] = {"warn": "FFF6DC", "own": "E8F0FA", "human": "FBF0E6"}
_INKS: Mapping[Fill, str] = {"head": "1F2937", "bad": "9C0006", "warn": "664D00", "good": "2E6B34"}
_LOOK_FILLS: Mapping[Look, Fill] = {"own": "own", "baseline": "own", "human": "human"}
_BOLD: frozenset[Look] = frozenset({"bold", "heading"})


@dataclass(frozen=True, eq=False)
class _Style:
    """What cells of a column have in common; a book has one object for each."""

    large: bool = False
    wrap: bool = False
    lined: bool = False
    ruled: bool = False
    grey: bool = False
    right: bool = False
    indent: int = 0


class _Value(NamedTuple):
    """What else makes two cells look alike."""

    number: str = "General"
    ink: Fill | None = None
    fill: Fill | None = None
    bold: bool = False
    faint: bool = False
    link: bool = False
    quoted: bool = False


class Book:
    """A workbook, written sheet by sheet. ``whole_text_in`` names the file that has cut texts whole, ``reserved`` the
    names kept free for :meth:`add_fixed`, ``mark`` the line that is printed on every page."""

    def __init__(self, whole_text_in: str, reserved: Sequence[str] = (), mark: str = "") -> None:
        from xlsxwriter import Workbook

        self._content = BytesIO()
        self.workbook: Any = Workbook(self._content, {"in_memory": True})
        self.workbook.set_properties({"author": _CREATOR})
        self.whole_text_in = whole_text_in
        self.reserved = tuple(reserved)
        self.mark = mark
        self.style, self.look = cache(_Style), cache(self._look)

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
        **pages: int,
    ) -> None:
        """Write a sheet of tables, one below the other under a title and lines of text; without rows no sheet. For
        ``pages`` see :meth:`Sheet.finish`."""
        filled = [table for table in tables if table.rows]
        if not filled:
            return
        sheet = self.add_fixed(name)
        if title:
            sheet.title(title)
        for line in lines:
            sheet.sentence(line)
        for table in filled:
            if sheet.row:
                sheet.append()
            sheet.add_table(table, filters=filters)
        sheet.finish(freeze, repeat_row=1 if freeze else None, **pages)

    def save(self, path: Path) -> None:
        """Write the workbook, whole or not at all. Raises RunFailed where the file cannot be written."""
        self.workbook.close()
        with writing(path, "close it if it is open elsewhere, or choose another folder"), replacing(path) as temporary:
            temporary.write_bytes(self._content.getvalue())

    def _look(self, style: _Style, value: _Value) -> Any:
        """XlsxWriter's form of a style, made once."""
        grey = "6B7280" if style.grey else "595959" if value.faint else "0563C1" if value.link else "000000"
        head = value.ink == "head"
        form = {
            "num_format": value.number,
            # Heads keep to their rule, texts to the top, where reading starts.
            "valign": "bottom" if head else "top",
            "text_wrap": style.wrap,
            "bold": value.bold,
            "italic": value.faint,
            "underline": int(value.link),
            "font_size": 14 if style.large else 11,
            "font_color": f"#{_INKS.get(value.ink or 'own', grey)}",
            # A text that looks like a formula stays a text when somebody edits it.
            "quote_prefix": value.quoted,
        }
        form |= {"align": "right"} if style.right else {}
        form |= {"align": "right" if style.right else "left", "indent": style.indent} if style.indent else {}
        form |= {"bg_color": f"#{_FILLS[value.fill]}"} if value.fill else {}
        form |= {"bottom": 1, "bottom_color": "#7F7F7F"} if head else {}
        form |= {"bottom": 4, "bottom_color": "#D9D9D9"} if style.ruled else {}
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
        self._sentences: list[tuple[int, str, Fill | None]] = []
        # Texts that wrap, with their row and the first and the last of their columns; the least heights of rows in
        # points; the rows that have six lines at most.
        self._texts: list[tuple[int, int, int, str]] = []
        self._heights: dict[int, float] = {}
        self._capped: range = range(0)

    def append(self, entries: Iterable[Entry] = (), look: Look = "", **style: bool) -> int:
        """Write a row of texts and plain numbers and return its number. Its texts may be ``large`` or ``wrap``, and its
        cells have lines around them (``lined``)."""
        self.row += 1
        items = [as_item(entry, "count" if isinstance(entry, int) else "number") for entry in entries]
        for column, item in enumerate(items, 1):
            self._put(column, item, look, self.book.style(**style))
            # The last text may run on over the columns behind it.
            if isinstance(item.value, str) and column < len(items) and not style.get("wrap"):
                self._widen(column, 1.1 * width_of(item.value) + _PAD)
        return self.row

    def title(self, text: str) -> None:
        """Write a line in large, bold letters."""
        self._heights[self.append([text], "bold", large=True)] = 2 * _LINE

    def sentence(self, text: str, fill: Fill | None = None) -> None:
        """Write a text over as many columns as it needs, in the colour of ``fill``; a long one wraps."""
        self.row += 1
        self._sentences.append((self.row, text, fill))

    def span(self, text: str, first: int, last: int, fill: Fill | None = None) -> None:
        """Write a text over some columns of the last row, which become one cell."""
        if last > first:
            value = _Value(ink=fill, fill=fill if fill in _FILLS else None, bold=fill == "head")
            form = self.book.look(self.book.style(wrap=True), value)
            self.worksheet.merge_range(self.row - 1, first - 1, self.row - 1, last - 1, "", form)
        self._put(first, Item(text, fill=fill), "bold" if fill == "head" else "", self.book.style(wrap=True), last)

    def header(self, columns: Iterable[str | Column], buttons: int = 0) -> int:
        """Write a row of column heads, ``buttons`` characters of which are hidden, and return its number."""
        self.row += 1
        for at, column in enumerate(columns, 1):
            head, right = (column, False) if isinstance(column, str) else (column.head, _stands_right(column))
            # A short head stays on one line, a long one has three at most.
            longest = max(map(len, head.split()), default=0)
            self._widen(at, 1.1 * max(longest, min(len(head), 10), len(head) // 3 + 2) + _PAD + buttons)
            indent = max(0, buttons - 1) if right else int(at > 1 and isinstance(column, Column))
            self._put(at, Item(head, fill="head"), "bold", self.book.style(wrap=True, right=right, indent=indent))
        return self.row

    def add_table(self, table: Table, *, titled: bool = True, filters: bool = False) -> int:
        """Write a table with its title (if ``titled``) and notes, and return the row of its heads, which get an
        autofilter if ``filters``: a sheet has one at most."""
        cells = flat(table, for_text=False)
        columns = cells.columns
        if table.title and titled:
            self.append([table.title], "bold")
        head = self.header(columns, _BUTTON if filters else 0)
        styles: list[tuple[bool, float, _Style, _Style]] = []
        for at, column in enumerate(columns, 1):
            right = _stands_right(column)
            self._widen(at, _NUMBER if right else 0)
            # A text keeps off what stands before it. LibreOffice knows the indent of texts on the left alone.
            of = partial(
                self.book.style, grey=column.is_end, ruled=not filters, right=right, indent=int(at > 1 and not right)
            )
            most = column.width if column.wrap else _WIDEST
            styles.append((column.wrap, most, of(wrap=column.wrap), of(wrap=True)))
        widths = self._widths
        for look, items in cells.rows:
            self.row += 1
            for at, (item, (wrap, most, style, wrapped)) in enumerate(zip(items, styles, strict=False), 1):
                # What wraps anyway need not be measured where its column is as wide as it may be.
                is_measured = look != "heading" and not (wrap and widths.get(at, 0) >= most + _PAD)
                if is_measured and isinstance(item.value, str):
                    width = width_of(item.value)
                    self._widen(at, min(width, most) + _PAD)
                    style = wrapped if width > most else style
                self._put(at, item, look, style)
        if filters:
            self.worksheet.autofilter(head - 1, 0, self.row - 1, len(columns) - 1)
            self._capped = range(head + 1, self.row + 1)
        self._colour(columns, head + 1)
        for note in table.notes:
            self.sentence(note)
        return head

    def widths(self, widths: Sequence[float]) -> None:
        """Set the columns' widths from the first on, in characters, whatever the tables want."""
        self._widths, self._are_set = dict(enumerate(widths, 1)), True

    def choices(self, column: int, first: int, last: int, values: Sequence[int], error: str) -> None:
        """Let the cells of a column take some whole numbers alone, or nothing."""
        rule = {"validate": "list", "source": list(values), "error_title": "No rating", "error_message": error}
        self.worksheet.data_validation(first - 1, column - 1, last - 1, column - 1, rule)

    def picture(self, row: int, column: int, data: bytes, size: tuple[int, int], offset: int = 0) -> None:
        """Put a picture into a cell, ``size`` pixels large and ``offset`` pixels from its left, and make room for it.
        It is hidden with its row. ``data`` is a PNG or JPEG file."""
        from PIL import Image

        with Image.open(BytesIO(data)) as image:
            scales = {"x_scale": size[0] / image.width, "y_scale": size[1] / image.height}
        place = {"x_offset": offset + 2, "y_offset": 2, "object_position": 1}
        self.worksheet.insert_image(row - 1, column - 1, "picture", {"image_data": BytesIO(data), **scales, **place})
        self._heights[row] = max(self._heights.get(row, 0), 0.75 * (size[1] + 4))
        self._widen(column, (offset + size[0] + 4) / 7)

    def finish(
        self, freeze: str = "", repeat_row: int | None = None, pages: int = 1, repeat_columns: int = 0, tall: int = 0
    ) -> None:
        """Freeze panes at a cell, and set up the print: landscape, ``pages`` wide and at most ``tall`` high (0: as it
        takes). ``repeat_row`` and the first ``repeat_columns`` columns are printed on every page."""
        sheet = self.worksheet
        self._lay_out()
        if freeze:
            sheet.freeze_panes(freeze)
        if repeat_row:
            sheet.repeat_rows(repeat_row - 1)
        if repeat_columns:
            sheet.repeat_columns(0, repeat_columns - 1)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(pages, tall)
        sheet.set_margins(0.5, 0.5, 0.7, 0.7)
        if not self._capped:
            sheet.hide_gridlines(2)
        mark = shorten(self.book.mark, _MARK, placeholder=" …").replace("&", "&&")
        # A blank keeps the size apart from a number that follows.
        sheet.set_header(f"&R&9 {mark}")
        sheet.set_footer(f"&L&9 {mark}&R&9 &A, page &P of &N")

    def _lay_out(self) -> None:
        """Give columns their widths, sentences their cells and rows their heights."""
        last = max(self._widths, default=1)
        ends = list(accumulate([self._widths.get(at, 8.43) for at in range(1, max(last, 20) + 1)]))
        for row, text, fill in self._sentences:
            room = min(_PAGE, len(text) + _PAD, max(ends[last - 1], 0.8 * _PAGE))
            columns = next((at for at, end in enumerate(ends, 1) if end >= room), len(ends))
            self.row = row
            if fill in _FILLS or len(text) + _PAD > room or "\n" in text:
                self.span(text, 1, columns, fill)
            else:
                self._put(1, Item(text, fill=fill), "", self.book.style())
        for column, width in self._widths.items():
            self.worksheet.set_column(column - 1, column - 1, width)
        for row, first, until, text in self._texts:
            most = _MAX_LINES if row in self._capped else _HIGHEST
            # A row that is as high as it may be needs no more counting.
            if (height := self._heights.get(row, 0)) < _LINE * most:
                lines = lines_of(text, ends[until - 1] - (ends[first - 2] if first > 1 else 0) - _PAD / 2, most)
                self._heights[row] = max(height, _LINE * lines)
        for row, height in self._heights.items():
            if height > _LINE:
                self.worksheet.set_row(row - 1, height)

    def _widen(self, column: int, width: float) -> None:
        if not self._are_set:
            self._widths[column] = max(self._widths.get(column, _NARROWEST), min(width, _MOST))

    def _colour(self, columns: Sequence[Column], first: int) -> None:
        """Colour neighbouring columns with one scale from 0 to their top, in hues that the colour-blind tell apart."""
        at = 0
        for (top, kind), alike in groupby(
            columns if first <= self.row else (), lambda column: (column.top, column.kind)
        ):
            start, at = at, at + len(list(alike))
            if top is not None:
                colours = ("FFFFFF", "E9E7F3", "D3CFE8") if kind == "count" else ("FDDCB0", "FFFFFF", "D3CFE8")
                ends = zip(("min", "mid", "max"), (0, top / 2, top), colours, strict=True)
                rule: dict[str, Any] = {"type": "3_color_scale"}
                for end, value, colour in ends:
                    rule |= {f"{end}_type": "num", f"{end}_value": value, f"{end}_color": f"#{colour}"}
                self.worksheet.conditional_format(first - 1, start, self.row - 1, at - 1, rule)

    def _put(self, column: int, item: Item, look: Look, style: _Style, last: int = 0) -> None:
        """Write one item; a text that wraps has the columns up to ``last``."""
        value = item.value
        if isinstance(value, bool):
            # LibreOffice reads a cell of the format's own truth values as the formula '=TRUE()'.
            value = "yes" if value else "no"
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)
        number = "General" if isinstance(value, str) else _FORMATS.get(item.kind or "text", "General")
        if item.kind == "mark" and isinstance(value, (int, float)):
            # The mean of rounds and the median of judges may lie between the marks, and must look so.
            number = "#,##0" if value == int(value) else "0.00"
        quoted = isinstance(value, str) and value.startswith(FORMULA_STARTS)
        fill = item.fill if item.fill in _FILLS else _LOOK_FILLS.get(look)
        bold, faint = item.bold or look in _BOLD, item.few or look == "faint"
        form = self.book.look(style, _Value(number, item.fill, fill, bold, faint, item.link is not None, quoted))
        at, sheet = (self.row - 1, column - 1), self.worksheet
        if value is None or value == "":
            if item.fill or fill or style.lined or style.ruled:
                sheet.write_blank(*at, None, form)
        elif not isinstance(value, str):
            sheet.write_number(*at, value, form)
        else:
            text = cell_text(value, self.book.whole_text_in)
            if style.wrap:
                self._texts.append((self.row, column, last or column, text))
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


def _stands_right(column: Column) -> bool:
    """Whether the head and the values of a column stand right; a column that wraps holds texts too."""
    return column.is_numeric and not column.wrap


def width_of(text: str) -> int:
    """How many characters wide a text is; one of an East Asian script counts for two."""
    if text.isascii() and "\n" not in text:
        return len(text)
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)


def lines_of(text: str, width: float, most: int = _MAX_LINES) -> int:
    """How many lines a wrapped text takes in a column ``width`` characters wide, at most ``most``."""
    if len(text) < width and text.isascii() and "\n" not in text:
        return 1
    width = max(width, 1)
    lines = text[: int(width) * most].splitlines()
    return min(max(1, sum(max(1, math.ceil(width_of(line) / width)) for line in lines)), most)
