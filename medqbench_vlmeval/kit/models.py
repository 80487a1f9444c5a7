"""Models for ``--model``: the baselines, and the published tables' names for models of the kit's zoo."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Any

from vlmeval.vlm.base import BaseModel

# Name in the published tables -> names under which the two supported kits carry the model, best first.
_PUBLISHED_NAMES: Mapping[str, Sequence[str]] = {
    "GPT-5": ("gpt-5", "gpt-5-2025-08-07"),
    "GPT-4o": ("GPT4o_20241120", "GPT4o_20240806", "GPT4o"),
    "Grok-4": ("grok-4-0709",),
    "Gemini-2.5-Pro": ("GeminiPro2-5",),
    "Claude-4-Sonnet": ("Claude4_Sonnet",),
    "Mistral-Medium-3": ("Mistral-Medium-3", "mistral-medium-3"),
    "MedGemma-27B": ("medgemma-27b-it", "MedGemma-27B-it"),
    "Qwen2.5-VL-72B": ("Qwen2.5-VL-72B-Instruct",),
    "Qwen2.5-VL-32B": ("Qwen2.5-VL-32B-Instruct",),
    "Qwen2.5-VL-7B": ("Qwen2.5-VL-7B-Instruct",),
    "InternVL3-38B": ("InternVL3-38B",),
    "InternVL3-8B": ("InternVL3-8B",),
}


def aliases(zoo: Container[str]) -> dict[str, str]:
    """The published tables' model names that the zoo lacks, each with the zoo's name for the same model.

    Names of models that the zoo does not carry at all are left out: there is nothing to run.
    """
    found = {
        alias: next((name for name in names if name in zoo), None)
        for alias, names in _PUBLISHED_NAMES.items()
        if alias not in zoo
    }
    return {alias: name for alias, name in found.items() if name is not None}


class MedQChance(BaseModel):  # type: ignore[misc]
    """Baseline: a seeded random choice, and template text for the reasoning tasks. Looks at no image."""

    INTERLEAVE = True

    def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:  # noqa: ARG002
        from medqbench_vlmeval.baselines import chance

        return chance.reply(message)


class MedQClassical(BaseModel):  # type: ignore[misc]
    """Baseline: classical image statistics (noise, sharpness, contrast, ...) turned into answers."""

    INTERLEAVE = True

    def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:  # noqa: ARG002
        from medqbench_vlmeval.baselines import classical

        return classical.reply(message)


BASELINES: Mapping[str, partial[Any]] = {
    "MedQ-Chance": partial(MedQChance),
    "MedQ-Classical": partial(MedQClassical),
}
