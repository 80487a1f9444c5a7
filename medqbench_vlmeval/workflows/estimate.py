"""What judging a prediction file would take; nothing is asked and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge import JudgeOptions, build_extractor, build_judge
from medqbench_vlmeval.judge.judges import extractor_options
from medqbench_vlmeval.workflows.evaluate import (
    Prepared,
    Request,
    open_replies,
    prepare,
    read_by_rules,
    refuse_extractor,
)

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.budget import Estimate
    from medqbench_vlmeval.judge.client import JudgeClient
    from medqbench_vlmeval.judge.usage import PriceTable


READ_BY_RULES = "read by the rules"
NO_REPLY = "no reply to read"


@dataclass(frozen=True)
class Budget:
    """The estimates for one prediction file, one a judge; for multiple choice that of the extractor, if there is one.

    ``n`` counts samples, ``not_judged`` those that are put to no judge or extractor, by reason. ``prices`` says where
    prices are from, ``notes`` what a reader has to know or do.
    """

    model: str
    dataset: str
    task: Task
    n: int
    not_judged: Mapping[str, int]
    judges: tuple[Estimate, ...]
    prices: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON types, with the sums over all judges under 'total'."""
        from medqbench_vlmeval.judge.budget import total

        return {
            "dry_run": True,
            "model": self.model,
            "dataset": self.dataset,
            "task": self.task.value,
            "n": self.n,
            "not_judged": dict(self.not_judged),
            "judges": [asdict(one) for one in self.judges],
            "total": dict(total(self.judges)),
            "prices": self.prices,
            "notes": list(self.notes),
        }


def budget_of(request: Request) -> Budget:
    """Work out what evaluating a request would cost. No key is needed, no server is asked, no file is written.

    Raises:
        BadInput: the prediction file, the data, an option or the price table cannot be used.
        NoJudge: a reasoning task, and no judge is named.
    """
    from medqbench_vlmeval.judge.budget import estimates
    from medqbench_vlmeval.judge.cache import ReplyCache
    from medqbench_vlmeval.judge.calls import texts_to_judge
    from medqbench_vlmeval.judge.usage import load_prices

    prices = load_prices(request.prices)
    prepared = prepare(request)
    refuse_extractor(request, prepared.task)
    known = Budget(request.model, request.dataset, prepared.task, len(prepared.samples), {}, (), prices.source, ())
    if prepared.task is Task.PERCEPTION and request.extractor is not None:
        return _of_extractor(request, prepared, known, prices)
    if prepared.task is Task.PERCEPTION:
        return replace(known, notes=("Multiple choice is scored without a judge: no calls, no cost.",))
    _, reasons = texts_to_judge(prepared.samples, prepared.predictions)
    options = JudgeOptions.from_kit_kwargs({**request.judge, "no_calls": True})
    with ReplyCache(request.cache, read_only=True) as store:
        judge = build_judge(options, store if request.cache is not None else None, _never_asked)
        found = estimates(judge, prepared.samples, prepared.predictions, prices, store.info())
    notes = _notes(request, found, prices)
    return replace(known, not_judged=dict(Counter(reasons.values())), judges=tuple(found), notes=notes)


def _of_extractor(request: Request, prepared: Prepared, known: Budget, prices: PriceTable) -> Budget:
    from medqbench_vlmeval.judge.budget import estimate
    from medqbench_vlmeval.judge.cache import ReplyCache

    options = extractor_options(request.extractor or "", {**request.judge, "no_calls": True})
    extractions = read_by_rules(prepared.samples, prepared.predictions)
    asked = open_replies(prepared.samples, prepared.predictions, extractions)
    with ReplyCache(request.cache, read_only=True) as store:
        extractor = build_extractor(options, store if request.cache is not None else None, _never_asked)
        found = estimate(extractor, extractor.calls_for(asked), prices, store.info())
    read = sum(extraction.letter is not None for extraction in extractions)
    counts = {READ_BY_RULES: read, NO_REPLY: len(extractions) - read - len(asked)}
    not_asked = {reason: n for reason, n in counts.items() if n}
    return replace(known, not_judged=not_asked, judges=(found,), notes=_notes(request, [found], prices))


def _notes(request: Request, found: Sequence[Estimate], prices: PriceTable) -> tuple[str, ...]:
    notes = [prices.advice(one.judge) for one in found if one.cost_usd is None]
    if request.judge.get("no_calls"):
        notes.append("With --no-calls nothing would be asked: the calls left would stay without a verdict.")
    if any(one.to_ask for one in found):
        notes.append(
            "Questions asked again after a reply without a verdict are not in it. A run with --limit 20 first puts the "
            "real length of replies in the place of an assumed one."
        )
    return tuple(notes)


def _never_asked(options: JudgeOptions) -> JudgeClient:
    raise RuntimeError(f"a dry run asked {options.name}")
