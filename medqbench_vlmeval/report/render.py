"""Tables for the terminal: rich where somebody watches, aligned plain text where the output is piped.

Model names and reasons are data, never markup, and carry no escape sequence to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.checks import checks_of
from medqbench_vlmeval.report.rows import BASELINE, PUBLISHED, Row
from medqbench_vlmeval.report.runs import (
    MEASURES,
    MODALITY,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    RunPart,
    mapping,
    number,
    parts_of,
    whole,
)
from medqbench_vlmeval.report.text import terminal_text
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "-"
_LABEL, _NARROW = 34, 12  # how many characters of a name stand on one line
_GAP = 2


@dataclass(frozen=True)
class Grid:
    """A table of texts: the first ``labels`` columns are names, the others numbers.

    The last ``extras`` columns are left out, one by one, where a terminal is too narrow; ``styles`` has one a
    row, ``notes`` stand below the table.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    extras: int = 0
    styles: tuple[str | None, ...] = ()
    notes: tuple[str, ...] = ()


def terminal_tables(rows: Mapping[Task, Sequence[Row]], console: Console | None = None) -> None:
    """Print one leaderboard a task that has rows; published, own and baseline rows are told apart by a column."""
    console = console or own_console()
    for task, found in rows.items():
        if found:
            print_grid(_board(task, found), console)


def run_summary(score: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a run's headline numbers with intervals and counts, its modalities, and what to beware of.

    Raises:
        BadInput: ``score`` is not a result of this package.
    """
    console = console or own_console()
    for part in parts_of(score):
        print_grid(_headline(part), console)
        by_modality = _by_modality(part)
        if by_modality.rows:
            print_grid(by_modality, console)
        for check in checks_of(part):
            print_line(check, console)
        for warning in warnings_of(part):
            print_line(f"! {warning}", console, "yellow")
        print_line("", console)


def describe_data(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what is known of a data file: one line a fact, what lies inside a fact set in below it."""
    console = console or own_console()
    for line in _outline(found, ""):
        print_line(line, console)


def warnings_of(part: RunPart) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    warnings = []
    if part.baseline:
        warnings.append("baseline: a model without weights, no competitor")
    if not part.comparable:
        warnings.append(f"not comparable with the published rows: {'; '.join(part.reasons) or 'no reason given'}")
    for name, sentence in (
        ("n_unanswered", "without an answer that could be read; counted as wrong"),
        ("n_unscored", "unscored and left out of the means"),
        ("n_inference_failed", "where the model's inference failed"),
        ("n_missing", "without a prediction"),
        ("n_cut", "whose prediction a spreadsheet had cut"),
    ):
        count = part.counts.get(name, 0)
        if count:
            warnings.append(f"{count} of {part.n} samples {sentence}")
    warnings += [
        f"unscored: {reason} ({count})" for reason, count in mapping(part.score.get("unscored_reasons")).items()
    ]
    return warnings


def _board(task: Task, rows: Sequence[Row]) -> Grid:
    measures = MEASURES[task]
    heads = ("#", "Model", "Kind", *measures, "Comparable", "95% interval", "n", "Judge", "Protocol", "Dataset")
    lines, styles = [], []
    reasons: dict[str, list[str]] = {}
    for place, row in enumerate(rows, 1):
        published = row.kind == PUBLISHED
        comparable = "reference" if published else "yes" if row.comparable else "no"
        numbers = [_value(row.values.get(measure), task) for measure in measures]
        known = (
            _interval(row.interval, task),
            _count(row.n),
            row.judge or _NONE,
            row.protocol or _NONE,
            row.dataset or _NONE,
        )
        lines.append(
            (
                str(place) if row.comparable else _NONE,
                row.model,
                row.category or row.kind if published else row.kind,
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
    return Grid(f"MedQ-Bench {TASK_TITLES[task]}", heads, tuple(lines), 3, 5, tuple(styles), notes)


def _headline(part: RunPart) -> Grid:
    title = f"{part.model} on {part.dataset} ({TASK_TITLES[part.task]}{', baseline' if part.baseline else ''})"
    unit = "Accuracy %" if part.task is Task.PERCEPTION else "Mean (0-2, sum 0-8)"
    names = (OVERALL, *MEASURES[part.task][:-1])
    lines = tuple(
        (
            name,
            _value(part.values[name], part.task),
            _interval(part.intervals.get(name), part.task),
            _count(part.measure_n(name)),
        )
        for name in names
    )
    return Grid(title, ("", unit, "95% interval", "n"), lines, styles=("bold", *[None] * (len(names) - 1)))


def _by_modality(part: RunPart) -> Grid:
    measures = MEASURES[part.task]
    lines = []
    for name, cell in mapping(part.groups.get(MODALITY)).items():
        if part.task is Task.PERCEPTION:
            by_type = mapping(mapping(part.groups.get(TYPE_BY_MODALITY)).get(name))
            found = {kind: mapping(by_type.get(kind)).get("accuracy") for kind in measures}
            found[OVERALL] = mapping(cell).get("accuracy")
        else:
            found = {measure: mapping(cell).get(measure) for measure in measures}
        numbers = [_value(number(found[measure]), part.task) for measure in (OVERALL, *measures[:-1])]
        lines.append((str(name), *numbers, _count(whole(mapping(cell).get("n_scored", mapping(cell).get("n"))))))
    return Grid("By modality", ("Modality", OVERALL, *measures[:-1], "n"), tuple(lines))


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


def _value(value: float | None, task: Task) -> str:
    return _NONE if value is None else f"{value:.{2 if task is Task.PERCEPTION else 3}f}"


def _interval(interval: tuple[float, float] | None, task: Task) -> str:
    return _NONE if interval is None else f"{_value(interval[0], task)} to {_value(interval[1], task)}"


def _count(count: int | None) -> str:
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

    for label_limit, dropped in (
        (_LABEL, 0),
        *((_LABEL, n) for n in range(1, grid.extras + 1)),
        (_NARROW, grid.extras),
    ):
        columns = range(len(grid.heads) - dropped)
        widths = [_column_width(grid, column, label_limit) for column in columns]
        if sum(widths) + _GAP * len(widths) <= console.width:
            break
    else:
        return False
    print_line(grid.title, console, "bold")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        label = column < grid.labels
        table.add_column(
            Text(grid.heads[column]),
            justify="left" if label else "right",
            overflow="fold",
            min_width=widths[column],
        )
    for position, row in enumerate(grid.rows):
        style = grid.styles[position] if grid.styles else None
        table.add_row(*(Text(_safe(row[column], console)) for column in columns), style=style)
    console.print(table)
    return True


def _column_width(grid: Grid, column: int, label_limit: int) -> int:
    from rich.cells import cell_len

    widest = max((cell_len(row[column]) for row in grid.rows), default=0)
    head = max(len(word) for word in grid.heads[column].split() or [""])
    # Numbers never wrap; a name may.
    return max(head, min(widest, label_limit) if column < grid.labels else widest)


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
