"""Writes the page: what the script shows as JSON, the images as thumbnails, the figures as SVG, in one HTML file."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, benchmarks
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import storable, write_text, writing
from medqbench_vlmeval.report.figures import themed_svgs
from medqbench_vlmeval.report.page.content import Gathered, boards_json, comparison_json, runs_json
from medqbench_vlmeval.report.page.originals import Originals
from medqbench_vlmeval.report.text import template
from medqbench_vlmeval.report.thumbnails import find_image, make_thumbnails
from medqbench_vlmeval.runs.comparison import RunComparison
from medqbench_vlmeval.types import Run

_ASSETS = Path(__file__).parent / "assets"
LIVE, LIVE_STYLE = "live.js", "live.css"
IMAGES = ("full", "thumbnails", "none")
# In the order in which they stand in the page.
STYLES = ("theme.css", "summary.css", "samples.css", "zoom.css", "compare.css")
SCRIPTS = (
    *("dom.js", "data.js", "looks.js", "state.js", "theme.js", "tips.js", "board.js", "items.js", "compare.js"),
    *("facets.js", "failures.js", "findings.js", "filters.js", "list.js", "answers.js", "zoom.js", "detail.js"),
    *("keys.js", "main.js"),
)


def json_text(value: Any) -> str:
    """JSON for a script element of type application/json; the same value gives the same text."""
    text = storable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    # '<' could end the element or open a comment in it; the two separators are line ends to older script parsers.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def document(
    title: str, data: Any, pictures: Sequence[Any] = (), figures: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, str]:
    """The whole page and its content security policy; the pictures' JSON is read when the first is shown. A page that a
    server gives has ``live`` in its data: it may ask that server, and no other, for more."""
    is_served = "live" in data
    return render(
        "page.html.j2",
        (*STYLES, *([LIVE_STYLE] if is_served else ())),
        (*SCRIPTS[:-1], *([LIVE] if is_served else ()), SCRIPTS[-1]),
        "img-src 'self' data:" + ("; connect-src 'self'" if is_served else ""),
        title=title,
        is_served=is_served,
        data=json_text(data),
        pictures=json_text(pictures),
        figures=figures.items(),
    )


def render(name: str, styles: Sequence[str], scripts: Sequence[str], sources: str, **values: object) -> tuple[str, str]:
    """A page with its style and script inside, and its policy, which allows these two and what ``sources`` name."""
    style = "\n".join(map(_asset, styles))
    script = '(() => {\n"use strict";\n' + "\n".join(map(_asset, scripts)) + "})();\n"
    policy = (
        f"default-src 'none'; {sources}; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page = template(_ASSETS / name, is_html=True)
    return page.render(values, policy=policy, style=style, script=script), policy


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def is_page(path: Path) -> bool:
    """Whether a file is a page that this package made. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return b'<meta name="generator" content="medqbench-vlmeval">' in file.read(8192)


def write_page(
    path: Path,
    runs: Sequence[Run],
    image_root: Path | None,
    images: str = "thumbnails",
    places: Mapping[str, Path | None] = MappingProxyType({}),
    comparison: RunComparison | None = None,
) -> tuple[int, int]:
    """Write one self-contained HTML file about ``runs``, the first one shown first, whole or not at all; return how
    many images the runs name, and how many of them are not on this machine. The same input gives the same bytes.
    ``image_root`` is the folder of the runs' images (an ``ImageStore``'s root, or a flat folder), None for the embedded
    set's alone; ``places`` says where else images are, by name. Of :data:`IMAGES` 'full' puts the originals into a
    folder beside the file, 'none' leaves thumbnails out too. Raises BadInput where there is no run, or no folder can
    have the originals. Raises RunFailed where a file cannot be written."""
    if not runs:
        raise BadInput("There is no run to make a page of; name at least one scored run.")
    gathered = Gathered()
    gathered.answers += [gathered.answers_json(run, image_root) for run in runs]
    data = {
        "version": __version__,
        "dimensions": DIMENSION_TITLES,
        "images": images,
        "runs": runs_json(runs),
        "boards": boards_json(runs),
        "samples": gathered.samples,
        "answers": gathered.answers,
        "compared": comparison_json(comparison) if comparison else [],
    }
    originals = Originals(path, image_root) if images == "full" else None
    paths = [find_image(folder, name) or places.get(name) for name, folder in gathered.pictures]
    thumbnails = make_thumbnails([None] * len(paths) if images == "none" else paths)
    # The name; of what is here also its size, its thumbnail's data URI and width, and what ``Originals.add`` gives.
    pictures: list[list[object]] = []
    for (name, _), found, small in zip(gathered.pictures, paths, thumbnails, strict=True):
        pictures.append([name, *((*small.size, small.data_uri, small.width) if small else ())])
        if originals and found and small:
            pictures[-1] += originals.add(name, found.resolve(), small)
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    title = f"{benchmarks(run.result.task for run in runs)} report, {count}"
    text, _ = document(title, data, pictures, themed_svgs([run.result for run in runs]))
    with writing(path, "close it if it is open elsewhere, or choose another folder"):
        write_text(path, text)
    if originals:
        originals.tidy()
    return len(paths), paths.count(None)
