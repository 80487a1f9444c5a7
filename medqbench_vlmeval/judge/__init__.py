"""Judges of reasoning replies: a model behind an OpenAI-compatible endpoint, and the embedded judge 'rules'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medqbench_vlmeval.errors import MissingDependency
from medqbench_vlmeval.judge.conclusion import preferred_image, quality_level
from medqbench_vlmeval.judge.interface import Judge, OnProgress, Progress
from medqbench_vlmeval.judge.options import JudgeOptions, parse_judge_args
from medqbench_vlmeval.judge.protocol import DEFAULT_PROTOCOL, PROTOCOLS, RULES, Protocol, load_protocol
from medqbench_vlmeval.records import JudgedSample, Verdict

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.asking import Asker
    from medqbench_vlmeval.judge.model_judge import ModelJudge
    from medqbench_vlmeval.judge.store import VerdictStore

KitAsker = Callable[[JudgeOptions], "Asker"]

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "RULES",
    "Judge",
    "JudgeOptions",
    "KitAsker",
    "OnProgress",
    "Progress",
    "Protocol",
    "Usage",
    "build_judge",
    "build_model_judge",
    "load_protocol",
    "parse_judge_args",
    "preferred_image",
    "quality_level",
    "usage_of",
]


@dataclass(frozen=True)
class Usage:
    """What judging took: calls (re-asks included) and tokens as the server counted them."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


def build_judge(options: JudgeOptions, store: VerdictStore | None = None, kit_asker: KitAsker | None = None) -> Judge:
    """The judge that the options name, a panel where they name several. Nothing is asked yet.

    Args:
        options: the judge and how to ask it.
        store: keeps answers across runs; None keeps nothing.
        kit_asker: makes what asks a model of the kit's ('kit:NAME'); None where the kit is out of reach.

    Raises:
        BadInput: unknown protocol, or a base URL that is none.
        MissingDependency: the official protocol, or a model of the kit's, without an installed kit.
        JudgeError: the judge needs a key and none is given.
    """
    if options.panel:
        from medqbench_vlmeval.judge.panel import PanelJudge

        return PanelJudge([build_judge(member, store, kit_asker) for member in options.panel])
    if options.name == RULES:
        if options.protocol != RULES:
            load_protocol(options.protocol) if options.protocol not in PROTOCOLS else None
        from medqbench_vlmeval.judge.rules import RulesJudge

        return RulesJudge()
    return build_model_judge(options, store, kit_asker)


def build_model_judge(
    options: JudgeOptions, store: VerdictStore | None = None, kit_asker: KitAsker | None = None
) -> ModelJudge:
    """One model as a judge (see :func:`build_judge`)."""
    from medqbench_vlmeval.judge.asking import OpenAIAsker
    from medqbench_vlmeval.judge.model_judge import ModelJudge

    protocol = load_protocol(options.protocol, options.n_rounds)
    if not options.of_kit:
        if not options.no_calls:
            options.secret()
        return ModelJudge(options, protocol, store, lambda: OpenAIAsker(options))
    if kit_asker is None:
        raise MissingDependency(f"The judge '{options.name}' is a model of the kit's, and no VLMEvalKit is installed.")
    return ModelJudge(options, protocol, store, lambda: kit_asker(options))


def usage_of(judged: Sequence[JudgedSample], *, this_run: bool = False) -> Usage:
    """The sum over all verdicts, or over those that were paid in this run; the embedded judge makes no calls."""

    def singles(verdict: Verdict) -> list[Verdict]:
        return [one for part in verdict.parts.values() for one in singles(part)] if verdict.parts else [verdict]

    verdicts = [
        one
        for sample in judged
        for verdict in sample.verdicts.values()
        for one in singles(verdict)
        if not (this_run and one.from_cache)
    ]
    return Usage(
        sum(verdict.asks for verdict in verdicts),
        sum(verdict.prompt_tokens for verdict in verdicts),
        sum(verdict.completion_tokens for verdict in verdicts),
    )
