"""The board's file and its three tables: how they are read, checked and written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from medqbench_vlmeval.data.published import published_rows
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import write_bytes, write_json, write_text
from medqbench_vlmeval.report.board_entries import Entry, problem_of
from medqbench_vlmeval.report.board_lock import check_writable, unwritable
from medqbench_vlmeval.report.board_rows import board_rows
from medqbench_vlmeval.report.board_tables import csv_table
from medqbench_vlmeval.tasks import Task

BOARD = "leaderboard.json"
BACKUP = "leaderboard.json.bak"
CSV_FILES: Mapping[Task, str] = {
    Task.PERCEPTION: "perception.csv",
    Task.NO_REFERENCE: "no_reference.csv",
    Task.COMPARATIVE: "comparative.csv",
}
FORMAT = "medqbench-leaderboard"
_VERSION = 1


def read_entries(path: Path) -> list[Entry]:
    """The own runs of a board, none where the file does not exist yet.

    Raises:
        BadInput: the file is not a board that this version understands; it is left as it is.
        RunFailed: the file cannot be read.
    """
    try:
        board = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFailed(f"The leaderboard {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"The leaderboard {path} is not JSON ({error}); it was left as it is. Repair it or move it away, and add "
            "the runs again."
        ) from error
    problems = board_problems(board)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise BadInput(f"The leaderboard {path} {problems[0]}{more}; it was left as it is. Repair it or move it away.")
    return list(board["runs"])


def board_problems(board: object) -> list[str]:
    """All that keeps a JSON value from being a board, each as the end of a sentence about the file."""
    if not isinstance(board, dict) or board.get("format") != FORMAT or not isinstance(board.get("runs"), list):
        return ["is JSON, but not a leaderboard of medqbench"]
    if board.get("version") != _VERSION:
        return [f"has format version {board.get('version')!r}, and this medqbench-vlmeval reads version {_VERSION}"]
    found = ((position, problem_of(entry)) for position, entry in enumerate(board["runs"], 1))
    return [f"has a run, number {position}, that {problem}" for position, problem in found if problem]


def write_board(folder: Path, entries: Sequence[Entry]) -> Path:
    """Replace the board and its three tables, each whole or not at all; the JSON goes first, being the truth.

    Raises:
        RunFailed: a file cannot be written.
    """
    path = folder / BOARD
    published = {
        task.value: [
            {"model": row.model, "category": row.category, "values": dict(row.values), "source": row.source}
            for row in published_rows(task)
        ]
        for task in CSV_FILES
    }
    note = "'published' is reference, written anew from the package each time; own results are under 'runs' only."
    for name in (BOARD, *CSV_FILES.values()):
        check_writable(folder / name)
    try:
        write_json(
            path, {"format": FORMAT, "version": _VERSION, "note": note, "runs": list(entries), "published": published}
        )
        for task, name in CSV_FILES.items():
            write_text(folder / name, csv_table({task: board_rows(entries, task)}))
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def back_up(folder: Path) -> Path:
    """Copy the board to ``leaderboard.json.bak``, of which one is kept.

    Raises:
        RunFailed: the copy cannot be written.
    """
    backup = folder / BACKUP
    try:
        write_bytes(backup, (folder / BOARD).read_bytes())
    except OSError as error:
        raise unwritable(folder, error) from error
    return backup


def find_board(place: Path) -> Path | None:
    """The board's file for a folder with a board, a working folder or the file itself; None where there is none."""
    found = (path for path in (place, place / BOARD, place / "leaderboard" / BOARD) if path.is_file())
    return next(found, None)
