"""``medqbench score``: score an existing prediction file without the kit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli import judge_options as options


def score(
    predictions: options.Predictions,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result files.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the headline numbers as JSON.")] = False,
) -> None:
    """Score an existing prediction file without the kit; the task is told from its columns."""
    from medqbench_vlmeval.cli.progress import judge_progress, leave_on_interrupt
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation import evaluate, headline
    from medqbench_vlmeval.report import run_summary

    choice = options.JudgeChoice(
        judge, judge_base_url, judge_key, judge_nproc, judge_retry, judge_timeout, judge_args, protocol
    )
    with judge_progress() as on_progress, leave_on_interrupt():
        request = options.request_of(
            predictions, data, model, choice, out, leaderboard=out / "leaderboard", on_progress=on_progress
        )
        found = evaluate(request)
    if as_json:
        print_json({**headline(found.score), "files": {k: str(v) for k, v in vars(found.paths).items()}})
        return
    run_summary(found.score)
    for path in vars(found.paths).values():
        print(path)
