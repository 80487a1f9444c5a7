"""Judges of reasoning replies: a model behind an OpenAI-compatible endpoint, and the embedded judge 'rules'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medqbench_vlmeval.judge.conclusion import preferred_image, quality_level
from medqbench_vlmeval.judge.interface import Judge, OnProgress
from medqbench_vlmeval.judge.journal import Journal
from medqbench_vlmeval.judge.options import JudgeOptions, parse_judge_args
from medqbench_vlmeval.judge.protocol import DEFAULT_PROTOCOL, PROTOCOLS, RULES, Protocol, load_protocol
from medqbench_vlmeval.records import JudgedSample

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "RULES",
    "Journal",
    "Judge",
    "JudgeOptions",
    "OnProgress",
    "Protocol",
    "Usage",
    "build_judge",
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


def build_judge(options: JudgeOptions) -> Judge:
    """The judge that the options name. Nothing is asked yet.

    Raises:
        BadInput: unknown protocol, or a base URL that is none.
        MissingDependency: the official protocol without an installed kit.
        JudgeError: the judge needs a key and none is given.
    """
    if options.name == RULES:
        if options.protocol not in (*PROTOCOLS, RULES):
            load_protocol(options.protocol)
        from medqbench_vlmeval.judge.rules import RulesJudge

        return RulesJudge()
    from medqbench_vlmeval.judge.openai_judge import OpenAIJudge

    protocol = load_protocol(options.protocol)
    options.secret()
    return OpenAIJudge(options, protocol)


def usage_of(judged: Sequence[JudgedSample]) -> Usage:
    """The sum over all verdicts; the embedded judge makes no calls."""
    verdicts = [verdict for one in judged for verdict in one.verdicts.values()]
    return Usage(
        sum(verdict.asks for verdict in verdicts),
        sum(verdict.prompt_tokens for verdict in verdicts),
        sum(verdict.completion_tokens for verdict in verdicts),
    )
