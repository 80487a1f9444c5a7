"""What image cells hold: spellings of base64, paths, pairs, aliases; and which samples share an image."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.image_cells import image_keys, image_names, row_names
from medqbench_vlmeval.data.sources import load_file
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.types import Sample
from medqbench_vlmeval.workflows import Request, evaluate
from tests.data.rows import BLUE, GREEN, RED, Write, description, encoded, load, question, text_of
from tests.make import score_of

HASHED = f"{'5e' * 32}.png"


def refs(**cells: bytes) -> tuple[str, ...]:
    rows = row_names()
    rows.add("1", cells)
    return rows.by_index()["1"]


def keys(*refs: str) -> tuple[str, ...]:
    return image_keys(Sample("1", Task.PERCEPTION, "?", image_refs=refs))


@pytest.mark.parametrize(
    "cell",
    [
        f"data:image/png;base64,{text_of(RED)}",
        "\n".join(text_of(RED)[at : at + 40] for at in range(0, len(text_of(RED)), 40)),
        text_of(RED).rstrip("="),
        json.dumps([text_of(RED)]),
        f"['{text_of(RED)}']",
        f"b'{text_of(RED)}'",
        text_of(RED).replace("+", "-").replace("/", "_"),
    ],
)
def test_spellings_of_base64(write_tsv: Write, cell: str) -> None:
    samples, _ = load(write_tsv([question("1", image=cell)]), Task.PERCEPTION)
    assert samples[0].images[0].read_bytes() == RED


def test_a_short_image_cell_is_another_rows_index(write_tsv: Write) -> None:
    rows = [question("a", image="b"), question("b", image=text_of(BLUE)), question("c", image="b")]
    samples, _ = load(write_tsv(rows), Task.PERCEPTION)
    assert {sample.images[0].read_bytes() for sample in samples} == {BLUE}
    with pytest.raises(BadInput, match=r"row 1 \(index 'a'\).*names the row 'b'"):
        load(write_tsv([question("a", image="b"), question("b", image="a")]), Task.PERCEPTION)
    with pytest.raises(BadInput, match="is not another row's index either"):
        load(write_tsv([question("a", image="zz")]), Task.PERCEPTION)


@pytest.mark.parametrize(
    "cells",
    [
        {"image_a": text_of(RED), "image_b": text_of(GREEN)},
        {"image": json.dumps([text_of(RED), text_of(GREEN)])},
        {"image": str([text_of(RED), text_of(GREEN)])},
        {"image_path": json.dumps(["img/one.png", "img/two.jpg"])},
        {"image_path": str(["img/one.png", "img/two.jpg"])},
        {"image_path_a": "img/one.png", "image_path_b": "img/two.jpg"},
        {"image_a": "", "image_b": "", "image_path": '["img/one.png", "img/two.jpg"]'},
    ],
)
def test_pairs_in_every_dress_keep_their_order(write_tsv: Write, tmp_path: Path, cells: dict[str, str]) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "one.png").write_bytes(RED)
    (tmp_path / "img" / "two.jpg").write_bytes(GREEN)
    path = write_tsv([{"index": "1", "description": "The first is better.", "difficulty": "Coarse", **cells}])
    samples, _ = load(path, Task.COMPARATIVE)
    assert [image.read_bytes() for image in samples[0].images] == [RED, GREEN]
    assert samples[0].difficulty == "coarse-grained"
    assert load(path)[0][0].task is Task.COMPARATIVE


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/hostname", "img/../../out.png", "~/x.png", "C:\\x.png", "..\\out.png"]
)
def test_a_path_that_leaves_the_folder_is_refused(write_tsv: Write, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "out.png").write_bytes(RED)
    with pytest.raises(BadInput, match=r"row 1 \(index '1'\): the image path .* must stay inside"):
        load(write_tsv([description("1", image="", image_path=name)]), Task.NO_REFERENCE)


def test_a_path_is_used_in_place_but_for_a_link_that_leaves_the_folder(write_tsv: Write, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}_outside.png"
    outside.write_bytes(RED)
    (tmp_path / "link.png").symlink_to(outside)
    (tmp_path / "in side.png").write_bytes(RED)
    (tmp_path / "fine.png").symlink_to("in side.png")
    with pytest.raises(BadInput, match="is a link that leads out of the folder"):
        load(write_tsv([description("1", image="", image_path="link.png")]), Task.NO_REFERENCE)
    for name in ("in side.png", "fine.png"):
        samples, source = load(write_tsv([description("1", image="", image_path=name)]), Task.NO_REFERENCE)
        assert samples[0].images == (tmp_path / name,)
        assert source.columns.read["image_path"] == "image_path"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"image": "!" * 100}, "is not base64"),
        ({"image": text_of(b"this is no image at all, but it is long enough" * 3)}, "not an image"),
        ({"image": text_of(RED[:-20] + b"")}, "cut short or damaged"),
        ({"image": text_of(GREEN[: len(GREEN) // 2])}, "cut short or damaged"),
        ({"image": text_of(RED)[: len(text_of(RED)) // 2]}, "cut short or damaged"),
        ({"image": ""}, "no image"),
        ({"image": "[" + "1, " * 40 + "2]"}, "not a list of texts"),
        ({"image": "[" * 100 + "]" * 100}, "not a list of texts"),
        ({"image": "", "image_path": "no/such.png"}, "does not exist"),
        ({"image": "", "image_path": "x" * 5000}, "image path"),
        ({"image": "data:image/png," + "a" * 100}, "data URI without base64"),
        ({"image": json.dumps([text_of(RED), text_of(RED)])}, "2 images, but the no-reference task needs 1"),
        ({"description": " "}, "the reference description is empty"),
        ({"index": ""}, "the index is empty"),
    ],
)
def test_a_bad_row_is_named(write_tsv: Write, cells: dict[str, str], words: str) -> None:
    good = description("1")
    bad = {**good, "index": "x7", **cells}
    path = write_tsv([{**good, **dict.fromkeys(cells.keys() - good.keys(), "")}, bad])
    with pytest.raises(BadInput) as error:
        load(path, Task.NO_REFERENCE)
    assert words in str(error.value)
    assert f"{path}, row 2" in str(error.value)


def test_a_decompression_bomb_is_refused(write_tsv: Write) -> None:
    # A PNG header that announces 100,000 x 100,000 pixels, its checksum right.
    body = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = RED[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + RED[33:]
    with pytest.raises(BadInput, match="announces more than"):
        load(write_tsv([question("1", image=text_of(bomb))]), Task.PERCEPTION)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        *(({"image_path": cell}, ("CT/1.png",)) for cell in (b"CT/1.png", b" ./CT//1.png ")),
        *(({"image_path": cell}, ("a.png", "b.png")) for cell in (b"['a.png', 'b.png']", b'["a.png", "b.png"]')),
        ({"image_path": b"[a.png"}, ("[a.png",)),
        *(({"image_path": cell}, ()) for cell in (b"[1, 2]", b"nan", b"None", b"", b"x" * 5000)),
        ({"image_path_a": b"a.png", "image_path_b": b"b.png"}, ("a.png", "b.png")),
        ({"image_path_a": b"a.png", "image_path_b": b"", "image_path": b"c.png"}, ("c.png",)),
        # What is neither base64 nor an image is no reason to fail, and the path is asked next.
        ({"image": b"?" * 5000, "image_path": b"other.png"}, ("other.png",)),
    ],
)
def test_names_of_images(cells: dict[str, bytes], names: tuple[str, ...]) -> None:
    assert refs(**cells) == names


def test_base64_has_the_name_that_the_store_would_give_it(write_tsv: Write) -> None:
    (loaded,) = load(write_tsv([question("1")]))[0]
    assert refs(image=text_of(RED).encode(), image_path=b"other.png") == image_names(loaded)


def test_a_short_cell_is_another_rows_index_or_a_name() -> None:
    rows = row_names()
    for index, cell in (("2", b"1"), ("1", text_of(RED).encode()), ("3", b"scan_7.png"), ("4", b"7"), ("5", b"7")):
        rows.add(index, {"image": cell})
    names = rows.by_index()
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


def test_a_prediction_file_alone_gives_the_numbers_of_the_run(write_tsv: Write, tmp_path: Path) -> None:
    predictions = tmp_path / "m_d.json"
    images = [text_of(encoded((i, i, i))) if i % 3 == 0 else str(i - i % 3) for i in range(36)]
    data = write_tsv([question(str(i), A="Yes", B="No", C="", answer="A", image=cell) for i, cell in enumerate(images)])
    sets = {"run": load_file(data, images=True), "with data": load_file(data), "alone": None}
    rows = [
        {
            "index": s.index, "question": s.question, **s.options, "answer": s.answer, "modality": s.modality,
            "image_path": str(s.images[0]), "prediction": "A" if int(s.index) % 7 else "B",
        }
        for s in sets["run"].samples
    ]  # fmt: skip
    predictions.write_text(json.dumps(rows), encoding="utf-8")
    requests = {name: Request(predictions, "m", "d", tmp_path / name, sample_set=sets[name]) for name in sets}
    run, *others = map(evaluate, requests.values())
    assert score_of(run)["intervals"]["clustered"]["n_clusters"] == 12
    for other in others:
        for block in ("Overall", "intervals", "findings", "groups"):
            assert score_of(other)[block] == score_of(run)[block]
        assert [image_names(row.sample) for row in other.rows] == [image_names(row.sample) for row in run.rows]


def test_a_path_of_a_prediction_file_is_never_followed(tmp_path: Path) -> None:
    predictions = tmp_path / "m_d.json"
    paths = ["/dev/stdin", "https://127.0.0.1:1/a.png", "../../../etc/passwd", "\x00\x1b[2J", "\ud800", str(tmp_path)]
    rows = [
        {"index": i, "question": "?", "A": "x", "B": "y", "answer": "A", "image_path": path, "prediction": "A"}
        for i, path in enumerate(paths)
    ]
    predictions.write_text(json.dumps(rows), encoding="utf-8")
    scored = evaluate(Request(predictions, "m", "d", tmp_path / "out"))
    assert score_of(scored)["intervals"]["clustered"]["n_clusters"] == len(paths)
    names = [list(image_names(row.sample)) for row in scored.rows]
    assert names[:3] == [["stdin"], ["a.png"], ["passwd"]]
    assert names[5] == [tmp_path.name]
