"""CT: the projectors against known geometry, and each fault against the physics of its cause."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.synth import ct
from medqbench_vlmeval.synth.images import Array, Picture, grid

ANGLES = np.linspace(0.0, 180.0, 300, endpoint=False)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def head() -> Picture:
    """A water disc of 80 mm with a bone ring, in air, 96 x 96."""
    y, x = grid((96, 96))
    r = np.hypot(y, x)
    hu = np.where(r < 0.8, 0.0, -1000.0) + np.where((r < 0.8) & (r > 0.72), 800.0, 0.0)
    return Picture(hu, "CT", spacing_mm=1.0, window=(-100.0, 100.0))


def disc(shape: tuple[int, int], radius: float, row: float = 0.0, column: float = 0.0) -> Array:
    """1 within ``radius`` pixels of a point, given from the pixel (rows // 2, columns // 2), with a soft edge."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    away = np.hypot(y - shape[0] // 2 - row, x - shape[1] // 2 - column)
    return np.clip(radius + 0.5 - away, 0.0, 1.0)


def air(shape: tuple[int, int], spacing_mm: float, rotated: bool = False) -> Picture:
    return Picture(np.full(shape, -1000.0), "CT", spacing_mm, rotated=rotated)


@pytest.mark.parametrize(
    ("shape", "rotated"),
    [((96, 96), False), ((96, 64), False), ((64, 97), False), ((256, 256), False), ((96, 96), True)],
)
def test_a_projected_disc_has_its_chords_at_every_angle(shape: tuple[int, int], rotated: bool) -> None:
    angles = ANGLES[::60]
    sinogram = ct._project(0.02 * disc(shape, 24.0, 3.0, 5.0), air(shape, 0.5, rotated), angles)
    assert sinogram.shape == (np.ceil(np.sqrt(2.0) * max(shape)), 5)
    middle = sinogram.shape[0] // 2
    # The padding of an oblong picture moves its centre by half a pixel at most.
    for line, angle in zip(sinogram.T, np.deg2rad(angles), strict=True):
        s = np.arange(line.size) - middle - (5.0 * np.cos(angle) - 3.0 * np.sin(angle))
        chords = 0.02 * 0.5 * 2.0 * np.sqrt(np.maximum(24.0**2 - s**2, 0.0))
        assert np.abs(line - chords)[np.abs(s) < 20.0].max() < 0.02 * chords.max()
        assert np.abs(line[np.abs(s) > 28.0]).max() < 0.01 * chords.max()


@pytest.mark.parametrize(("shape", "rotated"), [((96, 96), False), ((64, 96), False), ((96, 96), True)])
def test_a_reconstructed_disc_is_the_disc(shape: tuple[int, int], rotated: bool) -> None:
    picture = air(shape, 0.7, rotated)
    mu = ct.MU_WATER * disc(shape, 24.0, 3.0, -6.0)
    again = ct._reconstruct(ct._project(mu, picture, ANGLES), picture, ANGLES)
    assert np.abs(again - 1000.0 * disc(shape, 24.0, 3.0, -6.0)).mean() < 10.0
    assert again[disc(shape, 20.0, 3.0, -6.0) == 1.0].mean() == pytest.approx(1000.0, rel=2e-3)


@pytest.mark.parametrize(
    "fault",
    [
        partial(ct.patient_motion, shift_mm=0.0, cycles=2.0),
        partial(ct.limited_angle, missing_deg=0.0),
        partial(ct.rings, gain_sd=0.0, channels=0.5),
        partial(ct.beam_hardening, uncorrected=0.0, kvp=100.0),
    ],
)
def test_faults_of_no_size_change_nothing(fault: Callable[..., Picture]) -> None:
    np.testing.assert_allclose(fault(head(), rng()).pixels, head().pixels, atol=1e-6)


def test_noise_grows_as_one_over_the_root_of_the_photons() -> None:
    picture = head()
    centre = (slice(36, 60), slice(36, 60))
    noisy = [ct.low_dose_noise(picture, rng(), photons=n, electronic=0.0) for n in (1.0e6, 1.0e4)]
    spread = [float((made.pixels - picture.pixels)[centre].std()) for made in noisy]
    assert spread[1] / spread[0] == pytest.approx(10.0, rel=0.25)


def test_a_larger_body_gets_more_photons_by_the_root_of_its_attenuation() -> None:
    y, x = grid((96, 96))
    water = np.where(np.hypot(y, x) < 0.8, 0.0, -1000.0)
    at = (slice(44, 52), slice(44, 52))
    # 307 and 115 mm of water: p is 5.93 and 2.22 in the middle.
    spread = []
    for spacing_mm in (4.0, 1.5):
        picture = Picture(water, "CT", spacing_mm)
        made = [ct.low_dose_noise(picture, np.random.default_rng(s), photons=1.0e7, electronic=0.0) for s in range(9)]
        noise = np.stack([one.pixels - picture.pixels for one in made])[(slice(None), *at)]
        spread.append(float(noise.std()) * spacing_mm)
    p95 = [float(np.quantile(ct._sinogram(Picture(water, "CT", s), ANGLES), 0.95)) for s in (4.0, 1.5)]
    middle = ct.MU_WATER * 0.8 * 96.0 * np.array([4.0, 1.5])
    expected = np.exp(0.5 * (middle[0] - middle[1]) - 0.25 * (max(0.0, p95[0] - 2.2) - max(0.0, p95[1] - 2.2)))
    assert spread[0] / spread[1] == pytest.approx(expected, rel=0.1)


def test_rings_are_constant_along_circles() -> None:
    picture = head()
    fault = ct.rings(picture, rng(), gain_sd=0.05, channels=0.3).pixels - picture.pixels
    y, x = np.mgrid[:96, :96] - 48.0
    ring = np.round(np.hypot(y, x)).astype(int)
    inside = ring < 44
    along = np.array([fault[ring == r].mean() for r in range(44)])
    assert np.corrcoef(fault[inside], along[ring[inside]])[0, 1] > 0.8


def test_a_rings_radius_is_its_channels_distance_from_the_centre_of_rotation() -> None:
    fault = ct.rings(head(), rng(), gain_sd=1.0, channels=0.05).pixels - head().pixels
    again, width = rng(), int(np.ceil(np.sqrt(2.0) * 96))
    offset = again.normal(0.0, 1.0, width) * (again.random(width) < 0.05)
    away = np.abs(np.arange(width) - width // 2)
    expected = np.array([offset[away == r].sum() if r > 12 else 0.0 for r in range(46)])
    y, x = np.mgrid[:96, :96] - 48.0
    ring = np.round(np.hypot(y, x)).astype(int)
    found = np.array([fault[ring == r].mean() for r in range(46)])
    strongest = int(np.argmax(np.abs(expected)))
    assert int(np.argmax(found * np.sign(expected[strongest]))) == strongest


@pytest.mark.parametrize("shape", [(96, 160), (160, 96)])
def test_implants_are_round_and_of_their_radius_in_oblong_pictures(shape: tuple[int, int]) -> None:
    struck = ct.metal(Picture(np.zeros(shape), "CT", 1.5), rng(), implants=1.0, radius_mm=15.0).pixels
    rows, columns = np.nonzero(struck == 3000.0)
    # A radius of 15 mm is 10 pixels, of which 85% at least are drawn.
    for across in (np.ptp(rows) + 1, np.ptp(columns) + 1):
        assert 2 * 8.5 - 1 <= across <= 2 * 10 + 1
    assert abs(int(np.ptp(rows)) - int(np.ptp(columns))) <= 1


def test_metal_stays_where_it_is_put_and_reaches_beyond() -> None:
    picture = head()
    struck = ct.metal(picture, rng(), implants=2.0, radius_mm=4.0).pixels
    assert (struck == 3000.0).sum() == pytest.approx(2 * np.pi * 3.7**2, rel=0.3)
    assert np.abs(struck - picture.pixels)[struck < 3000.0].max() > 50.0


def test_fewer_views_streak_more() -> None:
    picture = head()
    made = [ct.sparse_views(picture, rng(), views=n) for n in (100, 30)]
    spread = [float(np.std(streaked.pixels - picture.pixels)) for streaked in made]
    assert spread[1] > 1.5 * spread[0]


def test_attenuation_of_a_hard_and_a_soft_beam() -> None:
    # Of one energy, 20 keV: 0.8096 cm2/g against 0.2059 (0.1837 / 0.2059)^(ln(70/60) / ln(80/60)) = 0.1937 at 70 keV.
    assert ct._polychromatic(0.01, 0.0, 21.0) == pytest.approx(0.01 * 0.8096 / 0.1937, rel=1e-3)
    # A beam hardens: the second half of the path attenuates less than the first.
    half, whole = ct._polychromatic(2.0, 0.0, 100.0), ct._polychromatic(4.0, 0.0, 100.0)
    assert half < whole < 2.0 * half
    # The softer the beam, the more.
    assert ct._polychromatic(4.0, 0.0, 60.0) / ct._polychromatic(2.0, 0.0, 60.0) < whole / half


def test_beam_hardening_cups_a_water_disc_and_darkens_it_between_bones() -> None:
    y, x = grid((96, 96))
    r = np.hypot(y, x)
    water = Picture(np.where(r < 0.8, 0.0, -1000.0), "CT", spacing_mm=3.0)
    cupped = ct.beam_hardening(water, rng(), uncorrected=1.0, kvp=100.0).pixels
    along = [cupped[np.abs(r - at) < 0.03].mean() for at in (0.05, 0.3, 0.5, 0.7)]
    assert along == sorted(along)
    assert along[3] - along[0] > 40.0
    bones = (np.hypot(y, x - 0.45) < 0.12) | (np.hypot(y, x + 0.45) < 0.12)
    with_bones = Picture(np.where(bones, 900.0, water.pixels), "CT", spacing_mm=3.0)
    change = ct.beam_hardening(with_bones, rng(), uncorrected=1.0, kvp=100.0).pixels - with_bones.pixels
    between = change[(np.abs(y) < 0.05) & (np.abs(x) < 0.1)].mean()
    assert between < change[(np.abs(x) < 0.05) & (np.abs(np.abs(y) - 0.4) < 0.1)].mean() - 20.0
