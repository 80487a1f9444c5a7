"""X-ray: each fault against the physics of exposure."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.synth import xray
from medqbench_vlmeval.synth.images import Array, Picture


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def flat(value: float, shape: tuple[int, int] = (128, 128)) -> Picture:
    return Picture(np.full(shape, value), "X-ray")


def exposure(picture: Picture) -> Array:
    return np.asarray(np.exp(-xray.LATITUDE * picture.pixels))


@pytest.mark.parametrize(
    "fault",
    [
        partial(xray.scatter, ratio=0.0),
        partial(xray.grid_lines, depth=0.0, lines_px=0.8),
        partial(xray.motion, length=0.0),
    ],
)
@pytest.mark.parametrize("shape", [(64, 64), (65, 99), (200, 130)])
def test_faults_of_no_size_change_nothing(fault: partial[Picture], shape: tuple[int, int]) -> None:
    picture = Picture(np.random.default_rng(1).uniform(0.1, 0.9, shape), "X-ray")
    np.testing.assert_allclose(fault(picture, rng()).pixels, picture.pixels, atol=1e-9)


def test_scatter_divides_contrast_by_one_plus_the_ratio() -> None:
    pixels = np.full((256, 256), 0.5)
    pixels[126:130, 126:130] = 0.45  # small against the veil
    seen = exposure(xray.scatter(Picture(pixels, "X-ray"), rng(), ratio=3.0))
    before = np.exp(4.0 * 0.05) - 1.0
    after = seen[128, 128] / seen[128, 110] - 1.0
    assert before / after == pytest.approx(1.0 + 3.0 * rng().uniform(0.95, 1.05), rel=0.02)
    # A flat field stays as bright as it was.
    np.testing.assert_allclose(xray.scatter(flat(0.6), rng(), ratio=3.0).pixels, 0.6, atol=1e-9)


@pytest.mark.parametrize(("lines_px", "aliased"), [(0.2, 0.2), (0.8, 0.2), (1.3, 0.3)])
def test_grid_lines_are_seen_at_the_aliased_frequency(lines_px: float, aliased: float) -> None:
    seen = exposure(xray.grid_lines(flat(0.5, (64, 512)), rng(), depth=0.2, lines_px=lines_px))
    profile = seen[0] / seen[0].mean() - 1.0
    spectrum = np.abs(np.fft.rfft(profile))
    assert np.argmax(spectrum) / 512 == pytest.approx(aliased, abs=0.01 * lines_px + 0.002)
    assert profile.max() == pytest.approx(0.2 * 1.25, rel=0.05)


def test_motion_has_its_first_zero_at_one_over_the_path() -> None:
    impulse = np.full((256, 256), 0.5)
    impulse[128, 128] = 0.4
    made = exposure(xray.motion(Picture(impulse, "X-ray"), rng(), length=0.0625)) - np.exp(-2.0)
    turn = rng().uniform(0.0, np.pi)
    # The path is 16 pixels: its spread along itself is 16 / sqrt(12), across it none.
    y, x = np.mgrid[:256, :256] - 128.0
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    near = np.hypot(x, y) < 20.0
    weight = made * near / (made * near).sum()
    transfer = [float((weight * np.cos(2.0 * np.pi * f * along)).sum()) for f in (1.0 / 32.0, 1.0 / 16.0)]
    assert transfer[0] == pytest.approx(2.0 / np.pi, abs=0.05)  # sinc(1 / 2)
    assert transfer[1] == pytest.approx(0.0, abs=0.05)
    assert float((weight * np.cos(2.0 * np.pi * across / 16.0)).sum()) == pytest.approx(1.0, abs=0.05)


def test_quantum_noise_has_a_variance_of_one_over_the_photons() -> None:
    for value in (0.2, 0.6):
        seen = xray.quantum_noise(flat(value), rng(), photons=5000.0).pixels
        assert seen.var() == pytest.approx(1.0 / (5000.0 * np.exp(-4.0 * value) * 16.0), rel=0.05)
        assert seen.mean() == pytest.approx(value, abs=2e-3)


def test_twice_the_exposure_darkens_by_a_constant_step_and_burns_out_what_does_not_fit() -> None:
    # ln(2) / 4 = 0.173 of the display; the exposure varies by 5%.
    made = xray.wrong_exposure(Picture(np.array([[0.1, 0.5, 0.9]] * 3), "X-ray"), rng(), factor=2.0).pixels[0]
    assert made[0] == pytest.approx(0.0, abs=1e-9)
    assert made[1:] == pytest.approx([0.5 - 0.1733, 0.9 - 0.1733], abs=0.013)
    pale = xray.wrong_exposure(Picture(np.array([[0.1, 0.5, 0.9]] * 3), "X-ray"), rng(), factor=0.5).pixels[0]
    assert pale == pytest.approx([0.2733, 0.6733, 1.0], abs=0.013)
