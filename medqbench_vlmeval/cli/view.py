"""``medqbench view``: the page over a work folder, with what is still at work."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medqbench_vlmeval.runs.comparison import RunComparison
    from medqbench_vlmeval.types import Run


def view(
    folder: Annotated[Path, typer.Argument(help="A work folder, of any depth.")] = Path("outputs"),
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Default: any that is free.")] = None,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Show runs and their images in the browser, also while they are made: a server for this machine alone."""
    from medqbench_vlmeval.report.viewer.server import serve

    def opened(address: str) -> None:
        print(f"{address}\nshows {folder.resolve()} to this machine alone; Ctrl-C ends it.", flush=True)
        # Without a screen a browser of the terminal's own would take its place.
        if opens and (sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
            import webbrowser

            webbrowser.open(address)

    def compare(runs: Sequence[Run]) -> RunComparison | None:
        from medqbench_vlmeval.workflows.report import compared

        return compared(runs)

    serve(folder, port, opened, compare)
