"""What a prompt's text says: option lists in several dresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.baselines.chance import parse_options, read_message

OFFICIAL = (
    "Question: Is it sharp?\nOptions:\nA. Yes\nB. No\nPlease select the correct answer from the options above. \n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OFFICIAL, {"A": "Yes", "B": "No"}),
        ("Is it sharp?\nA) Yes\nB) No", {"A": "Yes", "B": "No"}),
        ("Is it sharp?\n(A) Yes\n(B) No\n(C) Unsure", {"A": "Yes", "B": "No", "C": "Unsure"}),
        ("Is it sharp? (A) Yes (B) No", {"A": "Yes", "B": "No"}),
        ("Is it sharp?\n  A: Yes\n  B: No\n", {"A": "Yes", "B": "No"}),
        ("清晰吗？\nA．是\nB．否", {"A": "是", "B": "否"}),
        ("A. is a letter here, nothing more", {}),
        ("Describe the image in 3-5 sentences.", {}),
        ("B. No\nA. Yes", {}),
        ("A. Mild\nB. Dr. A. Smith\nC. Severe", {"A": "Mild", "B": "Dr. A. Smith", "C": "Severe"}),
    ],
)
def test_options(text: str, expected: dict[str, str]) -> None:
    assert parse_options(text) == expected


words = st.text("abcdefgh xyz", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(words, min_size=2, max_size=4), st.sampled_from(["{0}. {1}", "{0}) {1}", "({0}) {1}", "{0}: {1}"]))
def test_any_listed_options_are_prompt(texts: list[str], style: str) -> None:
    expected = dict(zip("ABCD", texts, strict=False))
    lines = "\n".join(style.format(letter, text) for letter, text in expected.items())
    assert parse_options(f"Question: what is it?\nOptions:\n{lines}\nAnswer with a letter.") == expected


def test_parts_and_question() -> None:
    parts = ("image", "one.png"), ("image", "two.png"), ("text", OFFICIAL)
    prompt = read_message([{"type": kind, "value": value} for kind, value in parts])
    assert prompt.images == ("one.png", "two.png")
    assert "Is it sharp?" in prompt.question
    assert "Yes" not in prompt.question


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    prompt = read_message([{"type": "text", "value": text}])
    assert prompt.images == ()
    assert list(prompt.options) == list("ABCDEFGH")[: len(prompt.options)]
