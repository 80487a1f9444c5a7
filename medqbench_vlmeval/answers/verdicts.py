"""The reply's last word: claims and answers on lines of their own, with corrections."""

from __future__ import annotations

import itertools
import re

from medqbench_vlmeval.answers import claims
from medqbench_vlmeval.answers.claim import STRONG, WEAK, Claim
from medqbench_vlmeval.answers.listing import Enumeration
from medqbench_vlmeval.answers.optionset import OptionSet, mentioned
from medqbench_vlmeval.answers.payload import SEVERAL, Reading, letter_at, own_text_at, read_whole

_CORRECTION = re.compile(
    r"\b(?:actually|wait|correction|on second thought|reconsider\w*|scratch that|rather|let me correct"
    r"|edit:|update:|revis(?:e|ed|ing)"
    r"|changed? my (?:mind|answer)|upon (?:re-?examination|closer|further|reflection)|on closer|looking again"
    r"|I was wrong|mistake\w*|no,)",
    re.IGNORECASE,
)


# In the explanation of one of several options: 'There is ghosting, so this is correct.'
_CALLED_RIGHT = re.compile(
    r"\b(?:this|it|which)\s+(?:(?:option|one|description|choice)\s+)?(?:is\s+(?:the\s+)?(?:most\s+\w+\s+)?(?:correct|right"
    r"|best|answer)\b|(?:best\s+)?(?:matches|fits)\s+(?:the|this|what)\b|matches\.)",
    re.IGNORECASE,
)


def _line_claims(text: str, options: OptionSet) -> list[Claim]:
    """First and last lines that are nothing but an answer."""
    if "\n" not in text:
        return []
    found: dict[int, Claim] = {}
    lines = [line for line in re.finditer(r"[^\n]+", text) if line[0].strip()]
    for line in lines[:40] + lines[-40:]:
        if len(line[0]) > 90:
            continue
        reading = read_whole(line[0], options)
        if reading is None:
            reading = item_line(line[0], options)
        if reading is not None and reading.letter is not None:
            found[line.start()] = Claim(line.start(), reading, STRONG, "answer on its own line")
    if not lines:
        return []
    ends = {lines[0].start(), lines[-1].start()}
    if len({claim.reading.letter for claim in found.values()}) > 1 and len(found) > 2:
        return []
    if (
        len({claim.reading.letter for claim in found.values()}) > 1
        and not _CORRECTION.search(text)
        and len(lines) == len(found)
    ):
        return []
    return [claim for start, claim in found.items() if start in ends]


def item_line(line: str, options: OptionSet) -> Reading | None:
    stripped = line.strip().strip('-•>✅✔👉 (["')
    reading = letter_at(stripped, 0, options) if stripped else None
    if reading is None or reading.letter is None:
        return None
    return reading if own_text_at(stripped, 1, options) == reading.letter and len(stripped) < 60 else None


def claimed(text: str, options: OptionSet) -> Claim | None:
    """The last answer that the reply claims in words, in a box or on a line of its own; corrections count."""
    found = claims.find(text, options) + _line_claims(text, options)
    return _decided(text, found) if found else None


def _decided(text: str, found: list[Claim]) -> Claim:
    found.sort(key=lambda claim: claim.position)
    strong = [claim for claim in found if claim.weight == STRONG]
    if not strong:
        return _last(text, found)
    last = _last(text, strong)
    flips = sum(a.reading.letter != b.reading.letter for a, b in itertools.pairwise(strong))
    if flips >= 4:
        return Claim(last.position, Reading(None, SEVERAL), STRONG, SEVERAL)
    for later in reversed(found):
        if later.weight == WEAK and later.position > last.position and later.reading.letter is not None:
            if later.reading != last.reading and _CORRECTION.search(text, last.position, later.position + 12):
                return later
            break
    return last


def verdict_within(text: str, items: Enumeration, options: OptionSet) -> Claim | None:
    """The last claim inside the explanations of an enumeration; its headings claim nothing."""
    found = [
        claim
        for claim in claims.find(text, options)
        if claim.rule in ("ticked option", "letter called right") or not items.heads(claim.position)
    ]
    if found:
        return _decided(text, found)
    ends = [*(start for start, _ in items.headings[1:]), items.end]
    right = [
        Claim(start, reading, WEAK, "explanation called right")
        for (start, head), end in zip(items.headings, ends, strict=True)
        if _CALLED_RIGHT.search(text, head, end) and (reading := _heading_of(text[start:head], options)) is not None
    ]
    return right[0] if len(right) == 1 else None


def _heading_of(heading: str, options: OptionSet) -> Reading | None:
    mention = options.mention.search(heading) if options.mention is not None else None
    return Reading(mentioned(mention)) if mention is not None else read_whole(heading, options)


def _last(text: str, found: list[Claim]) -> Claim:
    last = found[-1]
    for before in reversed(found[:-1]):
        if before.reading == last.reading:
            continue
        between = text[before.position : last.position]
        if before.rule == last.rule == "marked answer" and re.fullmatch(
            "\ue000[^\ue001]{0,80}\ue001\\s*(?:or|and|,|/|&)?\\s*", between
        ):
            return Claim(last.position, Reading(None, SEVERAL), STRONG, SEVERAL)
        break
    return last
