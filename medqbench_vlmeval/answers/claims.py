"""A claim: a place where a reply gives an answer, and the words around it that take it back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.options import SEVERAL, OptionSet, Reading, letter_at, mentioned, read, read_whole
from medqbench_vlmeval.answers.plain import OPEN, may_say

STRONG, WEAK = 2, 1


@dataclass(frozen=True)
class Claim:
    """A reading with its place in the text, its weight and the name of the pattern that found it."""

    position: int
    reading: Reading
    weight: int
    rule: str


REJECTED = re.compile(
    # After a full stop a new sentence begins, whose 'not' is about something else.
    r"(?:[)\]\"':]*\s*(?:\([^()\n]{0,40}\)|(?-i:(?!The |This |That |There )[A-Z][a-z]{2,}(?: [a-z]+){0,2}?))??\s*"
    r"|[)\]\"']*\.\s*(?=is\b|incorrect|wrong|✗|✘|❌))"
    r"(?:(?:is|are|was|were|seems?"
    r"|appears?|would be|looks?|can be|can also be|could be|is also|must be|should be|does|do|did)?\s*"
    r"(?:also |clearly |likely |probably |therefore |thus |definitely |simply |quite |very |less |more )*"
    r"(?:not\b|n't|isn't|doesn't|wasn't|can't|cannot|incorrect|wrong|false|ruled out|eliminated|excluded"
    r"|discarded|unlikely|out\b|implausible|likely wrong|inconsistent|inappropriate|less likely|irrelevant)|不|错|✗"
    r"|でも|では?(?:な[いく]|ありません)|じゃな|是(?:错|錯|不)|有误|[가이은는]?\s*(?:아니|아닙|아닌)|değil"
    r"|✘|❌)",
    re.IGNORECASE,
)


QUESTIONED = re.compile(r"[^.\n!?]{0,25}\?")


LETTER_THERE = re.compile(
    r"(?:(?:option|choice|answer|letter)\s*)?[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_]|['&+\-][A-Za-z0-9]"
    r"|\.[A-Za-z])",
    re.IGNORECASE,
)


NEGATOR_BEFORE = re.compile(
    r"(?:\b(?:not|n't|isn't|nor|neither|never|rules? out|ruling out|ruled out|eliminates?|eliminating|excludes?"
    r"|excluding|reject(?:s|ing)?|than|instead of|unlike|except|if|whether|without|over|discard|consider(?:ed"
    r"|ing)?|thought|between|no longer|either|about|against)\s+(?:(?:option|choice|answer|the|be|is|it|was|it's"
    r"|for)\s+)*|[^\w\s]n't\s+|(?<![^\W_])(?:nicht|niet|не|nie|pas|não é|non è|no es)\s+"
    r"|(?:不是|并非|並非|不选|不選|[^一-鿿]?不|排除)\s*)[(\[\"']*\Z",
    re.IGNORECASE,
)


def negated(text: str, start: int) -> bool:
    return NEGATOR_BEFORE.search(text, max(0, start - 40), start) is not None


def rejected(text: str, start: int, reading: Reading) -> bool:
    """Whether the letter or text read at ``start`` is called wrong, or only asked about, right after it."""
    if reading.letter is None:
        return False
    found = LETTER_THERE.match(text, start)
    if found is None:
        return False
    after = text[found.end() : found.end() + 80]
    return REJECTED.match(after) is not None


# Letters that a reply concludes, calls right, ticks or names: weaker than a stated answer.


_CONNECTOR = re.compile(
    r"(?:(?<![A-Za-z])(?:so|therefore|thus|hence|consequently|accordingly|wait|actually|no|finally|ultimately"
    r"|then|leaves(?: us with)?|leaving(?: us with)?|left with"
    r"|must be|points? to|pointing to|suggests?|suggesting|indicates?|indicating|matches|corresponds? to"
    r"|consistent with|fits|best described (?:as|by)|making it|probably|likely|on second thought"
    r"|but|it's|it is|that's|that would be|would be|correction|settle for|classif\w+ (?:it |this |this image )?as"
    r"|rated? (?:as|it|this)?|rather|instead|maybe|perhaps"
    r"|of the [\w ]{0,20}options(?: given| provided| listed)?|hmm|ok|okay|sure|question)(?![A-Za-z])"
    r"|→|=>|->|∴|因此|所以|故)"
    r"[,:.!\s\-]{0,4}(?:the image is |this is |it is |it's |it must be |we have |that is |to be )?",
    re.IGNORECASE,
)


_TEXT_VERDICT = re.compile(
    r"(?:so|therefore|thus|hence|actually|finally|wait|no|then|looking closely|it does\.|consequently|ultimately"
    r"|overall)[\s,.:!\-]*\Z",
    re.IGNORECASE,
)


_CLAUSE_END = re.compile(
    rf"[)\]\"']*\s*(?:\Z|[.,;!\n:\-({OPEN}]|(?:because|since|as|due|given|is (?:the )?(?:correct|right|best|most)"
    rf"|it is|fits|best|matches|for|again|describes)\b)"
)


_CONFUSED = re.compile(r"\b(?:confused with|mistaken for|mixed up with)[^.,;:\n]{0,10}\Z", re.IGNORECASE)


_RIGHT = re.compile(
    r"(?<![A-Za-z0-9À-ɏ_'.\-])(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_])[)\]\"']*(?:\s*\([^()\n]{0,40}\)"
    r"|[.:]\s?[\w\- ]{1,40}?)?,?\s*"
    r"(?:it is\b(?!\s*\w)|(?:is|seems|appears(?: to be)?|must be|would be|looks|remains)\s+(?:(?:the|clearly"
    r"|definitely|likely|probably|most|also|my|therefore|thus|indeed|to be|a|only|best|more)\s+)*"
    r"(?:correct|right|best|better|answer|appropriate|accurate|suitable|true|plausible|closest|likely|option"
    r"|choice|consistent|remaining|left|one\s+(?:left|remaining|that))\b"
    r"|(?:fits|best|matches|comes closest|correctly|accurately|most closely|most accurately)\b"
    r"(?!\s+(?:if|when))|✓|✔|✅)"
)


# 'none of A-D is correct', 'neither option A nor B is right'
_NONE_OF = re.compile(
    r"\b(?:none|neither|nor|not any|not one)\b"
    r"(?:(?!\b(?:so|but|therefore|thus|hence|only|except)\b)[^.;:!?\n]){0,40}\Z",
    re.IGNORECASE,
)


_NAMED = re.compile(
    r"(?<![^\W_])(?:option|choice|letter|opción|opção|opzione|вариант|letra|lettre|буква"
    r"|buchstabe)\s*[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9]|-\w)",
    re.IGNORECASE,
)


# The names in _NAMED that are ASCII throughout.
_NAMES = ("option", "choice", "letter", "opzione", "letra", "lettre", "buchstabe")

_TICK = re.compile(
    r"(?:^|(?<=[\s(\[]))(?:option\s+)?[(\[]?(?P<letter>[A-Z])(?![A-Za-z0-9])[)\].:?]{0,2}[ \t]*"
    r"(?P<text>[\w \-]{0,40}?)[?:)\-]{0,2}\s{0,2}"
    r"(?:(?P<yes>yes\b|correct\b|true\b|right\b|✓|✔|✅|☑)|(?P<no>no\b|not\b|incorrect\b|wrong\b|false\b|✗|✘|❌|×))",
    re.IGNORECASE | re.MULTILINE,
)


def concluded(text: str, options: OptionSet) -> Iterator[Claim]:
    """'so C', 'therefore, B.', 'this matches option B', 'not A but B', '→ B'."""
    for found in _CONNECTOR.finditer(text):
        letter = LETTER_THERE.match(text, found.end())
        before = text[max(0, found.start() - 40) : found.start()]
        if letter is not None and (letter["letter"].isupper() or _lower_fits(text, letter)):
            reading = letter_at(text, letter.start("letter"), options)
            if reading is None or rejected(text, found.end(), reading) or NEGATOR_BEFORE.search(before + found[0]):
                continue
            if re.search(r"\bor[\s,]*\Z", before, re.I):
                continue
            if re.search(
                r"\b(?:could|might|may|can|if|whether|not|n't|wouldn't|cannot) (?:be |also |well )*\Z", before, re.I
            ):
                continue
            if _CONFUSED.search(before):
                continue
            rest = text[letter.end() : letter.end() + 40]
            if reading.letter is not None and not (
                _CLAUSE_END.match(rest)
                or (reading.letter != "A" and "not" not in rest and re.match(r"[)\]]?\s*\w", rest) is None)
            ):
                continue
            if QUESTIONED.match(rest) or _explains(text, found, reading, options):
                continue
            yield Claim(letter.start("letter"), reading, WEAK, "concluded letter")
        elif _TEXT_VERDICT.search(found[0]) and options.yes is not None:
            reading = read(text[found.end() : found.end() + 100], options)
            if reading is not None and reading.letter in (options.yes, options.no, None):
                yield Claim(found.start() + len(found[0]), reading, WEAK, "concluded yes or no")


def _explains(text: str, found: re.Match[str], reading: Reading, options: OptionSet) -> bool:
    """'No noise would be option A' says which option that is, not that it is chosen."""
    if options.mention is None or "would be" not in found[0].lower():
        return False
    before = text[max(0, found.start() - 60) : found.start()].rstrip()
    return any(
        said.end() == len(before) and mentioned(said) == reading.letter for said in options.mention.finditer(before)
    )


def _lower_fits(text: str, letter: re.Match[str]) -> bool:
    return text[letter.start("letter") - 1] in "([\"'" and letter["letter"] != "i"


def right(text: str, options: OptionSet) -> Iterator[Claim]:
    """'B is the correct answer', 'option B best matches', 'B it is'."""
    for found in _RIGHT.finditer(text):
        letter = found["letter"]
        if letter not in options.letters or negated(text, found.start()):
            continue
        if re.search(r"\b(?:if|whether)\b[^.,\n]{0,20}\Z", text[max(0, found.start() - 30) : found.start()], re.I):
            continue
        if _NONE_OF.search(text, max(0, found.start() - 60), found.start()):
            continue
        joined = re.search(
            r"(?<![A-Za-z0-9])([A-Z])[)\]]?(?: or | and |/)(?:option )?[(\[]?\Z",
            text[max(0, found.start() - 16) : found.start()],
        )
        if joined and joined[1] != letter:
            yield Claim(found.start(), Reading(None, SEVERAL), WEAK, "letter called right")
            continue
        yield Claim(found.start(), Reading(letter), WEAK, "letter called right")


def ticked(text: str, options: OptionSet) -> Iterator[Claim]:
    """'A: no. B: no. C: yes', 'A ✗ / B ✓': every option judged, one of them right."""
    verdicts: dict[str, bool] = {}
    position = 0
    for found in _TICK.finditer(text):
        letter = found["letter"].upper()
        if found["letter"].islower() or letter not in options.letters:
            continue
        if options.yes is not None and found[0][-1].isalpha():
            return
        verdicts[letter] = found["yes"] is not None
        if found["yes"] is not None:
            position = found.start()
    right = [letter for letter, is_right in verdicts.items() if is_right]
    if len(verdicts) >= 2 and len(right) == 1:
        yield Claim(position, Reading(right[0]), WEAK, "ticked option")


def named(text: str, options: OptionSet) -> Iterator[Claim]:
    """'option B' where no other option is named and B is not rejected."""
    if not may_say(text, _NAMES):
        return
    found = [name for name in _NAMED.finditer(text) if name["letter"].isupper()]
    letters = {name["letter"] for name in found}
    if len(letters) != 1 or not letters <= options.letters:
        return
    last = found[-1]
    if negated(text, last.start()) or rejected(text, last.start(), Reading(last["letter"])):
        return
    if re.search(
        r"\b(?:if|consider|look at|examine|evaluate|check|analy[sz]e|start with|begin with|let me check"
        r"|what about|might|could be|would)\b[^.\n]{0,30}\Z",
        text[max(0, last.start() - 50) : last.start()],
        re.I,
    ):
        return
    if letter_at(text, last.start("letter"), options) == Reading(last["letter"]) and len(text) - last.end() < 200:
        if re.match(r"[)\]\"']*\s*(?:would|might|could|may)\b", text[last.end() :]) or QUESTIONED.match(
            text[last.end() : last.end() + 30]
        ):
            return
        yield Claim(last.start(), Reading(last["letter"]), WEAK, "named option")


# Answers that replace others: 'I'm changing my answer to A', '不是A，而是B', 'the one that fits is B'.


_OLD = r"(?:(?:option\s+|choice\s+)?[(\[\"']*[A-Z](?![A-Za-z0-9])[)\]\"']*|it|this|that|there)"
_CHANGE = re.compile(
    r"\b(?:chang(?:e|ed|ing)|revis(?:e|ed|ing)|switch(?:ed|ing)?|updat(?:e|ed|ing)|amend(?:ed|ing)?"
    r"|correct(?:ed|ing)?|alter(?:ed|ing)?|mov(?:e|ed|ing)|shift(?:ed|ing)?|flip(?:ped|ping)?)\s+"
    r"(?P<what>(?:(?:my|the|this|that|it|our|own|final|initial|first|previous|earlier|original|answer|choice"
    rf"|selection|response|verdict|pick|vote|assessment|mind|over|away|from\s+{_OLD}|from\s+[^.,;:\n]{{1,40}}?(?=\s+to\b))\s*){{0,6}})"
    r"(?:\bto\b|\binto\b|:)\s*",
    re.IGNORECASE,
)
# A change that is asked about, refused or only thought of.
_NO_CHANGE = re.compile(
    r"\b(?:not|never|no|n't|should|if|whether|could|might|may|would|without|nothing|unless|can't|cannot|want(?:ed)?"
    r"|tempted|hesitat\w+|considered|refuse)\b|n't\b",
    re.IGNORECASE,
)
# It is the answer that changes, not something in the image: 'the window was shifted from A to B'.
_OF_THE_ANSWER = re.compile(
    r"\b(?:I|we|me|us|my|our|let|answer|choice|selection|response|verdict|pick|vote|assessment|mind)\b", re.IGNORECASE
)
_SHOULD_BE = re.compile(
    r"\b(?:answered|said|wrote|chose|picked|put|selected|answer)\b[^.\n?]{0,60}?\b(?:it|that|this|which)\s+"
    r"should(?:'ve|\s+have)?\s+(?:be|been|read|say|said)\s+",
    re.IGNORECASE,
)
_STAYS = re.compile(
    r"\b(?:it|my (?:final )?(?:answer|choice)|the answer|I)\s+(?:will\s+|therefore\s+|still\s+)?"
    r"(?:stays?(?: at| with)?|stands? by|remains?|keep)\s+(?:as\s+)?",
    re.IGNORECASE,
)
_THE_ONE = re.compile(
    r"\b(?:the\s+(?:(?:right|correct|only|best|real|true|single)\s+)?(?:one|letter|candidate)\s+"
    r"(?:that(?:\s+is\s+(?:right|correct|best|left))?|which|I|we|left|to)"
    r"|what\s+(?:(?:best|really)\s+)?(?:fits|matches|explains|remains|accounts|I\s+(?:choose|pick|settle)))\b"
    r"(?P<words>[^.\n;?!:]{0,60}?)\s(?:is|must be|has to be)\s*:?\s+",
    re.IGNORECASE,
)
_RIGHT_ONE = re.compile(
    r"\bthe\s+(?:right|correct|best|true|real|proper)\s+one\s+(?:here\s+)?(?:is|must be)\s*:?\s+", re.IGNORECASE
)
_DOUBTED = re.compile(
    r"\b(?:not|never|no|n't|doubt\w*|least|rul\w+ out|ruled|exclud\w*|eliminat\w*|discard\w*|reject\w*|wrong"
    r"|incorrect|could|might|may|if|would|either|confus\w*|drop\w*)\b|n't\b",
    re.IGNORECASE,
)
_THING = r"(?:选项|選項|选项|option\s+|la\s+|die\s+)?[(\[\"']*[A-Z](?![A-Za-z0-9])[)\]\"']*"
_NOT_BUT = re.compile(
    r"(?:不是|并非|並非|不选|不選|不应选|不该选|非|(?<![^\W_])(?:nicht|niet|не|nie|no es|no|n'est pas|pas|non è|não é"
    r"|không phải(?: là)?))\s*"
    rf"{_THING}(?:[,、;\s]*(?:也不是|也非|也不选|或者?|和|noch|ni|nor|oder|ou|или|ни|och)?\s*{_THING}){{0,3}}?"
    r"[,、;.\s]*(?:而是|而应该?(?:选|選|是|为)?|而选|应该?(?:是|选|为)|而|(?:是|选|選)"
    r"|(?<![^\W_])(?:sondern|maar|sino(?: que es)?|mais|mas(?: sim)?|ma|é|è|es|c'est|ale|lecz|а|это|mà là)"
    r"(?![^\W_]))\s*"
    r"(?:选项|選項|option\s+)?(?=[(\[\"']*[A-Z](?![A-Za-z0-9]))[(\[\"']*",
    re.IGNORECASE,
)
_DENIED_FIRST = re.compile(
    r"(?<![A-Za-z0-9])[A-Z][)\]\"']*\s*(?:では(?:なく(?:て)?|ありません|ない(?:です)?)|じゃなく(?:て)?|じゃない|でなく|でもなく|でもない"
    r"|(?:가|이|은|는)?\s*(?:아니라|아니고|아닙니다|아니며|아닌)|değil)[,、.\s]*"
    r"(?:(?:正解|答え)は|正しくは|(?:정답|답)은)?\s*[(\[\"']*(?=[A-Z](?![A-Za-z0-9]))"
)
_CHANGED_ABROAD = re.compile(
    r"(?:改为|改為|改成|改选|改選|更改为|修改为|变更为|更正为|换成|換成)\s*(?:选项)?\s*[(\[\"']*(?P<after>[A-Z])(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])(?P<before>[A-Z])[)\]\"']*(?:に変更|に修正|に改め|(?:으?로)\s*(?:변경|수정|바꾸|바꿉|바꿔))"
)
_NOT_CHANGED = re.compile(r"[不没未若]|如果|要不要|是否|もし|만약")
_ELSE = re.compile(r"[)\]\"']*\s*(?:还是|還是|或|吗|か|oder|o\b|ou\b|или)|[^.\n]{0,12}\?")
_AT_END = re.compile(r"(?::|(?<=\s)-)\s*(?:option\s+|choice\s+)?(?P<said>[^:\n]{1,60}?)[)\]\"'.!\s]*\Z", re.IGNORECASE)
# What stands before a colon where the letter after it is no verdict: 'the wrong ones: B', 'compared with: B'.
_NO_VERDICT = re.compile(
    r"(?:\b(?:wrong|incorrect|least|worst|rul\w+ out|exclud\w*|eliminat\w*|discard\w*|reject(?:ed|ing|s)?|doubt\w*"
    r"|except)\b(?![^,;]*\bso\b)[^,;]{0,30}|\bnot\s+(?:at all\s+)?(?:this|that|the|my|it|an?)\b[^,;]{0,20}"
    r"|\b(?:cannot|can't|could not|couldn't)\s[^,;]{0,30}"
    r"|\b(?:with|to|than|like|against|and|or|if|of|for|panel|figure|image|options?|choices?|candidates?|grade|type"
    r"|class|view|table|part|section|consider|check|next|first)(?:\s+(?:is|are))?)\s*\Z",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"(?<![A-Za-z0-9'])([A-Z])(?![A-Za-z0-9'])")
_ANY_OF_THEM = re.compile(
    r"\b(?:of them|of these|others?|everything|all (?:the )?options|listed|as it stands|third|second|last)\b", re.I
)
_REACH = 40
# What _CHANGE and _STAYS cannot do without.
_CHANGING = ("chang", "revis", "switch", "updat", "amend", "correct", "alter", "mov", "shift", "flip")
_STAYING = ("stay", "stand", "remain", "keep")


def changed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I'm changing my answer to A', 'switch from A to D', 'I said A, but it should be C', 'it stays B'."""
    for found in _CHANGE.finditer(text) if may_say(text, _CHANGING) else ():
        before = _clause(text, found.start())
        if not found["what"].strip() or _NO_CHANGE.search(before):
            continue
        if before.strip() and not _OF_THE_ANSWER.search(f"{before} {found['what']}"):
            continue
        if (reading := _sure(text, found.end(), options)) is not None:
            yield Claim(found.start(), reading, STRONG, "changed answer")
    for pattern, weight, stems in ((_SHOULD_BE, STRONG, ("should",)), (_STAYS, WEAK, _STAYING)):
        for found in pattern.finditer(text) if may_say(text, stems) else ():
            reading = letter_at(text, _to_letter(text, found.end()), options)
            if (
                reading is None
                or rejected(text, found.end(), reading)
                or _NO_CHANGE.search(_clause(text, found.start()))
            ):
                continue
            if QUESTIONED.match(text[found.end() : found.end() + _REACH]) is None:
                yield Claim(found.end(), reading, weight, "changed answer")


def singled_out(text: str, options: OptionSet) -> Iterator[Claim]:
    """'The one that accounts for the drift is D', 'what fits everything is B', 'the right one is C'."""
    if not may_say(text, ("one", "letter", "candidate", "what")):
        return
    for pattern in (_THE_ONE, _RIGHT_ONE):
        for found in pattern.finditer(text):
            if _DOUBTED.search(found[0]) or _DOUBTED.search(_clause(text, found.start())):
                continue
            if (reading := _sure(text, found.end(), options)) is not None:
                yield Claim(found.start(), reading, STRONG, "option singled out")


def contrasted(text: str, options: OptionSet) -> Iterator[Claim]:
    """'不是A，而是B', 'AではなくB', 'A가 아니라 B', 'nicht A, sondern B'."""
    if not may_say(text, ("nicht", "nie", "no es", "n'est", "pas")):
        return
    for pattern in (_NOT_BUT, _DENIED_FIRST):
        for found in pattern.finditer(text):
            reading = letter_at(text, found.end(), options)
            if reading is not None and not _ELSE.match(text, found.end() + 1, found.end() + 30):
                yield Claim(found.end(), reading, STRONG, "stated answer")


def changed_abroad(text: str, options: OptionSet) -> Iterator[Claim]:
    """'现在改为C', 'Bに変更します', 'C로 변경합니다'."""
    if text.isascii():
        return
    for found in _CHANGED_ABROAD.finditer(text):
        letter = found["after"] or found["before"]
        clause = re.split(r"[,.;!\n]", text[max(0, found.start() - 15) : found.start()])[-1]
        if letter in options.letters and not _NOT_CHANGED.search(clause) and not _ELSE.match(text, found.end()):
            yield Claim(found.end(), Reading(letter), STRONG, "changed answer")


def at_the_end(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Not clean enough for C, not bad enough for A: B.': a letter after the last colon or dash of a reply."""
    found = _AT_END.search(text, max(0, len(text) - 80))
    if found is None:
        return
    reading = read_whole(found["said"], options)
    if reading is None or reading.letter is None:
        return
    if len(found["said"].strip(" ()[]\"'")) > 1 and reading.letter not in options.of_letters:
        return
    before = _clause(text, found.start(), stops=r"[.;!?\n]", reach=120)
    if not _others(before, reading, options):
        return
    if len(before.split()) >= 3 and not _NO_VERDICT.search(before):
        yield Claim(found.start(), reading, WEAK, "letter that ends the reply")


def _others(before: str, reading: Reading, options: OptionSet) -> bool:
    """Whether other options are spoken of, so that a letter after a colon is what is chosen among them."""
    said = {found[1] for found in _LETTERS.finditer(before)} & options.letters
    if options.mention is not None:
        said |= {mentioned(found) for found in options.mention.finditer(before)}
    return bool(said - {reading.letter}) or _ANY_OF_THEM.search(before) is not None


def _sure(text: str, start: int, options: OptionSet) -> Reading | None:
    reading = read(text[start : start + 300], options)
    if reading is None or reading.why == SEVERAL or rejected(text, start, reading):
        return None
    return None if QUESTIONED.match(text[start : start + _REACH]) else reading


def _to_letter(text: str, start: int) -> int:
    while start < len(text) and text[start] in " ([\"'":
        start += 1
    return start


def _clause(text: str, end: int, *, stops: str = r"[.;:!?\n]|\bbut\b|, ", reach: int = 50) -> str:
    return re.split(stops, text[max(0, end - reach) : end])[-1]


# Answers that are given under reserve: 'If I had to guess, B', and verdicts behind an arrow.


_GUESS = re.compile(
    r"\bif\s+(?:(?:I|we)\s+(?:really\s+|absolutely\s+)?(?:(?:had|have|were|must|was|am|'m)\s+(?:forced\s+|made\s+)?"
    r"(?:to\s+)?(?:guess|choose|pick|answer|select|say|take a guess|make a guess)|must)|(?:I\s+(?:am|was|were)\s+)?"
    r"(?:forced|pressed|pushed|made|required|compelled|obliged)(?:\s+to\s+\w+)?"
    r"|you\s+(?:force|press|push|make|made|forced|pressed|pushed)\s+me(?:\s+to\s+\w+)?)"
    r"(?:\s+(?:one|an option|an answer|something|a letter|between them))?\s*[,:]\s*"
    r"(?:(?:then|I'd|I would|I'll|it's|it is|it would be|that would be|my answer (?:is|would be))\s+)?"
    r"(?:(?:say|guess|choose|pick|go with|answer|select|be)\s+)?(?P<said>[^.,;:!?\n]{1,60})(?=[.,;!\n]|\Z)",
    re.IGNORECASE,
)
_ARROW = re.compile(r"→|=>|->")
_BEHIND_ARROW = re.compile(r"(?:→|=>|->)\s*(?P<said>[^\n?]{1,60})\Z")
_WORDS_BEFORE = 3


def guessed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I cannot view images. If I had to guess, B.': what follows the condition is nothing but an answer."""
    for found in _GUESS.finditer(text) if may_say(text, ("if",)) else ():
        reading = read_whole(found["said"], options)
        if reading is not None and reading.letter is not None:
            yield Claim(found.start("said"), reading, WEAK, "guessed answer")


def behind_arrow(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Good, but not perfect → Usable': a reply that ends with its one arrow and an option behind it.

    Where an option that is not denied stands right before the arrow ('from mild → severe'), the arrow says how
    something changes.
    """
    found = _BEHIND_ARROW.search(text, max(0, len(text) - 80))
    if found is None or len(_ARROW.findall(text)) > 1 or len(text[: found.start()].split()) < _WORDS_BEFORE:
        return
    reading = read_whole(found["said"], options)
    if reading is None or reading.letter is None:
        return
    near = text[max(0, found.start() - 300) : found.start()].rstrip(" .,\"')")
    if options.mention is not None:
        # An option's last mention, if the text before the arrow ends with it.
        spans = list(options.mention.finditer(near))
        if spans and spans[-1].end() == len(near):
            judged = {mention.start: mention.affirmed for mention in mentions.find(near, options)}
            if judged.get(spans[-1].start()) is not False:
                return
    yield Claim(found.start(), reading, WEAK, "verdict behind an arrow")


# Conditions: 'if the ring were visible, C would be right' answers another question than the one that was asked.


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
_SUPPOSED_REACH = 160
_NEAR = 400


def may_suppose(text: str) -> bool:
    """Whether the text has any word that could open a condition."""
    return _CUES.search(text) is not None


def supposed(text: str, position: int) -> bool:
    """Whether what is claimed at ``position`` holds only under a condition that its sentence states."""
    before = text[max(0, position - _SUPPOSED_REACH) : position]
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


# What a reply says is left when it has ruled out the other options.


_ONLY = re.compile(
    r"\bonly\s+(?:option\s+|choice\s+|the\s+)?(?P<what>[^.,;:!?\n]{1,60}?)\s+"
    r"(?:remains?|is left|is remaining|survives?|stands|holds|applies|fits"
    r"|is (?:still )?(?:possible|plausible|viable|in play))(?![A-Za-z])",
    re.IGNORECASE,
)
_LEAVES = re.compile(
    r"\b(?:leaves|leaving|left with|left is|remaining (?:option|choice|one|candidate|answer) is)\s+"
    r"(?:(?:us|me|one|you)\s+)?(?:with\s+)?(?P<only>only\s+|just\s+)?(?:option\s+|choice\s+|answer\s+)?"
    r"(?=[(\[\"']*[A-Z](?![A-Za-z0-9]))",
)
_BY_ELIMINATION = re.compile(
    r"\bby\s+(?:the\s+)?(?:process\s+of\s+)?elimination\b[,:\s]*(?:(?:then|therefore|only)\s+)?"
    r"(?:(?:the\s+(?:correct\s+|right\s+|best\s+)?(?:answer|choice|option)|it|this|that)\s+)?"
    r"(?:(?:is|must be|has to be|should be|would be)\s+)?",
    re.IGNORECASE,
)


def remaining(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Only C remains', 'that leaves us with C', 'by elimination, C'."""
    if "nly" in text:
        for found in _ONLY.finditer(text):
            whole = read_whole(found["what"], options)
            if whole is not None and whole.letter is not None and not negated(text, found.start()):
                yield Claim(found.start(), whole, STRONG, "option that is left")
    if not may_say(text, ("lea", "left", "remaining", "elimination")):
        return
    for pattern in (_LEAVES, _BY_ELIMINATION):
        for found in pattern.finditer(text):
            reading = read(text[found.end() : found.end() + 300], options)
            if reading is None or rejected(text, found.end(), reading) or negated(text, found.start()):
                continue
            if not re.match(r"[^\n]{0,60}\?", text[found.end() : found.end() + 70]):
                yield Claim(found.start(), reading, STRONG, "option that is left")


# Answers that are stated in other languages than English.


_ABROAD = re.compile(
    r"(?:Antwort|Lösung|Respuesta|Réponse|Risposta|Resposta|Đáp án|Cevap|Odpowiedź|Jawaban|Antwoord|Svaret|Svar"
    r"|Vastaus|Răspuns(?:ul)?|Válasz"
    r"|Odpověď|Ответ|Відповідь|الإجابة|الاجابة|الجواب|उत्तर|คำตอบ|Απάντηση|תשובה)(?![^\W\d_])"
    r"(?P<words>[^.\n;?!:=]{0,40}?)(?:(?<![^\W_])(?:ist|lautet|es|est|é|è|é a|là|adalah|jest|är|is|este|هي|هو|है"
    r"|คือ)(?![^\W_])|[:=—]|\s-\s|(?=\s[(\[]?[A-Z](?![^\W_])))\s*",
    re.IGNORECASE,
)
# What begins the names in _ABROAD that are ASCII throughout.
_LATIN_STEMS = ("antwo", "respuesta", "risposta", "resposta", "cevap", "jawaban", "svar", "vastaus")

_NOT_ABROAD = re.compile(
    r"(?<![^\W_])(?:nicht|keinesfalls|no|não|non|n'est|n|pas|не|nie|niet|không|ليس|ليست|नहीं|δεν|nu|ikke|inte)(?![^\W_])",
    re.IGNORECASE,
)
_CJK = re.compile(
    r"(?P<neg>[不没非]\s*|排除\s*)?(?:答案|正解|解答|答え|回答|正确选项|最终选择|结论|정답|답변|답|答|选择|選擇|应选|故选|因此选|所以选|选|選|选项|選項|判断为|应为|認為是|认为是|應為)"
    r"[^\n。.;?A-Za-z]{0,12}?[\s(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9])"
)


_CJK_TEXT = re.compile(r"(?:答案|正解|答え|正确选项|最终选择|结论|정답|答)\s*(?:应该|应当|应)?(?:是|为|為|は|은|:)+\s*")


_CJK_ITEM = re.compile(
    r"(?<![A-Za-z])(?P<letter>[A-Z])\s*(?:选项|選項|项)?\s*(?:才是?|是)?(?:对的|对(?=[.,;]|\s*\Z)|正确|最合适|最符合|符合)"
)

_FITTING = re.compile(
    r"(?<![A-Za-z0-9])(?P<letter>[A-Z])[)\]\"']*\s*(?:[이가]\s*(?:더|가장|제일)?\s*(?:적절|적합|맞|정답|옳|올바|알맞)"
    r"|が(?:最も|一番)?(?:適切|正し|正解|妥当|適当))(?!\s*(?:하지 않|지 않|ではな|でな|くな))"
)


def abroad(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Antwort: B', 'La respuesta correcta es B', '答案：B', '正解はB'."""
    if not may_say(text, _LATIN_STEMS):
        return
    for found in _ABROAD.finditer(text):
        if _NOT_ABROAD.search(found["words"]):
            continue
        reading = read(text[found.end() : found.end() + 300], options)
        if reading is not None and not rejected(text, found.end(), reading):
            yield Claim(found.start(), reading, STRONG, "stated answer")
    if text.isascii():
        return
    for found in _CJK.finditer(text):
        if found["neg"] or text[max(0, found.start() - 2) : found.start()].endswith(("不", "非")):
            continue
        reading = letter_at(text, found.start("letter"), options)
        if reading is not None and not re.match(
            r"\s*(?:选项|项)?(?:不|错|可以排除|被排除|では|じゃな|[가이은는]?\s*아[니닙닌])",
            text[found.end() : found.end() + 12],
        ):
            yield Claim(found.start(), reading, STRONG, "stated answer")
    for found in _CJK_TEXT.finditer(text):
        reading = read(text[found.end() : found.end() + 300], options)
        if reading is not None and not rejected(text, found.end(), reading):
            yield Claim(found.start(), reading, STRONG, "stated answer")
    for found in (*_CJK_ITEM.finditer(text), *_FITTING.finditer(text)):
        if found["letter"] in options.letters:
            yield Claim(found.start(), Reading(found["letter"]), WEAK, "letter called right")


# Places where a reply gives its answer in words: 'Answer: B', 'I choose B'. ``find`` asks all finders.


_KEYWORD = re.compile(
    r"(?<![A-Za-z])(?:answer|ans|choice|option|letter|selection|verdict|conclusion|response|prediction|guess"
    r"|decision|pick"
    r"|final grade|judg(?:e)?ment|solution|result|correction|description|match|classification|assessment|rating"
    r"|output|best|correct|choose|chosen|sol|level|category|class|severity|quality|grade|label"
    r"|degradation)(?![A-Za-z])[\"']?",
    re.IGNORECASE,
)


_COLON_ONLY = frozenset(
    {
        "correct",
        "choose",
        "chosen",
        "sol",
        "level",
        "category",
        "class",
        "severity",
        "quality",
        "grade",
        "label",
        "degradation",
    }
)


_KEY_BRIDGE = re.compile(
    r"(?:\s*\([^()\n]{0,40}\))?"
    r"(?:(?P<words>[^.\n:;?!=→]{0,60}?)(?:(?<![A-Za-z])(?:is|be|was|becomes|remains)(?![A-Za-z])\s*(?:therefore"
    r"|thus|then|clearly)?\s*[:\-]*|[:=→]+|\s-+>?)|\s*->|[ \t]*\?|[ \t]*(?=\n)|\.\s+(?=[A-Z](?![A-Za-z0-9]))"
    r"|\s*>)\s*",
    re.IGNORECASE,
)


_QUIET_KEYS = (
    frozenset({"result", "description", "output", "classification", "assessment", "rating", "match", "best"})
    | _COLON_ONLY
)


_DIRECT = re.compile(r"[ \t]*(?=[(\[\"']?[A-Z](?![A-Za-z0-9]))")


_UNSURE = re.compile(
    r"\b(?:not|cannot|can't|isn't|won't|wouldn't|could|might|may|either|if|whether|between|incorrect|wrong|n't"
    r"|never|than|one of|rul\w+ out|exclude|eliminate|discard|doubt\w*|least|avoid)\b|n't",
    re.IGNORECASE,
)


_SUPPOSED_IF = re.compile(
    r"\b(?:if|whether|assuming|suppose|supposing|unless|incorrect|wrong|(?<!at )least|worst|nothing"
    r"|don't think|not sure|unsure|possible"
    r"|could be that)(?: [\w']+){0,4} \Z",
    re.IGNORECASE,
)


_ASKED = re.compile(r"(?:^|[.\n!?]\s*)(?:is|could|would|can|might|should) (?:[\w']+ ){0,4}\Z", re.IGNORECASE)


_VERB = re.compile(
    r"(?:(?<![A-Za-z])(?:I|we|I'd|I'll|I'm|we'd|let's|let us|let me|me|would"
    r"|will)(?![A-Za-z']))(?P<words>(?:(?!\bbut\b)[^.\n;:?!]){0,40}?)"
    r"(?<![A-Za-z])(?:choose|chose|choosing|select|pick|go with|going with|went with|opt for|opting for|settle on"
    r"|settling on|answer|go for|going for|vote(?: for)?|say|guess"
    r"|lean towards?|leaning towards?|conclude|think|believe|pick option|answered|selected|stick with"
    r"|stay(?:ing)? with|end(?:ed)? up with)(?![A-Za-z])"
    r"(?:\s+(?:that|with))?\s*:?\s*",
    re.IGNORECASE,
)


_BELIEFS = re.compile(
    r"(?:say|guess|think|believe|conclude|lean\w*(?: towards?)?)(?:\s+that)?\s*:?\s*\Z", re.IGNORECASE
)


def find(text: str, options: OptionSet) -> list[Claim]:
    """All claims of ``text`` in the order in which they stand."""
    claims = [claim for finder in _FINDERS for claim in finder(text, options)]
    if may_suppose(text):
        claims = [claim for claim in claims if claim.rule in _UNCONDITIONAL or not supposed(text, claim.position)]
    claims.sort(key=lambda claim: (claim.position, claim.weight))
    return claims


def _skip_to_letter(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \t\n([\"'":
        start += 1
    return start


def _boxed(text: str, options: OptionSet) -> Iterator[Claim]:
    """An answer in a box, a tag or ``<|begin_of_box|>`` marks."""
    position = text.find(OPEN)
    while position != -1:
        start = position + 1
        end = text.find("\ue001", start)
        inside = text[start : end if end != -1 else start + 300]
        if OPEN not in inside:
            reading = read(inside, options) if inside.strip() else None
            if reading is None and len(inside) < 200:
                reading = read_whole(inside, options)
            if reading is not None:
                yield Claim(position, reading, STRONG, "marked answer")
        position = text.find(OPEN, start)


def _keyed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Answer: B', 'the correct answer is B', '{"answer": "B"}', 'Answer' above a line with B."""
    for key in _KEYWORD.finditer(text):
        word = key[0].lower().strip("\"'")
        bridge = _KEY_BRIDGE.match(text, key.end())
        if _ASKED.search(text, max(0, key.start() - 40), key.start()):
            continue
        direct = _DIRECT.match(text, key.end()) if bridge is None or word in ("option", "choice", "letter") else None
        if direct is not None and word in ("answer", "ans"):
            reading = letter_at(text, _skip_to_letter(text, direct.end()), options)
            if reading is not None and not rejected(text, direct.end(), reading):
                yield Claim(key.start(), reading, STRONG, "stated answer")
            continue
        if bridge is None or (word in _COLON_ONLY and bridge[0].strip()[-1:] not in (":", "=")):
            continue
        if word == "best" and (bridge["words"] or "").strip() and bridge[0].strip()[-1:] not in (":", "="):
            continue
        if bridge[0].lstrip().startswith(".") and word not in ("answer", "ans"):
            continue
        if _UNSURE.search(bridge["words"] or "") or (
            word != "choose" and _SUPPOSED_IF.search(text, max(0, key.start() - 50), key.start())
        ):
            continue
        if word in ("option", "choice", "letter") and LETTER_THERE.match((bridge["words"] or "").strip()):
            continue
        start = bridge.end()
        reading = read(text[start : start + 300], options, allow_text=word not in ("option", "letter"))
        if reading is None or rejected(text, start, reading):
            continue
        if QUESTIONED.match(text[start : start + 60]) and "\n" not in text[start : start + 10]:
            continue
        yield Claim(key.start(), reading, WEAK if word in _QUIET_KEYS else STRONG, "stated answer")


def _chosen(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I would choose B', "let's go with B", 'I think it is B'."""
    for found in _VERB.finditer(text):
        if _UNSURE.search(found["words"]):
            continue
        reading = read(text[found.end() : found.end() + 300], options)
        if reading is None or rejected(text, found.end(), reading):
            continue
        if QUESTIONED.match(text[found.end() : found.end() + 40]):
            continue
        weight = WEAK if _BELIEFS.search(found[0]) else STRONG
        yield Claim(found.start(), reading, weight, "chosen answer")


_UNCONDITIONAL = frozenset({"marked answer", "ticked option", "guessed answer"})
_FINDERS = (
    _boxed,
    _keyed,
    abroad,
    _chosen,
    concluded,
    right,
    ticked,
    named,
    remaining,
    changed,
    changed_abroad,
    singled_out,
    contrasted,
    at_the_end,
    guessed,
    behind_arrow,
)
