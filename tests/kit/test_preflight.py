"""What is found out before a run: missing weights before anything heavy is loaded, and one call to a served model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.kit.model_calls import missing_weights
from medqbench_vlmeval.kit.runner import run
from medqbench_vlmeval.kit_version import require_kit
from tests.data.files_hub import point_at
from tests.kit.runs import PERCEPTION, forget_keys, score_of
from tests.servers import JudgeServer, LocalServer, Sent, refusal

KEY = "sk-canary-0123456789-abc"
MODEL, REPOSITORY = "Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    forget_keys(monkeypatch)


def started(work: Path, server: JudgeServer, *more: str) -> None:
    words = ["--data", PERCEPTION, "--model", "m", "--base-url", server.base_url, "--key", KEY]
    run([*words, "--max-tokens", "900", "--work-dir", str(work), *more])


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (refusal(401, f"Incorrect API key provided: {KEY}"), "status 401: Incorrect API key provided: ***. Give a key"),
        (refusal(403, "not yours"), "status 403: not yours. Give a key that the endpoint http://127.0.0.1"),
        (refusal(404, "model m not found"), "status 404: model m not found. Look at the endpoint http://127.0.0.1"),
        (refusal(400, "API key not valid"), "status 400: API key not valid. Give a key"),
    ],
)
def test_what_would_fail_every_call_stops_the_run(kit, work, handed_over, reply, words):
    with JudgeServer(reply) as server:
        with pytest.raises(RunFailed) as error:
            started(work, server)
        assert len(server.requests) == 1
        assert f"The test call to m failed: {words}" in str(error.value)
        assert "'--no-test-call' leaves this check out" in str(error.value)
        assert not handed_over
        started(work, server, "--no-test-call")
        assert (len(server.requests), len(handed_over)) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("ready", ""),
        (Sent(""), ""),
        (refusal(429, "slow down"), "failed: status 429: slow down. The run goes on."),
        (refusal(500, "busy"), "failed: status 500: busy. The run goes on."),
        (refusal(400, "max_tokens must be at least 100"), "at least 100. The run goes on."),
        (Sent(status=0), "Remote end closed connection without response. The run goes on."),
    ],
)
def test_what_may_pass_is_said_and_the_run_goes_on(kit, work, handed_over, capsys, reply, said):
    with JudgeServer(reply) as server:
        started(work, server)
    assert len(handed_over) == 1
    message = capsys.readouterr().err
    assert said in message if said else "test call" not in message
    # One short question of text alone, with the run's own settings but for the length of the reply.
    (request,) = server.requests
    assert len(json.dumps(request.body)) < 300
    assert (request.body["max_tokens"], request.headers["authorization"]) == (16, f"Bearer {KEY}")


@pytest.mark.slow
def test_no_server_and_no_key(kit, work, handed_over, monkeypatch):
    words = ["--data", PERCEPTION, "--work-dir", str(work), "--model"]
    with pytest.raises(RunFailed, match=r"Connection refused\. Start the server, or look at the endpoint http://127"):
        run([*words, "m", "--base-url", "http://127.0.0.1:1/v1"])
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1/chat/completions")
    with pytest.raises(RunFailed, match=r"call to GPT-4o failed: .*Not set in the environment: OPENAI_API_KEY"):
        run([*words, "GPT-4o"])
    with pytest.raises(RunFailed, match=r"QwenVLMax cannot be called: No module named 'dashscope'"):
        run([*words, "QwenVLMax"])
    run([*words, "MedQ-Chance"])
    run([*words, "GPT-4o", "--mode", "eval"])
    assert len(handed_over) == 2


class Hub(LocalServer):
    """A hub that answers every request alike."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__()
        self._sent = Sent(
            status=status, body=b"", headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        assert (method, path) == ("HEAD", f"/{REPOSITORY}/resolve/main/config.json")
        return self._sent


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Point the hub's client to a folder and an address of the test's."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)

    def at(address: str) -> None:
        point_at(address, tmp_path / "hub", monkeypatch)

    at("http://127.0.0.1:1")
    return at


def problem_of(model: str = MODEL, entry: Any = None) -> str:
    """What is said of a model's weights, nothing where they can be had."""
    return missing_weights({model: entry}, require_kit()).get(model, "")


def cached(tmp_path: Path, *files: str) -> None:
    snapshot = tmp_path / "hub" / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / "abc"
    (snapshot.parent.parent / "refs").mkdir(parents=True)
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    snapshot.mkdir(parents=True)
    for name in files:
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (snapshot / name).write_text(json.dumps(index) if name.endswith("index.json") else "{}")


WHOLE = ("config.json", "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors")


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ((), False),
        (("config.json",), False),
        (("config.json", "model.safetensors"), True),
        (WHOLE, True),
        (WHOLE[:3], False),
    ],
)
def test_weights_in_the_cache_are_all_there_or_wanted_from_the_hub(hub, tmp_path, files, there):
    cached(tmp_path, *files)
    said = problem_of()
    if there:
        assert not said
        return
    assert said.startswith(
        f"The weights of {MODEL} cannot be had: config.json of {REPOSITORY} could not be fetched from the hub (127.0"
    )
    assert "Connection refused" in said
    assert all(way in said for way in ("local path", "HF_ENDPOINT", "HF_HOME"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Hub(200), None),
        (Hub(404, X_Error_Code="EntryNotFound"), None),
        (Hub(404), None),
        (Hub(401, X_Error_Code="GatedRepo"), "is open to those whom its owners let in: ask on its page"),
        (Hub(403), "is open to those whom its owners let in: ask on its page"),
        (Hub(401, X_Error_Code="RepoNotFound"), "is not there or not open to you: log in"),
        (Hub(503), "answers HTTP 503"),
    ],
)
def test_what_the_hub_says(hub, answer, words):
    with answer:
        hub(answer.base_url.removesuffix("/v1"))
        said = problem_of()
        assert words in said if words else not said


def test_local_paths_and_models_that_name_none(hub, tmp_path, monkeypatch):
    for model, entry in (("Own", {"class": "Own"}), ("MedQ-Chance", None), ("GPT4o_20241120", None), ("own", None)):
        assert not problem_of(model, entry)
    assert not problem_of(entry={"class": "Qwen2VLChat", "model_path": str(tmp_path)})
    elsewhere = {"class": "Qwen2VLChat", "model_path": "/nowhere/at/all"}
    assert "'/nowhere/at/all' does not exist on this machine" in problem_of(entry=elsewhere)
    assert problem_of("Qwen2.5-VL-7B").startswith("The weights of Qwen2.5-VL-7B cannot be had")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in problem_of()


def test_a_model_that_cannot_be_called_does_not_stop_the_others(kit, work, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1/chat/completions")
    words = ["--data", PERCEPTION, "--model", "GPT-4o", "MedQ-Chance", "--work-dir", str(work)]
    assert run(words) == 1
    assert score_of(work, "MedQ-Chance", PERCEPTION)["n"] == 75
    said = capsys.readouterr().err
    assert f"medqbench: {PERCEPTION} with GPT-4o failed: The test call to GPT-4o failed: ConnectionError" in said
    assert not list(work.rglob("GPT-4o_*"))


@pytest.mark.slow
def test_missing_weights_are_one_sentence_before_torch_is_loaded(tmp_path):
    words = ["run", "--data", PERCEPTION, "--model", MODEL, "--work-dir", str(tmp_path / "out")]
    code = f"""
import sys
from medqbench_vlmeval.cli.main import main
try:
    main({words!r})
finally:
    print(sorted({{"torch", "vlmeval"}} & set(sys.modules)))
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout.strip()) == (1, "[]")
    assert ran.stderr.startswith(f"medqbench: The weights of {MODEL} cannot be had")
    assert len(ran.stderr.strip().splitlines()) == 1
