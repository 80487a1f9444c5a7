"""The last sheet: everything that a reader needs to say how the numbers came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medqbench_vlmeval.report.cells import WRAPPED, Book, Item, lines_of
from medqbench_vlmeval.tasks import REASONING_PREFIX

SETTINGS = "Settings"

_OWN_SHEETS = ("findings", "conclusions", "between_rounds", "between_judges")
_LEFT_OUT = ("groups", "intervals", "frequencies", *_OWN_SHEETS, *REASONING_PREFIX.values())
_VALUE_WIDTH = 100


def add_settings(book: Book, score: Mapping[str, Any]) -> None:
    """Write the result file's settings and scalars as dotted names with their values."""
    sheet = book.add_fixed(SETTINGS)
    sheet.widths([60, _VALUE_WIDTH])
    sheet.header(["Setting", "Value"])
    shown = dict(score)
    for key in REASONING_PREFIX.values():
        part = score.get(key)
        # A part repeats what the whole run has in common; only what is its own is worth a line.
        if isinstance(part, Mapping):
            shown.update({f"{key}.{name}": value for name, value in part.items() if value != score.get(name)})
    wanted = sorted((key for key in shown if _wanted(key)), key=lambda key: key != "settings")
    for name, value in flat("", {key: shown[key] for key in wanted}):
        lines = lines_of(value, _VALUE_WIDTH) if isinstance(value, str) else 1
        sheet.append([Item(name), Item(value, WRAPPED)], lines=lines)
    sheet.finish(freeze="A2", repeat_row=1)


def _wanted(key: str) -> bool:
    return key not in _LEFT_OUT and key.rpartition(".")[2] not in _LEFT_OUT


def flat(prefix: str, value: Any) -> Iterator[tuple[str, str | float | bool | None]]:
    """Dotted names with their values; a list of plain values is one text."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(f"{prefix}.{name}" if prefix else str(name), inner)
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, Mapping) for inner in value):
        for position, inner in enumerate(value, 1):
            yield from flat(f"{prefix}.{position}", inner)
    elif isinstance(value, (list, tuple)):
        yield prefix, ", ".join(str(inner) for inner in value)
    elif value is None or isinstance(value, (str, int, float)):
        yield prefix, value
    else:
        yield prefix, str(value)
