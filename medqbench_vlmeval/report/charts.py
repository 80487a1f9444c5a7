"""The charts of one run, native ones: beside the published rows, by question type or dimension, by modality, severity.

Whatever a chart shows is a cell of the sheet :data:`CHART_DATA`, so that a reader can check, copy and redraw it.
Colours are those of Okabe and Ito, which the colour-blind tell apart, and grey; lines also differ in their markers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, HUMAN, TASK_TITLES, Task
from medqbench_vlmeval.report.run_tables import overall_by, unit_words
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.standings import by_overall, own_row, reference_rows, shortened
from medqbench_vlmeval.report.table import Column, Entry, Kind, Table, table
from medqbench_vlmeval.runs.result import MEASURES, MODALITY, OVERALL, TYPE_BY_MODALITY, top_of
from medqbench_vlmeval.types import Cell, TaskRun

CHARTS, CHART_DATA = "Charts", "Chart data"
MAX_GROUPS = 40  # a chart of more categories shows nothing
COLOURS = ("0072B2", "E69F00", "009E73", "D55E00", "56B4E9", "CC79A7", "7F7F7F", "000000")
_PALE, _GREY, _INK = "9CC3E0", "A6A6A6", "404040"
_MARKERS = ("circle", "square", "triangle", "diamond", "x", "star", "long_dash", "plus")
_INTRO = (
    "What the sheet 'Charts' shows: values, and how far their 95% intervals reach below and above. A value without an "
    "interval has none that is known."
)
_LONGEST_NAME = 34  # columns of a group or a series; longer ones leave no room for the drawing
_WIDTH, _HEIGHT, _GAP = 605, 340, 35  # pixels
_ROWS, _COLUMNS = 19, 10  # of the sheet, that a chart takes
_PLACES_A_PAGE = 4
_SCALE = 60  # percent, at which two charts stand beside each other on A4 across, with wider fonts than Calibri too


@dataclass(frozen=True)
class Series:
    """One series: a cell a group, whose value is None where nothing was measured."""

    name: str
    cells: Sequence[Cell]
    colour: str


@dataclass(frozen=True)
class Chart:
    """What one chart shows. ``top`` is the end of its axis, which begins at 0; ``counts`` are the groups' n."""

    title: str
    groups: Sequence[str]
    series: Sequence[Series]
    top: float
    counts: Sequence[int | None] = ()
    kind: Literal["column", "radar"] = "column"
    is_wide: bool = False


def add_charts(book: Book, charts: Sheet, runs: Sequence[TaskRun]) -> None:
    """Add the sheet of the charts' data, and draw on the sheet ``charts`` all that the results support.

    Two charts stand beside each other.
    """
    data = book.add_fixed(CHART_DATA)
    data.append([_INTRO])
    place = 0
    for run in runs:
        place += -place % _PLACES_A_PAGE
        for chart in _charts_of(run):
            if chart.is_wide:
                place += place % 2
            row, second = divmod(place, 2)
            drawn = _drawn(chart, book, data)
            charts.worksheet.insert_chart(row * _ROWS, second * _COLUMNS, drawn, {"y_offset": 16})
            place += 2 if chart.is_wide else 1
    data.finish(freeze="B2", repeat_row=1)
    charts.finish()
    sheet = charts.worksheet
    # A page must not end inside of a chart, and a sheet that is fitted to a width takes no breaks.
    sheet.fit_page = False
    sheet.set_print_scale(_SCALE)
    sheet.center_horizontally()
    sheet.hide_gridlines(2)
    sheet.set_h_pagebreaks(list(range(2 * _ROWS, -(-place // 2) * _ROWS, 2 * _ROWS)))


def _drawn(chart: Chart, book: Book, data: Sheet) -> Any:
    """A chart of XlsxWriter, whose numbers are written to the sheet ``data``."""
    shown, ends = _data_table(chart)
    data.append()
    head = data.add_table(shown)
    first, last = head, head + len(chart.groups) - 1  # from 0
    made: Any = book.workbook.add_chart(
        {"type": "column"} if chart.kind == "column" else {"type": "radar", "subtype": "with_markers"}
    )
    for at, series in enumerate(chart.series):
        options: dict[str, Any] = {
            "name": [CHART_DATA, head - 1, 1 + at],
            "categories": [CHART_DATA, first, 0, last, 0],
            "values": [CHART_DATA, first, 1 + at, last, 1 + at],
            **_look(series, at, chart),
        }
        if at in ends:
            options["y_error_bars"] = {
                "type": "custom",
                "minus_values": _range(first, last, ends[at]),
                "plus_values": _range(first, last, ends[at] + 1),
                "line": {"color": f"#{_INK}", "width": 1},
            }
        made.add_series(options)
    made.set_title({"name": chart.title, "name_font": {"size": 10, "bold": True}, "overlay": False})
    made.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
    lines = {"visible": True, "line": {"color": "#D9D9D9", "width": 0.5}}
    digits = "0" if chart.top > 2 else "0.0"
    made.set_y_axis({"min": 0, "max": chart.top, "num_format": digits, "major_gridlines": lines})
    crowded = sum(len(group) for group in chart.groups) > (150 if chart.is_wide else 70)
    if crowded and chart.kind == "column":
        made.set_x_axis({"num_font": {"rotation": -45, "size": 9}})
    made.set_size({"width": 2 * _WIDTH + _GAP if chart.is_wide else _WIDTH, "height": _HEIGHT})
    return made


def _look(series: Series, at: int, chart: Chart) -> dict[str, Any]:
    colour = {"color": f"#{series.colour}"}
    if chart.kind == "column":
        # Series of which each has its own groups stand in the same places.
        apart = len(chart.series) > 1 and chart.is_wide
        return {"fill": colour, "gap": 60, "overlap": 100 if apart else 0}
    marker = {"type": _MARKERS[at % len(_MARKERS)], "size": 6, "fill": colour, "border": colour}
    return {"line": {**colour, "width": 1.75}, "marker": marker}


def _range(first: int, last: int, column: int) -> str:
    from xlsxwriter.utility import xl_rowcol_to_cell

    ends = (xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True) for row in (first, last))
    return f"='{CHART_DATA}'!{':'.join(ends)}"


def _data_table(chart: Chart) -> tuple[Table, dict[int, int]]:
    """What a chart shows: values, then the distances to the ends of the intervals, which error bars want.

    Returns:
        The table, and by series the column (from 0) of the distances below; those above are in the next one.
    """
    kind: Literal["percent", "score"] = "percent" if chart.top > 10 else "score"
    names = [shortened(series.name, _LONGEST_NAME) for series in chart.series]
    drawn: list[tuple[str, Kind, Sequence[Entry]]] = [
        (name, kind, [cell.value for cell in series.cells]) for name, series in zip(names, chart.series, strict=True)
    ]
    ends = {}
    for at, series in enumerate(chart.series):
        if chart.kind == "column" and any(cell.interval is not None for cell in series.cells):
            ends[at] = 1 + len(drawn)
            drawn.append((f"{names[at]}: below", kind, [_distance(cell, cell.low) for cell in series.cells]))
            drawn.append((f"{names[at]}: above", kind, [_distance(cell, cell.high) for cell in series.cells]))
    if chart.counts:
        drawn.append(("n", "count", chart.counts))
    columns = [Column("Group", width=34), *(Column(head, of_kind, width=12) for head, of_kind, _ in drawn)]
    groups = [shortened(group, _LONGEST_NAME) for group in chart.groups]
    return table(chart.title, columns, zip(groups, *(values for _, _, values in drawn), strict=True)), ends


def _distance(cell: Cell, end: float | None) -> float | None:
    """How far the interval reaches below or above; rounding must not turn a bar inside out."""
    if cell.value is None or cell.interval is None or end is None:
        return None
    return max(0.0, cell.value - end if end is cell.low else end - cell.value)


def _charts_of(run: TaskRun) -> Iterator[Chart]:
    yield _standing(run)
    # Overall's bar stands beside the question types in one unit; the dimensions' sum is in another and left out.
    perception = run.task is Task.PERCEPTION
    measures = MEASURES[run.task] if perception else tuple(DIMENSION_TITLES.values())
    cells = {measure: run.result.measures[measure] for measure in measures}
    by = "question type, %" if perception else "dimension, 0-2"
    yield _bars(run, f"by {by}", cells, top_of(run.task, measures[0]))
    for axis in (MODALITY, "severity"):
        groups = overall_by(run, axis)
        if 1 <= len(groups) <= MAX_GROUPS:
            yield _bars(run, f"{unit_words(run.task)}, by {axis}", groups, top_of(run.task))
    if (radar := _radar(run)) is not None:
        yield radar


def _standing(run: TaskRun) -> Chart:
    """Overall of the run among the published rows, ranked as on the overview."""
    own = own_row(run)
    rows = [row for row in by_overall([own, *reference_rows(run.task)]) if row.values.get(OVERALL) is not None]
    series = []
    for name, colour, wanted in (
        ("own, comparable", "0072B2", [row is own and row.comparable for row in rows]),
        ("own, not comparable", _PALE, [row is own and not row.comparable for row in rows]),
        ("published", _GREY, [row is not own and row.category != HUMAN for row in rows]),
        ("human experts", "E69F00", [row.category == HUMAN for row in rows]),
    ):
        if any(wanted):
            cells = [Cell(row.values[OVERALL], *(row.interval or (None, None))) for row in rows]
            shown = [cell if is_wanted else Cell(None) for cell, is_wanted in zip(cells, wanted, strict=True)]
            series.append(Series(name, shown, colour))
    title = f"{TASK_TITLES[run.task]}: {unit_words(run.task)}, beside the published rows"
    return Chart(title, [row.model for row in rows], series, top_of(run.task), [row.n for row in rows], is_wide=True)


def _bars(run: TaskRun, words: str, cells: Mapping[str, Cell], top: float) -> Chart:
    mark = "" if run.result.comparable else " (not comparable)"
    series = Series(run.model, list(cells.values()), COLOURS[0])
    counts = [cell.n for cell in cells.values()]
    return Chart(f"{TASK_TITLES[run.task]}: {words}{mark}", list(cells), [series], top, counts)


def _radar(run: TaskRun) -> Chart | None:
    """The question types, or the dimensions, over three modalities or more; types that one lacks are left out."""
    groups = dict(list(run.result.groups.get(MODALITY, {}).items())[:MAX_GROUPS])
    if len(groups) < 3:
        return None
    perception = run.task is Task.PERCEPTION
    if perception:
        crossed = [run.result.crossed.get(TYPE_BY_MODALITY, {}).get(name, {}) for name in groups]
        lines = {OVERALL: [group.overall for group in groups.values()]}
        for kind in MEASURES[run.task][:-1]:
            lines[kind] = [by_kind[kind].overall if kind in by_kind else Cell(None) for by_kind in crossed]
    else:
        lines = {title: [group.measures[title] for group in groups.values()] for title in DIMENSION_TITLES.values()}
    whole = [(name, cells) for name, cells in lines.items() if all(cell.value is not None for cell in cells)]
    series = [Series(name, cells, COLOURS[at]) for at, (name, cells) in enumerate(whole)]
    if not series:
        return None
    words = "question types, %" if perception else "dimensions, 0-2"
    title = f"{TASK_TITLES[run.task]}: {words}, by modality"
    return Chart(title, list(groups), series, top_of(run.task, series[0].name), kind="radar")
