"""Small hand-written results: three CT and two MRI questions, and two judged samples a reasoning task."""

from __future__ import annotations

from typing import Any

DATA_SHA = "ab" * 32


def perception_score(model: str = "Model-X", **changes: Any) -> dict[str, Any]:
    """Five questions, three right: CT 2 of 3, MRI 1 of 2; Yes-or-No 2 of 2, What 1 of 2, How 0 of 1."""

    def cell(accuracy: float, low: float, high: float, n: int, n_correct: int, n_unanswered: int) -> dict[str, Any]:
        counts = {"n": n, "n_correct": n_correct, "n_unanswered": n_unanswered}
        return {"accuracy": accuracy, "low": low, "high": high, **counts}

    score = {
        "task": "perception",
        "dataset": "MedQBench_Perception_mini",
        "model": model,
        "Overall": 60.0,
        "Yes-or-No": 100.0,
        "What": 50.0,
        "How": 0.0,
        "n": 5,
        "n_correct": 3,
        "n_unanswered": 1,
        "n_inference_failed": 0,
        "n_missing": 0,
        "intervals": {
            "level": 0.95,
            "method": "Wilson score",
            "Overall": [23.07, 88.24],
            "Yes-or-No": [34.24, 100.0],
            "What": [9.45, 90.55],
            "How": [0.0, 79.35],
        },
        "groups": {
            "question_type": {
                "Yes-or-No": cell(100.0, 34.24, 100.0, 2, 2, 0),
                "What": cell(50.0, 9.45, 90.55, 2, 1, 0),
                "How": cell(0.0, 0.0, 79.35, 1, 0, 1),
            },
            "modality": {"CT": cell(200 / 3, 20.77, 93.85, 3, 2, 1), "MRI": cell(50.0, 9.45, 90.55, 2, 1, 0)},
            "modality_x_question_type": {
                "CT": {
                    "Yes-or-No": cell(100.0, 20.65, 100.0, 1, 1, 0),
                    "What": cell(100.0, 20.65, 100.0, 1, 1, 0),
                    "How": cell(0.0, 0.0, 79.35, 1, 0, 1),
                },
                "MRI": {
                    "Yes-or-No": cell(100.0, 20.65, 100.0, 1, 1, 0),
                    "What": cell(0.0, 0.0, 79.35, 1, 0, 0),
                },
            },
            "severity": {"mild": cell(50.0, 9.45, 90.55, 2, 1, 0), "severe": cell(200 / 3, 20.77, 93.85, 3, 2, 1)},
        },
        "rules": {"bare letter": 3, "option text": 1, "none": 1},
        "comparable": False,
        "not_comparable_because": ["embedded set"],
        "baseline": False,
        "settings": {
            "data": {"perception": {"path": "mini.tsv", "sha256": DATA_SHA, "samples_sha256": "cd" * 32, "n": 5}},
            "prediction_file": {"name": "Model-X_MedQBench_Perception_mini.xlsx", "sha256": "ef" * 32},
            "prompt": {"style": "official", "sha256": "01" * 32},
            "versions": {"medqbench_vlmeval": "0.1.0", "kit": "ms-vlmeval 0.0.20", "python": "3.11.9"},
            "created": "2026-11-22T10:00:00+00:00",
        },
    }
    return {**score, **changes}


def perception_samples() -> list[dict[str, Any]]:
    """The five rows behind :func:`perception_score`; the fourth is a formula, the fifth has no answer."""

    def row(index: str, modality: str, kind: str, severity: str, answer: str, extracted: str | None) -> dict[str, Any]:
        return {
            "index": index,
            "task": "perception",
            "modality": modality,
            "question_type": kind,
            "severity": severity,
            "scope": None,
            "source": None,
            "difficulty": None,
            "degradation": None,
            "images": [f"{index}.png"],
            "question": f"Question {index}?",
            "prediction": f"The answer is {extracted}." if extracted else "I cannot tell.",
            "prediction_cut": False,
            "unscored": None,
            "options": {"A": "Yes", "B": "No"},
            "answer": answer,
            "extracted": extracted,
            "rule": "bare letter" if extracted else "none",
            "correct": answer == extracted,
        }

    rows = [
        row("1", "CT", "Yes-or-No", "mild", "A", "A"),
        row("2", "MRI", "Yes-or-No", "severe", "B", "B"),
        row("3", "CT", "What", "severe", "A", "A"),
        row("4", "MRI", "What", "mild", "A", "B"),
        row("5", "CT", "How", "severe", "B", None),
    ]
    rows[3]["prediction"] = "=1+1"
    return rows


def reasoning_score(task: str = "no-reference", model: str = "Model-X", **changes: Any) -> dict[str, Any]:
    """Three samples, two of them scored: 2+1+2+2 and 1+1+2+0."""
    means = {"Completeness": 1.5, "Preciseness": 1.0, "Consistency": 2.0, "Quality Accuracy": 1.0, "Overall": 5.5}
    name = {"no-reference": "NoReference", "comparative": "Comparative"}[task]
    score = {
        "task": task,
        "dataset": f"MedQBench_Reasoning_{name}_mini",
        "model": model,
        **means,
        "n": 3,
        "n_scored": 2,
        "n_unscored": 1,
        "n_inference_failed": 0,
        "n_missing": 0,
        "unscored_reasons": {"completeness: no verdict in the reply": 1},
        "intervals": {
            "level": 0.95,
            "method": "normal, samples independent",
            "Completeness": [0.52, 2.48],
            "Preciseness": [1.0, 1.0],
            "Consistency": [2.0, 2.0],
            "Quality Accuracy": None,
            "Overall": [2.56, 8.44],
        },
        "frequencies": {
            "Completeness": {"0": 0, "1": 1, "2": 1},
            "Preciseness": {"0": 0, "1": 2, "2": 0},
            "Consistency": {"0": 0, "1": 0, "2": 2},
            "Quality Accuracy": {"0": 1, "1": 0, "2": 1},
        },
        "groups": {"modality": {"Fundus": {**means, "n": 3, "n_scored": 2, "n_unscored": 1}}},
        "usage": {"calls": 9, "prompt_tokens": 900, "completion_tokens": 90},
        "comparable": False,
        "not_comparable_because": ["judge rules"],
        "baseline": False,
        "settings": {
            "data": {task: {"sha256": DATA_SHA, "n": 3}},
            "prompt": {"style": "official"},
            "protocol": {"name": "rules", "sha256": "11" * 32},
            "judge": {"name": "rules", "served_as": "rules 1", "parameters": {}},
            "created": "2026-11-22T10:00:00+00:00",
        },
    }
    return {**score, **changes}


def reasoning_samples(task: str = "no-reference", prefix: str = "") -> list[dict[str, Any]]:
    """The three rows behind :func:`reasoning_score`."""
    dimensions = ("completeness", "preciseness", "consistency", "quality_accuracy")
    rows = []
    for index, found in (("1", (2, 1, 2, 2)), ("2", (1, 1, 2, 0)), ("3", None)):
        scores = dict(zip(dimensions, found, strict=True)) if found else {}
        rows.append(
            {
                "index": prefix + index,
                "task": task,
                "modality": "Fundus",
                "question_type": None,
                "severity": None,
                "images": ["a.png", "b.png"],
                "question": "Describe the quality.",
                "description": "Sharp, and so the quality of this image is good.",
                "prediction": "The quality of this image is good.",
                "prediction_cut": False,
                "verdicts": {},
                "scores": scores,
                "score": sum(found) if found else None,
                "unscored": None if found else "completeness: no verdict in the reply",
            }
        )
    return rows


def combined_score(model: str = "Model-X") -> dict[str, Any]:
    """Both reasoning tasks in one run, in the shape that an evaluation writes."""
    dataset = "MedQBench_Reasoning_mini"
    shared = ("model", "baseline", "settings")
    parts = {}
    for key, task in (("NoReference", "no-reference"), ("Comparative", "comparative")):
        part = reasoning_score(task, model, dataset=dataset)
        parts[key] = {name: value for name, value in part.items() if name not in shared}
    settings = reasoning_score()["settings"]
    data = {"no-reference": {"sha256": DATA_SHA, "n": 3}, "comparative": {"sha256": "99" * 32, "n": 3}}
    return {
        "task": "reasoning",
        "dataset": dataset,
        "model": model,
        **parts,
        "comparable": False,
        "not_comparable_because": ["judge rules"],
        "baseline": False,
        "settings": {**settings, "data": data},
    }
