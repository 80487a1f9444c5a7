"""The page that people rate on: one HTML file with images, texts without a trace of whose they are, and exports."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES
from medqbench_vlmeval.data.image_store import DECODER_ERRORS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes, write_text, writing
from medqbench_vlmeval.report.page.page import json_text, markup, render
from medqbench_vlmeval.report.rating_sheet import RatingRow, criteria_of_answer
from medqbench_vlmeval.report.thumbnails import FORMATS, MAX_FILE_BYTES, MAX_PIXELS, lossless, shown_as

REFERENCES = ("shown", "hidden", "after")
"""Whether raters see the reference: always, never, or once they rated an answer."""

MOST_BYTES = 200_000_000
"""Of a page's images in base64: a browser reads the file as a whole."""

STYLES = ("theme.css", "zoom.css", "rating.css")
SCRIPTS = ("dom.js", "theme.js", "zoom.js", "ratings.js", "rating.js")
_Picture = tuple[str, tuple[int, int], "str | None"]


def write_rating_page(path: Path, rows: Sequence[RatingRow], page: str, reference: str) -> int:
    """Write a rating page, whole or not at all, and return how many images it has; each is in it once.

    Args:
        rows: in the order in which they are to be rated.
        page: tells the page's exports and what a browser keeps for it from those of others.
        reference: one of :data:`REFERENCES`.

    Raises:
        BadInput: the images are too large together.
        RunFailed: the file cannot be written.
    """
    found: dict[Path, _Picture | None] = {}
    size = 0
    for image in (image for row in rows for image in row.images if image is not None):
        if image not in found:
            found[image] = picture = _picture(image)
            size += len(picture[0]) if picture else 0
        if size > MOST_BYTES:
            most = f"{MOST_BYTES // 10**6} MB"
            raise BadInput(f"{path} would hold more than {most} of images; draw fewer answers with --n.")
    pictures = {image: picture for image, picture in found.items() if picture is not None}
    places = {image: place for place, image in enumerate(pictures)}
    items = [
        {"id": row.rating_id, "task": row.task.value, "question": row.question, "answer": row.answer}
        | ({} if reference == "hidden" else {"reference": row.reference})
        | {"images": [places.get(image) if image else None for image in row.images or (None,)]}
        for row in rows
    ]
    tasks = {}
    for task in dict.fromkeys(row.task for row in rows):
        asked = {dimension: criteria_of_answer(task, dimension) for dimension in DIMENSION_TITLES}
        questions = {
            dimension: {"question": question, "marks": marks} for dimension, (question, marks) in asked.items()
        }
        tasks[task.value] = {"title": TASK_TITLES[task], "questions": questions}
    told: dict[str, object] = {
        "version": __version__,
        "page": page,
        "reference": reference,
        "dimensions": DIMENSION_TITLES,
    }
    told |= {"tasks": tasks, "items": items, "pictures": [(*shape, words) for _, shape, words in pictures.values()]}
    text, _ = render(
        "rating.html.j2",
        STYLES,
        SCRIPTS,
        "img-src data:",
        page=page,
        n=len(rows),
        reference=reference,
        data=markup(json_text(told)),
        pictures=[address for address, _, _ in pictures.values()],
    )
    with writing(path, "choose another --html"):
        write_text(path, text)
    return len(pictures)


def _picture(path: Path) -> _Picture | None:
    """An image as an address, its size, and how it is shown where browsers do not show the file itself."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            size, kind, words = image.size, (image.format or "").lower(), shown_as(image)
        if size[0] * size[1] > MAX_PIXELS:
            return None
        data = lossless(path) if words else read_bytes(path, MAX_FILE_BYTES)
    except (*DECODER_ERRORS, BadInput, Image.DecompressionBombError):
        return None
    return f"data:image/{'png' if words else kind};base64,{b64encode(data).decode()}", size, words
