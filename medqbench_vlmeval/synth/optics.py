"""Degradations of an optical instrument with a sensor: they act on linear light, before the display's gamma."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from medqbench_vlmeval.synth.picture import Array, Picture, field_of_view, grid, smooth_field, to_display, to_light

# Rec. 709 luminance weights.
_LUMA = np.array([0.2126, 0.7152, 0.0722])


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
