"""Letters that answer by where they stand (:func:`leading_letter`, :func:`letter_with_text`, :func:`only_letter`), and
options in lists. A list of all options repeats the question (:func:`without_listing`) or goes through them one by one
(:func:`enumeration`), which is no answer; boxes (:func:`boxes`) and objects (:func:`structured`) are one where they
mark a single option."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.claims import (
    CHOICE_CONDITION,
    CONDITION_RIGHT_AFTER,
    NOT_AN_OPTION,
    after_signs,
    negated,
    struck_out,
)
from medqbench_vlmeval.answers.options import (
    DISAGREE,
    OUTSIDE,
    SEVERAL,
    OptionSet,
    Reading,
    answer_at,
    letter_at,
    letter_of,
    own_text_at,
    read_item,
    read_whole,
)
from medqbench_vlmeval.answers.plain import any_of

LISTED = "options listed"
Item = re.Match[str]

_ITEM = re.compile(r"(?<![A-Za-z0-9À-ɏ_'/\-])[(\[]?([A-Z])(?![A-Za-z0-9À-ɏ_'])[)\]]?[ \t]*[.:)\-]?")
_HEADING = re.compile(
    r"(?im)^[ \t]*(?P<mark>[-•·]|\d{1,2}[.)])?[ \t]*(?:option[ \t]+)?(?:[(\[]?(?P<letter>[A-Z])(?=[)\].:\- ]))?"
)
_LONGEST_LISTING = 1_500


def _items(text: str, options: OptionSet) -> list[Item]:
    """Letters of options with their texts behind them."""
    return [item for item in _ITEM.finditer(text) if item[1] in options.letters and _is_item(text, item, options)]


def _is_item(text: str, item: Item, options: OptionSet) -> bool:
    if own_text_at(text, item.end(1), options) == item[1]:
        return True
    word = text[item.end() : item.end() + 60].lower().split("\n")[0].strip(" .*()")
    return bool(word) and word.startswith(" ".join(options.words[item[1]])) and word[:1].isalnum()


def _listings(text: str, options: OptionSet) -> Iterator[list[Item]]:
    """Runs of items that list all options of the question in their order."""
    wanted = sorted(options.letters)
    if len(wanted) < 2:
        return
    items = _items(text, options)
    for first in range(len(items) - len(wanted) + 1):
        run = items[first : first + len(wanted)]
        if [item[1] for item in run] != wanted or run[-1].end() - run[0].start() > _LONGEST_LISTING:
            continue
        gaps = [text[_end_of_item(text, a, options) : b.start()] for a, b in itertools.pairwise(run)]
        if all(not gap.strip(" \t\n-•*,;|.:()[]\"'") or gap.strip(" ,") in ("and", "or") for gap in gaps):
            yield run


def _end_of_item(text: str, item: Item, options: OptionSet) -> int:
    mention = options.mention.match(text, after_signs(text, item.end(), " \t.:)-\"'("))
    if mention is not None and letter_of(mention) == item[1]:
        return mention.end()
    words = options.words[item[1]]
    tail = re.compile(r"[\W_]{0,4}" + r"[\W_]{1,3}".join(map(re.escape, words)), re.IGNORECASE).match(text, item.end())
    return tail.end() if tail else item.end()


def without_listing(text: str, options: OptionSet) -> tuple[str, bool]:
    """Remove repetitions of the whole question's options, and say whether there were any."""
    parts, position = [], 0
    for run in _listings(text, options):
        parts.append(text[position : run[0].start()])
        position = _end_of_item(text, run[-1], options)
    if len(parts) > 2:  # a loop: what is left over is a piece of one more listing
        return "", True
    return ("\n".join([*parts, text[position:]]), True) if parts else (text, False)


def repeats_options(text: str, options: OptionSet) -> bool:
    """Whether ``text`` lists all options of the question, each on a line of its own or in their own words."""
    if next(_listings(text, options), None) is not None:
        return True
    letters = "".join(item[1] for item in _LINE_ITEM.finditer(text) if item[1] in options.letters)
    return len(options.letters) > 1 and "".join(sorted(options.letters)) in letters


def enumeration(text: str, options: OptionSet) -> tuple[int, int] | None:
    """Where two or more options stand in the order of the question, each on a line of its own ('A. Noise: grain is').
    Options that are taken one by one are no answer."""
    wanted = sorted(options.letters)
    headings: list[tuple[int, int, str]] = []
    for line in _HEADING.finditer(text):
        item = _heading(text, line, options)
        further = len(headings) > 1 and line["letter"] in wanted and text[line.end() : line.end() + 1] in ".):"
        if item is None and further:
            item = line["letter"], line.end() + 1  # one more item, in other words than the option's
        if item is None:
            continue
        letter, end = item
        place = wanted.index(letter)
        if headings and place == wanted.index(headings[-1][2]) + 1:
            headings.append((line.start(), end, letter))
        elif len(headings) < 2 and place == 0:
            headings = [(line.start(), end, letter)]
        elif len(headings) >= 2:
            break
    return (headings[0][0], _end_of_enumeration(text, headings)) if len(headings) > 1 else None


def _heading(text: str, line: re.Match[str], options: OptionSet) -> tuple[str, int] | None:
    letter = line["letter"]
    if letter is not None and letter in options.letters:
        end = line.end("letter")
        if own_text_at(text, end, options) != letter:
            return None
        named = options.mention.search(text, end, end + 120)
        if named is not None and named.start() - end <= min(4, len(text) - end) and letter_of(named) == letter:
            return letter, named.end()
        return letter, line.end()
    if line["mark"] is None:
        return None
    named = options.mention.match(text, line.end())
    if named is None or not re.match(r"\s*(?::|\([^()\n]{1,30}\)\s*:|\s-\s)", text[named.end() : named.end() + 40]):
        return None
    return letter_of(named), named.end()


def _end_of_enumeration(text: str, headings: list[tuple[int, int, str]]) -> int:
    """The end of the last item, which has as many lines as the shortest of the others."""
    lines = min(text[a[1] : b[0]].strip().count("\n") for a, b in itertools.pairwise(headings))
    position = headings[-1][1]
    for _ in range(lines + 1):
        end = re.compile(r"\n\s*").search(text, position)
        if end is None:
            return len(text)
        position = end.end()
    return position


_LINE_ITEM = re.compile(r"(?im)^[ \t]*(?:[-•·]|\d{1,2}[.)])?[ \t]*(?:option[ \t]+)?[(\[]?([A-Z])[)\].:](?![A-Za-z]\.)")
# 'A would be ghosts': what the option means, not that it is chosen
_WOULD_BE = re.compile(
    r"[)\]\"']*\s+(?:would|could|might|may)\b(?!\s+(?:seem|appear|be|likely be|probably be)\s+(?:to be\s+)?"
    r"(?:the\b|my\b|an?\s+\w+\s+(?:choice|answer|fit)|most|more|best|better|right|correct|appropriate|closest|suitable))"
)
# 'A and C can be excluded', 'A, B and D are wrong'
_DENIED_SET = re.compile(
    r"(?:(?:,\s*|\s+)(?:and\s+|or\s+|&\s*)?(?:option\s+)?[(\[]?[A-Z](?![A-Za-z0-9])[)\]]?){1,4}\s+(?:both\s+)?"
    rf"(?:(?:{any_of('lists are')})\s+(?:\w+ly\s+)?(?:{any_of('lists denied')})"
    r"|(?:do|does|can|could|would)(?:\s*not\b|n't\b)|cannot\b|aren't|isn't)"
)
# A letter that names something in the image: 'B mode', 'A line'.
_NAME = re.compile(r"\s+(?:mode|scan|arm|line|cells?|field|weighted|type)\b")

# 'A. User-friendly, C. Good': items in other words than the options'.
_ITEM_IN_WORDS = re.compile(
    r"[(\[]?(?P<letter>[A-Z])[)\].:]\s+(?P<words>[^\n.,;:]{1,80}?)(?:[\n.,;]\s*|\s+(?=[A-Z][).]\s)|\s*\Z)"
)


def only_items(text: str, options: OptionSet) -> bool:
    """Whether the reply is a list of two or more letters with words behind them, none of them denied."""
    letters, position = set(), 0
    while (item := _ITEM_IN_WORDS.match(text, position)) is not None:
        if item["letter"] not in options.letters or _DENIED_ITEM.search(item["words"]):
            return False
        letters.add(item["letter"])
        position = item.end()
    return len(letters) > 1 and position == len(text)


_SAID_OF = re.compile(r"\s+(?:is|are|appears?|seems?|looks?)\b")


def leading_letter(text: str, options: OptionSet) -> Reading | None:
    """The reply starts with a letter: 'B. The image is grainy', 'B because A is wrong', 'B (Noise)'."""
    start = after_signs(text[:20], 0, " \t\n\"'([{<.:>-=→#|•✅✔👉☑1234567890)")
    reading = letter_at(text[: start + 300], start, options)
    if reading is None or (re.match(r"Q\d*\s*[:.]", text[start : start + 6]) and "Q" not in options.letters):
        return None
    after = text[start + 1 : start + 100]
    if text[start] == "A" and after.startswith(":"):  # where 'A' stands for 'answer'
        behind = text[start + 2 :]
        if len(behind.strip(" .*()[]\n")) == 1 and (answered := read_whole(behind, options)):
            return answered
    if CONDITION_RIGHT_AFTER.match(after) or _DENIED_SET.match(after) or _WOULD_BE.match(after):
        return None
    if re.match(r"[.:)\]]\s*[A-Z][.:)\]]", after):
        return Reading(None, SEVERAL)
    if struck_out(text, start + 1) or re.match(r"[)\]\"']*\s*\?|\s+or\s+not\b", after):
        return None
    if reading.letter is None:
        return None if reading.why == SEVERAL and re.match(r"[^.\n]{0,14}\?", after) else reading
    named = options.mention.match(text, after_signs(text, start + 1, ").: "))
    if named is not None and letter_of(named) != reading.letter and _SAID_OF.match(text, named.end()):
        return Reading(None, DISAGREE)  # 'B. Noise is most prominent' where B is another option
    if re.match(r"\s+[A-HJ-Z](?![A-Za-z0-9])", after) or only_items(text, options):
        return Reading(None, SEVERAL)
    lines = {item[1].upper() for item in _LINE_ITEM.finditer(text)} & options.letters
    inline = {item[1] for item in _items(text, options) if item[0][-1] in ".:)"}
    if (len(lines) > 1 or len(inline) > 1) and not re.match(r"[.)\]]?\s*\n", after):
        return None
    return None if _NAME.match(after) else reading


_LETTER_BEHIND_TEXT = re.compile(
    r"\s*[(\[]\s*(?:option |answer |choice )?([A-Z])\s*[)\]]|\s+-\s+([A-Z])(?=\W*(?:\Z|\n))|:?\s+[(\[]([A-Z])[)\]]"
)
_DENIED_ITEM = re.compile(r"\b(?:no|not|none|absent|incorrect|wrong|unlikely|n't)\b|n't\b|✗|❌|\?")
_DENIED_BEFORE = re.compile(rf"\b(?:{any_of('lists denied before')})\b|n't\b")


def letter_with_text(text: str, options: OptionSet) -> Reading | None:
    """One option is named by letter and text together: '(B) Noise', 'Noise (B)', and no other one is."""
    affirmed: set[str] = set()
    denied: set[str] = set()
    for item in _ITEM.finditer(text):
        letter = item[1]
        if letter not in options.letters or item[0] == "A" or own_text_at(text, item.end(1), options) != letter:
            continue
        line = text[item.end() : item.end() + 160].split("\n")[0]
        (denied if negated(text, item.start()) or _DENIED_ITEM.search(line) else affirmed).add(letter)
    for mention in options.mention.finditer(text):
        letter = letter_of(mention)
        behind = _LETTER_BEHIND_TEXT.match(text[mention.end() : mention.end() + 20])
        if behind is None or letter not in behind.groups():
            continue
        clause = re.split(r"[.;\n]", text[max(0, mention.start() - 60) : mention.start()])[-1]
        (denied if _DENIED_BEFORE.search(clause) else affirmed).add(letter)
    return Reading(affirmed.pop()) if len(affirmed) == 1 and not affirmed & denied else None


_FREE_LETTER = re.compile(
    r"(?:(?<=[\s(\[\"',:*→=|])|(?<=\A))([A-Z])(?![A-Za-z0-9À-ɏЀ-ӿ_]|['&+/\-][A-Za-z0-9]|\.[A-Za-z])"
)
_CLAUSE_ENDS = re.compile(
    r"[)\]\"']*\s*(?:\Z|[.,;!\n(]|is\s*\.|to me\b|it is\b|I (?:think|believe|guess)|because\b|since\b)"
)
# The English article, not the letter.
_ARTICLE = re.compile(r"\s+(?!and\b|or\b|to\b|through\b|it\b|is\b)(?:[a-z]|[A-Z][\w-])")
_WEIGHED = re.compile(rf"(?i)\b(?:{any_of('lists weighed')})\b|n't\b|不")


def only_letter(text: str, options: OptionSet) -> Reading | None:
    """A short reply that names one letter at the end of a clause, and no other one stands: 'Definitely C.'"""
    if len(text) > 300:
        return None
    if options.of_letters:  # the letters in 'not both A and B' are a text's
        text = options.mention.sub(
            lambda mention: "_" * len(mention[0]) if letter_of(mention) in options.of_letters else mention[0], text
        )
    standing: dict[str, bool] = {}
    for match in _FREE_LETTER.finditer(text):
        letter, before, after = match[1], text[: match.start()], text[match.end() :]
        if letter == "I" or NOT_AN_OPTION.search(before[-30:]):
            continue
        ended = _CLAUSE_ENDS.match(after) is not None
        if letter == "A" and not ended and _ARTICLE.match(after):
            continue
        if struck_out(text, match.end()) or re.match(r"[^.!?\n]{0,16}\?", after) or negated(text, match.start()):
            continue
        if _WOULD_BE.match(after):
            continue
        clause = CHOICE_CONDITION.sub("", re.split(r"[.;!?\n]|, (?!so\b)|\bbut\b", before)[-1])
        neither = re.search(r"\bneither\b[^.;!?\n]*\Z", before, re.IGNORECASE)
        standing[letter] = ended and not _WEIGHED.search(clause) and neither is None
    if len(standing) != 1:
        return None
    letter, firm = standing.popitem()
    if not firm:
        return None
    return Reading(letter) if letter in options.letters else Reading(None, OUTSIDE)


# 'B' behind a tick where the other boxes are empty: '- [ ] A / - [x] B', 'Good ( ) / Usable (x)', '❌ A / ✅ B'.
_BOX = re.compile(
    r"(?P<tick>[\[(]\s*[xXvV*✓✔√☑☒✅]\s*[\])]|[☑☒🗹✅✔✓])|\[\s?\]|\(\s\)|[\[(]\s*[✗✘❌]\s*[\])]|[☐□⬜❌✗✘]"
)


def boxes(text: str, options: OptionSet) -> tuple[Reading, str] | None:
    """The one option that is ticked in a list of boxes, and the other lines; two ticks or none are no answer."""
    if _BOX.search(text) is None:
        return None
    ticks: dict[str, bool] = {}
    rest = []
    for line in text.splitlines():
        marks = list(_BOX.finditer(line))
        before, *labels = (part.strip(" -•*|>:,") for part in _BOX.split(line)[::2])
        labels = [before, *labels[:-1]] if before and marks else labels  # the boxes stand behind the options
        items = [read_whole(label, options) or read_item(label, options) for label in labels]
        letters = [item.letter if item is not None else None for item in items]
        ticks |= {letter: mark["tick"] is not None for mark, letter in zip(marks, letters, strict=True) if letter}
        rest += [line] if not any(letters) else []
    ticked = [letter for letter, tick in ticks.items() if tick]
    return (_one_of([*ticked]), "\n".join(rest)) if len(ticks) > 1 else None


# Answers as data: the key that holds the answer, or an object that says of every option whether it is the one.
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\]]')
_QUOTED = r"[\"'](?P<{}>[^\"'\n]{{1,80}})[\"']"
# {"result": {...}}: the object that matters is inside another one.
_WRAPPED = re.compile(
    r"(?i)\s*(?:```[A-Za-z]*\s*)?(?:\{\s*\"(?:result|response|output|data)\"\s*:\s*(?=\{)|\[\s*(?=\{))"
)
_ANSWER_KEY = re.compile(
    r"(?i)[\"'](?:(?:final|correct|best|my|the|model|predicted|user)[_ ])?"
    r"(?:selected|selection|choice|answer|pick|picked|chosen|prediction|predicted|decision|verdict|response|result"
    r"|final|correct)(?:[_ ](?:option|answer|choice|letter|label|text|value|key|id))?[\"']\s*:\s*"
    rf"(?:{_QUOTED.format('told')}|\[\s*{_QUOTED.format('alone')}\s*\]"
    rf"|\{{\s*[\"'](?:letter|option|label|id|choice|key|answer)[\"']\s*:\s*{_QUOTED.format('inner')})"
)
_WHOLE = re.compile(r"\s*(?:```[A-Za-z]*\s*)?[{\[].*[}\]]\s*(?:```)?\s*\Z", re.DOTALL)
_LONGEST_OBJECT = 2_000


def structured(text: str, options: OptionSet) -> Reading | None:
    """Read a reply that is one object: the key of the answer, or a truth value or a share for each option."""
    if len(text) > _LONGEST_OBJECT or not _WHOLE.match(text):
        return None
    if (selected := _selected(text, options)) is not None:
        return selected
    entries = {entry[1]: entry[2].lower() for entry in _ENTRY.finditer(text)}
    values = {item.letter: value for key, value in entries.items() if (item := read_whole(key, options)) is not None}
    if len(values) < 2:
        return Reading(None, LISTED) if len({*_QUOTED_LETTER.findall(text)} & options.letters) > 1 else None
    shares = {letter: _share(value) for letter, value in values.items()}
    return _one_of([letter for letter, share in shares.items() if share > sum(shares.values()) / 2])


_ENTRY = re.compile(r"[\"']([^\"'\n]{1,80})[\"']\s*:\s*([^\s,}]+)")
_QUOTED_LETTER = re.compile(r"[\"']([A-Z])[\"']")


def _share(value: str) -> float:
    """1 for true and 0 for what is no number; scores that leave no option more than half of all are no answer."""
    is_number = re.fullmatch(r"\d{1,6}(?:\.\d{0,9})?%?", value) is not None
    return float(value.rstrip("%")) if is_number else float(value == "true")


def _one_of(letters: list[str | None]) -> Reading:
    return Reading(letters[0]) if len(letters) == 1 else Reading(None, SEVERAL)


def _selected(text: str, options: OptionSet) -> Reading | None:
    """The one answer under keys such as 'selected' and 'final_answer' of the outermost object, if any."""
    if '"' not in text:
        text = text.replace("'", '"')
    depths = _depths(text)
    depth = 2 if _WRAPPED.match(text) else 1
    letters: set[str | None] = set()
    for key in _ANSWER_KEY.finditer(text):
        if depths[key.start()] != depth:
            continue
        value = key["told"] or key["alone"] or key["inner"]
        reading = read_whole(value, options) or answer_at(value, 0, options)  # 'A. Noise', 'Yes, there is noise'
        if reading is not None:
            letters.add(reading.letter)
    return _one_of([*letters]) if letters else None


def _depths(text: str) -> list[int]:
    """How many brackets are open at each character, those inside strings not counted."""
    depths: list[int] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        depths += [depth] * (token.start() - len(depths))
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
    return depths + [depth] * (len(text) - len(depths))
