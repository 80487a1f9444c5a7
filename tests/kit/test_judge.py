"""Judges that the kit's own build_judge makes, asked by our engine through the kit's real client."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.errors import BadInput, JudgeError, MissingDependency
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.usage import single_verdicts, usage_of
from medqbench_vlmeval.kit.judge import kit_client
from tests.canaries import forms_of
from tests.judge.asking import samples_of, scores
from tests.servers import JudgeServer, Request, Sent, refusal

KEY = "kit-canary-0123456789"
CUT = '{"choices": [{"message": {"content": "a score of 2, but"}, "finish_reason": "length"}]}'
FAILURE = "Failed to obtain answer via API. "


@pytest.fixture(autouse=True)
def clean_environment(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "LOCAL_LLM"):
        monkeypatch.delenv(name, raising=False)


def ask(url: str | None, n: int = 1, name: str = "gpt-4o-mini", store: Any = None, **options: Any) -> Any:
    settings = {"nproc": 4, "retry": 0, "protocol": "rubric", "key": KEY, **options}
    judge = build_judge(JudgeOptions(f"kit:{name}", url, **settings), store, kit_client)
    return judge.judge(*samples_of(n))


def text_in(message: dict[str, Any]) -> str:
    """A message's text: the PyPI kit sends it as it is, git HEAD in a list of parts."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def test_four_verdicts_with_the_servers_name_for_the_model():
    with JudgeServer("Fine.\nScore: 2") as server:
        judged = ask(server.base_url, n=2, max_tokens=300, extra={"seed": 7})
    assert all(scores(sample) == dict.fromkeys(DIMENSIONS, 2) for sample in judged)
    assert judged[0].verdicts["preciseness"].judge == "gpt-4o-mini-2024-07-18-served"
    assert len(server.requests) == 8
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert set(request.body) == {"model", "messages", "temperature", "max_tokens", "seed"}
        assert (request.body["model"], request.body["temperature"]) == ("gpt-4o-mini-2024-07-18", 0)
        assert (request.body["max_tokens"], request.body["seed"]) == (300, 7)
    # The client hands its response on, so that the server's count is known here too.
    assert (usage_of(single_verdicts(judged)).calls, usage_of(single_verdicts(judged)).prompt_tokens) == (8, 800)


def test_the_kits_own_variables_give_address_and_key_and_our_own_goes_before(monkeypatch):
    with JudgeServer("Score: 1") as server:
        monkeypatch.setenv("OPENAI_API_BASE", f"{server.base_url}/chat/completions")
        monkeypatch.setenv("OPENAI_API_KEY", "of-the-model-under-test")
        assert scores(ask(None, key=None)[0]) == dict.fromkeys(DIMENSIONS, 1)
        monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", KEY)
        ask(server.base_url, key=None)
    keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer of-the-model-under-test"] * 4 + [f"Bearer {KEY}"] * 4


@pytest.mark.parametrize("name", ["gpt-4o", "deepseek"])
def test_as_many_calls_in_flight_as_asked_for(name):
    with JudgeServer("Score: 2", gather=24) as server:
        judged = ask(f"{server.base_url}/chat/completions", n=6, name=name, nproc=24)
    assert server.max_in_flight == 24
    assert all(scores(sample) == dict.fromkeys(DIMENSIONS, 2) for sample in judged)


@pytest.mark.parametrize(("name", "messages"), [("gpt-4o", 3), ("deepseek", 1)])
def test_a_reply_without_a_verdict_is_asked_about_again(name, messages):
    def reply(request: Request) -> str:
        return "Score: 1" if "Give only your verdict" in text_in(request.messages[-1]) else "I have many thoughts."

    # SiliconFlow's client knows no conversations.
    with JudgeServer(reply) as server:
        judged = ask(server.base_url, name=name)
    assert scores(judged[0]) == dict.fromkeys(DIMENSIONS, 1)
    again = next(r for r in server.requests if "Give only your verdict" in text_in(r.messages[-1]))
    assert len(again.messages) == messages
    # In the prompt's own message a judge's words, which may quote an answer, would stand outside of the tags.
    assert ("I have many thoughts." in "".join(map(text_in, again.messages))) == (messages > 1)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (refusal(500, "on fire"), "got status 500: on fire"),
        (refusal(429, "slow down", retry_after="0"), "got status 429: slow down"),
        (Sent(body='{"no": "choices"}'), "got no reply"),
        (Sent(body='{"error": {"message": "Overloaded", "code": 529}}'), "got no reply: Overloaded"),
        (Sent(body=CUT), "cut off at its most tokens (finish_reason 'length')"),
        (Sent(body="<html>"), "got no reply: no chat completion in the server's reply but an HTML page"),
        (Sent(status=500, body="[" * 100_000), "got status 500: [[["),
        (Sent(FAILURE), "got no reply"),
        (Sent("Fail to obtain answer via API."), "got no reply"),
        (Sent(status=0), "ConnectionError at the kit's client"),
    ],
)
def test_a_failure_is_never_a_verdict(reply, words):
    answered = []

    def only_first(_: Request) -> Sent:
        # One good answer first: a server that never answered anything is another matter.
        answered.append(1)
        return Sent("Score: 2") if len(answered) == 1 else reply

    with JudgeServer(only_first) as server:
        judged = ask(server.base_url, nproc=1)
    verdicts = judged[0].verdicts.values()
    assert sorted(str(verdict.score) for verdict in verdicts) == ["2", "None", "None", "None"]
    assert all(words in str(verdict.reason) for verdict in verdicts if verdict.score is None)


@pytest.mark.parametrize("status", [401, 404])
def test_a_hopeless_refusal_stops_the_run(status):
    def refused(request: Request) -> Sent:
        return refusal(status, f"wrong: {request.headers['authorization']}")

    with (
        JudgeServer(refused) as server,
        pytest.raises(JudgeError, match=rf"'kit:gpt-4o-mini' at http\S+ refused .* {status}") as caught,
    ):
        ask(server.base_url, n=30, retry=5)
    assert len(server.requests) <= 4
    assert KEY not in str(caught.value)


def test_no_server_stops_the_run():
    # A reply that quotes the kit's sentence for a failure is a verdict.
    with JudgeServer(f"The answer says '{FAILURE}', so nothing is there.\nScore: 0") as server:
        assert scores(ask(server.base_url)[0]) == dict.fromkeys(DIMENSIONS, 0)
        url = server.base_url
    with pytest.raises(JudgeError, match="No judge answers at http://127"):
        ask(url, n=9)


def test_verdicts_of_a_local_llm_are_kept_under_its_own_name(tmp_path, monkeypatch):
    with ReplyCache(tmp_path) as store, JudgeServer("Score: 2") as server:
        monkeypatch.setenv("LOCAL_LLM", "my/llm")
        ask(server.base_url, n=2, store=store)
        again = ask(server.base_url, n=2, store=store)
    assert [request.body["model"] for request in server.requests] == ["my/llm"] * 8
    assert again[0].verdicts["completeness"].judge == "my/llm-served"
    assert all(verdict.from_cache for sample in again for verdict in sample.verdicts.values())


def test_no_log_shows_the_key_and_levels_come_back(caplog, capsys):
    def echo(request: Request) -> Sent:
        return Sent(f"{request.headers['authorization']}\nScore: 2")

    logger = logging.getLogger("vlmeval.api")
    level, factory = logger.level, logging.getLogRecordFactory()
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "vlmeval"), JudgeServer(echo) as server:
        judged = ask(server.base_url)
    assert (logger.level, logging.getLogRecordFactory()) == (level, factory)
    assert judged[0].verdicts["completeness"].reply == "Bearer ***\nScore: 2"
    shown = "".join(capsys.readouterr()) + caplog.text + json.dumps([scores(sample) for sample in judged])
    assert not [form for form in forms_of(KEY) if form in shown.encode()]


def asked_once(server: JudgeServer, timeout: float | None = None) -> Any:
    """The reply to one question, asked without the engine."""

    async def question() -> Any:
        async with kit_client(JudgeOptions("kit:gpt-4o", server.base_url, key=KEY)) as client:
            messages = [{"role": "user", "content": "http://example.org/a.png"}]
            return (await asyncio.wait_for(client.ask(messages), timeout)).texts

    return asyncio.run(question())


def test_a_question_that_is_a_url_is_asked_as_text_and_does_not_hold_the_loop():
    with JudgeServer("Score: 2") as server:
        assert asked_once(server) == ("Score: 2",)
    with JudgeServer("Score: 2", delay=5) as server, pytest.raises((TimeoutError, asyncio.TimeoutError)):
        asked_once(server, timeout=0.2)


def test_a_judge_that_cannot_be_made_is_one_sentence():
    with pytest.raises(BadInput, match="wants the name"):
        kit_client(JudgeOptions("kit:"))
    with pytest.raises(BadInput, match="takes no 'extra'"):
        kit_client(JudgeOptions("kit:llama31-8b", extra={"seed": 1}))
    # It wants a package that is not installed here.
    with pytest.raises(JudgeError, match="could not build the judge 'llama31-8b'"):
        ask(None, name="llama31-8b", key=None)
    with pytest.raises(MissingDependency, match="no VLMEvalKit is installed"):
        build_judge(JudgeOptions("kit:gpt-4o", protocol="rubric"))
