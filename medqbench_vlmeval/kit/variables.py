"""Environment variables that carry options of a run to our dataset classes, wherever the kit makes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

STYLE_VARIABLE = "MEDQBENCH_PROMPT_STYLE"


@contextmanager
def variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable for a while; None leaves it as it is."""
    if value is None:
        yield
        return
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
