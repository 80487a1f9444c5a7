"""The confidence that a reply states: read as a number, never guessed, and no trap for the reader of letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.answers import extract_choice, read_confidence

OPTIONS = {"A": "High noise", "B": "Low contrast", "C": "Motion", "D": "None", "E": "Blur"}


@pytest.mark.parametrize(
    ("reply", "percent"),
    [
        ("Answer: B\nConfidence: 85%", 85),
        ("**Answer:** B\n**Confidence:** 85 %", 85),
        ("Answer: \\boxed{B}\nConfidence: \\boxed{85\\%}", 85),
        ("<answer>B</answer><confidence>85</confidence>", 85),
        ('{"answer": "B", "confidence": 0.9}', 90),
        ('{"answer": "B", "confidence_score": "90%"}', 90),
        ("Answer: B\nConfidence: 0.85", 85),
        ("Answer: B\nConfidence: 0,85", 85),
        ("Answer: B\nConfidence: 85/100", 85),
        ("Answer: B\nConfidence level: 8.5 out of 10", 85),
        ("Answer: B\nConfidence (1-10): 8", 80),
        ("Answer: B\nConfidence (0-100): 8", 8),
        ("Answer: B\nConfidence: about 85 percent.", 85),
        ("B (90% sure)", 90),
        ("I am 85% confident that the answer is B.", 85),
        ("Answer: B\nConfidence: 0", 0),
        ("Answer: B\nConfidence: 1.0", 100),
        ("Answer: B\nConfidence: 0.5%", 0.5),
        ("答案：B\n置信度：85%", 85),
        ("Answer: B\nConfidence: ８５％", 85),
        ("I am 70% sure of noise.\nAnswer: B\nConfidence: 85%", 85),
        ("<think>Confidence: 20%</think>Answer: B\nConfidence: 85%", 85),
        ("Answer: B\nConfidence: 85\n- 3 signs of it", 85),
    ],
)
def test_numbers_are_read_in_many_forms(reply, percent):
    assert read_confidence(reply) == pytest.approx(percent)
    assert extract_choice(reply, OPTIONS) == "B"


@pytest.mark.parametrize(
    "said",
    ["high", "N%", "80-90%", "80% to 90%", "80 to 90", "85% +/- 5", "150%", "-5%", "1", "8", "<50%", "90/0", "1000"],
)
def test_words_ranges_and_numbers_without_a_scale_are_not_guessed_at(said):
    reply = f"Answer: B\nConfidence: {said}"
    assert read_confidence(reply) is None
    assert extract_choice(reply, OPTIONS) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Answer: B",
        "The noise is 85% stronger.",
        "<think>Confidence: 85%",
        "Overconfidence: 85%",
        "I am not 100% sure, but the answer is B.",
        "B. I can't be 100% certain.",
        "B. I’m not entirely 100% sure.",
        "I am less than 50% confident in B.",
        "I am at least 80% sure: B",
        "The 95% confidence interval is wide.",
        "A: confidence 10%\nB: confidence 80%",
    ],
)
def test_other_numbers_are_no_confidence_and_of_several_values_none_counts(reply):
    assert read_confidence(reply) is None


@given(st.integers(0, 100), st.sampled_from("ABCDE"))
def test_the_asked_form_gives_both_back(percent, letter):
    reply = f"Answer: {letter}\nConfidence: {percent}%"
    assert read_confidence(reply) == percent
    assert extract_choice(reply, OPTIONS) == letter


@given(st.text() | st.from_regex(r"(?:confidence|sure|%|[0-9./:()\- ]){0,12}", fullmatch=True))
def test_of_any_text_comes_a_percentage_or_nothing(reply):
    value = read_confidence(reply)
    assert value is None or 0 <= value <= 100
