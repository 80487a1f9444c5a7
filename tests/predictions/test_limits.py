"""Small files that would take much memory, and damaged files of every kind."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.predictions import read_predictions
from tests.predictions.test_files import whole

HEAD = '<row r="1"><c r="A1" t="str"><v>index</v></c><c r="B1" t="str"><v>prediction</v></c></row>'


def book(rows: str, shared: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", '<workbook><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>')
            archive.writestr("xl/_rels/workbook.xml.rels", "<Relationships/>")
            sheet = f"<worksheet><sheetData>{HEAD}{rows}</sheetData></worksheet>"
            archive.writestr("xl/worksheets/sheet1.xml", sheet)
            if shared:
                archive.writestr("xl/sharedStrings.xml", f"<sst>{shared}</sst>")

    return write


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content, encoding="utf-8") and None


def own_keys(rows: int, keys: int) -> Iterator[str]:
    for row in range(rows):
        yield json.dumps({"index": row, "prediction": "A", **{f"{row}-{key}": 1 for key in range(keys)}})


WIDE = ",".join(["index", "prediction", *map(str, range(998))]) + "\n"
ATTACKS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "own keys": ("jsonl", text("\n".join(own_keys(2000, 300))), "has 1,202 columns or more, and at most 1,000"),
    "own keys at once": ("json", text(f"[{','.join(own_keys(2000, 300))}]"), "1,202 columns"),
    "empty lists": ("json", text(f"[{'[],' * 6_000_000}[]]"), "holds 12,000,002 values; at most 5,000,000"),
    "one long line": ("jsonl", text(f'{{"index": [{"[]," * 6_000_000}[]]}}'), "line 1 holds 12,000,003 values"),
    "blank lines": ("jsonl", text("\n" * 1_100_000), "more than 1,048,576 lines"),
    "blank rows": ("csv", text("index,prediction\n" + "\n" * 1_100_000), "has 1,048,577 rows or more"),
    "cells": ("csv", text(WIDE + f"1{',' * 999}\n" * 5_010), "has 5,001,000 cells or more"),
    "an open quote": ("csv", text('index,prediction\n1,"A' + "\n" * 1_100_000), "line 2: a double quote opens here"),
    "a wide head": ("csv", text(",".join(map(str, range(100_000)))), "has 1,001 columns or more"),
    "a wide row": ("csv", text("index,prediction\n" + "," * 30_000_000), "1001 or more cells"),
    "a far row": ("xlsx", book('<row r="1048577"/>'), "row number 1048577 is out of order or beyond 1,048,576"),
    "far rows": ("xlsx", book("".join(f'<row r="{at * 1048570}"/>' for at in range(1, 60))), "row number 2097140"),
    "a far column": ("xlsx", book('<row><c r="XFD2"><v>1</v></c></row>'), "has 16,384 columns or more"),
    "far columns": ("xlsx", book('<row><c r="ALL2"><v>1</v></c></row>' * 5_010), "5,000,002 cells with"),
    "a bomb": ("xlsx", book(" " * 70_000_000), "sheet1.xml unpacks to 66 MiB from 0.1, and at most 64 MiB are read"),
    "a long text": ("xlsx", book(f"<row><c t='str'><v>{'A' * 20_000_000}</v></c></row>"), "16 MiB without the end"),
    "a long shared text": ("xlsx", book("", f"<si>{'<r><t>a</t></r>' * 2_000_000}</si>"), "16 MiB without the end"),
    "a text many times": (
        "xlsx",
        book('<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>' * 2000, f"<si><t>{'A' * 1_000_000}</t></si>"),
        "and at most 5,000,000 and 1,073,741,824 are read",
    ),
}  # fmt: skip


SLOW = pytest.mark.slow
_LONG = ("a long sh", "blank", "an open quote", "one long line")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[SLOW] * name.startswith(_LONG)) for name in ATTACKS])
def test_what_would_take_much_memory_is_refused_by_its_limit(tmp_path: Path, name: str) -> None:
    suffix, write, words = ATTACKS[name]
    path = tmp_path / f"m.{suffix}"
    write(path)
    with pytest.raises(BadInput) as error:
        read_predictions(path)
    assert str(path) in str(error.value)
    assert words in str(error.value)


@SLOW
@pytest.mark.parametrize("name", ATTACKS)
def test_it_takes_little_memory_until_it_is_refused(tmp_path: Path, name: str) -> None:
    suffix, write, _ = ATTACKS[name]
    path = tmp_path / f"m.{suffix}"
    write(path)
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))\n"
        "from medqbench_vlmeval.errors import BadInput\nfrom medqbench_vlmeval.predictions import read_predictions\n"
        "try: read_predictions(Path(sys.argv[1]))\nexcept BadInput: sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-300:]


def test_empty_cells_far_to_the_right_and_empty_rows_below_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    rows = '<row><c><v>7</v></c><c t="str"><v>A</v></c></row>' + '<row><c r="XFD1" s="1"/></row>' * 2000
    book(rows + '<row r="1048576"/>')(path)
    assert [(p.index, p.text) for p in read_predictions(path).predictions] == [("7", "A")]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["xlsx", "csv", "tsv", "json", "jsonl"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 0.999), st.binary(max_size=6) | st.sampled_from([b'"', b"[", b"{", b",", b"\t", b"\n"])),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, suffix: str, edits: list[tuple[float, bytes]]) -> None:
    data = whole(tmp_path, suffix)
    for place, piece in edits:
        at = int(len(data) * place)
        data = data[:at] + piece + data[at + 1 :]
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(data)
    try:
        read_predictions(path)
    except BadInput as error:
        assert str(path) in str(error)
