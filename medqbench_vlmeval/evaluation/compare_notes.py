"""What a reader must know before believing a difference between runs, one sentence each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medqbench_vlmeval.evaluation.contenders import Side
from medqbench_vlmeval.report.runs import mapping, text, whole
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, Task

_JUDGE = ("name", "served_as", "parameters")
_PROTOCOL = ("name", "version", "sha256", "rounds")


def warnings_of(task: Task, sides: Sequence[Side]) -> list[str]:
    """Why a difference may not be one of the models: judges, prompts or data differ as well."""
    notes = []
    if _differ(sides, _judged_by):
        what = "answers were read differently" if task is Task.PERCEPTION else "judged differently"
        mixed = "models and ways of reading" if task is Task.PERCEPTION else "models and judges"
        notes.append(f"{what}: the difference mixes {mixed} ({_each(sides, _judge_name)})")
    if _differ(sides, lambda side: mapping(side.run.settings.get("prompt"))):
        notes.append(f"asked differently: the difference mixes models and prompts ({_each(sides, _style)})")
    splits = {side.label: _split(side) for side in sides}
    if len({split for split in splits.values() if split}) > 1:
        named = _each(sides, lambda side: side.run.dataset)
        notes.append(f"different splits: an index may stand for another sample in each ({named})")
    if _differ(sides, lambda side: {"samples": _data(side).get("samples_sha256")}):
        notes.append("the runs' data differ (hash of the samples): samples that differ are left out")
    elif _differ(sides, lambda side: {"file": _data(side).get("sha256")}):
        notes.append("the runs' data files differ and hold the same texts; the images may differ")
    return notes


def notes_of(task: Task, sides: Sequence[Side], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What else belongs to one task's numbers."""
    return [*_about_runs(task, sides), *_about_samples(task, sides, pairs)]


def _about_runs(task: Task, sides: Sequence[Side]) -> list[str]:
    notes = [
        f"{side.label} is a baseline: a model without weights, no competitor"
        for side in sides
        if side.run.score.get("baseline")
    ]
    apart = [side.label for side in sides if not _is_comparable(side)]
    if apart:
        notes.append(f"not comparable with the published rows: {', '.join(apart)}")
    replies: dict[str, list[str]] = {}
    for side in sides:
        found = text(mapping(side.run.settings.get("prediction_file")).get("content_sha256"))
        if found:
            replies.setdefault(found, []).append(side.label)
    notes += [f"the same replies, every one: {', '.join(labels)}" for labels in replies.values() if len(labels) > 1]
    counted = [("n_missing", "predictions are missing"), ("n_inference_failed", "samples failed in inference")]
    if task is Task.PERCEPTION:
        counted.append(("n_unanswered", "answers could not be read"))
    for name, what in counted:
        counts = {side.label: whole(side.part.score.get(name)) or 0 for side in sides}
        if any(counts.values()):
            meaning = "count as wrong" if task is Task.PERCEPTION else "are left out"
            notes.append(f"{what} and {meaning}: {', '.join(f'{label} {n}' for label, n in counts.items() if n)}")
    return notes


def _about_samples(task: Task, sides: Sequence[Side], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    cells = [pair["overall"] for pair in pairs]
    if any(cell["n_clusters"] < cell["n"] for cell in cells):
        test = "McNemar" if task is Task.PERCEPTION else "Wilcoxon"
        notes.append(
            f"samples share images: {test} takes them as independent; the interval, the p over images and Holm's do not"
        )
    elif not any(entry.images for side in sides for entry in side.entries.values()):
        notes.append(
            "the results name no images, so samples count as independent; where questions share images the intervals "
            "are too narrow"
        )
    few = {cell["n"] for cell in cells if cell.get("few")}
    if few:
        notes.append(f"only {min(few)} samples: no test can show much here")
    return notes


def _differ(sides: Sequence[Side], read: Callable[[Side], Mapping[str, Any]]) -> bool:
    """Whether two sides say different things of one name; what a run does not say shows nothing."""
    said = [read(side) for side in sides]
    names = dict.fromkeys(name for one in said for name in one)
    return any(len({_spelled(one[name]) for one in said if one.get(name) is not None}) > 1 for name in names)


def _spelled(value: object) -> str:
    """A value in one spelling, whatever the order of its names."""
    return json.dumps(value, sort_keys=True, default=str)


def _judged_by(side: Side) -> dict[str, Any]:
    judge, protocol = (mapping(side.run.settings.get(name)) for name in ("judge", "protocol"))
    found = {f"judge {name}": judge.get(name) for name in _JUDGE} | {
        f"protocol {name}": protocol.get(name) for name in _PROTOCOL
    }
    # None where rules alone read the answers, which differs from a model that was asked.
    return found | {"asked": judge.get("name") is not None}


def _judge_name(side: Side) -> str:
    judge, protocol = (mapping(side.run.settings.get(name)) for name in ("judge", "protocol"))
    named = " / ".join(
        str(found) for found in (judge.get("name"), protocol.get("name"), protocol.get("version")) if found is not None
    )
    return named or "unknown"


def _style(side: Side) -> str:
    return text(mapping(side.run.settings.get("prompt")).get("style")) or "unknown"


def _split(side: Side) -> str | None:
    known = ALL_DATASET_NAMES.get(side.run.dataset)
    return known.split.value if known else None


def _is_comparable(side: Side) -> bool:
    return side.part.score.get("comparable", side.run.score.get("comparable")) is True


def _data(side: Side) -> Mapping[str, Any]:
    return mapping(mapping(side.run.settings.get("data")).get(side.part.task.value))


def _each(sides: Sequence[Side], read: Callable[[Side], str]) -> str:
    return "; ".join(f"{side.label}: {read(side)}" for side in sides)
