"""Two passes compared, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.render import Grid, own_console, print_grid, print_line
from medqbench_vlmeval.report.robustness_tables import FEW_MARK, Table, Value, notes_of, tables_of

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "-"
_INTERVAL = ("95% low", "95% high")


def robustness_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print every table of a ``_consistency.json``, and what to beware of."""
    console = console or own_console()
    for table in tables_of(result):
        print_grid(_grid(table), console)
    for note in notes_of(result):
        print_line(f"! {note}", console, "yellow")
    print_line("", console)


def _grid(table: Table) -> Grid:
    """The two ends of an interval in one column."""
    low = table.heads.index(_INTERVAL[0]) if _INTERVAL[0] in table.heads else None
    heads = tuple("95% interval" if head == _INTERVAL[0] else head for head in table.heads if head != _INTERVAL[1])
    rows = []
    for label, values in table.rows:
        cells = [_shown(value) for value in values]
        if low is not None:
            ends = cells[low - 1 : low + 1]
            cells[low - 1 : low + 1] = [_NONE if _NONE in ends else " to ".join(ends)]
        rows.append((label, *cells))
    return Grid(table.title, heads, tuple(rows))


def _shown(value: Value) -> str:
    if value.value is None:
        return _NONE
    return f"{FEW_MARK if value.few else ''}{value.value:.{value.digits}f}"
