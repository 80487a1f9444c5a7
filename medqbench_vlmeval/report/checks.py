"""What a run says of its own judge, in a line each: for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.report.progress import dollars
from medqbench_vlmeval.report.runs import OVERALL, RunPart, mapping, number, whole

_NONE = "-"


def checks_of(part: RunPart) -> list[str]:
    """What judging took, and how far the verdicts hold: against stated conclusions, between rounds, between judges."""
    lines = _taken(mapping(part.score.get("usage")))
    found = mapping(part.score.get("conclusions"))
    if found:
        agreed = mapping(found.get("agreement"))
        computed, judged = (_value(number(found.get(name))) for name in ("Quality Accuracy", "judge"))
        lines.append(
            f"Quality accuracy from stated conclusions: {computed} (judge {judged}), the same on "
            f"{_same(agreed, 'accuracy')} of {whole(agreed.get('n'))}; disagreements "
            f"(sheet 'Conclusions'): {whole(found.get('n_disagreements'))}"
        )
    rounds = mapping(part.score.get("between_rounds"))
    if rounds:
        lines.append(f"Same score in two rounds: {_by_dimension(rounds)}")
    judges = mapping(part.score.get("between_judges"))
    if judges:
        overall = ((name, number(mapping(means).get(OVERALL))) for name, means in mapping(judges.get("means")).items())
        lines.append(f"Overall by judge: {', '.join(f'{name} {_value(mean)}' for name, mean in overall)}")
        for first, others in mapping(judges.get("pairs")).items():
            for second, cells in mapping(others).items():
                lines.append(f"Same score of {first} and {second}: {_by_dimension(mapping(cells))}")
    return lines


def _taken(usage: Mapping[str, Any]) -> list[str]:
    """Calls, tokens and cost of all verdicts and of this run, a line a judge; nothing for a judge without calls."""
    lines = []
    for name, used in (mapping(usage.get("by_judge")) or {"": usage}).items():
        calls = whole(used.get("calls"))
        if not calls:
            continue
        now = mapping(used.get("this_run"))
        tokens = " + ".join(f"{whole(used.get(kind)) or 0:,}" for kind in ("prompt_tokens", "completion_tokens"))
        lines.append(
            f"Judge{f' {name}' if name else ''}: {calls:,} calls, {tokens} tokens, {dollars(used.get('cost_usd'))}; "
            f"this run {whole(now.get('calls')) or 0:,} calls, {dollars(now.get('cost_usd'))}"
        )
    return lines


def _by_dimension(cells: Mapping[str, Any]) -> str:
    return ", ".join(f"{title} {_same(mapping(cell), 'same')}" for title, cell in cells.items())


def _same(cell: Mapping[str, Any], name: str) -> str:
    same, kappa = number(cell.get(name)), number(cell.get("kappa"))
    return _NONE if same is None else f"{same:.1f}%" + (f" (kappa {kappa:.3f})" if kappa is not None else "")


def _value(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"
