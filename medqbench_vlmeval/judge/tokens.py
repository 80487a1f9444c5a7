"""How many tokens a text has for a model: by tiktoken where it knows the model, else by an estimate.

tiktoken fetches the file of an encoding from the internet when it is first needed, without a time limit. Here it
has five seconds, and a failure holds for the whole process, so that all texts of a run are counted in one way.
``TIKTOKEN_CACHE_DIR`` names a folder with files that were fetched elsewhere.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from medqbench_vlmeval.judge.options import KIT_PREFIX
from medqbench_vlmeval.types import Sample

if TYPE_CHECKING:
    from tiktoken import Encoding


ESTIMATE = "estimate"

_FETCH_SECONDS = 5.0
# A text is counted in pieces that end before white space or after a line: equal lines (a template's, an answer's)
# are counted once, and no merge takes more than linear time in a text without any white space.
_PIECE = re.compile(r"[^\n]{0,2000}\n{1,2000}|[^\n]{1,2000}(?=\s|\Z)|[^\n]{1,2000}")

_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ɏ"
# One match is one token. Byte-pair vocabularies hold most English words up to nine letters whole, and a word with the
# space before it; docs/budget.md has the deviations measured.
_ESTIMATED = re.compile(
    rf"(?<![{_UPPER}{_LOWER}])[{_UPPER}]?[{_LOWER}]{{1,9}}|[{_UPPER}]?[{_LOWER}]{{1,4}}|[{_UPPER}]{{1,3}}"
    r"|[0-9]{1,3}|[^\S\n](?=[0-9])"
    r"|-{3,16}|[!-/:-@\[-`{-~]{1,2}"
    r"|\n{1,16}|[^\S\n]{2,64}"
    r"|[\u0370-\u052f]{1,3}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]{1,2}|\S"
)

_encodings: dict[str, Encoding | None] = {}
_lock = threading.Lock()


class TokenCounter:
    """Counts texts for one model. ``name`` says how: 'tiktoken o200k_base', or 'estimate'.

    A count is never more than the text's bytes in UTF-8. Counts of pieces are remembered as long as the counter lives.
    """

    def __init__(self, name: str, count: Callable[[str], int]) -> None:
        self.name = name
        self._count = count
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The number of tokens; special tokens' names in a text count as the words that they are."""
        return sum(map(self._of_piece, _pieces(text)))

    def beginning(self, text: str, most: int) -> str:
        """The longest beginning of a text that has at most so many tokens."""
        end = 0
        for piece in _pieces(text):
            found = self._of_piece(piece)
            if found > most:
                return text[: end + self._longest(piece, most, _first)]
            most -= found
            end += len(piece)
        return text

    def end(self, text: str, most: int) -> str:
        """The longest end of a text that has at most so many tokens."""
        start = len(text)
        for piece in reversed(list(_pieces(text))):
            found = self._of_piece(piece)
            if found > most:
                return text[start - self._longest(piece, most, _last) :]
            most -= found
            start -= len(piece)
        return text

    def _of_piece(self, piece: str) -> int:
        found = self._known.get(piece)
        if found is None:
            found = self._known[piece] = self._count(piece.encode("utf-8", errors="replace").decode("utf-8"))
        return found

    def _longest(self, piece: str, most: int, part: Callable[[str, int], str]) -> int:
        """How many characters of a piece fit."""
        low, high = 0, len(piece)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self(part(piece, middle)) <= most else (low, middle - 1)
        return low


def counter_for(model: str) -> TokenCounter:
    """The counter for a model by its name, with or without a router's prefix ('openai/gpt-4o')."""
    name = _encoding_name(model)
    encoding = load_encoding(name) if name else None
    if encoding is None:
        return TokenCounter(ESTIMATE, _estimated)
    return TokenCounter(f"tiktoken {name}", lambda text: len(encoding.encode_ordinary(text)))


def count(text: str, model: str) -> tuple[int, str]:
    """How many tokens a text has for a model, and what counted them."""
    counter = counter_for(model)
    return counter(text), counter.name


def load_encoding(name: str) -> Encoding | None:
    """tiktoken's encoding, None where its file cannot be had within five seconds."""
    with _lock:
        if name not in _encodings:
            # After one failure the internet is taken to be out of reach.
            _encodings[name] = None if None in _encodings.values() else _fetched(name)
        return _encodings[name]


def _fetched(name: str) -> Encoding | None:
    found: list[Encoding] = []

    def fetch() -> None:
        import tiktoken

        try:
            found.append(tiktoken.get_encoding(name))
        except (OSError, ValueError, ImportError):
            return

    # A thread that hangs in a connection must not keep the process from ending.
    thread = threading.Thread(target=fetch, name="medqbench-tiktoken", daemon=True)
    thread.start()
    thread.join(_FETCH_SECONDS)
    return found[0] if found else None


def _encoding_name(model: str) -> str | None:
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(model.removeprefix(KIT_PREFIX).rpartition("/")[2].strip().lower())
    except KeyError:
        return None


def _first(text: str, length: int) -> str:
    return text[:length]


def _last(text: str, length: int) -> str:
    return text[len(text) - length :]


def _pieces(text: str) -> Iterator[str]:
    return (found.group() for found in _PIECE.finditer(text))


def _estimated(text: str) -> int:
    n = len(_ESTIMATED.findall(text))
    # Emoji and rare scripts take two tokens and more.
    return n if text.isascii() else n + len(text.encode("utf-16-le")) // 2 - len(text)


# Over-long answers: cut by tokens before a judge sees them, and said so.


# A description ends with its conclusion, which a cut must not take away.
_OF_BEGINNING = 3 / 4
# How far a cut is moved so that it falls between two words.
_NEAR = 40
_MOST_BYTES_A_CHARACTER = 4


def cut_answers(
    texts: Sequence[tuple[Sample, str]], most_tokens: int, model: str
) -> tuple[list[tuple[Sample, str]], dict[str, str]]:
    """The answers with the over-long ones cut, and a note for each of these by sample index.

    An answer of more than ``most_tokens`` keeps its beginning (three quarters) and its end (one quarter), with a mark
    between them; beginning, mark and end have at most ``most_tokens`` tokens by the same counter.

    Args:
        texts: samples with their answers.
        most_tokens: 100 or more.
        model: the judge's name, whose tokens are counted (see ``tokens``).
    """
    kept: list[tuple[Sample, str]] = []
    notes: dict[str, str] = {}
    counter: TokenCounter | None = None
    for sample, text in texts:
        if _surely_short(text, most_tokens):
            kept.append((sample, text))
            continue
        counter = counter or counter_for(model)
        n = counter(text)
        if n <= most_tokens:
            kept.append((sample, text))
            continue
        shorter = _cut(text, n, most_tokens, counter)
        kept.append((sample, shorter))
        notes[sample.index] = f"answer cut from {n:,} to {counter(shorter):,} tokens ({counter.name})"
    return kept, notes


def _surely_short(text: str, most_tokens: int) -> bool:
    """No text has more tokens than bytes."""
    if len(text) * _MOST_BYTES_A_CHARACTER <= most_tokens:
        return True
    return len(text) <= most_tokens and len(text.encode("utf-8", errors="replace")) <= most_tokens


def _cut(text: str, n: int, most: int, counter: TokenCounter) -> str:
    room = most - counter(_mark(n))
    while True:
        of_beginning = int(max(room, 0) * _OF_BEGINNING)
        beginning = _up_to_a_word(counter.beginning(text, of_beginning))
        end = _from_a_word(counter.end(text[len(beginning) :], max(room, 0) - of_beginning))
        left_out = n - counter(beginning) - counter(end)
        shorter = f"{beginning}{_mark(left_out)}{end}"
        over = counter(shorter) - most
        if over <= 0 or room <= 0:
            return shorter
        # Where two parts meet, a token more may be needed than for each alone.
        room -= over


def _mark(left_out: int) -> str:
    return f"\n\n[... {left_out:,} tokens cut ...]\n\n"


def _up_to_a_word(text: str) -> str:
    near = max(0, len(text) - _NEAR)
    last = max(text.rfind(space, near) for space in " \n")
    return text[:last] if last > 0 else text


def _from_a_word(text: str) -> str:
    found = [at for space in " \n" if (at := text.find(space, 0, _NEAR)) >= 0]
    return text[min(found) + 1 :] if found else text
