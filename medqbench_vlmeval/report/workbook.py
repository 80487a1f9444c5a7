"""The workbook of one run: overview, breakdowns, one sheet a modality, checks of the judge, all samples, settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.charts import CHART_DATA, CHARTS, add_charts, add_many_charts
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
    MANY_OVERVIEW,
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
from medqbench_vlmeval.report.sample_tables import SAMPLES, add_samples
from medqbench_vlmeval.report.sheet import Book, ImageLinks
from medqbench_vlmeval.runs.result import SAMPLES_ENDING, parts_of

_RESERVED = (
    OVERVIEW, CHARTS, FINDINGS, MATRICES, BY_MODALITY, BY_GROUP, CONCLUSIONS, RELIABILITY, SAMPLES, CHART_DATA, SETTINGS
)  # fmt: skip


def write_workbook(
    path: Path, score: Mapping[str, Any], samples: Iterable[Mapping[str, Any]], samples_file: str | None = None
) -> None:
    """Write ``{stem}_report.xlsx`` from a run's score and its sample rows, whole or not at all.

    ``score`` is the object of ``{stem}_score.json`` (perception, one reasoning task, or the combined run of
    both) and ``samples`` the rows of ``{stem}_samples.jsonl``, whose name (``samples_file`` where it is another)
    the workbook gives wherever a text is longer than a cell can hold.

    Raises:
        BadInput: ``score`` is not a result of this package.
        RunFailed: the file cannot be written.
    """
    parts = parts_of(score)
    rows = list(samples)
    comparable = all(part.comparable for part in parts)
    mark = "" if comparable else "NOT COMPARABLE with published scores"
    book = Book(whole_text_in=samples_file or f"{_stem(path)}{SAMPLES_ENDING}", reserved=_RESERVED, mark=mark)
    add_overview(book, parts)
    links = ImageLinks(parts, path.parent)
    add_findings(book, parts)
    add_matrices(book, parts)
    add_by_modality(book, parts)
    add_by_group(book, parts)
    add_modalities(book, parts, rows, links)
    add_conclusions(book, parts, rows)
    add_reliability(book, parts)
    add_samples(book, parts, rows, links)
    add_charts(book, parts)
    add_settings(book, score)
    book.order(OVERVIEW, CHARTS)
    book.save(path)


def _stem(path: Path) -> str:
    """The run's stem, also where a caller writes to a temporary name made from the report's."""
    found = re.match(r"\.?(.+)_report\.xlsx", path.name)
    return found.group(1) if found else path.stem


# The workbook of many runs: all of them ranked, by group, their findings, and where their settings differ.


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
    book.order(MANY_OVERVIEW, CHARTS)
    book.save(path)
