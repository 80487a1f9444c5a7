"""The options of a question, compiled once, and the answer that stands at a place of a reply. :func:`option_set`
compiles how the options' texts are spelled in replies. :func:`answer_at` reads what stands where an answer is expected,
after 'Answer:' or in a box; :func:`read_whole` reads a text that is nothing but an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.answers.plain import CLOSE, OPEN, WORDS, any_of, clean, fold, plain_answer

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Scripts that put no spaces between words: a text may be found inside a run of letters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")

YES_WORDS, NO_WORDS = (tuple(WORDS[f"options {word}"]) for word in ("yes", "no"))
YES_OR_NO = "|".join(sorted((re.escape(word) for word in YES_WORDS + NO_WORDS), key=len, reverse=True))

_SPELLED = "spelled "
_VARIANTS = {word: name.removeprefix(_SPELLED) for name in WORDS if name.startswith(_SPELLED) for word in WORDS[name]}
_NOUNS = re.compile(r"^(?:artifacts?|artefacts?|degradations?|distortions?|quality|images?|noise|issues?)$")
_GRADE_WORDS = (
    "mild moderate severe slight significant minor low high good poor usable excellent acceptable strong heavy"
)
_GRADES = frozenset(_GRADE_WORDS.split())
_ADJECTIVES = rf"(?:{any_of('options adjectives')})\s+"
_NEGATIONS = frozenset({"no", "not", "none", "without", "never"})
_BETWEEN_WORDS = r"[\W_]{1,3}"


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


@dataclass(frozen=True)
class OptionSet:
    """Compiled options. ``mention`` finds texts, longest first; a group's name is the option's letter."""

    letters: frozenset[str]
    words: Mapping[str, tuple[str, ...]]
    mention: re.Pattern[str]
    yes: str | None
    no: str | None
    absent: Mapping[str, str]  # an option's letter -> the option that says there is none of it
    nothing: str | None  # 'None', 'No degradation', 'No artifacts'
    of_letters: frozenset[str]  # options that are about others by their letters: 'Both A and B'
    values: Mapping[str, str]  # options that are numbers or formulas, written in one way; else empty
    labels: re.Pattern[str] | None  # things that options name by a letter of their own: 'point A' for 'Point A'

    def exact(self, text: str) -> str | None:
        """The one option whose words are exactly the words of ``text``."""
        words = words_of(text)
        return _only([letter for letter, own in self.words.items() if own == words]) if words else None

    def part(self, text: str) -> str | None:
        """The one option of which ``text`` says a telling part ('Motion' of 'Motion artifacts')."""
        words = words_of(text)
        if not words or len(words) > 4 or len(words[0]) < 3 or words[0] in _NEGATIONS or len("".join(words)) < 3:
            return None
        if all(_NOUNS.match(word) for word in words):
            return None
        pattern = _any_spelling(words)
        letters = [
            letter
            for letter, own in self.words.items()
            if letter not in (self.yes, self.no) and pattern.search(" ".join(own)) and own[0] not in _NEGATIONS
        ]
        # Each word begins the word of the option at its place: 'tissue fold'.
        same = {letter: own for letter, own in self.words.items() if len(own) == len(words)}
        begun = [letter for letter, own in same.items() if all(map(str.startswith, own, words))]
        return _only(letters or (begun if min(map(len, words)) > 3 else []))

    def with_value(self, text: str) -> str | None:
        """The one option whose number or formula ``text`` is."""
        value = value_of(text)
        return _only([letter for letter, own in self.values.items() if own == value]) if value else None

    def labelled(self, text: str) -> Iterator[re.Match[str]]:
        """Where ``text`` names a thing by the letter in an option's text ('point B' for 'B is closer')."""
        return self.labels.finditer(text) if self.labels is not None else iter(())

    def yes_or_no(self, word: str) -> str | None:
        """The letter of a word for yes or no, in the languages of ``YES_WORDS``."""
        if self.yes is None:
            return None
        return self.yes if word.lower() in YES_WORDS else self.no if word.lower() in NO_WORDS else None


def _only(letters: list[str]) -> str | None:
    return letters[0] if len(letters) == 1 else None


def option_set(options: Mapping[str, str]) -> OptionSet:
    """Compile ``options``; the same options are compiled once."""
    return _compile(tuple(options.items()))


@lru_cache(maxsize=4096)
def _compile(items: tuple[tuple[str, str], ...]) -> OptionSet:
    texts = {letter.strip().upper(): plain_answer(fold(clean(str(text)))) for letter, text in items}
    words = {letter: words_of(text) for letter, text in texts.items()}
    yes = _only([letter for letter, own in words.items() if own and own[0] in YES_WORDS])
    no = _only([letter for letter, own in words.items() if own and own[0] in NO_WORDS])
    if yes is None or no is None or yes == no:
        yes = no = None
    distinct = {
        letter: own
        for letter, own in words.items()
        if own and sum(other == own for other in words.values()) == 1 and not _is_bare(own, letter in (yes, no))
    }
    values = _values(texts)
    return OptionSet(
        letters=frozenset(texts),
        words=words,
        mention=_mention(distinct, {letter: texts[letter] for letter in values}),
        yes=yes,
        no=no,
        absent=_absences(words),
        nothing=_only([letter for letter, own in words.items() if _means_nothing(own)]),
        of_letters=frozenset(letter for letter, own in words.items() if sum(word.upper() in texts for word in own) > 1),
        values=values,
        labels=_labels(texts),
    )


_LABEL = re.compile(r"(?<![^\W_])[A-Z](?![^\W_])")
_THING = r"(?:point|box|picture|image|figure|object|region|area|circle|arrow|panel|option|choice|candidate|shape|photo)"

_PLACES = ("first", "second", "third", "fourth")
_ORDINAL = re.compile(r"(?i)(?:the )?(?P<place>first|second|third|fourth) (?P<noun>\w+)")


def _labels(texts: Mapping[str, str]) -> re.Pattern[str] | None:
    """A pattern for the things that options name by their own letters ('A is closer', 'Point A'), where all do."""
    ordinals = [_ORDINAL.fullmatch(text) for text in texts.values()]
    if all(ordinals) and [match["place"].lower() for match in ordinals if match] == list(_PLACES[: len(texts)]):
        nouns = "|".join({re.escape(match["noun"]) for match in ordinals if match})  # 'image B' is the second one
        return re.compile(rf"(?<![^\W_])(?i:{nouns})\s+(?P<option>[{''.join(texts)}])(?![^\W_])")
    own = {letter: _LABEL.findall(text) for letter, text in texts.items()}
    named = [letter for letter, labels in own.items() if labels]
    if len(named) < 2 or len(texts) - len(named) > 1 or any(own[letter] != [letter] for letter in named):
        return None
    return re.compile(rf"(?<![^\W_])(?i:{_THING})s?\s+[\"']?(?P<option>[{''.join(named)}])(?![^\W_])[\"']?")


def _is_bare(words: tuple[str, ...], yes_or_no: bool) -> bool:
    """Whether an option is too short to be looked for in running text: a bare yes or no, a single character."""
    text = "".join(words)
    return (len(text) < 2 and text.isascii()) or (yes_or_no and len(words) == 1)


def _spelling(word: str) -> str:
    if word in _VARIANTS:
        return _VARIANTS[word]
    if word.isascii() and word.isalpha() and len(word) > 3:
        if word.endswith(("ss", "us", "is")):
            return re.escape(word)
        return re.escape(word[:-1] if word.endswith("s") else word) + "s?"
    return re.escape(word)


def _phrase(words: tuple[str, ...], spell: bool = True) -> str:
    left = "" if _UNSPACED.match(words[0]) else r"(?<![^\W_])"
    right = "" if _UNSPACED.match(words[-1][-1]) else r"(?![^\W_])"
    return f"{left}{_BETWEEN_WORDS.join(_spelling(word) if spell else re.escape(word) for word in words)}{right}"


@lru_cache(maxsize=4096)
def _any_spelling(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_phrase(words), re.IGNORECASE)


def _mention(distinct: Mapping[str, tuple[str, ...]], values: Mapping[str, str]) -> re.Pattern[str]:
    branches = []
    texts = {letter: " ".join(words) for letter, words in distinct.items()} | dict(values)
    for letter in sorted(texts, key=lambda letter: -len(texts[letter])):
        if letter in values:
            branches.append(f"(?P<O{ord(letter[0])}>{_exactly(values[letter])})" if len(letter) == 1 else "(?!)")
            continue
        words = distinct[letter]
        pattern = _phrase(words)
        loose = re.compile(rf"(?i)(?:{pattern})\Z")
        if any(other != letter and loose.match(" ".join(own)) for other, own in distinct.items()):
            pattern = _phrase(words, spell=False)
        elif len(words) == 2 and _NOUNS.match(words[1]) and words[0] not in _NEGATIONS:
            # 'motion-related artifacts', and 'motion' where its noun comes later: 'motion and metal artifacts'
            first, noun = map(_spelling, words)
            pattern = (
                rf"(?<![^\W_]){first}(?:(?:[\s\-]+(?:related|induced|like|type))?[\s\-]+{noun}(?![^\W_])"
                rf"|(?=\s*(?:,|/|and|or|or\s+\w+,)\s*[\w\- ]{{1,20}}\s{noun}(?![^\W_])))"
            )
        if len(words) > 1 and words[0] == "no":
            thing = _phrase(words[1:])
            pattern += (
                rf"|(?<![^\W_])(?:no|without|without any|free (?:of|from)|(?:n't|not)\s+(?:see|show|have|exhibit"
                rf"|contain|observe|notice|detect|find|display)(?:\s+any)?)"
                rf"\s+(?:{_ADJECTIVES}){{0,3}}{thing}|{thing}[\s-]free(?![^\W_])"
            )
        if len(words) == 2 and words[0] in _GRADES:
            grade, noun = map(_spelling, words)
            pattern += rf"|(?<![^\W_]){noun}(?:\s+level)?"
            pattern += rf"(?::|\s+(?:is|are|appears?|seems?|looks?))\s+(?:\w+ly\s+)?{grade}(?![^\W_])"
        branches.append(f"(?P<O{ord(letter[0])}>{pattern})" if len(letter) == 1 else "(?!)")
    return re.compile("|".join(branches) or "(?!)", re.IGNORECASE)


_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")


def _exactly(value: str) -> str:
    """A number or a formula sign by sign: '2:1' is not '2, 1', and '3' is no part of '3.5'."""
    inside = r"\s*".join(map(re.escape, _TOKEN.findall(value)))
    return rf"(?<![^\W_])(?<![.,+\-]\d)(?<!\d[.,:/])(?<![\d=^/])-?{inside}(?![^\W_]|[.,:/^]\d)" if inside else "(?!)"


# Numbers and formulas as options: '$35^{\\circ}$', '2.5 km', '3:1'.
_WORDS = re.compile(r"(?<!\\)[A-Za-z]{4,}")
_COMMANDS = re.compile(any_of("options formula dress"))
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*(?:\{([^{}]*)\}|(\\?\w+))")
_UNITS = re.compile(r"(?<=[\d)])(?!sqrt|pi|frac|and|or)(?:[a-zμ%€£/]+\d?|\(?[a-z/]+\d?\)?)\Z")


def value_of(text: str) -> str:
    """A number or a formula without blanks, braces, dress and the unit behind it."""
    text = _COMMANDS.sub("", _FRACTION.sub(r"(\1)/(\2\3)", text)).strip(".,;:").lower()
    return re.sub(r"(?<=\d),(?=\d{3})", "", _UNITS.sub("", text).lstrip("$€£"))


def _values(texts: Mapping[str, str]) -> dict[str, str]:
    """The options as values, where all but one are numbers or formulas and no two are the same."""
    plain = {letter: re.sub(r"\\[A-Za-z]+", "", text) for letter, text in texts.items()}
    words = [{word.lower() for word in _WORDS.findall(text)} for text in plain.values()]
    units = set.intersection(*words) if words else set()
    formulas = {
        letter: value_of(text)
        for letter, text in texts.items()
        if (any(sign.isdigit() for sign in text) or "\\" in text)
        and (len(units) == 1 or not units)
        and not {word.lower() for word in _WORDS.findall(plain[letter])} - units
    }
    if len(formulas) < max(2, len(texts) - 1) or len(set(formulas.values())) < len(formulas):
        return {}
    return formulas


def letter_of(mention: re.Match[str]) -> str:
    """The option letter of a match of ``OptionSet.mention``."""
    return chr(int(str(mention.lastgroup)[1:]))


def _absences(words: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {
        letter: other
        for letter, own in words.items()
        for other, text in words.items()
        if letter != other and len(text) > 1 and text[0] in ("no", "without") and own[-len(text) + 1 :] == text[1:]
        # Not severe is not none.
        if own and not _GRADES.intersection(own[: len(own) - len(text) + 1])
    }


def _means_nothing(words: tuple[str, ...]) -> bool:
    no_such = len(words) == 2 and words[0] == "no" and _NOUNS.match(words[1]) is not None and words[1] != "noise"
    return no_such or words in (("none",), ("none", "of", "the", "above"), ("nothing",))


SEVERAL = "several answers"
OUTSIDE = "letter outside the options"
DISAGREE = "letter and text disagree"
NO_SUCH_VALUE = "value outside the options"
REACH = 300

_OPENERS = rf"[\s\"'(\[{{<:=>\-→#|,.•✅✔👉☑{OPEN}]"
_FILLER = re.compile(
    rf"(?i)(?:{_OPENERS}|(?:{any_of('options filler')})(?![^\W\d_])"
    r"|选项|選項|选择|選擇|选|選|是|为|為|옵션|オプション|選択肢)+"
)
_TEXT_FILLER = re.compile(rf"(?i)(?:{_OPENERS}|(?:{any_of('options text filler')})(?![^\W\d_]))+")
_LETTER = re.compile(r"([A-Za-z])(?![A-Za-z0-9À-ɏЀ-ӿ_]|['&+\-][A-Za-z0-9]|-\w|\.[a-z]|\+\+|#)")
_SLASHED = re.compile(r"([A-Z])\s*(?:/|&|\+)\s*([A-Z])(?![A-Za-z0-9])")
_CLOSERS = re.compile(rf"[)\]}}>\"'{CLOSE}]*")
_ENDED = re.compile(rf"\s*(?:\Z|[.)\]:;,\"'}}!\n{CLOSE}])")
_AFTER_A = re.compile(rf"\s+(?:{any_of('options after a')})\b")
_JOINED = (
    rf"[)\]}}>\"'.:{CLOSE}]*\s*"
    r"(?:,?\s*(?:and/or|and|or|to|through|-|as well as|along with|plus|vs\.?|y|e|et|und|oder|ou|и|или|или же)\s"
    r"|[,/&+、;|]|和|或|与|及|か|と|또는)"
    rf"\s*(?:either |also |possibly |maybe |perhaps )?(?:options?\s|choices?\s)?[\"'(\[{OPEN}]*"
)
# 'B, C is wrong' and 'B, A and C are wrong' give one answer; 'B, C' and 'A and B are correct' give two.
_NEW_SUBJECT = rf"(?!\)?\.?:?\s+(?:{any_of('options new subject')})\b)(?!\s*(?:不|都不|错|is|:))"
_FURTHER = re.compile(rf"{_JOINED}([A-HJ-Z])(?![A-Za-z0-9]|'|-\w)(?!\s*(?:and|&|,)\s*[A-Z]\s+are\b){_NEW_SUBJECT}")
_NOT = re.compile(r"(?i)\s*(?:not|neither|nor|none of|no option|nothing|isn't|never)\b")
_BOTH = re.compile(r"(?i)\s*(?:both|either|all of|all the|multiple|any of|a combination|two)\b")
_YES_OR_NO = re.compile(rf"(?i)({YES_OR_NO})")
_YES_OR_NO_END = re.compile(
    rf"\s*(?:\Z|[.,;:!)\]\"'}}\n(→{CLOSE}-])|\s+(?:because|since|as|there|it|wait|indeed|the)\b"
)
_YES_AND_NO = re.compile(r"(?i)\s*(?:/|,|and|or)\s*(?:no|yes)\b")
_NO_REPLY = re.compile(rf"(?i)no[ ,]+(?:{any_of('options no reply')})\b")
_TEXT_AND = re.compile(
    r"(?i)\s*(?:,?\s*(?:and/or|and|or|as well as|along with|plus|with)|[,/&+、]|和|或|与)\s*(?:also |some |the |an? )*"
)
_LETTER_BEHIND = re.compile(r"\s*\((?:option |choice )?[A-Z]\)")
_BRACKETED = re.compile(r"(?:the |option |choice )*\(([A-Z])\)")
_ITEM_GAP = re.compile(r"[ \t]*[).:\-,(→=]*[ \t]*[\"']?")
_CUT_WORD = re.compile(r"\w{1,60}\Z")
_NAMING = re.compile(r"(?i)^(?:the )?(?:option|choice|answer|letter|ans)[\s(\[:.=\"']+(?=[A-Za-z]\Z)")


@dataclass(frozen=True)
class Reading:
    """An answer that was read: a letter, or None with ``why`` no letter can be recorded."""

    letter: str | None
    why: str = ""


def answer_at(
    text: str, start: int, options: OptionSet, *, allow_text: bool = True, reach: int = REACH
) -> Reading | None:
    """Read an answer that stands at ``start``; None where nothing readable stands there."""
    text = text[start : start + reach]
    if len(text) >= REACH:  # a word that the cut goes through must not leave a lone letter behind
        text = _CUT_WORD.sub("", text)
    filler = _FILLER.match(text)
    at = filler.end() if filler else 0
    if options.of_letters and (about := _about_letters(text, at, options)) is not None:
        return about
    if _NOT.match(text, at) and not options.mention.match(text, at):
        return None
    if _BOTH.match(text, at):
        return Reading(None, SEVERAL)
    reading = letter_at(text, at, options)
    if reading is not None or not allow_text:
        return reading
    if options.values and (value := _value_at(text, at, options)) is not None:
        return value
    return _yes_or_no_at(text, at, options) or _text_at(text, at, options) or _text_at(text, 0, options)


_VALUE_END = re.compile(
    rf"\n|;|\.(?!\d)|,(?!\d)|\s(?:because|since|which|as|and|or|but|is|are|was|so|where|for)\b|{CLOSE}"
)
_VALUE_START = re.compile(r"[-+±]?\s*(?:\d|\\[a-z]*(?:frac|sqrt|pi|text)|[$€£]\s*\d)")


def _value_at(text: str, start: int, options: OptionSet) -> Reading | None:
    """Read a number or a formula: the option's letter, or a value that no option has."""
    end = _VALUE_END.search(text, start)
    written = text[start : end.start() if end is not None else len(text)].split("≈")[-1].split("=")[-1]
    letter = options.with_value(written)
    if letter is not None:
        return Reading(letter)
    return Reading(None, NO_SUCH_VALUE) if _VALUE_START.match(written.strip()) and len(written) < 40 else None


def _about_letters(text: str, start: int, options: OptionSet) -> Reading | None:
    """An option such as 'Both A and B' in full, which is no answer of two letters."""
    mention = options.mention.match(text, start)
    if mention is None or letter_of(mention) not in options.of_letters:
        return None
    return None if text[mention.end() :].lstrip().startswith("?") else Reading(letter_of(mention))


def letter_at(text: str, start: int, options: OptionSet) -> Reading | None:
    """Read a letter that is given as an answer at ``start`` (brackets and fillers already skipped)."""
    match = _LETTER.match(text, start)
    if match is None:
        slashed = _SLASHED.match(text, start)
        return Reading(None, SEVERAL) if slashed and slashed[1] != slashed[2] else None
    letter, end = match[1].upper(), match.end()
    ended = _ENDED.match(text, end) is not None
    if match[1].islower() and not ended:
        return None
    if letter not in options.letters:
        outside = ended and ((match[1].isupper() and letter != "I") or letter in "DEF")
        return Reading(None, OUTSIDE) if outside else None
    closed = _CLOSERS.match(text, end)
    after = closed.end() if closed else end
    own = own_text_at(text, after, options)
    article = letter == "A" and after == end and own != "A" and "\n" not in text[end : end + 2]
    if article and re.match(r"\s+[A-Za-zÀ-ɏ\d]", text[end:]) and not _AFTER_A.match(text, end):
        return None
    further = _FURTHER.match(text, end)
    if further is not None and further[1] != letter and own != letter:
        return Reading(None, SEVERAL)
    if own is not None and own != letter:
        return Reading(None, DISAGREE)
    if own == letter and (mention := options.mention.match(text, _after_gap(text, after))) is not None:
        return _second_text(text, mention.end(), options, letter) or Reading(letter)
    return Reading(letter)


def own_text_at(text: str, position: int, options: OptionSet) -> str | None:
    """The option whose text stands right after a letter, up to a stop ('B. Noise'), if any."""
    start = _after_gap(text, position)
    if options.values and (letter := _own_value(text, position, options)) is not None:
        return letter
    if options.yes is not None:
        word = _YES_OR_NO.match(text, start)
        if word is not None and _stops(text, word.end()):
            return options.yes_or_no(word[1])
    mention = options.mention.match(text, start)
    return letter_of(mention) if mention is not None and _stops(text, mention.end()) else None


_VALUE_GAP = re.compile(r"[)\]\"']*[ \t]*[.:,=]?\s*")


def _own_value(text: str, position: int, options: OptionSet) -> str | None:
    gap = _VALUE_GAP.match(text, position)
    start = gap.end() if gap is not None else position
    end = _VALUE_END.search(text, start)
    return options.with_value(text[start : end.start() if end is not None else len(text)])


def _after_gap(text: str, position: int) -> int:
    gap = _ITEM_GAP.match(text, position)
    return gap.end() if gap else position


def _stops(text: str, end: int) -> bool:
    """Whether the text, a line or a clause ends at ``end``: no further words follow."""
    rest = text[end : end + 3].lstrip(" \t")
    return not rest or rest[0] in ".,;:!\n)]}\"'|-→([" + CLOSE


def _second_text(text: str, end: int, options: OptionSet, letter: str) -> Reading | None:
    """SEVERAL where another option's text is joined to the first one."""
    lettered = _LETTER_BEHIND.match(text, end)
    joined = _TEXT_AND.match(text, lettered.end() if lettered is not None else end)
    if joined is None:
        return None
    if (further := _BRACKETED.match(text, joined.end())) is not None and further[1] != letter:
        return Reading(None, SEVERAL)
    other = options.mention.match(text, joined.end()) or options.mention.match(text, joined.end() - len("the "))
    return Reading(None, SEVERAL) if other is not None and letter_of(other) != letter else None


def _yes_or_no_at(text: str, start: int, options: OptionSet) -> Reading | None:
    word = _YES_OR_NO.match(text, start) if options.yes is not None else None
    if word is None or _NO_REPLY.match(text, start):
        return None
    if _YES_AND_NO.match(text, word.end()):
        return Reading(None, SEVERAL)
    return Reading(options.yes_or_no(word[1])) if _YES_OR_NO_END.match(text, word.end()) else None


def _text_at(text: str, start: int, options: OptionSet) -> Reading | None:
    filler = _TEXT_FILLER.match(text, start)
    for position in (start, filler.end() if filler else start):
        mention = options.mention.match(text, position)
        if mention is None:
            continue
        letter, after = letter_of(mention), text[mention.end() :]
        # 'None of the above', 'none of these fit' speak of the options, not of the option 'None'.
        of_options = re.match(r"\s+of\s+(?:the|these|those|them|my|your|all|what)\b", after)
        if (letter == options.nothing and of_options) or text[mention.end() :].lstrip().startswith("?"):
            return None
        return _second_text(text, mention.end(), options, letter) or Reading(letter)
    return None


def read_whole(text: str, options: OptionSet) -> Reading | None:
    """Read a text that is nothing but an answer: a letter in any dress, an option's text, yes or no."""
    text = text.strip(f" \t\n\"'.,;:!()[]{{}}<>|-=→#•✅✔👉☑🙂{OPEN}{CLOSE}")
    if len(text) > REACH or not text:
        return None
    text = _NAMING.sub("", text)
    if len(text) == 1 and text.isascii() and text.isalpha():
        letter = text.upper()
        return Reading(letter) if letter in options.letters else Reading(None, OUTSIDE)
    if (whole := options.exact(text) or options.with_value(text) or options.yes_or_no(text)) is not None:
        return Reading(whole)
    if (mention := options.mention.fullmatch(text)) is not None:
        return Reading(letter_of(mention))
    words = [word.strip(".,)") for word in text.split()]
    if len(words) > 1 and len(set(words)) == 1:
        return read_whole(text.split()[0], options)
    part = options.part(text)
    return Reading(part) if part is not None else None


def read_item(line: str, options: OptionSet) -> Reading | None:
    """Read a line that is one option with its letter ('B. Noise') and no remark on it ('B. Noise: there is none')."""
    line = line.strip().strip('-•>✅✔👉 (["')
    reading = letter_at(line, 0, options) if line else None
    if reading is None or reading.letter is None:
        return None
    remark = re.search(r"\w:\s*\w", line[2:])
    return reading if own_text_at(line, 1, options) == reading.letter and len(line) < 60 and not remark else None
