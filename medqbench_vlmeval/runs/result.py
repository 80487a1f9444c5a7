"""A run's numbers as every report reads them: one :class:`RunPart` a task, out of a ``_score.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    MAX_VERDICT,
    QUESTION_TYPES,
    REASONING_PREFIX,
    Task,
)
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.scoring.agreement import read_conclusion
from medqbench_vlmeval.scoring.findings import perception_error_kinds, reasoning_error_kinds
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.scoring.summary import UNKNOWN, is_right, unscored_reason
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Sample, Verdict

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


# The lines of ``_samples.jsonl``: everything that is known of one sample, as plain JSON.


_NOT_READ = {
    PredictionStatus.INFERENCE_FAILED: "inference failed",
    PredictionStatus.MISSING: "prediction missing",
}


def not_read(prediction: Prediction) -> str | None:
    """Why there is no reply to read, or None when there is one."""
    return _NOT_READ.get(prediction.status)


def _common(sample: Sample, prediction: Prediction) -> dict[str, Any]:
    return {
        "index": sample.index,
        "task": sample.task.value,
        "modality": sample.modality,
        "question_type": sample.question_type,
        "severity": sample.severity,
        "scope": sample.scope,
        "source": sample.source,
        "difficulty": sample.difficulty,
        "degradation": sample.degradation,
        "images": list(image_names(sample)),
        "question": sample.question,
        "prediction": prediction.text,
        "prediction_cut": prediction.cut,
    }


def perception_row(
    sample: Sample, prediction: Prediction, extraction: Answer, choice: Verdict | None = None
) -> dict[str, Any]:
    """One multiple-choice sample. ``unscored`` is set where there was no reply; the sample counts as wrong.

    ``extractor`` is there where one was asked (``choice``) and changes nothing else.
    """
    return {
        **_common(sample, prediction),
        "options": dict(sample.options),
        "answer": sample.answer,
        "extracted": extraction.letter,
        "rule": extraction.rule,
        "correct": is_right(sample, extraction.letter),
        "error_kinds": perception_error_kinds(sample, prediction, extraction),
        "unscored": not_read(prediction),
        **({} if choice is None else {"extractor": _choice_row(choice)}),
    }


def _choice_row(choice: Verdict) -> dict[str, Any]:
    names = ("reason", "reply", "prompt_sha256", "judge", "asks", "from_cache")
    row = {"letter": letter_of(choice.score), **{name: getattr(choice, name) for name in names}}
    return {**row, **({"note": choice.note} if choice.note else {})}


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    """One verdict; of several rounds or judges each one stands under 'parts' as well."""
    row: dict[str, Any] = {
        "score": verdict.score,
        "reason": verdict.reason,
        "reply": verdict.reply,
        "prompt_sha256": verdict.prompt_sha256,
        "judge": verdict.judge,
        "asks": verdict.asks,
        "from_cache": verdict.from_cache,
    }
    for name in ("explanation", "note"):
        if getattr(verdict, name):
            row[name] = getattr(verdict, name)
    if verdict.parts:
        row["parts"] = {name: _verdict_row(part) for name, part in verdict.parts.items()}
    return row


def reasoning_row(sample: Sample, prediction: Prediction, judged: Judged) -> dict[str, Any]:
    """One judged sample; ``score`` is the sum of its four verdicts (0-8), None while one is missing."""
    verdicts = {dimension: _verdict_row(verdict) for dimension, verdict in judged.verdicts.items()}
    scores = {dimension: verdict.score for dimension, verdict in judged.verdicts.items() if verdict.score is not None}
    why = unscored_reason(judged)
    return {
        **_common(sample, prediction),
        "description": sample.description,
        "verdicts": verdicts,
        "scores": scores,
        "conclusion": asdict(read_conclusion(sample, prediction)),
        "error_kinds": reasoning_error_kinds(sample, prediction, judged),
        "score": math.fsum(scores.values()) if why is None else None,
        "unscored": why,
    }


# One number of a result with what it rests on: for figures, matrices, charts and cards, as in the tables.


@dataclass(frozen=True)
class Point:
    """One number: ``ends`` is its interval and ``n`` what it rests on, in the task's unit; None where there is none."""

    value: float | None
    ends: tuple[float, float] | None = None
    n: int | None = None
    few: bool = False

    @property
    def low(self) -> float | None:
        return None if self.ends is None else self.ends[0]

    @property
    def high(self) -> float | None:
        return None if self.ends is None else self.ends[1]


NOTHING = Point(None)


def cell_point(task: Task, cell: Mapping[str, Any], measure: str = OVERALL) -> Point:
    """A measure of a group's cell as the result file has it; of perception its accuracy."""
    if task is Task.PERCEPTION:
        ends = ends_of((cell.get("low"), cell.get("high")))
        return Point(number(cell.get("accuracy")), ends, whole(cell.get("n")), is_few(task, cell))
    ends = ends_of(mapping(cell.get("intervals")).get(measure))
    return Point(number(cell.get(measure)), ends, whole(cell.get("n_scored")), is_few(task, cell))


def measure_point(part: RunPart, measure: str = OVERALL) -> Point:
    """One of a run's headline numbers."""
    n = part.measure_n(measure)
    return Point(part.values.get(measure), part.intervals.get(measure), n, n is not None and n < FEW)


def top_of(task: Task, name: str = OVERALL) -> float:
    """The end of a measure's scale: 100 (percent), 2 (a dimension) or 8 (Overall, also of any group)."""
    if task is Task.PERCEPTION:
        return 100.0
    single = name in DIMENSION_TITLES.values()
    return float(MAX_VERDICT if single else MAX_VERDICT * len(DIMENSION_TITLES))
