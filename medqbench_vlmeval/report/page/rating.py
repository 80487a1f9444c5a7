"""The pages that people rate on, each one HTML file with its images and exports: answers without a trace of whose they
are, or images without a trace of what was done to them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, TASK_TITLES
from medqbench_vlmeval.data.image_forms import DECODER_ERRORS
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_bytes, write_text, writing
from medqbench_vlmeval.report.page.page import json_text, render
from medqbench_vlmeval.report.rating_sheet import RatingRow, criteria_of_answer
from medqbench_vlmeval.report.thumbnails import MAX_FILE_BYTES, look_at, lossless

EXPORT_FORMAT = "medqbench ratings 1"
IMAGE_EXPORT_FORMAT = "medqbench image ratings 1"

REFERENCES = ("shown", "hidden", "after")
"""Whether raters see the reference: always, never, or once they rated an answer."""

MOST_BYTES = 150_000_000
"""Of a page's images together: a browser reads the file as a whole."""

STYLES = ("theme.css", "zoom.css", "rating.css")
SCRIPTS = ("dom.js", "theme.js", "zoom.js", "ratings.js", "rating.js")

QUALITY, QUALITY_ASKS = "quality", "Would you read this image for a diagnosis?"
_QUALITY_MARKS = {
    0: "Reject: what matters cannot be judged; take it again.",
    1: "Usable: a fault is seen, and the image can still be read.",
    2: "Good: nothing disturbs the reading.",
}
# An image's address, width and height, and how it is shown where browsers do not show the file itself.
_Picture: TypeAlias = tuple[str, int, int, str | None]
_LETTERS = {0: "r", 1: "u", 2: "g"}


def write_rating_page(path: Path, rows: Sequence[RatingRow], page: str, reference: str) -> None:
    """Write a rating page, whole or not at all, with each image once; ``rows`` stand in the order in which they are to
    be rated. ``page`` tells the page's exports and what a browser keeps for it from those of others; ``reference`` is
    one of :data:`REFERENCES`. Raises BadInput where the images are too large together. Raises RunFailed where the file
    cannot be written."""
    pictures = _pictures(path, (image for row in rows for image in row.images if image is not None), "answers with --n")
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
    about = {"format": EXPORT_FORMAT, "page": page, "reference": reference, "dimensions": DIMENSION_TITLES}
    told = about | {"tasks": tasks, "items": items}
    _write(path, "rating.html.j2", len(rows), told, list(pictures.values()), "choose another --html")


@dataclass(frozen=True)
class ImageToRate:
    """One image under an id that says nothing; the file's name is not told."""

    rating_id: str
    modality: str
    image: Path


def write_image_rating_page(
    path: Path, rows: Sequence[ImageToRate], page: str, faults: Mapping[str, Mapping[str, str]]
) -> None:
    """Write a page on which readers say how good each image is and which faults they see, whole or not at all. ``rows``
    stand in the order in which they are to be rated; ``page`` tells the page's exports from those of others, ``faults``
    maps a modality to its faults' keys and names. Raises BadInput where the images are too large together. Raises
    RunFailed where the file cannot be written."""
    pictures = list(_pictures(path, (row.image for row in rows), "images of each degradation with --n").values())
    modalities = sorted({row.modality for row in rows})
    asked = {QUALITY: (QUALITY_ASKS, _QUALITY_MARKS)}
    items = [{"id": row.rating_id, "task": row.modality, "images": [place]} for place, row in enumerate(rows)]
    about = {"format": IMAGE_EXPORT_FORMAT, "page": page, "dimensions": {QUALITY: "Quality"}, "letters": _LETTERS}
    told = about | {"tasks": {name: [name, asked] for name in modalities}, "items": items}
    told["faults"] = {name: faults[name] for name in modalities}
    _write(path, "image_rating.html.j2", len(rows), told, pictures, "choose another --out")


def _write(
    path: Path, template: str, n: int, told: Mapping[str, object], pictures: Sequence[_Picture], advice: str
) -> None:
    """A page from what its script is told; ``pictures`` are addresses with widths, heights and words."""
    data = json_text({**told, "version": __version__, "pictures": [shape for _, *shape in pictures]})
    values = {"n": n, "page": told["page"], "reference": told.get("reference", ""), "data": data}
    addresses = [address for address, *_ in pictures]
    text, _ = render(template, STYLES, SCRIPTS, "img-src data:", **values, pictures=addresses)
    with writing(path, advice):
        write_text(path, text)


def _pictures(page: Path, images: Iterable[Path], fewer: str) -> dict[Path, _Picture]:
    """Each image that can be shown, once. Raises BadInput where all are too large together."""
    once = dict.fromkeys(images)
    size = sum(image.stat().st_size for image in once)
    if size > MOST_BYTES:
        most = f"at most {MOST_BYTES / 1e6:.0f} go into a page"
        raise BadInput(f"{page}: the images have {size / 1e6:.0f} MB, and {most}; draw fewer {fewer}.")
    return {image: picture for image in once if (picture := _picture(image)) is not None}


def _picture(path: Path) -> _Picture | None:
    if (look := look_at(path)) is None:
        return None
    width, height, kind, words = look
    try:
        data = lossless(path) if words else read_bytes(path, MAX_FILE_BYTES)
    except (*DECODER_ERRORS, BadInput):
        return None
    return f"data:image/{'png' if words else kind};base64,{b64encode(data).decode()}", width, height, words
