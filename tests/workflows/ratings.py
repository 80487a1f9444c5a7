"""Judged runs and tables of ratings for tests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.provenance import Protocol
from tests.make import Answered, judged, make_run

Scores = Sequence[float | None]
HEADER = ("index", "Completeness", "preciseness", "Consistency", "quality_accuracy")


def rated(
    index: str, scores: Scores | None = (2, 2, 2, 2), task: str = "no-reference", modality: str = "CT", answer: str = ""
) -> Answered:
    """A judged answer; ``scores`` None is a sample that was not put to the judge."""
    reference = f"Reference text of {index.rpartition('-')[0] or 'a sample'}."
    unscored = None if scores else "inference failed"
    text = answer or f"An answer, number {len(index)}."
    return judged(index, scores, Task(task), text=text, unscored=unscored, modality=modality, description=reference)


def write_run(folder: Path, rows: Sequence[Answered], model: str = "Model-X", judge: str = "judge-1") -> Path:
    """A run's ``_samples.jsonl`` and the ``_score.json`` beside it."""
    settings = {"protocol": Protocol("rubric", "1", "11" * 32, 1)}
    return make_run(
        rows, folder, model=model, dataset="MedQBench_Reasoning", judge=judge, settings=settings
    ).paths.samples


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> Path:
    """A table of ratings."""
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return path


def fill(sheet: Path, to: Path, scores: Mapping[str, Scores]) -> Path:
    """A copy of a rating sheet with ratings by rating id."""
    book = load_workbook(sheet)
    for row in book["Ratings"].iter_rows(min_row=2):
        for cell, score in zip(row[4:8], scores.get(row[0].value, ()), strict=False):
            cell.value = score
    book.save(to)
    return to
