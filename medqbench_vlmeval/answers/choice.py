"""A reply -> its option letter, by ordered, named rules. The reply's own turn is made plain (:mod:`.plain`),
repetitions of the options are taken out (:mod:`.lists`), and the first rule with a reading decides. One without a
letter (two answers, a refusal) decides as well: weaker evidence must not overrule a reader's 'cannot tell'."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from medqbench_vlmeval.answers import claims, glossary, judged, lists, mentions, plain
from medqbench_vlmeval.answers.claims import STRONG, WEAK, Claim
from medqbench_vlmeval.answers.lists import LISTED
from medqbench_vlmeval.answers.options import (
    NO_SUCH_VALUE,
    SEVERAL,
    OptionSet,
    Reading,
    option_set,
    read_item,
    read_whole,
)
from medqbench_vlmeval.answers.plain import CLOSE, OPEN, any_of
from medqbench_vlmeval.types import Answer

EMPTY = "empty"
NO_ANSWER = "no answer"
ONLY_THOUGHT = "thought without an answer"
_SHORT = 200  # Replies of this length ('B. Noise') come again and again; longer ones hardly ever do.


def extract_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter of ``options`` (A to E, gaps allowed, by letter) that a careful reader would record as a reply's final
    answer, or None; of a very long reply the middle is left out."""
    return extract(reply, options).letter


def extract(reply: str, options: Mapping[str, str]) -> Answer:
    """The letter with the name of the rule that decided; where the letter is None, the rule says why. Names without a
    letter: 'empty', 'no reply', 'no answer', 'refusal', 'several answers', 'options listed', 'letter outside the
    options', 'letter and text disagree', 'thought without an answer'."""
    if len(reply) == 1 and reply in options:
        return Answer(reply, "whole reply")
    return _remembered(reply, tuple(options.items())) if len(reply) <= _SHORT else _extract(reply, options)


@lru_cache(maxsize=16_384)
def _remembered(reply: str, options: tuple[tuple[str, str], ...]) -> Answer:
    return _extract(reply, dict(options))


def _extract(reply: str, options: Mapping[str, str]) -> Answer:
    compiled = option_set(options)
    text = plain.clean(reply)
    if not text.strip():
        return Answer(None, EMPTY)
    answer = _from_own_turn(text, compiled)
    if answer.rule == LISTED and (rest := plain.after_reply_token(text)).strip():
        return _from_own_turn(rest, compiled)
    return answer


def _from_own_turn(text: str, options: OptionSet) -> Answer:
    """Read the model's own turn: no echo before it, no made-up turns after it."""
    answer, thoughts = plain.split_thoughts(plain.own_turn(text))
    answer = plain.without_struck(plain.readable(answer))
    if not answer.strip():
        return _from_thoughts(thoughts, options)
    data = lists.structured(answer, options)
    if data is not None:
        return Answer(data.letter, data.why or "options as data")
    *earlier, last = plain.turns(answer, lambda part: lists.repeats_options(plain.plain_answer(part), options))
    for part in earlier:
        firm = _read_above(plain.plain_answer(part), options)
        if firm is not None and firm.letter is not None and firm.rule not in _BY_THE_WAY:
            return firm
    return _read_above(plain.plain_answer(last), options) or Answer(None, NO_ANSWER)


# Rules that also read what is only explained; they settle nothing above a heading that may go on with the same task.
_BY_THE_WAY = frozenset(
    {"letter called right", "named option", "letter that is named", "option judged best", "option text"}
)


# From here on, a reply says why it did not choose the others.
_OF_OTHERS = re.compile(
    rf"(?im)(?:^|(?<=[.!?。]\s)|(?<=[.!?。]))[ \t>\-•]*(?:\d+[.)]\s*)?(?:{any_of('choice of others')})"
)
_NEAR = 30  # characters: 'the other options (B, C) ...' claims nothing
_FIRMER = frozenset({"stated answer", "marked answer", "changed answer", "answer on its own line"})


def _read_above(text: str, options: OptionSet) -> Answer | None:
    """What stands above the reasons against the other options counts, unless a firmer answer follows them."""
    others = _OF_OTHERS.search(text)
    chosen = _read(text[: others.start()], options) if others is not None else None
    if others is None or chosen is None or chosen.letter is None:
        return _read(text, options)
    later = _claimed(text[others.end() :], options)
    firmer = later is not None and later.position >= _NEAR and later.rule in _FIRMER and later.weight == STRONG
    return _read(text, options) if firmer and later is not None and later.reading.letter is not None else chosen


_PLAIN_END = re.compile(
    r"(?:final answer|answer|答案|最终答案)\s*(?:is)?\s*[:=]\s*[^\n]{1,60}\Z|" + OPEN + r"[^\n]{1,80}\Z", re.IGNORECASE
)


def _from_thoughts(thoughts: str | None, options: OptionSet) -> Answer:
    """A thought counts only where it ends with a marked or labelled answer: all else may still have changed."""
    if thoughts is None or not thoughts.strip():
        return Answer(None, EMPTY)
    text = plain.plain_answer(plain.readable(thoughts))
    if len(text) <= 12:
        answer = _read(text, options)
        # '<think>B' is an answer behind a stray token; '<think>maybe B' is a thought that was cut off.
        return answer if answer is not None and answer.rule == "whole reply" else Answer(None, ONLY_THOUGHT)
    claim = _claimed(text, options) if _PLAIN_END.search(text[-200:]) else None
    if claim is not None and claim.weight == STRONG and claim.reading.letter is not None:
        return Answer(claim.reading.letter, "answer that ends a thought")
    return Answer(None, ONLY_THOUGHT)


def _read(text: str, options: OptionSet) -> Answer | None:
    if (ticked := lists.boxes(text, options)) is not None:
        reading, rest = ticked
        later = _claimed(rest, options)
        if later is not None and later.weight == STRONG and later.reading.letter is not None:
            return Answer(later.reading.letter, later.rule)
        return Answer(reading.letter, reading.why or "ticked box")
    text, listed = lists.without_listing(text, options)
    text = text.strip()
    items = lists.enumeration(text, options)
    if items is None:
        return _by_rules(text, options) or (Answer(None, LISTED) if listed else None)
    # Options that are explained one by one are no answer; the text around them may be one.
    outside = f"{text[: items[0]]}\n\n{text[items[1] :]}".strip()
    answer = _by_rules(outside, options) if outside else None
    return answer if answer is not None and answer.letter is not None else Answer(None, LISTED)


def _by_rules(text: str, options: OptionSet) -> Answer | None:
    for name, rule in _RULES.items():
        if (decided := rule(text, options)) is not None:
            reading, name = (decided.reading, decided.rule) if isinstance(decided, Claim) else (decided, name)
            return Answer(reading.letter, name if reading.letter is not None else reading.why or name)
    return None


def _failed(text: str, options: OptionSet) -> Reading | None:  # noqa: ARG001
    """The harness's own words in place of a reply."""
    return Reading(None, "no reply") if text.startswith(("Failed to obtain answer", "Fail to obtain answer")) else None


def _whole_reply(text: str, options: OptionSet) -> Reading | None:
    """The reply is nothing but a letter in some dress, an option's text, yes or no."""
    if text.endswith("?") and len(text.strip(" ()[]?")) > 1:  # a question in return, not an answer
        return None
    if (both := mentions.yes_and_no(text, options)) is not None:
        return both
    return read_whole(text, options) or (read_item(text, options) if "\n" not in text else None)


# The finders of claims, in the order that decides between claims at the same place.
_FINDERS: tuple[Callable[[str, OptionSet], Iterator[Claim]], ...] = (
    claims.boxed,
    claims.keyed,
    glossary.stated_in_other_language,
    claims.chosen,
    claims.concluded,
    claims.called_right,
    claims.predicated,
    claims.named,
    claims.changed,
)
_CORRECTION = re.compile(rf"(?i)\b(?:{any_of('choice correction')})")


def _find_claims(text: str, options: OptionSet) -> list[Claim]:
    """All claims of ``text`` in the order in which they stand, but for hypothetical ones."""
    candidates = [claim for finder in _FINDERS for claim in finder(text, options)]
    candidates = claims.without_alternatives(text, candidates)
    if claims.CONDITION_CUES.search(text):
        candidates = [c for c in candidates if c.rule == "marked answer" or not claims.hypothetical(text, c.position)]
    return sorted(candidates, key=lambda claim: (claim.position, claim.weight))


def _claimed(text: str, options: OptionSet) -> Claim | None:
    """The last answer that the reply claims in words, in a box or on a line of its own; corrections count."""
    candidates = _find_claims(text, options) + _line_claims(text, options)
    return _decided(text, candidates) if candidates else None


def _line_claims(text: str, options: OptionSet) -> list[Claim]:
    """First and last lines that are nothing but an answer."""
    lines = [line for line in re.finditer(r"[^\n]+", text) if line[0].strip()] if "\n" in text else []
    if not lines or lists.only_items(text, options):
        return []
    answers: dict[int, Claim] = {}
    for line in lines[:40] + lines[-40:]:
        if len(line[0]) > 90:
            continue
        reading = read_whole(line[0], options) or read_item(line[0], options)
        if reading is not None and reading.letter is not None:
            answers[line.start()] = Claim(line.start(), reading, STRONG, "answer on its own line")
    several = len({claim.reading.letter for claim in answers.values()}) > 1
    # Several letters are a list, unless there are two of them among other lines, or one corrects another.
    if several and (len(answers) > 2 or (len(lines) == len(answers) and not _CORRECTION.search(text))):
        return []
    return [claim for start, claim in answers.items() if start in (lines[0].start(), lines[-1].start())]


# 'Option C is incorrect' behind an answer of C.
_CALLED_WRONG = (
    r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+[(\"']*{letter}[)\"']*|\n(?:The|This) (?:answer|option|choice))"
    r"\s+is\s+(?:also\s+)?(?:incorrect|wrong)\b"
)


def _decided(text: str, candidates: list[Claim]) -> Claim:
    candidates = sorted(candidates, key=lambda claim: claim.position)
    candidates = [claim for claim in candidates if claim.reading.why != NO_SUCH_VALUE] or candidates
    strong = [claim for claim in candidates if claim.weight == STRONG]
    if not strong:
        return _last(text, candidates)
    last = _last(text, strong)
    wrong = re.compile(_CALLED_WRONG.format(letter=last.reading.letter)).search(text, last.position)
    if wrong is not None and last.rule == "answer on its own line":
        return Claim(last.position, Reading(None, SEVERAL), STRONG, SEVERAL)
    flips = sum(a.reading.letter != b.reading.letter for a, b in itertools.pairwise(strong))
    if flips >= 4:
        return Claim(last.position, Reading(None, SEVERAL), STRONG, SEVERAL)
    for later in reversed(candidates):
        if later.weight == WEAK and later.position > last.position and later.reading.letter is not None:
            if later.reading != last.reading and _CORRECTION.search(text, last.position, later.position + 12):
                return later
            break
    return last


def _last(text: str, candidates: list[Claim]) -> Claim:
    """The last claim; SEVERAL where it is a box right behind another one."""
    last = candidates[-1]
    other = next((claim for claim in reversed(candidates[:-1]) if claim.reading != last.reading), None)
    if other is not None and other.rule == last.rule == "marked answer":
        between = text[other.position : last.position]
        if re.fullmatch(rf"{OPEN}[^{CLOSE}]{{0,80}}{CLOSE}\s*(?:or|and|,|/|&)?\s*", between):
            return Claim(last.position, Reading(None, SEVERAL), STRONG, SEVERAL)
    return last


_RULES: dict[str, Callable[[str, OptionSet], Claim | Reading | None]] = {
    "no reply": _failed,
    "whole reply": _whole_reply,
    "claimed answer": _claimed,
    "leading letter": lists.leading_letter,
    "option judged best": judged.best_judged,
    "letter with its text": lists.letter_with_text,
    "refusal": mentions.refused,
    "only letter": lists.only_letter,
    "yes or no": mentions.yes_or_no,
    "option text": mentions.by_text,
    "text in another language": glossary.in_other_language,
}
