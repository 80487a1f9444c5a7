"""``medqbench report``: what scored runs say, for a browser, a spreadsheet and a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Scored runs: '_score.json' files, prediction files with results, or folders."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the page, workbooks, figures, tables and cards.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers and findings as JSON.")] = False,
) -> None:
    """Print what scored runs say, and write a page, workbooks, figures, tables and cards from their result files."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.evaluation.reports import write_reports
    from medqbench_vlmeval.report import run_summary
    from medqbench_vlmeval.report.render import own_console, print_line

    reports = write_reports(paths, out)
    if as_json:
        print_json(reports.as_json())
        return
    console = own_console()
    for one in reports.runs:
        run_summary(one.run.score, console, findings=True)
    written = [path for one in reports.runs for path in (one.workbook, one.card)]
    written += [
        path for path in (reports.workbook, *reports.tables, *reports.figures, reports.page) if path is not None
    ]
    for path in written:
        print_line(str(path), console)
