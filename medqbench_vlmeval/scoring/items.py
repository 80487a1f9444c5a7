"""Item analysis: how hard each question is, and whether models that do better on all others do better on it too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np

from medqbench_vlmeval.benchmark import DIMENSIONS, MAX_VERDICT
from medqbench_vlmeval.scoring.compare import ALPHA
from medqbench_vlmeval.scoring.intervals import Array, clipped, interval_cell, mean_interval, share_cell
from medqbench_vlmeval.scoring.summary import ranked
from medqbench_vlmeval.types import LEVEL, Cell, Sample

FEWEST_MODELS = 5
SECOND_LOOK, NONE_RIGHT, REVERSED = "worth a second look", "no model is right", "stronger models do worse"
_ORDERS, _NOUGHT = 1000, 1e-9


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
    is the corrected item-total correlation (F. M. Lord and M. R. Novick, Statistical Theories of Mental Test Scores,
    1968, ch. 15; S. Henrysson, Psychometrika 28, 1963, p. 211), with Fisher's z interval (Metron 1, 1921, p. 3). ``p``
    is the share of 1,000 orders of the models, drawn with one seed, in which any sample correlates as low with the
    totals, its own score included (P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993, ch. 2).
    Stronger are models in the better half by total; where most chose one option that is not the key, and weaker ones
    did better or none is right, a sample is worth a second look.
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
        items.append(Item(sample, difficulty, _correlation(r, n), p, ranked(chosen), tuple(notes)))
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
    totals = matrix.sum(axis=0)
    own, rest, whole = (of - of.mean(axis=-1, keepdims=True) for of in (matrix, totals - matrix, totals))
    sizes = [np.sqrt((np.round(of, 9) ** 2).sum(axis=1)) for of in (own, rest)]
    with np.errstate(invalid="ignore", divide="ignore"):
        own, correlations = own / sizes[0][:, None], (own * rest).sum(axis=1) / (sizes[0] * sizes[1])
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(len(totals)), (_ORDERS, 1)), axis=1)
    orders[0] = np.arange(len(totals))
    lowest = np.sort((own[np.isfinite(correlations)] @ whole[orders].T).min(axis=0, initial=np.inf))
    p_values = np.searchsorted(lowest, own @ whole + _NOUGHT, side="right") / _ORDERS
    pairs = zip(correlations.tolist(), p_values.tolist(), strict=True)
    return [pair if math.isfinite(pair[0]) else (None, None) for pair in pairs]
