"""What the page's comparison shows, as plain JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from medqbench_vlmeval.benchmark import TASK_TITLES, Task
from medqbench_vlmeval.report.compare_tables import in_order
from medqbench_vlmeval.report.table import task_kind
from medqbench_vlmeval.runs.comparison import ComparedPair, ComparedTask, RunComparison, SharedSample
from medqbench_vlmeval.runs.result import json_of
from medqbench_vlmeval.scoring.compare import AXES

Json = dict[str, Any]
_QUESTION = 160  # characters that are shown of a question


def comparison_json(comparison: RunComparison) -> list[Json]:
    """The tasks of a comparison without a baseline: the runs, the best first, each two of them, and samples x runs.

    A run is named by model, dataset and ``nth`` (from 0), its place among the runs of these; pairs name runs by place.
    """
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
    ranked = {row.run: row for row in part.ranking}
    values = {label: value for pair in part.pairs for label, value in pair.values.items()}
    runs = []
    for label in order:
        row = ranked.get(label)
        cell = {"value": values[label]} if row is None else json_of(row.cell, "value", "low", "high")
        places = {} if row is None else json_of(row, "place", "places")
        runs.append({"label": label, **named[label, datasets[label]], **cell, **places})
    is_perception = part.task is Task.PERCEPTION
    return {
        "task": part.task.value,
        "title": TASK_TITLES[part.task],
        "dataset": part.dataset,
        "unit": task_kind(part.task),
        "runs": runs,
        "pairs": [_pair_json(pair, order) for pair in part.pairs],
        "notes": [*part.warnings, *part.notes],
        "samples": [_sample_json(sample, order) for sample in part.samples],
        "right": [sample.row.sample.answer for sample in part.samples] if is_perception else None,
        "letters": [[of.rows[label].extracted for of in part.samples] for label in order] if is_perception else None,
        "scores": [[round(sample.scores[label], 3) for sample in part.samples] for label in order],
    }


def _pair_json(pair: ComparedPair, order: list[str]) -> Json:
    """The difference of the run ahead in ``order`` less the other."""
    cell, sign = pair.overall.cell, 1
    a, b = order.index(pair.a), order.index(pair.b)
    low, high = cell.interval or (0.0, 0.0)
    if a > b:
        a, b, sign, low, high = b, a, -1, -high, -low
    return {
        "a": a,
        "b": b,
        "value": sign * (cell.value or 0.0),
        "ends": cell.interval and (low, high),
        "n": cell.n,
        "p": pair.overall.adjusted_p,
        "significant": pair.overall.is_significant,
        **json_of(pair.agreement, "same", "kappa"),
    }


def _sample_json(sample: SharedSample, order: list[str]) -> list[object]:
    """The index, a list of them where runs spell it differently; what it is; and how the question begins."""
    names = [sample.rows[label].sample.index for label in order]
    about = " · ".join(value for axis in AXES if (value := sample.on_axis(axis)))
    return [names[0] if len(set(names)) == 1 else names, about, (sample.row.sample.question or "")[:_QUESTION]]
