"""--limit in runs of the kit: a stratified subset for our datasets, on both kits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from medqbench_vlmeval.data import stratified
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.kit.guards import preserve_earlier_files
from medqbench_vlmeval.kit.options import LIMIT_VARIABLE
from medqbench_vlmeval.kit.run_files import Job
from medqbench_vlmeval.kit.runner import run, takes_limit
from tests.servers import JudgeServer

PERCEPTION = "MedQBench_Perception_mini"
BOTH = "MedQBench_Reasoning_mini"


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)


def newest(work, ending):
    return max(
        (path for path in work.rglob(f"*{ending}") if not path.is_symlink()), key=lambda path: path.stat().st_mtime_ns
    )


def chosen_of(kit, name, n):
    return stratified(kit.build_dataset(name).sample_set.samples, n)


@pytest.mark.parametrize("mode", [[], ["--api-mode"]], ids=["local", "api-mode"])
def test_a_limited_run_takes_the_stratified_subset(kit, work, mode):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--limit", "10", "--work-dir", str(work), *mode]
    assert run(arguments) == 0
    assert LIMIT_VARIABLE not in os.environ
    rows = [json.loads(line) for line in newest(work, "_samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["index"] for row in rows} == chosen_of(kit, PERCEPTION, 10)
    assert {sum(row["modality"] == name for row in rows) for name in {row["modality"] for row in rows}} == {2}
    score = json.loads(newest(work, "_score.json").read_text(encoding="utf-8"))
    assert (score["n"], score["n_missing"]) == (10, 0)
    assert "only 10 of 75 samples were run" in score["not_comparable_because"]


def test_both_reasoning_tasks_share_a_limit_and_the_result_says_its_cost(kit, work, monkeypatch, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"models": {"own": {"input": 2, "output": 8}}}), encoding="utf-8")
    monkeypatch.setenv("MEDQBENCH_PRICES", str(prices))
    with JudgeServer("Score: 2") as server:
        arguments = ["--data", BOTH, "--model", "MedQ-Chance", "--limit", "4", "--judge", "own"]
        arguments += ["--judge-base-url", server.base_url, "--judge-args", '{"protocol": "rubric"}']
        assert run([*arguments, "--work-dir", str(work)]) == 0
        asked = len(server.requests)
    score = json.loads(newest(work, "_score.json").read_text(encoding="utf-8"))
    assert (score["NoReference"]["n"], score["Comparative"]["n"]) == (2, 2)
    costs = [score[part]["usage"]["cost_usd"] for part in ("NoReference", "Comparative")]
    assert sum(costs) == pytest.approx(asked * 240 / 1e6)


def test_a_dataset_obeys_the_environment(kit, work, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "7")
    dataset = kit.build_dataset(PERCEPTION)
    assert len(dataset) == len(dataset.data) == 7
    assert list(dataset.data.index) == list(range(7))
    assert dataset.build_prompt(6)[-1]["type"] == "text"
    monkeypatch.setenv(LIMIT_VARIABLE, "seven")
    with pytest.raises(BadInput, match=f"{LIMIT_VARIABLE} is 'seven'"):
        from medqbench_vlmeval.kit.datasets import MedQBenchPerception

        MedQBenchPerception(PERCEPTION)


@pytest.mark.parametrize("limit", ["0", "-1", "all", "2.5"])
def test_a_limit_that_is_none_is_refused(kit, work, limit):
    with pytest.raises(BadInput, match="--limit is"):
        run(["--data", PERCEPTION, "--model", "MedQ-Chance", f"--limit={limit}", "--work-dir", str(work)])
    assert not work.exists()


def test_a_dry_run_is_refused_with_the_way_to_one(kit, work):
    with pytest.raises(BadInput, match="medqbench score PREDICTIONS --judge NAME --dry-run"):
        run(["--data", BOTH, "--model", "MedQ-Chance", "--dry-run", "--work-dir", str(work)])


@pytest.mark.parametrize("option", ["--limi", "--lim", "--li"])
def test_no_abbreviation_reaches_the_kits_own_limit(kit, work, monkeypatch, option):
    from medqbench_vlmeval.kit import runner

    seen = []
    monkeypatch.setattr(runner, "_hand_over", lambda _, words: seen.append((words, os.environ[LIMIT_VARIABLE])))
    run(["--data", PERCEPTION, "--model", "MedQ-Chance", option, "7", "--work-dir", str(work)])
    assert seen == [(["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)], "7")]


def kits_runner(kit):
    inside = Path(kit.__file__).parent.parent / "run.py"
    return inside if inside.is_file() else inside.parent.parent / "run.py"


@pytest.fixture
def flat(kit):
    """Local mode writes straight into the model's folder."""
    if kits_runner(kit).parent != Path(kit.__file__).parent.parent:
        pytest.skip("git HEAD makes a folder for each run")


def test_with_a_dataset_of_the_kits_the_kit_gets_the_limit_too(kit, work, monkeypatch):
    from medqbench_vlmeval.kit import runner

    seen = []
    monkeypatch.setattr(runner, "_hand_over", lambda _, words: seen.append((words, os.environ[LIMIT_VARIABLE])))
    arguments = ["--model", "MedQ-Chance", "--limit", "7", "--work-dir", str(work)]
    run(["--data", PERCEPTION, *arguments])
    assert seen[0] == (["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)], "7")
    mixed = ["--data", PERCEPTION, "MMBench_DEV_EN", *arguments]
    if takes_limit(kits_runner(kit)):
        run(mixed)
        assert seen[1][0][-2:] == ["--limit", "7"]
    else:
        with pytest.raises(BadInput, match="has no --limit for datasets of its own"):
            run(mixed)


def test_a_limited_run_cuts_no_prediction_file(kit, work, flat):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)]
    assert run(arguments) == 0
    whole = newest(work, f"{PERCEPTION}.xlsx")
    before = sha256_of(whole)
    with pytest.raises(BadInput, match=r"holds 75 predictions, .* would leave 7 of them .*--mode eval"):
        run([*arguments, "--limit", "7"])
    assert run([*arguments, "--limit", "7", "--mode", "eval"]) == 0
    assert json.loads(newest(work, "_score.json").read_text(encoding="utf-8"))["n"] == 7
    assert sha256_of(whole) == before


def test_predictions_of_local_mode_outlive_a_run_in_api_mode(kit, work, flat):
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)]
    assert run(arguments) == 0
    before = {sha256_of(newest(work, ending)) for ending in (f"{PERCEPTION}.xlsx", "_samples.jsonl", "_score.json")}
    assert run([*arguments, "--api-mode", "--limit", "7"]) == 0
    assert before == {
        sha256_of(path) for path in (work / "MedQ-Chance" / "previous").glob("*[xln]") if "report" not in path.name
    }


@pytest.mark.parametrize("ends_with", ["done", "interrupted"])
def test_a_limited_run_leaves_the_checkpoint_of_a_whole_one(tmp_path, ends_with):
    folder = tmp_path / "M"
    folder.mkdir()
    checkpoints = [folder / f"M_{PERCEPTION}_checkpoint.pkl", folder / f"01_{PERCEPTION}.pkl"]
    for path in checkpoints:
        path.write_bytes(b"of all samples")
    with preserve_earlier_files([Job("M", PERCEPTION, "all")], tmp_path, 7, api_mode=False, links=False):
        for path in checkpoints:
            if ends_with == "done":
                path.unlink()
            else:
                path.write_bytes(b"of all samples and some more")
    assert sorted(folder.iterdir()) == sorted(checkpoints)
    expected = b"of all samples" if ends_with == "done" else b"of all samples and some more"
    assert {path.read_bytes() for path in checkpoints} == {expected}
