from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.prompts import STYLES, build_text, check_style, style_hash
from medqbench_vlmeval.types import Sample


def question(text: str | None = "What is seen?", **options: str) -> Sample:
    return Sample("7", Task.PERCEPTION, text, options or {"A": "Noise", "B": "Blur"})


def test_letter_asks_for_one_of_the_letters_that_there_are_and_reasoning_for_a_last_line() -> None:
    text = build_text(question("Is {options} {0} shown?", A="{text}", B="{letters}", D="Rings"), "letter")
    assert "Is {options} {0} shown?" in text
    assert "(A) {text}\n(B) {letters}\n(D) Rings" in text
    assert "(A, B or D)" in text
    assert build_text(question(), "reasoning").endswith("\nAnswer: X")
    text = build_text(question(A="Noise", B="Blur", E="Rings"), "confidence")
    assert "X is one of A, B or E" in text
    assert text.endswith("\nAnswer: X\nConfidence: N%")


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_survives_in_the_own_styles(asked: str, option: str) -> None:
    for style in ("letter", "reasoning", "confidence"):
        text = build_text(question(asked, A=option, B="x"), style)
        assert asked.strip() in text
        assert option.strip() in text


def test_a_reasoning_samples_own_question_wins_under_official_only() -> None:
    sample = Sample("1", Task.NO_REFERENCE, "Tell me about it.", description="d")
    assert build_text(sample, "official") == "Tell me about it."
    assert "Tell me about it." not in build_text(sample, "reasoning")


def test_what_a_style_cannot_say_is_refused() -> None:
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        for style in ("letter", "confidence"):
            with pytest.raises(BadInput, match=rf"'{style}' .* does not suit"):
                build_text(Sample("1", task, None), style)
    for style in STYLES:
        with pytest.raises(BadInput, match="sample 7 has no question"):
            build_text(question(None), style)
    with pytest.raises(BadInput, match=r"'oficial' is not a prompt style. Did you mean 'official'"):
        check_style("oficial")


@pytest.mark.needs_kit
def test_the_kits_prompt_is_not_put_where_it_leaves_an_option_out() -> None:
    five = question(A="Noise", B="Blur", E="Rings")
    with pytest.raises(BadInput, match=r"sample 7 has the option E, .* \(A, B, C, D alone\)"):
        build_text(five)
    assert "E. Rings" in build_text(replace(five, task=Task.DEGRADATION))


@pytest.mark.needs_kit
def test_each_style_and_task_has_its_own_hash() -> None:
    suits = {Task.PERCEPTION: STYLES, Task.DEGRADATION: ("official",)}
    pairs = [(style, task) for task in Task for style in suits.get(task, ("official", "reasoning"))]
    hashes = {style_hash(style, task) for style, task in pairs}
    assert len(hashes) == len(pairs) == 11
    # Our own wording is one for both kinds of questions.
    assert style_hash("confidence", Task.DEGRADATION) == style_hash("confidence", Task.PERCEPTION)
