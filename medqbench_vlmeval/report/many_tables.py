"""The first sheet on many runs: every run and every published row of a task, ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.benchmark import DIMENSION_TITLES, HUMAN, Task, human_overall
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.report.run_tables import (
    ALL,
    FEW_HEAD,
    FEW_MARK,
    MAX_COLUMNS,
    Matrix,
    flat,
    points_by,
    unit,
    unit_words,
    write_matrix,
)
from medqbench_vlmeval.report.sheet import (
    BOLD,
    COUNT,
    HEAD,
    PERCENT,
    SCORE,
    TEXT,
    TITLE,
    WRAPPED,
    Book,
    Item,
    Sheet,
    Style,
    lines_of,
)
from medqbench_vlmeval.report.standings import PUBLISHED, Row, by_overall, own_row, reference_rows, run_labels
from medqbench_vlmeval.runs.result import (
    MEASURES,
    MODALITY,
    NOTHING,
    OVERALL,
    TASK_TITLES,
    Point,
    RunPart,
    cell_point,
    mapping,
    measure_point,
    parts_of,
    text,
    top_of,
)
from medqbench_vlmeval.scoring.intervals import FEW

# Many runs by task, in one order and under one label each, as every sheet on many runs shows them.


MAX_RUNS = 500
_LABEL_LIMIT = 60  # characters


@dataclass(frozen=True)
class NamedRun:
    """One task of one run under its label, with its line of the leaderboard."""

    label: str
    part: RunPart
    row: Row


@dataclass(frozen=True)
class TaskRuns:
    """All runs of one task, ranked: comparable ones first, best first."""

    task: Task
    runs: Sequence[NamedRun]

    @property
    def title(self) -> str:
        return TASK_TITLES[self.task]


def runs_by_task(scores: Sequence[Mapping[str, Any]]) -> list[TaskRuns]:
    """The single tasks that results hold, in the order of the benchmark.

    Raises:
        BadInput: there are no results or more than 500, or one is not of this package.
    """
    if not scores:
        raise BadInput("There is no scored run to report on; name at least one '_score.json' or its folder.")
    if len(scores) > MAX_RUNS:
        raise BadInput(f"{len(scores):,} runs are more than one workbook can show; name at most {MAX_RUNS} at a time.")
    parts = [part for score in scores for part in parts_of(score)]
    return [TaskRuns(task, _ranked(found)) for task in Task if (found := [part for part in parts if part.task is task])]


def warnings_of(found: TaskRuns) -> list[str]:
    """What keeps the runs of a task from being set beside each other: other questions, judges or protocols."""
    warnings = []
    samples = {_samples(run.part) for run in found.runs}
    if len(samples) > 1:
        datasets = ", ".join(dict.fromkeys(run.part.dataset for run in found.runs))
        sizes = ", ".join(f"{size:,}" for size in sorted({run.part.n for run in found.runs}))
        warnings.append(
            f"These runs did not answer the same samples ({len(samples)} different sets, of {sizes} samples; datasets "
            f"{datasets}): differences between them may be differences between the samples."
        )
    for section, name, words in (
        ("judge", "name", "judges"),
        ("protocol", "name", "protocols"),
        ("prompt", "style", "prompt styles"),
    ):
        values = dict.fromkeys(run.part.setting(section, name) or "none named" for run in found.runs)
        if len(values) > 1:
            warnings.append(f"These runs have different {words}: {', '.join(values)}.")
    return warnings


def _samples(part: RunPart) -> str:
    """What tells one set of samples from another, with how many of it were scored."""
    known = text(part.data.get("samples_sha256")) or text(part.data.get("sha256")) or part.dataset
    return f"{known} {part.n}"


def _ranked(parts: Sequence[RunPart]) -> list[NamedRun]:
    labels = run_labels(parts, _LABEL_LIMIT)
    runs = [NamedRun(label, part, own_row(part)) for label, part in zip(labels, parts, strict=True)]
    places = {id(row): place for place, row in enumerate(by_overall(run.row for run in runs))}
    return sorted(runs, key=lambda run: places[id(run.row)])


MANY_OVERVIEW = "Overview"

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
    sheet = book.add_fixed(MANY_OVERVIEW)
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


# What many runs were made from and with, a column a run; what differs between them is highlighted.


SETTINGS = "Settings"

_MANY_SETTINGS_WHAT = (
    "Coloured: settings in which the runs of a table differ. Names, places, dates and hashes of what every run has of "
    "its own are not."
)
_OF_THE_RUN = ("model", "not_comparable_because", "created", "prediction_file.")
_SCALARS = ("model", "dataset", "n", "baseline", "comparable", "not_comparable_because")
_VALUE_WIDTH = 30

_RUNS_A_PAGE = 4

Value = str | float | bool | None


def add_many_settings(book: Book, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write the sheet: one table for the multiple-choice runs, one for the judged ones."""
    sheet = book.add_fixed(SETTINGS)
    blocks: dict[str, list[Mapping[str, Any]]] = {"Perception": [], "Reasoning": []}
    for score in scores:
        blocks["Perception" if score.get("task") == Task.PERCEPTION.value else "Reasoning"].append(score)
    sheet.widths([46, 11, *[_VALUE_WIDTH] * max(len(block) for block in blocks.values())])
    sheet.append([Item("Settings by run", TITLE)], lines=2)
    sheet.append([Item(_MANY_SETTINGS_WHAT)])
    for title, block in blocks.items():
        if block:
            sheet.append()
            sheet.append([Item(title, BOLD)])
            _many_settings_table(sheet, block)
    pages = -(-max(len(block) for block in blocks.values()) // _RUNS_A_PAGE)
    sheet.finish(freeze="C2", repeat_row=1, pages=pages, repeat_columns=2)


def _many_settings_table(sheet: Sheet, scores: Sequence[Mapping[str, Any]]) -> None:
    labels = run_labels([parts_of(score)[0] for score in scores], _LABEL_LIMIT)
    head = max(lines_of(label, _VALUE_WIDTH) for label in labels)
    sheet.append([Item(name, HEAD) for name in ("Setting", "Differs", *labels)], lines=head)
    columns = [_settings(score) for score in scores]
    # Every run's own order; a name that only later runs have comes last.
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [column.get(name) for column in columns]
        asked = [value for value, column in zip(values, columns, strict=True) if _concerns(name, column)]
        differs = not _is_own(name) and len({repr(value) for value in asked}) > 1
        style = Style(wrap=True, fill="warn" if differs else None)
        lines = max((lines_of(value, _VALUE_WIDTH) for value in values if isinstance(value, str)), default=1)
        items = [Item(name), Item("yes" if differs else None), *(Item(value, style) for value in values)]
        sheet.append(items, lines=lines)


def _settings(score: Mapping[str, Any]) -> dict[str, Value]:
    shown = {name: score[name] for name in _SCALARS if name in score}
    return dict(flat("", {**mapping(score.get("settings")), **shown}))


def _concerns(name: str, column: Mapping[str, Value]) -> bool:
    """Whether a run has what a setting is about: of a task that it was not scored on, it has no data file."""
    if not name.startswith("data."):
        return True
    section = ".".join(name.split(".")[:2])
    return any(one.startswith(f"{section}.") for one in column)


def _is_own(name: str) -> bool:
    return name.startswith(_OF_THE_RUN) or (name.startswith("data.") and name.endswith(".path"))


# Many runs by group: a sheet of matrices a task, and one flat table of all figures with their intervals.


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
