"""The charts of one run: beside the published rows, by measure, by modality, by severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medqbench_vlmeval.data.published import HUMAN
from medqbench_vlmeval.report.cells import Book
from medqbench_vlmeval.report.charts import GREY, MAX_GROUPS, MAX_SERIES, PALE, Charts, Series, Table
from medqbench_vlmeval.report.matrix import points_by, unit_words
from medqbench_vlmeval.report.points import NOTHING, Point, cell_point, measure_point, top_of
from medqbench_vlmeval.report.rows import Row, by_overall, own_row, reference_rows
from medqbench_vlmeval.report.runs import MEASURES, MODALITY, OVERALL, TASK_TITLES, TYPE_BY_MODALITY, RunPart, mapping
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

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
