"""The schema of ``_score.json`` and ``_samples.jsonl``: where results become JSON and JSON becomes results.

The files keep the names that users rely on (``Overall``, ``Yes-or-No``, ``NoReference``, ...); the package works with
the records of ``types``. Reading first brings the file's names into the records' shape and then lets pydantic check
every value, so that a file that was edited by hand fails here, once, in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, MAX_VERDICT, QUESTION_TYPES, REASONING_PREFIX, Task
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.protocols import letter_of
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.types import (
    Agreement,
    Cell,
    ConclusionCheck,
    Details,
    ExtractorAccuracy,
    ExtractorResult,
    Finding,
    Group,
    JudgeSettings,
    JudgeUsage,
    PanelCheck,
    Protocol,
    Provenance,
    Result,
    Sample,
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
_AXES = ("modality", "question_type", "severity", "scope", "difficulty", "source", "degradation", "comparable")


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


# Reading: the file's names to the records' names.


def _result_shape(content: Json) -> Json:
    task = Task(content["task"])
    named = {REASONING_PREFIX[part]: part for part in task.parts} if task is Task.REASONING else {}
    parts = {part: content[name] for name, part in named.items() if name in content} if named else {task: content}
    if not parts:
        raise KeyError("NoReference' or 'Comparative")
    return {
        **{name: content[name] for name in ("model", "dataset", "comparable", "not_comparable_because")},
        "task": task,
        "baseline": content.get("baseline", False),
        "parts": {part: _part_shape(part, inner, content["dataset"]) for part, inner in parts.items()},
        "settings": _provenance_shape(content["settings"]),
    }


def _part_shape(task: Task, content: Json, dataset: str) -> Json:
    perception = task is Task.PERCEPTION
    axes = content["groups"]
    intervals = content["intervals"]
    findings = dict(content.get("findings", {}))
    not_found = findings.pop("not_found", {})
    types = axes.get("question_type", {})
    if perception:
        sizes = {OVERALL: content["n"], **{kind: types[kind]["n"] if kind in types else 0 for kind in QUESTION_TYPES}}
    else:
        sizes = {**content["counts"], OVERALL: content["n_scored"]}
    clustered = intervals.get("clustered")
    return {
        "task": task,
        "dataset": content.get("dataset", dataset),
        "measures": {
            measure: _cell(content[measure], intervals.get(measure), sizes[measure]) for measure in MEASURES[task]
        },
        "counts": {name: content[name] for name in (_PERCEPTION_COUNTS if perception else _REASONING_COUNTS)},
        "few": content["few"],
        "interval_level": intervals["level"],
        "interval_method": intervals["method"],
        "groups": {
            axis: {name: _group_shape(cell, perception) for name, cell in groups.items()}
            for axis, groups in axes.items()
            if "_x_" not in axis
        },
        "crossed": {
            axis: {
                outer: {inner: _group_shape(cell, perception) for inner, cell in groups.items()}
                for outer, groups in outers.items()
            }
            for axis, outers in axes.items()
            if "_x_" in axis
        },
        "findings": {name: _finding_shape(finding) for name, finding in findings.items()},
        "not_found": not_found,
        "clustered": clustered
        and {**_cell(content[OVERALL], clustered[OVERALL], content["n"]), "n_clusters": clustered["n_clusters"]},
        "conclusions": _conclusions_shape(content.get("conclusions")),
        "between_rounds": _rounds_shape(content.get("between_rounds")),
        "extractor": _extractor_shape(content.get("extractor")),
        "usage": _usage_shape(content.get("usage")),
        **{
            name: content[name]
            for name in (
                "rules",
                "unscored_reasons",
                "frequencies",
                "between_judges",
                "comparable",
                "not_comparable_because",
            )
            if name in content
        },
    }


def _cell(value: object, ends: Any, n: object) -> Json:
    low, high = (None, None) if ends is None else ends
    return {"value": value, "low": low, "high": high, "n": n, "few": isinstance(n, int) and n < FEW}


def _group_shape(cell: Json, perception: bool) -> Json:
    counts = {name: cell[name] for name in _GROUP_COUNTS[perception]}
    if perception:
        measures = {OVERALL: _cell(cell["accuracy"], (cell["low"], cell["high"]), cell["n"])}
    else:
        ends = cell["intervals"]
        measures = {
            name: {**_cell(cell[name], ends[name], cell["n_scored"]), "few": cell["few"]}
            for name in MEASURES[Task.NO_REFERENCE]
        }
    return {"measures": measures, "counts": counts, "few": cell["few"]}


def _share_shape(share: Json) -> Json:
    ends = {name: share[name] for name in ("low", "high", "few")}
    return {"value": share["share"], "n": share["of"], "counts": {"count": share["count"]}, **ends}


def _finding_shape(finding: Json) -> Json:
    details = dict(finding["details"])
    shares = {name: details.pop(name) for name, value in finding["details"].items() if _is_share(value)}
    known: Json = {"shares": {name: _share_shape(share) for name, share in shares.items()}}
    for name in ("kinds", "reasons"):
        if name in details:
            known[name] = {kind: _share_shape(share) for kind, share in details.pop(name).items()}
    if "mistakes" in details:
        known["mistakes"] = [{**mistake, "share": _share_shape(mistake)} for mistake in details.pop("mistakes")]
    for name in ("groups", "compared", "scales", "by_options", "characters", "clustered", "n_clusters"):
        if name in details:
            known[name] = details.pop(name)
    return {
        **{name: finding[name] for name in ("title", "statement", "unit", "method")},
        "cell": {name: finding[name] for name in ("value", "low", "high", "n", "few")},
        "details": {**known, "facts": details},
    }


def _is_share(value: object) -> bool:
    return isinstance(value, Mapping) and "share" in value and "of" in value


def _conclusions_shape(check: Json | None) -> Json | None:
    if check is None:
        return None
    agreement = {
        "n": check["agreement"]["n"],
        "same": check["agreement"]["accuracy"],
        "kappa": check["agreement"]["kappa"],
    }
    return {**check, "computed": check["Quality Accuracy"], "agreement": agreement}


def _rounds_shape(rounds: Json | None) -> Json | None:
    return rounds and {title: {**pairs, "n": pairs["n_pairs"]} for title, pairs in rounds.items()}


def _usage_shape(usage: Json | None) -> Json | None:
    if usage is None:
        return None
    return {
        "total": usage,
        "this_run": usage.get("this_run"),
        "by_judge": {name: _usage_shape(inner) for name, inner in usage.get("by_judge", {}).items()},
    }


def _extractor_shape(extractor: Json | None) -> Json | None:
    if extractor is None:
        return None
    return {
        **extractor,
        "strict": _accuracy_shape(extractor["strict"]),
        "lenient": _accuracy_shape(extractor["lenient"]),
        "usage": _usage_shape(extractor["usage"]),
    }


def _accuracy_shape(accuracy: Json) -> Json:
    counts = {OVERALL: accuracy, **accuracy["counts"]}
    return {
        "measures": {
            name: _group_shape({**counts[name], "accuracy": accuracy[name], "low": ends[0], "high": ends[1]}, True)
            for name in (OVERALL, *QUESTION_TYPES)
            for ends in [accuracy["intervals"][name] or (None, None)]
        }
    }


def _provenance_shape(settings: Json) -> Json:
    return {
        **settings,
        "prompt_style": settings["prompt"]["style"],
        "prompt_sha256": settings["prompt"]["sha256"],
    }


def _row_shape(row: Json) -> Json:
    verdicts = {
        dimension: _verdict_shape(dimension, verdict) for dimension, verdict in (row.get("verdicts") or {}).items()
    }
    choice = row.get("extractor")
    names = ("error_kinds", "unscored", "comparable", "extracted", "rule", "correct", "conclusion", "score")
    sample = {name: row.get(name) for name in ("question", "answer", "description", *_AXES) if name != "comparable"}
    options = row.get("options") or {}
    return {
        "sample": {
            **sample,
            "index": str(row["index"]),
            "task": Task(row["task"]),
            "options": options,
            "image_refs": row.get("images") or (),
        },
        "prediction": {
            "index": str(row["index"]),
            "text": row["prediction"],
            "cut": row.get("prediction_cut", False),
        },
        "verdicts": verdicts,
        "choice": choice
        and {**choice, "dimension": "choice", "score": _choice_score(choice["letter"], choice["reason"])},
        **{name: row[name] for name in names if name in row},
    }


def _choice_score(letter: str | None, reason: str | None) -> int | None:
    """The score of an extractor's verdict (see ``types.Verdict``)."""
    if letter is not None:
        return ord(letter) - ord("A") + 1
    return 0 if reason is None else None


def _verdict_shape(dimension: str, verdict: Json) -> Json:
    parts = {name: _verdict_shape(dimension, part) for name, part in verdict.get("parts", {}).items()}
    return {**verdict, "dimension": dimension, "parts": parts}


# Writing: the records' names to the file's names.


def result_to_json(result: Result) -> Json:
    """The content of a ``_score.json``."""
    combined = result.task is Task.REASONING
    parts = {
        REASONING_PREFIX[task]: {"task": task.value, **_part_json(part), "dataset": part.dataset}
        for task, part in result.parts.items()
        if combined
    }
    return {
        "task": result.task.value,
        "dataset": result.dataset,
        "model": result.model,
        **(parts if combined else _part_json(result.parts[result.task])),
        "comparable": result.comparable,
        "not_comparable_because": list(result.not_comparable_because),
        "baseline": result.baseline,
        "settings": _provenance_json(result.settings),
    }


def _part_json(part: TaskResult) -> Json:
    perception = part.task is Task.PERCEPTION
    content: Json = {
        **{measure: cell.value for measure, cell in part.measures.items()},
        **(part.counts if perception else {name: part.counts[name] for name in _GROUP_COUNTS[False]}),
        "few": part.few,
        "intervals": {
            "level": part.interval_level,
            "method": part.interval_method,
            **{measure: _ends(cell, perception) for measure, cell in part.measures.items()},
        },
        "groups": {
            **{
                axis: {name: _group_json(group, perception) for name, group in groups.items()}
                for axis, groups in part.groups.items()
            },
            **{
                axis: {
                    outer: {inner: _group_json(group, perception) for inner, group in groups.items()}
                    for outer, groups in outers.items()
                }
                for axis, outers in part.crossed.items()
            },
        },
    }
    if perception:
        content["rules"] = dict(part.rules)
    else:
        content |= {
            **{name: part.counts[name] for name in _REASONING_COUNTS if name not in _GROUP_COUNTS[False]},
            "unscored_reasons": dict(part.unscored_reasons),
            "frequencies": {title: dict(counts) for title, counts in part.frequencies.items()},
            "counts": {title: cell.n for title, cell in part.measures.items() if title != OVERALL},
        }
    if part.clustered is not None:
        content["intervals"]["clustered"] = {
            OVERALL: _ends(part.clustered),
            "n_clusters": part.clustered.n_clusters,
        }
    optional: Json = {
        "conclusions": part.conclusions and _conclusions_json(part.conclusions),
        "between_rounds": part.between_rounds
        and {title: _rounds_json(one) for title, one in part.between_rounds.items()},
        "between_judges": part.between_judges and _panel_json(part.between_judges),
        "extractor": part.extractor and _extractor_json(part.extractor),
        "usage": part.usage and _usage_json(part.usage),
    }
    return {
        **content,
        **{name: value for name, value in optional.items() if value is not None},
        "findings": findings_to_json(part),
        "comparable": part.comparable,
        "not_comparable_because": list(part.not_comparable_because),
    }


def _ends(cell: Cell, both: bool = False) -> list[float | None] | None:
    return [cell.low, cell.high] if both or cell.interval is not None else None


def _group_json(group: Group, perception: bool) -> Json:
    """One group's object under ``groups`` of a ``_score.json``."""
    if perception:
        cell = group.overall
        return {"accuracy": cell.value, "low": cell.low, "high": cell.high, **group.counts, "few": group.few}
    return {
        **{name: cell.value for name, cell in group.measures.items()},
        **group.counts,
        "few": group.few,
        "intervals": {name: _ends(cell) for name, cell in group.measures.items()},
    }


def _share_json(cell: Cell) -> Json:
    return {
        "count": cell.counts["count"],
        "of": cell.n,
        "share": cell.value,
        "low": cell.low,
        "high": cell.high,
        "few": cell.few,
    }


def _estimate_json(cell: Cell) -> Json:
    return {"value": cell.value, "low": cell.low, "high": cell.high, "n": cell.n, "few": cell.few}


def findings_to_json(part: TaskResult) -> Json:
    """The object 'findings' of one task's numbers."""
    findings = {name: _finding_json(finding) for name, finding in part.findings.items()}
    return {**findings, "not_found": dict(part.not_found)}


def _finding_json(finding: Finding) -> Json:
    return {
        "title": finding.title,
        "statement": finding.statement,
        "value": finding.cell.value,
        "unit": finding.unit,
        **_estimate_json(finding.cell),
        "method": finding.method,
        "details": _details_json(finding.details),
    }


def _details_json(details: Details) -> Json:
    optional = {
        "groups": {name: _estimate_json(cell) for name, cell in details.groups.items()} if details.compared else None,
        "compared": [list(side) for side in details.compared] or None,
        "kinds": None if details.kinds is None else {name: _share_json(cell) for name, cell in details.kinds.items()},
        "reasons": None
        if details.reasons is None
        else {name: _share_json(cell) for name, cell in details.reasons.items()},
        "scales": details.scales,
        "mistakes": None
        if details.scales is None
        else [
            {"scale": mistake.scale, "right": mistake.right, "chosen": mistake.chosen, **_share_json(mistake.share)}
            for mistake in details.mistakes
        ],
        "by_options": None
        if details.by_options is None
        else {letters: asdict(bias) for letters, bias in details.by_options.items()},
        "characters": details.characters,
        "n_clusters": details.n_clusters,
    }
    shares = {name: _share_json(cell) for name, cell in details.shares.items()}
    content: Json = {
        **{name: value for name, value in optional.items() if value is not None},
        **shares,
        **details.facts,
    }
    if "human" in content:  # the gap to human experts says so where it has no interval over images
        content["clustered"] = None if details.clustered is None else list(details.clustered)
    return content


def _conclusions_json(check: ConclusionCheck) -> Json:
    agreement = {"n": check.agreement.n, "accuracy": check.agreement.same, "kappa": check.agreement.kappa}
    return {
        "n": check.n,
        "n_stated": check.n_stated,
        "Quality Accuracy": check.computed,
        "judge": check.judge,
        "agreement": agreement,
        "n_disagreements": check.n_disagreements,
    }


def agreement_to_json(agreement: Agreement) -> Json:
    """How two scorers agree, as results and comparisons hold it."""
    return {"n": agreement.n, "same": agreement.same, "kappa": agreement.kappa}


def _rounds_json(agreement: Agreement) -> Json:
    return {
        "n_pairs": agreement.n,
        "same": agreement.same,
        "kappa": agreement.kappa,
        "mean_absolute_difference": agreement.mean_absolute_difference,
    }


def _panel_json(check: PanelCheck) -> Json:
    return {
        "means": {name: dict(means) for name, means in check.means.items()},
        "pairs": {
            first: {
                second: {measure: agreement_to_json(agreement) for measure, agreement in measures.items()}
                for second, measures in others.items()
            }
            for first, others in check.pairs.items()
        },
    }


def _usage_json(usage: JudgeUsage) -> Json:
    content: Json = asdict(usage.total)
    if usage.this_run is not None:
        content["this_run"] = asdict(usage.this_run)
    if usage.by_judge:
        content["by_judge"] = {name: _usage_json(inner) for name, inner in usage.by_judge.items()}
    return content


def _extractor_json(extractor: ExtractorResult) -> Json:
    return {
        **{name: getattr(extractor, name) for name in ("name", "served_as")},
        "protocol": _protocol_json(extractor.protocol),
        **{name: getattr(extractor, name) for name in ("n_open", "n_asked", "n_read", "n_none", "n_failed")},
        "strict": _accuracy_json(extractor.strict),
        "lenient": _accuracy_json(extractor.lenient),
        "usage": _usage_json(extractor.usage),
    }


def _accuracy_json(accuracy: ExtractorAccuracy) -> Json:
    counts = {name: {**group.counts, "few": group.few} for name, group in accuracy.measures.items()}
    return {
        **{name: group.overall.value for name, group in accuracy.measures.items()},
        **counts.pop(OVERALL),
        "intervals": {
            "level": 0.95,
            "method": "Wilson score, questions taken as independent",
            **{name: _ends(group.overall, True) for name, group in accuracy.measures.items()},
        },
        "counts": counts,
    }


def _protocol_json(protocol: Protocol) -> Json:
    content = asdict(protocol)
    return {name: value for name, value in content.items() if value is not None}


def _judge_json(judge: JudgeSettings) -> Json:
    content: Json = {"name": judge.name, "served_as": judge.served_as}
    if judge.base_url is not None:
        content["base_url"] = judge.base_url
    if judge.combined_by is not None:
        content["combined_by"] = judge.combined_by
    if judge.members:
        content["members"] = [_judge_json(member) for member in judge.members]
    content["parameters"] = dict(judge.parameters)
    if judge.protocol is not None:
        content["protocol"] = _protocol_json(judge.protocol)
    return content


def _provenance_json(settings: Provenance) -> Json:
    content: Json = {
        "data": {task: _data_json(use) for task, use in ((task, asdict(use)) for task, use in settings.data.items())},
        "prediction_file": asdict(settings.prediction_file),
        "prompt": {"style": settings.prompt_style, "sha256": settings.prompt_sha256},
        "versions": dict(settings.versions),
        "created": settings.created,
        "protocol": _protocol_json(settings.protocol),
        "judge": None if settings.judge is None else _judge_json(settings.judge),
    }
    if settings.extractor is not None:
        content["extractor"] = _judge_json(settings.extractor)
    return content


def _data_json(use: Json) -> Json:
    columns = use["columns"]
    return {**use, "columns": {**columns, "absent": list(columns["absent"]), "ignored": list(columns["ignored"])}}


def row_to_json(row: SampleRow) -> Json:
    """One line of a ``_samples.jsonl``."""
    common = {
        **_sample_json(row.sample),
        "prediction": row.prediction.text,
        "prediction_cut": row.prediction.cut,
    }
    closing: Json = {"error_kinds": list(row.error_kinds)}
    if row.sample.task is Task.PERCEPTION:
        read = {
            "options": dict(row.sample.options),
            "answer": row.sample.answer,
            "extracted": row.extracted,
            "rule": row.rule,
            "correct": row.correct,
        }
        closing |= {"unscored": row.unscored}
        if row.choice is not None:
            closing["extractor"] = _choice_json(row.choice)
        return {**common, **read, **closing, "comparable": row.comparable}
    judged = {
        "description": row.sample.description,
        "verdicts": {dimension: _verdict_json(verdict) for dimension, verdict in row.verdicts.items()},
        "scores": {
            dimension: verdict.score for dimension, verdict in row.verdicts.items() if verdict.score is not None
        },
        "conclusion": None if row.conclusion is None else asdict(row.conclusion),
    }
    return {**common, **judged, **closing, "score": row.score, "unscored": row.unscored, "comparable": row.comparable}


def _sample_json(sample: Sample) -> Json:
    return {
        "index": sample.index,
        "task": sample.task.value,
        "modality": sample.modality,
        "question_type": sample.question_type,
        "severity": sample.severity,
        "scope": sample.scope,
        "source": sample.source,
        "difficulty": sample.difficulty,
        "degradation": sample.degradation,
        "images": list(image_names(sample)),
        "question": sample.question,
    }


def _verdict_json(verdict: Verdict) -> Json:
    content: Json = {
        "score": verdict.score,
        "reason": verdict.reason,
        "reply": verdict.reply,
        "prompt_sha256": verdict.prompt_sha256,
        "judge": verdict.judge,
        "asks": verdict.asks,
        "from_cache": verdict.from_cache,
    }
    content |= {name: text for name in ("explanation", "note") if (text := getattr(verdict, name))}
    if verdict.parts:
        content["parts"] = {name: _verdict_json(part) for name, part in verdict.parts.items()}
    return content


def _choice_json(choice: Verdict) -> Json:
    names = ("reason", "reply", "prompt_sha256", "judge", "asks", "from_cache")
    content = {"letter": letter_of(choice.score), **{name: getattr(choice, name) for name in names}}
    return {**content, **({"note": choice.note} if choice.note else {})}
