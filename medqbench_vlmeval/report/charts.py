"""Native charts: bars with intervals, radars and lines over tables that stand on a sheet of their own.

Whatever a chart shows is a cell of the sheet :data:`CHART_DATA`, so that a reader can check, copy and redraw it.
Colours are those of Okabe and Ito, which the colour-blind tell apart, and grey; lines also differ in their markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, HUMAN, Task, human_overall
from medqbench_vlmeval.report.many_tables import NamedRun, TaskRuns, groups_of, measure_figure, measures_of
from medqbench_vlmeval.report.run_tables import points_by, unit_words
from medqbench_vlmeval.report.sheet import BOLD, COUNT, PERCENT, SCORE, TEXT, Book, Item, Style
from medqbench_vlmeval.report.standings import Row, by_overall, own_row, reference_rows, shortened
from medqbench_vlmeval.runs.result import (
    MEASURES,
    MODALITY,
    NOTHING,
    OVERALL,
    TASK_TITLES,
    TYPE_BY_MODALITY,
    Point,
    RunPart,
    cell_point,
    mapping,
    measure_point,
    top_of,
)

# How charts look: where they stand, their lines, titles and labels.


# Charts stand at places of their own, in cm: widths of columns depend on the fonts that a machine has.
_WIDTH, _HEIGHT, _GAP = 16.0, 9.0, 0.9
_EMU_A_CM, _EMU_A_POINT = 360_000, 12_700
_MARGIN = 12.0  # points above a chart


def anchor(top: float, right: bool, wide: bool) -> Any:
    """The place of a chart ``top`` points from the sheet's top: in one of two columns, or ``wide`` over both."""
    from openpyxl.drawing.spreadsheet_drawing import AbsoluteAnchor
    from openpyxl.drawing.xdr import XDRPoint2D, XDRPositiveSize2D

    left = _WIDTH + _GAP if right else 0.0
    width = 2 * _WIDTH + _GAP if wide else _WIDTH
    place = XDRPoint2D(round(left * _EMU_A_CM), round((top + _MARGIN) * _EMU_A_POINT))
    return AbsoluteAnchor(pos=place, ext=XDRPositiveSize2D(round(width * _EMU_A_CM), round(_HEIGHT * _EMU_A_CM)))


def fill(colour: str) -> Any:
    """A shape in one colour."""
    from openpyxl.chart.shapes import GraphicalProperties

    return GraphicalProperties(solidFill=colour)


def hairline() -> Any:
    """Pale, thin grid lines."""
    from openpyxl.chart.shapes import GraphicalProperties

    look: Any = GraphicalProperties()
    look.line.solidFill, look.line.width = "D9D9D9", 6_350
    return look


def title(text: str) -> Any:
    """A title of 10 points; the default of 18 takes a third of the chart."""
    from openpyxl.chart.title import title_maker
    from openpyxl.drawing.text import CharacterProperties, ParagraphProperties

    make: Any = title_maker
    title = make(text)
    for paragraph in title.tx.rich.p:
        paragraph.pPr = ParagraphProperties(defRPr=CharacterProperties(sz=1000, b=True))
        for run in paragraph.r or ():
            run.rPr = CharacterProperties(sz=1000, b=True)
    return title


def turned() -> Any:
    """Axis labels at 45 degrees, where level ones would not fit."""
    from openpyxl.chart.text import RichText
    from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties, RichTextProperties

    ends = CharacterProperties(sz=900)
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=ends), endParaRPr=ends)
    return RichText(bodyPr=RichTextProperties(rot=-2_700_000, vert="horz"), p=[paragraph])


CHARTS, CHART_DATA = "Charts", "Chart data"

MAX_SERIES = 8
MAX_GROUPS = 40  # a chart of more categories shows nothing
_MAX_WITH_ENDS = 3  # lines; the intervals of more cover each other

COLOURS = ("0072B2", "E69F00", "009E73", "D55E00", "56B4E9", "CC79A7", "7F7F7F", "000000")
PALE, GREY = "9CC3E0", "A6A6A6"
_MARKERS = ("circle", "square", "triangle", "diamond", "x", "star", "dash", "plus")
_INK = "404040"

_LONGEST_NAME = 34  # columns of a group or a series; longer ones leave no room for the drawing
_ROWS_A_CHART = 19
_ROWS_A_PAGE = 2 * _ROWS_A_CHART
_PLACES_A_PAGE = 4
_ROW = 15.0  # points, the height of all rows under the charts
_SCALE = 75  # percent, at which two charts stand beside each other on A4 across

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Series:
    """One series: a value a group and, for bars, its interval; None where nothing was measured."""

    name: str
    values: Sequence[float | None]
    intervals: Sequence[Ends] = ()
    colour: str | None = None


@dataclass(frozen=True)
class Table:
    """What one chart shows. ``top`` is the end of its axis, which begins at 0; ``counts`` are the groups' n."""

    title: str
    groups: Sequence[str]
    series: Sequence[Series]
    top: float
    counts: Sequence[int | None] = ()
    note: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a table stands: the row of its heads and its last row; series are in ``columns``."""

    head: int
    last: int
    columns: Sequence[int]
    below: Sequence[int]
    above: Sequence[int]


class Charts:
    """The two sheets of charts and of what they are made from.

    Charts stand two beside each other in the order in which they are added; a wide one takes both places.
    """

    def __init__(self, book: Book, intro: str) -> None:
        self._charts = book.add_fixed(CHARTS)
        self._data = book.add_fixed(CHART_DATA)
        self._place = 0
        self._data.append([Item(intro)])
        self._data.widths([34, *[12] * (3 * MAX_SERIES)])

    def bars(self, table: Table, *, wide: bool = False, line: Series | None = None) -> None:
        """Upright bars with their intervals; ``line`` is a level to hold them against."""
        from openpyxl.chart import BarChart, LineChart

        # Series of which each has its own groups stand in the same places.
        apart = _apart(table.series)
        place = self._write(table, line)
        chart: Any = BarChart()
        chart.type, chart.gapWidth = "col", 60
        if apart:
            chart.overlap = 100
        for at, series in enumerate(table.series):
            made = self._series(place, at, series.colour or COLOURS[at % len(COLOURS)])
            made.invertIfNegative = False
            if place.below[at]:
                made.errBars = self._error_bars(place, at)
            chart.series.append(made)
        if line is not None:
            level: Any = LineChart()
            made = self._series(place, len(table.series), None)
            made.graphicalProperties.line.solidFill = _INK
            made.graphicalProperties.line.width = 19_050  # EMU, 1.5 points
            made.graphicalProperties.line.dashStyle = "dash"
            made.marker.symbol = "none"
            made.smooth = False
            level.series.append(made)
            chart += level
        self._add(chart, table, wide, legend=len(table.series) > 1 or line is not None)

    def radar(self, table: Table) -> None:
        """A radar with a line a series; of fewer than three groups there is none."""
        from openpyxl.chart import RadarChart

        if len(table.groups) < 3:
            return
        chart: Any = RadarChart()
        chart.type = "marker"
        self._lines(chart, table)

    def lines(self, table: Table) -> None:
        """Lines over groups that have an order; up to three have their intervals."""
        from openpyxl.chart import LineChart

        self._lines(LineChart(), table)

    def new_page(self) -> None:
        """Let the next chart begin a page."""
        self._place += -self._place % _PLACES_A_PAGE

    def finish(self) -> None:
        """Set up both sheets for print."""
        from openpyxl.worksheet.pagebreak import Break

        sheet: Any = self._charts.worksheet
        rows = -(-self._place // 2) * _ROWS_A_CHART
        self._charts.finish()
        sheet.sheet_format.defaultRowHeight, sheet.sheet_format.customHeight = _ROW, True
        # A page must not end inside of a chart, and a sheet that is fitted to a width takes no breaks.
        sheet.sheet_properties.pageSetUpPr.fitToPage = False
        sheet.page_setup.scale = _SCALE
        sheet.print_options.horizontalCentered = True
        for row in range(_ROWS_A_PAGE, rows, _ROWS_A_PAGE):
            sheet.row_breaks.append(Break(id=row))
        sheet.sheet_view.showGridLines = False
        self._data.finish(freeze="B2", repeat_row=1)

    def _write(self, table: Table, line: Series | None = None) -> _Place:
        """Write what a chart shows: values, then the distances to the ends of the intervals, which bars want."""
        sheet = self._data
        figure = Style(PERCENT if table.top > 10 else SCORE)
        series = [*table.series, *([line] if line is not None else [])]
        known = [one for one in series if any(one.intervals)]
        sheet.append()
        sheet.append([Item(table.title, BOLD)])
        if table.note:
            sheet.append([Item(table.note, TEXT)])
        heads = [shortened(one.name, _LONGEST_NAME) for one in series]
        heads += [f"{shortened(one.name, _LONGEST_NAME)}: {end}" for one in known for end in ("below", "above")]
        head = sheet.header(["Group", *heads, *(["n"] if table.counts else [])], lines=3)
        for at, group in enumerate(table.groups):
            items = [Item(shortened(group, _LONGEST_NAME)), *(Item(one.values[at], figure) for one in series)]
            for one in known:
                items += [Item(distance, figure) for distance in _distances(one.values[at], one.intervals[at])]
            if table.counts:
                items.append(Item(table.counts[at], Style(COUNT)))
            sheet.append(items)
        first = 2 + len(series)
        below = [first + 2 * known.index(one) if one in known else 0 for one in series]
        columns = range(2, first)
        return _Place(head, sheet.row, columns, below, [at + 1 if at else 0 for at in below])

    def _lines(self, chart: Any, table: Table) -> None:
        place = self._write(table)
        for at, series in enumerate(table.series):
            colour = series.colour or COLOURS[at % len(COLOURS)]
            made = self._series(place, at, None)
            made.graphicalProperties.line.solidFill = colour
            made.graphicalProperties.line.width = 22_225  # EMU, 1.75 points
            made.marker.symbol = _MARKERS[at % len(_MARKERS)]
            made.marker.size = 6
            made.marker.graphicalProperties = fill(colour)
            made.marker.graphicalProperties.line.solidFill = colour
            made.smooth = False
            if place.below[at] and chart.tagname == "lineChart" and len(table.series) <= _MAX_WITH_ENDS:
                made.errBars = self._error_bars(place, at, "y")
            chart.series.append(made)
        self._add(chart, table, False, legend=len(table.series) > 1)

    def _series(self, place: _Place, at: int, colour: str | None) -> Any:
        from openpyxl.chart import Reference, Series
        from openpyxl.chart.data_source import AxDataSource, StrRef
        from openpyxl.chart.series import SeriesLabel
        from openpyxl.chart.shapes import GraphicalProperties

        sheet, column = self._data.worksheet, place.columns[at]
        make: Any = Series
        made = make(Reference(sheet, min_col=column, min_row=place.head + 1, max_row=place.last))
        made.tx = SeriesLabel(strRef=StrRef(f=str(Reference(sheet, min_col=column, min_row=place.head))))
        names = Reference(sheet, min_col=1, min_row=place.head + 1, max_row=place.last)
        # set_categories would declare the names to be numbers.
        made.cat = AxDataSource(strRef=StrRef(f=str(names)))
        made.graphicalProperties = GraphicalProperties() if colour is None else fill(colour)
        if made.marker is None:
            from openpyxl.chart.marker import Marker

            made.marker = Marker()
        return made

    def _error_bars(self, place: _Place, at: int, direction: Literal["y"] | None = None) -> Any:
        from openpyxl.chart import Reference
        from openpyxl.chart.data_source import NumDataSource, NumRef
        from openpyxl.chart.error_bar import ErrorBars
        from openpyxl.chart.shapes import GraphicalProperties

        def source(column: int) -> Any:
            sheet = self._data.worksheet
            found = Reference(sheet, min_col=column, min_row=place.head + 1, max_row=place.last)
            return NumDataSource(numRef=NumRef(f=str(found)))

        look: Any = GraphicalProperties()
        look.line.solidFill, look.line.width = _INK, 12_700
        bars: Any = ErrorBars(
            errDir=direction,
            errBarType="both",
            errValType="cust",
            noEndCap=False,
            plus=source(place.above[at]),
            minus=source(place.below[at]),
            spPr=look,
        )
        # openpyxl has them the other way round, which the format does not allow (ECMA-376, CT_ErrBars).
        order = list(bars.__elements__)
        bars.__elements__ = (*order[:4], "plus", "minus", *order[6:])
        return bars

    def _add(self, chart: Any, table: Table, wide: bool, legend: bool) -> None:
        chart.title = title(table.title)
        chart.title.overlay = False  # unset, current Excel draws the title over the bars
        if legend:
            chart.legend.position, chart.legend.overlay = "b", False
        else:
            chart.legend = None
        chart.y_axis.scaling.min, chart.y_axis.scaling.max = 0, table.top
        chart.y_axis.number_format = "0" if table.top > 2 else "0.0"
        chart.y_axis.majorGridlines.spPr = hairline()
        # openpyxl's default leaves both axes out in current Excel.
        chart.x_axis.delete = chart.y_axis.delete = False
        if chart.tagname != "radarChart" and sum(len(group) for group in table.groups) > (150 if wide else 70):
            chart.x_axis.txPr = turned()
        if wide:
            self._place += self._place % 2
        row, second = divmod(self._place, 2)
        chart.anchor = anchor(row * _ROWS_A_CHART * _ROW, bool(second), wide)
        self._charts.worksheet.add_chart(chart)
        self._place += 2 if wide else 1


def _distances(value: float | None, ends: Ends) -> tuple[float | None, float | None]:
    """How far an interval reaches below and above its value; rounding must not turn a bar inside out."""
    if value is None or ends is None:
        return None, None
    return max(0.0, value - ends[0]), max(0.0, ends[1] - value)


def _apart(series: Sequence[Series]) -> bool:
    return len(series) > 1 and all(
        sum(one.values[at] is not None for one in series) <= 1 for at in range(len(series[0].values))
    )


# The charts of one run: beside the published rows, by measure, by modality, by severity.


_INTRO = (
    "What the sheet 'Charts' shows: values, and how far their 95% intervals reach below and above. A value without an "
    "interval has none that is known."
)


def add_charts(book: Book, parts: Sequence[RunPart]) -> None:
    """Write the charts that a result supports and the tables behind them; nothing measured, no sheets."""
    shown = [part for part in parts if part.values.get(OVERALL) is not None]
    if not shown:
        return
    charts = Charts(book, _INTRO)
    for part in shown:
        charts.new_page()
        charts.bars(standing(part.task, [(part.model, own_row(part))]), wide=True)
        charts.bars(_by_measure(part))
        for axis in (MODALITY, "severity"):
            figures = points_by(part, axis)
            if 1 <= len(figures) <= MAX_GROUPS:
                charts.bars(_by_group(part, axis, figures))
        radar = _radar(part)
        if radar is not None:
            charts.radar(radar)
    charts.finish()


def standing(task: Task, runs: Sequence[tuple[str, Row]]) -> Table:
    """Overall of runs (each under its label) among the published rows, ranked as on the overview."""
    labels = {id(row): label for label, row in runs}
    ranked = by_overall([*(row for _, row in runs), *reference_rows(task)])
    rows = [row for row in ranked if row.values.get(OVERALL) is not None]
    own = [id(row) in labels for row in rows]

    def series(name: str, colour: str, wanted: Sequence[bool]) -> Series:
        values = [row.values[OVERALL] if mine else None for row, mine in zip(rows, wanted, strict=True)]
        ends = [row.interval if mine else None for row, mine in zip(rows, wanted, strict=True)]
        return Series(name, values, ends, colour)

    kinds = [
        series("own, comparable", "0072B2", [mine and row.comparable for mine, row in zip(own, rows, strict=True)]),
        series("own, not comparable", PALE, [mine and not row.comparable for mine, row in zip(own, rows, strict=True)]),
        series("published", GREY, [not mine and row.category != HUMAN for mine, row in zip(own, rows, strict=True)]),
        series("human experts", "E69F00", [row.category == HUMAN for row in rows]),
    ]
    return Table(
        f"{TASK_TITLES[task]}: {unit_words(task)}, beside the published rows",
        [labels.get(id(row), row.model) for row in rows],
        [kind for kind in kinds if any(value is not None for value in kind.values)],
        top_of(task),
        [row.n for row in rows],
    )


def _by_measure(part: RunPart) -> Table:
    """Overall's bar stands beside the question types in one unit; the dimensions' sum is in another and left out."""
    measures = MEASURES[part.task] if part.task is Task.PERCEPTION else tuple(DIMENSION_TITLES.values())
    figures = {measure: measure_point(part, measure) for measure in measures}
    words = "question type, %" if part.task is Task.PERCEPTION else "dimension, 0-2"
    return _bars(part, f"by {words}", figures, top_of(part.task, measures[0]))


def _by_group(part: RunPart, axis: str, figures: Mapping[str, Point]) -> Table:
    return _bars(part, f"{unit_words(part.task)}, by {axis}", figures, top_of(part.task))


def _bars(part: RunPart, words: str, figures: Mapping[str, Point], top: float) -> Table:
    mark = "" if part.comparable else " (not comparable)"
    values = [figure.value for figure in figures.values()]
    ends = [figure.ends for figure in figures.values()]
    counts = [figure.n for figure in figures.values()]
    title = f"{TASK_TITLES[part.task]}: {words}{mark}"
    return Table(title, list(figures), [Series(part.model, values, ends)], top, counts)


def _radar(part: RunPart) -> Table | None:
    """The question types, or the dimensions, over the modalities; types that some modality lacks are left out."""
    by_modality = mapping(part.groups.get(MODALITY))
    names = [str(name) for name in by_modality][:MAX_GROUPS]
    found: dict[str, list[Point]] = {}
    if part.task is Task.PERCEPTION:
        found[OVERALL] = list(points_by(part, MODALITY).values())[:MAX_GROUPS]
        crossed = mapping(part.groups.get(TYPE_BY_MODALITY))
        for kind in MEASURES[part.task][:-1]:
            cells = (mapping(mapping(crossed.get(name)).get(kind)) for name in by_modality)
            found[kind] = [cell_point(part.task, cell) if cell else NOTHING for cell in cells][:MAX_GROUPS]
    else:
        for title in DIMENSION_TITLES.values():
            cells = (mapping(cell) for cell in by_modality.values())
            found[title] = [cell_point(part.task, cell, title) for cell in cells][:MAX_GROUPS]
    series = [
        Series(kind, [figure.value for figure in figures])
        for kind, figures in found.items()
        if figures and all(figure.value is not None for figure in figures)
    ]
    if not series:
        return None
    words = "question types, %" if part.task is Task.PERCEPTION else "dimensions, 0-2"
    top = top_of(part.task, next(iter(found)))
    return Table(f"{TASK_TITLES[part.task]}: {words}, by modality", names, series[:MAX_SERIES], top)


# The charts of many runs: all beside the published rows, and the best of them by measure, modality and severity.


_MANY_CHARTS_INTRO = (
    "What the sheet 'Charts' shows: values, and how far their 95% intervals reach below and above. Charts with a "
    f"series a run show {MAX_SERIES} runs at most, the first of the overview."
)


def add_many_charts(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write the charts that the results support and the tables behind them; nothing measured, no sheets."""
    shown = [found for found in tasks if any(run.part.values.get(OVERALL) is not None for run in found.runs)]
    if not shown:
        return
    charts = Charts(book, _MANY_CHARTS_INTRO)
    for found in shown:
        charts.new_page()
        ranked = standing(found.task, [(run.label, run.row) for run in found.runs])
        human = human_overall(found.task)
        level = None if human is None else Series("level of human experts", [human] * len(ranked.groups))
        charts.bars(ranked, wide=True, line=level)
        runs = [run for run in found.runs if run.part.values.get(OVERALL) is not None]
        # The sum of the dimensions is in another unit than they are.
        measures = [name for name in measures_of(found) if found.task is Task.PERCEPTION or name != OVERALL]
        by_measure = {name: [measure_figure(run, name) for run in runs] for name in measures[:MAX_GROUPS]}
        words = "question type, %" if found.task is Task.PERCEPTION else "dimension, 0-2"
        charts.bars(_table(found, runs, f"by {words}", by_measure, measures[0]), wide=True)
        charts.radar(_table(found, runs, f"{unit_words(found.task)}, by modality", _groups(found, runs, MODALITY)))
        severity = _groups(found, runs, "severity")
        if any(severity.values()):
            charts.lines(_table(found, runs, f"{unit_words(found.task)}, by severity", severity))
    charts.finish()


def _groups(found: TaskRuns, runs: Sequence[NamedRun], axis: str) -> dict[str, list[Point]]:
    by_run = [points_by(run.part, axis) for run in runs]
    return {name: [figures.get(name, NOTHING) for figures in by_run] for name in groups_of(found, axis)[:MAX_GROUPS]}


def _table(
    found: TaskRuns,
    runs: Sequence[NamedRun],
    words: str,
    figures: Mapping[str, Sequence[Point]],
    measure: str = OVERALL,
) -> Table:
    cut = f" (the first {MAX_SERIES} of {len(runs)} runs)" if len(runs) > MAX_SERIES else ""
    series = []
    for at, run in enumerate(runs[:MAX_SERIES]):
        mine = [found_by_run[at] for found_by_run in figures.values()]
        series.append(Series(run.label, [one.value for one in mine], [one.ends for one in mine], COLOURS[at]))
    return Table(f"{found.title}: {words}{cut}", list(figures), series, top_of(found.task, measure))
