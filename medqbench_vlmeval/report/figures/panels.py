"""One panel with all runs where they are few, a panel a run with the others in grey where they are many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from medqbench_vlmeval.report.figures.canvas import LINE_HEIGHT, MARGIN, Canvas
from medqbench_vlmeval.report.figures.plots import Plot, Run
from medqbench_vlmeval.report.figures.style import (
    INK,
    ONE_COLUMN,
    SMALL_SIZE,
    TEXT_SIZE,
    TWO_COLUMNS,
    look_of,
    text_width,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_MOST = 24  # panels
_COLUMNS = 4
_BREAKS = frozenset("-_/.…:")

# Draws runs into axes; the second sequence stands behind them.
Painter = Callable[["Axes", Plot, Sequence[Run], Sequence[Run]], None]


def draw(plot: Plot, paint: Painter, tall: float, small: float) -> Drawing:
    """The figure, inside ``style.drawing()``.

    Args:
        paint: draws the runs of a panel in front of the others.
        tall: height of the one panel, inches.
        small: height of each of many panels, inches.
    """
    if plot.together:
        return _together(plot, paint, tall)
    return _apart(plot, paint, small)


def _together(plot: Plot, paint: Painter, height: float) -> Drawing:
    key = 0.36
    keys = [wrapped(run.shown, ONE_COLUMN - 2 * MARGIN - key - 0.06, TEXT_SIZE) for run in plot.runs]
    legend = sum(map(len, keys)) * LINE_HEIGHT if len(plot.runs) > 1 else LINE_HEIGHT
    canvas = Canvas(plot, ONE_COLUMN, height + legend + 0.05, plot.references)
    paint(canvas.axes(MARGIN, canvas.top, ONE_COLUMN - 2 * MARGIN, height), plot, plot.runs, ())
    y = canvas.top + height + 0.05 + LINE_HEIGHT / 2
    for run, lines in zip(plot.runs, keys, strict=True):
        _key(canvas, y, key, run)
        for line in lines:
            canvas.text(MARGIN + key + 0.06, y, line, va="center_baseline")
            y += LINE_HEIGHT
    return canvas.drawing


def _key(canvas: Canvas, y: float, width: float, run: Run) -> None:
    from matplotlib.lines import Line2D

    look = look_of(run.place)
    xs = [MARGIN / canvas.width, (MARGIN + width / 2) / canvas.width, (MARGIN + width) / canvas.width]
    line = Line2D(
        xs,
        [1 - y / canvas.height] * 3,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=[1],
        markersize=4,
        markeredgecolor=INK,
        markeredgewidth=0.4,
    )
    canvas.drawing.add_artist(line)


def _apart(plot: Plot, paint: Painter, small: float) -> Drawing:
    shown = plot.runs[:_MOST]
    pitch = (TWO_COLUMNS - 2 * MARGIN) / _COLUMNS
    titles = [broken(run.shown, pitch - 0.1) for run in shown]
    rows = [range(start, min(start + _COLUMNS, len(shown))) for start in range(0, len(shown), _COLUMNS)]
    heads = [max(len(titles[at]) for at in row) * LINE_HEIGHT + 0.04 for row in rows]
    left_out = len(plot.runs) - len(shown)
    content = sum(heads) + len(rows) * small + (LINE_HEIGHT if left_out else 0)
    canvas = Canvas(plot, TWO_COLUMNS, content, plot.references)
    y = canvas.top
    for row, head in zip(rows, heads, strict=True):
        for column, at in enumerate(row):
            x = MARGIN + column * pitch
            above = head - 0.04 - len(titles[at]) * LINE_HEIGHT
            for line, words in enumerate(titles[at]):
                middle = y + above + (line + 0.5) * LINE_HEIGHT
                canvas.text(x + pitch / 2, middle, words, ha="center", va="center_baseline")
            others = [run for run in shown if run is not shown[at]]
            paint(canvas.axes(x, y + head, pitch - 0.06, small), plot, [shown[at]], others)
        y += head + small
    if left_out:
        words = f"and {left_out} more, which are in the heat map and the tables"
        canvas.text(MARGIN, y + LINE_HEIGHT / 2, words, size=SMALL_SIZE, va="center_baseline")
    return canvas.drawing


def broken(label: str, width: float) -> list[str]:
    """A label in lines of at most ``width`` inches, broken at blanks, else behind a mark such as '-', else anywhere."""
    lines: list[str] = []
    for line in wrapped(label, width, TEXT_SIZE):
        rest = line
        while rest:
            end = len(rest)
            while end > 1 and text_width(rest[:end], TEXT_SIZE) > width:
                end -= 1
            if end < len(rest):
                end = max((at for at in range(end // 2, end + 1) if rest[at - 1 : at] in _BREAKS), default=end)
            lines.append(rest[:end])
            rest = rest[end:]
    return lines
