"""Small scored runs for tests: both result files, which belong together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, Task
from medqbench_vlmeval.files import write_json
from tests.make import Answered, choice, judged, make_run

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
    run = make_run([_answered(row) for row in rows], folder, model=model, dataset=dataset)
    score = json.loads(run.paths.score.read_text(encoding="utf-8"))
    _merge(score["settings"], settings)
    write_json(run.paths.score, score)
    return run.paths.score


def _merge(known: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(known.get(name), dict) and isinstance(value, dict):
            _merge(known[name], value)
        else:
            known[name] = value


def _answered(row: Row) -> Answered:
    fields = {name: row[name] for name in ("modality", "question", "severity", "question_type") if name in row}
    fields["image_refs"] = tuple(row["images"])
    if row["task"] == "perception":
        given = choice(row["index"], row["correct"], text=row["prediction"], answer=row["answer"], **fields)
        return replace(given, sample=replace(given.sample, options=row["options"]))
    scores = [row["verdicts"][name]["score"] for name in DIMENSIONS]
    fields["description"] = row["description"]
    return judged(row["index"], scores, Task(row["task"]), text=row["prediction"], **fields)
