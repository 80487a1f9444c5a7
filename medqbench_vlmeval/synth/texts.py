"""Questions whose right answer is known because the degradation was made, and reference texts: what a careful reader
would write about each degradation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medqbench_vlmeval.synth.degradations import Degradation

CONCLUSION = "Overall, the quality of this image is {level}."
LEVEL_OF_SEVERITY: Mapping[str, str] = {"none": "good", "mild": "usable", "severe": "reject"}
NOTHING = "No visible degradation"
RATINGS = {"none": "Good", "mild": "Usable", "severe": "Reject"}
AMOUNTS = {"none": "None", "mild": "Mild", "severe": "Severe"}
_RANK = {"none": 0, "mild": 1, "severe": 2}
_ADVERB = {"mild": "mildly", "severe": "severely"}


@dataclass(frozen=True)
class Wording:
    """``asked`` completes 'Does this image show ...?', ``amount`` completes 'How severe ... in this image?', ``signs``
    says what is seen by severity."""

    asked: str
    amount: str
    signs: Mapping[str, str]


# Key, what is asked for and its amount; then the signs at the mild and at the severe grade, a line each.
_WORDING_TABLE = """
ct-noise :: low-dose noise :: is the noise
  Fine-grained noise from a reduced dose is visible in homogeneous areas
  Heavy quantum noise from a very low dose covers the slice with coarse grain and drowns low-contrast detail
ct-sparse :: sparse-view streaks :: is the streaking
  Thin regular streaks from too few projections run across the slice
  Strong crossing streaks from a small number of projections cover the entire slice
ct-limited :: limited-angle distortion :: is the limited-angle distortion
  Edges are slightly smeared along one direction because part of the scan angle is missing
  A large part of the scan angle is missing, so that edges vanish in one direction and the outline is smeared
ct-ring :: ring artifacts :: are the ring artifacts
  Faint concentric rings around the center of rotation are visible
  Pronounced bright and dark concentric rings cross the whole slice
ct-metal :: metal artifacts :: are the metal artifacts
  A small metal object sends thin streaks into its surroundings
  Large metal objects cause broad dark bands and bright streaks that spread over the slice
ct-motion :: artifacts from patient motion :: is the motion artifact
  Contours are slightly doubled and shaded because the patient moved a little
  Contours are strongly doubled and shading crosses the slice because the patient moved during the scan
mr-motion :: motion ghosting :: is the motion ghosting
  Weak ghost contours repeat along the phase-encoding direction
  Strong motion ghosts repeat along the phase-encoding direction and overlap the anatomy
mr-alias :: aliasing from undersampling :: is the aliasing
  Faint shifted copies of the anatomy from undersampling are visible
  Shifted copies of the anatomy from heavy undersampling fold over the slice
mr-bias :: intensity inhomogeneity (a bias field) :: is the intensity inhomogeneity
  The brightness drifts smoothly from one side to the other, a slight bias field
  A strong bias field leaves one side bright and the other almost black
mr-noise :: random noise :: is the noise
  Fine random noise is visible in tissue and background
  Very strong random noise covers tissue and background and hides the tissue contrast
mr-spike :: a herringbone (spike) pattern :: is the herringbone pattern
  A faint regular stripe pattern lies over the slice
  A dominant herringbone pattern of crossing stripes lies over the whole slice
mr-lowres :: blur from low spatial resolution :: is the blur
  Edges are slightly soft and accompanied by weak ringing, as from a short acquisition matrix
  The slice is very blurred, with blocky soft edges and ringing from a very short acquisition matrix
hp-defocus :: out-of-focus blur :: is the blur
  The field is slightly out of focus, so that nuclear borders look soft
  The field is far out of focus, so that nuclei and cell borders melt into each other
hp-bubble :: air bubbles :: are the air bubbles
  One small air bubble with a dark rim covers a little of the tissue
  Several large air bubbles with dark rims cover much of the tissue and blur what lies under them
hp-fold :: tissue folding :: is the tissue folding
  A narrow dark band marks a small fold of the section
  Broad dark folds, where the section lies in two layers, cross the field
hp-faded :: weak staining :: is the weakness of the staining
  The staining is paler than it should be and contrast is slightly reduced
  The staining is almost absent, so that nuclei and cytoplasm can hardly be told apart and contrast is very low
hp-debris :: dark debris :: is the contamination by debris
  A few small dark specks of debris lie on the tissue
  Many large dark clumps of debris hide a good part of the tissue
hp-jpeg :: compression artifacts :: are the compression artifacts
  Slight blocking and color fringes from lossy compression are visible around nuclei
  Heavy lossy compression breaks the field into flat square blocks with false colors
en-motion :: motion blur :: is the motion blur
  Vessels and folds are slightly smeared along one direction by camera movement
  Strong motion blur smears the mucosa along one direction and wipes out the vessels
en-light :: uneven illumination :: is the uneven illumination
  The illumination is uneven, with one side somewhat darker
  The illumination is very uneven: one part is lit and most of the mucosa lies in the dark
en-glare :: specular reflections :: are the specular reflections
  A few small white specular reflections are scattered over the mucosa
  Many large white specular reflections saturate the view and hide the mucosa beneath
en-over :: overexposure :: is the overexposure
  The image is somewhat too bright and the near mucosa begins to wash out
  The near mucosa is overexposed to a uniform white and has lost its color and texture
en-bubble :: bubbles :: are the bubbles
  A small group of bubbles covers a little of the mucosa
  Dense foam with many bubbles covers the mucosa and the lumen
en-haze :: low contrast :: is the loss of contrast
  A slight haze lowers the contrast of folds and vessels
  A thick haze leaves almost no contrast: folds, vessels and lumen are barely visible
fu-defocus :: out-of-focus blur :: is the blur
  The photograph is slightly out of focus, so that the small vessels look soft
  The photograph is far out of focus: only the optic disc and the largest vessels can be guessed
fu-light :: uneven illumination :: is the uneven illumination
  The illumination is uneven, with one part of the fundus somewhat darker
  The illumination is very uneven and a large part of the fundus is dark
fu-haze :: low contrast :: is the loss of contrast
  A slight haze lowers the contrast between vessels and background
  A dense haze leaves almost no contrast, so that vessels and macula nearly disappear
fu-colour :: color distortion :: is the color distortion
  The colors deviate slightly from the natural red-orange of the fundus
  The colors are strongly distorted and the natural red-orange of the fundus is lost
fu-noise :: random noise :: is the noise
  Fine colored grain is visible over the background
  Heavy colored noise covers the photograph and hides the small vessels
fu-over :: overexposure :: is the overexposure
  The photograph is somewhat too bright around the optic disc
  The photograph is overexposed: the optic disc and its surroundings are washed out to white
"""


def _wordings() -> dict[str, Wording]:
    lines = _WORDING_TABLE.strip().splitlines()
    heads = (head.split(" :: ") for head in lines[::3])
    return {
        key: Wording(asked, amount, {"mild": mild.strip(), "severe": severe.strip()})
        for (key, asked, amount), mild, severe in zip(heads, lines[1::3], lines[2::3], strict=True)
    }


WORDING: Mapping[str, Wording] = _wordings()

# What one looks for in each modality: (fine detail, coarse structure, what a clean picture is like).
STRUCTURES: Mapping[str, tuple[str, str, str]] = {
    "CT": (
        "small low-contrast detail",
        "organ outlines and bone",
        "Noise is low, edges are sharp and tissue contrast is adequate for the chosen window",
    ),
    "MRI": (
        "small tissue boundaries",
        "the overall anatomy",
        "Tissue contrast is high, edges are sharp and the background is dark and free of ghosts",
    ),
    "Histopathology": (
        "nuclear and membrane detail",
        "the glandular architecture",
        "Focus is sharp, the stain is well balanced and nuclei and membranes are crisp",
    ),
    "Endoscopy": (
        "the fine vessel pattern",
        "folds and lumen",
        "Exposure is balanced, the focus is sharp and folds and vessels are clearly visible",
    ),
    "Fundus": (
        "small vessels and the macular detail",
        "the optic disc and the large vessels",
        "Focus is sharp, color is natural and the optic disc, the macula and small vessels are clearly visible",
    ),
}


@dataclass(frozen=True)
class Question:
    """``options`` in display order; ``right`` is the text of the right one."""

    text: str
    options: tuple[str, ...]
    right: str
    scope: str


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def yes_or_no(noun: str, present: bool, asked: Degradation, yes_first: bool) -> Question:
    """'Does this <noun> show <degradation>?' for a picture that has it (``present``) or not."""
    options = ("Yes", "No") if yes_first else ("No", "Yes")
    text = f"Does this {noun} show {WORDING[asked.key].asked}?"
    return Question(text, options, "Yes" if present else "No", asked.scope)


def is_degraded(noun: str, degraded: bool, yes_first: bool) -> Question:
    """'Is this <noun> free of visible degradation?'."""
    options = ("Yes", "No") if yes_first else ("No", "Yes")
    return Question(f"Is this {noun} free of visible degradation?", options, "No" if degraded else "Yes", "general")


def _arrange(right: str, others: Sequence[str], place: int) -> tuple[str, ...]:
    return (*others[:place], right, *others[place:])


def _mixed(scale: Mapping[str, str], severity: str, place: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The three options of a scale: the right one at ``place``, the others in random order."""
    others = [text for grade, text in scale.items() if grade != severity]
    return _arrange(scale[severity], [others[int(i)] for i in rng.permutation(2)], place)


def which(
    noun: str,
    present: Degradation | None,
    all_known: Sequence[Degradation],
    options: int,
    place: int,
    rng: np.random.Generator,
) -> Question:
    """'Which degradation is most prominent in this <noun>?' with the right answer at position ``place``.

    Distractors are other degradations of the same modality; 'No visible degradation' is among the options of
    every four-option question. ``options`` is 3 or 4.
    """
    others = [_title(d.name) for d in all_known if d is not present]
    drawn = [others[int(i)] for i in rng.permutation(len(others))]
    if present is None:
        right, wrong, scope = NOTHING, drawn[: options - 1], "general"
    else:
        right, wrong, scope = _title(present.name), drawn[: options - 1], present.scope
        if options == 4:
            wrong[int(rng.integers(3))] = NOTHING
    return Question(f"Which degradation is most prominent in this {noun}?", _arrange(right, wrong, place), right, scope)


def how_good(noun: str, severity: str, place: int, rng: np.random.Generator) -> Question:
    """'How would you rate the overall quality of this <noun>?' with Good, Usable and Reject."""
    text = f"How would you rate the overall quality of this {noun}?"
    return Question(text, _mixed(RATINGS, severity, place, rng), RATINGS[severity], "general")


def how_severe(noun: str, severity: str, asked: Degradation, place: int, rng: np.random.Generator) -> Question:
    """'How severe is the <degradation> in this <noun>?' with None, Mild and Severe."""
    text = f"How severe {WORDING[asked.key].amount} in this {noun}?"
    return Question(text, _mixed(AMOUNTS, severity, place, rng), AMOUNTS[severity], asked.scope)


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
    if abs(_RANK[first[0]] - _RANK[second[0]]) > 1:
        parts.append(f"The difference is large: in the {worse} image {fine} and {coarse} are hard to assess.")
    else:
        seen = f"how well {fine} can be seen"
        parts.append(f"The difference lies mainly in {seen}, which is better in the {better} image.")
    parts.append(f"Overall, the {better} image is of higher quality.")
    return " ".join(parts)
