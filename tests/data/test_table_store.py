"""Converted data files: read as a whole once, mapped from then on, and never where something has changed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore, table_store
from medqbench_vlmeval.data.image_cells import KeptImages
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.steps import heard_by
from tests.data.rows import BLUE, GREEN, RED, Write, load, question, text_of

OLD = time.time() - 3600


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_store, "LEAST_BYTES", 0)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files for old enough although a test has just written them."""
    monkeypatch.setattr(table_store, "_SETTLED", -1)


def tables() -> list[Path]:
    return sorted((ImageStore.default().root / "tables").glob("*.arrow"))


def read(path: Path, images: object = True, task: Task | None = Task.PERCEPTION):
    """What a load gives, and whether it read the source's images."""
    said: set[str] = set()
    with heard_by(lambda what, *_: said.add(what)):
        loaded = load(path, task) if images is True else load_table(path, task, images)
    return loaded, any("and its images" in what for what in said)


def test_a_file_is_read_once_and_gives_the_same_from_then_on(write_tsv: Write, settled: None) -> None:
    rows = [
        question("1", severity="Mild", note="x"),
        question("2", image="3", answer=" b. ", severity="3", note="None"),
        question("3", image=text_of(GREEN), question="Wörter\nin two lines\t?", severity="", note=""),
    ]
    path = write_tsv(rows)
    names, _ = read(path, None)
    first, looked = read(path)
    assert looked
    assert len(tables()) == 1
    assert read(path) == (first, False)
    assert read(path, None) == (names, False)
    kept = KeptImages()
    with_forms = [
        replace(sample, image_forms=whole.image_forms) for sample, whole in zip(names[0], first[0], strict=True)
    ]
    assert read(path, kept) == ((with_forms, names[1]), False)
    assert [kept.places[name] for (name,) in (sample.image_refs for sample in names[0])] == [
        sample.images[0] for sample in first[0]
    ]


def test_images_used_in_place_are_read_again_when_they_change(write_tsv: Write, tmp_path: Path, settled: None) -> None:
    (tmp_path / "img").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "img" / name).write_bytes(RED)
    rows = [question(str(i), image="", image_path=f"img//{name}") for i, name in enumerate(("a.png", "b.png"))]
    path = write_tsv(rows)
    names, first = read(path, None)[0], read(path)
    assert first[1]
    assert read(path) == (first[0], False)
    assert read(path, None) == (names, False)
    assert names[0][1].image_refs == ("img/b.png",)
    (tmp_path / "img" / "b.png").write_bytes(BLUE)
    assert read(path) == (first[0], True)
    assert not read(path)[1]
