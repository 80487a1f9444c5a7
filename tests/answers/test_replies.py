"""The labelled replies: every one of them is read as the label says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from medqbench_vlmeval.answers import extract, extract_choice

ROWS = [json.loads(line) for line in (Path(__file__).parent / "replies.jsonl").read_text(encoding="utf-8").splitlines()]
STYLES = sorted({row["style"] for row in ROWS})


@pytest.mark.parametrize("style", STYLES)
def test_replies_of_a_style_are_read_as_labelled(style: str) -> None:
    wrong = [
        (row["reply"], row["expected"], extract(row["reply"], row["options"]))
        for row in ROWS
        if row["style"] == style and extract_choice(row["reply"], row["options"]) != row["expected"]
    ]
    assert wrong == []


def test_the_set_is_large_and_varied() -> None:
    assert len(ROWS) >= 450
    assert len(STYLES) >= 12
    labels = Counter(row["expected"] for row in ROWS)
    assert labels[None] >= 300
    assert min(labels[letter] for letter in "ABCD") >= 15


def test_labels_are_letters_of_their_options() -> None:
    assert all(row["expected"] is None or row["expected"] in row["options"] for row in ROWS)
