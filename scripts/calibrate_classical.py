"""Fit the reference table of MedQ-Classical: ``python scripts/calibrate_classical.py [FEATURES.npz]``.

Pictures come from this package's simulator, from slices, crops, scenes, seeds and strengths that the embedded set
does not use. Prints the cross-validated accuracy, with whole scenes and with whole originals left out, and writes
``medqbench_vlmeval/baselines/reference.json``. A file name keeps the statistics, so that a new fit takes a second.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from medqbench_vlmeval.baselines.classical import prior
from medqbench_vlmeval.baselines.image_statistics import Array, measure
from medqbench_vlmeval.benchmark import MODALITIES
from medqbench_vlmeval.synth import images
from medqbench_vlmeval.synth.catalogue import GRADES, embedded
from medqbench_vlmeval.synth.embedded_set import encode
from medqbench_vlmeval.synth.images import Picture

OUT = Path(__file__).resolve().parent.parent / "medqbench_vlmeval" / "baselines" / "reference.json"
SEED = 977
COLOUR = ("Histopathology", "Endoscopy", "Fundus")
GREY = ("CT", "MRI")
SHRINK = 0.12
REPEATS = 2

_BRAIN = [(2, 62), (2, 74), (2, 90), (2, 102), (1, 84), (1, 98), (1, 126), (1, 140), (0, 70), (0, 124)]
_RETINA = [(200, 200, 1000), (500, 250, 880), (0, 160, 1100), (300, 0, 1100), (150, 150, 1111), (20, 20, 1371)]
_TISSUE = [(30, 30, 440), (120, 0, 300), (0, 190, 300), (190, 20, 300), (120, 200, 300), (60, 110, 380)]
_SPINE = [(8, 0, 118, True), (4, 8, 120, False), (12, 4, 112, True), (0, 10, 116, True)]
_PHANTOM = [(12, True), (30, False), (50, True), (20, True)]
_ABDOMEN = [(60, 270, True), (110, 280, True), (130, 250, False), (80, 290, True)]

Scene = Callable[[], Picture]


def scenes_of(modality: str) -> list[tuple[str, Scene]]:
    """Undegraded pictures that are not in the embedded set, each with the name of the original it is cut from."""
    if modality == "CT":
        made: list[tuple[str, Scene]] = [("drawn", partial(images.abdomen, seed)) for seed in range(2, 8)]
        made += [("spine", partial(images.spine, *box)) for box in _SPINE]
        return made + [("phantom", partial(images.shepp_logan, *cut)) for cut in _PHANTOM]
    if modality == "MRI":
        made = [("template", partial(images.brain, axis, place, place % 4 == 0)) for axis, place in _BRAIN]
        return made + [("abdomen", partial(images.upper_abdomen, *cut)) for cut in _ABDOMEN]
    if modality == "Endoscopy":
        return [(f"scene {seed}", partial(images.colon, seed)) for seed in range(4, 16)]
    boxes, name = (_RETINA, "retina.jpg") if modality == "Fundus" else (_TISSUE, "ihc.png")
    cut = partial(images.photograph, name, modality)
    return [("photograph", partial(cut, *box, mirror)) for box in boxes for mirror in (False, True)]


def _vector(picture: Picture, colour: bool) -> dict[str, float]:
    shown = picture.display()
    image = Image.open(io.BytesIO(encode(shown, "jpg"))) if colour else Image.fromarray(shown)
    return measure(np.asarray(image.convert("RGB"), dtype=np.float64) / 255.0)


def samples(modality: str) -> Iterator[tuple[str, int, dict[str, float]]]:
    """(class, scene number, statistics) of every calibration picture of one modality."""
    colour = modality in COLOUR
    for number, (_, scene) in enumerate(scenes_of(modality)):
        clean = scene()
        rng = np.random.default_rng([SEED, MODALITIES.index(modality), number])
        for _ in range(REPEATS):
            # An undegraded scene has one appearance; a small change of exposure gives it a spread.
            low = clean.window[0]
            shifted = clean.with_pixels(low + (clean.pixels - low) * rng.uniform(0.94, 1.04))
            yield "none", number, _vector(shifted, colour)
            for degradation in embedded(modality):
                for grade in GRADES:
                    scale = float(np.exp(rng.uniform(-0.2, 0.2)))
                    if degradation.key in ("fu-haze", "en-haze", "fu-light", "en-light", "mr-alias"):
                        scale = min(scale, 1.02)
                    picture = degradation.degrade(clean, grade, rng, scale)
                    yield f"{degradation.key} {grade}", number, _vector(picture, colour)


def fit(names: list[str], x: Array, labels: Array) -> dict[str, object]:
    """Class means in whitened coordinates; the within-class covariance is shrunk towards its diagonal."""
    classes = list(dict.fromkeys(labels.tolist()))
    centre = x.mean(axis=0)
    within = np.concatenate([x[labels == name] - x[labels == name].mean(axis=0) for name in classes])
    # A statistic that is constant in a modality (colour in a grey one) gets no weight instead of an infinite one.
    scale = np.maximum(within.std(axis=0), 1e-3)
    covariance = (1.0 - SHRINK) * np.cov((within / scale).T) + SHRINK * np.eye(len(names))
    values, vectors = np.linalg.eigh(covariance)
    whiten = (vectors / np.sqrt(values)) / scale[:, None]
    points = np.stack([(x[labels == name].mean(axis=0) - centre) @ whiten for name in classes])
    # Axes on which the class means do not differ carry nothing: keep the discriminant ones.
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    kept = axes[: min(len(classes) - 1, 12)].T
    return {
        "statistics": names,
        "centre": np.round(centre, 5).tolist(),
        "whiten": np.round(whiten @ kept, 4).tolist(),
        "means": {name: np.round(point @ kept, 3).tolist() for name, point in zip(classes, points, strict=True)},
    }


def predict(table: dict[str, object], x: Array, equal: bool) -> list[str]:
    means = {name: np.array(point) for name, point in table["means"].items()}  # type: ignore[attr-defined]
    points = (x - np.array(table["centre"])) @ np.array(table["whiten"])
    logs = {name: 0.0 if equal else float(np.log(prior(name, (len(means) - 1) // 2))) for name in means}
    return [max(means, key=lambda name: logs[name] - 0.5 * ((point - means[name]) ** 2).sum()) for point in points]


def validate(title: str, names: list[str], x: Array, labels: Array, groups: Array) -> None:
    """Leave each group of scenes out in turn and print how often class, degradation and severity are right."""
    said = np.empty(labels.shape, dtype=object)
    for group in np.unique(groups):
        out = groups == group
        said[out] = predict(fit(names, x[~out], labels[~out]), x[out], False)
    exact = float(np.mean(said == labels))
    grade = float(np.mean([a.split()[-1] == b.split()[-1] for a, b in zip(said, labels, strict=True)]))
    fault = float(np.mean([a.split()[0] == b.split()[0] for a, b in zip(said, labels, strict=True)]))
    print(f"{title:40s} n={labels.size:4d} class {exact:.2f} degradation {fault:.2f} severity {grade:.2f}")


def main() -> None:
    store = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    found: dict[str, list[tuple[str, int, dict[str, float]]]] = {}
    if store is not None and store.is_file():
        found = json.loads(store.read_text())
    else:
        for modality in MODALITIES:
            found[modality] = list(samples(modality))
            print(f"{modality}: {len(found[modality])} pictures", flush=True)
        if store is not None:
            store.write_text(json.dumps(found))
    names = list(found["CT"][0][2])
    data = {m: np.array([[v[name] for name in names] for _, _, v in rows]) for m, rows in found.items()}
    faults = {}
    for modality, rows in found.items():
        labels = np.array([row[0] for row in rows], dtype=object)
        numbers = np.array([row[1] for row in rows])
        validate(f"{modality}, unseen scenes", names, data[modality], labels, numbers % 3)
        originals = np.array([name for name, _ in scenes_of(modality)])[numbers]
        if 1 < np.unique(originals).size < 6:
            validate(f"{modality}, unseen originals", names, data[modality], labels, originals)
        faults[modality] = fit(names, data[modality], labels)
    kinds = {}
    for kind, members in (("grey", GREY), ("colour", COLOUR)):
        x = np.concatenate([data[m] for m in members])
        labels = np.array([m for m in members for _ in found[m]], dtype=object)
        kinds[kind] = fit(names, x, labels)
        right = float(np.mean(np.array(predict(kinds[kind], x, True)) == labels))
        print(f"{kind}: modality right on the fitted pictures {right:.3f}")
    about = "Fitted by scripts/calibrate_classical.py on simulated pictures outside the embedded set."
    OUT.write_text(json.dumps({"about": about, "kinds": kinds, "faults": faults}) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
