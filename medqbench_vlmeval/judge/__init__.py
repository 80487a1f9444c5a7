"""Models and rules that read replies: judges of reasoning replies, and extractors of option letters. Its names are
imported on first use, since commands that judge nothing start without them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medqbench_vlmeval.judge.calls import Judge
    from medqbench_vlmeval.judge.judges import build_judge
    from medqbench_vlmeval.judge.options import RULES, JudgeOptions

__all__ = ["RULES", "Judge", "JudgeOptions", "build_judge"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        # In the order in which they import each other.
        for module in ("options", "calls", "judges"):
            if hasattr(home := import_module(f"{__name__}.{module}"), name):
                return getattr(home, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
