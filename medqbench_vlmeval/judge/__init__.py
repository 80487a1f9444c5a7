"""Judges of reasoning replies: a model behind an OpenAI-compatible endpoint, and the embedded judge 'rules'."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from medqbench_vlmeval.answers.conclusion import preferred_image, quality_level
from medqbench_vlmeval.errors import MissingDependency
from medqbench_vlmeval.judge.calls import Judge, OnProgress, Progress
from medqbench_vlmeval.judge.options import JudgeOptions, parse_judge_args
from medqbench_vlmeval.judge.protocols import DEFAULT_PROTOCOL, PROTOCOLS, RULES, Protocol, load_protocol
from medqbench_vlmeval.judge.usage import Paid, Usage, single_verdicts, spent, usage_of

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.cache import VerdictStore
    from medqbench_vlmeval.judge.client import Asker
    from medqbench_vlmeval.judge.judges import Extractor, ModelJudge


KitAsker = Callable[[JudgeOptions], "Asker"]

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "RULES",
    "Judge",
    "JudgeOptions",
    "KitAsker",
    "OnProgress",
    "Paid",
    "Progress",
    "Protocol",
    "Usage",
    "build_extractor",
    "build_judge",
    "build_model_judge",
    "load_protocol",
    "parse_judge_args",
    "preferred_image",
    "quality_level",
    "single_verdicts",
    "spent",
    "usage_of",
]


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
        from medqbench_vlmeval.judge.judges import PanelJudge

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
    from medqbench_vlmeval.judge.judges import ModelJudge

    protocol = load_protocol(options.protocol, options.n_rounds)
    return ModelJudge(options, protocol, store, _asker_of(options, kit_asker))


def build_extractor(
    options: JudgeOptions, store: VerdictStore | None = None, kit_asker: KitAsker | None = None
) -> Extractor:
    """The model that reads what the extraction rules leave open (see :func:`build_judge`).

    Args:
        options: see ``extractor.extractor_options``.
        store: keeps answers across runs; None keeps nothing.
        kit_asker: see :func:`build_judge`.
    """
    from medqbench_vlmeval.judge.judges import Extractor
    from medqbench_vlmeval.judge.protocols import choice_protocol

    return Extractor(options, choice_protocol(), store, _asker_of(options, kit_asker))


def _asker_of(options: JudgeOptions, kit_asker: KitAsker | None) -> Callable[[], Asker]:
    from medqbench_vlmeval.judge.client import OpenAIAsker

    if not options.of_kit:
        if not options.no_calls:
            options.secret()
        return lambda: OpenAIAsker(options)
    if kit_asker is None:
        raise MissingDependency(
            f"The {options.role} '{options.name}' is a model of the kit's, and no VLMEvalKit is installed."
        )
    return lambda: kit_asker(options)
