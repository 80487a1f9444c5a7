"""What a terminal, or a pipe, shows of tables and lines."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console

from medqbench_vlmeval.report.table import Table
from medqbench_vlmeval.report.terminal import show


def printed(parts: Iterable[Table | str], width: int | None = None) -> list[str]:
    """The lines in a terminal of this width, or in a pipe."""
    file = io.StringIO()
    show(parts, Console(file=file, force_terminal=width is not None, width=width or 80, color_system=None))
    return file.getvalue().splitlines()
