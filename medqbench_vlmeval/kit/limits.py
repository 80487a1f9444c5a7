"""``--limit`` of a run: the same stratified subset for every model, and for the kit's own ways of running too.

The kit's own option, where it has one, takes a file's first rows. The environment variable carries the number to our
dataset classes, wherever the kit makes them.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.kit.variables import variable

LIMIT_VARIABLE = "MEDQBENCH_LIMIT"
# The kit's parser would take the shorter ones for its own option, which means first rows.
LIMIT_OPTIONS = ("--limit", "--limi", "--lim", "--li")


def limit_of(text: str, where: str) -> int:
    """The number of samples that a text gives.

    Raises:
        BadInput: it is not a whole number of 1 or more.
    """
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit < 1:
        raise BadInput(f"{where} is '{text}'; it must be a whole number of samples, 1 or more.")
    return limit


def takes_limit(runner: Path) -> bool:
    """Whether a kit's own runner has the option (the PyPI kit's has, git HEAD's has not)."""
    return "'--limit'" in runner.read_text(encoding="utf-8")


def limit_in_environment() -> int | None:
    """The limit in the environment, None where there is none.

    Raises:
        BadInput: the variable is no such number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    return limit_of(text, f"The environment variable {LIMIT_VARIABLE}") if text else None


def limited(limit: int | None) -> AbstractContextManager[None]:
    """Put a limit into the environment for a while; None leaves it as it is."""
    return variable(LIMIT_VARIABLE, None if limit is None else str(limit))
