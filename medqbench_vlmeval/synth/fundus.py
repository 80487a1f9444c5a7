"""Degradations of a fundus photograph: what lies between the retina and the sensor."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from medqbench_vlmeval.synth.images import Array, field_of_view, grid, smooth_field
from medqbench_vlmeval.synth.optics import LUMA, enlarged, on_light
from medqbench_vlmeval.synth.slides import specks_density


@on_light
def media_opacity(light: Array, rng: np.random.Generator, *, depth: float) -> Array:
    """A cataract: ``L' = t L + (1 - t) S``, light through the lens and light that it scatters (Cheng et al.,
    "Structure-preserving guided retinal image filtering", arXiv 1805.06625, 2018). ``t = exp(-tau)`` with ``tau``
    cloudy and densest in front of the middle; ``S`` is the picture's own light, spread wide and whitened. ``depth``:
    mean optical depth of the lens over the picture."""
    y, x = grid(light.shape[:2])
    size = enlarged(light)
    cloud = np.exp(0.45 * smooth_field(light.shape[:2], 30.0 * size, rng) - 0.6 * (x**2 + y**2))
    t = np.exp(-depth * cloud / cloud.mean())[..., None]
    view = field_of_view(light)
    side = max(1, round(60.0 * size))  # two boxes make a tent whose standard deviation is 25 pixels

    def spread(values: Array) -> Array:
        return np.asarray(uniform_filter(uniform_filter(values, side), side))

    lit = (spread((light @ LUMA) * view) / np.maximum(spread(view.astype(np.float64)), 0.05))[..., None]
    return np.where(view[..., None], t * light + (1.0 - t) * lit * np.array([1.65, 1.42, 1.12]), light)


@on_light
def eyelashes(light: Array, rng: np.random.Generator, *, count: float, length: float) -> Array:
    """Lashes between eye and camera, far from the focus: curved tapering hairs from the rim inwards, each a shadow
    whose light is lost over its blurred width. ``count``: how many (whole number as float). ``length``: mean length in
    half-widths of the picture (Fu et al., MICCAI 2019)."""
    y, x = grid(light.shape[:2])
    view, lost = field_of_view(light), np.zeros(light.shape[:2])
    down = 1.0 if rng.random() < 0.5 else -1.0
    for number in range(int(count)):
        root = -0.75 + 1.5 * (number + rng.uniform(0.2, 0.8)) / count
        depth = y[-1, 0] - down * y
        bend, lean, reach = rng.uniform(-0.25, 0.25), 0.5 * root, length * rng.uniform(0.7, 1.3) + 0.4 * root**2
        s = depth / reach
        d = np.abs(x - x[0, -1] * root - lean * depth - bend * depth**2)
        lost = np.maximum(lost, 0.93 * (d < 0.022 * np.clip(1.25 - s, 0.0, 1.0)) * (s < 1.0))
    passed = 1.0 - gaussian_filter(lost, 1.6 * enlarged(light))[..., None]
    return np.where(view[..., None], light * passed, light)


@on_light
def lens_dust(light: Array, rng: np.random.Generator, *, specks: float, radius: float) -> Array:
    """Dust on a lens near the image of the retina: the grains of :func:`slides.debris` take light off, ``L' = L
    exp(-d)``. ``specks``: how many (whole number as float). ``radius``: largest radius in half-widths of the
    picture (Fu et al., MICCAI 2019)."""
    return np.asarray(light * np.exp(-specks_density(light.shape[:2], rng, specks, radius)))


@on_light
def eyelid(light: Array, rng: np.random.Generator, *, share: float) -> Array:
    """The lid hangs into the field: an arc from above or below, out of focus and dark, crops it. ``share``: share of
    the field of view that is lost, 0-1 (Fu et al., MICCAI 2019)."""
    y, x = grid(light.shape[:2])
    view = field_of_view(light)
    down = 1.0 if rng.random() < 0.5 else -1.0
    into = gaussian_filter(down * y + 0.25 * (x - rng.uniform(-0.3, 0.3)) ** 2, enlarged(light))
    edge = float(np.quantile(into[view], 1.0 - share)) if view.any() else 0.0
    lid = (np.clip((into - edge) / 0.06 + 0.5, 0.0, 1.0) * view)[..., None]
    return np.asarray(light * (1.0 - lid) + lid * np.array([0.020, 0.009, 0.006]))
