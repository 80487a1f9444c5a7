"""Tables for the terminal: rich where somebody watches, aligned plain text where the output is piped.

Model names and reasons are data, never markup, and carry no escape sequence to the terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import DataInfo
from medqbench_vlmeval.report.standings import BASELINE, OWN, PUBLISHED, Row
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.runs.result import MEASURES, OVERALL, TASK_TITLES, RunPart, mapping, text

if TYPE_CHECKING:
    from rich.console import Console

    from medqbench_vlmeval.judge import OnProgress, Progress
    from medqbench_vlmeval.judge.usage import PriceTable


_NONE = "-"
_LABEL, _NARROW = 34, 12  # how many characters of a name stand on one line
_GAP, _EDGE = 2, 1


@dataclass(frozen=True)
class Grid:
    """A table of texts: the first ``labels`` columns are names, the others numbers.

    Where a terminal is too narrow the last ``extras`` columns are left out, one by one, and then the ``spare`` ones
    (positions; the last of them first); a line says which. ``styles`` has one a row, ``notes`` stand below the table.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    extras: int = 0
    styles: tuple[str | None, ...] = ()
    notes: tuple[str, ...] = ()
    spare: tuple[int, ...] = ()


def terminal_tables(rows: Mapping[Task, Sequence[Row]], console: Console | None = None) -> None:
    """Print one leaderboard a task that has rows; published, own and baseline rows are told apart by a column."""
    console = console or own_console()
    for task, found in rows.items():
        if found:
            print_grid(_board(task, found), console)


def describe_data(info: DataInfo, console: Console | None = None) -> None:
    """Print what is known of a data file: one line a fact, what lies inside a fact set in below it."""
    console = console or own_console()
    for line in _outline(info.to_json(), ""):
        print_line(line, console)


def _board(task: Task, rows: Sequence[Row]) -> Grid:
    measures = MEASURES[task]
    heads = ("#", "Model", "Kind", *measures, "Comparable", "95% interval", "n", "Judge", "Protocol", "Dataset")
    lines, styles = [], []
    reasons: dict[str, list[str]] = {}
    for place, row in enumerate(rows, 1):
        published = row.kind == PUBLISHED
        comparable = "reference" if published else "yes" if row.comparable else "no"
        numbers = [value_text(row.values.get(measure), task) for measure in measures]
        known = (
            interval_text(row.interval, task),
            count_text(row.n),
            row.judge or _NONE,
            row.protocol or _NONE,
            row.dataset or _NONE,
        )
        lines.append(
            (
                str(place) if row.comparable else _NONE,
                row.model,
                _kind(row),
                *numbers,
                comparable,
                *known,
            )
        )
        styles.append("dim" if published else "yellow" if row.kind == BASELINE else "bold")
        if not published and not row.comparable:
            because = "; ".join(row.not_comparable_because) or "no reason given"
            reasons.setdefault(f"not comparable with the published rows: {because}", []).append(row.model)
    notes = tuple(f"{', '.join(dict.fromkeys(models))}: {reason}" for reason, models in reasons.items())
    spare = tuple(column for column, head in enumerate(heads) if head in measures and head != OVERALL)
    return Grid(f"MedQ-Bench {TASK_TITLES[task]}", heads, tuple(lines), 3, 5, tuple(styles), notes, spare)


def _kind(row: Row) -> str:
    if row.kind == OWN:
        return f"{row.kind}, {row.category}" if row.category else row.kind
    return row.category or row.kind


def _outline(found: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from _outline(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and any(isinstance(inner, Mapping) for inner in value):
            yield f"{indent}{name}:"
            for inner in value:
                if isinstance(inner, Mapping):
                    yield from _outline(inner, indent + "  ")
                else:
                    yield f"{indent}  {inner}"
        elif isinstance(value, (list, tuple, Mapping)):
            yield f"{indent}{name}: {', '.join(str(inner) for inner in value) or _NONE}"
        else:
            yield f"{indent}{name}: {_NONE if value is None else value}"


def own_console() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console()


def value_text(value: float | None, task: Task) -> str:
    """A value in its task's unit: percent with two digits, means with three."""
    return _NONE if value is None else f"{value:.{2 if task is Task.PERCEPTION else 3}f}"


def interval_text(interval: tuple[float, float] | None, task: Task) -> str:
    """Both ends of an interval in the task's unit."""
    return _NONE if interval is None else f"{value_text(interval[0], task)} to {value_text(interval[1], task)}"


def count_text(count: int | None) -> str:
    """A count, or a dash where it is not known."""
    return _NONE if count is None else str(count)


def print_grid(grid: Grid, console: Console) -> None:
    """Print a table as wide as the terminal allows, whole and plain into a pipe."""
    if not (console.is_terminal and _print_rich(grid, console)):
        _print_plain(grid, console)
    for note in grid.notes:
        print_line(f"! {note}", console, "yellow")


def _print_rich(grid: Grid, console: Console) -> bool:
    """Print the table with as many of its columns as fit, and say whether that could be done."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for label_limit, dropped in _choices(grid):
        columns = [column for column in range(len(grid.heads)) if column not in dropped]
        widths = {column: _column_width(grid, column, label_limit) for column in columns}
        room = console.width - sum(widths.values()) - _GAP * len(widths) - _EDGE
        if room >= 0:
            break
    else:
        return False
    # Names, which come first, and then heads get what room is left. rich is not asked to share it out: it may cut.
    for column in columns:
        more = min(room, max(0, _whole_width(grid, column) - widths[column]))
        widths[column] += more
        room -= more
    print_line(grid.title, console, "bold")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        label = column < grid.labels
        table.add_column(
            Text(grid.heads[column]),
            justify="left" if label else "right",
            overflow="fold",
            width=widths[column],
        )
    for position, row in enumerate(grid.rows):
        style = grid.styles[position] if grid.styles else None
        table.add_row(*(Text(_safe(row[column], console)) for column in columns), style=style)
    console.print(table)
    if dropped:
        gone = ", ".join(grid.heads[column] for column in sorted(dropped))
        print_line(f"! no room for: {gone} (in a wider terminal, or a pipe)", console, "yellow")
    return True


def _choices(grid: Grid) -> Iterator[tuple[int, frozenset[int]]]:
    """How wide names may be and which columns are left out, from the whole table to the narrowest."""
    n = len(grid.heads)
    extras = frozenset(range(n - grid.extras, n))
    yield from ((_LABEL, frozenset(range(n - dropped, n))) for dropped in range(grid.extras + 1))
    yield _NARROW, extras
    for limit in (_LABEL, _NARROW):
        yield from ((limit, extras | {*grid.spare[kept:]}) for kept in reversed(range(len(grid.spare))))


def _column_width(grid: Grid, column: int, label_limit: int) -> int:
    from rich.cells import cell_len

    widest = max((cell_len(row[column]) for row in grid.rows), default=0)
    head = max(len(word) for word in grid.heads[column].split() or [""])
    # Numbers never wrap; a name may.
    return max(head, min(widest, label_limit) if column < grid.labels else widest)


def _whole_width(grid: Grid, column: int) -> int:
    from rich.cells import cell_len

    return max(cell_len(grid.heads[column]), *(cell_len(row[column]) for row in grid.rows), 0)


def _print_plain(grid: Grid, console: Console) -> None:
    from rich.cells import cell_len

    lines = [grid.heads, *([_safe(cell, console) for cell in row] for row in grid.rows)]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(grid.heads))]
    print_line(grid.title, console)
    for line in lines:
        padded = []
        for column, cell in enumerate(line):
            space = " " * (widths[column] - cell_len(cell))
            padded.append(cell + space if column < grid.labels else space + cell)
        print_line("  ".join(padded).rstrip(), console)
    print_line("", console)


def print_line(line: str, console: Console, style: str | None = None) -> None:
    """Print one line of text that may hold anything."""
    from rich.text import Text

    # Soft wrapping leaves a piped line whole, whatever width rich assumes for a pipe.
    console.print(Text(_safe(line, console), style=style or ""), soft_wrap=True)


def _safe(cell: str, console: Console) -> str:
    return terminal_text(cell).encode(console.encoding, errors="replace").decode(console.encoding)


# What is seen of a judge at work: calls done, calls a second, cost so far and the time left.


# Where there is no terminal, a line this often says that the run goes on.
LINE_SECONDS = 30.0
_UNKNOWN = "-"


@dataclass(frozen=True)
class Reading:
    """The texts of one moment; '-' stands for what is not known."""

    done: str
    rate: str
    cost: str
    left: str

    @property
    def line(self) -> str:
        """All of it on one line."""
        return f"judging {self.done}, {self.rate}, {self.cost} so far, {self.left} left"


class Meter:
    """Works out rate, cost and time left from what a judge tells.

    The rate is that of calls done since the first report; what the cache held before does not count.

    Args:
        prices: gives the price table; called with the first report.
        now: seconds on a clock that never goes back.
    """

    def __init__(self, prices: Callable[[], PriceTable], now: Callable[[], float] = time.monotonic) -> None:
        self._prices = prices
        self._now = now
        self._table: PriceTable | None = None
        self._started = 0.0
        self._before = self._done = 0
        self._costs: dict[str, float | None] = {}

    def read(self, progress: Progress) -> Reading:
        """The texts after one more report."""
        if self._table is None:
            self._table, self._started = self._prices(), self._now()
        if progress.model not in self._costs:
            # A judge's first report comes with all that the cache held for it.
            self._before += progress.done - self._done
        self._done = progress.done
        tokens = (progress.prompt_tokens, progress.completion_tokens)
        counted = any(tokens) or not progress.asked
        self._costs[progress.model] = self._table.cost(progress.model, *tokens) if counted else None
        seconds = self._now() - self._started
        rate = (progress.done - self._before) / seconds if seconds > 0 else 0.0
        known = [cost for cost in self._costs.values() if cost is not None]
        return Reading(
            f"{progress.done:,}/{progress.total:,}",
            f"{rate:.1f} calls/s" if rate else _UNKNOWN,
            dollars(sum(known) if len(known) == len(self._costs) else None),
            clock((progress.total - progress.done) / rate) if rate else _UNKNOWN,
        )


@contextmanager
def judge_progress(prices: Callable[[], PriceTable], now: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """Yield what shows on stderr how far a judge is: a bar on a terminal, else a plain line every 30 seconds.

    Args:
        prices: see :class:`Meter`.
        now: see :class:`Meter`.
    """
    meter = Meter(prices, now)
    if sys.stderr.isatty():
        with _bar(meter) as move:
            yield move
        return
    last = now()

    def told(progress: Progress) -> None:
        nonlocal last
        reading = meter.read(progress)
        if now() - last >= LINE_SECONDS:
            last = now()
            print(f"medqbench: {reading.line}", file=sys.stderr, flush=True)

    yield told


@contextmanager
def _bar(meter: Meter) -> Iterator[OnProgress]:
    from rich import progress as rich
    from rich.console import Console

    columns = ("judging", rich.BarColumn(), "{task.fields[shown]}")
    # What others print to stdout meanwhile may be on its way into a file.
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        row = bar.add_task("judging", total=None, shown="")

        def move(progress: Progress) -> None:
            found = meter.read(progress)
            shown = f"{found.done}  {found.rate}  {found.cost}  ETA {found.left}"
            bar.update(row, completed=progress.done, total=progress.total, shown=shown)

        yield move


def dollars(cost: float | None) -> str:
    """A cost in US dollars, cents shown from a dollar on and four decimals below; '-' for None."""
    if cost is None:
        return _UNKNOWN
    return f"${cost:,.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def clock(seconds: float) -> str:
    """A duration as H:MM:SS or M:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# The findings of a run for the terminal: a sentence each.


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
