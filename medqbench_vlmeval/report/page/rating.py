"""The page that people rate on: one HTML file with images, texts without a trace of whose they are, and exports."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES
from medqbench_vlmeval.data.image_forms import DECODER_ERRORS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes, write_text, writing
from medqbench_vlmeval.report.page.page import json_text, render
from medqbench_vlmeval.report.rating_sheet import RatingRow, criteria_of_answer
from medqbench_vlmeval.report.thumbnails import MAX_FILE_BYTES, look_at, lossless

REFERENCES = ("shown", "hidden", "after")
"""Whether raters see the reference: always, never, or once they rated an answer."""

MOST_BYTES = 150_000_000
"""Of a page's images together: a browser reads the file as a whole."""

STYLES = ("theme.css", "zoom.css", "rating.css")
SCRIPTS = ("dom.js", "theme.js", "zoom.js", "ratings.js", "rating.js")


def write_rating_page(path: Path, rows: Sequence[RatingRow], page: str, reference: str) -> None:
    """Write a rating page, whole or not at all, with each image once; ``rows`` stand in the order in which they are to
    be rated.

    ``page`` tells the page's exports and what a browser keeps for it from those of others; ``reference`` is one of
    :data:`REFERENCES`. Raises BadInput where the images are too large together. Raises RunFailed where the file cannot
    be written.
    """
    images = dict.fromkeys(image for row in rows for image in row.images if image is not None)
    size = sum(image.stat().st_size for image in images)
    if size > MOST_BYTES:
        most = f"at most {MOST_BYTES / 1e6:.0f} go into a page"
        raise BadInput(f"{path}: the images have {size / 1e6:.0f} MB, and {most}; draw fewer answers with --n.")
    pictures = {image: picture for image in images if (picture := _picture(image)) is not None}
    places = {image: place for place, image in enumerate(pictures)}
    items = [
        {"id": row.rating_id, "task": row.task.value, "question": row.question, "answer": row.answer}
        | ({} if reference == "hidden" else {"reference": row.reference})
        | {"images": [places.get(image) if image else None for image in row.images or (None,)]}
        for row in rows
    ]
    tasks = {
        task.value: [TASK_TITLES[task], {name: criteria_of_answer(task, name) for name in DIMENSION_TITLES}]
        for task in dict.fromkeys(row.task for row in rows)
    }
    about = {"page": page, "reference": reference}
    shapes, addresses = [picture[1:] for picture in pictures.values()], [picture[0] for picture in pictures.values()]
    told = {"version": __version__, "dimensions": DIMENSION_TITLES, "tasks": tasks, "items": items, "pictures": shapes}
    values = {"n": len(rows), "data": json_text(about | told), "pictures": addresses}
    text, _ = render("rating.html.j2", STYLES, SCRIPTS, "img-src data:", **about, **values)
    with writing(path, "choose another --html"):
        write_text(path, text)


def _picture(path: Path) -> tuple[str, int, int, str | None] | None:
    """An image's address, width and height, and how it is shown where browsers do not show the file itself."""
    if (look := look_at(path)) is None:
        return None
    width, height, kind, words = look
    try:
        data = lossless(path) if words else read_bytes(path, MAX_FILE_BYTES)
    except (*DECODER_ERRORS, BadInput):
        return None
    return f"data:image/{'png' if words else kind};base64,{b64encode(data).decode()}", width, height, words
