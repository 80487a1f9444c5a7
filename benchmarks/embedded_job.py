"""Wall time of the embedded job, split into the kit's import and ours.

    python -m benchmarks.embedded_job

Runs MedQ-Classical on MedQBench_Perception_mini and MedQBench_Reasoning_mini with the embedded judge in a
fresh process, and beside it a process that only imports what the kit's runner imports. 'ours' is everything
else: registering, loading, looking at the images, judging, scoring and writing the result files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine

IMPORT = "import vlmeval.config, vlmeval.dataset, vlmeval.inference, vlmeval.inference_mt, vlmeval.inference_video"
JOB = ["--data", "MedQBench_Perception_mini", "MedQBench_Reasoning_mini", "--model", "MedQ-Classical"]


def timed(command: list[str], folder: str) -> float:
    """Seconds that a command took from start to end; it must succeed."""
    images = Path(folder) / "lmu"
    images.mkdir(exist_ok=True)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "LMUData": str(images)})
    return time.perf_counter() - started


def main() -> None:
    job = [sys.executable, "-m", "medqbench_vlmeval", "run", *JOB, "--judge", "rules"]
    print(machine())
    print(f"{'round':>5} {'import of the kit':>18} {'whole job':>10} {'ours':>6}   seconds")
    # The first round fills the file cache and is printed like the others.
    for turn in range(3):
        with tempfile.TemporaryDirectory() as folder:
            kit = timed([sys.executable, "-c", IMPORT], folder)
            whole = timed(job, folder)
        print(f"{turn + 1:>5} {kit:>18.2f} {whole:>10.2f} {whole - kit:>6.2f}")


if __name__ == "__main__":
    main()
