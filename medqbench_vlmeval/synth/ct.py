"""CT degradations, simulated where they arise: in the sinogram of a parallel-beam scanner.

Every function computes the error that the fault leaves in the line integrals, reconstructs that error alone by
filtered back-projection (Kak & Slaney, *Principles of Computerized Tomographic Imaging*, 1988, ch. 3: ``mu =
FBP(p)`` is linear in ``p``) and adds it to the picture. So the discretisation error of the projector itself never
becomes part of the artifact. Attenuation: ``mu = MU_WATER * (1 + HU / 1000)`` per mm. Oblong pictures lie in the
middle of a square of air.

Projections follow the Fourier slice theorem (Kak & Slaney, ch. 3: the transform of a projection is a radial line of
the picture's transform), of which FINUFFT computes the lines. The sources of the embedded set go through scikit-image's
projectors, which rotate the picture once a view and take ten times as long, so that the set stays as it was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft

from medqbench_vlmeval.synth.images import Array, Picture, grid, package

# Linear attenuation of water at about 70 keV, per mm (NIST tables: 0.193 cm2/g).
MU_WATER = 0.0193
# Of the radial lines; one thread adds in one order, so that the same picture comes out each time.
_FINUFFT = {"eps": 1e-9, "nthreads": 1}
# Mass attenuation (cm2/g) of water, cortical bone and aluminium at energies in keV (NIST tables).
_KEV = np.array([20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0])
_WATER = np.array([0.8096, 0.3756, 0.2683, 0.2269, 0.2059, 0.1837, 0.1707, 0.1505])
_BONE = np.array([4.001, 1.331, 0.6655, 0.4242, 0.3148, 0.2229, 0.1855, 0.1480])
_ALUMINIUM = np.array([3.441, 1.128, 0.5685, 0.3681, 0.2778, 0.2018, 0.1704, 0.1378])


def _angles(picture: Picture) -> Array:
    """The angles of a complete scan, in degrees: 300 of 180, up to 600 for pictures of more than 256 pixels."""
    views = np.clip(300 * max(picture.shape) // 256, 300, 600)
    return np.linspace(0.0, 180.0, int(views), endpoint=False)


def _detector(side: int) -> int:
    """Bins of a detector as wide as the diagonal of a square of ``side`` pixels."""
    return int(np.ceil(np.sqrt(2.0) * side))


def _lines(side: int, angles: Array) -> tuple[Array, Array]:
    """Row and column frequencies, in radians a pixel, of ``side + 1`` points on the radial line of each view."""
    turn, radius = np.deg2rad(angles)[:, None], np.arange(side + 1) * np.pi / side
    return (-radius * np.sin(turn)).ravel(), (radius * np.cos(turn)).ravel()


def _project(mu: Array, picture: Picture, angles: Array) -> Array:
    """Line integrals (detector, view) of ``mu``, per mm and of the picture's shape; dimensionless, the path is counted
    in pixels. The detector is as wide as the square's diagonal, and its middle sees the middle of the picture."""
    if picture.rotated:
        return np.asarray(package("skimage.transform").radon(mu, theta=angles, circle=False)) * picture.spacing_mm
    side = max(mu.shape)
    lines = package("finufft").nufft2d2(*_lines(side, angles), mu.astype(complex), isign=-1, **_FINUFFT)
    lines = lines.reshape(angles.size, side + 1)
    lines *= np.sinc(np.arange(side + 1) / (2 * side)) ** 2  # a detector bin with linear interpolation
    width = _detector(side)
    return np.asarray(np.roll(fft.irfft(lines, 2 * side), width // 2, axis=1)[:, :width].T) * picture.spacing_mm


def _reconstruct(sinogram: Array, picture: Picture, angles: Array) -> Array:
    """Ramp-filtered back-projection in HU *differences*, of the picture's shape."""
    side = max(picture.shape)
    sinogram = sinogram * (1000.0 / (MU_WATER * picture.spacing_mm))
    if picture.rotated:
        iradon = package("skimage.transform").iradon
        return np.asarray(iradon(sinogram, theta=angles, filter_name="ramp", circle=False, output_size=side))
    period, width = 2 * side, sinogram.shape[0]
    # The ramp filter as the transform of its samples (Kak & Slaney, ch. 3, eq. 61), which keeps the mean right.
    away = np.minimum(np.arange(period), period - np.arange(period))
    ramp = fft.rfft(np.where(away % 2 == 1, -1.0 / (np.pi * np.maximum(away, 1)) ** 2, 0.25 * (away == 0))).real
    ramp[1:-1] *= 2.0  # for the negative frequencies
    ramp *= np.sinc(np.arange(side + 1) / period) ** 2
    padded = np.pad(sinogram.T, ((0, 0), (0, period - width)))
    lines = (fft.rfft(np.roll(padded, -(width // 2), axis=1)) * ramp).ravel()
    inside = package("finufft").nufft2d1(*_lines(side, angles), lines, picture.shape, isign=1, **_FINUFFT)
    return np.asarray(inside.real * (np.pi / (period * angles.size)))


def _attenuation(picture: Picture) -> Array:
    """Linear attenuation per mm, never negative."""
    return np.maximum(MU_WATER * (1.0 + picture.pixels / 1000.0), 0.0)


def _sinogram(picture: Picture, angles: Array) -> Array:
    return _project(_attenuation(picture), picture, angles)


def low_dose_noise(picture: Picture, rng: np.random.Generator, *, photons: float, electronic: float = 5.0) -> Picture:
    """Quantum and electronic noise of a low tube current. ``N ~ Poisson(photons * exp(-p)) + Normal(0, electronic)``,
    ``p' = -ln(max(N, 1) / photons)``. ``photons``: unattenuated photons per detector bin and view (dimensionless count,
    > 0) for bodies of up to some 11 cm of water; for larger ones the scanner raises the current (McCollough et al., "CT
    dose reduction and dose management tools", RadioGraphics 2006), here with the root of the attenuation.
    ``electronic``: standard deviation of the read-out noise, in photons."""
    angles = _angles(picture)
    p = _sinogram(picture, angles)
    photons *= np.exp(0.5 * max(0.0, float(np.quantile(p, 0.95)) - 2.2))
    counts = rng.poisson(photons * np.exp(-p)) + rng.normal(0.0, electronic, p.shape)
    noisy = -np.log(np.maximum(counts, 1.0) / photons)
    return picture.with_pixels(picture.pixels + _reconstruct(noisy - p, picture, angles))


def sparse_views(picture: Picture, rng: np.random.Generator, *, views: float) -> Picture:
    """Streaks of a scan with too few projections: FBP from ``views`` angles over 180 degrees (Nyquist asks for
    about ``pi / 2 * width``) (Kak and Slaney 1988)."""
    few = np.linspace(0.0, 180.0, int(views), endpoint=False) + rng.uniform(0.0, 180.0 / views)
    aliased = _reconstruct(_sinogram(picture, few), picture, few)
    angles = _angles(picture)
    complete = _reconstruct(_sinogram(picture, angles), picture, angles)
    return picture.with_pixels(picture.pixels + aliased - complete)


def limited_angle(picture: Picture, rng: np.random.Generator, *, missing_deg: float) -> Picture:
    """A wedge of ``missing_deg`` degrees (0-180) that was never measured. Its back-projection is missing; the rest is
    scaled by ``180 / (180 - missing_deg)``, so that the mean stays (Natterer 1986)."""
    start = rng.uniform(20.0, 160.0)
    angles = _angles(picture)
    lost = ((angles - start) % 180.0) < missing_deg
    wedge = _reconstruct(np.where(lost[None, :], _sinogram(picture, angles), 0.0), picture, angles)
    above_air = (picture.pixels + 1000.0 - wedge) * (180.0 / (180.0 - missing_deg))
    return picture.with_pixels(above_air - 1000.0)


def rings(picture: Picture, rng: np.random.Generator, *, gain_sd: float, channels: float) -> Picture:
    """Badly calibrated detector channels: a constant offset of the line integral in every view. ``p'(s, theta) = p(s,
    theta) + g(s)`` with ``g ~ Normal(0, gain_sd)`` on a share of the channels; a constant row of the sinogram is a
    circle in the image. ``gain_sd``: standard deviation of ``-ln(gain)``, dimensionless. ``channels``: share of faulty
    channels, 0-1 (Raven, Rev Sci Instrum 1998)."""
    width = _detector(max(picture.shape))
    offset: Array = rng.normal(0.0, gain_sd, width) * (rng.random(width) < channels)
    centre = width // 2
    # The innermost channels see every pixel and would leave one bright dot, not rings.
    offset[centre - 12 : centre + 13] = 0.0
    # A full turn meets every line twice, from both ends of the detector: rings close.
    mirrored = np.clip(2 * centre - np.arange(width), 0, width - 1)
    offset = offset + offset[mirrored]
    angles = _angles(picture)
    fault = np.repeat(offset[:, None], angles.size, axis=1)
    return picture.with_pixels(picture.pixels + _reconstruct(fault, picture, angles))


def metal(picture: Picture, rng: np.random.Generator, *, implants: float, radius_mm: float) -> Picture:
    """Dense implants: their line integrals saturate (photon starvation, beam hardening). The measured integral of metal
    ``m`` is ``m' = (1 - exp(-k m)) / k`` with ``k = 0.12`` instead of ``m``; the inconsistency ``m' - m`` spreads as
    bright and dark streaks from and between the implants. ``implants``: how many round implants (whole number as
    float). ``radius_mm``: radius of the largest, in mm (De Man et al., IEEE TNS 1999)."""
    y, x = grid(picture.shape)
    scale = 2.0 / (min(picture.shape) * picture.spacing_mm)
    mask = np.zeros(picture.shape)
    turn = rng.uniform(0.0, np.pi)
    for number in range(int(implants)):
        away = 0.30 * (1 if number % 2 == 0 else -1) if implants > 1 else 0.22
        cy = away * np.sin(turn) + rng.uniform(-0.05, 0.05)
        cx = away * np.cos(turn) + rng.uniform(-0.05, 0.05)
        radius = radius_mm * scale * rng.uniform(0.85, 1.0)
        mask[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 1.0
    angles = _angles(picture)
    m = _project(mask * 0.3, picture, angles)  # titanium, about 0.3 per mm at 60 keV
    measured = (1.0 - np.exp(-0.12 * m)) / 0.12
    p = _sinogram(picture, angles)
    counts = rng.poisson(4.0e5 * np.exp(-np.minimum(p + measured, 12.0)))
    noise = np.where(m > 0.0, -np.log(np.maximum(counts, 1.0) / 4.0e5) - (p + measured), 0.0)
    streaks = _reconstruct(measured - m + noise, picture, angles)
    return picture.with_pixels(np.where(mask > 0.0, 3000.0, picture.pixels + streaks))


def patient_motion(picture: Picture, rng: np.random.Generator, *, shift_mm: float, cycles: float) -> Picture:
    """In-plane movement while the gantry turns. A translation by ``(dx, dy)`` moves a parallel projection by ``dx
    cos(theta) + dy sin(theta)`` (shift theorem of the Radon transform). The path is ``shift_mm * sin(2 pi cycles t)``
    along one direction plus a step of half that size in the middle of the scan. ``shift_mm``: amplitude in mm.
    ``cycles``: oscillations during the scan (Crawford et al., IEEE TMI 1996)."""
    angles = _angles(picture)
    p = _sinogram(picture, angles)
    t = np.arange(angles.size) / angles.size
    direction = rng.uniform(0.0, np.pi)
    path = shift_mm * (np.sin(2.0 * np.pi * (cycles * t + rng.random())) + 0.5 * np.sign(t - 0.5)) / picture.spacing_mm
    along = np.deg2rad(angles)
    shift = path * (np.cos(direction) * np.cos(along) + np.sin(direction) * np.sin(along))
    places = np.arange(p.shape[0], dtype=np.float64)
    moved = np.stack([np.interp(places - s, places, p[:, i]) for i, s in enumerate(shift)], axis=1)
    return picture.with_pixels(picture.pixels + _reconstruct(moved - p, picture, angles))


def _polychromatic(soft: Array | float, bone: Array | float, kvp: float) -> Any:
    """``-ln`` of the share of the signal that passes water and bone, given by their line integrals at 70 keV. The
    detector integrates energy; the spectrum is Kramers' behind 2 mm of aluminium, in steps of 4 keV."""
    energy: Array = np.arange(20.0, kvp, 4.0)

    def per_mass(table: Array, at: Array | float) -> Array:
        return np.asarray(np.exp(np.interp(np.log(at), np.log(_KEV), np.log(table))))

    signal = (kvp - energy) * np.exp(-per_mass(_ALUMINIUM, energy) * 2.7 * 0.2)
    water, dense = (per_mass(table, energy) / per_mass(table, 70.0) for table in (_WATER, _BONE))
    passed = sum(s * np.exp(-w * soft - d * bone) for s, w, d in zip(signal, water, dense, strict=True))
    return -np.log(passed / signal.sum())


def beam_hardening(picture: Picture, rng: np.random.Generator, *, uncorrected: float, kvp: float) -> Picture:
    """A polychromatic beam that hardens on its way, read as if it were of one energy: cupping, and dark bands between
    bones (Brooks & Di Chiro, "Beam hardening in X-ray reconstructive tomography", Phys Med Biol 1976). ``p' =
    -ln(sum_E S(E) exp(-p_soft a_soft(E) - p_bone a_bone(E))) / c`` with ``a`` relative to 70 keV and ``c`` the value
    that makes ``p' = p`` for as much water as the body has on average; tissue turns into bone from 150 to 350 HU.
    ``uncorrected``: share of the error that the scanner's own correction leaves, 0-1, varied by 5%. ``kvp``: tube
    voltage in kV, 40-150."""
    angles = _angles(picture)
    mu = _attenuation(picture)
    hard = mu * np.clip((picture.pixels - 150.0) / 200.0, 0.0, 1.0)
    soft, bone = (_project(part, picture, angles) for part in (mu - hard, hard))
    through = soft[soft > 0.1]
    mean = float(through.mean()) if through.size else 0.1
    error = _polychromatic(soft, bone, kvp) * (mean / _polychromatic(mean, 0.0, kvp)) - soft - bone
    share = uncorrected * rng.uniform(0.95, 1.05)
    return picture.with_pixels(picture.pixels + _reconstruct(share * error, picture, angles))
