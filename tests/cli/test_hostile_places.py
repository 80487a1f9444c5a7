"""Consoles, pipes, disks and places of every kind, as a shell meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run
from tests.make import perception_run, score_of, write_reasoning
from tests.servers import JudgeServer

ROWS = "index,question,A,B,answer,prediction\n1,Is there noise?,Yes,No,A,A\n"


def shell(*arguments: object, encoding: str = "utf-8", **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "medqbench_vlmeval", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=60, check=False, **options)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "m_d.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


COMMANDS = (
    ("score", "{predictions}", "--model", "模型😀", "--out", "{out}"),
    ("report", "{run}", "--out", "{out}"),
    ("compare", "{run}", "{other}", "--out", "{out}"),
    ("leaderboard", "add", "{run}", "--board", "{out}"),
    ("leaderboard", "export", "{run}", "--openvlm", "{out}/vlm.json"),
    ("leaderboard", "show", "{board}"),
)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_no_command_fails_of_the_consoles_encoding(tmp_path: Path, predictions: Path, encoding: str) -> None:
    names = {"模型😀": tmp_path / "a", "ü😀": tmp_path / "b"}
    run_, other = (perception_run(folder, model=model, dataset="mine").paths.score for model, folder in names.items())
    places = {"predictions": predictions, "run": run_, "other": other, "board": tmp_path / "board"}
    # In this process, whose streams a command changes as it would its own.
    script = "import sys, json\nfrom medqbench_vlmeval.cli.main import main\nfor words in json.load(sys.stdin):\n"
    script += "    try: main(words)\n    except SystemExit as end: print('exit code', end.code, file=sys.stderr)\n"
    commands = [("leaderboard", "add", str(run_), "--board", str(places["board"]))]
    commands += [
        tuple(word.format(**places, out=tmp_path / f"o{n}") for word in words) for n, words in enumerate(COMMANDS)
    ]
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(commands), text=True, encoding="utf-8", errors="replace",
        capture_output=True, timeout=120, check=False, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    ends = [line for line in done.stderr.splitlines() if line.startswith("exit code")]
    assert ends == ["exit code 0"] * len(commands), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_output_that_takes_nothing_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = shell("leaderboard", "show", stdout=full)
    assert (done.returncode, done.stderr) == (
        1, b"medqbench: the output cannot be used (No space left on device).\n"
    )  # fmt: skip


def test_places_that_take_no_results_are_said_before_the_judge_is_paid(capsys, tmp_path: Path) -> None:
    path = write_reasoning(tmp_path / "m_MedQBench_Reasoning_NoReference.tsv", {1: "good"})
    (tmp_path / "file").write_text("")
    folder = tmp_path / "d"
    (folder / "m_MedQBench_Reasoning_NoReference_score.json").mkdir(parents=True)
    with JudgeServer("Score: 2") as server:
        judge = ("--judge", "j", "--judge-base-url", server.base_url, "--protocol", "rubric")
        for out, more, words in (
            (tmp_path / "file", (), "Not a directory"),
            (tmp_path / "file" / "x", (), "Not a directory"),
            (folder, (), "it is a folder"),
            (tmp_path / ("模" * 90), (), "File name too long"),
        ):
            code, _, err = run(capsys, "score", path, "--out", out, *more, *judge)
            assert (code, words in err, err.count("\n")) == (1, True, 1), err
        assert server.requests == []


def limited(bytes_: int, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """A command on a disk that takes so many bytes a file."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_}, {bytes_}))\n"
        "from medqbench_vlmeval.cli.main import main\nmain(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_disk_that_fills_keeps_the_earlier_results_and_leaves_no_part(tmp_path: Path, predictions: Path) -> None:
    out = tmp_path / "out"
    assert shell("score", predictions, "--out", out, stdout=subprocess.DEVNULL).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    predictions.write_text(ROWS.replace(",A\n", ",B\n"), encoding="utf-8")
    done = limited(2000, "score", predictions, "--out", out)
    assert (done.returncode, b"cannot be written" in done.stderr, done.stderr.count(b"\n")) == (1, True, 1), done.stderr
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    # What a viewer says of the run that failed.
    assert b"failed" in after.pop(out / "m_d_custom_progress.json")
    assert after == before


@pytest.mark.parametrize("command", ["leaderboard", pytest.param("report", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changed",
    [
        {"usage": 7}, {"usage": {"total": "x"}}, {"n": "5"}, {"n": -(10**400)}, {"Overall": -1e308}, {"Overall": "x"},
        {"Overall": float("nan")}, {"Overall": float("inf")}, {"settings": []}, {"settings": {"judge": 1}},
        {"modality": {"CT": [[]]}}, {"findings": 3}, {"comparable": []}, {"model": {}},
    ],
)  # fmt: skip
def test_a_score_of_wrong_types_is_read_or_refused(
    capsys, tmp_path: Path, changed: dict[str, object], command: str
) -> None:
    made = perception_run(tmp_path)
    made.paths.score.write_text(json.dumps({**score_of(made), **changed}), encoding="utf-8")
    words = {"report": ("report", tmp_path, "--out"), "leaderboard": ("leaderboard", "add", tmp_path, "--board")}
    code, _, err = run(capsys, *words[command], tmp_path / "out")
    assert (code, err.count("\n") <= 2, "Traceback" in err) in [(0, True, False), (2, True, False)], err


SUFFIXES = (".csv", ".xlsx", ".json", ".jsonl", ".tsv")


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(5))
def test_no_kind_of_place_is_a_traceback_or_waited_for(capsys, tmp_path: Path, turn: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\0")
    for at, kind in enumerate(("pipe", "folder", "loop", "deep", "bytes", "absent", "bytes/below", "n" * 300)):
        place = tmp_path / f"{kind}{SUFFIXES[(at + turn) % len(SUFFIXES)]}"
        if kind.isalpha() and len(kind) < 300 and kind != "absent":
            place.symlink_to(place.name if kind == "loop" else kind)
        out = tmp_path / "o"
        commands = [
            ("score", place, "--out", out), ("data", "info", place), ("report", place, "--out", out),
            ("score", tmp_path / "no.csv", "--data", place, "--out", out), ("compare", place, place),
            ("agreement", place, place), ("robustness", place, place, "--out", out),
            ("leaderboard", "validate", place), ("leaderboard", "add", place, "--board", out),
            ("leaderboard", "export", place, "--csv", tmp_path / "o.csv"),
            ("judge", "import", place), ("judge", "status", place), ("judge", "submit", place),
        ]  # fmt: skip
        for words in commands:
            code, _, err = run(capsys, *words)
            assert code in (1, 2), (words, err)
            assert err.startswith("medqbench: "), (words, err)
            assert err.count("\n") <= 2, (words, err)
