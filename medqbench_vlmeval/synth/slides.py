"""Degradations of a stained section on glass: what lies there acts before the scanner. Beer-Lambert optics of stained
tissue: the optical density ``D = -ln(L / L0)`` adds up over layers; ``L0`` is the light through clear glass, 1 here."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from medqbench_vlmeval.synth.images import Array, grid, smooth_field
from medqbench_vlmeval.synth.optics import around, enlarged, on_light

_DARKEST = 1.0e-3
# Haematoxylin, eosin and DAB: optical density in red, green, blue (Ruifrok & Johnston, Anal Quant Cytol Histol 2001).
STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
# Of haemoglobin, relative: it absorbs blue (Soret band) most and passes red.
_BLOOD = np.array([0.22, 1.0, 1.05])


def optical_density(light: Array) -> Array:
    """Optical density, natural logarithm, of linear light 0-1; light below 0.001 counts as that."""
    return np.asarray(-np.log(np.maximum(light, _DARKEST)))


def _soft(light: Array, sigma_px: float) -> Array:
    return np.asarray(gaussian_filter(light, (sigma_px, sigma_px, 0.0)))


@on_light
def air_bubbles(light: Array, rng: np.random.Generator, *, count: float, radius: float) -> Array:
    """Air under the coverslip: a lens of lower index that refracts light out of the objective at its rim. Inside, the
    picture is blurred and slightly brighter; the rim is a dark ring with a bright inner line. ``count``: bubbles (whole
    number as float). ``radius``: mean radius in half-widths of the picture (Taqi et al. 2018)."""
    y, x = grid(light.shape[:2])
    soft = _soft(light, 3.5 * enlarged(light))
    light = light.copy()
    for number in range(int(count)):
        r = radius * rng.uniform(0.75, 1.2)
        turn = 2.0 * np.pi * number / count + rng.uniform(-0.4, 0.4)
        away = 0.5 if count > 1 else 0.25
        cy, cx = away * np.sin(turn) * y[-1, 0], away * np.cos(turn) * x[0, -1]
        here = around(y, x, cy, cx, 1.5 * r)
        dy, dx, seen = y[here] - cy, x[here] - cx, light[here]
        wobble = 1.0 + 0.04 * np.sin(2.0 * np.arctan2(dy, dx) + turn)
        d = np.hypot(dy, dx) / (r * wobble)
        inside = np.clip((1.0 - d) / 0.03, 0.0, 1.0)[..., None]
        seen = seen * (1.0 - inside) + (0.75 * soft[here] + 0.25 * 0.85) * inside
        rim = np.exp(-(((d - 1.0) / 0.05) ** 2))[..., None]
        line = np.exp(-(((d - 0.88) / 0.03) ** 2))[..., None]
        light[here] = seen * (1.0 - 0.85 * rim) + 0.35 * line * (1.0 - seen)
    return light


@on_light
def tissue_fold(light: Array, rng: np.random.Generator, *, width: float, folds: float) -> Array:
    """A section folded onto itself: along the fold the densities of two layers add, ``D' = D + w D_shifted``, and the
    doubled layer leaves the focal plane. ``width``: half-width of a fold in half-widths of the picture. ``folds``: how
    many (whole number as float) (Taqi et al. 2018)."""
    y, x = grid(light.shape[:2])
    density = optical_density(light)
    total = density
    larger = enlarged(light)
    bend = smooth_field(light.shape[:2], 45.0 * larger, rng)
    second = np.roll(density[:, ::-1], (round(23 * larger), round(41 * larger)), axis=(0, 1))
    layer = _soft(0.9 * second + 0.35 * density + 0.35, 1.5 * larger)
    for number in range(int(folds)):
        turn = rng.uniform(0.15, 0.85) * np.pi
        offset = rng.uniform(-0.25, 0.25) + 0.7 * (number - (folds - 1.0) / 2.0)
        across = x * np.sin(turn) - y * np.cos(turn) - offset + 0.06 * bend
        weight = np.clip((width - np.abs(across)) / (0.25 * width) + 0.5, 0.0, 1.0)[..., None]
        crease = np.exp(-((np.abs(across) - width) ** 2) / (0.15 * width) ** 2)[..., None]
        total = total + weight * layer + 0.45 * crease * (weight > 0.0)
    return np.asarray(np.exp(-total))


@on_light
def faded_stain(light: Array, rng: np.random.Generator, *, kept: float) -> Array:
    """Weak or faded staining: every dye's density is scaled, ``D' = kept * D`` (Beer-Lambert, less dye). ``kept``:
    share of the dye that is left, 0-1, varied by 4%; above 1 the section is thick or stained too long.
    (Ruifrok and Johnston 2001)."""
    return np.asarray(np.exp(-optical_density(light) * kept * rng.uniform(0.96, 1.04)))


def specks_density(shape: tuple[int, int], rng: np.random.Generator, specks: float, radius: float) -> Array:
    """Optical density, (H, W, 3), of ``specks`` opaque, slightly out-of-focus grains of dust and pigment, the largest
    of ``radius`` half-widths of the picture."""
    y, x = grid(shape)
    spots = np.zeros(shape)
    larger = enlarged(spots)
    rough = smooth_field(shape, 5.0 * larger, rng)
    for _ in range(int(specks)):
        cy, cx = rng.uniform(-0.85, 0.85, 2) * (y[-1, 0], x[0, -1])
        r = radius * rng.uniform(0.35, 1.0)
        squeeze = rng.uniform(0.6, 1.0)
        here = around(y, x, cy, cx, 2.0 * r)
        d = np.hypot((y[here] - cy) / squeeze, x[here] - cx) / r + 0.18 * rough[here]
        spots[here] = np.maximum(spots[here], (d < 1.0) * rng.uniform(0.8, 1.0))
    return np.asarray(gaussian_filter(spots, 1.0 * larger)[..., None] * np.array([2.6, 2.8, 3.0]))


@on_light
def debris(light: Array, rng: np.random.Generator, *, specks: float, radius: float) -> Array:
    """Dust and pigment on the slide: opaque, slightly out-of-focus dark spots, ``D' = D + d``. ``specks``: how many
    (whole number as float). ``radius``: largest radius in half-widths of the picture (Taqi et al. 2018)."""
    return np.asarray(np.exp(-(optical_density(light) + specks_density(light.shape[:2], rng, specks, radius))))


@on_light
def stain_balance(light: Array, rng: np.random.Generator, *, stops: float) -> Array:
    """A stain that is out of balance with the other: densities are unmixed into haematoxylin, eosin and DAB (colour
    deconvolution, Ruifrok & Johnston 2001) and mixed again with ``2^stops`` of the one and ``2^-stops`` of the others,
    or the other way round. ``stops``: powers of two, varied by 4%."""
    by = stops * rng.uniform(0.96, 1.04) * (1.0 if rng.random() < 0.5 else -1.0)
    amounts = optical_density(light) @ np.linalg.inv(STAINS)
    gain = np.where(amounts > 0.0, 2.0 ** (by * np.array([1.0, -1.0, -1.0])), 1.0)
    return np.asarray(np.exp(-(amounts * gain) @ STAINS))


@on_light
def blood_cells(light: Array, rng: np.random.Generator, *, coverage: float, radius: float) -> Array:
    """Red blood cells over the tissue, in pools: ``D' = D + h`` with the thickness of a biconcave disc, ``h ~ sqrt(1 -
    s^2) (0.81 + 7.83 s^2 - 4.39 s^4)`` in micrometres at ``s = r / R`` (Evans & Fung, Microvasc Res 1972); cells that
    overlap add up. ``coverage``: summed area of the cells over that of the picture. ``radius``: ``R`` in
    half-widths."""
    y, x = grid(light.shape[:2])
    tall, wide = y[-1, 0], x[0, -1]
    thick = np.zeros(light.shape[:2])
    pools = rng.uniform(-0.8, 0.8, (4, 2)) * (tall, wide)
    for number in range(max(1, round(coverage * 4.0 * tall * wide / (np.pi * radius**2)))):
        cy, cx = pools[number % 4] + rng.normal(0.0, 0.14 + 0.3 * coverage, 2)
        r = radius * rng.uniform(0.9, 1.1)
        here = around(y, x, cy, cx, r)
        s2 = ((y[here] - cy) ** 2 + (x[here] - cx) ** 2) / r**2
        thick[here] += np.sqrt(np.maximum(1.0 - s2, 0.0)) * (0.81 + 7.83 * s2 - 4.39 * s2**2)
    return np.asarray(light * np.exp(-0.5 * thick[..., None] * _BLOOD))


@on_light
def threads(light: Array, rng: np.random.Generator, *, width: float, count: float) -> Array:
    """Textile fibres under the coverslip: dyed cylinders, ``D' = D + d sqrt(1 - u^2)`` by the path through the fibre at
    ``u`` half-widths from its axis. ``width``: half-width of a fibre in half-widths of the
    picture. ``count``: how many (whole number as float) (Taqi et al. 2018)."""
    y, x = grid(light.shape[:2])
    dyed = np.zeros(light.shape)
    for number in range(int(count)):
        turn, phase = rng.uniform(0.0, np.pi), rng.uniform(0.0, 2.0 * np.pi)
        along = x * np.cos(turn) + y * np.sin(turn)
        bend, pace = rng.uniform(0.10, 0.22), rng.uniform(1.8, 3.2)
        offset = rng.uniform(-0.25, 0.25) + 0.45 * (number - (int(count) - 1) / 2.0)
        across = y * np.cos(turn) - x * np.sin(turn) - offset - bend * np.sin(pace * along + phase)
        u = across / np.hypot(1.0, bend * pace * np.cos(pace * along + phase)) / width
        dyed[..., number % 3] += np.sqrt(np.maximum(1.0 - u**2, 0.0))
    return np.asarray(light * np.exp(-dyed @ [[2.2, 1.5, 0.9], [1.3, 2.0, 2.1], [2.0, 2.1, 2.2]]))


@on_light
def overlap(light: Array, rng: np.random.Generator, *, share: float) -> Array:
    """A second piece of tissue on the first: where it lies the densities of both add, ``D' = D + D2``, with the
    picture's own tissue, mirrored, as ``D2``. ``share``: covered share of the picture, 0-1.
    (Ruifrok and Johnston 2001)."""
    y, x = grid(light.shape[:2])
    turn = rng.uniform(0.0, 2.0 * np.pi)
    edge = x * np.cos(turn) + y * np.sin(turn) + 0.16 * smooth_field(light.shape[:2], 24.0 * enlarged(light), rng)
    density = optical_density(light)
    lies = (edge > np.quantile(edge, 1.0 - share))[..., None]
    return np.asarray(np.exp(-(density + lies * (density[::-1, ::-1] + 0.12))))


@on_light
def tissue_cut(light: Array, rng: np.random.Generator, *, width: float, cuts: float) -> Array:
    """Knife lines: a nick in the blade tears the section along the cutting direction, so that clear glass shows, ``D' =
    (1 - open) D``, between curled, darker edges. ``width``: mean half-width of a line in half-widths of the picture.
    ``cuts``: how many, parallel (whole number as float) (Taqi et al. 2018)."""
    y, x = grid(light.shape[:2])
    turn = rng.uniform(0.0, np.pi)
    across = x * np.sin(turn) - y * np.cos(turn) + 0.012 * smooth_field(light.shape[:2], 5.0 * enlarged(light), rng)
    density = optical_density(light)
    for number in range(int(cuts)):
        d = np.abs(across - (2.0 * number + rng.uniform(0.5, 1.5)) / cuts + 1.0) / (width * rng.uniform(0.6, 1.4))
        torn = np.clip((1.0 - d) / 0.25 + 0.5, 0.0, 1.0)
        density = density * (1.0 + 0.8 * np.exp(-(((d - 1.5) / 0.35) ** 2)) - torn)[..., None].clip(0.0)
    return np.asarray(np.exp(-density))
