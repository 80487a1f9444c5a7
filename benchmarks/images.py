"""What the kit's encoder for API models does to images: PSNR by modality, MedQ-Classical's accuracy, and a picture.

    python -m benchmarks.images [PICTURE.png]

Each image of the embedded perception set goes through the kit's own ``encode_image_to_base64`` as its API classes call
it, and through ``--image-bytes original``. MedQ-Classical answers all questions on both. The picture shows, for the
image with the median PSNR of each modality, the 48 x 48 pixels that changed most.
"""

from __future__ import annotations

import base64
import io
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont

from benchmarks.machine import machine
from medqbench_vlmeval.answers import extract_choice
from medqbench_vlmeval.baselines.classical import reply
from medqbench_vlmeval.benchmark import parse_dataset_name
from medqbench_vlmeval.data import load_dataset
from medqbench_vlmeval.kit.model_use import original_bytes, psnr
from medqbench_vlmeval.prompts import build_text
from medqbench_vlmeval.types import Sample

CROP, TIMES, GAP, MARGIN = 48, 3, 6, 92


def by_kit(path: Path) -> bytes:
    """What the kit's clients for OpenAI-compatible servers send."""
    from vlmeval.smp import encode_image_to_base64

    with Image.open(path) as image:
        return base64.b64decode(encode_image_to_base64(image))


def by_us(path: Path) -> bytes:
    """What ``--image-bytes original`` sends."""
    return original_bytes(path)[1]


def n_right(samples: Sequence[Sample], encode: Callable[[Path], bytes], folder: Path) -> int:
    """How many questions MedQ-Classical answers rightly on encoded images."""
    right = 0
    for number, sample in enumerate(samples):
        path = folder / f"{number}{sample.images[0].suffix}"
        path.write_bytes(encode(sample.images[0]))
        message = [{"type": "image", "value": str(path)}, {"type": "text", "value": build_text(sample, "official")}]
        right += extract_choice(reply(message), sample.options) == sample.answer
    return right


def changed_most(difference: Image.Image) -> tuple[int, int, int, int]:
    """The square of CROP pixels a side with the largest sum of differences, on a grid of eight pixels."""
    grey = difference.convert("L")
    corners = [
        (left, top, left + CROP, top + CROP)
        for left in range(0, grey.width - CROP + 1, 8)
        for top in range(0, grey.height - CROP + 1, 8)
    ]
    return max(corners, key=lambda box: sum(v * n for v, n in enumerate(grey.crop(box).histogram())))


def picture(shown: Mapping[str, tuple[Path, float]]) -> Image.Image:
    """Three rows (original, the kit's, their difference eight times) with a column a modality."""
    side = CROP * TIMES
    sheet = Image.new("RGB", (MARGIN + len(shown) * (side + GAP), 40 + 3 * (side + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, words in enumerate(("file", "as the kit\nsends it", "difference\nx 8")):
        draw.text((4, 40 + row * (side + GAP) + side // 2 - 14), words, "black", font)
    for column, (modality, (path, decibels)) in enumerate(shown.items()):
        original = Image.open(path).convert("RGB")
        sent = Image.open(io.BytesIO(by_kit(path))).convert("RGB")
        difference = ImageChops.difference(original, sent)
        box, left = changed_most(difference), MARGIN + column * (side + GAP)
        draw.text((left, 4), f"{modality}\n{decibels:.1f} dB", "black", font)
        for row, image in enumerate((original, sent, difference.point(lambda value: min(255, 8 * value)))):
            tile = image.crop(box).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (left, 40 + row * (side + GAP)))
    return sheet


def main() -> None:
    samples = load_dataset(parse_dataset_name("MedQBench_Perception_mini")).samples
    images = {sample.images[0]: str(sample.modality) for sample in samples}
    print(machine())
    print(f"{'modality':<16}{'images':>7}{'mean dB':>9}{'lowest':>8}{'highest':>9}{'bytes, % of the file':>22}")
    shown: dict[str, tuple[Path, float]] = {}
    measured = []
    for path, modality in images.items():
        sent = by_kit(path)
        with Image.open(path) as original, Image.open(io.BytesIO(sent)) as encoded:
            measured.append((modality, psnr(original, encoded) or 99.0, len(sent), path.stat().st_size, path))
    for name in [*dict.fromkeys(images.values()), "all"]:
        lines = sorted((line for line in measured if name in (line[0], "all")), key=lambda line: line[1])
        values = [line[1] for line in lines]
        share = 100 * sum(line[2] for line in lines) / sum(line[3] for line in lines)
        mean = statistics.fmean(values)
        print(f"{name:<16}{len(lines):>7}{mean:>9.1f}{values[0]:>8.1f}{values[-1]:>9.1f}{share:>22.0f}")
        if name != "all":
            middle = lines[len(lines) // 2]
            shown[name] = middle[4], middle[1]
    with tempfile.TemporaryDirectory() as folder:
        for words, encode in (("the files", Path.read_bytes), ("--image-bytes original", by_us), ("kit", by_kit)):
            print(f"MedQ-Classical on {words}: {n_right(samples, encode, Path(folder))} of {len(samples)}")
    if len(sys.argv) > 1:
        picture(shown).save(sys.argv[1], optimize=True)
        print(f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
