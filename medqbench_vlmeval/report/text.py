"""Text of models and data files, made harmless for the place where it is shown.

A reply is data: no spreadsheet may run it, no XML may break on it, no terminal may obey it. What has to be
changed is changed visibly, and the result files keep the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from medqbench_vlmeval.files import REPLACEMENT

CELL_LIMIT = 32_767  # UTF-16 units in one cell, fixed by the xlsx format
SHEET_NAME_LIMIT = 31

# What XML 1.0 has no way to write: C0 controls but tab and line feed, surrogates, and two non-characters.
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
# The xlsx format reads _xHHHH_ in any text as one character (ECMA-376, 22.9.2.19), so a literal one is escaped.
_XLSX_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# Escape sequences move the cursor and recolour; bidi overrides reorder a line that is not theirs.
_NOT_TERMINAL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NOT_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_RESERVED_SHEET_NAMES = frozenset({"history"})  # Excel keeps this one for itself
_NO_CHARACTERS = re.compile("[\ufffe\uffff]")


def starts_like_formula(text: str) -> bool:
    """Whether a spreadsheet would read ``text`` as a formula if somebody typed it."""
    return text.startswith(_FORMULA_STARTS)


def cell_text(text: str, whole_text_in: str) -> str:
    """``text`` as an xlsx cell can hold it.

    Line ends become line feeds, characters that XML cannot hold become U+FFFD, a literal ``_x0041_`` is
    escaped as the format asks, and a text past 32,767 UTF-16 units is cut and says so at its end, with
    ``whole_text_in`` as the file that has all of it.
    """
    if len(text) <= CELL_LIMIT and text.isascii() and text.isprintable() and "_x" not in text:
        return text
    clean = _NOT_XML.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))
    escaped = _XLSX_ESCAPE.sub("_x005F_", clean)
    if 2 * len(escaped) <= CELL_LIMIT or _units(escaped) <= CELL_LIMIT:
        return escaped
    notice = f" … [cut: {len(text):,} characters in all, whole text in {_NOT_XML.sub(REPLACEMENT, whole_text_in)}]"
    room = CELL_LIMIT - _units(notice)
    kept = _XLSX_ESCAPE.sub("_x005F_", _first_units(clean, room))
    if _units(kept) > room:
        # Escaping at most doubles a text, so half of the room always fits.
        kept = _XLSX_ESCAPE.sub("_x005F_", _first_units(clean, room // 2))
    return kept + notice


def sheet_name(wanted: str, taken: Collection[str]) -> str:
    """A sheet's name close to ``wanted``: 1-31 characters, none of ``[]:*?/\\``, not among ``taken`` in any case.

    Spreadsheets compare sheet names without regard to case.
    """
    clean = " ".join(_NOT_SHEET_NAME.sub("-", wanted).split()).strip("'")
    clean = _first_units(clean, SHEET_NAME_LIMIT).strip("' ") or "unnamed"
    used = {name.casefold() for name in taken} | _RESERVED_SHEET_NAMES
    name, count = clean, 1
    while name.casefold() in used:
        count += 1
        suffix = f" ({count})"
        name = _first_units(clean, SHEET_NAME_LIMIT - len(suffix)).rstrip("' ") + suffix
    return name


def terminal_text(text: str) -> str:
    """``text`` on one line of a terminal: control characters and reordering marks become U+FFFD."""
    return _NOT_TERMINAL.sub(REPLACEMENT, text)


def csv_text(text: str) -> str:
    """``text`` for a CSV cell that somebody may open in a spreadsheet: what starts a formula gets an apostrophe."""
    clean = _NOT_XML.sub(REPLACEMENT, text)
    return f"'{clean}" if starts_like_formula(text) or starts_like_formula(text.lstrip()) else clean


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _first_units(text: str, limit: int) -> str:
    if len(text) * 2 <= limit:
        return text
    text = text[:limit]
    while (over := _units(text) - limit) > 0:
        # Each character removed frees one or two units; half of the excess never removes too much.
        text = text[: -max(1, over // 2)]
    return text


def one_line(name: str) -> str:
    """``name`` with blanks run together and without characters that move or hide what stands beside them."""
    return _NO_CHARACTERS.sub(REPLACEMENT, terminal_text(" ".join(name.split())))


# Names and sentences as text of Markdown and LaTeX: nothing in them is taken for markup or a command.


# What CommonMark and tables give a meaning to inside a line.
_MARKS = re.compile(r"([\\`*_\[\]|])")
# GitHub strikes '~~' out, links addresses, sets '$' as mathematics, notifies '@names' and makes
# pictures of ':names:'.
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
