"""The catalogue: which degradations exist, for which modality, with which parameters at which severity.

Optical ones are simulated here: of an instrument with a sensor, on linear light before the display's gamma; of the wet,
close surface that an endoscope lights along its viewing axis; and on the glass of a slide, before the scanner, by the
Beer-Lambert optics of stained tissue (optical density ``D = -ln(L / L0)`` adds up over layers; ``L0`` is the light
through clear glass, 1 here). Those of scanners are in :mod:`ct` and :mod:`mri`.

Parameters are physical and carry their unit in the function that takes them (see its docstring). 'mild' is meant
to be seen by an expert and to leave the picture usable, 'severe' to make it useless for diagnosis.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medqbench_vlmeval.synth import ct, mri
from medqbench_vlmeval.synth.images import Array, Picture, field_of_view, grid, smooth_field, to_display, to_light

# Rec. 709 luminance weights.
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_DARKEST = 1.0e-3

GRADES = ("mild", "severe")


def _blur(light: Array, kernel: Array) -> Array:
    from scipy.signal import fftconvolve

    pad = kernel.shape[0] // 2
    padded = np.pad(light, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    return np.stack([fftconvolve(padded[..., c], kernel, mode="valid") for c in range(3)], axis=-1)


def _inside(light: Array, blur: Callable[[Array], Array]) -> Array:
    """``blur`` within the field of view only: the field stop lies at the sensor, so its edge stays sharp."""
    seen = field_of_view(light)[..., None]
    share = blur(np.repeat(seen.astype(np.float64), 3, axis=-1))
    return np.where(seen, blur(light * seen) / np.maximum(share, 1e-3), light)


def _convolve(light: Array, kernel: Array) -> Array:
    return _inside(light, lambda values: _blur(values, kernel))


def _disc(radius_px: float) -> Array:
    """Uniform disc of unit sum with an anti-aliased rim."""
    half = int(np.ceil(radius_px)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    disc = np.clip(radius_px + 0.5 - np.hypot(y, x), 0.0, 1.0)
    return np.asarray(disc / disc.sum())


def defocus(picture: Picture, rng: np.random.Generator, *, radius_px: float) -> Picture:
    """Geometric defocus: light convolved with the uniform disc that an out-of-focus circular pupil leaves.

    Args:
        radius_px: radius of the circle of confusion in pixels, varied by 5%.
    """
    light = _convolve(to_light(picture.pixels), _disc(radius_px * rng.uniform(0.95, 1.05)))
    return picture.with_pixels(to_display(light))


def motion_blur(picture: Picture, rng: np.random.Generator, *, length_px: float) -> Picture:
    """Uniform movement during the exposure: light integrated along a straight path.

    Args:
        length_px: path length in pixels; its direction is random.
    """
    from scipy.ndimage import gaussian_filter

    angle = rng.uniform(0.0, np.pi)
    half = int(np.ceil(length_px / 2.0)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for t in np.linspace(-length_px / 2.0, length_px / 2.0, int(8 * length_px) + 1):
        y, x = half + t * np.sin(angle), half + t * np.cos(angle)
        kernel[round(y), round(x)] += 1.0
    kernel = gaussian_filter(kernel, 0.4)
    return picture.with_pixels(to_display(_convolve(to_light(picture.pixels), kernel / kernel.sum())))


def uneven_illumination(picture: Picture, rng: np.random.Generator, *, loss: float) -> Picture:
    """A misaligned or narrow light cone: light times a smooth field that falls off from an off-centre maximum.

    ``L' = L ((1 - loss) + loss * exp(-(r / 0.75)^2))`` with ``r`` the distance from the maximum in half-widths.

    Args:
        loss: share of the light that is lost far from the maximum, 0-1.
    """
    y, x = grid(picture.shape)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    r2 = (x - 0.6 * np.cos(turn)) ** 2 + (y - 0.6 * np.sin(turn)) ** 2
    field = (1.0 - loss) + loss * np.exp(-r2 / 0.75**2)
    return picture.with_pixels(to_display(to_light(picture.pixels) * field[..., None]))


def haze(picture: Picture, rng: np.random.Generator, *, veil: float) -> Picture:
    """Stray light from a scattering medium: ``L' = (1 - veil) L + veil * mean(L)``, the veil slightly uneven.

    Args:
        veil: share of the light that is scattered, 0-1; Michelson contrast falls to about ``1 - veil``.
    """
    light = to_light(picture.pixels)
    seen = field_of_view(light)
    mean = light[seen].mean(axis=0) if seen.any() else light.mean(axis=(0, 1))
    share = np.clip(veil * (1.0 + 0.06 * smooth_field(picture.shape, 40.0, rng)), 0.0, 0.97)[..., None]
    hazy = (1.0 - share) * light + share * mean
    return picture.with_pixels(to_display(np.where(seen[..., None], hazy, light)))


def colour_cast(picture: Picture, rng: np.random.Generator, *, stops: float) -> Picture:
    """A wrong white balance: each channel times its own gain, luminance kept.

    Args:
        stops: size of the gain error in powers of two between the most and the least favoured channel.
    """
    towards = np.array([[-0.6, 1.0, -0.4], [-0.8, 0.0, 1.0], [-1.0, 0.5, 0.5]])[int(rng.integers(3))]
    light = to_light(picture.pixels)
    cast = light * 2.0 ** (stops * towards)
    ratio = (light @ _LUMA).mean() / max(float((cast @ _LUMA).mean()), 1e-9)
    return picture.with_pixels(to_display(cast * ratio))


def sensor_noise(picture: Picture, rng: np.random.Generator, *, electrons: float, read: float = 4.0) -> Picture:
    """Photon shot noise and read noise of a sensor at high gain.

    ``N ~ Poisson(electrons * L) + Normal(0, read)``, ``L' = N / electrons``.

    Args:
        electrons: full well in electrons (fewer is noisier).
        read: read noise in electrons, standard deviation.
    """
    light = to_light(picture.pixels)
    counts = rng.poisson(electrons * light) + rng.normal(0.0, read, light.shape)
    return picture.with_pixels(to_display(np.maximum(counts, 0.0) / electrons))


def overexposure(picture: Picture, rng: np.random.Generator, *, stops: float) -> Picture:
    """Too much light for the sensor: ``L' = min(1, 2^stops L)`` with a slight bloom around clipped areas.

    Args:
        stops: exposure error in powers of two (> 0), varied by 5%.
    """
    from scipy.ndimage import gaussian_filter

    light = to_light(picture.pixels) * 2.0 ** (stops * rng.uniform(0.95, 1.05))
    excess = np.maximum(light - 1.0, 0.0)
    bloom = gaussian_filter(excess, (4.0, 4.0, 0.0)) * field_of_view(light)[..., None]
    return picture.with_pixels(to_display(light + 0.5 * bloom))


def jpeg_compression(picture: Picture, rng: np.random.Generator, *, quality: float) -> Picture:
    """Lossy compression: the picture after a JPEG encoder and decoder (8 x 8 DCT blocks, ISO/IEC 10918-1).

    Args:
        quality: Pillow's quality setting, 1-95 (whole number as float), varied by one step.
    """
    from PIL import Image

    step = int(quality) + int(rng.integers(0, 2))
    coded = io.BytesIO()
    Image.fromarray(picture.display()).save(coded, "JPEG", quality=step, subsampling=2)
    decoded = np.asarray(Image.open(io.BytesIO(coded.getvalue())), dtype=np.float64)
    return picture.with_pixels(decoded / 255.0)


def specular_reflection(picture: Picture, rng: np.random.Generator, *, coverage: float) -> Picture:
    """Mirror reflections of the light source on the mucus film.

    The film's slope is a smooth random field; where it faces the light the Fresnel reflection saturates the
    sensor (Blinn-Phong lobe on the slope, threshold set by the covered area), with a narrow halo.

    Args:
        coverage: share of the visible field that is saturated, 0-1.
    """
    from scipy.ndimage import gaussian_filter

    light = to_light(picture.pixels)
    bright = light.sum(axis=-1)
    seen = field_of_view(light)
    slope = smooth_field(picture.shape, 3.5, rng) + 0.9 * smooth_field(picture.shape, 14.0, rng)
    slope = slope + 1.2 * gaussian_filter(bright, 6.0) / max(float(bright.max()), 1e-9)
    slope = np.where(seen, slope, -10.0)
    edge = float(np.quantile(slope[seen], 1.0 - coverage))
    glint = np.clip((slope - edge) / 0.12, 0.0, 1.0)
    halo = gaussian_filter(glint, 2.5)
    shine = (1.6 * glint + 0.35 * halo)[..., None]
    return picture.with_pixels(to_display(light + shine * seen[..., None]))


def bubbles(picture: Picture, rng: np.random.Generator, *, count: float, radius: float) -> Picture:
    """Foam on the mucosa: thin-walled bubbles with a bright rim, a highlight and a faint veil inside.

    Args:
        count: bubbles (whole number as float), in one or more clusters.
        radius: largest radius in half-widths of the picture.
    """
    y, x = grid(picture.shape)
    light = to_light(picture.pixels)
    seen = field_of_view(light)[..., None]
    clusters = rng.uniform(-0.45, 0.45, (max(1, int(count) // 14), 2))
    for number in range(int(count)):
        cy, cx = clusters[number % len(clusters)] + rng.normal(0.0, 0.17, 2)
        r = radius * rng.uniform(0.3, 1.0)
        d = np.hypot(y - cy, x - cx) / r
        near = d < 1.3
        rim = np.where(near, np.exp(-(((d - 0.93) / 0.10) ** 2)), 0.0)
        veil = np.where(d < 0.93, 0.10, 0.0)
        spot = np.exp(-((np.hypot(y - cy + 0.4 * r, x - cx + 0.35 * r) / (0.18 * r)) ** 2))
        dark = np.where(near, np.exp(-(((d - 1.08) / 0.07) ** 2)), 0.0)
        add = (0.42 * rim + veil + 0.9 * spot)[..., None] * np.array([1.0, 0.95, 0.85])
        light = np.where(seen, light * (1.0 - 0.45 * dark[..., None]) + add * (1.0 - np.minimum(light, 1.0)), light)
    return picture.with_pixels(to_display(light))


def _density(picture: Picture) -> Array:
    return np.asarray(-np.log(np.maximum(to_light(picture.pixels), _DARKEST)))


def _from_density(picture: Picture, density: Array) -> Picture:
    return picture.with_pixels(to_display(np.exp(-density)))


def air_bubbles(picture: Picture, rng: np.random.Generator, *, count: float, radius: float) -> Picture:
    """Air under the coverslip: a lens of lower index that refracts light out of the objective at its rim.

    Inside, the picture is blurred and slightly brighter; the rim is a dark ring with a bright inner line.

    Args:
        count: bubbles (whole number as float).
        radius: mean radius in half-widths of the picture.
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    light = to_light(picture.pixels)
    soft = gaussian_filter(light, (3.5, 3.5, 0.0))
    for number in range(int(count)):
        r = radius * rng.uniform(0.75, 1.2)
        turn = 2.0 * np.pi * number / count + rng.uniform(-0.4, 0.4)
        away = 0.5 if count > 1 else 0.25
        cy, cx = away * np.sin(turn), away * np.cos(turn)
        wobble = 1.0 + 0.04 * np.sin(2.0 * np.arctan2(y - cy, x - cx) + turn)
        d = np.hypot(y - cy, x - cx) / (r * wobble)
        inside = np.clip((1.0 - d) / 0.03, 0.0, 1.0)[..., None]
        light = light * (1.0 - inside) + (0.75 * soft + 0.25 * 0.85) * inside
        rim = np.exp(-(((d - 1.0) / 0.05) ** 2))[..., None]
        line = np.exp(-(((d - 0.88) / 0.03) ** 2))[..., None]
        light = light * (1.0 - 0.85 * rim) + 0.35 * line * (1.0 - light)
    return picture.with_pixels(to_display(light))


def tissue_fold(picture: Picture, rng: np.random.Generator, *, width: float, folds: float) -> Picture:
    """A section folded onto itself: along the fold the densities of two layers add, ``D' = D + w D_shifted``, and
    the doubled layer leaves the focal plane.

    Args:
        width: half-width of a fold in half-widths of the picture.
        folds: how many (whole number as float).
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    density = _density(picture)
    total = density.copy()
    bend = smooth_field(picture.shape, 45.0, rng)
    for number in range(int(folds)):
        turn = rng.uniform(0.15, 0.85) * np.pi
        offset = rng.uniform(-0.25, 0.25) + 0.7 * (number - (folds - 1.0) / 2.0)
        across = x * np.sin(turn) - y * np.cos(turn) - offset + 0.06 * bend
        weight = np.clip((width - np.abs(across)) / (0.25 * width) + 0.5, 0.0, 1.0)[..., None]
        second = np.roll(density[:, ::-1], (23, 41), axis=(0, 1))
        crease = np.exp(-((np.abs(across) - width) ** 2) / (0.15 * width) ** 2)[..., None]
        layer = gaussian_filter(0.9 * second + 0.35 * density + 0.35, (1.5, 1.5, 0.0))
        total = total + weight * layer + 0.45 * crease * (weight > 0.0)
    return _from_density(picture, total)


def faded_stain(picture: Picture, rng: np.random.Generator, *, kept: float) -> Picture:
    """Weak or faded staining: every dye's density is scaled, ``D' = kept * D`` (Beer-Lambert, less dye).

    Args:
        kept: share of the dye that is left, 0-1, varied by 4%.
    """
    return _from_density(picture, _density(picture) * kept * rng.uniform(0.96, 1.04))


def debris(picture: Picture, rng: np.random.Generator, *, specks: float, radius: float) -> Picture:
    """Dust and pigment on the slide: opaque, slightly out-of-focus dark spots, ``D' = D + d``.

    Args:
        specks: how many (whole number as float).
        radius: largest radius in half-widths of the picture.
    """
    from scipy.ndimage import gaussian_filter

    y, x = grid(picture.shape)
    spots = np.zeros(picture.shape)
    rough = smooth_field(picture.shape, 5.0, rng)
    for _ in range(int(specks)):
        cy, cx = rng.uniform(-0.85, 0.85, 2)
        r = radius * rng.uniform(0.35, 1.0)
        squeeze = rng.uniform(0.6, 1.0)
        d = np.hypot((y - cy) / squeeze, x - cx) / r + 0.18 * rough
        spots = np.maximum(spots, (d < 1.0) * rng.uniform(0.8, 1.0))
    opaque = gaussian_filter(spots, 1.0)[..., None] * np.array([2.6, 2.8, 3.0])
    return _from_density(picture, _density(picture) + opaque)


@dataclass(frozen=True)
class Degradation:
    """One fault of one modality.

    ``name`` is what an option or a question calls it, ``scope`` whether photographs in general can have it or
    only this modality. ``parameters`` maps 'mild' and 'severe' to the keyword arguments of ``apply``.
    """

    key: str
    modality: str
    name: str
    scope: str
    apply: Callable[..., Picture]
    parameters: Mapping[str, Mapping[str, float]]

    @property
    def function(self) -> str:
        """The dotted name of ``apply``."""
        return f"{self.apply.__module__}.{self.apply.__name__}"

    def degrade(self, picture: Picture, grade: str, rng: np.random.Generator, scale: float = 1.0) -> Picture:
        """``picture`` at the severity ``grade`` ('mild' or 'severe').

        ``scale`` moves the first parameter by that factor: calibration uses it to see other strengths than the
        ones of the embedded set.
        """
        parameters = dict(self.parameters[grade])
        parameters[next(iter(parameters))] *= scale
        return self.apply(picture, rng, **parameters)


def _row(
    key: str,
    modality: str,
    name: str,
    apply: Callable[..., Picture],
    mild: Mapping[str, float],
    severe: Mapping[str, float],
    general: bool = False,
) -> Degradation:
    where = "general" if general else "modality-specific"
    return Degradation(key, modality, name, where, apply, {"mild": mild, "severe": severe})


DEGRADATIONS: dict[str, Degradation] = {
    row.key: row
    for row in (
        _row("ct-noise", "CT", "low-dose noise", ct.low_dose_noise,
             {"photons": 4.0e4}, {"photons": 4.0e3}, general=True),
        _row("ct-sparse", "CT", "sparse-view streaks", ct.sparse_views, {"views": 130.0}, {"views": 45.0}),
        _row("ct-limited", "CT", "limited-angle distortion", ct.limited_angle,
             {"missing_deg": 14.0}, {"missing_deg": 60.0}),
        _row("ct-ring", "CT", "ring artifacts", ct.rings,
             {"gain_sd": 0.012, "channels": 0.10}, {"gain_sd": 0.06, "channels": 0.15}),
        _row("ct-metal", "CT", "metal artifacts", ct.metal,
             {"radius_mm": 2.0, "implants": 1.0}, {"radius_mm": 7.0, "implants": 2.0}),
        _row("ct-motion", "CT", "patient motion", ct.patient_motion,
             {"shift_mm": 1.2, "cycles": 2.5}, {"shift_mm": 5.0, "cycles": 2.5}),
        _row("mr-motion", "MRI", "motion ghosting", mri.motion,
             {"shift_px": 0.9, "period_lines": 7.0}, {"shift_px": 3.0, "period_lines": 7.0}),
        _row("mr-alias", "MRI", "undersampling aliasing", mri.undersampling,
             {"centre": 0.22, "factor": 2.0}, {"centre": 0.06, "factor": 3.0}),
        _row("mr-bias", "MRI", "intensity inhomogeneity (bias field)", mri.bias_field,
             {"strength": 0.55}, {"strength": 1.9}),
        _row("mr-noise", "MRI", "random noise", mri.rician_noise, {"sigma": 0.04}, {"sigma": 0.15}, general=True),
        _row("mr-spike", "MRI", "spike (herringbone) artifact", mri.spikes,
             {"amplitude": 0.03, "count": 2.0}, {"amplitude": 0.14, "count": 3.0}),
        _row("mr-lowres", "MRI", "blur from low resolution", mri.low_resolution,
             {"kept": 0.34}, {"kept": 0.16}, general=True),
        _row("hp-defocus", "Histopathology", "out-of-focus blur", defocus,
             {"radius_px": 1.6}, {"radius_px": 5.5}, general=True),
        _row("hp-bubble", "Histopathology", "air bubbles", air_bubbles,
             {"radius": 0.16, "count": 1.0}, {"radius": 0.42, "count": 4.0}),
        _row("hp-fold", "Histopathology", "tissue folding", tissue_fold,
             {"width": 0.05, "folds": 1.0}, {"width": 0.16, "folds": 3.0}),
        _row("hp-faded", "Histopathology", "weak staining", faded_stain, {"kept": 0.55}, {"kept": 0.16}),
        _row("hp-debris", "Histopathology", "dark debris", debris,
             {"radius": 0.08, "specks": 5.0}, {"radius": 0.20, "specks": 22.0}),
        _row("hp-jpeg", "Histopathology", "compression artifacts", jpeg_compression,
             {"quality": 18.0}, {"quality": 4.0}, general=True),
        _row("en-motion", "Endoscopy", "motion blur", motion_blur,
             {"length_px": 6.0}, {"length_px": 26.0}, general=True),
        _row("en-light", "Endoscopy", "uneven illumination", uneven_illumination,
             {"loss": 0.60}, {"loss": 0.96}, general=True),
        _row("en-glare", "Endoscopy", "specular reflections", specular_reflection,
             {"coverage": 0.015}, {"coverage": 0.14}),
        _row("en-over", "Endoscopy", "overexposure", overexposure, {"stops": 1.0}, {"stops": 2.6}, general=True),
        _row("en-bubble", "Endoscopy", "bubbles", bubbles,
             {"radius": 0.06, "count": 14.0}, {"radius": 0.13, "count": 90.0}),
        _row("en-haze", "Endoscopy", "low contrast", haze, {"veil": 0.42}, {"veil": 0.80}, general=True),
        _row("fu-defocus", "Fundus", "out-of-focus blur", defocus,
             {"radius_px": 1.7}, {"radius_px": 6.0}, general=True),
        _row("fu-light", "Fundus", "uneven illumination", uneven_illumination,
             {"loss": 0.60}, {"loss": 0.96}, general=True),
        _row("fu-haze", "Fundus", "low contrast", haze, {"veil": 0.42}, {"veil": 0.80}, general=True),
        _row("fu-colour", "Fundus", "color distortion", colour_cast,
             {"stops": 0.75}, {"stops": 2.4}, general=True),
        _row("fu-noise", "Fundus", "random noise", sensor_noise,
             {"electrons": 500.0}, {"electrons": 45.0}, general=True),
        _row("fu-over", "Fundus", "overexposure", overexposure, {"stops": 1.0}, {"stops": 2.5}, general=True),
    )
}  # fmt: skip


def of_modality(modality: str) -> tuple[Degradation, ...]:
    """The catalogue's rows for one modality, in the catalogue's order."""
    return tuple(row for row in DEGRADATIONS.values() if row.modality == modality)
