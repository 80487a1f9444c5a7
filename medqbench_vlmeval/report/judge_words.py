"""What a judge said on a verdict, short enough for a table."""

from __future__ import annotations

from typing import Any

from medqbench_vlmeval.report.runs import mapping, text

LIMIT = 400


def judge_words(verdict: object, limit: int = LIMIT) -> str | None:
    """The judge's sentence on a dimension, else its reply, cut to ``limit`` characters; None where there is none.

    Of several rounds or judges each one's words follow its name.

    Args:
        verdict: a verdict out of a sample row, as the file has it.
        limit: characters.
    """
    said = _said(mapping(verdict), ("explanation", "reply"))
    return f"{said[: limit - 2]} …" if said and len(said) > limit else said or None


def explanation(verdict: object) -> str | None:
    """The judge's sentences on a dimension alone, whole; None where it was not asked for any."""
    return _said(mapping(verdict), ("explanation",)) or None


def _said(verdict: Any, names: tuple[str, ...]) -> str:
    parts = mapping(verdict.get("parts"))
    if parts:
        found = {name: _said(mapping(part), names) for name, part in parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in found}
        return "\n".join(f"{labels[name]}: {words}" for name, words in found.items() if words)
    said = next((words for name in names if (words := text(verdict.get(name)))), "")
    return " ".join(said.split())
