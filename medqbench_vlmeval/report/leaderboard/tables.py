"""A board as tables: CSV for a spreadsheet, Markdown and HTML for a README, and the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medqbench_vlmeval.benchmark import MEASURES, OVERALL, Comparable, Task, column_name, title_of
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import MissingFile, check_writable, read_bytes, write_bytes, writing
from medqbench_vlmeval.report.standings import BASELINE, OWN, PUBLISHED, Row, names_by, ranks, shown_hash
from medqbench_vlmeval.report.table import EXTRA, INTERVAL, Column, Entry, Look, Table, task_kind, value_words
from medqbench_vlmeval.report.table import Row as TableRow
from medqbench_vlmeval.report.table import columns as columns_of
from medqbench_vlmeval.report.text import csv_text, html_table, markdown

Boards = Mapping[Task, Sequence[Row]]

BEGIN = "<!-- medqbench leaderboard: begin -->"
END = "<!-- medqbench leaderboard: end -->"
_CSV_HEADS = ("kind,model,", "task,kind,model,")
_CSV_TEXTS = (
    "not_comparable_because", "judge", "protocol", "prompt_style", "data_sha256", "images", "created", "source",
)  # fmt: skip


def csv_board(boards: Boards) -> str:
    """Write one row a line; with more than one task, a column names it and has all tasks' measures beside it."""
    measures = dict.fromkeys(column_name(measure) for task in boards for measure in MEASURES[task])
    heads = [*(["task"] if len(boards) > 1 else []), "kind", "model", "category", "dataset", *measures]
    heads += ["overall_low", "overall_high", "n", "comparable", *_CSV_TEXTS]
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for task, rows in boards.items():
        for row in rows:
            texts = {**vars(row), "not_comparable_because": "; ".join(row.not_comparable_because)}
            numbers = {column_name(measure): value for measure, value in row.values.items()}
            numbers |= zip(("overall_low", "overall_high"), row.interval or (), strict=False)
            content = {name: csv_text(text) for name, text in texts.items() if isinstance(text, str)}
            content |= {name: value_words(n, task_kind(task)) for name, n in numbers.items() if n is not None}
            writer.writerow({**content, "task": task.value, "n": row.n, "comparable": row.comparable.value})
    return out.getvalue()


def terminal_board(task: Task, rows: Sequence[Row], alone: bool = False) -> Table:
    """A task's board for the terminal: published, own and baseline rows are told apart by a column. Own rows ``alone``
    are all ranked, comparable or not."""
    kind = task_kind(task)
    columns = [
        *columns_of("#", "Model"),
        Column("Kind", optional=EXTRA + 2),
        *(Column(name, kind, optional=0 if name == OVERALL else at) for at, name in enumerate(MEASURES[task], 1)),
        Column("Comparable", "mark", optional=EXTRA + alone),
        Column(INTERVAL, "interval", optional=EXTRA + (not alone)),
        Column("n", "count", optional=EXTRA + 3),
        *(Column(head, "mark", optional=EXTRA + at) for at, head in enumerate(("Judge", "Protocol", "Dataset"), 4)),
        *_images_column(rows),
    ]
    notes = [f"{models}: {words} with the published rows: {why}" for words, why, models in apart(rows)]
    return _board(task, rows, columns, notes, alone)


def board_table(task: Task, rows: Sequence[Row]) -> Table:
    """A task's board for a README; what is not comparable, or not verified, has no rank and says why in a note."""
    kind = task_kind(task)
    columns = columns_of(
        *(("#", "count"), "Model", "Category"),
        *((measure, kind) for measure in (OVERALL, *MEASURES[task][:-1])),
        *((INTERVAL, "interval"), ("n", "count"), "Row", "Judge", "Protocol", "Data"),
    )
    columns += _images_column(rows)
    unit = "percent of questions" if task.is_choice else "means of 0-2 a dimension, Overall their sum (0-8)"
    sources = ", ".join(dict.fromkeys(row.source for row in rows if row.source))
    reasons = [f"{words}: {models}: {why}" for words, why, models in apart(rows)]
    return _board(task, rows, columns, [f"{unit}; published rows: {sources or 'none'}", *reasons])


def _images_column(rows: Sequence[Row]) -> list[Column]:
    """How images were sent, where that is on record for a row."""
    return [Column("Images", "mark", optional=EXTRA + 7)] if any(row.images for row in rows) else []


def _board(
    task: Task, rows: Sequence[Row], columns: Sequence[Column], notes: Sequence[str], alone: bool = False
) -> Table:
    """What the columns' heads name of each row."""
    lines = []
    for rank, row in zip(ranks(rows, apart=not alone), rows, strict=True):
        facts: dict[str, Entry] = {
            "#": rank,
            "Model": row.model,
            "Category": row.category,
            "Kind": f"{row.kind}, {row.category}" if row.kind == OWN and row.category else row.category or row.kind,
            "Row": row.kind if row.comparable is Comparable.YES else f"{row.kind}, {row.comparable.words}",
            **row.values,
            "Comparable": "reference" if row.kind == PUBLISHED else row.comparable.value,
            INTERVAL: row.interval and " to ".join(value_words(end, task_kind(task)) for end in row.interval),
            "n": row.n,
            "Images": row.images,
            "Judge": row.judge,
            "Protocol": row.protocol,
            "Dataset": row.dataset,
            "Data": shown_hash(row.data_sha256) or None,
        }
        look: Look = "published" if row.kind == PUBLISHED else "baseline" if row.kind == BASELINE else "own"
        lines.append(TableRow([facts[column.head] for column in columns], look))
    return Table(title_of(task), columns, lines, notes)


def apart(rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Why rows are not ranked, in words and by reason, with the models of each."""
    for value in (Comparable.UNVERIFIED, Comparable.NO):
        apart = [row for row in rows if row.comparable is value]
        reasons = names_by(("; ".join(row.not_comparable_because) or "no reason given", row.model) for row in apart)
        if len(reasons) == 1 and 2 < len(apart) == sum(row.kind != PUBLISHED for row in rows):
            reasons = dict.fromkeys(reasons, f"all {len(apart)} own rows")
        yield from ((value.words, why, models) for why, models in reasons.items())


def exported(path: Path, form: str, boards: Boards) -> bytes:
    """What ``path`` holds after ``boards`` are exported to it as 'csv', 'markdown' or 'html'; nothing is written yet. A
    Markdown or HTML file that exists gets the tables between its lines ``BEGIN`` and ``END``; a CSV file is replaced
    where it is an earlier export. Raises BadInput where the file is something else. Raises RunFailed where it is
    read-only."""
    check_writable(path)
    try:
        old = read_bytes(path).decode("utf-8")
    except MissingFile:
        old = ""
    except UnicodeDecodeError:
        raise BadInput(f"{path} exists and is no text in UTF-8; it was left as it is. Name another file.") from None
    if form == "csv":
        if old.strip() and not old.startswith(_CSV_HEADS):
            raise BadInput(f"{path} exists and is no exported leaderboard; it was left as it is. Name another file.")
        return csv_board(boards).encode("utf-8", errors="replace")
    text_of = {"markdown": markdown, "html": html_table}[form]
    tables = "\n".join(text_of(board_table(task, rows)) for task, rows in boards.items())
    block = f"{BEGIN}\n\n{tables}\n{END}"
    if not old.strip():
        return f"{block}\n".encode("utf-8", errors="replace")
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise BadInput(
            f"{path} exists and has no place for the tables; it was left as it is. Put the lines '{BEGIN}' and '{END}' "
            "where they are to stand, each once, or name another file."
        )
    newline = "\r\n" if "\r\n" in old else "\n"
    before, after = old[: old.index(BEGIN)], old[old.index(END) + len(END) :]
    return (before + block.replace("\n", newline) + after).encode("utf-8", errors="replace")


def write_export(path: Path, content: bytes) -> None:
    """Write what :func:`exported` gave, all or nothing. Raises RunFailed where the file cannot be written."""
    with writing(path, "make it writable or choose another"):
        # A link keeps pointing to its file, which is the one that is replaced.
        write_bytes(path.resolve(), content)
