"""Reference texts of the reasoning tasks, built from what was done to the picture."""

from __future__ import annotations

from medqbench_vlmeval.synth.catalogue import Degradation
from medqbench_vlmeval.synth.wording import CONCLUSION, LEVEL_OF_SEVERITY, STRUCTURES, WORDING

_RANK = {"none": 0, "mild": 1, "severe": 2}
_ADVERB = {"mild": "mildly", "severe": "severely"}


def article(noun: str) -> str:
    """'a' or 'an' as the noun's first sound asks."""
    return "an" if noun[0].lower() in "aeiou" or noun.startswith(("MRI", "X-ray")) else "a"


def describe(noun: str, modality: str, severity: str, degradation: Degradation | None) -> str:
    """Four sentences on one picture that end with its quality level.

    ``degradation`` is None exactly for severity 'none'.
    """
    fine, coarse, clean = STRUCTURES[modality]
    last = CONCLUSION.format(level=LEVEL_OF_SEVERITY[severity])
    if degradation is None:
        first = f"The {noun} shows no visible degradation."
        detail = f"Both {fine} and {coarse} can be assessed without restriction, and no artifact is present."
        return f"{first} {clean}. {detail} {last}"
    first = f"The {noun} is {_ADVERB[severity]} degraded by {degradation.name}."
    signs = WORDING[degradation.key].signs[severity]
    if severity == "mild":
        effect = f"This slightly impairs {fine}, while {coarse} can still be assessed"
    else:
        effect = f"As a result {fine} can no longer be assessed, and even {coarse} is hard to judge"
        effect = effect.replace(" is hard", " are hard") if " and " in coarse or coarse.endswith("s") else effect
    return f"{first} {signs}. {effect}; no other degradation stands out. {last}"


def _part(place: str, severity: str, degradation: Degradation | None, modality: str) -> str:
    if degradation is None:
        clean = STRUCTURES[modality][2]
        return f"The {place} image is free of visible degradation: {clean[0].lower()}{clean[1:]}."
    signs = WORDING[degradation.key].signs[severity]
    return f"The {place} image is {_ADVERB[severity]} degraded by {degradation.name}: {signs[0].lower()}{signs[1:]}."


def compare(
    noun: str, modality: str, first: tuple[str, Degradation | None], second: tuple[str, Degradation | None]
) -> str:
    """Four or five sentences on two pictures, each given as (severity, degradation), that end with the better one.

    Raises:
        ValueError: both have the same severity, so that neither is better.
    """
    if first[0] == second[0]:
        raise ValueError("a pair needs two different severities")
    better = "first" if _RANK[first[0]] < _RANK[second[0]] else "second"
    worse = "second" if better == "first" else "first"
    fine, coarse, _ = STRUCTURES[modality]
    parts = [
        f"Both images show the same scene, {article(noun)} {noun}.",
        _part("first", *first, modality),
        _part("second", *second, modality),
    ]
    gap = abs(_RANK[first[0]] - _RANK[second[0]])
    if gap > 1:
        parts.append(f"The difference is large: in the {worse} image {fine} and {coarse} are hard to assess.")
    else:
        seen = f"how well {fine} can be seen"
        parts.append(f"The difference lies mainly in {seen}, which is better in the {better} image.")
    parts.append(f"Overall, the {better} image is of higher quality.")
    return " ".join(parts)
