"""The way from a reply to an extraction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.checkboxes import BoxList, box_list
from medqbench_vlmeval.answers.claim import STRONG, Claim
from medqbench_vlmeval.answers.cleaning import clean, fold, shorten
from medqbench_vlmeval.answers.letters import letter_with_text
from medqbench_vlmeval.answers.listing import Enumeration, enumeration, question_above, without_listing
from medqbench_vlmeval.answers.markup import OPEN, plain, without_struck
from medqbench_vlmeval.answers.optionset import OptionSet, option_set
from medqbench_vlmeval.answers.rules import LISTED, RULES
from medqbench_vlmeval.answers.structured import structured
from medqbench_vlmeval.answers.turns import (
    after_reply_token,
    first_turn,
    split_thoughts,
    turns,
    without_echo,
    without_tokens,
)
from medqbench_vlmeval.answers.verdicts import claimed, verdict_within
from medqbench_vlmeval.records import Extraction

# Replies of this length ('B. Noise', 'The answer is B.') come again and again; longer ones hardly ever do.
_SHORT = 200

EMPTY = "empty"
NO_ANSWER = "no answer"
ONLY_THOUGHT = "thought without an answer"
_PLAIN_END = re.compile(
    r"(?:final answer|answer|答案|最终答案)\s*(?:is)?\s*[:=]\s*[^\n]{1,60}\Z|" + OPEN + r"[^\n]{1,80}\Z", re.IGNORECASE
)
_PRESENT = re.compile(
    r"[^:\n]{1,70}?:\s*(?:(?:clearly|definitely|strongly|obviously)\s+)?(?:present|yes|visible|evident|detected|seen)\b",
    re.I,
)
_COMPLETE = re.compile(r"(?:[.!?)\]\"'✓✔✅✗✘❌]|\b(?:yes|no|present|absent|visible|correct|incorrect))\s*\Z", re.I)


def extract_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter of ``options`` that a careful reader would record as the reply's final answer, or None.

    Args:
        reply: what a model wrote; any text, of any length (the middle of very long ones is left out).
        options: option letters (A to D, gaps allowed) and their texts.
    """
    return extract(reply, options).letter


def extract(reply: str, options: Mapping[str, str]) -> Extraction:
    """The letter with the name of the rule that decided; where the letter is None, the rule says why.

    Names without a letter: 'empty', 'no reply', 'no answer', 'refusal', 'several answers', 'options listed',
    'letter outside the options', 'letter and text disagree', 'thought without an answer'.
    """
    if len(reply) == 1 and reply in options:
        return Extraction(reply, "whole reply")
    if len(reply) <= _SHORT:
        return _remembered(reply, tuple(options.items()))
    return _extract(reply, options)


@lru_cache(maxsize=16_384)
def _remembered(reply: str, options: tuple[tuple[str, str], ...]) -> Extraction:
    return _extract(reply, dict(options))


def _extract(reply: str, options: Mapping[str, str]) -> Extraction:
    compiled = option_set(options)
    text = clean(reply)
    if not text.strip():
        return Extraction(None, EMPTY)
    found = _first_turn(text, compiled)
    if found.rule == LISTED and (rest := after_reply_token(text)).strip():
        return _first_turn(rest, compiled)
    return found


def _first_turn(text: str, options: OptionSet) -> Extraction:
    """The extraction from the model's own turn: no echo before it, no made-up turns after it."""
    if "<|channel|>" not in text and ("<" in text or "[" in text):
        text = first_turn(without_echo(text))
    answer, thoughts = split_thoughts(text)
    answer = without_struck(fold(shorten(without_tokens(answer))))
    if not answer.strip():
        return _from_thoughts(thoughts, options)
    data = structured(answer, options)
    if data is not None:
        return Extraction(data.letter, data.why or "options as data")
    found = None
    parts = turns(answer)
    for at, part in enumerate(parts):
        found = _read_above(plain(part), options)
        if at == len(parts) - 1 or (found is not None and found.letter is not None and found.rule != "option text"):
            break
    return found or Extraction(None, NO_ANSWER)


def _read_above(text: str, options: OptionSet) -> Extraction | None:
    """What stands above a question with its options counts where it holds a letter, and else the whole text."""
    cut = question_above(text, options) if "?" in text else None
    if cut is not None:
        above = _read(text[:cut], options)
        if above is not None and above.letter is not None and above.rule != "option text":
            return above
    return _read(text, options)


def _from_thoughts(thoughts: str | None, options: OptionSet) -> Extraction:
    """A thought counts only where it ends with a marked or labelled answer: all else may still have changed."""
    if thoughts is None or not thoughts.strip():
        return Extraction(None, EMPTY)
    text = plain(fold(shorten(without_tokens(thoughts))))
    if len(text) <= 12:
        found = _read(text, options)
        # '<think>B' is an answer behind a stray token; '<think>maybe B' is a thought that was cut off.
        return found if found is not None and found.rule == "whole reply" else Extraction(None, ONLY_THOUGHT)
    if _PLAIN_END.search(text[-200:]):
        found_claim = claimed(text, options)
        if found_claim is not None and found_claim.weight == STRONG and found_claim.reading.letter is not None:
            return Extraction(found_claim.reading.letter, "answer that ends a thought")
    return Extraction(None, ONLY_THOUGHT)


def _read(text: str, options: OptionSet) -> Extraction | None:
    boxes = box_list(text, options)
    if boxes is not None:
        return _beside(text, boxes, options)
    text, listed = without_listing(text, options)
    text = text.strip()
    items = enumeration(text, options)
    if items is not None:
        return _around(text, items, options)
    return _by_rules(text, options, listed)


def _beside(text: str, boxes: BoxList, options: OptionSet) -> Extraction:
    """The one box that is ticked; what is stated after the boxes overrules them."""
    after = text[boxes.end :].strip()
    later = claimed(after, options) if after else None
    if later is not None and later.weight == STRONG and later.reading.letter is not None:
        return Extraction(later.reading.letter, later.rule)
    if boxes.reading.why == LISTED and (outside := f"{text[: boxes.start]}\n\n{after}".strip()):
        found = _by_rules(outside, options, listed=False)
        if found is not None and found.letter is not None:
            return found
    return Extraction(boxes.reading.letter, boxes.reading.why or "ticked box")


def _around(text: str, items: Enumeration, options: OptionSet) -> Extraction:
    """Options that are explained one by one are no answer; the text around them or a verdict in one of them is."""
    outside = f"{text[: items.start]}\n\n{text[items.end :]}".strip()
    found = _by_rules(outside, options, listed=False) if outside else None
    if found is not None and found.letter is not None:
        return found
    claim = verdict_within(text, items, options)
    if claim is not None:
        return Extraction(claim.reading.letter, claim.rule if claim.reading.letter is not None else claim.reading.why)
    if items.letters == options.letters and (letter := _only_one_not_denied(text, options)) is not None:
        return Extraction(letter, "letter with its text")
    return Extraction(None, LISTED)


def _only_one_not_denied(text: str, options: OptionSet) -> str | None:
    """The one option that is called present, or is not denied, where all others are; not in a list that is cut off."""
    judged = mentions.find(text, options)
    denied = {mention.letter for mention in judged if mention.affirmed is False}
    for mention in judged:
        present = mention.affirmed and _PRESENT.match(text[mention.start : mention.start + 90])
        if present and denied == options.letters - {mention.letter}:
            return mention.letter
    reading = letter_with_text(text, options) if _COMPLETE.search(text) else None
    return reading.letter if reading is not None else None


def _by_rules(text: str, options: OptionSet, listed: bool) -> Extraction | None:
    for rule in RULES:
        found = rule.apply(text, options)
        if found is None:
            continue
        reading, name = (found.reading, found.rule) if isinstance(found, Claim) else (found, rule.name)
        return Extraction(reading.letter, name if reading.letter is not None else reading.why or name)
    return Extraction(None, LISTED) if listed else None
