"""What is put side by side: one contender for each run or folder that a user names, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation.pairing import Entry, entries_of
from medqbench_vlmeval.evaluation.runs import ScoredPart, ScoredRun, find_runs, read_run, refuse_twice
from medqbench_vlmeval.report.runs import mapping, text
from medqbench_vlmeval.tasks import Task


@dataclass(frozen=True)
class Contender:
    """One model's run, or its runs of several datasets from one folder. ``label`` is unlike all others' labels."""

    label: str
    model: str
    runs: tuple[ScoredRun, ...]


@dataclass(frozen=True)
class Side:
    """One contender in one task."""

    label: str
    run: ScoredRun
    part: ScoredPart

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The samples by index, in an order that does not depend on the file's."""
        return entries_of(self.part)


@dataclass(frozen=True)
class Match:
    """A task with the contenders that have it, two at least; ``dataset`` is None where one task needs no name."""

    task: Task
    dataset: str | None
    sides: tuple[Side, ...]


def read_contenders(places: Sequence[Path]) -> list[Contender]:
    """Read what the user named: a run each, or a folder with one model's runs of several datasets.

    Raises:
        BadInput: fewer than two are named, a place holds no whole run, or several of one dataset or of several models.
    """
    if len(places) < 2:
        raise BadInput("A comparison needs two runs or more: name their '*_score.json', prediction files or folders.")
    by_place = [find_runs(place) for place in places]
    refuse_twice([paths for found in by_place for paths in found])
    runs_of = [[read_run(paths) for paths in found] for found in by_place]
    for place, runs in zip(places, runs_of, strict=True):
        _one_of_each(place, runs)
    models = [runs[0].model for runs in runs_of]
    return [
        Contender(label, model, tuple(runs))
        for label, model, runs in zip(_labels(models), models, runs_of, strict=True)
    ]


def match_tasks(contenders: Sequence[Contender]) -> tuple[list[Match], list[str]]:
    """The tasks that two contenders or more have, and what only one of them has, a sentence each.

    A task that a contender has in several datasets is matched by the dataset's name, else by the task alone.

    Raises:
        BadInput: there is no such task.
    """
    sides: dict[tuple[Task, str | None], list[Side]] = {}
    several = {
        task
        for contender in contenders
        for task, count in Counter(part for run in contender.runs for part in run.parts).items()
        if count > 1
    }
    for contender in contenders:
        for run in contender.runs:
            for task, part in run.parts.items():
                key = (task, run.dataset if task in several else None)
                sides.setdefault(key, []).append(Side(contender.label, run, part))
    order = list(Task)
    keys = sorted(sides, key=lambda key: (order.index(key[0]), key[1] or ""))
    matches = [Match(*key, tuple(sides[key])) for key in keys if len(sides[key]) > 1]
    alone = [f"{one.label} alone has {one.run.dataset} ({key[0].value})" for key in keys for one in _lonely(sides[key])]
    if not matches:
        raise BadInput(f"These runs have no task in common: {'; '.join(alone)}.")
    return matches, alone


def _lonely(sides: Sequence[Side]) -> Sequence[Side]:
    return sides if len(sides) == 1 else ()


def _one_of_each(place: Path, runs: Sequence[ScoredRun]) -> None:
    models = list(dict.fromkeys(run.model for run in runs))
    if len(models) > 1:
        raise BadInput(f"{place} holds runs of several models ({', '.join(models[:5])}); name the runs one by one.")
    datasets = Counter(run.dataset for run in runs)
    for dataset, count in datasets.items():
        if count > 1:
            names = ", ".join(run.paths.score.name for run in runs if run.dataset == dataset)
            raise BadInput(f"{place} holds {count} runs of {dataset} ({names}); name one of them.")


def _labels(models: Sequence[str]) -> list[str]:
    """The models' names, numbered in the order given where several are alike."""
    labels: list[str] = []
    for model in models:
        number, label = 1, model
        while models.count(model) > 1 or label in labels:
            label = f"{model} #{number}"
            number += 1
            if label not in labels and label not in models:
                break
        labels.append(label)
    return labels


def described(contender: Contender) -> dict[str, Any]:
    """A contender as the result names it: its runs with what they were made from and with."""
    return {
        "label": contender.label,
        "model": contender.model,
        "results": [_described(run) for run in contender.runs],
    }


def _described(run: ScoredRun) -> dict[str, Any]:
    settings = run.settings
    prompt, protocol, judge = (mapping(settings.get(name)) for name in ("prompt", "protocol", "judge"))
    data: Mapping[str, Any] = mapping(settings.get("data"))
    versions = mapping(settings.get("versions"))
    return {
        "file": run.paths.score.name,
        "folder": str(run.paths.score.parent),
        "dataset": run.dataset,
        "task": run.task.value,
        "n": len(run.rows),
        "baseline": bool(run.score.get("baseline")),
        "comparable": run.score.get("comparable") is True,
        "prompt_style": text(prompt.get("style")),
        "protocol": text(protocol.get("name")),
        "protocol_version": text(protocol.get("version")),
        "protocol_sha256": text(protocol.get("sha256")),
        "judge": text(judge.get("name")),
        "judge_served_as": text(judge.get("served_as")),
        "data": {
            str(task): {name: text(mapping(found).get(name)) for name in ("sha256", "revision", "samples_sha256")}
            for task, found in data.items()
        },
        "medqbench_vlmeval": text(versions.get("medqbench_vlmeval")),
        "kit": text(versions.get("kit")),
        "created": text(settings.get("created")),
    }
