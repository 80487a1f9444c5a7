"""The numbers behind each figure, out of ``_score.json`` alone: the cells that the tables show, with n and interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medqbench_vlmeval.benchmark import HUMAN, MODALITIES, SEVERITIES, Task, human_overall
from medqbench_vlmeval.report.standings import data_hash, reference_rows, run_labels
from medqbench_vlmeval.report.text import one_line
from medqbench_vlmeval.runs.result import (
    MEASURES,
    MODALITY,
    OVERALL,
    TASK_TITLES,
    Point,
    RunPart,
    cell_point,
    ends_of,
    mapping,
    measure_point,
    number,
    parts_of,
    text,
    whole,
)
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.scoring.summary import UNKNOWN

SEVERITY = "severity"
# What each kind of figure shows, and the least number of groups that make one.
RADAR, BARS, CURVE, HEATMAP, CONFUSION = "radar", "bars", "curve", "heatmap", "confusion"
TOGETHER = 4
_LEAST = {RADAR: 3, BARS: 1, CURVE: 2, HEATMAP: 1}
# More do not fit beside each other, Overall aside.
_MOST = {RADAR: 12, HEATMAP: 9}
_MOST_WITH_N = 8
_MOST_NAMED, _LONGEST_NAME = 6, 14
PANELS_MOST = 24
MATRICES_MOST = 48
_TASKS = (Task.PERCEPTION, Task.NO_REFERENCE, Task.COMPARATIVE)


@dataclass(frozen=True)
class Run:
    """One run in a figure. ``place`` is its number among all runs, which decides how it is drawn in every figure."""

    label: str
    place: int
    part: RunPart
    points: Mapping[str, Point]

    @property
    def shown(self) -> str:
        """The label with the mark of what is not comparable."""
        # The mark never stands on a line of its own.
        return self.label if self.part.comparable else f"{self.label}\N{NO-BREAK SPACE}†"


@dataclass(frozen=True)
class Reference:
    """Published numbers by group, to be drawn as lines."""

    label: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Plot:
    """A figure of numbers by ``groups``, a line, a polygon or bars a run; ``name`` is its file's stem.

    ``left_out`` is how many more groups there are, none of more samples than those that are drawn.
    """

    name: str
    kind: str
    task: Task
    what: str
    groups: tuple[str, ...]
    runs: tuple[Run, ...]
    references: tuple[Reference, ...] = ()
    left_out: int = 0

    @property
    def together(self) -> bool:
        """Whether the runs are few enough to be told apart in one panel."""
        return len(self.runs) <= TOGETHER

    @property
    def counted(self) -> bool:
        """Whether there is room for each group's n beside its name."""
        return self.kind in (BARS, HEATMAP) or (self.together and len(self.groups) <= _MOST_WITH_N)

    @property
    def numbered(self) -> bool:
        """Whether the groups' names do not fit around a small radar and are numbers instead."""
        if self.kind != RADAR or self.together:
            return False
        return len(self.groups) > _MOST_NAMED or any(len(group_name(group)) > _LONGEST_NAME for group in self.groups)

    def counts(self, group: str) -> tuple[int, int] | None:
        """The lowest and the highest n of a group among the runs; None where no run says it."""
        found = [one.points[group].n for one in self.runs if group in one.points]
        known = [n for n in found if n is not None]
        return (min(known), max(known)) if known else None


@dataclass(frozen=True)
class Matrix:
    """Counts of right levels (rows) and chosen ones (columns), of one run and one scale."""

    run: Run
    scale: str
    levels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        return sum(map(sum, self.counts))


@dataclass(frozen=True)
class Confusion:
    """The figure of levels taken for others. A run's points have the share of mistakes under 'Overall'."""

    name: str
    task: Task
    matrices: tuple[Matrix, ...]
    kind: str = CONFUSION

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, each once."""
        return tuple({matrix.run.place: matrix.run for matrix in self.matrices}.values())


Figure = Plot | Confusion


def figures_of(scores: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """The figures that these results support, best run first, those that are not comparable below the others.

    Raises:
        BadInput: one of them is not a result of this package.
    """
    by_task: dict[Task, list[RunPart]] = {}
    for score in scores:
        for part in parts_of(score):
            by_task.setdefault(part.task, []).append(part)
    labelled = {task: list(zip(run_labels(parts), parts, strict=True)) for task, parts in by_task.items()}
    places: dict[str, int] = {}
    for of_task in labelled.values():
        for label, _ in of_task:
            places.setdefault(label, len(places))
    found: list[Figure] = []
    for task in _TASKS:
        runs = sorted(labelled.get(task, ()), key=_rank)
        if runs:
            found += _of_task(task, [(label, places[label], part) for label, part in runs])
    return found


def differing_data(runs: Iterable[Run]) -> dict[str, list[str]]:
    """The runs' labels by data, where the runs are of different data; empty where all are of the same."""
    found: dict[str, list[str]] = {}
    for run in runs:
        known = data_hash(run.part)
        data = f"{run.part.dataset}, data {known.removeprefix('samples:')[:8]}" if known else run.part.dataset
        found.setdefault(data, []).append(run.label)
    return found if len(found) > 1 else {}


def _rank(run: tuple[str, RunPart]) -> tuple[bool, float, str]:
    label, part = run
    overall = part.values.get(OVERALL)
    return (not part.comparable, math.inf if overall is None else -overall, label)


def _of_task(task: Task, runs: Sequence[tuple[str, int, RunPart]]) -> list[Figure]:
    def with_points(groups: Sequence[str], axis: str | None) -> tuple[Run, ...]:
        found = []
        for label, place, part in runs:
            cells = mapping(part.groups.get(axis)) if axis else {}
            points = {
                group: measure_point(part, group)
                if axis is None or group == OVERALL
                else cell_point(task, cells[group])
                for group in groups
                if axis is None or group == OVERALL or isinstance(cells.get(group), Mapping)
            }
            if any(point.value is not None for point in points.values()):
                found.append(Run(label, place, part, points))
        return tuple(found)

    unit = "accuracy" if task is Task.PERCEPTION else "sum of the four means"
    modalities = _groups(runs, MODALITY, MODALITIES)
    severities = [one for one in _groups(runs, SEVERITY, SEVERITIES) if one in SEVERITIES]
    bars = ("bars_question_type", "accuracy by question type")
    if task is not Task.PERCEPTION:
        bars = ("bars_dimension", "mean by dimension")
    wanted: list[tuple[str, str, str, Sequence[str], str | None, tuple[Reference, ...]]] = [
        ("radar_modality", RADAR, f"{unit} by modality", modalities, MODALITY, _human(task, modalities)),
        (bars[0], BARS, bars[1], MEASURES[task], None, _published(task)),
        ("severity", CURVE, f"{unit} by severity", severities, SEVERITY, _human(task, severities)),
        ("heatmap_modality", HEATMAP, f"{unit} by modality", (*modalities, OVERALL), MODALITY, ()),
    ]
    found: list[Figure] = []
    for stem, kind, what, groups, axis, references in wanted:
        drawn = with_points(groups, axis)
        shown = [group for group in groups if any(_value(run, group) is not None for run in drawn)]
        of_groups = [group for group in shown if axis is None or group != OVERALL]
        if len(of_groups) >= _LEAST[kind]:
            shown, left_out = _largest(shown, drawn, _MOST.get(kind))
            name = f"{stem}_{task.value}"
            found.append(Plot(name, kind, task, what, tuple(shown), drawn, references, left_out))
    matrices = [
        matrix
        for label, place, part in runs
        for matrix in _matrices(Run(label, place, part, {OVERALL: _mistaken(part)}))
    ]
    if matrices:
        found.append(Confusion(f"confusion_{task.value}", task, tuple(matrices)))
    return found


def _largest(groups: list[str], runs: Sequence[Run], most: int | None) -> tuple[list[str], int]:
    """The groups of the most samples in their order, Overall aside, and how many are left out."""
    some = [group for group in groups if group != OVERALL]
    if most is None or len(some) <= most:
        return groups, 0
    sizes = {group: max((run.points[group].n or 0 for run in runs if group in run.points), default=0) for group in some}
    kept = {*sorted(some, key=lambda group: -sizes[group])[:most], OVERALL}
    return [group for group in groups if group in kept], len(some) - most


def group_name(group: str) -> str:
    """A group's name as it may be drawn: a data file's text, on one line."""
    return one_line(group) or "unnamed"


def _value(run: Run, group: str) -> float | None:
    return run.points[group].value if group in run.points else None


def _groups(runs: Sequence[tuple[str, int, RunPart]], axis: str, order: Sequence[str]) -> list[str]:
    names = {str(name) for _, _, part in runs for name in mapping(part.groups.get(axis))}
    places = {name: place for place, name in enumerate(order)}
    return sorted(names, key=lambda name: (name == UNKNOWN, places.get(name, len(order)), name))


def _human(task: Task, groups: Sequence[str]) -> tuple[Reference, ...]:
    """The human experts' Overall over all groups: nothing finer is published."""
    found = human_overall(task)
    if found is None:
        return ()
    return (Reference(f"human experts, all questions, published: {found:.2f}", dict.fromkeys(groups, found)),)


def _published(task: Task) -> tuple[Reference, ...]:
    """The published row with the highest Overall, and the human experts."""
    found = []
    rows = reference_rows(task)
    models = [row for row in rows if row.category != HUMAN and row.values.get(OVERALL) is not None]
    if models:
        best = max(models, key=lambda row: row.values[OVERALL] or 0.0)
        known = {measure: value for measure, value in best.values.items() if value is not None}
        found.append(Reference(f"{best.model}, highest published", known))
    for row in rows:
        if row.category == HUMAN:
            known = {measure: value for measure, value in row.values.items() if value is not None}
            found.append(Reference("human experts, published", known))
    return tuple(found)


def level_confusion(part: RunPart) -> Mapping[str, Any]:
    """The finding on levels taken for others; empty where the result has none."""
    return mapping(mapping(part.score.get("findings")).get("level_confusion"))


def _mistaken(part: RunPart) -> Point:
    found = level_confusion(part)
    ends = ends_of((found.get("low"), found.get("high")))
    return Point(number(found.get("value")), ends, whole(found.get("n")), found.get("few") is True)


def _matrices(run: Run) -> Iterable[Matrix]:
    for scale, table in mapping(mapping(level_confusion(run.part).get("details")).get("scales")).items():
        rows = {str(right): mapping(row) for right, row in mapping(table).items()}
        levels = tuple(dict.fromkeys([*rows, *(str(chosen) for row in rows.values() for chosen in row)]))
        counts = tuple(tuple(whole(rows.get(right, {}).get(chosen)) or 0 for chosen in levels) for right in levels)
        if any(map(any, counts)):
            yield Matrix(run, group_name(str(scale)), tuple(map(group_name, levels)), counts)


# What a figure shows, in sentences: for its caption, its description for readers, and the notes below it.


_NOT_COMPARABLE = "not comparable with the published results"


def title_of(figure: Figure) -> str:
    """One line: 'Perception: accuracy by question type'."""
    what = "levels taken for others" if isinstance(figure, Confusion) else figure.what
    return f"{TASK_TITLES[figure.task]}: {what}"


def unit_of(figure: Figure) -> str:
    """What the numbers are."""
    if isinstance(figure, Confusion):
        return "counts of answers" if figure.task is Task.PERCEPTION else "counts of descriptions"
    return "percent of questions" if figure.task is Task.PERCEPTION else "dimensions 0-2, their sum 0-8"


def notes_of(figure: Figure) -> list[str]:
    """What must stand below the drawing itself: how to read its marks."""
    notes = [_how_to_read(figure)]
    if isinstance(figure, Plot) and figure.kind in (RADAR, CURVE) and not figure.together:
        notes.append("grey: the other runs")
        if len(figure.runs) > PANELS_MOST:
            notes.append(f"{len(figure.runs) - PANELS_MOST} more runs are in the heat map and the tables")
    if isinstance(figure, Confusion) and len(figure.matrices) > MATRICES_MOST:
        notes.append(f"{len(figure.matrices) - MATRICES_MOST} more are in the workbooks")
    if isinstance(figure, Plot) and not figure.counted:
        notes.append(_counts(figure, figure.numbered))
    if isinstance(figure, Plot) and figure.left_out:
        notes.append(_left_out(figure))
    if any(point.few for run in figure.runs for point in run.points.values()):
        mark = {RADAR: "hollow", CURVE: "hollow"}.get(figure.kind, "*")
        notes.append(f"{mark}: fewer than {FEW} samples")
    if any(not run.part.comparable for run in figure.runs):
        notes.append(f"†: {_NOT_COMPARABLE}")
    if differing_data(figure.runs):
        notes.append("the runs are of different data")
    return [_capital(note) for note in notes]


def caption_of(figure: Figure) -> str:
    """The whole caption: what is drawn, n, how intervals were made, references, what is not comparable and why."""
    sentences = [f"{title_of(figure)} ({unit_of(figure)}).", f"{_capital(_how_to_read(figure))}."]
    sentences.append(f"{_counts(figure)}.")
    if isinstance(figure, Plot) and figure.left_out:
        sentences.append(f"{_capital(_left_out(figure))}.")
    methods = dict.fromkeys(_method(figure, run) for run in figure.runs)
    sentences += [f"Intervals: {method}." for method in methods if method]
    if any(point.few for run in figure.runs for point in run.points.values()):
        sentences.append(f"Numbers that rest on fewer than {FEW} samples are marked.")
    if isinstance(figure, Plot) and figure.references:
        sentences.append(
            f"Lines: {'; '.join(reference.label for reference in figure.references)} (of the published test split)."
        )
    if baselines := [run.label for run in figure.runs if run.part.baseline]:
        sentences.append(f"Baselines without weights: {', '.join(baselines)}.")
    reasons: dict[str, list[str]] = {}
    for run in figure.runs:
        if not run.part.comparable:
            because = "; ".join(map(one_line, run.part.reasons)) or "the result does not say why"
            reasons.setdefault(because, []).append(run.label)
    sentences += [
        f"† {_capital(_NOT_COMPARABLE)}: {', '.join(labels)} ({because})." for because, labels in reasons.items()
    ]
    apart = differing_data(figure.runs)
    if apart:
        groups = "; ".join(f"{', '.join(labels)}: {one_line(data)}" for data, labels in apart.items())
        sentences.append(f"The runs are of different data and not comparable with each other across it: {groups}.")
    renamed = [f"{run.label} is {name}" for run in figure.runs if (name := one_line(run.part.model)) not in run.label]
    if renamed:
        sentences.append(f"Shortened names: {'; '.join(renamed)}.")
    return " ".join(sentences)


def _how_to_read(figure: Figure) -> str:
    if isinstance(figure, Confusion):
        return "rows: right level, columns: chosen level; shade: share of the row"
    return {
        RADAR: "bars on the spokes: 95% intervals, where there is one",
        BARS: "whiskers: 95% intervals, where there is one",
        CURVE: "whiskers: 95% intervals, where there is one",
        HEATMAP: "below each number: its 95% interval, where there is one",
    }[figure.kind]


def _counts(figure: Figure, numbered: bool = False) -> str:
    if isinstance(figure, Confusion):
        shares = dict.fromkeys(f"{run.label}: {_share(run)}" for run in figure.runs)
        return f"Took one level for another: {'; '.join(shares)}"
    counts = [f"{group_name(group)} {count_words(figure.counts(group))}" for group in figure.groups]
    if numbered:
        return f"Spokes with samples: {', '.join(f'({at}) {count}' for at, count in enumerate(counts, 1))}"
    return f"Samples: {', '.join(counts)}"


def _left_out(plot: Plot) -> str:
    return f"the largest groups are drawn, {plot.left_out} more are in the workbooks"


def count_words(counts: tuple[int, int] | None) -> str:
    """'1,305', '10 to 20' or 'unknown'."""
    if counts is None:
        return "unknown"
    low, high = counts
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def share_words(run: Run) -> Sequence[str]:
    """The share of mistakes of a run and its interval, in pieces that may stand on lines of their own."""
    point = run.points.get("Overall")
    if point is None or point.value is None:
        return ["share unknown"]
    pieces = [f"{point.value:.1f}% mistaken"]
    if point.ends:
        pieces.append(f"{point.ends[0]:.1f} to {point.ends[1]:.1f}")
    return pieces


def _share(run: Run) -> str:
    share, *ends = share_words(run)
    of = run.points["Overall"].n
    return f"{share}{f' (95% interval {ends[0]})' if ends else ''} of {'unknown' if of is None else f'{of:,}'}"


def _method(figure: Figure, run: Run) -> str | None:
    said = level_confusion(run.part) if isinstance(figure, Confusion) else mapping(run.part.score.get("intervals"))
    found = text(said.get("method"))
    return one_line(found) if found else None


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
