"""Where a run of the kit puts its files, and what its ``status.json`` says became of each model and dataset."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from medqbench_vlmeval.files import as_file_name
from medqbench_vlmeval.runs.files import RUN_FOLDER
from medqbench_vlmeval.workflows import result_paths
from medqbench_vlmeval.workflows.robustness import robustness_paths

STATUS_FILE = "status.json"
PREDICTION_SUFFIXES = (".xlsx", ".tsv", ".json")

# What the kit writes as the reason for skipping a dataset that was not meant to be evaluated.
_MEANT = "mode_infer"
# In api-mode the kit counts predictions and does not see that those of more samples than wanted are complete.
_WAYS_OUT = {"no_inference_tasks_generated": " Where its predictions are there already, --mode eval evaluates them."}
_ERROR_CLASS = re.compile(r"^\w+(?:Error|Input|Failed|Dependency): ")


@dataclass(frozen=True)
class Job:
    """One model on one dataset; ``mode`` is the kit's 'all', 'infer' or 'eval', ``own`` says whose the dataset is."""

    model: str
    dataset: str
    mode: str
    own: bool = True
    second_pass: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``failure`` is None or a sentence; ``score`` is the result file, ``folder`` that of the run."""

    failure: str | None
    score: Path | None = None
    folder: Path | None = None


def locate_run(prediction_file: Path, dataset: str) -> tuple[str, Path]:
    """Tell model and work folder from a prediction file's path, ``WORK_DIR/MODEL[/RUN]/MODEL_DATASET.EXT``. The model's
    name is that of the file's name. A file that lies elsewhere gives its own folder as the work folder."""
    folder = prediction_file.absolute().parent
    of_model = folder.parent if RUN_FOLDER.fullmatch(folder.name) else folder
    stem = prediction_file.stem
    model = stem.removesuffix(f"_{dataset}")
    if model == stem and stem.startswith(f"{of_model.name}_"):
        # --data-config gives datasets names of its own, which the file's name then carries.
        model = of_model.name
    return model, of_model.parent if of_model.name == model else folder


def outcome_of(job: Job, work_dir: Path, started: datetime, reason: str | None = None) -> Outcome:
    """What the kit says of a job after ``started``; silence is a failure, and so are files that are not there.
    ``reason`` is the last error that the kit logged about the job, which is no failure where the job went on."""
    # Where the job's files are, or the folders of its runs; its name is the model's in the files' names.
    of_model = work_dir / as_file_name(job.model)
    name = f"{job.dataset} with {job.model}"
    why = f"failed: {reason}" if reason else None
    entries = []
    for path in [of_model / STATUS_FILE, *of_model.glob(f"T*/{STATUS_FILE}")]:
        if path.is_file() and not path.is_symlink():
            entry = json.loads(path.read_text(encoding="utf-8")).get("datasets", {}).get(job.dataset)
            if entry and (updated := datetime.fromisoformat(entry["updated_at"])) >= started:
                entries.append((updated, path.parent, entry))
    if not entries:
        return Outcome(f"{name} {why or f'was not run; the log in {work_dir} says why.'}")
    _, folder, entry = max(entries, key=lambda entry: entry[0])
    status, error, skipped = (str(entry.get(key) or "") for key in ("status", "error_message", "skip_reason"))
    predictions = folder / f"{of_model.name}_{job.dataset}{PREDICTION_SUFFIXES[0]}"
    score = robustness_paths(predictions).score if job.second_pass else result_paths(predictions).score
    failure = None
    if error:
        # In api-mode the message is 'ErrorClass: words' and a traceback.
        failure = f"{name} failed: {_ERROR_CLASS.sub('', error.strip().splitlines()[0])}"
    elif skipped and skipped != _MEANT:
        failure = f"{name} was skipped by the kit: {skipped}.{_WAYS_OUT.get(skipped, '')}"
    elif status != "done":
        failure = f"{name} {why or f'did not finish; the log in {work_dir} says why.'}"
    elif "error_message" in entry:  # of an error without words the kit keeps an empty text
        failure = f"{name} {why or f'failed without a message; the log in {work_dir} says more.'}"
    elif not any(predictions.with_suffix(suffix).is_file() for suffix in PREDICTION_SUFFIXES):
        failure = f"{name} left no prediction file in {folder}; the log in {work_dir} says more."
    elif job.own and job.mode != "infer" and not score.is_file():
        failure = f"{name} left no {score.name} in {folder}; the log in {work_dir} says more."
    return Outcome(failure, score if job.mode != "infer" and score.exists() else None, folder)
