"""Loading a data file with base64 images: ours, first and second time, beside the kit's own class.

    python -m benchmarks.loading [200 | 628 | 6280 ...]

The shapes are 200 MiB of noisy 256 x 256 PNGs in colour, 628 MB of 1,305 noisy 600 x 600 PNGs in grey, and ten times
these rows, every image different (the same pixels with ten different text chunks, so that each is hashed, decoded,
checked and stored), on which the kit's class is not tried. All sides end with every image on the disk, ready for a
model; a class has also built the prompt of every row. Each load is in a process of its own, its imports excluded.
'added' is the peak memory above what the process had before the load (Linux), 'processor' the time of all its threads.
"""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine

LOADER = """
import PIL.Image, filelock, pyarrow
from pathlib import Path
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.benchmark import parse_dataset_name
def job():
    return len(load_dataset(parse_dataset_name("MedQBench_Perception"), Path(path)).samples)
"""
CLASS = """
import PIL.Image, filelock, pyarrow
import medqbench_vlmeval
medqbench_vlmeval.register()
from vlmeval.dataset import MedQBenchPerception
def job():
    data = MedQBenchPerception("MedQBench_Perception", data_path=path)
    return len([data.build_prompt(i) for i in range(len(data))])
"""
THEIRS = """
from vlmeval.dataset import MedqbenchMCQDataset
def job():
    data = MedqbenchMCQDataset("MedqbenchMCQ_test", data_path=path)
    return len([data.build_prompt(i) for i in range(len(data))])
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
started, used = time.perf_counter(), time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    n = job()
seconds, used = time.perf_counter() - started, time.process_time() - used
print(json.dumps([n, seconds, used, memory("VmHWM") - before]))
"""
# Younger files are hashed again: they may change within a tick of the file system's clock.
SETTLED = 2.5  # seconds


@dataclass(frozen=True)
class Shape:
    """So many rows of square images, and the most seconds that a load is to take, the first time and later."""

    rows: int
    side: int
    channels: int
    first: float | None
    again: float
    times: int = 1


SHAPES = {
    "200": Shape(rows=798, side=256, channels=3, first=None, again=0.15),
    "628": Shape(rows=1305, side=600, channels=1, first=5, again=0.3),
    "6280": Shape(rows=1305, side=600, channels=1, first=None, again=0.3 * 11, times=10),
}
MOST_ADDED = 150  # MiB


def images(shape: Shape) -> Iterator[bytes]:
    """PNGs of noise, all different."""
    import numpy as np
    from PIL import Image

    draw, size = np.random.default_rng(0), (shape.side, shape.side, shape.channels)
    for _ in range(shape.rows):
        packed = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8).squeeze()).save(packed, "PNG", compress_level=1)
        whole = packed.getvalue()
        yield whole
        for number in range(1, shape.times):
            text = b"tEXtcopy\0%d" % number
            chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
            yield whole[:-12] + chunk + whole[-12:]


def write_table(path: Path, shape: Shape) -> int:
    """A perception file of that shape; its bytes."""
    with path.open("w", encoding="utf-8") as out:
        out.write("index\timage\tquestion\tA\tB\tanswer\tmodality\n")
        for row, image in enumerate(images(shape)):
            out.write(f"{row}\t{base64.b64encode(image).decode()}\tIs there noise?\tYes\tNo\tA\tCT\n")
    time.sleep(SETTLED)
    return path.stat().st_size


def measured(code: str, path: Path, images: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and MiB of added peak memory of one load in a fresh process."""
    images.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(code=code), str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LMUData": str(images)},
    )
    _, seconds, used, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, used, memory


def main(names: list[str]) -> None:
    print(machine(), "load", *(f"{load:.1f}" for load in os.getloadavg()))
    for name in names:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            path = folder / "medqbench_QA_test.tsv"
            size = write_table(path, shape)
            rows = {}
            sides = {"loader": LOADER, "class": CLASS, **({"the kit": THEIRS} if shape.times == 1 else {})}
            for side, code in sides.items():
                for when in ("first", "again"):
                    rows[side, when] = measured(code, path, folder / side)
        print(f"\n{size / 1e6:,.0f} MB, {shape.rows * shape.times:,} images of {shape.side} x {shape.side}")
        print(f"{'':16}{'seconds':>8} {'processor':>10} {'at most':>8} {'added MiB':>10} {'at most':>8}")
        for (side, when), (seconds, used, memory) in rows.items():
            most = None if side == "the kit" else shape.first if when == "first" else shape.again
            targets = f"{most:>8.2f}" if most else f"{'':8}", f"{'' if side == 'the kit' else MOST_ADDED:>8}"
            print(f"{f'{side}, {when}':16}{seconds:>8.2f} {used:>10.2f} {targets[0]} {memory:>10.0f} {targets[1]}")
        for when in ("first", "again") if ("the kit", "first") in rows else ():
            ratio = [theirs / ours for theirs, ours in zip(rows["the kit", when], rows["class", when], strict=True)]
            print(f"the kit / class, {when}: {ratio[0]:.1f} in seconds, {ratio[1]:.1f} in processor time")


if __name__ == "__main__":
    main(sys.argv[1:] or ["200", "628"])
