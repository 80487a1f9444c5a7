"""MRI: each fault against the k-space or field physics of its cause."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from medqbench_vlmeval.synth import mri
from medqbench_vlmeval.synth.images import Picture


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def blocks(shape: tuple[int, int] = (64, 64)) -> Picture:
    pixels = np.zeros(shape)
    pixels[20:44, 16:40] = 0.8
    pixels[28:36, 22:30] = 0.3
    return Picture(pixels, "MRI")


@pytest.mark.parametrize(
    "fault",
    [
        partial(mri.motion, shift_px=0.0, period_lines=7.0),
        partial(mri.undersampling, factor=1.0, centre=0.1),
        partial(mri.rician_noise, sigma=0.0),
        partial(mri.spikes, amplitude=0.0, count=3.0),
        partial(mri.low_resolution, kept=1.2),
        partial(mri.bias_field, strength=0.0),
        partial(mri.gibbs_ringing, kept=1.2),
        partial(mri.zipper, amplitude=0.0, lines=3.0),
        partial(mri.susceptibility, radius=1.0e-6, shift=1.0),
    ],
)
@pytest.mark.parametrize("shape", [(64, 64), (70, 45)])
def test_faults_of_no_size_change_nothing(fault: Callable[..., Picture], shape: tuple[int, int]) -> None:
    np.testing.assert_allclose(fault(blocks(shape), rng()).pixels, blocks(shape).pixels, atol=1e-6)


def test_undersampling_by_two_without_centre_is_the_mean_of_the_picture_and_its_half_shifted_copy() -> None:
    picture = blocks()
    folded = mri.undersampling(picture, rng(), factor=2.0, centre=0.0).pixels
    shifted = np.roll(picture.pixels, 32, axis=0)
    # Twice the weight on every second row: I + I(y + H/2) or I - I(y + H/2), seen as a magnitude.
    candidates = [np.abs(picture.pixels + sign * shifted) for sign in (1.0, -1.0)]
    assert min(float(np.abs(folded - c).max()) for c in candidates) < 1e-9


def test_breathing_repeats_a_point_at_the_field_of_view_over_the_period() -> None:
    pixels = np.zeros((256, 32))
    pixels[128, 16] = 1.0
    seen = mri.motion(Picture(pixels, "MRI"), rng(), shift_px=0.6, period_lines=8.0).pixels[:, 16]
    ghosts = seen[[128 - 32, 128 + 32]].mean()  # 256 / 8 rows away
    between = seen[[128 - 48, 128 + 48, 128 - 16, 128 + 16]].mean()
    assert ghosts > 3.0 * between


def test_rician_background_has_the_mean_of_a_rayleigh_distribution() -> None:
    empty = Picture(np.zeros((200, 200)), "MRI")
    noisy = mri.rician_noise(empty, rng(), sigma=0.1).pixels
    assert noisy.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2.0), rel=0.01)


def test_a_spike_is_a_plane_wave_of_the_stated_amplitude() -> None:
    bright = Picture(np.full((64, 64), 10.0), "MRI")
    wave = mri.spikes(bright, rng(), amplitude=0.1, count=1.0).pixels - 10.0
    assert np.abs(wave).max() == pytest.approx(0.1, rel=0.02)
    assert np.sort(np.abs(np.fft.fft2(wave)).ravel())[-3] < 0.05 * np.abs(np.fft.fft2(wave)).max()


def test_bias_field_spans_the_stated_ratio() -> None:
    flat = Picture(np.full((64, 64), 0.5), "MRI")
    shaded = mri.bias_field(flat, rng(), strength=0.7).pixels
    assert np.log(shaded.max() / shaded.min()) == pytest.approx(1.4, rel=1e-6)


def test_an_edge_overshoots_by_nine_hundredths_of_its_jump() -> None:
    step = Picture(np.repeat(np.where(np.arange(1024) < 512, 0.2, 0.8)[:, None], 8, axis=1), "MRI")
    seen = mri.gibbs_ringing(step, rng(), kept=0.2).pixels
    # Gibbs: (Si(pi) / pi - 1 / 2) = 0.0895 of the jump on either side.
    assert (seen.max() - 0.8) / 0.6 == pytest.approx(0.0895, rel=0.03)
    assert (0.2 - seen.min()) / 0.6 == pytest.approx(0.0895, rel=0.03)
    assert np.abs(mri.gibbs_ringing(Picture(step.pixels.T, "MRI"), rng(), kept=0.2).pixels - step.pixels.T).max() < 1e-9


def test_what_lies_outside_of_the_field_is_seen_one_field_away() -> None:
    body = np.zeros((100, 8))
    body[10:90] = 0.01
    seen = mri.wrap_around(Picture(body, "MRI"), rng(), excess=0.25).pixels
    rows = np.flatnonzero(seen.any(axis=1))
    field = rows[-1] - rows[0] + 1
    assert field == pytest.approx(80 * 0.75, abs=2)
    for row in (10, 50, 89):
        marked = body.copy()
        marked[row, 3] = 0.08
        at = int(np.argmax(mri.wrap_around(Picture(marked, "MRI"), rng(), excess=0.25).pixels[:, 3]))
        assert at == rows[0] + (row - rows[0]) % field
        assert (at - row) % field == 0


def test_a_zipper_is_one_column_of_the_stated_root_mean_square() -> None:
    empty = Picture(np.zeros((256, 64)), "MRI")
    power = (mri.zipper(empty, rng(), amplitude=0.3, lines=1.0).pixels ** 2).mean(axis=0)
    assert power.sum() == pytest.approx(0.3**2, rel=1e-6)  # Parseval: the tone's power, wherever it leaks to
    assert np.sort(power)[-2:].sum() > 0.8 * power.sum()


def test_susceptibility_moves_signal_without_losing_it_and_leaves_a_void() -> None:
    flat = Picture(np.full((128, 128), 0.5), "MRI")
    seen = mri.susceptibility(flat, rng(), radius=0.1, shift=0.5).pixels
    assert seen.min() == pytest.approx(0.0, abs=1e-3)
    assert seen.max() > 0.7
    # Far away the field falls with the square of the distance: 0.5 R (R / r)^2 is below a hundredth of a pixel.
    y, x = np.mgrid[:128, :128]
    hollow = np.argwhere(seen < 0.05).mean(axis=0)
    away = np.hypot(y - hollow[0], x - hollow[1])
    assert np.abs(seen[away > 50.0] - 0.5).max() < 0.02
    # Only the void (area pi R^2, R = 6.4) and the dephased shell, to about 1.5 R, lose signal.
    lost = (0.5 - seen).sum() / 0.5
    assert np.pi * 6.4**2 < lost < np.pi * (1.6 * 6.4) ** 2
