"""Degradations of an endoscope's view: a wet, close surface that is lit along the viewing axis."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from medqbench_vlmeval.synth.images import Array, field_of_view, grid, smooth_field
from medqbench_vlmeval.synth.optics import LUMA, around, enlarged, on_light


@on_light
def specular_reflection(light: Array, rng: np.random.Generator, *, coverage: float) -> Array:
    """Mirror reflections of the light source on the mucus film. The film's slope is a smooth random field; where it
    faces the light the Fresnel reflection saturates the sensor (Blinn-Phong lobe on the slope, threshold set by the
    covered area), with a narrow halo. ``coverage``: share of the visible field that is saturated, 0-1 (Blinn 1977)."""
    bright = light.sum(axis=-1)
    view = field_of_view(light)
    larger = enlarged(light)
    slope = smooth_field(bright.shape, 3.5 * larger, rng) + 0.9 * smooth_field(bright.shape, 14.0 * larger, rng)
    slope = slope + 1.2 * gaussian_filter(bright, 6.0 * larger) / max(float(bright.max()), 1e-9)
    slope = np.where(view, slope, -10.0)
    edge = float(np.quantile(slope[view], 1.0 - coverage)) if view.any() else 0.0
    glint = np.clip((slope - edge) / 0.12, 0.0, 1.0)
    halo = gaussian_filter(glint, 2.5 * larger)
    shine = (1.6 * glint + 0.35 * halo)[..., None]
    return np.asarray(light + shine * view[..., None])


@on_light
def bubbles(light: Array, rng: np.random.Generator, *, count: float, radius: float) -> Array:
    """Foam on the mucosa: thin-walled bubbles with a bright rim, a highlight and a faint veil inside. ``count``:
    bubbles (whole number as float), in one or more clusters. ``radius``: largest radius in half-widths of the
    picture (Ali et al., Sci Rep 2020)."""
    y, x = grid(light.shape[:2])
    view = field_of_view(light)
    light = light.copy()
    clusters = rng.uniform(-0.45, 0.45, (max(1, int(count) // 14), 2)) * (y[-1, 0], x[0, -1])
    for number in range(int(count)):
        cy, cx = clusters[number % len(clusters)] + rng.normal(0.0, 0.17, 2)
        r = radius * rng.uniform(0.3, 1.0)
        here = around(y, x, cy, cx, 1.45 * r)
        dy, dx = y[here] - cy, x[here] - cx
        d = np.hypot(dy, dx) / r
        near = d < 1.3
        rim = np.where(near, np.exp(-(((d - 0.93) / 0.10) ** 2)), 0.0)
        veil = np.where(d < 0.93, 0.10, 0.0)
        spot = np.exp(-((np.hypot(dy + 0.4 * r, dx + 0.35 * r) / (0.18 * r)) ** 2))
        dark = np.where(near, np.exp(-(((d - 1.08) / 0.07) ** 2)), 0.0)
        add = (0.42 * rim + veil + 0.9 * spot)[..., None] * np.array([1.0, 0.95, 0.85])
        seen = light[here] * (1.0 - 0.45 * dark[..., None]) + add * (1.0 - np.minimum(light[here], 1.0))
        light[here] = np.where(view[here][..., None], seen, light[here])
    return light


@on_light
def saturation(light: Array, rng: np.random.Generator, *, gain: float) -> Array:
    """A wrong colour gain: the distance from grey of equal luminance is scaled, ``L' = Y + gain (L - Y)`` with ``Y``
    the Rec. 709 luminance (Haeberli, *Matrix Operations for Image Processing*, 1993). ``gain``: above 1 too colourful,
    below 1 pale, varied by 4%."""
    luminance = (light @ LUMA)[..., None]
    return np.asarray(np.maximum(luminance + gain * rng.uniform(0.96, 1.04) * (light - luminance), 0.0))


@on_light
def smoke(light: Array, rng: np.random.Generator, *, depth: float) -> Array:
    """Smoke of electrocautery between lens and wall: ``L' = t L + (1 - t) A`` with ``t = exp(-tau)`` and lit smoke
    ``A`` (Koschmieder's law: Middleton, *Vision through the Atmosphere*, 1952). ``tau`` drifts in plumes: the
    exponential of a smooth random field. ``depth``: mean optical depth over the picture."""
    shape, size = light.shape[:2], enlarged(light)
    plume = 0.65 * smooth_field(shape, 34.0 * size, rng) + 0.3 * smooth_field(shape, 11.0 * size, rng)
    tau = np.exp(plume)
    t = np.exp(-depth * tau / tau.mean())[..., None]
    return np.where(field_of_view(light)[..., None], t * light + (1.0 - t) * np.array([0.62, 0.60, 0.60]), light)


@on_light
def instrument(light: Array, rng: np.random.Generator, *, width: float, reach: float) -> Array:
    """A forceps in the view: a metal cylinder from the rim inwards, narrower with distance, lit along the viewing axis:
    Lambert's cosine, ``sqrt(1 - u^2)`` over its width, and a mirror line. ``width``: half-width at the rim, ``reach``:
    length that is seen, both in half-widths of the picture (Ali et al., Sci Rep 2020)."""
    y, x = grid(light.shape[:2])
    turn, aside = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.15, 0.15)
    depth = 1.0 - y * np.sin(turn) - x * np.cos(turn)
    u = (x * np.sin(turn) - y * np.cos(turn) - aside) / (width * (1.0 - 0.35 * np.clip(depth / reach, 0.0, 1.0)))
    end = (reach - 0.5 * width * u**2 - depth) / (0.06 * width)
    inside = (np.clip((1.0 - np.abs(u)) / 0.06, 0.0, 1.0) * np.clip(end, 0.0, 1.0) * field_of_view(light))[..., None]
    shine = 0.06 + 0.34 * np.sqrt(np.maximum(1.0 - u**2, 0.0)) + 0.8 * np.exp(-(((u - 0.25) / 0.10) ** 2))
    return np.asarray(light * (1.0 - inside) + inside * shine[..., None] * np.array([0.92, 0.95, 1.0]))
