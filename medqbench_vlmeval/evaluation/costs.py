"""What a result's verdicts took, with the cost of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medqbench_vlmeval.judge import Judge, Paid, Usage, single_verdicts, spent
from medqbench_vlmeval.judge.panel import PanelJudge
from medqbench_vlmeval.judge.prices import PriceTable
from medqbench_vlmeval.records import JudgedSample

# A single call may cost a hundred-thousandth of a dollar; what is finer is noise of the arithmetic.
_DECIMALS = 8


@dataclass(frozen=True)
class Costs:
    """Works costs out from the tokens that servers counted; ``judges`` are names, several for a panel."""

    judges: tuple[str, ...]
    prices: PriceTable

    @classmethod
    def of(cls, judge: Judge, prices: PriceTable) -> Costs:
        """For a judge or for all members of a panel."""
        members = judge.members if isinstance(judge, PanelJudge) else (judge,)
        return cls(tuple(member.name for member in members), prices)

    def usage(self, judged: Sequence[JudgedSample]) -> dict[str, Any]:
        """The ``usage`` object of a result: calls, tokens and ``cost_usd`` of all verdicts and of this run's.

        A cost is at live list prices, also where a verdict came by a batch; it is None where a judge has no price or
        its server counted no tokens. A panel has the same object for each judge under 'by_judge'.
        """
        if len(self.judges) == 1:
            return self._of_one(self.judges[0], single_verdicts(judged))
        by_judge = {name: self._of_one(name, single_verdicts(_of_member(judged, name))) for name in self.judges}
        return {
            **_summed(list(by_judge.values())),
            "this_run": _summed([one["this_run"] for one in by_judge.values()]),
            "by_judge": by_judge,
        }

    def of_calls(self, paid: Sequence[Paid]) -> dict[str, Any]:
        """The ``usage`` object of what a single model said to some calls (see :meth:`usage`)."""
        return self._of_one(self.judges[0], paid)

    def _of_one(self, name: str, paid: Sequence[Paid]) -> dict[str, Any]:
        everything, this_run = (spent(paid, this_run=alone) for alone in (False, True))
        return {**self._costed(name, everything), "this_run": self._costed(name, this_run)}

    def _costed(self, name: str, usage: Usage) -> dict[str, Any]:
        cost = self.prices.cost(name, usage.prompt_tokens, usage.completion_tokens) if usage.calls else 0.0
        uncounted = usage.calls > 0 and not usage.prompt_tokens
        price = self.prices.price(name)
        if uncounted and price is not None and (price.input or price.output):
            cost = None
        return {**asdict(usage), "cost_usd": None if cost is None else round(cost, _DECIMALS)}


def _of_member(judged: Sequence[JudgedSample], name: str) -> list[JudgedSample]:
    return [
        JudgedSample(one.index, {dimension: verdict.parts[name] for dimension, verdict in one.verdicts.items()})
        for one in judged
    ]


def _summed(usages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs = [one["cost_usd"] for one in usages]
    return {
        **{name: sum(one[name] for one in usages) for name in ("calls", "prompt_tokens", "completion_tokens")},
        "cost_usd": None if None in costs else round(sum(costs), _DECIMALS),
    }
