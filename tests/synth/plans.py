"""Small plans of pictures whose pixels a formula makes; what other processes load has to lie in a module."""

from __future__ import annotations

from functools import partial

import numpy as np

from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, Planned, Source
from medqbench_vlmeval.synth.images import Picture
from medqbench_vlmeval.synth.plan import Plan


def ramp(seed: int, modality: str, size: int = 48) -> Picture:
    """Bright bars on a ramp: no constant field, so that every degradation changes something."""
    x, y = np.meshgrid(np.linspace(0.1, 0.7, size), np.arange(size))
    pixels = x + 0.2 * ((y + seed) % 8 < 4)
    return Picture(pixels if modality == "MRI" else np.repeat(pixels[..., None], 3, axis=2), modality)


def broken(seed: int, modality: str) -> Picture:
    raise OSError(5, "Input/output error", "source.png")


def source(number: int, modality: str = "MRI", load=ramp) -> Source:
    made = partial(load, number, modality)
    return Source(f"s{number:03d}", modality, "slice", "authentic", f"patient {number}/scan.png", made)


def plan(n: int = 4, modality: str = "MRI", load=ramp, seed: int = 7) -> Plan:
    """Of each of ``n`` sources the clean picture, a mild and a severe one, and one with two degradations."""
    first, second = [of for of in DEGRADATIONS.values() if of.modality == modality][:2]
    pictures = []
    for i in range(n):
        for j, (degradation, severity, also) in enumerate(
            [(None, "none", None), (first, "mild", None), (second, "severe", None), (first, "severe", second)]
        ):
            made = Planned(
                source(i, modality, load), degradation, severity, (seed, len(pictures)), f"x-{4 * i + j:03d}", also
            )
            pictures.append(made)
    rows = tuple({"index": f"q{i}", "image_path": f"images/{of.file_name}"} for i, of in enumerate(pictures))
    return Plan(seed, tuple(pictures), {"medqbench_QA_test.tsv": rows, "medqbench_QA_dev.tsv": ()})
