"""Texts from outside made safe to stand between a prompt's tags.

What a careless reader could take for the end of a region, for a new one, for a turn of a chat template or for
a thought is taken apart. It is looked for in the text's view: lower case, accents and styles gone, letters and signs
of other scripts as the ones that they look like, entities and escapes decoded. Text that is none of these stays as
it is.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Format and control characters that no text needs: soft hyphen, zero-width, bidirectional, fillers, variation
# selectors, the tag block (some models read it as ASCII), C0 and C1 without tab and line ends.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Letters of other scripts, and signs, that look like the ones that tags are made of.
_LOOK_ALIKES = {
    **dict(zip("асԁеіхтгпиκαεινορτχςϲ", "acdeixtrnnkaeinoptxcc", strict=True)),
    **dict(zip("ոɑɩıⲥⲁⲛⲇⲓⲧⲉꓚꓮꓠꓓꓲꓔꓰꓣꓝ", "naiicanditecanditerf", strict=True)),
    **dict(zip("ꮯꭺꭰꭲꭼꮁᎥ", "cadterı", strict=True)),
    **dict.fromkeys("‹〈⟨«《⟪❮❬❰⦑⧼≺≪⋖˂ᐸᑉ◁◀⊲", "<"),
    **dict.fromkeys("›〉⟩»》⟫❯❭❱⦒⧽≻≫⋗˃ᐳ▷▶⊳", ">"),
    **dict.fromkeys("⁄∕⧸╱⟋⫽", "/"),
    **dict.fromkeys("⧵∖╲⟍", "\\"),
    **dict.fromkeys("∣ǀ│┃", "|"),
}
# 'ƈ', 'ᴄ', 'ɛ', '🅲' and '🇨' have no decomposition, but the letter in their names.
_NAMED_LETTER = re.compile(
    r"(?:LATIN(?: SMALL| CAPITAL)? LETTER|(?:NEGATIVE (?:SQUARED|CIRCLED)|SQUARED|CIRCLED) LATIN CAPITAL LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER)(?: SMALL CAPITAL| OPEN| TURNED| REVERSED| DOTLESS)? ([A-Z])(?: WITH .*)?"
)
_HIDDEN = "\0"
_LAST_ASCII = "\x7f"
_LAST_CODE = 0x10FFFF

# Entities and escapes, also escaped once more.
_ESCAPE = re.compile(
    r"&(?:amp;){0,9}(?P<entity>#x[0-9a-f]{1,8}|#[0-9]{1,8}|[a-z]{2,24});?|%(?:25){0,9}(?P<percent>[0-9a-f]{2})"
    r"|\\{1,9}(?:u\{(?P<braced>[0-9a-f]{1,8})\}|(?-i:U)(?P<long>[0-9a-f]{8})|u(?P<short>[0-9a-f]{4})"
    r"|x(?P<hex>[0-9a-f]{2})|(?P<octal>[0-7]{3}))",
    re.IGNORECASE,
)


def _spread(word: str) -> str:
    """A pattern of the word that marks between its letters, or one blank, do not hide."""
    return r"\0*(?:\s\0*)?".join(word)


_NAME = f"(?:{_spread('candidate')}|{_spread('reference')}|{_spread('options')})"
# What may stand around a slash; brackets are none, so that each is looked at once.
_DRESS = r"(?:[^\w<>\[\]{}()/\\]|_)*"
_ENDS = r"(?:end|close|stop|fin|finish)(?:ed|es|s)?"
_PARTS = r"(?:text|data|input|answer|response|reply|document|content|description)"
# Closing tags that formatted text has; '</s>' ends a turn for some models.
_PLAIN_TAGS = (
    r"(?:a|abbr|b|big|blockquote|br|caption|center|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark"
    r"|ol|p|pre|q|small|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var)"
)
_TAG = (
    rf"<{{1,3}}(?!/{_PLAIN_TAGS}\s*>){_DRESS}/(?:{_DRESS}[/\\])*(?={_DRESS}[^\W\d_]|[\s\0]*>)"
    rf"|[\[{{]{{1,3}}{_DRESS}/(?:{_DRESS}[/\\])*(?={_DRESS}[^\W\d_])"
    rf"|[<\[{{]{{1,3}}{_DRESS}\\(?:{_DRESS}[/\\])*(?={_DRESS}{_NAME})"
    rf"|[<\[{{]{{1,3}}{_DRESS}(?={_ENDS}(?:[\s\0_/:-]*(?:of|the))*[\s\0_/:-]*(?:{_NAME}|{_PARTS}))"
    rf"|<{{1,3}}{_DRESS}(?={_NAME}(?:[\s\0_.-]*{_spread('text')}|[\s\0]*>))"
)
_THOUGHTS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad")
_IN_ANGLES = (
    *("s", "bos", "eos", "pad", "unk", "sys", "sop", "eop", "eot", "eod", "eom", "im_start", "im_end"),
    *("start_of_turn", "end_of_turn", "end_of_utterance", "user", "human", "assistant", "bot", "system"),
    *_THOUGHTS,
)
_IN_SQUARES = ("inst", "system_prompt", "think", "gmask", "sep", "cls", "bos", "eos", "tool_calls", "tool_results")
# What opens or ends a turn or a thought: many servers read a chat template's tokens wherever they stand.
_CONTROL_TOKEN = (
    rf"<(?=[\0/]*(?:{'|'.join(map(_spread, _IN_ANGLES))})(?:_id)?\0*>"
    r"|\0*(?:unused|extra_id_|reserved_|special_|ctrl)\d{1,5}\0*>|\0*seed:\w{1,20}>"
    r"|\0*\|[^<>|\s]{1,40}\|?\0*>|\0*\| ?\w{3,40} ?\|\0*>|\0*\w{1,40}\|\0*>)"
    rf"|\[(?=[\0/]*(?:{'|'.join(map(_spread, _IN_SQUARES))})\0*\])"
)
_TAKEN_APART = re.compile(f"{_TAG}|{_CONTROL_TOKEN}")


def escape_delimiters(data: str) -> str:
    """Data that can neither open nor close a delimiter, a chat template's turn or a thinking block.

    Invisible characters go. The opening bracket of what a reader could take for one of those becomes '(', a closing
    tag's slash goes with it. A closing tag counts whatever its name is, except those of plain HTML ('</b>', '</td>').
    All else stays: 'noise < 5 HU' is no tag.
    """
    text = _INVISIBLE.sub("", data)
    # What was taken apart may have hidden another one around it: '<|</>' becomes '<|(>'.
    while (escaped := _without_delimiters(text)) != text:
        text = escaped
    return text


def _without_delimiters(text: str) -> str:
    view, starts, units = _view(text)
    parts, at = [], 0
    for delimiter in _TAKEN_APART.finditer(view):
        parts.append(text[at : starts[units[delimiter.start()]]])
        at = starts[units[delimiter.end() - 1] + 1]
    return "(".join([*parts, text[at:]])


def _view(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """What a reader sees of a text, in units (a character or an escape): the view, where in the text each unit starts
    (and the last one ends), and the unit of each character of the view."""
    escapes = [(escape, sign) for escape in _ESCAPE.finditer(text) if (sign := _decoded(escape)) is not None]
    if not escapes and text.isascii():
        return text.lower(), range(len(text) + 1), range(len(text))
    faces: list[str] = []
    starts: list[int] = []
    at = 0
    for escape, sign in escapes:
        faces += [*map(_face, text[at : escape.start()]), _face(sign)]
        starts += range(at, escape.start() + 1)
        at = escape.end()
    faces += map(_face, text[at:])
    starts += range(at, len(text) + 1)
    view = "".join(faces)
    # No face is empty, so that as many characters as units are one for each.
    units = range(len(faces)) if len(view) == len(faces) else [unit for unit, face in enumerate(faces) for _ in face]
    return view, starts, units


def _decoded(escape: re.Match[str]) -> str | None:
    """The character that an entity or an escape stands for; None where it stands for none."""
    if escape["entity"]:
        return _entity(escape["entity"])
    if escape["octal"]:
        return chr(int(escape["octal"], 8))
    code = int(next(filter(None, escape.group("percent", "braced", "long", "short", "hex"))), 16)
    return chr(code) if code <= _LAST_CODE else None


@lru_cache(maxsize=1024)
def _entity(name: str) -> str | None:
    for entity in (f"&{name};", f"&{name.lower()};"):
        sign = html.unescape(entity)
        if sign != entity:
            return sign[:1] or _HIDDEN
    return None


@lru_cache(maxsize=4096)
def _face(character: str) -> str:
    """What a reader sees: lower case, without accents and style; NUL for what is not seen. Mostly one character."""
    if character <= _LAST_ASCII and character != _HIDDEN:
        return character.lower()
    if _INVISIBLE.match(character):
        return _HIDDEN
    return "".join(map(_plain, _LOOK_ALIKES.get(character) or unicodedata.normalize("NFKD", character)))


def _plain(character: str) -> str:
    lower = character.lower()[0]
    plain = _LOOK_ALIKES.get(lower, lower)
    if plain > _LAST_ASCII and (named := _NAMED_LETTER.fullmatch(unicodedata.name(plain, ""))):
        return named[1].lower()
    category = unicodedata.category(plain)
    # Marks sit on the letter before; a lone surrogate cannot be sent.
    if category[0] == "M" or category == "Cs":
        return _HIDDEN
    return {"Zs": " ", "Pd": "-", "Pc": "_"}.get(category, plain)
