"""The image that degradations hand to each other: float pixels with the few physical facts they need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Bytes: TypeAlias = NDArray[np.uint8]

DISPLAY_GAMMA = 2.2


@dataclass(frozen=True)
class Picture:
    """One image on its way through the simulator.

    ``pixels`` is (H, W) or (H, W, 3) in float64: Hounsfield units for CT, otherwise display values in 0-1
    (sRGB-like, gamma 2.2, for colour). ``spacing_mm`` is the pixel pitch where physics needs it (CT) and
    ``window`` the (lowest, highest) value that the display shows.
    """

    pixels: Array
    modality: str
    spacing_mm: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)

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
    """Where a round instrument lets light through, (H, W): everything but the dark that touches the border.

    ``light`` is linear, (H, W, 3); dark places inside the field (a lumen) belong to it.
    """
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(light.sum(axis=-1) > 0.02), dtype=bool)


def grid(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Row and column coordinates in -1..1, each of ``shape``."""
    rows = np.linspace(-1.0, 1.0, shape[0])
    columns = np.linspace(-1.0, 1.0, shape[1])
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(y), np.asarray(x)


def smooth_field(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Array:
    """Smooth random field with zero mean and unit standard deviation.

    White noise filtered by a Gaussian of standard deviation ``scale_px`` in the Fourier domain (periodic).
    """
    noise = rng.standard_normal(shape)
    v = np.fft.fftfreq(shape[0])[:, None]
    u = np.fft.rfftfreq(shape[1])[None, :]
    gain = np.exp(-2.0 * (np.pi * scale_px) ** 2 * (u**2 + v**2))
    field = np.fft.irfft2(np.fft.rfft2(noise) * gain, s=shape)
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-12))
