"""CT degradations, simulated where they arise: in the sinogram of a parallel-beam scanner.

Every function computes the error that the fault leaves in the line integrals, reconstructs that error alone by
filtered back-projection (Kak & Slaney, *Principles of Computerized Tomographic Imaging*, 1988, ch. 3: ``mu =
FBP(p)`` is linear in ``p``) and adds it to the picture. So the discretisation error of the projector itself never
becomes part of the artifact. Attenuation: ``mu = MU_WATER * (1 + HU / 1000)`` per mm.
"""

from __future__ import annotations

import numpy as np

from medqbench_vlmeval.synth.images import Array, Picture, grid, package

# Linear attenuation of water at about 70 keV, per mm (NIST tables: 0.193 cm2/g).
MU_WATER = 0.0193
# The angles of a complete scan, in degrees.
_ANGLES: Array = np.linspace(0.0, 180.0, 300, endpoint=False)


def _project(mu: Array, spacing_mm: float, angles: Array = _ANGLES) -> Array:
    """Line integrals (detector, view), dimensionless: mu is per mm, the path is counted in pixels."""
    return np.asarray(package("skimage.transform").radon(mu, theta=angles, circle=False)) * spacing_mm


def _reconstruct(sinogram: Array, picture: Picture, angles: Array = _ANGLES) -> Array:
    """Ramp-filtered back-projection in HU *differences*, of the picture's shape (square pictures only)."""
    iradon = package("skimage.transform").iradon
    size = picture.shape[0]
    mu = iradon(sinogram / picture.spacing_mm, theta=angles, filter_name="ramp", circle=False, output_size=size)
    return np.asarray(mu) * (1000.0 / MU_WATER)


def _sinogram(picture: Picture, angles: Array = _ANGLES) -> Array:
    return _project(np.maximum(MU_WATER * (1.0 + picture.pixels / 1000.0), 0.0), picture.spacing_mm, angles)


def low_dose_noise(picture: Picture, rng: np.random.Generator, *, photons: float, electronic: float = 5.0) -> Picture:
    """Quantum and electronic noise of a low tube current. ``N ~ Poisson(photons * exp(-p)) + Normal(0, electronic)``,
    ``p' = -ln(max(N, 1) / photons)``. ``photons``: unattenuated photons per detector bin and view (dimensionless count,
    > 0). ``electronic``: standard deviation of the read-out noise, in photons."""
    p = _sinogram(picture)
    counts = rng.poisson(photons * np.exp(-p)) + rng.normal(0.0, electronic, p.shape)
    noisy = -np.log(np.maximum(counts, 1.0) / photons)
    return picture.with_pixels(picture.pixels + _reconstruct(noisy - p, picture))


def sparse_views(picture: Picture, rng: np.random.Generator, *, views: float) -> Picture:
    """Streaks of a scan with too few projections: FBP from ``views`` angles over 180 degrees (Nyquist asks for
    about ``pi / 2 * width``)."""
    few = np.linspace(0.0, 180.0, int(views), endpoint=False) + rng.uniform(0.0, 180.0 / views)
    aliased = _reconstruct(_sinogram(picture, few), picture, few)
    complete = _reconstruct(_sinogram(picture), picture)
    return picture.with_pixels(picture.pixels + aliased - complete)


def limited_angle(picture: Picture, rng: np.random.Generator, *, missing_deg: float) -> Picture:
    """A wedge of ``missing_deg`` degrees (0-180) that was never measured. Its back-projection is missing; the rest is
    scaled by ``180 / (180 - missing_deg)``, so that the mean stays."""
    start = rng.uniform(20.0, 160.0)
    lost = ((_ANGLES - start) % 180.0) < missing_deg
    p = _sinogram(picture)
    wedge = _reconstruct(np.where(lost[None, :], p, 0.0), picture)
    above_air = (picture.pixels + 1000.0 - wedge) * (180.0 / (180.0 - missing_deg))
    return picture.with_pixels(above_air - 1000.0)


def rings(picture: Picture, rng: np.random.Generator, *, gain_sd: float, channels: float) -> Picture:
    """Badly calibrated detector channels: a constant offset of the line integral in every view. ``p'(s, theta) = p(s,
    theta) + g(s)`` with ``g ~ Normal(0, gain_sd)`` on a share of the channels; a constant row of the sinogram is a
    circle in the image. ``gain_sd``: standard deviation of ``-ln(gain)``, dimensionless. ``channels``: share of faulty
    channels, 0-1."""
    width = int(_project(np.zeros(picture.shape), picture.spacing_mm, _ANGLES[:1]).shape[0])
    offset: Array = rng.normal(0.0, gain_sd, width) * (rng.random(width) < channels)
    centre = width // 2
    # The innermost channels see every pixel and would leave one bright dot, not rings.
    offset[centre - 12 : centre + 13] = 0.0
    # A full turn meets every line twice, from both ends of the detector: rings close.
    mirrored = np.clip(2 * centre - np.arange(width), 0, width - 1)
    offset = offset + offset[mirrored]
    fault = np.repeat(offset[:, None], _ANGLES.size, axis=1)
    return picture.with_pixels(picture.pixels + _reconstruct(fault, picture))


def metal(picture: Picture, rng: np.random.Generator, *, implants: float, radius_mm: float) -> Picture:
    """Dense implants: their line integrals saturate (photon starvation, beam hardening). The measured integral of metal
    ``m`` is ``m' = (1 - exp(-k m)) / k`` with ``k = 0.12`` instead of ``m``; the inconsistency ``m' - m`` spreads as
    bright and dark streaks from and between the implants. ``implants``: how many round implants (whole number as
    float). ``radius_mm``: radius of the largest, in mm."""
    y, x = grid(picture.shape)
    scale = 2.0 / (picture.shape[1] * picture.spacing_mm)
    mask = np.zeros(picture.shape)
    turn = rng.uniform(0.0, np.pi)
    for number in range(int(implants)):
        away = 0.30 * (1 if number % 2 == 0 else -1) if implants > 1 else 0.22
        cy = away * np.sin(turn) + rng.uniform(-0.05, 0.05)
        cx = away * np.cos(turn) + rng.uniform(-0.05, 0.05)
        radius = radius_mm * scale * rng.uniform(0.85, 1.0)
        mask[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 1.0
    m = _project(mask * 0.3, picture.spacing_mm)  # titanium, about 0.3 per mm at 60 keV
    measured = (1.0 - np.exp(-0.12 * m)) / 0.12
    p = _sinogram(picture)
    counts = rng.poisson(4.0e5 * np.exp(-np.minimum(p + measured, 12.0)))
    noise = np.where(m > 0.0, -np.log(np.maximum(counts, 1.0) / 4.0e5) - (p + measured), 0.0)
    streaks = _reconstruct(measured - m + noise, picture)
    return picture.with_pixels(np.where(mask > 0.0, 3000.0, picture.pixels + streaks))


def patient_motion(picture: Picture, rng: np.random.Generator, *, shift_mm: float, cycles: float) -> Picture:
    """In-plane movement while the gantry turns. A translation by ``(dx, dy)`` moves a parallel projection by ``dx
    cos(theta) + dy sin(theta)`` (shift theorem of the Radon transform). The path is ``shift_mm * sin(2 pi cycles t)``
    along one direction plus a step of half that size in the middle of the scan. ``shift_mm``: amplitude in mm.
    ``cycles``: oscillations during the scan."""
    p = _sinogram(picture)
    t = np.arange(_ANGLES.size) / _ANGLES.size
    direction = rng.uniform(0.0, np.pi)
    path = shift_mm * (np.sin(2.0 * np.pi * (cycles * t + rng.random())) + 0.5 * np.sign(t - 0.5)) / picture.spacing_mm
    along = np.deg2rad(_ANGLES)
    shift = path * (np.cos(direction) * np.cos(along) + np.sin(direction) * np.sin(along))
    places = np.arange(p.shape[0], dtype=np.float64)
    moved = np.stack([np.interp(places - s, places, p[:, i]) for i, s in enumerate(shift)], axis=1)
    return picture.with_pixels(picture.pixels + _reconstruct(moved - p, picture))
