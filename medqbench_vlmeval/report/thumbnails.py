"""Thumbnails of the images that result files name: found in their folder alone, decoded with care, without metadata."""

from __future__ import annotations

import re
import warnings
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from medqbench_vlmeval.data.image_forms import DECODER_ERRORS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256_000_000
FEW_IMAGES, MANY_IMAGES = 200, 1500
"""More images are shown smaller, so that a page of the whole benchmark stays below 15 MB."""
LARGE, SMALL, SMALLEST = 512, 160, 128  # longest side in pixels
_PLAIN = re.compile(r"(?!\.)[^\x00-\x1f\x7f/\\:]+")


@dataclass(frozen=True)
class Thumbnail:
    """``size`` is the image's own in pixels, ``width`` the thumbnail's; ``shown_as``: how, if browsers need a copy."""

    data: bytes
    size: tuple[int, int]
    width: int
    shown_as: str | None = None

    @property
    def media_type(self) -> str:
        return "image/webp" if self.data[:4] == b"RIFF" else "image/jpeg"

    @property
    def data_uri(self) -> str:
        return f"data:{self.media_type};base64,{b64encode(self.data).decode()}"


def make_thumbnails(paths: Sequence[Path | None], for_cells: bool = False) -> list[Thumbnail | None]:
    """Thumbnails parallel to ``paths``, always the same bytes; None where there is no path or no image that can be
    decoded. Those ``for_cells`` are small JPEGs, which every spreadsheet shows."""
    from PIL import Image

    n = sum(path is not None for path in paths)
    side = LARGE if n <= FEW_IMAGES else SMALL if n <= MANY_IMAGES else SMALLEST
    thumbnail = _for_cell if for_cells else partial(_thumbnail, side=side)
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        # The announced size is checked before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return list(pool.map(thumbnail, paths))


def _thumbnail(path: Path | None, side: int, as_jpeg: bool = False) -> Thumbnail | None:
    from PIL import Image, features

    if path is None or (look := look_at(path)) is None:
        return None
    out, (width, height, _, shown) = BytesIO(), look
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.draft("RGB", (side, side))
            image.load()
            small = _plain(image)
            small.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.5)
        quality = 80 if side == LARGE else 70 if as_jpeg else 45
        if features.check("webp") and not as_jpeg:
            small.save(out, "WEBP", quality=quality, method=1, icc_profile=b"", exif=b"", xmp=b"")
        else:
            small.save(out, "JPEG", quality=quality)
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return None
    return Thumbnail(out.getvalue(), (width, height), small.width, shown)


# The workbooks of many runs show the same images, whose names are made from their content.
_for_cell = lru_cache(4096)(partial(_thumbnail, side=SMALL, as_jpeg=True))


def look_at(path: Path) -> tuple[int, int, str, str | None] | None:
    """An image's width and height in pixels, its format in small letters and, where browsers do not show it as it is,
    how :func:`lossless` does; None where it is not shown: it cannot be read, or is too large."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            (width, height), kind = image.size, str(image.format)
        is_small = width * height <= MAX_PIXELS and path.stat().st_size <= MAX_FILE_BYTES
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return None
    words = f"{kind} shown as PNG" if kind in ("TIFF", "JPEG2000", "PPM") else None
    return (width, height, kind.lower(), words) if is_small else None


def lossless(path: Path) -> bytes:
    """An image as its thumbnail shows it, with all of its pixels, as PNG. Raises DECODER_ERRORS."""
    from PIL import Image

    out = BytesIO()
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        _plain(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _plain(image: Image) -> Image:
    """The first frame in grey or RGB, black where nothing is drawn."""
    from PIL import Image as Pillow

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        ground = Pillow.new("RGBA", image.size, (0, 0, 0, 255))
        ground.alpha_composite(image.convert("RGBA"))
        return ground.convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in its own folder; names are somebody else's text."""
    return _PLAIN.fullmatch(name) is not None and len(name.encode(errors="replace")) <= 255


def find_image(folder: Path | None, name: str) -> Path | None:
    """The file of that name in a folder, directly or under its first two characters as in an image store. A name is
    somebody else's text: None where it is no plain file name, or where it or a link leads anywhere else."""
    if folder is None or not is_plain(name):
        return None
    root = folder.resolve()
    for path in (root / name[:2] / name, root / name):
        try:
            real = path.resolve()
            if real.is_relative_to(root) and real.is_file():
                return real
        except (OSError, RuntimeError, ValueError):
            # A loop of links, a folder without rights, half a character in the name: no image.
            continue
    return None
