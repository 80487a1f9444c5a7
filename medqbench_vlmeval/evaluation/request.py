"""What is asked of an evaluation, and what every command that works on a prediction file begins with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medqbench_vlmeval.data import stratified
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.settings import Provenance
from medqbench_vlmeval.judge import RULES, Judge, JudgeOptions, KitAsker, OnProgress, build_judge
from medqbench_vlmeval.predictions import PredictionTable, join, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.second_pass import is_second_pass
from medqbench_vlmeval.records import ColumnUse, Prediction, Sample, SampleSet
from medqbench_vlmeval.tasks import Task


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
    from medqbench_vlmeval.judge.store import VerdictStore

    with VerdictStore(request.cache) as store:
        yield build_judge(options, store, request.kit_asker)
