import json
import multiprocessing
import stat

import pytest

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import reading, replacing, sha256_of, write_json, write_jsonl, write_text, writing


def test_an_error_inside_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_results_are_as_readable_as_other_files(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_lone_surrogate_does_not_stop_a_run(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"reply": "bad \ud800 text"}])
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["reply"].startswith("bad ")


def _write_many(arguments):
    path, text = arguments
    for _ in range(20):
        write_text(path, text)


def test_readers_see_whole_files_while_many_write(tmp_path):
    target = tmp_path / "a.txt"
    texts = [letter * 50_000 for letter in "abcd"]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(_write_many, [(target, text) for text in texts])
    assert target.read_text() in texts


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("context", "error", "message"),
    [
        (lambda path: writing(path, "make room"), RunFailed, "a cannot be written (Is a directory); make room."),
        (writing, RunFailed, "a cannot be written (Is a directory); choose another --out."),
        (reading, BadInput, "a cannot be read: Is a directory."),
    ],
)
def test_what_the_system_refuses_is_told_with_the_path(tmp_path, context, error, message):
    (tmp_path / "a").mkdir()
    with pytest.raises(error) as caught, context(tmp_path / "a"):
        (tmp_path / "a").read_bytes()
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path), reading(tmp_path):
        raise ZeroDivisionError
