"""The steps of an evaluation, in the order in which data flows through the rooms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from medqbench_vlmeval.answers import extract, read_confidence
from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    BASELINES,
    DIMENSION_TITLES,
    Split,
    Task,
    name_in_file,
    registered_sets,
)
from medqbench_vlmeval.data import load, stratified
from medqbench_vlmeval.data.columns import Named
from medqbench_vlmeval.data.image_cells import KeptImages, image_names
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import check_room, is_any_of
from medqbench_vlmeval.judge import RULES, Judge, JudgeOptions, build_judge
from medqbench_vlmeval.judge.adopted import AdoptedJudge, adopted_judge
from medqbench_vlmeval.judge.cache import ReplyCache, default_folder
from medqbench_vlmeval.judge.calls import INFERENCE_FAILED, PREDICTION_MISSING, OnProgress
from medqbench_vlmeval.judge.client import KitClient
from medqbench_vlmeval.judge.judges import build_extractor, extractor_options
from medqbench_vlmeval.judge.secrets import refuse_key
from medqbench_vlmeval.judge.usage import load_prices, usage_by, usage_by_judge
from medqbench_vlmeval.predictions import PredictionTable, join, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.files import is_second_pass
from medqbench_vlmeval.predictions.join import check_content, placed
from medqbench_vlmeval.provenance import ColumnUse, JudgeSettings
from medqbench_vlmeval.runs.comparability import Evidence, with_comparable
from medqbench_vlmeval.runs.files import MAKE_ROOM, result_paths, write_run
from medqbench_vlmeval.runs.progress import ProgressFile, judging, progress_path, written_progress
from medqbench_vlmeval.runs.provenance import Origin, name_results, read_model_use, settings_of
from medqbench_vlmeval.scoring import score_questions, score_reasoning
from medqbench_vlmeval.scoring.agreement import read_conclusion
from medqbench_vlmeval.scoring.findings import (
    perception_error_kinds,
    perception_findings,
    reasoning_error_kinds,
    reasoning_findings,
)
from medqbench_vlmeval.scoring.summary import (
    failures_by_reason,
    is_right,
    score_extractor,
    score_letters,
    unscored_reason,
)
from medqbench_vlmeval.steps import counted, step
from medqbench_vlmeval.types import (
    Answer,
    Judged,
    JudgeUsage,
    Prediction,
    PredictionStatus,
    Result,
    Run,
    Sample,
    SampleRow,
    SampleSet,
    TaskResult,
    Verdict,
)

KitReader = Callable[[Sequence[Sample], Sequence[Prediction]], Mapping[str, Sequence[str | None]]]
"""Gives the letters that readers of the kit's find in replies, by the readers' names."""


@dataclass(frozen=True)
class Request:
    """What is to be scored and where results go.

    Without a ``sample_set`` a prediction file is scored from its own columns. ``only`` limits a run to these indexes,
    ``limit`` to a stratified subset of so many samples (see ``data.stratified``). ``judge`` holds the kit's judge
    keywords (``model``, ``api_base``, ``key``, ``nproc``, ``retry``, ``timeout`` and what ``--judge-args`` adds).
    ``leaderboard`` is the board's folder, ``cache`` the one that keeps paid verdicts. ``kit_client`` makes what asks a
    model of the kit's. ``stem`` names the result files (default: the prediction file's own). ``prices`` is the user's
    price table (see ``judge.prices``). ``extractor`` names a model that reads multiple-choice replies which the rules
    leave open, asked as ``judge`` says; ``kit_reader`` reads all of them as the kit does, beside the rules.
    ``columns`` are those of the prediction file that the user names.
    """

    prediction_file: Path
    model: str
    dataset: str
    out: Path
    sample_set: SampleSet | None = None
    only: Set[str] | None = None
    limit: int | None = None
    judge: Mapping[str, object] = field(default_factory=dict)
    leaderboard: Path | None = None
    cache: Path | None = None
    kit_client: KitClient | None = None
    stem: str | None = None
    on_progress: OnProgress | None = None
    prices: Path | None = None
    extractor: str | None = None
    kit_reader: KitReader | None = None
    columns: Named = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise BadInput where a key stands in the place of a name."""
        refuse_key(self.model, "The model's name")


def request_for(
    predictions: Path,
    out: Path,
    data: str | None = None,
    model: str | None = None,
    judge: Mapping[str, object] | None = None,
    keep_images: bool = False,
    columns: Named | None = None,
    **fields: Any,
) -> Request:
    """A request for a prediction file that comes without a run: names and data are found. ``keep_images`` stores the
    data's images that can be used, for reports. ``columns`` are named for the data; 'prediction', and all where there
    is no data, for the prediction file. Raises BadInput where ``data`` is neither a file nor a dataset's name."""
    of_replies = {k: name for k, name in (columns or {}).items() if data is None or k == "prediction"}
    of_data = {k: name for k, name in (columns or {}).items() if k not in of_replies} or None
    in_file = name_in_file(predictions.stem)
    if data in registered_sets() and in_file and in_file.startswith(f"{data}_"):
        data = in_file  # a set's name alone means all of its tasks
    sample_set = load(data, keep_images and KeptImages(), of_data) if data is not None else None
    names = name_results(predictions, model, sample_set)
    fields |= {"judge": judge or {}, "cache": default_folder(), "stem": names.stem}
    return Request(predictions, names.model, names.dataset, out, sample_set, columns=of_replies, **fields)


@dataclass(frozen=True)
class Prepared:
    """A prediction file joined to its samples, chosen out of ``n_offered``; the two sequences are parallel."""

    task: Task
    samples: Sequence[Sample]
    predictions: Sequence[Prediction]
    table: PredictionTable
    provenance: Origin
    n_offered: int


def prepare(request: Request) -> Prepared:
    """Read the prediction file of a request and join it to the samples. Raises BadInput where the prediction file, the
    data or the limit cannot be used, the file contradicts the data or is of a second pass (see :mod:`.robustness`),
    nothing is left to score, or an extractor is named for reasoning replies."""
    table = read_predictions(request.prediction_file, request.columns)
    if is_second_pass(table):
        raise BadInput(
            f"{request.prediction_file} is of a second pass, with options permuted or images swapped, and is no result "
            "of the benchmark; 'medqbench robustness FIRST SECOND --out DIR' compares it with the first pass."
        )
    columns: Mapping[Task, ColumnUse] = {}
    if request.sample_set is not None:
        task, samples = request.sample_set.task, list(request.sample_set.samples)
        table = placed(samples, table)
        check_content(samples, table)
    else:
        task, samples, columns = samples_from_table(table)
    n_offered = len(samples)
    # The file may hold predictions of samples that are not wanted this time.
    joined = list(zip(samples, join(samples, table), strict=True))
    if request.only is not None:
        joined = [pair for pair in joined if pair[0].index in request.only]
    if request.limit is not None:
        chosen = stratified([sample for sample, _ in joined], request.limit)
        joined = [pair for pair in joined if pair[0].index in chosen]
    if not joined:
        raise BadInput(f"{request.prediction_file} leaves nothing to score for {request.dataset}.")
    samples, predictions = [sample for sample, _ in joined], [prediction for _, prediction in joined]
    provenance = Origin.of(request.sample_set, table, samples, columns)
    if request.extractor is not None and not task.is_choice:
        raise BadInput(
            f"{request.prediction_file} is no multiple-choice file: --extractor reads option letters. Leave it out; "
            "reasoning replies are judged with --judge."
        )
    return Prepared(task, samples, predictions, table, provenance, n_offered)


# Replies in which nobody could read an answer, as the rules name them; and why there is no reply to read.
_NO_TEXT = frozenset({"empty", "no reply"})
_NOT_READ = {PredictionStatus.INFERENCE_FAILED: INFERENCE_FAILED, PredictionStatus.MISSING: PREDICTION_MISSING}


def read_by_rules(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Answer]:
    """What the rules read in each prediction; the two sequences are parallel."""
    pairs = zip(samples, predictions, strict=True)
    return [
        extract(prediction.text, sample.options)
        if (reason := _NOT_READ.get(prediction.status)) is None
        # The kit's failure message is no reply: nothing in it may be read as an answer.
        else Answer(None, reason)
        for sample, prediction in counted("reading answers", pairs, len(samples))
    ]


def open_replies(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Answer]
) -> list[tuple[Sample, str]]:
    """The replies that hold text and in which the rules found no letter, with their samples. The three sequences are
    parallel."""
    return [
        (sample, prediction.text)
        for sample, prediction, extraction in zip(samples, predictions, extractions, strict=True)
        if extraction.letter is None and prediction.status not in _NOT_READ and extraction.rule not in _NO_TEXT
    ]


def _store(request: Request, options: JudgeOptions) -> AbstractContextManager[ReplyCache | None]:
    """The cache of replies where one is wanted: the rules' verdicts cost nothing."""
    return nullcontext() if request.cache is None or options.name == RULES else ReplyCache(request.cache)


def evaluate(request: Request) -> Run:
    """Score a prediction file, which is only read, and write its result files. Raises BadInput where the prediction
    file, the data or an option cannot be used; JudgeError where no judge was named, or it cannot be asked; RunFailed
    where no sample has a reply (nothing is written), a dimension got no verdict at all (the result files are written,
    the board is not touched), or a file cannot be written."""
    stem = request.stem if request.stem is not None else request.prediction_file.stem
    with written_progress(ProgressFile(progress_path(request.out, stem), request.model, request.dataset)):
        return _evaluated(request)


def _evaluated(request: Request) -> Run:
    paths = result_paths(request.prediction_file, request.out, request.stem)
    for path in vars(paths).values():
        if is_any_of(path, [request.prediction_file]):
            raise BadInput(
                f"The result file {path} would replace the prediction file itself; choose another --out folder or "
                "rename the prediction file."
            )
    prepared = prepare(request)
    refuse_silence(prepared.predictions, f"{request.model} on {request.dataset}")
    # Before the judge is paid for what could not be written.
    check_room(vars(paths).values(), MAKE_ROOM)
    if request.leaderboard is not None:
        check_room([request.leaderboard / "leaderboard.json"], MAKE_ROOM)
    parts, rows, judge, extractor = (_read if prepared.task.is_choice else _judged)(request, prepared)
    split = ALL_DATASET_NAMES[request.dataset].split if request.dataset in ALL_DATASET_NAMES else None
    parts = {task: with_comparable(part, _evidence(task, split, prepared, judge)) for task, part in parts.items()}
    result = Result(
        request.model,
        request.dataset,
        prepared.task,
        parts,
        settings_of(prepared.table, prepared.provenance, judge, prepared.task, extractor),
        request.model in BASELINES,
    )
    from medqbench_vlmeval.report.workbook import write_workbook

    comparable = result.comparable
    run = Run(result, tuple(replace(row, comparable=comparable) for row in rows), paths)
    step("writing the results")
    write_run(run, lambda path: write_workbook(path, run))
    _refuse_empty(run)
    if request.leaderboard is not None:
        from medqbench_vlmeval.report.leaderboard import board

        board.add(request.leaderboard, [result])
    return run


_Scored = tuple[dict[Task, TaskResult], list[SampleRow], Judge | None, JudgeSettings | None]


def _read(request: Request, prepared: Prepared) -> _Scored:
    """Read option letters by the rules, and have the extractor read what they leave open where one is named."""
    samples, predictions = prepared.samples, prepared.predictions
    extractions = read_by_rules(samples, predictions)
    step("working out intervals and findings")
    letters = request.kit_reader(samples, predictions) if request.kit_reader else {}
    by_kit = {name: score_letters(samples, read) for name, read in letters.items()}
    if request.extractor is None:
        part, rows = score_choices(samples, predictions, extractions, request.dataset)
        return {prepared.task: replace(part, kit_reading=by_kit)}, rows, None, None
    options = extractor_options(request.extractor, request.judge)
    prices = load_prices(request.prices)
    replies = open_replies(samples, predictions, extractions)
    with _store(request, options) as store:
        extractor = build_extractor(options, store, request.kit_client)
        choices = extractor.read(replies, judging(prices, request.on_progress))
    settings = extractor.describe()
    usage = usage_by(extractor.name, list(choices.values()), prices)
    result = score_extractor(samples, extractions, len(replies), choices, settings, usage)
    part, rows = score_choices(samples, predictions, extractions, request.dataset, choices)
    return {prepared.task: replace(part, extractor=result, kit_reading=by_kit)}, rows, None, settings


def adopted(request: Request, prepared: Prepared) -> AdoptedJudge | None:
    """The judge whose verdicts the file holds, where the request says nothing of another."""
    says_nothing = request.judge.keys() <= {"nproc", "retry", "timeout", "no_calls"}
    return adopted_judge(prepared.table) if says_nothing and not prepared.task.is_choice else None


def _judged(request: Request, prepared: Prepared) -> _Scored:
    prices = load_prices(request.prices)  # a table that cannot be used is said before anything is paid
    judge: Judge | None = adopted(request, prepared)
    if judge is not None:
        judged = judge.judge(prepared.samples, prepared.predictions)
    else:
        options = JudgeOptions.from_kit_kwargs(request.judge)
        with _store(request, options) as store:
            judge = build_judge(options, store, request.kit_client)
            judged = judge.judge(prepared.samples, prepared.predictions, judging(prices, request.on_progress))
    step("working out intervals and findings")
    usage = partial(usage_by_judge, judge, prices)
    return *score_judged(prepared.samples, prepared.predictions, judged, request.dataset, usage), judge, None


def score_choices(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Answer],
    dataset: str,
    choices: Mapping[str, Verdict] | None = None,
) -> tuple[TaskResult, list[SampleRow]]:
    """Score multiple-choice replies by what the rules read; ``choices`` by sample index are what an extractor read. The
    three sequences are parallel."""
    rows = [
        SampleRow(
            _as_in_file(sample),
            prediction,
            tuple(perception_error_kinds(sample, prediction, extraction)),
            _NOT_READ.get(prediction.status),
            extracted=extraction.letter,
            rule=extraction.rule,
            correct=is_right(sample, extraction.letter),
            choice=(choices or {}).get(sample.index),
            confidence=None if prediction.status in _NOT_READ else read_confidence(prediction.text),
        )
        for sample, prediction, extraction in zip(samples, predictions, extractions, strict=True)
    ]
    result = replace(
        score_questions(samples, predictions, extractions),
        **vars(perception_findings(samples, predictions, extractions, [row.confidence for row in rows])),
        dataset=dataset,
    )
    return result, rows


def score_judged(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    judged: Sequence[Judged],
    dataset: str,
    usage: Callable[[Sequence[Judged]], JudgeUsage] | None = None,
) -> tuple[dict[Task, TaskResult], list[SampleRow]]:
    """Score judged replies, task by task; the three sequences are parallel."""
    parts = {}
    triples = list(zip(samples, predictions, judged, strict=True))
    for task in Task.REASONING.parts:
        if of_task := [triple for triple in triples if triple[0].task is task]:
            columns = [row[0] for row in of_task], [row[1] for row in of_task], [row[2] for row in of_task]
            parts[task] = replace(
                score_reasoning(*columns),
                **vars(reasoning_findings(*columns)),
                dataset=dataset,
                usage=usage(columns[2]) if usage else None,
            )
    return parts, [_judged_row(*triple) for triple in triples]


def _as_in_file(sample: Sample) -> Sample:
    """The sample with the names of its images alone: where files lie on somebody's disk is nobody's business."""
    return replace(sample, images=(), image_refs=image_names(sample))


def _judged_row(sample: Sample, prediction: Prediction, judged: Judged) -> SampleRow:
    unscored = unscored_reason(judged)
    scores = [verdict.score for verdict in judged.verdicts.values() if verdict.score is not None]
    return SampleRow(
        _as_in_file(sample),
        prediction,
        tuple(reasoning_error_kinds(sample, prediction, judged)),
        unscored,
        verdicts=judged.verdicts,
        conclusion=read_conclusion(sample, prediction),
        score=math.fsum(scores) if unscored is None else None,
    )


def _evidence(task: Task, split: Split | None, prepared: Prepared, judge: Judge | None) -> Evidence:
    origin = prepared.provenance
    return Evidence(
        split,
        [sample for sample in prepared.samples if sample.task is task],
        len(prepared.samples),
        prepared.n_offered,
        origin.data[task.value],
        origin.styles[task],
        origin.files[task],
        None if judge is None else judge.describe(),
        read_model_use(prepared.table.path)[0],
    )


def refuse_silence(predictions: Sequence[Prediction], what: str) -> None:
    """Raise RunFailed where none of these predictions is a reply; ``what`` names them in the message."""
    if any(prediction.status is PredictionStatus.OK for prediction in predictions):
        return
    counts = {reason.rstrip("."): count for reason, count in list(failures_by_reason(predictions).items())[:3]}
    counts["missing"] = sum(prediction.status is PredictionStatus.MISSING for prediction in predictions)
    why = "; ".join(f"{count:,} x {reason}" for reason, count in counts.items() if count)
    raise RunFailed(
        f"None of the {len(predictions):,} samples of {what} has a reply ({why}), so that nothing is scored. Mend the "
        "cause and ask again ('medqbench run ... --resume-failed')."
    )


def _refuse_empty(run: Run) -> None:
    """A reasoning run in which a dimension has no verdict at all has failed, whatever files it wrote."""
    for task, part in run.result.parts.items():
        titles = () if task.is_choice else DIMENSION_TITLES.values()
        if empty := [title for title in titles if part.measures[title].value is None]:
            reason = next(iter(part.unscored_reasons), "no verdict")
            raise RunFailed(
                f"None of the {part.n} {task.value} samples of {run.result.model} could be scored on "
                f"{', '.join(empty)} ({reason}); what the judge said is kept in {run.paths.samples}."
            )
