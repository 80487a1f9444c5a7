"""Two processes of torchrun on a machine without a GPU, with the real kit and a model in the process."""

import os
import subprocess
import sys
import time

import pytest

from tests.kit.runs import BOTH, PERCEPTION, newest

pytestmark = [pytest.mark.needs_kit, pytest.mark.slow]

WORDS = ["--data", PERCEPTION, BOTH, "--model", "Tiny", "--judge", "rules"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(work, *before, raises=None, words=WORDS):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""} | ({} if raises is None else {"RAISES": raises})
    command = [sys.executable, *before, "-m", "tests.kit.rank_model", *words, "--work-dir", str(work)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)


def test_two_processes_give_what_one_gives(tmp_path):
    one, two = run(tmp_path / "one"), run(tmp_path / "two", *TORCHRUN)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    for dataset in (PERCEPTION, BOTH):
        name = f"Tiny_{dataset}_samples.jsonl"
        assert newest(tmp_path / "two", name).read_bytes() == newest(tmp_path / "one", name).read_bytes()
    # Results are shown and written by one of the two.
    assert two.stdout.count("Results: ") == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_process_ends_both_with_one_sentence(tmp_path, rank):
    began = time.monotonic()
    done = run(tmp_path, *TORCHRUN, raises=str(rank))
    assert done.returncode == 1
    said = f"Process {rank} of 2 failed, which ends all: RuntimeError: no memory is left on this card"
    assert done.stderr.count(said) == 1
    assert "gloo" not in done.stderr
    # A process that waits for one that is gone would wait for the hour that the kit allows.
    assert time.monotonic() - began < 200


def test_a_dataset_that_cannot_be_loaded_ends_both_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LMUData", str(tmp_path / "data"))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "medqbench_QA_test.tsv").write_text("index\tquestion\n1\tSharp?\n", encoding="utf-8")
    done = run(tmp_path, *TORCHRUN, words=["--data", "MedQBench_Perception", "--model", "Tiny"])
    assert done.returncode == 1
    assert "of 2 failed, which ends all: " in done.stderr
    assert "medqbench_QA_test.tsv" in done.stderr
