"""The workbooks: of one run, and of many runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medqbench_vlmeval.report import compare_tables, finding_tables, many_tables, run_tables, sample_tables
from medqbench_vlmeval.report.charts import CHART_DATA, CHARTS, add_charts, add_standings
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.runs.comparison import RunComparison
from medqbench_vlmeval.types import Result, Run

_RESERVED = (
    run_tables.OVERVIEW, CHARTS, finding_tables.FINDINGS, run_tables.DEGRADATION, run_tables.MATRICES,
    run_tables.BY_MODALITY, run_tables.BY_GROUP, finding_tables.CONCLUSIONS, finding_tables.RELIABILITY,
    sample_tables.SAMPLES, CHART_DATA, run_tables.SETTINGS,
)  # fmt: skip


def write_workbook(path: Path, run: Run) -> None:
    """Write ``{stem}_report.xlsx`` from a run's result and its sample rows, whole or not at all. Raises RunFailed where
    the file cannot be written."""
    runs, samples = run.result.tasks, run.rows
    book = Book(whole_text_in=run.paths.samples.name, reserved=_RESERVED, mark=run_tables.sheet_mark([run.result]))
    images = sample_tables.ImageFiles(runs, path.parent)
    run_tables.add_overview(book, runs)
    measured = [part for part in runs if part.result.overall.value is not None]
    charts = book.add_fixed(CHARTS) if measured else None
    finding_tables.add_findings(book, runs)
    book.add_tables(run_tables.DEGRADATION, [each for run in runs for each in run_tables.contrast_tables(run.result)])
    run_tables.add_matrices(book, runs)
    run_tables.add_groups(book, runs)
    run_tables.add_modalities(book, runs, samples, images)
    finding_tables.add_conclusions(book, runs, samples)
    book.add_tables(finding_tables.RELIABILITY, [each for run in runs for each in finding_tables.reliability(run)])
    sample_tables.add_samples(book, runs, samples, images)
    if charts is not None:
        add_charts(book, charts, measured)
    run_tables.add_settings(book, run.result)
    book.save(path)


def write_many(path: Path, results: Sequence[Result], comparison: RunComparison | None = None) -> None:
    """Write one workbook on many runs, whole or not at all. Raises BadInput where there are none or more than 500.
    Raises RunFailed where the file cannot be written."""
    tasks = many_tables.runs_by_task(results)
    book = Book(whole_text_in="the runs' _score.json", mark=run_tables.sheet_mark(results, some=True))
    many_tables.add_many_overview(book, tasks)
    charts = book.add_fixed(CHARTS)
    many_tables.add_task_sheets(book, tasks)
    if comparison is not None:
        compare_tables.add_matrices(book, comparison)
    finding_tables.add_many_findings(book, tasks)
    many_tables.add_figures(book, tasks)
    add_standings(book, charts, tasks)
    many_tables.add_many_settings(book, results)
    book.save(path)
