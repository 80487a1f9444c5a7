"""Shares in percent, and the findings that are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.findings.finding import PERCENT, Finding, amount, interval_words
from medqbench_vlmeval.scoring.intervals import FEW, wilson_percent

WILSON = f"{intervals.WILSON}, samples taken as independent"


def share(count: int, n: int) -> dict[str, Any]:
    """A share in percent with Wilson's interval."""
    low, high = wilson_percent(count, n) or (None, None)
    return {
        "count": count,
        "of": n,
        "share": 100 * count / n if n else None,
        "low": low,
        "high": high,
        "few": n < FEW,
    }


def share_words(found: Mapping[str, Any]) -> str:
    """A share of something with its interval: '12.50%, 95% interval 5.46 to 26.11'."""
    return f"{amount(found['share'], PERCENT)}, {interval_words(found['low'], found['high'], PERCENT)}"


def share_finding(title: str, statement: str, found: Mapping[str, Any], details: Mapping[str, Any]) -> Finding:
    """The finding whose value is a share of something."""
    value, low, high = (found[name] for name in ("share", "low", "high"))
    return Finding(title, statement, value, PERCENT, low, high, found["of"], WILSON, details)
