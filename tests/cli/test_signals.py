"""How a command ends when it is told to end."""

import signal
import subprocess
import sys
import threading

import pytest

from medqbench_vlmeval.judge.cache import ReplyCache
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_what_was_answered_is_kept(tmp_path, judge_cache, number, code):
    release = threading.Event()
    hold = iter(range(12))

    def reply(_request):
        if next(hold, None) is None:
            release.wait(60)
        return "Score: 2"

    path = write_reasoning(tmp_path / "m_d.tsv", {str(i): f"text {i}" for i in range(20)})
    with JudgeServer(reply) as server:
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


def test_ctrl_c_during_the_start_gives_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
