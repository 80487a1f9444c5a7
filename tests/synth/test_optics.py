"""General degradations against what their formulas say: spectra, contrasts, means and noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import j1, jn_zeros

from medqbench_vlmeval.synth import optics
from medqbench_vlmeval.synth.images import Array, Picture, grid, to_display, to_light


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


class Middle(np.random.Generator):
    """Every draw of ``uniform`` and ``random`` is the middle of its range: parameters are what they are said to be."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(7))

    def uniform(self, low=0.0, high=1.0, size=None):
        return (low + high) / 2.0 if size is None else np.full(size, (low + high) / 2.0)

    def random(self, size=None, dtype=np.float64, out=None):
        return 0.5 if size is None else np.full(size, 0.5)


def grey(values: Array) -> Picture:
    return Picture(values, "X-ray")


def point() -> Picture:
    values = np.zeros((129, 129))
    values[64, 64] = 1.0
    return grey(values)


def test_the_transfer_function_of_defocus_is_zero_where_the_bessel_function_is() -> None:
    radius = 9.0
    spectrum = np.abs(np.fft.rfft2(optics.defocus(point(), Middle(), radius_px=radius).pixels))[0]
    f = np.fft.rfftfreq(129)
    expected = np.abs(2.0 * j1(2.0 * np.pi * radius * f[1:]) / (2.0 * np.pi * radius * f[1:]))
    np.testing.assert_allclose(spectrum[1:30], expected[:29], atol=0.03)
    # 2 J1(z) / z is first zero at z = 3.8317: f = 0.0678 cycles a pixel.
    lowest = f[: int(0.1 * 129)][np.argmin(spectrum[: int(0.1 * 129)])]
    assert lowest == pytest.approx(jn_zeros(1, 1)[0] / (2.0 * np.pi * radius), abs=1.0 / 129)


def test_motion_blur_is_a_sinc_along_its_path_and_leaves_the_other_direction() -> None:
    # The middle of 0..pi: the path is vertical.
    spectrum = np.abs(np.fft.fft2(optics.motion_blur(point(), Middle(), length_px=12.0).pixels))
    f = np.fft.fftfreq(129)[:16]
    np.testing.assert_allclose(spectrum[:16, 0], np.abs(np.sinc(12.0 * f)), atol=0.06)
    assert spectrum[0, :16].min() > 0.9


def test_larger_pictures_are_blurred_in_proportion() -> None:
    def edge_width(size: int) -> float:
        step = grey(np.repeat((np.arange(size) >= size // 2)[None, :].astype(float), size, axis=0))
        row = optics.defocus(step, Middle(), radius_px=4.0).pixels[size // 2]
        return float(((row > 0.01) & (row < 0.99)).sum())

    assert edge_width(576) == pytest.approx(2.0 * edge_width(288), rel=0.15)
    assert edge_width(96) == edge_width(288)


def test_low_resolution_averages_over_squares_and_keeps_the_mean() -> None:
    values = rng().random((60, 60))
    seen = optics.low_resolution(grey(values), Middle(), factor=5.0).pixels
    assert seen.mean() == pytest.approx(values.mean(), rel=0.01)
    # Stripes of a period of one element average out: the first zero of its sinc.
    stripes = np.repeat((np.arange(60) % 6 < 3)[None, :].astype(float), 60, axis=0)
    np.testing.assert_allclose(optics.low_resolution(grey(stripes), Middle(), factor=6.0).pixels, 0.5, atol=1e-6)


def test_rotation_moves_a_spot_by_its_angle_and_keeps_the_mean() -> None:
    y, x = grid((101, 101))
    spot = np.exp(-((y**2 + (x - 0.5) ** 2) / 0.01))
    turned = optics.rotation(grey(spot), Middle(), angle_deg=30.0).pixels
    assert turned.mean() == pytest.approx(spot.mean(), rel=1e-3)
    at_y, at_x = ((turned * axis).sum() / turned.sum() for axis in (y, x))
    assert abs(np.degrees(np.arctan2(at_y, at_x))) == pytest.approx(30.0, abs=0.1)
    assert np.hypot(at_y, at_x) == pytest.approx(0.5, abs=1e-3)


def test_brightness_takes_a_constant_and_contrast_scales_the_standard_deviation() -> None:
    values = 0.4 + 0.5 * rng().random((32, 32))
    np.testing.assert_allclose(optics.brightness(grey(values), Middle(), lost=0.3).pixels, values - 0.3)
    flat = optics.contrast(grey(values), Middle(), kept=0.25).pixels
    assert flat.std() == pytest.approx(0.25 * values.std(), rel=1e-9)
    assert flat.mean() == pytest.approx(values.mean(), rel=1e-9)


def test_display_controls_work_in_the_window_of_a_ct_slice() -> None:
    slice_ = Picture(np.array([[-1000.0, 0.0], [100.0, 3000.0]]), "CT", window=(-100.0, 100.0))
    dark = optics.brightness(slice_, Middle(), lost=0.25)
    # The window shows 0, 0.5, 1 and 1; a quarter of 200 HU is 50.
    np.testing.assert_allclose(dark.pixels, [[-100.0, -50.0], [50.0, 50.0]])


def test_gaussian_noise_is_white_and_of_the_stated_size() -> None:
    noise = optics.gaussian_noise(grey(np.full((256, 256), 0.5)), rng(), sigma=0.05).pixels - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    power = np.abs(np.fft.fft2(noise)) ** 2
    low, high = power[1:32, 1:32].mean(), power[96:128, 96:128].mean()
    assert low == pytest.approx(high, rel=0.15)


@pytest.mark.parametrize("stops", [1.0, 2.0])
def test_exposure_doubles_light_by_the_stop(stops: float) -> None:
    dim = Picture(np.full((32, 32, 3), float(to_display(np.array(0.1)))), "Fundus")
    seen = to_light(optics.overexposure(dim, Middle(), stops=stops).pixels)
    np.testing.assert_allclose(seen, 0.1 * 2.0**stops, rtol=1e-9)


def test_a_veil_lowers_michelson_contrast_to_what_it_lets_through() -> None:
    light = np.where(np.arange(64)[None, :, None] % 8 < 4, 0.2, 0.6) * np.ones((64, 64, 3))

    def michelson(of: Array) -> float:
        dark, bright = of[light == 0.2].mean(), of[light == 0.6].mean()
        return float((bright - dark) / (bright + dark))

    seen = to_light(optics.haze(Picture(to_display(light), "Fundus"), rng(), veil=0.6).pixels)
    assert michelson(seen) == pytest.approx(0.4 * michelson(light), rel=0.03)


@pytest.mark.parametrize("modality", ["Fundus", "CT"])
def test_compression_leaves_steps_at_every_eighth_pixel(modality: str) -> None:
    y, x = grid((64, 64))
    smooth = 0.5 + 0.2 * np.sin(3.0 * x + 2.0 * y)
    if modality == "CT":
        picture = Picture(400.0 * smooth - 200.0, "CT", window=(-200.0, 200.0))
    else:
        picture = Picture(np.repeat(smooth[..., None], 3, axis=-1), modality)
    coded = optics.jpeg_compression(picture, rng(), quality=3.0).pixels.reshape(64, 64, -1)[..., 0]
    steps = np.abs(np.diff(coded, axis=1)).mean(axis=0)
    at_blocks = np.arange(63) % 8 == 7
    assert steps[at_blocks].mean() > 3.0 * steps[~at_blocks].mean()
    assert np.abs(coded - picture.pixels.reshape(64, 64, -1)[..., 0]).mean() < 0.2 * np.ptp(picture.pixels)
