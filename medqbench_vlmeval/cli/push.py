"""``medqbench push``: scored runs on the Hugging Face hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from medqbench_vlmeval.cli.options import AsJson, print_json


def push(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Scored runs, as 'report' takes them.")],
    repo: Annotated[str, typer.Option("--repo", help="USER/NAME on the hub; made where it is absent.")],
    space: Annotated[bool, typer.Option("--space", help="A static Space with the page, instead of a dataset.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the files and send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send predictions, results, cards and the page of scored runs to the Hugging Face hub; no image is sent."""
    from medqbench_vlmeval.workflows.push import push as send

    pushed = send(paths, repo, space=space, public=public, dry=dry_run)
    if pushed.without_predictions:
        names = ", ".join(pushed.without_predictions)
        print(f"Without their predictions, which do not lie beside the results: {names}", file=sys.stderr)
    if as_json:
        print_json(vars(pushed))
        return
    for name in pushed.files:
        print(name)
    print(f"{len(pushed.files)} files {'to be sent' if pushed.address is None else f'sent to {pushed.address}'}")
