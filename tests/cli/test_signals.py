"""How a command ends when it is told to end."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from medqbench_vlmeval.judge.batch_api import read_submissions
from medqbench_vlmeval.judge.cache import ReplyCache
from tests.batch_server import BatchServer
from tests.commands import run
from tests.make import write_reasoning
from tests.servers import JudgeServer

INTERRUPTED_WHILE_IMPORTING = """
import os, runpy, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "medqbench_vlmeval.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
runpy.run_module("medqbench_vlmeval", run_name="__main__")
"""


def twelve_then_held(release):
    """A judge's script: twelve verdicts, and all further ones only when released."""
    free = iter(range(12))

    def reply(_request):
        if next(free, None) is None:
            release.wait(120)
        return "Score: 2"

    return reply


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_what_was_answered_is_kept(tmp_path, judge_cache, number, code):
    release = threading.Event()
    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(20)})
    with JudgeServer(twelve_then_held(release)) as server:
        words = ["score", str(path), "--out", str(tmp_path / "out"), "--judge", "j", "--protocol", "rubric"]
        start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        start += "from medqbench_vlmeval.__main__ import main; main()"
        child = subprocess.Popen(
            [sys.executable, "-c", start, *words, "--judge-base-url", server.base_url, "--judge-nproc", "4"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while len(server.requests) < 16:
                server.entered.wait(0.01)
                assert child.poll() is None
            child.send_signal(number)
            _, err = child.communicate(timeout=60)
        finally:
            child.kill()
            release.set()
    assert child.returncode == code
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("medqbench: ") and "verdicts that had come are kept" in err
    with ReplyCache(judge_cache, read_only=True) as cache:
        assert cache.info().n >= 12


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], ["--api-mode"]], ids=["local", "api-mode"])
def test_a_run_that_is_ended_while_it_judges_keeps_what_was_answered(tmp_path, judge_cache, mode):
    """The kit judges in its own process, or in one beside it; a scheduler ends both."""
    pytest.importorskip("vlmeval")
    release = threading.Event()
    with JudgeServer(twelve_then_held(release)) as server:
        words = ["--data", "MedQBench_Reasoning_NoReference_mini", "--model", "MedQ-Classical", *mode]
        words += ["--work-dir", str(tmp_path / "out"), "--judge", "j", "--judge-base-url", server.base_url]
        words += ["--judge-args", json.dumps({"protocol": "rubric"}), "--judge-api-nproc", "4"]
        child = subprocess.Popen(
            [sys.executable, "-m", "medqbench_vlmeval", "run", *words],
            env={**os.environ, "MEDQBENCH_JUDGE_KEY": "EMPTY"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # The pipe is read to its end: a full one would stop the run.
        said = []
        reader = threading.Thread(target=lambda: said.extend(child.stderr), daemon=True)
        reader.start()
        try:
            while len(server.requests) < 16:
                server.entered.wait(0.05)
                assert child.poll() is None, "".join(said)
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(timeout=60)
            reader.join(timeout=60)
        finally:
            child.kill()
            release.set()
        # A process that was left behind would ask on.
        assert len(server.requests) == 16
    assert (child.returncode, said[-1].startswith("medqbench: ended by SIGTERM; ")) == (143, True)
    assert "Traceback" not in "".join(said)
    with ReplyCache(judge_cache, read_only=True) as cache:
        assert cache.info().n == 12


class SlowBatchServer(BatchServer):
    """Takes so many requests of a kind, and the next one waits."""

    def __init__(self, method, end, n):
        super().__init__()
        self._kind, self._left = (method, end), n
        self.waits, self.release = threading.Event(), threading.Event()

    def answer(self, method, path, headers, data):
        if method == self._kind[0] and path.endswith(self._kind[1]):
            self._left -= 1
            if self._left < 0:
                self.waits.set()
                self.release.wait(60)
        return super().answer(method, path, headers, data)


def ended(server, *words):
    """A command that is ended by SIGTERM while the server lets it wait: its exit code and last line."""
    child = subprocess.Popen(
        [sys.executable, "-m", "medqbench_vlmeval", *words, "--judge-base-url", server.base_url],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not server.waits.wait(0.05):
            assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
        server.release.set()
    assert "Traceback" not in err
    return child.returncode, err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "kind"),
    [("submit", ("POST", "/files", 1)), ("collect", ("GET", "/content", 1))],
)
def test_batches_that_were_noted_and_answers_that_were_imported_stay(capsys, tmp_path, judge_cache, command, kind):
    files = []
    for name in ("a", "b"):
        path, calls = write_reasoning(tmp_path / f"{name}_d.tsv", {"1": f"text {name}"}), tmp_path / f"{name}.jsonl"
        assert run(capsys, "judge", "export", path, "--out", calls, "--judge", "j", "--protocol", "rubric")[0] == 0
        files.append(calls)
    with SlowBatchServer(*kind) as server:
        if command == "collect":
            assert run(capsys, "judge", "submit", *files, "--judge-base-url", server.base_url)[0] == 0
        code, said = ended(server, "judge", command, *map(str, files))
    assert (code, said.startswith("medqbench: ended by SIGTERM; ")) == (143, True)
    assert [len(read_submissions(calls)) for calls in files] == [1, int(command == "collect")]
    with ReplyCache(judge_cache, read_only=True) as cache:
        assert cache.info().n == (4 if command == "collect" else 0)


def test_ctrl_c_during_the_start_gives_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
