"""Keeping the verdicts of an earlier evaluation that a new one would write over.

Judging costs money. A second evaluation of the same predictions with another judge, protocol or parameter, one
that scored less than the earlier one, one that asked the judge everything anew, or one of new predictions under the
same file name first moves the earlier result files into the folder ``previous``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medqbench_vlmeval.evaluation.outputs import ResultPaths, single_scores
from medqbench_vlmeval.files import read_object

_FOLDER = "previous"


def keep_paid_verdicts(paths: ResultPaths, score: Mapping[str, Any]) -> None:
    """Move an earlier judged result out of the way unless the new one was made in the same way.

    Raises:
        OSError: the folder cannot be written to.
    """
    if not paths.samples.exists() or not score["settings"]["judge"]:
        return
    earlier = read_object(paths.score)
    same = earlier is not None and _made_by(earlier) == _made_by(score) and _scored(score) >= _scored(earlier)
    if same and not _asked_anew(score):
        return
    created = str(earlier.get("settings", {}).get("created", "")) if earlier else ""
    tag = re.sub(r"\W+", "-", created).strip("-") or f"{int(paths.samples.stat().st_mtime)}"
    folder = paths.samples.parent / _FOLDER
    folder.mkdir(exist_ok=True)
    for path in (paths.samples, paths.score, paths.report):
        if path.exists():
            path.replace(_free(folder / f"{path.stem}_{tag}{path.suffix}"))


def _made_by(score: Mapping[str, Any]) -> tuple[Any, ...]:
    settings = score.get("settings", {})
    judge = settings.get("judge") or {}
    predictions = (settings.get("prediction_file") or {}).get("content_sha256")
    return (judge.get("name"), judge.get("parameters"), settings.get("protocol"), predictions)


def _asked_anew(score: Mapping[str, Any]) -> bool:
    """Whether all verdicts were paid in this run: the earlier ones are then others, of the same judge."""
    used = [part.get("usage") or {} for part in single_scores(score)]
    calls = sum(int(one.get("calls") or 0) for one in used)
    return 0 < calls == sum(int((one.get("this_run") or {}).get("calls") or 0) for one in used)


def _scored(score: Mapping[str, Any]) -> int:
    return sum(int(part.get("n_scored") or 0) for part in single_scores(score))


def _free(path: Path) -> Path:
    taken = 0
    free = path
    while free.exists():
        taken += 1
        free = path.with_stem(f"{path.stem}-{taken}")
    return free
