"""Texts labelled by hand: what a careful reader would record of a judge's reply (or None), what delimiting leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def labelled(name: str) -> list[tuple[Any, ...]]:
    """The rows of a file in ``tests/judge/data``, each a text and its label."""
    lines = (Path(__file__).parent / "data" / name).read_text(encoding="utf-8").splitlines()
    return [tuple(json.loads(line).values()) for line in lines]
