"""The terminal's tables: rich on a terminal, plain and whole in a pipe, harmless everywhere."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.data.info import describe
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report import describe_data, leaderboard_rows, run_summary
from medqbench_vlmeval.report.leaderboard.board import add
from medqbench_vlmeval.report.leaderboard.tables import terminal_board
from medqbench_vlmeval.report.terminal import Grid, print_grid, print_table
from medqbench_vlmeval.types import ColumnUse, Sample, SampleSet, SourceFile
from tests.report.examples import combined_score, perception_score
from tests.report.leaderboard.results import result

EVIL = "[red]x[/red]\x1b[2J\u202eevil\nline"
SHOWN = "[red]x[/red]\ufffd[2J\ufffdevil\ufffdline"


def piped() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system="standard")


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


def show_boards(folder: Path, console: Console) -> None:
    for task, rows in leaderboard_rows(folder).items():
        print_table(terminal_board(task, rows), console)


def test_summary_of_a_perception_run_in_a_pipe() -> None:
    console = piped()
    run_summary(perception_score(), console)
    assert printed(console).splitlines() == [
        "Model-X on MedQBench_Perception_mini (Perception)",
        "           Accuracy %     95% interval  n",
        "Overall        *60.00   23.07 to 88.24  5",
        "Yes-or-No     *100.00  34.24 to 100.00  2",
        "What           *50.00    9.45 to 90.55  2",
        "How             *0.00    0.00 to 79.35  1",
        "",
        "! * fewer than 10 samples",
        "By modality",
        "Modality  Overall  Yes-or-No     What    How  n  Overall, 95% interval",
        "CT         *66.67    *100.00  *100.00  *0.00  3         20.77 to 93.85",
        "MRI        *50.00    *100.00    *0.00      -  2          9.45 to 90.55",
        "",
        "! * fewer than 10 samples",
        "! not comparable with the published rows: embedded set",
        "! 1 of 5 samples without an answer that could be read; counted as wrong",
        "",
    ]


def test_summary_of_a_combined_run() -> None:
    console = piped()
    run_summary(combined_score(), console)
    found = printed(console)
    assert found.count("Overall                        *5.500  2.560 to 8.440  2") == 2
    assert found.count("Quality Accuracy               *1.000               -  2") == 2
    assert found.count("! unscored: completeness: no verdict in the reply (1)") == 2
    assert found.count("! not comparable with the published rows: judge rules") == 2


def test_what_shared_images_do_stands_in_the_summary() -> None:
    cell = {"accuracy": 50.0, "low": 29.9, "high": 70.1, "n": 20, "n_correct": 10, "n_unanswered": 0, "few": False}
    score = perception_score(n=20, groups={"modality": {"CT": cell}})
    score["intervals"]["clustered"] = {"Overall": [10.0, 95.5], "n_clusters": 7}
    console = piped()
    run_summary(score, console)
    found = printed(console)
    assert "\n  clustered by image               10.00 to 95.50   7\n" in found
    assert "\nCT          50.00          -     -    -  20         29.90 to 70.10\n" in found
    score["intervals"]["clustered"]["n_clusters"] = 20
    console = piped()
    run_summary(score, console)
    assert "clustered" not in printed(console)


def test_a_baseline_is_named_one() -> None:
    console = piped()
    run_summary(perception_score(baseline=True, comparable=True, not_comparable_because=[]), console)
    assert "(Perception, baseline)" in printed(console)
    assert "not comparable" not in printed(console)


def test_an_object_that_is_no_result_is_refused() -> None:
    with pytest.raises(BadInput):
        run_summary({"task": None}, piped())


@pytest.mark.parametrize("width", [30, 80, 100, 120, 200])
def test_no_name_and_no_number_is_lost_on_any_terminal(tmp_path: Path, width: int) -> None:
    long = "Org/Model-With-A-Long-Name"
    add(tmp_path, [result(long, Task.REASONING), result(long)])
    console = terminal(width)
    show_boards(tmp_path, console)
    squeezed = re.sub(r"\s", "", printed(console))
    for number in ("60.00", "82.50", "5.500", "6.338"):
        assert number in squeezed
    assert squeezed.count("notcomparablewiththepublishedrows") == 3
    if width >= 120:
        assert printed(console).count("Org/Model-With-A-Long-Name") == 6


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (60, "Completeness, Preciseness, Consistency, Quality Accuracy, 95% interval, n, Judge, Protocol, Dataset"),
        (80, "Preciseness, Consistency, Quality Accuracy, 95% interval, n, Judge, Protocol, Dataset"),
        (120, "n, Judge, Protocol, Dataset"),
    ],
)
def test_a_narrow_terminal_has_tables_that_fit_and_say_what_is_left_out(tmp_path: Path, width: int, gone: str) -> None:
    add(tmp_path, [result("Org/Model", Task.REASONING)])
    console = terminal(width)
    show_boards(tmp_path, console)
    run_summary(combined_score("Org/Model"), console)
    lines = printed(console).splitlines()
    assert all(len(line) <= width for line in lines if line.startswith(" "))
    assert lines.count(f"! no room for: {gone} (in a wider terminal, or a pipe)") == 2


@pytest.mark.parametrize("width", range(40, 130))
def test_no_table_is_cut_at_a_terminals_edge(width: int) -> None:
    heads = ("judge", "protocol", "in cache", "prompt tokens", "completion tokens", "by batch")
    row = ("a-judge-with-a-name", "official", "123,456", "43,140,000", "800,000", "$1,234.5678")
    console = terminal(width)
    print_grid(Grid("", heads, (row,), 2, spare=(2, 3)), console)
    lines = printed(console).splitlines()
    squeezed = "".join(lines).replace(" ", "")
    assert row[-1] in squeezed
    assert row[-2] in squeezed
    assert all(len(line) <= width for line in lines if line.startswith(" "))
    if width >= 100:
        assert "no room" not in squeezed


def test_lines_in_a_pipe_are_whole_and_uncoloured(tmp_path: Path) -> None:
    add(tmp_path, [result("m" * 300, Task.REASONING)])
    console = piped()
    show_boards(tmp_path, console)
    assert isinstance(console.file, io.StringIO)
    found = console.file.getvalue()
    assert "\x1b" not in found
    for line in (line for line in found.splitlines() if "5.500" in line):
        assert line.startswith("-  ")
        assert "m" * 300 in line
        assert line.endswith("MedQBench_Reasoning_mini")


def test_runs_of_two_protocols_are_told_apart(tmp_path: Path) -> None:
    for protocol in ("official", "official-5"):
        add(tmp_path, [result(task=Task.REASONING, protocol=protocol)])
    console = piped()
    show_boards(tmp_path, console)
    own = [line.split() for line in printed(console).splitlines() if line.startswith("-  Model-X")]
    assert [("official" in words, "official-5" in words) for words in own] == [(True, False), (False, True)] * 2


@pytest.mark.parametrize("console", [piped(), terminal(200)], ids=["pipe", "terminal"])
def test_text_of_others_is_no_markup_and_no_escape_sequence(tmp_path: Path, console: Console) -> None:
    score = perception_score(EVIL, not_comparable_because=[EVIL])
    add(tmp_path, [result(EVIL, because=[EVIL])])
    run_summary(score, console)
    show_boards(tmp_path, console)
    found = printed(console)
    assert "\x1b" not in found
    assert "\u202e" not in found
    assert found.count(SHOWN) >= 4


def test_an_old_encoding_is_no_error() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    run_summary(perception_score("M\u00f6del \u6a21\u578b"), Console(file=file, force_terminal=False))
    file.seek(0)
    assert "M?del ??" in file.read()


def test_a_data_file_in_an_outline() -> None:
    source = SourceFile(Path("[b]x.tsv"), "ab", None, "file", ColumnUse(), 1)
    sample = Sample("1", Task.PERCEPTION, "Is it?", {"A": "Yes"}, "A", modality="CT")
    console = piped()
    describe_data(describe(SampleSet("[b]x", Task.PERCEPTION, (sample,), {Task.PERCEPTION: source})), console)
    lines = printed(console).splitlines()
    assert lines[:6] == ["name: [b]x", "task: perception", "n: 1", "images: -", "parts:", "  perception:"]
    assert {"      modality:", "        CT: 1", "      revision: -"} <= set(lines)


def test_the_room_brings_nothing_heavy() -> None:
    code = (
        "import sys, medqbench_vlmeval.report\n"
        "heavy = {'pandas', 'openpyxl', 'rich', 'numpy', 'filelock', 'vlmeval', 'torch', 'scipy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
