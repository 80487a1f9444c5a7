"""A line a run over the grades of severity, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medqbench_vlmeval.report.figures.canvas import REFERENCE_DASHES, light_grid
from medqbench_vlmeval.report.figures.captions import count_words
from medqbench_vlmeval.report.figures.panels import draw as draw_panels
from medqbench_vlmeval.report.figures.plots import Plot, Run
from medqbench_vlmeval.report.figures.style import FAINT, INK, SMALL_SIZE, look_of
from medqbench_vlmeval.report.points import top_of
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_APART = 0.07  # of the step between two grades, between two runs


def draw(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    return draw_panels(plot, _paint, tall=1.95, small=1.25)


def limits(plot: Plot) -> tuple[float, float]:
    """Round ends of the scale that hold all values, intervals and references."""
    step = 10.0 if plot.task is Task.PERCEPTION else 0.5
    points = [point for run in plot.runs for point in run.points.values()]
    ends = [end for point in points for end in (point.value, point.low, point.high) if end is not None]
    ends += [value for reference in plot.references for value in reference.values.values()]
    low, high = step * math.floor(min(ends) / step), step * math.ceil(max(ends) / step)
    top = top_of(plot.task, plot.groups[0])
    return max(0.0, low if high > low else low - step), min(top, high) if high > low else min(top, high + step)


def _paint(axes: Axes, plot: Plot, runs: Sequence[Run], others: Sequence[Run]) -> None:
    together = plot.together
    box = axes.get_position()
    # Room for the numbers on the left and the grades below.
    left, below = (0.09, 0.17) if together else (0.17, 0.2)
    axes.set_position(
        (box.x0 + left * box.width, box.y0 + below * box.height, (1 - left) * box.width, (0.97 - below) * box.height)
    )
    low, high = limits(plot)
    for place, reference in enumerate(plot.references):
        value = next(iter(reference.values.values()))
        axes.axhline(value, color=INK, linewidth=0.8, linestyle=REFERENCE_DASHES[place])
    for run in others:
        xs, ys = _path(plot, run)
        axes.plot(xs, ys, color=INK, alpha=FAINT, linewidth=0.6)
    for at, run in enumerate(runs):
        _line(axes, plot, run, (at - (len(runs) - 1) / 2) * _APART)
    axes.set_xlim(-0.35, len(plot.groups) - 0.65)
    axes.set_ylim(low, high)
    counts = [f"\nn = {count_words(plot.counts(group))}" if together else "" for group in plot.groups]
    names = [f"{group}{count}" for group, count in zip(plot.groups, counts, strict=True)]
    axes.set_xticks(range(len(plot.groups)), labels=names)
    axes.tick_params(labelsize=SMALL_SIZE if together else SMALL_SIZE - 0.6, pad=1.5)
    light_grid(axes, "y")


def _path(plot: Plot, run: Run) -> tuple[list[float], list[float]]:
    values = [run.points[group].value if group in run.points else None for group in plot.groups]
    # A missing grade breaks the line.
    return [float(x) for x in range(len(values))], [math.nan if value is None else value for value in values]


def _line(axes: Axes, plot: Plot, run: Run, aside: float) -> None:
    look = look_of(run.place)
    xs, ys = _path(plot, run)
    axes.plot([x + aside for x in xs], ys, color=look.colour, linestyle=look.dashes, linewidth=1.1)
    for x, group in zip(xs, plot.groups, strict=True):
        point = run.points.get(group)
        if point is None or point.value is None:
            continue
        if point.ends:
            axes.plot([x + aside] * 2, point.ends, color=look.colour, linewidth=0.9)
        axes.plot(
            [x + aside],
            [point.value],
            marker=look.marker,
            markersize=3.8,
            markerfacecolor="none" if point.few else look.colour,
            markeredgecolor=look.colour if point.few else INK,
            markeredgewidth=0.9 if point.few else 0.4,
            clip_on=False,
        )
