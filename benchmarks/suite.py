"""What a suite adds to its jobs: seconds a job beside the kit's import, and planning, handing over and reporting many.

    python -m benchmarks.suite [JOBS]

And the reports that a suite ends with, of 14 models on 3,308 samples (``benchmarks.compare`` makes the runs).

Jobs are those of the embedded judge on a few replies, the shortest that there are; the kit has no suites, and the time
of its import, which any of its runs takes, stands beside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import reports
from benchmarks.compare import MODELS, QUESTIONS
from benchmarks.machine import machine
from medqbench_vlmeval.data import load
from medqbench_vlmeval.workflows.report import write_reports
from medqbench_vlmeval.workflows.suite import Loop, plan
from medqbench_vlmeval.workflows.suite_engine import Engine
from medqbench_vlmeval.workflows.suite_jobs import DONE, State, Store, jobs_of, read_suite

DATASET = "MedQBench_Reasoning_NoReference_mini"


def seconds(*words: str) -> float:
    """Seconds of one Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


def main(n: int = 200) -> None:
    print(machine())
    imported = min(seconds("-c", "import vlmeval.config, vlmeval.dataset") for _ in range(2))
    print(f"the kit's import, which every run of it takes: {imported:.2f} s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        replies = folder / "replies.jsonl"
        rows = [{"index": sample.index, "prediction": sample.description} for sample in load(DATASET)]
        replies.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        models = ", ".join(f"{{name: model-{i}, base_url: 'http://127.0.0.1:9/v1'}}" for i in range(n))
        file = folder / "s.yaml"
        file.write_text(f"datasets: [{DATASET}]\nmodels: [{models}]\njudges: [rules]\n", encoding="utf-8")
        start = time.perf_counter()
        suite = read_suite(file)
        jobs = jobs_of(suite)
        plan(suite, jobs)
        planned = time.perf_counter() - start
        store = Store(suite.folder)
        for job in jobs:
            if job.kind == "infer":
                store.write(State(job, DONE, result=str(replies)))
        word = ["-m", "medqbench_vlmeval", "score", str(replies), "--data", DATASET, "--judge", "rules", "--model", "m"]
        alone = min(seconds(*word, "--out", str(folder / "alone")) for _ in range(3))
        start = time.perf_counter()
        states = Loop(suite, jobs, Engine(suite, "local")).run()
        ran = time.perf_counter() - start
        assert all(state.status == DONE for state in states), [state.why for state in states if state.why][:3]
        start = time.perf_counter()
        Loop(suite, jobs, Engine(suite, "local")).run()
        again = time.perf_counter() - start
    slots = suite.local.jobs
    print(f"{len(jobs)} jobs read and planned in {planned:.2f} s")
    print(f"one scoring alone: {alone:.2f} s; {n} of them, {slots} at once: {ran:.1f} s, {ran * slots / n:.2f} s each")
    added = ran * slots / n - alone
    print(f"the suite adds {added:.2f} s a job, {added / imported:.2f} of the import")
    print(f"the same call when all is done: {again:.2f} s")
    with tempfile.TemporaryDirectory() as name:
        reports.QUESTIONS = QUESTIONS
        (Path(name) / "runs").mkdir()
        reports.score_runs(Path(name) / "runs", [f"{number}.png" for number in range(600)], MODELS)
        start = time.perf_counter()
        made = write_reports([Path(name) / "runs"], Path(name) / "report")
        print(f"the reports of {MODELS} models, {len(made.runs)} runs: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
