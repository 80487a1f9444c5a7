"""``medqbench judge``: from pending calls to verdicts, and the cache."""

from __future__ import annotations

import io
import json
import random
import sqlite3

import pytest

from medqbench_vlmeval.benchmark import DIMENSIONS
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import Reply
from tests.batch_server import EXPIRED, LOST, BatchServer, answer_lines, jsonl
from tests.commands import predictions_of, run
from tests.servers import JudgeServer, refusal

KEY = "sk-canary-0123456789"
OPTIONS = ("--judge", "judge-1", "--protocol", "rubric")
NAMES = {"no-reference": "MedQBench_Reasoning_NoReference", "comparative": "MedQBench_Reasoning_Comparative"}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def write_predictions(folder, texts, model="m", task="no-reference"):
    return predictions_of(folder / f"{model}_{NAMES[task]}.jsonl", texts, task)


def exported(capsys, folder, *texts):
    """A prediction file with these replies, and the file of their calls."""
    path, calls = write_predictions(folder, texts), folder / "calls.jsonl"
    assert run(capsys, "judge", "export", path, "--out", calls, *OPTIONS)[0] == 0
    return path, calls


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number(request):
    """A score that depends on the whole question, 0 or 2, so that no verdict may land on another call."""
    return 2 * (sum(request.prompt.encode()) % 2)


def judged(request):
    if "response_format" in request.body:
        return json.dumps({name: {"reason": "so", "score": number(request)} for name in DIMENSIONS})
    return f"Because.\nScore: {number(request)}"


def numbers(path):
    """What of a result does not depend on where an answer came from."""
    score = json.loads(path.read_text(encoding="utf-8"))
    drop = ("settings", "usage", "not_comparable_because")
    return {name: value for name, value in score.items() if name not in drop}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["no-reference", "comparative"])
@pytest.mark.parametrize(
    "protocol",
    [
        "rubric",
        "rubric-joint",
        *(pytest.param(name, marks=pytest.mark.needs_kit) for name in ("official", "official-5")),
    ],
)
def test_full_circle(capsys, tmp_path, judge_cache, monkeypatch, protocol, task):
    texts = [f"Answer number {i}, all is sharp." for i in range(5)]
    path = write_predictions(tmp_path, texts, task=task)
    options = ("--judge", "judge-1", "--protocol", protocol)
    n = {"rubric": 20, "rubric-joint": 5, "official": 20, "official-5": 100}[protocol]

    code, out, err = run(capsys, "judge", "export", path, "--out", tmp_path / "calls.jsonl", *options)
    assert (code, err) == (0, "")
    assert f"calls.jsonl: {n} calls to judge-1" in out
    calls = rows_of(tmp_path / "calls.jsonl")
    assert len({call["custom_id"] for call in calls}) == n

    wrong = (LOST, refusal(500, "out of order"), EXPIRED, "I cannot say.")
    failing = {call["custom_id"]: sent for call, sent in zip(calls, wrong, strict=False)}
    by_call = iter(calls)

    def reply(request):
        return failing.get(next(by_call)["custom_id"]) or judged(request)

    output, errors = answer_lines(calls, reply, seed=1)
    mixed = output + errors
    random.Random(2).shuffle(mixed)
    half = len(mixed) // 2
    (tmp_path / "one.jsonl").write_text(jsonl(mixed[:half]) + '{"id": "cut of')
    (tmp_path / "two.jsonl").write_text(jsonl(mixed[half:]))
    code, out, err = run(capsys, "judge", "import", tmp_path / "two.jsonl", tmp_path / "one.jsonl")
    assert (code, err) == (0, "")
    assert f"{n - 4} imported, 0 already there" in out
    assert "1 without a verdict:" in out
    assert "2 failed:" in out
    assert "1 x status 500: out of order" in out
    assert f"1 unreadable: {tmp_path / 'one.jsonl'}, line {half + 1}" in out

    # What is missing is exported again, and asked by a run: no more, no less.
    run(capsys, "judge", "export", path, "--out", tmp_path / "rest.jsonl", *options)
    rest = rows_of(tmp_path / "rest.jsonl")
    assert {call["custom_id"] for call in rest} == set(failing)
    with JudgeServer(judged) as server:
        live = (*options, "--judge-base-url", server.base_url)
        code, *_ = run(capsys, "score", path, *live, "--out", tmp_path / "batch")
        asked = sorted(json.dumps(request.body, sort_keys=True) for request in server.requests)
        assert code == 0
        assert asked == sorted(json.dumps(call["body"], sort_keys=True) for call in rest)
        code, out, _ = run(capsys, "judge", "export", path, "--out", tmp_path / "none.jsonl", *options)
        assert (code, (tmp_path / "none.jsonl").exists()) == (0, False)
        assert f"Nothing is pending: the cache holds all {n} calls" in out
        monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(tmp_path / "other-cache"))
        run(capsys, "score", path, *live, "--out", tmp_path / "live")
        assert len(server.requests) == 4 + n
    (batch,), (all_live,) = (list((tmp_path / name).glob("*_score.json")) for name in ("batch", "live"))
    assert numbers(batch) == numbers(all_live)
    assert json.loads(batch.read_text())["n_unscored"] == 0


def test_a_hundred_models_in_one_export(capsys, tmp_path):
    """Several files at once; what two models said alike is asked once."""
    first = write_predictions(tmp_path, ["all sharp", "all blurred"], "a")
    second = write_predictions(tmp_path, ["all dark", "all blurred"], "b")
    out = tmp_path / "new" / "calls.jsonl"
    code, printed, _ = run(capsys, "judge", "export", first, second, "--out", out, *OPTIONS)
    assert (code, len(rows_of(out))) == (0, 12)
    assert f"{out}: 12 calls to judge-1" in printed
    again = run(capsys, "judge", "export", first, second, "--out", out, *OPTIONS)
    assert again[0] == 2
    assert "is there already" in again[2]
    # One sample of each file: 'score --limit 1' asks for the same.
    code, *_ = run(capsys, "judge", "export", first, second, "--out", out, *OPTIONS, "--force", "--limit", 1)
    assert code == 0
    limited = {row["body"]["messages"][0]["content"] for row in rows_of(out)}
    assert len(limited) in (4, 8)
    with JudgeServer(judged) as server:
        for path in (first, second):
            live = ("--judge-base-url", server.base_url, "--limit", 1, "--out", tmp_path / "out")
            assert run(capsys, "score", path, *OPTIONS, *live)[0] == 0
        assert {request.prompt for request in server.requests} == limited


def test_long_exports_are_split(tmp_path, monkeypatch):
    from medqbench_vlmeval.errors import BadInput
    from medqbench_vlmeval.workflows import Request, batch
    from medqbench_vlmeval.workflows.batch import export_calls

    path = write_predictions(tmp_path, ["one", "two"])
    request = Request(path, "m", "d", tmp_path, judge={"model": "judge-1", "protocol": "rubric"}, cache=tmp_path / "c")
    monkeypatch.setattr(batch, "MAX_LINES", 3)
    exported = export_calls([request], tmp_path / "calls.jsonl")
    assert [(part.name, n) for part, _, n in exported.files] == [
        (f"calls-{i}.jsonl", n) for i, n in ((1, 3), (2, 3), (3, 2))
    ]
    before = {part: part.read_bytes() for part, *_ in exported.files}
    assert [len(rows_of(part)) for part in before] == [3, 3, 2]
    assert len({row["custom_id"] for part in before for row in rows_of(part)}) == 8
    with pytest.raises(BadInput, match=r"calls-1\.jsonl is there already"):
        export_calls([request], tmp_path / "calls.jsonl")
    assert before == {part: part.read_bytes() for part in before}
    assert not (tmp_path / "c").exists()


def test_a_panel_gets_a_file_for_each_judge(capsys, tmp_path):
    path = write_predictions(tmp_path, ["one"])
    options = ("--judge", "org/judge:1,judge-2", "--protocol", "rubric")
    code, *_ = run(capsys, "judge", "export", path, *options, "--out", tmp_path / "c.jsonl")
    assert code == 0
    files = {path.name: {row["body"]["model"] for row in rows_of(path)} for path in tmp_path.glob("c.*.jsonl")}
    assert files == {"c.org-judge-1.jsonl": {"org/judge:1"}, "c.judge-2.jsonl": {"judge-2"}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--judge", "rules"], "makes no calls"),
        (["--judge", "gpt-4o,rules"], "makes no calls"),
        (["--judge", "kit:GPT4o"], "cannot be asked in a batch"),
        (["--judge", "j", "--protocol", "rubrik"], "rubric"),
        (["--judge", "j", "--judge-args", '{"extra": {"api_key": "canary-0123456789"}}'], "named like a secret"),
        ([], "No judge was named"),
    ],
)
def test_what_cannot_be_exported(capsys, tmp_path, options, words):
    path = write_predictions(tmp_path, ["one"])
    code, out, err = run(capsys, "judge", "export", path, *options, "--out", tmp_path / "calls.jsonl")
    assert (code, out) == (2, "")
    assert words in err
    assert "canary" not in err
    assert list(tmp_path.glob("*.jsonl")) == [path]


def test_multiple_choice_needs_no_judge(capsys, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("index,question,A,B,answer,prediction\n1,Is it sharp?,Yes,No,A,A\n")
    code, _, err = run(capsys, "judge", "export", path, *OPTIONS, "--out", tmp_path / "c.jsonl")
    assert (code, "m.csv is multiple-choice" in err) == (2, True)


@pytest.mark.slow
def test_submit_status_collect(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", KEY)
    path, calls = exported(capsys, tmp_path, "one", "two", "three")
    lost = rows_of(calls)[0]["body"]["messages"][0]["content"]
    with BatchServer(lambda request: LOST if request.prompt == lost else judged(request), held=True) as server:
        code, out, err = run(capsys, "judge", "submit", calls, "--judge-base-url", server.base_url)
        assert (code, err) == (0, "")
        assert f"12 calls to judge-1 at {server.base_url}" in out
        (batch,) = server.batches.values()
        assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
        assert server.files[batch["input_file_id"]] == calls.read_bytes()
        (note,) = json.loads((tmp_path / "calls.batch.json").read_text())["batches"]
        assert (note["batch_id"], note["base_url"], note["n"]) == (batch["id"], server.base_url, 12)
        code, _, err = run(capsys, "judge", "submit", calls, "--judge-base-url", server.base_url)
        assert code == 2
        assert "was submitted on" in err
        assert len(server.batches) == 1
        code, _, err = run(capsys, "judge", "export", path, "--out", calls, "--force", *OPTIONS)
        assert (code, "was submitted" in err) == (2, True)

        code, out, _ = run(capsys, "judge", "status", calls)
        assert (code, "in_progress, 0 completed and 0 failed of 12" in out) == (0, True)
        code, _, err = run(capsys, "judge", "collect", calls)
        assert (code, "has not ended yet" in err) == (1, True)
        server.finish()
        code, out, err = run(capsys, "judge", "collect", calls)
        assert (code, err) == (0, "")
        assert "completed, 11 completed and 0 failed of 12" in out
        assert "11 imported, 0 already there" in out
        assert "1 of 12 calls stay pending" in out
        code, out, _ = run(capsys, "judge", "collect", calls)
        assert (code, "0 imported, 11 already there" in out) == (0, True)
        assert all(headers["authorization"] == f"Bearer {KEY}" for _, _, headers in server.requests)
    asked, answered = (
        {row["custom_id"] for row in rows_of(tmp_path / f"calls{end}")} for end in (".jsonl", ".answers.jsonl")
    )
    assert answered == asked - {rows_of(calls)[0]["custom_id"]}
    with JudgeServer(judged) as live:
        run(capsys, "score", path, *OPTIONS, "--judge-base-url", live.base_url, "--out", tmp_path / "out")
        assert [request.prompt for request in live.requests] == [lost]
    (score,) = (tmp_path / "out").glob("*_score.json")
    usage = json.loads(score.read_text())["usage"]
    assert (usage["calls"], usage["prompt_tokens"], usage["this_run"]["calls"]) == (12, 1200, 1)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes(), file


def test_a_batch_that_failed_as_a_whole_fails_the_collection(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_JUDGE_KEY", KEY)
    _, calls = exported(capsys, tmp_path, "one")
    with BatchServer() as server:
        run(capsys, "judge", "submit", calls, "--judge-base-url", server.base_url)
        batch = next(iter(server.batches.values()))
        reasons = {"object": "list", "data": [{"code": "x", "message": f"No credit\x1b[2J, {KEY}."}]}
        batch |= {"status": "failed", "output_file_id": None, "errors": reasons}
        code, out, err = run(capsys, "judge", "collect", calls)
    assert (code, "ended without a verdict" in err) == (1, True)
    assert "is failed, 4 completed and 0 failed of 4 (No credit�[2J, ***.)" in out
    assert "4 of 4 calls stay pending" in out


def test_an_import_that_keeps_nothing_is_no_success(capsys, tmp_path, monkeypatch):
    path, calls = exported(capsys, tmp_path, "one")
    rows = rows_of(calls)
    (tmp_path / "errors.jsonl").write_text(jsonl(answer_lines(rows, refusal(500, "down"))[1]))
    code, out, err = run(capsys, "judge", "import", tmp_path / "errors.jsonl")
    assert (code, "4 x status 500: down" in out) == (1, True)
    assert "No verdict was imported" in err
    assert run(capsys, "judge", "import", calls)[0] == 1
    (tmp_path / "foreign.jsonl").write_text('{"custom_id": "somebody-else", "response": {}}\n')
    for file, words in (
        (path, "holds no answer"),
        (tmp_path / "foreign.jsonl", "holds no answer"),
        (tmp_path, "is a folder; name the file itself"),
    ):
        code, _, err = run(capsys, "judge", "import", file)
        assert (code, words in err) == (2, True)
    (tmp_path / "answers.jsonl").write_text(jsonl(answer_lines(rows, "Score: 2")[0]))
    (tmp_path / "blocked").write_text("a file where a folder should be")
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(tmp_path / "blocked"))
    code, out, err = run(capsys, "judge", "import", tmp_path / "answers.jsonl")
    assert (code, "imported" in out, "cannot be written" in err) == (1, False, True)


def test_batches_in_json(capsys, tmp_path):
    path = write_predictions(tmp_path, ["one", "two"])
    calls = tmp_path / "calls.jsonl"

    def printed(*arguments):
        code, out, err = run(capsys, "judge", *arguments, "--json")
        return code, json.loads(out), err

    assert printed("export", path, "--out", calls, *OPTIONS) == (
        0,
        {"files": [{"path": str(calls), "judge": "judge-1", "calls": 8}], "in_cache": 0},
        "",
    )
    with BatchServer(judged, held=True) as server:
        code, output, _ = printed("submit", calls, "--judge-base-url", server.base_url)
        (batch,) = output["batches"]
        assert (code, batch["calls"], batch["judge"], batch["base_url"]) == (0, 8, "judge-1", server.base_url)
        state = {"batch": batch["batch"], "status": "in_progress", "completed": 0, "failed": 0, "total": 8}
        assert printed("status", calls) == (0, {"batches": [{"file": str(calls), **state, "reason": ""}]}, "")
        code, output, err = printed("collect", calls)
        (file,) = output["files"]
        assert (code, file["imported"], file["pending"], "has not ended yet" in err) == (1, None, 8, True)
        server.finish()
        code, output, _ = printed("collect", calls)
        (file,) = output["files"]
        assert (code, file["imported"]["imported"], file["pending"]) == (0, 8, 0)
        (answers,) = file["answers"]
    assert printed("import", answers) == (
        0,
        {"imported": 0, "already_there": 8, "without_a_verdict": {}, "failed": {}, "unreadable": {}, "foreign": 0},
        "",
    )
    assert printed("export", path, "--out", tmp_path / "more.jsonl", *OPTIONS)[1] == {"files": [], "in_cache": 8}
    code, out, err = run(capsys, "judge", "cache", "clear", "--json")
    assert (code, out, "--yes" in err) == (2, "", True)
    assert printed("cache", "clear", "--yes")[1]["deleted"] == 8
    assert printed("cache", "clear", "--yes")[1]["deleted"] == 0


def fill(cache):
    reply = Reply(("Score: 2",), "served", 10, 1)
    with ReplyCache(cache) as store:
        store.add([(f"{i:040x}", "official", "gpt-4o", reply) for i in range(3)])
        store.add([("f" * 40, "rubric", "gpt-4o", reply), ("e" * 40, "rubric", "my\x1b[2Jjudge", reply)])


def test_cache_info(capsys, judge_cache):
    code, out, _ = run(capsys, "judge", "cache", "info")
    assert (code, "The cache is empty." in out) == (0, True)
    assert list(judge_cache.iterdir()) == []
    fill(judge_cache)
    code, out, _ = run(capsys, "judge", "cache", "info")
    assert (code, "\x1b" in out) == (0, False)
    assert out.splitlines()[1].split() == ["official", "gpt-4o", "3", "answers", "30", "+", "3", "tokens"]
    output = json.loads(run(capsys, "judge", "cache", "info", "--json")[1])
    assert (output["n"], output["bytes"] > 0) == (5, True)
    assert output["path"].startswith(str(judge_cache))
    assert output["groups"][0] == {
        "protocol": "official", "judge": "gpt-4o", "n": 3, "prompt_tokens": 30, "completion_tokens": 3
    }  # fmt: skip


def test_a_damaged_cache_is_no_traceback(capsys, caplog, judge_cache):
    fill(judge_cache)
    path = next(judge_cache.glob("*.sqlite3"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE replies SET body = '{half' WHERE rowid = 1")
    connection.close()
    code, out, _ = run(capsys, "judge", "cache", "info")
    assert (code, sum(" answers " in line for line in out.splitlines())) == (0, len(out.splitlines()) - 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    for command in (("info",), ("clear", "--yes")):
        code, _, err = run(capsys, "judge", "cache", *command)
        assert code in (0, 1)
        assert "Traceback" not in err
        assert "cannot be read" in err + caplog.text


def test_cache_clear(capsys, judge_cache):
    def clear(*arguments):
        code, out, err = run(capsys, "judge", "cache", "clear", *arguments)
        return code, out + err

    assert clear("--yes") == (0, "The cache is empty.\n")
    assert list(judge_cache.iterdir()) == []
    fill(judge_cache)
    with ReplyCache(judge_cache) as store:
        store.add([("d" * 40, "rubric-2", "gpt-4o", Reply(("1",), "served"))])
    for arguments, expected, words in (
        ((), 2, "6 answers would be deleted"),
        (("--protocol", "rubric"), 2, "3 answers would be deleted"),
        (("--judge", "nobody", "--yes"), 0, "holds no such answer"),
        (("--judge", "gpt-4o", "--protocol", "rubric", "--yes"), 0, "2 answers were deleted"),
        (("--judge", "gpt-4o", "--protocol", "official"), 2, "say so with --yes"),
        (("--yes",), 0, "4 answers were deleted"),
    ):
        code, text = clear(*arguments)
        assert (code, words in text) == (expected, True), text
    with ReplyCache(judge_cache) as store:
        assert store.info().n == 0


def test_cache_clear_asks_on_a_terminal(capsys, judge_cache, monkeypatch):
    fill(judge_cache)
    for answer, left in (("n\n", 5), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        run(capsys, "judge", "cache", "clear")
        with ReplyCache(judge_cache) as store:
            assert store.info().n == left
