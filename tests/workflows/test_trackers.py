"""Runs in experiment trackers, by the trackers' own clients: W&B offline, MLflow in its file store."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from medqbench_vlmeval.workflows.trackers import facts_of, numbers_of
from tests.make import make_run, perception_run
from tests.report import page_runs

KEY = "-".join(("local", "key", "of", "tests", "x" * 24))


def test_numbers_are_those_of_the_result_with_their_intervals():
    result = perception_run().result
    numbers, overall = numbers_of(result), result["perception"].overall
    assert numbers["perception/Overall"] == overall.value
    assert (numbers["perception/Overall_low"], numbers["perception/Overall_high"]) == overall.interval
    assert numbers["perception/n"] == result["perception"].n
    ct = result["perception"].groups["modality"]["CT"].overall
    assert numbers["perception/modality/CT"] == ct.value
    assert all(isinstance(value, int | float) for value in numbers.values())
    facts = facts_of(result)
    assert facts["comparable"] == "no"
    assert facts["model"] == result.model
    assert all("\n" not in value and len(value) <= 500 for value in facts.values())
    # MLflow refuses a run for one name of more than 250 characters.
    long = make_run(page_runs.questions(modality="../m/" * 200)).result
    assert max(map(len, numbers_of(long))) <= 250


def scored(folder, *options, **environment):
    rows = "\n".join(f"{i},Is it sharp?,Yes,No,A,{'AB'[i % 2]}" for i in range(4))
    (folder / "p.csv").write_text(f"index,question,A,B,answer,prediction\n{rows}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "medqbench_vlmeval",
        "score",
        "p.csv",
        "--model",
        "M/one",
        "--out",
        "out",
        *options,
    ]
    home = {"HOME": str(folder), "WANDB_API_KEY": KEY, "MEDQBENCH_JUDGE_KEY": KEY, **environment}
    return subprocess.run(command, env={**os.environ, **home}, cwd=folder, capture_output=True, text=True, timeout=120)


def content(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb")
def test_wandb_gets_numbers_settings_and_files_and_no_key(tmp_path):
    done = scored(tmp_path, "--wandb", "medq", "--judge-key", KEY, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert "wandb: M/one on custom: " in done.stderr
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    for text in (b"perception/Overall", b"M/one on custom", b"comparable", b"M--one_custom_score.json"):
        assert text in log.read_bytes()
    assert not [path for path, data in content(tmp_path).items() if KEY.encode() in data]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
def test_mlflow_gets_a_result_once(tmp_path):
    store = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": (tmp_path / "store").as_uri()}
    done = scored(tmp_path, "--mlflow", "medq", "--json", **store)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Overall"] == 50.0
    (metric,) = tmp_path.glob("store/*/*/metrics/perception/Overall")
    assert metric.read_text().split()[1] == "50.0"
    (parameter,) = tmp_path.glob("store/*/*/params/model")
    assert parameter.read_text() == "M/one"
    names = {path.name for path in tmp_path.glob("store/*/*/artifacts/*")}
    assert names == {f"M--one_custom_{name}" for name in ("score.json", "samples.jsonl", "report.xlsx")}
    assert not [path for path, data in content(tmp_path).items() if KEY.encode() in data]
    command = [sys.executable, "-m", "medqbench_vlmeval", "report", "out", "--out", "report", "--mlflow", "medq"]
    again = subprocess.run(
        command, env={**os.environ, **store}, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "is in 'medq' already" in again.stderr, again.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
def test_a_tracker_that_is_away_is_told_in_a_sentence_and_the_results_stay(tmp_path):
    away = {"MLFLOW_TRACKING_URI": f"http://me:{KEY}@127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = scored(tmp_path, "--mlflow", "medq", **away)
    assert done.returncode == 1
    assert "mlflow refused the run" in done.stderr
    assert KEY not in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "M--one_custom_score.json").is_file()
