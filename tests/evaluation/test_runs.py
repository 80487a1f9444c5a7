"""Reading scored runs back, and saying in one sentence what is wrong with a file."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.runs.files import read_runs
from tests.evaluation.scored import choice_row, judged_row, write_scored


@pytest.fixture
def score(tmp_path):
    return write_scored(tmp_path, [choice_row("1", True), choice_row("2", False)])


def named(score, ending):
    return score.with_name(score.name.replace("_score.json", ending))


@pytest.mark.parametrize("ending", ["_score.json", "_samples.jsonl", "_report.xlsx", ".xlsx", ".tsv", ""])
def test_whatever_is_named_gives_the_run(score, ending):
    place = named(score, ending) if ending else score.parent
    if ending:
        place.touch()
    (run,) = read_runs([place])
    assert (run.model, run.dataset, run.task) == ("Model-X", "MedQBench_Perception", Task.PERCEPTION)
    assert [row["index"] for row in run.rows] == ["1", "2"]
    assert list(run.parts) == [Task.PERCEPTION]
    assert run.paths.samples == named(score, "_samples.jsonl")


def test_a_folder_with_several_runs_and_a_combined_one(score):
    rows = [judged_row("NoReference:07"), judged_row("Comparative:a", (0, 1, 2, None), task="comparative")]
    write_scored(score.parent, rows, dataset="MedQBench_Reasoning")
    runs = read_runs([score.parent])
    assert [run.dataset for run in runs] == ["MedQBench_Perception", "MedQBench_Reasoning"]
    parts = runs[1].parts
    assert {task: list(part.rows) for task, part in parts.items()} == {
        Task.NO_REFERENCE: ["7"],
        Task.COMPARATIVE: ["a"],
    }
    assert parts[Task.COMPARATIVE].score["Preciseness"] == 1


def test_half_a_character_is_replaced(score):
    path = named(score, "_samples.jsonl")
    text = path.read_text(encoding="utf-8").replace("A, I think.", "\\ud83d and \\ud83d\\ude00")
    path.write_text(text, encoding="utf-8")
    (run,) = read_runs([score])
    assert run.rows[0]["prediction"] == "\ufffd and \U0001f600"


def broken(score, change):
    """Apply a change to the lines of the samples."""
    path = named(score, "_samples.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: ["", lines[0], lines[1][:40]], "line 3: not a whole JSON object"),
        (lambda lines: [lines[0], "[]"], "line 2: not a whole JSON object"),
        (lambda lines: lines[:1], r"are not of one evaluation \(1 perception samples stand in the one and 2"),
        (lambda lines: [lines[0], lines[1].replace("false", "true")], r"2 answers are right in the one and 1 in"),
        (lambda lines: [*lines, lines[0]], r"the index '1' stands twice \(lines 1 and 3\)"),
        (lambda lines: [lines[0], lines[1].replace('"2"', '"1.0"', 1)], "stands twice"),
        (lambda lines: [lines[0], lines[1].replace("perception", "comparative")], "line 2: the task is 'comparative'"),
        (lambda lines: [lines[0].replace("true", "1"), lines[1]], "line 1: 'correct' is not true or false"),
        (lambda lines: [lines[0].replace('"index": "1"', '"index": null'), lines[1]], "line 1: no 'index'"),
    ],
)
def test_samples_that_cannot_be(score, change, words):
    broken(score, change)
    with pytest.raises(BadInput, match=words):
        read_runs([score])


def test_verdicts_that_cannot_be(tmp_path):
    score = write_scored(tmp_path, [judged_row("1"), judged_row("2", (1, 1, 1, 1))], dataset="MedQBench_Reasoning")
    broken(score, lambda lines: [lines[0].replace('"score": 2', '"score": 3', 1), lines[1]])
    with pytest.raises(BadInput, match="line 1: the verdict 3 on completeness is not between 0 and 2"):
        read_runs([score])
    broken(score, lambda lines: [lines[0].replace('"score": 3', '"score": 1', 1), lines[1]])
    with pytest.raises(BadInput, match=r"Completeness is 1\.000 in the one and 1\.500 in the other"):
        read_runs([score])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"task": "perc', "not a whole JSON object"),
        ("[1]", "not a whole JSON object"),
        ("\x00\xff", "not a whole JSON object"),
        ('{"task": "chess"}', "no result of medqbench"),
        ('{"task": "reasoning", "NoReference": 3}', "no whole object under 'NoReference'"),
    ],
)
def test_scores_that_cannot_be(score, text, words):
    score.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=words):
        read_runs([score])


def test_half_written_and_absent_runs(score, tmp_path):
    folder, samples = score.parent, named(score, "_samples.jsonl")
    with pytest.raises(BadInput, match="named twice"):
        read_runs([score, samples])
    with pytest.raises(BadInput, match="nowhere does not exist"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(BadInput, match=r"m_score.json does not exist"):
        read_runs([tmp_path / "m_score.json"])
    kept = samples.read_bytes()
    samples.unlink()
    with pytest.raises(BadInput, match=r"without 'Model-X_MedQBench_Perception_samples.jsonl'"):
        read_runs([folder])
    samples.write_bytes(kept)
    score.unlink()
    for place in (folder, samples):
        with pytest.raises(BadInput, match=r"'Model-X_MedQBench_Perception_score.json' is not in"):
            read_runs([place])
    predictions = tmp_path / "other.xlsx"
    predictions.touch()
    with pytest.raises(BadInput, match=r"other.xlsx has no results beside it \('other_score.json'\); score it first"):
        read_runs([predictions])


def test_a_folder_without_runs_says_where_they_are(tmp_path):
    with pytest.raises(BadInput, match=r"holds no scored run.*Score a run first"):
        read_runs([tmp_path])
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        write_scored(tmp_path / name, [choice_row("1", True)])
    with pytest.raises(BadInput, match="runs are in: a, b"):
        read_runs([tmp_path])


def test_an_index_of_any_length(tmp_path):
    rows = [choice_row("9" * 5000, True), choice_row("x" * 70_000, False), {**choice_row("3", True), "index": 3}]
    (run,) = read_runs([write_scored(tmp_path, rows)])
    assert list(run.parts[Task.PERCEPTION].rows)[2] == "3"
    assert json.dumps(run.score["n"]) == "3"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = ("index", "task", "correct", "verdicts", "images", "options", "question", "modality")
ROWS = st.lists(
    st.fixed_dictionaries({"task": st.just("perception"), "index": st.text(max_size=3)})
    | st.dictionaries(st.sampled_from(KEYS), VALUES),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(ROWS | st.binary(max_size=40), st.dictionaries(st.sampled_from(("n", "n_correct", "model", "settings")), VALUES))
def test_whatever_lies_in_the_files_is_read_or_refused(rows, score):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m_score.json"
        path.write_text(json.dumps({"task": "perception", **score}), encoding="utf-8")
        content = rows if isinstance(rows, bytes) else "\n".join(map(json.dumps, rows)).encode()
        path.with_name("m_samples.jsonl").write_bytes(content)
        try:
            (run,) = read_runs([path])
        except BadInput as error:
            assert name in str(error)
        else:
            assert len(run.rows) == score["n"]


@pytest.mark.parametrize("name", ["a" * 300, "~no_such_user/run"])
def test_a_name_that_cannot_be_looked_up(tmp_path, name):
    with pytest.raises(BadInput, match="cannot be read"):
        read_runs([tmp_path / name if name.startswith("a") else Path(name)])


def test_score_files_of_other_programs_in_the_folder_are_passed_over(score):
    (score.parent / "Model-X_MMVet_score.json").write_text('{"ocr": [41.5]}', encoding="utf-8")
    (score.parent / "Model-X_List_score.json").write_text("[1]", encoding="utf-8")
    assert [run.dataset for run in read_runs([score.parent])] == ["MedQBench_Perception"]
    (score.parent / "Model-X_Cut_score.json").write_text('{"task": "perc', encoding="utf-8")
    with pytest.raises(BadInput, match=r"without 'Model-X_Cut_samples\.jsonl'"):
        read_runs([score.parent])


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_no_table_can_hold_are_none(score, number):
    text = score.read_text(encoding="utf-8")
    score.write_text(text.replace('"n_unanswered": 0', f'"n_unanswered": {number}'), encoding="utf-8")
    (run,) = read_runs([score])
    assert run.score["n_unanswered"] is None
    assert run.score["n"] == 2


def test_a_task_of_another_kind(score):
    score.write_text('{"task": ["perception"]}', encoding="utf-8")
    with pytest.raises(BadInput, match="is no result of medqbench"):
        read_runs([score])
