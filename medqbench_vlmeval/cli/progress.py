"""A word on Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

INTERRUPTED = 130


@contextmanager
def leave_on_interrupt() -> Iterator[None]:
    """Turn Ctrl-C into one sentence and the shell's usual exit code."""
    try:
        yield
    except KeyboardInterrupt:
        print("medqbench: interrupted; verdicts that had come are kept and not asked for again.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
