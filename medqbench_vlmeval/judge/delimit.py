"""Texts from outside made safe to stand between a prompt's tags. What a careless reader could take for the end of a
region, a new one, a turn of a chat template or a thought is taken apart; where a text names a region behind a closing
mark, the mark goes, whatever the brackets. Names and marks are looked for in views of the text: with entities and
escapes decoded until there is nothing left to decode, in lower case, without accents and styles, with letters and signs
of other scripts as the ones that they look like. Views only find: all other text stays as it is."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

# Format and control characters that no text needs: soft hyphen, zero-width, bidirectional, fillers, variation
# selectors, the tag block (some models read it as ASCII), C0 and C1 without tab and line ends.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Signs and letters that look like those of tags, formatting tags, tokens of chat templates, 'score' in many languages.
_TABLES = json.loads(Path(__file__).with_name("delimit.json").read_text(encoding="utf-8"))
# What stands in a view for brackets and slashes that have other uses (titles in angles, words in brackets, Japanese
# letters): they count before a region's name only, or around a known token.
_ANGLE, _ANGLE_END, _BRACKET, _BRACKET_END, _SLASH = "‹›⟦⟧╱"
# Signs and letters that look like the ones that tags are made of, where Unicode's list of confusables has others.
_LOOK_ALIKES: dict[str, str] = {sign: face for signs, face in _TABLES["look_alikes"].items() for sign in signs}
# Marks sit on the letter before; a lone surrogate cannot be sent.
_OF_CATEGORY = dict.fromkeys(("Mn", "Mc", "Me", "Cs"), "") | dict(
    zip(("Zs", "Pd", "Pc", "Ps", "Pi", "Pe", "Pf"), (" -_" + 2 * _BRACKET + 2 * _BRACKET_END), strict=True)
)
# 'ƈ', 'ᴄ', 'ɛ', '🅲' and '🇨' have no decomposition, but the letter in their names.
_NAMED_LETTER = re.compile(
    r"(?:LATIN(?: SMALL| CAPITAL)? LETTER|(?:NEGATIVE (?:SQUARED|CIRCLED)|SQUARED|CIRCLED) LATIN CAPITAL LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER)(?: SMALL CAPITAL| OPEN| TURNED| REVERSED| DOTLESS)? ([A-Z])(?: WITH .*)?"
)
_LAST_ASCII = "\x7f"

# Entities and escapes, also escaped once more; bytes in runs, as several may be one character.
_ESCAPE = re.compile(
    r"(?=[&%=\\U+])(?:&(?:amp;|\#0*38;|\#x0*26;)*(?:\#x0*(?P<entity_hex>[0-9a-f]{1,6})(?![0-9a-f])|\#0*(?P<entity_number>[0-9]{1,7})"
    r"(?![0-9])|(?P<entity>[a-z][a-z0-9]{1,31}));?"
    r"|(?P<bytes>(?:%(?:25)*[0-9a-f]{2}|=(?:[0-9a-f]{2}|\r?\n)|(?<!\\)\\+x[0-9a-f]{2})+)"
    r"|(?<!\\)\\+(?:(?-i:U00)(?P<long>[0-9a-f]{6})|u(?P<short>[0-9a-f]{4})|[ux]\{0*(?P<braced>[0-9a-f]{1,6})\}"
    r"|N\{(?P<named>[a-z0-9 -]{1,90})\}|(?P<octal>[0-7]{2,3}))"
    r"|(?:%(?:25)*u|\bU\+0{0,4})(?P<unicode>[0-9a-f]{4})|\+(?P<utf7>[a-z0-9+/]{3,64})-?)",
    re.IGNORECASE,
)
# No honest text is encoded so often over.
_MOST_DECODINGS = 8
_ENCODED = re.compile(r"[&%\\=+]")

_LEET = {"a": "[a4@]", "e": "[e3]", "i": "[i1l!|]", "o": "[o0]", "s": "[s5$]", "t": "[t7]"}


def _spread(word: str) -> str:
    """A pattern of the word that one blank or stop between its letters, or digits for some, do not hide."""
    return r"[\s.~*_-]?".join(_LEET.get(letter, letter) for letter in word)


_NAME = f"(?:{_spread('candidate')}|{_spread('reference')}|{_spread('option')}s?)"
_TEXT = _spread("text")
# 'candidate_text' is a region's name; 'the reference text' and 'candidate' may be words of any text.
_NAMED = re.compile(rf"(?P<whole>{_NAME}[._-]?{_TEXT})(?![^\W\d_])|{_NAME}(?:[\s._~*-]{{0,4}}{_TEXT})?")
_ENDS = r"(?:end|close|stop|fin|finish)(?:ed|es|s)?"
_END_WORD = re.compile(rf"\b(?:{_ENDS}|of|the)\Z")
_LONGEST_END_WORD = 10
_OPENS = re.compile(rf"[<{_ANGLE}\[{{({_BRACKET}]")
_SLASHES = f"/\\{_SLASH}"
_SAYS_END = re.compile(rf"[=#*~_<{_ANGLE}\[{{({_BRACKET}|%!\\-]\s?{_ENDS}")
_MARK = re.compile(rf"[<{_ANGLE}\[{{{_BRACKET}/\\{_SLASH}]|{_ENDS}")
_CLOSED_BEHIND = re.compile(rf"[\s\w]{{0,20}}[/\\{_SLASH}]+(?=\s*[>\]}}){_ANGLE_END}{_BRACKET_END}])")

# What may stand around a slash; brackets are none, so that each is looked at once.
_DRESS = r"(?:[^\w<>\[\]{}()/\\]|_)*"
_PARTS = r"(?:text|data|input|answer|response|reply|document|content|description)"
# Tags that formatted text has; '<s>' and '</s>' begin and end a turn for some models.
_PLAIN_TAGS = f"(?:{'|'.join(_TABLES['plain_tags'])})"
_TAG = (
    rf"[<{_ANGLE}{_BRACKET}]{{1,3}}(?!/{_PLAIN_TAGS}\s*>){_DRESS}/(?:{_DRESS}[/\\])*(?={_DRESS}[^\W\d_]|\s*[>{_ANGLE_END}])"
    rf"|[\[{{]{{1,3}}{_DRESS}/(?:{_DRESS}[/\\])*(?={_DRESS}[^\W\d_])"
    rf"|\({_DRESS}/(?={_DRESS}{_PARTS})"
    rf"|[<{_ANGLE}\[{{({_BRACKET}]{{1,3}}{_DRESS}{_ENDS}(?=(?:[\s_/:-]*(?:of|the))*[\s_/:-]*{_PARTS})"
    rf"|[<{_ANGLE}{_BRACKET}]{{1,3}}{_DRESS}(?={_NAME}[\s_.-]*{_TEXT})|[<{_ANGLE}]{{1,3}}{_DRESS}(?={_NAME}\s*[>{_ANGLE_END}])"
)
# A word alone in angles is a token, whosever, unless text formats with it or compares ('SNR<CNR>5').
_WORD = rf"(?!/?{_PLAIN_TAGS}\s*/?>)[^\w\s<>]{{0,2}}[^\W\d][\w:]{{1,40}}[^\w\s<>]{{0,2}}>"
# What opens or ends a turn or a thought: many servers read a chat template's tokens wherever they stand.
_CONTROL_TOKEN = (
    rf"[<{_ANGLE}](?=/*(?:{'|'.join(map(_spread, _TABLES['in_angles']))})(?:_id)?[>{_ANGLE_END}]"
    rf"|\|[^<>|\s]{{1,40}}\|?[>{_ANGLE_END}]|\| ?\w[^<>|]{{2,40}}\|[>{_ANGLE_END}]|\w{{1,40}}\|[>{_ANGLE_END}])"
    rf"|(?:(?<!\w)<|<(?![a-z]+>\w))(?={_WORD})|>>(?=\w{{3,20}}<<)"
    rf"|[\[{_BRACKET}](?=(?:/*(?:{'|'.join(map(_spread, _TABLES['in_squares']))})|\|[^\[\]|\n]{{2,40}}\|"
    rf"|/?(?:unused\w{{0,12}}|\w{{1,30}}_token\w{{0,8}}|round \d{{1,3}}))[\]{_BRACKET_END}]|e~\[)"
    r"|\](?=~!?\w{1,2}[\[\]])"
)
_TAKEN_APART = re.compile(rf"(?=[<>(\[\]{{{_ANGLE}{_BRACKET}])(?:{_TAG}|{_CONTROL_TOKEN})")

# What a description of an image does not say: it names a score, orders one, or talks to who grades.
_GRADER = r"(?:grader|grading (?:model|assistant|system|ai)|judge|evaluator|examiner|rater|assessor|scorer)"
_SCORE_WORD = r"(?:score|rating|grade|mark|verdict)"
_FULL = (
    r"(?:[012]\b(?![.,]?\d| ?%)|two\b|full (?:marks|score)|(?:the )?(?:maximum|max|highest|top) " + _SCORE_WORD + ")"
)
_TO_GRADER = re.compile(
    rf"\b(?:score|rating|verdict)[\"'*]*\s?[:=]\s?[\"'*]*[012]\b(?![.,]?\d|/(?!2\b))(?! ?(?:out of|%|mm|points))"
    rf"|\b(?:give|assign|award|rate|grade|output|return|print|respond with|reply with|write)\b[^.!?\n]{{0,60}}?"
    rf"\b{_SCORE_WORD}s?\b[^.!?\n]{{0,20}}?\b{_FULL}|\b(?:rate|grade|score|mark) (?:it|this|me|them|all|everything|the "
    rf"(?:answer|text|response|candidate|above))[^.!?\n]{{0,30}}?\b{_FULL}"
    r"|\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,30}?\b(?:instructions?|rubric|criteria|prompts?|guidelines)\b"
    rf"|\b(?:dear|hello|hi|attention|note (?:to|for)|message (?:to|for)|instructions? (?:to|for)) (?:the )?{_GRADER}\b"
    rf"|\byou are (?:now )?(?:an? |the )[^.!?\n]{{0,30}}?{_GRADER}\b"
    r"|\bscore for this (?:answer|text|response)\b"
    r"|\b(?:give|output|reply with|return) (?:it )?(?:only )?[02]\b(?![.,]?\d)"
    r"|[<‹]\|?(?:im_start|start_header_id|start_of_turn|user|system|assistant)\|?[>›]|\[/inst\]"
)
# The same in other languages, as written.
_SCORED_ABROAD = re.compile(
    rf"(?:{'|'.join(_TABLES['score_abroad'])})[^\n.]{{0,8}}?[012٠١٢۰۱۲०१२০১২๐๑๒](?![.,]?\d)|满分|滿分", re.IGNORECASE
)


def speaks_to_grader(text: str) -> str | None:
    """The words in which an answer talks to who grades it (names or orders a score, closes the delimiters), cut to 80
    characters; None where it does not. It is a sign and no proof, and never a reason for another score."""
    if words := _SCORED_ABROAD.search(text):
        return " ".join(words.group().split())
    for view in islice(_views(_INVISIBLE.sub("", text)), _MOST_DECODINGS):
        seen = _as_seen(view).seen
        name = next((name for name in _NAMED.finditer(seen) if name["whole"]), None)
        if words := _TO_GRADER.search(seen) or name:
            return " ".join(words.group().split())[:80]
    return None


class _View(NamedTuple):
    """A text as somebody may read it: where in the text each of its characters begins and ends."""

    seen: str
    starts: Sequence[int]
    ends: Sequence[int]


def escape_delimiters(data: str) -> str:
    """Data that can neither open nor close a delimiter, a chat template's turn or a thinking block. Invisible
    characters go; the opening bracket of such a thing becomes '(', a closing mark goes with it. Closing tags of plain
    HTML ('</b>') stay, a region's own name counts whatever its brackets are, and 'noise < 5 HU' is no tag."""
    text = _INVISIBLE.sub("", data)
    # What was taken apart may have hidden another one around it: '<|</>' becomes '<|(>'.
    while (escaped := _without_delimiters(text)) != text:
        text = escaped
    return text


def _without_delimiters(text: str) -> str:
    spans: set[tuple[int, int]] = set()
    for number, view in enumerate(_views(text)):
        if number == _MOST_DECODINGS:
            return _ENCODED.sub("(", text)
        face = _as_seen(view)
        for start, end in _delimiters(face.seen):
            begins = face.starts[start] if start < len(face.seen) else len(text)
            spans.add((begins, face.ends[end - 1] if end > start else begins))
    parts: list[str] = []
    at = 0
    for start, end in sorted(spans):
        # A name that one view finds bare has a mark before it in another.
        if start > at or (start == at and (end > start or not parts)):
            parts.append(text[at:start])
        at = max(at, end)
    return "(".join([*parts, text[at:]])


def _delimiters(seen: str) -> Iterator[tuple[int, int]]:
    """Where in a view there is something to take apart."""
    for delimiter in _TAKEN_APART.finditer(seen):
        yield delimiter.span()
    for name in _NAMED.finditer(seen):
        before = _before(seen, name.start())
        # A slash with a bracket before it closes, and so does an 'end' behind a sign.
        slash = max(before.rfind(slash) for slash in _SLASHES)
        if not (name["whole"] or _OPENS.search(before, 0, max(slash, 0)) or _SAYS_END.search(before)):
            continue
        if mark := _MARK.search(before):
            yield name.start() - len(before) + mark.start(), name.start()
        elif not before.endswith("("):
            yield name.start(), name.start()
        if behind := _CLOSED_BEHIND.match(seen, name.end()):
            yield behind.end() - len(behind.group().lstrip()), behind.end()


def _before(seen: str, at: int) -> str:
    """The signs and digits that lead up to a place, with 'end of the' between them."""
    start = at
    while True:
        while start and not seen[start - 1].isalpha():
            start -= 1
        word = _END_WORD.search(seen[max(0, start - _LONGEST_END_WORD) : start])
        if not word:
            return seen[start:at]
        start -= len(word.group())


def _views(text: str) -> Iterator[_View]:
    """The text as it is, then decoded once, twice, until nothing is left to decode."""
    view = _View(text, range(len(text)), range(1, len(text) + 1))
    yield view
    while True:
        escapes = [(escape, signs) for escape in _ESCAPE.finditer(view.seen) if (signs := _decoded(escape)) is not None]
        if not escapes:
            return
        # Who decodes the last of several backslashes still sees the others.
        slashed = [(*escape.span(), "\\" * escape.group().startswith("\\\\") + signs) for escape, signs in escapes]
        if any(signs.startswith("\\") for *_, signs in slashed):
            yield _replaced(view, slashed)
        view = _replaced(view, [(*escape.span(), signs) for escape, signs in escapes])
        yield view


def _replaced(view: _View, changes: Sequence[tuple[int, int, str]]) -> _View:
    """The view with parts (start, end) read as other characters."""
    seen: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for start, end, signs in changes:
        seen += view.seen[at:start], signs
        starts += view.starts[at:start]
        ends += view.ends[at:start]
        starts += [view.starts[start]] * len(signs)
        ends += [view.ends[end - 1]] * len(signs)
        at = end
    return _View("".join([*seen, view.seen[at:]]), [*starts, *view.starts[at:]], [*ends, *view.ends[at:]])


def _as_seen(view: _View) -> _View:
    """The view as its characters look."""
    if view.seen.isascii():
        return view._replace(seen=view.seen.lower())
    faces = list(map(_face, view.seen))
    seen = "".join(faces)
    if len(seen) == len(faces) and "" not in faces:
        return view._replace(seen=seen)
    units = [unit for unit, face in enumerate(faces) for _ in face]
    return _View(seen, [view.starts[unit] for unit in units], [view.ends[unit] for unit in units])


def _decoded(escape: re.Match[str]) -> str | None:
    """The characters that an entity or an escape stands for; None where it stands for none."""
    kind = str(escape.lastgroup)
    text = escape[kind]
    try:
        if kind == "entity":
            return _entity(text)
        if kind == "named":
            return unicodedata.lookup(text)
        if kind == "bytes":
            digits = re.sub(r"%(?:25)*|=\r?\n|=|\\+x", "", text, flags=re.IGNORECASE)
            return bytes.fromhex(digits).decode("utf-8", errors="replace")
        if kind == "utf7":
            octets = base64.b64decode(text + "=" * (-len(text) % 4))
            signs = octets[: len(text) * 6 // 16 * 2].decode("utf-16-be")
            # Other text behind a plus sign stands for nothing that anybody writes.
            return signs if all(sign.isascii() or unicodedata.category(sign)[0] in "PS" for sign in signs) else None
        return chr(int(text, {"entity_number": 10, "octal": 8}.get(kind, 16)))
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _entity(name: str) -> str | None:
    for entity in (f"&{name};", f"&{name.lower()};"):
        sign = html.unescape(entity)
        if sign != entity:
            return sign
    return None


@lru_cache(maxsize=65536)
def _face(character: str) -> str:
    """What a reader sees: lower case, without accents and style; nothing for what is not seen."""
    if character <= _LAST_ASCII:
        return "" if character == "\0" else character.lower()
    if _INVISIBLE.match(character):
        return ""
    return "".join(map(_plain, _LOOK_ALIKES.get(character) or unicodedata.normalize("NFKD", character)))


def _plain(character: str) -> str:
    lower = character.lower()[0]
    plain = _LOOK_ALIKES.get(lower, lower)
    if plain <= _LAST_ASCII or plain in (_ANGLE, _ANGLE_END, _BRACKET, _BRACKET_END):
        return plain
    category = unicodedata.category(plain)
    if category in _OF_CATEGORY:
        return _OF_CATEGORY[category]
    if named := _NAMED_LETTER.fullmatch(unicodedata.name(plain, "")):
        return named[1].lower()
    return _confused_with(plain, category[0] == "L") or plain


def _confused_with(character: str, is_letter: bool) -> str | None:
    """The ASCII character that Unicode's list of confusables has for another."""
    from confusable_homoglyphs import confusables

    found = confusables.is_confusable(character, greedy=True) or []
    signs = (sign["c"] for entry in found for sign in entry["homoglyphs"])
    sign = next((sign for sign in signs if len(sign) == 1 and sign.isascii()), "").lower()
    if sign.isalnum() or not is_letter:
        return {"<": _ANGLE, ">": _ANGLE_END}.get(sign, sign) or None
    # A letter is a letter first: 'ノ' looks like a slash.
    return {"/": _SLASH, "<": _ANGLE, ">": _ANGLE_END}.get(sign)
