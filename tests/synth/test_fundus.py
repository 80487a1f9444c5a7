"""Fundus degradations: a lens's transmission, the share that a lid covers, lashes and dust that only take light."""

from __future__ import annotations

import numpy as np
import pytest

from medqbench_vlmeval.synth import fundus, slides
from medqbench_vlmeval.synth.images import Array, Picture, grid, to_display, to_light


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def field(size: int = 128) -> tuple[Picture, Array]:
    """A round field of even light and where it lies."""
    y, x = grid((size, size))
    inside = np.hypot(y, x) < 0.9
    return Picture(to_display(np.where(inside, 0.4, 0.0)[..., None] * [1.0, 0.6, 0.4]), "Fundus"), inside


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_the_lid_hides_the_stated_share_of_the_field(share: float, seed: int) -> None:
    picture, inside = field()
    seen = to_light(fundus.eyelid(picture, rng(seed), share=share).pixels)
    assert (seen[..., 0] < 0.2)[inside].mean() == pytest.approx(share, abs=0.01)
    assert (fundus.eyelid(picture, rng(seed), share=share).pixels[~inside] == 0.0).all()


def test_a_cataract_passes_detail_by_its_optical_depth_which_is_uneven() -> None:
    # A spot is too small to change the scattered light: its contrast against its surroundings is the transmission.
    ratios = []
    for cy in (30, 64, 98):
        for cx in (30, 64, 98):
            light = np.full((128, 128, 3), 0.3)
            light[cy, cx] = 0.5
            seen, flat = (
                to_light(fundus.media_opacity(Picture(to_display(of), "Fundus"), rng(), depth=0.8).pixels)
                for of in (light, np.full((128, 128, 3), 0.3))
            )
            ratios.append(float((seen - flat)[cy, cx, 0]) / 0.2)
    depths = -np.log(ratios)
    assert 0.5 < depths.mean() < 1.4
    assert depths.std() > 0.15


def test_lashes_only_take_light_and_come_from_one_edge() -> None:
    picture, inside = field()
    before = to_light(picture.pixels)
    lost = before - to_light(fundus.eyelashes(picture, rng(), count=9.0, length=0.6).pixels)
    assert lost.min() > -1e-9
    rows = lost[..., 0].sum(axis=1)
    far, near = sorted((rows[:50].sum(), rows[-50:].sum()))
    assert near > 5.0 * far
    assert lost[~inside].max() == pytest.approx(0.0, abs=1e-9)


def test_dust_is_a_neutral_absorber_that_leaves_the_dark_surround() -> None:
    picture, inside = field()
    seen = to_light(fundus.lens_dust(picture, rng(), specks=8.0, radius=0.15).pixels)
    passed = np.exp(-slides.specks_density((128, 128), rng(), 8.0, 0.15))
    np.testing.assert_allclose(seen, to_light(picture.pixels) * passed, atol=1e-9)
    assert (seen[~inside] == 0.0).all()
