"""Models and rules that read replies: judges of reasoning replies, and extractors of option letters. Its names are
imported on first use, since commands that judge nothing start without them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.calls import Judge, OnProgress, Progress
    from medqbench_vlmeval.judge.client import KitClient
    from medqbench_vlmeval.judge.judges import build_extractor, build_judge, build_model_judge
    from medqbench_vlmeval.judge.options import DEFAULT_PROTOCOL, RULES, JudgeOptions

__all__ = [
    "DEFAULT_PROTOCOL",
    "RULES",
    "Judge",
    "JudgeOptions",
    "KitClient",
    "OnProgress",
    "Progress",
    "build_extractor",
    "build_judge",
    "build_model_judge",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        # In the order in which they import each other.
        for module in ("options", "calls", "judges"):
            if hasattr(home := import_module(f"{__name__}.{module}"), name):
                return getattr(home, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
