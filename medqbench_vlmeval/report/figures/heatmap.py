"""Models by modalities: a colour, the number and its interval a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medqbench_vlmeval.report.figures.bars import number_words
from medqbench_vlmeval.report.figures.canvas import MARGIN, Canvas, label_room
from medqbench_vlmeval.report.figures.captions import count_words
from medqbench_vlmeval.report.figures.plots import Plot, group_name
from medqbench_vlmeval.report.figures.style import (
    FAINT,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TWO_COLUMNS,
    fitted,
    text_width,
)
from medqbench_vlmeval.report.points import Point, top_of
from medqbench_vlmeval.report.runs import OVERALL
from medqbench_vlmeval.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_ROW = 0.27
_HEAD = 0.3
_GAP = 0.06  # cells between the modalities and Overall
_BOLD = 1.15  # of the width of plain letters
_LIGHT, _DARK = "#ffffff", "#000000"
_EQUAL = 0.179  # the luminance on which black and white have the same contrast, 4.6 to 1


def draw(plot: Plot) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    names = [run.shown for run in plot.runs]
    rows = _ROW * len(names)
    canvas = Canvas(plot, TWO_COLUMNS, _HEAD + rows + 0.02)
    left = MARGIN + label_room(names) + 0.1
    width = TWO_COLUMNS - left - MARGIN
    for row, name in enumerate(names):
        canvas.text(left - 0.08, canvas.top + _HEAD + (row + 0.5) * _ROW, name, ha="right", va="center_baseline")
    axes = canvas.axes(left, canvas.top + _HEAD, width, rows)
    axes.set_axis_off()
    cells = len(plot.groups) + _GAP
    axes.set_xlim(0, cells)
    axes.set_ylim(len(names), 0)
    low, high = colour_range(plot)
    for column, group in enumerate(plot.groups):
        x = column + (_GAP if group == OVERALL and column else 0)
        centre = left + (x + 0.5) * width / cells
        name, room = group_name(group), width / cells - 0.03
        size = TEXT_SIZE if text_width(name, TEXT_SIZE * _BOLD) <= room else SMALL_SIZE - 0.8
        head = fitted(name, room, size * _BOLD)
        canvas.text(centre, canvas.top + 0.1, head, ha="center", va="center_baseline", weight="bold", size=size)
        count = f"n = {count_words(plot.counts(group))}"
        canvas.text(centre, canvas.top + 0.22, count, ha="center", va="center_baseline", size=SMALL_SIZE, alpha=MUTED)
        for row, run in enumerate(plot.runs):
            _cell(axes, plot.task, x, row, run.points.get(group), low, high)
    return canvas.drawing


def colour_range(plot: Plot) -> tuple[float, float]:
    """The values that the ends of the colours stand for: the lowest and the highest, but not closer than a fifth of
    the scale, so that numbers that are nearly the same look so."""
    values = [point.value for run in plot.runs for point in run.points.values() if point.value is not None]
    low, high = min(values), max(values)
    more = max(0.0, top_of(plot.task, OVERALL) / 5 - (high - low)) / 2
    return low - more, high + more


def _cell(axes: Axes, task: Task, x: float, y: int, point: Point | None, low: float, high: float) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    if point is None or point.value is None:
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor=INK, alpha=FAINT, linewidth=0.4))
        axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center", size=TEXT_SIZE)
        return
    # The ends of the map are too dark and too bright to be told from their neighbours in print.
    share = (point.value - low) / (high - low)
    red, green, blue, _ = colormaps["viridis"](0.06 + 0.88 * share)
    ink = ink_on(red, green, blue)
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor=_LIGHT, linewidth=0.6))
    digits = 1 if task is Task.PERCEPTION else 2
    middle = y + (0.34 if point.ends else 0.5)
    axes.text(x + 0.5, middle, number_words(task, point), ha="center", va="center", size=TEXT_SIZE, color=ink)
    if point.ends:
        ends = f"{point.ends[0]:.{digits}f} to {point.ends[1]:.{digits}f}"
        axes.text(x + 0.5, y + 0.74, ends, ha="center", va="center", size=SMALL_SIZE - 0.8, color=ink)


def ink_on(red: float, green: float, blue: float) -> str:
    """Black or white, whichever is read more easily on a colour (parts 0-1)."""
    return _DARK if luminance(red, green, blue) > _EQUAL else _LIGHT


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.1), 0-1."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
