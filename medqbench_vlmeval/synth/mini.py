"""Writes the embedded set: pictures, three tables and their provenance. The same call writes the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medqbench_vlmeval.files import write_bytes, write_text
from medqbench_vlmeval.synth import plan
from medqbench_vlmeval.synth.picture import Bytes
from medqbench_vlmeval.synth.plan import Planned, Row
from medqbench_vlmeval.synth.sources import SOURCES

TABLES = {
    "medqbench_QA_mini.tsv": plan.perception_rows,
    "medqbench_description_mini.tsv": plan.description_rows,
    "medqbench_paired_description_mini.tsv": plan.pair_rows,
}
JPEG_QUALITY = 92


def table_text(rows: Sequence[Row]) -> str:
    """A TSV with a header line; quotes only where a cell needs them, lines end with a newline alone."""
    out = io.StringIO()
    columns = list(rows[0].values)
    writer = csv.DictWriter(out, columns, delimiter="\t", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.values for row in rows)
    return out.getvalue()


def render(picture: Planned) -> Bytes:
    """The pixels of one planned picture, uint8, (H, W) or (H, W, 3)."""
    loaded = picture.source.load()
    if picture.degradation is None:
        return loaded.display()
    rng = np.random.default_rng(picture.seed)
    return picture.degradation.degrade(loaded, picture.severity, rng).display()


def encode(pixels: Bytes, suffix: str) -> bytes:
    """A PNG, or a JPEG at quality 92 without chroma subsampling (its error is far below any simulated one)."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(pixels)
    if suffix == "png":
        image.save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def provenance() -> str:
    """JSON: every source with package and licence, every picture with degradation, parameters and seed."""
    sources = {
        source.key: {
            "modality": source.modality,
            "kind": source.kind,
            "origin": source.origin,
            "package": source.carrier,
            "licence": source.licence,
        }
        for source in SOURCES.values()
    }
    images = {
        picture.file_name: {
            "source": picture.source.key,
            "degradation": picture.degradation.key if picture.degradation else None,
            "name": picture.degradation.name if picture.degradation else "none",
            "function": f"{picture.degradation.apply.__module__}.{picture.degradation.apply.__name__}"
            if picture.degradation
            else None,
            "severity": picture.severity,
            "parameters": dict(picture.degradation.parameters[picture.severity]) if picture.degradation else {},
            "seed": list(picture.seed),
        }
        for planned in plan.pictures().values()
        for picture in sorted(planned, key=lambda p: p.file_name)
    }
    about = (
        "Made by scripts/build_mini.py. Pictures are resampled and degraded; parameters are explained, with units, "
        "in the docstring of the named function. Nothing here comes from the benchmark's own data."
    )
    return json.dumps({"about": about, "sources": sources, "images": images}, indent=1, ensure_ascii=False) + "\n"


def write_mini(out: Path, only: Sequence[str] | None = None) -> list[Path]:
    """Write the set into ``out`` and return the files written, in order.

    ``only`` limits the pictures to these file names; tables and provenance are always written.

    Raises:
        MissingDependency: a package that carries a source image is not installed.
    """
    written: list[Path] = []
    for planned in plan.pictures().values():
        for picture in planned:
            if only is None or picture.file_name in only:
                path = out / "images" / picture.file_name
                write_bytes(path, encode(render(picture), path.suffix[1:]))
                written.append(path)
    for name, rows in TABLES.items():
        write_text(out / name, table_text(rows()))
        written.append(out / name)
    write_text(out / "PROVENANCE.json", provenance())
    written.append(out / "PROVENANCE.json")
    return written
