"""The figure that findings compare between groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from medqbench_vlmeval.records import Extraction, JudgedSample, Sample
from medqbench_vlmeval.scoring.accuracy import is_right
from medqbench_vlmeval.scoring.findings.finding import PERCENT, POINTS, SCORE
from medqbench_vlmeval.scoring.intervals import FEW, clipped, sum_of_means_interval, wilson_percent
from medqbench_vlmeval.scoring.verdicts import scores_of
from medqbench_vlmeval.tasks import DIMENSIONS, MAX_VERDICT


@dataclass(frozen=True)
class Measure:
    """Values of samples, one column a dimension and parallel over samples, None where a sample has none.

    A group's figure is the sum of its columns' means: of perception the accuracy in percent (one column of 0 and
    100), of reasoning Overall (four columns of 0-2).
    """

    columns: tuple[tuple[float | None, ...], ...]
    unit: str

    @property
    def gap_unit(self) -> str:
        return POINTS if self.unit == PERCENT else SCORE

    def of(self, positions: Sequence[int]) -> float | None:
        """The figure of the samples at ``positions``, None where a column has no value there."""
        means = []
        for column in self.columns:
            known = [value for i in positions if (value := column[i]) is not None]
            if not known:
                return None
            means.append(fmean(known))
        return math.fsum(means)

    def complete(self, positions: Sequence[int]) -> list[int]:
        """Those of ``positions`` that have a value in every column."""
        left = list(positions)
        for column in self.columns:
            left = [i for i in left if column[i] is not None]
        return left


def accuracy_measure(samples: Sequence[Sample], extractions: Sequence[Extraction]) -> Measure:
    """Right answers in percent; no answer is a wrong one."""
    right = tuple(100.0 * is_right(sample, one.letter) for sample, one in zip(samples, extractions, strict=True))
    return Measure((right,), PERCENT)


def overall_measure(judged: Sequence[JudgedSample]) -> Measure:
    """Overall, the sum of the four dimensions' means."""
    return Measure(tuple(tuple(scores_of(judged, dimension)) for dimension in DIMENSIONS), SCORE)


def cell(measure: Measure, positions: Sequence[int], clusters: Sequence[int]) -> dict[str, Any]:
    """A group's figure with its own 95% interval: as in the tables of groups."""
    whole = measure.complete(positions)
    value = measure.of(positions)
    if measure.unit == PERCENT:
        right = sum(measure.columns[0][i] == 100 for i in whole)
        ends = wilson_percent(right, len(whole))
    else:
        columns = [[column[i] for i in positions] for column in measure.columns]
        ends = clipped(sum_of_means_interval(columns, [clusters[i] for i in positions]), 0, MAX_VERDICT * len(columns))
    low_end, high_end = ends or (None, None)
    return {"value": value, "low": low_end, "high": high_end, "n": len(whole), "few": len(whole) < FEW}
