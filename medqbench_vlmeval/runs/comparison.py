"""The records of a comparison of runs, and ``compare.json``, which holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.runs.result import json_of
from medqbench_vlmeval.scoring.compare import (
    ALPHA,
    AXES,
    INTERVAL_METHOD,
    MDE_METHOD,
    POWER,
    Difference,
    PairedComparison,
    RankedRun,
)
from medqbench_vlmeval.scoring.items import FEWEST_MODELS, SECOND_LOOK, Item, analyse_items
from medqbench_vlmeval.types import LEVEL, Run, SampleRow

METHODS: Mapping[str, str | Mapping[str, str]] = {
    **json.loads(Path(__file__).with_name("methods.json").read_text(encoding="utf-8")),
    "interval": INTERVAL_METHOD,
    "detectable": MDE_METHOD,
}
_LISTED = 10  # indexes that are listed of samples which are not compared


@dataclass(frozen=True)
class RunSet:
    """What a user named as one: a model's run, or its runs of several datasets from one folder. Labels differ."""

    label: str
    model: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class LeftOut:
    """Indexes of samples that a pair is not compared on; ``changed`` are by what differs, ``unscored`` on one side."""

    only_in_a: tuple[str, ...] = ()
    only_in_b: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()

    @property
    def differing(self) -> list[str]:
        """What differs between samples of one index: 'answer', 'image', 'options', 'question', 'reference'."""
        return sorted({name for names in self.changed.values() for name in names})


@dataclass(frozen=True)
class ComparedPair(PairedComparison):
    """Two runs, by label: their difference on all samples that both have and by group, and what is left out."""

    a: str
    b: str
    left_out: LeftOut

    @property
    def values(self) -> dict[str, float]:
        """Overall of each."""
        return {self.a: self.overall.a, self.b: self.overall.b}


@dataclass(frozen=True)
class SharedSample:
    """A sample that all runs have: each run's row and score (0 or 1, or the sum of four verdicts) by label."""

    index: str
    rows: Mapping[str, SampleRow]
    scores: Mapping[str, float]

    @property
    def differs(self) -> bool:
        """Whether two runs' scores differ."""
        return len({round(score, 9) for score in self.scores.values()}) > 1

    @property
    def row(self) -> SampleRow:
        """The first run's row."""
        return next(iter(self.rows.values()))

    def on_axis(self, axis: str) -> str | None:
        """The sample's group, from the first run that says it."""
        return next((value for row in self.rows.values() if (value := getattr(row.sample, axis))), None)


@dataclass(frozen=True)
class ComparedTask:
    """One task: every pair of the runs that have it and, of more than two, their ranking. With a ``baseline`` there are
    the others' differences from it alone, the best first, and no ranking. ``samples`` are those that all scored."""

    task: Task
    dataset: str | None
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    pairs: tuple[ComparedPair, ...]
    ranking: tuple[RankedRun, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    samples: tuple[SharedSample, ...]
    baseline: str | None = None

    @cached_property
    def items(self) -> list[Item]:
        """The analysis of the samples that all of five runs or more have (see :func:`~..scoring.items.analyse_items`),
        first those worth a second look (on which most stronger runs agree), then others with a note."""
        if len(self.runs) < FEWEST_MODELS or not self.samples:
            return []
        rows = [list(sample.rows.values()) for sample in self.samples]
        letters = [[row.extracted for row in of] for of in rows] if self.task.is_choice else None
        scores = [list(sample.scores.values()) for sample in self.samples]
        items = analyse_items([of[0].sample for of in rows], scores, letters)
        agree = {id(item): max(item.chosen.values(), default=0) if item.notes else 0 for item in items}
        low = {id(item): item.discrimination.value or 0.0 for item in items}
        return sorted(items, key=lambda of: (SECOND_LOOK not in of.notes, not of.notes, -agree[id(of)], low[id(of)]))

    @property
    def unit(self) -> str:
        """What the numbers are in."""
        return "percent" if self.task.is_choice else "mean verdict (0-2), sum of four (0-8)"


@dataclass(frozen=True)
class RunComparison:
    """Runs on the samples that they have in common, task by task; ``not_compared`` says what one of them alone has."""

    run_sets: tuple[RunSet, ...]
    seed: int
    parts: tuple[ComparedTask, ...]
    not_compared: tuple[str, ...]
    baseline: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of ``compare.json`` but for ``disagreements``."""
        return {
            "runs": [
                {**json_of(run_set, "label", "model"), "results": [_run_json(run) for run in run_set.runs]}
                for run_set in self.run_sets
            ],
            **({} if self.baseline is None else {"baseline": self.baseline}),
            "seed": self.seed,
            "level": LEVEL,
            "alpha": ALPHA,
            "power": POWER,
            "methods": METHODS,
            "not_compared": list(self.not_compared),
            "parts": [_part_json(part) for part in self.parts],
        }


def disagreements_to_json(comparison: RunComparison) -> list[dict[str, Any]]:
    """The samples on which runs differ: each run's score and, of perception, what was read."""
    return [
        {"task": part.task.value, "index": sample.index, **{axis: sample.on_axis(axis) for axis in AXES}}
        | {"answer": sample.row.sample.answer, "scores": dict(sample.scores)}
        | {"extracted": {label: row.extracted for label, row in sample.rows.items()}}
        for part in comparison.parts
        for sample in part.samples
        if sample.differs
    ]


def _run_json(run: Run) -> dict[str, Any]:
    result, settings = run.result, run.result.settings
    protocol, judge = settings.protocol, settings.judge
    return {
        "file": run.paths.score.name,
        "folder": str(run.paths.score.parent),
        "dataset": result.dataset,
        "task": result.task.value,
        "n": len(run.rows),
        **json_of(result, "baseline", "comparable"),
        "prompt_style": settings.prompt_style,
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "protocol_sha256": protocol.sha256,
        "judge": judge.name if judge else None,
        "judge_served_as": judge.served_as if judge else None,
        "data": {task: json_of(data, "sha256", "revision", "samples_sha256") for task, data in settings.data.items()},
        "medqbench_vlmeval": settings.versions.get("medqbench_vlmeval"),
        "kit": settings.versions.get("kit"),
        "created": settings.created,
    }


def _part_json(part: ComparedTask) -> dict[str, Any]:
    ranking = [
        {**json_of(ranked, "run", "place", "places"), **json_of(ranked.cell, "value", "low", "high", "n")}
        for ranked in part.ranking
    ]
    return {
        "task": part.task.value,
        **json_of(part, "dataset", "unit", "runs", "warnings", "notes"),
        **({"ranking": ranking} if ranking else {}),
        "pairs": [_pair_json(pair) for pair in part.pairs],
        "n_disagreements": sum(sample.differs for sample in part.samples),
        **({"items": [item_to_json(item) for item in part.items]} if part.items else {}),
    }


def item_to_json(item: Item) -> dict[str, Any]:
    """A line of the item analysis."""
    cells = {"difficulty": item.difficulty, "discrimination": item.discrimination}
    numbers = {name: json_of(cell, "value", "low", "high", "n") for name, cell in cells.items()}
    return {"index": item.sample.index, **numbers, **json_of(item, "p", "chosen", "notes")}


def _pair_json(pair: ComparedPair) -> dict[str, Any]:
    indexes = json_of(pair.left_out, "only_in_a", "only_in_b", "changed", "unscored")
    left_out = {why: {"n": len(of), "first": list(of)[:_LISTED]} for why, of in indexes.items()}
    left_out["changed"]["differing"] = pair.left_out.differing
    return {
        **json_of(pair, "a", "b"),
        "overall": _difference_json(pair.overall),
        "axes": {
            axis: {name: _difference_json(of) for name, of in groups.items()} for axis, groups in pair.axes.items()
        },
        "agreement": json_of(pair.agreement, "n", "same", "kappa"),
        "left_out": left_out,
        **({} if pair.distinct is None else {"distinct": pair.distinct}),
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    cell = difference.cell
    no_interval = {} if difference.no_interval is None else {"no_interval": difference.no_interval}
    of_reasoning = json_of(difference, "method", "sd") if difference.method else {}
    return {
        **json_of(difference, "a", "b", "p", "p_clustered", "p_holm", "detectable"),
        "difference": cell.value,
        **json_of(cell, "low", "high", "n", "n_clusters", "few"),
        **no_interval,
        **cell.counts,
        **of_reasoning,
    }


def normalised(text: str | None) -> str | None:
    """A text whose spaces at the ends and line ends do not matter; None for the empty one."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip() if text else None
