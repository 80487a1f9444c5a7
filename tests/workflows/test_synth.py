"""A folder of images becomes a set that runs."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from medqbench_vlmeval.data import load
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.workflows.synth import SynthRequest, make_set
from tests.commands import run

CANARY = "DOE_JANE_19700101"


def picture(path, seed, size=96, colour=True):
    """A smooth scene with edges: nothing constant, and nothing like text."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = sum(np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(0.5, 4, (5, 3)))
    grey = 110 + 18 * waves + 40 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1)
    pixels = np.stack([grey, 0.7 * grey, 0.6 * grey], axis=-1) if colour else grey
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three endoscopic pictures and three X-ray ones, a text file and a picture that is too small."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(3):
        picture(folder / "endoscopy" / f"{CANARY}_{i}.png", i)
        picture(folder / "x-ray" / f"{CANARY}_{i}.png", 10 + i, colour=False)
    picture(folder / "x-ray" / "small.png", 20, size=16)
    (folder / "x-ray" / "notes.txt").write_text("words", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "set"
    return out, make_set(SynthRequest(images, out, seed=3, per_image=8, dev_share=0.34, name="ward7"))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_has_all_that_may_be_handed_on(made):
    out, of = made
    names = {path.name for path in out.iterdir()}
    tables = {
        f"medqbench_{task}_{split}.tsv"
        for task in ("QA", "description", "paired_description")
        for split in ("test", "dev")
    }
    assert names == {*tables, "images", "README.md", "PROVENANCE.json", "contact_sheet.png"}
    assert of.produced.made == len(of.plan.pictures) == 6 * 8
    assert {one.path for one in of.originals.skipped} >= {"x-ray/small.png"}


def test_nothing_of_it_names_the_users_files_but_the_private_one(made):
    out, _ = made
    for name, data in content(out).items():
        assert CANARY not in name
        assert CANARY.encode() not in data, name
    with (out.parent / "set.private.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert sorted(row["path"] for row in rows) == sorted(
        f"{modality}/{CANARY}_{i}.png" for modality in ("endoscopy", "x-ray") for i in range(3)
    )
    told = json.loads((out / "PROVENANCE.json").read_text(encoding="utf-8"))
    assert {row["source"] for row in rows} == set(told["sources"])
    assert (told["settings"]["per_image"], told["settings"]["dev_share"]) == (8, 0.34)


@pytest.mark.parametrize("file", ["QA", "description", "paired_description"])
def test_every_table_loads_with_its_images(made, file):
    out, of = made
    for split in ("test", "dev"):
        name = f"medqbench_{file}_{split}.tsv"
        loaded = load(str(out / name), images=True)
        assert len(loaded) == len(of.plan.tables[name])
        assert {sample.modality for sample in loaded} <= {"Endoscopy", "X-ray"}
        assert all(path.is_file() for sample in loaded for path in sample.images)


def test_the_same_call_again_changes_nothing(made, images):
    out, _ = made
    before = content(out)
    again = make_set(SynthRequest(images, out, seed=3, per_image=8, dev_share=0.34, name="ward7"))
    assert (again.produced.made, again.produced.kept) == (0, 48)
    assert content(out) == before
    with pytest.raises(BadInput, match="another set that is finished"):
        make_set(SynthRequest(images, out, seed=4, per_image=8, dev_share=0.34, name="ward7"))
    assert content(out) == before


def test_the_same_images_elsewhere_give_the_same_bytes(made, images, tmp_path):
    out, _ = made
    for i, path in enumerate(sorted(images.rglob("*.png"))):
        new = tmp_path / "moved" / path.parent.name / f"{9 - i}.png"
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    make_set(SynthRequest(tmp_path / "moved", tmp_path / "set", seed=3, per_image=8, dev_share=0.34, name="ward7"))
    assert content(tmp_path / "set") == content(out)


def test_card_and_contact_sheet(made):
    out, of = made
    card = (out / "README.md").read_text(encoding="utf-8")
    n = len(of.plan.tables["medqbench_QA_test.tsv"])
    assert f"| medqbench_QA_test.tsv | {n} |" in card
    assert "The faults are simulated" in card
    faults = {(planned.source.modality, planned.fault) for planned in of.plan.pictures}
    # A table's lines, of which two are its head.
    assert [text.count("\n") for text in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)] == [2 + 6, 2 + len(faults)]
    assert "medqbench data register FOLDER ward7" in card
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 2 * 400
        assert len(sheet.convert("L").getcolors(256)) > 100


def test_strict_and_dry_run(images, tmp_path):
    with pytest.raises(BadInput, match=r"x-ray/\S+, which .*--strict"):
        make_set(SynthRequest(images, tmp_path / "set", strict=True))
    dry = make_set(SynthRequest(images, tmp_path / "set"), dry=True)
    assert dry.produced is None
    assert list(tmp_path.iterdir()) == []


def test_a_private_file_of_somebodys_is_left(images, tmp_path):
    (tmp_path / "set.private.csv").write_text("my notes", encoding="utf-8")
    with pytest.raises(BadInput, match="somebody else's file"):
        make_set(SynthRequest(images, tmp_path / "set"))
    assert (tmp_path / "set.private.csv").read_text(encoding="utf-8") == "my notes"
    assert not (tmp_path / "set").exists()


def test_the_command_says_what_it_did_and_what_it_left_out(images, tmp_path, capsys):
    out = tmp_path / "set"
    words = ["synth", images, "--out", out, "--workers", 1, "--per-image", 4, "--degradations", "xray-scatter"]
    code, said, err = run(capsys, *words, "--dry-run")
    assert code == 2
    assert "xray-scatter" in err or "Endoscopy" in err
    code, said, err = run(capsys, "synth", images / "x-ray", "--modality", "X-ray", *words[2:6])
    assert code == 0, err
    assert "! small.png" in said
    assert "18 images of 3 clean ones" in said
    assert "18 made now, 0 kept from before" in said
    assert "set.private.csv says where each came from" in said
