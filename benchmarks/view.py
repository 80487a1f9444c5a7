"""How fast the viewer is and how much memory it takes, on 20 runs of 3,308 samples; and what progress files cost a run.

    python -m benchmarks.view

3,308 is the whole of MedQ-Bench with both splits: ten models on as many questions and on as many descriptions, with
1,551 images in the image store. The viewer is a process of its own, as 'medqbench view' starts it. First screen: from
the start of the command until Chromium shows the leaderboard; the command's own start is told apart. Then all 20 runs'
samples are asked for. Last, what a progress file costs a sample, written as often as a fast model answers.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks import reports
from benchmarks.machine import machine

SAMPLES, MODELS = 3308, 10


def megabytes(process: int, what: str = "VmRSS") -> int:
    """The resident memory of a process, now or at its peak ('VmHWM')."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) // 1024


def watch(page: Any, folder: Path, base: Path) -> None:
    """Start the viewer, look at it and ask it for everything; print what that took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "medqbench_vlmeval", "view", str(folder), "--no-open"]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "LMUData": str(base)})
    try:
        assert viewer.stdout is not None
        address = viewer.stdout.readline().strip()
        begun = time.perf_counter()
        page.goto(address)
        page.locator("#board-perception tbody tr.own").first.wait_for()
        page.locator("#headline .tile").first.wait_for()
        seen = time.perf_counter()
        print(f"the command until it can be asked   {begun - started:.2f} s, memory {megabytes(viewer.pid)} MB")
        print(f"first screen after that             {seen - begun:.2f} s, memory {megabytes(viewer.pid)} MB")
        page.locator("#failures-body table").first.wait_for()
        print(f"the first run's samples after that  {time.perf_counter() - seen:.2f} s")
        with urlopen(f"{address}page.json") as answer:
            keys = [run["key"] for run in json.loads(gzip.decompress(answer.read()))["runs"]]
        times = []
        for dataset in ("MedQBench_Perception", "MedQBench_Reasoning"):
            for seed in range(MODELS):
                asked = time.perf_counter()
                with urlopen(f"{address}runs/{keys.index(f'model-{seed}_{dataset}')}.json") as answer:
                    size = len(answer.read())
                times.append(time.perf_counter() - asked)
            last = f"the last one {size / 1e6:.1f} MB packed"
            print(f"{MODELS} runs of {dataset:<21} {sum(times[-MODELS:]) / MODELS:.2f} s each, {last}")
        asked = time.perf_counter()
        with urlopen(f"{address}state.json") as answer:
            answer.read()
        print(f"a look at the folder                {time.perf_counter() - asked:.3f} s")
        print(
            f"memory after all 20 runs            {megabytes(viewer.pid)} MB, peak {megabytes(viewer.pid, 'VmHWM')} MB"
        )
        asked = time.perf_counter()
        with urlopen(f"{address}compared.json") as answer:
            answer.read()
        print(f"all runs with each other            {time.perf_counter() - asked:.1f} s, asked for by a button")
        print(f"memory after that                   peak {megabytes(viewer.pid, 'VmHWM')} MB")
    finally:
        viewer.terminate()
        viewer.wait()


def cost_of_progress(folder: Path, answers: int = 20_000) -> None:
    """Print how long one answer's note in the progress file takes, files and all."""
    from medqbench_vlmeval.runs.progress import ProgressFile, progress_path

    file = ProgressFile(progress_path(folder, "m_d"), "m", "d")
    file.told("inference", 0, answers)
    started = time.perf_counter()
    for done in range(answers):
        file.told("inference", done, answers)
    noted = (time.perf_counter() - started) / answers
    started = time.perf_counter()
    for done in range(1000):
        file.told(f"stage {done}", done, answers)  # a new stage is written at once
    print(f"a note {1e6 * noted:.1f} us, a file (once a second) {1e3 * (time.perf_counter() - started) / 1000:.2f} ms")


def main() -> None:
    from playwright.sync_api import sync_playwright

    print(machine())
    reports.QUESTIONS, reports.SINGLES, reports.PAIRS = SAMPLES, SAMPLES - SAMPLES // 3, SAMPLES // 3
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        base, work = Path(name, "LMUData"), Path(name, "work")
        for folder in (base, work):
            folder.mkdir()
        reports.score_runs(work, reports.write_images(base), MODELS)
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        watch(browser.new_page(), work, base)
        browser.close()
        cost_of_progress(work)
    print("the kit has no viewer")


if __name__ == "__main__":
    main()
