"""What is seen of the judge at work: a progress bar where there is a terminal, and a word on Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


@contextmanager
def judge_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback ``(done, total)`` that moves a bar, or None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = ("judging", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("judging", total=None)

        def move(done: int, total: int) -> None:
            bar.update(row, completed=done, total=total)

        yield move


INTERRUPTED = 130


@contextmanager
def leave_on_interrupt() -> Iterator[None]:
    """Turn Ctrl-C into one sentence and the shell's usual exit code."""
    try:
        yield
    except KeyboardInterrupt:
        print("medqbench: interrupted; verdicts that had come are kept and not asked for again.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
