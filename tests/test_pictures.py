"""The pictures of the README and the pages are there, and a script makes them from a real run."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from PIL import Image

from medqbench_vlmeval.kit_version import find_kit
from tests.documentation import ROOT, pages

LARGEST = 200_000
PICTURES = ROOT / "docs" / "pictures"
# 'scripts/make_simulated_validity.py' makes these.
STRIPS = PICTURES / "synth"
# 'python -m benchmarks.images' makes this one together with its numbers.
OF_A_BENCHMARK = ROOT / "docs" / "images.png"
DRAWN_BY_HAND = ROOT / "docs" / "assets" / "rooms.svg"


def referenced():
    """The picture files that pages show, with the pages."""
    for page in pages():
        folder = (ROOT / page.name).parent
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)|<img[^>]+src=\"([^\"]+)", page.text):
            yield (folder / "".join(target)).resolve(), page.name


def test_pictures_that_pages_show_are_there_and_small():
    shown = dict(referenced())
    for path, page in shown.items():
        assert path.is_file(), page
        assert path.parent in (PICTURES, STRIPS) or path in {OF_A_BENCHMARK, DRAWN_BY_HAND}, (
            f"{page}: no script makes {path}"
        )
        assert path.stat().st_size <= LARGEST, path
    assert "README.md" in {page for _, page in referenced()}
    assert {*PICTURES.iterdir(), *STRIPS.iterdir()} - {STRIPS} <= shown.keys(), "a picture that no page shows"


@pytest.mark.slow
@pytest.mark.needs_kit
def test_the_script_makes_all_pictures(tmp_path):
    programs = {name: shutil.which(name) for name in ("chromium", "soffice", "pdftoppm")}
    if find_kit() is None or not all(programs.values()) or not find_spec("playwright"):
        pytest.skip(f"needs the kit, playwright and {', '.join(name for name, path in programs.items() if not path)}")
    command = [sys.executable, str(ROOT / "scripts" / "make_pictures.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in PICTURES.iterdir()} - {STRIPS.name}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as new, Image.open(PICTURES / path.name) as kept:
            assert all(abs(a - b) <= 40 for a, b in zip(new.size, kept.size, strict=True)), path.name
    svg = (tmp_path / "terminal.svg").read_text(encoding="utf-8")
    assert "Overall" in svg
    assert re.findall(r"url\((?!#)|href|@font-face|<script", svg) == []
    assert path.name in done.stdout
