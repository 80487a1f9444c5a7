"""MedQ-Chance: a seeded guess. It fixes what a score without any look at the image is worth."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from medqbench_vlmeval.baselines.message import Prompt, read_message
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


def _generator(prompt: Prompt, seed: str) -> random.Random:
    digest = hashlib.sha256(seed.encode("utf-8"))
    digest.update(prompt.text.encode("utf-8", errors="surrogatepass"))
    for image in prompt.images:
        try:
            digest.update(hashlib.sha256(Path(image).read_bytes()).digest())
        except OSError as error:
            reason = error.strerror or "unreadable"
            raise BadInput(f"The image '{image}' cannot be read: {reason}. Check the data's image folder.") from error
    return random.Random(digest.digest())  # noqa: S311 - a reproducible guess, not a secret


def reply(message: Sequence[Mapping[str, str]], seed: str = DEFAULT_SEED) -> str:
    """A random option letter, or template text with a random level (one image) or a random place (two or more).

    The guess depends on ``seed``, the prompt's text and the images' bytes alone: neither on the order of the
    questions nor on where the files lie.

    Raises:
        BadInput: an image cannot be read.
    """
    prompt = read_message(message)
    draw = _generator(prompt, seed)
    if prompt.options:
        return draw.choice(list(prompt.options))
    if len(prompt.images) > 1:
        return _PAIR.format(place=draw.choice(("first", "second")))
    return _SINGLE.format(level=draw.choice(("good", "usable", "reject")))
