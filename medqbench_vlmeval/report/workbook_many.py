"""The workbook of many runs: all of them ranked, by group, their findings, and where their settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.cells import Book
from medqbench_vlmeval.report.charts import CHARTS
from medqbench_vlmeval.report.many_charts import add_many_charts
from medqbench_vlmeval.report.many_findings import add_many_findings
from medqbench_vlmeval.report.many_overview import OVERVIEW, add_many_overview
from medqbench_vlmeval.report.many_runs import runs_by_task
from medqbench_vlmeval.report.many_settings import add_many_settings
from medqbench_vlmeval.report.many_tables import add_figures, add_task_sheets


def write_many(path: Path, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write one workbook on many runs, whole or not at all.

    ``scores`` are the objects of their ``_score.json`` files, of any tasks; each task has its own tables, in which
    runs stand in one order, that of the overview.

    Raises:
        BadInput: there are no runs or more than 500, or one is not a result of this package.
        RunFailed: the file cannot be written.
    """
    tasks = runs_by_task(scores)
    comparable = all(run.part.comparable for found in tasks for run in found.runs)
    mark = "" if comparable else "Some runs are NOT COMPARABLE with published scores"
    book = Book(whole_text_in="the runs' _score.json", mark=mark)
    add_many_overview(book, tasks)
    add_task_sheets(book, tasks)
    add_many_findings(book, tasks)
    add_figures(book, tasks)
    add_many_charts(book, tasks)
    add_many_settings(book, scores)
    book.order(OVERVIEW, CHARTS)
    book.save(path)
