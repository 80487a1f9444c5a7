"""Conditions: 'if the ring were visible, C would be right' answers another question than the one that was asked."""

from __future__ import annotations

import re

# Conditions on the choice, not on the image, do not weaken it: 'if I had to choose, B'.
_ABOUT_THE_CHOICE = (
    r"(?:(?:(?:I|we|you|one)\b(?:'m|'d|'re)?\s*(?:am |are |is |were |was |really |absolutely )*"
    r"(?:had|have|has|must|need|needed|forced|want|wanted|insist|asked?|only|can only|could only|may|not mistaken|to"
    r"|look|consider|compare|take|zoom|understand|remember|correct|right|guess|choose|pick)\b)"
    r"|forced|pressed|pushed|asked|anything|need(?:ed)?\b|required|necessary|only one"
    r"|a (?:single|choice|letter|guess|decision)"
    r"|one (?:option|answer|letter|must|has|of)|so\b|not\b|any\b|there (?:is|must be|has to be) only|nothing else)"
)
CHOICE_CONDITION = re.compile(rf"\bif\s+{_ABOUT_THE_CHOICE}[^.;:!?\n]{{0,60}}?:", re.IGNORECASE)
_IF = (
    r"(?<!even )(?<!as )(?<!see )(?<!tell )(?<!say )(?<!know )(?<!sure )(?<!clear )(?<!check )(?<!determine )(?<!ask )"
    rf"(?<!asks )(?<!asking )(?<!assess )(?<!evaluate )"
    rf"\b(?:if|unless|supposing|suppose|assuming|provided that|in case(?! of))"
    rf"\s+(?!{_ABOUT_THE_CHOICE})"
)
_BEFORE = re.compile(
    rf"(?:{_IF}|(?:\A\W*|[,(]\s*|\b(?:but|and|while|whereas)\s+)(?:were|had|should)\s+(?:the|there|it|this|that"
    r"|these|they|an?)\b)"
    r"(?:(?!\b(?:so|therefore|thus|hence|but|however)\b)[^.;:!?\n])*\Z",
    re.IGNORECASE,
)
# 'for screening, B would be appropriate, for measurement, C': one letter for each of several purposes
_PURPOSE = re.compile(
    r"\b(?:for|with)\s[\w\- ]{1,40},\s*(?:option\s+|choice\s+)?[(\[\"']*(?P<letter>[A-Z])[)\]\"']*"
    r"\s+(?:would|could|might|may|is)\b",
    re.IGNORECASE,
)
_AFTER = re.compile(rf"[^.;,:!?\n]{{0,60}}?{_IF}(?!it is\b)", re.IGNORECASE)
_RIGHT_AFTER = re.compile(
    rf"[)\]\"']*\s+(?:(?:would|could|might|may)\b[^.;:!?\n]{{0,30}}|only\s*)?{_IF}", re.IGNORECASE
)
_CUES = re.compile(r"\b(?:if|unless|suppos\w+|assuming|provided|in case|were|had|should|for|with)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.;:!?\n]")
_REACH = 160
_NEAR = 400


def may_suppose(text: str) -> bool:
    """Whether the text has any word that could open a condition."""
    return _CUES.search(text) is not None


def supposed(text: str, position: int) -> bool:
    """Whether what is claimed at ``position`` holds only under a condition that its sentence states."""
    before = text[max(0, position - _REACH) : position]
    before = _SENTENCE_END.split(before)[-1]
    if _BEFORE.search(before):
        return True
    purposes = {found["letter"]: found.start("letter") for found in _PURPOSE.finditer(text[-_NEAR:])}
    if len(purposes) > 1 and position - max(0, len(text) - _NEAR) in purposes.values():
        return True
    return _AFTER.match(text, position, position + 140) is not None


def conditional(after: str) -> bool:
    """Whether a condition follows directly after a letter: 'B if the lines are real', 'B would be right if'."""
    return _RIGHT_AFTER.match(after) is not None
