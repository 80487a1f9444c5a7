"""A comparison of runs in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.compare_words import (
    NONE,
    cells_of,
    count_of,
    digits_of,
    fixed,
    headline_of,
    interval_of,
    is_perception,
    p_text,
    part_notes,
    places_of,
    signed,
    title_of,
)
from medqbench_vlmeval.report.render import Grid, own_console, print_grid, print_line
from medqbench_vlmeval.report.runs import mapping, number

if TYPE_CHECKING:
    from rich.console import Console

# What a narrow terminal goes without, in this order.
_OPTIONAL = (("Only a", "Only b", "Differ"), ("Can show",), ("a", "b"), ("p",))
_NAME = 18  # what a name takes at least
_GAP = 2  # between columns


def compare_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print, a task, the differences of two runs by group, or of more the ranking and all pairs; then the notes."""
    console = console or own_console()
    _print_equal_names(result, console)
    for part in result["parts"]:
        for warning in part["warnings"]:
            print_line(f"!! {warning}", console, "bold red")
        if len(part["pairs"]) == 1:
            (pair,) = part["pairs"]
            print_grid(_fitted(_groups(part, pair), console), console)
            print_line(headline_of(part, pair), console)
        else:
            print_grid(_ranking(part), console)
            print_grid(_fitted(_pairs(part), console), console)
        for note in part_notes(part):
            print_line(f"! {note}", console, "yellow")
        print_line("", console)
    for sentence in result["not_compared"]:
        print_line(f"! not compared: {sentence}", console, "yellow")


def _print_equal_names(result: Mapping[str, Any], console: Console) -> None:
    for run in result["runs"]:
        if run["label"] != run["model"]:
            files = ", ".join(str(Path(one["folder"], one["file"])) for one in run["results"])
            print_line(f"{run['label']}: {files}", console)


def _groups(part: Mapping[str, Any], pair: Mapping[str, Any]) -> Grid:
    digits, perception = digits_of(part), is_perception(part)
    cells = list(cells_of(pair))
    clustered = any(cell["p_clustered"] is not None for _, _, cell in cells)
    heads = ["", "Group", "n", "a", "b", "a - b", "95% interval", "p", *(["p images"] if clustered else []), "p Holm"]
    heads += ["Can show", *(["Only a", "Only b"] if perception else ["Differ"])]
    lines = []
    for axis, group, cell in cells:
        counts = (cell["only_a"], cell["only_b"]) if perception else (cell["n_differ"],)
        lines.append(
            (
                axis,
                group,
                count_of(cell),
                fixed(cell["a"], digits),
                fixed(cell["b"], digits),
                signed(cell["difference"], digits),
                NONE if number(cell.get("low")) is None else interval_of(cell, digits),
                p_text(cell["p"]),
                *((p_text(cell["p_clustered"]),) if clustered else ()),
                p_text(cell["p_holm"]),
                fixed(cell["detectable"], digits),
                *(str(count) for count in counts),
            )
        )
    title = f"{title_of(part)}: a = {pair['a']}, b = {pair['b']}"
    styles = ("bold", *[None] * (len(lines) - 1))
    return Grid(title, tuple(heads), tuple(lines), 2, styles=styles)


def _ranking(part: Mapping[str, Any]) -> Grid:
    digits = digits_of(part)
    lines = [
        (
            str(place),
            str(row["run"]),
            fixed(row["value"], digits),
            NONE if number(row.get("low")) is None else interval_of(row, digits),
            places_of(part, row),
        )
        for place, row in enumerate(part["ranking"], 1)
    ]
    n = part["ranking"][0]["n"]
    title = f"{title_of(part)}: {len(lines)} runs on the {n} samples that all of them have"
    return Grid(title, ("#", "Run", "Overall", "95% interval", "Not told apart from #"), tuple(lines), 2)


def _pairs(part: Mapping[str, Any]) -> Grid:
    digits = digits_of(part)
    clustered = any(pair["overall"]["p_clustered"] is not None for pair in part["pairs"])
    heads = ["a", "b", "n", "a - b", "95% interval", "p", *(["p images"] if clustered else []), "p Holm", "Can show"]
    lines, styles = [], []
    for pair in part["pairs"]:
        cell = mapping(pair["overall"])
        lines.append(
            (
                str(pair["a"]),
                str(pair["b"]),
                count_of(cell),
                signed(cell["difference"], digits),
                NONE if number(cell.get("low")) is None else interval_of(cell, digits),
                p_text(cell["p"]),
                *((p_text(cell["p_clustered"]),) if clustered else ()),
                p_text(cell["p_holm"]),
                fixed(cell["detectable"], digits),
            )
        )
        styles.append("bold" if pair["distinct"] else None)
    return Grid(f"All pairs (Holm over {len(lines)})", tuple(heads), tuple(lines), 2, styles=tuple(styles))


def _fitted(grid: Grid, console: Console) -> Grid:
    """The table without the columns that a terminal has no room for; it says which. ``p`` goes where there is one over
    images, and nothing goes in a pipe."""
    from rich.cells import cell_len

    if not console.is_terminal:
        return grid
    widths = {
        head: max(cell_len(head), *(cell_len(row[column]) for row in grid.rows)) + _GAP
        for column, head in enumerate(grid.heads)
    }
    # The names of runs and groups wrap, those of axes do not have to.
    for head in grid.heads[: grid.labels]:
        widths[head] = min(widths[head], _NAME)
    gone: list[str] = []
    for heads in _OPTIONAL:
        if sum(widths.values()) <= console.width:
            break
        for head in heads:
            # Of pairs, a and b are the runs' names; without p images, p is the only one.
            if head in grid.heads[grid.labels :] and (head != "p" or "p images" in grid.heads):
                gone.append(head)
                del widths[head]
    if not gone:
        return grid
    kept = [column for column, head in enumerate(grid.heads) if head in widths]
    return Grid(
        grid.title,
        tuple(grid.heads[column] for column in kept),
        tuple(tuple(row[column] for column in kept) for row in grid.rows),
        grid.labels,
        styles=grid.styles,
        notes=(f"no room for: {', '.join(gone)} (in a wider terminal, a pipe, or with --out)",),
    )
