"""Answers in running text: option texts that a reply affirms or denies, yes and no, and refusals."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from medqbench_vlmeval.answers.options import SEVERAL, YES_OR_NO, OptionSet, Reading, letter_of
from medqbench_vlmeval.answers.plain import any_of, sentences

_CLAUSE = re.compile(f"(?i){any_of('mentions clause')}")
_NEGATOR = re.compile(rf"(?i)\b(?:{any_of('mentions negator')})\b|n't\b|没有|沒有|无|無|不是|并非|不")
_IDIOM = re.compile(r"(?i)\bno (?:doubt|question)\b|\bnot only\b|[(:]\s*no\b(?=\s*[),;])")
# What takes back an option that is a negation itself: 'not a case of no blur'.
_NOT_NONE = re.compile(
    r"(?i)(?:\b(?:not|nor|neither|never|hardly|rather than|instead of|cannot|wrong to)|n't)\s+"
    rf"(?:(?:{any_of('mentions case of')})\s+){{0,6}}[\"'(]*\Z"
)
# Negations that say that something is not there, in contrast to 'not merely', 'rather than'.
_THERE_IS_NO = re.compile(
    r"(?i)(?:\b(?:no|without|free (?:of|from)|absence of|lack(?:s|ing)?(?: of)?)|(?:n't|\bnot)\s+(?:see|show|have"
    r"|exhibit|contain|any|display|suffer)\w*)\b(?!\s+(?:need|longer))[^.;:]*\Z"
)
_HEDGE = re.compile(rf"(?i)\b(?:{any_of('mentions hedge')})\b|是否|可能")
_DENIED_AFTER = re.compile(
    rf"(?i)\s*(?:{any_of('mentions thing or is')})?\s*(?:also |clearly |simply |to be |be |is |are )?"
    rf"(?:{any_of('mentions denied after')})|\s*\(\s*(?:no|not|absent)\s*\)"
    r"|\s*[:\-]\s*(?:no\b|not\b|none\b|absent|✗|❌)|\s*(?:不|没有)"
)
_LISTING = re.compile(rf"(?i)[\s,]*(?:(?:{any_of('mentions listing')})\b[\s,]*)*\Z")
_VERB_AFTER = re.compile(rf"(?i)\s+(?:{any_of('mentions verb after')})\b(?!\s+(?:not|absent))")
# 'No noise can be seen' says that there is none.
_PERCEIVED = re.compile(
    r"(?i)(?:\s+\w+ly)?\s+(?:can|could|may|might)\s+(?:also\s+|clearly\s+|really\s+)?be\s+(?:\w+ly\s+)?"
    rf"(?:{any_of('mentions perceived')})\b(?![^.;\n]{{0,60}}\b(?:if|when|typically|often|other|such|some)\b)"
)
_MAY = re.compile(r"(?i)\s+(?:may|might)\b")
# What follows a term that is explained, or a question: 'blur means ...', 'noise is often ...', 'ringing?'.
_EXPLAINED_OR_ASKED = re.compile(rf"[^.!;:,\n]{{0,50}}\?|\s+(?:{any_of('mentions explained or asked')})\b")
_NONE_AT_ALL = re.compile(
    r"\s*(?:$|[.,;:!)\]\n]|is|are|of the (?:\w+ )?(?:art[ie]facts|degradations|distortions) (?:is|are|can be)\b)"
)
_ALTERNATIVES = re.compile(r"\s*(?:,?\s*or|and/or|to|/|-|vs\.?|versus)\s*(?:an? |even )?")
_OR_ANOTHER = re.compile(r"\s*(?:,\s*)?or\s(?!\s*(?:other|similar))")
_JOINED = re.compile(r"(?i)\s*(?:,|,?\s*and|,?\s*or|/)\s*")
_QUALITIES = (("good",), ("fair",), ("poor",), ("bad",), ("excellent",), ("acceptable",), ("high",), ("low",))
# 'good' as a verdict, not as in 'good contrast'.
_GOOD_AFTER = re.compile(rf"(?i)\s+(?!{any_of('mentions good after')})[A-Za-z]")
_NO_SUCH = re.compile(
    r"(?i)\b(?:no|without(?: any)?|free (?:of|from)|n't (?:see|show|contain|have|exhibit)(?: any)?)\s+"
    rf"(?:(?:{any_of('mentions visible')})\s+)*(?:art[ie]facts?|degradations?|distortions?|quality issues?)\b"
)
_NEGATIONS = (("no",), ("not",), ("none",))


@dataclass(frozen=True)
class Mention:
    """An option's text at ``start``; ``affirmed`` is None where the reply only weighs it."""

    letter: str
    start: int
    affirmed: bool | None


def find(text: str, options: OptionSet) -> list[Mention]:
    """Find all mentions of option texts, longest text first at each place."""
    spans = list(options.mention.finditer(text))
    # Only near neighbours matter to a mention, and looking at all of them would be quadratic.
    mentions = [_judge(text, span, options, spans[max(0, at - 8) : at + 2]) for at, span in enumerate(spans)]
    # 'Metal and ring artifacts are not seen' denies both, though the denial follows the second one.
    for at in range(len(spans) - 2, -1, -1):
        between = text[spans[at].end() : spans[at + 1].start()]
        if mentions[at + 1].affirmed is False and mentions[at].affirmed and _JOINED.fullmatch(between):
            mentions[at] = replace(mentions[at], affirmed=False)
    if options.nothing is not None and not any(mention.letter == options.nothing for mention in mentions):
        nothing = _NO_SUCH.search(text)
        if nothing is not None and not any(mention.affirmed for mention in mentions):
            mentions.append(Mention(options.nothing, nothing.start(), True))
    return mentions


def affirmed(text: str, options: OptionSet) -> set[str]:
    """The letters of all options that ``text`` affirms."""
    return {mention.letter for mention in find(text, options) if mention.affirmed}


def _judge(text: str, span: re.Match[str], options: OptionSet, near: list[re.Match[str]]) -> Mention:
    letter, start = letter_of(span), span.start()
    words = options.words[letter]
    after = text[span.end() : span.end() + 60]
    clause = _CLAUSE.split(text[max(0, start - 120) : start])[-1]
    is_negation = words[:1] in _NEGATIONS
    if _EXPLAINED_OR_ASKED.match(after) and not (_PERCEIVED.match(after) and (is_negation or not _MAY.match(after))):
        return Mention(letter, start, None)
    if letter == options.nothing and words == ("none",) and not _NONE_AT_ALL.match(after):
        return Mention(letter, start, None)
    if is_negation:
        if _NOT_NONE.search(clause):
            return Mention(letter, start, False)
    else:
        negators = _NEGATOR.finditer(_IDIOM.sub(lambda idiom: "_" * len(idiom[0]), clause))
        negator = max((match.end() for match in negators), default=None)
        if negator is not None and _reaches(clause[negator:], span, near, after):
            if letter in options.absent and _THERE_IS_NO.search(_without_negations(clause, start, near, options)):
                return Mention(options.absent[letter], start, True)
            return Mention(letter, start, False)
        if _DENIED_AFTER.match(after):
            return Mention(letter, start, False)
    weighed = (
        _is_alternative(text, span, near)
        or _HEDGE.search(clause)
        or _OR_ANOTHER.match(after)
        or (words in _QUALITIES and _GOOD_AFTER.match(after))
    )
    return Mention(letter, start, None if weighed else True)


def _without_negations(clause: str, end: int, near: list[re.Match[str]], options: OptionSet) -> str:
    """The clause before ``end`` without the options in it that are negations themselves ('no blur')."""
    start = end - len(clause)
    for span in near:
        if start <= span.start() < end and options.words[letter_of(span)][:1] in _NEGATIONS:
            clause = clause[: span.start() - start] + "_" * len(span[0]) + clause[span.end() - start :]
    return clause


def _is_alternative(text: str, span: re.Match[str], near: list[re.Match[str]]) -> bool:
    """Whether the text stands in 'fair to good', 'good / usable'."""
    pairs = [(other, span) if other.start() < span.start() else (span, other) for other in near if other is not span]
    return any(b.start() - a.end() < 12 and _ALTERNATIVES.fullmatch(text[a.end() : b.start()]) for a, b in pairs)


def _reaches(between: str, span: re.Match[str], near: list[re.Match[str]], after: str) -> bool:
    """Whether a negation reaches over a comma: it does in a list ('no motion, blur, or noise')."""
    if "," not in between and "，" not in between:
        return len(between.split()) <= 8
    # Other options' texts in between are list items; anything else ends the negation.
    start = span.start() - len(between)
    rest = between
    for other in reversed(near):
        if start <= other.start() < span.start():
            rest = rest[: other.start() - start] + rest[other.end() - start :]
    _, _, tail = rest.partition(",")
    return bool(_LISTING.match(tail)) and not _VERB_AFTER.match(after) and not re.search(r"\bjust\b|\bonly\b", between)


REFUSAL = "refusal"
_REFUSAL = re.compile(
    rf"(?i)(?:sorry|apologi[sz]e|unfortunately)[^.\n]{{0,80}}?(?:{any_of('mentions sorry')})"
    rf"|\b(?:I|we)\s*(?:am |'m |'re )?(?:really |still )?(?:{any_of('mentions not able')})\s*"
    rf"(?:{any_of('mentions refusal manner')})*(?:{any_of('mentions refusal')})\w*|{any_of('mentions refused')}"
)
_DESPITE = re.compile(r"(?i)\b(?:but|however|nevertheless|nonetheless|that said|still)\b[, ]*")
_CONCESSION = re.compile(r"(?i)(?:^|[.\n]\s*)(?:while|although|though|even though)\b[^.\n]{0,20}\Z")
_CONCLUDING = re.compile(rf"(?i)\b(?:{any_of('mentions concluding')})\b|因此|所以|综上|总之")
_LEADING_SAID = re.compile(
    rf"(?i)\W*(?:(?:{any_of('mentions first words')}),?\s+)?({YES_OR_NO})(?![^\W_一-鿿぀-ヿ가-힣])"
)
_ASIDE_SAID = re.compile(rf"(?i)(?:{any_of('mentions before an aside')})\s+(yes|no)\s*(?:[,.!;]|\Z)")
_LONE_SAID = re.compile(r"(?i)\W*(yes|no|yep|nope)\W*\Z")
_OTHER_SAID = re.compile(
    r"(?i)(?:\s*(?:/|\||,|and|or)?\s*|\W{0,5}(?:and|or)\W{0,3})(yes|no)\b(?!\s+(?:doubt|question|problem))"
)
_NO_MEANS_NOTHING = re.compile(rf"(?i)\W*no[ ,]+(?:{any_of('mentions no means nothing')})\b")
_SHORT_REPLY = 500


def yes_or_no(text: str, options: OptionSet) -> Reading | None:
    """The reply starts with yes or no, or says it between commas or as a sentence of its own."""
    if options.yes is None:
        return None
    leading = _LEADING_SAID.match(text)
    if leading is not None and not _NO_MEANS_NOTHING.match(text):
        letter = options.yes_or_no(leading[1])
        other = _OTHER_SAID.match(text, leading.end())
        if other is not None and options.yes_or_no(other[1]) != letter:
            return Reading(None, SEVERAL)
        rest = text[leading.end() :]
        if re.match(r"\s*\?|\s+or\W*\Z|,?\s+(?:if|when|unless|depending)\b", rest):
            return None
        short_no = leading[1].lower() in ("no", "non", "无", "不", "нет")
        if letter == options.yes or not short_no or not re.match(r"[\s]+(?:one|matter)\b", rest):
            return Reading(letter)
    alone = [lone[1] for part in sentences(text) if (lone := _LONE_SAID.match(part)) is not None and "?" not in part]
    if alone:
        return Reading(options.yes_or_no(alone[-1]))
    asides = {options.yes_or_no(aside[1]) for aside in _ASIDE_SAID.finditer(text)}
    return Reading(asides.pop()) if len(asides) == 1 else None


def yes_and_no(text: str, options: OptionSet) -> Reading | None:
    """Yes and no, each as a sentence or line of its own, and nothing else: 'Yes. / No.'"""
    words = [_LONE_SAID.match(part) for part in sentences(text[:60])] if options.yes is not None else []
    letters = {options.yes_or_no(word[1]) for word in words if word is not None}
    return Reading(None, SEVERAL) if len(letters) > 1 and all(words) else None


def refused(text: str, options: OptionSet) -> Reading | None:
    """The model declines or cannot tell. What it says after 'but' may still be an answer."""
    refusal = _REFUSAL.search(text)
    if refusal is None:
        return None
    rest = None
    if _CONCESSION.search(text[max(0, refusal.start() - 25) : refusal.start()]):
        comma = text.find(",", refusal.end())
        rest = text[comma + 1 :] if comma != -1 else None
    elif (despite := _DESPITE.search(text, refusal.end())) is not None:
        rest = text[despite.end() :]
    if rest is not None and _REFUSAL.search(rest) is None:
        reading = yes_or_no(rest.strip(), options) or by_text(rest, options)
        if reading is not None and reading.letter is not None:
            return reading
    return Reading(None, REFUSAL)


def by_text(text: str, options: OptionSet) -> Reading | None:
    """The reply affirms the text of exactly one option, as a whole or in its conclusion."""
    mentions = find(text, options)
    whole = {mention.letter for mention in mentions if mention.affirmed}
    parts = sentences(text)
    if not parts or not whole:
        return None
    if options.values:  # numbers of a calculation are no answers: only what the reply ends with is
        whole = affirmed(parts[-1], options)
        return Reading(whole.pop()) if len(whole) == 1 else None
    if len(text) <= _SHORT_REPLY and len(whole) == 1:
        return Reading(whole.pop())
    concluding = [part for part in parts if _CONCLUDING.search(part)]
    if concluding and len(letters := affirmed(concluding[-1], options)) == 1:
        return Reading(letters.pop())
    if len(whole) == 1 and whole in (affirmed(parts[0], options), affirmed(parts[-1], options)):
        return Reading(whole.pop())
    return Reading(None, SEVERAL) if len(whole) > 1 else None
