"""The errors that a user may meet. Every message is one or two sentences that name the file, row or option and say what
to do; the command line prints it without a traceback and leaves with :attr:`MedQBenchError.exit_code`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from contextvars import ContextVar


class MedQBenchError(Exception):
    """Base of all errors raised on purpose. ``exit_code`` is the process's exit status (1 or 2)."""

    exit_code = 1


class BadInput(MedQBenchError):
    """What the user gave (a file, a row, an option) cannot be used as it is."""

    exit_code = 2


class RunFailed(MedQBenchError):
    """The input was fine, but the run could not reach a result."""


class MissingDependency(BadInput):
    """An optional part is not installed; the message names the way to install it."""


class JudgeError(RunFailed):
    """The judge could not be asked at all (no judge named, unreachable server, refused key)."""


class NoJudge(JudgeError, BadInput):
    """No judge was named, or none with a key: an option is missing, so that the exit status is that of bad input."""


LISTENER: ContextVar[Callable[[BadInput], None] | None] = ContextVar("LISTENER", default=None)
"""Who is told what is wrong with rows, which are then left out; None where the first such problem is an error."""


def tell(problem: BadInput) -> None:
    """Hand what is wrong with a row to who listens, or raise it."""
    if (listener := LISTENER.get()) is None:
        raise problem
    listener(problem)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The nearest of some names as a sentence of a message, with a blank before it; empty where none is near."""
    by_lower = {one.casefold(): one for one in names}
    near = difflib.get_close_matches(name.casefold(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""
