"""Answers in running text: yes and no, refusals, and option texts that the reply affirms."""

from __future__ import annotations

import re

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.optionset import NO_WORDS, YES_WORDS, OptionSet
from medqbench_vlmeval.answers.payload import SEVERAL, Reading

REFUSAL = "refusal"


_REFUSAL = re.compile(
    r"(?:sorry|apologi[sz]e|unfortunately)[^.\n]{0,80}?(?:can't|cannot|unable|not able|can not|couldn't|won't"
    r"|don't|no image|not possible)"
    r"|\b(?:I|we)\s*(?:am |'m |'re )?(?:really |still )?(?:cannot|can't|can not|unable to|not able to|don't"
    r"|do not|won't|not comfortable|not qualified|haven't|not in a position)\s*(?:to |be |really |feel |have "
    r"|provide |reliably |definitively |accurately |safely )*"
    r"(?:determin|assist|help|provid|answer|analy[sz]|view|see (?:an|any|the) (?:image|attach)|interpret|identif"
    r"|tell|evaluat|assess|diagnos|comfortable|know|access|enough|make|offer|give|the ability|received|say"
    r"|comment|process)\w*"
    r"|\bno image (?:was|is|has been|provided|attached)|(?:haven't|have not|did not|didn't) (?:included?"
    r"|attached?|provided?|uploaded?)|^as an ai\b|^I am an AI"
    r"|\b(?:cannot|can't|could not) be (?:determined|answered|assessed)|\b(?:not sure|unsure|unclear"
    r"|hard to (?:say|tell)|difficult to (?:say|tell|determine)|impossible to|insufficient|unknown\b)"
    r"|^cannot (?:determine|answer|tell)|^unable to|抱歉|对不起|無法|无法(?:判断|确定|提供|识别|回答|分析|看)"
    r"|不能(?:提供|判断|确定)|不确定|申し訳|できません",
    re.IGNORECASE,
)


_DESPITE = re.compile(r"\b(?:but|however|nevertheless|nonetheless|that said|still)\b[, ]*", re.IGNORECASE)


_CONCESSION = re.compile(r"(?:^|[.\n]\s*)(?:while|although|though|even though)\b[^.\n]{0,20}\Z", re.IGNORECASE)


_SENTENCE = re.compile(r"(?<=[.!?\n])[\s\"')\]]+|\n+|(?<=。)")


_CONCLUDING = re.compile(
    r"\b(?:therefore|thus|so|hence|overall|in conclusion|in summary|to sum up|to summarize|conclusion"
    r"|consequently|actually|ultimately|best described|(?:strongly |clearly |most )?(?:indicat|suggest)\w*"
    r"|consistent with|points? to|characteristic of|confirm\w*|classified as|wait|on balance)\b|因此|所以|综上|总之",
    re.IGNORECASE,
)


_MAIN = re.compile(
    r"\b(?:primar(?:y|ily)|main(?:ly)?|dominant|predominant(?:ly)?|principal(?:ly)?|most (?:likely|prominent"
    r"|significant|noticeable|obvious|evident)|major|mostly|chief(?:ly)?|best (?:described|characterized))\b|主要",
    re.IGNORECASE,
)


_WORDS_SAID = "|".join(re.escape(w) for w in sorted({*YES_WORDS, *NO_WORDS}, key=len, reverse=True))


_LEADING_SAID = re.compile(
    rf"\W*(?:(?:well|oh|of course|sure|certainly|so|ok|okay|hmm|absolutely|indeed|based on[^,.\n]{{0,40}}"
    rf"|in this image|in the image|looking (?:at|closely)[^,.\n]{{0,30}}),?\s+)?"
    rf"({_WORDS_SAID})(?![^\W_一-鿿぀-ヿ가-힣])",
    re.IGNORECASE,
)


_ASIDE_SAID = re.compile(
    r"(?:[,:;?]|\bthat|\bdefinitely|\bclearly|\bprobably|\babsolutely|\bis|\bbut)\s+(yes|no)\s*(?:[,.!;]|\Z)",
    re.IGNORECASE,
)


_LONE_SAID = re.compile(r"\W*(yes|no|yep|nope)\W*\Z", re.IGNORECASE)


_OTHER_SAID = re.compile(
    r"(?:\s*(?:/|\||,|and|or)?\s*|\W{0,5}(?:and|or)\W{0,3})(yes|no)\b(?!\s+(?:doubt|question|problem))", re.IGNORECASE
)


_NO_MEANS_NOTHING = re.compile(
    r"\W*no[ ,]+(?:idea|answer|problem|worries|way|image|clue|information|options?|opinion|comment|matter|doubt"
    r"|need|one|thoughts?|conclusion|definit\w+|data|response)\b",
    re.IGNORECASE,
)


SHORT = 500
_SHORT_ENOUGH = 60


def yes_or_no(text: str, options: OptionSet) -> Reading | None:
    """The reply starts with yes or no, or says it between commas or as a sentence of its own."""
    if options.yes is None:
        return None
    found = _LEADING_SAID.match(text)
    if found is not None and not _NO_MEANS_NOTHING.match(text):
        other = _OTHER_SAID.match(text, found.end())
        if other is not None and options.said(other[1]) != options.said(found[1]):
            return Reading(None, SEVERAL)
        if re.match(r"\s*\?|\s+or\W*\Z|,?\s+(?:if|when|unless|depending)\b", text[found.end() :]):
            return None
        if (
            options.said(found[1]) == options.yes
            or found[1].lower() not in ("no", "non", "无", "不", "нет")
            or not re.match(r"[\s]+(?:one|matter)\b", text[found.end() :])
        ):
            return Reading(options.said(found[1]))
    said = [
        options.said(lone[1]) for s in sentences(text) if (lone := _LONE_SAID.match(s)) is not None and "?" not in s
    ]
    if said:
        return Reading(said[-1])
    asides = {options.said(aside[1]) for aside in _ASIDE_SAID.finditer(text)}
    if len(asides) == 1:
        return Reading(asides.pop())
    return None


def said_both(text: str, options: OptionSet) -> Reading | None:
    """Yes and no, each as a sentence or line of its own, and nothing else: 'Yes. / No.'"""
    if options.yes is None or len(text) > _SHORT_ENOUGH:
        return None
    found = [_LONE_SAID.match(part) for part in sentences(text)]
    letters = {options.said(said[1]) for said in found if said is not None}
    return Reading(None, SEVERAL) if len(letters) > 1 and all(found) else None


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part for part in _SENTENCE.split(text) if part and part.strip()]


def refused(text: str, options: OptionSet) -> Reading | None:
    """The model declines or cannot tell. What it says after 'but' may still be an answer."""
    found = _REFUSAL.search(text)
    if found is None:
        return None
    rest = None
    before = text[max(0, found.start() - 25) : found.start()]
    if _CONCESSION.search(before + text[found.start() : found.start()]) or _CONCESSION.search(before):
        comma = text.find(",", found.end())
        rest = text[comma + 1 :] if comma != -1 else None
    else:
        despite = _DESPITE.search(text, found.end())
        rest = text[despite.end() :] if despite is not None else None
    if rest is not None and _REFUSAL.search(rest) is None:
        reading = yes_or_no(rest.strip(), options) or by_text(rest, options)
        if reading is not None and reading.letter is not None:
            return reading
    return Reading(None, REFUSAL)


def by_text(text: str, options: OptionSet) -> Reading | None:
    """The reply affirms the text of exactly one option, as a whole or in its conclusion."""
    found = mentions.find(text, options)
    whole = {mention.letter for mention in found if mention.affirmed}
    if len(whole) > 1:  # 'although it looks similar to CT, it is an MRI'
        whole = {m.letter for m in found if m.affirmed and not mentions.likened(text, m)} or whole
    parts = sentences(text)
    if not parts or not whole:
        return None
    if len(text) <= SHORT and len(whole) == 1:
        return Reading(whole.pop())
    concluding = [part for part in parts if _CONCLUDING.search(part)]
    for part in concluding[-1:]:
        letters = mentions.affirmed(part, options)
        if len(letters) == 1:
            return Reading(letters.pop())
    if len(whole) == 1 and whole in (mentions.affirmed(parts[0], options), mentions.affirmed(parts[-1], options)):
        return Reading(whole.pop())
    main = _main(text, found)
    if main is not None:
        return Reading(main)
    return Reading(None, SEVERAL) if len(whole) > 1 else None


def _main(text: str, found: list[mentions.Mention]) -> str | None:
    """The option that is called the main one, where others are mentioned beside it."""
    letters = set()
    for marker in _MAIN.finditer(text):
        after = [
            m for m in found if marker.end() <= m.start <= marker.end() + 70 and "." not in text[marker.end() : m.start]
        ]
        if after and after[0].affirmed:
            letters.add(after[0].letter)
            joined = [
                m
                for m in after[1:]
                if re.fullmatch(r"[\w\- ]{0,25}\band (?:some |also )?", text[after[0].start : m.start])
            ]
            letters.update(m.letter for m in joined if m.affirmed)
    return letters.pop() if len(letters) == 1 else None
