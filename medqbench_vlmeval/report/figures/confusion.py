"""Levels taken for others: a small matrix a run and scale, right levels in rows and chosen ones in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medqbench_vlmeval.report.figures.canvas import LINE_HEIGHT, MARGIN, Canvas, label_room
from medqbench_vlmeval.report.figures.captions import share_words
from medqbench_vlmeval.report.figures.heatmap import ink_on
from medqbench_vlmeval.report.figures.panels import broken
from medqbench_vlmeval.report.figures.plots import Confusion, Matrix
from medqbench_vlmeval.report.figures.style import MUTED, SMALL_SIZE, TEXT_SIZE, TWO_COLUMNS, fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_COLUMNS = 4
_MOST = 48
_SIDE = 1.0  # height of a matrix, inches
_FOOT = 0.2  # for the chosen levels below it
_GAP = 0.12
_NAME = 0.5  # inches for the name of a level


def draw(figure: Confusion) -> Drawing:
    """The figure, inside ``style.drawing()``."""
    shown = figure.matrices[:_MOST]
    left_out = len(figure.matrices) - len(shown)
    columns = min(_COLUMNS, len(shown))
    pitch = (TWO_COLUMNS - 2 * MARGIN) / _COLUMNS
    heads = [_head(figure, matrix, pitch - _GAP) for matrix in shown]
    rows = [range(start, min(start + columns, len(shown))) for start in range(0, len(shown), columns)]
    heights = [max(len(heads[at]) for at in row) * LINE_HEIGHT + 0.03 for row in rows]
    content = sum(heights) + len(rows) * (_SIDE + _FOOT) + (LINE_HEIGHT if left_out else 0)
    # A figure of one or two matrices fits a column, its title and notes included.
    canvas = Canvas(figure, columns * pitch + 2 * MARGIN, content)
    y = canvas.top
    for row, height in zip(rows, heights, strict=True):
        for column, at in enumerate(row):
            x = MARGIN + column * pitch
            for line, words in enumerate(heads[at]):
                how = {"size": TEXT_SIZE} if line < len(heads[at]) - 2 else {"size": SMALL_SIZE, "alpha": MUTED}
                canvas.text(x, y + (line + 0.5) * LINE_HEIGHT, words, va="center_baseline", **how)
            names = label_room(_names(shown[at]), SMALL_SIZE) + 0.06
            _cells(canvas.axes(x + names, y + height, pitch - _GAP - names, _SIDE), shown[at])
        y += height + _SIDE + _FOOT
    if left_out:
        words = f"and {left_out} more, which are in the workbooks"
        canvas.text(MARGIN, y + LINE_HEIGHT / 2, words, size=SMALL_SIZE, va="center_baseline")
    return canvas.drawing


def _head(figure: Confusion, matrix: Matrix, width: float) -> list[str]:
    label = broken(matrix.run.shown, width)
    share, *ends = share_words(matrix.run)
    mark = "*" if any(point.few for point in matrix.run.points.values()) else ""
    scales = [other.scale for other in figure.matrices if other.run is matrix.run]
    of = " of all" if len(scales) > 1 else ""
    # The share is of the run, and stands above the first of its scales.
    said = f"{mark}{share}{of}{f' ({ends[0]})' if ends else ''}" if scales[0] == matrix.scale else ""
    scale = fitted(matrix.scale, width / 2, SMALL_SIZE)
    return [*label, f"{scale}, n = {matrix.n:,}", said]


def _names(matrix: Matrix) -> list[str]:
    return [fitted(level, _NAME, SMALL_SIZE) for level in matrix.levels]


def _cells(axes: Axes, matrix: Matrix) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    size = len(matrix.levels)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    for y, row in enumerate(matrix.counts):
        total = sum(row)
        for x, count in enumerate(row):
            red, green, blue, _ = colormaps["Blues"](0.02 + 0.9 * (count / total if total else 0.0))
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=(red, green, blue), edgecolor="#ffffff", linewidth=0.6))
            ink = ink_on(red, green, blue)
            axes.text(x + 0.5, y + 0.5, f"{count:,}", ha="center", va="center", size=TEXT_SIZE, color=ink)
    axes.spines[:].set_visible(False)
    middles = [place + 0.5 for place in range(size)]
    axes.set_xticks(middles, labels=_names(matrix))
    axes.set_yticks(middles, labels=_names(matrix))
    axes.tick_params(length=0, labelsize=SMALL_SIZE, pad=1.5)
