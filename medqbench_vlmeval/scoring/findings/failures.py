"""Groups of samples, by their values on one to four axes, that hold more failures than chance allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medqbench_vlmeval.scoring.compare import ALPHA, holm
from medqbench_vlmeval.scoring.findings.finding import PERCENT, on_one_line, share_words
from medqbench_vlmeval.scoring.intervals import wilson
from medqbench_vlmeval.types import FEW, WILSON, Cell, Details, FailureGroup, Finding, Sample

_AXES = ("modality", "category", "degradation", "severity", "question_type", "scope", "difficulty", "source")
_MOST_AXES, _MOST_SHOWN = 4, 20
_METHOD = f"{WILSON}, samples that share an image taken together; Fisher's exact test with Holm's adjustment"

Values = tuple[tuple[str, str], ...]  # axis and value
Members = NDArray[np.bool_]  # of all samples, which are in a group


def failure_groups(samples: Sequence[Sample], failed: Sequence[bool], clusters: Sequence[int]) -> Finding | str:
    """The groups that fail more often than all other samples, beyond chance, the surest first, or why there are none. A
    group is ten samples or more with the same values on one to four axes (of groups with the same samples the one with
    the fewest). The sequences are parallel. Holm's adjustment over all groups keeps the chance of a false one at 5%."""
    outcomes, groups = _Outcomes(np.array(failed, dtype=bool), np.array(clusters, dtype=int)), _groups(samples)
    if not groups:
        return f"no group of {FEW} samples or more on any axis"
    p_values = dict(zip(groups, holm([outcomes.p(of, ~of) for of in groups.values()]), strict=True))
    proven, shown = [values for values in groups if p_values[values] < ALPHA], list[Values]()
    for values in sorted(proven, key=lambda values: (p_values[values], len(values), values)):
        shown = _with_group(shown, values, groups, outcomes)
    if not shown:
        return f"none of {len(groups)} groups fails more often than chance allows"
    found = [FailureGroup(dict(values), outcomes.cell(groups[values]), p_values[values]) for values in shown]
    share, words = found[0].share, ", ".join(f"{axis} {on_one_line(value)}" for axis, value in shown[0])
    statement = (
        f"{len(shown)} of {len(groups)} groups {'fails' if len(shown) == 1 else 'fail'} more often than chance allows, "
        f"most surely {words.replace('_', ' ')}: {share.counts['count']} of {share.n} ({share_words(share)}); of all "
        f"samples {sum(failed)} of {len(samples)} failed ({100 * sum(failed) / len(samples):.2f}%)."
    )
    details = Details(failure_groups=tuple(found[:_MOST_SHOWN]), facts={"n_groups": len(groups), "n_shown": len(shown)})
    return Finding("Failure groups", statement, PERCENT, replace(share, n_clusters=None, counts={}), _METHOD, details)


def _groups(samples: Sequence[Sample]) -> dict[Values, Members]:
    """Every group, those with fewer axes first."""
    texts = {axis: [getattr(sample, axis) or "" for sample in samples] for axis in _AXES}
    coded = {axis: np.unique(column, return_inverse=True) for axis, column in texts.items()}
    codes = {axis: numbers for axis, (names, numbers) in coded.items() if (names != "").sum() > 1}
    groups: dict[bytes, tuple[Values, Members]] = {}
    for axes in (axes for n in range(1, _MOST_AXES + 1) for axes in combinations(codes, n)):
        combined = np.zeros(len(samples), dtype=np.int64)
        for axis in axes:
            combined = combined * len(coded[axis][0]) + codes[axis]
        _, first, at, sizes = np.unique(combined, return_index=True, return_inverse=True, return_counts=True)
        for group in np.flatnonzero(sizes >= FEW):
            values, members = tuple((axis, texts[axis][first[group]]) for axis in axes), at == group
            if all(value for _, value in values):
                groups.setdefault(members.tobytes(), (values, members))
    return dict(groups.values())


class _Outcomes:
    """Whether each sample failed, and how ``alike`` samples that share an image are: their intraclass correlation by
    the analysis of variance, at least 0 (M. S. Ridout et al., Biometrics 55, 1999, p. 137)."""

    def __init__(self, failed: Members, clusters: NDArray[np.int_]) -> None:
        _, self.clusters, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
        self.failed, self.alike, n, n_clusters = failed, 0.0, len(failed), len(sizes)
        if 1 < n_clusters < n:
            shares = np.bincount(self.clusters, weights=failed) / sizes
            between = float(sizes @ (shares - failed.mean()) ** 2) / (n_clusters - 1)
            within = float(sizes @ (shares * (1 - shares))) / (n - n_clusters)
            spread = between + ((n - float(sizes @ sizes) / n) / (n_clusters - 1) - 1) * within
            self.alike = max(0.0, (between - within) / spread) if spread else 0.0

    def counts(self, members: Members) -> tuple[int, int, float]:
        """Failures, samples, and the design effect ``1 + (Σ m²/n - 1) alike`` of clusters of ``m`` samples (L. Kish,
        Survey Sampling, 1965, ch. 5.4)."""
        failed, n = (int(np.count_nonzero(of)) for of in (self.failed & members, members))
        sizes = np.bincount(self.clusters[members]) if self.alike and n else np.ones(1)
        return failed, n, 1 + (float(sizes @ sizes) / float(sizes.sum()) - 1) * self.alike

    def p(self, inside: Members, outside: Members) -> float:
        """Fisher's exact p, one-sided: that samples ``inside`` fail more often. Counts are divided by design effects
        (J. N. K. Rao and A. J. Scott, Biometrics 48, 1992, p. 577) and rounded towards no difference."""
        (failed, n, design), (failed_there, n_there, design_there) = map(self.counts, (inside, outside))
        if failed * n_there <= failed_there * n:
            return 1.0
        from scipy.stats import hypergeom  # only here: it takes a while

        failed, right = math.floor(failed / design), math.ceil((n - failed) / design)
        failed_there, right_there = math.ceil(failed_there / design_there), (n_there - failed_there) / design_there
        total = failed + right + failed_there + math.floor(right_there)
        return float(hypergeom.sf(failed - 1, total, failed + failed_there, failed + right))

    def cell(self, members: Members) -> Cell:
        """The share of failures in percent, its interval of the effective number of samples (C. Franco et al., J. Surv.
        Stat. Methodol. 7, 2019, p. 334)."""
        (failed, n, design), n_clusters = self.counts(members), len(np.unique(self.clusters[members]))
        low, high = wilson(failed / design, n / design)
        return Cell(100 * failed / n, 100 * low, 100 * high, n, n_clusters, counts={"count": failed})


def _with_group(
    shown: list[Values], values: Values, groups: Mapping[Values, Members], outcomes: _Outcomes
) -> list[Values]:
    """The groups to show, with a less sure one where it fails more often than the rest of each shown group around it,
    else than others outside of all, at 5% over the number of groups. A group around it whose rest is no worse goes."""
    members, outers = groups[values], [outer for outer in shown if not (groups[values] & ~groups[outer]).any()]
    free = ~np.any([groups[outer] for outer in shown], axis=0)
    pairs = [(members, groups[outer] & ~members) for outer in outers] or [(members & free, ~members & free)]
    if any(outcomes.p(*pair) >= ALPHA / len(groups) for pair in pairs):
        return shown
    explained = [outer for outer in outers if outcomes.p(groups[outer] & ~members, ~groups[outer]) >= ALPHA]
    return [*(outer for outer in shown if outer not in explained), values]
