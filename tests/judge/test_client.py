"""One question to an OpenAI-compatible server: the request, the address, the reply, what a failure says."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import pytest

from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.calls import Reply
from medqbench_vlmeval.judge.client import (
    OpenAIClient,
    Unanswered,
    read_completion,
    request_body,
    retry_after,
    short_words,
)
from medqbench_vlmeval.judge.secrets import Mask
from tests.servers import JudgeServer, Request, Sent, refusal

KEY = "sk-canary-0123456789"
QUESTION = [{"role": "user", "content": "?"}]
SCHEMA = {"type": "object"}


def ask(url: str, schema: Any = None, times: int = 1, **options: Any) -> Reply:
    async def one_run() -> Reply:
        async with OpenAIClient(JudgeOptions("m", url, **{"key": KEY, **options})) as asker:
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
    assert (caught.value.may_heal, caught.value.retry_after, caught.value.connection) == (True, 2.0, False)
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
