"""Reading off the kit's ``status.json`` what became of each model and dataset of a run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medqbench_vlmeval.workflows import result_paths
from medqbench_vlmeval.workflows.robustness import robustness_paths

STATUS_FILE = "status.json"
# What the kit writes as the reason for skipping a dataset that was not meant to be evaluated.
_MEANT = {"mode_infer"}
# In api-mode the kit counts predictions and does not see that those of more samples than wanted are complete.
_WAYS_OUT = {"no_inference_tasks_generated": " Where its predictions are there already, --mode eval evaluates them."}


@dataclass(frozen=True)
class Job:
    """One model on one dataset; ``mode`` is the kit's 'all', 'infer' or 'eval'."""

    model: str
    dataset: str
    mode: str
    second_pass: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``failure`` is None or a sentence; ``score`` is the result file, where there is one."""

    failure: str | None
    score: Path | None = None


def model_folder(job: Job, work_dir: Path, *, api_mode: bool) -> Path:
    """Where a job's files are, or the folders of its runs; its name is the model's in the files' names."""
    return work_dir / (job.model.replace("/", "--") if api_mode else job.model)


def outcome_of(job: Job, work_dir: Path, started: datetime, *, api_mode: bool) -> Outcome:
    """What the kit says of a job after ``started``; silence is a failure."""
    of_model = model_folder(job, work_dir, api_mode=api_mode)
    found = _newest(of_model, job.dataset, started)
    name = f"{job.dataset} with {job.model}"
    if found is None:
        return Outcome(f"{name} was not run; the log in {work_dir} says why.")
    folder, entry = found
    predictions = folder / f"{of_model.name}_{job.dataset}.xlsx"
    score = robustness_paths(predictions).numbers if job.second_pass else result_paths(predictions).score
    scored = job.mode != "infer" and score.exists()
    return Outcome(_failure(name, entry, work_dir), score if scored else None)


def run_folder(job: Job, work_dir: Path, started: datetime, *, api_mode: bool) -> Path | None:
    """The folder that a job's run has written to after ``started``, None where it was not run."""
    found = _newest(model_folder(job, work_dir, api_mode=api_mode), job.dataset, started)
    return None if found is None else found[0]


def _failure(name: str, found: dict[str, Any], work_dir: Path) -> str | None:
    if found.get("error_message"):
        return f"{name} failed: {_first_line(str(found['error_message']))}"
    skipped = found.get("skip_reason")
    if skipped and skipped not in _MEANT:
        return f"{name} was skipped by the kit: {skipped}.{_WAYS_OUT.get(skipped, '')}"
    if found.get("status") != "done":
        return f"{name} did not finish; the log in {work_dir} says why."
    return None


def _newest(folder: Path, dataset: str, started: datetime) -> tuple[Path, dict[str, Any]] | None:
    """The folder and the dataset's entry of the status file that this run wrote, if it wrote one."""
    entries: list[tuple[datetime, Path, dict[str, Any]]] = []
    for path in [folder / STATUS_FILE, *folder.glob(f"T*/{STATUS_FILE}")]:
        if path.is_symlink() or not path.is_file():
            continue
        entry = json.loads(path.read_text(encoding="utf-8")).get("datasets", {}).get(dataset)
        if entry and (updated := datetime.fromisoformat(entry["updated_at"])) >= started:
            entries.append((updated, path.parent, entry))
    return max(entries, key=lambda found: found[0])[1:] if entries else None


def _first_line(message: str) -> str:
    # In api-mode the message is 'ErrorClass: words' and a traceback.
    line = message.strip().splitlines()[0]
    return re.sub(r"^\w+(?:Error|Input|Failed|Dependency): ", "", line)


# Where a run of the kit puts its files.


# The kit names a run's folder by its start; local mode of the PyPI kit has no such folder.
_RUN_FOLDER = re.compile(r"T\d{8}[-_]\w+")


@dataclass(frozen=True)
class RunPlace:
    """``model`` is the name in the file's name; ``work_dir`` the folder given by ``--work-dir``."""

    model: str
    work_dir: Path


def locate_run(prediction_file: Path, dataset: str) -> RunPlace:
    """Tell model and work folder from a prediction file's path, ``WORK_DIR/MODEL[/RUN]/MODEL_DATASET.EXT``.

    A file that lies elsewhere gives its own folder as the work folder.
    """
    folder = prediction_file.absolute().parent
    model_folder = folder.parent if _RUN_FOLDER.fullmatch(folder.name) else folder
    stem = prediction_file.stem
    model = stem.removesuffix(f"_{dataset}")
    if model == stem and stem.startswith(f"{model_folder.name}_"):
        # --data-config gives datasets names of its own, which the file's name then carries.
        model = model_folder.name
    return RunPlace(model, model_folder.parent if model_folder.name == model else folder)
