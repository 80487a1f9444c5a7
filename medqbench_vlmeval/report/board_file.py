"""The board's file: what it holds, how it is checked, and the lock that its writers take in turn."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.files import replacing, write_json
from medqbench_vlmeval.report.published import column_name, published_rows
from medqbench_vlmeval.report.rows import BASELINE, OWN, Row, by_overall, reference_rows
from medqbench_vlmeval.report.runs import MEASURES, number, text, whole
from medqbench_vlmeval.report.text import csv_text
from medqbench_vlmeval.tasks import Task

BOARD = "leaderboard.json"
CSV_FILES: Mapping[Task, str] = {
    Task.PERCEPTION: "perception.csv",
    Task.NO_REFERENCE: "no_reference.csv",
    Task.COMPARATIVE: "comparative.csv",
}
_FORMAT = "medqbench-leaderboard"
_VERSION = 1
_LOCK = ".leaderboard.lock"

Entry = dict[str, Any]


@contextmanager
def locked(folder: Path, timeout: float) -> Iterator[None]:
    """Hold the board of ``folder``, which is made where it is absent, against all other processes.

    Raises:
        RunFailed: the folder cannot be written to, or another process held the lock for ``timeout`` seconds.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise RunFailed(
            f"Another process has held the leaderboard's lock {folder / _LOCK} for {timeout:g} s. The run's own "
            "results are written; add it to the board again when that process is done."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise RunFailed(_unwritable(folder, error)) from error
    try:
        yield
    finally:
        lock.release()


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
    if not isinstance(board, dict) or board.get("format") != _FORMAT or not isinstance(board.get("runs"), list):
        raise BadInput(
            f"{path} is JSON, but not a leaderboard of medqbench; it was left as it is. Move it away, or choose "
            "another folder."
        )
    if board.get("version") != _VERSION:
        raise BadInput(
            f"The leaderboard {path} has format version {board.get('version')!r}, and this medqbench-vlmeval reads "
            f"version {_VERSION}; it was left as it is. Update the package, or move the board away."
        )
    for position, entry in enumerate(board["runs"], 1):
        problem = _problem(entry)
        if problem:
            raise BadInput(
                f"Run {position} of the leaderboard {path} {problem}; it was left as it is. Repair that run."
            )
    return list(board["runs"])


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
    try:
        write_json(
            path, {"format": _FORMAT, "version": _VERSION, "note": note, "runs": list(entries), "published": published}
        )
        for task, name in CSV_FILES.items():
            _write_csv(folder / name, task, board_rows(entries, task))
    except OSError as error:
        raise RunFailed(_unwritable(folder, error)) from error
    return path


def board_rows(entries: Sequence[Entry], task: Task) -> list[Row]:
    """One task's own and published rows, best first."""
    own = [row_of(entry) for entry in entries if entry["task"] == task.value]
    return by_overall([*own, *reference_rows(task)])


def row_of(entry: Mapping[str, Any]) -> Row:
    """The line of a checked entry."""
    interval = entry.get("interval")
    return Row(
        task=Task(entry["task"]),
        kind=entry["kind"],
        model=entry["model"],
        values={measure: number(entry["values"].get(measure)) for measure in MEASURES[Task(entry["task"])]},
        comparable=entry.get("comparable") is True,
        not_comparable_because=tuple(entry.get("not_comparable_because", ())),
        interval=(interval[0], interval[1]) if interval else None,
        n=whole(entry.get("n")),
        dataset=text(entry.get("dataset")),
        judge=text(entry.get("judge")),
        protocol=text(entry.get("protocol")),
        prompt_style=text(entry.get("prompt_style")),
        data_sha256=text(entry.get("data_sha256")),
        created=text(entry.get("created")),
    )


def _problem(entry: object) -> str | None:
    if not isinstance(entry, dict):
        return "is not an object"
    if entry.get("task") not in [task.value for task in CSV_FILES]:
        return f"has the unknown task {entry.get('task')!r}"
    if entry.get("kind") not in (OWN, BASELINE):
        return f"has the kind {entry.get('kind')!r}, and only {OWN!r} and {BASELINE!r} belong under 'runs'"
    if not isinstance(entry.get("model"), str):
        return "has no model's name"
    values = entry.get("values")
    if not isinstance(values, dict) or any(value is not None and number(value) is None for value in values.values()):
        return "has no 'values' made of numbers"
    interval = entry.get("interval")
    pair = isinstance(interval, list) and len(interval) == 2 and all(number(end) is not None for end in interval)
    if interval is not None and not pair:
        return "has an 'interval' that is not two numbers"
    reasons = entry.get("not_comparable_because", [])
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        return "has 'not_comparable_because' that is not a list of texts"
    history = entry.get("history", [])
    if not isinstance(history, list) or not all(isinstance(past, dict) for past in history):
        return "has a 'history' that is not a list of objects"
    return None


def _write_csv(path: Path, task: Task, rows: Sequence[Row]) -> None:
    measures = MEASURES[task]
    decimals = 2 if task is Task.PERCEPTION else 3
    heads = ["kind", "model", "category", "dataset", *(column_name(measure) for measure in measures)]
    heads += ["overall_low", "overall_high", "n", "comparable", "not_comparable_because", "judge", "protocol"]
    heads += ["prompt_style", "data_sha256", "created", "source"]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heads)
        for row in rows:
            low, high = row.interval or (None, None)
            numbers = [*(row.values[measure] for measure in measures), low, high]
            comparable = "yes" if row.comparable else "no"
            reasons = "; ".join(row.not_comparable_because)
            settings = (row.judge, row.protocol, row.prompt_style, row.data_sha256, row.created, row.source)
            writer.writerow(
                [
                    *(csv_text(cell or "") for cell in (row.kind, row.model, row.category, row.dataset)),
                    *("" if value is None else f"{value:.{decimals}f}" for value in numbers),
                    "" if row.n is None else row.n,
                    comparable,
                    *(csv_text(cell or "") for cell in (reasons, *settings)),
                ]
            )


def _unwritable(folder: Path, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"The leaderboard in {folder} cannot be written ({why}). The run's own results are not touched; make the "
        "folder writable or choose another."
    )
