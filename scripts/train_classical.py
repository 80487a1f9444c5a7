"""Train MedQ-Classical: ``python -m scripts.train_classical SOURCES [--cache DIR] [--compare]``, or ``--profile``.

Pictures come from this package's simulator on originals of registry packages (``synth_sources``), on drawn ones, and,
for training alone, on photographs of everyday things dressed as a modality. What is reported is measured on originals
that took no part in the training of the model that answers: every picture of an original is left out together.
Writes ``medqbench_vlmeval/baselines/reference.json``; the same packages give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from medqbench_vlmeval.baselines import image_statistics
from medqbench_vlmeval.baselines.chance import Prompt
from medqbench_vlmeval.baselines.classical import Finding, choose, classifier_from_json, finding
from medqbench_vlmeval.baselines.image_statistics import Array, measure
from medqbench_vlmeval.benchmark import QUESTION_TYPES
from medqbench_vlmeval.scoring.intervals import mean_interval, wilson
from medqbench_vlmeval.synth import texts
from medqbench_vlmeval.synth.catalogue import GRADES, STRUCTURES, Degradation, Source, alike, of_modality
from medqbench_vlmeval.synth.images import Picture, grid, smooth_field
from medqbench_vlmeval.synth.produce import encode
from scripts.build_mini import how_at, which_at
from scripts.source_pictures import COLOUR_SIZE, GREY_SIZE, abdomen

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "medqbench_vlmeval" / "baselines" / "reference.json"
SEED = 977
COLOUR = ("Histopathology", "Endoscopy", "Fundus")
REPEATS = 2
# At most so many slices or cuts of one original.
CUTS = 3
DRAWN = range(60, 64)
# Middle and width of the windows of soft tissue, brain, bone, lung and liver, in Hounsfield units.
WINDOWS = ((40.0, 400.0), (40.0, 120.0), (400.0, 1600.0), (-500.0, 1400.0), (60.0, 220.0))
# Any size but 256 goes through the fast projector of ``synth.ct``.
CT_SIZE = 255
FOLDS = 8
# Members of the shipped model, and what --compare tries.
KINDS = ("discriminant",)
TRIED = (("regression",), ("discriminant",), ("regression", "discriminant"))
NAMES = list(measure(np.zeros((32, 32, 3))))
STATISTICS = hashlib.sha256(Path(str(image_statistics.__file__)).read_bytes()).hexdigest()[:12]

# What everyday photographs are taken from scikit-image and scikit-learn: content for training, never for a test.
PHOTOGRAPHS = {
    "skimage.data": (
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "grass.png",
    ),
    "sklearn.datasets": ("images/china.jpg",),
}


def dressed(module: str, name: str, modality: str) -> Picture:
    """The middle square of an everyday photograph with the grey levels or colours, the noise-free background and the
    field of view of a modality: 256 or 288 pixels a side."""
    path = Path(str(import_module(module).__file__)).parent / name
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    size = {"CT": CT_SIZE}.get(modality, COLOUR_SIZE if modality in COLOUR else GREY_SIZE)
    square = photo.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(square, dtype=np.float64) / 255.0
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(grey, [1.0, 99.0])
    grey = np.clip((grey - low) / max(high - low, 1e-3), 0.0, 1.0)
    rng = np.random.default_rng([SEED, *hashlib.sha256(f"{name} {modality}".encode()).digest()[:4]])
    y, x = grid((size, size))
    rim = 1.0 + 0.03 * smooth_field(y.shape, 40.0, rng)
    body = np.hypot(y / (reach := rng.uniform(0.7, 1.25)), x / (reach * rng.uniform(0.9, 1.15))) < rim
    if modality == "CT":
        # Tissue spans the window; bone and gas lie beyond it, as in a scan.
        middle, width = WINDOWS[int(rng.integers(len(WINDOWS)))]
        hu = middle + 0.8 * width * (grey - 0.5)
        hu = np.where(smooth_field(y.shape, rng.uniform(5.0, 14.0), rng) > 1.7, rng.uniform(400.0, 1100.0), hu)
        hu = np.where(smooth_field(y.shape, rng.uniform(5.0, 14.0), rng) > 2.0, -900.0, hu)
        hu = gaussian_filter(np.where(body, np.maximum(hu, -950.0), -1000.0), rng.uniform(0.5, 1.0))
        window = (middle - 0.5 * width, middle + 0.5 * width)
        return Picture(hu, modality, spacing_mm=rng.uniform(0.8, 1.6), window=window)
    if modality == "MRI":
        return Picture(gaussian_filter(np.where(body, 0.08 + 0.8 * grey, 0.0), 0.6), modality)
    if modality == "X-ray":
        return Picture(0.1 + 0.75 * gaussian_filter(grey, 0.8), modality)
    if modality == "Ultrasound":
        fan = (np.hypot(y + 1.1, x) < 2.05) & (np.hypot(y + 1.1, x) > 0.25) & (np.abs(x) < 0.85 * (y + 1.15))
        speckle = np.hypot(smooth_field(y.shape, 1.3, rng), smooth_field(y.shape, 1.3, rng)) / 1.25
        return Picture(np.clip(np.where(fan, 0.7 * ((0.1 + 0.9 * grey) * speckle) ** 0.5, 0.0), 0.0, 1.0), modality)
    if modality == "Histopathology":
        # Haematoxylin with eosin or with diaminobenzidine, as Ruifrok & Johnston (2001) give them.
        second = (0.07, 0.99, 0.11) if rng.random() < 0.5 else (0.27, 0.57, 0.78)
        amount = (1.0 - grey)[..., None]
        density = 1.6 * amount**1.5 * np.array([0.65, 0.70, 0.29]) + 0.7 * np.roll(amount, 9, axis=0) * np.array(second)
        return Picture(np.clip(np.exp(-density) ** (1.0 / 2.2), 0.0, 1.0), modality)
    shape = np.hypot(y, x) < (0.97 if modality == "Fundus" else 1.12)
    tint = np.array([0.85, 0.45, 0.22]) if modality == "Fundus" else np.array([0.85, 0.50, 0.40])
    light = (1.0 - 0.45 * np.hypot(y, x) ** 2 * rng.uniform(0.3, 1.0)) * (0.35 + 0.6 * grey)
    colour = light[..., None] * tint * rng.uniform(0.85, 1.15, 3) + 0.08 * (pixels - 0.5)
    return Picture(np.clip(np.where(shape[..., None], colour, 0.0), 0.0, 1.0), modality)


@dataclass(frozen=True)
class Original:
    """One picture that somebody took or drew; ``sources`` are its slices or cuts. ``tested``: it is of the modality, so
    that an accuracy on it means something. ``trained``: the shipped model may learn from it. The embedded set's
    originals are not for training, nor is what its owners give for research only."""

    name: str
    modality: str
    sources: tuple[Source, ...]
    tested: bool
    trained: bool


def varied(picture: Picture, rng: np.random.Generator) -> Picture:
    """The picture as another device could have taken it: mirrored, a part of it enlarged, other exposure, gamma,
    sharpness and noise."""
    pixels = picture.pixels[:, :: -1 if rng.random() < 0.5 else 1]
    if rng.random() < 0.7:
        share = rng.uniform(0.6, 0.95)
        height, width = picture.shape
        top, left = rng.uniform(0.0, 1.0 - share, 2) * (height, width)
        rows, columns = np.meshgrid(top + share * np.arange(height), left + share * np.arange(width), indexing="ij")
        planes = pixels if pixels.ndim == 3 else pixels[..., None]
        taken = [
            map_coordinates(planes[..., c], (rows, columns), order=3, mode="nearest") for c in range(planes.shape[2])
        ]
        pixels = np.stack(taken, axis=-1).reshape(picture.pixels.shape)
        picture = replace(picture, spacing_mm=picture.spacing_mm * share)
    low, high = picture.window
    if picture.modality == "CT":
        middle = 0.5 * (low + high) + rng.uniform(-0.15, 0.15) * (high - low)
        half = 0.5 * (high - low) * rng.uniform(0.7, 1.5)
        low, high = middle - half, middle + half
        picture = replace(picture, window=(low, high))
    # Devices differ in sharpness and noise before anything is wrong.
    if rng.random() < 0.2:
        pixels = gaussian_filter(pixels, (sigma := rng.uniform(0.3, 0.7), sigma, 0.0)[: pixels.ndim])
    if rng.random() < 0.2:
        pixels = pixels + (high - low) * rng.uniform(0.002, 0.005) * rng.standard_normal(pixels.shape)
    if picture.modality == "CT":
        return replace(picture, pixels=pixels)
    shown = np.clip(pixels, 0.0, 1.0) ** rng.uniform(0.85, 1.2) * rng.uniform(0.9, 1.05)
    return replace(picture, pixels=np.clip(shown, 0.0, 1.0))


@dataclass(frozen=True)
class Shown:
    """One measured picture: its class ('none', or a degradation's key and 'mild' or 'severe')."""

    label: str
    original: str
    source: str
    test: bool
    statistics: tuple[float, ...]


def _bytes_of(picture: Picture) -> bytes:
    return encode(picture.display(), "jpg" if picture.pixels.ndim == 3 else "png")


def _rng(*words: str) -> np.random.Generator:
    return np.random.default_rng([SEED, *hashlib.sha256(" ".join(words).encode()).digest()[:8]])


def _wanted(original: Original) -> list[tuple[str, Degradation | None, str, int]]:
    """(use, degradation, severity, repeat) of every picture of a source: for tests as it is and as the catalogue says,
    for training varied and at strengths around the catalogue's."""
    known = of_modality(original.modality)
    cells: list[tuple[str, Degradation | None, str, int]] = []
    if original.tested:
        cells += [("test", None, "none", 0)] + [("test", d, grade, 0) for d in known for grade in GRADES]
    if not original.trained:
        return cells
    repeats = REPEATS if original.tested else 1
    cells += [("train", None, "none", n) for n in range(3 * repeats)]
    return cells + [("train", d, grade, n) for d in known for grade in GRADES for n in range(repeats)]


def _make(source: Source, loaded: Picture, use: str, fault: Degradation | None, grade: str, number: int) -> bytes:
    rng = _rng(source.key, use, fault.key if fault else "none", grade, str(number))
    picture = varied(loaded, rng) if use == "train" else loaded
    if fault is None:
        return _bytes_of(picture)
    # Parameters that are shares end at 1.
    most = 1.0 if fault.key == "us-speckle" else 1.02
    scale = min(float(np.exp(rng.uniform(-0.2, 0.2))), most) if use == "train" else 1.0
    name, value = next(iter(fault.parameters[grade].items()))
    moved = {**fault.parameters, grade: {**fault.parameters[grade], name: scale * value}}
    return _bytes_of(replace(fault, parameters=moved).degrade(picture, grade, rng))


def shown_of(original: Original, source: Source, cache: Path | None) -> list[Shown]:
    """All measured pictures of one source. ``cache`` keeps pictures by the function and parameters they were made
    with, and statistics by the text of their module, so that only what is new is made (empty it after a change of a
    function's code)."""
    store = cache / f"{original.modality}-{source.key}.npz".replace("/", "_") if cache else None
    kept: dict[str, bytes] = {}
    if store is not None and store.is_file():
        with np.load(store) as held_now:
            kept = {name: held_now[name].tobytes() for name in held_now.files}
    before = set(kept)
    used: dict[str, bytes] = {}
    made: list[Shown] = []
    loaded: Picture | None = None
    for use, fault, grade, number in _wanted(original):
        how = f"{fault.function} {json.dumps(fault.strength(grade))}" if fault else "none"
        name = hashlib.sha256(f"{use} {fault.key if fault else ''} {how} {grade} {number}".encode()).hexdigest()[:20]
        measured = f"{name} {STATISTICS}"
        if name not in kept:
            loaded = loaded or source.load()
            kept[name] = _make(source, loaded, use, fault, grade, number)
        if measured not in kept:
            values = measure(image_statistics.read_pixels(io.BytesIO(kept[name])))
            kept[measured] = np.array(list(values.values())).tobytes()
        used |= {name: kept[name], measured: kept[measured]}
        label = f"{fault.key} {grade}" if fault else "none"
        vector = tuple(np.frombuffer(kept[measured]).tolist())
        made.append(Shown(label, original.name, source.key, use == "test", vector))
    if store is not None and set(used) - before:
        with store.open("wb") as file:
            np.savez(
                file, allow_pickle=False, **{name: np.frombuffer(data, dtype=np.uint8) for name, data in used.items()}
            )
    return made


def held(path: Path, modality: str, window: tuple[float, float]) -> Picture:
    """A picture of ``synth_sources``: CT as Hounsfield units, the rest as display values; at most 288 pixels a side."""
    if modality == "CT":
        dicom = import_module("pydicom").dcmread(path)
        hu = dicom.pixel_array.astype(np.float64) * float(dicom.RescaleSlope) + float(dicom.RescaleIntercept)
        shape = tuple(round(CT_SIZE * size / max(hu.shape)) for size in hu.shape)
        small = import_module("skimage.transform").resize(hu, shape, order=3, anti_aliasing=True, preserve_range=True)
        spacing = float(dicom.PixelSpacing[0]) * max(hu.shape) / CT_SIZE
        return Picture(np.maximum(small, -1024.0), modality, spacing_mm=spacing, window=window)
    with Image.open(path) as opened:
        image = opened.convert("RGB" if modality in COLOUR else "L")
    image.thumbnail((COLOUR_SIZE, COLOUR_SIZE), Image.Resampling.LANCZOS)
    return Picture(np.asarray(image, dtype=np.float64) / 255.0, modality)


def drawn_section(seed: int) -> Picture:
    """The drawn abdomen, at the size of the other CT pictures."""
    picture = abdomen(seed)
    return picture.with_pixels(picture.pixels[:CT_SIZE, :CT_SIZE])


def originals(folder: Path) -> list[Original]:
    """What ``scripts/synth_sources.py`` put into ``folder``, drawn CT sections and everyday photographs. All colon
    views count as one original: one function draws them."""
    found: dict[tuple[str, str], list[Source]] = {}
    shared: dict[tuple[str, str], bool] = {}
    with (folder / "file.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not of_modality(row["modality"]):
                continue
            modality = row["modality"]
            low, high = (float(end) for end in (row["window"] or "0,1").split(","))
            load = partial(held, folder / row["path"], modality, (low, high))
            fields = (row["noun"], row["kind"], row["source"])
            name = "drawn colon" if row["kind"] == "procedural" else row["original"]
            cuts = found.setdefault((modality, name), [])
            if len(cuts) < CUTS:
                cuts.append(Source(Path(row["path"]).stem, modality, *fields, load))
            shared[modality, name] = row["embedded"] == "yes"
    made = [
        Original(name, modality, tuple(of), True, not shared[modality, name] and "NC" not in of[0].origin)
        for (modality, name), of in found.items()
    ]
    drawn = [Source(f"drawn-{n}", "CT", "CT slice", "procedural", "", partial(drawn_section, n)) for n in DRAWN]
    made.append(Original("drawn sections", "CT", tuple(drawn), False, True))
    for modality in filter(of_modality, STRUCTURES):
        for module, names in PHOTOGRAPHS.items():
            for name in names:
                load = partial(dressed, module, name, modality)
                source = Source(f"{Path(name).stem}-{modality}", modality, "image", "everyday", name, load)
                made.append(Original(f"everyday {name}", modality, (source,), False, True))
    return made


def weights_of(labels: Array) -> Array:
    """One weight a picture, mean 1: 'none', mild and severe weigh the same, and within a severity each degradation."""
    names, counts = np.unique(labels, return_counts=True)
    count = dict(zip(names.tolist(), counts.tolist(), strict=True))
    faults = len(names) // 2
    weights = np.array([(1.0 if name == "none" else 1.0 / faults) / count[name] for name in labels.tolist()])
    return np.asarray(weights / weights.mean())


def fit(kinds: Sequence[str], x: Array, labels: Array, weights: Array) -> dict[str, Any]:
    """A classifier (see ``classical.Classifier``) with a member of each of ``kinds``, as plain numbers."""
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    points = np.clip((x - centre) / scale, -5.0, 5.0)
    classes = np.unique(labels)
    priors = np.array([weights[labels == name].sum() for name in classes]) / weights.sum()
    members = []
    for kind in kinds:
        if kind == "regression":
            model = LogisticRegression(C=0.1, max_iter=500).fit(points, labels, sample_weight=weights)
        else:
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1, priors=priors).fit(points, labels)
        maps, bias = model.coef_.T, model.intercept_
        if len(classes) == 2:
            maps, bias = np.concatenate([0.0 * maps, maps], axis=1), np.append(0.0, bias)
        members.append([_plain(maps), _plain(bias)])
    found = {"statistics": NAMES, "classes": classes.tolist(), "centre": _plain(centre), "scale": _plain(scale)}
    return {**found, "members": members}


def _plain(values: Array) -> Any:
    """Nested lists of numbers with four significant digits."""
    return [_plain(value) for value in values] if values.ndim else float(f"{float(values):.4g}")


@dataclass(frozen=True)
class Judged:
    """One test picture with what a model finds in it."""

    shown: Shown
    finding: Finding

    @property
    def fault(self) -> str:
        return self.shown.label.split()[0]

    @property
    def severity(self) -> str:
        return self.shown.label.split()[-1]


def found_by(table: Mapping[str, Any], modality: str, shown: Iterable[Shown]) -> list[Judged]:
    """What a model finds in each picture."""
    model = classifier_from_json(table)
    return [
        Judged(one, finding(modality, model.posterior(dict(zip(NAMES, one.statistics, strict=True))))) for one in shown
    ]


def _trained(kinds: Sequence[str], shown: Sequence[Shown]) -> dict[str, Any]:
    labels = np.array([one.label for one in shown])
    return fit(kinds, np.array([one.statistics for one in shown]), labels, weights_of(labels))


def unseen(kinds: Sequence[str], modality: str, shown: Sequence[Shown]) -> list[Judged]:
    """Every test picture judged by a model that saw nothing of its original."""
    judged: list[Judged] = []
    originals = sorted({one.original for one in shown if one.test})
    folds = [originals[n::FOLDS] for n in range(min(FOLDS, len(originals)))]
    for fold in folds:
        train = [one for one in shown if not one.test and one.original not in fold]
        judged += found_by(
            _trained(kinds, train), modality, [one for one in shown if one.test and one.original in fold]
        )
    return judged


@dataclass(frozen=True)
class Answer:
    """An answer to one question on one picture."""

    modality: str
    kind: str
    fault: str
    severity: str
    original: str
    right: bool


def answers(judged: Sequence[Judged]) -> list[Answer]:
    """Questions of the three types on every picture, answered from its finding. An undegraded picture is asked once a
    degradation, so that each severity weighs a third; half of the Yes-or-No questions have the answer yes."""
    made: list[Answer] = []
    for one in judged:
        modality = one.finding.modality
        known = of_modality(modality)
        own = next((d for d in known if d.key == one.fault), None)
        rng = _rng(one.shown.source, one.shown.label, "questions")
        for turn in known if own is None else (own,):
            others = [d for d in known if own is None or not alike(own, d)]
            other = others[int(rng.integers(len(others)))]
            most = min(4, len(others) + (own is not None))
            first, second, noun = bool(rng.integers(2)), bool(rng.integers(2)), "image"
            positive = texts.yes_or_no(noun, True, own, first)
            negative = texts.yes_or_no(noun, False, turn if own is None else other, second)
            asked = [("Yes-or-No", positive), ("Yes-or-No", negative)]
            asked.append(
                (
                    "What",
                    which_at(noun, own, [own, *others] if own else others, most, int(rng.integers(most)), rng),
                )
            )
            asked.append(("How", how_at(noun, one.severity, None, int(rng.integers(3)), rng)))
            asked.append(("How", how_at(noun, one.severity, turn, int(rng.integers(3)), rng)))
            for kind, question in asked:
                options = dict(zip("ABCD", question.options, strict=False))
                right = (
                    options[choose(Prompt((), question.text, question.text, options), one.finding)] == question.right
                )
                made.append(Answer(modality, kind, one.fault, one.severity, one.shown.original, right))
    return made


def certain(judged: Judged) -> Judged:
    """The same picture with perfect knowledge of its degradation."""
    label, known = judged.shown.label, [d.key for d in of_modality(judged.finding.modality)]
    chances = {"none": 0.0} | {f"{key} {grade}": 0.0 for key in known for grade in GRADES}
    return replace(judged, finding=finding(judged.finding.modality, chances | {label: 1.0}))


def named(judged: Sequence[Judged]) -> dict[str, list[bool]]:
    """Whether degradation (of degraded pictures), severity and both together are found."""
    both: dict[str, list[bool]] = {"degradation": [], "severity": [], "class": []}
    for one in judged:
        grades = one.finding.grades
        levels = dict(zip(("none", *GRADES), one.finding.levels(), strict=True))
        severity = max(levels, key=lambda level: levels[level])
        both["severity"].append(severity == one.severity)
        if one.fault != "none":
            fault = max(grades, key=one.finding.has)
            exact = max(((k, g) for k in grades for g in (0, 1)), key=lambda c: grades[c[0]][c[1]])
            both["degradation"].append(fault == one.fault and one.finding.has(fault) > one.finding.clean)
            both["class"].append(f"{exact[0]} {GRADES[exact[1]]}" == one.shown.label)
    return both


def cell(values: Sequence[bool], clusters: Sequence[str]) -> str:
    """Percent right, with the 95% interval clustered by original (Wilson's, where one original is all there is)."""
    if not values:
        return "-"
    share = 100.0 * sum(values) / len(values)
    number = {name: n for n, name in enumerate(sorted(set(clusters)))}
    interval = mean_interval([100.0 * value for value in values], [number[name] for name in clusters])
    if interval is None:
        low, high = wilson(sum(values), len(values))
        interval = (100.0 * low, 100.0 * high) if high <= 1.0 else (low, high)
    low, high = (min(max(bound, 0.0), 100.0) for bound in interval)
    return f"{share:.0f} ({low:.0f} to {high:.0f})"


def _table(title: str, head: str, rows: Mapping[str, Sequence[Answer]]) -> list[str]:
    columns = ("Overall", *QUESTION_TYPES)
    lines = [
        f"{title}",
        "",
        f"| {head} | originals | {' | '.join(columns)} |",
        f"| --- |{' --- |' * (len(columns) + 1)}",
    ]
    for name, given in rows.items():
        cells = []
        for column in columns:
            kept = [one for one in given if column in ("Overall", one.kind)]
            cells.append(cell([one.right for one in kept], [one.original for one in kept]))
        lines.append(f"| {name} | {len({one.original for one in given})} | {' | '.join(cells)} |")
    return [*lines, ""]


def _by(given: Sequence[Answer], of: Callable[[Answer], str], order: Iterable[str]) -> dict[str, list[Answer]]:
    return {name: [one for one in given if of(one) == name] for name in order}


def report(judged: Mapping[str, Sequence[Judged]], same: Mapping[str, Sequence[Judged]]) -> str:
    """Markdown: accuracy on unseen originals by modality, severity, degradation and type, with chance and ceilings."""
    every = {modality: answers(of) for modality, of in judged.items()}
    given = [one for of in every.values() for one in of]
    seen = [one for of in same.values() for one in answers(of)]
    sure = [one for of in judged.values() for one in answers([certain(shown) for shown in of])]
    chance = {"Chance": "| chance |  | 40 | 50 | 25 | 33 |"}
    lines = _table("Questions, unseen originals", "modality", {**every, "all": given})
    lines[-1:] = [chance["Chance"], ""]
    lines += _table("By severity", "severity", _by(given, lambda one: one.severity, ("none", *GRADES)))
    lines += _table("Ceilings", "", {"originals seen in training": seen, "degradation known": sure})
    lines += [
        "Named by the picture alone",
        "",
        "| modality | originals | degradation | chance | both | chance | severity |",
    ]
    lines.append(f"| --- |{' --- |' * 6}")
    for modality, of in judged.items():
        right, n = named(of), len(of_modality(modality))
        degraded = [one.shown.original for one in of if one.fault != "none"]
        cells = [
            cell(right["degradation"], degraded),
            f"{100 / n:.0f}",
            cell(right["class"], degraded),
            f"{50 / n:.0f}",
            cell(right["severity"], [one.shown.original for one in of]),
        ]
        lines.append(f"| {modality} | {len({one.shown.original for one in of})} | {' | '.join(cells)} |")
    lines += [
        "",
        "By degradation",
        "",
        "| degradation | mild, questions | severe, questions | named, mild | named, severe |",
    ]
    lines.append(f"| --- |{' --- |' * 4}")
    for modality, of in judged.items():
        for fault in of_modality(modality):
            cells = []
            for grade in GRADES:
                kept = [one for one in every[modality] if (one.fault, one.severity) == (fault.key, grade)]
                cells.append(cell([one.right for one in kept], [one.original for one in kept]))
            for grade in GRADES:
                shown = [one for one in of if one.shown.label == f"{fault.key} {grade}"]
                cells.append(cell(named(shown)["degradation"], [one.shown.original for one in shown]))
            lines.append(f"| {modality}: {fault.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def profile(given: Sequence[Answer]) -> dict[str, float]:
    """Accuracy of perception questions in percent by severity."""
    parts = _by(given, lambda one: one.severity, ("none", *GRADES))
    return {name: round(100.0 * sum(one.right for one in of) / max(len(of), 1), 1) for name, of in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, nargs="?", help="folder that scripts/synth_sources.py filled")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated pictures between calls")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--compare", action="store_true", help="print how each kind of model does, and write nothing")
    parser.add_argument("--profile", action="store_true", help="print the profile by severity that is on record")
    arguments = parser.parse_args()
    if arguments.profile:
        print(json.dumps(json.loads(OUT.read_text(encoding="utf-8"))["unseen"]))
        return
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
    jobs = [(original, source) for original in originals(arguments.sources) for source in original.sources]
    work = (delayed(shown_of)(original, source, arguments.cache) for original, source in jobs)
    shown: dict[str, list[Shown]] = {modality: [] for modality in STRUCTURES}
    for (original, _), of in zip(jobs, Parallel(n_jobs=arguments.jobs, verbose=1)(work), strict=True):
        shown[original.modality] += of
    shown = {modality: of for modality, of in shown.items() if of}
    if arguments.compare:
        for members in TRIED:
            for modality, of in shown.items():
                tried = unseen(members, modality, of)
                right = {name: round(float(np.mean(values)), 3) for name, values in named(tried).items()}
                print(*members, modality, len(tried), right, profile(answers(tried)), flush=True)
        return
    train = {modality: [one for one in of if not one.test] for modality, of in shown.items()}
    faults = {modality: _trained(KINDS, of) for modality, of in train.items()}
    judged = {modality: unseen(KINDS, modality, of) for modality, of in shown.items()}
    same = {m: found_by(faults[m], m, [one for one in of if one.test]) for m, of in shown.items()}
    kinds = {}
    for kind in ("grey", "colour"):
        modalities = [modality for modality in train if (modality in COLOUR) == (kind == "colour")]
        x = np.array([one.statistics for modality in modalities for one in train[modality]])
        labels = np.array([modality for modality in modalities for _ in train[modality]])
        counts = {modality: len(train[modality]) for modality in modalities}
        kinds[kind] = fit(KINDS, x, labels, np.array([x.shape[0] / counts[m] for m in labels.tolist()]))
    about = "Fitted by scripts/train_classical.py; 'unseen' is the accuracy in percent on originals that took no part."
    found = {m: profile(answers(of)) for m, of in judged.items()}
    found["all"] = profile([one for of in judged.values() for one in answers(of)])
    table = {"about": about, "unseen": found, "kinds": kinds, "faults": faults}
    OUT.write_text(json.dumps(table, separators=(",", ":")) + "\n", encoding="utf-8")
    print(report(judged, same))
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
