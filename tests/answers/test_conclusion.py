"""The levels and preferences that descriptions conclude with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.answers.conclusion import preference, quality_level

ROWS = [
    json.loads(line) for line in (Path(__file__).parent / "conclusions.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"][:40])
def test_the_level_or_the_image_that_is_stated(row: dict[str, str | int | None]) -> None:
    read = quality_level if row["kind"] == "level" else preference
    assert read(row["text"]) == row["conclusion"]


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert quality_level(text) in ("good", "usable", "reject", None)
    assert preference(text) in (1, 2, "same", None)


@given(
    st.sampled_from(["good", "usable", "reject"]), st.text(alphabet="abc xyz,\n").filter(lambda text: "." not in text)
)
def test_the_benchmarks_own_closing_sentence_is_read_behind_any_text(level: str, before: str) -> None:
    assert quality_level(f"{before}.\nOverall, the quality of this image is {level}.") == level


@given(st.sampled_from([("first", 1), ("second", 2)]), st.sampled_from(["better", "of higher quality", "superior"]))
def test_a_worse_image_means_that_the_other_is_preferred(name: tuple[str, int], better: str) -> None:
    assert preference(f"The {name[0]} image is {better}.") == name[1]
    assert preference(f"The {name[0]} image is not {better}.") == 3 - name[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["quality ", "quality is ", "image is ", "not ", "a ", "good quality ", "image 1 better ", "x"]
)
def test_long_texts_take_work_in_proportion(unit: str) -> None:
    """Patterns that backtrack would need hours on these: it is enough that this returns."""
    text = unit * (100_000 // len(unit))
    assert quality_level(text) in ("good", None)
    assert preference(text) in (1, None)
