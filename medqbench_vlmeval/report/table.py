"""What is shown, apart from who shows it: a :class:`Table` of typed cells. Terminal, sheet, Markdown, LaTeX, CSV and
HTML write the table that they are given and know nothing of runs. A column's kind decides digits, alignment and number
format, and which of its cells' interval and count stand beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.types import FEW, Cell

Kind = Literal[
    "text", "number", "count", "percent", "share", "score", "points", "score_points", "mark", "p", "interval"
]
Look = Literal["", "bold", "faint", "own", "baseline", "published", "human", "heading"]
Place = Literal["text", "sheet"]
Fill = Literal["head", "bad", "warn", "good", "own", "human"]

DIGITS: Mapping[Kind, int] = {"count": 0, "percent": 2, "share": 1, "score": 3, "points": 2, "score_points": 3, "p": 4}
SIGNED: frozenset[Kind] = frozenset({"points", "score_points"})
SMALLEST_P = 0.0001
FEW_HEAD = "Few"
FEW_NOTE = f"* fewer than {FEW} samples"
INTERVAL = "95% interval"
EXTRA = 10  # optional columns from here on go before names are folded


@dataclass(frozen=True)
class Item:
    """A value (None is an empty cell) with what sets it apart: ``kind``, another one than the column's; ``few``
    samples; the best number is ``bold``, the second best ``underlined``. ``fill`` (by meaning) and ``link``
    (percent-escaped) are for sheets, ``mark`` ('†') for all else; ``ends`` is the interval in words where it stands in
    the value's cell."""

    value: Value = None
    kind: Kind | None = None
    few: bool = False
    bold: bool = False
    underlined: bool = False
    fill: Fill | None = None
    mark: str = ""
    link: str | None = None
    ends: tuple[str, str] | None = None


Value = str | float | bool | Cell | None  # int is a float here
Entry = Value | Item


@dataclass(frozen=True)
class Column:
    """One column, and for cells with an interval or a count the columns that go with it.

    ``kind``: 'text', 'number' (as it is), 'count', 'percent' (two digits), 'share' (a percentage with one digit),
    'score' (three), 'points' and 'score_points' (their differences, signed), 'mark' (a verdict, or a mean with two
    digits) or 'p'. ``interval``: '95%' gives '95% low' and '95% high' on sheets and in CSV, '95% interval' in text.
    ``n`` heads the column of what cells rest on. The highest ``optional`` go first in a narrow terminal, 0 stays, names
    fold from :data:`EXTRA` down. ``only`` is where alone the column is shown. Text shows of a ``brief`` column the
    value alone, of an ``inline`` one the interval in its cell. On sheets long texts ``wrap`` within ``width``
    characters; ``top`` ends a colour scale from 0; ``is_end`` values, ends of intervals, are grey."""

    head: str
    kind: Kind = "text"
    interval: str | None = None
    n: str | None = None
    optional: int = 0
    only: Place | None = None
    brief: bool = False
    inline: bool = False
    width: float = 14
    wrap: bool = False
    top: float | None = None
    is_end: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether the column's values stand right."""
        return self.kind != "text"


@dataclass(frozen=True)
class Row:
    """One row, with an entry a column. A row that looks like a heading has one entry, which stands over all columns.
    ``only`` says where alone the row is shown."""

    entries: Sequence[Entry]
    look: Look = ""
    only: Place | None = None


@dataclass(frozen=True)
class Table:
    """A table with its title and the notes that stand below it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def columns(*heads: str | tuple[str, Kind]) -> list[Column]:
    """Columns by their heads, of texts where no kind is named."""
    pairs: list[tuple[str, Kind]] = [(head, "text") if isinstance(head, str) else head for head in heads]
    return [Column(head, kind) for head, kind in pairs]


def table(
    title: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Entry]],
    notes: Sequence[str] = (),
    bold: object = None,
) -> Table:
    """A table of plain rows; the one whose first entry is ``bold`` is set in bold."""
    lines = [Row(tuple(entries), "bold" if bold is not None and entries[0] == bold else "") for entries in rows]
    return Table(title, tuple(columns), tuple(lines), tuple(notes))


def few_item(few: object, of: str = "") -> Item:
    """What the column of few samples says, ``of`` which of several values where a row has them."""
    return Item(f"n < {FEW}{of}" if few else None, few=True)


def task_kind(task: Task) -> Kind:
    """The kind of a task's measures: percent of questions, or means of verdicts."""
    return "percent" if task.is_choice else "score"


@dataclass(frozen=True)
class Flat:
    """A table as a renderer writes it: each column has one plain value a row, as an item whose kind is known."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Look, Sequence[Item]]]
    notes: Sequence[str]

    @property
    def has_few(self) -> bool:
        """Whether any value rests on few samples."""
        return any(item.few and item.value is not None for _, items in self.rows for item in items)


def flat(table: Table, for_text: bool) -> Flat:
    """Give intervals and counts columns of their own: one for an interval in text, two elsewhere."""
    elsewhere: Place = "sheet" if for_text else "text"
    parts = [[] if column.only == elsewhere else _parts(column, for_text) for column in table.columns]
    rows: list[tuple[Look, list[Item]]] = []
    for row in table.rows:
        if row.look == "heading":
            rows.append((row.look, [as_item(row.entries[0], "text")]))
        elif row.only != elsewhere:
            items = []
            for column, entry, of_column in zip(table.columns, row.entries, parts, strict=True):
                value = entry.value if isinstance(entry, Item) else entry
                item, cell = as_item(entry, column.kind), value if isinstance(value, Cell) else _NOTHING
                items += [read(item, cell) for _, read in of_column]
            rows.append((row.look, items))
    return Flat(table.title, [column for of_column in parts for column, _ in of_column], rows, table.notes)


def as_item(entry: Entry, kind: Kind) -> Item:
    """An entry as an item with a plain value and a kind of its own."""
    if not isinstance(entry, Item):
        return Item(entry.value, kind, entry.few) if isinstance(entry, Cell) else Item(entry, kind)
    item = entry if entry.kind else replace(entry, kind=kind)
    if isinstance(item.value, Cell):
        return replace(item, value=item.value.value, few=item.few or item.value.few)
    return item


def words(item: Item, none: str = "-") -> str:
    """A value as text, ``none`` where there is none."""
    value = item.value
    if value is None or isinstance(value, Cell):
        return none
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else value_words(value, item.kind or "text")


def value_words(value: float, kind: Kind) -> str:
    """A number in the digits of its kind; a difference has its sign, unless it is 0 in these digits."""
    if not math.isfinite(value):
        return str(value)
    if kind == "p" and value < SMALLEST_P:
        return f"<{SMALLEST_P}"
    if kind == "mark":
        return f"{value:.0f}" if value == int(value) else f"{value:.2f}"
    if kind not in DIGITS:
        return str(value)
    digits = DIGITS[kind]
    if kind in SIGNED and round(value, digits):
        return f"{value:+.{digits}f}"
    return f"{abs(value) if not round(value, digits) else value:.{digits}f}"


def ends_words(cell: Cell, kind: Kind) -> tuple[str, str] | None:
    """Both ends of a cell's interval, without signs of differences; None for a cell without one."""
    if cell.low is None or cell.high is None:
        return None
    digits = DIGITS.get(kind, 3)
    return f"{cell.low:.{digits}f}", f"{cell.high:.{digits}f}"


_NOTHING = Cell(None)
_Part = tuple[Column, Callable[[Item, Cell], Item]]


def _parts(column: Column, for_text: bool) -> list[_Part]:
    """The columns that one column becomes, each with what reads its items: of the value, the interval and the count."""
    beside = replace(column, wrap=False, top=None)
    if not for_text:
        parts: list[_Part] = [(column, lambda item, _: item)]
        if (name := column.interval) is not None:
            heads = (f"{name} {end}" if name else end.capitalize() for end in ("low", "high"))
            low, high = (replace(beside, head=head, is_end=True) for head in heads)
            parts.append((low, lambda item, cell: Item(cell.low, item.kind, item.few, fill=item.fill)))
            parts.append((high, lambda item, cell: Item(cell.high, item.kind, item.few, fill=item.fill)))
        if column.n is not None:
            head = replace(beside, head=column.n, kind="count")
            parts.append((head, lambda item, cell: Item(cell.n, "count", item.few, fill=item.fill)))
        return parts

    def interval(item: Item, cell: Cell) -> tuple[str, str] | None:
        return None if column.interval is None else ends_words(cell, item.kind or column.kind)

    def value(item: Item, cell: Cell) -> Item:
        if item.kind == "count" and item.few:
            return replace(item, few=False)  # the value that rests on it is marked
        return replace(item, ends=interval(item, cell)) if column.inline else item

    parts = [(column, value)]
    if column.interval is not None and not (column.brief or column.inline):
        # Of a difference the interval is half of what is said; that of a score goes before scores do.
        optional = (
            column.optional if column.kind in SIGNED else max(column.optional, EXTRA - 3 + min(column.optional, 2))
        )
        head = replace(beside, head=INTERVAL, kind="interval", optional=optional)
        parts.append((head, lambda item, cell: Item(" to ".join(interval(item, cell) or ()) or None, "interval")))
    if column.n is not None and not column.brief:
        parts.append((replace(beside, head="n", kind="count"), lambda _, cell: Item(cell.n, "count")))
    return parts
