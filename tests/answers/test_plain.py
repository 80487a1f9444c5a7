"""The cleaner that answers, verdicts and descriptions share."""

from __future__ import annotations

import pytest

from medqbench_vlmeval.answers import extract, plain
from medqbench_vlmeval.judge.verdict import parse_score
from medqbench_vlmeval.types import Answer


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\u200bb\ufeff\u2060", "ab"),
        ("a\x00b\ue000\ufffdc", "a b c"),
        ("a\r\nb\rc\u2028d_x000D_e", "a\nb\nc\nd\ne"),
        ("\x1b[1mB\x1b[0m", "B"),
        ("2\ufe0f\u20e3", "2"),
    ],
)
def test_what_a_reader_does_not_see_is_taken_out(text: str, cleaned: str) -> None:
    assert plain.clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("~~B~~ A", "  A"),
        ("<del>B</del>A", " A"),
        ("<s>B</s>A", " A"),
        ("B\u0336A", " A"),
        ("well~~ B ~~", "well~~ B ~~"),
    ],
)
def test_struck_words_are_taken_back(text: str, left: str) -> None:
    assert plain.without_struck(text) == left


def test_letters_in_any_dress_are_folded_and_units_are_not() -> None:
    assert plain.fold("Ａ Ⓑ 🄒 𝐃 【A】 А. 37 ℃") == "A B (C) D [A] A. 37 ℃"


@pytest.mark.parametrize(
    ("text", "answer", "thoughts", "spoken"),
    [
        ("B", "B", None, "B"),
        ("<think>x</think>B", "B", "<think>x", "B"),
        ("x</think>B", "B", "x", "B"),
        ("A<think>x</think>B", "B", "A<think>x", "AB"),
        ("A<think>x", "A", "x", None),
        ("<seed:think>x</seed:think>B<|begin_of_thought|>y", "B", "y", None),
        ("◁think▷x◁/think▷B", "B", "◁think▷x", "B"),
        ("[THINK]x[/THINK]B", "B", "[THINK]x", "B"),
        ("<|channel|>analysis<|message|>x<|channel|>final<|message|>B", "B", "<|channel|>analysis<|message|>x", "B"),
        ("## Thinking\nx\n## Final Response\nB", "\nB", "## Thinking\nx\n", "## Thinking\nx\n## Final Response\nB"),
        # A judge that quotes a tag of the answer, or calls it one, thinks nothing aloud.
        ("It has `<think>` in it. B", "It has `", "` in it. B", "It has `<think>` in it. B"),
        ("The <think> tag. B", "The ", " tag. B", "The <think> tag. B"),
    ],
)
def test_thoughts_are_no_answer_and_no_verdict(
    text: str, answer: str, thoughts: str | None, spoken: str | None
) -> None:
    assert plain.split_thoughts(text) == (answer, thoughts)
    assert plain.without_thoughts(text) == spoken


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("B<|im_end|><|im_start|>user\nNext", "B"),
        ("<|im_start|>user\nA. x<|im_end|><|im_start|>assistant\nB", "\nB"),
        ("[INST] A or B? [/INST] B</s>", " B"),
        ("<|channel|>final<|message|>B<|end|>", "<|channel|>final<|message|>B<|end|>"),
    ],
)
def test_the_own_turn_is_told_by_tokens(text: str, own: str) -> None:
    assert plain.own_turn(text) == own


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("B\nUser: and now?", ("B\n",)),
        ("Question: A or B?\nASSISTANT: B\nQuestion: C?", (" B\n",)),
        ("Q: A or B?\nA: B", (" B",)),
        ("B\n## Your task\nC", ("B\n", "B\n## Your task\nC")),
    ],
)
def test_made_up_turns_are_not_read(text: str, parts: tuple[str, ...]) -> None:
    assert plain.turns(text, lambda _: False) == parts


def test_a_turn_that_asks_the_same_again_is_the_models_own() -> None:
    text = "The question is:\nQuestion: A or B?\nAnswer: B"
    assert plain.turns(text, lambda _: True)[-1] == text


_MARKS = (
    "<think>..</think>¦<thinking>..</thinking>¦<seed:think>..</seed:think>¦<scratchpad>..</scratchpad>¦◁think▷..◁/think▷¦"
    "<rationale>..</rationale>¦<reason>..</reason>¦<reflection>..</reflection>¦<analysis>..</analysis>¦[THINK]..[/THINK]¦"
    "<|START_THINKING|>..<|END_THINKING|>¦<unused94>thought\n..<unused95>¦<|channel>thought\n..<channel|>¦"
    "<|channel|>analysis<|message|>..<|end|><|start|>assistant<|channel|>final<|message|>"
)


@pytest.mark.parametrize("marks", _MARKS.split("¦"))
def test_every_thought_mark_holds_for_every_reader(marks: str) -> None:
    """An answer and a score in a thought count for nothing, closed or not."""
    opening, closing = marks.split("..")
    options = {"A": "Good", "B": "Usable"}
    assert extract(f"{opening}Maybe it is A.{closing}B", options).letter == "B"
    assert extract(f"{opening}It could be A; the image is good", options) == Answer(None, "thought without an answer")
    assert parse_score(f"{opening}Score: 2 maybe{closing}Score: 1") == 1
    assert parse_score(f"{opening}Score: 2 maybe") is None


def test_markup_comes_off_and_leaves_what_it_marks() -> None:
    marked = f"{plain.OPEN}B{plain.CLOSE}"
    assert plain.plain_answer("**The** answer: $\\boxed{\\text{B}}$") == f"The answer: {marked}"
    assert plain.plain_answer("<answer>B</answer> <b>x</b>") == f"{marked}  x"
    assert plain.plain_answer("### Answer\n> `B`") == "Answer\nB"


def test_spoken_text_has_plain_digits_and_sentences_no_markup() -> None:
    assert plain.spoken_text("Score：٢, not ½ ~~1~~") == "Score:2, not 0.5  "
    assert plain.spoken_text("<think>Score: 2") is None
    assert plain.description_sentences("**Noisy**;  A is sharper.\n\n<think>x</think>Good") == [
        "Noisy ;",
        "A is sharper.",
        "Good",
    ]
    assert plain.sentences('He said "B." Then C.\nD') == ['He said "B.', "Then C.", "D"]


def test_very_long_texts_keep_their_start_and_end() -> None:
    text = plain.shorten("Start. " + "word " * 4_000 + "End")
    assert text.startswith("Start.") and text.endswith("End")
    assert len(text) < plain.HEAD + plain.TAIL + 20
