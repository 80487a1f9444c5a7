"""Many runs by task, in one order and under one label each, as every sheet on many runs shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.labels import run_labels
from medqbench_vlmeval.report.rows import Row, by_overall, own_row
from medqbench_vlmeval.report.runs import TASK_TITLES, RunPart, parts_of, text
from medqbench_vlmeval.tasks import Task

MAX_RUNS = 500
_LABEL_LIMIT = 60  # characters


@dataclass(frozen=True)
class NamedRun:
    """One task of one run under its label, with its line of the leaderboard."""

    label: str
    part: RunPart
    row: Row


@dataclass(frozen=True)
class TaskRuns:
    """All runs of one task, ranked: comparable ones first, best first."""

    task: Task
    runs: Sequence[NamedRun]

    @property
    def title(self) -> str:
        return TASK_TITLES[self.task]


def runs_by_task(scores: Sequence[Mapping[str, Any]]) -> list[TaskRuns]:
    """The single tasks that results hold, in the order of the benchmark.

    Raises:
        BadInput: there are no results or more than 500, or one is not of this package.
    """
    if not scores:
        raise BadInput("There is no scored run to report on; name at least one '_score.json' or its folder.")
    if len(scores) > MAX_RUNS:
        raise BadInput(f"{len(scores):,} runs are more than one workbook can show; name at most {MAX_RUNS} at a time.")
    parts = [part for score in scores for part in parts_of(score)]
    return [TaskRuns(task, _ranked(found)) for task in Task if (found := [part for part in parts if part.task is task])]


def warnings_of(found: TaskRuns) -> list[str]:
    """What keeps the runs of a task from being set beside each other: other questions, judges or protocols."""
    warnings = []
    samples = {_samples(run.part) for run in found.runs}
    if len(samples) > 1:
        datasets = ", ".join(dict.fromkeys(run.part.dataset for run in found.runs))
        sizes = ", ".join(f"{size:,}" for size in sorted({run.part.n for run in found.runs}))
        warnings.append(
            f"These runs did not answer the same samples ({len(samples)} different sets, of {sizes} samples; datasets "
            f"{datasets}): differences between them may be differences between the samples."
        )
    for section, name, words in (
        ("judge", "name", "judges"),
        ("protocol", "name", "protocols"),
        ("prompt", "style", "prompt styles"),
    ):
        values = dict.fromkeys(run.part.setting(section, name) or "none named" for run in found.runs)
        if len(values) > 1:
            warnings.append(f"These runs have different {words}: {', '.join(values)}.")
    return warnings


def _samples(part: RunPart) -> str:
    """What tells one set of samples from another, with how many of it were scored."""
    known = text(part.data.get("samples_sha256")) or text(part.data.get("sha256")) or part.dataset
    return f"{known} {part.n}"


def _ranked(parts: Sequence[RunPart]) -> list[NamedRun]:
    labels = run_labels(parts, _LABEL_LIMIT)
    runs = [NamedRun(label, part, own_row(part)) for label, part in zip(labels, parts, strict=True)]
    places = {id(row): place for place, row in enumerate(by_overall(run.row for run in runs))}
    return sorted(runs, key=lambda run: places[id(run.row)])
