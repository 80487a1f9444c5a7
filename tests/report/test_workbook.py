"""The workbook: what stands in which cell, and that no text of a model becomes anything but text."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas
import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report import sheet as cells
from medqbench_vlmeval.report import write_workbook
from tests.report.examples import (
    combined_score,
    perception_samples,
    perception_score,
    reasoning_samples,
    reasoning_score,
)

NAME = "Model-X_MedQBench_Perception_mini"


def written(folder: Path, score: dict[str, Any], samples: list[dict[str, Any]]) -> Path:
    path = folder / f"{NAME}_report.xlsx"
    write_workbook(path, score, samples)
    return path


def table(path: Path, sheet: str) -> pandas.DataFrame:
    return pandas.read_excel(path, sheet_name=sheet, keep_default_na=False, dtype=object)


def lines(path: Path, sheet: str) -> list[list[Any]]:
    return [
        [cell for cell in row if cell is not None] for row in load_workbook(path)[sheet].iter_rows(values_only=True)
    ]


def test_sheets_of_a_perception_run(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score(), perception_samples())
    assert load_workbook(path).sheetnames == [
        "Overview",
        "Charts",
        "Matrices",
        "By modality",
        "By group",
        "CT",
        "MRI",
        "Samples",
        "Chart data",
        "Settings",
    ]


def test_overview_of_a_perception_run(tmp_path: Path) -> None:
    found = lines(written(tmp_path, perception_score(), perception_samples()), "Overview")
    assert found[1] == ["NOT COMPARABLE with the published rows: embedded set"]
    assert ["Overall", 60, 23.07, 88.24, 5] in found
    assert ["Yes-or-No", 100, 34.24, 100, 2] in found
    assert ["How", 0, 0, 79.35, 1] in found
    assert ["Unanswered (counted as wrong)", 1] in found
    assert ["Dataset", "MedQBench_Perception_mini"] in found
    assert ["Date", "2026-11-22T10:00:00+00:00"] in found
    assert ["Human expert", "published", "human", 82.5, "reference", "project README"] in found
    assert ["Model-X", "this run", 100, 50, 0, 60, "no"] in found
    # It is not comparable, so it stands below the last published row and not between 60.08 and 59.31.
    models = [line[0] for line in found if len(line) > 4]
    assert models[models.index("Model-X") - 1] == "Qwen2.5-VL-7B"
    assert models[-1] == "Model-X"


def test_each_reason_has_its_line(tmp_path: Path) -> None:
    score = perception_score(not_comparable_because=["embedded set", "own prompt"])
    found = lines(written(tmp_path, score, []), "Overview")
    assert found[1:4] == [["NOT COMPARABLE with the published rows:"], ["   • embedded set"], ["   • own prompt"]]


def test_a_comparable_run_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score(comparable=True, not_comparable_because=[]), [])
    assert lines(path, "Overview")[1] == ["Comparable with the published rows."]
    assert set(table(path, "By modality")["Comparable with published"]) == {"yes"}


def test_a_baseline_is_marked(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score("MedQ-Chance", baseline=True), perception_samples())
    found = lines(path, "Overview")
    assert found[1][0].startswith("BASELINE")
    assert ["MedQ-Chance", "this run, baseline", 100, 50, 0, 60, "no"] in found
    assert set(table(path, "By modality")["Run"]) == {"baseline"}


def test_by_modality_of_a_perception_run(tmp_path: Path) -> None:
    found = table(written(tmp_path, perception_score(), perception_samples()), "By modality").set_index("Modality")
    assert list(found.index) == ["CT", "MRI", "All"]
    assert found.loc["CT", ["Overall", "Overall n", "What", "How n"]].tolist() == [pytest.approx(200 / 3), 3, 100, 1]
    assert found.loc["MRI", "How"] == ""  # no such question: empty, not 0
    assert found.loc["All", ["Overall", "Overall low", "Yes-or-No", "What", "How"]].tolist() == [60, 23.07, 100, 50, 0]


def test_modality_sheet_counts_severities_from_the_rows(tmp_path: Path) -> None:
    found = lines(written(tmp_path, perception_score(), perception_samples()), "CT")
    assert ["Question type", "How", 0, 0, 79.35, 1, 0, 1, "n < 10"] in found
    # CT has one mild row (right) and two severe ones (one right, one unanswered).
    mild, severe = (line for line in found if line and line[0] == "Severity")
    assert (mild[1:3], mild[5:8]) == (["mild", 100], [1, 1, 0])
    assert (severe[1:3], severe[5:8]) == (["severe", 50], [2, 1, 1])
    # Wilson for 1 of 2: centre (0.5 + 1.9207/2) / (1 + 3.8415/2) = 0.5, half 0.4055: 9.45 to 90.55.
    assert severe[3:5] == [pytest.approx(9.45, abs=0.005), pytest.approx(90.55, abs=0.005)]
    heads = next(position for position, line in enumerate(found) if line and line[0] == "index")
    assert [line[0] for line in found[heads + 1 :]] == ["1", "3", "5"]
    assert found[heads + 3] == ["5", "How", "severe", "5.png", "B", "no", "none", "Question 5?", "I cannot tell."]


def test_modality_sheet_takes_what_the_result_has(tmp_path: Path) -> None:
    score = perception_score()
    cell = {"accuracy": 75.0, "low": 42.8, "high": 93.3, "n": 12, "n_correct": 9, "n_unanswered": 0, "few": False}
    score["groups"]["modality_x_severity"] = {"CT": {"mild": cell}}
    path = written(tmp_path, score, perception_samples())
    assert ["Severity", "mild", 75, 42.8, 93.3, 12, 9, 0] in lines(path, "CT")
    assert [line[1] for line in lines(path, "CT") if line and line[0] == "Severity"] == ["mild"]
    # MRI has no such group in the result: its rows are counted.
    assert [line[1] for line in lines(path, "MRI") if line and line[0] == "Severity"] == ["mild", "severe"]


def test_cells_of_few_samples_are_grey_and_named(tmp_path: Path) -> None:
    score = perception_score()
    score["groups"]["modality"]["CT"] |= {"n": 10, "few": False}
    book = load_workbook(written(tmp_path, score, []))
    sheet = book["By modality"]
    few = [cell.value for cell in sheet[1]].index("Few") + 1
    assert sheet.cell(2, few).value == "n < 10: Yes-or-No, What, How"
    assert sheet.cell(3, few).value == "n < 10: Overall, Yes-or-No, What"
    fonts = {(row, column): sheet.cell(row, column).font for row in (2, 3) for column in (2, 6)}
    assert [fonts[at].i for at in ((2, 2), (2, 6), (3, 2), (3, 6))] == [False, True, True, True]
    assert (fonts[3, 2].color.rgb, fonts[2, 2].color.rgb) == ("00595959", "00000000")
    first = next(row for row in book["Overview"].iter_rows() if row[0].value == "Overall")
    assert [cell.font.i for cell in first[:5]] == [False, True, True, True, True]
    assert any("fewer than 10 samples" in str(line) for line in lines(tmp_path / f"{NAME}_report.xlsx", "Overview"))


def test_reasoning_cells_have_overalls_interval(tmp_path: Path) -> None:
    score = reasoning_score()
    cell = score["groups"]["modality"]["Fundus"]
    cell |= {"intervals": {"Overall": [2.5, 8.0]}, "few": False, "n": 12, "n_scored": 12, "n_unscored": 0}
    score["groups"]["severity"] = {"mild": cell, "severe": {**cell, "intervals": {"Overall": None}}}
    path = written(tmp_path, score, reasoning_samples())
    heads = ["Overall", "Overall low", "Overall high", "Scored", "Few"]
    assert table(path, "By modality").set_index("Modality").loc["Fundus", heads].tolist() == [5.5, 2.5, 8, 12, ""]
    assert table(path, "By modality").set_index("Modality").loc["All", heads].tolist() == [5.5, 2.56, 8.44, 2, "n < 10"]
    by_group = table(path, "By group").set_index("Group")
    assert by_group.loc["severe", heads].tolist() == [5.5, "", "", 12, ""]
    assert ["All samples", "All", 1.5, 1, 2, 1, 5.5, 2.5, 8, 12, 12, 0] in lines(path, "Fundus")


def test_rows_of_a_sheet_that_modalities_share_get_their_interval_by_image(tmp_path: Path) -> None:
    rows = [
        {**reasoning_samples()[n % 2], "modality": f"m{n}", "index": str(n), "images": [str(n // 4)]} for n in range(50)
    ]
    found = lines(written(tmp_path, reasoning_score(groups={}), rows), "Other modalities")
    (whole,) = (line for line in found if line and line[0] == "All samples")
    # The eleven samples from 39 on, sums 4 and 7 in turn, on four images; that the ends lie around the mean is enough.
    assert whole[7] < whole[6] < whole[8]
    assert whole[9:11] == [11, 11]


def test_what_shared_images_do_stands_in_the_overview(tmp_path: Path) -> None:
    score = perception_score()
    score["intervals"]["clustered"] = {"Overall": [10.0, 95.5], "n_clusters": 7}
    path = written(tmp_path, score, [])
    assert ["Overall, clustered (n: clusters)", 60, 10, 95.5, 7] in lines(path, "Overview")


def test_what_has_a_sheet_of_its_own_is_no_setting(tmp_path: Path) -> None:
    finding = {"statement": "Said.", "value": 1.0, "unit": "points", "details": {"groups": {"CT": {"n": 20}}}}
    path = written(tmp_path, perception_score(findings={"modality_gap": finding, "not_found": {"x": "y"}}), [])
    assert "Findings" in load_workbook(path).sheetnames
    assert not any(line and "finding" in str(line[0]) for line in lines(path, "Settings"))


def test_sheets_of_a_combined_run(tmp_path: Path) -> None:
    samples = reasoning_samples(prefix="NoReference_") + reasoning_samples("comparative", "Comparative_")
    path = written(tmp_path, combined_score(), samples)
    sheets = ["Overview", "Charts", "Matrices", "By modality", "Fundus", "Samples", "Chart data", "Settings"]
    assert load_workbook(path).sheetnames == sheets
    overview = lines(path, "Overview")
    assert ["Overall (0-8)", 5.5, 2.56, 8.44, 2] in overview
    assert ["Quality Accuracy", 1, 2, 1, 0, 1] in overview  # no interval known; 2 scored: one 0, no 1, one 2
    assert ["Unscored: completeness: no verdict in the reply", 1] in overview
    assert [line[0] for line in overview if line].count("GPT-5") == 2
    by_modality = table(path, "By modality")
    assert by_modality["Task"].tolist() == ["Reasoning, no-reference"] * 2 + ["Reasoning, comparative"] * 2
    assert by_modality["Scored"].tolist() == [2, 2, 2, 2]
    rows = table(path, "Samples")
    assert rows["index"].tolist() == [f"{part}_{n}" for part in ("NoReference", "Comparative") for n in (1, 2, 3)]
    assert rows["Sum"].tolist() == [7, 4, "", 7, 4, ""]


def test_a_combined_run_with_one_part_only(tmp_path: Path) -> None:
    score = combined_score()
    del score["Comparative"]
    path = written(tmp_path, score, reasoning_samples())
    assert ["Reasoning, no-reference"] in lines(path, "Overview")
    assert ["Reasoning, comparative"] not in lines(path, "Overview")


def test_number_formats(tmp_path: Path) -> None:
    perception = load_workbook(written(tmp_path, perception_score(), []))["By modality"]
    assert (perception["B2"].number_format, perception["E2"].number_format) == ("0.00", "#,##0")
    reasoning = load_workbook(written(tmp_path, reasoning_score(), []))["By modality"]
    assert (reasoning["C2"].number_format, reasoning["J2"].number_format) == ("0.000", "#,##0")


def test_tables_can_be_worked_with(tmp_path: Path) -> None:
    book = load_workbook(written(tmp_path, perception_score(), perception_samples()))
    samples, matrix = book["Samples"], book["By modality"]
    assert samples.auto_filter.ref == samples.dimensions
    assert (samples.freeze_panes, matrix.freeze_panes) == ("B2", "B2")
    assert samples.print_title_rows == "$1:$1"
    assert samples.page_setup.orientation == "landscape"
    scales = [str(found.sqref) for found in matrix.conditional_formatting]
    assert scales == ["B2:B4", "F2:F4", "J2:J4", "N2:N4"]
    assert "NOT COMPARABLE" in samples.oddFooter.left.text
    for sheet in book:
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToHeight) == ("landscape", 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage is (sheet.title != "Charts")
        assert sheet.print_title_rows or sheet.title == "Charts"


HOSTILE = {
    "formula": "=1+1",
    "command": "=cmd|'/C calc'!A0",
    "plus": "+cmd",
    "minus": "-2+3",
    "at": "@SUM(A1)",
    "error": "#N/A",
    "number": "007",
    "date": "2026-01-02",
    "boolean": "TRUE",
    "missing": "None",
    "right to left": "\u05d4\u05ea\u05e9\u05d5\u05d1\u05d4 \u202eB\u202c",
    "markup": "<script>alert(1)</script> & ]]>",
    "spaces": "  two before, two after  ",
    "emoji": "\U0001f9e0 B",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_model_text_stays_the_text_that_it_is(tmp_path: Path, name: str) -> None:
    samples = perception_samples()
    samples[0]["prediction"] = HOSTILE[name]
    path = written(tmp_path, perception_score(), samples)
    assert table(path, "Samples")["prediction"][0] == HOSTILE[name]
    column = table(path, "Samples").columns.get_loc("prediction") + 1
    cell = load_workbook(path)["Samples"].cell(2, column)
    assert (cell.value, cell.data_type) == (HOSTILE[name], "s")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x0bc\x1fd", "a\ufffdb\ufffdc\ufffdd"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("one\r\ntwo\rthree\nfour\tfive", "one\ntwo\nthree\nfour\tfive"),
        ("literal _x0041_", "literal _x005F_x0041_"),  # the format's own way to write these seven characters
    ],
)
def test_what_a_cell_cannot_hold_is_replaced_visibly(tmp_path: Path, text: str, shown: str) -> None:
    samples = perception_samples()
    samples[0]["prediction"] = text
    assert table(written(tmp_path, perception_score(), samples), "Samples")["prediction"][0] == shown


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("unit", ["x", "\U0001f9e0", "_x0041_", "x\x00"])
def test_a_long_reply_is_cut_and_says_so(tmp_path: Path, unit: str) -> None:
    text = unit * (40_000 // len(unit))
    samples = perception_samples()
    samples[0]["prediction"] = text
    found = table(written(tmp_path, perception_score(), samples), "Samples")["prediction"][0]
    assert found.endswith(f" … [cut: {len(text):,} characters in all, whole text in {NAME}_samples.jsonl]")
    assert utf16_units(found) <= 32_767
    assert utf16_units(found) > 16_000


def test_a_temporary_name_of_the_caller_does_not_end_up_in_the_notice(tmp_path: Path) -> None:
    samples = perception_samples()
    samples[0]["prediction"] = "x" * 40_000
    path = tmp_path / f".{NAME}_report.xlsx.abc123.tmp"
    write_workbook(path, perception_score(), samples)
    shown = load_workbook(path.rename(tmp_path / "renamed.xlsx"))["Samples"]["M2"].value
    assert shown.endswith(f"whole text in {NAME}_samples.jsonl]")


def test_a_reply_that_just_fits_is_whole(tmp_path: Path) -> None:
    samples = perception_samples()
    samples[0]["prediction"] = "y" * 32_767
    assert table(written(tmp_path, perception_score(), samples), "Samples")["prediction"][0] == "y" * 32_767


def test_no_cell_is_a_formula_or_an_error(tmp_path: Path) -> None:
    score = perception_score("=HYPERLINK(1)", dataset="@x", not_comparable_because=["=1+1"])
    samples = [
        {**row, **dict.fromkeys(("index", "question", "rule", "severity", "answer", "unscored"), "=1+1")}
        for row in perception_samples()
    ]
    samples[0] |= {"modality": "=A1", "options": {"A": "=1"}, "images": ["=2"], "extracted": "#REF!"}
    path = written(tmp_path, score, samples)
    kinds = {cell.data_type for sheet in load_workbook(path) for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n"}
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(packed.read(name))  # noqa: S314
            if name.startswith("xl/worksheets/sheet"):
                assert not re.search(rb"<f[ >]", packed.read(name))


def test_modalities_that_are_bad_sheet_names(tmp_path: Path) -> None:
    names = [
        "Samples",
        "ct",
        "CT",
        "a/b\\c:d*e?f[g]h",
        "'quoted'",
        "m" * 40,
        "m" * 50,
        "History",
        "\U0001f9e0" * 20,
        "\x00",
    ]
    samples = [{**perception_samples()[0], "modality": name, "index": str(n)} for n, name in enumerate(names)]
    samples.append({**samples[0], "modality": None, "index": "none"})
    book = load_workbook(written(tmp_path, perception_score(groups={}), samples))
    assert book.sheetnames == [
        "Overview",
        "Charts",
        "By modality",
        "Samples (2)",
        "ct",
        "CT (2)",
        "a-b-c-d-e-f-g-h",
        "quoted",
        "m" * 31,
        "m" * 27 + " (2)",
        "History (2)",
        "\U0001f9e0" * 15,
        "-",
        "unknown",
        "Samples",
        "Chart data",
        "Settings",
    ]


def test_a_column_mistaken_for_the_modality_does_not_make_a_thousand_sheets(tmp_path: Path) -> None:
    samples = [{**perception_samples()[0], "modality": f"m{n}", "index": str(n)} for n in range(100)]
    book = load_workbook(written(tmp_path, perception_score(groups={}), samples))
    assert len(book.sheetnames) == 6 + 40
    others = [cell for (cell,) in book["Other modalities"].iter_rows(max_col=1, values_only=True)]
    assert others[-1] == "99"


def test_nothing_scored_leaves_cells_empty(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("Completeness", "Preciseness", "Consistency", "Quality Accuracy", "Overall"))
    score = reasoning_score(**nothing, n_scored=0, n_unscored=3, groups={}, intervals={}, frequencies={})
    path = written(tmp_path, score, [])
    assert ["Overall (0-8)", 0] in lines(path, "Overview")
    assert ["Model-X", "this run", "no"] in lines(path, "Overview")


def test_a_missing_part_of_the_settings_is_no_error(tmp_path: Path) -> None:
    assert written(tmp_path, {"task": "comparative", "model": None}, []).is_file()


@pytest.mark.parametrize("score", [{}, {"task": "other"}, {"task": ["perception"]}, {"task": "reasoning"}])
def test_an_object_that_is_no_result_is_refused(tmp_path: Path, score: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="score the run again"):
        written(tmp_path, score, [])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailed, match=r"file/.*_report\.xlsx cannot be written"):
        written(tmp_path / "file", perception_score(), [])


def test_the_whole_test_split_is_written(tmp_path: Path) -> None:
    text = "The image shows clear signs of motion artifacts along the phase encoding direction. "
    samples = [
        {**row, "index": str(n * 5 + m), "prediction": text * (n % 12)}
        for n in range(261)
        for m, row in enumerate(perception_samples())
    ]
    path = written(tmp_path, perception_score(), samples)
    assert len(table(path, "Samples")) == 1305


@pytest.mark.slow
def test_a_very_long_run_is_cut_in_the_workbook_and_says_so(tmp_path: Path) -> None:
    row = perception_samples()[0]
    many = [{**row, "index": str(i)} for i in range(10_001)]
    found = lines(written(tmp_path, perception_score(), many), "Samples")
    # The head, the samples, an empty row and the line.
    assert len(found) == 1 + 10_000 + 1 + 1
    assert found[-1][0].startswith("The first 10,000 of 10,001 samples; all of them are in ")


def test_a_hash_of_samples_is_not_shown_as_one_of_a_file(tmp_path: Path) -> None:
    score = perception_score()
    score["settings"]["data"]["perception"] |= {"sha256": None, "samples_sha256": "5" * 64}
    found = lines(written(tmp_path, score, perception_samples()), "Overview")
    assert ["Data sha256 (perception)", f"samples:{'5' * 64}"] in found


def test_what_a_judge_said_and_what_was_cut_stands_with_the_sample(tmp_path: Path) -> None:
    rows = reasoning_samples()
    note = "answer cut from 20 to 10 tokens (estimate)"
    rows[0]["verdicts"] = {
        "completeness": {"explanation": "=All findings are there.", "note": note},
        "consistency": {"parts": {"gpt": {"explanation": "It follows."}, "qwen": {"explanation": "It does not."}}},
    }
    sheet = load_workbook(written(tmp_path, reasoning_score(), rows))["Samples"]
    first = dict(zip([cell.value for cell in sheet[1]], sheet[2], strict=True))
    assert (
        first["judge's reasons"].value
        == "Completeness: =All findings are there.\nConsistency: gpt: It follows.\nqwen: It does not."
    )
    assert first["judge's reasons"].data_type == "s"
    assert first["note"].value == note


def test_matrix_has_the_groups_of_two_axes_and_their_edges(tmp_path: Path) -> None:
    sheet = load_workbook(written(tmp_path, perception_score(), []))["Matrices"]
    found = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=3)]
    assert found[0][0] == "Perception: modality x question type, accuracy, %"
    assert found[1][:5] == ["Modality", "Yes-or-No", "What", "How", "All"]
    assert found[2] == ["CT", 100, 100, 0, 200 / 3, None, 1, 1, 1, 3]
    assert found[3] == ["MRI", 100, 0, None, 50, None, 1, 1, None, 2]  # no How question: empty, not 0
    assert found[4] == ["All", 100, 50, 0, 60, None, 2, 2, 1, 5]
    assert [str(one.sqref) for one in sheet.conditional_formatting] == ["B5:E7"]
    assert sheet["B5"].number_format == "0.00"
    assert sheet["B5"].font.i  # one sample


def test_matrix_of_a_judged_run_has_a_scale_for_means_and_one_for_their_sum(tmp_path: Path) -> None:
    sheet = load_workbook(written(tmp_path, reasoning_score(), []))["Matrices"]
    found = [[cell.value for cell in row][:6] for row in sheet.iter_rows(min_row=5)]
    assert found == [["Fundus", 1.5, 1, 2, 1, 5.5], ["All", 1.5, 1, 2, 1, 5.5]]
    scales = {str(one.sqref): rule.colorScale.cfvo[2].val for one in sheet.conditional_formatting for rule in one.rules}
    assert scales == {"B5:E6": 2, "F5:F6": 8}


def charts(path: Path) -> list[str]:
    """The drawings' XML, in the order in which they were added."""
    with zipfile.ZipFile(path) as packed:
        names = [name for name in packed.namelist() if name.startswith("xl/charts/chart")]
        return [packed.read(name).decode() for name in sorted(names, key=lambda name: int(re.findall(r"\d+", name)[0]))]


def references(chart: str, element: str) -> list[str]:
    return re.findall(rf"<(?:\w+:)?{element}>.*?<(?:\w+:)?f>(.*?)</", chart)


def test_bars_have_their_intervals_from_cells(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score(), [])
    beside, by_type, by_modality, by_severity = charts(path)
    sheet = load_workbook(path)["Chart data"]
    (below,), (above,) = references(by_type, "minus"), references(by_type, "plus")
    values = references(by_type, "val")[0]
    cells = [[cell.value for (cell,) in sheet[one.partition("!")[2]]] for one in (values, below, above)]
    # Yes-or-No, What, How, Overall: 100 of [34.24, 100], 50 of [9.45, 90.55], 0 of [0, 79.35], 60 of [23.07, 88.24].
    assert cells[0] == [100, 50, 0, 60]
    assert cells[1] == pytest.approx([65.76, 40.55, 0, 36.93])
    assert cells[2] == pytest.approx([0, 40.55, 79.35, 28.24])
    # The format wants 'plus' first.
    assert by_type.index("plus>") < by_type.index("minus>")
    assert "radarChart" not in beside + by_modality + by_severity  # two modalities make no radar


def test_a_radar_needs_three_modalities(tmp_path: Path) -> None:
    score = perception_score()
    score["groups"]["modality"]["Fundus"] = score["groups"]["modality"]["CT"]
    found = [chart for chart in charts(written(tmp_path, score, [])) if "radarChart" in chart]
    # Of the question types none was asked in all three.
    assert [len(references(chart, "val")) for chart in found] == [1]


def test_nothing_measured_gives_no_charts(tmp_path: Path) -> None:
    path = written(tmp_path, {"task": "comparative"}, [])
    assert not {"Charts", "Chart data", "Matrices"} & set(load_workbook(path).sheetnames)
    assert charts(path) == []


STORED = "ab" * 32 + ".png"


def image_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of images with one in it, in a folder whose name needs escaping."""
    base = folder / "LMU data #1 100%"
    file = base / "images" / "MedQBench" / "ab" / STORED
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    monkeypatch.setenv("LMUData", str(base))
    return file


def links(sheet: Any) -> dict[str, str]:
    return {cell.value: cell.hyperlink.target for row in sheet.iter_rows() for cell in row if cell.hyperlink}


def test_samples_link_to_their_images_where_they_are_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = image_folder(tmp_path, monkeypatch)
    samples = perception_samples()
    samples[0]["images"] = [STORED, "cd" * 32 + ".png"]
    (tmp_path / "out").mkdir()
    book = load_workbook(written(tmp_path / "out", perception_score(), samples))
    found = links(book["Samples"])
    assert found == {STORED: f"../LMU%20data%20%231%20100%25/images/MedQBench/ab/{STORED}"}
    assert (tmp_path / "out" / unquote(found[STORED])).resolve() == file.resolve()
    assert links(book["CT"]) == found
    heads = [cell.value for cell in book["Samples"][1]]
    assert [head for head in heads if str(head).startswith("image")] == ["image 1", "image 2"]


@pytest.mark.parametrize(
    "name",
    [
        "../" * 9 + "etc/passwd",
        "/etc/passwd",
        f"ab/{STORED}",
        STORED.upper(),
        f"{STORED}\n",
        "http://127.0.0.1/x.png",
        "=HYPERLINK(1)",
        "ct-07.png",
        "",
    ],
)
def test_a_name_that_is_not_of_the_store_is_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    image_folder(tmp_path, monkeypatch)
    samples = perception_samples()
    samples[0]["images"] = [name]
    assert links(load_workbook(written(tmp_path, perception_score(), samples))["Samples"]) == {}


def test_images_of_the_embedded_set_are_linked_where_they_lie(tmp_path: Path) -> None:
    score = perception_score()
    score["settings"]["data"]["perception"]["origin"] = "embedded"
    samples = perception_samples()
    samples[0]["images"], samples[1]["images"] = ["ct-07.png"], ["../PROVENANCE.json"]
    found = links(load_workbook(written(tmp_path, score, samples))["Samples"])
    assert list(found) == ["ct-07.png"]
    assert (tmp_path / unquote(found["ct-07.png"])).resolve() == (embedded_folder() / "images" / "ct-07.png").resolve()


def test_more_images_than_columns_are_named_together(tmp_path: Path) -> None:
    samples = perception_samples()
    samples[0]["images"] = [f"{number}.png" for number in range(22)]
    row = table(written(tmp_path, perception_score(), samples), "Samples").loc[0]
    assert row["image 4"] == "3.png"
    assert row["all images"].endswith("19.png and 2 more")


def test_links_past_the_limit_are_plain_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LINK_LIMIT", 3)
    image_folder(tmp_path, monkeypatch)
    samples = [{**row, "images": [STORED]} for row in perception_samples()]
    sheet = load_workbook(written(tmp_path, perception_score(), samples))["Samples"]
    column = [cell.value for cell in sheet[1]].index("image 1") + 1
    found = [sheet.cell(row, column) for row in range(2, 7)]
    assert [cell.value for cell in found] == [STORED] * 5
    assert [cell.hyperlink is not None for cell in found] == [True, True, True, False, False]


def test_numbers_and_texts_come_back_from_pandas(tmp_path: Path) -> None:
    path = written(tmp_path, perception_score(), perception_samples())
    sheets = pandas.read_excel(path, sheet_name=None, keep_default_na=False)
    samples = sheets["Samples"]
    assert samples["prediction"].tolist() == [row["prediction"] for row in perception_samples()]
    assert samples["correct"].tolist() == ["yes", "yes", "yes", "no", "no"]
    assert sheets["By modality"]["Overall n"].tolist() == [3, 2, 5]
    assert sheets["By group"].set_index("Group").loc["severe", "Low"] == 20.77
    settings = dict(sheets["Settings"].to_numpy().tolist())
    assert settings["settings.data.perception.sha256"] == "ab" * 32


def test_long_names_leave_room_for_the_charts(tmp_path):
    path = tmp_path / "long_report.xlsx"
    name = "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-12500"
    write_workbook(path, perception_score(name), [])
    names = [row[0].value for row in load_workbook(path)["Chart data"].iter_rows() if row[0].value]
    assert name not in names
    assert any(found.startswith("hospital/qwen") and found.endswith("checkpoint-12500") for found in names)
