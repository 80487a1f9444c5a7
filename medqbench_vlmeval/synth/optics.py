"""Degradations of any instrument with optics and a sensor, on linear light before the display's gamma. Those of an
endoscope's view are in :mod:`endoscopy`, those of a slide in :mod:`slides`, those of scanners in :mod:`ct` and
:mod:`mri`."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial, wraps

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate
from scipy.signal import fftconvolve

from medqbench_vlmeval.synth.images import Array, Picture, field_of_view, grid, smooth_field, to_display, to_light

# Rec. 709 luminance weights.
LUMA = np.array([0.2126, 0.7152, 0.0722])


def on_light(change: Callable[..., Array], gamma: bool = True) -> Callable[..., Picture]:
    """Make a change of linear light 0-1, (H, W, 3), one of a picture. Of a grey picture it gets what the window shows,
    (H, W, 1): a scanner's values are its signal, no light behind a gamma."""

    @wraps(change)
    def degrade(picture: Picture, rng: np.random.Generator, **parameters: float) -> Picture:
        low, high = picture.window
        shown = np.clip((picture.pixels.reshape(*picture.shape, -1) - low) / (high - low), 0.0, 1.0)
        light = gamma and shown.shape[-1] == 3
        changed = change(to_light(shown) if light else shown, rng, **parameters)
        seen = to_display(changed) if light else np.clip(changed, 0.0, 1.0)
        return picture.with_pixels(low + (high - low) * seen.reshape(picture.pixels.shape))

    return degrade


# The same of display values 0-1, (H, W, 3) or (H, W, 1), of any modality.
on_display = partial(on_light, gamma=False)


def enlarged(light: Array) -> float:
    """By how much lengths in pixels grow, so that a large picture, which is looked at as a whole, is degraded as a
    small one: shorter side / 288, at least 1."""
    return max(1.0, float(min(light.shape[:2])) / 288.0)


def around(y: Array, x: Array, cy: float, cx: float, reach: float) -> tuple[slice, slice]:
    """The rows and columns of a ``grid`` ``y``, ``x`` that lie within ``reach`` of a point, all in half-widths."""
    rows, columns = ((c - reach, c + reach) for c in (cy, cx))
    return slice(*np.searchsorted(y[:, 0], rows)), slice(*np.searchsorted(x[0], columns))


def _convolve(light: Array, kernel: Array) -> Array:
    """``light`` blurred within the field of view only: the field stop lies at the sensor, so its edge stays sharp."""

    def blur(values: Array) -> Array:
        pad = kernel.shape[0] // 2
        padded = np.pad(values, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        return np.stack([fftconvolve(padded[..., c], kernel, mode="valid") for c in range(values.shape[-1])], axis=-1)

    if light.shape[-1] == 1:
        return blur(light)
    inside = field_of_view(light)[..., None]
    share = blur(inside.astype(np.float64))
    return np.where(inside, blur(light * inside) / np.maximum(share, 1e-3), light)


@on_light
def defocus(light: Array, rng: np.random.Generator, *, radius_px: float) -> Array:
    """Geometric defocus: light convolved with the uniform disc that an out-of-focus circular pupil leaves.
    ``radius_px``: radius of the circle of confusion in pixels (see :func:`enlarged`), varied by 5%. Its transfer
    function is ``2 J1(z) / z`` with ``z = 2 pi radius f`` (Goodman, *Introduction to Fourier Optics*, 2005)."""
    radius = radius_px * rng.uniform(0.95, 1.05) * enlarged(light)
    half = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0.0, 1.0)  # its rim is anti-aliased
    return _convolve(light, disc / disc.sum())


@on_light
def motion_blur(light: Array, rng: np.random.Generator, *, length_px: float) -> Array:
    """Uniform movement during the exposure: light integrated along a straight path. ``length_px``: path length in
    pixels (see :func:`enlarged`); its direction is random. Its transfer function along the path is
    ``sinc(length f)`` (Gonzalez and Woods 2018)."""
    angle = rng.uniform(0.0, np.pi)
    length_px *= enlarged(light)
    half = int(np.ceil(length_px / 2.0)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for t in np.linspace(-length_px / 2.0, length_px / 2.0, int(8 * length_px) + 1):
        y, x = half + t * np.sin(angle), half + t * np.cos(angle)
        kernel[round(y), round(x)] += 1.0
    kernel = gaussian_filter(kernel, 0.4)
    return _convolve(light, kernel / kernel.sum())


@on_light
def uneven_illumination(light: Array, rng: np.random.Generator, *, loss: float) -> Array:
    """A misaligned or narrow light cone: light times a smooth field that falls off from an off-centre maximum. ``L' = L
    ((1 - loss) + loss * exp(-(r / 0.75)^2))`` with ``r`` the distance from the maximum in half-widths. ``loss``: share
    of the light that is lost far from the maximum, 0-1 (Foracchia et al., Med Image Anal 2005)."""
    y, x = grid(light.shape[:2])
    turn = rng.uniform(0.0, 2.0 * np.pi)
    r2 = (x - 0.6 * np.cos(turn)) ** 2 + (y - 0.6 * np.sin(turn)) ** 2
    field = (1.0 - loss) + loss * np.exp(-r2 / 0.75**2)
    return np.asarray(light * field[..., None])


@on_light
def haze(light: Array, rng: np.random.Generator, *, veil: float) -> Array:
    """Stray light from a scattering medium: ``L' = (1 - veil) L + veil * mean(L)``, the veil slightly uneven. ``veil``:
    share of the light that is scattered, 0-1; Michelson contrast falls to about ``1 - veil`` (Koschmieder 1924)."""
    view = field_of_view(light)
    mean = light[view].mean(axis=0) if view.any() else light.mean(axis=(0, 1))
    uneven = smooth_field(light.shape[:2], 40.0 * enlarged(light), rng)
    share = np.clip(veil * (1.0 + 0.06 * uneven), 0.0, 0.97)[..., None]
    return np.where(view[..., None], (1.0 - share) * light + share * mean, light)


@on_light
def colour_cast(light: Array, rng: np.random.Generator, *, stops: float) -> Array:
    """A wrong white balance: each channel times its own gain, luminance kept. ``stops``: size of the gain error in
    powers of two between the most and the least favoured channel (von Kries 1902)."""
    towards = np.array([[-0.6, 1.0, -0.4], [-0.8, 0.0, 1.0], [-1.0, 0.5, 0.5]])[int(rng.integers(3))]
    cast = light * 2.0 ** (stops * towards)
    return np.asarray(cast * ((light @ LUMA).mean() / max(float((cast @ LUMA).mean()), 1e-9)))


@on_light
def sensor_noise(light: Array, rng: np.random.Generator, *, electrons: float, read: float = 4.0) -> Array:
    """Photon shot noise and read noise of a sensor at high gain. ``N ~ Poisson(electrons * L) + Normal(0, read)``, ``L'
    = N / electrons``. ``electrons``: full well in electrons (fewer is noisier). ``read``: read noise in electrons,
    standard deviation (Janesick 2007)."""
    return np.maximum(rng.poisson(electrons * light) + rng.normal(0.0, read, light.shape), 0.0) / electrons


@on_light
def overexposure(light: Array, rng: np.random.Generator, *, stops: float) -> Array:
    """Too much light for the sensor: ``L' = min(1, 2^stops L)`` with a slight bloom around clipped areas. ``stops``:
    exposure error in powers of two (> 0), varied by 5% (Janesick 2007)."""
    light = light * 2.0 ** (stops * rng.uniform(0.95, 1.05))
    excess = np.maximum(light - 1.0, 0.0)
    sigma = 4.0 * enlarged(light)
    bloom = gaussian_filter(excess, (sigma, sigma, 0.0)) * field_of_view(light)[..., None]
    return np.asarray(light + 0.5 * bloom)


def jpeg_compression(picture: Picture, rng: np.random.Generator, *, quality: float) -> Picture:
    """Lossy compression: the picture after a JPEG encoder and decoder (8 x 8 DCT blocks, ISO/IEC 10918-1). ``quality``:
    Pillow's quality setting, 1-95 (whole number as float), varied by one step (Wallace 1992)."""
    step = int(quality) + int(rng.integers(0, 2))
    coded = io.BytesIO()
    Image.fromarray(picture.display()).save(coded, "JPEG", quality=step, subsampling=2)
    decoded = np.asarray(Image.open(io.BytesIO(coded.getvalue())), dtype=np.float64)
    low, high = picture.window
    return picture.with_pixels(low + (high - low) * (decoded / 255.0))


@on_light
def low_resolution(light: Array, rng: np.random.Generator, *, factor: float) -> Array:
    """Too few pixels: each of the fewer detector elements takes the mean over its square area, whose transfer function
    is a sinc per axis (Boreman, *Modulation Transfer Function in Optical and Electro-Optical Systems*, 2001, 2.1), and
    the display interpolates by a bicubic. ``factor``: side of an element in pixels (see :func:`enlarged`), 1 or more,
    varied by 3%."""
    height, width = light.shape[:2]
    side = factor * rng.uniform(0.97, 1.03) * enlarged(light)
    few = max(1, round(width / side)), max(1, round(height / side))
    fine = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(light, -1, 0)]
    seen = [plane.resize(few, Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC) for plane in fine]
    return np.stack([np.asarray(plane, dtype=np.float64) for plane in seen], axis=-1)


@on_display
def rotation(shown: Array, rng: np.random.Generator, *, angle_deg: float) -> Array:
    """The object lies turned in the frame: turned about the middle by bilinear interpolation, with black where nothing
    was seen. ``angle_deg``: angle in degrees to either side, varied by 5% (Gonzalez and Woods 2018)."""
    turn = angle_deg * rng.uniform(0.95, 1.05) * (1.0 if rng.random() < 0.5 else -1.0)
    return np.asarray(rotate(shown, turn, reshape=False, order=1))


@on_display
def brightness(shown: Array, rng: np.random.Generator, *, lost: float) -> Array:
    """A display whose black level is too low: ``v' = max(0, v - lost)``, the brightness control of video. ``lost``:
    share of the display's range, 0-1, varied by 5% (Gonzalez and Woods 2018)."""
    return shown - lost * rng.uniform(0.95, 1.05)


@on_display
def contrast(shown: Array, rng: np.random.Generator, *, kept: float) -> Array:
    """A display whose gain is too low: ``v' = mean + kept (v - mean)``, so that the standard deviation (RMS contrast,
    Peli, J Opt Soc Am A 1990) is scaled by ``kept``. ``kept``: 0-1, varied by 5%."""
    mean = shown.mean(axis=(0, 1))
    return np.asarray(mean + kept * rng.uniform(0.95, 1.05) * (shown - mean))


@on_display
def gaussian_noise(shown: Array, rng: np.random.Generator, *, sigma: float) -> Array:
    """White additive noise of amplifier and digitiser: ``v' = v + Normal(0, sigma)``, each pixel and channel for
    itself. ``sigma``: standard deviation as a share of the display's range (Gonzalez and Woods 2018)."""
    return np.asarray(shown + rng.normal(0.0, sigma, shown.shape))
