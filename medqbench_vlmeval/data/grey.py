"""Grey of more than 8 bits to the 8 bits that a model is shown, through a window that somebody stated; DICOM files. A
window is stated by the row, by the DICOM file, or by the user for all images, in this order. Values below it are black,
values above it white, none wraps round, and without a window only values are taken that fit 8 bits as they are."""

from __future__ import annotations

import re
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

WINDOW_VARIABLE = "MEDQBENCH_WINDOW"
_NUMBER = r"([+-]?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?)"
_WINDOW = re.compile(rf"\s*{_NUMBER}(?:\s*[,;]\s*|\s+){_NUMBER}\s*")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXTRA = "pip install 'medqbench-vlmeval[dicom]'"
_ROWS_AT_ONCE = 256
# What enhanced files state for each frame or for all, by the macro that holds it.
_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


class NotShown(Exception):
    """Why an image cannot be shown, as the end of a sentence about it."""


def to_eight_bits(values: Any, window: str, inverted: bool = False) -> tuple[Any, str]:
    """Grey values as an array of 8 bits, black to white (``inverted``: white to black), and how it was made. ``window``
    is 'LOW,HIGH', 'LOW HIGH' or ''; without one, values are taken that are whole numbers of 0 to 255."""
    import numpy as np

    least, most = float(values.min()), float(values.max())
    if least != least:
        raise NotShown("has values that are no numbers")
    if window:
        ends = _WINDOW.fullmatch(window)
        low, high = (float(ends[1]), float(ends[2])) if ends else (0.0, 0.0)
        if not low < high:
            raise NotShown(f"has the window '{window[:40]}', not LOW,HIGH: values shown as black and as white")
        return _scaled(values, low, high, inverted, f"shown through the stated window {low:g} to {high:g}")
    if least >= 0 and most <= 255 and bool((values == np.floor(values)).all()):
        return _scaled(values, 0, 255, inverted, "with values of 8 bits")
    raise NotShown(
        f"has grey values from {least:g} to {most:g}, which 8 bits do not hold, and no window is stated; write "
        f"LOW,HIGH (shown as black and as white) into a column 'window' or {WINDOW_VARIABLE}"
    )


def _scaled(values: Any, low: float, high: float, inverted: bool, how: str) -> tuple[Any, str]:
    import numpy as np

    shown = np.empty(values.shape, np.uint8)
    for at in range(0, len(values), _ROWS_AT_ONCE):
        part = np.clip((values[at : at + _ROWS_AT_ONCE].astype(float) - low) / (high - low), 0, 1)
        shown[at : at + _ROWS_AT_ONCE] = np.rint(255 * (1 - part if inverted else part))
    return shown, f"{how}, white to black" if inverted else how


def is_dicom(data: bytes) -> bool:
    """Whether bytes begin like a DICOM file."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes, window: str, default: str, max_pixels: int) -> tuple[Image.Image, str]:
    """The first frame of a DICOM file in 8 bits, and how it was made; NotShown where it cannot be. Grey goes through
    the file's modality LUT or rescale and then through the row's ``window``, else the file's own LUT or window (PS3.3
    C.11.1 and C.11.2), else ``default``; MONOCHROME1 is shown white to black."""
    import numpy as np
    from PIL import Image

    file = open_dicom(data)
    values, bits = dicom_frame(file, 0, max_pixels)
    told = "DICOM, the first of its frames" if int(file.get("NumberOfFrames") or 1) > 1 else "DICOM"
    if values.ndim == 3:
        if bits > 8:
            told = f"{told}, colours of {bits} bits by their highest 8"
        return Image.fromarray(values.astype(np.uint8)), told
    grey, how = dicom_grey(values, file, bits, window, default)
    return Image.fromarray(grey), f"{told}, grey of {bits} bits, {how}"


def open_dicom(data: bytes) -> Any:
    """A DICOM file as pydicom's data set; NotShown where it has no image, or pydicom is not installed."""
    try:
        import pydicom
    except ImportError:
        raise NotShown(f"is a DICOM file, which takes pydicom: {_EXTRA}") from None
    if _DEFLATED in data:
        raise NotShown("is a deflated DICOM file; save it without that compression")
    file = pydicom.dcmread(BytesIO(data))
    if "Rows" not in file:
        raise NotShown("is a DICOM file without an image")
    return file


def dicom_frame(file: Any, index: int, max_pixels: int) -> tuple[Any, int]:
    """A frame (from 0), and how many bits its values had: colours (H, W, 3) in 8 bits, or grey (H, W) after the
    modality LUT or rescale. What an enhanced file states for the frame is moved to where plain files have it. NotShown
    where it announces more than ``max_pixels`` pixels or cannot be decoded."""
    pixels = import_module("pydicom.pixels")
    _move_from_groups(file, index)
    try:
        if int(file.Rows) * int(file.Columns) > max_pixels:
            raise NotShown(f"announces more than {max_pixels} pixels and is not decoded")
        values, bits = pixels.pixel_array(file, index=index), int(file.BitsStored)
    except RuntimeError as error:
        why = f"{file.file_meta.TransferSyntaxUID.name}: {str(error).splitlines()[-1].strip()[:120]}"
        raise NotShown(f"is a DICOM file that is damaged or takes another decoder ({why}); {_EXTRA}") from None
    if file.PhotometricInterpretation == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, file)
        bits = 8 * values.itemsize
    if values.ndim == 3:
        return values >> (bits - 8) if bits > 8 else values, bits
    return pixels.apply_modality_lut(values, file), bits


def _move_from_groups(file: Any, index: int) -> None:
    """PS3.3 C.7.6.16: the frame's own functional groups, then those that all frames share."""
    own, shared = file.get("PerFrameFunctionalGroupsSequence") or (), file.get("SharedFunctionalGroupsSequence") or ()
    for group in (*own[index : index + 1], *shared[:1]):
        for macro, names in _MACROS.items():
            for item in (group.get(macro) or ())[:1]:
                for name in (name for name in names if name in item and name not in file):
                    setattr(file, name, item[name].value)


def dicom_grey(values: Any, file: Any, bits: int, window: str, default: str) -> tuple[Any, str]:
    """Grey of :func:`dicom_frame` as an array of 8 bits, and how it was made, in the order of :func:`read_dicom`."""
    import numpy as np

    inverted = file.PhotometricInterpretation == "MONOCHROME1"
    if window or not has_own_window(file):
        return to_eight_bits(values, window or default or (f"0,{(1 << bits) - 1}" if bits < 8 else ""), inverted)
    pixels = import_module("pydicom.pixels")
    if luts := file.get("VOILUTSequence"):
        entries, first, bits = luts[0].LUTDescriptor
        luts[0].LUTDescriptor = [entries, first, 16]  # pydicom's places in a LUT of 8 bits wrap round at 256
        values = pixels.apply_voi(np.clip(values, first, first + (entries or 1 << 16) - 1), file)
        return _scaled(values, 0, (1 << bits) - 1, inverted, "shown through the file's own VOI LUT")
    center, width = (float(np.atleast_1d(file[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    with np.errstate(over="ignore"):
        # What lies far outside of the window tells which values are black and white.
        shown = pixels.apply_windowing(np.append(values, (-1e9, 1e9)), file)
    how = f"shown through the file's own window (center {center:g}, width {width:g})"
    return _scaled(shown[:-2].reshape(values.shape), shown[-2], shown[-1], inverted, how)


def has_own_window(file: Any) -> bool:
    """Whether a DICOM file states how its grey is shown."""
    return bool(file.get("VOILUTSequence")) or "WindowCenter" in file
