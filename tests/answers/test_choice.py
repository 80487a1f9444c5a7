"""Which rule decides, what stands in its place where there is no letter, and what holds for every reply."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.answers import extract, extract_choice
from medqbench_vlmeval.types import Answer

FEW = settings.default.max_examples  # of the profile that this run has, see tests/conftest.py
KINDS = {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}
YES_NO = {"A": "Yes", "B": "No"}
_TEXTS = (
    "Yes|No|Motion artifacts|Noise|Blur|Severe blur|No blur|None|No degradation|Good|Usable|Reject|"
    "Metal artifacts|Image A|运动伪影|Шум|Out of focus|Low-dose noise"
)
TEXTS = _TEXTS.split("|")
_WRAPPERS = (
    '{}¦{}.¦({})¦[{}]¦{{{}}}¦**{}**¦*{}*¦`{}`¦_{}_¦"{}"¦{})¦{}:¦ {} ¦\n{}\n¦\\boxed{{{}}}¦$\\boxed{{{}}}$¦'
    '\\boxed{{\\text{{{}}}}}¦{{"answer": "{}"}}¦```json\n{{"answer": "{}"}}\n```¦'
    '{{"reason": "x y", "answer": "{}"}}¦<answer>{}</answer>¦<|begin_of_box|>{}<|end_of_box|>¦Answer: {}¦'
    "Answer: {}.¦**Answer:** {}¦### Answer\n{}¦Final Answer: {}¦The answer is {}.¦The correct answer is {}¦"
    "The correct answer is **{}**.¦Option {}¦option ({})¦<think>A or B or C?</think>\n{}¦{}<|im_end|>¦{}</s>¦"
    "答案：{}¦答案是{}。¦选{}¦正解は{}¦정답: {}¦Antwort: {}¦Respuesta: {}¦Réponse : {}¦Ответ: {}¦الإجابة: {}¦"
    "I choose {}.¦So the answer is {}¦The grain is visible.\n\n{}"
)
WRAPPERS = _WRAPPERS.split("¦")


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
        ('{"A": false, "B": true, "C": false}', "B", "options as data"),
        ("噪声", "B", "text in another language"),
        ('{"A": 0.1, "B": 0.7, "C": 0.2}', "B", "options as data"),
        ('{"A": 0.4, "B": 0.4, "C": 0.2}', None, "several answers"),
        ("- [ ] A\n- [x] B\n- [ ] C", "B", "ticked box"),
        ("Blur ( )\nNoise (x)", "B", "ticked box"),
        ("❌ A\n✅ B\n❌ C\n\nFinal answer: C", "C", "stated answer"),
        ("✅ A\n✅ B\n❌ C", None, "several answers"),
        ("The finding is (B) ghost lines.", "B", "letter that is named"),
        ("A. Motion artifacts: ghosts.\nB. Noise: grain.\nC. Blur: soft", None, "options listed"),
        ("If the grain were texture, C would be correct.", None, "no answer"),
        ("At first B. But the edges are doubled, so I am changing my answer to A.", "A", "changed answer"),
        ("I see no reason to change my answer to B.", None, "no answer"),
        ("~~B. Noise~~ → A. Motion artifacts", "A", "concluded letter"),
        ("答案不是C。", None, "no answer"),
        ("I can exclude the following: A.", None, "no answer"),
        ('{"options": {"A": "Motion artifacts", "B": "Noise", "C": "Blur"}, "selected": "B"}', "B", "options as data"),
    ],
)
def test_rule_that_decides(reply: str, letter: str | None, rule: str) -> None:
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
        ("Fail to obtain answer via API.", "no reply"),
        ("A CT scan.", "no answer"),
    ],
)
def test_reason_for_no_letter(reply: str, rule: str) -> None:
    assert extract(reply, KINDS) == Answer(None, rule)


def test_yes_and_no_are_read_at_the_start_of_a_sentence() -> None:
    assert extract("No motion artifacts are visible.", YES_NO) == Answer("B", "yes or no")
    assert extract("No, both kidneys can be seen.", YES_NO) == Answer("B", "yes or no")
    assert extract("Yes.\n\nNo.", YES_NO) == Answer(None, "several answers")


OTHERS = (
    "Why other options are less likely:\n\n* **A. Motion artifacts:** Answer A needs ghosts.\n* **C. Blur:** Sharp.",
    "Not as fitting:\n* **A. Motion artifacts:** this would be ghosts.\n* **C. Blur:** this is best ruled out.",
    "Other options:\n\nA. Motion artifacts: no ghosts.\nC. Blur: the edges are crisp.",
    "Let's analyze the other options: option A would need ghosts, option C soft edges.",
    "他の選択肢（A. Motion artifacts、C. Blur）は関係ありません。",
)


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize(
    "verdict", ["The main problem is **B. Noise**.", "The defect that stands out is **B. Noise**."]
)
def test_reasons_against_the_other_options_do_not_overrule_the_verdict(verdict: str, others: str) -> None:
    assert extract_choice(f"{verdict} Here is why:\n\n* The background is rough.\n\n{others}", KINDS) == "B"
    assert extract_choice(f"{verdict}\n\n{others}\n\nFinal answer: C", KINDS) == "C"


@pytest.mark.parametrize(
    ("reply", "texts", "letter"),
    [
        (
            "The second image has the better quality. The first image, in contrast, is noisy.",
            "the first image|the second image",
            "B",
        ),
        ("15°", "$35^{\\circ}$|$15^{\\circ}$", "B"),
        ("The total is \\boxed{2.5} km.", "1.5 km|2.5 km|25 km", "B"),
        ("The answer is 3.", "1|2|3|4", "C"),
        ("The answer is 7.", "1|2|3|4", None),
        ("Point A appears closer to the camera than point B.", "A is closer|B is closer", "A"),
        ("Region C is best seen on the coronal slice.", "Noise|Blur|None", None),
        (
            "One cause is a shift. In this case, the answer would be (A) Noise. Another is a turn. In this case, the "
            "answer would be (B) Blur. It is not possible to say which.",
            "Noise|Blur",
            None,
        ),
        ("Answer: Options (A) Noise, (C), and (D) fit.", "Noise|Blur|Rings|Metal", None),
        ("The severity is mild to moderate.", "Mild|Moderate|Severe", None),
    ],
)
def test_what_real_replies_hold(reply: str, texts: str, letter: str | None) -> None:
    assert extract_choice(reply, dict(zip("ABCD", texts.split("|"), strict=False))) == letter


def test_a_question_that_is_restated_is_not_the_models_next_one() -> None:
    restated = (
        "**Question:**\nWhich artifact?\n\n**Options:**\n(A) Motion artifacts\n(B) Noise\n(C) Blur\n\n**Answer: B**"
    )
    assert extract_choice(f"The question and options are as follows:\n\n{restated}", KINDS) == "B"


def test_evil_options_do_not_confuse_letters_with_texts() -> None:
    assert extract("A", {"A": "B", "B": "A"}).letter == "A"
    assert extract("D", {"A": "Yes", "D": "None"}).letter == "D"
    assert extract("None", {"A": "Yes", "D": "None"}).letter == "D"
    assert extract("Noise", {"A": "Noise", "B": "Noise"}).letter is None


def test_no_options_no_letter() -> None:
    assert extract("A", {}).letter is None


def test_an_option_about_letters_is_a_text() -> None:
    options = {"A": "Noise", "B": "Streaks", "C": "Both A and B", "D": "Neither A nor B"}
    assert extract("Both A and B", options).letter == "C"
    assert extract("The answer is both A and B.", options).letter == "C"
    assert extract("It is not both A and B, only B.", options).letter == "B"
    assert extract("The answer is both A and B.", KINDS).letter is None


option_sets = st.builds(
    lambda letters, texts: dict(zip(sorted(letters), texts, strict=False)),
    st.lists(st.sampled_from("ABCD"), min_size=2, max_size=4, unique=True),
    st.permutations(TEXTS),
)


any_text = st.text(max_size=300) | st.builds(
    bytes.decode, st.binary(max_size=300), st.just("utf-8"), st.just("surrogateescape")
)
any_options = st.dictionaries(st.sampled_from("ABCD"), st.text(max_size=20), max_size=4)


@given(any_text | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")), option_sets | any_options)
@settings(max_examples=8 * FEW, deadline=None)
def test_any_text_and_any_options_give_an_option_or_none(reply: str, options: dict[str, str]) -> None:
    assert extract_choice(reply, options) in {*options, None}


@pytest.mark.slow
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


_PIECES = (
    'a¦ ¦\n¦A ¦B. ¦<¦<think>¦</think>¦\\boxed{¦\\¦*_¦(¦"¦answer ¦the answer is ¦no noise, ¦答案¦a\u0300\u0316¦'
    '\u200b¦\x00B¦<|im_end|>¦I would ¦so ¦{"answer": ¦_x000B_¦ \n¦\x1b[1m¦▁A¦[INST] ¦<|user|> B <|assistant|> ¦'
    "if the ring ¦none of A, ¦only C ¦leaves us with ¦1. Noise: grain\n¦A. Motion artifacts: x\nB. Noise: y\n¦"
    'Which one?\nA. Motion artifacts\nB. Noise\nC. Blur\n¦## Your task\n¦{"A": true, ¦噪声¦~~A~~ ¦~~a¦<del>¦'
    "a\u0336¦change my answer from A ¦I said A, it should be ¦the one that is ¦不是A，¦AでもBでもなく¦nicht A ¦"
    '不是噪声，¦噪声程度：¦similar to ¦between is ¦no noise can be ¦{"selected": "¦{"answer":{¦ - A'
)
PIECES = _PIECES.split("¦")


@pytest.mark.parametrize("piece", PIECES)
def test_long_replies_take_work_in_proportion(piece: str) -> None:
    """Patterns that backtrack would need hours on these: it is enough that this returns."""
    assert extract_choice(piece * (200_000 // len(piece)), KINDS) in {"A", "B", None}


def test_an_answer_survives_a_long_reply() -> None:
    assert extract_choice("grain \x0b\u200b " * 20_000 + "\n\nThe answer is B.", KINDS) == "B"
    assert extract_choice("B. Noise\n\n" + "grain \x00 " * 20_000, KINDS) == "B"


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
    assert extract_choice(reply, KINDS) == letter


@pytest.mark.parametrize("spare", range(-30, 31, 5))
def test_no_answer_is_made_of_the_two_sides_of_the_cut(spare: int) -> None:
    """The head ends within 'the answer is', the tail begins within 'Noise'."""
    head = "x" * (2_500 - 14 - spare) + " the answer is grain "
    tail = " Noise would be seen as grain" + "y" * (6_000 - 20 - spare)
    assert extract_choice(head + "z" * 5_000 + tail, KINDS) is None
