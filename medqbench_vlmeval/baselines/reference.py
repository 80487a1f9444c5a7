"""The reference model of MedQ-Classical: how the statistics of clean and degraded pictures are distributed.

``reference.json`` holds, for each modality, the mean vector of every class ('none', or a degradation with 'mild' or
'severe') and the shared within-class covariance as a whitening matrix: a linear discriminant model (Fisher 1936;
Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, 2nd ed., section 4.3). Each severity is equally
likely beforehand, and each degradation within it. Another such model tells the modality.

The table is fitted by ``scripts/calibrate_classical.py`` on pictures that this package's simulator makes from other
slices, crops, scenes, seeds and strengths than the embedded set's; none of the embedded pictures took part. They share
the simulator and, except for endoscopy, the few openly licensed originals (other crops, mirrored, other slices of the
same brain), so the embedded set flatters this baseline. Cross-validated on the calibration pictures, the exact class
(13 a modality) is found in 80-100% with scenes left out, but only in 26% (CT) and 27% (MRI) with whole originals left
out, and the severity in 46% and 49%: expect that, not more, on pictures from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from medqbench_vlmeval.baselines.statistics import Array

COLOUR = ("Histopathology", "Endoscopy", "Fundus")
GREY = ("CT", "MRI")


@dataclass(frozen=True)
class Discriminant:
    """Gaussian classes with one covariance: ``centre`` and ``whiten`` (features x kept axes) map a vector into the
    space where it is the identity; ``means`` maps class names to points there, ``priors`` to probabilities."""

    names: tuple[str, ...]
    centre: Array
    whiten: Array
    means: Mapping[str, Array]
    priors: Mapping[str, float]

    def posterior(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Class probabilities of one picture's statistics; they sum to 1."""
        vector = np.array([measured[name] for name in self.names])
        point = (vector - self.centre) @ self.whiten
        classes = list(self.means)
        distance = np.array([float(((point - self.means[name]) ** 2).sum()) for name in classes])
        score = np.log([self.priors[name] for name in classes]) - 0.5 * distance
        weight = np.exp(score - score.max())
        return dict(zip(classes, (weight / weight.sum()).tolist(), strict=True))


def prior(name: str, degradations: int) -> float:
    """1/3 for 'none', 1/3 for each grade shared by the degradations."""
    return 1.0 / 3.0 if name == "none" else 1.0 / (3.0 * degradations)


def _discriminant(table: Mapping[str, Any], kinds: bool) -> Discriminant:
    means = {name: np.array(values) for name, values in table["means"].items()}
    faults = (len(means) - 1) // 2
    priors = {name: 1.0 / len(means) if kinds else prior(name, faults) for name in means}
    return Discriminant(tuple(table["statistics"]), np.array(table["centre"]), np.array(table["whiten"]), means, priors)


@dataclass(frozen=True)
class Reference:
    """``kinds`` tells the modality of grey and of colour pictures, ``faults`` has one model a modality."""

    kinds: Mapping[str, Discriminant]
    faults: Mapping[str, Discriminant]

    def modality(self, measured: Mapping[str, float], grey: bool) -> str:
        """The likeliest modality; a picture without colour is CT or MRI."""
        found = self.kinds["grey" if grey else "colour"].posterior(measured)
        return max(found, key=lambda name: found[name])


@lru_cache(maxsize=1)
def reference() -> Reference:
    """The fitted table that comes with the package."""
    table = json.loads((files(__package__) / "reference.json").read_text(encoding="utf-8"))
    return Reference(
        {name: _discriminant(part, True) for name, part in table["kinds"].items()},
        {name: _discriminant(part, False) for name, part in table["faults"].items()},
    )
