"""``medqbench score``: score an existing prediction file without the kit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli import judge_options as options
from medqbench_vlmeval.errors import BadInput


def score(
    predictions: options.Predictions,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the result files.")] = None,
    data: options.Data = None,
    model: options.Model = None,
    judge: options.JudgeName = None,
    judge_base_url: options.BaseUrl = None,
    judge_key: options.Key = None,
    judge_nproc: options.Nproc = None,
    judge_retry: options.Retry = None,
    judge_timeout: options.Timeout = None,
    judge_args: options.Args = None,
    protocol: options.Protocol = None,
    extractor: options.Extractor = None,
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    prices: options.Prices = None,
    fresh: options.Fresh = False,
    no_calls: options.NoCalls = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the headline numbers as JSON.")] = False,
) -> None:
    """Score an existing prediction file without the kit; the task is told from its columns."""
    from medqbench_vlmeval.judge.prices import load_prices

    if out is None and not dry_run:
        raise BadInput("Name the folder for the result files with --out (only --dry-run needs none).")
    choice = options.JudgeChoice(
        judge,
        judge_base_url,
        judge_key,
        judge_nproc,
        judge_retry,
        judge_timeout,
        judge_args,
        protocol,
        fresh,
        no_calls,
    )
    folder = out if out is not None else predictions.parent
    more = {"limit": limit, "prices": prices, "extractor": extractor}
    request = partial(options.request_of, predictions, data, model, choice, folder, **more)
    if dry_run:
        from medqbench_vlmeval.cli.dry_run import show_budget
        from medqbench_vlmeval.evaluation.estimate import budget_of

        show_budget(budget_of(request()), as_json)
        return
    from medqbench_vlmeval.cli.progress import leave_on_interrupt
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation import evaluate, headline
    from medqbench_vlmeval.report import run_summary
    from medqbench_vlmeval.report.progress import judge_progress

    with judge_progress(lambda: load_prices(prices)) as on_progress, leave_on_interrupt():
        found = evaluate(request(leaderboard=folder / "leaderboard", on_progress=on_progress))
    if as_json:
        print_json({**headline(found.score), "files": {k: str(v) for k, v in vars(found.paths).items()}})
        return
    run_summary(found.score)
    for path in vars(found.paths).values():
        print(path)
