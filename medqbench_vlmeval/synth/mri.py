"""MRI degradations, simulated where they arise: in k-space, or in the receiver.

The picture is taken as the magnitude of a real object; ``K = FFT2(image)`` with rows as the phase-encoding
direction (one k-space row a readout). Reconstruction is the magnitude of the inverse transform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medqbench_vlmeval.synth.images import Array, Picture, grid


def _forward(image: Array) -> NDArray[np.complex128]:
    return np.asarray(np.fft.fftshift(np.fft.fft2(image)))


def _magnitude(kspace: NDArray[np.complex128]) -> Array:
    return np.asarray(np.abs(np.fft.ifft2(np.fft.ifftshift(kspace))))


def _lines(rows: int) -> Array:
    """Distance of every k-space row from the centre, in rows (negative below)."""
    return np.asarray(np.arange(rows, dtype=np.float64) - rows // 2)


def motion(picture: Picture, rng: np.random.Generator, *, shift_px: float, period_lines: float) -> Picture:
    """Movement between readouts: a phase ramp per k-space row (Fourier shift theorem).

    Row ``k`` is measured while the object is displaced by ``d(k)``: ``K'(k, u) = K(k, u) exp(-2 pi i k d(k) / H)``.
    ``d`` is periodic (breathing: discrete ghosts along the phase-encoding axis) plus one random step per eighth of the
    scan (restless patient: smearing). Rows in the central 6% are left, as after a navigator. ``shift_px``: amplitude of
    the displacement in pixels. ``period_lines``: readouts per breathing cycle.
    """
    k = _forward(picture.pixels)
    rows = picture.shape[0]
    order = np.arange(rows)
    steps = rng.normal(0.0, 0.35 * shift_px, 8)[np.minimum(order * 8 // rows, 7)]
    d = shift_px * np.sin(2.0 * np.pi * (order / period_lines + rng.random())) + steps
    lines = _lines(rows)
    d[np.abs(lines) < 0.03 * rows] = 0.0
    return picture.with_pixels(_magnitude(k * np.exp(-2j * np.pi * lines * d / rows)[:, None]))


def undersampling(picture: Picture, rng: np.random.Generator, *, factor: float, centre: float) -> Picture:
    """Cartesian undersampling without parallel imaging: every ``factor``-th row is kept, the rest is zero-filled.
    Coherent replicas appear at ``H / factor`` along the phase-encoding axis. ``factor``: acceleration outside the
    centre (whole number as float). ``centre``: fully sampled share of rows around k = 0, 0-1."""
    k = _forward(picture.pixels)
    rows = picture.shape[0]
    step = int(factor)
    kept = (np.arange(rows) + int(rng.integers(step))) % step == 0
    kept |= np.abs(_lines(rows)) < 0.5 * centre * rows
    # The receiver is scaled to the sampled energy, so that brightness stays comparable.
    weight = np.where(kept, 1.0 + (step - 1.0) * (np.abs(_lines(rows)) >= 0.5 * centre * rows), 0.0)
    return picture.with_pixels(_magnitude(k * weight[:, None]))


def bias_field(picture: Picture, rng: np.random.Generator, *, strength: float) -> Picture:
    """Receive-coil sensitivity: a smooth multiplicative field. ``I' = I exp(strength * b)`` with ``b`` a second-order
    polynomial over the field of view, scaled to -1..1 with its slope in a random direction (a surface coil on one
    side); the maximum is scaled back to the display. ``strength``: natural logarithm of half the brightest-to-darkest
    ratio (0.3: 1.8 to 1, 1.2: 11 to 1)."""
    y, x = grid(picture.shape)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    b = along + 0.35 * (along**2 - (x * np.sin(turn) - y * np.cos(turn)) ** 2)
    b = 2.0 * (b - b.min()) / (b.max() - b.min()) - 1.0
    shaded = picture.pixels * np.exp(strength * b)
    top = float(np.percentile(shaded, 99.5))
    return picture.with_pixels(shaded * (float(np.percentile(picture.pixels, 99.5)) / max(top, 1e-9)))


def rician_noise(picture: Picture, rng: np.random.Generator, *, sigma: float) -> Picture:
    """Thermal noise in both receiver channels, seen through the magnitude. ``I' = sqrt((I + n1)^2 + n2^2)``, ``n ~
    Normal(0, sigma)`` (Gudbjartsson & Patz, Magn Reson Med 1995). ``sigma``: standard deviation per channel, in units
    of the display range (0-1)."""
    real = picture.pixels + rng.normal(0.0, sigma, picture.shape)
    imaginary = rng.normal(0.0, sigma, picture.shape)
    return picture.with_pixels(np.hypot(real, imaginary))


def spikes(picture: Picture, rng: np.random.Generator, *, amplitude: float, count: float) -> Picture:
    """Electrical discharges during readout: single wrong k-space samples, each a plane wave over the image
    (herringbone). ``K'(k0) = K(k0) + amplitude * H * W / 2 * exp(i phi)``. ``amplitude``: peak-to-mean amplitude of
    each wave in units of the display range (0-1). ``count``: how many samples are hit (whole number as float)."""
    k = _forward(picture.pixels)
    rows, columns = picture.shape
    for _ in range(int(count)):
        angle = rng.uniform(0.15, 0.85) * np.pi
        radius = rng.uniform(0.07, 0.16) * rows
        v = rows // 2 + round(radius * np.sin(angle))
        u = columns // 2 + round(radius * np.cos(angle))
        k[v, u] += amplitude * rows * columns * np.exp(2j * np.pi * rng.random())
    return picture.with_pixels(_magnitude(k))


def low_resolution(picture: Picture, rng: np.random.Generator, *, kept: float) -> Picture:
    """A short acquisition matrix: only the central ``kept`` share (0-1) of k-space on each axis was measured and
    the rest is zero: blur by a sinc with Gibbs ringing at sharp edges."""
    k = _forward(picture.pixels)
    rows, columns = picture.shape
    share = kept * rng.uniform(0.97, 1.03)
    inside = (np.abs(_lines(rows)) <= 0.5 * share * rows)[:, None] & (np.abs(_lines(columns)) <= 0.5 * share * columns)
    return picture.with_pixels(_magnitude(np.where(inside, k, 0.0)))
