"""The contact sheet of a simulated set: one picture a modality, degradation and severity, all on one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from medqbench_vlmeval.benchmark import SEVERITIES
from medqbench_vlmeval.files import write_bytes
from medqbench_vlmeval.report.text import one_line
from medqbench_vlmeval.synth.catalogue import STRUCTURES, Planned
from medqbench_vlmeval.synth.plan import Plan

_SIDE, _GAP, _LABEL, _HEAD, _LINE = 112, 6, 150, 44, 15  # pixels
_MOST_ROWS = 14  # a modality with more degradations goes on in the next column
_BLACK, _GREY, _EMPTY = (20, 20, 20), (110, 110, 110), (238, 238, 238)

# One line of the sheet: what stands in front, and a picture by severity.
_Row: TypeAlias = tuple[str, Mapping[str, Planned]]


def write_contact_sheet(path: Path, plan: Plan, images: Path) -> None:
    """Draw the pictures of ``plan``, which lie in the folder ``images``, as a grid: a block a modality, a line a
    degradation, a column a severity. Of several pictures in a place the first of the source with most places is shown,
    so that a line is one scene where it can be. OSError where a picture or the sheet cannot be opened."""
    blocks = [
        (modality, rows[start : start + _MOST_ROWS])
        for modality, rows in _rows(plan).items()
        for start in range(0, len(rows), _MOST_ROWS)
    ]
    shown = [severity for severity in SEVERITIES if any(severity in row for _, rows in blocks for _, row in rows)]
    width = _LABEL + len(shown) * (_SIDE + _GAP) + 2 * _GAP
    height = _HEAD + max(len(rows) for _, rows in blocks) * (_SIDE + _GAP)
    sheet = Image.new("RGB", (width * len(blocks), height), "white")
    draw = ImageDraw.Draw(sheet)
    small, large = _font(11), _font(16)
    for at, (modality, rows) in enumerate(blocks):
        left = at * width + _GAP
        draw.text((left, _GAP), modality, _BLACK, large)
        for place, severity in enumerate(shown):
            draw.text((left + _LABEL + place * (_SIDE + _GAP), _HEAD - _LINE - 3), severity, _GREY, small)
        for line, (name, row) in enumerate(rows):
            top = _HEAD + line * (_SIDE + _GAP)
            draw.multiline_text((left, top), _wrapped(name, small), _BLACK, small)
            for place, severity in enumerate(shown):
                corner = (left + _LABEL + place * (_SIDE + _GAP), top)
                if (planned := row.get(severity)) is None:
                    draw.rectangle((*corner, corner[0] + _SIDE - 1, corner[1] + _SIDE - 1), _EMPTY)
                else:
                    sheet.paste(_thumbnail(images / planned.file_name), corner)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    write_bytes(path, out.getvalue())


def _rows(plan: Plan) -> dict[str, list[_Row]]:
    """The lines of each modality, sorted by name; the undegraded picture of a line's source stands before it."""
    found: dict[str, dict[str, dict[str, dict[str, Planned]]]] = {}
    clean: dict[str, Planned] = {}
    for planned in plan.pictures:
        if planned.degradation is None:
            clean.setdefault(planned.source.key, planned)
        elif planned.also is None:
            by_source = found.setdefault(planned.source.modality, {}).setdefault(planned.fault, {})
            by_source.setdefault(planned.source.key, {}).setdefault(planned.severity, planned)
    for faults in found.values():
        for by_source in faults.values():
            for key in by_source.keys() & clean.keys():
                by_source[key]["none"] = clean[key]
    known = [modality for modality in STRUCTURES if modality in found]
    return {modality: [(name, _best(of)) for name, of in sorted(found[modality].items())] for modality in known}


def _best(by_source: Mapping[str, Mapping[str, Planned]]) -> dict[str, Planned]:
    """A picture a severity: of the source that has most of them, and what it lacks of the others."""
    row: dict[str, Planned] = {}
    for places in sorted(by_source.values(), key=len, reverse=True):
        row = {**places, **row}
    return row


def _wrapped(name: str, font: ImageFont.FreeTypeFont) -> str:
    lines = [""]
    for word in one_line(name).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) < _LABEL - _GAP:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(filter(None, lines))


def _thumbnail(path: Path) -> Image.Image:
    """The whole picture in a square, black around it."""
    with Image.open(path) as opened:
        small = opened.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (_SIDE, _SIDE))
    square.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
    return square


def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
