"""When an answer is right, and the accuracy of a group of questions."""

from __future__ import annotations

from typing import Any

from medqbench_vlmeval.records import Sample
from medqbench_vlmeval.scoring.intervals import FEW, wilson_percent


def is_right(sample: Sample, letter: str | None) -> bool:
    """Whether ``letter`` answers a question; without a letter it is not answered."""
    return letter is not None and letter == sample.answer


def accuracy_cell(n: int, n_correct: int, n_unanswered: int) -> dict[str, Any]:
    """Accuracy in percent with Wilson's interval and the counts behind it; all three are None where there is no n."""
    low, high = wilson_percent(n_correct, n) or (None, None)
    return {
        "accuracy": 100 * n_correct / n if n else None,
        "low": low,
        "high": high,
        "n": n,
        "n_correct": n_correct,
        "n_unanswered": n_unanswered,
        "few": n < FEW,
    }
