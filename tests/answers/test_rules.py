"""Which rule decides, and what stands in its place where there is no letter."""

from __future__ import annotations

import pytest

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.types import Answer

KINDS = {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}
YES_NO = {"A": "Yes", "B": "No"}


@pytest.mark.parametrize(
    ("reply", "letter", "rule"),
    [
        ("B", "B", "whole reply"),
        ("B. Noise", "B", "whole reply"),
        ("noise", "B", "whole reply"),
        ("\\boxed{B}", "B", "whole reply"),
        ("The answer is B.", "B", "stated answer"),
        ("I would go with B.", "B", "chosen answer"),
        ("The texture is grainy, so B", "B", "concluded letter"),
        ("B is correct.", "B", "letter called right"),
        ("It is grainy.\n\nB", "B", "answer on its own line"),
        ("B. because A is wrong", "B", "leading letter"),
        ("There is a lot of noise.", "B", "option text"),
        ("<think>Grain.\n\nFinal answer: \\boxed{B}", "B", "answer that ends a thought"),
    ],
)
def test_rule_that_decides(reply: str, letter: str, rule: str) -> None:
    assert extract(reply, KINDS) == Answer(letter, rule)


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        ("", "empty"),
        ("\u200b \x00", "empty"),
        ("A and B", "several answers"),
        ("Answer: E", "letter outside the options"),
        ("B. Blur", "letter and text disagree"),
        ("A. Motion artifacts\nB. Noise\nC. Blur", "options listed"),
        ("I'm sorry, I can't assist with medical images.", "refusal"),
        ("<think>Let me look at", "thought without an answer"),
        ("Failed to obtain answer via API.", "no reply"),
        ("A CT scan.", "no answer"),
    ],
)
def test_reason_for_no_letter(reply: str, rule: str) -> None:
    assert extract(reply, KINDS) == Answer(None, rule)


def test_yes_and_no_are_read_at_the_start_of_a_sentence() -> None:
    assert extract("No motion artifacts are visible.", YES_NO) == Answer("B", "yes or no")


def test_evil_options_do_not_confuse_letters_with_texts() -> None:
    assert extract("A", {"A": "B", "B": "A"}).letter == "A"
    assert extract("D", {"A": "Yes", "D": "None"}).letter == "D"
    assert extract("None", {"A": "Yes", "D": "None"}).letter == "D"
    assert extract("Noise", {"A": "Noise", "B": "Noise"}).letter is None


def test_no_options_no_letter() -> None:
    assert extract("A", {}).letter is None


@pytest.mark.parametrize(
    ("reply", "letter", "rule"),
    [
        ('{"A": false, "B": true, "C": false}', "B", "options as data"),
        ("噪声", "B", "text in another language"),
        ("Motion and blur are excluded. Only B remains.", "B", "option that is left"),
        (
            "A. Motion artifacts: no ghosts.\nB. Noise: grain, so this is right.\nC. Blur: no.",
            "B",
            "explanation called right",
        ),
        ("A. Motion artifacts: ghosts.\nB. Noise: grain.\nC. Blur: soft", None, "options listed"),
        ("If the grain were texture, C would be correct.", None, "no answer"),
    ],
)
def test_rules_for_rarer_forms(reply: str, letter: str | None, rule: str) -> None:
    assert extract(reply, KINDS) == Answer(letter, rule)


@pytest.mark.parametrize(
    ("reply", "letter", "rule"),
    [
        ("At first B. But the edges are doubled, so I am changing my answer to A.", "A", "changed answer"),
        ("I see no reason to change my answer to B.", None, "no answer"),
        ("~~B. Noise~~ → A. Motion artifacts", "A", "concluded letter"),
        ("不是A，而是B。", "B", "stated answer"),
        ("A and C were both wrong. The one that explains the grain is B.", "B", "option singled out"),
        ("Not enough ghosts for A, too crisp for C: B.", "B", "letter that ends the reply"),
        ("I can exclude the following: A.", None, "no answer"),
        ("不是模糊，画面上的颗粒是噪声。", "B", "text in another language"),
        ('{"options": {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}, "selected": "B"}', "B", "options as data"),
    ],
)
def test_rules_for_answers_that_replace_others(reply: str, letter: str | None, rule: str) -> None:
    assert extract(reply, KINDS) == Answer(letter, rule)


def test_an_option_about_letters_is_a_text() -> None:
    options = {"A": "Noise", "B": "Streaks", "C": "Both A and B", "D": "Neither A nor B"}
    assert extract("Both A and B", options).letter == "C"
    assert extract("The answer is both A and B.", options).letter == "C"
    assert extract("It is not both A and B, only B.", options).letter == "B"
    assert extract("The answer is both A and B.", KINDS).letter is None
