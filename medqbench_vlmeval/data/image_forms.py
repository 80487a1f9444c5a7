"""What a stored image is: the bytes as they came where the kit shows them as they look, else a lossless copy in PNG.
Turned by its EXIF tag, of several frames, deeper than 8 bits or a DICOM file: readers show such an image each in its
own way, or not at all. It becomes the one picture that is meant, and a phrase says how. Deep grey is shown through a
window that somebody stated, never through a guessed one."""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.data.grey import NotShown, is_dicom, read_dicom, to_eight_bits
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import ImageForm

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 178_956_970
"""An image that announces more pixels is refused; it is PIL's own limit, which other packages raise."""
# Their decoders take 16 bytes and more for a pixel, of images of a hundred bytes too; so do deep grey and DICOM.
_COSTLY = frozenset({"WEBP", "JPEG2000"})
_TILE_SIDES = (322, 323)  # the tags of a TIFF for a tile's width and height

# One of the larger images is read and decoded at a time, however many threads there are.
LARGE_PIXELS, ONE_LARGE = 1 << 23, threading.RLock()
# What the kit's encoder takes. It fails on every other form of pixels ("cannot write mode I;16 as JPEG"), and where a
# model takes the file itself PIL turns deep grey into white.
_SENDABLE = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
# It enlarges the shorter side to so many pixels; JPEG has no longer side.
_LEAST_SIDE, _MOST_SIDE = 100, 65_500
_NOT_IN_PNG = frozenset({"CMYK", "YCbCr", "RGBX"})

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
_EXIF = re.compile(rb"eXIf|xif|EXIF|com\.adobe\.xmp")
_PNG_END = b"IEND\xaeB\x60\x82"

_BUILTIN_ERRORS = (OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
DECODER_ERRORS = (*_BUILTIN_ERRORS, MemoryError, RuntimeError, struct.error, zlib.error)
"""What PIL's decoders raise on broken files."""


@dataclass(frozen=True)
class ReadyImage:
    """An image as it is stored: its bytes, its form, and its name: the sha256 of the bytes as they came, after a
    conversion with its words, and so the same on every machine, whatever its PNG encoder makes."""

    data: bytes
    name: str
    form: ImageForm


def make_ready(
    data: bytes, where: str, window: str = "", default: str = "", is_stored: Callable[[str, int], bool] | None = None
) -> ReadyImage:
    """Decode an image to its last pixel, and make of it what the kit shows as it is. ``where`` names file and row in
    errors. Deep grey is shown through the row's ``window`` ('LOW,HIGH'), else what a DICOM file states, else
    ``default``. ``is_stored`` tells by name and size that bytes which need no conversion were checked before; these are
    not decoded. BadInput for what is no image, cut short, damaged, announced with more than ``MAX_PIXELS`` pixels, deep
    without a window, or of a form that no model would be shown as it is."""
    from PIL import Image

    if is_dicom(data):
        with _told(where), ONE_LARGE if len(data) > LARGE_PIXELS else nullcontext():
            return _converted(data, *read_dicom(data, window, default, MAX_PIXELS // 4))
    suffix, kind = format_of(data, where)
    name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
    with _told(where), Image.open(BytesIO(data), formats=(kind,)) as image:
        pixels, is_costly = image.size[0] * image.size[1], kind in _COSTLY or is_deep(image.mode)
        check_announced(image, MAX_PIXELS // 4 if is_costly else MAX_PIXELS)
        _sendable(ReadyImage(data, name, ImageForm(*image.size, "L", kind)))
        told = _oddities(image, kind, data)
        if not told and is_stored is not None and is_stored(name, len(data)):
            return ReadyImage(data, name, ImageForm(*image.size, image.mode, kind))
        with ONE_LARGE if pixels > LARGE_PIXELS else nullcontext():
            image.load()
            ready = ReadyImage(data, name, ImageForm(*image.size, image.mode, kind))
            if told:
                picture, how = upright(image, kind, window or default)
                ready = _converted(data, picture, f"{kind}, {', '.join((*told, *how))}")
            image.close()  # the pixels go before the next large image is decoded
        if kind == "PNG":
            # load() stops at the last pixel; verify() reads on to the end and compares the checksums.
            with Image.open(BytesIO(data), formats=(kind,)) as again:
                again.verify()
            if data.rfind(_PNG_END) < 0:
                raise EOFError("no end chunk")
        return _sendable(ready)


def content_name(data: bytes, where: str, window: str = "", default: str = "") -> str:
    """The name under which a store keeps an image, where it takes none that of its bytes; BadInput where these do not
    begin like an image. Only what needs a conversion is decoded."""
    suffix = "dcm" if is_dicom(data) else format_of(data, where)[0]
    try:
        return make_ready(data, where, window, default, is_stored=lambda _name, _size: True).name
    except BadInput:
        return f"{hashlib.sha256(data).hexdigest()}.{suffix}"


def _oddities(image: Image.Image, kind: str, data: bytes) -> list[str]:
    """Why an image cannot go out as it is, by its head alone."""
    # Both kits tell an image by its name's ending, with what Python knows of these by itself.
    told = ["a kind of file that the kit does not take"] if kind == "JPEG2000" else []
    # A camera's JPEG may hold further pictures, which no reader shows.
    if kind != "JPEG" and getattr(image, "is_animated", False):
        told.append("the first of its frames")
    # PIL itself turns TIFF. Reading a PNG's EXIF decodes it, and to search its pixels for one takes as long.
    may_turn = kind != "TIFF" and (kind != "PNG" or _EXIF.search(_beside_pixels(data)))
    if may_turn and (turn := image.getexif().get(274, 1)) in range(2, 9):
        told.append(f"turned by its EXIF orientation {turn}")
    if is_deep(image.mode):
        told.append(f"grey of {image.mode}")
    elif (data[24] if kind == "PNG" else max(_tag(image, 258)) if kind == "TIFF" else 8) > 8:
        told.append("colours of 16 bits by their high bytes")
    return told


def check_announced(image: Image.Image, most: int) -> None:
    """See before it is decoded that an opened image, or a tile of it, has at most so many pixels; NotShown else."""
    tile = [getattr(image, "tag_v2", {}).get(tag, 1) for tag in _TILE_SIDES]
    if image.size[0] * image.size[1] > most or any(type(side) is not int for side in tile) or tile[0] * tile[1] > most:
        raise NotShown(f"announces more than {most} pixels and is not decoded")


def is_deep(mode: str) -> bool:
    """Whether an image of this mode of PIL's holds grey of more than 8 bits."""
    return mode in ("I", "F") or mode.startswith("I;")


def _beside_pixels(png: bytes) -> bytes:
    at, chunks = 8, []
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        chunks += [] if png[at + 4 : at + 8] == b"IDAT" else [png[at:end]]
        at = end
    return b"".join(chunks)


def _tag(image: Any, number: int) -> tuple[int, ...]:
    """The whole numbers of a TIFF's tag."""
    value = image.tag_v2.get(number, 8)
    return tuple(value) if isinstance(value, tuple) else (value,)


def upright(image: Image.Image, kind: str, window: str) -> tuple[Image.Image, list[str]]:
    """The one picture that an odd image means, upright and of 8 bits, and how its grey was brought to these; NotShown
    where no ``window`` is stated and its grey takes one."""
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(image)
    if not is_deep(image.mode):
        return picture, []
    if kind == "PPM":  # PIL stretches its values to 16 bits
        raise NotShown("is a PGM deeper than 8 bits; save it as PNG or TIFF")
    import numpy as np
    from PIL.Image import fromarray

    grey, how = to_eight_bits(np.asarray(picture), window, is_white_zero(image, kind))
    return fromarray(grey), [how]


def is_white_zero(image: Image.Image, kind: str) -> bool:
    """Whether the lowest value of deep grey is white: TIFF's photometric interpretation 0."""
    return kind == "TIFF" and _tag(image, 262) == (0,)


def _converted(data: bytes, picture: Image.Image, told: str) -> ReadyImage:
    out, kind = BytesIO(), "TIFF" if picture.mode in _NOT_IN_PNG else "PNG"
    picture.save(out, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    name = hashlib.sha256(data + b"\0" + told.encode()).hexdigest()
    form = ImageForm(*picture.size, picture.mode, kind, told)
    return _sendable(ReadyImage(out.getvalue(), f"{name}.{'tif' if kind == 'TIFF' else 'png'}", form))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Tell what is wrong with an image that fails in the block; BadInput."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except NotShown as problem:
        raise BadInput(f"{where}: the image {problem}.") from None
    except Image.DecompressionBombError:
        raise BadInput(f"{where}: the image announces more than {MAX_PIXELS} pixels and is not decoded.") from None
    except Exception as error:  # noqa: BLE001  # decoders of three libraries, with errors of every kind
        reason = "its head is none of an image" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(reason.split())[:120] or type(error).__name__
        raise BadInput(f"{where}: the image is cut short or damaged ({reason.rstrip('.')}).") from None


def _sendable(ready: ReadyImage) -> ReadyImage:
    """The same image, if the kit can send its form; NotShown where it cannot."""
    form, size = ready.form, (ready.form.width, ready.form.height)
    if 0 in size:
        raise NotShown("has no pixels")
    if form.mode not in _SENDABLE:
        raise NotShown(f"has colours that the kit cannot send (PIL's mode {form.mode}); convert it to RGB")
    if max(size) * max(1, _LEAST_SIDE / min(size)) > _MOST_SIDE:
        raise NotShown(
            f"is {size[0]} x {size[1]} pixels, and the kit, which makes the shorter side {_LEAST_SIDE} pixels at "
            f"least, cannot send a side above {_MOST_SIDE:,}"
        )
    return ready


def is_image(data: bytes) -> bool:
    """Whether bytes begin like an image."""
    return is_dicom(data) or any(magic.match(data[:16]) for magic, _, _ in _FORMATS)


def format_of(data: bytes, where: str) -> tuple[str, str]:
    """The suffix and PIL's name of an image's kind, by its first bytes; BadInput for what is none, or a DICOM file."""
    for magic, suffix, name in _FORMATS:
        if magic.match(data[:16]):
            return suffix, name
    if not data:
        raise BadInput(f"{where}: the image is empty.")
    kinds = "PNG, JPEG, GIF, WebP, TIFF, BMP, JPEG 2000, PPM or DICOM"
    raise BadInput(f"{where}: not an image that can be read here ({kinds}); its first bytes are {data[:8]!r}.")
