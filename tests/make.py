"""Samples, judged answers and scored runs for tests, built by the code that builds them for users.

>>> run = perception_run(tmp_path)                     # five questions, three right; both files written
>>> run = reasoning_run(judge="gpt-4o")                # three samples, two scored; nothing written
>>> run = make_run([choice("1", True), choice("2", False, modality="MRI")], tmp_path, model="M")
>>> run = make_run([judged("1", (2, 1, 2, 2)), judged("2", None)], tmp_path)
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSIONS, REASONING_PREFIX, Comparable, Task, dataset_names
from medqbench_vlmeval.provenance import ColumnUse, DataUse, JudgeSettings, PredictionFile, Protocol, Provenance
from medqbench_vlmeval.runs.files import result_paths, write_run
from medqbench_vlmeval.runs.result import result_to_json
from medqbench_vlmeval.types import Answer, Judged, Prediction, PredictionStatus, Result, Run, Sample, Verdict
from medqbench_vlmeval.workflows.evaluate import read_by_rules, score_choices, score_judged

NO_VERDICT = "no verdict in the reply"
SHARP = "The image is sharp. Overall, the quality of this image is good."
DATASETS = {task: next(name for name in dataset_names(task) if name.endswith("_mini")) for task in Task}


@dataclass(frozen=True)
class Answered:
    """A sample with the model's reply and, for reasoning, what the judge said; ``answer`` is what is read in the reply
    where that is not left to the rules."""

    sample: Sample
    prediction: Prediction
    judged: Judged | None = None
    answer: Answer | None = None


def choice(
    index: str = "1",
    correct: bool | None = True,
    *,
    text: str | None = None,
    status: PredictionStatus = PredictionStatus.OK,
    options: Mapping[str, str] | None = None,
    answer: str = "A",
    task: Task = Task.PERCEPTION,
    **fields: Any,
) -> Answered:
    """One multiple-choice question; ``correct`` is None for a reply without an answer.

    ``text`` is another reply, whose answer is taken to be what ``correct`` says.
    """
    shown = {"A": "Noise", "B": "Blur"} if options is None else options
    wrong = next(letter for letter in shown if letter != answer)
    replies = {True: f"The answer is {answer}.", False: f"The answer is {wrong}.", None: "I cannot tell."}
    named = {"modality": "CT", "question_type": "What", "question": f"Which degradation is in image {index}?"}
    sample = Sample(index, task, options=shown, answer=answer, **{"image_refs": (f"{index}.png",), **named, **fields})
    if text is None:
        return Answered(sample, Prediction(index, replies[correct], status))
    letter = {True: answer, False: wrong, None: None}[correct]
    return Answered(sample, Prediction(index, text, status), answer=Answer(letter, "given by the test"))


def judged(
    index: str = "1",
    scores: Sequence[float | None] | None = (2, 2, 2, 2),
    task: Task = Task.NO_REFERENCE,
    *,
    text: str | None = None,
    judge: str = "judge-x",
    status: PredictionStatus = PredictionStatus.OK,
    unscored: str | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
    **fields: Any,
) -> Answered:
    """One judged answer; ``scores`` by dimension, None for no verdict; ``unscored`` where no judge was asked."""
    if verdicts is None:
        given = (None,) * 4 if scores is None else scores
        verdicts = {name: verdict(name, score, judge) for name, score in zip(DIMENSIONS, given, strict=True)}
    named = {
        "modality": "CT",
        "question": "Describe the quality.",
        "description": f"Reference {index}: sharp, and so the quality of this image is good.",
        "image_refs": (f"{index}.png",) if task is Task.NO_REFERENCE else (f"{index}a.png", f"{index}b.png"),
    }
    reply = f"Answer {index}: the quality of this image is good." if text is None else text
    return Answered(
        Sample(index, task, **{**named, **fields}),
        Prediction(index, reply, status),
        Judged(index, {} if unscored else verdicts, unscored),
    )


def verdict(dimension: str, score: float | None, judge: str = "judge-x", **fields: Any) -> Verdict:
    """One verdict as a judge's reply gives it."""
    reason = NO_VERDICT if score is None else None
    return Verdict(
        dimension, score, reason, f"Score: {score}", "ab" * 32, judge, prompt_tokens=100, completion_tokens=10, **fields
    )


def provenance(samples: Sequence[Sample], judge: str | None = None, **changes: Any) -> Provenance:
    """What a made run says that it was made from and with."""
    sizes = Counter(sample.task.value for sample in samples)
    mini = DataUse("mini.tsv", "ab" * 32, None, "file", ColumnUse(), "cd" * 32, 0)
    data = {task: replace(mini, n=n) for task, n in sizes.items()}
    settings = None if judge is None else JudgeSettings(judge, f"{judge} 1", "http://judge.example/v1")
    protocol = Protocol("choice-extraction", "1") if judge is None else Protocol("official", "1", "11" * 32, 1)
    settings_of_run = Provenance(
        data,
        PredictionFile("predictions.xlsx", "ef" * 32, "ee" * 32),
        "official",
        "01" * 32,
        {"medqbench_vlmeval": "0.1.0", "kit": "ms-vlmeval 0.0.20", "python": "3.11.9"},
        "2026-11-22T10:00:00+00:00",
        protocol,
        settings,
    )
    return replace(settings_of_run, **changes)


def marks_of(comparable: bool | Comparable, reasons: Sequence[str]) -> dict[str, Any]:
    """Both fields of a result; true and false stand for yes and no."""
    value = comparable if isinstance(comparable, Comparable) else Comparable.YES if comparable else Comparable.NO
    return {"comparable": value, "not_comparable_because": () if value is Comparable.YES else tuple(reasons)}


def make_run(
    answered: Sequence[Answered],
    folder: Path | None = None,
    *,
    model: str = "Model-X",
    dataset: str | None = None,
    judge: str = "judge-x",
    comparable: bool | Comparable = False,
    reasons: Sequence[str] = ("made for a test",),
    baseline: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """Score answers as 'medqbench score' does, and write both result files where a folder is given.

    ``settings`` changes fields of the :class:`Provenance`. Of answers of both reasoning tasks the run is the combined
    one; their indexes then need the prefix that :func:`combined_run` gives.
    """
    samples = [entry.sample for entry in answered]
    predictions = [entry.prediction for entry in answered]
    tasks = list(dict.fromkeys(sample.task for sample in samples))
    task = tasks[0] if len(tasks) == 1 else Task.REASONING
    named = dataset or DATASETS[task]
    if task.is_choice:
        by_rules = read_by_rules(samples, predictions)
        answers = [entry.answer or read for entry, read in zip(answered, by_rules, strict=True)]
        part, rows = score_choices(samples, predictions, answers, named)
        parts = {task: part}
    else:
        parts, rows = score_judged(samples, predictions, [entry.judged for entry in answered if entry.judged], named)
    marks = marks_of(comparable, reasons)
    marked = {task: replace(part, **marks) for task, part in parts.items()}
    made_from = replace(provenance(samples, None if task.is_choice else judge), **(settings or {}))
    result = Result(model, named, task, marked, made_from, baseline)
    stem = f"{model.replace('/', '--')[:60]}_{named}"
    paths = result_paths(Path(stem), folder if folder is not None else Path("made"), stem)
    run = Run(result, tuple(replace(row, comparable=result.comparable) for row in rows), paths)
    if folder is not None:
        write_run(run)
    return run


def scored(
    folder: Path,
    answered: Sequence[Answered],
    model: str = "Model-X",
    dataset: str = "MedQBench_Perception",
    **settings: Any,
) -> Path:
    """The score file of a run in a folder; ``settings`` change fields of its :class:`Provenance`."""
    return make_run(answered, folder, model=model, dataset=dataset, settings=settings).paths.score


# What the columns of our dataset classes say where all is on record that a comparable result takes.
ON_RECORD = {"data_sha256": "ab" * 32, "data_revision": "0123456789" * 4, "prompt_style": "official"}


def write_reasoning(
    path: Path,
    predictions: Mapping[Any, str],
    description: str = SHARP,
    task: Task = Task.NO_REFERENCE,
    **columns: str,
) -> Path:
    """A prediction file (TSV) of reasoning replies by index; further ``columns`` say the same in each row."""
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["index", "task", "question", "description", "modality", "prediction", *columns])
        table.writerows(
            [index, task.value, "Describe.", description, "CT", text, *columns.values()]
            for index, text in predictions.items()
        )
    return path


def score_of(run: Run) -> dict[str, Any]:
    """The content of a run's score file."""
    content: dict[str, Any] = json.loads(json.dumps(result_to_json(run.result)))
    return content


# Modality, question type, severity, right answer, and whether the reply is right.
FIVE_QUESTIONS = (
    ("CT", "Yes-or-No", "mild", "A", True),
    ("MRI", "Yes-or-No", "severe", "B", True),
    ("CT", "What", "severe", "A", True),
    ("MRI", "What", "mild", "A", False),
    ("CT", "How", "severe", "B", None),
)


def perception_run(folder: Path | None = None, **changes: Any) -> Run:
    """Five questions, three right: CT 2 of 3, MRI 1 of 2; Yes-or-No 2 of 2, What 1 of 2, How 0 of 1, unanswered."""
    answered = [
        choice(str(index), correct, answer=answer, modality=modality, question_type=kind, severity=severity)
        for index, (modality, kind, severity, answer, correct) in enumerate(FIVE_QUESTIONS, 1)
    ]
    return make_run(answered, folder, **changes)


def _judged_three(task: Task, prefix: str, judge: str) -> list[Answered]:
    rows = (("1", (2, 1, 2, 2)), ("2", (1, 1, 2, 0)), ("3", None))
    return [judged(f"{prefix}{index}", scores, task, judge=judge, modality="Fundus") for index, scores in rows]


def reasoning_run(
    folder: Path | None = None, task: Task = Task.NO_REFERENCE, *, judge: str = "judge-x", **changes: Any
) -> Run:
    """Three Fundus samples, two of them scored: 2+1+2+2, 1+1+2+0, and one without verdicts."""
    return make_run(_judged_three(task, "", judge), folder, judge=judge, **changes)


def combined_run(folder: Path | None = None, *, judge: str = "judge-x", **changes: Any) -> Run:
    """Both reasoning tasks in one run, three samples each (see :func:`reasoning_run`)."""
    answered = [
        entry for task, prefix in REASONING_PREFIX.items() for entry in _judged_three(task, f"{prefix}:", judge)
    ]
    return make_run(answered, folder, judge=judge, **changes)


def degraded_run(folder: Path | None = None, **changes: Any) -> Run:
    """Twelve questions of MedQ-Deg at L0, L1 and L2: 12, 8 and 3 are right, each with a stated confidence of 90%."""
    answered = [
        choice(
            f"{n}-{degree}", right, task=Task.DEGRADATION, question=f"Question {n}?", severity=degree,
            category=None if degree == "L0" else "noise", pair=f"{n}-L0",
            text=f"Answer: {'A' if right else 'B'}\nConfidence: 90%",
        )
        for n in range(12)
        for degree, right in (("L0", True), ("L1", n > 3), ("L2", n > 8))
    ]  # fmt: skip
    return make_run(answered, folder, dataset="MedQDeg_mini", **changes)
