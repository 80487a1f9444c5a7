"""``medqbench leaderboard``: the local board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The local leaderboard with the published rows beside your own.", no_args_is_help=True)


@app.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(help="A work folder, its 'leaderboard' folder or leaderboard.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the boards; without a folder (or where none was written yet in ./outputs) the published rows."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.report import leaderboard, terminal_tables

    rows = leaderboard.leaderboard_rows(
        folder if folder is not None else Path("outputs"), must_exist=folder is not None
    )
    if as_json:
        print_json(leaderboard.as_json(rows))
    else:
        terminal_tables(rows)


@app.command()
def add(
    run_dir: Annotated[Path, typer.Argument(help="A folder with *_score.json files, or one such file.")],
    board: Annotated[Path, typer.Option("--board", help="The board's folder.")] = Path("outputs/leaderboard"),
) -> None:
    """Enter scored runs into a board; entering a run again replaces its row."""
    from medqbench_vlmeval.report import leaderboard

    for score in leaderboard.read_scores(run_dir):
        print(leaderboard.update(board, score))
