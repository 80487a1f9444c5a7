"""Names and sentences as text of Markdown and LaTeX: nothing in them is taken for markup or a command."""

from __future__ import annotations

import re

from medqbench_vlmeval.report.labels import one_line
from medqbench_vlmeval.report.text import REPLACEMENT

# What CommonMark and tables give a meaning to inside a line.
_MARKS = re.compile(r"([\\`*_\[\]|])")
# GitHub strikes '~~' out, links addresses, sets '$' as mathematics, notifies '@names' and makes pictures of ':names:'.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "$": "&#36;", "~": "&#126;"})
_ADDRESS_OR_PICTURE = re.compile(r":(?=//|[\w+-]+:)")

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\symbol{34}",
    # A bracket or a star behind the end of a table's line would be read as its option.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "–": "--",
    "…": r"\ldots{}",
    REPLACEMENT: "?",
}
_TO_LATEX = str.maketrans(_LATEX)
# Fonts join these into dashes and foreign quotes.
_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[?!])(?=`)")


def markdown_text(text: str) -> str:
    """``text`` on one line of Markdown, also inside a GitHub table."""
    escaped = _MARKS.sub(r"\\\1", one_line(text).translate(_ENTITIES))
    escaped = _ADDRESS_OR_PICTURE.sub("&#58;", escaped)
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", escaped)


def latex_text(text: str) -> str:
    """``text`` on one line of LaTeX, outside of mathematics.

    Characters beyond Latin stay as they are; setting them takes XeLaTeX or LuaLaTeX.
    """
    return "{}".join(part.translate(_TO_LATEX) for part in _LIGATURE.split(one_line(text)))
