"""What a result was made from and with: data, prediction file, prompt, protocol, judge, versions."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import (
    ALL_DATASET_NAMES,
    QUESTION_TYPES,
    SECOND_PASS_NAMES,
    Split,
    Task,
    dataset_names,
)
from medqbench_vlmeval.data import samples_sha256
from medqbench_vlmeval.data.info import published_counts
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.judge import Judge
from medqbench_vlmeval.kit_version import find_kit, package_version
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.prompts import style_hash
from medqbench_vlmeval.runs.schema import settings_from_json
from medqbench_vlmeval.types import ColumnUse, JudgeSettings, Provenance, Sample, SampleSet, SourceFile, TaskResult

# When a number may stand beside the published ones, and why not.


# GPT-4o itself, dated or not, also behind a router's prefix; not its mini, audio or search relatives.
_PUBLISHED_JUDGE = re.compile(r"(?:[\w.-]+/)?(?:chat)?gpt-?4o(?:-latest|-\d{4}-\d{2}-\d{2})?", re.IGNORECASE)


def data_reasons(task: Task, split: Split | None, samples: Sequence[Sample]) -> list[str]:
    """Why these samples are not the published test split, as far as that can be told."""
    if split is Split.MINI:
        return ["the embedded set is not the benchmark's test split"]
    if split is Split.DEV:
        return ["the dev split was used; the published rows are of the test split"]
    counts = published_counts(task, samples)
    if counts.same:
        return []
    if counts.present["n"] != counts.published["n"]:
        return [f"{counts.present['n']} samples; the published rows are of {counts.published['n']}"]
    present, published = (
        " / ".join(str(count[kind]) for kind in QUESTION_TYPES) for count in (counts.present, counts.published)
    )
    return [f"{present} Yes-or-No / What / How questions; the published rows are of {published}"]


def prompt_reasons(style: str | None) -> list[str]:
    """Why the question's wording keeps a result from being compared; an unrecorded style is no reason."""
    return [] if style in (None, "official") else [f"the prompt style '{style}' is not the official one"]


def judge_reasons(judge: str, protocol: str, served_as: str | None) -> list[str]:
    """Why a judge keeps a result from being compared with the published rows, which GPT-4o judged.

    ``served_as`` is what the server called its model, None where it was never asked.
    """
    if judge == "rules":
        return ["the embedded judge 'rules' is not the published judge"]
    # More rounds estimate the same mean with less noise.
    official = re.fullmatch(r"official(-\d+)?", protocol)
    reasons = [] if official else [f"the judge protocol '{protocol}' is not the official one"]
    for name in dict.fromkeys([judge, *(served_as.split(", ") if served_as else ())]):
        if not _PUBLISHED_JUDGE.fullmatch(name):
            reasons.append(f"the judge '{name}' is not the published one (GPT-4o)")
    return reasons


def unscored_reasons(part: TaskResult) -> list[str]:
    """Incomplete results are no reason for shame, but their means are over other samples."""
    counted = (("n_unscored", "samples are unscored"), ("n_missing", "predictions are missing"))
    return [f"{part.counts[name]} of {part.n} {words}" for name, words in counted if part.counts.get(name)]


# How multiple-choice replies are read; the version goes up when a rule changes what is read.
EXTRACTION = {"name": "choice-extraction", "version": "1"}


@dataclass(frozen=True)
class Origin:
    """Where samples and predictions came from; ``changed`` says that they do not belong to one data file."""

    data: dict[str, dict[str, Any]]
    prompt_style: str | None
    changed: bool

    @classmethod
    def of(
        cls,
        sample_set: SampleSet | None,
        table: PredictionTable,
        samples: Sequence[Sample],
        columns: Mapping[Task, ColumnUse],
        prompt_style: str | None,
    ) -> Origin:
        """Gather provenance; a prediction file's own columns win over what the caller believes.

        ``columns`` says how a prediction file's columns were used where the samples were rebuilt from it.
        """
        tasks = list(dict.fromkeys(sample.task for sample in samples))
        recorded = {task: _recorded(table, task, len(tasks), columns.get(task, ColumnUse())) for task in tasks}
        data = {}
        for task in tasks:
            of_task = [sample for sample in samples if sample.task is task]
            source = sample_set.sources[task] if sample_set is not None else None
            data[task.value] = {
                **(_from_file(source) if source else recorded[task]),
                "samples_sha256": samples_sha256(of_task),
                "n": len(of_task),
            }
        changed = sample_set is not None and any(
            recorded[task]["sha256"] not in (None, data[task.value]["sha256"]) for task in tasks
        )
        style = _column(table, "prompt_style", None) or prompt_style
        return cls(data, style, changed)

    def reasons(self) -> list[str]:
        """Why the result cannot be compared with the published rows, as far as provenance can tell."""
        moved = ["the predictions were made on another version of the data file"] if self.changed else []
        return [*prompt_reasons(self.prompt_style), *moved]


def _from_file(source: SourceFile) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "sha256": source.sha256,
        "revision": source.revision,
        "origin": source.origin,
        "columns": _used(source.columns),
    }


def _used(columns: ColumnUse) -> dict[str, Any]:
    return {
        "read": dict(columns.read),
        "inferred": dict(columns.inferred),
        "absent": list(columns.absent),
        "ignored": list(columns.ignored),
    }


def _recorded(table: PredictionTable, task: Task, n_tasks: int, columns: ColumnUse) -> dict[str, Any]:
    rows_of = task.value if n_tasks > 1 else None
    return {
        "path": None,
        "sha256": _column(table, "data_sha256", rows_of),
        "revision": _column(table, "data_revision", rows_of),
        "origin": "prediction file",
        "columns": _used(columns),
    }


def _column(table: PredictionTable, column: str, task: str | None) -> str | None:
    """The one value that a provenance column of our dataset classes holds, None where it is not there."""
    found = {row.get(column, "") for row in table.rows if task is None or row.get("task") == task} - {""}
    return found.pop() if len(found) == 1 else None


def settings_of(
    table: PredictionTable,
    provenance: Origin,
    judge: Judge | None,
    task: Task,
    extractor: JudgeSettings | None = None,
) -> Provenance:
    """What a result was made from and with; ``extractor`` are the settings of one where there is one."""
    kit = find_kit()
    style = provenance.prompt_style
    settings: dict[str, Any] = {
        "data": provenance.data,
        "prediction_file": {
            "name": table.path.name,
            "sha256": table.sha256,
            # A spreadsheet that was copied by writing it anew has other bytes and the same replies.
            "content_sha256": sha256_text(json.dumps([[one.index, one.text] for one in table.predictions])),
        },
        "prompt": {"style": style, "sha256": style_hash(style, task) if style and kit else None},
        "versions": {
            "medqbench_vlmeval": package_version(),
            "kit": kit.label if kit else None,
            "python": platform.python_version(),
        },
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    made_from = settings_from_json(settings | {"protocol": EXTRACTION, "judge": None})
    if judge is not None:
        described = judge.describe()
        protocol = described.protocol or made_from.protocol
        made_from = replace(made_from, protocol=protocol, judge=replace(described, protocol=None))
    return replace(made_from, extractor=extractor)


# Names for the results of a prediction file that comes without a run.


CUSTOM = "custom"

# Prediction files of the kit's own classes carry their names; the data are the same.
_KITS_OWN = {
    "MedqbenchMCQ": Task.PERCEPTION,
    "MedqbenchCaption": Task.NO_REFERENCE,
    "MedqbenchPairedDescription": Task.COMPARATIVE,
}
_NAMES_IN_FILES = {name: name for name in (*ALL_DATASET_NAMES, *SECOND_PASS_NAMES)} | {
    f"{kits}{ending}": f"{next(iter(dataset_names(task)))}{ending}"
    for kits, task in _KITS_OWN.items()
    for ending in ("", "_dev", "_test")
}
# File systems take 255 bytes; the dataset's name and the ending need their share.
_LONGEST_NAME = 120


@dataclass(frozen=True)
class ResultNames:
    """The model's and the dataset's name in the results, and the stem of the result files."""

    model: str
    dataset: str
    stem: str


def name_results(predictions: Path, model: str | None, sample_set: SampleSet | None) -> ResultNames:
    """Tell the names from ``MODEL_DATASET.EXT``; what is given by hand wins.

    A file whose name does not end in a dataset's name gives the dataset 'custom', or the data's own name.
    """
    stem = predictions.stem
    ending = max((name for name in _NAMES_IN_FILES if stem.endswith(f"_{name}")), key=len, default=None)
    dataset = _NAMES_IN_FILES[ending] if ending else None
    in_file = stem.removesuffix(f"_{ending}") if ending else stem
    if sample_set is not None and sample_set.name in ALL_DATASET_NAMES:
        dataset = sample_set.name
    named = model or in_file
    dataset = dataset or (sample_set.name if sample_set is not None else CUSTOM)
    safe = "".join(character if character.isprintable() else "_" for character in named)
    safe = safe.replace("/", "--").replace("\\", "--")[:_LONGEST_NAME]
    return ResultNames(named, dataset, f"{safe}_{dataset}")
