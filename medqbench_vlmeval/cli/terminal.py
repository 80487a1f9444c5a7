"""Printing to a terminal or a pipe."""

from __future__ import annotations

import json
from typing import Any


def print_json(value: Any) -> None:
    """Print strict JSON, readable by a person."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
