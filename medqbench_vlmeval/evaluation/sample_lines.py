"""Reading the lines of a ``_samples.jsonl`` back: whole JSON objects, an index each, verdicts that can be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.runs import SAMPLES_ENDING
from medqbench_vlmeval.report.text import storable
from medqbench_vlmeval.tasks import DIMENSIONS, MAX_VERDICT

_MOST_DIGITS = 18  # of a whole number; counts have fewer


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file with the numbers of their lines, from 1.

    Raises:
        BadInput: the file is not there, is no UTF-8 text, or a line is no whole JSON object.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist; name the '{SAMPLES_ENDING}' of a run, or a folder with such files.")
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 text (byte {error.start}); it is no '{SAMPLES_ENDING}' of a run."
        ) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value = parse_object(line)
        if value is None:
            raise BadInput(
                f"{path}, line {number}: not a whole JSON object. A '{SAMPLES_ENDING}' of a run was expected; this "
                "file is of another kind, or was cut short; score the run again."
            )
        found.append((number, value))
    return found


def checked_scores(verdicts: Mapping[str, Any], where: str) -> dict[str, float | None]:
    """The verdicts' scores by dimension, None where there is none.

    Raises:
        BadInput: a score is not a number between 0 and 2; the message starts with ``where``.
    """
    scores: dict[str, float | None] = {}
    for dimension in DIMENSIONS:
        verdict = verdicts.get(dimension)
        score = verdict.get("score") if isinstance(verdict, dict) else None
        if score is not None and (
            isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= MAX_VERDICT
        ):
            raise BadInput(f"{where}: the verdict {score!r} on {dimension} is not between 0 and 2.")
        scores[dimension] = score
    return scores


def _whole_number(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else _finite(digits)


def _finite(digits: str) -> float | None:
    found = float(digits)
    return found if math.isfinite(found) else None


# No file that this package writes holds such numbers; one that does must not stop a table or end up in one.
_DECODER = json.JSONDecoder(parse_int=_whole_number, parse_float=_finite, parse_constant=lambda _: None)


def parse_object(line: str) -> dict[str, Any] | None:
    """The JSON object that a text is, None for anything else; half characters become U+FFFD, NaN and numbers that no
    sheet or calculation could hold become null."""
    try:
        value = _DECODER.decode(line)
        # No file that this package writes holds half a character; no file could be written with one.
        if "\\ud" in line or "\\uD" in line:
            value = json.loads(storable(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
