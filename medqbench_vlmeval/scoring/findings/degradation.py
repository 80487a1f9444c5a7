"""What degraded images take: the drop of accuracy from L0, and whether stated confidence drops with it. Accuracy is in
percent (0-100; no answer is a wrong one), a difference in points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from medqbench_vlmeval.benchmark import DEGREES, OVERALL
from medqbench_vlmeval.data.image_cells import names_in_file
from medqbench_vlmeval.scoring import intervals
from medqbench_vlmeval.scoring.findings.finding import PERCENT, POINTS, Gap, Measure, amount, interval_words
from medqbench_vlmeval.scoring.findings.groups import compared
from medqbench_vlmeval.scoring.summary import positions_by
from medqbench_vlmeval.types import DIFFERENCE, FEW, Contrasts, Details, Finding, Group, Sample

PAIRED_SHARE = 0.8  # of the degraded rows so many need an L0 row of their own for a paired drop
CONFIDENCE = "stated confidence"
_CLEAN = DEGREES[0]
_PAIR, _QUESTION = "the column of pairs", "question alone"
# What tells a row's clean image from others, beside the question.
_RULES: Mapping[str, Callable[[Sample], Hashable]] = {
    _PAIR: lambda of: of.pair or (of.index if of.severity == _CLEAN else None),
    "image name": lambda of: (names_in_file(of) or of.severity, of.modality, of.source),
    _QUESTION: lambda of: (of.modality, of.source),
}


def pairs_of(samples: Sequence[Sample]) -> dict[int, tuple[int, str]]:
    """The position of the L0 row of each degraded row that can be paired, and the first rule that found it. Both have
    the same question, options in any order and right one, and there is one such L0 row, or one of the same degradation
    type. A row that names its pair is paired by nothing else; by the question alone only one of its type and degree."""
    found: dict[int, tuple[int, str]] = {}
    asked = [(of.question, *sorted(of.options.values()), of.options.get(of.answer or "")) for of in samples]
    for rule, name_of in _RULES.items():
        places: dict[Hashable, list[int]] = {}
        keys = [(name_of(sample), content) for sample, content in zip(samples, asked, strict=True)]
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


def _clean_images(samples: Sequence[Sample], pairs: Mapping[int, tuple[int, str]]) -> list[int]:
    """The cluster of each row: those that share an image, and with each L0 row its degraded ones."""
    shared = intervals.shared_images(samples).clusters
    return intervals.clusters_of([(str(of), str(shared[pairs.get(at, (at,))[0]])) for at, of in enumerate(shared)])


def _groups(samples: Sequence[Sample], there: Sequence[int], *axes: str) -> Iterator[tuple[str, str, list[int]]]:
    """Axis, value and positions, all of them first; an axis of more than a hundred values is left out."""
    yield OVERALL, OVERALL, [*there]
    for axis in axes:
        by_value = positions_by(axis, [samples[at] for at in there])
        for name, places in by_value.items() if len(by_value) <= 100 else ():
            yield axis, name, [there[place] for place in places]


def _contrast(there: Sequence[int], columns: Mapping[str, intervals.Column], clusters: Sequence[int]) -> Group:
    """The means of two columns and of the second less the first over the rows at ``there``, which have both."""
    of, cells = [clusters[at] for at in there], {}
    first, second = ([column[at] or 0.0 for at in there] for column in columns.values())
    differences = [y - x for x, y in zip(first, second, strict=True)]
    for name, values in zip((*columns, DIFFERENCE), (first, second, differences), strict=True):
        ends = intervals.clipped(intervals.mean_interval(values, of), -100 if name == DIFFERENCE else 0, 100)
        cells[name] = replace(intervals.interval_cell(fmean(values), ends, len(of)), few=len(set(of)) < FEW)
    return Group(cells, {"n": len(of), "n_clusters": len(set(of))}, len(set(of)) < FEW)


def _unpaired(axis: str, value: str, there: Sequence[int], clean: Sequence[int], data: Measure) -> Group:
    """Accuracy at ``there`` less that of the L0 rows of its value or, where none has it, of its modalities."""
    modalities = {data.samples[at].modality for at in there}
    own = [at for at in clean if axis == OVERALL or getattr(data.samples[at], axis) == value]
    own = own or [at for at in clean if data.samples[at].modality in modalities] or [*clean]
    gap, n, first, second = data.gap(there, own), len(own) + len(there), data.cell(own), data.cell(there)
    ends = gap.interval if gap.n_clusters < n else intervals.newcombe(second, first)
    cells = {_CLEAN: first, "accuracy": second, DIFFERENCE: intervals.interval_cell(gap.value, ends, n)}
    return Group(cells, {"n": n, "n_clusters": gap.n_clusters}, first.few or second.few)


def drops(
    samples: Sequence[Sample], right: Sequence[float], note: str = ""
) -> tuple[Contrasts, dict[str, Finding | str]]:
    """Accuracy at L1, L2 and both less that at L0, overall and by group, and what that shows; ``right`` is 0 or 100.
    Paired where :data:`PAIRED_SHARE` of the degraded rows can be: pairs alone count then, an L0 row once a pair. A
    ``note`` is added to how it was made."""
    clean = [at for at, sample in enumerate(samples) if sample.severity == _CLEAN]
    degraded = [at for at, sample in enumerate(samples) if sample.severity in DEGREES[1:]]
    if not clean or not degraded:
        return {}, {"degradation_drop": f"no row is {'of L1 or L2' if clean else 'of L0'}"}
    pairs = pairs_of(samples)
    clusters, paired = _clean_images(samples, pairs), len(pairs) >= PAIRED_SHARE * len(degraded)
    firsts = [right[pairs[at][0]] if at in pairs else None for at in range(len(samples))]
    kept, data = [at for at in degraded if at in pairs or not paired], Measure([right], PERCENT, clusters, samples)
    known, contrasts = sorted({str(samples[at].severity) for at in kept}), dict[str, dict[str, dict[str, Group]]]()
    for axis, name, members in _groups(samples, kept, "category", "degradation", "modality"):
        for degree in [*known, " and ".join(known)]:
            if there := [at for at in members if str(samples[at].severity) in degree]:
                group = _contrast(there, {_CLEAN: firsts, "accuracy": right}, clusters) if paired else None
                group = group or _unpaired(axis, name, there, clean, data)
                contrasts.setdefault(axis, {}).setdefault(name, {})[degree] = group
    rules = ", ".join(f"{n:,} by {rule}" for rule, n in Counter(rule for _, rule in pairs.values()).items()) or "none"
    how = f"{len(pairs):,} of {len(degraded):,} degraded rows could be paired with their L0 row ({rules}).{note}"
    if paired:
        how, method = f"Paired: {how}", f"{intervals.CLUSTER_ROBUST}, pairs of one clean image taken together"
        changes = [None if first is None else of - first for of, first in zip(right, firsts, strict=True)]
        worst = compared(Measure([changes], POINTS, clusters, samples), "worst_category")
    else:
        how, worst = f"Unpaired, as fewer than {PAIRED_SHARE:.0%} could be: {how}", "the drop is not paired"
        method = f"Newcombe's (1998) from Wilson's; {intervals.METHOD} where images are shared"
    by_degree = contrasts[OVERALL][OVERALL]
    degree, whole = list(by_degree.items())[-1]
    cell, accuracies = whole.measures[DIFFERENCE], {of: by_degree[of].measures["accuracy"] for of in known}
    original = replace(whole.measures[_CLEAN], n=len({pairs[at][0] for at in kept} if paired else clean))
    gap = Gap(cell.value or 0.0, cell.interval, POINTS, whole.counts["n_clusters"])
    statement = gap.claim(
        f"Accuracy at {degree} is {gap.size} {'lower' if gap.value < 0 else 'higher'} than at L0",
        f"accuracy at {degree} differs from that at L0: a difference of {amount(gap.value, POINTS)}",
    )
    facts: dict[str, str | int | float | None] = {"how": how, "intervals": f"Intervals: {method}."}
    details = Details({_CLEAN: original, **accuracies}, (tuple(known), (_CLEAN,)), facts=facts)
    finding = gap.finding("Drop from L0", f"{statement} ({gap.words}). {how}", whole.counts["n"], details)
    return contrasts, {"degradation_drop": replace(finding, method=method), "worst_category": worst}


def calibration(
    samples: Sequence[Sample], right: Sequence[float], confidences: intervals.Column
) -> tuple[Contrasts, Finding | str | None]:
    """Accuracy beside stated confidence (0-100; None where a reply states none) and the expected calibration error.
    That is the mean over replies of how far accuracy and mean confidence of their bin are apart, in ten bins of equal
    width, closed on the right (C. Guo et al., ICML 2017, section 2). Chance makes it larger: of a calibrated model by a
    folded normal distribution a bin. Resampling does so once more: the interval holds the percentile and the basic one
    (A. Davison and D. Hinkley, 1997, ch. 5.2), and 0 where chance may be all."""
    stated = {at: confidence for at, confidence in enumerate(confidences) if confidence is not None}
    if (n := len(stated)) < FEW:
        return {}, f"only {n} replies state a confidence" if n else None
    clusters, bins = _clean_images(samples, pairs_of(samples)), dict[int, list[int]]()
    bin_of = {at: max(0, math.ceil(confidence / 10) - 1) for at, confidence in stated.items()}
    for at in sorted(stated, key=lambda at: bin_of[at]):
        bins.setdefault(bin_of[at], []).append(at)
    named = [(CONFIDENCE, f"{10 * place}-{10 * place + 10}", there) for place, there in bins.items()]
    contrasts: dict[str, dict[str, dict[str, Group]]] = {}
    for axis, name, there in [*_groups(samples, [*stated], "severity"), *named]:
        group = _contrast(there, {"accuracy": right, "confidence": confidences}, clusters)
        contrasts.setdefault(axis, {})[name] = {"": group}
    terms = np.array([[(stated[at] - right[at]) * (bin_of[at] == place) for place in bins] + [1] for at in stated])
    totals = intervals.totals_by_cluster([clusters[at] for at in stated], terms)
    ends = intervals.bootstrap(totals, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])[0]
    error = float(np.abs(terms[:, :-1].sum(axis=0)).sum()) / n
    spreads = [math.fsum(stated[at] * (100 - stated[at]) for at in of) for of in bins.values()]
    by_chance = math.fsum(math.sqrt(2 * spread / math.pi) for spread in spreads) / n
    if ends is not None:
        beyond = error > by_chance + 2 * math.sqrt((1 - 2 / math.pi) * math.fsum(spreads)) / n
        low = min(ends[0], 2 * error - ends[1]) if beyond else 0.0
        ends = intervals.clipped((low, max(ends[1], 2 * error - ends[0])), 0, 100)
    gap, share = contrasts[OVERALL][OVERALL][""].measures[DIFFERENCE], f"{100 * n / len(samples):.2f}%"
    how = f"{n:,} of {len(samples):,} replies ({share}) state a confidence."
    statement = (
        f"Expected calibration error {amount(error, POINTS)} ({interval_words(ends, POINTS)}; of a calibrated model "
        f"about {amount(by_chance, POINTS)} by chance). Stated confidence less accuracy: {amount(gap.value, POINTS)} "
        f"({interval_words(gap.interval, POINTS)}). {how}"
    )
    note = "Not comparable with the published 'calibration shift', whose formula is not known."
    cell = replace(intervals.interval_cell(error, ends, n), few=gap.few)
    method = f"{intervals.METHOD}, and mirrored; ten bins of equal width (Guo et al. 2017)"
    details = Details(facts={"by_chance": by_chance, "how": how, "note": note})
    return contrasts, Finding("Calibration", statement, POINTS, cell, method, details)
