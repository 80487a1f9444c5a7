"""Whole files to samples: what is read, what is inferred, and what is refused."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore, samples_sha256
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import Write, description, load, pair, question


def test_perception_file(write_tsv: Write) -> None:
    path = write_tsv(
        [
            question("1", question_type="what", severity="Mild", scope="general", note="x"),
            question("2", question_type="Yes/No", A="Yes", B="No", C="", answer="1", severity="2", scope="", note=""),
            question("3", question_type="kind 3", question="How bad?", answer="None", severity="", scope="", note=""),
        ]
    )
    samples, source = load(path, Task.PERCEPTION)
    first, second, third = samples
    assert first.options == {"A": "Blur", "B": "Noise", "C": "None"}
    assert (first.answer, first.question_type, first.severity, first.scope) == ("B", "What", "mild", "general")
    assert (second.options, second.answer) == ({"A": "Yes", "B": "No"}, "B")
    assert (second.question_type, second.severity, second.scope) == ("Yes-or-No", None, None)
    assert (third.answer, third.question_type, third.modality, third.source) == ("C", "How", "CT", None)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.n, source.origin, source.revision) == (3, "file", None)
    use = source.columns
    assert use.read["question_type"] == "question_type"
    assert use.read["image"] == "image"
    assert "for 1 of 3 rows" in use.inferred["question_type"]
    assert "'kind 3'" in use.inferred["question_type"]
    assert "for 1 of 3 rows" in use.inferred["answer"]
    assert "'2'" in use.inferred["severity"]
    assert use.absent == ("source", "difficulty", "degradation")
    assert use.ignored == ("note", "D")


def test_question_type_without_a_column_is_inferred_and_severity_is_not(write_tsv: Write) -> None:
    samples, source = load(write_tsv([question("1"), question("2", A="no", B="yes", C="")]), Task.PERCEPTION)
    assert [sample.question_type for sample in samples] == ["What", "Yes-or-No"]
    assert [sample.severity for sample in samples] == [None, None]
    assert "for 2 of 2 rows" in source.columns.inferred["question_type"]
    assert "question_type" not in source.columns.read
    assert "severity" in source.columns.absent


def test_severity_folded_into_the_question_type_is_read(write_tsv: Write) -> None:
    rows = [question("1", question_type="general_what_severe"), question("2", question_type="yes_or_no")]
    samples, source = load(write_tsv(rows), Task.PERCEPTION)
    assert [(sample.question_type, sample.severity, sample.scope) for sample in samples] == [
        ("What", "severe", "general"),
        ("Yes-or-No", None, None),
    ]
    assert source.columns.read["severity"] == "question_type"
    assert source.columns.read["scope"] == "question_type"


def test_option_texts_that_other_readers_lose(write_tsv: Write) -> None:
    options = {"A": "None", "B": "nan", "C": "NA", "D": "null"}
    assert load(write_tsv([question("1", answer="D", **options)]))[0][0].options == options


@pytest.mark.parametrize(
    ("rows", "task", "words"),
    [
        ([question("1"), question("2"), question("1")], Task.PERCEPTION, "rows 1 and 3 have the same index '1'"),
        ([question("1", answer="D")], Task.PERCEPTION, "row 1 (index '1'): the answer 'D' is not one of the options"),
        *(
            ([question("1", answer=cell)], Task.PERCEPTION, f"the answer '{cell}' is not one of the options")
            for cell in ("3", "-1", "4", "1.5", "noise", "", "nan", "A or B")
        ),
        # The text of two options names none.
        ([question("1", answer="Blur", B="Blur")], Task.PERCEPTION, "the answer 'Blur' is not one of the options"),
        ([question("1", B="", C="", D="")], Task.PERCEPTION, "a question needs at least two"),
        ([question("1", question=" ")], Task.PERCEPTION, "the question is empty"),
        ([description("1")], Task.PERCEPTION, "no column for the perception task's 'question'"),
        ([question("1")], Task.NO_REFERENCE, "no column for the no-reference task's 'description'"),
        ([pair("1")], Task.NO_REFERENCE, "belongs to pairs of images"),
        ([description("1")], Task.COMPARATIVE, "1 images, but the comparative task needs 2"),
        ([pair("1", image_b="")], Task.COMPARATIVE, "one image of the pair is missing (image_b is empty)"),
        ([{"index": "1", "description": "x"}], Task.NO_REFERENCE, "no column for the images"),
        ([{"index": "1", "text": "x"}], None, "Name them (--columns 'question=Frage')"),
        ([{"index;question;A": "1;x;y"}], None, "Separate columns by commas (.csv) or tabs (.tsv)"),
    ],
)
def test_a_bad_file_is_named(write_tsv: Write, rows, task: Task | None, words: str) -> None:
    path = write_tsv(rows)
    with pytest.raises(BadInput) as error:
        load(path, task)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_only_tables_and_only_with_rows(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"ends in \.tsv, \.csv, \.parquet, \.jsonl, not '\.xlsx'"):
        load(tmp_path / "a.xlsx", Task.PERCEPTION)
    (tmp_path / "b.tsv").write_text("index\tdescription\timage\n", encoding="utf-8")
    for task in (Task.NO_REFERENCE, None):
        with pytest.raises(BadInput, match="has a header but no rows"):
            load(tmp_path / "b.tsv", task)
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "c.tsv", Task.PERCEPTION)


def test_without_images_nothing_is_decoded(write_tsv: Write) -> None:
    path = write_tsv([question("1", image="not an image")])
    samples, source = load_table(path, Task.PERCEPTION, None)
    assert samples[0].images == ()
    assert source.columns.read["image"] == "image"
    assert not (ImageStore.default().root.parent.parent / "images").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_and_columns_changes_nothing(write_tsv: Write, seed: int) -> None:
    shuffled = random.Random(seed)
    rows = [question(str(at), severity=text) for at, text in enumerate(("mild", "severe", "", "none"))]
    expected, _ = load_table(write_tsv(rows), Task.PERCEPTION, None)
    columns = list(rows[0])
    shuffled.shuffle(columns)
    shuffled.shuffle(rows)
    spelled = write_tsv([{name.replace("_", "-").upper(): row[name] for name in columns} for row in rows])
    samples, source = load_table(spelled, Task.PERCEPTION, None)
    assert {sample.index: sample for sample in samples} == {sample.index: sample for sample in expected}
    assert samples_sha256(samples) == samples_sha256(expected)
    assert source.columns.ignored == ("D",)


@pytest.mark.parametrize(
    ("cell", "letter"),
    [
        *((cell, "A") for cell in ("0", "Blur")),
        *((cell, "B") for cell in ("B", "b", " B. ", "Noise")),
        *((cell, "C") for cell in ("(c)", "2", "2.0", " None ")),
    ],
)
def test_answer(write_tsv: Write, cell: str, letter: str) -> None:
    # Beside the options Blur, Noise and None.
    assert load_table(write_tsv([question("1", answer=cell)]), Task.PERCEPTION, None)[0][0].answer == letter
