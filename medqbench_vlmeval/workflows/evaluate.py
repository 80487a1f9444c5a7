"""The steps of an evaluation, in the order in which data flows through the rooms."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, BASELINES, DIMENSION_TITLES, REASONING_PREFIX, Task
from medqbench_vlmeval.data import stratified
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import write_json, write_jsonl
from medqbench_vlmeval.judge import RULES, Judge, JudgeOptions, KitAsker, OnProgress, build_extractor, build_judge
from medqbench_vlmeval.judge.judges import Extractor, extractor_options
from medqbench_vlmeval.judge.usage import Costs, load_prices
from medqbench_vlmeval.predictions import PredictionTable, join, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.files import is_second_pass
from medqbench_vlmeval.runs import provenance as comparability
from medqbench_vlmeval.runs import result as rows
from medqbench_vlmeval.runs.files import (
    keep_paid_verdicts,
    result_paths,
    score_parts,
    single_scores,
    unwritable,
)
from medqbench_vlmeval.runs.provenance import Provenance, settings_of
from medqbench_vlmeval.runs.result import not_read
from medqbench_vlmeval.scoring import score_perception, score_reasoning
from medqbench_vlmeval.scoring.findings import perception_findings, reasoning_findings
from medqbench_vlmeval.scoring.summary import score_extractor
from medqbench_vlmeval.types import (
    Answer,
    ColumnUse,
    Judged,
    Prediction,
    ResultPaths,
    Sample,
    SampleSet,
    Verdict,
)

# What is asked of an evaluation, and what every command that works on a prediction file begins with.


@dataclass(frozen=True)
class Request:
    """What is to be scored and where results go.

    ``sample_set`` is None for a prediction file that is to be scored from its own columns. ``only`` limits a
    run to these indexes (None: all), ``limit`` to a stratified subset of so many samples, the same for every model
    (see ``data.stratified``). ``judge`` holds the kit's judge keywords (``model``, ``api_base``,
    ``key``, ``nproc``, ``retry``, ``timeout`` and what ``--judge-args`` adds). ``leaderboard`` is the board's
    folder, None for no board; ``cache`` the folder that keeps paid verdicts across runs, None for none. ``kit_asker``
    makes what asks a model of the kit's. ``stem`` names the result files (default: the prediction file's own stem).
    ``prices`` is the user's price table, None for the usual places (see ``judge.prices``). ``extractor`` names a model
    that reads multiple-choice replies which the rules leave open, None for none; ``judge`` says how it is asked.
    """

    prediction_file: Path
    model: str
    dataset: str
    out: Path
    sample_set: SampleSet | None = None
    only: Set[str] | None = None
    limit: int | None = None
    prompt_style: str | None = None
    judge: Mapping[str, Any] = field(default_factory=dict)
    leaderboard: Path | None = None
    cache: Path | None = None
    kit_asker: KitAsker | None = None
    stem: str | None = None
    on_progress: OnProgress | None = None
    prices: Path | None = None
    extractor: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A prediction file joined to its samples; the two sequences are parallel.

    ``reasons`` says what already keeps the result from being compared with the published rows.
    """

    task: Task
    samples: Sequence[Sample]
    predictions: Sequence[Prediction]
    table: PredictionTable
    provenance: Provenance
    reasons: Sequence[str]


def prepare(request: Request) -> Prepared:
    """Read the prediction file of a request and join it to the samples.

    Raises:
        BadInput: the prediction file, the data or the limit cannot be used, or nothing is left to score. A second pass
            (see ``evaluation.robustness``) is refused: its letters and images are not those of the benchmark.
    """
    table = read_predictions(request.prediction_file)
    if is_second_pass(table):
        raise BadInput(
            f"{request.prediction_file} is of a second pass, with options permuted or images swapped, and is no result "
            "of the benchmark; 'medqbench robustness FIRST SECOND --out DIR' compares it with the first pass."
        )
    columns: Mapping[Task, ColumnUse] = {}
    if request.sample_set is not None:
        task, samples = request.sample_set.task, list(request.sample_set.samples)
    else:
        task, samples, columns = samples_from_table(table)
    n_all = len(samples)
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
    provenance = Provenance.of(request.sample_set, table, samples, columns, request.prompt_style)
    reasons = provenance.reasons()
    if len(samples) < n_all:
        reasons.append(f"only {len(samples)} of {n_all} samples were run")
    return Prepared(task, samples, predictions, table, provenance, reasons)


@contextmanager
def judge_of(request: Request) -> Iterator[Judge]:
    """The judge that a request names, with the cache open where the judge costs something.

    Raises:
        BadInput: an option cannot be used.
        JudgeError: no judge was named, or it has no key.
    """
    options = JudgeOptions.from_kit_kwargs(request.judge)
    if request.cache is None or options.name == RULES:
        yield build_judge(options, None, request.kit_asker)
        return
    from medqbench_vlmeval.judge.cache import VerdictStore

    with VerdictStore(request.cache) as store:
        yield build_judge(options, store, request.kit_asker)


# Reading multiple-choice replies: by the rules, and what these leave open by an extractor where one is named.


# What these rules found is no text that anybody could read an answer in.
_NO_TEXT = frozenset({"empty", "no reply"})


@dataclass(frozen=True)
class SecondStage:
    """What an extractor did: ``block`` is the object 'extractor' of a result, ``choices`` are by sample index."""

    block: Mapping[str, Any]
    settings: Mapping[str, Any]
    choices: Mapping[str, Verdict]


def refuse_extractor(request: Request, task: Task) -> None:
    """Say that an extractor has nothing to do where replies are judged.

    Raises:
        BadInput: a reasoning task, and an extractor is named.
    """
    if request.extractor is not None and task.is_reasoning:
        raise BadInput(
            f"{request.prediction_file} is no multiple-choice file: --extractor reads option letters. Leave it out; "
            "reasoning replies are judged with --judge."
        )


def check_extractor(request: Request, task: Task) -> None:
    """Say what is wrong with the extractor of a request before anything is read or paid.

    Raises:
        BadInput: see :func:`refuse_extractor`, or an option or the price table cannot be used.
        JudgeError: it has no key.
    """
    refuse_extractor(request, task)
    if request.extractor is not None:
        load_prices(request.prices)
        build_extractor(extractor_options(request.extractor, request.judge), None, request.kit_asker)


def read_by_rules(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> list[Answer]:
    """What the rules read in each prediction; the two sequences are parallel."""
    return [
        extract(prediction.text, sample.options)
        if (reason := not_read(prediction)) is None
        # The kit's failure message is no reply: nothing in it may be read as an answer.
        else Answer(None, reason)
        for sample, prediction in zip(samples, predictions, strict=True)
    ]


def open_replies(
    samples: Sequence[Sample], predictions: Sequence[Prediction], extractions: Sequence[Answer]
) -> list[tuple[Sample, str]]:
    """The replies that hold text and in which the rules found no letter, with their samples.

    Failed and missing predictions are none. The three sequences are parallel.
    """
    return [
        (sample, prediction.text)
        for sample, prediction, extraction in zip(samples, predictions, extractions, strict=True)
        if extraction.letter is None and not_read(prediction) is None and extraction.rule not in _NO_TEXT
    ]


@contextmanager
def extractor_of(request: Request) -> Iterator[Extractor | None]:
    """The extractor that a request names, with the cache open; None where it names none.

    Raises:
        BadInput: an option cannot be used.
        JudgeError: it has no key.
    """
    if request.extractor is None:
        yield None
        return
    from medqbench_vlmeval.judge.cache import VerdictStore

    options = extractor_options(request.extractor, request.judge)
    if request.cache is None:
        yield build_extractor(options, None, request.kit_asker)
        return
    with VerdictStore(request.cache) as store:
        yield build_extractor(options, store, request.kit_asker)


def second_stage(
    request: Request,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Answer],
) -> SecondStage | None:
    """Have the extractor of a request read what the rules left open; None where the request names none.

    The three sequences are parallel.

    Raises:
        BadInput: an option or the price table cannot be used.
        JudgeError: the extractor cannot be asked; what it said until then is in the cache.
    """
    with extractor_of(request) as extractor:
        if extractor is None:
            return None
        prices = load_prices(request.prices)
        asked = open_replies(samples, predictions, extractions)
        choices = extractor.read(asked, request.on_progress)
        settings = extractor.describe()
    block = {
        **{name: settings[name] for name in ("name", "served_as", "protocol")},
        **score_extractor(samples, extractions, len(asked), choices),
        "usage": Costs((extractor.name,), prices).of_calls(list(choices.values())),
    }
    return SecondStage(block, settings, choices)


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
        from medqbench_vlmeval.report.leaderboard import board as leaderboard

        leaderboard.update(request.leaderboard, score)
    return Evaluation(score, sample_rows, paths)


def _perception(
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    extractions: Sequence[Answer],
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
    judged: Sequence[Judged],
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
