"""``medqbench data``: what a data file holds, and fetching one."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Look at the benchmark's data files.", no_args_is_help=True)


@app.command()
def info(
    data: Annotated[str, typer.Argument(help="A dataset's name or a data file (TSV).")],
    images: Annotated[bool, typer.Option("--images", help="Read, check and count the images too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a data file holds: counts, the columns that were read, inferred, absent and ignored, the hash."""
    from medqbench_vlmeval.cli.terminal import print_json
    from medqbench_vlmeval.data import describe
    from medqbench_vlmeval.evaluation.naming import sample_set_for
    from medqbench_vlmeval.report import describe_data

    found = describe(sample_set_for(data, images))
    if as_json:
        print_json(found)
    else:
        describe_data(found)
