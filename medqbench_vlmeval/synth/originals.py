"""A user's own images as the simulator's source pictures: PNG, JPEG, TIFF and their like, DICOM, and NIfTI slices. Of a
DICOM header only modality, pixel spacing and window go into a picture; no value of a tag stands in any message. A
source's key and origin are a hash of its pixels, so that they are the same on every machine and tell no name. Paths,
which may hold a patient's name, are in :class:`Original`, :class:`Skipped` and ``Source.load``: for the user's screen
and private files, never for what is handed on."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medqbench_vlmeval.data.formats import open_data
from medqbench_vlmeval.data.grey import NotShown
from medqbench_vlmeval.data.image_forms import make_ready
from medqbench_vlmeval.errors import BadInput, RunFailed, did_you_mean
from medqbench_vlmeval.files import MAX_FILE_BYTES, MissingFile, read_bytes, reading, storable
from medqbench_vlmeval.steps import counted
from medqbench_vlmeval.synth.burned_in import shows_text
from medqbench_vlmeval.synth.catalogue import GREY, Source
from medqbench_vlmeval.synth.images import Picture
from medqbench_vlmeval.synth.own_files import NOTES, NOUNS, PLANES, ImageFile, Pixels, Window, open_image, percentiles

MIN_SIDE, MAX_SIDE = 64, 1024
"""A picture with a shorter side below the first is skipped; one with a longer side above the second is made smaller."""
MIN_LEVELS = 16
"""A picture that shows fewer values of 0-255 is constant, or a mask or label map."""
MAX_FRAMES = 10_000
CT_FIELD_MM = 350.0
"""The longer side of a CT section whose pixel pitch is not known."""

_COLUMNS = ("path", "modality", "noun", "frame", "crop", "group")

Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class AskedImages:
    """Every image below the folder ``images`` in natural order, or those that ``table`` (or ``images``, if it is a
    table) names in its column ``path``, relative to the folder; optional columns are modality, noun, frame, crop and
    group (a patient's images; else a DICOM study's are one, and each other file's).

    Modality: the table's, else what a DICOM file says, else ``modality``, else the nearest folder's name. ``frames``
    ('first', 'middle', 'all' or a number from 1) picks DICOM frames, pages and NIfTI slices, ``plane`` ('axial',
    'coronal' or 'sagittal') NIfTI's cut. ``crop`` is the LEFT, TOP, RIGHT, BOTTOM of what is kept, in pixels, or as
    shares where none is above 1. Non-zero pixels of a ``mask`` are painted with background, before the crop.
    """

    images: Path
    _: KW_ONLY
    table: Path | None = None
    modality: str | None = None
    frames: str = "middle"
    plane: str | None = None
    crop: Box | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Skipped:
    """A file, or a frame of one, that is no source, and ``why`` as the end of a sentence about it."""

    path: str
    why: str


@dataclass(frozen=True)
class Original:
    """Where the source ``key`` came from: its file, relative to the folder, its frame (from 1), by how much it is
    made smaller (1 for not), and what may be wrong with it. For the user alone, because paths may name patients."""

    key: str
    path: str
    frame: int
    factor: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Originals:
    """What a folder or a table of images gave. ``warnings`` are sentences with counts and without paths; which images
    they mean stands in ``originals``, one for each source, in the same order."""

    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    originals: tuple[Original, ...]


@dataclass(frozen=True)
class _Wanted:
    """A row of the table, or a file of the folder, and how it is read. ``stated`` is the row's modality as it is
    written, ``modality`` that of a file that does not know its own, then the one that is taken."""

    path: Path
    name: str
    frames: str
    plane: str
    crop: Box | None
    mask: Path | None
    modality: str
    stated: str = ""
    noun: str = ""
    group: str = ""


def read_originals(asked: AskedImages) -> Originals:
    """Read images; what cannot be used is in ``skipped``. Raises BadInput where an option or a row of the table is
    wrong, or nothing can be used."""
    images, table, modality = asked.images, asked.table, asked.modality or ""
    if modality and not _modality(modality):
        raise BadInput(f"Unknown modality '{modality}'; {', '.join(NOUNS)} are known.{did_you_mean(modality, NOUNS)}")
    if (plane := asked.plane or "") not in ("", *PLANES):
        raise BadInput(f"The options: a plane is axial, coronal or sagittal, not '{plane[:40]}'.")
    every = _Wanted(images, images.name, asked.frames, plane, asked.crop, asked.mask, _modality(modality))
    _check(every, "The options")
    _mask.cache_clear()  # it may be another since the last call
    if asked.mask is not None:
        _mask(asked.mask)
    if table is None and images.suffix.lower() in (".csv", ".tsv"):
        images, table = images.parent, images
    wanted = _in_table(table, images, every) if table else _in_folder(images, every)
    seen: dict[str, str] = {}
    groups: dict[str, str] = {}
    skipped: list[Skipped] = []
    found: list[tuple[Source, Original]] = []
    with _quiet():
        for one in counted("reading images", wanted, len(wanted)):
            one = replace(one, modality=one.modality or _folder_modality(one.path, images))
            for source, original in _read(one, seen, skipped):
                # Named by a picture of it, so that no name and no tag is told.
                found.append((replace(source, group=groups.setdefault(source.group, source.key)), original))
    if not found:
        reasons = "; ".join(f"{n} x {why}" for why, n in Counter(one.why for one in skipped).most_common(5))
        raise BadInput(f"{table or images} holds no usable image ({len(wanted)} files): {reasons or 'it is empty'}.")
    sources, originals = zip(*found, strict=True)
    return Originals(sources, tuple(skipped), _warnings(originals), originals)


def load_original(asked: _Wanted, frame: int, window: Window | None, key: str) -> Picture:
    """The picture of a frame (from 0) of the file, as it was planned; RunFailed where its pixels are others now."""
    try:
        with _quiet():
            file = open_image(asked.path, asked.plane)
            file.window = window
            picture, found = _picture(file, frame, asked)
    except Exception as error:  # noqa: BLE001  # decoders of four libraries, with errors of every kind
        why = f" ({error})" if isinstance(error, NotShown | BadInput) else ""
        raise RunFailed(
            f"{asked.path} was read when it was planned, and cannot be now{why}; plan the set again."
        ) from None
    if found.key != key:
        raise RunFailed(f"{asked.path} has changed since it was planned; plan the set again.")
    return picture


def _read(one: _Wanted, seen: dict[str, str], skipped: list[Skipped]) -> Iterator[tuple[Source, Original]]:
    """The frames of a file that are sources; the others, and a file that is none, are added to ``skipped``. The names
    of sources are ``seen`` by their keys."""
    name = one.name
    try:
        file = open_image(one.path, one.plane)
        told = "" if file.modality is None else file.modality or one.modality
        asked = replace(one, path=one.path.absolute(), modality=_modality(one.stated) if one.stated else told)
        for at in _chosen(one.frames, file.frames):
            name = f"{one.name}, frame {at + 1}" if file.frames > 1 else one.name
            try:
                source, original = _source(file, at, asked, seen)
            except NotShown as problem:
                skipped.append(Skipped(name, str(problem)))
            else:
                seen[source.key] = name
                yield source, original
    except NotShown as problem:
        skipped.append(Skipped(name, str(problem)))
    except BadInput as problem:
        skipped.append(Skipped(name, str(problem).removeprefix(str(one.path)).strip(" :.")))
    except Exception as error:  # noqa: BLE001  # decoders of four libraries, with errors of every kind
        # Their own words may hold the value of a tag.
        skipped.append(Skipped(name, f"is cut short or damaged ({type(error).__name__})"))


def _source(file: ImageFile, at: int, asked: _Wanted, seen: Mapping[str, str]) -> tuple[Source, Original]:
    picture, original = _picture(file, at, asked)
    key, display = original.key, picture.display()
    if key in seen:
        raise NotShown(f"has the same pixels as {seen[key]}")
    if (levels := np.count_nonzero(np.bincount(display.ravel()))) < MIN_LEVELS:
        raise NotShown(f"shows {levels} values of grey or colour: it is empty, or a mask or label map")
    if shows_text(display):
        original = replace(original, notes=(*original.notes, NOTES["text_seen"]))
    noun, group = asked.noun or file.noun or NOUNS[asked.modality], asked.group or file.study or asked.name
    load = partial(load_original, asked, at, file.window, key)
    return Source(key, asked.modality, noun, "authentic", key, load, group), original


def _warnings(originals: Sequence[Original]) -> tuple[str, ...]:
    """One sentence a kind of note, the most frequent first."""
    notes = Counter(note for one in originals for note in one.notes)
    told = [(n, f"each {note}") for note, n in notes.most_common()]
    if shrunk := [one.factor for one in originals if one.factor > 1]:
        most = f"a factor of up to {max(shrunk):.3g}, to a longer side of {MAX_SIDE} pixels"
        told.append((len(shrunk), f"each is made smaller by {most}"))
    return tuple(f"{n} of {len(originals)} images: {what}." for n, what in told)


def _picture(file: ImageFile, at: int, asked: _Wanted) -> tuple[Picture, Original]:
    """A frame's picture and what is told of it; NotShown where it is no use. A window that has to be guessed becomes
    the file's, for all of its frames."""
    if not asked.modality and asked.stated:
        raise NotShown(f"has a modality that is none of {', '.join(NOUNS)} in the table")
    if not asked.modality:
        raise NotShown(f"has no modality that is known; name it in a table or by the option ({', '.join(NOUNS)})")
    frame, is_ct, notes = file.frame(at), asked.modality == "CT", file.notes
    pixels = frame.values
    if is_ct and frame.are_hounsfield:
        pixels = np.clip(pixels, -1024, 32767).astype(np.float32)
    elif is_ct and pixels.dtype != np.uint8:
        raise NotShown("is CT in deep grey that is not said to be in Hounsfield units, or has none below -500")
    elif not is_ct and frame.show:
        if not (file.window or frame.has_window):
            middle = file.frames // 2
            file.window = percentiles((frame if at == middle else file.frame(middle)).values)
        pixels = frame.show(",".join(f"{end:.9g}" for end in file.window or ()))
        notes += (NOTES["guessed"],) if file.window else ()
    pixels = _kept(_expected(pixels, asked.modality), asked)
    if is_ct and pixels.dtype == np.uint8:
        notes, (low, high) = (*notes, NOTES["ct_from_display"]), frame.window
        # What shows black (to 4 of 255, for JPEG's sake) lies below the window, and is mostly air.
        pixels = np.where(pixels <= 4, -1000, low + pixels * ((high - low) / 255)).astype(np.float32)
    (height, width), stored = pixels.shape[:2], np.rint(pixels).astype("<i2" if is_ct else np.uint8)
    key = hashlib.sha256(f"{stored.shape}".encode() + stored.tobytes()).hexdigest()[:16]
    if min(height, width) < MIN_SIDE:
        raise NotShown(f"is {width} x {height} pixels; a side has at least {MIN_SIDE}")
    unknown = CT_FIELD_MM / max(height, width) if is_ct else 1.0
    down, right = frame.pitch or (unknown, unknown)
    pitch = min(down, right)
    factor = max(1.0, height * down / pitch / MAX_SIDE, width * right / pitch / MAX_SIDE)
    size = round(width * right / pitch / factor), round(height * down / pitch / factor)
    if min(size) < MIN_SIDE:
        raise NotShown(f"has less than {MIN_SIDE} pixels on its shorter side when its longer one has {MAX_SIDE}")
    if size != (width, height):
        resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        pixels = np.clip(resized, pixels.min(), pixels.max())
    scaled = pixels.astype(np.float64) / (1 if is_ct else 255)
    picture = Picture(scaled, asked.modality, pitch * factor, frame.window if is_ct else (0.0, 1.0))
    return picture, Original(key, asked.name, at + 1, factor, notes)


def _expected(pixels: Pixels, modality: str) -> Pixels:
    """Grey or colours, whichever pictures of the modality have. NotShown for colours where grey is expected: more than
    1% of the pixels have channels that differ by more than 24 of 255."""
    if modality not in GREY:
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
    if pixels.ndim == 2:
        return pixels
    if (np.ptp(pixels, axis=-1) > 24).mean() > 0.01:
        raise NotShown("shows colours, where grey is expected")
    grey: Pixels = np.rint(pixels.mean(axis=-1, dtype=np.float32)).astype(np.uint8)
    return grey


def _kept(pixels: Pixels, asked: _Wanted) -> Pixels:
    """What the crop leaves of it, with background (air, black, or a slide's white) where the mask is."""
    (height, width), crop = pixels.shape[:2], asked.crop or (0, 0, 1, 1)
    if asked.mask is not None:
        mask = _mask(asked.mask)
        if mask.shape != (height, width):
            raise NotShown(f"is {width} x {height} pixels and the mask {mask.shape[1]} x {mask.shape[0]}")
        background = -1000 if pixels.dtype != np.uint8 else 255 if asked.modality == "Histopathology" else 0
        pixels = np.where(mask.reshape(mask.shape + (1,) * (pixels.ndim - 2)), pixels.dtype.type(background), pixels)
    x, y = (width, height) if max(crop) <= 1 else (1, 1)
    left, top, right, bottom = (round(at * scale) for at, scale in zip(crop, (x, y, x, y), strict=True))
    return pixels[top:bottom, left:right]


@lru_cache(1)
def _mask(path: Path) -> NDArray[np.bool_]:
    """Which pixels a mask paints; BadInput where it is no image."""
    ready = make_ready(read_bytes(path, MAX_FILE_BYTES), str(path), default="0,1")
    with Image.open(BytesIO(ready.data)) as image:
        return np.asarray(np.asarray(image.convert("RGB")).any(axis=-1))


def _modality(text: str) -> str:
    """The modality that is written here in whatever case, 'MR' and 'xray' too; '' for none."""
    plain = re.sub(r"[\s_-]", "", text.casefold())
    return next((name for name in NOUNS if name.casefold().replace("-", "") == plain), "MRI" if plain == "mr" else "")


def _folder_modality(path: Path, images: Path) -> str:
    above = path.absolute().parents
    below = above[: max(len(above) - len(images.absolute().parents), 0)]
    return next((found for folder in below if (found := _modality(folder.name))), "")


def _chosen(frames: str, n: int) -> Sequence[int]:
    if frames == "all" and n <= MAX_FRAMES:
        return range(n)
    if frames == "all":
        raise NotShown(f"announces more than {MAX_FRAMES} frames; name one")
    at = {"first": 0, "middle": n // 2}.get(frames, int(frames) - 1 if frames.isdigit() else 0)
    if at >= n:
        raise NotShown(f"has {n} frames and no frame {at + 1}")
    return (at,)


def _check(asked: _Wanted, where: str) -> None:
    """BadInput, which begins with ``where``, where what is asked cannot be."""
    if asked.frames not in ("first", "middle", "all") and not re.fullmatch("[1-9][0-9]{0,8}", asked.frames):
        raise BadInput(f"{where}: frames are first, middle, all or a number from 1, not '{asked.frames[:40]}'.")
    if (box := asked.crop) and not (0 <= box[0] < box[2] < 1e6 and 0 <= box[1] < box[3] < 1e6):
        raise BadInput(f"{where}: a crop is LEFT,TOP,RIGHT,BOTTOM, of which the last two are the larger ones.")
    if len(asked.noun) > 60 or not asked.noun.isprintable():
        raise BadInput(f"{where}: a noun is a few words in one line, such as 'chest radiograph'.")


def _natural(path: Path) -> list[str]:
    return [part.zfill(20) if part.isdigit() else part for part in re.split("([0-9]+)", str(path))]


def _in_folder(images: Path, asked: _Wanted) -> list[_Wanted]:
    if images.is_file():
        return [replace(asked, name=storable(images.name))]
    if not images.is_dir():
        raise MissingFile(f"{images} does not exist; name a folder of images, or a CSV or TSV with a column 'path'.")
    with reading(images):
        found = [path.relative_to(images) for path in images.rglob("*") if path.is_file()]
    found = sorted((path for path in found if not any(part.startswith(".") for part in path.parts)), key=_natural)
    return [replace(asked, path=images / path, name=storable(path.as_posix())) for path in found]


def _in_table(table: Path, images: Path, asked: _Wanted) -> list[_Wanted]:
    wanted = []
    with open_data(table) as reader:
        names = [name.casefold() for name in reader.header]
        if "path" not in names:
            raise BadInput(f"{table} has no column 'path'; it has {', '.join(reader.header)[:200]}.")
        for number, cells in enumerate(reader.all_texts()[1:], start=1):
            texts = dict.fromkeys(_COLUMNS, "") | {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
            path, stated, noun, frames, crop, group = (texts[name] for name in _COLUMNS)
            own = replace(asked, path=images / path, name=storable(path), stated=stated, noun=noun, group=group)
            where = f"{table}, row {number}"
            own = replace(own, frames=frames.casefold() or asked.frames, crop=_box(crop, where) or asked.crop)
            _check(own, where)
            wanted.append(own)
    return wanted


def _box(text: str, where: str) -> Box | None:
    """Four numbers with commas or blanks between; None for no text."""
    if not text:
        return None
    try:
        left, top, right, bottom = (float(part) for part in re.split(r"\s*[,;]\s*|\s+", text))
    except ValueError:
        raise BadInput(f"{where}, 'crop': 4 numbers with commas between are expected, not '{text[:40]}'.") from None
    return left, top, right, bottom


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what pydicom and nibabel print on their own, which may hold the value of a tag."""
    was = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was)
