"""The words by which questions and options name degradations, severities and modalities, and words to answer with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One degradation the reference model knows: ``pattern`` finds it in a text, ``says`` are the words for a
    description, ``seen`` its visible sign."""

    key: str
    pattern: re.Pattern[str]
    says: str
    seen: str


def _fault(key: str, pattern: str, says: str, seen: str) -> Fault:
    return Fault(key, re.compile(pattern, re.IGNORECASE), says, seen)


FAULTS: Mapping[str, Fault] = {
    fault.key: fault
    for fault in (
        _fault("ct-noise", r"nois|grain|low.?dose", "low-dose noise", "grainy noise covers homogeneous areas"),
        _fault(
            "ct-sparse",
            r"sparse|streak|few(er)? (views|projections)",
            "sparse-view streaks",
            "regular streaks cross the slice",
        ),
        _fault("ct-limited", r"limited.?angle", "limited-angle distortion", "edges are smeared along one direction"),
        _fault("ct-ring", r"\brings?\b", "ring artifacts", "concentric rings surround the center"),
        _fault("ct-metal", r"metal|implant", "metal artifacts", "streaks and dark bands spread from metal"),
        _fault("ct-motion", r"motion|movement", "patient motion", "contours are doubled and shaded"),
        _fault(
            "mr-motion",
            r"motion|movement|ghost",
            "motion ghosting",
            "ghost contours repeat along the phase-encoding direction",
        ),
        _fault(
            "mr-alias",
            r"alias|undersampl|wrap|fold.?over",
            "undersampling aliasing",
            "shifted copies overlap the anatomy",
        ),
        _fault(
            "mr-bias",
            r"bias|inhomogene|shading|uneven",
            "intensity inhomogeneity",
            "the brightness drifts across the slice",
        ),
        _fault("mr-noise", r"nois|grain", "random noise", "random grain covers tissue and background"),
        _fault(
            "mr-spike",
            r"spike|herringbone|strip",
            "herringbone (spike) artifact",
            "a regular stripe pattern lies over the slice",
        ),
        _fault("mr-lowres", r"blur|resolution|sharp|ringing|gibbs", "blur", "edges are soft"),
        _fault("hp-defocus", r"blur|focus|sharp", "out-of-focus blur", "nuclei and cell borders are soft"),
        _fault("hp-bubble", r"bubble", "air bubbles", "round bubbles with dark rims cover the tissue"),
        _fault("hp-fold", r"fold", "tissue folding", "dark bands mark folds of the section"),
        _fault(
            "hp-faded", r"stain|pale|fad(ed|ing)|contrast", "weak staining", "the stain is pale and contrast is low"
        ),
        _fault(
            "hp-debris", r"debris|dust|speck|dark spot|contaminat|dirt", "dark debris", "dark specks lie on the tissue"
        ),
        _fault(
            "hp-jpeg", r"compress|block|jpe?g", "compression artifacts", "square blocks and color fringes are visible"
        ),
        _fault(
            "en-motion",
            r"motion|blur|sharp|movement",
            "motion blur",
            "vessels and folds are smeared along one direction",
        ),
        _fault(
            "en-light",
            r"illuminat|vignett|uneven|under.?expos|dark",
            "uneven illumination",
            "part of the mucosa is dark",
        ),
        _fault(
            "en-glare",
            r"specular|reflect|glare|highlight",
            "specular reflections",
            "white reflections are scattered over the mucosa",
        ),
        _fault("en-over", r"over.?expos|too bright|saturat", "overexposure", "bright areas are washed out"),
        _fault("en-bubble", r"bubble|foam", "bubbles", "bubbles cover part of the mucosa"),
        _fault(
            "en-haze", r"contrast|haz[ey]|fog", "low contrast", "folds and vessels are hard to tell from the background"
        ),
        _fault("fu-defocus", r"blur|focus|sharp", "out-of-focus blur", "vessels look soft"),
        _fault(
            "fu-light",
            r"illuminat|vignett|uneven|under.?expos|dark",
            "uneven illumination",
            "part of the fundus is dark",
        ),
        _fault("fu-haze", r"contrast|haz[ey]|fog", "low contrast", "vessels hardly stand out from the background"),
        _fault("fu-colour", r"colou?r", "color distortion", "the colors are unnatural"),
        _fault("fu-noise", r"nois|grain", "random noise", "colored grain covers the background"),
        _fault("fu-over", r"over.?expos|too bright|saturat", "overexposure", "the brightest parts are washed out"),
    )
}

_MODALITIES = {
    "CT": re.compile(r"\b(CT|computed tomograph)", re.IGNORECASE),
    "MRI": re.compile(r"\b(MRI?|magnetic resonance)\b", re.IGNORECASE),
    "Histopathology": re.compile(r"histo|patholog(y|ical) (image|slide)|microscop|tissue section", re.IGNORECASE),
    "Endoscopy": re.compile(r"endoscop|colonoscop", re.IGNORECASE),
    "Fundus": re.compile(r"fundus|retina", re.IGNORECASE),
}

_CLEAN = re.compile(
    r"\b(no|none|free of|without|absen\w+|normal|undegraded)\b"
    r".*(degrad|artifact|artefact|distort|problem|issue|defect|visible)"
    r"|^\s*(none|normal|no)\s*\.?\s*$",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(free (of|from)|without|lacks?|absen(t|ce)|unaffected)\b", re.IGNORECASE)
_PRAISE = re.compile(
    r"\b(good|adequate|sufficient|acceptable|clear|sharp|well|uniform|even|homogeneous|diagnostic|high.quality|properly)\b",
    re.IGNORECASE,
)

# Places on the scale from undegraded (0) to useless (2); the first pattern that matches counts.
_LEVELS: Sequence[tuple[float, re.Pattern[str]]] = tuple(
    (level, re.compile(pattern, re.IGNORECASE))
    for level, pattern in (
        (2.0, r"\b(reject|severe|poor|bad|unusable|heav\w+|strong\w*|extreme\w*|unacceptable|very (low|dark))\b"),
        (1.0, r"\b(usable|mild|moderate\w*|slight\w*|fair|acceptable|medium|average|minor|some)\b"),
        (0.0, r"\b(good|excellent|none|no|not|absent|normal|perfect|clear|high|sharp)\b"),
    )
)


def modality_in(text: str) -> str | None:
    """The one modality that a text names, or None (none named, or several)."""
    found = [name for name, pattern in _MODALITIES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else None


def faults_in(text: str, keys: Sequence[str]) -> list[str]:
    """Which of the known degradations ``keys`` a text names."""
    return [key for key in keys if FAULTS[key].pattern.search(text)]


def says_clean(text: str) -> bool:
    """Whether an option's text says that nothing is wrong."""
    return bool(_CLEAN.search(text))


def asks_absence(question: str) -> bool:
    """Whether 'Yes' to this question means that the degradation is absent."""
    return bool(_NEGATED.search(question) or _PRAISE.search(question))


def level_of(text: str) -> float | None:
    """0 undegraded, 1 mild or usable, 2 severe or reject; None where the text names no level."""
    return next((level for level, pattern in _LEVELS if pattern.search(text)), None)
