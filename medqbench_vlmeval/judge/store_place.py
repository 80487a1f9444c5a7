"""Where the judge's cache is, and how large it may be."""

from __future__ import annotations

import os
from pathlib import Path

from medqbench_vlmeval.errors import BadInput

FOLDER_VARIABLE = "MEDQBENCH_JUDGE_CACHE"
LIMIT_VARIABLE = "MEDQBENCH_JUDGE_CACHE_MB"
FILE_NAME = "judge_verdicts.sqlite3"
DEFAULT_LIMIT_MB = 2048


def default_folder() -> Path:
    """``$MEDQBENCH_JUDGE_CACHE``, else the user's cache folder (``~/.cache/medqbench`` on Linux)."""
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("medqbench", appauthor=False)


def size_limit() -> int:
    """The file's limit in bytes: ``$MEDQBENCH_JUDGE_CACHE_MB`` MiB, 2,048 MiB by default.

    Raises:
        BadInput: the variable is not a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip() or str(DEFAULT_LIMIT_MB)
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise BadInput(f"{LIMIT_VARIABLE} is '{text}'; it must be a positive number of MiB.")
    return int(limit * 2**20)
