"""A run's numbers as every report reads them: one :class:`RunPart` a task, out of a ``_score.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.scoring.axes import UNKNOWN
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import DIMENSION_TITLES, QUESTION_TYPES, REASONING_PREFIX, Task

SCORE_ENDING, SAMPLES_ENDING, REPORT_ENDING = "_score.json", "_samples.jsonl", "_report.xlsx"
OVERALL = "Overall"
MODALITY = "modality"
TYPE_BY_MODALITY = "modality_x_question_type"

_REASONING_MEASURES = (*DIMENSION_TITLES.values(), OVERALL)
MEASURES: Mapping[Task, tuple[str, ...]] = {
    Task.PERCEPTION: (*QUESTION_TYPES, OVERALL),
    Task.NO_REFERENCE: _REASONING_MEASURES,
    Task.COMPARATIVE: _REASONING_MEASURES,
}
TASK_TITLES: Mapping[Task, str] = {
    Task.PERCEPTION: "Perception",
    Task.NO_REFERENCE: "Reasoning, no-reference",
    Task.COMPARATIVE: "Reasoning, comparative",
}
_COUNTS = ("n", "n_correct", "n_scored", "n_unanswered", "n_unscored", "n_inference_failed", "n_missing", "n_cut")


@dataclass(frozen=True)
class RunPart:
    """One task of one run.

    ``values`` maps the task's measures to percent (perception, 0-100) or to means (reasoning: 0-2, Overall
    0-8), None where nothing was scored; ``intervals`` has the measures whose interval is known, in the same
    unit; ``groups`` is axis -> group -> cell as in the result file.
    """

    task: Task
    dataset: str
    model: str
    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]]
    counts: Mapping[str, int]
    groups: Mapping[str, Mapping[str, Any]]
    comparable: bool
    reasons: tuple[str, ...]
    baseline: bool
    settings: Mapping[str, Any]
    score: Mapping[str, Any]

    @property
    def n(self) -> int:
        return self.counts.get("n", 0)

    @property
    def data(self) -> Mapping[str, Any]:
        """The settings of this task's data file, empty where they are not given."""
        return mapping(mapping(self.settings.get("data")).get(self.task.value))

    def setting(self, section: str, name: str) -> str | None:
        """A text out of ``settings``, None where it is absent."""
        return text(mapping(self.settings.get(section)).get(name))

    def measure_n(self, measure: str) -> int | None:
        """How many samples a measure's value rests on, None where the result does not say."""
        if self.task is Task.PERCEPTION:
            if measure == OVERALL:
                return self.n
            found = mapping(mapping(self.groups.get("question_type")).get(measure)).get("n")
            return 0 if found is None and self.values.get(measure) is None else whole(found)
        counts = mapping(self.score.get("counts"))
        if measure in counts:
            return whole(counts[measure])
        frequencies = mapping(mapping(self.score.get("frequencies")).get(measure))
        if frequencies:
            return sum(whole(count) or 0 for count in frequencies.values())
        return self.counts.get("n_scored", self.n)


def parts_of(score: Mapping[str, Any]) -> tuple[RunPart, ...]:
    """The tasks of a run: two for a whole combined reasoning run, else one.

    Raises:
        BadInput: the object is not a result of this package.
    """
    task = _task(score)
    if task is not Task.REASONING:
        return (_part(task, score, score),)
    found = {one: score[key] for one, key in REASONING_PREFIX.items() if isinstance(score.get(key), Mapping)}
    if not found:
        keys = "' or '".join(REASONING_PREFIX.values())
        raise BadInput(f"A combined reasoning result needs an object under '{keys}'; score the run again.")
    return tuple(_part(one, inner, score) for one, inner in found.items())


def number(value: object) -> float | None:
    """A number that a float can hold as it is, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def ends_of(value: object) -> tuple[float, float] | None:
    """The two ends of an interval, None for anything else."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def whole(value: object) -> int | None:
    """A whole number, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """A text as it is, None for None and for the empty text, another value as its text."""
    return None if value is None or value == "" else str(value)


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def is_few(task: Task, cell: Mapping[str, Any]) -> bool:
    """Whether a group's numbers rest on fewer than ten samples; results of earlier versions do not say so."""
    count = whole(cell.get("n" if task is Task.PERCEPTION else "n_scored"))
    return cell.get("few") is True or (count is not None and count < FEW)


def _task(score: Mapping[str, Any]) -> Task:
    try:
        return Task(score.get("task"))
    except ValueError:
        raise BadInput(
            f"'task' is {score.get('task')!r} in the result: this is not a '_score.json' of medqbench; score "
            "the run again."
        ) from None


def _part(task: Task, inner: Mapping[str, Any], outer: Mapping[str, Any]) -> RunPart:
    def inherited(key: str) -> Any:
        return inner[key] if inner.get(key) is not None else outer.get(key)

    because = inherited("not_comparable_because")
    given = mapping(inner.get("intervals"))
    intervals = {measure: ends for measure in MEASURES[task] if (ends := ends_of(given.get(measure))) is not None}
    return RunPart(
        task=task,
        dataset=text(inherited("dataset")) or UNKNOWN,
        model=text(inherited("model")) or UNKNOWN,
        values={measure: number(inner.get(measure)) for measure in MEASURES[task]},
        intervals=intervals,
        counts={name: count for name in _COUNTS if (count := whole(inner.get(name))) is not None},
        groups={axis: mapping(found) for axis, found in mapping(inner.get("groups")).items()},
        # A result that does not say that it is comparable is not.
        comparable=inherited("comparable") is True and outer.get("comparable", True) is not False,
        reasons=tuple(str(reason) for reason in because) if isinstance(because, (list, tuple)) else (),
        baseline=bool(inherited("baseline")),
        settings=mapping(inherited("settings")),
        score=inner,
    )
