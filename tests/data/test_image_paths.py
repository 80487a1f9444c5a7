"""Images that a data file names by path: in its folder, in a zip archive beside it, and nowhere else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_cells import KeptImages
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import BLUE, GREEN, RED, Write, description, load


def shown(path: Path) -> list[bytes]:
    samples, _ = load(path, Task.NO_REFERENCE)
    return [sample.images[0].read_bytes() for sample in samples]


def named(*paths: str, column: str = "image_path") -> list[dict[str, str]]:
    return [description(str(at), image="") | {column: path} for at, path in enumerate(paths)]


def archive(path: Path, *members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind) as out:
        for name, data in members:
            out.writestr(name, data)


def test_an_absolute_path_inside_the_folder_and_a_path_among_base64(write_tsv: Write, tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(RED)
    inside = str(tmp_path / "img" / "a.png")
    assert shown(write_tsv(named(inside, "img/a.png"))) == [RED, RED]
    assert shown(write_tsv(named("img/a.png", "./img//a.png", column="image"))) == [RED, RED]
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    write_tsv(named(inside, str(link / "img" / "a.png")))
    assert shown(link / "some.tsv") == [RED, RED]
    for outside in (f"{tmp_path}/../x.png", f"{tmp_path}x/a.png", "/etc/hostname.png"):
        with pytest.raises(BadInput, match=r"row 1 \(index '0'\): the image path '/.*' must stay inside"):
            shown(write_tsv(named(outside)))


@pytest.mark.parametrize("name", ["images.zip", "some.zip"])
def test_members_of_an_archive_take_the_place_of_files(write_tsv: Write, tmp_path: Path, name: str) -> None:
    top = name.removesuffix(".zip")
    archive(tmp_path / name, ("a.png", RED), (f"{top}/b.jpg", GREEN), ("CT/c.png", BLUE), ("../x.png", RED))
    (tmp_path / "a.png").write_bytes(BLUE)
    path = write_tsv(named("a.png", f"{top}/a.png", f"{top}/b.jpg", "b.jpg", "CT/c.png"))
    assert shown(path) == [BLUE, RED, GREEN, GREEN, BLUE]
    kept = KeptImages()
    samples, _ = load_table(path, Task.NO_REFERENCE, kept)
    assert [sample.image_refs for sample in samples][2:4] == [(f"{top}/b.jpg",), ("b.jpg",)]
    assert kept.places["c.png"] == load(path, Task.NO_REFERENCE)[0][4].images[0]
    assert sorted(tmp_path.rglob("*.*")) == sorted([tmp_path / "a.png", tmp_path / name, path])
    with pytest.raises(BadInput, match=r"row 1 \(index '0'\): the image .*z\.png does not exist, .*images\.zip"):
        shown(write_tsv(named("z.png")))


@pytest.mark.slow
def test_archives_that_lie_are_refused_by_row(write_tsv: Write, tmp_path: Path) -> None:
    path, zipped = write_tsv(named("a.png")), tmp_path / "images.zip"
    archive(zipped, ("a.png", bytes(1 << 27)))
    with pytest.raises(BadInput, match=r"row 1 .*images\.zip, a\.png: the image unpacks to 134,217,728 bytes"):
        shown(path)
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(zipped, ("a.png", RED), ("a.png", BLUE))
    with pytest.raises(BadInput, match=r"row 1 .*'a\.png' stands twice"):
        shown(path)
    archive(zipped, ("a.png", RED), kind=zipfile.ZIP_STORED)
    whole = zipped.read_bytes()
    zipped.write_bytes(whole.replace(RED[20:40], bytes(20)))
    with pytest.raises(BadInput, match=r"row 1 .*a\.png: the image cannot be unpacked \(Bad CRC"):
        shown(path)
    for broken in (b"", whole[:-30]):
        zipped.write_bytes(broken)
        with pytest.raises(BadInput, match=r"images\.zip cannot be read as a zip archive"):
            shown(path)


def test_a_changed_archive_is_read_again(write_tsv: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medqbench_vlmeval.data.table_store.LEAST_BYTES", 0)
    path, store = write_tsv(named("a.png")), ImageStore.default()
    for image in (RED, BLUE):
        archive(tmp_path / "images.zip", ("a.png", image))
        for _ in range(2):
            samples, _ = load_table(path, Task.NO_REFERENCE, store)
            assert samples[0].images[0].read_bytes() == image
