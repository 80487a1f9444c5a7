"""Small files of verdicts and of ratings for tests."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.runs.files import result_paths
from medqbench_vlmeval.types import Protocol
from tests.make import judged, make_run, write

Scores = Sequence[float | None]


def judged_row(
    index: str,
    scores: Scores | None = (2, 2, 2, 2),
    task: str = "no-reference",
    modality: str = "CT",
    answer: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A line of ``_samples.jsonl``; ``scores`` None is a sample that was not put to the judge."""
    verdicts = {
        name: {"score": score, "reason": None, "reply": f"I see.\nScore: {score}", "judge": "j"}
        for name, score in zip(DIMENSIONS, scores or (), strict=False)
    }
    return {
        "index": index,
        "task": task,
        "modality": modality,
        "description": f"Reference text of {index.rpartition('-')[0] or 'a sample'}.",
        "prediction": f"An answer, number {len(index)}." if answer is None else answer,
        "verdicts": verdicts,
        "scores": {name: one["score"] for name, one in verdicts.items() if one["score"] is not None},
        "unscored": None if scores else "inference failed",
        **more,
    }


def write_run(
    folder: Path, rows: Iterable[Mapping[str, Any]], model: str = "Model-X", judge: str = "judge-1", stem: str = ""
) -> Path:
    """A run's ``_samples.jsonl`` and the ``_score.json`` beside it."""
    answered = [
        judged(
            row["index"],
            [row["verdicts"][name]["score"] for name in DIMENSIONS] if row["verdicts"] else None,
            Task(row["task"]),
            text=row["prediction"],
            judge=judge,
            unscored=row["unscored"],
            modality=row["modality"],
            description=row["description"],
        )
        for row in rows
    ]
    protocol = Protocol("rubric", "1", "11" * 32, 1)
    run = make_run(answered, model=model, dataset="MedQBench_Reasoning", judge=judge, settings={"protocol": protocol})
    stem = stem or f"{model}_MedQBench_Reasoning"
    return write(replace(run, paths=result_paths(Path(stem), folder, stem))).paths.samples


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> Path:
    """A table of ratings."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


HEADER = ("index", "Completeness", "preciseness", "Consistency", "quality_accuracy")


def fill(sheet: Path, to: Path, scores: Mapping[str, Scores]) -> Path:
    """A copy of a rating sheet with ratings by rating id."""
    book = load_workbook(sheet)
    page = book["Ratings"]
    for row in page.iter_rows(min_row=2):
        for cell, score in zip(row[4:8], scores.get(row[0].value, ()), strict=False):
            cell.value = score
    book.save(to)
    return to
