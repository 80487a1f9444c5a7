"""Files that are made to take memory, to lead elsewhere, or to be waited for: each is refused by its name and row."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from tests.data.hostile_files import ATTACKS, HEAD, ROW, read
from tests.data.rows import RED, load


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
