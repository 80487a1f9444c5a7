"""Files of earlier runs that the kit would cut, take away or replace, though they may have been paid for.

Local mode of the PyPI kit writes straight into the model's folder: a limited run would cut a prediction file to the
samples of the limit, and take away the checkpoint of an interrupted run of all samples. All other ways of running make
a folder for each run and put links into the model's folder, in the place of files that local mode left there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.evaluation import result_paths
from medqbench_vlmeval.evaluation.robustness import robustness_paths
from medqbench_vlmeval.kit.status import Job, model_folder
from medqbench_vlmeval.predictions import read_predictions

_FORMATS = ("xlsx", "tsv", "json")
_KEPT = ".kept"
_PREVIOUS = "previous"


def check_predictions(jobs: Sequence[Job], work_dir: Path, limit: int) -> None:
    """See that a limited run straight in the models' folders cuts no prediction file.

    Raises:
        BadInput: a file of one of the jobs holds more predictions than the limit, or cannot be read; the message names
            the file and the ways out.
    """
    for job in jobs:
        if job.mode == "eval":
            continue
        for path in _predictions(job, work_dir, api_mode=False):
            n = len(read_predictions(path).predictions)
            if n > limit:
                raise BadInput(
                    f"{path} holds {n:,} predictions, and with --limit {limit} the kit would leave {limit} of them in "
                    "it. Evaluate that part with --mode eval, or give another --work-dir."
                )


@contextmanager
def checkpoints_kept(jobs: Sequence[Job], work_dir: Path) -> Iterator[None]:
    """Put back the checkpoints that the kit takes away when a limited run ends; they may be of a run of all samples."""
    copies: dict[Path, Path] = {}
    for job in jobs:
        folder = model_folder(job, work_dir, api_mode=False)
        for path in [*folder.glob(f"*_{job.dataset}.pkl"), *folder.glob(f"*_{job.dataset}_checkpoint.pkl")]:
            copies[path] = path.with_name(path.name + _KEPT)
            shutil.copy2(path, copies[path])
    try:
        yield
    finally:
        for path, copy in copies.items():
            # A run that was interrupted has gone on with what the checkpoint held.
            if path.exists():
                copy.unlink(missing_ok=True)
            else:
                copy.replace(path)


def copy_replaced(jobs: Sequence[Job], work_dir: Path, *, api_mode: bool) -> None:
    """Copy to ``previous/`` what the links of a run would replace: predictions in the models' folders, and results."""
    for job in jobs:
        for predictions in _predictions(job, work_dir, api_mode=api_mode):
            made = datetime.fromtimestamp(predictions.stat().st_mtime, timezone.utc)
            results = robustness_paths(predictions) if job.second_pass else result_paths(predictions)
            for path in (predictions, *vars(results).values()):
                kept = path.parent / _PREVIOUS / f"{path.stem}_{made:%Y-%m-%dT%H-%M-%S}{path.suffix}"
                if path.is_file() and not path.is_symlink() and not kept.exists():
                    kept.parent.mkdir(exist_ok=True)
                    shutil.copy2(path, kept)


@contextmanager
def nothing_lost(
    jobs: Sequence[Job], work_dir: Path, limit: int | None, *, api_mode: bool, links: bool
) -> Iterator[None]:
    """Keep for a run what the kit would take away or replace; ``links`` says that the run has a folder of its own."""
    if int(os.environ.get("RANK", "0")) != 0:
        yield
    elif links:
        copy_replaced(jobs, work_dir, api_mode=api_mode)
        yield
    elif limit is not None:
        with checkpoints_kept(jobs, work_dir):
            yield
    else:
        yield


def _predictions(job: Job, work_dir: Path, *, api_mode: bool) -> list[Path]:
    """The prediction files of a job that are no links."""
    folder = model_folder(job, work_dir, api_mode=api_mode)
    paths = [folder / f"{folder.name}_{job.dataset}.{ending}" for ending in _FORMATS]
    return [path for path in paths if path.is_file() and not path.is_symlink()]
