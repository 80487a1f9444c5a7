"""Many runs by group: a sheet of matrices a task, and one flat table of all figures with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from medqbench_vlmeval.report.cells import COUNT, PERCENT, SCORE, TEXT, TITLE, Book, Item, Style
from medqbench_vlmeval.report.many_runs import NamedRun, TaskRuns
from medqbench_vlmeval.report.matrix import MAX_COLUMNS, Matrix, points_by, unit_words, write_matrix
from medqbench_vlmeval.report.points import NOTHING, Point, cell_point, measure_point, top_of
from medqbench_vlmeval.report.runs import MEASURES, MODALITY, OVERALL, mapping
from medqbench_vlmeval.report.sheet_groups import ALL, FEW_HEAD, FEW_MARK
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import DIMENSION_TITLES, Task

FIGURES = "All figures"
SHEETS: Mapping[Task, str] = {
    Task.PERCEPTION: "Perception",
    Task.NO_REFERENCE: "No-reference",
    Task.COMPARATIVE: "Comparative",
}

_AXES = (MODALITY, "question_type", "severity", "difficulty", "scope", "source")
_BY_OVERALL = tuple(axis for axis in _AXES if axis != "question_type")
_HEADS = ("Task", "Run", "Axis", "Group", "Measure", "Value", "95% low", "95% high", "n", FEW_HEAD, "Comparable")
_NOTE = f"Counts stand to the right of each table; grey italics: fewer than {FEW} samples. Intervals: '{FIGURES}'."


def add_task_sheets(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write a sheet a task: the runs by modality, by question type or dimension, by severity and further axes."""
    for found in tasks:
        matrices = [_by_axis(found, MODALITY), _by_measure(found), *(_by_axis(found, axis) for axis in _BY_OVERALL[1:])]
        shown = [matrix for matrix in matrices if matrix is not None]
        sheet = book.add_fixed(SHEETS[found.task])
        sheet.widths([34, *[15] * (2 * max(len(matrix.columns) for matrix in shown) + 2)])
        sheet.append([Item(f"{found.title}, by group", TITLE)], lines=2)
        sheet.append([Item(_NOTE)])
        for matrix in shown:
            sheet.append()
            write_matrix(sheet, matrix)
        sheet.finish(freeze="B2", repeat_row=1)


def add_figures(book: Book, tasks: Sequence[TaskRuns]) -> None:
    """Write one flat table, a row a figure, with filters: for reading into other programs."""
    sheet = book.add_fixed(FIGURES)
    sheet.widths([26, 34, 16, 26, 18, 12, 12, 12, 10, 9, 13])
    sheet.header(_HEADS)
    for found in tasks:
        for run in found.runs:
            comparable = Item("yes" if run.part.comparable else "no")
            for axis, group, measure, figure in _figures(run):
                style = Style(PERCENT if found.task is Task.PERCEPTION else SCORE, faint=figure.few)
                low, high = figure.ends or (None, None)
                sheet.append(
                    [
                        *(Item(words) for words in (found.title, run.label, axis, group, measure)),
                        *(Item(value, style) for value in (figure.value, low, high)),
                        Item(figure.n, Style(COUNT, faint=figure.few)),
                        Item(FEW_MARK if figure.few else None, Style(faint=True)),
                        comparable,
                    ]
                )
    sheet.table(1, len(_HEADS))
    sheet.finish(freeze="C2", repeat_row=1)


def groups_of(found: TaskRuns, axis: str) -> list[str]:
    """The groups of an axis that some run has, in the order of the results."""
    return list(dict.fromkeys(str(name) for run in found.runs for name in mapping(run.part.groups.get(axis))))


def measures_of(found: TaskRuns) -> list[str]:
    """The question types (or dimensions) and Overall, the benchmark's first, with others that some run has."""
    measures = [measure for measure in MEASURES[found.task] if measure != OVERALL]
    if found.task is Task.PERCEPTION:
        measures = list(dict.fromkeys([*measures, *groups_of(found, "question_type")]))
    return [*measures, OVERALL]


def measure_figure(run: NamedRun, measure: str) -> Point:
    """A run's figure by question type or dimension, or Overall."""
    if run.part.task is not Task.PERCEPTION or measure in MEASURES[Task.PERCEPTION]:
        return measure_point(run.part, measure)
    return points_by(run.part, "question_type").get(measure, NOTHING)


def _by_axis(found: TaskRuns, axis: str) -> Matrix | None:
    groups = groups_of(found, axis)[: MAX_COLUMNS - 1]
    if not groups:
        return None
    rows = [(run.label, {**points_by(run.part, axis), ALL: measure_point(run.part)}) for run in found.runs]
    title = f"{found.title}: run x {axis.replace('_', ' ')}, {unit_words(found.task)}"
    return _matrix(found, title, [*groups, ALL], rows, [top_of(found.task)] * (len(groups) + 1))


def _by_measure(found: TaskRuns) -> Matrix:
    measures = measures_of(found)[-MAX_COLUMNS:]
    words = "question type, accuracy, %" if found.task is Task.PERCEPTION else "dimension, 0-2, and Overall, 0-8"
    rows = [(run.label, {measure: measure_figure(run, measure) for measure in measures}) for run in found.runs]
    tops = [top_of(found.task, measure) for measure in measures]
    return _matrix(found, f"{found.title}: run x {words}", measures, rows, tops)


def _matrix(
    found: TaskRuns,
    title: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Mapping[str, Point]]],
    tops: Sequence[float],
) -> Matrix:
    marks = [
        Item("yes", TEXT) if run.part.comparable else Item("no", Style(fill="bad", bold=True)) for run in found.runs
    ]
    return Matrix(title, "Run", columns, rows, tops, marks=marks, mark_head="Comparable")


def _figures(run: NamedRun) -> Iterator[tuple[str, str, str, Point]]:
    part = run.part
    measures = [OVERALL] if part.task is Task.PERCEPTION else [OVERALL, *DIMENSION_TITLES.values()]
    for measure in measures:
        yield "all", ALL, measure, measure_point(part, measure)
    for axis in _AXES:
        for name, cell in mapping(part.groups.get(axis)).items():
            for measure in measures:
                yield axis.replace("_", " "), str(name), measure, cell_point(part.task, mapping(cell), measure)
