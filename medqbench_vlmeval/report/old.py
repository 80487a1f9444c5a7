"""Cells and styles of the workbooks of comparisons, until those are made of tables.

A style is made once a workbook and shared by every cell that has it: styling is what makes openpyxl slow.
Text is written as text whatever it looks like, numbers as numbers with a format of their unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import replacing
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.report.terminal import dollars
from medqbench_vlmeval.report.text import cell_text, sheet_name, starts_like_formula
from medqbench_vlmeval.runs.result import OVERALL, RunPart, mapping, number, text, whole

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
                cell._value = re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", cell_text(value, self.book.whole_text_in))
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


MAX_ROWS = 10_000
_PERCENT = "0.0"
_WHOLE, _BETWEEN = Style(COUNT), Style("0.00")


@dataclass(frozen=True)
class Column:
    """``read`` gives a sample's item; ``optional`` columns are left out where no sample has a value."""

    head: str
    width: float
    read: Callable[[Mapping[str, Any]], Item]
    optional: bool = False
    wraps: bool = False


def write_table(sheet: Sheet, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], limit: int) -> int:
    """Write the columns' heads and a row a sample from the next row on, under an autofilter.

    Of more than ``limit`` samples the first are written, and a line below says how many there are and where.

    Returns:
        The row of the heads.
    """
    table = [[column.read(row) for column in columns] for row in rows[:limit]]
    kept = [
        position
        for position, column in enumerate(columns)
        if not column.optional or any(items[position].value is not None for items in table)
    ]
    sheet.widths([columns[position].width for position in kept])
    # Filter buttons take two characters of a head.
    head = max((lines_of(columns[position].head, columns[position].width - 2) for position in kept), default=1)
    first = sheet.header([columns[position].head for position in kept], lines=head)
    for items in table:
        lines = 1
        for position in kept:
            value = items[position].value
            if columns[position].wraps and isinstance(value, str):
                lines = max(lines, lines_of(value, columns[position].width))
        sheet.append([items[position] for position in kept], lines=lines)
    sheet.table(first, len(kept))
    if len(rows) > limit:
        sheet.append()
        where = sheet.book.whole_text_in
        sheet.append([Item(f"The first {limit:,} of {len(rows):,} samples; all of them are in {where}.")])
    return first


def score_item(value: object) -> Item:
    """A sample's score: the mean of rounds and the median of judges may lie between the marks, and must look so."""
    found = number(value)
    return Item(found, _WHOLE if found is None or found == int(found) else _BETWEEN)


def add_shares(sheet: Sheet, head: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """A line a label, with ``n``, share and kappa a dimension: two scorers, or a group of answers."""
    heads = [head for title in DIMENSION_TITLES.values() for head in (f"{title} n", "same, %", "kappa")]
    sheet.header([head, *heads], lines=2)
    for label, cells in found.items():
        items = [Item(label)]
        for title in DIMENSION_TITLES.values():
            cell = mapping(cells.get(title))
            items.append(Item(whole(cell.get("n")), Style(COUNT)))
            items.append(Item(number(cell.get("same")), Style(_PERCENT)))
            items.append(Item(number(cell.get("kappa")), Style(SCORE)))
        sheet.append(items)


_NONE = "-"


def checks_of(part: RunPart) -> list[str]:
    """What judging took, and how far the verdicts hold: against stated conclusions, between rounds, between judges."""
    lines = _taken(mapping(part.score.get("usage")))
    found = mapping(part.score.get("conclusions"))
    if found:
        agreed = mapping(found.get("agreement"))
        computed, judged = (_value(number(found.get(name))) for name in ("Quality Accuracy", "judge"))
        n = whole(agreed.get("n"))
        lines.append(
            f"Quality accuracy from stated conclusions: {computed} on {whole(found.get('n'))} (judge {judged} on {n}), "
            f"the same on {_same(agreed, 'accuracy')} of {n}; disagreements "
            f"(sheet 'Conclusions'): {whole(found.get('n_disagreements'))}"
            + ("; one of the panel, 'rules', computes it so itself" if has_rules(part) else "")
        )
    if has_several_verdicts(part):
        lines.append(f"Single verdicts of 0 / 1 / 2: {_frequencies(mapping(part.score.get('frequencies')))}")
    rounds = mapping(part.score.get("between_rounds"))
    if rounds:
        lines.append(f"Same score in two rounds: {_by_dimension(rounds)}")
    judges = mapping(part.score.get("between_judges"))
    if judges:
        overall = ((name, number(mapping(means).get(OVERALL))) for name, means in mapping(judges.get("means")).items())
        lines.append(f"Overall by judge: {', '.join(f'{name} {_value(mean)}' for name, mean in overall)}")
        for first, others in mapping(judges.get("pairs")).items():
            for second, cells in mapping(others).items():
                lines.append(f"Same score of {first} and {second}: {_by_dimension(mapping(cells))}")
    return lines


def has_several_verdicts(part: RunPart) -> bool:
    """Whether a sample has more than one verdict a dimension: of several rounds or several judges."""
    return any(part.score.get(block) for block in ("between_rounds", "between_judges"))


def has_rules(part: RunPart) -> bool:
    """Whether the embedded judge is one of the panel; its quality accuracy is the computed one."""
    members = (part.setting("judge", "name") or "").split(", ")
    return len(members) > 1 and RULES in members


def _frequencies(found: Mapping[str, Any]) -> str:
    """Shares in percent, a dimension after the other."""
    shown = []
    for title, counts in found.items():
        marks = [whole(count) or 0 for count in mapping(counts).values()]
        shares = [f"{100 * count / sum(marks):.1f}" for count in marks if any(marks)]
        shown.append(f"{title} {' / '.join(shares) + '%' if shares else _NONE}")
    return ", ".join(shown)


def _taken(usage: Mapping[str, Any]) -> list[str]:
    """Calls, tokens and cost of all verdicts and of this run, a line a judge; nothing for a judge without calls."""
    lines = []
    for name, used in (mapping(usage.get("by_judge")) or {"": usage}).items():
        calls = whole(used.get("calls"))
        if not calls:
            continue
        now = mapping(used.get("this_run"))
        tokens = " + ".join(f"{whole(used.get(kind)) or 0:,}" for kind in ("prompt_tokens", "completion_tokens"))
        lines.append(
            f"Judge{f' {name}' if name else ''}: {calls:,} calls, {tokens} tokens, {dollars(used.get('cost_usd'))}; "
            f"this run {whole(now.get('calls')) or 0:,} calls, {dollars(now.get('cost_usd'))}"
        )
    return lines


def _by_dimension(cells: Mapping[str, Any]) -> str:
    return ", ".join(f"{title} {_same(mapping(cell), 'same')}" for title, cell in cells.items())


def _same(cell: Mapping[str, Any], name: str) -> str:
    same, kappa = number(cell.get(name)), number(cell.get("kappa"))
    return _NONE if same is None else f"{same:.1f}%" + (f" (kappa {kappa:.3f})" if kappa is not None else "")


def _value(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


FINDINGS_KEY = "findings"
NOT_FOUND = "not_found"


def findings_of(part: RunPart) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The findings of one task by name, in the result's order; none where the result has none."""
    for name, found in mapping(part.score.get(FINDINGS_KEY)).items():
        if name != NOT_FOUND and text(mapping(found).get("statement")):
            yield name, mapping(found)


def absent_findings(part: RunPart) -> dict[str, str]:
    """Why findings are absent, by name."""
    absent = mapping(mapping(part.score.get(FINDINGS_KEY)).get(NOT_FOUND))
    return {str(name): str(reason) for name, reason in absent.items()}


def findings_lines(part: RunPart) -> list[str]:
    """One line a finding, and one that names what the data does not support; nothing for a result without findings."""
    lines = [
        f"{title_of(name, found)}: {found['statement']}" + (" (few samples)" if found.get("few") is True else "")
        for name, found in findings_of(part)
    ]
    absent = absent_findings(part)
    if absent:
        lines.append(f"Not found: {'; '.join(f'{words_of(name)} ({reason})' for name, reason in absent.items())}")
    return lines


def title_of(name: str, found: Mapping[str, Any]) -> str:
    """A finding's title."""
    return text(found.get("title")) or words_of(name)


def words_of(name: str) -> str:
    """A finding's name in words: 'modality_gap' -> 'modality gap'."""
    return name.replace("_", " ")


LIMIT = 400


def judge_words(verdict: object, limit: int = LIMIT) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to ``limit`` characters; None where there is none.

    Of several rounds or judges each one's words follow its name.

    Args:
        verdict: a verdict out of a sample row, as the file has it.
        limit: characters.
    """
    said = _said(mapping(verdict), ("explanation", "reply"))
    return f"{said[: limit - 2]} …" if said and len(said) > limit else said or None


def _said(verdict: Any, names: tuple[str, ...]) -> str:
    parts = mapping(verdict.get("parts"))
    if parts:
        found = {name: _said(mapping(part), names) for name, part in parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in found}
        return "\n".join(f"{labels[name]}: {words}" for name, words in found.items() if words)
    said = next((words for name in names if (words := text(verdict.get(name)))), "")
    return " ".join(said.split())
