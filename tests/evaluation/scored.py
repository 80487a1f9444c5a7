"""Small scored runs for tests: both result files, which belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, REASONING_PREFIX, Task
from medqbench_vlmeval.files import write_json, write_jsonl

Row = dict[str, Any]


def choice_row(index: str, correct: bool, modality: str = "CT", **more: Any) -> Row:
    """A line of a multiple-choice run."""
    return {
        "index": index,
        "task": "perception",
        "modality": modality,
        "question_type": "What",
        "severity": None,
        "images": [f"{index}.png"],
        "question": f"Which degradation is in image {index}?",
        "options": {"A": "Noise", "B": "Blur"},
        "answer": "A",
        "extracted": "A" if correct else "B",
        "correct": correct,
        "prediction": f"{'A' if correct else 'B'}, I think.",
        **more,
    }


def judged_row(
    index: str, scores: Sequence[float | None] = (2, 2, 2, 2), task: str = "no-reference", **more: Any
) -> Row:
    """A line of a reasoning run."""
    verdicts = {name: {"score": score, "reply": "..."} for name, score in zip(DIMENSIONS, scores, strict=True)}
    return {
        "index": index,
        "task": task,
        "modality": "CT",
        "images": [f"{index}.png"],
        "question": None,
        "description": f"Reference of {index}.",
        "prediction": f"Answer to {index}.",
        "verdicts": verdicts,
        **more,
    }


def write_scored(
    folder: Path, rows: Sequence[Row], model: str = "Model-X", dataset: str = "MedQBench_Perception", **settings: Any
) -> Path:
    """Write a run's two files and return its score's path; ``rows`` may be of both reasoning tasks."""
    stem = f"{model.replace('/', '--')[:60]}_{dataset}"
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    score: dict[str, Any] = {"task": tasks[0] if len(tasks) == 1 else "reasoning", "model": model, "dataset": dataset}
    for task in tasks:
        part = _part([row for row in rows if row["task"] == task])
        score |= part if len(tasks) == 1 else {REASONING_PREFIX[Task(task)]: {"task": task, **part}}
    write_jsonl(folder / f"{stem}_samples.jsonl", rows)
    write_json(folder / f"{stem}_score.json", {**score, "settings": settings})
    return folder / f"{stem}_score.json"


def _part(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if rows[0]["task"] == "perception":
        return {"n": len(rows), "n_correct": sum(row["correct"] for row in rows), "n_unanswered": 0}
    known = {
        title: [row["verdicts"][name]["score"] for row in rows if row["verdicts"][name]["score"] is not None]
        for name, title in DIMENSION_TITLES.items()
    }
    return {"n": len(rows), **{title: fmean(scores) if scores else None for title, scores in known.items()}}
