"""The options of a question, compiled once: how their texts are spelled in replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from medqbench_vlmeval.answers.cleaning import clean, fold
from medqbench_vlmeval.answers.markup import plain

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
    texts = {letter.strip().upper(): plain(fold(clean(str(text)))) for letter, text in items}
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
