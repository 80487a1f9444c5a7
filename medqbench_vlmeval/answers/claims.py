"""Candidate answers: places where a reply gives its answer in words ('Answer: B', 'I choose B', 'so B', 'B is right', a
box), each a :class:`Claim`. What is negated, called wrong, asked about or said under a condition is none. Answers in
other languages are in :mod:`.glossary`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medqbench_vlmeval.answers.options import SEVERAL, OptionSet, Reading, answer_at, letter_at, own_text_at, read_whole
from medqbench_vlmeval.answers.plain import CLOSE, OPEN, any_of, may_say

STRONG, WEAK = 2, 1


@dataclass(frozen=True)
class Claim:
    """A reading with its place in the text, its weight and the name of the pattern that found it."""

    position: int
    reading: Reading
    weight: int
    rule: str


# After a full stop a new sentence begins, whose 'not' is about something else.
_REJECTED = re.compile(
    r"(?i)(?:[)\]\"':]*\s*(?:\([^()\n]{0,40}\)|(?-i:(?!The |This |That |There )[A-Z][a-z]{2,}(?: [a-z]+){0,2}?))??\s*"
    r"|[)\]\"']*\.\s*(?=is\b|incorrect|wrong|✗|✘|❌))"
    rf"(?:(?:{any_of('claims is')})?\s*(?:{any_of('claims adverbs')})*(?:{any_of('claims not right')})"
    r"|不|错|✗|でも|では?(?:な[いく]|ありません)|じゃな|是(?:错|錯|不)|有误|[가이은는]?\s*(?:아니|아닙|아닌)|değil|✘|❌)"
)
# 'A. User-friendly would not fit', 'B. usable but does not apply'
_STRUCK_OUT = re.compile(
    r"(?i)[)\]\"':.]*(?:\s+(?!(?:the|this|that|it|image|there|which)\b)[\w'()-]+){0,4}?(?:,?\s+but)?\s+"
    r"(?:would|could|does|do|did|will|can)(?:\s*not|n['’]t)\s+(?:\w+ly\s+)?(?:fit|apply|match|suit"
    r"|be\s+(?:\w+ly\s+)?(?:right|correct|appropriate|suitable|applicable|the (?:right|correct|best)))\b"
    r"|[).:]\s+\w+ is (?:an?|the)\s[\w ]{0,40}\b(?:incorrect|wrong)\b"
)
_QUESTIONED = re.compile(r"[^.\n!?]{0,25}\?")
LETTER_THERE = re.compile(
    r"(?i)(?:(?:option|choice|answer|letter)\s*)?[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_]|['&+\-][A-Za-z0-9]"
    r"|\.[A-Za-z])"
)
NEGATOR_BEFORE = re.compile(
    rf"(?i)(?:\b(?:{any_of('claims negator before')})\s+(?:(?:option|choice|answer|the|be|is|it|was|it's"
    r"|for)\s+)*|[^\w\s]n't\s+|(?<![^\W_])(?:nicht|niet|не|nie|pas|não é|non è|no es)\s+"
    r"|(?:不是|并非|並非|不选|不選|[^一-鿿]?不|排除)\s*)[(\[\"']*\Z"
)


def before(text: str, end: int, reach: int) -> str:
    """The ``reach`` characters in front of ``end``."""
    return text[max(0, end - reach) : end]


def negated(text: str, start: int) -> bool:
    """Whether a negation, an exclusion or a mere consideration stands right before ``start``."""
    return NEGATOR_BEFORE.search(text, max(0, start - 40), start) is not None


def rejected(text: str, start: int, reading: Reading) -> bool:
    """Whether the letter read at ``start`` is called wrong right after it."""
    letter = LETTER_THERE.match(text, start) if reading.letter is not None else None
    return letter is not None and struck_out(text, letter.end())


def struck_out(text: str, end: int) -> bool:
    """Whether the letter that ends at ``end`` is called wrong right after it."""
    return any(pattern.match(text, end, end + 80) is not None for pattern in (_REJECTED, _STRUCK_OUT))


def questioned(text: str, start: int, reach: int = 40) -> bool:
    """Whether what stands at ``start`` is asked: 'B?'."""
    return _QUESTIONED.match(text, start, start + reach) is not None


# 'the closest choice is A, but this is not the correct answer'
_TAKEN_BACK = re.compile(
    r"(?i)[^.\n]{0,80}?\b(?:but|however|although|though|yet),?\s+(?:this|that|it)"
    r"\s+(?:is|was)\s+(?:not\b|also not\b|incorrect|wrong)"
)
_LINE_ITEM = re.compile(
    r"[ \t>*\-•]*(?:\d{1,2}[.)]\s*)?(?:(?i:option|choice|point|box|image|picture)\s+)?"
    r"[(\[]?(?P<letter>[A-Z])(?=[)\].:]|\s+(?:is|has)\b)"
)


def begins_list(text: str, start: int, reading: Reading) -> bool:
    """Whether the answer at ``start`` is the first of a list of options: 'the choices:', then one a line."""
    at = text.rfind("\n", 0, start) + 1
    first = _LINE_ITEM.match(text, at)
    if first is None or first["letter"] != reading.letter or not at:
        return False
    for line in re.finditer(r"\n+([^\n]+)", text[first.end() : first.end() + 1_200]):
        item = _LINE_ITEM.match(line[1])
        if item is not None:
            return item["letter"] == chr(ord(first["letter"]) + 1)
    return False


def asserted_at(text: str, start: int, options: OptionSet, *, allow_text: bool = True) -> Reading | None:
    """Read an answer at ``start`` that is not called wrong right after."""
    reading = answer_at(text, start, options, allow_text=allow_text)
    if reading is None or rejected(text, start, reading) or begins_list(text, start, reading):
        return None
    return None if _TAKEN_BACK.match(text, start) else reading


# Hypotheticals: 'if the ring were visible, C would be right' answers another question than the one that was asked.
# Conditions on the choice, not on the image, do not weaken it: 'if I had to choose, B'.
_ABOUT_THE_CHOICE = (
    r"(?:(?:(?:I|we|you|one)\b(?:'m|'d|'re)?\s*(?:am |are |is |were |was |really |absolutely )*"
    rf"(?:{any_of('claims about the choice')})\b)|{any_of('claims forced')})"
)
CHOICE_CONDITION = re.compile(rf"(?i)\bif\s+{_ABOUT_THE_CHOICE}[^.;:!?\n]{{0,60}}?:")
_IF = (
    r"(?<!even )(?<!as )(?<!see )(?<!tell )(?<!say )(?<!know )(?<!sure )(?<!clear )(?<!check )(?<!determine )(?<!ask )"
    rf"(?<!asks )(?<!asking )(?<!assess )(?<!evaluate )"
    rf"\b(?:if|unless|supposing|suppose|assuming|provided that|in case(?! of))\s+(?!{_ABOUT_THE_CHOICE})"
)
_CONDITION_BEFORE = re.compile(
    rf"(?i)(?:{_IF}|(?:\A\W*|[,(]\s*|\b(?:but|and|while|whereas)\s+)(?:were|had|should)\s+(?:the|there|it|this|that"
    r"|these|they|an?)\b)(?:(?!\b(?:so|therefore|thus|hence|but|however)\b)[^.;:!?\n])*\Z"
)
# 'for screening, B would be appropriate, for measurement, C': one letter for each of several purposes
_PURPOSE = re.compile(
    r"(?i)\b(?:for|with)\s[\w\- ]{1,40},\s*(?:option\s+|choice\s+)?[(\[\"']*(?P<letter>[A-Z])[)\]\"']*"
    r"\s+(?:would|could|might|may|is)\b"
)
_CONDITION_AFTER = re.compile(rf"(?i)[^.;,:!?\n]{{0,60}}?{_IF}(?!it is\b)")
# 'B if the lines are real', 'B would be right if ...'
CONDITION_RIGHT_AFTER = re.compile(rf"(?i)[)\]\"']*\s+(?:(?:would|could|might|may)\b[^.;:!?\n]{{0,30}}|only\s*)?{_IF}")
# Without any of these no condition can be opened.
CONDITION_CUES = re.compile(r"(?i)\b(?:if|unless|suppos\w+|assuming|provided|in case|were|had|should|for|with)\b")
_SENTENCE_END = re.compile(r"[.;:!?\n]")
_LAST_PART = 400


def hypothetical(text: str, position: int) -> bool:
    """Whether what is claimed at ``position`` holds only under a condition that its sentence states."""
    if _CONDITION_BEFORE.search(_SENTENCE_END.split(before(text, position, 160))[-1]):
        return True
    start = max(0, len(text) - _LAST_PART)
    purposes = {purpose["letter"]: start + purpose.start("letter") for purpose in _PURPOSE.finditer(text[start:])}
    if len(purposes) > 1 and position in purposes.values():
        return True
    return _CONDITION_AFTER.match(text, position, position + 140) is not None


_IN_CASE = re.compile(r"(?i)\bin (?:this|that|which|the (?:first|second|former|latter|other)) case\b[^.\n]{0,40}\Z")


def without_alternatives(text: str, claimed: list[Claim]) -> list[Claim]:
    """Leave out what is claimed 'in this case' where another case has another answer."""
    cases = [claim for claim in claimed if _IN_CASE.search(before(text, claim.position, 70))]
    if len({claim.reading for claim in cases}) < 2:
        return claimed
    return [claim for claim in claimed if claim not in cases]


# Stated answers: in a box, behind a keyword, behind a verb of choosing.
_KEYWORD = re.compile(rf"(?i)(?<![A-Za-z])(?:{any_of('claims keyword')})(?![A-Za-z])[\"']?")
# Keywords that name an answer only before a colon, and those whose answer is weak as well.
_COLON_KEYS = "correct choose chosen sol level category class severity quality grade label degradation"
_COLON_ONLY = frozenset(_COLON_KEYS.split())
_QUIET_KEYS = frozenset(f"{_COLON_KEYS} result description output classification assessment rating match best".split())
_KEY_BRIDGE = re.compile(
    r"(?i)(?:\s*\([^()\n]{0,40}\))?"
    r"(?:(?P<words>[^.\n:;?!=→]{0,60}?)(?:(?<![A-Za-z])(?:is|be|was|becomes|remains)(?![A-Za-z])\s*(?:therefore"
    r"|thus|then|clearly)?\s*[:\-]*|[:=→]+|\s-+>?)|\s*->|[ \t]*\?|[ \t]*(?=\n)|\.\s+(?=[A-Z](?![A-Za-z0-9]))|\s*>)\s*"
)
_DIRECT = re.compile(r"[ \t]*(?=[(\[\"']?[A-Z](?![A-Za-z0-9]))")
_UNSURE = re.compile(rf"(?i)\b(?:{any_of('claims unsure')})\b|n't")
_SUPPOSED_IF = re.compile(rf"(?i)\b(?:{any_of('claims supposed if')})(?: [\w']+){{0,4}} \Z")
_ASKED = re.compile(r"(?i)(?:^|[.\n!?]\s*)(?:is|could|would|can|might|should) (?:[\w']+ ){0,4}\Z")
_VERB = re.compile(
    r"(?i)(?:(?<![A-Za-z])(?:I|we|I'd|I'll|I'm|we'd|let's|let us|let me|me|would|will)(?![A-Za-z']))"
    rf"(?P<words>(?:(?!\bbut\b)[^.\n;:?!]){{0,40}}?)(?<![A-Za-z])(?:{any_of('claims chosen')}"
    r"|(?P<rates>(?:rate|grade|classify|judge|assess)\s[^.\n;:?!]{1,90}?\s(?:as|to be)))"
    r"(?![A-Za-z])(?:\s+(?:that|with))?\s*:?\s*"
)
_VARIABLE = re.compile(r"\s*[a-z]\s*(?:,|=|\n)")  # 'to choose a, b and c'
_BELIEFS = re.compile(r"(?i)(?:say|guess|think|believe|conclude|lean\w*(?: towards?)?)(?:\s+that)?\s*:?\s*\Z")


def boxed(text: str, options: OptionSet) -> Iterator[Claim]:
    """An answer in a box, a tag or ``<|begin_of_box|>`` marks."""
    position = text.find(OPEN)
    while position != -1:
        start = position + 1
        end = text.find(CLOSE, start)
        inside = text[start : end if end != -1 else start + 300]
        if OPEN not in inside:
            reading = answer_at(inside, 0, options) if inside.strip() else None
            if reading is None and len(inside) < 200:
                reading = read_whole(inside, options)
            if reading is not None:
                yield Claim(position, reading, STRONG, "marked answer")
        position = text.find(OPEN, start)


def keyed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Answer: B', 'the correct answer is B', '{"answer": "B"}', 'Answer' above a line with B."""
    for key in _KEYWORD.finditer(text):
        word = key[0].lower().strip("\"'")
        names_letter, names_answer = word in ("option", "choice", "letter"), word in ("answer", "ans")
        if _ASKED.search(text, max(0, key.start() - 40), key.start()):
            continue
        bridge = _KEY_BRIDGE.match(text, key.end())
        direct = _DIRECT.match(text, key.end()) if bridge is None or names_letter else None
        if direct is not None and names_answer:
            reading = letter_at(text, after_signs(text, direct.end(), " \t\n([\"'"), options)
            if reading is not None and not rejected(text, direct.end(), reading):
                yield Claim(key.start(), reading, STRONG, "stated answer")
            continue
        if bridge is None:
            continue
        words, colon = bridge["words"] or "", bridge[0].strip()[-1:] in (":", "=")
        if not colon and (word in _COLON_ONLY or (word == "best" and words.strip())):
            continue
        if bridge[0].lstrip().startswith(".") and not names_answer:
            continue
        supposed = word != "choose" and _SUPPOSED_IF.search(text, max(0, key.start() - 50), key.start())
        if supposed or _UNSURE.search(words) or (names_letter and LETTER_THERE.match(words.strip())):
            continue
        start = bridge.end()
        reading = asserted_at(text, start, options, allow_text=word not in ("option", "letter"))
        if reading is not None and not (questioned(text, start, 60) and "\n" not in text[start : start + 10]):
            yield Claim(key.start(), reading, WEAK if word in _QUIET_KEYS else STRONG, "stated answer")


def after_signs(text: str, start: int, signs: str) -> int:
    """The first position from ``start`` on that holds none of ``signs``."""
    while start < len(text) and text[start] in signs:
        start += 1
    return start


def chosen(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I would choose B', "let's go with B", 'I think it is B'."""
    for verb in _VERB.finditer(text):
        if _UNSURE.search(verb["words"]):
            continue
        # 'I would rate the contrast as good' is no answer about the image.
        reading = asserted_at(text, verb.end(), options, allow_text=verb["rates"] is None)
        if reading is not None and _VARIABLE.match(text, verb.end()):
            continue
        if reading is not None and not questioned(text, verb.end()):
            yield Claim(verb.start(), reading, WEAK if _BELIEFS.search(verb[0]) else STRONG, "chosen answer")


# Letters that a reply concludes, calls right, ticks or names: weaker than a stated answer.
_CONNECTOR = re.compile(
    rf"(?i)(?:(?<![A-Za-z])(?:{any_of('claims connector')})(?![A-Za-z])|→|=>|->|∴|因此|所以|故)"
    rf"[,:.!\s\-]{{0,4}}(?:{any_of('claims subject')})?"
)
_TEXT_VERDICT = re.compile(rf"(?i)(?:{any_of('claims text verdict')})[\s,.:!\-]*\Z")
_CLAUSE_END = re.compile(rf"[)\]\"']*\s*(?:\Z|[.,;!\n:\-({OPEN}]|(?:{any_of('claims clause end')})\b)")
# What stands before a connector where the letter after it is one of several, only possible, or another thing.
_NOT_CONCLUDED = re.compile(f"(?i){any_of('claims not concluded')}")
_RIGHT = re.compile(
    r"(?<![A-Za-z0-9À-ɏ_'.\-])(?P<letter>[A-Z])(?![A-Za-z0-9À-ɏ_])[)\]\"']*(?:\s*\([^()\n]{0,40}\)"
    r"|[.:]\s?[\w\- ]{1,40}?)?,?\s*"
    r"(?:it is\b(?!\s*\w)|(?:is|seems|appears(?: to be)?|must be|would be|looks|remains)\s+"
    rf"(?:(?:{any_of('claims right before')})\s+)*(?:{any_of('claims right')})\b"
    rf"(?![\w ]{{0,30}}\b(?:incorrect|wrong)\b)|(?:{any_of('claims right verb')})\b(?!\s+(?:if|when))|✓|✔|✅)"
)
# Things that a letter names: 'region C', 'image B', 'grade C'.
NOT_AN_OPTION = re.compile(
    rf"(?i)(?:{any_of('claims named by a letter')}|\b(?:{any_of('claims things')})s?|°"
    rf"|(?:{any_of('claims things before a colon')})\s*:)\s*(?:[A-Z]\s*(?:,|and\b|or\b|to\b|&|/)\s*){{0,3}}[\"']?\Z"
)
# 'none of A-D is correct', 'neither option A nor B is right'
_NONE_OF = re.compile(
    r"(?i)\b(?:none|neither|nor|not any|not one)\b"
    r"(?:(?!\b(?:so|but|therefore|thus|hence|only|except)\b)[^.;:!?\n]){0,40}\Z"
)
_NAMES = ("option", "choice", "letter", "opzione", "letra", "lettre", "buchstabe")  # those of _NAMED in ASCII
_NAMED = re.compile(rf"(?i)(?<![^\W_])(?:{any_of('claims named')})\s*[(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9]|-\w)")
# A named option that is looked at, or only possible.
_LOOKED_AT = re.compile(rf"(?i)\b(?:{any_of('claims looked at')})\b[^.\n]{{0,30}}\Z")


def concluded(text: str, options: OptionSet) -> Iterator[Claim]:
    """'so C', 'therefore, B.', 'this matches option B', 'not A but B', '→ B'."""
    for connector in _CONNECTOR.finditer(text):
        end = connector.end()
        letter = LETTER_THERE.match(text, end)
        quoted = letter is not None and letter["letter"] != "i" and text[letter.start("letter") - 1] in "([\"'"
        if letter is not None and (letter["letter"].isupper() or quoted):
            reading = letter_at(text, letter.start("letter"), options)
            leading = before(text, connector.start(), 40)
            if reading is None or rejected(text, end, reading) or NEGATOR_BEFORE.search(leading + connector[0]):
                continue
            rest = text[letter.end() : letter.end() + 40]
            if _NOT_CONCLUDED.search(leading) or not _ends_clause(rest, reading):
                continue
            if not questioned(rest, 0):
                yield Claim(letter.start("letter"), reading, WEAK, "concluded letter")
        elif _TEXT_VERDICT.search(connector[0]) and options.yes is not None:
            reading = answer_at(text, end, options, reach=100)
            if reading is not None and reading.letter in (options.yes, options.no):
                yield Claim(end, reading, WEAK, "concluded yes or no")


def _ends_clause(rest: str, reading: Reading) -> bool:
    if reading.letter is None or _CLAUSE_END.match(rest):
        return True
    return reading.letter != "A" and "not" not in rest and re.match(r"[)\]]?\s*\w", rest) is None


def called_right(text: str, options: OptionSet) -> Iterator[Claim]:
    """'B is the correct answer', 'option B best matches', 'B it is'."""
    for match in _RIGHT.finditer(text):
        letter, start = match["letter"], match.start()
        if letter not in options.letters or negated(text, start):
            continue
        if _NONE_OF.search(text, max(0, start - 60), start):
            continue
        if options.labels is None and NOT_AN_OPTION.search(text, max(0, start - 30), start):
            continue
        joined = re.search(
            r"(?<![A-Za-z0-9])([A-Z])[)\]]?(?:,? or |,? and |/)(?:option )?[(\[]?\Z", before(text, start, 16)
        )
        reading = Reading(None, SEVERAL) if joined and joined[1] != letter else Reading(letter)
        yield Claim(start, reading, WEAK, "letter called right")


_PREDICATE = re.compile(
    r"(?i:\b(?:is|are|was|be|as|shows?|called))\s+(?i:therefore |likely |most likely |probably |clearly |labell?ed"
    r" |the |an? )*:?\s*(?:[(\[\"'](?P<bracketed>[A-Z])[)\]\"']|(?P<dotted>[A-Z])[.:)](?=\s))"
)


def predicated(text: str, options: OptionSet) -> Iterator[Claim]:
    """'The finding is (B) ghost lines', 'what stands out is A. Noise', 'it would be "A"'."""
    named: list[Claim] = []
    for match in _PREDICATE.finditer(text):
        letter = match["bracketed"] or match["dotted"]
        start = match.start("bracketed") if match["bracketed"] else match.start("dotted")
        if letter not in options.letters or negated(text, start):
            continue
        reading = letter_at(text, start, options)
        if reading is None or rejected(text, start, reading) or questioned(text, start):
            continue
        if match["dotted"] and own_text_at(text, start + 1, options) != letter:
            continue
        if _TAKEN_BACK.match(text, start) is None:
            named.append(Claim(start, reading, WEAK, "letter that is named"))
    if len({claim.reading for claim in named}) == 1:
        yield named[-1]


def named(text: str, options: OptionSet) -> Iterator[Claim]:
    """'option B' where no other option is named and B is not rejected."""
    if not may_say(text, _NAMES):
        return
    names = [name for name in _NAMED.finditer(text) if name["letter"].isupper()]
    letters = {name["letter"] for name in names}
    if len(letters) != 1 or not letters <= options.letters:
        return
    last = names[-1]
    start, end, reading = last.start(), last.end(), Reading(last["letter"])
    if negated(text, start) or rejected(text, start, reading) or _LOOKED_AT.search(before(text, start, 50)):
        return
    if letter_at(text, last.start("letter"), options) != reading or len(text) - end >= 200:
        return
    if not re.match(r"[)\]\"']*\s*(?:would|might|could|may)\b", text[end:]) and not questioned(text, end, 30):
        yield Claim(start, reading, WEAK, "named option")


# Answers that replace others.
_OLD = r"(?:(?:option\s+|choice\s+)?[(\[\"']*[A-Z](?![A-Za-z0-9])[)\]\"']*|it|this|that|there)"
_CHANGE = re.compile(
    rf"(?i)\b(?:{any_of('claims change')})\s+"
    rf"(?P<what>(?:(?:{any_of('claims an answer')}|from\s+{_OLD}|from\s+[^.,;:\n]{{1,40}}?(?=\s+to\b))\s*){{0,6}})"
    r"(?:\bto\b|\binto\b|:)\s*"
)
# A change that is asked about, refused or only thought of.
_NO_CHANGE = re.compile(rf"(?i)\b(?:{any_of('claims no change')})\b|n't\b")
# It is the answer that changes, not something in the image: 'the window was shifted from A to B'.
_OF_THE_ANSWER = re.compile(rf"(?i)\b(?:{any_of('claims of the answer')})\b")
# What _CHANGE cannot do without.
_CHANGING = ("chang", "revis", "switch", "updat", "amend", "correct", "alter", "mov", "shift", "flip")


def changed(text: str, options: OptionSet) -> Iterator[Claim]:
    """'I'm changing my answer to A', 'switch from A to D'."""
    for change in _CHANGE.finditer(text) if may_say(text, _CHANGING) else ():
        clause = re.split(r"[.;:!?\n]|\bbut\b|, ", before(text, change.start(), 50))[-1]
        if not change["what"].strip() or _NO_CHANGE.search(clause):
            continue
        if clause.strip() and not _OF_THE_ANSWER.search(f"{clause} {change['what']}"):
            continue
        reading = asserted_at(text, change.end(), options)
        if reading is not None and reading.why != SEVERAL and not questioned(text, change.end()):
            yield Claim(change.start(), reading, STRONG, "changed answer")
