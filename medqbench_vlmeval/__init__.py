"""MedQ-Bench for VLMEvalKit: medical image quality assessment by multimodal language models."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__", "register"]


def register() -> None:
    """Put the datasets, model aliases and baselines into the installed VLMEvalKit; calling twice does no harm.

    Raises:
        medqbench_vlmeval.errors.MissingDependency: no VLMEvalKit is installed.
    """
    from medqbench_vlmeval.kit.registration import register as register_all

    register_all()
