"""The local leaderboard: own runs beside the published rows, which are reference and never mixed with them.

The board is one file, ``leaderboard.json``, with a CSV table a task beside it. Any number of processes may write at
once.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import Task, published_rows
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import (
    LOCK_TIMEOUT,
    check_writable,
    locked,
    reading,
    unwritable,
    write_bytes,
    write_json,
    write_text,
)
from medqbench_vlmeval.report.leaderboard.entries import (
    BOARD_TASKS,
    CATEGORIES,
    Entry,
    board_rows,
    entry_from_json,
    entry_of,
    entry_to_json,
    merged,
    ordered,
)
from medqbench_vlmeval.report.leaderboard.tables import Boards, csv_board, tasks_with_own_rows
from medqbench_vlmeval.report.standings import Row, shown_hash
from medqbench_vlmeval.report.table import Column, Table, table, task_kind, value_words
from medqbench_vlmeval.runs.files import SCORE_ENDING, scored_runs
from medqbench_vlmeval.runs.result import OVERALL
from medqbench_vlmeval.types import Result

BOARD = "leaderboard.json"
BACKUP = "leaderboard.json.bak"
CSV_FILES: Mapping[Task, str] = {task: f"{task.value.replace('-', '_')}.csv" for task in BOARD_TASKS}
FORMAT = "medqbench-leaderboard"
_VERSION = 1
_LOCK = ".leaderboard.lock"
_SPELLINGS = {"medical-specialised": "medical-specialized", "medical": "medical-specialized"}
_NOTE = "'published' is reference, written anew from the package each time; own results are under 'runs' only."


def read_entries(path: Path) -> list[Entry]:
    """Read the own runs of a board, none where the file does not exist yet.

    Raises:
        BadInput: the file cannot be read, or is not a board that this version understands; it is left as it is.
    """
    entries, problems = _entries_in(_content(path)) if path.exists() else ([], [])
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise BadInput(f"The leaderboard {path} {problems[0]}{more}; it was left as it is. Repair it or move it away.")
    return entries


def check_board(path: Path) -> tuple[list[str], int]:
    """Find everything that is wrong with a board's file; return the problems as sentences and the number of own runs.

    Raises:
        BadInput: the file cannot be read, or is not JSON.
    """
    entries, problems = _entries_in(_content(path))
    return [f"It {problem}." for problem in problems], len(entries)


def _content(path: Path) -> object:
    try:
        with reading(path):
            return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"The leaderboard {path} is not JSON ({error}); it was left as it is. Repair it or move it away, and add "
            "the runs again."
        ) from error


def _entries_in(content: object) -> tuple[list[Entry], list[str]]:
    """The entries of a board, and what keeps the content from being one, each as the end of a sentence."""
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("runs"), list):
        return [], ["is JSON, but not a leaderboard of medqbench"]
    version = content.get("version")
    if version != _VERSION:
        return [], [f"has format version {version!r}, and this medqbench-vlmeval reads version {_VERSION}"]
    entries, problems = [], []
    for position, run in enumerate(content["runs"], 1):
        try:
            entries.append(entry_from_json(run))
        except BadInput as error:
            problems.append(f"has a run, number {position}, that {error}")
    return entries, problems


def _write(folder: Path, entries: Sequence[Entry]) -> Path:
    """Replace the board and its three tables, each whole or not at all; the JSON goes first, being the truth."""
    path = folder / BOARD
    published = {
        task.value: [
            {"model": row.model, "category": row.category, "values": dict(row.values), "source": row.source}
            for row in published_rows(task)
        ]
        for task in CSV_FILES
    }
    runs = [entry_to_json(entry) for entry in entries]
    for name in (BOARD, *CSV_FILES.values()):
        check_writable(folder / name)
    try:
        write_json(path, {"format": FORMAT, "version": _VERSION, "note": _NOTE, "runs": runs, "published": published})
        for task, rows in rows_of(entries).items():
            write_text(folder / CSV_FILES[task], csv_board({task: rows}))
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def find_board(place: Path) -> Path | None:
    """The board's file for a folder with a board, a working folder or the file itself; None where there is none."""
    places = (place, place / BOARD, place / "leaderboard" / BOARD)
    return next((path for path in places if path.is_file()), None)


def add(folder: Path, results: Iterable[Result], category: str | None = None, timeout: float = LOCK_TIMEOUT) -> Path:
    """Put results on the board in ``folder``, all or none, and return its ``leaderboard.json``.

    A run is the same as an earlier one when model, dataset, size, protocol, judge, data and prompt style are: the
    newest result is the row, and the numbers of the others are the row's ``history``. Adding one result twice
    changes nothing. A combined run stands on both reasoning boards. ``category`` (one of ``CATEGORIES``) is given
    to all rows of the runs' models. Any number of processes and threads may call this at once; each file is
    replaced whole, and ``timeout`` is in seconds.

    Raises:
        BadInput: the category is unknown, or the board is not one; the file is left as it is.
        RunFailed: the folder cannot be written to, or the lock was not free in time.
    """
    category = _SPELLINGS.get(category or "", category)
    if category not in (None, *CATEGORIES):
        raise BadInput(f"'{category}' is no category of the leaderboard; choose one of {', '.join(CATEGORIES)}.")
    added = [entry_of(run) for result in results for run in result.tasks]
    with locked(folder / _LOCK, folder, timeout):
        entries = reduce(merged, added, read_entries(folder / BOARD))
        if category is not None:
            models = {entry.row.model for entry in added}
            marked = (replace(entry, row=replace(entry.row, category=category)) for entry in entries)
            entries = [new if new.row.model in models else old for old, new in zip(entries, marked, strict=True)]
        return _write(folder, ordered(entries))


def remove_rows(
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
            if all(value is None or getattr(entry.row, name) == value for name, value in wanted.items())
        ]
        if not meant:
            models = list(dict.fromkeys(entry.row.model for entry in entries))
            near = difflib.get_close_matches(model, models, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise BadInput(
                f"No own row of this board is of '{model}' with these settings (published rows cannot be removed)."
                f"{hint} Own models: {', '.join(models) or 'none'}."
            )
        if len(meant) > 1 and not every:
            raise BadInput(
                f"{len(meant)} rows of {folder / BOARD} are meant: {'; '.join(map(describe, meant))}. Narrow the "
                "choice with --dataset, --judge or --protocol, or remove them --all."
            )
        backup = folder / BACKUP
        try:
            write_bytes(backup, (folder / BOARD).read_bytes())
        except OSError as error:
            raise unwritable(folder, error) from error
        # Two rows may be equal to the last field, and only these objects are meant.
        removed = {id(entry) for entry in meant}
        _write(folder, [entry for entry in entries if id(entry) not in removed])
    return backup, meant


def describe(entry: Entry) -> str:
    """Say what tells an entry from others, for a message."""
    row = entry.row
    count = None if row.n is None else f"n={row.n}"
    settings = (row.dataset, row.judge, row.protocol, shown_hash(row.data_sha256), count)
    return ", ".join(part for part in (row.model, row.task.value, *settings) if part)


def leaderboard_rows(place: Path | None = None, must_exist: bool = True) -> dict[Task, list[Row]]:
    """The rows of all three tasks, own and published, each list best first.

    ``place`` is the board's folder, the working folder that it lies in, or the file itself; None, and with
    ``must_exist`` off a place without a board, gives the published rows alone.

    Raises:
        BadInput: there is no board, or the file is not one.
        RunFailed: the file cannot be read.
    """
    return rows_of(own_entries(place, must_exist))


def rows_of_results(results: Iterable[Result]) -> dict[Task, list[Row]]:
    """The rows that a board of these results alone would have."""
    added = (entry_of(run) for result in results for run in result.tasks)
    return rows_of(reduce(merged, added, list[Entry]()))


def rows_of(entries: Sequence[Entry]) -> dict[Task, list[Row]]:
    """The rows of all three tasks for checked entries."""
    return {task: [row for row, _ in board_rows(entries, task)] for task in BOARD_TASKS}


def own_entries(place: Path | None, must_exist: bool = True) -> list[Entry]:
    """The own runs of a board with their ``history``, in the board's order (see :func:`leaderboard_rows`)."""
    if place is None or (not must_exist and find_board(place) is None):
        return []
    return ordered(read_entries(_board_at(place)))


def boards_at(place: Path, task: str | None = None) -> Boards:
    """The rows to be shown for a board, or for scored runs that are on none, by task.

    Args:
        place: a board's file or folder, a working folder, or a folder or file with results.
        task: only this one ('perception', 'no-reference', 'comparative'); by default those that have own rows.

    Raises:
        BadInput: there are neither a board nor results, or the task has no board.
    """
    if not place.name.endswith(SCORE_ENDING) and find_board(place) is not None:
        boards = leaderboard_rows(place)
    else:
        boards = rows_of_results(score.result for score in scored_runs(place))
    if task is None:
        return tasks_with_own_rows(boards)
    chosen = {known: rows for known, rows in boards.items() if known.value == task}
    if not chosen:
        raise BadInput(f"'{task}' has no board; choose one of {', '.join(known.value for known in boards)}.")
    return chosen


def rows_to_json(rows: Mapping[Task, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """The rows as plain JSON types, by task."""
    return {task.value: [{**asdict(row), "task": task.value} for row in of_task] for task, of_task in rows.items()}


def _board_at(place: Path) -> Path:
    if path := find_board(place):
        return path
    raise BadInput(
        f"There is no leaderboard in {place}: name the working folder of a run, its 'leaderboard' folder or {BOARD} "
        "itself."
    )


def histories_to_json(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The results of each row that has a past, newest first, as plain JSON types."""
    named = ("model", "dataset", "judge", "protocol", "data_sha256")
    return [
        {
            "task": entry.row.task.value,
            **{name: getattr(entry.row, name) for name in named},
            "results": [asdict(result) for result in entry.results],
        }
        for entry in entries
        if entry.history
    ]


def history_table(entries: Iterable[Entry]) -> Table | None:
    """One row a result of each own row that has a past, the current one first; None where none has."""
    columns = (Column("Model"), Column("Dataset"), Column("Created"), Column("Overall", "score"), Column("n", "count"))
    rows = []
    for entry in (entry for entry in entries if entry.history):
        for result in entry.results:
            overall = result.values.get(OVERALL)
            shown = None if overall is None else value_words(overall, task_kind(entry.row.task))
            rows.append((entry.row.model, entry.row.dataset, result.created, shown, result.n))
    return table("History of own rows, newest first", columns, rows) if rows else None
