"""Converted data files: read as a whole once, mapped from then on, and never where something has changed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore, table_store
from medqbench_vlmeval.data.image_cells import KeptImages
from medqbench_vlmeval.data.image_store import FileState
from medqbench_vlmeval.data.samples import Origin, load_table
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.steps import heard_by
from tests.data.rows import BLUE, GREEN, RED, Write, description, load, pair, question, text_of


@pytest.fixture(autouse=True)
def _every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are converted too, and files that a test has just written are old enough."""
    monkeypatch.setattr(table_store, "LEAST_BYTES", 0)
    monkeypatch.setattr(table_store, "_SETTLED", -(10**18))


def tables() -> list[Path]:
    return sorted((ImageStore.default().root / "tables").glob("*.arrow"))


def read(path: Path, images: object = True, task: Task | None = Task.PERCEPTION, **more):
    """What a load gives, and whether it read the images of the source."""
    said: set[str] = set()
    with heard_by(lambda what, *_: said.add(what)):
        loaded = load_table(path, task, ImageStore.default() if images is True else images, **more)
    return loaded, any("and its images" in what for what in said)


ROWS = [
    question("1", severity="Mild", note="x"),
    question("2", image="3", answer=" b. ", severity="3", note="None"),
    question("3", image=text_of(GREEN), question='Wörter\nin "two" lines\t?', severity="", note=""),
]


def test_a_file_is_read_once_and_gives_the_same_from_then_on(write_tsv: Write) -> None:
    path = write_tsv(ROWS)
    names, _ = read(path, None)
    first, looked = read(path)
    assert looked
    assert len(tables()) == 1
    assert read(path) == (first, False)
    assert read(path, None) == (names, False)
    kept = KeptImages()
    (with_kept, source), looked = read(path, kept)
    assert not looked
    assert [sample.image_refs for sample in with_kept] == [sample.image_refs for sample in names[0]]
    assert [sample.image_forms for sample in with_kept] == [sample.image_forms for sample in first[0]]
    assert [kept.places[sample.image_refs[0]] for sample in with_kept] == [sample.images[0] for sample in first[0]]
    assert source.sha256 == first[1].sha256


def test_parquet_and_json_lines_are_converted_too(tmp_path: Path) -> None:
    rows = [{"index": i, "question": f"Frage {i}?", "A": "x", "B": "y", "answer": "A"} for i in range(3)]
    import pandas as pd

    pd.DataFrame([{**row, "image": {"bytes": RED, "path": None}} for row in rows]).to_parquet(tmp_path / "a.parquet")
    lines = (json.dumps({**row, "image": text_of(RED)}) + "\n" for row in rows)
    (tmp_path / "b.jsonl").write_text("".join(lines), encoding="utf-8")
    for name in ("a.parquet", "b.jsonl"):
        first, looked = read(tmp_path / name)
        assert looked
        assert read(tmp_path / name) == (first, False)


def test_a_file_that_no_table_takes_is_read_each_time(tmp_path: Path) -> None:
    row = {"index": 1, "question": "?", "A": "x", "B": "y", "answer": "A", "image": text_of(RED), "\ud800": "z"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    first, looked = read(tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl") == (first, looked)


def test_images_used_in_place_are_read_again_when_they_change(write_tsv: Write, tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "img" / name).write_bytes(RED)
    path = write_tsv([question(name, image="", image_path=f"img//{name}.png") for name in "ab"])
    names, first = read(path, None)[0], read(path)
    assert first[1]
    assert read(path) == (first[0], False)
    assert read(path, None) == (names, False)
    assert names[0][1].image_refs == ("img/b.png",)
    (tmp_path / "img" / "b.png").write_bytes(BLUE)
    assert read(path) == (first[0], True)
    assert not read(path)[1]
    (tmp_path / "img" / "b.png").write_bytes(BLUE[:-9])
    with pytest.raises(BadInput, match=r"row 2 \(index 'b'\).*cut short"):
        read(path)
    (tmp_path.parent / f"{tmp_path.name}.png").write_bytes(BLUE)
    (tmp_path / "img" / "b.png").unlink()
    (tmp_path / "img" / "b.png").symlink_to(tmp_path.parent / f"{tmp_path.name}.png")
    with pytest.raises(BadInput, match="leads out of the folder"):
        read(path)


def test_an_image_that_changes_while_others_are_read_is_read_again(write_tsv: Write, tmp_path: Path) -> None:
    for at in range(40):
        (tmp_path / f"{at}.png").write_bytes(RED)
    path = write_tsv([question(str(at), image="", image_path=f"{at}.png") for at in range(40)])

    def change(what: str, done: int, *_: object) -> None:
        if done == 39:  # long after the first was checked
            (tmp_path / "0.png").write_bytes(GREEN)

    with heard_by(change):
        load(path)
    (samples, _), looked = read(path)
    assert (samples[0].image_forms[0].format, looked) == ("JPEG", True)
    assert not read(path)[1]


def test_images_of_an_archive_are_read_again_when_it_changes(write_tsv: Write, tmp_path: Path) -> None:
    path = write_tsv([question("1", image="", image_path="a.png")])
    for image in (RED, BLUE):
        with ZipFile(tmp_path / "images.zip", "w") as archive:
            archive.writestr("a.png", image)
        (samples, source), looked = read(path)
        assert (samples[0].images[0].read_bytes(), looked) == (image, True)
        assert read(path) == ((samples, source), False)


def test_images_of_the_hub_are_fetched_once_and_again_when_its_cache_was_emptied(write_tsv: Write, tmp_path) -> None:
    path, fetched = write_tsv([question(name, image="", image_path=f"{name}.png") for name in "ab"]), []

    def fetch(name: str) -> Path:
        fetched.append(name)
        (tmp_path / name).write_bytes(RED)
        return tmp_path / name

    hub = Origin("hub", "0" * 40, fetch)
    first, looked = read(path, origin=hub)
    assert (looked, sorted(fetched)) == (True, ["a.png", "b.png"])
    assert read(path, origin=hub) == (first, False)
    assert len(fetched) == 2
    (tmp_path / "b.png").unlink()
    assert read(path, origin=hub) == (first, True)
    assert (tmp_path / "b.png").read_bytes() == RED


def test_equal_images_under_two_names_keep_both(write_tsv: Write, tmp_path: Path) -> None:
    from PIL import Image

    turned = Image.Exif()
    turned[274] = 6
    for name in "ab":
        Image.new("RGB", (9, 7), (255, 0, 0)).save(tmp_path / f"{name}.jpg", exif=turned)
    path = write_tsv([question(name, image="", image_path=f"{name}.jpg") for name in "ab"])
    names, first = read(path, None)[0], read(path)[0]
    assert first[0][0].images == first[0][1].images, "both are converted to one stored image"
    assert read(path) == (first, False)
    assert read(path, None) == (names, False)


def rewritten(path: Path, old: bytes, new: bytes) -> None:
    """Other content of the same size and with the old times, as far as a program can set them."""
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path, old: bytes, new: bytes) -> None:
    """The same by another file that takes its place."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    rewritten(other, old, new)
    other.replace(path)


def appended(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new) + b"\n")


@pytest.mark.parametrize("change", [rewritten, replaced, appended])
@pytest.mark.parametrize("settled", [True, False])
def test_a_changed_file_is_noticed(write_tsv: Write, monkeypatch, change, settled: bool) -> None:
    if not settled:  # written, read and written again within a tick of the clock
        monkeypatch.setattr(table_store, "_SETTLED", 10**19)
        monkeypatch.setattr(FileState, "of", lambda path: FileState(str(path), path.stat().st_size, 1, 1, 1))
    path = write_tsv([question("1", B="Noise")])
    read(path)
    change(path, b"Noise", b"Ghost")
    (samples, source), looked = read(path)
    assert looked
    assert (samples[0].options["B"], source.sha256) == ("Ghost", load(path)[1].sha256)


def test_a_file_that_only_looks_new_is_not_read_again(write_tsv: Write) -> None:
    path = write_tsv(ROWS)
    first = read(path)[0]
    for _ in range(2):
        path.touch()
        assert read(path) == (first, False)
        assert read(path) == (first, False)
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    assert read(path) == (first, False)


@pytest.mark.parametrize("damage", [Path.unlink, lambda image: image.write_bytes(image.read_bytes()[:-1])])
def test_absent_and_cut_images_are_made_again(write_tsv: Write, damage) -> None:
    path = write_tsv(ROWS)
    first = read(path)[0]
    image = first[0][2].images[0]
    damage(image)
    assert read(path, KeptImages())[1], "reports want images too"
    assert image.read_bytes() == GREEN
    damage(image)
    assert read(path) == (first, True)
    assert image.read_bytes() == GREEN
    shutil.rmtree(ImageStore.default().root)
    assert read(path) == (first, True)
    assert read(path) == (first, False)


def foreign(path: Path) -> bytes:
    out = pa.BufferOutputStream()
    table = pa.table({"index": ["1"], "image": ["[0]"]})
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue().to_pybytes()


def flipped(whole: bytes, at: float) -> bytes:
    place = int(at * len(whole))
    return whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: b"",
        lambda path: b"x" * 40,
        lambda path: path.read_bytes()[:-8],
        lambda path: path.read_bytes() + b"\0",
        *(lambda path, at=at: flipped(path.read_bytes(), at / 11) for at in range(11)),
        foreign,
    ],
)
def test_a_damaged_table_is_made_again(write_tsv: Write, damage) -> None:
    path = write_tsv(ROWS)
    first = read(path)[0]
    (table,) = tables()
    whole = table.read_bytes()
    table.write_bytes(damage(table))
    assert read(path) == (first, True)
    assert table.read_bytes() == whole


def test_a_table_of_another_make_is_made_again(write_tsv: Write, monkeypatch) -> None:
    path = write_tsv(ROWS)
    first = read(path)[0]
    monkeypatch.setattr(table_store, "LAYOUT", table_store.LAYOUT + 1)
    assert read(path) == (first, True)
    monkeypatch.setenv("MEDQBENCH_WINDOW", "0,4095")
    assert read(path)[1], "deep grey looks different through another window"
    assert not read(path)[1]


def test_who_reads_other_image_columns_makes_a_table_of_their_own_and_other_texts_need_none(write_tsv: Write) -> None:
    path = write_tsv([question("1", picture=text_of(BLUE), grade="severe", note="x")])
    assert read(path)[1]
    (samples, _), looked = read(path, named={"severity": "grade"})
    assert (samples[0].severity, looked) == ("severe", False)
    (samples, _), looked = read(path, named={"image": "picture"})
    assert (samples[0].images[0].read_bytes(), looked) == (BLUE, True)
    assert not read(path)[1]
    assert not read(path, named={"image": "picture"})[1]


def test_rows_that_borrow_an_image_by_another_index_do_so_each_time(write_tsv: Write) -> None:
    other = {"1": "x", "2": "y", "3": "1"}
    pictures = {"1": text_of(RED), "2": "1", "3": text_of(BLUE)}
    path = write_tsv([question(index, image=pictures[index], other=name) for index, name in other.items()])
    for named, shown in ((None, RED), ({"index": "other"}, BLUE)):
        (samples, _), looked = read(path, named=named)
        assert (samples[1].images[0].read_bytes(), looked) == (shown, True)
        assert not read(path, named=named)[1]


def test_a_file_with_an_error_leaves_its_images_and_no_table(write_tsv: Write) -> None:
    path = write_tsv([question("1"), question("2", image=text_of(GREEN[:-30]))])
    with pytest.raises(BadInput, match=r"row 2 \(index '2'\)"):
        read(path)
    assert tables() == []
    assert [image.read_bytes() for image in ImageStore.default().root.rglob("*.png")] == [RED]


def test_small_files_and_folders_that_take_no_table_are_read_each_time(write_tsv: Write, monkeypatch) -> None:
    path = write_tsv(ROWS)
    first, _ = read(path)
    shutil.rmtree(ImageStore.default().root / "tables")
    (ImageStore.default().root / "tables").write_text("")
    assert read(path) == read(path) == (first, True)
    (ImageStore.default().root / "tables").unlink()
    monkeypatch.setattr(table_store, "LEAST_BYTES", 1 << 23)
    assert read(path) == read(path) == (first, True)
    assert not (ImageStore.default().root / "tables").exists()


numbers = count()
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)
pictures = st.sampled_from([text_of(RED), text_of(GREEN), f"data:image/png;base64,{text_of(BLUE)}"])


@st.composite
def data_files(draw) -> tuple[Task, list[dict[str, str]]]:
    """A table of one task: images in every dress, rows that name another row's, texts of any characters."""
    task = draw(st.sampled_from([Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE]))
    rows = []
    for at in range(draw(st.integers(1, 6))):
        cells = {"note": draw(texts), "modality": draw(texts), "severity": draw(st.sampled_from(["", "mild", "2"]))}
        if task is Task.COMPARATIVE:
            both = [draw(pictures), draw(pictures)]
            dress = draw(st.sampled_from(["columns", "json", "python"]))
            lists = {"json": json.dumps(both), "python": str(both)}
            a, b = both if dress == "columns" else ("", "")
            row = pair(str(at), image=lists.get(dress, ""), image_a=a, image_b=b, **cells)
        else:
            make = question if task is Task.PERCEPTION else description
            image, path = draw(st.sampled_from([(draw(pictures), ""), (draw(pictures), "no.png"), ("", "in.png")]))
            row = make(str(at), image=image, image_path=path, **cells)
            if at and draw(st.booleans()):
                row["image"] = draw(st.sampled_from([each["index"] for each in rows if each["image"]] or [image]))
        rows.append(row)
    aliases = {row["index"] for row in rows if 0 < len(row.get("image", "")) < 64}
    return task, [row for row in rows if row["index"] not in aliases or row["image"] not in aliases]


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(file=data_files())
def test_a_stored_table_says_what_its_source_says(write_tsv: Write, tmp_path: Path, file) -> None:
    task, rows = file
    (tmp_path / "in.png").write_bytes(BLUE)
    path = write_tsv(rows, f"{next(numbers)}.tsv")
    names, first = read(path, None, task)[0], read(path, True, task)
    assert first[1]
    assert read(path, True, task) == (first[0], False)
    assert read(path, None, task) == (names, False)


CHILD = """
import os, resource, sys, time
from pathlib import Path
from medqbench_vlmeval.data import ImageStore, table_store
from medqbench_vlmeval.data.samples import Origin, load_table
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.steps import heard_by
table_store.LEAST_BYTES, table_store._SETTLED = 0, -10**18
said = set()
def listen(what, done, *_):
    said.add(what)
    if {stop} and done == 5 and "and its images" in what:
        print("half", flush=True)
        time.sleep(600)
print("ready", flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    with heard_by(listen):
        samples, source = load_table(Path(sys.argv[1]), None, ImageStore.default())
except BadInput as error:
    print(error)
else:
    print(len(samples), source.sha256, any("and its images" in what for what in said))
"""


def child(path: Path, stop: bool = False, limit: int = -1) -> subprocess.Popen[str]:
    """Another process that loads a file once it is told to; it says so when it is ready."""
    code = CHILD.format(stop=stop, limit=limit)
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "ready\n"
    return started


def begin(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> str:
    return process.communicate("\n", timeout=60)[0].strip()


@pytest.fixture
def many(write_tsv: Write) -> Iterator[Path]:
    import numpy as np
    from PIL import Image

    draw, rows = np.random.default_rng(0), []
    for at in range(40):
        image = Image.fromarray(draw.integers(0, 255, (200, 200, 3), dtype=np.uint8))
        out = io.BytesIO()
        image.save(out, "PNG")
        rows.append(question(str(at), image=text_of(out.getvalue())))
    return write_tsv(rows)


@pytest.mark.slow
def test_processes_that_start_at_once_read_a_file_once(many: Path) -> None:
    processes = [child(many) for _ in range(3)]
    for process in processes:
        begin(process)
    answers = [told(process).split() for process in processes]
    assert sorted(answer[2] for answer in answers) == ["False", "False", "True"]
    assert len({tuple(answer[:2]) for answer in answers}) == 1


@pytest.mark.slow
def test_who_is_killed_while_it_reads_leaves_nothing_that_others_wait_for(many: Path) -> None:
    process = child(many, stop=True)
    begin(process)
    assert process.stdout.readline() == "half\n"
    waiting = child(many)
    begin(waiting)
    assert tables() == []
    process.kill()
    process.communicate()
    assert told(waiting).endswith("True")
    assert not read(many)[1]


@pytest.mark.slow
def test_a_full_disk_is_said_and_costs_a_table_alone_where_images_fit(many: Path, write_tsv: Write) -> None:
    assert "the image folder" in (said := told(child(many, limit=50_000)))
    assert "File too large); set LMUData to another folder" in said
    assert tables() == []
    small = write_tsv([{**row, "note": "x" * 5000} for row in ROWS], "small.tsv")
    assert told(child(small, limit=5_000)).endswith("True")
    assert tables() == []
    assert read(small)[1]
    assert len(tables()) == 1
