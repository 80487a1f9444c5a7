"""The first sheet of a workbook, written as the kits write it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.predictions.files import READERS, read_texts
from tests.predictions.test_files import TEXT, dump, texts, whole

# A spreadsheet's writer takes some beginnings for links, '<r>' for its own markup, and has no place for two code
# points that XML forbids.
NOT_IN_A_SHEET = (":", "\ufffe", "\uffff", "<r>")
CELL_TEXT = TEXT.filter(lambda text: not any(mark in text for mark in NOT_IN_A_SHEET))
ODD_TEXTS = ["=1+1", "=A1 is the answer", "{=x}", "{=x\ty\x0b}", "=1\x0b2\x00", "_x000B_", "x005F_", "_x005F_"]


def dump_head(frame: pd.DataFrame, path: Path) -> Path:
    """The git kit's spreadsheet, where a leading '=' is a text."""
    options = {"options": {"strings_to_formulas": False}}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
        frame.to_excel(writer, index=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("write", [dump, dump_head])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(replies=st.lists(CELL_TEXT | st.sampled_from(ODD_TEXTS), min_size=1))
def test_any_text_comes_back_from_a_spreadsheet(tmp_path: Path, write, replies: list[str]) -> None:
    frame = pd.DataFrame({"index": range(len(replies)), "prediction": pd.Series(replies, dtype=object)})
    path = write(frame, tmp_path / "m.xlsx")
    expected = [_as_formula(reply) if write is dump else reply for reply in replies]
    assert texts(path) == expected


def _as_formula(reply: str) -> str:
    # What the PyPI kit's writer loses of a text that it takes for a formula: XML has one kind of line break outside
    # of escapes, and a closing brace without an opening one is dropped.
    if not reply.startswith("="):
        return reply
    return reply.replace("\r\n", "\n").replace("\r", "\n").removesuffix("}")


def test_the_first_sheet_by_its_place_and_rich_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    second = book.create_sheet("other")
    second.append(["nothing"])
    first = book["Sheet"]
    first.append(["index", "prediction", "flag"])
    first.append([1, CellRichText("A ", TextBlock(InlineFont(b=True), "bold"), " B"), True])
    first.append([3, None, False])
    first.append([])
    first.append([4, 0.5, None])
    path = tmp_path / "m.xlsx"
    book.save(path)
    table = read_predictions(path)
    assert [(p.index, p.text) for p in table.predictions] == [("1", "A bold B"), ("3", ""), ("4", "0.5")]
    assert [row["flag"] for row in table.rows] == ["True", "False", ""]


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 0.999), value=st.integers(0, 255))
def test_a_damaged_spreadsheet_is_read_or_refused(tmp_path: Path, place: float, value: int) -> None:
    data = bytearray(whole(tmp_path, "xlsx"))
    data[int(len(data) * place)] = value
    path = tmp_path / "m.xlsx"
    path.write_bytes(bytes(data))
    try:
        read_predictions(path)
    except BadInput as error:
        assert str(path) in str(error)


def test_entities_in_a_spreadsheet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/workbook.xml", '<workbook xmlns:r="r"><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", "<Relationships/>")
        archive.writestr("xl/worksheets/sheet1.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet>&a;</worksheet>')
    with pytest.raises(BadInput, match="declares entities"):
        read_predictions(path)


def test_numbers_and_formulas_are_what_the_file_spells(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append([7.0, 2.5, -3, 1e20, True, "=A1", None, "x"])
    path = tmp_path / "m.xlsx"
    book.save(path)
    assert read_texts(path, "a table", READERS)[0] == [["7", "2.5", "-3", "1e+20", "True", "=A1", "", "x"]]
