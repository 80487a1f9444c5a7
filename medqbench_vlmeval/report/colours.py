"""The colour and the marker of a run, the same on the page, in figures and in charts of a workbook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.types import Result

# Okabe and Ito's colours, which the colour-blind tell apart, without their yellow,
# which white paper swallows, and their black, which whiskers have; grey stands for it.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F")
# Matplotlib's letters for markers; board.js draws the same shapes.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@dataclass(frozen=True)
class RunLook:
    """How a run is drawn: '#RRGGBB', Matplotlib's marker and dashes. No two of the first 84 runs look alike."""

    colour: str
    marker: str
    dashes: Any


def look_of(place: int) -> RunLook:
    """The look of the run with this number (from 0)."""
    return RunLook(*(looks[place % len(looks)] for looks in (COLOURS, MARKERS, _DASHES)))


def places_of(results: Sequence[Result]) -> list[int]:
    """The number of each run for :func:`look_of`: a model has one on all its tasks, in the order of first appearance;
    a further run of it on the same task has one of its own."""
    times: Counter[tuple[str, Task]] = Counter()
    places: dict[tuple[str, int], int] = {}
    numbers = []
    for result in results:
        times.update((result.model, task) for task in result.parts)
        time = max((times[result.model, task] for task in result.parts), default=0)
        numbers.append(places.setdefault((result.model, time), len(places)))
    return numbers
