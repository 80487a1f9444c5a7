"""Classical image statistics: what MedQ-Classical knows of a picture. Pixels in, a named vector of floats out.

Each statistic is a textbook measure of one kind of fault (named at its line); logarithms keep skewed ones near
normal. All are computed on a picture of at most 320 pixels a side with values 0-1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import (
    binary_fill_holes,
    gaussian_filter,
    gaussian_filter1d,
    gaussian_laplace,
    map_coordinates,
    uniform_filter,
)

from medqbench_vlmeval.errors import BadInput

Array: TypeAlias = NDArray[np.float64]

LONGEST_SIDE = 320
_BANDS = ((0.02, 0.06), (0.06, 0.14), (0.14, 0.28), (0.28, 0.5))


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode[0] not in "IF":
        return image
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(np.round((values - low) / max(high - low, 1e-9) * 255.0).astype(np.uint8))


def read_pixels(path: str | Path) -> Array:
    """RGB values 0-1, (H, W, 3), at most 320 pixels a side; grey levels of more than 8 bits are scaled to their range.
    Raises BadInput where the file is missing or not an image."""
    try:
        with Image.open(path) as opened:
            image = _eight_bits(opened).convert("RGB")
    # Pillow reports a broken chunk as SyntaxError or ValueError, and too many pixels by an error of its own.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"'{path}' cannot be read as an image: {error}. Check the data's image folder.") from error
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float64) / 255.0


def _log(value: float, floor: float) -> float:
    return float(np.log10(max(float(value), floor)))


def _mad(values: Array) -> float:
    """Robust standard deviation: median absolute deviation / 0.6745 (Donoho & Johnstone 1994)."""
    return float(np.median(np.abs(values - np.median(values))) / 0.6745) if values.size else 0.0


def _noise(grey: Array, tissue: NDArray[np.bool_]) -> dict[str, float]:
    even = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
    diagonal = (even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]) / 2.0
    inside = tissue[: even.shape[0] : 2, : even.shape[1] : 2]
    outside = diagonal[~inside]
    second, fourth = (float((diagonal[inside] ** power).mean()) if inside.any() else 0.0 for power in (2, 4))
    return {
        "noise": _log(_mad(diagonal[inside]), 1e-4),  # finest Haar diagonal band, inside the object
        "noise_outside": _log(float(outside.std()) if outside.size > 200 else 0.0, 1e-4),
        "impulses": _log(fourth / (second**2 + 1e-12), 1.0),  # kurtosis of the same band
    }


def _spectrum(grey: Array) -> dict[str, float]:
    """Band energies of the windowed power spectrum (sharpness), its peaks (stripes) and its direction (blur)."""
    height, width = grey.shape
    taper = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    power = np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * taper))) ** 2 / (height * width)
    v = np.fft.fftshift(np.fft.fftfreq(height))[:, None]
    u = np.fft.fftshift(np.fft.fftfreq(width))[None, :]
    radius = np.hypot(v, u)
    bands = [float(power[(radius >= low) & (radius < high)].mean()) for low, high in _BANDS]
    logs = [_log(band, 1e-9) for band in bands]
    small = np.log10(power + 1e-9)[:, width // 2 :]
    ring = (radius[:, width // 2 :] > 0.04) & (radius[:, width // 2 :] < 0.30)
    peaks = np.where(ring, small - uniform_filter(small, 9), 0.0)
    angle = np.arctan2(v, u) * 2.0
    middle = (radius > 0.06) & (radius < 0.30)
    weight = np.log10(power[middle] + 1e-9)
    along = (weight - weight.min()) * np.exp(1j * np.broadcast_to(angle, power.shape)[middle])
    return {
        "band_low": logs[0],
        "fall_middle": logs[1] - logs[0],
        "fall_high": logs[2] - logs[1],
        "fall_top": logs[3] - logs[2],
        "peak": float(np.sort(peaks, axis=None)[-2:].mean()),
        "direction": float(np.abs(along.mean())),
    }


def _replicas(grey: Array) -> dict[str, float]:
    """Energy where nothing should be, and likeness of the picture to itself at a third or half of its height."""
    f = np.abs(np.fft.rfft2(grey - gaussian_filter(grey, 2.0))) ** 2
    auto = np.fft.irfft2(f, s=grey.shape)
    auto = auto / max(float(auto[0, 0]), 1e-9)
    column = np.abs(auto[:, :3]).max(axis=1)
    height = grey.shape[0]
    base = float(np.median(column[height // 6 : height // 2]))
    likeness = max(float(column[height // part - 2 : height // part + 3].max()) for part in (2, 3, 4)) - base
    border = np.concatenate([grey[:12].ravel(), grey[-12:].ravel()])
    sides = np.concatenate([grey[:, :12].ravel(), grey[:, -12:].ravel()])
    return {
        "replica": _log(likeness, 1e-3),
        "border_rows": _log(float(border.mean()), 1e-3),
        "border_columns": _log(float(sides.mean()), 1e-3),
        "floor": _log(float(np.percentile(grey, 10.0)), 1e-3),
    }


def _rings(grey: Array) -> dict[str, float]:
    """Structure that is constant along circles, or along rays, around the centre (CT rings and streaks)."""
    height, width = grey.shape
    radii = np.arange(6.0, min(height, width) / 2.0 - 2.0)
    angles = np.linspace(0.0, 2.0 * np.pi, 180, endpoint=False)
    detail = grey - gaussian_filter(grey, 3.0)
    rows = (height - 1) / 2.0 + radii[:, None] * np.sin(angles)
    columns = (width - 1) / 2.0 + radii[:, None] * np.cos(angles)
    polar = map_coordinates(np.clip(detail, -0.15, 0.15), (rows, columns), order=1)
    total = float(polar.std()) + 1e-4
    circle = np.median(polar, axis=1)
    circle = circle - gaussian_filter1d(circle, 4.0)
    return {"circles": _log(float(circle.std()), 1e-4), "circles_share": _log(float(circle.std()) / total, 1e-3)}


def _illumination(grey: Array, field: NDArray[np.bool_]) -> dict[str, float]:
    """Slope and spread of the low-pass brightness inside the field of view (shading, bias fields)."""
    grey, field = grey[2::4, 2::4], field[2::4, 2::4]
    share = gaussian_filter(field.astype(np.float64), 3.5)
    smooth = gaussian_filter(grey * field, 3.5) / np.maximum(share, 1e-2)
    if not field.any():
        return {"slope": 0.0, "shading": 0.0}
    y, x = np.mgrid[-1.0 : 1.0 : grey.shape[0] * 1j, -1.0 : 1.0 : grey.shape[1] * 1j]
    logs = np.log(np.maximum(smooth[field], 1e-2))
    design = np.stack([np.ones(logs.size), y[field], x[field]], axis=1)
    fit = np.linalg.lstsq(design, logs, rcond=None)[0]
    low, high = np.percentile(smooth[field], [5.0, 95.0])
    return {"slope": float(np.hypot(fit[1], fit[2])), "shading": float(np.log((high + 0.02) / (low + 0.02)))}


def _exposure(pixels: Array, grey: Array, field: NDArray[np.bool_]) -> dict[str, float]:
    """Levels, contrast, clipped share and colour inside the field of view."""
    chroma = np.diff(pixels[::2, :, 0] - pixels[::2, :, 1], axis=1)[field[::2, 1:]]
    # Levels need no more than every second pixel.
    pixels, grey, field = pixels[::2, ::2], grey[::2, ::2], field[::2, ::2]
    inside = grey[field] if field.any() else grey.ravel()
    low, middle, high = np.percentile(inside, [5.0, 50.0, 95.0])
    local = grey - gaussian_filter(grey, 3.0)
    colour = pixels[field] if field.any() else pixels.reshape(-1, 3)
    least, most = colour.min(axis=1), colour.max(axis=1)
    r, g, b = (float(channel) + 0.02 for channel in colour.mean(axis=0))
    return {
        "median": float(middle),
        "range": float(high - low),
        "local_contrast": _log(float(np.percentile(np.abs(local), 80.0)), 1e-3),
        "white": _log(float((least > 0.94).mean()), 1e-4),
        "clipped": _log(float((most > 0.985).mean()), 1e-4),
        "dark": _log(float((most < 0.28).mean()), 1e-4),
        "saturation": float((most - least).mean()),
        "red_green": float(np.log(r / g)),
        "blue_green": float(np.log(b / g)),
        "chroma_noise": _log(_mad(chroma), 1e-3),
    }


def _shapes(grey: Array) -> dict[str, float]:
    """Blocks of eight pixels (JPEG), strong isolated edges (bubbles, metal) and edge direction (motion)."""
    across = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    down = np.abs(np.diff(grey, axis=0)).mean(axis=1)
    steps = [np.array([line[k::8].mean() for k in range(8)]) for line in (across, down)]
    blocks = float(np.mean([s.max() / max(float(np.median(s)), 1e-4) for s in steps]))
    gy, gx = np.gradient(gaussian_filter(grey, 1.0))
    size = np.hypot(gy, gx)
    xx, yy, xy = float((gx * gx).mean()), float((gy * gy).mean()), float((gx * gy).mean())
    curve = gaussian_laplace(grey, 1.5)
    return {
        "blocks": float(np.log(max(blocks, 1.0))),
        "edge": _log(float(np.percentile(size, 99.0)), 1e-3),
        "edge_middle": _log(float(np.percentile(size, 70.0)), 1e-4),
        "coherence": float(np.hypot(xx - yy, 2.0 * xy) / (xx + yy + 1e-9)),
        "bright_spots": _log(float((curve < -0.03).mean()), 1e-4),
        "dark_spots": _log(float((curve > 0.03).mean()), 1e-4),
    }


def is_grey(pixels: Array) -> bool:
    """Whether the three channels are the same picture (mean difference under 1 of 255)."""
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean()) < 1.0 / 255.0


def measure(pixels: Array) -> dict[str, float]:
    """All statistics of one picture, (H, W, 3) in 0-1; every value is finite."""
    if min(pixels.shape[:2]) < 32:
        pixels = np.pad(pixels, ((0, 32), (0, 32), (0, 0)), mode="symmetric")
    grey = np.asarray(pixels @ np.array([0.299, 0.587, 0.114]))
    # Holes are filled at a quarter of the pixels: the field's outline matters, not its last row.
    coarse = binary_fill_holes((grey > 0.08)[::2, ::2])
    field = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[: grey.shape[0], : grey.shape[1]]
    if field.mean() < 0.02:
        field = np.ones_like(field)
    return {
        **_noise(grey, field),
        **_spectrum(grey),
        **_replicas(grey),
        **_rings(grey),
        **_illumination(grey, field),
        **_exposure(pixels, grey, field),
        **_shapes(grey),
        "field": float(field.mean()),
    }
