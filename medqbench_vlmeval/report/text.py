"""Text made harmless for the place where it is shown, and tables as Markdown, LaTeX and HTML. What has to be changed is
changed visibly, and the result files keep the whole text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from medqbench_vlmeval.files import REPLACEMENT
from medqbench_vlmeval.report.table import FEW_NOTE, Item, Table, flat, words
from medqbench_vlmeval.types import FEW

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).with_name("templates")
_WORDS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
LABELS: Mapping[str, Mapping[str, str]] = _WORDS["labels"]
INTROS: Mapping[str, str] = {name: text.format(few=FEW) for name, text in _WORDS["intros"].items()}

CELL_LIMIT = 32_767  # UTF-16 units in one cell, fixed by the xlsx format
SHEET_NAME_LIMIT = 31

# What XML 1.0 has no way to write: C0 controls but tab and line feed, surrogates, and two non-characters.
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
# Escape sequences move the cursor and recolour; bidi overrides reorder a line that is not theirs.
_NOT_TERMINAL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\u2028\u2029]")
# A spreadsheet would read a text as a formula that begins with one of these, if somebody typed it.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NOT_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_RESERVED_SHEET_NAMES = frozenset({"history"})  # Excel keeps this one for itself
# What CommonMark and tables give a meaning to inside a line.
_MARKS = re.compile(r"([\\`*_\[\]|])")
# GitHub strikes '~~' out, links addresses, sets '$' as mathematics, notifies '@names' and makes
# pictures of ':names:'.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "$": "&#36;", "~": "&#126;"})
_ADDRESS_OR_PICTURE = re.compile(r":(?=//|[\w+-]+:)")
_TO_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\symbol{34}", "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$",
    # A bracket or a star behind the end of a table's line would be read as its option.
    "[": "{[}", "]": "{]}", "*": "{*}", "–": "--", "…": r"\ldots{}", REPLACEMENT: "?",
})  # fmt: skip
_LONG_NAME = 20
# Fonts join these into dashes and foreign quotes.
_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[?!])(?=`)")


def cell_text(text: str, whole_text_in: str) -> str:
    """``text`` as an xlsx cell can hold it: line ends are line feeds, what XML cannot hold is U+FFFD, and what is cut
    after 32,767 UTF-16 units ends with a word on ``whole_text_in``, the file that has all of it."""
    clean = text
    if not (text.isascii() and text.isprintable()):
        clean = _NOT_XML.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))
    if 2 * len(clean) <= CELL_LIMIT or _units(clean) <= CELL_LIMIT:
        return clean
    notice = f" … [cut: {len(text):,} characters in all, whole text in {_NOT_XML.sub(REPLACEMENT, whole_text_in)}]"
    return _first_units(clean, CELL_LIMIT - _units(notice)) + notice


def sheet_name(wanted: str, names: Collection[str]) -> str:
    """A sheet's name close to ``wanted``: 1-31 characters, none of ``[]:*?/\\``, not among ``names`` in any case.
    Spreadsheets compare sheet names without regard to case."""
    clean = " ".join(_NOT_SHEET_NAME.sub("-", wanted).split()).strip("'")
    clean = _first_units(clean, SHEET_NAME_LIMIT).strip("' ") or "unnamed"
    used = {name.casefold() for name in names} | _RESERVED_SHEET_NAMES
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
    return f"'{clean}" if text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS) else clean


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _first_units(text: str, limit: int) -> str:
    # A character of two units that would be cut in half is left out.
    return text[:limit].encode("utf-16-le")[: 2 * limit].decode("utf-16-le", errors="ignore")


def one_line(name: str) -> str:
    """``name`` with blanks run together and without characters that move or hide what stands beside them."""
    return _NOT_XML.sub(REPLACEMENT, terminal_text(" ".join(name.split())))


def markdown_text(text: str) -> str:
    """``text`` on one line of Markdown, also inside a GitHub table."""
    escaped = _MARKS.sub(r"\\\1", one_line(text).translate(_ENTITIES))
    escaped = _ADDRESS_OR_PICTURE.sub("&#58;", escaped)
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", escaped)


def latex_text(text: str) -> str:
    """``text`` on one line of LaTeX, outside of mathematics. Characters beyond Latin stay as they are; setting them
    takes XeLaTeX or LuaLaTeX."""
    return "{}".join(part.translate(_TO_LATEX) for part in _LIGATURE.split(one_line(text)))


@dataclass(frozen=True)
class _Dialect:
    """How a language writes the parts of a cell; ``{}`` stands for what is escaped already."""

    template: str
    escaped: Callable[[str], str]
    bold: str
    underlined: str
    heading: str
    ends: str
    few: str

    def written(self, table: Table, **values: object) -> str:
        """A table in the language's template, every text of it escaped."""
        plain = flat(table, for_text=True)
        rows = []
        for look, items in plain.rows:
            is_heading, cells = look == "heading", [self._cell(item) for item in items]
            rows.append((is_heading, [self.heading.format(cells[0])] if is_heading else cells, items))
        notes = [self.escaped(note) for note in (*plain.notes, *([FEW_NOTE] if plain.has_few else []))]
        heads, title = [self.escaped(column.head) for column in plain.columns], self.escaped(plain.title)
        values |= {"columns": plain.columns, "heads": heads, "title": title, "rows": rows, "notes": notes}
        return template(_TEMPLATES / self.template).render(values).rstrip() + "\n"

    def _cell(self, item: Item) -> str:
        text = self.escaped(words(item, none="–"))
        if item.bold:
            text = self.bold.format(text)
        elif item.underlined:
            text = self.underlined.format(text)
        few = self.few if item.few and item.value is not None else ""
        return text + few + self.escaped(item.mark) + (self.ends.format(*item.ends) if item.ends else "")


_MARKDOWN = _Dialect("table.md.j2", markdown_text, "**{}**", "_{}_", "*{}*", " ({} to {})", r"\*")
_IN_LATEX = _Dialect("table.tex.j2", latex_text, r"\textbf{{{}}}", r"\underline{{{}}}", r"\textit{{{}}}", "", "$^{*}$")
_HTML = _Dialect(
    "table.html.j2", lambda text: html.escape(one_line(text)), "<b>{}</b>", "<u>{}</u>", "<i>{}</i>", " ({} to {})", "*"
)


def markdown(table: Table) -> str:
    """A GitHub-flavoured table under its title as a heading, with its notes as a list; numbers stand right."""
    return _MARKDOWN.written(table)


def latex(table: Table, label: str) -> str:
    """A ``table`` for a document: the title as caption, intervals below their numbers, the notes in small print, and
    rules of ``booktabs`` where the document loads it."""
    rows = flat(table, for_text=True).rows
    items = [item for _, of_row in rows for item in of_row]
    return _IN_LATEX.written(
        table,
        label=label,
        is_beyond_latin=any(isinstance(item.value, str) and not item.value.isascii() for item in items),
        is_long=any(len(str(of_row[0].value)) > _LONG_NAME for look, of_row in rows if look != "heading"),
        has_ends=any(item.ends for item in items),
    )


def html_table(table: Table) -> str:
    """A ``<table>`` with its notes as a list, without styles or scripts, which a README may not have."""
    return _HTML.written(table)


@cache
def template(path: Path, is_html: bool = False) -> Template:
    """A Jinja template; what goes into HTML is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader, strict = FileSystemLoader(path.parent), StrictUndefined
    # What goes into other languages is escaped before.
    environment = Environment(loader=loader, autoescape=is_html, undefined=strict, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    return environment.get_template(path.name)
