"""A card a run, in Markdown, with the hub's model-index: numbers, what they rest on, and how to get them again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    OVERALL,
    TASK_TITLES,
    Comparable,
    Split,
    benchmarks,
    known_dataset,
    title_of,
)
from medqbench_vlmeval.data.download import REVISION_VARIABLE
from medqbench_vlmeval.data.sources import hub_file
from medqbench_vlmeval.files import write_text, writing
from medqbench_vlmeval.judge import RULES
from medqbench_vlmeval.judge.options import DEFAULT_PROTOCOL, MOST_TOKENS, PUBLIC_URL
from medqbench_vlmeval.model_use import KIT
from medqbench_vlmeval.provenance import JudgeSettings, Provenance
from medqbench_vlmeval.report.run_tables import COUNT_TITLES, contrast_tables, image_forms, measures_of, overall_by
from medqbench_vlmeval.report.sentences import checks_of, findings_lines
from medqbench_vlmeval.report.standings import data_hash
from medqbench_vlmeval.report.table import Column, table, task_kind
from medqbench_vlmeval.report.text import markdown, markdown_text, one_line
from medqbench_vlmeval.types import Cell, Result, TaskRun

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_AXES = ("modality", "severity", "category", "scope", "difficulty", "source")
# What an evaluation of a part of its samples says of itself.
_PART_RUN = re.compile(r"only (\d+) of \d+ samples were run")
_EMBEDDED = "medqbench-vlmeval-mini"
_DIGITS = 4


def write_card(path: Path, result: Result) -> None:
    """Write a run's card (see :func:`run_card`). Raises RunFailed where the file cannot be written."""
    with writing(path):
        write_text(path, run_card(result))


def run_card(result: Result) -> str:
    """The card of a run, front matter included (see :func:`metadata_block`)."""
    tasks = " and ".join(TASK_TITLES[run.task] for run in result.tasks)
    what = f"{tasks} on {markdown_text(result.dataset)}, {markdown_text(_minute(result.settings.created))}."
    if result.baseline:
        what += " A baseline without weights, for orientation."
    blocks = [f"# {markdown_text(result.model)} on {benchmarks(run.task for run in result.tasks)}", what]
    for run in result.tasks:
        status = f"{run.result.comparable.words.capitalize()} with the published results"
        reasons = "; ".join(map(markdown_text, run.result.not_comparable_because))
        status = f"**{status}.**" if run.result.comparable is Comparable.YES else f"**{status}:** {reasons}."
        blocks += [f"## {TASK_TITLES[run.task]}", status, *_numbers(run)]
        for head, lines in (("", checks_of(run)), ("### Findings", findings_lines(run))):
            if lines:
                blocks += [head, "\n".join(f"- {markdown_text(line)}" for line in lines)]
    data = [f"{TASK_TITLES[run.task]}:\n\n{_facts(data_facts(run))}" for run in result.tasks]
    blocks += ["## Data", *data, "## Settings", _facts(settings_facts(result.settings))]
    blocks += ["## How to get these numbers again", *_again(result)]
    return f"{metadata_block(result)}\n" + "\n\n".join(block for block in blocks if block) + "\n"


def _minute(created: str) -> str:
    """A time as people write it; what is no ISO 8601 time stays as it is."""
    try:
        return f"{datetime.fromisoformat(created).astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return created


def _numbers(run: TaskRun) -> Iterator[str]:
    part, perception = run.result, run.task.is_choice

    def numbers(head: str, unit: str, cells: Mapping[str, Cell]) -> str:
        heads = (Column(head), Column("accuracy, %" if perception else unit, task_kind(run.task), interval="", n="n"))
        return markdown(table("", heads, cells.items())).rstrip()

    measures = {measure: part.measures[measure] for measure in measures_of(run.task)}
    yield numbers("", "mean, 0-2 (Overall: their sum, 0-8)", measures)
    titles = {name: title for name, title in COUNT_TITLES.items() if name == "n" or part.counts.get(name)}
    counts = "; ".join(f"{title}: {part.counts[name]:,}" for name, title in titles.items())
    yield f"{counts}. Intervals: {markdown_text(part.interval_method)}."
    for axis in _AXES:
        if groups := overall_by(run, axis):
            yield numbers(f"By {axis}", "sum of means, 0-8", groups)
    yield from (markdown(each).rstrip() for each in contrast_tables(part))


def data_facts(run: TaskRun) -> dict[str, str | None]:
    """What is known of a task's data, by name."""
    data = run.data
    return {
        # Only the name: where a file lies on somebody's disk is nobody's business.
        "file": PureWindowsPath(data.path).name if data.path else None,
        "origin": data.origin,
        "hub revision": data.revision,
        "sha256 of the file": data.sha256,
        "sha256 of the samples": data.samples_sha256,
        "samples": f"{data.n:,}",
        "columns named by the user": _listed({of: data.columns.read.get(of, "empty") for of in data.columns.named}),
        "inferred columns": _listed(data.columns.inferred),
        "absent columns": ", ".join(data.columns.absent),
        "image forms": image_forms(run),
    }


def settings_facts(settings: Provenance) -> dict[str, str | None]:
    """What a result was made with, by name."""
    judge, protocol, use = settings.judge or JudgeSettings(""), settings.protocol, settings.model_use
    facts: dict[str, str | None] = {
        "prompt style": settings.prompt_style,
        "sha256 of the prompt": settings.prompt_sha256,
        "protocol": protocol.name,
        "version of the protocol": protocol.version,
        "sha256 of the protocol": protocol.sha256,
        "rounds": None if protocol.rounds is None else str(protocol.rounds),
        "model's class": f"{use.model_class}, {use.n_calls:,} questions" if use else None,
        "generation": _listed(use.generation) if use else None,
        "pixel limits": _listed(use.pixel_limits) if use else None,
        "images": use.images.in_words() if use and use.images else "how they were sent is not on record",
        "judge": judge.name,
        "judge served as": judge.served_as,
        "judge at": judge.base_url,
        "parameters of the judge": _listed(judge.parameters),
        "extractor": settings.extractor.name if settings.extractor else None,
        "prediction file": settings.prediction_file.name,
        "sha256 of the predictions": settings.prediction_file.sha256,
    }
    return facts | {f"version of {name}": version for name, version in settings.versions.items()}


def _facts(facts: Mapping[str, str | None]) -> str:
    return "\n".join(f"- {markdown_text(name)}: {markdown_text(value)}" for name, value in facts.items() if value)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {one_line(str(value))}" for name, value in values.items() if value is not None)


def _again(result: Result) -> Iterator[str]:
    """The commands that make a run again, with what else is to be known."""
    whole = run_again(result)
    if whole:
        yield "Inference and scoring, in a checkout of this package (keys come from the environment):"
        yield _fenced(whole)
    yield "Scoring alone, from the prediction file:"
    yield _fenced(score_again(result))
    if any(run.data.origin in ("file", "folder") for run in result.tasks):
        yield "The data were a local file: set `MEDQBENCH_DATA` to its folder and check its sha256."
    if _limit(result):
        yield (
            "Not all samples were run. `--limit` picks the same ones for every model; the sha256 of the samples above "
            "tells whether they are those of this run."
        )
    elif any("samples; the published rows are of" in reason for reason in result.not_comparable_because):
        yield "A part of the samples is had with `--limit N`, which picks the same ones for every model."


def run_again(result: Result) -> str | None:
    """``python run.py ...`` for a run of one of the benchmark's datasets, None for one of a file of its own; what a
    result does not record is left to its default."""
    if known_dataset(result.dataset) is None:
        return None
    words = ["python", "run.py", "--data", result.dataset, "--model", result.model]
    if result.settings.prompt_style not in (None, "official"):
        words += ["--prompt-style", str(result.settings.prompt_style)]
    if (use := result.settings.model_use) and use.images:
        asked = {"--image-bytes": use.images.image_bytes, "--image-detail": use.images.image_detail}
        words += [word for option, choice in asked.items() if choice != KIT for word in (option, choice)]
    words += [*_limit(result), *_judge_words(result, for_run=True)]
    revisions = {run.data.revision for run in result.tasks}
    revision = revisions.pop() if len(revisions) == 1 else None
    return (f"{REVISION_VARIABLE}={_command([revision])} " if revision else "") + _command(words)


def score_again(result: Result) -> str:
    """``medqbench score ...`` on the run's prediction file, which needs neither the kit nor the model."""
    words = ["medqbench", "score", result.settings.prediction_file.name]
    if known_dataset(result.dataset):
        # Without the limit, samples that nobody asked the model about would count as wrong.
        words += ["--data", result.dataset, *_limit(result)]
    elif files := [facts["file"] for run in result.tasks if (facts := data_facts(run))["origin"] == "file"]:
        words += ["--data", str(files[0]), *_limit(result)]
    return _command([*words, "--model", result.model, *_judge_words(result, for_run=False), "--out", "results"])


def _command(words: Sequence[str]) -> str:
    return shlex.join(map(one_line, words))


def _limit(result: Result) -> list[str]:
    """The option that picks the same samples again; none for a run of all samples."""
    matches = map(_PART_RUN.fullmatch, result.not_comparable_because)
    return next((["--limit", match[1]] for match in matches if match), [])


def _judge_words(result: Result, for_run: bool) -> list[str]:
    """The judge's options; a run of the kit takes what it has no option for in ``--judge-args``."""
    judge = result.settings.judge
    if judge is None:
        return [] if result.settings.extractor is None else ["--extractor", result.settings.extractor.name]
    words = ["--judge", judge.name.replace(", ", ",")]
    if judge.name == RULES:
        return words
    protocol = result.settings.protocol.name
    panel = []
    for member in judge.members:
        # A member by what it does not share with a judge of no options.
        own = member.protocol.name if member.protocol is not None else protocol
        asked_by = {} if own == DEFAULT_PROTOCOL or member.name == RULES else {"protocol": own}
        panel.append({"model": member.name, **_parameters(member), **asked_by})
    arguments: dict[str, Any] = {"panel": panel} if any(len(member) > 1 for member in panel) else {}
    if not panel:
        arguments = _parameters(judge)
        if url := arguments.pop("base_url", None):
            words += ["--judge-base-url", url]
        if protocol != DEFAULT_PROTOCOL and for_run:
            arguments["protocol"] = protocol
        elif protocol != DEFAULT_PROTOCOL:
            words += ["--protocol", protocol]
    return [*words, "--judge-args", json.dumps(arguments, ensure_ascii=False)] if arguments else words


def _parameters(judge: JudgeSettings) -> dict[str, Any]:
    """What of a judge's address and parameters is not the default."""
    # Results of earlier versions say None where nothing was given.
    defaults = {"temperature": (0.0,), "max_tokens": (None, MOST_TOKENS)}
    changed = {name: value for name, value in judge.parameters.items() if value not in defaults.get(name, ())}
    return {**({"base_url": judge.base_url} if judge.base_url not in (None, PUBLIC_URL) else {}), **changed}


def _fenced(line: str) -> str:
    """A code block whose fence is longer than any in the line."""
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{line}\n{fence}"


def metadata_block(result: Result) -> str:
    """The front matter of a model card, from '---' to '---': a result a task, a metric a measure that has a number,
    with n, interval and whether it is comparable."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        model_name=one_line(result.model) or "unnamed",
        eval_results=[evaluation for run in result.tasks for evaluation in _evaluations(run)] or None,
        pipeline_tag="image-text-to-text",
        tags=["medical", "image-quality-assessment", benchmarks(result.parts)],
    )
    # A name with a line end, or one that YAML would read as a number, is quoted by the dumper.
    return f"---\n{data.to_yaml()}\n---\n"


def _evaluations(run: TaskRun) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    title = title_of(run.task)
    # The hub's names for tasks.
    task_type, metric_type = "visual-question-answering", "accuracy"
    if not run.task.is_choice:
        task_type, metric_type = "image-text-to-text", "judge-score"
    repository, split, set_title = "custom", None, ""
    if name := ALL_DATASET_NAMES.get(run.result.dataset):
        split = name.split.value
        embedded, published = name.split is Split.MINI, hub_file(run.task, name.split).repository
        repository, set_title = (_EMBEDDED, " (embedded set)") if embedded else (published, f" ({split})")
    settings = run.settings
    facts = {
        "dataset": run.result.dataset,
        "sha256": data_hash(run),
        "prompt_style": settings.prompt_style,
        "judge": settings.judge and settings.judge.name,
        "protocol": settings.protocol.name,
        "protocol_sha256": settings.protocol.sha256,
    }
    arguments = {name: one_line(value) for name, value in facts.items() if value}
    for measure in measures_of(run.task):
        cell = run.result.measures[measure]
        if cell.value is None:
            continue
        metric: dict[str, Any] = {"comparable_with_published": run.result.comparable.value, "n": cell.n}
        if cell.interval is not None:
            metric["interval_95"] = [round(end, _DIGITS) for end in cell.interval]
        unit = "percent" if run.task.is_choice else "0-8" if measure == OVERALL else "0-2"
        yield EvalResult(
            task_type=task_type,
            task_name=title,
            dataset_type=repository,
            dataset_name=f"{title}{set_title}",
            # Two tasks of one repository are two results.
            dataset_config=run.task.value,
            dataset_split=split,
            dataset_revision=one_line(run.data.revision) if run.data.revision else None,
            dataset_args=arguments,
            metric_type=metric_type,
            metric_name=f"{measure} ({unit})",
            metric_value=round(cell.value, _DIGITS),
            metric_args=metric,
        )
