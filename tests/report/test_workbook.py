"""The workbook: what stands in which cell, and that no text of a model becomes anything but text."""

from __future__ import annotations

import re
import time
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas
import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.errors import BadInput, RunFailed
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
        "By modality",
        "By group",
        "CT",
        "MRI",
        "Samples",
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
    assert ["Question type", "How", 0, 0, 79.35, 1, 0, 1] in found
    # CT has one mild row (right) and two severe ones (one right, one unanswered).
    mild, severe = (line for line in found if line and line[0] == "Severity")
    assert (mild[1:3], mild[5:]) == (["mild", 100], [1, 1, 0])
    assert (severe[1:3], severe[5:]) == (["severe", 50], [2, 1, 1])
    # Wilson for 1 of 2: centre (0.5 + 1.9207/2) / (1 + 3.8415/2) = 0.5, half 0.4055: 9.45 to 90.55.
    assert severe[3:5] == [pytest.approx(9.45, abs=0.005), pytest.approx(90.55, abs=0.005)]
    heads = next(position for position, line in enumerate(found) if line and line[0] == "index")
    assert [line[0] for line in found[heads + 1 :]] == ["1", "3", "5"]
    assert found[heads + 3] == ["5", "How", "severe", "B", False, "none", "Question 5?", "I cannot tell."]


def test_sheets_of_a_combined_run(tmp_path: Path) -> None:
    samples = reasoning_samples(prefix="NoReference_") + reasoning_samples("comparative", "Comparative_")
    path = written(tmp_path, combined_score(), samples)
    assert load_workbook(path).sheetnames == ["Overview", "By modality", "Fundus", "Samples", "Settings"]
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
    assert (reasoning["C2"].number_format, reasoning["H2"].number_format) == ("0.000", "#,##0")


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
    assert len(matrix._charts) == 1


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
    assert kinds <= {"s", "n", "b"}
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
        "Settings",
    ]


def test_a_column_mistaken_for_the_modality_does_not_make_a_thousand_sheets(tmp_path: Path) -> None:
    samples = [{**perception_samples()[0], "modality": f"m{n}", "index": str(n)} for n in range(100)]
    book = load_workbook(written(tmp_path, perception_score(groups={}), samples))
    assert len(book.sheetnames) == 4 + 40
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


def test_the_whole_test_split_is_written_fast(tmp_path: Path) -> None:
    text = "The image shows clear signs of motion artifacts along the phase encoding direction. "
    samples = [
        {**row, "index": str(n * 5 + m), "prediction": text * (n % 12)}
        for n in range(261)
        for m, row in enumerate(perception_samples())
    ]
    start = time.perf_counter()
    path = written(tmp_path, perception_score(), samples)
    assert time.perf_counter() - start < 3
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
