"""``medqbench compare``: models on the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="Two scored runs or more: a '_score.json', '_samples.jsonl' or prediction file with its results "
            "beside it, or a folder with one model's results.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for compare.json and compare.xlsx (with the disagreements).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs on the samples that they have in common: paired differences with intervals and tests, and the
    smallest difference that so many samples can show."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation.compare import compare_runs, write_comparison
    from medqbench_vlmeval.report.render import own_console, print_line
    from medqbench_vlmeval.report.render_compare import compare_tables

    found = compare_runs(runs, seed)
    paths = write_comparison(found, out) if out is not None else ()
    if as_json:
        print_json(found.result)
        return
    console = own_console()
    compare_tables(found.result, console)
    for path in paths:
        print_line(str(path), console)
