"""The local leaderboard: own runs beside the published rows, which are reference and never mixed with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import Task, published_rows
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import (
    LOCK_TIMEOUT,
    check_writable,
    locked,
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
    categorised,
    entry_of,
    merged,
    ordered,
    problem_of,
)
from medqbench_vlmeval.report.leaderboard.tables import Boards, csv_table, html_tables, markdown_tables
from medqbench_vlmeval.report.standings import PUBLISHED, Row
from medqbench_vlmeval.report.terminal import Grid, own_console, print_grid
from medqbench_vlmeval.runs.files import scored_runs
from medqbench_vlmeval.runs.result import OVERALL, mapping, number, parts_of

if TYPE_CHECKING:
    from rich.console import Console


# The board's file and its three tables: how they are read, checked and written.


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


# The past results of a board's own rows.


_NONE = "-"


def histories(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The results of each row that has a past, newest first, as plain JSON types."""
    named = ("task", "model", "dataset", "judge", "protocol", "data_sha256")
    return [
        {
            **{name: entry.get(name) for name in named},
            "results": [{name: one.get(name) for name in ("created", "n", "values")} for one in _results(entry)],
        }
        for entry in entries
        if entry.get("history")
    ]


def print_histories(entries: Sequence[Entry], console: Console | None = None) -> None:
    """Print one line a result of each row that has a past, the current one first."""
    lines = []
    for entry in entries:
        if entry.get("history"):
            decimals = 2 if entry["task"] == Task.PERCEPTION.value else 3
            for one in _results(entry):
                overall = number(mapping(one.get("values")).get(OVERALL))
                shown = _NONE if overall is None else f"{overall:.{decimals}f}"
                names = (entry["model"], str(entry.get("dataset") or _NONE), str(one.get("created") or _NONE))
                lines.append((*names, shown, str(one.get("n") or _NONE)))
    heads = ("Model", "Dataset", "Created", OVERALL, "n")
    if lines:
        print_grid(Grid("History of own rows, newest first", heads, tuple(lines), 3), console or own_console())


def _results(entry: Entry) -> list[Mapping[str, Any]]:
    return [entry, *entry["history"]]


# Writing a board's tables into files that may be a user's own: a README keeps all of its other lines.


BEGIN = "<!-- medqbench leaderboard: begin -->"
END = "<!-- medqbench leaderboard: end -->"
_CSV_HEADS = ("kind,model,", "task,kind,model,")


@dataclass(frozen=True)
class Export:
    """A file and the bytes that it is to hold."""

    path: Path
    content: bytes


def table_file(path: Path, form: str, boards: Boards) -> Export:
    """What writing ``boards`` to ``path`` will write; nothing is written yet.

    A Markdown or HTML file that exists already gets the tables between its two marker lines (``BEGIN``, ``END``),
    and keeps everything else; a CSV file is replaced where it is an earlier export.

    Args:
        path: the file.
        form: 'csv', 'markdown' or 'html'.
        boards: the rows by task (see :func:`shown`).

    Raises:
        BadInput: the file exists and is something else.
        RunFailed: the file is read-only.
    """
    check_writable(path)
    old = _old(path)
    if form == "csv":
        if old.strip() and not old.startswith(_CSV_HEADS):
            raise BadInput(f"{path} exists and is no exported leaderboard; it was left as it is. Name another file.")
        return Export(path, csv_table(boards).encode("utf-8", errors="replace"))
    render: Callable[[Boards], str] = markdown_tables if form == "markdown" else html_tables
    block = f"{BEGIN}\n\n{render(boards)}\n{END}"
    if not old.strip():
        return Export(path, f"{block}\n".encode("utf-8", errors="replace"))
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise BadInput(
            f"{path} exists and has no place for the tables; it was left as it is. Put the lines '{BEGIN}' and '{END}' "
            "where they are to stand, each once, or name another file."
        )
    newline = "\r\n" if "\r\n" in old else "\n"
    before, after = old[: old.index(BEGIN)], old[old.index(END) + len(END) :]
    return Export(path, (before + block.replace("\n", newline) + after).encode("utf-8", errors="replace"))


def boards_at(place: Path, task: str | None = None) -> Boards:
    """The rows to be shown for a board, or for scored runs that are on none, by task.

    Args:
        place: a board's file or folder, a working folder, or a folder or file with results.
        task: only this one ('perception', 'no-reference', 'comparative'); by default see :func:`shown`.

    Raises:
        BadInput: there are neither a board nor results, or the task has no board.
    """
    if not place.name.endswith("_score.json") and find_board(place) is not None:
        boards = leaderboard_rows(place)
    else:
        boards = rows_of_scores(result.score for result in scored_runs(place))
    if task is None:
        return shown(boards)
    chosen = {one: rows for one, rows in boards.items() if one.value == task}
    if not chosen:
        raise BadInput(f"'{task}' has no board; choose one of {', '.join(one.value for one in boards)}.")
    return chosen


def shown(boards: Boards) -> Boards:
    """The tasks that a board has own rows of, or all of them where it has none."""
    own = {task: rows for task, rows in boards.items() if any(row.kind != PUBLISHED for row in rows)}
    return own or boards


def write(export: Export) -> Path:
    """Write an export, all or nothing.

    Raises:
        RunFailed: the file cannot be written.
    """
    try:
        write_bytes(export.path.resolve(), export.content)
    except OSError as error:
        raise unwritable(export.path, error) from error
    return export.path


def _old(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError:
        raise BadInput(f"{path} exists and is no text in UTF-8; it was left as it is. Name another file.") from None
