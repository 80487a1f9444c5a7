"""What image cells say about which samples share an image, without an image being opened."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import load_file
from medqbench_vlmeval.data.image_cells import image_keys, image_names, row_names
from medqbench_vlmeval.types import Sample
from medqbench_vlmeval.workflows import Request, evaluate

HASHED = f"{'5e' * 32}.png"


def refs(**cells: bytes) -> tuple[str, ...]:
    found = row_names()
    found.add("1", cells)
    return found.by_index()["1"]


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (24, 24), shade).save(out, "PNG")
    return out.getvalue()


def keys(*refs: str) -> tuple[str, ...]:
    return image_keys(Sample("1", Task.PERCEPTION, "?", image_refs=refs))


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (b"CT/1.png", ("CT/1.png",)),
        (b" ./CT//1.png ", ("CT/1.png",)),
        (b"['a.png', 'b.png']", ("a.png", "b.png")),
        (b'["a.png", "b.png"]', ("a.png", "b.png")),
        (b"[a.png", ("[a.png",)),
        (b"[1, 2]", ()),
        (b"nan", ()),
        (b"None", ()),
        (b"", ()),
        (b"x" * 5000, ()),
    ],
)
def test_paths(cell: bytes, found: tuple[str, ...]) -> None:
    assert refs(image_path=cell) == found


def test_pairs_in_columns_of_their_own() -> None:
    assert refs(image_path_a=b"a.png", image_path_b=b"b.png") == ("a.png", "b.png")
    assert refs(image_path_a=b"a.png", image_path_b=b"", image_path=b"c.png") == ("c.png",)


def test_base64_has_the_name_that_the_store_would_give_it(tmp_path: Path) -> None:
    encoded = base64.b64encode(picture(3))
    (name,) = refs(image=encoded, image_path=b"other.png")
    path = tmp_path / "d.tsv"
    write_data(path, [("1", encoded.decode())])
    (loaded,) = load_file(path, images=True).samples
    assert (name,) == image_names(loaded)
    # What is neither base64 nor an image is no reason to fail, and the path is asked next.
    assert refs(image=b"?" * 5000, image_path=b"other.png") == ("other.png",)


def test_a_short_cell_is_another_rows_index_or_a_name() -> None:
    found = row_names()
    found.add("2", {"image": b"1"})
    found.add("1", {"image": base64.b64encode(picture(9))})
    found.add("3", {"image": b"scan_7.png"})
    found.add("4", {"image": b"7"})
    found.add("5", {"image": b"7"})
    names = found.by_index()
    assert names["2"] == names["1"] != ()
    assert names["3"] == ("scan_7.png",)
    assert names["4"] == names["5"] == ("7",)


def test_one_name_in_two_folders_is_two_images_unless_it_is_made_from_the_content() -> None:
    assert keys("CT/1.png") != keys("MRI/1.png")
    assert keys(f"/home/a/{HASHED}") == keys(f"C:\\data\\{HASHED}") == (HASHED,)
    named = Sample("1", Task.COMPARATIVE, "?", image_refs=("/x/a.png", "C:\\y\\b.png"))
    assert image_names(named) == ("a.png", "b.png")
    assert image_names(Sample("1", Task.PERCEPTION, "?", images=(Path("/x/a.png"),))) == ("a.png",)


@given(st.dictionaries(st.sampled_from(["image", "image_path", "image_a", "image_b"]), st.binary(max_size=90)))
def test_no_cell_is_an_error(cells: dict[str, bytes]) -> None:
    for name in image_names(Sample("1", Task.PERCEPTION, "?", image_refs=refs(**cells))):
        json.dumps(name).encode()


def write_data(path: Path, images: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "question", "A", "B", "answer", "image", "modality"])
        for index, image in images:
            table.writerow([index, "Is it sharp?", "Yes", "No", "A", image, "CT"])


def test_a_prediction_file_alone_gives_the_numbers_of_the_run(tmp_path: Path) -> None:
    data, predictions = tmp_path / "d.tsv", tmp_path / "m_d.json"
    encoded = [base64.b64encode(picture(shade)).decode() for shade in range(12)]
    write_data(data, [(str(i), encoded[i // 3] if i % 3 == 0 else str(i - i % 3)) for i in range(36)])
    sets = {"run": load_file(data, images=True), "with data": load_file(data), "alone": None}
    rows = [
        {
            "index": one.index, "question": one.question, **one.options, "answer": one.answer, "modality": one.modality,
            "image_path": str(one.images[0]), "prediction": "A" if int(one.index) % 7 else "B",
        }
        for one in sets["run"].samples
    ]  # fmt: skip
    predictions.write_text(json.dumps(rows), encoding="utf-8")
    found = {
        name: evaluate(Request(predictions, "m", "d", tmp_path / name, sample_set=sample_set))
        for name, sample_set in sets.items()
    }
    assert found["run"].score["intervals"]["clustered"]["n_clusters"] == 12
    for name in ("with data", "alone"):
        for block in ("Overall", "intervals", "findings", "groups"):
            assert found[name].score[block] == found["run"].score[block]
        assert [row["images"] for row in found[name].rows] == [row["images"] for row in found["run"].rows]


def test_a_path_of_a_prediction_file_is_never_followed(tmp_path: Path) -> None:
    predictions = tmp_path / "m_d.json"
    paths = ["/dev/stdin", "https://127.0.0.1:1/a.png", "../../../etc/passwd", "\x00\x1b[2J", "\ud800", str(tmp_path)]
    rows = [
        {"index": i, "question": "?", "A": "x", "B": "y", "answer": "A", "image_path": path, "prediction": "A"}
        for i, path in enumerate(paths)
    ]
    predictions.write_text(json.dumps(rows), encoding="utf-8")
    found = evaluate(Request(predictions, "m", "d", tmp_path / "out"))
    assert found.score["intervals"]["clustered"]["n_clusters"] == len(paths)
    names = [row["images"] for row in found.rows]
    assert names[:3] == [["stdin"], ["a.png"], ["passwd"]]
    assert names[5] == [tmp_path.name]
