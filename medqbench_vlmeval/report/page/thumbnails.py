"""Thumbnails that together stay below a number of bytes, as large as that allows.

Images are decoded with care: only formats that need no other program, none that announces too many pixels, one large
one at a time. A thumbnail has pixels alone: no colour profile, comment or other metadata of its image.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medqbench_vlmeval.data.image_store import DECODER_ERRORS
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.runs.result import RunPart

if TYPE_CHECKING:
    from PIL.Image import Image


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256_000_000

# Longest side in pixels and quality, best first: a page of few images has large ones.
RUNGS = (
    (512, 80),
    (448, 78),
    (384, 76),
    (320, 74),
    (288, 70),
    (256, 66),
    (224, 62),
    (192, 58),
    (160, 54),
    (128, 50),
    (96, 45),
    (64, 40),
)
_TRIED = 32
_LARGE = 12_000_000  # pixels; larger ones are decoded one after the other, so that memory holds one of them
_OVERHEAD = 40  # bytes that a data URI's head and its place in the list take
_ONE_LARGE = threading.Lock()

_Maker = Callable[[int, Sequence["Path | None"]], "list[Thumbnail | None]"]


@dataclass(frozen=True)
class Thumbnail:
    """``size`` is the image's own in pixels, ``width`` the thumbnail's."""

    data: bytes
    size: tuple[int, int]
    width: int

    @property
    def data_uri(self) -> str:
        kind = "webp" if self.data[:4] == b"RIFF" else "jpeg"
        return f"data:image/{kind};base64,{b64encode(self.data).decode()}"

    @property
    def taken(self) -> int:
        """Bytes in the page."""
        return (len(self.data) + 2) // 3 * 4 + _OVERHEAD


def make_thumbnails(paths: Sequence[Path | None], budget: int) -> list[Thumbnail | None]:
    """Thumbnails parallel to ``paths``; None where there is no path or no image that can be decoded.

    The same images and budget give the same bytes.

    Args:
        budget: bytes that all data URIs may take together; the smallest size is made even if it takes more.
    """
    from PIL import Image, features

    if not any(paths):
        return [None] * len(paths)
    webp = bool(features.check("webp"))
    threads = max(1, min(8, os.cpu_count() or 1))
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        # The announced size is checked before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)

        def at(rung: int, chosen: Sequence[Path | None]) -> list[Thumbnail | None]:
            return list(pool.map(lambda path: _thumbnail(path, rung, webp), chosen))

        rung = _first_rung(paths, budget, at)
        made = at(rung, paths)
        while sum(one.taken for one in made if one) > budget and rung + 1 < len(RUNGS):
            rung += 1
            # The noisiest images take the most; making them smaller leaves the others as they are.
            heavy = sorted((one.taken for one in made if one), reverse=True)
            limit = heavy[len(heavy) // 4]
            places = [place for place, one in enumerate(made) if one and one.taken >= limit]
            for place, one in zip(places, at(rung, [paths[place] for place in places]), strict=True):
                made[place] = one
    return made


def _first_rung(paths: Sequence[Path | None], budget: int, at: _Maker) -> int:
    """The best rung at which some of the images say that all fit."""
    named = sorted(path for path in paths if path)
    step = max(1, len(named) // _TRIED)
    tried = named[::step]
    low, high = 0, len(RUNGS) - 1
    while low < high:
        middle = (low + high) // 2
        found = [one.taken for one in at(middle, tried) if one]
        if sum(found) / max(1, len(found)) * len(named) <= budget:
            high = middle
        else:
            low = middle + 1
    return low


def _thumbnail(path: Path | None, rung: int, webp: bool) -> Thumbnail | None:
    if path is None:
        return None
    side, quality = RUNGS[rung]
    from PIL import Image

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
            if size[0] * size[1] > MAX_PIXELS:
                return None
            if size[0] * size[1] > _LARGE:
                with _ONE_LARGE:
                    small = _reduced(image, side)
            else:
                small = _reduced(image, side)
        out = BytesIO()
        if webp:
            small.save(out, "WEBP", quality=quality, method=1, icc_profile=b"", exif=b"", xmp=b"")
        else:
            small.save(out, "JPEG", quality=quality)
    except (*DECODER_ERRORS, Image.DecompressionBombError):
        return None
    return Thumbnail(out.getvalue(), size, small.width)


def _reduced(image: Image, side: int) -> Image:
    """The first frame in grey or RGB, no side longer than ``side``."""
    from PIL import Image as Pillow

    image.draft("RGB", (side, side))
    image.load()
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        ground = Pillow.new("RGBA", image.size, (0, 0, 0, 255))
        ground.alpha_composite(image.convert("RGBA"))
        image = ground.convert("RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image.thumbnail((side, side), Pillow.Resampling.BILINEAR, reducing_gap=1.5)
    return image


def _eight_bits(image: Image) -> Image:
    """An image of 16 bits or more in grey, its range spread over the levels; PIL would cut it off at 255."""
    values = image.convert("F")
    low, high = cast("tuple[float, float]", values.getextrema())
    scale = 255 / ((high - low) or 1)
    offset = -low * scale
    return values.point(lambda value: value * scale + offset).convert("L")


# Finding the images that result files name: a name is somebody else's text, and never leads out of its folder.


_LONGEST = 255
_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\:]+")
_EMBEDDED = "embedded"


def folders_of(part: RunPart, image_root: Path | None) -> tuple[Path, ...]:
    """The folders in which a task's images may lie.

    The embedded set's images have names that other folders may use for other images, so that they are looked for in
    this package alone, and by nobody else.
    """
    if part.data.get("origin") == _EMBEDDED:
        return (embedded_folder() / "images",)
    return () if image_root is None else (image_root,)


class Finder:
    """Looks names up in folders, each directly or under its first two characters as in an image store."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._known: dict[str, Path | None] = {}

    def find(self, name: str) -> Path | None:
        """The file of that name; None where there is none, or the name or a link leads anywhere else."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Path | None:
        if not _PLAIN.fullmatch(name) or name.startswith(".") or len(name.encode(errors="replace")) > _LONGEST:
            return None
        for folder in self._folders:
            for path in (folder / name[:2] / name, folder / name):
                try:
                    found = path.resolve()
                    if found.is_relative_to(folder) and found.is_file():
                        return found
                except (OSError, RuntimeError, ValueError):
                    # A loop of links, a folder without rights, half a character in the name: no image.
                    continue
        return None
