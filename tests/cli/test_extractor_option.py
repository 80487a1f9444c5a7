"""``medqbench score --extractor``: the numbers, a dry run, what is refused, and keys."""

from __future__ import annotations

import json

import pytest

from tests.canaries import leaks
from tests.commands import run
from tests.make import write_reasoning
from tests.servers import JudgeServer

NO_SERVER = "http://127.0.0.1:9/v1"


pytestmark = pytest.mark.usefixtures("closed_machine")


@pytest.fixture
def predictions(tmp_path):
    """Two replies that are read, three that are not (two of them equal), and a failed inference."""
    replies = [
        "A",
        "B",
        "That is for a reader.",
        "That is for a reader.",
        "Hard to say.",
        "Failed to obtain answer via API.",
    ]
    rows = [
        {"index": i, "question": "Q?", "A": "Noise", "B": "Blur", "answer": "A", "prediction": reply}
        for i, reply in enumerate(replies)
    ]
    path = tmp_path / "m_MedQBench_Perception.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_both_accuracies_come_as_json(capsys, predictions, tmp_path):
    with JudgeServer("Answer: A") as server:
        arguments = ("--extractor", "own", "--judge-base-url", server.base_url, "--out", tmp_path / "out", "--json")
        code, out, err = run(capsys, "score", predictions, *arguments)
    assert (code, err) == (0, "")
    score = json.loads(out)
    # One of six is right by the rules, four with the extractor's letters.
    assert score["Overall"] == pytest.approx(100 / 6)
    assert score["lenient"]["Overall"] == pytest.approx(400 / 6)
    assert (score["n_unanswered"], score["lenient"]["n_unanswered"]) == (4, 1)
    assert len(server.requests) == 2


def test_without_the_option_nobody_is_asked(capsys, predictions, tmp_path):
    with JudgeServer("Answer: A") as server:
        arguments = ("--judge", "own", "--judge-base-url", server.base_url, "--out", tmp_path / "out")
        code, _, _ = run(capsys, "score", predictions, *arguments)
    assert (code, server.requests) == (0, [])
    assert "extractor" not in json.loads((tmp_path / "out" / "m_MedQBench_Perception_score.json").read_text())


def test_a_dry_run_says_what_the_extractor_then_takes(capsys, predictions, prices, tmp_path, judge_cache):
    dry = ("--extractor", "own", "--prices", prices, "--dry-run")
    code, out, err = run(capsys, "score", predictions, *dry)
    assert (code, err) == (0, "")
    assert "Not put to the extractor: 2 (read by the rules)" in out
    assert "Not put to the extractor: 1 (no reply to read)" in out
    [line] = [line.split() for line in out.splitlines() if line.startswith("own  ")]
    # Three calls in all, of which two are equal.
    assert line[:6] == ["own", "choice", "3", "0", "1", "2"]
    assert "completion tokens 30 a call, assumed for the protocol 'choice'" in out
    assert list(judge_cache.iterdir()) == []
    budget = json.loads(run(capsys, "score", predictions, *dry, "--json")[1])
    [own] = budget["judges"]
    assert own["cost_usd"] == pytest.approx((2 * own["prompt_tokens"] + 8 * 60) / 1e6)
    with JudgeServer("Answer: A") as server:
        arguments = ("--extractor", "own", "--judge-base-url", server.base_url, "--out", tmp_path / "out")
        assert run(capsys, "score", predictions, *arguments)[0] == 0
        assert len(server.requests) == own["to_ask"]
    budget = json.loads(run(capsys, "score", predictions, *dry, "--json")[1])
    assert [budget["judges"][0][name] for name in ("calls", "in_cache", "to_ask")] == [3, 3, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--extractor", "rules"], "'rules' is none"),
        (["--extractor", "a,b"], "takes one model"),
        (["--extractor", ""], "wants the name of a model"),
        (["--extractor", "own"], "'own' needs a key"),
        (["--extractor", "own", "--judge-base-url", NO_SERVER, "--judge-nproc", "2000"], "nproc"),
        (["--extractor", "own", "--judge-base-url", NO_SERVER, "--fresh", "--no-calls"], "--fresh"),
        (["--extractor", "own", "--judge-base-url", "nowhere"], "not of the form"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(capsys, predictions, tmp_path, arguments, words):
    code, _, err = run(capsys, "score", predictions, *arguments, "--out", tmp_path / "out")
    assert code in (1, 2)
    assert words in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*_score.json"))


def test_a_reasoning_file_takes_none(capsys, tmp_path):
    path = write_reasoning(tmp_path / "m_MedQBench_Reasoning_NoReference.tsv", {1: "It is good."})
    for more in ([], ["--dry-run"]):
        arguments = ("--judge", "rules", "--extractor", "own", "--out", tmp_path / "out")
        code, _, err = run(capsys, "score", path, *arguments, *more)
        assert code == 2
        assert "is no multiple-choice file" in err


def test_nobody_there_is_said_and_the_key_is_not(capsys, predictions, tmp_path):
    canary = "sk-canary-0123456789-abc"
    arguments = ("--extractor", "own", "--judge-base-url", NO_SERVER, "--judge-key", canary, "--judge-retry", 0)
    code, out, err = run(capsys, "score", predictions, *arguments, "--out", tmp_path / "out")
    assert code == 1
    assert "127.0.0.1:9" in err
    assert leaks([canary], tmp_path, said=out + err) == []
