"""Quality attributes of medical images and how free text speaks of them.

Each attribute has words for its bad side ('noisy'), its good side ('sharp') and neutral nouns ('contrast'), which
take their side from a quality word nearby ('poor contrast'). The attributes follow the degradations that the
benchmark names for its five modalities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.answers.conclusion import image_references
from medqbench_vlmeval.answers.plain import description_sentences


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
    r"|minimal|little|hardly any|zero|absent)\b"
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
    r"|whereas|with|due|because|except)\b|[;:.]"
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


# What a description says of an image's quality attributes: a profile of findings.

_LEFT = 60
_RIGHT = 60
_CLAUSE_END = re.compile(r"[,;:.()]|\b(?:but|however|while|whereas|although|though|and|with)\b", re.IGNORECASE)
_IN_IMAGE = re.compile(r"^\W{0,2}(?:[a-z]+ ){0,3}(?:in|of|within|on) (?:the )?$", re.IGNORECASE)
_OBJECT = re.compile(
    r"\b(?:than|compared (?:to|with)|relative to|unlike|versus|vs\.?)\s(?:the\s|that of\s|in\s|that in\s)*$", re.I
)
_ABSENCE = re.compile(ABSENCE, re.IGNORECASE)
_NEGATION = re.compile(NEGATION, re.IGNORECASE)
_LESS = re.compile(rf"{LESS}(?: [a-z]+){{0,1}} $", re.IGNORECASE)
_BREAK = re.compile(BREAK, re.IGNORECASE)
_TURN = re.compile(r"\b(?:but|however|though|although|yet|and|while|whereas)\b|[,;:.]", re.IGNORECASE)
_ABSENT_BEHIND = re.compile(ABSENT_BEHIND, re.IGNORECASE)
_QUALITY_WORD = re.compile(rf"\b(?:(?P<bad>{BAD_WORDS})|(?P<good>{GOOD_WORDS}))\b", re.IGNORECASE)
_STRENGTHS = tuple((weight, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for weight, words in STRENGTHS)
# Without a side these say nothing: every description speaks of structures.
_NEEDS_SIDE = frozenset({"structures"})

Key = tuple[str, int | None]


@dataclass(frozen=True)
class Finding:
    """What is said of one attribute: the sides named ('good', 'bad'; none where only the noun fell) and how
    strong the bad side is (1 mild, 2 moderate or unsaid, 3 severe; 0 for none)."""

    sides: frozenset[str]
    strength: int


def findings(text: str, comparative: bool) -> Mapping[Key, Finding]:
    """The findings of a description by attribute and image (1 or 2 in a comparison where it is told, else None)."""
    found: dict[Key, Finding] = {}
    for sentence in description_sentences(text):
        references = image_references(sentence) if comparative else []
        for attribute, side, strength, start, end in _mentions(sentence):
            key = (attribute, _image_of(sentence, references, start, end))
            before = found.get(key, Finding(frozenset(), 0))
            sides = before.sides | ({side} if side else set())
            found[key] = Finding(frozenset(sides), max(before.strength, strength))
    return found


@lru_cache(maxsize=1)
def _attributes() -> re.Pattern[str]:
    return attribute_pattern()


def _mentions(sentence: str) -> Iterator[tuple[str, str | None, int, int, int]]:
    """Mentions of attributes: (name, side, strength, start, end)."""
    for match in _attributes().finditer(sentence):
        group = str(match.lastgroup)
        side = group.rstrip("0123456789")
        name = ATTRIBUTES[int(group.removeprefix(side))].name
        before, after = (
            sentence[max(0, match.start() - _LEFT) : match.start()],
            sentence[match.end() : match.end() + _RIGHT],
        )
        said = _side_of_neutral(before, after) if side == "neutral" else side
        if said is None:
            if name not in _NEEDS_SIDE:
                yield name, None, 0, match.start(), match.end()
            continue
        if _is_absent(before, after, side) or (side != "neutral" and _LESS.search(before)):
            said = "good" if said == "bad" else "bad"
        strength = _strength(before, after) if said == "bad" else 0
        yield name, said, strength, match.start(), match.end()


def _side_of_neutral(before: str, after: str) -> str | None:
    """The side that the nearest quality word of the clause gives to a neutral noun; a word in front wins a tie."""
    left = _last_clause(before)
    right = _CLAUSE_END.split(after, maxsplit=1)[0]
    words = [(len(left) - match.end(), match) for match in _QUALITY_WORD.finditer(left)]
    words += [(match.start() + 1, match) for match in _QUALITY_WORD.finditer(right)]
    if not words:
        absent = _ABSENCE.search(left)
        return "good" if absent else None
    return "bad" if min(words, key=lambda word: word[0])[1]["bad"] else "good"


def _is_absent(before: str, after: str, side: str) -> bool:
    """Whether words around a mention take it back."""
    absences = list(_ABSENCE.finditer(before))
    # 'no noise, blur or rings' is a list; 'no noise, sharp' and 'no noise, contrast is low' say something new.
    reach = _BREAK if side == "bad" else _TURN
    if absences and not reach.search(before[absences[-1].end() :]):
        return True
    negations = list(_NEGATION.finditer(before))
    if negations and not _TURN.search(before[negations[-1].end() :]):
        return True
    if side != "neutral":
        return bool(_ABSENT_BEHIND.match(after))
    negation = _NEGATION.search(_CLAUSE_END.split(after, maxsplit=1)[0])
    return negation is not None and bool(_QUALITY_WORD.search(after[negation.end() :]))


def _strength(before: str, after: str) -> int:
    """The weight of the nearest strength word of the clause."""
    left, right = _last_clause(before), _CLAUSE_END.split(after, maxsplit=1)[0]
    near = [(len(left) - match.end(), weight) for weight, words in _STRENGTHS for match in words.finditer(left)]
    near += [(match.start() + 2, weight) for weight, words in _STRENGTHS for match in words.finditer(right)]
    return min(near)[1] if near else DEFAULT_STRENGTH


def _last_clause(text: str) -> str:
    ends = list(_CLAUSE_END.finditer(text))
    return text[ends[-1].end() :] if ends else text


def _image_of(sentence: str, references: list[tuple[int, int, int]], start: int, end: int) -> int | None:
    """The image a mention belongs to: 'in image 2' right behind it, else the last subject before it."""
    for at, _, image in references:
        if at >= end and _IN_IMAGE.match(sentence[end:at]):
            return image
    for at, _, image in reversed(references):
        if at < start and not _OBJECT.search(sentence[:at]):
            return image
    return None
