"""Originals beside the page: links or copies under the results' names, nobody's files replaced or removed."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.page import write_page
from medqbench_vlmeval.report.page.originals import Originals
from medqbench_vlmeval.report.thumbnails import lossless, make_thumbnails
from tests import make
from tests.report import page_runs
from tests.report.page_runs import data_of, image_bytes, stored


def added(page: Path, root: Path, *names: str) -> list[list[object]]:
    """What is said of images of a store that are put beside a page, which is then tidied."""
    beside = Originals(page, root)
    paths = [root / name[:2] / name for name in names]
    found = [beside.add(*each) for each in zip(names, paths, make_thumbnails(paths), strict=True)]
    beside.tidy()
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "out" / "page.html"


def in_folder(page: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (page.parent / "images").iterdir()}


@pytest.mark.slow
def test_a_page_with_originals_thumbnails_or_none(tmp_path: Path) -> None:
    root = tmp_path / "store"
    data = image_bytes((1, 2, 3))
    run = make.make_run(page_runs.questions(2, [stored(root, data), "absent.png"]))
    for images, lengths in (("full", [6, 1]), ("thumbnails", [5, 1]), ("none", [1, 1])):
        path = tmp_path / images / "page.html"
        assert write_page(path, [run], root, images) == (2, 1)
        entries = data_of(path, "pictures")
        assert [len(entry) for entry in entries] == lengths
        assert (path.parent / "images").exists() == (images == "full")
    (entry, _) = data_of(tmp_path / "full" / "page.html", "pictures")
    assert (entry[1:3], entry[5]) == ([64, 48], f"images/{entry[0]}")
    assert (tmp_path / "full" / entry[5]).read_bytes() == data


def test_files_are_links_where_the_disk_allows_it_and_copies_elsewhere(
    page: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stored(root, image_bytes((1, 2, 3)))
    assert added(page, root, name) == [[f"images/{name}"]]
    kept = root / name[:2] / name
    assert (page.parent / "images" / name).samefile(kept)

    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    elsewhere = page.parents[1] / "elsewhere" / page.name
    assert added(elsewhere, root, name) == [[f"images/{name}"]]
    copy = elsewhere.parent / "images" / name
    assert (copy.read_bytes(), copy.samefile(kept)) == (kept.read_bytes(), False)
    # The second time nothing is left to do.
    monkeypatch.setattr(shutil, "copy2", refuse)
    assert added(elsewhere, root, name) == [[f"images/{name}"]]
    assert list(in_folder(elsewhere)) == [name]


def test_the_next_page_leaves_no_image_that_the_store_has_and_every_other_file(page: Path, root: Path) -> None:
    first, second, third = (stored(root, image_bytes((grey, 0, 0))) for grey in (1, 2, 3))
    added(page, root, first, second, third)
    (root / third[:2] / third).unlink()
    (page.parent / "images" / "mine.png").write_bytes(b"mine")
    (page.parent / "images" / f"{'0' * 64}.png").write_bytes(b"mine too")
    added(page, root, second)
    assert set(in_folder(page)) == {second, third, "mine.png", f"{'0' * 64}.png"}


def test_no_file_of_somebody_else_is_replaced(page: Path, root: Path, tmp_path: Path) -> None:
    root.mkdir()
    folder = page.parent / "images"
    folder.mkdir(parents=True)
    for name in ("scan.png", "linked.png"):
        (root / name).write_bytes(image_bytes((9, 9, 9)))
    (folder / "scan.png").write_bytes(b"another scan")
    (tmp_path / "target.png").write_bytes(b"somewhere else")
    (folder / "linked.png").symlink_to(tmp_path / "target.png")
    beside = Originals(page, root)
    for name in ("scan.png", "linked.png"):
        ((address,),) = [beside.add(name, root / name, make_thumbnails([root / name])[0])]
        assert address != f"images/{name}"
        assert (page.parent / str(address)).read_bytes() == image_bytes((9, 9, 9))
    assert (folder / "scan.png").read_bytes() == b"another scan"
    assert (tmp_path / "target.png").read_bytes() == b"somewhere else"


def test_two_images_of_one_name_both_have_a_file(page: Path, tmp_path: Path) -> None:
    beside = Originals(page, None)
    addresses = []
    for grey in (1, 2):
        path = tmp_path / str(grey) / "x.png"
        path.parent.mkdir()
        path.write_bytes(image_bytes((grey, grey, grey)))
        addresses += beside.add("x.png", path, make_thumbnails([path])[0])
        assert (page.parent / addresses[-1]).read_bytes() == path.read_bytes()
    assert len(set(addresses)) == 2


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a\\..\\x.png", ".hidden", "n\0.png", "x" * 300, ".."])
def test_a_hostile_name_stays_in_the_folder(page: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "fine.png"
    path.write_bytes(image_bytes((1, 2, 3)))
    (address,) = Originals(page, None).add(name, path, make_thumbnails([path])[0])
    assert address.startswith("images/")
    assert (page.parent / address).resolve().parent == (page.parent / "images").resolve()
    assert list(in_folder(page).values()) == [path.read_bytes()]


def test_an_image_does_not_become_a_page_by_its_name(page: Path, root: Path) -> None:
    data = image_bytes((1, 2, 3)) + b"<script>alert(1)</script>"
    (root / "sc").mkdir(parents=True)
    (root / "sc" / "scan.html").write_bytes(data)
    assert added(page, root, "scan.html") == [[f"images/{hashlib.sha256(data).hexdigest()}.image"]]
    assert list(in_folder(page).values()) == [data]


def test_names_are_escaped_in_addresses(page: Path, tmp_path: Path) -> None:
    name = "100% #1?.png"
    (tmp_path / name).write_bytes(image_bytes((1, 2, 3)))
    (address,) = Originals(page, None).add(name, tmp_path / name, make_thumbnails([tmp_path / name])[0])
    assert address == "images/100%25%20%231%3F.png"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_is_none_is_refused(page: Path, tmp_path: Path, kind: str) -> None:
    page.parent.mkdir()
    place = page.parent / "images"
    if kind == "link":
        place.symlink_to(tmp_path)
    else:
        place.write_text("x")
    with pytest.raises(BadInput, match=r"--images thumbnails"):
        Originals(page, None)


def test_what_browsers_do_not_show_comes_as_png_too(page: Path, tmp_path: Path) -> None:
    colours = Image.new("RGB", (3, 2))
    colours.putdata([(place, 2 * place, 3 * place) for place in range(6)])
    colours.save(tmp_path / "x.tif")
    Image.new("RGB", (8, 4), (200, 100, 50)).save(tmp_path / "plain.jpg")
    beside, said = Originals(page, None), {}
    for name in ("x.tif", "plain.jpg"):
        said[name] = beside.add(name, tmp_path / name, make_thumbnails([tmp_path / name])[0])
        assert (page.parent / "images" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert said.pop("plain.jpg") == ["images/plain.jpg"]
    words = {name: of[1][1] for name, of in said.items()}
    assert words == {"x.tif": "TIFF shown as PNG"}
    assert all(of[1][0] == f"images/{name}" for name, of in said.items())
    shown = {name: Image.open(page.parent / str(of[0])) for name, of in said.items()}
    assert shown["x.tif"].tobytes() == colours.tobytes()
    assert lossless(tmp_path / "x.tif") == (page.parent / str(said["x.tif"][0])).read_bytes()


def test_an_original_may_lie_where_a_data_file_says(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "scan.png"
    path.parent.mkdir()
    path.write_bytes(image_bytes((5, 5, 5)))
    run = make.make_run(page_runs.questions(1, ["scan.png"]))
    run = replace(run, rows=run.rows)
    assert write_page(tmp_path / "out" / "page.html", [run], None, "full", {"scan.png": path}) == (1, 0)
    assert Image.open(BytesIO((tmp_path / "out" / "images" / "scan.png").read_bytes())).size == (64, 48)
