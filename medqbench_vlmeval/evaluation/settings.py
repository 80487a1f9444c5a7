"""What a result was made from and with: data, prediction file, prompt, protocol, judge, versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from medqbench_vlmeval.data import samples_sha256
from medqbench_vlmeval.evaluation.comparability import prompt_reasons
from medqbench_vlmeval.files import sha256_text
from medqbench_vlmeval.installed import find_kit, package_version
from medqbench_vlmeval.judge import Judge
from medqbench_vlmeval.predictions import PredictionTable
from medqbench_vlmeval.prompts import style_hash
from medqbench_vlmeval.records import ColumnUse, Sample, SampleSet, SourceFile
from medqbench_vlmeval.tasks import Task

# How multiple-choice replies are read; the version goes up when a rule changes what is read.
EXTRACTION = {"name": "choice-extraction", "version": "1"}


@dataclass(frozen=True)
class Provenance:
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
    ) -> Provenance:
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
    provenance: Provenance,
    judge: Judge | None,
    task: Task,
    extractor: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The ``settings`` object of ``_score.json``; ``extractor`` are the settings of one where there is one."""
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
    if judge is not None:
        return settings | judge.describe(task)
    read_by = {"protocol": EXTRACTION, "judge": None}
    return settings | read_by | ({"extractor": dict(extractor)} if extractor is not None else {})
