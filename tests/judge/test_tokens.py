"""Counting tokens without the internet, and cutting what is too long."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge, tokens
from medqbench_vlmeval.judge.calls import Call, Reply, verdicts_of
from medqbench_vlmeval.judge.tokens import TokenCounter, cut_answer, fewest_tokens
from medqbench_vlmeval.types import Prediction, Sample
from tests.servers import JudgeServer, Sent, completion

SAMPLE = Sample("7", Task.NO_REFERENCE, None, description="good")
ODD = ["x", " ", "\n", "\t \n", "👍🏽", "e\u0301", "图像", "\ud800", "<|endoftext|>", "0"]
ODD += ["Müde ", "\u2029", "-", "\x00"]


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(tokens, "_encodings", {})


@pytest.fixture
def bytewise(monkeypatch):
    """A real tiktoken encoding of one token a byte, in the place of the one that has to be fetched."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    special = {"<|endoftext|>": 256}
    made = tiktoken.Encoding("bytes", pat_str=r"\s+|\S+", mergeable_ranks=ranks, special_tokens=special)
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: made)


@pytest.mark.parametrize(("text", "n"), [("", 0), ("Score: 2", 2), ("x" * 45, 10), ("x" * 46, 11), ("图像", 2)])
def test_the_estimate_is_one_token_for_four_and_a_half_bytes(text, n):
    assert (TokenCounter("a-model-nobody-knows")(text), TokenCounter("a-model-nobody-knows").name) == (n, "estimate")


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o-mini", "GPT-4o", "kit:gpt-4o"])
def test_a_known_model_is_counted_by_tiktoken(bytewise, model):
    counter = TokenCounter(model)
    assert (counter("Sehr gut: é<|endoftext|>"), counter.name) == (25, "tiktoken o200k_base")


def test_without_the_internet_the_estimate_is_used_and_the_failure_remembered(monkeypatch):
    tried = []

    def refuse(name):
        tried.append(name)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)
    assert [TokenCounter(name).name for name in ("gpt-4o", "gpt-4o", "gpt-4")] == ["estimate"] * 3
    assert tried == ["o200k_base"]


def test_a_download_that_hangs_is_given_up(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(tokens, "_FETCH_SECONDS", 0.05)
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: released.wait(30))
    start = time.perf_counter()
    assert TokenCounter("gpt-4o").name == "estimate"
    assert time.perf_counter() - start < 5
    released.set()


texts = st.lists(st.tuples(st.sampled_from(ODD), st.integers(1, 400)), max_size=8).map(
    lambda parts: "".join(part * n for part, n in parts)
) | st.text(max_size=300)


@given(texts)
@settings(deadline=None, max_examples=150)
def test_no_text_has_more_tokens_than_bytes(text):
    assert 0 <= TokenCounter("own")(text) <= len(text.encode("utf-8", errors="replace"))


@given(texts, st.integers(100, 600))
@settings(deadline=None, max_examples=200)
def test_cut_answers_keep_their_ends_and_the_limit(text, most):
    counter = TokenCounter("own")
    shorter, note = cut_answer(text, most, "own")
    assert counter(shorter) <= most
    if counter(text) <= most:
        assert (shorter, note) == (text, None)
        return
    beginning, end = re.split(r"\n\n\[\.\.\. [\d,]+ tokens cut \.\.\.\]\n\n", shorter, maxsplit=1)
    assert text.startswith(beginning)
    assert text.endswith(end)
    assert len(beginning) + len(end) < len(text)
    assert note == f"answer cut from {counter(text):,} to {counter(shorter):,} tokens (estimate)"
    assert cut_answer(text, most, "own") == (shorter, note)


def test_three_quarters_are_of_the_beginning_and_the_conclusion_stays():
    # 41,000 bytes are 9,112 tokens at 4.5 bytes each.
    text = "noise 1 " * 5118 + "Overall, the quality of this image is reject. it should be redone now."[:56]
    assert len(text) == 41_000
    shorter, note = cut_answer(text, 1000, "own")
    counter = TokenCounter("own")
    beginning, end = re.split(r"\n\n\[\.\.\. .*? \.\.\.\]\n\n", shorter)
    assert counter(beginning) == pytest.approx(743, abs=2)
    assert counter(end) == pytest.approx(248, abs=2)
    assert text.endswith(end)
    left_out = int(re.search(r"\[\.\.\. ([\d,]+) tokens", shorter)[1].replace(",", ""))
    assert left_out == counter(text) - counter(beginning) - counter(end)
    assert note.startswith("answer cut from 9,112 to ")


@pytest.mark.parametrize("part", ODD)
def test_a_very_long_answer_of_anything_takes_no_time(part):
    text = part * (300_000 // len(part))
    start = time.perf_counter()
    shorter, _ = cut_answer(text, 1000, "own")
    assert time.perf_counter() - start < 3
    assert TokenCounter("own")(shorter) <= 1000


def test_the_cut_is_by_the_judges_own_tokens(bytewise):
    shorter, note = cut_answer("é" * 600, 1000, "gpt-4o")
    assert len(shorter.encode()) <= 1000
    assert note.startswith("answer cut from 1,200 to ")
    assert note.endswith(" tokens (tiktoken o200k_base)")


def test_ordinary_answers_are_not_counted_at_all(monkeypatch):
    def fail(model):
        raise AssertionError("counted")

    monkeypatch.setattr("medqbench_vlmeval.judge.tokens.TokenCounter", fail)
    assert cut_answer("x" * 1000, 1000, "gpt-4o") == ("x" * 1000, None)


def test_the_judge_sees_the_cut_answer_and_the_verdict_says_so():
    with JudgeServer("Score: 2") as server:
        options = JudgeOptions("own", server.base_url, protocol="rubric", max_answer_tokens=100)
        [judged] = build_judge(options).judge([SAMPLE], [Prediction("7", "blurred " * 5000)])
    assert all(len(request.prompt) < 4000 for request in server.requests)
    assert all("tokens cut ...]" in request.prompt for request in server.requests)
    # 40,000 bytes.
    assert {verdict.note.split(" to ")[0] for verdict in judged.verdicts.values()} == {"answer cut from 8,889"}


WORDS = "The image is noisy and blurred, but the borders are sharp. "


@pytest.mark.parametrize(
    ("text", "n"),
    [("", 0), ("one two-three 45", 4), ("don't", 2), ("图像质量良好", 2), ("____ ..", 0)],
)
def test_the_fewest_tokens_are_the_words(text, n):
    assert fewest_tokens(text) == n


@given(st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=30).map("".join))
def test_no_text_has_fewer_tokens_than_the_fewest(text):
    n_bytes = len(text.encode("utf-8", errors="replace"))
    assert fewest_tokens(text) <= n_bytes
    assert fewest_tokens(text + " " + text) >= fewest_tokens(text)


@pytest.mark.parametrize(
    ("n_words", "counted", "asks", "is_cut"),
    [
        (11_000, 4_096, 1, True),
        (5_500, 2_048, 1, True),
        (1_100, 512, 1, True),
        (5_500, 4_096, 2, True),
        # An ordinary tokenizer, one that spends hardly more than a token a word, and servers that say nothing.
        (1_100, 1_400, 1, False),
        (1_100, 1_101, 1, False),
        (1_100, 0, 1, False),
        # Only what was not in the server's cache: nearly nothing, or all but a template's beginning.
        (1_100, 7, 1, False),
        (1_100, 1_400 - 640, 1, False),
        (1_100, 1_450, 2, False),
    ],
)
def test_a_count_far_below_the_words_says_that_the_prompt_was_cut(n_words, counted, asks, is_cut):
    prompt = WORDS * (n_words // 11)
    call = Call("key", "1", prompt, {"completeness": (0, 1, 2)})
    [verdict] = verdicts_of(call, Reply(("Hm.",) * (asks - 1) + ("Score: 2",), "j", counted, 5)).values()
    assert verdict.score == (None if is_cut else 2)
    assert ("num_ctx" in (verdict.reason or "")) is is_cut


def test_a_server_that_keeps_the_end_of_a_prompt_leaves_the_sample_unscored_after_one_ask():
    def reply(request):
        body = completion("Score: 2", "judge-1")
        body["usage"]["prompt_tokens"] = len(request.prompt[-16_000:]) // 4
        return Sent(body=json.dumps(body))

    samples = [Sample(name, Task.NO_REFERENCE, None, description="good") for name in ("long", "short")]
    predictions = [Prediction("long", WORDS * 4000), Prediction("short", WORDS)]
    with JudgeServer(reply) as server:
        options = JudgeOptions(
            "judge-1", server.base_url, protocol="rubric", max_answer_tokens=1_000_000, stop_after=99
        )
        cut, whole = build_judge(options).judge(samples, predictions)
    assert {verdict.score for verdict in whole.verdicts.values()} == {2}
    assert {(verdict.score, verdict.asks) for verdict in cut.verdicts.values()} == {(None, 1)}
    assert all(
        verdict.reason.startswith("the server read 4,000 tokens of a prompt of 44,")
        for verdict in cut.verdicts.values()
    )
