"""Accuracy with and without an extractor, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medqbench_vlmeval.records import Choice, Extraction, Sample
from medqbench_vlmeval.scoring.accuracy import accuracy_cell, is_right
from medqbench_vlmeval.scoring.intervals import LEVEL, WILSON
from medqbench_vlmeval.tasks import QUESTION_TYPES

OVERALL = "Overall"
_COUNTS = ("n", "n_correct", "n_unanswered", "few")


def score_extractor(
    samples: Sequence[Sample], extractions: Sequence[Extraction], n_open: int, choices: Mapping[str, Choice]
) -> dict[str, Any]:
    """Counts of what an extractor did, strict accuracy (the rules alone) and lenient accuracy (its letters too).

    Both are in percent (0-100) of the same questions, so that a question without a letter is wrong in both.

    Args:
        samples: multiple-choice samples.
        extractions: parallel to them, what the rules read.
        n_open: how many replies the rules left open that hold text.
        choices: what the extractor read, by sample index; only what it was asked about.
    """
    strict = [extraction.letter for extraction in extractions]
    lenient = [
        choices[sample.index].letter if letter is None and sample.index in choices else letter
        for sample, letter in zip(samples, strict, strict=True)
    ]
    read = sum(choice.letter is not None for choice in choices.values())
    failed = sum(choice.reason is not None for choice in choices.values())
    return {
        "n_open": n_open,
        "n_asked": len(choices),
        "n_read": read,
        "n_none": len(choices) - read - failed,
        "n_failed": failed,
        "strict": _accuracy(samples, strict),
        "lenient": _accuracy(samples, lenient),
    }


def _accuracy(samples: Sequence[Sample], letters: Sequence[str | None]) -> dict[str, Any]:
    def cell(kind: str | None) -> dict[str, Any]:
        of_kind = [
            (sample, letter)
            for sample, letter in zip(samples, letters, strict=True)
            if kind is None or sample.question_type == kind
        ]
        n_correct = sum(is_right(*one) for one in of_kind)
        return accuracy_cell(len(of_kind), n_correct, sum(letter is None for _, letter in of_kind))

    cells = {OVERALL: cell(None), **{kind: cell(kind) for kind in QUESTION_TYPES}}
    counts = {kind: {name: found[name] for name in _COUNTS} for kind, found in cells.items()}
    return {
        **{name: found["accuracy"] for name, found in cells.items()},
        **counts.pop(OVERALL),
        "intervals": {
            "level": LEVEL,
            "method": f"{WILSON}, questions taken as independent",
            **{name: [found["low"], found["high"]] for name, found in cells.items()},
        },
        "counts": counts,
    }
