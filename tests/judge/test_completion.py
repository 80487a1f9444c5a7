"""What servers really send in the place of a chat completion, and what becomes of it. The forms are those of public bug
reports against OpenAI-compatible servers and gateways; keys, ids and long texts are left out."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.batch_files import import_answers
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Call, Reply, verdicts_of
from medqbench_vlmeval.judge.client import OpenAIClient, Unanswered
from medqbench_vlmeval.judge.completion import MOST_BYTES, Failed, parsed, read_completion
from medqbench_vlmeval.judge.secrets import Mask
from tests.judge.asking import ask, scores
from tests.servers import JudgeServer, Request, Sent

QUESTION = [{"role": "user", "content": "?"}]
HTML = {"Content-Type": "text/html"}
SSE = {"Content-Type": "text/event-stream"}
CALL = Call("c" * 40, "s", "?", {"completeness": (0, 1, 2)})


def whole(content: Any = "Score: 2", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


def events(*chunks: Any, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


STREAM = events(delta(role="assistant"), delta(content="Sco"), delta(content="re: 2"), delta("stop"))
# What the server sends with status 200, and words of the reason.
HEALS = [
    (error("Rate limit exceeded: free-models-per-min", code=429), "Rate limit exceeded"),
    (error("Provider returned error", code=502, metadata={"raw": "upstream"}), "Provider returned error"),
    ({"choices": [{"error": {"code": 502, "message": "Network connection lost."}, "finish_reason": "error",
                   "message": {"content": "Score: 2"}}]}, "Network connection lost"),
    ({**whole("Score: 2"), **error("Upstream idle timeout exceeded", code=504)}, "Upstream idle timeout"),
    (error("Rate limit reached for model", type="tokens", code="rate_limit_exceeded"), "Rate limit reached"),
    ({"type": "error", **error("Overloaded", type="overloaded_error")}, "Overloaded"),
    (error("The server had an error while processing your request.", type="server_error"), "The server had an error"),
    ({"object": "error", "message": "NETWORK ERROR DUE TO HIGH TRAFFIC.", "code": 50001}, "HIGH TRAFFIC"),
    ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, "qps request limit"),
    ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, "rate limit"),
    ({"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}, "Requests rate limit"),
    ([error("Resource has been exhausted", code=429, status="RESOURCE_EXHAUSTED")], "exhausted"),
    (error("You exceeded your current quota. Retry in 22s.", code=429, status="RESOURCE_EXHAUSTED"), "22s"),
    ({"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."}, "Rate limit is exceeded"),
    ({"error": "Model is overloaded", "error_type": "overloaded"}, "Model is overloaded"),
    (error("Loading model", code=503, type="unavailable_error"), "Loading model"),
    ({"result": None, "success": False, "errors": [{"code": 3040, "message": "Capacity exceeded"}]}, "Capacity"),
    ({"message": "Endpoint request timed out"}, "timed out"),
    ({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Exceeded workspace rate"}, "workspace"),
    (error("您当前使用该API的并发数过高", code="1302"), "并发数过高"),
    (error("Service tier capacity exceeded for this model.", code="3505"), "capacity exceeded"),
    ({"error": "llama runner process has terminated"}, "has terminated"),
    ({"detail": "upstream error: 502 Bad Gateway"}, "502 Bad Gateway"),
    ({"choices": None, "usage": None}, "no chat completion"),
    ({"choices": []}, "no chat completion"),
    ({"choices": [None]}, "no chat completion"),
    ({"choices": ["Score: 2"]}, "no chat completion"),
    ({"choices": [{"message": "Score: 2"}]}, "no chat completion"),
    ({"choices": [{"message": None}], "usage": 3, "model": 4}, "no chat completion"),
    ({}, "no chat completion"),
    ([1, 2], "no chat completion"),
    ("Score: 2", "Score: 2"),
    (None, "no chat completion"),
    (whole("Score: 2", "error"), "finish_reason 'error'"),
    (whole("Score: 2", "abort"), "finish_reason 'abort'"),
    (whole("Score: 2", "insufficient_system_resource"), "insufficient_system_resource"),
    (Sent(body="<html><head><title>502 Bad Gateway</title></head></html>", headers=HTML), "'502 Bad Gateway'"),
    (Sent(body="<!DOCTYPE html>\n<html><body>Open WebUI", headers=HTML), "an HTML page"),
    (Sent(body=""), "no chat completion"),
    (Sent(body="upstream connect error", headers={"Content-Type": "text/plain"}), "upstream connect error"),
    (Sent(body='{"choices": [{"message": {"content": "Score: 2'), "no chat completion"),
    (Sent(body="[" * 100_000), "no chat completion"),
    (Sent(body='{"choices":' * 100_000), "no chat completion"),
    (Sent(body=events(delta(content="Score: 2"), error("Overloaded", code=529)), headers=SSE), "Overloaded"),
    (Sent(body=events(delta(content="Score: 2"), end=""), headers=SSE), "the stream of the reply broke off"),
    (Sent(body=events({"text": "**NETWORK ERROR**", "error_code": 50001}), headers=SSE), "no chat completion"),
]  # fmt: skip
STOPS = [
    (error("Incorrect API key provided: sk-abc****xyz.", code="invalid_api_key"), "Incorrect API key.*Check the key"),
    (error("No auth credentials found", code=401), "No auth credentials.*Check the key"),
    (error("invalid x-api-key", type="authentication_error"), "invalid x-api-key.*Check the key"),
    ({"error_code": 110, "error_msg": "Access token invalid or no longer valid"}, "Access token.*Check the key"),
    ({"base_resp": {"status_code": 1004, "status_msg": "login fail: carry the API secret key"}}, "login fail.*the key"),
    (error("The model `judge` does not exist", code="model_not_found"), "does not exist.*Check the model's name"),
    ({"error": "model 'judge' not found, try pulling it first"}, "try pulling.*Check the model's name"),
    ({"object": "error", "message": "The model `judge` does not exist.", "code": 404}, "does not exist"),
    (error("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota"), "current quota"),
    (error("Insufficient credits. Add more.", code=402), "Insufficient credits"),
    (error("Insufficient Balance", code="invalid_request_error"), "Insufficient Balance"),
    (error("余额不足或无可用资源包", code="1113"), "余额不足"),
    (error("Your account is suspended", type="exceeded_current_quota_error"), "suspended"),
    (error("无效的令牌", type="one_api_error"), "Check the key"),
    ({"error": "Invalid credentials in Authorization header"}, "Check the key"),
    ({"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, "the model's name"),
    (error("Model not found, inaccessible, and/or not deployed", type="invalid_request_error"), "the model's name"),
    ({"code": "AccessDenied.Unpurchased", "message": "Access to model denied."}, "may use this model"),
    ({"title": "Payment Required", "status": 402, "detail": "Cloud credits expired"}, "Cloud credits expired"),
    ({"code": "Arrearage", "message": "Access denied, your account is in arrears."}, "arrears"),
    (Sent(status=422, body=json.dumps({"detail": [{"loc": ["body", "top_k"], "msg": "extra fields not permitted"}]})),
     r"status 422: body\.top_k: extra fields not permitted"),
    (Sent(status=404, body="<html><head><title>404 Not Found</title></head></html>"), "'404 Not Found'.*base URL"),
    (Sent(status=405, body='{"detail":"Method Not Allowed"}'), "Method Not Allowed.*base URL"),
    (Sent(status=301, body="", headers={"location": "/elsewhere"}), "redirects to .*/elsewhere.*--judge-base-url"),
    (Sent(status=400, body="Client sent an HTTP request to an HTTPS server.\n"), "Begin --judge-base-url with https://"),
    (Sent(status=407, body="Proxy Authentication Required"), "HTTP_PROXY"),
]  # fmt: skip
READ = [
    Sent(body=json.dumps(whole()), headers={"Content-Type": "text/plain; charset=utf-8"}),
    Sent(body="\ufeff" + json.dumps(whole())),
    Sent(status=201, body=json.dumps(whole())),
    Sent(body="\n\n \n" + json.dumps(whole())),
    Sent(body=json.dumps(whole()) + "\n\ndata: [DONE]\n\n", headers=SSE),
    Sent(body=STREAM, headers=SSE),
    Sent(body=": keep-alive\n\n" + STREAM.replace("\n", "\r\n")),
    Sent(body=events(whole())),
    Sent(body=events(delta(content="Score: 2"), delta("stop"), end="")),
    Sent(body=events({"choices": []}, delta(content="Score: 2"), {"choices": [], "usage": {}})),
    Sent(body=events(delta(reasoning_content="Score: 1?"), delta(content="Score: 2"))),
    Sent(body=json.dumps({**whole(), "error": None})),
    Sent(body=json.dumps({**whole(), "error": {"code": None, "message": ""}, "base_resp": {"status_code": 0}})),
    Sent(body=json.dumps(whole([{"type": "text", "text": "Score: "}, {"text": "2"}, 3]))),
    *(Sent(body=json.dumps(whole(finish=word))) for word in (None, "STOP", "end_turn", "eos", "stop_sequence", 3)),
]
CUT = [
    *((whole("a score of 2. But", word), f"most tokens (finish_reason '{word}'); raise max_tokens")
      for word in ("length", "max_tokens", "MAX_TOKENS", "model_length", "model_context_window_exceeded")),
    *((whole("a score of 2. But", word), f"filter cut the judge's reply off (finish_reason '{word}')")
      for word in ("content_filter", "SAFETY", "safety", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "sensitive")),
    (whole(None, reasoning_content="Score: 2"), "all of its tokens went into reasoning; raise max_tokens"),
    (whole("", "length", reasoning="Score: 2"), "all of its tokens went into reasoning; raise max_tokens"),
    ({**whole("", "length"), "usage": {"completion_tokens_details": {"reasoning_tokens": 64}}}, "went into reasoning"),
    (whole(None, "length"), "raise max_tokens"),
    (whole(None, refusal="I won't. Score: 2"), "the judge refused: 'I won't. Score: 2'"),
]  # fmt: skip


def sent(answer: Any) -> Sent:
    return answer if isinstance(answer, Sent) else Sent(body=json.dumps(answer))


def asked(answer: Any, replies: int = 1, **options: Any) -> Reply:
    """What the client makes of an answer, after ``replies`` - 1 good ones."""

    async def one_run(url: str) -> Reply:
        async with OpenAIClient(JudgeOptions("judge", url, key="canary-0123456789", **options)) as client:
            for _ in range(replies - 1):
                await client.ask(QUESTION)
            return await client.ask(QUESTION)

    with JudgeServer(answer if callable(answer) else sent(answer)) as server:
        return asyncio.run(one_run(server.base_url))


@pytest.mark.parametrize(("answer", "words"), HEALS)
def test_an_error_that_may_pass_is_asked_again(answer: Any, words: str) -> None:
    with pytest.raises(Unanswered) as caught:
        asked(answer)
    assert caught.value.may_heal and words in str(caught.value)


@pytest.mark.parametrize(("answer", "words"), STOPS)
def test_an_error_that_cannot_pass_stops_with_the_servers_words(answer: Any, words: str) -> None:
    with pytest.raises((JudgeError, Unanswered)) as caught:
        asked(answer)
    # Whether 400 and its like are about all prompts is told by other prompts.
    error = getattr(caught.value, "refused", None) or caught.value
    assert isinstance(error, JudgeError) and re.search(words, str(error))
    assert "sk-abc" not in str(error)


@pytest.mark.parametrize("answer", READ)
def test_a_completion_in_an_odd_form_is_read(answer: Sent) -> None:
    reply = asked(answer)
    assert (reply.texts, reply.served_as, reply.endings) == (("Score: 2",), "m-1", ())


@pytest.mark.parametrize(("answer", "words"), CUT)
def test_no_verdict_is_read_from_a_reply_that_was_cut_off(answer: Any, words: str, tmp_path: Path) -> None:
    reply = asked(answer)
    verdict = verdicts_of(CALL, reply)["completeness"]
    assert verdict.score is None and words in str(verdict.reason)
    with ReplyCache(tmp_path) as cache:
        cache.add([(CALL.key, "rubric", "judge", reply)])
        assert cache.get(CALL.key) == reply
        line = {"custom_id": f"mq1.{'d' * 40}.c3.r", "response": {"status_code": 200, "body": answer}}
        (tmp_path / "answers.jsonl").write_text(json.dumps(line) + "\n")
        report = import_answers([tmp_path / "answers.jsonl"], cache, Mask(()))
    assert (report.imported, report.without_a_verdict) == (0, Counter({str(verdict.reason): 1}))


@pytest.mark.parametrize(("answer", "words"), [case for case in (*HEALS, *STOPS) if isinstance(case[0], dict)])
def test_a_line_of_a_batch_with_such_an_answer_has_failed(answer: Any, words: str, tmp_path: Path) -> None:
    line = {"custom_id": f"mq1.{'d' * 40}.c3.r", "response": {"status_code": 200, "body": answer}}
    (tmp_path / "answers.jsonl").write_text(json.dumps(line) + "\n")
    with ReplyCache(tmp_path) as cache:
        report = import_answers([tmp_path / "answers.jsonl"], cache, Mask(()))
    assert report.failed.total() == 1 and not report.imported


def test_a_whole_reply_after_one_that_was_cut_off_counts() -> None:
    both = Reply(("Score: 1",), "m", endings=("length",)).and_then(Reply(("Score: 2",), "m"))
    assert both.endings == ("length",)
    assert verdicts_of(CALL, both)["completeness"].score == 2
    turned = Reply(("Score: 2",), "m").and_then(Reply(("Score: 1",), "m", endings=("length",)))
    assert turned.endings == ("", "length")
    assert verdicts_of(CALL, turned)["completeness"].score == 2


@pytest.mark.parametrize(
    ("words", "headers", "wait"),
    [
        ("slow down", {"retry-after": "2"}, 2.0),
        ("Please try again in 20s.", {"retry-after": "2"}, 2.0),
        ("Rate limit reached. Please try again in 20s. Visit us.", {}, 20.0),
        ("Please try again in 6ms.", {}, 0.006),
        ("Please try again in 7m12.5s.", {}, 432.5),
        ("Quota exceeded for metric x, limit: 15\nPlease retry in 22.53s.", {}, 22.53),
        ("Please retry after 5 seconds.", {}, 5.0),
        ("Please wait 12 seconds before retrying.", {}, 12.0),
        ("Please try again in 3 minutes.", {}, 180.0),
        ("Please try again later.", {}, None),
        ("Please retry in a moment: 5 s of 10 s used", {}, None),
    ],
)
def test_a_wait_that_a_header_or_the_words_ask_for_is_kept(words: str, headers: dict[str, str], wait: Any) -> None:
    with pytest.raises(Unanswered) as caught:
        asked(Sent(body=json.dumps(error(words, code=429)), headers=headers))
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("status", "words", "options"),
    [
        (400, "This model only support stream mode, please enable the stream parameter to access the model.", True),
        (400, "Stream must be set to true", False),
        (422, "parameter.enable_thinking must be set to false for non-streaming calls", False),
    ],
)
def test_a_server_that_only_streams_is_asked_for_streams_from_then_on(status: int, words: str, options: bool) -> None:
    bodies: list[dict[str, Any]] = []

    def reply(request: Request) -> Sent:
        bodies.append(request.body)
        if not request.body.get("stream"):
            return Sent(status=status, body=json.dumps(error(words)))
        if "stream_options" in request.body and not options:
            return Sent(status=400, body=json.dumps(error("Unrecognized request argument: stream_options")))
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
        return Sent(body=events(delta(content="Score: 2"), delta("stop"), *([usage] if options else [])), headers=SSE)

    answer = asked(reply, replies=2)
    assert (answer.texts, answer.prompt_tokens) == (("Score: 2",), 7 if options else 0)
    assert [bool(body.get("stream")) for body in bodies] == (
        [False, True, True] if options else [False, True, True, True]
    )


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with pytest.raises(Unanswered, match="longer than 8 MB") as caught:
        asked(Sent(body=json.dumps(whole("x" * MOST_BYTES))))
    assert not caught.value.may_heal


@pytest.mark.slow
def test_half_of_the_answers_are_such_errors_and_all_samples_are_scored_in_the_end() -> None:
    # Without those that ask for a wait of many seconds.
    odd = [sent(answer) for answer, _ in HEALS if not re.search(r"(?:again|etry) in \d", str(answer))]
    seen: set[str] = set()

    def reply(request: Request) -> str | Sent:
        if request.prompt in seen or len(seen) % 2:
            seen.add(request.prompt)
            return "Score: 1"
        seen.add(request.prompt)
        return odd[len(seen) // 2 % len(odd)]

    with JudgeServer(reply) as server:
        judged = ask(server, n=60, nproc=240, retry=3)
    assert len(server.requests) == 360
    assert {score for sample in judged for score in scores(sample).values()} == {1}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "error", "code", "finish_reason", "x"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(body=_json, status=st.sampled_from([200, 400, 429, 500]), framing=st.sampled_from(["{}", "data: {}\n\n", "{}x"]))
def test_whatever_a_server_sends_is_a_reply_or_a_failure(body: Any, status: int, framing: str) -> None:
    text = framing.replace("{}", json.dumps(body))
    try:
        reply = read_completion(parsed(text), str, status, text)
    except Failed as failed:
        assert failed.words and 400 <= failed.status < 600
    else:
        assert status == 200 and isinstance(reply.texts[0], str)
