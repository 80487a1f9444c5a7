"""Grey of more than 8 bits to the 8 bits that a model is shown, through a window that somebody stated; DICOM files.

A window is stated by the row, by the DICOM file, or by the user for all images, in this order. Values below it are
black, values above it white, none wraps round, and without a window only values are taken that fit 8 bits as they are.
"""

from __future__ import annotations

import re
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.errors import BadInput, MissingDependency

if TYPE_CHECKING:
    from PIL import Image

WINDOW_VARIABLE = "MEDQBENCH_WINDOW"
_NUMBER = r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?)"
_WINDOW = re.compile(rf"{_NUMBER}(?:\s*[,;]\s*|\s+){_NUMBER}")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ROWS_AT_ONCE = 256


def read_window(text: str, where: str) -> tuple[float, float]:
    """The two ends of a window 'LOW,HIGH' or 'LOW HIGH'; BadInput where it is none."""
    ends = _WINDOW.fullmatch(text.strip())
    low, high = (float(ends[1]), float(ends[2])) if ends else (0.0, 0.0)
    if not low < high:
        raise BadInput(
            f"{where}: the window '{text[:40]}' is not 'LOW,HIGH': two numbers, the value shown as black and the "
            "larger one shown as white."
        )
    return low, high


def to_eight_bits(values: Any, window: str, where: str, inverted: bool = False) -> tuple[Any, str]:
    """Grey values as an array of 8 bits, black to white (``inverted``: white to black), and how it was made.

    ``window`` is 'LOW,HIGH' or ''; without one, values are taken that are whole numbers of 0 to 255.

    Raises:
        BadInput: no window is stated and the values need one, or a value is no number.
    """
    import numpy as np

    least, most = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise BadInput(f"{where}: the image has values that are no numbers (NaN or infinite).")
    if window:
        low, high = read_window(window, where)
        how = f"shown through the stated window {low:g} to {high:g}"
    elif least >= 0 and most <= 255 and bool((values == np.floor(values)).all()):
        low, high, how = 0.0, 255.0, "with values of 8 bits"
    else:
        raise BadInput(
            f"{where}: the image has grey values from {least:g} to {most:g}, which 8 bits do not hold, and no window "
            f"is stated; write LOW,HIGH (shown as black and as white) into a column 'window' or {WINDOW_VARIABLE}."
        )
    return _scaled(values, low, high, inverted), f"{how}, white to black" if inverted else how


def is_dicom(data: bytes) -> bool:
    """Whether bytes begin like a DICOM file."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes, where: str, window: str, default: str, max_pixels: int) -> tuple[Image.Image, str]:
    """The first frame of a DICOM file in 8 bits, and how it was made.

    Grey goes through the file's modality LUT or rescale and then through the row's ``window``, else the file's own LUT
    or window (PS3.3 C.11.1 and C.11.2), else ``default``; MONOCHROME1 is shown white to black.

    Raises:
        MissingDependency: pydicom, or what decodes the file's compression, is not installed.
        BadInput: the file has no image that can be shown, or needs a window.
    """
    try:
        import numpy as np
        import pydicom

        pixels = import_module("pydicom.pixels")
    except ImportError:
        raise MissingDependency(
            f"{where}: the image is a DICOM file, which takes pydicom: pip install 'medqbench-vlmeval[dicom]'."
        ) from None
    from PIL import Image

    if _DEFLATED in data[:4096]:
        raise BadInput(f"{where}: the image is a deflated DICOM file; save it without that compression.")
    try:
        file = pydicom.dcmread(BytesIO(data))
    except pydicom.errors.InvalidDicomError as error:
        raise BadInput(f"{where}: the image is no DICOM file ({error}).") from None
    if "PixelData" not in file and "FloatPixelData" not in file and "DoubleFloatPixelData" not in file:
        raise BadInput(f"{where}: the DICOM file holds no image.")
    if int(file.Rows) * int(file.Columns) > max_pixels:
        raise BadInput(f"{where}: the image announces more than {max_pixels} pixels and is not decoded.")
    syntax = file.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not pixels.get_decoder(syntax).is_available:
        raise MissingDependency(
            f"{where}: nothing here decodes the DICOM file's {syntax.name}: pip install 'medqbench-vlmeval[dicom]'."
        )
    told = "DICOM, the first of its frames" if int(file.get("NumberOfFrames") or 1) > 1 else "DICOM"
    try:
        values, bits = pixels.pixel_array(file, index=0), int(file.BitsStored)
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()[:120]
        raise BadInput(
            f"{where}: the DICOM file's {syntax.name} could not be decoded ({why}); it is damaged, or takes "
            "the decoders of pip install 'medqbench-vlmeval[dicom]'."
        ) from None
    if file.PhotometricInterpretation == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, file)
        bits = 8 * values.itemsize
    if values.ndim == 3:
        if bits > 8:
            told, values = f"{told}, colours of {bits} bits by their highest 8", values >> (bits - 8)
        return Image.fromarray(values.astype(np.uint8)), told
    values = pixels.apply_modality_lut(values, file)
    inverted = file.PhotometricInterpretation == "MONOCHROME1"
    if not window and (file.get("VOILUTSequence") or "WindowCenter" in file):
        grey, how = _through_own_window(values, file, inverted)
    else:
        of_bits = f"0,{(1 << bits) - 1}" if bits < 8 else ""
        grey, how = to_eight_bits(values, window or default or of_bits, where, inverted)
    return Image.fromarray(grey), f"{told}, grey of {bits} bits {how}"


def _through_own_window(values: Any, file: Any, inverted: bool) -> tuple[Any, str]:
    import numpy as np

    pixels = import_module("pydicom.pixels")
    if luts := file.get("VOILUTSequence"):
        entries, first, bits = luts[0].LUTDescriptor
        luts[0].LUTDescriptor = [entries, first, 16]  # pydicom's places in a LUT of 8 bits wrap round at 256
        values = pixels.apply_voi(np.clip(values, first, first + (entries or 1 << 16) - 1), file)
        return _scaled(values, 0, (1 << bits) - 1, inverted), "shown through the file's own VOI LUT"
    center, width = (float(np.atleast_1d(file[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    with np.errstate(over="ignore"):
        # What lies far outside of the window tells which values are black and white.
        shown = pixels.apply_windowing(np.append(values, (-1e9, 1e9)), file)
    how = f"shown through the file's own window (center {center:g}, width {width:g})"
    return _scaled(shown[:-2].reshape(values.shape), shown[-2], shown[-1], inverted), how


def _scaled(values: Any, low: float, high: float, inverted: bool) -> Any:
    """Values from ``low`` (black) to ``high`` (white) in 8 bits, or the other way round; a few rows at a time."""
    import numpy as np

    shown = np.empty(values.shape, np.uint8)
    for at in range(0, len(values), _ROWS_AT_ONCE):
        part = np.clip((values[at : at + _ROWS_AT_ONCE].astype(float) - low) / (high - low), 0, 1)
        shown[at : at + _ROWS_AT_ONCE] = np.rint(255 * (1 - part if inverted else part))
    return shown
