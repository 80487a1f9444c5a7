"""Finding the scored runs of a folder: whole results only, each once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.runs import SAMPLES_ENDING, SCORE_ENDING, parts_of

_SET_ASIDE = "previous"  # where an evaluation keeps results that a later one would have written over


@dataclass(frozen=True)
class Result:
    """A result file and what it holds."""

    path: Path
    score: dict[str, Any]


def scored_runs(place: Path) -> list[Result]:
    """The result in a ``_score.json``, or all of a folder; where the folder has none, those of its subfolders.

    Links of one result count once. All files are read before anything is returned, so that a bad one among good
    ones is found before a board is touched.

    Raises:
        BadInput: there is no result, one of them is not a result of this package, or a run is half written: it has
            samples and no score.
    """
    if not place.is_dir():
        if place.exists() and place.suffix != ".json":
            raise BadInput(f"{place} is no *{SCORE_ENDING}; name the run's score, or the folder that it is in.")
        return [Result(place, _read(place))]
    here = _results(place.iterdir())
    below = [] if here else _results(path for path in place.rglob("*") if _SET_ASIDE not in path.parts)
    paths = list({path.resolve(): path for path in here or below}.values())
    for path in paths:
        if path.name.endswith(SAMPLES_ENDING):
            score = path.with_name(path.name.removesuffix(SAMPLES_ENDING) + SCORE_ENDING)
            if not score.exists():
                raise BadInput(
                    f"{path} is half of a run: {score.name} is not there, which is written last. Score that run "
                    "again, or name the *_score.json files of the others."
                )
    found = [path for path in paths if path.name.endswith(SCORE_ENDING)]
    if not found:
        raise BadInput(f"There is no *{SCORE_ENDING} in {place}: name the folder of a scored run.")
    return [Result(path, _read(path)) for path in found]


def _results(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path for path in paths if path.name.endswith((SCORE_ENDING, SAMPLES_ENDING)) and not path.name.startswith(".")
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        score = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); name a *{SCORE_ENDING} file.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error}); score the run again.") from error
    if not isinstance(score, dict):
        raise BadInput(f"{path} is not a result of medqbench; name a *{SCORE_ENDING} file.")
    try:
        parts = parts_of(score)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if not all(part.n for part in parts):
        raise BadInput(
            f"{path} has no count of its samples ('n'), so it is no result of medqbench; score the run again."
        )
    return score
