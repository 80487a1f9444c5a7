"""``medqbench score``: score an existing prediction file without the kit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medqbench_vlmeval.cli import options
from medqbench_vlmeval.errors import BadInput

if TYPE_CHECKING:
    from medqbench_vlmeval.workflows.estimate import Budget


@options.judge_options(
    "name", "base_url", "key", "nproc", "retry", "timeout", options.ARGS, "protocol", "fresh", "no_calls"
)
def score(
    predictions: options.Predictions,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the result files.")] = None,
    data: options.Data = None,
    model: options.Model = None,
    extractor: options.Extractor = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    prices: options.Prices = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the headline numbers as JSON.")] = False,
    *,
    judge: options.Given,
) -> None:
    """Score an existing prediction file without the kit; the task is told from its columns."""
    from medqbench_vlmeval.judge.usage import load_prices

    if out is None and not dry_run:
        raise BadInput("Name the folder for the result files with --out (only --dry-run needs none).")
    folder = out if out is not None else predictions.parent
    more = {"limit": limit, "prices": prices, "extractor": extractor}
    request = partial(options.request_of, predictions, data, model, judge, folder, **more)
    if dry_run:
        from medqbench_vlmeval.workflows.estimate import budget_of

        show_budget(budget_of(request()), as_json)
        return
    from medqbench_vlmeval.cli.options import leave_on_interrupt, print_json
    from medqbench_vlmeval.report import run_summary
    from medqbench_vlmeval.report.terminal import judge_progress
    from medqbench_vlmeval.workflows import evaluate, headline_to_json

    with judge_progress(lambda: load_prices(prices)) as on_progress, leave_on_interrupt():
        run = evaluate(request(leaderboard=folder / "leaderboard", on_progress=on_progress))
    if as_json:
        print_json({**headline_to_json(run.result), "files": {k: str(v) for k, v in vars(run.paths).items()}})
        return
    run_summary(run.result)
    for path in vars(run.paths).values():
        print(path)


# Showing what judging would take.


# Head and how soon a narrow terminal goes without it, the highest first; what is to ask and the cost stay.
_BUDGET_COLUMNS = (
    ("calls", 3), ("in cache", 4), ("repeated", 5), ("to ask", 0), ("prompt tokens", 1), ("completion tokens", 2),
    ("cost", 0), ("by batch", 0),
)  # fmt: skip


def show_budget(budget: Budget, as_json: bool) -> None:
    """Print the estimates of a dry run: a line a judge, their sum, and how the numbers were come by."""
    from medqbench_vlmeval.cli.options import print_json
    from medqbench_vlmeval.judge.budget import total
    from medqbench_vlmeval.report.table import Column, Row, Table
    from medqbench_vlmeval.report.terminal import own_console, print_line, print_table

    if as_json:
        print_json(budget.to_json())
        return
    console = own_console()
    for line in _before(budget):
        print_line(line, console)
    rows = [{**vars(one)} for one in budget.judges]
    if len(rows) > 1:
        rows.append({"judge": "all", "protocol": "", **total(budget.judges)})
    if rows:
        columns = [Column("judge"), Column("protocol")]
        columns += [Column(head, "number", optional=optional) for head, optional in _BUDGET_COLUMNS]
        print_table(Table("", columns, [Row(_cells(row)) for row in rows]), console)
    for line in _after(budget):
        print_line(line, console)


def _before(budget: Budget) -> list[str]:
    asked = "the judge" if budget.task.is_reasoning else "the extractor"
    return [
        f"Dry run: {budget.model} on {budget.dataset}, {budget.n:,} samples. Nothing is asked, nothing is written.",
        *(f"Not put to {asked}: {n:,} ({reason})" for reason, n in budget.not_judged.items()),
    ]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from medqbench_vlmeval.report.terminal import dollars

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
