"""What judging would take: calls, tokens and cost, worked out before anything is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqbench_vlmeval.judge.cache import CacheInfo
from medqbench_vlmeval.judge.calls import Call, Judge
from medqbench_vlmeval.judge.engine import CachedModel
from medqbench_vlmeval.judge.judges import ModelJudge, PanelJudge
from medqbench_vlmeval.judge.protocols import split_name
from medqbench_vlmeval.judge.tokens import TokenCounter
from medqbench_vlmeval.judge.usage import PriceTable, sums
from medqbench_vlmeval.types import Prediction, Sample

# What a chat adds to one user message (OpenAI Cookbook, 'How to count tokens with tiktoken': 3 for the message, 1 for
# its role, 3 that begin the reply).
CHAT_TOKENS = 7
# Where the cache holds no reply yet: 'Score: 2'; one or two sentences and the score; a JSON object with four of them;
# a short sentence and a letter.
ASSUMED_COMPLETION = {"official": 5, "rubric": 60, "rubric-joint": 220, "choice": 30}
# Models that think before they reply, and a guess at what they think about one question.
_THINKS = re.compile(
    r"(?:.*[/:])?(?:o[1-9](?:-|\Z)|gpt-5(?!-chat)|gemini-2\.5-pro|deepseek-(?:r1|reasoner)|.*thinking)"
)
ASSUMED_THINKING = 300
_SUMMED = (
    "calls", "in_cache", "repeated", "to_ask", "prompt_tokens", "completion_tokens", "cost_usd", "cost_batch_usd"
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """What one judge would take: calls in all, those answered already, those with the prompt of another, and those
    left to ask, once each. Tokens, how they were come by, and US dollars (None: no price) are of the last."""

    judge: str
    protocol: str
    calls: int = 0
    in_cache: int = 0
    repeated: int = 0
    to_ask: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted_by: str | None = None
    completion_basis: str | None = None
    cost_usd: float | None = 0.0
    cost_batch_usd: float | None = 0.0


def estimates(
    judge: Judge,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction],
    prices: PriceTable,
    cache: CacheInfo | None = None,
) -> list[Estimate]:
    """One estimate a judge, a panel's members one by one; ``cache`` has the mean length of a judge's replies."""
    if isinstance(judge, PanelJudge):
        return [row for member in judge.members for row in estimates(member, samples, predictions, prices, cache)]
    if isinstance(judge, ModelJudge):
        return [estimate(judge, judge.calls(samples, predictions)[0], prices, cache)]
    return [Estimate(judge.name, judge.protocol)]


def estimate(judge: CachedModel, calls: Sequence[Call], prices: PriceTable, cache: CacheInfo | None = None) -> Estimate:
    """What the calls of one model would take (see :func:`estimates`)."""
    verdicts, missing = judge.pending(calls)
    in_cache = sum(call.key in verdicts for call in calls)
    mean, basis = _completion(judge, cache)
    counter = TokenCounter(judge.name)
    prompts = sum(CHAT_TOKENS + counter(call.prompt) for call in missing)
    prompt_tokens = prompts + sum(counter(json.dumps(call.schema)) for call in missing if call.schema)
    completion_tokens = round(mean * len(missing))
    cost = prices.cost(judge.name, prompt_tokens, completion_tokens) if missing else 0.0
    return Estimate(
        judge.name,
        judge.protocol,
        calls=len(calls),
        in_cache=in_cache,
        repeated=len(calls) - in_cache - len(missing),
        to_ask=len(missing),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        counted_by=counter.name,
        completion_basis=basis,
        cost_usd=cost,
        cost_batch_usd=None if cost is None else cost * prices.batch_factor,
    )


def _completion(judge: CachedModel, cache: CacheInfo | None) -> tuple[float, str]:
    """Tokens of one reply and where that number is from."""
    family = split_name(judge.protocol)[0]
    groups = [group for group in cache.groups if group.judge == judge.name] if cache else []
    groups = [group for group in groups if split_name(group.protocol)[0] == family]
    n, tokens = sum(group.n for group in groups), sum(group.completion_tokens for group in groups)
    if n and tokens:
        return tokens / n, f"{tokens / n:,.0f} a call, the mean of {n:,} kept replies of this judge"
    assumed = ASSUMED_COMPLETION[family]
    thinks = bool(_THINKS.match(judge.name.lower()))
    assumed += ASSUMED_THINKING if thinks else 0
    basis = f"{assumed} a call, assumed for the protocol '{judge.protocol}'"
    basis += " and a model that thinks first" if thinks else ""
    most = judge.options.max_tokens
    return (assumed, basis) if most is None else (min(assumed, most), basis)


def total(judges: Sequence[Estimate]) -> Mapping[str, float | None]:
    """The sums over some estimates; a cost is None where one of them has no price."""
    return dict(zip(_SUMMED, sums(judges, *_SUMMED), strict=True))
