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
    said = _said(mapping(verdict))
    return f"{said[: limit - 2]} …" if said and len(said) > limit else said or None


def _said(verdict: Any) -> str:
    parts = mapping(verdict.get("parts"))
    if parts:
        found = {name: _said(mapping(part)) for name, part in parts.items()}
        labels = {name: f"round {name}" if name.isdigit() else name for name in found}
        return "\n".join(f"{labels[name]}: {words}" for name, words in found.items() if words)
    return " ".join((text(verdict.get("explanation")) or text(verdict.get("reply")) or "").split())
