"""A dataset as ``datasets`` takes it: typed rows with images, and the folder that is ready to be pushed, read again by
the library itself, offline, and as a data file."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from operator import attrgetter

import pytest

import medqbench_vlmeval as mq
from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data import describe, load, samples_sha256
from medqbench_vlmeval.errors import BadInput, MissingDependency
from medqbench_vlmeval.types import Sample
from medqbench_vlmeval.workflows import export as module
from medqbench_vlmeval.workflows.export import export
from tests.data.rows import GREEN, RED, question, text_of


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMUData", str(tmp_path_factory.mktemp("lmu")))


def test_what_is_loaded_is_a_sequence_of_samples():
    loaded = mq.load("MedQDeg_mini")
    first: Sample = loaded[0]
    assert (len(loaded), first.severity, first.images) == (40, "L0", ())
    assert loaded[:2] == (first, loaded[1]) and [*loaded][-1] == loaded[-1] and first in loaded
    assert loaded == mq.load("MedQDeg_mini")


def test_without_the_library_one_sentence_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependency, match=r"pip install 'medqbench-vlmeval\[datasets\]'"):
        export("MedQDeg_mini", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(BadInput, match="holds something already"):
            export("MedQDeg_mini", place)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_a_dataset_has_typed_columns_and_images_that_are_decoded_when_looked_at():
    datasets = pytest.importorskip("datasets")
    loaded = mq.load("MedQDeg_mini")
    rows = loaded.to_dataset()
    assert rows.features["answer"].names == ["A", "B", "C", "D", "E"]
    assert rows.features["images"] == datasets.Sequence(datasets.Image())
    assert {rows.features[name].dtype for name in ("index", "question", "E", "severity", "pair")} == {"string"}
    assert not {"description", "question_type", "difficulty"} & set(rows.column_names)
    assert [rows.features["answer"].int2str(at) for at in rows["answer"]] == [sample.answer for sample in loaded]
    assert rows[6]["images"][0].size == (256, 256)
    assert Counter(rows["severity"]) == {"L0": 8, "L1": 16, "L2": 16}
    pairs = mq.load("MedQBench_Reasoning_mini").to_dataset()
    assert Counter(zip(pairs["task"], map(len, pairs.with_format("arrow")["images"]), strict=True)) == {
        ("no-reference", 1): 20,
        ("comparative", 2): 20,
    }
    assert "answer" not in pairs.column_names


@pytest.mark.slow
def test_an_export_is_read_by_the_library_and_names_what_it_was_made_from(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    from huggingface_hub import DatasetCard

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(module, "_SHARD_BYTES", 400_000)
    out = tmp_path / "out"
    written = export("MedQBench_Reasoning_mini", out)
    assert sorted(written) == sorted(path for path in out.rglob("*") if path.is_file())
    info = describe(load("MedQBench_Reasoning_mini", images=True))
    card = DatasetCard.load(out / "README.md")
    for task in (Task.NO_REFERENCE, Task.COMPARATIVE):
        shards = [path.name for path in written if path.parent.name == task.value]
        assert shards == [f"mini-{at:05d}-of-{len(shards):05d}.parquet" for at in range(len(shards))]
        assert len(shards) > 1
        whole = datasets.load_dataset(str(out), task.value, cache_dir=str(tmp_path / "cache"))
        assert list(whole) == ["mini"]
        rows, samples = whole["mini"], [s for s in load("MedQBench_Reasoning_mini", images=True) if s.task is task]
        assert list(rows["index"]) == [sample.index.rpartition(":")[2] for sample in samples]
        assert list(rows["description"]) == [sample.description for sample in samples]
        stored = rows.cast_column("images", datasets.Sequence(datasets.Image(decode=False)))
        for row, sample in zip(stored, samples, strict=True):
            assert [each["bytes"] for each in row["images"]] == [path.read_bytes() for path in sample.images]
            # Where the images lay on this machine is nobody's business.
            assert all("/" not in (each["path"] or "") for each in row["images"])
        assert info.parts[task].samples_sha256 in card.text and info.parts[task].source.sha256 in card.text
    assert [config["config_name"] for config in card.data["configs"]] == ["no-reference", "comparative"]
    counts = {each["config_name"]: each["splits"][0]["num_examples"] for each in card.data["dataset_info"]}
    assert counts == {"no-reference": 20, "comparative": 20}
    assert "openly licensed" in card.text and "simulated distortion (14)" in card.text
    assert str(tmp_path) not in card.text


@pytest.mark.slow
def test_of_a_file_of_ones_own_the_terms_stay_its_authors_and_texts_are_escaped(tmp_path):
    rows = [question("1", modality="<b>Raman|x"), question("2", image=text_of(GREEN), answer="0"), question("3")]
    path = tmp_path / "mine & yours.tsv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    export(str(path), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "the terms of the data's authors apply" in card and "openly licensed" not in card
    assert "mine &amp; yours" in card and "&lt;b&gt;Raman\\|x (1)" in card and "<b>" not in card
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "out" / "perception" / "test-00000-of-00001.parquet")
    assert table["answer"].to_pylist() == [1, 0, 1]
    assert [images[0]["bytes"] for images in table["images"].to_pylist()] == [RED, GREEN, RED]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MedQBench_Perception_mini", "MedQDeg_mini", "MedQBench_Reasoning_mini"])
def test_a_file_of_an_export_is_the_data_file_that_it_was_made_from(tmp_path, name):
    whole = load(name, images=True)
    for path in export(name, tmp_path / "out")[:-1]:
        again = load(str(path), images=True)
        own = [sample for sample in whole if sample.task is again.task]
        assert samples_sha256(again) == samples_sha256(own)
        axes = attrgetter(
            "modality", "question_type", "severity", "scope", "source", "difficulty", "degradation", "pair"
        )
        assert [*map(axes, again)] == [*map(axes, own)]
        assert [[p.read_bytes() for p in s.images] for s in again] == [[p.read_bytes() for p in s.images] for s in own]


@pytest.mark.slow
def test_a_category_that_the_file_states_survives_an_export(tmp_path):
    pytest.importorskip("datasets")
    rows = [question(level, degradation_severity=level, degradation_category="Optics") for level in ("L0", "L1")]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    again = load(str(export(str(path), tmp_path / "out")[0]))
    assert [(sample.severity, sample.category) for sample in again] == [("L0", "Optics"), ("L1", "Optics")]
