"""A plan becomes a folder: the same bytes however it is made, gone on with after any end, nothing else touched."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.steps import heard_by
from medqbench_vlmeval.synth import produce as producing
from medqbench_vlmeval.synth.produce import produce, render
from tests.synth.plans import broken, plan, ramp


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The set as one process makes it in one go."""
    out = tmp_path_factory.mktemp("whole") / "set"
    produce(plan(), out, 1)
    return out


def test_a_set_is_pictures_tables_and_provenance(whole):
    names = set(content(whole))
    assert names == {"PROVENANCE.json", "medqbench_QA_test.tsv", *(f"images/x-{i:03d}.png" for i in range(16))}
    lines = (whole / "medqbench_QA_test.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["index\timage_path", "q0\timages/x-000.png"]
    assert len(lines) == 17


def test_pixels_are_those_of_the_plan(whole):
    for planned in plan().pictures:
        with Image.open(whole / "images" / planned.file_name) as opened:
            assert np.array_equal(np.asarray(opened), render(planned))
    clean = np.asarray(Image.open(whole / "images" / "x-000.png"))
    assert np.array_equal(clean, ramp(0, "MRI").display())


def test_the_second_degradation_comes_after_the_first_on_the_same_generator():
    both = plan().pictures[3]
    rng = np.random.default_rng(both.seed)
    by_hand = both.degradation.degrade(both.source.load(), "severe", rng)
    by_hand = both.also.degrade(by_hand, "severe", rng)
    assert np.array_equal(render(both), by_hand.display())


def test_provenance_tells_every_parameter_and_nothing_of_the_users_files(whole):
    text = (whole / "PROVENANCE.json").read_text(encoding="utf-8")
    told = json.loads(text)
    assert "patient" not in text
    for planned in plan().pictures:
        image = told["images"][planned.file_name]
        assert image["sha256"] == sha256_of(whole / "images" / planned.file_name)
        assert [(of["key"], of["parameters"]) for of in image["degradations"]] == [
            (of.key, dict(of.strength(grade))) for of, grade in planned.put_on
        ]
        assert (image["source"], image["severity"], image["seed"]) == (
            planned.source.key,
            planned.severity,
            list(planned.seed),
        )
    assert {"medqbench-vlmeval", "numpy", "scipy", "pillow", "finufft"} <= set(told["versions"])
    assert told["seed"] == 7


@pytest.mark.slow
def test_other_processes_make_the_same_bytes(whole, tmp_path):
    heard = []
    with heard_by(lambda *said: heard.append(said)):
        done = produce(plan(), tmp_path / "set", 2)
    assert content(tmp_path / "set") == content(whole)
    assert (done.made, done.kept) == (16, 0)
    counts = [n for what, n, *_ in heard if what == "making pictures"]
    assert counts[0] == 0
    assert counts[-1] == 16
    assert counts == sorted(counts)


def test_what_is_made_is_kept_and_the_rest_made(whole, tmp_path, monkeypatch):
    out = tmp_path / "set"
    written = producing.write_bytes

    def fails_at_the_seventh(path, data, durable=True):
        if path.name == "x-006.png":
            raise OSError(28, "No space left on device")
        written(path, data, durable)

    monkeypatch.setattr(producing, "write_bytes", fails_at_the_seventh)
    with pytest.raises(RunFailed, match=r"cannot be written \(No space left on device\); make room there and call"):
        produce(plan(), out, 1)
    monkeypatch.undo()
    assert not (out / "PROVENANCE.json").exists()
    before = {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert sorted(before) == [f"x-{i:03d}.png" for i in range(6)]
    (out / "images" / "x-002.png").write_bytes(b"")  # the machine lost its power
    (out / "images" / ".x-006.png.0123.tmp").write_bytes(b"\x89PNG")
    done = produce(plan(), out, 1)
    assert (done.made, done.kept) == (11, 5)
    assert content(out) == content(whole)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert all(after[name] == at for name, at in before.items() if name != "x-002.png")


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from medqbench_vlmeval import steps
from medqbench_vlmeval.synth.produce import produce
from tests.synth.plans import plan
def listen(what, done, total, more):
    if done >= 4:
        print("some are made", flush=True)
        threading.Event().wait()
if __name__ == "__main__":
    # A process that a shell starts in the background ignores SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with steps.heard_by(listen):
        produce(plan(), Path(sys.argv[1]), 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_killed_call_is_gone_on_with(whole, tmp_path, number):
    out, script = tmp_path / "set", tmp_path / "make.py"
    script.write_text(KILLED, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = subprocess.Popen([sys.executable, script, out], stdout=subprocess.PIPE, text=True, env=env)
    assert made.stdout.readline() == "some are made\n"
    made.send_signal(number)
    assert made.wait(60) != 0
    made.stdout.read()  # ends when the workers, which hold it too, have ended
    assert not (out / "PROVENANCE.json").exists()
    done = produce(plan(), out, 1)
    assert done.kept >= 4
    assert done.made + done.kept == 16
    assert content(out) == content(whole)


def test_a_whole_set_is_left_as_it_is(whole, tmp_path):
    before = content(whole)
    done = produce(plan(), whole, 1)
    assert (done.made, done.kept) == (0, 16)
    with pytest.raises(BadInput, match=r"another set that is finished.*name a new or empty folder"):
        produce(plan(seed=8), whole, 1)
    with pytest.raises(BadInput, match="another set that is finished"):
        produce(plan(), whole, 1, {"crop": [0, 0, 9, 9]})
    assert content(whole) == before


def test_other_peoples_folders_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words", encoding="utf-8")
    (tmp_path / "file").write_text("words", encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine holds something already \(thesis\.txt\)"):
        produce(plan(), tmp_path / "mine", 1)
    with pytest.raises(BadInput, match="is a file"):
        produce(plan(), tmp_path / "file", 1)
    assert content(tmp_path) == {"file": b"words", "mine/thesis.txt": b"words"}


def test_the_beginning_of_another_set_is_refused(tmp_path):
    with contextlib.suppress(BadInput):
        produce(plan(load=broken), tmp_path / "set", 1)
    # The sources are the same by their keys: what loads them is no part of a set.
    with pytest.raises(BadInput, match="the beginning of another set"):
        produce(plan(seed=8), tmp_path / "set", 1)


def test_a_picture_that_cannot_be_made_is_named(tmp_path):
    one = plan(1).pictures[1]
    unable = replace(one, degradation=replace(one.degradation, function="math.sqrt"))
    with pytest.raises(RunFailed, match=r"\(mild\) could not be put on patient 0/scan\.png: .*--degradations"):
        produce(replace(plan(1), pictures=(unable,)), tmp_path / "set", 1)


@pytest.mark.slow
def test_errors_of_other_processes_are_sentences_too(tmp_path):
    with pytest.raises(BadInput, match=r"patient 0/scan\.png cannot be read: Input/output error"):
        produce(plan(load=broken), tmp_path / "set", 2)


def test_two_calls_do_not_make_one_set_at_once(tmp_path):
    with producing._alone(tmp_path / "set"), pytest.raises(BadInput, match="Another process is making the set"):
        produce(plan(), tmp_path / "set", 1)
    assert Path(tmp_path / "set").is_dir()
