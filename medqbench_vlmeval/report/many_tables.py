"""Many runs side by side: ranked among the published rows, by group, and where their settings differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    MEASURES,
    OVERALL,
    TASK_TITLES,
    Task,
    benchmarks,
    human_overall,
    measure_axis,
)
from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.model_use import KIT
from medqbench_vlmeval.report import run_tables, sentences
from medqbench_vlmeval.report.colours import places_of
from medqbench_vlmeval.report.leaderboard.tables import apart, terminal_board
from medqbench_vlmeval.report.sheet import Book
from medqbench_vlmeval.report.standings import (
    PUBLISHED,
    by_overall,
    image_way,
    own_row,
    place_of,
    ranks,
    reference_rows,
    run_labels,
)
from medqbench_vlmeval.report.standings import Row as Standing
from medqbench_vlmeval.report.table import FEW_HEAD, Column, Item, Row, Table, columns, few_item, table, task_kind
from medqbench_vlmeval.report.text import INTROS, LABELS
from medqbench_vlmeval.runs.result import MODALITY, result_to_json, top_of
from medqbench_vlmeval.types import FEW, Cell, Result, TaskRun

_MAX_RUNS = 500
_LABEL_LIMIT = 60  # characters
_HASH = 12  # characters of a hash, enough to tell files apart by eye
_OF_THE_RUN = ("model", "not_comparable_because", "created", "prediction_file.")
_SCALARS = ("model", "dataset", "n", "baseline", "comparable", "not_comparable_because")
_RUNS_A_PAGE = 4
FIGURES = "All figures"
_AXES = (MODALITY, "question_type", "severity", "category", "difficulty", "scope", "source")


@dataclass(frozen=True)
class NamedRun:
    """One task of one run under its label, with its line of the leaderboard and its place for :func:`.look_of`."""

    label: str
    task_run: TaskRun
    row: Standing
    place: int = 0


def runs_by_task(results: Sequence[Result]) -> dict[Task, list[NamedRun]]:
    """The runs of each single task, in the order of the benchmark; ranked: comparable ones first, best first. Raises
    BadInput where there are no results or more than 500."""
    if not results:
        raise BadInput("There is no scored run to report on; name at least one '_score.json' or its folder.")
    if len(results) > _MAX_RUNS:
        raise BadInput(
            f"{len(results):,} runs are more than one workbook can show; name at most {_MAX_RUNS} at a time."
        )
    by_task = {}
    for task in Task:
        numbers = zip(results, places_of(results), strict=True)
        pairs = [(run, place) for result, place in numbers for run in result.tasks if run.task is task]
        runs, places = [run for run, _ in pairs], [place for _, place in pairs]
        named = map(NamedRun, run_labels(runs, _LABEL_LIMIT), runs, map(own_row, runs), places)
        if runs:
            by_task[task] = sorted(named, key=lambda run: place_of(run.row))
    return by_task


def _warnings_of(runs: Sequence[TaskRun]) -> list[str]:
    """What keeps the runs of a task from being set beside each other: other questions, judges or protocols."""
    warnings = []
    samples = {(run.data.samples_sha256 or run.data.sha256 or run.result.dataset, run.result.n) for run in runs}
    if len(samples) > 1:
        datasets = ", ".join(dict.fromkeys(run.result.dataset for run in runs))
        sizes = ", ".join(f"{size:,}" for size in sorted({run.result.n for run in runs}))
        warnings.append(
            f"These runs did not answer the same samples ({len(samples)} different sets, of {sizes} samples; datasets "
            f"{datasets}): differences between them may be differences between the samples."
        )
    for words, names in (
        ("judges", [run.settings.judge.name if run.settings.judge else None for run in runs]),
        ("protocols", [run.settings.protocol.name for run in runs]),
        ("prompt styles", [run.settings.prompt_style for run in runs]),
        ("image encodings", [image_way(run.settings) or KIT for run in runs]),
    ):
        values = dict.fromkeys(name or "none named" for name in names)
        if len(values) > 1:
            warnings.append(f"These runs have different {words}: {', '.join(values)}.")
    return warnings


def report_summary(results: Sequence[Result]) -> Iterator[Table | str]:
    """What a terminal shows of reported runs: a ranked table a task, of a single run its headline, and the three most
    telling findings. Raises BadInput as :func:`runs_by_task`."""
    for task, runs in runs_by_task(results).items():
        if len(runs) > 1:
            yield _ranked(task, runs)
        else:
            yield run_tables.headline_table(runs[0].task_run)
            yield from (f"! {warning}" for warning in sentences.warnings_of(runs[0].task_run))
        yield ""
    yield from (f"- {line}" for line in sentences.telling_findings([run for of in results for run in of.tasks]))


def _ranked(task: Task, runs: Sequence[NamedRun]) -> Table:
    """All runs of a task by Overall, whether they can be compared with the published rows or not."""
    rows = [replace(run.row, model=run.label) for run in runs]
    notes = _warnings_of([run.task_run for run in runs])
    for name in ("n_inference_failed", "n_missing", "n_unscored"):
        counts = [f"{run.label} {n:,}" for run in runs if (n := run.task_run.result.counts.get(name))]
        notes += [f"{run_tables.COUNT_TITLES[name]}: {', '.join(counts)}"] if counts else []
    board = terminal_board(task, sorted(rows, key=lambda row: -(row.values[OVERALL] or 0.0)), alone=True)
    return replace(board, title=f"{board.title}: {len(runs)} runs", notes=[*notes, *board.notes])


def add_many_overview(book: Book, tasks: Mapping[Task, Sequence[NamedRun]]) -> None:
    """Write every run and every published row, a table a task, one below the other."""
    sheet = book.add_fixed(run_tables.OVERVIEW)
    count = max(map(len, tasks.values()))
    sheet.title(f"{benchmarks(tasks)}: {count} {'run' if count == 1 else 'runs'} side by side")
    sheet.sentence(INTROS["overview"])
    if any(not reference_rows(task) for task in tasks):
        sheet.sentence("MedQ-Deg has no published rows here: its runs are ranked within their data file.")
    for task, runs in tasks.items():
        sheet.append()
        human = human_overall(task)
        scale = "percent of questions" if task.is_choice else "means of 0-2, Overall their sum (0-8)"
        people = f"human experts' Overall: {human:.2f}" if human is not None else "no published row of human experts"
        sheet.title(f"{TASK_TITLES[task]}: {scale}; {people}")
        for warning in _warnings_of([run.task_run for run in runs]):
            sheet.sentence(warning, "warn")
        sheet.add_table(_standings(task, runs))
        for words, why, models in apart([replace(run.row, model=run.label) for run in runs]):
            sheet.sentence(f"{words.capitalize()} with the published rows: {why} ({models})", "bad")
    sheet.finish(freeze="C2", repeat_row=1)


def _standings(task: Task, runs: Sequence[NamedRun]) -> Table:
    kind, measures = task_kind(task), MEASURES[task][:-1]
    padding = 4 - len(measures)  # so that the columns of all tasks stand below each other
    heads = [
        *columns(("Place", "count"), "Model", "Kind", "Category"),
        Column(OVERALL, kind, interval="95%"),
        *columns(*((measure, kind) for measure in measures), *[""] * padding, ("n", "count"), "Comparable"),
        *columns("Dataset", "Judge", "Protocol", "Data (hash)", "Source"),
    ]
    labels = {id(run.row): run.label for run in runs}
    rows, standings = [], by_overall([*(run.row for run in runs), *reference_rows(task)])
    for rank, row in zip(ranks(standings), standings, strict=True):
        own, few = row.kind != PUBLISHED, row.n is not None and row.n < FEW
        low, high = row.interval or (None, None)
        data = None if row.data_sha256 is None else row.data_sha256.removeprefix("samples:")[:_HASH]
        entries = (
            rank, labels.get(id(row), row.model), "this run" if row.kind == "own" else row.kind,
            row.category, Cell(row.values.get(OVERALL), low, high, few=few),
            *(Cell(row.values.get(measure), few=few) for measure in measures), *[None] * padding,
            Item(row.n, few=few), run_tables.comparable_item(row.comparable) if own else "reference",
            row.dataset, row.judge, row.protocol, data, row.source,
        )  # fmt: skip
        rows.append(Row(entries, run_tables.look_of(row)))
    return Table("", heads, rows)


def add_many_settings(book: Book, results: Sequence[Result]) -> None:
    """Write what runs were made from and with, a column a run: one table for perception, one for reasoning."""
    perception = [result for result in results if result.task.is_choice]
    reasoning = [result for result in results if not result.task.is_choice]
    questions = " and ".join(dict.fromkeys(TASK_TITLES[result.task] for result in perception))
    tables = [_settings_table(title, of) for title, of in ((questions, perception), ("Reasoning", reasoning)) if of]
    pages, title = -(-max(len(perception), len(reasoning)) // _RUNS_A_PAGE), "Settings by run"
    lines = [INTROS["settings"]]
    book.add_tables(run_tables.SETTINGS, tables, title, lines, "C2", pages=pages, repeat_columns=2)


def _settings_table(title: str, results: Sequence[Result]) -> Table:
    labels = run_labels([result.tasks[0] for result in results], _LABEL_LIMIT)
    settings = []
    for score in map(result_to_json, results):
        scalars = {name: score[name] for name in _SCALARS if name in score}
        settings.append(dict(run_tables.dotted("", {**score["settings"], **scalars})))
    rows = []
    # Every run's own order; a name that only later runs have comes last.
    for name in dict.fromkeys(name for of_run in settings for name in of_run):
        is_data, section = name.startswith("data."), ".".join(name.split(".")[:2])
        # Of a task that a run was not scored on, it has no data file.
        runs = [run for run in settings if not is_data or any(other.startswith(f"{section}.") for other in run)]
        values = {repr(of_run.get(name)) for of_run in runs}
        is_own = name.startswith(_OF_THE_RUN) or (is_data and name.endswith(".path"))
        differs = not is_own and len(values) > 1
        items = [Item(of_run.get(name), fill="warn" if differs else None) for of_run in settings]
        rows.append((name, "yes" if differs else None, *items))
    heads = [Column("Setting"), Column("Differs")]
    return table(title, [*heads, *(Column(label, "number", width=30, wrap=True) for label in labels)], rows)


def add_task_sheets(book: Book, tasks: Mapping[Task, Sequence[NamedRun]]) -> None:
    """Write a sheet a task: the runs by modality, by question type or dimension, by severity and further axes."""
    for task, runs in tasks.items():
        tables = [matrix for axis in _AXES for matrix in _matrices(task, runs, axis)]
        book.add_tables(
            LABELS["sheets"][task.value], tables, f"{TASK_TITLES[task]}, by group", [INTROS["groups"]], freeze="B2"
        )


def _matrices(task: Task, runs: Sequence[NamedRun], axis: str) -> Iterator[Table]:
    """The runs by the groups of an axis; instead of question types alone, by all measures of the task."""
    groups = list(dict.fromkeys(name for run in runs for name in run.task_run.result.groups.get(axis, {})))
    perception = task.is_choice
    measured = axis == (measure_axis(task) if perception else "question_type")
    if measured:
        words = f"{axis.replace('_', ' ')}, accuracy, %" if perception else "dimension, 0-2, and Overall, 0-8"
        names = dict.fromkeys([*MEASURES[task][:-1], *(groups if perception else [])])
        tops = {name: top_of(task, name) for name in [*names, OVERALL][-run_tables.MAX_COLUMNS :]}
    else:
        words = f"{axis.replace('_', ' ')}, {run_tables.unit_words(task)}"
        tops = dict.fromkeys([*groups[: run_tables.MAX_COLUMNS - 1], run_tables.ALL], top_of(task))
    rows = []
    for run in runs:
        result = run.task_run.result
        whole = result.measures if measured else {run_tables.ALL: result.overall}
        labels = (run.label, run_tables.comparable_item(result.comparable))
        rows.append((labels, {**run_tables.overall_by(run.task_run, axis), **whole}))
    if groups or measured:
        heads = [Column("Run"), Column("Comparable")]
        yield run_tables.matrix_table(f"{TASK_TITLES[task]}: run x {words}", heads, tops, rows)


def add_figures(book: Book, tasks: Mapping[Task, Sequence[NamedRun]]) -> None:
    """Write one flat table, a row a figure, with filters: for reading into other programs."""
    heads = [
        *columns("Task", "Run", "Axis", "Group", "Measure"),
        Column("Value", "score", interval="95%", n="n"),
        Column(FEW_HEAD),
        Column("Comparable"),
    ]
    rows = [
        (TASK_TITLES[task], run.label, axis, group, measure, Item(cell, task_kind(task)), few_item(cell.few),
         run.task_run.result.comparable.value)
        for task, runs in tasks.items()
        for run in runs
        for axis, group, measure, cell in _figures(run.task_run)
    ]  # fmt: skip
    book.add_tables(FIGURES, [table("", heads, rows)], filters=True, freeze="C2")


def _figures(run: TaskRun) -> Iterator[tuple[str, str, str, Cell]]:
    measures = (OVERALL,) if run.task.is_choice else (OVERALL, *DIMENSION_TITLES.values())
    for measure in measures:
        yield "all", run_tables.ALL, measure, run.result.measures[measure]
    for axis in _AXES:
        for name, group in run.result.groups.get(axis, {}).items():
            yield from ((axis.replace("_", " "), name, measure, group.measures[measure]) for measure in measures)
