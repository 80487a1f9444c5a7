"""The page in a browser: filters, search, links, keys, themes, and texts that attack it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.report.colours import look_of
from medqbench_vlmeval.report.page import write_page
from medqbench_vlmeval.workflows.compare import compare_runs
from tests import make
from tests.report import page_runs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

X, Y, PAIRS = (
    "Model-X_MedQBench_Perception_mini",
    "Model-Y_MedQBench_Perception_mini",
    "Model-X_MedQBench_Reasoning_Comparative_mini",
)


class Visit:
    """A page with what its console said and what it asked for; both must stay quiet."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(5_000)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.messages.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()

    def open(self, fragment: str = "") -> Any:
        # A change of the fragment alone loads nothing; a visit is a new one each time.
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)
        return self.page

    def text(self, place: str) -> str:
        return str(self.page.inner_text(place))

    def indices(self) -> list[str]:
        return list(self.page.locator("#list [role=option] .name > bdi").all_inner_texts())

    def choose(self, facet: str, value: str) -> None:
        """Choose a filter's value, behind the button that unfolds the filters."""
        if self.page.is_hidden("#facets"):
            self.page.click("#more")
        self.page.select_option(f"#facet-{facet}", value)

    def count(self, expected: str) -> None:
        playwright.expect(self.page.locator("#count")).to_have_text(expected)

    def close(self) -> None:
        self.context.close()
        assert not self.messages
        assert not [url for url in self.requests if not url.startswith(("file:", "data:", "about:"))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("browsed")
    root = folder / "store"
    write_page(folder / "page.html", page_runs.three_runs(root), root)
    write_page(folder / "hostile.html", [page_runs.hostile_run()], root)
    judged = page_runs.reasoning_run(root, "constructor")
    first, *others = judged.rows
    parts = {name: make.verdict("completeness", 1) for name in ("constructor", "__proto__", "1")}
    mean = replace(first.verdicts["completeness"], score=4 / 3, parts=parts)
    first = replace(first, verdicts={**first.verdicts, "completeness": mean})
    failed = [replace(row, unscored="judge failed", score=None, verdicts={}, error_kinds=()) for row in others]
    write_page(folder / "harsh.html", [page_runs.harsh_run(), replace(judged, rows=(first, *failed))], root)
    return {name: folder / f"{name}.html" for name in ("page", "hostile", "harsh")}


Open = Callable[..., Visit]


@pytest.fixture
def visit_to(browser: Any, made: dict[str, Path]) -> Iterator[Open]:
    """Opens a browser on a page, by its name or path; all are closed at the end, and must have stayed quiet."""
    visits: list[Visit] = []

    def start(page: str | Path, **options: Any) -> Visit:
        visits.append(Visit(browser, made[page] if isinstance(page, str) else page, **options))
        return visits[-1]

    yield start
    for visit in visits:
        visit.close()


@pytest.fixture
def visit(visit_to: Open) -> Visit:
    """The page of three runs."""
    return visit_to("page")


@pytest.mark.slow
def test_from_the_first_look_to_the_failed_images(visit: Visit) -> None:
    """The way that the page is for: the number, its failures, their images."""
    page = visit.open()
    assert "60.00%" in visit.text("#headline")
    assert "embedded set" in visit.text("#headline")
    page.click("text=Show the 2 failed samples")
    visit.count("2 of 5 samples")
    assert visit.indices() == ["4", "5"]
    assert page.locator("#detail img").count() == 1
    assert page.evaluate("document.querySelector('#detail img').naturalWidth") == 64
    page.keyboard.press("j")
    assert visit.text("#detail h2") == "5"
    assert "sample=5" in page.url
    assert "outcome=failed" in page.url


@pytest.mark.slow
class TestSamples:
    def test_filters_combine_and_count_what_they_would_leave(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={X}")
        visit.count("5 samples")
        assert page.is_hidden("#facets")
        visit.choose("modality", "CT")
        visit.count("3 of 5 samples")
        options = ["all", "any failure (1)", "right (2)", "no answer (1)"]
        assert page.locator("#facet-outcome option").all_inner_texts() == options
        visit.choose("outcome", "no answer")
        visit.count("1 of 5 samples")
        assert visit.indices() == ["5"]
        assert "modality=CT" in page.url
        page.click("#reset")
        visit.count("5 samples")
        assert page.locator("#active").text_content() == ""

        page = visit.open(f"#view=samples&run={X}&modality=MRI&outcome=no+answer")
        visit.count("0 of 5 samples")
        assert "Clear a filter" in visit.text("#list")
        assert page.locator("#list [role=option]").count() == 0

    def test_filters_that_are_on_are_chips_and_come_off_one_by_one(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={X}&modality=MRI&outcome=no+answer")
        chips = page.locator("#chosen button")
        assert chips.all_inner_texts() == ["Outcome: no answer ×", "Modality: MRI ×"]
        assert "(2)" in visit.text("#more")
        chips.first.focus()
        page.keyboard.press("Enter")
        visit.count("2 of 5 samples")
        playwright.expect(page.locator("#off-modality")).to_be_focused()
        page.keyboard.press("Enter")
        visit.count("5 samples")
        playwright.expect(page.locator("#more")).to_be_focused()
        assert chips.count() == 0

    def test_search_looks_through_question_reply_and_index(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={X}")
        for words, indexes in (("cannot TELL", ["5"]), ("question 3", ["3"]), ("=1+1", ["4"]), ("nowhere", [])):
            page.fill("#search", words)
            visit.count(f"{len(indexes)} of 5 samples")
            playwright.expect(page.locator("#list .name > bdi")).to_have_text(indexes)
        page.fill("#search", "question 3")
        visit.count("1 of 5 samples")
        assert page.locator("#detail").count() == 1
        assert page.locator("#list mark").all_inner_texts() == ["Question", "3"]
        assert "q=question+3" in page.url

    def test_order(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={PAIRS}")
        for order, indexes in (("worst", ["3", "2", "1"]), ("best", ["1", "2", "3"])):
            page.select_option("#order", order)
            assert visit.indices() == indexes

    def test_a_link_leads_to_one_sample_of_one_run(self, visit: Visit) -> None:
        page = visit.open(f"#run={Y}&sample=4")
        assert visit.text("#detail h2") == "4"
        assert visit.text("#detail .badge >> nth=0") == "✓ A right"
        assert page.input_value("#run") == "1"
        assert page.locator("#list [aria-selected=true]").count() == 1

    def test_a_link_to_what_is_not_there_says_so(self, visit: Visit) -> None:
        visit.open(f"#run={X}&sample=99")
        assert "no sample 99" in visit.text("#notice")
        page = visit.open("#run=nobody&view=samples")
        assert "no run nobody" in visit.text("#notice")
        visit.count("5 samples")
        page.goto(visit.address + f"#run={X}&sample=1")
        assert not page.is_visible("#notice")

    def test_two_runs_side_by_side(self, visit: Visit) -> None:
        page = visit.open(f"#run={X}&sample=4")
        assert "Model-Y" in visit.text(".others")
        page.click("text=side by side")
        assert page.locator(".runs.two > div").count() == 2
        assert f"vs={Y}" in page.url
        visit.choose("against", "only this one fails")
        visit.count("2 of 5 samples")
        page.select_option("#versus", "")
        visit.count("5 samples")
        assert page.locator("#facet-against").count() == 0

    def test_a_pair_with_its_verdicts(self, visit: Visit) -> None:
        page = visit.open(f"#run={PAIRS}&sample=2")
        assert page.locator("#detail figure").count() == 2
        assert "Image 2" in visit.text("#detail .images")
        assert page.locator(".verdict .score").all_inner_texts() == ["1", "1", "2", "0"]
        assert "One reply for all of them." in visit.text(".verdicts")
        assert "wrong preference" in visit.text("#detail")
        visit.open(f"#run={PAIRS}&sample=3")
        assert "no verdict in the reply" in visit.text("#detail")

    def test_keys(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={X}")
        steps = {"j": "2", "ArrowDown": "3", "k": "2", "End": "5", "ArrowUp": "4", "Home": "1"}
        for key, index in steps.items():
            page.keyboard.press(key)
            assert visit.text("#detail h2") == index, key
        page.keyboard.press("f")
        visit.count("2 of 5 samples")
        page.keyboard.press("f")
        page.keyboard.press("/")
        playwright.expect(page.locator("#search")).to_be_focused()
        page.keyboard.type("jk?")
        assert page.input_value("#search") == "jk?"
        page.keyboard.press("Escape")
        playwright.expect(page.locator("#list")).to_be_focused()
        page.keyboard.press("?")
        assert page.is_visible("#help")
        page.uncheck("#keys-on")
        page.keyboard.press("Escape")
        assert not page.is_visible("#help")
        page.focus("#list")
        page.keyboard.press("j")
        assert visit.text("#detail h2") == "1"

    def test_gallery(self, visit: Visit) -> None:
        page = visit.open(f"#view=samples&run={X}")
        page.keyboard.press("g")
        assert page.locator(".tilebox").count() == 5
        page.keyboard.press("ArrowRight")
        assert "sample=2" in page.url
        assert "layout=gallery" in page.url
        page.click(".tilebox >> nth=3")
        assert visit.text("#detail h2") == "4"

    def test_the_back_button_undoes_a_change_of_view(self, visit: Visit) -> None:
        page = visit.open()
        page.click("nav >> text=Samples")
        assert page.is_visible("#samples")
        page.keyboard.press("j")
        page.go_back()
        assert page.is_visible("#summary")


@pytest.mark.slow
class TestSummary:
    def test_the_board_sorts_by_column_and_by_key(self, visit: Visit) -> None:
        page = visit.open()
        board = page.locator("#board-perception")
        models = "tbody th bdi"
        board.locator("thead >> text=How").click()
        assert "How" in board.locator("th[aria-sort=descending]").inner_text()
        assert board.locator(models).all_inner_texts()[:3] == ["Model-Y", "Grok-4", "Qwen2.5-VL-32B"]
        page.keyboard.press("Enter")
        assert "How" in board.locator("th[aria-sort=ascending]").inner_text()
        assert board.locator(models).all_inner_texts()[0] == "Model-X"
        # Without a number last, however it is sorted.
        assert board.locator(models).all_inner_texts()[-1] == "Human expert"
        assert board.locator("tbody tr[data-run]").count() == 2

    def test_the_board_filters(self, visit: Visit) -> None:
        page = visit.open()
        rows = page.locator("#board-perception tbody tr:not(.more)")
        assert rows.count() == 15
        page.uncheck("#board-published")
        assert rows.count() == 2
        # A reason that rows share is said once, and each row's mark says it too.
        assert rows.locator("sup").all_inner_texts() == ["§1", "†1"]
        notes = visit.text("#board-perception .notes")
        assert notes.split("\n")[0].startswith("§ not verified as comparable, † not comparable with the published rows")
        assert notes.count("embedded set") == 1
        assert "(2 rows)" in notes
        page.hover("#board-perception sup >> nth=0")
        assert visit.text("#tip") == "not verified as comparable: embedded set"
        assert rows.locator("td:first-child").all_inner_texts() == ["–", "–"]
        page.check("#board-published")
        page.check("#board-comparable")
        assert rows.count() == 13
        page.select_option("#board-category", "medical-specialized")
        assert rows.all_inner_texts()[0].split("\t")[1].strip() == "MedGemma-27B"

    def test_settings_of_a_row_unfold_with_the_keyboard_and_are_printed(self, visit: Visit) -> None:
        page = visit.open()
        settings = page.locator("#board-perception .more").first
        assert not settings.is_visible()
        page.focus("#board-perception .expand >> nth=0")
        page.keyboard.press("Enter")
        assert "MedQBench_Perception_mini" in settings.inner_text()
        assert "Not verified as comparable\nembedded set" in settings.inner_text()
        page.keyboard.press("Enter")
        assert not settings.is_visible()
        page.emulate_media(media="print")
        assert settings.is_visible()

    def test_numbers_that_are_shown_alike_share_a_rank(self, visit_to: Open, tmp_path: Path) -> None:
        runs = [make.perception_run(model=name, comparable=True) for name in ("M1", "M2")]
        write_page(tmp_path / "page.html", runs, None)
        page = visit_to(tmp_path / "page.html").open()
        lines = page.locator("#board-perception tbody tr:not(.more)").all_inner_texts()
        ranks = {line.split("\t")[1].strip().splitlines()[0]: line.split("\t")[0] for line in lines}
        # Nine of the thirteen published rows are above 60.00.
        assert ranks["M1"] == ranks["M2"] == "10"
        assert "11" not in ranks.values()

    def test_medq_deg_stands_under_its_own_name_and_its_samples_are_questions(
        self, visit_to: Open, tmp_path: Path
    ) -> None:
        of_deg = {"task": Task.DEGRADATION, "severity": "L1", "category": "noise", "question_type": None}
        said = make.choice("1", False, text="Answer: B\nConfidence: 85%", **of_deg)
        run = make.make_run([said, make.choice("2", **{**of_deg, "category": "motion"})], dataset="MedQDeg_mini")
        write_page(tmp_path / "page.html", [run], None)
        visit = visit_to(tmp_path / "page.html")
        page = visit.open()
        assert visit.text("h1.brand") == "MedQ-Deg"
        assert "percent of questions; 1 row; published: none" in visit.text("#board-degradation caption")
        page.click("text=Show the 1 failed")
        names, values = (page.locator(f"dl.facts:visible {tag}").all_inner_texts() for tag in ("dt", "dd"))
        facts = dict(zip(names, values, strict=True))
        assert (facts["Answer read"], facts["Confidence, %"]) == ("B", "85")
        visit.choose("category", "noise")
        visit.count("1 of 2 samples")

    def test_a_row_leads_to_its_run_and_is_marked(self, visit: Visit) -> None:
        page = visit.open()
        page.click("#board-perception .who a >> text=Model-Y")
        playwright.expect(page.locator("#headline h2")).to_contain_text("Model-Y")
        assert page.locator("#board-perception .chosen .named").inner_text() == "Model-Y"

    def test_the_values_of_a_figure_are_stepped_through(self, visit: Visit) -> None:
        page = visit.open("#view=summary&at=figures")
        page.locator(".drawing >> nth=0").focus()
        page.keyboard.press("ArrowRight")
        assert page.is_visible("#tip")
        first = visit.text("#tip")
        assert first == "GPT-5, highest published: Yes-or-No 82.26"
        page.keyboard.press("End")
        assert visit.text("#tip").startswith("Model-X\N{NO-BREAK SPACE}†: Overall 60.00 (23.07 to 88.24), n = 5")
        page.keyboard.press("Escape")
        assert not page.is_visible("#tip")
        mark = page.locator(".drawing [data-tip]").last
        mark.hover()
        assert visit.text("#tip") == mark.get_attribute("data-tip")
        assert page.locator(".drawing g > title").count() == 0
        # A run has one colour in figures, where few samples leave markers hollow, and on the board.
        drawn = page.locator("#question_type_perception-value-0-0 use").get_attribute("stroke")
        assert drawn.upper() == look_of(1).colour.upper()
        assert page.locator("#board-perception [data-run='1'] .who path").get_attribute("fill") == look_of(1).colour

    def test_a_cell_of_the_failures_leads_to_its_samples(self, visit: Visit) -> None:
        page = visit.open()
        row = page.locator("#failures tbody tr", has_text="CT")
        assert row.locator("td").all_inner_texts()[-1].split() == ["33%", "1", "of", "3"]
        row.locator("a").last.click()
        visit.count("1 of 5 samples")
        assert visit.indices() == ["5"]

    def test_another_run_has_its_own_numbers(self, visit: Visit) -> None:
        page = visit.open()
        page.select_option("#run", "1")
        playwright.expect(page.locator("#headline h2")).to_contain_text("Model-Y")
        assert "No sample failed" in visit.text("#headline")

    def test_the_run_chooser_has_a_group_a_dataset_the_best_run_first(self, visit: Visit) -> None:
        page = visit.open()
        groups = page.locator("#run optgroup").evaluate_all("all => all.map(of => [of.label, of.children.length])")
        assert groups == [["MedQBench_Perception_mini", 2], ["MedQBench_Reasoning_Comparative_mini", 1]]
        assert page.locator("#run option").evaluate_all("all => all.map(of => of.value)") == ["1", "0", "2"]
        assert page.input_value("#run") == "0"

    def test_figures_are_drawn_in_the_page(self, visit: Visit) -> None:
        page = visit.open("#view=summary&at=figures")
        assert page.locator("#figures svg[role=img]").count() >= 2
        assert page.locator("#figures svg text").first.is_visible() or page.locator("#figures svg path").count()

    def test_themes(self, visit_to: Open) -> None:
        visit = visit_to("page", color_scheme="dark")
        page = visit.open()
        ground = "getComputedStyle(document.body).backgroundColor"
        dark, light = "rgb(19, 22, 25)", "rgb(246, 246, 244)"
        assert page.evaluate(ground) == dark
        page.click("#theme")
        assert (page.evaluate(ground), visit.text("#theme")) == (light, "Theme: light")
        assert visit.open() and page.evaluate(ground) == light
        page.keyboard.press("t")
        assert (page.evaluate(ground), visit.text("#theme")) == (dark, "Theme: dark")

    def test_print_has_the_content_without_the_controls(self, visit: Visit) -> None:
        page = visit.open(f"#run={X}&sample=4")
        page.emulate_media(media="print")
        for width in (1280, 700):  # paper is narrower than a screen
            page.set_viewport_size({"width": width, "height": 900})
            assert page.is_visible("#detail h2")
            assert not page.is_visible("#list")
            assert not page.is_visible("nav")


@pytest.mark.slow
class TestOddScreensAndTexts:
    @pytest.mark.parametrize("width", [320, 390])
    def test_a_phone_keeps_model_and_overall_in_sight(self, visit_to: Open, tmp_path: Path, width: int) -> None:
        names = ("InternVL3_5-241B-A28B-Instruct", "llava-onevision-qwen2-72b-ov-chat-hf", "M" * 90)
        write_page(tmp_path / "page.html", [make.perception_run(model=name) for name in names], None)
        page = visit_to(tmp_path / "page.html", viewport={"width": width, "height": 740}).open()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator("#board-perception .scroll")
        cells = [page.locator(f"#board-perception tr[data-run='0'] > :nth-child({place})") for place in (1, 2, 3)]
        before = [cell.bounding_box()["x"] for cell in cells]
        box.evaluate("box => (box.scrollLeft = 120)")
        assert box.evaluate("box => box.scrollLeft") == 120
        assert [cell.bounding_box()["x"] for cell in cells] == before
        last = cells[-1].bounding_box()
        assert last["x"] + last["width"] < width - 60, "room to swipe the rest"
        assert "60.00" in cells[-1].inner_text()
        # A name goes on in the next line behind its own marks alone.
        pieces = (
            cells[1]
            .locator("bdi")
            .evaluate(
                """bdi => [...bdi.childNodes].filter(node => node.data).map(node => {
                const range = document.createRange();
                range.selectNode(node);
                return [node.data, new Set([...range.getClientRects()].map(at => Math.round(at.top))).size];
            })"""
            )
        )
        assert pieces == [["InternVL3_", 1], ["5-", 1], ["241B-", 1], ["A28B-", 1], ["Instruct", 1]]

    @pytest.mark.parametrize("fragment", ["", f"#run={X}&sample=4", "#view=samples"])
    def test_a_narrow_screen_needs_no_sideways_scrolling(self, visit_to: Open, fragment: str) -> None:
        visit = visit_to("page", viewport={"width": 360, "height": 740})
        page = visit.open(fragment)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        if "sample=" in fragment:
            assert not page.is_visible("#list")
            page.click("#back")
            assert page.is_visible("#list")

    def test_hostile_texts_stay_texts(self, visit_to: Open) -> None:
        visit = visit_to("hostile")
        page = visit.open()
        assert page.title() == "MedQ-Bench report, 1 run"
        assert page_runs.MARKUP in visit.text("#headline")
        page.click("nav >> text=Samples")
        visit.count("5 samples")
        for _ in range(5):
            page.keyboard.press("j")
        for selector in ("#detail", "#list", "#summary"):
            assert page.locator(f"{selector} script, {selector} b:not(.track b), {selector} [onerror]").count() == 0
        assert page.locator("img:not([src^='data:'])").count() == 0
        visit.choose("modality", "__proto__")
        visit.count("1 of 5 samples")
        page.click("#reset")
        # 200,001 characters come folded, whole on demand.
        page.fill("#search", "xxxx")
        visit.count("1 of 5 samples")
        page.locator("#list [role=option]").first.click()
        assert len(visit.text("#detail .answer .text")) < 2_000
        page.click("text=Show all 200,008 characters")
        assert page.locator("#detail .answer .text").text_content() == page_runs.LONG
        # A reply that turns the line around does so in its own box alone.
        page.click("#reset")
        page.locator("#list [role=option] >> nth=2").click()
        assert page.evaluate("getComputedStyle(document.querySelector('#detail h2 bdi')).unicodeBidi") == "isolate"
        assert page.title() == "MedQ-Bench report, 1 run"

    @pytest.mark.parametrize("width", [1280, 640, 320])
    def test_words_without_a_break_widen_nothing(self, visit_to: Open, width: int) -> None:
        visit = visit_to("harsh", viewport={"width": width, "height": 700})
        page = visit.open()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("nav >> text=Samples")
        page.locator("#list [role=option]").first.click()
        for _ in range(5):
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("(box => box.scrollWidth - box.clientWidth)(document.querySelector('#detail'))") <= 1
            page.keyboard.press("j")

    def test_names_of_what_every_object_has_are_names(self, visit_to: Open) -> None:
        visit = visit_to("harsh")
        page = visit.open("#view=samples&task=constructor&outcome=__proto__&%E0%A4%A=%&order=toString")
        assert "function" not in str(page.locator("#facets").text_content())
        visit.count("0 of 5 samples")
        page.click("#reset")
        visit.choose("kind", "toString")
        assert "toString (5)" in page.locator("#facet-kind option").all_text_contents()
        # What turns a line around is kept apart from the number beside it.
        assert "\u2068\u202eabc\u2069 (1)" in page.locator("#facet-modality option").all_text_contents()
        page.select_option("#run", "1")
        visit.count("0 of 3 samples")
        page.click("#reset")
        visit.count("3 samples")
        page.locator("#list [role=option]").first.click()
        titles = page.locator(".verdict details .line strong").all_text_contents()
        assert titles == ["constructor", "__proto__", "round 1"]
        assert page.locator(".verdict .score").first.inner_text() == "1.33"

    def test_a_flood_of_hits_is_marked_up_to_a_number(self, visit_to: Open) -> None:
        visit = visit_to("harsh")
        page = visit.open("#view=samples&q=x")
        visit.count("1 of 5 samples")
        page.click("text=Show all 100,000 characters")
        assert page.locator("#detail .answer mark").count() == 2_000
        assert page.locator("#detail .answer .text").text_content() == "x " * 50_000

    def test_samples_without_a_value_are_counted_once(self, visit_to: Open) -> None:
        visit = visit_to("harsh")
        page = visit.open("#at=failures")
        assert page.locator("#failures tbody tr").last.locator("td").last.inner_text().split() == [
            "40%",
            "2",
            "of",
            "5",
        ]
        assert page.locator("#failures tbody tr").count() == 3 + 1
        assert "2 samples without a modality are counted under All alone." in visit.text("#failures")
        page.select_option("#run", "1")
        page.click("text=Show the 2 unscored")
        visit.count("2 of 3 samples")

    def test_a_phone_has_few_rows_and_a_way_back_to_its_place(self, visit_to: Open, tmp_path: Path) -> None:
        write_page(tmp_path / "page.html", [make.make_run(page_runs.questions(300))], None)
        visit = visit_to(tmp_path / "page.html", viewport={"width": 360, "height": 740})
        page = visit.open("#view=samples")
        page.wait_for_selector("#list [data-place='0']")
        assert page.locator("#list [role=option]").count() < 40
        page.evaluate("document.querySelector('#list').scrollTop = 9000")
        page.click("#list [data-place='120']")
        page.keyboard.press("j")
        assert "sample=122" in page.url
        page.go_back()
        page.wait_for_selector("#list [data-place='120']")
        assert "sample" not in page.url.replace("view=samples", "")
        assert page.evaluate("document.querySelector('#list').scrollTop") == 9000

    def test_thousands_of_samples_open_at_once(self, visit_to: Open, tmp_path: Path) -> None:
        images = [page_runs.image_bytes((place % 256, place // 256, 7)) for place in range(600)]
        names = [page_runs.stored(tmp_path / "store", image) for image in images]
        write_page(tmp_path / "page.html", [make.make_run(page_runs.questions(3_308, names))], tmp_path / "store")
        visit = visit_to(tmp_path / "page.html")
        visit.page.goto("about:blank")
        visit.page.goto(f"{visit.address}#view=samples", wait_until="domcontentloaded")
        visit.page.wait_for_selector("#list [data-place='0'] img")
        visit.count("3,308 samples")
        assert visit.page.locator("#list [role=option]").count() < 60
        visit.page.keyboard.press("End")
        assert visit.text("#detail h2") == "3308"
        assert visit.page.locator("[data-place='3307']").is_visible()

    def test_groups_that_fail_and_samples_set_apart_lead_to_their_samples(self, visit_to: Open, tmp_path: Path) -> None:
        # CT fails: 14 of 40 samples, more than chance allows. The first sample has no run right, the others are easier.
        runs = [
            make.make_run(
                [make.choice(str(at), at >= 14 + run or at == 2, modality=("CT", "MRI")[at >= 14]) for at in range(40)],
                model=f"M{run}",
            )
            for run in range(5)
        ]
        write_page(tmp_path / "page.html", runs, None, comparison=compare_runs(runs, by_group=False))
        visit = visit_to(tmp_path / "page.html")
        page = visit.open("#view=summary&at=failures")
        assert visit.text("table.groups tbody tr").split("\t")[:2] == ["Modality CT", "93% (13 of 14)"]
        page.click("table.groups a")
        visit.count("13 of 40 samples")
        page = visit.open("#view=summary&at=compared")
        page.click("text=13 samples set apart by item analysis")
        row = page.locator("table.results tr", has_text="worth a second look").first
        assert row.inner_text().split("\t")[-1] == "worth a second look; no model is right"
        row.locator("a").click()
        assert visit.text("#detail h2") == "0"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six questions and three models, the last with a hostile name: right on 1-4, on 1 and 2, on 1 and 5."""
    right = {"First": "1234", "Second": "12", page_runs.MARKUP: "15"}
    runs = [
        make.make_run([make.choice(index, index in of_run) for index in "123456"], model=model)
        for model, of_run in right.items()
    ]
    path = tmp_path_factory.mktemp("compared") / "page.html"
    write_page(path, runs, None, comparison=compare_runs(runs))
    return path


@pytest.mark.slow
class TestComparison:
    def test_the_matrix_shows_differences_and_agreement(self, visit_to: Open, compared: Path) -> None:
        page = visit_to(compared).open("#view=summary&at=compared")
        rows = page.locator(".matrix tbody tr")
        assert rows.locator("th .named").all_inner_texts() == ["First", "Second", page_runs.MARKUP]
        assert rows.nth(0).locator("td").all_inner_texts()[1:] == ["1–3", "", "+33.3", "+33.3"]
        assert rows.nth(2).locator("button").all_inner_texts() == ["−33.3", "0.0"]
        # Right or wrong alike on 4 of 6, by chance on 2/3 1/3 + 1/3 2/3; the same letter on 4 of 6.
        for shown, first in (("same", ["67", "33"]), ("kappa", ["0.40", "-0.20"])):
            page.select_option("#compared select >> nth=0", shown)
            assert rows.nth(0).locator("button").all_inner_texts() == first
        tip = rows.nth(0).locator("button").first.get_attribute("data-tip")
        assert tip.startswith("First less Second: +33.3 (95% ")
        assert "not significant; same answer 66.7%, kappa 0.40; n = 6" in tip

    def test_samples_by_models_are_filtered_and_lead_to_the_sample(self, visit_to: Open, compared: Path) -> None:
        page = visit_to(compared).open("#view=summary&at=compared")
        count = page.locator(".bysample [role=status]")
        names = page.locator(".results tbody th a")
        pick = {name: f".bysample [data-name={name}]" for name in ("filter", "a", "b")}
        assert names.all_inner_texts() == ["6", "3", "4", "5", "2", "1"]  # the hardest first
        assert page.locator(".results tbody tr").nth(1).locator("td").all_inner_texts()[2:] == ["A", "B ✗", "B ✗"]
        page.select_option(pick["filter"], "allwrong")
        playwright.expect(count).to_have_text("1 of 6 samples that all have")
        assert not page.is_visible(pick["a"])
        page.select_option(pick["filter"], "onlywrong")
        playwright.expect(count).to_have_text("0 of 6 samples that all have")
        page.select_option(pick["a"], "2")
        assert names.all_inner_texts() == ["2"]
        page.select_option(pick["filter"], "onlyright")
        assert names.all_inner_texts() == ["5"]
        page.locator(".matrix button").first.click()
        assert [page.input_value(place) for place in pick.values()] == ["differ", "0", "1"]
        assert names.all_inner_texts() == ["3", "4"]
        page.select_option(pick["filter"], "worse")
        playwright.expect(count).to_have_text("0 of 6 samples that all have")
        page.select_option(pick["filter"], "differ")
        names.last.click()
        assert page.locator("#detail h2").inner_text() == "4"
        assert "run=First_MedQBench_Perception_mini&sample=4&vs=Second_MedQBench_Perception_mini" in page.url

    @pytest.mark.parametrize("question", ["", "Describe the quality."])
    def test_columns_stand_below_their_heads_on_a_phone(self, visit_to: Open, tmp_path: Path, question: str) -> None:
        row = make.judged("1", (2, 1, 1, 0), question=question)
        runs = [make.make_run([row], model=model) for model in ("First", "Second")]
        write_page(tmp_path / "page.html", runs, None, comparison=compare_runs(runs))
        visit = visit_to(tmp_path / "page.html", viewport={"width": 390, "height": 844})
        visit.open("#view=summary&at=compared")
        heads, cells = (visit.page.locator(f".results {part} tr > :visible") for part in ("thead", "tbody"))
        assert heads.all_inner_texts() == ["Sample", "1", "2"]
        assert [cell.bounding_box()["x"] for cell in cells.all()] == [head.bounding_box()["x"] for head in heads.all()]

    def test_a_page_of_one_run_has_none(self, visit_to: Open) -> None:
        page = visit_to("hostile").open()
        assert not page.is_visible("#compared")
        assert not page.is_visible("nav [data-at=compared]")
