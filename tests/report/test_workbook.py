"""The workbook of one run: what stands in which cell, and that no text of a model becomes anything but text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas
import pytest
from openpyxl import load_workbook
from PIL import Image

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.report import sample_tables
from medqbench_vlmeval.report import sheet as sheets
from medqbench_vlmeval.report.workbook import write_workbook
from medqbench_vlmeval.types import Run, SampleRow
from tests.make import choice, combined_run, judged, make_run, perception_run, reasoning_run
from tests.report import books
from tests.report.books import is_text_and_numbers

NAME = "Model-X_MedQBench_Perception_mini"


def written(folder: Path, run: Run, rows: Sequence[SampleRow] | None = None) -> Path:
    path = folder / f"{NAME}_report.xlsx"
    write_workbook(path, run if rows is None else replace(run, rows=tuple(rows)))
    return path


def with_data(run: Run, **changes: Any) -> Run:
    """The run with other facts on its data file."""
    settings = run.result.settings
    data = {"perception": replace(settings.data["perception"], **changes)}
    return replace(run, result=replace(run.result, settings=replace(settings, data=data)))


def with_replies(texts: Sequence[str], **fields: Any) -> Run:
    return make_run([choice(str(n), True, text=text, **fields) for n, text in enumerate(texts)])


def table(path: Path, sheet: str) -> pandas.DataFrame:
    return pandas.read_excel(path, sheet_name=sheet, keep_default_na=False, dtype=object)


def lines(path: Path, sheet: str) -> list[list[Any]]:
    rows = books.lines(load_workbook(path)[sheet])
    return [[round(cell, 2) if isinstance(cell, float) else cell for cell in row] for row in rows]


@pytest.fixture(scope="module")
def perception_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("perception"), perception_run(reasons=["embedded set"]))


def test_overview_of_a_perception_run(perception_path: Path) -> None:
    overview = lines(perception_path, "Overview")
    assert overview[1] == ["Not comparable with the published rows: embedded set"]
    for line in (
        ["Overall", 60, 23.07, 88.24, 5],
        ["Yes-or-No", 100, 34.24, 100, 2],
        ["How", 0, 0, 79.35, 1],
        ["Unanswered (counted as wrong)", 1],
        ["Dataset", "MedQBench_Perception_mini"],
        ["Date", "2026-11-22T10:00:00+00:00"],
        ["Human expert", "published", "human", 82.5, "reference", "project README"],
        ["Model-X", "this run", 100, 50, 0, 60, "no"],
    ):
        assert line in overview
    # It is not comparable, so it stands below the last published row and not between 60.08 and 59.31.
    models = [line[0] for line in overview if len(line) > 5]
    assert models[models.index("Model-X") - 1] == "Qwen2.5-VL-7B"
    assert models[-1] == "Model-X"
    assert any(line[:1] == ["Overall, clustered (n: clusters)"] and line[-1] == 5 for line in overview)


REFUSED = ["Not comparable with the published rows:", "   • embedded set", "   • own prompt"]
UNVERIFIED = "Not verified as comparable with the published rows: own prompt"
BASELINE = "BASELINE: a model without weights, for orientation only."


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (perception_run(reasons=["embedded set", "own prompt"]), REFUSED),
        (perception_run(comparable=Comparable.UNVERIFIED, reasons=["own prompt"]), [UNVERIFIED]),
        (perception_run(comparable=True), ["Comparable with the published rows."]),
        (perception_run(baseline=True, comparable=True), [BASELINE]),
    ],
    ids=["reasons", "unverified", "comparable", "baseline"],
)
def test_what_a_run_is_stands_in_colour_at_the_top(tmp_path: Path, run: Run, expected: list[str]) -> None:
    path = written(tmp_path, run)
    assert lines(path, "Overview")[1 : 1 + len(expected)] == [[line] for line in expected]
    marks = table(path, "By modality")[["Run", "Comparable with published"]].to_numpy().tolist()
    assert marks == [["baseline" if run.result.baseline else "own", run.result.comparable.value]] * 3


def test_reasons_of_one_of_two_tasks_are_not_read_as_for_both(tmp_path: Path) -> None:
    run = combined_run(reasons=["judge rules"])
    part = replace(run.result["comparative"], not_comparable_because=("own data",))
    run = replace(run, result=replace(run.result, parts={**run.result.parts, Task.COMPARATIVE: part}))
    assert [line[0] for line in lines(written(tmp_path, run), "Overview")[1:3]] == [
        "Reasoning, no-reference: Not comparable with the published rows: judge rules",
        "Reasoning, comparative: Not comparable with the published rows: own data",
    ]


def test_by_modality_of_a_perception_run(perception_path: Path) -> None:
    rows = table(perception_path, "By modality").set_index("Modality")
    assert list(rows.index) == ["CT", "MRI", "All"]
    assert rows.loc["CT", ["Overall", "Overall n", "What", "How n"]].tolist() == [pytest.approx(200 / 3), 3, 100, 1]
    assert rows.loc["MRI", "How"] == ""  # no such question: empty, not 0
    assert rows.loc["All", ["Overall", "Yes-or-No", "What", "How"]].tolist() == [60, 100, 50, 0]


def test_modality_sheet_has_its_groups_and_its_samples(perception_path: Path) -> None:
    sheet = lines(perception_path, "CT")
    assert ["Question type", "How", 0, 0, 79.35, 1, 0, 1, "n < 10"] in sheet
    # CT has one mild row (right) and two severe ones (one right, one unanswered): Wilson for 1 of 2 is 9.45 to 90.55.
    assert ["Severity", "mild", 100, 20.65, 100, 1, 1, 0, "n < 10"] in sheet
    assert ["Severity", "severe", 50, 9.45, 90.55, 2, 1, 1, "n < 10"] in sheet
    heads = next(position for position, line in enumerate(sheet) if line and line[0] == "index")
    assert [line[0] for line in sheet[heads + 1 :]] == ["1", "3", "5"]
    assert sheet[heads + 3][:6] == ["5", "How", "severe", "5.png", "B", "no"]


def test_data_without_modalities_is_one_modality(tmp_path: Path) -> None:
    rows = [choice(str(n), n > 1, modality=None, severity="mild") for n in range(4)]
    sheet = lines(written(tmp_path, make_run(rows)), "unknown")
    assert ["All samples", "All", 50, 15, 85, 4, 2, 0, "n < 10"] in sheet
    assert ["Severity", "mild", 50, 15, 85, 4, 2, 0, "n < 10"] in sheet


def test_cells_of_few_samples_are_grey_and_named(tmp_path: Path) -> None:
    kinds = ("What", "How")
    rows = [choice(str(n), n > 3, question_type=kinds[n == 0]) for n in range(10)]
    rows += [choice(f"x{n}", True, modality="MRI") for n in range(9)]
    book = load_workbook(written(tmp_path, make_run(rows)))
    sheet = book["By modality"]
    few = [cell.value for cell in sheet[1]].index("Few") + 1
    assert sheet.cell(2, few).value == "n < 10: What, How"
    assert sheet.cell(3, few).value == "n < 10: Overall, What"
    fonts = {(row, column): sheet.cell(row, column).font for row in (2, 3) for column in (2, 14)}
    assert [fonts[at].i for at in ((2, 2), (2, 14), (3, 2))] == [False, True, True]
    assert (fonts[3, 2].color.rgb, fonts[2, 2].color.rgb) == ("FF595959", "FF000000")
    first = next(row for row in book["Overview"].iter_rows() if row[0].value == "How")
    assert [cell.font.i for cell in first[:5]] == [False, True, True, True, True]


def test_sheets_of_a_combined_run(tmp_path: Path) -> None:
    path = written(tmp_path, combined_run())
    sheets_there = load_workbook(path).sheetnames
    assert sheets_there[:2] == ["Overview", "Charts"]
    assert {"Matrices", "By modality", "Fundus", "Conclusions", "Samples"} < set(sheets_there)
    overview = lines(path, "Overview")
    assert ["Overall (0-8)", 5.5, 4, 7, 2] in overview
    assert ["Quality Accuracy", 1, 0, 2, 2, 1, 0, 1] in overview  # 2 scored: one 0, no 1, one 2
    assert ["Unscored: completeness: no verdict in the reply", 1] in overview
    assert [line[0] for line in overview if line].count("GPT-5") == 2
    by_modality = table(path, "By modality")
    marks = ["Overall high", "n", "Scored", "Unscored", "Few", "Run", "Comparable with published"]
    assert list(by_modality)[-7:] == marks
    assert by_modality["Modality"].tolist() == ["Fundus", "All"] * 2
    assert by_modality["Task"].tolist() == ["Reasoning, no-reference"] * 2 + ["Reasoning, comparative"] * 2
    assert by_modality["Scored"].tolist() == [2, 2, 2, 2]
    rows = table(path, "Samples")
    assert rows["task"].tolist() == ["no-reference"] * 3 + ["comparative"] * 3
    assert rows["Sum"].tolist() == [7, 4, "", 7, 4, ""]


def test_reasoning_groups_have_overalls_interval(tmp_path: Path) -> None:
    rows = [judged(str(n), (n % 3, 1, 2, 2 * (n % 2)), severity="mild") for n in range(12)]
    run = make_run([*rows, judged("x", (1, 1, 1, 1), severity="severe")])
    by_group = table(written(tmp_path, run), "By group").set_index("Group")
    heads = ["Overall", "Scored", "Few"]
    assert by_group.loc["mild", heads].tolist() == [5.0, 12, ""]  # 1 + 1 + 2 + 1
    assert by_group.loc["severe", [*heads, "Overall low"]].tolist() == [4.0, 1, "n < 10", ""]
    group = run.result["no-reference"].groups["severity"]["mild"].overall
    assert by_group.loc["mild", ["Overall low", "Overall high"]].tolist() == pytest.approx([group.low, group.high])


def test_tables_can_be_worked_with(perception_path: Path, tmp_path: Path) -> None:
    book = load_workbook(perception_path)
    names = ["Overview", "Charts", "Findings", "Matrices", "By modality", "By group", "CT", "MRI", "Samples"]
    assert book.sheetnames == [*names, "Chart data", "Settings"]
    samples, matrix = book["Samples"], book["By modality"]
    assert samples.auto_filter.ref == samples.dimensions
    assert (samples.freeze_panes, matrix.freeze_panes) == ("B2", "B2")
    assert samples.print_title_rows == "$1:$1"
    assert [str(area.sqref) for area in matrix.conditional_formatting] == ["B2:B4", "F2:F4", "J2:J4", "N2:N4"]
    for sheet in book:
        # Quiet, but on each page and with its reason.
        marks = {sheet.oddHeader.right.text.strip(), sheet.oddFooter.left.text.strip()}
        assert marks == {"Not comparable with published rows: embedded set"}
        assert sheet.sheet_properties.tabColor is None
        is_fitted = bool(sheet.sheet_properties.pageSetUpPr and sheet.sheet_properties.pageSetUpPr.fitToPage)
        assert sheet.page_setup.orientation == "landscape"
        assert is_fitted is (sheet.title != "Charts")
        assert sheet.print_title_rows or sheet.title == "Charts"
    assert (matrix["B2"].number_format, matrix["E2"].number_format) == ("0.00", "#,##0")
    reasoning = load_workbook(written(tmp_path, reasoning_run()))["By modality"]
    assert (reasoning["C2"].number_format, reasoning["J2"].number_format) == ("0.000", "#,##0")


HOSTILE = [
    "=1+1", "=cmd|'/C calc'!A0", "+cmd", "-2+3", "@SUM(A1)", "{=1+1}", "#N/A", "007", "2026-01-02", "TRUE", "None",
    "https://example.org", "\u05d4\u05ea\u05e9\u05d5\u05d1\u05d4 \u202eB\u202c", "<script>alert(1)</script> & ]]>",
    "  two before, two after  ", "\U0001f9e0 B",
]  # fmt: skip
CHANGED = {
    "a\x00b\x0bc\x1fd": "a\ufffdb\ufffdc\ufffdd",
    "lone \ud800 surrogate": "lone \ufffd surrogate",
    "\ufffe\uffff": "\ufffd\ufffd",
    "one\r\ntwo\rthree\nfour\tfive": "one\ntwo\nthree\nfour\tfive",
    # XlsxWriter's own markup would be written as it is.
    "<r><t>x</t></r><evil></r>": "<r><t>x</t></r><evil></r> ",
}


def test_model_text_stays_the_text_that_it_is(tmp_path: Path) -> None:
    sheet = load_workbook(written(tmp_path, with_replies([*HOSTILE, *CHANGED])))["Samples"]
    column = [cell.value for cell in sheet[1]].index("prediction") + 1
    cells = [sheet.cell(row, column) for row in range(2, sheet.max_row + 1)]
    assert [cell.value for cell in cells] == [*HOSTILE, *CHANGED.values()]
    assert {cell.data_type for cell in cells} == {"s"}
    assert all(cell.hyperlink is None for cell in cells)
    assert [cell.quotePrefix for cell in cells[:5]] == [True] * 5


def test_a_literal_escape_of_the_format_comes_back_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, with_replies(["literal _x0041_"]))
    with zipfile.ZipFile(path) as packed:
        assert b"literal _x005F_x0041_" in packed.read("xl/sharedStrings.xml")


@pytest.mark.parametrize("unit", ["x", "\U0001f9e0", "_x0041_", "x\x00"])
def test_a_long_reply_is_cut_and_says_so(tmp_path: Path, unit: str) -> None:
    text, whole = unit * (40_000 // len(unit)), "y" * 32_767
    reply, untouched = table(written(tmp_path, with_replies([text, whole])), "Samples")["prediction"]
    assert reply.endswith(f" … [cut: {len(text):,} characters in all, whole text in {NAME}_samples.jsonl]")
    assert 16_000 < len(reply.encode("utf-16-le")) // 2 <= 32_767
    assert untouched == whole


def test_no_cell_is_a_formula_or_an_error(tmp_path: Path) -> None:
    evil = dict.fromkeys(("question", "severity", "scope", "source"), "=1+1")
    rows = [choice(f"={n}", n > 2, text="#REF!", modality="=A1", options={"A": "=1", "B": "@2"}, **evil)
            for n in range(12)]  # fmt: skip
    run = make_run(rows, model="=HYPERLINK(1)", dataset="@x", reasons=["=1+1"])
    path = written(tmp_path, replace(run, rows=tuple(replace(row, unscored="=3") for row in run.rows)))
    assert is_text_and_numbers(path)


def test_modalities_that_are_bad_sheet_names(tmp_path: Path) -> None:
    names = ["Samples", "ct", "CT", "a/b\\c:d*e?f[g]h", "'quoted'", "m" * 40, "m" * 50, "History",
             "\U0001f9e0" * 20, "\x00", None]  # fmt: skip
    run = make_run([choice(str(n), modality=name) for n, name in enumerate(names)])
    sheets_there = load_workbook(written(tmp_path, run)).sheetnames
    assert sorted(sheets_there[sheets_there.index("By group") + 1 : sheets_there.index("Samples")]) == sorted(
        [
            *("Samples (2)", "CT", "ct (2)", "a-b-c-d-e-f-g-h", "quoted", "History (2)", "-", "unknown"),
            *("m" * 31, "m" * 27 + " (2)", "\U0001f9e0" * 15),
        ]
    )


def test_a_column_mistaken_for_the_modality_does_not_make_a_thousand_sheets(tmp_path: Path) -> None:
    run = make_run([choice(str(n), modality=f"m{n:02}") for n in range(50)])
    names = load_workbook(written(tmp_path, run)).sheetnames
    assert [name for name in names if re.fullmatch(r"m\d\d", name)] == [f"m{n:02}" for n in range(40)]


def test_nothing_scored_leaves_cells_empty_and_draws_no_charts(tmp_path: Path) -> None:
    path = written(tmp_path, make_run([judged("1", None), judged("2", None)]))
    assert ["Overall (0-8)", 0, 0, 0, 0] not in lines(path, "Overview")
    assert ["Model-X", "this run", "no"] in lines(path, "Overview")
    assert not {"Charts", "Chart data"} & set(load_workbook(path).sheetnames)
    assert charts(path) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailed, match=r"file/.*_report\.xlsx cannot be written"):
        written(tmp_path / "file", perception_run())


@pytest.mark.slow
def test_a_very_long_run_is_cut_in_the_workbook_and_says_so(tmp_path: Path) -> None:
    run = perception_run()
    rows = lines(written(tmp_path, run, [run.rows[0]] * 10_001), "Samples")
    # The head, the samples, an empty row and the line.
    assert len(rows) == 1 + 10_000 + 1 + 1
    assert rows[-1][0].startswith("The first 10,000 of 10,001 samples; all of them are in ")


def test_settings_are_dotted_names_without_what_has_a_sheet_of_its_own(perception_path: Path) -> None:
    settings = dict(load_workbook(perception_path)["Settings"].iter_rows(min_row=2, values_only=True))
    assert settings["settings.data.perception.sha256"] == "ab" * 32
    assert settings["comparable"] == "no"
    assert not any(name.partition(".")[0] in ("findings", "groups", "intervals") for name in settings)


def test_a_hash_of_samples_is_not_shown_as_one_of_a_file(tmp_path: Path) -> None:
    run = with_data(perception_run(), sha256=None, samples_sha256="5" * 64)
    assert ["Data sha256 (perception)", f"samples:{'5' * 64}"] in lines(written(tmp_path, run), "Overview")


def test_matrix_has_the_groups_of_two_axes_and_their_edges(perception_path: Path) -> None:
    sheet = load_workbook(perception_path)["Matrices"]
    rows = [[cell.value for cell in row][:10] for row in sheet.iter_rows(min_row=3)]
    assert rows[0][0] == "Perception: modality x question type, accuracy, %"
    assert rows[1][:5] == ["Modality", "Yes-or-No", "What", "How", "All"]
    assert rows[2] == ["CT", 100, 100, 0, pytest.approx(200 / 3), None, 1, 1, 1, 3]
    assert rows[3] == ["MRI", 100, 0, None, 50, None, 1, 1, None, 2]  # no How question: empty, not 0
    assert rows[4] == ["All", 100, 50, 0, 60, None, 2, 2, 1, 5]
    assert "B5:E7" in {str(area.sqref) for area in sheet.conditional_formatting}
    assert (sheet["B5"].number_format, sheet["B5"].font.i) == ("0.00", True)  # one sample


def test_matrix_of_a_judged_run_has_a_scale_for_means_and_one_for_their_sum(tmp_path: Path) -> None:
    sheet = load_workbook(written(tmp_path, reasoning_run()))["Matrices"]
    rows = [[cell.value for cell in row][:6] for row in sheet.iter_rows(min_row=5, max_row=6)]
    assert rows == [["Fundus", 1.5, 1, 2, 1, 5.5], ["All", 1.5, 1, 2, 1, 5.5]]
    areas = sheet.conditional_formatting
    scales = {str(area.sqref): rule.colorScale.cfvo[2].val for area in areas for rule in area.rules}
    assert scales == {"B5:E6": 2, "F5:F6": 8}


def charts(path: Path) -> list[str]:
    """The drawings' XML, in the order in which they were added."""
    with zipfile.ZipFile(path) as packed:
        names = [name for name in packed.namelist() if name.startswith("xl/charts/chart")]
        return [packed.read(name).decode() for name in sorted(names, key=lambda name: int(re.findall(r"\d+", name)[0]))]


def references(chart: str, element: str) -> list[str]:
    return re.findall(rf"<c:{element}>.*?<c:f>(.*?)</", chart)


def test_bars_have_their_intervals_from_cells(perception_path: Path) -> None:
    beside, by_type, by_modality, by_severity = charts(perception_path)
    sheet = load_workbook(perception_path)["Chart data"]
    ranges = [references(by_type, "val")[0], *references(by_type, "minus"), *references(by_type, "plus")]
    values, below, above = ([cell.value for (cell,) in sheet[area.partition("!")[2]]] for area in ranges)
    # Yes-or-No, What, How, Overall: 100 of [34.24, 100], 50 of [9.45, 90.55], 0 of [0, 79.35], 60 of [23.07, 88.24].
    assert values == [100, 50, 0, 60]
    assert below == pytest.approx([65.76, 40.55, 0, 36.93], abs=0.005)
    assert above == pytest.approx([0, 40.55, 79.35, 28.24], abs=0.005)
    # The run stands apart from the grey of the published rows; values have their unit.
    assert beside.count("BFBFBF") > 5
    assert beside.count("0072B2") == 1
    assert all("Accuracy, %" in chart for chart in (beside, by_type, by_modality, by_severity))


def test_long_names_leave_room_for_the_charts(tmp_path: Path) -> None:
    model = "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-12500"
    sheet = load_workbook(written(tmp_path, perception_run(model=model)))["Chart data"]
    names = [row[0].value for row in sheet.iter_rows() if row[0].value]
    assert model not in names
    assert any(name.startswith("hospital/qwen") and name.endswith("checkpoint-12500 †") for name in names)


STORED = "ab" * 32 + ".png"
SHORT = "abababababab….png"


def with_images(*names: str, n: int = 1) -> Run:
    return make_run([choice(str(at), image_refs=names) for at in range(n)])


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


def test_samples_link_to_images_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = image_folder(tmp_path, monkeypatch)
    (tmp_path / "out").mkdir()
    book = load_workbook(written(tmp_path / "out", with_images(STORED, "cd" * 32 + ".png")))
    linked = links(book["Samples"])
    assert linked == {SHORT: f"../LMU%20data%20%231%20100%25/images/MedQBench/ab/{STORED}"}
    assert (tmp_path / "out" / unquote(linked[SHORT])).resolve() == file.resolve()
    assert links(book["CT"]) == linked
    heads = [cell.value for cell in book["Samples"][1]]
    assert [head for head in heads if str(head).startswith("image")] == ["image 1", "image 2"]


def test_images_beside_the_workbook_are_linked_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path, monkeypatch)
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / STORED).write_bytes(b"")
    book = load_workbook(written(tmp_path / "out", with_images(STORED)))
    assert links(book["Samples"]) == {SHORT: f"images/{STORED}"}


def test_failed_samples_show_their_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = image_folder(tmp_path, monkeypatch)
    Image.new("L", (400, 100), 90).save(file)
    names = (STORED, "absent.png")
    run = make_run([choice(str(at), at % 2 == 0, image_refs=names) for at in range(6)])
    monkeypatch.setattr(sample_tables, "_PICTURES", 2)
    sheet = load_workbook(written(tmp_path, run))["Samples"]
    # The second and the fourth sample failed; the sixth is past the limit, and what is no image has no picture.
    places = [(image.anchor._from.row + 1, image.anchor._from.col + 1) for image in sheet._images]
    assert places == [(3, 2), (5, 2)]
    assert sheet["B1"].value == "picture"
    (image, _) = sheet._images
    assert image.anchor.editAs in (None, "twoCell")  # it goes where its row goes, and is hidden with it
    assert sheet.row_dimensions[3].height >= 0.75 * 24
    shown = Image.open(image.ref)
    assert (shown.format, shown.size) == ("JPEG", (160, 40))


def test_each_of_two_tasks_has_its_share_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (9, 9)).save(image_folder(tmp_path, monkeypatch))
    run = combined_run()
    rows = [replace(row, error_kinds=("x",), sample=replace(row.sample, image_refs=(STORED,))) for row in run.rows]
    monkeypatch.setattr(sample_tables, "_PICTURES", 2)
    sheet = load_workbook(written(tmp_path, run, rows))["Samples"]
    shown = [sheet.cell(image.anchor._from.row + 1, 2).value for image in sheet._images]
    assert shown == ["no-reference", "comparative"]


def test_letters_stand_with_their_texts(perception_path: Path) -> None:
    options = {"A": "Yes", "B": "No"}
    rows = [choice("1", False, options=options), choice("2", None, options=options)]
    sheet = table(written(perception_path.parent / "letters", make_run(rows)), "Samples")
    assert sheet[["options", "answer", "extracted"]].to_numpy().tolist() == [
        ["A. Yes\nB. No", "A. Yes", "B. No"],
        ["A. Yes\nB. No", "A. Yes", ""],
    ]


def test_a_name_that_is_not_of_the_store_is_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path, monkeypatch)
    names = ["../" * 9 + "etc/passwd", "/etc/passwd", f"ab/{STORED}", STORED.upper(), f"{STORED}\n",
             "http://127.0.0.1/x.png", "=HYPERLINK(1)", "ct-07.png", ""]  # fmt: skip
    run = make_run([choice()])
    (row,) = run.rows
    rows = [replace(row, sample=replace(row.sample, image_refs=(name,))) for name in names]
    assert links(load_workbook(written(tmp_path, run, rows))["Samples"]) == {}


def test_images_of_the_embedded_set_are_linked_where_they_lie(tmp_path: Path) -> None:
    run = with_data(with_images("ct-07.png", "../PROVENANCE.json"), origin="embedded")
    linked = links(load_workbook(written(tmp_path, run))["Samples"])
    assert list(linked) == ["ct-07.png"]
    assert (tmp_path / unquote(linked["ct-07.png"])).resolve() == (embedded_folder() / "images" / "ct-07.png").resolve()


def test_more_images_than_columns_are_named_together(tmp_path: Path) -> None:
    row = table(written(tmp_path, with_images(*(f"{number}.png" for number in range(22)))), "Samples").loc[0]
    assert row["image 4"] == "3.png"
    assert row["all images"].endswith("19.png and 2 more")


def test_links_past_the_limit_are_plain_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "LINK_LIMIT", 3)
    image_folder(tmp_path, monkeypatch)
    sheet = load_workbook(written(tmp_path, with_images(STORED, n=5)))["Samples"]
    column = [cell.value for cell in sheet[1]].index("image 1") + 1
    cells = [sheet.cell(row, column) for row in range(2, 7)]
    assert [cell.value for cell in cells] == [SHORT] * 5
    assert [cell.hyperlink is not None for cell in cells] == [True, True, True, False, False]


def test_heads_stand_as_their_columns_do_and_intervals_are_grey(tmp_path: Path) -> None:
    run = make_run([choice(str(n), n > 3) for n in range(20)])
    sheet = load_workbook(written(tmp_path, run))["Overview"]
    rows = {row[0].value: row for row in sheet.iter_rows() if row[0].value}
    label, value, low, _, n = rows["Measure"][:5]
    assert [cell.alignment.horizontal for cell in (label, value, low, n)] == [None, "right", "right", "right"]
    assert {cell.border.bottom.style for cell in (label, value, low, n)} == {"thin"}
    assert {cell.fill.fill_type for cell in (label, value, low, n)} == {None}
    overall = rows["Overall"]
    assert [cell.alignment.horizontal for cell in overall[:4]] == [None, "right", "right", "right"]
    assert [cell.font.color.rgb for cell in overall[1:5]] == ["FF000000", "FF6B7280", "FF6B7280", "FF000000"]


def test_columns_are_as_wide_and_rows_as_high_as_what_they_hold(tmp_path: Path) -> None:
    long = "word " * 60  # 300 characters
    sheet = load_workbook(written(tmp_path, perception_run(model="M" * 40, reasons=[long])))["Overview"]
    widths = {name: dimension.width for name, dimension in sheet.column_dimensions.items()}
    assert 40 < widths["A"] < 50
    assert 9 <= widths["D"] < 20  # numbers
    # The reason is longer than a line and stands in one cell over several columns, some lines high.
    (area,) = [str(area) for area in sheet.merged_cells.ranges if str(area).startswith("A2:")]
    assert area.endswith("2")
    assert sheet.row_dimensions[2].height >= 3 * 15
    assert sheet.row_dimensions[4].height is None


def test_names_of_any_length_leave_columns_that_a_spreadsheet_opens(tmp_path: Path) -> None:
    rows = [choice(str(n), modality=name, severity=name) for n, name in enumerate(("m" * 5000, "CT"))]
    for sheet in load_workbook(written(tmp_path, make_run(rows, model="M" * 400))):
        # The format has no wider column than 255.
        assert all(dimension.width < 100 for dimension in sheet.column_dimensions.values()), sheet.title
        assert all((dimension.height or 0) < 410 for dimension in sheet.row_dimensions.values()), sheet.title
