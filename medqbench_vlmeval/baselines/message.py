"""Reads what a model is given: the image paths and the prompt text, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# 'A. text', 'A) text', '(A) text', '[A] text', 'A: text', also with full-width marks, one option a line.
_LINE = re.compile(r"^[ \t]*[(\[（]?([A-H])[)\].:：．、）][ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
# '(A) Yes (B) No' on one line.
_INLINE = re.compile(r"[(（]([A-H])[)）]\s*(.+?)\s*(?=[(（][A-H][)）]|$)", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """``question`` is the text without its option lines; ``options`` maps letters to texts, in order."""

    images: tuple[str, ...]
    text: str
    question: str
    options: Mapping[str, str] = field(default_factory=dict)


def _consecutive(found: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The last run A, B, ... of at least two options; a lone 'A.' at a line's start is not a list."""
    best: dict[str, str] = {}
    run: dict[str, str] = {}
    for letter, text in found:
        if letter == "A":
            run = {}
        if letter == chr(ord("A") + len(run)):
            run[letter] = text
        if len(run) >= 2:
            best = run
    return dict(best)


def parse_options(text: str) -> dict[str, str]:
    """Option letters and texts that a prompt lists; empty where it lists none."""
    options = _consecutive(_LINE.findall(text))
    inline = _consecutive(_INLINE.findall(text))
    return inline if len(inline) > len(options) else options


def read_message(message: Sequence[Mapping[str, str]]) -> Prompt:
    """Split the kit's list of ``{'type': 'image' | 'text', 'value': ...}`` parts."""
    images = tuple(part["value"] for part in message if part["type"] == "image")
    text = "\n".join(part["value"] for part in message if part["type"] == "text")
    question = _INLINE.sub("", _LINE.sub("", text)).strip()
    return Prompt(images, text, question, parse_options(text))
