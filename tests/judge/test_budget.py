"""What a judge would take, before it is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medqbench_vlmeval.judge import JudgeOptions, build_judge, tokens
from medqbench_vlmeval.judge.budget import CHAT_TOKENS, Estimate, estimates, total
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.tokens import TokenCounter
from medqbench_vlmeval.judge.usage import Price, PriceTable
from medqbench_vlmeval.types import Prediction, PredictionStatus
from tests.judge.asking import samples_of
from tests.servers import JudgeServer

MILLION = 1_000_000


@pytest.fixture(autouse=True)
def no_internet(monkeypatch):
    monkeypatch.setattr(tokens, "load_encoding", lambda name: None)


@pytest.fixture
def prices(tmp_path):
    return PriceTable({"own": Price(2, 8), "other": Price(0, 0)}, 0.5, "by hand", tmp_path / "prices.json")


def options_of(name="own", **more):
    return JudgeOptions(name, "http://127.0.0.1:9/v1", **{"protocol": "rubric", "no_calls": True, **more})


def test_calls_tokens_and_cost_by_hand(prices):
    judge = build_judge(options_of())
    samples, predictions = samples_of(3)
    [estimate] = estimates(judge, samples, predictions, prices)
    calls, _ = judge.calls(samples, predictions)
    n_read = sum(CHAT_TOKENS + TokenCounter("own")(call.prompt) for call in calls)
    n_replied = 12 * 60
    assert estimate == Estimate(
        "own", "rubric", calls=12, to_ask=12, prompt_tokens=n_read, completion_tokens=n_replied, counted_by="estimate",
        completion_basis="60 a call, assumed for the protocol 'rubric'",
        cost_usd=pytest.approx((2 * n_read + 8 * n_replied) / MILLION),
        cost_batch_usd=pytest.approx((2 * n_read + 8 * n_replied) / MILLION / 2),
    )  # fmt: skip


def test_the_cache_is_taken_into_account_and_left_as_it_is(prices, judge_cache):
    samples, predictions = samples_of(4)
    with JudgeServer("Score: 2") as server, ReplyCache(judge_cache) as store:
        build_judge(JudgeOptions("own", server.base_url, protocol="rubric"), store).judge(samples[:3], predictions[:3])
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in judge_cache.iterdir()}
    with ReplyCache(judge_cache, read_only=True) as view:
        [estimate] = estimates(build_judge(options_of(), view), samples, predictions, prices, view.info())
        [rounds] = estimates(build_judge(options_of(protocol="rubric-3"), view), samples, predictions, prices)
        [fresh] = estimates(build_judge(options_of(fresh=True), view), samples, predictions, prices)
    assert (estimate.calls, estimate.in_cache, estimate.to_ask) == (16, 12, 4)
    # The server counts five tokens a reply.
    assert estimate.completion_tokens == 4 * 5
    assert estimate.completion_basis == "5 a call, the mean of 12 kept replies of this judge"
    assert (rounds.calls, rounds.in_cache, rounds.to_ask) == (48, 12, 36)
    assert (fresh.in_cache, fresh.to_ask) == (0, 16)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in judge_cache.iterdir()} == before


def test_a_view_sees_what_a_run_beside_it_has_kept_in_other_rounds_too(prices, judge_cache):
    samples, predictions = samples_of(1)
    with JudgeServer("Score: 2") as server, ReplyCache(judge_cache) as store:
        build_judge(JudgeOptions("own", server.base_url, protocol="rubric-2"), store).judge(samples, predictions)
        with ReplyCache(judge_cache, read_only=True) as view:
            [estimate] = estimates(build_judge(options_of(), view), samples, predictions, prices, view.info())
    assert (estimate.in_cache, estimate.to_ask, estimate.cost_usd, estimate.cost_batch_usd) == (4, 0, 0, 0)
    assert estimate.completion_basis == "5 a call, the mean of 8 kept replies of this judge"


def test_equal_prompts_and_samples_that_are_not_judged(prices):
    samples, _ = samples_of(4)
    samples = [replace(sample, description="good") for sample in samples]
    predictions = [
        Prediction("s0", "good"),
        Prediction("s1", "good"),
        Prediction("s2", "x", PredictionStatus.INFERENCE_FAILED),
    ]
    [estimate] = estimates(build_judge(options_of()), samples, predictions, prices)
    assert (estimate.calls, estimate.repeated, estimate.to_ask) == (8, 4, 4)


def test_a_panel_has_a_line_a_member_and_a_sum(prices):
    members = (options_of("own"), options_of("other"), JudgeOptions("rules"))
    judge = build_judge(JudgeOptions("panel", panel=members))
    samples, predictions = samples_of(2)
    judges = estimates(judge, samples, predictions, prices)
    assert [(each.judge, each.calls, each.cost_usd) for each in judges[1:]] == [("other", 8, 0), ("rules", 0, 0)]
    sums = total(judges)
    assert (sums["calls"], sums["prompt_tokens"]) == (16, 2 * judges[0].prompt_tokens)
    assert sums["cost_usd"] == judges[0].cost_usd > 0


@pytest.mark.parametrize(
    ("name", "protocol", "max_tokens", "each"),
    [
        ("own", "rubric-joint", None, 220),
        ("own", "rubric-5", None, 60),
        ("own", "rubric", 16, 16),
        ("gpt-5-mini", "rubric", None, 360),
        ("openai/o3", "rubric", None, 360),
        ("kit:o3", "rubric", None, 360),
        ("gpt-5-chat", "rubric", None, 60),
        ("gpt-4o", "rubric", None, 60),
    ],
)
def test_replies_that_nobody_has_seen_are_assumed(prices, name, protocol, max_tokens, each):
    judge = build_judge(options_of(name, protocol=protocol, max_tokens=max_tokens), None, lambda _: None)
    [estimate] = estimates(judge, *samples_of(2), prices)
    assert estimate.completion_tokens == each * estimate.to_ask
    assert "assumed" in estimate.completion_basis
