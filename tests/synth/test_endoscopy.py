"""Endoscopic degradations against Koschmieder's law, colour algebra and the geometry of an instrument."""

from __future__ import annotations

import numpy as np
import pytest

from medqbench_vlmeval.synth import endoscopy
from medqbench_vlmeval.synth.images import Array, Picture, grid, to_display, to_light
from medqbench_vlmeval.synth.optics import LUMA


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def view(light: Array) -> Picture:
    return Picture(to_display(light), "Endoscopy")


def wall(value: float, size: int = 96) -> Picture:
    return view(np.full((size, size, 3), value))


def light(picture: Picture) -> Array:
    return to_light(picture.pixels)


def test_smoke_passes_what_its_optical_depth_says_and_glows_by_the_rest() -> None:
    dim, bright = (light(endoscopy.smoke(wall(value), rng(), depth=0.7)) for value in (0.1, 0.5))
    t = (bright - dim) / 0.4  # the smoke's own light is the same before both walls
    assert -np.log(t[..., 0]).mean() == pytest.approx(0.7, rel=1e-6)
    np.testing.assert_allclose(dim[..., 0] - 0.1 * t[..., 0], 0.62 * (1.0 - t[..., 0]), atol=1e-9)
    assert np.log(t).std() > 0.2  # in plumes


def test_saturation_scales_the_distance_from_grey_and_keeps_luminance() -> None:
    mucosa = view(np.tile([0.40, 0.30, 0.25], (8, 8, 1)))
    before, after = light(mucosa), light(endoscopy.saturation(mucosa, rng(), gain=1.5))
    np.testing.assert_allclose(after @ LUMA, before @ LUMA, rtol=1e-9)
    scaled = (after - (after @ LUMA)[..., None]) / (before - (before @ LUMA)[..., None])
    assert scaled.min() == pytest.approx(scaled.max(), rel=1e-6)
    assert scaled.mean() == pytest.approx(1.5, rel=0.041)


def test_an_instrument_covers_its_width_and_length_and_no_more() -> None:
    before = wall(0.02, 300)
    metal = np.abs(light(endoscopy.instrument(before, rng(), width=0.1, reach=0.8)) - 0.02).max(axis=-1) > 0.01
    y, x = grid((300, 300))
    inside = np.hypot(y, x) < 1.0
    # A length of 0.8 from the rim with a width of 0.2 that falls by 0.35 to 0.13, the end a little rounded: 0.132.
    assert metal[inside].sum() * (2.0 / 299) ** 2 == pytest.approx(0.132, rel=0.12)
    assert np.hypot(y, x)[metal].min() == pytest.approx(0.2, abs=0.05)


def test_specular_spots_and_foam_stay_inside_the_round_view() -> None:
    y, x = grid((96, 96))
    inside = np.hypot(y, x) < 0.85
    scope = view(np.where(inside, 0.3, 0.0)[..., None] * np.ones(3))
    for seen in (
        endoscopy.specular_reflection(scope, rng(), coverage=0.1),
        endoscopy.bubbles(scope, rng(), count=40.0, radius=0.12),
        endoscopy.smoke(scope, rng(), depth=1.0),
        endoscopy.instrument(scope, rng(), width=0.3, reach=1.2),
    ):
        assert seen.pixels[~inside].max() == 0.0
        assert np.abs(seen.pixels - scope.pixels)[inside].max() > 0.2
