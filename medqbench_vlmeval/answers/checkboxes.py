"""Lists of boxes, of which one is ticked: '- [ ] A / - [x] B', '☐ Good ☑ Usable', 'A ( ) / B (x)'."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medqbench_vlmeval.answers.optionset import OptionSet
from medqbench_vlmeval.answers.payload import DISAGREE, SEVERAL, Reading, own_text_at, read_whole

_MARK = re.compile(
    r"(?P<box>[\[(]\s*[xXvV✓✔√☑☒✅]\s*[\])]|[☑☒🗹🗸])|(?P<tick>[✅✔✓●◉🔘])"
    r"|(?P<empty>\[\s?\]|\(\s\)|[\[(]\s*[✗✘❌]\s*[\])]|[☐□⬜◻▢🔲○◯⚪❌✗✘])"
)
_LETTER = re.compile(r"(?:option\s+|choice\s+)?[(\[]?([A-Z])(?=[)\].:,]|\s*\Z|\s+-|\s*\()")
_BULLET = re.compile(r"(?:[-•·*>]|\d{1,2}[.)])\s*")
_NO_BOX = "○◯⚪❌✗✘"  # empty only beside others: a circle alone may mean 'right', a cross belongs to a remark
_MOST_MARKS = 40
_AROUND = " \t-•*:;,|.→"


@dataclass(frozen=True)
class BoxList:
    """A list of boxes from ``start`` to ``end`` and what its ticks say (no letter where not just one is ticked)."""

    start: int
    end: int
    reading: Reading


def box_list(text: str, options: OptionSet) -> BoxList | None:
    """The boxes in ``text`` that stand beside options, if there are two or more, or one that is
    ticked at the start; one pass over the marks."""
    if text.isascii() and "[" not in text and "(" not in text:
        return None
    if not 1 <= sum(1 for _ in _MARK.finditer(text)) <= _MOST_MARKS:
        return None
    ticked: set[str] = set()
    empty: set[str] = set()
    proper, at_odds = False, False
    start, end = len(text), 0
    for line in re.finditer(r"[^\n]+", text):
        for mark, label in _labelled(line[0], options):
            reading = _label(label, options)
            if reading is None:
                continue
            start, end = min(start, line.start()), line.end()
            if reading.letter is None:
                at_odds = at_odds or mark["empty"] is None
                proper = proper or mark["box"] is not None
            elif mark["empty"] is not None:
                empty.add(reading.letter)
                proper = proper or mark["empty"] not in _NO_BOX
            else:
                ticked.add(reading.letter)
                proper = proper or mark["box"] is not None
    # Ticks without any box may be bullets of the reasons for an answer above them.
    alone = not text[:start].strip()
    if len(ticked | empty) < 2 and not ((ticked or at_odds) and proper and alone):
        return None
    if not proper and not (ticked and (empty or alone)):
        return None
    if at_odds:
        return BoxList(start, end, Reading(None, DISAGREE))
    if len(ticked) == 1 and not ticked & empty:
        return BoxList(start, end, Reading(next(iter(ticked))))
    return BoxList(start, end, Reading(None, SEVERAL if ticked else "options listed"))


def _labelled(line: str, options: OptionSet) -> list[tuple[re.Match[str], str]]:
    """The marks of a line, each with the words beside it: behind it, or before it where the line begins with them."""
    marks = list(_MARK.finditer(line))
    if not marks or len(marks) > 2 * len(options.letters):
        return []
    first = _BULLET.sub("", line[: marks[0].start()].strip(), count=1)
    if first and _label(first, options) is not None:
        starts = [0, *(mark.end() for mark in marks)]
        behind = zip(marks, starts, strict=False)
        return [(mark, line[begin : mark.start()]) for mark, begin in behind if mark[0] not in _NO_BOX]
    ends = [*(mark.start() for mark in marks[1:]), len(line)]
    return [(mark, line[mark.end() : stop]) for mark, stop in zip(marks, ends, strict=True)]


def _label(words: str, options: OptionSet) -> Reading | None:
    words = _BULLET.sub("", words.strip(" \t"), count=1).strip(_AROUND)
    found = _LETTER.match(words)
    if found is not None and found[1] in options.letters:
        own = own_text_at(words, found.end(), options)
        return Reading(found[1]) if own in (None, found[1]) else Reading(None, DISAGREE)
    own = own_text_at(words, 0, options) if words else None
    return Reading(own) if own is not None else read_whole(words, options)
