"""Lines of batch files: what is asked, and which answers become verdicts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.batch_files import (
    call_line,
    custom_id,
    import_answers,
    plan_parts,
    read_call_file,
    read_custom_id,
)
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Call, Reply, kept_verdicts
from medqbench_vlmeval.judge.judges import build_model_judge
from medqbench_vlmeval.judge.protocols import PROTOCOLS
from medqbench_vlmeval.judge.secrets import Mask
from tests.batch_server import answer_lines, jsonl, vllm_lines
from tests.judge.asking import samples_of
from tests.servers import JudgeServer, completion, refusal

KEY = "0123456789abcdef0123456789abcdef01234567"
JOINT = {"completeness": 2, "preciseness": 1, "consistency": 0, "quality_accuracy": 2}


def calls_of(protocol: str, task: Task = Task.NO_REFERENCE, n: int = 1) -> list[Call]:
    judge = build_model_judge(JudgeOptions("judge-1", "http://127.0.0.1:9/v1", protocol=protocol))
    return judge.calls(*samples_of(n, task))[0]


def lines_of(calls: list[Call], protocol: str) -> list[dict[str, Any]]:
    return [json.loads(call_line(call, JudgeOptions("judge-1", protocol=protocol), protocol)) for call in calls]


def answer(name: str, content: str | None = "Score: 2", **more: Any) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": "r", "body": completion(content, "judge-1-2026")}
    return {"id": "x", "custom_id": name, "response": response, "error": None, **more}


def name_of(codes: str = "c3.r", key: str = KEY) -> str:
    return f"mq1.{key}.{codes}"


def imported(folder: Path, *rows: dict[str, Any] | str, **options: Any) -> Any:
    path = folder / "answers.jsonl"
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with ReplyCache(folder) as store:
        return import_answers([path], store, **{"mask": Mask(()), **options})


def scores_kept(folder: Path, codes: str = "c3.r", key: str = KEY) -> dict[str, float | None] | None:
    """The scores in the reply that is kept for a call; None where there is none or it is incomplete."""
    call_id = read_custom_id(name_of(codes, key))
    assert call_id is not None
    with ReplyCache(folder) as store:
        verdicts = kept_verdicts(call_id[0], store.get(key))
    return {name: verdict.score for name, verdict in verdicts.items()} or None


@pytest.mark.parametrize("task", [Task.NO_REFERENCE, Task.COMPARATIVE])
@pytest.mark.needs_kit
@pytest.mark.parametrize("protocol", [*PROTOCOLS, "rubric-joint-20"])
def test_a_custom_id_says_all_that_an_answer_needs(protocol: str, task: Task) -> None:
    calls = calls_of(protocol, task)
    for call in calls:
        name = custom_id(call, protocol)
        assert len(name) <= 64
        call_id = read_custom_id(name)
        assert call_id is not None
        named, of_protocol = call_id
        assert (named.key, of_protocol, dict(named.allowed)) == (call.key, protocol, dict(call.allowed))
        assert named.schema == call.schema
    # Each round has a key of its own: else five answers would be one.
    assert len({custom_id(call, protocol) for call in calls}) == len(calls)


@pytest.mark.needs_kit
def test_custom_ids_are_short_and_readable() -> None:
    (joint,) = calls_of("rubric-joint", Task.COMPARATIVE)
    assert custom_id(joint, "rubric-joint") == f"mq1.{joint.key}.c3p3s3q2.j"
    assert custom_id(calls_of("official-5")[0], "official-5").endswith(".c3.o5")


@pytest.mark.parametrize(
    "name",
    [None, 7, "", "request-1", f"mq2.{KEY}.c3.r", f"mq1.{KEY[1:]}.c3.r", f"mq1.{KEY.upper()}.c3.r"]
    + [f"mq1.{KEY}.{codes}" for codes in ("c2.r", "x3.r", "c3c3.j", "c3p3s3q3.r", "c3.j", "c3.r0", "c3.r\n", "c٣.r")],
)
def test_foreign_custom_ids(name: object) -> None:
    assert read_custom_id(name) is None


@pytest.mark.parametrize("protocol", ["rubric", "rubric-joint"])
def test_a_line_holds_the_very_body_of_a_live_call(protocol: str) -> None:
    reply = json.dumps(JOINT) if protocol == "rubric-joint" else "Score: 2"
    with JudgeServer(reply) as server:
        options = JudgeOptions("judge-1", server.base_url, protocol=protocol, max_tokens=64, extra={"seed": 7})
        judge = build_model_judge(options)
        judge.judge(*samples_of())
        calls, _ = judge.calls(*samples_of())
        rows = [json.loads(call_line(call, options, protocol)) for call in calls]
    by_prompt = {request.prompt: request.body for request in server.requests}
    assert [row["body"] for row in rows] == [by_prompt[call.prompt] for call in calls]
    assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}


def test_lines_are_split_by_number_and_by_bytes() -> None:
    lines = [b"1\n", b"2\n", b"3\n", b"4\n", b"55555\n", b"666666666666\n", b"7\n"]
    # Three lines are the most; 2 + 6 bytes fit into 10; the next is too long for any file and stands alone.
    parts = plan_parts(lines, Path("to/calls.jsonl"), max_lines=3, max_bytes=10)
    assert list(parts.items()) == [(Path(f"to/calls-{i}.jsonl"), n) for i, n in ((1, 3), (2, 2), (3, 1), (4, 1))]


def test_a_file_of_calls_is_checked_before_it_is_paid_for(tmp_path: Path) -> None:
    rows = lines_of(calls_of("rubric"), "rubric")
    path = tmp_path / "calls.jsonl"
    path.write_text(jsonl(rows))
    file = read_call_file(path)
    assert (file.model, len(file.calls)) == ("judge-1", 4)
    other = {**rows[1], "body": {**rows[1]["body"], "model": "judge-2"}}
    for text, words in (
        (jsonl([rows[0], rows[0]]), "line 1 again in line 2"),
        (jsonl([rows[0], other]), "judge-1 and judge-2"),
        (jsonl([rows[0]]) + '{"custom_id": "mine"}\n', "line 2, is not a call"),
        (jsonl([rows[0]]) + "{", "line 2, is not a call"),
        ("\n", "holds no calls"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=words):
            read_call_file(path)
    with pytest.raises(BadInput, match=r"missing\.jsonl does not exist"):
        read_call_file(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("form", ["openai", "vllm"])
def test_answers_in_any_order_with_failures(tmp_path: Path, form: str) -> None:
    calls = calls_of("rubric", n=5)
    rows = lines_of(calls, "rubric")
    broken, unclear = rows[3]["body"]["messages"][0]["content"], rows[7]["body"]["messages"][0]["content"]

    def reply(request: Any) -> Any:
        if request.prompt == broken:
            return refusal(400, "The prompt is too long, sk-canary123 says")
        return "I would rather not say." if request.prompt == unclear else "Because.\nScore: 1"

    if form == "vllm":
        rows_back = vllm_lines(rows, reply, seed=3)
    else:
        output, errors = answer_lines(rows, reply, seed=3)
        rows_back = errors + output
    report = imported(tmp_path, *rows_back)
    assert (report.imported, report.already_there, report.foreign, report.unreadable) == (18, 0, 0, {})
    assert report.failed == {"status 400: The prompt is too long, *** says": 1}
    assert report.without_a_verdict == {"no verdict in the judge's reply": 1}
    with ReplyCache(tmp_path) as store:
        answers = {call.key: store.get(call.key) for call in calls}
        (group,) = store.info().groups
    assert [call.key for call in calls if answers[call.key] is None] == [calls[3].key]
    assert answers[calls[0].key] == Reply(("Because.\nScore: 1",), "judge-1", 100, 5)
    # What was said without a verdict is kept for a better reader, and stays pending.
    assert answers[calls[7].key].texts == ("I would rather not say.",)
    assert group == ("rubric", "judge-1", 19, 1900, 95)


def test_importing_twice_changes_nothing_and_force_replaces(tmp_path: Path) -> None:
    first = imported(tmp_path, answer(name_of(), "Score: 2"), judge="gpt-4o")
    again = imported(tmp_path, answer(name_of(), "Score: 1"))
    assert [(report.imported, report.already_there) for report in (first, again)] == [(1, 0), (0, 1)]
    assert scores_kept(tmp_path) == {"completeness": 2}
    with ReplyCache(tmp_path) as store:
        assert store.info().groups == (("rubric", "gpt-4o", 1, 100, 5),)
    forced = imported(tmp_path, answer(name_of(), "Score: 1"), replace=True)
    assert (forced.imported, forced.already_there) == (1, 0)
    assert scores_kept(tmp_path) == {"completeness": 1}


def test_the_first_of_two_answers_to_one_call_counts(tmp_path: Path) -> None:
    report = imported(tmp_path, answer(name_of(), "no idea"), answer(name_of(), "0"), answer(name_of(), "2"))
    assert (report.imported, report.already_there, report.without_a_verdict.total()) == (1, 1, 1)
    assert scores_kept(tmp_path) == {"completeness": 0}


@pytest.mark.parametrize(
    ("codes", "content", "scores"),
    [
        ("q3.r", "Score: 1", {"quality_accuracy": 1}),
        ("q2.r", "Score: 1", None),
        ("q2.r", "Score: 0", {"quality_accuracy": 0}),
        ("c3.o", "Score: 10", None),
        ("c3.o", "", None),
        ("c3.o", None, None),
        ("c3p3s3q3.j", json.dumps(JOINT), JOINT),
        ("c3p3s3q2.j", json.dumps({**JOINT, "quality_accuracy": 1}), None),
        ("c3p3s3q3.j", json.dumps(dict.fromkeys(DIMENSIONS[:3], 2)), None),
        ("c3p3s3q3.j", "Score: 2", None),
    ],
)
def test_only_a_full_and_allowed_verdict_counts(tmp_path: Path, codes: str, content: Any, scores: Any) -> None:
    report = imported(tmp_path, answer(name_of(codes), content))
    assert scores_kept(tmp_path, codes) == scores
    assert (report.imported, report.without_a_verdict.total()) == ((1, 0) if scores else (0, 1))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"response": None, "error": {"code": "batch_expired", "message": "Too late."}}, "Too late."),
        ({"response": None, "error": {"code": "batch_expired"}}, "batch_expired"),
        ({"response": None, "error": None}, "no answer and no reason"),
        ({"body": {"messages": []}}, "the line holds no answer (is this the file of the calls?)"),
        (answer("", error="out of memory"), "out of memory"),
        (answer("", response={"status_code": 200, "body": {"detail": [{"msg": "no"}]}}), "no"),
        (answer("", response={"status_code": 500, "body": None}), "status 500: no answer and no reason"),
        (answer("", response={"status_code": 500, "body": completion("2", "j")}), "status 500: no reason given"),
        (answer("", response=[]), "no answer and no reason"),
    ],
)
def test_a_failed_line_is_counted_by_the_servers_words(tmp_path: Path, parts: dict[str, Any], reason: str) -> None:
    report = imported(tmp_path, {**parts, "custom_id": name_of()})
    assert report.failed == {reason: 1}
    assert scores_kept(tmp_path) is None


@pytest.mark.parametrize(
    ("body", "error", "judge", "prompt_tokens"),
    [
        *(({"usage": {"prompt_tokens": n, "completion_tokens": 5}}, None, "judge-1-2026", 0) for n in (2**63, 10**400)),
        ({"model": "judge \ud800"}, None, "judge ?", 200),
        ({}, {"code": None, "message": None}, "judge-1-2026", 200),
    ],
)
def test_odd_answers_are_kept_without_what_no_file_can_hold(
    tmp_path: Path, body: Any, error: Any, judge: str, prompt_tokens: int
) -> None:
    rows = [answer(name_of(key=key), error=error) for key in (KEY, "1" * 40)]
    for row in rows:
        row["response"]["body"] |= body
    assert imported(tmp_path, *rows).imported == 2
    with ReplyCache(tmp_path) as store:
        assert store.info().groups == (("rubric", judge, 2, prompt_tokens, 10),)


def test_broken_lines_are_named_and_the_rest_goes_in(tmp_path: Path) -> None:
    report = imported(
        tmp_path,
        "\ufeff",
        answer(name_of()),
        "not json\n",
        "\n",
        "[1, 2]\n",
        answer("somebody-else"),
        answer(name_of("p3.r", key="1" * 40)),
        json.dumps(answer(name_of("s3.r", key="2" * 40)))[:-20],
    )
    assert (report.imported, report.foreign) == (2, 1)
    assert report.unreadable == {str(tmp_path / "answers.jsonl"): [2, 4, 7]}


def test_secrets_in_answers_do_not_reach_the_cache(tmp_path: Path) -> None:
    secret = "canary-0123456789"
    imported(tmp_path, answer(name_of(), f"{secret}\nScore: 2"), mask=Mask([secret]))
    with ReplyCache(tmp_path) as store:
        assert store.get(KEY).texts == ("***\nScore: 2",)


@pytest.mark.slow
def test_many_answers_take_few_transactions_and_all_arrive(tmp_path: Path) -> None:
    rows = [answer(name_of(key=f"{i:040x}"), f"Score: {i % 3}") for i in range(12_000)]
    random.Random(1).shuffle(rows)
    assert imported(tmp_path, *rows).imported == 12_000
    for i in (0, 9_999, 10_000, 11_999):
        assert scores_kept(tmp_path, key=f"{i:040x}") == {"completeness": i % 3}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from([name_of(), name_of("q2.r"), name_of("c3p3s3q2.j"), "other", 3, None])
_replies = st.sampled_from(["Score: 2", "Score: 1", "Score: 10", "2", "1 or 2", json.dumps(JOINT), "{}"]) | st.text()
_counts = st.integers() | st.floats() | st.none() | st.sampled_from([10**30, 10**400, 2**63])
_usages = st.builds(lambda n: {"prompt_tokens": n, "completion_tokens": n}, _counts)
_choices = st.builds(lambda content: [{"message": {"content": content}}], _replies | _json)
_completions = st.fixed_dictionaries({"choices": _choices, "model": st.text() | _json, "usage": _usages})
_bodies = _completions | st.fixed_dictionaries({"choices": _json}) | _json
_responses = st.fixed_dictionaries({}, optional={"status_code": st.just(200) | _json, "body": _bodies}) | _json
_optional = {"response": _responses, "error": st.none() | _json}
_rows = st.fixed_dictionaries({"custom_id": _names}, optional=_optional) | _json
_lines = st.builds(lambda row: json.dumps(row).encode(), _rows) | st.binary(max_size=60)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lines=st.lists(st.tuples(_lines, st.sampled_from([b"\n", b"\r\n", b""])), max_size=6))
def test_no_file_of_answers_breaks_the_import_or_brings_a_wrong_verdict(tmp_path_factory: Any, lines: Any) -> None:
    folder = tmp_path_factory.mktemp("import")
    path = folder / "answers.jsonl"
    path.write_bytes(b"".join(line + end for line, end in lines))
    with ReplyCache(folder) as store:
        report = import_answers([path], store, Mask(()))
        info = store.info()
        reply = store.get(KEY)
    assert report.imported <= info.n <= 1
    assert reply is None or reply.prompt_tokens <= 10**9


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(8)), lost=st.sets(st.integers(0, 7)), cut=st.integers(0, 30))
def test_whatever_order_and_loss_a_verdict_belongs_to_its_call(
    tmp_path_factory: Any, order: list[int], lost: set[int], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("import")
    rows = [answer(name_of(key=f"{i:040x}"), f"Score: {i % 3}") for i in range(8)]
    data = jsonl(rows[i] for i in order if i not in lost).encode()
    (folder / "answers.jsonl").write_bytes(data[: len(data) - cut])
    with ReplyCache(folder) as store:
        import_answers([folder / "answers.jsonl"], store, Mask(()))
        for i in range(8):
            reply = store.get(f"{i:040x}")
            assert reply is None or reply.texts == (f"Score: {i % 3}",)
            # A truncated last line is lost; a missing line end alone is not.
            last = order[-1] == i or all(j in lost for j in order[order.index(i) + 1 :])
            assert (reply is None) == (i in lost or (last and cut > 1))
