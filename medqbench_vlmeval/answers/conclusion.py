"""The conclusion that a description states: a quality level, or which of two images is better."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqbench_vlmeval.answers.plain import any_of, description_sentences, ends_of
from medqbench_vlmeval.benchmark import QUALITY_LEVELS, Task

_NOUN = r"(?:image|picture|scan|photo(?:graph)?|slide|frame|figure|img|panel)"
_ORDINAL = r"first|1st|second|2nd|left|right|former|latter"
_REFERENCE = re.compile(
    rf"(?i)\b(?:the )?(?P<ordinal>{_ORDINAL})(?:[- ](?:hand|side)){{0,2}} (?:{_NOUN}|one)\b"
    rf"|\bthe (?P<alone>first|second|former|latter)\b(?! (?:half|place|glance|look|row|part|and))"
    rf"|\b{_NOUN} on the (?P<side>left|right)\b"
    rf"|\b{_NOUN}s? ?(?:#|no\.? ?|number )?\(?(?P<number>1|2|one|two|ii|i|a|b)\b(?!\.\d)"
)
# A bare letter is a name only as a capital in front of a verb or behind a label: 'A is sharper', 'Answer: B'.
_LETTER = re.compile(
    r"\b(?P<letter>[AB])\b(?= (?:is|has|shows|exhibits|appears|looks|wins|displays|outperforms)\b|\s?[<>])"
    r"|(?<=[:<>] )(?P<named>[AB])\b(?!\s[a-z])"
)
_FIRST = frozenset({"first", "1st", "left", "former", "1", "one", "i", "a"})
SAME = "same"


def image_references(sentence: str) -> list[tuple[int, int, int]]:
    """Mentions of the first or the second image: (start, end, 1 or 2), in the order of the text."""
    references = []
    for match in [*_REFERENCE.finditer(sentence), *_LETTER.finditer(sentence)]:
        name = next(group for group in match.groups() if group).lower()
        references.append((match.start(), match.end(), 1 if name in _FIRST else 2))
    return sorted(references)


_LEVELS = {level: any_of(f"conclusion {level}") for level in QUALITY_LEVELS}
_LEVEL = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in _LEVELS.items()), re.IGNORECASE)
# Words between 'quality is' and the level. What is not here ('affected by low contrast') leads to no level.
_BETWEEN = f"(?:(?:{any_of('conclusion between')})|(?P<negated>{any_of('conclusion negated')}))"
_ANCHORED = re.compile(
    r"(?i)\bquality\b(?:[^.!?:]{0,60}?)(?:\bis\b|\bas\b|\bbe\b|\bremains?\b|\bappears?\b|\bseems?\b|:|=|-)\s*"
    rf"(?:{_BETWEEN}[\s,:]+){{0,8}}\(?(?=(?P<level>[a-z-]+))"
)
_BEFORE_QUALITY = re.compile(
    rf"(?i)(?P<negated>\b(?:not|isn't|never)\b[^.!?,]{{0,20}})?(?:{_LEVEL.pattern})[\s-]"
    r"(?:overall |image |diagnostic |visual )?quality\b"
)
_IMAGE_IS = re.compile(
    r"(?i)\b(?:image|scan|picture|slide|photo(?:graph)?|it)\b\s+"
    r"(?=is|are|should|can|must|would|may|remains?|appears?|cannot|isn't)"
    rf"(?:{_BETWEEN}[\s,:]*\s){{1,8}}(?=(?P<level>[a-z-]+))"
)
_REJECTING = re.compile(
    r"(?i)\b(?P<negated>not |don't |never )?(?:reject|discard) (?:this|the) (?:image|scan|slide|picture)"
)
_RATED = re.compile(
    r"(?i)\b(?:rate|grade|judge|classify|consider|deem|call|label)d?\s(?:this|the)\s(?:image|scan|picture|slide)\s"
    r"(?:(?:as|to be|an?)\s){0,2}(?=(?P<level>[a-z-]+))"
)
_WORDS = "|".join(_LEVELS.values())
_NEITHER = re.compile(rf"(?i)\bneither (?P<one>{_WORDS}) nor (?P<other>{_WORDS})\b")
_ALONE = re.compile(rf"(?i)(?:(?:{any_of('conclusion alone')})[\s,:.=–—-]*){{0,4}}(?:{_LEVEL.pattern})[\s.!)]*")
_NEXT_LEVEL = re.compile(rf"(?i)\s?(?:/|,|or|to|and)\s?(?:/|or|and)?\s?(?:{_LEVEL.pattern})")
# 'low contrast' behind 'the quality is': the word is about a property and not the level.
_OTHER_NOUN = re.compile(rf"(?i)^\s(?!quality|image|level|overall)(?:[a-z]+\s)?(?:{any_of('conclusion other noun')})\b")

_BETTER = re.compile(rf"(?i)\b(?:{any_of('conclusion better')})\b|>")
_WORSE = re.compile(rf"(?i)\b(?:{any_of('conclusion worse')})\b|<")
# These say all by themselves; the adjectives above may be about a property ('better contrast').
_CHOOSES = re.compile(rf"(?i)\b(?:{any_of('conclusion chooses')})\b")
_QUALITY_NEXT = re.compile(
    rf"(?i)^[\s,]*(?:(?:in|of)\b\s?)?(?:the |its )?(?:{any_of('conclusion quality next')}){{0,3}}"
    rf"(?:{any_of('conclusion after better')})"
)
_SAME = re.compile(rf"(?i)\b(?:{any_of('conclusion same')})\b")
_NOT = re.compile(r"(?i)(?:\b(?:not|never|no|isn't|doesn't|hardly)\b|n't)(?:\s[a-z]+){0,3}\s$")
_OBJECT = re.compile(rf"(?i)\b(?:{any_of('conclusion object')})\s(?:the\s|that of\s|that in\s)*$")
_LABEL_ONLY = re.compile(
    r"(?i)^(?:[^:]{0,60}:)?\s?(?:(?:therefore|thus|so|overall|hence|answer|conclusion|it is|it's)[\s,]+){0,2}"
    r"(?:the\s)?$"
)


def quality_level(text: str) -> str | None:
    """The level that a description ends on: 'reject', 'usable' or 'good'; None where none is stated. A sentence about
    the quality itself wins over one about the image, and that over a lone word; within a kind the last statement wins.
    'good/usable/reject' repeats the instruction and states nothing. 'not good' and 'not usable' are reject, 'not poor'
    and 'not excellent' usable."""
    by_rank: dict[int, str] = {}
    for sentence in description_sentences(text):
        if not sentence.endswith("?"):
            by_rank.update(_levels_in(sentence))
    return by_rank[min(by_rank)] if by_rank else None


def preference(text: str) -> int | str | None:
    """Which image a comparison prefers: 1, 2 or 'same'; None where that is not stated. The last statement wins."""
    for sentence in reversed(description_sentences(text)):
        if not sentence.endswith("?") and (preferred := _preference_in(sentence)) is not None:
            return preferred
    return None


def conclusion_of(task: Task, text: str) -> str | int | None:
    """What a text of a task concludes: a level, or an image or 'same' of a pair; None where none can be read."""
    text = ends_of(text)
    return preference(text) if task is Task.COMPARATIVE else quality_level(text)


def steps_apart(task: Task, conclusion: str | int | None, other: str | int | None) -> int:
    """Steps between two conclusions, 0-2; a missing one is no contradiction. Pairs agree or do not."""
    if conclusion is None or other is None or conclusion == other:
        return 0
    if task is Task.COMPARATIVE:
        return 2
    return abs(QUALITY_LEVELS.index(str(conclusion)) - QUALITY_LEVELS.index(str(other)))


def _levels_in(sentence: str) -> Iterator[tuple[int, str]]:
    """Statements of a level with their rank (0 is the clearest)."""
    if neither := _NEITHER.search(sentence):
        named = {_name(match) for part in ("one", "other") if (match := _LEVEL.match(neither[part]))}
        left = [level for level in _LEVELS if level not in named]
        if len(left) == 1:
            yield 0, left[0]
        return
    for rank, pattern in ((1, _RATED), (0, _ANCHORED), (1, _IMAGE_IS)):
        for match in pattern.finditer(sentence):
            negated = pattern is not _RATED and match["negated"] is not None
            if level := _level_at(sentence, match.start("level"), negated):
                yield rank, level
    for match in _BEFORE_QUALITY.finditer(sentence):
        if not _is_choice(sentence, match.end(), _name(match)):
            yield 1, _negated(_name(match)) if match["negated"] else _name(match)
    for match in _REJECTING.finditer(sentence):
        yield 1, "usable" if match["negated"] else "reject"
    if alone := _ALONE.fullmatch(sentence):
        yield 2, _name(alone)


def _level_at(sentence: str, at: int, negated: bool) -> str | None:
    match = _LEVEL.match(sentence, at)
    if match is None or _is_choice(sentence, match.end(), _name(match)) or _OTHER_NOUN.match(sentence[match.end() :]):
        return None
    return _negated(_name(match)) if negated else _name(match)


def _is_choice(sentence: str, end: int, level: str) -> bool:
    """Whether another level follows at once: 'good/usable/reject', 'usable to good'."""
    other = _NEXT_LEVEL.match(sentence, end)
    return other is not None and _name(other) != level


def _name(match: re.Match[str]) -> str:
    return next(name for name in _LEVELS if match[name])


def _negated(level: str) -> str:
    return "usable" if level == "reject" else "reject"


def _preference_in(sentence: str) -> int | str | None:
    references = image_references(sentence)
    signs = [
        (match.start(), match.end(), sign)
        for pattern, sign in ((_BETTER, 1), (_WORSE, -1), (_CHOOSES, 1))
        for match in pattern.finditer(sentence)
        if pattern is _CHOOSES or match[0] in "<>" or _QUALITY_NEXT.match(sentence[match.end() :])
    ]
    for start, end, sign in sorted(signs, reverse=True):
        subject = _subject(sentence, references, start, end)
        if subject is not None:
            turned = -sign if _NOT.search(sentence[:start]) else sign
            return subject if turned > 0 else 3 - subject
    if _SAME.search(sentence) and re.search(r"(?i)\b(?:quality|good|better|preference|winner)\b", sentence):
        return SAME
    # 'Conclusion: the second image.'
    if len(references) == 1 and _LABEL_ONLY.match(sentence[: references[0][0]]):
        return references[0][2] if not sentence[references[0][1] :].strip(" .!)") else None
    return None


def _subject(sentence: str, references: Sequence[tuple[int, int, int]], start: int, end: int) -> int | None:
    """The image that a 'better' or 'worse' speaks of: the nearest before it that is no 'than ...', else the next."""
    for at, _, image in reversed(references):
        if at < start and not _OBJECT.search(sentence[:at]):
            return image
    for at, _, image in references:
        if at >= end:
            return 3 - image if _OBJECT.search(sentence[:at]) else image
    return None
