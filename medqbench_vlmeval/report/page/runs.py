"""What the page says of each run beside its samples: names, numbers, findings, counts and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.report.checks import checks_of
from medqbench_vlmeval.report.render_findings import absent_findings, findings_of, title_of, words_of
from medqbench_vlmeval.report.rows import data_hash
from medqbench_vlmeval.report.runs import (
    MEASURES,
    OVERALL,
    TASK_TITLES,
    RunPart,
    mapping,
    number,
    parts_of,
    text,
    whole,
)
from medqbench_vlmeval.report.sheet_overview import BASELINE_NOTE, COUNT_TITLES
from medqbench_vlmeval.report.text import storable
from medqbench_vlmeval.tasks import Task

_AXIS_OF = {
    "modality_gap": "modality",
    "image_source": "source",
    "severity_profile": "severity",
    "general_vs_specific": "scope",
    "coarse_vs_fine": "difficulty",
}
_DIFFERENCES = ("points", "correlation", "score")


@dataclass(frozen=True)
class PageRun:
    """One run: ``key`` names it in links and is unique on the page, ``label`` on the screen."""

    key: str
    label: str
    parts: tuple[RunPart, ...]

    @property
    def model(self) -> str:
        return storable(self.parts[0].model)


def page_runs(scores: Sequence[Mapping[str, Any]]) -> list[PageRun]:
    """The runs with names that tell them apart.

    Raises:
        BadInput: a score is not a result of this package.
    """
    keys: set[str] = set()
    runs = []
    for score in scores:
        parts = parts_of(score)
        name, label = (storable(sign.join((parts[0].model, parts[0].dataset))) for sign in ("_", " · "))
        key, count = name, 1
        while key in keys:
            count += 1
            key = f"{name}-{count}"
        keys.add(key)
        runs.append(PageRun(key, label if count == 1 else f"{label} ({count})", parts))
    return runs


def run_facts(run: PageRun) -> dict[str, Any]:
    """A run as the page's script reads it."""
    return {
        "key": run.key,
        "label": run.label,
        "model": run.model,
        "baseline": BASELINE_NOTE if any(part.baseline for part in run.parts) else None,
        "parts": [_part_facts(part) for part in run.parts],
    }


def unit(task: Task) -> str:
    """'percent' for shares of right answers, 'score' for means of verdicts."""
    return "percent" if task is Task.PERCEPTION else "score"


def _part_facts(part: RunPart) -> dict[str, Any]:
    measures = (OVERALL, *(measure for measure in MEASURES[part.task] if measure != OVERALL))
    return {
        "task": part.task.value,
        "title": TASK_TITLES[part.task],
        "unit": unit(part.task),
        "n": part.n,
        "comparable": part.comparable,
        "because": list(part.reasons),
        "measures": [[name, part.values[name], part.intervals.get(name), part.measure_n(name)] for name in measures],
        "counts": [[COUNT_TITLES[name], count] for name, count in part.counts.items() if name in COUNT_TITLES],
        "findings": [_finding_facts(name, found) for name, found in findings_of(part)],
        "absent": [[words_of(name), reason] for name, reason in absent_findings(part).items()],
        "checks": checks_of(part),
        "settings": [[name, value] for name, value in _settings(part) if value],
    }


def _finding_facts(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = number(found.get("low")), number(found.get("high"))
    open_ = found.get("unit") in _DIFFERENCES and (low is None or high is None or low <= 0 <= high)
    return {
        "title": title_of(name, found),
        "statement": str(found["statement"]),
        "few": found.get("few") is True,
        "open": open_,
        "method": text(found.get("method")),
        "links": [list(link) for link in _links(name, mapping(found.get("details")))],
    }


def _links(name: str, details: Mapping[str, Any]) -> Iterator[tuple[str, str, float | None, int | None, bool]]:
    """The groups that a finding speaks of and that the browser can show: axis, group, value, n, failed ones only."""
    axis = _AXIS_OF.get(name)
    if axis is not None:
        for group, cell in mapping(details.get("groups")).items():
            yield axis, str(group), number(mapping(cell).get("value")), whole(mapping(cell).get("n")), True
    if name == "error_kinds":
        for kind, cell in mapping(details.get("kinds")).items():
            yield "kind", str(kind), None, whole(mapping(cell).get("count")), False


def _settings(part: RunPart) -> Iterator[tuple[str, str | None]]:
    yield "Model", part.model
    yield "Dataset", part.dataset
    yield "Data sha256", data_hash(part)
    yield "Data revision", text(part.data.get("revision"))
    yield "Prompt style", part.setting("prompt", "style")
    yield "Prompt sha256", part.setting("prompt", "sha256")
    yield "Judge", part.setting("judge", "name")
    yield "Judge served as", part.setting("judge", "served_as")
    yield "Protocol", part.setting("protocol", "name")
    yield "Protocol sha256", part.setting("protocol", "sha256")
    yield "Prediction file", part.setting("prediction_file", "name")
    yield "Prediction file sha256", part.setting("prediction_file", "sha256")
    yield "Versions", ", ".join(f"{name} {found}" for name, found in mapping(part.settings.get("versions")).items())
    yield "Date", text(part.settings.get("created"))
    yield "Intervals", text(mapping(part.score.get("intervals")).get("method"))
