"""Spellings of values and of column names."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import SEVERITIES, Task
from medqbench_vlmeval.data import load
from medqbench_vlmeval.data.columns import (
    ACCEPTED,
    find_columns,
    infer_question_type,
    read_difficulty,
    read_modality,
    read_named,
    read_question_type,
    read_scope,
    read_severity,
)
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import Write, question

MODALITIES = {
    "CT": "ct; CT scan; Computed Tomography; low-dose CT",
    "MRI": "MR; mri; Brain_MRI; Magnetic Resonance Imaging",
    "Histopathology": "pathology; Histology; WSI; digital-pathology",
    "Endoscopy": "colonoscopy; Endoscopic image",
    "Fundus": "retina; CFP; Color fundus photography",
}
# What the benchmark does not know, and what names two, stays as it is written.
AS_WRITTEN = "PET/CT; Retinal OCT; CT and MRI; Chest X-ray; Ultrasound; spectrum"
SEVERITY_WORDS = {
    "none": "none; No; no degradation; Without artifacts; clean",
    "mild": "mild; Slight; minor distortion",
    "moderate": "MODERATE",
    "severe": "severe_degradation; heavy; Serious",
    # Never a guess.
    None: "0; 1; 2; level 3; mild to severe; not severe; yes; no blur; ",
}


def spellings(table):
    return [(text, value) for value, texts in table.items() for text in texts.split("; ")]


@pytest.mark.parametrize(
    ("text", "modality"), spellings(MODALITIES) + [(text, text) for text in AS_WRITTEN.split("; ")]
)
def test_modality(text: str, modality: str) -> None:
    assert read_modality(text) == modality


@pytest.mark.parametrize(("text", "severity"), spellings(SEVERITY_WORDS))
def test_severity(text: str, severity: str | None) -> None:
    assert read_severity(text) == severity


@given(st.text(st.characters(categories=["N", "P", "Z", "S"])))
def test_a_text_without_words_is_no_severity(text: str) -> None:
    assert read_severity(text) is None


def test_scope_and_difficulty() -> None:
    scopes = {"general": "General", "both": "both"}
    scopes["modality-specific"] = "modality specific; Modality-Specific; medical-specific"
    assert all(read_scope(text) == scope for text, scope in spellings(scopes))
    levels = {"coarse-grained": "coarse; Coarse-grained", "fine-grained": "fine_grained; FineGrained", "easy": "easy"}
    assert all(read_difficulty(text) == level for text, level in spellings(levels))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, ("Yes-or-No", None, None)) for text in ("Yes-or-No", "yes_or_no", "Yes/No", "YesOrNo", "yesno")),
        *((text, ("Yes-or-No", None, None)) for text in ("y-n", "binary", "Y/N question")),
        *((text, ("What", None, None)) for text in ("WHAT", "which")),
        *((text, ("How", None, None)) for text in ("how", "How_question")),
        ("general_yes_or_no_mild", ("Yes-or-No", "mild", "general")),
        ("modality-specific what severe", ("What", "severe", "modality-specific")),
        ("how_no_degradation", ("How", "none", None)),
        ("yes_or_no_none", ("Yes-or-No", "none", None)),
        *((text, (None, None, None)) for text in ("what/how", "type 1", "CT", "")),
    ],
)
def test_question_type(text: str, expected: tuple[str | None, str | None, str | None]) -> None:
    assert read_question_type(text) == expected


@given(st.text(max_size=40))
def test_question_type_of_any_text_is_in_the_vocabulary(text: str) -> None:
    question_type, severity, _ = read_question_type(text)
    assert question_type in {"Yes-or-No", "What", "How", None}
    assert severity in {*SEVERITIES, None}


@pytest.mark.parametrize(
    ("question", "options", "expected"),
    [
        ("Is it blurred?", ("Yes", "No"), "Yes-or-No"),
        ("What? Is it blurred?", ("no.", "YES"), "Yes-or-No"),
        ("What is wrong?", ("Blur", "Noise"), "What"),
        ("Which artifact is it?", ("Blur", "Noise"), "What"),
        ("How is the quality?", ("Good", "Usable", "Reject"), "How"),
        ("In this scan, how severe is what you see?", ("Mild", "Severe"), "How"),
        ("Look closely: which one, and how?", ("a", "b"), "What"),
        ("However it was made, is it sharp?", ("Yes, it is", "No, it is not"), "Other"),
        ("Rate the quality.", ("Good", "Reject"), "Other"),
        ("Is it blurred?", ("Yes", "No", "Unsure"), "Other"),
    ],
)
def test_inferred_question_type(question: str, options: tuple[str, ...], expected: str) -> None:
    assert infer_question_type(question, dict(zip("ABCD", options, strict=False))) == expected


def test_columns_by_priority_in_any_spelling() -> None:
    header = ("Image Modality", "ID", "INDEX", "Question-Type", "category", "degradation level", "option_A", "notes")
    columns = find_columns(header, ("index", "modality", "question_type", "severity", "A", "source"))
    names = {"index": "INDEX", "modality": "Image Modality", "question_type": "Question-Type", "A": "option_A"}
    assert columns.names == {**names, "severity": "degradation level"}
    assert columns.ignored == ("ID", "category", "notes")


HEADER = ("nr", "Frage", "A", "B", "gold", "Note, final", "severity", "bild")


def test_named_columns_come_first_and_are_told_from_those_that_were_found() -> None:
    named = read_named('index=nr, Question = frage,answer=GOLD,"severity=Note, final"')
    assert named == {"index": "nr", "question": "frage", "answer": "GOLD", "severity": "Note, final"}
    columns = find_columns(HEADER, ("index", "question", "A", "B", "answer", "severity", "scope"), named)
    # The file's own 'severity' column loses its meaning and is ignored.
    assert columns.names == {
        "index": "nr", "question": "Frage", "A": "A", "B": "B", "answer": "gold", "severity": "Note, final",
    }  # fmt: skip
    assert columns.named == ("index", "question", "answer", "severity")
    assert columns.ignored == ("severity", "bild")
    # A column that is named for one meaning is free for no other one: 'A' has none then.
    assert find_columns(HEADER, ("A", "B"), {"B": "A"}).names == {"B": "A"}
    assert find_columns(HEADER, ("scope",), {"question": "Frage"}).named == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sevrity=grade", "--columns: 'sevrity' is no meaning of a column. Did you mean 'severity'?"),
        ("=grade", "'' is no meaning of a column. Meanings: index, question,"),
        ("severity", "name one column of its own for 'severity'"),
        ("severity= ", "name one column of its own for 'severity'"),
        ("severity=a,Severity=b", "name one column of its own for 'severity'"),
        ("severity=a,scope=a", "name one column of its own for 'scope'"),
    ],
)
def test_names_that_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(BadInput) as error:
        read_named(text)
    assert words in str(error.value)


def test_a_named_column_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(
        BadInput, match=r"x\.tsv: the column 'Farge', named for 'question', is not there\. Did you mean 'F"
    ):
        find_columns(HEADER, ("question",), {"question": "Farge"}, Path("x.tsv"))
    with pytest.raises(BadInput, match=r"'###', named for 'scope', is not there\. Columns there: nr, F"):
        find_columns((*HEADER, "!!!"), ("scope",), {"scope": "###"})
    with pytest.raises(BadInput, match="the column 'GOLD', named for 'answer', is named for another meaning too"):
        find_columns(HEADER, ("question", "answer"), {"question": "gold", "answer": "GOLD"})


@given(st.dictionaries(st.sampled_from(sorted(ACCEPTED)), st.text("aZ9 ,=\"'é", min_size=1, max_size=8).map(str.strip)))
def test_what_csv_writes_is_read_again_or_refused(named: dict[str, str]) -> None:
    line = io.StringIO()
    csv.writer(line).writerow(f"{meaning}={column}" for meaning, column in named.items())
    if all(named.values()) and len(set(named.values())) == len(named):
        assert read_named(line.getvalue()) == named
    else:
        with pytest.raises(BadInput):
            read_named(line.getvalue())


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40))
def test_any_text_names_columns_or_is_bad_input(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert set(read_named(text)) <= set(ACCEPTED)


def renamed(**cells: str) -> dict[str, str]:
    row = question(severity="mild", **cells)
    return {{"question": "Frage", "severity": "grade"}.get(name, name): cell for name, cell in row.items()}


def test_a_data_file_is_read_by_option_by_environment_or_not_at_all(
    write_tsv: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tsv([renamed()])
    with pytest.raises(BadInput, match="the columns fit no task"):
        load_file(path)
    named = {"question": "Frage", "severity": "grade"}
    loaded = load_file(path, named=named)
    assert (loaded.samples[0].question, loaded.samples[0].severity) == ("What is the most visible artifact?", "mild")
    assert loaded.sources[Task.PERCEPTION].columns.named == ("question", "severity")
    monkeypatch.setenv("MEDQBENCH_COLUMNS", "question=Frage,severity=grade")
    assert load_file(path).samples == loaded.samples
    # An option, also an empty one, takes the variable's place; the embedded set knows its columns.
    with pytest.raises(BadInput, match="the columns fit no task"):
        load_file(path, named={})
    assert load("MedQBench_Perception_mini").sources[Task.PERCEPTION].columns.named == ()
    monkeypatch.setenv("MEDQBENCH_COLUMNS", "severty=grade")
    with pytest.raises(BadInput, match=r"MEDQBENCH_COLUMNS: 'severty' is no meaning of a column\. Did you mean 'sever"):
        load_file(path)
