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
    found: dict[int, tuple[int, str]] = {}
    for rule, name_of in _RULES.items():
        places: dict[Hashable, list[int]] = {}
        keys = [
            (name_of(of), of.question, *sorted(of.options.values()), of.options.get(of.answer or "")) for of in samples
        ]
        for at, (sample, key) in enumerate(zip(samples, keys, strict=True)):
            for name in (sample.severity, f"{sample.severity} {sample.degradation}"):
                places.setdefault((name, key), []).append(at)
        for at, (sample, key) in enumerate(zip(samples, keys, strict=True)):
            if sample.severity in DEGREES[1:] and at not in found and (rule == _PAIR or not sample.pair):
                own, alike = places.get((_CLEAN, key), []), places[f"{sample.severity} {sample.degradation}", key]
                own = own if len(own) == 1 else places.get((f"{_CLEAN} {sample.degradation}", key), [])
                if len(own) == 1 and (len(alike) == 1 or rule != _QUESTION):
                    found[at] = own[0], rule
    return found


def clean_images(samples: Sequence[Sample], pairs: Mapping[int, tuple[int, str]]) -> list[int]:
    """The cluster of each row: those that share an image, and with each L0 row its degraded ones."""
    shared = intervals.shared_images(samples).clusters
    return intervals.clusters_of([(str(of), str(shared[pairs.get(at, (at,))[0]])) for at, of in enumerate(shared)])


_Named = tuple[str, str, str]


def _groups(samples: Sequence[Sample], there: Sequence[int], *axes: str) -> dict[tuple[str, str], list[int]]:
    """Positions by axis and value, all of them first."""
    groups = {(OVERALL, OVERALL): list(there)}
    for axis in axes:
        by_value = positions_by(axis, [samples[at] for at in there])
        groups |= {(axis, name): [there[place] for place in places] for name, places in by_value.items()}
    return groups


def _contrast(
    named: _Named, there: Sequence[int], columns: Sequence[intervals.Column], clusters: Sequence[int]
) -> Contrast:
    """The means of two columns and of their difference over the rows at ``there``, which have values in both."""
    first, second = ([column[at] or 0.0 for at in there] for column in columns)
    of, cells = [clusters[at] for at in there], []
    for values, low in ((first, 0), (second, 0), ([y - x for x, y in zip(first, second, strict=True)], -100)):
        ends = intervals.clipped(intervals.mean_interval(values, of), low, 100)
        cell = intervals.interval_cell(fmean(values), ends, len(of))
        cells.append(replace(cell, n_clusters=len(set(of)), few=len(set(of)) < FEW))
    return Contrast(*named, *cells)


def _unpaired(named: _Named, there: Sequence[int], clean: Sequence[int], data: Measure) -> Contrast:
    """Accuracy at ``there`` less that of the L0 rows of its value or, where none has it, of its modalities.

    The interval is Newcombe's or, where images are shared, the bootstrap's.
    """
    modalities = {data.samples[at].modality for at in there}
    own = [at for at in clean if named[0] == OVERALL or getattr(data.samples[at], named[0]) == named[1]]
    own = own or [at for at in clean if data.samples[at].modality in modalities] or [*clean]
    gap, n = data.gap(there, own), len(own) + len(there)
    first, second = data.cell(own), data.cell(there)
    shared = gap.n_clusters < n
    cell = intervals.interval_cell(gap.value, gap.interval if shared else intervals.newcombe(second, first), n)
    return Contrast(*named, first, second, replace(cell, n_clusters=gap.n_clusters))


def drops(samples: Sequence[Sample], right: Sequence[float]) -> tuple[Contrasts, dict[str, Finding | str]]:
    """Accuracy at L1, L2 and both less that at L0, overall and by group, and what that shows; ``right`` is 0 or 100.

    Paired where :data:`PAIRED_SHARE` of the degraded rows can be: pairs alone count then, an L0 row once a pair.
    """
    clean = [at for at, sample in enumerate(samples) if sample.severity == _CLEAN]
    degraded = [at for at, sample in enumerate(samples) if sample.severity in DEGREES[1:]]
    if not clean or not degraded:
        return Contrasts(), {"degradation_drop": f"no row is {'of L1 or L2' if clean else 'of L0'}"}
    pairs = pairs_of(samples)
    clusters, paired = clean_images(samples, pairs), len(pairs) >= PAIRED_SHARE * len(degraded)
    firsts = [right[pairs[at][0]] if at in pairs else None for at in range(len(samples))]
    changes = [None if first is None else of - first for of, first in zip(right, firsts, strict=True)]
    data, kept = Measure([right], PERCENT, clusters, samples), [at for at in degraded if at in pairs or not paired]
    known = sorted({str(samples[at].severity) for at in kept})
    degrees = [*known, " and ".join(known)][: 2 * len(known) - 1]
    rows = [
        _contrast((*named, degree), there, (firsts, right), clusters)
        if paired
        else _unpaired((*named, degree), there, clean, data)
        for named, members in _groups(samples, kept, "category", "degradation", "modality").items()
        for degree in degrees
        if (there := [at for at in members if str(samples[at].severity) in degree])
    ]
    rules = ", ".join(f"{n:,} by {rule}" for rule, n in Counter(rule for _, rule in pairs.values()).items()) or "none"
    how = f"{len(pairs):,} of {len(degraded):,} degraded rows could be paired with their L0 row ({rules})"
    how, method = f"Paired: {how}.", f"{intervals.CLUSTER_ROBUST}, pairs of one clean image taken together"
    worst = compared(Measure([changes], POINTS, clusters, samples), "worst_category")
    if not paired:
        worst = "the drop is not paired"
        how = f"Unpaired, as fewer than {PAIRED_SHARE:.0%} could be: {how.removeprefix('Paired: ')}"
        method = f"Newcombe's (1998) from Wilson's; {intervals.METHOD} where images are shared"
    whole = rows[len(degrees) - 1]
    gap = Gap(whole.difference.value or 0.0, whole.difference.interval, POINTS, whole.difference.n_clusters or 0)
    statement = gap.claim(
        f"Accuracy at {whole.degree} is {gap.size} {'lower' if gap.value < 0 else 'higher'} than at L0",
        f"accuracy at {whole.degree} differs from that at L0: a difference of {amount(gap.value, POINTS)}",
    )
    cells = {_CLEAN: whole.first, **{of.degree: of.second for of in rows[: len(known)]}}
    cells = {name: replace(accuracy, n_clusters=None) for name, accuracy in cells.items()}
    details = Details(groups=cells, compared=(tuple(known), (_CLEAN,)))
    finding = gap.finding("Drop from L0", f"{statement} ({gap.words}). {how}", whole.difference.n or 0, details)
    named = {"degradation_drop": replace(finding, method=method), "worst_category": worst}
    return Contrasts(tuple(rows), (how, f"Intervals: {method}.")), named


def calibration(
    samples: Sequence[Sample], right: Sequence[float], confidences: intervals.Column
) -> tuple[Contrasts, Finding | str | None]:
    """Accuracy beside stated confidence (0-100; None where a reply states none) and the expected calibration error.

    That is the mean over replies of how far accuracy and mean confidence of their bin are apart, in ten bins of equal
    width, closed on the right (C. Guo et al., ICML 2017, section 2). Chance makes it larger: the finding says how large
    it would be of a calibrated model (the mean of a folded normal distribution a bin). Resampling does so once more:
    the interval is the bootstrap's mirrored at the value (A. Davison and D. Hinkley, 1997, ch. 5.2, the basic one).
    """
    stated = {at: confidence for at, confidence in enumerate(confidences) if confidence is not None}
    if (n := len(stated)) < FEW:
        return Contrasts(), f"only {n} replies state a confidence" if n else None
    clusters, bins = clean_images(samples, pairs_of(samples)), dict[int, list[int]]()
    for at in sorted(stated, key=lambda at: stated[at]):
        bins.setdefault(max(0, math.ceil(stated[at] / 10) - 1), []).append(at)
    groups = _groups(samples, [*stated], "severity")
    groups |= {("stated confidence", f"{10 * place}-{10 * place + 10}"): of for place, of in bins.items()}
    rows = [_contrast((*named, ""), of, (right, confidences), clusters) for named, of in groups.items()]
    terms = np.array([[(stated[at] - right[at]) * (at in of) for of in map(set, bins.values())] + [1] for at in stated])
    totals = intervals.totals_by_cluster([clusters[at] for at in stated], terms)
    ends = intervals.bootstrap(totals, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])[0]
    error = float(np.abs(terms[:, :-1].sum(axis=0)).sum()) / n
    ends = intervals.clipped(ends and (2 * error - ends[1], 2 * error - ends[0]), 0, 100)
    spreads = (math.fsum(stated[at] * (100 - stated[at]) for at in of) for of in bins.values())
    by_chance, gap = math.fsum(math.sqrt(2 * spread / math.pi) for spread in spreads) / n, rows[0].difference
    notes = (
        f"{n:,} of {len(samples):,} replies ({100 * n / len(samples):.2f}%) state a confidence.",
        "Not comparable with the published 'calibration shift', whose formula is not known.",
    )
    statement = (
        f"Expected calibration error {amount(error, POINTS)} ({interval_words(ends, POINTS)}; of a calibrated model "
        f"about {amount(by_chance, POINTS)} by chance). Stated confidence less accuracy: {amount(gap.value, POINTS)} "
        f"({interval_words(gap.interval, POINTS)}). {notes[0]}"
    )
    cell = replace(intervals.interval_cell(error, ends, n), few=gap.few)
    method = f"{intervals.METHOD}, basic; ten bins of equal width (Guo et al. 2017)"
    details = Details(n_clusters=gap.n_clusters, facts={"by_chance": by_chance, "stated": n, "note": notes[1]})
    return Contrasts(tuple(rows), notes), Finding("Calibration", statement, POINTS, cell, method, details)
