"""The two passes of a model over one dataset, compared: the official order, and options permuted or images swapped.

Everything is worked out from the two prediction files, which are only read. No judge is asked: comparisons are read for
the image that they say is better. Nothing here is a result of the benchmark: the files have names and keys of their
own, so that no board and no other command takes them for one.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.data import moved
from medqbench_vlmeval.data.imagerefs import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.naming import CUSTOM, name_results
from medqbench_vlmeval.evaluation.outputs import unwritable
from medqbench_vlmeval.evaluation.passes import LEFT_OUT, Twice, check_passes, join_passes, values_of
from medqbench_vlmeval.evaluation.settings import EXTRACTION
from medqbench_vlmeval.files import write_json, write_jsonl
from medqbench_vlmeval.installed import package_version
from medqbench_vlmeval.judge.conclusion import conclusion_of
from medqbench_vlmeval.predictions import PredictionTable, read_predictions, samples_from_table
from medqbench_vlmeval.records import Prediction, PredictionStatus, Sample, SampleSet
from medqbench_vlmeval.scoring.robustness import score_choices, score_preferences
from medqbench_vlmeval.scoring.twice_asked import ChoicePair, PreferencePair, turned
from medqbench_vlmeval.tasks import BASELINES, Task

ENDING = "_consistency"
NOT_COMPARABLE = "a comparison of two passes is no result of the benchmark"
CONCLUSIONS = "the images that the answers say are better, read from their texts; no judge was asked"


@dataclass(frozen=True)
class PassesRequest:
    """Which prediction files are to be compared, and where results go.

    ``sample_set`` is the official dataset, None to take it from the first file's own columns; ``only`` limits the
    comparison to these indexes. ``stem`` names the result files (default: the second file's own stem).
    """

    first: Path
    second: Path
    model: str
    dataset: str
    out: Path
    sample_set: SampleSet | None = None
    only: Set[str] | None = None
    stem: str | None = None


@dataclass(frozen=True)
class RobustnessPaths:
    """The three files of a comparison: numbers, one line a pair, and both as a workbook."""

    numbers: Path
    pairs: Path
    report: Path


@dataclass(frozen=True)
class Robustness:
    """A finished comparison: the content of ``_consistency.json``, its pairs and where all was written."""

    result: dict[str, Any]
    rows: Sequence[dict[str, Any]]
    paths: RobustnessPaths


def robustness_paths(second: Path, out: Path | None = None, stem: str | None = None) -> RobustnessPaths:
    """The result files of a second pass's prediction file, beside it and under its own stem unless said otherwise."""
    folder, name = out if out is not None else second.parent, stem if stem is not None else second.stem
    return RobustnessPaths(*(folder / f"{name}{ENDING}{suffix}" for suffix in (".json", ".jsonl", ".xlsx")))


def compare_passes(request: PassesRequest) -> Robustness:
    """Join the two prediction files, measure consistency and debiased accuracy, and write the result files.

    Raises:
        BadInput: a file cannot be used, is not of the pass that it stands for, or they have no sample in common.
        RunFailed: a file cannot be written.
    """
    paths = robustness_paths(request.second, request.out, request.stem)
    for path in vars(paths).values():
        for source in (request.first, request.second):
            if path.exists() and source.exists() and path.samefile(source):
                raise BadInput(f"The result file {path} would replace a prediction file; choose another --out folder.")
    first, second = read_predictions(request.first), read_predictions(request.second)
    check_passes(first, second)
    task, samples = _samples(request.sample_set, first)
    wanted = {sample.index for sample in samples} if request.only is None else request.only
    found, left_out = join_passes(samples, first, second, wanted)
    if not found:
        raise BadInput(
            f"{request.first} and {request.second} have no sample in common that was asked in both passes; were they "
            "made on the same dataset?"
        )
    scored, rows = _scored(found)
    result = {
        "robustness_of": found[0].sample.task.value,
        "dataset": request.dataset,
        "model": request.model,
        "comparable": False,
        "not_comparable_because": [NOT_COMPARABLE],
        "baseline": request.model in BASELINES,
        **scored,
        "left_out": left_out,
        "notes": _notes(request, task, samples, found, left_out, (first, second)),
        "settings": _settings(found[0].sample.task, samples, found, (first, second)),
    }
    _write(result, rows, paths)
    return Robustness(result, rows, paths)


def _samples(sample_set: SampleSet | None, first: PredictionTable) -> tuple[Task, list[Sample]]:
    if sample_set is None:
        return samples_from_table(first)[:2]
    return sample_set.task, list(sample_set.samples)


def _scored(found: Sequence[Twice]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if found[0].sample.task is Task.PERCEPTION:
        choices = [_choice(one) for one in found]
        return score_choices(choices), [_choice_row(*one) for one in zip(found, choices, strict=True)]
    preferences = [_preference(one) for one in found]
    rows = [_preference_row(*one) for one in zip(found, preferences, strict=True)]
    return {"read_from": CONCLUSIONS, **score_preferences(preferences)}, rows


def _replied(prediction: Prediction) -> bool:
    return prediction.status is PredictionStatus.OK


def _choice(one: Twice) -> ChoicePair:
    options = one.sample.options
    first, second = (
        extract(prediction.text, shown).letter if _replied(prediction) else None
        for prediction, shown in ((one.first, options), (one.second, moved(options, one.permutation)))
    )
    return ChoicePair(one.sample, one.permutation, first, second)


def _preference(one: Twice) -> PreferencePair:
    first, second = (
        conclusion_of(Task.COMPARATIVE, prediction.text) if _replied(prediction) else None
        for prediction in (one.first, one.second)
    )
    reference = conclusion_of(Task.COMPARATIVE, one.sample.description or "")
    return PreferencePair(one.sample, first, second, reference, _replied(one.first) and _replied(one.second))


def _common_row(one: Twice) -> dict[str, Any]:
    sample = one.sample
    return {
        "index": sample.index,
        "modality": sample.modality,
        "question_type": sample.question_type,
        "severity": sample.severity,
        "difficulty": sample.difficulty,
        "images": list(image_names(sample)),
        "question": sample.question,
        "first_prediction": one.first.text,
        "second_prediction": one.second.text,
    }


def _choice_row(one: Twice, pair: ChoicePair) -> dict[str, Any]:
    options, back = one.sample.options, pair.second_in_first
    return {
        **_common_row(one),
        "options": dict(options),
        "permutation": one.permutation,
        "right": options.get(one.sample.answer or ""),
        "first": pair.first,
        "second": pair.second,
        "first_text": options[pair.first] if pair.first else None,
        "second_text": options[back] if back else None,
        "first_right": pair.right[0],
        "second_right": pair.right[1],
        "consistent": pair.consistent,
    }


def _preference_row(one: Twice, pair: PreferencePair) -> dict[str, Any]:
    return {
        **_common_row(one),
        "permutation": one.permutation,
        "right": pair.reference,
        "first": pair.first,
        "second": pair.second,
        "second_in_first_order": turned(pair.second),
        "kind": pair.kind,
        "quality_accuracy": None if pair.scores is None else list(pair.scores),
    }


def _notes(
    request: PassesRequest,
    task: Task,
    samples: Sequence[Sample],
    found: Sequence[Twice],
    left_out: dict[str, int],
    tables: tuple[PredictionTable, PredictionTable],
) -> list[str]:
    """What a reader of the numbers must know, one sentence each."""
    notes = []
    names = [name_results(table.path, None, None) for table in tables]
    if CUSTOM not in (names[0].dataset, names[1].dataset) and names[0].model != names[1].model:
        notes.append(f"the files' names are of different models: {names[0].model} and {names[1].model}")
    if found[0].sample.task is Task.COMPARATIVE:
        notes.append(f"the numbers are of {CONCLUSIONS}")
    if task is Task.REASONING:
        notes.append("only the comparative part has a second pass: a no-reference sample has no order to change")
    for name, words in LEFT_OUT.items():
        if left_out[name]:
            notes.append(f"{left_out[name]} samples {words}; they are left out")
    known = {one.sample.index for one in found}
    for column, words in (("prompt_style", "prompt styles"), ("data_sha256", "versions of the data file")):
        one, other = (values_of(samples, table, column, known) for table in tables)
        if one and other and one != other:
            notes.append(f"the passes were made with different {words}: {', '.join(one)} and {', '.join(other)}")
    own = set() if request.sample_set is None else {source.sha256 for source in request.sample_set.sources.values()}
    if own and not set(values_of(samples, tables[0], "data_sha256", known)) <= own:
        notes.append("the predictions were made on another version of the data file than the one that was read")
    return notes


def _settings(
    task: Task,
    samples: Sequence[Sample],
    found: Sequence[Twice],
    tables: tuple[PredictionTable, PredictionTable],
) -> dict[str, Any]:
    known = {one.sample.index for one in found}
    return {
        **{
            name: {
                "name": table.path.name,
                "sha256": table.sha256,
                "prompt_style": values_of(samples, table, "prompt_style", known),
                "data_sha256": values_of(samples, table, "data_sha256", known),
            }
            for name, table in zip(("first_pass", "second_pass"), tables, strict=True)
        },
        "protocol": EXTRACTION if task is Task.PERCEPTION else {"name": "stated-conclusions"},
        "versions": {"medqbench_vlmeval": package_version(), "python": platform.python_version()},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _write(result: dict[str, Any], rows: Sequence[dict[str, Any]], paths: RobustnessPaths) -> None:
    from medqbench_vlmeval.report.sheet_robustness import write_robustness

    try:
        write_jsonl(paths.pairs, rows)
        write_robustness(paths.report, result, rows)
        write_json(paths.numbers, result)
    except OSError as error:
        raise unwritable(paths.numbers.parent, error) from error
