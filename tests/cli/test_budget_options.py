"""``medqbench score`` with --dry-run, --limit, --prices, --fresh and --no-calls."""

from __future__ import annotations

import json
import time

import pytest

from tests.commands import MODALITIES, predictions_of, run
from tests.servers import JudgeServer, refusal

NO_SERVER = "http://127.0.0.1:9/v1"


pytestmark = pytest.mark.usefixtures("closed_machine")


def answers(n, model="m"):
    return (f"{model} sees mild noise in case {i}. The quality of this image is usable." for i in range(n))


@pytest.fixture
def predictions(tmp_path):
    return predictions_of(tmp_path / "m_MedQBench_Reasoning_NoReference.jsonl", answers(20))


def test_a_dry_run_needs_no_key_and_leaves_nothing(capsys, predictions, tmp_path, judge_cache):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, "score", predictions, "--judge", "gpt-4o", "--protocol", "rubric", "--dry-run")
    assert (code, err) == (0, "")
    assert "Dry run: m on MedQBench_Reasoning_NoReference, 20 samples. Nothing is asked" in out
    [line] = [line.split() for line in out.splitlines() if line.startswith("gpt-4o  ")]
    assert line[:6] == ["gpt-4o", "rubric", "80", "0", "0", "80"]
    assert sorted(tmp_path.rglob("*")) == before
    assert list(judge_cache.iterdir()) == []


def test_a_dry_run_as_json(capsys, predictions, prices):
    arguments = ("--judge", "own,unknown", "--protocol", "rubric", "--prices", prices, "--limit", 5)
    code, out, _ = run(capsys, "score", predictions, *arguments, "--dry-run", "--json")
    output = json.loads(out)
    assert (code, output["n"], output["task"]) == (0, 5, "no-reference")
    own, unknown = output["judges"]
    assert (own["calls"], own["to_ask"], own["completion_tokens"]) == (20, 20, 1200)
    assert own["cost_usd"] == pytest.approx((2 * own["prompt_tokens"] + 8 * 1200) / 1e6)
    assert own["cost_batch_usd"] == pytest.approx(own["cost_usd"] / 2)
    assert (unknown["cost_usd"], unknown["cost_batch_usd"]) == (None, None)
    assert (output["total"]["cost_usd"], output["total"]["calls"]) == (None, 40)
    assert any("There is no price for 'unknown'" in note and str(prices) in note for note in output["notes"])


def test_a_dry_run_says_what_the_real_run_then_takes(capsys, predictions, prices, tmp_path):
    with JudgeServer("Score: 2") as server:
        judge = ("--judge", "own", "--judge-base-url", server.base_url, "--protocol", "rubric", "--prices", prices)
        foreseen = json.loads(run(capsys, "score", predictions, *judge, "--dry-run", "--json")[1])
        assert server.requests == []
        assert run(capsys, "score", predictions, *judge, "--out", tmp_path / "out")[0] == 0
        assert len(server.requests) == foreseen["total"]["to_ask"] == 80
        again = json.loads(run(capsys, "score", predictions, *judge, "--dry-run", "--json")[1])
        assert (again["total"]["in_cache"], again["total"]["to_ask"], again["total"]["cost_usd"]) == (80, 0, 0)
        # The server counts 100 and 5 tokens a call.
        score = json.loads((tmp_path / "out" / f"{predictions.stem}_score.json").read_text())
        cost = pytest.approx(80 * (100 * 2 + 5 * 8) / 1e6)
        assert score["usage"]["cost_usd"] == score["usage"]["this_run"]["cost_usd"] == cost
        run(capsys, "score", predictions, *judge, "--out", tmp_path / "out")
        score = json.loads((tmp_path / "out" / f"{predictions.stem}_score.json").read_text())
        assert (score["usage"]["cost_usd"], score["usage"]["this_run"]["cost_usd"]) == (cost, 0)
        assert len(server.requests) == 80
        run(capsys, "score", predictions, *judge, "--out", tmp_path / "out", "--fresh")
        assert len(server.requests) == 160


def test_a_panels_usage_is_told_by_judge(capsys, predictions, prices, tmp_path):
    with JudgeServer("Score: 2") as server:
        arguments = ("--judge-base-url", server.base_url, "--protocol", "rubric", "--prices", prices, "--limit", 2)
        run(capsys, "score", predictions, "--judge", "own,rules", *arguments, "--out", tmp_path / "a")
        run(capsys, "score", predictions, "--judge", "own,unknown", *arguments, "--out", tmp_path / "b")
    usage = json.loads((tmp_path / "a" / f"{predictions.stem}_score.json").read_text())["usage"]
    cost = pytest.approx(8 * 240 / 1e6)
    assert (usage["calls"], usage["prompt_tokens"], usage["cost_usd"]) == (8, 800, cost)
    assert usage["by_judge"]["own"]["this_run"] == {
        "calls": 8, "prompt_tokens": 800, "completion_tokens": 40, "cost_usd": cost
    }  # fmt: skip
    assert (usage["by_judge"]["rules"]["calls"], usage["by_judge"]["rules"]["cost_usd"]) == (0, 0)
    usage = json.loads((tmp_path / "b" / f"{predictions.stem}_score.json").read_text())["usage"]
    assert (usage["calls"], usage["cost_usd"], usage["by_judge"]["unknown"]["cost_usd"]) == (16, None, None)
    assert (usage["by_judge"]["own"]["cost_usd"], usage["this_run"]["calls"]) == (cost, 8)


def test_no_calls_takes_the_cache_alone(capsys, predictions, tmp_path):
    with JudgeServer("Score: 2") as server:
        judge = ("--judge", "own", "--judge-base-url", server.base_url, "--protocol", "rubric")
        run(capsys, "score", predictions, *judge, "--limit", 4, "--out", tmp_path / "a")
    code, out, _ = run(capsys, "score", predictions, *judge, "--no-calls", "--out", tmp_path / "b", "--json")
    output = json.loads(out)
    assert (code, output["n"], output["n_unscored"], output["Overall"]) == (0, 20, 16, 8)


def test_a_limit_is_the_same_for_every_model(capsys, tmp_path):
    chosen = []
    for model in ("one", "two"):
        path = predictions_of(tmp_path / f"{model}_MedQBench_Reasoning_NoReference.jsonl", answers(20, model))
        code, out, _ = run(capsys, "score", path, "--judge", "rules", "--limit", 8, "--out", tmp_path / model)
        assert code == 0
        assert "only 8 of 20 samples were run" in out
        rows = (tmp_path / model / f"{path.stem}_samples.jsonl").read_text().splitlines()
        chosen.append([(row["index"], row["modality"]) for row in map(json.loads, rows)])
    assert chosen[0] == chosen[1]
    assert sorted(modality for _, modality in chosen[0]) == sorted(MODALITIES * 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", 0, "--judge", "rules", "--out", "x"), "The limit is 0"),
        (("--judge", "rules"), "--out"),
        (("--dry-run",), "--judge"),
        (("--dry-run", "--judge", "own", "--prices", "absent.json"), "absent.json"),
        (("--judge", "own", "--judge-base-url", NO_SERVER, "--prices", "absent.json", "--out", "x"), "absent.json"),
        (("--dry-run", "--judge", "own", "--protocol", "rubic"), "rubric"),
        (("--dry-run", "--judge", "own", "--fresh", "--judge-args", '{"no_calls": true}'), "--fresh"),
    ],
)
def test_errors_are_one_sentence(capsys, predictions, arguments, words):
    code, out, err = run(capsys, "score", predictions, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_multiple_choice_needs_no_judge_and_rules_make_no_calls(capsys, predictions, tmp_path):
    path = tmp_path / "choice.csv"
    path.write_text("index,question,A,B,answer,prediction\n1,Q?,Yes,No,A,A\n", encoding="utf-8")
    code, out, _ = run(capsys, "score", path, "--dry-run")
    assert code == 0
    assert "no calls, no cost" in out
    assert json.loads(run(capsys, "score", path, "--dry-run", "--json")[1])["total"]["cost_usd"] == 0
    output = json.loads(run(capsys, "score", predictions, "--judge", "rules", "--dry-run", "--json")[1])
    assert (output["total"]["calls"], output["total"]["cost_usd"]) == (0, 0)


def test_a_whole_test_split_is_estimated_in_no_time(capsys, tmp_path):
    path = predictions_of(tmp_path / "big.jsonl", answers(354))
    start = time.perf_counter()
    output = json.loads(run(capsys, "score", path, "--judge", "own", "--protocol", "rubric", "--dry-run", "--json")[1])
    assert output["total"]["calls"] == 1416
    assert time.perf_counter() - start < 3


def test_no_retry_is_no_retry_whatever_judge_args_say(capsys, predictions, tmp_path):
    with JudgeServer(refusal(500, "out of order")) as server:
        judge = ("--judge", "own", "--judge-base-url", server.base_url, "--protocol", "rubric", "--judge-nproc", 1)
        more = ("--judge-retry", 0, "--judge-args", '{"retry": 5, "stop_after": 2}')
        assert run(capsys, "score", predictions, *judge, *more, "--out", tmp_path / "o")[0] == 1
        assert len(server.requests) == 2
