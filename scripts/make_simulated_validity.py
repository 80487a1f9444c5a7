"""Makes the pictures and figures of ``docs/simulated.md`` from the sources that ``synth_sources.py`` gathers.

    python -m scripts.synth_sources SOURCES
    python -m scripts.make_simulated_validity SOURCES

For each degradation of the catalogue: a strip (none, mild, moderate, severe) below ``docs/pictures/synth``, and its
measures, the mean over the modality's sources and two draws, between the two marks of the page.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.transform import resize

from medqbench_vlmeval.synth.catalogue import Degradation, of_modality
from medqbench_vlmeval.synth.images import Picture
from scripts.measures import MEASURES

DOCS = Path(__file__).parent.parent / "docs"
PAGE, STRIPS = DOCS / "simulated.md", DOCS / "pictures" / "synth"
BEGIN, END = "<!-- begin: made by scripts/make_simulated_validity.py -->\n", "<!-- end -->\n"
GRADES = ("mild", "moderate", "severe")
SIDE, TILE, GAP = 256, 176, 3
SEEDS = (1, 2)
MOST_BYTES = 3_000_000
# The first of a modality is shown; all are measured.
USED = {
    "CT": ("thorax", "skull-base", "pancreas", "vertebra"),
    "MRI": ("brain-012", "flair", "heart", "shoulder", "ch2-coronal"),
    "Histopathology": ("target-1", "histo-0", "norm-tile", "skin-1"),
    "Endoscopy": ("colon-41", "colon-44", "colon-50"),
    "Fundus": ("retina",),
    "X-ray": ("chest", "leg", "coronary-48", "scout"),
    "Ultrasound": ("pelvis-1", "echo-60", "eye", "wires"),
}
UNIT = {"psnr": "PSNR", "ssim": "SSIM", "gradient": "gradient similarity"}


def loaded(folder: Path, row: dict[str, str]) -> Picture:
    """The middle square of a source, at most SIDE pixels wide."""
    path, pitch, window = folder / row["path"], 1.0, (0.0, 1.0)
    if path.suffix == ".dcm":
        from pydicom import dcmread

        data = dcmread(path, force=True)
        pixels = data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
        pixels, pitch = np.maximum(pixels, -1024.0), float(data.PixelSpacing[0])
        low, high = row["window"].split(",")
        window = float(low), float(high)
    else:
        with Image.open(path) as opened:
            pixels = np.asarray(opened, dtype=np.float64) / 255.0
    short = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - short) // 2, (pixels.shape[1] - short) // 2
    pixels = pixels[top : top + short, left : left + short]
    side = min(SIDE, short)
    small = resize(pixels, (side, side, *pixels.shape[2:]), anti_aliasing=True, preserve_range=True)
    return Picture(np.asarray(small), row["modality"], pitch * short / side, window)


def strip(row: Degradation, picture: Picture, path: Path) -> None:
    shown = [picture, *(row.degrade(picture, grade, np.random.default_rng(SEEDS[0])) for grade in GRADES)]
    sheet = Image.new("RGB", (4 * TILE + 3 * GAP, TILE), "white")
    for place, one in enumerate(shown):
        tile = Image.fromarray(one.display()).convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (place * (TILE + GAP), 0))
    sheet.save(path, quality=82, optimize=True)


def figures(row: Degradation, pictures: list[Picture]) -> dict[str, list[float]]:
    """Mean of each measure by severity, over pictures and draws."""
    draws = []
    for picture in pictures:
        none = picture.display()
        for seed in SEEDS:
            made = [row.degrade(picture, grade, np.random.default_rng(seed)).display() for grade in GRADES]
            draws.append([[measure(none, one) for one in made] for measure in MEASURES.values()])
    means = np.mean(draws, axis=0)
    return {name: list(means[place]) for place, name in enumerate(MEASURES)}


def main() -> None:
    folder = Path(sys.argv[1])
    with (folder / "file.csv").open(encoding="utf-8") as file:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
    STRIPS.mkdir(parents=True, exist_ok=True)
    for old in STRIPS.glob("*.jpg"):
        old.unlink()
    text = []
    for modality, names in USED.items():
        pictures = [loaded(folder, rows[name]) for name in names]
        first = rows[names[0]]
        drawn = " Drawn, not photographed." if first["kind"] == "procedural" else ""
        text.append(f"### {modality}\n\nShown: {first['noun']}, {first['package']}, {first['licence']}.{drawn} "
                    f"Measured on {len(names)}: {', '.join(names)}.\n")  # fmt: skip
        for row in of_modality(modality):
            strip(row, pictures[0], STRIPS / f"{row.key}.jpg")
            found = figures(row, pictures)
            told = "; ".join(
                f"{'**' if name == row.measure else ''}{UNIT[name]} "
                + " / ".join(f"{value:.1f}" if name == "psnr" else f"{value:.2f}" for value in found[name])
                + (" dB" if name == "psnr" else "")
                + ("**" if name == row.measure else "")
                for name in MEASURES
            )
            text.append(f"`{row.key}` {row.name}: {told}\n\n![{row.name}: none, mild, moderate, severe]"
                        f"(pictures/synth/{row.key}.jpg)\n")  # fmt: skip
            print(row.key, told)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(text) + f"\n{END}{after}", encoding="utf-8")
    size = sum(path.stat().st_size for path in STRIPS.glob("*.jpg"))
    print(f"{size / 1e6:.1f} MB of strips")
    if size > MOST_BYTES:
        sys.exit(f"{STRIPS} has more than {MOST_BYTES // 1_000_000} MB.")


if __name__ == "__main__":
    main()
