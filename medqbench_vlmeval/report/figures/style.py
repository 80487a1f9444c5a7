"""How figures look: colours, marks, hatches and sizes, and Matplotlib set up the same on every machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from medqbench_vlmeval.report.labels import shortened

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
