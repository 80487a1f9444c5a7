"""Names of datasets, modes of running, and the result files of a run."""

import json
import logging

import pytest

PERCEPTION = "MedQBench_Perception_mini"
NO_REFERENCE = "MedQBench_Reasoning_NoReference_mini"
COMPARATIVE = "MedQBench_Reasoning_Comparative_mini"
BOTH = "MedQBench_Reasoning_mini"

MODES = pytest.mark.parametrize("mode", [[], ["--api-mode"]], ids=["local", "api-mode"])
# The pipeline sleeps for seconds.
_SLOW = pytest.param(["--api-mode"], marks=pytest.mark.slow)
MODES_SLOW = pytest.mark.parametrize("mode", [[], _SLOW], ids=["local", "api-mode"])
KEY_VARIABLES = ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "LMDEPLOY_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL")


def newest(work, name):
    """The file of the latest run: in a folder of its own, or straight in the model's folder."""
    paths = [path for path in work.rglob(name) if not path.is_symlink()]
    assert paths, f"{name} is nowhere in {work}"
    return max(paths, key=lambda path: path.stat().st_mtime_ns)


def score_of(work, model, dataset):
    return json.loads(newest(work, f"{model}_{dataset}_score.json").read_text(encoding="utf-8"))


def rows_of(work, model, dataset):
    path = newest(work, f"{model}_{dataset}_samples.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def forget_keys(monkeypatch):
    """No key of the machine's, and none left behind by a run: the runner puts some into the environment."""
    for name in KEY_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    # The kit opens a log file where its logger has no handlers yet; pytest puts some on loggers that do not propagate.
    logger = logging.getLogger("vlmeval")
    logger.handlers.clear()
    logger.propagate = True
