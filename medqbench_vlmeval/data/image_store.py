"""Images under names made from their content.

An image's file name is the sha256 of its bytes, so that a changed data file can never show an old image, two
rows with the same image share one file, and processes that write the same image at once write the same bytes.
The bytes are stored as they came, never encoded again, and only after they were decoded once as a whole image.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path

from medqbench_vlmeval import files
from medqbench_vlmeval.errors import BadInput

MAX_PIXELS = 178_956_970
"""An image that announces more pixels is refused; it is PIL's own limit, which other packages raise."""
# Their decoders take 16 bytes and more for a pixel, of images of a hundred bytes too.
_COSTLY = frozenset({"WEBP", "JPEG2000"})
_TILE_SIDES = (322, 323)  # the tags of a TIFF for a tile's width and height

# One of the larger images is read and decoded at a time, however many threads there are.
_LARGE_PIXELS, _LARGE_BYTES = 1 << 23, 1 << 25
_ONE_LARGE = threading.RLock()
# What the kit's encoder takes. It fails on every other form of pixels ("cannot write mode I;16 as JPEG"), and where a
# model takes the file itself PIL turns deep grey into white.
_SENDABLE = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
# It enlarges an image until its shorter side has so many pixels; JPEG has no longer side.
_LEAST_SIDE, _MOST_SIDE = 100, 65_500

# First bytes, the suffix and PIL's name. The list is also what may be decoded at all: PIL would hand an
# EPS file to an external interpreter.
_FORMATS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png", "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "jpg", "JPEG"),
    (re.compile(rb"GIF8[79]a"), "gif", "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp", "WEBP"),
    (re.compile(rb"II\*\0|MM\0\*"), "tif", "TIFF"),
    (re.compile(rb"BM"), "bmp", "BMP"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "jp2", "JPEG2000"),
    (re.compile(rb"P[1-6]\s"), "ppm", "PPM"),
)
CONTENT_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{3,4}")
_PNG_END = b"IEND\xaeB\x60\x82"

_BUILTIN_ERRORS = (OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
DECODER_ERRORS = (*_BUILTIN_ERRORS, MemoryError, NotImplementedError, struct.error, zlib.error)
"""What PIL's decoders raise on broken files."""

_STRICT = threading.Lock()


def data_folder(make: bool = True) -> Path:
    """The kit's data folder, ``~/LMUData`` or what ``LMUData`` names; it is made where it is absent, if asked to.

    Raises:
        BadInput: it cannot be made; of a named folder that is absent the kit takes the other one without a word.
    """
    named = os.environ.get("LMUData") or "~/LMUData"  # noqa: SIM112 - the kit spells it so
    folder = Path(named).expanduser().absolute()
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot be made ({error.strerror}); set LMUData to another one"
        raise BadInput(f"The data folder {named} (LMUData) {why}.") from None
    return folder


class ImageStore:
    """A folder of images under content addresses, ``root/<2 hex>/<64 hex>.<suffix>``.

    Its methods may be called from many threads and processes at once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: set[tuple[Path, int, int]] = set()

    @classmethod
    def default(cls, make: bool = True) -> ImageStore:
        """The store in :func:`data_folder`."""
        return cls(data_folder(make) / "images" / "MedQBench")

    def put(self, data: bytes, where: str) -> Path:
        """The absolute path of a file with exactly these bytes, which is made where there is none; ``where`` names file
        and row in errors.

        Raises:
            BadInput: the bytes are not a whole image, or the folder cannot be used.
        """
        name = content_name(data, where)
        path = self.place(name)
        try:
            if not path.exists() or path.stat().st_size != len(data):
                check_image(data, where)
                files.write_bytes(path, data)
        except OSError as error:
            raise BadInput(
                f"the image folder {self.root} cannot be used ({error.strerror}); set LMUData to another folder."
            ) from None
        return path

    def place(self, name: str) -> Path:
        """Where the image of that name is kept; the name is one of :func:`content_name`'s."""
        return self.root / name[:2] / name

    def check_file(self, path: Path, where: str) -> Path:
        """The path of a file that is used in place; BadInput where it is no whole image. Each version of a file is
        decoded once."""
        try:
            status = path.stat()
            key = (path, status.st_size, status.st_mtime_ns)
            if key not in self._checked:
                with _ONE_LARGE if status.st_size > _LARGE_BYTES else nullcontext():
                    check_image(files.read_bytes(path, files.MAX_FILE_BYTES), f"{where}: {path}")
                self._checked.add(key)
        except OSError as error:
            raise BadInput(f"{where}: the image {path} cannot be read: {error.strerror}.") from None
        return path


def content_name(data: bytes, where: str) -> str:
    """The name under which a store keeps an image; the bytes are hashed, not decoded. BadInput where they do not begin
    like an image."""
    suffix, _ = _format_of(data, where)
    return f"{hashlib.sha256(data).hexdigest()}.{suffix}"


def is_content_name(name: str) -> bool:
    """Whether a text has the form of :func:`content_name`'s names, which leads to no other folder."""
    return CONTENT_NAME.fullmatch(name) is not None


def check_image(data: bytes, where: str) -> None:
    """Decode an image (of several frames, the first) to its last pixel, and see that the kit can send it.

    Raises:
        BadInput: not an image, cut short, damaged, announced with more than ``MAX_PIXELS`` pixels, or of a form that no
            model would be shown as it is.
    """
    from PIL import Image, UnidentifiedImageError

    _, name = _format_of(data, where)
    most = MAX_PIXELS // 4 if name in _COSTLY else MAX_PIXELS
    problem = None
    try:
        with Image.open(BytesIO(data), formats=(name,)) as image:
            pixels = image.size[0] * image.size[1]
            tile = [getattr(image, "tag_v2", {}).get(tag, 1) for tag in _TILE_SIDES]
            too_large = pixels > most or any(type(side) is not int for side in tile) or tile[0] * tile[1] > most
            problem = _not_sendable("L", image.size)
            if not too_large and problem is None:
                with _ONE_LARGE if pixels > _LARGE_PIXELS else nullcontext():
                    image.load()
                    problem = _not_sendable(image.mode, image.size)
                    image.close()  # the pixels go before the next large image is decoded
        if name == "PNG":
            # load() stops at the last pixel; verify() reads on to the end and compares the checksums.
            with Image.open(BytesIO(data), formats=(name,)) as image:
                image.verify()
    except Image.DecompressionBombError:
        too_large = True
    except UnidentifiedImageError:
        raise BadInput(f"{where}: the image is cut short or damaged (its head is none of an image).") from None
    except DECODER_ERRORS as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BadInput(f"{where}: the image is cut short or damaged ({reason.rstrip('.')}).") from None
    if too_large:
        raise BadInput(f"{where}: the image announces more than {most} pixels and is not decoded.")
    if name == "PNG" and _PNG_END not in data:
        raise BadInput(f"{where}: the image is cut short or damaged (no end chunk).")
    if problem is not None:
        raise BadInput(f"{where}: the image {problem}.")


def _not_sendable(mode: str, size: tuple[int, int]) -> str | None:
    """Why the kit could not send an image, as the end of a sentence about it; None where it can."""
    if 0 in size:
        return "has no pixels"
    if mode not in _SENDABLE:
        deep = "16-bit or deeper grey" if mode in ("I", "F") or mode.startswith("I;") else "colours of another kind"
        return (
            f"has {deep} (PIL's mode {mode}), which the kit cannot send; convert it to 8-bit grey or RGB, with a "
            "stated window where it is deep"
        )
    if max(size) * max(1, _LEAST_SIDE / min(size)) > _MOST_SIDE:
        return (
            f"is {size[0]} x {size[1]} pixels, and the kit, which makes the shorter side {_LEAST_SIDE} pixels at "
            f"least, cannot send a side above {_MOST_SIDE:,}"
        )
    return None


@contextmanager
def strict_decoding() -> Iterator[None]:
    """Make PIL report truncated files for a while, also where another package told it to fill them with grey."""
    from PIL import ImageFile

    with _STRICT:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _format_of(data: bytes, where: str) -> tuple[str, str]:
    head = data[:16]
    for magic, suffix, name in _FORMATS:
        if magic.match(head):
            return suffix, name
    if not data:
        raise BadInput(f"{where}: the image is empty.")
    kinds = "PNG, JPEG, GIF, WebP, TIFF, BMP, JPEG 2000 or PPM"
    raise BadInput(f"{where}: not an image that can be read here ({kinds}); its first bytes are {head[:8]!r}.")
