"""Keys that reach no file, log, exception text or terminal: ``medqbench score`` against servers that send them back."""

from __future__ import annotations

import base64
import csv
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.errors import BadInput, JudgeError
from medqbench_vlmeval.judge import JudgeOptions
from medqbench_vlmeval.judge.secrets import (
    Mask,
    environment_mask,
    is_secret_name,
    looks_like_key,
    masked_logs,
    masked_traceback,
    refuse_keys,
)
from medqbench_vlmeval.workflows import Request as Scoring
from tests.canaries import forms_of, leaks
from tests.commands import run
from tests.judge.asking import ask
from tests.servers import JudgeServer, Request, Sent

# Long, and with what JSON, URLs and shells escape.
CANARY = 'sk-canary/0123456789+"quo\'ted"\\back=~'
OTHER = "second-canary-ABCDEFGHIJ"
PASSWORD = "canary-pass-97531"
GOOD = "The picture is sharp. The quality of this image is good."


def echoing(status: int = 200) -> Callable[[Request], Sent]:
    """A server that puts the whole Authorization header into whatever it sends."""

    def reply(request: Request) -> Sent:
        header = request.headers.get("authorization", "") + " " + request.path
        packed = base64.b64encode(f"x{header}".encode()).decode()
        if status == 200:
            return Sent(f"You sent '{header}' ({packed}).\nScore: 2", model=f"model for {header}")
        body = {"error": {"message": f"refused {header} {packed}", "code": header, "type": header}}
        return Sent(status=status, body=json.dumps(body), headers={"retry-after": "0"})

    return reply


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "m_d.tsv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "task", "question", "description", "modality", "prediction"])
        table.writerows([i, "no-reference", "Describe.", GOOD, "CT", f"{GOOD} {i}"] for i in range(2))
    return tmp_path / "work"


SCORE = ["score", "m_d.tsv", "--out", "out", "--judge-retry", "1", "--protocol", "rubric"]


def surroundings(work: Path) -> dict[str, str]:
    """The environment without keys and proxies, and with a cache in ``work``."""
    keep = {name: value for name, value in os.environ.items() if "KEY" not in name and not name.startswith("OPENAI")}
    keep = {name: value for name, value in keep.items() if not name.lower().endswith("_proxy")}
    return keep | {"MEDQBENCH_JUDGE_CACHE": str(work / "cache"), "PYTHONIOENCODING": "utf-8"}


def score(work: Path, *arguments: str, debug: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """``medqbench score`` in a process of its own, in the folder ``work``."""
    command = [sys.executable, "-m", "medqbench_vlmeval", *(["--debug"] if debug else []), *SCORE, *arguments]
    environment = surroundings(work) | environment
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=60)


Score = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def score_here(work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Score:
    """The same in this process, which takes a tenth of the time: for what ends before anybody is asked."""

    def scored(_: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = surroundings(work)
        for name in set(os.environ) - set(environment):
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(work)
        code, out, err = run(capfd, *SCORE, *arguments)
        return subprocess.CompletedProcess([*arguments], code, out, err)

    return scored


def assert_clean(work: Path, ran: subprocess.CompletedProcess[str], *canaries: str) -> None:
    found = leaks([CANARY, *canaries], work, said=ran.stdout + ran.stderr, but={".env"})
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "status", [200, 401, *(pytest.param(status, marks=pytest.mark.slow) for status in (400, 429, 500))]
)
def test_a_key_by_flag_that_the_server_sends_back(work: Path, status: int) -> None:
    with JudgeServer(echoing(status)) as server:
        ran = score(
            work, "--judge", "m", "--judge-base-url", server.base_url, "--judge-key", CANARY, debug=True,
            OPENAI_LOG="debug",
        )  # fmt: skip
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert ran.returncode == (0 if status == 200 else 1), ran.stderr
    if status == 200:
        rows = (work / "out" / "m_d_custom_samples.jsonl").read_text()
        assert "You sent 'Bearer *** /v1/chat/completions'" in rows
    assert_clean(work, ran)


@pytest.mark.parametrize("name", ["MEDQBENCH_JUDGE_KEY", pytest.param("OPENAI_API_KEY", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "in_file", [pytest.param(False, id="environment", marks=pytest.mark.slow), pytest.param(True, id="env-file")]
)
def test_a_key_by_environment_or_env_file(work: Path, name: str, in_file: bool) -> None:
    if in_file:
        (work / ".env").write_text(f"\ufeff{name}={CANARY}\n", encoding="utf-8")
    with JudgeServer(echoing()) as server:
        more = {} if in_file else {name: CANARY}
        ran = score(work, "--judge", "m", "--judge-base-url", server.base_url, **more)
    assert ran.returncode == 0, ran.stderr
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert_clean(work, ran)


@pytest.mark.slow
def test_a_panels_keys_and_nested_extras(work: Path) -> None:
    third = "third-canary-0987654321"
    with JudgeServer(echoing()) as server:
        panel: list[dict[str, Any]] = [
            {"model": "a", "key": CANARY, "extra": {"tools": [{"headers": [{"name": "x-api-key", "value": third}]}]}},
            {"model": "b", "key_env": "PANEL_SECRET", "extra": {"deep": [{"access_token": third, "top_k": 5}]}},
        ]
        arguments = ["--judge-base-url", server.base_url, "--judge-args", json.dumps({"panel": panel})]
        ran = score(work, *arguments, PANEL_SECRET=OTHER, OPENAI_LOG="debug")
    assert ran.returncode == 0, ran.stderr
    assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {CANARY}", f"Bearer {OTHER}"}
    assert_clean(work, ran, OTHER, third)
    parameters = json.loads((work / "out" / "m_d_custom_score.json").read_text())["settings"]["judge"]["parameters"]
    assert parameters["b"]["extra"] == {"deep": [{"access_token": "***", "top_k": 5}]}
    assert parameters["a"]["extra"] == {"tools": [{"headers": [{"name": "***", "value": "***"}]}]}


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, pytest.param(401, marks=pytest.mark.slow)])
def test_a_base_url_with_user_and_password(work: Path, status: int) -> None:
    with JudgeServer(echoing(status)) as server:
        url = server.base_url.replace("http://", f"http://user:{PASSWORD}@")
        ran = score(work, "--judge", "m", "--judge-base-url", url, debug=True, OPENAI_LOG="debug")
    packed = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert server.requests[0].headers["authorization"] == f"Basic {packed}"
    assert (ran.returncode == 0) == (status == 200)
    assert packed not in ran.stdout + ran.stderr
    assert_clean(work, ran, PASSWORD)


@pytest.mark.slow
def test_a_base_url_with_a_query_keeps_it_behind_the_route(work: Path) -> None:
    with JudgeServer() as server:
        # The server knows no such route, and repeats it.
        url = f"{server.base_url}?api_key={OTHER}&api-version=2024-10-21"
        ran = score(work, "--judge", "m", "--judge-base-url", url, debug=True, OPENAI_LOG="debug")
    assert "no route /v1/chat/completions?api_key=***&api-version=2024-10-21" in ran.stderr
    assert_clean(work, ran, OTHER)


@pytest.mark.slow
def test_a_server_that_is_not_there(work: Path) -> None:
    with JudgeServer() as server:
        url = server.base_url.replace("http://", f"http://user:{PASSWORD}@")
    ran = score(work, "--judge", "m", "--judge-base-url", url, "--judge-key", CANARY, debug=True)
    assert "No judge answers at http://127.0.0.1" in ran.stderr
    assert_clean(work, ran, PASSWORD)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--judge", "m", "--judge-base-url", f"http://user:{PASSWORD}/x@h:1/v1"],
        ["--judge", "m", "--judge-base-url", f"http://[user:{PASSWORD}@h/v1"],
        ["--judge", "m", "--judge-base-url", f"http://h:{PASSWORD}/v1"],
        ["--judge", "m", "--judge-base-url", f"ftp://user:{PASSWORD}@h/v1"],
        ["--judge", "m", "--judge-args", f'{{"key": "{PASSWORD}"'],
        ["--judge", "m", "--judge-args", json.dumps({"key_env": PASSWORD})],
        ["--judge", "m", "--judge-key", f"{PASSWORD}\u00e9", "--judge-base-url", "http://h:1/v1"],
        ["--judge", "m", "--judge-k", PASSWORD],
        ["--judge", "m", f"--judge-kye={PASSWORD}"],
    ],
)
def test_what_is_refused_is_not_shown(work: Path, score_here: Score, arguments: list[str]) -> None:
    ran = score_here(work, *arguments)
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert_clean(work, ran, PASSWORD)


@pytest.mark.parametrize("content", [b"\xff\xfeM\x00E\x00", f"OPENAI_API_KEY={OTHER}\xe9\n".encode("latin-1")])
def test_an_env_file_in_another_encoding_is_named_and_not_shown(work: Path, score_here: Score, content: bytes) -> None:
    (work / ".env").write_bytes(content)
    ran = score_here(work, "--judge", "m", "--judge-base-url", "http://h:1/v1")
    assert ran.returncode == 2
    assert f"{work / '.env'} is not UTF-8 text" in ran.stderr
    assert_clean(work, ran, OTHER)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_env_file_that_may_not_be_read_is_named(work: Path) -> None:
    (work / ".env").write_text(f"OPENAI_API_KEY={OTHER}\n")
    (work / ".env").chmod(0)
    ran = score(work, "--judge", "m", "--judge-base-url", "http://h:1/v1")
    assert ran.returncode == 2
    assert f"{work / '.env'} cannot be read" in ran.stderr


MISPLACED = "sk-live-canary-0123456789abcdef"
SCORED = ["score", "m_d.tsv", "--out", "out"]


@pytest.mark.parametrize(
    "arguments",
    [
        [*SCORED, "--judge", MISPLACED],
        [*SCORED, "--judge", f"m,{MISPLACED}", "--judge-base-url", "http://h:1/v1"],
        [*SCORED, "--judge", "rules", "--model", MISPLACED],
        [*SCORED, "--judge", "rules", f"--model={MISPLACED}"],
        [*SCORED, "--judge", "m", "--judge-base-url", f"http://h:1/{MISPLACED}/v1"],
        [*SCORED, "--judge", "m", "--protocol", MISPLACED],
        [*SCORED, "--judge", "rules", "--extractor", MISPLACED],
        [*SCORED, "--judge", "rules", "--limit", MISPLACED],
        [*SCORED, "--judge", "m", "--judge-args", json.dumps({"rpm": MISPLACED})],
        [*SCORED, "--judge", "m", "--judge-args", json.dumps({"panel": [{"model": MISPLACED}, {"model": "b"}]})],
        [*SCORED, "--judge", "m", "--judge-args", json.dumps({"extra": {"user": MISPLACED}})],
        ["judge", "export", "m_d.tsv", "--out", f"{MISPLACED}.jsonl", "--judge", "m"],
        ["judge", "collect", "noted.jsonl"],
        ["judge", "import", MISPLACED],
        ["judge", MISPLACED],
        [MISPLACED],
        ["run", "--data", "MedQBench_Perception_mini", "--model", MISPLACED, "--judge", "rules"],
        ["run", "--data", "MedQBench_Perception_mini", "--model", "MedQ-Chance", "--judge", MISPLACED],
        ["leaderboard", "show", f"--model={MISPLACED}"],
    ],
)
def test_a_key_where_a_name_belongs_reaches_nothing(
    work: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDQBENCH_JUDGE_CACHE", str(work / "cache"))
    monkeypatch.chdir(work)
    noted = work / "noted.batch.json"
    if "noted.jsonl" in arguments:
        calls = ["judge", "export", "m_d.tsv", "--out", "noted.jsonl", "--judge", "m", "--protocol", "rubric"]
        assert run(capfd, *calls)[0] == 0
        entry = {"batch_id": MISPLACED, "input_file_id": "f", "base_url": "http://h:1/v1", "submitted": "s", "n": 8}
        noted.write_text(json.dumps({"batches": [entry]}))
    code, out, err = run(capfd, *arguments)
    assert (code, "looks like a key" in err, "Traceback" in err) == (2, True, False), err
    noted.unlink(missing_ok=True)
    assert leaks([MISPLACED], work, said=out + err) == []


@pytest.mark.parametrize("make", [JudgeOptions, lambda name: Scoring(Path("p"), name, "d", Path("o"))])
def test_names_in_python_are_no_keys(make: Callable[[str], object]) -> None:
    make("gpt-4o")
    with pytest.raises(BadInput, match="looks like a key") as caught:
        make(MISPLACED)
    assert MISPLACED not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["gpt-4o-2024-11-20", "ft:gpt-4o:org:task-0123456789abcdef:9abc", "Qwen/Qwen3-VL-235B-A22B-Instruct", "sk-model"]
    + ["hf_internal_testing/tiny", "/root/models/0123456789abcdef0123456789abcdef01234567/snapshot", "kit:gpt-4o"],
)
def test_ordinary_names_look_like_no_key(name: str) -> None:
    refuse_keys(["score", name, "--judge", name, f"--model={name}"])
    assert not looks_like_key(name)


def test_keys_where_they_belong_are_not_refused() -> None:
    args = json.dumps({"key": MISPLACED, "extra": {"headers": [{"name": "x-api-key", "value": MISPLACED}]}})
    refuse_keys(["run", "--key", MISPLACED, f"--judge-key={MISPLACED}", "--judge-args", args])
    refuse_keys(["score", "--judge-base-url", f"http://u:{MISPLACED}@h/v1?api_key={MISPLACED}"])


@pytest.mark.slow
def test_a_proxy_s_password_that_the_proxy_repeats(work: Path) -> None:
    def repeat(request: Request) -> Sent:
        header = request.headers["proxy-authorization"]
        return Sent(f"You sent {header} {base64.b64decode(header.split()[1]).decode()}\nScore: 2")

    with JudgeServer(repeat) as proxy:
        url = proxy.base_url.removesuffix("/v1").replace("http://", f"http://user:{PASSWORD}@")
        ran = score(work, "--judge", "m", "--judge-base-url", "http://judge.invalid/v1", http_proxy=url)
    assert ran.returncode == 0, ran.stderr
    assert_clean(work, ran, PASSWORD)


@pytest.mark.slow
def test_a_proxy_that_is_none_is_one_sentence(work: Path) -> None:
    url = f"foo://user:{PASSWORD}@127.0.0.1:9"
    ran = score(work, "--judge", "m", "--judge-base-url", "http://judge.invalid/v1", http_proxy=url)
    assert ran.returncode == 2
    assert ran.stderr.startswith("medqbench: http_proxy names no proxy of the form") and "Traceback" not in ran.stderr
    assert_clean(work, ran, PASSWORD)


def test_another_host_is_not_given_the_key() -> None:
    with JudgeServer("Score: 2") as other:
        target = f"{other.base_url.replace('127.0.0.1', 'localhost')}/chat/completions"
        with JudgeServer(Sent(status=307, body="", headers={"location": target})) as server:
            ask(server, key=CANARY)
    assert other.requests
    assert not any("authorization" in one.headers for one in other.requests)


@pytest.mark.parametrize(
    ("secret", "names"),
    [
        (True, ["api_key", "X-Auth", "authorization", "Cookie", "hf_token", "session_token"]),
        (False, ["author", "tokenizer_mode", "stop_token", "keywords"]),
    ],
)
def test_names_of_secrets_and_of_ordinary_settings(secret: bool, names: list[str]) -> None:
    assert [name for name in names if is_secret_name(name) is not secret] == []


def test_with_all_logging_on_no_record_shows_a_key(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    with caplog.at_level(logging.DEBUG), JudgeServer(echoing()) as server:
        judged = ask(server, key=CANARY, extra={"session_token": OTHER})
    assert logging.getLogRecordFactory() is before
    assert judged[0].verdicts["completeness"].score == 2
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert not [form for canary in (CANARY, OTHER) for form in forms_of(canary) if form in said.encode()]


def test_an_exceptions_text_and_causes_hold_no_key() -> None:
    with JudgeServer(echoing(401)) as server, pytest.raises(JudgeError) as caught:
        ask(server, key=CANARY)
    assert masked_traceback(caught.value, Mask([CANARY])) is None


def test_the_shells_folders_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/home/reader/study")
    monkeypatch.setenv("OLDPWD", "/home/reader")
    monkeypatch.setenv("PROXY_PWD", PASSWORD)
    assert environment_mask()(f"/home/reader/study/data.tsv {PASSWORD}") == "/home/reader/study/data.tsv ***"


def test_short_values_and_stand_ins_are_no_secrets() -> None:
    mask = Mask(["EMPTY", "none", "Score", "x" * 7, ""])
    assert mask("Score: 2, EMPTY, none") == "Score: 2, EMPTY, none"
    with JudgeServer("Score: 2") as server:
        assert ask(server, key="Score")[0].verdicts["completeness"].score == 2


@pytest.mark.parametrize("text", sorted(form.decode() for form in forms_of(CANARY) if b"canary" in form))
def test_every_form_is_masked(text: str) -> None:
    assert Mask([CANARY])(f"before {text} after") == "before *** after"


@pytest.mark.parametrize("before", ["", "x", "xy", "Bearer "])
def test_base64_is_masked_wherever_the_key_begins(before: str) -> None:
    packed = base64.b64encode(f"{before}{CANARY} and more".encode()).decode()
    assert not [form for form in forms_of(CANARY) if form in Mask([CANARY])(packed).encode()]


def test_records_are_masked_whatever_they_are_made_of(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody.else")
    before = logging.getLogRecordFactory()
    with caplog.at_level(logging.DEBUG):
        with masked_logs(Mask([CANARY])), masked_logs(Mask([OTHER])):
            logger.info("%s and %s, 100%%", CANARY, OTHER)
            logger.info({"key": OTHER, "n": 1})
            logger.info(f"{OTHER} 100%")
            logger.info("ordinary %d", 5)
            try:
                int(OTHER)
            except ValueError:
                logger.exception("failed", stack_info=True)
        logger.info(OTHER)
    assert logging.getLogRecordFactory() is before
    said = [record.getMessage() for record in caplog.records]
    assert said == ["*** and ***, 100%", "{'key': '***', 'n': 1}", "*** 100%", "ordinary 5", "failed", OTHER]
    assert "ValueError: invalid literal for int() with base 10: '***'" in logging.Formatter().format(caplog.records[4])
    assert OTHER not in logging.Formatter().format(caplog.records[4])


def test_a_factory_of_somebody_elses_stays() -> None:
    before = logging.getLogRecordFactory()
    try:
        with masked_logs(Mask([OTHER])):
            ours = logging.getLogRecordFactory()

            def theirs(*args: Any, **kwargs: Any) -> logging.LogRecord:
                return ours(*args, **kwargs)

            logging.setLogRecordFactory(theirs)
        assert logging.getLogRecordFactory() is theirs
        with masked_logs(Mask([OTHER])):
            record = logging.getLogRecordFactory()("n", logging.INFO, "f", 1, OTHER, (), None)
            assert record.getMessage() == "***"
        assert logging.getLogRecordFactory() is theirs
    finally:
        logging.setLogRecordFactory(before)
