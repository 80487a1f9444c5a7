"""What 'mild' and 'severe' are to readers: strengths between and beyond the catalogue's, and thresholds from ratings.

A position is a strength on the logarithmic scale on which 0 is the catalogue's 'mild' and 1 its 'severe'; 0.5 is
'moderate'. Readers' ratings of pictures at many positions give two thresholds, where 'good' turns to 'usable' and
'usable' to 'reject'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import json_object
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, Degradation, Strengths
from medqbench_vlmeval.synth.images import Array

STRENGTHS_FORMAT = "medqbench strengths 1"
QUALITIES = ("reject", "usable", "good")
"""What readers say of a picture; the mark of each is its place."""
LEAST_RATINGS = 12
"""Of one degradation; fewer move nothing."""
RESAMPLES = 500

_WEAKEST, _STRONGEST = -1.0, 1.5
_MOST_SHARE = 0.98
_STEP = 0.01  # of the grid of thresholds, in positions
_SLOPES = np.geomspace(1.0, 40.0, 16)
_LEAST_ORDERED = 0.5
_DIGITS = 4  # of a parameter that is written


def parameters_at(degradation: Degradation, position: float) -> dict[str, float]:
    """The parameters at a position: ``mild * (severe / mild) ** position`` each. Of whole numbers (counts) there is one
    at least."""
    mild, severe = (degradation.parameters[grade] for grade in GRADES)
    found = {}
    for name, start in mild.items():
        end = severe[name]
        value = start * (end / start) ** position if start * end > 0 else start + (end - start) * position
        found[name] = float(f"{max(value, 1.0) if _is_count(start) and _is_count(end) else value:.{_DIGITS}g}")
    return found


def _is_count(value: float) -> bool:
    return value >= 1.0 and float(value).is_integer()


def reach(degradation: Degradation) -> tuple[float, float]:
    """The weakest and the strongest position at which pictures are made: a parameter that is below 1 when mild and
    when severe (a share) stays so."""
    low, high = _WEAKEST, _STRONGEST
    mild, severe = (degradation.parameters[grade] for grade in GRADES)
    for name, start in mild.items():
        end = severe[name]
        if 0 < start < _MOST_SHARE and 0 < end < _MOST_SHARE and start != end:
            limit = math.log(_MOST_SHARE / start) / math.log(end / start)
            low, high = (low, min(high, limit)) if end > start else (max(low, limit), high)
    return low, high


@dataclass(frozen=True)
class Reading:
    """One reader's mark (2 good, 1 usable, 0 reject) of one picture, named ``image``, at a position."""

    rater: str
    image: str
    position: float
    mark: int


@dataclass(frozen=True)
class Threshold:
    """A position at which half of the ratings lie on either side, with its 95% interval."""

    position: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibrated:
    """One degradation after ``n`` ratings: its thresholds, new parameters by severity, and the share of ratings (0-1)
    that is expected to be 'usable' at the new 'mild' and 'reject' at the new 'severe'. Where ``left`` says why it
    stays as it is, there is none of these."""

    degradation: Degradation
    n: int
    left: str = ""
    usable_from: Threshold | None = None
    reject_from: Threshold | None = None
    parameters: dict[str, dict[str, float]] | None = None
    said_usable: float | None = None
    said_reject: float | None = None
    note: str = ""


def calibrate(degradation: Degradation, readings: Sequence[Reading], seed: int = 0) -> Calibrated:
    """Where readers' ratings of one degradation turn, and what 'mild' and 'severe' are then.

    Two logistic curves with one slope, ``P(mark < 2) = s(b (x - t1))`` and ``P(mark < 1) = s(b (x - t2))``, by maximum
    likelihood on a grid (the cumulative logit model of P. McCullagh, J. R. Stat. Soc. B 42, 1980, p. 109, its two
    dichotomies taken as independent). 'mild' is then the middle between the thresholds, where 'usable' is likeliest;
    'severe' lies as far beyond the second one, at most at the strongest picture that was rated. Intervals are
    percentiles of a bootstrap over pictures.
    """
    n = len(readings)

    def left(why: str) -> Calibrated:
        return Calibrated(degradation, n, why)

    if n < LEAST_RATINGS:
        return left(f"{n} ratings, at least {LEAST_RATINGS} are needed")
    marks = {reading.mark for reading in readings}
    if missing := [word for mark, word in enumerate(QUALITIES) if mark not in marks]:
        return left(f"no picture is rated {' or '.join(missing)}, so that a threshold is not reached")
    if (ordered := _ordered(readings)) < _LEAST_ORDERED:
        return left(f"ratings contradict the strengths (rank correlation gamma {ordered:.2f})")
    images = sorted({reading.image for reading in readings})
    place = {image: number for number, image in enumerate(images)}
    low, high = (bound(reading.position for reading in readings) for bound in (min, max))
    grid = np.arange(low, high + _STEP, _STEP)
    likelihoods = np.zeros((2, len(images), len(_SLOPES), len(grid)))
    for reading in readings:
        logits = _SLOPES[:, None] * (reading.position - grid)
        for k, is_worse in enumerate((reading.mark < 2, reading.mark < 1)):
            likelihoods[k, place[reading.image]] -= np.logaddexp(0.0, -logits if is_worse else logits)
    slope, first, second = (found[0] for found in _fit(likelihoods, np.ones((1, len(images)))))
    draws = np.random.default_rng([seed, len(images)]).multinomial(
        len(images), np.full(len(images), 1 / len(images)), size=RESAMPLES
    )
    resampled = _fit(likelihoods, draws.astype(float))[1:]
    thresholds = []
    for at, drawn in zip((first, second), resampled, strict=True):
        ends = np.percentile(grid[drawn], (2.5, 97.5))
        thresholds.append(Threshold(float(grid[at]), float(ends[0]), float(ends[1])))
    usable, reject = thresholds
    half = (reject.position - usable.position) / 2
    severe = min(reject.position + half, high)
    said_usable = math.tanh(_SLOPES[slope] * half / 2)
    if said_usable <= 1 / 3:
        return left("'usable' is the likeliest rating at no strength")
    return Calibrated(
        degradation,
        n,
        "",
        usable,
        reject,
        {"mild": parameters_at(degradation, usable.position + half), "severe": parameters_at(degradation, severe)},
        said_usable,
        1 / (1 + math.exp(-_SLOPES[slope] * (severe - reject.position))),
        "severe is the strongest that was rated" if severe < reject.position + half else "",
    )


def _ordered(readings: Sequence[Reading]) -> float:
    """Goodman's and Kruskal's gamma of strength and mark within raters, 1 where no stronger one is rated better."""
    agree = contradict = 0
    for one, other in combinations(readings, 2):
        if one.rater == other.rater:
            turn = (one.position - other.position) * (other.mark - one.mark)
            agree, contradict = agree + (turn > 0), contradict + (turn < 0)
    return (agree - contradict) / max(agree + contradict, 1)


def _fit(likelihoods: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The likeliest slope and two thresholds, as places in the grids, for each row of weights over pictures."""
    curves = np.tensordot(weights, likelihoods, axes=(1, 1))  # draws x thresholds x slopes x grid
    slopes = curves.max(axis=3).sum(axis=1).argmax(axis=1)
    at = curves[np.arange(len(weights)), :, slopes].argmax(axis=2)
    return slopes, at[:, 0], at[:, 1]


def read_strengths(path: Path) -> Strengths:
    """Read what :func:`calibrate` found and 'synth calibrate' wrote. Raises BadInput where the file is no such file, or
    names a degradation, a severity or a parameter that the catalogue has not, or a value is no finite
    number."""
    content = json_object(path) or {}
    strengths = content.get("strengths")
    if content.get("format") != STRENGTHS_FORMAT or not isinstance(strengths, dict):
        raise BadInput(f"{path} is no file of strengths; 'medqbench synth calibrate' writes one.")
    for key, grades in strengths.items():
        if (known := DEGRADATIONS.get(key)) is None:
            raise BadInput(f"{path}: the catalogue has no degradation '{key[:40]}'; leave it out.")
        if not isinstance(grades, dict) or sorted(grades) != sorted(GRADES):
            raise BadInput(f"{path}, '{key}': {' and '.join(GRADES)} are expected.")
        for grade, values in grades.items():
            names = known.parameters[grade]
            if not isinstance(values, dict) or sorted(values) != sorted(names):
                raise BadInput(f"{path}, '{key}', {grade}: {', '.join(names)} are expected.")
            for name, value in values.items():
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    raise BadInput(f"{path}, '{key}', {grade}: {name} is no number.")
    return strengths
