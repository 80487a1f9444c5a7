"""Optical degradations: of an instrument with a sensor, of an endoscope's view, and of a slide.

They work on linear light before the display's gamma; an endoscope lights a wet, close surface along its viewing axis;
what lies on the glass of a slide acts before the scanner, by the Beer-Lambert optics of stained tissue (optical density
``D = -ln(L / L0)`` adds up over layers; ``L0`` is the light through clear glass, 1 here). Degradations of scanners are
in :mod:`ct` and :mod:`mri`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from medqbench_vlmeval.synth.images import Array, Picture, field_of_view, grid, smooth_field, to_display, to_light

# Rec. 709 luminance weights.
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_DARKEST = 1.0e-3


def _on_light(change: Callable[..., Array]) -> Callable[..., Picture]:
    """Make a change of linear light, (H, W, 3), one of a picture."""

    @wraps(change)
    def degrade(picture: Picture, rng: np.random.Generator, **parameters: float) -> Picture:
        return picture.with_pixels(to_display(change(to_light(picture.pixels), rng, **parameters)))

    return degrade


def _convolve(light: Array, kernel: Array) -> Array:
    """``light`` blurred within the field of view only: the field stop lies at the sensor, so its edge stays sharp."""

    def blur(values: Array) -> Array:
        pad = kernel.shape[0] // 2
        padded = np.pad(values, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        return np.stack([fftconvolve(padded[..., c], kernel, mode="valid") for c in range(3)], axis=-1)

    inside = field_of_view(light)[..., None]
    share = blur(np.repeat(inside.astype(np.float64), 3, axis=-1))
    return np.where(inside, blur(light * inside) / np.maximum(share, 1e-3), light)


def _density(light: Array) -> Array:
    return np.asarray(-np.log(np.maximum(light, _DARKEST)))


@_on_light
def defocus(light: Array, rng: np.random.Generator, *, radius_px: float) -> Array:
    """Geometric defocus: light convolved with the uniform disc that an out-of-focus circular pupil leaves.
    ``radius_px``: radius of the circle of confusion in pixels, varied by 5%."""
    radius = radius_px * rng.uniform(0.95, 1.05)
    half = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0.0, 1.0)  # its rim is anti-aliased
    return _convolve(light, disc / disc.sum())


@_on_light
def motion_blur(light: Array, rng: np.random.Generator, *, length_px: float) -> Array:
    """Uniform movement during the exposure: light integrated along a straight path. ``length_px``: path length in
    pixels; its direction is random."""
    angle = rng.uniform(0.0, np.pi)
    half = int(np.ceil(length_px / 2.0)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for t in np.linspace(-length_px / 2.0, length_px / 2.0, int(8 * length_px) + 1):
        y, x = half + t * np.sin(angle), half + t * np.cos(angle)
        kernel[round(y), round(x)] += 1.0
    kernel = gaussian_filter(kernel, 0.4)
    return _convolve(light, kernel / kernel.sum())


@_on_light
def uneven_illumination(light: Array, rng: np.random.Generator, *, loss: float) -> Array:
    """A misaligned or narrow light cone: light times a smooth field that falls off from an off-centre maximum. ``L' = L
    ((1 - loss) + loss * exp(-(r / 0.75)^2))`` with ``r`` the distance from the maximum in half-widths. ``loss``: share
    of the light that is lost far from the maximum, 0-1."""
    y, x = grid(light.shape[:2])
    turn = rng.uniform(0.0, 2.0 * np.pi)
    r2 = (x - 0.6 * np.cos(turn)) ** 2 + (y - 0.6 * np.sin(turn)) ** 2
    field = (1.0 - loss) + loss * np.exp(-r2 / 0.75**2)
    return np.asarray(light * field[..., None])


@_on_light
def haze(light: Array, rng: np.random.Generator, *, veil: float) -> Array:
    """Stray light from a scattering medium: ``L' = (1 - veil) L + veil * mean(L)``, the veil slightly uneven. ``veil``:
    share of the light that is scattered, 0-1; Michelson contrast falls to about ``1 - veil``."""
    view = field_of_view(light)
    mean = light[view].mean(axis=0) if view.any() else light.mean(axis=(0, 1))
    share = np.clip(veil * (1.0 + 0.06 * smooth_field(light.shape[:2], 40.0, rng)), 0.0, 0.97)[..., None]
    return np.where(view[..., None], (1.0 - share) * light + share * mean, light)


@_on_light
def colour_cast(light: Array, rng: np.random.Generator, *, stops: float) -> Array:
    """A wrong white balance: each channel times its own gain, luminance kept. ``stops``: size of the gain error in
    powers of two between the most and the least favoured channel."""
    towards = np.array([[-0.6, 1.0, -0.4], [-0.8, 0.0, 1.0], [-1.0, 0.5, 0.5]])[int(rng.integers(3))]
    cast = light * 2.0 ** (stops * towards)
    return np.asarray(cast * ((light @ _LUMA).mean() / max(float((cast @ _LUMA).mean()), 1e-9)))


@_on_light
def sensor_noise(light: Array, rng: np.random.Generator, *, electrons: float, read: float = 4.0) -> Array:
    """Photon shot noise and read noise of a sensor at high gain. ``N ~ Poisson(electrons * L) + Normal(0, read)``, ``L'
    = N / electrons``. ``electrons``: full well in electrons (fewer is noisier). ``read``: read noise in electrons,
    standard deviation."""
    return np.maximum(rng.poisson(electrons * light) + rng.normal(0.0, read, light.shape), 0.0) / electrons


@_on_light
def overexposure(light: Array, rng: np.random.Generator, *, stops: float) -> Array:
    """Too much light for the sensor: ``L' = min(1, 2^stops L)`` with a slight bloom around clipped areas. ``stops``:
    exposure error in powers of two (> 0), varied by 5%."""
    light = light * 2.0 ** (stops * rng.uniform(0.95, 1.05))
    excess = np.maximum(light - 1.0, 0.0)
    bloom = gaussian_filter(excess, (4.0, 4.0, 0.0)) * field_of_view(light)[..., None]
    return np.asarray(light + 0.5 * bloom)


def jpeg_compression(picture: Picture, rng: np.random.Generator, *, quality: float) -> Picture:
    """Lossy compression: the picture after a JPEG encoder and decoder (8 x 8 DCT blocks, ISO/IEC 10918-1). ``quality``:
    Pillow's quality setting, 1-95 (whole number as float), varied by one step."""
    step = int(quality) + int(rng.integers(0, 2))
    coded = io.BytesIO()
    Image.fromarray(picture.display()).save(coded, "JPEG", quality=step, subsampling=2)
    decoded = np.asarray(Image.open(io.BytesIO(coded.getvalue())), dtype=np.float64)
    return picture.with_pixels(decoded / 255.0)


@_on_light
def specular_reflection(light: Array, rng: np.random.Generator, *, coverage: float) -> Array:
    """Mirror reflections of the light source on the mucus film. The film's slope is a smooth random field; where it
    faces the light the Fresnel reflection saturates the sensor (Blinn-Phong lobe on the slope, threshold set by the
    covered area), with a narrow halo. ``coverage``: share of the visible field that is saturated, 0-1."""
    bright = light.sum(axis=-1)
    view = field_of_view(light)
    slope = smooth_field(light.shape[:2], 3.5, rng) + 0.9 * smooth_field(light.shape[:2], 14.0, rng)
    slope = slope + 1.2 * gaussian_filter(bright, 6.0) / max(float(bright.max()), 1e-9)
    slope = np.where(view, slope, -10.0)
    edge = float(np.quantile(slope[view], 1.0 - coverage))
    glint = np.clip((slope - edge) / 0.12, 0.0, 1.0)
    halo = gaussian_filter(glint, 2.5)
    shine = (1.6 * glint + 0.35 * halo)[..., None]
    return np.asarray(light + shine * view[..., None])


@_on_light
def bubbles(light: Array, rng: np.random.Generator, *, count: float, radius: float) -> Array:
    """Foam on the mucosa: thin-walled bubbles with a bright rim, a highlight and a faint veil inside. ``count``:
    bubbles (whole number as float), in one or more clusters. ``radius``: largest radius in half-widths of the
    picture."""
    y, x = grid(light.shape[:2])
    view = field_of_view(light)[..., None]
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
        light = np.where(view, light * (1.0 - 0.45 * dark[..., None]) + add * (1.0 - np.minimum(light, 1.0)), light)
    return light


@_on_light
def air_bubbles(light: Array, rng: np.random.Generator, *, count: float, radius: float) -> Array:
    """Air under the coverslip: a lens of lower index that refracts light out of the objective at its rim. Inside, the
    picture is blurred and slightly brighter; the rim is a dark ring with a bright inner line. ``count``: bubbles (whole
    number as float). ``radius``: mean radius in half-widths of the picture."""
    y, x = grid(light.shape[:2])
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
    return light


@_on_light
def tissue_fold(light: Array, rng: np.random.Generator, *, width: float, folds: float) -> Array:
    """A section folded onto itself: along the fold the densities of two layers add, ``D' = D + w D_shifted``, and the
    doubled layer leaves the focal plane. ``width``: half-width of a fold in half-widths of the picture. ``folds``: how
    many (whole number as float)."""
    y, x = grid(light.shape[:2])
    density = _density(light)
    total = density
    bend = smooth_field(light.shape[:2], 45.0, rng)
    for number in range(int(folds)):
        turn = rng.uniform(0.15, 0.85) * np.pi
        offset = rng.uniform(-0.25, 0.25) + 0.7 * (number - (folds - 1.0) / 2.0)
        across = x * np.sin(turn) - y * np.cos(turn) - offset + 0.06 * bend
        weight = np.clip((width - np.abs(across)) / (0.25 * width) + 0.5, 0.0, 1.0)[..., None]
        second = np.roll(density[:, ::-1], (23, 41), axis=(0, 1))
        crease = np.exp(-((np.abs(across) - width) ** 2) / (0.15 * width) ** 2)[..., None]
        layer = gaussian_filter(0.9 * second + 0.35 * density + 0.35, (1.5, 1.5, 0.0))
        total = total + weight * layer + 0.45 * crease * (weight > 0.0)
    return np.asarray(np.exp(-total))


@_on_light
def faded_stain(light: Array, rng: np.random.Generator, *, kept: float) -> Array:
    """Weak or faded staining: every dye's density is scaled, ``D' = kept * D`` (Beer-Lambert, less dye). ``kept``:
    share of the dye that is left, 0-1, varied by 4%."""
    return np.asarray(np.exp(-_density(light) * kept * rng.uniform(0.96, 1.04)))


@_on_light
def debris(light: Array, rng: np.random.Generator, *, specks: float, radius: float) -> Array:
    """Dust and pigment on the slide: opaque, slightly out-of-focus dark spots, ``D' = D + d``. ``specks``: how many
    (whole number as float). ``radius``: largest radius in half-widths of the picture."""
    y, x = grid(light.shape[:2])
    spots = np.zeros(light.shape[:2])
    rough = smooth_field(light.shape[:2], 5.0, rng)
    for _ in range(int(specks)):
        cy, cx = rng.uniform(-0.85, 0.85, 2)
        r = radius * rng.uniform(0.35, 1.0)
        squeeze = rng.uniform(0.6, 1.0)
        d = np.hypot((y - cy) / squeeze, x - cx) / r + 0.18 * rough
        spots = np.maximum(spots, (d < 1.0) * rng.uniform(0.8, 1.0))
    opaque = gaussian_filter(spots, 1.0)[..., None] * np.array([2.6, 2.8, 3.0])
    return np.asarray(np.exp(-(_density(light) + opaque)))
