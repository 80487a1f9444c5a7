"""Run cards: the hub's metadata, numbers and settings, commands that make a run again, and names that are text."""

import re
import shlex
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from medqbench_vlmeval.benchmark import Comparable, Task
from medqbench_vlmeval.provenance import JudgeSettings, PredictionFile, Protocol
from medqbench_vlmeval.report.card import metadata_block, run_again, run_card, score_again, write_card
from tests.report.hostile import HOSTILE
from tests.report.leaderboard.results import result

REVISION = "0123456789abcdef0123456789abcdef01234567"
GPT5 = {"Yes-or-No": 82.2581, "What": 60.46512, "How": 58.28221, "Overall": 68.96552}


def run(model="Model-X", **changes):
    """A comparable run on the test split with GPT-5's published numbers."""
    return result(model, **{"values": GPT5, "dataset": "MedQBench_Perception", "comparable": True, **changes})


def judged(judge, protocol="official", dataset="MedQBench_Reasoning_NoReference", **settings):
    named = {"prediction_file": PredictionFile("p.xlsx", "ef" * 32, "ee" * 32), "prompt_style": "official", **settings}
    made = result("Model X", Task.NO_REFERENCE, dataset=dataset, protocol=Protocol(protocol, "1", "77" * 32), **named)
    return replace(made, settings=replace(made.settings, judge=judge))


def test_metadata_is_read_back_by_the_hubs_own_client():
    evaluations = ModelCard(metadata_block(run(data={"revision": REVISION, "origin": "hub"}))).data.eval_results
    assert [metric.metric_value for metric in evaluations] == [68.9655, 82.2581, 60.4651, 58.2822]
    first = evaluations[0]
    assert first.task_type == "visual-question-answering"
    assert (first.dataset_type, first.dataset_split) == ("jiyaoliufd/MedQ-Bench", "test")
    assert first.dataset_revision == REVISION
    assert first.dataset_args["sha256"] == "ab" * 32
    assert first.metric_name == "Overall (percent)"
    # Wilson's interval of the 3 of 5 answers that the numbers' run was made with.
    assert first.metric_args == {"comparable_with_published": "yes", "n": 5, "interval_95": [23.0724, 88.2379]}


def test_two_tasks_are_two_results():
    evaluations = ModelCard(metadata_block(result(task=Task.REASONING))).data.eval_results
    assert len(evaluations) == 10
    assert {metric.dataset_config for metric in evaluations} == {"no-reference", "comparative"}
    # The embedded set is not the hub's.
    assert {metric.dataset_type for metric in evaluations} == {"medqbench-vlmeval-mini"}
    assert {metric.metric_args["comparable_with_published"] for metric in evaluations} == {"no"}


@pytest.mark.parametrize("name", [*HOSTILE, "null", "1.0", "- a: b", "'", "yes", "{x}", "--- "])
def test_any_name_survives_the_metadata_and_marks_up_nothing(name):
    card = ModelCard(run_card(run(name)))
    assert card.data.model_name == (name.strip() if name.isprintable() else card.data.model_name)
    assert isinstance(card.data.model_name, str)
    assert len(card.data.eval_results) == 4
    assert card.content.count("\n---\n") == 1
    commands = ("python", "medqbench", "MEDQBENCH")
    prose = "\n".join(line for line in card.text.split("\n") if not line.startswith(commands))
    assert "<script" not in prose
    assert not re.search(r"(?<!\\)\](?=\()", prose)
    assert card.text.count("```") == 4


def test_the_card_has_numbers_settings_and_reasons(tmp_path):
    path = tmp_path / "sub" / "card.md"
    write_card(path, result(data={"path": "/home/jane.doe/data/mini.tsv"}))
    card = path.read_text("utf-8")
    # Wilson's intervals of 3 of 5 and 2 of 3.
    assert r"| Overall | 60.00\* | 23.07 to 88.24 | 5 |" in card
    assert r"| CT | 66.67\* | 20.77 to 93.85 | 3 |" in card
    assert r"- \* fewer than 10 samples" in card
    assert "Samples: 5; Correct: 3; Unanswered (counted as wrong): 1. Intervals: " in card
    assert "**Not comparable with the published results:** made for a test." in card
    assert "- Gap to human experts: No evidence of a gap" in card
    assert "- Not found: severity profile (only 2 samples with mild degradation)" in card
    assert "- sha256 of the file: " + "ab" * 32 in card
    assert "- version of kit: ms-vlmeval 0.0.20" in card
    assert "- file: mini.tsv" in card
    assert "jane.doe" not in card
    without_numbers = ModelCard(run_card(run(values=dict.fromkeys(GPT5))))
    assert without_numbers.data.eval_results is None
    assert "**Comparable with the published results.**" in without_numbers.text
    unverified = run_card(run(comparable=Comparable.UNVERIFIED, because=["no record"]))
    assert "**Not verified as comparable with the published results:** no record." in unverified
    assert "comparable_with_published: unverified" in unverified
    assert "| Overall | – |" in without_numbers.text


def test_commands_of_a_run_with_the_embedded_judge():
    made = judged(JudgeSettings("rules"), "rules")
    line = "python run.py --data MedQBench_Reasoning_NoReference --model 'Model X' --judge rules"
    assert run_again(made) == line
    assert score_again(made) == (
        "medqbench score p.xlsx --data MedQBench_Reasoning_NoReference --model 'Model X' --judge rules --out results"
    )


def test_commands_name_what_is_not_the_default():
    parameters = {"temperature": 0.5, "max_tokens": None, "extra": {"api_key": "***", "top_p": 1}}
    judge = JudgeSettings("my-judge", None, "https://host:8000/v1", parameters)
    made = judged(judge, "rubric-5", prompt_style="letter", data={"revision": REVISION})
    again, score = run_again(made), score_again(made)
    assert again.startswith(f"MEDQBENCH_REVISION={REVISION} python run.py ")
    assert "--prompt-style letter --judge my-judge --judge-base-url https://host:8000/v1 --judge-args" in again
    arguments = '{"temperature": 0.5, "extra": {"api_key": "***", "top_p": 1}'
    assert shlex.split(again)[-1] == f'{arguments}, "protocol": "rubric-5"}}'
    assert "--protocol rubric-5" in score


def test_a_panel_names_its_members():
    members = (
        JudgeSettings("a", None, "http://h/v1", {"temperature": 0.0}, protocol=Protocol("official", "1")),
        JudgeSettings("rules", protocol=Protocol("rules", "2")),
    )
    made = judged(JudgeSettings("a, rules", members=members, combined_by="median"), "official, rules")
    words = shlex.split(score_again(made))
    assert words[words.index("--judge") + 1] == "a,rules"
    assert words[words.index("--judge-args") + 1] == (
        '{"panel": [{"model": "a", "base_url": "http://h/v1"}, {"model": "rules"}]}'
    )


def test_a_file_of_its_own_is_scored_and_not_run():
    made = run(dataset="custom", extractor=JudgeSettings("gpt-4o-mini"))
    assert run_again(made) is None
    assert score_again(made) == (
        "medqbench score predictions.xlsx --data mini.tsv --model Model-X --extractor gpt-4o-mini --out results"
    )
    in_the_predictions = run(dataset="custom", data={"origin": "prediction file"})
    assert "--data" not in score_again(in_the_predictions)


def test_a_cards_date_has_no_entities():
    card = run_card(run(created="2026-11-30T09:08:07+00:00"))
    assert "2026-11-30 09:08 UTC" in card
    assert "&#58;" not in card


def test_a_command_stands_on_one_line():
    assert score_again(run("a\nb'c")).split(" --model ")[1] == "'a b'\"'\"'c' --out results"
    assert run_card(run("``` x")).count("````bash") == 2


def test_a_part_of_the_samples_is_run_and_scored_with_its_limit():
    reasons = ["the embedded set is not the benchmark's test split", "only 20 of 75 samples were run"]
    part = result(because=reasons)
    assert "--limit 20" in run_again(part)
    assert "--data MedQBench_Perception_mini --limit 20" in score_again(part)
    assert "Not all samples were run." in run_card(part)
    whole = result()
    assert "--limit" not in run_again(whole) + score_again(whole)
