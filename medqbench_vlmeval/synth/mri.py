"""MRI degradations, simulated where they arise: in k-space, or in the receiver. The picture is taken as the magnitude
of a real object; ``K = FFT2(image)`` with rows as the phase-encoding direction (one k-space row a readout).
Reconstruction is the magnitude of the inverse transform."""

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
    the displacement in pixels of a picture of 256 rows. ``period_lines``: readouts per breathing cycle.
    (Wood and Henkelman, Med Phys 1985).
    """
    k = _forward(picture.pixels)
    rows = picture.shape[0]
    shift_px *= rows / 256.0
    order = np.arange(rows)
    steps = rng.normal(0.0, 0.35 * shift_px, 8)[np.minimum(order * 8 // rows, 7)]
    d = shift_px * np.sin(2.0 * np.pi * (order / period_lines + rng.random())) + steps
    lines = _lines(rows)
    d[np.abs(lines) < 0.03 * rows] = 0.0
    return picture.with_pixels(_magnitude(k * np.exp(-2j * np.pi * lines * d / rows)[:, None]))


def undersampling(picture: Picture, rng: np.random.Generator, *, factor: float, centre: float) -> Picture:
    """Cartesian undersampling without parallel imaging: every ``factor``-th row is kept, the rest is zero-filled.
    Coherent replicas appear at ``H / factor`` along the phase-encoding axis. ``factor``: acceleration outside the
    centre (whole number as float). ``centre``: fully sampled share of rows around k = 0, 0-1.
    (Lustig et al., MRM 2007)."""
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
    ratio (0.3: 1.8 to 1, 1.2: 11 to 1) (Sled et al., IEEE TMI 1998)."""
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
    each wave in units of the display range (0-1). ``count``: how many samples are hit (whole number as float).
    (Heiland, Clin Neuroradiol 2008)."""
    k = _forward(picture.pixels)
    rows, columns = picture.shape
    for _ in range(int(count)):
        angle = rng.uniform(0.15, 0.85) * np.pi
        radius = rng.uniform(0.07, 0.16) * rows
        v = rows // 2 + round(radius * np.sin(angle))
        u = columns // 2 + round(radius * np.cos(angle))
        k[v, u % columns] += amplitude * rows * columns * np.exp(2j * np.pi * rng.random())
    return picture.with_pixels(_magnitude(k))


def low_resolution(picture: Picture, rng: np.random.Generator, *, kept: float) -> Picture:
    """A short acquisition matrix: only the central ``kept`` share (0-1) of k-space on each axis was measured and
    the rest is zero: blur by a sinc with Gibbs ringing at sharp edges. Of pictures above 256 pixels it is the share of
    256 (Haacke et al. 1999)."""
    k = _forward(picture.pixels)
    share = kept * rng.uniform(0.97, 1.03)
    down, across = (np.abs(_lines(size)) <= 0.5 * share * min(size, 256) for size in picture.shape)
    inside = down[:, None] & across
    return picture.with_pixels(_magnitude(np.where(inside, k, 0.0)))


def gibbs_ringing(picture: Picture, rng: np.random.Generator, *, kept: float) -> Picture:
    """Too few phase-encoding steps: the Fourier series of every column ends early, and every edge across the
    phase-encoding axis overshoots by 8.9% of its jump and rings on (Wood & Henkelman, "Truncation artifacts in magnetic
    resonance imaging", Magn Reson Med 1985). ``K'(k, u) = K(k, u)`` for ``|k| <= kept H / 2``, else 0. ``kept``: share
    of the phase-encoding steps that were measured, 0-1, varied by 3%; of pictures above 256 rows the share of 256."""
    k = _forward(picture.pixels)
    rows = picture.shape[0]
    inside = np.abs(_lines(rows)) <= 0.5 * kept * rng.uniform(0.97, 1.03) * min(rows, 256)
    return picture.with_pixels(_magnitude(np.where(inside[:, None], k, 0.0)))


def wrap_around(picture: Picture, rng: np.random.Generator, *, excess: float) -> Picture:
    """A field of view shorter than the body: what lies outside is encoded with the phase of a place inside, exactly one
    field of view ``F`` away (Edelstein et al., "Spin warp NMR imaging", Phys Med Biol 1980: ``I'(y) = |sum_n exp(i n f)
    I(y + n F)|``, ``f`` a phase that runs on smoothly along the row). The picture is black outside of the field.
    ``excess``: share of the body's rows that lies outside of the field, 0-1, varied by 4%, mostly on one side."""
    rows, columns = picture.shape
    profile = picture.pixels.mean(axis=1)
    body = np.flatnonzero(profile > 0.1 * profile.max())
    first, extent = (int(body[0]), int(np.ptp(body)) + 1) if body.size else (0, rows)
    field = max(2, round(extent * (1.0 - excess * rng.uniform(0.96, 1.04))))
    start = first + round((extent - field) * (0.1 if rng.random() < 0.5 else 0.9))
    turns, place = np.divmod(np.arange(rows) - start, field)
    phase = turns[:, None] * 2.0 * np.pi * (rng.random() + np.arange(columns) / columns)
    folded = np.zeros((rows, columns), dtype=np.complex128)
    np.add.at(folded, start + place, picture.pixels * np.exp(1j * phase))
    return picture.with_pixels(np.abs(folded))


def zipper(picture: Picture, rng: np.random.Generator, *, amplitude: float, lines: float) -> Picture:
    """Radio waves that leak into the room: a tone of constant frequency is one column of the picture, and as its phase
    differs from readout to readout it is noise along that column (Heiland, Clin Neuroradiol 2008). ``K'(k, u) = K(k,
    u) + amplitude sqrt(H) exp(i phi_k - 2 pi i u x0 / W)``. ``amplitude``: root mean square along the column, in units
    of the display range (0-1). ``lines``: how many tones, beside each other (whole number as float); each is as wide as
    a 256th of the picture."""
    k = _forward(picture.pixels)
    rows, columns = picture.shape
    at = rng.uniform(0.4, 0.6) * columns
    tones = [at + (n - 0.5 * lines + rng.uniform(-0.3, 0.3)) * 0.04 * columns for n in range(int(lines))]
    for place in (tone + beside for tone in tones for beside in range(max(1, columns // 256))):
        tone = np.exp(-2j * np.pi * _lines(columns) * place / columns)
        k += amplitude * np.sqrt(rows) * np.exp(2j * np.pi * rng.random((rows, 1))) * tone
    return picture.with_pixels(_magnitude(k))


def susceptibility(picture: Picture, rng: np.random.Generator, *, radius: float, shift: float) -> Picture:
    """Metal or air that distorts the main field as a cylinder across it does: ``dB(r, phi) = (R / r)^2 cos(2 phi)``
    outside of its radius ``R`` (Schenck, "The role of magnetic susceptibility in magnetic resonance imaging", Med Phys
    1996). Along the readout axis every voxel is seen ``shift R dB`` away, which stretches tissue and piles signal up;
    the field's slope dephases a voxel, ``S' = S sinc(shift (R / r)^3)``, and the cylinder has no signal. ``radius``:
    ``R`` in half-widths of the picture. ``shift``: displacement at the cylinder's surface in ``R``."""
    rows, columns = picture.shape
    turn = rng.uniform(0.0, 2.0 * np.pi)
    size = 0.5 * columns * radius
    y = (np.arange(rows) + 0.5 - rows * (0.5 + 0.22 * np.sin(turn)))[:, None] / size
    place = 0.5 * np.arange(2 * columns) + 0.25  # two a pixel
    x = (place - columns * (0.5 + 0.22 * np.cos(turn)))[None, :] / size
    r2 = np.maximum(x**2 + y**2, 1e-9)
    halves = 0.5 * np.repeat(picture.pixels, 2, axis=1)
    emitted = halves * np.sinc(shift * r2**-1.5) * (r2 > 1.0)
    seen = _collected(emitted, place + shift * size * (x**2 - y**2) / r2**2)
    return picture.with_pixels(np.maximum(picture.pixels + seen - _collected(halves, place + 0.0 * y), 0.0))


def _collected(signal: Array, place: Array) -> Array:
    """The sum of ``signal`` by its ``place`` along the row, in pixels, shared between the two nearest pixels; (rows,
    half as many columns)."""
    rows, columns = signal.shape[0], signal.shape[1] // 2
    from_margin = np.clip(place + 0.5, 0.0, columns + 1.0)
    low = from_margin.astype(np.int64)
    seen = np.zeros((rows, columns + 3))
    np.add.at(seen, (np.arange(rows)[:, None], low), signal * (1.0 - from_margin + low))
    np.add.at(seen, (np.arange(rows)[:, None], low + 1), signal * (from_margin - low))
    return seen[:, 1 : columns + 1]
