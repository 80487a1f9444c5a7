"""A user's own images become sources or are skipped with the reason; pixels by hand, real files of packages."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import nilearn
import numpy as np
import pydicom
import pydicom.data
import pytest
import skimage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.synth import originals
from medqbench_vlmeval.synth.burned_in import shows_text
from medqbench_vlmeval.synth.originals import MAX_SIDE, NOUNS, AskedImages, Originals
from medqbench_vlmeval.synth.own_files import NOTES

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (64, 80), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (64, 80, 3), dtype=np.uint8)
SECRET = "Mustermann^Erika"


def save(path: Path, pixels: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def dicom(pixels: np.ndarray, **elements: Any) -> bytes:
    """A DICOM file of (frames, H, W) or (H, W) or (H, W, 3) pixels; elements may be set, or removed by None."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    file.Modality, file.SOPClassUID = "MR", meta.MediaStorageSOPClassUID
    file.Rows, file.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if pixels.ndim == 3 and not colour:
        file.NumberOfFrames = len(pixels)
    file.SamplesPerPixel, file.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit, file.PixelRepresentation = file.BitsStored - 1, int(pixels.dtype.kind == "i")
    if colour:
        file.PlanarConfiguration = 0
    file.PixelData = pixels.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    out = io.BytesIO()
    pydicom.dcmwrite(out, file)
    return out.getvalue()


def read_one(folder: Path, data: bytes, **asked: Any) -> Any:
    """The picture of the only source in a file of these bytes."""
    (folder / "a.dcm").write_bytes(data)
    (source,) = read_originals(folder, **asked).sources
    return source.load()


def why(folder: Path, data: bytes, **asked: Any) -> str:
    (folder / "a.dcm").write_bytes(data)
    with pytest.raises(BadInput) as error:
        read_originals(folder, **asked)
    return str(error.value)


def read_originals(images: Path, **asked: Any) -> Originals:
    return originals.read_originals(AskedImages(images, **asked))


def reasons(found: Originals) -> Mapping[str, str]:
    return {one.path: one.why for one in found.skipped}


def test_a_folder_is_read_in_natural_order_and_its_names_tell_modalities(tmp_path: Path) -> None:
    for number, folder in ((10, "MRI"), (2, "MRI"), (1, "x_ray/left")):
        save(tmp_path / folder / f"{number}.png", np.roll(GREY, number))
    save(tmp_path / "Fundus" / "a.png", COLOUR)
    save(tmp_path / "b.png", np.roll(GREY, 7))
    (tmp_path / "MRI" / ".hidden").write_bytes(b"x")
    found = read_originals(tmp_path)
    assert [(one.path, source.modality) for one, source in zip(found.originals, found.sources, strict=True)] == [
        ("Fundus/a.png", "Fundus"),
        ("MRI/2.png", "MRI"),
        ("MRI/10.png", "MRI"),
        ("x_ray/left/1.png", "X-ray"),
    ]
    assert list(reasons(found)) == ["b.png"]
    assert "no modality that is known" in reasons(found)["b.png"]
    assert len(read_originals(tmp_path, modality="mr").sources) == 4  # the option comes before the folder
    np.testing.assert_array_equal(found.sources[1].load().display(), np.roll(GREY, 2))
    np.testing.assert_array_equal(found.sources[0].load().display(), COLOUR)


def test_a_source_tells_no_name_and_is_the_same_wherever_its_file_lies(tmp_path: Path) -> None:
    first = read_originals(save(tmp_path / SECRET / "MRI" / f"{SECRET}.png", GREY).parent)
    again = read_originals(save(tmp_path / "b" / "c.tif", GREY).parent, modality="MRI")
    source, other = first.sources[0], again.sources[0]
    assert re.fullmatch("[0-9a-f]{16}", source.key)
    assert (source.key, source.origin, source.kind) == (other.key, other.key, "authentic")
    told = [value for name, value in vars(source).items() if name != "load"]
    assert SECRET not in repr((told, first.warnings))
    assert first.originals[0].path == f"{SECRET}.png"


def test_a_source_is_loaded_in_another_process_and_only_with_the_pixels_it_was_planned_with(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", GREY)
    (source,) = read_originals(tmp_path, modality="MRI").sources
    load = pickle.loads(pickle.dumps(source.load))  # noqa: S301
    np.testing.assert_array_equal(load().display(), GREY)
    save(path, np.roll(GREY, 1))
    with pytest.raises(RunFailed, match=r"a\.png has changed since it was planned"):
        load()
    path.unlink()
    with pytest.raises(RunFailed, match=r"cannot be now.*does not exist"):
        load()


def test_what_cannot_be_used_is_skipped_with_the_reason(tmp_path: Path) -> None:
    save(tmp_path / "good.png", GREY)
    save(tmp_path / "constant.png", np.full((64, 64), 90, np.uint8))
    save(tmp_path / "label.png", (GREY > 99).astype(np.uint8) * 255)
    save(tmp_path / "twin.bmp", GREY)
    save(tmp_path / "tiny.png", GREY[:63])
    save(tmp_path / "colour.png", COLOUR)
    save(tmp_path / "huge.png", np.zeros((6000, 6000), np.uint8))
    save(tmp_path / "ribbon.png", np.tile(GREY, (1, 20)))
    (tmp_path / "report.txt").write_text(SECRET)
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:999])
    (tmp_path / "empty.jpg").write_bytes(b"")
    found = read_originals(tmp_path, modality="X-ray")
    assert [one.path for one in found.originals] == ["good.png"]
    assert reasons(found) == {
        "constant.png": "shows 1 values of grey or colour: it is empty, or a mask or label map",
        "label.png": "shows 2 values of grey or colour: it is empty, or a mask or label map",
        "twin.bmp": "has the same pixels as good.png",
        "tiny.png": "is 80 x 63 pixels; a side has at least 64",
        "colour.png": "shows colours, where grey is expected",
        "huge.png": "announces more than 33554432 pixels and is not decoded",
        "ribbon.png": "has less than 64 pixels on its shorter side when its longer one has 1024",
        "report.txt": "is no image that can be read here",
        "cut.png": "is cut short or damaged (OSError)",
        "empty.jpg": "is no image that can be read here",
    }


def test_a_folder_without_a_usable_image_is_an_error_with_counts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("x")
    save(tmp_path / "c.png", GREY[:9])
    words = r"no usable image \(3 files\): 2 x is no image that can be read here; 1 x is 80 x 9 pixels"
    with pytest.raises(BadInput, match=words):
        read_originals(tmp_path, modality="CT")
    with pytest.raises(BadInput, match=r"\(0 files\): it is empty"):
        read_originals(save(tmp_path / "d" / ".e.png", GREY).parent)
    with pytest.raises(BadInput, match="does not exist; name a folder"):
        read_originals(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"modality": "ultrasonic"}, "Unknown modality.*Did you mean 'Ultrasound'"),
        ({"frames": "0"}, "first, middle, all or a number"),
        ({"plane": "oblique"}, "axial, coronal or sagittal"),
        ({"crop": (9, 0, 9, 9)}, "LEFT,TOP,RIGHT,BOTTOM"),
        ({"mask": Path("no.png")}, "no.png does not exist"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    save(tmp_path / "a.png", GREY)
    with pytest.raises(BadInput, match=words):
        read_originals(tmp_path, **({"modality": "CT"} | asked))


def test_a_large_image_is_made_smaller_and_the_factor_is_said(tmp_path: Path) -> None:
    ramp = np.repeat(np.repeat(np.arange(256, dtype=np.uint8)[None], 8, axis=1).reshape(1, 2048), 1024, axis=0)
    save(tmp_path / "a.png", ramp)
    found = read_originals(tmp_path, modality="X-ray")
    picture = found.sources[0].load()
    assert picture.shape == (512, MAX_SIDE)
    assert found.originals[0].factor == 2
    assert found.warnings == (
        "1 of 1 images: each is made smaller by a factor of up to 2, to a longer side of 1024 pixels.",
    )
    np.testing.assert_allclose(picture.pixels[256] * 255, (np.arange(1024) // 4), atol=1)


def test_crop_and_mask_take_text_away(tmp_path: Path) -> None:
    save(tmp_path / "a.png", big := np.tile(GREY, (2, 2)))
    painted = np.zeros(big.shape, np.uint8)
    painted[:20, 40:] = 1
    mask = save(tmp_path / "m" / "mask.png", painted)
    image = tmp_path / "a.png"
    for crop in ((32, 16, 128, 112), (0.2, 0.125, 0.8, 0.875)):
        (source,) = read_originals(image, modality="MRI", crop=crop, mask=mask).sources
        np.testing.assert_array_equal(source.load().display(), np.where(painted, 0, big)[16:112, 32:128])
    save(mask, painted * 0)
    (whole,) = read_originals(image, modality="MRI", mask=mask).sources
    np.testing.assert_array_equal(whole.load().display(), big)
    save(mask, painted)
    (slide,) = read_originals(image, modality="Histopathology", mask=mask).sources
    assert (slide.load().pixels[:20, 40:] == 1).all()
    (ct,) = read_originals(image, modality="CT", mask=mask).sources
    assert (ct.load().pixels[:20, 40:] == -1000).all()
    assert len({source.key, slide.key, ct.key}) == 3
    with pytest.raises(BadInput, match="is 160 x 128 pixels and the mask 80 x 64"):
        read_originals(image, modality="MRI", mask=save(tmp_path / "m" / "small.png", GREY))
    (tmp_path / "m" / "no.png").write_bytes(mask.read_bytes()[:50])
    with pytest.raises(BadInput, match=r"no\.png: the image is cut short"):
        read_originals(image, modality="MRI", mask=tmp_path / "m" / "no.png")
    with pytest.raises(BadInput, match="is 0 x 0 pixels"):
        read_originals(image, modality="MRI", crop=(500, 500, 600, 600))


def test_pages_of_a_tiff_deep_grey_and_colours_that_are_grey(tmp_path: Path) -> None:
    deep = (np.arange(64 * 80).reshape(64, 80) * 12 + 500).astype(np.uint16)
    pages = [Image.fromarray(np.roll(deep, shift)) for shift in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    found = read_originals(tmp_path, modality="X-ray", frames="all")
    assert [(one.path, one.frame) for one in found.originals] == [("a.tif", 1), ("a.tif", 2), ("a.tif", 3)]
    assert len({source.group for source in found.sources}) == 1
    assert [
        read_originals(tmp_path, modality="X-ray", frames=one).originals[0].frame for one in ("first", "middle", "3")
    ] == [
        1,
        2,
        3,
    ]
    # 5,120 values in steps of 12 from 500: the percentiles lie at 500 + 12 * 0.005 * 5119 and at 0.995.
    low, high = 500 + 12 * 0.005 * 5119, 500 + 12 * 0.995 * 5119
    expected = np.rint(255 * np.clip((deep - low) / (high - low), 0, 1))
    np.testing.assert_array_equal(found.sources[0].load().display(), expected)
    assert found.warnings == (
        "3 of 3 images: each states no window for its grey, which is shown from its 0.5th to its 99.5th percentile.",
    )
    with pytest.raises(BadInput, match="has 3 frames and no frame 4"):
        read_originals(tmp_path, modality="X-ray", frames="4")
    save(tmp_path / "b" / "b.png", np.repeat(GREY[..., None], 3, axis=2))
    (grey,) = read_originals(tmp_path / "b", modality="X-ray").sources
    np.testing.assert_array_equal(grey.load().display(), GREY)


def test_ct_without_hounsfield_units_shows_what_it_showed(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.maximum(GREY, 5))
    save(tmp_path / "b.png", np.where(GREY < 128, 3, GREY).astype(np.uint8))
    found = read_originals(tmp_path, modality="CT")
    first, second = (source.load() for source in found.sources)
    np.testing.assert_array_equal(first.display(), np.maximum(GREY, 5))
    assert set(second.pixels[GREY < 128]) == {-1000.0}
    assert second.pixels.max() == 240.0
    assert first.spacing_mm == 350 / 80
    assert "each is CT without Hounsfield units" in found.warnings[0]
    Image.fromarray(GREY.astype(np.float32) * 5 - 900).save(tmp_path / "c.tif")
    Image.fromarray(GREY.astype(np.uint16) * 5).save(tmp_path / "d.tif")
    found = read_originals(tmp_path, modality="CT")
    np.testing.assert_array_equal(found.sources[2].load().pixels, GREY * 5.0 - 900)
    assert "not said to be in Hounsfield units" in reasons(found)["d.tif"]


def test_a_table_names_files_and_what_they_are(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", GREY)
    save(tmp_path / "images" / "b.png", np.tile(GREY, (2, 2)))
    save(tmp_path / "images" / "not-named.png", np.roll(GREY, 3))
    table = tmp_path / "images" / "t.csv"
    table.write_text(
        "Path,modality,noun,crop,patient,group\n"
        f"a.png,x-ray,chest radiograph,,{SECRET},1\n"
        f'b.png,MRI,,"0,0,80,70",{SECRET},1\n'
        f"b.png,Thermography,,,{SECRET},2\n"
        f"c.png,MRI,,,{SECRET},2\n",
        encoding="utf-8",
    )
    for found in (read_originals(table), read_originals(tmp_path / "images", table=table)):
        assert [(source.modality, source.noun) for source in found.sources] == [
            ("X-ray", "chest radiograph"),
            ("MRI", NOUNS["MRI"]),
        ]
        assert found.sources[1].load().shape == (70, 80)
        assert {source.group for source in found.sources} == {found.sources[0].key}
        assert [one.why for one in found.skipped] == [
            "has a modality that is none of CT, MRI, Histopathology, Endoscopy, Fundus, X-ray, Ultrasound in the table",
            "does not exist",
        ]
        assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,modality\na.png,CT\n", "no column 'path'; it has file, modality"),
        ("path,crop\na.png,\n", "no usable image"),
        ('path,crop\na.png,"1,2,3"\n', "row 1, 'crop': 4 numbers with commas"),
        ('path,crop\na.png,"5,2,3,9"\n', "row 1: a crop is"),
        ('path,crop\nb.png,\na.png,"x,9,9,9"\n', "row 2, 'crop': 4 numbers"),
        ("path,frame\na.png,last\n", "row 1: frames are"),
        ('path,noun\na.png,"two\nlines"\n', "row 1: a noun is"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, words: str) -> None:
    save(tmp_path / "a.png", GREY)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=words):
        read_originals(tmp_path / "t.csv")


CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["a.png", "CT", "MRI", "middle", "2", "0,0,70,64", "1e400,2", "nan,nan", "\0", "../a.png", "~"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELL, min_size=5, max_size=5), max_size=4), st.binary(max_size=30))
def test_any_table_is_read_or_refused(tmp_path: Path, rows: list[list[str]], tail: bytes) -> None:
    save(tmp_path / "a.png", GREY)
    header = "path,modality,noun,frame,crop\n"
    body = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    table = tmp_path / "t.csv"
    table.write_bytes((header + "a.png,CT,,,\n" + body).encode("utf-8", "surrogatepass") + tail)
    try:
        found = read_originals(table)
    except BadInput as error:
        assert "t.csv" in str(error)
    else:
        assert found.sources[0].modality == "CT"
        assert {source.load().modality for source in found.sources} <= set(NOUNS)


WHOLE_FILES: dict[str, bytes] = {}


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "dcm", "nii", "nii.gz"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_sources_or_skipped(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / f"a.{kind}"
    if kind not in WHOLE_FILES:
        if kind == "dcm":
            path.write_bytes(dicom(GREY.astype(np.int16), NumberOfFrames=1, WindowCenter=100, WindowWidth=300))
        elif kind.startswith("nii"):
            nibabel.save(nibabel.Nifti1Image(np.stack([GREY] * 2, axis=2), np.eye(4)), path)
        else:
            save(path, GREY)
        WHOLE_FILES[kind] = path.read_bytes()
    raw = bytearray(WHOLE_FILES[kind])
    for at, garbage in data.draw(
        st.lists(st.tuples(st.integers(0, min(len(raw), 900)), st.binary(max_size=6)), max_size=3)
    ):
        raw[at : at + len(garbage)] = garbage
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    try:
        found = read_originals(tmp_path, modality="MRI", frames="all")
    except BadInput as error:
        assert "no usable image (1 files)" in str(error)
    else:
        assert all(np.isfinite(source.load().pixels).all() for source in found.sources)


HU = (np.arange(64 * 80).reshape(64, 80) - 1024).astype(np.int16)


def test_dicom_ct_is_in_hounsfield_units_with_its_window_and_pitch(tmp_path: Path) -> None:
    stated = {"Modality": "CT", "RescaleSlope": 2, "RescaleIntercept": -100, "PixelSpacing": [0.5, 0.5]}
    picture = read_one(tmp_path, dicom(HU, **stated, WindowCenter=[40, 500], WindowWidth=[400, 1500]))
    np.testing.assert_array_equal(picture.pixels, np.maximum(2.0 * HU - 100, -1024))
    assert (picture.spacing_mm, picture.window) == (0.5, (-160, 240))
    assert read_one(tmp_path, dicom(HU, **stated)).window == (-160, 240)
    assert "not said to be in Hounsfield units" in why(tmp_path, dicom(HU, Modality="CT"))
    scout = dicom(HU, **stated, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert "is a CT localizer" in why(tmp_path, scout)


def test_dicom_pixels_that_are_not_square_become_square(tmp_path: Path) -> None:
    picture = read_one(tmp_path, dicom(GREY, PixelSpacing=[1.5, 0.5]))
    assert (picture.shape, picture.spacing_mm) == ((192, 80), 0.5)


def test_dicom_grey_goes_through_window_lut_and_monochrome1(tmp_path: Path) -> None:
    values = (GREY.astype(np.int16) - 20) * 4
    shown = read_one(tmp_path, dicom(values, WindowCenter=200, WindowWidth=401)).display()
    # PS3.3 C.11.2.1.2: below 200 - 0.5 - 200 black, above 200 - 0.5 + 200 white.
    expected = np.clip((values - 199.5) / 400 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(shown, expected, atol=0.51)
    inverted = read_one(
        tmp_path, dicom(values, WindowCenter=200, WindowWidth=401, PhotometricInterpretation="MONOCHROME1")
    )
    np.testing.assert_allclose(inverted.display(), 255 - expected, atol=0.51)
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [256, 0, 8], list(range(255, -1, -1))
    for name in ("LUTDescriptor", "LUTData"):
        lut[name].VR = "US"
    through = read_one(tmp_path, dicom(GREY.astype(np.int16), VOILUTSequence=[lut]))
    np.testing.assert_array_equal(through.display(), 255 - GREY)


def test_enhanced_dicom_states_its_rescale_for_each_frame(tmp_path: Path) -> None:
    frames = np.stack([HU, HU + 1])
    groups = []
    for slope in (1, 2):
        item, macro, window, pitch = Dataset(), Dataset(), Dataset(), Dataset()
        macro.RescaleSlope, macro.RescaleIntercept = slope, 0
        window.WindowCenter, window.WindowWidth = 100 * slope, 200
        pitch.PixelSpacing = [0.25, 0.25]
        item.PixelValueTransformationSequence, item.FrameVOILUTSequence = [macro], [window]
        item.PixelMeasuresSequence = [pitch]
        groups.append(item)
    data = dicom(frames, Modality="CT", PerFrameFunctionalGroupsSequence=groups)
    for number, slope in (("1", 1), ("2", 2)):
        picture = read_one(tmp_path, data, frames=number)
        np.testing.assert_array_equal(picture.pixels, np.maximum(slope * frames[slope - 1].astype(float), -1024))
        assert (picture.window, picture.spacing_mm) == ((100 * slope - 100, 100 * slope + 100), 0.25)


@pytest.mark.parametrize(
    ("elements", "modality"),
    [
        ({"Modality": "CR"}, "X-ray"),
        ({"Modality": "DX "}, "X-ray"),
        ({"Modality": "US"}, "Ultrasound"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, "X-ray"),
        ({"Modality": "OT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, ""),
        ({"Modality": "OPT"}, ""),
        ({"Modality": "SEG"}, ""),
    ],
)
def test_dicom_files_tell_their_modality(tmp_path: Path, elements: dict[str, Any], modality: str) -> None:
    data = dicom(GREY, **elements)
    if modality:
        assert read_one(tmp_path, data, modality="MRI").modality == modality
    else:
        assert "no modality that is known" in why(tmp_path, data)


@pytest.mark.parametrize(("stated", "modality"), [("ES", "Endoscopy"), ("OP", "Fundus"), ("SM", "Histopathology")])
def test_dicom_colours_stay(tmp_path: Path, stated: str, modality: str) -> None:
    picture = read_one(tmp_path, dicom(COLOUR, Modality=stated))
    assert picture.modality == modality
    np.testing.assert_array_equal(picture.display(), COLOUR)


def test_warnings_tell_of_text_and_overlays(tmp_path: Path) -> None:
    for name, elements in {
        "yes": {"Modality": "MR", "BurnedInAnnotation": "YES"},
        "us": {"Modality": "US"},
        "us-no": {"Modality": "US", "BurnedInAnnotation": "NO"},
        "capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    }.items():
        (tmp_path / f"{name}.dcm").write_bytes(dicom(np.roll(GREY, len(name)), **elements))
    file = pydicom.dcmread(io.BytesIO(dicom(np.roll(GREY, 30))))
    file.add_new(0x60023000, "OB", bytes(640))
    file.save_as(tmp_path / "overlay.dcm")
    found = read_originals(tmp_path)
    assert {one.path.partition(".")[0]: one.notes for one in found.originals} == {
        "capture": (NOTES["maybe_burned_in"],),
        "overlay": ("has DICOM overlays, which are not drawn in",),
        "us": (NOTES["maybe_burned_in"],),
        "us-no": (),
        "yes": (NOTES["burned_in"],),
    }
    assert found.warnings[0].startswith("2 of 5 images: each is of a kind that often has burned-in text")


def test_no_value_of_a_tag_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    file = pydicom.dcmread(io.BytesIO(dicom(GREY)))
    texts = ("PatientName", "PatientID", "StudyInstanceUID", "SeriesDescription", "InstitutionName", "BodyPartExamined")
    for name in texts:
        setattr(file, name, SECRET)
    whole = io.BytesIO()
    file.save_as(whole)
    (tmp_path / "good.dcm").write_bytes(whole.getvalue())
    for name in (
        "Modality",
        "SOPClassUID",
        "PhotometricInterpretation",
        "BurnedInAnnotation",
        "ImageType",
        "WindowCenter",
    ):
        broken = pydicom.dcmread(io.BytesIO(whole.getvalue()))
        if name == "WindowCenter":
            broken.add_new(name, "LO", SECRET)
        else:
            setattr(broken, name, SECRET)
        broken.save_as(tmp_path / f"{name}.dcm")
    for tag, vr in ((0x00280030, b"DS"), (0x00280008, b"IS"), (0x00281050, b"DS"), (0x00281053, b"DS")):
        broken = pydicom.dcmread(io.BytesIO(whole.getvalue()))
        broken.add_new(tag, "LO", SECRET)
        broken.save_as(path := tmp_path / f"{tag:x}.dcm")
        raw = path.read_bytes()
        head = tag.to_bytes(4, "big")
        little = head[1::-1] + head[:1:-1]
        assert little + b"LO" in raw
        path.write_bytes(raw.replace(little + b"LO", little + vr))
    recwarn.clear()
    capfd.readouterr()
    found = read_originals(tmp_path)
    told = [value for source in found.sources for value in (source, source.load())]
    assert len(found.sources) + len(found.skipped) == 11
    assert SECRET not in repr((told, found))
    assert SECRET not in "".join(capfd.readouterr())
    assert [str(one.message) for one in recwarn if SECRET in str(one.message)] == []


def is_decoded(syntax: str) -> bool:
    return bool(pydicom.pixels.get_decoder(syntax).is_available)


def test_compressed_dicom_is_decoded_or_skipped_with_the_decoder_that_it_takes(tmp_path: Path) -> None:
    file = pydicom.dcmread(io.BytesIO(dicom(GREY)))
    file.compress(RLELossless)
    out = io.BytesIO()
    file.save_as(out)
    np.testing.assert_array_equal(read_one(tmp_path, out.getvalue()).display(), GREY)
    if not is_decoded("1.2.840.10008.1.2.4.80"):
        name = str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))
        assert "takes another decoder (JPEG-LS Lossless" in why(tmp_path, Path(name).read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [{}, {"modality": "Fundus", "frames": "all"}, {"modality": "X-ray", "frames": "first"}]
)
def test_every_test_file_of_pydicom_is_a_source_or_skipped(
    asked: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(pydicom.data.__file__).parent
    found = read_originals(folder, **asked)
    named = {one.path for one in found.originals} | {one.path.partition(", frame")[0] for one in found.skipped}
    assert named == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"CT", "MRI", "Ultrasound"} <= {source.modality for source in found.sources}
    assert all(np.isfinite(source.load().pixels).all() for source in found.sources)
    assert capfd.readouterr() == ("", "")


def test_a_real_ct_slice_has_the_values_that_its_header_states() -> None:
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    (source,) = read_originals(path).sources
    stored = pydicom.dcmread(path)
    picture = source.load()
    np.testing.assert_array_equal(picture.pixels, np.maximum(stored.pixel_array.astype(float) - 1024, -1024))
    assert (picture.spacing_mm, source.noun) == (0.661468, "CT slice")


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "IAL"])
def test_nifti_slices_are_shown_upright_however_they_are_stored(tmp_path: Path, codes: str) -> None:
    """The volume brightens by 1 HU a voxel to the right, by 2 to the front, by 3 upwards."""
    x, y, z = np.meshgrid(np.arange(64), np.arange(70), np.arange(76), indexing="ij")
    values = (x + 2 * y + 3 * z - 150).astype(np.float32)
    image = nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0]))
    wanted = nibabel.orientations.axcodes2ornt(codes)
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)
    nibabel.save(image.as_reoriented(turn), tmp_path / "a.nii.gz")
    for plane, frame, expected in (
        ("axial", 10, values[:, :, 9].T[::-1, ::-1]),
        ("coronal", 20, values[:, 19, :].T[::-1, ::-1]),
        ("sagittal", 30, values[29, :, :].T[::-1, ::-1]),
    ):
        (source,) = read_originals(tmp_path, modality="CT", frames=str(frame), plane=plane).sources
        np.testing.assert_array_equal(source.load().pixels, expected)
    assert read_originals(tmp_path, modality="CT").originals[0].frame == 39  # axial, the middle of 76


def test_nifti_is_cut_across_its_thick_slices_and_a_series_gives_its_first_volume(tmp_path: Path) -> None:
    values = RNG.integers(0, 4000, (80, 6, 70, 2)).astype(np.int16)
    values[0, 0, 0, 0] = -5
    nibabel.save(nibabel.Nifti1Image(values, np.diag([0.5, 4.0, 0.5, 1.0])), tmp_path / "a.nii")
    found = read_originals(tmp_path, modality="MRI", frames="all")
    assert [one.frame for one in found.originals] == [1, 2, 3, 4, 5, 6]
    picture = found.sources[3].load()
    assert (picture.shape, picture.spacing_mm) == ((70, 80), 0.5)
    low, high = np.percentile(values[:, 3, :, 0], (0.5, 99.5))
    expected = np.clip((values[:, 3, :, 0].T[::-1, ::-1] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(picture.pixels, expected, atol=0.51 / 255)


@pytest.mark.slow
def test_images_of_other_packages() -> None:
    brain = read_originals(Path(nilearn.__file__).parent / "datasets" / "data", modality="MRI")
    assert [source.load().shape for source in brain.sources] == [(233, 197)] * 3
    photographs = read_originals(Path(skimage.__file__).parent / "data", modality="Fundus")
    assert len(photographs.sources) > 15
    tests = Path(nibabel.__file__).parent / "tests" / "data"
    found = read_originals(tests, modality="MRI", plane="axial")
    assert {one.path for one in found.originals} == {"0.dcm", "example4d.nii.gz"}
    assert len(found.originals) + len(found.skipped) == sum(1 for path in tests.rglob("[!.]*") if path.is_file())


@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("at", [(4, 4), (90, 226)])
def test_text_at_the_border_is_seen(size: int, at: tuple[int, int]) -> None:
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    body = (np.hypot(y, x) < 0.7) * (120 + 40 * np.sin(20 * x)) + RNG.normal(8, 3, x.shape)
    image = Image.fromarray(np.clip(body, 0, 255).astype(np.uint8))
    assert not shows_text(np.asarray(image))
    ImageDraw.Draw(image).text(at, "Doe John 1975", 255, ImageFont.load_default(size))
    assert shows_text(np.asarray(image))
    assert shows_text(255 - np.asarray(image))
    assert shows_text(np.repeat(np.asarray(image)[..., None], 3, axis=2))


def test_text_in_the_middle_and_single_markers_are_no_border_text() -> None:
    image = Image.new("L", (256, 256))
    ImageDraw.Draw(image).text((80, 120), "Doe John", 255, ImageFont.load_default(14))
    ImageDraw.Draw(image).text((5, 5), "L", 255, ImageFont.load_default(24))
    assert not shows_text(np.asarray(image))


def test_clean_pictures_are_not_taken_for_text() -> None:
    folder = Path(__file__).parents[2] / "medqbench_vlmeval" / "data" / "mini" / "images"
    pictures = sorted(folder.iterdir())
    assert len(pictures) > 50
    assert [path.name for path in pictures if shows_text(np.asarray(Image.open(path)))] == []
