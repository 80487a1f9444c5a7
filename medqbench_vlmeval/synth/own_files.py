"""One frame of a user's image file as pixels: PNG, JPEG, TIFF and their like, DICOM, NIfTI slices. Files are told by
their first bytes (NIfTI by its name). What a header announces is checked before pixels are decoded. Of a DICOM header,
modality, pixel pitch and window are read, and what tells of text in the image; notes and errors hold no value of a tag.
Deep grey whose window nobody states is shown between its percentiles, and a note says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medqbench_vlmeval.data.grey import (
    NotShown,
    dicom_frame,
    dicom_grey,
    has_own_window,
    is_dicom,
    open_dicom,
    to_eight_bits,
)
from medqbench_vlmeval.data.image_forms import check_announced, format_of, is_deep, is_image, is_white_zero, upright
from medqbench_vlmeval.files import MAX_FILE_BYTES, read_bytes, reading
from medqbench_vlmeval.synth.images import package

_TABLES = json.loads((files(__package__) / "own_images.json").read_text(encoding="utf-8"))
NOUNS: Mapping[str, str] = _TABLES["nouns"]
"""The modalities that are taken, and what a question calls a picture where nobody says."""
NOTES: Mapping[str, str] = _TABLES["notes"]
MAX_SOURCE_PIXELS = 1 << 25
"""A frame that announces more pixels is not decoded."""
CT_WINDOW = (-160.0, 240.0)
"""The soft-tissue window (HU) of CT that does not state its own."""
PLANES = ("sagittal", "coronal", "axial")
_TOO_LARGE = f"announces more than {MAX_SOURCE_PIXELS} pixels and is not decoded"

Pixels: TypeAlias = NDArray[Any]
Window: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Grey ``values`` (H, W) as they are stored, or colours (H, W, 3) in uint8, upright; ``pitch`` is that of rows and
    columns in mm, None where it is not known. ``show`` makes display values of 0-255 of the grey by a window
    'LOW,HIGH', or by '' where it ``has_window``; None where the values are such already. Where they ``are_hounsfield``,
    ``window`` is the (lowest, highest) shown."""

    values: Pixels
    pitch: tuple[float, float] | None = None
    show: Callable[[str], Pixels] | None = None
    has_window: bool = False
    are_hounsfield: bool = False
    window: Window = CT_WINDOW


@dataclass
class ImageFile:
    """An opened file: how a ``frame`` of it is read, counted from 0 (NotShown, or an error of a decoder, where it
    cannot be), how many ``frames`` it has, its ``modality`` ('' where it tells none, None for one that is not taken), a
    ``noun`` or '', ``notes``, each the end of a sentence about an image, and the ``study`` that it has in common with
    other files, which must not be told. ``window`` shows its deep grey where it states none."""

    frame: Callable[[int], Frame]
    frames: int = 1
    modality: str | None = ""
    noun: str = ""
    notes: tuple[str, ...] = ()
    study: str = ""
    window: Window | None = None


def open_image(path: Path, plane: str = "") -> ImageFile:
    """Open an image file; ``plane`` is how a volume is cut ('axial', 'coronal', 'sagittal'; '' across its thickest
    axis, axial where all are equal). Raises BadInput where it cannot be read, NotShown where it is no image, and an
    error of a decoder."""
    if re.search(r"\.nii(\.gz)?$", path.name, re.IGNORECASE):
        return _nifti(path, plane)
    data = read_bytes(path, MAX_FILE_BYTES)
    if not is_image(data):
        raise NotShown("is no image that can be read here")
    if is_dicom(data):
        return _dicom(data)
    kind = format_of(data, str(path))[1]
    with _opened(data, kind) as image:
        # A camera's JPEG may hold further pictures, which no viewer shows.
        return ImageFile(partial(_page, data, kind), 1 if kind == "JPEG" else int(getattr(image, "n_frames", 1)))


@contextmanager
def _opened(data: bytes, kind: str, index: int = 0) -> Iterator[Image.Image]:
    try:
        with Image.open(BytesIO(data), formats=(kind,)) as image:
            image.seek(index)
            check_announced(image, MAX_SOURCE_PIXELS)
            yield image
    except Image.DecompressionBombError:
        raise NotShown(_TOO_LARGE) from None


def _page(data: bytes, kind: str, index: int) -> Frame:
    """A page of a PNG, JPEG, TIFF, or what else Pillow reads here."""
    with _opened(data, kind, index) as image:
        if not is_deep(image.mode):
            grey = image.mode in ("1", "L", "LA")
            return Frame(np.asarray(upright(image, kind, "")[0].convert("L" if grey else "RGB")))
        values, inverted = np.asarray(ImageOps.exif_transpose(image)), is_white_zero(image, kind)
    return Frame(values, None, lambda by: to_eight_bits(values, by, inverted)[0], False, bool(values.min() <= -500))


def _dicom(data: bytes) -> ImageFile:
    file = open_dicom(data)
    stored = str(file.get("SOPClassUID", "")).removeprefix(_TABLES["storage"])
    code = str(file.get("Modality") or "").strip().upper()
    modality = _TABLES["dicom"].get(code or "OT")
    if modality == "":
        modality = _TABLES["sop_classes"].get(stored, "")
    if modality == "CT" and "LOCALIZER" in (file.get("ImageType") or ()):
        raise NotShown("is a CT localizer, which is no slice")
    notes, denied = [], str(file.get("BurnedInAnnotation") or "").strip().upper()
    if denied == "YES":
        notes.append(NOTES["burned_in"])
    elif not denied and (modality == "Ultrasound" or stored.split(".")[0] == "7"):
        notes.append(NOTES["maybe_burned_in"])
    if any((group, 0x3000) in file for group in range(0x6000, 0x6020, 2)):
        notes.append(NOTES["overlays"])
    n, study = max(int(file.get("NumberOfFrames") or 1), 1), str(file.get("StudyInstanceUID") or "")
    return ImageFile(partial(_dicom_frame, data), n, modality, "mammogram" if code == "MG" else "", tuple(notes), study)


def _dicom_frame(data: bytes, index: int) -> Frame:
    file = open_dicom(data)  # for each frame, because reading one moves what is stated for it
    values, bits = dicom_frame(file, index, MAX_SOURCE_PIXELS)
    pitch = _pitch(file.get("PixelSpacing") or file.get("ImagerPixelSpacing") or file.get("PixelAspectRatio"))
    if values.ndim == 3:
        return Frame(values.astype(np.uint8), pitch)
    is_shown = (bits <= 8 and values.min() >= 0 and values.max() <= 255) or has_own_window(file)
    in_hounsfield = "RescaleIntercept" in file or "ModalityLUTSequence" in file
    show = partial(dicom_grey, values, file, bits, default="")
    return Frame(values, pitch, lambda by: show(by)[0], is_shown, in_hounsfield, _ct_window(file))


def _nifti(path: Path, plane: str) -> ImageFile:
    """A NIfTI volume, the first one of a series."""
    nibabel = package("nibabel")
    with reading(path), path.open("rb"):  # what the system says comes before what nibabel says
        image = nibabel.load(path)
    if not 3 <= len(image.shape) <= 4 or image.get_data_dtype().names or min(image.shape) < 1:
        raise NotShown("is not a NIfTI volume of grey in 3 or 4 dimensions")
    # For each axis of the file, the one of left-right, back-front, down-up that it is nearest to, and its sign.
    axes = nibabel.io_orientation(image.affine)
    if np.isnan(axes).any():
        raise NotShown("does not say how its axes lie in space")
    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    places = {name: int(np.argmax(axes[:, 0] == axis)) for axis, name in enumerate(PLANES)}
    across = places[plane or max(reversed(PLANES), key=lambda name: round(zooms[places[name]], 2))]
    return ImageFile(partial(_slice, image, axes, zooms, across), int(image.shape[across]))


def _slice(image: Any, axes: Pixels, zooms: Sequence[float], across: int, index: int) -> Frame:
    """A slice as radiologists hang it: the patient's right, or front, to the left, and the head, or front, up."""
    shape = image.shape
    row, column = sorted((axis for axis in range(3) if axis != across), key=lambda axis: -axes[axis, 0])
    if shape[row] * shape[column] > MAX_SOURCE_PIXELS:
        raise NotShown(_TOO_LARGE)
    at: list[Any] = [slice(None)] * 3 + [0] * (len(shape) - 3)
    at[across] = index if axes[across, 1] > 0 else shape[across] - 1 - index
    values = np.asarray(image.dataobj[tuple(at)], dtype=np.float32)
    values = values if row < column else values.T
    # The volume's axes go right, front and up, the picture's columns and rows the other way.
    values = values[:: -int(axes[row, 1]), :: -int(axes[column, 1])]
    values = np.nan_to_num(values, nan=float(np.nanmin(values)))
    return Frame(values, _pitch([zooms[row], zooms[column]]), lambda by: to_eight_bits(values, by)[0], False, True)


def _pitch(stated: Any) -> tuple[float, float] | None:
    """Row and column pitch where both are usable and neither is 20 times the other."""
    try:
        row, column = (float(value) for value in stated)
    except (TypeError, ValueError):
        return None
    return (row, column) if 0 < row < 20 * column < 400 * row < 1e6 else None


def _ct_window(file: Any) -> Window:
    """The file's first window, taken as a linear one, else soft tissue."""
    try:
        center, width = (float(np.atleast_1d(file[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    except (KeyError, TypeError, ValueError, IndexError):
        return CT_WINDOW
    return (center - width / 2, center + width / 2) if 1 < width < 1e5 and abs(center) < 1e5 else CT_WINDOW


def percentiles(values: Pixels) -> Window:
    """The 0.5th and the 99.5th percentile, or the lowest and the highest value where these are the same."""
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        raise NotShown("is constant")
    low, high = map(float, np.percentile(finite, (0.5, 99.5)))
    return (low, high) if low < high else (float(finite.min()), float(finite.max()))
