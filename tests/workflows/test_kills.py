"""A judging run that is killed again and again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import score_of, write_reasoning
from tests.servers import JudgeServer

N, NPROC, KILLS = 150, 8, 30

# A process that has all modules loaded forks each life, so that thirty of them take seconds. Moments are random, and
# the seed is printed with a failure.
LIVES = """
import json, os, random, signal, sys, time
from pathlib import Path
from medqbench_vlmeval.workflows import Request, evaluate
import medqbench_vlmeval.judge.engine, medqbench_vlmeval.judge.judges
import medqbench_vlmeval.report.workbook, aiohttp, openpyxl
path, cache, url, seed, kills = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
moments = random.Random(seed)
killed, lives, status = 0, 0, 1
while killed < kills or status != 0:
    lives += 1
    assert lives < 4 * kills, "the run ends before it can be killed"
    child = os.fork()
    if child == 0:
        judge = {"model": "j", "api_base": url, "protocol": "rubric", "nproc": int(sys.argv[6])}
        evaluate(Request(prediction_file=path, model="m", dataset="MedQBench_Reasoning_NoReference", out=path.parent,
                         judge=judge, cache=cache))
        os._exit(0)
    if killed < kills:
        time.sleep(moments.uniform(0.0, 0.5))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
    result = path.with_name("m_x_score.json")
    if result.exists():
        json.loads(result.read_bytes())
print(killed)
"""


def numbers(score: dict) -> dict:
    """A result without what differs from run to run."""
    return {name: value for name, value in score.items() if name not in ("settings", "usage")}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork")
@pytest.mark.parametrize("seed", [20261122])
def test_thirty_kills_cost_the_calls_in_flight_and_change_no_number(tmp_path: Path, seed: int) -> None:
    def reply(request) -> str:
        return f"Score: {hashlib.sha256(request.prompt.encode()).digest()[0] % 3}"

    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    for folder in (broken, unbroken):
        folder.mkdir()
        write_reasoning(folder / "m_x.tsv", {i: f"Answer {i}." for i in range(N)})
    with JudgeServer(reply, delay=0.05) as server:
        command = [sys.executable, "-c", LIVES, str(broken / "m_x.tsv"), str(tmp_path / "cache"), server.base_url]
        done = subprocess.run(
            [*command, str(seed), str(KILLS), str(NPROC)], capture_output=True, text=True, timeout=170
        )
        assert done.returncode == 0, done.stderr
        asked = Counter(request.prompt for request in server.requests)
    assert done.stdout.split() == [str(KILLS)]
    assert len(asked) == 4 * N
    # What was asked again had been in flight at a kill.
    assert sum(asked.values()) - 4 * N <= KILLS * NPROC
    with JudgeServer(reply) as server:
        judge = {"model": "j", "api_base": server.base_url, "protocol": "rubric", "nproc": NPROC}
        dataset, cache = "MedQBench_Reasoning_NoReference", tmp_path / "other cache"
        whole = evaluate(Request(unbroken / "m_x.tsv", "m", dataset, unbroken, judge=judge, cache=cache))
        assert len(server.requests) == 4 * N
    score = json.loads((broken / "m_x_score.json").read_text(encoding="utf-8"))
    assert score["n_scored"] == N
    assert numbers(score) == json.loads(json.dumps(numbers(score_of(whole))))
