"""The steps of an evaluation, in the order in which data flows through the rooms."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.evaluation import comparability, rows
from medqbench_vlmeval.evaluation.costs import Costs
from medqbench_vlmeval.evaluation.extracting import SecondStage, check_extractor, read_by_rules, second_stage
from medqbench_vlmeval.evaluation.outputs import ResultPaths, result_paths, score_parts, single_scores, unwritable
from medqbench_vlmeval.evaluation.previous import keep_paid_verdicts
from medqbench_vlmeval.evaluation.request import Request, judge_of, prepare
from medqbench_vlmeval.evaluation.settings import settings_of
from medqbench_vlmeval.files import write_json, write_jsonl
from medqbench_vlmeval.judge import Judge
from medqbench_vlmeval.judge.prices import load_prices
from medqbench_vlmeval.records import Extraction, JudgedSample, Prediction, Sample
from medqbench_vlmeval.scoring import score_perception, score_reasoning
from medqbench_vlmeval.scoring.findings import perception_findings, reasoning_findings
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, BASELINES, DIMENSION_TITLES, REASONING_PREFIX, Task

_ALLOCATIONS = 100_000


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rows are in no cycles, and each collection walks all of them: of 130,500 that took a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: the content of ``_score.json``, the per-sample rows and where all was written."""

    score: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    paths: ResultPaths


@_seldom_collected()
def evaluate(request: Request) -> Evaluation:
    """Score a prediction file and write its result files; the prediction file itself is only read.

    Raises:
        BadInput: the prediction file, the data or an option cannot be used.
        JudgeError: no judge was named, or it cannot be asked.
        RunFailed: the judge was asked and a dimension got no verdict at all (the result files are written first, the
            board is not touched), or a file cannot be written.
    """
    paths = result_paths(request.prediction_file, request.out, request.stem)
    for path in vars(paths).values():
        if path.exists() and request.prediction_file.exists() and path.samefile(request.prediction_file):
            raise BadInput(
                f"The result file {path} would replace the prediction file itself; choose another --out folder or "
                "rename the prediction file."
            )
    prepared = prepare(request)
    task, samples, predictions = prepared.task, prepared.samples, prepared.predictions
    check_extractor(request, task)
    second: SecondStage | None = None
    if task is Task.PERCEPTION:
        extractions = read_by_rules(samples, predictions)
        second = second_stage(request, samples, predictions, extractions)
        score, sample_rows = _perception(samples, predictions, extractions, second)
        judge = None
    else:
        # A table that cannot be used is said before anything is paid.
        prices = load_prices(request.prices)
        with judge_of(request) as judge:
            judged = judge.judge(samples, predictions, request.on_progress)
        score, sample_rows = _reasoning(task, samples, predictions, judged, Costs.of(judge, prices))
    settings = settings_of(prepared.table, prepared.provenance, judge, task, second.settings if second else None)
    score = {
        "task": task.value,
        "dataset": request.dataset,
        "model": request.model,
        **_with_reasons(task, score, samples, request.dataset, prepared.reasons, judge),
        "baseline": request.model in BASELINES,
        "settings": settings,
    }
    for part in score_parts(score).values():
        part.setdefault("dataset", request.dataset)
    for row in sample_rows:
        row["comparable"] = score["comparable"]
    _write(score, sample_rows, paths)
    _refuse_empty(score, paths)
    if request.leaderboard is not None:
        from medqbench_vlmeval.report import leaderboard

        leaderboard.update(request.leaderboard, score)
    return Evaluation(score, sample_rows, paths)


def _perception(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Extraction],
    second: SecondStage | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    choices = second.choices if second else {}
    found = zip(samples, predictions, extractions, strict=True)
    sample_rows = [rows.perception_row(*one, choices.get(one[0].index)) for one in found]
    # The official numbers are those of the rules, whatever an extractor says.
    score = score_perception(samples, predictions, extractions)
    findings = perception_findings(samples, predictions, extractions)
    return {**score, "findings": findings, **({"extractor": second.block} if second else {})}, sample_rows


def _reasoning(
    task: Task,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    judged: Sequence[JudgedSample],
    costs: Costs,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    sample_rows = [rows.reasoning_row(*one) for one in zip(samples, predictions, judged, strict=True)]

    def scored(of_part: Sequence[int]) -> dict[str, Any]:
        part = [samples[i] for i in of_part], [predictions[i] for i in of_part], [judged[i] for i in of_part]
        return {**score_reasoning(*part), "findings": reasoning_findings(*part), "usage": costs.usage(part[2])}

    if task is not Task.REASONING:
        return scored(range(len(samples))), sample_rows
    score: dict[str, Any] = {}
    for part in task.parts:
        of_part = [i for i, sample in enumerate(samples) if sample.task is part]
        if of_part:
            score[REASONING_PREFIX[part]] = {"task": part.value, **scored(of_part)}
    return score, sample_rows


def _with_reasons(
    task: Task,
    score: dict[str, Any],
    samples: Sequence[Sample],
    dataset: str,
    reasons: Sequence[str],
    judge: Judge | None,
) -> dict[str, Any]:
    """Add ``comparable`` and ``not_comparable_because`` to a score and to each of its parts."""
    known = ALL_DATASET_NAMES.get(dataset)
    judged: list[str] = []
    if judge is not None:
        judged = comparability.judge_reasons(judge.name, judge.protocol, judge.describe(task)["judge"]["served_as"])

    def marked(part_task: Task, part: dict[str, Any]) -> dict[str, Any]:
        of_part = [sample for sample in samples if sample.task is part_task]
        why = [
            *comparability.data_reasons(part_task, known.split if known else None, of_part),
            *reasons,
            *judged,
            *comparability.unscored_reasons(part),
        ]
        return {**part, "comparable": not why, "not_comparable_because": why}

    if task is not Task.REASONING:
        return marked(task, score)
    parts = {
        REASONING_PREFIX[part]: marked(part, score[REASONING_PREFIX[part]])
        for part in task.parts
        if REASONING_PREFIX[part] in score
    }
    why = list(dict.fromkeys(reason for part in parts.values() for reason in part["not_comparable_because"]))
    return {**parts, "comparable": not why, "not_comparable_because": why}


def _write(score: dict[str, Any], sample_rows: Sequence[Mapping[str, Any]], paths: ResultPaths) -> None:
    from medqbench_vlmeval.report import write_workbook

    try:
        keep_paid_verdicts(paths, score)
        # Samples first: they hold what was paid for. The score last but for the board: it says all is there.
        write_jsonl(paths.samples, sample_rows)
        write_workbook(paths.report, score, sample_rows)
        write_json(paths.score, score)
    except OSError as error:
        raise unwritable(paths.score.parent, error) from error


def _refuse_empty(score: dict[str, Any], paths: ResultPaths) -> None:
    """A reasoning run in which a dimension has no verdict at all has failed, whatever files it wrote."""
    for part in single_scores(score):
        empty = [title for title in DIMENSION_TITLES.values() if part.get(title, 0) is None]
        if empty:
            reason = next(iter(part["unscored_reasons"]), "no verdict")
            raise RunFailed(
                f"None of the {part['n']} {part['task']} samples of {score['model']} could be scored on "
                f"{', '.join(empty)} ({reason}); what the judge said is kept in {paths.samples}."
            )
