"""A figure measured in inches from its top left corner, with a title above the drawing and notes below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.report.figures.captions import notes_of, title_of
from medqbench_vlmeval.report.figures.plots import Figure, Reference
from medqbench_vlmeval.report.figures.style import (
    FAINT,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    text_width,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

MARGIN = 0.08
TITLE_HEIGHT = 0.2
LINE_HEIGHT = 0.125
_SPACE = 0.06  # inches between drawing, legend and notes
_KEY = 0.36  # inches for the sample of a line in a legend

# Reference lines have no marker, which tells them from a run's.
REFERENCE_DASHES: tuple[Any, ...] = ((0, (6, 2)), (0, (1.5, 1.5)))


class Canvas:
    """A sheet of ``width`` x whatever the content needs; places are in inches from the top left corner."""

    def __init__(self, figure: Figure, width: float, content: float, legend: Sequence[Reference] = ()) -> None:
        """``content`` is the drawing's height, without title, legend and notes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Drawing

        self.width = width
        room = width - 2 * MARGIN
        titles = wrapped(title_of(figure), room, TITLE_SIZE * 1.07)
        notes = wrapped(". ".join(notes_of(figure)), room, SMALL_SIZE)
        self.top = MARGIN + TITLE_HEIGHT + (len(titles) - 1) * LINE_HEIGHT
        keys = len(legend) * LINE_HEIGHT + (_SPACE if legend else 0)
        self.height = self.top + content + _SPACE + keys + len(notes) * LINE_HEIGHT + MARGIN
        self.drawing: Drawing = Drawing(figsize=(width, self.height), facecolor="none")
        FigureCanvasAgg(self.drawing)
        for line, words in enumerate(titles):
            self.text(MARGIN, MARGIN + line * LINE_HEIGHT, words, size=TITLE_SIZE, weight="bold", va="top")
        y = self.top + content + _SPACE
        for line, reference in enumerate(legend):
            self._key(y + (line + 0.5) * LINE_HEIGHT, line, reference)
        y += keys
        for line, note in enumerate(notes):
            self.text(MARGIN, y + line * LINE_HEIGHT, note, size=SMALL_SIZE, alpha=MUTED, va="top")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without a frame on the top and on the right."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.drawing.add_axes(box)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def text(self, x: float, y: float, words: str, **how: Any) -> None:
        """Text at a place."""
        how = {"size": TEXT_SIZE, **how}
        self.drawing.text(x / self.width, 1 - y / self.height, words, **how)

    def _key(self, y: float, place: int, reference: Reference) -> None:
        from matplotlib.lines import Line2D

        line = Line2D(
            (MARGIN / self.width, (MARGIN + _KEY) / self.width),
            (1 - y / self.height,) * 2,
            color=INK,
            linewidth=0.9,
            linestyle=REFERENCE_DASHES[place % len(REFERENCE_DASHES)],
        )
        self.drawing.add_artist(line)
        self.text(MARGIN + _KEY + 0.06, y, reference.label, va="center_baseline")


def label_room(labels: Sequence[str], size: float = TEXT_SIZE) -> float:
    """Inches for a column of labels."""
    return max((text_width(label, size) for label in labels), default=0.0)


def light_grid(axes: Axes, which: str) -> None:
    """Faint lines behind the drawing."""
    axes.grid(visible=True, axis=which, color=INK, alpha=FAINT, linewidth=0.4)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
