"""Judge calls in flight: ours beside the kit's own class, on one local server that takes 200 ms a call.

    python -m benchmarks.judging [SAMPLES]

Four calls a sample, 32 in flight asked of both. The kit's class is run on a quarter of the samples and its
time is scaled up, since it keeps one call in flight and sleeps between calls.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from tests.servers import JudgeServer

DELAY, NPROC = 0.2, 32


def write_predictions(path: Path, n: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "task", "question", "description", "modality", "prediction"])
        for i in range(n):
            text = f"Sample {i} shows mild noise. Overall, the quality of this image is usable."
            table.writerow([i, "no-reference", "Describe.", text, "CT", text])


def ours(path: Path, url: str) -> float:
    from medqbench_vlmeval.evaluation import Request, evaluate

    judge = {"model": "judge", "api_base": url, "key": "none", "nproc": NPROC}
    request = Request(
        prediction_file=path, model="m", dataset="MedQBench_Reasoning_NoReference", out=path.parent / "out", judge=judge
    )
    started = time.perf_counter()
    evaluate(request)
    return time.perf_counter() - started


def theirs(path: Path, url: str) -> float:
    import contextlib
    import io

    from vlmeval.dataset import MedqbenchCaptionDataset

    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        MedqbenchCaptionDataset.evaluate(
            str(path), model="judge", api_base=f"{url}/chat/completions", key="none", nproc=NPROC
        )
    return time.perf_counter() - started


def main(n: int) -> None:
    part = max(1, n // 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mine_file, their_file = folder / "m_MedQBench_Reasoning_NoReference.tsv", folder / "theirs.tsv"
        write_predictions(mine_file, n)
        write_predictions(their_file, part)
        warm = folder / "warm_MedQBench_Reasoning_NoReference.tsv"
        write_predictions(warm, 1)
        with JudgeServer("Score: 2", delay=DELAY) as server:
            ours(warm, server.base_url)
            mine = ours(mine_file, server.base_url)
            mine_flight = server.max_in_flight
        with JudgeServer("Score: 2", delay=DELAY) as server:
            kit = theirs(their_file, server.base_url)
            kit_flight = server.max_in_flight
    calls = 4 * n
    ideal = -(-calls // NPROC) * DELAY
    print(machine())
    print(f"{calls} calls of {DELAY * 1000:.0f} ms, {NPROC} in flight asked for; ideal {ideal:.2f} s")
    print(f"ours     {mine:8.2f} s  {mine / ideal:6.2f} x ideal, at most {mine_flight} in flight")
    scaled = kit * n / part
    print(f"the kit  {scaled:8.2f} s  (measured {kit:.2f} s on {4 * part} calls), at most {kit_flight} in flight")
    print(f"ratio    {scaled / mine:8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
