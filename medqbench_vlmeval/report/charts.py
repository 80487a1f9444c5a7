"""The native charts of a workbook: beside the published rows, by question type or dimension, modality, severity.
Whatever one shows is a cell of the sheet :data:`CHART_DATA`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, HUMAN, MEASURES, OVERALL, TASK_TITLES, Comparable, Task
from medqbench_vlmeval.report.colours import look_of
from medqbench_vlmeval.report.many_tables import NamedRun
from medqbench_vlmeval.report.run_tables import overall_by, unit_words
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.standings import COMPARABLE_MARKS, Row, by_overall, own_row, reference_rows, shortened
from medqbench_vlmeval.report.table import Column, Entry, Kind, Table, table
from medqbench_vlmeval.report.text import INTROS
from medqbench_vlmeval.runs.result import MODALITY, top_of
from medqbench_vlmeval.types import Cell, TaskRun

CHARTS, CHART_DATA = "Charts", "Chart data"
_MAX_GROUPS = 40  # a chart of more shows nothing
_PUBLISHED, _HUMAN = "#BFBFBF", "#7F7F7F"
_LONGEST_NAME = 34  # columns of a group; longer ones leave no room for the drawing
_WIDTH, _GAP, _BAR, _FRAME = 605, 35, 21, 110  # pixels: of a chart, between two, of a bar, of title and axis
_ROW, _COLUMNS = 20, 10  # pixels of a row of the sheet; its columns that a chart takes
_PAGE = 640  # pixels that A4 across is high
_SCALE = 60  # percent, at which two charts stand beside each other on it, with wider fonts than Calibri too


@dataclass(frozen=True)
class _Chart:
    """What one chart shows: a bar a group, with its colour; ``top`` is the end of the axis, which begins at 0."""

    title: str
    unit: str
    top: float
    groups: Mapping[str, Cell]
    colours: Sequence[str]
    is_wide: bool = False
    is_line: bool = False  # over the groups, which then lie from the left to the right


def add_charts(book: Book, sheet: Sheet, runs: Sequence[TaskRun]) -> None:
    """Draw on a sheet what the results of a run support, a page a task, and add the sheet of the charts' data."""
    _draw(book, sheet, [list(_charts_of(run)) for run in runs])


def add_standings(book: Book, sheet: Sheet, tasks: Mapping[Task, Sequence[NamedRun]]) -> None:
    """Draw on a sheet the runs of each task among the published rows, and add the sheet of the charts' data."""
    drawn = {task: [(run.row, run.label, look_of(run.place).colour) for run in runs] for task, runs in tasks.items()}
    _draw(book, sheet, [[_standing(task, runs)] for task, runs in drawn.items()])


def _draw(book: Book, charts: Sheet, pages: Sequence[Sequence[_Chart]]) -> None:
    data, sheet = book.add_fixed(CHART_DATA), charts.worksheet
    data.sentence(INTROS["chart_data"])
    row, breaks, highest = 0, [], 1
    for page in pages:
        first = row
        # Two beside each other, but for wide ones.
        for is_wide, alike in groupby(page, lambda chart: chart.is_wide):
            several, step = list(alike), 1 if is_wide else 2
            for at in range(0, len(several), step):
                line = several[at : at + step]
                height = _FRAME + _BAR * max(4, *(len(chart.groups) for chart in line))
                for place, chart in enumerate(line):
                    native = _native(chart, height, book, data)
                    sheet.insert_chart(row, place * _COLUMNS, native, {"y_offset": 16, "object_position": 2})
                row += math.ceil((height + _GAP) / _ROW)
        breaks.append(row)
        highest = max(highest, row - first)
    data.finish(freeze="B2", repeat_row=1)
    charts.finish()
    # A page must not end inside of a chart, and a sheet that is fitted to a width takes no breaks.
    sheet.fit_page = False
    sheet.set_print_scale(min(_SCALE, 100 * _PAGE // (highest * _ROW)))
    sheet.center_horizontally()
    sheet.set_h_pagebreaks(breaks[:-1])


def _native(chart: _Chart, height: int, book: Book, data: Sheet) -> Any:
    """A chart of XlsxWriter, whose numbers are written to the sheet ``data``."""
    from xlsxwriter.utility import xl_range_formula

    numbers = _data_table(chart)
    data.append()
    head = data.add_table(numbers)
    first, last = head, head + len(chart.groups) - 1  # from 0
    native: Any = book.workbook.add_chart({"type": "line" if chart.is_line else "bar"})
    line = {"color": "#404040", "width": 1}
    series: dict[str, Any] = {
        "name": [CHART_DATA, head - 1, 1],
        "categories": [CHART_DATA, first, 0, last, 0],
        "values": [CHART_DATA, first, 1, last, 1],
        "fill": {"color": chart.colours[0]},
        "points": [{"fill": {"color": colour}} for colour in chart.colours],
        "gap": 40,
    }
    if chart.is_line:
        series |= {"line": {"color": chart.colours[0]}, "points": [], "marker": {"type": "circle", "size": 7}}
    if any(cell.interval is not None for cell in chart.groups.values()):
        below, above = (xl_range_formula(CHART_DATA, first, at, last, at) for at in (2, 3))
        ends = {"minus_values": f"={below}", "plus_values": f"={above}"}
        series["y_error_bars"] = {"type": "custom", **ends, "line": line}
    native.add_series(series)
    native.set_title({"name": chart.title, "name_font": {"size": 11, "bold": True}, "overlay": False})
    native.set_legend({"none": True})
    font, grid = {"size": 9}, {"visible": True, "line": {"color": "#D9D9D9", "width": 0.5}}
    # The first group stands at the top, and the values' axis at the bottom.
    of_groups, of_values = (native.set_x_axis, native.set_y_axis)[:: 1 if chart.is_line else -1]
    place = {} if chart.is_line else {"reverse": True, "crossing": "max"}
    of_groups({**place, "num_font": font, "major_tick_mark": "none"})
    of_values({
        "name": chart.unit, "name_font": {"size": 9, "bold": False}, "num_font": font, "min": 0, "max": chart.top,
        "num_format": "0" if chart.top > 2 else "0.0", "major_gridlines": grid, "line": {"none": True},
    })  # fmt: skip
    native.set_chartarea({"border": {"color": "#D9D9D9"}})
    native.set_size({"width": 2 * _WIDTH + _GAP if chart.is_wide else _WIDTH, "height": height})
    return native


def _data_table(chart: _Chart) -> Table:
    """What a chart shows: values, then the distances to the ends of the intervals, which error bars want."""
    kind: Kind = "percent" if chart.top > 10 else "score"
    heads = [Column("Group"), *(Column(head, kind) for head in (chart.unit, "Below", "Above")), Column("n", "count")]
    rows: list[Sequence[Entry]] = []
    for group, cell in chart.groups.items():
        ends: tuple[float | None, float | None] = (None, None)
        if cell.value is not None and cell.interval is not None:
            # Rounding must not turn a bar inside out.
            ends = max(0.0, cell.value - cell.interval[0]), max(0.0, cell.interval[1] - cell.value)
        rows.append((group, cell.value, *ends, cell.n))
    return table(chart.title, heads, rows)


def _charts_of(run: TaskRun) -> Iterator[_Chart]:
    perception, title, result = run.task.is_choice, TASK_TITLES[run.task], run.result
    colour = look_of(0).colour
    if reference_rows(run.task):
        yield _standing(run.task, [(own_row(run), run.model, colour)])
    # Overall's bar stands beside the question types in one unit; the dimensions' sum is in another and left out.
    measures = MEASURES[run.task] if perception else tuple(DIMENSION_TITLES.values())
    cells = {measure: result.measures[measure] for measure in measures}
    words, unit = ("question type", unit_words(run.task)) if perception else ("dimension", "mean, 0-2")
    words = "severity" if run.task is Task.DEGRADATION else words
    mark = "" if result.comparable is Comparable.YES else f" ({result.comparable.words})"
    top, colours = top_of(run.task, measures[0]), [colour] * len(cells)
    yield _Chart(f"{title}, by {words}{mark}", unit.capitalize(), top, cells, colours)
    for axis in (MODALITY, "severity"):
        if 1 <= len(groups := overall_by(run, axis)) <= _MAX_GROUPS:
            named = {shortened(name, _LONGEST_NAME): cell for name, cell in groups.items()}
            unit, of = unit_words(run.task).capitalize(), "degradation curve" if axis == words else f"by {axis}"
            top, colours = top_of(run.task), [colour] * len(named)
            yield _Chart(f"{title}, {of}{mark}", unit, top, named, colours, is_line=axis == words)


def _standing(task: Task, own: Sequence[tuple[Row, str, str]]) -> _Chart:
    """Overall of runs, each with its label and colour, among the published rows, ranked as on the overview."""
    looks = {id(row): (label, colour) for row, label, colour in own}
    rows = [row for row in by_overall([*(row for row, _, _ in own), *reference_rows(task)]) if OVERALL in row.values]
    groups, colours = {}, []
    for row in [row for row in rows if row.values[OVERALL] is not None][:_MAX_GROUPS]:
        label, colour = looks.get(id(row), (row.model, _HUMAN if row.category == HUMAN else _PUBLISHED))
        name = f"{shortened(label, _LONGEST_NAME)} {COMPARABLE_MARKS[row.comparable]}".strip()
        low, high = row.interval or (None, None)
        groups[name] = Cell(row.values[OVERALL], low, high, n=row.n)
        colours.append(colour)
    marks = {COMPARABLE_MARKS[row.comparable]: row.comparable.words for row in rows}
    notes = "; ".join(f"{mark} {words}" for mark, words in marks.items() if mark)
    beside = " beside the published rows" if reference_rows(task) else ""
    title = f"{TASK_TITLES[task]}: Overall{beside}{f' ({notes})' if notes else ''}"
    return _Chart(title, unit_words(task).capitalize(), top_of(task), groups, colours, is_wide=True)
