"""The tables of one run: headline, groups, modalities, matrices, the extractor, counts and settings, for every
place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medqbench_vlmeval.benchmark import (
    DIMENSION_TITLES,
    HUMAN,
    MEASURES,
    OTHER_QUESTION_TYPE,
    OVERALL,
    TASK_TITLES,
    UNKNOWN,
    Comparable,
    Task,
    benchmarks,
    measure_axis,
    published_rows,
)
from medqbench_vlmeval.benchmark import REASONING_PREFIX as PART_KEYS
from medqbench_vlmeval.report import sentences
from medqbench_vlmeval.report.sample_tables import ImageFiles, add_brief_samples
from medqbench_vlmeval.report.sheet import Book, Sheet
from medqbench_vlmeval.report.standings import Row as Standing
from medqbench_vlmeval.report.standings import by_overall, data_hash, own_row, reference_rows
from medqbench_vlmeval.report.table import (
    EXTRA,
    FEW_HEAD,
    Column,
    Entry,
    Fill,
    Item,
    Look,
    Place,
    Row,
    Table,
    few_item,
    table,
    task_kind,
)
from medqbench_vlmeval.report.table import columns as columns_of
from medqbench_vlmeval.report.text import INTROS, LABELS
from medqbench_vlmeval.runs.result import MODALITY, TYPE_BY_MODALITY, result_to_json, top_of
from medqbench_vlmeval.types import FEW, Cell, ExtractorResult, Group, Result, SampleRow, TaskResult, TaskRun

ALL = "All"
COUNT_TITLES = LABELS["counts"]
BASELINE_NOTE = "BASELINE: a model without weights, for orientation only."
_GROUP_COUNTS = {
    True: {"n": "n", "Correct": "n_correct", "Unanswered": "n_unanswered"},
    False: {"n": "n", "Scored": "n_scored", "Unscored": "n_unscored"},
}
_MARKS = (Column("Run", only="sheet"), Column("Comparable with published", only="sheet"))
OVERVIEW, BY_MODALITY, BY_GROUP, MATRICES, SETTINGS = "Overview", "By modality", "By group", "Matrices", "Settings"
DEGRADATION = "Degradation"
_MAX_SHEETS = 40  # a column that was taken for the modality by mistake may have a value a row
MAX_COLUMNS = 40
_MAX_ROWS = 100
# What the other sheets show.
_LEFT_OUT = (
    "groups", "intervals", "frequencies", "findings", "conclusions", "between_rounds", "between_judges",
    "drops", "calibration", *PART_KEYS.values(),
)  # fmt: skip


def run_summary(result: Result, findings: bool = False) -> Iterator[Table | str]:
    """What a terminal shows of a run: headline numbers with intervals and counts, modalities, and what to beware of.
    ``findings`` adds a sentence for each finding."""
    for run in result.tasks:
        yield headline_table(run)
        if (extractor := run.result.extractor) is not None:
            yield extractor_table(run.task, extractor)
            yield from (*sentences.extractor_lines(extractor), "")
        if run.result.groups.get(MODALITY):
            yield modality_table([run])
        yield from contrast_tables(run.result)
        yield from sentences.checks_of(run)
        yield from (f"- {line}" for line in sentences.findings_lines(run) if findings)
        yield from (f"! {warning}" for warning in sentences.warnings_of(run))
        yield ""


def measures_of(task: Task) -> tuple[str, ...]:
    """Overall, and then the question types or the dimensions."""
    return OVERALL, *MEASURES[task][:-1]


def headline_table(run: TaskRun) -> Table:
    """Overall and the question types or dimensions, with intervals, counts and how often each score was given."""
    result, perception = run.result, run.task.is_choice
    marks = ("0", "1", "2") if result.frequencies else ()
    columns = [
        Column("Measure"),
        Column("Accuracy, %" if perception else "Mean", task_kind(run.task), interval="95%", n="n"),
        *(Column(f"Scored {mark}", "count", only="sheet") for mark in marks),
    ]
    rows = []
    for measure in measures_of(run.task):
        counts = result.frequencies.get(measure, {})
        name = f"{measure} (0-8)" if measure == OVERALL and not perception else measure
        entries = (name, result.measures[measure], *map(counts.get, marks))
        rows.append(Row(entries, "bold" if measure == OVERALL else ""))
    if (clustered := result.clustered) is not None and clustered.interval is not None:
        # In text the line is worth its place only where samples share images.
        are_shared = clustered.n_clusters is not None and clustered.n_clusters < result.n
        line = ("Overall, clustered (n: clusters)", replace(clustered, n=clustered.n_clusters, few=False))
        rows.append(Row((*line, *[None] * len(marks)), only=None if are_shared else "sheet"))
    for name, group in result.kit_reading.items():
        line = (f"Overall, read by the kit's {name}", group.overall)
        rows.append(Row((*line, *[None] * len(marks)), only="sheet"))
    title = f"{run.model} on {result.dataset} ({TASK_TITLES[run.task]}{', baseline' if run.baseline else ''})"
    return Table(title, columns, rows)


def extractor_table(task: Task, extractor: ExtractorResult) -> Table:
    """Strict and lenient accuracy of a run whose open replies went to an extractor."""
    columns = (
        Column("Second stage"),
        Column("Strict, %", "percent", interval="95%"),
        Column("Lenient, %", "percent", interval="95%", n="n"),
    )
    strict, lenient = extractor.strict, extractor.lenient
    rows = [(name, strict[name].overall, lenient[name].overall) for name in measures_of(task)]
    return table("Strict (rules alone) and lenient (extractor too)", columns, rows, bold=OVERALL)


def contrast_tables(result: TaskResult) -> Iterator[Table]:
    """MedQ-Deg's drops from L0, and accuracy beside stated confidence; text leaves types and modalities out."""
    for name, contrasts in (("degradation_drop", result.drops), ("calibration", result.calibration)):
        rows, heads = [], list[str]()
        for axis, by_group in contrasts.items():
            only: Place | None = "sheet" if axis in ("degradation", MODALITY) else None
            for group, by_degree in by_group.items():
                for degree, of in by_degree.items():
                    heads = [measure.capitalize() for measure in of.measures][:2]
                    shown = f"{group}%" if axis == "stated confidence" else group
                    entries: Sequence[Entry] = (axis, shown, degree, *of.measures.values(), of.counts["n_clusters"])
                    rows.append(Row(entries, "bold" if axis == OVERALL else "", only))
        if finding := result.findings.get(name):
            degrees = Column("Degree", only=None if name == "degradation_drop" else "sheet")
            columns = [Column("Axis", only="sheet"), Column("Group"), degrees]
            columns += [Column(f"{head}, %", "percent", interval="95%", brief=True, top=100) for head in heads]
            columns += [Column("Difference, points", "points", interval="95%", n="n")]
            notes = [fact for fact in finding.details.facts.values() if isinstance(fact, str)]
            notes.append(f"Clusters share an image or its clean one; fewer than {FEW} of them are marked, too.")
            yield Table(finding.title, [*columns, Column("Clusters", "count", optional=1)], rows, notes)


def _group_columns(task: Task) -> list[Column]:
    perception = task.is_choice
    columns = [Column("Accuracy", "percent", interval="", top=100)]
    if not perception:
        titles = enumerate(DIMENSION_TITLES.values(), 1)
        columns = [Column(title, "score", optional=place, top=2) for place, title in titles]
        columns.append(Column(OVERALL, "score", interval=OVERALL, top=8))
    for head in _GROUP_COUNTS[perception]:
        columns.append(Column(head, "count", None, None, EXTRA, None if head == "Scored" else "sheet"))
    return [*columns, Column(FEW_HEAD, only="sheet")]


def _group_entries(task: Task, group: Group) -> list[Entry]:
    """One group's numbers under :func:`_group_columns`; what was not measured stays empty."""
    perception = task.is_choice
    numbers = [group.measures[measure] for measure in ((OVERALL,) if perception else MEASURES[task])]
    counts = [Item(group.counts.get(name), few=group.few) for name in _GROUP_COUNTS[perception].values()]
    return [*numbers, *counts, few_item(group.few)]


def count_item(cell: Cell) -> Item:
    """What a cell rests on."""
    return Item(cell.n, few=cell.few)


def modality_table(runs: Sequence[TaskRun]) -> Table:
    """A row a modality and, on a sheet, one for all; the question types of a perception run stand beside Overall."""
    if runs[0].task.is_choice:
        columns = [Column("Modality")]
        for place, name in enumerate([OVERALL, *_question_types(runs[0])]):
            columns.append(Column(name, "percent", name, f"{name} n", optional=place, brief=place > 0, top=100))
        columns.append(Column(FEW_HEAD, only="sheet"))
    else:
        columns = [Column("Task", only="sheet"), Column("Modality")]
        columns += _group_columns(runs[0].task)
    rows = []
    for run in runs:
        for name, group in run.result.groups.get(MODALITY, {}).items():
            rows.append(Row((*_modality_entries(run, name, group), *_marks(run))))
        rows.append(Row((*_modality_entries(run, ALL, _whole_run(run)), *_marks(run)), "bold", "sheet"))
    return Table("By modality", [*columns, *_MARKS], rows)


def _whole_run(run: TaskRun) -> Group:
    return Group(run.result.measures, run.result.counts, run.result.few)


def _modality_entries(run: TaskRun, name: str, group: Group) -> list[Entry]:
    if not run.task.is_choice:
        return [TASK_TITLES[run.task], name, *_group_entries(run.task, group)]
    groups = run.result.groups.get(measure_axis(run.task), {})
    by_type = (
        groups if name == ALL else run.result.crossed.get(f"{MODALITY}_x_{measure_axis(run.task)}", {}).get(name, {})
    )
    types = _question_types(run)
    cells = [group.overall, *(by_type[kind].overall if kind in by_type else Cell(None) for kind in types)]
    few = [kind for kind, cell in zip((OVERALL, *types), cells, strict=True) if cell.few]
    return [name, *cells, few_item(few, f": {', '.join(few)}")]


def _question_types(run: TaskRun) -> list[str]:
    """The benchmark's types and then those of the data, 'other' last."""
    names = [*MEASURES[run.task][:-1], *run.result.groups.get(measure_axis(run.task), {})]
    return sorted(dict.fromkeys(names), key=lambda name: name == OTHER_QUESTION_TYPE)


def _marks(run: TaskRun) -> list[Item]:
    return [Item("baseline", fill="warn") if run.baseline else Item("own"), comparable_item(run.result.comparable)]


_FILLS: Mapping[Comparable, Fill] = {Comparable.YES: "good", Comparable.UNVERIFIED: "warn", Comparable.NO: "bad"}


def comparable_item(comparable: Comparable) -> Item:
    """Whether something can be compared, in colour where that is not known, and where it cannot."""
    if comparable is Comparable.YES:
        return Item(comparable.value)
    return Item(comparable.value, fill=_FILLS[comparable], bold=comparable is Comparable.NO)


def sheet_mark(results: Sequence[TaskResult | Result], some: bool = False) -> str:
    """What each page of a workbook on these results says, and why, but of ``some``; '' where all can be compared."""
    worst = Comparable.worst(result.comparable for result in results)
    if worst is Comparable.YES:
        return ""
    if some:
        return f"Some runs are {worst.words} with published rows"
    why = dict.fromkeys(reason for result in results for reason in result.not_comparable_because)
    return f"{worst.words.capitalize()} with published rows: {'; '.join(why) or 'the result does not say why'}"


def _published_table(run: TaskRun) -> Table:
    """The run among the published rows, ranked where it is comparable, else below them."""
    kind, measures = task_kind(run.task), MEASURES[run.task]
    rows = []
    for standing in by_overall([own_row(run), *reference_rows(run.task)]):
        origin = {"own": "this run", "baseline": "this run, baseline"}.get(standing.kind, standing.kind)
        comparable = "reference" if standing.source else comparable_item(standing.comparable)
        values = [standing.values[measure] for measure in measures]
        entries = (standing.model, origin, standing.category, *values, comparable, standing.source)
        rows.append(Row(entries, look_of(standing)))
    heads = columns_of("Model", "Kind", "Category", *((measure, kind) for measure in measures), "Comparable", "Source")
    return Table("This run and the published rows (test split); only what is comparable is ranked", heads, rows)


def look_of(standing: Standing) -> Look:
    """How a line of a board looks: own lines stand out, and so do people."""
    return "own" if standing.source is None else "human" if standing.category == HUMAN else ""


def add_overview(book: Book, runs: Sequence[TaskRun]) -> None:
    """Write what the run is, its headline numbers and the published rows beside them, a block a task."""
    sheet = book.add_fixed(OVERVIEW)
    sheet.title(f"{benchmarks(run.task for run in runs)}: {runs[0].model}")
    _add_marks(sheet, runs)
    for name, value in _facts(runs):
        if value:
            sheet.append([Item(name, bold=True), value])
    for run in runs:
        result = run.result
        sheet.append()
        sheet.title(TASK_TITLES[run.task])
        sheet.add_table(headline_table(run), titled=False)
        if sentences.has_several_verdicts(run):
            sheet.sentence("Scored 0, 1, 2: the single verdicts of all rounds and judges.")
        sheet.sentence(f"Intervals: {result.interval_method}, {result.interval_level:.0%}.")
        sheet.append([f"Grey italics, here and on the other sheets: fewer than {FEW} samples."], "faint")
        if (extractor := result.extractor) is not None:
            sheet.append()
            sheet.add_table(extractor_table(run.task, extractor), titled=False)
            sheet.append(["Strict: the rules alone, and the official numbers. Lenient: an extractor's letters too."])
            sheet.append([Item("Extractor", bold=True), extractor.name])
            sheet.append(["Replies that the rules left open", extractor.n_open])
            sheet.append(["Put to the extractor", extractor.n_asked])
            sheet.append(["Letter found", extractor.n_read])
            sheet.append(["No answer, says the extractor", extractor.n_none])
            sheet.append(["No valid reply of the extractor", extractor.n_failed])
        counts = {title: result.counts[name] for name, title in COUNT_TITLES.items() if name in result.counts}
        counts |= {f"Unscored: {reason}": count for reason, count in result.unscored_reasons.items()}
        for head, numbers in (("Counts", counts), ("How the answer was read", result.rules)):
            if numbers:
                sheet.append()
                sheet.add_table(table("", (Column(head), Column("n", "count")), numbers.items()))
        sheet.append()
        if published_rows(run.task):
            sheet.add_table(_published_table(run))
    sheet.finish(freeze="A2", repeat_row=1, tall=len(runs))


def _add_marks(sheet: Sheet, runs: Sequence[TaskRun], brief: bool = False) -> None:
    """Write in colour that runs are baselines or why they are not comparable, in brief each sentence once."""
    if any(run.baseline for run in runs):
        sheet.sentence(BASELINE_NOTE, "warn")
    refused: dict[tuple[Comparable, tuple[str, ...]], list[TaskRun]] = {}
    for run in runs:
        if (comparable := run.result.comparable) is not Comparable.YES:
            refused.setdefault((comparable, run.result.not_comparable_because), []).append(run)
    for (comparable, reasons), alike in refused.items():
        words = f"{comparable.words.capitalize()} with the published rows"
        # A reason that holds for one of two tasks must not be read as one for both.
        of_all = brief or len(alike) == len(runs)
        tasks = "" if of_all else f"{', '.join(TASK_TITLES[run.task] for run in alike)}: "
        listed = [f"{words}:", *(f"   • {reason}" for reason in reasons)]
        if brief or len(reasons) < 2:
            listed = [f"{words}: {'; '.join(reasons) or 'the result does not say why'}"]
        for line in (tasks + listed[0], *listed[1:]):
            sheet.sentence(line, _FILLS[comparable])
    if not refused and not brief:
        sheet.sentence("Comparable with the published rows.", "good")


def _facts(runs: Sequence[TaskRun]) -> Iterator[tuple[str, str | None]]:
    settings = runs[0].settings
    judge = settings.judge
    yield "Model", runs[0].model
    yield "Dataset", ", ".join(dict.fromkeys(run.result.dataset for run in runs))
    yield "Judge", judge.name if judge else None
    yield "Judge served as", judge.served_as if judge else None
    yield "Protocol", settings.protocol.name
    yield "Prompt style", settings.prompt_style
    use = settings.model_use
    yield "Model's class", use.model_class if use else None
    yield "Images", use.images.in_words() if use and use.images else "how they were sent is not on record"
    yield "Date", settings.created
    yield "Prediction file", settings.prediction_file.name
    yield "Versions", ", ".join(f"{name} {version}" for name, version in settings.versions.items())
    for run in runs:
        yield f"Data sha256 ({run.task.value})", data_hash(run)
        yield f"Data revision ({run.task.value})", run.data.revision
        yield f"Image forms ({run.task.value})", image_forms(run)


def image_forms(run: TaskRun) -> str | None:
    """What kinds of stored images a task's samples show, most first; None where that is not on record."""
    return ", ".join(f"{words} ({n:,})" for words, n in run.data.image_forms.items()) or None


def add_groups(book: Book, runs: Sequence[TaskRun]) -> None:
    """Write the table of modalities and that of all other axes, each alone on its sheet; no sheet without rows."""
    freeze = "B2" if runs[0].task.is_choice else "C2"
    book.add_tables(BY_MODALITY, [replace(modality_table(runs), title="")], filters=True, freeze=freeze)
    heads = [*columns_of("Task", "Axis"), Column("Group"), *_group_columns(runs[0].task), *_MARKS]
    rows = [
        (TASK_TITLES[run.task], axis.replace("_", " "), name, *_group_entries(run.task, group), *_marks(run))
        for run in runs
        for axis, name, group in _groups(run)
    ]
    book.add_tables(BY_GROUP, [table("", heads, rows)], filters=True, freeze="D2")


def _groups(run: TaskRun) -> Iterator[tuple[str, str, Group]]:
    """Axis, name and numbers of the groups along every axis but modality, and along every pair of axes."""
    for axis, groups in run.result.groups.items():
        if axis != MODALITY:
            yield from ((axis, name, group) for name, group in groups.items())
    for axis, outers in run.result.crossed.items():
        if axis != TYPE_BY_MODALITY:
            for outer, groups in outers.items():
                yield from ((axis, f"{outer} / {inner}", group) for inner, group in groups.items())


def add_modalities(book: Book, runs: Sequence[TaskRun], rows: Sequence[SampleRow], images: ImageFiles) -> None:
    """Write a sheet a modality: its numbers by question type, severity and difficulty, then its samples. The first
    forty modalities get one, in the order of the results."""
    samples: dict[str, list[SampleRow]] = {name: [] for run in runs for name in run.result.groups.get(MODALITY, {})}
    for row in rows:
        samples.setdefault(row.sample.modality or UNKNOWN, []).append(row)
    for name in list(samples)[:_MAX_SHEETS]:
        sheet = book.add(name)
        sheet.title(f"{name}: {runs[0].model}")
        _add_marks(sheet, runs, brief=True)
        for run in runs:
            heads = [Column("Axis"), Column("Group"), *_group_columns(run.task)]
            groups = [
                (axis, of_axis, *_group_entries(run.task, group)) for axis, of_axis, group in _of_modality(run, name)
            ]
            if groups:
                sheet.append()
                # The first row is that of all samples.
                sheet.add_table(table(TASK_TITLES[run.task], heads, groups, bold=groups[0][0]))
        sheet.append()
        head = add_brief_samples(sheet, runs, samples[name], images) if samples[name] else 1
        sheet.finish(freeze="A2", repeat_row=head)


def _of_modality(run: TaskRun, modality: str) -> Iterator[tuple[str, str, Group]]:
    """Axis, group and numbers of the samples of one modality; data without modalities is all of one."""
    result = run.result
    is_split = MODALITY in result.groups
    whole = result.groups[MODALITY].get(modality) if is_split else _whole_run(run)
    if whole is None:
        return
    yield "All samples", ALL, whole
    for axis in ("question_type", "severity", "difficulty"):
        crossed = result.crossed.get(f"{MODALITY}_x_{axis}", {})
        for name, group in (crossed.get(modality, {}) if is_split else result.groups.get(axis, {})).items():
            yield axis.replace("_", " ").capitalize(), name, group


def matrix_table(
    title: str,
    labels: Sequence[Column],
    tops: Mapping[str, float],
    rows: Sequence[tuple[Sequence[Entry], Mapping[str, Cell]]],
) -> Table:
    """A matrix, values on the left and counts on the right; an absent cell stays empty. ``labels`` are the columns
    before the values, ``tops`` the end of each column's colour scale by its head, ``rows`` labels and cells by
    column."""
    names = list(tops)[:MAX_COLUMNS]
    if len(names) < len(tops) or len(rows) > _MAX_ROWS:
        title += " (the first groups of more)"
    values = (Column(name, "percent" if tops[name] > 10 else "score", top=tops[name]) for name in names)
    heads = [*labels, *values, *columns_of("", *((f"n: {name}", "count") for name in names))]
    lines = []
    for label, by_name in rows[:_MAX_ROWS]:
        cells = [by_name.get(name, Cell(None)) for name in names]
        lines.append((*label, *cells, None, *map(count_item, cells)))
    return table(title, heads, lines, bold=ALL)


def overall_by(run: TaskRun, axis: str) -> dict[str, Cell]:
    """Overall by the groups of one axis."""
    return {name: group.overall for name, group in run.result.groups.get(axis, {}).items()}


def unit_words(task: Task) -> str:
    """The unit of a task's Overall, for titles."""
    return "accuracy, %" if task.is_choice else "Overall, 0-8"


def add_matrices(book: Book, runs: Sequence[TaskRun]) -> None:
    """Write every crossing of two axes that a result has, and the dimensions by modality; else no sheet."""
    tables = (matrix for run in runs for matrix in _matrices(run))
    book.add_tables(MATRICES, tables, lines=[INTROS["matrices"]], freeze="B2")


def _matrices(run: TaskRun) -> Iterator[Table]:
    title, result = TASK_TITLES[run.task], run.result
    if not run.task.is_choice and (groups := result.groups.get(MODALITY)):
        tops = {measure: top_of(run.task, measure) for measure in MEASURES[run.task]}
        rows = [((name,), group.measures) for name, group in groups.items()]
        rows.append(((ALL,), result.measures))
        yield matrix_table(f"{title}: modality x dimension", [Column("Modality")], tops, rows)
    for axes, crossed in result.crossed.items():
        outer, _, inner = axes.partition("_x_")
        alone, totals = overall_by(run, outer), overall_by(run, inner)
        rows = [
            ((name,), {group: cells.overall for group, cells in groups.items()} | {ALL: alone.get(name, Cell(None))})
            for name, groups in crossed.items()
        ]
        rows.append(((ALL,), totals | {ALL: result.overall}))
        names = dict.fromkeys([*totals, *(name for groups in crossed.values() for name in groups)])
        tops = dict.fromkeys([*list(names)[: MAX_COLUMNS - 1], ALL], top_of(run.task))
        words = axes.replace("_x_", " x ").replace("_", " ")
        corner = Column(outer.replace("_", " ").capitalize())
        yield matrix_table(f"{title}: {words}, {unit_words(run.task)}", [corner], tops, rows)


def add_settings(book: Book, result: Result) -> None:
    """Write the result file's settings and scalars as dotted names with their values."""
    score = result_to_json(result)
    settings = dict(score)
    for key in PART_KEYS.values():
        # A part repeats what the whole run has in common; only what is its own is worth a line.
        settings |= {f"{key}.{name}": value for name, value in score.get(key, {}).items() if value != score.get(name)}
    names = [name for name in settings if name not in _LEFT_OUT and name.rpartition(".")[2] not in _LEFT_OUT]
    names.sort(key=lambda name: name != "settings")
    heads = (Column("Setting", width=60), Column("Value", "number", width=100, wrap=True))
    book.add_tables(SETTINGS, [table("", heads, dotted("", {name: settings[name] for name in names}))], freeze="A2")


def dotted(prefix: str, value: Any) -> Iterator[tuple[str, str | float | bool | None]]:
    """Dotted names with the values of JSON; a list of plain values is one text."""
    is_list = isinstance(value, (list, tuple))
    if is_list and any(isinstance(inner, Mapping) for inner in value):
        value = dict(enumerate(value, 1))
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from dotted(f"{prefix}.{name}" if prefix else str(name), inner)
    else:
        yield prefix, ", ".join(map(str, value)) if is_list else value
