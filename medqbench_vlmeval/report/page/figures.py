"""The figures of :mod:`medqbench_vlmeval.report.figures`, taken apart and put together again for the page.

Model names stand in them. Only elements and attributes that draw are let through, so that whatever a name holds no
script, style, link or reference to another file comes into the page; styles become attributes, which the page's
security policy lets pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from medqbench_vlmeval.report.text import REPLACEMENT, storable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_ELEMENTS = _words(
    "svg g defs title desc path rect circle ellipse line polyline polygon text tspan use symbol marker clipPath "
    "linearGradient radialGradient stop pattern"
)
_ATTRIBUTES = _words(
    "id class d x y x1 x2 y1 y2 cx cy r rx ry dx dy width height viewBox points transform fill fill-opacity fill-rule "
    "clip-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin "
    "stroke-miterlimit opacity clip-path clipPathUnits text-anchor dominant-baseline alignment-baseline font-family "
    "font-size font-style font-weight font-variant font-stretch font-size-adjust letter-spacing offset stop-color "
    "stop-opacity gradientUnits gradientTransform patternUnits patternTransform preserveAspectRatio role "
    "aria-label aria-labelledby aria-describedby aria-hidden visibility markerWidth markerHeight refX refY orient "
    "marker-start marker-mid marker-end shape-rendering text-rendering direction unicode-bidi textLength lengthAdjust "
    "paint-order vector-effect"
)
_PIXELS_PER_POINT = 4 / 3
_ELSEWHERE = re.compile(r"url\s*\(\s*['\"]?\s*(?!#)", re.IGNORECASE)
# Controls, half characters and non-characters: of groups, methods and datasets as of models.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ID = re.compile(r"#[\w.:-]+")
# matplotlib writes the shorthand of CSS, which has no attribute of its own.
_FONT = re.compile(r"(?P<words>.*?)(?P<size>[\d.]+)px\s+(?P<family>.+)", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """``title`` is plain text, ``svg`` safe markup."""

    title: str
    svg: str


def figures(scores: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """All figures that the scores support, in the figure room's order."""
    from medqbench_vlmeval.report.figures import themed_svgs

    drawn = {name: cleaned(svg) for name, svg in themed_svgs([printable(score) for score in scores]).items()}
    return [Figure(_title(svg) or name, svg) for name, svg in drawn.items()]


def printable(value: Any) -> Any:
    """Plain JSON without the characters in texts and names that neither a font nor XML has; they become U+FFFD."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub(REPLACEMENT, value)
    if isinstance(value, Mapping):
        return {printable(name): printable(found) for name, found in value.items()}
    return [printable(found) for found in value] if isinstance(value, (list, tuple)) else value


def _title(svg: str) -> str:
    found = ElementTree.fromstring(svg).find(f"{{{_SVG}}}title") if svg else None  # noqa: S314
    return "" if found is None else found.text or ""


def cleaned(svg: str) -> str:
    """An SVG with only what draws in it, as markup for an HTML page.

    Raises:
        ElementTree.ParseError: ``svg`` is no XML.
    """
    # Made by this package; a document type, which could name other files or swell, is left out of the question.
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>\[]*>", "", storable(svg), flags=re.IGNORECASE))  # noqa: S314
    kept = _kept(root)
    if kept is None:
        return ""
    kept.set("xmlns", _SVG)
    # As wide as it was drawn, where there is room; the page's style keeps its proportions.
    kept.attrib.pop("height", None)
    box = kept.get("viewBox", "").split()
    if len(box) == 4:
        kept.set("width", f"{float(box[2]) * _PIXELS_PER_POINT:.0f}")
    return ElementTree.tostring(kept, encoding="unicode", short_empty_elements=False)


def _kept(element: ElementTree.Element) -> ElementTree.Element | None:
    namespace, _, name = element.tag.rpartition("}") if isinstance(element.tag, str) else ("", "", "")
    if name not in _ELEMENTS or namespace not in ("", "{" + _SVG):
        return None
    kept = ElementTree.Element(name)
    kept.text, kept.tail = element.text, element.tail
    for attribute, value in _attributes(element):
        kept.set(attribute, value)
    kept.extend(child for found in element if (child := _kept(found)) is not None)
    return kept


def _attributes(element: ElementTree.Element) -> list[tuple[str, str]]:
    given = dict(element.attrib)
    given.update(_declarations(given.pop("style", "")))
    found = []
    for name, value in given.items():
        if name in ("href", f"{{{_XLINK}}}href"):
            if _ID.fullmatch(value):
                found.append(("href", value))
        elif name in _ATTRIBUTES and not _ELSEWHERE.search(value):
            found.append((name, value))
    return found


def _declarations(style: str) -> dict[str, str]:
    found = {}
    for declaration in style.split(";"):
        name, _, value = (piece.strip() for piece in declaration.partition(":"))
        shorthand = _FONT.fullmatch(value) if name == "font" else None
        if shorthand:
            found["font-size"], found["font-family"] = f"{shorthand['size']}px", shorthand["family"]
            weight = next((word for word in shorthand["words"].split() if word == "bold" or word.isdigit()), None)
            if weight:
                found["font-weight"] = weight
        elif value:
            found[name] = value
    return found
