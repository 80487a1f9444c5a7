"""Writing a board's tables into files that may be a user's own: a README keeps all of its other lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import write_bytes
from medqbench_vlmeval.report.board_file import find_board
from medqbench_vlmeval.report.board_lock import check_writable, unwritable
from medqbench_vlmeval.report.board_runs import scored_runs
from medqbench_vlmeval.report.board_tables import Boards, csv_table, html_tables, markdown_tables
from medqbench_vlmeval.report.leaderboard import leaderboard_rows, rows_of_scores
from medqbench_vlmeval.report.rows import PUBLISHED

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
