"""Batches on a server: submitted once, looked at, collected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.errors import BadInput, JudgeError, NoJudge, RunFailed
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.batch_api import collect, read_submissions, require_new, state_path, states_of
from medqbench_vlmeval.judge.batch_api import submit as submit_calls
from medqbench_vlmeval.judge.batch_files import call_line, read_call_file
from medqbench_vlmeval.judge.judges import build_model_judge
from tests.batch_server import EXPIRED, LOST, BatchServer
from tests.judge.asking import samples_of
from tests.servers import Request, Sent, refusal

KEY = "sk-canary-0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the eight calls of two samples."""
    options = JudgeOptions("judge-1", protocol="rubric", no_calls=True)
    calls, _ = build_model_judge(options).calls(*samples_of(2))
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(call_line(call, options, "rubric") for call in calls))
    return path


def submit(path: Path, server: BatchServer, **options: Any) -> Any:
    settings = {"base_url": server.base_url, "key": KEY, "retry": 0, **options}
    return submit_calls(read_call_file(path), JudgeOptions("judge-1", **settings))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_note_holds_no_secret_of_the_address(path: Path) -> None:
    with BatchServer() as server:
        address = server.base_url.replace("http://", "http://me:hunter2-hunter2@") + "?sig=abcdefghij"
        submit(path, server, base_url=address)
        assert read_submissions(path)[0].base_url == server.base_url
    note = state_path(path).read_text()
    assert not any(secret in note for secret in ("hunter2", "abcdefghij", KEY))


def test_a_file_is_submitted_once_and_again_only_on_demand(path: Path) -> None:
    require_new(path)
    scores = iter(["Score: 1"] * 8 + ["Score: 2"] * 8)
    with BatchServer(lambda _: next(scores)) as server:
        first = submit(path, server)
        with pytest.raises(BadInput, match=f"as batch {first.batch_id}.*--again"):
            require_new(path)
        second = submit(path, server)
        assert [submission.batch_id for submission in read_submissions(path)] == [first.batch_id, second.batch_id]
        collection = collect(path, key=KEY)
    assert [answers.name for answers in collection.paths] == ["calls.answers.jsonl", "calls.answers-2.jsonl"]


def test_expired_and_lost_calls_leave_the_rest(path: Path) -> None:
    prompts = [row["body"]["messages"][0]["content"] for row in rows_of(path)]

    def reply(request: Request) -> Any:
        special = {prompts[0]: EXPIRED, prompts[1]: LOST, prompts[2]: refusal(429, "slow down")}
        return special.get(request.prompt, "Score: 1")

    with BatchServer(reply) as server:
        submit(path, server)
        collection = collect(path, key=KEY)
    state = collection.states[0]
    assert (state.status, state.completed, state.failed) == ("expired", 5, 2)
    assert [answers.name for answers in collection.paths] == ["calls.answers.jsonl", "calls.errors.jsonl"]
    assert [len(rows_of(answers)) for answers in collection.paths] == [5, 2]


def test_a_cancelled_batch_gives_what_it_has_without_the_key_in_it(path: Path) -> None:
    with BatchServer(f"Your key is {KEY}. Score: 2", held=True) as server:
        submit(path, server)
        server.finish("cancelled")
        collection = collect(path, key=KEY)
    assert (collection.states[0].status, len(rows_of(collection.paths[0]))) == ("cancelled", 8)
    assert KEY not in collection.paths[0].read_text()


def test_answers_that_are_there_are_never_replaced(tmp_path: Path, path: Path) -> None:
    mine = tmp_path / "calls.answers.jsonl"
    mine.write_text("mine")
    with BatchServer() as server:
        submit(path, server)
        first, again = collect(path, key=KEY), collect(path, key=KEY)
    assert [answers.name for answers in first.paths] == ["calls.answers-2.jsonl"]
    assert first.paths == again.paths
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (refusal(401, f"Wrong key {KEY}"), r"status 401.*Wrong key \*\*\*"),
        (Sent(status=404, body='{"detail": "Not Found"}'), "status 404.*Not Found"),
        (Sent(status=500, body="<html>"), "status 500"),
        (Sent(status=200, body="<html>hello"), "names no id. Has it a Batch API"),
        (Sent(status=200, body="[" * 100_000), "names no id. Has it a Batch API"),
        (Sent(status=200, body='{"id": 7}'), "names no id. Has it a Batch API"),
        (Sent(status=0), "No judge answers"),
    ],
)  # fmt: skip
def test_a_server_that_refuses_or_has_no_batches(path: Path, reply: Sent, words: str) -> None:
    with BatchServer(refusal=reply) as server, pytest.raises(JudgeError, match=words) as caught:
        submit(path, server)
    assert KEY not in str(caught.value)
    assert not state_path(path).exists()


def spoil_batches(server: BatchServer, spoil: Callable[[Sent], Sent]) -> None:
    """Let something happen when a batch was made, before the client is told."""
    answer = server.answer

    def answer_spoiled(method: str, route: str, headers: dict[str, str], data: bytes) -> Sent:
        sent = answer(method, route, headers, data)
        return spoil(sent) if route.endswith("/batches") else sent

    server.answer = answer_spoiled  # type: ignore[method-assign]


def test_a_connection_that_breaks_while_a_batch_is_made_is_not_tried_again(path: Path) -> None:
    with BatchServer() as server:
        spoil_batches(server, lambda _: Sent(status=0))
        with pytest.raises(JudgeError, match="whether there is one now is not known"):
            submit(path, server, retry=3)
        assert len(server.batches) == 1


@pytest.mark.parametrize("body", ["[]", "{}", '{"status": 3}', '{"status": "completed", "output_file_id": 7}'])
def test_a_server_that_talks_nonsense_later(path: Path, body: str) -> None:
    with BatchServer() as server:
        submit(path, server)
        server.refusal = Sent(status=200, body=body)
        if "completed" in body:
            assert collect(path, key=KEY).paths == ()
        else:
            with pytest.raises(JudgeError, match="did not say how batch"):
                states_of(path, key=KEY)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"batches": [{}]}', '{"batches": [{"batch_id": ""}]}', "\x00"])
def test_a_broken_note_stops_a_second_payment(path: Path, text: str) -> None:
    state_path(path).write_text(text)
    with BatchServer() as server, pytest.raises(BadInput, match=r"calls\.batch\.json is not a note"):
        submit(path, server)
    assert server.requests == []


def test_a_note_that_cannot_be_written_names_the_batch(path: Path) -> None:
    with BatchServer() as server:
        spoil_batches(server, lambda sent: state_path(path).mkdir() or sent)
        with pytest.raises(RunFailed, match=r"cannot be written .* the batch batch_\d+ runs"):
            submit(path, server)


def test_what_was_never_submitted_and_what_has_no_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="was never submitted"):
        states_of(path, key=KEY)
    with pytest.raises(NoJudge, match="needs a key"):
        submit_calls(read_call_file(path), JudgeOptions("gpt-4o"))
