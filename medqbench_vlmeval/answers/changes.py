"""Answers that replace or pick out others: 'I'm changing my answer to A', '不是A，而是B', 'the one that fits is B'."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.claims import STRONG, WEAK, Claim, after_signs, asserted_at, before, questioned, rejected
from medqbench_vlmeval.answers.options import SEVERAL, OptionSet, Reading, letter_at, letter_of, read_whole
from medqbench_vlmeval.answers.plain import may_say

_OLD = r"(?:(?:option\s+|choice\s+)?[(\[\"']*[A-Z](?![A-Za-z0-9])[)\]\"']*|it|this|that|there)"
_CHANGE = re.compile(
    r"(?i)\b(?:chang(?:e|ed|ing)|revis(?:e|ed|ing)|switch(?:ed|ing)?|updat(?:e|ed|ing)|amend(?:ed|ing)?"
    r"|correct(?:ed|ing)?|alter(?:ed|ing)?|mov(?:e|ed|ing)|shift(?:ed|ing)?|flip(?:ped|ping)?)\s+"
    r"(?P<what>(?:(?:my|the|this|that|it|our|own|final|initial|first|previous|earlier|original|answer|choice"
    rf"|selection|response|verdict|pick|vote|assessment|mind|over|away|from\s+{_OLD}|from\s+[^.,;:\n]{{1,40}}?(?=\s+to\b))\s*){{0,6}})"
    r"(?:\bto\b|\binto\b|:)\s*"
)
# A change that is asked about, refused or only thought of.
_NO_CHANGE = re.compile(
    r"(?i)\b(?:not|never|no|n't|should|if|whether|could|might|may|would|without|nothing|unless|can't|cannot|want(?:ed)?"
    r"|tempted|hesitat\w+|considered|refuse)\b|n't\b"
)
# It is the answer that changes, not something in the image: 'the window was shifted from A to B'.
_OF_THE_ANSWER = re.compile(
    r"(?i)\b(?:I|we|me|us|my|our|let|answer|choice|selection|response|verdict|pick|vote|assessment|mind)\b"
)
_SHOULD_BE = re.compile(
    r"(?i)\b(?:answered|said|wrote|chose|picked|put|selected|answer)\b[^.\n?]{0,60}?\b(?:it|that|this|which)\s+"
    r"should(?:'ve|\s+have)?\s+(?:be|been|read|say|said)\s+"
)
_STAYS = re.compile(
    r"(?i)\b(?:it|my (?:final )?(?:answer|choice)|the answer|I)\s+(?:will\s+|therefore\s+|still\s+)?"
    r"(?:stays?(?: at| with)?|stands? by|remains?|keep)\s+(?:as\s+)?"
)
_THE_ONE = re.compile(
    r"(?i)\b(?:the\s+(?:(?:right|correct|only|best|real|true|single)\s+)?(?:one|letter|candidate)\s+"
    r"(?:that(?:\s+is\s+(?:right|correct|best|left))?|which|I|we|left|to)"
    r"|what\s+(?:(?:best|really)\s+)?(?:fits|matches|explains|remains|accounts|I\s+(?:choose|pick|settle)))\b"
    r"(?P<words>[^.\n;?!:]{0,60}?)\s(?:is|must be|has to be)\s*:?\s+"
)
_RIGHT_ONE = re.compile(
    r"(?i)\bthe\s+(?:right|correct|best|true|real|proper)\s+one\s+(?:here\s+)?(?:is|must be)\s*:?\s+"
)
_DOUBTED = re.compile(
    r"(?i)\b(?:not|never|no|n't|doubt\w*|least|rul\w+ out|ruled|exclud\w*|eliminat\w*|discard\w*|reject\w*|wrong"
    r"|incorrect|could|might|may|if|would|either|confus\w*|drop\w*)\b|n't\b"
)
# What _CHANGE and _STAYS cannot do without.
_CHANGING = ("chang", "revis", "switch", "updat", "amend", "correct", "alter", "mov", "shift", "flip")
_STAYING = ("stay", "stand", "remain", "keep")


def changed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I'm changing my answer to A', 'switch from A to D', 'I said A, but it should be C', 'it stays B'."""
    for change in _CHANGE.finditer(text) if may_say(text, _CHANGING) else ():
        clause = _clause(text, change.start())
        if not change["what"].strip() or _NO_CHANGE.search(clause):
            continue
        if clause.strip() and not _OF_THE_ANSWER.search(f"{clause} {change['what']}"):
            continue
        if (reading := _sure(text, change.end(), options)) is not None:
            yield Claim(change.start(), reading, STRONG, "changed answer")
    for pattern, weight, stems in ((_SHOULD_BE, STRONG, ("should",)), (_STAYS, WEAK, _STAYING)):
        for match in pattern.finditer(text) if may_say(text, stems) else ():
            end = match.end()
            reading = letter_at(text, after_signs(text, end, " ([\"'"), options)
            if reading is None or rejected(text, end, reading) or _NO_CHANGE.search(_clause(text, match.start())):
                continue
            if not questioned(text, end):
                yield Claim(end, reading, weight, "changed answer")


def singled_out(text: str, options: OptionSet) -> Iterator[Claim]:
    """'The one that accounts for the drift is D', 'what fits everything is B', 'the right one is C'."""
    for pattern in (_THE_ONE, _RIGHT_ONE) if may_say(text, ("one", "letter", "candidate", "what")) else ():
        for match in pattern.finditer(text):
            if _DOUBTED.search(match[0]) or _DOUBTED.search(_clause(text, match.start())):
                continue
            if (reading := _sure(text, match.end(), options)) is not None:
                yield Claim(match.start(), reading, STRONG, "option singled out")


def _sure(text: str, start: int, options: OptionSet) -> Reading | None:
    reading = asserted_at(text, start, options)
    return None if reading is None or reading.why == SEVERAL or questioned(text, start) else reading


def _clause(text: str, end: int) -> str:
    return re.split(r"[.;:!?\n]|\bbut\b|, ", before(text, end, 50))[-1]


_THING = r"(?:选项|選項|选项|option\s+|la\s+|die\s+)?[(\[\"']*[A-Z](?![A-Za-z0-9])[)\]\"']*"
_NOT_BUT = re.compile(
    r"(?i)(?:不是|并非|並非|不选|不選|不应选|不该选|非|(?<![^\W_])(?:nicht|niet|не|nie|no es|no|n'est pas|pas|non è"
    r"|não é|không phải(?: là)?))\s*"
    rf"{_THING}(?:[,、;\s]*(?:也不是|也非|也不选|或者?|和|noch|ni|nor|oder|ou|или|ни|och)?\s*{_THING}){{0,3}}?"
    r"[,、;.\s]*(?:而是|而应该?(?:选|選|是|为)?|而选|应该?(?:是|选|为)|而|(?:是|选|選)"
    r"|(?<![^\W_])(?:sondern|maar|sino(?: que es)?|mais|mas(?: sim)?|ma|é|è|es|c'est|ale|lecz|а|это|mà là)"
    r"(?![^\W_]))\s*(?:选项|選項|option\s+)?(?=[(\[\"']*[A-Z](?![A-Za-z0-9]))[(\[\"']*"
)
_DENIED_FIRST = re.compile(
    r"(?<![A-Za-z0-9])[A-Z][)\]\"']*\s*(?:では(?:なく(?:て)?|ありません|ない(?:です)?)|じゃなく(?:て)?|じゃない|でなく|でもなく|でもない"
    r"|(?:가|이|은|는)?\s*(?:아니라|아니고|아닙니다|아니며|아닌)|değil)[,、.\s]*"
    r"(?:(?:正解|答え)は|正しくは|(?:정답|답)은)?\s*[(\[\"']*(?=[A-Z](?![A-Za-z0-9]))"
)
_CHANGED_TO = re.compile(
    r"(?:改为|改為|改成|改选|改選|更改为|修改为|变更为|更正为|换成|換成)\s*(?:选项)?\s*[(\[\"']*(?P<after>[A-Z])(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])(?P<before>[A-Z])[)\]\"']*(?:に変更|に修正|に改め|(?:으?로)\s*(?:변경|수정|바꾸|바꿉|바꿔))"
)
_NOT_CHANGED = re.compile(r"[不没未若]|如果|要不要|是否|もし|만약")
_ELSE = re.compile(r"[)\]\"']*\s*(?:还是|還是|或|吗|か|oder|o\b|ou\b|или)|[^.\n]{0,12}\?")


def contrasted(text: str, options: OptionSet) -> Iterator[Claim]:
    """'不是A，而是B', 'AではなくB', 'A가 아니라 B', 'nicht A, sondern B'."""
    for pattern in (_NOT_BUT, _DENIED_FIRST) if may_say(text, ("nicht", "nie", "no es", "n'est", "pas")) else ():
        for match in pattern.finditer(text):
            end = match.end()
            reading = letter_at(text, end, options)
            if reading is not None and not _ELSE.match(text, end + 1, end + 30):
                yield Claim(end, reading, STRONG, "stated answer")


def changed_in_other_language(text: str, options: OptionSet) -> Iterator[Claim]:
    """'现在改为C', 'Bに変更します', 'C로 변경합니다'."""
    for match in _CHANGED_TO.finditer(text) if not text.isascii() else ():
        letter = match["after"] or match["before"]
        clause = re.split(r"[,.;!\n]", before(text, match.start(), 15))[-1]
        if letter in options.letters and not _NOT_CHANGED.search(clause) and not _ELSE.match(text, match.end()):
            yield Claim(match.end(), Reading(letter), STRONG, "changed answer")


_AT_END = re.compile(r"(?i)(?::|(?<=\s)-)\s*(?:option\s+|choice\s+)?(?P<said>[^:\n]{1,60}?)[)\]\"'.!\s]*\Z")
# What stands before a colon where the letter after it is no verdict: 'the wrong ones: B', 'compared with: B'.
_NO_VERDICT = re.compile(
    r"(?i)(?:\b(?:wrong|incorrect|least|worst|rul\w+ out|exclud\w*|eliminat\w*|discard\w*|reject(?:ed|ing|s)?|doubt\w*"
    r"|except)\b(?![^,;]*\bso\b)[^,;]{0,30}|\bnot\s+(?:at all\s+)?(?:this|that|the|my|it|an?)\b[^,;]{0,20}"
    r"|\b(?:cannot|can't|could not|couldn't)\s[^,;]{0,30}"
    r"|\b(?:with|to|than|like|against|and|or|if|of|for|panel|figure|image|options?|choices?|candidates?|grade|type"
    r"|class|view|table|part|section|consider|check|next|first)(?:\s+(?:is|are))?)\s*\Z"
)
_LETTERS = re.compile(r"(?<![A-Za-z0-9'])([A-Z])(?![A-Za-z0-9'])")
_ANY_OF_THEM = re.compile(
    r"(?i)\b(?:of them|of these|others?|everything|all (?:the )?options|listed|as it stands|third|second|last)\b"
)


def at_the_end(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Not clean enough for C, not bad enough for A: B.': a letter after the last colon or dash of a reply."""
    match = _AT_END.search(text, max(0, len(text) - 80))
    if match is None:
        return
    reading = read_whole(match["said"], options)
    if reading is None or reading.letter is None:
        return
    if len(match["said"].strip(" ()[]\"'")) > 1 and reading.letter not in options.of_letters:
        return
    clause = re.split(r"[.;!?\n]", before(text, match.start(), 120))[-1]
    # Other options are spoken of, so that the letter is what is chosen among them.
    letters = {letter[1] for letter in _LETTERS.finditer(clause)} & options.letters
    letters |= {letter_of(mention) for mention in options.mention.finditer(clause)}
    if not letters - {reading.letter} and _ANY_OF_THEM.search(clause) is None:
        return
    if len(clause.split()) >= 3 and not _NO_VERDICT.search(clause):
        yield Claim(match.start(), reading, WEAK, "letter that ends the reply")
