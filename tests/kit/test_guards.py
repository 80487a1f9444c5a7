"""Keys in real runs of the kit (its logs, status files and processes, and our results)."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.kit.guards import (
    KitErrors,
    Redaction,
    argument_secrets,
    environment_secrets,
    redacted,
    shown_arguments,
)
from medqbench_vlmeval.kit.runner import run
from tests.canaries import leaks
from tests.data.rows import description
from tests.kit.runs import MODES, NO_REFERENCE, forget_keys
from tests.servers import JudgeServer, Request, Sent, refusal

KITS_OWN = "MedqbenchCaption_dev"
CANARY = "sk-canary-0123456789-abc"
SECOND = "second-canary-ABCDEFGHIJ"
THIRD = "third-canary-1357924680"
PASSWORD = "canary-pass-97531"
ALL = [CANARY, SECOND, THIRD, PASSWORD]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_keys(monkeypatch)


def echo(request: Request) -> Sent:
    header = request.headers.get("authorization", "")
    return Sent(f"You sent {header} to {request.path}.\nScore: 2", model=f"model of {header}")


def judged(work: Path, server: JudgeServer, *arguments: str) -> int:
    words = ["--data", NO_REFERENCE, "--model", "MedQ-Chance", "--judge", "judge-1", "--judge-api-nproc", "8"]
    return run([*words, "--judge-base-url", server.base_url, "--work-dir", str(work), *arguments])


def keys_of(server: JudgeServer) -> set[str]:
    return {request.headers["authorization"].removeprefix("Bearer ") for request in server.requests}


def assert_clean(folder: Path, capfd: Any, but: set[str] | None = None) -> None:
    cache = Path(os.environ["MEDQBENCH_JUDGE_CACHE"])
    leaked = leaks(ALL, folder, cache, said="".join(capfd.readouterr()), but=but)
    assert not leaked, "\n".join(leaked)
    assert list(folder.rglob("*.log")), "the kit's log files are there"
    assert list(folder.rglob("status.json"))


@pytest.mark.slow
@MODES
@pytest.mark.parametrize(("judge", "model"), [("judge-1", "judge-1"), ("kit:gpt-4o", "gpt-4o-2024-05-13")])
def test_keys_by_flag(kit, work, tmp_path, capfd, mode, judge, model):
    with JudgeServer(echo) as server:
        more = ["--judge-args", json.dumps({"protocol": "rubric", "extra": {"deep": [{"api_key": THIRD}]}})]
        more += ["--judge", judge, *mode]
        assert judged(work, server, "--judge-key", CANARY, "--key", SECOND, *more) == 0
    assert keys_of(server) == {CANARY}
    assert (server.requests[0].body["model"], server.requests[0].body["deep"]) == (model, [{"api_key": THIRD}])
    assert_clean(tmp_path, capfd)
    status = json.loads(next(path for path in work.rglob("status.json") if not path.is_symlink()).read_text())
    assert status["datasets"][NO_REFERENCE]["metrics"]["Overall"] == 8.0
    assert "--judge-args" in status["argv"]


@pytest.mark.slow
@MODES
def test_a_panel_in_judge_args_and_a_base_url_with_a_password(kit, work, tmp_path, capfd, monkeypatch, mode):
    monkeypatch.setenv("PANEL_KEY", SECOND)
    with JudgeServer(echo) as server:
        url = server.base_url.replace("http://", f"http://user:{PASSWORD}@")
        panel = [{"model": "a", "key": CANARY}, {"model": "b", "key_env": "PANEL_KEY", "base_url": url}]
        args = json.dumps({"protocol": "rubric", "panel": panel})
        assert judged(work, server, "--judge-args", args, *mode) == 0
    assert len(keys_of(server)) == 2
    assert_clean(tmp_path, capfd)


@pytest.mark.parametrize("name", ["MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY"])
def test_keys_in_the_environment_and_in_an_env_file(kit, work, tmp_path, capfd, monkeypatch, name):
    monkeypatch.setenv("LMDEPLOY_API_KEY", SECOND)
    (tmp_path / ".env").write_text(f"{name}={CANARY}\n")
    with JudgeServer(echo) as server:
        assert judged(work, server, "--judge-args", '{"protocol": "rubric"}') == 0
    assert keys_of(server) == {CANARY}
    assert name not in os.environ
    assert_clean(tmp_path, capfd, but={".env"})


@pytest.mark.slow
@MODES
def test_a_server_that_refuses_and_repeats_the_key(kit, work, tmp_path, capfd, mode):
    with JudgeServer(lambda request: refusal(401, f"no: {request.headers['authorization']}")) as server:
        assert judged(work, server, "--judge-key", CANARY, *mode) == 1
    assert_clean(tmp_path, capfd)


@pytest.mark.slow
def test_a_run_with_a_dataset_of_the_kits_own(kit, work, tmp_path, capfd):
    """The kit's own judge needs the key from the command line, which it writes into its status file and logs."""
    (tmp_path / "own.tsv").write_text("\t".join(description()) + "\n" + "\t".join(description().values()) + "\n")
    own = {"class": "MedqbenchCaptionDataset", "dataset": KITS_OWN, "data_path": str(tmp_path / "own.tsv")}
    added = {"class": "MedQBenchNoReference", "dataset": NO_REFERENCE}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": {"MedQ-Chance": {}}, "data": {KITS_OWN: own, NO_REFERENCE: added}}))
    with JudgeServer("Score: 2") as server:
        arguments = ["--config", str(config), "--judge", "gpt-4o", "--judge-base-url", server.base_url]
        assert run([*arguments, "--judge-key", CANARY, "--work-dir", str(work)]) == 0
    assert keys_of(server) == {CANARY}
    models = {request.body["model"] for request in server.requests}
    assert models == {"gpt-4o", "gpt-4o-2024-05-13"}, "both judges were asked"
    assert "OPENAI_API_KEY" not in os.environ, "it might be the key of a model under test"
    assert_clean(tmp_path, capfd)


_SPAWNING = """
import multiprocessing, sys
from medqbench_vlmeval.kit.runner import run

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_evaluation_processes_that_are_not_forked(work, tmp_path, capfd):
    (tmp_path / "spawning.py").write_text(_SPAWNING)
    with JudgeServer(echo) as server:
        command = [sys.executable, "spawning.py", "--data", NO_REFERENCE, "--model", "MedQ-Chance", "--api-mode"]
        command += ["--judge", "kit:gpt-4o", "--judge-base-url", server.base_url, "--judge-key", CANARY]
        command += ["--judge-args", '{"protocol": "rubric"}', "--work-dir", str(work)]
        ran = subprocess.run(command, cwd=tmp_path, timeout=200)
    assert ran.returncode == 0
    assert keys_of(server) == {CANARY}
    assert_clean(tmp_path, capfd)


SHORT = "k3y"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--judge-key", SHORT], ["--judge-key", "***"]),
        ([f"--key={SHORT}", "--model", "m"], ["--key=***", "--model", "m"]),
        (["--max-tokens", "300"], ["--max-tokens", "300"]),
        (["--judge-args", f'{{"key": "{SHORT}", "n": 1}}'], ["--judge-args", '{"key": "***", "n": 1}']),
        (["--extra-body", '{"n": 1}'], ["--extra-body", '{"n": 1}']),
        (["--base-url", f"http://u:{SHORT}@h:1/v1?sig={SHORT}"], ["--base-url", "http://h:1/v1"]),
        (["--base-url", "http://h:1/v1"], ["--base-url", "http://h:1/v1"]),
        (["run.py", "--data", "a", "b"], ["run.py", "--data", "a", "b"]),
    ],
)
def test_a_command_line_as_a_file_may_hold_it(given, shown):
    assert shown_arguments(given) == shown


@pytest.mark.parametrize(
    ("arguments", "secrets"),
    [
        (["--judge-key", CANARY, "--key=" + SECOND], {CANARY, SECOND}),
        (["--judge-ke", CANARY, "--ke", SECOND, "--api-key-of-mine", THIRD], {CANARY, SECOND, THIRD}),
        (["--judge-args", json.dumps({"panel": [{"key": CANARY}], "api_base": f"http://u:{PASSWORD}@h"})],
         {CANARY, PASSWORD, f"u:{PASSWORD}"}),
        (["--base-url", f"http://h/v1?code={CANARY}"], {CANARY}),
        (["--max-tokens", "123456789", "--data", "x"], set()),
        (["--judge-args", "{not json", "--config", "nowhere.json"], set()),
    ],
)  # fmt: skip
def test_secrets_of_a_command_line(arguments, secrets):
    assert argument_secrets(arguments) == secrets


def test_secrets_of_a_config_file_and_of_the_environment(monkeypatch, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": {"m": {"class": "GPT4V", "key": CANARY}}, "data": {}}))
    assert argument_secrets(["--config", str(path)]) == {CANARY}
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"MY_TOKEN={CANARY}\nNAME=ordinary-value\n")
    monkeypatch.setenv("SOME_PASSWORD", SECOND)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy:1")
    monkeypatch.setenv("SSH_KEY", str(tmp_path))
    secrets = environment_secrets()
    assert {CANARY, SECOND, PASSWORD} <= secrets
    assert not {"ordinary-value", str(tmp_path)} & secrets
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert SECOND in environment_secrets()


@pytest.mark.parametrize("tells_all", [True, False])
def test_a_result_that_is_told_below_stays_out_of_the_kits_log_and_all_else_is_in_it(tells_all):
    """The messages are those of the kit's local mode, of its api mode, and of its last table."""
    log, handler = logging.getLogger("vlmeval.run"), logging.StreamHandler(io.StringIO())
    handler.setLevel(logging.INFO)
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        with KitErrors({"MedQBench_Perception", None} if tells_all else {"MedQBench_Perception"}):
            for dataset in ("MedQBench_Perception", "Others"):
                log.info("The evaluation of model m x dataset %s has finished! ", dataset)
                log.info("Evaluation Results:")
                log.info('\n{\n    "Overall": 96.66666666666667\n}')
                log.info("✅ [Eval Finish] %s (Took 1.0s)", dataset)
                log.info('   Results: {\n "Overall": 96.66666666666667\n}')
                log.error("Evaluation Results: of %s failed", dataset)
            log.info("Run Summary Report:")
            log.info("\nbenchmark  infer_fail_rate\n%s", "MedQBench_Perception")
    finally:
        log.removeHandler(handler)
    text = handler.stream.getvalue()
    assert text.count("96.66666666666667") == 2
    assert text.index("96.6666") > text.index("dataset Others has finished")
    assert text.count("has finished") == text.count("[Eval Finish]") == text.count("failed") == 2
    assert ("Run Summary Report:" in text, "infer_fail_rate" in text) == (not tells_all, not tells_all)


def test_what_is_named_like_a_key_is_masked_though_nobody_knew_it():
    mask = Redaction()
    assert mask("{'key': 'abc', 'n': 'x', \"api_key\": \"d\"}") == "{'key': '***', 'n': 'x', \"api_key\": \"***\"}"
    assert mask("Using API Base: http://h; API Key: abc") == "Using API Base: http://h; API Key: ***"
    assert mask("Authorization: Bearer abcdefgh1") == "Authorization: Bearer ***"
    assert mask("the Bearer of news has a key: none") == "the Bearer of news has a key: none"


def test_streams_and_records_are_masked_inside_and_restored_after(capsys):
    before = sys.stdout, sys.stderr, logging.getLogRecordFactory()
    with redacted(["--key", CANARY]):
        print("out", CANARY, flush=True)
        sys.stderr.writelines([f"err {CANARY}\n"])
        assert logging.getLogRecordFactory() is not before[2]
    assert (sys.stdout, sys.stderr, logging.getLogRecordFactory()) == before
    assert tuple(capsys.readouterr()) == ("out ***\n", "err ***\n")


@MODES
def test_an_error_of_the_kits_with_a_key_in_it(kit, work, tmp_path, capfd, mode):
    broken = f'{{"api_key": "{CANARY}", '
    arguments = ["--data", NO_REFERENCE, "--model", "m", "--base-url", "http://127.0.0.1:1/v1", "--extra-body", broken]
    with pytest.raises(RunFailed, match="Unable to parse the --extra-body value") as caught:
        run([*arguments, "--work-dir", str(work), *mode])
    # What '--debug' shows.
    shown = "".join(traceback.format_exception(caught.value))
    assert "build_model_from_base_url" in shown
    assert CANARY not in shown
    assert not leaks(ALL, tmp_path, said="".join(capfd.readouterr()))


@pytest.mark.parametrize("option", ["--api-key", "--judge-kye", "--keyy"])
def test_an_option_that_the_kit_does_not_know_is_not_repeated_with_its_key(kit, work, capfd, option):
    with pytest.raises(SystemExit):
        run(["--data", NO_REFERENCE, "--model", "MedQ-Chance", option, CANARY, "--work-dir", str(work)])
    assert CANARY not in "".join(capfd.readouterr())
