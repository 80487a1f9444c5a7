"""The past results of a board's own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.board_entries import Entry
from medqbench_vlmeval.report.render import Grid, own_console, print_grid
from medqbench_vlmeval.report.runs import OVERALL, mapping, number
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "-"


def histories(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The results of each row that has a past, newest first, as plain JSON types."""
    named = ("task", "model", "dataset", "judge", "protocol", "data_sha256")
    return [
        {
            **{name: entry.get(name) for name in named},
            "results": [{name: one.get(name) for name in ("created", "n", "values")} for one in _results(entry)],
        }
        for entry in entries
        if entry.get("history")
    ]


def print_histories(entries: Sequence[Entry], console: Console | None = None) -> None:
    """Print one line a result of each row that has a past, the current one first."""
    lines = []
    for entry in entries:
        if entry.get("history"):
            decimals = 2 if entry["task"] == Task.PERCEPTION.value else 3
            for one in _results(entry):
                overall = number(mapping(one.get("values")).get(OVERALL))
                shown = _NONE if overall is None else f"{overall:.{decimals}f}"
                names = (entry["model"], str(entry.get("dataset") or _NONE), str(one.get("created") or _NONE))
                lines.append((*names, shown, str(one.get("n") or _NONE)))
    heads = ("Model", "Dataset", "Created", OVERALL, "n")
    if lines:
        print_grid(Grid("History of own rows, newest first", heads, tuple(lines), 3), console or own_console())


def _results(entry: Entry) -> list[Mapping[str, Any]]:
    return [entry, *entry["history"]]
