"""Answers in other languages than English.

A stated letter is found like one in English (:func:`stated_in_other_language`). A model that is asked in English may
also answer '运动伪影' for 'Motion artifact': a short reply that consists of the common names of image degradations and
grades, and of nothing else than words like 'the image shows', is compared with the options by what the names mean, as a
whole or clause by clause ('A is B', 'not A but B', 'level: B'). The glossary (Chinese, Japanese, Korean, German,
French, Spanish) is small on purpose: a name with two meanings in this field is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from medqbench_vlmeval.answers.claims import STRONG, WEAK, Claim, asserted_at
from medqbench_vlmeval.answers.options import OptionSet, Reading, letter_at
from medqbench_vlmeval.answers.plain import may_say

_STATED = re.compile(
    r"(?i)(?:Antwort|Lösung|Respuesta|Réponse|Risposta|Resposta|Đáp án|Cevap|Odpowiedź|Jawaban|Antwoord|Svaret|Svar"
    r"|Vastaus|Răspuns(?:ul)?|Válasz"
    r"|Odpověď|Ответ|Відповідь|الإجابة|الاجابة|الجواب|उत्तर|คำตอบ|Απάντηση|תשובה)(?![^\W\d_])"
    r"(?P<words>[^.\n;?!:=]{0,40}?)(?:(?<![^\W_])(?:ist|lautet|es|est|é|è|é a|là|adalah|jest|är|is|este|هي|هو|है"
    r"|คือ)(?![^\W_])|[:=—]|\s-\s|(?=\s[(\[]?[A-Z](?![^\W_])))\s*"
)
# What begins the names in _STATED that are ASCII throughout.
_LATIN_STEMS = ("antwo", "respuesta", "risposta", "resposta", "cevap", "jawaban", "svar", "vastaus")
_NOT_STATED = re.compile(
    r"(?i)(?<![^\W_])(?:nicht|keinesfalls|no|não|non|n'est|n|pas|не|nie|niet|không|ليس|ليست|नहीं|δεν|nu|ikke|inte)(?![^\W_])"
)
_CJK = re.compile(
    r"(?P<neg>[不没非]\s*|排除\s*)?(?:答案|正解|解答|答え|回答|正确选项|最终选择|结论|정답|답변|답|答|选择|選擇|应选|故选|因此选|所以选|选|選|选项|選項|判断为|应为|認為是|认为是|應為)"
    r"[^\n。.;?A-Za-z]{0,12}?[\s(\[\"']*(?P<letter>[A-Z])(?![A-Za-z0-9])"
)
_CJK_TEXT = re.compile(r"(?:答案|正解|答え|正确选项|最终选择|结论|정답|答)\s*(?:应该|应当|应)?(?:是|为|為|は|은|:)+\s*")
_CJK_REJECTED = re.compile(r"\s*(?:选项|项)?(?:不|错|可以排除|被排除|では|じゃな|[가이은는]?\s*아[니닙닌])")
_CJK_ITEM = re.compile(
    r"(?<![A-Za-z])(?P<letter>[A-Z])\s*(?:选项|選項|项)?\s*(?:才是?|是)?(?:对的|对(?=[.,;]|\s*\Z)|正确|最合适|最符合|符合)"
)
_FITTING = re.compile(
    r"(?<![A-Za-z0-9])(?P<letter>[A-Z])[)\]\"']*\s*(?:[이가]\s*(?:더|가장|제일)?\s*(?:적절|적합|맞|정답|옳|올바|알맞)"
    r"|が(?:最も|一番)?(?:適切|正し|正解|妥当|適当))(?!\s*(?:하지 않|지 않|ではな|でな|くな))"
)


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
    for match in (*_CJK_ITEM.finditer(text), *_FITTING.finditer(text)) if not text.isascii() else ():
        if match["letter"] in options.letters:
            yield Claim(match.start(), Reading(match["letter"]), WEAK, "letter called right")


Meanings = frozenset[str]

# By meaning (or meanings, joined by +) its names, with _ for a blank; the English ones are how options say it.
# Longer names win: '不可用' is not '可用'. Generic nouns, which most options and replies have, tell none from another,
# and fillers say nothing.
_GLOSSARY = Path(__file__).parent / "glossary.json"
_WORD_END = r"(?![^\W\d_])"
_LONGEST_NAME = 60
_LONGEST_REPLY = 120


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
    if meaning and (letter := _match(meaning, known)) is not None:
        return Reading(letter)
    return _by_clauses(text, known)


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
_CLAUSES = re.compile(
    r"[,、;\n]|\.(?=\s|\Z)|(?=而是|而应)|(?<=ではなく)|(?<=でなく)|(?<=じゃなく)|(?<=아니라)|(?<=아니고)|(?<=없고)"
    r"|\b(?=sondern\b|sino\b|mais\b|ma\b|maar\b)"
)
# A clause that denies what it names.
_DENIES = re.compile(
    r"(?i)(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于|(?<![^\W_])(?:kein\w*|nicht|pas|aucune?|sans|ohne"
    r"|no es|no hay|sin|niet|geen|non è|não é)(?![^\W_]))|(?:ではな[くい]|でなく|じゃな[くい]|ではありません|ありません"
    r"|見られない|見られません|なし|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z"
)
_DENIAL_WORDS = re.compile(
    r"(?:图中|圖中|图像中|画面中|画面|图像|影像|该图|此图|这|並|也|并)*\s*"
    r"(?:不是|并非|並非|没有|沒有|未见|未見|无|無|看不到|不存在|并无|不属于)(?:明显的?|任何|出现)?"
    r"|(?<![^\W_])(?:(?:ce\s+)?n'est pas|no es|no hay|kein\w*|nicht|non è|não é|niet|geen|pas)(?![^\W_])"
    r"|(?:ではなく?い?|でなく|じゃなく?い?|ではありません|は?見られない|は?見られません|はありません|[가이은는]?\s*(?:아니라|아니고|아닙니다|아니며|없고|없습니다|없음|없다))\s*\Z"
)
_HEDGES = re.compile(
    r"(?i)\?|可能|或许|或許|也许|也許|或者|还是|還是|如果|若|假如|是否|吗|嗎|哪|什么|什麼|应避免|难以|難以|无法|無法|不确定|似乎不"
    r"|かもしれ|可能性|もし|か[。?]|아마|수도|만약|인지|(?<![^\W_])(?:vielleicht|oder|ou|o|wenn|falls|peut-être|quizás|puede"
    r"|könnte|pourrait|podría|si|möglich\w*|entweder|or|if|maybe|could|might|may)(?![^\W_])"
)
_FOREIGN = re.compile(
    r"(?i)\b(?:Grad|Schweregrad|nivel|niveau|gravedad|severidad|keine?|nicht|pas|ce|es|non|sondern|sino|ist|das|der|die|el|la|le|les|il|del|di|du)\b"
)
_COPULA = re.compile(
    r":|是|属于|屬於|呈现?(?:为)?|为|為|は|(?<![^\W_])(?:ist|est|es|è|é)(?![^\W_])|(?<=[\uac00-\ud7a3])[은는이가]\s"
)
_LONGEST_SUBJECT = 24
# A clause that gives the verdict, whatever the clauses beside it say.
_VERDICT = re.compile(
    r"(?:因此|所以|故)?(?:主要(?:是|为|问题)|属于|屬於|而是|判断为|应为|应判断为|主に)|sondern\b|sino\b"
)
_NOT_SO = re.compile(r"(?i)[不没沒未非]|(?<![^\W_])(?:nicht|no|pas|non|não|niet)(?![^\W_])|ない|않")


def _by_clauses(text: str, known: dict[str, Meanings | None]) -> Reading | None:
    """The one option that the clauses of a short reply affirm."""
    if len(text) > _LONGEST_REPLY or (text.isascii() and not _FOREIGN.search(text)) or _HEDGES.search(text):
        return None
    affirmed: set[str] = set()
    denied: set[str] = set()
    verdicts: set[str] = set()
    unclear = False
    for clause in map(str.strip, _CLAUSES.split(text)):
        if not re.search(r"[^\W_]", clause):
            continue
        meaning = _meaning(clause)
        letter = _match(meaning, known) if meaning is not None and "none" in meaning else None
        if _DENIES.search(clause) or (meaning is not None and "none" in meaning and letter is None):
            rest = _meaning(_DENIAL_WORDS.sub("", clause))
            if letter is not None and "none" in (known[letter] or ()):
                affirmed.add(letter)
            elif rest is not None:
                denied |= {other for other, own in known.items() if own and rest - {"none"} and own & rest}
            else:
                unclear = True
            continue
        letter = _affirmed(clause, known)
        if letter is not None:
            (verdicts if _VERDICT.match(clause) else affirmed).add(letter)
        elif any(own and own <= _named(clause) for own in known.values()):
            unclear = True
    if not verdicts and unclear:
        return None
    chosen = verdicts or affirmed
    return Reading(chosen.pop()) if len(chosen) == 1 and not chosen & denied else None


def _affirmed(clause: str, known: dict[str, Meanings | None]) -> str | None:
    whole = _meaning(clause)
    if whole and (letter := _match(whole, known)) is not None:
        return letter
    copulas = [copula for copula in _COPULA.finditer(clause) if copula.start() <= _LONGEST_SUBJECT]
    for copula in reversed(copulas):
        subject, meaning = clause[: copula.start()], _meaning(clause[copula.end() :])
        if not meaning:
            continue
        if _NOT_SO.search(subject):
            return None
        about = _named(subject)
        letter = _match(meaning | about, known) or _match(meaning, known)
        # A subject that is another option makes it hard to tell which of the two is meant.
        rivals = [other for other, own in known.items() if own and other != letter and own <= about]
        return letter if letter is not None and not rivals else None
    return None
