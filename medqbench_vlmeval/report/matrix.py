"""Tables with a row a group (or a run) and a column a group, coloured as one, with the counts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqbench_vlmeval.report.cells import BOLD, COUNT, PERCENT, SCORE, Book, Item, Sheet, Style
from medqbench_vlmeval.report.points import NOTHING, Point, cell_point, measure_point, top_of
from medqbench_vlmeval.report.runs import (
    MODALITY,
    OVERALL,
    TASK_TITLES,
    RunPart,
    mapping,
)
from medqbench_vlmeval.report.sheet_groups import ALL
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

MATRICES = "Matrices"
MAX_ROWS, MAX_COLUMNS = 100, 40

_LABEL, _NUMBER = 30, 15
_NOTE = (
    f"Counts stand to the right of each table; grey italics: fewer than {FEW} samples. Intervals are on the sheets "
    "'By modality' and 'By group'."
)


@dataclass(frozen=True)
class Matrix:
    """``rows`` has a label and the figures by column; a figure that is absent leaves its cell empty.

    ``tops`` are the ends of the columns' colour scales, which begin at 0; ``marks`` are written behind the labels of
    the rows, under ``mark_head``.
    """

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, Point]]]
    tops: Sequence[float]
    bold_row: str | None = None
    marks: Sequence[Item] = ()
    mark_head: str = ""


def points_by(part: RunPart, axis: str) -> dict[str, Point]:
    """Overall by the groups of one axis."""
    return {str(name): cell_point(part.task, mapping(cell)) for name, cell in mapping(part.groups.get(axis)).items()}


def unit_words(task: Task) -> str:
    """The unit of a task's Overall, for titles."""
    return "accuracy, %" if task is Task.PERCEPTION else "Overall, 0-8"


def add_matrices(book: Book, parts: Sequence[RunPart]) -> None:
    """Write every crossing of two axes that a result has, and the dimensions by modality; else no sheet."""
    found = [matrix for part in parts for matrix in _matrices(part)]
    if not found:
        return
    sheet = book.add_fixed(MATRICES)
    sheet.widths([_LABEL, *[_NUMBER] * (2 * max(len(matrix.columns) for matrix in found) + 1)])
    sheet.append([Item(_NOTE)])
    for matrix in found:
        sheet.append()
        write_matrix(sheet, matrix)
    sheet.finish(freeze="B2", repeat_row=1)


def write_matrix(sheet: Sheet, matrix: Matrix) -> None:
    """Write one table with its title, values on the left and counts on the right."""
    columns = list(matrix.columns)[:MAX_COLUMNS]
    rows = matrix.rows[:MAX_ROWS]
    cut = len(columns) < len(matrix.columns) or len(rows) < len(matrix.rows)
    sheet.append([Item(f"{matrix.title} (the first groups of more)" if cut else matrix.title, BOLD)])
    marks = [matrix.mark_head] if matrix.mark_head else []
    sheet.header([matrix.corner, *marks, *columns, "", *(f"n: {column}" for column in columns)], lines=2)
    first = sheet.row + 1
    for at, (label, figures) in enumerate(rows):
        bold = label == matrix.bold_row
        items = [Item(label, Style(bold=bold)), *([matrix.marks[at]] if marks else [])]
        shown = [figures.get(column, NOTHING) for column in columns]
        for one, top in zip(shown, matrix.tops, strict=False):
            items.append(Item(one.value, Style(PERCENT if top > 10 else SCORE, bold=bold, faint=one.few)))
        items.append(Item(None))
        sheet.append([*items, *(Item(one.n, Style(COUNT, bold=bold, faint=one.few)) for one in shown)])
    start = 2 + len(marks)
    for top in dict.fromkeys(matrix.tops[: len(columns)]):
        span = [at for at, one in enumerate(matrix.tops[: len(columns)]) if one == top]
        sheet.colour_scale(start + span[0], first, sheet.row, top, start + span[-1])


def _matrices(part: RunPart) -> list[Matrix]:
    title = TASK_TITLES[part.task]
    found = []
    if part.task is not Task.PERCEPTION and part.groups.get(MODALITY):
        measures = [*DIMENSION_TITLES.values(), OVERALL]
        rows = [
            (str(name), {measure: cell_point(part.task, mapping(cell), measure) for measure in measures})
            for name, cell in part.groups[MODALITY].items()
        ]
        rows.append((ALL, {measure: measure_point(part, measure) for measure in measures}))
        tops = [top_of(part.task, measure) for measure in measures]
        found.append(Matrix(f"{title}: modality x dimension", "Modality", measures, rows, tops, ALL))
    for axis in part.groups:
        outer, _, inner = axis.partition("_x_")
        if inner:
            found.append(_crossing(part, title, outer, inner))
    return found


def _crossing(part: RunPart, title: str, outer: str, inner: str) -> Matrix:
    """The groups of two axes, with the groups of each alone at the edges."""
    words = [axis.replace("_", " ") for axis in (outer, inner)]
    totals = points_by(part, inner)
    crossed = mapping(part.groups.get(f"{outer}_x_{inner}"))
    seen = dict.fromkeys([*totals, *(str(name) for cells in crossed.values() for name in mapping(cells))])
    alone = points_by(part, outer)
    rows: list[tuple[str, Mapping[str, Point]]] = []
    for name, cells in crossed.items():
        found = {str(inside): cell_point(part.task, mapping(cell)) for inside, cell in mapping(cells).items()}
        rows.append((str(name), {**found, ALL: alone.get(str(name), NOTHING)}))
    rows.append((ALL, {**totals, ALL: measure_point(part)}))
    columns = [*list(seen)[: MAX_COLUMNS - 1], ALL]
    tops = [top_of(part.task)] * len(columns)
    return Matrix(
        f"{title}: {' x '.join(words)}, {unit_words(part.task)}", words[0].capitalize(), columns, rows, tops, ALL
    )
