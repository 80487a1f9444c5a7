"""Judge calls in flight: ours beside the kit's own class, on one local server that takes 200 ms a call.

    python -m benchmarks.judging [SAMPLES]

Four calls a sample, 32 in flight asked of both; the server is a process of its own. The kit's class is run on
fewer samples and its time is scaled up, since it keeps one call in flight and sleeps between calls. Ours is
measured with an empty cache on the disk, whole evaluation with result files, and the judging part alone.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine
from tests.servers import JudgeServer

DELAY, NPROC = 0.2, 32
KITS_SAMPLES = 10


def serve() -> None:
    """Serve until standard input is closed; answer each line of it with the most calls in flight so far."""
    with JudgeServer("Score: 2", delay=DELAY) as server:
        print(server.base_url, flush=True)
        for _ in sys.stdin:
            print(server.max_in_flight, flush=True)


@contextlib.contextmanager
def served() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.judging", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.stdin.close()


def most_in_flight(process: subprocess.Popen[str]) -> int:
    assert process.stdin and process.stdout
    print(file=process.stdin, flush=True)
    return int(process.stdout.readline())


def write_predictions(path: Path, n: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "task", "question", "description", "modality", "prediction"])
        for i in range(n):
            text = f"Sample {i} shows mild noise. Overall, the quality of this image is usable."
            table.writerow([i, "no-reference", "Describe.", text, "CT", text])
    return path


def ours(path: Path, url: str, cache: Path) -> tuple[float, float | None]:
    """Seconds of a whole evaluation, and of its judging alone (None where nothing had to be asked)."""
    from medqbench_vlmeval.workflows import Request, evaluate

    moments: list[float] = []
    judge = {"model": "judge", "api_base": url, "key": "none", "nproc": NPROC}
    request = Request(
        prediction_file=path,
        model="m",
        dataset="MedQBench_Reasoning_NoReference",
        out=path.parent / "out",
        judge=judge,
        cache=cache,
        on_progress=lambda _: moments.append(time.perf_counter()),
    )
    started = time.perf_counter()
    evaluate(request)
    # The first answer came one call after the first question.
    return time.perf_counter() - started, moments[-1] - moments[0] + DELAY if moments else None


def theirs(path: Path, url: str) -> float:
    from vlmeval.dataset import MedqbenchCaptionDataset

    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        MedqbenchCaptionDataset.evaluate(
            str(path), model="judge", api_base=f"{url}/chat/completions", key="none", nproc=NPROC
        )
    return time.perf_counter() - started


def main(n: int) -> None:
    name = "m_MedQBench_Reasoning_NoReference.tsv"
    with tempfile.TemporaryDirectory() as folder_name, served() as (url, process):
        folder = Path(folder_name)
        for part in ("warm", "ours", "theirs"):
            (folder / part).mkdir()
        ours(write_predictions(folder / "warm" / name, 1), url, folder / "warm")
        mine, judging = ours(write_predictions(folder / "ours" / name, n), url, folder / "ours")
        mine_flight = most_in_flight(process)
        again, _ = ours(folder / "ours" / name, url, folder / "ours")
        with served() as (their_url, their_process):
            kit = theirs(write_predictions(folder / "theirs" / "theirs.tsv", KITS_SAMPLES), their_url)
            kit_flight = most_in_flight(their_process)
    calls = 4 * n
    ideal = calls * DELAY / NPROC
    assert judging is not None
    scaled = kit * n / KITS_SAMPLES
    print(machine())
    print(f"{calls} calls of {DELAY * 1000:.0f} ms, {NPROC} in flight asked for; ideal {ideal:.2f} s")
    print(f"ours, judging      {judging:8.2f} s  {judging / ideal:6.2f} x ideal, at most {mine_flight} in flight")
    print(f"ours, whole        {mine:8.2f} s  {mine / ideal:6.2f} x ideal")
    print(f"ours, again        {again:8.2f} s  all from the cache")
    print(f"the kit, whole     {scaled:8.2f} s  (measured {kit:.2f} s on {4 * KITS_SAMPLES} calls), at most "
          f"{kit_flight} in flight")  # fmt: skip
    print(f"ratio of the whole {scaled / mine:8.1f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 354)
