"""What each figure shows: which groups, the runs' numbers as the tables have them, and the words around the drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from medqbench_vlmeval.benchmark import (
    DEGREES,
    HUMAN,
    MEASURES,
    MODALITIES,
    OVERALL,
    SEVERITIES,
    TASK_TITLES,
    UNKNOWN,
    Task,
    human_overall,
    measure_axis,
)
from medqbench_vlmeval.report.colours import places_of
from medqbench_vlmeval.report.run_tables import overall_by
from medqbench_vlmeval.report.standings import (
    COMPARABLE_MARKS,
    by_overall,
    data_hash,
    names_by,
    reference_rows,
    run_labels,
    shown_hash,
)
from medqbench_vlmeval.report.table import task_kind, value_words
from medqbench_vlmeval.report.text import LABELS, one_line
from medqbench_vlmeval.runs.result import MODALITY
from medqbench_vlmeval.types import FEW, Cell, Result, TaskResult, TaskRun

References = Mapping[str, Mapping[str, float]]
RADAR, DOTS, CURVE, HEATMAP, CONFUSION, PANELS = "radar", "dots", "curve", "heatmap", "confusion", "panels"
LINES = (RADAR, CURVE, PANELS)
PANELS_MOST = 24
MATRICES_MOST = 48
_TOGETHER = 5  # runs that can be told apart in one panel; of more no radar is drawn
# The least number of groups that make a figure, and how many fit beside each other, Overall aside.
_LEAST = {RADAR: 3, DOTS: 1, CURVE: 2, HEATMAP: 1}
_MOST = {RADAR: 12, HEATMAP: 9}
_MOST_WITH_N = (8, 4)  # of curves they stand in one line


@dataclass(frozen=True)
class DrawnRun:
    """One run in a figure. ``place`` is its number among all runs, which decides its look (``colours.look_of``)."""

    label: str
    place: int
    run: TaskRun
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The label with the mark of what is not comparable, or not verified as such."""
        mark = COMPARABLE_MARKS[self.run.result.comparable]
        # The mark never stands on a line of its own.
        return f"{self.label}\N{NO-BREAK SPACE}{mark}" if mark else self.label

    def cell(self, group: str) -> Cell:
        """A group's number; without a value where the run has none."""
        return self.cells.get(group, Cell(None))


@dataclass(frozen=True)
class Matrix:
    """Counts of right levels (rows) and chosen ones (columns), of one run and one scale."""

    run: DrawnRun
    scale: str
    levels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A figure of numbers by ``groups``; ``name`` is its file's stem, ``references`` are published numbers by label and
    group. That of confused levels has ``matrices`` instead, and its runs' share of mistakes under 'Overall'."""

    name: str
    kind: str
    task: Task
    what: str
    groups: tuple[str, ...]
    runs: tuple[DrawnRun, ...]
    references: References = field(default_factory=dict)
    left_out: int = 0  # groups that are not drawn
    matrices: tuple[Matrix, ...] = ()
    first: int = 0  # the place of the first group, of a panel in the whole

    @property
    def title(self) -> str:
        """One line: 'Perception: accuracy by question type'."""
        return f"{TASK_TITLES[self.task]}: {self.what}"

    @property
    def together(self) -> bool:
        """Whether the runs are few enough to be told apart in one panel."""
        return len(self.runs) <= _TOGETHER

    @property
    def counted(self) -> bool:
        """Whether each n stands in the drawing, beside the name of its group."""
        few = self.kind != PANELS and self.together and len(self.groups) <= _MOST_WITH_N[self.kind == CURVE]
        return self.kind not in LINES or few

    @property
    def has_few(self) -> bool:
        """Whether any number rests on few samples."""
        return any(cell.few for run in self.runs for cell in run.cells.values())

    def n(self, group: str) -> str:
        """The n of a group among the runs: '1,305', '10 to 20' or 'unknown'."""
        counts = sorted({n for run in self.runs if (n := run.cell(group).n) is not None})
        return " to ".join(f"{n:,}" for n in (*counts[:1], *counts[1:][-1:])) or "unknown"


def figures_of(results: Sequence[Result]) -> list[Figure]:
    """The figures that these results support, best run first, those that are not comparable below the others."""
    places = zip(places_of(results), results, strict=True)
    task_runs = [(place, run) for place, result in places for run in result.tasks]
    figures: list[Figure] = []
    for task in MEASURES:
        of_task = [(place, run) for place, run in task_runs if run.task is task]
        labels = run_labels([run for _, run in of_task])
        drawn = [DrawnRun(label, place, run) for label, (place, run) in zip(labels, of_task, strict=True)]
        figures += _figures_of_task(task, sorted(drawn, key=_rank))
    return figures


def _rank(drawn: DrawnRun) -> tuple[int, float, str]:
    overall = drawn.run.result.overall.value
    return (drawn.run.result.comparable.place, math.inf if overall is None else -overall, drawn.label)


def _figures_of_task(task: Task, runs: Sequence[DrawnRun]) -> Iterator[Figure]:
    perception = task.is_choice
    unit = "accuracy" if perception else "sum of the four means"
    names = {name for drawn in runs for name in drawn.run.result.groups.get(MODALITY, {})}
    others = sorted(names.difference(MODALITIES), key=lambda name: (name == UNKNOWN, name))
    modalities = [*(name for name in MODALITIES if name in names), *others]
    stem = measure_axis(task).replace("severity", "degree") if perception else "dimension"
    what = f"{'accuracy' if perception else 'mean'} by {stem.replace('_', ' ')}"
    is_deg = task is Task.DEGRADATION
    curve = f"degradation curve ({unit})" if is_deg else f"{unit} by severity"
    kinds: tuple[tuple[str, str, str, Sequence[str], str | None, References], ...] = (
        (stem, DOTS, what, MEASURES[task], None, _published(task)),
        ("radar_modality", RADAR, f"{unit} by modality", modalities, MODALITY, _human(task)),
        ("severity", CURVE, curve, DEGREES if is_deg else SEVERITIES, "severity", _human(task)),
        ("heatmap_modality", HEATMAP, f"{unit} by modality", [*modalities, OVERALL], MODALITY, {}),
    )
    for stem, kind, what, groups, axis, references in kinds:
        drawn = tuple(_with_cells(runs, groups, axis))
        if kind == RADAR and len(drawn) > _TOGETHER:
            continue
        measured = [group for group in groups if any(run.cell(group).value is not None for run in drawn)]
        if len([group for group in measured if axis is None or group != OVERALL]) >= _LEAST[kind]:
            sizes = {group: max(run.cell(group).n or 0 for run in drawn) for group in measured if group != OVERALL}
            largest = sorted(sizes, key=lambda group: -sizes[group])[: _MOST.get(kind)]
            chosen = tuple(group for group in measured if group in (*largest, OVERALL))
            yield Figure(
                f"{stem}_{task.value}", kind, task, what, chosen, drawn, references, len(measured) - len(chosen)
            )
    for kind, name in ((PANELS, "category"), (CURVE, "stated_confidence")):
        drawn = tuple(replace(run, cells=cells) for run in runs if (cells := _contrasted(run.run.result, kind)))
        groups = tuple(sorted({group for run in drawn for group in run.cells}))
        if 1 <= len(drawn) <= _TOGETHER and len(groups) <= PANELS_MOST * len(DEGREES):
            middles = {group: float(group.partition("-")[0]) + 5 for group in groups if kind == CURVE}
            what, references = f"accuracy by {name.replace('_', ' ')}", {"calibrated (the middle of a bin)": middles}
            references = references if middles else {}
            yield Figure(f"{name}_{task.value}", kind, task, what, groups, drawn, references)
    matrices = tuple(matrix for run in runs for matrix in _matrices(run))
    if matrices:
        mistaken = tuple({matrix.run.place: matrix.run for matrix in matrices}.values())
        name, what = f"confusion_{task.value}", "confused levels"
        yield Figure(name, CONFUSION, task, what, (), mistaken, matrices=matrices)


def _contrasted(result: TaskResult, kind: str) -> dict[str, Cell]:
    """Accuracy by category and degree ('noise L1'), of a curve by the bin of stated confidence."""
    if kind == CURVE:
        return {
            name: of[""].measures["accuracy"] for name, of in result.calibration.get("stated confidence", {}).items()
        }
    cells = {}
    for name, by_degree in result.drops.get("category", {}).items():
        for degree, group in by_degree.items():
            # At L0 what the last degree, both, is set beside.
            cells[f"{name} {DEGREES[0]}"] = group.measures[DEGREES[0]]
            cells |= {f"{name} {degree}": group.measures["accuracy"]} if degree in DEGREES else {}
    return cells


def _with_cells(runs: Sequence[DrawnRun], groups: Sequence[str], axis: str | None) -> Iterator[DrawnRun]:
    """The runs that have a number of any group."""
    for drawn in runs:
        result = drawn.run.result
        measured = {**overall_by(drawn.run, axis), OVERALL: result.overall} if axis else result.measures
        cells = {name: measured[name] for name in groups if name in measured}
        if any(cell.value is not None for cell in cells.values()):
            yield replace(drawn, cells=cells)


def _human(task: Task) -> References:
    overall = human_overall(task)
    # Nothing finer than their Overall is published.
    return {} if overall is None else {f"human experts, all questions, published: {overall:.2f}": {OVERALL: overall}}


def _published(task: Task) -> References:
    """The published row with the highest Overall, and the human experts."""
    rows = {row.category == HUMAN: row for row in reversed(by_overall(reference_rows(task)))}
    published = {}
    for is_human, row in sorted(rows.items()):
        label = "human experts, published" if is_human else f"{row.model}, highest published"
        published[label] = {measure: value for measure, value in row.values.items() if value is not None}
    return published


def _matrices(drawn: DrawnRun) -> Iterator[Matrix]:
    finding = drawn.run.result.findings.get("level_confusion")
    if finding is None:
        return
    with_share = replace(drawn, cells={OVERALL: finding.cell})
    for scale, rows in (finding.details.scales or {}).items():
        levels = tuple(dict.fromkeys([*rows, *(chosen for row in rows.values() for chosen in row)]))
        counts = tuple(tuple(rows.get(right, {}).get(chosen, 0) for chosen in levels) for right in levels)
        if any(map(any, counts)):
            yield Matrix(with_share, group_name(scale), tuple(map(group_name, levels)), counts)


def group_name(group: str) -> str:
    """A group's name as it may be drawn: a data file's text, on one line."""
    return one_line(group) or "unnamed"


_MARK = re.compile(r"(value|reference|count)-(\d+)-(\d+)(?:-(\d+))?")


def words_of(figure: Figure, mark: str) -> str | None:
    """What a mark of a drawing says when it is pointed at; None where it is none. ``mark`` is its id, with places from
    0: 'value-RUN-GROUP', 'reference-ROW-GROUP' or 'count-MATRIX-RIGHT-CHOSEN'."""
    if not (found := _MARK.fullmatch(mark)):
        return None
    first, second, third = (int(place or 0) for place in found.groups()[1:])
    if found[1] == "count":
        matrix = figure.matrices[first]
        right, chosen = matrix.levels[second], matrix.levels[third]
        of = f"{matrix.counts[second][third]:,} of {sum(matrix.counts[second]):,}"
        return f"{matrix.run.shown}, {matrix.scale}: {right} taken for {chosen}: {of}"
    group, kind = figure.groups[second], task_kind(figure.task)
    if found[1] == "reference":
        label, values = list(figure.references.items())[first]
        return f"{label}: {group} {value_words(values[group], kind)}"
    run = figure.runs[first]
    cell, words = run.cell(group), f"{run.shown}: {group_name(group)} "
    words += "no number" if cell.value is None else value_words(cell.value, kind)
    if cell.interval:
        words += f" ({' to '.join(value_words(end, kind) for end in cell.interval)})"
    return words if cell.n is None else f"{words}, n = {cell.n:,}"


def notes_of(figure: Figure) -> list[str]:
    """What must stand below the drawing itself: how to read its marks."""
    lines = figure.kind in LINES
    notes = [LABELS["how_to_read"][figure.kind]]
    if (more := len(figure.matrices) - MATRICES_MOST) > 0:
        notes.append(f"{more} more are in the workbooks")
    if lines and not figure.together:
        notes.append("grey: the other runs")
        if (more := len(figure.runs) - PANELS_MOST) > 0:
            notes.append(f"{more} more runs are in the heat map and the tables")
    if not figure.counted:
        notes.append(_samples(figure))
    notes += _left_out(figure)
    if figure.has_few:
        notes.append(f"{'hollow' if lines else '*'}: fewer than {FEW} samples")
    notes += [f"{mark}: {words}" for mark, words, _ in _by_mark(figure)]
    if len(_labels_by_data(figure.runs)) > 1:
        notes.append("the runs are of different data")
    return [_capital(note) for note in notes]


def caption_of(figure: Figure) -> str:
    """The whole caption: what is drawn, n, how intervals were made, references, what is not comparable and why."""
    if figure.task.is_choice:
        unit = "counts of answers" if figure.matrices else "percent of questions"
    else:
        unit = "counts of descriptions" if figure.matrices else "dimensions 0-2, their sum 0-8"
    sentences = [f"{figure.title} ({unit})", LABELS["how_to_read"][figure.kind]]
    methods = [run.run.result.interval_method for run in figure.runs]
    if figure.matrices:
        methods = [run.run.result.findings["level_confusion"].method for run in figure.runs]
        shares = dict.fromkeys(f"{run.label}: {_share(run)}" for run in figure.runs)
        sentences.append(f"Took one level for another: {'; '.join(shares)}")
    else:
        sentences += [_samples(figure), *_left_out(figure)]
    sentences += [f"Intervals: {method}" for method in dict.fromkeys(map(one_line, methods))]
    if figure.has_few:
        sentences.append(f"Numbers that rest on fewer than {FEW} samples are marked")
    if figure.references:
        sentences.append(f"References: {'; '.join(figure.references)}")
    if baselines := [run.label for run in figure.runs if run.run.baseline]:
        sentences.append(f"Baselines without weights: {', '.join(baselines)}")
    for mark, words, runs in _by_mark(figure):
        reasons = [("; ".join(map(one_line, run.run.result.not_comparable_because)), run.label) for run in runs]
        because = names_by((why or "the result does not say why", label) for why, label in reasons)
        sentences += [f"{mark} {_capital(words)}: {labels} ({why})" for why, labels in because.items()]
    if len(data := _labels_by_data(figure.runs)) > 1:
        groups = "; ".join(f"{labels}: {name}" for name, labels in data.items())
        sentences.append(f"The runs are of different data and not comparable with each other across it: {groups}")
    names = [(run.label, one_line(run.run.model)) for run in figure.runs]
    if shortened := [f"{label} is {name}" for label, name in names if name not in label]:
        sentences.append(f"Shortened names: {'; '.join(shortened)}")
    return " ".join(f"{_capital(sentence)}." for sentence in sentences)


def _by_mark(figure: Figure) -> Iterator[tuple[str, str, list[DrawnRun]]]:
    """The runs of a figure that carry each mark, with what it means."""
    for value, mark in COMPARABLE_MARKS.items():
        if runs := [run for run in figure.runs if mark and run.run.result.comparable is value]:
            yield mark, f"{value.words} with the published results", runs


def share_words(run: DrawnRun) -> Sequence[str]:
    """The share of mistakes of a run and its interval, in pieces that may stand on lines of their own."""
    cell = run.cell(OVERALL)
    if cell.value is None:
        return ["share unknown"]
    share = f"{cell.value:.1f}% mistaken"
    return [share] if cell.interval is None else [share, f"{cell.interval[0]:.1f} to {cell.interval[1]:.1f}"]


def _share(run: DrawnRun) -> str:
    share, *ends = share_words(run)
    n = run.cell(OVERALL).n
    return f"{share}{f' (95% interval {ends[0]})' if ends else ''} of {'unknown' if n is None else f'{n:,}'}"


def _samples(figure: Figure) -> str:
    return f"Samples: {', '.join(f'{group_name(group)} {figure.n(group)}' for group in figure.groups)}"


def _left_out(figure: Figure) -> list[str]:
    return [f"the largest groups are drawn, {figure.left_out} more are in the workbooks"] if figure.left_out else []


def _labels_by_data(runs: Sequence[DrawnRun]) -> dict[str, str]:
    data = [f"{drawn.run.result.dataset}, data {shown_hash(data_hash(drawn.run))}" for drawn in runs]
    return names_by(zip(map(one_line, data), (drawn.label for drawn in runs), strict=True))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
