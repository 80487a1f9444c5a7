"""The first sheet on many runs: every run and every published row of a task, ranked."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.data.published import HUMAN, human_overall
from medqbench_vlmeval.report.cells import BOLD, COUNT, TEXT, TITLE, WRAPPED, Book, Item, Sheet, Style, lines_of
from medqbench_vlmeval.report.many_runs import TaskRuns, warnings_of
from medqbench_vlmeval.report.rows import PUBLISHED, Row, by_overall, reference_rows
from medqbench_vlmeval.report.runs import MEASURES, OVERALL, TASK_TITLES
from medqbench_vlmeval.report.sheet_overview import unit
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

OVERVIEW = "Overview"

_WHAT = (
    "Ranked by Overall with the published rows (test split). A place is given to what can be compared with them; what "
    f"cannot stands below, with the reason. Overall's 95% interval stands beside it. Grey italics: fewer than {FEW} "
    "samples."
)
_REASON_WIDTH = 40
_WIDTHS = (7, 30, 10, 16, 10, 10, 10, *[13] * 4, 8, 12, _REASON_WIDTH, 26, 16, 16, 14, 24)
_BANNER = 14  # columns
_HASH = 12  # characters of a hash, enough to tell files apart by eye


def add_many_overview(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write the sheet, a table a task, one below the other."""
    sheet = book.add_fixed(OVERVIEW)
    sheet.widths(_WIDTHS)
    count = max(len(found.runs) for found in tasks)
    sheet.append([Item(f"MedQ-Bench: {count} {'run' if count == 1 else 'runs'} side by side", TITLE)], lines=2)
    sheet.append([Item(_WHAT)])
    for found in tasks:
        sheet.append()
        sheet.append([Item(_title(found.task), TITLE)], lines=2)
        for warning in warnings_of(found):
            sheet.banner(warning, "warn", _BANNER)
        _table(sheet, found)
    sheet.finish(freeze="C2", repeat_row=1, pages=2, repeat_columns=2)


def _title(task: Task) -> str:
    human = human_overall(task)
    scale = "percent of questions" if task is Task.PERCEPTION else "means of 0-2, Overall their sum (0-8)"
    line = f"; human experts' Overall: {human:.2f}" if human is not None else "; no published row of human experts"
    return f"{TASK_TITLES[task]}: {scale}{line}"


def _table(sheet: Sheet, found: TaskRuns) -> None:
    measures = [measure for measure in MEASURES[found.task] if measure != OVERALL]
    labels = {id(run.row): run.label for run in found.runs}
    heads = ["Place", "Model", "Kind", "Category", OVERALL, "95% low", "95% high", *measures]
    heads += [""] * (4 - len(measures))
    settings = ["Dataset", "Judge", "Protocol", "Data (hash)", "Source"]
    sheet.header([*heads, "n", "Comparable", "Why not", *settings], lines=2)
    place = 0
    for row in by_overall([*(run.row for run in found.runs), *reference_rows(found.task)]):
        ranked = row.comparable and row.values.get(OVERALL) is not None
        place += ranked
        sheet.append(*_line(row, labels.get(id(row), row.model), place if ranked else None, measures))


def _line(row: Row, label: str, place: int | None, measures: Sequence[str]) -> tuple[list[Item], int]:
    own = row.kind != PUBLISHED
    few = row.n is not None and row.n < FEW
    fill = "own" if own else "human" if row.category == HUMAN else None
    plain = Style(fill=fill, bold=own)
    figure = Style(unit(row.task), fill=fill, bold=own, faint=few)
    low, high = row.interval or (None, None)
    numbers = (row.values.get(OVERALL), low, high, *(row.values.get(measure) for measure in measures))
    because = "; ".join(row.not_comparable_because) or ("not said" if own and not row.comparable else None)
    comparable = "reference" if not own else "yes" if row.comparable else "no"
    items = [
        Item(place, Style(COUNT, fill=fill, bold=own)),
        *(Item(value, plain) for value in (label, "this run" if row.kind == "own" else row.kind, row.category)),
        *(Item(value, figure) for value in numbers),
        *[Item(None, plain)] * (4 - len(measures)),
        Item(row.n, Style(COUNT, fill=fill, faint=few)),
        Item(comparable, Style(fill="bad", bold=True) if comparable == "no" else BOLD if own else TEXT),
        Item(because, WRAPPED),
        *(Item(value) for value in (row.dataset, row.judge, row.protocol, _short(row.data_sha256), row.source)),
    ]
    return items, lines_of(because, _REASON_WIDTH) if because else 1


def _short(data_hash: str | None) -> str | None:
    return None if data_hash is None else data_hash.removeprefix("samples:")[:_HASH]
