"""The two passes of a model over one dataset, compared: the official order, and options permuted or images swapped.
Both prediction files are only read, and no judge is asked: comparisons are read for the image that they say is better.
The result files have names and keys of their own, so that no board takes them for results of the benchmark."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval import __version__
from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.answers.conclusion import conclusion_of
from medqbench_vlmeval.benchmark import BASELINES, OPTION_LETTERS, Comparable, Task
from medqbench_vlmeval.data.columns import find_columns
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.data.info import canonical_index
from medqbench_vlmeval.data.second_pass import PERMUTATION_COLUMN, moved, permutation_of, read_permutation
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import is_any_of, read_json, write_json, write_jsonl, writing
from medqbench_vlmeval.predictions import PredictionTable, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.files import is_second_pass
from medqbench_vlmeval.predictions.join import check_content, rows_of
from medqbench_vlmeval.runs.files import MAKE_ROOM
from medqbench_vlmeval.runs.provenance import CUSTOM, EXTRACTION, name_results
from medqbench_vlmeval.runs.result import adapter_of
from medqbench_vlmeval.scoring.robustness import (
    FIRST,
    INTERVAL_METHOD,
    SECOND,
    ChoicePair,
    PassComparison,
    PassGroup,
    PlaceUse,
    PreferencePair,
    score_choices,
    score_preferences,
    turned,
)
from medqbench_vlmeval.types import LEVEL, Cell, PredictionStatus, ResultPaths, Sample, SampleSet
from medqbench_vlmeval.workflows.evaluate import refuse_silence

ENDING = "_consistency"
NOT_COMPARABLE = "a comparison of two passes is no result of the benchmark"
CONCLUSIONS = "the images that the answers say are better, read from their texts; no judge was asked"
# Why a sample is left out, and the words for it.
LEFT_OUT: Mapping[str, str] = {
    "first_pass_alone": "of the first pass are not in the second",
    "second_pass_alone": "of the second pass are not in the first",
    "order_fixed": "name options by their place ('both A and C') and were asked once",
    "other_content": "showed other options in the second pass than the data have",
}

_PASSES = (FIRST, SECOND, "debiased", "difference")
_AXES = ("modality", "question_type", "severity", "difficulty")


@dataclass(frozen=True)
class ComparedPasses:
    """A comparison, the content of its ``_consistency.json``, and where all was written."""

    comparison: PassComparison
    result: dict[str, Any]
    paths: ResultPaths


@dataclass(frozen=True)
class _Passes:
    """Each file's ``rows`` of the samples compared; ``left_out`` counts the others for each of ``LEFT_OUT``."""

    tables: tuple[PredictionTable, PredictionTable]
    rows: tuple[list[Mapping[str, str]], list[Mapping[str, str]]] = field(default_factory=lambda: ([], []))
    choices: list[ChoicePair] = field(default_factory=list)
    preferences: list[PreferencePair] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEFT_OUT, 0))

    def values(self, column: str) -> list[list[str]]:
        """What a provenance column says in each file."""
        return [sorted({row.get(column, "") for row in rows} - {""}) for rows in self.rows]

    @property
    def task(self) -> Task:
        """The task that was compared: of both reasoning tasks the comparative one alone is asked twice."""
        return Task.PERCEPTION if self.choices else Task.COMPARATIVE


def robustness_paths(second: Path, out: Path | None = None, stem: str | None = None) -> ResultPaths:
    """The numbers, pairs and workbook of a second pass, by default beside its prediction file and under its stem."""
    folder, name = out if out is not None else second.parent, stem if stem is not None else second.stem
    return ResultPaths(*(folder / f"{name}{ENDING}{suffix}" for suffix in (".json", ".jsonl", ".xlsx")))


def compare_passes(
    files: tuple[Path, Path],
    model: str,
    dataset: str,
    out: Path,
    sample_set: SampleSet | None = None,
    only: Set[str] | None = None,
    stem: str | None = None,
) -> ComparedPasses:
    """Join the first and the second pass's prediction files, measure consistency and debiased accuracy, and write the
    result files. ``sample_set`` is the official dataset, by default the first file's own columns; ``only`` limits the
    comparison to these indexes. BadInput where a file cannot be used, is not of its pass, or they have no sample in
    common; RunFailed where no sample of a pass has a reply, or a file cannot be written."""
    paths = robustness_paths(files[1], out, stem)
    for path in vars(paths).values():
        if is_any_of(path, files):
            raise BadInput(f"The result file {path} would replace a prediction file; choose another --out folder.")
    first, second = map(read_predictions, files)
    _check_passes(first, second)
    if sample_set is None:
        task, samples, _ = samples_from_table(first)
    else:
        task, samples = sample_set.task, list(sample_set.samples)
        check_content(samples, first)
    for table in (first, second):
        refuse_silence(table.predictions, table.path.name)
    passes = _joined(samples, first, second, only)
    if not passes.choices and not passes.preferences:
        raise BadInput(
            f"{files[0]} and {files[1]} have no sample in common that was asked in both passes; were they made on the "
            "same dataset?"
        )
    notes = _notes(passes, task, sample_set)
    scores = score_choices(passes.choices) if passes.choices else score_preferences(passes.preferences)
    comparison = replace(scores, model=model, dataset=dataset, notes=[NOT_COMPARABLE, *notes])
    result = {
        "robustness_of": passes.task.value,
        "dataset": dataset,
        "model": model,
        "comparable": Comparable.NO.value,
        "not_comparable_because": [NOT_COMPARABLE],
        "baseline": model in BASELINES,
        **_scores_json(comparison),
        "left_out": passes.left_out,
        "notes": notes,
        "settings": _settings_json(passes),
    }
    from medqbench_vlmeval.report.robustness_tables import write_robustness

    with writing(paths.score.parent, MAKE_ROOM):
        write_jsonl(paths.samples, (_pair_json(pair) for pair in passes.choices or passes.preferences))
        write_robustness(paths.report, comparison)
        write_json(paths.score, result)
    return ComparedPasses(comparison, result, paths)


def _check_passes(first: PredictionTable, second: PredictionTable) -> None:
    """See that each file is of the pass that it stands for."""
    if is_second_pass(first):
        swapped = " The two files seem to be in the wrong order." if not is_second_pass(second) else ""
        raise BadInput(f"{first.path} is of a second pass, and the official first one was expected.{swapped}")
    if PERMUTATION_COLUMN not in second.columns:
        raise BadInput(
            f"{second.path} is not of a second pass: it has no column '{PERMUTATION_COLUMN}' that says what each row "
            "showed. 'medqbench run --robustness' makes such files."
        )
    for number, row in enumerate(second.rows, 1):
        if read_permutation(row[PERMUTATION_COLUMN]) is None:
            raise BadInput(
                f"{second.path}, row {number}: the column '{PERMUTATION_COLUMN}' does not say what was shown "
                f"('{row[PERMUTATION_COLUMN][:40]}'; 'A:B B:A' is meant: A shows what was B). Take the file as the run "
                "wrote it."
            )


def _joined(
    samples: Sequence[Sample], first: PredictionTable, second: PredictionTable, only: Set[str] | None
) -> _Passes:
    """Pair the rows of the samples that were asked in both passes."""
    passes = _Passes((first, second))
    names = find_columns(second.columns, OPTION_LETTERS).names
    second_rows, first_rows = rows_of(samples, second), rows_of(samples, first)
    for sample in samples:
        at, at_second = first_rows.get(sample.index), second_rows.get(sample.index)
        if sample.task is Task.NO_REFERENCE or (only is not None and sample.index not in only):
            continue
        if at is None or at_second is None:
            if at is not None:
                passes.left_out["first_pass_alone" if permutation_of(sample) else "order_fixed"] += 1
            elif at_second is not None:
                passes.left_out["second_pass_alone"] += 1
            continue
        row = second.rows[at_second]
        permutation = read_permutation(row[PERMUTATION_COLUMN]) or {}
        if not _shows(row, sample, permutation, names):
            passes.left_out["other_content"] += 1
            continue
        passes.rows[0].append(first.rows[at])
        passes.rows[1].append(row)
        predictions = first.predictions[at], second.predictions[at_second]
        replies = predictions[0].text, predictions[1].text
        texts = [prediction.text if prediction.status is PredictionStatus.OK else None for prediction in predictions]
        if sample.task.is_choice:
            shown = zip(texts, (sample.options, moved(sample.options, permutation)), strict=True)
            letters = [None if text is None else extract(text, options).letter for text, options in shown]
            passes.choices.append(ChoicePair(sample, permutation, letters[0], letters[1], replies))
        else:
            stated = [None if text is None else conclusion_of(Task.COMPARATIVE, text) for text in texts]
            reference = conclusion_of(Task.COMPARATIVE, sample.description or "")
            pair = PreferencePair(sample, stated[0], stated[1], reference, None not in texts, replies)
            passes.preferences.append(pair)
    return passes


def _shows(row: Mapping[str, str], sample: Sample, permutation: Mapping[str, str], names: Mapping[str, str]) -> bool:
    """Whether a row of the second pass shows this sample's own content; ``names`` are the options' columns."""
    if sample.task is Task.COMPARATIVE:
        return set(permutation) == {"1", "2"}
    if set(permutation) != set(sample.options):
        return False
    expected = moved(sample.options, permutation)
    texts = {letter: text for letter, name in names.items() if (text := row[name].strip())}
    # A spreadsheet makes 3.0 of an option '3'.
    return all(canonical_index(text) == canonical_index(expected.get(letter, "")) for letter, text in texts.items())


def _notes(passes: _Passes, task: Task, sample_set: SampleSet | None) -> list[str]:
    """What a reader of the numbers must know, one sentence each; ``task`` is the whole file's."""
    notes = []
    first, second = (name_results(table.path, None, None) for table in passes.tables)
    if CUSTOM not in (first.dataset, second.dataset) and first.model != second.model:
        notes.append(f"the files' names are of different models: {first.model} and {second.model}")
    if passes.task is Task.COMPARATIVE:
        notes.append(f"the numbers are of {CONCLUSIONS}")
    if task is Task.REASONING:
        notes.append("only the comparative part has a second pass: a no-reference sample has no order to change")
    for name, words in LEFT_OUT.items():
        if passes.left_out[name]:
            notes.append(f"{passes.left_out[name]} samples {words}; they are left out")
    for column, words in (("prompt_style", "prompt styles"), ("data_sha256", "versions of the data file")):
        values, others = passes.values(column)
        if values and others and values != others:
            notes.append(f"the passes were made with different {words}: {', '.join(values)} and {', '.join(others)}")
    sources = {source.sha256 for source in sample_set.sources.values()} if sample_set is not None else set()
    if sources and not set(passes.values("data_sha256")[0]) <= sources:
        notes.append("the predictions were made on another version of the data file than the one that was read")
    return notes


# ``_consistency.json`` and the lines of ``_consistency.jsonl``.


def _settings_json(passes: _Passes) -> dict[str, Any]:
    styles, data = passes.values("prompt_style"), passes.values("data_sha256")
    files = {
        name: {"name": table.path.name, "sha256": table.sha256, "prompt_style": styles[at], "data_sha256": data[at]}
        for at, (name, table) in enumerate(zip(("first_pass", "second_pass"), passes.tables, strict=True))
    }
    stated = {"name": "stated-conclusions"}
    return {
        **files,
        "protocol": {"name": EXTRACTION.name, "version": EXTRACTION.version} if passes.choices else stated,
        "versions": {"medqbench_vlmeval": __version__, "python": platform.python_version()},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _scores_json(scores: PassComparison) -> dict[str, Any]:
    questions = scores.task.is_choice
    counts = ("consistency_of_chance",) if questions else ("n_reference_unread", "n_inference_failed")
    return {
        **({} if questions else {"read_from": CONCLUSIONS}),
        **_group_json(scores.whole),
        "intervals": {"level": LEVEL, "method": INTERVAL_METHOD, "clusters": scores.clusters},
        "groups": {
            axis: {name: _group_json(group) for name, group in groups.items()} for axis, groups in scores.groups.items()
        },
        "letters" if questions else "places": {name: _place_json(use) for name, use in scores.places.items()},
        **{name: getattr(scores, name) for name in counts},
    }


def _group_json(group: PassGroup) -> dict[str, Any]:
    units = dict.fromkeys(_PASSES, "mean" if group.preferences else "percent") | {"difference": "points"}
    numbers = {name: value for name, value in vars(group).items() if value is not None and value != {}}
    content = {name: _json(value, units.get(name, "percent")) for name, value in numbers.items()}
    if not group.preferences:
        return content
    of_passes = {name: content.pop(name) for name in _PASSES}
    return {**{name: content.pop(name) for name in ("n", "preferences")}, "quality_accuracy": of_passes, **content}


def _place_json(use: PlaceUse) -> dict[str, Any]:
    chosen = {FIRST: _json(use.first), SECOND: _json(use.second)}
    if use.n_offered is None:
        return {**chosen, **({"right_where_better": _json(use.right)} if use.right else {})}
    return {
        "n_offered": use.n_offered,
        "chosen": chosen,
        "n_right_option": dict(use.n_right),
        "accuracy_where_right": _json(use.right),
    }


def _json(value: object, unit: str = "percent") -> Any:
    """A cell, a mapping with cells, or what is plain JSON already."""
    if isinstance(value, Mapping):
        return {name: _json(inner, unit) for name, inner in value.items()}
    if not isinstance(value, Cell):
        return value
    counts = {} if unit == "mean" else value.counts
    content = {unit: value.value, "low": value.low, "high": value.high, **counts, "n": value.n}
    return {**content, "few": True} if value.few else content


def _pair_json(pair: ChoicePair | PreferencePair) -> dict[str, Any]:
    sample = pair.sample
    content = {
        "index": sample.index,
        **{axis: getattr(sample, axis) for axis in _AXES},
        "images": list(image_names(sample)),
        "question": sample.question,
        "first_prediction": pair.replies[0],
        "second_prediction": pair.replies[1],
    }
    if isinstance(pair, PreferencePair):
        return {
            **content,
            "permutation": permutation_of(sample),
            "right": pair.reference,
            "first": pair.first,
            "second": pair.second,
            "second_in_first_order": turned(pair.second),
            "kind": pair.kind,
            "quality_accuracy": None if pair.scores is None else list(pair.scores),
        }
    options = sample.options
    return {
        **content,
        "options": dict(options),
        "permutation": dict(pair.permutation),
        "right": options.get(sample.answer or ""),
        "first": pair.first,
        "second": pair.second,
        "first_text": options.get(pair.first or ""),
        "second_text": options.get(pair.second_in_first or ""),
        "first_right": pair.right[0],
        "second_right": pair.right[1],
        "consistent": pair.consistent,
    }


# The records' names for those in the file.
_NAMES = {"accuracy_where_right": "right", "right_where_better": "right", "n_right_option": "n_right"}


def read_comparison(path: Path) -> PassComparison:
    """Read a comparison back from its ``_consistency.json``, without its pairs."""
    content = _shape(read_json(path))
    task = Task(content["robustness_of"])
    shape = {**content, "task": task, "whole": content, "places": content["letters" if task.is_choice else "places"]}
    notes = [*content["not_comparable_because"], *content["notes"]]
    shape |= {"clusters": content["intervals"]["clusters"], "notes": notes, "preferences": ()}
    comparison: PassComparison = adapter_of(PassComparison).validate_python(shape)
    return comparison


def _shape(content: Any) -> Any:
    """What stands in the file as the fields of groups, places and cells."""
    if not isinstance(content, Mapping):
        return content
    shape = {_NAMES.get(name, name): _shape(inner) for name, inner in content.items()}
    shape |= {**shape.get("quality_accuracy", {}), **shape.get("chosen", {})}
    if {"low", "high", "n"} <= shape.keys():
        shape["value"] = next(shape[unit] for unit in ("percent", "mean", "points") if unit in shape)
        shape["counts"] = {"count": shape["count"]} if "count" in shape else {}
    return shape
