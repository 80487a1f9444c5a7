"""What calls took: how many there were, and the tokens that servers counted for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from medqbench_vlmeval.records import JudgedSample, Verdict


@dataclass(frozen=True)
class Usage:
    """What judging took: calls (re-asks included) and tokens as the server counted them."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class Paid(Protocol):
    """What a model said to one call: a verdict, or an extractor's choice."""

    @property
    def asks(self) -> int: ...

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...

    @property
    def from_cache(self) -> bool: ...


def usage_of(judged: Sequence[JudgedSample], *, this_run: bool = False) -> Usage:
    """The sum over all verdicts, or over those that were paid in this run; the embedded judge makes no calls."""
    return spent(single_verdicts(judged), this_run=this_run)


def single_verdicts(judged: Iterable[JudgedSample]) -> list[Verdict]:
    """All verdicts; of several rounds or judges the single ones."""

    def singles(verdict: Verdict) -> list[Verdict]:
        return [one for part in verdict.parts.values() for one in singles(part)] if verdict.parts else [verdict]

    return [one for sample in judged for verdict in sample.verdicts.values() for one in singles(verdict)]


def spent(paid: Iterable[Paid], *, this_run: bool = False) -> Usage:
    """The sum over some calls' results, or over those that this run paid for."""
    counted = [one for one in paid if not (this_run and one.from_cache)]
    return Usage(
        sum(one.asks for one in counted),
        sum(one.prompt_tokens for one in counted),
        sum(one.completion_tokens for one in counted),
    )
