"""Whole files: what is read, what is inferred, and what is refused."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medqbench_vlmeval import data
from medqbench_vlmeval.benchmark import QUESTION_TYPES, Task, parse_dataset_name
from medqbench_vlmeval.data import ImageStore, describe, load_dataset, load_file, samples_sha256
from medqbench_vlmeval.data.samples import load_table
from medqbench_vlmeval.errors import BadInput
from tests.data.conftest import Write
from tests.data.rows import BLUE, GREEN, RED, description, pair, question, text_of


def load(path: Path, task: Task | None = None):
    return load_table(path, task, ImageStore.default())


def test_perception_file(write_tsv: Write) -> None:
    path = write_tsv(
        [
            question("1", question_type="what", severity="Mild", scope="general", note="x"),
            question("2", question_type="Yes/No", A="Yes", B="No", C="", answer="1", severity="2", scope="", note=""),
            question("3", question_type="kind 3", question="How bad?", answer="None", severity="", scope="", note=""),
        ]
    )
    samples, source = load(path, Task.PERCEPTION)
    first, second, third = samples
    assert first.options == {"A": "Blur", "B": "Noise", "C": "None"}
    assert (first.answer, first.question_type, first.severity, first.scope) == ("B", "What", "mild", "general")
    assert (second.options, second.answer) == ({"A": "Yes", "B": "No"}, "B")
    assert (second.question_type, second.severity, second.scope) == ("Yes-or-No", None, None)
    assert (third.answer, third.question_type, third.modality, third.source) == ("C", "How", "CT", None)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.n, source.origin, source.revision) == (3, "file", None)
    use = source.columns
    assert use.read["question_type"] == "question_type"
    assert use.read["image"] == "image"
    assert "for 1 of 3 rows" in use.inferred["question_type"]
    assert "'kind 3'" in use.inferred["question_type"]
    assert "for 1 of 3 rows" in use.inferred["answer"]
    assert "'2'" in use.inferred["severity"]
    assert use.absent == ("source", "difficulty", "degradation")
    assert use.ignored == ("note", "D")


def test_question_type_without_a_column_is_inferred_and_severity_is_not(write_tsv: Write) -> None:
    samples, source = load(write_tsv([question("1"), question("2", A="no", B="yes", C="")]), Task.PERCEPTION)
    assert [sample.question_type for sample in samples] == ["What", "Yes-or-No"]
    assert [sample.severity for sample in samples] == [None, None]
    assert "for 2 of 2 rows" in source.columns.inferred["question_type"]
    assert "question_type" not in source.columns.read
    assert "severity" in source.columns.absent


def test_severity_folded_into_the_question_type_is_read(write_tsv: Write) -> None:
    rows = [question("1", question_type="general_what_severe"), question("2", question_type="yes_or_no")]
    samples, source = load(write_tsv(rows), Task.PERCEPTION)
    assert [(sample.question_type, sample.severity, sample.scope) for sample in samples] == [
        ("What", "severe", "general"),
        ("Yes-or-No", None, None),
    ]
    assert source.columns.read["severity"] == "question_type"
    assert source.columns.read["scope"] == "question_type"


def test_option_texts_that_other_readers_lose(write_tsv: Write) -> None:
    row = question("1", A="None", B="nan", C="NA", D="null", answer="D")
    samples, _ = load(write_tsv([row]), Task.PERCEPTION)
    assert samples[0].options == {"A": "None", "B": "nan", "C": "NA", "D": "null"}


def test_images_are_stored_once_byte_for_byte_under_their_hash(write_tsv: Write) -> None:
    path = write_tsv([question("1"), question("2", image=text_of(GREEN)), question("3", image=text_of(RED))])
    samples, _ = load(path, Task.PERCEPTION)
    first, second, third = (sample.images[0] for sample in samples)
    assert first == third
    assert first.read_bytes() == RED
    assert second.read_bytes() == GREEN
    assert first.name == f"{hashlib.sha256(RED).hexdigest()}.png"
    assert second.suffix == ".jpg"
    assert first.is_relative_to(ImageStore.default().root.parent.parent / "images" / "MedQBench")
    written = first.stat().st_mtime_ns
    load(path, Task.PERCEPTION)
    assert first.stat().st_mtime_ns == written


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


def test_an_image_path_is_used_in_place(write_tsv: Write, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(RED)
    samples, source = load(write_tsv([description("1", image="", image_path="a b.png")]), Task.NO_REFERENCE)
    assert samples[0].images == (tmp_path / "a b.png",)
    assert source.columns.read["image_path"] == "image_path"


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/hostname", "img/../../out.png", "~/x.png", "C:\\x.png", "..\\out.png"]
)
def test_a_path_that_leaves_the_folder_is_refused(write_tsv: Write, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "out.png").write_bytes(RED)
    with pytest.raises(BadInput, match=r"row 1 \(index '1'\): the image path .* must be relative"):
        load(write_tsv([description("1", image="", image_path=name)]), Task.NO_REFERENCE)


def test_a_link_that_leaves_the_folder_is_refused(write_tsv: Write, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}_outside.png"
    outside.write_bytes(RED)
    (tmp_path / "link.png").symlink_to(outside)
    (tmp_path / "inside.png").write_bytes(RED)
    (tmp_path / "fine.png").symlink_to("inside.png")
    with pytest.raises(BadInput, match="is a link that leads out of the folder"):
        load(write_tsv([description("1", image="", image_path="link.png")]), Task.NO_REFERENCE)
    samples, _ = load(write_tsv([description("1", image="", image_path="fine.png")]), Task.NO_REFERENCE)
    assert samples[0].images[0].read_bytes() == RED


@pytest.mark.parametrize(
    ("cells", "said"),
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
def test_a_bad_row_is_named(write_tsv: Write, cells: dict[str, str], said: str) -> None:
    good = description("1")
    bad = {**good, "index": "x7", **cells}
    path = write_tsv([{**good, **dict.fromkeys(cells.keys() - good.keys(), "")}, bad])
    with pytest.raises(BadInput) as error:
        load(path, Task.NO_REFERENCE)
    assert said in str(error.value)
    assert f"{path}, row 2" in str(error.value)


def test_a_decompression_bomb_is_refused(write_tsv: Write) -> None:
    # A PNG header that announces 100,000 x 100,000 pixels, its checksum right.
    import struct
    import zlib

    body = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = RED[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + RED[33:]
    with pytest.raises(BadInput, match="announces more than"):
        load(write_tsv([question("1", image=text_of(bomb))]), Task.PERCEPTION)


@pytest.mark.parametrize(
    ("rows", "task", "said"),
    [
        ([question("1"), question("2"), question("1")], Task.PERCEPTION, "rows 1 and 3 have the same index '1'"),
        ([question("1", answer="D")], Task.PERCEPTION, "row 1 (index '1'): the answer 'D' is not one of the options"),
        ([question("1", answer="")], Task.PERCEPTION, "the answer '' is not one"),
        ([question("1", B="", C="", D="")], Task.PERCEPTION, "a question needs at least two"),
        ([question("1", question=" ")], Task.PERCEPTION, "the question is empty"),
        ([description("1")], Task.PERCEPTION, "no column for the perception task's 'question'"),
        ([question("1")], Task.NO_REFERENCE, "no column for the no-reference task's 'description'"),
        ([pair("1")], Task.NO_REFERENCE, "belongs to pairs of images"),
        ([description("1")], Task.COMPARATIVE, "1 images, but the comparative task needs 2"),
        ([pair("1", image_b="")], Task.COMPARATIVE, "one image of the pair is missing (image_b is empty)"),
        ([{"index": "1", "description": "x"}], Task.NO_REFERENCE, "no column for the images"),
        ([{"index": "1", "text": "x"}], None, "the columns fit no task"),
    ],
)
def test_a_bad_file_is_named(write_tsv: Write, rows, task: Task | None, said: str) -> None:
    path = write_tsv(rows)
    with pytest.raises(BadInput) as error:
        load(path, task)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_only_tsv_and_only_with_rows(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"tab-separated \.tsv file, not '\.xlsx'"):
        load(tmp_path / "a.xlsx", Task.PERCEPTION)
    (tmp_path / "b.tsv").write_text("index\tdescription\timage\n", encoding="utf-8")
    for task in (Task.NO_REFERENCE, None):
        with pytest.raises(BadInput, match="has a header but no rows"):
            load(tmp_path / "b.tsv", task)
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "c.tsv", Task.PERCEPTION)


def test_without_images_nothing_is_decoded(write_tsv: Write) -> None:
    path = write_tsv([question("1", image="not an image")])
    samples, source = load_table(path, Task.PERCEPTION, None)
    assert samples[0].images == ()
    assert source.columns.read["image"] == "image"
    assert not (ImageStore.default().root.parent.parent / "images").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_and_columns_changes_nothing(write_tsv: Write, seed: int) -> None:
    shuffled = random.Random(seed)
    rows = [question(str(at), severity=text) for at, text in enumerate(("mild", "severe", "", "none"))]
    expected, _ = load_table(write_tsv(rows), Task.PERCEPTION, None)
    columns = list(rows[0])
    shuffled.shuffle(columns)
    shuffled.shuffle(rows)
    found, source = load_table(
        write_tsv([{name.replace("_", "-").upper(): row[name] for name in columns} for row in rows]),
        Task.PERCEPTION,
        None,
    )
    assert {sample.index: sample for sample in found} == {sample.index: sample for sample in expected}
    assert samples_sha256(found) == samples_sha256(expected)
    assert source.columns.ignored == ("D",)


def test_samples_hash_sees_content_and_not_spelling(write_tsv: Write) -> None:
    def digest(*rows: dict[str, str]) -> str:
        return samples_sha256(load_table(write_tsv(rows), Task.PERCEPTION, None)[0])

    base = digest(question("1"), question("2"))
    assert base == digest(question("2.0", answer="1"), question("1"))
    assert base == digest(question("1", modality="MRI", image="x"), question("2"))
    assert base != digest(question("1"), question("3"))
    assert base != digest(question("1", answer="A"), question("2"))
    assert base != digest(question("1", A="Blurred"), question("2"))
    assert base != digest(question("1", question="Else?"), question("2"))


def test_combined_reasoning_from_a_folder(write_tsv: Write, tmp_path: Path) -> None:
    write_tsv([description("1"), description("2")], "medqbench_description_dev.tsv")
    write_tsv([pair("1")], "medqbench_paired_description_dev.tsv")
    name = parse_dataset_name("MedQBench_Reasoning_dev")
    found = load_dataset(name, tmp_path)
    assert [sample.index for sample in found.samples] == ["NoReference:1", "NoReference:2", "Comparative:1"]
    assert [sample.task for sample in found.samples] == [Task.NO_REFERENCE, Task.NO_REFERENCE, Task.COMPARATIVE]
    assert {task: source.n for task, source in found.sources.items()} == {Task.NO_REFERENCE: 2, Task.COMPARATIVE: 1}
    assert found.sources[Task.COMPARATIVE].origin == "folder"
    single = load_dataset(parse_dataset_name("MedQBench_Reasoning_NoReference_dev"), tmp_path)
    assert samples_sha256(single.samples) == samples_sha256(found.samples[:2])
    assert load_file(tmp_path).samples == load_dataset(name, tmp_path, images=False).samples
    with pytest.raises(BadInput, match="is made of two: give the folder"):
        load_dataset(name, tmp_path / "medqbench_description_dev.tsv")
    with pytest.raises(BadInput, match=r"has no file medqbench_description_test\.tsv; its tables are"):
        load_dataset(parse_dataset_name("MedQBench_Reasoning"), tmp_path)


def test_folder_named_by_the_environment(write_tsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tsv([question("1")], "medqbench_QA_test.tsv")
    monkeypatch.setenv("MEDQBENCH_DATA", str(tmp_path))
    name = parse_dataset_name("MedQBench_Perception")
    found = load_dataset(name)
    assert found.sources[Task.PERCEPTION].path == path
    assert found.sources[Task.PERCEPTION].origin == "folder"
    assert data.where_is(name) == f"{path} (MEDQBENCH_DATA)"
    dev = parse_dataset_name("MedQBench_Perception_dev")
    with pytest.raises(BadInput, match=r"medqbench_QA_dev\.tsv is not in the folder .*MEDQBENCH_DATA"):
        load_dataset(dev)
    assert data.where_is(dev) is None
    # The file that is named by hand wins.
    other = write_tsv([question("9")], "other.tsv")
    assert load_dataset(name, other).samples[0].index == "9"


@pytest.mark.parametrize(
    "text",
    [
        "MedQBench_Perception_mini",
        "MedQBench_Reasoning_NoReference_mini",
        "MedQBench_Reasoning_Comparative_mini",
        "MedQBench_Reasoning_mini",
    ],
)
def test_embedded_set(text: str) -> None:
    found = load_dataset(parse_dataset_name(text))
    assert {source.origin for source in found.sources.values()} == {"embedded"}
    expected = {Task.PERCEPTION: 1, Task.NO_REFERENCE: 1, Task.COMPARATIVE: 2}
    assert all(len(sample.images) == expected[sample.task] for sample in found.samples)
    assert data.where_is(parse_dataset_name("MedQBench_Perception_mini"))


def test_describe_counts_and_compares_with_the_published_split(write_tsv: Write) -> None:
    rows = [question(str(at), question_type="How" if at < 2 else "What") for at in range(3)]
    path = write_tsv(rows)
    found = describe(load_dataset(parse_dataset_name("MedQBench_Perception_test"), path)).to_json()
    assert found == json.loads(json.dumps(found))
    part = found["parts"]["perception"]
    assert (found["n"], found["images"], part["n"]) == (3, 1, 3)
    assert part["counts"]["question_type"] == {"How": 2, "What": 1}
    assert "severity" not in part["counts"]
    assert part["source"]["columns"]["absent"] == ["severity", "scope", "source", "difficulty", "degradation"]
    assert part["published"]["expected"] == {"n": 1305, "Yes-or-No": 558, "What": 258, "How": 489}
    assert part["published"]["found"] == {"n": 3, "Yes-or-No": 0, "What": 1, "How": 2}
    assert part["published"]["same"] is False
    assert describe(load_file(path)).parts[Task.PERCEPTION].published is None
    counts = dict(zip(QUESTION_TYPES, (558, 258, 489), strict=True))
    many = [question(f"{kind}{at}", question_type=kind) for kind, n in counts.items() for at in range(n)]
    same = describe(load_dataset(parse_dataset_name("MedQBench_Perception"), write_tsv(many), images=False))
    assert same.parts[Task.PERCEPTION].published.same
