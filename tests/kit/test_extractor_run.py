"""``medqbench run --extractor`` with the real kit."""

import csv
import json
import os

import pytest

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.runner import run
from tests.canaries import leaks
from tests.servers import JudgeServer, Sent

PERCEPTION = "MedQBench_Perception_mini"
NO_REFERENCE = "MedQBench_Reasoning_NoReference_mini"
CANARY = "sk-canary-0123456789-abc"
OPEN = "That is for a reader, case"
N_OPEN = 5


@pytest.fixture
def clean(monkeypatch):
    for name in ("MEDQBENCH_JUDGE_KEY", "OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL", "MEDQBENCH_EXTRACTOR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def opened(path):
    """The predictions of a file, the first ones replaced by replies that the rules leave open."""
    with path.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for number, row in enumerate(rows[:N_OPEN]):
        row["prediction"] = f"{OPEN} {number}."
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)


def newest(work, name):
    found = [path for path in work.rglob(name) if not path.is_symlink()]
    return max(found, key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("mode", [[], pytest.param(["--api-mode"], marks=pytest.mark.slow)], ids=["local", "api-mode"])
def test_open_replies_of_a_run_go_to_the_extractor(kit, work, clean, tmp_path, monkeypatch, capfd, mode):
    monkeypatch.setenv("PRED_FORMAT", "tsv")
    arguments = ["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work), *mode]
    assert run([*arguments, "--mode", "infer"]) == 0
    opened(newest(work, f"MedQ-Chance_{PERCEPTION}.tsv"))
    with JudgeServer(lambda request: Sent(f"{request.headers['authorization']}\nAnswer: A")) as server:
        more = ["--extractor", "ext", "--judge-base-url", server.base_url, "--judge-key", CANARY]
        assert run([*arguments, *more, "--mode", "eval", "--reuse"]) == 0
    assert len(server.requests) == N_OPEN
    assert {(one.body["model"], one.headers["authorization"]) for one in server.requests} == {
        ("ext", f"Bearer {CANARY}")
    }
    score = json.loads(newest(work, f"MedQ-Chance_{PERCEPTION}_score.json").read_text(encoding="utf-8"))
    block = score["extractor"]
    assert [block[name] for name in ("name", "n_open", "n_read", "n_failed")] == ["ext", N_OPEN, N_OPEN, 0]
    assert score["n_unanswered"] == N_OPEN
    assert block["lenient"]["n_unanswered"] == 0
    status = json.loads(newest(work, "status.json").read_text(encoding="utf-8"))
    entry = status["datasets"][PERCEPTION]
    assert entry["primary_metric"] == "Overall"
    assert entry["metrics"]["Overall"] == pytest.approx(score["Overall"])
    assert entry["metrics"]["lenient|Overall"] == pytest.approx(block["lenient"]["Overall"])
    assert "MEDQBENCH_EXTRACTOR" not in os.environ
    assert leaks([CANARY], tmp_path, said="".join(capfd.readouterr())) == []


@pytest.mark.parametrize("name", ["rules", "a,b", "kit:"])
def test_what_is_no_extractor_is_said_before_inference(work, clean, name):
    with pytest.raises(BadInput, match="--extractor"):
        run(["--data", PERCEPTION, "--model", "MedQ-Chance", "--extractor", name, "--work-dir", str(work)])
    assert not work.exists()


def test_a_variable_is_checked_before_inference_too(work, clean, monkeypatch):
    monkeypatch.setenv("MEDQBENCH_EXTRACTOR", "a,b")
    with pytest.raises(BadInput, match="MEDQBENCH_EXTRACTOR takes one model"):
        run(["--data", PERCEPTION, "--model", "MedQ-Chance", "--work-dir", str(work)])
    assert not work.exists()


def test_a_run_without_multiple_choice_takes_none(work, clean):
    with pytest.raises(BadInput, match="no dataset of this run is MedQBench_Perception"):
        run(["--data", NO_REFERENCE, "--model", "MedQ-Chance", "--extractor", "ext", "--work-dir", str(work)])
    assert not work.exists()
