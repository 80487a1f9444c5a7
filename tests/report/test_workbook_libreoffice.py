"""Workbooks as LibreOffice reads them: every value and link comes through, every sheet prints, nothing is executed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.workbook import write_many, write_workbook
from medqbench_vlmeval.types import Run
from tests.make import choice, combined_run, judged, make_run, perception_run

SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")
pytestmark = pytest.mark.skipif(SOFFICE is None, reason="LibreOffice (soffice) is not installed on this machine")

HOSTILE = [
    "=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "#N/A", "007", "TRUE", "a\nb", "<b>&amp;]]>", "\u202eB", "\U0001f9e0"
]  # fmt: skip
Converted = dict[str, tuple[Path, Path, Path]]
REPLACED = ["a\x00b", "lone \ud800", "\x1b[31m"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Three workbooks, each as written, as LibreOffice saved it again, and as it printed it."""
    folder = tmp_path_factory.mktemp("libreoffice")
    names = ["single", "judged", "many"]
    paths = {name: folder / f"{name}_report.xlsx" for name in names}
    image = folder / "LMU #1" / "images" / "MedQBench" / "ab" / ("ab" * 32 + ".png")
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMUData", str(folder / "LMU #1"))
        single, judged = hostile_run(image.name), combined_run()
        write_workbook(paths["single"], single)
    write_workbook(paths["judged"], judged)
    many = [perception_run(model="=1+1"), perception_run(model="B"), combined_run(model="B"), combined_run()]
    write_many(paths["many"], [run.result for run in many])
    for form in ("xlsx", "pdf"):
        convert(form, folder / form, list(paths.values()), folder / "profile")
    return {
        name: (path, folder / "xlsx" / path.name, folder / "pdf" / f"{path.stem}.pdf") for name, path in paths.items()
    }


def hostile_run(image: str) -> Run:
    texts = [*HOSTILE, *REPLACED]
    return make_run([choice(f"h{n}", text=text, image_refs=(image,)) for n, text in enumerate(texts)], model="=Model")


def convert(form: str, out: Path, paths: list[Path], profile: Path) -> None:
    assert SOFFICE is not None
    command = [SOFFICE, "--headless", f"-env:UserInstallation={profile.as_uri()}", "--convert-to", form]
    done = subprocess.run(
        [*command, "--outdir", str(out), *map(str, paths)], capture_output=True, text=True, timeout=240, check=False
    )
    missing = [path.name for path in paths if not (out / f"{path.stem}.{form}").is_file()]
    assert not missing, (missing, done.stdout, done.stderr)


@pytest.mark.slow
def test_libreoffice_opens_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "m_report.xlsx"
    run = perception_run(model="=Model")
    write_workbook(path, run)
    convert("csv", tmp_path / "csv", [path], tmp_path / "profile")
    lines = (tmp_path / "csv" / "m_report.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("MedQ-Bench: =Model,")
    assert any(line.startswith("Overall,60") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single", "judged", "many"])
def test_values_charts_and_filters_come_back_and_every_sheet_prints(converted: Converted, name: str) -> None:
    before, after = map(load_workbook, converted[name][:2])
    assert after.sheetnames == before.sheetnames
    for sheet in before:
        other = after[sheet.title]
        for row in sheet.iter_rows():
            for cell in row:
                close = pytest.approx(cell.value, rel=1e-12) if isinstance(cell.value, float) else cell.value
                assert other[cell.coordinate].value == close, (sheet.title, cell.coordinate)
        assert len(other._charts) == len(sheet._charts)
        assert other.auto_filter.ref == sheet.auto_filter.ref
        # Frozen panes belong to a view, which a conversion without a window does not have.
        assert other.print_title_rows == sheet.print_title_rows
        assert other.page_setup.orientation == "landscape"
    charts = after["Charts"]._charts if "Charts" in after.sheetnames else []
    bars = [chart for chart in charts if chart.tagname == "barChart"]
    assert any(series.errBars is not None for chart in bars for series in chart.series)
    printed = converted[name][2].read_bytes()
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type/Page/") + printed.count(b"/Type /Page\n") >= len(before.sheetnames)


@pytest.mark.slow
def test_links_and_hostile_texts_come_back(converted: Converted) -> None:
    sheet = load_workbook(converted["single"][1])["Samples"]
    heads = [cell.value for cell in sheet[1]]
    replies = [sheet.cell(row, heads.index("prediction") + 1) for row in range(2, 2 + len(HOSTILE))]
    assert [cell.value for cell in replies] == HOSTILE
    assert {cell.data_type for cell in replies} == {"s"}
    link = sheet.cell(2, heads.index("image 1") + 1).hyperlink
    assert link is not None
    assert link.target.endswith(f"LMU%20%231/images/MedQBench/ab/{'ab' * 32}.png")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed on this machine")
@pytest.mark.parametrize("is_perception", [True, False])
def test_overview_findings_and_matrices_print_on_six_pages(tmp_path: Path, is_perception: bool) -> None:
    axes = [
        {"modality": modality, "severity": severity}
        for modality in ("CT", "MRI", "Histopathology", "Endoscopy", "Fundus")
        for severity in ("none", "mild", "moderate", "severe")
    ]
    kinds = ("Yes-or-No", "What", "How")
    if is_perception:
        rows = [
            choice(f"{kind}{n}", n % 3 > 0, question_type=kind, **of) for n, of in enumerate(axes) for kind in kinds
        ]
    else:
        tasks = {"NoReference": Task.NO_REFERENCE, "Comparative": Task.COMPARATIVE}
        rows = [
            judged(f"{name}:{n}", (n % 3, 1, 2, 2 * (n % 2)), task, **of)
            for name, task in tasks.items()
            for n, of in enumerate(axes)
        ]
    path = tmp_path / "m_report.xlsx"
    write_workbook(path, make_run(rows))
    convert("pdf", tmp_path, [path], tmp_path / "profile")
    done = subprocess.run(["pdftotext", "m_report.pdf", "-"], capture_output=True, text=True, check=True, cwd=tmp_path)
    pages = re.findall(r"^(Overview|Findings|Matrices), page \d+ of", done.stdout, re.MULTILINE)
    assert set(pages) == {"Overview", "Findings", "Matrices"}
    assert len(pages) <= 6
