"""Judge replies made plain before a verdict is looked for: no thinking aloud, no markup, one form for each sign."""

from __future__ import annotations

import re
import unicodedata

# Zero-width and direction characters hide text from the eye and from patterns; U+20E3 makes key-caps of digits.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\u20e3]")
# As one half, NFKC would make '1\u20442' of it, which reads as 'one out of two'.
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215f\u2189]")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(?:del|s|strike)>[^<\n]{1,200}</(?:del|s|strike)>", re.IGNORECASE)
_THINK = re.compile(
    r"(?P<quote>[`\"'“‘]?)(?:<(?P<end>/?)(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad)>"
    r"|◁(?P<kimi>/?)think▷|\[(?P<mistral>/?)THINK\]|<\|(?P<named>begin|end)_of_thought\|>)(?P<after>[`\"'”’]?)"
    r"(?P<mention>\s{0,2}(?:tags?|blocks?|sections?|tokens?|markers?|elements?)\b)?",
    re.IGNORECASE,
)

_QUOTATION = re.compile(r'"[^"\n]*"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|^[ \t]{0,8}>[^\n]*$', re.MULTILINE)
_RUN = re.compile(r"['_]+")
# In this order: what carries meaning becomes a colon or a round bracket, the rest of the dress goes.
_MARKUP = (
    (re.compile(r"\\(?:text|textbf|mathbf|mathrm|bf)\b"), ""),
    (re.compile(r"\\boxed\s?\{"), " boxed: {"),
    (
        re.compile(
            r"<(score|verdict|rating|answer|result)>\s{0,20}([^<>\n]{1,60}?)\s{0,20}</[a-z]{1,10}>", re.IGNORECASE
        ),
        r" \1: \2 ",
    ),
    (re.compile(r"```[a-z]{0,10}"), " "),
    (re.compile(r"^[ \t]{0,8}>[> \t]{0,8}", re.MULTILINE), ""),
    (re.compile(r"[*`\"“”„«»#$\\]"), ""),
    (re.compile(r"<(?=\s{0,2}\d{1,3}\s{0,2}>)|(?<=\d)>"), ""),
    (re.compile(r"(?:[-=–—]{1,3}>|→|⇒)"), ":"),
    (re.compile(r"={1,3}|\|"), ":"),
    (re.compile(r"[\[{]"), "("),
    (re.compile(r"[\]}]"), ")"),
    (re.compile(r"[‐‑‒–—―−]"), "-"),
    (re.compile(r"^(?:[ \t]|:|-(?![ \t]?\d))+$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*:(?=[^:\n]*:)", re.MULTILINE), ""),
    (re.compile(r"[^\S\n]{1,}"), " "),
)


def plain_text(reply: str) -> str:
    """The reply with ASCII digits and signs, without invisible characters and struck-out text."""
    text = _VULGAR.sub("0.5", _INVISIBLE.sub("", reply))
    text = unicodedata.normalize("NFKC", text)
    text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), text)
    return _STRUCK.sub(" ", text)


def without_thoughts(text: str) -> str | None:
    """The text without its closed thinking blocks; None where a block was opened and never closed.

    A closing tag without an opening one ends a block that the chat template had opened. A tag in quotes, or one
    that is called a tag, is spoken about and opens nothing.
    """
    kept: list[str] = []
    position = 0
    inside = False
    for tag in _THINK.finditer(text):
        if tag["mention"] or (tag["quote"] and tag["after"]):
            continue
        closes = "/" in (tag["end"], tag["kimi"], tag["mistral"]) or (tag["named"] or "").lower() == "end"
        if closes:
            if not inside:
                kept = []
            inside = False
            position = tag.end()
        elif not inside:
            kept.append(text[position : tag.start()])
            inside = True
    if inside:
        return None
    return "".join([*kept, text[position:]])


def without_quotations(text: str) -> str:
    """The text without what stands in double quotes on one line, and without lines that are marked as quoted."""
    return _QUOTATION.sub(" ", text)


def without_markup(text: str) -> str:
    """The text without markdown, LaTeX and quotes; equals signs, arrows and table bars become colons, all
    brackets round and all dashes hyphens, so that '| **Score** | [2] |' reads ' Score : (2) :'."""
    text = _RUN.sub(_inside_word, text)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text


def _inside_word(run: re.Match[str]) -> str:
    """'max_score' and 'isn't' keep theirs; '_Score_' and quotes do not."""
    text = run.string
    inside = text[run.start() - 1 : run.start()].isalnum() and text[run.end() : run.end() + 1].isalnum()
    return run.group() if inside else ""
