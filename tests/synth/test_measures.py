"""The measures against values worked out by hand, and their refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from scripts.measures import MEASURES, gradient, psnr, ssim


def _flat(value: int, shape: tuple[int, ...] = (16, 16)) -> np.ndarray:
    return np.full(shape, value, dtype=np.uint8)


def _step(low: int, high: int) -> np.ndarray:
    picture = _flat(low)
    picture[:, 8:] = high
    return picture


def test_psnr_of_a_difference_of_51_everywhere_is_10_log_25() -> None:
    # 255 / 51 = 5, so the ratio of powers is 25: 13.979 dB.
    assert psnr(_flat(100), _flat(151)) == pytest.approx(10 * math.log10(25))


def test_psnr_counts_every_channel() -> None:
    reference = _flat(100, (16, 16, 3))
    degraded = reference.copy()
    degraded[..., 1] = 151
    # A third of the squared difference: 25 * 3 = 75.
    assert psnr(reference, degraded) == pytest.approx(10 * math.log10(75))


def test_ssim_of_two_flat_pictures_is_its_term_of_luminance() -> None:
    # No variance: contrast and structure are C2 / C2 = 1. C1 = (0.01 * 255)^2 = 6.5025.
    expected = (2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025)
    assert ssim(_flat(100), _flat(150)) == pytest.approx(expected)


def test_ssim_of_inverted_noise_is_negative() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)
    assert ssim(noise, 255 - noise) < -0.8


def test_gradient_of_a_step_that_loses_half_its_height() -> None:
    # Halved to 8 x 8, the step lies between columns 3 and 4. Prewitt sums three rows of (right - left): 3h, and a third
    # of it is h, in the two columns beside the step: h = 60 and 30 there, 0 in the six others, where similarity is 1.
    beside = (2 * 60 * 30 + 170) / (60**2 + 30**2 + 170)
    assert gradient(_step(40, 100), _step(40, 70)) == pytest.approx((2 * beside + 6) / 8)


def test_gradient_does_not_see_an_even_change_of_brightness() -> None:
    assert gradient(_step(40, 100), _step(80, 140)) == pytest.approx(1.0)
    assert psnr(_step(40, 100), _step(80, 140)) == pytest.approx(20 * math.log10(255 / 40))


def test_gradient_of_a_grey_picture_is_that_of_its_colour_form() -> None:
    grey = [_step(40, 100), _step(40, 70)]
    assert gradient(*(np.repeat(one[..., None], 3, axis=-1) for one in grey)) == pytest.approx(gradient(*grey))


@given(seed=st.integers(0, 2**16), height=st.integers(11, 40), width=st.integers(11, 40), colour=st.booleans())
def test_equal_pictures_are_at_the_top_and_noise_is_below(seed: int, height: int, width: int, colour: bool) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3) if colour else (height, width), dtype=np.uint8)
    other = rng.integers(0, 256, picture.shape, dtype=np.uint8)
    for name, measure in MEASURES.items():
        top = math.inf if name == "psnr" else 1.0
        assert measure(picture, picture) == pytest.approx(top)
        assert measure(picture, other) < top
        assert measure(picture, other) == pytest.approx(measure(other, picture))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_pictures_that_cannot_be_compared_are_refused(measure) -> None:
    with pytest.raises(BadInput, match=r"uint8 \(16, 16\) and uint8 \(16, 17\)"):
        measure(_flat(1), _flat(1, (16, 17)))
    with pytest.raises(BadInput, match="float64"):
        measure(_flat(1), _flat(1).astype(float))
    with pytest.raises(BadInput, match="11 x 11 or more"):
        measure(_flat(1, (10, 40)), _flat(1, (10, 40)))
