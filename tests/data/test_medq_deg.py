"""Files of MedQ-Deg: degrees and categories, what is said to be inferred, and how such a file is told from others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medqbench_vlmeval.benchmark import DEGREES, Task, parse_dataset_name
from medqbench_vlmeval.data import ImageStore, load_dataset
from medqbench_vlmeval.data.columns import read_category, read_degree
from medqbench_vlmeval.data.image_cells import KeptImages
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.predictions import read_predictions
from medqbench_vlmeval.predictions.join import samples_from_table
from medqbench_vlmeval.scoring.findings.degradation import pairs_of
from tests.data.rows import Write, load, question

SIMULATED = "MedQ-Robust-simulate-test.tsv"
GOOD = "MedQ-Robust-good-test.tsv"


def asked(index: str = "1", severity: str = "L1", kind: str = "gaussian_noise", **cells: str) -> dict[str, str]:
    """A row with the columns that the kit's own class reads."""
    of_deg = {"E": "Streaks", "degradation_type": kind, "degradation_severity": severity, "source": "public"}
    row = {name: text for name, text in question(index, D="Rings").items() if name != "question_type"}
    return {**row, **of_deg, **cells}


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        *((text, degree) for degree in DEGREES for text in (degree, degree.lower(), degree[1], f"{degree[1]}.0")),
        *((text, "L0") for text in ("clean", "Original", "no degradation", "none", "L0 (original)")),
        *((text, "L1") for text in ("moderate", "level 1", "severity_1", "L1-Moderate")),
        *((text, "L2") for text in ("Severe", "degree 2", "l2 severe degradation")),
        *((text, None) for text in ("", "L3", "3", "-1", "1.5", "mild", "not severe", "L1 severe", "L0 to L2", "high")),
    ],
)
def test_degrees_are_read_as_written_and_never_guessed(text, degree):
    assert read_degree(text) == degree


@given(st.text())
def test_any_text_is_a_degree_or_none(text):
    assert read_degree(text) in (*DEGREES, None)


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("limited_angle", "artifacts"),
        ("Sparse View", "artifacts"),
        ("dark_spots_artifact", "artifacts"),
        ("object_rotation", "motion"),
        ("adjust-brightness", "intensity"),
        ("low_dose", "noise"),
        ("low_resolution", "resolution and blur"),
        ("none", None),
        ("something_new", None),
    ],
)
def test_the_category_of_a_type_is_looked_up(kind, category):
    assert read_category(kind) == category


def test_what_was_read_inferred_and_not_understood_is_said(write_tsv: Write):
    rows = [
        asked("1"),
        asked("2", "2", "sparse_view"),
        asked("3", "moderate", "something_new"),
        asked("4", "mild", "low_dose", answer="4"),
        asked("5", "", "none", answer="Streaks"),
    ]
    samples, source = load(write_tsv(rows, SIMULATED))
    assert [sample.task for sample in samples] == [Task.DEGRADATION] * 5
    assert [sample.severity for sample in samples] == ["L1", "L2", "L1", None, None]
    assert [sample.category for sample in samples] == ["noise", "artifacts", None, "noise", None]
    assert [sample.answer for sample in samples] == ["B", "B", "B", "E", "E"]
    use = source.columns
    assert use.read["severity"] == "degradation_severity"
    assert use.inferred["severity"] == (
        "degrees L0, L1 and L2 from '2', 'moderate', for 2 of 5 rows; "
        "nothing for 1 of 5 rows, whose values name no degree (L0, 0 or a word for it): 'mild'"
    )
    assert use.inferred["category"] == "from the type of degradation, for 3 of 5 rows"
    assert use.inferred["answer"].endswith("1 of 5 rows")
    assert "nobody here has seen its data" in use.inferred["MedQ-Deg"]
    assert use.absent == ()


def test_a_column_of_categories_wins_and_an_empty_cell_is_inferred(write_tsv: Write):
    rows = [asked("1", degradation_category="Acquisition"), asked("2", degradation_category="")]
    samples, source = load(write_tsv(rows, SIMULATED))
    assert [sample.category for sample in samples] == ["Acquisition", "noise"]
    assert source.columns.read["category"] == "degradation_category"
    assert source.columns.inferred["category"].endswith("for 1 of 2 rows")


def test_of_good_files_nothing_is_guessed_and_that_is_said(write_tsv: Write):
    path = write_tsv([{**question(str(at), D="Rings"), "E": "Streaks"} for at in range(3)], GOOD)
    name = parse_dataset_name("MedQDeg_good_test")
    for data in (path, path.parent):
        samples = load_dataset(name, data).samples
        assert {(sample.task, sample.severity) for sample in samples} == {(Task.DEGRADATION, None)}
    _, source = load(path)
    assert "presumably originals (L0)" in source.columns.inferred["severity"]
    assert source.columns.absent == ("category", "degradation", "source")


def test_the_folder_of_the_environment_serves_both_benchmarks(write_tsv: Write, monkeypatch):
    path = write_tsv([asked()], SIMULATED)
    monkeypatch.setenv("MEDQBENCH_DATA", str(path.parent))
    sample_set = load_dataset(parse_dataset_name("MedQDeg_simulate_test"))
    assert (sample_set.sources[Task.DEGRADATION].origin, len(sample_set.samples)) == ("folder", 1)


PLAIN = {name: text for name, text in question().items() if name != "question_type"}


@pytest.mark.parametrize(
    ("name", "rows", "task"),
    [
        ("x", [asked("1", "L2")], Task.DEGRADATION),
        ("x", [asked("1", "", question_type="What"), asked("2", "L0", question_type="How")], Task.DEGRADATION),
        ("x", [asked("1", "")], Task.DEGRADATION),  # five options beside a degradation
        ("x", [{**asked("1", "0"), "E": ""}], Task.DEGRADATION),
        ("x", [{**PLAIN, "degradation": "noise", "severity": text} for text in "012"], Task.DEGRADATION),
        ("x", [{**PLAIN, "degradation": "noise", "severity": text} for text in "0123"], Task.PERCEPTION),
        ("x", [{**PLAIN, "severity": "1"}], Task.PERCEPTION),
        ("x", [{**PLAIN, "E": "Streaks"}], Task.PERCEPTION),
        ("x", [asked("1", "severe", question_type="What")], Task.PERCEPTION),
        ("MedQ-Robust-good-dev", [PLAIN], Task.DEGRADATION),
        ("M_MedQDEGBench_good_dev", [PLAIN], Task.DEGRADATION),
        ("MedQDeg_good_dev", [{**PLAIN, "question_type": "What"}], Task.PERCEPTION),
    ],
)
def test_the_task_is_told_by_columns_and_degrees(write_tsv: Write, name: str, rows, task: Task):
    rows = [{**row, "index": str(at)} for at, row in enumerate(rows)]
    assert load(write_tsv(rows, f"{name}.tsv"))[0][0].task is task
    replies = [{"prediction": "B", **row} for row in rows]
    told, samples, _ = samples_from_table(read_predictions(Path(write_tsv(replies, f"{name}.tsv"))))
    assert (told, {sample.task for sample in samples}) == (task, {task})


def test_rows_are_paired_by_the_names_in_the_file_also_where_images_are_converted(write_tsv: Write, tmp_path):
    rows = []
    for at, degree in enumerate(("L0", "L1")):
        (tmp_path / degree).mkdir()
        for n in range(2):
            Image.new("I;16", (120, 120), 1000 * n + at).save(tmp_path / degree / f"{n}.png")
            rows.append(asked(f"{degree}{n}", degree, image="", image_path=f"{degree}/{n}.png", window="0,4095"))
    path = write_tsv(rows, SIMULATED)
    paired = {2: (0, "image name"), 3: (1, "image name")}
    for images in (ImageStore.default(), KeptImages(), None):
        assert pairs_of(load_table(path, None, images)[0]) == paired
