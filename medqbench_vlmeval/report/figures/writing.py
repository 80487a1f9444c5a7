"""Drawing all figures that results support, into files or into texts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_bytes, write_text
from medqbench_vlmeval.report.figures import bars, confusion, curve, heatmap, radar, svg
from medqbench_vlmeval.report.figures.captions import caption_of, title_of
from medqbench_vlmeval.report.figures.plots import BARS, CURVE, HEATMAP, RADAR, Confusion, Figure, figures_of
from medqbench_vlmeval.report.figures.style import drawing
from medqbench_vlmeval.report.markup import markdown_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

CAPTIONS = "captions.md"
_DPI = 300


def write_figures(scores: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw the figures that these results support, each as PNG (300 dots an inch) and SVG, and write their captions.

    Several runs stand in one figure; tasks apart. The files are named after what they show and the task
    (``radar_modality_perception.svg``, ...); the same results in any order give the same bytes but for which colour
    stands for which run. Captions are in ``captions.md``.

    Returns:
        The written files; empty where nothing can be drawn, and then nothing is written.

    Raises:
        BadInput: a score is not a result of this package.
        RunFailed: the folder cannot be written to.
    """
    written: list[Path] = []
    captions = []
    try:
        for figure, drawn in _drawn(scores):
            caption = caption_of(figure)
            for path, data in (
                (folder / f"{figure.name}.png", _png(drawn, title_of(figure), caption)),
                (folder / f"{figure.name}.svg", svg.standalone(drawn, figure.name, title_of(figure), caption).encode()),
            ):
                write_bytes(path, data)
                written.append(path)
            captions.append(f"## {figure.name}\n\n{markdown_text(caption)}\n")
        if written:
            write_text(folder / CAPTIONS, "# Captions\n\n" + "\n".join(captions))
            written.append(folder / CAPTIONS)
    except OSError as error:
        raise RunFailed(f"The figures cannot be written to {folder}: {error.strerror or error}.") from error
    return written


def themed_svgs(scores: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The same figures by name as inline SVG: ink is ``currentColor``, the ground is transparent.

    Each has a ``<title>`` and a ``<desc>`` with the caption, and ids that begin with its name.

    Raises:
        BadInput: a score is not a result of this package.
    """
    return {
        figure.name: svg.inline(drawn, figure.name, title_of(figure), caption_of(figure))
        for figure, drawn in _drawn(scores)
    }


def _drawn(scores: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Figure, Drawing]]:
    found = figures_of(scores)
    if found:
        with drawing():
            for figure in found:
                yield figure, _draw(figure)


def _draw(figure: Figure) -> Drawing:
    if isinstance(figure, Confusion):
        return confusion.draw(figure)
    draw = {BARS: bars.draw, CURVE: curve.draw, HEATMAP: heatmap.draw, RADAR: radar.draw}[figure.kind]
    return draw(figure)


def _png(drawn: Drawing, title: str, description: str) -> bytes:
    out = io.BytesIO()
    metadata = {"Software": None, "Title": title, "Description": description}
    drawn.savefig(out, format="png", dpi=_DPI, facecolor="white", metadata=metadata)
    return out.getvalue()
