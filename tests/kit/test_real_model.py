"""A real vision-language model: a tiny Qwen2.5-VL, served by ``transformers serve`` and run by the kit."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from medqbench_vlmeval.kit.runner import run
from tests.kit.runs import COMPARATIVE, MODES, NO_REFERENCE, PERCEPTION, rows_of, score_of
from tests.tiny_vlm import build
from tests.workflows.suites import suite

pytestmark = pytest.mark.slow

MODEL = "tiny-qwen"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The base URL of a running server; it is stopped when the module is done."""
    folder = tmp_path_factory.mktemp("served")
    build(folder / MODEL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32", MODEL]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


@MODES
@pytest.mark.parametrize("dataset", [PERCEPTION, NO_REFERENCE, COMPARATIVE])
def test_one_run_a_task(kit, work, server, dataset, mode):
    arguments = ["--data", dataset, "--model", MODEL, "--base-url", server, "--max-tokens", "12", "--retry", "1"]
    assert run([*arguments, "--judge", "rules", "--api-nproc", "2", "--work-dir", str(work), *mode]) == 0
    rows, score = rows_of(work, MODEL, dataset), score_of(work, MODEL, dataset)
    assert len(rows) == score["n"] == len(kit.build_dataset(dataset))
    assert score["n_inference_failed"] == 0
    # Random weights write noise; it has to arrive as it was written, and differ from image to image.
    assert len({row["prediction"] for row in rows}) > 1
    if score["task"] != "perception":
        assert score["n_unscored"] == 0


def test_a_suite_asks_the_server_too(server, tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        f"datasets: [{PERCEPTION}]\nlimit: 6\nmodels:\n- name: {MODEL}\n  base_url: [{server}, {server}]\n"
        "  options: {max-tokens: 12, retry: 1, api-nproc: 2}\n",
        encoding="utf-8",
    )
    code, out, err = suite(file)
    assert code == 0, err
    assert "2 of 2 jobs are done." in out
    assert score_of(tmp_path / "s", MODEL, PERCEPTION)["n_inference_failed"] == 0
