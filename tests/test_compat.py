"""The record of the compatibility matrix: a run writes its own rows and keeps the others."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def compat():
    spec = importlib.util.spec_from_file_location("compat", ROOT / "scripts" / "compat.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["compat"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["compat"]


def test_rows_are_read_back_by_python_libraries_and_kit(compat, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{compat.BEGIN}\n{compat.END}\n\nEnd.\n", encoding="utf-8")
    cells = [
        compat.Cell("3.10.13", "oldest", results="`aa`", versions={"pandas": "2.0.0"}),
        compat.Cell("3.13.0", "newest", results="`aa`", tests="5 passed"),
        compat.Cell("3.11.7", "newest", "0.0.20", results="`bb`"),
    ]
    compat.write_page(page, [cell.row for cell in cells])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Title\n")
    assert text.endswith("End.\n")
    assert "All 2 cells without a kit gave the same results, byte for byte. The cell with a kit gave results." in text
    rows = compat.recorded(page)
    assert list(rows) == [("3.10", "oldest", "–"), ("3.13", "newest", "–"), ("3.11", "newest", "0.0.20")]
    assert [rows[cell.key] for cell in cells] == [cell.row for cell in cells]


@pytest.mark.parametrize("results", ["`cc`", "failed: no wheel"])
def test_a_cell_that_differs_or_fails_is_said(compat, results):
    rows = [compat.Cell("3.10.13", "oldest", results=of).row for of in ("`aa`", results)]
    agree, words = compat.verdict(rows)
    assert not agree
    assert words == "**Of the 2 cells without a kit not all gave the same results.**"


def test_the_recorded_cells_of_the_page_agree(compat):
    agree, words = compat.verdict(compat.recorded(compat.PAGE).values())
    assert agree, words
