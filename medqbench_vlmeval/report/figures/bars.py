"""Bars with intervals: a panel a measure, a bar a run, names once on the left, numbers beside the bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medqbench_vlmeval.report.figures.canvas import MARGIN, REFERENCE_DASHES, Canvas, label_room, light_grid
from medqbench_vlmeval.report.figures.captions import count_words
from medqbench_vlmeval.report.figures.plots import Plot
from medqbench_vlmeval.report.figures.style import INK, MUTED, SMALL_SIZE, TWO_COLUMNS, look_of
from medqbench_vlmeval.report.points import Point, top_of
from medqbench_vlmeval.report.render import value_text
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_ROW = 0.2
_HEAD, _FOOT = 0.3, 0.22
_NUMBER = 0.34  # inches for the number beside a bar
_GAP = 0.11


def draw(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    names = [run.shown for run in plot.runs]
    rows = _ROW * len(names)
    canvas = Canvas(plot, TWO_COLUMNS, _HEAD + rows + _FOOT, plot.references)
    left = MARGIN + label_room(names) + 0.1
    pitch = (TWO_COLUMNS - left - MARGIN) / len(plot.groups)
    for row, name in enumerate(names):
        canvas.text(left - 0.08, canvas.top + _HEAD + (row + 0.5) * _ROW, name, ha="right", va="center_baseline")
    for column, group in enumerate(plot.groups):
        x = left + column * pitch
        canvas.text(x, canvas.top + 0.1, group, weight="bold", va="center_baseline")
        n = f"n = {count_words(plot.counts(group))}"
        canvas.text(x, canvas.top + 0.22, n, size=SMALL_SIZE, alpha=MUTED, va="center_baseline")
        width = pitch - _NUMBER - _GAP
        axes = canvas.axes(x, canvas.top + _HEAD, width, rows)
        _panel(axes, plot, group)
        for row, run in enumerate(plot.runs):
            words = number_words(plot.task, run.points.get(group))
            y = canvas.top + _HEAD + (row + 0.5) * _ROW
            canvas.text(x + width + _NUMBER, y, words, size=SMALL_SIZE, ha="right", va="center_baseline")
    return canvas.drawing


def number_words(task: Task, point: Point | None) -> str:
    """A number as the tables show it, with '*' where it rests on few samples."""
    if point is None or point.value is None:
        return "–"
    return f"{'*' if point.few else ''}{value_text(point.value, task)}"


def _panel(axes: Axes, plot: Plot, group: str) -> None:
    top = top_of(plot.task, group)
    for row, run in enumerate(plot.runs):
        point = run.points.get(group)
        if point is None or point.value is None:
            continue
        look = look_of(run.place)
        # The fill of few samples is paler; the outline stays.
        axes.barh(row, point.value, 0.68, color=look.colour, alpha=0.35 if point.few else 1, linewidth=0)
        axes.barh(row, point.value, 0.68, facecolor="none", edgecolor=INK, hatch=look.hatch, linewidth=0.4)
        if point.ends:
            _whisker(axes, point.ends, row)
    for place, reference in enumerate(plot.references):
        if group in reference.values:
            dashes = REFERENCE_DASHES[place % len(REFERENCE_DASHES)]
            axes.axvline(reference.values[group], color=INK, linewidth=0.9, linestyle=dashes)
    axes.set_xlim(0, top)
    axes.set_ylim(len(plot.runs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([0, top / 2, top], labels=[f"{tick:g}" for tick in (0, top / 2, top)])
    axes.tick_params(labelsize=SMALL_SIZE)
    light_grid(axes, "x")


def _whisker(axes: Axes, ends: tuple[float, float], row: int) -> None:
    axes.plot(
        ends, (row, row), color=INK, linewidth=0.9, marker="|", markersize=3.4, markeredgewidth=0.9, clip_on=False
    )
