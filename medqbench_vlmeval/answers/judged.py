"""The option that a reply judges best in a sentence without a keyword ('Point A appears to be closer', 'Based on these
observations, (B) the third image fits best'). Models that explain themselves answer so, at the start or at the end, and
name the other options behind words of contrast or in sentences that only describe."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from medqbench_vlmeval.answers import mentions
from medqbench_vlmeval.answers.claims import CONDITION_CUES, hypothetical, negated, struck_out
from medqbench_vlmeval.answers.options import DISAGREE, SEVERAL, OptionSet, Reading, letter_of
from medqbench_vlmeval.answers.plain import any_of, sentence_spans

# What judges: comparatives, superlatives and words of choosing, fitting and concluding.
_JUDGES = re.compile(rf"(?i)\b(?:{any_of('judged judges')})\b|'d say\b")
_CONCLUDES = re.compile(rf"(?i)\A\W*(?:{any_of('judged concludes')})")
# Behind these, a sentence speaks of the other options.
_CONTRAST = re.compile(rf"(?i)[,;\s]\s*(?:{any_of('judged contrast')})\b")
_OF_OTHERS = re.compile(f"(?i){any_of('judged of others')}")
_CONCEDED = re.compile(
    rf"(?i)\A\W*(?:(?:so|but|and|however|therefore|thus|still),?\s+)?(?:{any_of('judged conceded')})\b[^,]{{0,160}},\s*"
)
# A sentence whose subject is an option only says what it shows.
_DESCRIBES = re.compile(
    r"(?i)\A[)\]\"']*(?:\s(?:image|picture|photo|scan|one|option))?,?\s*(?:also |only |simply |clearly |again "
    rf"|similarly |likewise |, like [^,]{{0,40}}, )*(?:{any_of('judged describes')})"
)
_JOINED = re.compile(r"(?i)\W{0,4}(?:and|or|as well as|nor|,|/)\W{0,3}(?:the |option |choice |image |point )?\W*")
_UNDECIDED = re.compile(rf"(?i)\b(?:{any_of('judged undecided')})\b")
# A conclusion that chooses nothing.
_NONE_CHOSEN = re.compile(rf"(?i)\b(?:{any_of('judged none chosen')})\b")
_REASON = re.compile(r"(?i)[,\s](?:because|since|as (?:it|they|both|the)|due to)\b")
# What an option is compared with.
_COMPARED = re.compile(r"(?i)\b(?:similar to|same as|like|unlike|than|compared (?:to|with)|from|over)\s+(?:the\s+)?\Z")
_ITEM = re.compile(r"\W{0,4}(?:(?i:option|choice)\s+)?[(\[]?[A-Z][)\].:]")
_LETTER = re.compile(
    r"(?<![A-Za-z0-9À-ɏ_])(?:[(\[]\s*(?:(?i:option|choice|answer)\s+)?(?P<bracketed>[A-Z])\s*[)\]]"
    r"|(?i:option|choice)\s+(?P<named>[A-Z])(?![A-Za-z0-9]))"
)

_SHORT = 100
_END = 300  # characters in which a reply takes its verdict back


@dataclass(frozen=True)
class _Naming:
    """A place where a sentence names an option; ``letter`` is None where a letter and a text disagree."""

    letter: str | None
    start: int
    end: int


@dataclass(frozen=True)
class _Verdict:
    """What one judging sentence names before any words of contrast."""

    reading: Reading
    start: int
    concludes: bool


def best_judged(text: str, options: OptionSet) -> Reading | None:
    """The option that the last concluding sentence judges best, else the first or the only one that is so judged."""
    if options.labels is None and len(text) < _SHORT:  # 'Noise could suggest a low dose.'
        return None
    names = list(_namings(text, options))
    if not names:
        return None
    verdicts = [verdict for span in _spans(text) if (verdict := _verdict(text, span, names)) is not None]
    if not verdicts:
        return None
    if concluding := [verdict for verdict in verdicts if verdict.concludes]:
        return concluding[-1].reading
    if mentions.refused(text[-_END:], options) == Reading(None, mentions.REFUSAL):
        return None
    if len(options.letters) > 2 and {verdict.reading.letter for verdict in verdicts} >= options.letters:
        return Reading(None, SEVERAL)  # each option is matched to something
    opening = not text[: verdicts[0].start].strip(" \n-*#>")
    if opening or len({verdict.reading for verdict in verdicts}) == 1:
        return verdicts[0].reading
    return None


def _spans(text: str) -> list[tuple[int, int]]:
    """Sentences; what a colon announces on the next line belongs to its sentence."""
    spans: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        announced = spans and text[: spans[-1][1]].endswith(":")
        line_end = text.find("\n", end)
        next_line = line_end if line_end >= 0 else len(text)
        if announced and not (_ITEM.match(text, start) and _ITEM.match(text, next_line)):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _verdict(text: str, span: tuple[int, int], names: list[_Naming]) -> _Verdict | None:
    start, end = span
    sentence = text[start:end]
    concludes = _CONCLUDES.match(sentence) is not None
    if sentence.rstrip().endswith("?") or _OF_OTHERS.match(sentence):
        return None
    if (conceded := _CONCEDED.match(sentence)) is not None:
        start += conceded.end()
    turns = (pattern.search(text, start + 12, end) for pattern in (_CONTRAST, _REASON))
    cut = min((turn.start() for turn in turns if turn is not None), default=end)
    if concludes and _NONE_CHOSEN.search(text, start, cut):
        return _Verdict(Reading(None, SEVERAL), start, True)
    if _UNDECIDED.search(text, start, cut) or (not concludes and _JUDGES.search(text, start, end) is None):
        return None
    named = [name for name in names if start <= name.start < cut and not _COMPARED.search(text, start, name.start)]
    if not named:
        return None
    letters = {name.letter for name in named}
    if len(letters) == 1:
        describes = _DESCRIBES.match(text[named[0].end : end]) is not None
        if describes and not (concludes and _JUDGES.search(text, start, end)):
            return None
        if named[0].letter is None:
            return _Verdict(Reading(None, DISAGREE), start, concludes)
        if CONDITION_CUES.search(sentence) and hypothetical(text, named[0].start):
            return None
        return _Verdict(Reading(named[0].letter), start, concludes)
    pairs = itertools.pairwise(named)
    if any(a.letter != b.letter and _JOINED.fullmatch(text[a.end : b.start]) for a, b in pairs):
        return _Verdict(Reading(None, SEVERAL), start, concludes)
    return None


def _namings(text: str, options: OptionSet) -> Iterator[_Naming]:
    """Options that are named by letter or text and not denied; a letter beside a text is one naming."""
    judged = {mention.start: mention.affirmed for mention in mentions.find(text, options)}
    spots = [(m.start(), m.end(), letter_of(m), judged.get(m.start()) is False) for m in options.mention.finditer(text)]
    spots += [(m.start(), m.end(), m["option"], False) for m in options.labelled(text)]
    texts = sorted(spots)
    letters = [
        (m.start(), m.end(), m["bracketed"] or m["named"])
        for m in _LETTER.finditer(text)
        if (m["bracketed"] or m["named"]) in options.letters
    ]
    taken = set()
    for start, end, letter in letters:
        beside = next(
            (
                spot
                for spot in texts
                if (0 <= spot[0] - end <= 5 and not text[end : spot[0]].strip(" .:-*,\"'the"))
                or (0 <= start - spot[1] <= 2 and not text[spot[1] : start].strip())
            ),
            None,
        )
        denied = negated(text, start) or struck_out(text, end)
        if beside is not None:
            taken.add(beside)
            denied |= beside[3]
            first, last = min(start, beside[0]), max(end, beside[1])
            if not denied:
                yield _Naming(letter if letter == beside[2] else None, first, last)
        elif not denied:
            yield _Naming(letter, start, end)
    for spot in texts:
        if spot not in taken and not spot[3]:
            yield _Naming(spot[2], spot[0], spot[1])
