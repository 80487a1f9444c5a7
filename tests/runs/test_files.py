"""Reading scored runs back, and saying in one sentence what is wrong with a file."""

import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.info import index_key
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.runs.files import find_all, read_runs, scored_runs, write_run
from tests.make import choice, combined_run, judged, make_run, perception_run, reasoning_run

NAME = "Model-X_MedQBench_Perception_mini"


@pytest.fixture
def score(tmp_path):
    return make_run([choice("1", True), choice("2", False)], tmp_path).paths.score


def named(score, ending):
    return score.with_name(score.name.replace("_score.json", ending))


def test_what_is_written_is_read(tmp_path):
    for make in (perception_run, reasoning_run, combined_run):
        run = make(tmp_path)
        (read,) = read_runs([run.paths.score])
        assert read.result == run.result
        assert [row.sample for row in read.rows] == [row.sample for row in run.rows]
        assert [row.prediction for row in read.rows] == [row.prediction for row in run.rows]
        assert [(row.correct, row.score) for row in read.rows] == [(row.correct, row.score) for row in run.rows]
        write_run(read)
        assert read_runs([run.paths.score]) == [read]


def test_what_only_some_questions_have_is_read_too_and_written_only_there(tmp_path):
    of_deg = {"task": Task.DEGRADATION, "severity": "L1", "category": "noise", "degradation": "low_dose", "pair": "7"}
    answered = [
        choice("1", True, text="Answer: A\nConfidence: 85%", **of_deg),
        choice("2", False, task=Task.DEGRADATION),
    ]
    run = make_run(answered, tmp_path, dataset="MedQDeg_simulate_test")
    (read,) = read_runs([run.paths.score])
    assert [row.confidence for row in read.rows] == [85, None]
    assert [row.sample for row in read.rows] == [row.sample for row in run.rows]
    first, second = (json.loads(line) for line in run.paths.samples.read_text(encoding="utf-8").splitlines())
    assert (first["confidence"], first["category"], first["pair"]) == (85, "noise", "7")
    assert not {"confidence", "category", "pair"} & second.keys()


@pytest.mark.parametrize(("earlier", "now"), [(True, "unverified"), (False, "no")])
def test_results_of_versions_that_knew_true_and_false(tmp_path, earlier, now):
    score, samples, _ = vars(combined_run(tmp_path).paths).values()
    for path in (score, samples):
        text = path.read_text(encoding="utf-8")
        assert '"comparable": "no"' in text
        path.write_text(text.replace('"comparable": "no"', f'"comparable": {json.dumps(earlier)}'), encoding="utf-8")
    (run,) = read_runs([tmp_path])
    assert {row.comparable.value for row in run.rows} == {now} == {run.result.comparable.value}
    (reason,) = run.result.not_comparable_because
    assert ("judges it anew" in reason) is earlier
    assert (reason == "made for a test") is not earlier


@pytest.mark.parametrize("ending", ["_score.json", "_samples.jsonl", "_report.xlsx", "_model.json", ".tsv", ""])
def test_whatever_is_named_gives_the_run(score, ending):
    place = named(score, ending) if ending else score.parent
    if ending:
        place.touch()
    (run,) = read_runs([place])
    assert (run.result.model, run.result.task, *run.result.parts) == ("Model-X", Task.PERCEPTION, Task.PERCEPTION)
    assert [row.sample.index for row in run.rows] == ["1", "2"]
    assert run.paths.samples == named(score, "_samples.jsonl")


def test_a_folder_with_several_runs_and_a_combined_one(score):
    answered = [judged("NoReference:07"), judged("Comparative:a", (0, 1, 2, None), Task.COMPARATIVE)]
    make_run(answered, score.parent, dataset="MedQBench_Reasoning")
    perception, combined = read_runs([score.parent])
    assert (perception.result.task, combined.result.task) == (Task.PERCEPTION, Task.REASONING)
    indexes = {row.sample.task: index_key(row.sample) for row in combined.rows}
    assert indexes == {Task.NO_REFERENCE: "7", Task.COMPARATIVE: "a"}
    assert combined.result["comparative"].measures["Preciseness"].value == 1


def test_half_a_character_is_replaced(score):
    path = named(score, "_samples.jsonl")
    text = path.read_text(encoding="utf-8").replace("The answer is A.", "\\ud83d and \\ud83d\\ude00")
    path.write_text(text, encoding="utf-8")
    assert read_runs([score])[0].rows[0].prediction.text == "\ufffd and \U0001f600"


def swap(old, new):
    """A change of a text in both lines, where it stands first."""
    return lambda *lines: [line.replace(old, new, 1) for line in lines]


def broken(score, change):
    """Apply a change to the lines of the samples."""
    path = named(score, "_samples.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a, b: ["", a, b[:40]], "line 3: not a whole JSON object"),
        (lambda a, b: [a, "[]"], "line 2: not a whole JSON object"),
        (lambda a, b: [a], r"are not of one evaluation \(1 perception samples stand in the one and 2"),
        (swap('"correct": false', '"correct": true'), r"2 answers are right in the one and 1 in"),
        (lambda a, b: [a, b, a], r"the index '1' stands twice \(lines 1 and 3\)"),
        (swap('"2"', '"1.0"'), "stands twice"),
        (
            swap('"perception"', '"comparative", "verdicts": {}'),
            "line 1: the task is 'comparative' and the score's is perception",
        ),
        (lambda a, b: [a, b.replace('"perception"', '"chess"', 1)], "line 2: 'chess' is no task"),
        (swap('"correct": true', '"correct": 1'), "line 1: 'correct' is not true or false"),
        (swap('"index": "1"', '"index": null'), "line 1: no 'index'"),
        (swap('"A": "Noise"', '"A": null'), r"line 1: 'sample\.options\.A' is None.*edited by"),
    ],
)
def test_samples_that_cannot_be(score, change, words):
    broken(score, lambda lines: change(*lines))
    with pytest.raises(BadInput, match=words):
        read_runs([score])


def test_verdicts_that_cannot_be(tmp_path):
    score = make_run([judged("1"), judged("2", (1, 1, 1, 1))], tmp_path).paths.score
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
        ('{"task": ["perception"]}', "no result of medqbench"),
        ('{"task": "reasoning", "NoReference": 3}', "is missing; the file was edited by hand"),
        ('{"task": "perception"}', "is missing; the file was edited by hand"),
    ],
)
def test_scores_that_cannot_be(score, text, words):
    score.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=words):
        read_runs([score])


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_no_table_can_hold_are_refused(score, number):
    score.write_text(score.read_text(encoding="utf-8").replace('"n_missing": 0', f'"n_missing": {number}'))
    with pytest.raises(BadInput, match=r"n_missing' is None.*the file was edited by hand"):
        read_runs([score])


@pytest.mark.parametrize(
    ("make", "old", "new", "words"),
    [
        (
            perception_run,
            r'"Overall": [\d.]+',
            '"Overall": -1e308',
            r"'Overall' is -1e\+308, .* from 0 to 100; the file",
        ),
        (perception_run, r'"accuracy": [\d.]+', '"accuracy": 100.1', r"'Overall' is 100.1, .* from 0 to 100"),
        (perception_run, r'"n_missing": 0', '"n_missing": -1', "'n_missing' is -1, and no count is below 0"),
        (reasoning_run, r'"Preciseness": [\d.]+', '"Preciseness": 2.5', r"'Preciseness' is 2.5, .* from 0 to 2"),
    ],
)
def test_numbers_off_their_scale_are_refused(tmp_path, make, old, new, words):
    score = make(tmp_path).paths.score
    text, n = re.subn(old, new, score.read_text(encoding="utf-8"), count=1)
    score.write_text(text, encoding="utf-8")
    assert n == 1
    with pytest.raises(BadInput, match=words):
        read_runs([score])


def test_half_written_and_absent_runs(score, tmp_path):
    samples = named(score, "_samples.jsonl")
    for place in (tmp_path / "nowhere", tmp_path / "m_score.json"):
        with pytest.raises(BadInput, match=f"{place.name} does not exist"):
            read_runs([place])
    content = samples.read_bytes()
    samples.unlink()
    with pytest.raises(BadInput, match=f"without '{NAME}_samples.jsonl'"):
        read_runs([score.parent])
    samples.write_bytes(content)
    score.unlink()
    for place in (score.parent, samples):
        with pytest.raises(BadInput, match=f"'{NAME}_score.json' is not in"):
            read_runs([place])
    predictions = tmp_path / "other.xlsx"
    predictions.touch()
    with pytest.raises(BadInput, match=r"other.xlsx has no results beside it \('other_score.json'\); score it first"):
        read_runs([predictions])


def scores_of(*places):
    return [paths.score for paths in find_all(places)]


def test_folders_of_any_depth_globs_and_links_give_each_run_once(tmp_path):
    with pytest.raises(BadInput, match=r"holds no scored run.*Score a run first"):
        read_runs([tmp_path])
    work = tmp_path / "work"
    a, b, c = (perception_run(work / name).paths for name in ("deep/er/a", "b", "c"))
    for hidden in ("b/previous", "c/.cache"):
        perception_run(work / hidden, model="old")
    for path in (a.score, a.samples):  # as a second name of the same files, and as a folder
        (work / "c" / f"link{path.name[len(NAME) :]}").symlink_to(path)
    (work / "d").symlink_to(b.score.parent)
    (work / "gone_score.json").symlink_to(tmp_path / "nowhere")
    of_b_and_c, a_again = [b.score, c.score], work / "c" / "link_score.json"
    assert scores_of(work) == [*of_b_and_c, a_again]
    assert scores_of(a.samples, work) == [a.score, *of_b_and_c]
    assert scores_of(work / "*", a.score) == [*of_b_and_c, a_again]
    assert scores_of(work / "**" / "*_score.json") == [*of_b_and_c, a_again]
    assert scores_of(work / "[bc]" / f"{NAME}*") == of_b_and_c
    assert scores_of(work / "b" / "previous" / "*") == scores_of(work / "b" / "previous")
    assert [run.paths.score for run in read_runs([work / "deep"])] == [a.score]
    with pytest.raises(BadInput, match="No scored run matches"):
        find_all([work / "gone*"])


def test_the_kits_folders_of_one_time_give_the_latest_run(tmp_path):
    model = tmp_path / "work" / "M"
    first, second = (perception_run(model / name).paths for name in ("T20261129-080000", "T20261129_G1a2b3c4d"))
    os.utime(first.score, (1, 1))
    assert find_all([tmp_path]) == [second]
    for path in vars(first).values():  # the kit links what it takes for the run, here the older one
        (model / path.name).symlink_to(path)
    assert scores_of(tmp_path) == [model / first.score.name]
    assert scores_of(second.score.parent, tmp_path) == [second.score, model / first.score.name]


@pytest.mark.parametrize("name", ["a" * 300, "~no_such_user/run"])
def test_a_name_that_cannot_be_looked_up(tmp_path, name):
    with pytest.raises(BadInput, match="cannot be read"):
        find_all([tmp_path / name if name.startswith("a") else Path(name)])


def test_score_files_of_other_programs_in_the_folder_are_passed_over(score):
    (score.parent / "Model-X_MMVet_score.json").write_text('{"ocr": [41.5]}', encoding="utf-8")
    (score.parent / "Model-X_List_score.json").write_text("[1]", encoding="utf-8")
    assert [run.paths.score for run in read_runs([score.parent])] == [score]
    (score.parent / "Model-X_Cut_score.json").write_text('{"task": "perc', encoding="utf-8")
    with pytest.raises(BadInput, match=r"without 'Model-X_Cut_samples\.jsonl'"):
        read_runs([score.parent])


def test_an_index_of_any_length_and_kind(tmp_path):
    score = make_run([choice("9" * 5000), choice("x" * 70_000), choice("3")], tmp_path).paths.score
    broken(score, lambda lines: [*lines[:2], lines[2].replace('"index": "3"', '"index": 3')])
    assert [row.sample.index for row in read_runs([score])[0].rows] == ["9" * 5000, "x" * 70_000, "3"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = perception_run(tmp_path_factory.mktemp("whole"))
    rows = [json.loads(line) for line in run.paths.samples.read_text(encoding="utf-8").splitlines()]
    return json.loads(run.paths.score.read_text(encoding="utf-8")), rows


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_lies_in_the_files_is_read_or_refused(whole, data):
    score, rows = whole
    changed = {**score, data.draw(st.sampled_from(sorted(score))): data.draw(VALUES)}
    row = {**rows[0], data.draw(st.sampled_from(sorted(rows[0]))): data.draw(VALUES)}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m_score.json"
        path.write_text(json.dumps(changed), encoding="utf-8")
        path.with_name("m_samples.jsonl").write_text("\n".join(map(json.dumps, [row, *rows[1:]])), encoding="utf-8")
        try:
            (run,) = read_runs([path])
        except BadInput as error:
            assert name in str(error)
        else:
            assert len(run.rows) == run.result["perception"].n


def test_the_scores_of_a_folder_or_of_those_below_it(tmp_path):
    runs = [perception_run(tmp_path / "work" / model, model=model) for model in "ab"]
    perception_run(tmp_path / "work" / "a" / "previous", model="old")
    (tmp_path / "work" / "a" / "link_score.json").symlink_to(runs[0].paths.score)
    assert [result.model for _, result in scored_runs(tmp_path / "work")] == ["a", "b"]
    assert [path for path, _ in scored_runs(runs[1].paths.score.parent)] == [runs[1].paths.score]
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match="holds no scored run"):
        scored_runs(tmp_path / "none")
    runs[1].paths.score.unlink()
    with pytest.raises(BadInput, match="the evaluation was stopped before its end"):
        scored_runs(tmp_path / "work")


def test_a_folder_that_cannot_be_written_to_is_a_failed_run(tmp_path):
    (tmp_path / "file").touch()
    run = perception_run()
    folder = tmp_path / "file" / "x"
    paths = replace(run.paths, score=folder / "a_score.json", samples=folder / "a_samples.jsonl")
    with pytest.raises(RunFailed, match=r"x cannot be written .*make room there"):
        write_run(replace(run, paths=paths))
