"""What 'mild' and 'severe' are to readers: strengths between and beyond the catalogue's, and thresholds from ratings. A
position is a strength on the logarithmic scale on which 0 is the catalogue's 'mild' and 1 its 'severe'; 0.5 is
'moderate'. Readers' ratings of pictures at many positions give two thresholds, where 'good' turns to 'usable' and
'usable' to 'reject'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from medqbench_vlmeval.errors import BadInput
from medqbench_vlmeval.files import json_object
from medqbench_vlmeval.synth.catalogue import DEGRADATIONS, GRADES, Degradation, Grades, Strengths
from medqbench_vlmeval.synth.images import Array
from medqbench_vlmeval.types import Agreement, Cell

STRENGTHS_FORMAT = "medqbench strengths 1"
QUALITIES = ("reject", "usable", "good")
"""What readers say of a picture; the mark of each is its place."""
LEAST_RATINGS = 12
"""Of one degradation; fewer move nothing."""
RESAMPLES = 500

_WEAKEST, _STRONGEST = -1.0, 1.5
_MOST_SHARE = 0.98
_STEP = 0.01  # of the grid of thresholds, in positions
_SLOPES = np.geomspace(1.0, 16.0, 16)
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
    """The weakest and the strongest position at which pictures are made: a parameter that is at most 1 when mild and
    when severe (a share) stays below 1, or at what it is then."""
    low, high = _WEAKEST, _STRONGEST
    mild, severe = (degradation.parameters[grade] for grade in GRADES)
    for name, start in mild.items():
        end = severe[name]
        if 0 < start <= 1 and 0 < end <= 1 and start != end:
            limit = math.log(max(_MOST_SHARE, start, end) / start) / math.log(end / start)
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
class Calibrated:
    """The degradation ``key`` after ``n`` ratings. ``usable_from`` and ``reject_from`` are the positions at which half
    of the ratings lie on either side, ``after`` the new parameters by severity (``before``: the old ones),
    ``said_usable`` and ``said_reject`` the shares of ratings in percent that are expected to say so at the new 'mild'
    and 'severe'. There is none of these where ``left`` says why the degradation stays as it is; ``note`` is what else
    is to be known."""

    key: str
    name: str
    before: Grades
    n: int
    left: str = ""
    usable_from: Cell | None = None
    reject_from: Cell | None = None
    after: Grades | None = None
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
    stays = Calibrated(degradation.key, degradation.name, degradation.parameters, n)
    if n < LEAST_RATINGS:
        return replace(stays, left=f"{n} ratings, at least {LEAST_RATINGS} are needed")
    marks = {reading.mark for reading in readings}
    if missing := [word for mark, word in enumerate(QUALITIES) if mark not in marks]:
        return replace(stays, left=f"no picture is rated {' or '.join(missing)}, so that a threshold is not reached")
    if (ordered := _ordered(readings)) < _LEAST_ORDERED:
        return replace(stays, left=f"ratings contradict the strengths (rank correlation gamma {ordered:.2f})")
    images = sorted({reading.image for reading in readings})
    place = {image: number for number, image in enumerate(images)}
    low, high = (bound(reading.position for reading in readings) for bound in (min, max))
    grid = np.arange(low, high + _STEP, _STEP)
    likelihoods = np.zeros((2, len(images), len(_SLOPES), len(grid)))
    for reading in readings:
        logits = _SLOPES[:, None] * (reading.position - grid)
        for k, is_worse in enumerate((reading.mark < 2, reading.mark < 1)):
            likelihoods[k, place[reading.image]] -= np.logaddexp(0.0, -logits if is_worse else logits)
    slope, *fitted = (found[0] for found in _fit(likelihoods, np.ones((1, len(images)))))
    # Generator.multinomial is not the same with every numpy; RandomState is frozen (NEP 19).
    draws = np.random.RandomState(np.random.PCG64(seed)).multinomial(
        len(images), np.full(len(images), 1 / len(images)), RESAMPLES
    )
    resampled = _fit(likelihoods, draws.astype(float))[1:]
    ends = [np.percentile(grid[drawn], (2.5, 97.5)) for drawn in resampled]
    usable, reject = (
        Cell(float(grid[at]), float(low), float(high), n) for at, (low, high) in zip(fitted, ends, strict=True)
    )
    half = float(grid[fitted[1]] - grid[fitted[0]]) / 2
    middle, beyond = grid[fitted[0]] + half, grid[fitted[1]] + half
    said_usable = math.tanh(_SLOPES[slope] * half / 2)
    if said_usable <= 1 / 3:
        return replace(stays, left="'usable' is the likeliest rating at no strength")
    severe = min(beyond, high)
    return replace(
        stays,
        usable_from=usable,
        reject_from=reject,
        after={"mild": parameters_at(degradation, middle), "severe": parameters_at(degradation, severe)},
        said_usable=100 * said_usable,
        said_reject=100 / (1 + math.exp(-_SLOPES[slope] * (severe - grid[fitted[1]]))),
        note="severe is the strongest that was rated" if severe < beyond else "",
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


@dataclass(frozen=True)
class FaultSeen:
    """How readers name one degradation: the share, in percent, of ratings of pictures with it that tick it, and of its
    ticks that are right."""

    recall: Cell
    precision: Cell


@dataclass(frozen=True)
class SiteCalibration:
    """What the readers of a site rated: ``n`` of the page's ``n_images`` pictures at least once. ``among`` (raters with
    each other) and ``with_simulator`` are mean quadratic weighted kappas, ``alpha`` is Krippendorff's; the simulator's
    mark of a picture is 2 undegraded, 1 mild, 0 severe, and by its position in between. ``by_rater`` is each one's
    agreement with the simulator, ``faults`` are by degradation's key."""

    raters: tuple[str, ...]
    n: int
    n_images: int
    calibrated: tuple[Calibrated, ...]
    among: Cell
    with_simulator: Cell
    alpha: Cell
    by_rater: Mapping[str, Agreement]
    faults: Mapping[str, FaultSeen]

    @property
    def strengths(self) -> Strengths:
        """The new parameters, of the degradations whose ratings carry them."""
        return {row.key: row.after for row in self.calibrated if row.after is not None}

    def to_json(self) -> dict[str, Any]:
        """Everything, for 'calibration.json' and '--json'."""
        return asdict(self)


def read_strengths(path: Path) -> Strengths:
    """Read what :func:`calibrate` found and 'synth calibrate' wrote. Raises BadInput where the file is no such file, or
    as :func:`checked_strengths`."""
    content = json_object(path) or {}
    if content.get("format") != STRENGTHS_FORMAT:
        raise BadInput(f"{path} is no file of strengths; 'medqbench synth calibrate' writes one.")
    return checked_strengths(path, content.get("strengths"))


def checked_strengths(path: Path, strengths: object) -> Strengths:
    """What the file ``path`` holds as strengths. Raises BadInput where that names a degradation, a severity or a
    parameter that the catalogue has not, or a value is no finite number."""
    if not isinstance(strengths, dict):
        raise BadInput(f"{path} is no file of strengths; 'medqbench synth calibrate' writes one.")
    checked: dict[str, dict[str, dict[str, float]]] = {}
    for key, grades in strengths.items():
        if key not in DEGRADATIONS:
            raise BadInput(f"{path}: the catalogue has no degradation '{key[:40]}'; leave it out.")
        for grade, names in DEGRADATIONS[key].parameters.items():
            values = grades.get(grade) if isinstance(grades, dict) else None
            if (
                not isinstance(values, dict)
                or values.keys() != names.keys()
                or not all(map(_is_number, values.values()))
            ):
                raise BadInput(f"{path}, '{key}', {grade}: a number is expected for each of {', '.join(names)}.")
            checked.setdefault(key, {})[grade] = values
    return checked


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
