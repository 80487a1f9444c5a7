"""The pages that people rate on, one HTML file each: no answer says whose it is, no image what was done to it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES
from medqbench_vlmeval.data.image_forms import DECODER_ERRORS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes, write_text, writing
from medqbench_vlmeval.report.page.page import json_text, render
from medqbench_vlmeval.report.rating_sheet import RatingRow, criteria_of_answer
from medqbench_vlmeval.report.text import LABELS
from medqbench_vlmeval.report.thumbnails import MAX_FILE_BYTES, look_at, lossless
from medqbench_vlmeval.synth.catalogue import Planned, of_modality

EXPORT_FORMAT = "medqbench ratings 1"
IMAGE_EXPORT_FORMAT = "medqbench image ratings 1"

REFERENCES = ("shown", "hidden", "after")
"""Whether raters see the reference: always, never, or once they rated an answer."""

MOST_BYTES = 150_000_000
"""Of a page's images together: a browser reads the file as a whole."""

STYLES = ("theme.css", "zoom.css", "rating.css")
SCRIPTS = ("dom.js", "theme.js", "zoom.js", "ratings.js", "rating.js")

QUALITY = "quality"
# What the script is told, and its images, None for each that is not here.
_Item: TypeAlias = tuple[dict[str, str], Sequence[Path | None]]


def write_rating_page(path: Path, rows: Sequence[RatingRow], page: str, reference: str) -> None:
    """Write a rating page of ``rows`` in their order, whole or not at all. ``page`` tells its exports and what browsers
    keep for it from those of others; ``reference`` is one of :data:`REFERENCES`. Raises BadInput where the images are
    too large together. Raises RunFailed where the file cannot be written."""
    items: list[_Item] = []
    for row in rows:
        told = {"id": row.rating_id, "task": row.task.value, "question": row.question, "answer": row.answer}
        items.append((told if reference == "hidden" else told | {"reference": row.reference}, row.images or (None,)))
    tasks = {
        task.value: [TASK_TITLES[task], {name: criteria_of_answer(task, name) for name in DIMENSION_TITLES}]
        for task in dict.fromkeys(row.task for row in rows)
    }
    about = {"format": EXPORT_FORMAT, "page": page, "reference": reference, "dimensions": DIMENSION_TITLES}
    _write(path, "rating.html.j2", about | {"tasks": tasks}, items, "answers with --n", "choose another --html")


def write_image_rating_page(path: Path, pictures: Sequence[Planned], images: Path, page: str) -> None:
    """Write a page on which readers say how good each of ``pictures`` is and which faults they see, in their order and
    under their stems, whole or not at all; the files lie in the folder ``images``. Raises BadInput where they are too
    large together. Raises RunFailed where the page cannot be written."""
    items = [({"id": of.stem, "task": of.source.modality}, [images / of.file_name]) for of in pictures]
    modalities = sorted({of.source.modality for of in pictures})
    marks = LABELS["image_quality"]
    asked = {QUALITY: ("Would you read this image for a diagnosis?", marks)}
    told = {
        "format": IMAGE_EXPORT_FORMAT,
        "page": page,
        "dimensions": {QUALITY: "Quality"},
        "letters": {mark: text[0].lower() for mark, text in marks.items()},
        "tasks": {name: [name, asked] for name in modalities},
        "faults": {name: {row.key: row.name for row in of_modality(name)} for name in modalities},
    }
    _write(path, "image_rating.html.j2", told, items, "images of each degradation with --n", "choose another --out")


def _write(path: Path, template: str, told: Mapping[str, object], items: Sequence[_Item], fewer: str, way: str) -> None:
    """A page of items, with each image that can be shown once; ``fewer`` and ``way`` are what messages advise."""
    once = dict.fromkeys(image for _, images in items for image in images if image is not None)
    size = sum(image.stat().st_size for image in once)
    if size > MOST_BYTES:
        most = f"at most {MOST_BYTES / 1e6:.0f} go into a page"
        raise BadInput(f"{path}: the images have {size / 1e6:.0f} MB, and {most}; draw fewer {fewer}.")
    shown = {image: picture for image in once if (picture := _picture(image)) is not None}
    places = {image: place for place, image in enumerate(shown)}
    listed = [{**about, "images": [image and places.get(image) for image in images]} for about, images in items]
    pictures = [shape for _, *shape in shown.values()]
    data = json_text({**told, "items": listed, "version": __version__, "pictures": pictures})
    values = {"n": len(items), "page": told["page"], "reference": told.get("reference", ""), "data": data}
    addresses = [address for address, *_ in shown.values()]
    text, _ = render(template, STYLES, SCRIPTS, "img-src data:", **values, pictures=addresses)
    with writing(path, way):
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
