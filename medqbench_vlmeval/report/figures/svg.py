"""Matplotlib's SVG made fit for a page: a title and a description, ids of its own, and the page's own ink.

Only markup is changed, never text: names of models stand between tags, where Matplotlib has escaped them.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from medqbench_vlmeval.report.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

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
