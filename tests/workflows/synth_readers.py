"""Small pictures to be rated, and simulated readers' exports of a page: no person rated anything here."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medqbench_vlmeval.synth.catalogue import Source
from medqbench_vlmeval.synth.images import Picture
from medqbench_vlmeval.workflows.synth_rating import ImageDraw, draw_image_ratings

CT_KEYS = ("ct-noise", "ct-ring")
KEYS = (*CT_KEYS, "en-haze")


def small(modality: str, seed: int) -> Picture:
    """64 x 64: a body of water with bright rods in air, something like it in grey, or a reddish wall."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    rods = np.sin(9 * x + seed) * np.sin(8 * y) > 0.6
    if modality == "CT":
        hu = np.where(np.hypot(x, y) < 0.8, 40.0 + 60.0 * rods, -1000.0)
        return Picture(hu, "CT", spacing_mm=5.0, window=(-160.0, 240.0))
    if modality in ("MRI", "X-ray", "Ultrasound"):
        return Picture(np.where(np.hypot(x, y) < 0.9, 0.4 + 0.3 * rods + 0.05 * y, 0.0), modality)
    wall = 0.35 + 0.3 * rods[..., None] + 0.1 * x[..., None]
    return Picture(wall * np.array([1.0, 0.6, 0.5]), modality)


def source(modality: str, seed: int) -> Source:
    of, noun = f"{modality}-secret-{seed}", f"{modality} image"
    return Source(of, modality, noun, "authentic", "ward/secret.dcm", partial(small, modality, seed))


SOURCES = (source("CT", 1), source("CT", 2), source("Endoscopy", 3))


def drawn(out: Path, n: int = 12, **options: Any) -> ImageDraw:
    return draw_image_ratings(SOURCES, out, n, degradations=KEYS, **options)


def key_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "rating_key.json").read_text(encoding="utf-8"))
    return content


Entry = dict[str, Any]


def export(
    folder: Path,
    rater: str,
    mark: Callable[[Entry], int | None],
    faults: Callable[[Entry, int], str] = lambda entry, mark: entry["degradation"] if mark < 2 else "",
    **changes: Any,
) -> Path:
    """A simulated reader's JSON export, as the page writes one."""
    key = key_of(folder)
    rows = []
    for rating_id, entry in key["images"].items():
        given = mark(entry)
        seen = faults(entry, given) if given is not None else ""
        rows.append({"rating id": rating_id, "quality": given, "faults": seen, "comment": "", "rated_at": "2026"})
    told = {"format": "medqbench image ratings 1", "page": key["page"], "rater": rater, "ratings": rows}
    path = folder / f"{rater}.json"
    path.write_text(json.dumps({**told, **changes}), encoding="utf-8")
    return path


def by_thresholds(usable_from: float, reject_from: float) -> Callable[[Entry], int]:
    """Marks of a reader for whom every degradation turns at these positions."""
    return lambda entry: (
        2 - (entry["position"] >= usable_from) - (entry["position"] >= reject_from) if entry["degradation"] else 2
    )
