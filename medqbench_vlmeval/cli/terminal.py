"""Printing to a terminal or a pipe."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Print strict JSON, readable by a person; what the output's encoding cannot say is escaped."""
    found = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        found.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        found = json.dumps(value, indent=2, allow_nan=False)
    print(found)
