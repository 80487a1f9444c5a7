"""Texts made harmless, for any text."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from hypothesis import example, given
from hypothesis import strategies as st

from medqbench_vlmeval.files import storable
from medqbench_vlmeval.report import text as texts

# Surrogates and control characters are what models and broken decoders really put out.
TEXTS = st.text(st.characters(exclude_categories=())) | st.text("_x041=+-@\t\r\n \ud800\U0001f9e0[]'")
UNITS = st.text("_x0041_a\U0001f9e0\x00\r\n", min_size=1, max_size=9)
LONG = st.builds(lambda unit, n: unit * n, UNITS, st.integers(1, 40_000))


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(TEXTS | LONG)
@example("_x0041_" * 6_000)
@example("\U0001f9e0" * 32_767)
def test_a_cell_text_is_short_and_legal(text: str) -> None:
    cell = texts.cell_text(text, "samples.jsonl")
    assert utf16_units(cell) <= texts.CELL_LIMIT
    assert (ElementTree.fromstring(f"<t>{escape(cell)}</t>").text or "") == cell  # noqa: S314


@given(st.text(max_size=2_000))
def test_ordinary_text_is_not_touched(text: str) -> None:
    plain = re.sub("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]", "", text)
    assert texts.cell_text(plain, "f") == plain


@given(st.lists(TEXTS, max_size=12))
def test_sheet_names_are_legal_and_unique(wanted: list[str]) -> None:
    taken = ["Overview", "Samples"]
    for text in wanted:
        name = texts.sheet_name(text, taken)
        assert 1 <= utf16_units(name) <= 31
        assert not re.search(r"[\[\]:*?/\\\x00-\x1f]", name)
        assert not name.startswith("'")
        assert not name.endswith("'")
        assert name.casefold() not in {other.casefold() for other in [*taken, "history"]}
        taken.append(name)


@given(TEXTS)
def test_texts_for_a_csv_a_terminal_and_a_file_are_harmless(text: str) -> None:
    cell, line, stored = texts.csv_text(text), texts.terminal_text(text), storable(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert len(line) == len(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)
    assert storable(stored) == stored
    assert all(clean.encode("utf-8").decode("utf-8") == clean for clean in (cell, line, stored))


def test_escapes() -> None:
    assert texts.latex_text("a_b & 50% #1 {x} ~^ \\") == (
        r"a\_b \& 50\% \#1 \{x\} \textasciitilde{}\textasciicircum{} \textbackslash{}"
    )
    assert texts.latex_text("a--b ''c") == "a-{}-b '{}'c"
    assert texts.latex_text("[1]*\nx") == "{[}1{]}{*} x"
    assert texts.markdown_text("a|b_c <u>") == r"a\|b\_c &lt;u&gt;"
