"""What lies on a slide adds optical density, covers what it is said to cover, and has the known profile."""

from __future__ import annotations

import numpy as np
import pytest

from medqbench_vlmeval.synth import slides
from medqbench_vlmeval.synth.images import Array, Picture, grid, to_display, to_light


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def slide(light: Array) -> Picture:
    return Picture(to_display(light), "Histopathology")


def glass(size: int = 96) -> Picture:
    return slide(np.ones((size, size, 3)))


def tissue(size: int = 96) -> Picture:
    """Haematoxylin and DAB in different amounts everywhere, up to a density of 0.8 each."""
    y, x = grid((size, size))
    amounts = np.stack([0.45 + 0.35 * np.sin(6 * x), np.zeros_like(x), 0.45 + 0.35 * np.cos(5 * y)], axis=-1)
    return slide(np.exp(-amounts @ slides.STAINS))


def density(picture: Picture) -> Array:
    return slides.optical_density(to_light(picture.pixels))


def test_overlap_adds_the_densities_of_two_layers_over_the_stated_share() -> None:
    before = density(tissue())
    after = density(slides.overlap(tissue(), rng(), share=0.3))
    added = after - before
    covered = added.max(axis=-1) > 1e-6
    assert covered.mean() == pytest.approx(0.3, abs=0.001)
    # Beer-Lambert: the second layer is the mirrored tissue with a mount of density 0.12.
    np.testing.assert_allclose(added[covered], before[::-1, ::-1][covered] + 0.12, atol=1e-9)


@pytest.mark.parametrize("stops", [0.3, 1.0])
def test_balance_moves_haematoxylin_against_the_other_stains(stops: float) -> None:
    unmix = np.linalg.inv(slides.STAINS)
    before, after = density(tissue()) @ unmix, density(slides.stain_balance(tissue(), rng(), stops=stops)) @ unmix
    gain = np.log2(after / np.where(np.abs(before) > 0.05, before, np.nan))
    haematoxylin, dab = (float(np.nanmedian(gain[..., i])) for i in (0, 2))
    assert haematoxylin == pytest.approx(-dab, abs=1e-6)
    assert abs(haematoxylin) == pytest.approx(stops, rel=0.041)


def test_blood_cells_hold_the_haemoglobin_of_biconcave_discs() -> None:
    radius, size = 0.1, 400
    seen = slides.blood_cells(glass(size), rng(3), coverage=0.02, radius=radius)
    added = density(seen)
    # 0.02 of an area of 4 are 3 cells (2.55). Of one the integral is r^2 times that of h(s) over the unit disc.
    s = (np.arange(2000) + 0.5) / 2000
    volume = (2.0 * np.pi * s * np.sqrt(1.0 - s**2) * (0.81 + 7.83 * s**2 - 4.39 * s**4)).mean()
    expected = 3 * 0.5 * volume * radius**2 / (2.0 / size) ** 2
    assert added[..., 1].sum() == pytest.approx(expected, rel=0.12)
    # Thin in the middle, thick in the ring: 0.81 against at most 2.57 micrometres; red passes.
    assert added[..., 1].max() == pytest.approx(0.5 * 2.57, rel=0.02)
    assert added[..., 0].sum() == pytest.approx(0.22 * added[..., 1].sum(), rel=1e-6)


def test_a_thread_has_the_density_of_a_cylinder() -> None:
    width, size = 0.08, 400
    added = density(slides.threads(glass(size), rng(), width=width, count=1.0))[..., 0]
    assert added.max() == pytest.approx(2.2, rel=0.01)
    # Chords of a circle: the mean over the width is pi / 4 of the longest.
    assert added[added > 0.0].mean() == pytest.approx(2.2 * np.pi / 4.0, rel=0.02)


def test_cuts_are_open_glass_over_their_width() -> None:
    dark = slide(np.full((300, 300, 3), 0.3))
    seen = density(slides.tissue_cut(dark, rng(), width=0.03, cuts=4.0))[..., 0]
    # Four lines 0.06 wide with lengths of about 2 in an area of 4, each a little longer at a slant.
    assert 0.08 < (seen < 0.5 * -np.log(0.3)).mean() < 0.2
    assert seen.min() == pytest.approx(0.0, abs=1e-6)
    assert seen.max() > 1.5 * -np.log(0.3)


def test_staining_for_longer_scales_optical_density() -> None:
    ratio = density(slides.faded_stain(tissue(), rng(), kept=2.0)) / density(tissue())
    assert ratio.min() == pytest.approx(ratio.max(), rel=1e-6)
    assert ratio.mean() == pytest.approx(2.0, rel=0.041)


def test_debris_takes_light_and_gives_none() -> None:
    specks = slides.specks_density((128, 128), rng(), 6.0, 0.1)
    assert specks.min() >= 0.0
    assert 2.0 < specks[..., 0].max() <= 2.6
    assert 0.005 < (specks[..., 0] > 1.0).mean() < 6 * np.pi * 0.1**2 / 4.0 * 1.5
