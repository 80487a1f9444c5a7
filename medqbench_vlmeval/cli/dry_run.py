"""Showing what judging would take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medqbench_vlmeval.evaluation.estimate import Budget

_HEADS = (
    "judge", "protocol", "calls", "in cache", "repeated", "to ask", "prompt tokens", "completion tokens", "cost",
    "by batch",
)  # fmt: skip
_NAMES = 2
_SPARE = (6, 7, 2, 3, 4)  # left out on a narrow terminal, the last one first; what is to ask and the cost stay


def show_budget(budget: Budget, as_json: bool) -> None:
    """Print the estimates of a dry run: a line a judge, their sum, and how the numbers were come by."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.judge.budget import total
    from medqbench_vlmeval.report.render import Grid, own_console, print_grid, print_line

    if as_json:
        print_json(budget.as_json())
        return
    console = own_console()
    for line in _before(budget):
        print_line(line, console)
    rows = [{**vars(one)} for one in budget.judges]
    if len(rows) > 1:
        rows.append({"judge": "all", "protocol": "", **total(budget.judges)})
    if rows:
        print_grid(Grid("", _HEADS, tuple(_cells(row) for row in rows), _NAMES, spare=_SPARE), console)
    for line in _after(budget):
        print_line(line, console)


def _before(budget: Budget) -> list[str]:
    asked = "the judge" if budget.task.is_reasoning else "the extractor"
    return [
        f"Dry run: {budget.model} on {budget.dataset}, {budget.n:,} samples. Nothing is asked, nothing is written.",
        *(f"Not put to {asked}: {n:,} ({reason})" for reason, n in budget.not_judged.items()),
    ]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from medqbench_vlmeval.report.progress import dollars

    counts = ("calls", "in_cache", "repeated", "to_ask", "prompt_tokens", "completion_tokens")
    return (
        str(row["judge"]),
        str(row["protocol"]),
        *(f"{row[name]:,}" for name in counts),
        dollars(row["cost_usd"]),
        dollars(row["cost_batch_usd"]),
    )


def _after(budget: Budget) -> list[str]:
    lines = [
        f"{one.judge}: prompt tokens by {one.counted_by}; completion tokens {one.completion_basis}."
        for one in budget.judges
        if one.to_ask
    ]
    if budget.judges:
        lines.append(f"Prices: {budget.prices}.")
    return [*lines, *budget.notes]
