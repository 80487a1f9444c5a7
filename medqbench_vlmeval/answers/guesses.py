"""Answers that are given under reserve: 'If I had to guess, B', and verdicts behind an arrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.claim import WEAK, Claim
from medqbench_vlmeval.answers.cleaning import may_say
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import read_whole

_GUESS = re.compile(
    r"\bif\s+(?:(?:I|we)\s+(?:really\s+|absolutely\s+)?(?:(?:had|have|were|must|was|am|'m)\s+(?:forced\s+|made\s+)?"
    r"(?:to\s+)?(?:guess|choose|pick|answer|select|say|take a guess|make a guess)|must)|(?:I\s+(?:am|was|were)\s+)?"
    r"(?:forced|pressed|pushed|made|required|compelled|obliged)(?:\s+to\s+\w+)?"
    r"|you\s+(?:force|press|push|make|made|forced|pressed|pushed)\s+me(?:\s+to\s+\w+)?)"
    r"(?:\s+(?:one|an option|an answer|something|a letter|between them))?\s*[,:]\s*"
    r"(?:(?:then|I'd|I would|I'll|it's|it is|it would be|that would be|my answer (?:is|would be))\s+)?"
    r"(?:(?:say|guess|choose|pick|go with|answer|select|be)\s+)?(?P<said>[^.,;:!?\n]{1,60})(?=[.,;!\n]|\Z)",
    re.IGNORECASE,
)
_ARROW = re.compile(r"→|=>|->")
_BEHIND_ARROW = re.compile(r"(?:→|=>|->)\s*(?P<said>[^\n?]{1,60})\Z")
_WORDS_BEFORE = 3


def guessed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I cannot view images. If I had to guess, B.': what follows the condition is nothing but an answer."""
    for found in _GUESS.finditer(text) if may_say(text, ("if",)) else ():
        reading = read_whole(found["said"], options)
        if reading is not None and reading.letter is not None:
            yield Claim(found.start("said"), reading, WEAK, "guessed answer")


def behind_arrow(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Good, but not perfect → Usable': a reply that ends with its one arrow and an option behind it.

    Where an option that is not denied stands right before the arrow ('from mild → severe'), the arrow says how
    something changes.
    """
    found = _BEHIND_ARROW.search(text, max(0, len(text) - 80))
    if found is None or len(_ARROW.findall(text)) > 1 or len(text[: found.start()].split()) < _WORDS_BEFORE:
        return
    reading = read_whole(found["said"], options)
    if reading is None or reading.letter is None:
        return
    near = text[max(0, found.start() - 300) : found.start()].rstrip(" .,\"')")
    if options.mention is not None:
        # An option's last mention, if the text before the arrow ends with it.
        spans = list(options.mention.finditer(near))
        if spans and spans[-1].end() == len(near):
            judged = {mention.start: mention.affirmed for mention in mentions.find(near, options)}
            if judged.get(spans[-1].start()) is not False:
                return
    yield Claim(found.start(), reading, WEAK, "verdict behind an arrow")
