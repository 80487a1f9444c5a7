"""How figures look and how a drawing becomes a file: colours and fonts, the sheet around the axes, PNG and SVG."""

from __future__ import annotations

import io
import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from medqbench_vlmeval.report.colours import look_of
from medqbench_vlmeval.report.figures.plots import DOTS, LINES, Figure, caption_of, notes_of, words_of
from medqbench_vlmeval.report.standings import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
"""Widths of a paper's columns in inches."""

# Stands for the colour of the text in SVG that is to follow a page's theme; on paper it is black to the eye.
INK = "#0b0c0e"
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 8.0, 6.5, 5.8
MUTED, FAINT = 0.75, 0.22
MARGIN = 0.08  # inches
LINE_HEIGHT = 0.125
_DPI = 300
_PAGE_DPI = 168  # at which texts are as large as those around them

# Reference lines have no marker, which tells them from a run's.
REFERENCE_DASHES: tuple[Any, ...] = ((0, (6, 2)), (0, (1.5, 1.5)))

_SETTINGS = Path(__file__).with_name("medqbench.mplstyle")


@contextmanager
def drawing_settings() -> Iterator[None]:
    """Matplotlib's own defaults with our settings, for the whole process, and no word on characters without a glyph."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Not a user's affair: the SVG has the character, and the PNG shows the box that such characters get.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(matplotlib.rc_params_from_file(_SETTINGS, use_default_template=False))
        installed = {font.name for font in fontManager.ttflist}
        fonts = matplotlib.rcParams["font.sans-serif"]
        matplotlib.rcParams["font.family"] = [name for name in fonts if name in installed]
        yield


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Inches that a line of text takes, inside :func:`drawing_settings`."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    properties = FontProperties(size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, properties, False)[0]) / 72


def fitted(text: str, width: float, size: float) -> str:
    """``text``, its middle left out where it is wider than ``width`` inches."""
    return _widest(partial(shortened, text), 2 * len(text), width, size)


def wrapped(text: str, width: float, size: float, weight: str = "normal") -> str:
    """``text`` in lines of at most ``width`` inches, broken behind blanks and marks such as '-', else anywhere."""
    return _widest(lambda columns: "\n".join(_Wrapper(columns).wrap(text)), len(text), width, size, weight)


class _Wrapper(TextWrapper):
    wordsep_re = re.compile(r"([^-_/… ]*[-_/…]+| +)")


def _widest(text_in: Callable[[int], str], most: int, width: float, size: float, weight: str = "normal") -> str:
    """What fits of the texts in 1, 2, ... ``most`` columns, the widest."""

    def is_too_wide(columns: int) -> bool:
        return any(text_width(line, size, weight) > width for line in text_in(columns).split("\n"))

    return text_in(max(1, bisect_left(range(1, most + 1), True, key=is_too_wide)))


def new_drawing(width: float, height: float) -> Drawing:
    """A drawing whose axes and their texts share ``width`` by ``height`` inches; Matplotlib lays them out."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width, height), dpi=_DPI, layout="constrained")


class Sheet:
    """A drawing with its title above it, the keys to its lines and its notes below it, laid out once for all formats.
    ``box`` is what of the drawing's plane is kept, in inches: its whole width, from the notes to the title."""

    def __init__(self, figure: Figure, drawing: Drawing) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.text import Annotation
        from matplotlib.transforms import Bbox

        self.figure, self.drawing = figure, drawing
        width = drawing.get_figwidth()
        left, room = MARGIN / width, width - 2 * MARGIN
        heading = wrapped(figure.title, room, TITLE_SIZE, "bold")
        title = drawing.text(left, 1, heading, size=TITLE_SIZE, weight="bold", va="bottom")
        lines: list[tuple[str, dict[str, Any]]] = []
        for run in figure.runs if figure.kind in LINES and figure.together else ():
            look = look_of(run.place)
            marker = {"marker": look.marker, "markersize": 4, "markeredgecolor": INK, "markeredgewidth": 0.4}
            lines.append((run.shown, {"color": look.colour, "linestyle": look.dashes, **marker}))
        drawn_as_lines = figure.references if figure.kind != DOTS else ()
        for reference, dashes in zip(drawn_as_lines, REFERENCE_DASHES, strict=False):
            lines.append((reference, {"color": INK, "alpha": 0.6, "linewidth": 0.75, "linestyle": dashes}))
        labels = [wrapped(label, room - 0.45, TEXT_SIZE) for label, _ in lines]
        legend = drawing.legend(
            [Line2D([], [], **line) for _, line in lines],
            # Earlier versions of Matplotlib leave out a label that begins with '_'.
            [f" {label}" if label.startswith("_") else label for label in labels],
            loc="upper left",
            bbox_to_anchor=(left, -0.04 / drawing.get_figheight()),
            handlelength=4,
            alignment="left",
        )
        words = wrapped(". ".join(notes_of(figure)), room, SMALL_SIZE)
        below: dict[str, Any] = {"xycoords": legend, "xytext": (0, -4), "textcoords": "offset points", "va": "top"}
        notes = Annotation(words, (0, 0), **below, size=SMALL_SIZE, alpha=MUTED, linespacing=1.4)
        drawing.add_artist(notes)
        drawing.get_layout_engine().execute(drawing)  # type: ignore[union-attr]  # set by new_drawing
        drawing.set_layout_engine("none")
        bottom, top = (notes.get_window_extent().y0 / _DPI - MARGIN, title.get_window_extent().y1 / _DPI + MARGIN)
        self.box = Bbox.from_extents(0, bottom, width, top)

    def png(self) -> bytes:
        """The picture with 300 dots an inch on white."""
        out = io.BytesIO()
        metadata = {"Software": None, "Title": self.figure.title, "Description": caption_of(self.figure)}
        self.drawing.savefig(out, format="png", facecolor="white", bbox_inches=self.box, metadata=metadata)
        return out.getvalue()

    def svg(self, themed: bool = False) -> str:
        """An ``<svg>`` with text as text, a title, the caption as its description, and ids that begin with its name;
        ``themed`` for a page: ink is the page's, and texts are as large as the page's where there is room."""
        out = io.StringIO()
        self.drawing.savefig(out, format="svg", bbox_inches=self.box, metadata={"Date": None, "Creator": None})
        name = self.figure.name
        root = safe_svg(out.getvalue(), f"{name}-")
        root.attrib.update({"role": "img", "aria-labelledby": f"{name}-title {name}-desc"})
        for group in list(root.iter("g")):
            if words := words_of(self.figure, group.get("id", "").removeprefix(f"{name}-")):
                said = ElementTree.Element("title")
                said.text = words
                group.insert(0, said)
        root.attrib.update({"stroke-linejoin": "round", "stroke-linecap": "butt"})
        for tag, text in (("desc", caption_of(self.figure)), ("title", self.figure.title)):
            element = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
            element.text = text
            root.insert(0, element)
        if themed:
            del root.attrib["height"]
            root.set("width", f"{self.box.width * _PAGE_DPI:.0f}")
            root.set("class", "wide" if self.box.width > ONE_COLUMN else "narrow")
            for element in root.iter():
                element.attrib.update({key: "currentColor" for key, value in element.attrib.items() if value == INK})
        return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


# Model names stand in Matplotlib's SVG. Only elements and attributes that draw are let through, so that whatever a
# name holds no script, style, link or reference to another file comes into a page.
_SVG = "http://www.w3.org/2000/svg"
_ELEMENTS = re.compile("svg|g|defs|path|rect|circle|line|polyline|polygon|text|tspan|use|clipPath|pattern")
_ATTRIBUTES = re.compile(
    "d|[xyr]|[xy][12]|c[xy]|width|height|viewBox|points|transform|fill(-opacity|-rule)?|opacity|clip-path|text-anchor|"
    "stroke(-width|-opacity|-dasharray|-dashoffset|-linecap|-linejoin|-miterlimit)?|font-(family|size|style|weight)|"
    "pattern(Units|Transform)"
)
# Earlier versions of Matplotlib write the shorthand of CSS, which has no attribute of its own.
_FONT = re.compile(r"(?P<weight>bold|\d+(?= ))?.*?(?P<size>[\d.]+px)\s+(?P<family>.+)", re.DOTALL)
_FAMILY = re.compile(r"'DejaVu Sans'(?:, '[^']*')*")
_OWN_LINK = re.compile(r"(#|url\(#)([\w.:-]+\)?)")


def safe_svg(svg: str, prefix: str = "") -> ElementTree.Element:
    """What draws in an SVG of Matplotlib, styles as attributes, ids and what refers to them with a prefix. Raises
    ElementTree.ParseError where ``svg`` is no XML."""
    # Made by this package; a document type, which could name other files or swell, is left out of the question.
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>\[]*>", "", svg, flags=re.IGNORECASE))  # noqa: S314
    return _safe(root, prefix)


def _safe(element: ElementTree.Element, prefix: str) -> ElementTree.Element:
    safe = ElementTree.Element(_name(element))
    safe.text, safe.tail = element.text, element.tail
    if safe.tag == "svg":
        safe.set("xmlns", _SVG)
    for name, value in {**element.attrib, **dict(_declarations(element.get("style", "")))}.items():
        link = _OWN_LINK.fullmatch(value)
        if name == "id":
            safe.set(name, prefix + value)
        elif name.rpartition("}")[2] == "href":
            if link and link[1] == "#":
                safe.set("href", f"#{prefix}{link[2]}")
        elif _ATTRIBUTES.fullmatch(name) and (link or "url" not in value.lower()):
            safe.set(name, f"{link[1]}{prefix}{link[2]}" if link and link[1] != "#" else value)
    safe.extend(_safe(child, prefix) for child in element if _ELEMENTS.fullmatch(_name(child)))
    return safe


def _name(element: ElementTree.Element) -> str:
    namespace, _, name = element.tag.rpartition("}") if isinstance(element.tag, str) else ("", "", "")
    return name if namespace in ("", "{" + _SVG) else ""


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = (piece.strip() for piece in declaration.partition(":"))
        shorthand = _FONT.fullmatch(value) if name == "font" else None
        pieces = {f"font-{key}": piece for key, piece in shorthand.groupdict().items() if piece} if shorthand else {}
        for key, piece in (pieces or {name: value}).items():
            if piece:
                yield key, _FAMILY.sub("'DejaVu Sans', Verdana, sans-serif", piece)
