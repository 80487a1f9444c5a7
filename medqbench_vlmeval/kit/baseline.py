"""The baselines as a model of the kit's."""

from __future__ import annotations

from importlib import import_module

from vlmeval.vlm.base import BaseModel


class MedQBaseline(BaseModel):  # type: ignore[misc]
    """A model of this package's: 'chance' is a seeded random choice, and template text for the reasoning tasks, and
    looks at no image; 'classical' turns image statistics (noise, sharpness, contrast, ...) into answers."""

    INTERLEAVE = True

    def __init__(self, module: str) -> None:
        super().__init__()
        self._module = module

    def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:  # noqa: ARG002
        # numpy and scipy are loaded when the first reply is wanted.
        reply: str = import_module(f"medqbench_vlmeval.baselines.{self._module}").reply(message)
        return reply
