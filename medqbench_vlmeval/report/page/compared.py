"""What the page's comparison shows, as plain JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from medqbench_vlmeval.benchmark import TASK_TITLES
from medqbench_vlmeval.report.compare_tables import in_order
from medqbench_vlmeval.report.table import task_kind
from medqbench_vlmeval.runs.comparison import ComparedPair, ComparedTask, RunComparison, SharedSample, item_to_json
from medqbench_vlmeval.runs.result import json_of
from medqbench_vlmeval.scoring.compare import AXES

Json = dict[str, Any]
_QUESTION = 160  # characters that are shown of a question


def comparison_json(comparison: RunComparison) -> list[Json]:
    """The tasks of a comparison without a baseline: the runs, the best first, each two of them, and samples x runs. A
    run is named by model, dataset and ``nth`` (from 0), its place among the runs of these; pairs name runs by place."""
    seen: Counter[tuple[str, str]] = Counter()
    named: dict[tuple[str, str], Json] = {}
    for run_set in comparison.run_sets:
        for result in (run.result for run in run_set.runs):
            key = (result.model, result.dataset)
            named[run_set.label, result.dataset] = {"model": key[0], "dataset": key[1], "nth": seen[key]}
            seen[key] += 1
    return [_task_json(part, named) for part in comparison.parts]


def _task_json(part: ComparedTask, named: dict[tuple[str, str], Json]) -> Json:
    order, datasets = in_order(part), dict(zip(part.runs, part.datasets, strict=True))
    values = {label: {"value": value} for pair in part.pairs for label, value in pair.values.items()}
    for row in part.ranking:
        values[row.run] = json_of(row, "places") | json_of(row.cell, "value", "low", "high")
    letters = [[of.rows[label].extracted for of in part.samples] for label in order]
    at = {id(sample.row.sample): place for place, sample in enumerate(part.samples)}
    return {
        **json_of(part, "task", "dataset"),
        "title": TASK_TITLES[part.task],
        "unit": task_kind(part.task),
        "runs": [{"label": label, **named[label, datasets[label]], **values[label]} for label in order],
        "pairs": [_pair_json(pair, order) for pair in part.pairs],
        "notes": [*part.warnings, *part.notes],
        "samples": [_sample_json(sample, order) for sample in part.samples],
        "items": [{"at": at[id(item.sample)], **item_to_json(item)} for item in part.items if item.notes],
        "letters": letters if part.task.is_choice else None,
        "errors": [[int(bool(of.rows[label].error_kinds)) for of in part.samples] for label in order],
        "scores": [[round(sample.scores[label], 3) for sample in part.samples] for label in order],
    }


def _pair_json(pair: ComparedPair, order: list[str]) -> Json:
    """The difference of the run ahead in ``order`` less the other."""
    a, b = order.index(pair.a), order.index(pair.b)
    of, sign = pair.overall, 1 if a < b else -1
    facts = {"value": sign * (of.cell.value or 0.0), "ends": sorted(sign * end for end in of.cell.interval or ())}
    facts |= {"n": of.cell.n, "p": of.adjusted_p, "significant": of.is_significant}
    return {"a": min(a, b), "b": max(a, b), **facts, **json_of(pair.agreement, "same", "kappa")}


def _sample_json(sample: SharedSample, order: list[str]) -> list[object]:
    """The index, a list of them where runs spell it differently; what it is; how the question begins; the answer."""
    names = [sample.rows[label].sample.index for label in order]
    about = " · ".join(value for axis in AXES if (value := sample.on_axis(axis)))
    index = names[0] if len(set(names)) == 1 else names
    return [index, about, (sample.row.sample.question or "")[:_QUESTION], sample.row.sample.answer]
