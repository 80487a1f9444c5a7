"""How far a degraded picture is from its undegraded one, in three measures that need both.

Each takes two pictures as they are displayed, uint8, (H, W) or (H, W, 3), of one shape and 11 pixels or more on every
side, and falls as they part. None knows what a reader looks for: they order severities of one degradation on one
picture, and are not to be compared between degradations (``docs/simulated.md`` shows how far that goes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.ndimage import prewitt

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.synth.images import Array, Bytes, package

MIN_SIDE = 11
# The constant that steadies the ratio where there is hardly a gradient, for grey levels 0-255.
_STEADY = 170.0
_LUMA = np.array([0.299, 0.587, 0.114])


def psnr(reference: Bytes, degraded: Bytes) -> float:
    """Peak signal to noise ratio in dB, ``10 log10(255^2 / mean squared difference)`` over all pixels and channels;
    infinite for equal pictures. BadInput for pictures that cannot be compared."""
    _check(reference, degraded)
    squared = float(np.mean((reference.astype(np.float64) - degraded) ** 2))
    return float(10.0 * np.log10(255.0**2 / squared)) if squared else float("inf")


def ssim(reference: Bytes, degraded: Bytes) -> float:
    """Structural similarity, -1 to 1, 1 for equal pictures: Gaussian window of standard deviation 1.5 pixels, K1 0.01,
    K2 0.03, the mean over channels (Wang et al., "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 2004). BadInput for pictures that cannot be compared."""
    _check(reference, degraded)
    return float(
        package("skimage.metrics").structural_similarity(
            reference,
            degraded,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1 if reference.ndim == 3 else None,
        )
    )


def gradient(reference: Bytes, degraded: Bytes) -> float:
    """Mean gradient-magnitude similarity, 0 to 1, 1 for equal pictures: luma averaged over 2 x 2 pixels, Prewitt
    gradients ``a`` and ``b``, ``(2ab + 170) / (a^2 + b^2 + 170)`` (Xue et al., "Gradient magnitude similarity
    deviation", IEEE TIP 2014, who go on to take its spread). An even change of brightness does not move it.
    BadInput for pictures that cannot be compared."""
    _check(reference, degraded)
    a, b = _steepness(reference), _steepness(degraded)
    return float(np.mean((2.0 * a * b + _STEADY) / (a**2 + b**2 + _STEADY)))


MEASURES: Mapping[str, Callable[[Bytes, Bytes], float]] = {"psnr": psnr, "ssim": ssim, "gradient": gradient}
"""The measures by the names that the catalogue's ``measure`` has for them."""


def _check(reference: Bytes, degraded: Bytes) -> None:
    if reference.shape != degraded.shape or reference.dtype != np.uint8 or degraded.dtype != np.uint8:
        told = " and ".join(f"{picture.dtype} {picture.shape}" for picture in (reference, degraded))
        raise BadInput(f"The two pictures are {told}: compare uint8 pictures of one shape.")
    if min(reference.shape[:2]) < MIN_SIDE:
        raise BadInput(
            f"The pictures are {reference.shape[:2]} pixels: compare ones of {MIN_SIDE} x {MIN_SIDE} or more."
        )


def _steepness(picture: Bytes) -> Array:
    luma = picture.astype(np.float64) @ _LUMA if picture.ndim == 3 else picture.astype(np.float64)
    rows, columns = (side - side % 2 for side in luma.shape)
    halved = luma[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return np.asarray(np.hypot(prewitt(halved, axis=0), prewitt(halved, axis=1)) / 3.0)
