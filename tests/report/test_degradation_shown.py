"""The drop from L0 and the calibration wherever they are shown: figures, page, workbook."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.report.figures import themed_svgs
from medqbench_vlmeval.report.figures.plots import Figure, figures_of, notes_of, words_of
from medqbench_vlmeval.report.page.content import runs_json
from medqbench_vlmeval.report.workbook import write_workbook
from tests.make import degraded_run, perception_run


def figures(n: int = 1) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures_of([degraded_run(model=f"M{k}").result for k in range(n)])}


def test_the_curve_by_category_and_the_reliability_hold_the_tables_numbers() -> None:
    drawn = figures()
    panels, bins = drawn["category_degradation"], drawn["stated_confidence_degradation"]
    assert panels.groups == ("noise L0", "noise L1", "noise L2")
    assert [panels.runs[0].cell(group).value for group in panels.groups] == [100, pytest.approx(200 / 3), 25]
    # 8 of 12: half 2.200985 * sqrt(12/11 * 8/3 / 144) = 31.28, of points 66.67
    assert words_of(panels, "value-0-1") == "M0\N{NO-BREAK SPACE}†: noise L1 66.67 (35.38 to 97.95), n = 12"
    assert "L0: the rows that the degraded ones are set beside" in notes_of(panels)[0]
    assert (bins.groups, bins.runs[0].cell("80-90").value) == (("80-90",), pytest.approx(100 * 23 / 36))
    assert list(bins.references.values()) == [{"80-90": 85.0}]
    assert {"severity_degradation", "degree_degradation"} < set(drawn)
    # More runs than can be told apart have the table alone.
    assert "category_degradation" not in figures(6)


@pytest.mark.slow
def test_each_panel_has_its_own_marks() -> None:
    svg = themed_svgs([degraded_run().result])["category_degradation"]
    assert svg.count("noise L1 66.67") == 1 and svg.count("noise L2 25.00") == 1


def test_the_page_has_the_tables_and_leads_to_the_samples_of_a_degree() -> None:
    part = runs_json([degraded_run()])[0]["parts"][0]
    drop, calibration = part["tables"]
    assert (drop["title"], [head for head, _ in drop["heads"][:2]]) == ("Drop from L0", ["Group", "Degree"])
    assert [text for text, _ in drop["rows"][4]] == [
        "noise", "L2", "100.00", "25.00", "-75.00", "-100.00 to -46.26", "12", "12"
    ]  # fmt: skip
    assert calibration["notes"][0] == "36 of 36 replies (100.00%) state a confidence."
    assert part["findings"][0]["links"][1][:4] == ["severity", "L1", pytest.approx(200 / 3), 12]
    assert runs_json([perception_run()])[0]["parts"][0]["tables"] == []


@pytest.mark.slow
def test_the_workbook_has_a_sheet_and_a_curve(tmp_path: Path) -> None:
    write_workbook(tmp_path / "book.xlsx", degraded_run(tmp_path))
    book = load_workbook(tmp_path / "book.xlsx")
    rows = [[cell.value for cell in row] for row in book["Degradation"].iter_rows()]
    assert rows[2][:4] == ["Overall", "Overall", "L1", 100]
    assert ["stated confidence", "80-90%"] in [row[:2] for row in rows]
    line = [chart for chart in book["Charts"]._charts if type(chart).__name__ == "LineChart"]
    assert len(line) == 1
