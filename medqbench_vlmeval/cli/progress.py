"""What is seen of the judge at work: a progress bar where there is a terminal, and a word on Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from medqbench_vlmeval.judge import OnProgress, Progress


@contextmanager
def judge_progress() -> Iterator[OnProgress | None]:
    """Yield what moves a bar, or None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        "judging",
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("judging", total=None)

        def move(progress: Progress) -> None:
            bar.update(row, completed=progress.done, total=progress.total)

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
