"""Item analysis: how hard each question is, and whether models that do better on all others do better on it too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist, fmean

import numpy as np

from medqbench_vlmeval.benchmark import DIMENSIONS, MAX_VERDICT
from medqbench_vlmeval.scoring.compare import ALPHA
from medqbench_vlmeval.scoring.intervals import Array, clipped, interval_cell, mean_interval, share_cell
from medqbench_vlmeval.types import LEVEL, Cell, Sample

FEWEST_MODELS = 5
SECOND_LOOK, NONE_RIGHT, REVERSED = "worth a second look", "no model is right", "stronger models do worse"
_ALL_ORDERS, _ORDERS = 6, 1000
_NOUGHT = 1e-9


@dataclass(frozen=True)
class Item:
    """One sample: ``difficulty`` is the share of models that are right, in percent (of reasoning their mean sum, 0-8),
    ``discrimination`` the correlation (-1 to 1) of their scores on it with their totals on all others, no value where
    either does not vary, and ``p`` the adjusted one of a correlation as low. ``chosen`` counts the letters of the
    stronger models, '-' for none."""

    sample: Sample
    difficulty: Cell
    discrimination: Cell
    p: float | None
    chosen: Mapping[str, int]
    notes: tuple[str, ...]


def analyse_items(
    samples: Sequence[Sample], scores: Sequence[Sequence[float]], letters: Sequence[Sequence[str | None]] | None = None
) -> list[Item]:
    """Analyse samples by the scores of five models or more; ``scores`` has a row a sample and a column a model.

    Scores are 0 and 1 where there are ``letters`` (what each model chose), else sums of verdicts (0-8). Discrimination
    is the corrected item-total correlation, of right and wrong the point-biserial one (F. M. Lord and M. R. Novick,
    Statistical Theories of Mental Test Scores, 1968, ch. 15; S. Henrysson, Psychometrika 28, 1963, p. 211), with
    Fisher's z interval (Metron 1, 1921, p. 3), which few models make wide. ``p`` is the share of orders of the models
    in which any sample correlates as low with the totals, its own score included, which makes ``p`` no smaller (P. H.
    Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993, ch. 2): all orders of up to six models, else
    1,000 drawn with one seed. Stronger are models in the better half by total; where most of them chose one option that
    is not the key, and weaker ones did better or none is right, a sample is worth a second look.
    """
    matrix, items = np.array(scores, dtype=float), []
    totals, n = matrix.sum(axis=0), matrix.shape[1]
    stronger = np.flatnonzero(totals >= np.sort(totals)[len(totals) // 2]).tolist()
    for place, (sample, (r, p)) in enumerate(zip(samples, _discriminations(matrix), strict=True)):
        values, chosen = matrix[place].tolist(), Counter[str]()
        notes = [REVERSED] if p is not None and p < ALPHA else []
        if letters is None:
            ends = clipped(mean_interval(values), 0, MAX_VERDICT * len(DIMENSIONS))
            difficulty = interval_cell(fmean(values), ends, n)
        else:
            difficulty = share_cell(int(sum(values)), n)
            chosen.update(letters[place][model] or "-" for model in stronger)
            most, count = chosen.most_common(1)[0]
            if 2 * count > len(stronger) and most not in ("-", sample.answer) and (r is None or r < 0):
                notes.append(SECOND_LOOK)
            notes += [] if any(values) else [NONE_RIGHT]
        items.append(Item(sample, difficulty, _correlation(r, n), p, dict(sorted(chosen.items())), tuple(notes)))
    return items


def _correlation(r: float | None, n: int) -> Cell:
    if r is None or abs(r) > 1 - _NOUGHT:  # of 1 and -1 Fisher's z knows no interval
        return interval_cell(r, None, n)
    z, half = math.atanh(r), NormalDist().inv_cdf(0.5 + LEVEL / 2) / math.sqrt(n - 3)
    return interval_cell(r, (math.tanh(z - half), math.tanh(z + half)), n)


def _discriminations(matrix: Array) -> list[tuple[float, float] | tuple[None, None]]:
    """Each sample's correlation and adjusted p."""
    # In an order of its own, so that the order of models decides nothing.
    matrix = matrix[:, np.lexsort((np.round(matrix.mean(axis=1) @ matrix, 6), matrix.sum(axis=0)))]
    totals, n = matrix.sum(axis=0), matrix.shape[1]
    own, rest, whole = (np.round(of - of.mean(axis=-1, keepdims=True), 9) for of in (matrix, totals - matrix, totals))
    with np.errstate(invalid="ignore", divide="ignore"):
        own, rest = (of / np.sqrt((of**2).sum(axis=1, keepdims=True)) for of in (own, rest))
    correlations = (own * rest).sum(axis=1)
    orders = np.array([*permutations(range(n))] if n <= _ALL_ORDERS else [range(n)] * _ORDERS)
    if n > _ALL_ORDERS:
        orders[1:] = np.random.default_rng(0).permuted(orders[1:], axis=1)
    varied = np.isfinite(correlations)
    lowest = np.sort((own[varied] @ whole[orders].T).min(axis=0, initial=np.inf))
    p_values = np.searchsorted(lowest, own @ whole + _NOUGHT, side="right") / len(orders)
    pairs = zip(correlations.tolist(), p_values.tolist(), strict=True)
    return [pair if math.isfinite(pair[0]) else (None, None) for pair in pairs]
