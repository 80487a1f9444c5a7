"""A run's numbers as every report reads them: one :class:`RunPart` a task, out of a ``_score.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    DIMENSIONS,
    MAX_VERDICT,
    QUESTION_TYPES,
    REASONING_PREFIX,
    Task,
)
from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_object, sha256_text, storable
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


# Reading the lines of a ``_samples.jsonl`` back: whole JSON objects, an index each, verdicts that can be.


_MOST_DIGITS = 18  # of a whole number; counts have fewer


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file with the numbers of their lines, from 1.

    Raises:
        BadInput: the file is not there, is no UTF-8 text, or a line is no whole JSON object.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; name the '{SAMPLES_ENDING}' of a run, or a folder with such files.")
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 text (byte {error.start}); it is no '{SAMPLES_ENDING}' of a run."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value = parse_object(line)
        if value is None:
            raise BadInput(
                f"{path}, line {number}: not a whole JSON object. A '{SAMPLES_ENDING}' of a run was expected; this "
                "file is of another kind, or was cut short; score the run again."
            )
        found.append((number, value))
    return found


def checked_scores(verdicts: Mapping[str, Any], where: str) -> dict[str, float | None]:
    """The verdicts' scores by dimension, None where there is none.

    Raises:
        BadInput: a score is not a number between 0 and 2; the message starts with ``where``.
    """
    scores: dict[str, float | None] = {}
    for dimension in DIMENSIONS:
        verdict = verdicts.get(dimension)
        score = verdict.get("score") if isinstance(verdict, dict) else None
        if score is not None and (
            isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= MAX_VERDICT
        ):
            raise BadInput(f"{where}: the verdict {score!r} on {dimension} is not between 0 and 2.")
        scores[dimension] = score
    return scores


def _whole_number(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else _finite(digits)


def _finite(digits: str) -> float | None:
    found = float(digits)
    return found if math.isfinite(found) else None


# No file that this package writes holds such numbers; one that does must not stop a table or end up in one.
_DECODER = json.JSONDecoder(parse_int=_whole_number, parse_float=_finite, parse_constant=lambda _: None)


def parse_object(line: str) -> dict[str, Any] | None:
    """The JSON object that a text is, None for anything else; half characters become U+FFFD, NaN and numbers that no
    sheet or calculation could hold become null."""
    try:
        value = _DECODER.decode(line)
        # No file that this package writes holds half a character; no file could be written with one.
        if "\\ud" in line or "\\uD" in line:
            value = json.loads(storable(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# Reading the ``_samples.jsonl`` files of judged reasoning runs back, with what their ``_score.json`` says of them.


@dataclass(frozen=True)
class JudgedRow:
    """One judged answer: ``scores`` is None on a dimension without a verdict, ``verdicts`` is as in the file. A sample
    that was not put to the judge has no verdicts."""

    index: str
    task: Task
    modality: str | None
    reference: str
    answer: str
    scores: Mapping[str, float | None]
    verdicts: Mapping[str, Any]

    @property
    def is_scored(self) -> bool:
        """Whether any dimension has a verdict."""
        return any(score is not None for score in self.scores.values())

    @property
    def answer_sha256(self) -> str:
        return sha256_text(self.answer)

    @property
    def reference_sha256(self) -> str:
        return sha256_text(self.reference)


@dataclass(frozen=True)
class JudgedRun:
    """One file of verdicts. ``stem`` is its name without the ending; ``model``, ``dataset``, ``judge`` and
    ``protocol`` are as the score file beside it says, the stem and None where there is none."""

    path: Path
    stem: str
    model: str
    dataset: str | None
    judge: str | None
    protocol: str | None
    rows: Mapping[str, JudgedRow]

    def find(self, index: str) -> JudgedRow | None:
        """The row of an index by its text, else by its number ('7', '07' and '7.0') where one row alone has it."""
        if index in self.rows:
            return self.rows[index]
        number = canonical_index(index)
        found = [row for name, row in self.rows.items() if canonical_index(name) == number]
        return found[0] if len(found) == 1 else None


def read_runs(paths: Iterable[Path]) -> list[JudgedRun]:
    """Read files of verdicts and folders of such files; multiple-choice runs in a folder are passed over.

    Raises:
        BadInput: a path does not exist, is no whole file of verdicts or is one of a multiple-choice run; a folder has
            no reasoning run; a file is named twice.
    """
    runs: list[JudgedRun] = []
    for path in paths:
        if not path.is_dir():
            runs.append(read_run(path))
            continue
        files = sorted(path.glob(f"*{SAMPLES_ENDING}"))
        found = [run for file in files if (run := _read(file, True)) is not None]
        if not found:
            raise BadInput(
                f"{path} holds no verdicts: no file '*{SAMPLES_ENDING}' of a reasoning run is in it; score a reasoning "
                "run first."
            )
        runs += found
    seen: set[Path] = set()
    for run in runs:
        if run.path.resolve() in seen:
            raise BadInput(f"{run.path} is named twice; name each file of verdicts once.")
        seen.add(run.path.resolve())
    return runs


def read_run(path: Path) -> JudgedRun:
    """Read one file of verdicts (see :func:`read_runs`)."""
    found = _read(path, False)
    if found is None:
        raise BadInput(
            f"{path} is of a multiple-choice run, which no judge scores; name the '{SAMPLES_ENDING}' of a reasoning "
            "run."
        )
    return found


def is_verdicts(path: Path) -> bool:
    """Whether a file's first line is a sample of a run, whatever the file's name."""
    if path.suffix.lower() != ".jsonl" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as source:
            first = json.loads(next((line for line in source if line.strip()), ""))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and ("verdicts" in first or "extracted" in first)


def _read(path: Path, in_folder: bool) -> JudgedRun | None:
    """The run of a file; None for a multiple-choice run."""
    rows: dict[str, JudgedRow] = {}
    for number, row in read_lines(path):
        if row.get("task") == Task.PERCEPTION.value:
            return None
        found = _row(row, path, number)
        if found.index in rows:
            raise BadInput(f"{path}: the index '{found.index[:60]}' stands twice; the file was put together by hand.")
        rows[found.index] = found
    if not rows:
        if in_folder:
            return None
        raise BadInput(f"{path} is empty; score the run again.")
    stem = path.name.removesuffix(SAMPLES_ENDING) if path.name.endswith(SAMPLES_ENDING) else path.stem
    score = read_object(path.with_name(f"{stem}{SCORE_ENDING}")) or {}
    settings = score.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    return JudgedRun(
        path,
        stem,
        _text(score.get("model")) or stem,
        _text(score.get("dataset")),
        _name(settings.get("judge")),
        _name(settings.get("protocol")),
        rows,
    )


def _row(row: Mapping[str, Any], path: Path, number: int) -> JudgedRow:
    verdicts, index = row.get("verdicts"), row.get("index")
    if not isinstance(verdicts, dict) or index is None:
        raise BadInput(
            f"{path}, line {number}: no 'index' and 'verdicts', so this is no '{SAMPLES_ENDING}' of a judged run."
        )
    try:
        task = Task(row.get("task"))
    except ValueError:
        raise BadInput(f"{path}, line {number}: {row.get('task')!r} is no reasoning task.") from None
    return JudgedRow(
        str(index),
        task,
        _text(row.get("modality")),
        _text(row.get("description")) or "",
        _text(row.get("prediction")) or "",
        checked_scores(verdicts, f"{path}, line {number}"),
        verdicts,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _name(settings: Any) -> str | None:
    return _text(settings.get("name")) if isinstance(settings, Mapping) else None


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
