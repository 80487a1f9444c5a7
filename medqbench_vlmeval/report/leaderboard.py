"""The local leaderboard: own runs beside the published rows, which are reference and never mixed with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.board_file import (
    BOARD,
    CSV_FILES,
    Entry,
    board_rows,
    locked,
    read_entries,
    write_board,
)
from medqbench_vlmeval.report.rows import Row, own_row
from medqbench_vlmeval.report.runs import OVERALL, RunPart, mapping, parts_of
from medqbench_vlmeval.report.text import storable
from medqbench_vlmeval.tasks import ALL_DATASET_NAMES, Task

LOCK_TIMEOUT = 60.0  # seconds
_SCORE = "_score.json"
HISTORY = 20  # past results kept for a row


def update(folder: Path, score: Mapping[str, Any], timeout: float = LOCK_TIMEOUT) -> Path:
    """Put a run's score on the board in ``folder`` (``{work_dir}/leaderboard``) and return ``leaderboard.json``.

    A run is the same as an earlier one when model, dataset, size, protocol, judge, data and prompt style are: it
    replaces that row, whose numbers go into the row's ``history``. Adding one result twice changes nothing.
    A combined run stands on both reasoning boards. Any number of processes may call this at once; each file
    is replaced whole, and ``timeout`` is in seconds.

    Raises:
        BadInput: ``score`` is not a result, or the board is not one; the file is left as it is.
        RunFailed: the folder cannot be written to, or the lock was not free in time.
    """
    added = [_entry(part) for part in parts_of(score)]
    with locked(folder, timeout):
        entries = read_entries(folder / BOARD)
        for entry in added:
            entries = _merged(entries, entry)
        return write_board(folder, _sorted(entries))


def leaderboard_rows(place: Path | None = None, must_exist: bool = True) -> dict[Task, list[Row]]:
    """The rows of all three tasks, own and published, each list best first.

    ``place`` is the board's folder, the working folder that it lies in, or the file itself; None, and with
    ``must_exist`` off a place without a board, gives the published rows alone.

    Raises:
        BadInput: there is no board, or the file is not one.
        RunFailed: the file cannot be read.
    """
    path = _find(place) if place is not None else None
    if place is not None and path is None and must_exist:
        raise BadInput(
            f"There is no leaderboard in {place}: name the working folder of a run, its 'leaderboard' folder or "
            f"{BOARD} itself."
        )
    entries = read_entries(path) if path is not None else []
    return {task: board_rows(entries, task) for task in CSV_FILES}


def as_json(rows: Mapping[Task, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """The rows as plain JSON types, by task."""
    return {
        Task(task).value: [{**asdict(row), "task": row.task.value} for row in found] for task, found in rows.items()
    }


def read_scores(place: Path) -> list[dict[str, Any]]:
    """The results in a ``_score.json`` file, or in all such files of a folder (subfolders are not searched).

    Raises:
        BadInput: there is no such file, or one of them is not a result.
    """
    paths = sorted(place.glob(f"*{_SCORE}")) if place.is_dir() else [place]
    if not paths:
        raise BadInput(f"There is no *{_SCORE} in {place}: name the folder of a scored run.")
    return [_read_score(path) for path in paths]


def _read_score(path: Path) -> dict[str, Any]:
    try:
        score = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); name a *{_SCORE} file.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error}); score the run again.") from error
    if not isinstance(score, dict):
        raise BadInput(f"{path} is not a result of medqbench; name a *{_SCORE} file.")
    try:
        parts_of(score)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return score


def _find(place: Path) -> Path | None:
    found = (path for path in (place, place / BOARD, place / "leaderboard" / BOARD) if path.is_file())
    return next(found, None)


def _entry(part: RunPart) -> Entry:
    row = own_row(part)
    entry = {
        "task": row.task.value,
        "kind": row.kind,
        "model": row.model,
        "dataset": row.dataset,
        "values": dict(row.values),
        "interval": list(row.interval) if row.interval else None,
        "n": row.n,
        "counts": dict(part.counts),
        "comparable": row.comparable,
        "not_comparable_because": list(row.not_comparable_because),
        "judge": row.judge,
        "protocol": row.protocol,
        "protocol_sha256": part.setting("protocol", "sha256"),
        "prompt_style": row.prompt_style,
        "data_sha256": row.data_sha256,
        "data_revision": part.data.get("revision"),
        "versions": dict(mapping(part.settings.get("versions"))),
        "created": row.created,
        "history": [],
    }
    # What the file gives back must be what was put in, or a rerun would not find its row.
    return {name: _storable(value) for name, value in entry.items()}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    known = ALL_DATASET_NAMES.get(str(entry.get("dataset")))
    # One table has several names: no suffix means test, and a combined run measures both single ones.
    dataset = known.split.value if known else str(entry.get("dataset"))
    # n: a run that was limited to some samples does not take the place of a whole one.
    fields = ("protocol", "protocol_sha256", "judge", "data_sha256", "prompt_style", "n")
    return (entry["task"], entry["model"], known is not None, dataset, *(entry.get(field) for field in fields))


def _merged(entries: list[Entry], new: Entry) -> list[Entry]:
    identity = _identity(new)
    merged = [entry for entry in entries if _identity(entry) != identity]
    history: list[Any] = []
    for old in (entry for entry in entries if _identity(entry) == identity):
        if old.get("created") != new["created"] or old["values"] != new["values"]:
            history.append({"created": old.get("created"), "n": old.get("n"), "values": old["values"]})
        history += old.get("history", [])
    return [*merged, {**new, "history": history[:HISTORY]}]


def _sorted(entries: list[Entry]) -> list[Entry]:
    """By task, then best first: the file's bytes do not depend on the order in which runs were added."""

    def key(entry: Entry) -> tuple[Any, ...]:
        overall = entry["values"].get(OVERALL)
        task = list(CSV_FILES).index(Task(entry["task"]))
        return (task, overall is None, -(overall or 0), entry["model"], repr(_identity(entry)))

    return sorted(entries, key=key)
