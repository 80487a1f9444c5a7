"""Letters that a reply concludes, calls right, ticks or names: weaker than a stated answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.claim import LETTER_THERE, NEGATOR_BEFORE, QUESTIONED, WEAK, Claim, negated, rejected
from medqbench_vlmeval.answers.cleaning import may_say
from medqbench_vlmeval.answers.markup import OPEN
from medqbench_vlmeval.answers.optionset import OptionSet, mentioned
from medqbench_vlmeval.answers.payload import SEVERAL, Reading, letter_at, read

_CONNECTOR = re.compile(
    r"(?:(?<![A-Za-z])(?:so|therefore|thus|hence|consequently|accordingly|wait|actually|no|finally|ultimately"
    r"|then|leaves(?: us with)?|leaving(?: us with)?|left with"
    r"|must be|points? to|pointing to|suggests?|suggesting|indicates?|indicating|matches|corresponds? to"
    r"|consistent with|fits|best described (?:as|by)|making it|probably|likely|on second thought"
    r"|but|it's|it is|that's|that would be|would be|correction|settle for|classif\w+ (?:it |this |this image )?as"
    r"|rated? (?:as|it|this)?|rather|instead|maybe|perhaps"
    r"|of the [\w ]{0,20}options(?: given| provided| listed)?|hmm|ok|okay|sure|question)(?![A-Za-z])"
    r"|→|=>|->|∴|因此|所以|故)"
    r"[,:.!\s\-]{0,4}(?:the image is |this is |it is |it's |it must be |we have |that is |to be )?",
    re.IGNORECASE,
)


_TEXT_VERDICT = re.compile(
    r"(?:so|therefore|thus|hence|actually|finally|wait|no|then|looking closely|it does\.|consequently|ultimately"
    r"|overall)[\s,.:!\-]*\Z",
    re.IGNORECASE,
)


_CLAUSE_END = re.compile(
    rf"[)\]\"']*\s*(?:\Z|[.,;!\n:\-({OPEN}]|(?:because|since|as|due|given|is (?:the )?(?:correct|right|best|most)"
    rf"|it is|fits|best|matches|for|again|describes)\b)"
)


_CONFUSED = re.compile(r"\b(?:confused with|mistaken for|mixed up with)[^.,;:\n]{0,10}\Z", re.IGNORECASE)


_RIGHT = re.compile(
    r"(?<![A-Za-z0-9À-ɏ_'.\-])(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_])[)\]\"']*(?:\s*\([^()\n]{0,40}\)"
    r"|[.:]\s?[\w\- ]{1,40}?)?,?\s*"
    r"(?:it is\b(?!\s*\w)|(?:is|seems|appears(?: to be)?|must be|would be|looks|remains)\s+(?:(?:the|clearly"
    r"|definitely|likely|probably|most|also|my|therefore|thus|indeed|to be|a|only|best|more)\s+)*"
    r"(?:correct|right|best|better|answer|appropriate|accurate|suitable|true|plausible|closest|likely|option"
    r"|choice|consistent|remaining|left|one\s+(?:left|remaining|that))\b"
    r"|(?:fits|best|matches|comes closest|correctly|accurately|most closely|most accurately)\b"
    r"(?!\s+(?:if|when))|✓|✔|✅)"
)


# 'none of A-D is correct', 'neither option A nor B is right'
_NONE_OF = re.compile(
    r"\b(?:none|neither|nor|not any|not one)\b"
    r"(?:(?!\b(?:so|but|therefore|thus|hence|only|except)\b)[^.;:!?\n]){0,40}\Z",
    re.IGNORECASE,
)


_NAMED = re.compile(
    r"(?<![^\W_])(?:option|choice|letter|opción|opção|opzione|вариант|letra|lettre|буква"
    r"|buchstabe)\s*[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9]|-\w)",
    re.IGNORECASE,
)


# The names in _NAMED that are ASCII throughout.
_NAMES = ("option", "choice", "letter", "opzione", "letra", "lettre", "buchstabe")

_TICK = re.compile(
    r"(?:^|(?<=[\s(\[]))(?:option\s+)?[(\[]?(?P<letter>[A-Z])(?![A-Za-z0-9])[)\].:?]{0,2}[ \t]*"
    r"(?P<text>[\w \-]{0,40}?)[?:)\-]{0,2}\s{0,2}"
    r"(?:(?P<yes>yes\b|correct\b|true\b|right\b|✓|✔|✅|☑)|(?P<no>no\b|not\b|incorrect\b|wrong\b|false\b|✗|✘|❌|×))",
    re.IGNORECASE | re.MULTILINE,
)


def concluded(text: str, options: OptionSet) -> Iterator[Claim]:
    """'so C', 'therefore, B.', 'this matches option B', 'not A but B', '→ B'."""
    for found in _CONNECTOR.finditer(text):
        letter = LETTER_THERE.match(text, found.end())
        before = text[max(0, found.start() - 40) : found.start()]
        if letter is not None and (letter["letter"].isupper() or _lower_fits(text, letter)):
            reading = letter_at(text, letter.start("letter"), options)
            if reading is None or rejected(text, found.end(), reading) or NEGATOR_BEFORE.search(before + found[0]):
                continue
            if re.search(r"\bor[\s,]*\Z", before, re.I):
                continue
            if re.search(
                r"\b(?:could|might|may|can|if|whether|not|n't|wouldn't|cannot) (?:be |also |well )*\Z", before, re.I
            ):
                continue
            if _CONFUSED.search(before):
                continue
            rest = text[letter.end() : letter.end() + 40]
            if reading.letter is not None and not (
                _CLAUSE_END.match(rest)
                or (reading.letter != "A" and "not" not in rest and re.match(r"[)\]]?\s*\w", rest) is None)
            ):
                continue
            if QUESTIONED.match(rest) or _explains(text, found, reading, options):
                continue
            yield Claim(letter.start("letter"), reading, WEAK, "concluded letter")
        elif _TEXT_VERDICT.search(found[0]) and options.yes is not None:
            reading = read(text[found.end() : found.end() + 100], options)
            if reading is not None and reading.letter in (options.yes, options.no, None):
                yield Claim(found.start() + len(found[0]), reading, WEAK, "concluded yes or no")


def _explains(text: str, found: re.Match[str], reading: Reading, options: OptionSet) -> bool:
    """'No noise would be option A' says which option that is, not that it is chosen."""
    if options.mention is None or "would be" not in found[0].lower():
        return False
    before = text[max(0, found.start() - 60) : found.start()].rstrip()
    return any(
        said.end() == len(before) and mentioned(said) == reading.letter for said in options.mention.finditer(before)
    )


def _lower_fits(text: str, letter: re.Match[str]) -> bool:
    return text[letter.start("letter") - 1] in "([\"'" and letter["letter"] != "i"


def right(text: str, options: OptionSet) -> Iterator[Claim]:
    """'B is the correct answer', 'option B best matches', 'B it is'."""
    for found in _RIGHT.finditer(text):
        letter = found["letter"]
        if letter not in options.letters or negated(text, found.start()):
            continue
        if re.search(r"\b(?:if|whether)\b[^.,\n]{0,20}\Z", text[max(0, found.start() - 30) : found.start()], re.I):
            continue
        if _NONE_OF.search(text, max(0, found.start() - 60), found.start()):
            continue
        joined = re.search(
            r"(?<![A-Za-z0-9])([A-Z])[)\]]?(?: or | and |/)(?:option )?[(\[]?\Z",
            text[max(0, found.start() - 16) : found.start()],
        )
        if joined and joined[1] != letter:
            yield Claim(found.start(), Reading(None, SEVERAL), WEAK, "letter called right")
            continue
        yield Claim(found.start(), Reading(letter), WEAK, "letter called right")


def ticked(text: str, options: OptionSet) -> Iterator[Claim]:
    """'A: no. B: no. C: yes', 'A ✗ / B ✓': every option judged, one of them right."""
    verdicts: dict[str, bool] = {}
    position = 0
    for found in _TICK.finditer(text):
        letter = found["letter"].upper()
        if found["letter"].islower() or letter not in options.letters:
            continue
        if options.yes is not None and found[0][-1].isalpha():
            return
        verdicts[letter] = found["yes"] is not None
        if found["yes"] is not None:
            position = found.start()
    right = [letter for letter, is_right in verdicts.items() if is_right]
    if len(verdicts) >= 2 and len(right) == 1:
        yield Claim(position, Reading(right[0]), WEAK, "ticked option")


def named(text: str, options: OptionSet) -> Iterator[Claim]:
    """'option B' where no other option is named and B is not rejected."""
    if not may_say(text, _NAMES):
        return
    found = [name for name in _NAMED.finditer(text) if name["letter"].isupper()]
    letters = {name["letter"] for name in found}
    if len(letters) != 1 or not letters <= options.letters:
        return
    last = found[-1]
    if negated(text, last.start()) or rejected(text, last.start(), Reading(last["letter"])):
        return
    if re.search(
        r"\b(?:if|consider|look at|examine|evaluate|check|analy[sz]e|start with|begin with|let me check"
        r"|what about|might|could be|would)\b[^.\n]{0,30}\Z",
        text[max(0, last.start() - 50) : last.start()],
        re.I,
    ):
        return
    if letter_at(text, last.start("letter"), options) == Reading(last["letter"]) and len(text) - last.end() < 200:
        if re.match(r"[)\]\"']*\s*(?:would|might|could|may)\b", text[last.end() :]) or QUESTIONED.match(
            text[last.end() : last.end() + 30]
        ):
            return
        yield Claim(last.start(), Reading(last["letter"]), WEAK, "named option")
