"""Tables for the terminal: rich where somebody watches, aligned plain text in a pipe. Names and reasons are data
there."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from medqbench_vlmeval.report.table import EXTRA, FEW_NOTE, Flat, Look, Table, flat, words
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.steps import heard_by, step

if TYPE_CHECKING:
    from rich.console import Console

    from medqbench_vlmeval.judge.calls import OnProgress, Progress


_NONE = "-"
# The least width of names and the gap between columns; the narrow ones come before columns below EXTRA go.
_ROOMY, _NARROW = (24, 2), ((24, 2), (20, 1), (14, 1))
_EDGE = 1
_SEPARATED = re.compile(r".*?[/_:-]+|.+$")
_LINE_SECONDS = 30.0  # where there is no terminal, a line this often says what is being done
_KNOWN, _WINDOW = 2.0, 30.0  # seconds after which a rate is told, and over which it is taken
_WARNINGS = {"! ": "yellow", "!! ": "bold red"}
_STYLES: Mapping[Look, str] = {
    "": "", "bold": "bold", "faint": "dim", "own": "bold", "baseline": "yellow", "published": "dim", "human": "dim",
    "heading": "italic",
}  # fmt: skip


def show(parts: Iterable[Table | str], console: Console | None = None) -> None:
    """Print tables with their notes, and lines of text: whole and plain into a pipe, in a terminal as much as fits. '*'
    marks a number that rests on few samples. In a narrow terminal optional columns go, the highest first, and a line
    says which; names lose their middle before those below :data:`~medqbench_vlmeval.report.table.EXTRA` go, and without
    any room a row is a sentence. A line that begins with '! ' or '!! ' is a warning."""
    from rich.console import Console

    console = console or Console()
    for part, after in pairwise((*parts, "")):
        if isinstance(part, Table):
            _print_table(part, console, isinstance(after, Table))
        else:
            _print_line(part, console)


def _print_table(part: Table, console: Console, before_another: bool) -> None:
    from rich import box, table
    from rich.text import Text

    plain = flat(part, for_text=True)
    cells = [
        [_safe(f"{'*' if item.few and item.value is not None else ''}{words(item)}", console) for item in items]
        for _, items in plain.rows
    ]
    notes = [*plain.notes, *([FEW_NOTE] if plain.has_few else [])]
    widths, gap = (_fitting(plain, cells, console.width) if console.is_terminal else None) or (None, 0)
    _print_line(plain.title, console, "bold" if widths else None)
    if widths is None and console.is_terminal:
        heads = [column.head for column in plain.columns]
        for row in cells:
            _print_line(", ".join(f"{head} {cell}" for head, cell in zip(heads, row, strict=False)), console)
    elif widths is None:
        for line in _aligned(plain, cells):
            console.print(Text(line), soft_wrap=True)
    else:
        grid = table.Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False)
        for at, width in widths.items():
            column = plain.columns[at]
            justify: Literal["left", "right"] = "right" if column.is_numeric else "left"
            grid.add_column(Text(column.head), justify=justify, overflow="fold", width=width)
            whole = [row for row in cells if at < len(row) and (len(row) > 1 or len(plain.columns) == 1)]
            for row, text in zip(whole, _narrowed([row[at] for row in whole], width), strict=True):
                row[at] = text
        for (look, _), row in zip(plain.rows, cells, strict=True):
            grid.add_row(*(Text(row[at]) for at in widths if at < len(row)), style=_STYLES[look])
        console.print(grid)
        if gone := [column.head for at, column in enumerate(plain.columns) if at not in widths]:
            notes.insert(0, f"no room for: {', '.join(gone)} (in a wider terminal, or a pipe)")
    for note in [f"! {note}" for note in notes] + [""] * (bool(notes) and before_another):
        _print_line(note, console)


def _narrowed(texts: Sequence[str], width: int) -> list[str]:
    """Texts wrapped into ``width`` columns; a longer word loses its middle, or breaks where two would be alike."""
    from medqbench_vlmeval.report.standings import shortened

    alike = Counter(shortened(word, width) for word in {word for text in texts for word in text.split(" ")})

    def fitted(word: str) -> str:
        short = shortened(word, width)
        if alike[short] == 1:
            return short
        lines = [""]
        for part in (shortened(part, width) for part in _SEPARATED.findall(word)):
            lines[len(lines) - 1 :] = [lines[-1] + part] if len(lines[-1] + part) <= width else [lines[-1], part]
        return "\n".join(lines)

    return [" ".join(map(fitted, text.split(" "))) for text in texts]


def _fitting(plain: Flat, cells: Sequence[Sequence[str]], room: int) -> tuple[dict[int, int], int] | None:
    """The columns that fit, by position with their widths, and the gap between them; None where nothing does."""
    from rich.cells import cell_len

    columns = plain.columns
    bodies = [
        max((cell_len(row[at]) for row in cells if len(row) > 1 or at == 0), default=0) for at in range(len(columns))
    ]
    for level in sorted({column.optional for column in columns} | {0}, reverse=True):
        for limit, gap in (_ROOMY,) if level >= EXTRA else _NARROW:
            # Numbers never wrap; a name may, and so may a head between its words.
            widths = {
                at: max(
                    bodies[at] if column.is_numeric else min(bodies[at], limit), *map(cell_len, column.head.split()), 0
                )
                for at, column in enumerate(columns)
                if column.optional <= level
            }
            left = room - sum(widths.values()) - gap * len(widths) - _EDGE
            if left < 0:
                continue
            for at in widths:
                # Names come first, and then heads; rich is not asked to share the room out: it may cut.
                more = min(left, max(0, max(bodies[at], cell_len(columns[at].head)) - widths[at]))
                widths[at] += more
                left -= more
            return widths, gap
    return None


def _aligned(plain: Flat, cells: Sequence[Sequence[str]]) -> Iterator[str]:
    from rich.cells import cell_len

    lines = [[column.head for column in plain.columns], *cells]
    widths = [max(cell_len(line[at]) for line in lines if at < len(line)) for at in range(len(plain.columns))]
    for line in lines:
        padded = []
        for width, cell, column in zip(widths, line, plain.columns, strict=False):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if column.is_numeric else cell + space)
        yield "  ".join(padded).rstrip()
    yield ""


def _print_line(line: str, console: Console, style: str | None = None) -> None:
    from rich.text import Text

    style = style or next((colour for begin, colour in _WARNINGS.items() if line.startswith(begin)), "")
    lines = [text := _safe(line, console)]
    if console.is_terminal:
        # A word stays in one piece, however long: it may be a path, to be copied.
        lines = wrap(text, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    # Soft wrapping leaves a piped line whole, whatever width rich assumes for a pipe.
    for part in lines or [""]:
        console.print(Text(part, style=style), soft_wrap=True)


def _safe(cell: str, console: Console) -> str:
    return terminal_text(cell).encode(console.encoding, errors="replace").decode(console.encoding)


class Meter:
    """Says rate (of the last half minute, without what the cache holds), time left, failures and cost of judging.
    ``now`` gives seconds on a clock that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._past = now, deque[tuple[float, int]]()
        self._asked: dict[str, int] = {}

    def read(self, progress: Progress) -> str:
        """All of it in words after one more report."""
        self._asked[progress.model] = progress.asked
        now, asked = self._now(), sum(self._asked.values())
        if not self._past or now - self._past[-1][0] >= 1:
            self._past.append((now, asked))
        while len(self._past) > 1 and now - self._past[1][0] >= _WINDOW:
            self._past.popleft()
        seconds, calls = now - self._past[0][0], asked - self._past[0][1]
        words = []
        if calls and seconds >= _KNOWN:
            left = (progress.total - progress.done) * seconds / calls
            words = [f"{calls / seconds:.1f} calls/s", f"{clock(left)} left"]
        if progress.failed:
            words.append(f"{progress.failed:,} failed")
        if progress.cost_usd is not None:
            words.append(f"{dollars(progress.cost_usd)} so far")
        return ", ".join(words)


@contextmanager
def progress_shown(now: Callable[[], float] = time.monotonic, wait: float = _KNOWN) -> Iterator[None]:
    """Show on stderr how far work is that tells its steps: on a terminal a bar for what takes over ``wait`` seconds,
    else a plain line every 30 seconds."""
    last = now()

    def text(done: int, total: int | None, more: str) -> str:
        count = f"{done:,}/{total:,}" if total else f"{done:,}" if done else ""
        return ", ".join(filter(None, (count, more)))

    def print_now_and_then(what: str, done: int, total: int | None, more: str) -> None:
        nonlocal last
        if now() - last >= _LINE_SECONDS:
            last = now()
            print(terminal_text(f"medqbench: {what} {text(done, total, more)}").rstrip(), file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        with heard_by(print_now_and_then):
            yield
        return
    from rich import progress as rich
    from rich.console import Console
    from rich.markup import escape

    columns = ("{task.description}", rich.BarColumn(), "{task.fields[texts]}", rich.TimeElapsedColumn())
    # What others print to stdout meanwhile may be on its way into a file.
    bar = rich.Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    row = bar.add_task("", total=None, texts="", visible=False)

    def move(what: str, done: int, total: int | None, more: str) -> None:
        what = escape(terminal_text(what))
        bar.update(row, description=what, completed=done, total=total, texts=text(done, total, more), visible=True)

    timer = threading.Timer(wait, bar.start)
    timer.daemon = True
    timer.start()
    try:
        with heard_by(move):
            yield
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()


@contextmanager
def judge_progress(now: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """Show all progress, and yield what adds a judge's."""
    meter = Meter(now)
    with progress_shown(now):
        yield lambda progress: step("judging", progress.done, progress.total, meter.read(progress))


def dollars(cost: float | None) -> str:
    """A cost in US dollars, cents shown from a dollar on and four decimals below; '-' for None."""
    if cost is None:
        return _NONE
    return f"${cost:,.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def clock(seconds: float) -> str:
    """A duration as H:MM:SS or M:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
