"""The image store under many writers, and images cut anywhere."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import ImageStore
from medqbench_vlmeval.data.image_forms import make_ready
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import GREEN, RED, Write, description, load, question, text_of

NOISE = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)

SUFFIXES = {"JPEG": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}


def image(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(NOISE).save(out, kind, **options)
    return out.getvalue()


def put(root: Path, data: bytes) -> str:
    return str(ImageStore(root).put(data, "here").path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_the_suffix_is_of_the_real_format(tmp_path: Path, kind: str) -> None:
    path = ImageStore(tmp_path).put(image(kind), "here").path
    assert path.suffix == f".{SUFFIXES.get(kind, kind.lower())}"
    assert path.read_bytes() == image(kind)


def test_odd_images_are_images(tmp_path: Path) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:])
        ImageStore(tmp_path).put(out.getvalue(), "here")
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
        out = io.BytesIO()
        Image.fromarray(NOISE).convert(mode).save(out, "TIFF")
        ImageStore(tmp_path).put(out.getvalue(), "here")


def saved(array: np.ndarray, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind)
    return out.getvalue()


DEEP = NOISE[:, :, 0].astype(np.uint16) * 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((saved(DEEP, kind), "grey values from 0 to 50800") for kind in ("PNG", "TIFF", "JPEG2000")),
        (saved(DEEP.astype(np.int32), "TIFF"), "no window is stated"),
        (saved(DEEP.astype(np.float32), "TIFF"), "LOW,HIGH .* column 'window' or MEDQBENCH_WINDOW"),
        (saved(np.zeros((1, 2000, 3), np.uint8), "PNG"), "2000 x 1 pixels"),
        (b"GIF89a" + bytes(7) + b"," + bytes(9) + b"\x02\0;", "its head is none of an image"),
    ],
)
def test_what_the_kit_cannot_send_is_said_at_once(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=f"here: the image .*{words}"):
        ImageStore(tmp_path).put(data, "here")
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.needs_kit
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "LAB"])
def test_the_kits_encoder_takes_what_is_taken_here_and_nothing_else(mode: str) -> None:
    encode = pytest.importorskip("vlmeval.smp.vlm").encode_image_to_base64
    deep = {"I": DEEP.astype(np.int32), "F": DEEP.astype(np.float32), "I;16": DEEP}
    image = Image.fromarray(deep[mode]) if mode in deep else Image.fromarray(NOISE).convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF")
    try:
        encode(image)
    except OSError:
        with pytest.raises(BadInput, match=r"cannot send|no window"):
            make_ready(out.getvalue(), "here")
    else:
        make_ready(out.getvalue(), "here")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_one_large_image_is_decoded_at_a_time(tmp_path: Path) -> None:
    rows = ["index\timage\tdescription"]
    for at in range(8):
        large = io.BytesIO()  # just below the limit of pixels
        Image.new("RGB", (13_000, 13_500), (at, 0, 0)).save(large, "PNG", compress_level=1)
        rows.append(f"{at}\t{text_of(large.getvalue())}\tThe quality is good.")
    path = tmp_path / "large.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom tests.data.rows import load\n"
        "from medqbench_vlmeval.benchmark import Task\nload(Path(sys.argv[1]), Task.NO_REFERENCE)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_700_000  # kB; one takes 702 MB, and threads keep some of what they freed


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@given(part=st.floats(0, 1, exclude_max=True))
def test_an_image_cut_anywhere_is_refused(kind: str, part: float) -> None:
    whole = image(kind)
    with pytest.raises(BadInput, match="here: "):
        make_ready(whole[: int(len(whole) * part)], "here")


def test_an_image_without_its_last_bytes_and_a_png_with_a_wrong_checksum_are_refused() -> None:
    wrong = bytearray(image("PNG"))
    wrong[bytes(wrong).rindex(b"IEND") - 8] ^= 1  # the last bytes of the pixel data's checksum
    cut = [image(kind)[:-missing] for kind in ("PNG", "JPEG") for missing in range(1, 30)]
    for data in (bytes(wrong), *cut):
        with pytest.raises(BadInput, match="cut short or damaged"):
            make_ready(data, "here")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cut_images_are_refused_where_another_package_told_pil_to_fill_them(kind, write_tsv, monkeypatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = image(kind)
    path = write_tsv([description("1", image=text_of(whole[: len(whole) * 2 // 3]))])
    with pytest.raises(BadInput, match="cut short"):
        load(path, Task.NO_REFERENCE)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@given(st.binary(max_size=200), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "PPM", "JPEG2000"]))
def test_garbage_behind_a_right_start_is_refused_or_whole(tail: bytes, kind: str) -> None:
    try:
        make_ready(image(kind)[:40] + tail, "here")
    except BadInput as error:
        assert str(error).startswith("here: ")


@pytest.mark.slow
def test_many_processes_write_the_same_image_once(tmp_path: Path) -> None:
    data = image("PNG")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        paths = set(pool.map(put, [tmp_path] * 12, [data] * 12))
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == data
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".png"]


def test_a_stored_file_of_another_size_is_written_again_and_a_folder_that_takes_none_is_named(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    path = store.put(image("PNG"), "here").path
    path.write_bytes(b"")
    assert store.put(image("PNG"), "here").path.read_bytes() == image("PNG")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"the image folder .* (cannot be|LMUData)"):
        ImageStore(tmp_path / "file").put(image("PNG"), "here")


def test_default_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMUData", str(tmp_path))
    assert ImageStore.default().root == tmp_path / "images" / "MedQBench"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LMUData", "~/absent/folder")
    assert ImageStore.default().root == tmp_path / "home" / "absent" / "folder" / "images" / "MedQBench"
    assert (tmp_path / "home" / "absent" / "folder").is_dir(), "the kit would take another one"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMUData", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"data folder .*file \(LMUData\) cannot be made"):
        ImageStore.default()
    monkeypatch.delenv("LMUData")
    assert ImageStore.default().root == tmp_path / "home" / "LMUData" / "images" / "MedQBench"


def test_images_are_stored_once_byte_for_byte_under_their_hash(write_tsv: Write) -> None:
    path = write_tsv([question("1"), question("2", image=text_of(GREEN)), question("3", image=text_of(RED))])
    samples, _ = load(path, Task.PERCEPTION)
    first, second, third = (sample.images[0] for sample in samples)
    assert first == third
    assert (first.read_bytes(), first.name) == (RED, f"{hashlib.sha256(RED).hexdigest()}.png")
    assert (second.read_bytes(), second.suffix) == (GREEN, ".jpg")
    assert first.is_relative_to(ImageStore.default().root.parent.parent / "images" / "MedQBench")
    written = first.stat().st_mtime_ns
    load(path, Task.PERCEPTION)
    assert first.stat().st_mtime_ns == written
