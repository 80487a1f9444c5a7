"""The options of a question, compiled once: how their texts are spelled in replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.answers.plain import CLOSE, OPEN, clean, fold, plain_answer

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Scripts that put no spaces between words: a text may be found inside a run of letters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")

YES_WORDS = (
    "yes",
    "yeah",
    "yep",
    "yup",
    "是的",
    "是",
    "有的",
    "有",
    "对",
    "正确",
    "はい",
    "네",
    "예",
    "ja",
    "oui",
    "sí",
    "si",
    "sì",
    "sim",
    "да",
    "نعم",
)
NO_WORDS = (
    "no",
    "nope",
    "nah",
    "否",
    "不是",
    "没有",
    "沒有",
    "不",
    "无",
    "いいえ",
    "아니요",
    "아니오",
    "nein",
    "non",
    "não",
    "нет",
    "لا",
)

_VARIANTS = {
    "artifact": "art[ie]facts?",
    "artifacts": "art[ie]facts?",
    "artefact": "art[ie]facts?",
    "artefacts": "art[ie]facts?",
    "blur": "blur(?:red|ry|riness|ring|s)?",
    "blurry": "blur(?:red|ry|riness|ring|s)?",
    "blurred": "blur(?:red|ry|riness|ring|s)?",
    "blurring": "blur(?:red|ry|riness|ring|s)?",
    "noise": "nois(?:e|y|iness)",
    "noisy": "nois(?:e|y|iness)",
    "reject": "reject(?:ed|able|ion)?",
    "rejected": "reject(?:ed|able|ion)?",
    "color": "colou?r",
    "colour": "colou?r",
    "uneven": "(?:uneven|non-?uniform)",
    "severe": "severe(?:ly)?",
    "mild": "mild(?:ly)?",
    "moderate": "moderate(?:ly)?",
}
_NOUNS = re.compile(r"^(?:artifacts?|artefacts?|degradations?|distortions?|quality|images?|noise|issues?)$")
_GRADES = frozenset(
    [
        "mild",
        "moderate",
        "severe",
        "slight",
        "significant",
        "minor",
        "low",
        "high",
        "good",
        "poor",
        "usable",
        "excellent",
        "acceptable",
        "strong",
        "heavy",
    ]
)
_ADJECTIVES = (
    r"(?:any|visible|obvious|apparent|noticeable|significant|evident|clear|discernible|detectable|signs? of"
    r"|evidence of)\s+"
)
_NEGATIONS = frozenset({"no", "not", "none", "without", "never"})


def _spelling(word: str) -> str:
    if word in _VARIANTS:
        return _VARIANTS[word]
    if word.isascii() and word.isalpha() and len(word) > 3:
        if word.endswith(("ss", "us", "is")):
            return re.escape(word)
        return re.escape(word[:-1] if word.endswith("s") else word) + "s?"
    return re.escape(word)


def _edges(words: tuple[str, ...], body: str) -> str:
    left = "" if _UNSPACED.match(words[0]) else r"(?<![^\W_])"
    right = "" if _UNSPACED.match(words[-1][-1]) else r"(?![^\W_])"
    return f"{left}{body}{right}"


def _phrase(words: tuple[str, ...], spell: bool) -> str:
    parts = [_spelling(word) if spell else re.escape(word) for word in words]
    return _edges(words, r"[\W_]{1,3}".join(parts))


@lru_cache(maxsize=4096)
def _any_spelling(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_phrase(words, spell=True), re.IGNORECASE)


def _begins(found: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether each word of ``found`` begins the word of the option at its place ('tissue fold')."""
    return len(found) == len(words) and all(
        len(said) > 3 and word.startswith(said) for said, word in zip(found, words, strict=True)
    )


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


@dataclass(frozen=True)
class OptionSet:
    """Compiled options. ``mention`` finds texts, longest first; a group's name is the option's letter."""

    letters: frozenset[str]
    words: Mapping[str, tuple[str, ...]]
    mention: re.Pattern[str] | None
    yes: str | None
    no: str | None
    absent: Mapping[str, str]  # an option's letter -> the option that says there is none of it
    nothing: str | None  # 'None', 'No degradation', 'No artifacts'
    of_letters: frozenset[str]  # options that are about others by their letters: 'Both A and B'

    def exact(self, text: str) -> str | None:
        """The one option whose words are exactly the words of ``text``."""
        found = words_of(text)
        if not found:
            return None
        letters = [letter for letter, words in self.words.items() if words == found]
        return letters[0] if len(letters) == 1 else None

    def part(self, text: str) -> str | None:
        """The one option of which ``text`` says a telling part ('Motion' of 'Motion artifacts')."""
        found = words_of(text)
        if not found or len(found) > 4 or len(found[0]) < 3 or found[0] in _NEGATIONS or len("".join(found)) < 3:
            return None
        if all(_NOUNS.match(word) for word in found):
            return None
        patterns = _any_spelling(found)
        letters = [
            letter
            for letter, words in self.words.items()
            if letter not in (self.yes, self.no) and patterns.search(" ".join(words)) and words[0] not in _NEGATIONS
        ]
        if not letters:
            letters = [letter for letter, words in self.words.items() if _begins(found, words)]
        return letters[0] if len(letters) == 1 else None

    def said(self, word: str) -> str | None:
        """The letter of a word for yes or no, in the languages of ``YES_WORDS``."""
        if self.yes is None:
            return None
        return self.yes if word.lower() in YES_WORDS else self.no if word.lower() in NO_WORDS else None


def option_set(options: Mapping[str, str]) -> OptionSet:
    """The compiled form of ``options``; the same options are compiled once."""
    return _compile(tuple(options.items()))


@lru_cache(maxsize=4096)
def _compile(items: tuple[tuple[str, str], ...]) -> OptionSet:
    texts = {letter.strip().upper(): plain_answer(fold(clean(str(text)))) for letter, text in items}
    words = {letter: words_of(text) for letter, text in texts.items()}
    yes = _starting(words, YES_WORDS)
    no = _starting(words, NO_WORDS)
    if yes is None or no is None or yes == no:
        yes = no = None
    distinct = {
        letter: found
        for letter, found in words.items()
        if found and sum(other == found for other in words.values()) == 1 and letter not in _bare(words, yes, no)
    }
    return OptionSet(
        letters=frozenset(texts),
        words=words,
        mention=_mention(distinct),
        yes=yes,
        no=no,
        absent=_absences(words),
        nothing=_nothing(words),
        of_letters=frozenset(
            letter for letter, found in words.items() if sum(word.upper() in texts for word in found) > 1
        ),
    )


def _starting(words: Mapping[str, tuple[str, ...]], wanted: tuple[str, ...]) -> str | None:
    letters = [letter for letter, found in words.items() if found and found[0] in wanted]
    return letters[0] if len(letters) == 1 else None


def _bare(words: Mapping[str, tuple[str, ...]], yes: str | None, no: str | None) -> set[str]:
    """Options too short to be looked for in running text: a bare yes or no, a single character."""
    short = {letter for letter, found in words.items() if len("".join(found)) < 2 and "".join(found).isascii()}
    return short | {letter for letter in (yes, no) if letter is not None and len(words[letter]) == 1}


def _mention(distinct: Mapping[str, tuple[str, ...]]) -> re.Pattern[str] | None:
    if not distinct:
        return None
    branches = []
    ranked = sorted(distinct.items(), key=lambda item: -len(" ".join(item[1])))
    for letter, words in ranked:
        pattern = _phrase(words, spell=True)
        loose = re.compile(rf"(?:{pattern})\Z", re.IGNORECASE)
        if any(other != letter and loose.match(" ".join(found)) for other, found in distinct.items()):
            pattern = _phrase(words, spell=False)
        elif len(words) == 2 and _NOUNS.match(words[1]) and words[0] not in _NEGATIONS:
            # 'motion-related artifacts', and 'motion' where its noun comes later: 'motion and metal artifacts'
            first = _spelling(words[0])
            noun = _spelling(words[1])
            pattern = (
                rf"(?<![^\W_]){first}(?:(?:[\s\-]+(?:related|induced|like|type))?[\s\-]+{noun}(?![^\W_])"
                rf"|(?=\s*(?:,|/|and|or|or\s+\w+,)\s*[\w\- ]{{1,20}}\s{noun}(?![^\W_])))"
            )
        if len(words) > 1 and words[0] == "no":
            thing = _edges(words[1:], r"[\W_]{1,3}".join(map(_spelling, words[1:])))
            pattern += (
                rf"|(?<![^\W_])(?:no|without|without any|free (?:of|from)|(?:n't|not)\s+(?:see|show|have|exhibit"
                rf"|contain|observe|notice|detect|find|display)(?:\s+any)?)"
                rf"\s+(?:{_ADJECTIVES}){{0,3}}{thing}|{thing}[\s-]free(?![^\W_])"
            )
        if len(words) == 2 and words[0] in _GRADES:
            grade, noun = _spelling(words[0]), _spelling(words[1])
            pattern += rf"|(?<![^\W_]){noun}(?:\s+level)?"
            pattern += rf"(?::|\s+(?:is|are|appears?|seems?|looks?))\s+(?:\w+ly\s+)?{grade}(?![^\W_])"
        branches.append(f"(?P<O{ord(letter[0])}>{pattern})" if len(letter) == 1 else "(?!)")
    return re.compile("|".join(branches), re.IGNORECASE)


def mentioned(found: re.Match[str]) -> str:
    """The option letter of a match of ``OptionSet.mention``."""
    return chr(int(str(found.lastgroup)[1:]))


def _absences(words: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    gone = {}
    for letter, found in words.items():
        for other, text in words.items():
            if (
                len(text) > 1
                and text[0] in ("no", "without")
                and found
                and found[-len(text) + 1 :] == text[1:]
                and letter != other
                and not _GRADES.intersection(found[: len(found) - len(text) + 1])  # not severe is not none
            ):
                gone[letter] = other
    return gone


def _nothing(words: Mapping[str, tuple[str, ...]]) -> str | None:
    letters = [
        letter
        for letter, found in words.items()
        if found in (("none",), ("none", "of", "the", "above"), ("nothing",))
        or (len(found) == 2 and found[0] == "no" and _NOUNS.match(found[1]) and found[1] != "noise")
    ]
    return letters[0] if len(letters) == 1 else None


# What stands where an answer is expected: after 'Answer:', in a box, in a tag, or as the whole reply.


SEVERAL = "several answers"
OUTSIDE = "letter outside the options"
DISAGREE = "letter and text disagree"
REACH = 300

_OPENERS = rf"[\s\"'(\[{{<:=>\-→#|,.•✅✔👉☑{OPEN}]"
_FILLER = re.compile(
    rf"(?:{_OPENERS}|(?:(?:most|more) (?:likely|probably|appropriate|accurate)|the|option|choice|letter|answer"
    rf"|label|likely|probably|perhaps"
    r"|maybe|clearly|definitely|indeed|therefore|thus|then|hence|still|simply|just|actually|in fact|it's|it is"
    r"|it must be"
    r"|it would be|this is|that is|that's|that would be|is|be|either way"
    r"|opción|opção|opzione|letra|lettre|lettera|буква|вариант|la|l'|die|der|o|a letra|الخيار|الحرف)(?![^\W\d_])"
    r"|选项|選項|选择|選擇|选|選|是|为|為|옵션|オプション|選択肢)+",
    re.IGNORECASE,
)
_TEXT_FILLER = re.compile(
    rf"(?:{_OPENERS}|(?:an?|the|there (?:is|are)|it (?:is|shows|has)|this is|that|with|some|of|by|as|due to|image"
    rf"|shows|has|is|are"
    r"|likely|probably|most|mainly|primarily|clearly|definitely|visible|significant|noticeable|presence of|affected by"
    r"|degraded by|caused by)(?![^\W\d_]))+",
    re.IGNORECASE,
)
_LETTER = re.compile(r"([A-Za-z])(?![A-Za-z0-9À-ɏЀ-ӿ_]|['&+\-][A-Za-z0-9]|-\w|\.[a-z]|\+\+|#)")
_SLASHED = re.compile(r"([A-Z])\s*(?:/|&|\+)\s*([A-Z])(?![A-Za-z0-9])")
_CLOSERS = re.compile(rf"[)\]}}>\"'{CLOSE}]*")
_ENDED = re.compile(rf"\s*(?:\Z|[.)\]:;,\"'}}!\n{CLOSE}])")
_AFTER_A = re.compile(
    r"\s+(?:is|was|because|since|due|and|or|but|if|again|given|seems|would|fits|best|which|based|rather|instead|not|matches"
    r"|here|it|by|while|over|for (?:this|the)|to me)\b"
)
_JOINED = (
    rf"[)\]}}>\"'.:{CLOSE}]*\s*"
    r"(?:,?\s*(?:and/or|and|or|to|through|-|as well as|along with|plus|vs\.?|y|e|et|und|oder|ou|и|или|или же)\s"
    r"|[,/&+、;|]|和|或|与|及|か|と|또는)"
    rf"\s*(?:either |also |possibly |maybe |perhaps )?(?:options?\s|choices?\s)?[\"'(\[{OPEN}]*"
)
# 'B, C is wrong' and 'B, A and C are wrong' give one answer; 'B, C' and 'A and B are correct' give two.
_NEW_SUBJECT = (
    r"(?!\)?\.?:?\s+(?:is|was|would|because|can|cannot|could|does|do|shows?|has|have|being|seems?|appears?|fits?"
    r"|it|best"
    r"|due|looks?|represents?|describes?|refers?)\b)(?!\s*(?:不|都不|错|is|:))"
)
_FURTHER = re.compile(rf"{_JOINED}([A-HJ-Z])(?![A-Za-z0-9]|'|-\w)(?!\s*(?:and|&|,)\s*[A-Z]\s+are\b){_NEW_SUBJECT}")
_NOT = re.compile(r"\s*(?:not|neither|nor|none of|no option|nothing|isn't|never)\b", re.IGNORECASE)
_BOTH = re.compile(r"\s*(?:both|either|all of|all the|multiple|any of|a combination|two)\b", re.IGNORECASE)
_WORD_SAID = re.compile(
    rf"({'|'.join(re.escape(word) for word in sorted({*YES_WORDS, *NO_WORDS}, key=len, reverse=True))})",
    re.IGNORECASE,
)
_SAID_END = re.compile(rf"\s*(?:\Z|[.,;:!)\]\"'}}\n(→{CLOSE}-])|\s+(?:because|since|as|there|it|wait|indeed|the)\b")
_SAID_BOTH = re.compile(r"\s*(?:/|,|and|or)\s*(?:no|yes)\b", re.IGNORECASE)
_NO_REPLY = re.compile(
    r"no[ ,]+(?:idea|answer|problem|worries|way|image|clue|information|options?|opinion|comment|clear|matter"
    r"|doubt|need|one"
    r"|thoughts?|conclusion|definit\w+|data|response)\b",
    re.IGNORECASE,
)
_TEXT_AND = re.compile(
    r"\s*(?:,?\s*(?:and/or|and|or|as well as|along with|plus|with)|[,/&+、]|和|或|与)\s*(?:also |some |the |an? )*",
    re.IGNORECASE,
)
_ITEM_GAP = re.compile(r"[ \t]*[).:\-,(→=]*[ \t]*[\"']?")


_CUT_WORD = re.compile(r"\w{1,60}\Z")
_NAMING = re.compile(r"^(?:the )?(?:option|choice|answer|letter|ans)[\s(\[:.=\"']+(?=[A-Za-z]\Z)", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """An answer that was read: a letter, or None with ``why`` no letter can be recorded."""

    letter: str | None
    why: str = ""


def read(text: str, options: OptionSet, *, allow_text: bool = True) -> Reading | None:
    """Read an answer at the very start of ``text``; None where nothing readable stands there."""
    if len(text) >= REACH:  # a word that the cut goes through must not leave a lone letter behind
        text = _CUT_WORD.sub("", text[:REACH])
    found = _FILLER.match(text)
    start = found.end() if found else 0
    if options.of_letters and (about := _about_letters(text, start, options)) is not None:
        return about
    if _NOT.match(text, start) and not _text_at(text, start, options):
        return None
    if _BOTH.match(text, start):
        return Reading(None, SEVERAL)
    reading = letter_at(text, start, options)
    if reading is not None or not allow_text:
        return reading
    return _said(text, start, options) or _text(text, start, options) or _text(text, 0, options)


def _about_letters(text: str, start: int, options: OptionSet) -> Reading | None:
    """An option such as 'Both A and B' in full, which is no answer of two letters."""
    found = _text_at(text, start, options)
    if found is None or mentioned(found) not in options.of_letters or re.match(r"\s*\?", text[found.end() :]):
        return None
    return Reading(mentioned(found))


def letter_at(text: str, start: int, options: OptionSet) -> Reading | None:
    """Read a letter that is given as an answer at ``start`` (brackets and fillers already skipped)."""
    found = _LETTER.match(text, start)
    if found is None:
        slashed = _SLASHED.match(text, start)
        return Reading(None, SEVERAL) if slashed and slashed[1] != slashed[2] else None
    letter = found[1].upper()
    end = found.end()
    if found[1].islower() and not _ENDED.match(text, end):
        return None
    if letter not in options.letters:
        outside = found[1].isupper() and letter != "I" and _ENDED.match(text, end)
        outside = outside or (letter in "DEF" and _ENDED.match(text, end))
        return Reading(None, OUTSIDE) if outside else None
    closed = _CLOSERS.match(text, end)
    after = closed.end() if closed else end
    own = own_text_at(text, after, options)
    if (
        letter == "A"
        and after == end
        and own != "A"
        and re.match(r"\s+\w", text[end:])
        and "\n" not in text[end : end + 2]
    ) and not _AFTER_A.match(text, end):
        return None
    further = _FURTHER.match(text, end)
    if further is not None and further[1] != letter and own != letter:
        return Reading(None, SEVERAL)
    if own is not None and own != letter:
        return Reading(None, DISAGREE)
    if own == letter and (more := _more_text(text, after, options, letter)):
        return more
    return Reading(letter)


def own_text_at(text: str, position: int, options: OptionSet) -> str | None:
    """The option whose text stands right after a letter, up to a stop ('B. Noise'), if any."""
    gap = _ITEM_GAP.match(text, position)
    start = gap.end() if gap else position
    if options.yes is not None:
        word = _WORD_SAID.match(text, start)
        if word is not None and (stop := _stop(text, word.end())) and stop != " ":
            return options.said(word[1])
    if options.mention is None:
        return None
    found = options.mention.match(text, start)
    if found is None:
        return None
    return mentioned(found) if _stop(text, found.end()) != " " else None


def _stop(text: str, end: int) -> str:
    """What ends a text: the empty string at the text's end, a space where more words follow."""
    rest = text[end : end + 3]
    stripped = rest.lstrip(" \t")
    if not stripped:
        return "\n"
    if stripped[0] in ".,;:!\n)]}\"'|-→([" + CLOSE:
        return stripped[0]
    return " "


def _more_text(text: str, position: int, options: OptionSet, letter: str) -> Reading | None:
    gap = _ITEM_GAP.match(text, position)
    found = options.mention.match(text, gap.end() if gap else position) if options.mention else None
    if found is None:
        return None
    return _second(text, found.end(), options, letter)


def _second(text: str, end: int, options: OptionSet, letter: str) -> Reading | None:
    """SEVERAL where another option's text is joined to the first one."""
    joined = _TEXT_AND.match(text, end)
    if joined is None or options.mention is None:
        return None
    other = options.mention.match(text, joined.end())
    if other is None or mentioned(other) == letter:
        return None
    return Reading(None, SEVERAL)


def _said(text: str, start: int, options: OptionSet) -> Reading | None:
    if options.yes is None:
        return None
    found = _WORD_SAID.match(text, start)
    if found is None or _NO_REPLY.match(text, start):
        return None
    if _SAID_BOTH.match(text, found.end()):
        return Reading(None, SEVERAL)
    if not _SAID_END.match(text, found.end()):
        return None
    return Reading(options.said(found[1]))


def _text_at(text: str, start: int, options: OptionSet) -> re.Match[str] | None:
    return options.mention.match(text, start) if options.mention else None


def _text(text: str, start: int, options: OptionSet) -> Reading | None:
    for position in (start, _after_text_filler(text, start)):
        found = _text_at(text, position, options)
        if found is not None:
            letter = mentioned(found)
            # 'None of the above', 'none of these fit' speak of the options, not of the option 'None'.
            if letter == options.nothing and re.match(
                r"\s+of\s+(?:the|these|those|them|my|your|all|what)\b", text[found.end() :]
            ):
                return None
            if re.match(r"\s*\?", text[found.end() :]):
                return None
            return _second(text, found.end(), options, letter) or Reading(letter)
    return None


def _after_text_filler(text: str, start: int) -> int:
    found = _TEXT_FILLER.match(text, start)
    return found.end() if found else start


def read_whole(text: str, options: OptionSet) -> Reading | None:
    """Read a text that is nothing but an answer: a letter in any dress, an option's text, yes or no."""
    text = text.strip(f" \t\n\"'.,;:!()[]{{}}<>|-=→#•✅✔👉☑🙂{OPEN}{CLOSE}")
    if len(text) > REACH or not text:
        return None
    text = _NAMING.sub("", text)
    if len(text) == 1 and text.isascii() and text.isalpha():
        return _single(text, options)
    letter = options.exact(text)
    if letter is not None:
        return Reading(letter)
    if (said := options.said(text)) is not None:
        return Reading(said)
    if options.mention is not None and (found := options.mention.fullmatch(text)) is not None:
        return Reading(mentioned(found))
    words = text.split()
    if len(words) > 1 and all(word.strip(".,)") == words[0].strip(".,)") for word in words[1:]):
        return read_whole(words[0], options)
    if (letter := options.part(text)) is not None:
        return Reading(letter)
    return None


def _single(text: str, options: OptionSet) -> Reading | None:
    letter = text.upper()
    if letter in options.letters:
        return Reading(letter)
    return Reading(None, OUTSIDE)
