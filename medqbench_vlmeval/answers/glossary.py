"""Answers in other languages than English: a stated letter, found like one in English, and a short reply that consists
of common names of image degradations and grades ('运动伪影' for 'Motion artifact') and of words like 'the image shows',
compared with the options by what the names mean. The glossary (Chinese, Japanese, Korean, German, French, Spanish) is
small on purpose: a name with two meanings in this field is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from medqbench_vlmeval.answers.claims import STRONG, Claim, asserted_at
from medqbench_vlmeval.answers.options import OptionSet, Reading, letter_at
from medqbench_vlmeval.answers.plain import any_of, may_say

_STATED = re.compile(
    rf"(?i)(?:{any_of('glossary stated')})(?![^\W\d_])(?P<words>[^.\n;?!:=]{{0,40}}?)"
    rf"(?:(?<![^\W_])(?:{any_of('glossary is')})(?![^\W_])|[:=—]|\s-\s|(?=\s[(\[]?[A-Z](?![^\W_])))\s*"
)
# What begins the names in _STATED that are ASCII throughout.
_LATIN_STEMS = ("antwo", "respuesta", "risposta", "resposta", "cevap", "jawaban", "svar", "vastaus")
_NOT_STATED = re.compile(rf"(?i)(?<![^\W_])(?:{any_of('glossary not stated')})(?![^\W_])")
_CJK = re.compile(
    r"(?P<neg>[不没非]\s*|排除\s*)?(?:答案|正解|解答|答え|回答|正确选项|最终选择|结论|정답|답변|답|答|选择|選擇|应选|故选|因此选|所以选|选|選|选项|選項|判断为|应为|認為是|认为是|應為)"
    r"[^\n。.;?不A-Za-z]{0,12}?[\s(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9])"
)
_CJK_TEXT = re.compile(r"(?:答案|正解|答え|正确选项|最终选择|结论|정답|答)\s*(?:应该|应当|应)?(?:是|为|為|は|은|:)+\s*")
_CJK_REJECTED = re.compile(r"\s*(?:选项|项)?(?:不|错|可以排除|被排除|では|じゃな|[가이은는]?\s*아[니닙닌])")


def stated_in_other_language(text: str, options: OptionSet) -> Iterator[Claim]:
    """'Antwort: B', 'La respuesta correcta es B', '答案：B', '正解はB'."""
    if not may_say(text, _LATIN_STEMS):
        return
    starts = [match for match in _STATED.finditer(text) if not _NOT_STATED.search(match["words"])]
    if not text.isascii():
        for match in _CJK.finditer(text):
            if match["neg"] or text[max(0, match.start() - 2) : match.start()].endswith(("不", "非")):
                continue
            letter = letter_at(text, match.start("letter"), options)
            if letter is not None and not _CJK_REJECTED.match(text, match.end(), match.end() + 12):
                yield Claim(match.start(), letter, STRONG, "stated answer")
        starts += _CJK_TEXT.finditer(text)
    for match in starts:
        reading = asserted_at(text, match.end(), options)
        if reading is not None:
            yield Claim(match.start(), reading, STRONG, "stated answer")


Meanings = frozenset[str]

# By meaning (or meanings, joined by +) its names, with _ for a blank; the English ones are how options say it.
# Longer names win: '不可用' is not '可用'. Generic nouns, which most options and replies have, tell none from another,
# and fillers say nothing.
_GLOSSARY = Path(__file__).parent / "glossary.json"
_WORD_END = r"(?![^\W\d_])"
_LONGEST_NAME = 60


def _pattern(name: str) -> str:
    spelled = re.escape(name.replace("_", " ")).replace("\\ ", r"[\s\-]+")
    if not name[0].isascii() and not re.match("[À-ɏ]", name[0]):
        return spelled  # written without spaces
    # German compounds: 'Bewegungsartefakt' goes on after its first part.
    end = r"(?:s?(?=artefakt)|(?![^\W\d_]))" if name[0].isupper() else _WORD_END
    return rf"(?<![^\W\d_]){spelled}{end}"


def _key(name: str) -> str:
    return re.sub(r"[\s\-_]+", "_", name.lower())


@lru_cache(maxsize=1)
def _names() -> tuple[re.Pattern[str], dict[str, list[str]]]:
    glossary = json.loads(_GLOSSARY.read_text(encoding="utf-8"))
    table, others = glossary["meanings"], (glossary["generic"], glossary["filler"])
    meanings = {_key(name): meaning.split("+") for meaning, names in table.items() for name in names}
    cased = {name for names in (*table.values(), *others) for name in names}
    branches = "|".join(_pattern(name) for name in sorted(cased, key=lambda name: (-len(name), name)))
    # The second half of a compound stands inside a word: 'Bewegungsartefakt'.
    return re.compile(f"(?i){branches}|(?<=[a-zß])artefakte?{_WORD_END}"), meanings


def _named(text: str) -> Meanings:
    """The meanings of all names in a text, whatever stands between them."""
    pattern, meanings = _names()
    return frozenset(meaning for name in pattern.finditer(text) for meaning in meanings.get(_key(name[0]), ()))


def _meaning(text: str) -> Meanings | None:
    """What a text says, or None where it has a word that the glossary does not know."""
    return None if re.search(r"[^\W_]", _names()[0].sub("", text)) else _named(text)


@lru_cache(maxsize=1024)
def _option_meanings(texts: tuple[tuple[str, str], ...]) -> dict[str, Meanings | None]:
    return {letter: _meaning(text) for letter, text in texts}


def in_other_language(text: str, options: OptionSet) -> Reading | None:
    """A short reply that is one option's text in another language."""
    text = text.strip()
    if not text or options.yes is not None or "?" in text:
        return None
    if re.sub(r"[\W_]+", "", text).lower() in ("no", "without"):  # an answer to another question
        return None
    known = _option_meanings(tuple((letter, " ".join(words)) for letter, words in options.words.items()))
    meaning = _meaning(text) if len(text) <= _LONGEST_NAME else None
    letter = _match(meaning, known) if meaning else None
    return Reading(letter) if letter is not None else None


def _match(meaning: Meanings, known: dict[str, Meanings | None]) -> str | None:
    """The one option that means what was said; else the one that has it as a part."""
    letters = [letter for letter, own in known.items() if own == meaning]
    if not letters and "none" not in meaning:
        letters = [letter for letter, own in known.items() if own is not None and meaning < own]
    if not letters and all(own is not None and len(own) == 1 and own <= _GRADES for own in known.values()):
        # 'severe noise' where the options are grades
        letters = [letter for letter, own in known.items() if own == meaning & _GRADES]
    return letters[0] if len(letters) == 1 else None


_GRADES = frozenset({"none", "mild", "moderate", "severe"})
