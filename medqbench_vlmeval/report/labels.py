"""What a run is called where room is short: one line, distinct from the other runs', cut in its middle."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from medqbench_vlmeval.report.rows import data_hash
from medqbench_vlmeval.report.runs import RunPart
from medqbench_vlmeval.report.text import REPLACEMENT, terminal_text

_CUT = "…"
# XML, and so an SVG, has no way to write these two.
_NO_CHARACTERS = re.compile("[\ufffe\uffff]")
_HASH = 8
# What tells two runs of one model apart, the plainest first.
_FACTS: Sequence[Callable[[RunPart], object]] = (
    lambda part: part.dataset,
    lambda part: part.setting("judge", "name"),
    lambda part: part.setting("protocol", "name"),
    lambda part: part.setting("prompt", "style"),
    lambda part: (data_hash(part) or "").removeprefix("samples:")[:_HASH],
    lambda part: f"n={part.n}",
    lambda part: part.settings.get("created"),
)


def run_labels(parts: Sequence[RunPart], limit: int = 34) -> list[str]:
    """A label a run, all different, each at most ``limit`` wide (see :func:`shortened`) but for what sets it apart.

    Runs of one model are told apart by their dataset, judge, protocol, prompt style, data, size or date, whichever
    differs first, and by a number where nothing does.
    """
    names = [one_line(part.model) or "unnamed" for part in parts]
    short = dict(zip(dict.fromkeys(names), _shortened_apart(list(dict.fromkeys(names)), limit), strict=True))
    labels: list[str] = []
    for part, name in zip(parts, names, strict=True):
        others = [other for other, same in zip(parts, names, strict=True) if same == name]
        said = _apart(part, others) if len(others) > 1 else None
        label = f"{short[name]} ({said})" if said else short[name]
        labels.append(next(one for one in _numbered(label) if one not in labels))
    return labels


def shortened(name: str, limit: int) -> str:
    """``name`` in at most ``limit`` columns: the middle goes, since families differ in front and versions at the end.

    A character of an East Asian script takes two columns, one that combines with its neighbour none.
    """
    if _columns(name) <= limit:
        return name
    room = limit - 1
    tail = _first(name[::-1], room * 3 // 5)[::-1]
    # A mark without its letter would sit on the cut.
    while tail and unicodedata.combining(tail[0]):
        tail = tail[1:]
    return f"{_first(name, room - _columns(tail))}{_CUT}{tail}"


def one_line(name: str) -> str:
    """``name`` with blanks run together and without characters that move or hide what stands beside them."""
    return _NO_CHARACTERS.sub(REPLACEMENT, terminal_text(" ".join(name.split())))


def _shortened_apart(names: Sequence[str], limit: int) -> list[str]:
    """Different names shortened to different labels; where a cut would make two alike, it stands further back."""
    labels: list[str] = []
    for name in names:
        wider = (shortened(name, room) for room in (limit, limit + 8))
        labels.append(next((one for one in wider if one not in labels), None) or _free(shortened(name, limit), labels))
    return labels


def _free(label: str, taken: Sequence[str]) -> str:
    return next(one for one in _numbered(label) if one not in taken)


def _numbered(label: str) -> Iterator[str]:
    yield label
    count = 1
    while True:
        count += 1
        yield f"{label} #{count}"


def _apart(part: RunPart, others: Sequence[RunPart]) -> str | None:
    for fact in _FACTS:
        found = fact(part)
        if found and len({fact(other) for other in others}) > 1:
            return shortened(one_line(str(found)), 28)
    return None


def _columns(text: str) -> int:
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _first(text: str, columns: int) -> str:
    used, end = 0, 0
    for character in text:
        used += _width(character)
        if used > columns:
            break
        end += 1
    return text[:end]
