"""What degraded images take: the drop of accuracy from L0, and whether stated confidence drops with it.

Accuracy is in percent (0-100; no answer is a wrong one), a difference in points.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from medqbench_vlmeval.benchmark import DEGREES, OVERALL
from medqbench_vlmeval.data.image_cells import image_names
from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.findings.finding import PERCENT, POINTS, Gap, Measure, amount, interval_words
from medqbench_vlmeval.scoring.findings.groups import compared
from medqbench_vlmeval.scoring.summary import positions_by
from medqbench_vlmeval.types import FEW, Contrast, Contrasts, Details, Finding, Sample

PAIRED_SHARE = 0.8
"""Of the degraded rows so many need an L0 row of their own for a paired drop."""
_CLEAN = DEGREES[0]
_AXES = ("category", "degradation", "modality")
_PAIR, _QUESTION = "the column of pairs", "question alone"
# What tells a row's clean image from others, beside the question.
_RULES: Mapping[str, Callable[[Sample], Hashable]] = {
    _PAIR: lambda of: of.pair or (of.index if of.severity == _CLEAN else None),
    "image name": lambda of: (image_names(of) or of.severity, of.modality, of.source),
    _QUESTION: lambda of: (of.modality, of.source),
}


def pairs_of(samples: Sequence[Sample]) -> dict[int, tuple[int, str]]:
    """The position of the L0 row of each degraded row that can be paired, and the first rule that found it.

    Both have the same question, options in any order and right one, and there is one such L0 row, or one of the same
    degradation type. A row that names its pair is paired by nothing else; by the question alone it must be the only one
    of its type and degree that asks it, as several would be of several images.
    """
    asked = [(of.question, *sorted(of.options.values()), of.options.get(of.answer or "")) for of in samples]
    found: dict[int, tuple[int, str]] = {}
    for rule, name_of in _RULES.items():
        keys = [(name_of(sample), content) for sample, content in zip(samples, asked, strict=True)]
        alike = Counter((key, of.degradation, of.severity) for key, of in zip(keys, samples, strict=True))
        originals: dict[Hashable, list[int]] = {}
        for at, sample in enumerate(samples):
            if sample.severity == _CLEAN:
                originals.setdefault(keys[at], []).append(at)
        for at, sample in enumerate(samples):
            if sample.severity in DEGREES[1:] and at not in found and (rule == _PAIR or not sample.pair):
                there = originals.get(keys[at], [])
                own = [place for place in there if len(there) == 1 or samples[place].degradation == sample.degradation]
                several = rule == _QUESTION and alike[keys[at], sample.degradation, sample.severity] > 1
                if len(own) == 1 and not several:
                    found[at] = own[0], rule
    return found


def clean_images(samples: Sequence[Sample], pairs: Mapping[int, tuple[int, str]]) -> list[int]:
    """The cluster of each row: those that share an image, and with each L0 row its degraded ones."""
    shared = intervals.shared_images(samples).clusters
    return intervals.clusters_of([(str(of), str(shared[pairs.get(at, (at,))[0]])) for at, of in enumerate(shared)])


def _contrast(
    named: tuple[str, str, str], there: Sequence[int], columns: Sequence[intervals.Column], clusters: Sequence[int]
) -> Contrast:
    """The means of two columns and of their difference over the rows at ``there``, which have values in both."""
    first, second = ([column[at] or 0.0 for at in there] for column in columns)
    of, cells = [clusters[at] for at in there], []
    for values, low in ((first, 0), (second, 0), ([y - x for x, y in zip(first, second, strict=True)], -100)):
        ends = intervals.clipped(intervals.mean_interval(values, of), low, 100)
        cell = intervals.interval_cell(fmean(values), ends, len(of))
        cells.append(replace(cell, n_clusters=len(set(of)), few=len(set(of)) < FEW))
    return Contrast(*named, *cells)


def drops(samples: Sequence[Sample], right: Sequence[float]) -> tuple[Contrasts | None, dict[str, Finding | str]]:
    """Accuracy at L1, L2 and both less that at L0, overall and by group, and what that shows; ``right`` is 0 or 100.

    Paired where :data:`PAIRED_SHARE` of the degraded rows can be: then pairs alone count, an L0 row as often as it is
    in one. Else a group's L0 rows are those of its own value or, where L0 has none, of its modalities; the interval is
    Newcombe's (R. G. Newcombe, Stat. Med. 17, 1998, p. 873, method 10) or, where images are shared, the bootstrap's.
    """
    clean = [at for at, sample in enumerate(samples) if sample.severity == _CLEAN]
    degraded = [at for at, sample in enumerate(samples) if sample.severity in DEGREES[1:]]
    if not clean or not degraded:
        return None, {"degradation_drop": f"no row is {'of L1 or L2' if clean else 'of L0'}"}
    pairs = pairs_of(samples)
    clusters, paired = clean_images(samples, pairs), len(pairs) >= PAIRED_SHARE * len(degraded)
    firsts = [right[pairs[at][0]] if at in pairs else None for at in range(len(samples))]
    data = Measure([right], PERCENT, clusters, samples)

    def row(named: tuple[str, str, str], there: Sequence[int]) -> Contrast:
        if paired:
            return _contrast(named, there, (firsts, right), clusters)
        modalities = {samples[at].modality for at in there}
        own = [at for at in clean if named[0] == OVERALL or getattr(samples[at], named[0]) == named[1]]
        own = own or [at for at in clean if samples[at].modality in modalities] or clean
        first, second, gap = data.cell(own), data.cell(there), data.gap(there, own)
        n, ends = len(own) + len(there), gap.interval
        if gap.n_clusters == n:
            counts = (sum(right[at] == 100 for at in of) for of in (there, own))
            low, high = intervals.newcombe(next(counts), len(there), next(counts), len(own))
            ends = 100 * low, 100 * high
        cell = replace(intervals.interval_cell(gap.value, ends, n), n_clusters=gap.n_clusters)
        return Contrast(*named, first, second, cell)

    kept = [at for at in degraded if at in pairs or not paired]
    known = sorted({str(samples[at].severity) for at in kept})
    degrees, groups = [*known, " and ".join(known)][: 2 * len(known) - 1], {(OVERALL, OVERALL): kept}
    for axis in _AXES:
        by_value = positions_by(axis, [samples[at] for at in kept])
        groups |= {(axis, name): [kept[place] for place in places] for name, places in by_value.items()}
    rows = [
        row((*named, degree), there)
        for named, members in groups.items()
        for degree in degrees
        if (there := [at for at in members if str(samples[at].severity) in degree])
    ]
    rules = ", ".join(f"{n:,} by {rule}" for rule, n in Counter(rule for _, rule in pairs.values()).items()) or "none"
    how = f"{len(pairs):,} of {len(degraded):,} degraded rows could be paired with their L0 row ({rules})"
    how = f"Paired: {how}." if paired else f"Unpaired, as fewer than {PAIRED_SHARE:.0%} could be: {how}."
    method = f"{intervals.CLUSTER_ROBUST}, pairs of one clean image taken together"
    if not paired:
        method = f"Newcombe's (1998) from Wilson's; {intervals.METHOD} where images are shared"
    whole = rows[len(degrees) - 1]
    cell, change = whole.difference, whole.difference.value or 0.0
    gap = Gap(change, cell.interval, POINTS, cell.n_clusters or 0)
    statement = gap.claim(
        f"Accuracy at {whole.degree} is {gap.size} {'lower' if change < 0 else 'higher'} than at L0",
        f"accuracy at {whole.degree} differs from that at L0: a difference of {amount(change, POINTS)}",
    )
    cells = {_CLEAN: whole.first, **{of.degree: of.second for of in rows[: len(known)]}}
    cells = {name: replace(accuracy, n_clusters=None) for name, accuracy in cells.items()}
    details = Details(groups=cells, compared=(tuple(known), (_CLEAN,)))
    finding = gap.finding("Drop from L0", f"{statement} ({gap.words}). {how}", cell.n or 0, details)
    worst: Finding | str = "too few degraded rows could be paired with their L0 row"
    if paired:
        changes = [None if first is None else of - first for of, first in zip(right, firsts, strict=True)]
        worst = compared(Measure([changes], POINTS, clusters, samples), "worst_category")
    named = {"degradation_drop": replace(finding, method=method), "worst_category": worst}
    return Contrasts(tuple(rows), (how, f"Intervals: {method}.")), named


def calibration(
    samples: Sequence[Sample], right: Sequence[float], confidences: intervals.Column
) -> tuple[Contrasts | None, Finding | str | None]:
    """Accuracy beside stated confidence (0-100; None where a reply states none) and the expected calibration error.

    That is the mean over replies of how far accuracy and mean confidence of their bin are apart, in ten bins of equal
    width, closed on the right (C. Guo et al., ICML 2017, section 2). Chance makes it larger: the finding says how large
    it would be of a calibrated model (the mean of a folded normal distribution a bin). Resampling does so once more:
    the interval is the bootstrap's mirrored at the value (A. Davison and D. Hinkley, 1997, ch. 5.2, the basic one).
    """
    stated = {at: confidence for at, confidence in enumerate(confidences) if confidence is not None}
    if (n := len(stated)) < FEW:
        return None, f"only {n} replies state a confidence" if n else None
    clusters, bins = clean_images(samples, pairs_of(samples)), dict[int, list[int]]()
    for at in sorted(stated, key=lambda at: stated[at]):
        bins.setdefault(max(0, math.ceil(stated[at] / 10) - 1), []).append(at)
    by_degree = positions_by("severity", [samples[at] for at in stated])
    groups = {(OVERALL, OVERALL): list(stated)}
    groups |= {("severity", name): [[*stated][place] for place in of] for name, of in by_degree.items()}
    groups |= {("stated confidence", f"{10 * place}-{10 * place + 10}"): of for place, of in bins.items()}
    rows = [_contrast((*named, ""), of, (right, confidences), clusters) for named, of in groups.items()]
    terms = np.array([[(stated[at] - right[at]) * (at in of) for of in map(set, bins.values())] + [1] for at in stated])
    totals = intervals.totals_by_cluster([clusters[at] for at in stated], terms)
    ends = intervals.bootstrap(totals, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])[0]
    error = float(np.abs(terms[:, :-1].sum(axis=0)).sum()) / n
    ends = intervals.clipped(ends and (2 * error - ends[1], 2 * error - ends[0]), 0, 100)
    spreads = (math.fsum(stated[at] * (100 - stated[at]) for at in of) for of in bins.values())
    by_chance = math.fsum(math.sqrt(2 * spread / math.pi) for spread in spreads) / n
    notes = (
        f"{n:,} of {len(samples):,} replies ({100 * n / len(samples):.2f}%) state a confidence.",
        "Not comparable with the published 'calibration shift', whose formula is not known.",
    )
    gap = rows[0].difference
    statement = (
        f"Expected calibration error {amount(error, POINTS)} ({interval_words(ends, POINTS)}; of a calibrated model "
        f"about {amount(by_chance, POINTS)} by chance). Stated confidence less accuracy: {amount(gap.value, POINTS)} "
        f"({interval_words(gap.interval, POINTS)}). {notes[0]}"
    )
    cell = replace(intervals.interval_cell(error, ends, n), few=(gap.n_clusters or 0) < FEW)
    method = f"{intervals.METHOD}, basic; ten bins of equal width (Guo et al. 2017)"
    details = Details(n_clusters=gap.n_clusters, facts={"by_chance": by_chance, "stated": n, "note": notes[1]})
    return Contrasts(tuple(rows), notes), Finding("Calibration", statement, POINTS, cell, method, details)
