"""Reply texts made plain for every reader: multiple-choice answers, judge verdicts and conclusions. A reply is cleaned
in steps, each a function: invisible characters, struck-out words, thoughts, turns of a chat that the model echoed or
made up, markup, sentences. For an answer (:mod:`.choice`), which keeps letters apart from signs, characters are folded
one by one (:func:`fold`), and boxes and tags become brackets around what was marked as the answer; a judge's verdict
and a description are read as spoken (:func:`spoken_text`): NFKC, ASCII digits, no thoughts."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

WORDS: Mapping[str, Sequence[str]] = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
"""Lists of words, and of spellings of them as they stand in patterns."""


def any_of(name: str) -> str:
    """The alternatives of a list in ``words.json``, as they stand in a pattern."""
    return "|".join(WORDS[name])


HEAD = 2_500
TAIL = 6_000
_NEAR = 300  # characters on each side of the cut in which a sentence may end

# Zero-width, direction, variation and tag characters; U+20E3 makes key-caps of digits.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]+"
)
# Terminal colours: 'ESC [ 1 m' would leave '[1m' behind when only the control character went.
_ANSI = re.compile("(?:\x1b\\[|\x9b)[0-?]{0,20}[ -/]{0,4}[@-~]|\x1b[()][0-9A-Z]")
# Private-use characters go too: the markup step uses two of them as brackets around an answer.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd]+")
_LINE_END = re.compile("\r\n?|[\u2028\u2029\u0085]|_x000[AD]_")
_ESCAPED_CONTROL = re.compile(r"_x00[01][0-9A-Fa-f]_")
# Words that are struck through are taken back. A tilde with a blank inside, as in 'well~~ B', strikes nothing.
_STRUCK = re.compile(
    r"(?i)(?<!~)~~(?=[^\s~])[^~\n]{1,300}(?<=[^\s~])~~(?!~)|<(?P<tag>del|s|strike)>[^<>\n]{0,300}</(?P=tag)>"
    "|(?:[^\n\u0335\u0336][\u0335\u0336])+"
)


def clean(text: str) -> str:
    """Remove invisible characters, and turn control characters into blanks. Linear in the text's length."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    if "\x1b" in text or "\x9b" in text:
        text = _ANSI.sub("", text)
    text = _LINE_END.sub("\n", text)
    return _ESCAPED_CONTROL.sub(" ", _CONTROL.sub(" ", text))


MOST_CHARACTERS = 100_000
"""So much of a description is read for findings and its conclusion, half of it from either end."""


def ends_of(text: str) -> str:
    """A text without the middle of what is longer than ``MOST_CHARACTERS``; a conclusion stands at an end."""
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]}\n\n{text[-half:]}"


def without_struck(text: str) -> str:
    """Remove what the model struck through: '~~B~~ A', '<del>B</del> A'."""
    return _STRUCK.sub(" ", text) if any(mark in text for mark in "~<\u0335\u0336") else text


def may_say(text: str, stems: Iterable[str]) -> bool:
    """Whether ``text`` could hold one of ``stems`` (lower-case ASCII) in any case; only a False is certain. It spares
    patterns that begin with one of the stems, a hundred times as slow, the texts without any. Other scripts have
    letters that match ASCII ones in a pattern, so that only ASCII texts are sure."""
    return not text.isascii() or any(map(text.lower().__contains__, stems))


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


def shorten(text: str) -> str:
    """Keep the first ``HEAD`` and the last ``TAIL`` characters: an answer stands at the start or at the end."""
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


# Cyrillic and Greek capitals that look like A, B, C count where nothing but an option label can stand.
_LOOKALIKE = re.compile(r"(?<!\w)[АВСΑΒ](?=\s*(?:[).:*\]}\n]|\Z))")
_LOOKALIKES = str.maketrans("АВСΑΒ", "ABCAB")
# Chinese, Japanese and Korean put no space beside a Latin word: '这是MRI图像'.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SCRIPT_EDGE = re.compile(rf"(?<=[{_UNSPACED}])(?=[A-Za-z]{{2}})|(?<=[A-Za-z]{{2}})(?=[{_UNSPACED}])")
# The last but one are how tokenizers write a space and a line break, where a reply was joined from raw tokens.
_SIGNS = json.loads(Path(__file__).with_name("signs.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _folds() -> dict[int, str]:
    folds = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    # Small and capital letters in brackets, then capital and small ones in circles and boxes.
    for first, letter, dress in (
        (0x249C, "a", "({})"),
        (0x1F110, "A", "({})"),
        *((start, "A", "{}") for start in (0x24B6, 0x1F130, 0x1F150, 0x1F170, 0x1F1E6)),
        (0x24D0, "a", "{}"),
    ):
        folds |= {first + i: dress.format(chr(ord(letter) + i)) for i in range(26)}
    for code in range(0x1D400, 0x1D7CC):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            folds[code] = plain
    return folds | {ord(sign): plain for signs, plain in _SIGNS.items() for sign in signs}


def fold(text: str) -> str:
    """Write full-width, circled, styled and look-alike letters and their punctuation as plain ones. Full NFKC is not
    used: it turns '℃' into a letter C, and its reordering of combining marks is quadratic on hostile replies. The table
    folds, one character at a time, the dresses in which option letters come."""
    if text.isascii():
        return text
    text = _SCRIPT_EDGE.sub(" ", text.translate(_folds()))
    return _LOOKALIKE.sub(lambda letter: letter[0].translate(_LOOKALIKES), text)


# Thinking and turns: which part of a reply is the model's answer.

_TAGS = any_of("plain thought tags")
_CLOSING = re.compile(r"(?i)/|95>|<\|end_|final|<channel\|>")
_ANSWER_TAG = re.compile(rf"(?im)(?P<tag>{_TAGS}|\A\s*#+[ \t]*Thinking\b|^#+[ \t]*Final Response[ \t:*]*$)")
# A tag in quotes, or one that is called a tag, is spoken about: judges quote the tags of the answers that they read.
_JUDGE_TAG = re.compile(
    rf"(?i)(?:(?P<quote>[`\"'“‘])(?=(?:{_TAGS})[`\"'”’]))?(?P<tag>{_TAGS})"
    r"(?P<named>[`\"'”’]?\s{0,2}(?:tags?|blocks?|sections?|tokens?|markers?|elements?)\b)?"
)


def _outside_thoughts(text: str, tags: Iterable[re.Match[str]]) -> tuple[list[str], int | None]:
    """The parts of a text outside of thoughts, and where a thought begins that was opened and never closed. A closing
    tag without an opening one ends a thought that the chat template had opened."""
    parts: list[str] = []
    position, opened = 0, None
    for tag in tags:
        if _CLOSING.search(tag["tag"]):
            if opened is None:
                parts = []
            position, opened = tag.end("tag"), None
        elif opened is None:
            parts.append(text[position : tag.start("tag")])
            opened = tag.end("tag")
    if opened is None:
        parts.append(text[position:])
    return parts, opened


def split_thoughts(text: str) -> tuple[str, str | None]:
    """Split a reply to a question into its answer and its thoughts (None where it has none). The answer is what follows
    the last closing tag. Where a thought was opened and never closed, what stood before it is the answer."""
    tags = list(_ANSWER_TAG.finditer(text))
    parts, opened = _outside_thoughts(text, tags)
    if opened is not None:
        return parts[-1], text[opened:]
    return parts[-1], text[: tags[-1].start()] if tags else None


def without_thoughts(text: str) -> str | None:
    """Remove the closed thoughts of a judge; None where one was opened and never closed: the reply never came."""
    tags = (tag for tag in _JUDGE_TAG.finditer(text) if not (tag["quote"] or tag["named"]))
    parts, opened = _outside_thoughts(text, tags)
    return "".join(parts) if opened is None else None


_END = re.compile(f"(?i){any_of('plain turn ends')}")
_ECHO = re.compile(rf"(?i)\s*(?:(?:{any_of('plain text begins')})\s*){{0,3}}(?:{any_of('plain prompt begins')})")
_REPLY_STARTS = re.compile(f"(?i){any_of('plain reply begins')}")
_ASSISTANT = re.compile(any_of("plain assistant speaks"), re.MULTILINE)
_NEXT_TURN = re.compile(rf"^[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:{any_of('plain user speaks')})", re.MULTILINE)
# Headings under which a reply may restate its own task as well as make up a new one: the text before them is the
# answer only where it holds one.
_NEXT_TASK = re.compile(rf"(?im)^[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:{any_of('plain next task')})")
_ANSWERED = re.compile(r"(?im)^[ \t]*(?:#+[ \t]*)?(?:\*\*)?A(?:nswer|ns)?[ \t]*(?:\*\*)?:")
_PREAMBLE = re.compile(r"\s*(?:A chat between|SYSTEM[ \t]*:|System[ \t]*:)")
# A question with its answer: 'Q: Which degradation? / A: B'.
_REPLIED = re.compile(r"\s*Q\d*[ \t]*:[^\n]{0,600}\n[ \t]*A\d*[ \t]*:([^\n]+)\Z")
_SPECIAL = re.compile(any_of("plain special tokens"))


def own_turn(text: str) -> str:
    """Keep the model's own turn where a chat template's tokens mark it. An echo of the prompt at the start goes, and so
    does all behind the first end-of-turn token that has something before it. Channels are no turns."""
    if "<|channel|>" in text or not ("<" in text or "[" in text):
        return text
    if _ECHO.match(text) is not None and (start := _REPLY_STARTS.search(text)) is not None:
        text = text[start.end() :]
    position = 0
    for end in _END.finditer(text):
        if _SPECIAL.sub("", text[position : end.start()]).strip():
            return text[: end.start()]
        position = end.end()
    return text


def after_reply_token(text: str) -> str:
    """What follows the first token that opens the assistant's turn; nothing where there is none."""
    start = _REPLY_STARTS.search(text)
    return text[start.end() :] if start is not None else ""


def readable(text: str) -> str:
    """A part of a reply without special tokens of chat templates, not too long, and in plain letters."""
    return fold(shorten(_SPECIAL.sub(" ", text) if "<" in text or "[" in text else text))


def turns(text: str, restates: Callable[[str], bool]) -> tuple[str, ...]:
    """The parts in which to look, in order: a part but the last one counts only where it holds a letter. The last part
    is the reply up to the first turn that the model made up, or, after an echo of the question, what the assistant says
    first; the parts before it end at headings that may or may not open a new task. A turn that ``restates`` calls the
    same question again is the model's own."""
    body = _before_made_up_turns(text)
    if body != text and text.startswith(body) and body.strip() and restates(text[len(body) :]):
        return body, text
    before = [body[: cut.start()] for cut in _NEXT_TASK.finditer(body)][:3]
    return (*(part for part in before if part.strip()), body)


def _before_made_up_turns(text: str) -> str:
    if not any(mark in text for mark in ":：<["):  # each pattern below has one of them
        return text
    cuts = list(itertools.islice(_NEXT_TURN.finditer(text), 3))
    part = text
    if cuts and (not text[: cuts[0].start()].strip() or _PREAMBLE.match(text)):
        # An echo of the question. The next one is made up, if this one has been answered.
        for cut in cuts[1:]:
            between = text[cuts[0].end() : cut.start()]
            if _ASSISTANT.search(between) or _ANSWERED.search(between):
                part = text[: cut.start()]
                break
    elif cuts:
        part = text[: cuts[0].start()]
    if (replied := _REPLIED.match(part)) is not None:
        part = replied[1]
    last = max((speaker.end() for speaker in _ASSISTANT.finditer(part)), default=0)
    return part[last:] if part[last:].strip() else part


# Two private-use characters (``clean`` has taken them out of the reply) around what was marked as the answer.
OPEN, CLOSE = "\ue000", "\ue001"
_TAG = r"answers?|final[_ -]?answers?|choice|option|conclusion|final|result|solution"
_TAG_OPEN = re.compile(rf"(?i)<\s*(?:{_TAG})\s*>|<\|begin_of_box\|>|\[ANSWER\]")
_TAG_CLOSE = re.compile(rf"(?i)<\s*/\s*(?:{_TAG})\s*>|<\|end_of_box\|>|\[/ANSWER\]")
_BOX = re.compile(r"\\*(?:frame|f)?(?:\bb?oxed|box)\s*\{")
_BOX_REACH = 300
_FENCE = re.compile(r"```[A-Za-z]*")
_LATEX_TEXT = re.compile(rf"\\+(?:{any_of('plain latex text')})\s*\{{([^{{}}\n]{{0,200}})\}}")
_LATEX_REST = re.compile(r"\\+(?:text(?:bf|rm)?|quad|displaystyle)\b|\\+[,;:! ]")
_ESCAPE = re.compile(r"\\+(?=[\"'_*#()\[\].\-$&%])")
_LETTERED_TAG = re.compile(rf"(?i)</?(?:{any_of('plain tags')})\b[^<>\n]{{0,80}}/?>")
_ENTITY = re.compile(r"&(?:nbsp|quot|amp|lt|gt|#39);")
_ANGLED = re.compile(r"<([A-Z])>")
_EMPHASIS = re.compile(r"[*`~$]+|(?<![^\W_])_+|_+(?![^\W_])")
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}|>+)(?=[ \t]|$|[A-Z])[ \t]*", re.MULTILINE)
# A ticked box whose tick would be taken for emphasis.
_STARRED = re.compile(r"^([ \t]*(?:[-+*][ \t]+)?)\[\*\](?=[ \t])", re.MULTILINE)


def plain_answer(text: str) -> str:
    """Remove markdown, HTML, LaTeX and escapes; ``OPEN`` and ``CLOSE`` stand around boxed and tagged answers."""
    if "<" in text or "[" in text:
        text = _TAG_CLOSE.sub(CLOSE, _TAG_OPEN.sub(OPEN, text))
        text = _LETTERED_TAG.sub(" ", _ANGLED.sub(r"(\1)", text) if "</" not in text else text)
    if "[*]" in text:
        text = _STARRED.sub(r"\1[x]", text)
    if "&" in text:
        text = _ENTITY.sub(" ", text)
    if "`" in text:
        text = _FENCE.sub("\n", text)
    if "{" in text or "\\" in text:
        text = _LATEX_TEXT.sub(r"\1", _LATEX_TEXT.sub(r"\1", text))
        if "oxed" in text or "box" in text:
            text = _unbox(text)
        text = _ESCAPE.sub("", _LATEX_REST.sub(" ", text))
    if any(mark in text for mark in "*`~$_"):
        text = _EMPHASIS.sub("", text)
    if "#" in text or ">" in text:
        text = _LINE_START.sub("", text)
    return text.strip()


def _unbox(text: str) -> str:
    parts, position = [], 0
    for box in _BOX.finditer(text):
        if box.start() < position:
            continue
        depth, end = 1, box.end()
        limit = min(len(text), end + _BOX_REACH)
        while end < limit and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inside = text[box.end() : end - 1] if depth == 0 else text[box.end() : end]
        parts += [text[position : box.start()], OPEN, inside, CLOSE]
        position = end
    parts.append(text[position:])
    return "".join(parts)


# As one half, NFKC would make '1\u20442' of it, which reads as 'one out of two'.
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215f\u2189]")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_DESCRIPTION_MARKUP = re.compile(r"(?im)</?[a-z]{1,12}>|^[ \t]{0,8}>+|[*`_#\"“”„«»‘$\\{}\[\]]+|(?<!\w)'|'(?!\w)")


def spoken_text(reply: str) -> str | None:
    """What a judge or a description says: ASCII digits and signs, nothing invisible, struck out or thought aloud. None
    where a thought was opened and never closed."""
    text = unicodedata.normalize("NFKC", _VULGAR.sub("0.5", clean(reply)))
    text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), text)
    return without_thoughts(without_struck(text))


_SENTENCE_END = re.compile(r"(?<=[.!?\n])[\s\"')\]]+|\n+|(?<=。)")
_DESCRIPTION_END = re.compile(r"(?<=[.!?。;；])\s+|\n+|(?<=[。！？])")


def sentences(text: str) -> list[str]:
    """Split a text without markup into its sentences and lines."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences and lines of a text without markup start and end."""
    spans, start = [], 0
    for stop in _SENTENCE_END.finditer(text):
        spans.append((start, stop.start()))
        start = stop.end()
    return [(start, end) for start, end in [*spans, (start, len(text))] if text[start:end].strip()]


def description_sentences(text: str) -> list[str]:
    """Split a description as it was written into sentences without markup, thoughts and double blanks. A thought that
    was never closed leaves none. Case stays: only it tells image 'A' from the article."""
    spoken = spoken_text(text)
    if spoken is None:
        return []
    plain = _DESCRIPTION_MARKUP.sub(" ", spoken.replace("’", "'"))
    return [" ".join(part.split()) for part in _DESCRIPTION_END.split(plain) if part and part.strip()]
