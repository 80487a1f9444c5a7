"""The contact sheet of a simulated set: one picture a modality, degradation and severity, all on one PNG."""

from __future__ import annotations

import io
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

from medqbench_vlmeval.benchmark import SEVERITIES
from medqbench_vlmeval.files import write_bytes
from medqbench_vlmeval.synth.catalogue import STRUCTURES, Planned
from medqbench_vlmeval.synth.plan import Plan

_SIDE, _GAP, _LABEL, _HEAD, _LINE = 112, 6, 150, 44, 15  # pixels
_LETTERS = 24  # of a line of a label
_MOST_ROWS = 14  # a modality with more degradations goes on in the next column
_BLACK, _GREY, _EMPTY = (20, 20, 20), (110, 110, 110), (238, 238, 238)

_Row: TypeAlias = tuple[str, Mapping[str, Planned]]  # what stands in front, and a picture by severity


def write_contact_sheet(path: Path, plan: Plan, images: Path) -> None:
    """Draw the pictures of ``plan``, which lie in the folder ``images``, as a grid: a block a modality, a line a
    degradation, a column a severity; a line is one scene where it can be. OSError where a file cannot be opened."""
    blocks = _blocks(plan)
    shown = [severity for severity in SEVERITIES if any(severity in row for _, rows in blocks for _, row in rows)]
    width = _LABEL + len(shown) * (_SIDE + _GAP) + 2 * _GAP
    height = _HEAD + max(len(rows) for _, rows in blocks) * (_SIDE + _GAP)
    sheet = Image.new("RGB", (width * len(blocks), height), "white")
    draw = ImageDraw.Draw(sheet)
    small, large = ImageFont.load_default(11), ImageFont.load_default(16)
    for at, (modality, rows) in enumerate(blocks):
        left = at * width + _GAP
        draw.text((left, _GAP), modality, _BLACK, large)
        for place, severity in enumerate(shown):
            draw.text((left + _LABEL + place * (_SIDE + _GAP), _HEAD - _LINE - 3), severity, _GREY, small)
        for line, (name, row) in enumerate(rows):
            top = _HEAD + line * (_SIDE + _GAP)
            draw.multiline_text((left, top), fill(name, _LETTERS), _BLACK, small)
            for place, severity in enumerate(shown):
                corner = (left + _LABEL + place * (_SIDE + _GAP), top)
                if (planned := row.get(severity)) is None:
                    draw.rectangle((*corner, corner[0] + _SIDE - 1, corner[1] + _SIDE - 1), _EMPTY)
                else:
                    with Image.open(images / planned.file_name) as picture:
                        sheet.paste(ImageOps.pad(picture.convert("RGB"), (_SIDE, _SIDE)), corner)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    write_bytes(path, out.getvalue())


def _blocks(plan: Plan) -> list[tuple[str, list[_Row]]]:
    """The lines of each modality, sorted by name; the undegraded picture of a line's source stands before it."""
    clean = {of.source.key: of for of in reversed(plan.pictures) if of.degradation is None}
    found: dict[str, dict[str, dict[str, dict[str, Planned]]]] = {}
    for planned in plan.pictures:
        if planned.degradation is not None and planned.also is None:
            key = planned.source.key
            by_source = found.setdefault(planned.source.modality, {}).setdefault(planned.fault, {})
            places = by_source.setdefault(key, {"none": clean[key]} if key in clean else {})
            places.setdefault(planned.severity, planned)
    blocks = []
    for modality in filter(found.__contains__, STRUCTURES):
        # What the source with most pictures lacks is another's.
        best = {name: ChainMap(*sorted(of.values(), key=len, reverse=True)) for name, of in found[modality].items()}
        rows: list[_Row] = sorted(best.items())
        blocks += [(modality, rows[start : start + _MOST_ROWS]) for start in range(0, len(rows), _MOST_ROWS)]
    return blocks
