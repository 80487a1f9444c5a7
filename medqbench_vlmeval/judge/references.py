"""Which of two images a text speaks of."""

from __future__ import annotations

import re

_NOUN = r"(?:image|picture|scan|photo(?:graph)?|slide|frame|figure|img|panel)"
_ORDINAL = r"first|1st|second|2nd|left|right|former|latter"
_REFERENCE = re.compile(
    rf"\b(?:the )?(?P<ordinal>{_ORDINAL})(?:[- ](?:hand|side)){{0,2}} (?:{_NOUN}|one)\b"
    rf"|\bthe (?P<alone>first|second|former|latter)\b(?! (?:half|place|glance|look|row|part|and))"
    rf"|\b{_NOUN} on the (?P<side>left|right)\b"
    rf"|\b{_NOUN}s? ?(?:#|no\.? ?|number )?\(?(?P<number>1|2|one|two|ii|i|a|b)\b(?!\.\d)",
    re.IGNORECASE,
)
# A bare letter is a name only as a capital in front of a verb or behind a label: 'A is sharper', 'Answer: B'.
_LETTER = re.compile(
    r"\b(?P<letter>[AB])\b(?= (?:is|has|shows|exhibits|appears|looks|wins|displays|outperforms)\b|\s?[<>])"
    r"|(?<=[:<>] )(?P<named>[AB])\b(?!\s[a-z])"
)
_FIRST = frozenset({"first", "1st", "left", "former", "1", "one", "i", "a"})


def image_references(sentence: str) -> list[tuple[int, int, int]]:
    """Mentions of the first or the second image: (start, end, 1 or 2), in the order of the text."""
    found = []
    for match in [*_REFERENCE.finditer(sentence), *_LETTER.finditer(sentence)]:
        name = next(group for group in match.groups() if group).lower()
        found.append((match.start(), match.end(), 1 if name in _FIRST else 2))
    return sorted(found)
