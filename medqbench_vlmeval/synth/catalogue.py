"""The catalogue: what is looked for in each modality, and degradations with their words; and what is planned of them.
It is read from ``catalogue.json``. Parameters are physical and carry their unit in the function that takes them (see
its docstring). 'mild' is meant to be seen by an expert and to leave the picture usable, 'severe' to make it useless for
diagnosis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from math import sqrt
from pkgutil import resolve_name
from typing import Any, TypeAlias

import numpy as np

from medqbench_vlmeval.synth.images import Picture

GRADES = ("mild", "severe")
GREY = ("CT", "MRI", "X-ray", "Ultrasound")

# 'mild' and 'severe' -> parameters, and that by degradation's key.
Grades: TypeAlias = Mapping[str, Mapping[str, float]]
Strengths: TypeAlias = Mapping[str, Grades]

_CATALOGUE: Mapping[str, Any] = json.loads((files(__package__) / "catalogue.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Source:
    """One undegraded picture. ``noun`` is how a question names it ('axial brain MRI slice'), ``kind`` the value of the
    ``source`` column without degradation ('authentic', 'phantom' or 'procedural'). ``group`` is what sources of one
    file or patient share (frames, slices): a split holds all of a group or none; without it a source is its own group.
    """

    key: str
    modality: str
    noun: str
    kind: str
    origin: str
    load: partial[Picture]
    group: str = ""


@dataclass(frozen=True)
class Degradation:
    """One fault of one modality. ``name`` is what an option or a question calls it, ``scope`` whether photographs in
    general can have it or only this modality. ``parameters`` maps 'mild' and 'severe' to the keyword arguments of
    ``function``, a dotted name. ``asked`` completes 'Does this image show ...?', ``amount`` completes 'How severe ...
    in this image?', ``signs`` says what is seen by severity. ``measure`` is the full-reference measure that falls with
    the severity ('psnr', 'ssim' or 'gradient'), ``medq_deg`` the name that MedQ-Deg has for the type, "" for none."""

    key: str
    modality: str
    name: str
    scope: str
    function: str
    parameters: Mapping[str, Mapping[str, float]]
    asked: str
    amount: str
    signs: Mapping[str, str]
    measure: str = "psnr"
    medq_deg: str = ""

    def strength(self, grade: str) -> Mapping[str, float]:
        """The parameters of a severity; those of 'moderate' are the geometric means of the mild and the severe ones."""
        mild, severe = (self.parameters[of] for of in GRADES)
        moderate = {name: round(sqrt(mild[name] * severe[name]), 4) for name in mild}
        return {"mild": mild, "moderate": moderate, "severe": severe}[grade]

    def degrade(self, picture: Picture, grade: str, rng: np.random.Generator) -> Picture:
        """``picture`` at the severity ``grade`` ('mild', 'moderate' or 'severe')."""
        degraded: Picture = resolve_name(self.function)(picture, rng, **self.strength(grade))
        return degraded


@dataclass(frozen=True)
class Planned:
    """One picture of the set. ``seed`` starts its own generator, so that each can be made alone; ``stem`` begins the
    file's name. ``also`` is a second degradation, put on after the first at ``also_severity``, which is not above
    ``severity``."""

    source: Source
    degradation: Degradation | None
    severity: str
    seed: tuple[int, ...]
    stem: str = ""
    also: Degradation | None = None
    also_severity: str = "mild"

    @property
    def put_on(self) -> tuple[tuple[Degradation, str], ...]:
        """The degradations in the order in which they are put on, each with its severity."""
        both = ((self.degradation, self.severity), (self.also, self.also_severity))
        return tuple((degradation, grade) for degradation, grade in both if degradation)

    @property
    def file_name(self) -> str:
        """Grey pictures are stored as PNG, colour pictures as high-quality JPEG. The name tells no answer."""
        return f"{self.stem}.{'png' if self.source.modality in GREY else 'jpg'}"

    @property
    def fault(self) -> str:
        """The value of the ``degradation`` column."""
        return " and ".join(degradation.name for degradation, _ in self.put_on) or "none"

    @property
    def origin(self) -> str:
        """The value of the ``source`` column."""
        if self.degradation is None or self.source.kind != "authentic":
            return self.source.kind
        return "simulated distortion"


@dataclass(frozen=True)
class Structures:
    """What one looks for in a modality: fine detail, coarse structure, and what a clean picture is like."""

    fine: str
    coarse: str
    clean: str


def _by_modality(key: str, modalities: Mapping[str, Any] | None = None, **row: Any) -> list[dict[str, Any]]:
    """A general row is one of each of its ``modalities``, with the fields that are told there."""
    if modalities is None:
        return [{"key": key, **row}]
    short = _CATALOGUE["short"]
    return [{**row, "key": f"{short[name]}-{key}", "modality": name, **own} for name, own in modalities.items()]


DEGRADATIONS = {row["key"]: Degradation(**row) for rows in _CATALOGUE["degradations"] for row in _by_modality(**rows)}
STRUCTURES = {modality: Structures(**row) for modality, row in _CATALOGUE["structures"].items()}


def of_modality(modality: str) -> tuple[Degradation, ...]:
    """The catalogue's degradations of one modality, in the catalogue's order."""
    return tuple(row for row in DEGRADATIONS.values() if row.modality == modality)


def recalibrated(degradations: Iterable[Degradation], strengths: Strengths) -> tuple[Degradation, ...]:
    """The same degradations in the same order, with the parameters that ``strengths`` has for some of them."""
    return tuple(replace(row, parameters=strengths.get(row.key, row.parameters)) for row in degradations)


_ALIKE = tuple(re.compile(rf"(?i)\b(?:{'|'.join(words)})") for words in _CATALOGUE["alike"])


def alike(one: Degradation, other: Degradation) -> bool:
    """Whether one degradation may be taken for the other or brings it along (haze and low contrast), so that a
    question must not have both among its options, nor ask for one where the other is."""
    names = (f"{one.name} {one.asked}", f"{other.name} {other.asked}")
    return one.name == other.name or any(all(words.search(name) for name in names) for words in _ALIKE)
