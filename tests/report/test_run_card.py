import re
import shlex

import pytest
from huggingface_hub import ModelCard

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.card import (
    command_line,
    metadata_block,
    run_again,
    run_card,
    score_again,
    shown_command,
    write_card,
)
from medqbench_vlmeval.runs.result import parts_of
from tests.report.examples import combined_score, perception_score
from tests.report.many import HOSTILE, perception, reasoning

REVISION = "0123456789abcdef0123456789abcdef01234567"


def judged(judge, protocol="official", dataset="MedQBench_Reasoning_NoReference", **settings):
    score = reasoning("no-reference", "Model X", dataset=dataset)
    own = {"judge": judge, "protocol": {"name": protocol, "sha256": "77" * 32}, "prediction_file": {"name": "p.xlsx"}}
    return {**score, "settings": {**score["settings"], **own, **settings}}


# Metadata


def test_metadata_is_read_back_by_the_hubs_own_client():
    score = perception("Model-X")
    score["settings"]["data"] = {"perception": {"sha256": "ab" * 32, "revision": REVISION, "origin": "hub"}}
    results = ModelCard(metadata_block(score)).data.eval_results
    assert [one.metric_value for one in results] == [68.9655, 82.2581, 60.4651, 58.2822]
    first = results[0]
    assert first.task_type == "visual-question-answering"
    assert (first.dataset_type, first.dataset_split) == ("jiyaoliufd/MedQ-Bench", "test")
    assert first.dataset_revision == REVISION
    assert first.dataset_args["sha256"] == "ab" * 32
    assert first.metric_name == "Overall (percent)"
    assert first.metric_args["n"] == 1305
    assert first.metric_args["comparable_with_published"] is True
    assert first.metric_args["interval_95"] == [round(end, 4) for end in score["intervals"]["Overall"]]


def test_two_tasks_are_two_results():
    results = ModelCard(metadata_block(combined_score())).data.eval_results
    assert len(results) == 10
    assert {one.dataset_config for one in results} == {"no-reference", "comparative"}
    # The embedded set is not the hub's.
    assert {one.dataset_type for one in results} == {"medqbench-vlmeval-mini"}
    assert not any(one.metric_args["comparable_with_published"] for one in results)


@pytest.mark.parametrize("name", [*HOSTILE, "null", "1.0", "- a: b", "'", "yes", "{x}", "--- "])
def test_any_name_survives_the_metadata(name):
    card = ModelCard(run_card(perception(name)))
    assert card.data.model_name == (name.strip() if name.isprintable() else card.data.model_name)
    assert isinstance(card.data.model_name, str)
    assert len(card.data.eval_results) == 4
    assert card.content.count("\n---\n") == 1


def test_a_run_without_numbers_has_no_results():
    score = perception_score(**dict.fromkeys(("Overall", "Yes-or-No", "What", "How")), groups={}, intervals={})
    card = ModelCard(run_card(score))
    assert card.data.eval_results is None
    assert "| Overall | – | – |" in card.text


# The card


def test_the_card_has_numbers_settings_and_reasons(tmp_path):
    path = tmp_path / "sub" / "card.md"
    score = perception_score()
    score["findings"] = {
        "gap": {"title": "Gap", "statement": "A gap of 3 | points.", "few": True},
        "not_found": {"yes_bias": "no such questions"},
    }
    score["settings"]["data"]["perception"]["path"] = "/home/jane.doe/data/mini.tsv"
    write_card(path, score)
    card = path.read_text("utf-8")
    assert "| Overall | 60.00 | 23.07 to 88.24 | 5 (fewer than 10) |" in card
    assert "| CT | 66.67 | 20.77 to 93.85 | 3 (fewer than 10) |" in card
    assert "**Not comparable with the published results:** embedded set." in card
    assert r"- Gap: A gap of 3 \| points. (few samples)" in card
    assert "Not found: yes bias (no such questions)" in card
    assert "- sha256 of the file: " + "ab" * 32 in card
    assert "- version of kit: ms-vlmeval 0.0.20" in card
    assert "- file: mini.tsv" in card
    assert "jane.doe" not in card


def test_a_comparable_run_says_so():
    assert "**Comparable with the published results.**" in run_card(perception())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_mark_up_the_card(name):
    text = ModelCard(run_card(perception(name))).text
    prose = "\n".join(line for line in text.split("\n") if not line.startswith(("python", "medqbench", "MEDQBENCH")))
    assert "<script" not in prose
    assert not re.search(r"(?<!\\)\](?=\()", prose)
    assert text.count("```") == 4


def test_a_card_of_something_else_is_refused():
    with pytest.raises(BadInput):
        run_card({"task": "chess"})


# Commands


def test_commands_of_a_run_with_the_embedded_judge():
    parts = parts_of(judged({"name": "rules", "parameters": {}}, "rules"))
    line = "python run.py --data MedQBench_Reasoning_NoReference --model 'Model X' --judge rules"
    assert run_again(parts) == line
    assert score_again(parts) == (
        "medqbench score p.xlsx --data MedQBench_Reasoning_NoReference --model 'Model X' --judge rules --out results"
    )


def test_commands_name_what_is_not_the_default():
    judge = {
        "name": "my-judge",
        "base_url": "https://user:pass@host:8000/v1?key=abcdefghijk",
        "parameters": {"temperature": 0.5, "max_tokens": None, "extra": {"api_key": "abcdefghijk", "top_p": 1}},
    }
    prompt = {"prompt": {"style": "letter"}, "data": {"no-reference": {"revision": REVISION}}}
    parts = parts_of(judged(judge, "rubric-5", **prompt))
    run, score = run_again(parts), score_again(parts)
    assert run.startswith(f"MEDQBENCH_REVISION={REVISION} python run.py ")
    assert "--prompt-style letter --judge my-judge --judge-base-url https://host:8000/v1 --judge-args" in run
    arguments = '{"temperature": 0.5, "extra": {"api_key": "***", "top_p": 1}'
    assert shlex.split(run)[-1] == f'{arguments}, "protocol": "rubric-5"}}'
    assert "--protocol rubric-5" in score
    assert "pass" not in run + score
    assert "abcdefghijk" not in run + score + run_card(judged(judge))


def test_a_panel_names_its_members():
    members = [
        {"name": "a", "base_url": "http://h/v1", "parameters": {"temperature": 0.0}, "protocol": {"name": "official"}},
        {"name": "rules", "parameters": {}, "protocol": {"name": "rules"}},
    ]
    parts = parts_of(judged({"name": "a, rules", "members": members, "parameters": {}}, "official, rules"))
    words = shlex.split(score_again(parts))
    assert words[words.index("--judge") + 1] == "a,rules"
    assert words[words.index("--judge-args") + 1] == (
        '{"panel": [{"model": "a", "base_url": "http://h/v1"}, {"model": "rules"}]}'
    )


def test_a_file_of_its_own_is_scored_and_not_run():
    parts = parts_of(perception(dataset="custom"))
    assert run_again(parts) is None
    assert "--data" not in score_again(parts)


def test_extractor_is_named():
    score = perception()
    score["settings"] = {**score["settings"], "extractor": {"name": "gpt-4o-mini"}}
    assert "--extractor gpt-4o-mini" in score_again(parts_of(score))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("python run.py --judge-key sk-abcdefghijk --model M", "python run.py --judge-key '***' --model M"),
        ("run --judge-key=sk-abcdefghijk", "run '--judge-key=***'"),
        ("run --judge-key --model M", "run --judge-key --model M"),
        ("OPENAI_API_KEY=sk-abcdefghijk run --data D", "'OPENAI_API_KEY=***' run --data D"),
        ("run --judge-base-url https://u:p@h/v1?k=v", "run --judge-base-url https://h/v1"),
        ("""run --judge-args '{"key": "sk-abc", "nproc": 3}'""", """run --judge-args '{"key": "***", "nproc": 3}'"""),
        ("run --judge-key 'sk-abc", "***"),
        (["run", "--judge-args", '{"key": "sk-abc'], "run --judge-args '***'"),
        (["run", "--model", "a b"], "run --model 'a b'"),
    ],
)
def test_a_given_command_is_shown_without_keys(given, shown):
    assert shown_command(given) == shown
    assert shown_command(given) in run_card(perception(), given)


def test_a_command_stands_on_one_line():
    assert command_line(["run", "a\nb'c", "`x`"]) == r"run $'a\u000ab\'c' '`x`'"
    assert run_card(perception("``` x"), None).count("````bash") == 2


def test_a_part_of_the_samples_is_run_and_scored_with_its_limit():
    reasons = ["the embedded set is not the benchmark's test split", "only 20 of 75 samples were run"]
    score = perception_score(not_comparable_because=reasons)
    parts = parts_of(score)
    assert "--limit 20" in run_again(parts)
    assert "--data MedQBench_Perception_mini --limit 20" in score_again(parts)
    assert "Not all samples were run." in run_card(score)
    whole = parts_of(perception_score())
    assert "--limit" not in run_again(whole) + score_again(whole)
