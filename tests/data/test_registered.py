"""A folder of data files becomes ``--data NAME``."""

import json
import os
import shutil

import pytest

from medqbench_vlmeval import load
from medqbench_vlmeval.benchmark import (
    Split,
    Task,
    known_dataset,
    name_in_file,
    own_names,
    parse_dataset_name,
    registry,
)
from medqbench_vlmeval.data.registered import register, unregister
from medqbench_vlmeval.data.sources import embedded_folder
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.runs.provenance import name_results
from tests.commands import run

TABLES = ("medqbench_QA", "medqbench_description", "medqbench_paired_description")


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def folder(tmp_path, name="set", tables=TABLES, splits=("test", "dev")):
    """The embedded set under the names of other splits: its rows, 75, 20 and 20."""
    out = tmp_path / name
    out.mkdir()
    shutil.copytree(embedded_folder() / "images", out / "images", copy_function=os.link)
    for table in tables:
        for split in splits:
            shutil.copy(embedded_folder() / f"{table}_mini.tsv", out / f"{table}_{split}.tsv")
    return out


def test_a_registered_set_has_the_benchmarks_names_and_its_own(tmp_path):
    place = folder(tmp_path)
    found = register(place, "ward7")
    assert [(of.name, len(of)) for of in found] == [
        ("ward7_Perception_test", 75),
        ("ward7_Perception_dev", 75),
        ("ward7_Reasoning_test", 40),
        ("ward7_Reasoning_dev", 40),
        ("ward7_Reasoning_NoReference_test", 20),
        ("ward7_Reasoning_NoReference_dev", 20),
        ("ward7_Reasoning_Comparative_test", 20),
        ("ward7_Reasoning_Comparative_dev", 20),
    ]
    bare = known_dataset("ward7")
    assert (bare.task, bare.split, bare.folder) == (Task.PERCEPTION, Split.TEST, place)
    assert known_dataset("ward7_Reasoning").task is Task.REASONING
    assert known_dataset("ward7_Reasoning_Comparative_dev").split is Split.DEV
    again = parse_dataset_name("ward7_Perception_robustness")
    assert again.second_pass
    assert again.first_pass == known_dataset("ward7_Perception")
    assert "ward7_Reasoning_NoReference_robustness" not in own_names()


def test_load_takes_its_names_and_has_its_images(tmp_path):
    place = folder(tmp_path)
    register(place, "ward7")
    loaded = load("ward7", images=True)
    assert loaded.name == "ward7"
    assert all(path.is_file() for sample in loaded for path in sample.images)
    assert loaded.sources[Task.PERCEPTION].path == place / "medqbench_QA_test.tsv"
    assert loaded.sources[Task.PERCEPTION].origin == "folder"


def test_a_set_has_the_names_of_what_it_holds(tmp_path):
    register(folder(tmp_path, tables=("medqbench_paired_description",), splits=("dev",)), "ward7")
    assert [text for text in own_names() if not text.endswith("_robustness")] == [
        "ward7_Reasoning_Comparative",
        "ward7_Reasoning_Comparative_dev",
        "ward7",
    ]
    assert known_dataset("ward7").split is Split.DEV
    with pytest.raises(BadInput, match="Did you mean 'ward7_Reasoning_Comparative'"):
        parse_dataset_name("ward7_Reasoning_Comparativ")


def test_prediction_files_are_told_by_its_names(tmp_path):
    assert name_in_file("My_Model_ward7_Perception") is None
    register(folder(tmp_path), "ward7")
    assert name_in_file("My_Model_ward7_Perception") == "ward7_Perception"
    named = name_results(tmp_path / "My_Model_ward7_Perception.xlsx", None, None)
    assert (named.model, named.dataset) == ("My_Model", "ward7_Perception")


def test_a_moved_folder_is_one_clear_sentence(tmp_path):
    place = folder(tmp_path)
    register(place, "ward7")
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(
        BadInput, match=r"'ward7' was registered in .*set, which is not there any more; 'medqbench data"
    ):
        load("ward7")
    with pytest.raises(BadInput, match="frees it"):  # somebody else's folder does not take the name over silently
        register(tmp_path / "elsewhere", "ward7")
    unregister("ward7")
    register(tmp_path / "elsewhere", "ward7")
    assert len(load("ward7")) == 75


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("MedQBench", "is the benchmark's"),
        ("medqbench", "is the benchmark's"),
        ("MedQ-ours", "'medq'"),
        ("MMBench_DEV_EN", "dataset of the installed kit"),
        ("a b", "cannot be a set's name"),
        ("../x", "cannot be a set's name"),
        ("x_robustness", "cannot be a set's name"),
        ("7x", "cannot be a set's name"),
        ("", "cannot be a set's name"),
        ("x" * 41, "cannot be a set's name"),
    ],
)
def test_names_that_mean_something_else_are_refused(tmp_path, name, why):
    with pytest.raises(BadInput, match=why):
        register(folder(tmp_path), name)
    assert own_names() == {}


def test_names_of_two_sets_do_not_mix(tmp_path):
    register(folder(tmp_path), "ward7")
    with pytest.raises(BadInput, match=r"'WARD7_Perception' is .*'medqbench data unregister ward7' frees it"):
        register(folder(tmp_path, "other"), "WARD7")
    with pytest.raises(BadInput, match="The name 'ward7_Perception' is"):
        register(folder(tmp_path, "third"), "ward7_Perception")
    register(folder(tmp_path, "fourth"), "ward8")
    assert {name.folder.name for name in own_names().values()} == {"set", "fourth"}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1, "b": {"folder": 3, "parts": [["x", "y"]]}}', "\x00\xff"])
def test_a_broken_registry_names_nothing_and_is_not_overwritten(tmp_path, text):
    registry().parent.mkdir(parents=True)
    registry().write_text(text, encoding="latin-1")
    assert own_names() == {}
    if text.startswith("{"):
        register(folder(tmp_path), "ward7")
        assert set(json.loads(registry().read_text(encoding="utf-8"))) == {"a", "b", "ward7"}
    else:
        with pytest.raises(BadInput, match="repair it, or move it away"):
            register(folder(tmp_path), "ward7")
        assert registry().read_text(encoding="latin-1") == text


def test_a_folder_without_data_and_a_broken_table_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no folder with a data file"):
        register(tmp_path, "ward7")
    place = folder(tmp_path)
    (place / "medqbench_QA_dev.tsv").write_text("index\tquestion\n1\tWhat?\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"medqbench_QA_dev\.tsv"):
        register(place, "ward7")
    assert own_names() == {}


def test_commands(tmp_path, capsys):
    code, out, _ = run(capsys, "data", "register", folder(tmp_path, tables=("medqbench_QA",)), "ward7")
    assert code == 0
    assert "ward7_Perception_test  75 samples" in out
    assert "--data ward7 runs" in out
    _, out, _ = run(capsys, "list", "datasets", "ward7", "--json")
    rows = json.loads(out)
    assert [(row["dataset"], row["n"], row["where"]) for row in rows] == [
        ("ward7_Perception_test", 75, "registered"),
        ("ward7_Perception_dev", 75, "registered"),
    ]
    code, out, _ = run(capsys, "data", "info", "ward7")
    assert code == 0
    assert "75" in out
    code, out, _ = run(capsys, "data", "unregister", "ward7")
    assert code == 0
    code, _, err = run(capsys, "data", "unregister", "ward7")
    assert code == 2
    assert "no registered name" in err
