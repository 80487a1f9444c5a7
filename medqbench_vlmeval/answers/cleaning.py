"""Characters: what a reader does not see is taken out, what looks like a plain letter becomes one.

Full NFKC is not used: it turns '℃' into a letter C, and its reordering of combining marks is quadratic on
hostile replies. The table here folds, one character at a time, the dresses in which option letters come.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

HEAD = 2_500
TAIL = 6_000
_NEAR = 300  # characters on each side of the cut in which a sentence may end

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]+"
)
# Terminal colours: 'ESC [ 1 m' would leave '[1m' behind when only the control character went.
_ANSI = re.compile("(?:\x1b\\[|\x9b)[0-?]{0,20}[ -/]{0,4}[@-~]|\x1b[()][0-9A-Z]")
# Private-use characters go too: the markup step uses two of them as brackets around an answer.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd]+")
# Long runs would make 'skip the blanks' patterns quadratic, and tell a reader nothing.
_BLANKS = re.compile(r"[ \t]{2,}")
_BLANK_LINES = re.compile(r"\n[ \t\n]*\n")
_REPEATED = re.compile(r"([^\w\s])\1{3,}")
_LAST_WORD = re.compile(r"\w{1,80}\Z")
_FIRST_WORD = re.compile(r"\A\w{1,80}")
# The cut goes where a sentence ends, so that no half of one is read together with another one's other half.
_LAST_STOP = re.compile(r".*[.!?\n。]", re.DOTALL)
_FIRST_STOP = re.compile(r"[.!?](?=\s)|[\n。]")
_SEAM = "\n\nomitted\n\n"
_LINE_END = re.compile("\r\n?|[\u2028\u2029\u0085]|_x000[AD]_")
_ESCAPED_CONTROL = re.compile(r"_x00[01][0-9A-Fa-f]_")
# Cyrillic and Greek capitals that look like A, B, C count where nothing but an option label can stand.
_LOOKALIKE = re.compile(r"(?<!\w)[АВСΑΒ](?=\s*(?:[).:*\]}\n]|\Z))")
# Chinese, Japanese and Korean put no space beside a Latin word: '这是MRI图像'.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SCRIPT_EDGE = re.compile(rf"(?<=[{_UNSPACED}])(?=[A-Za-z]{{2}})|(?<=[A-Za-z]{{2}})(?=[{_UNSPACED}])")
_LOOKALIKES = str.maketrans("АВСΑΒ", "ABCAB")


@lru_cache(maxsize=1)
def _folds() -> dict[int, str]:
    folds = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    folds |= {0x2474 + 40 + i: f"({chr(97 + i)})" for i in range(26)}  # parenthesised small letters
    for first in (0x1F110,):
        folds |= {first + i: f"({chr(65 + i)})" for i in range(26)}
    for first in (0x24B6, 0x1F130, 0x1F150, 0x1F170, 0x1F1E6):
        folds |= {first + i: chr(65 + i) for i in range(26)}
    folds |= {0x24D0 + i: chr(97 + i) for i in range(26)}
    for code in range(0x1D400, 0x1D7CC):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            folds[code] = plain
    folds |= dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
    # How tokenizers write a space and a line break, where a reply was joined from raw tokens.
    folds |= {ord("▁"): " ", ord("Ġ"): " ", ord("Ċ"): "\n"}
    pairs = {
        "“”„‟«»＂〝〞": '"',
        "‘’‚‛‹›ʼ´": "'",
        "‐‑−": "-",
        "–—―": " - ",
        "【「『《〈〔〖⟨": "[",
        "】」』》〉〕〗⟩": "]",
        "：": ": ",
        "。．｡": ". ",
        "，،": ", ",
        "；؛": "; ",
        "？؟": "? ",
        "！": "! ",
        "⇒➔➜➡⟶⟹": "→",
        "।": ".",
        "⁄∕": "/",
        "…": "...",
    }
    for characters, plain in pairs.items():
        folds |= {ord(character): plain for character in characters}
    return folds


def clean(reply: str) -> str:
    """The reply without invisible and control characters. Linear in its length."""
    if not reply.isascii():
        reply = _INVISIBLE.sub("", reply)
    if "\x1b" in reply or "\x9b" in reply:
        reply = _ANSI.sub("", reply)
    reply = _LINE_END.sub("\n", reply)
    return _ESCAPED_CONTROL.sub(" ", _CONTROL.sub(" ", reply))


def may_say(text: str, stems: Iterable[str]) -> bool:
    """Whether ``text`` could hold one of ``stems`` (lower-case ASCII) in any case; only a False is certain.

    It spares patterns that begin with one of the stems, a hundred times as slow, the texts without any. Other
    scripts have letters that match ASCII ones in a pattern, so that only ASCII texts are sure.
    """
    if not text.isascii():
        return True
    lower = text.lower()
    for stem in stems:  # noqa: SIM110 - any() takes twice the time of this search
        if stem in lower:
            return True
    return False


def shorten(text: str) -> str:
    """The text's first ``HEAD`` and last ``TAIL`` characters: an answer stands at the start or at the end."""
    text = _REPEATED.sub(r"\1\1\1", _BLANKS.sub(" ", _BLANK_LINES.sub("\n\n", text.strip())))
    if len(text) <= HEAD + TAIL:
        return text
    # A word that the cut goes through must not leave a lone letter behind.
    head, tail = _LAST_WORD.sub("", text[:HEAD]), _FIRST_WORD.sub("", text[-TAIL:])
    if (stop := _LAST_STOP.search(head, len(head) - _NEAR)) is not None:
        head = head[: stop.end()]
    if (stop := _FIRST_STOP.search(tail, 0, _NEAR)) is not None:
        tail = tail[stop.end() :]
    return f"{head}{_SEAM}{tail}"


def fold(text: str) -> str:
    """Full-width, circled, styled and look-alike letters and their punctuation as plain ones."""
    if text.isascii():
        return text
    text = _SCRIPT_EDGE.sub(" ", text.translate(_folds()))
    return _LOOKALIKE.sub(lambda found: found[0].translate(_LOOKALIKES), text)
