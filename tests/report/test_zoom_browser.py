"""The image viewer in a browser: pixels as blocks, window and level worked out by hand, pairs, keys, lost originals."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.page import write_page
from tests import make
from tests.report import page_runs
from tests.report.test_page_browser import CHROMIUM, Visit, playwright

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

WIDE, HIGH = 40, 30
Open = Callable[..., Visit]


def noise(x: int, y: int) -> int:
    return (x * 73 + y * 151 + x * y * 37) % 256


def png(value: Callable[[int, int], Any], mode: str = "L", size: tuple[int, int] = (WIDE, HIGH)) -> bytes:
    image = Image.new(mode, size)
    image.putdata([value(x, y) for y in range(size[1]) for x in range(size[0])])
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of four questions (noise, two greys, colour, a large image) and a pair of black and white."""
    folder = tmp_path_factory.mktemp("zoomed")
    root = folder / "store"
    pictures = [
        png(noise),
        png(lambda x, y: 100 if x < WIDE // 2 else 150),
        png(lambda x, y: (x * 6, 200, y * 8), "RGB"),
        png(lambda x, y: (x // 50 * 40 + y // 50 * 9) % 256, size=(600, 400)),
    ]
    names = [page_runs.stored(root, data) for data in pictures]
    pair = tuple(page_runs.stored(root, png(lambda x, y, grey=grey: grey, size=(64, 64))) for grey in (30, 220))
    runs = [
        make.make_run(page_runs.questions(4, names)),
        make.make_run([make.judged("1", task=Task.COMPARATIVE, image_refs=pair)]),
    ]
    write_page(folder / "page.html", runs, root, "full")
    return folder / "page.html"


@pytest.fixture
def visit_to(browser: Any, made: Path) -> Iterator[Open]:
    visits: list[Visit] = []

    def start(page: Path = made, **options: Any) -> Visit:
        visits.append(Visit(browser, page, **options))
        return visits[-1]

    yield start
    for visit in visits:
        visit.close()


QUESTION = "#run=Model-X_MedQBench_Perception_mini&sample={}"
PAIR = "#run=Model-X_MedQBench_Reasoning_Comparative_mini&sample=1"


def ready(visit: Visit, fragment: str) -> Any:
    """The page once the originals are shown."""
    page = visit.open(fragment)
    playwright.expect(page.locator("#detail .zoom-pane a", has_text="original file").first).to_be_visible()
    return page


def seen(page: Any, place: int = 0) -> tuple[Image.Image, dict[str, float]]:
    """The screen, and where the image of a pane lies on it, in pixels of the screen."""
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    box, ratio = page.locator(".zoom-room img").nth(place).bounding_box(), page.evaluate("devicePixelRatio")
    return picture, {name: value * ratio for name, value in box.items()}


@pytest.mark.parametrize(("ratio", "width"), [(1, 1280), (1, 1003), (2, 1280)])
def test_pixels_are_blocks_without_smoothing(visit_to: Open, ratio: float, width: int) -> None:
    visit = visit_to(device_scale_factor=ratio, viewport={"width": width, "height": 800})
    page = ready(visit, QUESTION.format(1))
    page.keyboard.press("4")
    picture, lies = seen(page)
    assert (round(lies["width"]), round(lies["height"])) == (4 * WIDE, 4 * HIGH)
    left, top = round(lies["x"]), round(lies["y"])
    assert (left, top) == (pytest.approx(lies["x"], abs=0.02), pytest.approx(lies["y"], abs=0.02))
    for x in range(WIDE):
        for y in range(HIGH):
            grey = noise(x, y)
            block = picture.crop((left + 4 * x, top + 4 * y, left + 4 * x + 4, top + 4 * y + 4))
            assert block.getextrema() == ((grey, grey),) * 3, (x, y)


def pressed(page: Any) -> list[str]:
    return list(page.locator(".zoom-bar [aria-pressed=true]").all_inner_texts())


def test_keys_and_buttons_zoom_in_whole_steps(visit_to: Open) -> None:
    page = ready(visit_to(), QUESTION.format(4))
    said = page.locator(".zoom-said")
    assert (pressed(page), float(said.inner_text().rstrip("%"))) == (["Fit"], pytest.approx(60, abs=30))
    for key, words in (
        ("1", "1:1"),
        ("2", "2:1"),
        ("4", "4:1"),
        ("+", "8:1"),
        ("+", "16:1"),
        ("-", "8:1"),
        ("8", "8:1"),
    ):
        page.keyboard.press(key)
        assert said.inner_text() == words, key
        assert seen(page)[1]["width"] == 600 * int(words.partition(":")[0])
    page.keyboard.press("0")
    assert pressed(page) == ["Fit"]
    page.click(".zoom-bar >> text='2:1'")
    assert pressed(page) == ["2:1"]
    # Zoom and place stay from one sample to the next.
    page.focus(".zoom-stage")
    before = seen(page)[1]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    moved = seen(page)[1]
    assert (moved["x"] - before["x"], moved["y"] - before["y"]) == (-64, -64)
    page.keyboard.press("k")
    assert pressed(page) == ["2:1"]
    page.keyboard.press("j")
    assert visit_text(page) == "4"
    playwright.expect(page.locator(".zoom-pane a")).to_be_visible()
    assert seen(page)[1] == moved


def visit_text(page: Any) -> str:
    return str(page.inner_text("#detail h2"))


def test_the_wheel_zooms_about_the_pointer(visit_to: Open) -> None:
    page = ready(visit_to(), QUESTION.format(4))
    page.keyboard.press("1")
    edge = page.locator(".zoom-room").bounding_box()
    x, y = edge["x"] + 100, edge["y"] + 80
    page.mouse.move(x, y)

    def under() -> tuple[float, float]:
        lies = seen(page)[1]
        return (x - lies["x"]) / lies["width"], (y - lies["y"]) / lies["height"]

    before = under()
    for words in ("2:1", "4:1", "8:1"):
        page.mouse.wheel(0, -100)
        playwright.expect(page.locator(".zoom-said")).to_have_text(words)
        assert under() == pytest.approx(before, abs=0.002)
    page.mouse.wheel(0, 100)
    playwright.expect(page.locator(".zoom-said")).to_have_text("4:1")
    assert page.evaluate("document.querySelector('#detail').scrollTop") == 0


def greys(page: Any, place: int = 0) -> tuple[int, int]:
    """The grey in the left and in the right half of what a pane shows."""
    picture, lies = seen(page, place)
    edge = page.locator(".zoom-room").nth(place).bounding_box()
    y = round(edge["y"] + edge["height"] / 2)
    ends = [picture.getpixel((round(lies["x"] + lies["width"] * part), y)) for part in (0.25, 0.75)]
    assert all(len(set(colour)) == 1 for colour in ends)
    return ends[0][0], ends[1][0]


def test_window_and_level_show_the_greys_that_dicom_gives(visit_to: Open) -> None:
    page = ready(visit_to(), QUESTION.format(2))
    window, level = page.get_by_label("window, grey levels"), page.get_by_label("level, grey levels")
    assert (window.input_value(), level.input_value(), greys(page)) == ("256", "128", (100, 150))
    window.fill("101")
    # ((100 - 127.5) / 100 + 0.5) * 255 = 57.4 and ((150 - 127.5) / 100 + 0.5) * 255 = 184.9
    assert greys(page) == (pytest.approx(57, abs=1), pytest.approx(185, abs=1))
    edge = page.locator(".zoom-room").bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(edge["x"] + 100, edge["y"] + 100)
    page.mouse.down()
    page.mouse.move(edge["x"] + 120, edge["y"] + 90, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert (window.input_value(), level.input_value()) == ("121", "118")
    # ((100 - 117.5) / 120 + 0.5) * 255 = 90.3 and ((150 - 117.5) / 120 + 0.5) * 255 = 196.6
    assert greys(page) == (pytest.approx(90, abs=1), pytest.approx(197, abs=1))
    page.mouse.dblclick(edge["x"] + 100, edge["y"] + 100)
    assert (window.input_value(), greys(page)) == ("256", (100, 150))
    # The button makes a plain drag do it, as a finger needs.
    page.click(".zoom-bar >> text=Window")
    page.mouse.move(edge["x"] + 100, edge["y"] + 100)
    page.mouse.down()
    page.mouse.move(edge["x"] + 110, edge["y"] + 100)
    page.mouse.up()
    assert window.input_value() == "266"
    # A colour image has no window.
    page.keyboard.press("j")
    playwright.expect(page.locator(".zoom-pane a")).to_be_visible()
    playwright.expect(page.get_by_label("window, grey levels")).to_be_hidden()


def test_a_pair_is_linked_and_blinks(visit_to: Open) -> None:
    page = ready(visit_to(), PAIR)
    playwright.expect(page.locator(".zoom-pane a")).to_have_count(2)
    page.keyboard.press("8")
    edge = page.locator(".zoom-room").nth(1).bounding_box()
    page.mouse.move(edge["x"] + 50, edge["y"] + 50)
    page.mouse.down()
    page.mouse.move(edge["x"] + 20, edge["y"] + 40)
    page.mouse.up()
    lies = [seen(page, place)[1] for place in (0, 1)]
    rooms = [page.locator(".zoom-room").nth(place).bounding_box() for place in (0, 1)]
    assert lies[0]["x"] - rooms[0]["x"] == pytest.approx(lies[1]["x"] - rooms[1]["x"], abs=1)
    assert lies[1]["x"] - rooms[1]["x"] != pytest.approx((edge["width"] - 512) / 2, abs=20)
    page.get_by_label("level, grey levels").fill("100")
    # ((30 - 99.5) / 255 + 0.5) * 255 = 58 and ((220 - 99.5) / 255 + 0.5) * 255 = 248
    assert (greys(page, 0), greys(page, 1)) == ((58, 58), (248, 248))
    page.focus(".zoom-stage")
    tags = page.locator(".zoom-tag")
    lefts = [tags.nth(place).bounding_box()["x"] for place in (0, 1)]
    assert lefts[0] < lefts[1]
    page.keyboard.down("o")
    assert [tags.nth(place).bounding_box()["x"] for place in (0, 1)] == lefts[::-1]
    page.keyboard.up("o")
    page.keyboard.press("b")
    for place in (1, 0, 1):
        playwright.expect(tags.nth(place)).to_be_visible()
        playwright.expect(tags.nth(1 - place)).to_be_hidden()
    assert tags.nth(0).bounding_box()["x"] == tags.nth(1).bounding_box()["x"]
    page.keyboard.press("b")
    playwright.expect(tags.nth(0)).to_be_visible()
    playwright.expect(tags.nth(1)).to_be_visible()


def test_large_over_the_page_and_on_to_the_next_sample(visit_to: Open) -> None:
    page = ready(visit_to(), QUESTION.format(1))
    page.keyboard.press("z")
    assert page.locator(".zoom-large .zoom-room").bounding_box()["width"] > 1200
    assert page.inner_text(".zoom-title") == "1 · Question 1?"
    page.keyboard.press("4")
    page.keyboard.press("j")
    assert (page.inner_text(".zoom-title"), pressed(page)) == ("2 · Question 2?", ["4:1"])
    page.keyboard.press("Escape")
    playwright.expect(page.locator(".zoom-large")).to_have_count(0)
    assert (visit_text(page), page.locator("#detail .zoom-room img").count()) == ("2", 1)
    assert page.is_visible("#list")
    page.locator("#list [role=option]").first.dblclick()
    assert page.locator(".zoom-large .zoom-room").is_visible()


def test_two_fingers_zoom_and_a_phone_needs_no_sideways_scrolling(visit_to: Open) -> None:
    visit = visit_to(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = ready(visit, QUESTION.format(4))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    edge = page.locator(".zoom-room").bounding_box()
    x, y = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    device = visit.context.new_cdp_session(page)

    def touch(kind: str, apart: float | None) -> None:
        points = [] if apart is None else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    page.click(".zoom-bar >> text='1:1'")
    touch("touchStart", 20)
    for apart in (30, 40, 60, 82):
        touch("touchMove", apart)
    playwright.expect(page.locator(".zoom-said")).to_have_text("4:1")
    touch("touchEnd", None)
    assert page.evaluate("visualViewport.scale") == 1


def test_a_page_without_its_originals_says_so_once(visit_to: Open, made: Path, tmp_path: Path) -> None:
    shutil.copy(made, tmp_path / "alone.html")
    visit = visit_to(tmp_path / "alone.html")
    page = visit.open(QUESTION.format(4))
    for _ in range(4):
        playwright.expect(page.locator("#originals")).to_have_text(
            "The original images are not beside this page: keep the folder 'images' with it. Thumbnails are shown "
            "instead, too small to judge fine noise or blur."
        )
        page.keyboard.press("k")
    assert page.locator("#detail .zoom-room img").evaluate("img => [img.naturalWidth, img.src.slice(0, 5)]") == [
        40,
        "data:",
    ]
    assert page.locator(".zoom-pane a").count() == 0
    assert visit.messages
    assert all("ERR_FILE_NOT_FOUND" in message for message in visit.messages)
    visit.messages.clear()


def test_a_server_gives_the_originals_too(visit_to: Open, made: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/favicon.ico":  # the browser's own wish
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(made.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    visit = visit_to()
    here = visit.address = f"http://127.0.0.1:{server.server_port}/page.html"
    try:
        page = ready(visit, QUESTION.format(1))
        assert page.evaluate("document.querySelector('.zoom-room img').src").startswith(here.rpartition("/")[0])
    finally:
        server.shutdown()
        server.server_close()
    assert all(url.startswith((here.rpartition("/")[0], "data:", "about:")) for url in visit.requests)
    visit.requests.clear()
