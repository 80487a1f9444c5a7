"""What a model is shown of every form of image: pixels worked out by hand or by another library, and the record."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from medqbench_vlmeval import workflows
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.grey import NotShown, to_eight_bits
from medqbench_vlmeval.data.image_forms import make_ready
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.runs.files import read_run
from medqbench_vlmeval.runs.result import row_from_json
from medqbench_vlmeval.types import ImageForm
from tests.data.rows import RED, Write, description, load, question, text_of
from tests.make import score_of

Array = np.ndarray
NOISE = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)
SKIMAGE = Path(skimage.__file__).parent / "data"


def saved(image: Image.Image | Array, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def shown(data: bytes, window: str = "", default: str = "") -> tuple[Array, ImageForm]:
    ready = make_ready(data, "here", window, default)
    with Image.open(io.BytesIO(ready.data)) as image:
        assert (image.size, image.mode, image.format) == (
            (ready.form.width, ready.form.height),
            ready.form.mode,
            ready.form.format,
        )
        assert image.getexif().get(274, 1) == 1 or image.format == "TIFF"
    return pixels(ready.data), ready.form


def dicom(name: str, **changes: object) -> bytes:
    file = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    for keyword, value in changes.items():
        setattr(file, keyword, value)
    out = io.BytesIO()
    file.save_as(out)
    return out.getvalue()


def test_what_the_kit_sends_as_it_looks_stays_byte_for_byte() -> None:
    images = {mode: Image.fromarray(NOISE).convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")}
    kinds = {"JPEG": ("L", "RGB", "CMYK"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"), "TIFF": tuple(images)}
    kinds |= {"WEBP": ("RGB",), "GIF": ("P",), "BMP": ("RGB",)}
    for kind, modes in kinds.items():
        for mode in modes:
            data = saved(images[mode], kind)
            ready = make_ready(data, "here", "0,100")
            assert (ready.data, ready.form) == (data, ImageForm(9, 12, mode, kind)), (kind, mode)
    for name in ("retina.jpg", "chelsea.png", "coins.png"):
        data = (SKIMAGE / name).read_bytes()
        assert make_ready(data, "here").data == data


def test_jpeg_2000_becomes_png_and_a_file_of_another_name_is_stored(write_tsv: Write, tmp_path: Path) -> None:
    """The kit takes no file for an image whose ending Python does not know by itself."""
    for mode in ("L", "RGB", "RGBA"):
        data = saved(Image.fromarray(NOISE).convert(mode), "JPEG2000")
        image, form = shown(data)
        assert (image == pixels(data)).all()
        assert form == ImageForm(9, 12, mode, "PNG", "JPEG2000, a kind of file that the kit does not take")
    names = ("scan", "scan.001", "scan.PNG")
    for name in names:
        (tmp_path / name).write_bytes(RED)
    rows = [description(str(at), image="", image_path=name) for at, name in enumerate(names)]
    paths = [sample.images[0] for sample in load(write_tsv(rows), Task.NO_REFERENCE)[0]]
    assert [path.suffix for path in paths] == [".png", ".png", ".PNG"]
    assert paths[0] == paths[1] != paths[2] == tmp_path / "scan.PNG"
    assert paths[0].read_bytes() == RED


@pytest.mark.needs_kit
@pytest.mark.slow
def test_the_kit_takes_what_is_stored_for_an_image(tmp_path: Path) -> None:
    code = (
        "import sys, vlmeval.smp.file as kit\nfrom vlmeval.smp.vlm import encode_image_file_to_base64 as encode\n"
        "for name in sys.argv[1:]:\n    mime, path = kit.parse_file(name)\n"
        "    assert mime.startswith('image/') and encode(path), mime"
    )
    kinds = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000")
    paths = [ImageStore(tmp_path).put(saved(NOISE, kind), "here").path for kind in kinds]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


TURNS: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_turns_pixel_for_pixel(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[274] = turn
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(NOISE, kind, exif=exif, **options)
    image, form = shown(data)
    assert (image == TURNS[turn](pixels(saved(NOISE, kind, **options)))).all()
    is_turned = kind != "TIFF" and turn > 1
    assert form.conversion == (f"{kind}, turned by its EXIF orientation {turn}" if is_turned else None)


def test_a_turned_cmyk_image_keeps_its_four_colours() -> None:
    exif = Image.Exif()
    exif[274] = 6
    cmyk = Image.fromarray(NOISE).convert("CMYK")
    image, form = shown(saved(cmyk, "JPEG", exif=exif))
    assert (form.format, form.mode) == ("TIFF", "CMYK")
    assert (image == np.rot90(pixels(saved(cmyk, "JPEG")), -1)).all()


GREY = np.array([[0, 100, 199, 200], [201, 300, 1000, 65535]], np.uint16)
# (199 - 100) / 200 * 255 = 126.2, (200 - 100) / 200 * 255 = 127.5 (to the even number), (201 - 100) / 200 * 255 = 128.8
WINDOWED = [[0, 0, 126, 128], [129, 255, 255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_deep_grey_is_shown_through_a_stated_window_and_never_wrapped(kind: str) -> None:
    data = saved(GREY, kind)
    for window, default in (("100,300", ""), (" 100.0  3e2 ", "0,1"), ("", "100;300")):
        image, form = shown(data, window, default)
        assert image.tolist() == WINDOWED
        told = "a kind of file that the kit does not take, " if kind == "JPEG2000" else ""
        assert form.conversion == f"{kind}, {told}grey of I;16, shown through the stated window 100 to 300"
    with pytest.raises(BadInput, match=r"here: the image has grey values from 0 to 65535, .*'window' or MEDQBENCH_WIN"):
        make_ready(data, "here")
    for window in ("300,100", "100", "1,1", "low high", "1,2,3", "nan,3"):
        with pytest.raises(BadInput, match="not LOW,HIGH"):
            make_ready(data, "here", window)


def test_other_deep_grey() -> None:
    few = np.array([[0, 7], [128, 255]], np.uint16)
    for kind in ("PNG", "TIFF"):
        image, form = shown(saved(few, kind))
        assert image.tolist() == few.tolist()
        assert form.conversion == f"{kind}, grey of I;16, with values of 8 bits"
    assert shown(saved(few, "PNG"), "0,127.5")[0].tolist() == [[0, 14], [255, 255]]
    assert shown(saved(few.astype(np.float32), "TIFF"))[0].tolist() == few.tolist()
    signed = np.array([[-1000, -500, 0, 1000]], np.int32)
    assert shown(saved(signed, "TIFF"), "-1000,0")[0].tolist() == [[0, 128, 255, 255]]
    assert shown(saved(GREY, "TIFF", tiffinfo={262: 0}), "0 100")[0].tolist() == [[255, 0, 0, 0], [0, 0, 0, 0]]
    with pytest.raises(BadInput, match="values that are no numbers"):
        make_ready(saved(np.array([[1, np.nan]], np.float32), "TIFF"), "here", "0,1")
    with pytest.raises(BadInput, match=r"from -0\.5 to 0\.5"):
        make_ready(saved(np.array([[-0.5, 0.5]], np.float32), "TIFF"), "here")
    with pytest.raises(BadInput, match="a PGM deeper than 8 bits"):
        make_ready(b"P5 2 1 4095\n\0\1\0\2", "here", "0,4095")


@given(
    values=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    low=st.integers(-5000, 5000),
    span=st.integers(1, 10000),
)
def test_a_window_keeps_the_order_of_values(values: list[int], low: int, span: int) -> None:
    grey, _ = to_eight_bits(np.array([sorted(values)]), f"{low},{low + span}")
    assert (np.diff(grey[0].astype(int)) >= 0).all()
    for value, level in zip(sorted(values), grey[0], strict=True):
        assert level == (0 if value <= low else 255 if value >= low + span else level)
    assert (to_eight_bits(np.array([sorted(values)]), f"{low},{low + span}", True)[0].astype(int) + grey >= 255).all()


def test_without_a_window_values_are_taken_as_they_are_or_not_at_all() -> None:
    with pytest.raises(NotShown):
        to_eight_bits(np.array([[0, 256]]), "")
    assert to_eight_bits(np.array([[0, 255]]), "")[0].tolist() == [[0, 255]]


def test_colours_of_16_bits_are_shown_by_their_high_bytes() -> None:
    deep = (NOISE.astype(np.uint16) << 8) + 77
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 9, 12, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    image, form = shown(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert (image == NOISE).all()
    assert form == ImageForm(9, 12, "RGB", "PNG", "PNG, colours of 16 bits by their high bytes")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_shown_and_the_record_says_so(kind: str) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    image, form = shown(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert form.conversion == f"{kind}, the first of its frames"
    if kind != "GIF":
        assert (image == NOISE).all()
    tif = (SKIMAGE / "multipage.tif").read_bytes()
    assert (shown(tif)[0] == pixels(tif)).all()


def test_a_ct_in_hounsfield_units_through_the_stated_window_and_an_mri_through_its_own() -> None:
    ct = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    hounsfield = ct.pixel_array.astype(float) * ct.RescaleSlope + ct.RescaleIntercept
    image, form = shown(dicom("CT_small.dcm"), "-160,240")
    assert (image == np.rint(np.clip((hounsfield + 160) / 400, 0, 1) * 255)).all()
    assert form.conversion == "DICOM, grey of 16 bits, shown through the stated window -160 to 240"
    assert (image == shown(dicom("CT_small.dcm"), "", "-160,240")[0]).all()
    with pytest.raises(BadInput, match="grey values from -896 to 1167"):
        make_ready(dicom("CT_small.dcm"), "here")
    mr = pydicom.dcmread(str(get_testdata_file("MR_small.dcm", download=False))).pixel_array.astype(float)
    # PS3.3 C.11.2.1.2.1 with center 600 and width 1600.
    expected = np.rint(np.clip((mr - 599.5) / 1599 + 0.5, 0, 1) * 255)
    image, form = shown(dicom("MR_small.dcm"), "", "0,1")
    assert abs(image - expected).max() == 0
    assert form.conversion == "DICOM, grey of 16 bits, shown through the file's own window (center 600, width 1600)"
    assert (shown(dicom("MR_small.dcm"), "0,100")[0] == np.rint(np.clip(mr / 100, 0, 1) * 255)).all()
    image, form = shown(dicom("MR_small.dcm", PhotometricInterpretation="MONOCHROME1"))
    assert abs(image - (255 - expected)).max() <= 1  # halves are rounded to the even number
    assert str(form.conversion).endswith("width 1600), white to black")


def test_a_lut_of_the_file_of_8_bits_does_not_wrap() -> None:
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [1024, 100, 8], [at // 4 for at in range(1024)]
    for entry in ("LUTDescriptor", "LUTData"):
        item[entry].VR = "US"
    data = dicom("MR_small.dcm", VOILUTSequence=[item])
    values = pydicom.dcmread(io.BytesIO(data)).pixel_array.astype(int)
    image, form = shown(data)
    assert (image == np.clip(values - 100, 0, 1023) // 4).all()
    assert str(form.conversion).endswith("shown through the file's own VOI LUT")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("examples_rgb_color.dcm", "DICOM"),
        ("SC_rgb_rle_2frame.dcm", "DICOM, the first of its frames"),
        ("SC_rgb_jpeg_dcmtk.dcm", "DICOM"),
        ("MR_small_jp2klossless.dcm", "DICOM, grey of 16 bits, shown through the file's own window"),
        ("examples_palette.dcm", "DICOM, colours of 16 bits by their highest 8"),
        ("liver_1frame.dcm", "DICOM, grey of 1 bits, shown through the stated window 0 to 1"),
    ],
)
def test_other_dicom_files(name: str, told: str) -> None:
    image, form = shown(dicom(name))
    assert str(form.conversion).startswith(told)
    assert len(np.unique(image)) > 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", r"JPEG-LS Lossless.*medqbench-vlmeval\[dicom\]"),
        ("SC_rgb_jpeg_gdcm.dcm", r"JPEG Lossless.*medqbench-vlmeval\[dicom\]"),
        ("image_dfl.dcm", "a deflated DICOM file"),
        ("MR_truncated.dcm", "cut short or damaged"),
        ("rtplan.dcm", "without an image"),
    ],
)
def test_dicom_files_that_cannot_be_shown_are_refused(name: str, words: str) -> None:
    if "JPEG" in words and pydicom.pixels.get_decoder("1.2.840.10008.1.2.4.80").is_available:
        pytest.skip("a decoder is installed")
    data = Path(str(get_testdata_file(name, download=False))).read_bytes()
    with pytest.raises(BadInput, match=words):
        make_ready(data, "here")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(st.integers(0, 9000), st.binary(min_size=1, max_size=8))
def test_a_damaged_dicom_file_is_shown_or_refused(at: int, garbage: bytes) -> None:
    data = bytearray(dicom("MR_small.dcm"))
    data[at : at + len(garbage)] = garbage
    for changed in (bytes(data), bytes(data[:at])):
        try:
            make_ready(changed, "here")
        except BadInput as error:
            assert str(error).startswith("here: ")


@pytest.mark.slow
def test_forms_go_with_samples_into_results_and_back(
    write_tsv: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom("MR_small.dcm"))
    deep = text_of(saved(GREY, "PNG"))
    rows = [
        question("1", image=text_of(dicom("CT_small.dcm")), window="-160,240"),
        question("2", image="", image_path="a.dcm", window=""),
        question("3", image=deep, image_path="", window="100,300"),
        question("4", image=deep, image_path="", window=""),
        question("5", image=text_of(RED), image_path="", window="lung"),
    ]
    path = write_tsv([{"image_path": "", **row} for row in rows])
    with pytest.raises(BadInput, match=r"row 4 \(index '4'\): the image has grey values"):
        load(path, Task.PERCEPTION)
    monkeypatch.setenv("MEDQBENCH_WINDOW", "0,65535")
    samples, _ = load(path, Task.PERCEPTION)
    assert [sample.image_forms[0].width for sample in samples] == [128, 64, 4, 4, 9]
    assert len({sample.images[0] for sample in samples}) == 5
    assert all(sample.images[0].read_bytes()[:4] == b"\x89PNG" for sample in samples)
    named, _ = load_table(path, Task.PERCEPTION, None)
    assert [sample.image_refs[0] for sample in named] == [
        *(sample.images[0].name for sample in samples[:1]),
        "a.dcm",
        *(sample.images[0].name for sample in samples[2:]),
    ]
    replies = tmp_path / "m.csv"
    replies.write_text("index,prediction\n" + "".join(f"{at},A\n" for at in range(1, 6)))
    run = workflows.evaluate(workflows.Request(replies, "M", "custom", tmp_path / "out", load_file(path, images=True)))
    forms = score_of(run)["settings"]["data"]["perception"]["image_forms"]
    assert sum(forms.values()) == 5
    assert forms["PNG of RGB"] == 1
    assert forms["PNG of L, from PNG, grey of I;16, shown through the stated window 100 to 300"] == 1
    again = read_run(run.paths)
    assert [row.sample.image_forms for row in again.rows] == [sample.image_forms for sample in samples]
    assert again.result.settings.data["perception"].image_forms == forms
    line = json.loads(run.paths.samples.read_text().splitlines()[4])
    assert line["image_forms"] == [{"width": 9, "height": 7, "mode": "RGB", "format": "PNG"}]
    del line["image_forms"]
    assert row_from_json(line).sample.image_forms == ()


def test_a_pair_has_a_form_each_in_its_order(write_tsv: Write) -> None:
    exif = Image.Exif()
    exif[274] = 3
    both = [text_of(RED), text_of(saved(NOISE, "JPEG", exif=exif))]
    (sample,), _ = load(write_tsv([description("1", image="", image_a=both[0], image_b=both[1])]), Task.COMPARATIVE)
    assert [form.conversion for form in sample.image_forms] == [None, "JPEG, turned by its EXIF orientation 3"]
