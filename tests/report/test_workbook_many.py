"""The workbook of many runs: places, matrices, findings and settings side by side."""

from __future__ import annotations

import copy
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas
import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.workbook import write_many
from tests.report.examples import combined_score, perception_score, reasoning_score

HOSTILE = "=HYPERLINK(1)\x00\ud800_x0041_\x1b[31m"


def perception(model: str, overall: float, **changes: Any) -> dict[str, Any]:
    return perception_score(model, Overall=overall, comparable=True, not_comparable_because=[], **changes)


def written(folder: Path, *scores: dict[str, Any]) -> Path:
    path = folder / "runs_report.xlsx"
    write_many(path, scores)
    return path


def rows(path: Path, sheet: str) -> list[list[Any]]:
    return [list(row) for row in load_workbook(path)[sheet].iter_rows(values_only=True)]


def test_sheets_of_runs_of_both_kinds(tmp_path: Path) -> None:
    found = load_workbook(written(tmp_path, perception("A", 60), combined_score("A"), combined_score("B")))
    assert found.sheetnames == [
        "Overview",
        "Charts",
        "Perception",
        "No-reference",
        "Comparative",
        "All figures",
        "Chart data",
        "Settings",
    ]


def test_runs_are_ranked_among_the_published_rows(tmp_path: Path) -> None:
    path = written(tmp_path, perception("Low", 10), perception("High", 90), perception_score("Apart", Overall=95))
    found = [row for row in rows(path, "Overview") if row[2] in ("this run", "published")]
    assert [row[0] for row in found] == [*range(1, len(found)), None]
    assert [row[1] for row in found[:3]] == ["High", "Human expert", "GPT-5"]
    assert [row[1] for row in found[-2:]] == ["Low", "Apart"]
    assert [row[12] for row in found[-3:]] == ["reference", "yes", "no"]
    assert found[-1][13] == "embedded set"
    assert found[0][4:10] == [90, 23.07, 88.24, 100, 50, 0]
    sheet = load_workbook(path)["Overview"]
    fills = {row[1].value: row[1].fill.fgColor.rgb for row in sheet.iter_rows() if row[1].value}
    assert (fills["High"], fills["Human expert"]) == ("00DDEBF7", "00FCE4D6")
    assert any("human experts' Overall: 82.50" in str(row[0]) for row in rows(path, "Overview"))


def test_runs_of_other_samples_and_settings_are_pointed_out(tmp_path: Path) -> None:
    other = perception("B", 70, n=4, dataset="MedQBench_Perception_dev")
    other["settings"]["data"]["perception"]["samples_sha256"] = "ee" * 32
    text = str(rows(written(tmp_path, perception("A", 60), other), "Overview"))
    assert "These runs did not answer the same samples (2 different sets, of 4, 5 samples; datasets" in text
    judged = reasoning_score(model="B")
    judged["settings"]["judge"] = {"name": "gpt-4o"}
    text = str(rows(written(tmp_path, reasoning_score(model="A"), judged), "Overview"))
    assert "These runs have different judges: rules, gpt-4o." in text
    assert "did not answer" not in text


def test_runs_by_modality_type_and_severity(tmp_path: Path) -> None:
    other = perception("B", 70)
    other["groups"]["modality"] = {"MRI": other["groups"]["modality"]["MRI"], "Fundus": {"accuracy": 80.0, "n": 20}}
    path = written(tmp_path, perception_score("A"), other)
    found = rows(path, "Perception")
    at = next(place for place, row in enumerate(found) if str(row[0]).endswith("run x modality, accuracy, %"))
    # B is comparable and so comes first; the columns are in the order in which runs have them.
    assert found[at + 1][:6] == ["Run", "Comparable", "MRI", "Fundus", "CT", "All"]
    assert found[at + 2][:11] == ["B", "yes", 50, 80, None, 70, None, 2, 20, None, 5]
    assert found[at + 3][:11] == ["A", "no", 50, None, 200 / 3, 60, None, 2, None, 3, 5]
    titles = [str(row[0]).partition(": ")[2] for row in found if str(row[0]).startswith("Perception: ")]
    assert titles == [
        "run x modality, accuracy, %",
        "run x question type, accuracy, %",
        "run x severity, accuracy, %",
    ]
    sheet = load_workbook(path)["Perception"]
    assert f"C{at + 3}:F{at + 4}" in {str(one.sqref) for one in sheet.conditional_formatting}
    assert sheet.cell(at + 3, 3).font.i  # MRI: two samples
    assert not sheet.cell(at + 3, 4).font.i  # Fundus: twenty


def test_all_figures_come_back_from_pandas(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score("A"), reasoning_score(model="A"))
    found = pandas.read_excel(path, sheet_name="All figures", keep_default_na=False)
    keys = ["Task", "Axis", "Group", "Measure"]
    figures = found.set_index(keys)[["Value", "95% low", "95% high", "n", "Few"]]
    assert figures.loc[("Perception", "severity", "mild", "Overall")].tolist() == [50, 9.45, 90.55, 2, "n < 10"]
    judged = figures.loc[("Reasoning, no-reference", "all", "All", "Completeness")].tolist()
    assert judged == [1.5, 0.52, 2.48, 2, "n < 10"]
    assert len(found) == 1 + 3 + 2 + 2 + 5 + 5


def finding(value: float, low: float, high: float, unit: str = "points") -> dict[str, Any]:
    words = {"title": "Modality gap", "statement": f"=CT is {value} above MRI.", "unit": unit}
    return {**words, "value": value, "low": low, "high": high, "n": 40, "few": False, "method": "m"}


def test_findings_stand_side_by_side(tmp_path: Path) -> None:
    first = perception("A", 70, findings={"modality_gap": finding(5.0, -1.0, 11.0), "not_found": {}})
    second = perception("B", 60, findings={"not_found": {"modality_gap": "one modality", "yes_bias": "no question"}})
    path = written(tmp_path, first, second, perception("C", 50))
    found = rows(path, "Findings")
    at = found.index(["Finding", "Unit", *["value", "95% low", "95% high"] * 3])
    assert found[at - 1] == [None, None, "A", None, None, "B", None, None, "C", None, None]
    assert found[at + 1] == ["Modality gap", "points", 5, -1, 11, "absent", None, None, None, None, None]
    assert found[at + 2][:6] == ["Yes bias", None, None, None, None, "absent"]
    words = rows(path, "Findings in words")[1:]
    assert words[0] == ["Perception", "Modality gap", "A", "=CT is 5.0 above MRI.", 40, None]
    assert [row[2:4] for row in words[1:]] == [["B", "not found: one modality"], ["B", "not found: no question"]]


def test_settings_that_differ_are_highlighted(tmp_path: Path) -> None:
    first, second = perception("A", 60), perception("B", 60)
    second["settings"]["versions"]["kit"] = "ms-vlmeval 0.0.21"
    second["settings"]["created"] = "2026-11-23T10:00:00+00:00"
    second["settings"]["data"]["perception"]["revision"] = "f" * 40
    path = written(tmp_path, first, second)
    found = {row[0]: row[1:4] for row in rows(path, "Settings")}
    assert found["Setting"] == ["Differs", "A", "B"]
    assert found["versions.kit"] == ["yes", "ms-vlmeval 0.0.20", "ms-vlmeval 0.0.21"]
    assert found["data.perception.revision"] == ["yes", None, "f" * 40]
    assert found["versions.python"] == [None, "3.11.9", "3.11.9"]
    assert found["created"][0] is None  # every run has its own
    assert found["comparable"] == [None, "yes", "yes"]
    sheet = load_workbook(path)["Settings"]
    fills = {row[0].value: [cell.fill.fgColor.rgb for cell in row[2:4]] for row in sheet.iter_rows(min_row=5)}
    assert fills["versions.kit"] == ["00FFE699"] * 2
    assert fills["versions.python"] == ["00000000"] * 2


def test_a_run_without_a_task_does_not_differ_in_its_data(tmp_path: Path) -> None:
    alone = reasoning_score(model="Alone")
    alone["settings"]["data"] = {"no-reference": {"sha256": "77" * 32, "n": 3}}
    found = {row[0]: row[1] for row in rows(written(tmp_path, combined_score("Both"), alone), "Settings")}
    assert found["data.no-reference.sha256"] == "yes"
    assert found["data.comparative.sha256"] is None


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = rows(written(tmp_path, perception("A", 60), perception("A", 70, dataset="x")), "Perception")
    labels = [row[0] for row in found if row[1] == "yes"]
    assert len(set(labels)) == 2
    assert all(label.startswith("A") for label in labels)


def charts(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as packed:
        return [packed.read(name).decode() for name in packed.namelist() if name.startswith("xl/charts/chart")]


def test_charts_show_eight_runs_and_say_so(tmp_path: Path) -> None:
    scores = [perception(f"M{number}", number) for number in range(1, 11)]
    for score in scores:
        score["groups"]["modality"]["Fundus"] = score["groups"]["modality"]["CT"]
    path = written(tmp_path, *scores)
    found = charts(path)
    assert sum("radarChart" in chart for chart in found) == 1
    assert sum("(the first 8 of 10 runs)" in chart for chart in found) == 3
    beside = next(chart for chart in found if "lineChart" in chart and "barChart" in chart)
    assert "errBars" in beside
    sheet = rows(path, "Chart data")
    heads = next(row for row in sheet if "level of human experts" in row)
    assert {row[heads.index("level of human experts")] for row in sheet if row[0] in ("M10", "GPT-5")} == {82.5}
    (by_type,) = (place for place, row in enumerate(sheet) if str(row[0]).startswith("Perception: by question type"))
    assert sheet[by_type + 1][:9] == ["Group", *(f"M{number}" for number in range(10, 2, -1))]


def test_hostile_names_and_settings_stay_text(tmp_path: Path) -> None:
    first = perception_score(
        HOSTILE, dataset="@x", not_comparable_because=["=1+1"], findings={HOSTILE: finding(1, 0, 2)}
    )
    first["settings"]["prompt"]["style"] = "=" + "y" * 40_000
    first["groups"]["modality"]["=CT\ud800"] = first["groups"]["modality"].pop("CT")
    first["settings"][HOSTILE] = "-1"
    path = written(tmp_path, first, perception("=1+1", 50), reasoning_score(model="+1"))
    book = load_workbook(path)
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n"}
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(packed.read(name))  # noqa: S314
            if name.startswith("xl/worksheets/sheet"):
                assert not re.search(rb"<f[ >]", packed.read(name))
    long = [cell for row in rows(path, "Settings") for cell in row if len(str(cell)) > 1000]
    assert [cell.partition(" … ")[2] for cell in long] == [
        "[cut: 40,001 characters in all, whole text in the runs' _score.json]"
    ]


def test_results_of_other_shapes_are_no_crash(tmp_path: Path) -> None:
    bare: dict[str, Any] = {"task": "perception", "model": None, "settings": None, "groups": {"modality": {"CT": 1}}}
    odd = perception_score(findings={"a": 1, "b": {"statement": "Said.", "value": "x"}}, intervals=3)
    path = written(tmp_path, bare, odd, {"task": "comparative"})
    assert "Findings" in load_workbook(path).sheetnames


@pytest.mark.parametrize(
    "scores", [[], [{}], [{"task": "perception"}, {"task": "other"}], [{"task": "perception"}] * 501]
)
def test_what_cannot_be_reported_is_refused(tmp_path: Path, scores: list[dict[str, Any]]) -> None:
    with pytest.raises(BadInput):
        write_many(tmp_path / "x.xlsx", scores)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailed, match="cannot be written"):
        written(tmp_path / "file", perception_score())


def test_twenty_models_on_three_tasks_are_all_there(tmp_path: Path) -> None:
    groups = {f"g{number}": {"accuracy": 50.0, "low": 40.0, "high": 60.0, "n": 100} for number in range(20)}
    findings = {f"f{number}": finding(1.0, 0.0, 2.0) for number in range(12)}
    scores = []
    for number in range(20):
        score = copy.deepcopy(perception(f"M{number}", number, findings=findings))
        score["groups"] |= {"modality": groups, "severity": groups, "source": groups}
        scores += [score, combined_score(f"M{number}")]
    path = written(tmp_path, *scores)
    shown = {str(cell) for row in rows(path, "Overview") for cell in row}
    assert {f"M{number}" for number in range(20)} <= shown
