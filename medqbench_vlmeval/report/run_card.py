"""A card a run, in Markdown: numbers, what they rest on, what they may not be compared with, and how to get them again.

The front matter is the hub's model-index, so that a card can be the start of a model card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_text
from medqbench_vlmeval.judge.private import shown_extra, shown_url
from medqbench_vlmeval.report.checks import checks_of
from medqbench_vlmeval.report.labels import one_line
from medqbench_vlmeval.report.markup import markdown_text
from medqbench_vlmeval.report.model_index import metadata_block
from medqbench_vlmeval.report.paper_rows import value_text
from medqbench_vlmeval.report.points import Point, cell_point, measure_point
from medqbench_vlmeval.report.render_findings import findings_lines
from medqbench_vlmeval.report.run_command import part_run, run_again, score_again, shown_command
from medqbench_vlmeval.report.runs import (
    MEASURES,
    OVERALL,
    TASK_TITLES,
    RunPart,
    mapping,
    parts_of,
    text,
)
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

_AXES = ("modality", "severity", "scope", "difficulty", "source")
_COUNTS = {
    "n": "samples",
    "n_correct": "right",
    "n_scored": "scored",
    "n_unanswered": "unanswered, counted as wrong",
    "n_unscored": "unscored, left out of the means",
    "n_inference_failed": "inference failed",
    "n_missing": "prediction missing",
    "n_cut": "prediction cut by its spreadsheet",
}


def run_card(score: Mapping[str, Any], command: str | Sequence[str] | None = None) -> str:
    """The card of a run, front matter included (see :func:`.model_index.metadata_block`).

    Args:
        score: the run's ``_score.json``.
        command: the command that was run, as a text or in words, where it is known; keys in it are masked.

    Raises:
        BadInput: ``score`` is not a result of this package.
    """
    parts = parts_of(score)
    blocks = [f"# {markdown_text(parts[0].model)} on MedQ-Bench", _what(parts)]
    for part in parts:
        blocks += [f"## {TASK_TITLES[part.task]}", _status(part), _numbers(part), *_groups(part)]
        if checks := checks_of(part):
            blocks.append(_bullets(checks))
        if found := findings_lines(part):
            blocks += ["### Findings", _bullets(found)]
    blocks += ["## Data", *map(_data, parts), "## Settings", _settings(parts[0])]
    blocks += ["## How to get these numbers again", *_again(parts, command)]
    return f"{metadata_block(score)}\n" + "\n\n".join(block for block in blocks if block) + "\n"


def write_card(path: Path, score: Mapping[str, Any], command: str | Sequence[str] | None = None) -> None:
    """Write a run's card (see :func:`run_card`).

    Raises:
        BadInput: ``score`` is not a result of this package.
        RunFailed: the file cannot be written.
    """
    card = run_card(score, command)
    try:
        write_text(path, card)
    except OSError as error:
        raise RunFailed(f"{path} cannot be written: {error.strerror or error}.") from error


def _what(parts: Sequence[RunPart]) -> str:
    first = parts[0]
    tasks = " and ".join(TASK_TITLES[part.task] for part in parts)
    created = text(first.settings.get("created"))
    line = f"{tasks} on {markdown_text(first.dataset)}" + (f", {markdown_text(created)}." if created else ".")
    return line + (" A baseline without weights, for orientation." if first.baseline else "")


def _status(part: RunPart) -> str:
    if part.comparable:
        return "**Comparable with the published results.**"
    reasons = part.reasons or ("the result does not say why",)
    return f"**Not comparable with the published results:** {'; '.join(map(markdown_text, reasons))}."


def _numbers(part: RunPart) -> str:
    unit = "accuracy, %" if part.task is Task.PERCEPTION else "mean, 0-2 (Overall: their sum, 0-8)"
    measures = (OVERALL, *MEASURES[part.task][:-1])
    rows = [(measure, measure_point(part, measure)) for measure in measures]
    counts = [f"{_COUNTS[name]} {count:,}" for name, count in part.counts.items() if name == "n" or count]
    method = text(mapping(part.score.get("intervals")).get("method"))
    after = [f"Of {'; '.join(counts)}."] if counts else []
    after += [f"Intervals: {markdown_text(method)}."] if method else []
    return "\n\n".join([_table("", unit, part.task, rows), " ".join(after)])


def _groups(part: RunPart) -> Iterator[str]:
    unit = "accuracy, %" if part.task is Task.PERCEPTION else "sum of means, 0-8"
    for axis in _AXES:
        cells = mapping(part.groups.get(axis))
        rows = [(str(name), cell_point(part.task, mapping(cell))) for name, cell in cells.items()]
        if rows:
            yield _table(f"By {axis}", unit, part.task, rows)


def _table(head: str, unit: str, task: Task, rows: Sequence[tuple[str, Point]]) -> str:
    lines = [f"| {head} | {unit} | 95% interval | n |", "| --- | ---: | --- | ---: |"]
    for name, point in rows:
        ends = " to ".join(value_text(task, end) for end in point.ends) if point.ends else "–"
        few = f" (fewer than {FEW})" if point.few else ""
        count = "–" if point.n is None else f"{point.n:,}{few}"
        lines.append(f"| {markdown_text(name)} | {value_text(task, point.value)} | {ends} | {count} |")
    return "\n".join(lines)


def _data(part: RunPart) -> str:
    data, columns = part.data, mapping(part.data.get("columns"))
    path = text(data.get("path"))
    facts = [
        # Only the name: where a file lies on somebody's disk is nobody's business.
        ("file", _file_name(path) if path else None),
        ("origin", text(data.get("origin"))),
        ("hub revision", text(data.get("revision"))),
        ("sha256 of the file", text(data.get("sha256"))),
        ("sha256 of the samples", text(data.get("samples_sha256"))),
        ("samples", None if part.n is None else f"{part.n:,}"),
        ("inferred columns", _listed(columns.get("inferred"))),
        ("absent columns", _listed(columns.get("absent"))),
    ]
    return f"{TASK_TITLES[part.task]}:\n\n" + _facts(facts)


def _settings(part: RunPart) -> str:
    judge, protocol = mapping(part.settings.get("judge")), mapping(part.settings.get("protocol"))
    extractor = mapping(part.settings.get("extractor"))
    versions = mapping(part.settings.get("versions"))
    url = text(judge.get("base_url"))
    return _facts(
        [
            ("prompt style", part.setting("prompt", "style")),
            ("sha256 of the prompt", part.setting("prompt", "sha256")),
            ("protocol", text(protocol.get("name"))),
            ("version of the protocol", text(protocol.get("version"))),
            ("sha256 of the protocol", text(protocol.get("sha256"))),
            ("rounds", text(protocol.get("rounds"))),
            ("judge", text(judge.get("name"))),
            ("judge served as", text(judge.get("served_as"))),
            ("judge at", shown_url(url) if url else None),
            ("parameters of the judge", _listed(shown_extra(mapping(judge.get("parameters"))))),
            ("extractor", text(extractor.get("name"))),
            ("prediction file", part.setting("prediction_file", "name")),
            ("sha256 of the predictions", part.setting("prediction_file", "sha256")),
            *((f"version of {name}", text(version)) for name, version in versions.items()),
        ]
    )


def _again(parts: Sequence[RunPart], command: str | Sequence[str] | None) -> Iterator[str]:
    if command:
        yield "The command that was run:"
        yield _fenced(shown_command(command))
    whole = run_again(parts)
    if whole:
        yield "Inference and scoring, in a checkout of this package (keys come from the environment):"
        yield _fenced(whole)
    yield "Scoring alone, from the prediction file:"
    yield _fenced(score_again(parts))
    if not whole:
        yield "The data are a file of their own: name it with `--data` where the predictions do not hold it."
    origins = {text(part.data.get("origin")) for part in parts}
    if origins & {"file", "folder"}:
        yield "The data were a local file: set `MEDQBENCH_DATA` to its folder and check its sha256."
    if part_run(parts) is not None:
        yield (
            "Not all samples were run. `--limit` picks the same ones for every model; the sha256 of the samples above "
            "tells whether they are those of this run."
        )
    elif any("samples; the published rows are of" in reason for part in parts for reason in part.reasons):
        yield "A part of the samples is had with `--limit N`, which picks the same ones for every model."


def _facts(facts: Sequence[tuple[str, str | None]]) -> str:
    return "\n".join(f"- {markdown_text(name)}: {markdown_text(value)}" for name, value in facts if value)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def _listed(value: object) -> str | None:
    if isinstance(value, Mapping):
        return (
            ", ".join(f"{name}: {one_line(str(inner))}" for name, inner in value.items() if inner is not None) or None
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or None
    return None


def _fenced(line: str) -> str:
    """A code block whose fence is longer than any in the line."""
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{line}\n{fence}"


def _file_name(path: str) -> str:
    return PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name
