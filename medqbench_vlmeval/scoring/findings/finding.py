"""What a finding is: one sentence with the figure behind it, its interval and its count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medqbench_vlmeval.scoring.intervals import FEW

PERCENT = "percent"
POINTS = "points"
SCORE = "score"
CORRELATION = "correlation"

ALIKE = "the samples do not vary"
"""Why most intervals that are missing are missing."""

_NAME_LIMIT = 60
_NOUGHT = 1e-9


@dataclass(frozen=True)
class Finding:
    """One finding on one run.

    ``value``, ``low`` and ``high`` are in ``unit``: 'percent' (0-100), 'points' (a difference of percentages), 'score'
    (judge's scale: means 0-2, sums 0-8, and their differences) or 'correlation' (-1 to 1). ``low`` and ``high`` are
    None where no interval can be given. ``n`` is how many samples the value rests on and ``units`` how many of them
    are independent (clusters of samples that share an image), None where the interval takes all for independent.
    ``statement`` claims a difference only where the interval leaves out 0.
    """

    title: str
    statement: str
    value: float
    unit: str
    low: float | None
    high: float | None
    n: int
    method: str
    details: Mapping[str, Any] = field(default_factory=dict)
    units: int | None = None


@dataclass(frozen=True)
class NotFound:
    """Why the data does not support a finding."""

    reason: str


def assembled(found: Mapping[str, Finding | NotFound | None]) -> dict[str, Any]:
    """Findings as plain JSON by name, and the reasons for those that are absent under ``not_found``.

    None stands for what a task has no such thing as and is left out.
    """
    absent = {name: one.reason for name, one in found.items() if isinstance(one, NotFound)}
    return {**{name: _as_json(one) for name, one in found.items() if isinstance(one, Finding)}, "not_found": absent}


def shown(name: str) -> str:
    """A group's name for use in a sentence: on one line, 60 characters at most."""
    line = " ".join(name.split())
    return line if len(line) <= _NAME_LIMIT else f"{line[: _NAME_LIMIT - 1]}…"


def amount(value: float, unit: str) -> str:
    """A figure with its unit: '56.04%', '13.50 points', '1.234', '-0.12'."""
    return _figure(value, unit) + {PERCENT: "%", POINTS: " points"}.get(unit, "")


def interval_words(low: float | None, high: float | None, unit: str, widened_for: int = 1, why: str = ALIKE) -> str:
    """'95% interval 1.20 to 3.40'; ``widened_for`` is the number of pairs among which the compared one was chosen.

    ``why`` there is no interval, where there is none.
    """
    if low is None or high is None:
        return f"no interval, as {why}"
    ends = f"95% interval {_figure(low, unit)} to {_figure(high, unit)}"
    return ends if widened_for == 1 else f"{ends}, widened for the choice among {widened_for} pairs"


def is_apart(low: float | None, high: float | None) -> bool:
    """Whether an interval of a difference leaves out 0."""
    return low is not None and high is not None and (low > 0 or high < 0)


def unproven(value: float, low: float | None) -> str:
    """How a sentence begins that claims no difference; one without an interval may be more than chance, or not."""
    return "No evidence that" if low is not None or abs(value) < _NOUGHT else "It cannot be told whether"


def _figure(value: float, unit: str) -> str:
    """Two decimals, three on the judge's scale; more where nothing but noughts would be left."""
    shortened = f"{value:.{3 if unit == SCORE else 2}f}"
    if float(shortened) != 0:
        return shortened
    return shortened.removeprefix("-") if abs(value) < _NOUGHT else f"{value:.1g}"


def _as_json(found: Finding) -> dict[str, Any]:
    return {
        "title": found.title,
        "statement": found.statement,
        "value": found.value,
        "unit": found.unit,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "few": min(found.n, found.n if found.units is None else found.units) < FEW,
        "method": found.method,
        "details": dict(found.details),
    }
