"""The two passes of a model over one dataset, compared: the official order, and options permuted or images swapped.

Everything is worked out from the two prediction files, which are only read. No judge is asked: comparisons are read for
the image that they say is better. Nothing here is a result of the benchmark: the files have names and keys of their
own, so that no board and no other command takes them for one.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval.answers import extract
from medqbench_vlmeval.answers.conclusion import conclusion_of
from medqbench_vlmeval.benchmark import BASELINES, OPTION_LETTERS, Task
from medqbench_vlmeval.data import canonical_index
from medqbench_vlmeval.data.columns import find_columns
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.data.second_pass import PERMUTATION_COLUMN, moved, permutation_of, read_permutation
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import read_object, write_json, write_jsonl
from medqbench_vlmeval.kit_version import package_version
from medqbench_vlmeval.predictions import PredictionTable, join, read_predictions, samples_from_table
from medqbench_vlmeval.predictions.files import is_second_pass
from medqbench_vlmeval.runs.files import unwritable
from medqbench_vlmeval.runs.provenance import CUSTOM, EXTRACTION, name_results
from medqbench_vlmeval.scoring.intervals import LEVEL
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
from medqbench_vlmeval.scoring.robustness import Robustness as Scores
from medqbench_vlmeval.types import Cell, Prediction, PredictionStatus, Sample, SampleSet

# The prediction files of two passes, joined sample by sample.


# Why a sample is left out, and the words for it.
LEFT_OUT: Mapping[str, str] = {
    "first_pass_alone": "of the first pass are not in the second",
    "second_pass_alone": "of the second pass are not in the first",
    "order_fixed": "name options by their place ('both A and C') and were asked once",
    "other_content": "showed other options in the second pass than the data have",
}


@dataclass(frozen=True)
class Twice:
    """A sample that was asked in both passes; ``permutation`` is what the second one showed."""

    sample: Sample
    permutation: dict[str, str]
    first: Prediction
    second: Prediction


def check_passes(first: PredictionTable, second: PredictionTable) -> None:
    """See that each file is of the pass that it stands for.

    Raises:
        BadInput: it is not.
    """
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


def join_passes(
    samples: Sequence[Sample], first: PredictionTable, second: PredictionTable, wanted: Set[str]
) -> tuple[list[Twice], dict[str, int]]:
    """The wanted samples that were asked in both passes, and how many were left out for which of ``LEFT_OUT``.

    Raises:
        BadInput: a file has an index that no sample has.
    """
    left_out = dict.fromkeys(LEFT_OUT, 0)
    found = []
    names = find_columns(second.columns, OPTION_LETTERS).names
    shown = [_shown(one, second, names) for one in _second_rows(samples, second)]
    for sample, one, other, row in zip(samples, join(samples, first), join(samples, second), shown, strict=True):
        missing = (one.status is PredictionStatus.MISSING, other.status is PredictionStatus.MISSING)
        if sample.index not in wanted or sample.task is Task.NO_REFERENCE or all(missing):
            continue
        if missing[0]:
            left_out["second_pass_alone"] += 1
        elif missing[1]:
            left_out["first_pass_alone" if permutation_of(sample) else "order_fixed"] += 1
        elif row is None or not _fits(sample, *row):
            left_out["other_content"] += 1
        else:
            found.append(Twice(sample, row[0], one, other))
    return found, left_out


def _by_sample(samples: Sequence[Sample], table: PredictionTable, texts: Sequence[str]) -> list[str]:
    """A file's texts, one a row, in the samples' order; '' for a sample that the file does not have."""
    rows = [replace(one, text=text) for one, text in zip(table.predictions, texts, strict=True)]
    return [one.text for one in join(samples, replace(table, predictions=tuple(rows)))]


def _second_rows(samples: Sequence[Sample], second: PredictionTable) -> list[int | None]:
    numbers = _by_sample(samples, second, [str(number) for number in range(len(second.rows))])
    return [int(number) if number else None for number in numbers]


def _shown(
    row: int | None, second: PredictionTable, names: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]] | None:
    """A row's permutation and its option texts as far as the file has them; ``names`` are the options' columns."""
    if row is None:
        return None
    cells = second.rows[row]
    return read_permutation(cells[PERMUTATION_COLUMN]) or {}, {
        letter: text for letter, name in names.items() if (text := cells[name].strip())
    }


def _fits(sample: Sample, permutation: dict[str, str], shown: dict[str, str]) -> bool:
    """Whether a row of the second pass shows this sample's own content."""
    if sample.task is Task.COMPARATIVE:
        return set(permutation) == {"1", "2"}
    if set(permutation) != set(sample.options):
        return False
    expected = moved(sample.options, permutation)
    # A spreadsheet makes 3.0 of an option '3'.
    return all(canonical_index(text) == canonical_index(expected.get(letter, "")) for letter, text in shown.items())


def values_of(samples: Sequence[Sample], table: PredictionTable, column: str, indexes: Set[str]) -> list[str]:
    """The different values of a provenance column in the rows of some samples."""
    if column not in table.columns:
        return []
    texts = _by_sample(samples, table, [row[column] for row in table.rows])
    return sorted({text for sample, text in zip(samples, texts, strict=True) if text and sample.index in indexes})


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
    """A finished comparison, the content of ``_consistency.json``, and where all was written."""

    comparison: PassComparison
    result: dict[str, Any]
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
    notes = _notes(request, task, samples, found, left_out, (first, second))
    comparison, rows = _compare(request, found, [NOT_COMPARABLE, *notes])
    result = {
        "robustness_of": comparison.task.value,
        "dataset": request.dataset,
        "model": request.model,
        "comparable": False,
        "not_comparable_because": [NOT_COMPARABLE],
        "baseline": request.model in BASELINES,
        **_scores_json(comparison.scores, comparison.task),
        "left_out": left_out,
        "notes": notes,
        "settings": _settings(comparison.task, samples, found, (first, second)),
    }
    _write(comparison, result, rows, paths)
    return Robustness(comparison, result, paths)


def _samples(sample_set: SampleSet | None, first: PredictionTable) -> tuple[Task, list[Sample]]:
    if sample_set is None:
        return samples_from_table(first)[:2]
    return sample_set.task, list(sample_set.samples)


def _compare(
    request: PassesRequest, found: Sequence[Twice], notes: Sequence[str]
) -> tuple[PassComparison, list[dict[str, Any]]]:
    named = request.model, request.dataset
    if found[0].sample.task is Task.PERCEPTION:
        choices = [_choice(one) for one in found]
        rows = [_choice_row(*pair) for pair in zip(found, choices, strict=True)]
        return PassComparison(Task.PERCEPTION, *named, score_choices(choices), notes, choices=choices), rows
    preferences = [_preference(one) for one in found]
    rows = [_preference_row(*pair) for pair in zip(found, preferences, strict=True)]
    scores = score_preferences(preferences)
    return PassComparison(Task.COMPARATIVE, *named, scores, notes, preferences=preferences), rows


def _scores_json(scores: Scores, task: Task) -> dict[str, Any]:
    to_json, places = (_choices_json, "letters") if task is Task.PERCEPTION else (_preferences_json, "places")
    content: dict[str, Any] = {
        **({} if task is Task.PERCEPTION else {"read_from": CONCLUSIONS}),
        **to_json(scores.whole),
        "intervals": {"level": LEVEL, "method": INTERVAL_METHOD, "clusters": scores.clusters},
        "groups": {
            axis: {name: to_json(group) for name, group in groups.items()} for axis, groups in scores.groups.items()
        },
        places: {name: _place_json(use) for name, use in scores.places.items()},
    }
    if task is Task.PERCEPTION:
        return content | {"consistency_of_chance": scores.consistency_of_chance}
    counts = ("n_reference_unread", "n_inference_failed")
    return content | {name: getattr(scores, name) for name in counts}


def _choices_json(group: PassGroup) -> dict[str, Any]:
    return {
        "n": group.n,
        FIRST: _cell_json(group.first),
        SECOND: _cell_json(group.second),
        "debiased": _cell_json(group.debiased),
        "difference": _cell_json(group.difference, "points"),
        "right_in_both": _cell_json(group.right_in_both),
        "consistency": group.consistency and _cell_json(group.consistency),
        "n_unanswered": dict(group.n_unanswered),
        "n_right": dict(group.n_right),
    }


def _preferences_json(group: PassGroup) -> dict[str, Any]:
    return {
        "n": group.n,
        "preferences": {name: _cell_json(cell) for name, cell in group.preferences.items()},
        "quality_accuracy": {
            FIRST: _cell_json(replace(group.first, counts={}), "mean"),
            SECOND: _cell_json(replace(group.second, counts={}), "mean"),
            "debiased": _cell_json(group.debiased, "mean"),
            "difference": _cell_json(group.difference, "points"),
        },
        "right_in_both": _cell_json(group.right_in_both),
    }


def _place_json(use: PlaceUse) -> dict[str, Any]:
    chosen = {FIRST: _cell_json(use.first), SECOND: _cell_json(use.second)}
    right = use.right and _cell_json(use.right)
    if use.n_offered is None:
        return {**chosen, **({"right_where_better": right} if right else {})}
    return {
        "n_offered": use.n_offered,
        "chosen": chosen,
        "n_right_option": dict(use.n_right),
        "accuracy_where_right": right,
    }


def _cell_json(cell: Cell, name: str = "percent") -> dict[str, Any]:
    content = {name: cell.value, "low": cell.low, "high": cell.high, **cell.counts, "n": cell.n}
    return {**content, "few": True} if cell.few else content


def read_comparison(path: Path) -> PassComparison:
    """Read a comparison back from its ``_consistency.json``, without its pairs.

    Raises:
        BadInput: the file cannot be read or is none.
    """
    content = read_object(path)
    if content is None or "robustness_of" not in content:
        raise BadInput(f"{path} is no comparison of two passes; 'medqbench robustness' writes them.")
    task = Task(content["robustness_of"])
    places = content["letters" if task is Task.PERCEPTION else "places"]
    scores = Scores(
        _group_from(content),
        {axis: {name: _group_from(group) for name, group in of.items()} for axis, of in content["groups"].items()},
        {name: _place_from(place) for name, place in places.items()},
        content["intervals"]["clusters"],
        content.get("consistency_of_chance"),
        content.get("n_reference_unread", 0),
        content.get("n_inference_failed", 0),
    )
    notes = [*content["not_comparable_because"], *content["notes"]]
    return PassComparison(task, content["model"], content["dataset"], scores, notes)


def _group_from(content: Mapping[str, Any]) -> PassGroup:
    passes = content.get("quality_accuracy", content)
    return PassGroup(
        content["n"],
        _cell_from(passes[FIRST]),
        _cell_from(passes[SECOND]),
        _cell_from(passes["debiased"]),
        _cell_from(passes["difference"]),
        _cell_from(content["right_in_both"]),
        _cell_from(content["consistency"]) if "consistency" in content else None,
        content.get("n_unanswered", {}),
        content.get("n_right", {}),
        {name: _cell_from(cell) for name, cell in content.get("preferences", {}).items()},
    )


def _place_from(content: Mapping[str, Any]) -> PlaceUse:
    chosen = content.get("chosen", content)
    right = content.get("accuracy_where_right") or content.get("right_where_better")
    return PlaceUse(
        _cell_from(chosen[FIRST]),
        _cell_from(chosen[SECOND]),
        _cell_from(right) if right else None,
        content.get("n_offered"),
        content.get("n_right_option", {}),
    )


def _cell_from(content: Mapping[str, Any]) -> Cell:
    value = next(content[name] for name in ("percent", "mean", "points") if name in content)
    counts = {name: content[name] for name in ("count",) if name in content}
    return Cell(value, content["low"], content["high"], content["n"], few=content.get("few", False), counts=counts)


def _replied(prediction: Prediction) -> bool:
    return prediction.status is PredictionStatus.OK


def _choice(one: Twice) -> ChoicePair:
    options = one.sample.options
    first, second = (
        extract(prediction.text, shown).letter if _replied(prediction) else None
        for prediction, shown in ((one.first, options), (one.second, moved(options, one.permutation)))
    )
    return ChoicePair(one.sample, one.permutation, first, second, (one.first.text, one.second.text))


def _preference(one: Twice) -> PreferencePair:
    first, second = (
        conclusion_of(Task.COMPARATIVE, prediction.text) if _replied(prediction) else None
        for prediction in (one.first, one.second)
    )
    reference = conclusion_of(Task.COMPARATIVE, one.sample.description or "")
    replied = _replied(one.first) and _replied(one.second)
    return PreferencePair(one.sample, first, second, reference, replied, (one.first.text, one.second.text))


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
        "protocol": {"name": EXTRACTION.name, "version": EXTRACTION.version}
        if task is Task.PERCEPTION
        else {"name": "stated-conclusions"},
        "versions": {"medqbench_vlmeval": package_version(), "python": platform.python_version()},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _write(
    comparison: PassComparison, result: dict[str, Any], rows: Sequence[dict[str, Any]], paths: RobustnessPaths
) -> None:
    from medqbench_vlmeval.report.robustness_tables import write_robustness

    try:
        write_jsonl(paths.pairs, rows)
        write_robustness(paths.report, comparison)
        write_json(paths.numbers, result)
    except OSError as error:
        raise unwritable(paths.numbers.parent, error) from error
