"""Keeping the page's texts below a number of bytes: the longest are cut in their middle, and say so.

A reply's end has its conclusion, so that both ends are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LIMITS = (1_000_000, 300_000, 100_000, 50_000, 20_000, 10_000, 5_000, 2_500, 1_500)
_HEAD = 0.6


def shortened(value: Any, budget: int) -> Any:
    """Plain JSON with its texts cut to the longest of ``LIMITS`` at which all together take ``budget`` bytes.

    Where even the shortest limit takes more, it is used.
    """
    lengths = [len(text) if text.isascii() else len(text.encode(errors="replace")) for text in _texts(value)]
    limit = next((one for one in LIMITS if sum(min(length, one) for length in lengths) <= budget), LIMITS[-1])
    return value if max(lengths, default=0) <= limit else _cut(value, limit)


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else _middle_left_out(value, limit)
    if isinstance(value, dict):
        return {name: _cut(found, limit) for name, found in value.items()}
    return [_cut(found, limit) for found in value] if isinstance(value, list) else value


def _middle_left_out(text: str, limit: int) -> str:
    head = int(limit * _HEAD)
    gap = f"[… {len(text) - limit:,} characters left out here; the run's _samples.jsonl has them …]"
    return f"{text[:head]}\n{gap}\n{text[head - limit :]}"
