"""Parquet as pandas and datasets write it, JSON Lines and CSV: the same samples as from a TSV, or a word on the row."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from medqbench_vlmeval.benchmark import Split, Task
from medqbench_vlmeval.data.check import check
from medqbench_vlmeval.data.formats import open_data
from medqbench_vlmeval.data.sources import load_file, locate
from medqbench_vlmeval.errors import BadInput
from tests.data.rows import GREEN, RED, Write, load, pair, question, text_of


def jsonl(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def cells(path: Path) -> list[list[bytes]]:
    with open_data(path) as table:
        return [row.cells for row in table.rows()]


ROWS = [question("1", note='ü\t\n"x'), question("2", image=text_of(GREEN), severity="Mild"), question("3", image="1")]


def by_pandas(path: Path) -> Path:
    import pandas as pd

    frame = pd.DataFrame(ROWS).astype({"index": int})
    frame["answer"] = frame["answer"].astype("category")
    frame["image"] = [RED, GREEN, b"1"]
    frame["score"] = [0.5, None, 2]
    frame.to_parquet(path)
    return path


def by_datasets(path: Path) -> Path:
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    rows = [{name: row.get(name) for name in ROWS[1] | ROWS[0]} for row in ROWS]
    images: list[bytes] = [RED, GREEN, RED]
    data = [row | {"image": {"bytes": image, "path": None}} for row, image in zip(rows, images, strict=True)]
    kinds = dict.fromkeys(data[0], Value("large_string"))
    Dataset.from_list(data, features=Features(kinds | {"image": ImageFeature()})).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("some.parquet", by_pandas, marks=pytest.mark.slow),
        pytest.param("some.parquet", by_datasets, marks=pytest.mark.slow),
        ("some.jsonl", lambda path: jsonl(path, ROWS)),
    ],
)
def test_every_format_gives_the_samples_of_the_tsv(
    name: str, write: Callable[[Path], Path], write_tsv: Write, tmp_path: Path
) -> None:
    blank = dict.fromkeys(ROWS[0] | ROWS[1], "")
    wanted, _ = load(write_tsv([blank | row for row in ROWS]), Task.PERCEPTION)
    path = write(tmp_path / name)
    samples, source = load(path)
    assert samples == wanted
    assert [sample.images[0].read_bytes() for sample in samples] == [RED, GREEN, RED]
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_file(path).samples[0].image_refs == (wanted[0].images[0].name,)


def test_values_become_the_texts_of_cells(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "index": pa.array([1, None], pa.int64()),
        "whole": [2.0, float("nan")],
        "part": [0.25, 1e300],
        "flag": [True, None],
        "kind": pa.array(["CT", "MRI"]).dictionary_encode(),
        "large": pa.array(["ü", ""], pa.large_string()),
        "list": [["a", "b"], []],
        "pair": [[{"bytes": RED, "path": "x.png"}, {"bytes": GREEN, "path": None}], None],
        "path": [{"bytes": None, "path": "img/1.png"}, {"bytes": None, "path": None}],
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table(columns), path)
    both = json.dumps([text_of(RED), text_of(GREEN)]).encode()
    first = [b"1", b"2", b"0.25", b"True", b"CT", "ü".encode(), b'["a", "b"]', both, b"img/1.png"]
    assert cells(path) == [first, [b"", b"", b"1e+300", b"", b"MRI", b"", b"", b"", b""]]
    lines = jsonl(tmp_path / "a.jsonl", [{"b": 1, "a": None}, {"c": [1, "x"], "a": 2.5}, {"b": "true", "d": True}])
    assert cells(lines) == [[b"1", b"", b"", b""], [b"", b"2.5", b'["1", "x"]', b""], [b"true", b"", b"", b"True"]]
    (tmp_path / "a.csv").write_text('index,"a,b"\n1,"x\ny"\n')
    assert cells(tmp_path / "a.csv") == [[b"1", b"x\ny"]]


def test_a_pair_of_images_in_a_list_of_structs(tmp_path: Path) -> None:
    import pandas as pd

    row = {name: text for name, text in pair().items() if not name.startswith("image")}
    both = [{"bytes": RED, "path": None}, {"bytes": GREEN, "path": None}]
    pd.DataFrame([row | {"images": both}]).to_parquet(tmp_path / "a.parquet")
    (sample,), _ = load(tmp_path / "a.parquet")
    assert (sample.task, [image.read_bytes() for image in sample.images]) == (Task.COMPARATIVE, [RED, GREEN])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('{"index": 1, "options": {"A": "x"}}\n', r"row 1: column 'options' holds a nested object"),
        ('{"index": 1}\n[2]\n', r"line 2: list where an object was expected"),
        ('{"index": 1}\n{"index": 2', r"line 2: not a whole JSON object"),
        ('{"index": 1, "index": 2}\n', r"line 1: .*the name 'index' stands twice"),
        ("\n\n", "is empty"),
        ('{"index": "\\ud800"}\n', r"row 1: column 'index' is not UTF-8"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, lines: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines)
    with pytest.raises(BadInput, match=rf"a\.jsonl.*{words}"), open_data(path) as table:
        table.all_texts()


def test_a_nested_object_hides_no_other_problem(tmp_path: Path) -> None:
    rows = [question("1", image="!" * 99), question("2") | {"more": {"a": 1}}, question("3", answer="E")]
    found = check(str(jsonl(tmp_path / "a.jsonl", rows))).errors
    assert [line.partition(":")[0] for line in found] == ["row 1 (index '1')", "row 2", "row 3 (index '3')"]


@pytest.mark.slow
def test_a_broken_or_boundless_parquet_file_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"index": pa.array([0] * 1_100_000, pa.int8())}), path)
    with pytest.raises(BadInput, match="1,100,000 rows"):
        cells(path)
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * 1_000_000]))
    parquet.write_table(pa.table({"index": long}), path)
    with pytest.raises(BadInput, match=r"row \d+: the row has 1,000,000 bytes, the file up to here 1,0[\d,]+"):
        cells(path)
    whole = path.read_bytes()
    for data in (whole[:-20], b"", b"PAR1" * 5, whole[:100] + b"\xff" * 50 + whole[150:]):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=r"a\.parquet"):
            cells(path)


def test_a_folder_holds_its_table_in_one_format(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "medqbench_QA_test.jsonl", ROWS)
    assert locate(Task.PERCEPTION, Split.TEST, tmp_path)[0] == path
    (tmp_path / "medqbench_QA_test.tsv").write_text("index\n")
    with pytest.raises(BadInput, match=r"holds medqbench_QA_test\.tsv and medqbench_QA_test\.jsonl; move one"):
        locate(Task.PERCEPTION, Split.TEST, tmp_path)


def test_real_files_of_other_kinds_are_seen_by_their_bytes(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(RED)).save(out, "WEBP", lossless=True)
    path = jsonl(tmp_path / "a.jsonl", [question("1", image=base64.b64encode(out.getvalue()).decode())])
    assert load(path)[0][0].images[0].suffix == ".webp"
