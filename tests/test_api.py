"""The public names: their examples run as they stand in the docstrings and on the page of the documentation."""

import doctest
from pathlib import Path

import pandas as pd
import pytest

import medqbench_vlmeval as mq
from medqbench_vlmeval import types
from medqbench_vlmeval.files import write_jsonl
from tests.make import combined_run, perception_run, reasoning_run

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGE = Path(__file__).parent.parent / "docs" / "api.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the predictions of two models: M has two of three questions right, N every other one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDQBENCH_CACHE", str(tmp_path / "cache"))
    samples = mq.load("MedQBench_Perception_mini")
    for model, wrong in (("M", lambda i: i % 3 == 2), ("N", lambda i: i % 2 == 1)):
        replies = [
            {"index": sample.index, "prediction": f"The answer is {_letter(sample, wrong(i))}."}
            for i, sample in enumerate(samples)
        ]
        write_jsonl(tmp_path / f"{model}_MedQBench_Perception_mini.jsonl", replies)
    return tmp_path


def _letter(sample, wrong):
    return next(letter for letter in sample.options if (letter == sample.answer) != wrong)


@pytest.mark.parametrize("module", [mq, types])
def test_the_examples_of_docstrings_are_true(folder, module):
    for model, out in (("M", "results"), ("N", "other")):
        mq.score(f"{model}_MedQBench_Perception_mini.jsonl", out, data="MedQBench_Perception_mini")
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


def test_the_examples_of_the_page_are_true(folder):
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=OPTIONS)
    assert (result.failed, result.attempted > 10) == (0, True)


def test_all_names_are_there():
    assert {name for name in mq.__all__ if not hasattr(mq, name)} == set()
    assert set(mq.__all__) <= set(dir(mq))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        mq.nothing  # noqa: B018


@pytest.mark.parametrize("judge", ["rules", mq.JudgeOptions("rules")])
def test_reasoning_is_judged_by_a_name_or_options(folder, judge):
    data, reply = "MedQBench_Reasoning_NoReference_mini", "Blurred; the quality of this image is poor."
    write_jsonl(folder / "M.jsonl", [{"index": sample.index, "prediction": reply} for sample in mq.load(data)])
    run = mq.score("M.jsonl", "out", data=data, judge=judge, limit=6, leaderboard=True)
    assert run.result.settings.judge.name == "rules"
    assert (len(run.rows), run.result["no-reference"].counts["n_scored"]) == (6, 6)
    assert (folder / "out" / "leaderboard" / "leaderboard.json").is_file()


def test_a_run_as_a_frame():
    frame = perception_run().to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["correct"].tolist() == [True, True, True, False, False]
    assert frame["extracted"].tolist()[:4] == ["A", "B", "A", "B"]
    judged = combined_run().to_frame()
    assert judged["score"].tolist()[:2] == judged["score"].tolist()[3:5] == [7.0, 4.0]
    assert judged["completeness"].isna().tolist() == [False, False, True] * 2


def test_a_run_shows_its_headline():
    run = reasoning_run(model="<b>&M")
    assert repr(run) == (
        "Run(3 samples, Result(<b>&M on MedQBench_Reasoning_NoReference_mini, not comparable: "
        "TaskResult(no-reference, n=3: Completeness 1.50, Preciseness 1.00, Consistency 2.00, Quality Accuracy 1.00, "
        "Overall 5.50)))"
    )
    html = run._repr_html_()
    assert "<caption>&lt;b&gt;&amp;M on" in html
    assert "made for a test" in html
    assert "<td>Overall</td><td>5.50</td>" in html


def test_runs_are_compared_as_objects_or_places(folder, tmp_path):
    first, second = (perception_run(tmp_path / name, model=name) for name in "ab")
    by_objects, by_places = mq.compare(first, second), mq.compare(tmp_path / "a", str(tmp_path / "b"))
    assert by_objects.to_json() == by_places.to_json()
    assert by_objects.parts[0].pairs[0].overall.cell.value == 0
