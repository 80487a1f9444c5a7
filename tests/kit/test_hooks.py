"""What the kit's final table and its ``summarize.py`` ask: our primary metric, and counts that were kept."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medqbench_vlmeval.files import sha256_of
from medqbench_vlmeval.runs.files import result_paths, write_score
from medqbench_vlmeval.types import Run
from tests.make import combined_run, perception_run


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "Model-X_MedQBench_Reasoning_mini.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["index", "prediction"])
        table.writerows([[1, "Sharp."], [2, "Failed to obtain answer via API."], [3, "Blurred."]])
    return path


def save(predictions: Path, run: Run) -> None:
    """Put a run's result beside a prediction file, as one of this very file."""
    file = replace(run.result.settings.prediction_file, sha256=sha256_of(predictions))
    result = replace(run.result, settings=replace(run.result.settings, prediction_file=file))
    write_score(replace(run, result=result, paths=result_paths(predictions)))


@pytest.fixture
def hooks(kit: Any) -> Any:
    return kit.MedQBenchReasoning


def judge_errors(hooks: Any, predictions: Path | None, error: str | None = None) -> dict[str, int | None]:
    return hooks.report_judge_err(predictions, total_samples=3, error_message=error)


def test_failures_are_those_of_the_result_of_this_very_file(hooks: Any, predictions: Path) -> None:
    assert hooks.report_infer_err(predictions) == {"failed": 1, "total": 3}
    save(predictions, combined_run())
    # One of three samples is unscored in each of the two parts.
    assert judge_errors(hooks, predictions) == {"failed": 2, "total": 6}
    predictions.write_text(predictions.read_text(encoding="utf-8").replace("Sharp", "Dark"), encoding="utf-8")
    # A result of other replies says nothing of these.
    assert judge_errors(hooks, predictions) == {"failed": None, "total": 3}
    save(predictions, perception_run())
    assert judge_errors(hooks, predictions) == {"failed": 0, "total": 5}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 1}', '{"settings": {"prediction_file": []}}'])
def test_without_a_whole_result_nothing_is_said_to_be_judged(hooks: Any, predictions: Path, content: str) -> None:
    predictions.with_name(f"{predictions.stem}_score.json").write_text(content, encoding="utf-8")
    assert judge_errors(hooks, predictions) == {"failed": None, "total": 3}
    assert judge_errors(hooks, predictions, "JudgeError: no judge") == {"failed": 3, "total": 3}
    assert judge_errors(hooks, None) == {"failed": None, "total": 3}
    assert hooks.report_infer_err(predictions.with_name("absent.csv")) == {"failed": 0, "total": 0}


def test_the_primary_metric_is_overall_of_each_part(hooks: Any) -> None:
    single = {"How": 0.0, "Overall": 60.0, "modality|CT": 66.7}
    assert hooks.report_primary_metric(single) == {"Overall": 60.0}
    combined = {"Comparative|Overall": 3.05, "NoReference|n": 3, "NoReference|Overall": 4.75}
    assert list(hooks.report_primary_metric(combined).items()) == [
        ("NoReference|Overall", 4.75),
        ("Comparative|Overall", 3.05),
    ]
    assert hooks.report_primary_metric(None) == {}
