"""The embedded set: what it holds, and that the simulator still makes exactly it."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medqbench_vlmeval.benchmark import MODALITIES, Split, Task
from medqbench_vlmeval.data.sources import hub_file
from medqbench_vlmeval.synth.catalogue import Planned
from medqbench_vlmeval.synth.produce import encode, render
from medqbench_vlmeval.synth.texts import compare
from scripts.build_mini import TABLES, degree_pictures, pictures, write_mini
from tests.data.rows import MINI, mini_rows

PERCEPTION, SINGLE, PAIRS, DEGREES_TABLE = TABLES

# One picture of every engine (sinogram, k-space, glass, scope, optics) and one undegraded source a package.
CHECKED = {
    ("CT", "ct-ring", "mild"),
    ("CT", "ct-noise", "severe"),
    ("MRI", "mr-motion", "severe"),
    ("MRI", None, "none"),
    ("Histopathology", "hp-fold", "mild"),
    ("Histopathology", "hp-jpeg", "severe"),
    ("Endoscopy", "en-glare", "mild"),
    ("Fundus", "fu-noise", "mild"),
    ("Fundus", "fu-defocus", "severe"),
    ("CT", "ct-limited", "moderate"),
    ("Fundus", "en-motion", "severe"),
}
DEGRADED = [picture for _, _, picture in degree_pictures() if picture.degradation]
ALL = [picture for planned in pictures().values() for picture in planned]


def cell(picture: Planned) -> tuple[str, str | None, str]:
    key = picture.degradation.key if picture.degradation else None
    return picture.source.modality, key, picture.severity


@pytest.mark.slow
@pytest.mark.parametrize("picture", [p for p in (*ALL, *DEGRADED) if cell(p) in CHECKED], ids=lambda p: p.file_name)
def test_a_rebuilt_picture_is_the_committed_one(picture: Planned) -> None:
    pixels = render(picture)
    with Image.open(MINI / "images" / picture.file_name) as opened:
        stored = np.asarray(opened).astype(float)
    with Image.open(io.BytesIO(encode(pixels, picture.file_name.rpartition(".")[2]))) as opened:
        rebuilt = np.asarray(opened).astype(float)
    # Encoders and FFT libraries differ in the last bit between versions: a grey level here and there.
    difference = np.abs(rebuilt - stored)
    assert rebuilt.shape == stored.shape
    assert difference.mean() < 0.25
    assert np.quantile(difference, 0.999) <= 6


@pytest.mark.slow
def test_two_builds_give_the_same_bytes_and_the_committed_tables_and_provenance(tmp_path: Path) -> None:
    only = ("mri-01.png", "fundus-01.jpg", "ct-01.png", "deg-14.png")
    first = write_mini(tmp_path / "a", only)
    second = write_mini(tmp_path / "b", only)
    assert [path.name for path in first[-5:]] == [*TABLES, "PROVENANCE.json"]
    assert len(first) == len(only) + 5
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.read_bytes() == (MINI / path.name).read_bytes() for path in first[-5:])


def test_every_picture_has_source_licence_parameters_and_seed() -> None:
    provenance = json.loads((MINI / "PROVENANCE.json").read_text(encoding="utf-8"))
    files = sorted(path.name for path in (MINI / "images").iterdir())
    assert sorted(provenance["images"]) == files
    for entry in provenance["images"].values():
        source = provenance["sources"][entry["source"]]
        assert source["package"] in ("scikit-image", "pydicom", "nilearn", "medqbench-vlmeval")
        assert source["licence"]
        assert len(entry["seed"]) == 2
        assert bool(entry["parameters"]) == (entry["severity"] != "none")
    endoscopy = [s for s in provenance["sources"].values() if s["modality"] == "Endoscopy"]
    assert {s["kind"] for s in endoscopy} == {"procedural"}


def test_the_set_is_small_and_every_path_in_a_table_is_an_image_of_it() -> None:
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) < 4_000_000
    used = {row["image_path"] for name in (PERCEPTION, SINGLE, DEGREES_TABLE) for row in mini_rows(name)}
    for row in mini_rows(PAIRS):
        pair = json.loads(row["image_path"])
        assert len(pair) == 2
        assert pair[0] != pair[1]
        used.update(pair)
    assert used == {f"images/{path.name}" for path in (MINI / "images").iterdir()}
    for path in used:
        with Image.open(MINI / path) as opened:
            opened.load()
            assert min(opened.size) >= 256


def test_perception_is_balanced() -> None:
    rows = mini_rows(PERCEPTION)
    assert len({row["index"] for row in rows}) == len(rows) == 75
    assert Counter(row["question_type"] for row in rows) == {"Yes-or-No": 25, "What": 25, "How": 25}
    assert Counter(row["modality"] for row in rows) == dict.fromkeys(MODALITIES, 15)
    assert Counter(row["severity"] for row in rows) == {"none": 15, "mild": 30, "severe": 30}
    for kind in ("Yes-or-No", "What", "How"):
        letters = Counter(row["answer"] for row in rows if row["question_type"] == kind)
        assert max(letters[letter] for letter in "AB") - min(letters[letter] for letter in "AB") <= 1
    order = Counter((row["A"], row[row["answer"]]) for row in rows if row["question_type"] == "Yes-or-No")
    assert len(order) == 4
    assert max(order.values()) - min(order.values()) <= 1
    for row in rows:  # each has its options and one right letter
        options = [row[letter] for letter in "ABCD" if row[letter]]
        assert len(set(options)) == len(options)
        assert row[row["answer"]] in options
        assert len(options) in {"Yes-or-No": (2,), "What": (3, 4), "How": (3,)}[row["question_type"]]


def test_references_name_the_fault_and_end_with_the_level_that_the_severity_stands_for() -> None:
    rows = mini_rows(SINGLE)
    assert len(rows) == 20
    for row in rows:
        level = {"none": "good", "mild": "usable", "severe": "reject"}[row["severity"]]
        degree = {"none": "no visible degradation", "mild": "mildly degraded by", "severe": "severely degraded by"}
        assert degree[row["severity"]] in row["description"]
        assert row["degradation"] == "none" or row["degradation"] in row["description"]
        assert row["description"].endswith(f"Overall, the quality of this image is {level}.")
        assert 3 <= row["description"].count(". ") + 1 <= 5


def test_pairs_are_balanced_and_end_with_the_better_picture() -> None:
    rows = mini_rows(PAIRS)
    severity = {f"images/{p.file_name}": ("none", "mild", "severe").index(p.severity) for p in ALL}
    places: Counter[str] = Counter()
    for row in rows:
        first, second = (severity[path] for path in json.loads(row["image_path"]))
        better = "first" if first < second else "second"
        places[better] += 1
        assert row["description"].endswith(f"Overall, the {better} image is of higher quality.")
        assert row["difficulty"] == ("coarse-grained" if abs(first - second) == 2 else "fine-grained")
    with pytest.raises(ValueError, match="two different severities"):
        compare(ALL[0], ALL[0])
    assert abs(places["first"] - places["second"]) <= 1
    assert Counter(row["difficulty"] for row in rows) == {"coarse-grained": 10, "fine-grained": 10}


def test_each_clinical_question_is_asked_of_the_original_and_of_two_types_at_two_degrees() -> None:
    assert hub_file(Task.DEGRADATION, Split.MINI).name == DEGREES_TABLE
    rows = mini_rows(DEGREES_TABLE)
    assert len({row["index"] for row in rows}) == len({row["image_path"] for row in rows}) == 40
    by_image: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_image.setdefault(row["image_id"], []).append(row)
        assert len({row[letter] for letter in "ABCDE"} - {""}) == 5
    assert len(by_image) == 8
    for five in by_image.values():
        assert [row["degradation_severity"] for row in five] == ["L0", "L1", "L2", "L1", "L2"]
        assert [row["degradation_type"] == "none" for row in five] == [True, False, False, False, False]
        assert len({row["degradation_type"] for row in five}) == 3
        assert len({tuple(row[name] for name in ("question", *"ABCDE", "answer", "modality")) for row in five}) == 1
    # Eight questions on five letters: each is right once or twice, which no letter's answer can profit from by much.
    assert Counter(five[0]["answer"] for five in by_image.values()) == {"A": 2, "B": 2, "C": 1, "D": 2, "E": 1}


def test_the_moderate_degree_lies_between_the_mild_and_the_severe_one() -> None:
    for moderate, severe in zip(DEGRADED[::2], DEGRADED[1::2], strict=True):
        fault = moderate.degradation
        assert fault is not None and fault is severe.degradation and moderate.seed == severe.seed
        for name, value in fault.strength("moderate").items():
            low, high = sorted((fault.parameters["mild"][name], fault.parameters["severe"][name]))
            assert low == value == high or low < value < high
    # sqrt(40,000 * 4,000) photons.
    noise = next(picture.degradation for picture in DEGRADED if picture.fault == "low-dose noise")
    assert noise is not None and noise.strength("moderate") == {"photons": pytest.approx(12_649.11, abs=0.01)}
