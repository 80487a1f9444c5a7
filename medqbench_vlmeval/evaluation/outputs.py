"""Names of the result files, and the short form of a result that a terminal or the kit shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.report.runs import REPORT_ENDING, SAMPLES_ENDING, SCORE_ENDING
from medqbench_vlmeval.tasks import DIMENSION_TITLES, QUESTION_TYPES, REASONING_PREFIX


@dataclass(frozen=True)
class ResultPaths:
    """The three files that stand beside a prediction file or in an output folder."""

    score: Path
    samples: Path
    report: Path


def result_paths(prediction_file: Path, out: Path | None = None, stem: str | None = None) -> ResultPaths:
    """The result files of a prediction file, in its own folder and under its own stem unless said otherwise."""
    folder = out if out is not None else prediction_file.parent
    name = stem if stem is not None else prediction_file.stem
    return ResultPaths(*(folder / f"{name}{ending}" for ending in (SCORE_ENDING, SAMPLES_ENDING, REPORT_ENDING)))


def unwritable(folder: Path, error: OSError) -> RunFailed:
    """The error for results that cannot be written to a folder."""
    return RunFailed(
        f"Results cannot be written to {folder} ({error.strerror or error}); make room there or choose another folder."
    )


def score_parts(score: Mapping[str, Any]) -> dict[str, Any]:
    """The objects of a combined result by the parts' names; empty for a result of a single task."""
    return {name: score[name] for name in REASONING_PREFIX.values() if name in score}


def single_scores(score: Mapping[str, Any]) -> list[Any]:
    """The objects that hold one task's numbers: a combined result's parts, else the result itself."""
    return list(score_parts(score).values()) or [score]


def headline(score: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that fit a terminal: overall, per type or dimension, counts, and overall per modality.

    'lenient' is there where an extractor read what the rules left open.
    """
    parts = score_parts(score)
    if parts:
        return {**{name: headline(part) for name, part in parts.items()}, "comparable": score["comparable"]}
    names = (*QUESTION_TYPES, "n", "n_unanswered") if score["task"] == "perception" else ()
    titles = (*DIMENSION_TITLES.values(), "n", "n_unscored") if not names else ()
    key = "accuracy" if names else "Overall"
    modalities = score["groups"].get("modality", {})
    extractor = score.get("extractor")
    return {
        "Overall": score["Overall"],
        **{name: score[name] for name in (*names, *titles)},
        **({"lenient": {name: extractor["lenient"][name] for name in ("Overall", *names)}} if extractor else {}),
        **({"modality": {name: cell[key] for name, cell in modalities.items()}} if modalities else {}),
        "comparable": score["comparable"],
    }
