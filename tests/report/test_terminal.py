"""The terminal: tables that fit and lose nothing, text of others that is harmless, and the progress of a judge."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge.calls import Progress
from medqbench_vlmeval.provenance import Protocol
from medqbench_vlmeval.report.leaderboard.board import add, own_entries, rows_of
from medqbench_vlmeval.report.leaderboard.tables import terminal_board
from medqbench_vlmeval.report.table import Column, Row, Table
from medqbench_vlmeval.report.terminal import Meter, clock, dollars, judge_progress, progress_shown, show
from medqbench_vlmeval.steps import counted, step
from tests.report.leaderboard.results import result
from tests.report.printed import printed


def show_boards(folder: Path, width: int | None = None) -> list[str]:
    boards = rows_of(own_entries(folder))
    return printed([terminal_board(task, rows) for task, rows in boards.items()], width)


@pytest.mark.parametrize("width", [30, 80, 100, 120, 200])
def test_no_name_and_no_number_is_lost_on_any_terminal(tmp_path: Path, width: int) -> None:
    long = "Org/Model-With-A-Long-Name"
    add(tmp_path, [result(long, Task.REASONING), result(long)])
    text = "\n".join(show_boards(tmp_path, width))
    squeezed = re.sub(r"\s", "", text)
    for number in ("60.00", "82.50", "5.500", "6.338"):
        assert number in squeezed
    assert squeezed.count("notcomparablewiththepublishedrows") == 3
    # In the notes, and in three tables where these have room for so long a name.
    assert text.count(long) == 6 if width >= 100 else text.count(long) >= 3


@pytest.mark.parametrize("width", [44, 60, 80, 100])
def test_a_name_that_has_no_room_loses_its_middle_or_breaks_at_a_separator(width: int) -> None:
    first, second = (f"lmms-lab/LLaVA-OneVision-1.5-{size}B-Instruct-2025-09-27" for size in (4, 8))
    alone = "OpenGVLab/InternVL3-38B-Instruct-Preview"
    columns = [Column("Model"), *(Column(f"Score {at}", "percent", optional=at) for at in range(4))]
    rows = [Row((name, 12.5, 50, 75, 100)) for name in (first, second, alone)]
    lines = printed([Table("", columns, rows)], width)
    shown = [""]
    for line in lines[3 if lines[0] else 4 : -1]:
        name, *scores = line.split()
        shown[-1:] = [shown[-1], name] if scores else [shown[-1] + name]
    for name, wanted in zip(shown[1:], (first, second, alone), strict=True):
        begin, cut, end = name.partition("…")
        assert (wanted.startswith(begin) and wanted.endswith(end)) if cut else name == wanted
    assert len(set(shown)) == 4


def test_a_line_breaks_between_words_and_a_path_stays_in_one_piece() -> None:
    path = "/data/" + "a-long-folder/" * 8 + "report.html"
    lines = printed([f"! not comparable: Qwen/Qwen2.5-VL-7B-Instruct and {path}", path], 40)
    assert lines == ["! not comparable:", "  Qwen/Qwen2.5-VL-7B-Instruct and", f"  {path}", path]
    assert printed([f"! said of {path}"]) == [f"! said of {path}"]


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (60, "Kind, Consistency, Quality Accuracy, Comparable, 95% interval, n, Judge, Protocol, Dataset"),
        (80, "Kind, Comparable, 95% interval, n, Judge, Protocol, Dataset"),
        (120, "n, Judge, Protocol, Dataset"),
    ],
)
def test_a_narrow_terminal_has_tables_that_fit_and_say_what_is_left_out(tmp_path: Path, width: int, gone: str) -> None:
    add(tmp_path, [result("Org/Model", Task.REASONING)])
    lines = show_boards(tmp_path, width)
    assert all(len(line) <= width for line in lines if line.startswith(" "))
    said = " ".join(line.strip() for line in lines)
    assert said.count(f"! no room for: {gone} (in a wider terminal, or a pipe)") == 2


@pytest.mark.parametrize("width", range(40, 130))
def test_no_table_is_cut_at_a_terminals_edge(width: int) -> None:
    heads = ("judge", "protocol", "in cache", "prompt tokens", "completion tokens", "by batch")
    row = ("a-judge-with-a-name", "official", "123,456", "43,140,000", "800,000", "$1,234.5678")
    optional = (0, 0, 1, 2, 0, 0)
    columns = [Column(head, "number" if at > 1 else "text", optional=optional[at]) for at, head in enumerate(heads)]
    lines = printed([Table("", columns, [Row(row)])], width)
    squeezed = "".join(lines).replace(" ", "")
    assert row[-1] in squeezed
    assert row[-2] in squeezed
    assert all(len(line) <= width for line in lines if line.startswith(" "))
    if width >= 100:
        assert "no room" not in squeezed


def test_lines_in_a_pipe_are_whole(tmp_path: Path) -> None:
    for protocol in ("official", "official-5"):
        add(tmp_path, [result("m" * 300, Task.REASONING, protocol=Protocol(protocol, "1"))])
    own = [line for line in show_boards(tmp_path) if line.startswith(f"-  {'m' * 300}")]
    assert [("official" in line.split(), "official-5" in line.split()) for line in own] == [
        (True, False),
        (False, True),
    ] * 2
    assert all("5.500" in line and line.endswith("MedQBench_Reasoning_mini") for line in own)


def test_warnings_are_coloured_in_a_terminal_alone() -> None:
    terminal, pipe = io.StringIO(), io.StringIO()
    show(["!! a", "! b", "c!"], Console(file=terminal, color_system="standard"))
    show(["!! a", "! b", "c!"], Console(file=pipe))
    assert terminal.getvalue().splitlines() == ["\x1b[1;31m!! a\x1b[0m", "\x1b[33m! b\x1b[0m", "c!"]
    assert pipe.getvalue().splitlines() == ["!! a", "! b", "c!"]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("report.compare_tables, report.workbook", ""),
        ("report.leaderboard.board, report.leaderboard.openvlm, report.paper, report.rating_sheet", "numpy"),
    ],
)
def test_the_room_brings_nothing_heavy(modules: str, heavy: str) -> None:
    code = (
        f"import sys, medqbench_vlmeval.{modules.replace(', ', ', medqbench_vlmeval.')}\n"
        f"heavy = {{'{heavy}', 'pandas', 'openpyxl', 'rich', 'filelock', 'vlmeval', 'torch', 'scipy'}}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def now():
    return Mock(return_value=100.0)


def test_rate_cost_and_time_left_by_hand(now):
    meter = Meter(now)
    # 100 of them were in the cache, and are no calls: 1 was made.
    assert meter.read(Progress(101, 1101, 1, 100, 5, "own", cost_usd=0.0002)) == "$0.0002 so far"
    now.return_value += 0.1
    # No rate yet: 3,328 calls a second that nobody made would be told.
    assert meter.read(Progress(434, 1101, 3, 300, 15, "own", cost_usd=0.0007)) == "$0.0007 so far"
    now.return_value += 9.9
    reading = meter.read(Progress(501, 1101, 101, 500_000, 62_500, "own", cost_usd=1.5))
    assert reading == "10.0 calls/s, 1:00 left, $1.50 so far"
    # Of the last half minute: 30 calls in 30 seconds.
    for _ in range(30):
        now.return_value += 1
        reading = meter.read(Progress(501, 1101, 101, 500_000, 62_500, "own"))
    now.return_value += 1
    assert meter.read(Progress(531, 1101, 131, 500_000, 62_500, "own")).startswith("1.0 calls/s, 9:30 left")


def test_a_panels_members_are_summed(now):
    meter = Meter(now)
    meter.read(Progress(1, 200, 1, 10, 1, "own"))
    now.return_value += 9
    meter.read(Progress(100, 200, 100, 1_000_000, 0, "own"))
    # 39 of the second judge's calls were in the cache.
    meter.read(Progress(140, 200, 1, 10, 0, "two"))
    now.return_value += 1
    # 99 and 11 calls in 10 seconds since the first report.
    assert meter.read(Progress(150, 200, 11, 500_000, 0, "two")) == "11.0 calls/s, 0:05 left"


def test_without_a_terminal_there_is_a_plain_line_every_half_minute(now, capsys):
    with judge_progress(now) as report:
        report(Progress(1, 1, 1, 1, 1, "own"))
    assert capsys.readouterr() == ("", "")  # a short run
    with judge_progress(now) as report:
        for done in range(1, 101):
            report(Progress(done, 100, done, done, done, "own", cost_usd=done / 100_000))
            now.return_value += 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"medqbench: judging {done}/100" for done in (31, 61, 91)]
    assert lines[0] == "medqbench: judging 31/100, 1.0 calls/s, 1:09 left, $0.0003 so far"


def watch(monkeypatch):
    """Make standard error a terminal 100 columns wide, and return it."""
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stderr


def test_on_a_terminal_there_is_a_bar_for_what_takes_long(now, monkeypatch):
    watched = watch(monkeypatch)
    with judge_progress(now) as report:
        report(Progress(1, 3, 1, 100, 5, "own"))
    assert watched.getvalue() == ""  # a short run
    meter = Meter(now)
    with progress_shown(now, wait=0):
        step("judging", 1, 3, meter.read(Progress(1, 3, 1, 100, 5, "own")))
        now.return_value += 2
        step("judging", 3, 3, meter.read(Progress(3, 3, 3, 1_000_000, 0, "own", cost_usd=2)))
        _until(lambda: "judging" in watched.getvalue())
    assert "3/3, 1.0 calls/s, 0:00 left, $2.00 so far" in watched.getvalue()


def test_whatever_takes_long_says_how_far_it_is(now, monkeypatch):
    watched = watch(monkeypatch)
    for _ in counted("nobody listens to", range(2)):
        pass
    assert watched.getvalue() == ""
    with progress_shown(now, wait=0):
        assert list(counted("reading [b]x.tsv\x1b[2J, row", "abc", 3)) == ["a", "b", "c"]
        _until(lambda: "2/3" in watched.getvalue())
    assert "reading [b]x.tsv\ufffd[2J, row" in watched.getvalue()
    monkeypatch.setattr(watched, "isatty", lambda: False)
    watched.truncate(0)
    watched.seek(0)
    with progress_shown(now):
        for _ in counted("reading x.tsv, row", range(70)):
            now.return_value += 1
    assert watched.getvalue().splitlines() == [f"medqbench: reading x.tsv, row {done}" for done in (30, 60)]


def _until(is_so):
    """Wait for what another thread does."""
    for _ in range(500):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def test_numbers_as_shown():
    costs = [dollars(cost) for cost in (None, 0.0, 0.00123, 1.5, 1234.5)]
    assert costs == ["-", "$0.00", "$0.0012", "$1.50", "$1,234.50"]
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
