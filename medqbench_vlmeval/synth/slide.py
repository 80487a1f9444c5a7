"""Histopathology degradations that happen on the glass, before the scanner: Beer-Lambert optics of stained tissue.

Optical density ``D = -ln(L / L0)`` adds up over layers; ``L0`` is the light through clear glass (1 here).
"""

from __future__ import annotations

import numpy as np

from medqbench_vlmeval.synth.picture import Array, Picture, grid, smooth_field, to_display, to_light

_DARKEST = 1.0e-3


def _density(picture: Picture) -> Array:
    return np.asarray(-np.log(np.maximum(to_light(picture.pixels), _DARKEST)))


def _from_density(picture: Picture, density: Array) -> Picture:
    return picture.with_pixels(to_display(np.exp(-density)))


def air_bubbles(picture: Picture, rng: np.random.Generator, *, count: float, radius: float) -> Picture:
    """Air under the coverslip: a lens of lower index that refracts light out of the objective at its rim.

    Inside, the picture is blurred and slightly brighter; the rim is a dark ring with a bright inner line.

    Args:
        count: bubbles (whole number as float).
        radius: mean radius in half-widths of the picture.
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    light = to_light(picture.pixels)
    soft = gaussian_filter(light, (3.5, 3.5, 0.0))
    for number in range(int(count)):
        r = radius * rng.uniform(0.75, 1.2)
        turn = 2.0 * np.pi * number / count + rng.uniform(-0.4, 0.4)
        away = 0.5 if count > 1 else 0.25
        cy, cx = away * np.sin(turn), away * np.cos(turn)
        wobble = 1.0 + 0.04 * np.sin(2.0 * np.arctan2(y - cy, x - cx) + turn)
        d = np.hypot(y - cy, x - cx) / (r * wobble)
        inside = np.clip((1.0 - d) / 0.03, 0.0, 1.0)[..., None]
        light = light * (1.0 - inside) + (0.75 * soft + 0.25 * 0.85) * inside
        rim = np.exp(-(((d - 1.0) / 0.05) ** 2))[..., None]
        line = np.exp(-(((d - 0.88) / 0.03) ** 2))[..., None]
        light = light * (1.0 - 0.85 * rim) + 0.35 * line * (1.0 - light)
    return picture.with_pixels(to_display(light))


def tissue_fold(picture: Picture, rng: np.random.Generator, *, width: float, folds: float) -> Picture:
    """A section folded onto itself: along the fold the densities of two layers add, ``D' = D + w D_shifted``, and
    the doubled layer leaves the focal plane.

    Args:
        width: half-width of a fold in half-widths of the picture.
        folds: how many (whole number as float).
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    density = _density(picture)
    total = density.copy()
    bend = smooth_field(picture.shape, 45.0, rng)
    for number in range(int(folds)):
        turn = rng.uniform(0.15, 0.85) * np.pi
        offset = rng.uniform(-0.25, 0.25) + 0.7 * (number - (folds - 1.0) / 2.0)
        across = x * np.sin(turn) - y * np.cos(turn) - offset + 0.06 * bend
        weight = np.clip((width - np.abs(across)) / (0.25 * width) + 0.5, 0.0, 1.0)[..., None]
        second = np.roll(density[:, ::-1], (23, 41), axis=(0, 1))
        crease = np.exp(-((np.abs(across) - width) ** 2) / (0.15 * width) ** 2)[..., None]
        layer = gaussian_filter(0.9 * second + 0.35 * density + 0.35, (1.5, 1.5, 0.0))
        total = total + weight * layer + 0.45 * crease * (weight > 0.0)
    return _from_density(picture, total)


def faded_stain(picture: Picture, rng: np.random.Generator, *, kept: float) -> Picture:
    """Weak or faded staining: every dye's density is scaled, ``D' = kept * D`` (Beer-Lambert, less dye).

    Args:
        kept: share of the dye that is left, 0-1, varied by 4%.
    """
    return _from_density(picture, _density(picture) * kept * rng.uniform(0.96, 1.04))


def debris(picture: Picture, rng: np.random.Generator, *, specks: float, radius: float) -> Picture:
    """Dust and pigment on the slide: opaque, slightly out-of-focus dark spots, ``D' = D + d``.

    Args:
        specks: how many (whole number as float).
        radius: largest radius in half-widths of the picture.
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    spots = np.zeros(picture.shape)
    rough = smooth_field(picture.shape, 5.0, rng)
    for _ in range(int(specks)):
        cy, cx = rng.uniform(-0.85, 0.85, 2)
        r = radius * rng.uniform(0.35, 1.0)
        squeeze = rng.uniform(0.6, 1.0)
        d = np.hypot((y - cy) / squeeze, x - cx) / r + 0.18 * rough
        spots = np.maximum(spots, (d < 1.0) * rng.uniform(0.8, 1.0))
    opaque = gaussian_filter(spots, 1.0)[..., None] * np.array([2.6, 2.8, 3.0])
    return _from_density(picture, _density(picture) + opaque)
