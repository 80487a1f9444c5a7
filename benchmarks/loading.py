"""Loading a data file with base64 images: ours, first and second time, beside the kit's own class.

    python -m benchmarks.loading [MEGABYTES]

Both sides end with every image on the disk, ready for a model. 'added' is the peak memory above what the process had
before the load (Linux).
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine

OURS = """
from pathlib import Path
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.benchmark import parse_dataset_name
def job():
    return len(load_dataset(parse_dataset_name("MedQBench_Perception"), Path(path)).samples)
"""
THEIRS = """
from vlmeval.dataset import MedqbenchMCQDataset
def job():
    data = MedqbenchMCQDataset("MedqbenchMCQ_test", data_path=path)
    for i in range(len(data)):
        data.dump_image(data.data.iloc[i])
    return len(data)
"""
MEASURE = """
import contextlib, io, json, re, sys, time
path = sys.argv[1]
def memory(field):
    with open("/proc/self/status") as status:
        return int(re.search(field + r":\\s+(\\d+)", status.read())[1]) / 1024
{code}
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = memory("VmRSS")
started = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    n = job()
seconds = time.perf_counter() - started
print(json.dumps([n, seconds, memory("VmHWM") - before]))
"""


def write_table(path: Path, megabytes: int) -> int:
    """A perception file of about this size with noisy 256 x 256 PNGs, all different."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    rows = 0
    with path.open("w", encoding="utf-8") as out:
        out.write("index\timage\tquestion\tA\tB\tanswer\tmodality\n")
        while out.tell() < megabytes << 20:
            packed = io.BytesIO()
            Image.fromarray(draw.integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(packed, "PNG")
            cell = base64.b64encode(packed.getvalue()).decode()
            out.write(f"{rows}\t{cell}\tIs there noise?\tYes\tNo\tA\tCT\n")
            rows += 1
    return rows


def measured(code: str, path: Path, images: Path) -> tuple[float, float]:
    """Seconds and MiB of added peak memory of one load in a fresh process, imports excluded."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(code=code), str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LMUData": str(images)},
    )
    _, seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "medqbench_QA_test.tsv"
        n = write_table(path, megabytes)
        places = {who: folder / who for who in ("ours", "theirs")}
        for place in places.values():
            place.mkdir()
        rows = {
            "ours, first": measured(OURS, path, places["ours"]),
            "ours, again": measured(OURS, path, places["ours"]),
            "the kit, first": measured(THEIRS, path, places["theirs"]),
            "the kit, again": measured(THEIRS, path, places["theirs"]),
        }
    print(machine())
    print(f"{megabytes} MiB, {n} images")
    print(f"{'':16}{'seconds':>8} {'added MiB':>10}")
    for who, (seconds, memory) in rows.items():
        print(f"{who:16}{seconds:>8.2f} {memory:>10.0f}")
    print(f"ratio, first    {rows['the kit, first'][0] / rows['ours, first'][0]:>8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
