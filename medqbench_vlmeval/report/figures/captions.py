"""What a figure shows, in sentences: for its caption, its description for readers, and the notes below it."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.report.figures.plots import (
    BARS,
    CURVE,
    HEATMAP,
    RADAR,
    Confusion,
    Figure,
    Plot,
    Run,
    differing_data,
    group_name,
    level_confusion,
)
from medqbench_vlmeval.report.labels import one_line
from medqbench_vlmeval.report.runs import TASK_TITLES, mapping, text
from medqbench_vlmeval.scoring.intervals import FEW
from medqbench_vlmeval.tasks import Task

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
    notes = [_drawn(figure)]
    if isinstance(figure, Plot) and figure.kind in (RADAR, CURVE) and not figure.together:
        notes.append("grey: the other runs")
    if isinstance(figure, Plot) and not figure.counted:
        notes.append(_counts(figure))
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
    sentences = [f"{title_of(figure)} ({unit_of(figure)}).", f"{_capital(_drawn(figure))}."]
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


def _drawn(figure: Figure) -> str:
    if isinstance(figure, Confusion):
        return "rows: right level, columns: chosen level; shade: share of the row"
    return {
        RADAR: "bars on the spokes: 95% intervals, where there is one",
        BARS: "whiskers: 95% intervals, where there is one",
        CURVE: "whiskers: 95% intervals, where there is one",
        HEATMAP: "below each number: its 95% interval, where there is one",
    }[figure.kind]


def _counts(figure: Figure) -> str:
    if isinstance(figure, Confusion):
        found = dict.fromkeys(f"{run.label}: {_share(run)}" for run in figure.runs)
        return f"Took one level for another: {'; '.join(found)}"
    counts = (f"{group_name(group)} {count_words(figure.counts(group))}" for group in figure.groups)
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
