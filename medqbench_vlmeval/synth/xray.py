"""X-ray degradations, simulated at the detector. A radiograph shows the logarithm of the exposure: display value ``v``
in 0-1, bone bright, stands for the exposure ``E = exp(-LATITUDE v)`` relative to the direct beam (Beer-Lambert;
Bushberg et al., *The Essential Physics of Medical Imaging*, 3rd ed., 2011, ch. 4 and 7). Faults change the exposure;
the display shows its logarithm again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, zoom

from medqbench_vlmeval.synth.images import Array, Picture

# Natural logarithm of the exposure range that the display spans: 55 to 1.
LATITUDE = 4.0


def _on_exposure(change: Callable[..., Array]) -> Callable[..., Picture]:
    """Make a change of relative exposure, (H, W), one of a picture."""

    @wraps(change)
    def degrade(picture: Picture, rng: np.random.Generator, **parameters: float) -> Picture:
        exposure = change(np.exp(-LATITUDE * np.clip(picture.pixels, 0.0, 1.0)), rng, **parameters)
        return picture.with_pixels(-np.log(np.maximum(exposure, 1.0e-4)) / LATITUDE)

    return degrade


@_on_exposure
def scatter(exposure: Array, rng: np.random.Generator, *, ratio: float) -> Array:
    """Scattered radiation, as without a grid: ``E' = (E + ratio * blur(E)) / (1 + ratio)``, a veil as smooth as a
    Gaussian of a tenth of the picture; contrast falls to ``1 / (1 + ratio)`` (Barnes, "Contrast and scatter in x-ray
    imaging", RadioGraphics 1991). ``ratio``: scatter-to-primary ratio (> 0), varied by 5%."""
    rows, columns = exposure.shape
    step = max(1, min(rows, columns) // 64)
    coarse = np.pad(exposure, ((0, -rows % step), (0, -columns % step)), mode="edge")
    coarse = coarse.reshape(coarse.shape[0] // step, step, coarse.shape[1] // step, step).mean(axis=(1, 3))
    veil = gaussian_filter(coarse, 0.1 * max(coarse.shape), mode="nearest")
    veil = zoom(veil, step, order=1, grid_mode=True, mode="nearest")[:rows, :columns]
    share = ratio * rng.uniform(0.95, 1.05)
    return np.asarray((exposure + share * veil) / (1.0 + share))


@_on_exposure
def grid_lines(exposure: Array, rng: np.random.Generator, *, depth: float, lines_px: float) -> Array:
    """The shadow of a resting anti-scatter grid, aliased by the sampling: ``E' = E (1 + depth cos(2 pi f x) + depth / 4
    cos(4 pi f x))`` at whole ``x`` is seen at ``|f - round(f)|`` (Lin et al., "A study of grid artifacts formation and
    elimination in computed radiographic images", J Digit Imaging 2006). ``depth``: modulation of the exposure, 0-1.
    ``lines_px``: grid lines per pixel, varied by 1% (4 lines a mm at 0.2 mm: 0.8); the grid is turned by up to 2
    degrees."""
    rows, columns = exposure.shape
    turn = np.deg2rad(rng.uniform(-2.0, 2.0))
    across = np.arange(columns) * np.cos(turn) + np.arange(rows)[:, None] * np.sin(turn)
    phase = 2.0 * np.pi * (lines_px * rng.uniform(0.99, 1.01) * across + rng.random())
    return np.asarray(exposure * (1.0 + depth * np.cos(phase) + 0.25 * depth * np.cos(2.0 * phase)))


@_on_exposure
def motion(exposure: Array, rng: np.random.Generator, *, length: float) -> Array:
    """Uniform movement during the exposure, which is the mean along a straight path: the spectrum times ``sinc(L f)``,
    ``f`` the frequency along the path (Bushberg et al. 2011, ch. 4). ``length``: ``L`` as a share of the picture's
    shorter side, 0-0.5."""
    path = length * min(exposure.shape)
    pad = int(np.ceil(path)) + 1
    padded = np.pad(exposure, pad, mode="edge")
    turn = rng.uniform(0.0, np.pi)
    v = fft.fftfreq(padded.shape[0])[:, None] * np.sin(turn)
    u = fft.rfftfreq(padded.shape[1])[None, :] * np.cos(turn)
    blurred = fft.irfft2(fft.rfft2(padded) * np.sinc(path * (u + v)), s=padded.shape)
    return np.asarray(blurred[pad:-pad, pad:-pad])


@_on_exposure
def quantum_noise(exposure: Array, rng: np.random.Generator, *, photons: float) -> Array:
    """Quantum mottle of a low dose: ``N ~ Poisson(photons * E)``, ``E' = N / photons``, so that the display's variance
    is ``1 / (photons E LATITUDE^2)`` (Bushberg et al. 2011, ch. 4). ``photons``: quanta per pixel in the direct
    beam (> 0)."""
    return np.asarray(np.maximum(rng.poisson(photons * exposure), 0.5) / photons)


@_on_exposure
def wrong_exposure(exposure: Array, rng: np.random.Generator, *, factor: float) -> Array:
    """Too much or too little exposure for a detector of fixed range: ``E' = factor * E``, below ``exp(-LATITUDE)`` and
    above 1 all alike (Hurter & Driffield's characteristic curve with straight shoulders, 1890). ``factor``: 4 is two
    stops too much (dark, burnt-out lungs and skin), 0.25 two too little (pale), varied by 5%."""
    return np.clip(exposure * factor * rng.uniform(0.95, 1.05), np.exp(-LATITUDE), 1.0)
