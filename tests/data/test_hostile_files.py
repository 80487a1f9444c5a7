"""Files that are made to take memory, to lead elsewhere, or to be waited for: each is refused by its name and row."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import table_store
from medqbench_vlmeval.errors import BadInput
from tests.data.hostile_files import ATTACKS, HEAD, ROW, read
from tests.data.rows import RED, load, text_of


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if not attack.slow])
def test_an_attack_is_refused_by_file_and_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / ATTACKS[name].name
    ATTACKS[name].write(path)
    said = read(path)
    assert said.startswith(str(path)), said[:300]
    assert ATTACKS[name].words in said
    assert len(said) < 500 + len(str(path)), "a message is a sentence or two, whatever the file holds"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_each_is_refused_in_the_memory_that_it_may_take(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.data.hostile_files", tmp_path, *ATTACKS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = {name: (peak, said) for name, peak, said in map(json.loads, done.stdout.splitlines())}
    assert told.keys() == ATTACKS.keys()
    assert {name: said[:200] for name, (_, said) in told.items() if ATTACKS[name].words not in said} == {}
    peaks = {name: peak for name, (peak, _) in told.items()}
    assert {name: peak for name, peak in peaks.items() if peak > ATTACKS[name].most} == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop", "absent", "link to a device"])
def test_what_is_no_file_is_no_image_and_no_data(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x.tsv"
    made = {
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "loop": lambda: place.symlink_to(place),
        "device": lambda: place.symlink_to("/dev/zero"),
        "link to a device": lambda: (tmp_path / "y").symlink_to("/dev/zero") or place.symlink_to("y"),
        "socket": lambda: socket.socket(socket.AF_UNIX).bind(os.path.relpath(place)),
    }
    made.get(kind, lambda: None)()
    with pytest.raises(BadInput, match=r"x\.tsv"):
        load(place, Task.PERCEPTION)
    data = tmp_path / "data.tsv"
    data.write_bytes(HEAD + ROW + b"\tx.tsv\n")
    with pytest.raises(BadInput, match=r"data\.tsv, row 1 \(index '1'\): the image "):
        load(data, Task.PERCEPTION)


OUTSIDE = "../s.png a/../../s.png /etc/passwd //etc/passwd C:/s.png ~/s.png link/s.png file:///etc/passwd \\\\h\\s.png"


@pytest.mark.parametrize("place", OUTSIDE.split())
def test_no_path_leads_out_of_the_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "s.png").write_bytes(RED)
    inside = tmp_path / "d"
    inside.mkdir()
    (inside / "a").mkdir()
    (inside / "link").symlink_to("..")
    data = inside / "data.tsv"
    data.write_bytes(HEAD + ROW + b"\t" + place.encode() + b"\n")
    with pytest.raises(BadInput, match=r"data\.tsv, row 1 \(index '1'\): the image "):
        load(data, Task.PERCEPTION)


def test_an_archive_that_a_link_leads_out_to_is_not_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("s.png", RED)
    inside = tmp_path / "d"
    inside.mkdir()
    (inside / "images.zip").symlink_to("../other.zip")
    data = inside / "data.tsv"
    data.write_bytes(HEAD + ROW + b"\ts.png\n")
    with pytest.raises(BadInput, match=r"data\.tsv, row 1 \(index '1'\): the image .* does not exist"):
        load(data, Task.PERCEPTION)
    (inside / "images.zip").unlink()
    (tmp_path / "other.zip").rename(inside / "images.zip")
    assert load(data, Task.PERCEPTION)[0][0].images[0].read_bytes() == RED


def edited(path: Path, edit: Callable[[pa.Table, dict[str, Any]], pa.Table], swap: tuple[bytes, bytes]) -> None:
    """Write a converted table again, by somebody who knows its form: its sha256 is right."""
    (table,) = path.glob("lmu/images/MedQBench/tables/*.arrow")
    content = pa.ipc.open_file(pa.BufferReader(table.read_bytes()[32:])).read_all()
    about = json.loads(content.schema.metadata[b"medqbench"])
    content = edit(content, about).replace_schema_metadata({"medqbench": json.dumps(about)})
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, content.schema) as writer:
        writer.write_table(content)
    body = out.getvalue().to_pybytes().replace(*swap)
    table.write_bytes(hashlib.sha256(body).digest() + body)


def changed(name: str, values: pa.Array) -> Callable[[pa.Table, dict[str, Any]], pa.Table]:
    return lambda table, about: table.set_column(table.schema.names.index(name), name, values)


def elsewhere(place: str) -> Callable[[pa.Table, dict[str, Any]], pa.Table]:
    def edit(table: pa.Table, about: dict[str, Any]) -> pa.Table:
        size = (Path(place).stat().st_size,) if Path(place).exists() else (0,)
        about["images"] = [[place, *image[1:3], *size] for image in about["images"]]
        return table

    return edit


BYTES = pa.large_binary()
EDITS = {
    "a number of no image": changed("image", pa.array([b"[7]"], BYTES)),
    "no list": changed("image", pa.array([b"x"], BYTES)),
    "a place of no image": changed("image", pa.array([b'["a"]'], BYTES)),
    "no text": changed("question", pa.array([None], BYTES)),
    "numbers": changed("answer", pa.array([7])),
    "out of bounds": lambda table, about: table,
    "a file elsewhere": elsewhere(__file__),
    "a file above": elsewhere("{folder}/../secret.png"),
    "fewer columns": lambda table, about: table.select(["index"]),
    "a list for a record": lambda table, about: about.update(images={"a": 1}) or table,
    "nothing told": lambda table, about: about.clear() or table,
}


@pytest.mark.parametrize("name", EDITS)
def test_a_converted_table_that_somebody_else_wrote_is_not_believed(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path / "lmu"))
    monkeypatch.setattr(table_store, "LEAST_BYTES", 0)
    folder = tmp_path / "d"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(RED)
    data = folder / "data.tsv"
    data.write_bytes(HEAD + ROW + text_of(RED).encode() + b"\t\n")
    expected, _ = load(data, Task.PERCEPTION)
    edit = elsewhere(f"{folder}/../secret.png") if name == "a file above" else EDITS[name]
    ends = struct.pack("<qq", 0, len("Is it sharp?"))  # where the question's text begins and ends
    far = struct.pack("<qq", 0, 1 << 40)
    edited(tmp_path, edit, (ends, far if name == "out of bounds" else ends))
    assert load(data, Task.PERCEPTION)[0] == expected
