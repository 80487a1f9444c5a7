"""Findings that compare groups of samples: severity, modality, scope, source, difficulty, and human experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from medqbench_vlmeval.benchmark import (
    DIFFICULTIES,
    DIMENSION_TITLES,
    DIMENSIONS,
    PUBLISHED_SIZES,
    SCOPES,
    Task,
    human_overall,
)
from medqbench_vlmeval.scoring.findings.finding import (
    PERCENT,
    POINTS,
    SCORE,
    TOO_FEW_IMAGES,
    Finding,
    Gap,
    Measure,
    NotFound,
    amount,
    cell,
    gap_between,
    gap_finding,
    interval_words,
    is_apart,
    means_apart,
    shown,
    unproven,
)
from medqbench_vlmeval.scoring.intervals import FEW, clipped, mean_interval, wilson_percent
from medqbench_vlmeval.scoring.summary import UNKNOWN, positions_by
from medqbench_vlmeval.types import Judged, Sample, scores_of

_MILD, _OTHERS = "mild", ("none", "severe")


@dataclass(frozen=True)
class Data:
    """What the findings on groups are made from; the sequences are parallel over samples."""

    samples: Sequence[Sample]
    measure: Measure
    clusters: Sequence[int]


def gap_to_human(data: Data) -> Finding | NotFound:
    """Overall less the human experts' published Overall, which is taken as a fixed number."""
    tasks = {sample.task for sample in data.samples}
    human = human_overall(Task.PERCEPTION) if tasks == {Task.PERCEPTION} else None
    if human is None:
        return NotFound("the published tables have human experts for perception only")
    found = cell(data.measure, range(len(data.samples)), data.clusters)
    gap, low, high = (found[name] - human for name in ("value", "low", "high"))
    n_clusters = len(set(data.clusters))
    by_image = clipped(mean_interval(data.measure.columns[0], data.clusters), 0, 100)
    if by_image is None and found["value"] in (0, 100) and n_clusters > 1:
        # All right or all wrong: no spread to estimate, but each image is one trial at the least.
        by_image = wilson_percent(n_clusters if found["value"] else 0, n_clusters)
    clustered = None if by_image is None else [end - human for end in by_image]
    ends = interval_words(low, high, POINTS)
    apart, alone = is_apart(low, high), n_clusters == found["n"]
    # Questions on one image are alike, which Wilson's interval does not know.
    if apart and (alone or (clustered is not None and is_apart(*clustered))):
        side = "below" if gap < 0 else "above"
        said = (
            f"Overall, {amount(found['value'], PERCENT)}, is {amount(abs(gap), POINTS)} {side} the {human:.2f}% of "
            f"human experts ({ends})"
        )
    else:
        if apart:
            least, most = clustered or (None, None)
            by_all = interval_words(least, most, POINTS, why=TOO_FEW_IMAGES)
            ends = f"{ends} if all questions were independent, {by_all} with those on one image taken together"
        said = (
            f"No evidence of a gap to human experts: Overall is {amount(found['value'], PERCENT)}, theirs "
            f"{human:.2f}% (difference: {ends})"
        )
    is_test_split = len(data.samples) == PUBLISHED_SIZES[Task.PERCEPTION]
    return Finding(
        "Gap to human experts",
        f"{said}." if is_test_split else f"{said}; theirs is of the test split, which these samples are not.",
        gap,
        POINTS,
        low,
        high,
        found["n"],
        "Wilson score interval of Overall less the published figure",
        {
            "overall": found["value"],
            "human": human,
            "clustered": clustered,
            "n_clusters": n_clusters,
            "note": "The human figure is taken as fixed: its own uncertainty is not published.",
        },
        units=n_clusters,
    )


def severity_profile(data: Data) -> Finding | NotFound:
    """Mild degradation less none and severe taken together; the profile is in the details."""
    found = _known(data, "severity")
    if isinstance(found, NotFound):
        return found
    mild = found.get(_MILD, [])
    others = [i for name in _OTHERS for i in found.get(name, [])]
    for positions, name in ((mild, "mild"), (others, "no or severe")):
        if (n := len(data.measure.complete(positions))) < FEW:
            return NotFound(f"only {n} samples with {name} degradation")
    gap = gap_between(data.measure, mild, others, data.clusters)
    cells = {name: cell(data.measure, positions, data.clusters) for name, positions in found.items()}
    unit = data.measure.unit
    profile = ", ".join(
        f"{shown(name)} {amount(one['value'], unit)}" for name, one in cells.items() if one["value"] is not None
    )
    size, ends = amount(abs(gap.value), data.measure.gap_unit), _ends(gap, data.measure)
    if is_apart(gap.low, gap.high):
        side = "lower" if gap.value < 0 else "higher"
        said = f"Mild degradation is {size} {side} than none and severe together ({ends}). By severity: {profile}."
    else:
        said = (
            f"{unproven(gap.value, gap.low)} mild degradation differs from none and severe together: "
            f"{_signed(gap, data.measure)} ({ends}). By severity: {profile}."
        )
    details = {"groups": cells, "compared": [[_MILD], list(_OTHERS)]}
    return _finding("Severity profile", said, gap, data, [*mild, *others], details)


def modality_gap(data: Data) -> Finding | NotFound:
    """The best modality less the worst."""
    return _best_and_worst(data, "modality", "Modality gap")


def image_source(data: Data) -> Finding | NotFound:
    """The best image source less the worst; the sources are named as the data names them."""
    return _best_and_worst(data, "source", "Image source")


def general_vs_specific(data: Data) -> Finding | NotFound:
    """General questions less modality-specific ones."""
    return _pair(data, "scope", SCOPES, "General against modality-specific questions")


def coarse_vs_fine(data: Data) -> Finding | NotFound:
    """Coarse-grained pairs less fine-grained ones."""
    return _pair(data, "difficulty", DIFFICULTIES, "Coarse against fine pairs")


def _known(data: Data, axis: str) -> dict[str, list[int]] | NotFound:
    found = positions_by(axis, data.samples)
    found.pop(UNKNOWN, None)
    return found or NotFound(f"the data does not say the {axis}")


def _best_and_worst(data: Data, axis: str, title: str) -> Finding | NotFound:
    found = _known(data, axis)
    if isinstance(found, NotFound):
        return found
    cells = {name: cell(data.measure, positions, data.clusters) for name, positions in found.items()}
    large = [name for name, one in cells.items() if one["n"] >= FEW]
    if len(large) < 2:
        return NotFound(f"fewer than two groups of {axis} with {FEW} samples or more")
    # Ties go to the name that comes first, so that the order of rows decides nothing.
    ranked = sorted(large, key=lambda name: (-cells[name]["value"], name))
    best, worst = ranked[0], ranked[-1]
    pairs = len(list(combinations(large, 2)))
    gap = gap_between(data.measure, found[best], found[worst], data.clusters, pairs)
    return _compared(title, gap, data, {name: found[name] for name in (best, worst)}, cells)


def _pair(data: Data, axis: str, names: tuple[str, str], title: str) -> Finding | NotFound:
    found = _known(data, axis)
    if isinstance(found, NotFound):
        return found
    cells = {name: cell(data.measure, positions, data.clusters) for name, positions in found.items()}
    small = [name for name in names if name not in cells or cells[name]["n"] < FEW]
    if small:
        return NotFound(f"fewer than {FEW} {' and '.join(small)} samples")
    first, second = names
    gap = gap_between(data.measure, found[first], found[second], data.clusters)
    return _compared(title, gap, data, {name: found[name] for name in names}, cells)


def _compared(
    title: str, gap: Gap, data: Data, two: Mapping[str, Sequence[int]], cells: Mapping[str, Mapping[str, Any]]
) -> Finding:
    first, second = two
    one, other = (amount(cells[name]["value"], data.measure.unit) for name in two)
    size, ends = amount(abs(gap.value), data.measure.gap_unit), _ends(gap, data.measure)
    if is_apart(gap.low, gap.high):
        side = "above" if gap.value > 0 else "below"
        said = f"{shown(first)} ({one}) is {size} {side} {shown(second)} ({other}); {ends}."
    else:
        said = (
            f"{unproven(gap.value, gap.low)} {shown(first)} ({one}) and {shown(second)} ({other}) differ: "
            f"{_signed(gap, data.measure)}; {ends}."
        )
    positions = [i for group in two.values() for i in group]
    return _finding(title, said, gap, data, positions, {"groups": dict(cells), "compared": [[first], [second]]})


def _finding(
    title: str, said: str, gap: Gap, data: Data, positions: Sequence[int], details: Mapping[str, Any]
) -> Finding:
    return gap_finding(title, said, gap, data.measure.gap_unit, len(data.measure.complete(positions)), details)


def _ends(gap: Gap, measure: Measure) -> str:
    return gap.words(measure.gap_unit, gap.choices)


def _signed(gap: Gap, measure: Measure) -> str:
    return f"a difference of {amount(gap.value, measure.gap_unit)}"


# The weakest of the judge's four dimensions.


def weakest_dimension(
    samples: Sequence[Sample], judged: Sequence[Judged], clusters: Sequence[int]
) -> Finding | NotFound:
    """The dimension with the lowest mean, less the next lowest; both from the same answers.

    The interval needs no widening for the choice: of equally weak dimensions the two lowest lie closer together than
    two that were named beforehand.
    """
    scores = {dimension: scores_of(judged, dimension) for dimension in DIMENSIONS}
    known = {dimension: [score for score in found if score is not None] for dimension, found in scores.items()}
    if any(len(found) < FEW for found in known.values()):
        return NotFound(f"fewer than {FEW} scores on one of the four dimensions")
    means = {dimension: fmean(found) for dimension, found in known.items()}
    lowest, following = sorted(DIMENSIONS, key=lambda dimension: means[dimension])[:2]
    gap = means_apart(scores[lowest], scores[following], clusters)
    first, second = DIMENSION_TITLES[lowest], DIMENSION_TITLES[following]
    one, other = (amount(means[dimension], SCORE) for dimension in (lowest, following))
    ends = gap.words(SCORE)
    if is_apart(gap.low, gap.high):
        said = f"{first} is the weakest dimension: {one}, and {second} next with {other} (difference: {ends})."
    else:
        begin = unproven(gap.value, gap.low)
        doubt = "there is no evidence that" if begin.startswith("No") else "it cannot be told whether"
        said = (
            f"{first} has the lowest mean, {one}, but {doubt} it is lower than {second}, {other} (difference: {ends})."
        )
    everything = range(len(judged))
    details: dict[str, Any] = {
        "groups": {
            DIMENSION_TITLES[dimension]: cell(Measure((tuple(scores[dimension]),), SCORE), everything, clusters)
            for dimension in DIMENSIONS
        },
        "compared": [[first], [second]],
    }
    if any(sample.task is Task.COMPARATIVE for sample in samples):
        details["note"] = "Of pairs, Quality Accuracy is 0 or 2 only; the other dimensions have 1 as well."
    n = min(len(found) for found in known.values())
    return gap_finding("Weakest dimension", said, gap, SCORE, n, details)
