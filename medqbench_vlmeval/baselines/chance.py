"""MedQ-Chance: a seeded guess. It fixes what a score without any look at the image is worth. :func:`read_message` reads
what a model is given (the image paths and the prompt text, nothing else) for both baselines."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medqbench_vlmeval.errors import BadInput

DEFAULT_SEED = "medqbench-chance-1"

_SINGLE = (
    "The image shows a medical scene with typical structures. Sharpness, noise, contrast and brightness are as they "
    "come, and no single artifact is singled out. Overall, the quality of this image is {level}."
)
_PAIR = (
    "Both images show a medical scene with typical structures. They differ in sharpness, noise, contrast and "
    "brightness. Overall, the {place} image is of higher quality."
)

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


def _consecutive(listed: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The last run A, B, ... of at least two options; a lone 'A.' at a line's start is not a list."""
    best: dict[str, str] = {}
    run: dict[str, str] = {}
    for letter, text in listed:
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
    return Prompt(images, text, _INLINE.sub("", _LINE.sub("", text)).strip(), parse_options(text))


def reply(message: Sequence[Mapping[str, str]], seed: str = DEFAULT_SEED) -> str:
    """A random option letter, or template text with a random level (one image) or a random place (two or more). The
    guess depends on ``seed``, the prompt's text and the images' bytes alone: neither on the order of the questions nor
    on where the files lie. Raises BadInput where an image cannot be read."""
    prompt = read_message(message)
    digest = hashlib.sha256(seed.encode("utf-8"))
    digest.update(prompt.text.encode("utf-8", errors="surrogatepass"))
    for image in prompt.images:
        try:
            digest.update(hashlib.sha256(Path(image).read_bytes()).digest())
        except OSError as error:
            reason = error.strerror or "unreadable"
            raise BadInput(f"The image '{image}' cannot be read: {reason}. Check the data's image folder.") from error
    draw = random.Random(digest.digest())  # noqa: S311 - a reproducible guess, not a secret
    if prompt.options:
        return draw.choice(list(prompt.options))
    if len(prompt.images) > 1:
        return _PAIR.format(place=draw.choice(("first", "second")))
    return _SINGLE.format(level=draw.choice(("good", "usable", "reject")))
