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
from medqbench_vlmeval.data.samples import read_answer


@pytest.mark.parametrize(
    ("text", "modality"),
    [
        ("ct", "CT"),
        ("CT scan", "CT"),
        ("Computed Tomography", "CT"),
        ("low-dose CT", "CT"),
        ("MR", "MRI"),
        ("mri", "MRI"),
        ("Brain_MRI", "MRI"),
        ("Magnetic Resonance Imaging", "MRI"),
        ("pathology", "Histopathology"),
        ("Histology", "Histopathology"),
        ("WSI", "Histopathology"),
        ("digital-pathology", "Histopathology"),
        ("colonoscopy", "Endoscopy"),
        ("Endoscopic image", "Endoscopy"),
        ("retina", "Fundus"),
        ("CFP", "Fundus"),
        ("Color fundus photography", "Fundus"),
        # What the benchmark does not know, and what names two, stays as it is written.
        ("PET/CT", "PET/CT"),
        ("Retinal OCT", "Retinal OCT"),
        ("CT and MRI", "CT and MRI"),
        ("Chest X-ray", "Chest X-ray"),
        ("Ultrasound", "Ultrasound"),
        ("spectrum", "spectrum"),
    ],
)
def test_modality(text: str, modality: str) -> None:
    assert read_modality(text) == modality


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("none", "none"),
        ("No", "none"),
        ("no degradation", "none"),
        ("Without artifacts", "none"),
        ("clean", "none"),
        ("mild", "mild"),
        ("Slight", "mild"),
        ("minor distortion", "mild"),
        ("MODERATE", "moderate"),
        ("severe_degradation", "severe"),
        ("heavy", "severe"),
        ("Serious", "severe"),
        # Never a guess.
        ("0", None),
        ("1", None),
        ("2", None),
        ("level 3", None),
        ("mild to severe", None),
        ("not severe", None),
        ("yes", None),
        ("no blur", None),
        ("", None),
    ],
)
def test_severity(text: str, severity: str | None) -> None:
    assert read_severity(text) == severity


@given(st.text(st.characters(categories=["N", "P", "Z", "S"])))
def test_a_text_without_words_is_no_severity(text: str) -> None:
    assert read_severity(text) is None


def test_scope_and_difficulty() -> None:
    assert [read_scope(text) for text in ("General", "modality specific", "Modality-Specific", "medical-specific")] == [
        "general",
        "modality-specific",
        "modality-specific",
        "modality-specific",
    ]
    assert read_scope("both") == "both"
    assert [read_difficulty(text) for text in ("coarse", "Coarse-grained", "fine_grained", "FineGrained", "easy")] == [
        "coarse-grained",
        "coarse-grained",
        "fine-grained",
        "fine-grained",
        "easy",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes-or-No", ("Yes-or-No", None, None)),
        ("yes_or_no", ("Yes-or-No", None, None)),
        ("Yes/No", ("Yes-or-No", None, None)),
        ("YesOrNo", ("Yes-or-No", None, None)),
        ("yesno", ("Yes-or-No", None, None)),
        ("y-n", ("Yes-or-No", None, None)),
        ("Y/N question", ("Yes-or-No", None, None)),
        ("binary", ("Yes-or-No", None, None)),
        ("WHAT", ("What", None, None)),
        ("which", ("What", None, None)),
        ("how", ("How", None, None)),
        ("How_question", ("How", None, None)),
        ("general_yes_or_no_mild", ("Yes-or-No", "mild", "general")),
        ("modality-specific what severe", ("What", "severe", "modality-specific")),
        ("how_no_degradation", ("How", "none", None)),
        ("yes_or_no_none", ("Yes-or-No", "none", None)),
        ("what/how", (None, None, None)),
        ("type 1", (None, None, None)),
        ("CT", (None, None, None)),
        ("", (None, None, None)),
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


OPTIONS = {"A": "Blur", "B": "Noise", "C": "None"}


@pytest.mark.parametrize(
    ("cell", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" B. ", "B"),
        ("(c)", "C"),
        ("0", "A"),
        ("2", "C"),
        ("2.0", "C"),
        ("Noise", "B"),
        (" None ", "C"),
        ("D", None),
        ("3", None),
        ("-1", None),
        ("4", None),
        ("1.5", None),
        ("noise", None),
        ("", None),
        ("nan", None),
        ("A or B", None),
    ],
)
def test_answer(cell: str, letter: str | None) -> None:
    assert read_answer(cell, OPTIONS) == letter


def test_answer_text_of_two_options_is_none() -> None:
    assert read_answer("Blur", {"A": "Blur", "B": "Blur"}) is None


def test_columns_by_priority_in_any_spelling() -> None:
    header = ("Image Modality", "ID", "INDEX", "Question-Type", "category", "degradation level", "option_A", "notes")
    columns = find_columns(header, ("index", "modality", "question_type", "severity", "A", "source"))
    assert columns.names == {
        "index": "INDEX",
        "modality": "Image Modality",
        "question_type": "Question-Type",
        "severity": "degradation level",
        "A": "option_A",
    }
    assert columns.ignored == ("ID", "category", "notes")
