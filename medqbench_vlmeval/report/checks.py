"""What a run says of its own judge, in a line each: for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medqbench_vlmeval.judge import RULES
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
        n = whole(agreed.get("n"))
        lines.append(
            f"Quality accuracy from stated conclusions: {computed} on {whole(found.get('n'))} (judge {judged} on {n}), "
            f"the same on {_same(agreed, 'accuracy')} of {n}; disagreements "
            f"(sheet 'Conclusions'): {whole(found.get('n_disagreements'))}"
            + ("; one of the panel, 'rules', computes it so itself" if has_rules(part) else "")
        )
    if has_several_verdicts(part):
        lines.append(f"Single verdicts of 0 / 1 / 2: {_frequencies(mapping(part.score.get('frequencies')))}")
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


def has_several_verdicts(part: RunPart) -> bool:
    """Whether a sample has more than one verdict a dimension: of several rounds or several judges."""
    return any(part.score.get(block) for block in ("between_rounds", "between_judges"))


def has_rules(part: RunPart) -> bool:
    """Whether the embedded judge is one of the panel; its quality accuracy is the computed one."""
    members = (part.setting("judge", "name") or "").split(", ")
    return len(members) > 1 and RULES in members


def _frequencies(found: Mapping[str, Any]) -> str:
    """Shares in percent, a dimension after the other."""
    shown = []
    for title, counts in found.items():
        marks = [whole(count) or 0 for count in mapping(counts).values()]
        shares = [f"{100 * count / sum(marks):.1f}" for count in marks if any(marks)]
        shown.append(f"{title} {' / '.join(shares) + '%' if shares else _NONE}")
    return ", ".join(shown)


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
