"""Small files that ask for much: each is written by a function of its path, and named by what it tries.

Run as a program, it loads the attacks that it is given one after the other and prints, for each, how many MiB of memory
it took at its peak beyond what was in use, and what was said: ``python -m tests.data.hostile_files FOLDER NAME...``.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.image_store import ImageStore
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import read_predictions
from tests.data.rows import RED, text_of

HEAD = b"index\tquestion\tA\tB\tanswer\timage\timage_path\n"
ROW = b"1\tIs it sharp?\tYes\tNo\tA\t"


def webp(width: int, height: int) -> bytes:
    """An animation on a canvas of that size whose only frame is of one pixel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    one = io.BytesIO()
    Image.new("RGB", (1, 1)).save(one, "WEBP", lossless=True)
    canvas = bytes([0x12, 0, 0, 0]) + b"".join(struct.pack("<I", side - 1)[:3] for side in (width, height))
    frame = chunk(b"ANMF", bytes(12) + b"\x64\0\0\0" + one.getvalue()[12:])
    body = b"WEBP" + chunk(b"VP8X", canvas) + chunk(b"ANIM", bytes(6)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(side: int, tile: int, pixels: bytes, bits: int = 8) -> bytes:
    """A grey image in one deflated tile, which may be larger than it."""
    tags = {
        256: side,
        257: side,
        258: bits,
        259: 8,
        262: 1,
        277: 1,
        322: tile,
        323: tile,
        324: 0,
        325: len(pixels),
        339: 1,
    }
    tags[324] = 14 + 12 * len(tags)
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + pixels


def zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def announcing(kind: str, width: int, height: int) -> bytes:
    """An image of 16 x 16 pixels whose head says more."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 10, 10)).save(out, kind)
    data = out.getvalue()
    if kind == "PNG":
        head = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    if kind == "GIF":
        return data[:6] + struct.pack("<HH", width, height) + data[10:]
    if kind == "BMP":
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if kind == "JPEG2000":
        small, large = struct.pack(">II", 16, 16), struct.pack(">II", width, height)
        return data.replace(small, large).replace(small[::-1], large[::-1])
    return data.replace(b"16 16", f"{width} {height}".encode())


def dicom(rows: int = 16, deflated: bool = False, nested: int = 0) -> bytes:
    """A DICOM file of 16 x 16 pixels that announces so many rows, holds 256 MiB of zeros behind a long head, or
    sequences in sequences."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    file.Rows = file.Columns = 16
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit, file.PixelRepresentation, file.PixelData = 7, 0, bytes(256)
    out = io.BytesIO()
    dcmwrite(out, file, enforce_file_format=True)
    data = out.getvalue()
    data = data.replace(
        struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 16), struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, rows)
    )
    at = data.index(struct.pack("<HH2s", 0x28, 0x02, b"US"))
    item = struct.pack("<HH2sHIHHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    data = data[:at] + item * nested + data[at:]
    if deflated:
        head = struct.pack("<HH2sHI", 2, 1, b"OB", 0, 5_000) + bytes(5_000)
        uid = struct.pack("<HH2sH22s", 2, 0x10, b"UI", 22, b"1.2.840.10008.1.2.1.99")
        length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(head) + len(uid))
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 8)) + packer.flush()
        data = bytes(128) + b"DICM" + length + head + uid + body
    return data


def table(*rows: bytes, head: bytes = HEAD) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(head + b"".join(rows)) and None


def with_image(image: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: table(ROW + text_of(image()).encode() + b"\t\n")(path)


def a_window(text: bytes) -> Callable[[Path], None]:
    row = ROW + text_of(tiff(16, 16, zlib.compress(bytes(512)), bits=16)).encode() + b"\t\t" + text + b"\n"
    return table(row, head=HEAD[:-1] + b"\twindow\n")


def holes(size: int) -> Callable[[Path], None]:
    """A file that says it is so large, of which nothing is on the disk."""

    def write(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return write


def long_cell(size: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as out:
            out.write(HEAD + b"1\t")
            for _ in range(size >> 20):
                out.write(b"q" * (1 << 20))
            out.write(b"\tYes\tNo\tA\t\tq.png\n")

    return write


def parquet(extra: Callable[[], pa.Array | pa.ChunkedArray], **options: object) -> Callable[[Path], None]:
    """A sound file with one more column."""

    def write(path: Path) -> None:
        column = extra()
        cells = {"question": "Is it sharp?", "A": "Yes", "B": "No", "answer": "A", "image": text_of(RED)}
        columns = {name: [cell] * len(column) for name, cell in cells.items()}
        content = pa.table({"index": [*map(str, range(len(column)))], **columns, "note": column})
        pq.write_table(content, path, compression="zstd", write_statistics=False, **options)

    return write


def repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([text]))


def wide_text_book(path: Path) -> None:
    """A workbook of few bytes whose cells are long texts, each with one character that makes it four times as large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/workbook.xml", '<workbook><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels", "<Relationships/>")
        with archive.open("xl/worksheets/sheet1.xml", "w") as out:
            out.write(b"<worksheet><sheetData>")
            for at in range(38):
                text = f"{os.urandom(1 << 17).hex()}{'a' * 7_500_000}\U0001f600"
                out.write(f'<row><c t="str"><v>{at}</v></c><c t="str"><v>{text}</v></c></row>'.encode())
            out.write(b"</sheetData></worksheet>")


@dataclass(frozen=True)
class Attack:
    """What writes a file, its name, the words of the refusal, and the most MiB that reading it may take."""

    write: Callable[[Path], None]
    words: str
    most: int = 100
    name: str = "data.tsv"
    slow: bool = False


AT_ONCE = "row 1 (index '1'): the image announces more than"
NO_TEXTS = "row 1 (index '1'): the cell stands in brackets but is not a list of texts"
RETURN = "a carriage return stands alone"
IMAGES = {
    "a WebP of 90 bytes, its canvas of 178 million pixels": (lambda: webp(13_000, 13_700), AT_ONCE),
    "a WebP of 8 million by 12": (lambda: webp(8_000_000, 12), AT_ONCE),
    "a TIFF of 64 x 64 in a tile of a billion": (lambda: tiff(64, 32_768, zeros(1 << 20)), AT_ONCE),
    "a TIFF of 64 x 64 in a tile of 4 billion": (lambda: tiff(64, 65_520, b""), AT_ONCE),
    "a PNG of 60,000 x 60,000": (lambda: announcing("PNG", 60_000, 60_000), AT_ONCE),
    "a JPEG of 60,000 x 60,000": (lambda: announcing("JPEG", 60_000, 60_000), AT_ONCE),
    "a GIF of 60,000 x 60,000": (lambda: announcing("GIF", 60_000, 60_000), AT_ONCE),
    "a BMP of 60,000 x 60,000": (lambda: announcing("BMP", 60_000, 60_000), AT_ONCE),
    "a PPM of 60,000 x 60,000": (lambda: announcing("PPM", 60_000, 60_000), AT_ONCE),
    "a JPEG 2000 of 7,000 x 7,000": (lambda: announcing("JPEG2000", 7_000, 7_000), AT_ONCE),
    "a PNG of 200,000 x 12": (lambda: announcing("PNG", 200_000, 12), "row 1 (index '1'): the image is 200000 x 12"),
    "deep grey of 7,000 x 7,000": (lambda: tiff(7_000, 16, b"", bits=32), AT_ONCE),
    "a DICOM file of 60,000 rows": (lambda: dicom(rows=60_000), "row 1 (index '1'): the image "),
    "a DICOM file that unpacks to 256 MiB": (
        lambda: dicom(deflated=True),
        "row 1 (index '1'): the image is a deflated",
    ),
    "sequences 5,000 deep in DICOM": (
        lambda: dicom(nested=5_000),
        "row 1 (index '1'): the image is cut short or damaged",
    ),
}
ATTACKS = {
    **{name: Attack(with_image(image), words, 20, slow="256" in name) for name, (image, words) in IMAGES.items()},
    "a window of a million digits": Attack(a_window(b"1" * 1_000_000 + b"x"), "the image has the window '1111"),
    "a NUL in a list": Attack(table(ROW + b'\t["a\\u0000b.png"]\n'), "row 1 (index '1'): the image path 'a\0b.png'"),
    "a path of 30 million folders": Attack(
        table(ROW + b"\t" + b"a/" * 30_000_000 + b"\n"), "row 1 (index '1'): the image path 'a/a/", 300, slow=True
    ),
    "a list of lists": Attack(table(ROW + b"\t[" + b"[]," * 2_000_000 + b"[]]\n"), NO_TEXTS, 60),
    "a list of empty texts": Attack(table(ROW + b"\t[" + b"''," * 2_000_000 + b"'']\n"), NO_TEXTS, 60),
    "a sum": Attack(table(ROW + b"\t[" + b"1+" * 3_000_000 + b"1]\n"), NO_TEXTS, 60),
    "a column's name of 9 MB": Attack(table(head=b"index\t" + b"h" * 9_000_000), "the name of column 2 has 9,000,000"),
    "a name of 9 MB twice": Attack(table(head=b"h" * 9_000_000 + b"\t" + b"h" * 9_000_000), "the name of column 1 has"),
    "2,000 columns": Attack(table(head=b"\t".join(b"%d" % at for at in range(2_000))), "has 1,001 columns or more"),
    "line ends of old Macs": Attack(table(head=HEAD.replace(b"\n", b"\r") + ROW + b"\t\r"), f"line 1: {RETURN}"),
    "a carriage return in a cell": Attack(table(ROW.replace(b" ", b"\r") + b"\t\n"), f"line 2: {RETURN}"),
    "10 GB of holes": Attack(holes(10 << 30), "line 1: a NUL byte", 300, slow=True),
    "a cell of 1 GB": Attack(long_cell(1 << 30), "line 2 is longer than 128 MiB", 300, slow=True),
    "a Parquet page of 100 MiB in 10 kB": Attack(
        parquet(lambda: pa.array(["a" * (100 << 20)]), use_dictionary=False, data_page_size=1 << 30),
        "unpacks to 100 MiB from",
        20,
        "data.parquet",
        slow=True,
    ),
    "a text of 20 MiB in each row of 30 kB of Parquet": Attack(
        parquet(lambda: repeated("a" * (20 << 20), 60), dictionary_pagesize_limit=1 << 30),
        "row 52: the row has 20,97",
        700,
        "data.parquet",
        slow=True,
    ),
    "a million rows of the same": Attack(
        parquet(lambda: pa.nulls(1_100_000, pa.int8())), "has 1,100,000 rows or more", 20, "data.parquet", slow=True
    ),
    "predictions of 10 GB": Attack(holes(10 << 30), "is larger than 256 MiB", 10, "m.csv"),
    "a workbook of 10 GB": Attack(holes(10 << 30), "is larger than 256 MiB", 10, "m.xlsx"),
    "JSON of 10 GB": Attack(holes(10 << 30), "is larger than 256 MiB", 10, "m.json"),
    "texts that grow fourfold": Attack(wide_text_book, "and at most 256 MiB are read", 50, "m.xlsx", slow=True),
}


def read(path: Path) -> str:
    """What is said of a file: the words of the refusal, or 'read'."""
    try:
        if path.stem == "data":
            load_table(path, Task.PERCEPTION, ImageStore.default())
        else:
            read_predictions(path)
    except BadInput as error:
        return str(error)
    return "read"


def _memory(key: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"{key}:\s+(\d+)", text)[0]) >> 10


def main(folder: Path, *names: str) -> None:
    """Print the peak and the words of each attack, as a line of JSON."""
    path = folder / "data.tsv"
    table(ROW + text_of(RED).encode() + b"\t\n")(path)
    read(path)  # what is imported is no attack's memory
    for name in names:
        path = folder / ATTACKS[name].name
        ATTACKS[name].write(path)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak back
        before = _memory("VmRSS")
        said = read(path)
        print(json.dumps([name, _memory("VmHWM") - before, said]), flush=True)
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
