"""Repetitions of the question's options, which are no answers."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from medqbench_vlmeval.answers.optionset import OptionSet, mentioned
from medqbench_vlmeval.answers.payload import own_text_at

ITEM = re.compile(r"(?<![A-Za-z0-9À-ɏ_'/\-])[(\[]?([A-Z])(?![A-Za-z0-9À-ɏ_'])[)\]]?[ \t]*[.:)\-]?")


_HEADING = re.compile(
    r"^[ \t]*(?P<mark>[-•·]|\d{1,2}[.)])?[ \t]*(?:option[ \t]+)?(?:[(\[]?(?P<letter>[A-Z])(?=[)\].:\- ]))?",
    re.MULTILINE | re.IGNORECASE,
)


def without_listing(text: str, options: OptionSet) -> tuple[str, bool]:
    """The text without a repetition of the whole question's options, and whether one was found."""
    wanted = sorted(options.letters)
    if len(wanted) < 2:
        return text, False
    items = []
    for item in ITEM.finditer(text):
        if item[1] in options.letters and is_item(text, item, options):
            items.append(item)
    parts, position = [], 0
    first = 0
    while first + len(wanted) <= len(items):
        run = items[first : first + len(wanted)]
        if not _is_listing(text, run, wanted, options):
            first += 1
            continue
        parts.append(text[position : run[0].start()])
        position = _end_of_item(text, run[-1], options)
        first += len(wanted)
    if len(parts) > 2:  # a loop: what is left over is a piece of one more listing
        return "", True
    return ("\n".join([*parts, text[position:]]), True) if parts else (text, False)


def question_above(text: str, options: OptionSet) -> int | None:
    """Where a question with a list of all options starts, if the reply has one below other text.

    Such a question may be made up: what stands above it is the answer, if it holds one.
    """
    wanted = sorted(options.letters)
    items = [item for item in ITEM.finditer(text) if item[1] in options.letters and is_item(text, item, options)]
    for first in range(len(items) - len(wanted) + 1):
        run = items[first : first + len(wanted)]
        if len(wanted) > 1 and _is_listing(text, run, wanted, options):
            above = text[: run[0].start()].rstrip(" \t\n-*([")
            start = above.rfind("\n") + 1
            if above.endswith(("?", ":")) and "?" in above[start:] and text[:start].strip():
                return start
    return None


@dataclass(frozen=True)
class Enumeration:
    """Options that are taken one by one, in their order: the span of the whole and of the items' headings."""

    start: int
    end: int
    headings: tuple[tuple[int, int], ...]
    letters: frozenset[str]

    def heads(self, position: int) -> bool:
        """Whether ``position`` lies in an item's heading, or before the first one."""
        return position < self.start or any(start <= position < end for start, end in self.headings)


def enumeration(text: str, options: OptionSet) -> Enumeration | None:
    """Two or more options in the order of the question, each on a line of its own ('A. Noise: grain is ...')."""
    wanted = sorted(options.letters)
    found: list[tuple[int, int, str]] = []
    for line in _HEADING.finditer(text):
        item = _heading(text, line, options)
        if item is None and len(found) > 1 and line["letter"] in wanted and text[line.end() : line.end() + 1] in ".):":
            item = line["letter"], line.end() + 1  # one more item, in other words than the option's
        if item is None:
            continue
        letter, end = item
        place = wanted.index(letter)
        if found and place == wanted.index(found[-1][2]) + 1:
            found.append((line.start(), end, letter))
        elif len(found) < 2 and place == 0:
            found = [(line.start(), end, letter)]
        elif len(found) >= 2:
            break
    if len(found) < 2:
        return None
    return Enumeration(
        start=found[0][0],
        end=_end_of_enumeration(text, found),
        headings=tuple((start, end) for start, end, _ in found),
        letters=frozenset(letter for _, _, letter in found),
    )


def _heading(text: str, line: re.Match[str], options: OptionSet) -> tuple[str, int] | None:
    letter = line["letter"]
    if letter is not None and letter in options.letters:
        if own_text_at(text, line.end("letter"), options) != letter:
            return None
        rest = text[line.end("letter") : line.end("letter") + 4]
        reach = line.end("letter") + 120
        named = options.mention.search(text, line.end("letter"), reach) if options.mention is not None else None
        near = named is not None and named.start() - line.end("letter") <= len(rest) and mentioned(named) == letter
        return letter, named.end() if near and named is not None else line.end()
    if options.mention is None or line["mark"] is None:
        return None
    named = options.mention.match(text, line.end())
    if named is None or not re.match(r"\s*(?::|\([^()\n]{1,30}\)\s*:|\s-\s)", text[named.end() : named.end() + 40]):
        return None
    return mentioned(named), named.end()


def _end_of_enumeration(text: str, found: list[tuple[int, int, str]]) -> int:
    """The end of the last item, which has as many lines as the shortest of the others."""
    bodies = [text[a[1] : b[0]].strip().count("\n") for a, b in itertools.pairwise(found)]
    lines, position = min(bodies), found[-1][1]
    for _ in range(lines + 1):
        end = re.compile(r"\n\s*").search(text, position)
        if end is None:
            return len(text)
        position = end.end()
    return position


def _is_listing(text: str, run: list[re.Match[str]], wanted: list[str], options: OptionSet) -> bool:
    if [item[1] for item in run] != wanted or run[-1].end() - run[0].start() > 600:
        return False
    gaps = [text[_end_of_item(text, a, options) : b.start()] for a, b in itertools.pairwise(run)]
    return all(len(gap.strip(" \t\n-•*,;|.:()[]\"'")) == 0 or gap.strip(" ,") in ("and", "or") for gap in gaps)


def is_item(text: str, item: re.Match[str], options: OptionSet) -> bool:
    if own_text_at(text, item.end(1), options) == item[1]:
        return True
    word = text[item.end() : item.end() + 60].lower().split("\n")[0].strip(" .*()")
    return bool(word) and word.startswith(" ".join(options.words[item[1]])) and word[:1].isalnum()


def _end_of_item(text: str, item: re.Match[str], options: OptionSet) -> int:
    if options.mention is not None:
        start = item.end()
        while start < len(text) and text[start] in " \t.:)-\"'(":
            start += 1
        found = options.mention.match(text, start)
        if found is not None and mentioned(found) == item[1]:
            return found.end()
    words = options.words[item[1]]
    tail = re.compile(r"[\W_]{0,4}" + r"[\W_]{1,3}".join(map(re.escape, words)), re.IGNORECASE).match(text, item.end())
    return tail.end() if tail else item.end()
