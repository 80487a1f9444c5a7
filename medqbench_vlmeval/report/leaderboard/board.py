"""The local leaderboard: own runs beside the published rows, in one file, ``leaderboard.json``, with a CSV table a task
beside it. Any number of processes may write at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

from medqbench_vlmeval.benchmark import OVERALL, Task, published_rows
from medqbench_vlmeval.errors import BadInput, did_you_mean
from medqbench_vlmeval.files import (
    LOCK_TIMEOUT,
    MissingFile,
    check_writable,
    locked,
    read_bytes,
    read_json,
    write_bytes,
    write_json,
    write_text,
)
from medqbench_vlmeval.report.leaderboard import entries as board_entries
from medqbench_vlmeval.report.leaderboard.entries import BOARD_TASKS, CATEGORIES, Entry, board_rows, entry_of, merged
from medqbench_vlmeval.report.leaderboard.tables import Boards, csv_board
from medqbench_vlmeval.report.standings import PUBLISHED, Row, shown_hash
from medqbench_vlmeval.report.table import Column, Item, Table, table, task_kind
from medqbench_vlmeval.runs.files import SCORE_ENDING, scored_runs
from medqbench_vlmeval.runs.result import json_of
from medqbench_vlmeval.types import Result

BOARD = "leaderboard.json"
CSV_FILES: Mapping[Task, str] = {task: f"{task.value}.csv" for task in BOARD_TASKS}
FORMAT = "medqbench-leaderboard"
_VERSION = 1
_LOCK = ".leaderboard.lock"
_SPELLINGS = {"medical-specialised": "medical-specialized", "medical": "medical-specialized"}
_NOTE = "'published' is reference, written anew from the package each time; own results are under 'runs' only."


def read_entries(path: Path) -> list[Entry]:
    """Read the own runs of a board, none where the file does not exist yet. Raises BadInput where the file cannot be
    read, or is not a board that this version understands; it is left as it is."""
    try:
        entries, problems = check_board(path)
    except MissingFile:
        return []
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise BadInput(f"The leaderboard {path} {problems[0]}{more}; it was left as it is. Repair it or move it away.")
    return entries


def check_board(path: Path) -> tuple[list[Entry], list[str]]:
    """The own runs of a board, and everything that is wrong with its file, each as the end of a sentence about it.
    Raises BadInput where the file cannot be read, or is not JSON."""
    try:
        content = read_json(path)
    except ValueError as error:
        raise BadInput(
            f"The leaderboard {path} is not JSON ({error}); it was left as it is. Repair it or move it away, and add "
            "the runs again."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("runs"), list):
        return [], ["is JSON, but not a leaderboard of medqbench"]
    version = content.get("version")
    if version != _VERSION:
        return [], [f"has format version {version!r:.60}, and this medqbench-vlmeval reads version {_VERSION}"]
    entries, problems = [], []
    for position, run in enumerate(content["runs"], 1):
        try:
            entries.append(board_entries.entry_from_json(run))
        except BadInput as error:
            problems.append(f"has a run, number {position}, that {error}")
    return entries, problems


def _write(folder: Path, entries: Sequence[Entry]) -> Path:
    """Replace the board and its three tables, each whole or not at all; the JSON goes first, being the truth."""
    path = folder / BOARD
    published = {task.value: [asdict(row) for row in published_rows(task)] for task in CSV_FILES}
    runs = [board_entries.entry_to_json(entry) for entry in entries]
    for name in (BOARD, *CSV_FILES.values()):
        check_writable(folder / name)
    write_json(path, {"format": FORMAT, "version": _VERSION, "note": _NOTE, "runs": runs, "published": published})
    for task, rows in rows_of(entries).items():
        write_text(folder / CSV_FILES[task], csv_board({task: rows}))
    return path


def find_board(place: Path) -> Path | None:
    """The board's file for a folder with a board, a working folder or the file itself; None where there is none."""
    return next((path for path in (place, place / BOARD, place / "leaderboard" / BOARD) if path.is_file()), None)


def add(folder: Path, results: Iterable[Result], category: str | None = None, timeout: float = LOCK_TIMEOUT) -> Path:
    """Put results on the board in ``folder``, all or none, and return its ``leaderboard.json``. Of runs with one
    :attr:`Entry.identity` the newest is the row, the others its ``history``. ``category`` (one of ``CATEGORIES``) is
    given to all rows of the runs' models; ``timeout`` is in seconds. Raises BadInput where the category is unknown, or
    the board is not one; the file is left as it is. Raises RunFailed where the folder cannot be written to, or the lock
    was not free in time."""
    category = _SPELLINGS.get(category or "", category)
    if category not in (None, *CATEGORIES):
        raise BadInput(f"'{category}' is no category of the leaderboard; choose one of {', '.join(CATEGORIES)}.")
    added = [entry_of(run) for result in results for run in result.tasks]
    with locked(folder / _LOCK, folder, timeout):
        entries = reduce(merged, added, read_entries(folder / BOARD))
        if category is not None:
            models = {entry.model for entry in added}
            entries = [replace(entry, category=category) if entry.model in models else entry for entry in entries]
        return _write(folder, board_entries.ordered(entries))


def remove_rows(
    place: Path, model: str, *, dataset: str | None, judge: str | None, protocol: str | None, every: bool
) -> tuple[Path, list[Entry]]:
    """Take own rows off a board, exactly one without ``every``, after a copy to ``leaderboard.json.bak``; return that
    copy and the rows. Raises BadInput where there is no board, no such row, or more than one. Raises RunFailed where
    the folder cannot be written to, or the lock was not free in time."""
    folder = _board_at(place).parent
    wanted = {"model": model, "dataset": dataset, "judge": judge, "protocol": protocol}
    with locked(folder / _LOCK, folder):
        entries = read_entries(folder / BOARD)
        meant = [run for run in entries if all(value in (None, getattr(run, name)) for name, value in wanted.items())]
        if not meant:
            models = list(dict.fromkeys(entry.model for entry in entries))
            raise BadInput(
                f"No own row of this board is of '{model}' with these settings (published rows cannot be removed)."
                f"{did_you_mean(model, models)} Own models: {', '.join(models) or 'none'}."
            )
        if len(meant) > 1 and not every:
            raise BadInput(
                f"{len(meant)} rows of {folder / BOARD} are meant: {'; '.join(map(describe, meant))}. Narrow the "
                "choice with --dataset, --judge or --protocol, or remove them --all."
            )
        backup = folder / f"{BOARD}.bak"
        write_bytes(backup, read_bytes(folder / BOARD))
        _write(folder, [entry for entry in entries if entry not in meant])
    return backup, meant


def describe(entry: Entry) -> str:
    """Say what tells an entry from others, for a message."""
    count = None if entry.n is None else f"n={entry.n}"
    settings = (entry.dataset, entry.judge, entry.protocol, shown_hash(entry.data_sha256), count)
    return ", ".join(part for part in (entry.model, entry.task.value, *settings) if part)


def rows_of(entries: Sequence[Entry]) -> dict[Task, list[Row]]:
    """The rows of all tasks that have any, own and published, each list best first."""
    boards = {task: [row for row, _ in board_rows(entries, task)] for task in BOARD_TASKS}
    return {task: rows for task, rows in boards.items() if rows}


def own_entries(place: Path | None) -> list[Entry]:
    """The own runs of a board (see :func:`find_board`) in its order; none where ``place`` is None. Raises BadInput
    where there is no board, or the file cannot be read or is not one."""
    return [] if place is None else board_entries.ordered(read_entries(_board_at(place)))


def _board_at(place: Path) -> Path:
    if path := find_board(place):
        return path
    raise BadInput(
        f"There is no leaderboard in {place}: name the working folder of a run, its 'leaderboard' folder or {BOARD} "
        "itself."
    )


def boards_at(place: Path, task: str | None = None) -> Boards:
    """The rows to be shown for a board, or for scored runs that are on none, by task: of ``task`` alone, by default of
    those that have own rows, or all where none has. Raises BadInput where there is neither a board nor a result, or the
    task has no board."""
    if not place.name.endswith(SCORE_ENDING) and find_board(place) is not None:
        boards = rows_of(own_entries(place))
    else:
        added = [entry_of(run) for _, result in scored_runs(place) for run in result.tasks]
        boards = rows_of(reduce(merged, added, list[Entry]()))
    if task is None:
        return {of: rows for of, rows in boards.items() if any(row.kind != PUBLISHED for row in rows)} or boards
    return chosen(boards, task)


def chosen(boards: Boards, task: str | None) -> Boards:
    """All boards, or those of one task alone: 'reasoning' has two. Raises BadInput where the task has no board."""
    both = Task.REASONING.parts if task == Task.REASONING else ()
    found = {known: rows for known, rows in boards.items() if known in both or task in (None, known.value)}
    if not found:
        raise BadInput(f"'{task}' has no board; choose one of {', '.join(known.value for known in boards)}.")
    return found


def rows_to_json(rows: Mapping[Task, Sequence[Row]]) -> dict[str, list[dict[str, Any]]]:
    """The rows as plain JSON types, by task."""
    names = [column.name for column in fields(Row)]
    return {
        task.value: [{**json_of(row, *names), "task": task.value} for row in of_task] for task, of_task in rows.items()
    }


def histories_to_json(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The results of each row that has a past, newest first, as plain JSON types."""
    names = ("model", "dataset", "judge", "protocol", "data_sha256")
    return [
        {"task": entry.task.value, **json_of(entry, *names), "results": [asdict(result) for result in entry.results]}
        for entry in entries
        if entry.history
    ]


def history_table(entries: Iterable[Entry]) -> Table | None:
    """One row a result of each own row that has a past, the current one first; None where none has."""
    columns = (Column("Model"), Column("Dataset"), Column("Created"), Column("Overall", "score"), Column("n", "count"))
    rows = [
        (entry.model, entry.dataset, result.created, Item(result.values.get(OVERALL), task_kind(entry.task)), result.n)
        for entry in entries
        if entry.history
        for result in entry.results
    ]
    return table("History of own rows, newest first", columns, rows) if rows else None
