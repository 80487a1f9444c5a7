"""``medqbench score``: score an existing prediction file without the kit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULTS = {"nproc": 32, "retry": 6, "timeout": 600.0}


def score(
    predictions: Annotated[Path, typer.Argument(help="Prediction file: xlsx, csv, tsv, json or jsonl.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result files.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data file (TSV) or a dataset's name; default: the file's own columns."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name in the results.")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Judge model, or 'rules' for the embedded one.")] = None,
    judge_base_url: Annotated[str | None, typer.Option("--judge-base-url", help="http://host:port/v1")] = None,
    judge_key: Annotated[
        str | None, typer.Option("--judge-key", help="Better: the environment variable MEDQBENCH_JUDGE_KEY.")
    ] = None,
    judge_nproc: Annotated[int | None, typer.Option("--judge-nproc", min=1, help="Calls in flight [32].")] = None,
    judge_retry: Annotated[int | None, typer.Option("--judge-retry", min=0, help="Retries of a call [6].")] = None,
    judge_timeout: Annotated[
        float | None, typer.Option("--judge-timeout", min=0.001, help="Seconds for one call [600].")
    ] = None,
    judge_args: Annotated[str | None, typer.Option("--judge-args", help="More judge options as JSON.")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Judge protocol: official or rubric.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the headline numbers as JSON.")] = False,
) -> None:
    """Score an existing prediction file without the kit; the task is told from its columns."""
    from medqbench_vlmeval.cli.progress import judge_progress, leave_on_interrupt
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation import Request, evaluate, headline
    from medqbench_vlmeval.evaluation.naming import name_results, sample_set_for
    from medqbench_vlmeval.judge import parse_judge_args
    from medqbench_vlmeval.judge.journal import FILE_NAME
    from medqbench_vlmeval.report import run_summary

    given: dict[str, Any] = {
        "model": judge,
        "api_base": judge_base_url,
        "key": judge_key,
        "nproc": judge_nproc,
        "retry": judge_retry,
        "timeout": judge_timeout,
        "protocol": protocol,
    }
    # An option of its own says more than the same one inside --judge-args.
    options = {**DEFAULTS, **parse_judge_args(judge_args), **{k: v for k, v in given.items() if v is not None}}
    sample_set = sample_set_for(data) if data is not None else None
    names = name_results(predictions, model, sample_set)
    with judge_progress() as on_progress, leave_on_interrupt():
        found = evaluate(
            Request(
                prediction_file=predictions,
                model=names.model,
                dataset=names.dataset,
                sample_set=sample_set,
                judge=options,
                out=out,
                leaderboard=out / "leaderboard",
                journal=out / FILE_NAME,
                stem=names.stem,
                on_progress=on_progress,
            )
        )
    if as_json:
        print_json({**headline(found.score), "files": {k: str(v) for k, v in vars(found.paths).items()}})
        return
    run_summary(found.score)
    for path in vars(found.paths).values():
        print(path)
