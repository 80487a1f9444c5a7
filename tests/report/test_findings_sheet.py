"""The sheet 'Findings' and the terminal's sentences, from constructed results; names and texts are data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.finding_tables import add_findings
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.terminal import findings_lines
from medqbench_vlmeval.runs.result import parts_of
from medqbench_vlmeval.runs.schema import findings_to_json
from tests.report.examples import combined_score, perception_score
from tests.scoring.finding_data import FIRST, SECOND, described, level, perception, question, reasoning

HOSTILE = "=HYPERLINK(1)\x1b[31m"
LEVELS = {"A": "None", "B": "Mild", "C": "Severe"}


def score() -> dict[str, Any]:
    rows = [question(at < 5, source=HOSTILE, severity="mild") for at in range(10)]
    rows += [question(at < 9, source="authentic", severity="none") for at in range(10)]
    rows += [question(True, LEVELS, "B", "BC"[at % 2], question_type="How") for at in range(12)]
    return perception_score(findings=findings_to_json(perception(rows)))


def written(folder: Path, result: dict[str, Any]) -> Any:
    book = Book("x_samples.jsonl")
    book.add("Other")
    add_findings(book, parts_of(result))
    book.save(folder / "x_report.xlsx")
    return load_workbook(folder / "x_report.xlsx")


def lines(sheet: Any) -> list[list[Any]]:
    return [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]


def test_each_finding_is_a_line_with_its_interval_and_count(tmp_path: Path) -> None:
    result = score()
    sheet = written(tmp_path, result)["Findings"]
    rows = {row[1].value: row for row in sheet.iter_rows(min_row=3, max_row=14)}
    found = result["findings"]["severity_profile"]
    cells = [cell.value for cell in rows["Severity profile"]]
    assert cells[:2] == ["Perception", "Severity profile"]
    assert cells[2] == found["statement"]
    assert cells[3:8] == [found["value"], found["low"], found["high"], "points", 20]
    assert rows["Severity profile"][3].number_format == "0.00"
    absent = ["Perception", "modality gap", "not found: the data does not say the modality"]
    assert absent in lines(sheet)


def test_the_confusion_matrix_is_coloured(tmp_path: Path) -> None:
    sheet = written(tmp_path, score())["Findings"]
    found = lines(sheet)
    at = found.index(["Right level (severity)", "Chosen:", "mild", "severe"])
    assert found[at + 1] == ["mild", 6, 6]
    assert found[at + 3][:2] == ["mild taken for severe", 50.0]
    coloured = {str(found.sqref) for found in sheet.conditional_formatting}
    assert coloured == {f"D{at + 2}", f"E{at + 2}"}
    assert any(row[:1] == ["Total variation distance"] for row in found)


def test_hostile_names_are_texts(tmp_path: Path) -> None:
    sheet = written(tmp_path, score())["Findings"]
    names = [cell for row in sheet.iter_rows() for cell in row if str(cell.value).startswith("=HYPERLINK")]
    assert names
    assert {cell.data_type for cell in names} == {"s"}
    assert all("\x1b" not in str(cell.value) and cell.quotePrefix for cell in names)


def test_lines_for_the_terminal() -> None:
    result = score()
    found = findings_lines(parts_of(result)[0])
    assert f"Severity profile: {result['findings']['severity_profile']['statement']}" in found
    assert found[-1].startswith("Not found: modality gap (the data does not say the modality); ")
    result["findings"]["severity_profile"]["few"] = True
    assert findings_lines(parts_of(result)[0])[1].endswith("(few samples)")


def test_both_reasoning_tasks_stand_in_one_sheet(tmp_path: Path) -> None:
    result = combined_score()
    alone = [described(at % 3, level("usable")) for at in range(12)]
    pairs = [described(at % 2, FIRST, (FIRST, SECOND)[at % 2], task=Task.COMPARATIVE) for at in range(12)]
    for part, rows in (("NoReference", alone), ("Comparative", pairs)):
        result[part]["findings"] = findings_to_json(reasoning(rows))
    sheet = written(tmp_path, result)["Findings"]
    found = lines(sheet)
    assert ["Reasoning, no-reference", "Weakest dimension"] in [row[:2] for row in found]
    assert ["Reasoning, comparative", "Position bias in pairs"] in [row[:2] for row in found]
    assert ["Right where the second image is better", 0, 0] in [row[:3] for row in found]


def test_a_result_without_findings_has_no_sheet_and_no_lines(tmp_path: Path) -> None:
    for found in ({}, {"findings": {"not_found": {}}}, {"findings": "x"}, {"findings": {"a": 1, "not_found": []}}):
        result = perception_score(**found)
        assert "Findings" not in written(tmp_path, result).sheetnames
        assert findings_lines(parts_of(result)[0]) == []


def test_a_result_of_other_shape_is_no_crash(tmp_path: Path) -> None:
    details: dict[str, Any] = {
        "groups": {"a": 1},
        "scales": {"x": {"b": 2}},
        "mistakes": [3, {}],
        "by_options": {"AB": None},
    }
    details["kinds"] = {"k": 1}
    result = perception_score(findings={"a_b": {"statement": "Said.", "value": "x", "details": details}})
    assert ["Perception", "a b", "Said."] in lines(written(tmp_path, result)["Findings"])
