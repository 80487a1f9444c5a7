"""``--extractor`` of a run: the environment carries the name to our dataset class, wherever the kit makes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.extractor import extractor_name

EXTRACTOR_VARIABLE = "MEDQBENCH_EXTRACTOR"


def extractor_in_environment() -> str | None:
    """The extractor that the environment names, None where it names none.

    Raises:
        BadInput: it names the rules, or several models.
    """
    text = os.environ.get(EXTRACTOR_VARIABLE, "").strip()
    return extractor_name(text, EXTRACTOR_VARIABLE) if text else None


@contextmanager
def extracting(name: str | None) -> Iterator[None]:
    """Put an extractor's name into the environment for a while; None leaves it as it is."""
    if name is None:
        yield
        return
    before = os.environ.get(EXTRACTOR_VARIABLE)
    os.environ[EXTRACTOR_VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[EXTRACTOR_VARIABLE]
        else:
            os.environ[EXTRACTOR_VARIABLE] = before


def require_multiple_choice(name: str | None, multiple_choice: bool) -> None:
    """Say that an extractor that was asked for has nothing to read.

    Raises:
        BadInput: no dataset of the run is multiple-choice.
    """
    if name is not None and not multiple_choice:
        raise BadInput(
            "--extractor reads multiple-choice replies, and no dataset of this run is MedQBench_Perception; leave it "
            "out. Reasoning replies are judged with --judge."
        )
