"""The workbook of many runs: places, matrices, findings and settings side by side."""

from __future__ import annotations

import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas
import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.workbook import write_many
from medqbench_vlmeval.types import Run
from tests.make import choice, combined_run, make_run, perception_run, reasoning_run
from tests.report.books import is_text_and_numbers

HOSTILE = "=HYPERLINK(1)\x00\ud800_x0041_\x1b[31m"


def share(model: str, right: int, of: int = 10, **changes: Any) -> Run:
    """A comparable run with so many questions right."""
    rows = [choice(str(n), n < right, **changes.pop("axes", {})) for n in range(of)]
    return make_run(rows, model=model, **{"comparable": True, **changes})


def written(folder: Path, *runs: Run) -> Path:
    path = folder / "runs_report.xlsx"
    write_many(path, [run.result for run in runs])
    return path


def rows(path: Path, sheet: str) -> list[list[Any]]:
    return [list(row) for row in load_workbook(path)[sheet].iter_rows(values_only=True)]


def test_runs_are_ranked_among_the_published_rows(tmp_path: Path) -> None:
    path = written(tmp_path, share("Low", 1), share("High", 9), share("Apart", 10, comparable=False))
    lines = [row for row in rows(path, "Overview") if row[2] in ("this run", "published")]
    # Grok-4 and Qwen2.5-VL-72B have 63.14 both.
    assert [row[0] for row in lines] == [1, 2, 3, 4, 5, 5, *range(7, len(lines)), None]
    assert [row[1] for row in lines[:3]] == ["High", "Human expert", "GPT-5"]
    assert [row[1] for row in lines[-2:]] == ["Low", "Apart"]
    assert [row[12] for row in lines[-3:]] == ["reference", "yes", "no"]
    (why,) = [row[0] for row in rows(path, "Overview") if str(row[0]).startswith("Not comparable")]
    assert why == "Not comparable with the published rows: made for a test (Apart)"
    # Wilson for 9 of 10: 59.58 to 98.21.
    assert lines[0][4:10] == [90, pytest.approx(59.58, abs=0.005), pytest.approx(98.21, abs=0.005), None, 90, None]
    sheet = load_workbook(path)["Overview"]
    fills = {row[1].value: row[1].fill.fgColor.rgb for row in sheet.iter_rows() if row[1].value}
    assert (fills["High"], fills["Human expert"]) == ("FFE8F0FA", "FFFBF0E6")
    assert any("human experts' Overall: 82.50" in str(row[0]) for row in rows(path, "Overview"))


def test_each_run_has_its_colour_in_the_chart_of_a_task(tmp_path: Path) -> None:
    path = written(tmp_path, share("First", 1), share("Second", 9))
    with zipfile.ZipFile(path) as packed:
        (chart,) = [packed.read(name).decode() for name in packed.namelist() if name.startswith("xl/charts/chart")]
    points = re.findall(r'<c:dPt><c:idx val="(\d+)"/>.*?srgbClr val="(\w+)"', chart)
    colours = {name: colour for name, (_, colour) in zip(groups(path), points, strict=True)}
    # Okabe and Ito's first two for the runs in the order in which they were given, grey for the published rows.
    assert (colours["First"], colours["Second"]) == ("0072B2", "E69F00")
    assert (colours["GPT-5"], colours["Human expert"]) == ("BFBFBF", "7F7F7F")


def groups(path: Path) -> list[str]:
    """The names of the bars of the first chart, as its data has them."""
    lines = rows(path, "Chart data")
    head = next(at for at, row in enumerate(lines) if row[0] == "Group")
    return list(itertools.takewhile(bool, (row[0] for row in lines[head + 1 :])))


def test_runs_of_other_samples_and_settings_are_pointed_out(tmp_path: Path) -> None:
    text = str(rows(written(tmp_path, share("A", 5), share("B", 4, of=4, dataset="Other")), "Overview"))
    assert "These runs did not answer the same samples (2 different sets, of 4, 10 samples; datasets" in text
    text = str(rows(written(tmp_path, reasoning_run(judge="rules"), reasoning_run(judge="gpt-4o")), "Overview"))
    assert "These runs have different judges: rules, gpt-4o." in text
    assert "did not answer" not in text


def test_runs_by_modality_type_and_severity(tmp_path: Path) -> None:
    first = make_run([choice("1", modality="MRI"), choice("2", False, modality="CT")], model="A")
    fundus = [choice(f"f{n}", n > 1, modality="Fundus") for n in range(10)]
    second = make_run([choice("1", modality="MRI"), *fundus], model="B", comparable=True)
    path = written(tmp_path, first, second)
    lines = rows(path, "Perception")
    at = next(place for place, row in enumerate(lines) if str(row[0]).endswith("run x modality, accuracy, %"))
    # B is comparable and so comes first; the columns are in the order in which runs have them.
    assert lines[at + 1][:6] == ["Run", "Comparable", "MRI", "Fundus", "CT", "All"]
    assert lines[at + 2][:11] == ["B", "yes", 100, 80, None, pytest.approx(900 / 11), None, 1, 10, None, 11]
    assert lines[at + 3][:11] == ["A", "no", 100, None, 0, 50, None, 1, None, 1, 2]
    titles = [str(row[0]).partition(": ")[2] for row in lines if str(row[0]).startswith("Perception: ")]
    assert titles == ["run x modality, accuracy, %", "run x question type, accuracy, %"]
    sheet = load_workbook(path)["Perception"]
    assert f"C{at + 3}:F{at + 4}" in {str(area.sqref) for area in sheet.conditional_formatting}
    assert sheet.cell(at + 3, 3).font.i  # MRI: one sample
    assert not sheet.cell(at + 3, 4).font.i  # Fundus: ten


def test_all_figures_come_back_from_pandas(tmp_path: Path) -> None:
    path = written(tmp_path, perception_run(), reasoning_run())
    lines = pandas.read_excel(path, sheet_name="All figures", keep_default_na=False)
    keys = ["Task", "Axis", "Group", "Measure"]
    figures = lines.set_index(keys)[["Value", "n", "Few"]]
    assert figures.loc[("Perception", "severity", "mild", "Overall")].tolist() == [50, 2, "n < 10"]
    assert figures.loc[("Reasoning, no-reference", "all", "All", "Completeness")].tolist() == [1.5, 2, "n < 10"]
    # Overall, modalities, question types and severities; five measures of all and of Fundus.
    assert len(lines) == 1 + 2 + 3 + 2 + 5 + 5


def test_settings_in_which_runs_differ_are_coloured(tmp_path: Path) -> None:
    settings = {"prompt_style": "short", "created": "2026-11-23T10:00:00+00:00"}
    path = written(tmp_path, perception_run(), perception_run(model="B", settings=settings))
    sheet = load_workbook(path)["Settings"]
    by_name = {row[0].value: row for row in sheet.iter_rows()}
    assert [cell.value for cell in by_name["prompt.style"]] == ["prompt.style", "yes", "official", "short"]
    assert by_name["prompt.style"][3].fill.fgColor.rgb == "FFFFF6DC"
    # Each run has a name and a date of its own.
    assert [by_name[name][1].value for name in ("model", "created", "dataset")] == [None] * 3


def test_findings_stand_side_by_side(tmp_path: Path) -> None:
    axes = {"axes": {"severity": "mild"}}
    sheet = load_workbook(written(tmp_path, share("A", 5, **axes), share("B", 3)))["Findings"]
    lines = [[cell.value for cell in row] for row in sheet.iter_rows()]
    labels = next(row for row in lines if "A" in row)
    assert labels[2:] == ["A", None, None, "B", None, None]
    assert "C5:E5" in {str(merged) for merged in sheet.merged_cells.ranges}
    gap = next(row for row in lines if row[0] == "Gap to human experts")
    # 50 - 82.5 and 30 - 82.5.
    assert [gap[1], gap[2], gap[5]] == ["points", -32.5, -52.5]
    assert ["Modality gap", None, "absent", None, None, "absent", None, None] in lines


def test_runs_of_both_kinds_with_hostile_names_are_texts_and_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, perception_run(model=HOSTILE), perception_run(model="<r>x</r>"), combined_run(model="@a"))
    sheets = ["Overview", "Charts", "Perception", "No-reference", "Comparative", "Findings", "All figures"]
    sheets += ["Chart data", "Settings"]
    assert load_workbook(path).sheetnames == sheets
    assert is_text_and_numbers(path)


@pytest.mark.parametrize("n", [0, 501])
def test_no_runs_and_too_many_are_refused(tmp_path: Path, n: int) -> None:
    with pytest.raises(BadInput, match="name at"):
        write_many(tmp_path / "x.xlsx", [perception_run().result] * n)
