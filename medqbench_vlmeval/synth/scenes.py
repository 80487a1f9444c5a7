"""Procedural scenes for what no openly licensed registry package carries: a colon view and a CT section.

Both are drawn from formulas and a seed; nothing in them was ever a patient.
"""

from __future__ import annotations

import numpy as np

from medqbench_vlmeval.synth.picture import Array, Picture, grid, smooth_field

COLON_SIZE = 288
SECTION_SIZE = 256
_DEPTH_STEPS = 260


def _vessels(theta: Array, depth: Array, rng: np.random.Generator) -> Array:
    """Darkening 0-1 by submucosal vessels: ridges of smooth random fields over the unrolled wall."""
    from scipy.ndimage import map_coordinates

    shape = (256, 512)
    columns = (theta / (2.0 * np.pi)) % 1.0 * shape[1]
    rows = (np.log(np.maximum(depth, 0.05)) * 60.0) % shape[0]
    total = np.zeros(theta.shape)
    for scale, width, strength in ((26.0, 0.035, 0.5), (13.0, 0.05, 0.35), (7.0, 0.07, 0.22)):
        field = smooth_field(shape, scale, rng)
        ridge = np.exp(-((field / width) ** 2)) * (smooth_field(shape, 2.0 * scale, rng) > -0.4)
        total += strength * map_coordinates(ridge, (rows, columns), order=1, mode="grid-wrap")
    return np.asarray(np.clip(total, 0.0, 0.8))


def colon(seed: int) -> Picture:
    """A look down a colon: a bent tube with haustral folds, vessels, and a light beside the camera.

    Rays are marched to the wall ``rho(theta, z) = 1 - folds``; brightness is Lambert's cosine over the squared
    distance, compressed as an endoscope's automatic gain does. Returns 288 x 288 RGB display values in 0-1.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([seed, 11])
    y, x = grid((COLON_SIZE, COLON_SIZE))
    bend = rng.uniform(0.10, 0.22) * np.array([np.sin(t := rng.uniform(0, 2 * np.pi)), np.cos(t)])
    spacing, first = rng.uniform(0.95, 1.35), rng.uniform(0.0, 1.0)
    lobes, lobe_turn = 3.0, rng.uniform(0, 2 * np.pi)
    tilt = rng.uniform(-0.12, 0.12, 2)
    found = np.full(x.shape, np.nan)
    at_theta = np.zeros(x.shape)
    for z in np.geomspace(0.35, 11.0, _DEPTH_STEPS):
        px, py = x * z * 0.95 - bend[1] * z**1.5 - tilt[1], y * z * 0.95 - bend[0] * z**1.5 - tilt[0]
        theta = np.arctan2(py, px)
        phase = (z / spacing + first + 0.08 * np.sin(theta + lobe_turn)) % 1.0
        shape = 0.55 + 0.45 * np.cos(lobes * theta + lobe_turn + 1.3 * np.floor(z / spacing + first))
        fold = 0.34 * shape * np.exp(-(((phase - 0.5) / 0.13) ** 2))
        hit = np.isnan(found) & (np.hypot(px, py) >= 1.0 - fold)
        found[hit], at_theta[hit] = z, theta[hit]
    depth = np.where(np.isnan(found), 11.0, found)
    smooth = gaussian_filter(depth, 1.2)
    distance = smooth * np.sqrt(1.0 + 0.9 * (x**2 + y**2))
    slope = np.hypot(*np.gradient(np.log(smooth))) * COLON_SIZE / 2.0
    facing = 1.0 / np.sqrt(1.0 + (0.35 / (0.15 + slope)) ** 2)
    light = (0.35 + 0.65 * gaussian_filter(facing, 1.0)) / (0.55 + distance**2) * 1.5
    light = light / (light + 0.30) * 1.30
    texture = 1.0 + 0.035 * smooth_field(x.shape, 1.6, rng) + 0.05 * smooth_field(x.shape, 14.0, rng)
    wall = np.array([0.86, 0.43, 0.30]) * (1.0 + rng.uniform(-0.05, 0.05, 3))
    vessel = _vessels(at_theta, depth, rng)[..., None] * np.array([0.35, 0.75, 0.75])
    colour = light[..., None] * texture[..., None] * wall * (1.0 - 0.7 * vessel)
    glow = np.clip(light - 0.55, 0.0, None)[..., None] * np.array([0.25, 0.28, 0.25])
    seen = np.clip((0.98 - np.hypot(x, y) * 0.86) / 0.02, 0.0, 1.0)[..., None]
    display = np.clip(colour + glow, 0.0, 1.0) ** (1.0 / 1.25) * seen
    return Picture(np.asarray(display), "Endoscopy")


def abdomen(seed: int) -> Picture:
    """A CT section drawn from ellipses with the Hounsfield values of textbooks (fat -100, liver 60, bone 700).

    Returns 256 x 256 Hounsfield units at 1.5 mm with a soft-tissue window of -150..250 HU.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([seed, 12])
    y, x = grid((SECTION_SIZE, SECTION_SIZE))
    warp = 0.02 * smooth_field(x.shape, 30.0, rng), 0.02 * smooth_field(x.shape, 30.0, rng)
    hu = np.full(x.shape, -1000.0)

    def put(value: float, cy: float, cx: float, ry: float, rx: float, turn: float = 0.0) -> None:
        jitter = rng.uniform(-0.015, 0.015, 2)
        dy, dx = y + warp[0] - cy - jitter[0], x + warp[1] - cx - jitter[1]
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = dy * np.cos(turn) - dx * np.sin(turn)
        hu[(across / ry) ** 2 + (along / rx) ** 2 <= 1.0] = value

    put(-100.0, 0.0, 0.0, 0.70, 0.90)  # body with subcutaneous fat
    put(55.0, 0.0, 0.0, 0.62, 0.82)  # abdominal wall
    put(-90.0, -0.04, 0.0, 0.53, 0.73)  # peritoneal fat
    put(62.0, -0.10, -0.36, 0.36, 0.34, 0.3)  # liver
    put(50.0, 0.04, 0.54, 0.20, 0.12, 0.4)  # spleen
    put(15.0, -0.16, -0.16, 0.08, 0.06)  # gall bladder
    put(30.0, -0.30, 0.26, 0.15, 0.24, -0.2)  # stomach
    put(-900.0, -0.36, 0.26, 0.06, 0.14)  # gas in it
    put(150.0, 0.18, -0.38, 0.14, 0.10, 0.3)  # kidneys, contrast-enhanced
    put(150.0, 0.18, 0.36, 0.14, 0.10, -0.3)
    put(20.0, 0.18, -0.36, 0.05, 0.03)
    put(20.0, 0.18, 0.34, 0.05, 0.03)
    put(58.0, 0.44, -0.26, 0.14, 0.19)  # paraspinal muscles
    put(58.0, 0.44, 0.26, 0.14, 0.19)
    put(250.0, 0.30, 0.0, 0.13, 0.15)  # vertebra: marrow, canal, cortex
    put(30.0, 0.46, 0.0, 0.05, 0.055)
    put(700.0, 0.56, 0.0, 0.06, 0.025)
    put(185.0, 0.10, 0.07, 0.065, 0.065)  # aorta, enhanced
    put(140.0, 0.10, -0.10, 0.06, 0.07)  # vena cava
    put(45.0, -0.06, 0.08, 0.06, 0.22, 0.15)  # pancreas
    for angle in np.deg2rad([25.0, 62.0, 118.0, 155.0, 205.0, 335.0]):
        put(650.0, 0.60 * np.sin(angle), 0.79 * np.cos(angle), 0.020, 0.055, angle + np.pi / 2.0)
    for _ in range(9):  # vessels in the liver
        cy, cx = rng.uniform(-0.32, 0.1), rng.uniform(-0.52, -0.2)
        put(110.0, cy, cx, 0.018, 0.018 * rng.uniform(1.0, 2.2), rng.uniform(0, 3.0))
    for _ in range(6):  # bowel loops
        cy, cx = rng.uniform(-0.2, 0.12), rng.uniform(0.1, 0.42)
        put(40.0, cy, cx, 0.055, 0.06)
        put(-300.0, cy - 0.01, cx, 0.012, 0.022)
    tissue = hu > -200.0
    grain = 3.0 * smooth_field(x.shape, 1.2, rng) + 5.0 * smooth_field(x.shape, 6.0, rng)
    hu = gaussian_filter(hu, 0.7) + tissue * grain
    return Picture(hu, "CT", spacing_mm=1.5, window=(-150.0, 250.0))
