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
from medqbench_vlmeval.judge import Progress
from medqbench_vlmeval.judge.usage import load_prices
from medqbench_vlmeval.runs import progress as module
from medqbench_vlmeval.runs.progress import (
    ProgressFile,
    is_running,
    judging,
    progress_path,
    read_progress,
    written_progress,
)
from medqbench_vlmeval.workflows import Request, evaluate
from tests.make import SHARP, write_reasoning


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock that never goes back; its only value is the time."""
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    return clock


def made(tmp_path: Path) -> ProgressFile:
    return ProgressFile(progress_path(tmp_path, "m_d"), "m", "d")


def test_samples_are_counted_and_the_file_is_written_once_a_second(tmp_path: Path, seconds: list[float]) -> None:
    file = made(tmp_path)
    file.enter("inference", total=10, before=4)
    for second, failed in ((100.4, False), (100.8, True), (102.0, False), (102.5, False)):
        seconds[0] = second
        file.answered(failed)
    known = read_progress(tmp_path / "m_d_progress.json")
    assert known is not None
    # Three of six were answered by this process in two seconds; the fourth came too soon after the third.
    assert (known.stage, known.done, known.total, known.failures, known.rate) == ("inference", 7, 10, 1, 1.5)
    assert (known.model, known.dataset, known.pid, known.host) == ("m", "d", os.getpid(), socket.gethostname())
    file.enter("replies complete")
    known = read_progress(file.path)
    assert known is not None and (known.stage, known.done, known.failures) == ("replies complete", 8, 1)
    file.stop()
    assert read_progress(file.path) == known
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_judges_progress_has_its_cost_and_is_passed_on(tmp_path: Path, seconds: list[float]) -> None:
    file, heard = made(tmp_path), []
    tell = judging(file, load_prices(), heard.append)
    # 20 calls were in the cache; gpt-4o costs $2.50 and $10 a million tokens.
    tell(Progress(21, 40, 1, 1000, 10, "gpt-4o"))
    seconds[0] += 4
    tell(Progress(29, 40, 9, 10_000, 100, "gpt-4o", failed=2))
    known = read_progress(file.path)
    assert known is not None
    assert (known.stage, known.done, known.total, known.failures) == ("judging", 29, 40, 2)
    assert (known.rate, known.cost_usd) == (9 / 4, pytest.approx(0.026))
    seconds[0] += 4
    tell(Progress(31, 40, 1, 100, 1, "of no price", failed=1))
    seconds[0] += 4
    tell(Progress(32, 40, 2, 200, 2, "of no price", failed=1))
    known = read_progress(file.path)
    assert known is not None and (known.failures, known.cost_usd) == (3, None)
    assert len(heard) == 4


@pytest.mark.parametrize(
    ("error", "stage", "why"),
    [
        (JudgeError("It said no."), "failed", "It said no."),
        # The words of other errors may hold anything.
        (ValueError("sk-secret"), "failed", "ValueError"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
    ],
)
def test_how_it_ended(tmp_path: Path, error: BaseException, stage: str, why: str) -> None:
    file = made(tmp_path)
    with pytest.raises(type(error)), written_progress(file):
        raise error
    known = read_progress(file.path)
    assert known is not None and (known.stage, known.why) == (stage, why)
    with written_progress(file, "replies complete"):
        file.enter("inference", 3)
    known = read_progress(file.path)
    assert known is not None and known.stage == "replies complete"
    with written_progress(file):
        pass
    assert not file.path.exists()


def test_whether_its_process_is_at_work(tmp_path: Path) -> None:
    file = made(tmp_path)
    file.enter("judging", 5)
    known = read_progress(file.path)
    assert known is not None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    later = known.updated + 60
    assert is_running(known)
    assert is_running(known, later)
    assert is_running(replace(known, pid=ended.pid), known.updated + 1)  # fresh: perhaps of another container
    assert not is_running(replace(known, pid=ended.pid), later)
    assert not is_running(replace(known, pid=0), later)
    elsewhere = replace(known, host="another", pid=ended.pid)
    assert is_running(elsewhere, later)
    assert not is_running(elsewhere, known.updated + 3600)
    assert not is_running(replace(known, stage="failed"))


def test_a_folder_that_is_not_there_or_full_stops_no_run(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path / "absent" / "m_progress.json", "m", "d")
    with written_progress(file):
        file.enter("inference", 1)
        file.answered(failed=False)
    assert list(tmp_path.iterdir()) == []


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["model", "stage", "started", "pid", "done", "log"]), values) | values)
def test_what_is_no_progress_is_none(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "other_progress.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_progress(path) is None


@pytest.mark.slow
def test_an_evaluation_tells_how_far_it_is_and_leaves_no_file(tmp_path: Path) -> None:
    path = write_reasoning(tmp_path / "m_d.tsv", {"1": SHARP, "2": SHARP})
    seen = []

    def look(_: Progress) -> None:
        seen.append(read_progress(tmp_path / "m_d_progress.json"))

    request = Request(path, "m", "MedQBench_Reasoning_NoReference_mini", tmp_path, judge={"model": "rules"})
    evaluate(replace(request, on_progress=look))
    assert [(known.stage, known.total) for known in seen if known] == [("judging", 8)] * len(seen)
    assert not (tmp_path / "m_d_progress.json").exists()
