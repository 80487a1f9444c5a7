"""The ordered rules. Each takes a text without markup and the options, and answers a reading or None.

The first rule with a reading decides. A reading without a letter (two answers, a refusal) decides as well: what
comes after it in the order is weaker evidence and must not overrule a reader's 'cannot tell'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from medqbench_vlmeval.answers.claim import Claim
from medqbench_vlmeval.answers.glossary import in_another_language
from medqbench_vlmeval.answers.letters import leading_letter, letter_with_text, only_letter
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import Reading, read_whole
from medqbench_vlmeval.answers.prose import by_text, refused, said_both, yes_or_no
from medqbench_vlmeval.answers.verdicts import claimed, item_line

LISTED = "options listed"


@dataclass(frozen=True)
class Rule:
    """A named way to read a reply."""

    name: str
    apply: Callable[[str, OptionSet], Claim | Reading | None]


def whole_reply(text: str, options: OptionSet) -> Reading | None:
    """The reply is nothing but a letter in some dress, an option's text, yes or no."""
    if text.endswith("?") and len(text.strip(" ()[]?")) > 1:  # a question in return, not an answer
        return None
    if (both := said_both(text, options)) is not None:
        return both
    return read_whole(text, options) or (item_line(text, options) if "\n" not in text else None)


def failed(text: str, options: OptionSet) -> Reading | None:  # noqa: ARG001
    """The harness's own words in place of a reply."""
    return Reading(None, "no reply") if text.startswith("Failed to obtain answer") else None


RULES = (
    Rule("no reply", failed),
    Rule("whole reply", whole_reply),
    Rule("claimed answer", claimed),
    Rule("leading letter", leading_letter),
    Rule("letter with its text", letter_with_text),
    Rule("refusal", refused),
    Rule("only letter", only_letter),
    Rule("yes or no", yes_or_no),
    Rule("option text", by_text),
    Rule("text in another language", in_another_language),
)
