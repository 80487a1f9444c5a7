"""What a careful reader would write about each degradation: the words of questions and reference texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONCLUSION = "Overall, the quality of this image is {level}."
LEVEL_OF_SEVERITY: Mapping[str, str] = {"none": "good", "mild": "usable", "severe": "reject"}


@dataclass(frozen=True)
class Wording:
    """``asked`` completes 'Does this image show ...?', ``amount`` completes 'How severe is/are the ...'
    (with ``plural``), ``signs`` says what is seen by severity."""

    asked: str
    amount: str
    plural: bool
    signs: Mapping[str, str]


def _w(asked: str, amount: str, plural: bool, mild: str, severe: str) -> Wording:
    return Wording(asked, amount, plural, {"mild": mild, "severe": severe})


WORDING: Mapping[str, Wording] = {
    "ct-noise": _w(
        "low-dose noise",
        "noise",
        False,
        "Fine-grained noise from a reduced dose is visible in homogeneous areas",
        "Heavy quantum noise from a very low dose covers the slice with coarse grain and drowns low-contrast detail",
    ),
    "ct-sparse": _w(
        "sparse-view streaks",
        "streaking",
        False,
        "Thin regular streaks from too few projections run across the slice",
        "Strong crossing streaks from a small number of projections cover the entire slice",
    ),
    "ct-limited": _w(
        "limited-angle distortion",
        "limited-angle distortion",
        False,
        "Edges are slightly smeared along one direction because part of the scan angle is missing",
        "A large part of the scan angle is missing, so that edges vanish in one direction and the outline is smeared",
    ),
    "ct-ring": _w(
        "ring artifacts",
        "ring artifacts",
        True,
        "Faint concentric rings around the center of rotation are visible",
        "Pronounced bright and dark concentric rings cross the whole slice",
    ),
    "ct-metal": _w(
        "metal artifacts",
        "metal artifacts",
        True,
        "A small metal object sends thin streaks into its surroundings",
        "Large metal objects cause broad dark bands and bright streaks that spread over the slice",
    ),
    "ct-motion": _w(
        "artifacts from patient motion",
        "motion artifact",
        False,
        "Contours are slightly doubled and shaded because the patient moved a little",
        "Contours are strongly doubled and shading crosses the slice because the patient moved during the scan",
    ),
    "mr-motion": _w(
        "motion ghosting",
        "motion ghosting",
        False,
        "Weak ghost contours repeat along the phase-encoding direction",
        "Strong motion ghosts repeat along the phase-encoding direction and overlap the anatomy",
    ),
    "mr-alias": _w(
        "aliasing from undersampling",
        "aliasing",
        False,
        "Faint shifted copies of the anatomy from undersampling are visible",
        "Shifted copies of the anatomy from heavy undersampling fold over the slice",
    ),
    "mr-bias": _w(
        "intensity inhomogeneity (a bias field)",
        "intensity inhomogeneity",
        False,
        "The brightness drifts smoothly from one side to the other, a slight bias field",
        "A strong bias field leaves one side bright and the other almost black",
    ),
    "mr-noise": _w(
        "random noise",
        "noise",
        False,
        "Fine random noise is visible in tissue and background",
        "Very strong random noise covers tissue and background and hides the tissue contrast",
    ),
    "mr-spike": _w(
        "a herringbone (spike) pattern",
        "herringbone pattern",
        False,
        "A faint regular stripe pattern lies over the slice",
        "A dominant herringbone pattern of crossing stripes lies over the whole slice",
    ),
    "mr-lowres": _w(
        "blur from low spatial resolution",
        "blur",
        False,
        "Edges are slightly soft and accompanied by weak ringing, as from a short acquisition matrix",
        "The slice is very blurred, with blocky soft edges and ringing from a very short acquisition matrix",
    ),
    "hp-defocus": _w(
        "out-of-focus blur",
        "blur",
        False,
        "The field is slightly out of focus, so that nuclear borders look soft",
        "The field is far out of focus, so that nuclei and cell borders melt into each other",
    ),
    "hp-bubble": _w(
        "air bubbles",
        "air bubbles",
        True,
        "One small air bubble with a dark rim covers a little of the tissue",
        "Several large air bubbles with dark rims cover much of the tissue and blur what lies under them",
    ),
    "hp-fold": _w(
        "tissue folding",
        "tissue folding",
        False,
        "A narrow dark band marks a small fold of the section",
        "Broad dark folds, where the section lies in two layers, cross the field",
    ),
    "hp-faded": _w(
        "weak staining",
        "weakness of the staining",
        False,
        "The staining is paler than it should be and contrast is slightly reduced",
        "The staining is almost absent, so that nuclei and cytoplasm can hardly be told apart and contrast is very low",
    ),
    "hp-debris": _w(
        "dark debris",
        "contamination by debris",
        False,
        "A few small dark specks of debris lie on the tissue",
        "Many large dark clumps of debris hide a good part of the tissue",
    ),
    "hp-jpeg": _w(
        "compression artifacts",
        "compression artifacts",
        True,
        "Slight blocking and color fringes from lossy compression are visible around nuclei",
        "Heavy lossy compression breaks the field into flat square blocks with false colors",
    ),
    "en-motion": _w(
        "motion blur",
        "motion blur",
        False,
        "Vessels and folds are slightly smeared along one direction by camera movement",
        "Strong motion blur smears the mucosa along one direction and wipes out the vessels",
    ),
    "en-light": _w(
        "uneven illumination",
        "uneven illumination",
        False,
        "The illumination is uneven, with one side somewhat darker",
        "The illumination is very uneven: one part is lit and most of the mucosa lies in the dark",
    ),
    "en-glare": _w(
        "specular reflections",
        "specular reflections",
        True,
        "A few small white specular reflections are scattered over the mucosa",
        "Many large white specular reflections saturate the view and hide the mucosa beneath",
    ),
    "en-over": _w(
        "overexposure",
        "overexposure",
        False,
        "The image is somewhat too bright and the near mucosa begins to wash out",
        "The near mucosa is overexposed to a uniform white and has lost its color and texture",
    ),
    "en-bubble": _w(
        "bubbles",
        "bubbles",
        True,
        "A small group of bubbles covers a little of the mucosa",
        "Dense foam with many bubbles covers the mucosa and the lumen",
    ),
    "en-haze": _w(
        "low contrast",
        "loss of contrast",
        False,
        "A slight haze lowers the contrast of folds and vessels",
        "A thick haze leaves almost no contrast: folds, vessels and lumen are barely visible",
    ),
    "fu-defocus": _w(
        "out-of-focus blur",
        "blur",
        False,
        "The photograph is slightly out of focus, so that the small vessels look soft",
        "The photograph is far out of focus: only the optic disc and the largest vessels can be guessed",
    ),
    "fu-light": _w(
        "uneven illumination",
        "uneven illumination",
        False,
        "The illumination is uneven, with one part of the fundus somewhat darker",
        "The illumination is very uneven and a large part of the fundus is dark",
    ),
    "fu-haze": _w(
        "low contrast",
        "loss of contrast",
        False,
        "A slight haze lowers the contrast between vessels and background",
        "A dense haze leaves almost no contrast, so that vessels and macula nearly disappear",
    ),
    "fu-colour": _w(
        "color distortion",
        "color distortion",
        False,
        "The colors deviate slightly from the natural red-orange of the fundus",
        "The colors are strongly distorted and the natural red-orange of the fundus is lost",
    ),
    "fu-noise": _w(
        "random noise",
        "noise",
        False,
        "Fine colored grain is visible over the background",
        "Heavy colored noise covers the photograph and hides the small vessels",
    ),
    "fu-over": _w(
        "overexposure",
        "overexposure",
        False,
        "The photograph is somewhat too bright around the optic disc",
        "The photograph is overexposed: the optic disc and its surroundings are washed out to white",
    ),
}

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
