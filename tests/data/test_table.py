"""The streaming reader against the csv module, and broken files."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.data.table import TableReader
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import opened

CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), max_size=12) | st.text(
    '"\t\n ,a', max_size=8
)


def read(path: Path, delimiter: bytes = b"\t") -> tuple[list[str], list[list[str]], str]:
    with opened(path) as source:
        table = TableReader(path, source, delimiter)
        rows = [[table.text(row, at) for at in range(len(table.header))] for row in table.rows()]
        return list(table.header), rows, table.sha256


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=6),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from(["\t", ","]),
    bom=st.booleans(),
)
def test_reads_back_what_the_csv_module_writes(tmp_path_factory, rows, quoting, end, delimiter, bom) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("x", "y", "z"), *rows])
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    data = out.getvalue().encode("utf-8-sig" if bom else "utf-8")
    path.write_bytes(data)
    header, read_rows, digest = read(path, delimiter.encode())
    assert header == ["x", "y", "z"]
    assert read_rows == [list(row) for row in rows]
    assert digest == hashlib.sha256(data).hexdigest()


@given(text=st.text('ab"\t\n', max_size=30))
def test_splits_odd_quotes_as_the_csv_module_does(tmp_path_factory, text) -> None:
    body = f"x\ty\n{text}\n"
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    path.write_text(body, encoding="utf-8", newline="")
    expected = [row for row in csv.reader(io.StringIO(body, newline=""), delimiter="\t") if row not in ([], [""])][1:]
    try:
        _, read_rows, _ = read(path)
    except BadInput as error:
        # The csv module lets rows of another width and a quote that is never closed pass.
        assert any(len(row) != 2 for row in expected) or "never closed" in str(error)
    else:
        assert read_rows == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x\ty\n1\t2\t3\n", "row 1: 3 cells, but the header names 2"),
        (b"x\ty\n1\t2\n3", "row 2: 1 cells, but the header names 2 columns and the file ends without a line break"),
        (b"x\ty\n1\ta\0b\n", "line 2: a NUL byte"),
        (b"x\ty\n1\t\xff\xfe\n", "row 1: column 'y' is not UTF-8"),
        (b"\xff\xfex\0", "is UTF-16"),
        (b'x\ty\n1\t"never closed\n2\tb\n', "line 2: a double quote opens a cell and is never closed"),
        (b"x\tx\n1\t2\n", "names the column 'x' twice"),
    ],
)
def test_says_what_is_broken(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "broken.tsv"
    path.write_bytes(data)
    with pytest.raises(BadInput) as error:
        read(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_names_a_missing_file_and_what_is_no_file(tmp_path: Path) -> None:
    names = {"no.tsv": "does not exist", ".": "is a folder", "/dev/null": "no ordinary"}
    for name, words in names.items():
        with pytest.raises(BadInput, match=words):
            read(tmp_path / name)


def test_reads_a_cell_of_many_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.tsv"
    cell = "A" * 20_000_000
    path.write_text(f'x\ty\n1\t"{cell}"\n2\t{cell}\n', encoding="utf-8")
    _, rows, _ = read(path)
    assert [len(row[1]) for row in rows] == [20_000_000, 20_000_000]
