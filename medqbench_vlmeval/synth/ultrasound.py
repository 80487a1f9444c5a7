"""Ultrasound degradations, simulated on the echo's amplitude. A B-mode picture shows the logarithm of the echo: display
value ``v`` in 0-1 stands for an echo of ``DYNAMIC_DB * (v - 1)`` decibels, full scale 0 (Szabo, *Diagnostic Ultrasound
Imaging: Inside Out*, 2014, ch. 10). The transducer is at the top, depth runs down. Only the sector with echoes changes;
shares of the width are of its width."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter, gaussian_filter1d, label

from medqbench_vlmeval.synth.images import Array, Picture

# What the display's range from black to white spans, in decibels.
DYNAMIC_DB = 60.0


def _sector(shown: Array) -> NDArray[np.bool_]:
    """Where there are echoes, (H, W): connected places of 3% of the picture or more that are not black, with the black
    inside of them. Letters are smaller."""
    places, _ = label(gaussian_filter(shown, 2.0) > 0.02)
    large = np.bincount(places.ravel()) >= 0.03 * shown.size
    large[0] = False
    return np.asarray(binary_fill_holes(large[places]) if large.any() else np.ones_like(shown), dtype=bool)


def _on_echo(change: Callable[..., Array]) -> Callable[..., Picture]:
    """Make a change of the echo's amplitude relative to full scale, within the rectangle around the sector, one of a
    picture."""

    @wraps(change)
    def degrade(picture: Picture, rng: np.random.Generator, **parameters: float) -> Picture:
        shown = np.clip(picture.pixels, 0.0, 1.0)
        sector = _sector(shown)
        lines = (np.flatnonzero(sector.any(axis=axis)) for axis in (1, 0))
        box = tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)
        echo = change(10.0 ** ((shown[box] - 1.0) * DYNAMIC_DB / 20.0), rng, **parameters)
        seen = shown.copy()
        seen[box] = np.maximum(1.0 + 20.0 * np.log10(np.maximum(echo, 1.0e-6)) / DYNAMIC_DB, 0.0)
        return picture.with_pixels(np.where(sector, seen, shown))

    return degrade


@_on_echo
def speckle(echo: Array, rng: np.random.Generator, *, share: float, grain: float) -> Array:
    """Interference of many scatterers in one resolution cell: ``A' = A |sqrt(1 - share) + sqrt(share) z|`` with ``z`` a
    circular complex Gaussian of unit power, smooth over a cell. With ``share`` 1 the speckle is fully developed: ``A' /
    A`` has Rayleigh's distribution, whose mean is 1.91 standard deviations (Burckhardt, "Speckle in ultrasound B-mode
    scans", IEEE Trans Sonics Ultrason 1978). ``share``: of the power that is diffuse, 0-1. ``grain``: lateral standard
    deviation of a cell as a share of the width; axially it is half as long."""
    sigma = grain * echo.shape[1]
    parts = [gaussian_filter(rng.standard_normal(echo.shape), (0.5 * sigma, sigma), mode="wrap") for _ in range(2)]
    power = float((parts[0] ** 2 + parts[1] ** 2).mean())
    diffuse = np.sqrt(share / power)
    return np.asarray(echo * np.hypot(np.sqrt(1.0 - share) + diffuse * parts[0], diffuse * parts[1]))


@_on_echo
def shadowing(echo: Array, rng: np.random.Generator, *, loss_db: float, width: float) -> Array:
    """A stone, bone or gas that stops the beam: a bright surface, and ``loss_db`` less echo all the way below it
    (Feldman et al., "US artifacts", RadioGraphics 2009). ``loss_db``: two-way loss in decibels (> 0).
    ``width``: of the shadow as a share of the width, 0-1, varied by 5%."""
    rows, columns = echo.shape
    half = 0.5 * width * rng.uniform(0.95, 1.05)
    middle = rng.uniform(0.35, 0.65)
    across = np.abs(np.arange(columns) / columns - middle) / half
    top = (rng.uniform(0.2, 0.35) + 0.25 * half * np.minimum(across, 1.0) ** 2) * rows
    edge = np.clip((1.0 - across) * half * columns / (0.02 * columns) + 0.5, 0.0, 1.0)
    below = np.clip(np.arange(rows)[:, None] - top, 0.0, 1.0)
    surface = np.exp(-(((np.arange(rows)[:, None] - top) / (0.008 * rows + 0.5)) ** 2)) * edge
    return np.asarray(echo * 10.0 ** (-loss_db * edge * below / 20.0) * (1.0 - surface) + 0.7 * surface)


@_on_echo
def gain(echo: Array, rng: np.random.Generator, *, excess_db: float) -> Array:
    """Too much receiver gain: ``A' = A 10^(excess_db / 20)``, and what exceeds full scale is white (Szabo 2014, ch.
    10). ``excess_db``: in decibels (> 0), varied by 5%."""
    return np.asarray(np.minimum(echo * 10.0 ** (excess_db * rng.uniform(0.95, 1.05) / 20.0), 1.0))


@_on_echo
def depth_gain(echo: Array, rng: np.random.Generator, *, error_db: float) -> Array:
    """Wrong time-gain compensation: eight sliders, alternately too high and too low by half to all of ``error_db``, and
    the gain runs smoothly from one to the next (Szabo 2014, ch. 4 and 10). ``error_db``: in decibels (> 0)."""
    sign = np.where((np.arange(8) + rng.integers(2)) // 2 % 2 == 0, 1.0, -1.0)
    sliders = error_db * sign * rng.uniform(0.5, 1.0, 8)
    depth = np.linspace(0.0, 7.0, echo.shape[0])
    error = gaussian_filter1d(np.interp(depth, np.arange(8), sliders), 0.02 * echo.shape[0], mode="nearest")
    return np.asarray(np.minimum(echo * 10.0 ** (error / 20.0)[:, None], 1.0))


@_on_echo
def reverberation(echo: Array, rng: np.random.Generator, *, level: float, kept: float) -> Array:
    """Sound that runs to and fro between the transducer and a flat interface at depth ``d``: further interfaces appear
    at ``n d``, each ``kept`` times as strong as the one before (Feldman et al., "US artifacts", RadioGraphics 2009).
    ``level``: amplitude of the first, relative to full scale, 0-1. ``kept``: amplitude that one round trip leaves,
    0-1."""
    rows, columns = echo.shape
    spacing = round(rng.uniform(0.09, 0.12) * rows)
    half = 0.5 * rng.uniform(0.5, 0.7)
    across = np.abs(np.arange(columns) / columns - rng.uniform(0.45, 0.55)) / half
    edge = np.exp(-(across**4))
    for bounce in range(1, rows // spacing + 1):
        away = (np.arange(rows) - bounce * spacing) / (0.006 * rows + 0.5)
        echo = echo + level * kept ** (bounce - 1) * np.exp(-(away**2))[:, None] * edge
    return np.minimum(echo, 1.0)


@_on_echo
def low_resolution(echo: Array, rng: np.random.Generator, *, beam: float) -> Array:
    """A wide beam and a long pulse: the echo's amplitude is smeared over the resolution cell, laterally by ``beam`` and
    axially by a third of it (Szabo 2014). ``beam``: full width at half maximum as a share of the
    width, 0-1, varied by 5%."""
    sigma = beam * rng.uniform(0.95, 1.05) * echo.shape[1] / 2.355
    return np.asarray(gaussian_filter(echo, (sigma / 3.0, sigma), mode="nearest"))
