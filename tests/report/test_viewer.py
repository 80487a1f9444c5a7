"""The viewer's answers: what it shows of a work folder in whatever state, and what it gives to nobody."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.report.viewer import folder as module
from medqbench_vlmeval.report.viewer.folder import WorkFolder
from medqbench_vlmeval.report.viewer.server import make_app
from medqbench_vlmeval.runs.files import write_run
from medqbench_vlmeval.runs.progress import ProgressFile, progress_path
from medqbench_vlmeval.types import Run
from medqbench_vlmeval.workflows.report import compared
from tests import make
from tests.report import page_runs

TOKEN, PORT = "the-token", 4242
KEY = "Model-X_MedQBench_Perception_mini"
Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder is looked at each time, and the image store is another one."""
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.0)
    monkeypatch.setenv("LMUData", str(tmp_path / "LMUData"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def ask(work: Path) -> Ask:
    """Puts a request to the viewer of the folder: status, headers and body."""
    app = make_app(WorkFolder(work, compared), TOKEN, PORT)

    def answer(
        path: str, start: str = f"/{TOKEN}", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": f"127.0.0.1:{PORT}", **headers}
        scope = {"type": "http", "method": method, "path": start + path, "raw_path": b"", "query_string": b""}
        scope |= {"headers": [(name.encode(), text.encode()) for name, text in given.items()], "http_version": "1.1"}
        asyncio.run(app({**scope, "scheme": "http", "server": ("127.0.0.1", PORT), "root_path": ""}, receive, send))
        got = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
        return sent[0]["status"], got, b"".join(part.get("body", b"") for part in sent[1:])

    return answer


def unpacked(answer: tuple[int, dict[str, str], bytes]) -> Any:
    status, headers, body = answer
    assert (status, headers["content-encoding"], headers["cache-control"]) == (200, "gzip", "no-store")
    return json.loads(gzip.decompress(body))


def state(ask: Ask) -> Any:
    return unpacked(ask("/state.json"))


def listed(ask: Ask) -> dict[str, Any]:
    return {run["key"]: run for run in unpacked(ask("/page.json"))["runs"]}


def samples(ask: Ask, number: int = 0) -> Any:
    return unpacked(ask(f"/runs/{number}.json"))


def in_folder(run: Run, folder: Path) -> Run:
    """The run with its files in another folder, written there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = type(run.paths)(*(folder / path.name for path in vars(run.paths).values()))
    run = replace(run, paths=paths)
    write_run(run)
    return run


def test_the_first_screen_takes_the_scores_alone_and_a_run_its_samples(work: Path, ask: Ask) -> None:
    run = make.perception_run(work / "a" / "deep")
    make.reasoning_run(work)
    status, headers, body = ask("/")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert b"connect-src &#39;self&#39;" in body
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    page = work / "page.html"
    page.write_bytes(body)
    told = page_runs.data_of(page)
    assert [(run["model"], run["version"], run["gone"]) for run in told["runs"]] == [("Model-X", 1, False)] * 2
    assert (told["samples"], told["answers"]) == ([], [])
    assert [board["task"] for board in told["boards"]] == ["perception", "no-reference"]
    # The samples of a run are another matter: they may be unreadable while its numbers stand.
    assert [answer["outcome"] for answer in samples(ask, 1)["answers"]] == [*["right"] * 3, "wrong", "no answer"]
    run.paths.samples.write_text("{", encoding="utf-8")
    status, _, body = ask("/runs/1.json")
    assert status == 404
    assert b"not a whole JSON object" in body
    assert ask("/runs/another.json")[0] == 404


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (200, {"host": f"localhost:{PORT}", "origin": f"http://localhost:{PORT}"}),
        (200, {"method": "HEAD"}),
        (403, {"host": f"evil.example:{PORT}"}),
        (403, {"host": "127.0.0.1"}),
        (403, {"host": ""}),
        (403, {"origin": "http://evil.example"}),
        (403, {"origin": "null"}),
        (403, {"origin": f"https://127.0.0.1:{PORT}"}),
        (405, {"method": "POST"}),
        (404, {"start": ""}),
        (404, {"start": "/another"}),
        (404, {"start": f"/x/../{TOKEN}"}),
        (404, {"start": f"/{TOKEN.upper()}"}),
    ],
)
def test_it_answers_its_own_page_alone(ask: Ask, status: int, request_: dict[str, str]) -> None:
    got, headers, body = ask("/", **request_)
    assert got == status
    assert status == 200 or (TOKEN.encode() not in body and headers.get("cache-control", "no-store") == "no-store")


def test_no_path_leads_anywhere_else(work: Path, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "secret_score.json").write_text("secret", encoding="utf-8")
    make.perception_run(tmp_path / "outside")
    (work / "out").symlink_to(tmp_path / "outside")
    for name in (f"{KEY}_score.json", f"{KEY}_samples.jsonl"):
        (work / name).symlink_to(tmp_path / "outside" / name)
    (work / "loop_score.json").symlink_to(work / "loop_score.json")
    assert listed(ask) == {}
    assert (state(ask)["half"], state(ask)["work"]) == ([], [])
    ups = ("..", "%2e%2e", "..%2f..", "....//", "\\..\\", "/etc/passwd", "\x00", "\ud800")
    for up in ups:
        for path in (
            f"/{up}/secret_score.json",
            f"/runs/{up}.json",
            f"/images/{up}",
            f"/images/0/{up}",
            f"/images/0/{up}/full",
        ):
            assert ask(path)[0] == 404, path


def test_images_are_those_that_runs_name_and_that_lie_in_their_folder(work: Path, ask: Ask, tmp_path: Path) -> None:
    red, page = page_runs.image_bytes((255, 0, 0)), b"<script>alert(1)</script>"
    images = work / "images"
    images.mkdir()
    (images / "red.png").write_bytes(red)
    (images / "page.html").write_bytes(page)
    (images / "scan.tif").write_bytes(page_runs.image_bytes((0, 255, 0), kind="TIFF"))
    (images / "not-named.png").write_bytes(red)
    (tmp_path / "outside.png").write_bytes(red)
    (images / "link.png").symlink_to(tmp_path / "outside.png")
    names = ("red.png", "page.html", "scan.tif", "../../outside.png", "link.png")
    make.make_run(page_runs.questions(images=names), work)
    pictures = dict(samples(ask)["pictures"])
    assert [pictures[place] for place in range(5)] == [
        ["red.png", 64, 48, "images/0/small", 64, "images/0/full"],
        ["page.html"],
        # No browser shows it: the page shows a copy.
        ["scan.tif", 64, 48, "images/2/small", 64, "images/2/full", ["images/2/file", "TIFF shown as PNG"]],
        ["outside.png"],
        ["link.png"],
    ]
    status, headers, body = ask("/images/0/full")
    assert (status, headers["content-type"], body) == (200, "image/png", red)
    assert ask("/images/0/small")[1]["content-type"].startswith("image/")
    assert (ask("/images/2/full")[1]["content-type"], ask("/images/2/full")[2][:4]) == ("image/png", b"\x89PNG")
    assert ask("/images/2/file")[2] == (images / "scan.tif").read_bytes()
    assert ask("/images/2/file")[1]["content-type"] == "application/octet-stream"
    for path in (
        f"/images/{'9' * 5000}/full",  # more digits than a number may have
        "/images/1/full",
        "/images/1/file",
        "/images/1/small",
        "/images/3/full",
        "/images/99/full",
        "/images/0/other",
    ):
        assert ask(path)[0] == 404, path


def test_a_link_that_takes_the_place_of_an_image_is_not_followed(work: Path, ask: Ask, tmp_path: Path) -> None:
    image = work / "images" / "red.png"
    image.parent.mkdir()
    image.write_bytes(page_runs.image_bytes((255, 0, 0)))
    make.make_run(page_runs.questions(images=["red.png"]), work)
    samples(ask)
    assert ask("/images/0/full")[0] == 200
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    image.unlink()
    image.symlink_to(tmp_path / "secret")
    assert {ask(f"/images/0/{form}")[0] for form in ("full", "file", "small")} == {404}


def test_names_and_numbers_of_any_kind_stop_nothing(work: Path, ask: Ask) -> None:
    make.make_run(page_runs.questions(), work, model="two\nlines/../\u202e")
    for name in ("_score.json", "_progress.json", "_samples.jsonl"):
        (work / name).write_text("{}", encoding="utf-8")
    (work / "link_score.json").symlink_to(work / "._score.json")
    (work / "._score.json").write_text("{}", encoding="utf-8")
    file = ProgressFile(progress_path(work, "m_d"), "m", "d")
    file.told("inference", -1, -2)
    whole = json.loads(file.path.read_bytes())
    for name, wrong in (("since", "NaN"), ("updated", "1e400"), ("updated", "-Infinity")):
        text = json.dumps(whole | {name: 0}).replace(f'"{name}": 0', f'"{name}": {wrong}')
        progress_path(work, wrong).write_text(text, encoding="utf-8")
    progress_path(work, "deep").write_text("[" * 200_000, encoding="utf-8")
    assert ([row["key"] for row in state(ask)["work"]], state(ask)["half"]) == (["m_d"], [])
    assert len(listed(ask)) == 1
    assert len(samples(ask)["answers"]) == 5


def test_a_run_counts_once_whatever_leads_to_it_and_the_latest_of_its_name(work: Path, ask: Ask) -> None:
    run = make.perception_run()
    first = in_folder(run, work / "M" / "T20260101-000000")
    for path in vars(first.paths).values():
        if path.exists():
            (work / "M" / path.name).symlink_to(path)
    assert [run["version"] for run in listed(ask).values()] == [1]
    assert len(listed(ask)) == 1
    before = state(ask)["version"]
    better = make.make_run(page_runs.questions(right=True))
    later = in_folder(better, work / "M" / "T20260102-000000")
    os.utime(later.paths.score, (time.time() + 5, time.time() + 5))
    shutil.copytree(work / "M", work / "previous" / "M", symlinks=True)
    (known,) = listed(ask).values()
    assert known["version"] > 1
    assert known["parts"][0]["measures"][0][1] == 100.0
    assert state(ask)["version"] != before
    assert [answer["bad"] for answer in samples(ask)["answers"]] == [False] * 5


def test_half_written_runs_are_named_and_taken_when_they_are_whole(work: Path, ask: Ask) -> None:
    run = make.perception_run(work)
    score = run.paths.score.read_bytes()
    run.paths.score.write_bytes(score[:100])
    (half,) = state(ask)["half"]
    assert half["name"] == KEY and half["age"] < 60 and "cut short" in half["words"]
    assert listed(ask) == {}
    long_ago = time.time() - 1000
    for path in (run.paths.score, run.paths.samples):
        os.utime(path, (long_ago, long_ago))
    assert 990 < state(ask)["half"][0]["age"] < 1100
    run.paths.score.unlink()
    assert "score it again" in state(ask)["half"][0]["words"]
    run.paths.score.write_bytes(score)
    assert state(ask)["half"] == []
    assert list(listed(ask)) == [KEY]
    run.paths.samples.unlink()
    os.utime(run.paths.score, (long_ago, long_ago))
    assert "without its samples" in state(ask)["half"][0]["words"]
    assert listed(ask)[KEY]["gone"]
    # Another program's file of that ending is nobody's half run.
    run.paths.score.write_text('{"accuracy": 1}', encoding="utf-8")
    assert state(ask)["half"] == []


def test_a_folder_that_goes_and_comes_back(work: Path, ask: Ask) -> None:
    make.perception_run(work)
    assert list(listed(ask)) == [KEY]
    work.rename(work.with_name("away"))
    assert state(ask)["missing"]
    assert not listed(ask)[KEY]["gone"]
    assert ask("/")[0] == 200
    work.with_name("away").rename(work)
    make.reasoning_run(work)
    assert not state(ask)["missing"]
    assert len(listed(ask)) == 2


def test_runs_at_work_with_the_end_of_their_log_without_keys(
    work: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-words")
    (work / "logs").mkdir()
    log = work / "logs" / "run.log"
    lines = [f"line {i}" for i in range(100)] + ["key sk-abcdefghijklmnop1234", "\x1b[31mvery-secret-words\x1b[0m"]
    log.write_text("\n".join(lines), encoding="utf-8")
    file = ProgressFile(progress_path(work, "m_d"), "m", "d")
    file._state = replace(file._state, log="logs/run.log")
    file.told("inference", 0, 10)
    (row,) = state(ask)["work"]
    assert (row["stage"], row["done"], row["total"], row["running"], row["key"]) == ("inference", 0, 10, True, "m_d")
    assert row["log"][-3:] == ["line 99", "key ***", "***"]
    assert len(row["log"]) == 15
    log.write_text(f"key sk-{'a1' * 9000}\nnext line\n", encoding="utf-8")
    assert state(ask)["work"][0]["log"] == ["next line"]
    (tmp_path / "other.log").write_text("secret", encoding="utf-8")
    (work / "link.log").symlink_to(tmp_path / "other.log")
    for name in ("../other.log", str(tmp_path / "other.log"), "link.log", "logs", "a\0b", "m_d_progress.json"):
        file._state, file._written = replace(file._state, log=name), 0.0
        file.told("inference", 0, 10)
        assert state(ask)["work"][0]["log"] == [], name
    # A run that was scored since is no longer at work.
    make.make_run(page_runs.questions(), work, model="m", dataset="d")
    assert state(ask)["work"] == []
    assert list(listed(ask)) == ["m_d"]
    file.path.write_text('{"stage": "no stage"}', encoding="utf-8")
    assert state(ask)["work"] == []
