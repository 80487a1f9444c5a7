"""Classical image statistics: what MedQ-Classical knows of a picture. Pixels in, a named vector of floats out. Each
statistic is a textbook measure of one kind of fault, without a reference (its source stands beside it); logarithms keep
skewed ones near normal. All are computed on a picture of at most 320 pixels a side with values 0-1."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import (
    binary_fill_holes,
    gaussian_filter,
    gaussian_filter1d,
    gaussian_laplace,
    label,
    map_coordinates,
    uniform_filter,
    uniform_filter1d,
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


def read_pixels(path: str | Path | BinaryIO) -> Array:
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


def _blocks(values: Array, side: int) -> Array:
    """The non-overlapping squares of ``side`` pixels, (rows, columns, side * side); what is left over is dropped."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    whole = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return whole.transpose(0, 2, 1, 3).reshape(rows, columns, side * side)


def _diagonal(values: Array) -> Array:
    """Finest diagonal band of the Haar transform, half the size: white noise keeps its standard deviation there."""
    even = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
    return np.asarray((even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]) / 2.0)


def _noise(grey: Array, tissue: NDArray[np.bool_]) -> dict[str, float]:
    """Level of the noise (Donoho & Johnstone 1994), also in the flattest blocks, where no texture is taken for it (Liu,
    Tanaka & Okutomi 2013), its colour, and how it goes with the brightness (Foi et al. 2008) and the place."""
    diagonal = _diagonal(grey)
    inside = tissue[: diagonal.shape[0] * 2 : 2, : diagonal.shape[1] * 2 : 2]
    outside = diagonal[~inside]
    second, fourth = (float((diagonal[inside] ** power).mean()) if inside.any() else 0.0 for power in (2, 4))
    coarse = _diagonal(uniform_filter(grey, 2)[::2, ::2])
    rms = np.sqrt((_blocks(diagonal, 4) ** 2).mean(axis=2))
    level, kept = _blocks(grey, 8).mean(axis=2), _blocks(inside.astype(np.float64), 4).mean(axis=2) > 0.99
    if kept.sum() < 16:
        kept = np.ones_like(kept)
    flat = kept & (rms <= np.percentile(rms[kept], 15.0))
    coarse_rms = np.sqrt((_blocks(coarse, 2) ** 2).mean(axis=2))[: rms.shape[0], : rms.shape[1]]
    rms, level, kept, flat = (part[: coarse_rms.shape[0], : coarse_rms.shape[1]] for part in (rms, level, kept, flat))
    logs = np.log10(rms + 1e-4)
    middle = np.hypot(*np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in rms.shape), indexing="ij")) < 0.5
    around = kept & ~middle
    spread = float(level[kept].std())
    return {
        "noise": _log(_mad(diagonal[inside]), 1e-4),
        "noise_outside": _log(float(outside.std()) if outside.size > 200 else 0.0, 1e-4),
        "impulses": _log(fourth / (second**2 + 1e-12), 1.0),  # kurtosis of the band
        "noise_flat": _log(float(rms[flat].mean()), 1e-4),
        "noise_colour": _log(float(coarse_rms[flat].mean()) + 1e-4, 1e-4) - _log(float(rms[flat].mean()) + 1e-4, 1e-4),
        "noise_slope": float(np.cov(level[kept], logs[kept])[0, 1]) / max(spread, 0.02) ** 2,
        "noise_centre": float(np.median(logs[kept & middle]) - np.median(logs[around]))
        if around.any() and (kept & middle).any()
        else 0.0,
        "patchy": float(logs[kept].std()),
    }


def _spectrum(grey: Array) -> dict[str, float]:
    """Band energies of the windowed power spectrum (sharpness), its peaks (stripes), its direction (blur), directions
    without energy (a missing wedge), sudden ends and combs (k-space lines that were not measured), and the cepstrum's
    peaks (double contours: Bogert, Healy & Tukey 1963; motion blur: Cannon 1976)."""
    height, width = grey.shape
    taper = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    # Half a plane: the spectrum of a real picture is symmetric. Row height // 2 and column 0 are the origin.
    power = np.fft.fftshift(np.abs(np.fft.rfft2((grey - grey.mean()) * taper)) ** 2, axes=0) / (height * width)
    v, u = np.fft.fftshift(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(v, u)
    every = np.log10(power + 1e-9)
    ring_of = np.digitize(radius, [low for low, _ in _BANDS] + [0.5]).ravel()
    size = np.maximum(np.bincount(ring_of, minlength=6), 1)
    bands = np.log10(np.bincount(ring_of, power.ravel(), 6) / size + 1e-9)[1:5]
    peaks = np.where((radius > 0.04) & (radius < 0.30), every - uniform_filter(every, 9), 0.0)
    highest = np.partition(peaks, (-12, -2), axis=None)
    middle = (radius > 0.06) & (radius < 0.30)
    weight, angle = every[middle], np.arctan2(v, u)[middle]
    along = (weight - weight.min()) * np.exp(2j * angle)
    sector = (angle * (60.0 / np.pi) + 30.0).astype(np.int64) % 60
    rays = np.bincount(sector, weight, 60) / np.maximum(np.bincount(sector, minlength=60), 1)
    rays = rays - np.median(rays)
    wide = gaussian_filter1d(rays, 2.0, mode="wrap")
    over_rows = every[:, : width // 4].mean(axis=1)
    folded = 0.5 * (over_rows[height // 2 :] + over_rows[height // 2 :: -1][: (height + 1) // 2])
    lines = []
    for profile in (folded, every[height // 4 : -height // 4].mean(axis=0)):
        fast = profile - uniform_filter1d(profile, 9)
        fast = fast[4:] - fast[4:].mean()
        comb = max(float((fast[lag:] * fast[:-lag]).mean()) for lag in (2, 3, 4)) / max(float(fast.var()), 1e-9)
        fall = uniform_filter1d(profile, 5)
        first = max(5, profile.size // 16)
        drops = fall[first:-10] - fall[first + 5 : -5]
        spike = float((profile - uniform_filter1d(profile, 15))[profile.size // 12 :].max())
        lines.append((comb, float(drops.max(initial=0.0)), spike))
    cepstrum = np.fft.irfft2(np.fft.ifftshift(every - uniform_filter(every, 15), axes=0), s=grey.shape)[:40, :40]
    lag = np.hypot(*np.mgrid[: cepstrum.shape[0], : cepstrum.shape[1]])
    echo = cepstrum[(lag >= 4.0) & (lag < 40.0)]
    scatter = max(_mad(echo), 1e-6)
    return {
        "band_low": float(bands[0]),
        "fall_middle": float(bands[1] - bands[0]),
        "fall_high": float(bands[2] - bands[1]),
        "fall_top": float(bands[3] - bands[2]),
        "peak": float(highest[-2:].mean()),
        "peak_next": float(highest[-12:-2].mean()),
        "direction": float(np.abs(along.mean())),
        "wedge": float(wide.min()),
        "beam": float(wide.max()),
        "ray_comb": _log(float((rays - wide).std()), 1e-3),
        "comb_rows": lines[0][0],
        "comb_columns": lines[1][0],
        "drop_rows": lines[0][1],
        "drop_columns": lines[1][1],
        "line_rows": lines[0][2],
        "line_columns": lines[1][2],
        "echo": _log(float(echo.max()) / scatter, 1.0),
        "echo_dark": _log(-float(echo.min()) / scatter, 1.0),
    }


def _replicas(grey: Array, detail: Array) -> dict[str, float]:
    """Energy where nothing should be, and likeness of the picture to itself at a distance: at a third or half of its
    height, and at any along the rows and the columns (the autocorrelation's peaks: ghosts, grids)."""
    f = np.abs(np.fft.rfft2(detail)) ** 2
    auto = np.fft.irfft2(f, s=grey.shape)
    auto = auto / max(float(auto[0, 0]), 1e-9)
    column, row = np.abs(auto[:, :3]).max(axis=1), np.abs(auto[:3]).max(axis=0)
    height, width = grey.shape
    base = float(np.median(column[height // 6 : height // 2]))
    likeness = max(float(column[height // part - 2 : height // part + 3].max()) for part in (2, 3, 4)) - base
    return {
        "replica": _log(likeness, 1e-3),
        "replica_rows": _log(float(column[10 : height // 2].max()), 1e-3),
        "replica_columns": _log(float(row[10 : width // 2].max()), 1e-3),
        "border_rows": _log(float(np.concatenate([grey[:12], grey[-12:]]).mean()), 1e-3),
        "border_columns": _log(float(np.concatenate([grey[:, :12], grey[:, -12:]], axis=1).mean()), 1e-3),
        "floor": _log(float(np.percentile(grey[::2, ::2], 10.0)), 1e-3),
    }


def _polar(detail: Array, centre: tuple[float, float], longest: float) -> Array:
    """``detail`` on circles around ``centre`` (row, column): radii from 6 px by one, 180 angles; past the border 0."""
    radii = np.arange(6.0, max(longest, 16.0))
    angles = np.linspace(0.0, 2.0 * np.pi, 180, endpoint=False)
    rows, columns = centre[0] + radii[:, None] * np.sin(angles), centre[1] + radii[:, None] * np.cos(angles)
    return np.asarray(map_coordinates(np.clip(detail, -0.15, 0.15), (rows, columns), order=1))


def _rings(grey: Array, detail: Array) -> dict[str, float]:
    """Structure that is constant along circles around the centre (CT rings), or along rays from the centre and from the
    brightest place (streaks of metal), as medians in polar coordinates (Sijbers & Postnov 2004)."""
    height, width = grey.shape
    polar = _polar(detail, ((height - 1) / 2.0, (width - 1) / 2.0), min(height, width) / 2.0 - 2.0)
    total = float(polar.std()) + 1e-4
    circle = np.median(polar, axis=1)
    circle = circle - gaussian_filter1d(circle, 4.0)
    bright = gaussian_filter(grey[::2, ::2], 2.0)
    top = np.unravel_index(int(bright.argmax()), bright.shape)
    star = _polar(detail, (2.0 * float(top[0]), 2.0 * float(top[1])), 60.0)
    return {
        "circles": _log(float(circle.std()), 1e-4),
        "circles_share": _log(float(circle.std()) / total, 1e-3),
        "rays": _log(float(polar.mean(axis=0).std()) / total, 1e-3),
        "star": _log(float(star[8:].mean(axis=0).std()), 1e-4),
        "star_share": _log(float(star[8:].mean(axis=0).std()) / (float(star[8:].std()) + 1e-4), 1e-3),
    }


def _illumination(grey: Array, field: NDArray[np.bool_]) -> dict[str, float]:
    """Second-order polynomial of the logarithm of the low-pass brightness inside the field of view (shading, bias
    fields: Likar, Viergever & Pernus 2001), its spread, and dark columns below (acoustic shadows)."""
    grey, field = grey[2::4, 2::4], field[2::4, 2::4]
    names = ("slope", "slope_down", "bowl", "uneven", "shading", "shadow")
    share = gaussian_filter(field.astype(np.float64), 3.5)
    smooth = gaussian_filter(grey * field, 3.5) / np.maximum(share, 1e-2)
    if not field.any():
        return dict.fromkeys(names, 0.0)
    y, x = np.mgrid[-1.0 : 1.0 : grey.shape[0] * 1j, -1.0 : 1.0 : grey.shape[1] * 1j]
    logs = np.log(np.maximum(smooth[field], 2e-2))
    design = np.stack([np.ones(logs.size), y[field], x[field], (y**2 + x**2)[field]], axis=1)
    fit = np.linalg.lstsq(design, logs, rcond=None)[0]
    low, high = np.percentile(smooth[field], [5.0, 95.0])
    below = grey[grey.shape[0] // 2 :].mean(axis=0) + 0.02
    found = (
        float(np.hypot(fit[1], fit[2])),
        float(fit[1]),
        float(fit[3]),
        float((logs - design @ fit).std()),
        float(np.log((high + 0.02) / (low + 0.02))),
        float(np.log(np.percentile(below, 10.0) / np.median(below))),
    )
    return dict(zip(names, found, strict=True))


def _exposure(pixels: Array, grey: Array, field: NDArray[np.bool_], detail: Array) -> dict[str, float]:
    """Levels, contrast, clipped shares, haze (dark channel: He, Sun & Tang 2009) and colour (colourfulness: Hasler &
    Suesstrunk 2003; optical densities of stains: Ruifrok & Johnston 2001) inside the field of view."""
    chroma = np.diff(pixels[::2, :, 0] - pixels[::2, :, 1], axis=1)[field[::2, 1:]]
    # Levels need no more than every second pixel.
    pixels, grey, field, detail = pixels[::2, ::2], grey[::2, ::2], field[::2, ::2], detail[::2, ::2]
    low, middle, high = np.percentile(grey[field], [5.0, 50.0, 95.0])
    counts = np.bincount(np.round(grey[field] * 255.0).astype(np.int64), minlength=256) / max(int(field.sum()), 1)
    between = counts[int(low * 255.0) : int(high * 255.0) + 1]
    colour = pixels[field]
    least, most = colour.min(axis=1), colour.max(axis=1)
    r, g, b = (float(channel) + 0.02 for channel in colour.mean(axis=0))
    density = -np.log(np.maximum(colour, 0.01)).mean(axis=0) + 0.02
    red_green, yellow_blue = colour[:, 0] - colour[:, 1], 0.5 * (colour[:, 0] + colour[:, 1]) - colour[:, 2]
    return {
        "median": float(middle),
        "range": float(high - low),
        "lowest": float(low),
        "highest": float(high),
        "local_contrast": _log(float(np.percentile(np.abs(detail), 80.0)), 1e-3),
        "relative_contrast": _log(float(np.percentile(np.abs(detail), 80.0)) / (float(middle) + 0.02), 1e-3),
        "white": _log(float((least > 0.94).mean()), 1e-4),
        "clipped": _log(float((most > 0.985).mean()), 1e-4),
        "dark": _log(float((most < 0.28).mean()), 1e-4),
        "black": _log(float((grey < 0.012).mean()), 1e-4),
        "mode": _log(float(counts.max()), 1e-3),
        "gaps": float((between == 0.0).mean()) if between.size else 0.0,
        "entropy": float(-(counts[counts > 0.0] * np.log2(counts[counts > 0.0])).sum()),
        "veil": float(np.percentile(least, 10.0)),
        "saturation": float((most - least).mean()),
        "colourful": float(np.hypot(red_green.std(), yellow_blue.std())),
        "red_green": float(np.log(r / g)),
        "blue_green": float(np.log(b / g)),
        "density": float(np.log(density.mean())),
        "density_red": float(np.log(density[0] / density[1])),
        "density_blue": float(np.log(density[2] / density[1])),
        "reddest": float(np.percentile(red_green, 98.0) - np.median(red_green)),
        "chroma_noise": _log(_mad(chroma), 1e-3),
    }


def _shapes(grey: Array, field: NDArray[np.bool_]) -> dict[str, float]:
    """Blocks of eight pixels (JPEG: Wang, Bovik & Evans 2000), strong isolated edges (bubbles, metal), their direction
    (motion), width (defocus by reblurring: Zhuo & Sim 2011) and loss when blurred again (Crete et al. 2007), speckle
    (Burckhardt 1978), and the largest dark and bright spots with their length (threads, folds, instruments)."""
    across = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    down = np.abs(np.diff(grey, axis=0)).mean(axis=1)
    steps = [np.array([line[k::8].mean() for k in range(8)]) for line in (across, down)]
    blocks = float(np.mean([s.max() / max(float(np.median(s)), 1e-4) for s in steps]))
    gy, gx = np.gradient(gaussian_filter(grey, 1.0))
    size = np.hypot(gy, gx)
    xx, yy, xy = float((gx * gx).mean()), float((gy * gy).mean()), float((gx * gy).mean())
    wide = np.hypot(*np.gradient(gaussian_filter(grey, 2.0)))
    most, strong_from, common = np.percentile(size[::2, ::2], [99.0, 97.0, 70.0])
    strong = size >= strong_from
    low, middle, high = np.percentile(size[strong] / (wide[strong] + 1e-3), [10.0, 50.0, 90.0])
    crete = []
    for axis in (0, 1):
        sharp = np.abs(np.diff(grey, axis=axis))
        lost = np.maximum(sharp - np.abs(np.diff(uniform_filter1d(grey, 9, axis=axis), axis=axis)), 0.0)
        crete.append(1.0 - float(lost.sum()) / max(float(sharp.sum()), 1e-6))
    curve = gaussian_laplace(grey, 1.5)
    tiles = _blocks(grey, 8)
    mean, spread = tiles.mean(axis=2), tiles.std(axis=2)
    seen = mean > 0.08
    found = {
        "blocks": float(np.log(max(blocks, 1.0))),
        "edge": _log(float(most), 1e-3),
        "edge_middle": _log(float(common), 1e-4),
        "edge_width": float(middle),
        "edge_widest": float(low),
        "edge_finest": float(high),
        "coherence": float(np.hypot(xx - yy, 2.0 * xy) / (xx + yy + 1e-9)),
        "blur": max(crete),
        "blur_turn": abs(crete[0] - crete[1]),
        "speckle": float(np.log(np.median(mean[seen] / (spread[seen] + 0.01)))) if seen.any() else 0.0,
        "bright_spots": _log(float((curve < -0.03).mean()), 1e-4),
        "dark_spots": _log(float((curve > 0.03).mean()), 1e-4),
    }
    small, inside = uniform_filter(grey, 3)[1::3, 1::3], field[1::3, 1::3]
    level = gaussian_filter(small, 12.0)
    for name, mask in (("dark", small < 0.55 * level), ("bright", small > level + 0.25)):
        numbers = label(mask & inside)[0]
        sizes = np.bincount(numbers.ravel(), minlength=2)[1:]
        rows, columns = np.nonzero(numbers == 1 + int(sizes.argmax()))
        length = 1.0
        if rows.size > 5:
            axes = np.linalg.eigvalsh(np.cov(rows, columns))
            length = float(np.sqrt((axes[1] + 0.1) / (axes[0] + 0.1)))
        found |= {
            f"{name}_count": float(np.log1p(int((sizes > 3).sum()))),
            f"{name}_largest": _log(float(sizes.max(initial=0)) / mask.size, 1e-4),
            f"{name}_length": float(np.log(length)),
        }
    return found


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
    detail = grey - gaussian_filter(grey, 3.0)
    rows, columns = np.nonzero(coarse) if coarse.any() else (np.zeros(1), np.zeros(1))
    edge = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
    return {
        **_noise(grey, field),
        **_spectrum(grey),
        **_replicas(grey, detail),
        **_rings(grey, detail),
        **_illumination(grey, field),
        **_exposure(pixels, grey, field, detail),
        **_shapes(grey, field),
        "field": float(field.mean()),
        "field_border": float(edge.mean()),
        "field_offset": float(np.hypot(rows.mean() / coarse.shape[0] - 0.5, columns.mean() / coarse.shape[1] - 0.5)),
    }
