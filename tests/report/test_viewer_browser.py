"""The viewer as people use it: the real command, a real browser, runs that come while it is open."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from medqbench_vlmeval.runs.progress import ProgressFile, progress_path
from tests import make
from tests.commands import run as command
from tests.report import page_runs
from tests.servers import JudgeServer

pytestmark = pytest.mark.slow
KEY = "Model-X_MedQBench_Perception_mini"


def python(*words: str, **options: Any) -> subprocess.Popen[str]:
    # A process that a shell starts in the background ignores SIGINT.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    start += "from medqbench_vlmeval.__main__ import main; main()"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", start, *words], **pipes, **options)


class Viewer:
    """The command at work; its address is what it printed."""

    def __init__(self, folder: Path, *options: str) -> None:
        home = {**os.environ, "LMUData": str(folder.parent / "LMUData")}
        self.process = python("view", str(folder), "--no-open", *options, env=home)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.parts = urlsplit(self.address)
        assert self.address.startswith("http://127.0.0.1:"), self.process.communicate()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """What the server says to a request whose path and headers are sent as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.parts.port or 0, timeout=10)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
        connection.close()
        return status, body

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def start() -> Iterator[Callable[..., Viewer]]:
    viewers: list[Viewer] = []

    def begin(folder: Path, *options: str) -> Viewer:
        viewers.append(Viewer(folder, *options))
        return viewers[-1]

    yield begin
    for viewer in viewers:
        viewer.end()


def test_what_is_refused_and_how_it_ends(work: Path, start: Callable[..., Viewer], tmp_path: Path) -> None:
    make.perception_run(work)
    viewer = start(work)
    own, token = f"127.0.0.1:{viewer.parts.port}", viewer.parts.path
    assert len(token) > 20
    assert viewer.ask(token)[0] == 200
    assert viewer.ask(f"{token}state.json", Origin=f"http://{own}")[0] == 200
    for status, path, headers in (
        (403, token, {"Host": "rebound.example"}),
        (403, token, {"Host": f"rebound.example:{viewer.parts.port}"}),
        (403, f"{token}state.json", {"Origin": "http://rebound.example"}),
        (404, "/", {}),
        (404, "/state.json", {}),
        (404, f"{token}../state.json", {}),
        (404, f"{token}runs/..%2f..%2f..%2fetc%2fpasswd.json", {}),
        (404, f"{token}%2e%2e/%2e%2e/{KEY}_score.json", {}),
        (404, f"{token}{KEY}_score.json", {}),
        (404, f"{token}images/..%2f{KEY}_score.json", {}),
    ):
        assert viewer.ask(path, **headers)[0] == status, (path, headers)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert viewer.ask(token, method)[0] == 405
    # From elsewhere in the network there is no way in.
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, viewer.parts.port or 0), timeout=2)
    taken = python("view", str(work), "--no-open", "--port", str(viewer.parts.port))
    _, err = taken.communicate(timeout=30)
    assert (taken.returncode, "--port" in err, len(err.splitlines())) == (1, True, 1)
    assert viewer.end(signal.SIGINT) == (130, "medqbench: interrupted.\n")
    again = start(work, "--port", str(viewer.parts.port))
    assert again.parts.port == viewer.parts.port
    assert again.address != viewer.address
    assert again.end(signal.SIGTERM) == (143, "medqbench: ended by SIGTERM.\n")


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name, words in (("absent", "is no folder"), ("file", "is no folder")):
        code, out, err = command(capsys, "view", tmp_path / name, "--no-open")
        assert (code, out) == (2, "")
        assert words in err and "--work-dir" in err


playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def page(work: Path, start: Callable[..., Viewer]) -> Iterator[Any]:
    """A browser on the viewer of the folder; it must ask nobody else, and its console must stay quiet."""
    viewer = start(work)
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(15_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith((viewer.address, "data:")) or said.append(asked.url))
        page.viewer = viewer
        yield page
        browser.close()
    assert not [text for text in said if "net::ERR_CONNECTION" not in text]  # of a viewer that has ended


def shows(page: Any, place: str, text: str) -> None:
    playwright.expect(page.locator(place)).to_contain_text(text, timeout=15_000)


@needs_browser
def test_an_empty_folder_fills_while_it_is_looked_at(page: Any, work: Path, tmp_path: Path) -> None:
    page.goto(page.viewer.address)
    shows(page, "#live", "no scored run yet")
    assert not page.is_visible("#summary")
    file = ProgressFile(progress_path(work, KEY), "Model-X", "MedQBench_Perception_mini")
    file.told("inference", 2, 8)
    shows(page, "#live .work", "2 of 8 samples")
    shows(page, "#live-link", "At work: 1")
    file._written = 0.0
    file.told("inference", 3, 8, "1 failed")
    shows(page, "#live .work", "1 failed")
    shows(page, "#live .work", "3 of 8 samples")
    root = tmp_path / "LMUData" / "images" / "MedQBench"
    names = [page_runs.stored(root, page_runs.image_bytes((40 * place, 90, 200))) for place in range(5)]
    make.make_run(page_runs.questions(images=names), work)
    file.path.unlink()
    shows(page, "#headline", "60.00%")
    shows(page, "#failures-body", "2 of 5 samples failed")
    playwright.expect(page.locator("#live .work")).to_have_count(0)
    page.click("text=Show the 2 failed samples")
    shows(page, "#count", "2 of 5 samples")
    image = page.locator("#detail img").first
    playwright.expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") == 64
    # What one reads stays while another run comes.
    make.make_run(page_runs.questions(5, names, right=True), work, model="Model-Y")
    playwright.expect(page.locator("#run option")).to_have_count(2, timeout=15_000)
    shows(page, "#count", "2 of 5 samples")
    page.select_option("#versus", "1")
    playwright.expect(page.locator(".runs.two > div")).to_have_count(2)
    page.click("nav >> text=Leaderboard")
    playwright.expect(page.locator("#board-perception tbody tr.own")).to_have_count(2)
    page.click("nav >> text=Comparison")
    page.click("#compare-runs")
    playwright.expect(page.locator("#compared table.matrix tbody tr")).to_have_count(2)
    # Two of five questions tell the runs apart.
    shows(page, "#compared table.matrix", "+40.0")
    page.locator("#compared table.matrix td.level button").first.click()
    shows(page, "#compared [role=status]", "2 of 5 samples that all have")
    make.make_run(page_runs.questions(5, names, right=True), work, model="Model-Z")
    shows(page, "#compare-again", "Compare 3 runs")
    page.click("#compare-runs")
    playwright.expect(page.locator("#compared table.matrix tbody tr")).to_have_count(3)
    work.rename(tmp_path / "away")
    shows(page, "#live", "not there any more")
    assert page.viewer.end()[0] == 143
    shows(page, "#live", "has ended")


@needs_browser
def test_a_real_evaluation_is_watched_from_its_first_verdict_to_its_row(page: Any, work: Path) -> None:
    replies = {str(i): f"It is sharp. The quality of this image is usable, case {i}." for i in range(12)}
    path = make.write_reasoning(work / "Slow_MedQBench_Reasoning_NoReference_mini.tsv", replies)
    halfway, seen = threading.Event(), []

    def reply(_: object) -> str:
        seen.append(1)
        if len(seen) > 24:
            halfway.wait(60)
        return "Score: 2"

    page.set_viewport_size({"width": 380, "height": 800})
    page.goto(page.viewer.address)
    with JudgeServer(reply) as server:
        judge = ["--judge", "gpt-4o", "--judge-base-url", server.base_url, "--protocol", "rubric", "--judge-nproc", "2"]
        scoring = python("score", str(path), "--out", str(work), "--model", "Slow", *judge)
        try:
            shows(page, "#live .work", "judging")
            shows(page, "#live .work", "of 48 verdicts")
            assert page.evaluate("document.documentElement.scrollWidth") <= 380
            halfway.set()
            shows(page, "#headline", "Slow")
            assert scoring.wait(60) == 0
        finally:
            halfway.set()
            scoring.kill()
            scoring.communicate()
    shows(page, "#board-no-reference tr.own", "Slow")
    playwright.expect(page.locator("#live .work")).to_have_count(0)
    assert json.loads(gzip.decompress(page.viewer.ask(f"{page.viewer.parts.path}state.json")[1]))["work"] == []
