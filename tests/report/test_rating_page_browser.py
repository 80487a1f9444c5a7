"""The rating page in a browser: keys, progress, exports that 'agreement' reads, and texts that attack it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medqbench_vlmeval.workflows.agreement import compare_ratings
from medqbench_vlmeval.workflows.rating_sheets import draw_ratings
from tests import make
from tests.report import page_runs
from tests.report.test_page_browser import CHROMIUM, Visit, playwright

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

HOSTILE = f"{page_runs.CLOSING} {page_runs.MARKUP} {page_runs.RTL}"
JUDGE = (2, 1, 0, 2)
GREY = page_runs.image_bytes((90, 90, 90), (40, 30))
RED = page_runs.image_bytes((200, 10, 10), (80, 60), "JPEG")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A judged run of three answers with images, a pair among them, and pages of it."""
    folder = tmp_path_factory.mktemp("rated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMUData", str(folder / "data"))
        store = folder / "data" / "images" / "MedQBench"
        grey = folder / "grey.tif"
        Image.linear_gradient("L").save(grey)
        one, other = page_runs.stored(store, GREY), page_runs.stored(store, RED, "jpg")
        tif = page_runs.stored(store, grey.read_bytes(), "tif")
        pair, single = make.Task.COMPARATIVE, make.Task.NO_REFERENCE
        rows = [
            make.judged("sample-1", JUDGE, single, judge="judge-canary", modality="Fundus", image_refs=(tif,)),
            make.judged("sample-2", JUDGE, pair, text=HOSTILE, judge="judge-canary", image_refs=(one, other)),
            make.judged("sample-3", JUDGE, single, judge="judge-canary", image_refs=("none.png",)),
        ]
        run = make.make_run(rows, folder / "runs", model="Secret-7B", judge="judge-canary")
        for reference in ("shown", "hidden", "after"):
            draw_ratings([run.paths.samples], 3, html=folder / f"{reference}.html", reference=reference)
        yield folder


Rate = Callable[..., Visit]


def begun(visit: Visit, rater: str) -> Visit:
    """A rating page that is opened; with a rater's name, at the first thing to rate."""
    page = visit.open()
    if rater:
        page.fill("#name", rater)
        page.keyboard.press("Enter")
    return visit


@pytest.fixture
def visit_to(browser: Any, folder: Path) -> Iterator[Rate]:
    """Opens a rating page, as a rater or to its first question; all pages must have stayed quiet in the end."""
    visits: list[Visit] = []

    def start(name: str = "shown", rater: str = "Anna", script: str = "") -> Visit:
        visits.append(Visit(browser, folder / f"{name}.html"))
        visits[-1].context.add_init_script(script)
        return begun(visits[-1], rater)

    yield start
    for visit in visits:
        visit.close()


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: Any, to: Path, button: str = "#json") -> Path:
    with page.expect_download() as download:
        page.click(button)
    download.value.save_as(to)
    return to


def place(page: Any, text: str) -> None:
    """Go to the answer that holds a text."""
    for _ in range(3):
        if text in page.inner_text("#answer"):
            return
        press(page, "ArrowLeft" if "Answer 3 of 3" in page.inner_text("#title") else "ArrowRight")
    press(page, "ArrowLeft", "ArrowLeft")
    assert text in page.inner_text("#answer")


def test_three_answers_by_keys_and_back_into_agreement(visit_to: Rate, folder: Path, tmp_path: Path) -> None:
    visit = visit_to()
    page = visit.page
    assert page.inner_text("#title") == "Answer 1 of 3"
    press(page, "2", "1", "2", "0", "Enter", "2", "1", "2", "0")
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("1")  # the four are rated: no fifth
    assert "Enter goes on" in page.inner_text("#said")
    page.keyboard.press("Enter")
    page.reload()
    page.click("#earlier button")
    assert (page.inner_text("#title"), page.inner_text("#progress")) == ("Answer 3 of 3", "2 of 3 rated")
    press(page, "0", "ArrowUp", "Delete", "2", "1", "2")
    assert page.inner_text("#progress") == "2 of 3 rated, 1 in part"
    press(page, "2", "c")
    page.keyboard.type("=1+2, blurred")
    page.keyboard.press("Escape")
    assert "All answers are rated" in page.inner_text("#notice")

    run, key = folder / "runs", folder / "shown_key.json"
    as_json, as_csv = saved(page, tmp_path / "anna.json"), saved(page, tmp_path / "anna.csv", "#csv")
    compared = compare_ratings(run, [as_json], key)
    # The judge: 2, 1, 0, 2 on each; people: 2, 1, 2, 0 twice and 2, 1, 2, 2.
    shares = [row["accuracy"] for row in compared.to_json()["dimensions"].values()]
    assert shares == [100, 100, 0, pytest.approx(100 / 3)]
    assert (compared.to_json()["raters"], compared.to_json()["reference"]) == (["Anna"], ["shown"])
    assert "=1+2, blurred" in [case.comments.get("Anna") for case in compared.ratings.disagreements]
    again = compare_ratings(run, [as_csv], key)
    assert again.to_json() == compared.to_json()
    assert "'=1+2, blurred" in [case.comments.get("Anna") for case in again.ratings.disagreements]
    # A second rater in another browser, half done: both are read together.
    other = visit_to(rater="Bo").page
    press(other, "2", "1", "2", "0", "Enter", "1")
    both = compare_ratings(run, [as_json, saved(other, tmp_path / "bo.json")], key).to_json()
    assert (both["raters"], both["n_partly_rated"]) == (["Anna", "Bo"], {"Bo": 2})
    assert [row["alpha"]["n"] for row in both["among_raters"].values()] == [2, 1, 1, 1]


def test_going_on_elsewhere_from_an_export(visit_to: Rate, tmp_path: Path) -> None:
    first = visit_to().page
    press(first, "2", "1", "2", "0", "Enter", "1")
    export = saved(first, tmp_path / "anna.json")
    page = visit_to(rater="").page
    content = json.loads(export.read_text(encoding="utf-8"))
    broken = tmp_path / "broken.json"
    rows = content["ratings"]
    for changes, words in (
        ({"page": "0123456789"}, "is an export of another page (0123456789;"),
        ({"ratings": [*rows[:1], {**rows[1], "preciseness": 3}]}, ", rating 2: 3 is no rating of Preciseness."),
        ({"ratings": [{**rows[0], "rating id": "R-1"}]}, ", rating 1: its rating id is not on this page."),
        ({"ratings": {}}, "is no JSON export of a rating page."),
        ({"rater": " "}, "names no rater."),
    ):
        broken.write_text(json.dumps({**content, **changes}), encoding="utf-8")
        page.set_input_files("#start-import", broken)
        playwright.expect(page.locator("#start-said")).to_contain_text(words)
    broken.write_text("{", encoding="utf-8")
    page.set_input_files("#start-import", broken)
    playwright.expect(page.locator("#start-said")).to_contain_text("is no JSON export of a rating page.")
    page.set_input_files("#start-import", export)
    playwright.expect(page.locator("#progress")).to_have_text("1 of 3 rated, 1 in part")
    assert page.inner_text("#rater") == "Anna"
    # What was rated here since stays, whatever an older export says.
    press(page, "0")
    page.set_input_files("#import", export)
    playwright.expect(page.locator("#said")).to_contain_text("0 ratings of Anna were taken over")
    assert page.get_attribute("#dimension-0 [data-mark='0']", "aria-pressed") == "true"
    page.set_input_files("#import", export)
    other = tmp_path / "bo.json"
    other.write_text(json.dumps({**content, "rater": "Bo"}), encoding="utf-8")
    page.set_input_files("#import", other)
    playwright.expect(page.locator("#notice")).to_contain_text("holds ratings of Bo, not of Anna")


def test_images_are_the_originals_and_a_pair_is_linked(visit_to: Rate, folder: Path) -> None:
    page = visit_to().page
    place(page, "onerror")
    images = page.locator("#images .zoom-frame img")
    playwright.expect(images).to_have_count(2)
    page.set_viewport_size({"width": 390, "height": 500})
    press(page, "ArrowLeft", "ArrowRight")
    assert page.evaluate("scrollY") == 0  # the images first, the ratings are below them
    page.set_viewport_size({"width": 1280, "height": 800})
    sources = [image.get_attribute("src") for image in images.all()]
    assert sources == [
        f"data:image/{kind};base64,{b64encode(data).decode()}" for kind, data in (("png", GREY), ("jpeg", RED))
    ]
    before = [image.bounding_box()["width"] for image in images.all()]
    page.keyboard.press("+")
    after = [image.bounding_box()["width"] for image in images.all()]
    assert all(wide < wider for wide, wider in zip(before, after, strict=True))
    assert after[1] == pytest.approx(2 * after[0])
    assert page.locator("#images a").count() == 0
    # A digit rates, also where the images have the keys; 1 is none of a pair's last dimension.
    page.click("#images .zoom-stage")
    press(page, "2", "2", "2", "1")
    assert "1 is no rating of Quality Accuracy here: 0 or 2" in page.inner_text("#said")
    place(page, "Answer sample-1")
    playwright.expect(page.locator("#images figcaption")).to_contain_text("TIFF shown as PNG")
    assert page.evaluate("document.querySelector('#images img').naturalWidth") == 256
    assert page.is_visible("#images .zoom-bar")
    place(page, "Answer sample-3")
    assert "this image is not in the file" in page.inner_text("#images")
    assert not page.is_visible("#images .zoom-bar")  # there is nothing to enlarge


def test_texts_are_texts_and_the_file_is_blinded(visit_to: Rate, folder: Path) -> None:
    visit = visit_to(rater="<b>Bo</b>")
    page = visit.page
    place(page, "onerror")
    shown = page.locator("#answer .text").evaluate("box => box.textContent")
    assert shown == HOSTILE
    assert page.locator("#answer b").count() == 0
    assert (page.inner_text("#rater"), page.title()[:8]) == ("<b>Bo</b>", "Ratings ")
    for name in ("shown", "hidden", "after"):
        text = (folder / f"{name}.html").read_text(encoding="utf-8")
        for trace in (
            "Secret-7B",
            "judge-canary",
            "sample-1_",
            '"sample-',
            "Fundus",
            "none.png",
            "MedQBench_",
            "Score: ",
        ):
            assert trace not in text, (name, trace)
        assert ("Reference sample-2" in text) == (name != "hidden")


def test_a_reference_that_comes_after(visit_to: Rate, tmp_path: Path) -> None:
    page = visit_to("after").page
    assert "Reference sample" not in page.inner_text("#main")
    page.keyboard.press("r")
    assert "Rate all four first" in page.inner_text("#said")
    press(page, "2", "2", "2", "2", "r")
    assert "sharp, and so the quality" in page.inner_text("#reference")
    press(page, "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "0")
    row = json.loads(saved(page, tmp_path / "a.json").read_text(encoding="utf-8"))["ratings"][0]
    assert (row["completeness"], row["first"]["completeness"]) == (0, 2)
    hidden = visit_to("hidden").page
    assert "what you see in the image stands for it" in hidden.inner_text("#texts")


def test_a_rater_in_two_tabs_loses_nothing(visit_to: Rate) -> None:
    visit = visit_to(rater="Ed")
    other = visit.context.new_page()
    other.goto(visit.page.url)
    other.click("#earlier button")
    press(other, "2")
    playwright.expect(visit.page.locator("#progress")).to_have_text("0 of 3 rated, 1 in part")
    press(visit.page, "ArrowDown", "1")
    playwright.expect(other.locator("#dimension-0 [data-mark='2'][aria-pressed=true]")).to_have_count(1)
    playwright.expect(other.locator("#dimension-1 [data-mark='1'][aria-pressed=true]")).to_have_count(1)
    other.evaluate("Object.keys(localStorage).forEach((name) => localStorage.setItem(name, '{'))")
    other.reload()
    other.click("#earlier button")
    assert other.inner_text("#progress") == "0 of 3 rated"


FORBIDDEN = (
    "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
)


def test_without_storage_the_export_is_what_stays(visit_to: Rate, tmp_path: Path) -> None:
    page = visit_to(script=FORBIDDEN).page
    page.keyboard.press("2")
    assert "keeps nothing for this page" in page.inner_text("#notice")
    rows = json.loads(saved(page, tmp_path / "a.json").read_text(encoding="utf-8"))["ratings"]
    assert [row["completeness"] for row in rows] == [2, None, None]
