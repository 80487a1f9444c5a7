"""The image that degradations hand to each other, and the coordinates, light and noise that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from medqbench_vlmeval.errors import MissingDependency

Array: TypeAlias = NDArray[np.float64]
Bytes: TypeAlias = NDArray[np.uint8]

DISPLAY_GAMMA = 2.2


@dataclass(frozen=True)
class Picture:
    """One image on its way through the simulator. ``pixels`` is (H, W) or (H, W, 3) in float64: Hounsfield units for
    CT, otherwise display values in 0-1 (sRGB-like, gamma 2.2, for colour). ``spacing_mm`` is the pixel pitch where
    physics needs it (CT) and ``window`` the (lowest, highest) value that the display shows. ``rotated``: a scanner is
    simulated by rotating the picture (square, slow), as when the embedded set was made; see :mod:`ct`."""

    pixels: Array
    modality: str
    spacing_mm: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)
    rotated: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    def with_pixels(self, pixels: Array) -> Picture:
        """The same picture with other pixel values."""
        return replace(self, pixels=np.asarray(pixels, dtype=np.float64))

    def display(self) -> Bytes:
        """What a viewer sees: the window mapped to 0-255 and rounded, uint8, (H, W) or (H, W, 3)."""
        low, high = self.window
        scaled = np.clip((self.pixels - low) / (high - low), 0.0, 1.0)
        return np.round(scaled * 255.0).astype(np.uint8)


def to_light(display: Array) -> Array:
    """Display values 0-1 to linear light 0-1: ``L = v ** 2.2``."""
    return np.asarray(np.clip(display, 0.0, 1.0) ** DISPLAY_GAMMA)


def to_display(light: Array) -> Array:
    """Linear light to display values, the inverse of :func:`to_light`; light past 1 is clipped."""
    return np.asarray(np.clip(light, 0.0, 1.0) ** (1.0 / DISPLAY_GAMMA))


def field_of_view(light: Array) -> NDArray[np.bool_]:
    """Where a round instrument lets light through, (H, W): everything but the dark that touches the border. ``light``
    is linear, (H, W, 3); dark places inside the field (a lumen) belong to it."""
    places, _ = label(light.sum(axis=-1) <= 0.02)
    rim = np.concatenate([places[0], places[-1], places[:, 0], places[:, -1]])
    return ~np.isin(places, rim[rim > 0])


def grid(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Row and column coordinates, each of ``shape``, in half-widths: 0 in the middle, -1 and 1 at the ends of the
    shorter side, so that circles are round in every picture."""
    rows, columns = (np.linspace(-1.0, 1.0, side) * (side / min(shape)) for side in shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(y), np.asarray(x)


def smooth_field(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Array:
    """Smooth random field with zero mean and unit standard deviation. White noise filtered by a Gaussian of standard
    deviation ``scale_px`` in the Fourier domain (periodic)."""
    noise = rng.standard_normal(shape)
    v = np.fft.fftfreq(shape[0])[:, None]
    gain = np.exp(-2.0 * (np.pi * scale_px) ** 2 * (np.fft.rfftfreq(shape[1])[None, :] ** 2 + v**2))
    field = np.fft.irfft2(np.fft.rfft2(noise) * gain, s=shape)
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-12))


def package(name: str) -> Any:
    """The module ``name`` of an optional package; MissingDependency where that is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependency(
            f"The simulator needs '{name.partition('.')[0]}', which is not installed: "
            "run `pip install 'medqbench-vlmeval[synth]'`."
        ) from error
