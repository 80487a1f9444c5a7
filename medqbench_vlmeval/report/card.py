"""A card a run, in Markdown: numbers, what they rest on, what they may not be compared with, and how to get them again.

The front matter is the hub's model-index, so that a card can be the start of a model card.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES, Split, Task
from medqbench_vlmeval.data.sources import REPOSITORY, REVISION_VARIABLE
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.files import write_text
from medqbench_vlmeval.judge import DEFAULT_PROTOCOL, RULES
from medqbench_vlmeval.judge.options import PUBLIC_URL
from medqbench_vlmeval.judge.secrets import MARK, is_secret_name, shown_extra, shown_url, url_secrets
from medqbench_vlmeval.report.old import checks_of, findings_lines
from medqbench_vlmeval.report.standings import data_hash
from medqbench_vlmeval.report.terminal import value_text
from medqbench_vlmeval.report.text import markdown_text, one_line
from medqbench_vlmeval.runs.result import (
    MEASURES,
    OVERALL,
    TASK_TITLES,
    Point,
    RunPart,
    cell_point,
    mapping,
    measure_point,
    parts_of,
    text,
)
from medqbench_vlmeval.scoring.intervals import FEW

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


# The commands that make a run again, without keys and with what is secret in URLs masked.


_OFFICIAL = "official"
# What an evaluation of a part of its samples says of itself.
_PART_RUN = re.compile(r"only (\d+) of \d+ samples were run")


def run_again(parts: Sequence[RunPart]) -> str | None:
    """``python run.py ...`` for a run of one of the benchmark's datasets; None for one of a file of its own.

    Inference and judging are the kit's to configure; options that a result does not record (a model's own settings,
    the number of calls in flight) are left to their defaults.
    """
    first = parts[0]
    if first.dataset not in ALL_DATASET_NAMES:
        return None
    words = ["python", "run.py", "--data", first.dataset, "--model", first.model]
    style = first.setting("prompt", "style")
    if style not in (None, _OFFICIAL):
        words += ["--prompt-style", style or _OFFICIAL]
    words += [*_limit_words(parts), *_judge_words(first, for_run=True)]
    revisions = {text(part.data.get("revision")) for part in parts}
    revision = revisions.pop() if len(revisions) == 1 else None
    return (f"{REVISION_VARIABLE}={_quoted(revision)} " if revision else "") + command_line(words)


def score_again(parts: Sequence[RunPart]) -> str:
    """``medqbench score ...`` on the run's prediction file, which needs neither the kit nor the model."""
    first = parts[0]
    words = ["medqbench", "score", first.setting("prediction_file", "name") or "PREDICTIONS"]
    if first.dataset in ALL_DATASET_NAMES:
        # Without the limit, samples that nobody asked the model about would count as wrong.
        words += ["--data", first.dataset, *_limit_words(parts)]
    words += ["--model", first.model, *_judge_words(first, for_run=False), "--out", "results"]
    return command_line(words)


def part_run(parts: Sequence[RunPart]) -> int | None:
    """How many samples were run where it was not all of them; None for a whole run."""
    for part in parts:
        for reason in part.reasons:
            if found := _PART_RUN.fullmatch(reason):
                return int(found[1])
    return None


def shown_command(command: str | Sequence[str]) -> str:
    """A command as it may be shown: values of options that are named like a secret are masked, and those of URLs.

    A text that no shell could split is masked whole.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        return MARK
    shown: list[str] = []
    secret = False
    for word in words:
        name, equals, value = word.partition("=")
        option = name.startswith("-") and "://" not in name
        if secret and not (option and _is_option(name)):
            shown.append(MARK)
            secret = False
            continue
        secret = False
        # VARIABLE=value before a command and --option=value; a key in either is none of the reader's.
        if equals and name and (option or name.isidentifier()):
            shown.append(f"{name}={MARK if is_secret_name(name) else _masked(value)}")
            continue
        secret = option and is_secret_name(name)
        shown.append(_masked(word))
    return command_line(shown)


def command_line(words: Sequence[str]) -> str:
    """Words quoted for a shell, on one line: control characters are written as bash's ``$'...'`` takes them."""
    return " ".join(map(_quoted, words))


def _is_option(word: str) -> bool:
    """Whether a word is an option's name, and no key that begins with a dash."""
    return word.startswith("--") and word[2:].replace("-", "").isalpha()


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(_escaped(character) for character in word)
    return f"$'{escaped}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _masked(word: str) -> str:
    if word.lstrip().startswith(("{", "[")):
        try:
            found = json.loads(word)
        except (ValueError, RecursionError):
            return MARK if "://" in word or is_secret_name(word) else word
        return json.dumps(shown_extra({"": found})[""], ensure_ascii=False)
    return shown_url(word) if "://" in word and url_secrets(word) else word


def _limit_words(parts: Sequence[RunPart]) -> list[str]:
    limit = part_run(parts)
    return [] if limit is None else ["--limit", str(limit)]


def _judge_words(part: RunPart, for_run: bool) -> list[str]:
    """The judge's options; a run of the kit takes what it has no option for in ``--judge-args``."""
    judge, name = mapping(part.settings.get("judge")), part.setting("judge", "name")
    if name is None:
        extractor = text(mapping(part.settings.get("extractor")).get("name"))
        return ["--extractor", extractor] if extractor else []
    words = ["--judge", name.replace(", ", ",")]
    if name == RULES:
        return words
    options = _options(judge)
    if url := options.pop("base_url", None):
        words += ["--judge-base-url", url]
    protocol = part.setting("protocol", "name") or DEFAULT_PROTOCOL
    members = [mapping(member) for member in judge.get("members") or ()]
    panel = [_member(member, protocol) for member in members]
    if any(len(member) > 1 for member in panel):
        options["panel"] = panel
    if protocol != DEFAULT_PROTOCOL and not members:
        if for_run:
            options["protocol"] = protocol
        else:
            words += ["--protocol", protocol]
    if options:
        words += ["--judge-args", json.dumps(options, ensure_ascii=False)]
    return words


def _member(judge: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    """One of a panel, by what it does not share with a judge of no options."""
    own = text(mapping(judge.get("protocol")).get("name")) or protocol
    asked_by = {} if own == DEFAULT_PROTOCOL or judge.get("name") == RULES else {"protocol": own}
    return {"model": judge.get("name"), **_options(judge), **asked_by}


def _options(judge: Mapping[str, Any]) -> dict[str, Any]:
    """What of a judge's address and parameters is not the default, masked once more."""
    if judge.get("members"):
        return {}
    known = {"temperature": 0.0, "max_tokens": None}
    found = {name: value for name, value in mapping(judge.get("parameters")).items() if known.get(name, ...) != value}
    url = text(judge.get("base_url"))
    return {**({"base_url": shown_url(url)} if url and url != PUBLIC_URL else {}), **shown_extra(found)}


# A run's numbers as the metadata of a model card on the hub: a 'model-index' in YAML front matter.


# The hub's names for tasks.
_TASK_TYPES = {
    Task.PERCEPTION: "visual-question-answering",
    Task.NO_REFERENCE: "image-text-to-text",
    Task.COMPARATIVE: "image-text-to-text",
}
_EMBEDDED = "medqbench-vlmeval-mini"
_DIGITS = 4


def metadata_block(score: Mapping[str, Any]) -> str:
    """The front matter of a model card, from '---' to '---', with this run's evaluation results.

    One result a task: the hub dataset with its revision, the split, hashes and settings as arguments, and a metric a
    measure with n, interval and whether it is comparable. Measures without a number are left out.

    Raises:
        BadInput: ``score`` is not a result of this package.
    """
    from huggingface_hub import ModelCardData

    parts = parts_of(score)
    results = [result for part in parts for result in _results(part)]
    data = ModelCardData(
        model_name=one_line(parts[0].model) or "unnamed",
        eval_results=results or None,
        pipeline_tag="image-text-to-text",
        tags=["medical", "image-quality-assessment", "MedQ-Bench"],
    )
    # A name with a line end, or one that YAML would read as a number, is quoted by the dumper.
    return f"---\n{data.to_yaml()}\n---\n"


def _results(part: RunPart) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    name = ALL_DATASET_NAMES.get(part.dataset)
    embedded = name is not None and name.split is Split.MINI
    data_type = _EMBEDDED if embedded else REPOSITORY if name is not None else "custom"
    split = name.split.value if name else None
    title = f"MedQ-Bench {TASK_TITLES[part.task]}" + (f" ({'embedded set' if embedded else split})" if name else "")
    revision = part.data.get("revision")
    found = []
    for measure in (OVERALL, *MEASURES[part.task][:-1]):
        value = part.values[measure]
        if value is None:
            continue
        metric_type, unit = "accuracy", "percent"
        if part.task is not Task.PERCEPTION:
            metric_type, unit = "judge-score", "0-8" if measure == OVERALL else "0-2"
        found.append(
            EvalResult(
                task_type=_TASK_TYPES[part.task],
                task_name=f"MedQ-Bench {TASK_TITLES[part.task]}",
                dataset_type=data_type,
                dataset_name=title,
                # Two tasks of one repository are two results.
                dataset_config=part.task.value,
                dataset_split=split,
                dataset_revision=one_line(str(revision)) if revision else None,
                dataset_args=_data_arguments(part) or None,
                metric_type=metric_type,
                metric_name=f"{measure} ({unit})",
                metric_value=round(float(value), _DIGITS),
                metric_args=_metric_arguments(part, measure),
            )
        )
    return found


def _data_arguments(part: RunPart) -> dict[str, Any]:
    known = {
        "dataset": part.dataset,
        "sha256": data_hash(part),
        "prompt_style": part.setting("prompt", "style"),
        "judge": part.setting("judge", "name"),
        "protocol": part.setting("protocol", "name"),
        "protocol_sha256": part.setting("protocol", "sha256"),
    }
    return {name: one_line(value) for name, value in known.items() if value}


def _metric_arguments(part: RunPart, measure: str) -> dict[str, Any]:
    known: dict[str, Any] = {"comparable_with_published": part.comparable}
    if (n := part.measure_n(measure)) is not None:
        known["n"] = n
    if ends := part.intervals.get(measure):
        known["interval_95"] = [round(float(end), _DIGITS) for end in ends]
    return known


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
        ends = " to ".join(value_text(end, task) for end in point.ends) if point.ends else "–"
        few = f" (fewer than {FEW})" if point.few else ""
        count = "–" if point.n is None else f"{point.n:,}{few}"
        lines.append(f"| {markdown_text(name)} | {value_text(point.value, task)} | {ends} | {count} |")
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
