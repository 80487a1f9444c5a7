"""Generated files: plausible tables with hostile cells in every dialect, and real images with damage; and a watch over
what a loader touches."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

_NOISE = np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype=np.uint8)


_DEEP = _NOISE[:, :, 0].astype(np.uint16) * 200


def _dicom(pixels: np.ndarray, rle: bool = False, **elements: object) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    is_colour = pixels.shape[-1] == 3
    file.Rows, file.Columns = 12, 10
    file.SamplesPerPixel, file.PhotometricInterpretation = (3, "RGB") if is_colour else (1, "MONOCHROME2")
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit, file.PixelRepresentation, file.PlanarConfiguration = file.BitsStored - 1, 0, 0
    file.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    if rle:
        file.compress(RLELossless, pixels)
    out = io.BytesIO()
    dcmwrite(out, file)
    return out.getvalue()


def _image(kind: str, mode: str = "RGB", **options: object) -> bytes:
    image = Image.fromarray(_DEEP) if mode == "I;16" else Image.fromarray(_NOISE).convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


_SECOND = {"save_all": True, "append_images": [Image.fromarray(255 - _NOISE)]}
_TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
IMAGES = [
    *(_image("PNG", mode) for mode in ("RGB", "P", "LA", "L", "1", "I;16")),
    *(_image("JPEG", mode) for mode in ("RGB", "CMYK", "L")),
    *(_image("JPEG", exif=_TURNED), _image("JPEG", progressive=True)),
    *(_image("WEBP", mode, lossless=lossless) for mode in ("RGB", "RGBA") for lossless in (False, True)),
    *(_image("TIFF", "RGB", compression=name) for name in (None, "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")),
    *(_image("TIFF", mode) for mode in ("CMYK", "I;16", "LAB")),
    _image("TIFF", "1", compression="group4"),
    *(_image("BMP", mode) for mode in ("RGB", "P", "1")),
    *(_image("PPM", mode) for mode in ("RGB", "L", "1")),
    *(_image("JPEG2000"), _image("JPEG2000", "L", no_jp2=True), _image("JPEG2000", "I;16"), _image("GIF")),
    *(_image(kind, **_SECOND) for kind in ("GIF", "PNG", "WEBP", "TIFF")),
]
IMAGES += [
    _dicom(_NOISE),
    _dicom(_NOISE, rle=True),
    _dicom(_NOISE[:, :, 0], PhotometricInterpretation="MONOCHROME1"),
    _dicom(_DEEP, WindowCenter=9_000, WindowWidth=500, RescaleSlope=2, RescaleIntercept=-1_000),
    _dicom(np.stack([_DEEP, _DEEP]), rle=True, NumberOfFrames=2),
]
_NUMBERS = [
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\0\1\0\0",
    b"\0",
    b"\xff",
    b"\x80",
    b"\0\0\xff\xff",
]


_XML = [
    b"</row>",
    b"<row r='1048577'>",
    b"<row r='-1'>",
    b"<row r='x'>",
    b"<c r='XFE1'>",
    b"<c t='s'><v>9</v></c>",
    b"<f>",
    b"<rPh>",
    b"<c t='s'><v>-1</v></c>",
    b"<!DOCTYPE a [<!ENTITY a 'a'>]>",
    b"<is/>",
    b"<v>",
    b"]]>",
    b"&a;",
]
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKS = [
    b'"',
    b'""',
    b"\t",
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"[",
    b"{",
    b'"\n"',
    b"=",
    b"<",
    b"PK",
]


def damaged(data: bytes, random: Random, pieces: Sequence[bytes], reach: int = 1 << 20) -> bytes:
    """The bytes with one to three cuts, insertions, replacements, losses or flipped bits, most of them near the start
    where formats say what they are."""
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(min(len(data), random.choice((40, 200, reach))) + 1)
        piece = random.choice(pieces)
        match random.randrange(6):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + piece + data[at:]
            case 2 | 3:
                data = data[:at] + piece + data[at + len(piece) :]
            case 4:
                data = data[:at] + data[at + random.randrange(20) :]
            case _:
                data = data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
    return data


def image_bytes(random: Random) -> bytes:
    """A real image of any format, mostly damaged."""
    data = random.choice(IMAGES)
    return damaged(data, random, _NUMBERS) if random.random() < 0.8 else data


_TEXTS = [
    "Is it sharp?",
    "Yes",
    "No",
    "None",
    "nan",
    "",
    " ",
    "A",
    "b",
    "(C)",
    "0",
    "1",
    "7.0",
    "007",
    "-1",
    "1e400",
    "L0",
    "mild",
    "CT",
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=cmd|' /C calc'!A0",
    'a "quoted" word',
    '"',
    '""',
    "two\nlines",
    "two\r\nlines",
    "old\rline",
    "tab\there",
    "\x00",
    "\x1b[2J",
    "\u202eleft",
    "\ufeff",
    "\ud7ff\ue000",
    "\U0001f600",
    "é",
    "x" * 9_000,
    "[]",
    "{}",
    '["a"]',
    "NoReference:1",
    "L7",
    "2.5",
    "0,255",
    "5,5",
    "-1e99 1e99",
    "9" * 3_000,
    "E",
]
_PATHS = [
    "in.png",
    "./in.png",
    "in side.png",
    "deep.png",
    "cut.png",
    "pipe.png",
    "../secret.png",
    "a/../../secret.png",
    "/etc/passwd",
    "C:\\x.png",
    "~/x.png",
    "out.png",
    "loop.png",
    "folder",
    ".",
    "in.png/..",
    "a\x00b.png",
    "x" * 5_000,
    '["in.png"]',
    "['in.png']",
    '["in.png", "in side.png"]',
    "['in.png', '../secret.png']",
    '["a\\u0000b.png"]',
    '["\\ud800"]',
    "[" * 3_000,
    "['a' 'b']",
    "[1+1]",
    "https://127.0.0.1:1/a.png",
    "images.zip",
    "images.zip/in.png",
    "images.zip!/in.png",
    "nan",
]
_NAMES = {
    "index": ["index", "ID", "in dex"],
    "question": ["question", "Question"],
    "A": ["A", "a"],
    "B": ["B", "option_b"],
    "C": ["C"],
    "answer": ["answer", "gt"],
    "description": ["description", "reference"],
    "image": ["image", "Image"],
    "image_path": ["image_path", "path"],
    "image_a": ["image_a"],
    "image_b": ["image_b"],
    "severity": ["severity", "degree"],
    "question_type": ["question_type"],
    "modality": ["modality", "Modality "],
}
_SHAPES = [
    ["index", "question", "A", "B", "answer", "image"],
    ["index", "question", "A", "B", "C", "answer", "image_path"],
    ["index", "question", "A", "B", "answer", "image", "image_path", "severity", "question_type", "modality"],
    ["index", "description", "image", "window"],
    ["index", "question", "A", "B", "C", "D", "E", "answer", "image_path", "window"],
    ["index", "question", "A", "B", "C", "D", "E", "answer", "image", "severity", "degradation", "category", "pair"],
    ["index", "description", "image_path"],
    ["index", "description", "image_a", "image_b"],
    ["index", "question", "description", "image", "image_path"],
]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image_cell(random: Random) -> str:
    """A cell of an image column: base64 in some dress, a path, another row's index, or nothing of these."""
    data = image_bytes(random)
    dress = random.randrange(8)
    plain = _encoded(data)
    dresses = (
        f"data:image/png;base64,{plain}",
        json.dumps([plain] * 2),
        str([plain]),
        str(base64.b64encode(data)),
        plain[: len(data)],
        random.choice([*_PATHS, "0", "1", "2"]),
    )
    return dresses[dress] if dress < len(dresses) else plain


# What a column mostly holds, so that many files are right but for a cell.
_USUAL = {
    "question": "Is it sharp?",
    "A": "Yes",
    "B": "No",
    "C": "Maybe",
    "answer": "A",
    "description": "Sharp. Good.",
    "severity": "mild",
    "question_type": "what",
    "modality": "CT",
    "window": "0,40000",
    "degradation": "noise",
    "category": "sensor",
    "pair": "p1",
    "D": "Never",
    "E": "nan",
    "image_path": "in.png",
    "prediction": "A",
}
_SOUND = [_encoded(data) for data in IMAGES[:5]]
_ODD = [*_TEXTS, *_PATHS]


@dataclass(frozen=True)
class Table:
    """A file's content, before it is written in some format."""

    header: list[str]
    rows: list[list[str]]

    def records(self) -> list[dict[str, str]]:
        return [dict(zip(self.header, row, strict=False)) for row in self.rows]


@st.composite
def tables(draw: st.DrawFn, more: Sequence[str] = ()) -> Table:
    """A sound data file of up to three rows, with further columns."""
    header = [*draw(st.sampled_from(_SHAPES)), *more]
    images = draw(st.lists(st.sampled_from(_SOUND), min_size=2, max_size=2))
    known = {**_USUAL, "image": images[0], "image_a": images[0], "image_b": images[1]}
    known |= {"severity": "L1"} if "pair" in header else {}
    rows = range(draw(st.integers(1, 3)))
    return Table(header, [[str(row) if name == "index" else known[name] for name in header] for row in rows])


def spoiled(table: Table, random: Random) -> Table:
    """The table with up to two hostile cells and, now and then, another header or width."""
    header, rows = list(table.header), [list(row) for row in table.rows]
    for _ in range(random.choice((0, 1, 1, 2))):
        row, at = random.choice(rows), random.randrange(len(header))
        is_image = header[at].startswith("image") and random.random() < 0.8
        row[at % len(row)] = image_cell(random) if is_image else random.choice(_ODD)
    match random.randrange(24):
        case 0:
            at = random.randrange(len(header))
            header[at] = random.choice([*header, *_ODD, *_NAMES.get(header[at], [])])
        case 1:
            header.insert(random.randrange(len(header)), random.choice([*header, *_ODD, *_NAMES]))
        case 2:
            random.choice(rows).append(random.choice(_ODD))
        case 3:
            random.choice(rows).pop(random.randrange(len(header)))
        case 4:
            rows = []
        case 5:
            header = [random.choice(_NAMES.get(name, [name])) for name in header]
    return Table(header, rows)


def as_delimited(table: Table, random: Random, delimiter: str) -> bytes:
    """The table as delimited text of some dialect and encoding."""
    out = io.StringIO(newline="")
    quoting = random.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC))
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r\n", "\r"))
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([table.header, *table.rows])
    encoding = random.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-8", "utf-8", "utf-16", "latin-1"))
    return out.getvalue().encode(encoding, errors="replace")


def _value(text: str, random: Random) -> object:
    """A cell as JSON spells it, now and then as another type."""
    if random.random() < 0.93:
        return text
    odd = (
        None,
        True,
        7,
        7.0,
        1e400,
        float("nan"),
        -(10**30),
        [text],
        {"bytes": text, "path": None},
        {},
        [[text]],
        "\ud800",
    )
    return random.choice(odd)


def as_json_lines(table: Table, random: Random) -> bytes:
    records = [{name: _value(text, random) for name, text in record.items()} for record in table.records()]
    ascii_ = random.random() < 0.7
    lines = (json.dumps(record, ensure_ascii=ascii_) for record in records)
    return random.choice(("\n", "\n", "\r\n", "\n\n")).join(lines).encode("utf-8", errors="surrogatepass")


def as_json(table: Table, random: Random) -> bytes:
    records = [{name: _value(text, random) for name, text in record.items()} for record in table.records()]
    columns = {name: [record.get(name) for record in records] for name in table.header}
    by_label = {name: dict(enumerate(column)) for name, column in columns.items()}
    split = {"columns": table.header, "data": table.rows}
    return json.dumps(random.choice((records, columns, by_label, split)), indent=random.choice((None, 2))).encode()


def as_book(table: Table, random: Random) -> bytes:
    """A workbook of texts; damage goes into its parts, since an archive's checksums see most of what is done to it."""
    rows = []
    for cells in (table.header, *table.rows):
        texts = (escape(_NOT_XML.sub("", cell)) for cell in cells)
        kinds = ("<c t='str'><v>{}</v></c>", "<c t='inlineStr'><is><t>{}</t></is></c>", "<c t='str'><f>{}</f></c>")
        rows.append("<row>" + "".join(kinds[random.randrange(16) % 3 % 2].format(text) for text in texts) + "</row>")
    sheet = f"<worksheet><sheetData>{''.join(rows)}</sheetData></worksheet>".encode()
    book = b"<workbook><sheets><sheet name='a' r:id='rId1'/></sheets></workbook>"
    if random.random() < 0.3:
        sheet = damaged(sheet, random, [*_XML, *_MARKS], len(sheet))
    if random.random() < 0.05:
        book = damaged(book, random, [*_XML, *_MARKS], len(book))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        archive.writestr("xl/workbook.xml", book)
        archive.writestr("xl/_rels/workbook.xml.rels", b"<Relationships/>")
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return out.getvalue()


def _column(cells: list[str], random: Random) -> pa.Array:
    """Cells as Parquet holds them: mostly texts, now and then numbers, bytes, structs, lists, or a dictionary."""
    texts = [cell.encode("utf-8", errors="replace") for cell in cells]
    data = [
        base64.b64decode(text) if len(text) > 200 and len(text) % 4 == 0 and text.isalnum() else text for text in texts
    ]
    match random.randrange(20):
        case 0:
            return pa.array([{"bytes": each, "path": "x"} for each in data])
        case 1:
            return pa.array(data, pa.large_binary())
        case 2:
            return pa.array([[each] for each in data])
        case 3:
            return pa.array([float(text) if text.isdigit() else None for text in texts])
        case 4:
            return pa.array([{"a": [text]} for text in texts])
        case 5:
            return pa.array([random.choice((True, None)) for _ in texts])
        case 6:
            return pa.array(
                [7 * len(text) for text in texts], random.choice((pa.timestamp("s"), pa.date32(), pa.int8()))
            )
        case 7:
            return pa.nulls(len(texts))
    column = pa.array([text.decode() for text in texts])
    return column.dictionary_encode() if random.random() < 0.2 else column


def as_parquet(table: Table, random: Random) -> bytes:
    rows = [[*row, *[""] * len(table.header)][: len(table.header)] for row in table.rows]
    try:
        columns = [_column([row[at] for row in rows], random) for at in range(len(table.header))]
    except (pa.ArrowException, ValueError):
        columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(table.header))]
    names = [name.encode(errors="replace").decode() for name in table.header]
    out = io.BytesIO()
    packing = random.choice(("none", "snappy", "zstd", "gzip"))
    pq.write_table(pa.Table.from_arrays(columns, names), out, compression=packing, use_dictionary=random.random() < 0.5)
    data = out.getvalue()
    if random.random() < 0.3:  # what its foot says decides all
        at = max(0, len(data) - random.randrange(1, 900))
        data = data[:at] + damaged(data[at:], random, [*_NUMBERS, b"\x15\x80\x80"])
    return data


def in_bytes(data: bytes, random: Random) -> bytes:
    """The file itself, or (one in three) damaged."""
    return data if random.random() < 0.67 else damaged(data, random, _MARKS)


_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, [], {}, [[]], {"a": 1}, [None]),
    *("", "x", "=1+1", "\ud800", "x" * 3_000, "perception", "\0"),
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def spoiled_json(value: Any, random: Random) -> Any:
    """JSON with up to three values of another type, absent, or under an odd name."""
    value = deepcopy(value)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        *above, last = random.choice(places)
        holder = reduce(getitem, above, value)
        action, odd = random.randrange(4), deepcopy(random.choice(_ODD_VALUES))
        if action == 0 and isinstance(holder, dict):
            del holder[last]
        elif action == 1 and isinstance(holder, dict):
            holder[random.choice(("x", "Overall", "n", "index", "\ud800"))] = odd
        else:
            holder[last] = odd
    return value


class Watch:
    """What this process opens, makes, moves and removes, while :meth:`over` a block."""

    def __init__(self) -> None:
        self.is_on = False
        self.opened: list[str] = []
        self.written: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.is_on:
            return
        if event == "open" and not isinstance(arguments[0], int):
            path, _, flags = arguments
            is_written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            (self.written if is_written else self.opened).append(str(path))
        elif event in ("os.rename", "os.link", "os.symlink"):
            self.written += [str(arguments[0]), str(arguments[1])]
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime"):
            self.written.append(str(arguments[0]))
        elif event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "pickle.find_class", "os.fork"):
            self.written.append(event)

    @contextmanager
    def over(self) -> Iterator[None]:
        self.opened.clear()
        self.written.clear()
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False


WATCH = Watch()


def furnish(root: Path) -> Path:
    """A folder for data files, with images, links and other things beside them; its files' parent has a secret."""
    folder = root / "data"
    folder.mkdir()
    (root / "secret.png").write_bytes(IMAGES[0])
    for name, data in (
        ("in.png", IMAGES[0]),
        ("in side.png", IMAGES[1]),
        ("deep.png", IMAGES[5]),
        ("cut.png", IMAGES[0][:99]),
    ):
        (folder / name).write_bytes(data)
    (folder / "a").mkdir()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "out.png").symlink_to("../secret.png")
    (folder / "loop.png").symlink_to("loop.png")
    return folder
