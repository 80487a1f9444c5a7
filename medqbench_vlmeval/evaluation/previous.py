"""Keeping the verdicts of an earlier evaluation that a new one would write over.

Judging costs money. A second evaluation of the same predictions with another judge, protocol or parameter, one
that scored less than the earlier one, one that asked the judge everything anew, or one of new predictions under the
same file name first moves the earlier result files into the folder ``previous``. What an extractor read was paid for
just as well: a result that holds some of it is moved also where the new one has no extractor. The earlier files may be
of any shape: somebody may have edited them.
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
    """Move an earlier result with paid verdicts out of the way unless the new one was made in the same way.

    Raises:
        OSError: the folder cannot be written to.
    """
    if not paths.samples.exists():
        return
    earlier = read_object(paths.score)
    if not score["settings"]["judge"] and not (earlier and _holds_paid(earlier)):
        return
    same = earlier is not None and _made_by(earlier) == _made_by(score) and _scored(score) >= _scored(earlier)
    if same and not _asked_anew(score):
        return
    created = str(_object(earlier, "settings").get("created", "")) if earlier else ""
    tag = re.sub(r"\W+", "-", created).strip("-") or f"{int(paths.samples.stat().st_mtime)}"
    folder = paths.samples.parent / _FOLDER
    folder.mkdir(exist_ok=True)
    for path in (paths.samples, paths.score, paths.report):
        if path.exists():
            path.replace(_free(folder / f"{path.stem}_{tag}{path.suffix}"))


def _made_by(score: Mapping[str, Any]) -> tuple[Any, ...]:
    settings = _object(score, "settings")
    judge = _object(settings, "judge") or _object(settings, "extractor")
    protocols = (settings.get("protocol"), judge.get("protocol"))
    predictions = _object(settings, "prediction_file").get("content_sha256")
    return (judge.get("name"), judge.get("parameters"), protocols, predictions)


def _asked_anew(score: Mapping[str, Any]) -> bool:
    """Whether all verdicts were paid in this run: the earlier ones are then others, of the same judge."""
    used = [_object(part, "usage") or _object(_object(part, "extractor"), "usage") for part in _parts(score)]
    calls = sum(_count(one, "calls") for one in used)
    return 0 < calls == sum(_count(_object(one, "this_run"), "calls") for one in used)


def _scored(score: Mapping[str, Any]) -> int:
    return sum(_count(part, "n_scored") for part in _parts(score)) + _n_extracted(score)


def _holds_paid(score: Mapping[str, Any]) -> bool:
    return bool(_object(_object(score, "settings"), "judge")) or _n_extracted(score) > 0


def _n_extracted(score: Mapping[str, Any]) -> int:
    """How many replies an extractor said something valid about."""
    found = _object(score, "extractor")
    return sum(_count(found, name) for name in ("n_read", "n_none"))


def _parts(score: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in single_scores(score) if isinstance(part, Mapping)]


def _object(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) else 0


def _free(path: Path) -> Path:
    taken = 0
    free = path
    while free.exists():
        taken += 1
        free = path.with_stem(f"{path.stem}-{taken}")
    return free
