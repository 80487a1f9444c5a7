"""The schema of ``_score.json`` and ``_samples.jsonl``: where results become JSON and JSON becomes results. The files
keep the names that users rely on (``Overall``, ``Yes-or-No``, ``NoReference``, ...); the package works with the records
of ``types``. Reading first brings the file's names into the records' shape and then lets pydantic check every value, so
that a file that was edited by hand fails here, once, in one sentence. Names that no record knows are ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    MAX_VERDICT,
    MEASURES,
    OVERALL,
    REASONING_PREFIX,
    Comparable,
    Task,
    measure_axis,
)
from medqbench_vlmeval.data.columns import AXES
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.calls import INFERENCE_FAILED, PREDICTION_MISSING
from medqbench_vlmeval.judge.protocols import NONE, letter_of, number_of
from medqbench_vlmeval.provenance import JudgeSettings, Provenance
from medqbench_vlmeval.types import (
    DIFFERENCE,
    FEW,
    LEVEL,
    WILSON,
    Agreement,
    Cell,
    ConclusionCheck,
    Details,
    ExtractorResult,
    Finding,
    Group,
    JudgeUsage,
    PredictionStatus,
    Result,
    SampleRow,
    TaskResult,
    Verdict,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = dict[str, Any]
Record = TypeVar("Record")

MODALITY, TYPE_BY_MODALITY = "modality", "modality_x_question_type"
_LOST = ("n_inference_failed", "n_missing", "n_cut")
_ACCURACY_COUNTS = ("n", "n_correct", "n_unanswered")
_VERDICT_COUNTS = ("n", "n_scored", "n_unscored", "n_clusters")
_ESTIMATE = ("value", "low", "high", "n", "few")
_CONTRASTS = ("drops", "calibration")
_ROUNDING = 1e-6  # of a mean or an interval's end at the end of the scale
_DETAILS = frozenset(field.name for field in fields(Details))
_SAMPLE = (*AXES, "question")
_DEG_SAMPLE = ("category", "pair")  # written where they are known
_ROW = ("error_kinds", "unscored", "extracted", "rule", "correct", "confidence", "conclusion", "score")
# What a row says of a reply that is not there.
_STATUS = {INFERENCE_FAILED: PredictionStatus.INFERENCE_FAILED, PREDICTION_MISSING: PredictionStatus.MISSING}
_JUDGED_EARLIER = (
    "an earlier version of this package called the result comparable, which did not ask for all that it takes; "
    "'medqbench score' judges it anew"
)
_IN_ROUNDS = ("same", "kappa", "mean_absolute_difference")
_VERDICT = ("score", "reason", "reply", "prompt_sha256", "judge", "asks", "from_cache")


def top_of(task: Task, measure: str = OVERALL) -> float:
    """The end of a measure's scale: 100 (percent), 2 (a dimension) or 8 (Overall, also of any group)."""
    if task.is_choice:
        return 100.0
    return float(MAX_VERDICT if measure in DIMENSION_TITLES.values() else MAX_VERDICT * len(DIMENSION_TITLES))


def result_from_json(content: Json) -> Result:
    """Make a result of the content of a ``_score.json``. Raises BadInput where the content is not a whole result, or a
    number lies outside its scale; the message names the place."""
    result = _checked(Result, _result_shape, content)
    for task, part in result.parts.items():
        crossed = (group for outer in part.crossed.values() for groups in outer.values() for group in groups.values())
        groups = (group for of_axis in part.groups.values() for group in of_axis.values())
        numbers: list[TaskResult | Group] = [part, *groups, *crossed, *part.kit_reading.values()]
        by_axis = (of for contrasts in (part.drops, part.calibration) for of in contrasts.values())
        for compared in (group for of in by_axis for by_degree in of.values() for group in by_degree.values()):
            if len(compared.measures) != 3 or not ("n_clusters" in compared.counts and DIFFERENCE in compared.measures):
                raise BadInput("a drop or a calibration lacks a measure or its 'n_clusters'")
            for name, cell in compared.measures.items():
                check_on_scale(task, name, (end and abs(end) for end in (cell.value, cell.low, cell.high)))
        for group in numbers:
            for name, cell in group.measures.items():
                check_on_scale(task, name, (cell.value, cell.low, cell.high))
            for name, count in group.counts.items():
                if count < 0:
                    raise BadInput(f"'{name}' is {count}, and no count is below 0")
    return result


def check_on_scale(task: Task, measure: str, values: Iterable[float | None]) -> None:
    """Refuse values and ends of intervals off a measure's scale by BadInput, whose message is part of a sentence."""
    top = top_of(task, measure)
    for value in values:
        if value is not None and not -_ROUNDING <= value <= top + _ROUNDING:
            raise BadInput(f"'{measure}' is {value:.6g}, and its scale goes from 0 to {top:g}")


def row_from_json(content: Json) -> SampleRow:
    """Make a sample's row of one line of a ``_samples.jsonl``. Raises BadInput, with the place, for another."""
    return _checked(SampleRow, _row_shape, content)


@cache
def adapter_of(record: Any) -> TypeAdapter[Any]:
    """What checks values against a record's types."""
    from pydantic import TypeAdapter

    return TypeAdapter(record)


def _checked(record: type[Record], shape: Callable[[Json], Json], content: Json) -> Record:
    from pydantic import ValidationError

    try:
        checked: Record = adapter_of(record).validate_python(shape(content))  # type: ignore[arg-type]
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


def json_of(record: object, *names: str) -> Json:
    """Some fields of a record by name, tuples as lists."""
    values = {name: getattr(record, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _known(content: Json) -> Json:
    return {name: value for name, value in content.items() if value is not None}


def _each(convert: Callable[[Any], Any], content: Mapping[str, Any], depth: int = 1) -> Json:
    """Convert the values that lie ``depth`` mappings deep."""
    if depth == 1:
        return {name: convert(value) for name, value in content.items()}
    return {name: _each(convert, inner, depth - 1) for name, inner in content.items()}


def comparable_from_json(content: Mapping[str, Any]) -> Json:
    """``comparable`` with its reasons as records hold them; earlier versions wrote true or false."""
    known = content["comparable"]
    reasons = [_JUDGED_EARLIER] if known is True else content["not_comparable_because"]
    return {"comparable": _comparable(known), "not_comparable_because": reasons}


def _comparable(known: object) -> object:
    return (Comparable.UNVERIFIED if known else Comparable.NO) if isinstance(known, bool) else known


def _result_shape(content: Json) -> Json:
    task = Task(content["task"])
    names = {part: REASONING_PREFIX[part] for part in task.parts} if task is Task.REASONING else {}
    parts = {part: content[name] for part, name in names.items() if name in content} if names else {task: content}
    if not parts:
        raise KeyError("NoReference' or 'Comparative")
    settings = content["settings"]
    prompt = {f"prompt_{name}": settings["prompt"][name] for name in ("style", "sha256")}
    return {
        **_picked(content, ("model", "dataset")),
        "task": task,
        "baseline": content.get("baseline", False),
        "parts": {part: _part_shape(part, inner, content["dataset"]) for part, inner in parts.items()},
        "settings": {**settings, **prompt, "model_use": settings.get("model")},
    }


def _part_shape(task: Task, content: Json, dataset: str) -> Json:
    perception = task.is_choice
    axes, intervals = content["groups"], content["intervals"]
    findings = dict(content.get("findings", {}))
    not_found = findings.pop("not_found", {})
    if perception:
        types = axes.get(measure_axis(task), {})
        sizes = {kind: types[kind]["n"] if kind in types else 0 for kind in MEASURES[task]} | {OVERALL: content["n"]}
    else:
        sizes = {**content["counts"], OVERALL: content["n_scored"]}
    clustered = intervals.get("clustered")
    return {
        **content,
        "task": task,
        "dataset": content.get("dataset", dataset),
        "measures": _cells(content, task, sizes),
        "counts": _picked(content, (*(_ACCURACY_COUNTS if perception else _VERDICT_COUNTS), *_LOST)),
        "interval_level": intervals["level"],
        "interval_method": intervals["method"],
        "groups": _each(_group_shape, {axis: groups for axis, groups in axes.items() if "_x_" not in axis}, 2),
        "crossed": _each(_group_shape, {axis: groups for axis, groups in axes.items() if "_x_" in axis}, 3),
        "findings": _each(_finding_shape, findings),
        "not_found": not_found,
        **comparable_from_json(content),
        "clustered": clustered
        and {**_cell(content[OVERALL], clustered[OVERALL], content["n"]), "n_clusters": clustered["n_clusters"]},
        **{name: shape(content[name]) for name, shape in _PART_SHAPES.items() if content.get(name) is not None},
    }


def _cell(value: object, ends: Any, n: object) -> Json:
    low, high = (None, None) if ends is None else ends
    return {"value": value, "low": low, "high": high, "n": n, "few": isinstance(n, int) and n < FEW}


def _cells(content: Json, task: Task, sizes: Json) -> Json:
    return {name: _cell(content[name], content["intervals"][name], sizes[name]) for name in MEASURES[task]}


def _group_shape(content: Json) -> Json:
    if "accuracy" in content:
        return _accuracy_shape(content["accuracy"], (content["low"], content["high"]), content)
    sizes = dict.fromkeys(MEASURES[Task.NO_REFERENCE], content["n_scored"])
    counts = _picked(content, _VERDICT_COUNTS)
    return {"measures": _cells(content, Task.NO_REFERENCE, sizes), "counts": counts, "few": content["few"]}


def _accuracy_shape(value: object, ends: Any, content: Json) -> Json:
    counts = _picked(content, _ACCURACY_COUNTS)
    return {"measures": {OVERALL: _cell(value, ends, content["n"])}, "counts": counts, "few": content["few"]}


def _share_shape(share: Json) -> Json:
    ends = {**_picked(share, ("low", "high", "few")), "n_clusters": share.get("n_clusters")}
    return {"value": share["share"], "n": share["of"], "counts": {"count": share["count"]}, **ends}


def _finding_shape(finding: Json) -> Json:
    details = finding["details"]
    shares = {name: value for name, value in details.items() if isinstance(value, Mapping) and "share" in value}
    facts = {name: value for name, value in details.items() if name not in _DETAILS and name not in shares}
    known = {
        **details,
        **{name: _each(_share_shape, details[name]) for name in ("kinds", "reasons") if name in details},
        "mistakes": [{**mistake, "share": _share_shape(mistake)} for mistake in details.get("mistakes", ())],
        "failure_groups": [{**group, "share": _share_shape(group)} for group in details.get("failure_groups", ())],
        "shares": _each(_share_shape, shares),
        "facts": facts,
    }
    return {**finding, "cell": _picked(finding, _ESTIMATE), "details": known}


def _usage_shape(usage: Json) -> Json:
    by_judge = _each(_usage_shape, usage.get("by_judge", {}))
    return {"total": usage, "this_run": usage.get("this_run"), "by_judge": by_judge}


def _accuracies_shape(content: Json) -> Json:
    counts, ends = {OVERALL: content, **content["counts"]}, content["intervals"]
    return {name: _accuracy_shape(content[name], ends[name], counts[name]) for name in counts}


_PART_SHAPES: Mapping[str, Callable[[Json], Json]] = {
    "conclusions": lambda check: {
        **check,
        "computed": check["Quality Accuracy"],
        "agreement": {**check["agreement"], "same": check["agreement"]["accuracy"]},
    },
    "between_rounds": lambda rounds: _each(lambda pairs: {**pairs, "n": pairs["n_pairs"]}, rounds),
    "extractor": lambda extractor: {
        **extractor,
        **_each(_accuracies_shape, _picked(extractor, ("strict", "lenient"))),
        "usage": _usage_shape(extractor["usage"]),
    },
    "kit_reading": lambda readings: _each(_group_shape, readings),
    "usage": _usage_shape,
}


def _row_shape(row: Json) -> Json:
    index, choice = str(row["index"]), row.get("extractor")
    if choice:
        score = None if choice["reason"] is not None else number_of(choice["letter"] or NONE)
        choice = {**choice, "dimension": "choice", "score": score}
    sample = {name: row.get(name) for name in (*_SAMPLE, *_DEG_SAMPLE, "answer", "description")}
    images = {"image_refs": row.get("images") or (), "image_forms": row.get("image_forms") or ()}
    return {
        "sample": {**sample, **images, "options": row.get("options") or {}, "index": index, "task": Task(row["task"])},
        "prediction": {
            "index": index,
            "text": row["prediction"],
            "status": _STATUS.get(row.get("unscored") or "", PredictionStatus.OK),
            "cut": row.get("prediction_cut", False),
            "failure": row.get("failure"),
        },
        "verdicts": {name: _verdict_shape(name, verdict) for name, verdict in (row.get("verdicts") or {}).items()},
        "choice": choice,
        **{name: row[name] for name in _ROW if name in row},
        "comparable": _comparable(row.get("comparable", False)),
    }


def _verdict_shape(dimension: str, verdict: Json) -> Json:
    parts = {name: _verdict_shape(dimension, part) for name, part in verdict.get("parts", {}).items()}
    return {**verdict, "dimension": dimension, "parts": parts}


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
        **json_of(result, "dataset", "model"),
        **numbers,
        **json_of(result, "comparable", "not_comparable_because", "baseline"),
        "settings": _provenance_json(result.settings),
    }


def _part_json(part: TaskResult) -> Json:
    perception = part.task.is_choice
    method = {"level": part.interval_level, "method": part.interval_method}
    content = _numbers_json(part.measures, part.counts, part.few, perception, method)
    if (whole := part.clustered) is not None:
        content["intervals"]["clustered"] = {OVERALL: _ends(whole), "n_clusters": whole.n_clusters}
    if perception:
        content["rules"] = part.rules
    else:
        content |= json_of(part, "unscored_reasons", "frequencies")
        content["counts"] = {title: cell.n for title, cell in part.measures.items() if title != OVERALL}
    panel = part.between_judges
    optional: Json = {
        "conclusions": part.conclusions and _conclusions_json(part.conclusions),
        "inference_failures": part.inference_failures or None,
        "between_rounds": part.between_rounds
        and _each(lambda of: {"n_pairs": of.n, **json_of(of, *_IN_ROUNDS)}, part.between_rounds),
        "between_judges": panel and {"means": panel.means, "pairs": _each(agreement_to_json, panel.pairs, 3)},
        "extractor": part.extractor and _extractor_json(part.extractor),
        "kit_reading": _each(_group_json, part.kit_reading) or None,
        "usage": part.usage and _usage_json(part.usage),
    }
    return {
        **content,
        "groups": {**_each(_group_json, part.groups, 2), **_each(_group_json, part.crossed, 3)},
        **_known(optional),
        **_each(lambda of: _each(asdict, of, 3), {name: of for name in _CONTRASTS if (of := getattr(part, name))}),
        "findings": findings_to_json(part),
        **json_of(part, "comparable", "not_comparable_because"),
    }


def headline_to_json(result: Result, intervals: bool = False) -> dict[str, Any]:
    """The numbers that fit a terminal, as JSON: overall, per type or dimension, counts, and overall per modality.
    'lenient' is there where an extractor read what the rules left open; 'intervals' has both ends by the same names."""
    if result.task is Task.REASONING:
        parts = {REASONING_PREFIX[task]: _part_headline(part, intervals) for task, part in result.parts.items()}
        return {**parts, "comparable": result.comparable}
    return _part_headline(result[result.task], intervals)


def _part_headline(part: TaskResult, intervals: bool) -> dict[str, Any]:
    names = sorted(MEASURES[part.task], key=lambda name: name != OVERALL)
    counts = ("n", "n_unanswered" if part.task.is_choice else "n_unscored")
    numbers: dict[str, Any] = {name: part.measures[name].value for name in names} | _picked(part.counts, counts)
    if part.extractor is not None:
        lenient = part.extractor.lenient
        values = {name: lenient[name].overall.value for name in names}
        numbers["lenient"] = values | _picked(lenient[OVERALL].counts, counts)
    if MODALITY in part.groups:
        numbers[MODALITY] = {name: group.overall.value for name, group in part.groups[MODALITY].items()}
    if intervals:
        ends: dict[str, Any] = {name: _ends(part.measures[name]) for name in names}
        if MODALITY in part.groups:
            ends[MODALITY] = {name: _ends(group.overall) for name, group in part.groups[MODALITY].items()}
        numbers["intervals"] = {"level": part.interval_level, "method": part.interval_method, **ends}
    return {**numbers, "comparable": part.comparable}


def _ends(cell: Cell, both: bool = False) -> list[float | None] | None:
    return [cell.low, cell.high] if both or cell.interval is not None else None


def _numbers_json(
    cells: Mapping[str, Cell], counts: Mapping[str, int], few: bool, both: bool = False, method: Json | None = None
) -> Json:
    """Values by measure with their counts; ``both`` ends of an interval are written even where there is none."""
    values = {name: cell.value for name, cell in cells.items()}
    ends = {name: _ends(cell, both) for name, cell in cells.items()}
    return {**values, **counts, "few": few, "intervals": {**(method or {}), **ends}}


def _group_json(group: Group) -> Json:
    if "n_correct" in group.counts:
        cell = group.overall
        return {"accuracy": cell.value, "low": cell.low, "high": cell.high, **group.counts, "few": group.few}
    return _numbers_json(group.measures, group.counts, group.few)


def _share_json(cell: Cell) -> Json:
    return {"count": cell.counts["count"], "of": cell.n, "share": cell.value, **json_of(cell, "low", "high", "few")}


def findings_to_json(part: TaskResult) -> Json:
    """The object 'findings' of one task's numbers."""
    return {**_each(_finding_json, part.findings), "not_found": part.not_found}


def _finding_json(finding: Finding) -> Json:
    words, estimate = json_of(finding, "title", "statement", "unit", "method"), json_of(finding.cell, *_ESTIMATE)
    return {**words, **estimate, "details": _details_json(finding.details)}


def _details_json(details: Details) -> Json:
    content: Json = json_of(details, "scales", "characters", "n_clusters")
    if details.compared:
        groups = {name: json_of(cell, *_ESTIMATE) for name, cell in details.groups.items()}
        content |= {"groups": groups, "compared": details.compared}
    for name in ("kinds", "reasons"):
        shares = getattr(details, name)
        content[name] = None if shares is None else _each(_share_json, shares)
    if details.scales is not None:
        content["mistakes"] = [
            {**json_of(mistake, "scale", "right", "chosen"), **_share_json(mistake.share)}
            for mistake in details.mistakes
        ]
    if details.failure_groups:
        content["failure_groups"] = [
            {**json_of(group, "values", "p"), **_share_json(group.share), "n_clusters": group.share.n_clusters}
            for group in details.failure_groups
        ]
    if details.by_options is not None:
        content["by_options"] = _each(asdict, details.by_options)
    content = {**_known(content), **_each(_share_json, details.shares), **details.facts}
    if "human" in content:  # the gap to human experts says so where it has no interval over images
        content["clustered"] = details.clustered
    return content


def _conclusions_json(check: ConclusionCheck) -> Json:
    agreement = {"n": check.agreement.n, "accuracy": check.agreement.same, "kappa": check.agreement.kappa}
    counts = json_of(check, "n", "n_stated", "n_disagreements")
    return {**counts, "Quality Accuracy": check.computed, "judge": check.judge, "agreement": agreement}


def agreement_to_json(agreement: Agreement) -> Json:
    """How two scorers agree, as results and comparisons hold it."""
    return json_of(agreement, "n", "same", "kappa")


def _usage_json(usage: JudgeUsage) -> Json:
    by_judge, this_run = _each(_usage_json, usage.by_judge) or None, usage.this_run and asdict(usage.this_run)
    return {**asdict(usage.total), **_known({"this_run": this_run, "by_judge": by_judge})}


def _extractor_json(extractor: ExtractorResult) -> Json:
    return {
        **json_of(extractor, "name", "served_as"),
        "protocol": _known(asdict(extractor.protocol)),
        **json_of(extractor, "n_open", "n_asked", "n_read", "n_none", "n_failed"),
        **_each(_accuracies_json, json_of(extractor, "strict", "lenient")),
        "usage": _usage_json(extractor.usage),
    }


def _accuracies_json(groups: Mapping[str, Group]) -> Json:
    counts = {name: {**group.counts, "few": group.few} for name, group in groups.items() if name != OVERALL}
    method = {"level": LEVEL, "method": f"{WILSON}, questions taken as independent"}
    cells, whole = {name: group.overall for name, group in groups.items()}, groups[OVERALL]
    return {**_numbers_json(cells, whole.counts, whole.few, True, method), "counts": counts}


def _judge_json(judge: JudgeSettings) -> Json:
    members = [_judge_json(member) for member in judge.members] or None
    protocol = judge.protocol and _known(asdict(judge.protocol))
    optional = {**json_of(judge, "base_url", "combined_by", "parameters"), "members": members, "protocol": protocol}
    return {**json_of(judge, "name", "served_as"), **_known(optional)}


def _provenance_json(settings: Provenance) -> Json:
    extractor = {} if settings.extractor is None else {"extractor": _judge_json(settings.extractor)}
    return {
        "data": _each(asdict, settings.data),
        "prediction_file": asdict(settings.prediction_file),
        "prompt": {"style": settings.prompt_style, "sha256": settings.prompt_sha256},
        **json_of(settings, "versions", "created"),
        "protocol": _known(asdict(settings.protocol)),
        "judge": settings.judge and _judge_json(settings.judge),
        **extractor,
        "model": settings.model_use and asdict(settings.model_use),
    }


def row_to_json(row: SampleRow) -> Json:
    """One line of a ``_samples.jsonl``."""
    sample = row.sample
    content: Json = {
        "index": sample.index,
        "task": sample.task.value,
        **json_of(sample, *_SAMPLE),
        **_known(json_of(sample, *_DEG_SAMPLE)),
        "images": list(image_names(sample)),
        "image_forms": [_known(asdict(form)) for form in sample.image_forms],
        "prediction": row.prediction.text,
        "prediction_cut": row.prediction.cut,
        **json_of(row, "error_kinds", "unscored", "comparable"),
        **_known(json_of(row.prediction, "failure")),
    }
    if sample.task.is_choice:
        content |= {**json_of(sample, "options", "answer"), **json_of(row, "extracted", "rule", "correct")}
        content |= _known(json_of(row, "confidence"))
        if row.choice is not None:
            choice = _verdict_json(row.choice)
            del choice["score"]
            content["extractor"] = {"letter": letter_of(row.choice.score), **choice}
        return content
    return {
        **content,
        "description": sample.description,
        "verdicts": _each(_verdict_json, row.verdicts),
        "scores": _known({name: verdict.score for name, verdict in row.verdicts.items()}),
        "conclusion": row.conclusion and asdict(row.conclusion),
        "score": row.score,
    }


def _verdict_json(verdict: Verdict) -> Json:
    content = json_of(verdict, *_VERDICT)
    content |= {name: text for name in ("explanation", "note") if (text := getattr(verdict, name))}
    if verdict.parts:
        content["parts"] = _each(_verdict_json, verdict.parts)
    return content
