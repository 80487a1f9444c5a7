"""Groups of samples, by their values on one to four axes, that hold more failures than chance allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medqbench_vlmeval.scoring.compare import ALPHA, holm
from medqbench_vlmeval.scoring.findings.finding import on_one_line, share_words
from medqbench_vlmeval.scoring.intervals import hypergeometric_tail, interval_cell, wilson
from medqbench_vlmeval.types import FEW, WILSON, Cell, Details, FailureGroup, Finding, Sample

_AXES = ("modality", "degradation", "severity", "question_type", "scope", "difficulty", "source")
_MOST_AXES, _MOST_SHOWN = 4, 20
_METHOD = f"{WILSON}, samples that share an image taken together; Fisher's exact test with Holm's adjustment"

Members = NDArray[np.bool_]  # of all samples, which are in a group


def failure_groups(samples: Sequence[Sample], failed: Sequence[bool], clusters: Sequence[int]) -> Finding | str:
    """The groups that fail more often than all other samples, beyond chance, the surest first, or why there are none.

    A group is ten samples or more that share their values on one to four axes; where several have the same samples, the
    one with the fewest axes counts. ``failed`` and ``clusters`` (see :func:`~..intervals.clusters_of`) are parallel to
    the samples. Holm's adjustment over all groups keeps the chance of showing any where there is none at 5%. What a
    shown group explains is not shown (:func:`_without_repeats`).
    """
    outcomes, groups = _outcomes(failed, clusters), _groups(samples)
    if not groups:
        return f"no group of {FEW} samples or more on any axis"
    adjusted = holm([outcomes.p(members, ~members) for _, members in groups])
    # By names where p is equal: the order of rows decides nothing.
    proven = sorted(
        (p, len(values), list(values.items()), place)
        for place, (p, (values, _)) in enumerate(zip(adjusted, groups, strict=True))
        if p < ALPHA
    )
    if not proven:
        return f"none of {len(groups)} groups fails more often than chance allows"
    kept = _without_repeats(outcomes, [groups[place][1] for *_, place in proven], ALPHA / len(groups))
    p_values = {place: p for p, *_, place in proven}
    shown = [
        FailureGroup(groups[place][0], outcomes.cell(groups[place][1]), p_values[place])
        for place in [proven[at][-1] for at in kept][:_MOST_SHOWN]
    ]
    worst, count, n = shown[0], sum(failed), len(samples)
    named = replace(worst, values={axis: on_one_line(value) for axis, value in worst.values.items()}).name
    statement = (
        f"{len(kept)} of {len(groups)} groups {'fails' if len(kept) == 1 else 'fail'} more often than chance allows, "
        f"most surely {named}: {worst.share.counts['count']} of {worst.share.n} ({share_words(worst.share)}); of all "
        f"samples {count} of {n} failed ({100 * count / n:.2f}%)."
    )
    details = Details(failure_groups=tuple(shown), n_clusters=worst.share.n_clusters, facts={"n_groups": len(groups)})
    share = replace(worst.share, n_clusters=None, counts={})
    return Finding("Failure groups", statement, "percent", share, _METHOD, details)


def _groups(samples: Sequence[Sample]) -> list[tuple[Mapping[str, str], Members]]:
    """Every group, by its values: those with fewer axes first."""
    codes = {}
    for axis in _AXES:
        names, of_sample = np.unique([getattr(sample, axis) or "" for sample in samples], return_inverse=True)
        if sum(map(bool, names.tolist())) > 1:
            codes[axis] = names.tolist(), of_sample
    groups: dict[bytes, tuple[Mapping[str, str], Members]] = {}
    for n_axes in range(1, _MOST_AXES + 1):
        for axes in combinations(codes, n_axes):
            combined = np.zeros(len(samples), dtype=np.int64)
            for axis in axes:
                combined = combined * len(codes[axis][0]) + codes[axis][1]
            _, first, at, sizes = np.unique(combined, return_index=True, return_inverse=True, return_counts=True)
            for group in np.flatnonzero(sizes >= FEW):
                values = {axis: codes[axis][0][codes[axis][1][first[group]]] for axis in axes}
                members = at == group
                if all(values.values()) and sizes[group] < len(samples):
                    groups.setdefault(members.tobytes(), (values, members))
    return list(groups.values())


@dataclass(frozen=True)
class _Outcomes:
    """Whether each sample failed, its cluster, and how alike the samples of a cluster are: their intraclass correlation
    in 0-1."""

    failed: Members
    clusters: NDArray[np.int_]
    alike: float

    def counts(self, members: Members) -> tuple[int, int, float]:
        """Failures, samples, and the design effect ``1 + (Σ m²/n - 1) alike`` of clusters of ``m`` samples, by which
        shared images swell a variance (L. Kish, Survey Sampling, 1965, ch. 5.4)."""
        failed, n = int(self.failed[members].sum()), int(members.sum())
        if not self.alike or not n:
            return failed, n, 1.0
        sizes = np.bincount(self.clusters[members])
        return failed, n, 1 + (float(sizes @ sizes) / n - 1) * self.alike

    def p(self, inside: Members, outside: Members) -> float:
        """Fisher's exact p, one-sided: that the samples ``inside`` fail more often than those ``outside``.

        Counts are divided by their design effects (J. N. K. Rao and A. J. Scott, Biometrics 48, 1992, p. 577) and
        rounded towards no difference.
        """
        (failed, n, design), (failed_there, n_there, design_there) = map(self.counts, (inside, outside))
        if failed * n_there <= failed_there * n:
            return 1.0
        failed, right = math.floor(failed / design), math.ceil((n - failed) / design)
        failed_there, right_there = math.ceil(failed_there / design_there), (n_there - failed_there) / design_there
        total = failed + right + failed_there + math.floor(right_there)
        return hypergeometric_tail(failed, failed + right, failed + failed_there, total)

    def cell(self, members: Members) -> Cell:
        """The share of failures in percent with Wilson's interval for the effective number of samples (C. Franco et
        al., J. Surv. Stat. Methodol. 7, 2019, p. 334)."""
        failed, n, design = self.counts(members)
        low, high = wilson(failed / design, n / design)
        cell = interval_cell(100 * failed / n, (100 * low, 100 * high), n)
        return replace(cell, n_clusters=len(np.unique(self.clusters[members])), counts={"count": failed})


def _outcomes(failed: Sequence[bool], clusters: Sequence[int]) -> _Outcomes:
    """With the analysis-of-variance estimate of the intraclass correlation, at least 0 (M. S. Ridout et al., Biometrics
    55, 1999, p. 137)."""
    outcomes = np.array(failed, dtype=bool)
    _, of_sample, sizes = np.unique(np.array(clusters, dtype=int), return_inverse=True, return_counts=True)
    n, n_clusters, alike = len(outcomes), len(sizes), 0.0
    if 1 < n_clusters < n:
        shares = np.bincount(of_sample, weights=outcomes) / sizes
        between = float(sizes @ (shares - outcomes.mean()) ** 2) / (n_clusters - 1)
        within = float(sizes @ (shares * (1 - shares))) / (n - n_clusters)
        size = (n - float(sizes @ sizes) / n) / (n_clusters - 1)
        if spread := between + (size - 1) * within:
            alike = max(0.0, (between - within) / spread)
    return _Outcomes(outcomes, of_sample, alike)


def _without_repeats(outcomes: _Outcomes, proven: Sequence[Members], level: float) -> list[int]:
    """The places of the groups to show, of those proven, the surest first.

    A group inside a shown one has to fail more often than the rest of that one, any other to fail more often without
    the samples of shown groups than all that are left; both at ``level``. A shown group whose samples outside of such
    an inner group do not fail more often than all others (p of 5% or more) is explained by it and goes.
    """
    shown: list[int] = []
    for place, members in enumerate(proven):
        around = [outer for outer in shown if not (members & ~proven[outer]).any()]
        free = ~np.any([proven[outer] for outer in shown], axis=0) & np.ones_like(members)  # in no shown group
        if around:
            is_new = all(outcomes.p(members, proven[outer] & ~members) < level for outer in around)
        else:
            is_new = outcomes.p(members & free, ~members & free) < level
        if is_new:
            explained = [outer for outer in around if outcomes.p(proven[outer] & ~members, ~proven[outer]) >= ALPHA]
            shown = [*(outer for outer in shown if outer not in explained), place]
    return shown
