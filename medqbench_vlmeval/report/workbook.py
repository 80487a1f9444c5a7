"""The workbook of one run: overview, breakdowns, one sheet a modality, checks of the judge, all samples, settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.report.cells import Book
from medqbench_vlmeval.report.charts import CHART_DATA, CHARTS
from medqbench_vlmeval.report.image_links import ImageLinks
from medqbench_vlmeval.report.matrix import MATRICES, add_matrices
from medqbench_vlmeval.report.runs import SAMPLES_ENDING, parts_of
from medqbench_vlmeval.report.sheet_charts import add_charts
from medqbench_vlmeval.report.sheet_conclusions import CONCLUSIONS, add_conclusions
from medqbench_vlmeval.report.sheet_findings import FINDINGS, add_findings
from medqbench_vlmeval.report.sheet_groups import BY_GROUP, BY_MODALITY, add_by_group, add_by_modality
from medqbench_vlmeval.report.sheet_modality import add_modalities
from medqbench_vlmeval.report.sheet_overview import OVERVIEW, add_overview
from medqbench_vlmeval.report.sheet_reliability import RELIABILITY, add_reliability
from medqbench_vlmeval.report.sheet_samples import SAMPLES, add_samples
from medqbench_vlmeval.report.sheet_settings import SETTINGS, add_settings

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
