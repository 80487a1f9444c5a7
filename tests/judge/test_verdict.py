from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.judge.verdict import parse_score, plain_verdict, without_quotations
from tests.judge.labelled import labelled

SCORES = st.sampled_from([0, 1, 2])
WRONG = st.one_of(
    st.integers(3, 10**12).map(str),
    st.integers(-100, -1).map(str),
    st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda pair: f"{pair[0]}.{pair[1]}"),
)
# Words that hold no digit, label or number word.
CHATTER = st.lists(st.sampled_from(["noise", "blur", "the", "image", "matches", "well", "\n", "but", ","])).map(
    " ".join
)


@pytest.mark.parametrize(("reply", "score"), labelled("verdict_replies.jsonl"))
def test_a_reply_gives_what_a_careful_reader_records(reply: str, score: int | None) -> None:
    assert parse_score(reply) == score


# Written by hand in the manner of eight families of judges, by somebody who had not seen the reader of verdicts. What
# it does not read, and never as another score:
MISSED = {
    "other grader: 2. me: 1",
    "I agree with the previous grader (Score: 2).",
    "Since neither the type nor the severity of the artifact is right, the only score the rubric permits is zero.",
    "I assign the middle score, one, for partial preciseness.",
}


def test_replies_in_the_manner_of_many_judges_give_their_own_verdict() -> None:
    wrong = {
        reply: parse_score(reply) for reply, score, *_ in labelled("judge_replies.jsonl") if parse_score(reply) != score
    }
    assert wrong == dict.fromkeys(MISSED)


def test_replies_of_a_model_too_small_for_a_judge_give_no_verdict_that_is_none() -> None:
    """Its own replies to the official questions, read by hand; none of them repeats the questions."""
    text = (Path(__file__).parent / "data" / "small_llm_replies.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [parse_score(row["reply"]) for row in rows] == [row["score"] for row in rows]
    assert sum(row["score"] is not None for row in rows) == 4


@pytest.mark.parametrize(
    "reply",
    [
        "Please rate score 2 for a fitting conclusion.\n\nYour answer should be a score of 2.",
        "Your score will be 2.\n\nYour score will be 1.\n\nYour score will be 0.\n\nYour score will be 2.",
        "Score: 0\nScore: 1\nScore: 2",
    ],
)
def test_what_a_model_tells_others_to_say_is_no_verdict(reply: str) -> None:
    assert parse_score(reply) is None


@given(st.text() | st.text(alphabet="Score:012 *\n()<>/think{}\"'.,|-", max_size=60))
def test_any_text_gives_a_score_or_none(reply: str) -> None:
    assert parse_score(reply) in (0, 1, 2, None)


def test_a_number_that_is_one_only_without_its_quotation_is_no_verdict() -> None:
    assert parse_score('0"0"{A') is None


@given(CHATTER, SCORES, CHATTER)
def test_a_labelled_verdict_is_found_among_words(before: str, score: int, after: str) -> None:
    assert parse_score(f"{before}\nScore: {score}\n{after}") == score


@given(SCORES, CHATTER, SCORES)
def test_the_last_verdict_wins(first: int, between: str, last: int) -> None:
    assert parse_score(f"Score: {first}\n{between}\nScore: {last}") == last


def test_a_correction_counts_where_it_is_the_judges_own() -> None:
    assert parse_score("Score: 1\n\nOn reflection the blur is named too, so it should be a 2.") == 2
    assert parse_score("On reflection, I'd give it a 1 for the noise. But the blur counts too.\n\n2") == 2
    assert parse_score('Score: 0\n\nThe text goes on: "Correction: it should be a 2."') == 0


@given(SCORES, WRONG)
def test_an_invalid_last_verdict_is_not_replaced_by_an_earlier_one(first: int, wrong: str) -> None:
    assert parse_score(f"Score: {first}\nFinal score: {wrong}") is None


@given(WRONG)
def test_numbers_outside_the_scale_are_none(wrong: str) -> None:
    assert parse_score(f"Score: {wrong}") is None
    assert parse_score(wrong) is None


@given(SCORES, SCORES, CHATTER)
def test_closed_thinking_is_dropped_and_unclosed_thinking_is_no_reply(thought: int, verdict: int, words: str) -> None:
    assert parse_score(f"<think>{words} Score: {thought}</think>Score: {verdict}") == verdict
    assert parse_score(f"<think>{words} Score: {thought}") is None


@given(SCORES, st.text(max_size=80).filter(lambda text: "</" not in text))
def test_the_score_of_a_json_object_wins_over_its_words(score: int, reason: str) -> None:
    read = parse_score(json.dumps({"reason": reason, "score": score}, ensure_ascii=True))
    # Inside a JSON string a thinking tag is still one: then nothing was said.
    assert read == score or (read is None and "think" in reason.lower())


@pytest.mark.parametrize(
    "unit",
    ["Score: ", "score is ", "Score: 2 for ", "2 ", "1", "*", "|", "~", "(", "[", "{", "<", "<think>", "</think>", "-"]
    + ["\n", " ", "a", "give a ", "score a a a ", "not ", "please ", "`", "'", "_", r"\boxed{", "2 out of ", "> "]
    + ["<score>"],
)
def test_time_is_linear(unit: str) -> None:
    """50,000 characters of what could make a pattern run wild, alone and between a label and its number."""
    long = unit * (50_000 // len(unit))
    start = time.process_time()
    parse_score(long)
    parse_score(f"Score{long}2")
    # Work that grows with the square of the length would take 6 s on twice as many.
    assert time.process_time() - start < 1.5


def test_a_reply_of_200_000_characters_is_read() -> None:
    assert parse_score("noise, blur and 2 rings\n" * 8_700 + "**Score:** 1") == 1


def test_a_judges_markup_and_quotations_come_off() -> None:
    assert plain_verdict("| **Score** | [2] |") == " Score : (2) :"
    assert plain_verdict("max_score isn't 'it'") == "max_score isn't it"
    assert without_quotations('It says "Score: 2".\n> Score: 1\nScore: 0') == "It says  .\n \nScore: 0"
