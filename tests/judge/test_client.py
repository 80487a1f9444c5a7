"""One question to an OpenAI-compatible server: the request, the address, the reply, what a failure says."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.client import OpenAIClient, Unanswered, read_completion, request_body, retry_after
from medqbench_vlmeval.judge.completion import short_words
from medqbench_vlmeval.judge.options import LIMITS
from medqbench_vlmeval.judge.protocols import load_protocol
from medqbench_vlmeval.judge.secrets import Mask
from tests.judge.asking import ask as ask_judge
from tests.judge.asking import samples_of, scores
from tests.servers import JudgeServer, Request, Sent, refusal

KEY = "sk-canary-0123456789"
QUESTION = [{"role": "user", "content": "?"}]
SCHEMA = {"type": "object"}


def ask(url: str, schema: Any = None, times: int = 1, **options: Any) -> Reply:
    async def one_run() -> Reply:
        async with OpenAIClient(JudgeOptions(**{"name": "m", "base_url": url, "key": KEY, **options})) as asker:
            for _ in range(times - 1):
                await asker.ask(QUESTION, schema)
            return await asker.ask(QUESTION, schema)

    return asyncio.run(one_run())


def completion(content: Any = "Score: 2", **fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"message": {"content": content}}], **fields}


def test_the_body_of_a_request() -> None:
    options = JudgeOptions("m", temperature=None, max_tokens=9, extra={"seed": 1})
    assert request_body(options, QUESTION) == {"model": "m", "messages": QUESTION, "max_tokens": 9, "seed": 1}
    form = request_body(options, QUESTION, SCHEMA)["response_format"]
    assert form["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("suffix", ["", "/", "/chat/completions"])
def test_the_route_is_put_behind_the_base_url_once(suffix: str) -> None:
    with JudgeServer("Score: 2") as server:
        assert ask(server.base_url + suffix) == Reply(("Score: 2",), "m-served", 100, 5)
    assert server.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (completion(), Reply(("Score: 2",), "m-1")),
        (completion(model=None), Reply(("Score: 2",), "")),
        (completion(usage={"prompt_tokens": 3, "completion_tokens": 4}), Reply(("Score: 2",), "m-1", 3, 4)),
        (completion(usage={"prompt_tokens": -3, "completion_tokens": "4"}), Reply(("Score: 2",), "m-1")),
        (completion(usage=[1]), Reply(("Score: 2",), "m-1")),
        (completion([{"text": "a"}, {"text": "b"}, 3]), Reply(("ab",), "m-1")),
        (completion(""), Reply(("",), "m-1")),
    ],
)
def test_a_completion_is_read_with_distrust(reply: Any, answer: Reply) -> None:
    assert read_completion(reply) == answer


def test_a_key_in_a_completion_or_a_models_name_is_masked() -> None:
    reply = completion(f"Bearer {KEY}: 2", model=f"for {KEY}")
    assert read_completion(reply, Mask([KEY])) == Reply(("Bearer ***: 2",), "for ***")
    assert read_completion(completion(), Mask(["Score"])) == Reply(("Score: 2",), "m-1"), "too short to be a key"


def test_the_servers_words_are_one_short_masked_line() -> None:
    mask = Mask([KEY])
    assert short_words({"error": {"message": f"a\n b {KEY}"}}, "x", mask) == "a b ***"
    assert short_words({"detail": {"msg": "deep"}}, "x", mask) == "deep"
    assert short_words({"error": {}}, f"otherwise {KEY}", mask) == "otherwise ***"
    assert short_words(None, "Incorrect API key provided: sk-ab*****xyz.", mask) == "Incorrect API key provided: ***."
    assert len(short_words("w" * 1000, "", mask)) == 243
    # Masked before it is cut: half of a key is too much.
    assert short_words("w" * 230 + KEY, "", mask) == "w" * 230 + "***"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_an_attempt_that_failed(status: int) -> None:
    with JudgeServer(refusal(status, "busy", retry_after="2")) as server, pytest.raises(Unanswered) as caught:
        ask(server.base_url)
    assert (caught.value.may_heal, caught.value.retry_after, caught.value.no_connection) == (True, 2.0, None)
    assert caught.value.__suppress_context__


def test_a_prompt_that_is_refused_after_others_concerns_no_server() -> None:
    seen: list[Request] = []

    def reply(request: Request) -> Sent:
        seen.append(request)
        return Sent("Score: 2") if len(seen) == 1 else refusal(400, "flagged", "content_filter")

    with JudgeServer(reply) as server, pytest.raises(Unanswered) as caught:
        ask(server.base_url, times=2)
    assert (caught.value.may_heal, caught.value.concerns_server) == (False, False)


@pytest.mark.parametrize(
    "words",
    ["response_format is not known", "Unknown parameter: response_format", "Unsupported parameter: text format"]
    + ["Invalid value: JSON schema is not supported"],
)
def test_a_server_without_schemas_is_asked_without_from_then_on(words: str) -> None:
    with JudgeServer(
        lambda request: refusal(400, words) if "response_format" in request.body else "Score: 2"
    ) as server:
        assert ask(server.base_url, SCHEMA, times=3).texts == ("Score: 2",)
    assert ["response_format" in request.body for request in server.requests] == [True, False, False, False]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("gpt-5", 1), ("openai/gpt-5.1-mini", 1), ("o3", 1), ("azure:o4-mini", 1), ("gpt-4o", 0), ("qwen3-32b", 0)],
)
def test_reasoning_models_get_the_limit_by_the_name_that_they_know(name: str, limit: int) -> None:
    with JudgeServer("Score: 2") as server:
        ask(server.base_url, name=name)
    body = server.requests[0].body
    assert {LIMITS[limit]: 4096}.items() <= body.items() and LIMITS[1 - limit] not in body


OPENAI = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
UNKNOWN = {
    "gpt-4o": [OPENAI, "Unknown name: max_tokens"],
    "o1": ["Unrecognized request argument supplied: max_completion_tokens", "max_completion_tokens: Extra inputs"],
}


@pytest.mark.parametrize("most", [None, 300])
@pytest.mark.parametrize(("name", "words"), [(name, words) for name, of in UNKNOWN.items() for words in of])
def test_a_limit_by_a_name_that_the_server_does_not_know_is_sent_by_the_other(
    name: str, words: str, most: int | None
) -> None:
    unknown, known = LIMITS if name == "gpt-4o" else LIMITS[::-1]
    with JudgeServer(lambda request: refusal(400, words) if unknown in request.body else "Score: 2") as server:
        assert ask(server.base_url, name=name, times=3, max_tokens=most).texts == ("Score: 2",)
    sent = [
        {limit: request.body.get(limit) for limit in LIMITS if limit in request.body} for request in server.requests
    ]
    assert sent == [{unknown: most or 4096}, *[{known: most or 4096}] * 3]


def test_calls_in_flight_together_all_find_the_other_name() -> None:
    def reply(request: Request) -> Sent | str:
        return refusal(400, OPENAI) if "max_tokens" in request.body else "Score: 2"

    with JudgeServer(reply, gather=4) as server:
        judged = ask_judge(server, n=3, nproc=4, max_tokens=300)
    assert [scores(sample) for sample in judged] == [dict.fromkeys(DIMENSIONS, 2)] * 3
    # Four at once were refused, one each, and none after them: 4 + 12.
    assert ["max_tokens" in request.body for request in server.requests].count(True) == 4
    assert len(server.requests) == 16


TOO_SMALL = [
    "This model's maximum context length is 2048 tokens. However, you requested 4996 tokens (900 in the messages, 4096 "
    "in the completion).",
    "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 2048 tokens.",
    "max_tokens is too large: 4096. This model supports at most 2048 completion tokens.",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 2048]",
]


@pytest.mark.parametrize("words", TOO_SMALL)
def test_a_context_too_small_for_the_usual_limit_is_asked_without_one(words: str) -> None:
    with JudgeServer(lambda request: refusal(400, words) if "max_tokens" in request.body else "Score: 2") as server:
        assert ask(server.base_url, times=2).texts == ("Score: 2",)
    assert [request.body.get("max_tokens") for request in server.requests] == [4096, None, None]
    assert not any("max_completion_tokens" in request.body for request in server.requests)


def test_a_limit_that_the_user_gave_is_not_taken_out() -> None:
    with JudgeServer(refusal(400, TOO_SMALL[2])) as server, pytest.raises(Unanswered, match="at most 2048"):
        ask(server.base_url, max_tokens=4096)
    assert [request.body["max_tokens"] for request in server.requests] == [4096]


def test_a_prompt_that_is_too_long_itself_changes_nothing_for_the_next_one() -> None:
    refused = iter([True, True, False])

    def reply(_request: Request) -> Sent | str:
        return refusal(400, TOO_SMALL[0]) if next(refused) else "Score: 2"

    async def two() -> list[Reply]:
        async with OpenAIClient(JudgeOptions("m", server.base_url, key=KEY)) as asker:
            with pytest.raises(Unanswered):
                await asker.ask(QUESTION)
            return [await asker.ask(QUESTION)]

    with JudgeServer(reply) as server:
        assert asyncio.run(two())[0].texts == ("Score: 2",)
    assert [request.body.get("max_tokens") for request in server.requests] == [4096, None, 4096]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_in_extra_stands_alone_and_is_recorded_there(limit: str) -> None:
    options = JudgeOptions("o3", extra={limit: 5})
    assert request_body(options, QUESTION).items() >= {limit: 5}.items()
    assert len({*LIMITS} & request_body(options, QUESTION).keys()) == 1
    assert options.parameters == {"temperature": 0.0, "max_tokens": None, "extra": {limit: 5}}


def test_the_record_says_what_is_sent_and_replies_stay_where_they_were_kept() -> None:
    usual, kit = JudgeOptions("m"), JudgeOptions("kit:m")
    assert usual.parameters == {"temperature": 0.0, "max_tokens": 4096}
    assert kit.parameters == {"temperature": 0.0, "max_tokens": None}
    samples, predictions = samples_of(1)
    calls, _ = build_judge(JudgeOptions("m", "http://h/v1", protocol="rubric")).calls(samples, predictions)
    rubric = load_protocol("rubric")
    judge = {"name": "m", "parameters": {"temperature": 0.0, "max_tokens": None}}
    prompt = sha256_text(calls[0].prompt)
    parts = ["rubric", rubric.version, rubric.sha256, judge, ["completeness"], prompt, 1]
    assert calls[0].key == sha256_text(json.dumps(parts, sort_keys=True))[:40]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_the_wait_that_a_reply_asks_for(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers) == wait


def test_a_wait_may_be_a_date() -> None:
    assert 25 < retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)}) <= 31


def test_what_a_terminal_would_obey_is_taken_out_of_a_server_s_words() -> None:
    with JudgeServer(refusal(503, "busy \x1b[2J\x07\u202e\nnow")) as server, pytest.raises(Unanswered) as caught:
        ask(server.base_url)
    assert str(caught.value) == "status 503: busy \ufffd[2J\ufffd\ufffd now"
