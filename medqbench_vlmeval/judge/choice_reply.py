"""An extractor's reply -> the letter that it names, 'NONE', or nothing that is valid.

The prompt asks for a last line 'Answer: X'. The last line of that form counts, or a last line that is the letter alone;
one that is there but holds anything else ('Answer: A or B') is no answer, and is never replaced by an earlier one.
Thoughts, markup and quotations are treated as in a judge's verdict (``verdict``); a quotation may go over several lines
here, since a whole reply may be quoted. A token that ends a turn, which some
servers leave in ('Answer: B</s>'), is passed over.
"""

from __future__ import annotations

import re

from medqbench_vlmeval.judge.verdict_text import plain_text, without_markup, without_quotations, without_thoughts

_LABELLED = re.compile(
    r"[\s:(#-]{0,8}(?:(?:my|the) )?(?:final )?answer\s?(?:is\b|:)[\s:]{0,8}(?P<said>.*)", re.IGNORECASE
)
# As they look without markup: '<|im_end|>' has become '<:im_end:>'.
_TOKENS = r"(?:</[a-z]{1,10}>\s?|<:\w{1,40}:>\s?|<(?:eos|im_end|end_of_turn)>\s?){0,3}"
_SAID = re.compile(
    rf"\s?(?:boxed: )?[\s:(]{{0,4}}(?:option )?(?P<said>[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}", re.IGNORECASE | re.ASCII
)
_QUOTED_LINES = re.compile(r'"[^"]*"|“[^”]*”|```[^`]*```')
_BARE = re.compile(rf"\s?(?:boxed: )?[\s:(]{{0,4}}(?:[A-Z]|NONE)[\s:).!]{{0,6}}{_TOKENS}")


def parse_choice(reply: str) -> str | None:
    """The letter that a reply names in its last line, in upper case, or 'NONE'; None where there is no valid one.

    Args:
        reply: the extractor's reply, of any length.
    """
    spoken = without_thoughts(plain_text(reply))
    if spoken is None:
        return None
    said = _last(without_markup(spoken))
    if said is None:
        return None
    # What a quotation says last is the words of somebody else where the extractor's own are others.
    own = _last(without_markup(_QUOTED_LINES.sub(" ", without_quotations(spoken))))
    found = _valid(said)
    return found if own is None or not re.search(r"\w", own) or _valid(own) == found else None


def _last(text: str) -> str | None:
    """What the last answer line holds behind its label, None where there is no such line."""
    lines = [line for line in text.split("\n") if re.search(r"\w", line)]
    if not lines:
        return None
    if _BARE.fullmatch(lines[-1]):
        return lines[-1]
    labelled = next((found for line in reversed(lines) if (found := _LABELLED.fullmatch(line))), None)
    return labelled["said"] if labelled else None


def _valid(said: str) -> str | None:
    found = _SAID.fullmatch(said)
    return found["said"].upper() if found else None
