"""What judging a prediction file would take; nothing is asked and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medqbench_vlmeval.benchmark import Task
from medqbench_vlmeval.judge import JudgeOptions, build_judge
from medqbench_vlmeval.judge.budget import Estimate, estimate, estimates, total
from medqbench_vlmeval.judge.cache import ReplyCache
from medqbench_vlmeval.judge.calls import texts_to_judge
from medqbench_vlmeval.judge.client import JudgeClient
from medqbench_vlmeval.judge.judges import build_extractor, extractor_options
from medqbench_vlmeval.judge.usage import load_prices
from medqbench_vlmeval.workflows.evaluate import Request, adopted, open_replies, prepare, read_by_rules


@dataclass(frozen=True)
class Budget:
    """The estimates for one prediction file, one a judge or extractor, with their ``total``. Of ``n`` samples
    ``not_judged`` are put to none, by reason. ``prices`` says where these are from, ``notes`` what to know or do."""

    model: str
    dataset: str
    task: Task
    n: int
    not_judged: Mapping[str, int]
    judges: tuple[Estimate, ...]
    total: Mapping[str, float | None]
    prices: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return {"dry_run": True, **asdict(self), "task": self.task.value}


def budget_of(request: Request) -> Budget:
    """Work out what evaluating a request would cost, without a key, a server or a file. Raises BadInput where the
    prediction file, the data, an option or the price table cannot be used; NoJudge for a reasoning task without one."""
    prices = load_prices(request.prices)
    prepared = prepare(request)
    samples, predictions = prepared.samples, prepared.predictions
    keywords = {**request.judge, "no_calls": True}
    judges: list[Estimate] = []
    not_judged, notes = Counter[str](), list[str]()
    with ReplyCache(request.cache, read_only=True) as replies:
        store = replies if request.cache is not None else None
        if adopted(request, prepared):
            notes = ["The verdicts that the kit's own class left in the file are taken: no calls, no cost."]
        elif not prepared.task.is_choice:
            judge = build_judge(JudgeOptions.from_kit_kwargs(keywords), store, _never_asked)
            not_judged.update(texts_to_judge(samples, predictions)[1].values())
            judges = estimates(judge, samples, predictions, prices, replies.info())
        elif request.extractor is not None:
            extractor = build_extractor(extractor_options(request.extractor, keywords), store, _never_asked)
            extractions = read_by_rules(samples, predictions)
            to_read = open_replies(samples, predictions, extractions)
            n_read = sum(extraction.letter is not None for extraction in extractions)
            n_empty = len(samples) - n_read - len(to_read)
            not_judged += Counter({"read by the rules": n_read, "no reply to read": n_empty})
            judges = [estimate(extractor, extractor.calls_for(to_read), prices, replies.info())]
    notes += [prices.advice(row.judge) for row in judges if row.cost_usd is None]
    if prepared.task.is_choice and not judges:
        notes.append("Multiple choice is scored without a judge: no calls, no cost.")
    elif request.judge.get("no_calls"):
        notes.append("With --no-calls nothing would be asked: the calls left would stay without a verdict.")
    if any(row.to_ask for row in judges):
        notes.append(
            "Questions asked again after a reply without a verdict are not in it. A run with --limit 20 first puts the "
            "real length of replies in the place of an assumed one."
        )
    return Budget(
        request.model,
        request.dataset,
        prepared.task,
        len(samples),
        dict(not_judged),
        tuple(judges),
        total(judges),
        prices.source,
        tuple(notes),
    )


def _never_asked(options: JudgeOptions) -> JudgeClient:
    raise RuntimeError(f"a dry run asked {options.name}")
