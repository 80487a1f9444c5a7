"""Spellings of values and of column names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import SEVERITIES
from medqbench_vlmeval.data.columns import (
    find_columns,
    infer_question_type,
    read_difficulty,
    read_modality,
    read_question_type,
    read_scope,
    read_severity,
)

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
    value = read_question_type(text)
    assert (value.question_type, value.severity, value.scope) == expected


@given(st.text(max_size=40))
def test_question_type_of_any_text_is_in_the_vocabulary(text: str) -> None:
    value = read_question_type(text)
    assert value.question_type in {"Yes-or-No", "What", "How", None}
    assert value.severity in {*SEVERITIES, None}


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
