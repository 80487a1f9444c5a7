"""Letters that answer by where they stand: at the start, beside their text, alone in a short reply."""

from __future__ import annotations

import re

from medqbench_vlmeval.answers.claim import REJECTED, negated
from medqbench_vlmeval.answers.listing import ITEM, is_item
from medqbench_vlmeval.answers.optionset import OptionSet, mentioned
from medqbench_vlmeval.answers.payload import OUTSIDE, SEVERAL, Reading, letter_at, own_text_at, read_whole
from medqbench_vlmeval.answers.supposed import CHOICE_CONDITION, conditional

_LINE_ITEM = re.compile(
    r"^[ \t]*(?:[-•·]|\d{1,2}[.)])?[ \t]*(?:option[ \t]+)?[(\[]?([A-Z])[)\].:](?![A-Za-z]\.)",
    re.MULTILINE | re.IGNORECASE,
)


# 'A would be ghosts': what the option means, not that it is chosen
_WOULD_BE = re.compile(
    r"[)\]\"']*\s+(?:would|could|might|may)\b(?!\s+(?:seem|appear|be|likely be|probably be)\s+(?:to be\s+)?"
    r"(?:the\b|my\b|an?\s+\w+\s+(?:choice|answer|fit)|most|more|best|better|right|correct|appropriate|closest|suitable))"
)
# 'A and C can be excluded', 'A, B and D are wrong'
_DENIED_SET = re.compile(
    r"(?:(?:,\s*|\s+)(?:and\s+|or\s+|&\s*)?(?:option\s+)?[(\[]?[A-Z](?![A-Za-z0-9])[)\]]?){1,4}\s+(?:both\s+)?"
    r"(?:(?:are|can be|could be|were|is|have been|must be|may be)\s+(?:\w+ly\s+)?(?:not\b|excluded|ruled out|eliminated"
    r"|wrong|incorrect|out\b|discarded|rejected|unlikely|false)|(?:do|does|can|could|would)(?:\s*not\b|n't\b)|cannot\b"
    r"|aren't|isn't)",
)


def leading_letter(text: str, options: OptionSet) -> Reading | None:
    """The reply starts with a letter: 'B. The image is grainy', 'B because A is wrong', 'B (Noise)'."""
    start = 0
    while start < len(text) and start < 20 and text[start] in " \t\n\"'([{<.:>-=→#|•✅✔👉☑1234567890)":
        start += 1
    reading = letter_at(text[: start + 300], start, options)
    if reading is None:
        return None
    if re.match(r"Q\d*\s*[:.]", text[start : start + 6]) and "Q" not in options.letters:
        return None
    if text[start].islower() and not (text[start + 1 : start + 2] in ".):" and start + 2 <= len(text)):
        return None
    after = text[start + 1 : start + 100]
    if text[start] == "A" and after.startswith(":") and (answered := _single_letter(text[start + 2 :], options)):
        return answered
    if conditional(after) or _DENIED_SET.match(after) or _WOULD_BE.match(after):
        return None
    if re.match(r"[.:)\]]\s*[A-Z][.:)\]]", after):
        return Reading(None, SEVERAL)
    if REJECTED.match(after) or re.match(r"[)\]\"']*\s*\?", after):
        return None
    if re.match(r"\s+or\s+not\b", after) or (reading.why == SEVERAL and re.match(r"[^.\n]{0,14}\?", after)):
        return None
    if reading.letter is not None:
        if re.match(r"\s+[A-HJ-Z](?![A-Za-z0-9])", after):
            return Reading(None, SEVERAL)
        items = {item[1].upper() for item in _LINE_ITEM.finditer(text)} & options.letters
        inline = {
            item[1]
            for item in ITEM.finditer(text)
            if item[1] in options.letters and item[0][-1] in ".:)" and is_item(text, item, options)
        }
        if (len(items) > 1 or len(inline) > 1) and not re.match(r"[.)\]]?\s*\n", after):
            return None
        if re.match(r"\s+(?:mode|scan|arm|line|cells?|field|weighted|type)\b", after):
            return None
    return reading


def _single_letter(text: str, options: OptionSet) -> Reading | None:
    """'A: B', where A stands for 'answer'."""
    return read_whole(text, options) if len(text.strip(" .*()[]\n")) == 1 else None


def letter_with_text(text: str, options: OptionSet) -> Reading | None:
    """One option is named by letter and text together: '(B) Noise', 'Noise (B)', and no other one is."""
    letters: dict[str, int] = {}
    denied = set()
    for item in ITEM.finditer(text):
        letter = item[1]
        if (
            letter in options.letters
            and own_text_at(text, item.end(1), options) == letter
            and not (letter == "A" and item[0] == "A")
        ):
            if negated(text, item.start()) or _denied_item(text, item):
                denied.add(letter)
            else:
                letters[letter] = item.start()
    if options.mention is not None:
        for found in options.mention.finditer(text):
            tail = re.match(
                r"\s*[(\[]\s*(?:option |answer |choice )?([A-Z])\s*[)\]]|\s+-\s+([A-Z])(?=\W*(?:\Z|\n))"
                r"|:?\s+[(\[]([A-Z])[)\]]",
                text[found.end() : found.end() + 20],
            )
            if tail is None:
                continue
            letter = tail[1] or tail[2] or tail[3]
            if letter == mentioned(found):
                clause = re.split(r"[.;\n]", text[max(0, found.start() - 60) : found.start()])[-1]
                if re.search(
                    r"\b(?:no|not|without|nor|than|n't|neither|thought|could|might|if|or|either|between)\b|n't\b",
                    clause,
                ):
                    denied.add(letter)
                else:
                    letters[letter] = found.start()
    chosen = set(letters) - denied
    return Reading(chosen.pop()) if len(chosen) == 1 and len(letters) == 1 else None


def _denied_item(text: str, item: re.Match[str]) -> bool:
    line = text[item.end() : item.end() + 160].split("\n")[0]
    return re.search(r"\b(?:no|not|none|absent|incorrect|wrong|unlikely|n't)\b|n't\b|✗|❌|\?", line) is not None


_NOT_AN_OPTION = re.compile(
    r"(?:vitamin|grade|image|images|figure|fig\.|type|types|hepatitis|plan|panel|class|group|segment|phase|level"
    r"|stage|series|view|point|region|arrow|label|slide|part|section|patient|step|scan|table|case|area|influenza"
    r"|\b(?:plane|slice|protocol|section|view|sequence|phase|panel|group|case|patient|scanner|site|window|region|zone"
    r"|hospital|cent(?:er|re)|clinic|machine|device|vendor|system|station|room|subject|volunteer|specimen|sample|block"
    r"|study|exam|examination|session|visit|cohort|dataset|subset|batch|fold|frame|volume|layer|channel|lead|probe"
    r"|coil|kernel|filter|detector|position|location|row|column|quadrant|lobe|lesion|vessel|structure|marker|landmark"
    r"|appendix|chapter|exhibit|setting|mode|reader|observer|annotator)s?"
    r"|°|(?:figure|fig|panel|protocol|plate|table|slot|scanner|sequence|patient|plane|slice|series|view"
    r"|section|site|zone|group|phase)\s*:)\s*(?:[A-Z]\s*(?:,|and\b|or\b|to\b|&|/)\s*){0,3}[\"']?\Z",
    re.IGNORECASE,
)


_FREE_LETTER = re.compile(
    r"(?:(?<=[\s(\[\"',:*→=|])|(?<=\A))([A-Z])(?![A-Za-z0-9À-ɏЀ-ӿ_]|['&+/\-][A-Za-z0-9]|\.[A-Za-z])"
)


_WEIGHED = re.compile(
    r"\b(?:if|whether|might|may|could|can|either|or|not|nor|neither|n't|cannot|between|consider|let's|would|first"
    r"|maybe|perhaps|possibly|answer with|look at|examin\w+|evaluat\w+|analy[sz]\w+|check"
    r"|nothing|no reason|(?<!at )least|doubt\w*|rul\w+ out|panel|figure)\b|n't\b|不",
    re.IGNORECASE,
)


def only_letter(text: str, options: OptionSet) -> Reading | None:
    """A short reply that names one letter at the end of a clause, and no other one stands: 'Definitely C.'"""
    if len(text) > 300:
        return None
    if options.of_letters and options.mention is not None:  # the letters in 'not both A and B' are a text's
        text = options.mention.sub(
            lambda said: "_" * len(said[0]) if mentioned(said) in options.of_letters else said[0], text
        )
    standing: dict[str, bool] = {}
    for found in _FREE_LETTER.finditer(text):
        letter, before, after = found[1], text[: found.start()], text[found.end() :]
        if letter == "I" or _NOT_AN_OPTION.search(before[-30:]):
            continue
        ended = (
            re.match(
                r"[)\]\"']*\s*(?:\Z|[.,;!\n(]|is\s*\.|to me\b|it is\b|I (?:think|believe|guess)|because\b|since\b)",
                after,
            )
            is not None
        )
        article = re.match(r"\s+(?!and\b|or\b|to\b|through\b|it\b|is\b)(?:[a-z]|[A-Z][\w-])", after)
        if letter == "A" and not ended and article:
            continue
        clause = CHOICE_CONDITION.sub("", re.split(r"[.;!?\n]|, (?!so\b)|\bbut\b", before)[-1])
        if REJECTED.match(after[:80]) or re.match(r"[^.!?\n]{0,16}\?", after) or negated(text, found.start()):
            continue
        if _WOULD_BE.match(after):
            continue
        neither = re.search(r"\bneither\b[^.;!?\n]*\Z", before, re.IGNORECASE)
        standing[letter] = ended and not _WEIGHED.search(clause) and neither is None
    if len(standing) != 1:
        return None
    letter, firm = standing.popitem()
    if letter not in options.letters:
        return Reading(None, OUTSIDE) if firm else None
    return Reading(letter) if firm else None
