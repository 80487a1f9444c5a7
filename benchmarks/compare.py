"""Time to compare ten runs: 1,305 questions each, and both reasoning tasks (221 + 133 samples) each.

    python -m benchmarks.compare

The result files are written first, with seven questions an image and one image in three shared between pairs; reading
them, all 45 pairs with tests and intervals by group, the ranking, and both files of the comparison are timed. The kit
has no comparison of models to set beside it.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from medqbench_vlmeval.benchmark import DIMENSION_TITLES, DIMENSIONS, MODALITIES, QUESTION_TYPES, SEVERITIES
from medqbench_vlmeval.files import write_json, write_jsonl

RUNS = 10
QUESTIONS, SINGLES, PAIRS = 1305, 221, 133
QUESTIONS_AN_IMAGE = 7
REPLY = "The image shows blurred edges and uneven brightness, and the structures can be told apart with some effort. "
OPTIONS = {"A": "Good", "B": "Usable", "C": "Reject"}


def _axes(position: int) -> dict[str, Any]:
    return {
        "modality": MODALITIES[position % len(MODALITIES)],
        "question_type": QUESTION_TYPES[position % len(QUESTION_TYPES)],
        "severity": SEVERITIES[position % len(SEVERITIES)],
    }


def write_perception(folder: Path, number: int) -> Path:
    """A run whose model is right in 50 to 68 of 100 questions."""
    draw = random.Random(number)  # noqa: S311
    rows = []
    for position in range(QUESTIONS):
        correct = draw.random() < 0.5 + 0.02 * number
        rows.append(
            {
                "index": str(position),
                "task": "perception",
                **_axes(position),
                "images": [f"{position // QUESTIONS_AN_IMAGE}.png"],
                "question": f"How good is image {position}?",
                "options": OPTIONS,
                "answer": "A",
                "extracted": "A" if correct else "B",
                "correct": correct,
                "prediction": REPLY * 2,
            }
        )
    right = sum(row["correct"] for row in rows)
    score = {"task": "perception", "dataset": "MedQBench_Perception", "n": QUESTIONS, "n_correct": right}
    return _write(folder, f"model-{number}", score, rows)


def write_reasoning(folder: Path, number: int) -> Path:
    """A run of both reasoning tasks whose judge gives one verdict a dimension."""
    draw = random.Random(number)  # noqa: S311
    rows: list[dict[str, Any]] = []
    score: dict[str, Any] = {"task": "reasoning", "dataset": "MedQBench_Reasoning"}
    for task, prefix, n in (("no-reference", "NoReference", SINGLES), ("comparative", "Comparative", PAIRS)):
        found = []
        for position in range(n):
            verdicts = {
                name: {"score": draw.choices((0, 1, 2), (3, 2, 1 + number / 3))[0], "reply": REPLY * 4}
                for name in DIMENSIONS
            }
            images = [f"{task}-{position}.png", *([f"{position // 3}-b.png"] if task == "comparative" else [])]
            axes = _axes(position) | {"question_type": None}
            row = {"index": f"{prefix}:{position}", "task": task, **axes, "images": images}
            found.append({**row, "description": REPLY, "prediction": REPLY * 3, "verdicts": verdicts})
        means = {
            title: sum(row["verdicts"][name]["score"] for row in found) / n for name, title in DIMENSION_TITLES.items()
        }
        score[prefix] = {"task": task, "n": n, **means}
        rows += found
    return _write(folder, f"model-{number}", score, rows)


def _write(folder: Path, model: str, score: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    stem = f"{model}_{score['dataset']}"
    write_jsonl(folder / f"{stem}_samples.jsonl", rows)
    write_json(folder / f"{stem}_score.json", {"model": model, "settings": {}, **score})
    return folder / f"{stem}_score.json"


def main() -> None:
    from medqbench_vlmeval.runs.files import read_runs
    from medqbench_vlmeval.workflows.compare import compare_runs, write_comparison

    print(machine())
    print(f"{'':<40}{'reading':>9}{'comparing':>11}{'writing':>9}   seconds")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, write in (
            (f"{RUNS} x {QUESTIONS:,} questions", write_perception),
            (f"{RUNS} x {SINGLES + PAIRS} reasoning samples", write_reasoning),
        ):
            paths = [write(folder, number) for number in range(RUNS)]
            started = time.perf_counter()
            read_runs(paths)
            read = time.perf_counter()
            compared = compare_runs(paths)
            compared = time.perf_counter()
            write_comparison(compared, folder / "out")
            written = time.perf_counter()
            # compare_runs reads the files itself.
            print(
                f"{title + ', all 45 pairs':<40}{read - started:>9.2f}{compared - read:>11.2f}"
                f"{written - compared:>9.2f}"
            )
    print("comparing includes reading; the kit has no comparison of models")


if __name__ == "__main__":
    main()
