"""Findings that compare groups: human experts, severity, modality, scope, source, difficulty, the four dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

from medqbench_vlmeval.benchmark import DIFFICULTIES, DIMENSION_TITLES, PUBLISHED_SIZES, SCOPES, Task, human_overall
from medqbench_vlmeval.scoring.findings.finding import (
    PERCENT,
    POINTS,
    SCORE,
    TOO_FEW_IMAGES,
    Measure,
    amount,
    excludes_zero,
    interval_words,
    no_claim,
    on_one_line,
)
from medqbench_vlmeval.scoring.intervals import Interval, clipped, mean_interval, share_cell
from medqbench_vlmeval.types import FEW, Details, Finding

_MILD, _OTHERS = "mild", ("none", "severe")
# Axis, title and the two groups that are compared; without names the best group and the worst.
_COMPARISONS: Mapping[str, tuple[str, str, tuple[str, str] | None]] = {
    "modality_gap": ("modality", "Modality gap", None),
    "worst_category": ("category", "Drop by category", None),
    "image_source": ("source", "Image source", None),
    "general_vs_specific": ("scope", "General against modality-specific questions", SCOPES),
    "coarse_vs_fine": ("difficulty", "Coarse against fine pairs", DIFFICULTIES),
}


def gap_to_human(data: Measure) -> Finding | str:
    """Overall less the human experts' published Overall, which is taken as a fixed number."""
    human = human_overall(data.samples[0].task) if data.unit == PERCENT else None
    overall = data.cell(range(len(data.samples)))
    if human is None or overall.value is None or overall.interval is None:
        return "the published tables have human experts for perception only"
    gap, interval = overall.value - human, _less(overall.interval, human)
    n_clusters = len(set(data.clusters))
    by_image = clipped(mean_interval(data.columns[0], data.clusters), 0, 100)
    if by_image is None and overall.value in (0, 100) and n_clusters > 1:
        # All right or all wrong: no spread to estimate, but each image is one trial at the least.
        by_image = share_cell(n_clusters if overall.value else 0, n_clusters).interval
    clustered = by_image and _less(by_image, human)
    value, ends = amount(overall.value, PERCENT), interval_words(interval, POINTS)
    # Wilson's interval does not know that questions on one image are alike.
    if excludes_zero(interval) and (n_clusters == overall.n or excludes_zero(clustered)):
        side = "below" if gap < 0 else "above"
        statement = f"Overall, {value}, is {amount(abs(gap), POINTS)} {side} the {human:.2f}% of human experts ({ends})"
    else:
        if excludes_zero(interval):
            by_all = interval_words(clustered, POINTS, TOO_FEW_IMAGES)
            ends = f"{ends} if all questions were independent, {by_all} with those on one image taken together"
        statement = (
            f"No evidence of a gap to human experts: Overall is {value}, theirs {human:.2f}% (difference: {ends})"
        )
    is_test_split = len(data.samples) == PUBLISHED_SIZES[Task.PERCEPTION]
    elsewhere = "" if is_test_split else "; theirs is of the test split, which these samples are not"
    note = "The human figure is taken as fixed: its own uncertainty is not published."
    facts: dict[str, str | float | None] = {"overall": overall.value, "human": human, "note": note}
    return Finding(
        "Gap to human experts",
        f"{statement}{elsewhere}.",
        POINTS,
        replace(overall, value=gap, low=interval[0], high=interval[1], few=n_clusters < FEW),
        "Wilson score interval of Overall less the published figure",
        Details(clustered=clustered, n_clusters=n_clusters, facts=facts),
    )


def _less(interval: Interval, value: float) -> Interval:
    return interval[0] - value, interval[1] - value


def severity_profile(data: Measure) -> Finding | str:
    """Mild degradation less none and severe taken together; the profile is in the details."""
    groups = data.groups("severity")
    if isinstance(groups, str):
        return groups
    mild = groups.get(_MILD, [])
    others = [i for name in _OTHERS for i in groups.get(name, [])]
    for positions, name in ((mild, "mild"), (others, "no or severe")):
        if (n := len(data.complete(positions))) < FEW:
            return f"only {n} samples with {name} degradation"
    gap, cells = data.gap(mild, others), data.cells(groups)
    profile = ", ".join(
        f"{on_one_line(name)} {amount(cell.value, data.unit)}" for name, cell in cells.items() if cell.value is not None
    )
    compared = gap.claim(
        f"Mild degradation is {gap.size} {'lower' if gap.value < 0 else 'higher'} than none and severe together",
        f"mild degradation differs from none and severe together: a difference of {amount(gap.value, gap.unit)}",
    )
    statement = f"{compared} ({gap.words}). By severity: {profile}."
    n = len(data.complete([*mild, *others]))
    return gap.finding("Severity profile", statement, n, Details(groups=cells, compared=((_MILD,), _OTHERS)))


def compared(data: Measure, name: str) -> Finding | str:
    """A finding that compares two groups on an axis, by its name: the first group less the second."""
    axis, title, names = _COMPARISONS[name]
    groups = data.groups(axis)
    if isinstance(groups, str):
        return groups
    cells, choices = data.cells(groups), 1
    values = {name: cell.value or 0.0 for name, cell in cells.items() if (cell.n or 0) >= FEW}
    if names is None:
        if len(values) < 2:
            return f"fewer than two groups of {axis} with {FEW} samples or more"
        # Ties go to the name that comes first, so that the order of rows decides nothing.
        by_value = sorted(values, key=lambda name: (-values[name], name))
        names, choices = (by_value[0], by_value[-1]), math.comb(len(values), 2)
    elif small := [name for name in names if name not in values]:
        return f"fewer than {FEW} {' and '.join(small)} samples"
    gap = data.gap(groups[names[0]], groups[names[1]], choices)
    first, second = (f"{on_one_line(name)} ({amount(cells[name].value, data.unit)})" for name in names)
    statement = gap.claim(
        f"{first} is {gap.size} {'above' if gap.value > 0 else 'below'} {second}",
        f"{first} and {second} differ: a difference of {amount(gap.value, gap.unit)}",
    )
    n = sum(cells[name].n or 0 for name in names)
    details = Details(groups=cells, compared=tuple((name,) for name in names))
    return gap.finding(title, f"{statement}; {gap.words}.", n, details)


def weakest_dimension(data: Measure) -> Finding | str:
    """The dimension with the lowest mean, less the next lowest; both from the same answers. The interval needs no
    widening for the choice: of equally weak dimensions the two lowest lie closer together than two named beforehand."""
    scores = dict(zip(DIMENSION_TITLES.values(), data.columns, strict=True))
    known = {title: [score for score in column if score is not None] for title, column in scores.items()}
    n, n_known = len(data.clusters), min(map(len, known.values()))
    if n_known < FEW:
        return f"fewer than {FEW} scores on one of the four dimensions"
    means = {title: fmean(column) for title, column in known.items()}
    first, second = sorted(means, key=lambda title: means[title])[:2]
    # One below the other the two columns are two groups of one, whose samples lie in the same clusters.
    both = Measure([[*scores[first], *scores[second]]], SCORE, [*data.clusters, *data.clusters])
    gap = both.gap(range(n), range(n, 2 * n))
    low, next_low = amount(means[first], SCORE), amount(means[second], SCORE)
    if gap.is_proven:
        statement = f"{first} is the weakest dimension: {low}, and {second} next with {next_low}"
    else:
        doubt = no_claim(gap.value, gap.interval).replace("No", "there is no").replace("It", "it")
        statement = f"{first} has the lowest mean, {low}, but {doubt} it is lower than {second}, {next_low}"
    pairs = any(sample.task is Task.COMPARATIVE for sample in data.samples)
    note = "Of pairs, Quality Accuracy is 0 or 2 only; the other dimensions have 1 as well."
    details = Details(
        groups={title: Measure([column], SCORE, data.clusters).cell(range(n)) for title, column in scores.items()},
        compared=((first,), (second,)),
        facts={"note": note} if pairs else {},
    )
    return gap.finding("Weakest dimension", f"{statement} (difference: {gap.words}).", n_known, details)
