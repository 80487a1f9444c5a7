"""What holds for every reply and every set of options."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.answers import extract, extract_choice

FEW = settings.default.max_examples  # of the profile that this run has, see tests/conftest.py
TEXTS = [
    "Yes",
    "No",
    "Motion artifacts",
    "Noise",
    "Blur",
    "Severe blur",
    "No blur",
    "None",
    "No degradation",
    "Good",
    "Usable",
    "Reject",
    "Metal artifacts",
    "Image A",
    "运动伪影",
    "Шум",
    "Out of focus",
    "Low-dose noise",
]
WRAPPERS = [
    "{}",
    "{}.",
    "({})",
    "[{}]",
    "{{{}}}",
    "**{}**",
    "*{}*",
    "`{}`",
    "_{}_",
    '"{}"',
    "{})",
    "{}:",
    " {} ",
    "\n{}\n",
    "\\boxed{{{}}}",
    "$\\boxed{{{}}}$",
    "\\boxed{{\\text{{{}}}}}",
    '{{"answer": "{}"}}',
    '```json\n{{"answer": "{}"}}\n```',
    '{{"reason": "x y", "answer": "{}"}}',
    "<answer>{}</answer>",
    "<|begin_of_box|>{}<|end_of_box|>",
    "Answer: {}",
    "Answer: {}.",
    "**Answer:** {}",
    "### Answer\n{}",
    "Final Answer: {}",
    "The answer is {}.",
    "The correct answer is {}",
    "The correct answer is **{}**.",
    "Option {}",
    "option ({})",
    "<think>A or B or C?</think>\n{}",
    "{}<|im_end|>",
    "{}</s>",
    "答案：{}",
    "答案是{}。",
    "选{}",
    "正解は{}",
    "정답: {}",
    "Antwort: {}",
    "Respuesta: {}",
    "Réponse : {}",
    "Ответ: {}",
    "الإجابة: {}",
    "I choose {}.",
    "So the answer is {}",
    "The grain is visible.\n\n{}",
]

option_sets = st.builds(
    lambda letters, texts: dict(zip(sorted(letters), texts, strict=False)),
    st.lists(st.sampled_from("ABCD"), min_size=2, max_size=4, unique=True),
    st.permutations(TEXTS),
)


@given(st.text(max_size=300), option_sets)
@settings(max_examples=3 * FEW, deadline=None)
def test_any_text_gives_an_option_or_none(reply: str, options: dict[str, str]) -> None:
    assert extract_choice(reply, options) in {*options, None}


@given(st.binary(max_size=300), option_sets)
@settings(max_examples=2 * FEW, deadline=None)
def test_random_bytes_never_raise(raw: bytes, options: dict[str, str]) -> None:
    assert extract_choice(raw.decode("latin-1"), options) in {*options, None}
    assert extract_choice(raw.decode("utf-8", errors="surrogateescape"), options) in {*options, None}


@given(st.text(max_size=20), st.dictionaries(st.sampled_from("ABCD"), st.text(max_size=20), max_size=4))
@settings(max_examples=2 * FEW, deadline=None)
def test_any_option_texts_are_accepted(reply: str, options: dict[str, str]) -> None:
    assert extract_choice(reply, options) in {*options, None}


@given(option_sets, st.sampled_from(WRAPPERS), st.data())
@settings(max_examples=4 * FEW, deadline=None)
def test_a_wrapped_letter_is_that_letter(options: dict[str, str], wrapper: str, data: st.DataObject) -> None:
    letter = data.draw(st.sampled_from(sorted(options)))
    assert extract_choice(wrapper.format(letter), options) == letter


@given(option_sets, st.sampled_from(["{}", "{}.", '"{}"', "**{}**", "The answer is {}.", "Answer: {}"]), st.data())
@settings(max_examples=2 * FEW, deadline=None)
def test_an_options_text_is_its_letter(options: dict[str, str], wrapper: str, data: st.DataObject) -> None:
    letter = data.draw(st.sampled_from(sorted(options)))
    for text in (options[letter], options[letter].upper(), options[letter].lower()):
        assert extract_choice(wrapper.format(text), options) == letter


@given(
    option_sets,
    st.data(),
    st.text(alphabet=" \t\n", max_size=4),
    st.text(alphabet="\u200b\u200c\u200d\u2060\ufeff\u00ad", max_size=4),
)
@settings(max_examples=3 * FEW, deadline=None)
def test_blanks_and_invisible_characters_change_nothing(
    options: dict[str, str], data: st.DataObject, blanks: str, invisible: str
) -> None:
    reply = data.draw(st.sampled_from([*options, *options.values(), "The answer is A.", "A blurry image.", "A or B"]))
    read = extract(reply, options)
    assert extract(f"{blanks}{reply}{blanks}", options).letter == read.letter
    assert extract(f"{invisible}{reply}{invisible}", options).letter == read.letter


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "\n",
        "A ",
        "B. ",
        "<",
        "<think>",
        "</think>",
        "\\boxed{",
        "\\",
        "*_",
        "(",
        '"',
        "answer ",
        "the answer is ",
        "no noise, ",
        "答案",
        "a\u0300\u0316",
        "\u200b",
        "\x00B",
        "<|im_end|>",
        "I would ",
        "so ",
        '{"answer": ',
        "_x000B_",
        " \n",
        "\x1b[1m",
        "▁A",
        "[INST] ",
        "<|user|> B <|assistant|> ",
        "if the ring ",
        "none of A, ",
        "only C ",
        "leaves us with ",
        "1. Noise: grain\n",
        "A. Motion artifacts: x\nB. Noise: y\n",
        "Which one?\nA. Motion artifacts\nB. Noise\nC. Blur\n",
        "## Your task\n",
        '{"A": true, ',
        "噪声",
        "~~A~~ ",
        "~~a",
        "<del>",
        "a\u0336",
        "change my answer from A ",
        "I said A, it should be ",
        "the one that is ",
        "不是A，",
        "AでもBでもなく",
        "nicht A ",
        "不是噪声，",
        "噪声程度：",
        "similar to ",
        "between is ",
        "no noise can be ",
        '{"selected": "',
        '{"answer":{',
        " - A",
    ],
)
def test_long_replies_take_work_in_proportion(piece: str) -> None:
    """Patterns that backtrack would need hours on these: it is enough that this returns."""
    options = {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}
    assert extract_choice(piece * (200_000 // len(piece)), options) in {"A", "B", None}


def test_an_answer_survives_a_long_reply() -> None:
    options = {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}
    assert extract_choice("grain \x0b\u200b " * 20_000 + "\n\nThe answer is B.", options) == "B"
    assert extract_choice("B. Noise\n\n" + "grain \x00 " * 20_000, options) == "B"


FILLER = "The vessels are traced from the hilum outwards and every lobe is looked at in turn. "


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("Answer: B\n\n" + FILLER * 140, "B"),
        (FILLER * 140 + "\n\nAnswer: C", "C"),
        ("**Final answer: C**\n\n" + "Noise would give grain. " * 200 + "Blur softens edges. " * 300, "C"),
        ("Ghosts would repeat. " * 300 + "\n\n" + "The grain is even. " * 400 + "\n\n**B**", "B"),
        ("C. Blur\n\n" + "Why not A? No ghosts are seen. Why not B? The grain is fine. " * 160, "C"),
        ("Answer: A\n\n" + FILLER * 140 + "\n\nOn a second look I am changing my answer to B.", "B"),
        ("<think>" + FILLER * 200 + "Answer: A</think>" + FILLER * 5 + "Answer: B", "B"),
        (FILLER * 140, None),
        # What the cut breaks off is not joined to what stands after it.
        (
            FILLER * 29 + "Hence the answer is " + FILLER.replace(". ", " ") * 40 + "Noise is a term. " + FILLER * 70,
            None,
        ),
    ],
)
def test_the_start_and_the_end_of_a_very_long_reply_count(reply: str, letter: str | None) -> None:
    assert len(reply) > 8_500
    assert extract_choice(reply, {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}) == letter


@pytest.mark.parametrize("spare", range(-30, 31, 5))
def test_no_answer_is_made_of_the_two_sides_of_the_cut(spare: int) -> None:
    """The head ends within 'the answer is', the tail begins within 'Noise'."""
    head = "x" * (2_500 - 14 - spare) + " the answer is grain "
    tail = " Noise would be seen as grain" + "y" * (6_000 - 20 - spare)
    options = {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}
    assert extract_choice(head + "z" * 5_000 + tail, options) is None
