"""A claim: a place where a reply gives an answer, and the words around it that take it back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medqbench_vlmeval.answers.payload import Reading

STRONG, WEAK = 2, 1


@dataclass(frozen=True)
class Claim:
    """A reading with its place in the text, its weight and the name of the pattern that found it."""

    position: int
    reading: Reading
    weight: int
    rule: str


REJECTED = re.compile(
    # After a full stop a new sentence begins, whose 'not' is about something else.
    r"(?:[)\]\"':]*\s*(?:\([^()\n]{0,40}\)|(?-i:(?!The |This |That |There )[A-Z][a-z]{2,}(?: [a-z]+){0,2}?))??\s*"
    r"|[)\]\"']*\.\s*(?=is\b|incorrect|wrong|✗|✘|❌))"
    r"(?:(?:is|are|was|were|seems?"
    r"|appears?|would be|looks?|can be|can also be|could be|is also|must be|should be|does|do|did)?\s*"
    r"(?:also |clearly |likely |probably |therefore |thus |definitely |simply |quite |very |less |more )*"
    r"(?:not\b|n't|isn't|doesn't|wasn't|can't|cannot|incorrect|wrong|false|ruled out|eliminated|excluded"
    r"|discarded|unlikely|out\b|implausible|likely wrong|inconsistent|inappropriate|less likely|irrelevant)|不|错|✗"
    r"|でも|では?(?:な[いく]|ありません)|じゃな|是(?:错|錯|不)|有误|[가이은는]?\s*(?:아니|아닙|아닌)|değil"
    r"|✘|❌)",
    re.IGNORECASE,
)


QUESTIONED = re.compile(r"[^.\n!?]{0,25}\?")


LETTER_THERE = re.compile(
    r"(?:(?:option|choice|answer|letter)\s*)?[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_]|['&+\-][A-Za-z0-9]"
    r"|\.[A-Za-z])",
    re.IGNORECASE,
)


NEGATOR_BEFORE = re.compile(
    r"(?:\b(?:not|n't|isn't|nor|neither|never|rules? out|ruling out|ruled out|eliminates?|eliminating|excludes?"
    r"|excluding|reject(?:s|ing)?|than|instead of|unlike|except|if|whether|without|over|discard|consider(?:ed"
    r"|ing)?|thought|between|no longer|either|about|against)\s+(?:(?:option|choice|answer|the|be|is|it|was|it's"
    r"|for)\s+)*|[^\w\s]n't\s+|(?<![^\W_])(?:nicht|niet|не|nie|pas|não é|non è|no es)\s+"
    r"|(?:不是|并非|並非|不选|不選|[^一-鿿]?不|排除)\s*)[(\[\"']*\Z",
    re.IGNORECASE,
)


def negated(text: str, start: int) -> bool:
    return NEGATOR_BEFORE.search(text, max(0, start - 40), start) is not None


def rejected(text: str, start: int, reading: Reading) -> bool:
    """Whether the letter or text read at ``start`` is called wrong, or only asked about, right after it."""
    if reading.letter is None:
        return False
    found = LETTER_THERE.match(text, start)
    if found is None:
        return False
    after = text[found.end() : found.end() + 80]
    return REJECTED.match(after) is not None
