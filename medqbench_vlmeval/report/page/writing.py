"""Writing the page: what goes into it, and how much room each part of it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval import __version__, files
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.page.board import boards
from medqbench_vlmeval.report.page.document import document, json_text
from medqbench_vlmeval.report.page.figures import figures
from medqbench_vlmeval.report.page.lengths import shortened
from medqbench_vlmeval.report.page.runs import PageRun, page_runs, run_facts
from medqbench_vlmeval.report.page.samples import gather
from medqbench_vlmeval.report.page.thumbnails import Thumbnail, make_thumbnails
from medqbench_vlmeval.tasks import DIMENSION_TITLES

MAX_BYTES = 14_500_000
"""What a page of one run of the whole benchmark may take, thumbnails and all."""

MIN_THUMBNAILS = 3_000_000
"""Bytes of thumbnails that a page of many runs or long replies has all the same."""

_GENERATOR = b'<meta name="generator" content="medqbench-vlmeval">'
_HEAD_BYTES = 8192

_TEXT_BYTES = 8_000_000
_TEXT_BYTES_PER_ANSWER = 2_500
_ROOM_FOR_CODE = 150_000

Run = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]


def is_page(path: Path) -> bool:
    """Whether a file is a page that this package made.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _GENERATOR in file.read(_HEAD_BYTES)


def write_page(path: Path, runs: Sequence[Run], image_root: Path | None) -> None:
    """Write one self-contained HTML file about ``runs``, whole or not at all.

    The same runs and images give the same bytes. Nothing in the file asks a network for anything, and every text of
    a model, a judge or a data file is data in it, never markup.

    Args:
        runs: the object of a ``_score.json`` and the rows of its ``_samples.jsonl``, for each run; the first one is
            shown first.
        image_root: the folder of the runs' images (an :class:`~medqbench_vlmeval.data.images.ImageStore`'s root, or
            a flat folder); images that are not there are said to be absent. None: no images but the embedded set's.

    Raises:
        BadInput: there is no run, a score is not a result of this package, or rows are not those of its score.
        RunFailed: the file cannot be written.
    """
    if not runs:
        raise BadInput("There is no run to make a page of; name at least one scored run.")
    known = page_runs([score for score, _ in runs])
    gathered = gather(known, [rows for _, rows in runs], image_root)
    n_answers = sum(map(len, gathered.answers))
    told = shortened(
        {
            "version": __version__,
            "dimensions": DIMENSION_TITLES,
            "runs": [run_facts(run) for run in known],
            "boards": boards(known),
            "samples": gathered.samples,
            "answers": gathered.answers,
        },
        max(_TEXT_BYTES, _TEXT_BYTES_PER_ANSWER * n_answers),
    )
    drawn = figures([score for score, _ in runs])
    taken = len(json_text(told).encode()) + sum(len(figure.svg.encode()) for figure in drawn) + _ROOM_FOR_CODE
    thumbnails = make_thumbnails(gathered.paths, max(MIN_THUMBNAILS, MAX_BYTES - taken))
    pictures = [_picture(name, thumbnail) for name, thumbnail in zip(gathered.names, thumbnails, strict=True)]
    text = document(_title(known), told, pictures, drawn)
    try:
        files.write_text(path, text)
    except OSError as error:
        raise RunFailed(
            f"{path} cannot be written ({error.strerror or error}); close it if it is open elsewhere, or choose "
            "another folder."
        ) from error


def _picture(name: str, thumbnail: Thumbnail | None) -> list[Any]:
    """Name, width and height of the image, data URI and width of its thumbnail; the name alone where there is none."""
    if thumbnail is None:
        return [name]
    return [name, *thumbnail.size, thumbnail.data_uri, thumbnail.width]


def _title(runs: Sequence[PageRun]) -> str:
    return "MedQ-Bench report, " + ("1 run" if len(runs) == 1 else f"{len(runs)} runs")
