from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task, dimension_scores
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.delimit import escape_delimiters
from medqbench_vlmeval.judge.protocols import Protocol, load_protocol
from tests.judge.attacks import ATTACKS
from tests.judge.labelled import labelled

REASONING = (Task.NO_REFERENCE, Task.COMPARATIVE)


def chained(template: str) -> Protocol:
    return Protocol("p", "1", {Task.NO_REFERENCE: {"consistency": template}}, "MLLM DESC", "GOLDEN DESC")


def test_a_marker_inside_an_answer_pulls_nothing_in() -> None:
    protocol = chained("A [MLLM DESC] B [GOLDEN DESC] C [MLLM DESC]")
    prompt = protocol.prompt(Task.NO_REFERENCE, "consistency", "x GOLDEN DESC", "y MLLM DESC")
    assert prompt == "A [x GOLDEN DESC] B [y MLLM DESC] C [x GOLDEN DESC]"


@given(st.text(), st.text())
def test_both_texts_stand_in_the_prompt_as_they_are(answer: str, reference: str) -> None:
    prompt = chained("[MLLM DESC]|[GOLDEN DESC]").prompt(Task.NO_REFERENCE, "consistency", answer, reference)
    assert prompt == f"[{answer}]|[{reference}]".encode("utf-8", "replace").decode()


def test_lone_surrogates_can_be_sent() -> None:
    prompt = load_protocol("rubric").prompt(Task.NO_REFERENCE, "consistency", "a\ud800b", "c")
    assert "a?b" in prompt
    prompt.encode()


@pytest.mark.parametrize("task", REASONING)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_rubric_lists_what_the_dimension_allows_and_ends_with_the_form(task: Task, dimension: str) -> None:
    prompt = load_protocol("rubric").prompt(task, dimension, "the answer", "the reference")
    for score in (0, 1, 2):
        assert (f"\n- {score}: " in prompt) is (score in dimension_scores(task, dimension))
    assert "'Score: N'" in prompt.splitlines()[-1]
    assert re.search(r"<(candidate_text_([a-p]{8}))>\n\2\| the answer\n</\1>", prompt)
    assert re.search(r"<(reference_text_([a-p]{8}))>\n\2\| the reference\n</\1>", prompt)


@given(st.text(), st.text())
def test_each_line_of_both_texts_is_marked_whatever_ends_lines(answer: str, reference: str) -> None:
    for name in ("rubric", "rubric-joint"):
        prompt = load_protocol(name).prompt(
            Task.NO_REFERENCE, "joint" if "joint" in name else "consistency", answer, reference
        )
        code = re.search(r"code (\w+), ", prompt)[1]
        regions = re.findall(rf"^<(\w+_{code})>\n(.*?)\n</\1>$", prompt, re.DOTALL | re.MULTILINE)
        assert [tag for tag, _ in regions] == [f"reference_text_{code}", f"candidate_text_{code}"]
        assert all(line.startswith(f"{code}| ") for _, text in regions for line in text.splitlines())


def test_the_mark_is_the_same_for_the_same_texts_and_another_one_for_others() -> None:
    prompts = [load_protocol("rubric").prompt(Task.NO_REFERENCE, "consistency", text, "r") for text in ("a", "a", "b")]
    assert prompts[0] == prompts[1]
    assert len({re.search(r"code (\w+)", prompt)[1] for prompt in prompts}) == 2


@pytest.mark.parametrize("attack", [attack.answer for attack in ATTACKS if len(attack.answer) < 9000])
def test_data_can_neither_close_nor_open_a_delimiter(attack: str) -> None:
    protocol = load_protocol("rubric")
    prompt = protocol.prompt(Task.COMPARATIVE, "preciseness", f"before {attack} after", "THE-REFERENCE")
    assert len(re.findall("<candidate_text", prompt)) == len(re.findall("</candidate_text", prompt)) == 1
    assert len(re.findall("<reference_text", prompt)) == len(re.findall("</reference_text", prompt)) == 1
    assert prompt.count("THE-REFERENCE") == 1
    inside = re.search(r"<candidate_text_([a-p]{8})>\n\1\| (.*)</candidate_text_\1>", prompt, re.DOTALL)[2]
    assert inside.startswith("before ") and inside.strip().endswith(" after")


@pytest.mark.parametrize(("text", "left"), labelled("delimited_texts.jsonl"))
def test_look_alikes_are_taken_apart_and_harmless_text_stays(text: str, left: str) -> None:
    assert escape_delimiters(text) == left


# Hangul fillers are letters that nobody sees; '«/A' looks like a closing tag, which takes a slash.
NO_TAGS = "\u115f\u1160\u3164\uffa0" + "/⁄∕⧸⟋⫽╱／"
VISIBLE = st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters=NO_TAGS)


# What stands between brackets may be a chat template's token ('<0|>'), which is taken apart.
IN_BRACKETS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")


@given(st.text(VISIBLE))
def test_visible_text_without_tags_stays_as_it_is(text: str) -> None:
    assume(not IN_BRACKETS.search(text))
    assert escape_delimiters(text) == text


PIECES = st.sampled_from(
    ["<", "</", "/", "＜", "‹", "&lt;", "[", "{", "\u200b", "\u0301", " ", "\n", "candidate", "reference", "_text"]
    + ["text", "CANDIDATE", "саndidate", "_pfaagoll", ">", "]", "|", "im_end", "think", "s", "(", "x", "\ud800"]
    + ["&#60;"]
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_mixture_leaves_a_delimiter(text: str) -> None:
    left = escape_delimiters(text)
    assert escape_delimiters(left) == left
    assert not re.search(r"</?\s*(candidate|reference)[_ -]?text|</\s*(candidate|reference)|<\|\w+\|>|</?think>", left)
    letters = iter(text)
    assert all(letter == "(" or letter in letters for letter in left)


@pytest.mark.needs_kit
def test_protocols_differ_in_name_and_hash() -> None:
    official, rubric = load_protocol("official"), load_protocol("rubric")
    assert (official.name, rubric.name) == ("official", "rubric")
    assert official.sha256 != rubric.sha256
    assert official.sha256 == load_protocol("official").sha256


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("offical", "Did you mean 'official'"),
        ("xyz", "Known protocols: official, official-5, rubric, rubric-joint"),
        ("rules", "'rules' is a judge and no protocol"),
        ("", "Known protocols"),
    ],
)
def test_an_unknown_protocol_is_answered_with_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_protocol(name)
