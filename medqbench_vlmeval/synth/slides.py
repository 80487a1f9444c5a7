"""Degradations of a stained section on glass: what lies there acts before the scanner.

Beer-Lambert optics of stained tissue: the optical density ``D = -ln(L / L0)`` adds up over layers; ``L0`` is the light
through clear glass, 1 here.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from medqbench_vlmeval.synth.images import Array, grid, smooth_field
from medqbench_vlmeval.synth.optics import around, enlarged, on_light

_DARKEST = 1.0e-3


def optical_density(light: Array) -> Array:
    """Optical density, natural logarithm, of linear light 0-1; light below 0.001 counts as that."""
    return np.asarray(-np.log(np.maximum(light, _DARKEST)))


def _soft(light: Array, sigma_px: float) -> Array:
    return np.asarray(gaussian_filter(light, (sigma_px, sigma_px, 0.0)))


@on_light
def air_bubbles(light: Array, rng: np.random.Generator, *, count: float, radius: float) -> Array:
    """Air under the coverslip: a lens of lower index that refracts light out of the objective at its rim. Inside, the
    picture is blurred and slightly brighter; the rim is a dark ring with a bright inner line. ``count``: bubbles (whole
    number as float). ``radius``: mean radius in half-widths of the picture."""
    y, x = grid(light.shape[:2])
    soft = _soft(light, 3.5 * enlarged(light))
    light = light.copy()
    for number in range(int(count)):
        r = radius * rng.uniform(0.75, 1.2)
        turn = 2.0 * np.pi * number / count + rng.uniform(-0.4, 0.4)
        away = 0.5 if count > 1 else 0.25
        cy, cx = away * np.sin(turn) * y[-1, 0], away * np.cos(turn) * x[0, -1]
        here = around(y, x, cy, cx, 1.5 * r)
        dy, dx, seen = y[here] - cy, x[here] - cx, light[here]
        wobble = 1.0 + 0.04 * np.sin(2.0 * np.arctan2(dy, dx) + turn)
        d = np.hypot(dy, dx) / (r * wobble)
        inside = np.clip((1.0 - d) / 0.03, 0.0, 1.0)[..., None]
        seen = seen * (1.0 - inside) + (0.75 * soft[here] + 0.25 * 0.85) * inside
        rim = np.exp(-(((d - 1.0) / 0.05) ** 2))[..., None]
        line = np.exp(-(((d - 0.88) / 0.03) ** 2))[..., None]
        light[here] = seen * (1.0 - 0.85 * rim) + 0.35 * line * (1.0 - seen)
    return light


@on_light
def tissue_fold(light: Array, rng: np.random.Generator, *, width: float, folds: float) -> Array:
    """A section folded onto itself: along the fold the densities of two layers add, ``D' = D + w D_shifted``, and the
    doubled layer leaves the focal plane. ``width``: half-width of a fold in half-widths of the picture. ``folds``: how
    many (whole number as float)."""
    y, x = grid(light.shape[:2])
    density = optical_density(light)
    total = density
    larger = enlarged(light)
    bend = smooth_field(light.shape[:2], 45.0 * larger, rng)
    second = np.roll(density[:, ::-1], (round(23 * larger), round(41 * larger)), axis=(0, 1))
    layer = _soft(0.9 * second + 0.35 * density + 0.35, 1.5 * larger)
    for number in range(int(folds)):
        turn = rng.uniform(0.15, 0.85) * np.pi
        offset = rng.uniform(-0.25, 0.25) + 0.7 * (number - (folds - 1.0) / 2.0)
        across = x * np.sin(turn) - y * np.cos(turn) - offset + 0.06 * bend
        weight = np.clip((width - np.abs(across)) / (0.25 * width) + 0.5, 0.0, 1.0)[..., None]
        crease = np.exp(-((np.abs(across) - width) ** 2) / (0.15 * width) ** 2)[..., None]
        total = total + weight * layer + 0.45 * crease * (weight > 0.0)
    return np.asarray(np.exp(-total))


@on_light
def faded_stain(light: Array, rng: np.random.Generator, *, kept: float) -> Array:
    """Weak or faded staining: every dye's density is scaled, ``D' = kept * D`` (Beer-Lambert, less dye). ``kept``:
    share of the dye that is left, 0-1, varied by 4%."""
    return np.asarray(np.exp(-optical_density(light) * kept * rng.uniform(0.96, 1.04)))


@on_light
def debris(light: Array, rng: np.random.Generator, *, specks: float, radius: float) -> Array:
    """Dust and pigment on the slide: opaque, slightly out-of-focus dark spots, ``D' = D + d``. ``specks``: how many
    (whole number as float). ``radius``: largest radius in half-widths of the picture."""
    y, x = grid(light.shape[:2])
    spots = np.zeros(light.shape[:2])
    larger = enlarged(light)
    rough = smooth_field(light.shape[:2], 5.0 * larger, rng)
    for _ in range(int(specks)):
        cy, cx = rng.uniform(-0.85, 0.85, 2) * (y[-1, 0], x[0, -1])
        r = radius * rng.uniform(0.35, 1.0)
        squeeze = rng.uniform(0.6, 1.0)
        here = around(y, x, cy, cx, 2.0 * r)
        d = np.hypot((y[here] - cy) / squeeze, x[here] - cx) / r + 0.18 * rough[here]
        spots[here] = np.maximum(spots[here], (d < 1.0) * rng.uniform(0.8, 1.0))
    opaque = gaussian_filter(spots, 1.0 * larger)[..., None] * np.array([2.6, 2.8, 3.0])
    return np.asarray(np.exp(-(optical_density(light) + opaque)))
