"""``medqbench score``: score an existing prediction file without the kit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medqbench_vlmeval.cli import options
from medqbench_vlmeval.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from medqbench_vlmeval.report.table import Table
    from medqbench_vlmeval.workflows.estimate import Budget


@options.judge_options(
    "name", "base_url", "key", "nproc", "retry", "timeout", options.ARGS, "protocol", "fresh", "no_calls"
)
def score(
    predictions: options.Predictions,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the result files.")] = None,
    data: options.Data = None,
    columns: options.Columns = None,
    model: options.Model = None,
    extractor: options.Extractor = None,
    limit: options.Limit = None,
    kit_reading: Annotated[
        bool, typer.Option("--kit-reading", help="Accuracy as the kit reads replies, beside ours; loads the kit.")
    ] = False,
    dry_run: options.DryRun = False,
    prices: options.Prices = None,
    wandb: options.Wandb = None,
    mlflow: options.Mlflow = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the headline numbers as JSON.")] = False,
    *,
    judge: options.Given,
) -> None:
    """Score an existing prediction file without the kit; the task is told from its columns."""
    if out is None and not dry_run:
        raise BadInput("Name the folder for the result files with --out (only --dry-run needs none).")
    folder = out if out is not None else predictions.parent
    reader = options.kit_reader() if kit_reading and not dry_run else None
    more = {"limit": limit, "prices": prices, "extractor": extractor, "kit_reader": reader, "columns": columns}
    request = partial(options.request_of, predictions, data, model, judge, folder, **more)
    if dry_run:
        from medqbench_vlmeval.workflows.estimate import budget_of

        budget = budget_of(request())
        options.print_result(as_json, budget.to_json, lambda: estimates(budget))
        return
    from medqbench_vlmeval.report.change_tables import change_tables
    from medqbench_vlmeval.report.run_tables import run_summary
    from medqbench_vlmeval.report.terminal import judge_progress
    from medqbench_vlmeval.workflows import headline_to_json
    from medqbench_vlmeval.workflows.import_results import imported_to_json, with_changes
    from medqbench_vlmeval.workflows.trackers import Tracked

    with judge_progress() as on_progress:
        run, found = with_changes(
            request(leaderboard=folder / "leaderboard", on_progress=on_progress, keep_images=True)
        )
    files = {**vars(run.paths), **({"changes": found.file} if found else {})}
    options.print_result(
        as_json,
        lambda: {
            **headline_to_json(run.result, intervals=True),
            "files": {name: str(path) for name, path in files.items()},
            **(imported_to_json(found) if found else {}),
        },
        lambda: [*run_summary(run.result), *(change_tables([found]) if found else ())],
        files.values(),
    )
    options.track(lambda: [Tracked(run, tuple(files.values()))], wandb, mlflow)


@options.judge_options("name", "base_url", "key", "nproc", options.ARGS, "protocol")
def import_results(
    folder: Annotated[Path, typer.Argument(help="Work folder of the kit, or output folder of lmms-eval.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the results [FOLDER/medqbench].")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="Data file or a dataset's name, for files of its task; repeatable."),
    ] = None,
    as_json: options.AsJson = False,
    *,
    judge: options.Given,
) -> None:
    """Score the results of the kit's own classes and of lmms-eval in a folder, and say what changed and why."""
    from medqbench_vlmeval.report.change_tables import change_tables, left_tables
    from medqbench_vlmeval.report.terminal import judge_progress
    from medqbench_vlmeval.workflows.import_results import import_folder, imported_to_json

    place = folder / "medqbench" if out is None else out
    with judge_progress() as on_progress:
        board = place / "leaderboard"
        template = options.request_of(folder, None, "", judge, place, leaderboard=board, on_progress=on_progress)
        imports = import_folder(folder, place, data or (), template)
    failed, passed_over = ({str(path): why for path, why in of.items()} for of in (imports.failed, imports.passed_over))
    options.print_result(
        as_json,
        lambda: {
            "imported": [{"file": str(path), **imported_to_json(of)} for path, of in imports.scored.items()],
            "failed": failed,
            "passed_over": passed_over,
        },
        lambda: [
            *change_tables(list(imports.scored.values())),
            *left_tables("Not scored", imports.failed),
            *left_tables("Not taken", imports.passed_over),
            *([f"Results and leaderboard: {place}"] if imports.scored else []),
        ],
        [of.file for of in imports.scored.values()],
    )
    if failed:
        raise RunFailed(f"Not scored: {len(failed)} of these benchmarks' files, first {next(iter(failed.values()))}")


# Counts of an estimate and how soon a narrow terminal goes without each, the highest first.
_COUNTS = {"calls": 3, "in_cache": 4, "repeated": 5, "to_ask": 0, "prompt_tokens": 1, "completion_tokens": 2}


def estimates(budget: Budget) -> Iterator[Table | str]:
    """What a terminal shows of a dry run: a line a judge, their sum, and how the numbers were come by."""
    from medqbench_vlmeval.report.table import Column, table
    from medqbench_vlmeval.report.terminal import dollars

    model = "the extractor" if budget.task.is_choice else "the judge"
    yield f"Dry run: {budget.model} on {budget.dataset}, {budget.n:,} samples. Nothing is asked, nothing is written."
    yield from (f"Not put to {model}: {n:,} ({reason})" for reason, n in budget.not_judged.items())
    rows = [vars(estimate) for estimate in budget.judges]
    if len(rows) > 1:
        rows.append({"judge": "all", "protocol": "", **budget.total})
    if rows:
        counts = [Column(name.replace("_", " "), "number", optional=optional) for name, optional in _COUNTS.items()]
        columns = (Column("judge"), Column("protocol"), *counts, Column("cost", "number"), Column("by batch", "number"))
        costs = "cost_usd", "cost_batch_usd"
        cells = [
            (row["judge"], row["protocol"], *(f"{row[of]:,}" for of in _COUNTS), *(dollars(row[of]) for of in costs))
            for row in rows
        ]
        yield table("", columns, cells)
    for judge in budget.judges:
        if judge.to_ask:
            basis = f"prompt tokens by {judge.counted_by}; completion tokens {judge.completion_basis}"
            yield f"{judge.judge}: {basis}."
    if budget.judges:
        yield f"Prices: {budget.prices}."
    yield from budget.notes
