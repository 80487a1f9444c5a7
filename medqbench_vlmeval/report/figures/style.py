"""How figures look: colours, marks, hatches and sizes, and Matplotlib set up the same on every machine."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from medqbench_vlmeval.report.figures.plots import Figure, Reference, notes_of, title_of
from medqbench_vlmeval.report.standings import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
"""Widths of a paper's columns in inches."""

# Stands for the colour of the text in SVG that is to follow a page's theme; on paper it is black to the eye.
INK = "#0b0c0e"
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 8.0, 6.5, 5.8
MUTED, FAINT = 0.75, 0.22

# Okabe and Ito's colours, which the colour-blind tell apart, without their yellow,
# which white paper swallows, and their black, which whiskers have; grey stands for it.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
# Lines alone: a pattern of circles takes a hundred times the bytes in SVG.
_HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//", "\\\\", "xx", "--", "||")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)))

# Scripts that DejaVu Sans, which Matplotlib brings along, does not have; used where the machine has one of them.
_FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
)
_FONT = "DejaVu Sans"
_MEASURED = 100.0

_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medqbench",
    # A model's name with dollar signs is no formula.
    "text.parse_math": False,
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "hatch.linewidth": 0.4,
    "hatch.color": INK,
    "lines.linewidth": 1.1,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Look:
    """How one run is drawn wherever it appears; no two of the first 84 runs look alike."""

    colour: str
    marker: str
    hatch: str
    dashes: Any


def look_of(place: int) -> Look:
    """The look of the run with this number (from 0)."""
    return Look(
        _COLOURS[place % len(_COLOURS)],
        _MARKERS[place % len(_MARKERS)],
        _HATCHES[place % len(_HATCHES)],
        _DASHES[place % len(_DASHES)],
    )


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's own defaults with our settings, whatever the user's are, and no word on characters without a glyph.

    What is set is set for the whole process while the context is entered.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Not a user's affair: the SVG has the character, and the PNG shows the box that such characters get.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]  # the stubs know each setting's name
        matplotlib.rcParams["font.family"] = list(_families())
        yield


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return (_FONT, *(name for name in _FALLBACKS if name in installed))


def text_width(text: str, size: float) -> float:
    """Inches that a line of text takes, inside :func:`drawing`."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=[_FONT])))
    # Small sizes are rounded to whole dots, letter by letter; a large one has the true proportions.
    font.set_size(_MEASURED, 72)
    font.set_text(text, 0.0)
    width, _ = font.get_width_height()
    return float(width / 64 / 72 * size / _MEASURED)


def fitted(text: str, width: float, size: float) -> str:
    """``text``, its middle left out where it is wider than ``width`` inches, inside :func:`drawing`."""
    whole = text_width(text, size)
    if whole <= width:
        return text
    # Letters differ in width: begin a little above what would fit if they did not.
    limit = max(3, int(len(text) * max(width, 0.0) / whole * 1.3) + 2)
    found = shortened(text, limit)
    while limit > 3 and text_width(found, size) > width:
        limit -= 1
        found = shortened(text, limit)
    return found


def wrapped(text: str, width: float, size: float) -> list[str]:
    """``text`` in lines of at most ``width`` inches, broken at blanks, inside :func:`drawing`."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# A figure measured in inches from its top left corner, with a title above the drawing and notes below it.


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


# Matplotlib's SVG made fit for a page: a title and a description, ids of its own, and the page's own ink.
#
# Only markup is changed, never text: names of models stand between tags, where Matplotlib has escaped them.


_TAG = re.compile(r"<[^<>]+>")
_ID = re.compile(r'(?<= id=")(?=[^"]+")|(?<=url\(#)|(?<=href="#)')
_ROOT = re.compile(r"<svg\b[^<>]*>")
_SIZE = re.compile(r' (?:width|height)="[^"]*"')
_VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
# A rule for every element of whatever page the figure lands in; said on the root it stays inside.
_STYLE = re.compile(r"\s*<defs>\s*<style\b[^<>]*>[^<>]*</style>\s*</defs>")
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FAMILY = re.compile(r"'DejaVu Sans'(?:, '[^']*')*")
_JOINS = 'stroke-linejoin="round" stroke-linecap="butt"'


def standalone(drawing: Drawing, name: str, title: str, description: str) -> str:
    """A whole SVG file with text as text; the same drawing gives the same bytes."""
    return _changed(_raw(drawing), name, title, description, INK, "")


def inline(drawing: Drawing, name: str, title: str, description: str) -> str:
    """An ``<svg>`` for an HTML page: ink in the page's colour, no ground, as wide as there is room up to its size."""
    svg = _raw(drawing)
    root = _ROOT.search(svg)
    if root is None:
        raise ValueError("Matplotlib's SVG has no root element")
    view = _VIEW.search(root[0])
    width = f"{float(view[1]) * 4 / 3:.0f}px" if view else "100%"
    return _changed(svg[root.start() :], name, title, description, "currentColor", f"max-width:{width};width:100%")


def _raw(drawing: Drawing) -> str:
    out = io.StringIO()
    drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _changed(svg: str, name: str, title: str, description: str, ink: str, style: str) -> str:
    svg = _METADATA.sub("", _STYLE.sub("", svg, count=1), count=1)

    def of_tag(found: re.Match[str]) -> str:
        tag = _ID.sub(f"{name}-", found[0])
        return _FAMILY.sub("'DejaVu Sans', Verdana, sans-serif", tag).replace(INK, ink)

    svg = _TAG.sub(of_tag, svg)
    said = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc" {_JOINS}'
    return _ROOT.sub(lambda found: _root(found[0], labels, style) + "\n" + said, svg, count=1)


def _root(tag: str, labels: str, style: str) -> str:
    tag = f"{tag[:-1]} {labels}>"
    return f'{_SIZE.sub("", tag)[:-1]} style="{style};height:auto">' if style else tag
