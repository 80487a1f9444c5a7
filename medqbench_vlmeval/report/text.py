"""Text made harmless for the place where it is shown, and tables as Markdown, LaTeX, CSV and HTML.

A reply is data: no spreadsheet may run it, no XML may break on it, no terminal may obey it, and no renderer may take
it for markup. What has to be changed is changed visibly, and the result files keep the whole text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from medqbench_vlmeval.files import REPLACEMENT
from medqbench_vlmeval.report.table import FEW_NOTE, Flat, Item, Table, flat, words

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
_ENDS = r"{{\scriptsize {{[}}{}, {}{{]}}}}"
_LONG_NAME = 20
# Fonts join these into dashes and foreign quotes.
_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[?!])(?=`)")


def cell_text(text: str, whole_text_in: str) -> str:
    """``text`` as an xlsx cell can hold it.

    Line ends become line feeds, characters that XML cannot hold become U+FFFD, and a text past 32,767 UTF-16 units is
    cut and says so at its end, with ``whole_text_in`` as the file that has all of it.
    """
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

    escaped: Callable[[str], str]
    bold: str
    underlined: str
    heading: str
    ends: str
    few: str

    def rows(self, table: Flat) -> Iterator[tuple[bool, list[str]]]:
        """Each row's cells as text, and whether it is a heading, which has one cell."""
        for look, items in table.rows:
            cells = [self._cell(item) for item in items]
            yield look == "heading", [self.heading.format(cells[0])] if look == "heading" else cells

    def _cell(self, item: Item) -> str:
        text = self.escaped(words(item, none="–"))
        if item.bold:
            text = self.bold.format(text)
        elif item.underlined:
            text = self.underlined.format(text)
        few = self.few if item.few and item.value is not None else ""
        return text + few + self.escaped(item.mark) + (self.ends.format(*item.ends) if item.ends else "")

    def notes(self, table: Flat) -> list[str]:
        """The notes below a table."""
        return [self.escaped(note) for note in (*table.notes, *([FEW_NOTE] if table.has_few else []))]


_MARKDOWN = _Dialect(markdown_text, "**{}**", "_{}_", "*{}*", " ({} to {})", r"\*")
_IN_LATEX = _Dialect(latex_text, r"\textbf{{{}}}", r"\underline{{{}}}", r"\textit{{{}}}", "", "$^{*}$")
_HTML = _Dialect(lambda text: html.escape(one_line(text)), "<b>{}</b>", "<u>{}</u>", "<i>{}</i>", " ({} to {})", "*")


def markdown(table: Table) -> str:
    """A GitHub-flavoured table under its title as a heading, with its notes as a list; numbers stand right."""
    plain = flat(table, for_text=True)
    n = len(plain.columns)
    rows = [
        [markdown_text(column.head) for column in plain.columns],
        ["---:" if column.is_numeric else "---" for column in plain.columns],
        *(cells + [""] * (n - len(cells)) for _, cells in _MARKDOWN.rows(plain)),
    ]
    lines = [f"### {markdown_text(plain.title)}", ""] if plain.title else []
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    if notes := _MARKDOWN.notes(plain):
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def latex(table: Table, label: str) -> str:
    """A ``table`` for a document: the title as caption, the notes in small print below.

    Intervals stand below their numbers, and long names wrap: side by side they would not fit on a page. Rules are
    those of ``booktabs`` where the document loads it, and plain lines elsewhere.
    """
    plain = flat(table, for_text=True)
    beyond = any(isinstance(item.value, str) and not item.value.isascii() for _, items in plain.rows for item in items)
    names = [str(items[0].value) for look, items in plain.rows if look != "heading"]
    kinds = ["r" if column.is_numeric else "l" for column in plain.columns]
    if max(map(len, names), default=0) > _LONG_NAME:
        kinds[0] = r"p{0.23\linewidth}"
    has_ends = any(item.ends for _, items in plain.rows for item in items)
    lines = [
        f"% Best with \\usepackage{{booktabs}}{'; names beyond Latin letters take XeLaTeX or LuaLaTeX' * beyond}.",
        "\\begin{table}[t]\n\\centering",
        *(f"\\providecommand{{\\{rule}}}{{\\hline}}" for rule in ("toprule", "midrule", "bottomrule")),
        f"\\caption{{{latex_text(plain.title)}.}}",
        f"\\label{{{label}}}",
        rf"\{'footnotesize' if has_ends else 'small'}\setlength{{\tabcolsep}}{{3pt}}",
        f"\\begin{{tabular}}{{{''.join(kinds)}}}",
        "\\toprule",
        " & ".join(_stacked(latex_text(column.head)) for column in plain.columns) + r" \\",
        *(["\\midrule"] if plain.rows and plain.rows[0][0] != "heading" else []),
    ]
    for (is_heading, cells), (_, items) in zip(_IN_LATEX.rows(plain), plain.rows, strict=True):
        if is_heading:
            lines += ["\\midrule", f"\\multicolumn{{{len(plain.columns)}}}{{l}}{{{cells[0]}}} \\\\"]
            continue
        lines.append(" & ".join(cells) + r" \\")
        if any(item.ends for item in items):
            lines.append(" & ".join([_ENDS.format(*item.ends) if item.ends else "" for item in items]) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    if notes := _IN_LATEX.notes(plain):
        lines += ["\\par\\smallskip", "\\parbox{\\linewidth}{\\footnotesize", " \\\\\n".join(notes), "}"]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _stacked(head: str) -> str:
    return rf"\shortstack[r]{{{head.replace(' ', chr(92) * 2)}}}" if " " in head else head


def html_table(table: Table) -> str:
    """A ``<table>`` with its notes as a list, without styles or scripts, which a README may not have."""
    plain = flat(table, for_text=True)
    aligned = [' align="right"' if column.is_numeric else "" for column in plain.columns]
    heads = [_HTML.escaped(column.head) for column in plain.columns]
    caption = [f"<caption>{_HTML.escaped(plain.title)}</caption>"] if plain.title else []
    lines = ["<table>", *caption, "<thead>", "<tr>"]
    lines += [f"<th{align}>{head}</th>" for align, head in zip(aligned, heads, strict=True)]
    lines += ["</tr>", "</thead>", "<tbody>"]
    for is_heading, cells in _HTML.rows(plain):
        if is_heading:
            row = f'<th colspan="{len(aligned)}">{cells[0]}</th>'
        else:
            row = "".join(f"<td{align}>{cell}</td>" for align, cell in zip(aligned, cells, strict=True))
        lines.append(f"<tr>{row}</tr>")
    lines += ["</tbody>", "</table>"]
    if notes := _HTML.notes(plain):
        lines += ["<ul>", *(f"<li>{note}</li>" for note in notes), "</ul>"]
    return "\n".join(lines) + "\n"
