"""The workbooks: of one run, and of many runs side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medqbench_vlmeval.report.charts import CHART_DATA, CHARTS, Charts
from medqbench_vlmeval.report.finding_tables import (
    CONCLUSIONS,
    FINDINGS,
    RELIABILITY,
    add_conclusions,
    add_findings,
    add_many_findings,
    add_reliability,
)
from medqbench_vlmeval.report.many_tables import (
    add_figures,
    add_many_overview,
    add_many_settings,
    add_task_sheets,
    runs_by_task,
)
from medqbench_vlmeval.report.run_tables import (
    BY_GROUP,
    BY_MODALITY,
    MATRICES,
    OVERVIEW,
    SETTINGS,
    add_by_group,
    add_by_modality,
    add_matrices,
    add_modalities,
    add_overview,
    add_settings,
)
from medqbench_vlmeval.report.sample_tables import SAMPLES, ImageLinks, add_samples
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.runs.files import SAMPLES_ENDING
from medqbench_vlmeval.types import Result, SampleRow

_RESERVED = (
    OVERVIEW, CHARTS, FINDINGS, MATRICES, BY_MODALITY, BY_GROUP, CONCLUSIONS, RELIABILITY, SAMPLES, CHART_DATA, SETTINGS
)  # fmt: skip


def write_workbook(path: Path, result: Result, samples: Sequence[SampleRow], samples_file: str | None = None) -> None:
    """Write ``{stem}_report.xlsx`` from a run's result and its sample rows, whole or not at all.

    The workbook names ``{stem}_samples.jsonl`` (``samples_file`` where it is another) wherever a text is longer than a
    cell can hold.

    Raises:
        RunFailed: the file cannot be written.
    """
    runs = result.tasks
    mark = "" if all(run.result.comparable for run in runs) else "NOT COMPARABLE with published scores"
    book = Book(whole_text_in=samples_file or f"{_stem(path)}{SAMPLES_ENDING}", reserved=_RESERVED, mark=mark)
    links = ImageLinks(runs, path.parent)
    add_overview(book, runs)
    charts = Charts.begin(book, runs)
    add_findings(book, runs)
    add_matrices(book, runs)
    add_by_modality(book, runs)
    add_by_group(book, runs)
    add_modalities(book, runs, samples, links)
    add_conclusions(book, runs, samples)
    add_reliability(book, runs)
    add_samples(book, runs, samples, links)
    if charts is not None:
        charts.draw()
    add_settings(book, result)
    book.save(path)


def _stem(path: Path) -> str:
    """The run's stem, also where a caller writes to a temporary name made from the report's."""
    match = re.match(r"\.?(.+)_report\.xlsx", path.name)
    return match.group(1) if match else path.stem


def write_many(path: Path, results: Sequence[Result]) -> None:
    """Write one workbook on many runs, whole or not at all.

    Each task has its own tables, in which runs stand in one order, that of the overview.

    Raises:
        BadInput: there are no runs or more than 500.
        RunFailed: the file cannot be written.
    """
    tasks = runs_by_task(results)
    comparable = all(run.task_run.result.comparable for runs in tasks for run in runs.runs)
    mark = "" if comparable else "Some runs are NOT COMPARABLE with published scores"
    book = Book(whole_text_in="the runs' _score.json", mark=mark)
    add_many_overview(book, tasks)
    add_task_sheets(book, tasks)
    add_many_findings(book, tasks)
    add_figures(book, tasks)
    add_many_settings(book, results)
    book.save(path)
