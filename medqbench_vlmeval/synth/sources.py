"""Source images, only from packages of the public registry, each with the licence that its package states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medqbench_vlmeval.errors import MissingDependency
from medqbench_vlmeval.synth.optional import package
from medqbench_vlmeval.synth.picture import Array, Picture
from medqbench_vlmeval.synth.scenes import abdomen, colon

GREY_SIZE = 256
COLOUR_SIZE = 288


@dataclass(frozen=True)
class Source:
    """One undegraded picture. ``noun`` is how a question names it ('axial brain MRI slice'), ``kind`` the value
    of the ``source`` column without degradation ('authentic', 'phantom' or 'procedural')."""

    key: str
    modality: str
    noun: str
    kind: str
    origin: str
    carrier: str
    licence: str
    load: Callable[[], Picture]


def _resize(pixels: Array, size: int) -> Array:
    """Square resampling, anti-aliased, values kept in the input's range."""
    transform = package("skimage.transform")
    return np.asarray(
        transform.resize(pixels, (size, size, *pixels.shape[2:]), order=3, anti_aliasing=True, preserve_range=True)
    )


def _skimage_file(name: str) -> Path:
    return Path(package("skimage.data").__file__).parent / name


def _colour(name: str, box: tuple[int, int, int, int], modality: str, mirror: bool = False) -> Picture:
    from PIL import Image

    with Image.open(_skimage_file(name)) as opened:
        pixels = np.asarray(opened.convert("RGB").crop(box), dtype=np.float64) / 255.0
    if mirror:
        pixels = pixels[:, ::-1]
    return Picture(np.clip(_resize(pixels, COLOUR_SIZE), 0.0, 1.0), modality)


def retina(left: int = 0, top: int = 0, side: int = 1411, mirror: bool = False) -> Picture:
    """A square of scikit-image's fundus photograph (1411 x 1411), resampled to 288 x 288."""
    return _colour("retina.jpg", (left, top, left + side, top + side), "Fundus", mirror)


def tissue(left: int = 0, top: int = 0, side: int = 512, mirror: bool = False) -> Picture:
    """A square of scikit-image's immunohistochemistry field (512 x 512), resampled to 288 x 288."""
    return _colour("ihc.png", (left, top, left + side, top + side), "Histopathology", mirror)


def shepp_logan(margin: int = 0, mirror: bool = False) -> Picture:
    """The Shepp-Logan head phantom, its grey levels mapped to Hounsfield units (0 air, 0.2 brain, 1 bone)."""
    from PIL import Image

    with Image.open(_skimage_file("phantom.png")) as opened:
        grey = np.asarray(opened.convert("L"), dtype=np.float64) / 255.0
    grey = _resize(np.pad(grey, margin), GREY_SIZE)
    if mirror:
        grey = grey[:, ::-1]
    hu = np.interp(grey, [0.0, 0.1, 0.2, 0.3, 0.4, 1.0], [-1000.0, -40.0, 30.0, 70.0, 110.0, 1000.0])
    return Picture(hu, "CT", spacing_mm=200.0 / GREY_SIZE, window=(-60.0, 160.0))


def _dicom(name: str) -> Any:
    folder = Path(package("pydicom.data").__file__).parent / "test_files"
    path = folder / name
    if not path.is_file():
        raise MissingDependency(f"The installed pydicom does not carry '{name}': run `pip install 'pydicom>=3.0'`.")
    return package("pydicom").dcmread(path)


def spine(left: int = 0, top: int = 0, side: int = 128, mirror: bool = False) -> Picture:
    """A square of pydicom's ``CT_small.dcm`` (128 x 128, thoracic spine), resampled to 256 x 256."""
    dicom = _dicom("CT_small.dcm")
    hu = dicom.pixel_array.astype(np.float64) * float(dicom.RescaleSlope) + float(dicom.RescaleIntercept)
    square = hu[top : top + side, left : left + side]
    if mirror:
        square = square[:, ::-1]
    spacing = float(dicom.PixelSpacing[0]) * side / GREY_SIZE
    return Picture(_resize(square, GREY_SIZE), "CT", spacing_mm=spacing, window=(-700.0, 1000.0))


def upper_abdomen(left: int = 92, side: int = 300, mirror: bool = False) -> Picture:
    """A square of pydicom's ``examples_overlay.dcm`` (abdominal MR, 300 x 484), resampled to 256 x 256."""
    dicom = _dicom("examples_overlay.dcm")
    pixels = dicom.pixel_array.astype(np.float64)
    square = pixels[(300 - side) // 2 : (300 + side) // 2, left : left + side]
    if mirror:
        square = square[:, ::-1]
    scaled = _resize(square, GREY_SIZE) / float(np.percentile(square, 99.7))
    return Picture(np.clip(scaled, 0.0, 1.0), "MRI")


@lru_cache(maxsize=1)
def _template() -> NDArray[np.float32]:
    folder = Path(package("nilearn.datasets").__file__).parent / "data"
    path = folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    if not path.is_file():
        raise MissingDependency(f"The installed nilearn does not carry '{path.name}': run `pip install -U nilearn`.")
    return np.asarray(package("nibabel").load(path).dataobj, dtype=np.float32)


def brain(axis: int, position: int, mirror: bool = False) -> Picture:
    """A slice of the ICBM 152 T1 template that nilearn carries (1 mm), padded to a square and resampled.

    ``axis`` is 0 sagittal, 1 coronal, 2 axial; ``position`` the voxel along it.
    """
    piece = np.rot90(np.take(_template(), position, axis=axis)).astype(np.float64)
    if mirror:
        piece = piece[:, ::-1]
    side = 236
    top, left = (side - piece.shape[0]) // 2, (side - piece.shape[1]) // 2
    square = np.zeros((side, side))
    square[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    scaled = _resize(square, GREY_SIZE) / float(np.percentile(square, 99.8))
    return Picture(np.clip(0.92 * scaled, 0.0, 1.0), "MRI")


_SKIMAGE = "scikit-image"
_HERE = "medqbench-vlmeval"
_BSD = "BSD-3-Clause, Copyright 2009-2022 the scikit-image team (scikit-image's licence file)"
_NO_RESTRICTION = "No known copyright restrictions (docstring of skimage.data.immunohistochemistry)"
_CC0 = "CC0 1.0 (docstring of skimage.data.retina)"
_MIT = (
    "MIT, Copyright (c) 2008-2020 Darcy Mason and pydicom contributors (pydicom's licence file; its README names "
    "ftp://medical.nema.org WG04 'CT1_UNC' as the origin)"
)
_GDCM = (
    "BSD-3-Clause, Copyright (c) 2006-2016 Mathieu Malaterre, Copyright (c) 1993-2005 CREATIS "
    "(pydicom's test_files/README.txt: data sets from GDCM)"
)
_ICBM = (
    "BSD-3-Clause (nilearn's licence file; it names none for the template itself). The template's authors state: "
    "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill "
    "University; permission to use, copy, modify and distribute for any purpose and without fee, the notice kept"
)
_OURS = "Apache-2.0 (this package)"


def _brain(key: str, noun: str, axis: int, position: int) -> Source:
    origin = f"mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz, axis {axis}, voxel {position}"
    return Source(key, "MRI", noun, "authentic", origin, "nilearn", _ICBM, partial(brain, axis, position))


def _square(key: str, modality: str, noun: str, box: tuple[int, int, int], mirror: bool = False) -> Source:
    fundus = modality == "Fundus"
    name, licence, cut = ("retina.jpg", _CC0, retina) if fundus else ("ihc.png", _NO_RESTRICTION, tissue)
    origin = f"{name}, square of {box[2]} px at left {box[0]}, top {box[1]}{', mirrored' if mirror else ''}"
    return Source(key, modality, noun, "authentic", origin, _SKIMAGE, licence, partial(cut, *box, mirror))


def _colon(number: int) -> Source:
    noun, origin = "endoscopic image", f"scenes.colon, seed {number}"
    return Source(f"colon-{number}", "Endoscopy", noun, "procedural", origin, _HERE, _OURS, partial(colon, number))


SOURCES: dict[str, Source] = {
    source.key: source
    for source in (
        Source("spine", "CT", "CT slice", "authentic", "CT_small.dcm", "pydicom", _MIT, spine),
        Source("shepp-logan", "CT", "CT slice", "phantom", "phantom.png", _SKIMAGE, _BSD, shepp_logan),
        Source(
            "section-1", "CT", "CT slice", "procedural", "scenes.abdomen, seed 1", _HERE, _OURS, partial(abdomen, 1)
        ),
        _brain("brain-axial", "MRI slice", 2, 80),
        _brain("brain-coronal", "MRI slice", 1, 112),
        Source(
            "upper-abdomen",
            "MRI",
            "MRI slice",
            "authentic",
            "examples_overlay.dcm, square of 300 px at left 92",
            "pydicom",
            _GDCM,
            upper_abdomen,
        ),
        _square("tissue-whole", "Histopathology", "histopathology image", (0, 0, 512)),
        _square("tissue-gland", "Histopathology", "histopathology image", (0, 10, 288)),
        _square("tissue-stroma", "Histopathology", "histopathology image", (210, 210, 288)),
        _colon(1),
        _colon(2),
        _colon(3),
        _square("retina-whole", "Fundus", "fundus photograph", (0, 0, 1411)),
        _square("retina-disc", "Fundus", "fundus photograph", (60, 260, 860)),
        _square("retina-right", "Fundus", "fundus photograph", (0, 0, 1411), True),
    )
}
