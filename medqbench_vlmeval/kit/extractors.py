"""``--extractor`` of a run: the environment carries the name to our dataset class, wherever the kit makes it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.judge.extractor import extractor_name
from medqbench_vlmeval.kit.variables import variable

EXTRACTOR_VARIABLE = "MEDQBENCH_EXTRACTOR"


def extractor_in_environment() -> str | None:
    """The extractor that the environment names, None where it names none.

    Raises:
        BadInput: it names the rules, or several models.
    """
    text = os.environ.get(EXTRACTOR_VARIABLE, "").strip()
    return extractor_name(text, EXTRACTOR_VARIABLE) if text else None


def extracting(name: str | None) -> AbstractContextManager[None]:
    """Put an extractor's name into the environment for a while; None leaves it as it is."""
    return variable(EXTRACTOR_VARIABLE, name)


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
