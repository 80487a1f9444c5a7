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
from medqbench_vlmeval.report.table import Column, Entry, Row, Table
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

    @property
    def has_intervals(self) -> bool:
        """Whether any interval is known."""
        return any(cell.interval is not None for cell in self.cells)


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


class Charts:
    """The two sheets of charts and of what they are made from; two charts stand beside each other."""

    def __init__(self, book: Book, runs: Sequence[TaskRun]) -> None:
        self._book = book
        self._charts = book.add_fixed(CHARTS)
        self._runs = runs
        self._place = 0

    @classmethod
    def begin(cls, book: Book, runs: Sequence[TaskRun]) -> Charts | None:
        """Add the sheet of charts, still empty; None where nothing was measured."""
        measured = [run for run in runs if run.result.overall.value is not None]
        return cls(book, measured) if measured else None

    def draw(self) -> None:
        """Add the sheet of their data and draw all charts that the results support."""
        data = self._book.add_fixed(CHART_DATA)
        data.append([_INTRO])
        for run in self._runs:
            self._place += -self._place % _PLACES_A_PAGE
            for chart in _charts_of(run):
                self._draw(chart, data)
        data.finish(freeze="B2", repeat_row=1)
        self._charts.finish()
        sheet = self._charts.worksheet
        # A page must not end inside of a chart, and a sheet that is fitted to a width takes no breaks.
        sheet.fit_page = False
        sheet.set_print_scale(_SCALE)
        sheet.center_horizontally()
        sheet.hide_gridlines(2)
        rows = -(-self._place // 2) * _ROWS
        sheet.set_h_pagebreaks(list(range(2 * _ROWS, rows, 2 * _ROWS)))

    def _draw(self, chart: Chart, data: Sheet) -> None:
        table, ends = _data_table(chart)
        data.append()
        head = data.add_table(table)
        first, last = head, head + len(chart.groups) - 1  # from 0
        made: Any = self._book.workbook.add_chart(
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
        font = {"size": 10, "bold": True}
        made.set_title({"name": chart.title, "name_font": font, "overlay": False})
        made.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
        lines = {"visible": True, "line": {"color": "#D9D9D9", "width": 0.5}}
        digits = "0" if chart.top > 2 else "0.0"
        made.set_y_axis({"min": 0, "max": chart.top, "num_format": digits, "major_gridlines": lines})
        crowded = sum(len(group) for group in chart.groups) > (150 if chart.is_wide else 70)
        if crowded and chart.kind == "column":
            made.set_x_axis({"num_font": {"rotation": -45, "size": 9}})
        if chart.is_wide:
            self._place += self._place % 2
        row, second = divmod(self._place, 2)
        made.set_size({"width": 2 * _WIDTH + _GAP if chart.is_wide else _WIDTH, "height": _HEIGHT})
        self._charts.worksheet.insert_chart(row * _ROWS, second * _COLUMNS, made, {"y_offset": 16})
        self._place += 2 if chart.is_wide else 1


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
    known = [at for at, series in enumerate(chart.series) if series.has_intervals and chart.kind == "column"]
    names = [shortened(series.name, _LONGEST_NAME) for series in chart.series]
    heads = [*names, *(f"{names[at]}: {end}" for at in known for end in ("below", "above"))]
    columns = [Column("Group", width=34), *(Column(head, kind, width=12) for head in heads)]
    rows = []
    for at, group in enumerate(chart.groups):
        entries: list[Entry] = [shortened(group, _LONGEST_NAME), *(series.cells[at].value for series in chart.series)]
        for position in known:
            entries += _distances(chart.series[position].cells[at])
        rows.append(Row([*entries, *([chart.counts[at]] if chart.counts else [])]))
    counts = [Column("n", "count", width=12)] if chart.counts else []
    table = Table(chart.title, [*columns, *counts], rows)
    return table, {at: 1 + len(names) + 2 * place for place, at in enumerate(known)}


def _distances(cell: Cell) -> tuple[float | None, float | None]:
    """How far an interval reaches below and above its value; rounding must not turn a bar inside out."""
    if cell.value is None or cell.low is None or cell.high is None:
        return None, None
    return max(0.0, cell.value - cell.low), max(0.0, cell.high - cell.value)


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
    kinds = {
        "own, comparable": ("0072B2", [row is own and row.comparable for row in rows]),
        "own, not comparable": (_PALE, [row is own and not row.comparable for row in rows]),
        "published": (_GREY, [row is not own and row.category != HUMAN for row in rows]),
        "human experts": ("E69F00", [row.category == HUMAN for row in rows]),
    }
    series = []
    for name, (colour, wanted) in kinds.items():
        cells = [
            Cell(row.values[OVERALL], *(row.interval or (None, None))) if mine else Cell(None)
            for row, mine in zip(rows, wanted, strict=True)
        ]
        if any(wanted):
            series.append(Series(name, cells, colour))
    title = f"{TASK_TITLES[run.task]}: {unit_words(run.task)}, beside the published rows"
    counts = [row.n for row in rows]
    return Chart(title, [row.model for row in rows], series, top_of(run.task), counts, is_wide=True)


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
    lines: dict[str, list[Cell]] = {}
    if perception:
        crossed = run.result.crossed.get(TYPE_BY_MODALITY, {})
        lines[OVERALL] = [group.overall for group in groups.values()]
        for kind in MEASURES[run.task][:-1]:
            by_modality = [crossed.get(name, {}).get(kind) for name in groups]
            lines[kind] = [Cell(None) if group is None else group.overall for group in by_modality]
    else:
        lines = {title: [group.measures[title] for group in groups.values()] for title in DIMENSION_TITLES.values()}
    whole = {name: cells for name, cells in lines.items() if all(cell.value is not None for cell in cells)}
    series = [Series(name, cells, COLOURS[at]) for at, (name, cells) in enumerate(whole.items())]
    if not series:
        return None
    words = "question types, %" if perception else "dimensions, 0-2"
    top = top_of(run.task, series[0].name if not perception else OVERALL)
    return Chart(f"{TASK_TITLES[run.task]}: {words}, by modality", list(groups), series, top, kind="radar")
