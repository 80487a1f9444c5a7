"""``medqbench patch``: let a kit discover plugins by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Patch a VLMEvalKit so that it finds this package by itself.", no_args_is_help=True)

KitDir = Annotated[
    Path | None, typer.Argument(help="A checkout, or the folder that holds 'vlmeval'; default: the installed kit.")
]


@app.command()
def check(kit_dir: KitDir = None) -> None:
    """Say of each file that the patch concerns whether it is patched; exit code 1 where one is unknown."""
    from medqbench_vlmeval.kit import patching

    files = patching.check(patching.kit_root(kit_dir))
    for one in files:
        print(f"{one.state.value:12} {one.path}{f' ({one.why})' if one.why else ''}")
    if any(one.state is patching.State.UNKNOWN for one in files):
        raise typer.Exit(1)


@app.command()
def apply(kit_dir: KitDir = None) -> None:
    """Patch the kit: its own run.py, 'python -m vlmeval' and 'vlmutil' then know the datasets and models."""
    from medqbench_vlmeval.kit import patching

    changed = patching.apply(patching.kit_root(kit_dir))
    _tell(changed, "patched", "already patched; nothing was changed")


@app.command()
def revert(kit_dir: KitDir = None) -> None:
    """Give the kit its original bytes back."""
    from medqbench_vlmeval.kit import patching

    changed = patching.revert(patching.kit_root(kit_dir))
    _tell(changed, "restored", "not patched; nothing was changed")


def _tell(changed: list[Path], done: str, nothing: str) -> None:
    for path in changed:
        print(f"{done:12} {path}")
    if not changed:
        print(nothing)
