"""Quality attributes of medical images and how free text speaks of them.

Each attribute has words for its bad side ('noisy'), its good side ('sharp') and neutral nouns ('contrast'), which
take their side from a quality word nearby ('poor contrast'). The attributes follow the degradations that the
benchmark names for its five modalities.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """Word patterns of one attribute; an empty pattern matches nothing."""

    name: str
    bad: str = ""
    good: str = ""
    neutral: str = ""


_ARTIFACT = r"(?:[ -](?:artef|artif)acts?)?"

# Longer and more special expressions first: 'motion blur' is motion, 'ringing' no ring.
ATTRIBUTES = (
    Attribute(
        "motion",
        rf"motion(?:[ -](?:blur\w*|related))?{_ARTIFACT}|movement{_ARTIFACT}|pulsation{_ARTIFACT}",
        "motion[ -]free",
    ),
    Attribute("ghosting", rf"ghost\w*{_ARTIFACT}|double contours?|duplicated (?:edges|contours|structures)"),
    Attribute("ringing", rf"(?:gibbs|truncation)(?:[ -]ringing)?{_ARTIFACT}|ringing{_ARTIFACT}"),
    Attribute("ring", rf"\brings?\b{_ARTIFACT}|concentric (?:circles|bands|rings)"),
    Attribute(
        "aliasing",
        rf"alias\w*{_ARTIFACT}|wrap[ -]?around{_ARTIFACT}|fold[ -]?over{_ARTIFACT}|under-?sampl\w*{_ARTIFACT}|moir\w*",
    ),
    Attribute(
        "streaks",
        rf"streak\w*{_ARTIFACT}|strip(?:es?|ing|ed){_ARTIFACT}|band(?:s|ing){_ARTIFACT}|sparse[ -]view"
        rf"|limited[ -]angle",
    ),
    Attribute(
        "metal",
        rf"metal\w*{_ARTIFACT}|beam[ -]hardening{_ARTIFACT}|susceptib\w*{_ARTIFACT}|signal (?:voids?|loss|dropouts?)",
    ),
    Attribute("snr", neutral=r"signal[ -]to[ -]noise(?: ratio)?|\bsnr\b"),
    Attribute(
        "noise",
        rf"nois(?:e|y|ier|iest|iness)(?![ -]free)|grain(?:y|ier|iness)?|speckl\w*|granular\w*|mottl\w*"
        rf"|low[ -]dose{_ARTIFACT}",
        "noise[ -]free",
    ),
    Attribute("resolution", r"low[ -]resolution|pixell?at\w*", "high[ -]resolution", r"(?:spatial )?resolution"),
    Attribute(
        "compression",
        rf"(?:jpeg[ -])?compress\w*{_ARTIFACT}|block(?:y|iness|ing){_ARTIFACT}|jpeg{_ARTIFACT}|mosaic\w*",
    ),
    Attribute(
        "bias field",
        rf"bias[ -]fields?{_ARTIFACT}|inhomogen\w*|(?:intensity|signal) (?:drift|variations?|non-?uniformit\w+)",
        r"homogeneous (?:signal|intensity)|(?:signal|intensity) (?:homogeneity|uniformity)",
    ),
    Attribute(
        "specular",
        rf"specular\w*(?: (?:highlights?|reflections?))?|reflections?{_ARTIFACT}|highlights?|glare|glint\w*",
    ),
    Attribute("saturation", r"(?:over-?)?saturat(?:ed|ion)|clipp(?:ed|ing)|blown[ -]out"),
    Attribute(
        "illumination",
        r"vignett\w*|(?:over|under)-?expos\w*|uneven(?:ly)? (?:lit|illuminat\w*|bright\w*|lighting)"
        r"|non-?uniform (?:illumination|lighting|brightness)|shad(?:ows?|ing|ed)|dim(?:med|ly)?|hot ?spots?"
        r"|(?<!background is )(?:too |over\w* |partly )?dark(?:ened|ening|ness|er)?(?! background| spots?| adapt)",
        r"(?:evenly|well|uniformly|properly)[ -](?:lit|illuminated|exposed)"
        r"|(?:uniform|even|homogeneous) (?:illumination|lighting|brightness)",
        r"illumination|brightness|lighting|exposure",
    ),
    Attribute(
        "low contrast",
        r"low[ -]contrast(?! (?:detail|structure|resolution|lesion|object)\w*)|washed[ -]out|flat tonal range"
        r"|(?:poor|reduced|weak|insufficient)(?:er)? contrast",
        neutral=r"contrast(?![ -](?:enhanced|agent|medi|detail|structure|resolution|lesion|object))",
    ),
    Attribute(
        "colour",
        r"colou?r (?:casts?|shifts?|distort\w*|fading|deviation|imbalance|aberration)|discolou?r\w*|tint(?:ed)?"
        r"|(?:yellow|red|blue|green|purpl)ish (?:cast|tint|hue)|(?:over|under)-?stain\w*|unnatural colou?rs?",
        r"natural colou?rs?|(?:accurate|faithful|balanced) colou?rs?",
        r"colou?rs?(?: (?:balance|fidelity|reproduction|rendition))?|stain(?:ing)?|hues?",
    ),
    Attribute("bubbles", r"(?:air )?bubbles?|froth\w*|foam\w*"),
    # The folds of a bowel are anatomy: 'folds and vessels', 'mucosal folds'.
    Attribute(
        "folds",
        rf"(?:tissue )?fold(?:ing|ed){_ARTIFACT}|(?<!mucosal )(?<!even )(?<!and )folds?(?!,? (?:and |vessels"
        rf"|lumen|over))"
        r"|wrinkl\w*|creas\w*|(?:tissue )?overlap\w*",
    ),
    Attribute("blood", r"blood\w*(?: stains?)?|ha?emorrhage stains?"),
    Attribute(
        "foreign matter",
        r"debris|threads?|dust\w*|(?:dark |black )?spots?|instruments?|smudg\w*|contaminat\w*|foreign \w+"
        r"|pen marks?|stains",
    ),
    Attribute("cuts", r"tissue (?:cuts?|tears?)|(?:knife|cutting|sectioning) (?:marks?|artifacts?)|torn"),
    Attribute(
        "blur",
        r"blur\w*|(?:out of|off|poor) focus|out-of-focus|unfocus\w*|defocus\w*|unsharp\w*|fuzz\w*|haz(?:e|y|iness)"
        r"|smear\w*|ill[ -]defined|indistinct|over-?smooth\w*",
        r"sharp(?:er|est|ly)?\b|crisp\w*|in focus|well[ -](?:focused|defined|delineated)"
        r"|clear(?:ly|er)? (?:defined|delineated|edges|boundaries|margins)",
        r"sharpness|focus|definition|clarity",
    ),
    Attribute(
        "artifacts",
        r"(?<!other )(?<!further )(?:(?:artef|artif)acts?|degradations?|distort\w*|corrupt\w*)",
        r"(?:artef|artif)act[ -]free",
    ),
    Attribute(
        "structures",
        neutral=r"(?:(?:low[ -]contrast|anatomical|fine|tissue|vascular|cellular|bony|soft[ -]tissue) )?"
        r"(?:structures?|anatomy|details?|textures?|boundaries|margins|vessels|features|visibility|edges)",
    ),
)

GOOD_WORDS = (
    r"good|adequate|excellent|sufficient|appropriate|proper|high(?:er)?|better|uniform|even|homogeneous|consistent"
    r"|preserved|optimal|strong|clear(?:ly|er)?|sharp(?:er|ly)?|natural|normal|balanced|satisfactory|well|acceptable"
    r"|visible|discernible|intact|distinguishable|superior|improved|accurate|faithful|rich|maintained|crisp|stable"
    r"|distinct|fine|great(?:er)?|recogni[sz]able"
)
BAD_WORDS = (
    r"poor(?:er|ly)?|low(?:er)?|reduced|insufficient|inadequate|uneven|non-?uniform|inhomogeneous|degraded"
    r"|impair(?:ed|s)"
    r"|limited|loss|lost|weak(?:er)?|faded|unnatural|abnormal|obscur(?:e|ed|es|ing)|diminished|decreased|compromised"
    r"|suboptimal|bad|worse|inferior|hidden|hid(?:e|es|ing)|mask(?:ed|s|ing)|unclear|difficult|distorted|washed"
    r"|too|shifted"
    r"|altered|inaccurate|disrupted|affected|indistinct|less|hard|blurred|invisible|imbalanced|unbalanced|dull|flat"
    r"|deteriorated|hamper\w*|hinder\w*|reduc(?:es|ing)|degrad(?:es|ing)"
)
# Absence, in front of a word: 'no', 'free of'. What is negligible is as good as absent.
ABSENCE = (
    r"\b(?:no|without|free (?:of|from)|absence of|lack(?:s|ing)? (?:of )?|devoid of|neither|nor|negligible"
    r"|minimal|little"
    r"|hardly any|zero|absent)\b"
)
NEGATION = r"\b(?:not|never|isn't|aren't|doesn't|don't|hardly|barely)\b(?! only)"
LESS = r"\b(?:less|fewer|lower|reduced|weaker|smaller|decreased)\b"
ABSENT_BEHIND = (
    r"^\W{0,3}(?:(?:artef|artif)acts? |levels? |effects? )?(?:is|are|was|were|remains?|appears?|seems?|being)? ?"
    r"(?:largely |mostly |entirely |completely |well |virtually )?(?:absent|negligible|minimal|controlled"
    r"|suppressed|avoided"
    r"|free(?! of| from)|not (?:present|visible|seen|observed|noted|evident|detected|apparent|noticeable))\b"
    r"|^[ -]free\b|^ (?:levels? )?(?:is|are|remains?) (?:very )?low\b"
)
# Ends the reach of an absence: a verb or a turn of the sentence.
BREAK = (
    r"\b(?:is|are|was|were|shows?|has|have|exhibits?|appears?|remains?|but|however|though|although|yet|while"
    r"|whereas|with"
    r"|due|because|except)\b|[;:.]"
)

# How much a degradation weighs: the burden that decides whether description and conclusion fit.
STRENGTHS = (
    (
        3,
        r"sever\w+|heav(?:y|ily)|strong(?:ly)?|significant(?:ly)?|mark(?:ed|edly)|pronounced|extensive"
        r"|substantial(?:ly)?"
        r"|excessive(?:ly)?|extreme(?:ly)?|major|serious(?:ly)?|prominent|considerabl[ey]|obvious(?:ly)?|very|highly",
    ),
    (1, r"slight(?:ly)?|mild(?:ly)?|minor|subtle|faint|little|small|light(?:ly)?|a bit|somewhat|low[ -]level|few|weak"),
    (2, r"moderate(?:ly)?|noticeable|some|visible|partial(?:ly)?"),
)
DEFAULT_STRENGTH = 2


def attribute_pattern() -> re.Pattern[str]:
    """One pattern for all attributes; the group's name is side and position ('bad3')."""
    alternatives = [
        rf"(?P<{side}{position}>\b(?:{words})\b)"
        for position, attribute in enumerate(ATTRIBUTES)
        for side in ("good", "bad", "neutral")
        if (words := getattr(attribute, side))
    ]
    return re.compile("|".join(alternatives), re.IGNORECASE)
