"""What a run says in the terminal: headline, modalities, extractor, and what to beware of."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.provenance import Protocol
from medqbench_vlmeval.report.run_tables import extractor_table, headline_table, run_summary
from medqbench_vlmeval.report.sentences import checks_of, extractor_lines
from medqbench_vlmeval.report.table import flat, words
from medqbench_vlmeval.report.terminal import show
from medqbench_vlmeval.types import Cell, ExtractorResult, Group, JudgeUsage, Run, Tokens
from tests.make import combined_run, perception_run
from tests.report.printed import printed

EVIL = "[red]x[/red]\x1b[2J\u202eevil\nline"
SHOWN = "[red]x[/red]\ufffd[2J\ufffdevil\ufffdline"


def summary(run: Run, width: int | None = None, **kwargs: Any) -> str:
    return "\n".join([*printed(run_summary(run.result, **kwargs), width), ""])


def cells(table: Any) -> list[list[str]]:
    return [[words(item) for item in items] for _, items in flat(table, for_text=True).rows]


def test_summary_of_a_perception_run_in_a_pipe() -> None:
    assert summary(perception_run(reasons=["embedded set"])).splitlines() == [
        "Model-X on MedQBench_Perception_mini (Perception)",
        "Measure    Accuracy, %     95% interval  n",
        "Overall         *60.00   23.07 to 88.24  5",
        "Yes-or-No      *100.00  34.24 to 100.00  2",
        "What            *50.00    9.45 to 90.55  2",
        "How              *0.00    0.00 to 79.35  1",
        "",
        "! * fewer than 10 samples",
        "",
        "By modality",
        "Modality  Overall    95% interval  n  Yes-or-No     What    How",
        "CT         *66.67  20.77 to 93.85  3    *100.00  *100.00  *0.00",
        "MRI        *50.00   9.45 to 90.55  2    *100.00    *0.00      -",
        "",
        "! * fewer than 10 samples",
        "! not comparable with the published rows: embedded set",
        "! 1 of 5 samples without an answer that could be read; counted as wrong",
        "",
    ]


def test_summary_of_a_combined_run() -> None:
    text = summary(combined_run(reasons=["judge rules"]))
    assert text.count("Overall (0-8)     *5.500  4.000 to 7.000  2") == 2
    assert text.count("Consistency       *2.000               -  2") == 2
    assert text.count("! unscored: completeness: no verdict in the reply (1)") == 2
    assert text.count("! not comparable with the published rows: judge rules") == 2


def test_what_shared_images_do_stands_in_the_summary_where_images_are_shared() -> None:
    run = perception_run().result.tasks[0]
    shared = replace(run, result=replace(run.result, clustered=Cell(60.0, 10.0, 95.5, 5, n_clusters=3)))
    assert cells(headline_table(shared))[-1] == ["Overall, clustered (n: clusters)", "60.00", "10.00 to 95.50", "3"]
    assert "clustered" not in str(cells(headline_table(run)))  # no two samples share one


def test_a_baseline_is_named_one_and_findings_are_said_where_asked_for() -> None:
    text = summary(perception_run(baseline=True, comparable=True))
    assert "(Perception, baseline)" in text
    assert "not comparable" not in text
    assert "- Gap to human experts: " not in text
    assert "\n- Gap to human experts: " in summary(perception_run(), findings=True)


@pytest.mark.parametrize("width", [None, 200])
def test_text_of_others_is_no_markup_and_no_escape_sequence(width: int | None) -> None:
    text = summary(perception_run(model=EVIL, reasons=[EVIL]), width)
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\u202e" not in text
    assert text.count(SHOWN) == 2


def test_an_old_encoding_is_no_error() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(run_summary(perception_run(model="M\u00f6del \u6a21\u578b").result), Console(file=file, force_terminal=False))
    file.seek(0)
    assert "M?del ??" in file.read()


def side(overall: Cell, what: Cell) -> dict[str, Group]:
    absent = Group({"Overall": Cell(None, n=0)}, {"n": 0})
    groups = {"Overall": Group({"Overall": overall}, {}), "What": Group({"Overall": what}, {})}
    return {**groups, "Yes-or-No": absent, "How": absent}


def test_an_extractors_letters_stand_beside_the_rules_own() -> None:
    used = JudgeUsage(Tokens(6, 600, 60, 0.0014), Tokens(2, 200, 20, 0.0005))
    strict = side(Cell(30.0, 10.5, 60.5, 10), Cell(100.0, 20.7, 100.0, 1, few=True))
    lenient = side(Cell(40.0, 16.5, 68.5, 10), Cell(100.0, 20.7, 100.0, 1, few=True))
    extractor = ExtractorResult("=own", None, Protocol("choice", "1"), 5, 4, 2, 1, 1, strict, lenient, used)
    run = perception_run()
    assert checks_of(run.result.tasks[0]) == []
    part = replace(run.result["perception"], extractor=extractor)
    run = replace(run, result=replace(run.result, parts={Task.PERCEPTION: part}))
    assert cells(extractor_table(Task.PERCEPTION, extractor)) == [
        ["Overall", "30.00", "10.50 to 60.50", "40.00", "16.50 to 68.50", "10"],
        ["Yes-or-No", "-", "-", "-", "-", "0"],
        ["What", "100.00", "20.70 to 100.00", "100.00", "20.70 to 100.00", "1"],
        ["How", "-", "-", "-", "-", "0"],
    ]
    assert extractor_lines(extractor) == [
        "Extractor =own: of 5 replies that the rules left open 2 read, 1 without an answer, 1 failed, 1 not asked; "
        "6 calls, $0.0014; this run 2 calls, $0.0005",
        "The official numbers are the strict ones.",
    ]
    assert "Strict (rules alone) and lenient (extractor too)" in summary(run)
