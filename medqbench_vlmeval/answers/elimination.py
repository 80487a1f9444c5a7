"""What a reply says is left when it has ruled out the other options."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.claim import STRONG, Claim, negated, rejected
from medqbench_vlmeval.answers.cleaning import may_say
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import read, read_whole

_ONLY = re.compile(
    r"\bonly\s+(?:option\s+|choice\s+|the\s+)?(?P<what>[^.,;:!?\n]{1,60}?)\s+"
    r"(?:remains?|is left|is remaining|survives?|stands|holds|applies|fits"
    r"|is (?:still )?(?:possible|plausible|viable|in play))(?![A-Za-z])",
    re.IGNORECASE,
)
_LEAVES = re.compile(
    r"\b(?:leaves|leaving|left with|left is|remaining (?:option|choice|one|candidate|answer) is)\s+"
    r"(?:(?:us|me|one|you)\s+)?(?:with\s+)?(?P<only>only\s+|just\s+)?(?:option\s+|choice\s+|answer\s+)?"
    r"(?=[(\[\"']*[A-Z](?![A-Za-z0-9]))",
)
_BY_ELIMINATION = re.compile(
    r"\bby\s+(?:the\s+)?(?:process\s+of\s+)?elimination\b[,:\s]*(?:(?:then|therefore|only)\s+)?"
    r"(?:(?:the\s+(?:correct\s+|right\s+|best\s+)?(?:answer|choice|option)|it|this|that)\s+)?"
    r"(?:(?:is|must be|has to be|should be|would be)\s+)?",
    re.IGNORECASE,
)


def remaining(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Only C remains', 'that leaves us with C', 'by elimination, C'."""
    if "nly" in text:
        for found in _ONLY.finditer(text):
            whole = read_whole(found["what"], options)
            if whole is not None and whole.letter is not None and not negated(text, found.start()):
                yield Claim(found.start(), whole, STRONG, "option that is left")
    if not may_say(text, ("lea", "left", "remaining", "elimination")):
        return
    for pattern in (_LEAVES, _BY_ELIMINATION):
        for found in pattern.finditer(text):
            reading = read(text[found.end() : found.end() + 300], options)
            if reading is None or rejected(text, found.end(), reading) or negated(text, found.start()):
                continue
            if not re.match(r"[^\n]{0,60}\?", text[found.end() : found.end() + 70]):
                yield Claim(found.start(), reading, STRONG, "option that is left")
