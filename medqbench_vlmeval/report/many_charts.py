"""The charts of many runs: all beside the published rows, and the best of them by measure, modality and severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medqbench_vlmeval.data.published import human_overall
from medqbench_vlmeval.report.cells import Book
from medqbench_vlmeval.report.charts import COLOURS, MAX_GROUPS, MAX_SERIES, Charts, Series, Table
from medqbench_vlmeval.report.many_runs import NamedRun, TaskRuns
from medqbench_vlmeval.report.many_tables import groups_of, measure_figure, measures_of
from medqbench_vlmeval.report.matrix import points_by, unit_words
from medqbench_vlmeval.report.points import NOTHING, Point, top_of
from medqbench_vlmeval.report.runs import MODALITY, OVERALL
from medqbench_vlmeval.report.sheet_charts import standing
from medqbench_vlmeval.tasks import Task

_INTRO = (
    "What the sheet 'Charts' shows: values, and how far their 95% intervals reach below and above. Charts with a "
    f"series a run show {MAX_SERIES} runs at most, the first of the overview."
)


def add_many_charts(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write the charts that the results support and the tables behind them; nothing measured, no sheets."""
    shown = [found for found in tasks if any(run.part.values.get(OVERALL) is not None for run in found.runs)]
    if not shown:
        return
    charts = Charts(book, _INTRO)
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
