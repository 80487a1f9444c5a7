"""``docs/data.schema.json`` says what a row of a loaded dataset is: held against the records and the embedded sets."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from medqbench_vlmeval.benchmark import DEGREES, OPTION_LETTERS, OTHER_QUESTION_TYPE, QUESTION_TYPES, SEVERITIES, Task
from medqbench_vlmeval.data import load
from medqbench_vlmeval.data.columns import AXES, DEGRADATION_AXES
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.types import ImageForm, Sample
from tests.data.rows import Write, question

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "data.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def row_of(sample: Sample) -> dict[str, Any]:
    """A sample as a row of a table: options in columns of their own, nothing of what the file calls its images."""
    row = {
        **asdict(sample),
        **sample.options,
        "task": sample.task.value,
        "images": [str(path) for path in sample.images],
    }
    del row["options"], row["image_refs"]
    return json.loads(json.dumps(row))


def test_the_schema_names_what_the_records_hold() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    described = SCHEMA["properties"]
    names = {field.name for field in fields(Sample)} - {"options", "image_refs"}
    assert set(described) == names | set(OPTION_LETTERS)
    assert set(described) >= {*AXES, *DEGRADATION_AXES}
    assert described["task"]["enum"] == [task.value for task in Task if task is not Task.REASONING]
    assert described["answer"]["enum"] == [*OPTION_LETTERS, None]
    assert described["question_type"]["enum"] == [*QUESTION_TYPES, OTHER_QUESTION_TYPE, None]
    assert described["severity"]["enum"] == [*SEVERITIES, *DEGREES, None]
    forms = described["image_forms"]["items"]["properties"]
    assert list(forms) == [field.name for field in fields(ImageForm)]


@pytest.mark.parametrize("images", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["MedQBench_Perception_mini", "MedQBench_Reasoning_mini", "MedQDeg_mini"])
def test_every_row_of_the_embedded_sets_is_one(name: str, images: bool) -> None:
    samples = load(name, images=images).samples
    assert len(samples) >= 40
    for sample in samples:
        VALIDATOR.validate(row_of(sample))
    assert images == bool(row_of(samples[0])["image_forms"])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "severity": st.sampled_from(["", "3", "mild", "Severe!", "L1", "none"]),
            "question_type": st.sampled_from(["", "yes_or_no", "?", "how"]),
            "modality": st.sampled_from(["", "ct", "X-ray", "[b]"]),
            "scope": st.text("abG ", max_size=5),
            "E": st.sampled_from(["", "x"]),
        },
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_file_says_its_rows_are_such(write_tsv: Write, cells: dict[str, str]) -> None:
    samples = load_file(write_tsv([question("1", **cells)])).samples
    VALIDATOR.validate(row_of(samples[0]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": ""},
        {"task": "reasoning"},
        {"answer": None},
        {"answer": "F"},
        {"question": None},
        {"severity": "L1"},
        {"description": "Sharp."},
        {"more": 1},
        {"images": None},
        {"A": ""},
        {"image_forms": [{"width": 0, "height": 1, "mode": "L", "format": "PNG"}]},
    ],
)
def test_what_is_no_row(wrong: dict[str, Any]) -> None:
    good = row_of(Sample("1", Task.PERCEPTION, "Is it?", {"A": "Yes", "B": "No"}, "A", severity="mild"))
    assert VALIDATOR.is_valid(good)
    assert not VALIDATOR.is_valid({**good, **wrong})


def test_a_description_has_no_options_and_as_many_images_as_its_task() -> None:
    good = row_of(Sample("1", Task.NO_REFERENCE, None, description="Sharp.", images=(Path("/a"),)))
    assert VALIDATOR.is_valid(good)
    for wrong in ({"A": "x"}, {"answer": "A"}, {"description": None}, {"images": ["/a", "/b"]}):
        assert not VALIDATOR.is_valid({**good, **wrong})
    assert VALIDATOR.is_valid({**good, "task": "comparative", "images": ["/a", "/b"]})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MedQBench_Reasoning_mini", "MedQDeg_mini"])
def test_a_dataset_has_the_columns_of_the_schema(name: str) -> None:
    pytest.importorskip("datasets")
    columns = set(load(name, images=True).to_dataset().column_names)
    assert {"index", "task", "images"} <= columns <= set(SCHEMA["properties"])
