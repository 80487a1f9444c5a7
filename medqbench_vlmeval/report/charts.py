"""The charts of one run, native ones: beside the published rows, by question type or dimension, by modality, severity.

Whatever a chart shows is a cell of the sheet :data:`CHART_DATA`, so that a reader can check, copy and redraw it.
Colours are those of Okabe and Ito, which the colour-blind tell apart, and grey; lines also differ in their markers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, HUMAN, TASK_TITLES, Comparable, Task
from medqbench_vlmeval.report.run_tables import measures_of, overall_by, unit_words
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.standings import by_overall, own_row, reference_rows, shortened
from medqbench_vlmeval.report.table import Column, Entry, Kind, Table, table
from medqbench_vlmeval.runs.result import MEASURES, MODALITY, OVERALL, TYPE_BY_MODALITY, top_of
from medqbench_vlmeval.types import Cell, TaskRun

CHARTS, CHART_DATA = "Charts", "Chart data"
_MAX_GROUPS = 40  # a chart of more categories shows nothing
_COLOURS = ("0072B2", "E69F00", "009E73", "D55E00", "56B4E9", "CC79A7", "7F7F7F", "000000")
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
class _Series:
    """One series: a cell a group, whose value is None where nothing was measured."""

    name: str
    cells: Sequence[Cell]
    colour: str


@dataclass(frozen=True)
class _Chart:
    """What one chart shows. ``top`` is the end of its axis, which begins at 0; ``counts`` are the groups' n."""

    title: str
    groups: Sequence[str]
    series: Sequence[_Series]
    top: float
    counts: Sequence[int | None] = ()
    kind: Literal["column", "radar"] = "column"
    is_wide: bool = False


def add_charts(book: Book, charts: Sheet, runs: Sequence[TaskRun]) -> None:
    """Add the sheet of the charts' data, and draw on the sheet ``charts`` all that the results support.

    Two charts stand beside each other.
    """
    data, sheet = book.add_fixed(CHART_DATA), charts.worksheet
    data.append([_INTRO])
    place = 0
    for run in runs:
        place += -place % _PLACES_A_PAGE
        for chart in _charts_of(run):
            if chart.is_wide:
                place += place % 2
            row, second = divmod(place, 2)
            sheet.insert_chart(row * _ROWS, second * _COLUMNS, _native(chart, book, data), {"y_offset": 16})
            place += 2 if chart.is_wide else 1
    data.finish(freeze="B2", repeat_row=1)
    charts.finish()
    # A page must not end inside of a chart, and a sheet that is fitted to a width takes no breaks.
    sheet.fit_page = False
    sheet.set_print_scale(_SCALE)
    sheet.center_horizontally()
    sheet.hide_gridlines(2)
    sheet.set_h_pagebreaks(list(range(2 * _ROWS, -(-place // 2) * _ROWS, 2 * _ROWS)))


def _native(chart: _Chart, book: Book, data: Sheet) -> Any:
    """A chart of XlsxWriter, whose numbers are written to the sheet ``data``."""
    from xlsxwriter.utility import xl_range_formula

    numbers = _data_table(chart)
    places = {column.head: at for at, column in enumerate(numbers.columns)}
    data.append()
    head = data.add_table(numbers)
    first, last = head, head + len(chart.groups) - 1  # from 0
    is_column = chart.kind == "column"
    native: Any = book.workbook.add_chart(
        {"type": "column"} if is_column else {"type": "radar", "subtype": "with_markers"}
    )
    for at, series in enumerate(chart.series):
        options: dict[str, Any] = {
            "name": [CHART_DATA, head - 1, 1 + at],
            "categories": [CHART_DATA, first, 0, last, 0],
            "values": [CHART_DATA, first, 1 + at, last, 1 + at],
        }
        colour = {"color": f"#{series.colour}"}
        if is_column:
            # Series of which each has its own groups stand in the same places.
            apart = len(chart.series) > 1 and chart.is_wide
            options |= {"fill": colour, "gap": 60, "overlap": 100 if apart else 0}
        else:
            marker = {"type": _MARKERS[at % len(_MARKERS)], "size": 6, "fill": colour, "border": colour}
            options |= {"line": {**colour, "width": 1.75}, "marker": marker}
        if (below := places.get(f"{numbers.columns[1 + at].head}: below")) is not None:
            options["y_error_bars"] = {
                "type": "custom",
                "minus_values": f"={xl_range_formula(CHART_DATA, first, below, last, below)}",
                "plus_values": f"={xl_range_formula(CHART_DATA, first, below + 1, last, below + 1)}",
                "line": {"color": "#404040", "width": 1},
            }
        native.add_series(options)
    native.set_title({"name": chart.title, "name_font": {"size": 10, "bold": True}, "overlay": False})
    native.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
    lines = {"visible": True, "line": {"color": "#D9D9D9", "width": 0.5}}
    digits = "0" if chart.top > 2 else "0.0"
    native.set_y_axis({"min": 0, "max": chart.top, "num_format": digits, "major_gridlines": lines})
    if is_column and sum(len(group) for group in chart.groups) > (150 if chart.is_wide else 70):
        native.set_x_axis({"num_font": {"rotation": -45, "size": 9}})
    native.set_size({"width": 2 * _WIDTH + _GAP if chart.is_wide else _WIDTH, "height": _HEIGHT})
    return native


def _data_table(chart: _Chart) -> Table:
    """What a chart shows: values, then the distances to the ends of the intervals, which error bars want."""
    kind: Kind = "percent" if chart.top > 10 else "score"
    values: list[tuple[Column, Sequence[Entry]]] = []
    distances: list[tuple[Column, Sequence[Entry]]] = []
    for series in chart.series:
        name = shortened(series.name, _LONGEST_NAME)
        values.append((Column(name, kind, width=12), [cell.value for cell in series.cells]))
        if chart.kind == "column" and any(cell.interval is not None for cell in series.cells):
            for word, sign in (("below", 1), ("above", -1)):
                # Rounding must not turn a bar inside out.
                lengths = [
                    None
                    if cell.value is None or cell.interval is None
                    else max(0.0, sign * (cell.value - cell.interval[sign < 0]))
                    for cell in series.cells
                ]
                distances.append((Column(f"{name}: {word}", kind, width=12), lengths))
    counts = [(Column("n", "count", width=12), chart.counts)] if chart.counts else []
    columns = [*values, *distances, *counts]
    groups = [shortened(group, _LONGEST_NAME) for group in chart.groups]
    heads = [Column("Group", width=34), *(column for column, _ in columns)]
    return table(chart.title, heads, zip(groups, *(entries for _, entries in columns), strict=True))


def _charts_of(run: TaskRun) -> Iterator[_Chart]:
    perception, title, result = run.task is Task.PERCEPTION, TASK_TITLES[run.task], run.result
    yield _standing(run)
    # Overall's bar stands beside the question types in one unit; the dimensions' sum is in another and left out.
    measures = MEASURES[run.task] if perception else tuple(DIMENSION_TITLES.values())
    words = f"by {'question type, %' if perception else 'dimension, 0-2'}"
    bars = [(words, {measure: result.measures[measure] for measure in measures}, top_of(run.task, measures[0]))]
    for axis in (MODALITY, "severity"):
        if 1 <= len(groups := overall_by(run, axis)) <= _MAX_GROUPS:
            bars.append((f"{unit_words(run.task)}, by {axis}", groups, top_of(run.task)))
    mark = "" if result.comparable is Comparable.YES else f" ({result.comparable.words})"
    for words, cells, top in bars:
        series = _Series(run.model, list(cells.values()), _COLOURS[0])
        yield _Chart(f"{title}: {words}{mark}", list(cells), [series], top, [cell.n for cell in cells.values()])
    modalities = dict(list(result.groups.get(MODALITY, {}).items())[:_MAX_GROUPS])
    if len(modalities) < 3:
        return
    # The question types, or the dimensions, by modality; types that one modality lacks are left out.
    names = measures_of(run.task) if perception else (*DIMENSION_TITLES.values(),)
    lines = {name: [_of_modality(run, modality, name) for modality in modalities] for name in names}
    whole = [(name, cells) for name, cells in lines.items() if all(cell.value is not None for cell in cells)]
    if whole:
        series_of = [_Series(name, cells, _COLOURS[at]) for at, (name, cells) in enumerate(whole)]
        words = f"{'question types, %' if perception else 'dimensions, 0-2'}, by modality"
        yield _Chart(f"{title}: {words}", list(modalities), series_of, top_of(run.task, whole[0][0]), kind="radar")


def _of_modality(run: TaskRun, modality: str, measure: str) -> Cell:
    """A measure of one modality: Overall and the dimensions are the group's own, a question type is a group in it."""
    measures = run.result.groups[MODALITY][modality].measures
    by_type = run.result.crossed.get(TYPE_BY_MODALITY, {}).get(modality, {})
    return measures.get(measure) or (by_type[measure].overall if measure in by_type else Cell(None))


def _standing(run: TaskRun) -> _Chart:
    """Overall of the run among the published rows, ranked as on the overview."""
    own = own_row(run)
    rows = [row for row in by_overall([own, *reference_rows(run.task)]) if row.values.get(OVERALL) is not None]
    cells = [Cell(row.values[OVERALL], *(row.interval or (None, None))) for row in rows]
    series = []
    for name, colour, members in (
        *(
            (f"own, {value.words}", colour, [row is own and row.comparable is value for row in rows])
            for value, colour in zip(Comparable, ("0072B2", "56B4E9", "9CC3E0"), strict=True)
        ),
        ("published", "A6A6A6", [row is not own and row.category != HUMAN for row in rows]),
        ("human experts", "E69F00", [row.category == HUMAN for row in rows]),
    ):
        if any(members):
            of_series = [cell if is_member else Cell(None) for cell, is_member in zip(cells, members, strict=True)]
            series.append(_Series(name, of_series, colour))
    title = f"{TASK_TITLES[run.task]}: {unit_words(run.task)}, beside the published rows"
    return _Chart(title, [row.model for row in rows], series, top_of(run.task), [row.n for row in rows], is_wide=True)
