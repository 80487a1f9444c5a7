"""The local leaderboard: own runs beside the published rows, which are reference and never mixed with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.board_entries import (
    BOARD_TASKS,
    CATEGORIES,
    Entry,
    categorised,
    entry_of,
    merged,
    ordered,
)
from medqbench_vlmeval.report.board_file import BOARD, back_up, find_board, read_entries, write_board
from medqbench_vlmeval.report.board_lock import LOCK_TIMEOUT, locked
from medqbench_vlmeval.report.board_rows import board_rows
from medqbench_vlmeval.report.rows import Row
from medqbench_vlmeval.report.runs import parts_of
from medqbench_vlmeval.tasks import Task

_LOCK = ".leaderboard.lock"
_SPELLINGS = {"medical-specialised": "medical-specialized", "medical": "medical-specialized"}


def update(folder: Path, score: Mapping[str, Any], timeout: float = LOCK_TIMEOUT) -> Path:
    """Put a run's score on the board in ``folder`` (``{work_dir}/leaderboard``); see :func:`add`."""
    return add(folder, [score], timeout=timeout)


def add(
    folder: Path,
    scores: Iterable[Mapping[str, Any]],
    category: str | None = None,
    timeout: float = LOCK_TIMEOUT,
) -> Path:
    """Put runs' scores on the board in ``folder``, all or none, and return its ``leaderboard.json``.

    A run is the same as an earlier one when model, dataset, size, protocol, judge, data and prompt style are: the
    newest result is the row, and the numbers of the others are the row's ``history``. Adding one result twice
    changes nothing. A combined run stands on both reasoning boards. ``category`` (one of ``CATEGORIES``) is given
    to all rows of the runs' models. Any number of processes and threads may call this at once; each file is
    replaced whole, and ``timeout`` is in seconds.

    Raises:
        BadInput: a score is not a result, the category is unknown, or the board is not one; the file is left as it
            is.
        RunFailed: the folder cannot be written to, or the lock was not free in time.
    """
    category = None if category is None else _category(category)
    added = [entry_of(part) for score in scores for part in parts_of(score)]
    with locked(folder / _LOCK, folder, timeout):
        entries = read_entries(folder / BOARD)
        for entry in added:
            entries = merged(entries, entry)
        if category is not None:
            for model in {entry["model"] for entry in added}:
                entries = categorised(entries, model, category)
        return write_board(folder, ordered(entries))


def remove(
    place: Path,
    model: str,
    *,
    dataset: str | None = None,
    judge: str | None = None,
    protocol: str | None = None,
    every: bool = False,
    timeout: float = LOCK_TIMEOUT,
) -> tuple[Path, list[Entry]]:
    """Take own rows off a board, after a copy to ``leaderboard.json.bak``; return that copy and the rows.

    Without ``every`` exactly one row must be meant; ``dataset``, ``judge`` and ``protocol`` narrow the choice.

    Raises:
        BadInput: there is no board, no such row, or more than one.
        RunFailed: the folder cannot be written to, or the lock was not free in time.
    """
    folder = _board_at(place).parent
    wanted = {"model": model, "dataset": dataset, "judge": judge, "protocol": protocol}
    with locked(folder / _LOCK, folder, timeout):
        entries = read_entries(folder / BOARD)
        meant = [
            entry
            for entry in entries
            if all(value is None or entry.get(name) == value for name, value in wanted.items())
        ]
        if not meant:
            raise BadInput(_nothing_to_remove(model, entries))
        if len(meant) > 1 and not every:
            raise BadInput(
                f"{len(meant)} rows of {folder / BOARD} are meant: {'; '.join(map(describe, meant))}. Narrow the "
                "choice with --dataset, --judge or --protocol, or remove them --all."
            )
        backup = back_up(folder)
        # Two rows may be equal to the last field, and only these two objects are meant.
        left = {id(entry) for entry in meant}
        write_board(folder, [entry for entry in entries if id(entry) not in left])
    return backup, meant


def describe(entry: Mapping[str, Any]) -> str:
    """What tells an entry from others, for a message."""
    known = (entry["model"], entry["task"], entry.get("dataset"), entry.get("judge"), entry.get("protocol"))
    data = str(entry.get("data_sha256") or "").removeprefix("samples:")[:8]
    count = f"n={entry['n']}" if entry.get("n") is not None else None
    return ", ".join(str(one) for one in (*known, data, count) if one)


def leaderboard_rows(place: Path | None = None, must_exist: bool = True) -> dict[Task, list[Row]]:
    """The rows of all three tasks, own and published, each list best first.

    ``place`` is the board's folder, the working folder that it lies in, or the file itself; None, and with
    ``must_exist`` off a place without a board, gives the published rows alone.

    Raises:
        BadInput: there is no board, or the file is not one.
        RunFailed: the file cannot be read.
    """
    return rows_of(_entries(place, must_exist))


def rows_of_scores(scores: Iterable[Mapping[str, Any]]) -> dict[Task, list[Row]]:
    """The rows that a board of these results alone would have.

    Raises:
        BadInput: a score is not a result.
    """
    entries: list[Entry] = []
    for score in scores:
        for part in parts_of(score):
            entries = merged(entries, entry_of(part))
    return rows_of(entries)


def rows_of(entries: Sequence[Entry]) -> dict[Task, list[Row]]:
    """The rows of all three tasks for checked entries."""
    return {task: board_rows(entries, task) for task in BOARD_TASKS}


def own_entries(place: Path | None, must_exist: bool = True) -> list[Entry]:
    """The own runs of a board with their ``history``, in the board's order (see :func:`leaderboard_rows`)."""
    return ordered(_entries(place, must_exist))


def as_json(rows: Mapping[Task, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """The rows as plain JSON types, by task."""
    return {
        Task(task).value: [{**asdict(row), "task": row.task.value} for row in found] for task, found in rows.items()
    }


def _entries(place: Path | None, must_exist: bool) -> list[Entry]:
    if place is None or (not must_exist and find_board(place) is None):
        return []
    return read_entries(_board_at(place))


def _board_at(place: Path) -> Path:
    path = find_board(place)
    if path is None:
        raise BadInput(
            f"There is no leaderboard in {place}: name the working folder of a run, its 'leaderboard' folder or "
            f"{BOARD} itself."
        )
    return path


def _category(text: str) -> str:
    category = _SPELLINGS.get(text, text)
    if category not in CATEGORIES:
        raise BadInput(f"'{text}' is no category of the leaderboard; choose one of {', '.join(CATEGORIES)}.")
    return category


def _nothing_to_remove(model: str, entries: Sequence[Entry]) -> str:
    models = list(dict.fromkeys(entry["model"] for entry in entries))
    near = difflib.get_close_matches(model, models, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return (
        f"No own row of this board is of '{model}' with these settings (published rows cannot be removed).{hint} Own "
        f"models: {', '.join(models) or 'none'}."
    )
