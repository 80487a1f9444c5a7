"""The documentation as a site: links and anchors lead somewhere, and the built pages open without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documentation import ROOT

markdown = pytest.importorskip("markdown", reason="mkdocs is not installed")
LINK = re.compile(r"\]\(([^)#\s]*)(#[\w-]+)?\)")


@cache
def anchors(page: Path) -> frozenset[str]:
    html = markdown.markdown(page.read_text("utf-8"), extensions=["toc", "tables", "fenced_code", "attr_list"])
    return frozenset(re.findall(r'<h\d id="([^"]+)"', html))


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("patches/*.md")], ids=lambda page: page.name)
def test_links_from_outside_the_site_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    broken = []
    for target, anchor in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor[1:] not in anchors(there)):
            broken.append(f"{target}{anchor}")
    assert broken == []


def test_messages_that_the_questions_quote_are_those_of_the_package():
    sources = (path.read_text("utf-8") for path in (ROOT / "medqbench_vlmeval").rglob("*.py"))
    # A long text stands in several lines of source, each in quotes of its own.
    said = re.sub(r"\"\n\s*f?\"", "", "\n".join(sources))
    page = (ROOT / "docs" / "faq.md").read_text("utf-8")
    heads = "\n".join(re.findall(r"^### .*", page, re.M))
    quoted = re.findall(r"`([^`\n]+ [^`\n]+)`", heads)
    # What differs from case to case stands in braces there: numbers, names in quotes, and what the page leaves out.
    pieces = [piece.strip() for text in quoted for piece in re.split(r"\.\.\.|\d+|'[^']+'", text)]
    assert len(pieces) > 8
    assert [piece for piece in pieces if len(piece) > 2 and piece not in said] == []


class Resources(HTMLParser):
    """Whatever a browser would fetch for a page by itself; links to be followed are none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += [given[name] for name in ("src", "srcset", "poster", "data", "action") if given.get(name)]
        if tag in {"link", "use", "image"} and given.get("rel") not in {"canonical", "prev", "next"}:
            self.found += [given[name] for name in ("href", "xlink:href") if given.get(name)]
        self.found += re.findall(r"url\(([^)]+)\)", given.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # As .ci/run builds it: a page without a place in the menu, a link or an anchor that leads nowhere is an error.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_takes_nothing_from_elsewhere(site):
    foreign = []
    for page in site.rglob("*.html"):
        resources = Resources()
        text = page.read_text("utf-8")
        resources.feed(text)
        foreign += [(page.name, each) for each in resources.found if re.match(r"(?:[a-z]+:)?//", each)]
        # The theme's script would fetch a library for these alone.
        assert not re.search(r'class="(?:mermaid|arithmatex)"', text), page.name
    for sheet in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.S)
        foreign += [
            (sheet.name, each) for each in re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", text)
        ]
    assert foreign == []
    assert len(list(site.glob("*.html"))) > 20


@pytest.mark.slow
def test_the_search_finds_a_word_in_a_site_that_was_opened_from_a_folder(site):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "index.html").as_uri())
        box, wait = page.locator("input.md-search__input").first, 30_000
        box.focus()
        playwright.expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching", timeout=wait)
        box.press_sequentially("unscored")
        found = page.locator(".md-search-result__item a").first
        playwright.expect(found).to_have_attribute("href", re.compile(r"\.html"), timeout=wait)
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert said == []
        browser.close()
