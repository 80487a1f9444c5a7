"""Answers that are stated in other languages than English."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medqbench_vlmeval.answers.claim import STRONG, WEAK, Claim, rejected
from medqbench_vlmeval.answers.cleaning import may_say
from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import Reading, letter_at, read

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
