"""Results of several runs at the published sizes: enough for every figure and table."""

from __future__ import annotations

from typing import Any

from medqbench_vlmeval.scoring.intervals import wilson
from tests.report.examples import perception_score, reasoning_score

HOSTILE = (
    '<script>alert("x")</script> $\\alpha_1$ & %s {x}_^~#| `id="figure"`',
    "书生·万象 \u202eRTL\u0000\u001b[31m \ud800",
    "[a](http://evil.example/x) **b** _c_ --- '''",
    "=1+1\n---\nmodel-index: 3",
    "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-12500",
    "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-13000",
)


def cell(right: int, n: int) -> dict[str, Any]:
    """A group's cell, with Wilson's interval."""
    low, high = wilson(right, n)
    counts = {"n": n, "n_correct": right, "n_unanswered": 0}
    return {"accuracy": 100 * right / n, "low": 100 * low, "high": 100 * high, **counts, "few": n < 10}


def perception(model: str = "Model-X", less: int = 0, **changes: Any) -> dict[str, Any]:
    """1,305 questions: 900 right, fewer with ``less``; the cells of modality 'Fundus' rest on five questions."""
    kinds = {"Yes-or-No": cell(459 - less, 558), "What": cell(156, 258), "How": cell(285, 489)}
    overall = cell(900 - less, 1305)
    values = {name: found["accuracy"] for name, found in kinds.items()}
    ends = {name: [found["low"], found["high"]] for name, found in {**kinds, "Overall": overall}.items()}
    confusion = {
        "value": 20.0,
        "low": 11.0,
        "high": 33.5,
        "n": 50,
        "few": False,
        "statement": "Of 50 answered How questions on a level, 10 took one level for another.",
        "method": "Wilson score, samples taken as independent",
        "details": {"scales": {"quality": {"good": {"good": 25, "reject": 5}, "reject": {"good": 5, "reject": 15}}}},
    }
    score = perception_score(
        model,
        **{**values, "Overall": overall["accuracy"], "n": 1305, "n_correct": 900 - less},
        dataset="MedQBench_Perception",
        intervals={"level": 0.95, "method": "Wilson score", **ends},
        groups={
            "question_type": kinds,
            "modality": {
                "CT": cell(300 - less, 400),
                "MRI": cell(250, 400),
                "Endoscopy": cell(347, 500),
                "Fundus": cell(3, 5),
            },
            "severity": {"none": cell(300, 400), "mild": cell(280 - less, 500), "severe": cell(320, 405)},
        },
        findings={"level_confusion": confusion, "not_found": {}},
        comparable=True,
        not_comparable_because=[],
    )
    return {**score, **changes}


def reasoning(task: str = "no-reference", model: str = "Model-X", **changes: Any) -> dict[str, Any]:
    """221 descriptions (133 pairs) with means 1.1, 0.9, 1.7 and 1.4, which add up to 5.1."""
    n = {"no-reference": 221, "comparative": 133}[task]
    means = {"Completeness": 1.1, "Preciseness": 0.9, "Consistency": 1.7, "Quality Accuracy": 1.4, "Overall": 5.1}
    ends = {name: [value - 0.1, value + 0.1] for name, value in means.items()}

    def group(more: float, scored: int) -> dict[str, Any]:
        shifted = {name: value + more for name, value in means.items()}
        return {**shifted, "n": scored, "n_scored": scored, "intervals": {"Overall": None}, "few": scored < 10}

    score = reasoning_score(
        task,
        model,
        **means,
        n=n,
        n_scored=n,
        n_unscored=0,
        unscored_reasons={},
        counts=dict.fromkeys(list(means)[:4], n),
        intervals={"level": 0.95, "method": "cluster-robust", **ends},
        groups={"modality": {"CT": group(0.1, n - 8), "MRI": group(-0.2, 8)}, "severity": {"mild": group(0.0, n)}},
    )
    return {**score, **changes}
