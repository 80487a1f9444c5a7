"""Markup: markdown, HTML, LaTeX and JSON escapes come off; marked answers are put in brackets of our own."""

from __future__ import annotations

import re

# Two private-use characters (cleaning has taken them out of the reply) around what was marked as the answer.
OPEN, CLOSE = "\ue000", "\ue001"

_TAG = r"answers?|final[_ -]?answers?|choice|option|conclusion|final|result|solution"
_TAG_OPEN = re.compile(rf"<\s*(?:{_TAG})\s*>|<\|begin_of_box\|>|\[ANSWER\]", re.IGNORECASE)
_TAG_CLOSE = re.compile(rf"<\s*/\s*(?:{_TAG})\s*>|<\|end_of_box\|>|\[/ANSWER\]", re.IGNORECASE)
_BOX = re.compile(r"\\*(?:frame|f)?(?:\bb?oxed|box)\s*\{")
_FENCE = re.compile(r"```[A-Za-z]*")
_LATEX_TEXT = re.compile(
    r"\\+(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|bm|bf|rm|mbox)\s*\{([^{}\n]{0,200})\}"
)
_LATEX_REST = re.compile(r"\\+(?:text(?:bf|rm)?|quad|displaystyle)\b|\\+[,;:! ]")
_ESCAPE = re.compile(r"\\+(?=[\"'_*#()\[\].\-$&%])")
_LETTERED_TAG = re.compile(
    r"</?(?:b|strong|i|em|p|br|span|code|u|center|div|ins|li|ol|ul|sub|sup|h\d|font)\b[^<>\n]{0,80}/?>", re.I
)
_ENTITY = re.compile(r"&(?:nbsp|quot|amp|lt|gt|#39);")
_ANGLED = re.compile(r"<([A-Z])>")
_EMPHASIS = re.compile(r"[*`~$]+|(?<![^\W_])_+|_+(?![^\W_])")
# Words that are struck through are taken back. A tilde with a blank inside, as in 'well~~ B', strikes nothing.
_STRUCK = re.compile(
    r"(?<!~)~~(?=[^\s~])[^~\n]{1,300}(?<=[^\s~])~~(?!~)|<(?P<tag>del|strike)>[^<>\n]{0,300}</(?P=tag)>"
    "|(?:[^\n\u0335\u0336][\u0335\u0336])+",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}|>+)(?=[ \t]|$|[A-Z])[ \t]*", re.MULTILINE)
# A ticked box whose tick would be taken for emphasis.
_STARRED = re.compile(r"^([ \t]*(?:[-+*][ \t]+)?)\[\*\](?=[ \t])", re.MULTILINE)
_REACH = 300


def without_struck(text: str) -> str:
    """The text without what the model struck through: '~~B~~ A', '<del>B</del> A'."""
    if not any(mark in text for mark in "~<\u0335\u0336"):
        return text
    return _STRUCK.sub(" ", text)


def _unbox(text: str) -> str:
    parts, position = [], 0
    for box in _BOX.finditer(text):
        if box.start() < position:
            continue
        depth, end = 1, box.end()
        limit = min(len(text), end + _REACH)
        while end < limit and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inside = text[box.end() : end - 1] if depth == 0 else text[box.end() : end]
        parts += [text[position : box.start()], OPEN, inside, CLOSE]
        position = end
    parts.append(text[position:])
    return "".join(parts)


def plain(text: str) -> str:
    """The text without markup; ``OPEN`` and ``CLOSE`` stand around boxed and tagged answers."""
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
