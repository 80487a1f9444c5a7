"""How a judge is asked: pace, retries, when a run stops, and what several rounds and a joint reply become."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Call, Reply
from medqbench_vlmeval.judge.client import Messages, OpenAIClient
from medqbench_vlmeval.judge.engine import Engine, Pace
from medqbench_vlmeval.judge.usage import single_verdicts, usage_of
from medqbench_vlmeval.types import Judged
from tests.judge.asking import Asker, ask, asked_again, judge_on, samples_of, scores
from tests.servers import JudgeServer, Request, Sent, refusal


class DrippingServer(JudgeServer):
    """Sends a byte of its answer every 0.1 s, so that no read ever times out."""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(super()._handler()):
            def _send(self, sent: Sent) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(ConnectionError):
                    for _ in range(1000):
                        self.wfile.write(b" ")
                        time.sleep(0.1)

        return Handler


def all_scores(judged: list[Judged]) -> list[float | None]:
    return [sample.verdicts[dimension].score for sample in judged for dimension in DIMENSIONS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "limit", "seconds"),
    [
        # 1,200 a minute is one in 50 ms: the eighth starts 350 ms after the first, less what the first was late.
        (2, {"rpm": 1200}, 0.25),
        # Four prompts of more than 1,200 characters, or 300 tokens, and 150 for each reply: 1,800 at 983 a second
        # after a burst of 1,000.
        (1, {"tpm": 60_000}, 0.5),
    ],
)
def test_requests_and_tokens_a_minute_are_spread_evenly(n: int, limit: dict[str, float], seconds: float) -> None:
    with JudgeServer("Score: 2") as server:
        ask(server, n=n, nproc=8, **limit)
    started = sorted(request.at for request in server.requests)
    assert started[-1] - started[0] > seconds


def starts(pace: Pace, lengths: list[int], pause: float = 0.0) -> list[float]:
    """When calls of these lengths start (seconds after they came together, into a pause)."""
    started: list[float] = []

    async def all_of_them() -> None:
        came = time.monotonic()
        pace.pause(pause)

        async def call(length: int) -> None:
            await pace.start(length)
            started.append(time.monotonic() - came)

        await asyncio.gather(*map(call, lengths))

    asyncio.run(all_of_them())
    return started


def test_calls_that_waited_in_a_pause_do_not_start_together() -> None:
    started = starts(Pace(1200, None), [10] * 6, pause=0.2)
    # One in 50 ms from the end of the pause; up to 20 ms of lateness are made up for.
    assert all(start >= 0.2 + 0.05 * number - 0.02 for number, start in enumerate(started))


def test_other_scripts_have_more_tokens_a_character() -> None:
    # 3 bytes a character: 750 tokens and 150, at 2,000 a second.
    assert starts(Pace(None, 120_000), [len(("\u56fe" * 1000).encode()), 0])[1] > 0.42


def test_a_wait_that_the_server_asks_for_is_kept_by_all_workers() -> None:
    refused: list[float] = []

    def reply(request: Request) -> str | Sent:
        if refused:
            return "Score: 1"
        refused.append(time.monotonic())
        return refusal(429, "slow down", Retry_After_Ms="800")

    with JudgeServer(reply) as server:
        judged = ask(server, n=5, nproc=1, retry=1)
    assert all_scores(judged) == [1] * 20
    later = sorted(request.at for request in server.requests)[1:]
    assert later[0] - refused[0] > 0.75


def test_a_wait_without_end_stops_the_run_with_the_servers_words() -> None:
    with (
        JudgeServer(refusal(429, "daily limit reached", Retry_After="7200")) as server,
        pytest.raises(JudgeError, match=r"asks to wait 7200 s .*daily limit reached.*Run again later"),
    ):
        ask(server, n=30, retry=5)


@pytest.mark.slow
def test_a_wait_of_nothing_does_not_use_up_the_attempts_at_once() -> None:
    with JudgeServer(refusal(429, "slow down", Retry_After="-1")) as server:
        ask(server, n=1, nproc=4, retry=1)
    for prompt in {request.prompt for request in server.requests}:
        first, second = (request.at for request in server.requests if request.prompt == prompt)
        assert second - first > 0.45


@pytest.mark.slow
def test_a_server_with_a_limit_of_its_own_answers_all_in_the_end() -> None:
    lock = threading.Lock()
    taken: list[float] = []

    def reply(request: Request) -> str | Sent:
        with lock:
            now = time.monotonic()
            taken[:] = [at for at in taken if now - at < 1]
            if len(taken) >= 10:
                return refusal(429, "Rate limit reached", Retry_After="1")
            taken.append(now)
        return "Score: 1"

    with JudgeServer(reply) as server:
        judged = ask(server, n=30, nproc=32, retry=6)
    assert all_scores(judged) == [1] * 120


def test_an_answer_that_drips_in_runs_into_the_timeout() -> None:
    with DrippingServer() as server:
        began = time.monotonic()
        with pytest.raises(JudgeError, match=r"did not answer within 0.5 s, call after call.*--judge-timeout"):
            ask(server, n=5, nproc=4, timeout=0.5)
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_failing_call_is_tried_as_often_as_asked_for_after_waits_that_grow() -> None:
    with JudgeServer(refusal(500, "oops")) as server:
        (judged,) = ask(server, retry=2)
    assert {verdict.reason for verdict in judged.verdicts.values()} == {"status 500: oops"}
    assert len(server.requests) == 4 * 3
    for prompt in {request.prompt for request in server.requests}:
        first, second, third = (request.at for request in server.requests if request.prompt == prompt)
        # Half a second, then a whole one, each with up to half a second of jitter.
        assert second - first > 0.45
        assert third - second > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "words", "n_kept"),
    [
        (refusal(500, "out of order"), r"7 calls in a row .*'judge-1' failed, the last with: .*out of order", 10),
        ("I would rather not say.", r"7 calls in a row .* no verdict in the judge's reply after 3 asks", 17),
        (Sent(body="{}"), "7 calls in a row .* no chat completion", 10),
        (refusal(400, "this deployment takes no such request"), "7 calls in a row .* takes no such request", 10),
    ],
)
def test_failures_in_a_row_stop_the_run(tmp_path: Path, reply: str | Sent, words: str, n_kept: int) -> None:
    answered = iter(range(10))
    with (
        JudgeServer(lambda _: "Score: 2" if next(answered, None) is not None else reply) as server,
        ReplyCache(tmp_path) as store,
    ):
        with pytest.raises(JudgeError, match=words):
            ask(server, n=100, nproc=1, stop_after=7, store=store)
        assert len(server.requests) in (10 + 7, 10 + 3 * 7)
        assert store.info().n == n_kept


def test_scattered_failures_do_not_stop_a_run() -> None:
    count = iter(range(10_000))
    with JudgeServer(lambda _: "Score: 2" if next(count) % 2 else refusal(500, "oops")) as server:
        judged = ask(server, n=10, nproc=1, stop_after=5)
    assert len(server.requests) == 40
    assert sum(score is None for score in all_scores(judged)) == 20


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("Noise.\nMore  noise. " + 99 * "words ", r"protocol 'rubric' asks for; name a stronger one\.$"),
        (refusal(500, "oops"), r"9 of the first 11 .* with: status 500: oops\. .* the same command goes on from there"),
    ],
)
def test_a_run_in_which_most_calls_fail_stops_and_says_whether_going_on_helps(reply: str | Sent, words: str) -> None:
    # Every fifth prompt has a verdict: never five failures in a row, but 9 of 11 are more than three quarters.
    def answer(request: Request) -> str | Sent:
        order.setdefault(request.prompt, len(order))
        return "Score: 2" if order[request.prompt] % 5 == 4 else reply

    order: dict[str, int] = {}
    with JudgeServer(answer) as server, pytest.raises(JudgeError, match=words) as caught:
        ask(server, n=30, nproc=1, stop_after=5)
    assert len(order) == 11
    if isinstance(reply, str):
        assert "9 of the first 11 calls" in str(caught.value)
        assert "it said 'Noise. More noise. words words" in str(caught.value)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize("status", [400, 403, 422])
@pytest.mark.parametrize("words", ["no", "temperature 39 is a fever", "max_tokens"])
def test_a_prompt_that_a_filter_refuses_first_costs_its_sample_alone(status: int, words: str) -> None:
    def reply(request: Request) -> str | Sent:
        return refusal(status, words) if "answer 0" in request.prompt else "Score: 1"

    with JudgeServer(reply) as server:
        samples, predictions = samples_of(6)
        judge = judge_on(server, nproc=1)
        calls, _ = judge.calls(samples, predictions)
        engine = Engine(judge.options, OpenAIClient(judge.options), None, "rubric")
        verdicts = []
        # In this order, so that the refused sample comes first.
        asyncio.run(engine.work(calls, verdicts.append))
    refused = [call.index for call, by_dimension in verdicts if next(iter(by_dimension.values())).score is None]
    assert refused == ["s0"] * 4
    assert len(verdicts) == 24


def test_a_wrong_option_ends_a_run_after_three_samples_prompts_with_its_hint() -> None:
    wrong = refusal(400, "Unsupported value: 'temperature'")
    with JudgeServer(wrong) as server, pytest.raises(JudgeError, match='"temperature": null'):
        ask(server, n=200, nproc=1)
    assert 3 <= len(server.requests) <= 12


def test_a_refused_prompt_that_alone_is_left_does_not_stop_a_run(tmp_path: Path) -> None:
    def reply(request: Request) -> str | Sent:
        return refusal(400, "no") if "answer 0" in request.prompt else "Score: 1"

    with JudgeServer(reply) as server, ReplyCache(tmp_path) as store:
        ask(server, n=5, store=store)
        judged = ask(server, n=5, store=store)
    assert all_scores(judged) == [None] * 4 + [1] * 16


def test_refused_prompts_never_stop_a_run() -> None:
    refused = refusal(400, "content filter", "content_filter")
    with JudgeServer(lambda request: "2" if "answer 0" in request.prompt else refused) as server:
        judged = ask(server, n=30, nproc=1, stop_after=3)
    assert sum(score is None for score in all_scores(judged)) == 29 * 4


def test_two_runs_at_once_share_what_they_pay_for(tmp_path: Path) -> None:
    def run(server: JudgeServer) -> list[float | None]:
        with ReplyCache(tmp_path) as store:
            return all_scores(ask(server, n=40, nproc=4, store=store))

    with JudgeServer("Score: 2", delay=0.02) as server, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, [server, server])) == [[2] * 160] * 2
    # Alone each would pay 160; together they overlap in calls that are in flight at the same moment.
    assert 160 <= len(server.requests) < 240


def test_no_calls_asks_nothing() -> None:
    with JudgeServer("Score: 2") as server:
        (judged,) = ask(server, no_calls=True)
    assert server.requests == []
    reasons = {verdict.reason for verdict in judged.verdicts.values()}
    assert reasons == {"no verdict in the cache, and no call was wanted (--no-calls)"}


def test_rounds_are_asked_each_and_their_mean_counts(tmp_path: Path) -> None:
    count: Counter[str] = Counter()

    def reply(request: Request) -> str:
        count[request.prompt] += 1
        return f"Score: {2 if count[request.prompt] <= 3 else 1}"

    with JudgeServer(reply) as server, ReplyCache(tmp_path) as store:
        (judged,) = ask(server, protocol="rubric-5", store=store, nproc=1)
        assert len(server.requests) == 20
        # Rounds of one protocol share its first: nothing is asked for a single round.
        ask(server, protocol="rubric", store=store)
        assert len(server.requests) == 20
    verdict = judged.verdicts["completeness"]
    assert verdict.score == pytest.approx((3 * 2 + 2 * 1) / 5)
    assert sorted(verdict.parts) == ["1", "2", "3", "4", "5"]
    assert sorted(part.score for part in verdict.parts.values()) == [1, 1, 2, 2, 2]
    assert (verdict.asks, verdict.prompt_tokens) == (5, 500)
    assert usage_of(single_verdicts([judged])).calls == 20


def test_a_round_that_failed_leaves_the_verdict_unscored_and_the_others_kept(tmp_path: Path) -> None:
    broken = True
    seen: set[str] = set()

    def reply(request: Request) -> str | Sent:
        if broken and request.prompt in seen and "Does the candidate contradict" in request.prompt:
            return refusal(500, "oops")
        seen.add(request.prompt)
        return "Score: 1"

    with JudgeServer(reply) as server, ReplyCache(tmp_path) as store:
        (judged,) = ask(server, protocol="rubric-2", store=store, nproc=1)
        assert judged.verdicts["preciseness"].score is None
        assert "status 500: oops" in judged.verdicts["preciseness"].reason
        assert judged.verdicts["consistency"].score == 1
        broken = False
        asked = len(server.requests)
        (judged,) = ask(server, protocol="rubric-2", store=store, nproc=1)
        assert len(server.requests) == asked + 1
    assert judged.verdicts["preciseness"].score == 1


def joint(**scores: int) -> str:
    return json.dumps({name: {"reason": f"because of {name}", "score": score} for name, score in scores.items()})


GIVEN = {"completeness": 2, "preciseness": 1, "consistency": 0, "quality_accuracy": 2}


def test_one_structured_call_gives_all_four_scores_with_reasons(tmp_path: Path) -> None:
    with JudgeServer(joint(**GIVEN)) as server, ReplyCache(tmp_path) as store:
        judged = ask(server, n=3, protocol="rubric-joint", store=store)
        assert len(server.requests) == 3
        ask(server, n=3, protocol="rubric-joint", store=store)
        assert len(server.requests) == 3
    for sample in judged:
        assert scores(sample) == GIVEN
        assert sample.verdicts["preciseness"].explanation == "because of preciseness"
    usage = usage_of(single_verdicts(judged))
    assert (usage.calls, usage.prompt_tokens) == (3, 300)
    schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["completeness"]["properties"]["score"]["enum"] == [0, 1, 2]


def test_a_pairs_quality_accuracy_has_no_middle_in_the_schema_either() -> None:
    with JudgeServer(lambda request: joint(**{**GIVEN, "quality_accuracy": 1})) as server:
        (judged,) = ask(server, task=Task.COMPARATIVE, protocol="rubric-joint")
    body = server.requests[0].body
    enum = body["response_format"]["json_schema"]["schema"]["properties"]["quality_accuracy"]["properties"]["score"]
    assert enum["enum"] == [0, 2]
    assert len(server.requests) == 3
    assert judged.verdicts["completeness"].score == 2
    assert judged.verdicts["quality_accuracy"].score is None
    assert "1 is not one of 0, 2 after 3 asks" in judged.verdicts["quality_accuracy"].reason


def test_what_a_joint_reply_lacks_is_asked_for_again() -> None:
    part = {name: score for name, score in GIVEN.items() if name != "consistency"}
    with JudgeServer(lambda request: joint(**GIVEN) if asked_again(request) else joint(**part)) as server:
        (judged,) = ask(server, protocol="rubric-joint")
    assert scores(judged) == GIVEN
    assert usage_of(single_verdicts([judged])).calls == 2


# A judge of the kit's is asked without a limit of ours around it, which would cancel it a second time.
@pytest.mark.parametrize("name", ["j", "kit:j"])
def test_a_run_ends_even_where_a_cancellation_goes_unnoticed(name: str) -> None:
    class Deaf(Asker):
        """Answers, also when it is cancelled for the first time."""

        asked = 0

        async def ask(self, messages: Messages, schema: object = None) -> Reply:
            Deaf.asked += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30 if Deaf.asked > 4 else 0)
            return await super().ask(messages, schema)

    calls = [Call(f"key-{i}", str(i), f"prompt {i}", {"completeness": (0, 1, 2)}) for i in range(1000)]

    async def main() -> None:
        engine = Engine(JudgeOptions(name, nproc=2), Deaf(lambda _: "Score: 1"), None, "rubric")
        await asyncio.wait_for(engine.work(calls, lambda _: None), timeout=0.3)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert Deaf.asked < 20
