"""Tokens counted for a model, and over-long answers cut by them: by tiktoken where it knows the model, else at 4.5
bytes a token. tiktoken fetches an encoding's file from the internet; it has five seconds, and a failure holds for the
whole process. ``TIKTOKEN_CACHE_DIR`` names a folder with files that were fetched elsewhere."""

from __future__ import annotations

import math
import re
import threading
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout  # another than the built-in one before Python 3.11
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from medqbench_vlmeval.judge.options import KIT_PREFIX
from medqbench_vlmeval.steps import in_thread

if TYPE_CHECKING:
    from tiktoken import Encoding

# Right for the English of judge prompts; docs/judge.md has the deviations measured.
BYTES_A_TOKEN = 4.5

_FETCH_SECONDS = 5.0
# tiktoken counts a text in pieces that end before white space or after a line: equal lines (a template's, an answer's)
# are counted once, and no merge takes more than linear time in a text without any white space.
_PIECE = re.compile(r"[^\n]{0,2000}\n{1,2000}|[^\n]{1,2000}(?=\s|\Z)|[^\n]{1,2000}")
# A description ends with its conclusion, which a cut must not take away.
_OF_BEGINNING = 3 / 4

# A run of letters or digits takes a token or more, in a script without blanks each four of its characters.
_WORD = re.compile(r"[^\W\d_]+|\d+")
_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CHARACTERS_A_TOKEN = 4

_encodings: dict[str, Encoding | None] = {}
_lock = threading.Lock()


class TokenCounter:
    """Counts texts for one model; ``name`` says how ('tiktoken o200k_base', 'estimate'). No count is above the text's
    bytes in UTF-8; names of special tokens count as words."""

    def __init__(self, model: str) -> None:
        from tiktoken.model import encoding_name_for_model

        encoding: Encoding | None = None
        name = ""
        with suppress(KeyError):
            # A router's prefix ('openai/gpt-4o') is no part of a model's name.
            name = encoding_name_for_model(model.removeprefix(KIT_PREFIX).rpartition("/")[2].strip().lower())
            encoding = load_encoding(name)
        self.name = "estimate" if encoding is None else f"tiktoken {name}"
        self._of_piece = None if encoding is None else cache(lambda piece: len(encoding.encode_ordinary(piece)))

    def __call__(self, text: str) -> int:
        """The number of tokens in a text."""
        sendable = text.encode("utf-8", errors="replace")
        if self._of_piece is None:
            return math.ceil(len(sendable) / BYTES_A_TOKEN)
        return sum(map(self._of_piece, _PIECE.findall(sendable.decode("utf-8"))))


def fewest_tokens(text: str) -> int:
    """A number of tokens that no tokenizer which keeps to the borders of words goes below."""
    return len(_WORD.findall(text)) + len(_WITHOUT_BLANKS.findall(text)) // _CHARACTERS_A_TOKEN


def load_encoding(name: str) -> Encoding | None:
    """tiktoken's encoding, None where its file cannot be had within five seconds."""
    import tiktoken

    with _lock:
        # After one failure the internet is taken to be out of reach.
        if name not in _encodings and None not in _encodings.values():
            with suppress(OSError, ValueError, ImportError, FutureTimeout):
                _encodings[name] = in_thread(partial(tiktoken.get_encoding, name)).result(_FETCH_SECONDS)
        return _encodings.setdefault(name, None)


def cut_answer(text: str, most_tokens: int, model: str) -> tuple[str, str | None]:
    """The answer, and a note where it was cut. One of more than ``most_tokens`` keeps its beginning (three quarters)
    and its end (one quarter), with a mark between them: together at most ``most_tokens`` (100 or more) tokens of the
    judge ``model``."""
    # No text has more tokens than bytes.
    if len(text.encode(errors="replace")) <= most_tokens:
        return text, None
    counter = TokenCounter(model)
    if (n := counter(text)) <= most_tokens:
        return text, None
    shorter = _cut(text, n, most_tokens, counter)
    return shorter, f"answer cut from {n:,} to {counter(shorter):,} tokens ({counter.name})"


def _cut(text: str, n: int, most: int, counter: TokenCounter) -> str:
    room = most - counter(_mark(n))
    while True:
        of_beginning = int(max(room, 0) * _OF_BEGINNING)
        beginning = text[: _fitting(len(text), of_beginning, lambda length: counter(text[:length]))]
        rest = text[len(beginning) :]
        of_end = max(room, 0) - of_beginning
        end = rest[len(rest) - _fitting(len(rest), of_end, lambda length: counter(rest[len(rest) - length :])) :]  # noqa: B023
        shorter = f"{beginning}{_mark(n - counter(beginning) - counter(end))}{end}"
        over = counter(shorter) - most
        if over <= 0 or room <= 0:
            return shorter
        # Where two parts meet, a token more may be needed than for each alone.
        room -= over


def _fitting(longest: int, most: int, count: Callable[[int], int]) -> int:
    """The greatest length, up to the longest, that has at most so many tokens."""
    return bisect_right(range(longest + 1), most, key=count) - 1


def _mark(left_out: int) -> str:
    return f"\n\n[... {left_out:,} tokens cut ...]\n\n"
