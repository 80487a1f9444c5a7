"""A run's numbers as the metadata of a model card on the hub: a 'model-index' in YAML front matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.data.hub import REPOSITORY
from medqbench_vlmeval.report.labels import one_line
from medqbench_vlmeval.report.rows import data_hash
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, TASK_TITLES, RunPart, parts_of
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, Split, Task

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

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
