"""Showing what judging would take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medqbench_vlmeval.evaluation.estimate import Budget

_HEADS = (
    "judge", "protocol", "calls", "in cache", "repeated", "to ask", "prompt tokens", "completion tokens", "cost",
    "by batch",
)  # fmt: skip
_NAMES = 2


def show_budget(budget: Budget, as_json: bool) -> None:
    """Print the estimates of a dry run: a line a judge, their sum, and how the numbers were come by."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.report.text import terminal_text

    if as_json:
        print_json(budget.as_json())
        return
    for line in budget_lines(budget):
        print(terminal_text(line))


def budget_lines(budget: Budget) -> list[str]:
    """What :func:`show_budget` prints, line by line."""
    from medqbench_vlmeval.judge.budget import total
    from medqbench_vlmeval.report.progress import dollars

    asked = "the judge" if budget.task.is_reasoning else "the extractor"
    lines = [
        f"Dry run: {budget.model} on {budget.dataset}, {budget.n:,} samples. Nothing is asked, nothing is written.",
        *(f"Not put to {asked}: {n:,} ({reason})" for reason, n in budget.not_judged.items()),
    ]
    rows = [{**vars(one)} for one in budget.judges]
    if len(rows) > 1:
        rows.append({"judge": "all", "protocol": "", **total(budget.judges)})
    if rows:
        lines += _table(
            [
                _HEADS,
                *(
                    (
                        str(row["judge"]),
                        str(row["protocol"]),
                        *(f"{row[name]:,}" for name in ("calls", "in_cache", "repeated", "to_ask")),
                        *(f"{row[name]:,}" for name in ("prompt_tokens", "completion_tokens")),
                        dollars(row["cost_usd"]),
                        dollars(row["cost_batch_usd"]),
                    )
                    for row in rows
                ),
            ]
        )
    for one in budget.judges:
        if one.to_ask:
            lines.append(f"{one.judge}: prompt tokens by {one.counted_by}; completion tokens {one.completion_basis}.")
    if rows:
        lines.append(f"Prices: {budget.prices}.")
    return [*lines, *budget.notes]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    aligned = [
        "  ".join(
            cell.ljust(width) if i < _NAMES else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [line.rstrip() for line in aligned]
