"""The schema of ``_score.json`` and ``_samples.jsonl``: where results become JSON and JSON becomes results.

The files keep the names that users rely on (``Overall``, ``Yes-or-No``, ``NoReference``, ...); the package works with
the records of ``types``. Reading first brings the file's names into the records' shape and then lets pydantic check
every value, so that a file that was edited by hand fails here, once, in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, MAX_VERDICT, QUESTION_TYPES, REASONING_PREFIX, Task
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.calls import INFERENCE_FAILED, PREDICTION_MISSING
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.scoring.intervals import FEW, LEVEL, WILSON
from medqbench_vlmeval.types import (
    Agreement,
    Cell,
    ConclusionCheck,
    DataUse,
    Details,
    ExtractorResult,
    Finding,
    Group,
    JudgeSettings,
    JudgeUsage,
    PanelCheck,
    PredictionStatus,
    Provenance,
    Result,
    SampleRow,
    TaskResult,
    Verdict,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = dict[str, Any]
Record = TypeVar("Record")

OVERALL = "Overall"
MODALITY, TYPE_BY_MODALITY = "modality", "modality_x_question_type"
MEASURES: Mapping[Task, tuple[str, ...]] = {
    Task.PERCEPTION: (*QUESTION_TYPES, OVERALL),
    Task.NO_REFERENCE: (*DIMENSION_TITLES.values(), OVERALL),
    Task.COMPARATIVE: (*DIMENSION_TITLES.values(), OVERALL),
}
_PERCEPTION_COUNTS = ("n", "n_correct", "n_unanswered", "n_inference_failed", "n_missing", "n_cut")
_REASONING_COUNTS = ("n", "n_scored", "n_unscored", "n_clusters", "n_inference_failed", "n_missing", "n_cut")
_GROUP_COUNTS = {True: ("n", "n_correct", "n_unanswered"), False: ("n", "n_scored", "n_unscored", "n_clusters")}
_ESTIMATE = ("value", "low", "high", "n", "few")
_DETAILS = ("groups", "compared", "scales", "by_options", "characters", "clustered", "n_clusters")
_SAMPLE = ("modality", "question_type", "severity", "scope", "source", "difficulty", "degradation", "question")
_ROW = ("error_kinds", "unscored", "comparable", "extracted", "rule", "correct", "conclusion", "score")
# What a row says of a reply that is not there.
_STATUS = {INFERENCE_FAILED: PredictionStatus.INFERENCE_FAILED, PREDICTION_MISSING: PredictionStatus.MISSING}
_VERDICT = ("score", "reason", "reply", "prompt_sha256", "judge", "asks", "from_cache")


def top_of(task: Task, measure: str = OVERALL) -> float:
    """The end of a measure's scale: 100 (percent), 2 (a dimension) or 8 (Overall, also of any group)."""
    if task is Task.PERCEPTION:
        return 100.0
    is_dimension = measure in DIMENSION_TITLES.values()
    return float(MAX_VERDICT if is_dimension else MAX_VERDICT * len(DIMENSION_TITLES))


def result_from_json(content: Json) -> Result:
    """Make a result of the content of a ``_score.json``.

    Raises:
        BadInput: the content is not a whole result; the message names the place.
    """
    return _checked(Result, _result_shape, content)


def row_from_json(content: Json) -> SampleRow:
    """Make a sample's row of one line of a ``_samples.jsonl``.

    Raises:
        BadInput: the line is not a whole row; the message names the place.
    """
    return _checked(SampleRow, _row_shape, content)


@cache
def _adapter(record: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(record)


def _checked(record: type[Record], shape: Callable[[Json], Json], content: Json) -> Record:
    from pydantic import ValidationError

    try:
        checked: Record = _adapter(record).validate_python(shape(content))  # type: ignore[arg-type]
    except KeyError as error:
        raise BadInput(f"{error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise BadInput(f"a value has another kind than expected ({error})") from None
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BadInput(f"'{place}' is {first['input']!r:.60}: {first['msg'].lower()}") from None
    return checked


def _picked(content: Mapping[str, Any], names: Iterable[str]) -> Json:
    return {name: content[name] for name in names}


def _fields(record: object, names: Iterable[str]) -> Json:
    return {name: getattr(record, name) for name in names}


def _given(content: Json) -> Json:
    return {name: value for name, value in content.items() if value is not None}


def _each(convert: Callable[[Any], Any], content: Mapping[str, Any], depth: int = 1) -> Json:
    """Convert the values that lie ``depth`` mappings deep."""
    if depth == 1:
        return {name: convert(value) for name, value in content.items()}
    return {name: _each(convert, inner, depth - 1) for name, inner in content.items()}


# Reading: from the file's names to the records' names. A part that a record does not know is left to pydantic.


def _result_shape(content: Json) -> Json:
    task = Task(content["task"])
    names = {part: REASONING_PREFIX[part] for part in task.parts} if task is Task.REASONING else {}
    parts = {part: content[name] for part, name in names.items() if name in content} if names else {task: content}
    if not parts:
        raise KeyError("NoReference' or 'Comparative")
    settings = content["settings"]
    prompt = {f"prompt_{name}": settings["prompt"][name] for name in ("style", "sha256")}
    return {
        **_picked(content, ("model", "dataset", "comparable", "not_comparable_because")),
        "task": task,
        "baseline": content.get("baseline", False),
        "parts": {part: _part_shape(part, inner, content["dataset"]) for part, inner in parts.items()},
        "settings": {**settings, **prompt},
    }


def _part_shape(task: Task, content: Json, dataset: str) -> Json:
    perception = task is Task.PERCEPTION
    axes, intervals = content["groups"], content["intervals"]
    findings = dict(content.get("findings", {}))
    not_found = findings.pop("not_found", {})
    if perception:
        types = axes.get("question_type", {})
        sizes = {OVERALL: content["n"]} | {kind: types[kind]["n"] if kind in types else 0 for kind in QUESTION_TYPES}
    else:
        sizes = {**content["counts"], OVERALL: content["n_scored"]}
    clustered = intervals.get("clustered")
    optional = ("rules", "unscored_reasons", "frequencies", "between_judges", "comparable", "not_comparable_because")
    return {
        "task": task,
        "dataset": content.get("dataset", dataset),
        "measures": {name: _cell(content[name], intervals.get(name), sizes[name]) for name in MEASURES[task]},
        "counts": _picked(content, _PERCEPTION_COUNTS if perception else _REASONING_COUNTS),
        "few": content["few"],
        "interval_level": intervals["level"],
        "interval_method": intervals["method"],
        "groups": _each(_group_shape, {axis: groups for axis, groups in axes.items() if "_x_" not in axis}, 2),
        "crossed": _each(_group_shape, {axis: groups for axis, groups in axes.items() if "_x_" in axis}, 3),
        "findings": _each(_finding_shape, findings),
        "not_found": not_found,
        "clustered": clustered
        and {**_cell(content[OVERALL], clustered[OVERALL], content["n"]), "n_clusters": clustered["n_clusters"]},
        **{name: convert(content[name]) for name, convert in _PART_SHAPES.items() if content.get(name) is not None},
        **{name: content[name] for name in optional if name in content},
    }


def _cell(value: object, ends: Any, n: object) -> Json:
    low, high = (None, None) if ends is None else ends
    return {"value": value, "low": low, "high": high, "n": n, "few": isinstance(n, int) and n < FEW}


def _group_shape(cell: Json) -> Json:
    if "accuracy" in cell:
        measures = {OVERALL: _cell(cell["accuracy"], (cell["low"], cell["high"]), cell["n"])}
    else:
        few = {"few": cell["few"]}
        measures = {
            name: _cell(cell[name], cell["intervals"][name], cell["n_scored"]) | few
            for name in MEASURES[Task.NO_REFERENCE]
        }
    counts = _picked(cell, _GROUP_COUNTS["accuracy" in cell])
    return {"measures": measures, "counts": counts, "few": cell["few"]}


def _share_shape(share: Json) -> Json:
    ends = _picked(share, ("low", "high", "few"))
    return {"value": share["share"], "n": share["of"], "counts": {"count": share["count"]}, **ends}


def _finding_shape(finding: Json) -> Json:
    details = dict(finding["details"])
    shares = {name: value for name, value in details.items() if isinstance(value, Mapping) and "share" in value}
    known: Json = {"shares": _each(_share_shape, shares)}
    for name in ("kinds", "reasons"):
        if name in details:
            known[name] = _each(_share_shape, details[name])
    known["mistakes"] = [{**mistake, "share": _share_shape(mistake)} for mistake in details.get("mistakes", ())]
    known |= {name: details[name] for name in _DETAILS if name in details}
    facts = {name: value for name, value in details.items() if name not in known and name not in shares}
    return {
        **_picked(finding, ("title", "statement", "unit", "method")),
        "cell": _picked(finding, _ESTIMATE),
        "details": {**known, "facts": facts},
    }


def _conclusions_shape(check: Json) -> Json:
    agreement = {**check["agreement"], "same": check["agreement"]["accuracy"]}
    return {**check, "computed": check["Quality Accuracy"], "agreement": agreement}


def _usage_shape(usage: Json) -> Json:
    by_judge = _each(_usage_shape, usage.get("by_judge", {}))
    return {"total": usage, "this_run": usage.get("this_run"), "by_judge": by_judge}


def _extractor_shape(extractor: Json) -> Json:
    accuracies = {name: _accuracy_shape(extractor[name]) for name in ("strict", "lenient")}
    return {**extractor, **accuracies, "usage": _usage_shape(extractor["usage"])}


def _accuracy_shape(accuracy: Json) -> Json:
    measures = {}
    for name, counts in {OVERALL: accuracy, **accuracy["counts"]}.items():
        low, high = accuracy["intervals"][name] or (None, None)
        measures[name] = _group_shape({**counts, "accuracy": accuracy[name], "low": low, "high": high})
    return measures


_PART_SHAPES: Mapping[str, Callable[[Json], Json]] = {
    "conclusions": _conclusions_shape,
    "between_rounds": lambda rounds: _each(lambda pairs: {**pairs, "n": pairs["n_pairs"]}, rounds),
    "extractor": _extractor_shape,
    "usage": _usage_shape,
}


def _row_shape(row: Json) -> Json:
    index = str(row["index"])
    choice = row.get("extractor")
    sample = {name: row.get(name) for name in (*_SAMPLE, "answer", "description")}
    images = {"options": row.get("options") or {}, "image_refs": row.get("images") or ()}
    return {
        "sample": {**sample, **images, "index": index, "task": Task(row["task"])},
        "prediction": {
            "index": index,
            "text": row["prediction"],
            "status": _STATUS.get(row.get("unscored") or "", PredictionStatus.OK),
            "cut": row.get("prediction_cut", False),
        },
        "verdicts": {name: _verdict_shape(name, verdict) for name, verdict in (row.get("verdicts") or {}).items()},
        "choice": choice and {**choice, "dimension": "choice", "score": _choice_score(choice)},
        **{name: row[name] for name in _ROW if name in row},
    }


def _choice_score(choice: Json) -> int | None:
    """The score of an extractor's verdict (see ``types.Verdict``)."""
    if choice["letter"] is not None:
        return ord(choice["letter"]) - ord("A") + 1
    return 0 if choice["reason"] is None else None


def _verdict_shape(dimension: str, verdict: Json) -> Json:
    parts = {name: _verdict_shape(dimension, part) for name, part in verdict.get("parts", {}).items()}
    return {**verdict, "dimension": dimension, "parts": parts}


# Writing: from the records' names to the file's names.


def result_to_json(result: Result) -> Json:
    """The content of a ``_score.json``."""
    if result.task is Task.REASONING:
        numbers: Json = {
            REASONING_PREFIX[task]: {"task": task.value, **_part_json(part), "dataset": part.dataset}
            for task, part in result.parts.items()
        }
    else:
        numbers = _part_json(result.parts[result.task])
    return {
        "task": result.task.value,
        "dataset": result.dataset,
        "model": result.model,
        **numbers,
        "comparable": result.comparable,
        "not_comparable_because": list(result.not_comparable_because),
        "baseline": result.baseline,
        "settings": _provenance_json(result.settings),
    }


def _part_json(part: TaskResult) -> Json:
    perception = part.task is Task.PERCEPTION
    cells = part.measures
    content: Json = {
        **{measure: cell.value for measure, cell in cells.items()},
        **_picked(part.counts, part.counts if perception else _GROUP_COUNTS[False]),
        "few": part.few,
        "intervals": {
            "level": part.interval_level,
            "method": part.interval_method,
            **{measure: _ends(cell, perception) for measure, cell in cells.items()},
        },
    }
    if part.clustered is not None:
        ends = {OVERALL: _ends(part.clustered), "n_clusters": part.clustered.n_clusters}
        content["intervals"]["clustered"] = ends
    if not perception:
        content |= _picked(part.counts, (name for name in _REASONING_COUNTS if name not in _GROUP_COUNTS[False]))
        content["unscored_reasons"] = dict(part.unscored_reasons)
        content["frequencies"] = _each(dict, part.frequencies)
        content["counts"] = {title: cell.n for title, cell in cells.items() if title != OVERALL}
    optional: Json = {
        "rules": dict(part.rules) if perception else None,
        "conclusions": part.conclusions and _conclusions_json(part.conclusions),
        "between_rounds": part.between_rounds and _each(_rounds_json, part.between_rounds),
        "between_judges": part.between_judges and _panel_json(part.between_judges),
        "extractor": part.extractor and _extractor_json(part.extractor),
        "usage": part.usage and _usage_json(part.usage),
    }
    return {
        **content,
        "groups": {**_each(_group_json, part.groups, 2), **_each(_group_json, part.crossed, 3)},
        **_given(optional),
        "findings": findings_to_json(part),
        "comparable": part.comparable,
        "not_comparable_because": list(part.not_comparable_because),
    }


def headline_to_json(result: Result) -> dict[str, Any]:
    """The numbers that fit a terminal, as JSON: overall, per type or dimension, counts, and overall per modality.

    'lenient' is there where an extractor read what the rules left open.
    """
    if result.task is Task.REASONING:
        parts = {REASONING_PREFIX[task]: _part_headline(part) for task, part in result.parts.items()}
        return {**parts, "comparable": result.comparable}
    return _part_headline(result[result.task])


def _part_headline(part: TaskResult) -> dict[str, Any]:
    perception = part.task is Task.PERCEPTION
    names = QUESTION_TYPES if perception else tuple(DIMENSION_TITLES.values())
    counts = ("n", "n_unanswered" if perception else "n_unscored")
    numbers: dict[str, Any] = {name: part.measures[name].value for name in (OVERALL, *names)}
    numbers |= {name: part.counts[name] for name in counts}
    if part.extractor is not None:
        lenient = part.extractor.lenient
        values = {name: lenient[name].overall.value for name in (OVERALL, *names)}
        numbers["lenient"] = values | {name: lenient[OVERALL].counts[name] for name in counts}
    if MODALITY in part.groups:
        numbers[MODALITY] = {name: group.overall.value for name, group in part.groups[MODALITY].items()}
    return {**numbers, "comparable": part.comparable}


def _ends(cell: Cell, both: bool = False) -> list[float | None] | None:
    return [cell.low, cell.high] if both or cell.interval is not None else None


def _group_json(group: Group) -> Json:
    counts = {**group.counts, "few": group.few}
    if "n_correct" in counts:
        return {"accuracy": group.overall.value, "low": group.overall.low, "high": group.overall.high, **counts}
    values = {name: cell.value for name, cell in group.measures.items()}
    return {**values, **counts, "intervals": _each(_ends, group.measures)}


def _share_json(cell: Cell) -> Json:
    return {"count": cell.counts["count"], "of": cell.n, "share": cell.value, **_fields(cell, ("low", "high", "few"))}


def _estimate_json(cell: Cell) -> Json:
    return _fields(cell, _ESTIMATE)


def findings_to_json(part: TaskResult) -> Json:
    """The object 'findings' of one task's numbers."""
    return {**_each(_finding_json, part.findings), "not_found": dict(part.not_found)}


def _finding_json(finding: Finding) -> Json:
    return {
        **_fields(finding, ("title", "statement")),
        "value": finding.cell.value,
        "unit": finding.unit,
        **_estimate_json(finding.cell),
        "method": finding.method,
        "details": _details_json(finding.details),
    }


def _details_json(details: Details) -> Json:
    content: Json = _fields(details, ("scales", "characters", "n_clusters"))
    if details.compared:
        content["groups"] = _each(_estimate_json, details.groups)
        content["compared"] = [list(side) for side in details.compared]
    for name in ("kinds", "reasons"):
        shares = getattr(details, name)
        content[name] = None if shares is None else _each(_share_json, shares)
    if details.scales is not None:
        levels = ("scale", "right", "chosen")
        content["mistakes"] = [{**_fields(one, levels), **_share_json(one.share)} for one in details.mistakes]
    if details.by_options is not None:
        content["by_options"] = _each(asdict, details.by_options)
    content = {**_given(content), **_each(_share_json, details.shares), **details.facts}
    if "human" in content:  # the gap to human experts says so where it has no interval over images
        content["clustered"] = None if details.clustered is None else list(details.clustered)
    return content


def _conclusions_json(check: ConclusionCheck) -> Json:
    return {
        **_fields(check, ("n", "n_stated")),
        "Quality Accuracy": check.computed,
        "judge": check.judge,
        "agreement": {"n": check.agreement.n, "accuracy": check.agreement.same, "kappa": check.agreement.kappa},
        "n_disagreements": check.n_disagreements,
    }


def agreement_to_json(agreement: Agreement) -> Json:
    """How two scorers agree, as results and comparisons hold it."""
    return _fields(agreement, ("n", "same", "kappa"))


def _rounds_json(agreement: Agreement) -> Json:
    return {"n_pairs": agreement.n, **_fields(agreement, ("same", "kappa", "mean_absolute_difference"))}


def _panel_json(check: PanelCheck) -> Json:
    return {"means": _each(dict, check.means), "pairs": _each(agreement_to_json, check.pairs, 3)}


def _usage_json(usage: JudgeUsage) -> Json:
    content: Json = asdict(usage.total)
    if usage.this_run is not None:
        content["this_run"] = asdict(usage.this_run)
    if usage.by_judge:
        content["by_judge"] = _each(_usage_json, usage.by_judge)
    return content


def _extractor_json(extractor: ExtractorResult) -> Json:
    return {
        **_fields(extractor, ("name", "served_as")),
        "protocol": _given(asdict(extractor.protocol)),
        **_fields(extractor, ("n_open", "n_asked", "n_read", "n_none", "n_failed")),
        "strict": _accuracy_json(extractor.strict),
        "lenient": _accuracy_json(extractor.lenient),
        "usage": _usage_json(extractor.usage),
    }


def _accuracy_json(groups: Mapping[str, Group]) -> Json:
    counts = {name: {**group.counts, "few": group.few} for name, group in groups.items()}
    return {
        **{name: group.overall.value for name, group in groups.items()},
        **counts.pop(OVERALL),
        "intervals": {
            "level": LEVEL,
            "method": f"{WILSON}, questions taken as independent",
            **{name: _ends(group.overall, True) for name, group in groups.items()},
        },
        "counts": counts,
    }


def _judge_json(judge: JudgeSettings) -> Json:
    optional = {
        "base_url": judge.base_url,
        "combined_by": judge.combined_by,
        "members": [_judge_json(member) for member in judge.members] or None,
        "parameters": dict(judge.parameters),
        "protocol": judge.protocol and _given(asdict(judge.protocol)),
    }
    return {**_fields(judge, ("name", "served_as")), **_given(optional)}


def _provenance_json(settings: Provenance) -> Json:
    content: Json = {
        "data": _each(_data_json, settings.data),
        "prediction_file": asdict(settings.prediction_file),
        "prompt": {"style": settings.prompt_style, "sha256": settings.prompt_sha256},
        "versions": dict(settings.versions),
        "created": settings.created,
        "protocol": _given(asdict(settings.protocol)),
        "judge": settings.judge and _judge_json(settings.judge),
    }
    if settings.extractor is not None:
        content["extractor"] = _judge_json(settings.extractor)
    return content


def _data_json(use: DataUse) -> Json:
    content = asdict(use)
    content["columns"] |= {name: list(content["columns"][name]) for name in ("absent", "ignored")}
    return content


def row_to_json(row: SampleRow) -> Json:
    """One line of a ``_samples.jsonl``."""
    sample = row.sample
    content: Json = {
        "index": sample.index,
        "task": sample.task.value,
        **_fields(sample, _SAMPLE),
        "images": list(image_names(sample)),
        "prediction": row.prediction.text,
        "prediction_cut": row.prediction.cut,
    }
    if sample.task is Task.PERCEPTION:
        content |= {"options": dict(sample.options), "answer": sample.answer}
        content |= _fields(row, ("extracted", "rule", "correct"))
        content |= {"error_kinds": list(row.error_kinds), "unscored": row.unscored}
        if row.choice is not None:
            verdict = _verdict_json(row.choice)
            del verdict["score"]
            content["extractor"] = {"letter": letter_of(row.choice.score), **verdict}
        return {**content, "comparable": row.comparable}
    scores = {name: verdict.score for name, verdict in row.verdicts.items() if verdict.score is not None}
    return {
        **content,
        "description": sample.description,
        "verdicts": _each(_verdict_json, row.verdicts),
        "scores": scores,
        "conclusion": row.conclusion and asdict(row.conclusion),
        "error_kinds": list(row.error_kinds),
        **_fields(row, ("score", "unscored", "comparable")),
    }


def _verdict_json(verdict: Verdict) -> Json:
    content = _fields(verdict, _VERDICT)
    content |= {name: text for name in ("explanation", "note") if (text := getattr(verdict, name))}
    if verdict.parts:
        content["parts"] = _each(_verdict_json, verdict.parts)
    return content
