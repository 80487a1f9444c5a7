"""The way from a reply to an extraction."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.answers import claims, mentions
from medqbench_vlmeval.answers.claims import STRONG, WEAK, Claim
from medqbench_vlmeval.answers.glossary import in_another_language
from medqbench_vlmeval.answers.lists import (
    BoxList,
    Enumeration,
    box_list,
    enumeration,
    leading_letter,
    letter_with_text,
    only_letter,
    question_above,
    structured,
    without_listing,
)
from medqbench_vlmeval.answers.mentions import by_text, refused, said_both, yes_or_no
from medqbench_vlmeval.answers.options import (
    SEVERAL,
    OptionSet,
    Reading,
    letter_at,
    mentioned,
    option_set,
    own_text_at,
    read_whole,
)
from medqbench_vlmeval.answers.plain import (
    OPEN,
    after_reply_token,
    clean,
    fold,
    own_turn,
    plain_answer,
    shorten,
    split_thoughts,
    turns,
    without_struck,
    without_tokens,
)
from medqbench_vlmeval.types import Answer

# The reply's last word: claims and answers on lines of their own, with corrections.


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


# The ordered rules. Each takes a text without markup and the options, and answers a reading or None.
#
# The first rule with a reading decides. A reading without a letter (two answers, a refusal) decides as well: what
# comes after it in the order is weaker evidence and must not overrule a reader's 'cannot tell'.


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


def extract(reply: str, options: Mapping[str, str]) -> Answer:
    """The letter with the name of the rule that decided; where the letter is None, the rule says why.

    Names without a letter: 'empty', 'no reply', 'no answer', 'refusal', 'several answers', 'options listed',
    'letter outside the options', 'letter and text disagree', 'thought without an answer'.
    """
    if len(reply) == 1 and reply in options:
        return Answer(reply, "whole reply")
    if len(reply) <= _SHORT:
        return _remembered(reply, tuple(options.items()))
    return _extract(reply, options)


@lru_cache(maxsize=16_384)
def _remembered(reply: str, options: tuple[tuple[str, str], ...]) -> Answer:
    return _extract(reply, dict(options))


def _extract(reply: str, options: Mapping[str, str]) -> Answer:
    compiled = option_set(options)
    text = clean(reply)
    if not text.strip():
        return Answer(None, EMPTY)
    found = _first_turn(text, compiled)
    if found.rule == LISTED and (rest := after_reply_token(text)).strip():
        return _first_turn(rest, compiled)
    return found


def _first_turn(text: str, options: OptionSet) -> Answer:
    """The extraction from the model's own turn: no echo before it, no made-up turns after it."""
    answer, thoughts = split_thoughts(own_turn(text))
    answer = without_struck(fold(shorten(without_tokens(answer))))
    if not answer.strip():
        return _from_thoughts(thoughts, options)
    data = structured(answer, options)
    if data is not None:
        return Answer(data.letter, data.why or "options as data")
    found = None
    parts = turns(answer)
    for at, part in enumerate(parts):
        found = _read_above(plain_answer(part), options)
        if at == len(parts) - 1 or (found is not None and found.letter is not None and found.rule != "option text"):
            break
    return found or Answer(None, NO_ANSWER)


def _read_above(text: str, options: OptionSet) -> Answer | None:
    """What stands above a question with its options counts where it holds a letter, and else the whole text."""
    cut = question_above(text, options) if "?" in text else None
    if cut is not None:
        above = _read(text[:cut], options)
        if above is not None and above.letter is not None and above.rule != "option text":
            return above
    return _read(text, options)


def _from_thoughts(thoughts: str | None, options: OptionSet) -> Answer:
    """A thought counts only where it ends with a marked or labelled answer: all else may still have changed."""
    if thoughts is None or not thoughts.strip():
        return Answer(None, EMPTY)
    text = plain_answer(fold(shorten(without_tokens(thoughts))))
    if len(text) <= 12:
        found = _read(text, options)
        # '<think>B' is an answer behind a stray token; '<think>maybe B' is a thought that was cut off.
        return found if found is not None and found.rule == "whole reply" else Answer(None, ONLY_THOUGHT)
    if _PLAIN_END.search(text[-200:]):
        found_claim = claimed(text, options)
        if found_claim is not None and found_claim.weight == STRONG and found_claim.reading.letter is not None:
            return Answer(found_claim.reading.letter, "answer that ends a thought")
    return Answer(None, ONLY_THOUGHT)


def _read(text: str, options: OptionSet) -> Answer | None:
    boxes = box_list(text, options)
    if boxes is not None:
        return _beside(text, boxes, options)
    text, listed = without_listing(text, options)
    text = text.strip()
    items = enumeration(text, options)
    if items is not None:
        return _around(text, items, options)
    return _by_rules(text, options, listed)


def _beside(text: str, boxes: BoxList, options: OptionSet) -> Answer:
    """The one box that is ticked; what is stated after the boxes overrules them."""
    after = text[boxes.end :].strip()
    later = claimed(after, options) if after else None
    if later is not None and later.weight == STRONG and later.reading.letter is not None:
        return Answer(later.reading.letter, later.rule)
    if boxes.reading.why == LISTED and (outside := f"{text[: boxes.start]}\n\n{after}".strip()):
        found = _by_rules(outside, options, listed=False)
        if found is not None and found.letter is not None:
            return found
    return Answer(boxes.reading.letter, boxes.reading.why or "ticked box")


def _around(text: str, items: Enumeration, options: OptionSet) -> Answer:
    """Options that are explained one by one are no answer; the text around them or a verdict in one of them is."""
    outside = f"{text[: items.start]}\n\n{text[items.end :]}".strip()
    found = _by_rules(outside, options, listed=False) if outside else None
    if found is not None and found.letter is not None:
        return found
    claim = verdict_within(text, items, options)
    if claim is not None:
        return Answer(claim.reading.letter, claim.rule if claim.reading.letter is not None else claim.reading.why)
    if items.letters == options.letters and (letter := _only_one_not_denied(text, options)) is not None:
        return Answer(letter, "letter with its text")
    return Answer(None, LISTED)


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


def _by_rules(text: str, options: OptionSet, listed: bool) -> Answer | None:
    for rule in RULES:
        found = rule.apply(text, options)
        if found is None:
            continue
        reading, name = (found.reading, found.rule) if isinstance(found, Claim) else (found, rule.name)
        return Answer(reading.letter, name if reading.letter is not None else reading.why or name)
    return Answer(None, LISTED) if listed else None
