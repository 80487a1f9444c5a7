"""Over-long answers: cut by tokens before a judge sees them, and said so."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.judge.tokens import TokenCounter, counter_for
from medqbench_vlmeval.records import Sample

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
