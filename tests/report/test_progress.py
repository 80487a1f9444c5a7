"""What is shown while a judge works."""

from __future__ import annotations

import io
import sys

import pytest

from medqbench_vlmeval.judge import Progress
from medqbench_vlmeval.judge.usage import Price, PriceTable
from medqbench_vlmeval.report.terminal import Meter, clock, dollars, judge_progress


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def table(tmp_path):
    return lambda: PriceTable({"own": Price(2, 8), "two": Price(1, 1)}, 0.5, "by hand", tmp_path / "prices.json")


@pytest.fixture
def now():
    return Clock()


def test_rate_cost_and_time_left_by_hand(table, now):
    meter = Meter(table, now)
    first = meter.read(Progress(101, 1101, 1, 100, 5, "own"))  # 100 of them were in the cache
    assert (first.done, first.rate, first.left) == ("101/1,101", "-", "-")
    now.time += 10
    found = meter.read(Progress(201, 1101, 101, 500_000, 62_500, "own"))
    assert found.line == "judging 201/1,101, 10.0 calls/s, $1.50 so far, 1:30 left"


def test_a_panels_members_are_summed(table, now):
    meter = Meter(table, now)
    meter.read(Progress(1, 200, 1, 10, 1, "own"))
    now.time += 9
    meter.read(Progress(100, 200, 100, 1_000_000, 0, "own"))
    # 39 of the second judge's calls were in the cache.
    meter.read(Progress(140, 200, 1, 10, 0, "two"))
    now.time += 2
    found = meter.read(Progress(151, 200, 12, 500_000, 0, "two"))
    assert (found.done, found.rate, found.cost, found.left) == ("151/200", "10.0 calls/s", "$2.50", "0:05")


@pytest.mark.parametrize(("model", "tokens"), [("nobody", 1000), ("own", 0)])
def test_a_cost_that_is_not_known_is_a_dash(table, now, model, tokens):
    meter = Meter(table, now)
    meter.read(Progress(1, 4, 1, tokens, tokens, model))
    now.time += 1
    assert meter.read(Progress(2, 4, 2, tokens, tokens, model)).line == "judging 2/4, 1.0 calls/s, - so far, 0:02 left"


def test_without_a_terminal_there_is_a_plain_line_every_half_minute(table, now, capsys):
    with judge_progress(table, now) as told:
        for done in range(1, 101):
            told(Progress(done, 100, done, done, done, "own"))
            now.time += 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"medqbench: judging {done}/100" for done in (31, 61, 91)]
    assert lines[0] == "medqbench: judging 31/100, 1.0 calls/s, $0.0003 so far, 1:09 left"


def test_a_short_run_without_a_terminal_says_nothing(table, now, capsys):
    with judge_progress(table, now) as told:
        told(Progress(1, 1, 1, 1, 1, "own"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar(table, now, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with judge_progress(table, now) as told:
        told(Progress(1, 3, 1, 100, 5, "own"))
        now.time += 1
        told(Progress(3, 3, 3, 1_000_000, 0, "own"))
    assert "3/3" in shown.getvalue()
    assert "2.0 calls/s" in shown.getvalue()
    assert "$2.00" in shown.getvalue()
    assert "ETA 0:00" in shown.getvalue()


def test_numbers_as_shown():
    assert [dollars(cost) for cost in (None, 0.0, 0.00123, 1.5, 1234.5)] == [
        "-",
        "$0.00",
        "$0.0012",
        "$1.50",
        "$1,234.50",
    ]
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
