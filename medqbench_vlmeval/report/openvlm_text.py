"""Changing one member of a JSON object in a text, and no other byte of it.

A leaderboard file is shared: its key order, number formats, indentation and line ends are its owner's. The text
is therefore cut at the member that changes and put together again, in the style that it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SPACE = " \t\n\r"
# Control characters inside strings are the owner's affair.
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Member:
    """One ``"key": value`` of an object; the positions are those of the key's first and the value's two ends."""

    key: str
    key_start: int
    start: int
    end: int


@dataclass(frozen=True)
class Style:
    """How a file is laid out: ``unit`` is one level of indentation, None where everything stands on one line."""

    unit: str | None
    newline: str
    item: str
    colon: str
    ascii_only: bool


def members_of(text: str, start: int) -> list[Member]:
    """The members of the object that begins at ``start``.

    Raises:
        ValueError: there is no object there.
    """
    position = _skip(text, start)
    if text[position : position + 1] != "{":
        raise ValueError("not an object")
    position = _skip(text, position + 1)
    found: list[Member] = []
    while text[position] != "}":
        key, after = _DECODER.raw_decode(text, position)
        value_at = _skip(text, _skip(text, after) + 1)
        _, end = _DECODER.raw_decode(text, value_at)
        found.append(Member(key, position, value_at, end))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def with_value(text: str, path: Sequence[str], value: Any) -> str:
    """``text``, a JSON object, with ``value`` at ``path``; a key that is not there becomes the last of its object.

    Objects on the way that are missing are made. All other characters stay as they are.

    Raises:
        ValueError: ``text`` is not a JSON object, or something on the way is none.
        LookupError: a key on the way stands in its object twice, so that it is not known which one is meant.
    """
    style = style_of(text)
    at = _skip(text, 0)
    for depth, key in enumerate(path):
        members = members_of(text, at)
        same = [member for member in members if member.key == key]
        if len(same) > 1:
            raise LookupError(key)
        if same:
            at = same[0].start
            if depth == len(path) - 1:
                return text[:at] + written(value, style, depth + 1) + text[same[0].end :]
            continue
        for inner in reversed(path[depth + 1 :]):
            value = {inner: value}
        return _inserted(text, at, members, key, value, style, depth)
    raise ValueError("no path")


def written(value: Any, style: Style, depth: int) -> str:
    """``value`` as it stands ``depth`` levels deep in a file of that style."""
    if style.unit is None:
        return json.dumps(value, ensure_ascii=style.ascii_only, separators=(style.item, style.colon), allow_nan=False)
    separators = (",", style.colon)
    lines = json.dumps(
        value, ensure_ascii=style.ascii_only, indent=style.unit, separators=separators, allow_nan=False
    ).split("\n")
    return f"{style.newline}{style.unit * depth}".join(lines)


def style_of(text: str) -> Style:
    """The style of a JSON object, told from its first member; an empty object gets four spaces."""
    newline = "\r\n" if "\r\n" in text else "\n"
    ascii_only = text.isascii()
    start = _skip(text, 0)
    members = members_of(text, start)
    if not members:
        return Style("    ", newline, ",", ": ", False)
    first = members[0]
    gap = text[start + 1 : first.key_start]
    after_key = text.index(":", _DECODER.raw_decode(text, first.key_start)[1])
    colon = ":" + text[after_key + 1 : first.start]
    colon = ":" if colon == ":" else ": "
    if "\n" in gap or "\r" in gap:
        return Style(gap.replace("\r", "").rsplit("\n", 1)[-1], newline, ",", colon, ascii_only)
    return Style(None, newline, ", " if colon == ": " else ",", colon, ascii_only)


def _inserted(text: str, start: int, members: Sequence[Member], key: str, value: Any, style: Style, depth: int) -> str:
    member = json.dumps(key, ensure_ascii=style.ascii_only) + style.colon + written(value, style, depth + 1)
    gap = "" if style.unit is None else f"{style.newline}{style.unit * (depth + 1)}"
    if members:
        end = members[-1].end
        between = style.item if style.unit is None else ","
        return f"{text[:end]}{between}{gap}{member}{text[end:]}"
    closing = "" if style.unit is None else f"{style.newline}{style.unit * depth}"
    end = text.index("}", start)
    return f"{text[:start]}{{{gap}{member}{closing}{text[end:]}"


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _SPACE:
        position += 1
    return position
