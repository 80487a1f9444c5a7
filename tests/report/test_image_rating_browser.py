"""The page on which readers rate images, in a browser: keys, faults, zoom, what a reload keeps, exports read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.workflows.synth_rating import calibrate_to_readers
from tests.report.test_page_browser import CHROMIUM, Visit, playwright
from tests.report.test_rating_page_browser import Rate, begun, press
from tests.workflows.synth_readers import by_thresholds, drawn, key_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 9 degraded pictures, and 2 undegraded ones: 6 / 6 of CT, 3 / 6 of endoscopy."""
    folder = tmp_path_factory.mktemp("page")
    assert drawn(folder, 3).n == 11
    return folder


@pytest.fixture
def visit_to(browser: Any, folder: Path) -> Iterator[Rate]:
    """Opens the page as a reader; all pages must have stayed quiet in the end."""
    visits: list[Visit] = []

    def start(rater: str = "Reader 1", **options: Any) -> Visit:
        visits.append(Visit(browser, folder / "rating.html", **options))
        return begun(visits[-1], rater)

    yield start
    for visit in visits:
        visit.close()


def saved(page: Any, to: Path, button: str = "#json") -> Path:
    with page.expect_download() as download:
        page.click(button)
    download.value.save_as(to)
    return to


def test_a_reader_rates_all_by_keys_and_the_export_is_read(visit_to: Rate, folder: Path, tmp_path: Path) -> None:
    page = visit_to().page
    images = key_of(folder)["images"]
    assert page.inner_text("#title") == "Image 1 of 11"
    # The reader rates by thresholds that the test sets, and names the fault where it is seen.
    expected = {}
    for rating_id, entry in images.items():
        mark = by_thresholds(0.2, 0.9)(entry)
        press(page, "rug"[mark])
        if mark < 2:
            names = page.locator("#faults input").evaluate_all("ticks => ticks.map((tick) => tick.value)")
            press(page, str((names.index(entry["degradation"]) + 1) % 10))
        expected[rating_id] = (mark, entry["degradation"] if mark < 2 else "")
        press(page, "Enter")
    assert page.inner_text("#progress") == "11 of 11 rated"
    assert "All images are rated" in page.inner_text("#notice")
    page.reload()
    page.click("#earlier button")
    assert page.inner_text("#progress") == "11 of 11 rated"

    as_json, as_csv = saved(page, tmp_path / "one.json"), saved(page, tmp_path / "one.csv", "#csv")
    rows = json.loads(as_json.read_text(encoding="utf-8"))["ratings"]
    assert {row["rating id"]: (row["quality"], row["faults"]) for row in rows} == expected
    found = calibrate_to_readers(folder, [as_json])
    assert (found.raters, found.n) == (("Reader 1",), 11)
    assert calibrate_to_readers(folder, [as_csv]).to_json() == found.to_json()


def test_faults_are_ticked_by_digits_mouse_and_space(visit_to: Rate, tmp_path: Path) -> None:
    page = visit_to().page
    ticked = "#faults input:checked"
    press(page, "2", "1")
    first = page.locator("#faults input").first
    assert page.locator(ticked).count() == 2
    press(page, "2")
    assert page.locator(ticked).count() == 1
    page.click("#faults label:nth-of-type(3)")
    first.focus()
    press(page, "Space")
    values = page.locator("#faults input").evaluate_all("ticks => ticks.map((tick) => tick.value)")
    row = json.loads(saved(page, tmp_path / "a.json").read_text(encoding="utf-8"))["ratings"][0]
    assert (row["faults"], row["quality"]) == (values[2], None)
    # With a box in focus the keys go on working, and Enter goes to the next image.
    first.focus()
    press(page, "g", "ArrowUp")
    assert page.get_attribute("[data-mark='2']", "aria-pressed") == "true"
    first.focus()
    press(page, "Enter")
    assert page.inner_text("#title") == "Image 2 of 11"
    assert page.locator(ticked).count() == 0
    press(page, "p", "Delete")
    assert page.inner_text("#progress") == "0 of 11 rated"
    assert page.locator(ticked).count() == 1
    press(page, "r", "n", "n", "o")
    assert page.inner_text("#title") == "Image 4 of 11"
    press(page, "c")
    page.keyboard.type("gur 1 =x")
    press(page, "Escape")
    rows = json.loads(saved(page, tmp_path / "b.json").read_text(encoding="utf-8"))["ratings"]
    assert (rows[3]["comment"], rows[3]["quality"], rows[3]["faults"]) == ("gur 1 =x", None, "")


def test_zoom_window_and_names_for_screen_readers(visit_to: Rate, folder: Path) -> None:
    page = visit_to().page
    images = list(key_of(folder)["images"].values())
    press(page, *["n"] * next(place for place, entry in enumerate(images) if entry["modality"] == "CT"))
    image = page.locator("#images .zoom-frame img")
    before = image.bounding_box()["width"]
    press(page, "+")
    assert image.bounding_box()["width"] > before
    page.get_by_role("spinbutton", name="window, grey levels").fill("100")
    assert "url(" in page.locator("#images .zoom-frame").evaluate("frame => frame.style.filter")
    press(page, "Escape")
    press(page, "f")
    assert image.bounding_box()["width"] == pytest.approx(before)
    group = page.get_by_role("group", name="Quality")
    assert group.get_by_role("button").count() == 3
    assert page.get_by_role("group", name="Visible faults").get_by_role("checkbox", name="ring").count() == 1
    assert page.locator("#images img").get_attribute("alt") == "Image of this sample"
    names = page.locator("#faults input").evaluate_all("ticks => ticks.map((tick) => tick.value)")
    assert all(name.startswith("ct-") for name in names)


def test_an_export_with_a_foreign_fault_is_not_taken_over(visit_to: Rate, tmp_path: Path) -> None:
    page = visit_to().page
    press(page, "g", "1")
    path = saved(page, tmp_path / "a.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    other = visit_to("").page
    content["ratings"][0]["faults"] = "ct-ring no-such"
    path.write_text(json.dumps(content), encoding="utf-8")
    other.set_input_files("#start-import", path)
    playwright.expect(other.locator("#start-said")).to_contain_text("is no fault that this page has")
    content["ratings"][0]["faults"] = ""
    path.write_text(json.dumps(content), encoding="utf-8")
    other.set_input_files("#start-import", path)
    playwright.expect(other.locator("#progress")).to_have_text("1 of 11 rated")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen_in_both_themes(visit_to: Rate, scheme: str, width: int) -> None:
    page = visit_to(color_scheme=scheme, viewport={"width": width, "height": 800}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(246, 246, 244)" if scheme == "light" else "rgb(19, 22, 25)")
