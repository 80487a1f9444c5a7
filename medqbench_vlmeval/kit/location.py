"""Where a run of the kit puts its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

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
