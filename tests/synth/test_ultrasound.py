"""Ultrasound: each fault against the physics of the echo."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.synth import ultrasound
from medqbench_vlmeval.synth.images import Array, Picture


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def flat(value: float = 0.5, shape: tuple[int, int] = (200, 160)) -> Picture:
    return Picture(np.full(shape, value), "Ultrasound")


def decibels(picture: Picture) -> Array:
    return np.asarray(60.0 * (picture.pixels - 1.0))


@pytest.mark.parametrize(
    "fault",
    [
        partial(ultrasound.speckle, share=0.0, grain=0.01),
        partial(ultrasound.gain, excess_db=0.0),
        partial(ultrasound.depth_gain, error_db=0.0),
        partial(ultrasound.reverberation, level=0.0, kept=0.5),
        partial(ultrasound.low_resolution, beam=0.0),
    ],
)
@pytest.mark.parametrize("shape", [(64, 64), (65, 99)])
def test_faults_of_no_size_change_nothing(fault: partial[Picture], shape: tuple[int, int]) -> None:
    picture = Picture(np.random.default_rng(1).uniform(0.1, 0.9, shape), "Ultrasound")
    np.testing.assert_allclose(fault(picture, rng()).pixels, picture.pixels, atol=1e-9)


def test_fully_developed_speckle_has_a_mean_of_1_91_standard_deviations() -> None:
    seen = ultrasound.speckle(flat(0.7, (600, 600)), rng(), share=1.0, grain=0.002).pixels
    amplitude = 10.0 ** (seen * 60.0 / 20.0)
    # Rayleigh: sqrt(pi / (4 - pi)) = 1.913.
    assert amplitude.mean() / amplitude.std() == pytest.approx(1.913, rel=0.03)
    assert (amplitude**2).mean() == pytest.approx((10.0 ** (0.7 * 3.0)) ** 2, rel=0.03)


def test_a_shadow_loses_the_stated_decibels() -> None:
    seen = decibels(ultrasound.shadowing(flat(0.8), rng(), loss_db=20.0, width=0.4))
    deep = seen[-1]
    assert deep.min() == pytest.approx(-12.0 - 20.0, abs=1e-6)
    assert (deep < -30.0).sum() == pytest.approx(0.4 * 160, abs=6)
    assert seen[0].min() == pytest.approx(-12.0, abs=1e-6)
    assert seen.max() > -6.0  # the surface that stops the beam


def test_gain_adds_decibels_and_clips_at_white() -> None:
    seen = decibels(ultrasound.gain(flat(0.5), rng(), excess_db=12.0))
    assert seen == pytest.approx(-30.0 + 12.0, abs=0.7)
    assert ultrasound.gain(flat(0.9), rng(), excess_db=12.0).pixels.max() == pytest.approx(1.0, abs=1e-9)


def test_depth_gain_is_the_same_along_a_row_and_errs_both_ways() -> None:
    error = decibels(ultrasound.depth_gain(flat(0.5), rng(), error_db=10.0)) + 30.0
    np.testing.assert_allclose(error, np.repeat(error[:, :1], 160, axis=1), atol=1e-9)
    assert 5.0 <= error.max() <= 10.0
    assert -10.0 <= error.min() <= -5.0


def test_reverberations_are_equally_spaced_and_fall_by_a_constant_factor() -> None:
    column = ultrasound.reverberation(flat(0.05, (400, 160)), rng(), level=0.5, kept=0.5).pixels[:, 80]
    amplitude = 10.0 ** ((column - 1.0) * 3.0)
    peaks = [row for row in range(1, 399) if amplitude[row - 1] < amplitude[row] >= amplitude[row + 1]][:5]
    assert len(set(np.diff([0, *peaks]))) == 1
    assert amplitude[peaks[1:4]] / amplitude[peaks[:3]] == pytest.approx(0.5, rel=0.02)


def test_a_point_is_as_wide_as_the_beam_and_a_third_as_long() -> None:
    pixels = np.full((201, 200), 0.1)
    pixels[100, 100] = 1.0
    seen = 10.0 ** ((ultrasound.low_resolution(Picture(pixels, "Ultrasound"), rng(), beam=0.09).pixels - 1.0) * 3.0)
    point = seen - 10.0 ** (-2.7)
    wide, long = (point.sum(axis=axis) >= 0.5 * point.sum(axis=axis).max() for axis in (0, 1))
    assert wide.sum() == pytest.approx(0.09 * 200, abs=2)
    assert long.sum() == pytest.approx(0.03 * 200, abs=2)


def test_black_around_the_sector_and_letters_stay() -> None:
    pixels = np.zeros((120, 120))
    pixels[20:100, 20:100] = 0.5
    pixels[50:60, 50:60] = 0.0  # a cyst belongs to the sector
    pixels[4:8, 4:8] = 1.0  # a letter
    seen = ultrasound.gain(Picture(pixels, "Ultrasound"), rng(), excess_db=20.0).pixels
    np.testing.assert_array_equal(seen[:14], pixels[:14])
    assert seen[55, 55] > 0.2
    assert np.isfinite(ultrasound.speckle(flat(0.0), rng(), share=0.5, grain=0.01).pixels).all()
