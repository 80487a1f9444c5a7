"""The progress file: what it says, how seldom it is written, and what becomes of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqbench_vlmeval.errors import JudgeError
from medqbench_vlmeval.judge.calls import Progress
from medqbench_vlmeval.judge.usage import load_prices
from medqbench_vlmeval.report.terminal import Meter
from medqbench_vlmeval.runs import progress as module
from medqbench_vlmeval.runs.progress import (
    REPLIES_COMPLETE,
    ProgressFile,
    RunProgress,
    is_running,
    judging,
    progress_path,
    read_progress,
    written_progress,
)
from medqbench_vlmeval.steps import step
from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import SHARP, write_reasoning


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Both clocks; its only value is the time."""
    clock = [100.0]
    for name in ("monotonic", "time"):
        monkeypatch.setattr(module.time, name, lambda: clock[0])
    return clock


def made(tmp_path: Path) -> ProgressFile:
    return ProgressFile(progress_path(tmp_path, "m_d"), "m", "d")


def known(file: ProgressFile) -> RunProgress:
    read = read_progress(file.path)
    assert read is not None
    return read


def test_it_is_written_once_a_second_and_at_each_new_stage(tmp_path: Path, seconds: list[float]) -> None:
    file = made(tmp_path)
    file.told("loading", total=10)
    file.told("inference", 4, 10)
    for second, done in ((100.4, 5), (100.8, 6), (102.0, 7), (102.5, 8)):
        seconds[0] = second
        file.told("inference", done, 10, "1 failed")
    # The eighth came too soon after the seventh.
    read = known(file)
    assert (read.stage, read.done, read.total, read.before, read.more) == ("inference", 7, 10, 4, "1 failed")
    assert (read.since, read.updated) == (100.0, 102.0)
    assert (read.model, read.dataset, read.pid, read.host) == ("m", "d", os.getpid(), socket.gethostname())
    file.told(REPLIES_COMPLETE)
    assert (known(file).stage, known(file).done, known(file).total) == (REPLIES_COMPLETE, 8, 10)
    with written_progress(file):
        step("judging", 1, 3, "$0.01 so far")
        assert (known(file).stage, known(file).total, known(file).more) == ("judging", 3, "$0.01 so far")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "stage", "why"),
    [
        (JudgeError("It said no."), "failed", "It said no."),
        # The words of other errors may hold anything.
        (ValueError("sk-secret"), "failed", "ValueError"),
        # The end of its process tells.
        (KeyboardInterrupt(), "judging", ""),
    ],
)
def test_how_it_ended(tmp_path: Path, error: BaseException, stage: str, why: str) -> None:
    file = made(tmp_path)
    with pytest.raises(type(error)), written_progress(file):
        raise error
    # What failed before it began leaves nothing.
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(type(error)), written_progress(file):
        step("judging", 1, 3)
        raise error
    assert (known(file).stage, known(file).more, known(file).done) == (stage, why, 1)


def test_a_judges_progress_has_the_cost_and_the_failures_of_all_judges() -> None:
    heard: list[Progress] = []
    tell = judging(load_prices(), heard.append)
    # gpt-4o costs $2.50 and $10 a million tokens.
    tell(Progress(29, 40, 9, 10_000, 100, "gpt-4o", failed=2))
    tell(Progress(31, 40, 1, 100, 1, "of no price", failed=1))
    assert (heard[0].cost_usd, heard[0].failed) == (pytest.approx(0.026), 2)
    assert (heard[1].cost_usd, heard[1].failed) == (None, 3)
    assert "2 failed, $0.0260 so far" in Meter().read(heard[0])


def test_whether_its_process_is_at_work(tmp_path: Path) -> None:
    file = made(tmp_path)
    file.told("judging", 0, 5)
    read = known(file)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    later = read.updated + 60
    assert is_running(read, read.updated)
    assert is_running(read, later)
    assert is_running(replace(read, pid=ended.pid), read.updated + 1)  # fresh: perhaps of another container
    assert not is_running(replace(read, pid=ended.pid), later)
    assert not is_running(replace(read, pid=-1), later)
    elsewhere = replace(read, host="another", pid=ended.pid)
    assert is_running(elsewhere, later)
    assert not is_running(elsewhere, read.updated + 3600)
    assert not is_running(replace(read, stage="failed"), read.updated)


def test_somebodys_file_of_that_name_stays_and_a_name_too_long_stops_no_run(tmp_path: Path) -> None:
    path = progress_path(tmp_path, "m_d")
    path.write_text('[{"index": 1, "prediction": "paid for"}]', encoding="utf-8")
    before = path.read_bytes()
    with written_progress(ProgressFile(path, "m", "d")):
        step("judging", 0, 10)
        assert path.read_bytes() == before
    with pytest.raises(JudgeError), written_progress(ProgressFile(path, "m", "d")):
        raise JudgeError("out of order")
    assert path.read_bytes() == before
    with pytest.raises(JudgeError), written_progress(ProgressFile(progress_path(tmp_path, "x" * 250), "m", "d")):
        step("judging", 0, 10)
        raise JudgeError("out of order")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_stops_no_run(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "absent" / "m_progress.json", "m", "d")
    with written_progress(file):
        step("judging", 1)
    assert list(tmp_path.iterdir()) == []


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["model", "stage", "since", "pid", "done", "log"]), values) | values)
def test_what_is_no_progress_is_none(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "other_progress.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_progress(path) is None


@pytest.mark.slow
def test_an_evaluation_tells_how_far_it_is_and_leaves_no_file(tmp_path: Path) -> None:
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP, "2": SHARP})
    stages = []

    def look(progress: object) -> None:
        step("judging", 1, 8)
        stages.append(known(ProgressFile(progress_path(tmp_path, "m_d"), "m", "d")).stage)

    evaluate(
        Request(
            path,
            "m",
            "MedQBench_Reasoning_NoReference_mini",
            tmp_path,
            judge={"model": "rules"},
            on_progress=look,
        )
    )
    assert stages and {*stages} == {"judging"}
    assert not (tmp_path / "m_d_progress.json").exists()
