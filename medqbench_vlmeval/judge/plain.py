"""Free text made plain for the embedded judge: sentences without markup, thinking or case."""

from __future__ import annotations

import re

from medqbench_vlmeval.judge.verdict_text import plain_text, without_thoughts

_MARKUP = re.compile(
    r"</?[a-z]{1,12}>|^[ \t]{0,8}>+|[*`_#\"“”„«»‘$\\{}\[\]]+|(?<!\w)'|'(?!\w)", re.IGNORECASE | re.MULTILINE
)
_END = re.compile(r"(?<=[.!?。;；])\s+|\n+|(?<=[。！？])")


def sentences(text: str) -> list[str]:
    """The sentences of a reply, in order, blanks folded; none where a thinking block was never closed.

    Case is kept: only it tells image 'A' from the article.
    """
    spoken = without_thoughts(plain_text(text))
    if spoken is None:
        return []
    plain = _MARKUP.sub(" ", spoken.replace("’", "'"))
    return [" ".join(part.split()) for part in _END.split(plain) if part and part.strip()]
