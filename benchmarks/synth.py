"""Making a set of one's own images: seconds and peak memory for all of it, and seconds by degradation.

    python -m benchmarks.synth [SOURCES [SIDE [WORKERS]]]

Sources are smooth random scenes with edges, one after the other of the seven modalities, written as PNG; the set has
six questions an image. No class of the kit makes sets, so there is no figure of the kit's beside it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from medqbench_vlmeval.synth.catalogue import GREY, STRUCTURES, of_modality
from medqbench_vlmeval.synth.images import Picture, smooth_field
from medqbench_vlmeval.workflows.synth import SynthRequest, make_set


def write_sources(folder: Path, n: int, side: int) -> None:
    """``n`` pictures in one folder a modality."""
    for i in range(n):
        modality = list(STRUCTURES)[i % len(STRUCTURES)]
        path = folder / modality / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(i, side, modality in GREY)).save(path, compress_level=1)


def scene(seed: int, side: int, is_grey: bool) -> np.ndarray:
    """A bright disc with smooth and fine structure on dark ground, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    inside = np.hypot(x, y) < 0.85
    tissue = 0.5 + 0.12 * smooth_field((side, side), side / 20, rng) + 0.05 * smooth_field((side, side), 2.0, rng)
    grey = np.clip(np.where(inside, tissue, 0.03), 0, 1)
    pixels = grey if is_grey else grey[..., None] * np.array([0.95, 0.6, 0.5])
    return np.round(pixels * 255).astype(np.uint8)


def by_degradation(side: int) -> dict[str, float]:
    """Seconds of one severe picture, by the degradation's key; the second call is timed."""
    seconds = {}
    for modality in STRUCTURES:
        pixels = scene(1, side, modality in GREY) / 255.0
        if modality == "CT":
            picture = Picture(pixels * 1200 - 1000, modality, 350 / side, (-160.0, 240.0))
        else:
            picture = Picture(pixels, modality)
        for degradation in of_modality(modality):
            for _ in range(2):
                start = time.perf_counter()
                degradation.degrade(picture, "severe", np.random.default_rng(0))
                seconds[degradation.key] = time.perf_counter() - start
    return seconds


def main(n: int = 70, side: int = 512, workers: int = 2) -> None:
    print(machine())
    seconds = by_degradation(side)
    print(f"{len(seconds)} degradations at {side} x {side}: mean {np.mean(list(seconds.values())):.3f} s; the slowest:")
    for key in sorted(seconds, key=seconds.__getitem__, reverse=True)[:12]:
        print(f"  {key:32} {seconds[key]:.3f} s")
    with tempfile.TemporaryDirectory() as name:
        write_sources(Path(name) / "in", n, side)
        start = time.perf_counter()
        made = make_set(SynthRequest(Path(name) / "in", Path(name) / "out", workers=workers))
        spent = time.perf_counter() - start
    peak = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    items = sum(map(len, made.plan.tables.values()))
    print(
        f"{n} sources: {len(made.plan.pictures):,} pictures, {items:,} items in {spent:.1f} s with {workers} workers; "
        f"1,000 sources would take {spent / n * 1000 / 60:.1f} min; peak memory {peak[0]:.0f} MiB here and "
        f"{peak[1]:.0f} MiB in the largest worker"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
